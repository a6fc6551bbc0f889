"""Penalties on the coefficients, never on intercepts.

Every class here is made from the compiled core's list; ``available()`` names them. The smooth part of a penalty enters
descent through its gradient, the rest through its proximal step. Constraints are penalties of 0 inside a set and
infinity outside, where the boundary is a millionth wide for the sake of rounding; their proximal step is the
projection, and a start outside the set is projected first.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepest import _core
from steepest._groups import Groups, check_groups, groups_of
from steepest._lists import Member, MemberList, make_classes, registry


class Penalty(Member):
    """A penalty on the coefficients w.

    w has shape (d,), one coefficient per feature, or (K, d) for losses of K scores. Strengths and bounds are numbers,
    or arrays of shape (d,) or (K, d): one per feature, or one per coefficient.

    Rules with a step per coordinate take proximal steps in their own metric: nearness is
    ``sum((u - w)**2 / step) / 2``, for groups and balls too.

    Attributes
    ----------
    name, formula : str
        Its name in ``available()``, and its value as a Python expression of w, where ``groups`` are the index arrays of
        the groups.
    separable, smooth, convex, constraint : bool
        Whether it is a sum over coefficients, differentiable everywhere, convex, 0 or infinite.
    """

    __slots__ = ("_groups", "_ready", "_shape")
    separable: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    convex: ClassVar[bool] = True
    constraint: ClassVar[bool] = False
    _grouped: ClassVar[bool] = False
    _meanings: ClassVar[Mapping[str, str]] = {
        "groups": "The group of each feature or coefficient, -1 for none; lists of features; or rows or columns of w."
    }
    _groups: Groups
    _shape: tuple[int, ...] | None
    _ready: Any  # what the core needs for that shape

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._shape = self._ready = None
        given: Any = "rows"
        if self._grouped:
            given = inspect.signature(type(self)).bind(*args, **kwargs).arguments.get("groups", "rows")
        self._groups = check_groups(type(self).__name__, given)
        if {"lower", "upper"} <= self.params.keys():
            self._check_bounds()

    @classmethod
    def _extra_parameters_of(cls, spec: Mapping[str, Any]) -> list[inspect.Parameter]:
        if not spec["_grouped"]:
            return []
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return [inspect.Parameter("groups", kind, default="rows", annotation="str | ArrayLike | list[list[int]]")]

    def _check_bounds(self) -> None:
        lower, upper = self.params["lower"], self.params["upper"]
        try:
            crossed = np.atleast_1d(np.asarray(lower) > np.asarray(upper))
        except ValueError:
            raise ValueError(
                f"{type(self).__name__}: lower has shape {np.shape(lower)}, upper {np.shape(upper)}; give both the same"
            ) from None
        if crossed.any():
            at = np.unravel_index(int(crossed.argmax()), crossed.shape)
            low, high = (np.broadcast_to(bound, crossed.shape)[at] for bound in (lower, upper))
            where = f" at {', '.join(str(i) for i in at)}" if crossed.size > 1 else ""
            raise ValueError(f"{type(self).__name__}: lower must not exceed upper; {low:g} > {high:g}{where}")
        for name, bound, end in (("lower", lower, math.inf), ("upper", upper, -math.inf)):
            beyond = np.atleast_1d(np.asarray(bound) == end)
            if beyond.any():
                place = ", ".join(str(i) for i in np.argwhere(beyond)[0])
                raise ValueError(
                    f"{type(self).__name__}: {name} must not be {end:g}, which leaves room for no number"
                    + (f"; it is at {place}" if np.ndim(bound) else "")
                    + f"; {-end:g} stands for no bound there"
                )

    @property
    def groups(self) -> Any:
        """The groups as they were given; "rows" for penalties without."""
        return self._groups.given

    def on(self, shape: tuple[int, ...]) -> Penalty:
        """Return the penalty for coefficients of this shape, (d,) or (K, d), from then on also when they come flat.

        Raises
        ------
        ValueError
            Where strengths, bounds or groups do not fit the shape.

        Examples
        --------
        >>> import steepest as st
        >>> st.L2([1.0, 2.0]).on((3, 2)).value([1.0] * 6)
        4.5
        """
        fitted = object.__new__(type(self))  # what copy does by checking everything once more
        fitted._values, fitted._groups = self._values, self._groups
        fitted._shape = tuple(int(size) for size in shape)
        fitted._ready = fitted._terms(fitted._shape)
        return fitted

    def value(self, w: ArrayLike) -> float:
        """Return the penalty of the coefficients.

        Examples
        --------
        >>> import steepest as st
        >>> st.L1(0.5).value([1.0, -2.0])
        1.5
        """
        array = np.asarray(w, dtype=np.float64)
        return float(_core.penalty_value(self._terms_of(array), array.ravel()))

    def smooth_gradient(self, w: ArrayLike) -> NDArray[np.float64]:
        """Return the gradient of the smooth part, zeros where there is none.

        Examples
        --------
        >>> import steepest as st
        >>> st.L2(0.5).smooth_gradient([1.0, -2.0])
        array([ 0.5, -1. ])
        """
        return self._gradient(w, smooth=True)

    def kink_gradient(self, w: ArrayLike) -> NDArray[np.float64]:
        """Return a subgradient of the part that is not smooth: the shortest, zeros for constraints.

        Examples
        --------
        >>> import steepest as st
        >>> st.L1(0.5).kink_gradient([1.0, -2.0, 0.0])
        array([ 0.5, -0.5,  0. ])
        """
        return self._gradient(w, smooth=False)

    def prox(self, w: ArrayLike, step: float | ArrayLike) -> NDArray[np.float64]:
        """Return the proximal point of ``step`` times the part that is not smooth, w itself where there is none.

        Parameters
        ----------
        w : array_like, shape (d,) or (K, d)
            Coefficients.
        step : float or array_like of the shape of w
            One step, or one for each coefficient: then nearness is ``sum((u - w)**2 / step) / 2``.

        Examples
        --------
        >>> import steepest as st
        >>> st.L1(1.0).prox([3.0, -0.5], step=1.0)
        array([2., 0.])
        >>> st.penalties.L2Ball(radius=5.0).prox([6.0, 8.0], step=1.0)
        array([3., 4.])
        """
        steps = np.asarray(step, dtype=np.float64)
        if not (np.all(steps >= 0) and np.all(steps < np.inf)):
            raise ValueError(f"step must be finite and not negative, not {step!r}")
        array = np.asarray(w, dtype=np.float64)
        if steps.ndim and steps.shape != array.shape:
            raise ValueError(f"step must be a number or have the shape of w, {array.shape}, not {steps.shape}")
        metric = steps.ravel() if steps.ndim else np.zeros(0)
        number = 1.0 if steps.ndim else float(steps)
        point: NDArray[np.float64] = _core.penalty_prox(self._terms_of(array), array.ravel(), number, metric)
        return point.reshape(array.shape)

    def _gradient(self, w: ArrayLike, smooth: bool) -> NDArray[np.float64]:
        array = np.asarray(w, dtype=np.float64)
        gradient: NDArray[np.float64] = _core.penalty_gradient(self._terms_of(array), array.ravel(), smooth)
        return gradient.reshape(array.shape)

    @property
    def terms(self) -> Any:
        """What the core needs for the coefficients that `on` was told."""
        assert self._shape is not None
        return self._ready

    def _terms_of(self, w: NDArray[Any]) -> Any:
        """Return what the core needs for these coefficients."""
        if self._shape is not None and w.size == math.prod(self._shape):
            return self._ready
        return self._terms(w.shape if w.ndim == 2 else (w.size,))

    def _terms(self, shape: tuple[int, ...]) -> Any:
        """Return what the core needs for coefficients of a shape."""
        each = [self._spread(p["name"], value, shape) for p, value in zip(self._params, self._values, strict=True)]
        numbers = [0.0 if isinstance(value, np.ndarray) else value for value in self._values]
        starts, members = groups_of(self._groups, type(self).__name__, shape) if self._grouped else ([], [])
        return _core.PenaltyChoice(self._index, numbers, each, starts, members)

    def _spread(self, name: str, value: Any, shape: tuple[int, ...]) -> Any:
        """Return one number per coefficient, nothing where one is for all."""
        if not isinstance(value, np.ndarray):
            return []
        if value.shape not in (shape, shape[-1:]):
            expected = " or ".join(str(s) for s in dict.fromkeys((shape[-1:], shape)))
            raise ValueError(
                f"{type(self).__name__}: {name} has shape {value.shape}; these coefficients take {expected}"
            )
        return np.broadcast_to(value, shape).ravel()

    @property
    def bends(self) -> NDArray[np.float64]:
        """The second derivatives of the smooth part by the coefficients that `on` was told, flat."""
        assert self._shape is not None
        return _bends(self._ready, self._shape)

    def _all_bends(self) -> NDArray[np.float64]:
        """Return those that there are, of as few coefficients as have them all."""
        shapes = [value.shape for value in self._values if isinstance(value, np.ndarray)]
        shape = max(shapes, key=len) if shapes else (1,)
        return _bends(self._terms(shape), shape)

    @property
    def curvature(self) -> float:
        """The largest curvature of the smooth part."""
        return 0.0 if self.constraint or self._grouped else float(self._all_bends().max())

    @property
    def strong_convexity(self) -> float:
        """The least curvature of the smooth part."""
        return 0.0 if self.constraint or self._grouped else float(self._all_bends().min())

    def _key(self) -> tuple[Any, ...]:
        return (*super()._key(), self._groups.key) if self._grouped else super()._key()

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self._arguments(), self._shape)

    def _arguments(self) -> dict[str, Any]:
        given = self._groups.given
        groups = {"groups": given.tolist() if isinstance(given, np.ndarray) else given} if self._grouped else {}
        return self.params | groups

    def __repr__(self) -> str:
        inside = super().__repr__()
        if not self._grouped or (isinstance(self._groups.given, str) and self._groups.given == "rows"):
            return inside
        return f"{inside[:-1]}, groups={self._arguments()['groups']!r})"


def _bends(terms: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the slopes of a smooth part between zeros and ones: it is a sum of squares, about wherever."""
    size, gradient = math.prod(shape), _core.penalty_gradient
    bends: NDArray[np.float64] = gradient(terms, np.ones(size), True) - gradient(terms, np.zeros(size), True)
    return bends


