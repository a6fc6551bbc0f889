"""What a sweep returns: a table, one sentence of advice, a picture, files."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from steepest._extras import require
from steepest._lists import Member
from steepest._progress import in_letters
from steepest._results import Status

COLUMNS = (
    "batch_size",
    "step_size",
    "method",
    "rows_per_second",
    "seconds",
    "objective",
    "time_to_target",
    "noise_scale",
    "diverged",
    "epochs",
)
MOST_NAMED = 12
# Fewer step sizes make no line.
STEPS_FOR_A_LINE = 3


@dataclass(repr=False)
class SweepResult:
    """What a sweep measured.

    Attributes
    ----------
    table : list of dict
        One per candidate: ``batch_size``; ``step_size``, None where it was computed; ``method``; ``rows_per_second`` in
        the fastest epoch; ``seconds`` of descent in all; ``objective`` over all rows at the end, what it had grown to
        where the candidate diverged; ``time_to_target`` in seconds, on the chord between the ends of two epochs, None
        where the target was not reached; ``noise_scale``, the gradient noise scale at the end in rows, None where it
        cannot be had; ``diverged``; ``epochs``; and ``curve``, with lists ``epochs``, ``seconds`` and ``objective``
        that begin at the start.
    best : dict or None
        The candidate of the table that came to the target first, or, where none did, the lowest.
    advice : str
        One sentence: the best batch size, and why.
    start, target : float
        The objective at the start, and the one that was timed (None where no candidate came below the start).
    noise_scale_at_start : float or None
        The gradient noise scale where all candidates begin.
    rows, seed : int
        Of the data, and what the order of the rows depended on.
    status : Status
        ``ran_all_epochs``, ``stopped`` by the budget, or ``interrupted``.
    message : str
        The same in words, with what had to be changed of what was asked.
    """

    table: list[dict[str, Any]]
    best: dict[str, Any] | None
    rows: int
    start: float
    target: float | None
    target_given: bool
    noise_scale_at_start: float | None
    seed: int
    status: Status
    message: str
    advice: str = field(init=False)

    def __post_init__(self) -> None:
        self.advice = _advice(self)

    @property
    def success(self) -> bool:
        """Whether every candidate was measured as asked, and one of them at least did not diverge."""
        return self.status is Status.ran_all_epochs and not all(row["diverged"] for row in self.table)

    def __repr__(self) -> str:
        return f"<SweepResult of {len(self.table)} candidates: {self.advice}>"

    def __str__(self) -> str:
        names, rows = self.cells()
        widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
        lines = [map(str.rjust, line, widths) for line in [names, *rows]]
        return "\n".join([*map("  ".join, lines), self._about(), self.advice])

    def __rich__(self) -> Any:
        """Return what rich's consoles print: the table, the best candidate in bold, and the advice."""
        tables, text = require("rich.table", extra="cli"), require("rich.text", extra="cli").Text
        box = require("rich.box", extra="cli").SIMPLE_HEAD
        table = tables.Table(box=box, pad_edge=False, padding=(0, 0, 0, 1))
        names, rows = self.cells()
        for name in names:
            table.add_column(name, justify="right")
        for row, cells in zip(self.table, rows, strict=True):
            table.add_row(*cells, style="bold" if row is self.best else "red" if row["diverged"] else None)
        about = text(self._about(), style="dim")
        return require("rich.console", extra="cli").Group(table, about, text(""), text(self.advice))

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Return the names of the columns and the cells of each candidate, as they are printed.

        Examples
        --------
        >>> import steepest as st
        >>> found = st.sweep("mse", [12.1, 12.8, 14.9, 16.3, 17.2], seed=0)
        >>> found.cells()[0]
        ['batch', 'rows/s', 'epochs', 'time', 'objective', 'to target', 'noise']
        """
        names, columns = ["batch"], [[f"{row['batch_size']:,}" for row in self.table]]
        if any(row["step_size"] is not None for row in self.table):
            names.append("step")
            columns.append([shown_step(row["step_size"]) for row in self.table])
        if len({method_name(row["method"]) for row in self.table}) > 1:
            names.append("method")
            columns.append([method_name(row["method"]) for row in self.table])
        names += ["rows/s", "epochs", "time", "objective", "to target", "noise"]
        columns += [
            [in_letters(row["rows_per_second"]) for row in self.table],
            [str(row["epochs"]) for row in self.table],
            [shown_time(row["seconds"]) for row in self.table],
            [f"{row['objective']:.5g}" for row in self.table],
            [_arrival(row) for row in self.table],
            ["-" if row["noise_scale"] is None else in_letters(row["noise_scale"]) for row in self.table],
        ]
        return names, [list(cells) for cells in zip(*columns, strict=True)]

    def to_csv(self, path: str | Path) -> None:
        """Write the table without its curves, a line of names first; what is None is empty.

        A file of that name is replaced once all is written.

        Examples
        --------
        >>> import pathlib, tempfile, steepest as st
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder, "sweep.csv")
        ...     st.sweep("mse", [12.1, 12.8, 14.9, 16.3, 17.2], batch_sizes=[5]).to_csv(file)
        ...     print(file.read_text().splitlines()[0])
        batch_size,step_size,method,rows_per_second,seconds,objective,time_to_target,noise_scale,diverged,epochs
        """
        _replace(path, self._csv())

    def _csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in self.table:
            writer.writerow([_written(row[name]) for name in COLUMNS])
        return text.getvalue()

    def to_json(self, path: str | Path) -> None:
        """Write everything, curves included; what is infinite or no number is null.

        A file of that name is replaced once all is written.

        Examples
        --------
        >>> import json, pathlib, tempfile, steepest as st
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder, "sweep.json")
        ...     st.sweep("mse", [12.1, 12.8, 14.9, 16.3, 17.2], batch_sizes=[5]).to_json(file)
        ...     json.loads(file.read_text())["table"][0]["batch_size"]
        5
        """
        _replace(path, self._json() + "\n")

    def _json(self) -> str:
        document = {
            "rows": self.rows,
            "seed": self.seed,
            "start": self.start,
            "target": self.target,
            "noise_scale_at_start": self.noise_scale_at_start,
            "status": self.status.name,
            "message": self.message,
            "advice": self.advice,
            "best": None if self.best is None else next(i for i, row in enumerate(self.table) if row is self.best),
            "table": self.table,
        }
        return json.dumps(_plain(document), indent=2, allow_nan=False, ensure_ascii=False)

    def plot(self, ax: Any = None, against: str | None = None) -> Any:
        """Draw the objective of every candidate.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where; a new figure by default.
        against : "time", "epochs" or "step_size", optional
            What runs along the horizontal axis. "step_size" draws where each candidate ended, a line per batch size and
            method: the fall and the explosion (D5). Default: "step_size" where there are three or more of them and they
            outnumber the batch sizes, else "time".

        Returns
        -------
        Axes
            The legend names up to 12 candidates, the best ones; the others are grey.

        Raises
        ------
        ImportError
            Where matplotlib is missing.

        Examples
        --------
        >>> import steepest as st
        >>> axes = st.sweep("mse", [12.1, 12.8, 14.9, 16.3, 17.2], seed=0).plot()
        >>> axes.get_xlabel()
        'time of descent'
        """
        from steepest._sweep_plot import draw

        numeric = {row["step_size"] for row in self.table if isinstance(row["step_size"], float)}
        if against is None:
            outnumber = len(numeric) > len({row["batch_size"] for row in self.table})
            against = "step_size" if len(numeric) >= STEPS_FOR_A_LINE and outnumber else "time"
        if against not in ("time", "epochs", "step_size"):
            raise ValueError(f'against must be "time", "epochs" or "step_size", not {against!r}')
        if not self.table:
            raise ValueError("there is nothing to draw: no candidate was measured")
        if against == "step_size" and not numeric:
            raise ValueError("there is nothing to draw: no step size is a number")
        return draw(self, ax, against)

    def _about(self) -> str:
        """Say what the columns mean."""
        target = "no target" if self.target is None else f"target {self.target:.5g}"
        noise = (
            "" if self.noise_scale_at_start is None else f", noise scale {in_letters(self.noise_scale_at_start)} rows"
        )
        about = f"{counted(self.rows, 'row')}; {target}; at the start: objective {self.start:.5g}{noise}."
        return f"{about} Noise is the gradient noise scale at the end, in rows. {self.message}"


def find_best(table: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the candidate that came to the target first, or else the lowest; those that diverged only if all did."""

    def rank(row: dict[str, Any]) -> tuple[bool, float, float]:
        arrived = row["time_to_target"]
        return row["diverged"], math.inf if arrived is None else arrived, row["objective"]

    return min(table, key=rank, default=None)


