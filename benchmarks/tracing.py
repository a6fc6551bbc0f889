"""Losses of one's own against the built-in ones, callables and the peers: `python benchmarks/tracing.py [--rows N]`."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from epochs import make_rows, minimize_quietly, step_for
from goals import Goal
from machine import interleave
from numpy.typing import NDArray
from report import print_goals
from rich.console import Console
from rivals import Jax, Missing, log_loss_slope

import steepest as st

Array = NDArray[Any]

FEATURES = 28
BATCH = 256
SMALL_BATCH = 32
SECONDS = 20.0
# What formulas call.
NAMES = {
    name: getattr(st, name) for name in ("abs", "cos", "cosh", "exp", "log", "log1p", "maximum", "sum", "where")
} | {"pi": np.pi}
ITERATIONS = 100


def traced_twin(name: str) -> st.TracedLoss:
    """Trace a built-in loss anew from its formula."""
    loss = st.losses.get(name)
    formula = compile(loss.formula, name, "eval")
    return st.loss(lambda w, x, y: eval(formula, {}, NAMES | loss.params | {"y": y, "z": x @ w}))


def targets(loss: Any, y: Array) -> Array:
    """Return targets that a loss takes: the labels, or numbers above zero."""
    return y if loss.target == "binary" else np.random.default_rng(2).exponential(size=len(y)).astype(y.dtype) + 0.1


def epoch_of(loss: Any, data: tuple[Array, Array], batch: int) -> Callable[[], float]:
    """Return what runs an epoch and tells its seconds, preparation not counted."""
    options = {"method": "sgd", "step_size": 0.01 * step_for(FEATURES), "batch_size": batch, "epochs": 1, "seed": 0}
    options |= {"n_threads": 1, "check_finite": False, "x0": np.zeros(FEATURES)}
    return lambda: float(minimize_quietly(loss, data, **options).history.seconds[-1])


def median_ratio(seconds: dict[Any, list[float]], slow: Any, fast: Any) -> float:
    """Return how many times faster one is, as the median over the turns they took."""
    return statistics.median(a / b for a, b in zip(seconds[slow], seconds[fast], strict=False))


def twins(rows: int, repeats: int) -> list[Goal]:
    """Compare every pointwise loss with its formula, traced."""
    X, y = make_rows(FEATURES, rows * (FEATURES + 1) * 4e-9, seed=1)
    goals = []
    for name in st.losses.available():
        loss = st.losses.get(name)
        if isinstance(loss, st.losses.RowLoss):
            continue
        data = (X, targets(loss, y))
        runs = {"built-in": epoch_of(loss, data, BATCH), "traced": epoch_of(traced_twin(name), data, BATCH)}
        seconds = interleave(runs, repeats, SECONDS)
        ratio = median_ratio(seconds, "traced", "built-in")
        goals.append(Goal(f"an epoch of {name}, traced, over the built-in", ratio, 1.5, unit="factor", at_most=True))
    return goals


def callables(rows: int, repeats: int) -> Goal:
    """Compare a traced loss with the same loss as NumPy callables."""
    X, y = (part.astype(np.float64) for part in make_rows(FEATURES, rows * (FEATURES + 1) * 4e-9, seed=3))

    def value(w: Array, batch: tuple[Array, Array]) -> float:
        return float(np.logaddexp(0, -batch[1] * (batch[0] @ w)).mean())

    def slope(w: Array, batch: tuple[Array, Array]) -> Array:
        gradient: Array = log_loss_slope(batch[1], batch[0] @ w) @ batch[0] / len(batch[1])
        return gradient

    runs = {
        "callables": epoch_of((value, slope), (X, y), SMALL_BATCH),
        "traced": epoch_of(traced_twin("log_loss"), (X, y), SMALL_BATCH),
    }
    ratio = median_ratio(interleave(runs, repeats, SECONDS), "callables", "traced")
    return Goal(f"traced over NumPy callables, batch {SMALL_BATCH}", ratio, 10.0, unit="factor")


def first_call(repeats: int) -> Goal:
    """Time the first call of a loss that was never traced, on few rows."""
    X, y = st.data.logistic(1000, FEATURES, seed=4)
    seconds = []
    for _ in range(repeats):
        loss = traced_twin("log_loss")
        began = time.perf_counter()
        minimize_quietly(loss, (X, y), method="sgd", step_size=0.01, batch_size=BATCH, epochs=1, seed=0)
        seconds.append(time.perf_counter() - began)
    return Goal(
        "the first call of a traced loss", statistics.median(seconds) * 1e6, 5000, unit="microseconds", at_most=True
    )


def jax_scan(rows: int, repeats: int) -> Goal:
    """Compare with a compiled scan, neither its compiling nor its shuffle counted."""
    X, y = make_rows(FEATURES, rows * (FEATURES + 1) * 4e-9, seed=5)
    jax = Jax(X, y, 1)
    order = np.random.default_rng(0).permutation(len(y)).astype(np.uint32)
    runs = {
        "JAX": lambda: jax.time(np.zeros(FEATURES, np.float32), order, BATCH, 0.01)[0],
        "traced": epoch_of(traced_twin("log_loss"), (X, y), BATCH),
    }
    ratio = median_ratio(interleave(runs, repeats, SECONDS), "JAX", "traced")
    return Goal(f"traced over JAX scan, batch {BATCH}, one thread against all", ratio, 2.0, unit="factor")


def eager(library: Any) -> float:
    """Run the fifth source's first program and return its seconds (E1)."""
    began = time.perf_counter()
    W = library.tensor(0.0, requires_grad=True)
    for _ in range(ITERATIONS):
        loss = W**2 - 4 * W + 8
        loss.backward()
        with library.no_grad():
            W -= 0.1 * W.grad
        W.grad.zero_()
    return time.perf_counter() - began


def torch_eager(repeats: int) -> Goal:
    """Compare E1's program with PyTorch's."""
    try:
        import torch
    except ImportError as error:
        raise Missing(str(error)) from None
    seconds = interleave({"PyTorch": lambda: eager(torch), "steepest": lambda: eager(st)}, 5 * repeats, SECONDS)
    return Goal("E1's program over PyTorch's", median_ratio(seconds, "PyTorch", "steepest"), 5.0, unit="factor")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure everything that is installed and print it beside the goals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000, help="rows of the epochs (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=7, help="turns that all take (default: %(default)s)")
    options = parser.parse_args(arguments)
    # A pipe has no width of its own.
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    goals = [
        *twins(options.rows, options.repeats),
        callables(max(1000, options.rows // 10), options.repeats),
        first_call(options.repeats),
    ]
    for measure in (lambda: jax_scan(options.rows, options.repeats), lambda: torch_eager(options.repeats)):
        try:
            goals.append(measure())
        except Missing as error:
            console.print(f"Left out: {error}", markup=False)
    print_goals(console, goals)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
