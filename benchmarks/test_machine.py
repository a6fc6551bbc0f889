"""The control: what the memory gives at the time of this run. Where it moves, so does everything else."""

from __future__ import annotations

from typing import Any

import bare
import numpy as np
import pytest
from machine import thread_counts


@pytest.mark.parametrize("threads", thread_counts())
def test_sequential_read(benchmark: Any, record: Any, megabytes: float, threads: int) -> None:
    numbers = np.random.default_rng(0).standard_normal(max(1024, int(megabytes * 1e6 / 4)), np.float32)
    seconds = benchmark(bare.read, [numbers], threads)
    assert seconds > 0
    record([numbers], numbers.size, threads=threads)


@pytest.mark.parametrize("threads", thread_counts())
@pytest.mark.parametrize("features", [0, 28, 784])
def test_random_gather(benchmark: Any, record: Any, megabytes: float, features: int, threads: int) -> None:
    generator = np.random.default_rng(1)
    rows = max(64, int(megabytes * 1e6 / (4 * features + 4)))
    X = generator.standard_normal((rows, features), np.float32) if features else None
    y = generator.standard_normal(rows, np.float32)
    order = generator.permutation(rows).astype(np.uint32)
    seconds = benchmark(bare.gather, X, y, order, threads, bare.best_distance(X, y, order))
    assert seconds > 0
    record([y] if X is None else [X, y], rows, threads=threads)
