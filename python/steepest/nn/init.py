"""Where parameters begin (C7): variances that keep signals the same size through many layers.

Kaiming's variance, ``gain**2 / fan``, is inversely proportional to the number of inputs (the source writes its square
root: a flaw). Functions change a tensor in place and return it, as PyTorch's do.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from steepest.autodiff._tensor import no_grad

Tensor: TypeAlias = Any
_generator = np.random.default_rng()
_GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3.0, "relu": math.sqrt(2.0)}


def manual_seed(seed: int) -> None:
    """Make the numbers that parameters begin with repeatable; also those of dropout outside of ``fit``.

    Examples
    --------
    >>> import steepest as st
    >>> st.nn.manual_seed(0)
    >>> first = st.nn.Linear(2, 2).state_dict()
    >>> st.nn.manual_seed(0)
    >>> bool((first["weight"] == st.nn.Linear(2, 2).state_dict()["weight"]).all())
    True
    """
    global _generator
    _generator = np.random.default_rng(seed)


def generator() -> np.random.Generator:
    """Return the generator that `manual_seed` seeds.

    Examples
    --------
    >>> import steepest as st
    >>> st.nn.init.generator().random() < 1
    True
    """
    return _generator


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return how much a nonlinearity shrinks a signal, as PyTorch has it.

    Parameters
    ----------
    nonlinearity : "linear", "sigmoid", "tanh", "relu" or "leaky_relu"
        What follows the layer.
    param : float, optional
        The slope of "leaky_relu", 0.01 by default.

    Examples
    --------
    >>> import steepest as st
    >>> print(f"{st.nn.init.calculate_gain('relu'):.4f}")
    1.4142
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1.0 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"unknown nonlinearity {nonlinearity!r}; there are: leaky_relu, {', '.join(sorted(_GAINS))}")
    return _GAINS[nonlinearity]


def _fans(tensor: Tensor) -> tuple[int, int]:
    """Return the numbers of inputs and outputs of a weight."""
    if tensor.ndim < 2:
        raise ValueError(f"a weight of inputs and outputs has at least two axes, not {tensor.ndim}")
    inner = math.prod(tensor.shape[2:])
    return tensor.shape[1] * inner, tensor.shape[0] * inner


def _fan(tensor: Tensor, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f'mode must be "fan_in" or "fan_out", not {mode!r}')
    return _fans(tensor)[mode == "fan_out"]


def _filled(tensor: Tensor, numbers: NDArray[Any]) -> Tensor:
    with no_grad():
        tensor.copy_(numbers.astype(tensor.dtype))
    return tensor


def _uniform(tensor: Tensor, deviation: float) -> Tensor:
    bound = math.sqrt(3.0) * deviation
    return _filled(tensor, _generator.uniform(-bound, bound, tensor.shape))


def _normal(tensor: Tensor, deviation: float) -> Tensor:
    return _filled(tensor, _generator.normal(0.0, deviation, tensor.shape))


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Fill a weight uniformly with the variance ``gain**2 / fan`` (C7).

    Parameters
    ----------
    tensor : Tensor, shape (outputs, inputs, ...)
        Changed in place.
    a : float
        The slope of the "leaky_relu" behind the layer; 0 is ReLU.
    mode : "fan_in" or "fan_out"
        Whether signals keep their size forwards or backwards.
    nonlinearity : str
        See `calculate_gain`.

    Examples
    --------
    >>> import steepest as st
    >>> weight = st.nn.init.kaiming_uniform_(st.nn.Parameter([[0.0] * 50] * 100))
    >>> bool(abs(weight.numpy()).max() <= (6 / 50) ** 0.5)
    True
    """
    return _uniform(tensor, calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode)))


def kaiming_normal_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Fill a weight from a normal distribution of variance ``gain**2 / fan``; arguments as `kaiming_uniform_` (C7).

    Examples
    --------
    >>> import steepest as st
    >>> st.nn.init.kaiming_normal_(st.nn.Parameter([[0.0] * 50] * 100)).shape
    (100, 50)
    """
    return _normal(tensor, calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode)))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Fill a weight uniformly with the variance ``2 gain**2 / (inputs + outputs)``.

    Examples
    --------
    >>> import steepest as st
    >>> st.nn.init.xavier_uniform_(st.nn.Parameter([[0.0] * 50] * 100)).shape
    (100, 50)
    """
    return _uniform(tensor, gain * math.sqrt(2.0 / sum(_fans(tensor))))


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Fill a weight from a normal distribution of variance ``2 gain**2 / (inputs + outputs)``.

    Examples
    --------
    >>> import steepest as st
    >>> st.nn.init.xavier_normal_(st.nn.Parameter([[0.0] * 50] * 100)).shape
    (100, 50)
    """
    return _normal(tensor, gain * math.sqrt(2.0 / sum(_fans(tensor))))


def zeros_(tensor: Tensor) -> Tensor:
    """Fill a tensor with zeros.

    Examples
    --------
    >>> import steepest as st
    >>> st.nn.init.zeros_(st.nn.Parameter([1.0, 2.0])).numpy()
    array([0., 0.], dtype=float32)
    """
    return _filled(tensor, np.zeros(tensor.shape))
