"""Sample weights as the core reads them."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array


def check_weights(sample_weight: Any, X: Any, all_zero: bool = False) -> NDArray[Any] | None:
    """Return sample weights in the dtype of X, None where there are none.

    Raises
    ------
    ValueError
        Where they do not fit the rows, or, unless `all_zero`, where nothing is left of them.
    """
    if sample_weight is None:
        return None
    rows = X.shape[0]
    if isinstance(sample_weight, numbers.Real):
        return np.full(rows, sample_weight, dtype=X.dtype)
    weight: NDArray[Any] = check_array(
        sample_weight, ensure_2d=False, dtype=X.dtype, order="C", input_name="sample_weight"
    )
    if weight.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {weight.ndim}D array.")
    if weight.shape != (rows,):
        raise ValueError(f"sample_weight.shape == {weight.shape}, expected {(rows,)}!")
    if not all_zero and not weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weight


def weighed(weight: NDArray[Any] | None, of_rows: NDArray[Any]) -> NDArray[Any]:
    """Return sample weights, all 1 where there are none, times what rows weigh by their classes."""
    return of_rows if weight is None else weight * of_rows
