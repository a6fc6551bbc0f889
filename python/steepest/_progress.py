"""Progress for people: a bar in a terminal, lines in a log, the sources' lines, or nothing."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from steepest._results import Result


class Reporter(Protocol):
    """What a run tells after every epoch."""

    def epoch(self, number: int, objective: float, seconds: float, x: NDArray[Any], validation: float) -> None:
        """Report an epoch."""

    def close(self) -> None:
        """End the report."""


def make_reporter(progress: Any, epochs: int, rows: int, start: NDArray[Any]) -> Reporter | None:
    """Return what shows the progress of a run, None for silence."""
    if isinstance(progress, np.bool_):
        progress = bool(progress)
    if progress is False:
        return None
    if progress is not True and progress not in ("bar", "lines", "textbook"):
        raise ValueError(f'progress must be a bool, "bar", "lines" or "textbook", not {progress!r}')
    if progress == "textbook":
        return Textbook(start)
    if progress == "bar" or (progress is True and sys.stderr.isatty()):
        try:
            return Bar(epochs, rows)
        except ImportError:
            if progress == "bar":
                raise
    return Lines(epochs, rows)


class Textbook:
    """The sources' line, at the parameters before each epoch (A5)."""

    def __init__(self, start: NDArray[Any]) -> None:
        self._x = start

    def epoch(self, number: int, objective: float, seconds: float, x: NDArray[Any], validation: float) -> None:
        """Print the parameters the epoch began with and the objective it met."""
        theta = f"{self._x[0]:.2f}" if self._x.size == 1 else np.array2string(self._x, precision=2)
        print(f"theta: {theta} | loss: {objective:.2f}")
        self._x = x

    def close(self) -> None:
        """End the report."""


class Lines:
    """A line per epoch, ever rarer, on standard error."""

    def __init__(self, epochs: int, rows: int) -> None:
        self._epochs = epochs
        self._rows = rows
        self._seen = 0

    def epoch(self, number: int, objective: float, seconds: float, x: NDArray[Any], validation: float) -> None:
        """Print epochs 1 to 10, then every tenth, then every hundredth."""
        self._seen += 1
        every = 10 ** max(0, len(str(self._seen - 1)) - 1)
        if self._seen % every and self._seen != self._epochs:
            return
        rate = self._seen * self._rows / max(seconds, 1e-9)
        said = f"epoch {number}: objective {_numbers(objective, validation)}, {in_letters(rate)} rows/s"
        print(said, file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the report."""


class Bar:
    """A bar with objective, rows per second and time left (rich)."""

    def __init__(self, epochs: int, rows: int) -> None:
        from steepest._extras import require

        rich = require("rich.progress", extra="cli")
        console = require("rich.console", extra="cli").Console(stderr=True)
        self._rows = rows
        self._bar = rich.Progress(
            rich.TextColumn("epoch"),
            rich.MofNCompleteColumn(),
            rich.BarColumn(),
            rich.TextColumn("{task.fields[said]}"),
            rich.TimeRemainingColumn(),
            console=console,
            transient=False,
        )
        self._bar.start()
        self._task = self._bar.add_task("", total=epochs, said="")
        self._seen = 0

    def epoch(self, number: int, objective: float, seconds: float, x: NDArray[Any], validation: float) -> None:
        """Advance the bar."""
        self._seen += 1
        rate = self._seen * self._rows / max(seconds, 1e-9)
        said = f"objective {_numbers(objective, validation)}, {in_letters(rate)} rows/s"
        self._bar.update(self._task, advance=1, said=said)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()


def in_letters(number: float) -> str:
    """Write a large number with a letter for its thousands.

    Examples
    --------
    >>> in_letters(7_340_000.0), in_letters(950.0)
    ('7.34M', '950')
    """
    if not math.isfinite(number):
        return "inf"
    for scale, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= scale:
            return f"{number / scale:.3g}{letter}" if number < 1e12 else f"{number:.1e}"
    return f"{number:.3g}"


def _numbers(objective: float, validation: float) -> str:
    """Return the objective as it is shown, with the loss of the held-out rows where there are some."""
    return f"{objective:.6g}" + ("" if math.isnan(validation) else f", held out {validation:.6g}")


class Watcher:
    """Stands between the core's epochs and the user's callback and progress."""

    def __init__(self, callback: Callable[[Any], Any] | None, reporter: Reporter | None) -> None:
        self._callback = callback
        self._reporter = reporter

    def __call__(
        self,
        epoch: int,
        running: float,
        exact: float,
        step: float,
        seconds: float,
        updates: int,
        x: NDArray[Any],
        validation: float,
    ) -> bool:
        fun = running if math.isnan(exact) else exact
        if self._reporter is not None:
            self._reporter.epoch(epoch, fun, seconds, x, validation)
        if self._callback is None:
            return False
        try:
            answer = self._callback(
                Result(x=x, fun=fun, epoch=epoch, nit=updates, step_size=step, seconds=seconds, validation=validation)
            )
        except StopIteration:
            return True
        if answer is None or isinstance(answer, (bool, np.bool_)):
            return bool(answer)
        raise TypeError(f"callback must return True, False or None, not {answer!r}")
