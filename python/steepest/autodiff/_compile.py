"""Functions of parameters alone, compiled to their value and gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepest import _core
from steepest._data import as_array, require_numeric
from steepest.autodiff._loss import _traced


class CompiledFunction:
    """A function with its gradient, made by `compile`; calling it returns both."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        if not callable(function):
            raise TypeError(f"compile takes a function, not {function!r}")
        self.function = function
        self.name = str(getattr(function, "__name__", type(function).__name__))
        self._compiled: dict[Any, Any] = {}

    def __repr__(self) -> str:
        return f"<compiled function {self.name}>"

    def __call__(self, x: ArrayLike) -> tuple[float, NDArray[Any]]:
        """Return value and gradient, as `value_and_gradient` does."""
        return self.value_and_gradient(x)

    def value_and_gradient(self, x: ArrayLike) -> tuple[float, NDArray[Any]]:
        """Return the value and the gradient in the shape of x.

        Raises
        ------
        FloatingPointError
            Where the value is NaN although x is finite, naming the operation that made it so.

        Examples
        --------
        >>> import steepest as st
        >>> st.compile(lambda x: st.sum(x**2)).value_and_gradient([1.0, 2.0])
        (5.0, array([2., 4.]))
        """
        point = self._point(x)
        compiled = self._for(point)
        value, gradient = compiled.value_and_gradient(point.ravel())
        self._check(value, compiled, point)
        return value, gradient.reshape(point.shape)

    def value(self, x: ArrayLike) -> float:
        """Return the value alone.

        Examples
        --------
        >>> import steepest as st
        >>> st.compile(lambda x: st.sum(x**2)).value([1.0, 2.0])
        5.0
        """
        point = self._point(x)
        compiled = self._for(point)
        value = float(compiled.value(point.ravel()))
        self._check(value, compiled, point)
        return value

    def gradient(self, x: ArrayLike) -> NDArray[Any]:
        """Return the gradient alone, in the shape of x.

        Examples
        --------
        >>> import steepest as st
        >>> st.compile(lambda x: st.sum(x**2)).gradient([1.0, 2.0])
        array([2., 4.])
        """
        return self.value_and_gradient(x)[1]

    @staticmethod
    def _point(x: ArrayLike) -> NDArray[Any]:
        point = as_array(x, "x")
        require_numeric(point, "x")
        return np.asarray(point, dtype=np.float32 if point.dtype == np.float32 else np.float64, order="C")

    def _for(self, point: NDArray[Any]) -> Any:
        """Return what is compiled for a shape and dtype."""
        key = point.shape, point.dtype
        if key not in self._compiled:
            narrow = point.dtype == np.float32
            trace = _core.Trace(narrow)
            with trace:
                root = _traced(self.function, trace.parameter(point.shape))
                try:
                    programs = trace.compile(root, "plain_value", False)
                except ValueError as error:
                    raise ValueError(f"{self.name}: {error}") from None
            self._compiled[key] = (_core.Compiled32 if narrow else _core.Compiled64)(programs)
        return self._compiled[key]

    def _check(self, value: float, compiled: Any, point: NDArray[Any]) -> None:
        if value != value and np.isfinite(point).all():
            fault = compiled.fault(point.ravel()) or "an overflow on the way"
            raise FloatingPointError(f"{self.name} is NaN: {fault}")


def compile(function: Callable[[Any], Any]) -> CompiledFunction:
    """Compile a function of an array to its value and gradient, for use with SciPy (B2).

    Parameters
    ----------
    function : callable
        ``f(x)`` returns one number computed from x by steepest's functions and operators. It is traced once for each
        shape and dtype of x, as `loss` does it.

    Returns
    -------
    CompiledFunction
        Called with x it returns value and gradient, as ``.value_and_gradient`` does; ``.value`` and ``.gradient``
        return one of them.

    Examples
    --------
    >>> import scipy.optimize
    >>> import steepest as st
    >>> rosenbrock = st.compile(lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2)
    >>> found = scipy.optimize.minimize(rosenbrock, [-1.0, 2.0], jac=True)
    >>> print(found.x.round(4))
    [1. 1.]
    """
    return CompiledFunction(function)
