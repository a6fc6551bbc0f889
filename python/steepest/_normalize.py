"""Columns of mean 0 and deviation 1 (C4), by way of the weights: the rows stay as they are."""

from __future__ import annotations

import math
import numbers
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steepest._data import Data, as_any_rows, computed_in, require_finite_rows
from steepest._scaled import Scaled
from steepest._sparse import SparseRows

BLOCK_NUMBERS = 1 << 15  # a quarter of a megabyte of doubles: what is summed is still in the cache

Array = NDArray[np.float64]


class Normalization(NamedTuple):
    """What columns are normalised by: the parameters see ``(X - mean) / deviation``.

    Attributes
    ----------
    mean, deviation : ndarray, shape (d,)
        One per column; columns of a group have the same.
    """

    mean: Array
    deviation: Array


def normalization_of(data: Data, normalize: Any, groups: Any, before: Any) -> Normalization | None:
    """Return what the columns are normalised by: of the rows that are trained on, by their weights.

    A run that goes on from one `before` normalises as that did: only then its parameters mean the same.
    """
    used: Normalization | None = None if before is None else before.get("normalization")
    if isinstance(normalize, (bool, np.bool_)) and not normalize:
        if groups is not None:
            raise ValueError("groups are columns that share a mean and a deviation: they go with normalize=True")
        if used is not None:
            raise ValueError("x0 comes from a run with normalize=True, which its x is meant for: go on with it")
        return None
    least, centred = _asked(normalize)
    if data.X is None:
        raise ValueError("normalize=True needs features; the constant model has none")
    if before is None:
        return _normalization(data, groups, least, centred)
    if used is None:
        raise ValueError("x0 comes from a run without normalize=True: go on without it, or start from an array")
    if len(used.mean) != data.width:
        raise ValueError(f"x0 comes from a run over {len(used.mean)} columns, X has {data.width}")
    return used


def _normalization(data: Data, groups: Any, least: float, centred: bool) -> Normalization:
    mean, variance = _moments(data)
    if data.scale is not None:
        mean, variance = mean * data.scale, variance * data.scale.astype(np.float64) ** 2
    if data.shift is not None:
        mean = mean + data.shift
    if groups is not None:
        mean, variance = _shared(mean, variance, _labels(groups, data.width))
    if data.X is not None and not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        require_finite_rows(data.X)
        raise ValueError("X is too large to be normalised: the squares of its numbers leave the range of float64")
    deviation = np.sqrt(variance)
    # What differs by rounding alone does not differ: such columns are centred, and not blown up.
    deviation[deviation <= 10 * np.finfo(data.y.dtype).eps * np.abs(mean)] = 0
    deviation = np.maximum(deviation, least)
    deviation[deviation == 0] = 1
    return Normalization(mean if centred else np.zeros_like(mean), deviation)


def normalized(data: Data, by: Normalization) -> Data:
    """Return the data as the parameters see them once normalised; scaled columns are so before."""
    scale, shift = 1 / by.deviation, -by.mean / by.deviation
    if data.shift is not None:
        shift = shift + data.shift * scale
    if data.scale is not None:
        scale = scale * data.scale
    with np.errstate(over="ignore"):
        scale, shift = scale.astype(data.y.dtype), shift.astype(data.y.dtype)
    if not (np.isfinite(scale).all() and np.isfinite(shift).all()):
        column = int((np.isfinite(scale) & np.isfinite(shift)).argmin())
        raise ValueError(
            f"column {column} has mean {by.mean[column]:g} and deviation {by.deviation[column]:g}: in {scale.dtype} it "
            "cannot be normalised"
        )
    return replace(data, scale=scale, shift=shift if shift.any() else None)


def normalized_rows(X: Any) -> Scaled:
    """Return rows whose columns are seen with mean 0 and deviation 1, for what takes no ``normalize=`` itself."""
    rows = as_any_rows(X)
    data = Data(rows, np.zeros(len(rows), computed_in(rows.dtype)), None, 1.0, None)
    seen: Scaled = normalized(data, _normalization(data, None, 0.0, True)).as_given
    return seen


