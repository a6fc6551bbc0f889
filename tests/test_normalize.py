"""Columns normalised by way of the weights (C4) are normalised columns, and predictions take rows as they are."""

import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

import steepest as st
from members import random, targets, vary
from tolerances import tolerances

Array = NDArray[Any]
LAYOUTS = {
    "C": lambda X: X,
    "F": np.asfortranarray,
    "every other": lambda X: np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)[::2, ::2],
    "CSR": csr_array,
}
SCALES, MEANS = np.array([1.0, 100.0, 1e-3, 5.0]), np.array([0.0, 300.0, 4e-3, -3.0])


def problem(name: str, n: int = 150, dtype: Any = np.float64) -> tuple[Array, Array]:
    """Rows whose columns differ much in size, some numbers of which are zero, and targets."""
    loss, source = st.losses.get(name), random(name, n)
    X = (source.normal(size=(n, 4)) * SCALES + MEANS) * (source.random((n, 4)) < 0.8)
    scores = (X / SCALES)[:, :3] @ source.normal(size=(3, 3)) + 0.3 * source.normal(size=(n, 3))
    scores -= scores.mean(axis=0)
    if loss.kind != "scores":
        y = np.sort(targets(loss, n, source))[scores[:, 0].argsort().argsort()]
    else:
        y = scores.argmax(axis=1) if loss.target == "labels" else np.where(scores > 0, 1.0, -1.0)
    vary(X, y)
    return X.astype(dtype), y


def standard(X: Array, weight: Array | None = None) -> Array:
    X = X.astype(np.float64)
    mean = np.average(X, axis=0, weights=weight)
    return np.asarray((X - mean) / np.sqrt(np.average((X - mean) ** 2, axis=0, weights=weight)))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", st.losses.available())
def test_c4_normalising_is_normalised_columns(name: str, layout: str) -> None:
    weight = random(name, "weight").uniform(0.5, 2, size=150)
    for dtype, intercept, penalty in ((np.float64, True, st.L2(0.1)), (np.float32, False, st.L1(0.01))):
        X, y = problem(name, dtype=dtype)
        Z = standard(X, weight)
        start = random(name, "start").normal(size=st.Objective(name, (Z, y), fit_intercept=intercept).n_parameters)
        options: dict[str, Any] = {
            "method": "sgd", "epochs": 3, "batch_size": 16, "seed": 1, "step_size": 0.01, "x0": start / 4,
            "penalty": penalty, "sample_weight": weight, "fit_intercept": intercept,
        }  # fmt: skip
        folded = st.minimize(name, (LAYOUTS[layout](X), y), normalize=True, **options)
        copied = st.minimize(name, (Z, y), **options)
        rounding = tolerances(dtype).runs
        np.testing.assert_allclose(folded.x, copied.x, rtol=rounding, atol=rounding)
        vary(folded.x)
        np.testing.assert_allclose(folded.predict(X), copied.predict(Z), rtol=rounding, atol=rounding * 10)
        assert folded.fun == pytest.approx(copied.fun, rel=rounding)
        assert folded.coef.dtype == folded.intercept.dtype == dtype


@pytest.mark.parametrize("method", ["gd", "sgd", "svrg", "L-BFGS-B", "Newton-CG", None])
@pytest.mark.parametrize("layout", ["C", "CSR"])
def test_every_kind_of_method_normalises(method: str | None, layout: str) -> None:
    X, y = problem("log_loss")
    options: dict[str, Any] = {"method": method, "epochs": 3, "seed": 1, "penalty": st.L2(0.1), "fit_intercept": True}
    folded = st.minimize("log_loss", (LAYOUTS[layout](X), y), normalize=True, tol=0, **options)
    copied = st.minimize("log_loss", (standard(X), y), tol=0, **options)
    np.testing.assert_allclose(folded.x, copied.x, rtol=1e-7)
    np.testing.assert_allclose(folded.predict(X), copied.predict(standard(X)), rtol=1e-6, atol=1e-9)


