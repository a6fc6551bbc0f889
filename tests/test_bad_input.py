"""What is refused, before any work and with words that help; and that what users hand over is never written."""

import contextlib
import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from numpy.typing import NDArray

import steepest as st
from memory import printed
from steepest import reference

Array = NDArray[Any]

N, D = 12, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, D))
Y = RNG.normal(size=N)
SIGNS = np.where(np.arange(N) % 3 == 0, 1.0, -1.0)
WEIGHT = RNG.uniform(0.5, 2.0, N)
PAIR = (reference.mse, reference.grad_mse)
for shared in (X, Y, SIGNS, WEIGHT):
    shared.setflags(write=False)


def altered(array: Array, at: Any, value: Any) -> Array:
    copy = array.copy()
    copy[at] = value
    return copy


def digest(*arrays: Any) -> list[str]:
    """Checksum what is an array."""
    return [hashlib.sha256(a.tobytes()).hexdigest() for a in arrays if isinstance(a, np.ndarray)]


def refused(
    error: type[Exception], match: str, loss: Any = "squared_error", data: Any = (X, Y), **options: Any
) -> None:
    """Assert that a call raises before any epoch and leaves the arrays alone."""
    held = [*(data if isinstance(data, tuple) else (data,)), *options.values()]
    before = digest(*held)
    called: list[Any] = []
    options.setdefault("callback", called.append)
    with pytest.raises(error, match=match) as caught:
        st.minimize(loss, data, **options)
    assert type(caught.value) is error
    assert not called
    assert digest(*held) == before


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
def test_x_that_is_not_finite_names_the_first_row(layout: str, dtype: str, value: float) -> None:
    bad = altered(altered(X, (7, 1), value), (9, 0), value).astype(dtype)
    if layout != "C":
        bad = np.asfortranarray(bad) if layout == "F" else np.repeat(bad, 2, axis=1)[:, ::2]
    what = "NaN" if math.isnan(value) else "infinity"
    refused(ValueError, rf"X holds .*{what}.*row 7, column 1", data=(bad, Y))


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("row", [0, 5, N - 1])
def test_y_and_weights_that_are_not_finite_name_the_row(row: int, value: float) -> None:
    for check in (True, False):
        refused(ValueError, rf"y holds .*row {row}\b", data=(X, altered(Y, row, value)), check_finite=check)
        refused(ValueError, rf"y holds .*row {row}\b", data=altered(Y, row, value), check_finite=check)
        refused(ValueError, rf"row {row}\b", "log_loss", (X, altered(SIGNS, row, value)), check_finite=check)
        weight = altered(WEIGHT, row, value)
        refused(ValueError, rf"sample_weight .*row {row}\b", sample_weight=weight, check_finite=check)


def test_the_first_bad_row_of_many_is_found() -> None:
    bad = np.zeros((200_000, 4), dtype=np.float32)
    bad[150_001:, 3] = math.nan
    for rows in (bad, np.asfortranarray(bad)):
        refused(ValueError, r"X holds NaN, first in row 150001, column 3", data=(rows, np.zeros(200_000)))


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
@pytest.mark.parametrize("options", [{"method": "gd"}, {"method": "sgd", "batch_size": 4}, {}, {"step_size": "auto"}])
def test_unchecked_rows_are_noticed_on_the_way(options: dict[str, Any], layout: str, value: float) -> None:
    """The same error, naming the row."""
    bad = altered(X, (7, 1), value)
    if layout != "C":
        bad = np.asfortranarray(bad) if layout == "F" else np.repeat(bad, 2, axis=1)[:, ::2]
    for loss, y in (("squared_error", Y), ("log_loss", SIGNS), ("huber", Y), ("hinge", SIGNS)):
        with pytest.raises(ValueError, match=r"X holds .*row 7, column 1"):
            st.minimize(loss, (bad, y), check_finite=False, step_size=options.get("step_size", 0.1), epochs=3, seed=0)
        with pytest.raises(ValueError, match=r"X holds .*row 7, column 1"):
            st.minimize(loss, (bad, y), check_finite=False, epochs=3, seed=0, **options)


