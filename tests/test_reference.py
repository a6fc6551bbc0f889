"""The sources' functions in plain NumPy, point by point: A1 to A10, C6, D1."""

import math
from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from steepest import data
from steepest.gradients import check_gradient, numerical_gradient
from steepest.reference import (
    abs_loss,
    descend,
    grad_abs_loss,
    grad_huber_loss,
    grad_mse,
    grad_quartic_loss,
    huber_loss,
    minimize,
    minimize_mini_batch,
    minimize_sgd,
    mse,
    multiclass_svm,
    multiclass_svm_example,
    quartic_loss,
    simple_minimize,
)

Array = NDArray[Any]

Y5 = np.array([12, 13, 15, 16, 17])
P5 = np.array([12.1, 12.8, 14.9, 16.3, 17.2])
PCTTIP = data.tips()["tip"] / data.tips()["total_bill"] * 100
THETAS = np.arange(12, 18, 0.1)

PAIRS: dict[str, tuple[Callable[..., float], Callable[..., float]]] = {
    "mse": (mse, grad_mse),
    "abs": (abs_loss, grad_abs_loss),
    "huber": (huber_loss, grad_huber_loss),
    "quartic": (quartic_loss, grad_quartic_loss),
}

numbers = st.floats(-50, 50).map(lambda value: round(value, 3))
datasets = arrays(np.float64, st.integers(1, 12), elements=numbers)


def _slope(y: Array, z: Array) -> Array:
    """Slope of mse per row."""
    return 2 * (z - y)


@given(numbers, datasets, st.floats(0.1, 5))
def test_a1_losses_are_their_formulas(theta: float, y: Array, delta: float) -> None:
    distances = [abs(float(value) - theta) for value in y]
    n = len(y)
    assert mse(theta, y) == pytest.approx(sum(d**2 for d in distances) / n)
    assert abs_loss(theta, y) == pytest.approx(sum(distances) / n)
    huber = sum(d**2 / 2 if d <= delta else delta * (d - delta / 2) for d in distances) / n
    assert huber_loss(theta, y, delta) == pytest.approx(huber)
    assert huber_loss(theta, y) == huber_loss(theta, y, delta=1)


def test_a1_values() -> None:
    assert mse(14.6, Y5) == pytest.approx(3.44)
    assert abs_loss(15, Y5) == pytest.approx(8 / 5)
    assert huber_loss(15, Y5) == pytest.approx((2.5 + 1.5 + 0 + 0.5 + 1.5) / 5)
    assert f"{mse(0, P5):.2f}" == "218.76"


def test_a2_slope_of_p5() -> None:
    assert grad_mse(12, P5) == pytest.approx(-5.32, abs=1e-12)


@pytest.mark.parametrize("name", PAIRS)
@given(theta=numbers, y=datasets)
def test_a2_gradients_are_the_slopes(name: str, theta: float, y: Array) -> None:
    # Where Huber's square ends the curvature jumps, and a difference is off by as much times its step.
    assume(name != "huber" or not np.isclose(np.abs(y - theta), 1, atol=5e-4).any())
    loss, gradient = PAIRS[name]
    check = check_gradient(lambda t: loss(t, y), lambda t: gradient(t, y), theta)
    assert check or check.kinks == ((),)


@given(numbers, datasets, st.floats(0.1, 5))
def test_a2_formulas(theta: float, y: Array, delta: float) -> None:
    residuals = [float(value) - theta for value in y]
    assert grad_mse(theta, y) == pytest.approx(-2 * sum(residuals) / len(y), abs=1e-12)
    assert grad_abs_loss(theta, y) == pytest.approx(-sum((r > 0) - (r < 0) for r in residuals) / len(y), abs=1e-12)
    clipped = [max(-delta, min(delta, r)) for r in residuals]
    assert grad_huber_loss(theta, y, delta) == pytest.approx(-sum(clipped) / len(y), abs=1e-12)


def test_a3_grid_search() -> None:
    assert simple_minimize(mse, Y5, THETAS) == pytest.approx(14.59999999999999, abs=1e-13)
    assert simple_minimize(huber_loss, Y5, THETAS) == pytest.approx(14.99999999999999, abs=1e-13)
    assert simple_minimize(huber_loss, PCTTIP, THETAS) == pytest.approx(15.499999999999988, abs=1e-13)
    assert simple_minimize(mse, Y5, [12.0, 20.0, 14.0]) == 14.0


