"""An epoch of a small network against the peers: `python benchmarks/networks.py [--rows N]`.

The network is 784-128-10 with ReLU and cross-entropy, plain descent, float32, on Fashion-MNIST where its files are,
else on noise of its shape. All begin alike and visit rows in the same order; compiling and shuffling are not timed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from goals import Goal
from machine import aligned, interleave, thread_counts
from numpy.typing import NDArray
from report import print_goals
from rich.console import Console

import steepest as st
from steepest import nn

Array = NDArray[Any]

FEATURES, HIDDEN, CLASSES = 784, 128, 10
STEP = np.float32(0.05)
SECONDS = 60.0
# By batch: over the best of the peers' fast ways, and over PyTorch as its tutorials write it.
WANTED = {16: (1.3, 3.0), 64: (1.1, 2.5), 256: (1.0, 1.8)}


def clothes(rows: int | None) -> tuple[Array, Array]:
    """Return pixels between 0 and 1 with their labels."""
    try:
        data = st.data.fashion_mnist()
        X, y = data["X_train"][:rows] / np.float32(255), data["y_train"][:rows].astype(np.int64)
    except FileNotFoundError as error:
        print(f"{error}\nNoise takes its place.", file=sys.stderr)
        rng = np.random.default_rng(0)
        X = rng.random((rows or 60_000, FEATURES), dtype=np.float32)
        y = rng.integers(CLASSES, size=len(X))
    return aligned(X), y


def network() -> nn.Sequential:
    """Return the network at its start."""
    nn.manual_seed(0)
    return nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))


def start() -> list[Array]:
    """Return W1 (784, 128), b1, W2, b2."""
    state = network().state_dict()
    return [np.ascontiguousarray(state[name].T) for name in ("0.weight", "0.bias", "2.weight", "2.bias")]


def steepest_epoch(X: Array, y: Array, order: Array, batch: int, threads: int) -> Callable[[], float]:
    """Return what trains for an epoch and tells its seconds."""

    def run() -> float:
        result = nn.fit(
            network(),
            "cross_entropy",
            (X, y),
            method="sgd",
            step_size=float(STEP),
            batch_size=batch,
            epochs=1,
            shuffle=order,
            n_threads=threads,
            check_finite=False,
        )
        return float(result.history.seconds[-1])

    return run


def numpy_epoch(X: Array, y: Array, order: Array, batch: int) -> Callable[[], float]:
    """Return the same with gradients written out in NumPy."""

    def run() -> float:
        W1, b1, W2, b2 = start()
        began = time.perf_counter()
        for rows in np.split(order, range(batch, len(order), batch)):
            x = X[rows]
            hidden = np.maximum(x @ W1 + b1, 0)
            z = hidden @ W2 + b2
            z -= z.max(axis=1, keepdims=True)
            np.exp(z, out=z)
            z /= z.sum(axis=1, keepdims=True)
            z[np.arange(len(rows)), y[rows]] -= 1
            z *= STEP / len(rows)
            back = (z @ W2.T) * (hidden > 0)
            W2 -= hidden.T @ z
            b2 -= z.sum(axis=0)
            W1 -= x.T @ back
            b1 -= back.sum(axis=0)
        return time.perf_counter() - began

    return run


def torch_epochs(X: Array, y: Array, order: Array, batch: int) -> dict[str, Callable[[], float]]:
    """Return PyTorch with gradients by hand, and as its tutorials write it."""
    import torch

    rows_of, labels, visits = torch.from_numpy(X), torch.from_numpy(y), torch.from_numpy(order)

    def by_hand() -> float:
        W1, b1, W2, b2 = map(torch.from_numpy, start())
        began = time.perf_counter()
        with torch.no_grad():
            for rows in visits.split(batch):
                x = rows_of[rows]
                hidden = torch.addmm(b1, x, W1).relu_()
                z = torch.addmm(b2, hidden, W2).softmax(1)
                z[torch.arange(len(rows)), labels[rows]] -= 1
                z *= float(STEP) / len(rows)
                back = (z @ W2.T) * (hidden > 0)
                W2.addmm_(hidden.T, z, alpha=-1)
                b2 -= z.sum(0)
                W1.addmm_(x.T, back, alpha=-1)
                b1 -= back.sum(0)
        return time.perf_counter() - began

    def eager() -> float:
        W1, b1, W2, b2 = map(torch.from_numpy, start())
        model = torch.nn.Sequential(
            torch.nn.Linear(FEATURES, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, CLASSES)
        )
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), (W1.T, b1, W2.T, b2), strict=True):
                parameter.copy_(value)
        optimizer = torch.optim.SGD(model.parameters(), lr=float(STEP))
        began = time.perf_counter()
        for rows in visits.split(batch):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(rows_of[rows]), labels[rows]).backward()
            optimizer.step()
        return time.perf_counter() - began

    return {"PyTorch by hand": by_hand, "PyTorch": eager}


def jax_epoch(X: Array, y: Array, order: Array, batch: int) -> Callable[[], float]:
    """Return one compiled scan over the epoch's batches."""
    import jax
    import jax.numpy as jnp

    whole = len(order) // batch * batch
    rows_of, labels = jnp.asarray(X), jnp.asarray(y)
    batches = jnp.asarray(order[:whole].reshape(-1, batch))

    def loss(parameters: Any, x: Any, target: Any) -> Any:
        W1, b1, W2, b2 = parameters
        z = jax.nn.relu(x @ W1 + b1) @ W2 + b2
        return -jnp.take_along_axis(jax.nn.log_softmax(z), target[:, None], 1).mean()

    def update(parameters: Any, rows: Any) -> tuple[Any, None]:
        slopes = jax.grad(loss)(parameters, rows_of[rows], labels[rows])
        return [p - STEP * slope for p, slope in zip(parameters, slopes, strict=True)], None

    epoch = jax.jit(lambda parameters: jax.lax.scan(update, parameters, batches)[0])
    jax.block_until_ready(epoch(start()))

    def run() -> float:
        begin = [jnp.asarray(value) for value in start()]
        began = time.perf_counter()
        jax.block_until_ready(epoch(begin))
        return time.perf_counter() - began

    return run


