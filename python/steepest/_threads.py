"""How many threads a call may use."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Count the cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_threads() -> int:
    """Return the threads a call uses when it is not told: the cores, unless ``OMP_NUM_THREADS`` says less.

    joblib's workers set that variable, so that fits inside them do not crowd each other out.
    """
    limit = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    cores = available_cores()
    return min(cores, int(limit)) if limit.isdigit() and int(limit) > 0 else cores
