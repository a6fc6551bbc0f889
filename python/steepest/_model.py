"""Loss, data and start together: a problem of the core, and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepest import _core, losses
from steepest._class_weights import class_positions, require_all_classes, weigh_classes, weights_of_classes
from steepest._data import FLOATS, Data, as_array, check_data, mean_of, narrowed, require_finite
from steepest._held_out import Split, check_other_data, rows_looked_at, split_rows
from steepest._normalize import Normalization, normalization_of, normalized
from steepest._outside import is_outside, outside_problem
from steepest._results import Result
from steepest._rows import resolve_rows
from steepest._sparse import SparseRows
from steepest.autodiff._loss import TracedLoss, TracedProblem
from steepest.objective import make_problem, resolve_loss


@dataclass(slots=True, eq=False)
class Model:
    """A problem of the core with what is known about it."""

    problem: Any
    rows: int
    numbers: int
    start: NDArray[Any]
    features: int
    loss: losses.Loss | None = None
    data: Data | None = None
    shape: tuple[int, ...] = ()
    traced: TracedProblem | None = None
    normalization: Normalization | None = None
    held_out: Any = None  # a problem of the rows that are held out
    owner: Any = None  # of callables, whose exceptions it keeps
    held_out_owner: Any = None


def make_model(
    loss: Any,
    data: Any,
    start: Any,
    *,
    sample_weight: ArrayLike | None,
    class_weight: Any,
    fit_intercept: bool,
    normalize: Any,
    groups: Any,
    before: Result | None,
    validation: Any,
    seed: int,
    check_finite: bool,
    rows: Any = None,
) -> Model:
    """Make the problem that the user describes; rows are held out without a copy of any."""
    plain = isinstance(loss, (str, losses.Loss)) or not (isinstance(loss, TracedLoss) or is_outside(loss))
    rows = rows_looked_at(rows, validation, data)
    if class_weight is not None and not plain:
        raise ValueError("class_weight goes with losses that know classes; weigh the rows by sample_weight, or inside")
    if plain:
        return _linear_model(
            loss,
            data,
            start,
            sample_weight,
            class_weight,
            fit_intercept,
            normalize,
            groups,
            before,
            validation,
            seed,
            check_finite,
            rows,
        )
    if normalize is not False or groups is not None:
        raise ValueError("normalize goes with losses of linear scores; normalise the rows, or inside the loss")
    if isinstance(loss, TracedLoss):
        if fit_intercept:
            raise ValueError("fit_intercept does not go with a traced loss: make it a parameter")
        model = _traced_model(loss, data, start, sample_weight, check_finite, rows)
        mean = partial(_mean_weight, sample_weight)
    else:
        if sample_weight is not None:
            raise ValueError("sample_weight does not go with a loss outside the core: weigh inside the callable")
        if fit_intercept:
            raise ValueError("fit_intercept does not go with a loss outside the core: make it a parameter")
        model = _outside_model(loss, data, start, check_finite)
        mean = partial(_mean_weight, None)
    chosen = None if rows is None else resolve_rows(rows, model.rows)
    whole = model
    if chosen is not None:
        model = _some_rows(whole, chosen, mean(chosen))
    if validation is None:
        return model
    if isinstance(validation, tuple):
        if isinstance(data, tuple) != (len(validation) > 1):
            raise ValueError("validation must be a tuple of the same parts as data")
        given = validation if isinstance(data, tuple) else validation[0]
        other = (
            _traced_model(loss, given, start, None, check_finite)
            if isinstance(loss, TracedLoss)
            else _outside_model(loss, given, start, check_finite)
        )
        if other.start.dtype != model.start.dtype:
            raise ValueError(
                f"validation does not fit the data: it is computed with in {other.start.dtype}, the data in "
                f"{model.start.dtype}; convert its first part"
            )
        if type(other.problem) is not type(model.problem) or other.start.size != model.start.size:
            raise ValueError("validation does not fit the data: its shapes are others")
        return replace(model, held_out=other.problem, held_out_owner=other.owner)
    split = split_rows(validation, whole.rows, None, seed, chosen)
    return _split_model(whole, split, mean(split.training), mean(split.held_out))


def _outside_model(loss: Any, data: Any, start: Any, check_finite: bool) -> Model:
    if check_finite:
        for i, part in enumerate(data if isinstance(data, tuple) else (data,)):
            array = np.asarray(part)
            if array.dtype in FLOATS and array.ndim and array.size:
                require_finite(array.reshape(len(array), -1), f"data[{i}]" if isinstance(data, tuple) else "data")
    problem, owner = outside_problem(loss, data, start)
    x = np.array(0.0 if start is None else start, dtype=np.float64).ravel()
    check_start(x, problem.parameters)
    shape = np.shape(start) if start is not None else ()
    return Model(problem, problem.rows, problem.rows, x, x.size, shape=shape, owner=owner)


def _traced_model(
    loss: TracedLoss, data: Any, start: Any, sample_weight: Any, check_finite: bool, rows: Any = None
) -> Model:
    traced = loss.problem(data, start, sample_weight, check_finite, rows)
    problem, x = traced.problem, traced.start
    check_start(x, traced.layout.size)
    return Model(problem, problem.rows, traced.numbers, x, x.size, shape=traced.layout.shape, traced=traced)


def _linear_model(
    given: Any,
    data: Any,
    start: Any,
    sample_weight: ArrayLike | None,
    class_weight: Any,
    fit_intercept: bool,
    normalize: Any,
    groups: Any,
    before: Result | None,
    validation: Any,
    seed: int,
    check_finite: bool,
    rows: Any,
) -> Model:
    loss = resolve_loss(given)
    checked = check_data(loss, data, sample_weight, fit_intercept, check_finite, rows)
    split = None
    if validation is not None and not isinstance(validation, tuple):
        classes = class_positions(loss, checked)
        split = split_rows(validation, len(checked.y), classes, seed, checked.rows)
        checked = checked.restricted(split.training, "training")
        if classes is not None:
            require_all_classes(checked, classes)
    if before is not None:
        _require_same_classes(before, checked)
    normalization = normalization_of(checked, normalize, groups, before)
    if normalization is not None:
        checked = normalized(checked, normalization)
    weights = None
    if class_weight is not None:
        weights = weights_of_classes(class_weight, loss, checked)
        checked = weigh_classes(checked, weights, loss)
    problem = make_problem(loss, checked, fit_intercept)
    x = _start_for(checked, start, problem.parameters, fit_intercept)
    n, width = len(checked.y), checked.width
    numbers = checked.X.size if isinstance(checked.X, SparseRows) else n * width
    features = (checked.scores or 1) * width
    model = Model(problem, n, numbers, x, features, loss, checked, x.shape, None, normalization)
    if split is not None:
        held = checked.restricted(split.held_out, "held-out")
        return _split_model(model, split, checked.mean_weight, held.mean_weight)
    if checked.rows is not None:
        model = _some_rows(model, checked.rows, checked.mean_weight)
    if validation is not None:
        other = check_other_data(validation, loss, checked, check_finite)
        if normalization is not None:
            other = normalized(other, normalization)
        other = weigh_classes(other, weights, loss)
        return replace(model, held_out=make_problem(loss, other, fit_intercept))
    return model


def _require_same_classes(before: Result, data: Data) -> None:
    """Raise where the parameters of the run that is gone on from are those of other classes."""
    theirs = before.get("classes")
    if theirs is None or data.classes is None or np.array_equal(theirs, data.classes):
        return
    raise ValueError(
        f"x0 comes from a run over the classes {theirs.tolist()!r:.60}, y holds {data.classes.tolist()!r:.60}: "
        "x0=result.x starts from its numbers all the same"
    )


def _some_rows(model: Model, rows: NDArray[np.uint32], mean_weight: float) -> Model:
    """Return the model of some of the rows, with their mean weight."""
    return replace(
        model,
        problem=model.problem.subset(rows, mean_weight),
        rows=len(rows),
        numbers=model.numbers * len(rows) // model.rows,
    )


def _split_model(model: Model, split: Split, training: float, held_out: float) -> Model:
    """Return the model of the rows trained on, with the mean weights of both parts."""
    trained = _some_rows(model, split.training, training)
    return replace(trained, held_out=model.problem.subset(split.held_out, held_out), held_out_owner=model.owner)


def _mean_weight(sample_weight: Any, rows: NDArray[np.uint32]) -> float:
    return 1.0 if sample_weight is None else mean_of(as_array(sample_weight, "sample_weight")[rows], "sample_weight")


def _start_for(data: Data, start: Any, parameters: int, fit_intercept: bool) -> NDArray[Any]:
    """Return the flat start in the dtype of the computation."""
    if start is None:
        return np.zeros(parameters, dtype=data.y.dtype)
    x = as_array(start, "x0")
    if x.dtype.kind not in "biuf":
        raise TypeError(f"x0 must hold real numbers; its dtype is {x.dtype}")
    if data.scores:
        if x.ndim > 1 and (fit_intercept or x.shape != (data.scores, data.width)):
            given = "[W.ravel(), b] with W" if fit_intercept else "W"
            shape = f"({data.scores}, {data.width})"
            raise ValueError(f"x0 has shape {x.shape}; this problem takes {given} of shape {shape}")
    elif x.ndim and max(x.shape) != x.size:
        raise ValueError(f"x0 has shape {x.shape}; this problem takes ({parameters},)")
    x = narrowed(x, data.y.dtype)
    if x.ndim > 1:
        x = x.ravel()
    check_start(x, parameters)
    return x


def start_of(result: Result) -> Any:
    """Return where a run ended, in the shape or structure that its parameters had."""
    return result["params"] if "params" in result else result.x.reshape(result.x_shape)


def check_start(x: NDArray[Any], parameters: int) -> None:
    if x.size != parameters:
        raise ValueError(f"x0 has {x.size} parameters, the problem has {parameters}")
    if not (_core.all_finite(x) if x.dtype in FLOATS else np.isfinite(x).all()):
        finite = np.isfinite(x)
        raise ValueError(f"x0 holds {x[~finite][0]} at position {int(finite.argmin())}")
