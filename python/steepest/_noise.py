"""How noisy the gradients of small batches are, in rows: the gradient noise scale."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepest._data import as_array
from steepest._outside import evaluate, outside_problem
from steepest.autodiff._loss import TracedLoss
from steepest.objective import Objective, make_problem
from steepest.penalties import Penalty

Gradient: TypeAlias = Callable[[NDArray[Any]], NDArray[np.float64]]

# Each row is a batch of its own: the estimate of a trace from so many is within some 5 % on well-behaved rows.
ROWS = 1024
# A callable is asked for each of them.
OUTSIDE_ROWS = 256
# A traced loss has a tape for each.
TRACED_ROWS = 256
SAMPLE_BYTES = 1 << 26


class GradientNoise:
    """The gradient noise scale of a problem at any point.

    With a step as good as its batch allows, a batch of this many rows makes half of the progress that all rows would
    make (McCandlish et al., arXiv:1812.06162). Well below it, twice the rows in a batch save half of the updates; well
    above it, they save nothing.

    Parameters
    ----------
    loss, data
        As in ``minimize``.
    objective : Objective or None
        The same made by the core, None for a loss outside it.
    penalty : Penalty or None
        Part of the full gradient.
    x0 : array_like, nested dictionary of them, or None
        Gives the parameters their shape for a loss outside the core or a traced one.
    sample_weight : array_like or None
        Weights of the rows.
    seed : int
        Decides which rows are looked at, where they are many.
    """

    def __init__(
        self,
        loss: Any,
        data: Any,
        objective: Objective | None,
        penalty: Penalty | None,
        x0: Any,
        sample_weight: ArrayLike | None,
        seed: int,
    ) -> None:
        draw = np.random.default_rng(seed)
        self._whole: Gradient
        if objective is None:
            arrays = [as_array(part, "data") for part in (data if isinstance(data, tuple) else (data,))]
            self._rows = len(arrays[0])
            index = _sample(draw, self._rows, OUTSIDE_ROWS)

            def single(i: int) -> Gradient:
                row = tuple(part[i : i + 1] for part in arrays)
                return _outside_gradient(loss, row if isinstance(data, tuple) else row[0], x0)

            whole = _outside_gradient(loss, data, x0)
            self._whole = whole if penalty is None else lambda x: whole(x) + penalty.smooth_gradient(x)
            self._single = [single(int(i)) for i in index]
        elif isinstance(loss, TracedLoss):
            # A loss of whole batches need not have a meaning for a single row.
            self._rows = 0 if loss.whole_batch else objective._problem.rows
            index = _sample(draw, self._rows, max(2, min(TRACED_ROWS, SAMPLE_BYTES // (8 * objective.n_parameters))))
            self._whole = objective.gradient
            self._single = [
                _core_gradient(problem, objective._dtype)
                for problem in loss.single_rows(data, x0, sample_weight, index)
            ]
        else:
            kept = objective._data
            self._rows = len(kept.y)
            row_bytes = 8 * objective.n_parameters
            index = _sample(draw, self._rows, max(2, min(ROWS, SAMPLE_BYTES // row_bytes)))
            X = None if kept.X is None else kept.X[index]
            y, weight = kept.y[index], None if kept.weight is None else kept.weight[index]
            self._whole = objective.gradient
            self._single = [
                _core_gradient(
                    make_problem(
                        objective.loss,
                        replace(
                            kept,
                            X=None if X is None else X[i : i + 1],
                            y=y[i : i + 1],
                            weight=None if weight is None else weight[i : i + 1],
                        ),
                        objective.fit_intercept,
                    ),
                    kept.y.dtype,
                )
                for i in range(len(index))
            ]

    def at(self, x: NDArray[Any], gradient: NDArray[Any] | None = None) -> float | None:
        """Return the trace of the covariance of the rows' gradients over the squared norm of the full gradient.

        Parameters
        ----------
        x : ndarray, shape (n_parameters,)
            Where.
        gradient : ndarray, shape (n_parameters,), optional
            The gradient of the objective at x, where it is known already.

        Returns
        -------
        float or None
            In rows; infinite where the full gradient is zero, None where it cannot be said.
        """
        if self._rows < 2:
            return None
        with np.errstate(all="ignore"):
            whole = self._whole(x) if gradient is None else gradient
            squared = float(np.square(whole, dtype=np.float64).sum())
            # Around one of them, because a difference of large sums would lose a small variance.
            about = self._single[0](x)
            total, squares = np.zeros_like(about), 0.0
            for single in self._single:
                off = single(x) - about
                total += off
                squares += float(off @ off)
            m, n = len(self._single), self._rows
            trace = max(0.0, squares - float(total @ total) / m) / (m - 1) * (n - 1) / n
        if not (math.isfinite(trace) and math.isfinite(squared)):
            return None
        if squared == 0:
            return math.inf if trace > 0 else None
        return trace / squared


def _sample(draw: np.random.Generator, rows: int, most: int) -> NDArray[np.int64]:
    if rows <= most:
        return np.arange(rows)
    return np.sort(draw.choice(rows, most, replace=False, shuffle=False))


def _core_gradient(problem: Any, dtype: Any) -> Gradient:
    def gradient(x: NDArray[Any]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = problem.value_and_gradient(x.astype(dtype, copy=False))[1]
        return found

    return gradient


def _outside_gradient(loss: Any, data: Any, x0: Any) -> Gradient:
    problem, owner = outside_problem(loss, data, x0)
    both = partial(evaluate, owner, problem.value_and_gradient)

    def gradient(x: NDArray[Any]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = both(x.astype(np.float64, copy=False))[1]
        return found

    return gradient
