"""A descent as a moving picture (A11, A8)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from steepest._extras import require
from steepest.plot._axes import THETA, new_axes
from steepest.plot._ground import Ground
from steepest.plot._landscape import _frame, contours
from steepest.plot._textbook import _around, loss_curve

# At the most: longer descents show every second, third, ... update.
MOST_FRAMES = 120


def animate_descent(
    loss: Any,
    data: Any,
    path: str | Path,
    x0: Any = None,
    *,
    step_size: float | None = None,
    batch_size: int | None = None,
    updates: int = 40,
    bounds: tuple[Any, Any] | None = None,
    seed: int = 0,
    frames_per_second: float = 10.0,
    ax: Any = None,
    **problem: Any,
) -> Any:
    """Write a descent over a loss of one or two parameters as a GIF.

    Parameters
    ----------
    loss, data
        Any loss and its data, as in ``st.search.grid``.
    path : str or Path
        The file; ``.gif`` is what Pillow, which comes with matplotlib, can write.
    x0 : array_like, optional
        The start, zeros by default.
    step_size : float, optional
        As in `paths`.
    batch_size : int, optional
        Rows per update; all by default.
    updates : int
        Steps to show.
    bounds : (low, high), optional
        As in `loss_curve` and `contours`; around the path by default.
    seed : int
        Decides the order of the rows.
    frames_per_second : float
        How fast it plays.
    ax : matplotlib Axes, optional
        Where to draw; new ones by default.
    **problem
        ``penalty``, ``sample_weight`` and ``fit_intercept`` as in ``st.search.grid``.

    Returns
    -------
    matplotlib Axes
        With the last picture on them.

    Raises
    ------
    ValueError
        Where the loss has more than two parameters, or the descent leaves what can be drawn.
    ImportError
        Where matplotlib is missing.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import steepest as st
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gif = Path(folder) / "descent.gif"
    ...     ax = st.plot.animate_descent("mse", [12.1, 12.8, 14.9, 16.3, 17.2], gif, step_size=0.2, updates=3)
    ...     gif.read_bytes()[:6]
    b'GIF89a'
    """
    ground = Ground(loss, data, x0=x0, **problem)
    if ground.size > 2:
        raise ValueError(f"an animation needs a loss of one or two parameters; {ground.name} has {ground.size}")
    if updates < 1:
        raise ValueError(f"updates must be at least 1, not {updates}")
    points = ground.descend(step_size, batch_size, updates, seed)
    values = ground.values(points)
    finite = np.isfinite(values)
    if not finite[:2].all():
        raise ValueError("the descent leaves what can be drawn at its first step: a smaller step_size is needed")
    points, values = points[finite], values[finite]
    writer = require("matplotlib.animation", extra="plot").PillowWriter(fps=frames_per_second)
    ax = new_axes(ax, (6.0, 4.2))
    figure = ax.figure
    if ground.size == 1:
        loss_curve(loss, data, _around(points) if bounds is None else bounds, ax, x0=x0, **problem)
        heights = values
    else:
        contours(loss, data, _frame([points]) if bounds is None else bounds, ax, x0=x0, **problem)
        heights = points[:, 1]
    trail = ax.plot([], [], "o-", color=THETA, lw=1.2, ms=5, mec="white", alpha=0.55, zorder=4)[0]
    now = ax.plot([], [], "o", color=THETA, ms=12, mec="white", zorder=5)[0]
    every = -(-len(points) // MOST_FRAMES)
    shown = [*range(0, len(points) - 1, every), len(points) - 1]
    with writer.saving(figure, str(path), dpi=figure.dpi):
        for i in shown:
            trail.set_data(points[: i + 1, 0], heights[: i + 1])
            now.set_data(points[i : i + 1, 0], heights[i : i + 1])
            ax.set_title(f"{ground.name}, update {i}: loss {values[i]:.4g}", loc="left", pad=10)
            writer.grab_frame()
    return ax
