"""Tables of pandas, polars and Arrow, and whatever else offers its memory, without a copy where that can be."""

import array
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.typing import NDArray

import steepest as st
from members import random, vary
from steepest._data import as_rows
from steepest._frames import names_of, table_of

Array = NDArray[Any]
NAMES = ["age", "income", "rooms", "height", "width"]
OPTIONS: dict[str, Any] = {"method": "sgd", "step_size": 0.02, "epochs": 2, "seed": 3, "batch_size": 10}


def numbers(n: int, d: int, dtype: Any = np.float64) -> Array:
    X = random(n, d, np.dtype(dtype)).normal(size=(n, d)) * 3
    vary(X)
    return X.astype(dtype)


def arrow(columns: dict[str, Any]) -> pa.Table:
    return pa.table({name: pa.array(values) for name, values in columns.items()})


TABLES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "pandas": pd.DataFrame,
    "pandas nullable": lambda columns: pd.DataFrame(columns).convert_dtypes(),
    "pandas of arrow": lambda columns: arrow(columns).to_pandas(types_mapper=pd.ArrowDtype),
    "polars": pl.DataFrame,
    "arrow": arrow,
    "arrow batch": lambda columns: arrow(columns).to_batches()[0],
    "arrow in chunks": lambda columns: pa.concat_tables(
        [arrow({name: values[part] for name, values in columns.items()}) for part in (slice(0, 7), slice(7, None))]
    ),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int8, np.uint16, np.bool_], ids=str)
@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_a_table_is_its_numbers(make: Callable[[dict[str, Any]], Any], dtype: Any) -> None:
    X = np.abs(numbers(80, 5)) + 1
    X = X > 3 if dtype == np.bool_ else X.astype(dtype)
    y = random(dtype).normal(size=80)
    table = make({name: X[:, j].copy() for j, name in enumerate(NAMES)})
    result = st.minimize("huber", (table, y), **OPTIONS)
    expected = st.minimize("huber", (X.astype(result.x.dtype), y), **OPTIONS)
    vary(result.x)
    # Columns side by side are summed in another order than rows.
    assert np.allclose(result.x, expected.x, rtol=1e-4, atol=1e-6)
    assert result.feature_names == NAMES
    assert "feature_names" not in expected
    assert np.allclose(result.predict(table), expected.predict(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_columns_of_several_types_meet_in_one(make: Callable[[dict[str, Any]], Any]) -> None:
    X = numbers(60, 3)
    columns = {"a": X[:, 0].copy(), "b": (X[:, 1] * 100).astype(np.int64), "c": X[:, 2] > 0}
    expected = np.column_stack([column.astype(np.float64) for column in columns.values()])
    rows = as_rows(make(columns))
    assert rows.dtype == np.float64
    assert np.array_equal(rows, expected)
    narrow = as_rows(make({"a": columns["c"], "b": (X[:, 0] * 10).astype(np.int8)}))
    assert narrow.dtype == np.int8


def shares(rows: Array, source: Array) -> bool:
    return np.shares_memory(rows, source) or rows.__array_interface__["data"] == source.__array_interface__["data"]


def test_one_block_and_even_columns_are_read_in_place() -> None:
    X = numbers(100_000, 4, np.float32)
    y = X[:, 0] - X[:, 1]
    fortran = np.asfortranarray(X)
    as_columns = {name: fortran[:, j] for j, name in enumerate(NAMES[:4])}
    for table in (
        pd.DataFrame(X),
        pd.DataFrame(fortran),
        pd.DataFrame(X)[[3, 1]],
        pl.DataFrame(as_columns),
        arrow(as_columns),
        pl.DataFrame({"a": X[:, 0].copy(), "b": X[:, 1].copy()}),
    ):
        st.minimize(
            "squared_error", (table, y), method="sgd", step_size=1e-3, epochs=1
        )  # a copy would warn, an error here
    for table in (pd.DataFrame(X), pd.DataFrame(fortran), pl.DataFrame(as_columns), arrow(as_columns)):
        columns = table_of(table, "X").columns
        rows = as_rows(table)
        assert all(np.shares_memory(rows, column) for column in columns)
        assert np.array_equal(rows, X)
        del table, columns
        assert np.array_equal(rows, X)  # the rows keep alive what they lie in


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, arrow], ids=["pandas", "polars", "arrow"])
def test_copies_are_announced(make: Callable[[dict[str, Any]], Any]) -> None:
    X = numbers(100_000, 3)
    y = X[:, 0]
    many = {"a": X[:, 0].copy(), "b": (X[:, 1] * 100).astype(np.int16), "c": X[:, 2].copy()}
    with pytest.warns(st.DataCopyWarning, match=r"columns have several types \(float64, int16\): a copy in float64"):
        st.minimize("squared_error", (make(many), y), method="sgd", step_size=1e-9, epochs=1)
    whole = {name: (X[:, j] * 100).astype(np.int64) for j, name in enumerate("abc")}
    with pytest.warns(st.DataCopyWarning, match=r"columns have the type int64: a copy in float64 of 2 MB"):
        st.minimize("squared_error", (make(whole), y), method="sgd", step_size=1e-9, epochs=1)


