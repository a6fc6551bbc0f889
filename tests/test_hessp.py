"""The Hessian of the objective times a direction, against differences of its gradient, for every loss of both lists."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

import members
import steepest as st
from members import Array
from steepest.objective import hessian_product
from tolerances import DTYPES

POINTWISE = members.variants(st.losses, st.losses.available("pointwise"))
SCORES = members.variants(st.losses, st.losses.available("scores"))
PENALTIES = [None, *(st.penalties.get(name) for name in st.penalties.available())]
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def problem(loss: Any, n: int, d: int, dtype: Any = np.float64, K: int = 5) -> tuple[Array, Array, Array]:
    """Return rows, targets and weights that differ from loss to loss."""
    source = members.random(loss, n, d)
    X = source.normal(size=(n, d)) / math.sqrt(d)
    if loss.kind == "pointwise":
        y = members.targets(loss, n, source)
    elif loss.target == "labels":
        y = source.permutation(np.arange(n) % K)
    else:
        y = source.normal(size=(n, K)) if loss.target == "real" else np.where(source.random((n, K)) < 0.5, 1.0, -1.0)
    weight = source.uniform(0.1, 2, size=n)
    members.vary(X, y, weight)
    return X.astype(dtype), y if loss.target == "labels" else y.astype(dtype), weight.astype(dtype)


def by_differences(objective: st.Objective, x: Array, v: Array, h: float) -> Array:
    """Differentiate the gradient along v, by differences of fourth order."""

    def change(times: int) -> Array:
        return objective.gradient(x + times * h * v) - objective.gradient(x - times * h * v)

    return np.asarray((8 * change(1) - change(2)) / (12 * h))


@pytest.mark.parametrize("loss", POINTWISE + SCORES, ids=repr)
@pytest.mark.parametrize("intercept", [False, True])
def test_it_is_how_the_gradient_changes(loss: Any, intercept: bool) -> None:
    X, y, weight = problem(loss, n=43, d=4)
    objective = st.Objective(loss, (X, y), sample_weight=weight, fit_intercept=intercept)
    source = members.random(loss, intercept)
    agreed, bent = 0, False
    for _ in range(8):
        x, v = source.normal(size=(2, objective.n_parameters))
        found = objective.hessp(x, v)
        assert found.shape == x.shape
        # A kink between two of the points shows as a difference that depends on their distance.
        expected, again = by_differences(objective, x, v, 1e-5), by_differences(objective, x, v, 5e-6)
        if not np.allclose(expected, again, rtol=1e-6, atol=1e-7):
            continue
        agreed += 1
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-7)
        bent = bent or bool(np.any(found != 0))
    assert agreed >= 5
    assert bent == loss.smooth


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
@pytest.mark.parametrize("name", ["log_loss", "softmax"])
def test_penalties_join(name: str, penalty: Any) -> None:
    loss = st.losses.get(name)
    X, y, _ = problem(loss, n=43, d=4)
    objective = st.Objective(loss, (X, y), penalty, fit_intercept=True)
    source = members.random(name, penalty)
    x, v = source.uniform(0.1, 0.2, size=(2, objective.n_parameters))
    smooth = st.Objective(loss, (X, y), fit_intercept=True)
    k = 4 if name == "log_loss" else 20
    expected = by_differences(smooth, x, v, 1e-4)
    if penalty is not None:
        w, u, h = x[:k], v[:k], 1e-4
        expected[:k] += (penalty.smooth_gradient(w + h * u) - penalty.smooth_gradient(w - h * u)) / (2 * h)
    assert objective.hessp(x, v) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@each_dtype
@pytest.mark.parametrize("name", ["huber", "log_loss", "tweedie", "softmax", "multi_log_loss"])
@pytest.mark.parametrize("layout", ["C", "F", "strided", "sparse", "sparse and scaled"])
def test_layouts_and_long_data(name: str, layout: str, dtype: Any) -> None:
    loss = st.losses.get(name)
    X, y, weight = problem(loss, n=9001, d=7, dtype=dtype)
    wide = st.Objective(loss, (X.astype(np.float64), y), sample_weight=weight.astype(np.float64), fit_intercept=True)
    laid = {"C": X, "F": np.asfortranarray(X), "strided": np.repeat(X, 2, axis=1)[:, ::2]}.get(layout)
    if laid is None:
        laid = scipy.sparse.csr_array(X)
    if "scaled" in layout:
        scale, shift = members.random(layout).uniform(0.5, 2, size=(2, 7)).astype(np.float32)
        laid = st.data.scaled(laid, scale, shift)
        seen = X.astype(np.float64) * scale + shift
        wide = st.Objective(loss, (seen, y), sample_weight=weight.astype(np.float64), fit_intercept=True)
    objective = st.Objective(loss, (laid, y), sample_weight=weight, fit_intercept=True)
    x, v = members.random(name).normal(size=(2, objective.n_parameters)).astype(dtype).astype(np.float64)
    room = 1e-11 if dtype == np.float64 else 1e-5
    expected = wide.hessp(x, v)
    assert objective.hessp(x, v) == pytest.approx(expected, rel=room, abs=room * np.abs(expected).max())


@each_dtype
@pytest.mark.parametrize("name", ["log_loss", "log_cosh", "squared_hinge", "softmax"])
def test_zeros_are_no_kinks_of_smooth_losses(name: str, dtype: Any) -> None:
    loss = st.losses.get(name)
    X, y, _ = problem(loss, n=30, d=3, dtype=dtype)
    if name == "log_cosh":
        y = y * 0
    objective = st.Objective(loss, (X, y))
    zeros, v = np.zeros(objective.n_parameters), members.random(name).normal(size=objective.n_parameters)
    v /= np.linalg.norm(v)
    h = 1e-5 if dtype == np.float64 else 1e-3
    expected = (objective.gradient(h * v) - objective.gradient(-h * v)) / (2 * h)
    assert objective.hessp(zeros, v) == pytest.approx(expected, rel=0, abs=1e-9 if dtype == np.float64 else 1e-4)
    assert np.abs(expected).max() > 0.01


@each_dtype
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e30])
def test_it_is_linear_in_the_direction(scale: float, dtype: Any) -> None:
    X, y, _ = problem(st.losses.get("log_loss"), n=30, d=3, dtype=dtype)
    objective = st.Objective("log_loss", (X, y), st.L2(0.1))
    x, v = members.random(scale).normal(size=(2, 3))
    expected = objective.hessp(x, v) * scale
    assert objective.hessp(x, v * scale) == pytest.approx(expected, rel=1e-6, abs=0)
    with pytest.raises(ValueError, match="v must have 3 parameters, not 4"):
        objective.hessp(x, np.append(v, 1.0))


def test_the_constant_model_and_threads() -> None:
    y = members.random("constant").normal(size=50)
    members.vary(y)
    assert st.Objective("mse", y, st.L2(0.5)).hessp([0.3], [2.0]) == pytest.approx([5.0])
    X, y = st.data.logistic(60_000, 80, seed=4)
    objective = st.Objective("log_loss", (X, y))
    x, v = members.random("threads").normal(size=(2, 80)) / 9
    found = []
    for threads in (1, 2, 5):
        objective._problem.threads = threads
        found.append(objective.hessp(x, v))
    assert np.ptp(found[0]) > 0
    assert all(np.array_equal(found[0], other) for other in found)


def test_traced_losses_go_by_differences() -> None:
    X, y = st.data.logistic(300, 5, seed=3, dtype="float64")

    @st.loss
    def ours(w: Any, x: Any, y: Any) -> Any:
        return st.softplus(-y * (x @ w))

    x, v = members.random("traced").normal(size=(2, 5))
    expected = st.Objective("log_loss", (X, y), st.L2(0.3)).hessp(x, v)
    assert st.Objective(ours, (X, y), st.L2(0.3)).hessp(x, v) == pytest.approx(expected, rel=1e-7, abs=1e-8)


def test_scipys_newton_takes_it() -> None:
    X, y = st.data.logistic(500, 6, seed=8, dtype="float64")
    objective = st.Objective("log_loss", (X, y), st.L2(1e-2))
    found = scipy.optimize.minimize(
        objective.value_and_gradient, np.zeros(6), jac=True, hessp=objective.hessp, method="trust-ncg", tol=1e-10
    )
    assert found.success
    assert np.abs(objective.gradient(found.x)).max() < 1e-9
    assert found.nit < 12


@each_dtype
@pytest.mark.parametrize("loss", SCORES, ids=repr)
def test_scores_that_are_kept_change_no_bit(loss: Any, dtype: Any) -> None:
    """Of rows wide enough, in blocks of 8,192, at points that come and go."""
    X, y, weight = problem(loss, n=9000, d=100, dtype=dtype)
    for options in ({}, {"sample_weight": weight, "fit_intercept": True}, {"fit_intercept": True, "rows": slice(5000)}):
        for rows in (X, st.data.scaled(X, np.linspace(0.5, 2, 100), 0.1)):
            core = st.Objective(loss, (rows, y), **options)._problem  # type: ignore[arg-type]
            source = members.random(loss, dtype)
            points = source.normal(size=(2, core.parameters)).astype(dtype)
            for at in (0, 0, 1, 1, 0):
                v = source.normal(size=core.parameters)
                kept = hessian_product(core, points[at], v, again=True)
                np.testing.assert_array_equal(kept, hessian_product(core, points[at], v))
                np.testing.assert_array_equal(kept, hessian_product(core, points[at], v, again=True))


def test_scores_are_kept_where_the_data_stay_as_they_are() -> None:
    X, y, _ = problem(st.losses.Softmax(), n=300, d=100)
    core = st.Objective("softmax", (X, y))._problem
    x, v = members.random("kept").normal(size=(2, core.parameters))
    before = hessian_product(core, x, v, again=True)
    X[:, ::2] = 0  # what nobody may do who asks for more at the same point
    stale = hessian_product(core, x, v, again=True)
    fresh = hessian_product(core, x, v)
    assert len({before.tobytes(), stale.tobytes(), fresh.tobytes()}) == 3
    np.testing.assert_array_equal(hessian_product(core, x, v, again=True), fresh)
    objective = st.Objective("softmax", (X, y))
    seen = objective.hessp(x, v)
    X[:, 1] = 0
    assert not np.array_equal(objective.hessp(x, v), seen)
    np.testing.assert_array_equal(objective.hessp(x, v), st.Objective("softmax", (X, y)).hessp(x, v))