@pytest.mark.parametrize(
    ("theta", "alpha", "then"), [(12, 1, 17.32), (12, 0.3, 13.596), (13.6, 0.3, 14.236), (14.24, 0.3, 14.492)]
)
def test_a4_one_step(theta: float, alpha: float, then: float) -> None:
    assert theta - alpha * grad_mse(theta, P5) == pytest.approx(then, abs=1e-12)
    step = descend(_slope, None, P5, theta, [np.arange(5)], 5, alpha)
    assert step.shape == ()
    assert float(step) == pytest.approx(then, abs=1e-12)


def test_a4_the_last_step() -> None:
    assert 14.49 - 0.3 * grad_mse(14.49, P5) == pytest.approx(14.592, abs=1e-12)


PRINTED = """\
theta: 0.00 | loss: 218.76
theta: 5.86 | loss: 81.21
theta: 9.38 | loss: 31.70
theta: 11.49 | loss: 13.87
theta: 12.76 | loss: 7.45
theta: 13.52 | loss: 5.14
theta: 13.98 | loss: 4.31
theta: 14.25 | loss: 4.01
theta: 14.41 | loss: 3.90
theta: 14.51 | loss: 3.86
theta: 14.57 | loss: 3.85
theta: 14.61 | loss: 3.85
theta: 14.63 | loss: 3.84
theta: 14.64 | loss: 3.84
theta: 14.65 | loss: 3.84
theta: 14.65 | loss: 3.84
theta: 14.66 | loss: 3.84
theta: 14.66 | loss: 3.84
"""


def test_a5_mse_on_p5(capsys: pytest.CaptureFixture[str]) -> None:
    assert minimize(mse, grad_mse, P5) == pytest.approx(14.658511131035242, abs=1e-12)
    assert capsys.readouterr().out == PRINTED


def test_a5_huber_on_the_tips(capsys: pytest.CaptureFixture[str]) -> None:
    theta = minimize(huber_loss, grad_huber_loss, PCTTIP, progress=False)
    assert theta == pytest.approx(15.506849531471964, abs=1e-12)
    assert capsys.readouterr().out == ""


def test_a5_the_flaws_end_in_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"no step was smaller than 0\.001 within max_iter=1000 updates"):
        minimize(abs_loss, grad_abs_loss, P5, progress=False, max_iter=1000)
    with pytest.raises(RuntimeError, match="within max_iter=17"):
        minimize(mse, grad_mse, P5, progress=False, max_iter=17)
    with pytest.raises(RuntimeError, match=r"theta is -?(inf|nan) after \d+ updates: alpha=1\.5 is too large"):
        minimize(mse, grad_mse, P5, alpha=1.5)


@pytest.mark.parametrize(
    ("theta", "then"), [(-21, -9.945), (-9.9, -12.641412), (-12.6, -14.162808), (-14.2, -14.497464)]
)
def test_a6_quartic_steps(theta: float, then: float) -> None:
    assert theta - 2.5 * grad_quartic_loss(theta, np.array([0])) == pytest.approx(then, abs=1e-12)


@pytest.mark.parametrize(("start", "end"), [(-21.0, -14.50804609), (10.0, 18.39541469)])
def test_a6_quartic_valleys(start: float, end: float) -> None:
    def slope(y: Array, z: Array) -> Array:
        return np.array([grad_quartic_loss(theta, value) for value, theta in zip(y, z, strict=True)])

    theta = descend(slope, None, [0], start, [np.arange(1)] * 500, 1, 2.5)
    assert float(theta) == pytest.approx(end, abs=1e-8)
    lowest = simple_minimize(quartic_loss, np.array([0]), np.linspace(-30, 30, 6_001))
    assert lowest == pytest.approx(18.39541469, abs=1e-2)
    assert quartic_loss(-14.50804609, np.array([0])) > quartic_loss(lowest, np.array([0])) + 6


def test_a6_gradient_is_a_mean() -> None:
    y = np.array([0.0, 3.0, -5.0])
    each = [grad_quartic_loss(2.0, y[i : i + 1]) for i in range(3)]
    assert len(set(each)) == 3
    assert grad_quartic_loss(2.0, y) == pytest.approx(sum(each) / 3)
    assert grad_quartic_loss(2.0, y) == pytest.approx(numerical_gradient(lambda t: quartic_loss(t, y), 2.0))


