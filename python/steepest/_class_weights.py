"""Weights of classes become weights of rows."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepest._data import FLOATS, Data, narrowed
from steepest.losses import Loss


def has_classes(loss: Loss) -> bool:
    """Tell whether every row belongs to one class: not so for several labels per row."""
    return loss.target == "labels" or (loss.target == "binary" and loss.kind != "scores")


def class_positions(loss: Loss, data: Data) -> NDArray[np.intp] | None:
    """Return for each row which of the sorted classes it belongs to, None where there are none.

    That is a number per row, so only what needs it asks: validation, weights of classes and stratified batches.
    """
    if not has_classes(loss):
        return None
    return (data.y > 0).astype(np.intp) if loss.target == "binary" else data.y.astype(np.intp)


def require_all_classes(data: Data, positions: NDArray[np.intp]) -> None:
    """Raise where the training rows lack a class that the data has."""
    classes = _classes(data)
    missing = np.flatnonzero(np.bincount(positions[data.at(slice(None))], minlength=len(classes)) == 0)
    if missing.size:
        raise ValueError(
            f"class {_plain(classes[missing[0]])!r} is missing from the training rows: validation holds out all of it"
        )


def weights_of_classes(class_weight: Any, loss: Loss, data: Data) -> NDArray[Any]:
    """Return the weight of every class, by which the weights of its rows are multiplied."""
    positions = class_positions(loss, data)
    if positions is None:
        what = "several labels per row" if loss.target == "binary" else "numbers"
        raise ValueError(f"class_weight goes with one label per row; the targets of {loss.name} are {what}")
    if isinstance(class_weight, str) and class_weight.lower() == "balanced":
        weights = _balanced(data, positions)
    elif isinstance(class_weight, Mapping):
        weights = _by_label(class_weight, data)
    else:
        raise TypeError(f'class_weight must be "balanced" or a dictionary of label to weight, not {class_weight!r:.60}')
    return narrowed(weights, data.y.dtype)


def weigh_classes(data: Data, weights: NDArray[Any] | None, loss: Loss) -> Data:
    """Return the data with the weights of its rows' classes multiplied into theirs."""
    positions = None if weights is None else class_positions(loss, data)
    if weights is None or positions is None:
        return data
    return data.weighed(weights[positions], "class_weight times sample_weight")


def _balanced(data: Data, positions: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return weights that give every class the same share of the objective, one on average over the training rows.

    A row of weight two counts as two.
    """
    rows, classes = data.at(slice(None)), _classes(data)
    each = None if data.weight is None else data.weight[rows].astype(FLOATS[0])
    totals = np.bincount(positions[rows], each, minlength=len(classes)).astype(FLOATS[0])
    if not totals.all():
        empty = _plain(classes[int(totals.argmin())])
        raise ValueError(f'class_weight="balanced": sample_weight is zero in every row of class {empty!r}')
    balanced: NDArray[np.float64] = totals.sum() / (len(classes) * totals)
    return balanced


def _by_label(class_weight: Mapping[Any, Any], data: Data) -> NDArray[np.float64]:
    """Return the weight of each class; classes that are not named weigh one."""
    labels = [_plain(label) for label in _classes(data)]
    weights = np.ones(len(labels))
    for label, weight in class_weight.items():
        if _plain(label) not in labels:
            shown = ", ".join(map(repr, labels[:5])) + (", ..." if len(labels) > 5 else "")
            raise ValueError(f"class_weight names label {_plain(label)!r}, which y does not hold; there are: {shown}")
        if not isinstance(weight, numbers.Real) or isinstance(weight, bool):
            raise TypeError(f"class_weight of label {label!r} must be a number, not {weight!r}")
        if not 0 <= float(weight) < math.inf:
            raise ValueError(f"class_weight of label {label!r} must be finite and not negative, not {weight!r}")
        weights[labels.index(_plain(label))] = float(weight)
    if not weights.any():
        raise ValueError("class_weight is zero for every class")
    return weights


def _classes(data: Data) -> NDArray[Any]:
    assert data.classes is not None
    return data.classes


def _plain(label: Any) -> Any:
    """Return a label of NumPy as the Python object that a message shows and a dictionary holds."""
    return label.item() if isinstance(label, np.generic) else label
