"""Bounds of the gap where objectives are huge on the way, and where rounding is as large as what is left of the gap.

Optima come of formulas in NumPy and SciPy's trust-exact, not of the library.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.optimize

import steepest as st
from members import Array
from steepest import _gap

# Loss, slope and curvature in the score.
FORMULAS: dict[str, Callable[[Array, Array], tuple[Array, Array, Array]]] = {
    "exponential": lambda z, y: (np.exp(-y * z), -y * np.exp(-y * z), np.exp(-y * z)),
    "poisson": lambda z, y: (np.exp(z) - y * z, np.exp(z) - y, np.exp(z)),
    "gamma": lambda z, y: (z + y * np.exp(-z), 1 - y * np.exp(-z), y * np.exp(-z)),
}
ALPHA = 0.05


def ill_scaled(name: str, seed: int) -> tuple[Array, Array]:
    source = np.random.default_rng(seed)
    X = np.round(source.normal(size=(10, 2)) * [1, 50], 1)
    if name == "exponential":
        y = np.where(source.uniform(size=10) > 0.5, 1.0, -1.0)
        y[:2] = [1.0, -1.0]
    else:
        y = source.poisson(2, size=10) + (0.5 if name == "gamma" else 0.0)
    return X, y


def objective(name: str, X: Array, y: Array, intercept: bool) -> tuple[Any, Any, Any]:
    """Return value, gradient and Hessian, the penalty being L2 of all but the intercept."""
    rows = np.hstack([X, np.ones((len(X), 1))]) if intercept else X
    held = ALPHA * (np.arange(rows.shape[1]) < X.shape[1])

    def value(x: Array) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            found = float(FORMULAS[name](rows @ x, y)[0].mean() + 0.5 * held @ x**2)
        return found if np.isfinite(found) else np.inf

    def gradient(x: Array) -> Array:
        return rows.T @ FORMULAS[name](rows @ x, y)[1] / len(y) + held * x

    def hessian(x: Array) -> Array:
        return rows.T @ (FORMULAS[name](rows @ x, y)[2][:, None] * rows) / len(y) + np.diag(held)

    return value, gradient, hessian


def check(name: str, seed: int, intercept: bool) -> bool:
    """Compare the gap of a run by default with the truth; return whether there was one."""
    X, y = ill_scaled(name, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", st.ConvergenceWarning)
        result = st.minimize(name, (X, y), penalty=st.L2(ALPHA), fit_intercept=intercept, tol=1e-3, seed=0)
    if result.gap is None:
        return False
    value, gradient, hessian = objective(name, X, y, intercept)
    start = np.zeros(result.x.size)
    best = scipy.optimize.minimize(
        value, start, jac=gradient, hess=hessian, method="trust-exact", options={"gtol": 1e-10, "maxiter": 1000}
    )
    assert np.linalg.norm(gradient(best.x)) < 1e-6
    true = value(result.x) - best.fun
    assert result.gap >= true - 1e-13 * abs(best.fun), (seed, intercept, result.gap, true)
    if result.status.name == "converged":
        assert true <= 1e-3 * abs(result.fun)
    return True


@pytest.mark.parametrize(("name", "seed"), [("exponential", 35), ("exponential", 16), ("poisson", 16), ("gamma", 43)])
def test_a_huge_objective_on_the_way_makes_no_bound(name: str, seed: int) -> None:
    assert check(name, seed, True)


def test_bounds_from_a_huge_objective_do_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether or not a line search gets there."""
    made: list[Any] = []
    init = _gap.Dual.__init__
    monkeypatch.setattr(_gap.Dual, "__init__", lambda self, *given: made.append(self) or init(self, *given))
    X, y = ill_scaled("exponential", 35)
    result = st.minimize("exponential", (X, y), penalty=st.L2(ALPHA), fit_intercept=True, tol=1e-3, seed=0)
    value, gradient, _ = objective("exponential", X, y, True)
    start = np.zeros(3)
    for size in np.linspace(-6, 6, 50):
        far = np.array([0.0, size, 0.0])
        with np.errstate(all="ignore"):
            made[-1].refined_gap(far, value(far), gradient(far))
    assert made[-1].gap(start, value(start), gradient(start)) >= value(start) - value(result.x)
    assert made[-1].gap(start, np.inf, gradient(start)) == np.inf


def test_an_infinite_objective_on_the_way_meets_no_tolerance() -> None:
    check("exponential", 30, True)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("name", FORMULAS)
def test_columns_of_other_sizes(name: str, intercept: bool) -> None:
    assert sum(check(name, seed, intercept) for seed in range(100, 160)) >= 40


def excess(X: Array, y: Array, alpha: float, intercept: bool, x: Array) -> float:
    """Return how far x is above the optimum of log_cosh with L2, in long double."""
    rows = np.hstack([X, np.ones((len(X), 1))]).astype(np.longdouble) if intercept else X.astype(np.longdouble)
    held = np.longdouble(alpha) * (np.arange(rows.shape[1]) < X.shape[1])
    n = np.longdouble(len(y))

    def value(x: Array) -> Any:
        size = abs(rows @ x - y)
        return (size + np.log1p(np.exp(-2 * size)) - np.log(np.longdouble(2))).sum() / n + held @ x**2 / 2

    best = x.astype(np.longdouble)
    for _ in range(30):
        slopes = np.tanh(rows @ best - y)
        bend = rows.T @ ((1 - slopes**2)[:, None] * rows) / n + np.diag(held)
        best = best - np.linalg.solve(bend.astype(np.float64), (rows.T @ slopes / n + held * best).astype(np.float64))
    return float(value(x.astype(np.longdouble)) - value(best))


@pytest.mark.parametrize("offset", [0.0, 300.0])
@pytest.mark.parametrize("intercept", [False, True])
def test_rounding_follows_the_terms(intercept: bool, offset: float) -> None:
    """Next to nothing is left of logarithms of hyperbolic cosines, in whose conjugates there are numbers of 1."""
    source = np.random.default_rng(7)
    for _ in range(20):
        X = source.normal(size=(12, 3)) + offset
        y = 1e-2 * source.normal(size=12)
        for tol in (1e-3, 1e-9):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", st.ConvergenceWarning)
                result = st.minimize("log_cosh", (X, y), penalty=st.L2(0.005), fit_intercept=intercept, tol=tol, seed=0)
            true = excess(X, y, 0.005, intercept, result.x)
            assert true <= result.gap <= 10 * true + 1e-14 * (1 + offset), (tol, result.gap, true)


def test_a_weak_l1_term_has_a_bound_without_being_asked() -> None:
    """Slopes that all but vanish are not feasible until the gradient is far shorter than the penalty's strength."""
    source = np.random.default_rng(5)
    X = source.normal(size=(21, 4)) * [10, 10, 0.01, 50] + [0, 0, 7.6, 0]
    y = 150 * source.normal(size=21)
    for asked in ({}, {"tol": 1e-3}):
        result = st.minimize("mse", (X, y), penalty=st.L1(3.7e-6), method="L-BFGS-B", **asked)
        best = st.minimize("mse", (X, y), penalty=st.L1(3.7e-6), method="L-BFGS-B", tol=1e-11)
        assert result.gap <= 10 * (result.fun - best.fun) + 1e-9 * best.fun
