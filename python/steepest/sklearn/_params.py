"""What estimators accept as parameters, checked when they are fitted, as scikit-learn does."""

from __future__ import annotations

import functools
import inspect
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

Constructor = TypeVar("Constructor", bound=Callable[..., None])


def keeping_arguments(init: Constructor) -> Constructor:
    """Make a constructor keep its arguments under their names, which is all that scikit-learn allows one to do.

    Examples
    --------
    >>> class Model:
    ...     @keeping_arguments
    ...     def __init__(self, alpha=1.0, *, tol=None): ...
    >>> vars(Model(0.5))
    {'alpha': 0.5, 'tol': None}
    """
    signature = inspect.signature(init)

    @functools.wraps(init)
    def keep(self: Any, *args: Any, **kwargs: Any) -> None:
        given = signature.bind(self, *args, **kwargs)
        given.apply_defaults()
        for name in list(signature.parameters)[1:]:
            setattr(self, name, given.arguments[name])

    return cast(Constructor, keep)


class Check(NamedTuple):
    """What a parameter may be: in words, and as a test."""

    what: str
    test: Callable[[Any], bool]


def _is_number(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, (bool, np.bool_))


def one_of(names: Iterable[str]) -> Check:
    """Accept one of these words."""
    words = sorted(names)
    return Check(f"one of {', '.join(map(repr, words))}", lambda value: isinstance(value, str) and value in words)


def real(low: float, high: float = math.inf, closed: str = "left") -> Check:
    """Accept a number of an interval, of which neither, the left or both ends belong to it."""
    left, right = "(" if closed == "neither" else "[", "]" if closed == "both" else ")"

    def inside(value: Any) -> bool:
        if not _is_number(value, numbers.Real):
            return False
        return low < value < high or (closed != "neither" and value == low) or (closed == "both" and value == high)

    return Check(f"a number in {left}{low:g}, {high:g}{right}", inside)


def whole(low: int) -> Check:
    """Accept a whole number of at least `low`."""
    return Check(
        f"a whole number of at least {low}", lambda value: _is_number(value, numbers.Integral) and value >= low
    )


def instance(kind: type, what: str) -> Check:
    """Accept anything of a type."""
    return Check(what, lambda value: isinstance(value, kind))


def either(*checks: Check) -> Check:
    """Accept what one of the checks accepts."""
    return Check(" or ".join(check.what for check in checks), lambda value: any(check.test(value) for check in checks))


any_real = Check("a number", lambda value: _is_number(value, numbers.Real) and math.isfinite(value))
any_whole = Check("a whole number", lambda value: _is_number(value, numbers.Integral))
any_array = Check("an array-like", lambda value: isinstance(value, (list, tuple, np.ndarray)))
boolean = Check("a bool", lambda value: isinstance(value, (bool, np.bool_)))
nothing = Check("None", lambda value: value is None)
verbosity = either(boolean, whole(0))


def check_params(estimator: Any, checks: Mapping[str, Check]) -> None:
    """Raise for the first parameter that is none of what it may be.

    Raises
    ------
    ValueError
        Naming the parameter, what it may be and what it is.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> check_params(SimpleNamespace(alpha=-1.0), {"alpha": real(0)})
    Traceback (most recent call last):
    ...
    ValueError: The 'alpha' parameter of SimpleNamespace must be a number in [0, inf). Got -1.0 instead.
    """
    for name, check in checks.items():
        value = getattr(estimator, name)
        if not check.test(value):
            owner = type(estimator).__name__
            raise ValueError(f"The {name!r} parameter of {owner} must be {check.what}. Got {value!r} instead.")
