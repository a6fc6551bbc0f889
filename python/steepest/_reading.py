"""Data files block by block: names of columns, then columns of a few thousand rows at a time, whatever the format.

The command line reads, encodes and predicts in these blocks, so that memory holds the numbers that are kept and little
else. What is wrong in a file is named by its line.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from steepest._extras import require

FORMATS = {
    "csv": (".csv",),
    "tsv": (".tsv", ".tab"),
    "npy": (".npy",),
    "npz": (".npz",),
    "parquet": (".parquet", ".pq"),
    "svmlight": (".svmlight", ".svm", ".libsvm"),
}
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
STDIN = "-"
BLOCK_ROWS = 1 << 15


class Coded(NamedTuple):
    """A column of texts: which of the values each row holds, -1 where none."""

    codes: NDArray[np.int32]
    values: list[str]


class Reader(Protocol):
    """A file that is open for reading.

    Attributes
    ----------
    name : str
        For messages.
    names : list of str
        Of the columns.
    textual : set of int
        The columns that hold texts, as far as the beginning of the file shows.
    commas : dict of int to str
        Those of them whose texts are numbers with a decimal comma, with one of these.
    """

    name: str
    names: list[str]
    textual: set[int]
    commas: dict[int, str]

    def blocks(self, columns: Sequence[int], text: Collection[int]) -> Iterator[list[Any]]:
        """Yield the columns asked for: arrays of float64, NaN where nothing stands, or `Coded` for those in `text`."""

    def place(self, row: int) -> str:
        """Say where a row stands, counted from 0."""


class Source:
    """A file, or standard input, that must be the same after it was read.

    Parameters
    ----------
    path : str
        A path, or - for standard input.
    form : str or None
        A name of `FORMATS`; by the suffix where None.

    Raises
    ------
    ValueError
        Where the suffix says nothing.
    OSError
        Where there is no such file.
    """

    def __init__(self, path: str, form: str | None) -> None:
        self.path = path
        self.name = "standard input" if path == STDIN else path
        if path != STDIN and os.path.isdir(path):
            raise ValueError(
                f"{path} is a directory; a pattern such as '{os.path.join(path, '*.csv')}' names its files"
            )
        if form is None:
            suffix = Path(path).suffix.lower()
            known = {suffix: name for name, suffixes in FORMATS.items() for suffix in suffixes}
            form = "csv" if path == STDIN else known.get(suffix)
            if form is None and suffix in PACKED:
                raise ValueError(f"{path} is compressed: unpack it, and pass - to read what a pipe brings")
            if form is None:
                raise ValueError(
                    f"{path}: {suffix or 'no suffix'} is none of {', '.join(known)}; --format says what it is"
                )
        self.form = form
        self._before = None if path == STDIN else self._state()

    def check_unchanged(self) -> None:
        """Refuse what was read while it was written to."""
        if self._before is not None and self._state() != self._before:
            raise ValueError(f"{self.path} changed while it was read: what was read may be parts of two files")

    def _state(self) -> tuple[int, int, int]:
        found = os.stat(self.path)
        return found.st_ino, found.st_size, found.st_mtime_ns


def find_sources(given: Sequence[str], form: str | None) -> list[Source]:
    """Return the files that paths and patterns such as ``part-*.csv`` stand for."""
    paths: list[str] = []
    for one in given:
        if one == STDIN or os.path.exists(one) or not glob.has_magic(one):
            paths.append(one)
            continue
        found = sorted(glob.glob(one))
        if not found:
            raise ValueError(f"no file matches {one}")
        paths += found
    if paths.count(STDIN) and len(paths) > 1:
        raise ValueError("standard input (-) goes with no other file")
    sources = [Source(path, form) for path in paths]
    if len({source.form for source in sources}) > 1:
        raise ValueError(f"the files are of several formats: {', '.join(sorted({s.form for s in sources}))}")
    return sources


class ParquetReader:
    """A Parquet file, read by pyarrow.

    Parameters
    ----------
    source : Source
        The file.

    Raises
    ------
    ValueError
        Where it is no Parquet file, or holds what is neither number nor text.
    """

    def __init__(self, source: Source) -> None:
        parquet = require("pyarrow.parquet", extra="data")
        self._types = require("pyarrow.types", extra="data")
        self._wrong = require("pyarrow.lib", extra="data").ArrowException
        self.name = source.name
        try:
            self._file = parquet.ParquetFile(BytesIO(sys.stdin.buffer.read()) if source.path == STDIN else source.path)
        except self._wrong as error:
            raise ValueError(f"{self.name} cannot be read as Parquet: {error}") from None
        schema = self._file.schema_arrow
        self.names = list(schema.names)
        self.textual = {i for i, field in enumerate(schema) if self._is_text(field.type)}
        self.commas: dict[int, str] = {}

    def blocks(self, columns: Sequence[int], text: Collection[int]) -> Iterator[list[Any]]:
        """Yield blocks of rows."""
        names = [self.names[i] for i in columns]
        try:
            for batch in self._file.iter_batches(BLOCK_ROWS, columns=names):
                yield [
                    coded(batch.column(name)) if i in text else self._numbers(batch.column(name), name)
                    for i, name in zip(columns, names, strict=True)
                ]
        except self._wrong as error:
            raise ValueError(f"{self.name} cannot be read: {error}") from None

    def place(self, row: int) -> str:
        """Say where a row stands."""
        return f"row {row}"

    def _is_text(self, kind: Any) -> bool:
        types = self._types
        kind = kind.value_type if types.is_dictionary(kind) else kind
        return bool(types.is_string(kind) or types.is_large_string(kind))

    def _numbers(self, column: Any, name: str) -> NDArray[np.float64]:
        kind = column.type
        types = self._types
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind)):
            raise ValueError(f"{self.name}: column {name!r} holds {kind}, no numbers; leave it out with --drop")
        if types.is_decimal(kind) or types.is_boolean(kind):
            column = column.cast("float64")
        return numbers(column)


def coded(column: Any) -> Coded:
    """Return a column of texts of pyarrow as codes and values; nothing and empty texts are missing."""
    encoded = column if hasattr(column, "dictionary") else column.dictionary_encode()
    values = [str(value) for value in encoded.dictionary.to_pylist()]
    codes, present = unwrapped(encoded.indices)
    return without_empty((codes if present is None else np.where(present, codes, -1)).astype(np.int32), values)


def numbers(column: Any) -> NDArray[np.float64]:
    """Return a column of numbers of pyarrow, NaN where nothing stands."""
    values, present = unwrapped(column)
    values = values.astype(np.float64, copy=False)
    return values if present is None else np.where(present, values, np.nan)


def unwrapped(column: Any) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return the numbers of a column of pyarrow and, unless all are, which are there.

    pyarrow's own conversions import pandas or its table of functions, which take more memory than the rows.
    """
    validity, content = column.buffers()
    inside = slice(column.offset, column.offset + len(column))
    values = np.frombuffer(content, column.type.to_pandas_dtype())[inside]
    if not column.null_count:
        return values, None
    bits = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")[inside]
    return values, bits.astype(np.bool_)


def without_empty(codes: NDArray[np.int32], values: list[str]) -> Coded:
    """Make empty texts missing ones."""
    if "" in values:
        codes = np.where(codes == values.index(""), np.int32(-1), codes)
    return Coded(codes, values)


@contextmanager
def opened(source: Source) -> Iterator[Any]:
    """Open the bytes of a source."""
    if source.path == STDIN:
        yield sys.stdin.buffer
        return
    with open(source.path, "rb") as file:
        yield file
