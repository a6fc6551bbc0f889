"""What the order of the rows does to learning: "stream" against a full shuffle, and against none.

Measured on rows in no order, on rows sorted by class and on rows whose target drifts with time: how far the gradient
of a mini-batch is from that of all rows, and the objective after 1, 3 and 10 epochs, over many seeds of the order.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import rich.box
import scipy.optimize
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rivals import log_loss_slope

import steepest as st

Array = NDArray[Any]

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "stream-against-full.png"
# Twice and more what "stream" shuffles fully, narrow rows and wide ones.
SIZES = ((400_000, 28), (30_000, 784))
BATCHES = (32, 256)
EPOCHS = (1, 3, 10)
BATCHES_AT_ONCE = 64
ORDERS: dict[str, bool | str] = {"full": "full", "stream": "stream", "in sequence": False}
COLORS = {"full": "#334155", "stream": "#c2410c", "in sequence": "#94a3b8"}
KINDS = {
    "shuffled": "Rows in no order",
    "sorted by class": "Rows sorted by class",
    "sorted by time": "Rows sorted by time, a drifting target",
}
# What the project set itself, of the objective after every one of EPOCHS.
GOALS = {"shuffled": 0.01, "sorted by class": 0.02}


def make(kind: str, rows: int, features: int) -> tuple[Array, Array]:
    """Generate rows of a kind."""
    if kind != "sorted by time":
        return st.data.logistic(rows, features, seed=0, sorted_by_class=kind == "sorted by class")
    generator = np.random.default_rng(0)
    X = generator.standard_normal((rows, features), np.float32)
    # The weights turn by a right angle from the first row to the last, and the share of positives rises.
    first, last = generator.standard_normal((2, features)).astype(np.float32)
    first *= np.float32(2 / np.linalg.norm(first))
    last -= (last @ first) / (first @ first) * first
    last *= np.float32(2 / np.linalg.norm(last))
    time = np.linspace(0, 1, rows, dtype=np.float32)
    angle = time * np.float32(np.pi / 2)
    z = np.cos(angle) * (X @ first) + np.sin(angle) * (X @ last) + 2 * time - 1
    return X, np.where(z + generator.logistic(size=rows) > 0, np.float32(1), np.float32(-1))


@dataclass
class Learnt:
    """One kind of rows, one size, one batch size: an array of shape (seeds,) or (seeds, epochs) for each order."""

    kind: str
    rows: int
    features: int
    batch: int
    optimum: float
    variance: dict[str, Array]
    objective: dict[str, Array]

    def variance_ratio(self, order: str) -> Array:
        """Return the variance in this order over the median of a full shuffle's."""
        ratio: Array = self.variance[order] / np.median(self.variance["full"])
        return ratio

    def change(self, order: str, epoch: int) -> float:
        """Return by how much the median objective after an epoch differs from a full shuffle's."""
        here, full = (np.median(self.objective[one][:, epoch - 1]) for one in (order, "full"))
        return float(here / full - 1)

    def excess(self, order: str) -> Array:
        """Return the objective above its minimum, shape (seeds, epochs)."""
        above: Array = np.maximum(self.objective[order] - self.optimum, 1e-9)
        return above

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        plain = asdict(self)
        for name in ("variance", "objective"):
            plain[name] = {order: values.tolist() for order, values in plain[name].items()}
        return plain


