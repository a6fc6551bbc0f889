"""What ``steepest demo`` shows: the textbook, then speed and loss by batch size on a million rows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rich.box
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize as scipy_minimize

import steepest as st
from steepest import _core, reference
from steepest._extras import require
from steepest._picture import new_picture, save_picture
from steepest._threads import default_threads
from steepest.plot._axes import finish, in_seconds

SIZES = (1, 16, 32, 64, 128, 256, 1024, 4096)
FEATURES = 28
EPOCHS = 5
# The reference is slow at small batches: so many of its updates are enough to time it.
REFERENCE_UPDATES = 5000
# Its whole way is drawn for these.
REFERENCE_CURVES = (32, 256)
TARGET = 0.01
# Where the picture ends: what goes deeper leaves it at the bottom.
DEEPEST = 1e-4
# The curves begin after so many rows; each stretch to the next point is longer by this factor.
FIRST_STRETCH = 64
STRETCH_GROWTH = 1.6
# Another program may have had the processor: what is short is timed so often, and the least counts.
RUNS = 3
SHORT = 0.02
SEED = 0


@dataclass(frozen=True)
class Curve:
    """Loss over all rows against seconds of descent; point `epoch` is the end of the first epoch."""

    seconds: NDArray[np.float64]
    loss: NDArray[np.float64]
    epoch: int

    def reaches(self, loss: float) -> float | None:
        """Return the seconds until the loss is reached, None where it is not."""
        below = self.loss <= loss
        return float(self.seconds[below.argmax()]) if below.any() else None


@dataclass(frozen=True)
class Measured:
    """One batch size: rows per second here and in the reference, the loss reached, and the way there."""

    batch_size: int
    rate: float
    loss: float
    reference_rate: float
    curve: Curve
    reference_curve: Curve | None


def run_demo(console: Console, output: Path, rows: int) -> bool:
    """Show everything and write the picture.

    Parameters
    ----------
    console : Console
        Where to print.
    output : Path
        Of the picture; the suffix decides its format.
    rows : int
        Generated rows to descend on.

    Returns
    -------
    bool
        False where Ctrl-C ended it early, with what was measured until then shown.

    Raises
    ------
    ImportError
        Where matplotlib is missing.
    """
    figure = new_picture("--output", output, (10, 6), 160)
    began = time.perf_counter()
    measured: list[Measured] = []
    lowest = np.nan
    finished = False
    try:
        console.print(_textbook())
        with console.status(f"generating {rows:,} rows"):
            X, y = st.data.logistic(rows, FEATURES, seed=SEED)
            lowest = _lowest(X, y)
        sizes = [*(size for size in SIZES if size < rows), rows]
        for size in sizes:
            with console.status(f"batches of {size:,} rows"):
                measured.append(_measure(X, y, size))
        finished = True
    except KeyboardInterrupt:
        console.print("Interrupted; this is what was measured until then.")
    if measured:
        console.print(_table(measured, rows, lowest))
        _draw(figure, measured, rows, lowest, output)
        console.print(f"Loss against time per batch size: {output}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"The demo took {time.perf_counter() - began:.0f} s.", highlight=False)
    return finished


def _textbook() -> Table:
    """Return the sources' figures beside those reached here."""
    table = Table(
        title="The textbook: a constant for a few numbers and for 244 restaurant bills",
        box=rich.box.SIMPLE_HEAD,
        title_justify="left",
        pad_edge=False,
    )
    table.add_column("what")
    table.add_column("here", justify="right")
    table.add_column("in the source", justify="right")
    for row in _figures():
        table.add_row(*row)
    return table


