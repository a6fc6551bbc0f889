"""Tensors of PyTorch and JAX on the CPU are rows without a copy."""

from typing import Any

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

import steepest as st
from steepest._data import as_rows

SOURCE = np.random.default_rng(11)
OPTIONS: dict[str, Any] = {"method": "sgd", "step_size": 1e-3, "batch_size": 16, "epochs": 2, "seed": 0}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "uint8", "int8", "int16", "bool"])
def test_torch(dtype: str) -> None:
    X = SOURCE.integers(0, 2 if dtype == "bool" else 9, size=(200, 6)).astype(dtype)
    y = SOURCE.normal(size=200)
    tensor = torch.from_numpy(X.copy())
    rows = as_rows(tensor)
    assert rows.__array_interface__["data"][0] == tensor.data_ptr()
    assert rows.dtype == X.dtype
    result = st.minimize("huber", (tensor, torch.from_numpy(y)), **OPTIONS)
    assert np.array_equal(result.x, st.minimize("huber", (X, y), **OPTIONS).x)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "uint8"])
def test_jax(dtype: str) -> None:
    X = SOURCE.integers(0, 9, size=(200, 6)).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    y = SOURCE.normal(size=200).astype(np.float32)
    array = jnp.asarray(X)
    rows = as_rows(array)
    assert rows.dtype == X.dtype
    assert np.shares_memory(rows, np.asarray(array))
    result = st.minimize("huber", (array, jnp.asarray(y)), **OPTIONS)
    assert np.array_equal(result.x, st.minimize("huber", (X, y), **OPTIONS).x)