def _advice(result: SweepResult) -> str:
    best = result.best
    if best is None:
        return "Nothing was measured, so there is no advice."
    if best["diverged"]:
        return "Every candidate diverged: smaller step sizes, or none at all, should help."
    size = f"{best['batch_size']:,}" + (" (all rows)" if best["batch_size"] == result.rows else "")
    choice = f"Batch size {size}"
    if len({shown_step(row["step_size"]) for row in result.table}) > 1:
        choice += f" with step size {shown_step(best['step_size'])}"
    if len({method_name(row["method"]) for row in result.table}) > 1:
        choice += f" and {method_name(best['method'])}"
    lost = sum(row["diverged"] for row in result.table)
    diverged = f"; {lost} of {counted(len(result.table), 'candidate')} diverged" if lost else ""
    return f"{choice} {_won(result, best)}{_noise_says(result, best)}{diverged}."


def _won(result: SweepResult, best: Mapping[str, Any]) -> str:
    """Say by what the best candidate won: over other batch sizes, where there are any."""
    if best["time_to_target"] is None:
        goal = "the target was never reached" if result.target_given else "none came below the start"
        return f"came lowest ({goal}): {best['objective']:.5g} after {shown_time(best['seconds'])}"
    where = f"{result.target:.5g}" + ("" if result.target_given else " (99 % of the way to the lowest of all)")
    words = f"came to {where} first, in {shown_time(best['time_to_target'])}"
    other_sizes = [row for row in result.table if row["batch_size"] != best["batch_size"]]
    others = other_sizes or [row for row in result.table if row is not best]
    arrived = [row for row in others if row["time_to_target"] is not None and not row["diverged"]]
    if not others or best["time_to_target"] <= 0:
        return words
    if not arrived:
        return f"{words}, {'the only size' if other_sizes else 'the only candidate'} to do so"
    second = min(arrived, key=lambda row: float(row["time_to_target"]))
    name = f"{second['batch_size']:,}"
    if not other_sizes:
        key = "step_size" if shown_step(second["step_size"]) != shown_step(best["step_size"]) else "method"
        name = f"step size {shown_step(second[key])}" if key == "step_size" else method_name(second[key])
    factor = second["time_to_target"] / best["time_to_target"]
    return f"{words}, " + (f"hardly sooner than {name}" if factor < 1.05 else f"{factor:.2g} times sooner than {name}")


