"""How large the features are, for rules that ask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from steepest._data import Data
from steepest._sparse import SparseRows

BLOCK = 4096  # rows at a time


def scale_of(data: Data | None, parameters: int) -> tuple[list[float], float]:
    """Return the largest size of each feature, 1 for the intercept, and the mean squared size of the rows so scaled."""
    if data is None or data.X is None:
        return [1.0] * parameters, 1.0
    sizes, squares = np.zeros(data.width), np.zeros(data.width)
    for start in range(0, data.trained, BLOCK):
        largest, total = _of_block(data, slice(start, start + BLOCK))
        np.maximum(sizes, largest, out=sizes)
        squares += total
    sizes[sizes == 0] = 1.0
    scores = max(1, data.scores)
    intercepts = parameters - scores * data.width
    row_size = (squares / sizes**2).sum() / data.trained + (intercepts > 0)
    return [*sizes.tolist() * scores, *[1.0] * intercepts], float(row_size)


def _of_block(data: Data, part: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the largest size of each feature in some rows, and the sum of its squares."""
    assert data.X is not None
    if not isinstance(data.X, SparseRows):
        rows = data.seen(part)
        return np.abs(rows).max(axis=0), np.einsum("ij,ij->j", rows, rows)
    matrix = data.X[data.at(part)].canonical(data.scale)
    shift = np.zeros(data.width) if data.shift is None else data.shift.astype(np.float64)
    stored = np.bincount(matrix.indices, minlength=data.width)
    numbers = matrix.data + shift[matrix.indices]
    largest = np.where(stored < matrix.shape[0], np.abs(shift), 0.0)
    np.maximum.at(largest, matrix.indices, np.abs(numbers))
    squares = np.bincount(matrix.indices, weights=numbers**2, minlength=data.width)
    return largest, squares + (matrix.shape[0] - stored) * shift**2
