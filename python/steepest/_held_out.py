"""Which rows are trained on and which are held out to judge by."""

from __future__ import annotations

import numbers
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steepest._data import (
    Data,
    as_any_rows,
    as_array,
    as_row_targets,
    as_targets,
    as_weights,
    computed_in,
    narrowed,
    require_finite_rows,
    require_labels,
)
from steepest._rows import resolve_rows
from steepest._scaled import Scaled
from steepest._sparse import SparseRows
from steepest._warnings import LARGE_COPY, DataCopyWarning, warn
from steepest.losses import Loss

Rows = NDArray[np.uint32]

MOST_ROWS = 1 << 32  # what 32-bit positions reach


class Split(NamedTuple):
    """Rows to train on and rows held out, both in ascending order."""

    training: Rows
    held_out: Rows


def split_rows(validation: Any, n: int, classes: NDArray[Any] | None, seed: int, rows: Rows | None = None) -> Split:
    """Return the split of n rows, or of those at `rows`, that the user asked for.

    Rows named by position are held out whether or not they are among `rows`. A fraction takes the same share of every
    class, where there are classes: an array with a whole number per row.
    """
    if rows is not None and names_rows(validation):
        held = _given(validation, n)
        if held[rows].all():
            raise ValueError("validation holds out all that rows= names; none is left to train on")
        return Split(rows[~held[rows]], np.flatnonzero(held).astype(np.uint32))
    if rows is not None:
        among = split_rows(validation, len(rows), None if classes is None else classes[rows], seed)
        return Split(rows[among.training], rows[among.held_out])
    if n >= MOST_ROWS:
        raise ValueError(f"validation by rows reaches 2**32 - 1 rows, not {n}: give other data as a tuple (X, y)")
    if isinstance(validation, (bool, np.bool_)):
        raise TypeError(f"validation takes a fraction of the rows such as 0.1, not {validation!r}")
    if isinstance(validation, numbers.Real):
        held = _drawn(float(validation), n, classes, seed)
    else:
        held = _given(validation, n)
    training = ~held
    if not training.any():
        raise ValueError(f"validation holds out all {n} rows; none is left to train on")
    return Split(np.flatnonzero(training).astype(np.uint32), np.flatnonzero(held).astype(np.uint32))


def names_rows(validation: Any) -> bool:
    """Tell whether the rows held out are given by position, by a mask or by a slice."""
    return not (validation is None or isinstance(validation, (tuple, numbers.Real, np.bool_)))


def rows_looked_at(rows: Any, validation: Any, data: Any) -> Any:
    """Return the positions that are trained on or judged by, where both are given by position; else `rows` as given."""
    if rows is None or not names_rows(validation):
        return rows
    first = data[0] if isinstance(data, tuple) and data else data
    if hasattr(first, "shape"):
        n = first.shape[0] if len(first.shape) else 0
    else:
        n = len(first) if hasattr(first, "__len__") else 0
    if n == 0:
        return rows  # whoever checks the data says what is wrong with it
    chosen = resolve_rows(rows, n)
    return np.concatenate([chosen, np.setdiff1d(np.flatnonzero(_given(validation, n)), chosen)])


def check_other_data(validation: tuple[Any, ...], loss: Loss, data: Data, check_finite: bool) -> Data:
    """Check data given apart to judge by; what it means follows the data that is trained on.

    Labels must be among the classes of that, but need not be all of them.
    """
    constant = data.X is None
    sizes = (1, 2) if constant else (2, 3)
    if len(validation) not in sizes:
        parts = "(y,)" if constant else "(X, y)"
        raise ValueError(
            f"validation as a tuple must be {parts}, with weights of the rows behind, not {len(validation)} parts"
        )
    dtype = data.y.dtype
    X, scale, shift = None, None, None
    try:
        if not constant:
            given = validation[0]
            X = _like(as_any_rows(given.X if isinstance(given, Scaled) else given), data)
            if isinstance(given, Scaled):
                scale, shift = given.per_column(X.shape[1], dtype)
    except (ValueError, TypeError) as error:
        raise type(error)(f"validation as a tuple is (X, y), and rows by position are a list: {error}") from None
    y_given = as_array(validation[0 if constant else 1], "y of validation")
    if data.classes is not None:
        y = _known_labels(y_given, loss, data)
    else:
        try:
            y = as_row_targets(y_given, loss, dtype)[0] if data.scores else as_targets(y_given, loss, dtype)[0]
        except ValueError as error:
            raise ValueError(f"validation: {error}") from None
    if data.scores and loss.target != "labels" and y.shape[1:] != (data.scores,):
        raise ValueError(f"y of validation has shape {y.shape}; there are {data.scores} targets per row")
    if X is not None:
        if len(X) != len(y):
            raise ValueError(f"X of validation has {len(X)} rows, y has {len(y)}")
        if check_finite:
            require_finite_rows(X, "X of validation")
    found = replace(data, X=X, y=y, weight=None, mean_weight=1.0, rows=None, scale=scale, shift=shift)
    if len(validation) < sizes[1]:
        return found
    weight, mean = as_weights(validation[-1], len(y), dtype)
    return replace(found, weight=weight, mean_weight=mean)


