"""Sparse rows: checked once, then read where they lie."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepest import _core
from steepest._warnings import LARGE_COPY, DataCopyWarning, warn

INDICES = (np.dtype(np.int32), np.dtype(np.int64))
BLOCK = 1 << 20


class SparseRows:
    """CSR rows: views of a SciPy matrix's three arrays, whose structure has been checked.

    Parameters
    ----------
    data : ndarray, shape (entries,)
        The numbers: float32, float64, or narrow ones that the core widens on their way.
    indices : ndarray, shape (entries,)
        Their columns, in any order; repeated columns of a row add up.
    indptr : ndarray, shape (n + 1,)
        Where each row begins.
    shape : (n, d)
        Rows and columns.
    doubtful : bool
        Whether nobody has looked yet for columns that are out of range. A descent meets them all, and complains.
    """

    def __init__(
        self,
        data: NDArray[Any],
        indices: NDArray[Any],
        indptr: NDArray[Any],
        shape: tuple[int, int],
        doubtful: bool = False,
    ) -> None:
        self.data, self.indices, self.indptr, self.shape, self.doubtful = data, indices, indptr, shape, doubtful
        self.dtype = data.dtype
        self.ndim = 2
        self.size = data.size

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> SparseRows:
        """Return some rows: views where they are a run, copies otherwise."""
        if isinstance(rows, slice) and rows.step in (None, 1):
            first, last, _ = rows.indices(len(self))
            last = max(first, last)
            indptr = self.indptr[first : last + 1]
            begin, end = int(indptr[0]), int(indptr[-1])
            return SparseRows(
                self.data[begin:end],
                self.indices[begin:end],
                indptr - begin,
                (last - first, self.shape[1]),
                self.doubtful,
            )
        index = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else np.asarray(rows)
        starts = self._starts()
        counts = starts[index + 1] - starts[index]
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(self.indptr.dtype)
        # Positions within the rows, then from where the rows begin.
        entries = np.arange(indptr[-1]) + np.repeat(starts[index] - indptr[:-1], counts)
        shape = (len(index), self.shape[1])
        return SparseRows(self.data[entries], self.indices[entries], indptr, shape, self.doubtful)

    def _starts(self) -> NDArray[Any]:
        """Return a copy of where rows begin that stays within bounds, whatever another thread does to the original."""
        starts: NDArray[Any] = np.maximum.accumulate(np.clip(self.indptr, 0, self.size))
        return starts

    def matrix(self) -> Any:
        """Return a SciPy array of the same numbers, in place unless they are narrow, with a structure of its own.

        SciPy trusts the structure: were it shared, another thread that changes it could make SciPy leave its memory.
        """
        from scipy.sparse import csr_array

        # SciPy knows no float16, and its integers would wrap around.
        data = self.data.astype(np.float32) if _core.reads(self.dtype) else self.data
        matrix = csr_array(self.shape, dtype=data.dtype)
        # Set one by one: the constructor would narrow 64-bit indices.
        matrix.data, matrix.indptr = data, self._starts()
        matrix.indices = np.clip(self.indices, 0, self.shape[1] - 1)
        return matrix

    def canonical(self, scale: NDArray[Any] | None = None) -> Any:
        """Return a SciPy copy in float64 in which every column occurs once in a row, multiplied by its scale."""
        matrix = self.matrix().astype(np.float64, copy=True)
        matrix.sum_duplicates()
        if scale is not None:
            matrix.data *= scale[matrix.indices]
        return matrix

    def require_finite(self, what: str, rows: NDArray[Any] | None = None) -> None:
        """Raise ValueError naming the row and column of the first number that is not finite, in some rows or in all."""
        if _core.all_finite(self.data):
            return
        looked_at = np.full(len(self), rows is None)
        if rows is not None:
            looked_at[rows] = True
        for start in range(0, self.size, BLOCK):
            entries = start + np.flatnonzero(~np.isfinite(self.data[start : start + BLOCK]))
            places = np.searchsorted(self.indptr, entries, side="right") - 1
            # Entries before the first row or behind the last belong to none.
            inside = (places >= 0) & (places < len(self))
            inside[inside] = looked_at[places[inside]]
            if inside.any():
                first = int(inside.argmax())
                kind = "NaN" if np.isnan(self.data[entries[first]]) else "an infinity"
                column = int(self.indices[entries[first]])
                raise ValueError(f"{what} holds {kind}, first in row {int(places[first])}, column {column}")


def is_sparse(values: Any) -> bool:
    """Tell whether this is one of SciPy's sparse matrices or arrays, or like one."""
    return hasattr(values, "tocsr") and hasattr(values, "nnz")


