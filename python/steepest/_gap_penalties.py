"""Conjugates of penalties, for bounds of the gap: where they are finite, and what they are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from steepest import penalties
from steepest._groups import groups_of

Array = NDArray[np.float64]

NOT_BOUND = "without an L1 or L2 penalty no dual point is feasible"


class Conjugate(Protocol):
    """A penalty's conjugate, the largest of ``u @ w - penalty(w)``, of flat coefficients."""

    def feasible_share(self, u: Array) -> float:
        """Return the largest share of u, at most 1, at which the conjugate is finite."""

    def __call__(self, u: Array) -> float:
        """Return the conjugate where it is finite."""


@dataclass(frozen=True)
class Elastic:
    """Of L1, L2 and their sums; `l1` and `l2` are one number per coefficient."""

    l1: Array
    l2: Array

    def feasible_share(self, u: Array) -> float:
        hard = (self.l2 == 0) & (np.abs(u) > self.l1)
        return float(np.min(self.l1[hard] / np.abs(u[hard]), initial=1.0))

    def each(self, u: Array) -> Array:
        """Return what each coefficient adds."""
        beyond = np.maximum(np.abs(u) - self.l1, 0.0)
        curved = self.l2 > 0
        return np.asarray(np.where(curved, beyond**2 / np.where(curved, 2 * self.l2, 1.0), 0.0))

    def __call__(self, u: Array) -> float:
        return float(self.each(u).sum())


@dataclass(frozen=True)
class Grouped:
    """Of the group lasso: groups of indices with the strength of each."""

    groups: list[NDArray[np.int64]]
    strengths: Array

    def feasible_share(self, u: Array) -> float:
        norms = np.array([np.linalg.norm(u[group]) for group in self.groups])
        hard = norms > self.strengths
        return float(np.min(self.strengths[hard] / norms[hard], initial=1.0))

    def __call__(self, u: Array) -> float:
        return 0.0


@dataclass(frozen=True)
class Ball:
    """Of a ball: the radius times the norm that is dual to the ball's."""

    radius: float
    dual_order: float

    def feasible_share(self, u: Array) -> float:
        return 1.0

    def __call__(self, u: Array) -> float:
        return self.radius * float(np.linalg.norm(u, self.dual_order))


@dataclass(frozen=True)
class Bounded:
    """Of a box."""

    lower: Array
    upper: Array

    def feasible_share(self, u: Array) -> float:
        return 1.0

    def __call__(self, u: Array) -> float:
        return float(np.maximum(self.lower * u, self.upper * u).sum())


def finite_everywhere(conjugate: Conjugate) -> bool:
    """Tell whether all of a penalty is curved, so that gradients make a bound as they are."""
    return isinstance(conjugate, Elastic) and bool((conjugate.l2 > 0).all())


def conjugate_of(penalty: penalties.Penalty | None, shape: tuple[int, ...]) -> Conjugate | str:
    """Return the conjugate of a penalty of coefficients of a shape, or why it leaves no dual point feasible."""
    if penalty is None:
        return NOT_BOUND
    size, given = int(np.prod(shape)), penalty.params
    if penalty.name in ("l1", "l2", "elastic_net"):
        ratio = given.get("l1_ratio", 1.0 if penalty.name == "l1" else 0.0)
        alpha = np.broadcast_to(np.asarray(given["alpha"], dtype=np.float64), shape).ravel()
        if not alpha.any():
            return NOT_BOUND
        free = np.flatnonzero(alpha == 0)
        if free.size:
            return f"coefficient {free[0]} has no penalty, without which no dual point is feasible"
        return Elastic(alpha * ratio, alpha * (1 - ratio))
    if penalty.name in ("l1_ball", "l2_ball"):
        return Ball(given["radius"], np.inf if penalty.name == "l1_ball" else 2)
    if penalty.name == "box":
        lower, upper = (np.broadcast_to(given[end], shape).ravel() for end in ("lower", "upper"))
        if np.isfinite(lower).all() and np.isfinite(upper).all():
            return Bounded(lower, upper)
        return "no dual point is feasible where a coefficient has no bound on one side"
    if penalty.name == "group_lasso":
        starts, members = groups_of(penalty._groups, type(penalty).__name__, shape)
        if not given["alpha"]:
            return NOT_BOUND
        if len(members) < size:
            return "a coefficient is in no group, without which no dual point is feasible"
        groups = [group for group in np.split(members, starts[1:-1]) if group.size]
        return Grouped(groups, given["alpha"] * np.sqrt([len(group) for group in groups]))
    return f"no dual of the penalty {penalty!r} is at hand"
