"""Time an epoch over the same whole numbers stored in several types: rows a second by type and batch size.

The processor's time of the one thread is counted, the least over interleaved repeats: a busy machine disturbs it less.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

import steepest as st


def filled(rows: int, features: int, dtype: Any) -> NDArray[Any]:
    """Return rows of whole numbers from 0 to 127, the same for every type."""
    block = np.random.default_rng(0).integers(0, 128, size=(1 << 14, features), dtype=np.uint8)
    X = np.empty((rows, features), dtype)
    for start in range(0, rows, len(block)):
        part = X[start : start + len(block)]
        part[...] = block[: len(part)]
    return X


def epoch_seconds(X: NDArray[Any], y: NDArray[Any], batch_size: int, shuffle: str, seed: int) -> float:
    """Return the seconds of a second epoch: the first one meets memory that is still to be mapped."""
    marks: list[float] = []

    def mark(_: Any) -> None:
        marks.append(time.process_time())

    st.minimize(
        "log_loss",
        (X, y),
        method="sgd",
        step_size=1e-9,
        batch_size=batch_size,
        epochs=2,
        seed=seed,
        shuffle=shuffle,
        n_threads=1,
        check_finite=False,
        callback=mark,
    )
    return marks[1] - marks[0]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--features", type=int, default=784)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32, 256, 2048])
    parser.add_argument("--types", nargs="+", default=["float32", "uint8", "int16", "float16"])
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--shuffle", choices=["stream", "full"], default="stream")
    options = parser.parse_args()
    data = {kind: filled(options.rows, options.features, kind) for kind in options.types}
    y = np.where(np.arange(options.rows) % 3, np.float32(1), np.float32(-1))
    for batch in options.batches:
        best = dict.fromkeys(data, float("inf"))
        for seed in range(options.repeats):
            for kind, X in data.items():
                best[kind] = min(best[kind], epoch_seconds(X, y, batch, options.shuffle, seed))
        first = best[options.types[0]]
        cells = [f"{kind} {options.rows / one / 1e6:.2f} ({first / one:.2f} x)" for kind, one in best.items()]
        print(f"batch {batch:5d}, million rows/s: " + ", ".join(cells), flush=True)


if __name__ == "__main__":
    main()