def batches_of(rows: int, features: int, batch: int, order: bool | str, seed: int) -> list[NDArray[np.int64]]:
    """Return the rows of each batch of an epoch.

    A loss outside the core is handed its rows in order; with half as many float64 parameters as there are features, the
    core takes them for as long as the float32 rows in question.
    """
    seen: list[NDArray[np.int64]] = []

    def value(x: Array, part: Array) -> float:
        return 1.0

    def gradient(x: Array, part: Array) -> Array:
        seen.append(np.asarray(part).astype(np.int64))
        return np.zeros_like(x)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", st.ConvergenceWarning)
        st.minimize(
            (value, gradient),
            np.arange(float(rows)),
            x0=np.zeros(max(1, features // 2)),
            method="sgd",
            step_size=1.0,
            batch_size=batch,
            epochs=1,
            shuffle=order,
            seed=seed,
        )
    met = np.concatenate(seen)
    # After the epoch the objective is evaluated over all rows once more.
    epoch, sizes = met[:rows], np.cumsum([len(part) for part in seen])
    assert np.array_equal(np.sort(epoch), np.arange(rows))
    return seen[: int(np.searchsorted(sizes, rows)) + 1]


def row_gradients(X: Array, y: Array, x: Array) -> Array:
    """Return each row's gradient, that of the intercept last."""
    slopes = log_loss_slope(y, X @ x[:-1] + x[-1])
    gradients = np.empty((X.shape[0], X.shape[1] + 1), np.float32)
    np.multiply(X, slopes[:, np.newaxis], out=gradients[:, :-1])
    gradients[:, -1] = slopes
    return gradients


def gradient_variance(gradients: Array, batches: Sequence[NDArray[np.int64]]) -> float:
    """Return the mean squared distance of the means over batches from the mean over all rows."""
    whole = gradients.mean(axis=0, dtype=np.float64)
    total, full_size = 0.0, [rows for rows in batches if len(rows) == len(batches[0])]
    for start in range(0, len(full_size), BATCHES_AT_ONCE):
        rows = np.stack(full_size[start : start + BATCHES_AT_ONCE])
        total += float(np.sum((gradients[rows].mean(axis=1) - whole) ** 2))
    return total / len(full_size)


def learn(
    X: Array, y: Array, kind: str, batch: int, seeds: int, tell: Callable[[str], None] = lambda text: None
) -> Learnt:
    """Measure all orders on the same rows."""
    rows, features = X.shape
    # Without an intercept the two classes pull the same way, and sorting by class would be no hardship.
    objective = st.Objective("log_loss", (X, y), fit_intercept=True)
    zero = np.zeros(features + 1)
    optimum = scipy.optimize.minimize(objective.value_and_gradient, zero, jac=True, method="L-BFGS-B")
    # Neither at the start, where all gradients are large, nor at the end, where they are all noise.
    gradients = row_gradients(X, y, (optimum.x / 2).astype(np.float32))
    found = Learnt(kind, rows, features, batch, float(optimum.fun), {}, {})
    for name, order in ORDERS.items():
        variances, objectives = [], []
        for seed in range(seeds):
            tell(f"{rows:,} × {features}, {kind}, batch {batch}, {name}, seed {seed}")
            if name != "in sequence" or seed == 0:
                variances.append(gradient_variance(gradients, batches_of(rows, features, batch, order, seed)))
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", st.ConvergenceWarning)
                    result = st.minimize(
                        "log_loss",
                        (X, y),
                        method="sgd",
                        batch_size=batch,
                        epochs=EPOCHS[-1],
                        shuffle=order,
                        seed=seed,
                        history="exact",
                        fit_intercept=True,
                        check_finite=False,
                    )
                objectives.append(np.asarray(result.history.objective, float))
        found.variance[name] = np.array(variances)
        found.objective[name] = np.array(objectives)
    return found


def print_table(console: Console, learnt: Sequence[Learnt], seeds: int) -> None:
    """Print medians and quartiles."""
    table = Table(
        title=f"Order of rows and learning: medians over {seeds} seeds, quartiles in brackets",
        box=rich.box.SIMPLE_HEAD,
        title_justify="left",
        pad_edge=False,
    )
    for name in ("rows", "data", "batch", "order"):
        table.add_column(name, no_wrap=True)
    table.add_column("gradient variance,\nfull shuffle = 1", justify="right", no_wrap=True)
    for epoch in EPOCHS:
        name = f"objective after {epoch}\nepoch{'s' * (epoch > 1)}, against full"
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("goal", justify="right")
    for one in learnt:
        table.add_section()
        for order in ORDERS:
            ratio = one.variance_ratio(order)
            low, high = np.quantile(ratio, (0.25, 0.75))
            cells = [f"{np.median(ratio):.3g} [{low:.3g}, {high:.3g}]" if len(ratio) > 1 else f"{ratio[0]:.3g}"]
            for epoch in EPOCHS:
                values = one.objective[order][:, epoch - 1]
                if order == "full":
                    low, high = np.quantile(values, (0.25, 0.75))
                    cells.append(f"{np.median(values):.5f} [{(high - low) / np.median(values):.2%}]")
                else:
                    cells.append(f"{one.change(order, epoch):+.3%}")
            cells.append(_verdict(one, order))
            style = "bold" if order == "stream" else ""
            table.add_row(f"{one.rows:,} × {one.features}", one.kind, str(one.batch), order, *cells, style=style)
    console.print(table)


def _verdict(one: Learnt, order: str) -> str:
    goal = GOALS.get(one.kind)
    if goal is None or order != "stream":
        return ""
    met = all(abs(one.change(order, epoch)) <= goal for epoch in EPOCHS)
    return f"{'[green]met' if met else '[red]missed'} {goal:.0%}"


def draw(learnt: Sequence[Learnt], seeds: int, path: Path) -> None:
    """Draw the objective per epoch and the variance of the gradient, a line of panels for each kind of data."""
    first = [one for one in learnt if (one.rows, one.features, one.batch) == _shown(learnt)]
    with matplotlib.rc_context({"font.size": 10, "axes.titlesize": 11.5, "axes.titleweight": "bold"}):
        figure = Figure(figsize=(11.5, 3.0 * len(first) + 1.5), dpi=160, layout="constrained")
        panels = figure.subplots(len(first), 2, squeeze=False, width_ratios=(1.25, 1))
        for one, (left, right) in zip(first, panels, strict=True):
            _draw_objective(left, one)
            _draw_variance(right, [other for other in learnt if other.kind == one.kind])
        widest = max(float(one.variance_ratio("stream").max()) for one in learnt)
        for right in panels[:, 1]:
            right.set_xlim(0.93, max(1.3, 1.1 * widest))
        rows, features, batch = _shown(learnt)
        panels[-1, 0].set_xlabel(f"epoch ({rows:,} × {features} rows, batch {batch})")
        panels[-1, 1].set_xlabel("variance of the mini-batch gradient, full shuffle = 1")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), frameon=False)
        figure.suptitle(
            "What the order of the rows does to learning", x=0.015, ha="left", fontsize=14, fontweight="bold"
        )
        figure.supxlabel(
            f"log loss, float32; medians and quartiles over {seeds} seeds; the default step sizes",
            fontsize=8.5,
            color="0.4",
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)


