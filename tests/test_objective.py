"""The objective: value and gradient against NumPy and differences, bounds of its curvature, bad input (B3, B4)."""

import copy
import itertools
import math
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as some
from scipy.special import expit

import members
import steepest as st
from members import Array
from steepest.gradients import check_gradient, numerical_gradient
from tolerances import DTYPES, tolerances

NAMES = st.losses.available("pointwise")
LOSSES = members.variants(st.losses, NAMES)
CURVED = [loss for loss in LOSSES if loss.curvature is not None]
PENALTIES = [None, st.L2(0.3), st.L1(0.2), st.ElasticNet(0.4, 0.25)]
P5 = np.array([12.1, 12.8, 14.9, 16.3, 17.2])

each_loss = pytest.mark.parametrize("loss", LOSSES, ids=repr)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def problem(loss: Any, n: int = 37, d: int = 6, dtype: Any = np.float64) -> tuple[Array, Array, Array]:
    """Return rows, targets and weights that differ from loss to loss."""
    source = members.random(loss, n, d)
    X, y = source.normal(size=(n, d)) / math.sqrt(d), members.targets(loss, n, source)
    weight = source.uniform(0, 2, size=n)
    members.vary(X, y, weight)
    return X.astype(dtype), y.astype(dtype), weight.astype(dtype)


def by_numpy(
    loss: Any, X: Array, y: Array, x: Array, weight: Array | None, intercept: bool, penalty: Any
) -> tuple[float, Array]:
    """Return the objective and its gradient (the one towards zero at kinks of the penalty) from formulas."""
    w, rows = np.ones(len(y)) if weight is None else weight, np.hstack([X, np.ones((len(y), int(intercept)))])
    z, k = rows @ x, x.size - intercept
    value = np.average(members.evaluate(loss, y=y, z=z).astype(np.float64), weights=w)
    gradient = np.average(loss.gradient(y, z)[:, None] * rows, axis=0, weights=w)
    if penalty is not None:
        value += float(members.evaluate(penalty, w=x[:k]))
        alpha, ratio = penalty.params["alpha"], penalty.params.get("l1_ratio", float(penalty.name == "l1"))
        gradient[:k] += alpha * (ratio * np.sign(x[:k]) + (1 - ratio) * x[:k])
    return float(value), gradient


@each_loss
@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_value_and_gradient_are_numpys(loss: Any, penalty: Any) -> None:
    X, y, weight = problem(loss)
    for given_weight, intercept in itertools.product((None, weight), (False, True)):
        objective = st.Objective(loss, (X, y), penalty, sample_weight=given_weight, fit_intercept=intercept)
        assert objective.n_parameters == 6 + intercept
        x = members.random(penalty).normal(size=objective.n_parameters)
        value, gradient = by_numpy(loss, X, y, x, given_weight, intercept, penalty)
        found, slopes = objective.value_and_gradient(x)
        assert found == pytest.approx(value, rel=1e-13)
        assert slopes == pytest.approx(gradient, rel=1e-12, abs=1e-13)
        assert isinstance(found, float)
        assert slopes.dtype == np.float64
        points = np.stack([x, np.zeros_like(x), -x, 2 * x])
        several = objective.values(points)
        assert several == pytest.approx([objective.value(point) for point in points], rel=1e-14)
        assert several.shape == (4,)
        assert np.unique(several).size > 1


@each_loss
@pytest.mark.parametrize("n", [2, 37, 9000])
def test_one_objective_has_one_value(loss: Any, n: int) -> None:
    X, y, weight = problem(loss, n)
    objective = st.Objective(loss, (X, y), st.L2(0.1), sample_weight=weight)
    x = members.random(n).normal(size=6)
    value, gradient = objective.value_and_gradient(x)
    assert objective.value(x) == value == objective.values([x])[0]
    assert np.array_equal(objective.gradient(x), gradient)
    assert objective.value_and_gradient(x)[0] == value


