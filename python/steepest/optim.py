"""Update rules: what one update does with the gradient of a batch.

Every class here is made from the compiled core's list; ``available()`` names them.
"""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from steepest import _core
from steepest._lists import Member, MemberList, class_name, make_classes, registry


class Rule(Member):
    """An update rule.

    It says how ``minimize`` steps, or, given tensors as the first argument, steps those (E2).

    Attributes
    ----------
    name, formula : str
        Its name in ``available()``, and the new x as a Python expression.
    lr : float or None
        The step size, where it was given here and not to ``minimize``.
    """

    __slots__ = ("_lr", "_states", "_steps", "_tensors")
    state_vectors: ClassVar[int] = 0
    _extra_parameters: ClassVar[list[inspect.Parameter]] = [
        inspect.Parameter("lr", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="float | None")
    ]
    _lr: float | None
    _tensors: list[Any]
    _states: list[NDArray[Any]]

    def __init__(self, *args: Any, lr: float | None = None, **kwargs: Any) -> None:
        tensors: list[Any] | None = None
        if args and isinstance(args[0], (_core.Tensor, Iterable)):
            tensors, args = _checked_tensors(type(self).__name__, args[0]), args[1:]
        super().__init__(*args, **kwargs)
        if lr is not None and (not isinstance(lr, numbers.Real) or isinstance(lr, bool)):
            raise TypeError(f"{type(self).__name__}: lr must be a number, not {lr!r}")
        if lr is not None and not 0 < lr < float("inf"):
            raise ValueError(f"{type(self).__name__}: lr must be positive and finite, not {lr!r}")
        self._lr = lr
        if tensors is not None and lr is None:
            raise ValueError(f"{type(self).__name__}: tensors are stepped with a step size of their own; pass lr=")
        self._tensors = tensors or []
        self._states = [np.zeros(self.state_vectors * t.size, dtype=t.dtype) for t in self._tensors]
        self._steps = 0

    def step(self) -> None:
        """Update every tensor by its gradient; those without one stay (E2).

        Examples
        --------
        >>> import steepest as st
        >>> W = st.tensor(0.0, requires_grad=True)
        >>> optimizer = st.optim.SGD([W], lr=0.1)
        >>> (W**2 - 4 * W + 8).backward()
        >>> optimizer.step()
        >>> print(f"{W.item():.3f}")
        0.400
        """
        self._steps += 1
        for tensor, state in zip(self._tensors, self._states, strict=True):
            if tensor.grad is not None:
                _core.step(tensor, self._index, self._values, state, self._lr, self._steps)

    def zero_grad(self) -> None:
        """Forget the gradients of the tensors, so that the next ``backward()`` starts anew (E2).

        Examples
        --------
        >>> import steepest as st
        >>> W = st.tensor(1.0, requires_grad=True)
        >>> (W * W).backward()
        >>> st.optim.SGD([W], lr=0.1).zero_grad()
        >>> W.grad is None
        True
        """
        for tensor in self._tensors:
            tensor.grad = None

    @property
    def lr(self) -> float | None:
        """The step size given with the rule."""
        return self._lr

    def __repr__(self) -> str:
        inside = super().__repr__()
        if self._lr is None:
            return inside
        return f"{inside[:-1]}{', ' if self._values else ''}lr={self._lr!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self._values, self._lr)

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and self._lr == getattr(other, "_lr", None)

    __hash__ = Member.__hash__


def _checked_tensors(rule: str, given: Any) -> list[Any]:
    """Return the tensors to step."""
    tensors = [given] if isinstance(given, _core.Tensor) else list(given)
    if not tensors:
        raise ValueError(f"{rule}: there are no tensors to step")
    for position, tensor in enumerate(tensors):
        if not isinstance(tensor, _core.Tensor):
            raise TypeError(f"{rule} steps tensors; at position {position} there is {tensor!r}")
        if not (tensor.requires_grad and tensor.is_leaf):
            raise ValueError(f"{rule} steps leaves that require a gradient; the tensor at position {position} does not")
    return tensors


def _restore(rule: type[Rule], values: tuple[float, ...], lr: float | None) -> Rule:
    return rule(*values, lr=lr)


_classes = make_classes(Rule, registry["rules"], __name__)
_list: MemberList[Rule] = MemberList("method", _classes)
globals().update({class_name(name): cls for name, cls in _list._classes.items()})

available = _list.available
get = _list.get

__all__ = ["Rule", "available", "get", *(class_name(name) for name in _list._classes)]
