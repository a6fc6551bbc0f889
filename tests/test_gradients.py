"""Gradients by differences and the gradient check: B1, D4, D6."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from steepest.gradients import GradientCheck, check_gradient, numerical_gradient
from steepest.reference import multiclass_svm

SMOOTH: dict[str, tuple[Callable[[Any], float], Callable[[Any], Any], list[float]]] = {
    "the source's graph": (
        lambda v: math.log(v[0]) + v[0] * v[1] - math.sin(v[1]),
        lambda v: np.array([1 / v[0] + v[1], v[0] - math.cos(v[1])]),
        [2.0, 5.0],
    ),
    "exponential": (lambda v: float(np.exp(v).sum()), lambda v: np.exp(v), [-1.0, 0.5, 2.0]),
    "quartic": (
        lambda v: float((v**4 + 3 * v**3 - v**2 - 3 * v).sum()),
        lambda v: 4 * v**3 + 9 * v**2 - 2 * v - 3,
        [0.0, 2.0, -4.0],
    ),
}


class Counted:
    """A function that counts its calls."""

    def __init__(self, f: Callable[[Any], float]) -> None:
        self.f, self.calls = f, 0

    def __call__(self, x: Any) -> float:
        self.calls += 1
        return self.f(x)


@pytest.mark.parametrize(("scheme", "slope"), [("forward", 1), ("central", 2)])
@pytest.mark.parametrize("name", SMOOTH)
def test_b1_error_falls_as_the_step_or_its_square(name: str, scheme: Any, slope: int) -> None:
    f, gradient, x = SMOOTH[name]
    steps = np.logspace(-1.5, -3.5, 9)
    exact = gradient(np.array(x))
    errors = [np.abs(numerical_gradient(f, x, scheme, h) - exact).max() for h in steps]
    measured = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert measured == pytest.approx(slope, abs=0.03)


@pytest.mark.parametrize("name", SMOOTH)
def test_b1_default_steps_beat_the_sources(name: str) -> None:
    f, gradient, x = SMOOTH[name]
    exact = gradient(np.array(x))
    steps: list[tuple[Any, float]] = [("forward", 1e-5), ("central", 1e-4)]
    for scheme, h in steps:
        ours, theirs = (np.abs(numerical_gradient(f, x, scheme, step) - exact).max() for step in (None, h))
        assert ours < theirs / 5


def test_b2_figures_of_the_graph() -> None:
    f, _, x = SMOOTH["the source's graph"]
    assert numerical_gradient(f, x) == pytest.approx([5.5, 2 - math.cos(5)], abs=1e-9)
    assert round(float(numerical_gradient(f, x)[1]), 4) == 1.7163


@pytest.mark.parametrize(("scheme", "calls"), [("forward", 30_731), ("central", 61_460)])
def test_d4_evaluations_for_30730_parameters(scheme: Any, calls: int) -> None:
    W = np.random.default_rng(4).normal(size=(10, 3073))
    before = W.tobytes()
    f = Counted(lambda W: float(W[3, 1000] ** 2 + 3 * W[9, 3072]))
    exact = np.zeros(W.shape)
    exact[3, 1000], exact[9, 3072] = 2 * W[3, 1000], 3
    assert np.abs(numerical_gradient(f, W, scheme, 1e-5) - exact).max() < 1.1e-5
    assert f.calls == calls
    assert W.tobytes() == before


@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 3), (2, 1, 3), (0,)])
@pytest.mark.parametrize(("scheme", "calls"), [("forward", lambda n: n + 1), ("central", lambda n: 2 * n)])
def test_d4_any_shape(shape: tuple[int, ...], scheme: Any, calls: Callable[[int], int]) -> None:
    x = np.array(np.random.default_rng(7).normal(size=shape), order="F")
    x.setflags(write=False)
    seen: list[tuple[int, ...]] = []
    f = Counted(lambda v: seen.append(np.shape(v)) or float(np.sum(np.sin(v))))  # type: ignore[func-returns-value]
    gradient = numerical_gradient(f, x, scheme)
    assert np.shape(gradient) == shape
    assert gradient == pytest.approx(np.cos(x), abs=1e-7)
    assert set(seen) <= {shape}
    assert f.calls == calls(x.size) == len(seen)


def test_d4_scalars_stay_floats() -> None:
    slope = numerical_gradient(lambda theta: float(f"{theta:.17g}") ** 2, 3)
    assert type(slope) is float
    assert slope == pytest.approx(6, abs=1e-9)


def test_d4_x_is_restored_when_f_raises() -> None:
    def f(v: NDArray[Any]) -> float:
        if v[1] != 2.0:
            raise KeyError("no")
        return float(v.sum())

    x = np.array([1.0, 2.0, 3.0])
    with pytest.raises(KeyError):
        numerical_gradient(f, x)
    assert x.tolist() == [1.0, 2.0, 3.0]


def test_f_cannot_move_the_point() -> None:
    def f(v: NDArray[Any]) -> float:
        v += 1
        return float(v.sum())

    with pytest.raises(ValueError, match="read-only"):
        numerical_gradient(f, [1.0, 2.0])


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.sampled_from(["central", "forward"]))
def test_straight_lines_are_exact_at_any_scale(x: float, slope: float, scheme: Any) -> None:
    rounding = 1e-7 if scheme == "forward" else 1e-9
    assert numerical_gradient(lambda v: slope * v, x, scheme) == pytest.approx(slope, rel=rounding, abs=1e-300)


@pytest.mark.parametrize("x", [1e-9, 1.0, 1e9])
def test_default_step_follows_the_size_of_x(x: float) -> None:
    assert numerical_gradient(lambda v: v * v, x) == pytest.approx(2 * x, rel=1e-8, abs=1e-9)


@pytest.mark.parametrize(
    ("f", "x", "options", "error", "message"),
    [
        (lambda v: v, [1.0, 2.0], {}, TypeError, "f must return one real number"),
        (lambda v: v[:1], [1.0, 2.0], {}, TypeError, "f must return one real number"),
        (lambda v: None, [1.0], {}, TypeError, "f must return one real number, not None"),
        (lambda v: "one", [1.0], {}, TypeError, "f must return one real number, not 'one'"),
        (lambda v: 1j, [1.0], {}, TypeError, "f must return one real number, not 1j"),
        (lambda v: np.complex128(1), [1.0], {}, TypeError, "f must return one real number"),
        (lambda v: math.nan, [1.0], {}, ValueError, "f is nan at"),
        (lambda v: math.inf if v[0] > 1 else 0.0, [1.0], {}, ValueError, "f is inf at"),
        (lambda v: 0.0, [1.0, math.nan], {}, ValueError, r"x\[1\] is nan"),
        (lambda v: 0.0, [[1.0, 2.0], [3.0, -math.inf]], {}, ValueError, r"x\[1, 1\] is -inf"),
        (lambda v: 0.0, math.inf, {}, ValueError, "x is inf"),
        (lambda v: 0.0, 1j, {}, TypeError, "x is complex"),
        (lambda v: 0.0, [1.0], {"scheme": "backward"}, ValueError, "scheme is 'backward'"),
        (lambda v: 0.0, [1.0], {"h": 0.0}, ValueError, "h is 0.0"),
        (lambda v: 0.0, [1.0], {"h": -1e-5}, ValueError, "h is -1e-05"),
        (lambda v: 0.0, [1.0], {"h": math.nan}, ValueError, "h is nan"),
        (lambda v: 0.0, [1.0], {"h": math.inf}, ValueError, "h is inf"),
        (lambda v: 0.0, [1e20], {"h": 1e-5}, ValueError, "h is 1e-05, too small to change 1e[+]20"),
    ],
)
def test_bad_input_is_named(f: Any, x: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        numerical_gradient(f, x, **options)


@pytest.mark.parametrize("name", SMOOTH)
def test_d6_right_gradients_pass(name: str) -> None:
    f, gradient, x = SMOOTH[name]
    for answer in (gradient, gradient(np.array(x)), gradient(np.array(x)).tolist()):
        check = check_gradient(f, answer, x)
        assert check
        assert check.kinks == ()
        assert check.index is not None
        assert 0 <= check.largest_error <= 1e-6


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("factor", [1 + 1e-4, 0.5, -1.0, 2.0])
def test_d6_a_wrong_coordinate_is_found(name: str, factor: float) -> None:
    f, gradient, x = SMOOTH[name]
    for i, exact in enumerate(gradient(np.array(x))):
        wrong = gradient(np.array(x))
        wrong[i] *= factor
        check = check_gradient(f, wrong, x)
        assert not check
        assert check.index == (i,)
        assert check.kinks == ()
        assert check.largest_error == pytest.approx(abs(factor - 1) / max(1, abs(factor)), rel=1e-3)
        assert check.analytic == factor * exact
        assert check.numerical == pytest.approx(exact)


def _svm(seed: int) -> tuple[Callable[[Any], float], Callable[[Any], Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(40, 6)), rng.integers(0, 5, 40)
    return (
        lambda W: multiclass_svm(W, X, y, alpha=0.1)[0],
        lambda W: multiclass_svm(W, X, y, alpha=0.1)[1],
        rng.normal(size=(5, 6)),
    )


@given(st.integers(0, 2**32))
def test_d6_multiclass_svm(seed: int) -> None:
    f, gradient, W = _svm(seed)
    check = check_gradient(f, gradient, W)
    assert check
    assert len(check.kinks) < 15
    flipped = check_gradient(f, lambda W: -gradient(W), W)
    assert not flipped
    assert flipped.kinks == check.kinks


def _with_kink(jump: float, at: float) -> Callable[[NDArray[Any]], float]:
    return lambda v: float(np.sum(v**2) + jump * abs(v[1, 0] - at))


@pytest.mark.parametrize("offset", [0.0, 1e-7, -3e-7])
@pytest.mark.parametrize("jump", [1e-4, 1.0, 1e4])
def test_d6_kinks_are_reported_and_not_counted(offset: float, jump: float) -> None:
    f, x = _with_kink(jump, offset), np.array([[1.0, 2.0], [0.0, 3.0]])
    check = check_gradient(f, lambda v: 2 * v + [[0, 0], [0.7 * jump, 0]], x, h=1e-5)
    assert check
    assert check.kinks == ((1, 0),)
    assert check.index != (1, 0)
    wrong = check_gradient(f, lambda v: 2 * v + [[0, 0.1], [0, 0]], x, h=1e-5)
    assert not wrong
    assert wrong.kinks == ((1, 0),)
    assert wrong.index == (0, 1)


@pytest.mark.parametrize("offset", [1e-6, -5e-6, 9e-6, 2e-5])
@pytest.mark.parametrize("jump", [1e-4, 1.0, 1e4])
def test_d6_beside_a_kink_the_gradient_counts(offset: float, jump: float) -> None:
    f, x = _with_kink(jump, offset), np.array([[1.0, 2.0], [0.0, 3.0]])
    for factor in (1, 0.99, -1):
        check = check_gradient(f, 2 * x - [[0, 0], [factor * jump * np.sign(offset), 0]], x, h=1e-5)
        assert bool(check) == (factor == 1)
        assert check.kinks == ()
        assert factor == 1 or check.index == (1, 0)


@given(st.floats(1, 1e4), st.floats(-3, 3))
def test_d6_strong_curvature_is_no_kink(curvature: float, x: float) -> None:
    def f(v: float) -> float:
        return math.cos(v) + curvature / 2 * v * v

    assert not check_gradient(f, lambda v: curvature * v - math.sin(v) + 0.01 * (1 + curvature), x)
    check = check_gradient(f, lambda v: curvature * v - math.sin(v), x)
    assert check
    assert check.kinks == ()
    assert check.index == ()


def test_d6_all_kinks_is_no_agreement() -> None:
    check = check_gradient(lambda v: abs(v), 0.0, 0.0)
    assert not check
    assert check.kinks == ((),)
    assert check.index is None
    assert math.isnan(check.largest_error)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_d6_the_scale_of_f_does_not_matter(scale: float) -> None:
    f, gradient, x = SMOOTH["exponential"]
    assert check_gradient(lambda v: scale * f(v), lambda v: scale * gradient(v), x)
    assert not check_gradient(lambda v: scale * f(v), lambda v: scale * 1.001 * gradient(v), x)


def test_d6_at_a_minimum_rounding_is_no_error() -> None:
    x = np.array([0.1, 0.2, 0.3])
    assert check_gradient(lambda v: 3.0 + float(np.sum((v - x) ** 2)), np.zeros(3), x)
    assert check_gradient(lambda v: 0.0, np.zeros(3), x).largest_error == 0
    assert not check_gradient(lambda v: 0.0, [0.0, 1e-9, 0.0], x)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_d6_a_gradient_that_is_not_finite_is_wrong(bad: float) -> None:
    for f in (lambda v: float(np.sum(v**2)), lambda v: float(np.sum(np.abs(v)))):
        check = check_gradient(f, [0.0, bad, 2.0], [1.0, 0.0, 1.0])
        assert not check
        assert check.index == (1,)
        assert check.largest_error == math.inf


def test_d6_the_gradient_may_be_the_point() -> None:
    x = np.array([1.0, -2.0, 3.0])
    assert check_gradient(lambda v: float(v @ v) / 2, lambda v: v, x)
    assert x.tolist() == [1.0, -2.0, 3.0]


def test_d6_errors() -> None:
    with pytest.raises(ValueError, match=r"gradient has the shape \(3,\), x \(2,\)"):
        check_gradient(lambda v: 0.0, [0.0, 0.0, 0.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="tolerance is nan"):
        check_gradient(lambda v: 0.0, [0.0], [1.0], tolerance=math.nan)
    with pytest.raises(ValueError, match="f is nan"):
        check_gradient(lambda v: math.nan, [0.0], [1.0])


def test_d6_the_answer_is_frozen() -> None:
    check = check_gradient(lambda v: v * v, lambda v: 2 * v, 1.5)
    assert isinstance(check, GradientCheck)
    with pytest.raises(AttributeError):
        check.largest_error = 0.0  # type: ignore[misc]
