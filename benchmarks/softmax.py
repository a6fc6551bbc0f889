"""An epoch of softmax regression against PyTorch and the arithmetic's limit: `python benchmarks/softmax.py [--rows N]`.

784 features, 10 classes, batches of 256 rows in float32, plain descent, one thread. PyTorch runs its eager loop as
tutorials write it, over the same rows in the same order, its shuffle not counted, and must arrive at the same
coefficients. The limit are multiply-adds that wait for nothing (`bare.multiply_and_add`), measured in the same run; an
epoch does four operations for every number of the rows and class. Seconds are of the clock and of the processor, which
say more on a machine that others use too.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import bare
import numpy as np
from goals import Goal
from machine import aligned
from numpy.typing import NDArray
from report import print_goals
from rich.console import Console

import steepest as st

Array = NDArray[Any]

FEATURES, CLASSES, BATCH = 784, 10, 256
STEP = 0.01
WANTED_SHARE, WANTED_FACTOR = 0.5, 3.0


def now() -> Array:
    """Return the seconds of the clock and of the processor."""
    return np.array([time.perf_counter(), time.process_time()])


def timed(work: Callable[[], Any]) -> Array:
    """Return the seconds that it takes."""
    began = now()
    work()
    return now() - began


def steepest(X: Array, y: Array, shuffle: Any, epochs: int, marks: list[Array] | None = None) -> Array:
    """Descend; mark the end of every epoch."""
    return st.minimize(
        "softmax",
        (X, y),
        method="sgd",
        step_size=STEP,
        batch_size=BATCH,
        epochs=epochs,
        shuffle=shuffle,
        seed=0,
        n_threads=1,
        history=False,
        check_finite=False,
        callback=None if marks is None else lambda _: marks.append(now()),
    ).coef


def steepest_epoch(X: Array, y: Array, shuffle: Any) -> Array:
    """Return the seconds of an epoch without what comes before the first and after the last."""
    marks: list[Array] = []
    steepest(X, y, shuffle, 3, marks)
    return np.diff(marks, axis=0).min(axis=0)


def torch_epoch(X: Array, y: Array, order: Array) -> Array:
    """Descend for an epoch in PyTorch's eager loop."""
    import torch

    torch.set_num_threads(1)
    rows, labels, places = torch.from_numpy(X), torch.from_numpy(y), torch.from_numpy(order)
    W = torch.zeros(CLASSES, FEATURES, requires_grad=True)
    optimizer = torch.optim.SGD([W], lr=STEP)
    for first in range(0, len(y), BATCH):
        batch = places[first : first + BATCH]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(rows[batch] @ W.T, labels[batch]).backward()
        optimizer.step()
    return np.asarray(W.detach().numpy())


def run(rows: int, repeats: int) -> tuple[dict[str, Array], list[Goal]]:
    """Return the seconds of each case, and what they mean for the goals."""
    rng = np.random.default_rng(0)
    X = aligned(rng.random((rows, FEATURES), dtype=np.float32))
    y = rng.integers(CLASSES, size=rows)
    y[:CLASSES] = np.arange(CLASSES)
    order = rng.permutation(rows)
    operations = 4 * rows * FEATURES * CLASSES
    bare.multiply_and_add(operations)
    cases: dict[str, Callable[[], Array]] = {
        "multiply-adds alone": lambda: timed(lambda: bare.multiply_and_add(operations)),
        "steepest, stream": lambda: steepest_epoch(X, y, "stream"),
        "steepest, the same order": lambda: steepest_epoch(X, y, order),
    }
    try:
        theirs = torch_epoch(X, y, order)
    except ImportError:
        print("PyTorch is not installed: pip install .[peers]", file=sys.stderr)
    else:
        np.testing.assert_allclose(steepest(X, y, order, 1), theirs, atol=1e-4)
        cases["PyTorch"] = lambda: timed(lambda: torch_epoch(X, y, order))
    turns = [{name: case() for name, case in cases.items()} for _ in range(repeats)]
    seconds = {name: np.min([turn[name] for turn in turns], axis=0) for name in cases}
    goals = []
    for which, of in enumerate(("clock", "processor")):
        taken = {name: float(pair[which]) for name, pair in seconds.items()}
        share = taken["multiply-adds alone"] / taken["steepest, stream"]
        goals.append(Goal(f"softmax, stream, by the {of}: of the multiply-adds' peak", share, WANTED_SHARE))
        if "PyTorch" in taken:
            factor = taken["PyTorch"] / taken["steepest, the same order"]
            goals.append(Goal(f"softmax, by the {of}: over PyTorch", factor, WANTED_FACTOR, unit="factor"))
    return seconds, goals


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table and the goals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args(arguments)
    seconds, goals = run(options.rows, options.repeats)
    operations = 4 * options.rows * FEATURES * CLASSES
    for name, (clock, processor) in seconds.items():
        speeds = f"{operations / clock / 1e9:7.1f} Gflop/s, {operations / processor / 1e9:7.1f} of processor time"
        print(f"{name:26}{clock:8.3f} s {speeds}")
    # A pipe has no width of its own.
    print_goals(Console(width=None if sys.stdout.isatty() else 140, highlight=False), goals)


if __name__ == "__main__":
    main()