@each_dtype
@pytest.mark.parametrize("name", NAMES)
def test_long_data_are_summed_with_care(name: str, dtype: Any) -> None:
    loss = st.losses.get(name)
    X, y, weight = problem(loss, n=20_000, d=3, dtype=dtype)
    x = np.array([0.5, -1.0, 0.75], dtype=dtype)
    objective = st.Objective(loss, (X, y), sample_weight=weight)
    wide = [np.asarray(array, dtype=np.float64) for array in (X, y, x, weight)]
    value, gradient = by_numpy(loss, *wide, False, None)
    room = 4 * tolerances(dtype).formula
    found, slopes = objective.value_and_gradient(x)
    assert found == pytest.approx(value, rel=room, abs=room)
    assert slopes == pytest.approx(gradient, rel=room, abs=room)


@each_loss
@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_gradients_pass_the_check(loss: Any, penalty: Any) -> None:
    X, y, weight = problem(loss, n=25, d=4)
    source = members.random(loss, penalty)
    objective = st.Objective(loss, (X, y), penalty, sample_weight=weight, fit_intercept=True)
    for _ in range(3):
        check = check_gradient(objective.value, objective.gradient, source.normal(size=5))
        assert check, check
        assert len(check.kinks) < 3
    constant = st.Objective(loss, y, sample_weight=weight)
    assert check_gradient(constant.value, constant.gradient, source.normal(size=1))


@given(some.integers(2, 40), some.integers(1, 6), some.integers(0, 10_000), some.booleans())
def test_b3_logistic_regression_in_vector_form(n: int, d: int, seed: int, weighted: bool) -> None:
    source = np.random.default_rng(seed)
    X, y = source.normal(size=(n, d)), source.permutation(np.arange(n) % 2)
    w, b = source.normal(size=d), float(source.normal())
    weight = source.uniform(0.1, 2, size=n) if weighted else np.ones(n)
    members.vary(X, y)
    p = expit(X @ w + b)
    S = weight.sum()
    entropy = -np.sum(weight * (y * np.log(p) + (1 - y) * np.log1p(-p))) / S
    slope_w, slope_b = -(weight * (y - p)) @ X / S, -np.sum(weight * (y - p)) / S
    objective = st.Objective("log_loss", (X, y), sample_weight=weight if weighted else None, fit_intercept=True)
    x = np.append(w, b)
    value, gradient = objective.value_and_gradient(x)
    assert value == pytest.approx(entropy, rel=1e-10)
    assert gradient == pytest.approx(np.append(slope_w, slope_b), rel=1e-10, abs=1e-12)
    assert gradient == pytest.approx(numerical_gradient(objective.value, x), rel=1e-6, abs=1e-7)


def test_a2_the_constant_models_slope() -> None:
    objective = st.Objective("mse", P5)
    assert objective.n_parameters == 1
    assert objective.gradient([12.0]) == pytest.approx([-5.32], rel=1e-14)
    assert objective.value([12.0]) == pytest.approx(10.918, rel=1e-14)
    assert objective.values([[12.0], [14.66]]) == pytest.approx([10.918, np.mean((P5 - 14.66) ** 2)], rel=1e-14)
    assert objective.value(14.66) == objective.value([14.66])


def largest_eigenvalue(loss: Any, X: Array, y: Array, x: Array, weight: Array | None, intercept: bool) -> float:
    """Return the largest eigenvalue of the Hessian of the mean loss, through the smaller of the two Gram matrices."""
    rows = np.hstack([X, np.ones((len(y), int(intercept)))])
    w = np.ones(len(y)) if weight is None else weight
    h = members.Long(1e-4)
    z = (rows @ x).astype(members.Long)
    bent = members.slope(loss, y, z + h) - members.slope(loss, y, z - h)
    curved = np.maximum((bent / (2 * h)).astype(np.float64), 0)
    scaled = np.sqrt(curved * w / w.sum())[:, None] * rows
    gram = scaled @ scaled.T if len(y) < rows.shape[1] else scaled.T @ scaled
    return float(np.linalg.eigvalsh(gram)[-1])


