"""Softmax on Fashion-MNIST to the optimum: SciPy's methods over the core against scikit-learn's newton-cg, in one run.

Run as ``python benchmarks/fashion.py``; it wants Debian's package ``dataset-fashion-mnist``, or the directory of the
four files as its argument. Every fit minimizes the mean cross-entropy plus ``L2(1/n)`` with an intercept, on pixels
between 0 and 1 in float32; ``over the best`` is relative, to the best objective that any of them reached, evaluated in
double, and ``to the goal`` are the seconds until within 1e-3 of it. On a machine that others use too, the seconds of
the processor say more than those of the clock.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import steepest as st

GOAL = 1e-3  # relative distance to the best known objective
PEER = "scikit-learn newton-cg"


def run(directory: str | None = None) -> list[dict[str, Any]]:
    """Fit with every method; return a line for each."""
    from sklearn.linear_model import LogisticRegression

    clothes = st.data.fashion_mnist(directory)
    X, X_test = (clothes[part].astype(np.float32) / np.float32(255) for part in ("X_train", "X_test"))
    y, y_test = clothes["y_train"], clothes["y_test"]
    n = len(y)
    exact = st.Objective("softmax", (X.astype(np.float64), y), st.L2(1 / n), fit_intercept=True)
    lines: list[dict[str, Any]] = []

    def timed(name: str, fit: Callable[[], tuple[NDArray[Any], NDArray[Any], int, Any]]) -> None:
        start, worked = time.perf_counter(), time.process_time()
        coef, intercept, iterations, history = fit()
        seconds, worked = time.perf_counter() - start, time.process_time() - worked
        scores = X_test @ coef.T.astype(np.float32) + intercept.astype(np.float32)
        lines.append(
            {
                "name": name,
                "seconds": seconds,
                "processor seconds": worked,
                "iterations": iterations,
                "objective": exact.value(np.concatenate([coef.ravel(), intercept])),
                "accuracy": float((scores.argmax(axis=1) == y_test).mean()),
                "history": history,
            }
        )
        print(f"{name}: {seconds:.1f} s", file=sys.stderr, flush=True)

    def steepest(name: str, epochs: int, **options: Any) -> tuple[NDArray[Any], NDArray[Any], int, Any]:
        method = st.methods.get(name, **options)
        result = st.minimize("softmax", (X, y), method=method, penalty=st.L2(1 / n), fit_intercept=True, epochs=epochs)
        return result.coef, result.intercept, result.nit, result.history

    def peer(solver: str, tol: float) -> tuple[NDArray[Any], NDArray[Any], int, Any]:
        model = LogisticRegression(C=1.0, solver=solver, tol=tol, max_iter=100).fit(X, y)
        return model.coef_, model.intercept_, int(model.n_iter_[0]), None

    quiet = {"ftol": 0.0, "gtol": 1e-7, "maxcor": 20}
    timed("L-BFGS-B, preconditioned", lambda: steepest("L-BFGS-B", 500, precondition=True, **quiet))
    timed("L-BFGS-B", lambda: steepest("L-BFGS-B", 500, **quiet))
    timed("Newton-CG, preconditioned", lambda: steepest("Newton-CG", 11, precondition=True))
    for tol in (1e-3, 1e-4):
        timed(f"{PEER}, tol={tol:g}", lambda tol=tol: peer("newton-cg", tol))  # type: ignore[misc]
    best = min(line["objective"] for line in lines)
    for line in lines:
        line["over the best"] = line["objective"] / best - 1
        line["to the goal"] = line["seconds"] if line["over the best"] <= GOAL else np.nan
        if line["history"] is not None:
            reached = line["history"].seconds[line["history"].running_objective <= best * (1 + GOAL)]
            line["to the goal"] = float(reached[0]) if reached.size else np.nan
    return lines


def main() -> None:
    """Print the table and whether the goals are met."""
    lines = run(*sys.argv[1:2])
    columns = {
        "seconds": (9, ".1f"),
        "processor seconds": (19, ".1f"),
        "to the goal": (13, ".1f"),
        "iterations": (12, ""),
        "objective": (11, ".6f"),
        "over the best": (15, ".1e"),
        "accuracy": (10, ".4f"),
    }
    print(" " * 34 + "".join(f"{name:>{width}}" for name, (width, _) in columns.items()))
    for line in lines:
        numbers = (f"{line[name]:{width}{form}}" for name, (width, form) in columns.items())
        print(f"{line['name']:34}" + "".join(numbers))
    ours = min((line for line in lines if not line["name"].startswith(PEER)), key=lambda line: line["to the goal"])
    for theirs in (line for line in lines if line["name"].startswith(PEER)):
        share = ours["to the goal"] / theirs["seconds"]
        print(
            f"{ours['name']} is within {GOAL:g} after {share:.2f} of the time that {theirs['name']} takes to "
            f"{theirs['over the best']:.1e}"
        )


if __name__ == "__main__":
    main()
