"""SciPy's methods over the core's value, gradient and Hessian: the same result, stops and errors as the loop has."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from steepest import penalties
from steepest._data import require_finite_rows
from steepest._gap_penalties import Bounded, Elastic, conjugate_of, scipy_takes
from steepest._model import Model
from steepest._outcome import Outcome, make_result, raise_failure
from steepest._outside import evaluate
from steepest._precondition import Plain, Split, View, rounded
from steepest._progress import Watcher, make_reporter
from steepest._results import Result, Status
from steepest._threads import one_blas_thread
from steepest.methods import BOUNDED, SciPyMethod
from steepest.objective import hessian_product

Array = NDArray[np.float64]
Bound = Callable[[Array, float, Array], float]

MOST_ITERATIONS = 15_000
PATIENCE = 5  # iterations over which progress is judged


@dataclass(frozen=True)
class Limits:
    """When to stop; `bound` returns an upper bound of the gap at (x, objective, gradient), infinity where none is."""

    iterations: int | None
    step_tolerance: float
    tolerance: float
    bound: Bound | None
    patience: int = 0  # iterations without a better loss of the held-out rows; 0: never


class _Stop(Exception):
    """Ends a run from within: not StopIteration, which only some of SciPy's methods let through."""


class _Restart(Exception):
    """Lets a method begin anew where it is, with a fresh memory."""


def minimize_by_scipy(
    method: SciPyMethod,
    model: Model,
    penalty: penalties.Penalty | None,
    limits: Limits,
    before: Result | None,
    seed: int,
    callback: Callable[[Any], Any] | None,
    progress: Any,
    keep_history: bool,
) -> Result:
    """Run a method to a result as `minimize` returns it, with its exceptions; `minimize` adds the gap and warns."""
    most = method.options.get("maxiter")
    if most is not None and limits.iterations is not None:
        raise ValueError(f"iterations are limited twice: epochs={limits.iterations} and maxiter={most} of the method")
    iterations = most or limits.iterations or MOST_ITERATIONS
    reporter = make_reporter(progress, iterations, model.rows, model.start)
    watcher = Watcher(callback, reporter) if callback is not None or reporter is not None else None
    smooth = SmoothObjective(model, penalty)
    _check(method, model, penalty, smooth)
    run = _Run(smooth, limits, watcher, model.start)
    try:
        failure, message = run.through(
            method, iterations, lambda: rounded(method, model, penalty, limits.tolerance > 0)
        )
    finally:
        if reporter is not None:
            reporter.close()
    outcome = run.outcome(before)
    if failure is not None:
        outcome = outcome._replace(status=Status.interrupted.name)
    asked = limits.iterations is not None and limits.tolerance == 0 and limits.step_tolerance < 0
    result = make_result(outcome, model, method, seed, keep_history, not asked, limits.patience)
    if message is not None and result.status is not Status.diverged:
        result["message"] = _in_plain_words(message, smooth.dtype, model)
    if result.status is Status.no_progress and message is not None:
        result["success"] = run.is_flat()
    if failure is not None:
        raise_failure(failure, model, result)
    return result


def _in_plain_words(message: str, dtype: np.dtype[Any], model: Model) -> str:
    """Return what SciPy said, with what it means where that is but a word."""
    if not message.startswith("ABNORMAL"):
        return message
    loss = model.loss
    why = f"a kink of {loss.name}" if loss is not None and not loss.smooth else f"the limit of {dtype}'s rounding"
    return f"The line search found no lower point, which is usually {why} (SciPy says {message})"


