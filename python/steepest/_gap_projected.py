"""Slopes that meet some columns with a sum of zero, where no penalty bounds what a pull at their coefficients may be.

Free coefficients, those without a bound on one side and intercepts ask for it. Slopes near an optimum nearly do so, and
a step of Newton's method in the dual makes them: each row gives in proportion to the room that its slope has within the
conjugate's domain, which for most losses here is how its slope would change with the prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Blocks = Callable[[], Iterator[tuple[slice, Any]]]

ROUNDS = 10  # in which further coefficients may turn out to be pulled where they are not held
CORRECTIONS = 4  # each takes away what rounding left of the one before,
ROUNDING = 1e-14  # until no more is left than this, relative to columns and slopes
RIDGE = 1e-12  # of columns that are alike


def projected(
    blocks: Blocks,
    share: Array,
    slopes: Array,
    limits: tuple[Array, Array],
    vanishing: Callable[[Array], Mask],
    settled: Mask,
    sizes: tuple[Array, Array],
) -> tuple[Array, Array, float]:
    """Return slopes of shape (n, K) within their limits, and their pull of shape (K, d), as near as can be had.

    `settled` are the coefficients whose pull is to vanish from the first, `vanishing` tells of a pull where else it
    must. Where the limits forbid it, the slopes are zero, which is always feasible. Third comes what remains of the
    sums times twice the `sizes` of coefficients, shape (K, d), and of intercepts, shape (K,) or (0,).
    """
    low, high = (np.broadcast_to(limit, slopes.shape) for limit in limits)
    nothing = np.zeros_like(slopes), np.zeros(settled.shape), 0.0
    intercept = sizes[1].size > 0
    room, must = _room(slopes, low, high), settled
    of_columns = lengths(blocks, share, must.shape[1])
    for _ in range(ROUNDS):
        for _ in range(CORRECTIONS):
            slopes = _without(blocks, share, slopes, room, must, intercept)
            pull = _pull(blocks, share, slopes, must.shape[1])
            allowed = ROUNDING * np.sqrt(share @ slopes**2)[:, None]
            held = np.abs(pull[must]) <= (allowed * of_columns)[must]
            if held.all() and not (intercept and (np.abs(share @ slopes) > allowed[:, 0]).any()):
                break
        else:
            return nothing
        left = 2 * float(np.abs(pull[must]) @ sizes[0][must])
        if intercept:
            left += 2 * float(np.abs(share @ slopes) @ sizes[1])
        pull[must] = 0.0
        more = vanishing(pull)
        if not more.any():
            inside = (slopes >= low) & (slopes <= high)
            return (slopes, pull, left) if inside.all() else nothing
        must = must | more
    return nothing


def _room(slopes: Array, low: Array, high: Array) -> Array:
    """Return how far slopes are from their limits: 1 where there are none, small where one is near."""
    below, above = np.maximum(slopes - low, 0.0), np.maximum(high - slopes, 0.0)
    with np.errstate(invalid="ignore"):
        both = below * above / (high - low)
    return np.where(np.isinf(low), np.where(np.isinf(high), 1.0, above), np.where(np.isinf(high), below, both))


def _pull(blocks: Blocks, share: Array, slopes: Array, width: int) -> Array:
    pull = np.zeros((slopes.shape[1], width))
    for part, rows in blocks():
        pull += (share[part, None] * slopes[part]).T @ rows
    return pull


def lengths(blocks: Blocks, share: Array, width: int) -> Array:
    """Return the root of the mean square of each column."""
    squares = np.zeros(width)
    for part, rows in blocks():
        squares += share[part] @ (rows**2 if isinstance(rows, np.ndarray) else rows.multiply(rows))
    return np.sqrt(squares)


def _without(blocks: Blocks, share: Array, slopes: Array, room: Array, must: Mask, intercept: bool) -> Array:
    """Take away from the slopes what pulls at the coefficients of a mask, score by score."""
    scores = [k for k in range(slopes.shape[1]) if intercept or must[k].any()]
    sizes = {k: int(must[k].sum()) + intercept for k in scores}
    gram, pull = {k: np.zeros((sizes[k], sizes[k])) for k in scores}, {k: np.zeros(sizes[k]) for k in scores}
    for part, rows in blocks():
        for k in scores:
            columns = _columns(rows, must[k], intercept)
            gram[k] += columns.T @ ((share[part] * room[part, k])[:, None] * columns)
            pull[k] += columns.T @ (share[part] * slopes[part, k])
    less = {k: _solved(gram[k], pull[k]) for k in scores}
    slopes = slopes.copy()
    for part, rows in blocks():
        for k in scores:
            slopes[part, k] -= room[part, k] * (_columns(rows, must[k], intercept) @ less[k])
    return slopes


def _columns(rows: Any, which: Mask, intercept: bool) -> Array:
    chosen = rows[:, np.flatnonzero(which)]
    columns = chosen if isinstance(chosen, np.ndarray) else chosen.toarray()
    return np.hstack([columns, np.ones((len(columns), 1))]) if intercept else columns


def _solved(gram: Array, pull: Array) -> Array:
    """Solve the normal equations, columns of whatever size and maybe alike."""
    size = np.sqrt(gram.diagonal())
    size[size == 0] = 1.0
    scaled = gram / size[:, None] / size + RIDGE * np.eye(len(gram))
    if not np.isfinite(scaled).all():
        return np.zeros_like(pull)
    return np.asarray(solve(scaled, pull / size, assume_a="pos", check_finite=False) / size)
