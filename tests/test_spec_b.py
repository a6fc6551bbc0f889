"""Points B1 and B3 to B5 of the sources, through the public face."""

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

import steepest as st

Array = NDArray[Any]

BOUNDED = [name for name in st.losses.available("pointwise") if st.losses.get(name).curvature is not None]


def rows_and_targets(target: str, n: int = 90, d: int = 6, seed: int = 5) -> tuple[Array, Array]:
    """Generate correlated rows of different scales, and targets that a loss accepts."""
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, d)) @ rng.normal(size=(d, d))) * np.geomspace(0.3, 3.0, d)
    z = X @ rng.normal(size=d) / 3 + rng.normal(size=n)
    size = np.abs(z)
    y = {"binary": np.where(z > 0, 1.0, -1.0), "real": z, "non_negative": size, "positive": size + 0.1}[target]
    assert np.unique(y).size > (1 if target == "binary" else n // 2)
    return X, y


def test_b1_error_falls_as_h_and_h_squared() -> None:
    """Of the gradient of an objective of the core, whose own gradient is exact."""
    objective = st.Objective("log_loss", rows_and_targets("binary"))
    x = np.linspace(-0.4, 0.5, objective.n_parameters)
    exact = objective.gradient(x)
    steps = np.geomspace(1e-1, 1e-3, 7)
    for scheme, order in (("forward", 1), ("central", 2)):
        errors = [
            np.abs(st.gradients.numerical_gradient(objective.value, x, scheme=scheme, h=h) - exact).max() for h in steps
        ]
        slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
        assert slope == pytest.approx(order, abs=0.1)


def test_b1_at_the_sources_step() -> None:
    objective = st.Objective("log_loss", rows_and_targets("binary"))
    x = np.linspace(-0.4, 0.5, objective.n_parameters)
    exact = objective.gradient(x)
    forward, central = (
        np.abs(st.gradients.numerical_gradient(objective.value, x, scheme=scheme, h=1e-4) - exact).max()
        for scheme in ("forward", "central")
    )
    assert 1e-7 < forward < 1e-3
    assert central < forward / 100


def entropy(X: Array, y: Array, w: Array, b: float) -> tuple[float, Array]:
    """Evaluate the mean cross-entropy and its gradient as the source writes them, y being 0 or 1."""
    p = expit(X @ w + b)
    value = -np.mean(y * np.log(p) + (1 - y) * np.log1p(-p))
    return float(value), np.append(-X.T @ (y - p) / len(y), -np.mean(y - p))


@pytest.mark.parametrize("labels", [(0, 1), (-1, 1), (3.5, 7.25), ("cat", "dog"), (False, True)])
def test_b3_logistic_regression(labels: tuple[Any, Any]) -> None:
    X, signs = rows_and_targets("binary")
    y = np.where(signs > 0, labels[1], labels[0])
    assert 20 < (signs > 0).sum() < 70
    objective = st.Objective("log_loss", (X, y), fit_intercept=True)
    for x in (np.zeros(7), np.linspace(-1, 1, 7), np.linspace(0.6, -0.2, 7)):
        value, gradient = objective.value_and_gradient(x)
        expected_value, expected_gradient = entropy(X, (signs > 0).astype(float), x[:-1], x[-1])
        assert value == pytest.approx(expected_value, rel=1e-12)
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-11, atol=1e-13)
        numerical = st.gradients.numerical_gradient(objective.value, x)
        np.testing.assert_allclose(gradient, numerical, rtol=1e-6, atol=1e-8)
        assert st.gradients.check_gradient(objective.value, objective.gradient, x)


def test_b3_descent_ends_where_the_gradient_is_zero() -> None:
    X, y = rows_and_targets("binary")
    result = st.minimize(
        "log_loss", (X, y), fit_intercept=True, penalty=st.L2(0.05), method="gd", tol=1e-10, epochs=20_000
    )
    assert result.success
    value, gradient = entropy(X, (y > 0).astype(float), result.x[:-1], result.x[-1])
    assert result.fun == pytest.approx(value + 0.025 * np.sum(result.coef**2), rel=1e-12)
    gradient[:-1] += 0.05 * result.coef
    assert np.abs(gradient).max() < 1e-4
    np.testing.assert_allclose(result.jac, gradient, atol=1e-12)


