"""The one call: names to objects, checks, then the loop in the core."""

from __future__ import annotations

import math
import numbers
import operator
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepest import losses, optim, penalties, schedules
from steepest._data import FLOATS, Data, as_array, check_data, narrowed, require_finite
from steepest._outside import is_outside, outside_problem
from steepest._progress import Reporter, make_reporter
from steepest._results import ConvergenceWarning, History, Interrupted, Result, Status, views_of
from steepest._stepping import Steps, default_steps, given_steps
from steepest._threads import default_threads
from steepest._warnings import warn
from steepest.autodiff._loss import TracedLoss, TracedProblem
from steepest.objective import make_problem, resolve_loss

# Without a batch size, data of up to this many numbers is descended as a whole.
SMALL = 1 << 20
DEFAULT_BATCH = 256
PLAIN = optim.get("sgd")
MESSAGES = {
    Status.converged: "Converged: the tolerance is met.",
    Status.ran_all_epochs: "Ran the epochs asked for.",
    Status.no_progress: "Stopped for lack of progress: no bound of the optimum is within reach, but the objective fell "
    "by less than the tolerance over the last epochs.",
    Status.stopped: "Stopped by the callback.",
    Status.diverged: "Diverged: the objective grew without bound; x is the best of the epochs' ends. A smaller "
    "step_size, or none at all, should help.",
    Status.interrupted: "Interrupted: x is what was reached, fun the running objective.",
}


@dataclass(frozen=True)
class StepTolerance:
    """Stop when no parameter moves by as much as ``change`` over one epoch (A5).

    Parameters
    ----------
    change : float
        Positive, in units of the parameters.

    Examples
    --------
    >>> import steepest as st
    >>> p5 = [12.1, 12.8, 14.9, 16.3, 17.2]
    >>> result = st.minimize("mse", p5, method="gd", step_size=0.2, tol=st.StepTolerance(1e-3))
    >>> print(f"{result.x[0]:.6f} after {result.nit} updates: {result.status.name}")
    14.658511 after 18 updates: converged
    """

    change: float

    def __post_init__(self) -> None:
        if not isinstance(self.change, numbers.Real) or isinstance(self.change, bool):
            raise TypeError(f"StepTolerance takes a number, not {self.change!r}")
        if not 0 < self.change < math.inf:
            raise ValueError(f"StepTolerance takes a positive finite number, not {self.change!r}")


