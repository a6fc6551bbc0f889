"""Conjugates of penalties, for bounds of the gap: where they are finite, and what they are there.

They say as much of penalties of L1, L2 or bounds as SciPy's methods have to be told, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from steepest import penalties
from steepest._groups import groups_of

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Conjugate(Protocol):
    """A penalty's conjugate, the largest of ``u @ w - penalty(w)``, of flat coefficients."""

    @property
    def holds(self) -> bool:
        """Whether it is finite for any u but 0."""

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

    holds, open = True, False

    def infinite(self, u: Array) -> Mask:
        return np.zeros(u.shape, dtype=bool)

    free = infinite


@dataclass(frozen=True)
class Elastic:
    """Of L1, L2 and their sums; `l1` and `l2` are one number per coefficient."""

    l1: Array
    l2: Array

    @property
    def holds(self) -> bool:
        return bool(self.l1.any() or self.l2.any())

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
    def holds(self) -> bool:
        return bool(self.strengths.any())

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
    def holds(self) -> bool:
        return bool((np.isfinite(self.lower) | np.isfinite(self.upper)).any())

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


def _elastic(alpha: Any, l1_ratio: float, shape: tuple[int, ...]) -> Elastic:
    each = _each(alpha, shape)
    return Elastic(each * l1_ratio, each * (1 - l1_ratio))


def _each(given: Any, shape: tuple[int, ...]) -> Array:
    """Return one number per coefficient."""
    return np.broadcast_to(np.asarray(given, dtype=np.float64), shape).ravel()


def _grouped(penalty: Any, shape: tuple[int, ...]) -> Grouped:
    starts, members = groups_of(penalty._groups, type(penalty).__name__, shape)
    groups = [group for group in np.split(members, starts[1:-1]) if group.size]
    none = ~np.isin(np.arange(np.prod(shape)), members)
    return Grouped(groups, penalty.alpha * np.sqrt([len(group) for group in groups]), none)


CONJUGATES: dict[str, Callable[[Any, tuple[int, ...]], Conjugate]] = {
    "l1": lambda penalty, shape: _elastic(penalty.alpha, 1.0, shape),
    "l2": lambda penalty, shape: _elastic(penalty.alpha, 0.0, shape),
    "elastic_net": lambda penalty, shape: _elastic(penalty.alpha, penalty.l1_ratio, shape),
    "group_lasso": _grouped,
    "non_negative": lambda penalty, shape: Bounded(_each(0.0, shape), _each(np.inf, shape)),
    "box": lambda penalty, shape: Bounded(_each(penalty.lower, shape), _each(penalty.upper, shape)),
    "l1_ball": lambda penalty, shape: Ball(penalty.radius, np.inf),
    "l2_ball": lambda penalty, shape: Ball(penalty.radius, 2),
}


def conjugate_of(penalty: penalties.Penalty) -> Conjugate | None:
    """Return the conjugate of a penalty that knows its coefficients, None where nobody wrote it."""
    make = CONJUGATES.get(penalty.name)
    assert penalty._shape is not None
    return None if make is None else make(penalty, penalty._shape)


def scipy_takes(penalty: penalties.Penalty | None) -> bool:
    """Tell whether SciPy's methods can be told all of a penalty: what is smooth, L1 or bounds."""
    return penalty is None or penalty.smooth or isinstance(conjugate_of(penalty), (Elastic, Bounded))
