"""What SVRG and SAGA take by default: batches and constant step sizes."""

from __future__ import annotations

from typing import Any

import numpy as np

from steepest import methods, penalties
from steepest._data import Data
from steepest._sparse import SparseRows, row_squares
from steepest._stepping import Steps, constant, finite_curvature, sample_of
from steepest.losses import Loss
from steepest.objective import gram_bound, penalty_curvature

LARGEST_BATCH = 256
UPDATES = 64  # per epoch at the least: what these methods gain, they gain per update
ROWS = 4096


def reduction_of(method: Any) -> dict[str, Any]:
    """Return what the core's loop is told of a method; nothing where it reduces no variance."""
    if not isinstance(method, methods.VarianceReduced):
        return {}
    return {"reduction": method.name, "reduction_every": method.every}


def reduced_batch_size(rows: int) -> int:
    """Return the default batch size."""
    return max(1, min(LARGEST_BATCH, rows // UPDATES))


def reduced_steps(
    loss: Loss | None, data: Data | None, penalty: penalties.Penalty | None, fit_intercept: bool, batch_size: int
) -> Steps | None:
    """Compute the constant step 1/(3L), None where the loss has no curvature bound.

    L is the expected smoothness of a batch: that of the row with the largest norm for batches of one, of the whole data
    for full batches (Gower, Richtárik and Bach 2018; Defazio, Bach and Lacoste-Julien 2014 for batches of one).
    """
    if loss is None or data is None or loss.curvature is None:
        return None
    n, b = data.trained, batch_size
    largest = _largest_square(data, fit_intercept)
    whole = min(gram_bound(sample_of(data), fit_intercept), largest)
    curved = whole if n == 1 else (n * (b - 1) * whole + (n - b) * largest) / (b * (n - 1))
    decay = 0.0 if penalty is None else penalty_curvature(penalty)
    curvature = finite_curvature(loss.curvature * curved + decay, data)
    return constant(1.0 / (3.0 * curvature) if curvature > 0 else 1.0)


def _largest_square(data: Data, fit_intercept: bool) -> float:
    """Return the largest of the weighted squared norms of the rows, over the mean weight."""
    found = 0.0
    for start in range(0, data.trained, ROWS):
        part = slice(start, start + ROWS)
        if isinstance(data.X, SparseRows):
            squares = row_squares(data.X[data.at(part)], data.scale, data.shift) + fit_intercept
        else:
            rows = data.seen(part)
            squares = np.einsum("ij,ij->i", rows, rows) + fit_intercept
        if data.weight is not None:
            squares = squares * (data.weight[data.at(part)] / data.mean_weight)
        found = max(found, float(squares.max()))
    return found
