"""Tables and the picture of a run."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import rich.box
from epochs import Group, Measured
from goals import SMALLEST_BATCH, Goal, fastest
from machine import spread
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from rich.console import Console
from rich.table import Table
from rich.text import Text

STYLES = {
    "steepest stream": ("#c2410c", "o", "-"),
    "steepest full": ("#f59e0b", "s", "-"),
    "steepest in sequence": ("#7c2d12", "^", ":"),
    "numba": ("#2563eb", "D", "-"),
    "JAX scan": ("#0d9488", "v", "-"),
    "PyTorch by hand": ("#7c3aed", "P", "-"),
    "PyTorch autograd": ("#c084fc", "X", "-"),
    "scikit-learn SGD": ("#16a34a", "*", "-"),
    "NumPy": ("#64748b", "h", "-"),
}
VERDICTS = {
    "met": ("met", "green"),
    "least": ("between", "yellow"),
    "beyond": ("beyond this machine", "yellow"),
    "missed": ("missed", "red"),
}
ORDERS = {"stream": "in sequence", "full": "in random order"}


def print_machine(console: Console, machine: Mapping[str, Any], gigabytes: float) -> None:
    """Say what is measured on, and what could mislead."""
    cache = machine["last_cache_bytes"]
    known = {name: version for name, version in machine["versions"].items() if version}
    console.print(
        f"{machine['processor']}, {machine['cores']} cores, CPU level {machine['level']}, up to {machine['threads']} "
        f"threads, Python {machine['python']}, huge pages: {machine['huge_pages']}"
    )
    console.print(", ".join(f"{name} {version}" for name, version in known.items()), style="dim")
    console.print(f"The bare loops are C++, compiled for this machine; kernels by {machine['compiler']}.", style="dim")
    if machine["load_before"] is not None and machine["load_before"] > 0.5:
        console.print(f"Others are at work: the load was {machine['load_before']:.1f} at the start.", style="yellow")
    if cache and cache > gigabytes * 1e9 / 4:
        console.print(
            f"The largest cache, {cache / 1e6:,.0f} MB, is no small part of the {gigabytes:g} GB: random rows gain "
            "from it most. --gigabytes makes the data larger.",
            style="yellow",
        )


def rate(number: float) -> str:
    """Write rows per second."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"


def duration(ns: float) -> str:
    """Write nanoseconds with three digits."""
    return f"{ns:,.0f}" if ns >= 100 else f"{ns:.3g}"


def print_group(console: Console, group: Group) -> None:
    """Print everybody's epoch, by batch size, fastest first."""
    what = f"log loss, {group.features} features" if group.features else "Huber's loss of a constant"
    table = Table(
        title=f"{what}, {group.rows:,} rows of {group.row_bytes} bytes, float32",
        box=rich.box.SIMPLE_HEAD,
        title_justify="left",
        pad_edge=False,
    )
    table.add_column("batch", justify="right")
    table.add_column("who", no_wrap=True)
    for name in (
        "rows/s",
        "ns/row",
        "shuffle",
        "GB/s",
        "of read,\nsame threads",
        "of the\nbest read",
        "over best\npeer here",
        "over\nNumPy",
        "spread",
        "objective",
    ):
        table.add_column(name, justify="right")
    for threads, read in group.read.items():
        table.add_row("", _threads("sequential read", threads), *_numbers(group, read, None, None), style="cyan")
    for threads, gather in group.gather.items():
        table.add_row("", _threads("random gather", threads), *_numbers(group, gather, None, None), style="cyan")
    for batch in sorted({one.batch for one in group.contenders if one.batch is not None}):
        table.add_section()
        rivals = group.of("peer", batch)
        best = fastest(rivals) if rivals else None
        reference = next((one for one in rivals if one.name == "NumPy"), None)
        here = sorted((one for one in group.contenders if one.batch == batch), key=lambda one: one.counted_ns)
        for one in here:
            style = "bold" if one.kind == "steepest" else ""
            table.add_row(f"{batch:,}", one.label, *_numbers(group, one, best, reference), style=style)
    console.print(table)


def _threads(name: str, count: int) -> str:
    return f"{name}, {count} thread" + "s" * (count > 1)


