"""Is a loss convex? A search for the chord that proves the opposite (A7)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, count, islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepest._arguments import positive_count, resolve_seed
from steepest.search import Surface

# Points along each line; every three of them are a chord and a point under it.
LINE_POINTS = 9
TRIPLES = np.array(list(combinations(range(LINE_POINTS), 3))).T
BATCH_LINES = 4
BATCH_BYTES = 1 << 22
# Units in the last place that a value of the loss may be off: it is a sum over rows, not a single operation.
ROUNDING = 64
# Below, numbers have fewer digits.
SMALLEST = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Convexity:
    """What `is_convex` found; true where no chord was violated.

    Attributes
    ----------
    violation : tuple (a, b, t) or None
        Two points and a weight with ``t f(a) + (1 - t) f(b) < f(t a + (1 - t) b)``: a proof that f is not convex. The
        points are floats for a callable of a number, arrays in the shape of theta otherwise.
    excess : float
        By how much f lies above that chord, 0 where there is none.
    chords, nfev : int
        Chords compared, and points at which f was evaluated.
    seed : int
        What the choice of the chords depended on.

    Examples
    --------
    >>> import steepest as st
    >>> bool(st.is_convex("huber", [12.0, 13.0, 15.0], seed=0))
    True
    """

    violation: tuple[Any, Any, float] | None
    excess: float
    chords: int
    nfev: int
    seed: int

    def __bool__(self) -> bool:
        """Tell whether no violation was found."""
        return self.violation is None


def is_convex(
    loss: Any,
    data: Any,
    bounds: tuple[ArrayLike, ArrayLike] = (-10.0, 10.0),
    seed: int | None = None,
    *,
    n: int = 1000,
    tolerance: float | None = None,
    penalty: Any = None,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = False,
    x0: Any = None,
) -> Convexity:
    """Search for a chord that lies below the objective as a function of the parameters (A7).

    A function f is convex if and only if ``t f(a) + (1 - t) f(b) >= f(t a + (1 - t) b)`` for all points a, b and t in
    [0, 1]. One chord for which this fails proves that f is not convex. No number of chords proves that it is: true
    means that none of those tried was violated, within the bounds and by more than rounding explains. (What is known
    of a loss of the core in its raw prediction is in ``loss.convex``.)

    Parameters
    ----------
    loss, data, penalty, sample_weight, fit_intercept
        As in ``st.search.grid``: any loss of the core, callable or C function.
    bounds : (low, high)
        The box to look in: numbers for every parameter alike, or arrays in the shape of theta.
    seed : int, optional
        The same seed tries the same chords; drawn at random by default.
    n : int
        Evaluations of the loss over all rows, at least 9; a few more confirm a violation, which ends the search.
    tolerance : float, optional
        How far above a chord still counts as rounding, relative to the values of f there and to its change over the
        rounding of the parameters. Default: 64 units in the last place of the data's dtype. A callable that computes
        less accurately needs more.
    x0 : array_like, optional
        For callables: its shape is that of theta, a number by default.

    Returns
    -------
    Convexity
        True, or false with ``.violation = (a, b, t)``.

    Raises
    ------
    ValueError, TypeError
        Naming the argument and what would be right; also when the objective is NaN wherever it was evaluated.

    Notes
    -----
    Lines are laid through the box: its diagonal, axes through its centre, then at random between any two points, along
    an axis, and short ones; half of them close to the line along which f has curved least so far. On each, f is
    evaluated at 9 points, which makes 84 chords. Chords with a NaN do not count.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> found = st.is_convex(st.reference.quartic_loss, np.array([0.0]), bounds=(-25.0, 25.0), seed=0)
    >>> a, b, t = found.violation
    >>> def f(theta): return st.reference.quartic_loss(theta, np.array([0.0]))
    >>> bool(found), t * f(a) + (1 - t) * f(b) < f(t * a + (1 - t) * b)
    (False, True)
    """
    seed = resolve_seed(seed, None)
    if positive_count(n, "n") < LINE_POINTS:
        raise ValueError(f"n must be at least {LINE_POINTS}, not {n}")
    if tolerance is not None and not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance must be finite and not negative, not {tolerance!r}")
    surface = Surface(loss, data, penalty, sample_weight, fit_intercept, x0)
    low, high = _box(bounds, surface)
    relative = ROUNDING * float(np.finfo(surface.dtype).eps) if tolerance is None else float(tolerance)
    number = n // LINE_POINTS
    draw = np.random.default_rng(seed)
    lines = _lines(low, high, number, draw)
    batch = max(1, min(BATCH_LINES, BATCH_BYTES // (8 * LINE_POINTS * surface.size)))
    chords = nfev = 0
    least = math.inf
    flattest: NDArray[np.float64] | None = None
    for begin in range(0, number, batch):
        wanted = min(batch, number - begin)
        close = []
        if flattest is not None and surface.size > 1:
            close = [_near(flattest, low, high, draw) for _ in range(wanted // 2)]
        chosen = [*close, *islice(lines, wanted - len(close))]
        ends, times = (np.array(part) for part in zip(*chosen, strict=True))
        points = ends[:, :1] + times[:, :, np.newaxis] * (ends[:, 1:] - ends[:, :1])
        # What is evaluated is what is reported: the points as the core rounds them.
        points = points.astype(surface.dtype).astype(np.float64)
        values = surface.values(points.reshape(-1, surface.size)).reshape(times.shape)
        nfev += values.size
        excess, allowed, weight = _compare(values, times, points, relative)
        chords += int(np.count_nonzero(~np.isnan(excess)))
        bends = _bends(values, times, (ends[:, 1] - ends[:, 0]) / (high - low))
        if bends.min() < least:
            least, flattest = bends.min(), ends[bends.argmin()]
        for line, triple in _worst(excess, allowed):
            i, _, k = TRIPLES[:, triple]
            a, b, t = points[line, i], points[line, k], float(weight[line, triple])
            # The point under the chord moves a little when it is computed from a, b and t.
            below = t * values[line, i] + (1 - t) * values[line, k]
            above = float(surface.values((t * a + (1 - t) * b)[np.newaxis])[0] - below)
            nfev += 1
            if above > allowed[line, triple]:
                return Convexity((_shaped(a, surface), _shaped(b, surface), t), above, chords, nfev, seed)
    if chords == 0:
        raise ValueError(f"the objective is NaN on every chord of the {nfev} points tried: nothing can be said")
    return Convexity(None, 0.0, chords, nfev, seed)


def _box(bounds: Any, surface: Surface) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the corners of the box as flat points."""
    if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
        raise TypeError(f"bounds must be a pair (low, high), not {bounds!r}")
    corners = []
    for name, bound in zip(("low", "high"), bounds, strict=True):
        array = np.asarray(bound)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"the {name} bound must be a number or an array of them, not {bound!r}")
        if array.ndim and array.shape != surface.shape:
            raise ValueError(f"the {name} bound has shape {array.shape}, theta has shape {surface.shape}")
        corners.append(np.broadcast_to(array.astype(np.float64), surface.shape).ravel())
    low, high = corners
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise ValueError(f"bounds must be finite, the low below the high, not {bounds!r}")
    return low, high


