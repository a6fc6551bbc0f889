"""Columns that a linear score sees scaled and shifted, while the rows stay as they are stored."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Scaled:
    """Rows seen as ``X * scale + shift``; made by :func:`steepest.data.scaled`.

    Attributes
    ----------
    X : array_like, shape (n, d)
        The rows as they are stored.
    scale, shift : ndarray, 0-dimensional or of shape (d,)
        One for all columns, or one per column.
    """

    def __init__(self, X: Any, scale: ArrayLike, shift: ArrayLike) -> None:
        if isinstance(X, Scaled):
            raise TypeError("X is scaled already: scale it once, with the product of both scales")
        self.X = X
        self.scale = _numbers(scale, "scale")
        self.shift = _numbers(shift, "shift")

    def __repr__(self) -> str:
        return f"scaled({type(self.X).__name__} of shape {np.shape(self.X)}, {self.scale!r}, {self.shift!r})"

    def __len__(self) -> int:
        # SciPy's sparse matrices have a shape, but no length.
        return int(self.X.shape[0]) if hasattr(self.X, "shape") else len(self.X)

    def per_column(self, columns: int, dtype: Any) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Return a scale and a shift for each column, no shift where all are zero."""
        both = []
        for values, what in ((self.scale, "scale"), (self.shift, "shift")):
            if values.ndim == 1 and len(values) != columns:
                raise ValueError(f"{what} holds {len(values)} numbers, X has {columns} columns")
            with np.errstate(over="ignore"):
                numbers = np.array(np.broadcast_to(values, columns), dtype=dtype)
            if not np.isfinite(numbers).all():
                column = int(np.isfinite(numbers).argmin())
                raise ValueError(f"{what} of column {column} is {numbers[column]} in {numbers.dtype}")
            both.append(numbers)
        return both[0], both[1] if both[1].any() else None


def scaled(X: Any, scale: ArrayLike = 1.0, shift: ArrayLike = 0.0) -> Scaled:
    """See rows as ``X * scale + shift`` without a copy, wherever X is taken.

    The two are folded into the weights: the rows are read in place, in the type they are stored in. Coefficients are
    those of the scaled columns, and penalties act on these; rows to predict or to judge by are given scaled alike.

    Parameters
    ----------
    X : array_like, shape (n, d)
        Rows, of any type and layout that ``minimize`` takes.
    scale, shift : float or array_like of shape (d,)
        One for all columns, or one per column.

    Returns
    -------
    Scaled

    Raises
    ------
    ValueError, TypeError
        For numbers that are not finite or not real, and, once used, for as many as do not fit the columns.

    Notes
    -----
    ``sum_j w_j (x_j scale_j + shift_j)`` is summed as ``sum_j (w_j scale_j) x_j + sum_j w_j shift_j``: in float32,
    columns whose shift is thousands of times what they vary by lose as many digits.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> pixels = np.array([[0, 255], [51, 102], [255, 0]], dtype=np.uint8)
    >>> result = st.minimize("squared_error", (st.data.scaled(pixels, scale=1 / 255), [1.0, 0.6, 2.0]))
    >>> result.coef.round(3)
    array([2., 1.], dtype=float32)
    """
    return Scaled(X, scale, shift)


def _numbers(values: ArrayLike, what: str) -> NDArray[np.float64]:
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "biuf":
        raise TypeError(f"{what} must hold real numbers; its dtype is {numbers.dtype}")
    if numbers.ndim > 1:
        raise ValueError(f"{what} must be a number or hold one per column, not an array of shape {numbers.shape}")
    if not np.isfinite(numbers).all():
        raise ValueError(f"{what} holds {numbers[~np.isfinite(numbers)].flat[0]}")
    return numbers.astype(np.float64)