def in_chunks(values: Array) -> list[Array]:
    return [values[:1000], values[1000:]]


ONE_COLUMN: dict[str, Callable[[Array], Any]] = {
    "polars in chunks": lambda column: pl.concat(
        [pl.DataFrame({"a": part}) for part in in_chunks(column)], rechunk=False
    ),
    "polars, bits": lambda column: pl.DataFrame({"a": np.tile(column > 0, 8)}),
    "arrow in chunks": lambda column: pa.table({"a": pa.chunked_array(in_chunks(column))}),
    "arrow, bits": lambda column: arrow({"a": np.tile(column > 0, 8)}),
    "pandas of arrow in chunks": lambda column: pa.table({"a": pa.chunked_array(in_chunks(column))}).to_pandas(
        types_mapper=pd.ArrowDtype
    ),
    "pandas, sparse": lambda column: pd.DataFrame({"a": pd.arrays.SparseArray(column)}),
}


@pytest.mark.parametrize("make", ONE_COLUMN.values(), ids=ONE_COLUMN)
def test_copies_of_columns_that_are_no_arrays_are_announced(make: Callable[[Array], Any]) -> None:
    table = make(numbers(200_000, 1)[:, 0])
    with pytest.warns(
        st.DataCopyWarning, match=r"whose columns are not stored as arrays: a copy in (float64|bool) of 2 MB"
    ):
        assert len(as_rows(table)) == len(table)


def test_one_chunk_and_nullable_columns_are_not_copied() -> None:
    column = numbers(200_000, 1)[:, 0]
    table = arrow({"a": column, "b": column})
    for given in (
        table,
        table.to_pandas(types_mapper=pd.ArrowDtype),
        pl.from_arrow(table),
        pd.DataFrame({"a": pd.array(column, dtype="Float64")}),
    ):
        as_rows(given)  # a copy would warn, an error here


def test_copies_of_what_is_no_array_of_numpy_are_announced() -> None:
    whole = np.arange(200_000).reshape(-1, 2)
    with pytest.warns(st.DataCopyWarning, match="X has dtype int64: a copy in float64 of 2 MB"):
        as_rows(memoryview(whole))
    with pytest.raises(TypeError, match=r"X must be rows of numbers, shape \(n, features\), not LazyFrame"):
        as_rows(pl.LazyFrame({"a": [1.0, 2.0]}))


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "texts": (["a", "b", "c"], TypeError, r"column 'city' of X must hold numbers or booleans; its type is"),
    "missing": ([1.5, None, 2.5], ValueError, r"column 'city' of X has missing values, first in row 1"),
    "missing whole": ([1, 2, None], ValueError, r"column 'city' of X has missing values, first in row 2"),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("kind", ["pandas nullable", "pandas of arrow", "polars", "arrow"])
def test_bad_columns_are_named(kind: str, bad: str) -> None:
    values, error, words = BAD[bad]
    columns = {"age": [1.0, 2.0, 3.0], "city": values}
    if kind == "pandas nullable":
        table = pd.DataFrame({name: pd.Series(column).convert_dtypes() for name, column in columns.items()})
    else:
        table = TABLES[kind](columns)
    with pytest.raises(error, match=words):
        st.minimize("mse", (table, [1.0, 2.0, 3.0]))


