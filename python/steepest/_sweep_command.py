"""What ``steepest sweep`` does: a file in, candidates measured, a table and one sentence out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from steepest._errors import check_file, refusing
from steepest._fit import load, rows_seen, told
from steepest._options import LossOptions, number
from steepest._picture import new_picture, save_picture
from steepest._saved import replacing
from steepest._sweep import sweep
from steepest._sweep_result import SweepResult
from steepest._table import Request


class Lists(NamedTuple):
    """The candidates as given on the command line: lists with commas."""

    batch_sizes: str | None
    step_sizes: str | None
    methods: str | None


def run_sweep(
    request: Request,
    model: LossOptions,
    lists: Lists,
    options: Mapping[str, Any],
    files: Mapping[str, Path | None],
    progress: bool,
) -> int:
    """Sweep, show the table and the advice, write the files; return the exit code.

    Raises
    ------
    Refused
        For bad usage and bad data, before any work.
    """
    printed = files["--json"] is not None and str(files["--json"]) == "-"
    console = Console(stderr=printed)
    if printed:
        files = {**files, "--json": None}
    for option, path in files.items():
        check_file(option, path)
    figure = None if files["--figure"] is None else new_picture("--figure", files["--figure"], (9, 5.4), 160)
    with refusing():
        loss, penalty = model.made()
        candidates: dict[str, Any] = {
            "batch_sizes": _split(lists.batch_sizes, "--batch-sizes", _whole),
            "step_sizes": _split(lists.step_sizes, "--step-sizes", _step),
            "methods": _split(lists.methods, "--methods", lambda name, option: name),
        }
        table = load(request, loss, progress)
        data = rows_seen(table, model)
    result, code = told(
        lambda: sweep(
            loss,
            data,
            penalty=penalty,
            fit_intercept=model.intercept and table.X is not None,
            progress=progress,
            **candidates,
            **options,
        )
    )
    console.print(result)
    if printed:
        print(result._json())
    _write(console, result, files, figure)
    if code == 0 and result.best is not None and result.best["diverged"]:
        return 1
    return code


def _write(console: Console, result: SweepResult, files: Mapping[str, Path | None], figure: Any) -> None:
    for option, path in files.items():
        if path is None or (option == "--figure" and not result.table):
            continue
        if option == "--figure":
            result.plot(figure.add_subplot())
            save_picture(figure, path)
        else:
            with replacing(path) as file:
                file.write((result._csv() if option == "--csv" else result._json() + "\n").encode())
        what = {"--csv": "Table", "--json": "Everything measured", "--figure": "Picture"}[option]
        console.print(f"{what}: {path}", markup=False, highlight=False, soft_wrap=True)


def _split(text: str | None, option: str, read: Callable[[str, str], Any]) -> list[Any] | None:
    """Return the parts of a list with commas."""
    if text is None:
        return None
    return [read(part.strip(), option) for part in text.split(",")]


def _whole(text: str, option: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{option} takes whole numbers with commas, such as 32,64,128, not {text!r}") from None


def _step(text: str, option: str) -> float | str | None:
    lowered = text.lower()
    if lowered == "computed":
        return None
    return lowered if lowered == "auto" else number(text, option)
