"""Measure the peak of memory of one fit beyond its data, for every layout and type of rows, and write docs/memory.md.

``python benchmarks/memory.py`` takes about two minutes. Every cell is a process of its own, whose high-water mark is
set back when the data stands. Linux only.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "memory.md"

# What X is made from: a name for the table, the bytes of a stored number (0: measured), and how it is made from blocks
# of whole numbers from 0 to 7.
CASES: dict[str, str] = {
    "float64, C order": "filled(np.float64)",
    "float32, C order": "filled(np.float32)",
    "float32, F order": "filled(np.float32, order='F')",
    "float32, every other row": "filled(np.float32, rows=2)[::2]",
    "float32, every other column": "filled(np.float32, columns=2)[:, ::2]",
    "float16": "filled(np.float16)",
    "bfloat16": "filled(ml_dtypes.bfloat16)",
    "uint16": "filled(np.uint16)",
    "int8": "filled(np.int8)",
    "uint8": "filled(np.uint8)",
    "uint8, F order": "filled(np.uint8, order='F')",
    "bool": "filled(np.bool_)",
    "int64 (copied)": "filled(np.int64)",
    "CSR, float32, 32-bit indices": "sparse(np.float32, np.int32)",
    "CSR, float64, 64-bit indices": "sparse(np.float64, np.int64)",
    "CSR, uint8, 32-bit indices": "sparse(np.uint8, np.int32)",
    "pandas, one block of float32": "pandas.DataFrame(filled(np.float32))",
    "pandas, several types (copied)": "several()",
    "float32, four fifths of the rows": "filled(np.float32)",
}

CODE = """
import sys, time, warnings
import numpy as np

tool, case, make, n, d = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
block = np.random.default_rng(0).integers(0, 8, size=(4096, d), dtype=np.uint8)
if "ml_dtypes" in make:
    import ml_dtypes
if "pandas" in make or "several" in make:
    import pandas

def filled(dtype, order="C", rows=1, columns=1):
    X = np.empty((rows * n, columns * d), dtype=dtype, order=order)
    for i in range(0, rows * n, 4096):
        part = X[i:i + 4096]
        for k in range(columns):
            part[:, k::columns] = block[:len(part)] > 3 if X.dtype == bool else block[:len(part)]
    return X

def sparse(dtype, index):
    import scipy.sparse
    per = max(1, d // 4)
    columns = np.tile(np.arange(0, 4 * per, 4, dtype=index), n)
    X = scipy.sparse.csr_array((n, d), dtype=dtype)
    X.data, X.indices = np.ones(n * per, dtype=dtype), columns
    X.indptr = np.arange(n + 1, dtype=index) * per
    return X

def several():
    kinds = (np.float64, np.int64, np.float32, np.int8)
    return pandas.DataFrame({f"c{j}": np.resize(block[:, j], n).astype(kinds[j % 4]) for j in range(d)})

X = eval(make)
y = np.where(np.arange(n) % 3, 1, -1).astype(np.float32)
rows = np.flatnonzero(np.arange(n) % 5) if "fifths" in case else None

def fit(X, y, rows):
    if tool == "steepest":
        import steepest as st
        st.minimize("log_loss", (X, y), method="sgd", step_size=1e-4, batch_size=256, epochs=1, seed=0, rows=rows)
    else:
        from sklearn.linear_model import SGDClassifier
        if rows is not None:
            X, y = X[rows], y[rows]
        SGDClassifier(loss="log_loss", max_iter=1, tol=None, random_state=0).fit(X, y)

def marks():
    with open("/proc/self/status") as status:
        return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in status if line.startswith("Vm")}

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    fit(X[:4096], y[:4096], None if rows is None else rows[:2000])
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")
    before = marks()["VmRSS"]
    fit(X, y, rows)
held = X.memory_usage(index=False).sum() if hasattr(X, "memory_usage") else (
    X.nbytes if hasattr(X, "nbytes") else X.data.nbytes + X.indices.nbytes + X.indptr.nbytes)
print(int(held), max(0, marks()["VmHWM"] - before))
"""


def peak(tool: str, case: str, rows: int, features: int) -> tuple[int, int] | str:
    """Return the bytes of X and those of the peak beyond, or the error that ended it."""
    command = [sys.executable, "-c", CODE, tool, case, CASES[case], str(rows), str(features)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    if ended.returncode != 0:
        return ended.stderr.strip().splitlines()[-1]
    held, more = map(int, ended.stdout.split())
    return held, more


def cell(found: tuple[int, int] | str) -> str:
    """Write a peak as megabytes and as a share of X."""
    if isinstance(found, str):
        return "refused: " + re.sub(r"^\w+: ", "", found).split(".")[0][:80]
    held, more = found
    return f"{more / 1e6:.0f} MB, {more / held:.2f} of X"


def main() -> None:
    """Measure every case and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("--output", type=Path, default=PAGE)
    options = parser.parse_args()
    if not sys.platform.startswith("linux"):
        sys.exit("only Linux lets a process set back its high-water mark")
    tools = ["steepest", *(["scikit-learn"] if find_spec("sklearn") else [])]
    lines = [
        "# The peak of memory of a fit",
        "",
        f"One epoch of log loss over {options.rows:,} rows of {options.features} columns, written by "
        "`python benchmarks/memory.py`: what the process held at most beyond the data, in megabytes and as a share of "
        "X. scikit-learn is its `SGDClassifier`. Copies are announced with a `DataCopyWarning`; labels that are not "
        "-1 and +1 in the type of the computation cost 4 or 8 bytes a row more.",
        "",
        "| X | megabytes of X | " + " | ".join(tools) + " |",
        "| --- | ---: | " + " | ".join("---:" for _ in tools) + " |",
    ]
    for case in (name for name in CASES if options.only in name):
        found = [peak(tool, case, options.rows, options.features) for tool in tools]
        held = next((one[0] for one in found if not isinstance(one, str)), 0)
        lines.append(f"| {case} | {held / 1e6:.0f} | " + " | ".join(map(cell, found)) + " |")
        print(lines[-1], flush=True)
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