def _like(X: NDArray[Any] | SparseRows, data: Data) -> NDArray[Any] | SparseRows:
    """Return rows that are computed with in the dtype of those that are trained on."""
    assert data.X is not None
    if X.shape[1] != data.X.shape[1]:
        raise ValueError(f"X of validation has {X.shape[1]} columns, X has {data.X.shape[1]}")
    dtype = data.y.dtype
    if computed_in(X.dtype) == dtype:
        return X
    if X.size * dtype.itemsize > LARGE_COPY:
        warn(f"X of validation is copied from {X.dtype} to {dtype}, which X is computed with in", DataCopyWarning)
    if isinstance(X, SparseRows):
        return SparseRows(narrowed(X.data, dtype), X.indices, X.indptr, X.shape)
    return narrowed(X, dtype)


def _known_labels(y: NDArray[Any], loss: Loss, data: Data) -> NDArray[Any]:
    """Return labels as the core takes them, by the classes of the data that is trained on."""
    if y.ndim != data.y.ndim or y.size == 0:
        raise ValueError(f"y of validation must be {data.y.ndim}-D and not empty; its shape is {y.shape}")
    require_labels(y, "y of validation")
    assert data.classes is not None
    classes = data.classes
    try:
        places = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    except TypeError:
        raise TypeError(f"labels of validation have dtype {y.dtype}, those of y {classes.dtype}") from None
    unknown = classes[places] != y
    if unknown.any():
        row = int(np.argwhere(unknown)[0][0])
        label = y[unknown].tolist()[0]
        shown = ", ".join(map(repr, classes[:5].tolist())) + (", ..." if len(classes) > 5 else "")
        raise ValueError(f"y of validation holds {label!r} in row {row}, which y does not; there are: {shown}")
    return np.ascontiguousarray(places if loss.target == "labels" else 2 * places - 1, dtype=data.y.dtype)


def _drawn(fraction: float, n: int, classes: NDArray[Any] | None, seed: int) -> NDArray[np.bool_]:
    """Mark a share of the rows, at random and class by class."""
    if not 0 < fraction < 1:
        raise ValueError(
            f"validation as a fraction must lie between 0 and 1, not {fraction!r}; single rows are given as an array"
        )
    count = round(fraction * n)
    if count in (0, n):
        raise ValueError(f"validation={fraction:g} of {n} rows holds out {'all' if count else 'none'} of them")
    held = np.zeros(n, dtype=bool)
    keys = _random_words(seed, n)
    if classes is None:
        held[np.argpartition(keys, count)[:count]] = True
        return held
    members = np.bincount(classes)
    wanted = members * (count / n)
    taken = np.floor(wanted).astype(np.int64)
    # The classes that rounding down cut short the most take what is missing.
    taken[np.argsort(taken - wanted, kind="stable")[: count - taken.sum()]] += 1
    taken = np.minimum(taken, np.maximum(members - 1, 0))  # a class must not vanish from the training rows
    for position in np.flatnonzero(taken):
        rows = np.flatnonzero(classes == position)
        held[rows[np.argsort(keys[rows])[: taken[position]]]] = True
    if not held.any():
        raise ValueError(f"validation={fraction:g} of {n} rows holds out none of them without emptying a class")
    return held


def _given(validation: Any, n: int) -> NDArray[np.bool_]:
    """Mark the rows that the user named, by position, by a mask or by a slice."""
    rows: NDArray[Any] = np.arange(n)[validation] if isinstance(validation, slice) else np.asarray(validation)
    if rows.ndim == 1 and rows.dtype == bool:
        if len(rows) != n:
            raise ValueError(f"validation as a mask must have an entry for each of the {n} rows, not {len(rows)}")
        held = rows.copy()
    elif rows.ndim == 1 and (rows.dtype.kind in "iu" or rows.size == 0):
        held = np.zeros(n, dtype=bool)
        if rows.size and (rows.min() < 0 or rows.max() >= n):
            wrong = int(((rows < 0) | (rows >= n)).argmax())
            raise ValueError(f"validation names row {rows[wrong]} at position {wrong}; rows are 0 to {n - 1}")
        held[rows.astype(np.int64)] = True
        if held.sum() < len(rows):
            twice = np.flatnonzero(np.bincount(rows.astype(np.int64)) > 1)[0]
            raise ValueError(f"validation names row {twice} more than once")
    else:
        raise TypeError(
            "validation must be a fraction of the rows, an array of their positions, a mask, a slice, or other data "
            f"as a tuple (X, y), not {validation!r:.60}"
        )
    if not held.any():
        raise ValueError("validation holds out no row")
    return held


def _random_words(seed: int, n: int) -> NDArray[np.uint64]:
    """Return a random word per row, by splitmix64 so that they are the same in every version of everything."""
    with np.errstate(over="ignore"):
        # An odd multiple of the seed apart from those that orders are keyed with.
        word = np.arange(n, dtype=np.uint64) + np.uint64(seed) * np.uint64(0xD1342543DE82EF95)
        word *= np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            word = (word ^ (word >> np.uint64(shift))) * np.uint64(factor)
        return word ^ (word >> np.uint64(31))
