"""Sparse matrices that are odd or wrong: read as they are, copied with a warning, or refused by name."""

import threading
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

import steepest as st
from sparse_data import N, make_rows, make_targets

Array = NDArray[Any]
OPTIONS: dict[str, Any] = {"method": "sgd", "step_size": 0.2, "batch_size": 7, "epochs": 2, "seed": 0, "penalty": "l2"}


def fit(rows: Any, **options: Any) -> st.Result:
    return st.minimize("log_loss", (rows, make_targets(st.losses.get("log_loss"))), **(OPTIONS | options))


def copied(change: Callable[[Any], None], kind: Any = sparse.csr_matrix) -> Any:
    """Return rows changed behind SciPy's back."""
    rows = kind(make_rows())
    change(rows)
    return rows


def test_unsorted_and_repeated_columns_add_up() -> None:
    rows = make_rows()
    rng = np.random.default_rng(6)
    lines = []
    for i in range(N):
        columns, numbers = rows[[i]].indices, rows[[i]].data
        share = rng.uniform(0.2, 0.8, len(numbers))
        order = rng.permutation(2 * len(numbers))
        lines.append((np.tile(columns, 2)[order], np.concatenate([numbers * share, numbers * (1 - share)])[order]))
    indptr = np.cumsum([0, *(len(columns) for columns, _ in lines)])
    parts = (
        np.concatenate([numbers for _, numbers in lines]),
        np.concatenate([columns for columns, _ in lines]),
        indptr,
    )
    odd = sparse.csr_matrix(parts, shape=rows.shape)
    assert not odd.has_sorted_indices
    assert odd.nnz == 2 * rows.nnz
    np.testing.assert_allclose(fit(odd).x, fit(rows).x, atol=1e-13)
    np.testing.assert_allclose(fit(odd, step_size=None).x, fit(rows, step_size=None).x, atol=1e-13)


def test_explicit_zeros() -> None:
    rows = make_rows()
    with_zeros = rows.copy()
    with_zeros.data[::3] = 0
    without = with_zeros.copy()
    without.eliminate_zeros()
    assert without.nnz < with_zeros.nnz
    np.testing.assert_allclose(fit(with_zeros).x, fit(without).x, atol=1e-13)


def test_empty_rows_and_columns() -> None:
    rows = make_rows()
    assert (np.diff(rows.indptr) == 0).any()
    assert (rows.toarray() == 0).all(axis=0).any()
    empty = sparse.csr_matrix(rows.shape)
    result = fit(empty, fit_intercept=True)
    assert (result.coef == 0).all()
    assert result.intercept != 0


CONVERTED = {"csc": sparse.csc_matrix, "coo": sparse.coo_array, "lil": sparse.lil_matrix, "bsr": sparse.bsr_array}


@pytest.mark.parametrize("kind", CONVERTED)
def test_other_formats_are_converted_aloud(kind: str) -> None:
    rows = make_rows()
    with pytest.warns(st.DataCopyWarning, match=f"{kind.upper()}.*CSR") as caught:
        found = fit(CONVERTED[kind](rows))
    assert caught[0].filename == __file__
    np.testing.assert_allclose(found.x, fit(rows).x, rtol=0, atol=1e-15)


@pytest.mark.parametrize("dtype", ["int8", "bool", "float64"])
def test_entries_named_twice_add_up_beyond_what_their_type_holds(dtype: str) -> None:
    data = np.full(2 * N, 100).astype(dtype)
    twice = sparse.coo_array((data, (np.tile(np.arange(N), 2), np.tile(np.arange(N) % 3, 2))), shape=(N, 3))
    added = sparse.csr_array((2.0 * data[:N].astype(np.float64), (np.arange(N), np.arange(N) % 3)), shape=(N, 3))
    with pytest.warns(st.DataCopyWarning, match=r"COO.*CSR"):
        found = fit(twice, step_size=1e-5)
    np.testing.assert_allclose(found.x, fit(added, step_size=1e-5).x, rtol=1e-5)
    assert (found.x != 0).any()


