"""Full batches whose steps are found on the way: leaps that lead nowhere, and what epochs report."""

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import steepest as st

Array = NDArray[Any]


def far_apart() -> tuple[Array, Array]:
    """Columns whose units differ: leaps of a line search go far, and exponentials there beyond all numbers."""
    rng = np.random.default_rng(8)
    X = np.round(rng.normal(size=(10, 2)) * [1, 50], 1)
    return X, rng.poisson(2.0, size=10).astype(float)


@pytest.mark.parametrize("loss", ["poisson", "exponential", "gamma"])
@pytest.mark.parametrize("penalty", [None, st.L2(0.05)], ids=["none", "l2"])
def test_a_line_search_takes_infinite_leaps_back(loss: str, penalty: Any) -> None:
    X, y = far_apart()
    y = np.where(y > 2, 1.0, -1.0) if loss == "exponential" else y + (loss == "gamma")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", st.ConvergenceWarning)
        result = st.minimize(loss, (X, y), penalty=penalty, method="gd", epochs=5000, tol=1e-10, seed=0)
        best = st.minimize(loss, (X, y), penalty=penalty, method="trust-ncg", tol=1e-10)
    assert result.status is not st.Status.diverged
    assert result.fun - best.fun < 1e-3 * abs(best.fun)


@pytest.mark.parametrize(("loss", "method"), [("poisson", "gd"), ("huber", None)])
def test_a_line_search_reports_what_the_objective_belongs_to(loss: str, method: Any) -> None:
    X, y = far_apart()
    objective = st.Objective(loss, (X, y))
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", st.ConvergenceWarning)
        st.minimize(
            loss, (X, y), epochs=60, method=method, callback=lambda epoch: seen.append((epoch.fun, epoch.x.copy()))
        )
    assert len({fun for fun, _ in seen}) > 5
    for fun, x in seen:
        assert fun == pytest.approx(objective.value(x), rel=1e-12)
