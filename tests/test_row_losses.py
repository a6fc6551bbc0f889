"""Losses of K scores: formulas against kernels, objectives and the loop against NumPy, labels, bad input."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from sklearn._loss.loss import HalfMultinomialLoss

import members
import steepest as st
from steepest.reference import multiclass_svm, multiclass_svm_example
from tolerances import DTYPES, tolerances

Array = NDArray[Any]

NAMES = st.losses.available("scores")
LOSSES = members.variants(st.losses, NAMES)
LABELLED = [loss for loss in LOSSES if loss.target == "labels"]
each_name = pytest.mark.parametrize("name", NAMES)
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=repr)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "every third column": lambda X: np.repeat(X, 3, axis=1)[:, ::3],
    "rows and columns of F": lambda X: np.asfortranarray(np.repeat(np.repeat(X, 2, axis=0), 2, axis=1))[::2, ::2],
    "backwards": lambda X: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
    "a part": lambda X: np.pad(X, ((2, 3), (1, 4)))[2 : 2 + len(X), 1 : 1 + X.shape[1]],
}


def targets(loss: Any, n: int, K: int, source: np.random.Generator) -> tuple[Array, Array]:
    """Draw targets as a user gives them, and as the formula has them: every class occurs."""
    if loss.target == "labels":
        y = source.permutation(np.arange(n) % K)
        return y, np.eye(K)[y]
    if loss.target == "binary":
        y = np.where(source.random((n, K)) < 0.4, 1.0, -1.0)
        y[:2, 0] = [-1, 1]
        return y, y
    y = source.normal(scale=2.0, size=(n, K))
    return y, y


def scores(n: int, K: int, dtype: Any, source: np.random.Generator) -> Array:
    return source.uniform(-6, 6, size=(n, K)).astype(dtype)


def slopes(loss: Any, encoded: Array, z: Array, h: float = 3e-4) -> Array:
    """Differentiate the formula in each score, in long double."""
    steps = np.eye(z.shape[1], dtype=np.longdouble) * h
    y, z = encoded.astype(np.longdouble), z.astype(np.longdouble)

    def change(k: int, times: int) -> Array:
        up, down = (members.evaluate(loss, y=y, z=z + sign * times * steps[k]) for sign in (1, -1))
        return np.asarray(up - down)

    return np.stack([(8 * change(k, 1) - change(k, 2)) / (12 * h) for k in range(z.shape[1])], axis=-1)


def from_the_kinks(loss: Any, encoded: Array, z: Array) -> Array:
    """Return how far each row is from where a formula may have a kink."""
    if loss.target != "labels":
        return np.abs(np.abs(z - encoded)[..., None] - np.array([*loss.params.values(), 1e3])).min(axis=(-1, -2))
    leads = z - (z * encoded).sum(axis=1, keepdims=True) + np.array([*loss.params.values(), 0.0])[0] * (1 - encoded)
    gaps = np.abs(leads[:, :, None] - leads[:, None, :]) + 1e3 * np.eye(z.shape[1])
    return np.asarray(gaps.min(axis=(1, 2)))


def problem(
    loss: Any, n: int, d: int, K: int, dtype: Any = np.float64, seed: object = 0
) -> tuple[Array, Array, Array, np.random.Generator]:
    source = members.random(loss.name, n, d, K, seed)
    X = source.normal(size=(n, d)) / math.sqrt(d)
    z = 3 * X @ source.normal(size=(d, K)) + 0.5 * source.normal(size=(n, K))
    y = z.argmax(axis=1) if loss.target == "labels" else np.where(z > 0, 1.0, -1.0) if loss.target == "binary" else z
    if loss.target == "labels":
        y[:K] = source.permutation(K)
    encoded = np.eye(K)[y] if loss.target == "labels" else y
    members.vary(X, encoded)
    return X.astype(dtype), y if loss.target == "labels" else y.astype(dtype), encoded.astype(dtype), source


def split(x: Array, K: int, d: int) -> tuple[Array, Array]:
    """Return W and b of flat parameters."""
    return x[: K * d].reshape(K, d), x[K * d :] if x.size > K * d else np.zeros(K, dtype=x.dtype)


@pytest.mark.parametrize("check", members.MEMBER_CHECKS)
@each_name
def test_member(check: Callable[[Any, str], None], name: str) -> None:
    check(st.losses, name)


def test_kinds_part_the_list() -> None:
    assert st.losses.available() == st.losses.available("pointwise") + st.losses.available("scores")
    asked = "softmax multiclass_hinge crammer_singer multi_squared_error multi_huber multi_log_loss"
    assert set(asked.split()) <= set(NAMES)
    for name in st.losses.available():
        loss = st.losses.get(name)
        assert name in st.losses.available(loss.kind)
        assert isinstance(loss, st.losses.RowLoss) == (loss.kind == "scores")
    with pytest.raises(ValueError, match="pointwise, scores, not 'rows'"):
        st.losses.available("rows")


@pytest.mark.parametrize("K", [2, 3, 7, 16, 20])
@each_dtype
@each_loss
def test_values_and_slopes_are_those_of_the_formula(loss: Any, dtype: Any, K: int) -> None:
    allowed = tolerances(dtype)
    for n in (1, 5, 16, 75):
        source = members.random(loss, str(dtype), K, n)
        y, encoded = targets(loss, max(n, K, 2), K, source)
        z = scores(len(y), K, dtype, source)
        encoded = encoded.astype(dtype)
        if loss.target == "real":
            y = encoded
        members.vary(encoded, z)
        value, slope = loss.pointwise(y, z), loss.gradient(y, z)
        assert (value.dtype, slope.dtype, slope.shape) == (dtype, dtype, z.shape)
        size = K * (1 + np.abs(z).max() + np.abs(encoded).max()) + np.abs(value)
        expected = members.evaluate(loss, y=encoded, z=z)
        assert (np.abs(value - expected) <= allowed.formula * size).all()
        smooth = from_the_kinks(loss, encoded, z) > 2e-3
        assert smooth.mean() > 0.5
        found = slopes(loss, encoded, z)
        assert (np.abs(slope - found)[smooth] <= (allowed.differences + allowed.formula) * size[smooth, None]).all()


@each_loss
def test_weights_mean_and_out(loss: Any) -> None:
    source = members.random(loss, "weights")
    y, _ = targets(loss, 12, 3, source)
    z, weight = scores(12, 3, np.float64, source), source.uniform(0, 2, 12)
    value, slope = loss.pointwise(y, z), loss.gradient(y, z)
    np.testing.assert_allclose(loss(y, z), value.mean())
    np.testing.assert_allclose(loss(y, z, weight), value @ weight / weight.sum())
    np.testing.assert_allclose(loss.gradient(y, z, weight), slope * weight[:, None])
    np.testing.assert_allclose(loss.pointwise(y, z, weight), value * weight)
    out, whole = np.empty((12, 3)), np.empty(12)
    assert loss.gradient(y, z, out=out) is out
    assert loss.pointwise(y, z, out=whole) is whole
    np.testing.assert_array_equal(out, slope)
    np.testing.assert_array_equal(whole, value)
    np.testing.assert_array_equal(loss.gradient(y, np.asfortranarray(z)), slope)
    for wrong in (np.empty(12), np.empty((3, 12))):
        with pytest.raises(ValueError, match="out has shape"):
            loss.gradient(y, z, out=wrong)


@given(data=some.data(), K=some.integers(2, 20), dtype=some.sampled_from(DTYPES), loss=some.sampled_from(LOSSES))
def test_values_are_convex_along_every_chord(data: some.DataObject, K: int, dtype: Any, loss: Any) -> None:
    source = np.random.default_rng(data.draw(some.integers(0, 2**32)))
    y, _ = targets(loss, 2 * K, K, source)
    a, b = (scores(2 * K, K, dtype, source) for _ in range(2))
    share = data.draw(some.floats(0, 1))
    between = (share * a + (1 - share) * b).astype(dtype)
    chord = share * loss.pointwise(y, a) + (1 - share) * loss.pointwise(y, b)
    assert loss.convex
    assert (loss.pointwise(y, between) <= chord + 100 * K * tolerances(dtype).eps * (1 + chord)).all()


@each_dtype
def test_softmax_is_stable(dtype: Any) -> None:
    z = np.array([[1000, 0, -1000]] * 3, dtype=dtype)
    loss = st.losses.Softmax()
    np.testing.assert_array_equal(loss.pointwise([0, 1, 2], z), [0, 1000, 2000])
    np.testing.assert_array_equal(loss.gradient([0, 1, 2], z), [[0, 0, 0], [1, -1, 0], [1, 0, -1]])
    sure = np.array([[20.0, 0.0, 0.0]], dtype=dtype)
    np.testing.assert_allclose(
        loss.pointwise([0], sure), np.log1p(2 * np.exp(-20.0)), rtol=8 * tolerances(dtype).eps, err_msg="lost digits"
    )
    assert np.isnan(loss.pointwise([0, 1], np.array([[np.nan, 0], [0, np.nan]], dtype=dtype))).all()


@each_dtype
@pytest.mark.parametrize("K", [3, 5, 11])
def test_softmax_agrees_with_its_peers(K: int, dtype: Any) -> None:
    source = members.random(K, str(dtype))
    y, encoded = targets(st.losses.Softmax(), 60, K, source)
    z = scores(60, K, dtype, source)
    rtol = 50 * tolerances(dtype).eps
    value, gradient = HalfMultinomialLoss(n_classes=K).loss_gradient(y.astype(dtype), z)
    np.testing.assert_allclose(st.losses.Softmax().pointwise(y, z), value, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(st.losses.Softmax().gradient(y, z), gradient, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(
        st.losses.Softmax().pointwise(y, z), -log_softmax(z, axis=1)[np.arange(60), y], rtol=rtol, atol=rtol
    )
    np.testing.assert_allclose(st.losses.Softmax().gradient(y, z), softmax(z, axis=1) - encoded, rtol=rtol, atol=rtol)


def test_several_outputs_are_the_pointwise_losses_summed() -> None:
    source = np.random.default_rng(3)
    for loss in (loss for loss in LOSSES if loss.name.startswith("multi_")):
        single = st.losses.get(loss.name.removeprefix("multi_"), **loss.params)
        y, encoded = targets(loss, 40, 5, source)
        z = scores(40, 5, np.float64, source)
        value, slope = (f(encoded.ravel(), z.ravel()).reshape(z.shape) for f in (single.pointwise, single.gradient))
        np.testing.assert_allclose(loss.pointwise(y, z), value.sum(axis=1), rtol=1e-14)
        np.testing.assert_array_equal(loss.gradient(y, z), slope)
        assert (single.curvature, single.link, single.target) == (loss.curvature, loss.link, loss.target)


@pytest.mark.parametrize("K", [2, 4, 10])
@pytest.mark.parametrize("margin", [0.5, 1.0, 3.0])
def test_d1_multiclass_svm(margin: float, K: int) -> None:
    loss = st.losses.MulticlassHinge(margin=margin)
    X, y, _, source = problem(loss, 57, 9, K)
    objective = st.Objective(loss, (X, y), st.L2(2 * 0.3))
    for _ in range(5):
        W = source.normal(size=(K, 9))
        value, gradient = multiclass_svm(W, X, y, margin, alpha=0.3)
        found = objective.value_and_gradient(W)
        np.testing.assert_allclose(found[0], value, rtol=1e-12)
        np.testing.assert_allclose(found[1].reshape(K, 9), gradient, rtol=1e-10, atol=1e-13)
        assert st.gradients.check_gradient(objective.value, objective.gradient, W.ravel())


def test_d1_three_points_three_classes() -> None:
    """L = (L_0 + L_1 + L_2)/3 in one dimension, piecewise linear in each w."""
    x, y = np.array([[1.0], [0.5], [-2.0]]), [0, 1, 2]
    objective = st.Objective("multiclass_hinge", (x, y))
    for W in np.random.default_rng(0).normal(size=(20, 3, 1)):
        by_hand = sum(multiclass_svm_example(W, x[i], i)[0] for i in range(3)) / 3
        assert objective.value(W) == pytest.approx(by_hand, rel=1e-13)
    assert objective.value(np.zeros(3)) == 2.0
    along = np.linspace(-4, 4, 8001)
    for k in range(3):
        W = np.tile([0.3, -0.2, 0.1], (len(along), 1))
        W[:, k] = along
        bends = np.abs(np.diff(objective.values(W), 2)) > 1e-9
        assert 0 < np.count_nonzero(bends) <= 2 * 6, "straight but for at most six kinks"


@each_dtype
@pytest.mark.parametrize("d", [1, 2, 5, 16, 17, 33, 40, 784])
@each_name
def test_objective_of_every_width(name: str, d: int, dtype: Any) -> None:
    """Tiles of every size, chunks and parts, rows in sequence; value and gradient against NumPy in double."""
    loss = st.losses.get(name)
    rtol = 300 * tolerances(dtype).eps
    for K in (2, 3, 5, 6, 7, 10, 11, 13, 16, 17, 20) if d in (5, 17) else (2, 10, 20):
        n = 389 if d < 784 else 203
        X, y, encoded, source = problem(loss, n, d, K, dtype)
        weight = source.uniform(0, 2, n).astype(dtype)
        intercept = bool((K + d) % 2)
        x = source.normal(size=K * (d + intercept)).astype(dtype)
        W, b = split(x.astype(np.float64), K, d)
        z = X.astype(np.float64) @ W.T + b
        exact = encoded.astype(np.float64) if loss.target != "labels" else y
        expected = loss(exact, z, weight)
        slope = loss.gradient(exact, z, weight) / weight.sum(dtype=np.float64)
        gradient = np.concatenate([(slope.T @ X).ravel(), slope.sum(axis=0)])[: x.size]
        layout = list(LAYOUTS)[K % len(LAYOUTS)]
        objective = st.Objective(loss, (LAYOUTS[layout](X), y), sample_weight=weight, fit_intercept=intercept)
        found = objective.value_and_gradient(x)
        assert objective.n_parameters == x.size
        assert found[0] == pytest.approx(expected, rel=rtol), (K, layout)
        if loss.smooth or dtype == np.float64:  # rounding decides on which side of a kink a row is
            np.testing.assert_allclose(found[1], gradient, rtol=rtol, atol=rtol, err_msg=f"{K} {layout}")
        np.testing.assert_allclose(objective.values(np.stack([x, x / 2]))[0], found[0], rtol=rtol)


def test_objective_agrees_with_logistic_regression() -> None:
    """The multinomial objective as scikit-learn has it: HalfMultinomialLoss over X, with an intercept."""
    X, y, _, source = problem(st.losses.Softmax(), 200, 13, 4)
    objective = st.Objective("softmax", (X, y), st.L2(0.5), fit_intercept=True)
    for _ in range(3):
        x = source.normal(size=4 * 14)
        W, b = split(x, 4, 13)
        value, slope = HalfMultinomialLoss(n_classes=4).loss_gradient(y.astype(float), X @ W.T + b)
        gradient = np.concatenate([(slope.T @ X / 200 + 0.5 * W).ravel(), slope.mean(axis=0)])
        found = objective.value_and_gradient(x)
        assert found[0] == pytest.approx(value.mean() + 0.25 * (W**2).sum(), rel=1e-13)
        np.testing.assert_allclose(found[1], gradient, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("intercept", [False, True])
@each_loss
def test_d6_gradient_check(loss: Any, intercept: bool) -> None:
    X, y, _, source = problem(loss, 40, 4, 3)
    objective = st.Objective(loss, (X, y), st.L2(0.1), fit_intercept=intercept)
    x = source.normal(size=objective.n_parameters)
    assert st.gradients.check_gradient(objective.value, objective.gradient, x)
    assert not st.gradients.check_gradient(objective.value, lambda v: objective.gradient(v) * 1.01, x)


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss.curvature is not None], ids=repr)
def test_smoothness_is_an_upper_bound(loss: Any) -> None:
    """Of the largest eigenvalue of the Hessian, and not far above the largest that is met."""
    nearest = 0.0
    for K, intercept in itertools.product((2, 5), (False, True)):
        X, y, _, source = problem(loss, 30, 3, K, seed=K)
        objective = st.Objective(loss, (X, y), st.L2(0.2), fit_intercept=intercept)
        bound = objective.smoothness()
        for scale in (0.0, 0.1, 1.0):
            x = source.normal(scale=scale, size=objective.n_parameters)
            h = 1e-5
            steps = np.eye(x.size) * h
            hessian = [(objective.gradient(x + s) - objective.gradient(x - s)) / (2 * h) for s in steps]
            largest = float(np.linalg.eigvalsh((np.array(hessian) + np.array(hessian).T) / 2)[-1])
            assert largest <= bound * (1 + 1e-6)
            nearest = max(nearest, largest / bound)
        for _ in range(3):
            before, gradient = objective.value_and_gradient(x)
            x = x - gradient / bound
            assert objective.value(x) <= before - gradient @ gradient / (2 * bound) + 1e-12
    assert nearest > (0.5 if loss.params else 0.9)


def test_no_smoothness_without_a_bound() -> None:
    for loss in (loss for loss in LABELLED if loss.curvature is None):
        with pytest.raises(ValueError, match=f"{loss.name} has no curvature bound"):
            st.Objective(loss, problem(loss, 20, 3, 3)[:2]).smoothness()


def follow(
    loss: Any, X: Array, y: Array, x0: Array, order: Array, size: int, penalty: Any, weight: Array | None, K: int
) -> Array:
    """One epoch of the mini-batch loop in NumPy."""
    n, d = X.shape
    x, intercept = x0.astype(np.float64), x0.size > K * d
    w = np.ones(n) if weight is None else weight.astype(np.float64)
    for start in range(0, n, size):
        rows = order[start : start + size]
        W, b = split(x, K, d)
        slope = loss.gradient(y[rows], X[rows].astype(np.float64) @ W.T + b, w[rows]) / (len(rows) * w.mean())
        gradient = (slope.T @ X[rows]).ravel()
        if penalty is not None:
            gradient += penalty.smooth_gradient(W.ravel())
        coef = x[: K * d] - 0.1 * gradient
        coef = coef if penalty is None else penalty.prox(coef, 0.1)
        x = np.concatenate([coef, b - 0.1 * slope.sum(axis=0)]) if intercept else coef
    return x


@each_dtype
@each_name
def test_the_loop_follows_numpy(name: str, dtype: Any) -> None:
    """An order of its own in each epoch, short last batches, penalties, weights, intercepts, every layout."""
    loss = st.losses.get(name)
    cases = itertools.product((1, 7, 100, 150), (None, st.L2(0.3), st.L1(0.01), st.ElasticNet(0.1, 0.4)), (2, 5, 11))
    for case, (size, penalty, K) in enumerate(cases):
        X, y, encoded, source = problem(loss, 150, 6, K, dtype, seed=case)
        columns = y if loss.target == "labels" else encoded.astype(np.float64)
        weight = source.uniform(0.1, 2, 150).astype(dtype) if case % 2 else None
        intercept = case % 3 == 0
        x0 = source.normal(size=K * (6 + intercept)).astype(dtype)
        orders = [source.permutation(150) for _ in range(2)]
        result = st.minimize(
            loss,
            (list(LAYOUTS.values())[case % len(LAYOUTS)](X), y),
            x0=x0,
            method="sgd",
            batch_size=size,
            step_size=0.1,
            penalty=penalty,
            epochs=2,
            shuffle=lambda epoch: orders[epoch],  # noqa: B023
            sample_weight=weight,
            fit_intercept=intercept,
        )
        x = x0
        for order in orders:
            # Not all classes are in every batch: the columns' own numbers say which is which.
            x = follow(loss, X, columns, x, order, size, penalty, weight, K)
        assert not np.allclose(x, x0, atol=1e-3)
        if loss.smooth or dtype == np.float64:
            rtol = 1e-10 if dtype == np.float64 else 1e-3
            np.testing.assert_allclose(result.x, x, rtol=rtol, atol=rtol / 10, err_msg=f"{size} {penalty} {K}")
        assert result.x.dtype == dtype
        assert result.fun == pytest.approx(
            st.Objective(loss, (X, y), penalty, sample_weight=weight, fit_intercept=intercept).value(result.x)
        )


@each_dtype
@each_name
def test_threads_give_the_same_bits(name: str, dtype: Any) -> None:
    loss = st.losses.get(name)
    X, y, _, _ = problem(loss, 12_000, 30, 6, dtype)
    for order in ("full", "stream", False):
        runs = [
            st.minimize(
                loss, (X, y), batch_size=5000, epochs=3, shuffle=order, seed=5, n_threads=threads, fit_intercept=True
            ).x
            for threads in (1, 2, 3, 5)
        ]
        assert np.abs(runs[0]).max() > 1e-3
        for run in runs[1:]:
            assert run.tobytes() == runs[0].tobytes()


@each_name
def test_float32_is_close_to_float64(name: str) -> None:
    loss = st.losses.get(name)
    X, y, _, _ = problem(loss, 500, 12, 5)
    ends = [
        st.minimize(loss, (X.astype(dtype), y.astype(dtype)), method="gd", epochs=40, step_size=0.3).fun
        for dtype in DTYPES
    ]
    assert ends[0] == pytest.approx(ends[1], rel=2e-4)


LABELS: dict[str, Any] = {
    "words": ["b", "a", "d", "c"],
    "words of NumPy": np.array(["bb", "a", "dddd", "c"]),
    "whole numbers": [10, -3, 99, 12],
    "unsigned": np.array([3, 1, 200, 7], dtype=np.uint8),
    "large": np.array([2**60 + 1, 2**60, 2**60 + 3, 2**60 + 2]),
    "whole floats": [2.0, -3.0, 1e30, 7.0],
    "fractions as texts": ["0.5", "-1.25", "7", "3.5"],
    "objects": np.array(["y", "x", "zz", "z"], dtype=object),
    "tuples' kin": np.array([b"p", b"o", b"r", b"q"]),
    "dates": np.array(["2020-02-01", "2020-01-01", "2021-01-01", "2020-03-01"], dtype="datetime64[D]"),
}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("loss", LABELLED, ids=repr)
def test_labels_of_any_type(loss: Any, kind: str) -> None:
    names = np.asarray(LABELS[kind])
    X, position, _, _ = problem(loss, 90, 4, 4)
    ordered = np.sort(names)
    y = ordered[position]
    more: dict[str, Any] = {"epochs": 5, "seed": 1, "batch_size": 16, "fit_intercept": True}
    plain, named = (st.minimize(loss, (X, labels), **more) for labels in (position, y))
    np.testing.assert_array_equal(named.classes, ordered)
    np.testing.assert_array_equal(plain.classes, np.arange(4))
    np.testing.assert_array_equal(named.x, plain.x)
    np.testing.assert_array_equal(st.minimize(loss, (X, y.tolist()), **more).x, plain.x)
    z = named.predict(X)
    np.testing.assert_array_equal(loss.pointwise(y, z), loss.pointwise(position, z))
    assert (named.classes[z.argmax(axis=1)] == y).mean() > 0.5, "better than chance"


@pytest.mark.parametrize("loss", LABELLED, ids=repr)
def test_two_classes_may_be_truths(loss: Any) -> None:
    X, y, _, _ = problem(loss, 50, 3, 2)
    result = st.minimize(loss, (X, y == 1), epochs=3, seed=0)
    assert result.classes.tolist() == [False, True]
    np.testing.assert_array_equal(result.x, st.minimize(loss, (X, y), epochs=3, seed=0).x)


def test_labels_may_name_their_columns() -> None:
    """Where not all classes occur, whole numbers say which column is theirs."""
    loss = st.losses.Softmax()
    z = np.arange(12.0).reshape(3, 4) ** 1.5
    by_hand = -log_softmax(z, axis=1)[range(3), [1, 3, 1]]
    np.testing.assert_allclose(loss.pointwise([1, 3, 1], z), by_hand, rtol=1e-14)
    np.testing.assert_array_equal(loss.pointwise([1.0, 3.0, 1.0], z), loss.pointwise([1, 3, 1], z))
    bad: list[tuple[Any, str]] = [
        (["a", "b", "a"], "2 classes, raw_prediction has 4 columns: .*"),
        (["a", "a", "a"], "1 class, raw_prediction has 4 columns: .*"),
        ([1, 4, 1], "2 classes, .*label 4 in row 1 .*"),
        ([1.0, 1.0, 7.0], "2 classes, .*label 7.0 in row 2 .*"),
        ([-1, 0, 1], "3 classes, .*label -1 in row 0 .*"),
        ([10, 20, 30], "3 classes, .*label 10 in row 0 .*"),
    ]
    for wrong, words in bad:
        with pytest.raises(ValueError, match=f"y holds {words}give labels as 0 to 3"):
            loss.pointwise(wrong, z)
    with pytest.raises(ValueError, match="has 3 columns, of which label 3 in row 0 names none"):
        loss([3], [[0.0, 1.0, 2.0]])
    with pytest.raises(ValueError, match=r"must not be continuous; row 0 of y holds 0\.5"):
        loss.pointwise([0.5, 1, 1], z)


def test_several_labels_are_any_two_values() -> None:
    X, y, _, _ = problem(st.losses.MultiLogLoss(), 60, 3, 4)
    results = [
        st.minimize("multi_log_loss", (X, labels), epochs=4, seed=0) for labels in (y, y > 0, (y > 0) * 1, y.tolist())
    ]
    for result, classes in zip(results, ([-1, 1], [False, True], [0, 1], [-1, 1]), strict=True):
        assert result.classes.tolist() == classes
        np.testing.assert_array_equal(result.x, results[0].x)


@each_dtype
@pytest.mark.parametrize("intercept", [False, True])
@each_name
def test_shapes_and_views(name: str, intercept: bool, dtype: Any) -> None:
    loss = st.losses.get(name)
    X, y, _, source = problem(loss, 60, 5, 3, dtype)
    result = st.minimize(loss, (X, y), epochs=3, fit_intercept=intercept, seed=0)
    assert (result.coef.shape, result.intercept.shape) == ((3, 5), (3,))
    assert np.shares_memory(result.coef, result.x)
    assert np.shares_memory(result.intercept, result.x) == intercept
    np.testing.assert_array_equal(np.concatenate([result.coef.ravel(), result.intercept])[: result.x.size], result.x)
    z = result.predict(X)
    np.testing.assert_allclose(z, X @ result.coef.T + result.intercept, rtol=1e-5)
    assert z.dtype == dtype
    np.testing.assert_allclose(loss(y, z), result.fun, rtol=1e-4)
    further = st.minimize(loss, (X, y), epochs=3, fit_intercept=intercept, x0=result)
    at_once = st.minimize(loss, (X, y), epochs=3, fit_intercept=intercept, x0=result.x, seed=0)
    assert further.x.shape == at_once.x.shape == result.x.shape
    found = st.search.random(loss, (X, y), n=20, seed=0, fit_intercept=intercept)
    assert (found.coef.shape, found.intercept.shape, found.predict(X).shape) == ((3, 5), (3,), (60, 3))
    with pytest.raises(ValueError, match=r"shape \(n, 5\)"):
        result.predict(X[:, :4])
    W = source.normal(size=(3, 5)).astype(dtype)
    if intercept:
        with pytest.raises(ValueError, match=r"\[W.ravel\(\), b\]"):
            st.minimize(loss, (X, y), x0=W, fit_intercept=True)
    else:
        starts = [st.minimize(loss, (X, y), x0=x0, epochs=1, seed=0).x for x0 in (W, W.ravel())]
        np.testing.assert_array_equal(*starts)
        with pytest.raises(ValueError, match=r"x0 has shape \(5, 3\).*\(3, 5\)"):
            st.minimize(loss, (X, y), x0=W.T)


@each_name
def test_constant_model(name: str) -> None:
    """Without features the parameters are the scores; the best of softmax are the frequencies' logarithms."""
    loss = st.losses.get(name)
    _, y, encoded, _ = problem(loss, 90, 1, 3)
    result = st.minimize(loss, y, penalty=st.L2(1e-3))
    ones = st.minimize(loss, (np.ones((90, 1)), y), penalty=st.L2(1e-3))
    np.testing.assert_allclose(result.x, ones.x, atol=1e-8)
    assert (result.coef.shape, result.intercept.shape) == ((3, 1), (3,))
    np.testing.assert_array_equal(result.predict(np.zeros((7, 2))), np.tile(result.x, (7, 1)))
    if name == "multi_squared_error":
        np.testing.assert_allclose(result.x, encoded.mean(axis=0) / 1.001, rtol=1e-6)
    if name == "softmax":
        y = np.repeat(["a", "b", "c"], [1, 2, 5])
        z = st.minimize(loss, y, tol=1e-10).predict(np.zeros((1, 1)))
        np.testing.assert_allclose(softmax(z), [[1 / 8, 2 / 8, 5 / 8]], rtol=1e-3)
