"""The third source's modules as it writes them down: the way back of each, with its own rule at ties (C1)."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


def grad_linear(W: Array, X: Array, slope: Array) -> tuple[Array, Array]:
    """Differentiate ``Y = W X`` by X and W (C1).

    Parameters
    ----------
    W, X : ndarray
        Matrices that can be multiplied, an example per column of X.
    slope : ndarray
        The derivative of the cost by Y.

    Returns
    -------
    tuple of ndarray
        ``W.T slope`` and ``slope X.T``.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.reference import grad_linear
    >>> grad_linear(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.array([[1.0]]))
    (array([[1.],
           [2.]]), array([[3., 4.]]))
    """
    return W.T @ slope, slope @ X.T


def grad_relu(x: Array, slope: Array) -> Array:
    """Differentiate ``maximum(x, 0)``; at 0 the source lets the gradient through, PyTorch and `st.nn` do not (C1).

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.reference import grad_relu
    >>> grad_relu(np.array([-1.0, 0.0, 1.0]), np.ones(3))
    array([0., 1., 1.])
    """
    return np.where(x < 0, 0.0, slope)


def grad_max(x1: Array, x2: Array, slope: Array) -> tuple[Array, Array]:
    """Differentiate ``maximum(x1, x2)``; in a tie the source gives all to the second, PyTorch and `st.nn` share (C1).

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.reference import grad_max
    >>> grad_max(np.array([2.0, 1.0]), np.array([1.0, 1.0]), np.ones(2))
    (array([1., 0.]), array([0., 1.]))
    """
    first = x1 > x2
    return np.where(first, slope, 0.0), np.where(first, 0.0, slope)