@pytest.mark.parametrize("value", [math.inf, -math.inf])
@pytest.mark.parametrize("batch_size", [1, 4, N])
@pytest.mark.parametrize("name", st.losses.available("pointwise"))
def test_an_infinity_that_the_loss_hides(name: str, batch_size: int, value: float) -> None:
    """A prediction far on the right side costs nothing and has no slope, yet its row is to be named."""
    y = SIGNS if st.losses.get(name).target == "binary" else np.abs(Y) + 0.1
    with pytest.raises(ValueError, match=r"X holds an infinity, first in row 7, column 1"):
        st.minimize(
            name,
            (altered(X, (7, 1), value), y),
            x0=[0.1, 0.2, 0.3],
            check_finite=False,
            method="sgd",
            batch_size=batch_size,
            step_size=0.01,
            epochs=2,
            seed=0,
        )


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ([], "empty"),
        (np.zeros(0), "empty"),
        ((np.zeros((0, 3)), np.zeros(0)), "empty"),
        ((np.zeros((5, 0)), np.zeros(5)), "empty"),
        ((X, np.zeros(0)), "empty"),
        ((X, Y[:-1]), "12 rows.*11"),
        ((X[:-1], Y), "11 rows.*12"),
        ((X,), "tuple of 1"),
        ((X, Y, WEIGHT), "tuple of 3"),
        ((), "tuple of 0"),
        ((X[:, 0], Y), "2-D.*1-D"),
        ((X[np.newaxis], Y), "2-D.*3-D"),
        ((X, Y[:, np.newaxis]), "y must be 1-D"),
        (X, "y must be 1-D"),
        (3.0, "y must be 1-D"),
        (([[1.0, 2.0], [3.0]], [1.0, 2.0]), "X"),
        ([[1.0], [2.0, 3.0]], "y"),
    ],
)
def test_shapes(data: Any, match: str) -> None:
    refused(ValueError, match, data=data)


@pytest.mark.parametrize("dtype", [object, complex, "U5", "S5", "M8[s]", "m8[s]", "V8"])
def test_dtypes(dtype: Any) -> None:
    wrong: Any = np.zeros((N, D), dtype=dtype) if dtype != "U5" else np.full((N, D), "a")
    refused(TypeError, "X must hold real numbers", data=(wrong, Y))
    refused(TypeError, "y must hold real numbers", data=(X, wrong[:, 0]))
    refused(TypeError, "y must hold real numbers", data=wrong[:, 0])
    refused(TypeError, "sample_weight must hold real numbers", sample_weight=wrong[:, 0])
    refused(TypeError, "x0 must hold real numbers", x0=wrong[0])


def test_structured_and_sparse_and_other_things() -> None:
    refused(TypeError, "X must hold real numbers", data=(np.zeros((N, D), dtype=[("a", float)]), Y))
    for sparse in (scipy.sparse.csr_matrix(X), scipy.sparse.csr_array(X), scipy.sparse.coo_array(X)):
        refused(TypeError, "sparse", data=(X, sparse))
        refused(TypeError, "sparse", data=sparse)
    for nothing in (None, "twelve", {"X": X}, object()):
        refused(ValueError, "y must be 1-D", data=nothing)
        refused(ValueError, "y must be 1-D", data=(X, nothing))
    refused(ValueError, "X must be 2-D", data=("twelve", Y))
    for nothing in (None, {"X": X}, object()):
        refused(TypeError, "X must be rows of numbers", data=(nothing, Y))


