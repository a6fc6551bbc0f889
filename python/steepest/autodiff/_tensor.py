"""Tensors: numbers that remember what they were computed from, with PyTorch's names (E1).

The class is compiled; what need not be fast is added to it here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from steepest import _core
from steepest.autodiff import _functions as functions

Tensor: TypeAlias = Any

_class = _core.Tensor
_FLOATS = (np.dtype(np.float64), np.dtype(np.float32))


def _is_narrow(dtype: DTypeLike) -> bool:
    """Tell float32 from float64 and refuse the rest."""
    wanted = np.dtype(dtype)
    if wanted not in _FLOATS:
        raise TypeError(f"tensors are float64 or float32, not {wanted}")
    return wanted == np.float32


def tensor(data: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Make a tensor from a copy of numbers (E1).

    Parameters
    ----------
    data : number, array_like or tensor
        Real numbers of any shape up to six axes.
    dtype : float64 or float32, optional
        float64 unless the data is an array of float32.
    requires_grad : bool
        Whether ``backward()`` is to compute its gradient.

    Returns
    -------
    Tensor

    Raises
    ------
    TypeError
        For anything but real numbers, and other dtypes.

    Examples
    --------
    >>> import steepest as st
    >>> W = st.tensor(0.0, requires_grad=True)
    >>> loss = W**2 - 4 * W + 8
    >>> loss.backward()
    >>> print(f"{loss:.3f} {W.grad:.3f}")
    8.000 -4.000
    """
    if isinstance(data, _class):
        if data.traced:
            raise TypeError("tensor() of a traced tensor: its value is not known while the function is traced")
        data = data.numpy()
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ValueError(f"the data is no regular array: {error}") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"a tensor holds real numbers, not {array.dtype}")
    narrow = array.dtype == np.float32 if dtype is None else _is_narrow(dtype)
    return _core.new_tensor(array, narrow, bool(requires_grad))


def grad(
    output: Tensor,
    inputs: Tensor | Sequence[Tensor],
    grad_output: Any = None,
    *,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor, ...]:
    """Differentiate a tensor by others, and leave their ``.grad`` alone (B2).

    Parameters
    ----------
    output : Tensor
        One number, unless `grad_output` says how its numbers are weighted.
    inputs : Tensor or sequence of Tensor
        What to differentiate by; they require gradients.
    grad_output : tensor or array_like, optional
        In the shape of `output`: the result is the gradient of ``sum(grad_output * output)``.
    create_graph : bool
        Whether the gradients can be differentiated again.
    allow_unused : bool
        Whether an input that the output does not depend on gives None instead of an error.

    Returns
    -------
    tuple of Tensor
        One per input, as PyTorch returns them.

    Raises
    ------
    RuntimeError
        Where nothing requires a gradient, or an input is not used.
    ValueError
        Where `output` has several numbers and `grad_output` is missing.

    Examples
    --------
    >>> import steepest as st
    >>> x, y = st.tensor(2.0, requires_grad=True), st.tensor(5.0, requires_grad=True)
    >>> dx, dy = st.grad(st.log(x) + x * y - st.sin(y), (x, y))
    >>> print(f"{dx:.4f} {dy:.4f}")
    5.5000 1.7163
    """
    listed = [inputs] if isinstance(inputs, _class) else list(inputs)
    result: tuple[Tensor, ...] = _core.grad(output, listed, grad_output, create_graph, allow_unused)
    return result


class no_grad(contextlib.ContextDecorator):
    """Compute without remembering: no graph is made inside, as a context or as a decorator (E1).

    Examples
    --------
    >>> import steepest as st
    >>> W = st.tensor(1.0, requires_grad=True)
    >>> with st.no_grad():
    ...     W -= 0.25
    >>> W
    tensor(0.75, requires_grad=True)
    """

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(_core.set_recording(False))

    def __exit__(self, *_: object) -> None:
        _core.set_recording(self._before.pop())


class detect_anomaly(contextlib.ContextDecorator):
    """Raise where an operation gives NaN from numbers that are none, also in the backward pass.

    Raises
    ------
    FloatingPointError
        Naming the operation.

    Examples
    --------
    >>> import steepest as st
    >>> with st.detect_anomaly():
    ...     st.log(st.tensor(-1.0))
    Traceback (most recent call last):
    ...
    FloatingPointError: log gave NaN from numbers that are none, of shape ()
    """

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(_core.watch(True))

    def __exit__(self, *_: object) -> None:
        _core.watch(self._before.pop())


# --- what the class has besides arithmetic --------------------------------------------------------


def _repr(self: Tensor) -> str:
    if self.traced:
        return f"<traced tensor of {self.ndim} axes>"
    suffix = ", dtype=float32" if self.dtype == np.float32 else ""
    suffix += ", requires_grad=True" if self.requires_grad else ""
    return f"tensor({np.array2string(self.numpy(), separator=', ', prefix='tensor(')}{suffix})"