@pytest.mark.parametrize("penalty", [None, st.L2(0.3)], ids=["none", "l2"])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("name", BOUNDED)
def test_b4_every_step_decreases_by_what_the_bound_promises(name: str, intercept: bool, penalty: Any) -> None:
    loss = st.losses.get(name)
    X, y = rows_and_targets(loss.target)
    weight = np.linspace(0.2, 2.0, len(y))
    model: dict[str, Any] = {"penalty": penalty, "sample_weight": weight, "fit_intercept": intercept}
    objective = st.Objective(loss, (X, y), **model)
    alpha = 1 / objective.smoothness()
    start = np.full(objective.n_parameters, 0.5)
    points = [start]
    result = st.minimize(
        loss,
        (X, y),
        x0=start,
        method="gd",
        epochs=60,
        callback=lambda r: points.append(r.x),
        **model,
    )
    # The default step of full batches is the one computed from the bound.
    np.testing.assert_allclose(result.history.step_size, alpha, rtol=1e-9)
    assert len(points) == 61
    values = np.array([objective.value(x) for x in points])
    squares = np.array([np.sum(objective.gradient(x) ** 2) for x in points])
    rounding = 1e-13 * values[0]
    assert (np.diff(values) <= rounding).all()
    assert (values[:-1] - values[1:] >= alpha / 2 * squares[:-1] - rounding).all()
    # No f* is known, but it is at most the last value.
    assert squares[:-1].sum() <= 2 / alpha * (values[0] - values[-1]) * (1 + 1e-9)
    assert values[-1] < 0.9 * values[0]


def test_b4_the_bound_is_no_waste() -> None:
    """For a quadratic it is the curvature itself: a step beyond 2/L grows along the steepest direction."""
    X, y = rows_and_targets("real")
    objective = st.Objective("squared_error", (X, y))
    eigenvalues, vectors = np.linalg.eigh(X.T @ X / len(y))
    bound = objective.smoothness()
    assert eigenvalues[-1] <= bound <= eigenvalues[-1] * (1 + 1e-6)
    start = np.linalg.lstsq(X, y, rcond=None)[0] + vectors[:, -1]
    for factor, grows in ((1.9, False), (2.1, True)):
        step = factor / bound
        result = st.minimize("squared_error", (X, y), x0=start, method="gd", step_size=step, epochs=5)
        assert bool(result.fun > objective.value(start)) == grows


def first_gradient(X: Array, y: Array, x: Array, batch_size: int, **options: Any) -> Array:
    """Return the gradient of the first batch, as the loop computes it.

    Steps after the first update are too small to change a bit of x.
    """
    result = st.minimize(
        "log_loss",
        (X, y),
        x0=x,
        method="sgd",
        batch_size=batch_size,
        step_size=lambda t: 1.0 if t == 0 else 1e-300,
        epochs=1,
        **options,
    )
    return x - np.asarray(result.x)


@pytest.mark.parametrize("batch_size", range(1, 9))
def test_b5_variance_over_all_batches(batch_size: int) -> None:
    """Exactly, over every subset of eight rows: S^2/B (n-B)/(n-1), and the mean is the full gradient."""
    X, y = rows_and_targets("binary", n=8, d=3)
    x = np.array([0.3, -0.2, 0.1])
    slopes = st.losses.LogLoss().gradient(y, X @ x)[:, np.newaxis] * X
    full = slopes.mean(axis=0)
    found = []
    for chosen in combinations(range(8), batch_size):
        order = [*chosen, *(i for i in range(8) if i not in chosen)]
        found.append(first_gradient(X, y, x, batch_size, shuffle=order))
    assert len(found) == math.comb(8, batch_size)
    np.testing.assert_allclose(np.mean(found, axis=0), full, atol=1e-14)
    variance = np.mean(np.sum((np.array(found) - full) ** 2, axis=1))
    one_row = np.mean(np.sum((slopes - full) ** 2, axis=1))
    assert variance == pytest.approx(one_row / batch_size * (8 - batch_size) / 7, rel=1e-10, abs=1e-25)


def test_b5_variance_of_shuffled_batches() -> None:
    """The same of the library's own orders: deviations within what 1,500 draws of three numbers allow."""
    n, draws = 48, 1500
    X, y = rows_and_targets("binary", n=n, d=3)
    x = np.array([0.3, -0.2, 0.1])
    slopes = st.losses.LogLoss().gradient(y, X @ x)[:, np.newaxis] * X
    full = slopes.mean(axis=0)
    one_row = np.mean(np.sum((slopes - full) ** 2, axis=1))
    for batch_size in (1, 3, 8, 24, 40):
        found = np.array([first_gradient(X, y, x, batch_size, shuffle="full", seed=seed) for seed in range(draws)])
        variance = np.mean(np.sum((found - full) ** 2, axis=1))
        assert variance == pytest.approx(one_row / batch_size * (n - batch_size) / (n - 1), rel=0.12)


def test_b5_one_row_may_raise_the_objective() -> None:
    """A stochastic step guarantees no decrease, a full one of the same size does."""
    X, y = rows_and_targets("real")
    objective = st.Objective("squared_error", (X, y))
    step = 1 / objective.smoothness()
    values = [objective.value(np.zeros(6))]
    st.minimize(
        "squared_error",
        (X, y),
        method="sgd",
        batch_size=1,
        step_size=step / 5,
        epochs=30,
        seed=0,
        callback=lambda r: values.append(objective.value(r.x)),
    )
    assert (np.diff(values) > 0).any()
    assert min(values) < 0.5 * values[0]
