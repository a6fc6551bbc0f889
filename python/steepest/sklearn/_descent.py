"""One descent in scikit-learn's terms: its schedules, its way to stop, its restraint of single rows.

With raw sample weights and a batch size of 1 every update is scikit-learn's own,
``w <- max(0, 1 - eta alpha) w - eta weight slope x``; only the order of the rows differs, and L1 is a proximal step
where scikit-learn's is cumulative.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steepest import losses, optim, penalties, schedules
from steepest._arguments import resolve_order
from steepest._data import Data
from steepest._outcome import Outcome
from steepest._results import Interrupted, Result, Status
from steepest._sizes import scale_of
from steepest._sparse import SparseRows
from steepest._stepping import Steps, given_steps, steps_for
from steepest.objective import make_problem

SLOPE_LIMIT = 1e12  # beyond, squared losses far from their minimum would overflow at once
SPARSE_INTERCEPT_PACE = 0.01  # sparse features are rarely there, the intercept always: it would swing
LEAST_STEP = 1e-6  # of the adaptive learning rate
PLAIN = optim.get("sgd")
Score = Callable[[NDArray[Any]], float]


@dataclass(frozen=True)
class Plan:
    """What a descent is asked to do."""

    loss: losses.Loss
    penalty: penalties.Penalty | None
    fit_intercept: bool
    rule: optim.Rule
    step_size: Any
    learning_rate: str
    alpha: float
    eta0: float
    power_t: float
    batch_size: int
    shuffle: Any
    max_iter: int
    tol: float | None
    n_iter_no_change: int
    threads: int
    verbose: int
    average: int

    def schedule(self, t: float, per_epoch: int, step: float) -> Any:
        """Return the schedule of a run whose first update is number t, counted from 1."""
        if self.learning_rate == "optimal":
            typical = math.sqrt(1.0 / math.sqrt(self.alpha))
            before = 1.0 / (typical * self.alpha) + t - 1
            found: schedules.Schedule = schedules.get(
                "inverse_time", step_size=1.0 / (self.alpha * before), decay=per_epoch / before
            )
        elif self.learning_rate == "invscaling":
            if self.power_t < 0:
                return lambda time: self.eta0 / (t + time * per_epoch) ** self.power_t
            found = schedules.get(
                "inverse_scaling", step_size=self.eta0 / t**self.power_t, power=self.power_t, rate=per_epoch / t
            )
        else:
            found = schedules.get("constant", step_size=step)
        return found._index, found._values


class Reached(NamedTuple):
    """Where a descent ended, and what ended it if that was no end of its own."""

    x: NDArray[Any]
    epochs: int
    mean: NDArray[Any] | None = None
    overflow: bool = False
    failure: BaseException | None = None


class Patience:
    """Ends a run when as many epochs in a row as `n_iter_no_change` bring no more than `tol`."""

    def __init__(self, plan: Plan, score: Score | None, weight: float) -> None:
        self._plan, self._score, self._weight = plan, score, weight
        self._best = -math.inf
        self._idle = 0
        self.exhausted = False

    @property
    def needed(self) -> bool:
        """Whether there is anything to watch."""
        return self._plan.tol is not None or self._plan.verbose > 0

    def __call__(
        self,
        epoch: int,
        running: float,
        exact: float,
        step: float,
        seconds: float,
        updates: int,
        x: NDArray[Any],
        validation: float,
    ) -> bool:
        merit = -running / self._weight if self._score is None else self._score(x)
        if self._plan.verbose > 0:
            scored = "" if self._score is None else f", validation score {merit:.6f}"
            size = float(np.linalg.norm(x[: len(x) - self._plan.fit_intercept]))
            print(
                f"epoch {epoch}: objective {running:.6f}, norm {size:.2f}, {updates} updates{scored}, {seconds:.2f} s"
            )
        if self._plan.tol is None:
            return False
        self._idle = self._idle + 1 if merit < self._best + self._plan.tol else 0
        self._best = max(self._best, merit)
        self.exhausted = self._idle >= self._plan.n_iter_no_change
        return self.exhausted

    def renew(self) -> None:
        """Count anew, towards the same best."""
        self._idle, self.exhausted = 0, False


def descend(
    plan: Plan,
    data: Data,
    start: NDArray[Any],
    t: float,
    seed: int,
    score: Score | None = None,
    mean: NDArray[Any] | None = None,
) -> Reached:
    """Run a descent from `start`, of which `t` - 1 updates are done.

    The weights in `data` are taken as they are: each multiplies its row's step.
    """
    problem = make_problem(plan.loss, data, plan.fit_intercept)
    if data.rows is not None:
        problem = problem.subset(data.rows, data.mean_weight)
    penalty = penalties.fitted(plan.penalty, data, problem.penalised)
    rows = data.trained
    size = min(plan.batch_size, rows)
    per_epoch = -(-rows // size)
    weight = None if data.weight is None else data.weight[data.at(slice(None))]
    mean_weight = 1.0 if weight is None else float(weight.mean(dtype=np.float64))
    patience = Patience(plan, score, mean_weight if mean_weight > 0 else 1.0)
    plain = plan.step_size is None and plan.rule == PLAIN
    steps = None if plain else _other_steps(plan, data, size)
    late = max(0.0, plan.average - t)
    # A mean that does not begin in this run is no reason to leave the fast way for single rows.
    averaging = plan.average > 0 and late < plan.max_iter * per_epoch
    rule = optim.get("averaged_sgd", t0=late) if averaging else plan.rule
    tempering = optim.tempering(rule)
    if plain and size > 1 and not isinstance(data.X, SparseRows):
        tempering = (math.inf, SLOPE_LIMIT, 0.0, False)
    scale, row_size = scale_of(data, start.size) if rule._scaled else ([], 1.0)
    x, done, step = start, 0, plan.eta0
    state: dict[str, Any] = {}
    while True:
        options = {
            "order": resolve_order(plan.shuffle, rows),
            "rule": (rule._index, rule._values),
            "batch_size": size,
            "epochs": plan.max_iter - done,
            "stepping": "schedule" if steps is None else steps.stepping,
            "schedule": plan.schedule(t, per_epoch, step) if steps is None else steps.schedule,
            "threads": plan.threads,
            "seed": seed,
            "penalty": None if penalty is None else penalty.terms,
            "tempering": tempering,
            "keep_history": False,
            "scale": scale,
            "row_size": row_size,
            "epochs_before": done,
            "updates_before": done * per_epoch,
            "judged": steps is not None,
            "slope_limit": SLOPE_LIMIT,
            "least_kept": 0.0,
            "intercept_pace": SPARSE_INTERCEPT_PACE if isinstance(data.X, SparseRows) else 1.0,
            "on_epoch": patience if patience.needed else None,
        }
        reached, failure = problem.fit(x, options | state)
        outcome = Outcome._make(reached)
        x, done = outcome.x, outcome.epochs
        state = {"state": outcome.state}
        overflow = outcome.status == "diverged" or not np.isfinite(x).all()
        lower = plain and plan.learning_rate == "adaptive" and patience.exhausted and step > LEAST_STEP
        if failure is not None or overflow or not lower or done >= plan.max_iter:
            break
        step /= 5
        patience.renew()
    if not averaging:
        return Reached(x, done, mean, overflow, failure)
    # The rule reports the mean of this run; where it descends comes second in its state, behind the count of updates.
    live = outcome.state[1 : 1 + x.size].astype(x.dtype)
    old, new = max(0.0, t - plan.average), max(0.0, outcome.nit - late)
    if mean is not None and old + new > 0:
        x = ((old * mean + new * x) / (old + new)).astype(x.dtype)
    return Reached(live, done, x, overflow, failure)


def _other_steps(plan: Plan, data: Data, size: int) -> Steps:
    """Return the steps of a rule or a step size that scikit-learn does not have."""
    asked = isinstance(plan.step_size, str)
    return given_steps(plan.step_size, plan.rule.lr) or steps_for(
        plan.rule, plan.loss, data, plan.penalty, plan.fit_intercept, size, searching=asked, asked=asked
    )


def require_finished(reached: Reached) -> None:
    """Raise what ended a descent before its time; the estimator has its attributes by now."""
    if isinstance(reached.failure, KeyboardInterrupt):
        state = Result(x=reached.x, epochs=reached.epochs, success=False, status=Status.interrupted)
        raise Interrupted(state) from None
    if reached.failure is not None:
        raise reached.failure
    if reached.overflow:
        raise ValueError(
            f"Floating-point under-/overflow occurred at epoch #{reached.epochs + 1}. Scaling input data with "
            "StandardScaler or MinMaxScaler might help."
        )