def test_predictions_of_other_rows_take_them_raw() -> None:
    X, y = problem("huber")
    result = st.minimize("huber", (X, y), normalize=True, fit_intercept=True, method="sgd", epochs=5, seed=0)
    new = problem("squared_error")[0]
    mean, deviation = result.normalization
    np.testing.assert_allclose(mean, X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(deviation, X.std(axis=0), rtol=1e-12)
    by_hand = (new - mean) / deviation @ result.x[:-1] + result.x[-1]
    np.testing.assert_allclose(result.predict(new), by_hand, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(result.coef, result.x[:-1] / deviation, rtol=1e-14)
    restored = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(restored.predict(new), result.predict(new))
    np.testing.assert_array_equal(restored.x, result.x)


def test_scikit_learns_pipeline_says_the_same() -> None:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = problem("squared_error")
    pipeline = make_pipeline(StandardScaler(), Ridge(alpha=15.0)).fit(X, y)
    result = st.minimize(
        "squared_error",
        (X, y),
        penalty=st.L2(15 / 150),
        normalize=True,
        fit_intercept=True,
        method="L-BFGS-B",
        tol=1e-14,
    )
    np.testing.assert_allclose(result.predict(X), pipeline.predict(X), rtol=1e-5, atol=1e-5)


def test_a_mean_taken_off_makes_an_intercept() -> None:
    X, y = problem("huber")
    result = st.minimize("huber", (X, y), normalize=True, method="sgd", epochs=2, seed=0)
    assert result.x.size == 4
    assert result.intercept != 0
    np.testing.assert_allclose(result.predict(X), standard(X) @ result.x, rtol=1e-10, atol=1e-12)
    scaled = st.minimize("huber", (X, y), normalize="scale", method="sgd", epochs=2, seed=0)
    assert scaled.intercept == 0
    np.testing.assert_allclose(scaled.predict(X), X / X.std(axis=0) @ scaled.x, rtol=1e-10)


def test_a_weight_of_two_is_the_row_twice() -> None:
    X, y = problem("huber")
    weight = np.where(np.arange(150) < 50, 2, np.where(np.arange(150) < 60, 0, 1))
    repeated = np.repeat(np.arange(150), weight)
    weighted = st.minimize("huber", (X, y), normalize=True, sample_weight=weight, epochs=1)
    twice = st.minimize("huber", (X[repeated], y[repeated]), normalize=True, epochs=1)
    for one, other in zip(weighted.normalization, twice.normalization, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    # Weights of classes are about the classes, not about the columns.
    X, y = problem("log_loss")
    balanced = st.minimize("log_loss", (X, y), normalize=True, class_weight={1.0: 5.0}, epochs=1)
    np.testing.assert_allclose(balanced.normalization.mean, X.mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_groups_share_mean_and_deviation(layout: str) -> None:
    X, y = problem("huber")
    weight = random("weights").uniform(0.5, 2, size=150)
    options: dict[str, Any] = {"normalize": True, "sample_weight": weight, "epochs": 2, "seed": 0}
    given = LAYOUTS[layout](X)
    labelled = st.minimize("huber", (given, y), groups=[7, 0, 7, 0], **options)
    listed = st.minimize("huber", (given, y), groups=[[0, 2], [1, 3]], **options)
    np.testing.assert_array_equal(labelled.x, listed.x)
    np.testing.assert_array_equal(labelled.normalization.mean, listed.normalization.mean)
    weights = np.repeat(weight, 2)
    for columns in ([0, 2], [1, 3]):
        numbers = X[:, columns].ravel()
        mean = np.average(numbers, weights=weights)
        deviation = np.sqrt(np.average((numbers - mean) ** 2, weights=weights))
        np.testing.assert_allclose(labelled.normalization.mean[columns], mean, rtol=1e-11)
        np.testing.assert_allclose(labelled.normalization.deviation[columns], deviation, rtol=1e-11)
    one = st.minimize("huber", (given, y), groups=[[1, 3]], **options).normalization
    alone = st.minimize("huber", (given, y), **options).normalization
    np.testing.assert_array_equal(one.mean[[0, 2]], alone.mean[[0, 2]])
    assert one.deviation[1] == one.deviation[3] != alone.deviation[3]


def test_only_rows_that_are_trained_on_count() -> None:
    X, y = problem("log_loss")
    held = random("held").permutation(150)[:40]
    others = np.setdiff1d(np.arange(150), held)
    options: dict[str, Any] = {"normalize": True, "method": "sgd", "epochs": 3, "seed": 0, "batch_size": 16}
    inside = st.minimize("log_loss", (X, y), validation=held, **options)
    apart = st.minimize("log_loss", (X[others], y[others]), validation=(X[held], y[held]), **options)
    np.testing.assert_allclose(inside.normalization.mean, X[others].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(inside.x, apart.x, rtol=1e-9)
    np.testing.assert_allclose(inside.history.validation, apart.history.validation, rtol=1e-9)
    losses = np.log1p(np.exp(-y[held] * inside.predict(X[held])))
    assert inside.history.validation[-1] == pytest.approx(losses.mean(), rel=1e-10)


@pytest.mark.parametrize("n", [1, 5, 4097, 20_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_are_those_of_many_digits(n: int, dtype: Any) -> None:
    """Blocks are joined without cancellation: means far from zero, single rows."""
    X = (random(n).normal(size=(n, 3)) + np.array([0, 1e4, -1e2])).astype(dtype)
    long = X.astype(np.longdouble)
    result = st.minimize("huber", (X, np.arange(n, dtype=float)), normalize=True, epochs=1, method="sgd", step_size=0.1)
    np.testing.assert_allclose(result.normalization.mean, long.mean(axis=0).astype(float), rtol=1e-13)
    if n > 1:
        np.testing.assert_allclose(result.normalization.deviation, long.std(axis=0).astype(float), rtol=1e-10)
    else:
        assert result.normalization.deviation.tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_columns_are_centred_and_not_blown_up(dtype: Any) -> None:
    source = random("constant")
    X = source.normal(size=(200, 3)).astype(dtype)
    X[:, 1] = dtype(1e5 / 3)
    X[:, 2] = 0
    y = X[:, 0] + 0.1 * source.normal(size=200)
    result = st.minimize("squared_error", (X, y), normalize=True, fit_intercept=True)
    assert result.normalization.deviation[1:].tolist() == [1, 1]
    rounding = np.finfo(dtype).eps * 1e5 / 3  # of a row's share in the gradient of the constant column
    assert np.abs(result.coef[1:]).max() < 16 * rounding
    assert np.sqrt(np.mean((result.predict(X) - y) ** 2)) < 0.12
    tiny = X * dtype(1e-9)
    assert st.minimize("squared_error", (tiny, y), normalize=True).normalization.deviation[0] == pytest.approx(
        X[:, 0].std() * 1e-9, rel=1e-4
    )


def test_c4_the_least_deviation_may_be_given() -> None:
    X, y = problem("huber")
    result = st.minimize("huber", (X, y), normalize=0.5, method="sgd", epochs=2, seed=0)
    np.testing.assert_allclose(result.normalization.deviation, np.maximum(X.std(axis=0), 0.5), rtol=1e-12)
    assert (X.std(axis=0) < 0.5).any()


def test_columns_that_are_scaled_already() -> None:
    X, y = problem("huber")
    scale, shift = np.array([2.0, -0.5, 30.0, 1.0]), np.array([1.0, 0.0, -4.0, 2.0])
    plain = st.minimize("huber", (X * scale + shift, y), normalize=True, method="sgd", epochs=3, seed=0)
    scaled = st.minimize("huber", (st.data.scaled(X, scale, shift), y), normalize=True, method="sgd", epochs=3, seed=0)
    np.testing.assert_allclose(scaled.x, plain.x, rtol=1e-9)
    np.testing.assert_allclose(scaled.coef, plain.coef, rtol=1e-9)
    np.testing.assert_allclose(
        scaled.predict(st.data.scaled(X, scale, shift)), plain.predict(X * scale + shift), rtol=1e-9, atol=1e-9
    )


def test_going_on_normalises_as_before() -> None:
    X, y = problem("huber")
    options: dict[str, Any] = {"normalize": True, "method": "sgd", "step_size": 0.05, "batch_size": 16}
    whole = st.minimize("huber", (X, y), epochs=5, seed=3, **options)
    half = st.minimize("huber", (X, y), epochs=2, seed=3, **options)
    on = st.minimize("huber", (X, y), epochs=3, x0=half, **options)
    np.testing.assert_array_equal(on.x, whole.x)
    elsewhere = st.minimize("huber", (X[:50] * 2, y[:50]), epochs=1, x0=half, **options)
    np.testing.assert_array_equal(elsewhere.normalization.mean, half.normalization.mean)
    with pytest.raises(ValueError, match="x0 comes from a run with normalize=True"):
        st.minimize("huber", (X, y), x0=half)
    with pytest.raises(ValueError, match="x0 comes from a run over 4 columns, X has 3"):
        st.minimize("huber", (X[:, :3], y), x0=half, **options)
    plain = st.minimize("huber", (X, y), method="sgd", epochs=1, step_size=1e-9)
    with pytest.raises(ValueError, match="x0 comes from a run without normalize=True"):
        st.minimize("huber", (X, y), x0=plain, **options)


def test_c4_nothing_is_copied() -> None:
    source = random("large")
    X, y = source.normal(size=(40_000, 50)) * 7 + 3, source.normal(size=40_000)
    before = X.copy()
    tracemalloc.start()
    try:
        st.minimize(
            "squared_error", (X, y), normalize=True, epochs=1, seed=0, batch_size=64, method="sgd", step_size=0.01
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < X.nbytes / 4
    np.testing.assert_array_equal(X, before)


def test_c4_normalised_columns_are_learnt_sooner() -> None:
    """Columns of very different sizes: the same number of full batches with steps of 1/L gets much farther."""
    X, y = problem("log_loss")
    raw, normalised = (
        st.minimize("log_loss", (X, y), method="gd", epochs=100, fit_intercept=True, normalize=n) for n in (False, True)
    )
    best = st.minimize("log_loss", (X, y), normalize=True, method="Newton-CG", fit_intercept=True).fun
    assert normalised.fun - best < 0.1 * (raw.fun - best)


@pytest.mark.parametrize(
    ("options", "error", "complaint"),
    [
        ({"normalize": "columns"}, TypeError, "normalize must be a bool"),
        ({"normalize": None}, TypeError, "normalize must be a bool"),
        ({"normalize": 0.0}, ValueError, "must be positive and finite, not 0.0"),
        ({"normalize": float("nan")}, ValueError, "must be positive and finite, not nan"),
        ({"groups": [0, 0, 1, 1]}, ValueError, "they go with normalize=True"),
        ({"normalize": True, "groups": [0, 1]}, ValueError, "names the group of 2 columns, X has 4"),
        ({"normalize": True, "groups": [0.0, 1.0, 1.0, 1.0]}, TypeError, "whole numbers"),
        ({"normalize": True, "groups": [[0, 1], [1, 2]]}, ValueError, "column 1 is in group 0 and in group 1"),
        ({"normalize": True, "groups": [[0, 4]]}, ValueError, "group 0 names column 4; columns are 0 to 3"),
        ({"normalize": True, "groups": [[0, -1]]}, ValueError, "group 0 names column -1"),
        ({"normalize": True, "groups": [[0], []]}, TypeError, "group 1 must be a list of columns"),
        ({"normalize": True, "groups": [[0], "b"]}, TypeError, "group 1 must be a list of columns"),
    ],
)
def test_bad_input(options: dict[str, Any], error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        st.minimize("huber", problem("huber"), epochs=1, **options)


def test_what_cannot_be_normalised() -> None:
    X, y = problem("huber")
    with pytest.raises(ValueError, match="normalize=True needs features"):
        st.minimize("huber", y, normalize=True)
    loss = st.loss(lambda w, x, y: (x @ w - y) ** 2)
    for outside in (loss, (lambda t, b: 0.0, lambda t, b: np.zeros(4))):
        with pytest.raises(ValueError, match="normalize goes with losses of linear scores"):
            st.minimize(outside, (X, y), x0=np.zeros(4), normalize=True)
    X[17, 2] = np.nan
    with pytest.raises(ValueError, match="X holds NaN, first in row 17, column 2"):
        st.minimize("huber", (X, y), normalize=True, check_finite=False)
    X[17, 2] = 1e300
    with pytest.raises(ValueError, match="too large to be normalised"):
        st.minimize("huber", (X, y), normalize=True)
