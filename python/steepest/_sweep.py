"""Which batch size, step size and method suit the data: measured, not guessed (B5, D5, D7, E4)."""

from __future__ import annotations

import math
import numbers
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepest import optim, penalties, schedules
from steepest._arguments import positive_count, resolve_method, resolve_order, resolve_seed
from steepest._extras import require
from steepest._minimize import minimize
from steepest._noise import GradientNoise
from steepest._outside import is_outside
from steepest._results import ConvergenceWarning, Interrupted, Result, Status
from steepest._stepping import given_steps, steps_for
from steepest._sweep_result import SweepResult, counted, find_best, method_name, shown_step
from steepest._threads import default_threads
from steepest.search import Surface

__all__ = ["sweep"]

SIZES = (32, 64, 128, 256, 512, 1024, 2048, 4096)
# An objective so many times the one it began with is an explosion, not the noise of small batches.
EXPLOSION = 10.0
# Another program may have had the processor: what is short is timed so often, and the least counts.
RUNS = 5
SHORT = 0.05
# Candidates that are so much faster than all better ones stay: equal epochs do them no justice.
FASTER = 1.5
# Of two that stay, one shows what the other is worth.
FEWEST = 2
TARGET_SHARE = 0.01


def sweep(
    loss: Any,
    data: Any,
    *,
    batch_sizes: Iterable[int] | None = None,
    step_sizes: Iterable[Any] | None = None,
    methods: Iterable[str | optim.Rule] | None = None,
    epochs: int = 8,
    target: float | None = None,
    budget: float | None = None,
    halving: bool = True,
    x0: Any = None,
    penalty: str | penalties.Penalty | None = None,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = False,
    shuffle: bool | str | ArrayLike | Callable[[int], ArrayLike] = True,
    seed: int | None = None,
    n_threads: int | None = None,
    progress: bool | str = False,
) -> SweepResult:
    """Measure batch sizes, step sizes and methods on the user's own data and say which is best (D5, D7, E4).

    Every combination is a candidate. Candidates run one after the other, because two at a time would disturb each
    other's clock, and in rounds: after 1, 2, 4, ... epochs the better half of them goes on where it stopped.

    Parameters
    ----------
    loss, data, penalty, sample_weight, fit_intercept, shuffle, n_threads
        As in ``minimize``: any loss of the core, traced loss, pair of callables or C function.
    batch_sizes : iterable of int, optional
        Rows per update; more than the n rows of the data mean all of them. Default: powers of two from 32 to 4,096, as
        far as the data allows, from 1 where it has fewer than 64 rows.
    step_sizes : iterable, optional
        Whatever ``minimize`` takes: numbers, "auto", schedules, callables; None is the computed step. Default: the
        computed step of each batch size.
    methods : iterable of str or Rule, optional
        "gd" (all rows in a batch, whatever the batch sizes), "sgd" or any rule of ``st.optim``. Default: "sgd".
    epochs : int
        Passes over the data for each candidate at the most.
    target : float, optional
        The objective to time; a candidate that has reached it stops. Default: one hundredth of the way above the best
        objective reached by any, counted from the objective at the start.
    budget : float, optional
        Seconds for the whole sweep. It is looked at after every epoch, and at least one is measured.
    halving : bool
        Whether the worse half of the candidates stops after 1, 2, 4, ... epochs, until two are left.
    x0 : array_like or Result, optional
        Start of every candidate, zeros by default. Callables need it unless theta is a number.
    seed : int, optional
        Decides the order of rows, the same for all candidates; drawn at random by default.
    progress : bool, "bar" or "lines"
        True shows a bar in a terminal, lines elsewhere.

    Returns
    -------
    SweepResult
        With ``table``, ``best``, ``advice``, ``plot()``, ``to_csv(path)`` and ``to_json(path)``.

    Raises
    ------
    ValueError, TypeError
        Naming the argument and what would be right, before any work.
    Interrupted
        On Ctrl-C; its ``.result`` is a SweepResult with what was measured.

    Notes
    -----
    Only the descent is timed; the objective over all rows is looked at between two epochs. What takes less than 50 ms
    is timed five times, and the least counts.

    Which candidates go on is decided by the objective after equal epochs, so that a seed decides it, whatever else the
    machine does. Among epochs of more than 50 ms, where the clock can be trusted, a candidate stays too when it is 1.5
    times faster than all that are better. A candidate that diverges (the objective is ten times what it began with, or
    no number) stops at once and is shown as such.

    Goes on where it stopped: to the bit, for steps that depend on time alone. Steps that are found on the way ("auto",
    losses without a curvature bound) and schedules that end with the run begin anew, for more epochs.

    Examples
    --------
    >>> import steepest as st
    >>> found = st.sweep("log_loss", st.data.logistic(4000, 5, seed=0), batch_sizes=[32, 256, 10_000], seed=0)
    >>> [row["batch_size"] for row in found.table], found.best["diverged"]
    ([32, 256, 4000], False)
    >>> print(found.message)
    Measured 3 candidates. batch_sizes: 10,000 is more than the 4,000 rows and means all of them.
    """
    sizes, steps, rules = _listed(batch_sizes, "batch_sizes"), _listed(step_sizes, "step_sizes"), _methods(methods)
    sizes = None if sizes is None else [positive_count(size, f"batch_sizes[{i}]") for i, size in enumerate(sizes)]
    steps = [None] if steps is None else [_step(step, i) for i, step in enumerate(steps)]
    for rule in rules:
        for step in steps:
            given_steps(step, resolve_method(rule)[0].lr)
    most = positive_count(epochs, "epochs")
    if target is not None:
        target = _real(target, "target")
    if budget is not None and not _real(budget, "budget") > 0:
        raise ValueError(f"budget must be a positive number of seconds, not {budget!r}")
    if not isinstance(halving, (bool, np.bool_)):
        raise TypeError(f"halving must be True or False, not {halving!r}")
    if progress not in (True, False, "bar", "lines"):
        raise ValueError(f'progress must be a bool, "bar" or "lines", not {progress!r}')
    penalty = penalties.resolve(penalty)
    threads = default_threads() if n_threads is None else positive_count(n_threads, "n_threads")
    seed = resolve_seed(seed, None)
    start = x0.x.reshape(x0.x_shape) if isinstance(x0, Result) else x0

    problem = _Problem(loss, data, start, penalty, sample_weight, fit_intercept, shuffle, seed, threads)
    sizes, note = _clamped(sizes, problem.rows)
    candidates = [
        problem.candidate(size, step, rule)
        for rule in rules
        for step in steps
        for size in _of(rule, sizes, problem.rows)
    ]
    # "gd" has one batch size, and sizes beyond the data have become one.
    candidates = [c for i, c in enumerate(candidates) if c not in candidates[:i]]
    run = _Run(problem, candidates, target, most, math.inf if budget is None else float(budget), note)
    with _reporting(progress, candidates) as report:
        return run.all(bool(halving), report)


