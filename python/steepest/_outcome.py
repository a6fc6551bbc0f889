"""From what the core reached to a result, a warning or an exception."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

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
ENDED_EARLY = (Status.converged, Status.no_progress, Status.stopped, Status.early_stopped)


def make_result(
    outcome: dict[str, Any],
    model: Model,
    method: Any,
    seed: int,
    keep_history: bool,
    limited: bool,
    patience: int = 0,
    step_given: bool = False,
    penalty: Penalty | None = None,
) -> Result:
    """Return the result of a run, with advice where it went wrong."""
    status, x = Status[outcome["status"]], outcome["x"]
    success = status in ENDED_EARLY or (status is Status.ran_all_epochs and not limited)
    message = MESSAGES[status]
    if status is Status.early_stopped:
        message = message.format(patience=patience, best=outcome["best_epoch"])
    if status is Status.diverged:
        what = outcome["what_stopped"] or "the objective grew without bound"
        message = message.format(
            what=what[0].lower() + what[1:],
            reached="" if isinstance(method, SciPyMethod) else "; x is the best of the epochs' ends",
            advice=_advice(method, model, step_given, penalty),
        )
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
        validation=columns[5],
    )
    fun, jac = outcome["fun"], outcome["jac"]
    if status is Status.interrupted:
        fun, jac = columns[1][-1] if columns.size else math.nan, np.full_like(jac, math.nan)
    scores, width = (0, 1) if model.data is None else (model.data.scores, model.data.width)
    coef, intercept = views_of(x, model.features, scores, width)
    if model.normalization is not None:
        coef, intercept = of_original_columns(coef, intercept, model.normalization)
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
        best_epoch=outcome["best_epoch"] if model.held_out is not None else None,
        success=success,
        status=status,
        message=message,
        history=history if keep_history else None,
        seed=seed,
        method=method,
        constant=model.data is not None and model.data.X is None,
        classes=None if model.data is None else model.data.classes,
        gap=outcome["gap"] if math.isfinite(outcome["gap"]) else None,
        state=outcome["state"],
        normalization=model.normalization,
        **({} if layout is None else {"params": layout.unflat(x)}),
        **({} if model.data is None or model.data.names is None else {"feature_names": model.data.names}),
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
