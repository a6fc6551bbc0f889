"""The cases beside the epochs: full gradients, the textbook's call, how the cost grows, Ctrl-C, memory."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import bare
import numpy as np
from epochs import make_rows, minimize_quietly, step_for
from machine import aligned, interleave, thread_counts
from numpy.typing import NDArray

import steepest as st
from steepest import reference

Array = NDArray[Any]

P5 = np.array([12.1, 12.8, 14.9, 16.3, 17.2])
# Calls in a row, as a user makes them, and how often the two take turns.
TEXTBOOK_CALLS = 50
TEXTBOOK_TURNS = 30
GROWTH_BATCH = 256
CACHED_BYTES, CACHED_NUMBERS = 800_000, 100_000_000

INTERRUPT = """
import os, signal, sys, threading, time
import steepest as st
signal.signal(signal.SIGINT, signal.default_int_handler)  # what shells start in the background ignores Ctrl-C
X, y = st.data.logistic(int(sys.argv[1]), 28, seed=0)
pressed = 0.0
def press():
    global pressed
    time.sleep(0.3)
    pressed = time.perf_counter()
    os.kill(os.getpid(), signal.SIGINT)
thread = threading.Thread(target=press)
thread.start()
try:
    st.minimize("log_loss", (X, y), method="sgd", batch_size=256, step_size=0.01, epochs=10**6, seed=0,
                check_finite=False)
except st.Interrupted:
    print(time.perf_counter() - pressed)
thread.join()
"""

# The high-water mark is set back once the data stand, so what it shows later is the fit's own. Linux allows that.
MEMORY = """
import sys, warnings
from pathlib import Path
import numpy as np
who, layout, rows, features = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
warnings.simplefilter("ignore")
generator = np.random.default_rng(0)
def make(n):
    X = np.empty((n, features), np.float32, order="F" if layout == "F" else "C")
    for start in range(0, n, 4096):
        stop = min(n, start + 4096)
        X[start:stop] = generator.standard_normal((stop - start, features), np.float32)
    return X
X = make(2 * rows)[::2] if layout == "strided" else make(rows)
y = np.where(X[:, 0] > 0, np.float32(1), np.float32(-1))
small, few = X[:256].copy(), y[:256].copy()
def fit(X, y):
    if who == "steepest":
        import steepest as st
        st.minimize("log_loss", (X, y), method="sgd", batch_size=256, step_size=0.01, epochs=1, seed=0)
    else:
        from sklearn.linear_model import SGDClassifier
        SGDClassifier(loss="log_loss", max_iter=1, tol=None, fit_intercept=False, random_state=0).fit(X, y)
