"""The modules that the source names, and those that small networks are made of (C1, C8)."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from steepest import _core
from steepest.autodiff import _functions as functions
from steepest.nn import init
from steepest.nn._module import Module, Parameter

Tensor: TypeAlias = Any


def _checked_size(owner: str, name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{owner}: {name} must be a whole number, not {value!r}")
    if value < 1:
        raise ValueError(f"{owner}: {name} must be at least 1, not {value}")
    return int(value)


class Linear(Module):
    """``y = x @ weight.T + bias``: a weighted sum of the inputs for every output (C1).

    Parameters
    ----------
    in_features, out_features : int
        Sizes of the last axis of x and y.
    bias : bool
        Whether there is a bias.
    dtype : float32 or float64
        Of the parameters. Training computes in the dtype of the data.

    Attributes
    ----------
    weight : Tensor, shape (out_features, in_features)
        Uniform with Kaiming's variance, ``2 / in_features``, at first (C7; PyTorch begins with a sixth of it).
    bias : Tensor, shape (out_features,), or None
        Zeros at first; penalties leave it alone.

    Examples
    --------
    >>> import steepest as st
    >>> layer = st.nn.Linear(3, 2)
    >>> layer([[1.0, 2.0, 3.0]]).shape
    (1, 2)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, dtype: DTypeLike = np.float32) -> None:
        super().__init__()
        self.in_features = _checked_size("Linear", "in_features", in_features)
        self.out_features = _checked_size("Linear", "out_features", out_features)
        self.weight = Parameter(np.zeros((self.out_features, self.in_features)), dtype)
        self.bias = Parameter(np.zeros(self.out_features), dtype) if bias else None
        init.kaiming_uniform_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the weighted sums.

        Raises
        ------
        ValueError
            Where the last axis of x does not have `in_features` numbers.

        Examples
        --------
        >>> import steepest as st
        >>> layer = st.nn.Linear(2, 1)
        >>> layer.load_state_dict({"weight": [[1.0, 10.0]], "bias": [0.5]})
        >>> layer([1.0, 2.0])
        tensor([21.5], dtype=float32, requires_grad=True)
        """
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            given = "a single number" if x.ndim == 0 else f"{x.shape[-1]} numbers"
            raise ValueError(f"{self!r} takes {self.in_features} numbers per row, not {given}")
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        """Return the sizes.

        Examples
        --------
        >>> import steepest as st
        >>> st.nn.Linear(3, 2, bias=False)
        Linear(3, 2, bias=False)
        """
        return f"{self.in_features}, {self.out_features}" + (", bias=False" if self.bias is None else "")


class _Elementwise(Module):
    """What keeps the number of features."""

    keeps_size = True


def _activation(name: str, function: Callable[[Tensor], Tensor], formula: str) -> type[Module]:
    """Make the module of a function of one tensor."""

    def forward(self: Module, x: Tensor) -> Tensor:
        return function(x)

    forward.__doc__ = f"Compute {formula}."
    forward.__qualname__ = f"{name}.forward"
    doc = f"""{formula} (C1).

    Examples
    --------
    >>> import steepest as st
    >>> st.nn.{name}()(st.tensor([[-1.0, 0.0, 2.0]])).shape
    (1, 3)
    """
    return type(name, (_Elementwise,), {"__doc__": doc, "__module__": __name__, "forward": forward})


ReLU = _activation("ReLU", functions.relu, "``maximum(x, 0)``, with the derivative 0 at 0 as PyTorch has it")
Sigmoid = _activation("Sigmoid", functions._elementwise_functions["sigmoid"], "``1 / (1 + exp(-x))``")
Tanh = _activation("Tanh", functions._elementwise_functions["tanh"], "``tanh(x)``")
Softmax = _activation("Softmax", functions.softmax, "``exp(x) / sum(exp(x))`` along the last axis")
LogSoftMax = _activation(
    "LogSoftMax", functions.log_softmax, "``x - log(sum(exp(x)))`` along the last axis, finite for large x"
)
# The source writes it so, PyTorch otherwise.
LogSoftmax = LogSoftMax


class LeakyReLU(_Elementwise):
    """``where(x > 0, x, negative_slope * x)``.

    Parameters
    ----------
    negative_slope : float
        Finite.

    Examples
    --------
    >>> import steepest as st
    >>> st.nn.LeakyReLU(0.1)(st.tensor([-1.0, 2.0]))
    tensor([-0.1,  2. ])
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        if not isinstance(negative_slope, numbers.Real) or not math.isfinite(negative_slope):
            raise ValueError(f"LeakyReLU: negative_slope must be a finite number, not {negative_slope!r}")
        self.negative_slope: float = float(negative_slope)

    def forward(self, x: Tensor) -> Tensor:
        """Compute it.

        Examples
        --------
        >>> import steepest as st
        >>> st.nn.LeakyReLU().forward(st.tensor(-100.0))
        tensor(-1.)
        """
        return functions._elementwise_functions["where"](x > 0.0, x, self.negative_slope * x)

    def extra_repr(self) -> str:
        """Return the slope.

        Examples
        --------
        >>> import steepest as st
        >>> st.nn.LeakyReLU()
        LeakyReLU(negative_slope=0.01)
        """
        return f"negative_slope={self.negative_slope}"


