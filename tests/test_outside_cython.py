"""Losses outside the core that another package writes in Cython."""

import importlib
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from compiling import compile_library
from steepest._outside import evaluate, outside_problem

CYTHON = """
# cython: language_level=3
from steepest._callbacks cimport PointerLoss, loss_capsule, ptrdiff_t

cdef double weight = 3

cdef double weighted(const double* theta, ptrdiff_t k, const double* X, ptrdiff_t rows, ptrdiff_t cols,
                     const double* y, double* grad, void* user) noexcept nogil:
    cdef double total = 0
    cdef ptrdiff_t i
    for i in range(rows):
        total += (<double*>user)[0] * (y[i] - theta[0]) ** 2
        grad[0] -= (<double*>user)[0] * 2 * (y[i] - theta[0])
    return total

cdef api double picky(const double* theta, ptrdiff_t k, const double* X, ptrdiff_t rows, ptrdiff_t cols,
                      const double* y, double* grad, void* user) except? -1 nogil:
    with gil:
        raise LookupError(f"{rows} rows")

loss = loss_capsule(weighted, &weight)

def rows_of(PointerLoss owner):
    return owner.rows
"""


class TestCython:
    def test_another_package_can_cimport(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "steepest").mkdir()
        shutil.copy(Path(__file__).parents[1] / "src" / "_callbacks.pxd", tmp_path / "steepest")
        source, library = tmp_path / "another.c", tmp_path / f"another{sysconfig.get_config_var('EXT_SUFFIX')}"
        source.with_suffix(".pyx").write_text(CYTHON)
        command = [sys.executable, "-m", "cython", "-I", str(tmp_path), str(source.with_suffix(".pyx"))]
        subprocess.run(command, check=True)
        compile_library(source, library, "-I", sysconfig.get_path("include"))
        monkeypatch.syspath_prepend(tmp_path)
        another = importlib.import_module("another")
        problem, owner = outside_problem(another.loss, np.array([1.0, 3.0]), 0.0)
        assert another.rows_of(owner) == 2
        assert problem.value([1.0]) == 6.0
        problem, owner = outside_problem(another.__pyx_capi__["picky"], np.array([1.0, 3.0]), 0.0)
        with pytest.raises(LookupError, match="2 rows"):
            evaluate(owner, problem.value, np.zeros(1))