@pytest.mark.parametrize("name", st.losses.available("pointwise"))
def test_targets_outside_the_domain(name: str) -> None:
    loss = st.losses.get(name)
    positive = np.abs(Y) + 0.1
    if loss.target == "non_negative":
        refused(ValueError, rf"targets of {name}.*row 4 holds -1", name, (X, altered(positive, 4, -1.0)))
        st.minimize(name, (X, altered(positive, 4, 0.0)), method="gd", step_size=1e-3, epochs=1)
    elif loss.target == "positive":
        for value in (0.0, -2.0):
            refused(ValueError, rf"targets of {name}.*row 4 holds {value:g}", name, (X, altered(positive, 4, value)))
    elif loss.target == "binary":
        three = altered(SIGNS, 4, 0.5)
        refused(ValueError, rf"{name} takes two classes.*3", name, (X, three))
        refused(ValueError, rf"{name} takes two classes.*12", name, (X, Y))
        refused(ValueError, rf"{name} takes two classes.*only", name, (X, np.ones(N)))
        refused(ValueError, rf"{name} takes two classes.*only 'a'", name, (X, ["a"] * N))
        refused(ValueError, rf"{name} takes two classes.*3.*'a', 'b', 'c'", name, (X, list("abcabcabcabc")))
        mixed = np.array(["a", 1] * 6, dtype=object)
        refused(TypeError, "labels in y", name, (X, mixed))
    else:
        st.minimize(name, (X, -positive), method="gd", step_size=1e-3, epochs=1)


@pytest.mark.parametrize("step", [0, 0.0, -0.1, math.nan, math.inf, -math.inf])
def test_step_sizes(step: float) -> None:
    refused(ValueError, "step_size", step_size=step, method="gd")
    with pytest.raises(ValueError, match="lr"):
        st.optim.SGD(lr=step)
    with pytest.raises(ValueError, match="step_size"):
        st.schedules.Constant(step)


def test_step_sizes_of_other_kinds() -> None:
    for step in ("fast", "0.1", ""):
        refused(ValueError, "step_size must be", step_size=step)
    for wrong in ([0.1], np.array([0.1, 0.2]), {"step": 1}, 1j):
        refused(TypeError, "step_size must be", step_size=wrong)
    refused(ValueError, "given twice", method=st.optim.SGD(lr=0.1), step_size=0.1)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_function_of_time_that_gives_no_step(value: float) -> None:
    refused(ValueError, "schedule gave", method="gd", step_size=lambda t: value)
    with pytest.raises(ValueError, match=r"schedule gave .* at time 2"):
        st.minimize("mse", (X, Y), method="gd", step_size=lambda t: 0.01 if t < 2 else value, epochs=5)


@pytest.mark.parametrize("answer", ["fast", None, [0.1], 1j])
def test_a_function_of_time_that_gives_no_number(answer: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"step_size|schedule"):
        st.minimize("mse", (X, Y), method="gd", step_size=lambda t: answer)


def test_a_function_that_raises() -> None:
    def fails(t: float) -> float:
        raise LookupError("mine")

    refused(LookupError, "mine", method="gd", step_size=fails)
    refused(LookupError, "mine", method="sgd", batch_size=2, shuffle=fails)


@pytest.mark.parametrize("size", [0, -1, -256])
def test_batch_sizes(size: int) -> None:
    refused(ValueError, f"batch_size must be at least 1, not {size}", batch_size=size)


@pytest.mark.parametrize("count", [1.0, 2.5, math.nan, "8", [8]])
def test_counts_are_whole_numbers(count: Any) -> None:
    for argument in ("batch_size", "epochs", "n_threads"):
        refused(TypeError, f"{argument} must be a whole number", **{argument: count})


def test_a_batch_larger_than_the_data_is_all_of_it() -> None:
    for data, loss in (((X, Y), "mse"), (Y, "huber")):
        options: dict[str, Any] = {"method": "sgd", "epochs": 5, "seed": 0}
        whole = st.minimize(loss, data, batch_size=N, **options)
        for size in (N + 1, 10**6, 2**62):
            larger = st.minimize(loss, data, batch_size=size, **options)
            assert np.array_equal(larger.x, whole.x)
            assert (larger.nit, larger.fun) == (5, whole.fun)
    st.minimize("mse", (X, Y), method="gd", batch_size=N + 3, epochs=2)


def test_gd_takes_all_rows() -> None:
    refused(ValueError, "batch_size=5", method="gd", batch_size=5)
    refused(ValueError, "batch_size=5", PAIR, Y, x0=0.0, method="gd", batch_size=5)


@pytest.mark.parametrize("alpha", [-1e-9, -1.0, math.nan, math.inf, "much", None])
def test_penalties(alpha: Any) -> None:
    error = ValueError if isinstance(alpha, float) else TypeError
    for make in (st.L1, st.L2, st.ElasticNet):
        with pytest.raises(error, match="alpha must"):
            make(alpha)
    for ratio in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="l1_ratio must"):
            st.ElasticNet(1.0, ratio)


