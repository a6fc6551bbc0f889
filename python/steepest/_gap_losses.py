"""What bounds of the gap ask of losses, in one entry of `DUALS` for each: conjugates, limits of slopes, kinks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from steepest.losses import Loss

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DualLoss:
    """A loss in the dual problem: functions of slopes s or predictions z, targets y, and the loss with its parameters.

    All arrays have shape (n, K), where K is 1 for pointwise losses; labels have shape (n,), and what belongs to their
    rows is one number each. That of several outputs is summed: ``multi_`` and a name is many problems of one.
    """

    # l*(s) for s between 0 and a slope of the loss. Those of labels are a distribution or parts of one, less 1 at them.
    conjugate: Callable[[Array, Array, Any], Array] | None = None
    # l*(0) where the conjugate has no formula: between there and a slope that was met, it is below the chord.
    at_nothing: Callable[[Array, Any], Array] | None = None
    # Between which slopes l* is finite, for smooth losses: there they may be chosen.
    limits: Callable[[Array, Any], tuple[Any, Any]] | None = None
    # How far z is beyond the kink, and which slopes there are at it, where there is but one (or two alike). Labels make
    # one for every other class, that its score meets the row's own: there z is how far it is above, y is 1 at the row's
    # own, 0 elsewhere, and slopes are shares: of 1 at most each or, `in_all`, of 1 together.
    kink: Callable[[Array, Array, Any], tuple[Array, tuple[Any, Any]]] | None = None
    in_all: bool = False
    # How large what loss or conjugate is summed of may be, where neither the loss itself nor slopes times predictions
    # or targets say so. Of entropies it is about 1, be they next to nothing.
    terms: Callable[[Array, Array, Any], Array] | None = None


def _pull(s: Array, y: Array) -> Array:
    """Return how hard a margin loss pulls: minus the slope in the margin, at least 0 whatever rounding made of it."""
    return np.maximum(-s * y, 0.0)


def _entropy(a: Array) -> Array:
    """Return a log(a) + (1 - a) log(1 - a)."""
    b = np.maximum(1.0 - a, 0.0)
    return np.asarray(xlogy(a, a) + xlogy(b, b))


def _excess(u: Array, of: Any = 1.0) -> Array:
    """Return u log(u / of) - u."""
    u = np.maximum(u, 0.0)
    return np.asarray(xlogy(u, u / of) - u)


def _anything(y: Array, loss: Any) -> tuple[float, float]:
    return -math.inf, math.inf


def _towards(y: Array, low: float, high: float) -> tuple[Array, Array]:
    """Return limits of the slopes of a loss of margins, from those of how hard it pulls."""
    return np.where(y > 0, -high, low), np.where(y > 0, -low, high)


def _one(y: Array, z: Array, loss: Any) -> Array:
    return np.ones_like(z)


def _own_or_not(s: Array, y: Array, loss: Any) -> Array:
    """Return the conjugate of margins between the classes: what pulls at the others is missing to the row's own."""
    return np.asarray(-loss.margin * np.maximum(np.where(indicator(y, s.shape[1]) > 0, 0.0, s), 0.0).sum(axis=1))


def _short_of_margin(z: Array, y: Array, loss: Any) -> tuple[Array, tuple[Any, Any]]:
    others = 1.0 - y
    return z + loss.margin * others, (0.0, others)


def _entropies(s: Array, y: Array, loss: Any) -> Array:
    p = np.maximum(s + indicator(y, s.shape[1]), 0.0)
    return np.asarray(xlogy(p, p).sum(axis=1))