def _violations(loss: Callable[..., float], y: Array) -> int:
    rng = np.random.default_rng(7)
    chords = zip(rng.uniform(-25, 25, (500, 2)), rng.uniform(size=500), strict=True)
    return sum(loss(t * a + (1 - t) * b, y) > t * loss(a, y) + (1 - t) * loss(b, y) + 1e-9 for (a, b), t in chords)


@pytest.mark.parametrize("name", PAIRS)
def test_a7_convexity(name: str) -> None:
    for y in (np.array([0]), np.array([-2, -1, 1]), P5):
        assert (_violations(PAIRS[name][0], y) > 0) == (name == "quartic")


def test_a7_absolute_loss_may_stop_anywhere_in_between() -> None:
    y = np.array([-1, 1])
    assert {abs_loss(theta, y) for theta in np.linspace(-1, 1, 17)} == {1.0}
    assert abs_loss(1.01, y) > 1
    assert abs_loss(-1.01, y) > 1
    assert -1 <= minimize(abs_loss, grad_abs_loss, y, progress=False) <= 1


def _visits(n: int, epochs: int, seed: int, minibatch_size: int | None = None) -> list[list[float]]:
    """Batches that the textbook's loops hand to the gradient during some epochs over 0, 1, ... n-1."""
    seen: list[list[float]] = []

    def gradient(theta: float, batch: Array) -> float:
        seen.append(np.atleast_1d(batch).tolist())
        return 1.0

    y = np.arange(float(n))
    y.setflags(write=False)
    updates = epochs * math.ceil(n / (minibatch_size or 1))
    loop: Callable[..., float] = minimize_sgd if minibatch_size is None else minimize_mini_batch
    sizes = () if minibatch_size is None else (minibatch_size,)
    with pytest.raises(RuntimeError, match="max_iter"):
        loop(mse, gradient, y, *sizes, seed=seed, max_iter=updates)
    assert len(seen) == updates
    return seen


@given(st.integers(1, 20), st.integers(0, 2**32))
def test_a8_every_epoch_visits_each_observation_once(n: int, seed: int) -> None:
    seen = _visits(n, 3, seed)
    assert all(len(batch) == 1 for batch in seen)
    for epoch in range(3):
        assert sorted(batch[0] for batch in seen[epoch * n : (epoch + 1) * n]) == list(range(n))


def test_a8_orders_are_uniform_over_permutations() -> None:
    epochs = 24 * 200
    visited = np.ravel(_visits(4, epochs, seed=8)).reshape(epochs, 4)
    counts = np.array([np.sum((visited == order).all(axis=1)) for order in permutations(range(4))])
    assert counts.sum() == epochs
    # Chi-square with 23 degrees of freedom: 95 % of honest shuffles lie between these.
    assert 11.7 < np.sum((counts - 200) ** 2 / 200) < 38.1
    # An order says nothing about the next one.
    same = np.mean((visited[1:] == visited[:-1]).all(axis=1))
    assert 0.03 < same < 0.055


@given(st.data(), st.integers(2, 20), st.integers(0, 2**32))
def test_a9_batches_are_slices_of_the_shuffled_data(draw: Any, n: int, seed: int) -> None:
    size = draw.draw(st.integers(1, n - 1))
    per_epoch = math.ceil(n / size)
    seen = _visits(n, 2, seed, size)
    for epoch in (seen[:per_epoch], seen[per_epoch:]):
        assert [len(batch) for batch in epoch[:-1]] == [size] * (per_epoch - 1)
        assert len(epoch[-1]) == n - size * (per_epoch - 1)
        assert sorted(value for batch in epoch for value in batch) == list(range(n))
    assert [v for batch in _visits(n, 2, seed) for v in batch] == [v for batch in seen for v in batch]


def test_a9_mini_batches_of_10_to_100_find_the_optimum() -> None:
    deviations = []
    for size in (10, 32, 100):
        found = [minimize_mini_batch(mse, grad_mse, PCTTIP, size, seed=seed) for seed in range(40)]
        assert found[:5] == [minimize_mini_batch(mse, grad_mse, PCTTIP, size, seed=seed) for seed in range(5)]
        assert np.mean(found) == pytest.approx(PCTTIP.mean(), abs=0.2)
        deviations.append(np.std(found))
    assert deviations[0] > deviations[1] > deviations[2] > 0.1