def test_penalties_of_other_kinds() -> None:
    refused(ValueError, "unknown penalty 'l3'.*elastic_net.*l1.*l2", penalty="l3")
    for wrong in (0.1, [st.L2(1.0)], st.L2):
        refused(TypeError, "penalty must be", penalty=wrong)


@pytest.mark.parametrize(
    ("x0", "error", "match"),
    [
        ([1.0, 2.0], ValueError, "x0 has 2 parameters, the problem has 3"),
        ([1.0] * 4, ValueError, "x0 has 4 parameters, the problem has 3"),
        (0.0, ValueError, "x0 has 1 parameters, the problem has 3"),
        ([], ValueError, "x0"),
        ([1.0, math.nan, 2.0], ValueError, "x0 holds nan at position 1"),
        ([1.0, 2.0, -math.inf], ValueError, "x0 holds -inf at position 2"),
        (["a", "b", "c"], TypeError, "x0 must hold real numbers"),
        ([1j, 0, 0], TypeError, "x0 must hold real numbers"),
        ({"w": 1}, TypeError, "x0 must hold real numbers"),
        ([[1.0, 2.0], [3.0]], ValueError, "x0"),
        (scipy.sparse.csr_array(X), TypeError, "x0"),
    ],
)
def test_starts(x0: Any, error: type[Exception], match: str) -> None:
    refused(error, match, x0=x0)


def test_starts_of_callables() -> None:
    refused(ValueError, "x0 is required", PAIR, (X, Y))
    refused(ValueError, "x0 is empty", PAIR, Y, x0=[])
    refused(ValueError, "x0 holds nan", PAIR, Y, x0=math.nan)
    refused(TypeError, "x0 must hold real numbers", PAIR, Y, x0="a")
    refused(ValueError, "fit_intercept", PAIR, Y, x0=0.0, fit_intercept=True)
    refused(ValueError, "sample_weight", PAIR, Y, x0=0.0, sample_weight=WEIGHT)


def test_unknown_names_list_the_candidates() -> None:
    for name in ("hubre", "", "HUBER_LOSS"):
        refused(ValueError, f"unknown loss {name!r}.*absolute_error.*huber.*tweedie", name)
    for method in ("adamm", "", "newton"):
        refused(ValueError, f"unknown method {method!r}.*gd.*sgd", method=method)
    for wrong in (None, 3, PAIR[0], (PAIR[0],), (*PAIR, PAIR[0]), [*PAIR], st.losses.Huber, ("mse", "mse")):
        refused(TypeError, "loss must be", wrong)
    for wrong in (3, st.optim.SGD, object()):
        refused(TypeError, "method must be", method=wrong)


def test_names_are_case_insensitive() -> None:
    options: dict[str, Any] = {"epochs": 2, "seed": 0}
    expected = st.minimize("huber", (X, Y), method="sgd", penalty="l2", batch_size=4, **options).x
    assert np.array_equal(st.minimize("Huber", (X, Y), method="SGD", penalty="L2", batch_size=4, **options).x, expected)
    assert st.minimize("MSE", (X, Y), method="GD", step_size="AUTO", **options).epochs == 2


@pytest.mark.parametrize("tol", [math.nan, -1e-9, -1.0, math.inf])
def test_tolerances(tol: float) -> None:
    refused(ValueError, "tol must be", tol=tol)
    with pytest.raises(ValueError, match="StepTolerance"):
        st.StepTolerance(tol)


@pytest.mark.parametrize("tol", ["1e-3", [1e-3], 1j, st.StepTolerance])
def test_tolerances_of_other_kinds(tol: Any) -> None:
    refused(TypeError, "tol must be", tol=tol)
    with pytest.raises((TypeError, ValueError), match="StepTolerance"):
        st.StepTolerance(tol)
    with pytest.raises(ValueError, match="StepTolerance"):
        st.StepTolerance(0.0)


