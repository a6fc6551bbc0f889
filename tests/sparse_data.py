"""Sparse rows and targets for the tests of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

import steepest as st
from members import targets, vary

Array = NDArray[Any]

N, D = 61, 17


def make_rows(n: int = N, d: int = D, density: float = 0.3, seed: int = 1) -> Any:
    """Draw CSR rows of which some rows and columns are empty."""
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(n, d)) * (rng.random((n, d)) < density) / np.sqrt(density * d)
    dense[3 % n] = 0
    dense[:, 5 % d] = 0
    rows = sparse.csr_matrix(dense)
    assert 0 < rows.nnz < n * d
    vary(rows.data)
    return rows


def make_targets(loss: st.losses.Loss, n: int = N, seed: int = 2) -> Array:
    rng = np.random.default_rng([seed, *loss.name.encode()])
    if loss.kind != "scores":
        y = targets(loss, n, rng)
        if loss.target != "binary":
            y = y / 2  # exponentials of them stay within what a step may bear
        vary(y)
        return y
    if loss.target == "labels":
        y = rng.permutation(np.arange(n) % 4)
    elif loss.target == "binary":
        y = np.where(rng.random((n, 3)) < 0.5, -1.0, 1.0)
    else:
        y = rng.normal(size=(n, 3))
    assert np.unique(y).size > 1
    return y


def make_weight(n: int = N) -> Array:
    weight = np.random.default_rng(8).uniform(0.2, 3.0, n)
    weight[n // 2] = 0
    return weight
