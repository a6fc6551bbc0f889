"""Penalties on the coefficients, never on intercepts.

Every class here is made from the compiled core's list; ``available()`` names them. The smooth part of a penalty enters
descent through its gradient, the rest through its proximal step.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepest import _core
from steepest._lists import Member, MemberList, class_name, make_classes, registry


class Penalty(Member):
    """A penalty on the coefficients w.

    Attributes
    ----------
    name, formula : str
        Its name in ``available()``, and its value as a Python expression of w.
    separable, smooth, convex : bool
        Whether it is a sum over coefficients, differentiable everywhere, convex.
    """

    __slots__ = ()
    separable: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    convex: ClassVar[bool] = True

    def value(self, w: ArrayLike) -> float:
        """Return the penalty of the coefficients.

        Examples
        --------
        >>> import steepest as st
        >>> st.L1(0.5).value([1.0, -2.0])
        1.5
        """
        return float(_core.penalty_value(self._index, self._values, np.asarray(w, dtype=np.float64).ravel()))

    def smooth_gradient(self, w: ArrayLike) -> NDArray[np.float64]:
        """Return the gradient of the smooth part, zeros where there is none.

        Examples
        --------
        >>> import steepest as st
        >>> st.L2(0.5).smooth_gradient([1.0, -2.0])
        array([ 0.5, -1. ])
        """
        array = np.asarray(w, dtype=np.float64)
        gradient: NDArray[np.float64] = _core.penalty_smooth_gradient(self._index, self._values, array.ravel())
        return gradient.reshape(array.shape)

    def prox(self, w: ArrayLike, step: float) -> NDArray[np.float64]:
        """Return the proximal point of ``step`` times the part that is not smooth, w itself where there is none.

        Examples
        --------
        >>> import steepest as st
        >>> st.L1(1.0).prox([3.0, -0.5], step=1.0)
        array([2., 0.])
        """
        if not 0 <= step < np.inf:
            raise ValueError(f"step must be finite and not negative, not {step!r}")
        array = np.asarray(w, dtype=np.float64)
        point: NDArray[np.float64] = _core.penalty_prox(self._index, self._values, array.ravel(), float(step))
        return point.reshape(array.shape)


_classes = make_classes(Penalty, registry["penalties"], __name__)
_list: MemberList[Penalty] = MemberList("penalty", _classes)
globals().update({class_name(name): cls for name, cls in _list._classes.items()})

available = _list.available
get = _list.get


def resolve(penalty: Any) -> Penalty | None:
    """Return what the user gave as a penalty: None, a name or an object."""
    if penalty is None or isinstance(penalty, Penalty):
        return penalty
    if isinstance(penalty, str):
        return get(penalty)
    raise TypeError(f"penalty must be None, a name or an object such as st.L2(1e-4), not {penalty!r}")


def strong_convexity(penalty: Penalty | None, fit_intercept: bool) -> float:
    """Return by how much a smooth penalty makes the objective strongly convex, 0 where it does not."""
    if penalty is None or not penalty.smooth or fit_intercept:
        return 0.0
    return float(penalty.smooth_gradient(np.ones(1))[0])


__all__ = ["Penalty", "available", "get", *(class_name(name) for name in _list._classes)]