def _figures() -> Iterator[tuple[str, str, str]]:
    """Yield what is computed, what came out, and what the source prints."""
    y5 = np.array([12.0, 13.0, 15.0, 16.0, 17.0])
    p5 = np.array([12.1, 12.8, 14.9, 16.3, 17.2])
    bills = st.data.tips()
    pcttip = bills["tip"] / bills["total_bill"] * 100
    grid = np.arange(12, 18, 0.1)
    for loss, data, name, source in (
        ("mse", y5, "y5", "14.6"),
        ("huber", y5, "y5", "15.0"),
        ("huber", pcttip, "tips", "15.5"),
    ):
        yield f"grid search, {loss}, {name}", f"{st.search.grid(loss, data, grid).x[0]:.1f}", source
    for loss, data, name, source in (
        ("mse", p5, "p5", "14.658511131035242"),
        ("huber", pcttip, "tips", "15.506849531471964"),
    ):
        result = st.minimize(loss, data, method="gd", step_size=0.2, x0=0.0, tol=st.StepTolerance(1e-3))
        yield f"descent, {loss}, {name}: {result.nit} updates", f"{result.x[0]:.15f}", source
    yield "nothing given but mse and p5", f"{st.minimize('mse', p5).x[0]:.2f}", "mean 14.66"
    quartic = (reference.quartic_loss, reference.grad_quartic_loss)
    local = st.minimize(quartic, np.zeros(1), x0=-21.0, step_size=2.5, method="gd", tol=st.StepTolerance(1e-9))
    found = st.search.grid(reference.quartic_loss, np.zeros(1), np.arange(-25, 25, 0.1))
    best = st.minimize(quartic, np.zeros(1), x0=found.x[0], step_size=0.5, method="gd", tol=st.StepTolerance(1e-9))
    yield "quartic, from -21", f"{local.x[0]:.6f}", "-14.508046"
    yield "quartic, from the best of a grid", f"{best.x[0]:.6f}", "18.395415"
    convex = st.is_convex(reference.quartic_loss, np.zeros(1), bounds=(-25, 25), seed=SEED)
    if convex.violation is not None:
        a, b, t = convex.violation
        yield f"quartic, chord from {a:.4g} to {b:.4g}", f"not convex at t={t:.2f}", "not convex"
    generated = st.data.logistic(5000, FEATURES, seed=SEED)
    tries: tuple[tuple[str, Callable[[], Any]], ...] = (
        ("random draws", lambda: st.search.random("log_loss", generated, n=1000, seed=SEED)),
        ("random steps", lambda: st.search.local("log_loss", generated, n=1000, seed=SEED)),
        ("the gradient", lambda: st.minimize("log_loss", generated, method="gd", epochs=1000)),
    )
    for place, (name, search) in enumerate(tries):
        yield f"1000 evaluations, {name}", f"log loss {search().fun:.4f}", ("worst", "better", "best")[place]


def _slope(y: NDArray[Any], z: NDArray[Any]) -> NDArray[Any]:
    """Return the derivative of log loss by the raw prediction, as one would write it in NumPy."""
    slope: NDArray[Any] = -y / (1 + np.exp(y * z))
    return slope


def _lowest(X: NDArray[Any], y: NDArray[Any]) -> float:
    """Return the smallest loss there is."""
    objective = st.Objective("log_loss", (X, y))
    return float(scipy_minimize(objective.value_and_gradient, np.zeros(FEATURES), jac=True, method="L-BFGS-B").fun)


def _measure(X: NDArray[Any], y: NDArray[Any], size: int) -> Measured:
    """Measure one batch size."""
    rows = len(y)
    result = st.minimize("log_loss", (X, y), batch_size=size, epochs=EPOCHS, seed=SEED)
    # The steps that were computed for the call above, the same for both.
    steps = [float(step) for step in result.history.step_size]

    def here(part: slice, x: NDArray[Any], step: float) -> tuple[NDArray[Any], float]:
        stretch = st.minimize(
            "log_loss", (X[part], y[part]), x0=x, batch_size=size, epochs=1, step_size=step, seed=SEED
        )
        return stretch.x, float(stretch.history.seconds[-1])

    draw = np.random.default_rng(SEED)

    def in_numpy(part: slice, x: NDArray[Any], step: float) -> tuple[NDArray[Any], float]:
        order = draw.permutation(part.stop - part.start)
        began = time.perf_counter()
        x = reference.descend(_slope, X[part], y[part], x, [order], size, step)
        return x, time.perf_counter() - began

    timed = slice(0, min(rows, REFERENCE_UPDATES * size))
    reference_seconds = min(in_numpy(timed, np.zeros(FEATURES), steps[0])[1] for _ in range(RUNS))
    objective = st.Objective("log_loss", (X, y))
    return Measured(
        batch_size=size,
        rate=rows / float(np.diff(result.history.seconds, prepend=0.0).min()),
        loss=float(result.fun),
        reference_rate=timed.stop / reference_seconds,
        curve=_curve(objective, rows, size, steps, here),
        reference_curve=_curve(objective, rows, size, steps, in_numpy) if size in REFERENCE_CURVES else None,
    )


