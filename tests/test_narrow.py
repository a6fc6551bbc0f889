"""Rows of narrow numbers are read as they are stored, and give what the same numbers in float32 give: bit for bit."""

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

import steepest as st
from members import random, targets, vary
from memory import printed

Array = NDArray[Any]
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
NARROW = [np.dtype(kind) for kind in ("bool", "uint8", "int8", "uint16", "int16", "float16")] + [BFLOAT16]
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": lambda X: X,
    "F": np.asfortranarray,
    "rows apart": lambda X: np.repeat(X, 2, axis=0)[::2],
    "columns apart": lambda X: np.repeat(X, 3, axis=1)[:, ::3],
    "backwards": lambda X: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
}
ORDERS: dict[str, Any] = {"full": "full", "sequence": False}


def narrow_rows(n: int, d: int, dtype: np.dtype[Any], *keys: object) -> Array:
    """Return rows of all values that a dtype has, or of many; floats with subnormal ones among them."""
    source = random(n, d, dtype, *keys)
    if dtype.kind == "b":
        X = source.random((n, d)) < 0.5
    elif dtype.kind in "iu":
        info = np.iinfo(dtype)
        X = source.integers(info.min, info.max, size=(n, d), dtype=dtype, endpoint=True)
    else:
        X = (source.normal(size=(n, d)) * 2.0 ** source.integers(-18, 3, size=(n, d))).astype(dtype)
    X = X.astype(dtype)
    vary(X.astype(np.float32)[:, 0])
    return X


def y_for(loss: Any, n: int) -> Array:
    source = random(loss, n)
    if loss.kind == "scores":
        if loss.target == "labels":
            return source.permutation(n) % 5
        numbers = source.normal(size=(n, 3))
        return np.sign(numbers) if loss.target == "binary" else numbers
    return targets(loss, n, source)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("d", [8, 16, 33, 64, 128])
@pytest.mark.parametrize("dtype", [np.dtype(np.uint8), np.dtype(np.float16)], ids=str)
def test_single_rows_have_the_bits_of_float32(dtype: np.dtype[Any], d: int, order: str) -> None:
    """Where rows fit registers a step foresees the next prediction, which must begin anew at the same rows."""
    X = random(d, dtype).integers(0, 100, size=(1500, d)).astype(dtype)
    y = targets(st.losses.get("log_loss"), 1500, random(d))
    options: dict[str, Any] = {"method": "sgd", "batch_size": 1, "step_size": 1e-6, "epochs": 2, "seed": 0}
    stored, wide = (
        st.minimize("log_loss", (rows, y), shuffle=ORDERS[order], **options) for rows in (X, X.astype(np.float32))
    )
    vary(wide.x)
    assert np.array_equal(stored.x, wide.x)
    assert stored.fun == wide.fun


@pytest.mark.parametrize("d", [1, 3, 16, 70, 101])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_same_bits_as_float32(dtype: np.dtype[Any], layout: str, d: int) -> None:
    X = LAYOUTS[layout](narrow_rows(150, d, dtype))
    wide = LAYOUTS[layout](X.astype(np.float32))
    largest = float(np.abs(wide).max())
    for name in ("log_loss", "softmax"):
        y = y_for(st.losses.get(name), 150)
        weight = random(name, d).uniform(0.5, 2, size=150)
        for batch_size, order in ((1, "full"), (32, "full"), (47, "sequence"), (150, "sequence")):
            options: dict[str, Any] = {"method": "sgd", "step_size": 0.1 / largest**2 / d, "epochs": 2, "seed": 5}
            options |= {"batch_size": batch_size, "shuffle": ORDERS[order], "penalty": st.L2(1e-3)}
            options |= {"sample_weight": weight, "fit_intercept": True}
            stored, float32 = (st.minimize(name, (rows, y), **options) for rows in (X, wide))
            assert stored.x.dtype == np.float32
            assert np.count_nonzero(stored.x) > 1
            assert np.array_equal(stored.x, float32.x), (name, batch_size, order)


