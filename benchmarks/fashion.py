"""Softmax on Fashion-MNIST to the optimum: SciPy's methods over the core against scikit-learn's newton-cg, in one run.

Run as ``python benchmarks/fashion.py``; it wants Debian's package ``dataset-fashion-mnist``, or the directory of the
four files as its argument. Every fit minimizes the mean cross-entropy plus ``L2(1/n)`` with an intercept, on pixels
between 0 and 1 in float32; ``over the best`` is relative, to the best objective that any of them reached, evaluated in
double. On a machine that others use too, the seconds of the processor say more than those of the clock.
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


def run(directory: str | None = None) -> list[dict[str, Any]]:
    """Fit with every method; return a line for each."""
    from sklearn.linear_model import LogisticRegression

    clothes = st.data.fashion_mnist(directory)
    X, X_test = (clothes[part].astype(np.float32) / np.float32(255) for part in ("X_train", "X_test"))
    y, y_test = clothes["y_train"], clothes["y_test"]
    n = len(y)
    exact = st.Objective("softmax", (X.astype(np.float64), y), st.L2(1 / n), fit_intercept=True)
    lines: list[dict[str, Any]] = []

    def timed(name: str, fit: Callable[[], tuple[NDArray[Any], NDArray[Any], int]]) -> None:
        start, worked = time.perf_counter(), time.process_time()
        coef, intercept, iterations = fit()
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
            }
        )
        print(f"{name}: {seconds:.1f} s", file=sys.stderr, flush=True)

    def steepest(method: Any, **options: Any) -> tuple[NDArray[Any], NDArray[Any], int]:
        result = st.minimize("softmax", (X, y), method=method, penalty=st.L2(1 / n), fit_intercept=True, **options)
        return result.coef, result.intercept, result.nit

    def peer(solver: str, tol: float, most: int) -> tuple[NDArray[Any], NDArray[Any], int]:
        model = LogisticRegression(C=1.0, solver=solver, tol=tol, max_iter=most).fit(X, y)
        return model.coef_, model.intercept_, int(model.n_iter_[0])

    timed(
        "steepest L-BFGS-B", lambda: steepest(st.methods.get("L-BFGS-B", maxcor=20, ftol=0.0, gtol=1e-6), epochs=1000)
    )
    timed("steepest Newton-CG", lambda: steepest("Newton-CG", epochs=25))
    timed("steepest trust-ncg", lambda: steepest("trust-ncg", epochs=10))
    timed("scikit-learn newton-cg", lambda: peer("newton-cg", 1e-3, 30))
    best = min(line["objective"] for line in lines)
    for line in lines:
        line["over the best"] = line["objective"] / best - 1
    return lines


def main() -> None:
    """Print the table and whether the goals are met."""
    lines = run(*sys.argv[1:2])
    columns = {
        "seconds": (9, ".1f"),
        "processor seconds": (19, ".1f"),
        "iterations": (12, ""),
        "objective": (11, ".6f"),
        "over the best": (15, ".1e"),
        "accuracy": (10, ".4f"),
    }
    print(" " * 24 + "".join(f"{name:>{width}}" for name, (width, _) in columns.items()))
    for line in lines:
        numbers = (f"{line[name]:{width}{form}}" for name, (width, form) in columns.items())
        print(f"{line['name']:24}" + "".join(numbers))
    ours = [line for line in lines if line["name"].startswith("steepest") and line["over the best"] <= GOAL]
    theirs = next(line for line in lines if line["name"].startswith("scikit-learn"))
    print(f"within {GOAL:g} of the best: {', '.join(line['name'] for line in ours) or 'none of ours'}")
    if ours:
        for unit in ("seconds", "processor seconds"):
            share = min(line[unit] for line in ours) / theirs[unit]
            print(f"the fastest of them takes {share:.2f} of scikit-learn's {unit} to {theirs['over the best']:.1e}")


if __name__ == "__main__":
    main()