def _listed(values: Any, name: str) -> list[Any] | None:
    if values is None:
        return None
    try:
        found = None if isinstance(values, (str, bytes)) else list(values)
    except TypeError:
        found = None
    if found is None:
        raise TypeError(f"{name} must be a list, not {values!r}")
    if not found:
        raise ValueError(f"{name} is empty; leave it out for the default")
    return found


def _methods(methods: Any) -> list[str | optim.Rule]:
    found = _listed(methods, "methods") or ["sgd"]
    for method in found:
        if method is None:
            raise TypeError('methods must hold names or rules such as st.optim.SGD(), not None; the default is "sgd"')
        resolve_method(method)
    return [method.lower() if isinstance(method, str) else method for method in found]


def _step(step: Any, i: int) -> Any:
    """Return a step size as ``minimize`` takes it, plain numbers as floats."""
    try:
        given_steps(step, None)
    except (ValueError, TypeError) as error:
        raise type(error)(f"step_sizes[{i}]: {error}") from None
    return float(step) if isinstance(step, numbers.Real) else step


def _real(value: Any, name: str) -> float:
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, not {value!r}")
    return float(value)


def _clamped(sizes: list[int] | None, rows: int) -> tuple[list[int], str]:
    """Return the batch sizes that the rows allow, and what had to be changed."""
    if sizes is None:
        powers = SIZES if rows >= 2 * SIZES[0] else tuple(1 << k for k in range(SIZES[0].bit_length()))
        return [size for size in powers if size <= rows], ""
    large = [f"{size:,}" for size in dict.fromkeys(sizes) if size > rows]
    note = ""
    if large:
        verb = "is more than the {} rows and means" if len(large) == 1 else "are more than the {} rows and mean"
        note = f"batch_sizes: {', '.join(large)} {verb.format(f'{rows:,}')} all of them."
    elif len(set(sizes)) < len(sizes):
        note = "batch_sizes: what is there twice was measured once."
    return list(dict.fromkeys(min(size, rows) for size in sizes)), note