def _restore(penalty: type[Penalty], arguments: dict[str, Any], shape: tuple[int, ...] | None) -> Penalty:
    restored = penalty(**arguments)
    return restored if shape is None else restored.on(shape)


_classes = make_classes(Penalty, registry["penalties"], __name__)
_list: MemberList[Penalty] = MemberList("penalty", _classes)
globals().update({cls.__name__: cls for cls in _list._classes.values()})

available = _list.available
get = _list.get


def resolve(penalty: Any) -> Penalty | None:
    """Return what the user gave as a penalty: None, a name or an object."""
    if penalty is None or isinstance(penalty, Penalty):
        return penalty
    if isinstance(penalty, str):
        return get(penalty)
    raise TypeError(f"penalty must be None, a name or an object such as st.L2(1e-4), not {penalty!r}")


def fitted(penalty: Penalty | None, data: Any, penalised: int, shape: tuple[int, ...] = ()) -> Penalty | None:
    """Return a penalty for the coefficients of a problem, of which there are `penalised`.

    Parameters of a loss of the user's own are matrices where their `shape` says so.
    """
    if penalty is None:
        return None
    if data is not None:
        return penalty.on((data.scores, data.width) if data.scores else (penalised,))
    return penalty.on(shape if len(shape) == 2 else (penalised,))


def strong_convexity(penalty: Penalty, fit_intercept: bool) -> float:
    """Return by how much a smooth penalty makes the objective strongly convex, 0 where it does not."""
    return penalty.strong_convexity if penalty.smooth and not fit_intercept else 0.0


__all__ = ["Penalty", "available", "get", *(cls.__name__ for cls in _list._classes.values())]
