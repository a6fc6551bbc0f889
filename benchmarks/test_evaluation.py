"""Values and slopes of every loss: the kernel against its formula in NumPy.

Formulas see all of NumPy, so that a loss needs nothing here but its place in the list.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from steepest import _core, losses

Array = NDArray[Any]

NAMES: dict[str, Any] = {**vars(np), "__builtins__": {}}
SCORES = 10
NUDGE = {"float32": 2e-3, "float64": 1e-6}


def targets(loss: losses.Loss, rows: int, generator: np.random.Generator) -> Array:
    drawn = generator.gamma(2.0, size=rows)
    if loss.target == "binary":
        return np.where(drawn > 1.7, 1.0, -1.0)
    return np.floor(drawn) if loss.target == "non_negative" else drawn + 0.05


def data(loss: losses.Loss, dtype: str, megabytes: float) -> tuple[Array, Array]:
    rows = max(256, int(megabytes * 1e6 / 2 / np.dtype(dtype).itemsize))
    generator = np.random.default_rng(2)
    return targets(loss, rows, generator).astype(dtype), generator.uniform(-3, 3, size=rows).astype(dtype)


def formula(loss: losses.Loss, y: Array, z: Array) -> Array:
    values: Array = eval(loss.formula, NAMES, {"y": y, "z": z, **loss.params})
    return values


def formula_slope(loss: losses.Loss, y: Array, z: Array, nudge: float) -> Array:
    h = z.dtype.type(nudge)
    difference: Array = (formula(loss, y, z + h) - formula(loss, y, z - h)) / (2 * h)
    return difference


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", losses.available("pointwise"))
class TestEvaluation:
    @pytest.fixture(autouse=True)
    def group(self, benchmark: Any, name: str, dtype: str) -> None:
        benchmark.group = f"{name} {dtype}"

    def test_kernel(self, benchmark: Any, record: Any, megabytes: float, name: str, dtype: str) -> None:
        """Value and slope in one pass, into given arrays."""
        loss = losses.get(name)
        y, z = data(loss, dtype, megabytes)
        value, slope = np.empty_like(y), np.empty_like(y)
        benchmark(_core.pointwise, loss._index, loss._values, y, z, value, slope)
        tolerance = 1e-4 if dtype == "float32" else 1e-9
        np.testing.assert_allclose(value, formula(loss, y, z), rtol=tolerance, atol=tolerance)
        record([y, z], len(y))

    def test_formula(self, benchmark: Any, record: Any, megabytes: float, name: str, dtype: str) -> None:
        """The value alone, as the formula says."""
        loss = losses.get(name)
        y, z = data(loss, dtype, megabytes)
        value = benchmark(formula, loss, y, z)
        assert value.shape == y.shape
        record([y, z], len(y))

    def test_value(self, benchmark: Any, record: Any, megabytes: float, name: str, dtype: str) -> None:
        """The public call, checks included."""
        loss = losses.get(name)
        y, z = data(loss, dtype, megabytes)
        value = benchmark(loss.pointwise, y, z, out=np.empty_like(y))
        assert value.shape == y.shape
        record([y, z], len(y))

    def test_gradient(self, benchmark: Any, record: Any, megabytes: float, name: str, dtype: str) -> None:
        """The public call, checks included; near a kink no difference says what the slope is."""
        loss = losses.get(name)
        y, z = data(loss, dtype, megabytes)
        slope = benchmark(loss.gradient, y, z, out=np.empty_like(y))
        expected = formula_slope(loss, y.astype(np.float64), z.astype(np.float64), NUDGE["float64"])
        agree = np.isclose(slope, expected, rtol=1e-3, atol=1e-3)
        assert agree.mean() > 0.99
        record([y, z], len(y))

    def test_formula_gradient(self, benchmark: Any, record: Any, megabytes: float, name: str, dtype: str) -> None:
        """Two values by the formula, which is what a gradient costs that nobody wrote."""
        loss = losses.get(name)
        y, z = data(loss, dtype, megabytes)
        slope = benchmark(formula_slope, loss, y, z, NUDGE[dtype])
        assert slope.shape == y.shape
        record([y, z], len(y))


def row_targets(loss: losses.Loss, rows: int, generator: np.random.Generator) -> tuple[Array, Array]:
    """Draw targets as a user gives them, and as the formula has them."""
    if loss.target == "labels":
        labels = generator.integers(SCORES, size=rows)
        labels[:SCORES] = np.arange(SCORES)
        return labels, np.eye(SCORES)[labels]
    drawn = generator.normal(size=(rows, SCORES))
    y = np.where(drawn > 0.5, 1.0, -1.0) if loss.target == "binary" else drawn
    return y, y


def row_data(loss: losses.Loss, dtype: str, megabytes: float) -> tuple[Array, Array, Array]:
    """Draw targets, the same as the formula has them, and scores."""
    rows = max(256, int(megabytes * 1e6 / 2 / SCORES / np.dtype(dtype).itemsize))
    generator = np.random.default_rng(3)
    y, encoded = row_targets(loss, rows, generator)
    z = generator.uniform(-3, 3, size=(rows, SCORES)).astype(dtype)
    return y if loss.target == "labels" else y.astype(dtype), encoded.astype(dtype), z


def row_slopes(loss: losses.Loss, y: Array, z: Array, nudge: float) -> Array:
    steps = np.eye(SCORES, dtype=z.dtype) * z.dtype.type(nudge)
    twice = z.dtype.type(2 * nudge)
    return np.stack([(formula(loss, y, z + h) - formula(loss, y, z - h)) / twice for h in steps], axis=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", losses.available("scores"))
class TestRowEvaluation:
    """The same five ways for losses of K scores."""

    @pytest.fixture(autouse=True)
    def group(self, benchmark: Any, name: str, dtype: str) -> None:
        benchmark.group = f"{name} of {SCORES} scores {dtype}"

    def test_kernel(self, benchmark: Any, record: Any, megabytes: float, name: str, dtype: str) -> None:
        """Value and slopes in one pass, class by class as the loop has them, into given arrays."""
        loss = losses.get(name)
        y, encoded, z = row_data(loss, dtype, megabytes)
        by_class = np.ascontiguousarray(z.T)
        taken = np.ascontiguousarray(y.T, dtype=dtype).ravel()
        value, slope = np.empty(len(z), dtype=dtype), np.empty_like(by_class)
        benchmark(_core.row_pointwise, loss._index, loss._values, taken, by_class, value, slope)
        tolerance = 1e-4 if dtype == "float32" else 1e-9
        np.testing.assert_allclose(value, formula(loss, encoded, z), rtol=tolerance, atol=tolerance)
        record([y, z], len(y))

    def test_formula(self, benchmark: Any, record: Any, megabytes: float, name: str, dtype: str) -> None:
        """The value alone, as the formula says."""
        loss = losses.get(name)
        y, encoded, z = row_data(loss, dtype, megabytes)
        value = benchmark(formula, loss, encoded, z)
        assert value.shape == (len(z),)
        record([y, z], len(y))

    def test_value(self, benchmark: Any, record: Any, megabytes: float, name: str, dtype: str) -> None:
        """The public call, checks included."""
        loss = losses.get(name)
        y, _, z = row_data(loss, dtype, megabytes)
        value = benchmark(loss.pointwise, y, z, out=np.empty(len(z), dtype=dtype))
        assert value.shape == (len(z),)
        record([y, z], len(y))

    def test_gradient(self, benchmark: Any, record: Any, megabytes: float, name: str, dtype: str) -> None:
        """The public call, checks included; near a kink no difference says what the slopes are."""
        loss = losses.get(name)
        y, encoded, z = row_data(loss, dtype, megabytes)
        slopes = benchmark(loss.gradient, y, z, out=np.empty_like(z))
        expected = row_slopes(loss, encoded.astype(np.float64), z.astype(np.float64), NUDGE["float64"])
        assert np.isclose(slopes, expected, rtol=1e-3, atol=1e-3).mean() > 0.99
        record([y, z], len(y))

    def test_formula_gradient(self, benchmark: Any, record: Any, megabytes: float, name: str, dtype: str) -> None:
        """Two values by the formula for each score, which is what a gradient costs that nobody wrote."""
        loss = losses.get(name)
        y, encoded, z = row_data(loss, dtype, megabytes)
        slopes = benchmark(row_slopes, loss, encoded, z, NUDGE[dtype])
        assert slopes.shape == z.shape
        record([y, z], len(y))