def test_other_types_of_numbers() -> None:
    rows = make_rows()
    counts = sparse.csr_matrix(np.round(rows * 5))
    counts.eliminate_zeros()
    for dtype in ("int64", "int8", ">f8", ">f4", "bool"):
        given = counts.astype(np.dtype(dtype).newbyteorder("="))
        given.data = given.data.astype(dtype)
        exact = sparse.csr_matrix(given.toarray().astype(np.float32 if np.dtype(dtype).itemsize <= 4 else np.float64))
        np.testing.assert_array_equal(fit(given).x, fit(exact).x)
    for change in ("indices", "indptr"):
        for dtype in ("int16", ">i4", ">i8", "uint32", "int64"):
            odd = rows.copy()
            setattr(odd, change, getattr(odd, change).astype(dtype))
            np.testing.assert_array_equal(fit(odd).x, fit(rows).x)
    odd = rows.copy()
    odd.data = np.repeat(odd.data, 2)[::2]
    odd.indices = np.append(odd.indices, [3, 3])
    np.testing.assert_array_equal(fit(odd).x, fit(rows).x)


def test_large_copies_are_announced() -> None:
    rows = sparse.random_array((2000, 300), density=0.5, rng=np.random.default_rng(0), format="csr")
    y = np.where(np.arange(2000) % 3, 1.0, -1.0)
    with pytest.warns(st.DataCopyWarning, match="int64"):
        st.minimize("log_loss", ((rows * 9).astype(np.int64), y), **OPTIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        st.minimize("log_loss", (rows, y), **OPTIONS)


@pytest.mark.parametrize("index", ["int32", "int64"])
def test_rows_are_not_copied(index: str) -> None:
    rows = sparse.random_array((20_000, 1000), density=0.1, rng=np.random.default_rng(0), format="csr")
    rows.indices, rows.indptr = rows.indices.astype(index), rows.indptr.astype(index)
    y = np.where(np.random.default_rng(1).random(20_000) < 0.5, 1.0, -1.0)
    tracemalloc.start()
    st.minimize("log_loss", (rows, y), **OPTIONS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < rows.nnz * 4


def set_column(rows: Any, value: int) -> None:
    rows.indices[rows.indptr[7] + 1] = value


def set_start(rows: Any, row: int, value: int) -> None:
    rows.indptr[row] = value


WRONG: dict[str, tuple[Callable[[Any], None], str]] = {
    "column too large": (lambda rows: set_column(rows, 17), "column 17 in row 7; columns are 0 to 16"),
    "column below zero": (lambda rows: set_column(rows, -1), "column -1 in row 7"),
    "starts decrease": (lambda rows: set_start(rows, 9, 2), "indptr decreases: position 9 holds 2"),
    "start beyond the entries": (lambda rows: set_start(rows, N, 10_000), "10000"),
    "start below zero": (lambda rows: set_start(rows, 0, -4), "holds -4 at position 0"),
    "too few starts": (lambda rows: setattr(rows, "indptr", rows.indptr[:-1]), f"{N + 1} numbers for {N} rows"),
    "columns are missing": (lambda rows: setattr(rows, "indices", rows.indices[:-4]), "entries"),
    "NaN": (lambda rows: rows.data.__setitem__(rows.indptr[11], np.nan), r"NaN, first in row 11, column \d"),
    "infinity": (lambda rows: rows.data.__setitem__(-1, -np.inf), r"an infinity, first in row \d\d, column \d"),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csr_array])
@pytest.mark.parametrize("index", ["int32", "int64"])
def test_wrong_structure_is_named(what: str, kind: Any, index: str) -> None:
    change, message = WRONG[what]

    def both(rows: Any) -> None:
        rows.indices, rows.indptr = rows.indices.astype(index), rows.indptr.astype(index)
        change(rows)

    rows = copied(both, kind)
    with pytest.raises(ValueError, match=message) as caught:
        fit(rows)
    assert "X" in str(caught.value)


def test_numbers_that_are_not_finite_are_met_on_the_way() -> None:
    def spoil(rows: Any) -> None:
        rows.data[rows.indptr[11]] = np.nan

    rows = copied(spoil)
    column = rows.indices[rows.indptr[11]]
    for options in ({}, {"penalty": "l1"}, {"batch_size": 1}, {"batch_size": N}):
        with pytest.raises(ValueError, match=f"X holds NaN, first in row 11, column {column}"):
            fit(rows, check_finite=False, **options)


def test_what_holds_no_real_numbers() -> None:
    rows = make_rows()
    for dtype in ("complex128", "complex64"):
        with pytest.raises(TypeError, match=f"X must hold real numbers; its dtype is {dtype}"):
            fit(rows.astype(dtype))
    objects = rows.copy()
    objects.data = objects.data.astype(object)
    with pytest.raises(TypeError, match="object"):
        fit(objects)
    floats = rows.copy()
    floats.indices = floats.indices.astype(float)
    with pytest.raises(TypeError, match=r"X\.indices must hold whole numbers; its dtype is float64"):
        fit(floats)


def test_shapes() -> None:
    for shape in ((0, 3), (3, 0)):
        with pytest.raises(ValueError, match="empty"):
            st.minimize("log_loss", (sparse.csr_matrix(shape), [1.0, -1.0, 1.0][: shape[0]]))
    with pytest.raises(ValueError, match="X has 61 rows, y has 3"):
        st.minimize("log_loss", (make_rows(), [1.0, -1.0, 1.0]))
    with pytest.raises(ValueError, match=r"X must have shape \(n, 17\)"):
        fit(make_rows()).predict(sparse.csr_matrix((3, 4)))


def test_targets_and_callables_take_no_sparse_matrices() -> None:
    rows = make_rows()
    with pytest.raises(TypeError, match="toarray"):
        st.minimize("squared_error", (rows, rows))
    with pytest.raises(TypeError, match="toarray"):
        st.minimize((lambda t, b: 0.0, lambda t, b: t), (rows, np.ones(N)), x0=np.zeros(17))


@pytest.mark.parametrize("penalty", ["l1", "l2"])
@pytest.mark.parametrize("index", ["int32", "int64"])
def test_arrays_that_change_during_the_fit_do_not_crash_it(index: str, penalty: str) -> None:
    rng = np.random.default_rng(3)
    rows = sparse.random_array((3000, 50), density=0.3, rng=rng, format="csr")
    rows.indices, rows.indptr = rows.indices.astype(index), rows.indptr.astype(index)
    y = np.where(rng.random(3000) < 0.5, 1.0, -1.0)
    columns, starts = rows.indices.copy(), rows.indptr.copy()
    done = threading.Event()
    seen = []

    def spoil() -> None:
        wild = np.random.default_rng(4)
        limits = np.iinfo(index)
        while not done.is_set() or len(seen) < 2:  # the run may end at the first wild number
            rows.indices[:] = wild.integers(limits.min, limits.max, columns.size)
            rows.indptr[:] = wild.integers(limits.min, limits.max, starts.size)
            seen.append(int(rows.indices[0]))
            rows.indices[:], rows.indptr[:] = columns, starts

    thread: list[threading.Thread] = []

    def begin(state: Any) -> None:
        if not thread:
            thread.append(threading.Thread(target=spoil))
            thread[0].start()

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", st.ConvergenceWarning)
            result = st.minimize(
                "log_loss", (rows, y), method="sgd", penalty=penalty, batch_size=16, epochs=150, seed=0, callback=begin
            )
    finally:
        done.set()
        for started in thread:
            started.join()
    assert len(set(seen)) > 1
    assert result.x.shape == (50,)
