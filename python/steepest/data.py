"""Data to try things on, the textbook's restaurant bills and generated rows, and columns seen scaled."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from steepest._fashion import fashion_mnist
from steepest._scaled import Scaled, scaled

__all__ = ["Scaled", "fashion_mnist", "logistic", "scaled", "tips"]

# Small enough to stay in cache between drawing the rows, labelling them and storing them.
_BLOCK_BYTES = 1 << 20


@cache
def tips() -> Mapping[str, NDArray[np.float64]]:
    """Load the 244 restaurant bills of the textbook, one waiter's notes, in dollars (A).

    Returns
    -------
    Mapping of str to ndarray of shape (244,)
        ``total_bill`` and ``tip``. Mapping and arrays are read-only.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> bills = st.data.tips()
    >>> pcttip = bills["tip"] / bills["total_bill"] * 100
    >>> print(f"{len(pcttip)} tips, mean {np.mean(pcttip):.2f} %, median {np.median(pcttip):.2f} %")
    244 tips, mean 16.08 %, median 15.48 %
    """
    with Path(__file__).with_name("data_files").joinpath("tips.csv").open(encoding="utf-8") as file:
        names = file.readline().strip().split(",")
        table = np.array(np.loadtxt(file, delimiter=",").T, order="C")
    table.setflags(write=False)
    return MappingProxyType(dict(zip(names, table, strict=True)))


def logistic(
    n_rows: int, n_features: int, *, seed: int, dtype: DTypeLike = "float32", sorted_by_class: bool = False
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Generate rows and labels that follow a logistic regression with known weights.

    Features are independent standard normals and the label of a row ``x`` is +1 with probability
    ``1 / (1 + exp(-x @ w))``, so about half of the rows are positive and minimizing the log loss finds ``w`` again.

    Parameters
    ----------
    n_rows, n_features : int
        Shape of ``X``, both at least 1.
    seed : int
        The same seed gives the same rows; a smaller ``n_rows`` gives the first of them.
    dtype : {"float32", "float64"}
        Type of ``X`` and ``y``.
    sorted_by_class : bool
        All negative rows before all positive ones: the worst case for a descent that does not shuffle (C3).

    Returns
    -------
    X : ndarray of shape (n_rows, n_features)
        The rows, in C order.
    y : ndarray of shape (n_rows,)
        The labels, -1 or +1.

    Raises
    ------
    ValueError
        When a size is below 1 or the dtype is another one.

    Notes
    -----
    The weights are ``w[j] = 2 / sqrt(n_features)`` for even and ``-2 / sqrt(n_features)`` for odd ``j``: whatever the
    number of features, ``x @ w`` has deviation 2. Rows are drawn in blocks of 1 MiB, so the peak of memory is
    the result itself.

    Examples
    --------
    >>> import steepest as st
    >>> X, y = st.data.logistic(1000, 28, seed=0)
    >>> X.shape, X.dtype.name, sorted(set(y.tolist()))
    ((1000, 28), 'float32', [-1.0, 1.0])
    """
    kind = np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        raise ValueError(f"dtype is {kind.name}; float32 and float64 are possible")
    scalar = np.float32 if kind == np.float32 else np.float64
    for name, size in (("n_rows", n_rows), ("n_features", n_features)):
        if size < 1:
            raise ValueError(f"{name} is {size}; at least 1 is needed")

    weights = np.where(np.arange(n_features) % 2, -2.0, 2.0).astype(kind) / scalar(np.sqrt(n_features))
    # Two streams, so that the size of the blocks does not show in the numbers.
    features, noise = (np.random.default_rng(stream) for stream in np.random.SeedSequence(seed).spawn(2))
    X = np.empty((n_rows, n_features), kind)
    y = np.empty(n_rows, kind)
    front, back = 0, n_rows
    block_rows = max(1, _BLOCK_BYTES // (kind.itemsize * n_features))
    for start in range(0, n_rows, block_rows):
        rows = np.empty((min(block_rows, n_rows - start), n_features), kind)
        features.standard_normal(dtype=scalar, out=rows)
        labels = np.where(rows @ weights + noise.logistic(size=len(rows)) > 0, 1, -1).astype(kind)
        at_front = len(rows)
        if sorted_by_class:
            # The two classes grow towards each other, because sorting afterwards would need a second X.
            by_class = np.argsort(labels, kind="stable")
            rows, labels = rows[by_class], labels[by_class]
            at_front = int(np.count_nonzero(labels < 0))
        middle = front + at_front
        X[front:middle], y[front:middle] = rows[:at_front], labels[:at_front]
        front, middle = middle, back - (len(rows) - at_front)
        X[middle:back], y[middle:back] = rows[at_front:], labels[at_front:]
        back = middle
    return X, y
