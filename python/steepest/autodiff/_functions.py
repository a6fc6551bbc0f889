"""The operations of the graph as functions, with NumPy's names and arguments.

They take tensors, arrays and numbers and return tensors. Elementwise ones are made from the compiled core's list, where
value and derivative of each stand together.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from steepest import _core

Tensor: TypeAlias = Any
Axis: TypeAlias = int | tuple[int, ...] | None

_ops = {spec["name"]: {**spec, "index": index} for index, spec in enumerate(_core.ops())}

# Parts of derivatives and special forms that the functions here choose by themselves.
_INTERNAL = {"whole_power", "share"}
_ARGUMENTS = {1: ("a",), 2: ("a", "b"), 3: ("condition", "a", "b")}


def _elementwise(name: str) -> Callable[..., Tensor]:
    """Make the function of an elementwise operation."""
    spec = _ops[name]
    index, apply = spec["index"], _core.apply

    def function(*args: Any) -> Tensor:
        return apply(index, *args)

    arguments = _ARGUMENTS[spec["arity"]]
    function.__name__ = function.__qualname__ = name
    function.__module__ = "steepest"
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(argument, inspect.Parameter.POSITIONAL_ONLY) for argument in arguments]
    )
    example = ", ".join("0.5" for _ in arguments)
    function.__doc__ = "\n".join(
        [
            f"Compute ``{spec['formula']}``, elementwise with broadcasting (B2).",
            "",
            "Parameters",
            "----------",
            f"{', '.join(arguments)} : tensor, array_like or number",
            "    Shapes that broadcast, of one dtype; plain numbers take it.",
            "",
            "Returns",
            "-------",
            "Tensor",
            "    "
            + ("Numbers 0 and 1 or the like, without a derivative." if spec["mask"] else "Of the broadcast shape."),
            "",
            "Raises",
            "------",
            "ValueError, TypeError",
            "    Where shapes do not broadcast or dtypes differ.",
            "",
            "Examples",
            "--------",
            ">>> import steepest as st",
            f">>> st.{name}({example}).shape",
            "()",
        ]
    )
    return function


_elementwise_functions = {
    name: _elementwise(name) for name, spec in _ops.items() if spec["elementwise"] and name not in _INTERNAL
}
globals().update(_elementwise_functions)

_exp, _log1p = _elementwise_functions["exp"], _elementwise_functions["log1p"]
_where, _negative = _elementwise_functions["where"], _elementwise_functions["negative"]
_maximum, _minimum = _elementwise_functions["maximum"], _elementwise_functions["minimum"]
_softplus, _equal, _abs = (_elementwise_functions[name] for name in ("softplus", "equal", "abs"))


def sum(a: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over axes, all by default.

    Parameters
    ----------
    a : tensor or array_like
        Any shape.
    axis : int or tuple of int, optional
        Axes to sum over; negative ones count from the end.
    keepdims : bool
        Whether the axes stay, with size one.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> import steepest as st
    >>> st.sum([[1.0, 2.0], [3.0, 4.0]], axis=0)
    tensor([4., 6.])
    """
    return _core.reduce("sum", a, axis, keepdims)