def check_structure(
    indptr: NDArray[Any], indices: NDArray[Any], shape: tuple[int, int], what: str, columns: bool = True
) -> None:
    """Raise ValueError where the arrays of a CSR matrix do not fit together; `columns` are looked at or not."""
    n, d = shape
    if indptr.ndim != 1 or indptr.size != n + 1:
        raise ValueError(f"{what}.indptr must hold {n + 1} numbers for {n} rows, not {indptr.size}")
    fault = _core.sparse_fault(indptr, indices, d, columns)
    if fault is None:
        return
    kind, row, value = fault
    if kind == "column":
        raise ValueError(f"{what}.indices holds column {value} in row {row}; columns are 0 to {d - 1}")
    if kind == "order":
        raise ValueError(f"{what}.indptr decreases: position {row} holds {value}, before it {indptr[row - 1]}")
    raise ValueError(f"{what}.indptr holds {value} at position {row}; there are {indices.size} entries")


def as_sparse_rows(values: Any, what: str, doubtful: bool = False) -> SparseRows:
    """Return sparse rows as the core reads them; CSR in float32, float64 or narrow numbers where it lies.

    With `doubtful` the columns are not looked at.
    """
    if values.ndim != 2:
        raise ValueError(f"{what} must be 2-D (rows, features), not {values.ndim}-D")
    if values.shape[0] == 0 or values.shape[1] == 0:
        raise ValueError(f"{what} is empty: its shape is {values.shape}")
    if values.dtype.kind not in "biuf" and not _core.reads(values.dtype):
        raise TypeError(f"{what} must hold real numbers; its dtype is {values.dtype}")
    if values.format == "coo" and values.dtype.itemsize <= 2:
        values = values.astype(np.float32)  # entries named twice add up, beyond what narrow numbers hold
    if values.format != "csr":
        megabytes = (values.nnz * (values.dtype.itemsize + 4)) / 1e6
        warn(
            f"{what} is a {values.format.upper()} matrix: a CSR copy of {megabytes:.0f} MB is made; "
            "CSR is read in place",
            DataCopyWarning,
        )
        values = values.tocsr()
    data, indices, indptr = values.data, values.indices, values.indptr
    n, d = (int(size) for size in values.shape)
    for name, array in (("indices", indices), ("indptr", indptr)):
        if array.dtype.kind not in "iu":
            raise TypeError(f"{what}.{name} must hold whole numbers; its dtype is {array.dtype}")
        if array.ndim != 1:
            raise ValueError(f"{what}.{name} must be 1-D, not {array.ndim}-D")
    if data.ndim != 1 or data.size != indices.size:
        # SciPy lets both be longer than what the rows hold.
        entries = int(indptr[-1]) if indptr.size else 0
        if data.ndim != 1 or not 0 <= entries <= min(data.size, indices.size):
            raise ValueError(f"{what} has {data.size} numbers, {indices.size} columns and {entries} entries")
        data, indices = data[:entries], indices[:entries]
    index = _index_dtype(indices, indptr)
    data = _readable(data, _read_as(data.dtype), what)
    indices, indptr = _readable(indices, index, f"{what}.indices"), _readable(indptr, index, f"{what}.indptr")
    check_structure(indptr, indices, (n, d), what, not doubtful)
    return SparseRows(data, indices, indptr, (n, d), doubtful)


