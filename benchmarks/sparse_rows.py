"""Sparse rows: time per batch as columns grow, and rows per second against scikit-learn.

    python benchmarks/sparse_rows.py [--rows 500000] [--columns 100000] [--dtype float64] [--json FILE]

Rows hold 50 entries in different columns, drawn from a power law. One epoch of steepest, batch by batch, and one of
SGDClassifier, in turn, each with one thread. Columns grow in three ways: the same rows get more, empty ones, so that
nothing changes but their number; the same 10,000 are met, but lie anywhere among more; and rows have entries in all of
them. Beside each a bare loop gathers and moves the same coefficients and computes nothing: what grows there, caches
cost. Times are the fastest of several. Over scikit-learn the clock counts, and scikit-learn's BLAS is kept to
one thread. What is told of batches is the processor's time: on a machine that does other work besides, the clock
measures that.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bare import move_columns
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn import config_context
from sklearn.linear_model import SGDClassifier
from threadpoolctl import threadpool_limits

import steepest as st

Array = NDArray[Any]
ENTRIES = 50
BATCH = 32
PENALTIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "L2": (st.L2(1e-4), {"penalty": "l2", "alpha": 1e-4}),
    "L1": (st.L1(1e-5), {"penalty": "l1", "alpha": 1e-5}),
}


def draw_columns(rng: np.random.Generator, n: int, d: int) -> Array:
    """Draw columns from a power law for each row, the first that differ."""
    # The inverse of the distribution function of density 1/x between 1 and d + 1.
    drawn = np.minimum(np.exp(rng.random((n, 3 * ENTRIES)) * np.log(d + 1)).astype(np.int32) - 1, d - 1)
    place = np.argsort(drawn, axis=1, kind="stable")
    columns = np.take_along_axis(drawn, place, 1)
    place[:, 1:][columns[:, 1:] == columns[:, :-1]] = drawn.shape[1]
    place = np.sort(place, axis=1)[:, :ENTRIES]
    return np.take_along_axis(drawn, place, 1)


def make_rows(n: int, d: int, dtype: str, seed: int = 0) -> tuple[Any, Array]:
    """Draw rows whose columns are power-law distributed, and labels that depend on them."""
    rng = np.random.default_rng(seed)
    columns = np.concatenate([draw_columns(rng, min(n - i, 50_000), d) for i in range(0, n, 50_000)])
    columns = np.random.default_rng(1).permutation(d).astype(np.int32)[columns]
    columns.sort(axis=1)
    assert (columns[:, 1:] > columns[:, :-1]).all()
    indptr = np.arange(0, n * ENTRIES + 1, ENTRIES, dtype=np.int32)
    rows = csr_matrix((rng.normal(size=n * ENTRIES).astype(dtype), columns.ravel(), indptr), shape=(n, d))
    score = rows @ rng.normal(size=d) + rng.normal(size=n)
    return rows, np.where(score > 0, 1.0, -1.0).astype(dtype)


def among(rows: Any, columns: int) -> Any:
    """Return rows with the same entries, their columns scattered among more."""
    places = np.sort(np.random.default_rng(2).choice(columns, rows.shape[1], replace=False)).astype(np.int32)
    return csr_matrix((rows.data, places[rows.indices], rows.indptr), shape=(rows.shape[0], columns))


def before_empty(rows: Any, columns: int) -> Any:
    """Return the same rows with empty columns behind their own."""
    return csr_matrix((rows.data, rows.indices, rows.indptr), shape=(rows.shape[0], columns))


def steepest_seconds(
    rows: Any, y: Array, penalty: Any, shuffle: Any, epochs: int = 3, clock: Callable[[], float] = time.process_time
) -> float:
    """Return the time of an epoch: the shortest between two callbacks."""
    ends: list[float] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        st.minimize(
            "log_loss",
            (rows, y),
            method="sgd",
            step_size=0.1,
            penalty=penalty,
            batch_size=BATCH,
            epochs=epochs + 1,
            shuffle=shuffle,
            fit_intercept=True,
            n_threads=1,
            seed=0,
            callback=lambda state: ends.append(clock()),
        )
    return float(np.diff(ends).min())


def sklearn_seconds(rows: Any, y: Array, options: dict[str, Any], epochs: int = 3) -> float:
    """Return the time of an epoch of scikit-learn, the shortest; its look for NaN is left out."""
    model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.1, random_state=0, **options)
    seconds = []
    with config_context(assume_finite=True), threadpool_limits(1, "blas"):
        for _ in range(epochs + 1):
            begin = time.perf_counter()
            model.partial_fit(rows, y, classes=[-1.0, 1.0])
            seconds.append(time.perf_counter() - begin)
    return min(seconds[1:])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--columns", type=int, default=100_000)
    parser.add_argument("--dtype", default="float64", choices=["float32", "float64"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    if options.columns < 200:
        parser.error("--columns must be at least 200: rows are to meet 50 different ones by chance")
    results: dict[str, Any] = {"rows": options.rows, "dtype": options.dtype, "batch": BATCH, "peers": []}
    results |= {"columns": [], "ends": []}

    rows, y = make_rows(options.rows, options.columns, options.dtype)
    for name, (penalty, theirs) in PENALTIES.items():
        ours: dict[str, list[float]] = {"stream": [], "full": []}
        peer = []
        for _ in range(options.repeats):
            for shuffle, seconds in ours.items():
                seconds.append(steepest_seconds(rows, y, penalty, shuffle, clock=time.perf_counter))
            peer.append(sklearn_seconds(rows, y, theirs))
        line = {
            "penalty": name,
            "scikit-learn": min(peer),
            **{shuffle: min(seconds) for shuffle, seconds in ours.items()},
        }
        results["peers"].append(line)
        told = ", ".join(f"{k} {options.rows / v / 1e6:.2f} million rows/s" for k, v in line.items() if k != "penalty")
        print(f"{name}: {told}; {min(peer) / line['stream']:.2f} and {min(peer) / line['full']:.2f} times by the clock")

    counts = (10_000, 100_000, 1_000_000)
    spread = {d: make_rows(options.rows, d, options.dtype) for d in counts}
    fewest, labels = spread[counts[0]]
    alone = {d: (before_empty(fewest, d), labels) for d in counts}
    met = {d: (among(fewest, d), labels) for d in counts}
    for columns, several, shuffle in (
        ("the others empty", alone, "stream"),
        ("the same met anywhere among them", met, "stream"),
        ("all of them met", spread, "stream"),
        ("all of them met", spread, "full"),
    ):
        order = np.arange(options.rows, dtype=np.uint32)
        if shuffle == "full":
            order = np.random.default_rng(2).permutation(order)
        times: dict[str, dict[int, list[float]]] = {
            name: {d: [] for d in several} for name in ("bare loop", *PENALTIES)
        }
        for _ in range(options.repeats):
            for d, (X, targets) in several.items():
                times["bare loop"][d].append(min(move_columns(X, order, BATCH) for _ in range(2)))
                for name, (penalty, _) in PENALTIES.items():
                    times[name][d].append(steepest_seconds(X, targets, penalty, shuffle, epochs=2))
        for name, of_columns in times.items():
            micro = {d: min(seconds) / (options.rows / BATCH) * 1e6 for d, seconds in of_columns.items()}
            line = {"penalty": name, "shuffle": shuffle, "columns": columns, "microseconds": micro}
            results["columns"].append(line)
            told = ", ".join(f"{d:,} columns {t:.2f} us a batch" for d, t in micro.items())
            print(f"{name}, {shuffle}, {columns}: {told}")
    for name, (penalty, _) in PENALTIES.items():
        # An epoch of two batches is little else.
        ends = {d: steepest_seconds(X[:64], y[:64], penalty, "stream", 9) * 1e3 for d, (X, y) in spread.items()}
        results["ends"].append({"penalty": name, "milliseconds": ends})
        print(f"{name}, end of an epoch: " + ", ".join(f"{d:,} columns {t:.2f} ms" for d, t in ends.items()))
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
