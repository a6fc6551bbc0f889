"""Penalties over the whole list: values, gradients of smooth parts, proximal steps (C6)."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize_scalar

import members
import steepest as st
from members import Array

# Sums over coefficients of a multiple of the size and one of the square; the others have a file of their own.
ELASTIC = ("l1", "l2", "elastic_net")
PENALTIES = members.variants(st.penalties, ELASTIC)
POINTS = np.array([-3.0, -1.25, -0.5, -0.1, 0.0, 0.2, 0.75, 1.0, 2.5, 8.0])
STEPS = (0.125, 1.0, 3.0)

coefficients = arrays(np.float64, some.integers(1, 30), elements=some.floats(-100, 100))
penalties = some.sampled_from(PENALTIES)


def kink(penalty: Any) -> float:
    """Slope of the part that is not smooth, which is this times the size: the formula's slope to the right of 0."""
    h = members.Long(1e-18)
    return float((members.evaluate(penalty, w=[h]) - members.evaluate(penalty, w=[0.0])) / h)


@pytest.mark.parametrize("name", st.penalties.available())
@pytest.mark.parametrize("check", members.MEMBER_CHECKS)
def test_member(check: Any, name: str) -> None:
    check(st.penalties, name)


@pytest.mark.parametrize("check", members.LIST_CHECKS)
def test_list(check: Any) -> None:
    check(st.penalties)


def test_every_class_is_at_the_top_level() -> None:
    names = {type(st.penalties.get(name)).__name__ for name in st.penalties.available()}
    assert {"L1", "L2", "ElasticNet", "GroupLasso", "NonNegative", "Box", "L1Ball", "L2Ball"} <= names
    assert len(names) >= 8
    for name in names:
        assert getattr(st, name) is getattr(st.penalties, name)
    assert names <= set(st.__all__)
    assert len(st.__all__) == len(set(st.__all__))  # none of them hides something else


@given(penalties, coefficients)
def test_values_are_their_formulas(penalty: Any, w: Array) -> None:
    exact = float(members.evaluate(penalty, w=w))
    assert penalty.value(w) == pytest.approx(exact, rel=1e-14, abs=1e-300)
    assert isinstance(penalty.value(w), float)
    assert penalty.value(w.tolist()) == penalty.value(w)


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_smooth_gradients_are_differences_of_the_formula(penalty: Any) -> None:
    members.vary(POINTS)
    h = members.Long(1e-4)
    step = h * np.eye(POINTS.size)
    above, below = ([float(members.evaluate(penalty, w=w)) for w in POINTS + sign * step] for sign in (+1, -1))
    slope = (np.array(above) - np.array(below)) / (2 * float(h))
    gradient = penalty.smooth_gradient(POINTS)
    assert gradient == pytest.approx(slope - kink(penalty) * np.sign(POINTS), rel=1e-7, abs=1e-7)
    assert gradient.dtype == np.float64


@pytest.mark.parametrize("name", ELASTIC)
def test_what_members_say_of_themselves(name: str) -> None:
    found = members.variants(st.penalties, [name])
    kinks = [kink(penalty) for penalty in found]
    cls = type(found[0])
    assert cls.smooth == (max(kinks) < 1e-6)
    for penalty in found:
        halves = [float(members.evaluate(penalty, w=part)) for part in (POINTS[:4], POINTS[4:])]
        assert cls.separable == (penalty.value(POINTS) == pytest.approx(sum(halves), rel=1e-12))
        middle = penalty.value((POINTS + POINTS[::-1] ** 2) / 2)
        ends = (penalty.value(POINTS) + penalty.value(POINTS[::-1] ** 2)) / 2
        assert middle <= ends * (1 + 1e-12) or not cls.convex


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_prox_is_its_definition(penalty: Any, step: float) -> None:
    slope = kink(penalty)
    found = penalty.prox(POINTS, step)
    for w, u in zip(POINTS, found, strict=True):
        best = minimize_scalar(
            lambda v, w=w: step * slope * abs(v) + (v - w) ** 2 / 2, bounds=(-10, 10), options={"xatol": 1e-12}
        )
        assert u == pytest.approx(best.x, abs=2e-7)


