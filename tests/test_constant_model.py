"""Descent of the constant model, whose batches are summed and stepped in one pass: against NumPy, batch by batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import steepest as st
from steepest import _core
from tolerances import DTYPES, tolerances

Array = NDArray[Any]
N = 5003
PENALTIES = (None, st.L2(0.3), st.L1(0.2), st.ElasticNet(0.4, 0.5))


def descended(
    y: Array, x: float, order: Array, batch_size: int, step: float, l1: float, l2: float, weight: Array | None
) -> float:
    """Descend the mean of the squared errors of the constant model."""
    w = np.ones(len(y)) if weight is None else weight.astype(np.float64)
    for start in range(0, len(y), batch_size):
        batch = order[start : start + batch_size]
        slope = w[batch] @ (x - y[batch].astype(np.float64)) / (len(batch) * w.mean())
        x = (1 - step * l2) * x - step * slope
        x = float(np.sign(x) * max(abs(x) - step * l1, 0))
    return x


def data(dtype: Any) -> tuple[Array, Array]:
    source = np.random.default_rng(3)
    return source.normal(2, 1, N).astype(dtype), source.uniform(0.1, 2, N).astype(dtype)


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@pytest.mark.parametrize("batch_size", [1, 2, 7, 16, 33, 256, 1024, 2048, 2049, 5002])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_batch_is_one_step(dtype: Any, batch_size: int, penalty: Any) -> None:
    y, weight = data(dtype)
    l1 = {"l1": 0.2, "elastic_net": 0.2}.get(getattr(penalty, "name", ""), 0.0)
    l2 = {"l2": 0.3, "elastic_net": 0.2}.get(getattr(penalty, "name", ""), 0.0)
    step = min(0.5, batch_size / 100)
    for given in (None, weight):
        for shuffle in (False, np.random.default_rng(batch_size).permutation(N)):
            options: dict[str, Any] = {"sample_weight": given, "penalty": penalty, "shuffle": shuffle}
            result = st.minimize(
                "squared_error", y, x0=-1.0, method="sgd", step_size=step, batch_size=batch_size, epochs=1, **options
            )
            order = np.arange(N) if shuffle is False else shuffle
            expected = descended(y, -1.0, order, batch_size, step, l1, l2, given)
            assert result.x[0] == pytest.approx(expected, rel=100 * tolerances(dtype).sums)
            assert result.nit == -(-N // batch_size)


@pytest.mark.parametrize("name", [name for name in st.losses.available() if st.losses.get(name).kind == "pointwise"])
@pytest.mark.parametrize("shuffle", ["full", "once", False])
def test_the_way_of_all_losses_is_that_of_a_feature_of_ones(name: str, shuffle: Any) -> None:
    """Rows of a single one are no constant model for the core: they get predictions and gradients."""
    y, weight = data(np.float64)
    y = {"binary": np.sign(y - 1), "non_negative": np.abs(y), "positive": np.abs(y) + 1}.get(
        st.losses.get(name).target, y
    )
    options: dict[str, Any] = {"method": "sgd", "step_size": 0.01, "batch_size": 50, "epochs": 2, "shuffle": shuffle}
    options |= {"seed": 5, "sample_weight": weight, "penalty": st.L2(0.1)}
    alone, rows = (st.minimize(name, given, **options) for given in (y, (np.ones((N, 1)), y)))
    assert alone.x == pytest.approx(rows.x, rel=1e-12)
    assert alone.fun == pytest.approx(rows.fun, rel=1e-12)
    running = rows.history.running_objective
    assert alone.history.running_objective == pytest.approx(running, rel=1e-12)


@pytest.mark.parametrize("n", [2_100_000, 2_097_153])
def test_streams_give_their_turns_whole(n: int) -> None:
    """The rows of a turn are a register, so that turns must begin where registers do: all but the last few."""
    order = _core.stream_order(n, 4, 256, "rows", 1, 2).astype(np.int64)
    turns = order[: n // 16 * 16].reshape(-1, 16)
    apart = (np.diff(turns) != 1).any(axis=1)
    assert apart.sum() <= 1 + 16
    assert np.array_equal(np.sort(order), np.arange(n))


def test_some_rows_of_the_constant_model() -> None:
    y, weight = data(np.float32)
    rows = np.flatnonzero(y > 2)
    options: dict[str, Any] = {"method": "sgd", "step_size": 0.1, "batch_size": 64, "seed": 1, "epochs": 2}
    for given in (None, weight):
        some = st.minimize("huber", y, rows=rows, sample_weight=given, **options)
        alone = st.minimize("huber", y[rows], sample_weight=None if given is None else given[rows], **options)
        assert some.x[0] == pytest.approx(alone.x[0], rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 10, 100])
def test_the_batch_that_leaves_the_numbers_is_named(batch_size: int) -> None:
    y = np.zeros(1000)
    y[730] = 1e200
    with pytest.warns(st.ConvergenceWarning, match=f"in batch {730 // batch_size} of epoch 0"):
        result = st.minimize("mse", y, method="sgd", step_size=0.1, batch_size=batch_size, epochs=3, shuffle=False)
    assert result.status.name == "diverged"
    assert result.x[0] == 0


def test_steps_of_a_schedule_are_those_of_their_batches() -> None:
    times: list[float] = []

    def step(t: float) -> float:
        times.append(t)
        return 0.1 / (1 + t)

    y, _ = data(np.float64)
    st.minimize("mse", y, method="sgd", step_size=step, batch_size=100, epochs=2, seed=0)
    batches = -(-N // 100)
    assert times[-2 * batches :] == pytest.approx([e + b / batches for e in (0, 1) for b in range(batches)])