def test_a9_the_callers_array_stays() -> None:
    y = P5.copy()
    minimize_sgd(huber_loss, grad_huber_loss, y, 0.005, seed=0)
    minimize_mini_batch(huber_loss, grad_huber_loss, y, 2, 0.005, seed=0)
    assert y.tobytes() == P5.tobytes()


def test_a9_flaws_of_one_observation_per_step() -> None:
    y = np.array([0.0, 100.0, 101.0, 102.0])
    ends = [
        minimize_sgd(mse, grad_mse, y, seed=seed)
        for seed in range(40)
        if np.random.default_rng(seed).permutation(4)[0] == 0
    ]
    assert len(ends) > 3
    assert set(ends) == {0.0}
    with pytest.raises(RuntimeError, match="within max_iter=5000"):
        minimize_sgd(abs_loss, grad_abs_loss, P5, seed=0, max_iter=5000)
    with pytest.raises(RuntimeError, match=r"alpha=1\.5 is too large"):
        minimize_sgd(mse, grad_mse, P5, 1.5, seed=0)


@pytest.mark.parametrize("size", [5, 6, 0, -1])
def test_a9_minibatch_size_is_below_n(size: int) -> None:
    with pytest.raises(ValueError, match=f"minibatch_size is {size}; 1 to 4 are possible"):
        minimize_mini_batch(mse, grad_mse, P5, size)


def test_a9_no_observations() -> None:
    with pytest.raises(ValueError, match="dataset is empty"):
        minimize_sgd(mse, grad_mse, np.array([]))


def test_a10_step_size_over_time() -> None:
    times: list[float] = []

    def step_size(time: float) -> float:
        times.append(time)
        return 0.2 * math.pow(0.5, time)

    order = [np.array([0, 1, 2, 3, 4]), np.array([4, 2, 0, 1, 3])]
    theta = descend(_slope, None, P5, 0.0, order, 2, step_size)
    assert times == pytest.approx([0, 1 / 3, 2 / 3, 1, 4 / 3, 5 / 3])
    expected = 0.0
    for time, batch in zip(times, [[0, 1], [2, 3], [4], [4, 2], [0, 1], [3]], strict=True):
        expected -= 0.2 * 0.5**time * grad_mse(expected, P5[batch])
    assert float(theta) == pytest.approx(expected, abs=1e-12)
    times.clear()
    descend(_slope, None, P5, 0.0, [np.arange(5)] * 4, 5, step_size)
    assert times == [0, 1, 2, 3]


def _rows(seed: int, n: int = 12, d: int = 3) -> tuple[Array, Array, Array, list[Array]]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=n), rng.normal(size=d), [rng.permutation(n) for _ in range(3)]


@given(st.integers(0, 2**32), st.integers(1, 15), st.booleans(), st.booleans())
def test_descend_is_the_loop_over_rows(seed: int, size: int, weighted: bool, fit_intercept: bool) -> None:
    X, y, x0, order = _rows(seed)
    weight = np.random.default_rng(seed + 1).uniform(0.1, 3, len(y)) if weighted else np.ones(len(y))
    start = np.append(x0, 0.5) if fit_intercept else x0
    w, b = x0.copy(), 0.5 if fit_intercept else 0.0
    for indices in order:
        for first in range(0, len(y), size):
            batch = indices[first : first + size].tolist()
            grad_w, grad_b = np.zeros(3), 0.0
            for i in batch:
                slope = 2 * (float(X[i] @ w) + b - y[i]) * weight[i] / weight.mean() / len(batch)
                grad_w, grad_b = grad_w + slope * X[i], grad_b + slope
            w = w - 0.05 * (grad_w + 0.3 * w)
            b -= 0.05 * grad_b if fit_intercept else 0.0
            w = np.sign(w) * np.maximum(np.abs(w) - 0.05 * 0.2, 0)

    def shrink(coef: Array, step: float) -> Array:
        return np.sign(coef) * np.maximum(np.abs(coef) - 0.2 * step, 0)

    x = descend(
        _slope,
        X,
        y,
        start,
        order,
        size,
        0.05,
        penalty_gradient=lambda coef: 0.3 * coef,
        prox=shrink,
        sample_weight=weight if weighted else None,
        fit_intercept=fit_intercept,
    )
    assert x == pytest.approx(np.append(w, b) if fit_intercept else w, abs=1e-12)
    assert not np.array_equal(x, start)