def _ends_with_the_run(step: Any) -> bool:
    """Tell whether a schedule depends on the length of the run."""
    return isinstance(step, schedules.Schedule) and any(step(t, 2.0) != step(t, 4.0) for t in (0.5, 1.0, 1.5))


@dataclass
class _Candidate:
    """A batch size, step size and method, with what was measured of them."""

    batch_size: int
    step_size: Any
    method: str | optim.Rule
    taken: Any = field(compare=False)  # the step for `minimize`, computed once
    resumes: bool = field(compare=False)
    result: Result | None = field(default=None, compare=False)
    spent: list[float] = field(default_factory=list, compare=False)  # seconds of each epoch
    objectives: list[float] = field(default_factory=list, compare=False)  # at the end of each epoch
    diverged: bool = field(default=False, compare=False)
    noise: float | None = field(default=None, compare=False)

    @property
    def reached(self) -> float:
        """The last objective; infinite where there is none."""
        return math.inf if self.diverged or not self.objectives else self.objectives[-1]


class _Problem:
    """What all candidates share: the data, checked and converted once."""

    def __init__(
        self,
        loss: Any,
        data: Any,
        start: Any,
        penalty: penalties.Penalty | None,
        sample_weight: ArrayLike | None,
        fit_intercept: bool,
        shuffle: Any,
        seed: int,
        threads: int,
    ) -> None:
        if callable(loss) and not is_outside(loss) and not hasattr(loss, "curvature"):
            raise TypeError(f"loss must be a name, a loss object or a pair (loss_fn, grad_fn), not {loss!r}")
        self.surface = Surface(loss, data, penalty, sample_weight, fit_intercept, start)
        self.objective = self.surface._objective
        self.outside = self.objective is None
        self.penalty, self.fit_intercept, self.seed = penalty, bool(fit_intercept), seed
        if self.objective is None:
            self.rows = len(data[0] if isinstance(data, tuple) else data)
        else:
            self.rows = self.objective._problem.rows
            kept = self.objective._data
            if kept is not None and kept.X is not None:
                # Converted rows, so that no candidate copies them again.
                data = (kept.as_given, data[1])
        resolve_order(shuffle, self.rows)
        self.noise = GradientNoise(loss, data, self.objective, penalty, start, sample_weight, seed)
        self.begin = float(self.surface.values(self.surface.start[np.newaxis])[0])
        self.scale = abs(self.begin)
        if start is not None and self.objective is not None:
            # A start close to the optimum must not make an explosion of its noise.
            self.scale = max(self.scale, abs(self.objective.value(np.zeros(self.surface.size))))
        if not math.isfinite(self.begin):
            raise ValueError(f"the objective at the start is {self.begin}: no candidate can begin there")
        self._loss, self._data, self._start = loss, data, start
        self._options: dict[str, Any] = {
            "penalty": penalty,
            "sample_weight": sample_weight,
            "fit_intercept": fit_intercept,
            "shuffle": shuffle,
            "seed": seed,
            "n_threads": threads,
            "tol": 0,
            "check_finite": False,
        }

    def candidate(self, size: int, step: Any, method: str | optim.Rule) -> _Candidate:
        """Return a candidate with its step size computed, where that can be done beforehand."""
        taken, resumes = step, not isinstance(step, str) and not _ends_with_the_run(step)
        rule = resolve_method(method)[0]
        if step is None and rule.lr is None:
            resumes = False
            if self.objective is not None and self.objective._data is not None:
                found = steps_for(
                    rule,
                    self.objective.loss,
                    self.objective._data,
                    self.penalty,
                    self.fit_intercept,
                    size,
                    searching=False,
                    asked=False,
                )
                if found.stepping == "schedule":
                    index, values = found.schedule
                    taken, resumes = type(schedules.get(schedules.available()[index]))(*values), True
        return _Candidate(size, step, method, taken, resumes)

    def descend(self, candidate: _Candidate, epochs: int, before: Result | None, callback: Any) -> Result:
        """Run a candidate; divergence is no reason to warn here."""
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", ConvergenceWarning)
            if self.outside:
                warnings.simplefilter("ignore", RuntimeWarning)
            return minimize(
                self._loss,
                self._data,
                x0=self._start if before is None else before,
                method=candidate.method,
                step_size=candidate.taken,
                batch_size=candidate.batch_size,
                epochs=epochs,
                callback=callback,
                **self._options,
            )

    def values(self, points: list[NDArray[Any]]) -> list[float]:
        """Return the objective at each point, infinite where it is no number."""
        if not points:
            return []
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore", RuntimeWarning)
                found = self.surface.values(np.array(points))
        except ArithmeticError:
            # Python's own numbers raise where arrays become infinite.
            found = np.full(len(points), math.inf)
        return [float(value) if math.isfinite(value) else math.inf for value in found]