def of_original_columns(
    coef: NDArray[Any], intercept: NDArray[Any], by: Normalization
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return coefficients and intercept that make the same predictions from columns that are not normalised."""
    original = coef / by.deviation
    return original.astype(coef.dtype), np.asarray(intercept - original @ by.mean, dtype=coef.dtype)


def _asked(normalize: Any) -> tuple[float, bool]:
    """Return the least deviation to divide by, and whether means are taken off."""
    if isinstance(normalize, (bool, np.bool_)):
        return 0.0, True
    if isinstance(normalize, str) and normalize.lower() == "scale":
        return 0.0, False
    if isinstance(normalize, numbers.Real):
        if not 0 < float(normalize) < math.inf:
            raise ValueError(f"normalize as the least deviation must be positive and finite, not {normalize!r}")
        return float(normalize), True
    raise TypeError(f'normalize must be a bool, "scale" or the least deviation to divide by, not {normalize!r}')


def _moments(data: Data) -> tuple[Array, Array]:
    """Return mean and variance of every stored column, block by block and joined without cancellation."""
    rows = max(1, min(4096, BLOCK_NUMBERS // data.width))
    if isinstance(data.X, SparseRows):
        rows = max(1, BLOCK_NUMBERS * len(data.y) // max(data.X.size, len(data.y)))
    total, mean, squares = 0.0, np.zeros(data.width), np.zeros(data.width)
    for start in range(0, data.trained, rows):
        at = data.at(slice(start, min(start + rows, data.trained)))
        weight = np.ones(len(data.y[at])) if data.weight is None else data.weight[at].astype(np.float64)
        part = float(weight.sum())
        if part == 0:
            continue
        assert data.X is not None
        block = data.X[at]
        with np.errstate(over="ignore", invalid="ignore"):
            if isinstance(block, SparseRows):
                matrix = block.canonical()
                middle = (weight @ matrix) / part
                spread = np.maximum(weight @ matrix.multiply(matrix) - part * middle**2, 0)
            else:
                dense = block.astype(np.float64)
                middle = (weight @ dense) / part
                dense -= middle
                spread = weight @ np.square(dense, out=dense)
            apart = middle - mean
            total += part
            mean += apart * (part / total)
            squares += spread + apart**2 * (part * (total - part) / total)
    return mean, squares / total


def _shared(mean: Array, variance: Array, labels: NDArray[np.int64]) -> tuple[Array, Array]:
    """Return the moments that the columns of a group have together."""
    _, group, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    together = np.bincount(group, mean) / sizes
    apart = mean - together[group]
    return together[group], (np.bincount(group, variance + apart**2) / sizes)[group]


def _labels(groups: Any, columns: int) -> NDArray[np.int64]:
    """Return a number per column, the same for those that share; the others have one of their own."""
    lists = isinstance(groups, (list, tuple)) and any(isinstance(part, (list, tuple, np.ndarray)) for part in groups)
    if not lists:
        labels = np.asarray(groups)
        if labels.ndim != 1 or labels.dtype.kind not in "iub":
            raise TypeError(
                f"groups must be the group of each column, whole numbers, or lists of columns, not {groups!r:.60}"
            )
        if len(labels) != columns:
            raise ValueError(f"groups names the group of {len(labels)} columns, X has {columns}")
        return labels.astype(np.int64)
    labels = np.arange(columns, dtype=np.int64)
    seen = np.full(columns, -1)
    for number, part in enumerate(groups):
        members = np.asarray(part)
        if members.ndim != 1 or members.size == 0 or members.dtype.kind not in "iu":
            raise TypeError(f"group {number} must be a list of columns, not {part!r:.60}")
        wrong = members[(members < 0) | (members >= columns)]
        if wrong.size:
            raise ValueError(f"group {number} names column {wrong[0]}; columns are 0 to {columns - 1}")
        for column in members:
            if seen[column] >= 0:
                raise ValueError(f"groups overlap: column {column} is in group {seen[column]} and in group {number}")
            seen[column] = number
        labels[members] = columns + number
    return labels
