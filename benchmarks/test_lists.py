"""Every penalty and every update rule: what an update costs beside the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import steepest as st

PARAMETERS = 100_000


@pytest.mark.parametrize("name", st.penalties.available())
class TestPenalty:
    @pytest.fixture(autouse=True)
    def group(self, benchmark: Any) -> None:
        benchmark.group = f"penalties, {PARAMETERS} coefficients"

    @pytest.mark.parametrize("metric", [False, True], ids=["one step", "a step per coordinate"])
    def test_prox(self, benchmark: Any, name: str, metric: bool) -> None:
        generator = np.random.default_rng(0)
        w = generator.normal(size=(100, PARAMETERS // 100))
        steps = generator.uniform(0.01, 0.1, size=w.shape)
        penalty = st.penalties.get(name).on(w.shape)
        point = benchmark(penalty.prox, w, steps if metric else 0.05)
        assert np.isfinite(point).all()
        assert np.array_equal(point, w) == penalty.smooth

    def test_value(self, benchmark: Any, name: str) -> None:
        penalty = st.penalties.get(name).on((PARAMETERS,))
        w = penalty.prox(np.random.default_rng(1).normal(size=PARAMETERS), 1.0)
        assert np.isfinite(benchmark(penalty.value, w))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", st.optim.available())
def test_step(benchmark: Any, name: str, dtype: str) -> None:
    """One update of a tensor; the tensor gets new memory each time, as graphs that still hold the old one demand."""
    benchmark.group = f"rules, {PARAMETERS} parameters, {dtype}"
    start = np.random.default_rng(2).normal(size=PARAMETERS).astype(dtype)
    tensor = st.tensor(start, requires_grad=True)
    optimizer = type(st.optim.get(name))([tensor], lr=1e-3)
    tensor.grad = st.tensor(np.random.default_rng(3).normal(size=PARAMETERS).astype(dtype))
    benchmark(optimizer.step)
    assert np.isfinite(tensor.detach().numpy()).all()
    assert not np.array_equal(tensor.detach().numpy(), start)
