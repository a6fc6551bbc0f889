"""Estimators against scikit-learn's, in turn and in one run: rows per second and accuracy on the same rows.

``python benchmarks/estimators.py --rows 10000000 --features 28`` runs scikit-learn's SGDClassifier and ours at batch
sizes 1 and 32; ``--imports`` measures what importing steepest adds to importing NumPy and SciPy.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

HELD_OUT = 100_000
REPEATS = 7


def rows_of(rows: int, features: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return float32 rows of unequal columns and labels with one in ten turned around, a block at a time."""
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
        "scikit-learn": Theirs(**common),
        "steepest, batch 1": Ours(**common),
        "steepest, batch 32": Ours(batch_size=32, **common),
        "steepest, batch 32, n_jobs=2": Ours(batch_size=32, n_jobs=2, **common),
    }


def measure(rows: int, features: int, loss: str, epochs: int, repeats: int) -> list[dict[str, Any]]:
    """Fit every model in turn, several times; return each one's fastest time and mean accuracy on other rows."""
    X, y = rows_of(rows + HELD_OUT, features, seed=1)
    train, test = (X[:rows], y[:rows]), (X[rows:], y[rows:])
    models = contenders(loss, epochs)
    seconds: dict[str, list[float]] = {name: [] for name in models}
    accuracy: dict[str, list[float]] = {name: [] for name in models}
    for repeat in range(repeats):
        for name, model in models.items():
            model.set_params(random_state=repeat)
            start = time.perf_counter()
            model.fit(*train)
            seconds[name].append(time.perf_counter() - start)
            accuracy[name].append(float(model.score(*test)))
    first = min(seconds["scikit-learn"])
    return [
        {
            "name": name,
            "rows": rows,
            "features": features,
            "loss": loss,
            "epochs": epochs,
            "seconds": min(seconds[name]),
            "rows_per_second": rows * epochs / min(seconds[name]),
            "times_scikit_learn": first / min(seconds[name]),
            "accuracy": statistics.mean(accuracy[name]),
        }
        for name in models
    ]


def import_milliseconds(statement: str) -> float:
    """Return what the fastest of several interpreters computes, files in the cache, on however busy a machine."""
    code = f"import time; start = time.process_time(); {statement}; print(time.process_time() - start)"
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(REPEATS)
    ]
    return min(runs) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--features", type=int, default=28)
    parser.add_argument("--loss", default="log_loss")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--imports", action="store_true", help="measure imports only")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.imports:
        base = import_milliseconds("import numpy, scipy.optimize, scipy.linalg, scipy.sparse")
        whole = import_milliseconds("import numpy, scipy.optimize, scipy.linalg, scipy.sparse; import steepest")
        found: Any = {"numpy_and_scipy_ms": base, "steepest_adds_ms": whole - base}
        print(json.dumps(found, indent=2))
        return
    found = measure(args.rows, args.features, args.loss, args.epochs, args.repeats)
    if args.json:
        print(json.dumps(found, indent=2))
        return
    for each in found:
        print(
            f"{each['name']:30} {each['rows_per_second'] / 1e6:8.2f} million rows/s"
            f" {each['times_scikit_learn']:7.1f} times, accuracy {each['accuracy']:.4f}"
        )


if __name__ == "__main__":
    main()