class SmoothObjective:
    """The loss and the smooth part of the penalty in float64; the rest is `l1` or `bounds`, None where it is not.

    Of groups and balls it has all, which is to look at, not to descend: `_check` keeps SciPy's methods from them.
    """

    def __init__(self, model: Model, penalty: penalties.Penalty | None) -> None:
        self._model = model
        self._penalty = penalty
        self.penalised = model.features
        self.dtype = model.start.dtype
        rough = None if penalty is None or penalty.smooth else conjugate_of(penalty)
        self.l1 = rough.l1 if isinstance(rough, Elastic) else None
        self.bounds = (rough.lower, rough.upper) if isinstance(rough, Bounded) else None
        self.inside = model.owner is None  # the core evaluates the loss, not a callable that may want BLAS

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        at = x.astype(self.dtype)
        problem, owner = self._model.problem, self._model.owner
        if owner is None:
            value, gradient = problem.value_and_gradient(at)
        else:
            value, gradient = evaluate(owner, problem.value_and_gradient, at)
        if self._penalty is not None:
            w = x[: self.penalised]
            value += self._penalty.value(w) - self.kinks(x)
            gradient[: self.penalised] += self._penalty.smooth_gradient(w)
        return float(value), gradient

    def held_out_loss(self, x: Array) -> float:
        """Return the mean loss of the held-out rows, NaN where there are none."""
        problem, owner = self._model.held_out, self._model.held_out_owner
        if problem is None:
            return math.nan
        at = x.astype(self.dtype)
        return float(problem.value(at) if owner is None else evaluate(owner, problem.value, at))

    def hessp(self, x: Array, v: Array) -> Array:
        product = hessian_product(self._model.problem, x.astype(self.dtype), v, again=True)
        if self._penalty is not None:
            product[: self.penalised] += self._bends * v[: self.penalised]
        return product

    @cached_property
    def _bends(self) -> Array:
        """What the penalty bends by in each coefficient, for every product anew."""
        assert self._penalty is not None
        return self._penalty.bends

    def kinks(self, x: Array) -> float:
        """Return the part of the objective that is not smooth."""
        return 0.0 if self.l1 is None else float(self.l1 @ np.abs(x[: self.penalised]))


def _view_of(smooth: SmoothObjective, parameters: int) -> View:
    """Return how SciPy's method sees parameters that it searches as they are."""
    if smooth.l1 is not None:
        return Split(smooth.l1, parameters)
    if smooth.bounds is None:
        return Plain(None)
    return Plain([*zip(*smooth.bounds, strict=True), *[(None, None)] * (parameters - smooth.penalised)])


def _check(method: SciPyMethod, model: Model, penalty: penalties.Penalty | None, smooth: SmoothObjective) -> None:
    if not scipy_takes(penalty):
        raise ValueError(
            f"{penalty!r} has kinks that SciPy's methods do not know: take a rule of st.optim, which uses its proximal "
            'step, or "saga" or "svrg"'
        )
    if not (smooth.l1 is None and smooth.bounds is None) and not method.bounded:
        raise ValueError(
            f"{method.name} needs a smooth objective, and {penalty!r} has kinks: take one of {', '.join(BOUNDED)}, "
            "which meets them by bounds, or a rule of st.optim"
        )
    if not method.second_order:
        return
    if model.owner is not None:
        raise ValueError(f"{method.name} needs second derivatives, and this loss has none: take L-BFGS-B")
    if model.loss is not None and not model.loss.smooth:
        raise ValueError(f"{method.name} needs second derivatives, and {model.loss.name} has kinks: take L-BFGS-B")


def _never(method: SciPyMethod) -> dict[str, float]:
    """Return SciPy's tolerances such that only rounding ends a run, where others decide."""
    if method.name == "L-BFGS-B":
        return {"gtol": 0.0, "ftol": 0.0}
    return {"xtol" if method.name == "Newton-CG" else "gtol": 0.0}


