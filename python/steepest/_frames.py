"""Tables of pandas, polars and Arrow as rows: in place where their columns lie evenly in memory, else in one copy.

A column that is stored by itself is an array; several of them are together a strided one if their addresses are evenly
apart. That is so for the one block of a frame made from an array, for columns of one buffer, and for any two columns.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steepest._warnings import LARGE_COPY, DataCopyWarning, warn

TABLES = {"pandas": ("DataFrame",), "polars": ("DataFrame",), "pyarrow": ("Table", "RecordBatch")}
COLUMNS = {"pandas": ("Series",), "polars": ("Series",), "pyarrow": ("Array", "ChunkedArray")}
BLOCK_ROWS = 4096


class Table(NamedTuple):
    """The columns of a table, each an array of its own, and their names."""

    kind: str
    columns: list[NDArray[Any]]
    names: list[str]
    copied: int  # bytes of the columns that are not stored as arrays: bits, chunks, sparse ones


def is_table(values: Any) -> bool:
    """Tell whether something is a table of pandas, polars or Arrow; none of them is imported."""
    return _is_one_of(values, TABLES)


def is_column(values: Any) -> bool:
    """Tell whether something is a column of such a table."""
    return _is_one_of(values, COLUMNS)


def names_of(values: Any) -> list[str] | None:
    """Return the names of a table's columns; None for what is none."""
    if not is_table(values):
        return None
    return [str(name) for name in (values.column_names if _kind(values) == "pyarrow" else values.columns)]


def table_of(values: Any, what: str) -> Table:
    """Return the columns of a table as numbers.

    Raises
    ------
    TypeError
        Naming the column that holds anything but numbers and booleans.
    ValueError
        Naming the column with missing values, and the first row of them.
    """
    kind, names = _kind(values), names_of(values) or []
    pick = {"pandas": _pandas_pick, "polars": _polars_pick, "pyarrow": _arrow_pick}[kind]
    read = [_read_column(pick(values, j), f"column {name!r} of {what}") for j, name in enumerate(names)]
    copied = sum(column.nbytes for column, is_copy in read if is_copy)
    return Table(kind, [column for column, _ in read], names, copied)


def column_of(values: Any, what: str) -> NDArray[Any]:
    """Return a column of numbers without a copy where it is stored as an array."""
    return _read_column(values, what)[0]


def _read_column(values: Any, what: str) -> tuple[NDArray[Any], bool]:
    """Return a column of numbers, and whether it is a copy."""
    read = {"pandas": _pandas_column, "polars": _polars_column, "pyarrow": _arrow_column}[_kind(values)]
    array, is_copy = read(values, what)
    if array.dtype.kind not in "biuf" or array.ndim != 1:
        raise TypeError(f"{what} must hold numbers or booleans; its type is {_type_of(values)}")
    return array, is_copy