def _noise_says(result: SweepResult, best: Mapping[str, Any]) -> str:
    """Say why, and what a larger machine would prefer."""
    end, begin = best["noise_scale"], result.noise_scale_at_start
    if end is None:
        return ""
    high = max(end, begin or 0.0)
    places = f"{_rows(end)} at its end" if begin is None else f"{_rows(begin)} at the start, {_rows(end)} at its end"
    scale = f"the gradient noise scale ({places})"
    if best["batch_size"] >= high:
        return f"; it is above {scale}, so larger batches would only read more rows, on a larger machine too"
    if best["batch_size"] >= result.rows:
        return f"; it is below {scale}, so even all rows are not too many for a larger machine"
    most = "all rows" if high >= result.rows else _rows(high)
    return f"; it is below {scale}, so a machine that works on more rows at once would take batches of up to {most}"


def counted(number: int, what: str) -> str:
    """Write a number of things.

    Examples
    --------
    >>> counted(1, "epoch"), counted(1200, "row")
    ('1 epoch', '1,200 rows')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _rows(number: float) -> str:
    """Write a number of rows to two figures."""
    if not math.isfinite(number):
        return "infinite"
    if number < 10:
        return f"{number:.2g} rows"
    if number >= 1e9:
        return f"{number:.1g} rows"
    digits = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return f"{round(number / digits) * digits:,} rows"


def shown_time(seconds: float) -> str:
    """Write a time with a unit that suits it.

    Examples
    --------
    >>> shown_time(0.0123), shown_time(4.2e-6), shown_time(75)
    ('12.3 ms', '4.2 µs', '75 s')
    """
    for scale, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def shown_step(step: Any) -> str:
    """Write a step size.

    Examples
    --------
    >>> shown_step(None), shown_step(1e-05), shown_step("auto")
    ('computed', '1e-05', 'auto')
    """
    if step is None:
        return "computed"
    return f"{step:g}" if isinstance(step, float) else step if isinstance(step, str) else repr(step)


def method_name(method: Any) -> str:
    """Write a method.

    Examples
    --------
    >>> import steepest as st
    >>> method_name("gd"), method_name(st.optim.SGD(lr=0.5))
    ('gd', 'SGD(lr=0.5)')
    """
    return method if isinstance(method, str) else repr(method)


def _arrival(row: Mapping[str, Any]) -> str:
    if row["diverged"]:
        return "diverged"
    return "-" if row["time_to_target"] is None else shown_time(row["time_to_target"])


def _written(value: Any) -> Any:
    """Return what a cell of a CSV file holds."""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    return "" if value is None else value if isinstance(value, (int, float, str)) else repr(value)


def _plain(value: Any) -> Any:
    """Return what JSON knows."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return repr(value) if isinstance(value, Member) or callable(value) else value


def _replace(path: str | Path, text: str) -> None:
    from steepest._saved import replacing  # with all that reads files, which a sweep of arrays does without

    with replacing(Path(path)) as file:
        file.write(text.encode())