@pytest.mark.parametrize("loss", CURVED, ids=repr)
@pytest.mark.parametrize(("n", "d"), [(30, 4), (5, 12), (300, 2), (12, 2001), (40, 2500)])
def test_b4_smoothness_bounds_the_curvature(loss: Any, n: int, d: int) -> None:
    X, y, weight = problem(loss, n, d)
    source = members.random(n, d)
    for given_weight, intercept in ((None, False), (weight, True)):
        objective = st.Objective(loss, (X, y), sample_weight=given_weight, fit_intercept=intercept)
        bound = objective.smoothness()
        penalised = st.Objective(loss, (X, y), st.L2(0.75), sample_weight=given_weight, fit_intercept=intercept)
        assert penalised.smoothness() == pytest.approx(bound + 0.75, rel=1e-12)
        for scale in (0.0, 0.3, 3.0):
            x = scale * source.normal(size=objective.n_parameters)
            assert largest_eigenvalue(loss, X, y, x, given_weight, intercept) <= bound * (1 + 1e-9)
        rows = np.hstack([X, np.ones((n, int(intercept)))])
        w = np.ones(n) if given_weight is None else given_weight
        gram = rows.T * (w / w.sum()) @ rows if d < 50 else (rows * np.sqrt(w / w.sum())[:, None])
        largest = np.linalg.eigvalsh(gram)[-1] if d < 50 else np.linalg.svd(gram, compute_uv=False)[0] ** 2
        assert bound >= loss.curvature * largest
        if d <= 1999:
            assert bound <= loss.curvature * largest * (1 + 1e-6)
        else:
            squares = float(np.sum(w / w.sum() * (rows**2).sum(axis=1)))
            assert bound <= loss.curvature * squares * (1 + 1e-6)


@pytest.mark.parametrize("loss", CURVED, ids=repr)
def test_b4_a_step_from_the_bound_decreases_by_what_the_source_says(loss: Any) -> None:
    X, y, weight = problem(loss, 60, 5)
    objective = st.Objective(loss, (X, y), st.L2(0.1), sample_weight=weight, fit_intercept=True)
    step = 1 / objective.smoothness()
    x = members.random(loss).normal(size=6) * 3
    for _ in range(30):
        value, gradient = objective.value_and_gradient(x)
        x = x - step * gradient
        assert value - objective.value(x) >= step / 2 * float(gradient @ gradient) - 1e-14 * abs(value)


@pytest.mark.parametrize("loss", CURVED, ids=repr)
def test_smoothness_of_the_constant_model_is_the_losss_curvature(loss: Any) -> None:
    _, y, weight = problem(loss)
    for given_weight in (None, weight):
        objective = st.Objective(loss, y, sample_weight=given_weight)
        assert objective.smoothness() == pytest.approx(loss.curvature, rel=1e-9)
        assert objective.smoothness() >= loss.curvature


@each_dtype
@pytest.mark.parametrize("layout", ["C", "F"])
def test_smoothness_of_long_data(dtype: Any, layout: str) -> None:
    source = members.random(dtype, layout)
    X = (source.normal(size=(9001, 3)) * [1.0, 5.0, 0.2] + [3.0, 0.0, 1.0]).astype(dtype, order=layout)
    weight = source.uniform(0, 2, 9001).astype(dtype)
    exact = np.linalg.eigvalsh(X.astype(float).T * weight / weight.sum(dtype=float) @ X.astype(float))[-1]
    found = st.Objective(
        "squared_error", (X, source.normal(size=9001).astype(dtype)), sample_weight=weight
    ).smoothness()
    assert exact <= found <= exact * (1 + 1e-6)


def test_smoothness_of_single_rows_with_narrow_weights() -> None:
    X = np.array([[1.0, 2.0]], dtype=np.float32)
    bounds = []
    for weight in np.linspace(0.1, 3.0, 50, dtype=np.float32):
        bounds.append(st.Objective("squared_error", (X, X[0, :1]), sample_weight=[weight]).smoothness())
        assert 5.0 <= bounds[-1] <= 5.0 * (1 + 1e-6)
    assert len(bounds) == 50