@pytest.mark.parametrize("epochs", [0, -1])
def test_epochs_and_threads(epochs: int) -> None:
    refused(ValueError, f"epochs must be at least 1, not {epochs}", epochs=epochs)
    refused(ValueError, f"n_threads must be at least 1, not {epochs}", n_threads=epochs)


def test_seeds() -> None:
    refused(ValueError, "seed must lie", seed=-1)
    refused(ValueError, "seed must lie", seed=2**64)
    for wrong in (1.0, "1", [1], math.nan):
        refused(TypeError, "seed must be", seed=wrong)
    for seed in (0, 2**64 - 1, np.uint64(2**63), np.int8(3)):
        assert st.minimize("mse", Y, method="sgd", batch_size=4, epochs=1, seed=seed).seed == int(seed)


ORDERS: dict[str, tuple[Any, type[Exception], str]] = {
    "too short": (np.arange(N - 1), ValueError, "11 entries"),
    "too long": (np.arange(N + 1), ValueError, "13 entries"),
    "empty": (np.arange(0), ValueError, "0 entries"),
    "repeated": (altered(np.arange(N), 3, 4), ValueError, "row 3 is missing"),
    "beyond": (altered(np.arange(N), 3, N), ValueError, "row 12 at position 3"),
    "negative": (altered(np.arange(N), 3, -1), ValueError, "row -1 at position 3"),
    "floats": (np.arange(N, dtype=float), TypeError, "whole numbers"),
    "booleans": (np.ones(N, dtype=bool), TypeError, "whole numbers"),
    "two axes": (np.arange(N).reshape(3, 4), TypeError, "1-D"),
    "a number": (3, TypeError, "1-D"),
    "nothing": (None, TypeError, "whole numbers"),
}


@pytest.mark.parametrize("what", ORDERS)
def test_orders(what: str) -> None:
    order, error, match = ORDERS[what]
    refused(error, match, method="sgd", batch_size=4, shuffle=order)
    refused(error, match, method="sgd", batch_size=4, shuffle=lambda epoch: order)
    refused(error, match, PAIR, Y, x0=0.0, method="sgd", batch_size=4, shuffle=order)


@pytest.mark.parametrize("batch_size", [4, N])
def test_an_order_that_goes_wrong_later(batch_size: int) -> None:
    def order(epoch: int) -> Array:
        return np.arange(N) if epoch < 2 else np.zeros(N, dtype=int)

    with pytest.raises(ValueError, match="row 1 is missing"):
        st.minimize("mse", (X, Y), method="sgd", batch_size=batch_size, step_size=0.01, epochs=5, shuffle=order)


def test_orders_of_unknown_names() -> None:
    for name in ("sequence", "random", "", "Full shuffle"):
        refused(ValueError, "shuffle must be", shuffle=name)


def test_weights() -> None:
    refused(ValueError, "negative; row 4 holds -1", sample_weight=altered(WEIGHT, 4, -1.0))
    refused(ValueError, "zero in every row", sample_weight=np.zeros(N))
    for wrong in (WEIGHT[:-1], np.append(WEIGHT, 1.0), WEIGHT[:, np.newaxis], 1.0, []):
        refused(ValueError, r"sample_weight must have shape \(12,\)", sample_weight=wrong)
        refused(ValueError, r"sample_weight must have shape \(12,\)", data=Y, sample_weight=wrong)


def test_an_intercept_needs_features() -> None:
    refused(ValueError, "fit_intercept", data=Y, fit_intercept=True)


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("callback", "print", TypeError),
        ("callback", 3, TypeError),
        ("history", "all", ValueError),
        ("history", 2, ValueError),
        ("progress", "dots", ValueError),
        ("progress", 2, ValueError),
    ],
)
def test_other_arguments(argument: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=argument):
        st.minimize("mse", (X, Y), **{argument: value})


def test_arguments_after_the_data_have_names() -> None:
    with pytest.raises(TypeError):
        st.minimize("mse", (X, Y), np.zeros(D))
    with pytest.raises(TypeError, match="learning_rate"):
        st.minimize("mse", (X, Y), learning_rate=0.1)