def test_descend_full_batches_are_the_textbook() -> None:
    theta = descend(_slope, None, P5, 0.0, [np.arange(5)] * 18, 5, 0.2)
    assert float(theta) == pytest.approx(14.658511131035242, abs=1e-12)


def test_descend_constant_model_is_a_column_of_ones() -> None:
    order = _rows(3)[3]
    rng = np.random.default_rng(3)
    y = rng.normal(size=12)
    with_ones = descend(_slope, np.ones((12, 1)), y, [0.0], order, 5, 0.1, prox=lambda coef, step: coef * 0.9)
    constant = descend(_slope, None, y, 0.0, order, 5, 0.1, prox=lambda coef, step: coef * 0.9)
    assert constant.shape == ()
    assert with_ones.shape == (1,)
    assert float(constant) == pytest.approx(float(with_ones[0]), abs=1e-14)
    columns = np.column_stack([y, rng.normal(size=12)])
    both = descend(_slope, None, columns, np.zeros(2), order, 5, 0.1)
    for k in range(2):
        assert both[k] == pytest.approx(float(descend(_slope, None, columns[:, k], 0.0, order, 5, 0.1)), abs=1e-14)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_descend_scores_are_models_side_by_side(fit_intercept: bool) -> None:
    X, y, _, order = _rows(11)
    Y = np.column_stack([y, y**2])
    starts = np.arange(6.0).reshape(2, 3) / 10
    extra = [0.5, -0.5] if fit_intercept else []
    both = descend(_slope, X, Y, [*starts.ravel(), *extra], order, 5, 0.05, fit_intercept=fit_intercept)
    for k in range(2):
        start = [*starts[k], *extra[k : k + 1]]
        one = descend(_slope, X, Y[:, k], start, order, 5, 0.05, fit_intercept=fit_intercept)
        assert both[3 * k : 3 * k + 3] == pytest.approx(one[:3], abs=1e-13)
        assert both[6 + k : 7 + k] == pytest.approx(one[3:], abs=1e-13)


def test_descend_weight_two_is_the_row_twice() -> None:
    X, y, x0, _ = _rows(5)
    weight = np.array([2, 1, 0, 1, 3, 1, 1, 2, 0, 1, 1, 1])
    weighted = descend(_slope, X, y, x0, [np.arange(12)] * 4, 12, 0.1, sample_weight=weight)
    repeated = np.repeat(np.arange(12), weight)
    assert weighted == pytest.approx(descend(_slope, X, y, x0, [repeated] * 4, len(repeated), 0.1), abs=1e-13)


def test_descend_weighted_batches_are_unbiased() -> None:
    X, y, x0, _ = _rows(6)
    weight = np.random.default_rng(6).exponential(size=12)
    steps = [descend(_slope, X, y, x0, [np.array([i])], 1, 1.0, sample_weight=weight) - x0 for i in range(12)]
    whole = descend(_slope, X, y, x0, [np.arange(12)], 12, 1.0, sample_weight=weight) - x0
    assert np.mean(steps, axis=0) == pytest.approx(whole, abs=1e-13)


def test_c6_l1_makes_exact_zeros() -> None:
    rng = np.random.default_rng(9)
    X = rng.normal(size=(60, 4))
    y = X @ [2.0, 0.0, -1.0, 0.0] + 1
    step, strength = 0.05, 0.3

    def shrink(coef: Array, step: float) -> Array:
        return np.sign(coef) * np.maximum(np.abs(coef) - strength * step, 0)

    order = [rng.permutation(60) for _ in range(200)]
    x = descend(_slope, X, y, np.full(5, 0.5), order, 60, step, prox=shrink, fit_intercept=True)
    assert (x[[1, 3]] == 0).all()
    residual = X @ x[:4] + x[4] - y
    assert 2 * X[:, [0, 2]].T @ residual / 60 == pytest.approx(-strength * np.sign(x[[0, 2]]), abs=1e-6)
    assert residual.mean() == pytest.approx(0, abs=1e-6)


def test_c6_l2_is_the_sources_decay() -> None:
    X, y, x0, order = _rows(10)
    eta, alpha = 0.05, 0.4
    x = descend(_slope, X, y, x0, order[:1], 12, eta, penalty_gradient=lambda coef: 2 * alpha * coef)
    assert x == pytest.approx((1 - 2 * eta * alpha) * x0 - eta * 2 * X.T @ (X @ x0 - y) / 12, abs=1e-14)


