"""CSR rows of narrow numbers are read as they are stored, and give the same bits as the same numbers in float32."""

import tracemalloc
import warnings
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

import steepest as st
from members import random, vary
from sparse_data import make_targets, make_weight

Array = NDArray[Any]
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
NARROW = [np.dtype(kind) for kind in ("bool", "uint8", "int8", "uint16", "int16", "float16")] + [BFLOAT16]
N, D = 61, 150


def with_data(rows: Any, data: Array) -> Any:
    """Return CSR rows of the same structure with numbers of any type, also of those that SciPy does not know."""
    other = rows.copy()
    other.data = data
    return other


def both(dtype: Any, index: str = "int32", n: int = N, d: int = D, density: float = 0.6) -> tuple[Any, Any]:
    """Return rows of narrow numbers, some with more entries than are widened at once, and the same in float32."""
    source = random(str(dtype), n, d)
    rows = sparse.random_array((n, d), density=density, rng=source, format="csr", dtype=np.float32)
    rows.indices, rows.indptr = rows.indices.astype(index), rows.indptr.astype(index)
    numbers = source.normal(size=rows.nnz)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        numbers = source.integers(info.min, info.max, size=rows.nnz, endpoint=True)
    if dtype.kind == "b":
        numbers = numbers > -1
    narrow = numbers.astype(dtype)
    vary(narrow.astype(np.float32))
    return with_data(rows, narrow), with_data(rows, narrow.astype(np.float32))


@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_same_bits_as_float32(dtype: Any, index: str) -> None:
    narrow, wide = both(dtype, index)
    entries = np.diff(wide.indptr)
    assert entries.max() > 64, "more than are widened at once"
    largest = float(np.abs(wide.data).max())
    reached = []
    for loss in ("log_loss", "softmax", "huber"):
        y = make_targets(st.losses.get(loss), N)
        for penalty in (None, st.L1(0.01 * largest), "l2"):
            for batch_size in (1, 5, N):
                options: dict[str, Any] = {"method": "sgd", "step_size": 0.1 / largest**2 / D, "epochs": 2, "seed": 5}
                options |= {"batch_size": batch_size, "penalty": penalty, "fit_intercept": True}
                options |= {"sample_weight": make_weight(N)}
                found, expected = (st.minimize(loss, (rows, y), **options) for rows in (narrow, wide))
                assert found.x.dtype == np.float32
                assert np.count_nonzero(found.x) > 1
                np.testing.assert_array_equal(found.x, expected.x)
                np.testing.assert_array_equal(found.predict(narrow), expected.predict(wide))
                reached.append(found.fun)
    vary(np.array(reached))


@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_everything_else_that_takes_rows(dtype: Any) -> None:
    narrow, wide = both(dtype)
    y = make_targets(st.losses.get("log_loss"), N)
    scale = np.full(D, 1 / float(np.abs(wide.data).max()))
    found, expected = (st.Objective("log_loss", (rows, y), "l2", fit_intercept=True) for rows in (narrow, wide))
    point = random("point").normal(size=D + 1) / 1000
    assert found.value(point) == expected.value(point)
    np.testing.assert_array_equal(found.gradient(point), expected.gradient(point))
    np.testing.assert_array_equal(found.hessp(point, point[::-1]), expected.hessp(point, point[::-1]))
    assert found.smoothness() == expected.smoothness()

    @st.loss
    def traced(w: Any, x: Any, y: Any) -> Any:
        return st.softplus(-y * (x @ w))

    for loss, options in (
        ("log_loss", {}),
        ("log_loss", {"rows": slice(3, 50)}),
        ("log_loss", {"validation": 0.2}),
        ("log_loss", {"normalize": "scale"}),
        ("log_loss", {"method": "saga", "penalty": "l2"}),
        ("log_loss", {"method": "L-BFGS-B", "penalty": "l2"}),
        ("huber", {"method": "adagrad", "batch_size": 7, "step_size": 1e-3}),
        (traced, {"step_size": 1e-9}),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", st.ConvergenceWarning)
            ours, theirs = (st.minimize(loss, (rows, y), epochs=3, seed=0, **options) for rows in (narrow, wide))
        np.testing.assert_array_equal(ours.x, theirs.x)
        assert ours.x.any()
    ours, theirs = (
        st.minimize("log_loss", (st.data.scaled(rows, scale), y), epochs=3, seed=0, batch_size=9)
        for rows in (narrow, wide)
    )
    np.testing.assert_array_equal(ours.x, theirs.x)


@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_narrow_rows_are_not_copied(dtype: Any) -> None:
    narrow, _ = both(dtype, n=20_000, d=200, density=0.1)
    y = np.where(random("y").random(20_000) < 0.5, np.float32(1), np.float32(-1))
    tracemalloc.start()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        st.minimize("log_loss", (narrow, y), step_size=1e-9, epochs=1, batch_size=64, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * narrow.nnz, "half of the numbers in float32"


@pytest.mark.parametrize("dtype", [np.dtype(np.float16), BFLOAT16], ids=str)
@pytest.mark.parametrize(("number", "kind"), [(np.nan, "NaN"), (-np.nan, "NaN"), (np.inf, "an infinity")])
def test_numbers_that_are_not_finite_are_named(dtype: Any, number: float, kind: str) -> None:
    rows, _ = both(dtype)
    y = make_targets(st.losses.get("log_loss"), N)
    rows.data[rows.indptr[11]] = number
    column = rows.indices[rows.indptr[11]]
    options: dict[str, Any] = {"method": "sgd", "step_size": 0.01, "batch_size": 4, "epochs": 1, "seed": 0}
    for check_finite in (True, False):
        for penalty in (None, "l1"):
            with pytest.raises(ValueError, match=f"X holds {kind}, first in row 11, column {column}"):
                st.minimize("log_loss", (rows, y), penalty=penalty, check_finite=check_finite, **options)
