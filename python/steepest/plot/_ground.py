"""What every picture of a loss stands on: its values, its slopes, and the path of a descent over it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepest._data import as_array
from steepest._outside import evaluate, is_outside, outside_problem
from steepest.gradients import numerical_gradient
from steepest.objective import Objective, make_problem, penalty_subgradient
from steepest.penalties import resolve as resolve_penalty
from steepest.search import Surface

Points = NDArray[np.float64]

# Of the longest step that cannot overshoot: with that one a path over a bowl would be done in a step or two.
SHARE = 0.2


class Ground(Surface):
    """The objective of any loss and data with its slopes, over all rows and over some of them.

    Parameters
    ----------
    loss, data, penalty, sample_weight, fit_intercept, x0
        As in ``st.search.grid``; a single callable is differentiated by differences.

    Attributes
    ----------
    name : str
        What the loss is called.
    rows : int
        How many rows the data has.
    """

    def __init__(
        self,
        loss: Any,
        data: Any,
        penalty: Any = None,
        sample_weight: ArrayLike | None = None,
        fit_intercept: bool = False,
        x0: Any = None,
    ) -> None:
        super().__init__(loss, data, penalty, sample_weight, fit_intercept, x0)
        self.loss, self.data = loss, data
        self._penalty = resolve_penalty(penalty) if self._objective is None else self._objective.penalty
        known = None if self._objective is None else self._objective._data
        first = known.y if known is not None else data[0] if isinstance(data, tuple) else data
        # Sparse rows have a length only as a shape.
        self.rows = int((first if hasattr(first, "shape") else as_array(first, "data")).shape[0])
        self.name = loss_name(loss)

    def counted(self) -> str:
        """Say how many rows and parameters there are."""
        rows = f"{self.rows:,} row{'' if self.rows == 1 else 's'}"
        return f"{rows}, {self.size:,} parameter{'' if self.size == 1 else 's'}"

    def on_line(self, start: Points, direction: Points, steps: Points) -> Points:
        """Return the objective at ``start + step * direction`` for each step."""
        with np.errstate(all="ignore"):
            return self.values(start + steps[:, np.newaxis] * direction)

    def slope(self, x: Points, index: NDArray[np.intp] | None = None) -> Points:
        """Return the gradient at x over all rows, or as the batch of the rows in `index` estimates it."""
        gradient = np.array(self._slope_of_loss(x, index), dtype=np.float64).ravel()
        if self._penalty is not None:
            w = x[: self.features]
            gradient[: self.features] += penalty_subgradient(self._penalty, w)
        return gradient

    def losses(self, points: Points, row: int) -> Points:
        """Return the loss of a single row at m points, shape (m, size), without penalty."""
        index = np.array([row])
        if self._objective is not None and self._objective._data is not None:
            problem = self._core_problem(index)
            return np.array([problem.value(x.astype(self.dtype)) for x in points])
        return Surface(self.loss, self._batch(index), x0=self.start.reshape(self.shape)).values(points)

    def _slope_of_loss(self, x: Points, index: NDArray[np.intp] | None) -> Any:
        if self._objective is not None and self._objective._data is not None:
            problem = self._objective._problem if index is None else self._core_problem(index)
            return problem.value_and_gradient(x.astype(self.dtype))[1]
        data = self.data if index is None else self._batch(index)
        start = self.start.reshape(self.shape)
        if self._objective is not None:
            return Objective(self.loss, data, x0=start).gradient(x)
        if is_outside(self.loss):
            problem, owner = outside_problem(self.loss, data, start)
            return evaluate(owner, problem.value_and_gradient, x)[1]
        theta = x.reshape(self.shape) if self.shape else float(x[0])
        return numerical_gradient(lambda at: float(self.loss(at, data)), theta)

    def _core_problem(self, index: NDArray[np.intp]) -> Any:
        assert self._objective is not None
        kept = self._objective._data
        some = replace(
            kept,
            X=None if kept.X is None else kept.X[index],
            y=kept.y[index],
            weight=None if kept.weight is None else kept.weight[index],
        )
        return make_problem(self._objective.loss, some, self._objective.fit_intercept)

    def _batch(self, index: NDArray[np.intp]) -> Any:
        if isinstance(self.data, tuple):
            return tuple(as_array(part, "data")[index] for part in self.data)
        return as_array(self.data, "data")[index]

    def safe_step(self) -> float:
        """Return 1 / L where the curvature has a bound, otherwise a step that lowers the objective at the start."""
        if self._objective is not None and self._objective._data is not None:
            try:
                return 1.0 / self._objective.smoothness()
            except (ValueError, ZeroDivisionError):
                pass
        here, slope = float(self.values(self.start[np.newaxis])[0]), self.slope(self.start)
        squared = float(slope @ slope)
        step = 1.0
        for _ in range(60):
            there = float(self.values((self.start - step * slope)[np.newaxis])[0])
            if there <= here - step / 2 * squared:
                break
            step /= 2
        return step

    def descend(self, step_size: float | None, batch_size: int | None, updates: int, seed: int) -> Points:
        """Return the points of a descent from the start, shape (updates + 1, size).

        All rows for every update without a batch size; otherwise consecutive slices of all rows in a random order, a
        new one every epoch (A8, A9).
        """
        step = SHARE * self.safe_step() if step_size is None else float(step_size)
        draw = np.random.default_rng(seed)
        points = [self.start.copy()]
        order, at = np.empty(0, np.intp), 0
        for _ in range(updates):
            index = None
            if batch_size is not None and batch_size < self.rows:
                if at >= len(order):
                    order, at = draw.permutation(self.rows), 0
                index = order[at : at + batch_size]
                at += batch_size
            with np.errstate(all="ignore"):
                points.append(points[-1] - step * self.slope(points[-1], index))
        return np.array(points)


def one_parameter(ground: Ground) -> Ground:
    """Refuse a loss of several parameters."""
    if ground.size != 1:
        raise ValueError(f"this picture needs a loss of one parameter; {ground.name} on these data has {ground.size}")
    return ground


def two_parameters(ground: Ground) -> Ground:
    """Refuse a loss of another number of parameters than two."""
    if ground.size != 2:
        raise ValueError(f"this picture needs a loss of two parameters; {ground.name} on these data has {ground.size}")
    return ground


def loss_name(loss: Any) -> str:
    """Return what a loss is called, whatever it is."""
    first = loss[0] if isinstance(loss, tuple) else loss
    if isinstance(first, str):
        return first
    return str(getattr(first, "name", None) or getattr(first, "__name__", None) or type(first).__name__)