def minimize(
    loss: Any,
    data: Any,
    *,
    x0: Any = None,
    method: str | optim.Rule | None = None,
    step_size: float | str | schedules.Schedule | Callable[[float], float] | None = None,
    batch_size: int | None = None,
    penalty: str | penalties.Penalty | None = None,
    epochs: int | None = None,
    tol: float | StepTolerance | None = None,
    shuffle: bool | str | ArrayLike | Callable[[int], ArrayLike] = True,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = False,
    seed: int | None = None,
    n_threads: int | None = None,
    callback: Callable[[Any], bool | None] | None = None,
    history: bool | str = "running",
    progress: bool | str = False,
    check_finite: bool = True,
) -> Result:
    """Minimize the mean loss over data by batch, mini-batch or stochastic gradient descent.

    The objective is ``sum(w_i * loss_i) / sum(w_i) + penalty``.

    Parameters
    ----------
    loss : str, Loss, traced loss, or pair of callables or C function pointers
        A name of ``st.losses.available()``, an object such as ``st.losses.Huber(delta=2.0)``, a function under
        ``@st.loss``, or a loss outside the core: ``(loss_fn, grad_fn)``, Python callables of ``(theta, batch)`` that
        return means over the batch, or a C function pointer (``scipy.LowLevelCallable``, a numba ``cfunc``, ctypes).
    data : (X, y) or y
        A tuple is rows X of shape (n, d), float32 or float64 with any strides, and targets y of shape (n,). Any other
        array-like is the y of the constant model, whose only parameter is its prediction. Nothing is written to, and X
        is never copied without a ``DataCopyWarning``. Losses of K scores take labels of K classes, of any type, or y of
        shape (n, K); traced losses a tuple of arrays with the rows as axis 0.
    x0 : array_like, nested dictionary of them (for traced losses) or Result, optional
        Start; zeros by default. Losses of K scores take [W.ravel(), b] with W of shape (K, d), or W itself where there
        is no intercept. A result goes on where that run ended: its seed, its order of rows, its schedule; with steps
        from a schedule or computed beforehand, bit for bit as one longer run.
    method : str or Rule, optional
        "gd" (full batches), "sgd", or a rule of ``st.optim``. By default small data is descended as a whole and large
        data in mini-batches, until progress ends.
    step_size : float, "auto", Schedule or callable, optional
        A number, a schedule of ``st.schedules`` or a function of the time in epochs. By default it is computed: for
        full batches 1/L from the loss's curvature where that has a bound (B4), otherwise a diminishing step. "auto"
        grows and shrinks it on the way: by the decrease of the objective for full batches, by the distance gone over
        the gradients met for mini-batches.
    batch_size : int, optional
        Rows per update; the last batch of an epoch may be short, and more than n means n. Default: n for "gd", else
        256.
    penalty : Penalty or str, optional
        ``st.L2(alpha)``, ``st.L1(alpha)``, ``st.ElasticNet(alpha, l1_ratio)``; never on the intercept.
    epochs : int, optional
        Passes over the data at the most. Default: 1000 where a tolerance ends the run earlier, else 100 for full
        batches and 10 for mini-batches.
    tol : float or StepTolerance, optional
        A number is relative optimality: stop when ``fun - lower_bound <= tol * max(|fun|, 1e-6 |fun(x0)|)``; where no
        lower bound is known, stop when five epochs together lower the objective by less than that. 0 switches it off.
        With a named method the default is to run all epochs.
    shuffle : bool, "stream", "full", "once", array_like or callable
        Order of the rows, anew every epoch. True and "stream" draw each batch from 16 random places of the data at
        close to the speed of a sequential read; data that fits the caches is shuffled fully. "full" is uniform over all
        orders. "once" keeps the first full shuffle; False goes in sequence; an index array is used every epoch; a
        callable is asked with the epoch's number.
    sample_weight : array_like, shape (n,), optional
        Weights of the rows.
    fit_intercept : bool
        Whether the last parameter, or the last K for a loss of K scores, are intercepts.
    seed : int, optional
        Decides the order of rows; drawn from the system's entropy by default. ``result.seed`` tells it.
    n_threads : int, optional
        Threads at the most; the result does not depend on it.
    callback : callable, optional
        Called after every epoch with a result (``x``, ``fun``, ``epoch``, ``nit``, ``step_size``); True, or raising
        ``StopIteration``, ends the run.
    history : "running" or "exact" or bool
        "exact" computes the objective over all rows after every epoch, which costs another pass; False keeps none.
    progress : bool, "bar", "lines" or "textbook"
        True shows a bar in a terminal, lines elsewhere; "textbook" prints ``theta: 0.00 | loss: 218.76`` as the sources
        do.
    check_finite : bool
        Whether X is searched for NaN and infinities before the work; otherwise they are noticed on the way.

    Returns
    -------
    Result
        SciPy's ``OptimizeResult`` with ``coef``, ``intercept``, ``history``, ``seed`` and ``predict(X)``.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, the offending value and row, and what would be right.
    Interrupted
        On Ctrl-C, with the ``.result`` reached.

    Warns
    -----
    ConvergenceWarning
        When ``success`` is False.

    Examples
    --------
    >>> import steepest as st
    >>> p5 = [12.1, 12.8, 14.9, 16.3, 17.2]
    >>> print(st.minimize("mse", p5).x.round(3))
    [14.66]
    >>> X, y = st.data.logistic(1000, 5, seed=0)
    >>> result = st.minimize("log_loss", (X, y), penalty=st.L2(1e-3), batch_size=64, epochs=20, seed=0)
    >>> result.success, result.coef.shape
    (True, (5,))
    """
    before = x0 if isinstance(x0, Result) and "state" in x0 else None  # what a search found is but a point
    start = _start_of(x0) if isinstance(x0, Result) else x0
    penalty = penalties.resolve(penalty)
    rule, full = _resolve_method(method)
    max_epochs = _count(epochs, "epochs") if epochs is not None else None
    step_tolerance, tolerance = _resolve_tolerance(tol)
    seed = _resolve_seed(seed, before)
    exact = _resolve_history(history)
    threads = None if n_threads is None else _count(n_threads, "n_threads")
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable, not {callback!r}")

    model = _make_model(loss, data, start, penalty, sample_weight, fit_intercept, check_finite)
    n = model.rows
    size = _resolve_batch_size(batch_size, n, full, method is None and model.numbers <= SMALL)
    full = size == n
    if threads is None:
        threads = default_threads() if model.numbers >= SMALL // 8 else 1
    if tol is None and method is None and max_epochs is None:
        tolerance, max_epochs = (1e-8, 10_000) if full else (1e-3, 100)
    if max_epochs is None:
        max_epochs = 1000 if tolerance > 0 or step_tolerance >= 0 else 100 if full else 10

    asked = isinstance(step_size, str)
    steps = given_steps(step_size, rule.lr) or default_steps(
        model.loss, model.data, penalty, fit_intercept, size, searching=asked or method is None, asked=asked
    )
    if model.traced is not None and not full and steps.stepping == "line_search":
        steps = Steps("distance", (0, (1.0,)))
    if isinstance(loss, TracedLoss) and loss.whole_batch:
        if isinstance(shuffle, str) and shuffle == "stream":
            raise ValueError('shuffle="stream" hands out batches in pieces; this loss needs them whole: use "full"')
        shuffle = "full" if shuffle is True else shuffle
    reporter = make_reporter(progress, max_epochs, n, model.start)
    watcher = _Watcher(callback, reporter) if callback is not None or reporter is not None else None
    state = _state(rule, model, before)
    try:
        outcome, failure = model.problem.fit(
            model.start,
            state,
            _resolve_order(shuffle, n),
            seed,
            (rule._index, rule._values),
            None if penalty is None else (penalty._index, penalty._values),
            steps.stepping,
            steps.schedule,
            size,
            max_epochs,
            0 if before is None else before.epochs,
            0 if before is None else before.nit,
            step_tolerance,
            tolerance,
            penalties.strong_convexity(penalty, fit_intercept) if model.loss is not None else 0.0,
            exact,
            watcher,
            threads,
            history is not False,
        )
    finally:
        if reporter is not None:
            reporter.close()
    if failure is not None:
        outcome["status"] = Status.interrupted.name
    result = _make_result(outcome, model, seed, history is not False, limited=tolerance > 0 or step_tolerance >= 0)
    if before is not None:
        result.nfev += before.nfev
    if failure is not None:
        _raise(failure, model, result)
    if not result.success:
        warn(result.message, ConvergenceWarning)
    return result


