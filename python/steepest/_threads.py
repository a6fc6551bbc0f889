"""How many threads a call may use."""

from __future__ import annotations

import functools
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast


def available_cores() -> int:
    """Count the cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_threads() -> int:
    """Return the threads a call uses when it is not told: the cores, unless somebody said less.

    ``OMP_NUM_THREADS`` does, which joblib sets in its workers so that fits inside them do not crowd each other out, and
    so do threadpoolctl's limits of BLAS and OpenMP, where threadpoolctl is in use.
    """
    limits = [available_cores()]
    said = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if said.isdigit() and int(said) > 0:
        limits.append(int(said))
    if "threadpoolctl" in sys.modules:
        limits += [library["num_threads"] for library in _controller().info()]
    return max(1, min(limits))


@functools.lru_cache(maxsize=1)
def _controller() -> Any:
    """Return the libraries that threadpoolctl controls; to find them takes milliseconds, to ask them does not."""
    return sys.modules["threadpoolctl"].ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[Any]:
    """Keep BLAS to one thread for a while, where threadpoolctl is installed to say so.

    SciPy's methods call it for matrices of a few rows, for which threads wait for each other a hundred times as long as
    the work takes, and which the core's own threads have to wait for in turn.
    """
    try:
        import threadpoolctl  # noqa: F401
    except ImportError:
        return nullcontext()
    return cast("AbstractContextManager[Any]", _controller().limit(limits=1, user_api="blas"))
