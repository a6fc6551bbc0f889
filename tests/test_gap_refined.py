"""Newton's steps to a better point, from which the bound of the gap is better."""

import math
from typing import Any

import numpy as np
import pytest

import members
import steepest as st
from members import Array
from steepest import _gap_refined
from steepest._gap_refined import UNASKED_PRODUCTS, Point, newton
from steepest._scipy import SmoothObjective


@pytest.mark.parametrize("d", [1, 4, 30])
def test_newtons_steps(d: int) -> None:
    """From far away, where full steps go wrong, to a short gradient; then no step is taken that brings nothing."""
    source = members.random(d)
    A, b = source.normal(size=(3 * d, d)), source.normal(size=3 * d)

    def evaluate(x: Array) -> tuple[float, Array]:
        z = A @ x - b
        return float(np.sum(np.logaddexp(z, -z)) + 0.01 * x @ x), A.T @ np.tanh(z) + 0.02 * x

    def hessp(x: Array, v: Array) -> Array:
        return A.T @ ((1 - np.tanh(A @ x - b) ** 2) * (A @ v)) + 0.02 * v

    far = source.normal(size=d) * 3
    start = Point(far, *evaluate(far))
    found = newton(evaluate, hessp, start, 1e-4 * float(np.linalg.norm(start.gradient)))
    assert np.linalg.norm(found.gradient) <= 1e-4 * np.linalg.norm(start.gradient)
    assert found.value < start.value
    exact = newton(evaluate, hessp, start, 0.0)
    assert np.linalg.norm(exact.gradient) < 1e-14 * np.linalg.norm(start.gradient)
    np.testing.assert_allclose(newton(evaluate, hessp, exact, 0.0).x, exact.x, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("penalty", [st.L2(1e-4), st.L1(1e-4), st.ElasticNet(1e-4, 0.5)], ids=str)
def test_where_nobody_asks_it_costs_some_products_and_no_more(penalty: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    products, product = 0, SmoothObjective.hessp

    def counted(*given: Any) -> Array:
        nonlocal products
        products += 1
        return product(*given)

    monkeypatch.setattr(SmoothObjective, "hessp", counted)
    # Fewer rows than features: second-order steps have far to go.
    source = members.random(penalty)
    X = source.normal(size=(60, 80))
    y = np.where(X @ source.normal(size=80) + source.normal(size=60) > 0, 1.0, -1.0)
    members.vary(y)
    options: dict[str, Any] = {"method": "sgd", "batch_size": 8, "epochs": 3, "penalty": penalty}
    assert st.minimize("log_loss", (X, y), **options).gap is not None
    unasked, products = products, 0
    assert 1 < unasked <= UNASKED_PRODUCTS
    monkeypatch.setattr(_gap_refined, "UNASKED_PRODUCTS", math.inf)
    st.minimize("log_loss", (X, y), **options)
    assert products > UNASKED_PRODUCTS