@pytest.mark.parametrize("name", st.losses.available())
@pytest.mark.parametrize("dtype", [np.dtype(np.int8), BFLOAT16], ids=str)
def test_objectives_of_every_loss(name: str, dtype: np.dtype[Any]) -> None:
    loss = st.losses.get(name)
    X = narrow_rows(210, 21, dtype, name)
    y = y_for(loss, 210)
    for layout in ("C", "F"):
        stored, wide = (
            st.Objective(loss, (LAYOUTS[layout](rows), y), fit_intercept=True) for rows in (X, X.astype(np.float32))
        )
        x = random(name, "x").normal(size=stored.n_parameters) / 1000
        (value, gradient), (expected, slopes) = stored.value_and_gradient(x), wide.value_and_gradient(x)
        vary(gradient)
        assert value == expected
        assert np.array_equal(gradient, slopes)
        assert np.array_equal(stored.values([x, 2 * x]), wide.values([x, 2 * x]))
        if loss.curvature is not None:
            assert stored.smoothness() == wide.smoothness()


@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_threads_change_no_bit(dtype: np.dtype[Any]) -> None:
    X = narrow_rows(70_000, 40, dtype)
    y = y_for(st.losses.get("log_loss"), len(X))
    results = [
        st.minimize("log_loss", (X, y), step_size=1e-9, n_threads=n, method="sgd", batch_size=9000, epochs=1, seed=0).x
        for n in (1, 2)
    ]
    vary(results[0])
    assert np.array_equal(*results)


def test_default_steps() -> None:
    X = narrow_rows(3000, 12, np.dtype(np.uint8))
    y = X[:, 0].astype(np.float32) / 255
    for options in ({}, {"batch_size": 64}, {"step_size": "auto"}):
        given, wide = (
            st.minimize("huber", (rows, y), seed=3, penalty=st.L2(1e-2), tol=0, epochs=5, **options)
            for rows in (X, X.astype(np.float32))
        )
        vary(given.x)
        assert np.array_equal(given.x, wide.x)


@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_scaled_narrow_rows(dtype: np.dtype[Any]) -> None:
    X = narrow_rows(400, 9, dtype)
    y = y_for(st.losses.get("softmax"), 400)
    scale = 1 / np.abs(X.astype(np.float64)).max(axis=0)
    for layout in ("C", "F"):
        given, copied = (
            st.minimize("softmax", (rows, y), method="sgd", step_size=0.1, batch_size=40, seed=1, fit_intercept=True)
            for rows in (st.data.scaled(LAYOUTS[layout](X), scale, -0.25), X.astype(np.float32) * scale - 0.25)
        )
        vary(given.x)
        assert np.allclose(given.x, copied.x, rtol=1e-3, atol=1e-4)
        seen = st.data.scaled(X, scale, -0.25)
        assert np.allclose(given.predict(seen), copied.predict(X.astype(np.float32) * scale - 0.25), atol=1e-3)


@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_traced_losses_read_narrow_rows(dtype: np.dtype[Any]) -> None:
    @st.loss
    def traced(w: Any, x: Any, y: Any) -> Any:
        return st.softplus(-y * (x @ w)) + 1e-6 * st.exp(-x * x).sum(axis=1)

    X = narrow_rows(300, 7, dtype)
    y = y_for(st.losses.get("log_loss"), 300)
    largest = float(np.abs(X.astype(np.float32)).max())
    for layout in ("C", "columns apart"):
        options: dict[str, Any] = {"method": "sgd", "step_size": 0.1 / largest**2, "epochs": 2, "seed": 2}
        stored, wide = (
            st.minimize(traced, (LAYOUTS[layout](rows), y), batch_size=32, **options)
            for rows in (X, X.astype(np.float32))
        )
        vary(stored.x)
        assert stored.x.dtype == np.float32
        assert np.array_equal(stored.x, wide.x)


