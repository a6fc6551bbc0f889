"""CSV and TSV block by block: by pyarrow where it is installed, otherwise by NumPy."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from importlib.util import find_spec
from itertools import islice
from threading import Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepest._extras import require
from steepest._reading import BLOCK_ROWS, STDIN, Coded, Source, coded, numbers, opened, without_empty

# What the format of a file is judged by, and how much pyarrow parses at once: a few blocks are under way at a time.
HEAD_BYTES = 1 << 18
HEAD_ROWS = 1000
BLOCK_BYTES = 1 << 20
MISSING = ["", "NA", "N/A", "nan", "NaN", "NAN", "null", "NULL"]
COMMA = re.compile(r"[+-]?\d+,\d+")
_unfinished: list[Any] = []


class TextReader:
    """A text file with a row per line, with a line of names or without.

    Parameters
    ----------
    source : Source
        The file, or standard input.
    header : bool or None
        Whether the first line holds names; where None, a line of numbers holds none.
    labels : str or None
        A column by index that may hold texts in a file without names.

    Raises
    ------
    ValueError
        Naming the file and the line.
    """

    def __init__(self, source: Source, header: bool | None, labels: str | None) -> None:
        self.name = source.name
        self._source = source
        with opened(source) as stream:
            self._head = stream.read(HEAD_BYTES)
        lines = self._first_lines(whole=len(self._head) < HEAD_BYTES)
        first = lines[0] if lines else ""
        if not first.strip():
            raise ValueError(f"{self.name} is empty, or its first line is")
        self._delimiter = "\t" if source.form == "tsv" else max(",;\t", key=first.count)
        rows = list(islice(csv.reader(lines, delimiter=self._delimiter), HEAD_ROWS))
        cells = [cell.strip() for cell in rows[0]]
        index = [str(i) for i in range(len(cells))]
        if header is None:
            may_be_text = self._text_index(labels, cells)
            header = not all(is_number(cell) or i == may_be_text for i, cell in enumerate(cells))
        self._header = header
        self.names = cells if header else index
        self._width = len(cells)
        self._line_breaks = any("\n" in cell for row in rows for cell in row)
        rows = [row for row in rows[1 if header else 0 :] if row and len(row) == self._width]
        if header and not rows:
            raise ValueError(f"{self.name} holds no rows below its line of names")
        columns = [[cell for row in rows if (cell := row[i].strip()) not in MISSING] for i in range(self._width)]
        self.textual = {i for i, cells in enumerate(columns) if _is_textual(cells)}
        self.commas = {i: columns[i][0] for i in self.textual if all(map(COMMA.fullmatch, columns[i]))}

    def _first_lines(self, whole: bool) -> list[str]:
        try:
            # The last line of the head is cut short, perhaps within a letter.
            head: bytes = self._head if whole else self._head[: self._head.rfind(b"\n") + 1]
            return head.decode("utf-8-sig").splitlines(keepends=True)
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.name} is no text in UTF-8: {error}") from None

    def _text_index(self, labels: str | None, cells: list[str]) -> int | None:
        if labels is None or labels in cells or not labels.lstrip("-").isdecimal() or len(cells) < 2:
            return None
        at = int(labels)
        return at % len(cells) if -len(cells) <= at < len(cells) else None

    def blocks(self, columns: Sequence[int], text: Collection[int]) -> Iterator[list[Any]]:
        """Yield blocks of rows."""
        read = self._by_arrow if find_spec("pyarrow") is not None else self._by_numpy
        try:
            with opened(self._source) as stream:
                # What standard input has given is not given again.
                whole = _Joined(self._head if self._source.path == STDIN else b"", stream)
                yield from read(whole, columns, text)
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.name} is no text in UTF-8: {error}") from None

    def place(self, row: int) -> str:
        """Say on which line a row stands; of standard input, which cannot be read again, which row it is."""
        if self._source.path == STDIN:
            return f"row {row} below the names" if self._header else f"row {row}"
        with open(self._source.path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=self._delimiter)
            rows = (reader.line_num for cells in reader if cells)
            return f"line {next(islice(rows, row + self._header, None))}"

    def _by_arrow(self, whole: _Joined, columns: Sequence[int], text: Collection[int]) -> Iterator[list[Any]]:
        arrow = require("pyarrow", extra="data")
        reading = require("pyarrow.csv", extra="data")
        kinds = {
            str(i): arrow.dictionary(arrow.int32(), arrow.string()) if i in text else arrow.float64() for i in columns
        }
        try:
            path = self._source.path
            # What waits for standard input inside of pyarrow does not hear Ctrl-C.
            call = _awaited if path == STDIN else _called
            batches = call(
                reading.open_csv,
                # What pyarrow opens itself does not pass through Python.
                arrow.PythonFile(whole, mode="r") if path == STDIN else arrow.OSFile(path),
                reading.ReadOptions(
                    block_size=BLOCK_BYTES,
                    column_names=[str(i) for i in range(self._width)],
                    skip_rows=int(self._header),
                    # Only so does pyarrow know which row is wrong; a file is looked through again.
                    use_threads=path != STDIN,
                ),
                reading.ParseOptions(delimiter=self._delimiter, newlines_in_values=self._line_breaks),
                reading.ConvertOptions(
                    column_types=kinds,
                    include_columns=list(kinds),
                    null_values=MISSING,
                ),
            )
            if path == STDIN:
                # Whoever stops early would wait for more of standard input while pyarrow's reader is taken down.
                _unfinished.append(batches)
            while (batch := call(next, batches, None)) is not None:
                if batch.num_rows:
                    yield [
                        coded(column) if i in text else numbers(column)
                        for i, column in zip(columns, batch.columns, strict=True)
                    ]
            _unfinished.clear()
            arrow.default_memory_pool().release_unused()
        except arrow.ArrowInvalid as error:
            if "invalid UTF8" in str(error):
                raise ValueError(f"{self.name} is no text in UTF-8: {error}") from None
            raise ValueError(self.complaint(columns, text) or f"{self.name}: {error}") from None

    def _by_numpy(self, whole: _Joined, columns: Sequence[int], text: Collection[int]) -> Iterator[list[Any]]:
        file = io.TextIOWrapper(io.BufferedReader(whole, HEAD_BYTES), encoding="utf-8-sig", newline="")
        if self._header:
            file.readline()
        numeric = [i for i in columns if i not in text]
        style: Any = {"comments": None, "delimiter": self._delimiter, "quotechar": '"', "ndmin": 2}
        while lines := list(islice(file, BLOCK_ROWS)):
            lines = [line for line in lines if line.strip()]
            if not lines:
                continue
            try:
                found: dict[int, Any] = dict(zip(numeric, self._numbers(lines, numeric, style), strict=True))
                for i in text:
                    cells = np.char.strip(np.loadtxt(lines, np.str_, usecols=[i], **style)[:, 0])
                    values, codes = np.unique(cells, return_inverse=True)
                    found[i] = without_empty(codes.astype(np.int32), values.tolist())
            except ValueError as error:
                raise ValueError(self.complaint(columns, text) or f"{self.name}: {error}") from None
            short = any(line.count(self._delimiter) < self._width - 1 for line in lines)
            if short and (wrong := self.complaint(columns, text)) is not None:
                raise ValueError(wrong)
            yield [found[i] for i in columns]

    def _numbers(self, lines: list[str], columns: list[int], style: Any) -> Iterator[NDArray[np.float64]]:
        if columns:
            try:
                parsed = np.loadtxt(lines, np.float64, usecols=columns, **style)
            except ValueError:
                # Where something is missing perhaps, which has to be looked for in each cell.
                parsed = np.loadtxt(lines, np.float64, usecols=columns, converters=_number_or_nan, **style)
            yield from parsed.T

    def complaint(self, columns: Sequence[int], text: Collection[int]) -> str | None:
        """Name the first line that cannot be read, by looking at them one by one; None where none is found."""
        if self._source.path == STDIN:
            return None
        with open(self._source.path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=self._delimiter)
            if self._header:
                next(reader)
            for cells in reader:
                where = f"{self.name}, line {reader.line_num}"
                if not cells:
                    continue
                if len(cells) != self._width:
                    return f"{where}: {len(cells)} columns, the first line has {self._width}"
                for i in columns:
                    cell = cells[i].strip()
                    if i not in text and not is_number(cell) and cell not in MISSING:
                        return f"{where}: column {self.names[i]!r} holds {cell!r}, not a number"
        return None


def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def _awaited(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a thread of its own, so that this one can be interrupted while it waits."""
    answer: Future[Any] = Future()

    def call() -> None:
        try:
            answer.set_result(function(*arguments))
        except Exception as error:
            answer.set_exception(error)

    Thread(target=call, daemon=True).start()
    return answer.result()


class _Joined(io.RawIOBase):
    """The bytes already read from a stream, then the rest of it."""

    def __init__(self, head: bytes, rest: Any) -> None:
        self._head = memoryview(head)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._head:
            size = len(self._head) if size is None or size < 0 else size
            part, self._head = self._head[:size], self._head[size:]
            return bytes(part)
        found: bytes = self._rest.read(size)
        return found

    def readinto(self, buffer: Any) -> int:
        part = self.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def readall(self) -> bytes:
        return self.read() + (self._rest.read() or b"")


def is_number(cell: str) -> bool:
    """Tell whether a cell holds a number, infinite ones and NaN included."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number_or_nan(cell: str) -> float:
    return math.nan if cell.strip() in MISSING else float(cell)


def _is_textual(filled: Sequence[str]) -> bool:
    """Tell whether what stands in a column is text throughout: a single number makes the rest typing errors."""
    return bool(filled) and not any(is_number(cell) for cell in filled)


def is_finite(values: NDArray[Any]) -> bool:
    """Tell whether all values are finite, without an array of answers: a sum shows it, but for overflow."""
    total = float(values.sum())
    return math.isfinite(total) or bool(np.isfinite(values).all())


__all__ = ["Coded", "TextReader", "is_finite", "is_number"]
