"""Sizes of the benchmarks and what each of them writes down beside its time."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import bare
import pytest
from machine import describe
from numpy.typing import NDArray

READS = 5


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("steepest")
    group.addoption(
        "--megabytes",
        type=float,
        default=float(os.environ.get("STEEPEST_BENCH_MEGABYTES", "64")),
        help="rows of each benchmark (default: STEEPEST_BENCH_MEGABYTES, or 64)",
    )
    group.addoption(
        "--reference-updates", type=int, default=2000, help="updates of the NumPy reference at the most (default 2000)"
    )


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    machine_info["steepest"] = describe()


@pytest.fixture(scope="session")
def megabytes(request: pytest.FixtureRequest) -> float:
    return float(request.config.getoption("--megabytes"))


@pytest.fixture(scope="session")
def reference_updates(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--reference-updates"))


@pytest.fixture
def record(benchmark: Any) -> Callable[..., None]:
    """Return what notes rows/s, GB/s and the share of a sequential read of the same arrays, timed right afterwards."""

    def note(arrays: list[NDArray[Any]], rows: int, *, share: float = 1.0, **more: Any) -> None:
        """Note a benchmark that went over `share` of the rows of all arrays; `rows` is how many that is."""
        read = sorted(bare.read(arrays) for _ in range(READS))[READS // 2] * share
        total = sum(array.nbytes for array in arrays) * share
        benchmark.extra_info |= {"rows": rows, "bytes": total, "sequential_read_seconds": read, **more}
        # There are no times where benchmarks are switched off.
        if benchmark.stats is not None:
            median = benchmark.stats.stats.median
            benchmark.extra_info |= {
                "rows_per_second": rows / median,
                "gigabytes_per_second": total / median / 1e9,
                "share_of_sequential_read": read / median,
            }

    return note
