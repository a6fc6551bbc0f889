"""From what the core reached to a result, a warning or an exception."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steepest._gap_penalties import scipy_takes
from steepest._model import Model
from steepest._normalize import of_original_columns
from steepest._results import History, Interrupted, Result, Status, views_of
from steepest.methods import SciPyMethod
from steepest.penalties import Penalty

MESSAGES = {
    Status.converged: "Converged: the tolerance is met.",
    Status.ran_all_epochs: "Ran the epochs asked for.",
    Status.no_progress: "Stopped for lack of progress: over the last epochs the objective fell by less than the "
    "tolerance.",
    Status.stopped: "Stopped by the callback.",
    Status.diverged: "Diverged: {what}{reached}. {advice}",
    Status.early_stopped: "Stopped early: {patience} epochs brought nothing better for the held-out rows than epoch "
    "{best}, whose parameters x are.",
    Status.interrupted: "Interrupted: x is what was reached, fun the running objective.",
}
BY_NAME = {status.name: status for status in Status}
ENDED_EARLY = (Status.converged, Status.no_progress, Status.stopped, Status.early_stopped)


class Outcome(NamedTuple):
    """What a loop reached, in the order in which the core says it."""

    x: NDArray[Any]
    state: NDArray[Any]
    fun: float
    jac: NDArray[np.float64]
    gap: float
    status: str
    what_stopped: str
    epochs: int
    best_epoch: int
    nit: int
    nfev: int
    history: tuple[NDArray[Any], ...]  # a column for each array of a History


def make_result(
    outcome: Outcome,
    model: Model,
    method: Any,
    seed: int,
    keep_history: bool,
    limited: bool,
    patience: int = 0,
    step_given: bool = False,
    penalty: Penalty | None = None,
) -> Result:
    """Return the result of a run, with advice where it went wrong; the core's tuple is as good as an outcome."""
    x, state, fun, jac, gap, status_name, what_stopped, epochs, best_epoch, nit, nfev, columns = outcome
    status = BY_NAME[status_name]
    success, message = status in ENDED_EARLY, MESSAGES[status]
    if success:
        if status_name == "early_stopped":  # members of an Enum are slow to come by
            message = message.format(patience=patience, best=best_epoch)
    elif status is Status.ran_all_epochs:
        success = not limited
        if limited:
            message = "The tolerance was not met within the epochs allowed; more epochs or another step_size may help."
    elif status is Status.diverged:
        message = _divergence(nit, what_stopped, model, method, step_given, penalty)
    else:
        fun, jac = columns[1][-1] if columns[1].size else math.nan, np.full_like(jac, math.nan)
    data = model.data
    coef, intercept = views_of(x, model.features, 0 if data is None else data.scores)
    if model.normalization is not None:
        coef, intercept = of_original_columns(coef, intercept, model.normalization)
    result = Result(
        x=x,
        x_shape=model.shape,
        fun=fun,
        jac=jac,
        coef=coef,
        intercept=intercept,
        nit=nit,
        nfev=nfev,
        epochs=epochs,
        best_epoch=best_epoch if model.held_out is not None else None,
        success=success,
        status=status,
        message=message,
        history=_history(*columns) if keep_history else None,
        seed=seed,
        method=method,
        constant=data is not None and data.X is None,
        classes=None if data is None else data.classes,
        gap=gap if math.isfinite(gap) else None,
        state=state,
        normalization=model.normalization,
    )
    if model.traced is not None and model.traced.layout.nested:
        result["params"] = model.traced.layout.unflat(x)
    if data is not None and data.names is not None:
        result["feature_names"] = data.names
    return result


def _history(
    epoch: NDArray[np.int64],
    running_objective: NDArray[np.float64],
    objective: NDArray[np.float64],
    step_size: NDArray[np.float64],
    seconds: NDArray[np.float64],
    validation: NDArray[np.float64],
) -> History:
    """Return the columns of the core by their names."""
    return History(
        epoch=epoch,
        running_objective=running_objective,
        objective=objective,
        step_size=step_size,
        seconds=seconds,
        validation=validation,
    )


def _divergence(
    nit: int, what_stopped: str, model: Model, method: Any, step_given: bool, penalty: Penalty | None
) -> str:
    """Return what is said of a run whose objective left what is finite."""
    if nit == 0:
        return "The objective is not finite at the start: the numbers in the data or x0 are too large."
    what = what_stopped or "the objective grew without bound"
    return MESSAGES[Status.diverged].format(
        what=what[0].lower() + what[1:],
        reached="" if isinstance(method, SciPyMethod) else "; x is the best of the epochs' ends",
        advice=_advice(method, model, step_given, penalty),
    )


def _advice(method: Any, model: Model, step_given: bool, penalty: Penalty | None) -> str:
    """Return what helps against divergence: without a step_size of the user's, the step is not the first suspect."""
    if step_given:
        return "A smaller step_size, or none at all, should help."
    remedies = ["smaller numbers in the data or x0"] if isinstance(method, SciPyMethod) else []
    if getattr(method, "default_lr", None) is not None:
        remedies.append(f"a step_size below the default of {method.default_lr:g}")
    if model.data is not None and model.data.X is not None and model.normalization is None:
        remedies.append("normalize=True where the units of the columns differ")
    if not isinstance(method, SciPyMethod):
        search, full = 'method="L-BFGS-B", which searches along every step', 'method="gd" with step_size="auto"'
        remedies.append(search if scipy_takes(penalty) else f"{full}, which takes steps back that lead up")
    return f"What may help: {', or '.join(remedies)}."


def raise_failure(failure: Any, model: Model, result: Result) -> None:
    """Raise what stopped the loop; Ctrl-C carries what was reached, as do errors of the loop itself."""
    error = failure
    if isinstance(failure, str):
        error = model.owner.exception if model.owner.exception is not None else model.held_out_owner.exception
    if isinstance(error, KeyboardInterrupt) and not isinstance(error, Interrupted):
        raise Interrupted(result) from None
    if type(error) is ValueError:
        vars(error)["result"] = result
    raise error
