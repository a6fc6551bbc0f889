"""Landscapes: a loss of many parameters along a ray, over a plane, along one weight, and paths over it (D1, D2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepest._extras import require
from steepest._results import Result
from steepest.plot._axes import LOSS, MAP, QUIET, as_bounds, finish, legend_beside, new_axes, series
from steepest.plot._ground import Ground, two_parameters

RAY_POINTS = 401
PLANE_POINTS = 81
LEVELS = 24
# Above this ratio between the highest and the lowest of a map, colours follow the logarithm.
WIDE = 300.0
MOST_ROWS = 12


def ray(
    loss: Any,
    data: Any,
    x0: Any = None,
    direction: Any = None,
    span: float | None = None,
    ax: Any = None,
    *,
    seed: int = 0,
    **problem: Any,
) -> Any:
    """Draw the loss along a ray, ``L(W + a W1)`` against a (D2).

    Parameters
    ----------
    loss, data
        Any loss and its data, as in ``st.search.grid``: built-in, traced, a callable, a C function.
    x0 : array_like or Result, optional
        W, zeros by default; of a callable it gives theta its shape.
    direction : array_like, optional
        W1, in the shape of W or flat; drawn at random, of length 1, by default.
    span : float, optional
        a runs from -span to span; by default as far as the length of W, at least 1.
    ax : matplotlib Axes, optional
        Where to draw; new ones by default.
    seed : int
        Of the random direction.
    **problem
        ``penalty``, ``sample_weight`` and ``fit_intercept`` as in ``st.search.grid``.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        Where the direction does not fit the parameters.
    ImportError
        Where matplotlib is missing.

    Examples
    --------
    >>> import steepest as st
    >>> X, y = st.data.logistic(1000, 5, seed=0)
    >>> ax = st.plot.ray("hinge", (X, y), span=10)
    >>> ax.get_xlabel()
    'a, along a random direction of length 1'
    """
    ground = Ground(loss, data, x0=x0, **problem)
    towards = _directions(ground, None if direction is None else [direction], 1, seed)[0]
    reach = _span(ground, span)
    ax = new_axes(ax)
    steps = np.linspace(-reach, reach, RAY_POINTS)
    ax.plot(steps, ground.on_line(ground.start, towards, steps), color=LOSS, lw=2)
    here = float(ground.values(ground.start[np.newaxis])[0])
    ax.plot([0], [here], "o", color=LOSS, ms=8, mec="white", zorder=3)
    ax.axvline(0, color=QUIET, lw=0.8, zorder=0)
    what = "a random direction of length 1" if direction is None else "the direction given"
    return finish(ax, f"a, along {what}", "mean loss", f"{ground.name}, {ground.counted()}")


def plane(
    loss: Any,
    data: Any,
    x0: Any = None,
    directions: Any = None,
    span: float | None = None,
    ax: Any = None,
    *,
    seed: int = 0,
    points: int = PLANE_POINTS,
    **problem: Any,
) -> Any:
    """Draw the loss over a plane as a coloured map, ``L(W + a W1 + b W2)``: blue is low, red is high (D2).

    Parameters
    ----------
    loss, data, x0, span, ax, seed, **problem
        As in `ray`.
    directions : pair of array_like, optional
        W1 and W2; drawn at random, of length 1 and perpendicular, by default.
    points : int
        How many along each side; every one costs an evaluation of the loss over all rows.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, ImportError
        As `ray`.

    Examples
    --------
    >>> import steepest as st
    >>> X, y = st.data.logistic(500, 5, seed=0)
    >>> @st.loss
    ... def logistic(w, x, y):
    ...     return st.softplus(-y * (x @ w))
    >>> ax = st.plot.plane(logistic, (X, y), span=5, points=21)
    >>> ax.get_title(loc="left")
    'logistic, 500 rows, 5 parameters'
    """
    ground = Ground(loss, data, x0=x0, **problem)
    first, second = _directions(ground, directions, 2, seed)
    reach = _span(ground, span)
    side = np.linspace(-reach, reach, points)
    ax = new_axes(ax, (6.2, 4.9))
    _map(ground, ground.start, first, second, side, side, ax)
    ax.plot([0], [0], "o", color="white", mec="black", ms=8, zorder=4)
    ax.set_aspect("equal")
    kind = "random, length 1" if directions is None else "as given"
    title = f"{ground.name}, {ground.counted()}"
    return finish(ax, f"a, along W₁ ({kind})", f"b, along W₂ ({kind})", title, grid=False)


def bowl(
    loss: Any,
    data: Any,
    parameter: int = 0,
    bounds: tuple[float, float] = (-3.0, 3.0),
    x0: Any = None,
    ax: Any = None,
    **problem: Any,
) -> Any:
    """Draw the loss against one weight, with the losses of the single rows whose mean it is (D1).

    For support vector machines each row's loss is a sum of clipped lines: their mean is a bowl of straight pieces.

    Parameters
    ----------
    loss, data, x0, ax, **problem
        As in `ray`; the other weights stay at x0.
    parameter : int
        The index of the weight in the flat parameters.
    bounds : (low, high)
        Between which values of the weight.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, ImportError
        As `ray`.

    Examples
    --------
    >>> import steepest as st
    >>> X, y = [[1.0], [-1.5], [0.5]], [0, 1, 2]
    >>> ax = st.plot.bowl("multiclass_hinge", (X, y), x0=[[0.0], [0.5], [-0.3]])
    >>> len(ax.lines)
    4
    """
    ground = Ground(loss, data, x0=x0, **problem)
    if not -ground.size <= parameter < ground.size:
        raise ValueError(f"parameter must be an index of the {ground.size} parameters, not {parameter!r}")
    low, high = as_bounds(bounds)
    ax = new_axes(ax)
    at = np.linspace(low, high, RAY_POINTS)
    points = np.repeat(ground.start[np.newaxis], len(at), axis=0)
    points[:, parameter] = at
    shown = range(min(ground.rows, MOST_ROWS))
    for row, color in zip(shown, series(len(shown) + 1)[1:], strict=True):
        ax.plot(at, ground.losses(points, row), color=color, lw=1.3, ls=(0, (4, 2)), label=f"row {row}")
    if ground.rows > MOST_ROWS:
        ax.plot([], [], " ", label=f"and {ground.rows - MOST_ROWS} more")
    ax.plot(at, ground.values(points), color=LOSS, lw=2.6, label="mean of all rows")
    ax.set_xlim(low, high)
    ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    legend_beside(ax)
    return finish(ax, f"weight {parameter % ground.size}, the others fixed", "loss", ground.name)


def contours(
    loss: Any,
    data: Any,
    bounds: tuple[Any, Any] = (-5.0, 5.0),
    ax: Any = None,
    *,
    labels: tuple[str, str] = ("θ₀", "θ₁"),
    points: int = PLANE_POINTS,
    **problem: Any,
) -> Any:
    """Draw a loss of two parameters as a coloured map with contours (A11).

    Parameters
    ----------
    loss, data, ax, **problem
        As in `ray`.
    bounds : (low, high)
        Two numbers for both parameters, or two pairs: the lowest and the highest of each.
    labels : pair of str
        What the parameters are called.
    points : int
        How many along each side.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        Where the loss has not two parameters.
    ImportError
        Where matplotlib is missing.

    Examples
    --------
    >>> import steepest as st
    >>> X, y = st.data.logistic(500, 2, seed=0)
    >>> ax = st.plot.contours("log_loss", (X, y), (-4, 4), points=21)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('θ₀', 'θ₁')
    """
    ground = two_parameters(Ground(loss, data, **problem))
    (left, right), (bottom, top) = _box(bounds)
    ax = new_axes(ax, (6.4, 4.9))
    across, up = np.linspace(left, right, points), np.linspace(bottom, top, points)
    _map(ground, np.zeros(2), np.array([1.0, 0.0]), np.array([0.0, 1.0]), across, up, ax)
    return finish(ax, *labels, f"{ground.name}, {ground.rows:,} rows", grid=False)


def paths(
    loss: Any,
    data: Any,
    x0: Any = None,
    *,
    batch_sizes: Sequence[int | None] = (None, 32, 1),
    step_size: float | None = None,
    updates: int | Sequence[int] = 60,
    bounds: tuple[Any, Any] | None = None,
    seed: int = 0,
    ax: Any = None,
    labels: tuple[str, str] = ("θ₀", "θ₁"),
    **problem: Any,
) -> Any:
    """Draw the paths of batch, mini-batch and stochastic descent over the contours of the loss (A11, A8, A9).

    Parameters
    ----------
    loss, data, ax, **problem
        As in `ray`, of two parameters.
    x0 : array_like, shape (2,), optional
        The common start, zeros by default.
    batch_sizes : sequence of int or None
        One path for each; None is all rows.
    step_size : float, optional
        Of all paths. By default a fifth of 1 / L from the curvature of the loss, or of a step that lowers it: small
        enough for the steps to be seen.
    updates : int or sequence of int
        Steps of each path.
    bounds : (low, high), optional
        As in `contours`; around the paths by default.
    seed : int
        Decides the order of the rows.
    labels : pair of str
        What the parameters are called.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, ImportError
        As `contours`.

    Examples
    --------
    >>> import steepest as st
    >>> X, y = st.data.logistic(500, 2, seed=0)
    >>> ax = st.plot.paths("log_loss", (X, y), x0=[-2, 2], updates=20)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['1 row', '32 rows', 'all rows', 'start']
    """
    ground = two_parameters(Ground(loss, data, x0=x0, **problem))
    counts = [updates] * len(batch_sizes) if isinstance(updates, int) else list(updates)
    walked = [ground.descend(step_size, size, count, seed) for size, count in zip(batch_sizes, counts, strict=True)]
    ax = new_axes(ax, (7.6, 4.9))
    contours(loss, data, _frame(walked) if bounds is None else bounds, ax, labels=labels, x0=x0, **problem)
    across, up = ax.get_xlim(), ax.get_ylim()
    effects = require("matplotlib.patheffects", extra="plot")
    # The noisiest first: it must not hide the others.
    colors = ("black", "#f08c00", "white", "#9c36b5", "#2f9e44")
    ranked = sorted(zip(batch_sizes, walked, strict=True), key=lambda pair: pair[0] or ground.rows)
    for (size, points), color in zip(ranked, _cycled(colors[: len(ranked)][::-1]), strict=False):
        # A dark edge tells a white line from the page and from pale parts of the map.
        edge = [effects.withStroke(linewidth=2.2, foreground="0.25")]
        label = _size_label(size, ground)
        ax.plot(*points.T, "o-", color=color, lw=1.5, ms=2.4, mew=0.8, path_effects=edge, label=label)
    ax.plot(*walked[0][0], "X", color="white", mec="black", ms=10, ls="", zorder=5, label="start")
    ax.set_xlim(across)
    ax.set_ylim(up)
    ax.legend(title="rows per update", framealpha=0.9, fontsize="small").set_zorder(6)
    return ax


def _cycled(colors: Sequence[str]) -> list[str]:
    return list(colors) * 8


def _size_label(size: int | None, ground: Ground) -> str:
    if size is None or size >= ground.rows:
        return "all rows"
    return "1 row" if size == 1 else f"{size:,} rows"


def _directions(ground: Ground, given: Any, count: int, seed: int) -> NDArray[np.float64]:
    """Return directions as flat rows: those given, or random perpendicular ones of length 1."""
    if given is None:
        draws = np.random.default_rng(seed).standard_normal((ground.size, count))
        if ground.size < count:
            raise ValueError(f"a plane needs two parameters at least; {ground.name} on these data has {ground.size}")
        return np.ascontiguousarray(np.linalg.qr(draws)[0].T)
    if len(given) != count:
        raise ValueError(f"directions must be {count}, not {len(given)}")
    flat = [np.asarray(one.x if isinstance(one, Result) else one, dtype=np.float64).ravel() for one in given]
    for one in flat:
        if one.size != ground.size or not np.isfinite(one).all() or not one.any():
            raise ValueError(f"a direction must hold {ground.size} finite numbers that are not all 0")
    return np.array(flat)


def _span(ground: Ground, span: float | None) -> float:
    if span is None:
        return max(1.0, float(np.linalg.norm(ground.start)))
    return as_bounds((-span, span), "span")[1]


def _box(bounds: Any) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return left and right, bottom and top."""
    array = np.asarray(bounds, dtype=np.float64)
    if array.shape == (2,):
        return as_bounds(array), as_bounds(array)
    if array.shape == (2, 2):
        return as_bounds(array[:, 0]), as_bounds(array[:, 1])
    raise ValueError(f"bounds must be (low, high), two numbers or two pairs, not {bounds!r}")


