"""Update rules: what one update does with the gradient of a batch.

Every class here is made from the compiled core's list; ``available()`` names them.
"""

from __future__ import annotations

import inspect
import numbers
from typing import Any, ClassVar

from steepest._lists import Member, MemberList, class_name, make_classes, registry


class Rule(Member):
    """An update rule.

    Attributes
    ----------
    name, formula : str
        Its name in ``available()``, and the new x as a Python expression.
    lr : float or None
        The step size, where it was given here and not to ``minimize``.
    """

    __slots__ = ("_lr",)
    state_vectors: ClassVar[int] = 0
    _extra_parameters: ClassVar[list[inspect.Parameter]] = [
        inspect.Parameter("lr", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="float | None")
    ]
    _lr: float | None

    def __init__(self, *args: Any, lr: float | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if lr is not None and (not isinstance(lr, numbers.Real) or isinstance(lr, bool)):
            raise TypeError(f"{type(self).__name__}: lr must be a number, not {lr!r}")
        if lr is not None and not 0 < lr < float("inf"):
            raise ValueError(f"{type(self).__name__}: lr must be positive and finite, not {lr!r}")
        self._lr = lr

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


def _restore(rule: type[Rule], values: tuple[float, ...], lr: float | None) -> Rule:
    return rule(*values, lr=lr)


_classes = make_classes(Rule, registry["rules"], __name__)
_list: MemberList[Rule] = MemberList("method", _classes)
globals().update({class_name(name): cls for name, cls in _list._classes.items()})

available = _list.available
get = _list.get

__all__ = ["Rule", "available", "get", *(class_name(name) for name in _list._classes)]