def rows_of(table: Table, what: str, readable: Any) -> NDArray[Any]:
    """Return a table as a 2-D array: a view of its memory, or an announced copy in C order.

    Parameters
    ----------
    table : Table
        Its columns may have several types, which meet in one that holds the numbers of all.
    what : str
        What errors call it.
    readable : callable
        Whether the core reads numbers of a dtype as they are.
    """
    columns = table.columns
    if not columns or not len(columns[0]):
        raise ValueError(f"{what} is empty: its shape is {(len(columns[0]) if columns else 0, len(columns))}")
    kinds = sorted({str(column.dtype) for column in columns})
    view = _view(columns) if len(kinds) == 1 and readable(columns[0].dtype) else None
    if view is not None:
        if table.copied > LARGE_COPY:
            _announce(what, table.kind, "are not stored as arrays", columns[0].dtype, table.copied)
        return view
    dtype = np.result_type(*{column.dtype for column in columns}).newbyteorder("=")
    dtype = dtype if readable(dtype) else np.dtype(np.float64)
    rows = np.empty((len(columns[0]), len(columns)), dtype=dtype)
    if rows.nbytes > LARGE_COPY:
        reason = "lie apart in memory" if len(kinds) == 1 else f"have several types ({', '.join(kinds)})"
        if len(kinds) == 1 and not readable(columns[0].dtype):
            reason = f"have the type {kinds[0]}"
        _announce(what, table.kind, reason, dtype, rows.nbytes + table.copied)
    for start in range(0, len(rows), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        for j, column in enumerate(columns):
            rows[part, j] = column[part]
    return rows


def _announce(what: str, kind: str, reason: str, dtype: np.dtype[Any], size: int) -> None:
    warn(
        f"{what} is a table of {kind} whose columns {reason}: a copy in {dtype} of {size / 1e6:.0f} MB is made",
        DataCopyWarning,
    )


class _Columns:
    """Evenly spaced columns as NumPy sees them; keeps alive what they belong to."""

    def __init__(self, columns: list[NDArray[Any]], apart: int) -> None:
        first = columns[0]
        self.columns = columns
        self.__array_interface__ = {
            "version": 3,
            "typestr": first.dtype.str,
            "shape": (len(first), len(columns)),
            "strides": (first.strides[0], apart),
            "data": (first.__array_interface__["data"][0], True),
        }


def _view(columns: list[NDArray[Any]]) -> NDArray[Any] | None:
    places = np.array([column.__array_interface__["data"][0] for column in columns], dtype=np.uint64).astype(np.int64)
    apart = np.diff(places)
    if len({column.strides for column in columns}) > 1 or (apart.size and np.ptp(apart)):
        return None
    return np.asarray(_Columns(columns, int(apart[0]) if apart.size else columns[0].itemsize))


def _kind(values: Any) -> str:
    return type(values).__module__.partition(".")[0]


def _is_one_of(values: Any, known: dict[str, tuple[str, ...]]) -> bool:
    # Arrow has a class for every type of column, all of them kinds of Array.
    names = known.get(_kind(values), ())
    return any(kind.__name__ in names for kind in type(values).__mro__)


def _type_of(values: Any) -> str:
    return str(values.type) if _kind(values) == "pyarrow" else str(values.dtype)


def _missing(what: str, row: int) -> ValueError:
    return ValueError(f"{what} has missing values, first in row {row}: fill them in, or drop the rows")


def _pandas_pick(table: Any, j: int) -> Any:
    return table.iloc[:, j]


def _polars_pick(table: Any, j: int) -> Any:
    return table.to_series(j)


def _arrow_pick(table: Any, j: int) -> Any:
    return table.column(j)


def _pandas_column(series: Any, what: str) -> tuple[NDArray[Any], bool]:
    if isinstance(series.dtype, np.dtype):
        return np.asarray(series.to_numpy()), False
    missing = series.isna().to_numpy()
    if missing.any():
        raise _missing(what, int(missing.argmax()))
    # Nullable and Arrow's types say what their numbers are; others (categories, texts, times) do not.
    dtype = getattr(series.dtype, "numpy_dtype", None) or getattr(series.dtype, "subtype", None)
    if not isinstance(dtype, np.dtype) or dtype.kind not in "biuf":
        raise TypeError(f"{what} must hold numbers or booleans; its type is {series.dtype}")
    if hasattr(series.dtype, "pyarrow_dtype"):
        return _arrow_column(series.array.__arrow_array__(), what)
    return np.asarray(series.to_numpy(dtype=dtype)), not hasattr(series.dtype, "numpy_dtype")


def _polars_column(series: Any, what: str) -> tuple[NDArray[Any], bool]:
    if series.null_count():
        raise _missing(what, int(series.is_null().arg_max()))
    try:
        return np.asarray(series.to_numpy(allow_copy=False)), False
    except RuntimeError:  # several chunks, bits, or no numbers
        return np.asarray(series.to_numpy()), True


def _arrow_column(array: Any, what: str) -> tuple[NDArray[Any], bool]:
    if array.null_count:
        raise _missing(what, int(np.asarray(array.is_null()).argmax()))
    if getattr(array, "num_chunks", None) == 1:
        array = array.chunk(0)
    in_place = not hasattr(array, "num_chunks") and not _is_bits(array)
    return np.asarray(array.to_numpy(zero_copy_only=False)), not in_place


def _is_bits(array: Any) -> bool:
    return str(array.type) == "bool"