class Dropout(_Elementwise):
    """Inputs set to zero at random while training, the others divided by the share kept (C8).

    So the expectation does not change, and nothing happens when predicting. In `fit` the mask of a row depends on the
    seed, the epoch and the row's number alone; otherwise on `manual_seed`.

    Parameters
    ----------
    p : float
        The rate of zeros, in [0, 1).

    Examples
    --------
    >>> import steepest as st
    >>> layer = st.nn.Dropout(0.5)
    >>> sorted(set(layer(st.tensor([1.0] * 100)).tolist()))
    [0.0, 2.0]
    >>> layer.eval()(st.tensor([1.0, 1.0]))
    tensor([1., 1.])
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not isinstance(p, numbers.Real) or isinstance(p, bool):
            raise TypeError(f"Dropout: the rate p must be a number, not {p!r}")
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: the rate p must lie in [0, 1), not {p!r}")
        self.p: float = float(p)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply by a mask.

        Examples
        --------
        >>> import steepest as st
        >>> st.nn.Dropout(0.0).forward(st.tensor([1.0, 2.0]))
        tensor([1., 2.])
        """
        if not self.training or self.p == 0:
            return x
        if x.traced:
            return x * _core.mask(x, self.p)
        kept = init.generator().random(x.shape) >= self.p
        return x * (kept / (1 - self.p)).astype(x.dtype)

    def extra_repr(self) -> str:
        """Return the rate.

        Examples
        --------
        >>> import steepest as st
        >>> st.nn.Dropout()
        Dropout(p=0.5)
        """
        return f"p={self.p}"


class Duplicate(_Elementwise):
    """The input several times: gradients of the copies are added (C1).

    Parameters
    ----------
    copies : int
        How many.

    Examples
    --------
    >>> import steepest as st
    >>> st.nn.Duplicate()(st.tensor(1.0))
    (tensor(1.), tensor(1.))
    """

    def __init__(self, copies: int = 2) -> None:
        super().__init__()
        self.copies = _checked_size("Duplicate", "copies", copies)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the copies as a tuple.

        Examples
        --------
        >>> import steepest as st
        >>> len(st.nn.Duplicate(3).forward(st.tensor(1.0)))
        3
        """
        return (x,) * self.copies


class Add(_Elementwise):
    """The sum of its inputs: each gets the whole gradient (C1).

    Examples
    --------
    >>> import steepest as st
    >>> st.nn.Add()(st.tensor(1.0), st.tensor(2.0))
    tensor(3.)
    """

    def forward(self, *inputs: Tensor) -> Tensor:
        """Compute the sum.

        Examples
        --------
        >>> import steepest as st
        >>> st.nn.Add().forward(st.tensor(1.0), st.tensor(2.0), st.tensor(3.0))
        tensor(6.)
        """
        return _folded(type(self).__name__, inputs, lambda a, b: a + b)


class Max(_Elementwise):
    """The largest of its inputs, elementwise: it gets the gradient; in a tie they share it (C1).

    Examples
    --------
    >>> import steepest as st
    >>> st.nn.Max()(st.tensor([1.0, 5.0]), st.tensor([3.0, 4.0]))
    tensor([3., 5.])
    """

    def forward(self, *inputs: Tensor) -> Tensor:
        """Compute the maximum.

        Examples
        --------
        >>> import steepest as st
        >>> st.nn.Max().forward(st.tensor(1.0), st.tensor(2.0))
        tensor(2.)
        """
        return _folded(type(self).__name__, inputs, functions._elementwise_functions["maximum"])


def _folded(name: str, inputs: tuple[Tensor, ...], combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    if not inputs:
        raise TypeError(f"{name} takes at least one input")
    result = inputs[0]
    for value in inputs[1:]:
        result = combine(result, value)
    return result