@given(penalties, coefficients, some.floats(1e-3, 10.0))
def test_prox_is_optimal(penalty: Any, w: Array, step: float) -> None:
    threshold = step * kink(penalty)
    u = penalty.prox(w, step)
    # w - u is a subgradient of the threshold times the size, at u.
    rounding = 1e-14 * (1 + threshold + np.abs(w))
    assert np.all(np.abs(w - u) <= threshold + rounding)
    moved = u != 0
    assert w[moved] - u[moved] == pytest.approx(threshold * np.sign(u[moved]), abs=float(rounding.max()))
    assert np.all(np.abs(u) <= np.abs(w))
    assert np.array_equal(penalty.prox(-w, step), -u)


@given(penalties, coefficients, some.floats(1e-3, 10.0), some.randoms())
def test_prox_never_drives_points_apart(penalty: Any, w: Array, step: float, source: Any) -> None:
    other = w[np.array(source.sample(range(w.size), w.size))] + 1.0
    apart = np.linalg.norm(penalty.prox(w, step) - penalty.prox(other, step))
    assert apart <= np.linalg.norm(w - other) * (1 + 1e-12)


def test_c6_l1_gives_exact_zeros() -> None:
    w = np.array([0.5, -0.5, 0.3, -0.1, 1e-300, 0.0, np.nextafter(0.5, 1.0), -np.nextafter(0.5, 1.0), 2.0])
    u = st.L1(0.25).prox(w, 2.0)
    assert u[:6].tolist() == [0.0] * 6
    assert u[6:].tolist() == [np.nextafter(0.5, 1.0) - 0.5, 0.5 - np.nextafter(0.5, 1.0), 1.5]
    mixed = st.ElasticNet(0.5, l1_ratio=0.5).prox(w, 2.0)
    assert np.array_equal(mixed, u)
    assert np.array_equal(st.L2(0.25).prox(w, 2.0), w)


def test_c6_the_sources_strength_is_half_of_ours() -> None:
    w, alpha = POINTS, 0.125
    assert st.L2(2 * alpha).value(w) == alpha * float(w @ w)
    assert np.array_equal(st.L2(2 * alpha).smooth_gradient(w), 2 * alpha * w)


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0, 7.0])
def test_elastic_net_is_l1_at_one_end_and_l2_at_the_other(alpha: float) -> None:
    for end, same in ((1.0, st.L1(alpha)), (0.0, st.L2(alpha))):
        mixture = st.ElasticNet(alpha, end)
        assert mixture.value(POINTS) == pytest.approx(same.value(POINTS), rel=1e-15)
        assert np.array_equal(mixture.smooth_gradient(POINTS), same.smooth_gradient(POINTS))
        assert np.array_equal(mixture.prox(POINTS, 0.5), same.prox(POINTS, 0.5))


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_without_a_threshold_prox_changes_nothing(penalty: Any) -> None:
    w = np.array([0.0, 1e-3, -1e-30, 1e-170, -1e-200, 1e-300, -5e-324, 1e200, -1e308])
    if kink(penalty) > 1e-9:
        penalty = penalty.__class__(**(penalty.params | {"alpha": 0.0}))
    assert penalty.prox(w, 1.0).tolist() == w.tolist()


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_numbers_that_are_not_finite_are_not_healed(penalty: Any) -> None:
    w = np.array([1.0, np.nan, -1.0, np.inf, -np.inf])
    point = penalty.prox(w, 0.5)
    assert np.isnan(point[1])
    assert point[3:].tolist() == [np.inf, -np.inf]
    if penalty.params["alpha"] > 0:
        assert np.isnan(penalty.value(w))
        assert not np.isfinite(penalty.value(w[3:]))


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_shapes_and_layouts(penalty: Any) -> None:
    w = members.random(penalty).normal(size=(4, 6))
    members.vary(w)
    before = w.copy()
    w.setflags(write=False)
    for view in (w, np.asfortranarray(w), w[::-1, ::2], w.T, w.astype(np.float32), w[0, 0], w[:0]):
        plain = np.ascontiguousarray(view, dtype=np.float64).ravel()
        assert penalty.value(view) == pytest.approx(penalty.value(plain), rel=1e-15)
        for whole, flat in (
            (penalty.smooth_gradient(view), penalty.smooth_gradient(plain)),
            (penalty.prox(view, 0.5), penalty.prox(plain, 0.5)),
        ):
            assert whole.shape == view.shape
            assert np.array_equal(whole.ravel(), flat)
    assert np.array_equal(w, before)


@pytest.mark.parametrize("name", st.penalties.available())
@pytest.mark.parametrize("step", [-1.0, -1e-300, float("nan")])
def test_prox_refuses_steps_that_are_none(name: str, step: float) -> None:
    with pytest.raises(ValueError, match="step"):
        st.penalties.get(name).prox(POINTS, step)
