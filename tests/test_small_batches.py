"""Plain descent in batches too small to be cut between threads: against NumPy, batch by batch."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import steepest as st
from tolerances import DTYPES, tolerances

Array = NDArray[Any]
N = 403
PENALTIES = (None, st.L2(0.3), st.L1(0.02), st.ElasticNet(0.04, 0.5))


def descended(
    X: Array, y: Array, order: Array, batch_size: int, step: float, l1: float, l2: float, weight: Array
) -> tuple[Array, float]:
    """Descend the mean log loss; also the mean objective met, row by row."""
    x, met = np.zeros(X.shape[1] + 1), 0.0
    for start in range(0, len(y), batch_size):
        rows = order[start : start + batch_size]
        margin = y[rows] * (X[rows] @ x[:-1] + x[-1])
        slope = -weight[rows] * y[rows] / (1 + np.exp(margin)) / (len(rows) * weight.mean())
        met += weight[rows] @ np.logaddexp(0, -margin) / weight.mean()
        met += len(rows) * (l1 * np.abs(x[:-1]).sum() + l2 / 2 * x[:-1] @ x[:-1])
        x -= step * np.append(X[rows].T @ slope + l2 * x[:-1], slope.sum())
        x[:-1] = np.sign(x[:-1]) * np.maximum(np.abs(x[:-1]) - step * l1, 0)
    return x, met / len(y)


def data(features: int, stored: Any) -> tuple[Array, Array, Array]:
    source = np.random.default_rng(features)
    X = source.integers(0, 3, (N, features)) if np.dtype(stored).kind == "u" else source.normal(size=(N, features))
    y = np.where(X[:, 0] > X.mean() + source.normal(size=N), 1.0, -1.0)
    return X.astype(stored), y, source.uniform(0.1, 2, N)


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@pytest.mark.parametrize("batch_size", [2, 5, 16, 33, 150, 300])
@pytest.mark.parametrize("features", [1, 7, 28, 50, 120])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_batch_is_one_step(dtype: Any, features: int, batch_size: int, penalty: Any) -> None:
    l1 = {"l1": 0.02, "elastic_net": 0.02}.get(getattr(penalty, "name", ""), 0.0)
    l2 = {"l2": 0.3, "elastic_net": 0.02}.get(getattr(penalty, "name", ""), 0.0)
    for stored in (dtype, np.uint8):
        X, y, weight = data(features, stored)
        for given, shuffle in itertools.product(
            (None, weight), (False, np.random.default_rng(batch_size).permutation(N))
        ):
            order = np.arange(N) if shuffle is False else shuffle
            weights = np.ones(N) if given is None else given
            x, met = descended(X.astype(np.float64), y, order, batch_size, 0.1, l1, l2, weights)
            assert np.abs(x).max() > 0.01
            for layout in ("C", "F"):
                result = st.minimize(
                    "log_loss",
                    (np.asarray(X, order=layout), y.astype(dtype)),
                    method="sgd",
                    step_size=0.1,
                    batch_size=batch_size,
                    epochs=1,
                    shuffle=shuffle,
                    penalty=penalty,
                    fit_intercept=True,
                    sample_weight=None if given is None else given.astype(dtype),
                )
                np.testing.assert_allclose(result.x, x, rtol=0, atol=tolerances(result.x.dtype).steps * np.abs(x).max())
                assert result.history.running_objective[-1] == pytest.approx(met, rel=tolerances(result.x.dtype).steps)
                assert result.nit == -(-N // batch_size)


@pytest.mark.parametrize("batch_size", [2, 16])
def test_the_batch_that_meets_no_number_is_named(batch_size: int) -> None:
    X, y, _ = data(5, np.float64)
    X[101, 3] = np.nan
    with pytest.raises(ValueError, match=f"row 101, column 3, in batch {101 // batch_size} of epoch 0"):
        st.minimize(
            "log_loss",
            (X, y),
            method="sgd",
            step_size=0.1,
            batch_size=batch_size,
            epochs=2,
            shuffle=False,
            check_finite=False,
        )


def test_a_step_too_long_is_not_blamed_on_rows_behind_it() -> None:
    X, y, _ = data(3, np.float64)
    X[-1, 1] = np.nan
    with pytest.warns(st.ConvergenceWarning, match="in batch [0-9] of epoch 0.*A smaller step_size"):
        result = st.minimize(
            "mse", (X, y), method="sgd", step_size=1e40, batch_size=10, epochs=2, shuffle=False, check_finite=False
        )
    assert result.nfev == result.nit + 2  # the batch that failed, and the best point at the end


def test_an_infinite_penalty_ends_the_run_in_its_batch() -> None:
    X, y, _ = data(20, np.float64)
    options: dict[str, Any] = {"penalty": st.L2(1.0), "step_size": 1e9, "batch_size": 16, "shuffle": False}
    with pytest.warns(st.ConvergenceWarning, match="in batch 1[0-9] of epoch 0"):
        st.minimize("hinge", (X, y), method="sgd", **options)


@pytest.mark.parametrize("batch_size", [1, 10])
def test_a_schedule_that_stops_the_run_loses_no_update(batch_size: int) -> None:
    X, y, _ = data(5, np.float64)
    options: dict[str, Any] = {"method": "sgd", "batch_size": batch_size, "shuffle": False, "epochs": 1}
    calls = 0

    def steps(time: float) -> float:
        nonlocal calls
        calls += 1
        if calls > 30:
            raise KeyboardInterrupt
        return 0.1

    with pytest.raises(st.Interrupted) as interrupted:
        st.minimize("log_loss", (X, y), step_size=steps, **options)
    first = slice(0, 30 * batch_size)
    expected = st.minimize("log_loss", (X[first], y[first]), step_size=0.1, **options)
    assert interrupted.value.result.nit == expected.nit == 30
    np.testing.assert_allclose(interrupted.value.result.x, expected.x)
