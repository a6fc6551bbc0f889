"""The search for a chord that proves a loss not convex: A7."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as hs

import steepest as st
from steepest import reference

BILLS = st.data.tips()
PCTTIP = BILLS["tip"] / BILLS["total_bill"] * 100
P5 = np.array([12.1, 12.8, 14.9, 16.3, 17.2])
SEEDS = range(20)


def proves(f: Any, found: Any) -> bool:
    """Tell whether the violation found holds for the function itself."""
    a, b, t = found.violation
    return 0 <= t <= 1 and t * f(a) + (1 - t) * f(b) < f(t * a + (1 - t) * b)


@pytest.mark.parametrize("data", [np.zeros(1), P5 - 14.66, PCTTIP - 16], ids=["zero", "p5", "tips"])
def test_a7_quartic_has_a_violating_chord(data: Any) -> None:
    for seed in SEEDS:
        found = st.is_convex(reference.quartic_loss, data, bounds=(-25, 25), seed=seed)
        assert not found
        assert proves(lambda theta: reference.quartic_loss(theta, data), found)
        a, b, t = found.violation
        assert all(isinstance(number, float) for number in (a, b, t))
        assert found.excess > 1e-3


@pytest.mark.parametrize(
    ("name", "plain"), [("mse", reference.mse), ("mae", reference.abs_loss), ("huber", reference.huber_loss)]
)
@pytest.mark.parametrize("data", [P5, PCTTIP, np.array([-1.0, 1.0])], ids=["p5", "tips", "pair"])
def test_a7_losses_of_the_textbook_have_none(name: str, plain: Any, data: Any) -> None:
    for seed in SEEDS:
        for loss in (name, plain):
            for bounds in ((-2, 2), (0, 30), (-1e6, 1e6)):
                found = st.is_convex(loss, data, bounds=bounds, seed=seed, n=300)
                assert found
                assert (found.violation, found.excess) == (None, 0.0)
                assert found.chords > 2000


def test_a7_absolute_error_is_flat_between_two_observations() -> None:
    data = np.array([-1.0, 1.0])
    thetas = np.linspace(-3, 3, 61)
    for theta in (st.search.grid("mae", data, thetas).x[0], st.minimize("mae", data, x0=3.0).x[0]):
        assert -1 <= theta <= 1
        assert st.Objective("mae", data).value([theta]) == pytest.approx(1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", st.losses.available("pointwise"))
def test_losses_of_the_core_are_as_they_say(name: str, dtype: Any) -> None:
    loss = st.losses.get(name)
    draw = np.random.default_rng(7)
    X = draw.standard_normal((50, 4)).astype(dtype)
    y = np.where(X[:, 0] > 0, 1, -1) if loss.target == "binary" else np.exp(X[:, 0])
    for seed in range(5):
        assert bool(st.is_convex(name, (X, y.astype(dtype)), bounds=(-3, 3), seed=seed, n=300)) == loss.convex


def test_penalty_weights_and_intercept_are_part_of_it() -> None:
    X = np.random.default_rng(0).standard_normal((30, 2))
    y = np.linspace(-1, 1, 30)
    more: dict[str, Any] = {"penalty": st.L1(0.5), "sample_weight": np.linspace(0, 1, 30), "fit_intercept": True}
    assert st.is_convex("huber", (X, y), seed=0, bounds=([-1.0] * 3, [1.0] * 3), **more)
    # A penalty curved enough makes up for the loss.
    valley = (lambda theta, batch: float(np.cos(theta)), [0.0])
    assert not st.is_convex(*valley, seed=0)
    assert not st.is_convex(*valley, seed=0, penalty=st.L2(0.5))
    assert st.is_convex(*valley, seed=0, penalty=st.L2(1.0))


def test_saddle_is_found_off_the_axes() -> None:
    def saddle(w: Any, batch: Any) -> float:
        return float(w[0] * w[1])

    for seed in SEEDS:
        found = st.is_convex(saddle, [0.0], seed=seed, x0=np.zeros(2))
        assert not found
        assert found.violation[0].shape == found.violation[1].shape == (2,)
        assert proves(lambda w: w[0] * w[1], found)


@pytest.mark.parametrize("size", [3, 20])
def test_one_bent_coordinate_is_found(size: int) -> None:
    for bent in range(size):
        sign = np.ones((size, 1))
        sign[bent] = -0.01
        found = st.is_convex(lambda W, batch, s=sign: float(np.sum(s * W**2)), [0.0], seed=bent, x0=np.zeros((size, 1)))
        assert not found
        assert found.violation[0].shape == (size, 1)
        assert proves(lambda W, s=sign: float(np.sum(s * W**2)), found)


def test_narrow_dent_is_found_where_the_box_is_narrow() -> None:
    def dented(theta: Any, batch: Any) -> float:
        return float(theta**2 - 0.1 * np.exp(-((theta - 1) ** 2) / 0.001))

    assert not any(st.is_convex(dented, [0.0], bounds=(0, 2), seed=seed) for seed in SEEDS)


@given(
    slopes=hs.lists(hs.floats(-1e3, 1e3), min_size=2, max_size=8),
    offset=hs.floats(-1e3, 1e3),
    scale=hs.sampled_from([1e-8, 1.0, 1e8]),
    seed=hs.integers(0, 1000),
)
@settings(max_examples=50, deadline=None)
def test_straight_pieces_are_convex_in_spite_of_rounding(
    slopes: list[float], offset: float, scale: float, seed: int
) -> None:
    lines = np.array(slopes).reshape(-1, 1)

    def highest(theta: Any, batch: Any) -> float:
        return float(np.max(lines * theta + offset * np.sign(lines)) * scale)

    assert st.is_convex(highest, [0.0], seed=seed, n=200)


@given(
    roots=hs.lists(hs.floats(-10, 10), min_size=9, max_size=9),
    bent=hs.floats(0.1, 10),
    seed=hs.integers(0, 1000),
)
@settings(max_examples=50, deadline=None)
def test_quadratics_are_told_apart(roots: list[float], bent: float, seed: int) -> None:
    root = np.array(roots).reshape(3, 3)
    convex = root @ root.T
    # Along the eigenvector of the smallest eigenvalue, the function now bends downwards.
    values, vectors = np.linalg.eigh(convex)
    bend = values[0] + bent * (1 + values[2])
    saddle = convex - bend * np.outer(vectors[:, 0], vectors[:, 0])
    for matrix, expected in ((convex, True), (saddle, False)):
        found = st.is_convex(
            lambda w, batch, m=matrix: float(w @ m @ w), [0.0], seed=seed, x0=np.zeros(3), tolerance=1e-11
        )
        assert bool(found) == expected


def test_rows_far_from_zero_are_not_mistaken() -> None:
    y = PCTTIP.astype(np.float32) + np.float32(1e6)
    for name in ("mse", "mae", "huber"):
        for seed in SEEDS:
            assert st.is_convex(name, y, bounds=(1e6 - 10, 1e6 + 30), seed=seed)
            assert st.is_convex(name, y.astype(np.float64), bounds=(1e6 - 10, 1e6 + 30), seed=seed)


def test_points_stay_in_the_box_and_are_counted() -> None:
    seen = []

    def loss(w: Any, batch: Any) -> float:
        seen.append(w)
        return float(np.sum(w**2))

    low, high = np.array([-1.0, 2.0, 5.0]), np.array([0.5, 3.0, 5.5])
    found = st.is_convex(loss, [0.0], bounds=(low, high), seed=3, n=500, x0=np.zeros(3))
    points = np.array(seen)
    assert len(points) == found.nfev == 500 // 9 * 9
    assert np.all((points >= low) & (points <= high))
    assert np.all(points.min(axis=0) == low)
    assert np.all(points.max(axis=0) == high)


def test_seed_decides_and_is_told() -> None:
    first = st.is_convex(reference.quartic_loss, P5, bounds=(0, 30))
    again = st.is_convex(reference.quartic_loss, P5, bounds=(0, 30), seed=first.seed)
    assert again == first
    assert len({st.is_convex(reference.quartic_loss, P5, bounds=(0, 30)).seed for _ in range(3)}) == 3


def test_answer_cannot_be_changed() -> None:
    found = st.is_convex("mse", P5, seed=0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.violation = (0.0, 1.0, 0.5)  # type: ignore[misc]


def test_infinite_wall_between_finite_ends_is_a_violation() -> None:
    def wall(theta: Any, batch: Any) -> float:
        return float("inf") if abs(theta) < 1 else float(theta**2)

    found = st.is_convex(wall, [0.0], bounds=(-5, 5), seed=0)
    assert not found
    assert found.excess == np.inf
    # Outside of its domain a convex function is infinite.
    assert st.is_convex(lambda theta, batch: np.inf if theta > 2 else float(theta), [0.0], bounds=(-5, 5), seed=0)


def test_chords_with_nan_do_not_count() -> None:
    def partly(theta: Any, batch: Any) -> float:
        return float("nan") if theta < 0 else reference.mse(theta, batch)

    whole = st.is_convex(reference.mse, P5, seed=0)
    found = st.is_convex(partly, P5, seed=0)
    assert found
    assert 0 < found.chords < whole.chords
    with pytest.raises(ValueError, match="NaN on every chord"):
        st.is_convex(lambda theta, batch: float("nan"), P5)


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        ({"bounds": (1, 1)}, ValueError, "the low below the high"),
        ({"bounds": (2, 1)}, ValueError, "the low below the high"),
        ({"bounds": (0, np.inf)}, ValueError, "finite"),
        ({"bounds": (np.nan, 1)}, ValueError, "finite"),
        ({"bounds": 3}, TypeError, "pair"),
        ({"bounds": (0, 1, 2)}, TypeError, "pair"),
        ({"bounds": ("a", 1)}, TypeError, "low bound must be a number"),
        ({"bounds": ([0.0, 0.0], 1)}, ValueError, r"low bound has shape \(2,\), theta has shape \(1,\)"),
        ({"n": 8}, ValueError, "at least 9"),
        ({"n": 1.5}, TypeError, "whole number"),
        ({"tolerance": -1}, ValueError, "tolerance"),
        ({"seed": "x"}, TypeError, "seed"),
        ({"penalty": "l7"}, ValueError, "unknown penalty"),
    ],
)
def test_bad_input_is_named(more: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        st.is_convex("mse", P5, **more)
