"""Class labels: found without a sort where they are whole numbers, encoded as -1 and +1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets, unique_labels

MOST_COUNTED = 1 << 16


def classes_of(y: NDArray[Any]) -> NDArray[Any]:
    """Return the sorted classes of labels, without a sort where they are whole numbers near each other.

    Raises
    ------
    ValueError
        Where the numbers are no labels.

    Examples
    --------
    >>> import numpy as np
    >>> classes_of(np.array([3, -1, 3]))
    array([-1,  3])
    """
    if y.dtype.kind == "b":
        return np.array([label for label in (False, True) if (y == label).any()])
    if y.dtype.kind in "iuf" and len(y):
        lowest, highest = y.min(), y.max()
        # Floats are labels where they are whole, which NaN and infinities are not.
        whole = y.dtype.kind != "f" or (float(lowest).is_integer() and float(highest).is_integer())
        if whole and low_or_high(y, lowest, highest):
            return np.array([lowest, highest] if lowest < highest else [lowest], dtype=y.dtype)
    if y.dtype.kind in "iu" and len(y):
        low, high = int(lowest), int(highest)
        if high - low < MOST_COUNTED:
            # Subtracting in the labels' own type may overflow; in 64 bits the few that remain do not.
            offsets = (y.astype(np.int64) - low) if low >= -(1 << 62) and high < 1 << 62 else None
            if offsets is not None:
                return (np.flatnonzero(np.bincount(offsets)) + low).astype(y.dtype)
    check_classification_targets(y)
    return np.unique(y)


def two_or_more(classes: NDArray[Any]) -> NDArray[Any]:
    """Return classes; raise ValueError where there is nothing to tell apart."""
    if len(classes) < 2:
        raise ValueError("The number of classes has to be greater than one; got 1 class")
    return classes


def named_classes(model: Any, classes: Any) -> NDArray[Any] | None:
    """Return the sorted classes that `partial_fit` was told of, None where it was not.

    Raises
    ------
    ValueError
        Where they are not those of the first call, or the first call has none.
    """
    first = not hasattr(model, "classes_")
    if classes is None:
        if first:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        return None
    named: NDArray[Any] = unique_labels(classes)
    if not first and not np.array_equal(named, model.classes_):
        raise ValueError(f"`classes={classes!r}` is not the same as on last call, which was {model.classes_!r}")
    return named


def low_or_high(y: NDArray[Any], low: Any, high: Any) -> bool:
    """Tell whether y holds nothing but two values; looks no further than the first block that holds another."""
    blocks = (y[start : start + MOST_COUNTED] for start in range(0, len(y), MOST_COUNTED))
    return all(bool(((block == low) | (block == high)).all()) for block in blocks)


def signs(y: NDArray[Any], positive: Any, dtype: Any) -> NDArray[Any]:
    """Return +1 where y is the positive class, -1 elsewhere."""
    return np.subtract(np.multiply(y == positive, 2, dtype=dtype), 1, dtype=dtype)


def require_known(y: NDArray[Any], classes: NDArray[Any]) -> None:
    """Raise ValueError for a label that is none of the classes."""
    known = np.isin(y, classes) if len(classes) > 2 else (y == classes[0]) | (y == classes[-1])
    if not np.all(known):
        row = int(np.argmin(known))
        raise ValueError(
            f"y holds {y[row : row + 1].tolist()[0]!r} in row {row}, which is none of the classes {classes.tolist()}"
        )
