"""The one call: names to objects, checks, then the loop in the core."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from steepest import methods, optim, penalties, schedules
from steepest._arguments import (
    SMALL,
    StepTolerance,
    positive_count,
    resolve_batch_size,
    resolve_history,
    resolve_method,
    resolve_order,
    resolve_patience,
    resolve_seed,
    resolve_tolerance,
)
from steepest._class_weights import class_positions
from steepest._gap import GapWatch, add_gap, make_dual
from steepest._model import Model, make_model, start_of
from steepest._outcome import Outcome, make_result, raise_failure
from steepest._progress import Watcher, make_reporter
from steepest._reduction import reduced_batch_size, reduced_steps, reduction_of
from steepest._results import ConvergenceWarning, Result, Status
from steepest._scipy import Limits, minimize_by_scipy
from steepest._sizes import scale_of
from steepest._stepping import Steps, given_steps, steps_for
from steepest._threads import default_threads
from steepest._warnings import warn
from steepest.autodiff._loss import TracedLoss


def minimize(
    loss: Any,
    data: Any,
    *,
    x0: Any = None,
    method: str | optim.Rule | methods.Method | None = None,
    step_size: float | str | schedules.Schedule | Callable[[float], float] | None = None,
    batch_size: int | None = None,
    penalty: str | penalties.Penalty | None = None,
    epochs: int | None = None,
    tol: float | StepTolerance | None = None,
    validation: float | ArrayLike | slice | tuple[Any, ...] | None = None,
    patience: int | None = None,
    shuffle: bool | str | ArrayLike | Callable[[int], ArrayLike] = True,
    sample_weight: ArrayLike | None = None,
    rows: ArrayLike | slice | None = None,
    class_weight: str | Mapping[Any, float] | None = None,
    fit_intercept: bool = False,
    normalize: bool | str | float = False,
    groups: ArrayLike | Sequence[ArrayLike] | None = None,
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
        A tuple is rows X of shape (n, d) and targets y of shape (n,). Dense rows have any strides: float32 and float64
        are computed with as they are; bool, 8- and 16-bit integers, float16 and bfloat16 are read as they are stored
        and computed with in float32; ``st.data.scaled`` lets them be seen scaled. Sparse rows are SciPy's CSR
        (``csr_array``, ``csr_matrix``, indices of 32 or 64 bits); other formats are converted with a
        ``DataCopyWarning``. Tables of pandas, polars and Arrow are read in place where their columns lie evenly in
        memory; rows and y meet by position, whatever an index says. Any other array-like is the y of the constant
        model, whose only parameter is its prediction. Nothing is written to, and no more than a megabyte of X is copied
        without a ``DataCopyWarning``. Losses of K scores take labels of K classes, of any type (numbers whole), or y of
        shape (n, K); traced losses a tuple of arrays with the rows as axis 0.
    x0 : array_like, nested dictionary of them (for traced losses) or Result, optional
        Start; zeros by default. Losses of K scores take [W.ravel(), b] with W of shape (K, d), or W itself where there
        is no intercept. A result goes on where that run ended: its seed, its order of rows, its schedule; with steps
        from a schedule or computed beforehand, bit for bit as one longer run. Not so "saga" and "svrg", which begin
        anew from there: a result does not hold the gradients that they remember.
    method : str, Rule or Method, optional
        "gd" (full batches), "sgd", a rule of ``st.optim``, or a method of ``st.methods``, as a name or an object. For
        SciPy's, such as "L-BFGS-B", an epoch is an iteration, and without ``tol`` SciPy decides when to stop; where a
        numeric ``tol`` does, they are preconditioned by the columns' Gram matrix if it is worth it. By default small
        data is descended as a whole and large data in mini-batches, until progress ends.
    step_size : float, "auto", Schedule or callable, optional
        A number, a schedule of ``st.schedules`` or a function of the time in epochs. By default rules with a
        ``default_lr`` take that; for the others it is computed: for full batches 1/L from the loss's curvature where
        that has a bound (B4), for "saga" and "svrg" 1/(3L) with the L of a batch, otherwise a diminishing step. "auto"
        grows and shrinks it on the way: by the decrease of the objective for full batches, by the distance gone over
        the gradients met for mini-batches.
    batch_size : int, optional
        Rows per update; the last batch of an epoch may be short, and more than n means n. Default: n for "gd", at most
        a 64th of the rows for "saga" and "svrg", else 256.
    penalty : Penalty or str, optional
        ``st.L2(alpha)``, ``st.L1(alpha)``, ``st.ElasticNet(alpha, l1_ratio)``, or another of ``st.penalties``; never on
        the intercept. Where a constraint forbids the start, its projection is taken.
    epochs : int, optional
        Passes over the data at the most. Default: 1000 where a tolerance ends the run earlier, else 100 for full
        batches and 10 for mini-batches.
    tol : float or StepTolerance, optional
        A number is relative optimality: stop when ``fun - lower_bound <= tol * max(|fun|, 1e-6 |fun(x0)|)``; where no
        lower bound is known, stop when five epochs together lower the objective by less than that. 0 switches it off.
        With a named method the default is to run all epochs.
    validation : float, array_like, slice or tuple, optional
        Rows held out to judge by: a fraction of the rows, drawn at random by the seed, class by class where there are
        classes; an array of their positions, a mask or a slice; or other data as a tuple, (X, y) or
        (X, y, sample_weight), (y,) for the constant model, whose X ``normalize`` normalises, and which is else taken as
        it is: as ``st.data.scaled`` where that of the data is. After every epoch ``history.validation`` gets their
        mean loss, weighed as the others are, without the penalty. Nothing is copied. Rows given by position are not
        trained on, whether or not ``rows`` names them.
    patience : int, optional
        Stop after so many epochs in a row without a better validation loss. ``x`` is then that of the best epoch,
        however the run ended.
    shuffle : bool, "stream", "full", "once", "stratified", array_like or callable
        Order of the rows, anew every epoch. True and "stream" draw each batch from 16 random places of the data, or 8
        of sparse data, at close to the speed of a sequential read; data that fits the caches is shuffled fully. "full"
        is uniform over all orders. "stratified" is too, within each class, and gives every batch its share of every
        class, rounded down or up (C3); "full" and "stream" do so on average. "once" keeps the first full shuffle; False
        goes in sequence; an index array of the rows that are trained on is used every epoch; a callable is asked with
        the epoch's number.
    sample_weight : array_like, shape (n,), optional
        Weights of the rows.
    rows : array_like or slice, optional
        Train on these rows only: their positions, each named once, a mask of shape (n,), or a slice. X is not copied; y
        and the weights are given for all rows. ``shuffle=False`` visits them as they are given, and an array given as
        ``shuffle`` orders their positions among these.
    class_weight : "balanced" or dict, optional
        Weights of the classes, by label, multiplied into those of the rows; labels that are not named weigh 1.
        "balanced" gives every class the same part in the objective: ``n / (n_classes * n_of_the_class)``, rows counted
        by their weights.
    fit_intercept : bool
        Whether the last parameter, or the last K for a loss of K scores, are intercepts.
    normalize : bool, "scale" or float
        True makes mean 0 and deviation 1 of every column, ``(x - m) / max(deviation, eps)`` (C4), without a copy: it is
        folded into the weights. A number is eps; without one, columns that are constant up to rounding are divided by
        1. "scale" takes no mean off. Means and deviations are those of the rows that are trained on, by their
        ``sample_weight``. ``x`` and penalties are of the normalised columns; ``coef``, ``intercept`` and ``predict`` of
        the columns as given, where a mean taken off makes an intercept even without ``fit_intercept``.
    groups : array_like of shape (d,) or list of lists, optional
        Columns that share a mean and a deviation, such as the pixels of an image: the number of each column's group, or
        lists of columns, the others standing alone.
    seed : int, optional
        Decides the order of rows; drawn at random by default. ``result.seed`` tells it.
    n_threads : int, optional
        Threads at the most; the result does not depend on it.
    callback : callable, optional
        Called after every epoch with a result (``x``, ``fun``, ``epoch``, ``nit``, ``step_size``, ``validation``);
        True, or raising ``StopIteration``, ends the run.
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

    Rows held out say when to stop:

    >>> result = st.minimize("log_loss", (X, y), batch_size=64, epochs=100, seed=0, validation=0.2, patience=3)
    >>> result.status.name, result.epochs - result.best_epoch
    ('early_stopped', 3)

    Columns of very different sizes are normalised on the way; predictions take rows as they are:

    >>> bills = [[10.0, 1.0], [20.0, 4.0], [30.0, 3.0], [40.0, 2.0]]
    >>> result = st.minimize("mse", (bills, [2.0, 5.0, 5.0, 5.0]), normalize=True, fit_intercept=True)
    >>> print(result.normalization.mean, result.predict([[20.0, 4.0]]).round(3))
    [25.   2.5] [5.]
    """
    before, start = None, x0
    if isinstance(x0, Result):
        before = x0 if "state" in x0 else None  # what a search found is but a point
        start = start_of(x0)
    penalty = penalties.resolve(penalty)
    method = methods.resolve(method) or method
    rule, full = resolve_method(method)
    max_epochs = positive_count(epochs, "epochs") if epochs is not None else None
    step_tolerance, tolerance = resolve_tolerance(tol)
    seed = resolve_seed(seed, before)
    exact = resolve_history(history)
    threads = None if n_threads is None else positive_count(n_threads, "n_threads")
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable, not {callback!r}")

    patience = resolve_patience(patience, validation)
    model = make_model(
        loss,
        data,
        start,
        sample_weight=sample_weight,
        class_weight=class_weight,
        fit_intercept=fit_intercept,
        normalize=normalize,
        groups=groups,
        before=before,
        validation=validation,
        rows=rows,
        seed=seed,
        check_finite=check_finite,
    )
    if penalty is not None:
        penalty = penalties.fitted(penalty, model.data, model.problem.penalised, model.shape)
    n = model.rows
    reduction = reduction_of(method)
    if reduction and batch_size is None:
        batch_size = reduced_batch_size(n)
    size = resolve_batch_size(batch_size, n, full, method is None and model.numbers <= SMALL)
    full = size == n
    if threads is None:
        threads = default_threads() if model.numbers >= SMALL // 8 else 1
    dual, reason = make_dual(model, penalty, fit_intercept)
    watches = dual if tolerance > 0 and dual is not None and dual.tightens else None
    order = _order(shuffle, model)
    if isinstance(method, methods.SciPyMethod):
        if step_size is not None:
            raise ValueError(
                f"{method.name} finds its steps itself: step_size={step_size!r} goes with the loop's methods"
            )
        model.problem.threads = threads
        bound = None if watches is None else watches.now_and_then()
        limits = Limits(max_epochs, step_tolerance, tolerance, bound, patience)
        by_scipy = minimize_by_scipy(
            method, model, penalty, limits, before, seed, callback, progress, history is not False
        )
        return _warned(add_gap(by_scipy, model, dual, reason, tolerance))
    if tol is None and method is None and max_epochs is None:
        tolerance, max_epochs = (1e-8, 10_000) if full else (1e-3, 100)
    if max_epochs is None:
        max_epochs = 1000 if tolerance > 0 or step_tolerance >= 0 else 100 if full else 10

    asked = isinstance(step_size, str)
    steps = given_steps(step_size, rule._lr)
    step_given = steps is not None
    if steps is None and reduction and not asked:
        steps = reduced_steps(model.loss, model.data, penalty, fit_intercept, size)
    steps = steps or steps_for(
        rule, model.loss, model.data, penalty, fit_intercept, size, searching=asked or method is None, asked=asked
    )
    if model.traced is not None and not full and steps.stepping == "line_search":
        steps = Steps("distance", (0, (1.0,)))
    if isinstance(loss, TracedLoss) and loss.whole_batch:
        if isinstance(shuffle, str) and shuffle == "stream":
            raise ValueError('shuffle="stream" hands out batches in pieces; this loss needs them whole: use "full"')
        order = "full" if shuffle is True else order
    # What the core is told of every run, in the order in which it asks, and of few: short ones feel every option.
    options: dict[str, Any] = {
        "order": order,
        "rule": (rule._index, rule._values),
        "batch_size": size,
        "epochs": max_epochs,
        "stepping": steps.stepping,
        "schedule": steps.schedule,
        "step_tolerance": step_tolerance,
        "tolerance": tolerance,
        "threads": threads,
        "seed": seed,
    }
    if reduction:
        options |= reduction
    if rule._tempers:
        options["tempering"] = optim.tempering(rule)
    if exact:
        options["exact_history"] = True
    if history is False:
        options["keep_history"] = False
    if rule._scaled:
        options["scale"], options["row_size"] = scale_of(model.data, model.start.size)
    if before is not None:
        options |= _going_on(rule, model, before)
    reporter = make_reporter(progress, max_epochs, n, model.start)
    watcher: Any = Watcher(callback, reporter) if callback is not None or reporter is not None else None
    watch = None
    if penalty is not None:
        # Gradients at kinks do not vanish: only of smooth losses do they bound the gap.
        bends = model.loss is not None and model.loss.convex and model.loss.smooth
        strong = penalties.strong_convexity(penalty, fit_intercept) if bends else 0.0
        if watches is not None and strong <= 0:
            watch = GapWatch(watches, model, penalty, tolerance, watcher)
        options |= {"penalty": penalty.terms, "strong_convexity": strong, "bounded": watch is not None}
    if model.held_out is not None:
        options |= {"held_out": model.held_out, "patience": patience}
    on_epoch = watch or watcher
    if on_epoch is not None:
        options["on_epoch"] = on_epoch
    try:
        reached, failure = model.problem.fit(model.start, options)
    finally:
        if reporter is not None:
            reporter.close()
    if failure is not None:
        reached = Outcome._make(reached)._replace(status=Status.interrupted.name)
    elif watch is not None and watch.met:
        reached = Outcome._make(reached)._replace(status=Status.converged.name)
    limited = tolerance > 0 or step_tolerance >= 0
    result = make_result(reached, model, rule, seed, history is not False, limited, patience, step_given, penalty)
    if before is not None:
        result.nfev += before.nfev
    if failure is not None:
        raise_failure(failure, model, result)
    return _warned(add_gap(result, model, dual, reason, tolerance))


def _warned(result: Result) -> Result:
    if not result["success"]:
        warn(result.message, ConvergenceWarning)
    return result


def _order(shuffle: Any, model: Model) -> Any:
    """Return an order for the core: its name, a callable, or for stratified batches the class of every row."""
    order = resolve_order(shuffle, model.rows)
    if order != "stratified":
        return order
    data, loss = model.data, model.loss
    classes = None if data is None or loss is None else class_positions(loss, data)
    if data is None or classes is None:
        raise ValueError(
            'shuffle="stratified" puts every class into every batch; this loss knows none: use "full" or "stream"'
        )
    return np.ascontiguousarray(classes[data.at(slice(None))], dtype=np.uint32)


def _going_on(rule: optim.Rule, model: Model, before: Result) -> dict[str, Any]:
    """Return what the core's loop is told of the run that this one goes on from: what the rule has kept, too."""
    told = {"epochs_before": before.epochs, "updates_before": before.nit}
    size = rule._state_numbers + rule._live_vectors * model.start.size
    if type(before.method) is type(rule) and before.state.size == size:
        told["state"] = before.state
    return told
