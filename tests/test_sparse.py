"""CSR rows: the same parameters as from the same rows stored densely, whatever the loss, the order and the types."""

import pickle
import tracemalloc
import warnings
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

import steepest as st
from members import vary
from sparse_data import D, N, make_rows, make_targets, make_weight

Array = NDArray[Any]

LOSSES = st.losses.available()
PENALTIES: dict[str, Any] = {
    "none": None,
    **{
        name: st.penalties.get(name, **({"alpha": 0.004} if "alpha" in st.penalties.get(name).params else {}))
        for name in st.penalties.available()
    },
}
SHUFFLES: dict[str, Any] = {
    "full": "full",
    "stream": "stream",
    "once": "once",
    "sequence": False,
    "given": np.random.default_rng(5).permutation(N),
    "callable": lambda epoch: np.random.default_rng(epoch).permutation(N),
}


def both(loss: Any, rows: Any, y: Array, **options: Any) -> tuple[st.Result, st.Result]:
    """Descend over the same rows stored densely and sparsely."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", st.ConvergenceWarning)
        dense = st.minimize(loss, (rows.toarray(), y), **options)
        found = st.minimize(loss, (rows, y), **options)
    return dense, found


def assert_same(dense: st.Result, found: st.Result, rtol: float = 1e-12) -> None:
    assert np.isfinite(dense.x).all()
    assert np.abs(dense.x).max() > 0, "nothing was learnt"
    np.testing.assert_allclose(found.x, dense.x, rtol=rtol, atol=rtol * np.abs(dense.x).max())
    np.testing.assert_allclose(found.fun, dense.fun, rtol=rtol)
    assert (found.status, found.nit, found.nfev) == (dense.status, dense.nit, dense.nfev)
    np.testing.assert_allclose(found.history.running_objective, dense.history.running_objective, rtol=10 * rtol)


@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
@pytest.mark.parametrize("name", LOSSES)
def test_dense_and_sparse_agree(name: str, penalty: Any) -> None:
    loss, rows = st.losses.get(name), make_rows()
    y = make_targets(loss)
    settings = product((1, 7, N), ({}, {"sample_weight": make_weight(), "fit_intercept": True}))
    reached = []
    for batch_size, options in settings:
        dense, found = both(
            loss,
            rows,
            y,
            penalty=penalty,
            method="sgd",
            step_size=0.05,
            batch_size=batch_size,
            epochs=3,
            seed=3,
            **options,
        )
        assert_same(dense, found)
        reached.append(found.fun)
    vary(np.array(reached))


@pytest.mark.parametrize("loss", ["log_loss", "softmax"])
@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_orders(loss: str, shuffle: str) -> None:
    rows, y = make_rows(), make_targets(st.losses.get(loss))
    dense, found = both(
        loss, rows, y, shuffle=SHUFFLES[shuffle], method="sgd", step_size=0.3, batch_size=8, epochs=2, seed=11
    )
    assert_same(dense, found)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csr_array])
@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["huber", "multi_huber"])
def test_types_are_read_as_they_are(loss: str, dtype: str, index: str, kind: Any) -> None:
    rows = kind(make_rows().astype(dtype))
    rows.indices, rows.indptr = rows.indices.astype(index), rows.indptr.astype(index)
    before = [array.copy() for array in (rows.data, rows.indices, rows.indptr)]
    y = make_targets(st.losses.get(loss))
    dense, found = both(loss, rows, y, step_size=0.2, batch_size=5, method="sgd", epochs=3, seed=0, penalty="l2")
    assert found.x.dtype == dense.x.dtype == dtype
    np.testing.assert_allclose(found.x, dense.x, rtol=0, atol={"float32": 1e-5, "float64": 1e-13}[dtype])
    for array, kept in zip((rows.data, rows.indices, rows.indptr), before, strict=True):
        assert array.dtype == kept.dtype
        np.testing.assert_array_equal(array, kept)


def test_streams_over_large_data() -> None:
    rng = np.random.default_rng(0)
    n, d = 60_000, 40
    rows = sparse.random_array((n, d), density=0.5, rng=rng, format="csr")
    y = np.where(rows @ rng.normal(size=d) > 0, 1.0, -1.0)
    dense, found = both(
        "log_loss", rows, y, method="sgd", step_size=0.5, batch_size=64, epochs=1, seed=5, shuffle="full"
    )
    assert_same(dense, found, rtol=1e-10)
    streamed = st.minimize("log_loss", (rows, y), method="sgd", step_size=0.5, batch_size=64, epochs=1, seed=5)
    assert not np.array_equal(streamed.x, found.x)
    assert abs(streamed.fun - found.fun) < 0.01 * found.fun


@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
@pytest.mark.parametrize("batch_size", [64, 4096, None])
def test_threads_change_no_bit(batch_size: int | None, penalty: Any) -> None:
    rng = np.random.default_rng(0)
    rows = sparse.random_array((20_000, 100), density=0.2, rng=rng, format="csr")
    y = np.where(rows @ rng.normal(size=100) + rng.normal(size=20_000) > 0, 1.0, -1.0)
    runs = [
        st.minimize(
            "log_loss",
            (rows, y),
            penalty=penalty,
            method="sgd",
            step_size=0.5,
            batch_size=batch_size or 20_000,
            epochs=2,
            seed=1,
            n_threads=threads,
            fit_intercept=True,
        )
        for threads in (1, 2, 3)
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.x, runs[0].x)
        assert run.fun == runs[0].fun


@pytest.mark.parametrize("name", LOSSES)
def test_objectives(name: str) -> None:
    loss, rows = st.losses.get(name), make_rows()
    y, weight = make_targets(loss), make_weight()
    dense, found = (
        st.Objective(loss, (X, y), "l2", sample_weight=weight, fit_intercept=True) for X in (rows.toarray(), rows)
    )
    assert dense.n_parameters == found.n_parameters
    points = np.random.default_rng(4).normal(size=(3, found.n_parameters)) / 4
    np.testing.assert_allclose(found.values(points), dense.values(points), rtol=1e-13)
    for point in points:
        np.testing.assert_allclose(found.gradient(point), dense.gradient(point), rtol=1e-12, atol=1e-14)
    if loss.curvature is not None:
        np.testing.assert_allclose(found.smoothness(), dense.smoothness(), rtol=1e-12)
    again = pickle.loads(pickle.dumps(found))
    assert again.value(points[0]) == found.value(points[0])


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("d", [40, 2100])
def test_curvature_bounds(d: int, intercept: bool) -> None:
    rows = make_rows(50, d, 0.05)
    doubled = sparse.csr_array(rows)
    doubled.data, doubled.indices = np.repeat(rows.data / 2, 2), np.repeat(rows.indices, 2)
    doubled.indptr = 2 * rows.indptr
    y, weight = make_targets(st.losses.get("log_loss"), 50), make_weight(50)
    scale, shift = np.linspace(0.5, 2, d), np.linspace(-0.1, 0.2, d)
    views = (lambda X: X, lambda X: st.data.scaled(X, scale), lambda X: st.data.scaled(X, scale, shift))
    bounds = []
    for view in views:
        dense, *others = (
            st.Objective("log_loss", (view(X), y), sample_weight=weight, fit_intercept=intercept).smoothness()
            for X in (rows.toarray(), rows, doubled)
        )
        bounds.append(dense)
        for other in others:
            # Shifts hide cancellations from the row sums of a sparse matrix: its bound may be larger, never smaller.
            assert dense * (1 - 1e-9) <= other <= dense * (1.5 if d > 2000 and view is views[2] else 1 + 1e-9)
    vary(np.array(bounds))


@pytest.mark.parametrize("loss", ["log_loss", "softmax"])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_scaled_columns(loss: str, shift: float) -> None:
    rows, y = make_rows(), make_targets(st.losses.get(loss))
    scale = np.linspace(0.5, 2.0, D)
    options = {"method": "sgd", "step_size": 0.2, "batch_size": 6, "epochs": 2, "seed": 2, "penalty": "l1"}
    dense = st.minimize(loss, (rows.toarray() * scale + shift, y), **options)
    found = st.minimize(loss, (st.data.scaled(rows, scale, shift), y), **options)
    assert_same(dense, found)
    np.testing.assert_allclose(
        found.predict(st.data.scaled(rows, scale, shift)), dense.predict(rows.toarray() * scale + shift), atol=1e-12
    )


def test_default_steps() -> None:
    rows = make_rows(400, 30)
    for name in ("log_loss", "squared_error", "poisson", "hinge"):
        y = make_targets(st.losses.get(name), 400)
        for options in ({}, {"method": "gd", "epochs": 20}, {"method": "sgd", "batch_size": 16, "epochs": 2}):
            dense, found = both(name, rows, y, seed=0, **options)
            np.testing.assert_allclose(found.x, dense.x, rtol=1e-7, atol=1e-7)
            assert found.status == dense.status


def test_everything_that_takes_rows_takes_sparse_ones() -> None:
    rows, y = make_rows(), make_targets(st.losses.get("log_loss"))
    X = rows.toarray()
    points = np.random.default_rng(4).normal(size=(5, D))
    dense, found = (st.search.grid("log_loss", (data, y), points) for data in (X, rows))
    np.testing.assert_allclose(found.fun, dense.fun, rtol=1e-13)
    dense, found = (st.search.local("log_loss", (data, y), n=30, seed=1) for data in (X, rows))
    np.testing.assert_allclose(found.x, dense.x, rtol=1e-13)
    assert st.is_convex("log_loss", (rows, y), seed=0, n=90)
    table = st.sweep("log_loss", (rows, y), batch_sizes=[8, N], step_sizes=[0.1, 1.0], epochs=2, seed=0).table
    assert len(table) == 4
    assert all(np.isfinite(row["objective"]) for row in table)


@pytest.mark.parametrize("method", ["svrg", "saga", "L-BFGS-B", "trust-ncg"])
def test_methods_that_need_the_data(method: str) -> None:
    rows = make_rows()
    for loss, options in (("log_loss", {}), ("softmax", {"fit_intercept": True}), ("huber", {"validation": 0.2})):
        y = make_targets(st.losses.get(loss))
        dense, found = both(loss, rows, y, penalty="l2", method=method, epochs=5, seed=0, **options)
        np.testing.assert_allclose(found.x, dense.x, rtol=1e-6, atol=1e-8)
    at, along = np.linspace(-1, 1, D), np.linspace(1, -2, D)
    y = make_targets(st.losses.get("log_loss"))
    dense, found = (st.Objective("log_loss", (X, y)).hessp(at, along) for X in (rows.toarray(), rows))
    np.testing.assert_allclose(found, dense, rtol=1e-12)


def test_many_columns_are_never_made_dense() -> None:
    rng = np.random.default_rng(0)
    n, d = 3000, 20_000
    rows = sparse.csr_matrix((rng.normal(size=5 * n), rng.integers(0, d, 5 * n), np.arange(0, 5 * n + 1, 5)), (n, d))
    y = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    tracemalloc.start()
    for options in (
        {"method": "sgd", "penalty": "l1", "fit_intercept": True},
        {"method": "sgd", "penalty": "l2", "step_size": 0.1},
        {"method": "adagrad"},
        {"method": "svrg", "penalty": "l2"},
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", st.ConvergenceWarning)
            st.minimize("log_loss", (rows, y), epochs=1, batch_size=64, seed=0, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * d, "an eighth of the rows stored densely"


def test_predictions() -> None:
    rows = make_rows()
    for name in ("squared_error", "softmax"):
        result = st.minimize(name, (rows, make_targets(st.losses.get(name))), epochs=2, method="gd", fit_intercept=True)
        for kind in (sparse.csr_matrix, sparse.csr_array, sparse.csc_array):
            predicted = result.predict(kind(rows))
            assert type(predicted) is np.ndarray
            np.testing.assert_allclose(predicted, result.predict(rows.toarray()), atol=1e-14)


def test_a_run_goes_on() -> None:
    rows, y = make_rows(), make_targets(st.losses.get("log_loss"))
    options = {"method": "sgd", "step_size": 0.2, "batch_size": 4, "penalty": "elastic_net"}
    whole = st.minimize("log_loss", (rows, y), epochs=4, seed=3, **options)
    part = st.minimize("log_loss", (rows, y), epochs=1, seed=3, **options)
    rest = st.minimize("log_loss", (rows, y), x0=part, epochs=3, **options)
    np.testing.assert_array_equal(rest.x, whole.x)


@st.loss
def traced_log_loss(w: Any, x: Any, y: Any) -> Any:
    return st.softplus(-y * (x @ w))


@st.loss
def traced_two_products(p: Any, x: Any, y: Any) -> Any:
    return (x @ p["a"] - y) ** 2 + st.softplus(x @ p["b"])


@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_traced_losses_multiply_sparse_rows(dtype: str, index: str) -> None:
    rows = make_rows().astype(dtype)
    rows.indices, rows.indptr = rows.indices.astype(index), rows.indptr.astype(index)
    y = make_targets(st.losses.get("log_loss"))
    atol = {"float32": 1e-5, "float64": 1e-13}[dtype]
    for options in ({"batch_size": 7}, {"batch_size": 1, "penalty": "l2"}, {"batch_size": N}):
        dense, found = both(traced_log_loss, rows, y, method="sgd", step_size=0.2, epochs=2, seed=1, **options)
        built_in = st.minimize("log_loss", (rows, y), method="sgd", step_size=0.2, epochs=2, seed=1, **options)
        assert found.x.dtype == dtype
        np.testing.assert_allclose(found.x, dense.x, rtol=0, atol=atol)
        np.testing.assert_allclose(found.x, built_in.x, rtol=0, atol=atol)
    start = {"a": np.zeros(D), "b": np.full(D, 0.1)}
    dense, found = both(traced_two_products, rows, y, x0=start, method="adam", batch_size=9, epochs=2, seed=1)
    np.testing.assert_allclose(found.x, dense.x, rtol=0, atol=10 * atol)
    objectives = [st.Objective(traced_log_loss, (X, y)) for X in (rows, rows.toarray())]
    values = [objective.value_and_gradient(np.linspace(-1, 1, D)) for objective in objectives]
    np.testing.assert_allclose(values[0][0], values[1][0], rtol=1e-6)
    np.testing.assert_allclose(values[0][1], values[1][1], rtol=0, atol=atol)


def test_traced_losses_name_what_sparse_rows_cannot_do() -> None:
    rows, y = make_rows(), make_targets(st.losses.get("log_loss"))

    @st.loss
    def elementwise(w: Any, x: Any, y: Any) -> Any:
        return (x * w).sum(axis=1) * y

    with pytest.raises(TypeError, match=r"elementwise reads data\[0\] number by number.*x @ w"):
        st.minimize(elementwise, (rows, y), x0=np.zeros(D), epochs=1)
    rows.data[4] = np.nan
    with pytest.raises(ValueError, match=r"data\[0\] holds NaN, first in row 0, column \d"):
        st.minimize(traced_log_loss, (rows, y), epochs=1)
    with pytest.raises(ValueError, match=r"data 0 holds NaN, first in row 0, column \d"):
        st.minimize(traced_log_loss, (rows, y), epochs=1, check_finite=False, batch_size=4, step_size=0.1)
    with pytest.raises(ValueError, match=r"61 rows.*3"):
        st.minimize(traced_log_loss, (make_rows(), [1.0, -1.0, 1.0]), epochs=1)
