"""Other parameters for SciPy's methods to search in: as they are, in two parts where L1 is, or rounded off.

For linear scores the curvature of the objective is that of the columns' Gram matrix, up to weights of the rows that
change on the way. With its root as a change of variables the valleys that related columns make are round, and L-BFGS-B
needs a fraction of its iterations; objective, gradient, penalty and result stay what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from steepest import penalties
from steepest._data import Data
from steepest._model import Model
from steepest.methods import SciPyMethod
from steepest.objective import GRAM_COLUMNS, gram_matrix, hessian_product

Array = NDArray[np.float64]
Bounds = Sequence[tuple[float | None, float | None]]

# A Gram matrix of so many rows to a column is good enough, and costs as much as some iterations.
ROWS_PER_COLUMN, LEAST_ROWS = 16, 4096
# Where a pass over the data reads so many numbers for each of the matrix, the change of variables is the smaller part.
WORTH_IT = 4
RIDGE = 1e-8  # of the diagonal: columns may be alike


class View(Protocol):
    """How SciPy's method sees the parameters x: as u."""

    bounds: Bounds | None

    def of(self, x: Array) -> Array:
        """Return u."""

    def x(self, u: Array) -> Array:
        """Return x, always a new array."""

    def seen(self, u: Array, value: float, gradient: Array) -> tuple[float, Array]:
        """Return value and gradient by u from those by x."""


class Plain:
    """Parameters as they are, maybe within bounds."""

    def __init__(self, bounds: Bounds | None) -> None:
        self.bounds = bounds

    def of(self, x: Array) -> Array:
        return x

    def x(self, u: Array) -> Array:
        return np.array(u, dtype=np.float64)

    def seen(self, u: Array, value: float, gradient: Array) -> tuple[float, Array]:
        return value, gradient


class Split:
    """Coefficients as the differences of two parts that are not negative, whose sizes L1 then adds without a kink."""

    def __init__(self, l1: Array, parameters: int) -> None:
        self._l1, self._k = l1, l1.size
        signed: list[tuple[float | None, float | None]] = [(0, None)] * l1.size
        self.bounds: Bounds | None = [*signed, *[(None, None)] * (parameters - l1.size), *signed]

    def of(self, x: Array) -> Array:
        k = self._k
        return np.concatenate([np.maximum(x[:k], 0), x[k:], np.maximum(-x[:k], 0)])

    def x(self, u: Array) -> Array:
        joined = np.array(u[: -self._k])
        joined[: self._k] -= u[-self._k :]
        return joined

    def seen(self, u: Array, value: float, gradient: Array) -> tuple[float, Array]:
        k, l1 = self._k, self._l1
        sizes = float(l1 @ u[:k] + l1 @ u[-k:])
        return value + sizes, np.concatenate([gradient[:k] + l1, gradient[k:], l1 - gradient[:k]])


class Rounded:
    """Coefficients times the root of the Gram matrix of their columns, plus what the penalty bends."""

    bounds: Bounds | None = None

    def __init__(self, matrix: Array, scores: int, width: int) -> None:
        self._scores, self._width = scores, width
        diagonal = matrix.diagonal()
        np.fill_diagonal(matrix, np.where(diagonal > 0, (1 + RIDGE) * diagonal, 1.0))
        self._root = cholesky(matrix, lower=False, overwrite_a=True, check_finite=False)

    def of(self, x: Array) -> Array:
        return np.asarray((self._root @ _by_column(x, self._scores, self._width)).T.ravel())

    def x(self, u: Array) -> Array:
        columns = u.reshape(self._scores, -1).T
        return self._flat(solve_triangular(self._root, columns, lower=False, check_finite=False))

    def seen(self, u: Array, value: float, gradient: Array) -> tuple[float, Array]:
        by_column = _by_column(gradient, self._scores, self._width)
        return value, solve_triangular(self._root, by_column, trans=1, lower=False, check_finite=False).T.ravel()

    def _flat(self, by_column: Array) -> Array:
        coef, intercepts = by_column[: self._width], by_column[self._width :]
        return np.concatenate([coef.T.ravel(), intercepts.ravel()])


def rounded(method: SciPyMethod, model: Model, penalty: penalties.Penalty | None, by_tolerance: bool) -> Rounded | None:
    """Return rounded parameters where they are asked for, or where they help and nobody minds.

    SciPy's own tolerances mean others there, so that they stay as they are where these decide; and across kinks of the
    loss the search is a matter of luck in any coordinates.
    """
    asked = method.options.get("precondition")
    kinks = model.loss is not None and not model.loss.smooth
    if asked is False or (asked is None and (kinks or not by_tolerance)):
        return None
    matrix = _curvature_matrix(model, penalty, asked is None)
    if not isinstance(matrix, str):
        assert model.data is not None
        return Rounded(matrix, max(1, model.data.scores), model.data.width)
    if asked:
        raise ValueError(f"{method.name}: precondition=True {matrix}")
    return None


def _curvature_matrix(model: Model, penalty: penalties.Penalty | None, thrifty: bool) -> Array | str:
    """Return what the objective bends by in the columns of the data and the intercept, or why that is no help."""
    data, loss = model.data, model.loss
    if data is None or data.X is None or loss is None:
        return "is for losses of st.losses over rows of features"
    if penalty is not None and not penalty.smooth:
        return f"mixes coefficients, which {penalty!r} keeps apart"
    if data.width >= GRAM_COLUMNS:
        return f"is for less than {GRAM_COLUMNS} columns; there are {data.width}"
    if thrifty and model.numbers < WORTH_IT * data.width**2:
        return "costs more than a pass over the rows"
    matrix = gram_matrix(_sample(data), model.start.size > model.features)
    if not np.isfinite(matrix).all():
        return "needs squares of the rows, which leave the range of float64"
    matrix *= _curvature_met(model, matrix)
    if penalty is not None:
        matrix[np.diag_indices(data.width)] += penalty.bends.reshape(-1, data.width).mean(axis=0)
    return np.asarray(matrix)


def _sample(data: Data) -> Data:
    """Return rows spread evenly over the data, enough for their Gram matrix, none of which is copied for it."""
    every = data.trained // max(LEAST_ROWS, ROWS_PER_COLUMN * data.width)
    if every < 2:
        return data
    positions: NDArray[Any] = np.arange(0, data.trained, every) if data.rows is None else data.rows[::every]
    return replace(data, rows=positions)


def _curvature_met(model: Model, gram: Array) -> float:
    """Return what the loss bends by, at the start along its gradient, in proportion to the Gram matrix.

    Bounds are what no row exceeds, of which most rows stay far below.
    """
    assert model.data is not None
    slope = model.problem.value_and_gradient(model.start)[1]
    along = _by_column(slope, max(1, model.data.scores), model.data.width)
    flat = float(np.sum(along * (gram @ along)))
    bent = float(slope @ hessian_product(model.problem, model.start, slope))
    return bent / flat if 0 < bent < np.inf and 0 < flat < np.inf else 1.0


def _by_column(x: Array, scores: int, width: int) -> Array:
    """Return a row per column of the data, that of the intercepts last, and a column per score."""
    k = scores * width
    return np.vstack([x[:k].reshape(scores, width).T, x[k:].reshape(-1, scores)])
