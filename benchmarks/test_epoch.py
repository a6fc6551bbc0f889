"""One epoch by batch size and number of features: the kernels against the NumPy reference."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from epochs import make_rows, minimize_quietly, step_for
from machine import thread_counts
from numpy.typing import NDArray
from rivals import log_loss_slope

import steepest as st
from steepest import reference

Array = NDArray[Any]

BATCHES = (1, 16, 32, 64, 128, 256, 1024, 4096)
FEATURES = (1, 28, 784)


@lru_cache(maxsize=1)
def rows_of(features: int, megabytes: float) -> tuple[Array, Array]:
    return make_rows(features, megabytes / 1000, seed=features)


@pytest.fixture
def rows(benchmark: Any, features: int, batch: int, megabytes: float) -> tuple[Array, Array]:
    benchmark.group = f"{features} features, batch {batch}"
    return rows_of(features, megabytes)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("features", FEATURES)
class TestEpoch:
    @pytest.mark.parametrize("shuffle", ["stream", "full", False])
    @pytest.mark.parametrize("threads", thread_counts())
    def test_kernel(
        self,
        benchmark: Any,
        record: Any,
        rows: tuple[Array, Array],
        features: int,
        batch: int,
        shuffle: Any,
        threads: int,
    ) -> None:
        """A whole call: the order, the descent, and one more pass for the objective at its end."""
        options = {"method": "sgd", "step_size": step_for(features), "batch_size": batch, "epochs": 1, "seed": 0}
        options |= {"shuffle": shuffle, "n_threads": threads, "check_finite": False}

        def epoch() -> st.Result:
            return minimize_quietly("log_loss", rows, **options)

        result = benchmark.pedantic(epoch, rounds=3, warmup_rounds=1)
        assert result.fun < np.log(2)
        record([*rows], len(rows[1]), objective=result.fun, seconds_of_descent=float(result.history.seconds[-1]))

    def test_reference(
        self,
        benchmark: Any,
        record: Any,
        rows: tuple[Array, Array],
        features: int,
        batch: int,
        reference_updates: int,
    ) -> None:
        """As many updates as the patience allows, on rows from all over the data; its shuffle is not counted."""
        X, y = rows
        order = np.random.default_rng(0).permutation(len(y))[: batch * reference_updates]

        def epoch() -> Array:
            return reference.descend(log_loss_slope, X, y, np.zeros(features), [order], batch, step_for(features))

        x = benchmark.pedantic(epoch, rounds=3)
        objective = st.Objective("log_loss", rows).value(x)
        assert objective < np.log(2)
        record([*rows], len(order), share=len(order) / len(y), objective=objective)
