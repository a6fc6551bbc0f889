"""Gradients by differences, and the check that compares an analytic gradient with them (B1, D4, D6).

Slow and approximate, and right whenever the function is: the judge of every faster way.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["GradientCheck", "check_gradient", "numerical_gradient"]

Index = tuple[int, ...]

_EPS = float(np.finfo(np.float64).eps)
# The steps at which the error of the formula, O(h) or O(h^2), and the rounding of f, O(eps / h), balance.
_BEST_STEP = {"forward": _EPS ** (1 / 2), "central": _EPS ** (1 / 3)}
# How many units in the last place a value of f may be off, f being a sum over rows rather than a single operation.
_ROUNDING = 32 * _EPS
# The closer look of check_gradient uses a step smaller by this factor.
_SHRINK = 16


@overload
def numerical_gradient(
    f: Callable[[Any], float], x: float, scheme: Literal["central", "forward"] = ..., h: float | None = ...
) -> float: ...
@overload
def numerical_gradient(
    f: Callable[[Any], float],
    x: NDArray[Any] | list[Any] | tuple[Any, ...],
    scheme: Literal["central", "forward"] = ...,
    h: float | None = ...,
) -> NDArray[np.float64]: ...
def numerical_gradient(
    f: Callable[[Any], float], x: ArrayLike, scheme: Literal["central", "forward"] = "central", h: float | None = None
) -> float | NDArray[np.float64]:
    """Differentiate a function of any number of parameters by differences (B1, D4).

    Parameters
    ----------
    f : callable
        ``f(x)`` returns one finite number. It gets a read-only float64 array in the shape of `x` (a float for a scalar)
        that is reused: copy what is to be kept.
    x : array_like
        The point, of any shape. It is never written.
    scheme : {"central", "forward"}
        ``(f(x + h) - f(x - h)) / 2h`` with an error of O(h**2) and 2n evaluations for n parameters, or
        ``(f(x + h) - f(x)) / h`` with O(h) and n + 1.
    h : float, optional
        The step, the same for every parameter. By default ``max(1, abs(x[i]))`` times 6.1e-6 (central) or 1.5e-8
        (forward), where the formula and the rounding of a float64 `f` err alike. The sources' 1e-4 (B1) and
        1e-5 (D4) leave larger errors; an `f` that computes in float32 needs about 5e-3 or 3e-4.

    Returns
    -------
    float or ndarray of float64
        The gradient in the shape of `x`.

    Raises
    ------
    TypeError
        When `f` does not return one real number, or `x` is complex.
    ValueError
        When `f` or `x` is not finite, the scheme is unknown, or `h` is not positive or too small to change `x`.

    Examples
    --------
    >>> import math
    >>> import steepest as st
    >>> gradient = st.gradients.numerical_gradient(lambda v: math.log(v[0]) + v[0] * v[1] - math.sin(v[1]), [2.0, 5.0])
    >>> print(gradient.round(4))
    [5.5    1.7163]
    >>> print(f"{st.gradients.numerical_gradient(math.exp, 0.0, scheme='forward', h=1e-5):.6f}")
    1.000005
    """
    if scheme not in _BEST_STEP:
        raise ValueError(f"scheme is {scheme!r}; 'central' and 'forward' are possible")
    line = _Lines(f, x, _BEST_STEP[scheme], h)
    gradient = np.empty(line.shape)
    base = line.value() if scheme == "forward" else 0.0
    for i in range(gradient.size):
        above, f_above = line.at(i, +1)
        below, f_below = (float(line.x[i]), base) if scheme == "forward" else line.at(i, -1)
        gradient.reshape(-1)[i] = (f_above - f_below) / (above - below)
    return gradient if line.shape else float(gradient)


@dataclass(frozen=True)
class GradientCheck:
    """What `check_gradient` found; true where the gradients agree.

    Attributes
    ----------
    largest_error : float
        The largest relative difference, NaN where every coordinate has a kink and nothing was compared.
    tolerance : float
        Up to where a difference counts as agreement.
    index : tuple of int or None
        Where the largest difference is, in the shape of the point.
    analytic, numerical : float
        The two derivatives there.
    kinks : tuple of tuple of int
        Coordinates along which the slopes to the left and to the right differ; they are not counted.

    Examples
    --------
    >>> import steepest as st
    >>> bool(st.gradients.check_gradient(lambda v: v**2, lambda v: 2 * v, 3.0))
    True
    """

    largest_error: float
    tolerance: float
    index: Index | None
    analytic: float
    numerical: float
    kinks: tuple[Index, ...]

    def __bool__(self) -> bool:
        """Tell whether the gradients agree."""
        return self.largest_error <= self.tolerance


def check_gradient(
    f: Callable[[Any], float],
    gradient: Callable[[Any], ArrayLike] | ArrayLike,
    x: ArrayLike,
    *,
    h: float | None = None,
    tolerance: float = 1e-5,
) -> GradientCheck:
    """Compare an analytic gradient with central differences (D6).

    Parameters
    ----------
    f : callable
        As in `numerical_gradient`.
    gradient : callable or array_like
        ``gradient(x)``, or its value, in the shape of `x`.
    x : array_like
        The point, of any shape. It is never written.
    h : float, optional
        The step, as in `numerical_gradient`.
    tolerance : float
        Largest difference that counts as agreement, relative to the larger of the two derivatives. Differences
        that drown in the rounding of `f` count as none.

    Returns
    -------
    GradientCheck
        True where the gradients agree, with the largest error and where it is.

    Raises
    ------
    TypeError, ValueError
        As `numerical_gradient`, and when the shapes differ. A gradient that is not finite is a wrong one, no error.

    Notes
    -----
    Where the differences to the left and to the right disagree, a closer look with a step of h/16 tells curvature from
    a kink: the disagreement of a smooth function shrinks with the step, at a kink it stays. Beside a kink the
    closer look sees straight past it. So n parameters cost 2n + 1 evaluations, and 2 more for each closer look.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> def f(v): return float(np.sum(v**2) + abs(v[0]))
    >>> check = st.gradients.check_gradient(f, lambda v: 2 * v, [0.0, 1.0, 2.0])
    >>> bool(check), check.kinks
    (True, ((0,),))
    >>> wrong = st.gradients.check_gradient(f, lambda v: 2 * abs(v), [0.0, 1.0, -2.0])
    >>> bool(wrong), wrong.index, round(wrong.analytic, 3), round(wrong.numerical, 3)
    (False, (2,), 4.0, -4.0)
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance is {tolerance}; a positive number is needed")
    line = _Lines(f, x, _BEST_STEP["central"], h)
    analytic = np.asarray(gradient(line.point()) if callable(gradient) else gradient, dtype=np.float64)
    if analytic.shape != line.shape:
        raise ValueError(f"gradient has the shape {analytic.shape}, x {line.shape}")
    base = line.value()

    largest, where, slopes, kinks = math.nan, None, (math.nan, math.nan), []
    # A list is a copy: the gradient may be the very array that is about to be moved.
    for i, expected in enumerate(analytic.ravel().tolist()):
        index = tuple(int(k) for k in np.unravel_index(i, line.shape))
        look = _look(line, i, base, expected, tolerance, 1)
        if look.gap > look.visible:
            closer = _look(line, i, base, expected, tolerance, _SHRINK)
            if closer.gap > 2 * look.gap / _SHRINK + closer.visible:
                kinks.append(index)
                continue
            look = min(look, closer)
        if not look.error <= largest:
            largest, where, slopes = look.error, index, (expected, look.central)
    return GradientCheck(largest, tolerance, where, *slopes, tuple(kinks))


