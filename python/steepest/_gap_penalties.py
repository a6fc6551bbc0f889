"""Conjugates of penalties, for bounds of the gap: where they are finite, and what they are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from steepest import penalties
from steepest._groups import groups_of

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

NOT_BOUND = "without an L1 or L2 penalty no dual point is feasible"


class Conjugate(Protocol):
    """A penalty's conjugate, the largest of ``u @ w - penalty(w)``, of flat coefficients."""

    @property
    def open(self) -> bool:
        """Whether it is infinite for some directions of u, however short."""

    def infinite(self, u: Array) -> Mask:
        """Tell which of u must vanish for it to be finite."""

    def free(self, w: Array) -> Mask:
        """Tell where coefficients are held by nothing at w: at an optimum there u vanishes."""

    def feasible_share(self, u: Array) -> float:
        """Return the largest share of u, at most 1, at which it is finite, if what must vanish does."""

    def __call__(self, u: Array) -> float:
        """Return the conjugate where it is finite."""


class Closed:
    """Of penalties that bound every coefficient, or the pull at it."""

    open = False

    def infinite(self, u: Array) -> Mask:
        return np.zeros(u.shape, dtype=bool)

    free = infinite


@dataclass(frozen=True)
class Elastic:
    """Of L1, L2 and their sums; `l1` and `l2` are one number per coefficient."""

    l1: Array
    l2: Array

    @property
    def open(self) -> bool:
        return bool(self._none.any())

    @property
    def _none(self) -> Mask:
        return np.asarray((self.l1 == 0) & (self.l2 == 0))

    def infinite(self, u: Array) -> Mask:
        return np.asarray(self._none & (u != 0))

    def free(self, w: Array) -> Mask:
        return self._none

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
    none: Mask  # the coefficients that are in no group

    @property
    def open(self) -> bool:
        return bool(self.none.any())

    def infinite(self, u: Array) -> Mask:
        return np.asarray(self.none & (u != 0))

    def free(self, w: Array) -> Mask:
        return self.none

    def feasible_share(self, u: Array) -> float:
        norms = np.array([np.linalg.norm(u[group]) for group in self.groups])
        hard = norms > self.strengths
        return float(np.min(self.strengths[hard] / norms[hard], initial=1.0))

    def __call__(self, u: Array) -> float:
        return 0.0


@dataclass(frozen=True)
class Ball(Closed):
    """Of a ball: the radius times the norm that is dual to the ball's."""

    radius: float
    dual_order: float

    def feasible_share(self, u: Array) -> float:
        return 1.0

    def __call__(self, u: Array) -> float:
        return self.radius * float(np.linalg.norm(u, self.dual_order))


@dataclass(frozen=True)
class Bounded:
    """Of a box, whose sides may be infinitely far."""

    lower: Array
    upper: Array

    @property
    def open(self) -> bool:
        return not (np.isfinite(self.lower).all() and np.isfinite(self.upper).all())

    def infinite(self, u: Array) -> Mask:
        return ((u > 0) & np.isinf(self.upper)) | ((u < 0) & np.isinf(self.lower))

    def free(self, w: Array) -> Mask:
        return (np.isinf(self.upper) | np.isinf(self.lower)) & (self.lower < w) & (w < self.upper)

    def feasible_share(self, u: Array) -> float:
        return 1.0

    def __call__(self, u: Array) -> float:
        ends = np.where(u > 0, self.upper, self.lower)
        return float((u[u != 0] * ends[u != 0]).sum())


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
        return Elastic(alpha * ratio, alpha * (1 - ratio))
    if penalty.name in ("l1_ball", "l2_ball"):
        return Ball(given["radius"], np.inf if penalty.name == "l1_ball" else 2)
    if penalty.name == "non_negative":
        return Bounded(np.zeros(size), np.full(size, np.inf))
    if penalty.name == "box":
        lower, upper = (np.broadcast_to(given[end], shape).ravel() for end in ("lower", "upper"))
        if (np.isinf(lower) & np.isinf(upper)).all():
            return NOT_BOUND
        return Bounded(lower, upper)
    if penalty.name == "group_lasso":
        starts, members = groups_of(penalty._groups, type(penalty).__name__, shape)
        if not given["alpha"]:
            return NOT_BOUND
        groups = [group for group in np.split(members, starts[1:-1]) if group.size]
        none = ~np.isin(np.arange(size), members)
        return Grouped(groups, given["alpha"] * np.sqrt([len(group) for group in groups]), none)
    return f"no dual of the penalty {penalty!r} is at hand"