def linear_seam(X: Array, y: Array, order: Array, repeats: int) -> Goal:
    """Compare a model of one layer with the built-in loss of as many scores."""

    def built_in() -> float:
        options = {"method": "sgd", "step_size": 0.05, "batch_size": 256, "epochs": 1, "fit_intercept": True}
        result = st.minimize("softmax", (X, y), shuffle=order, n_threads=1, check_finite=False, **options)
        return float(result.history.seconds[-1])

    def layer() -> float:
        result = nn.fit(
            nn.Linear(FEATURES, CLASSES),
            "softmax",
            (X, y),
            method="sgd",
            step_size=0.05,
            batch_size=256,
            epochs=1,
            shuffle=order,
            n_threads=1,
            check_finite=False,
        )
        return float(result.history.seconds[-1])

    ratio = median_ratio(interleave({"layer": layer, "built-in": built_in}, repeats, SECONDS), "layer", "built-in")
    return Goal("one linear layer over the built-in softmax, batch 256", ratio, 1.2, unit="factor", at_most=True)


def median_ratio(seconds: dict[Any, list[float]], slow: Any, fast: Any) -> float:
    """Return how many times faster one is, as the median over the turns they took."""
    return statistics.median(a / b for a, b in zip(seconds[slow], seconds[fast], strict=False))


def candidates(X: Array, y: Array, order: Array, batch: int, console: Console) -> dict[str, Callable[[], float]]:
    """Return all that can run here."""
    runs = {f"steepest, {n} thread{'s' * (n > 1)}": steepest_epoch(X, y, order, batch, n) for n in thread_counts()}
    runs["NumPy"] = numpy_epoch(X, y, order, batch)
    try:
        runs |= torch_epochs(X, y, order, batch)
    except ImportError as error:
        console.print(f"Left out: PyTorch ({error})", markup=False)
    try:
        runs["JAX scan"] = jax_epoch(X, y, order, batch)
    except ImportError as error:
        console.print(f"Left out: JAX ({error})", markup=False)
    return runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure everything that is installed and print it beside the goals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, help="rows of the epoch (default: all)")
    parser.add_argument("--repeats", type=int, default=7, help="turns that all take (default: %(default)s)")
    options = parser.parse_args(arguments)
    # A pipe has no width of its own.
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    X, y = clothes(options.rows)
    order = np.random.default_rng(0).permutation(len(y))
    goals = []
    for batch, (over_best, over_eager) in WANTED.items():
        seconds = interleave(candidates(X, y, order, batch, console), options.repeats, SECONDS)
        for name, taken in seconds.items():
            console.print(f"batch {batch:3}  {name:20} {statistics.median(taken):7.3f} s, least {min(taken):.3f} s")
        own = min(
            (name for name in seconds if name.startswith("steepest")), key=lambda n: statistics.median(seconds[n])
        )
        rivals = [name for name in seconds if not name.startswith("steepest") and name != "PyTorch"]
        best = min(rivals, key=lambda name: statistics.median(seconds[name]))
        goals.append(Goal(f"batch {batch}: over {best}", median_ratio(seconds, best, own), over_best, unit="factor"))
        if "PyTorch" in seconds:
            goals.append(
                Goal(f"batch {batch}: over PyTorch", median_ratio(seconds, "PyTorch", own), over_eager, unit="factor")
            )
    goals.append(linear_seam(X, y, order, options.repeats))
    print_goals(console, goals)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
