"""Which of the rows are trained on, where not all are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_ROWS = 1 << 32  # what 32-bit positions reach


def resolve_rows(rows: Any, n: int) -> NDArray[np.uint32]:
    """Return the positions of rows given by position, by a mask or by a slice, in the order given.

    Raises
    ------
    TypeError
        For anything else.
    ValueError
        For data without rows, for none, for one out of range or named twice, and for a mask of another length than n.
    """
    if n > MOST_ROWS:
        raise ValueError(f"rows= reaches the first 2**32 rows; these {n} are more: give a part of the arrays instead")
    if n == 0:
        raise ValueError("rows= is for data of a row at least; this is empty")
    if isinstance(rows, slice):
        chosen = np.arange(*rows.indices(n))
    else:
        chosen = np.array(np.asarray(rows))  # what is checked is what is used: another thread may change the original
        if chosen.ndim != 1 or (chosen.dtype.kind not in "iub" and chosen.size):
            raise TypeError(
                f"rows must be a 1-D array of positions, a mask or a slice, not {type(rows).__name__} of shape "
                f"{chosen.shape} and dtype {chosen.dtype}"
            )
        if chosen.dtype == bool:
            if len(chosen) != n:
                raise ValueError(f"rows as a mask must have an entry for each of the {n} rows, not {len(chosen)}")
            chosen = np.flatnonzero(chosen)
    if not chosen.size:
        raise ValueError(f"rows= leaves none of the {n} rows")
    outside = (chosen < 0) | (chosen >= n)
    if outside.any():
        wrong = int(outside.argmax())
        raise ValueError(f"rows names row {chosen[wrong]} at position {wrong}; rows are 0 to {n - 1}")
    positions: NDArray[np.uint32] = chosen.astype(np.uint32)
    seen = np.zeros(n, dtype=bool)
    seen[positions] = True
    if np.count_nonzero(seen) < len(positions):
        _, first, times = np.unique(positions, return_index=True, return_counts=True)
        repeated = positions[first[times > 1].min()]
        raise ValueError(f"rows names row {repeated} more than once: weigh it by sample_weight instead")
    return positions
