"""The textbook's pictures of a loss of one parameter (A11)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from steepest._extras import require
from steepest.plot._axes import LOSS, SERIES, SLOPE, THETA, as_bounds, as_values, finish, new_axes
from steepest.plot._ground import Ground, one_parameter

CURVE_POINTS = 401
MARKER = 11


def rug(values: ArrayLike, bounds: tuple[float, float] | None = None, ax: Any = None, *, xlabel: str = "y") -> Any:
    """Draw data as a rug: a tick for every value (A11).

    Parameters
    ----------
    values : array_like, shape (n,)
        The data.
    bounds : (low, high), optional
        Of the axis; a tenth beyond the data by default.
    ax : matplotlib Axes, optional
        Where to draw; new ones by default.
    xlabel : str
        What the values are, with their unit.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        Where the values are not finite or not one-dimensional.
    ImportError
        Where matplotlib is missing.

    Examples
    --------
    >>> import steepest as st
    >>> ax = st.plot.rug([12, 13, 15, 16, 17], xlabel="tip (% of the bill)")
    >>> ax.get_xlabel()
    'tip (% of the bill)'
    """
    values = as_values(values, "values")
    ax = new_axes(ax, (5.0, 1.8))
    # Many ticks let those below shine through.
    ax.vlines(values, 0, 0.3, color=LOSS, lw=2 if len(values) <= 40 else 1, alpha=1 if len(values) <= 40 else 0.4)
    ax.set_xlim(*(_around(values) if bounds is None else as_bounds(bounds)))
    ax.set_ylim(0, 0.5)
    ax.set_yticks([])
    finish(ax, xlabel, "", f"{len(values)} points", grid=False)
    ax.spines["left"].set_visible(False)
    return ax


def histogram(values: ArrayLike, bins: int = 50, ax: Any = None, *, xlabel: str = "y") -> Any:
    """Draw the distribution of data, its mean and its median (A11).

    Parameters
    ----------
    values : array_like, shape (n,)
        The data.
    bins : int
        How many bars.
    ax : matplotlib Axes, optional
        Where to draw; new ones by default.
    xlabel : str
        What the values are, with their unit.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, ImportError
        As `rug`.

    Examples
    --------
    >>> import steepest as st
    >>> bills = st.data.tips()
    >>> ax = st.plot.histogram(100 * bills["tip"] / bills["total_bill"], xlabel="tip (% of the bill)")
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['mean 16.08', 'median 15.48']
    """
    values = as_values(values, "values")
    ax = new_axes(ax)
    ax.hist(values, bins=bins, color=LOSS, alpha=0.75, edgecolor="white", lw=0.5)
    ax.vlines(values, 0, 0.03, transform=ax.get_xaxis_transform(), color="0.25", lw=0.7, alpha=0.6)
    for value, name, color, style in ((values.mean(), "mean", SLOPE, "-"), (np.median(values), "median", THETA, "--")):
        ax.axvline(value, color=color, lw=1.8, ls=style, label=f"{name} {value:.4g}")
    ax.legend(frameon=False)
    return finish(ax, xlabel, "how many", f"{len(values):,} values")


def loss_curve(
    loss: Any,
    data: Any,
    bounds: tuple[float, float] | None = None,
    ax: Any = None,
    *,
    xlabel: str = "θ",
    label: str | None = None,
    **problem: Any,
) -> Any:
    """Draw the mean loss against its one parameter (A11).

    Parameters
    ----------
    loss, data
        Any loss of one parameter and its data, as in ``st.search.grid``: built-in, traced, a callable, a C function.
    bounds : (low, high), optional
        Between which parameters; by default a little beyond the data of the constant model, otherwise around 0.
    ax : matplotlib Axes, optional
        Where to draw; new ones by default.
    xlabel : str
        What the parameter is, with its unit.
    label : str, optional
        For a legend.
    **problem
        ``penalty``, ``sample_weight``, ``fit_intercept`` and ``x0`` as in ``st.search.grid``.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        Where the loss has more than one parameter.
    ImportError
        Where matplotlib is missing.

    Examples
    --------
    >>> import steepest as st
    >>> ax = st.plot.loss_curve("mse", [12, 13, 15, 16, 17], (11, 18))
    >>> ax.get_ylabel()
    'mean loss'
    """
    return _curve(one_parameter(Ground(loss, data, **problem)), bounds, new_axes(ax), xlabel, label)


def rug_and_loss(
    loss: Any,
    data: Any,
    bounds: tuple[float, float] | None = None,
    ax: Any = None,
    *,
    xlabel: str = "y",
    **problem: Any,
) -> Any:
    """Draw data as a rug beside the loss of the constant model (A11).

    Parameters
    ----------
    loss : Any
        As in `loss_curve`.
    data : array_like, shape (n,)
        The y of the constant model.
    bounds : (low, high), optional
        Of both axes.
    ax : pair of matplotlib Axes, optional
        Where to draw; those of a new figure by default.
    xlabel : str
        What the data are, with their unit.
    **problem
        As in `loss_curve`.

    Returns
    -------
    pair of matplotlib Axes

    Raises
    ------
    ValueError, ImportError
        As `loss_curve`.

    Examples
    --------
    >>> import steepest as st
    >>> left, right = st.plot.rug_and_loss("mse", [12, 13, 15, 16, 17], (11, 18))
    >>> left.get_xlim() == right.get_xlim()
    True
    """
    if ax is None:
        pyplot = require("matplotlib.pyplot", extra="plot")
        ax = pyplot.subplots(1, 2, figsize=(9.0, 3.0), dpi=120, layout="constrained", width_ratios=(2, 3))[1]
    left, right = ax
    bounds = _around(as_values(data, "data")) if bounds is None else as_bounds(bounds)
    rug(data, bounds, left, xlabel=xlabel)
    loss_curve(loss, data, bounds, right, **problem)
    return ax


def theta(
    loss: Any,
    data: Any,
    theta: float,
    bounds: tuple[float, float] | None = None,
    ax: Any = None,
    *,
    hollow: bool = False,
    label: str | None = None,
    **problem: Any,
) -> Any:
    """Draw a parameter on the curve of its loss (A11).

    Parameters
    ----------
    loss, data, bounds, **problem
        As in `loss_curve`, which is drawn first where the axes are empty.
    theta : float
        The parameter.
    ax : matplotlib Axes, optional
        Where to draw; new ones by default.
    hollow : bool
        A ring rather than a disc: where a step comes from.
    label : str, optional
        For the legend; the parameter's value by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, ImportError
        As `loss_curve`.

    Examples
    --------
    >>> import steepest as st
    >>> ax = st.plot.theta("mse", [12.1, 12.8, 14.9, 16.3, 17.2], 12)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['θ = 12']
    """
    ground = one_parameter(Ground(loss, data, **problem))
    ax = _with_curve(ground, bounds, ax, [theta])
    _point(ground, theta, ax, hollow, f"θ = {theta:.5g}" if label is None else label)
    ax.legend(frameon=False)
    return ax


def tangent(
    loss: Any,
    data: Any,
    theta: float,
    bounds: tuple[float, float] | None = None,
    ax: Any = None,
    **problem: Any,
) -> Any:
    """Draw the tangent of the loss at a parameter: its slope says which way is down (A11, A2).

    Parameters
    ----------
    loss, data, bounds, ax, **problem
        As in `theta`.
    theta : float
        Where.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, ImportError
        As `loss_curve`.

    Examples
    --------
    >>> import steepest as st
    >>> ax = st.plot.tangent("mse", [12.1, 12.8, 14.9, 16.3, 17.2], 12)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['slope -5.32', 'θ = 12']
    """
    ground = one_parameter(Ground(loss, data, **problem))
    ax = _with_curve(ground, bounds, ax, [theta])
    low, high = ax.get_xlim()
    bottom, top = ax.get_ylim()
    slope = float(ground.slope(np.array([float(theta)]))[0])
    here = _value(ground, theta)
    reach = (high - low) / 6
    if slope:
        # A steep tangent is as long as a flat one.
        reach = min(reach, 0.45 * (top - bottom) / abs(slope))
    ends = np.array([theta - reach, theta + reach])
    ax.plot(ends, here + slope * (ends - theta), color=SLOPE, lw=2.2, zorder=3, label=f"slope {slope:.4g}")
    _point(ground, theta, ax, False, f"θ = {theta:.5g}")
    ax.set_xlim(low, high)
    ax.legend(frameon=False)
    return ax


def step(
    loss: Any,
    data: Any,
    theta: float,
    step_size: float,
    bounds: tuple[float, float] | None = None,
    ax: Any = None,
    **problem: Any,
) -> Any:
    """Draw one step of descent: the old parameter hollow, the new one filled (A11, A4).

    Parameters
    ----------
    loss, data, bounds, ax, **problem
        As in `theta`.
    theta : float
        Where the step begins.
    step_size : float
        What the gradient is multiplied with.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, ImportError
        As `loss_curve`.

    Examples
    --------
    >>> import steepest as st
    >>> ax = st.plot.step("mse", [12.1, 12.8, 14.9, 16.3, 17.2], 12, step_size=0.3)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['old θ = 12', 'new θ = 13.596']
    """
    ground = one_parameter(Ground(loss, data, **problem))
    new = float(theta - step_size * ground.slope(np.array([float(theta)]))[0])
    ax = _with_curve(ground, bounds, ax, [theta, new])
    arrow = {"arrowstyle": "-|>", "color": THETA, "lw": 1.4, "shrinkA": 8, "shrinkB": 8, "ls": (0, (3, 2))}
    ends = [(theta, _value(ground, theta)), (new, _value(ground, new))]
    ax.annotate("", xy=ends[1], xytext=ends[0], arrowprops={**arrow, "connectionstyle": "arc3,rad=-0.15"}, zorder=3)
    _point(ground, theta, ax, True, f"old θ = {theta:.5g}")
    _point(ground, new, ax, False, f"new θ = {new:.5g}")
    ax.legend(frameon=False)
    return ax


def chord(
    loss: Any,
    data: Any,
    a: float,
    b: float,
    bounds: tuple[float, float] | None = None,
    ax: Any = None,
    **problem: Any,
) -> Any:
    """Draw the chord between two parameters; where the loss lies above it, it is not convex (A11, A7).

    Parameters
    ----------
    loss, data, bounds, ax, **problem
        As in `theta`.
    a, b : float
        The ends.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, ImportError
        As `loss_curve`.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> ax = st.plot.chord(st.reference.quartic_loss, np.zeros(1), -12, 15, (-23, 25))
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['chord', 'loss above the chord: not convex']
    """
    ground = one_parameter(Ground(loss, data, **problem))
    a, b = min(a, b), max(a, b)
    ax = _with_curve(ground, bounds, ax, [a, b])
    at = np.linspace(a, b, CURVE_POINTS)
    values = ground.values(at[:, np.newaxis])
    line = values[0] + (values[-1] - values[0]) * (at - a) / (b - a if b > a else 1.0)
    ax.plot([a, b], [values[0], values[-1]], "o-", color=SLOPE, lw=2, ms=7, mec="white", zorder=3, label="chord")
    above = values > line + 64 * np.finfo(float).eps * np.abs(values).max()
    if above.any():
        label = "loss above the chord: not convex"
        ax.fill_between(at, line, values, where=above, color=SLOPE, alpha=0.2, lw=0, label=label)
    ax.legend(frameon=False)
    return ax


def _around(values: Any) -> tuple[float, float]:
    """Return the range of values and a tenth beyond."""
    low, high = float(np.min(values)), float(np.max(values))
    margin = 0.1 * (high - low) or max(1.0, 0.1 * abs(low))
    return low - margin, high + margin


def _value(ground: Ground, at: float) -> float:
    return float(ground.values(np.array([[float(at)]]))[0])


def _curve(ground: Ground, bounds: Any, ax: Any, xlabel: str, label: str | None, shown: Any = ()) -> Any:
    if bounds is None:
        constant = not isinstance(ground.data, tuple)
        low, high = _around([*(np.ravel(ground.data) if constant else (-5.0, 5.0)), *shown])
    else:
        low, high = as_bounds(bounds)
    thetas = np.linspace(low, high, CURVE_POINTS)
    again = ax.has_data()
    color = SERIES[len(ax.lines) % len(SERIES)]
    ax.plot(thetas, ground.values(thetas[:, np.newaxis]), color=color, lw=2, zorder=2, label=label)
    ax.set_xlim(low, high)
    if label is not None:
        ax.legend(frameon=False)
    return finish(ax, xlabel, "mean loss", None if again else ground.name)


def _with_curve(ground: Ground, bounds: Any, ax: Any, shown: list[float]) -> Any:
    """Return axes with the curve on them."""
    ax = new_axes(ax)
    return ax if ax.has_data() else _curve(ground, bounds, ax, "θ", None, shown)


def _point(ground: Ground, at: float, ax: Any, hollow: bool, label: str) -> None:
    ax.plot(
        [at],
        [_value(ground, at)],
        "o",
        ms=MARKER,
        mec=THETA if hollow else "white",
        mfc="none" if hollow else THETA,
        mew=2.2 if hollow else 0.8,
        zorder=4,
        label=label,
    )