class _Stretch:
    """What a candidate's epochs leave behind while they run."""

    def __init__(self, deadline: float) -> None:
        self.points: list[NDArray[Any]] = []
        self.seconds: list[float] = []
        self._deadline = deadline

    def __call__(self, epoch: Result) -> bool:
        self.points.append(epoch.x)
        self.seconds.append(epoch.seconds)
        return time.perf_counter() >= self._deadline


class _Run:
    """The candidates, round after round."""

    def __init__(
        self,
        problem: _Problem,
        candidates: list[_Candidate],
        target: float | None,
        epochs: int,
        budget: float,
        note: str,
    ) -> None:
        self._problem = problem
        self._candidates = candidates
        self._target = target
        self._epochs = epochs
        self._budget = budget
        self._deadline = time.perf_counter() + budget
        self._note = note
        self._noise_at_start: float | None = None

    def all(self, halving: bool, report: Callable[[_Candidate, float], None]) -> SweepResult:
        """Run every round and return what was measured."""
        try:
            self._noise_at_start = self._look(self._problem.surface.start, None)
            finished = self._rounds(halving, report)
        except KeyboardInterrupt:
            error = Interrupted(cast("Any", self._result(Status.interrupted)))
            error.args = ("interrupted; .result holds what was measured",)
            raise error from None
        return self._result(Status.ran_all_epochs if finished else Status.stopped)

    def _rounds(self, halving: bool, report: Callable[[_Candidate, float], None]) -> bool:
        """Return whether the time was enough."""
        going = list(self._candidates)
        done = 0
        while going and done < self._epochs:
            done = min(max(1, 2 * done), self._epochs)
            for candidate in going:
                self._advance(candidate, done)
                report(candidate, self._rate(candidate))
                if time.perf_counter() >= self._deadline:
                    measured = [len(c.objectives) == self._epochs or c.diverged or self._arrived(c) for c in going]
                    return done == self._epochs and all(measured)
            if halving and done < self._epochs:
                going = self._better_half(going)
            going = [c for c in going if not c.diverged and not self._arrived(c)]
        return True

    def _arrived(self, candidate: _Candidate) -> bool:
        return self._target is not None and candidate.reached <= self._target

    def _better_half(self, going: list[_Candidate]) -> list[_Candidate]:
        """Return who goes on: the better half, and who is so fast that equal epochs do it no justice."""
        ranked = sorted(going, key=lambda c: (not self._arrived(c), c.reached))
        cut = max(FEWEST, -(-len(ranked) // 2))
        fastest = max(self._rate(c) for c in ranked[:cut])
        fast = [c for c in ranked[cut:] if min(c.spent) > SHORT and self._rate(c) > FASTER * fastest]
        return [c for c in going if c in ranked[:cut] or c in fast]

    def _advance(self, candidate: _Candidate, epochs: int) -> None:
        """Go on to so many epochs in all, and note time and objective of each."""
        before = candidate.result if candidate.resumes else None
        more = epochs - (0 if before is None else len(candidate.objectives))
        result, failure, took = None, None, 0.0
        stretch = _Stretch(self._deadline)
        began = time.perf_counter()
        try:
            result = self._problem.descend(candidate, more, before, stretch)
        except Interrupted as stopped:
            result, failure = stopped.result, stopped
        except ArithmeticError:
            # Python's own numbers raise where arrays become infinite.
            if not self._problem.outside:
                raise
        took = time.perf_counter() - began
        spent = np.diff(stretch.seconds, prepend=0.0)
        objectives = self._objectives(candidate, stretch, result)
        exploded = result is None or result.status is Status.diverged
        if exploded and len(objectives) < more:
            # The epoch in which it happened has no end: what its batches met is all there is.
            met = [] if result is None else result.history.running_objective[len(objectives) :].tolist()
            objectives.append(met[0] if met and math.isfinite(met[0]) else math.inf)
            spent = np.append(spent, max(took - spent.sum(), 0.0))
        if failure is None and not exploded and took < SHORT:
            spent = self._fastest(candidate, more, before, spent)
        if before is not None:
            candidate.spent += spent.tolist()
            candidate.objectives += objectives
        elif len(objectives) >= len(candidate.objectives):
            candidate.spent, candidate.objectives = spent.tolist(), objectives
        candidate.result = result
        candidate.diverged = exploded or self._exploded(candidate.objectives)
        if failure is not None:
            raise failure
        candidate.noise = None
        if result is not None and not candidate.diverged:
            known = result.jac if self._problem.penalty is None or self._problem.penalty.smooth else None
            candidate.noise = self._look(result.x, known)

    def _objectives(self, candidate: _Candidate, stretch: _Stretch, result: Result | None) -> list[float]:
        """Return the objective over all rows at the end of each epoch."""
        if result is not None and result.status is Status.interrupted:
            # Whoever presses Ctrl-C should not wait for more passes.
            return cast("list[float]", result.history.running_objective[: len(stretch.points)].tolist())
        if result is None or result.status is Status.diverged:
            return self._problem.values(stretch.points)
        objectives = [*self._problem.values(stretch.points[:-1]), float(result.fun)]
        if candidate.resumes or candidate.batch_size < self._problem.rows:
            return objectives
        # A line search ends an epoch with a step that it may take back; what it returns is the best it has seen.
        return cast("list[float]", np.minimum.accumulate([self._problem.begin, *objectives])[1:].tolist())

    def _fastest(
        self, candidate: _Candidate, epochs: int, before: Result | None, spent: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Run a short stretch again, which gives the same parameters, for the least time of each epoch."""
        for _ in range(RUNS - 1):
            again = _Stretch(self._deadline)
            self._problem.descend(candidate, epochs, before, again)
            if len(again.seconds) < len(spent):
                break
            spent = np.minimum(spent, np.diff(again.seconds, prepend=0.0))
        return spent

    def _exploded(self, objectives: list[float]) -> bool:
        last = objectives[-1] if objectives else self._problem.begin
        scale = self._problem.scale
        # From an objective of zero, which has no scale, only what is no number any more is an explosion.
        return last == math.inf or (scale > 0 and last - self._problem.begin > (EXPLOSION - 1) * scale)

    def _look(self, x: NDArray[Any], gradient: NDArray[Any] | None) -> float | None:
        """Return the noise scale, None where a callable does not take single rows."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                return self._problem.noise.at(x, gradient)
        except Exception:
            if not self._problem.outside:
                raise
            return None

    def _rate(self, candidate: _Candidate) -> float:
        return self._problem.rows / max(min(candidate.spent), 1e-9)

    def _result(self, status: Status) -> SweepResult:
        begin = self._problem.begin
        measured = [c for c in self._candidates if c.objectives]
        target = self._target
        lowest = min((min(c.objectives) for c in measured if not c.diverged), default=math.inf)
        if target is None and lowest < begin:
            target = lowest + TARGET_SHARE * (begin - lowest)
        table = [self._row(candidate, target) for candidate in measured]
        of = f"{len(measured)} of {len(self._candidates)} candidates"
        message = {
            Status.interrupted: f"Interrupted: {of} were measured.",
            Status.stopped: f"The budget of {self._budget:g} s ran out: {of} were measured, not all to the end.",
        }.get(status, f"Measured {counted(len(measured), 'candidate')}.")
        return SweepResult(
            table=table,
            best=find_best(table),
            rows=self._problem.rows,
            start=begin,
            target=target,
            target_given=self._target is not None,
            noise_scale_at_start=self._noise_at_start,
            seed=self._problem.seed,
            status=status,
            message=f"{message} {self._note}".strip(),
        )

    def _row(self, candidate: _Candidate, target: float | None) -> dict[str, Any]:
        seconds = [0.0, *np.cumsum(candidate.spent).tolist()]
        objectives = [self._problem.begin, *candidate.objectives]
        return {
            "batch_size": candidate.batch_size,
            "step_size": candidate.step_size,
            "method": candidate.method,
            "rows_per_second": self._rate(candidate),
            "seconds": seconds[-1],
            "objective": objectives[-1],
            "time_to_target": None if target is None else _time_to(target, seconds, objectives),
            "noise_scale": candidate.noise,
            "diverged": candidate.diverged,
            "epochs": len(candidate.objectives),
            "curve": {"epochs": list(range(len(objectives))), "seconds": seconds, "objective": objectives},
        }


def _time_to(target: float, seconds: list[float], objectives: list[float]) -> float | None:
    """Return when the target was reached, on the chord between the two ends of that epoch."""
    if objectives[0] <= target:
        return 0.0
    for i, objective in enumerate(objectives):
        if objective <= target:
            part = (objectives[i - 1] - target) / (objectives[i - 1] - objective)
            part = part if math.isfinite(part) else 1.0
            return seconds[i - 1] + part * (seconds[i] - seconds[i - 1])
    return None


def _of(method: str | optim.Rule, sizes: list[int], rows: int) -> list[int]:
    """Return the batch sizes that a method takes."""
    return [rows] if resolve_method(method)[1] else sizes


@contextmanager
def _reporting(progress: bool | str, candidates: list[_Candidate]) -> Iterator[Callable[[_Candidate, float], None]]:
    """Give what tells of every stretch that a candidate has run."""
    if progress is False:
        yield lambda candidate, rate: None
        return

    def line(candidate: _Candidate, rate: float) -> str:
        step, method = shown_step(candidate.step_size), method_name(candidate.method)
        reached = "diverged" if candidate.diverged else f"objective {candidate.reached:.6g}"
        what = f"batch {candidate.batch_size:,}, step {step}, {method}: {reached}"
        return f"{what} after {counted(len(candidate.objectives), 'epoch')}, {rate:.3g} rows/s"

    if progress == "bar" or (progress is True and sys.stderr.isatty()):
        try:
            rich = require("rich.console", extra="cli")
        except ImportError:
            if progress == "bar":
                raise
        else:
            with rich.Console(stderr=True).status(f"measuring {len(candidates)} candidates") as status:
                yield lambda candidate, rate: status.update(line(candidate, rate))
            return
    yield lambda candidate, rate: print(line(candidate, rate), file=sys.stderr, flush=True)
