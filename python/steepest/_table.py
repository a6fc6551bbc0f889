"""Data files for the command line: .npy, .npz and .csv to rows and targets, with the names of the columns."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

KINDS = (".npy", ".npz", ".csv")


class Table(NamedTuple):
    """Rows (None for targets alone) and targets, with the names of their columns."""

    X: NDArray[Any] | None
    y: NDArray[Any]
    features: list[str]
    target: str


def read_table(path: Path, target: str | None, labels: bool) -> Table:
    """Read a data file.

    Parameters
    ----------
    path : Path
        A .npy array, 1-D or 2-D; a .npz archive with arrays X and y; or a .csv file, with a line of names or without.
    target : str or None
        The column to predict, by name or index (from the end where negative); of an archive, the array.
    labels : bool
        Whether targets may be text.

    Returns
    -------
    Table
        ``X`` of shape (n, d) and ``y`` of shape (n,).

    Raises
    ------
    ValueError
        Naming the file and what is wrong in it, by line and column.
    OSError
        When the file cannot be read.
    """
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise ValueError(f"{path}: {kind or 'no suffix'} is none of {', '.join(KINDS)}")
    if kind == ".csv":
        return _read_csv(path, target, labels)
    try:
        # Mapped, not read: the core takes rows from wherever they lie.
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as {kind}: {error}") from None
    if isinstance(loaded, np.ndarray):
        return _split(loaded, path, target)
    with loaded:
        return _read_archive(loaded, path, target)


def _split(array: NDArray[Any], path: Path, target: str | None) -> Table:
    """Take the target's column out of an array."""
    if array.ndim == 1:
        array = array.reshape(-1, 1)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{path} holds an array of shape {array.shape}; rows and columns are needed")
    names = [str(i) for i in range(array.shape[1])]
    at = _column(names, target, path)
    y = array[:, at]
    if len(names) == 1:
        return Table(None, y, [], names[at])
    features = names[:at] + names[at + 1 :]
    if at == 0:
        return Table(array[:, 1:], y, features, names[at])
    if at == len(features):
        return Table(array[:, :-1], y, features, names[at])
    return Table(np.delete(array, at, axis=1), y, features, names[at])


def _read_archive(archive: Any, path: Path, target: str | None) -> Table:
    names = list(archive.files)
    target = "y" if target is None else target
    if target not in names:
        raise ValueError(f"{path} has no array {target!r}; there are: {', '.join(names) or 'none'}")
    others = [name for name in names if name != target]
    if "X" not in others and len(others) > 1:
        raise ValueError(f"{path} has no array X to predict {target} from; there are: {', '.join(names)}")
    try:
        y = archive[target]
        if not others:
            return Table(None, y, [], target)
        X = archive["X" if "X" in others else others[0]]
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    if X.ndim == 1:
        X = X.reshape(-1, 1)
    return Table(X, y, [str(i) for i in range(X.shape[-1])], target)


def _column(names: Sequence[str], target: str | None, path: Path) -> int:
    """Find the target among the columns."""
    if target is None:
        if len(names) == 1:
            return 0
        raise ValueError(f"--target is needed: the column of {path} to predict, one of {_listed(names)}")
    if names.count(target) == 1:
        return names.index(target)
    if target in names:
        raise ValueError(f"{path} has {names.count(target)} columns named {target!r}; name the target by its index")
    try:
        return range(len(names))[int(target)]
    except (ValueError, IndexError):
        raise ValueError(f"{path} has no column {target!r}; there are: {_listed(names)}") from None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _read_csv(path: Path, target: str | None, labels: bool) -> Table:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            return _read_text(file, path, target, labels)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is no text in UTF-8: {error}") from None


def _read_text(file: TextIO, path: Path, target: str | None, labels: bool) -> Table:
    line = file.readline()
    if not line.strip():
        raise ValueError(f"{path} is empty, or its first line is")
    delimiter = max(",;\t", key=line.count)
    cells = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
    index = [str(i) for i in range(len(cells))]
    # A line of numbers is no line of names; without names, the target may still be a text.
    unnamed = target is None or target.lstrip("-").isdecimal()
    text = {_column(index, target, path)} if unnamed and labels and target not in cells and len(cells) > 1 else set()
    headless = all(_is_number(cell) or i in text for i, cell in enumerate(cells))
    names = index if headless else cells
    at = _column(names, target, path)
    features = [i for i in range(len(names)) if i != at]

    style: Any = {"comments": None, "delimiter": delimiter, "skiprows": int(not headless), "quotechar": '"', "ndmin": 2}

    def load(columns: Sequence[int], dtype: Any) -> NDArray[Any]:
        file.seek(0)
        array: NDArray[Any] = np.loadtxt(file, dtype, usecols=columns, **style)
        return array

    if not headless and not file.readline().strip():
        raise ValueError(f"{path} holds no rows below its line of names")
    try:
        try:
            # The target last, so that both parts are views of one array.
            table = load([*features, at], np.float64)
            X, y = table[:, :-1], table[:, -1]
        except ValueError:
            if not labels:
                raise
            X = load(features, np.float64) if features else np.empty((0, 0))
            y = load([at], np.str_)[:, 0]
    except ValueError as error:
        file.seek(0)
        raise ValueError(_complaint(file, path, names, delimiter, at if labels else -1) or f"{path}: {error}") from None
    return Table(X if features else None, y, [names[i] for i in features], names[at])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _complaint(file: TextIO, path: Path, names: Sequence[str], delimiter: str, text: int) -> str | None:
    """Name the first cell that is no number; column `text` need not be one."""
    reader = csv.reader(file, delimiter=delimiter)
    for cells in reader:
        where = f"{path}, line {reader.line_num}"
        if not cells or [cell.strip() for cell in cells] == names:
            continue
        if len(cells) != len(names):
            return f"{where}: {len(cells)} columns, the first line has {len(names)}"
        for i, cell in enumerate(cells):
            if i != text and not _is_number(cell):
                return f"{where}: column {names[i]!r} holds {cell!r}, not a number"
    return None
