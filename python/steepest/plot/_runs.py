"""Pictures of runs: step sizes, learning curves, schedules, the noise of mini-batch gradients, sweeps, graphs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from steepest import schedules as _schedules
from steepest._results import Result
from steepest._sweep_result import SweepResult
from steepest.autodiff._draw import graph as _graph
from steepest.plot._axes import (
    LOSS,
    QUIET,
    SLOPE,
    STYLES,
    finish,
    in_epochs,
    in_seconds,
    legend_beside,
    new_axes,
    series,
)
from steepest.plot._ground import Ground

# Decades that the search for the explosion looks at, and how many below it are drawn.
LOWEST_DECADE, HIGHEST_DECADE, SHOWN_DECADES = -20, 12, 9
MUCH_HIGHER = 30.0
PER_DECADE = 8


def step_sizes(
    loss: Any,
    data: Any,
    x0: Any = None,
    step_sizes: ArrayLike | None = None,
    ax: Any = None,
    **problem: Any,
) -> Any:
    """Draw the loss after one step of gradient descent against the step size: it falls, then explodes (D5).

    Parameters
    ----------
    loss, data
        Any loss and its data, as in ``st.search.grid``.
    x0 : array_like or Result, optional
        Where the step begins; zeros by default.
    step_sizes : array_like, optional
        Which; by default ten decades that end where the loss has exploded.
    ax : matplotlib Axes, optional
        Where to draw; new ones by default.
    **problem
        ``penalty``, ``sample_weight`` and ``fit_intercept`` as in ``st.search.grid``.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        Where a step size is not positive, or the gradient is zero.
    ImportError
        Where matplotlib is missing.

    Examples
    --------
    >>> import steepest as st
    >>> X, y = st.data.logistic(1000, 5, seed=0)
    >>> ax = st.plot.step_sizes("log_loss", (X, y))
    >>> ax.get_xscale(), ax.get_yscale()
    ('log', 'log')
    """
    ground = Ground(loss, data, x0=x0, **problem)
    slope = ground.slope(ground.start)
    if not slope.any():
        raise ValueError("the gradient at x0 is zero: a step of any size stays where it is")
    before = float(ground.values(ground.start[np.newaxis])[0])

    if step_sizes is None:
        last = LOWEST_DECADE
        while (
            last < HIGHEST_DECADE and not ground.on_line(ground.start, -slope, np.array([10.0**last]))[0] > 30 * before
        ):
            last += 1
        shown = 10.0 ** np.arange(last - SHOWN_DECADES, last + 1)
    else:
        shown = np.sort(np.asarray(step_sizes, dtype=np.float64).ravel())
        if shown.size == 0 or not (np.isfinite(shown).all() and shown[0] > 0):
            raise ValueError("step_sizes must be positive and finite")
    decades = max(1.0, math.log10(shown[-1] / shown[0]))
    fine = np.asarray(np.geomspace(shown[0], shown[-1], int(PER_DECADE * decades) + 1), dtype=np.float64)
    after, curve = (
        ground.on_line(ground.start, -slope, np.asarray(shown, dtype=np.float64)),
        ground.on_line(ground.start, -slope, fine),
    )
    ax = new_axes(ax, (6.8, 4.4))
    ax.axhline(before, color=QUIET, lw=1.2, ls=(0, (5, 3)), label=f"before the step: {before:.4g}")
    ax.plot(fine, curve, color=LOSS, lw=1.6)
    ax.plot(shown, after, "o", color=LOSS, ms=6, mec="white")
    worse = ~(after <= before)
    if worse.any():
        ax.plot(shown[worse], after[worse], "X", color=SLOPE, ms=9, mec="white", label="overshoots")
    best = int(np.nanargmin(np.where(np.isfinite(after), after, np.nan)))
    ax.plot(shown[best], after[best], "o", color="#2f9e44", ms=10, mec="white", label=f"best: {shown[best]:.3g}")
    ax.set_xscale("log")
    if np.nanmin(curve) > 0:
        ax.set_yscale("log")
    ax.legend(frameon=False, loc="upper left")
    return finish(ax, "step size", "mean loss after one step", f"{ground.name}, {ground.counted()}")


def learning_curves(
    results: Result | Mapping[str, Result] | Sequence[Result],
    against: str = "epochs",
    ax: Any = None,
    *,
    lowest: float | None = None,
) -> Any:
    """Draw the objective of runs against their epochs or seconds.

    Parameters
    ----------
    results : Result, mapping of names to Results, or sequence of Results
        What ``st.minimize`` returned. The exact objective is drawn where ``history="exact"`` kept it, otherwise the
        running one.
    against : {"epochs", "time"}
        The axis across.
    ax : matplotlib Axes, optional
        Where to draw; new ones by default.
    lowest : float, optional
        Where known: the minimum, which is subtracted; the axis is then logarithmic.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        Where a result has no history.
    ImportError
        Where matplotlib is missing.

    Examples
    --------
    >>> import steepest as st
    >>> X, y = st.data.logistic(1000, 5, seed=0)
    >>> runs = {
    ...     f"batches of {size}": st.minimize("log_loss", (X, y), batch_size=size, epochs=5, seed=0, history="exact")
    ...     for size in (32, 256)
    ... }
    >>> ax = st.plot.learning_curves(runs)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['batches of 32', 'batches of 256']
    """
    if against not in ("epochs", "time"):
        raise ValueError(f'against must be "epochs" or "time", not {against!r}')
    if isinstance(results, Result):
        named: dict[str, Result] = {"": results}
    elif isinstance(results, Mapping):
        named = dict(results)
    else:
        named = {f"run {i}": result for i, result in enumerate(results)}
    if not named:
        raise ValueError("results is empty: there is nothing to draw")
    ax = new_axes(ax)
    running = False
    for i, ((name, result), color) in enumerate(zip(named.items(), series(len(named)), strict=True)):
        kept = result.get("history") or {}
        if "epoch" not in kept or len(kept["epoch"]) == 0:
            raise ValueError(f"result {name!r} has no history of epochs: run with history=True or history='exact'")
        objective = np.asarray(kept["objective"], dtype=np.float64)
        if np.isnan(objective).all():
            objective, running = np.asarray(kept["running_objective"], dtype=np.float64), True
        across = kept["epoch"] if against == "epochs" else kept["seconds"]
        marker = {"marker": "o", "ms": 4, "mec": "white", "mew": 0.5} if len(objective) <= 60 else {}
        style = STYLES[i % len(STYLES)]
        ax.plot(across, objective - (lowest or 0.0), color=color, lw=1.8, ls=style, label=name, **marker)
    if lowest is not None:
        ax.set_yscale("log")
    if len(named) > 1:
        ax.legend(frameon=False)
    y = "running objective" if running else "objective over all rows"
    if lowest is not None:
        y += f" above {lowest:.5g}"
    (in_seconds if against == "time" else in_epochs)(ax)
    return finish(ax, "epochs" if against == "epochs" else "time of descent", y, "Learning curves")


def gradient_noise(
    loss: Any,
    data: Any,
    x0: Any = None,
    batch_sizes: Sequence[int] | None = None,
    ax: Any = None,
    *,
    draws: int = 200,
    seed: int = 0,
    **problem: Any,
) -> Any:
    """Draw the variance of mini-batch gradients against their size: it falls as 1/B (B5).

    Parameters
    ----------
    loss, data, x0, ax, **problem
        As in `step_sizes`.
    batch_sizes : sequence of int, optional
        Powers of two up to all rows by default.
    draws : int
        Batches drawn for each size, without replacement.
    seed : int
        Decides which.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, ImportError
        As `step_sizes`.

    Examples
    --------
    >>> import steepest as st
    >>> X, y = st.data.logistic(300, 4, seed=0)
    >>> ax = st.plot.gradient_noise("log_loss", (X, y), batch_sizes=[1, 4, 16], draws=50)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['measured', '1/B, without replacement', 'squared gradient over all rows']
    """
    ground = Ground(loss, data, x0=x0, **problem)
    n = ground.rows
    sizes = (
        [2**k for k in range(12) if 2**k <= max(1, n // 2)] if batch_sizes is None else [int(b) for b in batch_sizes]
    )
    if not sizes or min(sizes) < 1 or max(sizes) > n:
        raise ValueError(f"batch_sizes must lie between 1 and the {n} rows, not {sizes}")
    whole = ground.slope(ground.start)
    draw = np.random.default_rng(seed)

    def variance(size: int) -> float:
        off = [ground.slope(ground.start, draw.choice(n, size, replace=False)) - whole for _ in range(draws)]
        return float(np.mean([one @ one for one in off]))

    measured = np.array([variance(size) for size in sizes])
    at = np.geomspace(min(sizes), max(sizes), 200) if len(sizes) > 1 else np.array(sizes, dtype=float)
    factor = (n - np.array(sizes)) / max(1, n - 1) / np.array(sizes)
    # The constant that fits all sizes best, on the logarithmic scale on which it is seen.
    fits = (factor > 0) & (measured > 0)
    constant = math.exp(float(np.mean(np.log(measured[fits] / factor[fits])))) if fits.any() else 0.0
    ax = new_axes(ax)
    ax.plot(sizes, measured, "o", color=LOSS, ms=7, mec="white", label="measured", zorder=3)
    ax.plot(at, constant * (n - at) / max(1, n - 1) / at, color=SLOPE, lw=1.6, label="1/B, without replacement")
    label = "squared gradient over all rows"
    ax.axhline(float(whole @ whole), color=QUIET, lw=1.2, ls=(0, (5, 3)), label=label)
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ax.minorticks_off()
    ax.set_yscale("log")
    ax.legend(frameon=False)
    title = f"{ground.name}, {n:,} rows, {draws:,} batches of each size"
    return finish(ax, "batch size (rows)", "variance of the gradient", title)


def schedules(
    chosen: Mapping[str, Callable[[float], float]] | Sequence[Any] | None = None,
    epochs: float = 10.0,
    ax: Any = None,
) -> Any:
    """Draw step sizes over time (A10, C5).

    Parameters
    ----------
    chosen : mapping of names to schedules, or sequence of schedules, optional
        Objects of ``st.schedules`` or functions of the time in epochs; by default each of the list that has one.
    epochs : float
        Length of the run.
    ax : matplotlib Axes, optional
        Where to draw; new ones by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        Where nothing is chosen.
    ImportError
        Where matplotlib is missing.

    Examples
    --------
    >>> import steepest as st
    >>> ax = st.plot.schedules({"halved": lambda t: 0.1 * 0.5**t, "constant": lambda t: 0.05}, epochs=5)
    >>> ax.get_xlabel()
    'time (epochs)'
    """
    if chosen is None:
        chosen = {name: _schedules.get(name) for name in _schedules.available()}
        # By default its first fall comes after ten epochs, where a short picture ends.
        chosen["step"] = _schedules.get("step", every=epochs / 4)
    named = dict(chosen) if isinstance(chosen, Mapping) else {_schedule_label(one): one for one in chosen}
    if not named or not epochs > 0:
        raise ValueError("schedules needs a schedule at least, and a positive number of epochs")
    ax = new_axes(ax, (7.4, 4.2))
    at = np.linspace(0.0, epochs, 600)
    for i, ((name, schedule), color) in enumerate(zip(named.items(), series(len(named)), strict=True)):
        known = isinstance(schedule, _schedules.Schedule)
        steps = [schedule(float(t), epochs) if known else float(schedule(float(t))) for t in at]
        ax.plot(at, steps, color=color, lw=1.9, ls=STYLES[i % len(STYLES)], label=name)
    ax.set_xlim(0, epochs)
    ax.set_ylim(bottom=0)
    legend_beside(ax)
    return finish(ax, "time (epochs)", "step size", "Schedules")


def sweep(result: SweepResult, against: str | None = None, ax: Any = None) -> Any:
    """Draw what ``st.sweep`` measured: the loss against time by batch size, or against the step size (D5, D7).

    Parameters
    ----------
    result : SweepResult
        What ``st.sweep`` returned.
    against : {"time", "epochs", "step_size"}, optional
        As in ``SweepResult.plot``.
    ax : matplotlib Axes, optional
        Where to draw; new ones by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        Where nothing was measured.
    ImportError
        Where matplotlib is missing.

    Examples
    --------
    >>> import steepest as st
    >>> X, y = st.data.logistic(2000, 5, seed=0)
    >>> result = st.sweep("log_loss", (X, y), batch_sizes=[32, 256], epochs=2, seed=0)
    >>> st.plot.sweep(result, against="epochs").get_xlabel()
    'epochs'
    """
    return result.plot(ax, against)


def graph(end: Any, ax: Any = None, **names: Any) -> Any:
    """Draw the computation graph behind a tensor, with values and gradients (B2).

    Parameters
    ----------
    end : Tensor
        The end node.
    ax : matplotlib Axes, optional
        Where to draw; new ones by default.
    **names : Tensor
        What tensors are to be called.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Where matplotlib is missing.

    Examples
    --------
    >>> import steepest as st
    >>> x = st.tensor(2.0, requires_grad=True)
    >>> ax = st.plot.graph(x * x, x=x)
    >>> ax.texts[-1].get_text().splitlines()
    ['×', 'value 4', 'gradient 1']
    """
    return _graph(end, **names).draw(ax)


def _schedule_label(schedule: Any) -> str:
    return schedule.name if isinstance(schedule, _schedules.Schedule) else getattr(schedule, "__name__", "schedule")
