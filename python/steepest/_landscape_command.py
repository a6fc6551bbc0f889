"""What ``steepest landscape`` does: a file in, a picture of the loss around a point out (D2)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from steepest import _results
from steepest._errors import Refused, print_json, refusing, shows_progress
from steepest._fit import load, rows_seen
from steepest._minimize import minimize
from steepest._options import LossOptions
from steepest._picture import new_picture, save_picture
from steepest._table import Request

SIZE = (7.2, 5.4)


def run_landscape(
    request: Request,
    model: LossOptions,
    output: Path,
    *,
    ray: bool,
    around: str,
    span: float | None,
    points: int | None,
    most_rows: int,
    seed: int,
    as_json: bool,
) -> int:
    """Draw the loss along a ray or over a plane; return the exit code.

    Raises
    ------
    Refused
        For bad usage and bad data, before any work.
    """
    figure = new_picture("--output", output, SIZE, 140)
    if around not in ("minimum", "zeros"):
        raise Refused(f"--around takes minimum or zeros, not {around!r}")
    if points is not None and points < 2:
        raise Refused(f"--points must be at least 2, not {points}")
    from steepest import plot

    with refusing():
        loss, penalty = model.made()
        table = load(request, loss, shows_progress(None, as_json))
        table.X, table.y = _sample(table.X, table.y, most_rows, seed)
        data = rows_seen(table, model)
        problem: dict[str, Any] = {"penalty": penalty, "fit_intercept": model.intercept and table.X is not None}
        x0 = None
        if around == "minimum":
            with warnings.catch_warnings():
                # As close as a picture needs; how it ended does not show.
                warnings.simplefilter("ignore", _results.ConvergenceWarning)
                x0 = minimize(loss, data, seed=seed, **problem).x
        ax = figure.add_subplot()
        if ray or (table.X is None and not problem["fit_intercept"]):
            plot.ray(loss, data, x0, span=span, ax=ax, seed=seed, **problem)
            if points is not None:
                raise ValueError("--points goes with a plane, not with --ray")
        else:
            plot.plane(loss, data, x0, span=span, ax=ax, seed=seed, points=points or 51, **problem)
        where = "the minimum" if around == "minimum" else "zeros"
        columns = ", columns normalised" if model.normalize else ""
        ax.set_title(f"{ax.get_title(loc='left')}\naround {where}{columns}", loc="left", pad=10)
    save_picture(figure, output)
    if as_json:
        print_json(
            {"picture": str(output), "rows": len(table.y), "around": None if x0 is None else np.asarray(x0).tolist()}
        )
    else:
        Console().print(f"Landscape: {output}", markup=False, highlight=False, soft_wrap=True)
    return 0


def _sample(X: Any, y: Any, most: int, seed: int) -> tuple[Any, Any]:
    """Return so many rows at the most, drawn at random: every point of a map costs a pass over them."""
    if len(y) <= most:
        return X, y
    index = np.sort(np.random.default_rng(seed).choice(len(y), most, replace=False))
    return (None if X is None else X[index]), y[index]
