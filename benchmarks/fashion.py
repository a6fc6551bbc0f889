"""Softmax on Fashion-MNIST to the optimum: SciPy's methods over the core against scikit-learn's newton-cg, in one run.

Run as ``python benchmarks/fashion.py``; it wants Debian's package ``dataset-fashion-mnist``, or the directory of the
four files as its argument. Every fit minimizes the mean cross-entropy plus ``L2(1/n)`` with an intercept, on pixels
between 0 and 1 in float32; ``over the best`` is relative, to the best objective that any of them reached, evaluated in
double.
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
        start = time.perf_counter()
        coef, intercept, iterations = fit()
        seconds = time.perf_counter() - start
        scores = X_test @ coef.T.astype(np.float32) + intercept.astype(np.float32)
        lines.append(
            {
                "name": name,
                "seconds": seconds,
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

    timed("steepest L-BFGS-B", lambda: steepest(st.methods.get("L-BFGS-B", maxcor=20, ftol=0.0, gtol=1e-5), epochs=400))
    timed("steepest Newton-CG", lambda: steepest("Newton-CG", epochs=12))
    timed("steepest trust-ncg", lambda: steepest("trust-ncg", epochs=20))
    timed("scikit-learn newton-cg", lambda: peer("newton-cg", 1e-2, 12))
    best = min(line["objective"] for line in lines)
    for line in lines:
        line["over the best"] = line["objective"] / best - 1
    return lines


def main() -> None:
    """Print the table and whether the goals are met."""
    lines = run(*sys.argv[1:2])
    print(f"{'':24}{'seconds':>9}{'iterations':>12}{'objective':>12}{'over the best':>15}{'test accuracy':>15}")
    for line in lines:
        print(
            f"{line['name']:24}{line['seconds']:9.1f}{line['iterations']:12}{line['objective']:12.6f}"
            f"{line['over the best']:15.1e}{line['accuracy']:15.4f}"
        )
    ours = [line for line in lines if line["name"].startswith("steepest") and line["over the best"] <= GOAL]
    theirs = min(line["seconds"] for line in lines if not line["name"].startswith("steepest"))
    print(f"within {GOAL:g} of the best: {', '.join(line['name'] for line in ours) or 'none of ours'}")
    if ours:
        print(f"the fastest of them takes {min(line['seconds'] for line in ours) / theirs:.2f} of scikit-learn's time")


if __name__ == "__main__":
    main()
