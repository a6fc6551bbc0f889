"""Methods that need the data: variance reduction in the core's loop, and SciPy's over the core's derivatives.

``available()`` names them, ``get(name, ...)`` makes one with options; both the name and the object go to
``minimize(..., method=)``. Update rules, which need only the gradient of a batch, are in ``st.optim``.
"""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Mapping
from typing import Any, ClassVar

__all__ = ["Method", "SciPyMethod", "VarianceReduced", "available", "get"]


class Method:
    """A method with its options.

    Attributes
    ----------
    name : str
        Its name in ``available()``.
    options : dict
        What was given, by name; the rest keeps its default.
    """

    __slots__ = ("_name", "_options")

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self._name = name
        self._options = dict(options)

    @property
    def name(self) -> str:
        """Its name in ``available()``."""
        return self._name

    @property
    def options(self) -> dict[str, Any]:
        """The options given."""
        return dict(self._options)

    def __repr__(self) -> str:
        return f"get({', '.join([repr(self._name), *(f'{key}={value!r}' for key, value in self._options.items())])})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._name, self._options)


class SciPyMethod(Method):
    """A method of ``scipy.optimize.minimize`` over all rows at once.

    Attributes
    ----------
    second_order : bool
        Whether it asks for Hessians times directions.
    bounded : bool
        Whether it takes bounds, which is how L1 and boxes reach it.
    """

    __slots__ = ()

    @property
    def second_order(self) -> bool:
        """Whether it asks for Hessians times directions."""
        return self._name in SECOND_ORDER

    @property
    def bounded(self) -> bool:
        """Whether it takes bounds."""
        return self._name in BOUNDED


class VarianceReduced(Method):
    """Mini-batch descent whose gradients lose their noise as the run goes on: it converges at a constant step size.

    "svrg" is the loopless one: the gradient of every batch is corrected by that of the same rows at an anchor, where
    the full gradient is known; the anchor moves at random times. It goes with every loss. "saga" corrects by the last
    slope seen of each row, for which it keeps a number per row and score, and goes with linear scores. It wants its
    rows in random order: one that stays the same in every epoch slows it down. A run that goes on from a result begins
    with a full gradient anew.

    Attributes
    ----------
    every : float
        How many passes over the rows lie between two full gradients, on average (svrg).
    """

    __slots__ = ()
    every_by_default: ClassVar[float] = 1.0

    @property
    def every(self) -> float:
        """Passes between two full gradients, on average."""
        return float(self._options.get("every", self.every_by_default))


SECOND_ORDER = ("Newton-CG", "trust-krylov", "trust-ncg")
BOUNDED = ("L-BFGS-B",)
_LINE_SEARCH = ("c1", "c2")
_TRUST = ("initial_trust_radius", "max_trust_radius", "eta", "gtol")
_OURS = ("maxiter", "precondition")
_SCIPY: dict[str, tuple[str, ...]] = {
    "BFGS": (*_OURS, "gtol", "norm", "xrtol", *_LINE_SEARCH),
    "CG": (*_OURS, "gtol", "norm", *_LINE_SEARCH),
    "L-BFGS-B": (*_OURS, "maxcor", "maxls", "ftol", "gtol"),
    "Newton-CG": (*_OURS, "xtol", *_LINE_SEARCH),
    "trust-krylov": (*_OURS, "gtol", "inexact"),
    "trust-ncg": (*_OURS, *_TRUST),
}
_REDUCED: dict[str, tuple[str, ...]] = {"saga": (), "svrg": ("every",)}
_COUNTS = ("maxiter", "maxcor", "maxls")
_BY_LOWERED = {name.lower(): name for name in (*_REDUCED, *_SCIPY)}


def available() -> tuple[str, ...]:
    """Return the names of all methods.

    Examples
    --------
    >>> import steepest as st
    >>> st.methods.available()
    ('saga', 'svrg', 'BFGS', 'CG', 'L-BFGS-B', 'Newton-CG', 'trust-krylov', 'trust-ncg')
    """
    return (*_REDUCED, *_SCIPY)


def get(name: str, **params: Any) -> Method:
    """Return a method with options.

    Parameters
    ----------
    name : str
        One of ``available()``, in any case.
    **params
        For SciPy's methods the options SciPy has for them, such as ``maxiter``, ``gtol``, ``maxcor``, and
        ``precondition``: whether they search in coordinates in which the columns' Gram matrix is round, for smooth
        objectives of linear scores. They then need a fraction of the iterations where columns are related; SciPy's own
        tolerances mean gradients in those coordinates. By default so where a numeric ``tol`` decides instead of them.
        For "svrg" ``every``: how many passes over the rows lie between two full gradients, on average (1.0).

    Raises
    ------
    ValueError, TypeError
        For names and options that there are not, and values that cannot be.

    Examples
    --------
    >>> import steepest as st
    >>> X, y = st.data.logistic(1000, 5, seed=0, dtype="float64")
    >>> method = st.methods.get("L-BFGS-B", maxiter=50, gtol=1e-8)
    >>> result = st.minimize("log_loss", (X, y), method=method, penalty=st.L2(1e-3))
    >>> result.status.name, bool(abs(result.jac).max() < 1e-7)
    ('converged', True)
    """
    found = _BY_LOWERED.get(name.lower()) if isinstance(name, str) else None
    if found is None:
        raise ValueError(f"unknown method {name!r}; there are: {', '.join(available())}")
    known = _REDUCED[found] if found in _REDUCED else _SCIPY[found]
    for option, value in params.items():
        if option not in known:
            raise ValueError(f"{found} has no option {option!r}; there are: {', '.join(known) or 'none'}")
        _check(found, option, value)
    return (VarianceReduced if found in _REDUCED else SciPyMethod)(found, params)


def resolve(method: Any) -> Method | None:
    """Return the method of this list that is meant, None where it is none of them."""
    if isinstance(method, Method):
        return method
    if isinstance(method, str) and method.lower() in _BY_LOWERED:
        return get(method)
    return None


def _restore(name: str, options: dict[str, Any]) -> Method:
    return get(name, **options)


def _check(method: str, option: str, value: Any) -> None:
    """Refuse what no option can be: SciPy would meet it deep inside, or not at all."""
    if option in ("inexact", "precondition"):
        if not isinstance(value, bool):
            raise TypeError(f"{method}: {option} must be True or False, not {value!r}")
        return
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{method}: {option} must be a number, not {value!r}")
    if option in _COUNTS:
        try:
            whole = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            raise TypeError(f"{method}: {option} must be a whole number, not {value!r}") from None
        if whole < 1:
            raise ValueError(f"{method}: {option} must be at least 1, not {whole}")
        return
    number = float(value)
    if math.isnan(number) or number < 0 or (number == 0 and option == "every"):
        raise ValueError(
            f"{method}: {option} must be {'positive' if option == 'every' else 'at least 0'}, not {value!r}"
        )
    if math.isinf(number) and option != "norm":
        raise ValueError(f"{method}: {option} must be finite, not {value!r}")
