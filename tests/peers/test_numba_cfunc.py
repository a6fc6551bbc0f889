"""Losses compiled by numba, handed over as C functions."""

from typing import Any

import numba
import numpy as np
import pytest
from numba import carray, cfunc, types
from scipy import LowLevelCallable

import steepest
from steepest._callbacks import function_pointer, is_function_pointer

DOUBLES, SIZE = types.CPointer(types.double), types.intp
SIGNATURE = types.double(DOUBLES, SIZE, DOUBLES, SIZE, SIZE, DOUBLES, DOUBLES, types.voidptr)


@cfunc(SIGNATURE)
def absolute(theta: Any, k: Any, X: Any, rows: Any, cols: Any, y: Any, grad: Any, user: Any) -> Any:
    features, targets = carray(X, (rows, cols)), carray(y, (rows,))
    total = 0.0
    for i in range(rows):
        residual = targets[i]
        for j in range(k):
            residual -= features[i, j] * theta[j]
        total += abs(residual)
        for j in range(k):
            grad[j] -= np.sign(residual) * features[i, j]
    return total


def value(theta: Any, batch: Any) -> Any:
    X, y = batch
    return np.mean(np.abs(y - X @ theta))


def gradient(theta: Any, batch: Any) -> Any:
    X, y = batch
    return -X.T @ np.sign(y - X @ theta) / len(y)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_cfunc_goes_the_way_of_the_callables(dtype: str) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(1000, 5)).astype(dtype), rng.normal(size=1000)
    options: dict[str, Any] = {"x0": np.ones(5), "step_size": 0.05, "batch_size": 32, "epochs": 2, "seed": 3}
    expected = steepest.minimize((value, gradient), (X.astype(float), y), **options)
    for loss in (absolute, absolute.ctypes, LowLevelCallable(absolute.ctypes)):
        assert is_function_pointer(loss)
        assert function_pointer(loss) == (absolute.address, 0)
        found = steepest.minimize(loss, (X, y), **options)
        np.testing.assert_allclose(found.x, expected.x, rtol=1e-11)
        assert found.nit == expected.nit


def test_a_cfunc_of_another_signature_is_refused() -> None:
    other = cfunc(types.double(types.double))(lambda x: x)
    with pytest.raises(TypeError, match="the compiled function takes 1 arguments, not 8"):
        steepest.minimize(other, np.ones(3), x0=0.0, step_size=0.1)
    single = cfunc(types.float32(*SIGNATURE.args))(lambda theta, k, X, rows, cols, y, grad, user: np.float32(0))
    with pytest.raises(TypeError, match="returns 'float', not double"):
        steepest.minimize(single, np.ones(3), x0=0.0, step_size=0.1)


def test_a_jitted_function_is_a_python_callable() -> None:
    assert not is_function_pointer(numba.njit(lambda theta, batch: 0.0))