def test_columns_of_numpy_that_are_no_numbers() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": np.array([1, "x"], dtype=object)})
    with pytest.raises(TypeError, match=r"column 'b' of X must hold numbers or booleans; its type is object"):
        st.minimize("mse", (frame, [1.0, 2.0]))
    frame = pd.DataFrame({"a": [1.0, 2.0], "c": pd.Categorical(["u", "v"]), "t": pd.to_datetime(["2020", "2021"])})
    with pytest.raises(TypeError, match=r"column 'c' of X .* its type is category"):
        st.minimize("mse", (frame, [1.0, 2.0]))
    with pytest.raises(TypeError, match=r"column 't' of X .* its type is datetime64"):
        st.minimize("mse", (frame[["a", "t"]], [1.0, 2.0]))


def test_nan_names_the_column() -> None:
    X = numbers(40, 3)
    X[7, 1] = np.nan
    for table in (pd.DataFrame(X, columns=NAMES[:3]), pl.DataFrame(X, schema=NAMES[:3])):
        with pytest.raises(ValueError, match=r"X holds NaN, first in row 7, column 1 \('income'\)"):
            st.minimize("huber", (table, X[:, 0]))


def test_other_columns_than_those_fitted() -> None:
    X, y = numbers(50, 2), numbers(50, 1)[:, 0]
    result = st.minimize("huber", (pd.DataFrame(X, columns=["a", "b"]), y), **OPTIONS)
    swapped = pd.DataFrame(X[:, ::-1], columns=["b", "a"])
    with pytest.raises(ValueError, match=r"column 0 of X is 'b', that of the fit was 'a'"):
        result.predict(swapped)
    assert np.allclose(result.predict(swapped[["a", "b"]]), result.predict(X))


def test_columns_of_arrays_are_refused_by_name() -> None:
    X, y = numbers(20, 4), numbers(20, 1)[:, 0]
    for table in (pl.DataFrame({"flat": y, "pairs": X[:, :2]}), pl.DataFrame({"pairs": X[:, :2], "others": X[:, 2:]})):
        with pytest.raises(TypeError, match=r"column 'pairs' of X must hold numbers or booleans; its type is Array"):
            st.minimize("squared_error", (table, y))


def test_predictions_take_what_minimize_takes() -> None:
    X, y = numbers(40, 3).astype(np.float32), numbers(40, 1)[:, 0]
    result = st.minimize("squared_error", (X, y), seed=0)
    expected = result.predict(X)
    vary(expected)
    assert np.array_equal(result.predict(DLPackOnly(X)), expected)
    np.testing.assert_allclose(result.predict(st.data.scaled(DLPackOnly(X))), expected, rtol=1e-4, atol=1e-6)
    with pytest.raises(TypeError, match=r"X is a masked array"):
        result.predict(np.ma.masked_array(X, X > 0))
    with pytest.raises(TypeError, match=r"X must hold real numbers; its dtype is object"):
        result.predict(X.astype(object))


@pytest.mark.parametrize("make", [pd.Series, pl.Series, pa.array], ids=["pandas", "polars", "arrow"])
def test_targets_and_weights_of_columns(make: Callable[[Any], Any]) -> None:
    y, weight = numbers(50, 1)[:, 0], random("weight").uniform(1, 2, size=50)
    expected = st.minimize("huber", y, sample_weight=weight, seed=0)
    assert np.array_equal(st.minimize("huber", make(y), sample_weight=make(weight), seed=0).x, expected.x)


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_missing_targets(kind: str) -> None:
    values = [1.0, None, 3.0]
    make = {"pandas": lambda v: pd.Series(v, dtype="Float64"), "polars": pl.Series, "arrow": pa.array}[kind]
    with pytest.raises(ValueError, match=r"y has missing values, first in row 1"):
        st.minimize("huber", make(values))


class DLPackOnly:
    """What a tensor library shows: its memory, and no more."""

    def __init__(self, values: Array) -> None:
        self._values = values

    def __dlpack__(self, **options: Any) -> Any:
        return self._values.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._values.__dlpack_device__()


