"""Slopes that meet a loss with kinks at its optimum, where they are anything between those of its two sides.

Rounded off over a width a loss has but one slope at a prediction, that which makes ``s z - l*(s) - width/2 |s|^2``
largest, and its optimum is found as that of any smooth loss; but it is another one. So the slopes met there become the
centre about which the loss is rounded off next, by ``-width/2 |s - centre|^2``: the method of multipliers, after a few
rounds of which the centre is in the middle of the kinks, and the optimum that of the loss itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepest._gap_losses import dual_of, indicator
from steepest._gap_refined import STEPS, Point, descended, newton
from steepest.losses import Loss

Array = NDArray[np.float64]

FEW = 50  # parameters for Newton's steps to end a search, which takes more iterations where there are more
FEW_ITERATIONS, MANY_ITERATIONS = 100, 400


class RoundedObjective:
    """A loss with kinks and an elastic net of linear scores of rows, all kinks rounded off.

    `centre` of shape (n, max(1, K)) are the slopes, or shares, about which those of the loss are round.
    """

    def __init__(
        self, loss: Loss, rows: Any, y: Array, share: Array, l1: Array, l2: Array, scores: int, intercept: bool
    ) -> None:
        self._loss, self._rows, self._y, self._share = loss, rows, y, share
        self._l1, self._l2, self._intercept = l1, l2, intercept
        dual = dual_of(loss)
        assert dual.kink is not None
        self._kink, self._in_all = dual.kink, dual.in_all
        self._own = indicator(y, scores) if loss.target == "labels" else None
        self._targets = y.reshape(len(y), -1) if self._own is None else self._own
        self.penalised = l2.size
        self.width, self.width_of_l1 = 1.0, np.ones_like(l1)
        self.passes = 0
        self.centre, self.centre_of_l1 = np.zeros((len(y), max(1, scores))), np.zeros_like(l1)
        self._seen: tuple[Array, Any] = np.empty(0), None

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        self.passes += 1
        excess, met = self._met(x)
        values = (met * (excess - 0.5 * self.width * met)).sum(axis=1)
        w = x[: self.penalised]
        beyond, pulls = self._met_of_l1(w)
        value = self._share @ values + 0.5 * (self._l2 @ w**2) + pulls @ (beyond - 0.5 * self.width_of_l1 * pulls)
        return float(value), self._pull(self._of_scores(met), self._l2 * w + pulls)

    def hessp(self, x: Array, v: Array) -> Array:
        """Return the product with the Hessian: that of the rows at their kinks, which alone give way."""
        self.passes += 1
        if not np.array_equal(self._seen[0], x):
            self._met(x)
        at_kinks = self._seen[1]
        given = self._differences(self._scores(v))
        if self._in_all:
            given = given - (given * at_kinks).sum(axis=1, keepdims=True) / at_kinks.sum(axis=1, keepdims=True)
        bends = self._l2 + (np.abs(self._met_of_l1(x[: self.penalised])[1]) < self._l1) / self.width_of_l1
        return self._pull(self._of_scores(at_kinks * given / self.width), bends * v[: self.penalised])

    def descended(self, x: Array, of_loss: float, of_l1: Array, last: int) -> Array:
        """Return the optimum, or where pass number `last` leads to; so wide are kinks by prediction and coefficient."""
        self.width, self.width_of_l1 = of_loss, of_l1 / np.where(self._l1 > 0, self._l1, 1.0)
        nothing, few = np.zeros_like(self._l1), x.size <= FEW
        x = descended(self, x, nothing, max(1, min(FEW_ITERATIONS if few else MANY_ITERATIONS, last - self.passes)))
        steps = (last - self.passes) // x.size
        if not few or steps < 1:
            return x
        start = Point(x, *self.value_and_gradient(x))
        return newton(self.value_and_gradient, self.hessp, start, 1e-15, min(steps, STEPS), whole=True).x

    def size(self, x: Array) -> float:
        """Return by how much predictions miss, which is what their kinks are wide or narrow beside."""
        if self._loss.target != "real":
            return 1.0
        return max(float(np.abs(self._targets - self._scores(x)).max()), 1e-300)

    def slopes(self, x: Array) -> Array:
        """Return the slopes at a point, shape (n, max(1, K)): they are feasible for the loss itself."""
        return self._of_scores(self._met(x)[1])

    def recentre(self, x: Array) -> None:
        """Round the kinks off about what is met at a point."""
        self.centre, self.centre_of_l1 = self._met(x)[1], self._met_of_l1(x[: self.penalised])[1]

    def loss(self, x: Array) -> float:
        """Return the mean of the loss itself."""
        z = np.ascontiguousarray(self._scores(x))
        return float(self._share @ self._loss.pointwise(self._y, z.reshape(self._y.shape) if self._own is None else z))

    def _met(self, x: Array) -> tuple[Array, Array]:
        """Return how far beyond the kinks rows are, the centre counted, and the slopes or shares that they meet."""
        z = self._differences(self._scores(x)) + self.width * self.centre
        excess, (low, high) = self._kink(z, self._targets, self._loss)
        steep = excess / self.width
        if self._in_all:
            met = onto_simplex(steep)
            at_kinks = met > 0
        else:
            met = np.clip(steep, low, high)
            at_kinks = (low < steep) & (steep < high) & (steep != 0)
        self._seen = x.copy(), at_kinks
        return excess, met

    def _met_of_l1(self, w: Array) -> tuple[Array, Array]:
        beyond = w + self.width_of_l1 * self.centre_of_l1
        return beyond, np.clip(beyond / self.width_of_l1, -self._l1, self._l1)

    def _scores(self, x: Array) -> Array:
        k = self.penalised
        z = np.asarray(self._rows @ x[:k].reshape(self.centre.shape[1], -1).T)
        return np.asarray(z + x[k:]) if self._intercept else z

    def _differences(self, z: Array) -> Array:
        """Return how far the score of each class is above the row's own."""
        return z if self._own is None else z - (z * self._own).sum(axis=1, keepdims=True)

    def _of_scores(self, met: Array) -> Array:
        """Return slopes by the scores: what lifts the others lowers the row's own."""
        return met if self._own is None else met - self._own * met.sum(axis=1, keepdims=True)

    def _pull(self, slopes: Array, of_penalty: Array) -> Array:
        shared = slopes * self._share[:, None]
        pull = np.asarray(shared.T @ self._rows).ravel() + of_penalty
        return np.concatenate([pull, shared.sum(axis=0)]) if self._intercept else pull


def onto_simplex(v: Array) -> Array:
    """Return the nearest rows of numbers that are not negative and make 1 together."""
    falling = -np.sort(-v, axis=1)
    beyond = np.cumsum(falling, axis=1) - 1.0
    count = (falling * np.arange(1, v.shape[1] + 1) > beyond).sum(axis=1)
    level = beyond[np.arange(len(v)), count - 1] / count
    return np.asarray(np.maximum(v - level[:, None], 0.0))