DUALS = {
    "squared_error": DualLoss(conjugate=lambda s, y, loss: s * (0.5 * s + y), limits=_anything),
    "mse": DualLoss(conjugate=lambda s, y, loss: s * (0.25 * s + y), limits=_anything),
    "huber": DualLoss(conjugate=lambda s, y, loss: s * (0.5 * s + y), limits=lambda y, loss: (-loss.delta, loss.delta)),
    "log_cosh": DualLoss(
        conjugate=lambda s, y, loss: _entropy(np.clip(0.5 + 0.5 * s, 0, 1)) + math.log(2) + s * y,
        limits=lambda y, loss: (-1.0, 1.0),
        terms=_one,
    ),
    "absolute_error": DualLoss(conjugate=lambda s, y, loss: s * y, kink=lambda z, y, loss: (z - y, (-1.0, 1.0))),
    "quantile": DualLoss(
        conjugate=lambda s, y, loss: s * y, kink=lambda z, y, loss: (z - y, (-loss.quantile, 1.0 - loss.quantile))
    ),
    "epsilon_insensitive": DualLoss(
        conjugate=lambda s, y, loss: s * y + loss.epsilon * np.abs(s),
        kink=lambda z, y, loss: (z - np.clip(z, y - loss.epsilon, y + loss.epsilon), (-1.0, 1.0)),
    ),
    "squared_epsilon_insensitive": DualLoss(
        conjugate=lambda s, y, loss: s * (0.25 * s + y) + loss.epsilon * np.abs(s), limits=_anything
    ),
    "log_loss": DualLoss(
        conjugate=lambda s, y, loss: _entropy(_pull(s, y)), limits=lambda y, loss: _towards(y, 0.0, 1.0), terms=_one
    ),
    "hinge": DualLoss(
        conjugate=lambda s, y, loss: s * y, kink=lambda z, y, loss: (z - y, (np.minimum(-y, 0.0), np.maximum(-y, 0.0)))
    ),
    "perceptron": DualLoss(
        conjugate=lambda s, y, loss: np.zeros_like(s),
        kink=lambda z, y, loss: (z, (np.minimum(-y, 0.0), np.maximum(-y, 0.0))),
    ),
    "squared_hinge": DualLoss(
        conjugate=lambda s, y, loss: s * (0.25 * s + y), limits=lambda y, loss: _towards(y, 0.0, np.inf)
    ),
    "modified_huber": DualLoss(
        conjugate=lambda s, y, loss: s * (0.25 * s + y), limits=lambda y, loss: _towards(y, 0.0, 4.0)
    ),
    "exponential": DualLoss(
        conjugate=lambda s, y, loss: _excess(_pull(s, y)), limits=lambda y, loss: _towards(y, 0.0, np.inf)
    ),
    "poisson": DualLoss(
        conjugate=lambda s, y, loss: _excess(s + y),
        limits=lambda y, loss: (-y, np.inf),
        terms=lambda y, z, loss: np.exp(z) + y * (1 + np.abs(z)),
    ),
    "gamma": DualLoss(
        conjugate=lambda s, y, loss: _excess(1.0 - s, y),
        limits=lambda y, loss: (-np.inf, 1.0),
        terms=lambda y, z, loss: y * np.exp(-z) + np.abs(z),
    ),
    "tweedie": DualLoss(
        at_nothing=lambda y, loss: -(y ** (2 - loss.power)) * (1 / (2 - loss.power) - 1 / (1 - loss.power)),
        terms=lambda y, z, loss: (
            np.exp((2 - loss.power) * z) / (2 - loss.power)
            + (y * np.exp((1 - loss.power) * z) + y ** (2 - loss.power)) / (loss.power - 1)
        ),
    ),
    "softmax": DualLoss(conjugate=_entropies, terms=lambda y, z, loss: 1 + np.abs(z).max(axis=1)),
    "multiclass_hinge": DualLoss(conjugate=_own_or_not, kink=_short_of_margin),
    "crammer_singer": DualLoss(conjugate=_own_or_not, kink=_short_of_margin, in_all=True),
}
UNKNOWN = DualLoss()


def dual_of(loss: Loss) -> DualLoss:
    """Return the entry of a loss, an empty one where nobody wrote it."""
    return DUALS.get(loss.name.removeprefix("multi_"), UNKNOWN)


def indicator(y: Array, scores: int) -> Array:
    """Return 1 at the label of each row, 0 elsewhere."""
    return np.asarray(y[:, None] == np.arange(scores), dtype=np.float64)


def has_conjugate(loss: Loss) -> bool:
    """Tell whether slopes that were made smaller still make a bound."""
    return dual_of(loss).conjugate is not None or has_chord(loss)


def has_chord(loss: Loss) -> bool:
    """Tell whether bounds are `below_the_chord`, which takes the conjugate at slopes as they were met."""
    return loss.kind == "pointwise" and dual_of(loss).at_nothing is not None


def has_limits(loss: Loss) -> bool:
    """Tell whether slopes may be chosen between limits."""
    return dual_of(loss).limits is not None


def limits(loss: Loss, y: Array) -> tuple[Array, Array]:
    """Return between which slopes the conjugate is finite, y of shape (n, K)."""
    within = dual_of(loss).limits
    assert within is not None
    low, high = within(y, loss)
    return np.asarray(low), np.asarray(high)


def conjugates(loss: Loss, slopes: Array, y: Array) -> Array:
    """Return l*(s) of each row, for slopes of shape (n, K)."""
    conjugate = dual_of(loss).conjugate
    assert conjugate is not None
    return _of_rows(conjugate(slopes, y if loss.target == "labels" else y.reshape(slopes.shape), loss))


def terms(loss: Loss, y: Array, z: Array) -> Any:
    """Return the size of terms of each row that hide in its loss: where they cancel, they leave more rounding."""
    hidden = dual_of(loss).terms
    return 0.0 if hidden is None else _of_rows(hidden(y, z, loss))


def _of_rows(found: Array) -> Array:
    return found if found.ndim == 1 else np.asarray(found.sum(axis=1))


def below_the_chord(loss: Loss, met: Array, at_met: Array, slopes: Array, y: Array) -> Array:
    """Return bounds from above of l*(s), for slopes between 0 and those that were met, where it is known."""
    at_nothing = dual_of(loss).at_nothing
    assert at_nothing is not None
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(met != 0, slopes / met, 1.0)[:, 0]
    return np.asarray(share * at_met + (1 - share) * at_nothing(y, loss))