def _shown(learnt: Sequence[Learnt]) -> tuple[int, int, int]:
    """Return the size and the batch whose objectives are drawn."""
    one = learnt[0]
    return one.rows, one.features, max(other.batch for other in learnt)


def _draw_objective(axes: Axes, one: Learnt) -> None:
    epochs = np.arange(1, EPOCHS[-1] + 1)
    for order, color in COLORS.items():
        low, median, high = np.quantile(one.excess(order), (0.25, 0.5, 0.75), axis=0)
        axes.fill_between(epochs, low, high, color=color, alpha=0.18, lw=0)
        dash = (0, (4, 2)) if order == "stream" else "-"
        axes.plot(epochs, median, color=color, lw=2, ls=dash, marker="o", ms=5, mec="white", mew=0.7, label=order)
    axes.set_yscale("log")
    decades = np.log10(np.divide(*axes.get_ylim()[::-1]))
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if decades > 1.5 else (1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(epochs)
    axes.set_ylabel("objective above minimum")
    axes.set_title(KINDS[one.kind], loc="left")
    _tidy(axes, "y")


def _draw_variance(axes: Axes, learnt: Sequence[Learnt]) -> None:
    jitter = np.random.default_rng(0)
    names = []
    for place, one in enumerate(learnt):
        names.append(f"{one.features} features, batch {one.batch}")
        for shift, order in ((-0.17, "full"), (0.17, "stream")):
            ratio = one.variance_ratio(order)
            low, median, high = np.quantile(ratio, (0.25, 0.5, 0.75))
            at = place + shift
            spread = at + jitter.uniform(-0.07, 0.07, ratio.size)
            axes.plot(ratio, spread, "o", color=COLORS[order], ms=3.5, alpha=0.35, mew=0)
            axes.plot([low, high], [at, at], color=COLORS[order], lw=3.5, solid_capstyle="round")
            axes.plot(median, at, "o", color=COLORS[order], ms=8, mec="white", mew=1)
            if order == "stream":
                axes.annotate(
                    f"{median:.2f}", (ratio.max(), at), (9, 0), textcoords="offset points", va="center", size=8.5
                )
    axes.axvline(1, color="0.6", lw=0.9, zorder=0)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    _tidy(axes, "x")


def _tidy(axes: Axes, grid: str) -> None:
    axes.grid(axis="x" if grid == "x" else "y", which="major", color="0.91", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def size(text: str) -> tuple[int, int]:
    """Read rows x features."""
    rows, _, features = text.partition("x")
    return int(rows), int(features)


def everything(options: argparse.Namespace, tell: Callable[[str], None]) -> Iterator[Learnt]:
    """Yield what is measured, one after the other."""
    for rows, features in options.sizes:
        for kind in KINDS:
            tell(f"generating {rows:,} × {features}, {kind}")
            X, y = make(kind, rows, features)
            for batch in options.batch_sizes:
                yield learn(X, y, kind, batch, options.seeds, tell)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=size, nargs="+", default=list(SIZES), metavar="ROWSxFEATURES")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--figure", type=Path, default=PICTURE)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 170)
    learnt: list[Learnt] = []
    try:
        with console.status("generating") as status:
            for one in everything(options, status.update):
                learnt.append(one)
    except KeyboardInterrupt:
        console.print("Interrupted; this is what was measured until then.")
    if learnt:
        print_table(console, learnt, options.seeds)
        draw(learnt, options.seeds, options.figure)
        console.print(f"The picture: {options.figure}", markup=False)
    if options.json is not None:
        options.json.write_text(json.dumps([one.as_dict() for one in learnt]) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