Line = tuple[tuple[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


def _lines(low: NDArray[np.float64], high: NDArray[np.float64], n: int, draw: np.random.Generator) -> Iterator[Line]:
    """Yield the two ends of n lines through the box, and where the points lie between them."""
    even = np.linspace(0.0, 1.0, LINE_POINTS)
    yield (low, high), even
    size, centre = low.size, low + 0.5 * (high - low)
    axes = range(0, size, math.ceil(size / (1 + n // 4))) if size > 1 else ()
    for axis in axes:
        one, other = centre.copy(), centre.copy()
        one[axis], other[axis] = low[axis], high[axis]
        yield (one, other), even
    for number in count():
        one, other = (low + draw.random(size) * (high - low) for _ in range(2))
        if number % 3 == 1 and size > 1:
            axis = int(draw.integers(size))
            one[axis], moved = low[axis], one.copy()
            moved[axis] = high[axis]
            other = moved
        elif number % 3 == 2:
            other = one + 10.0 ** -draw.uniform(0.5, 3) * (other - one)
        # The ends stay, the points between move by up to half of their distance.
        times = even.copy()
        times[1:-1] += (draw.random(LINE_POINTS - 2) - 0.5) / (LINE_POINTS - 1)
        yield (one, other), times


def _near(
    ends: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], draw: np.random.Generator
) -> Line:
    """Return a line that is turned and moved a little: a saddle may bend downwards along few directions only."""
    scale = 10.0 ** -draw.uniform(0, 2)
    centre, half = (ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / 2 / (high - low)
    half = half + scale * math.sqrt(float(half @ half) / half.size) * draw.standard_normal(half.size)
    centre = centre + 0.1 * scale * (high - low) * draw.standard_normal(half.size)
    one, other = (np.clip(centre + sign * half * (high - low), low, high) for sign in (-1, 1))
    return (one, other), np.linspace(0.0, 1.0, LINE_POINTS)


def _bends(
    values: NDArray[np.float64], times: NDArray[np.float64], directions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the least curvature met on each line, in units of the box; infinity where there is none to see."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        slopes = np.diff(values, axis=1) / np.diff(times, axis=1)
        curvatures = np.diff(slopes, axis=1) / (times[:, 2:] - times[:, :-2])
        curvatures /= np.square(directions).sum(axis=1)[:, np.newaxis]
    least: NDArray[np.float64] = np.where(np.isfinite(curvatures), curvatures, math.inf).min(axis=1)
    return least


def _compare(
    values: NDArray[np.float64], times: NDArray[np.float64], points: NDArray[np.float64], relative: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Compare the middle of every triple on every line with the chord between its outer points.

    Returns
    -------
    excess, allowed, weight : ndarray, shape (lines, triples)
        By how much the middle lies above the chord, NaN where that cannot be said; how much of it may be rounding; and
        the weight of the first point.
    """
    (f_a, f_m, f_b), (t_a, t_m, t_b) = values[:, TRIPLES].swapaxes(0, 1), times[:, TRIPLES].swapaxes(0, 1)
    weight = (t_b - t_m) / (t_b - t_a)
    farthest = np.abs(points).max(axis=(1, 2))
    length = np.abs(points[:, -1] - points[:, 0]).max(axis=1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        excess = f_m - (weight * f_a + (1 - weight) * f_b)
        # Rounding moves the points too: by this much for the slopes next to the middle.
        slope = np.maximum(np.abs(f_m - f_a) / (t_m - t_a), np.abs(f_b - f_m) / (t_b - t_m)) / length[:, np.newaxis]
        size = np.maximum(np.maximum(np.abs(f_a), np.abs(f_b)), np.abs(f_m)) + slope * farthest[:, np.newaxis]
    # A short line far from zero may be a single point once it is rounded.
    excess[length == 0] = np.nan
    # An infinite middle between finite ends is a violation whatever the rounding.
    allowed = relative * np.where(np.isfinite(size), size, 0.0) + SMALLEST
    return excess, allowed, weight


def _worst(excess: NDArray[np.float64], allowed: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return the line and triple of the few clearest violations."""
    above = np.where(excess > allowed, excess, 0.0).ravel()
    order = np.argsort(-above, kind="stable")[:3]
    return [(int(i) // excess.shape[1], int(i) % excess.shape[1]) for i in order if above[i] > 0]


def _shaped(point: NDArray[np.float64], surface: Surface) -> Any:
    """Return a point as the loss takes it."""
    return point.reshape(surface.shape) if surface.shape else float(point[0])
