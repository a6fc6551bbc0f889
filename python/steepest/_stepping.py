"""Where step sizes come from when the user gives one, and when not."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from steepest import losses, optim, penalties, schedules
from steepest._data import Data, require_finite_rows
from steepest._sparse import SparseRows, row_squares
from steepest.objective import gram_bound, penalty_curvature

SAMPLE = 4096
STEADY_UPDATES = 128  # before a mini-batch step begins to fall as the root of the number of updates


@dataclass(slots=True)
class Steps:
    """How the core steps, and its schedule: (index, parameters) or a callable of time."""

    stepping: str
    schedule: Any


def given_steps(step_size: Any, lr: float | None) -> Steps | None:
    """Return the steps that the user asked for, None where they are to be computed."""
    if lr is not None:
        if step_size is not None:
            raise ValueError(f"the step size is given twice: lr={lr!r} with the rule and step_size={step_size!r}")
        step_size = lr
    if step_size is None:
        return None
    if isinstance(step_size, (float, numbers.Real)):
        step = float(step_size)
        if isinstance(step_size, bool) or not 0 < step < math.inf:
            raise ValueError(f"step_size must be positive and finite, not {step_size!r}")
        return constant(step)
    if isinstance(step_size, str):
        if step_size.lower() != "auto":
            raise ValueError(f'step_size must be a number, "auto", a schedule or a callable, not {step_size!r}')
        return None
    if isinstance(step_size, schedules.Schedule):
        return Steps("schedule", (step_size._index, step_size._values))
    if callable(step_size):
        return Steps("schedule", _numbers_of(step_size))
    raise TypeError(f'step_size must be a number, "auto", a schedule or a callable, not {step_size!r}')


def _numbers_of(schedule: Callable[[float], Any]) -> Callable[[float], float]:
    """Return the user's function of time with its answers checked."""

    def step_at(t: float) -> float:
        step = schedule(t)
        if not isinstance(step, numbers.Real) and not (isinstance(step, np.ndarray) and step.ndim == 0):
            raise TypeError(f"the function given as step_size must return a number, not {step!r}, at time {t:g}")
        return float(step)

    return step_at


def constant(step: float) -> Steps:
    """Return the same step always."""
    return Steps("schedule", (0, (step,)))


def steps_for(
    rule: optim.Rule,
    loss: losses.Loss | None,
    data: Data | None,
    penalty: penalties.Penalty | None,
    fit_intercept: bool,
    batch_size: int,
    searching: bool,
    asked: bool,
) -> Steps:
    """Return the steps of a rule for which the user has given none: its default, or what suits plain descent."""
    if rule.default_lr is not None:
        if asked:
            raise ValueError(
                f'step_size="auto" does not go with {type(rule).__name__}; '
                f"leave step_size out for lr={rule.default_lr:g}"
            )
        return constant(rule.default_lr)
    if _goes_straight(rule):
        return default_steps(loss, data, penalty, fit_intercept, batch_size, searching, asked)
    steps = default_steps(loss, data, penalty, fit_intercept, batch_size, searching=False, asked=asked)
    share = 1 - rule.params.get("momentum", 0.0) if rule.reports == "x" else 1.0
    if steps.stepping == "line_search":  # takes back steps, which the state of a rule cannot
        return Steps("distance", (0, (share,)))
    index, values = steps.schedule
    if steps.stepping == "schedule" and index == 0:
        return steps
    if rule._steady and steps.stepping == "schedule":
        return constant(values[0])
    return Steps(steps.stepping, (index, (share * values[0], *values[1:])))


def _goes_straight(rule: optim.Rule) -> bool:
    """Tell whether an update goes straight down the objective, so that steps can be searched on the way."""
    return rule.name == "sgd" and not (rule.weight_decay or rule.clip_norm or rule.clip_value)


def default_steps(
    loss: losses.Loss | None,
    data: Data | None,
    penalty: penalties.Penalty | None,
    fit_intercept: bool,
    batch_size: int,
    searching: bool,
    asked: bool,
) -> Steps:
    """Compute the steps from what is known of the loss and the data.

    Full batches: 1/L, a guarantee (B4), or with `searching` a line search that begins there. Mini-batches: an inverse
    scaling from the step that the batch size can bear. Where no curvature bound exists, or "auto" was `asked` for,
    steps are found on the way.
    """
    if loss is None or data is None:
        return Steps("line_search", (0, (1.0,)))
    full = batch_size == data.trained
    decay = 0.0 if penalty is None else penalty_curvature(penalty)
    if full and loss.smooth:
        exact = loss.curvature is not None and not searching
        largest = gram_bound(data, fit_intercept, None if exact else SAMPLE)
        curvature = finite_curvature((1.0 if loss.curvature is None else loss.curvature) * largest + decay, data)
        step = 1.0 / curvature if curvature > 0 else 1.0
        return constant(step) if exact else Steps("line_search", (0, (step,)))
    if full or asked or loss.curvature is None:
        return Steps("distance", (0, (1.0,)))
    curvature = finite_curvature(loss.curvature * batch_curvature(data, fit_intercept, batch_size) + decay, data)
    updates = -(-data.trained // batch_size)
    inverse_scaling = schedules.get(
        "inverse_scaling", step_size=1.0 / curvature if curvature > 0 else 1.0, power=0.5, rate=updates / STEADY_UPDATES
    )
    return Steps("schedule", (inverse_scaling._index, inverse_scaling._values))


def finite_curvature(curvature: float, data: Data) -> float:
    """Return the curvature, or say which row makes it not finite."""
    small = curvature > 0 and np.asarray(1 / curvature, dtype=data.y.dtype) == 0
    if (not math.isfinite(curvature) or small) and data.X is not None:
        require_finite_rows(data.X)
        raise ValueError(
            "X is too large: the squares of its rows leave the range of its dtype; scale its columns or give a step"
        )
    return curvature


def batch_curvature(data: Data, fit_intercept: bool, batch_size: int) -> float:
    """Estimate the curvature that a batch of this size may have, from a sample of the rows.

    The expected smoothness of a batch without replacement lies between the largest row's and the whole data's.
    """
    sample = sample_of(data)
    whole = gram_bound(sample, fit_intercept)
    if isinstance(sample.X, SparseRows):
        squares = row_squares(sample.X, sample.scale, sample.shift) + fit_intercept
    else:
        rows = sample.seen(slice(None))
        squares = np.einsum("ij,ij->i", rows, rows) + fit_intercept
    if sample.weight is not None:
        squares = squares * (sample.weight / data.mean_weight)
    n, b = data.trained, batch_size
    if n == 1:
        return whole
    return float((n * (b - 1) * whole + (n - b) * squares.max()) / (b * (n - 1)))


def sample_of(data: Data) -> Data:
    """Return rows spread evenly over the data."""
    rows = data.at(slice(None, None, max(1, data.trained // SAMPLE)))
    X = None if data.X is None else data.X[rows]
    weight = None if data.weight is None else data.weight[rows]
    return replace(data, X=X, y=data.y[rows], weight=weight, rows=None)