@given(some.integers(0, 10_000), some.integers(1, 8), some.integers(1, 8), some.sampled_from([1e-12, 1e-3, 1.0, 1e6]))
def test_smoothness_is_a_bound_whatever_the_scale(seed: int, n: int, d: int, scale: float) -> None:
    source = np.random.default_rng(seed)
    X = source.normal(size=(n, d)) * scale * source.choice([0.0, 1e-3, 1.0], size=d)
    exact = np.linalg.norm(X, 2) ** 2 / n
    found = st.Objective("mse", (X, source.normal(size=n))).smoothness()
    assert found >= 2 * exact * (1 - 1e-14)
    assert found <= 2 * exact * (1 + 1e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if st.losses.get(name).curvature is None])
def test_without_a_bound_smoothness_names_the_alternative(name: str) -> None:
    loss = st.losses.get(name)
    X, y, _ = problem(loss)
    for data in ((X, y), y):
        with pytest.raises(ValueError, match=rf"{name} has no curvature bound.*step_size=\"auto\""):
            st.Objective(loss, data).smoothness()


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss.smooth], ids=repr)
@pytest.mark.parametrize("method", ["L-BFGS-B", "BFGS"])
def test_scipy_minimizes_it(loss: Any, method: str) -> None:
    X, y, weight = problem(loss, 60, 3)
    objective = st.Objective(loss, (X, y), st.L2(0.05), sample_weight=weight, fit_intercept=True)
    found = scipy.optimize.minimize(
        objective.value_and_gradient,
        np.zeros(4),
        jac=True,
        method=method,
        options={"gtol": 1e-7, "ftol": 0} if method == "L-BFGS-B" else {"gtol": 1e-7},
    )
    assert np.abs(objective.gradient(found.x)).max() < 1e-5
    for direction in np.eye(4):
        assert objective.value(found.x) <= min(objective.value(found.x + s * 0.01 * direction) for s in (-1, 1))
    assert found.fun == objective.value_and_gradient(found.x)[0] < objective.value(np.zeros(4))