class _Model(NamedTuple):
    """A problem of the core with what is known about it."""

    problem: Any
    rows: int
    numbers: int
    start: NDArray[Any]
    features: int
    loss: losses.Loss | None
    data: Data | None
    owner: Any
    shape: tuple[int, ...]
    traced: TracedProblem | None = None


def _make_model(
    loss: Any,
    data: Any,
    start: Any,
    penalty: penalties.Penalty | None,
    sample_weight: ArrayLike | None,
    fit_intercept: bool,
    check_finite: bool,
) -> _Model:
    if is_outside(loss):
        if sample_weight is not None:
            raise ValueError("sample_weight does not go with a loss outside the core: weigh inside the callable")
        if fit_intercept:
            raise ValueError("fit_intercept does not go with a loss outside the core: make it a parameter")
        if check_finite:
            for i, part in enumerate(data if isinstance(data, tuple) else (data,)):
                array = np.asarray(part)
                if array.dtype in FLOATS and array.ndim and array.size:
                    require_finite(array.reshape(len(array), -1), f"data[{i}]" if isinstance(data, tuple) else "data")
        problem, owner = outside_problem(loss, data, start)
        x = np.array(0.0 if start is None else start, dtype=np.float64).ravel()
        _check_start(x, problem.parameters)
        shape = np.shape(start) if start is not None else ()
        return _Model(problem, problem.rows, problem.rows, x, x.size, None, None, owner, shape)
    if isinstance(loss, TracedLoss):
        if fit_intercept:
            raise ValueError("fit_intercept does not go with a traced loss: make it a parameter")
        traced = loss.problem(data, start, sample_weight, check_finite)
        problem, x = traced.problem, traced.start
        _check_start(x, traced.layout.size)
        return _Model(problem, problem.rows, traced.numbers, x, x.size, None, None, None, traced.layout.shape, traced)
    resolved = resolve_loss(loss)
    checked = check_data(resolved, data, sample_weight, fit_intercept, check_finite)
    problem = make_problem(resolved, checked, fit_intercept)
    dtype = checked.y.dtype
    if start is None:
        x = np.zeros(problem.parameters, dtype=dtype)
    else:
        x = as_array(start, "x0")
        if x.dtype.kind not in "biuf":
            raise TypeError(f"x0 must hold real numbers; its dtype is {x.dtype}")
        if checked.scores and x.ndim > 1 and (fit_intercept or tuple(x.shape) != (checked.scores, checked.width)):
            W = f"W of shape ({checked.scores}, {checked.width})"
            raise ValueError(
                f"x0 has shape {x.shape}; this problem takes {'[W.ravel(), b]' if fit_intercept else 'W'} with {W}"
            )
        x = narrowed(x, dtype).ravel()
        _check_start(x, problem.parameters)
    features = max(1, checked.scores) * checked.width
    return _Model(problem, problem.rows, problem.rows * checked.width, x, features, resolved, checked, None, x.shape)