def mean(a: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Average over axes, all by default; arguments as for `sum`.

    Examples
    --------
    >>> import steepest as st
    >>> st.mean([1.0, 2.0, 6.0])
    tensor(3.)
    """
    return _core.mean(a, axis, keepdims)


def max(a: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Find the largest over axes; arguments as for `sum`. Ties share the gradient equally.

    Examples
    --------
    >>> import steepest as st
    >>> st.max([[1.0, 5.0], [3.0, 4.0]], axis=1)
    tensor([5., 4.])
    """
    return _core.reduce("max", a, axis, keepdims)


def min(a: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Find the smallest over axes; arguments as for `sum`. Ties share the gradient equally.

    Examples
    --------
    >>> import steepest as st
    >>> st.min([[1.0, 5.0], [3.0, 4.0]], axis=1)
    tensor([1., 3.])
    """
    return -_core.reduce("max", _negative(a), axis, keepdims)


def logsumexp(a: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Compute ``log(sum(exp(a)))`` without overflow; arguments as for `sum` (C1).

    Examples
    --------
    >>> import steepest as st
    >>> print(f"{st.logsumexp([1000.0, 1000.0]):.4f}")
    1000.6931
    """
    return _core.reduce("logsumexp", a, axis, keepdims)


def log_softmax(a: Any, axis: int = -1) -> Tensor:
    """Compute ``a - log(sum(exp(a)))`` along an axis; finite for large numbers (C1).

    Examples
    --------
    >>> import steepest as st
    >>> st.log_softmax([1000.0, 0.0, -1000.0])
    tensor([    0., -1000., -2000.])
    """
    a = _core.as_tensor(a)
    return a - logsumexp(a, axis, keepdims=True)


def softmax(a: Any, axis: int = -1) -> Tensor:
    """Compute ``exp(a) / sum(exp(a))`` along an axis without overflow (C1).

    Examples
    --------
    >>> import steepest as st
    >>> st.softmax([0.0, 0.0])
    tensor([0.5, 0.5])
    """
    return _exp(log_softmax(a, axis))


def cross_entropy(scores: Any, labels: Any) -> Tensor:
    """Compare scores of K classes with whole-number labels, row by row (C2).

    Parameters
    ----------
    scores : tensor or array_like, shape (..., K)
        Raw scores.
    labels : tensor or array_like, shape (...)
        Numbers from 0 to K - 1.

    Returns
    -------
    Tensor, shape (...)
        ``-log_softmax(scores)`` at the labels; the mean is up to the caller.

    Raises
    ------
    ValueError
        For a label that is none of the classes. While a function is traced labels are not known; such a one then makes
        the loss of its row NaN, which stops the run and names the row.

    Examples
    --------
    >>> import steepest as st
    >>> st.cross_entropy([[0.0, 1000.0], [0.0, 1000.0]], [1, 0])
    tensor([   0., 1000.])
    """
    scores, labels = _core.as_tensor(scores), _core.as_tensor(labels)
    classes = scores.shape[-1]
    if labels.traced:
        known = sum(_equal(labels[..., None], np.arange(classes)), -1)
        # 0, or NaN that the run can tell the origin of.
        return cross_entropy_of_known(scores, labels) + _elementwise_functions["log"](2.0 * known - 1.0)
    numbers = labels.numpy()
    wrong = ~((numbers >= 0) & (numbers < classes) & (numbers == np.floor(numbers)))
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"labels holds {numbers[place]:g}{f' in row {place[0]}' if place else ''}; for scores of {classes} classes "
            f"labels are 0 to {classes - 1}"
        )
    return cross_entropy_of_known(scores, labels)


def cross_entropy_of_known(scores: Tensor, labels: Tensor) -> Tensor:
    """Compute `cross_entropy` for labels that have been looked at."""
    chosen = _equal(labels[..., None], np.arange(scores.shape[-1]))
    return logsumexp(scores, -1) - sum(_where(chosen, scores, 0.0), -1)


def clip(a: Any, a_min: Any = None, a_max: Any = None) -> Tensor:
    """Limit numbers to a range; at its ends the gradient is shared equally with the end.

    Examples
    --------
    >>> import steepest as st
    >>> st.clip([-2.0, 0.5, 2.0], -1.0, 1.0)
    tensor([-1. ,  0.5,  1. ])
    """
    if a_min is None and a_max is None:
        raise ValueError("clip needs a_min or a_max")
    if a_min is not None:
        a = _maximum(a, a_min)
    return a if a_max is None else _minimum(a, a_max)


def relu(a: Any) -> Tensor:
    """Compute ``maximum(a, 0)`` with the derivative 0 at 0, as PyTorch has it (C1).

    Examples
    --------
    >>> import steepest as st
    >>> st.relu([-1.0, 2.0])
    tensor([0., 2.])
    """
    a = _core.as_tensor(a)
    # This way round a NaN stays one; the other way it would become 0, and training go on without it.
    return _where(a <= 0.0, 0.0, a)


def logaddexp(a: Any, b: Any) -> Tensor:
    """Compute ``log(exp(a) + exp(b))`` without overflow.

    Examples
    --------
    >>> import steepest as st
    >>> print(f"{st.logaddexp(1000.0, 1000.0):.4f}")
    1000.6931
    """
    return _maximum(a, b) + _log1p(_exp(-_abs(_core.as_tensor(a) - b)))


def matmul(a: Any, b: Any) -> Tensor:
    """Multiply matrices (and vectors, and stacks of matrices) as ``a @ b`` does.

    Examples
    --------
    >>> import steepest as st
    >>> st.matmul([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0])
    tensor([3., 7.])
    """
    return _core.matmul(a, b)


def dot(a: Any, b: Any) -> Tensor:
    """Multiply two vectors, or as `matmul` where either has more axes.

    Examples
    --------
    >>> import steepest as st
    >>> st.dot([1.0, 2.0], [3.0, 4.0])
    tensor(11.)
    """
    return _core.matmul(a, b)


def transpose(a: Any, axes: Sequence[int] | None = None) -> Tensor:
    """Permute the axes; reverse them by default.

    Examples
    --------
    >>> import steepest as st
    >>> st.transpose([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 3.],
            [2., 4.]])
    """
    return _core.transpose(a, None if axes is None else tuple(axes))


def reshape(a: Any, shape: int | Sequence[Any]) -> Tensor:
    """Give the same numbers another shape; one size may be -1.

    Examples
    --------
    >>> import steepest as st
    >>> st.reshape([1.0, 2.0, 3.0, 4.0], (2, -1)).shape
    (2, 2)
    """
    return _core.reshape(a, shape)


def broadcast_to(a: Any, shape: Sequence[Any]) -> Tensor:
    """Repeat numbers to fill a shape, as broadcasting does.

    Examples
    --------
    >>> import steepest as st
    >>> st.broadcast_to([1.0, 2.0], (2, 2))
    tensor([[1., 2.],
            [1., 2.]])
    """
    return _core.broadcast_to(a, shape)


def concatenate(arrays: Sequence[Any], axis: int = 0) -> Tensor:
    """Join arrays along an axis.

    Examples
    --------
    >>> import steepest as st
    >>> st.concatenate(([1.0], [2.0, 3.0]))
    tensor([1., 2., 3.])
    """
    return _core.concatenate(list(arrays), axis)


def stack(arrays: Sequence[Any], axis: int = 0) -> Tensor:
    """Join arrays along a new axis.

    Examples
    --------
    >>> import steepest as st
    >>> st.stack(([1.0, 2.0], [3.0, 4.0]), axis=1)
    tensor([[1., 3.],
            [2., 4.]])
    """
    tensors = [_core.as_tensor(array) for array in arrays]
    if not tensors:
        raise ValueError("stack needs at least one array")
    at = axis % (tensors[0].ndim + 1)
    index = (slice(None),) * at + (None,)
    return concatenate([tensor[index] for tensor in tensors], at)


def take(a: Any, indices: Any) -> Tensor:
    """Take rows by their numbers, which may repeat: ``a[indices]``.

    Examples
    --------
    >>> import steepest as st
    >>> st.take([1.0, 2.0, 3.0], [2, 0, 2])
    tensor([3., 1., 3.])
    """
    return _core.as_tensor(a)[indices]


def var(a: Any, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Average the squared distance from the mean; arguments as for `sum`.

    Examples
    --------
    >>> import steepest as st
    >>> st.var([1.0, 3.0])
    tensor(1.)
    """
    a = _core.as_tensor(a)
    return mean((a - mean(a, axis, keepdims=True)) ** 2, axis, keepdims)


pi = math.pi

# What tensors offer as methods too: functions of one tensor, and some reductions.
METHODS = (
    *(name for name in _elementwise_functions if _ops[name]["arity"] == 1),
    *("sum", "mean", "max", "min", "var", "logsumexp", "clip", "dot", "softmax", "log_softmax", "relu"),
)

__all__ = [
    "broadcast_to",
    "clip",
    "concatenate",
    "cross_entropy",
    "dot",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "matmul",
    "max",
    "mean",
    "min",
    "pi",
    "relu",
    "reshape",
    "softmax",
    "stack",
    "sum",
    "take",
    "transpose",
    "var",
    *_elementwise_functions,
]