@each_dtype
@pytest.mark.parametrize("layout", ["C", "F", "rows", "columns"])
def test_rows_are_neither_copied_nor_written(dtype: Any, layout: str) -> None:
    source = members.random(dtype)
    wide = source.normal(size=(3000, 120)).astype(dtype)
    X = {"C": wide, "F": np.asfortranarray(wide), "rows": wide[::2], "columns": wide[:, ::2]}[layout]
    y = np.where(source.permutation(len(X)) % 2, 1, -1).astype(dtype)
    weight = source.uniform(0, 1, len(X)).astype(dtype)
    x = source.normal(size=X.shape[1] + 1)
    before = [array.copy() for array in (X, y, weight, x)]
    for array in (wide, X, y, weight, x):
        array.setflags(write=False)
    tracemalloc.start()
    try:
        objective = st.Objective("log_loss", (X, y), "l2", sample_weight=weight, fit_intercept=True)
        objective.value_and_gradient(x)
        objective.values(np.stack([x, x]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < X.nbytes / 4
    for array, kept in zip((X, y, weight, x), before, strict=True):
        assert np.array_equal(array, kept)


def test_names_and_objects_and_labels_of_any_kind() -> None:
    X, y, _ = problem(st.losses.LogLoss())
    x = np.arange(6.0)
    plain = st.Objective("log_loss", (X, y)).value(x)
    assert st.Objective("LOG_LOSS", (X, y)).value(x) == plain
    assert st.Objective(st.losses.LogLoss(), (X, y), None).value(x) == plain
    assert st.Objective("log_loss", (X, np.where(y > 0, "yes", "no"))).value(x) == plain
    assert st.Objective("log_loss", (X, y > 0)).value(x) == plain
    assert st.Objective("log_loss", (X.tolist(), y.tolist())).value(x.tolist()) == plain
    assert st.Objective("log_loss", (X, y), "l2").value(x) == plain + st.L2(1.0).value(x)
    for loss in ("mae", "MAE", "absolute_error"):
        assert st.Objective(loss, P5).value([12.0]) == st.losses.MAE()(P5, 12.0)


def test_memory_maps_are_read_in_place(tmp_path: Path) -> None:
    X, y, _ = problem(st.losses.MSE())
    for order in ("C", "F"):
        path = tmp_path / f"{order}.npy"
        np.save(path, np.asarray(X, order=order))
        objective = st.Objective("mse", (np.load(path, mmap_mode="r"), y))
        assert np.array_equal(
            objective.gradient(np.ones(6)), st.Objective("mse", (X.copy(order), y)).gradient(np.ones(6))
        )


def test_weights_are_copies_of_rows() -> None:
    X, y, _ = problem(st.losses.Huber(), 12, 3)
    times = np.array([0, 1, 2, 3] * 3)
    x = np.array([0.5, -2.0, 1.0])
    weighted = st.Objective("huber", (X, y), st.L1(0.1), sample_weight=times)
    copied = st.Objective("huber", (np.repeat(X, times, axis=0), np.repeat(y, times)), st.L1(0.1))
    assert weighted.value(x) == pytest.approx(copied.value(x), rel=1e-14)
    assert weighted.gradient(x) == pytest.approx(copied.gradient(x), rel=1e-13)
    assert weighted.smoothness() == pytest.approx(copied.smoothness(), rel=1e-9)
    scaled = st.Objective("huber", (X, y), st.L1(0.1), sample_weight=7.5 * times)
    assert scaled.value(x) == pytest.approx(weighted.value(x), rel=1e-14)


def test_a_prediction_that_is_no_number_shows() -> None:
    for name in NAMES:
        loss = st.losses.get(name)
        X, y, _ = problem(loss)
        X[5, 2] = np.nan
        objective = st.Objective(loss, (X, y), check_finite=False)
        assert np.isnan(objective.value(np.ones(6))), name
        assert np.isnan(objective.gradient(np.ones(6))).any(), name


GOOD = np.arange(12.0).reshape(4, 3)
Y = np.array([1.0, 2.0, 0.5, 3.0])


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ((GOOD, Y[:3]), ValueError, r"X has 4 rows, y has 3"),
        ((GOOD, Y, Y), ValueError, r"\(X, y\).* 3"),
        ((GOOD,), ValueError, r"\(X, y\).* 1"),
        ((GOOD[0], Y), ValueError, r"X must be 2-D.*reshape\(-1, 1\)"),
        ((GOOD[None], Y), ValueError, r"X must be 2-D"),
        ((GOOD[:0], Y[:0]), ValueError, r"X is empty.*\(0, 3\)"),
        ((GOOD[:, :0], Y), ValueError, r"X is empty.*\(4, 0\)"),
        ((GOOD.astype(complex), Y), TypeError, r"X must hold real numbers.*complex128"),
        ((GOOD.astype(str), Y), TypeError, r"X must hold real numbers.*<U"),
        ((GOOD.astype(object), Y), TypeError, r"X must hold real numbers.*object"),
        (
            (np.array(["2020-01-01"] * 12, dtype="M8[D]").reshape(4, 3), Y),
            TypeError,
            r"X must hold real numbers.*M8|datetime",
        ),
        (([[1.0, 2.0], [3.0]], Y), ValueError, r"X is no regular array"),
        ((GOOD, scipy.sparse.csr_matrix(Y)), TypeError, r"y is a SciPy sparse matrix.*toarray"),
        ((GOOD, Y[:, None]), ValueError, r"y must be 1-D.*2-D"),
        ((GOOD, [1.0, math.nan, 0.5, 3.0]), ValueError, r"y holds NaN.*row 1"),
        ((GOOD, [1.0, 2.0, 0.5, -math.inf]), ValueError, r"y holds an infinity.*row 3"),
        ((GOOD, Y.astype(complex)), TypeError, r"y must hold real numbers"),
        ((GOOD, Y.astype(str)), TypeError, r"y must hold real numbers"),
        ([], ValueError, r"y is empty"),
        (5.0, ValueError, r"y must be 1-D"),
        ("text", (ValueError, TypeError), r"y must"),
        (None, (ValueError, TypeError), r"y must"),
    ],
)
def test_data_that_are_none(data: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        st.Objective("mse", data)


@pytest.mark.parametrize(("bad", "kind"), [(math.nan, "NaN"), (math.inf, "an infinity"), (-math.inf, "an infinity")])
def test_the_first_number_that_is_not_finite_is_named(bad: float, kind: str) -> None:
    for row, column in ((0, 0), (2, 1), (3, 2)):
        X = GOOD.copy()
        X[row, column] = bad
        X[3, 2] = bad
        with pytest.raises(ValueError, match=f"X holds {kind}, first in row {row}, column {column}$"):
            st.Objective("mse", (X, Y))


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        ([1.0, 2.0], ValueError, r"sample_weight.*\(4,\).*\(2,\)"),
        (1.0, ValueError, r"sample_weight.*\(4,\)"),
        ([[1.0], [1.0], [1.0], [1.0]], ValueError, r"sample_weight.*\(4,\).*\(4, 1\)"),
        ([1.0, 1.0, -1.0, 1.0], ValueError, r"sample_weight.*negative.*row 2 holds -1"),
        ([1.0, math.nan, 1.0, 1.0], ValueError, r"sample_weight holds NaN.*row 1"),
        ([1.0, 1.0, 1.0, math.inf], ValueError, r"sample_weight holds an infinity.*row 3"),
        ([0.0] * 4, ValueError, r"sample_weight is zero in every row"),
        (["a"] * 4, TypeError, r"sample_weight must hold real numbers"),
        ([1j] * 4, TypeError, r"sample_weight must hold real numbers"),
    ],
)
def test_weights_that_are_none(weight: Any, error: Any, message: str) -> None:
    for data in ((GOOD, Y), Y):
        with pytest.raises(error, match=message):
            st.Objective("mse", data, sample_weight=weight)