class _Look(NamedTuple):
    """One coordinate compared: how wrong it is, the central slope, how far the sides differ, and what is visible."""

    error: float
    central: float
    gap: float
    visible: float


def _look(line: "_Lines", i: int, base: float, expected: float, tolerance: float, shrink: int) -> _Look:
    """Compare the derivative expected along coordinate i with differences over the step divided by shrink."""
    below, f_below = line.at(i, -1 / shrink)
    above, f_above = line.at(i, +1 / shrink)
    here = float(line.x[i])
    central = (f_above - f_below) / (above - below)
    gap = abs((f_above - base) / (above - here) - (base - f_below) / (here - below))
    noise = _ROUNDING * max(abs(f_below), abs(base), abs(f_above)) / min(above - here, here - below)
    visible = max(tolerance * max(abs(expected), abs(central)), noise)
    if not math.isfinite(expected):
        error = math.inf
    else:
        error = abs(expected - central) / visible * tolerance if expected != central else 0.0
    return _Look(error, central, gap, visible)


class _Lines:
    """A function along the lines through a point, one for each coordinate; the caller's array stays as it is."""

    def __init__(self, f: Callable[[Any], float], x: ArrayLike, best_step: float, h: float | None) -> None:
        if np.iscomplexobj(x):
            raise TypeError("x is complex; real parameters are needed")
        if h is not None and not 0 < h < math.inf:
            raise ValueError(f"h is {h}; a positive number is needed")
        point = np.array(x, dtype=np.float64, order="C")
        if not np.isfinite(point).all():
            index = tuple(int(k) for k in np.argwhere(~np.isfinite(point))[0])
            raise ValueError(f"x{list(index) or ''} is {point[index]}; finite numbers are needed")
        self._f = f
        self._view = point.view()
        self._view.setflags(write=False)
        self.shape = point.shape
        self.x = point.reshape(-1)
        self._steps = best_step * np.maximum(1, np.abs(self.x)) if h is None else np.full(self.x.size, h)

    def point(self) -> Any:
        """Return the point as f sees it: a read-only array, or a number."""
        return self._view[()]

    def value(self) -> float:
        """Evaluate f where the point is now."""
        value: Any = self._f(self.point())
        if np.ndim(value) or np.iscomplexobj(value):
            raise TypeError(f"f must return one real number, not {value!r}")
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise TypeError(f"f must return one real number, not {value!r}") from None
        if not math.isfinite(number):
            raise ValueError(f"f is {number} at {self.point()!r}")
        return number

    def at(self, i: int, steps: float) -> tuple[float, float]:
        """Return coordinate i moved by that many steps, as rounding leaves it, and f there."""
        old = float(self.x[i])
        self.x[i] += steps * self._steps[i]
        moved = float(self.x[i])
        try:
            if moved == old:
                raise ValueError(f"h is {self._steps[i]:.3g}, too small to change {old} in x")
            return moved, self.value()
        finally:
            self.x[i] = old