def _frame(walked: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a box around paths, finite even where one of them is not."""
    points = np.concatenate(walked)
    points = points[np.isfinite(points).all(axis=1)]
    low, high = points.min(axis=0), points.max(axis=0)
    margin = np.maximum(0.2 * (high - low), 0.15 * (high - low).max() or 1.0)
    return low - margin, high + margin


def _map(
    ground: Ground,
    start: NDArray[np.float64],
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    across: NDArray[np.float64],
    up: NDArray[np.float64],
    ax: Any,
) -> None:
    """Colour the plane, with thin contours and a bar that tells the colours."""
    grid = start + across[np.newaxis, :, np.newaxis] * first + up[:, np.newaxis, np.newaxis] * second
    values = ground.values(grid.reshape(-1, ground.size)).reshape(len(up), len(across))
    values = np.where(np.isfinite(values), values, np.nan)
    if np.isnan(values).all():
        raise ValueError(f"{ground.name} is NaN or infinite everywhere on the map")
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    wide = low > 0 and high > WIDE * low
    if high <= low:
        high = low + 1.0
    norm = None
    if wide:
        levels = np.geomspace(low, high, LEVELS + 1)
        norm = require("matplotlib.colors", extra="plot").LogNorm(low, high)
    else:
        # Round numbers, for the bar.
        levels = require("matplotlib.ticker", extra="plot").MaxNLocator(LEVELS).tick_values(low, high)
    filled = ax.contourf(across, up, values, levels=levels, cmap=MAP, norm=norm)
    ax.contour(across, up, values, levels=levels[::2], colors="0.25", linewidths=0.35, alpha=0.6)
    bar = ax.figure.colorbar(filled, ax=ax, label="mean loss", format="%.3g")
    bar.set_ticks(levels[:: max(1, len(levels) // 6)])
    if wide:
        bar.minorticks_off()
