"""What bounds of the gap ask of losses: their conjugates, and slopes that are feasible where kinks leave a choice."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from steepest.losses import Loss

Array = NDArray[np.float64]
Conjugate = Callable[[Array, Array, Any], Array]


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


# l*(s) for s between 0 and a slope of the loss.
CONJUGATES: dict[str, Conjugate] = {
    "squared_error": lambda s, y, loss: s * (0.5 * s + y),
    "mse": lambda s, y, loss: s * (0.25 * s + y),
    "huber": lambda s, y, loss: s * (0.5 * s + y),
    "log_cosh": lambda s, y, loss: _entropy(np.clip(0.5 + 0.5 * s, 0, 1)) + math.log(2) + s * y,
    "absolute_error": lambda s, y, loss: s * y,
    "quantile": lambda s, y, loss: s * y,
    "epsilon_insensitive": lambda s, y, loss: s * y + loss.epsilon * np.abs(s),
    "squared_epsilon_insensitive": lambda s, y, loss: s * (0.25 * s + y) + loss.epsilon * np.abs(s),
    "log_loss": lambda s, y, loss: _entropy(_pull(s, y)),
    "hinge": lambda s, y, loss: s * y,
    "perceptron": lambda s, y, loss: np.zeros_like(s),
    "squared_hinge": lambda s, y, loss: s * (0.25 * s + y),
    "modified_huber": lambda s, y, loss: s * (0.25 * s + y),
    "exponential": lambda s, y, loss: _excess(_pull(s, y)),
    "poisson": lambda s, y, loss: _excess(s + y),
    "gamma": lambda s, y, loss: _excess(1.0 - s, y),
}


def _towards(y: Array, low: float, high: float) -> tuple[Array, Array]:
    """Return limits of the slopes of a loss of margins, from those of how hard it pulls."""
    return np.where(y > 0, -high, low), np.where(y > 0, -low, high)


# Between which slopes l* is finite, for the smooth losses above: there they may be chosen.
LIMITS: dict[str, Callable[[Array, Any], tuple[Any, Any]]] = {
    "squared_error": lambda y, loss: (-np.inf, np.inf),
    "mse": lambda y, loss: (-np.inf, np.inf),
    "squared_epsilon_insensitive": lambda y, loss: (-np.inf, np.inf),
    "huber": lambda y, loss: (-loss.delta, loss.delta),
    "log_cosh": lambda y, loss: (-1.0, 1.0),
    "log_loss": lambda y, loss: _towards(y, 0.0, 1.0),
    "squared_hinge": lambda y, loss: _towards(y, 0.0, np.inf),
    "modified_huber": lambda y, loss: _towards(y, 0.0, 4.0),
    "exponential": lambda y, loss: _towards(y, 0.0, np.inf),
    "poisson": lambda y, loss: (-y, np.inf),
    "gamma": lambda y, loss: (-np.inf, 1.0),
}
# Several outputs are as many problems of one.
SEPARABLE = {"multi_squared_error": "squared_error", "multi_huber": "huber", "multi_log_loss": "log_loss"}


def _own_or_not(s: Array, y: Array, loss: Any) -> Array:
    """Return the conjugate of margins between the classes: what pulls at the others is missing to the row's own."""
    return np.asarray(-loss.margin * np.maximum(np.where(indicator(y, s.shape[1]) > 0, 0.0, s), 0.0).sum(axis=1))


def _entropies(s: Array, y: Array, loss: Any) -> Array:
    p = np.maximum(s + indicator(y, s.shape[1]), 0.0)
    return np.asarray(xlogy(p, p).sum(axis=1))


# l*(s) of a row with a label, whose slopes are a distribution or parts of one, less 1 at the label.
OF_LABELS: dict[str, Conjugate] = {
    "softmax": _entropies,
    "multiclass_hinge": _own_or_not,
    "crammer_singer": _own_or_not,
}
# l*(0) for losses whose conjugate has no formula: between there and a slope that was met, it is below the chord.
AT_NOTHING: dict[str, Callable[[Array, Any], Array]] = {
    "tweedie": lambda y, loss: -(y ** (2 - loss.power)) * (1 / (2 - loss.power) - 1 / (1 - loss.power)),
}

# How large what a loss or its conjugate is summed of may be, y of shape (n,) or (n, K) and z alike, where neither the
# loss itself nor slopes times predictions or targets say so. Of entropies it is about 1, be they next to nothing.
TERMS: dict[str, Callable[[Array, Array, Any], Array]] = {
    "log_cosh": lambda y, z, loss: np.ones(len(y)),
    "log_loss": lambda y, z, loss: np.ones(len(y)),
    "multi_log_loss": lambda y, z, loss: np.full(len(y), float(z.shape[1])),
    "softmax": lambda y, z, loss: 1 + np.abs(z).max(axis=1),
    "poisson": lambda y, z, loss: np.exp(z) + y * (1 + np.abs(z)),
    "gamma": lambda y, z, loss: y * np.exp(-z) + np.abs(z),
    "tweedie": lambda y, z, loss: (
        np.exp((2 - loss.power) * z) / (2 - loss.power)
        + (y * np.exp((1 - loss.power) * z) + y ** (2 - loss.power)) / (loss.power - 1)
    ),
}


def indicator(y: Array, scores: int) -> Array:
    """Return 1 at the label of each row, 0 elsewhere."""
    return np.asarray(y[:, None] == np.arange(scores), dtype=np.float64)


def has_conjugate(loss: Loss) -> bool:
    """Tell whether slopes that were made smaller still make a bound."""
    return any(loss.name in table for table in (CONJUGATES, SEPARABLE, OF_LABELS, AT_NOTHING))


def has_limits(loss: Loss) -> bool:
    """Tell whether slopes may be chosen between limits."""
    return SEPARABLE.get(loss.name, loss.name) in LIMITS


def limits(loss: Loss, y: Array) -> tuple[Array, Array]:
    """Return between which slopes the conjugate is finite, y of shape (n, K)."""
    low, high = LIMITS[SEPARABLE.get(loss.name, loss.name)](y, loss)
    return np.asarray(low), np.asarray(high)


def conjugates(loss: Loss, slopes: Array, y: Array) -> Array:
    """Return l*(s) of each row, for slopes of shape (n, K)."""
    if loss.name in OF_LABELS:
        return OF_LABELS[loss.name](slopes, y, loss)
    conjugate = CONJUGATES[SEPARABLE.get(loss.name, loss.name)]
    return np.asarray(conjugate(slopes, y.reshape(len(slopes), -1), loss).sum(axis=1))


def terms(loss: Loss, y: Array, z: Array) -> Any:
    """Return the size of terms of each row that hide in its loss: where they cancel, they leave more rounding."""
    return TERMS[loss.name](y, z, loss) if loss.name in TERMS else 0.0


def below_the_chord(loss: Loss, met: Array, at_met: Array, slopes: Array, y: Array) -> Array:
    """Return bounds from above of l*(s), for slopes between 0 and those that were met, where it is known."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(met != 0, slopes / met, 1.0)[:, 0]
    return np.asarray(share * at_met + (1 - share) * AT_NOTHING[loss.name](y, loss))