def _numbers(group: Group, one: Measured, best: Measured | None, reference: Measured | None) -> list[str]:
    inside = "inside" if one.kind == "steepest" or one.name.startswith("scikit") else ""
    return [
        rate(one.rate),
        duration(one.counted_ns),
        duration(one.shuffle_ns) if one.shuffle_ns is not None else inside,
        f"{one.gigabytes:.3g}",
        f"{group.share_of_read(one):.0%}",
        f"{one.gigabytes / group.roof:.0%}",
        f"{best.counted_ns / one.counted_ns:.2g}" if best else "",
        f"{reference.counted_ns / one.counted_ns:.2g}" if reference else "",
        f"{spread(one.seconds):.0%}",
        "" if one.objective is None else f"{one.objective:.4f}",
    ]


def print_goals(console: Console, goals: Sequence[Goal]) -> None:
    """Print what was to be reached and what was."""
    table = Table(title="Goals", box=rich.box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("case", no_wrap=True)
    for name in ("goal", "least", "measured", "bare loop", ""):
        table.add_column(name, justify="right")
    for goal in goals:
        text, color = VERDICTS[goal.verdict]
        sign = "≤" if goal.at_most else "≥"
        least, limit = ("" if number is None else goal.show(number) for number in (goal.least, goal.limit))
        numbers = f"{sign} {goal.show(goal.goal)}", least, goal.show(goal.measured), limit
        table.add_row(goal.case, *numbers, Text(text, style=color))
    console.print(table)


def print_cases(console: Console, results: Mapping[str, Any]) -> None:
    """Print the cases beside the epochs."""
    for gradient in results.get("full_gradient", []):
        shares = ", ".join(f"{name} {share:.0%}" for name, share in gradient["share_of_read"].items())
        console.print(f"Full gradient, {gradient['features']} features, of a read by as many threads: {shares}")
    if textbook := results.get("textbook"):
        console.print(f"The textbook's call: {textbook['steepest']:.1f} µs, a NumPy loop {textbook['NumPy']:.1f} µs")
    for line in limits(results):
        console.print(line)
    if growth := results.get("growth"):
        by_batch = growth["ns_per_row_by_batch"]
        for what, values, scale in (
            *((f"ns a row by batch size, threads: {threads}", by_batch[threads], 1) for threads in by_batch),
            ("ms an epoch by rows", growth["seconds_by_rows"], 1000),
            ("ns a row by features", growth["ns_per_row_by_features"], 1),
        ):
            cells = ", ".join(f"{size:,}: {scale * value:.3g}" for size, value in values.items())
            console.print(f"stream, {what}: {cells}")
    if latency := results.get("interruption_seconds"):
        worst, median = max(latency), statistics.median(latency)
        console.print(f"Ctrl-C to exception: {median * 1e3:.1f} ms, at worst {worst * 1e3:.1f} ms of {len(latency)}")
    memory = results.get("memory")
    if isinstance(memory, dict):
        for name, extra in memory.items():
            console.print(
                f"Peak memory of a fit beyond the data, {name}: {extra['megabytes']:.1f} MB, "
                f"{extra['bytes_per_row']:.1f} bytes a row, {extra['multiple_of_X']:.2f} X"
            )
    elif memory:
        console.print(f"Peak memory: {memory}")


def limits(results: Mapping[str, Any]) -> Iterator[str]:
    """Say what bounds batches: what no loop over them can do without, and what one thread computes."""
    for group in results["groups"]:
        bare = {"stream": ("read", group.read), "full": ("gather", group.gather)}
        for order, by_batch in group.limits.items():
            what, alike = bare[order]
            for threads in next(iter(by_batch.values())):
                times = ", ".join(f"{batch:,}: {by_batch[batch][threads]:.1f}" for batch in by_batch)
                yield (
                    f"Rows of {group.features} features {ORDERS[order]}, read twice each, batch by batch, and nothing "
                    f"computed but sums, {threads} thread{'s' * (threads > 1)}, ns a row by batch size: {times}; "
                    f"a bare {what}: {alike[threads].ns:.1f}."
                )
        if (alone := results.get("cached_ns", {}).get(group.features)) is not None:
            yield (
                f"Batches of {SMALLEST_BATCH} rows of {group.features} features that lie in the cache take "
                f"{alone:.1f} ns a row with one thread."
            )


def draw(groups: Sequence[Group], machine: Mapping[str, Any], path: Path) -> None:
    """Draw the speed of everybody by batch size, below the roof that the memory is."""
    columns = min(2, len(groups))
    lines = -(-len(groups) // columns)
    with matplotlib.rc_context({"font.size": 10, "axes.titlesize": 11.5, "axes.titleweight": "bold"}):
        spare = len(groups) < columns * lines
        width = 5.6 * columns + (0 if spare else 1.9)
        figure = Figure(figsize=(width, 3.9 * lines + 0.9), dpi=160, layout="constrained")
        grid = figure.subplots(lines, columns, sharex=True, squeeze=False)
        for place, axes in enumerate(grid.flat):
            if place < len(groups):
                _panel(axes, groups[place])
            else:
                axes.set_axis_off()
            if place % columns == 0:
                axes.set_ylabel("rows and targets, GB/s")
            if place + columns >= len(groups):
                axes.set_xlabel("batch size")
                axes.tick_params(labelbottom=True)
        handles: dict[str, Any] = {}
        for axes in grid.flat:
            for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
                handles.setdefault(name, handle)
        ordered = [name for name in STYLES if name in handles]
        drawn = [handles[name] for name in ordered]
        if spare:
            grid.flat[-1].legend(drawn, ordered, loc="center", frameon=False, handlelength=2.6)
        else:
            figure.legend(drawn, ordered, loc="outside right center", frameon=False, handlelength=2.6)
        figure.suptitle(
            "One epoch of log loss against what the memory gives", x=0.02, ha="left", fontsize=14, fontweight="bold"
        )
        figure.supxlabel(
            f"{machine['processor']}, {machine['threads']} threads, float32; every shuffle counted; best number of "
            "threads of each",
            fontsize=8.5,
            color="0.4",
        )
        figure.savefig(path)


def _panel(axes: Axes, group: Group) -> None:
    """Draw one number of features."""
    speeds = _speeds(group)
    sizes = sorted({batch for line in speeds.values() for batch in line})
    left, right = sizes[0] / 1.6, sizes[-1] * 1.6
    roof = group.roof
    top, bottom = roof * 2.2, min(value for line in speeds.values() for value in line.values()) / 1.6
    axes.axhspan(roof, top, color="0.93", zorder=0)
    axes.axhline(roof, color="0.15", lw=1.6, zorder=1)
    axes.text(right / 1.1, roof * 1.08, f"sequential read: {roof:.0f} GB/s", ha="right", va="bottom", color="0.15")
    floor = max(gather.gigabytes for gather in group.gather.values())
    axes.axhline(floor, color="0.45", lw=1.1, ls=(0, (5, 3)), zorder=1)
    # In the band above the roof, where no line runs.
    text = f"- - bare random gather: {floor:.2g} GB/s"
    axes.text(left * 1.1, roof * 1.08, text, va="bottom", color="0.4", size=8.5)
    for name, line in speeds.items():
        color, marker, dash = STYLES[name]
        own = name.startswith("steepest")
        batches = sorted(line)
        axes.plot(
            batches,
            [line[batch] for batch in batches],
            color=color,
            marker=marker,
            ls=dash,
            lw=2.4 if own else 1.3,
            ms=8 if own else 12 if marker == "*" else 7,
            mec="white",
            mew=0.7,
            zorder=4 if own else 3,
            label=name,
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_xticks(sizes)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="minor", bottom=False)
    plural = "s" * (group.features > 1)
    axes.set_title(f"{group.features} feature{plural}: {group.row_bytes} bytes a row", loc="left")
    axes.grid(axis="y", which="major", color="0.9", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _speeds(group: Group) -> dict[str, dict[int, float]]:
    """Return GB/s by contender and batch size, with the number of threads that is best for each."""
    speeds: dict[str, dict[int, float]] = {}
    for one in group.contenders:
        if one.batch is None:
            continue
        line = speeds.setdefault(f"{one.name} {one.order}".strip(), {})
        line[one.batch] = max(one.gigabytes, line.get(one.batch, 0.0))
    return speeds
