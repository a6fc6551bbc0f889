"""The picture of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from steepest._extras import require
from steepest._sweep_result import MOST_NAMED, SweepResult, find_best, method_name, shown_step
from steepest.plot._axes import finish, in_epochs, in_seconds, legend_beside, new_axes

# Candidates whose first epochs differ by more than this factor in time share no linear axis.
MUCH_SLOWER = 8.0
DECADES = 30.0
SMALLEST_SHARE = 1e-5


def draw(result: SweepResult, ax: Any, against: str) -> Any:
    """Draw a sweep and return the axes."""
    ax = new_axes(ax, (9, 5.4))
    colors = require("matplotlib", extra="plot").colormaps["turbo"]
    if against == "step_size":
        _draw_steps(result, ax, colors)
    else:
        _draw_curves(result, ax, colors, against)
    return ax


def _label(result: SweepResult, row: dict[str, Any]) -> str:
    """Name a candidate by what distinguishes it."""
    parts = []
    for key, shown in (("batch_size", "{:,}".format), ("step_size", shown_step), ("method", method_name)):
        if len({shown(other[key]) for other in result.table}) > 1 or (key == "batch_size" and len(result.table) == 1):
            parts.append(shown(row[key]))
    return ", ".join(parts)


def _legend_title(result: SweepResult) -> str:
    varied = [
        name
        for key, name in (("batch_size", "batch size"), ("step_size", "step size"), ("method", "method"))
        if len({str(row[key]) for row in result.table}) > 1
    ]
    return ", ".join(varied) or "batch size"


def _best_first(table: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    left, ranked = list(table), []
    while (found := find_best(left)) is not None:
        ranked.append(found)
        left = [row for row in left if row is not found]
    return ranked


def _draw_curves(result: SweepResult, ax: Any, colors: Any, against: str) -> None:
    column = "seconds" if against == "time" else "epochs"
    named = [id(row) for row in _best_first(result.table)[:MOST_NAMED]]
    shown = [row for row in result.table if id(row) in named]
    color_of = dict(zip(map(id, shown), colors(np.linspace(0.06, 0.94, max(2, len(shown)))), strict=False))
    first = [row["curve"][column][1] for row in result.table]
    wide = against == "time" and max(first) > MUCH_SLOWER * min(first)
    # On a logarithmic axis there is no place for the start.
    begin = 1 if wide else 0
    reached = [y for row in result.table if not row["diverged"] for y in row["curve"]["objective"]]
    lowest = min(reached, default=0.0)
    left = np.array([y - lowest for y in reached if y > lowest])
    # What counts is how much is left, over orders of magnitude; the lowest of all is drawn at the bottom.
    floor = max(left.min() / 3, left.max() * SMALLEST_SHARE) if left.size else 0.0
    for row in sorted(result.table, key=lambda row: id(row) in named):
        x = np.array(row["curve"][column][begin:])
        y = np.maximum(np.array(row["curve"]["objective"][begin:]) - lowest, floor)
        is_best, is_named = row is result.best, id(row) in named
        ax.plot(
            x,
            y,
            marker="o",
            ms=5 if is_named else 3,
            mec="white",
            mew=0.6,
            color=color_of[id(row)] if is_named else "0.8",
            lw=2.8 if is_best else 1.5,
            ls=":" if row["diverged"] else "-",
            zorder=4 if is_best else 3 if is_named else 2,
        )
    for row in shown:
        note = " (diverged)" if row["diverged"] else " (best)" if row is result.best else ""
        ax.plot(
            [],
            [],
            color=color_of[id(row)],
            marker="o",
            ms=5,
            mec="white",
            lw=2.8 if row is result.best else 1.5,
            ls=":" if row["diverged"] else "-",
            label=_label(result, row) + note,
        )
    if result.target is not None and result.target - lowest > floor:
        label = f"target {result.target:.4g}"
        ax.axhline(result.target - lowest, color="0.35", lw=1, ls=(0, (5, 3)), zorder=1, label=label)
    ax.set_yscale("log")
    if left.size:
        ax.set_ylim(floor / 1.2, left.max() * 1.6)
    if wide:
        ax.set_xscale("log")
    elif against == "time":
        ax.set_xlim(left=0)
    (in_seconds if against == "time" else in_epochs)(ax)
    y = f"objective above the lowest reached ({lowest:.5g})" if reached else "objective over all rows"
    title = f"Loss against {against}: a point per epoch, {result.rows:,} rows"
    finish(ax, "time of descent" if against == "time" else "epochs", y, title)
    legend_beside(ax, _legend_title(result))


def _draw_steps(result: SweepResult, ax: Any, colors: Any) -> None:
    rows = [row for row in result.table if isinstance(row["step_size"], float)]
    groups = list(dict.fromkeys((row["batch_size"], method_name(row["method"])) for row in rows))
    several = len({method for _, method in groups}) > 1
    palette = colors(np.linspace(0.12, 0.88, len(groups))) if len(groups) > 1 else [colors(0.12)]
    for (size, method), color in zip(groups, palette, strict=True):
        mine = [row for row in rows if (row["batch_size"], method_name(row["method"])) == (size, method)]
        mine.sort(key=lambda row: row["step_size"])
        steps, ends = (np.array([row[key] for row in mine]) for key in ("step_size", "objective"))
        label = f"{size:,}" + (f", {method}" if several else "")
        ax.plot(steps, ends, "o-", color=color, lw=1.8, ms=6, mec="white", label=label)
        lost = np.array([row["diverged"] for row in mine])
        ax.plot(steps[lost], ends[lost], "X", color=color, ms=9, mec="white", zorder=4)
        if len(groups) == 1 and len(mine) <= MOST_NAMED:
            for step, end in zip(steps[np.isfinite(ends)], ends[np.isfinite(ends)], strict=True):
                place = {"xytext": (-5, 5), "textcoords": "offset points", "ha": "right", "va": "bottom"}
                ax.annotate(f"{end:.4g}", (step, end), fontsize="x-small", color="0.35", **place)
    ends = np.array([row["objective"] for row in rows])
    ends = ends[np.isfinite(ends)]
    ax.axhline(result.start, color="0.35", lw=1, ls=(0, (5, 3)), zorder=1, label="at the start")
    if any(row["diverged"] for row in rows):
        ax.plot([], [], "X", color="0.5", ms=7, mec="white", label="diverged")
    ax.set_xscale("log")
    ax.margins(y=0.1)
    if ends.size and ends.min() > 0 and ends.max() > DECADES * ends.min():
        ax.set_yscale("log")
    finish(ax, "step size", "objective over all rows", f"Objective reached by step size, {result.rows:,} rows")
    legend_beside(ax, "batch size, method" if several else "batch size")
