"""Columns scaled and shifted by way of the weights give what scaled copies of them give."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

import steepest as st
from members import random, targets, vary
from tolerances import tolerances

Array = NDArray[Any]
LAYOUTS = {
    "C": lambda X: X,
    "F": np.asfortranarray,
    "every other": lambda X: np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)[::2, ::2],
}


def rows(n: int, d: int, dtype: Any, *keys: object) -> tuple[Array, Array, Array, Array]:
    """Return rows, a scale and a shift per column, and the rows scaled in double."""
    source = random(n, d, *keys)
    X = source.normal(size=(n, d)).astype(dtype)
    scale, shift = source.uniform(0.25, 4, size=d), source.normal(size=d)
    vary(X, scale, shift)
    return X, scale, shift, X.astype(np.float64) * scale + shift


def y_for(loss: Any, n: int, *keys: object) -> Array:
    source = random(loss, n, *keys)
    if loss.kind == "scores":
        if loss.target == "labels":
            return source.permutation(n) % 4
        return np.where(source.permutation(3 * n) % 2, 1.0, -1.0).reshape(n, 3)
    return targets(loss, n, source)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("name", st.losses.available())
def test_objectives_of_scaled_rows(name: str, intercept: bool, layout: str) -> None:
    loss = st.losses.get(name)
    for dtype, d in ((np.float64, 5), (np.float32, 37)):
        n = 300
        X, scale, shift, seen = rows(n, d, dtype, name)
        y = y_for(loss, n)
        weight = random(name, "weight").uniform(0.5, 2, size=n)
        folded, copied = (
            st.Objective(loss, (given, y), sample_weight=weight, fit_intercept=intercept)
            for given in (st.data.scaled(LAYOUTS[layout](X), scale, shift), seen)
        )
        assert folded.n_parameters == copied.n_parameters
        x = random(name, d).normal(size=folded.n_parameters) / d
        value, gradient = folded.value_and_gradient(x)
        expected, slopes = copied.value_and_gradient(x)
        vary(gradient)
        rounding = 40 * tolerances(dtype).sums * d
        assert value == pytest.approx(expected, rel=rounding)
        assert folded.value(x) == pytest.approx(expected, rel=rounding)
        assert np.allclose(gradient, slopes, rtol=rounding, atol=rounding * np.abs(slopes).max())


@pytest.mark.parametrize("name", ["log_loss", "huber", "softmax", "multi_squared_error"])
@pytest.mark.parametrize("batch_size", [1, 7, 64, None])
def test_descent_on_scaled_rows(name: str, batch_size: int | None) -> None:
    loss = st.losses.get(name)
    X, scale, shift, seen = rows(130, 19, np.float64, name)
    options: dict[str, Any] = {"method": "sgd", "step_size": 0.002, "batch_size": batch_size or 130, "epochs": 3}
    options |= {"seed": 4, "fit_intercept": True, "penalty": st.ElasticNet(0.02, 0.5), "shuffle": "full"}
    y = y_for(loss, 130)
    folded = st.minimize(loss, (st.data.scaled(X, scale, shift), y), **options)
    copied = st.minimize(loss, (seen, y), **options)
    vary(folded.x)
    assert np.allclose(folded.x, copied.x, rtol=1e-9, atol=1e-11)
    assert folded.fun == pytest.approx(copied.fun, rel=1e-9)
    assert np.allclose(folded.predict(st.data.scaled(X, scale, shift)), copied.predict(seen), rtol=1e-9, atol=1e-10)


def test_steps_are_computed_from_the_scaled_columns() -> None:
    X, scale, shift, seen = rows(500, 6, np.float64)
    y = y_for(st.losses.get("log_loss"), 500)
    for options in ({}, {"method": "sgd", "batch_size": 32, "epochs": 2}):
        folded, copied = (
            st.minimize("log_loss", (given, y), seed=1, **options) for given in (st.data.scaled(X, scale, shift), seen)
        )
        assert np.allclose(folded.x, copied.x, rtol=1e-6, atol=1e-8)
    smooth = [st.Objective("log_loss", (given, y)).smoothness() for given in (st.data.scaled(X, scale, shift), seen)]
    assert smooth[0] == pytest.approx(smooth[1], rel=1e-9)
    assert smooth[0] != pytest.approx(st.Objective("log_loss", (X, y)).smoothness(), rel=1e-3)


def test_threads_change_no_bit_of_scaled_sums() -> None:
    X, scale, shift, _ = rows(60_000, 24, np.float32)
    y = y_for(st.losses.get("log_loss"), 60_000)
    one, two = (
        st.minimize("log_loss", (st.data.scaled(X, scale, shift), y), n_threads=n, method="gd", epochs=3).x
        for n in (1, 2)
    )
    vary(one)
    assert np.array_equal(one, two)


def test_one_number_for_all_columns_and_a_sweep() -> None:
    X, *_ = rows(400, 3, np.float64)
    y = X @ [1.0, -2.0, 0.5]
    twice = st.minimize("squared_error", (st.data.scaled(X, 2.0), y), tol=1e-12)
    assert np.allclose(twice.coef, [0.5, -1.0, 0.25], atol=1e-4)
    objective = st.Objective("squared_error", (st.data.scaled(X, 2.0), y))
    assert objective.value([0.5, -1.0, 0.25]) < 1e-20
    swept = st.sweep("squared_error", (st.data.scaled(X, 2.0), y), batch_sizes=[50], epochs=5, seed=0)
    assert swept.start == pytest.approx(objective.value(np.zeros(3)))
    assert swept.best is not None
    assert swept.best["objective"] < swept.start / 2


@pytest.mark.parametrize(
    ("scale", "shift", "error", "words"),
    [
        ([1.0, 2.0], 0.0, ValueError, "scale holds 2 numbers, X has 3 columns"),
        (1.0, [1.0] * 4, ValueError, "shift holds 4 numbers, X has 3 columns"),
        (np.nan, 0.0, ValueError, "scale holds nan"),
        ([1.0, np.inf, 1.0], 0.0, ValueError, "scale holds inf"),
        (1.0, 1j, TypeError, "shift must hold real numbers"),
        ("2", 0.0, TypeError, "scale must hold real numbers"),
        (np.ones((3, 1)), 0.0, ValueError, r"scale must be a number or hold one per column.*\(3, 1\)"),
    ],
)
def test_scales_that_do_not_fit(scale: Any, shift: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        st.minimize("mse", (st.data.scaled(np.eye(3), scale, shift), np.arange(3.0)))


def test_a_scale_beyond_the_range_of_the_rows_names_its_column() -> None:
    X = np.eye(3, dtype=np.float32)
    with pytest.raises(ValueError, match="scale of column 1 is inf in float32"):
        st.minimize("mse", (st.data.scaled(X, [1.0, 1e300, 1.0]), np.arange(3.0)))


def test_scaled_rows_go_where_rows_go() -> None:
    X = st.data.scaled(np.eye(3), 2.0)
    with pytest.raises(TypeError, match="scaled already"):
        st.data.scaled(X, 3.0)
    with pytest.raises(TypeError, match="y is scaled"):
        st.minimize("mse", X)

    @st.loss
    def traced(w: Any, x: Any, y: Any) -> Any:
        return (x @ w - y) ** 2

    with pytest.raises(TypeError, match="is scaled"):
        st.minimize(traced, (X, np.arange(3.0)))
    with pytest.raises(TypeError, match="is scaled"):
        st.minimize((lambda t, b: 0.0, lambda t, b: t), (X, np.arange(3.0)), x0=np.zeros(3))


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_rows_by_position_of_scaled_rows(make: Any) -> None:
    X, scale, _, _ = rows(90, 4, np.float64, "by position")
    y = y_for(st.losses.get("log_loss"), 90)
    given = st.data.scaled(make(X), scale)
    assert len(given) == 90
    options: dict[str, Any] = {"method": "sgd", "step_size": 0.01, "batch_size": 8, "epochs": 3, "seed": 0}
    options |= {"rows": np.arange(60), "validation": np.arange(60, 90)}
    found = st.minimize("log_loss", (given, y), **options)
    copied = st.minimize("log_loss", (X * scale, y), **options)
    vary(copied.x, copied.history.validation)
    np.testing.assert_allclose(found.x, copied.x, rtol=1e-12)
    np.testing.assert_allclose(found.history.validation, copied.history.validation, rtol=1e-12)


@pytest.mark.parametrize("normalize", [False, True])
def test_rows_given_apart_to_judge_by_are_seen_as_they_are_given(normalize: bool) -> None:
    X, scale, shift, seen = rows(90, 4, np.float64, "judged")
    y = y_for(st.losses.get("log_loss"), 90)
    options: dict[str, Any] = {"method": "sgd", "step_size": 0.01, "batch_size": 8, "epochs": 3, "seed": 0}
    options |= {"normalize": normalize}

    def judged(data: Any, other: Any) -> Array:
        part = np.arange(60)
        result = st.minimize("log_loss", (data, y), rows=part, validation=(other, y[60:]), **options)
        history: Array = result.history.validation
        return history

    expected = judged(seen, seen[60:])
    vary(expected)
    scaled = st.data.scaled(X, scale, shift)
    for data, other in (
        (scaled, st.data.scaled(X[60:], scale, shift)),
        (scaled, seen[60:]),
        (seen, st.data.scaled(X[60:], scale, shift)),
        (scaled, st.data.scaled(seen[60:])),
    ):
        np.testing.assert_allclose(judged(data, other), expected, rtol=1e-10)
