"""Loss, data and start together: a problem of the core, and what is known about it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepest import losses
from steepest._data import FLOATS, Data, as_array, check_data, narrowed, require_finite
from steepest._outside import is_outside, outside_problem
from steepest._results import Result
from steepest.autodiff._loss import TracedLoss, TracedProblem
from steepest.objective import make_problem, resolve_loss


class Model(NamedTuple):
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


def make_model(
    loss: Any,
    data: Any,
    start: Any,
    sample_weight: ArrayLike | None,
    fit_intercept: bool,
    check_finite: bool,
) -> Model:
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
        check_start(x, problem.parameters)
        shape = np.shape(start) if start is not None else ()
        return Model(problem, problem.rows, problem.rows, x, x.size, None, None, owner, shape)
    if isinstance(loss, TracedLoss):
        if fit_intercept:
            raise ValueError("fit_intercept does not go with a traced loss: make it a parameter")
        traced = loss.problem(data, start, sample_weight, check_finite)
        problem, x = traced.problem, traced.start
        check_start(x, traced.layout.size)
        return Model(problem, problem.rows, traced.numbers, x, x.size, None, None, None, traced.layout.shape, traced)
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
        check_start(x, problem.parameters)
    features = max(1, checked.scores) * checked.width
    return Model(problem, problem.rows, problem.rows * checked.width, x, features, resolved, checked, None, x.shape)


def start_of(result: Result) -> Any:
    """Return where a run ended, in the shape or structure that its parameters had."""
    return result["params"] if "params" in result else result.x.reshape(result.x_shape)


def check_start(x: NDArray[Any], parameters: int) -> None:
    if x.size != parameters:
        raise ValueError(f"x0 has {x.size} parameters, the problem has {parameters}")
    finite = np.isfinite(x)
    if not finite.all():
        raise ValueError(f"x0 holds {x[~finite][0]} at position {int((~finite).argmax())}")
