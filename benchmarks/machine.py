"""What is measured on, and how: the machine and the versions, and medians of interleaved repetitions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from steepest import _core
from steepest._threads import available_cores, default_threads

Array = NDArray[Any]
Key = TypeVar("Key", bound=Hashable)

PACKAGES = ("steepest", "numpy", "scipy", "scikit-learn", "torch", "jax", "numba")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
# Thread pools of some libraries spin for a while after their work is done.
PAUSE = 0.005


def thread_counts() -> list[int]:
    """Return one, and all that a call may use."""
    return sorted({1, default_threads()})


def versions() -> dict[str, str | None]:
    """Return the version of each package, None where it is not installed."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def processor() -> str:
    """Name the processor as well as the system lets on."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def last_cache_bytes() -> int | None:
    """Return the size of the largest cache, None where the system does not say."""
    sizes = []
    for path in CACHES.glob("index*/size"):
        text = path.read_text(encoding="utf-8").strip()
        sizes.append(int(text.rstrip("KM")) * {"K": 1024, "M": 1024**2}.get(text[-1], 1))
    return max(sizes, default=None)


def huge_pages() -> str:
    """Return the system's setting of transparent huge pages."""
    try:
        text = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text(encoding="utf-8")
    except OSError:
        return "unknown"
    return text.partition("[")[2].partition("]")[0]


def describe() -> dict[str, Any]:
    """Return what a reader needs to know to compare figures."""
    return {
        "processor": processor(),
        "cores": available_cores(),
        "threads": default_threads(),
        "level": _core.level(),
        "compiler": _core.compiler(),
        "last_cache_bytes": last_cache_bytes(),
        "huge_pages": huge_pages(),
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": versions(),
    }


def interleave(
    cases: Mapping[Key, Callable[[], float]],
    repeats: int,
    budget: float,
    tell: Callable[[Key], None] = lambda key: None,
) -> dict[Key, list[float]]:
    """Return the seconds of each case, taken in turn, so that a noisy minute hits all alike.

    Each case runs `repeats` times, fewer where it has used up `budget` seconds, but once at the least.
    """
    seconds: dict[Key, list[float]] = {key: [] for key in cases}
    for _ in range(repeats):
        for key, run in cases.items():
            if sum(seconds[key]) <= budget:
                tell(key)
                time.sleep(PAUSE)
                seconds[key].append(run())
    return seconds


def spread(values: list[float]) -> float:
    """Return the distance between the quartiles over the median."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / statistics.median(values)


def aligned(array: Array) -> Array:
    """Return a copy that begins at a cache line, which JAX can read in place."""
    line = 64
    space = np.empty(array.nbytes + line, np.uint8)
    start = -space.ctypes.data % line
    copy = space[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