def _start_of(result: Result) -> Any:
    """Return where a run ended, in the shape or structure that its parameters had."""
    return result["params"] if "params" in result else result.x.reshape(result.x_shape)


def _check_start(x: NDArray[Any], parameters: int) -> None:
    if x.size != parameters:
        raise ValueError(f"x0 has {x.size} parameters, the problem has {parameters}")
    finite = np.isfinite(x)
    if not finite.all():
        raise ValueError(f"x0 holds {x[~finite][0]} at position {int((~finite).argmax())}")


def _resolve_method(method: Any) -> tuple[optim.Rule, bool]:
    """Return the rule, and whether batches are all rows."""
    if isinstance(method, optim.Rule):
        return method, False
    if method is None:
        return PLAIN, False
    if not isinstance(method, str):
        raise TypeError(f"method must be a name or a rule such as st.optim.SGD(), not {method!r}")
    if method.lower() == "gd":
        return PLAIN, True
    try:
        return optim.get(method), False
    except ValueError:
        names = ", ".join(sorted((*optim.available(), "gd")))
        raise ValueError(f"unknown method {method!r}; there are: {names}") from None


def _count(value: Any, name: str) -> int:
    """Return a positive whole number."""
    try:
        count = operator.index(value)
    except TypeError:
        count = None
    if count is None or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if count < 1:
        raise ValueError(f"{name} must be at least 1, not {count}")
    return count


def _resolve_batch_size(batch_size: int | None, n: int, full: bool, small: bool) -> int:
    if batch_size is None:
        return n if full or small else min(DEFAULT_BATCH, n)
    size = min(_count(batch_size, "batch_size"), n)
    if full and size < n:
        raise ValueError(f'method="gd" takes all {n} rows in a batch; batch_size={batch_size} goes with method="sgd"')
    return size


def _resolve_tolerance(tol: Any) -> tuple[float, float]:
    """Return the step tolerance (negative: none) and the relative one (0: none)."""
    if tol is None:
        return -1.0, 0.0
    if isinstance(tol, StepTolerance):
        return tol.change, 0.0
    if not isinstance(tol, numbers.Real) or isinstance(tol, bool):
        raise TypeError(f"tol must be a number or st.StepTolerance(...), not {tol!r}")
    if not 0 <= float(tol) < math.inf:
        raise ValueError(f"tol must be finite and not negative, not {tol!r}")
    return -1.0, float(tol)


def _resolve_seed(seed: Any, before: Result | None) -> int:
    if seed is None:
        return int(before.seed) if before is not None else int.from_bytes(os.urandom(8), "little") >> 1
    try:
        number = operator.index(seed)
    except TypeError:
        number = None
    if number is None or isinstance(seed, bool):
        raise TypeError(f"seed must be a whole number or None, not {seed!r}")
    if not 0 <= number < 1 << 64:
        raise ValueError(f"seed must lie in [0, 2**64), not {number}")
    return number


def _resolve_history(history: Any) -> bool:
    if not isinstance(history, (bool, np.bool_)) and history not in ("running", "exact"):
        raise ValueError(f'history must be "running", "exact" or a bool, not {history!r}')
    return bool(history == "exact")


def _resolve_order(shuffle: Any, n: int) -> Any:
    """Return an order's name, or a callable that gives checked index arrays."""
    if shuffle is True or shuffle is False or isinstance(shuffle, str):
        name = shuffle if isinstance(shuffle, str) else "stream" if shuffle else "sequence"
        if name not in ("full", "stream", "once", "sequence") or shuffle == "sequence":
            raise ValueError(
                f'shuffle must be a bool, "stream", "full", "once", an index array or a callable, not {shuffle!r}'
            )
        if name != "sequence" and n >= 1 << 32:
            raise ValueError(f"shuffle={shuffle!r} reaches 2**32 - 1 rows; these {n} rows need shuffle=False")
        return name
    if callable(shuffle):
        return lambda epoch: _checked_order(shuffle(epoch), n)
    given = _checked_order(shuffle, n)
    return lambda epoch: given