@pytest.mark.parametrize(
    ("given_type", "computed"),
    [("float16", "float32"), ("float32", "float32"), ("float64", "float64"), ("int64", "float64")],
)
def test_descend_types_and_read_only_data(given_type: str, computed: str) -> None:
    X, y, x0, order = _rows(12)
    X, y = (10 * X).astype(given_type), y.astype(given_type)
    for array in (X, y, x0, *order):
        array.setflags(write=False)
    x = descend(_slope, X, y, x0, order, 5, np.float64(0.001), sample_weight=np.full(12, 3.0))
    assert x.dtype == computed
    assert x.shape == x0.shape
    expected = descend(_slope, X.astype(float), y.astype(float), x0, order, 5, 0.001)
    assert x == pytest.approx(expected, abs=1e-4 if computed == "float32" else 1e-13)


def test_descend_bad_input() -> None:
    X, y, _, order = _rows(13)
    with pytest.raises(ValueError, match="x0 has 5 parameters; a multiple of 3 is needed"):
        descend(_slope, X, y, np.zeros(5), order, 5, 0.1)
    with pytest.raises(ValueError, match="x0 has 3 parameters; a multiple of 4 is needed"):
        descend(_slope, X, y, np.zeros(3), order, 5, 0.1, fit_intercept=True)
    with pytest.raises(ValueError, match="x0 has 0 parameters"):
        descend(_slope, X, y, [], order, 5, 0.1)
    with pytest.raises(ValueError, match="batch_size is 0"):
        descend(_slope, X, y, np.zeros(3), order, 0, 0.1)


@given(st.integers(0, 2**32), st.floats(0.1, 3), st.floats(0, 2))
def test_d1_loop_and_vectors_agree(seed: int, delta: float, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    X, y, W = rng.normal(size=(9, 4)), rng.integers(0, 3, 9), rng.normal(size=(3, 4))
    pairs = [multiclass_svm_example(W, x, int(label), delta) for x, label in zip(X, y, strict=True)]
    loss, gradient = multiclass_svm(W, X, y, delta, alpha)
    assert loss == pytest.approx(np.mean([one for one, _ in pairs]) + alpha * np.sum(W * W))
    assert gradient == pytest.approx(np.mean([one for _, one in pairs], axis=0) + 2 * alpha * W)


def test_d1_three_points_three_classes() -> None:
    x, y = np.array([1.0, 0.5, 2.0]), np.array([0, 1, 2])

    def by_hand(w: Array) -> float:
        loss_0 = max(0, w[1] * x[0] - w[0] * x[0] + 1) + max(0, w[2] * x[0] - w[0] * x[0] + 1)
        loss_1 = max(0, w[0] * x[1] - w[1] * x[1] + 1) + max(0, w[2] * x[1] - w[1] * x[1] + 1)
        loss_2 = max(0, w[0] * x[2] - w[2] * x[2] + 1) + max(0, w[1] * x[2] - w[2] * x[2] + 1)
        return float(loss_0 + loss_1 + loss_2) / 3

    w = np.array([0.3, -0.2, 0.4])
    bowl = []
    for w[0] in np.linspace(-6, 6, 49):
        loss, gradient = multiclass_svm(w[:, np.newaxis], x[:, np.newaxis], y)
        assert loss == pytest.approx(by_hand(w))
        assert check_gradient(by_hand, gradient[:, 0], w)
        bowl.append(loss)
    slopes = np.diff(bowl)
    assert slopes[0] < 0 < slopes[-1]
    assert (np.diff(slopes) > -1e-12).all()
    # Piecewise linear: the slope changes at no more kinks than there are terms with w[0].
    assert 1 <= np.sum(np.diff(slopes) > 1e-9) <= 8


def test_d1_passes_the_gradient_check() -> None:
    rng = np.random.default_rng(1)
    X, y, W = rng.normal(size=(20, 7)), rng.integers(0, 4, 20), rng.normal(size=(4, 7))
    check = check_gradient(lambda W: multiclass_svm(W, X, y, alpha=0.1)[0], multiclass_svm(W, X, y, alpha=0.1)[1], W)
    assert check
    assert check.kinks == ()