@pytest.mark.parametrize("dtype", [np.dtype(np.float16), BFLOAT16], ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_numbers_that_are_not_finite(dtype: np.dtype[Any], bad: float, layout: str) -> None:
    X = narrow_rows(90, 19, dtype)
    X[61, 17] = bad
    X = LAYOUTS[layout](X)
    y = random(bad).normal(size=90)
    with pytest.raises(ValueError, match=r"X holds (NaN|an infinity), first in row 61, column 17"):
        st.minimize("huber", (X, y))
    for batch_size in (1, 16):
        with pytest.raises(ValueError, match=r"X holds (NaN|an infinity), first in row 61, column 17"):
            st.minimize("huber", (X, y), check_finite=False, method="sgd", step_size=0.1, batch_size=batch_size)


@pytest.mark.parametrize("dtype", [kind for kind in NARROW if kind.itemsize == 2 and kind.kind != "V"], ids=str)
def test_copies_are_announced(dtype: np.dtype[Any]) -> None:
    X = narrow_rows(40_000, 30, dtype)
    y = X[:, 0].astype(np.float32)
    options: dict[str, Any] = {"method": "sgd", "step_size": 1e-12, "batch_size": 4000, "epochs": 1, "seed": 0}
    read = st.minimize("squared_error", (X, y), **options)
    with pytest.warns(st.DataCopyWarning, match=rf"X has dtype >.*: a copy in {dtype} of 2 MB is made"):
        swapped = st.minimize("squared_error", (X.astype(dtype.newbyteorder(">")), y), **options)
    apart = np.empty((len(X), 61), dtype=np.uint8)[:, 1:]
    apart.view(dtype)[...] = X
    with pytest.warns(st.DataCopyWarning, match="alignment"):
        unaligned = st.minimize("squared_error", (apart.view(dtype), y), **options)
    assert np.array_equal(read.x, swapped.x)
    assert np.array_equal(read.x, unaligned.x)


PEAK = """
import ml_dtypes, numpy as np
import steepest as st

kind, layout = sys.argv[1:]
dtype = np.dtype(ml_dtypes.bfloat16) if kind == "bfloat16" else np.dtype(kind)
n, d = 300_000, 160 // dtype.itemsize
draw = np.random.default_rng(0).integers(0, 2, size=(6000, d), dtype=np.uint8)
X = np.empty((n, d) if layout == "C" else (d, n), dtype)
X = X if layout == "C" else X.T
for i in range(0, n, 6000):
    X[i:i + 6000] = draw
assert X.nbytes == 48_000_000
y = np.sign(X[:, 0].astype(np.float32) - 0.5)
options = {"method": "sgd", "step_size": 1e-3, "epochs": 1, "seed": 0}
st.minimize("squared_error", (X[:2000], y[:2000]), **options)
forget_peak()
before = peak()
for batch_size in (64, 4096, n):
    result = st.minimize("squared_error", (X, y), batch_size=batch_size, **options)
    assert np.count_nonzero(result.x)
print(peak() - before, 12 * n + 16 * 2**20)
"""


@pytest.mark.parametrize(("kind", "layout"), [("uint8", "C"), ("float16", "F")])
def test_peak_memory_of_a_fit(kind: str, layout: str) -> None:
    """At most 12 bytes a row and 16 MB beyond the data of 48 MB, which in float32 would be two to four times that."""
    more, allowed = printed(PEAK, kind, layout)
    assert more <= allowed


@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_held_out_rows(dtype: np.dtype[Any]) -> None:
    X = narrow_rows(300, 6, dtype)
    y = y_for(st.losses.get("huber"), 300)
    options: dict[str, Any] = {"method": "sgd", "step_size": 1e-12, "epochs": 3, "seed": 0, "batch_size": 20}
    wide = X.astype(np.float32)
    for rows, other in ((X, 0.25), (X, (wide[:90], y[:90])), (wide, (X[:90], y[:90]))):
        given = st.minimize("huber", (rows, y), validation=other, **options)
        expected = st.minimize(
            "huber", (wide, y), validation=(wide[:90], y[:90]) if isinstance(other, tuple) else other, **options
        )
        assert np.array_equal(given.x, expected.x)
        assert np.array_equal(given.history.validation, expected.history.validation)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.float16], ids=str)
def test_arrays_that_another_thread_changes(dtype: Any) -> None:
    """Whatever comes of it, it is no crash: a result, or an error that says what was met."""
    source = random("changes", dtype)
    X = source.integers(0, 9, size=(4000, 30)).astype(dtype)
    y, weight = np.where(source.random(4000) < 0.5, np.float32(-1), np.float32(1)), np.ones(4000, dtype=np.float32)
    order, rows = source.permutation(3000).astype(np.uint32), source.permutation(4000)[:3000].astype(np.uint32)
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            for array in (X, y, weight, order, rows):
                array[...] = source.integers(0, 1 << 15, size=array.shape).astype(array.dtype)

    changing = threading.Thread(target=change)
    runs = 0
    changing.start()
    try:
        for batch_size in (1, 16, 256):
            for shuffle in ("full", order):
                runs += 1
                with contextlib.suppress(ValueError, st.ConvergenceWarning):
                    st.minimize(
                        "log_loss",
                        (X, y),
                        rows=rows,
                        shuffle=shuffle,
                        sample_weight=weight,
                        method="sgd",
                        step_size=1e-9,
                        batch_size=batch_size,
                        epochs=5,
                    )
    finally:
        stop.set()
        changing.join()
    assert runs == 6