def test_an_objective_refuses_the_same() -> None:
    for data, match in (((X, altered(Y, 2, math.nan)), "row 2"), ((X, Y[:-1]), "11"), ((X,), "tuple of 1")):
        with pytest.raises(ValueError, match=match):
            st.Objective("mse", data)
    objective = st.Objective("mse", (X, Y))
    for x in ([1.0], np.zeros(4)):
        for ask in (objective.value, objective.gradient, objective.value_and_gradient):
            with pytest.raises(ValueError, match="3 parameters"):
                ask(x)
    with pytest.raises(ValueError, match="points must have shape"):
        objective.values(np.zeros(3))
    with pytest.raises(ValueError, match="no curvature bound"):
        st.Objective("hinge", (X, SIGNS)).smoothness()


def test_numbers_too_large_for_the_rows_dtype() -> None:
    """Rows of float32 mean a computation in float32: what it cannot hold is named, without a warning before."""
    rows = X.astype(np.float32)
    refused(ValueError, "y .*row 3", data=(rows, altered(Y, 3, 1e300)))
    refused(ValueError, "sample_weight .*row 3", data=(rows, Y), sample_weight=altered(WEIGHT, 3, 1e300))
    refused(ValueError, "x0 holds .*position 1", data=(rows, Y), x0=[0.0, 1e300, 0.0])


# Nothing that belongs to the user is written or copied.


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["C", "F", "strided", "backwards"])
@pytest.mark.parametrize("options", [{"method": "gd"}, {"method": "sgd", "batch_size": 5}, {"step_size": "auto"}])
def test_read_only_arrays_work_and_stay(options: dict[str, Any], layout: str, dtype: str) -> None:
    layouts = {
        "C": np.ascontiguousarray,
        "F": np.asfortranarray,
        "strided": lambda a: np.repeat(a, 2, axis=0)[::2],
        "backwards": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    }
    rows, y, weight, start = (layouts[layout](a.astype(dtype)) for a in (X, SIGNS, WEIGHT, np.ones(D + 1)))
    order = np.arange(N)
    held = (rows, y, weight, start, order)
    for array in held:
        array.setflags(write=False)
    before = digest(*held)
    arguments: dict[str, Any] = {"sample_weight": weight, "x0": start, "fit_intercept": True, "penalty": st.L1(0.01)}
    for loss in ("log_loss", "squared_error", "hinge"):
        result = st.minimize(loss, (rows, y), shuffle=order, epochs=3, **arguments, **options)
        assert np.isfinite(result.x).all()
        assert not np.array_equal(result.x, start)
        st.Objective(loss, (rows, y), sample_weight=weight, fit_intercept=True).value_and_gradient(start)
    assert digest(*held) == before
    assert not any(np.shares_memory(result.x, array) for array in held)