def test_arguments_that_are_none() -> None:
    for wrong in ("no_such_loss", ""):
        with pytest.raises(ValueError, match="unknown loss") as caught:
            st.Objective(wrong, Y)
        assert all(name in str(caught.value) for name in NAMES)
    for nonsense in (3, None, st.L2(1.0), st.losses.MSE):
        with pytest.raises(TypeError, match="loss must be"):
            st.Objective(nonsense, Y)
    with pytest.raises(ValueError, match=r"unknown penalty 'l3'.*elastic_net.*l1.*l2"):
        st.Objective("mse", Y, "l3")
    for nonsense in (0.1, st.losses.MSE(), st.L2):
        with pytest.raises(TypeError, match="penalty must be"):
            st.Objective("mse", Y, nonsense)
    with pytest.raises(ValueError, match="fit_intercept"):
        st.Objective("mse", Y, fit_intercept=True)


def test_points_that_are_none() -> None:
    objective = st.Objective("mse", (GOOD, Y), fit_intercept=True)
    for method in (objective.value, objective.gradient, objective.value_and_gradient):
        for wrong in ([1.0, 2.0, 3.0], [1.0] * 5, 1.0, []):
            with pytest.raises(ValueError, match=rf"x must have 4 parameters, not {np.size(wrong)}"):
                method(wrong)
        for nonsense in (["a"] * 4, [1j] * 4, None):
            with pytest.raises(TypeError, match="x must hold real numbers"):
                method(nonsense)
    for wrong in ([1.0] * 4, [[1.0, 2.0, 3.0]], np.zeros((2, 2, 4)), 1.0):
        with pytest.raises(ValueError, match=r"points must have shape \(m, 4\), not"):
            objective.values(wrong)
    assert objective.values(np.zeros((0, 4))).shape == (0,)


def test_an_objective_can_be_pickled_and_copied() -> None:
    X, y = st.data.logistic(300, 4, seed=2)
    objective = st.Objective(
        "log_loss", (X, y), st.L2(0.1), sample_weight=np.linspace(0.5, 1.5, 300), fit_intercept=True
    )
    x = np.linspace(-1, 1, 5)
    for other in (pickle.loads(pickle.dumps(objective)), copy.deepcopy(objective)):
        assert other.value(x) == objective.value(x)
        assert np.array_equal(other.gradient(x), objective.gradient(x))


def test_threads_change_no_bit_of_a_value() -> None:
    X, y = st.data.logistic(200_000, 30, seed=2)
    objective = st.Objective("log_loss", (X, y))
    x = np.linspace(-1, 1, 30)
    found = []
    for threads in (1, 2, 5):
        objective._problem.threads = threads
        found.append((objective.value(x), *objective.value_and_gradient(x)[1]))
    assert found[0] == found[1] == found[2]
