"""Losses that live outside the core, Python callables and C functions, made into problems of the core."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from steepest import _core
from steepest._callbacks import PointerLoss, PythonLoss, function_pointer, is_function_pointer
from steepest._data import FLOATS, as_array, as_rows, require_numeric

Owner: TypeAlias = PythonLoss | PointerLoss


def is_outside(loss: object) -> bool:
    """Tell whether a loss is a pair of callables or a C function pointer.

    A single callable is not: descent needs its gradient, and losses of the core can be called too.
    """
    return is_function_pointer(loss) or (isinstance(loss, tuple) and len(loss) == 2 and all(map(callable, loss)))


def outside_problem(loss: Any, data: Any, x0: Any) -> tuple[Any, Owner]:
    """Make a problem of the core out of a loss outside it.

    Parameters
    ----------
    loss : pair of callables, callable, or C function pointer
        ``(loss_fn, grad_fn)``, each a function of ``(theta, batch)`` and a mean over the batch; ``loss_fn`` alone where
        only values will be asked for; or whatever `function_pointer` recognises.
    data : array_like or tuple of array_like
        Axis 0 runs over the rows. A C function takes ``(X, y)`` or ``y``.
    x0 : array_like or None
        Gives theta its shape; None is a single number, for a single 1-D array.

    Returns
    -------
    problem : Problem64
        Of the core.
    owner : PythonLoss or PointerLoss
        Keeps in ``exception`` what stopped the problem.

    Raises
    ------
    ValueError, TypeError
        Naming the argument and what would be right.
    """
    is_tuple = isinstance(data, tuple)
    arrays = [as_array(part, name) for part, name in _named_parts(data)]
    _check_arrays(arrays, data)
    if x0 is None:
        if is_tuple or arrays[0].ndim != 1:
            raise ValueError("x0 is required: nothing else tells how many parameters the loss has")
        x_shape: tuple[int, ...] = ()
    else:
        start = as_array(x0, "x0")
        require_numeric(start, "x0")
        x_shape = start.shape
        if start.size == 0:
            raise ValueError(f"x0 is empty: its shape is {x_shape}")
    owner: Owner | None = _pointer_loss(loss, arrays, is_tuple, math.prod(x_shape))
    if owner is None:
        value, gradient = loss if isinstance(loss, tuple) else (loss, None)
        owner = PythonLoss(value, gradient, tuple(arrays) if is_tuple else arrays[0], x_shape)
    return _core.Problem64(owner.capsule()), owner


def reraise(owner: Owner) -> None:
    """Raise what stopped the last call, the same object; do nothing where nothing did."""
    error, owner.exception = owner.exception, None
    if error is not None:
        raise error


def evaluate(owner: Owner, method: Callable[..., Any], *args: Any) -> Any:
    """Call a method of the problem of `owner`; an exception of a callable comes out as it was raised."""
    owner.exception = None
    result = None
    try:
        result = method(*args)
    except Exception:
        if owner.exception is None:
            raise
    # Not inside the handler, which would make its exception the context of the callable's.
    reraise(owner)
    return result


def _named_parts(data: Any) -> list[tuple[Any, str]]:
    if not isinstance(data, tuple):
        return [(data, "data")]
    if not data:
        raise ValueError("data is an empty tuple")
    return [(part, f"data[{i}]") for i, part in enumerate(data)]


def _check_arrays(arrays: list[NDArray[Any]], data: Any) -> None:
    for array, (_, name) in zip(arrays, _named_parts(data), strict=True):
        require_numeric(array, name)
        if isinstance(array, np.ma.MaskedArray):
            raise TypeError(f"{name} is a masked array; masks are not read: fill it, or drop the rows")
        if array.ndim == 0:
            raise ValueError(f"{name} is a single number; axis 0 must run over the rows")
        if array.size == 0:
            raise ValueError(f"{name} is empty: its shape is {array.shape}")
        if len(array) != len(arrays[0]):
            raise ValueError(f"data[0] has {len(arrays[0])} rows, {name} has {len(array)}")


def _pointer_loss(loss: Any, arrays: list[NDArray[Any]], is_tuple: bool, parameters: int) -> PointerLoss | None:
    if isinstance(loss, tuple) and len(loss) == 2 and any(map(is_function_pointer, loss)):
        raise TypeError("a C function returns the loss and writes its gradient: give one function, not a pair")
    found = function_pointer(loss)
    if found is None:
        return None
    if is_tuple and len(arrays) != 2:
        raise ValueError(f"a C function takes data (X, y) or y, not a tuple of {len(arrays)}")
    X, y = arrays if is_tuple else (None, arrays[0])
    if X is not None and not _readable(X):
        X = as_rows(X)
    return PointerLoss(*found, X, y if _readable(y) else y.astype(np.float64), parameters, keep=loss)


def _readable(array: NDArray[Any]) -> bool:
    """Tell whether a C function's loop can read an array as it is stored."""
    dtype = array.dtype
    return (dtype in FLOATS or dtype.kind in "biu") and dtype.isnative and array.flags.aligned