class InterfaceOnly:
    def __init__(self, values: Array) -> None:
        self.values = values
        self.__array_interface__ = values.__array_interface__


class ArrayOnly:
    def __init__(self, values: Array) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self.values


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, np.float16], ids=str)
@pytest.mark.parametrize("show", [DLPackOnly, InterfaceOnly, ArrayOnly, memoryview])
def test_objects_that_show_their_memory(show: Callable[[Array], Any], dtype: Any) -> None:
    X = np.abs(numbers(70, 4)).astype(dtype)
    y = random(dtype).normal(size=70)
    assert np.shares_memory(as_rows(show(X)), X)
    result = st.minimize("huber", (show(X), array.array("d", y)), **OPTIONS)
    assert np.array_equal(result.x, st.minimize("huber", (X, y), **OPTIONS).x)


class OfAnotherTime:
    """What shows itself as before NumPy 2: nobody asked about copies."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __array__(self, dtype: Any = None) -> Array:
        return np.asarray(self.values)


def test_positions_and_weights_of_any_object() -> None:
    X, y = numbers(70, 4), random("y").normal(size=70)
    chosen, weight = np.arange(3, 60, 2), random("weight").uniform(0.5, 2, size=70)
    expected = st.minimize("huber", (X, y), rows=chosen, sample_weight=weight, **OPTIONS)
    found = st.minimize("huber", (X, y), rows=OfAnotherTime(chosen), sample_weight=OfAnotherTime(weight), **OPTIONS)
    assert np.array_equal(found.x, expected.x)


@pytest.mark.parametrize("error", [RuntimeError, TypeError, BufferError])
@pytest.mark.parametrize("argument", ["X", "y", "sample_weight"])
def test_objects_that_refuse_are_named(argument: str, error: type[Exception]) -> None:
    class Tensor:
        def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
            raise error("it follows gradients: detach it")

    given: dict[str, Any] = {"X": numbers(9, 4), "y": np.arange(9.0), "sample_weight": np.ones(9)}
    given[argument] = Tensor()
    with pytest.raises(TypeError, match=rf"{argument}, a Tensor, does not show itself .* detach it"):
        st.minimize("huber", (given["X"], given["y"]), sample_weight=given["sample_weight"], **OPTIONS)


class Tensor:
    """As much of PyTorch's tensors as it takes to see their bfloat16, which they do not show NumPy."""

    requires_grad = False

    def __init__(self, values: Array) -> None:
        self.values = values
        self.dtype = "torch.bfloat16" if values.dtype == ml_dtypes.bfloat16 else str(values.dtype)

    def view(self, dtype: str) -> "Tensor":
        return Tensor(self.values.view(dtype))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.values


@pytest.mark.parametrize("layout", [lambda X: X, lambda X: X.T.copy().T, lambda X: np.repeat(X, 2, axis=0)[::2]])
def test_tensors_of_bfloat16_are_read_as_they_are_stored(
    layout: Callable[[Array], Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    library = SimpleNamespace(Tensor=Tensor, bfloat16="torch.bfloat16", int16="int16")
    monkeypatch.setitem(sys.modules, "torch", library)  # type: ignore[arg-type]
    X, y = layout(numbers(70, 4).astype(ml_dtypes.bfloat16)), random("y").normal(size=70)
    assert np.shares_memory(as_rows(Tensor(X)), X)
    result = st.minimize("huber", (Tensor(X), y), **OPTIONS)
    assert np.array_equal(result.x, st.minimize("huber", (X, y), **OPTIONS).x)
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"X holds bfloat16, which takes ml_dtypes: install it, or pass X\.float\(\)"):
        st.minimize("huber", (Tensor(X), y), **OPTIONS)


def test_tables_keep_their_names_in_order() -> None:
    columns = {name: [1.0, 2.0] for name in ("z", "a", "m")}
    for make in TABLES.values():
        if make is not TABLES["arrow in chunks"]:
            assert names_of(make(columns)) == ["z", "a", "m"]
    assert names_of(np.eye(2)) is None