def test_memory_maps_work(tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", Y)
    expected = st.minimize("mse", (X, Y), method="gd", epochs=5).x
    for mode in ("r", "c", "r+"):
        rows, y = (np.load(tmp_path / f"{name}.npy", mmap_mode=mode) for name in ("X", "y"))
        assert np.array_equal(st.minimize("mse", (rows, y), method="gd", epochs=5).x, expected)
    assert np.array_equal(np.load(tmp_path / "X.npy"), X)


def test_callables_get_batches_they_cannot_use_to_write() -> None:
    def gradient(theta: Any, batch: Any) -> Any:
        with contextlib.suppress(ValueError):
            batch[...] = 0
        return reference.grad_mse(theta, batch)

    mine = Y.copy()
    for size in (4, N):
        st.minimize((reference.mse, gradient), mine, x0=0.0, method="sgd", batch_size=size, step_size=0.1, epochs=2)
    assert np.array_equal(mine, Y)


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int32", "uint32", ">f8", ">f4", ">f2", ">i2"])
def test_a_large_copy_is_announced_and_a_small_one_is_not(dtype: str) -> None:
    rows = RNG.integers(0, 2, size=(40_000, 20)).astype(dtype)
    y = rows[:, 0].astype(float)
    with pytest.warns(st.DataCopyWarning, match="copy") as record:
        large = st.minimize("mse", (rows, y), method="gd", step_size=0.01, epochs=2)
    assert record[0].filename == __file__
    assert len(record) == 1
    small = st.minimize("mse", (rows[:100], y[:100]), method="gd", step_size=0.01, epochs=2)
    wide = "float32" if large.x.dtype == np.float32 else "float64"
    for result, count in ((large, len(y)), (small, 100)):
        expected = st.minimize("mse", (rows[:count].astype(wide), y[:count]), method="gd", step_size=0.01, epochs=2)
        assert np.array_equal(result.x, expected.x)


def test_lists_are_taken_without_a_word() -> None:
    rows = RNG.integers(0, 9, size=(40, 3))
    found = st.minimize("mse", (rows.tolist(), rows[:, 0].tolist()), method="gd", epochs=2).x
    assert np.array_equal(found, st.minimize("mse", (rows.astype(float), rows[:, 0]), method="gd", epochs=2).x)


PEAK = """
import warnings
import numpy as np
import steepest as st

warnings.simplefilter("error")
layout, options = sys.argv[1], eval(sys.argv[2])
n, d = 800_000, 40
rng = np.random.default_rng(0)
if layout == "C":
    X = rng.standard_normal((n, d), dtype=np.float32)
elif layout == "F":
    X = rng.standard_normal((d, n), dtype=np.float32).T
elif layout == "every other row":
    X = rng.standard_normal((2 * n, d), dtype=np.float32)[::2]
else:
    X = rng.standard_normal((n, 2 * d), dtype=np.float32)[:, ::2]
assert X.shape == (n, d) and X.flags.c_contiguous == (layout == "C") and X.nbytes == 128_000_000
signs = options.pop("signs")
y = np.sign(X[:, 0]) if signs else X[:, 0] > 0
st.minimize("log_loss", (X[:2000], y[:2000]), epochs=1)  # what is imported and allocated once
forget_peak()
before = peak()
result = st.minimize("log_loss", (X, y), **options)
more = peak() - before
assert np.isfinite(result.x).all() and result.coef[0] > 0
print(more, 4 * 2**20 if signs else 12 * n + 64 * 2**20)
"""


@pytest.mark.parametrize("layout", ["C", "F", "every other row", "every other column"])
def test_peak_memory_of_a_fit(layout: str) -> None:
    """Nothing a row where y is -1 and 1 as X has them, else at most 12 bytes; a copy of X would be 128 MB."""
    for options in (
        {"signs": True, "method": "sgd", "batch_size": 4096, "step_size": 0.1, "epochs": 1},
        {"signs": False, "method": "gd", "epochs": 1, "history": "exact"},
    ):
        more, allowed = printed(PEAK, layout, repr(options))
        assert more <= allowed


def test_a_copy_would_be_seen() -> None:
    program = """
import numpy as np
X = np.ones(4 << 20)
forget_peak()
before = peak()
X.copy()
print(peak() - before)
"""
    (more,) = printed(program)
    assert 30 << 20 < more < 40 << 20


def test_masks_are_not_lost() -> None:
    masked = np.ma.array([1.0, 2.0, 99.0], mask=[0, 0, 1])
    with pytest.raises(TypeError, match=r"y is a masked array.*weigh"):
        st.minimize("mse", masked)
    with pytest.raises(TypeError, match="X is a masked array"):
        st.minimize("mse", (np.ma.array(np.ones((3, 1))), [1.0, 2.0, 3.0]))


@pytest.mark.parametrize("name", ["batch_size", "epochs", "seed", "step_size", "n_threads"])
def test_truth_is_no_number(name: str) -> None:
    with pytest.raises((TypeError, ValueError), match=name):
        st.minimize("mse", [1.0, 2.0], **{name: True})


def test_rows_whose_squares_leave_their_dtype() -> None:
    X = np.ones((50, 2), dtype=np.float32) * np.float32(1e30)
    with pytest.raises(ValueError, match="too large"):
        st.minimize("squared_error", (X, np.ones(50)), method="gd")


def test_more_threads_than_the_system_gives() -> None:
    X, y = st.data.logistic(100_000, 28, seed=0)
    few, many = (st.minimize("log_loss", (X, y), n_threads=n, method="gd", epochs=2).x for n in (1, 100_000))
    assert np.array_equal(few, many)
