"""The kernels against NumPy: rows of every width, number, layout and dtype.

`test_levels.py` runs this file again under every CPU level of the machine.
"""

import itertools
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

import members
import steepest as st
from members import Array
from tolerances import DTYPES, tolerances

WIDTHS = (*range(1, 71), 100, 783, 784)
COUNTS = (*range(1, 41), 1000)
# Of widths and counts that meet all counts and all widths: one, odd, around registers of 4 to 16 numbers, many.
SOME_WIDTHS = (1, 3, 16, 17, 33, 64, 65, 130)
SOME_COUNTS = (1, 2, 3, 4, 5, 7, 8, 9, 17, 40)

LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "every other column": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "every other row of F": lambda X: np.asfortranarray(np.repeat(X, 2, axis=0))[::2],
    "rows backwards": lambda X: np.ascontiguousarray(X[::-1])[::-1],
    "columns backwards": lambda X: np.ascontiguousarray(X[:, ::-1])[:, ::-1],
    "F backwards": lambda X: np.asfortranarray(X[::-1, ::-1])[::-1, ::-1],
    # What lies around the rows, kernels must not let in.
    "a part": lambda X: np.pad(X, ((1, 2), (3, 1)), constant_values=np.nan)[1 : 1 + len(X), 3 : 3 + X.shape[1]],
    "one row repeated": lambda X: np.broadcast_to(X[:1], X.shape),
}

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
each_layout = pytest.mark.parametrize("layout", LAYOUTS)


class Case:
    """A random problem in one layout, and its objective and gradient by NumPy in float64."""

    def __init__(
        self, n: int, d: int, dtype: Any, layout: str, weighted: bool = False, intercept: bool = False
    ) -> None:
        source = members.random(n, d, layout, weighted, intercept)
        plain = source.normal(size=(n, d)).astype(dtype)
        self.X = LAYOUTS[layout](plain)
        self.y = source.normal(size=n).astype(dtype)
        self.x = source.normal(size=d + intercept).astype(dtype)
        self.weight = source.uniform(0, 2, n).astype(dtype) if weighted else None
        members.vary(plain, self.y, self.x)
        for array in (self.X, self.y, self.weight, self.x):
            if array is not None:
                array.setflags(write=False)
        self.eps = tolerances(dtype).sums
        self._rows = np.hstack([self.X, np.ones((n, int(intercept)))]).astype(np.float64)
        self._weight = np.ones(n) if self.weight is None else self.weight.astype(np.float64)

    def objective(self, loss: str, labels: Array | None = None) -> Any:
        y = self.y if labels is None else labels
        intercept = self.x.size > self.X.shape[1]
        return st.Objective(loss, (self.X, y), sample_weight=self.weight, fit_intercept=intercept)

    def mean(self, loss: str, y: Array, x: Array, rows: Any = np.s_[:]) -> tuple[float, Array, float, Array]:
        """Return the value, the gradient and the sizes of their terms over some rows, over the mean weight of all."""
        A, w = self._rows[rows], self._weight[rows] / self._weight.mean() / len(self._rows[rows])
        z, y = A @ x.astype(np.float64), y[rows].astype(np.float64)
        reached = np.abs(A) @ np.abs(x.astype(np.float64)) + 1
        if loss == "squared_error":
            values, slopes = (z - y) ** 2 / 2, z - y
        else:
            values, slopes = np.logaddexp(0, -y * z), -y * expit(-y * z)
        sizes = w @ (np.abs(values) + (np.abs(slopes) + 1) * reached)
        return w @ values, (w * slopes) @ A, sizes, (w * (np.abs(slopes) + reached)) @ np.abs(A)

    def check(self) -> None:
        labels = np.where(self.y > np.median(self.y), 1, -1).astype(self.y.dtype)
        problems = [("squared_error", self.y, None)]
        if np.unique(labels).size == 2:
            problems.append(("log_loss", labels, labels))
        for loss, y, given in problems:
            value, gradient, size, sizes = self.mean(loss, y, self.x)
            objective = self.objective(loss, given)
            found, slopes = objective.value_and_gradient(self.x)
            assert slopes.shape == self.x.shape
            assert abs(found - value) <= self.eps * size
            assert objective.value(self.x) == pytest.approx(found, rel=1e-14)
            assert np.all(np.abs(slopes - gradient) <= self.eps * sizes), (self.X.shape, loss)


def test_the_level_in_force_is_the_one_asked_for() -> None:
    levels = st._core.levels()
    assert st._core.level() == (os.environ.get("STEEPEST_LEVEL") or levels[0])
    bytes_of = {"v2": 16, "v3": 32, "v4": 64}
    assert st._core.vector_bytes() == bytes_of.get(st._core.level(), 16)


def flags(layout: str, turn: int) -> list[tuple[bool, bool]]:
    """Return with and without weights and intercept: all for the usual layouts, by turns for the others."""
    every = list(itertools.product([False, True], repeat=2))
    return every if layout in ("C", "F") else [every[(turn + len(layout)) % 4]]


