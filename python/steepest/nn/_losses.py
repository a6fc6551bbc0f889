"""Losses on the outputs of a model: the built-in ones by name, or functions of (outputs, y)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from steepest import losses
from steepest._data import among, as_array, as_row_targets, as_targets, require_finite, spread
from steepest.autodiff import _functions as functions

Tensor: TypeAlias = Any
_NAMES = {
    name: getattr(functions, name)
    for name in ("abs", "cos", "cosh", "exp", "log", "log1p", "max", "maximum", "sum", "where")
} | {"pi": np.pi}


class OutputLoss(NamedTuple):
    """A loss per row of a model's outputs, and what its targets are."""

    name: str
    rows: Callable[[Tensor, Tensor], Tensor]
    built_in: losses.Loss | None

    @property
    def takes_labels(self) -> bool:
        """Whether targets are the numbers of classes."""
        return self.built_in is not None and self.built_in.target == "labels"

    def targets(self, y: Any, dtype: Any, rows: NDArray[np.uint32] | None = None) -> Any:
        """Return targets as the core takes them; labels are compared with the number of classes later.

        Those of other rows than `rows`, where these are given, are not looked at.
        """
        if self.built_in is None:
            return y
        if rows is not None:
            whole = as_array(y, "y")
            if whole.ndim and len(whole) > rows.max():
                encoded = among(rows, self.targets, whole[rows], dtype)
                if not self.takes_labels:
                    return spread(encoded, rows, whole)
                labels = np.zeros(len(whole), dtype=dtype)
                labels[rows] = encoded
                return labels
        if self.takes_labels:
            return _labels(y, dtype)
        if isinstance(self.built_in, losses.RowLoss):
            return as_row_targets(y, self.built_in, dtype, single_class=True)[0]
        y = as_array(y, "y")
        if y.ndim == 2 and y.shape[1] > 1 and f"multi_{self.name}" in losses.available():
            raise ValueError(f"{self.name} takes one target per row; for {y.shape[1]} say multi_{self.name}")
        return as_targets(y.reshape(len(y)) if y.ndim == 2 and y.shape[1] == 1 else y, self.built_in, dtype)[0]

    def check(self, y: NDArray[Any], outputs: int) -> None:
        """Compare encoded targets with the number of the model's outputs."""
        if self.takes_labels and not (y < outputs).all():
            row = int((y >= outputs).argmax())
            raise ValueError(
                f"y holds the label {y[row]:g}, first in row {row}; the model has {outputs} outputs, for labels 0 to "
                f"{outputs - 1}"
            )


def resolve(loss: Any) -> OutputLoss:
    """Return a loss from its name, an object of ``st.losses`` or a function of (outputs, y)."""
    if isinstance(loss, str):
        loss = losses.get("softmax" if loss.lower() == "cross_entropy" else loss)
    if isinstance(loss, losses.Loss):
        return OutputLoss(loss.name, _from_formula(loss), loss)
    if callable(loss):
        return OutputLoss(str(getattr(loss, "__name__", type(loss).__name__)), loss, None)
    raise TypeError(f"loss must be a name, a loss or a function of (outputs, y), not {loss!r}")


def _labels(y: Any, dtype: Any) -> NDArray[Any]:
    labels = as_array(y, "y")
    if labels.ndim != 1:
        raise ValueError(f"y must be 1-D, one label per row, not {labels.ndim}-D")
    if labels.dtype.kind not in "biuf":
        raise TypeError(
            f"the labels of a model are whole numbers from 0, not {labels.dtype}; np.unique(..., "
            "return_inverse=True) makes them"
        )
    if labels.dtype.kind == "f":
        require_finite(labels, "y")
    wrong = (labels < 0) | (labels != np.floor(labels))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"labels are whole numbers from 0; y holds {labels[row]}, first in row {row}")
    return labels.astype(dtype)


def _from_formula(loss: losses.Loss) -> Callable[[Tensor, Tensor], Tensor]:
    code = compile(loss.formula, loss.name, "eval")
    several = isinstance(loss, losses.RowLoss)

    def rows(z: Tensor, y: Tensor) -> Tensor:
        if several:
            if z.ndim != 2:
                raise ValueError(f"{loss.name} takes K outputs per row, shape (B, K); the model gives {z.ndim} axes")
            if loss.name == "softmax":
                return functions.cross_entropy_of_known(z, y)
            if loss.target == "labels":
                y = functions._elementwise_functions["equal"](y[:, None], np.arange(z.shape[-1]))
            elif y.shape[-1] != z.shape[-1]:
                raise ValueError(f"the model gives {z.shape[-1]} outputs, y has {y.shape[-1]} columns")
        elif z.ndim == 2 and z.shape[-1] == 1:
            z = z[:, 0]
        elif z.ndim != 1:
            raise ValueError(f"{loss.name} takes one output per row; the model gives {z.shape[-1]}")
        return eval(code, {}, _NAMES | loss.params | {"y": y, "z": z})

    return rows
