"""One look for all pictures: axes, colours, labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepest._extras import require

# Told apart by people who confuse red and green, and in grey: blue is the loss, green is theta, as in the sources.
LOSS = "#2b6cb0"
THETA = "#2f9e44"
SLOPE = "#d9480f"
QUIET = "0.55"
SERIES = ("#2b6cb0", "#d9480f", "#2f9e44", "#9c36b5", "#b08900", "#0b7285", "#c2255c", "#495057")
# Lines that lie on one another are told apart by these.
STYLES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1)), (0, (4, 1, 1, 1)))
# Blue is low and red is high, as in the sources.
MAP = "RdYlBu_r"


def new_axes(ax: Any, size: tuple[float, float] = (6.4, 4.2)) -> Any:
    """Return the axes given, or those of a new figure."""
    require("matplotlib", extra="plot")
    if ax is not None:
        return ax
    pyplot = require("matplotlib.pyplot", extra="plot")
    return pyplot.subplots(figsize=size, dpi=120, layout="constrained")[1]


def finish(ax: Any, x: str, y: str, title: str | None = None, grid: bool = True) -> Any:
    """Label axes and quieten what is not data; return them."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if title is not None:
        ax.set_title(title, loc="left", pad=10)
    ax.spines[["top", "right"]].set_visible(False)
    if grid:
        ax.grid(which="major", color="0.92", lw=0.8)
        ax.set_axisbelow(True)
    return ax


def in_seconds(ax: Any) -> None:
    """Write the ticks below as times in the unit that suits each: microseconds of a few rows, seconds of many."""
    ax.xaxis.set_major_formatter(require("matplotlib.ticker", extra="plot").EngFormatter(unit="s"))


def in_epochs(ax: Any) -> None:
    """Mark whole epochs below, which are what there are points of."""
    locator = require("matplotlib.ticker", extra="plot").MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True)
    ax.xaxis.set_major_locator(locator)


def series(count: int) -> list[Any]:
    """Return colours for so many lines: distinct ones for a few, a scale for many."""
    if count <= len(SERIES):
        return list(SERIES[:count])
    matplotlib = require("matplotlib", extra="plot")
    return list(matplotlib.colormaps["turbo"](np.linspace(0.06, 0.94, count)))


def legend_beside(ax: Any, title: str | None = None) -> None:
    """Put the legend to the right of the axes, where it hides nothing."""
    ax.legend(title=title, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, alignment="left")


def as_values(values: Any, what: str) -> NDArray[np.float64]:
    """Return finite numbers in one dimension."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{what} must be one-dimensional and hold numbers; its shape is {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{what} must be finite; value {int(np.isfinite(array).argmin())} is not")
    return array


def as_bounds(bounds: Any, what: str = "bounds") -> tuple[float, float]:
    """Return two ascending finite numbers."""
    try:
        low, high = (float(bound) for bound in bounds)
    except (TypeError, ValueError):
        raise ValueError(f"{what} must be two numbers (low, high), not {bounds!r}") from None
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(f"{what} must be finite and ascending, not {bounds!r}")
    return low, high