def _checked_order(order: Any, n: int) -> NDArray[np.uint32]:
    """Return an order of rows that visits each exactly once."""
    index = np.asarray(order)
    if index.ndim != 1 or index.dtype.kind not in "iu":
        raise TypeError(f"an order of rows must be a 1-D array of whole numbers, not {order!r:.60}")
    if len(index) != n:
        raise ValueError(f"an order of rows must name each of the {n} rows once; it has {len(index)} entries")
    if index.min() < 0 or index.max() >= n:
        wrong = int(((index < 0) | (index >= n)).argmax())
        raise ValueError(f"an order of rows names row {index[wrong]} at position {wrong}; rows are 0 to {n - 1}")
    seen = np.zeros(n, dtype=bool)
    seen[index] = True
    if not seen.all():
        raise ValueError(f"an order of rows must name each row once; row {int(seen.argmin())} is missing")
    return np.ascontiguousarray(index, dtype=np.uint32)


def _state(rule: optim.Rule, model: _Model, before: Result | None) -> NDArray[Any]:
    """Return the rule's vectors: those of the run this one goes on from, or zeros."""
    size = rule.state_vectors * model.start.size
    if before is not None and before.state.size == size:
        return cast("NDArray[Any]", before.state.astype(model.start.dtype))
    return np.zeros(size, dtype=model.start.dtype)


class _Watcher:
    """Stands between the core's epochs and the user's callback and progress."""

    def __init__(self, callback: Callable[[Any], Any] | None, reporter: Reporter | None) -> None:
        self._callback = callback
        self._reporter = reporter

    def __call__(
        self, epoch: int, running: float, exact: float, step: float, seconds: float, updates: int, x: NDArray[Any]
    ) -> bool:
        fun = running if math.isnan(exact) else exact
        if self._reporter is not None:
            self._reporter.epoch(epoch, fun, seconds, x)
        if self._callback is None:
            return False
        try:
            answer = self._callback(Result(x=x, fun=fun, epoch=epoch, nit=updates, step_size=step, seconds=seconds))
        except StopIteration:
            return True
        if answer is None or isinstance(answer, (bool, np.bool_)):
            return bool(answer)
        raise TypeError(f"callback must return True, False or None, not {answer!r}")


def _make_result(outcome: dict[str, Any], model: _Model, seed: int, keep_history: bool, limited: bool) -> Result:
    status, x = Status[outcome["status"]], outcome["x"]
    ended_early = (Status.converged, Status.no_progress, Status.stopped)
    success = status in ended_early or (status is Status.ran_all_epochs and not limited)
    message = MESSAGES[status]
    if status is Status.diverged and outcome["nit"] == 0:
        message = "The objective is not finite at the start: the numbers in the data or x0 are too large."
    if status is Status.ran_all_epochs and limited:
        message = "The tolerance was not met within the epochs allowed; more epochs or another step_size may help."
    columns = outcome["history"]
    history = History(
        epoch=columns[0].astype(np.int64),
        running_objective=columns[1],
        objective=columns[2],
        step_size=columns[3],
        seconds=columns[4],
    )
    fun, jac = outcome["fun"], outcome["jac"]
    if status is Status.interrupted:
        fun, jac = columns[1][-1] if columns.size else math.nan, np.full_like(jac, math.nan)
    scores, width = (0, 1) if model.data is None else (model.data.scores, model.data.width)
    coef, intercept = views_of(x, model.features, scores, width)
    layout = model.traced.layout if model.traced is not None and model.traced.layout.nested else None
    return Result(
        x=x,
        x_shape=model.shape,
        fun=fun,
        jac=jac,
        coef=coef,
        intercept=intercept,
        nit=outcome["nit"],
        nfev=outcome["nfev"],
        epochs=outcome["epochs"],
        success=success,
        status=status,
        message=message,
        history=history if keep_history else None,
        seed=seed,
        constant=model.data is not None and model.data.X is None,
        classes=None if model.data is None else model.data.classes,
        gap=outcome["gap"] if math.isfinite(outcome["gap"]) else None,
        state=outcome["state"],
        **({} if layout is None else {"params": layout.unflat(x)}),
    )


def _raise(failure: Any, model: _Model, result: Result) -> None:
    """Raise what stopped the loop; Ctrl-C carries what was reached."""
    error = model.owner.exception if isinstance(failure, str) else failure
    if isinstance(error, KeyboardInterrupt) and not isinstance(error, Interrupted):
        raise Interrupted(result) from None
    raise error
