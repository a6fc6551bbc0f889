"""Estimators against scikit-learn's, in turn and in one run: rows per second and accuracy on rows that none has seen.

    python benchmarks/estimators.py [--rows 10000000] [--features 28] [--sparse-rows 500000] [--columns 100000]

fits scikit-learn's SGDClassifier and ours at batch sizes 1 and 32 to dense rows and to CSR of 50 entries a row, labels
found and data checked included. Times are the fastest of several, and the clock counts; accuracies are means with their
standard errors. scikit-learn's BLAS is kept to one thread: others would wait for work in a loop, which the processor's
time counts.
``--imports`` measures what importing steepest adds to importing NumPy and SciPy.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sparse_rows import ENTRIES
from sparse_rows import make_rows as make_sparse_rows
from threadpoolctl import threadpool_limits

HELD_OUT = 100_000
REPEATS = 7
THEIRS = "scikit-learn"
# How many times scikit-learn's rows per second each is to reach.
GOALS = {("dense", "batch 1"): 3, ("dense", "batch 32"): 10, ("CSR", "batch 1"): 3, ("CSR", "batch 32"): 5}


def dense_rows(rows: int, features: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return float32 rows and labels with one in ten turned around, a block at a time."""
    rng = np.random.default_rng(seed)
    coef = rng.normal(size=features).astype(np.float32)
    X, y = np.empty((rows, features), dtype=np.float32), np.empty(rows, dtype=np.int64)
    for start in range(0, rows, 1 << 18):
        block = rng.standard_normal((min(1 << 18, rows - start), features), dtype=np.float32)
        X[start : start + len(block)] = block
        turned = rng.random(len(block)) < 0.1
        y[start : start + len(block)] = (block @ coef > 0) ^ turned
    return X, y


def contenders(loss: str, epochs: int) -> dict[str, Any]:
    """Return the models by name; everything but the batch size is the same."""
    from sklearn.linear_model import SGDClassifier as Theirs

    from steepest.sklearn import SGDClassifier as Ours

    common: dict[str, Any] = {"loss": loss, "max_iter": epochs, "tol": None}
    return {
        THEIRS: Theirs(**common),
        "batch 1": Ours(**common),
        "batch 32": Ours(batch_size=32, **common),
        "batch 32, n_jobs=2": Ours(batch_size=32, n_jobs=2, **common),
    }


def measure(
    kind: str, X: Any, y: NDArray[Any], rows: int, loss: str, epochs: int, repeats: int
) -> list[dict[str, Any]]:
    """Fit every model to the first rows, in turn, several times; score it on the others."""
    train, test = (X[:rows], y[:rows]), (X[rows:], y[rows:])
    models = contenders(loss, epochs)
    found: dict[str, dict[str, list[float]]] = {name: {"wall": [], "processor": [], "right": []} for name in models}
    for repeat in range(repeats):
        for name, model in models.items():
            model.set_params(random_state=repeat)
            # Ours would take the limit for its own, which is n_jobs.
            with threadpool_limits(1, "blas") if name == THEIRS else nullcontext():
                wall, processor = time.perf_counter(), time.process_time()
                model.fit(*train)
                found[name]["processor"].append(time.process_time() - processor)
                found[name]["wall"].append(time.perf_counter() - wall)
            found[name]["right"].append(float(model.score(*test)))
    first = found[THEIRS]
    return [
        {
            "kind": kind,
            "name": name,
            "rows": rows,
            "features": X.shape[1],
            "loss": loss,
            "epochs": epochs,
            "seconds": min(each["wall"]),
            "rows_per_second": rows * epochs / min(each["wall"]),
            "times_scikit_learn": min(first["wall"]) / min(each["wall"]),
            "times_scikit_learn_of_processor": min(first["processor"]) / min(each["processor"]),
            "goal": GOALS.get((kind, name)),
            "accuracy": statistics.mean(each["right"]),
            # Of the mean: accuracy differs from one order of the rows to the next.
            "accuracy_error": statistics.stdev(each["right"]) / repeats**0.5 if repeats > 1 else None,
        }
        for name, each in found.items()
    ]


def import_milliseconds(statement: str) -> float:
    """Return what the fastest of several interpreters computes, files in the cache, on however busy a machine."""
    code = f"import time; start = time.process_time(); {statement}; print(time.process_time() - start)"
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(REPEATS)
    ]
    return min(runs) * 1e3


def told(one: dict[str, Any]) -> str:
    """Return a line on one model."""
    goal = "" if one["goal"] is None else f" (to reach: {one['goal']})"
    spread = "" if one["accuracy_error"] is None else f" +- {one['accuracy_error']:.4f}"
    return (
        f"{one['kind']:5} {one['name']:19} {one['rows_per_second'] / 1e6:7.2f} million rows/s, "
        f"{one['times_scikit_learn']:5.2f} times by the clock{goal}, "
        f"{one['times_scikit_learn_of_processor']:5.2f} by processor time, "
        f"accuracy {one['accuracy']:.4f}{spread}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, help="dense ones")
    parser.add_argument("--features", type=int, default=28, help="of dense rows")
    parser.add_argument("--sparse-rows", type=int, default=500_000)
    parser.add_argument("--columns", type=int, default=100_000, help=f"of sparse rows, of which each fills {ENTRIES}")
    parser.add_argument("--loss", default="log_loss")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=16, help="orders of the rows; accuracy differs by them")
    parser.add_argument("--imports", action="store_true", help="measure imports only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write everything")
    args = parser.parse_args(arguments)
    if args.imports:
        base = import_milliseconds("import numpy, scipy.optimize, scipy.linalg, scipy.sparse")
        whole = import_milliseconds("import numpy, scipy.optimize, scipy.linalg, scipy.sparse; import steepest")
        print(f"NumPy and SciPy {base:.0f} ms, steepest adds {whole - base:.0f} ms (to stay below: 150)")
        return
    found = []
    for kind, rows in (("CSR", args.sparse_rows), ("dense", args.rows)):
        if kind == "CSR":
            X, y = make_sparse_rows(rows + HELD_OUT, args.columns, "float64")
        else:
            X, y = dense_rows(rows + HELD_OUT, args.features, seed=1)
        measured = measure(kind, X, y, rows, args.loss, args.epochs, args.repeats)
        print("\n".join(map(told, measured)), flush=True)
        found += measured
    if args.json is not None:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
