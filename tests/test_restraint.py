"""Single rows under restraint: clipped slopes, coefficients that L2 does not turn around, slower intercepts."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from steepest import L2, _core, losses
from steepest._outcome import Outcome


def run(X: NDArray[Any], y: NDArray[Any], step: float, **options: Any) -> NDArray[Any]:
    """One epoch of squared errors in sequence, single rows."""
    kind = _core.Problem32 if X.dtype == np.float32 else _core.Problem64
    problem = kind(losses.get("squared_error")._index, [], X, y, None, True, 1.0, 0)
    x0 = np.zeros(X.shape[1] + 1, dtype=X.dtype)
    common = {"rule": (0, []), "schedule": (0, (step,)), "batch_size": 1, "epochs": 1}
    reached, failure = problem.fit(x0, common | options)
    assert failure is None
    return np.asarray(Outcome(*reached).x)


def reference(
    X: NDArray[Any], y: NDArray[Any], step: float, l2: float = 0.0, limit: float = np.inf, pace: float = 1.0
) -> NDArray[Any]:
    w, intercept = np.zeros(X.shape[1]), 0.0
    for row, target in zip(X.astype(np.float64), y, strict=True):
        slope = np.clip(row @ w + intercept - target, -limit, limit)
        w = max(0.0, 1 - step * l2) * w - step * slope * row
        intercept -= pace * step * slope
    return np.append(w, intercept)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("features", [3, 20, 150])  # in one register, in several, in memory
def test_single_rows_are_held(features: int, dtype: Any) -> None:
    rng = np.random.default_rng(features)
    X, y = rng.normal(size=(30, features)).astype(dtype), rng.normal(size=30).astype(dtype)
    step, close = 0.3 / features, {"rtol": 1e-4 if dtype is np.float32 else 1e-10, "atol": 1e-5}
    free = reference(X, y, step)
    np.testing.assert_allclose(run(X, y, step), free, **close)
    held = reference(X, y, step, limit=0.2, pace=0.01)
    assert np.abs(held - free).max() > 1e-3
    np.testing.assert_allclose(run(X, y, step, slope_limit=0.2, intercept_pace=0.01), held, **close)
    l2 = 1.5 / step
    pull = L2(l2).on((features,)).terms
    penalised = run(X, y, step, penalty=pull, least_kept=0.0)
    np.testing.assert_allclose(penalised, reference(X, y, step, l2=l2), **close)
    assert np.abs(run(X, y, step, penalty=pull) - penalised).max() > 1e-3


def test_batches_slow_the_intercept_too() -> None:
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(1, 4)), rng.normal(size=1)
    np.testing.assert_allclose(run(X, y, 0.1, intercept_pace=0.5), reference(X, y, 0.1, pace=0.5))


def test_what_is_not_judged_goes_on_while_finite() -> None:
    X, y = np.full((40, 1), 10.0), np.ones(40)
    far = run(X, y, 0.1, judged=False, slope_limit=1e12)
    assert np.isfinite(far).all()
    assert np.abs(far).max() > 1e9
    assert np.abs(run(X, y, 0.1)).max() < 1e9, "the explosion is taken back"