def _read_as(dtype: np.dtype[Any]) -> np.dtype[Any]:
    native = dtype.newbyteorder("=")
    return native if _core.reads(native) or native == np.float32 else np.dtype(np.float64)


def _index_dtype(indices: NDArray[Any], indptr: NDArray[Any]) -> np.dtype[Any]:
    """Return the one dtype of both: that of the columns, unless the positions need more."""
    fits = np.can_cast(indptr.dtype, np.int32) or indptr.size == 0
    narrow = fits or (indptr.min() >= -(1 << 31) and indptr.max() < 1 << 31)
    return INDICES[0 if narrow and indices.dtype.newbyteorder("=") == np.int32 else 1]


def _readable(array: NDArray[Any], dtype: np.dtype[Any], what: str) -> NDArray[Any]:
    """Return an array side by side in a dtype; copies of some size are announced."""
    if array.dtype == dtype and array.dtype.isnative and array.flags.c_contiguous and array.flags.aligned:
        return array
    size = array.size * dtype.itemsize
    if size > LARGE_COPY:
        reason = f"dtype {array.dtype}" if array.dtype != dtype else "numbers that do not lie side by side"
        warn(f"{what} has {reason}: a copy in {dtype} of {size / 1e6:.0f} MB is made", DataCopyWarning)
    return np.ascontiguousarray(array, dtype=dtype)


def gram_parts(
    X: SparseRows,
    rows: slice | NDArray[Any],
    weight: NDArray[Any] | None,
    scale: NDArray[Any] | None,
    shift: NDArray[Any] | None,
    intercept: bool,
    gram: bool,
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64], NDArray[np.float64]]:
    """Return A^T W A, or without `gram` its diagonal and bounds of its absolute row sums, a block of rows at a time.

    A is X * scale + shift in the rows given, with a column of ones behind it where there is an intercept.
    """
    from scipy.sparse import csr_array, hstack

    d = X.shape[1] + intercept
    whole = np.zeros((d, d), order="F") if gram else None
    squares, crossed, sums, total = np.zeros(d), np.zeros(d), np.zeros(d), 0.0
    shifts = np.zeros(d)
    if shift is not None:
        shifts[: X.shape[1]] = shift
    farthest = float(np.abs(shifts).sum())
    block_rows = max(1, BLOCK * len(X) // max(X.size, 1))
    n = rows.stop if isinstance(rows, slice) else len(rows)
    for start in range(0, n, block_rows):
        part = slice(start, min(start + block_rows, n))
        block = X[part if isinstance(rows, slice) else rows[part]].canonical(scale)
        m = block.shape[0]
        w = np.ones(m) if weight is None else weight[part].astype(np.float64)
        if intercept:
            block = csr_array(hstack([block, np.ones((m, 1))], format="csr"))
        sums += block.T @ w
        total += float(w.sum())
        root = np.repeat(np.sqrt(w), np.diff(block.indptr))
        if whole is not None:
            block.data *= root
            whole += (block.T @ block).toarray()
            continue
        size = abs(block)
        lengths = size @ np.ones(d) + farthest
        crossed += size.T @ (w * lengths) + np.abs(shifts) * float(w @ lengths)
        block.data = np.square(block.data * root)
        squares += block.T @ np.ones(m)
    if shift is not None:
        squares += 2 * shifts * sums + total * shifts**2
        if whole is not None:
            across = np.outer(sums, shifts)
            whole += across + across.T + total * np.outer(shifts, shifts)
    return whole, squares, crossed


def row_squares(rows: SparseRows, scale: NDArray[Any] | None, shift: NDArray[Any] | None) -> NDArray[np.float64]:
    """Return the squared length of each row of X * scale + shift."""
    matrix = rows.canonical(scale)
    shifts = np.zeros(rows.shape[1]) if shift is None else shift.astype(np.float64)
    across = 2 * (matrix @ shifts) + float(shifts @ shifts)
    matrix.data *= matrix.data
    return np.asarray(matrix @ np.ones(rows.shape[1]) + across)