def _format(self: Tensor, spec: str) -> str:
    if self.ndim == 0 and not self.traced:
        return format(self.item(), spec)
    if spec:
        raise TypeError(f"a format such as {spec!r} takes a tensor of one known number")
    return _repr(self)


def _array(self: Tensor, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
    """Return the numbers as an array: a read-only view where that is possible."""
    array: NDArray[Any] = self.numpy()
    converted = array if dtype is None else array.astype(dtype, copy=False)
    if copy is False and (converted is not array or array.size == 1):
        raise ValueError("this tensor cannot become that array without a copy")
    return converted.copy() if copy else converted


_UFUNCS = {
    name: getattr(functions, name) for name in functions.__all__ if isinstance(getattr(np, name, None), np.ufunc)
}
_UFUNCS["absolute"] = _UFUNCS["abs"]
_FUNCTIONS = {
    getattr(np, name): getattr(functions, name)
    for name in functions.__all__
    if callable(getattr(np, name, None)) and not isinstance(getattr(np, name), np.ufunc)
}
_FUNCTIONS |= {np.shape: lambda a: a.shape, np.ndim: lambda a: a.ndim, np.size: lambda a: a.size}


def _array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    function = _UFUNCS.get(ufunc.__name__)
    if function is None or method != "__call__" or kwargs:
        raise TypeError(f"np.{ufunc.__name__} does not know tensors in this way; use steepest's functions or .numpy()")
    return function(*inputs)


def _array_function(self: Tensor, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    function = _FUNCTIONS.get(func)
    if function is None:
        raise TypeError(f"np.{func.__name__} does not know tensors; use steepest's functions or .numpy()")
    return function(*args, **kwargs)


def _sizes(shape: tuple[Any, ...]) -> Any:
    return shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape


def _iterate(self: Tensor) -> Iterator[Tensor]:
    return (self[i] for i in range(len(self)))


def _requires_grad_(self: Tensor, requires_grad: bool = True) -> Tensor:
    self.requires_grad = requires_grad
    return self


def _set_item(self: Tensor, index: Any, value: Any) -> None:
    changed = self.numpy().copy()
    changed[index] = np.asarray(value)
    self.assign(tensor(changed, dtype=self.dtype))


def _fill(self: Tensor, value: Any) -> Tensor:
    self.assign(value)
    return self


def _restore(data: NDArray[Any], requires_grad: bool) -> Tensor:
    return tensor(data, requires_grad=requires_grad)


def _reduce(self: Tensor) -> tuple[Any, ...]:
    if not self.is_leaf:
        raise TypeError("only leaves can be pickled and copied deeply: detach() the tensor first")
    return _restore, (np.array(self.numpy()), self.requires_grad)


def _index(self: Tensor) -> int:
    value = float(self)
    if value != int(value):
        raise TypeError(f"{value!r} is no whole number")
    return int(value)


_methods = {
    "__repr__": _repr,
    "__str__": _repr,
    "__format__": _format,
    "__array__": _array,
    "__array_ufunc__": _array_ufunc,
    "__array_function__": _array_function,
    "__iter__": _iterate,
    "__setitem__": _set_item,
    "__index__": _index,
    "__reduce__": _reduce,
    "requires_grad_": _requires_grad_,
    "copy_": _fill,
    "fill_": _fill,
    "astype": lambda self, dtype: _core.astype(self, _is_narrow(dtype)),
    "clone": lambda self: self + 0.0,
    "tolist": lambda self: self.numpy().tolist(),
    "dim": lambda self: self.ndim,
    "pow": lambda self, exponent: self**exponent,
    "reshape": lambda self, *shape: functions.reshape(self, _sizes(shape)),
    "transpose": lambda self, *axes: functions.transpose(self, _sizes(axes) if axes else None),
    "T": property(functions.transpose),
}
for _name in functions.METHODS:
    _methods[_name] = getattr(functions, _name)
_class.__doc__ = """Numbers of one dtype, float64 or float32, that remember what they were computed from (E1).

Arithmetic, comparisons (numbers 0 and 1), indexing and the functions of steepest on tensors make tensors. Values never
change behind a name's back: an in-place operation gives the tensor a new value, and arrays and graphs made before keep
the old one. Masks and comparisons have no derivative.

Attributes
----------
shape, ndim, size, dtype
    As of arrays.
requires_grad : bool
    Whether gradients are computed by it, or through it.
grad : Tensor or None
    What ``backward()`` added up; of leaves alone.
is_leaf : bool
    Whether it was not computed from others.

Examples
--------
>>> import steepest as st
>>> w = st.tensor([1.0, 2.0], requires_grad=True)
>>> (w * w).sum().backward()
>>> w.grad
tensor([2., 4.])
"""
for _name, _method in _methods.items():
    setattr(_class, _name, _method)