@each_dtype
@each_layout
def test_rows_of_every_width(dtype: Any, layout: str) -> None:
    for turn, (d, n) in enumerate(zip(WIDTHS, itertools.cycle(SOME_COUNTS), strict=False)):
        for weighted, intercept in flags(layout, turn):
            Case(n, d, dtype, layout, weighted, intercept).check()


@each_dtype
@each_layout
def test_any_number_of_rows(dtype: Any, layout: str) -> None:
    for turn, (n, d) in enumerate(zip(COUNTS, itertools.cycle(SOME_WIDTHS), strict=False)):
        for weighted, intercept in flags(layout, turn):
            Case(n, d, dtype, layout, weighted, intercept).check()


@each_dtype
@each_layout
def test_many_rows_and_wide_ones(dtype: Any, layout: str) -> None:
    Case(1000, 50, dtype, layout, weighted=True, intercept=True).check()
    Case(50, 784, dtype, layout, weighted=True, intercept=True).check()
    if layout in ("C", "F", "every other column"):
        Case(1000, 784, dtype, layout, intercept=True).check()


@each_dtype
@pytest.mark.parametrize("n", [1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 40, 8191, 8192, 8193, 20_000])
def test_the_constant_model(dtype: Any, n: int) -> None:
    source = members.random(n)
    y, weight = source.normal(size=n).astype(dtype), source.uniform(0.1, 2, n).astype(dtype)
    members.vary(y)
    for given in (None, weight):
        w = np.ones(n) if given is None else given.astype(np.float64)
        r = 0.75 - y.astype(np.float64)
        objective = st.Objective("squared_error", y, sample_weight=given)
        value, gradient = objective.value_and_gradient([0.75])
        room = tolerances(dtype).sums
        assert value == pytest.approx(np.average(r**2 / 2, weights=w), rel=room)
        assert gradient[0] == pytest.approx(np.average(r, weights=w), abs=room * np.average(np.abs(r) + 1, weights=w))


@each_dtype
@each_layout
def test_rows_in_any_order_descend_as_in_numpy(dtype: Any, layout: str) -> None:
    """Gathered rows, the penalty's two halves and the update, batch by batch."""
    step, alpha, ratio = 0.05, 0.3, 0.4
    penalty = st.ElasticNet(alpha, ratio)
    for (d, n), weighted in zip(
        zip(WIDTHS[:70], itertools.cycle((5, 9, 24, 31)), strict=False), itertools.cycle([False, True]), strict=False
    ):
        case = Case(n, d, dtype, layout, weighted=weighted, intercept=weighted)
        order = members.random(n, d).permutation(n)
        size = 1 + (n * 3) // 5
        step_here = step / d
        result = st.minimize(
            "squared_error",
            (case.X, case.y),
            x0=case.x,
            method="sgd",
            step_size=step_here,
            batch_size=size,
            epochs=1,
            penalty=penalty,
            shuffle=order,
            sample_weight=case.weight,
            fit_intercept=weighted,
        )
        x, moved = case.x.astype(np.float64), np.abs(case.x).astype(np.float64)
        for begin in range(0, n, size):
            _, gradient, _, sizes = case.mean("squared_error", case.y, x, order[begin : begin + size])
            gradient[:d] += alpha * (1 - ratio) * x[:d]
            x = x - step_here * gradient
            x[:d] = np.sign(x[:d]) * np.maximum(np.abs(x[:d]) - step_here * alpha * ratio, 0)
            moved += step_here * sizes
        assert result.nit == -(-n // size)
        assert np.all(np.abs(result.x - x) <= case.eps * (moved + 1)), (n, d)
        assert np.any(result.x != case.x)


@each_dtype
def test_no_number_hides_that_it_is_not_finite(dtype: Any) -> None:
    lanes = st._core.vector_bytes() // dtype.itemsize
    info = np.finfo(dtype)
    for n in range(1, 8 * lanes + 4):
        array = np.resize(np.array([info.max, -0.0, info.tiny, -info.max, 1.0], dtype=dtype), n)
        assert st._core.all_finite(array)
        for bad in (np.nan, np.inf, -np.inf):
            for row in range(n):
                kept, array[row] = array[row], bad
                assert not st._core.all_finite(array), (n, row)
                array[row] = kept


@each_dtype
@each_layout
def test_what_is_not_finite_is_named(dtype: Any, layout: str) -> None:
    y = np.arange(13, dtype=dtype)
    for row, column, bad in ((0, 0, np.nan), (12, 4, np.inf), (5, 3, -np.inf), (7, 0, np.nan)):
        X = members.random(row).normal(size=(13, 5)).astype(dtype)
        X[row, column] = bad
        where = 0 if layout == "one row repeated" else row
        if layout == "one row repeated":
            X[0, column] = bad
        kind = "NaN" if np.isnan(bad) else "an infinity"
        with pytest.raises(ValueError, match=rf"X holds {kind}, first in row {where}, column {column}$"):
            st.Objective("mse", (LAYOUTS[layout](X), y))