def _curve(
    objective: st.Objective,
    rows: int,
    size: int,
    steps: Sequence[float],
    advance: Callable[[slice, NDArray[Any], float], tuple[NDArray[Any], float]],
) -> Curve:
    """Descend in stretches, within the first epoch too, and look at the loss over all rows between them.

    Only the descent is timed. The rows were drawn independently: a stretch of them is as good as a shuffled part.
    Rows that fill no batch are left out: the noisy step of a short one would be all that the points after it show.
    """
    rows -= rows % size
    first = list(_stretches(rows, size))
    x, total = np.zeros(FEATURES), 0.0
    seconds, losses = [], []
    for epoch, step in enumerate(steps):
        for part in first if epoch == 0 else [slice(0, rows)]:
            there, spent = advance(part, x, step)
            if spent < SHORT:
                spent = min(spent, *(advance(part, x, step)[1] for _ in range(RUNS - 1)))
            x, total = there, total + spent
            seconds.append(total)
            losses.append(objective.value(x))
    return Curve(np.array(seconds), np.array(losses), len(first) - 1)


def _stretches(rows: int, size: int) -> Iterator[slice]:
    """Cut the first epoch, of whole batches, into ever longer stretches of whole batches."""
    start, stop = 0, math.ceil(FIRST_STRETCH / size) * size
    # No short one at the end: it would show the noise of single steps.
    while rows - stop >= stop - start:
        yield slice(start, stop)
        start, stop = stop, max(stop + size, int(stop * STRETCH_GROWTH) // size * size)
    yield slice(start, rows)


def _table(measured: Sequence[Measured], rows: int, lowest: float) -> Table:
    """Return the batch sizes side by side."""
    table = Table(
        title=f"log loss on {rows:,} x {FEATURES} generated float32 rows, minimum {lowest:.4f}",
        caption=(
            f"{EPOCHS} epochs each, the fastest counts; CPU level {_core.level()}, {_threads()}, step sizes computed. "
            f"The factor is over the same loop in NumPy, timed in this run on {REFERENCE_UPDATES:,} batches at the "
            f"most and scaled per row, the fastest of {RUNS}, its shuffle not counted. Time to +{TARGET:g}: the first "
            "point of the picture so close to the minimum."
        ),
        box=rich.box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        pad_edge=False,
    )
    for name in ("batch size", "million rows/s", "NumPy", "factor", f"loss, {EPOCHS} epochs", f"time to +{TARGET:g}"):
        table.add_column(name, justify="right")
    for one in measured:
        reached = one.curve.reaches(lowest + TARGET)
        table.add_row(
            "all rows" if one.batch_size == rows else f"{one.batch_size:,}",
            f"{one.rate / 1e6:.1f}",
            f"{one.reference_rate / 1e6:.2f}",
            f"{one.rate / one.reference_rate:.1f}",
            f"{one.loss:.4f}",
            "not reached" if reached is None else f"{reached * 1e3:.1f} ms",
        )
    return table


def _threads() -> str:
    count = default_threads()
    return "1 thread" if count == 1 else f"up to {count} threads"


def _draw(figure: Any, measured: Sequence[Measured], rows: int, lowest: float, output: Path) -> None:
    """Draw the loss against time, a line per batch size."""
    matplotlib = require("matplotlib", extra="plot")
    axes = figure.add_subplot()
    colors = matplotlib.colormaps["turbo"](np.linspace(0.08, 0.95, len(measured)))
    for one, color in zip(measured, colors, strict=True):
        name = "all rows" if one.batch_size == rows else f"{one.batch_size:,}"
        above = np.maximum(one.curve.loss - lowest, DEEPEST / 10)
        axes.plot(one.curve.seconds, above, color=color, lw=1.8, label=name)
        axes.plot(one.curve.seconds[one.curve.epoch], above[one.curve.epoch], "o", color=color, ms=7, mec="white")
        if one.reference_curve is not None:
            slow = one.reference_curve
            axes.plot(slow.seconds, slow.loss - lowest, color=color, lw=1.5, ls=(0, (4, 2)), label=f"{name}, NumPy")
            axes.plot(slow.seconds[slow.epoch], slow.loss[slow.epoch] - lowest, "o", color=color, ms=7, mec="white")
    axes.plot([], [], "o", color="0.5", ms=7, mec="white", label="first epoch done")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(bottom=DEEPEST)
    in_seconds(axes)
    title = f"Loss against time by batch size: log loss, {rows:,} × {FEATURES} float32 rows"
    finish(axes, "time of descent", "mean log loss above its minimum (nats)", title)
    figure.legend(*axes.get_legend_handles_labels(), title="batch size", loc="outside right upper", frameon=False)
    save_picture(figure, output)