fit(small, few)
def status(key):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
fit(X, y)
print(status("VmHWM") - before)
"""


def full_gradient(X: Array, y: Array, repeats: int, budget: float) -> dict[str, Any]:
    """Time one pass over all rows for the gradient, beside a sequential read of them."""
    objective = st.Objective("log_loss", (X, y), check_finite=False)
    x = np.zeros(X.shape[1], np.float32)
    counts = thread_counts()

    def call() -> float:
        began = time.perf_counter()
        objective.value_and_gradient(x)
        return time.perf_counter() - began

    def descend(threads: int) -> Callable[[], float]:
        def run() -> float:
            options = {"method": "gd", "step_size": 0.01, "epochs": 1, "check_finite": False, "n_threads": threads}
            return float(minimize_quietly("log_loss", (X, y), **options).history.seconds[-1])

        return run

    def read(threads: int) -> Callable[[], float]:
        return lambda: bare.read([X, y], threads)

    runs: dict[tuple[str, int], Callable[[], float]] = {("Objective.value_and_gradient", counts[-1]): call}
    for threads in counts:
        runs["gd", threads] = descend(threads)
        runs["sequential read", threads] = read(threads)
    seconds = {key: statistics.median(times) for key, times in interleave(runs, repeats, budget).items()}
    total = X.nbytes + y.nbytes
    return {
        "features": X.shape[1],
        "rows": len(y),
        "gigabytes_per_second": {f"{name}, {threads}": total / s / 1e9 for (name, threads), s in seconds.items()},
        "share_of_read": {
            f"{name}, {threads}": seconds["sequential read", threads] / s
            for (name, threads), s in seconds.items()
            if name != "sequential read"
        },
        "best_share": min(seconds["sequential read", threads] for threads in counts)
        / min(s for (name, _), s in seconds.items() if name != "sequential read"),
    }


def textbook() -> dict[str, float]:
    """Time a whole call with the textbook's 18 updates, beside the textbook's loop in NumPy, in microseconds."""
    tolerance = st.StepTolerance(1e-3)

    def here() -> Any:
        return st.minimize("mse", P5, method="gd", step_size=0.2, x0=0.0, tol=tolerance)

    def in_numpy() -> Any:
        return reference.minimize(reference.mse, reference.grad_mse, P5, progress=False)

    assert here().nit == 18
    assert abs(here().x[0] - in_numpy()) < 1e-12

    def timed(call: Callable[[], Any]) -> Callable[[], float]:
        def run() -> float:
            call()  # the first after a pause finds nothing in the caches, and takes as long as six
            began = time.perf_counter()
            for _ in range(TEXTBOOK_CALLS):
                call()
            return (time.perf_counter() - began) / TEXTBOOK_CALLS * 1e6

        return run

    runs = {"steepest": timed(here), "NumPy": timed(in_numpy)}
    times = interleave(runs, TEXTBOOK_TURNS, budget=float("inf"))
    return {name: statistics.median(values) for name, values in times.items()}


def growth(gigabytes: float, repeats: int, budget: float) -> dict[str, Any]:
    """Measure how the time of an epoch of "stream" grows with rows, features and batch size, all of them in turn.

    Rows of other widths are cut from the same numbers, and have labels that do not depend on them. A slow minute of the
    machine must not look like growth, so there are more turns than elsewhere.
    """
    most = thread_counts()[-1]
    X, y = make_rows(28, gigabytes, seed=3)

    def epoch(X: Array, y: Array, batch: int = GROWTH_BATCH, threads: int = most) -> Callable[[], float]:
        options = {"method": "sgd", "step_size": step_for(X.shape[1]), "shuffle": "stream", "check_finite": False}
        return lambda: float(
            minimize_quietly(
                "log_loss", (X, y), batch_size=batch, n_threads=threads, epochs=1, seed=0, **options
            ).history.seconds[-1]
        )

    batches = (32, 64, 128, 256, 512, 1024, 2048, 4096)
    shares = [int(share * len(y)) for share in (0.125, 0.25, 0.5, 1.0)]
    wide = {d: X.reshape(-1)[: X.size // d * d].reshape(-1, d) for d in (16, 28, 64, 128, 256, 784)}
    runs: dict[tuple[str, int, int], Callable[[], float]] = {
        ("batch", threads, batch): epoch(X, y, batch, threads) for threads in thread_counts() for batch in batches
    }
    runs |= {("rows", 0, rows): epoch(X[:rows], y[:rows]) for rows in shares}
    runs |= {("features", 0, d): epoch(rows, aligned(np.resize(y, len(rows)))) for d, rows in wide.items()}
    seconds = {key: statistics.median(times) for key, times in interleave(runs, 2 * repeats + 1, budget).items()}
    return {
        "ns_per_row_by_batch": {
            threads: {batch: seconds["batch", threads, batch] / len(y) * 1e9 for batch in batches}
            for threads in thread_counts()
        },
        "seconds_by_rows": {rows: seconds["rows", 0, rows] for rows in shares},
        "ns_per_row_by_features": {d: seconds["features", 0, d] / len(rows) * 1e9 for d, rows in wide.items()},
    }


def cached(features: int, batch: int, repeats: int) -> float:
    """Return the ns a row of descent through rows that lie in the cache: what it takes where nothing is waited for."""
    rows = CACHED_BYTES // (4 * (features + 1))
    X, y = (part[:rows] for part in make_rows(features, CACHED_BYTES / 1e9, seed=4))
    passes = max(1, CACHED_NUMBERS // X.size)
    options = {"method": "sgd", "step_size": 0.01, "batch_size": batch, "shuffle": False, "history": False}
    runs = []
    for _ in range(repeats):
        began = time.perf_counter()
        minimize_quietly("log_loss", (X, y), epochs=passes, n_threads=1, check_finite=False, **options)
        runs.append((time.perf_counter() - began) / (passes * rows) * 1e9)
    return statistics.median(runs)


def constant_values(rows: int, seed: int = 5) -> Array:
    """Draw values for the constant model: a bulk and a heavy tail, as for tips."""
    generator = np.random.default_rng(seed)
    y = generator.normal(16, 6, size=rows).astype(np.float32)
    y[:: max(2, rows // 1000)] += np.float32(50)
    return aligned(y)


def in_a_process(code: str, *arguments: object) -> float:
    """Run Python code in a process of its own and return the number it prints."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(f"a process ended with {done.returncode}, arguments {arguments}:\n{done.stderr}")
    return float(done.stdout)


def interruption(tries: int, rows: int) -> list[float]:
    """Return the seconds from Ctrl-C to the exception, in processes of their own."""
    return [in_a_process(INTERRUPT, rows) for _ in range(tries)]


def memory(rows: int, features: int) -> dict[str, dict[str, float]] | str:
    """Return the peak memory of a fit beyond the data, in bytes a row and as a multiple of X, by tool and layout."""
    if not sys.platform.startswith("linux"):
        return "only Linux lets a process set back its high-water mark"
    tools = ["steepest", *(["scikit-learn"] if find_spec("sklearn") else [])]
    found = {}
    for tool in tools:
        for layout in ("C", "F", "strided"):
            extra = in_a_process(MEMORY, tool, layout, rows, features)
            found[f"{tool}, {layout}"] = {
                "megabytes": extra / 1e6,
                "bytes_per_row": extra / rows,
                "multiple_of_X": extra / (4 * rows * features),
            }
    return found