class _Run:
    """What is met on the way."""

    def __init__(
        self,
        smooth: SmoothObjective,
        limits: Limits,
        watcher: Callable[..., bool] | None,
        start: NDArray[Any],
    ) -> None:
        self._smooth = smooth
        self._view = _view_of(smooth, start.size)
        self._limits = limits
        self._watcher = watcher
        self.x: Array = start.astype(np.float64)
        self._fun, self._jac = math.nan, np.full(self.x.size, math.nan)
        self._scale = 0.0
        self._evaluations = 0
        self._seen: dict[bytes, tuple[float, Array]] = {}  # the last few points: the accepted is one of them
        self._best: list[float] = []
        self._restarted = math.inf  # the objective where the method last began anew
        self._iterations = MOST_ITERATIONS
        self._rows: list[tuple[float, ...]] = []
        self._started = time.perf_counter()
        self._status = Status.ran_all_epochs
        self._held_out, self._best_epoch, self._best_x = math.inf, 0, self.x

    def through(
        self, method: SciPyMethod, iterations: int, rounded_view: Callable[[], View | None]
    ) -> tuple[BaseException | None, str | None]:
        """Run SciPy's method; return what stopped it, and what SciPy said in the end.

        Another view of the parameters is made on the way: it reads the rows, and Ctrl-C may stop that.
        """
        self._iterations = iterations
        options: dict[str, Any] = {**method.options, "maxiter": iterations}
        options.pop("precondition", None)
        if self._limits.tolerance > 0 or self._limits.step_tolerance >= 0:
            options |= _never(method)
        if method.name == "L-BFGS-B":
            options["maxfun"] = 20 * iterations
        if self._smooth.bounds is not None:
            k = self._smooth.penalised
            self.x[:k] = np.clip(self.x[:k], *self._smooth.bounds)
        try:
            self.begin()
            self._view = rounded_view() or self._view
            bounds, start = self._view.bounds, self._view.of(self.x)
            with warnings.catch_warnings(), one_blas_thread() if self._smooth.inside else nullcontext():
                # What SciPy warns of ends in the status.
                warnings.filterwarnings("ignore", module="scipy")
                warnings.filterwarnings("ignore", category=scipy.optimize.OptimizeWarning)
                found, reached = None, math.inf
                while found is None or self._deserves_more(
                    found, bounds, iterations, method.options.get("gtol", 1e-5), reached
                ):
                    if found is not None:
                        reached, start = found.fun, found.x
                    options["maxiter"] = iterations - len(self._rows)
                    try:
                        found = scipy.optimize.minimize(
                            self.evaluate_seen,
                            start,
                            jac=True,
                            method=method.name,
                            hessp=self.hessp if method.second_order else None,
                            bounds=bounds,
                            callback=self.after_iteration,
                            options=options,
                        )
                    except _Restart:
                        found, reached, start = None, math.inf, self._view.of(self.x)
            self.end(found)
            self._restore()
        except _Stop:
            self._restore()
            return None, None
        except BaseException as error:
            return error, None
        return None, None if self._status is Status.ran_all_epochs else str(found.message).rstrip(": ")

    def _deserves_more(self, found: Any, bounds: Any, iterations: int, gtol: float, reached: float) -> bool:
        """Tell whether a run is to go on with a fresh memory where it stopped.

        A step that a bound cuts short lowers the objective by next to nothing, which L-BFGS-B takes for convergence.
        """
        if bounds is None or not found.success or len(self._rows) >= iterations:
            return False
        low, high = (np.array([np.nan if end is None else end for end in ends]) for ends in zip(*bounds, strict=True))
        inside = np.fmin(np.fmax(found.x - found.jac, low), high)
        flat = np.abs(found.x - inside).max() <= gtol
        return not flat and found.fun < reached - 1e-12 * abs(found.fun)

    def is_flat(self) -> bool:
        """Tell whether the gradient is as small as rounding lets it become, kinks of L1 counted."""
        k, l1 = self._smooth.penalised, self._smooth.l1
        slope, w = self._jac.copy(), self.x[:k]
        if l1 is not None:
            slope[:k] = np.where(w == 0, np.maximum(np.abs(slope[:k]) - l1, 0), slope[:k] + l1 * np.sign(w))
        if self._smooth.bounds is not None:
            slope[:k] = w - np.clip(w - slope[:k], *self._smooth.bounds)
        return bool(np.abs(slope).max() <= math.sqrt(np.finfo(self._smooth.dtype).eps) * max(1.0, abs(self._fun)))

    def begin(self) -> None:
        """Evaluate the start."""
        value, gradient = self.evaluate(self.x)
        self._fun, self._jac = value + self._smooth.kinks(self.x), gradient
        self._scale = abs(self._fun)
        if not math.isfinite(self._fun):
            data = self._smooth._model.data
            if data is not None and data.X is not None:
                require_finite_rows(data.X)
            self._status = Status.diverged
            raise _Stop
        self._validate(0)

    def _validate(self, iteration: int) -> float:
        """Return the loss of the held-out rows at x, remembered where it is the best yet."""
        loss = self._smooth.held_out_loss(self.x)
        if loss < self._held_out:
            self._held_out, self._best_epoch, self._best_x = loss, iteration, self.x
        return loss

    def _restore(self) -> None:
        """Go back to the best point, where there was patience for finding it."""
        if self._limits.patience:
            self.x = self._best_x
            value, self._jac = self.evaluate(self.x)
            self._fun = value + self._smooth.kinks(self.x)

    def evaluate(self, x: Array) -> tuple[float, Array]:
        key = x.tobytes()
        if key not in self._seen:
            self._evaluations += 1
            if len(self._seen) > 3:
                del self._seen[next(iter(self._seen))]
            self._seen[key] = self._smooth.value_and_gradient(x)
        value, gradient = self._seen[key]
        return value, gradient.copy()

    def evaluate_seen(self, u: Array) -> tuple[float, Array]:
        return self._view.seen(u, *self.evaluate(self._view.x(u)))

    def hessp(self, u: Array, v: Array) -> Array:
        self._evaluations += 1
        return self._view.seen(v, 0.0, self._smooth.hessp(self._view.x(u), self._view.x(v)))[1]

    def after_iteration(self, u: Array) -> None:
        before, self.x = self.x, self._view.x(u)
        value, self._jac = self.evaluate(self.x)
        self._fun = value + self._smooth.kinks(self.x)
        number, seconds = len(self._rows) + 1, time.perf_counter() - self._started
        validation = self._validate(number)
        self._rows.append((number, self._fun, self._fun, math.nan, seconds, validation))
        if self._watcher is not None:
            at = self.x.astype(self._smooth.dtype)
            if self._watcher(number, self._fun, self._fun, math.nan, seconds, number, at, validation):
                self._stop(Status.stopped)
        if np.abs(self.x - before).max() < self._limits.step_tolerance:
            self._stop(Status.converged)
        if self._limits.tolerance > 0:
            self._judge()
        if 0 < self._limits.patience <= number - self._best_epoch:
            self._stop(Status.early_stopped)

    def _judge(self) -> None:
        allowed = self._limits.tolerance * max(abs(self._fun), 1e-6 * self._scale)
        hardly = allowed
        if self._limits.bound is not None:
            gap = self._limits.bound(self.x, self._fun, self._jac)
            if gap <= allowed:
                self._stop(Status.converged)
            if math.isfinite(gap):
                hardly = min(allowed, float(np.finfo(self._smooth.dtype).eps) * abs(self._fun))
        self._best.append(min(self._fun, self._best[-1]) if self._best else self._fun)
        if len(self._best) > PATIENCE and self._best[-1 - PATIENCE] - self._best[-1] <= hardly:
            # Bounds that cut steps short spoil the memory, not the point.
            gained = self._best[-1] < self._restarted - hardly
            if gained and self._view.bounds is not None and len(self._rows) < self._iterations:
                self._restarted = self._best[-1]
                self._best.clear()
                raise _Restart
            self._stop(Status.no_progress)

    def _stop(self, status: Status) -> None:
        self._status = status
        raise _Stop

    def end(self, found: Any) -> None:
        """Take over what SciPy returned."""
        self.x = self._view.x(found.x)
        value, self._jac = self.evaluate(self.x)
        self._fun = value + self._smooth.kinks(self.x)
        if not math.isfinite(self._fun):
            self._status = Status.diverged
        elif found.success:
            # A relative tolerance is met by a bound of the gap alone, which is looked at once more when all is over.
            self._status = Status.no_progress if self._limits.tolerance > 0 else Status.converged
        elif found.status != 1:
            self._status = Status.no_progress

    def outcome(self, before: Result | None) -> Outcome:
        """Return what was reached, as the core tells it of its loop."""
        epochs, updates, evaluations = (0, 0, 0) if before is None else (before.epochs, before.nit, before.nfev)
        columns = np.array(self._rows, dtype=np.float64).reshape(-1, 6).T
        return Outcome(
            x=self.x.astype(self._smooth.dtype),
            state=np.zeros(0, dtype=self._smooth.dtype),
            fun=self._fun,
            jac=self._jac,
            gap=math.inf,
            status=self._status.name,
            what_stopped="The objective was no finite number where the search ended",
            epochs=epochs + len(self._rows),
            best_epoch=epochs + self._best_epoch,
            nit=updates + len(self._rows),
            nfev=evaluations + self._evaluations,
            history=(columns[0].astype(np.int64), *columns[1:]),
        )
