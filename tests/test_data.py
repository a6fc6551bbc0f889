"""The shipped and the generated data."""

import tracemalloc
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from steepest import data


def test_a_tips_are_the_textbooks() -> None:
    bills = data.tips()
    assert isinstance(bills, Mapping)
    assert {name: column.shape for name, column in bills.items()} == {"total_bill": (244,), "tip": (244,)}
    pcttip = bills["tip"] / bills["total_bill"] * 100
    assert pcttip[:5] == pytest.approx([5.944673, 16.054159, 16.658734, 13.978041, 14.680765], abs=5e-7)
    assert round(float(pcttip.mean()), 2) == 16.08
    assert round(float(np.median(pcttip)), 2) == 15.48


def test_tips_are_read_only() -> None:
    bills: Any = data.tips()
    with pytest.raises(TypeError):
        bills["tip"] = np.zeros(244)
    for column in bills.values():
        assert column.dtype == np.float64
        assert column.flags.c_contiguous
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1.0
        with pytest.raises(ValueError, match="WRITEABLE"):
            column.flags.writeable = True


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sorted_by_class", [False, True])
def test_logistic_shapes(dtype: str, sorted_by_class: bool) -> None:
    X, y = data.logistic(700, 3, seed=1, dtype=dtype, sorted_by_class=sorted_by_class)
    assert X.shape == (700, 3)
    assert X.flags.c_contiguous
    assert X.dtype == dtype
    assert y.shape == (700,)
    assert y.dtype == dtype
    assert set(y.tolist()) == {-1.0, 1.0}
    assert bool((np.diff(y) >= 0).all()) == sorted_by_class


def test_logistic_is_the_seeds() -> None:
    first, again, other = (data.logistic(50, 4, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.isin(first[0], other[0]).any()


def _row_set(X: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    rows = np.column_stack([X, y])
    return rows[np.lexsort(rows.T)]


def test_logistic_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = data.logistic(1000, 7, seed=5)
    head, head_y = data.logistic(123, 7, seed=5)
    assert np.array_equal(head, X[:123])
    assert np.array_equal(head_y, y[:123])
    monkeypatch.setattr(data, "_BLOCK_BYTES", 4 * 7 * 33)
    small, small_y = data.logistic(1000, 7, seed=5)
    assert np.array_equal(small, X)
    assert np.array_equal(small_y, y)
    by_class, by_class_y = data.logistic(1000, 7, seed=5, sorted_by_class=True)
    assert (np.diff(by_class_y) >= 0).all()
    assert not np.array_equal(by_class, X)
    assert np.array_equal(_row_set(by_class, by_class_y), _row_set(X, y))


def test_logistic_weights_are_found_again() -> None:
    X, y = data.logistic(20_000, 5, seed=2, dtype="float64")

    def log_loss(w: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        margin = y * (X @ w)
        return float(np.mean(np.log1p(np.exp(-margin)))), -X.T @ (y * expit(-margin)) / len(y)

    found = minimize(log_loss, np.zeros(5), jac=True).x
    assert found == pytest.approx(2 / np.sqrt(5) * np.array([1, -1, 1, -1, 1]), abs=0.06)
    assert abs(y.mean()) < 0.03
    assert X.mean(axis=0) == pytest.approx(np.zeros(5), abs=0.03)
    assert X.std(axis=0) == pytest.approx(np.ones(5), abs=0.03)


@pytest.mark.parametrize("sorted_by_class", [False, True])
def test_logistic_has_no_big_temporaries(sorted_by_class: bool) -> None:
    tracemalloc.start()
    X, y = data.logistic(200_000, 28, seed=0, sorted_by_class=sorted_by_class)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert X.nbytes > 20 * 2**20
    assert peak < X.nbytes + y.nbytes + 6 * 2**20


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_rows": 0}, "n_rows is 0"),
        ({"n_features": -1}, "n_features is -1"),
        ({"dtype": "float16"}, "dtype is float16"),
        ({"dtype": int}, "dtype is int"),
    ],
)
def test_logistic_names_what_is_wrong(wrong: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"n_rows": 5, "n_features": 2, "seed": 0} | wrong
    with pytest.raises(ValueError, match=message):
        data.logistic(**arguments)
