"""The loop: step-by-step agreement with the NumPy reference, orders, weights, seeds, going on from a result."""

import math
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

import steepest as st
from steepest.reference import descend
from tolerances import DTYPE_NAMES, closeness, tolerances

Array = NDArray[Any]

N, D = 23, 5
PENALTIES: dict[str, Any] = {
    "none": None,
    "l1": st.L1(0.02),
    "l2": st.L2(0.3),
    "elastic_net": st.ElasticNet(0.1, 0.4),
}
# Slopes by hand; the other losses take the core's, which tests of the losses compare with their formulas.
SLOPES: dict[str, Callable[[Array, Array], Array]] = {
    "squared_error": lambda y, z: z - y,
    "mse": lambda y, z: 2 * (z - y),
    "absolute_error": lambda y, z: np.sign(z - y),
    "huber": lambda y, z: np.clip(z - y, -1, 1),
    "log_loss": lambda y, z: -y * expit(-y * z),
    "hinge": lambda y, z: np.where(y * z < 1, -y, 0),
    "poisson": lambda y, z: np.exp(z) - y,
}
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "every other row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "every third column": lambda X: np.repeat(X, 3, axis=1)[:, ::3],
    "rows and columns of F": lambda X: np.asfortranarray(np.repeat(np.repeat(X, 2, axis=0), 2, axis=1))[::2, ::2],
    "backwards": lambda X: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
    "backwards F": lambda X: np.asfortranarray(X[::-1])[::-1],
    "a part": lambda X: np.pad(X, ((2, 3), (1, 4)))[2 : 2 + len(X), 1 : 1 + X.shape[1]],
}


def slope_of(loss: st.losses.Loss) -> Callable[[Array, Array], Array]:
    return SLOPES.get(loss.name, loss.gradient)


def make_data(loss: st.losses.Loss, dtype: str, n: int = N, d: int = D, seed: int = 1) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) / math.sqrt(d)
    z = X @ rng.normal(size=d) * 2 + 0.5 * rng.normal(size=n)
    y = np.where(z > 0, 1.0, -1.0) if loss.target == "binary" else np.abs(z) + 0.1 if loss.target != "real" else z
    assert np.unique(y).size > (1 if loss.target == "binary" else n // 2)
    return X.astype(dtype), y.astype(dtype)


def make_weight(n: int, dtype: str) -> Array:
    weight = np.random.default_rng(8).uniform(0.2, 3.0, n)
    weight[n // 2] = 0
    return weight.astype(dtype)


def orders(n: int, epochs: int, seed: int = 4) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.permutation(n) for _ in range(epochs)]


def follow(
    loss: st.losses.Loss,
    X: Array | None,
    y: Array,
    x0: Array,
    given: list[Array],
    batch_size: int,
    step_size: Any,
    penalty: Any,
    weight: Array | None,
    intercept: bool,
) -> Iterator[Array]:
    """Yield the reference's parameters after every epoch."""
    x = x0
    for epoch, order in enumerate(given):
        x = descend(
            slope_of(loss),
            X,
            y,
            x,
            [order],
            batch_size,
            (lambda t, e=epoch: step_size(e + t)) if callable(step_size) else step_size,
            penalty_gradient=None if penalty is None else lambda w: penalty.smooth_gradient(w).astype(w.dtype),
            prox=None if penalty is None else lambda w, s: penalty.prox(w, s).astype(w.dtype),
            sample_weight=weight,
            fit_intercept=intercept,
        )
        yield x


def assert_follows(
    loss: st.losses.Loss,
    X: Array | None,
    y: Array,
    given: list[Array],
    batch_size: int,
    step_size: Any = 0.1,
    penalty: Any = None,
    weight: Array | None = None,
    intercept: bool = False,
    shuffle: Any = None,
    what: object = "",
) -> None:
    """Compare with the reference after every epoch."""
    parameters = (1 if X is None else X.shape[1]) + intercept
    x0 = np.linspace(1.13, -0.71, parameters).astype(y.dtype)
    seen: list[Array] = []
    result = st.minimize(
        loss,
        y if X is None else (X, y),
        x0=x0,
        method="sgd",
        batch_size=batch_size,
        step_size=step_size,
        penalty=penalty,
        epochs=len(given),
        shuffle=(lambda epoch: given[epoch]) if shuffle is None else shuffle,
        sample_weight=weight,
        fit_intercept=intercept,
        callback=lambda r: seen.append(r.x),
    )
    # BLAS may raise the flag for lanes that it computes and throws away; what is not finite fails the comparison.
    with np.errstate(invalid="ignore"):
        expected = list(follow(loss, X, y, x0, given, batch_size, step_size, penalty, weight, intercept))
    assert len(seen) == len(expected) == result.epochs
    assert result.x.dtype == y.dtype
    assert not np.allclose(expected[0], x0, atol=1e-4), "nothing moved"
    for x, y_expected in zip(seen, expected, strict=True):
        np.testing.assert_allclose(x, y_expected, **closeness(tolerances(y.dtype).steps), err_msg=str(what))
    assert np.array_equal(result.x, seen[-1])
    assert result.nit == len(given) * math.ceil(len(y) / batch_size)


@pytest.mark.parametrize("dtype", DTYPE_NAMES)
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("name", st.losses.available("pointwise"))
def test_agrees_with_the_reference(name: str, intercept: bool, dtype: str) -> None:
    loss = st.losses.get(name)
    X, y = make_data(loss, dtype)
    given = orders(N, 3)
    layouts = list(LAYOUTS)
    cases = product(PENALTIES, (1, 3, 7, N - 1, N), (None, make_weight(N, dtype)))
    for case, (penalty, batch_size, weight) in enumerate(cases):
        layout = layouts[case % len(layouts)]
        what = (penalty, batch_size, weight is not None, layout)
        rows = LAYOUTS[layout](X)
        assert_follows(loss, rows, y, given, batch_size, 0.1, PENALTIES[penalty], weight, intercept, what=what)


@pytest.mark.parametrize("dtype", DTYPE_NAMES)
@pytest.mark.parametrize("name", st.losses.available("pointwise"))
def test_constant_model_agrees_with_the_reference(name: str, dtype: str) -> None:
    loss = st.losses.get(name)
    _, y = make_data(loss, dtype)
    for batch_size, penalty, weight in product((1, 7, N), ("none", "l1", "l2"), (None, make_weight(N, dtype))):
        assert_follows(loss, None, y, orders(N, 3), batch_size, 0.1, PENALTIES[penalty], weight)


@pytest.mark.parametrize("dtype", DTYPE_NAMES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("d", [1, 2, 7, 16, 33, 70])
def test_widths_and_layouts_agree_with_the_reference(d: int, layout: str, dtype: str) -> None:
    """Every width of registers, rows in sequence and in any order, segments longer than the loop's chunks."""
    loss = st.losses.get("log_loss")
    n = 4500
    X, y = make_data(loss, dtype, n, d)
    rows = LAYOUTS[layout](X)
    assert np.array_equal(rows, X)
    weight = make_weight(n, dtype)
    for batch_size in (37, 4000, n):
        given = orders(n, 2)
        assert_follows(loss, rows, y, given, batch_size, 0.3, st.L2(0.1), weight, True, what=batch_size)
        assert_follows(loss, rows, y, [np.arange(n)] * 2, batch_size, 0.3, shuffle=False, what=batch_size)


def test_the_layouts_are_what_they_say() -> None:
    X = np.arange(20.0).reshape(5, 4)
    strides = {name: layout(X).strides for name, layout in LAYOUTS.items()}
    assert len(set(strides.values())) == len(LAYOUTS)
    for name, layout in LAYOUTS.items():
        assert layout(X).flags.c_contiguous == (name == "C")


SCHEDULES: dict[str, Any] = {
    "constant": st.schedules.Constant(0.2),
    "inverse_scaling": st.schedules.InverseScaling(0.2, power=0.7),
    "inverse_time": st.schedules.InverseTime(0.2, decay=2.0),
    "exponential": st.schedules.Exponential(0.2, factor=0.7),
    "step": st.schedules.Step(0.2, factor=0.5, every=1.3),
    "cosine": st.schedules.Cosine(0.2, final=0.01),
    "function": lambda t: 0.2 / (1 + t * t),
    "integer": lambda t: 1,
}


def test_every_schedule_is_here() -> None:
    assert set(st.schedules.available()) <= set(SCHEDULES)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("batch_size", [4, N])
def test_schedules_agree_with_the_reference(name: str, batch_size: int) -> None:
    """Time is in epochs, a fraction within them; the length of the run is what cosine ends with."""
    loss = st.losses.get("log_loss")
    X, y = make_data(loss, "float64")
    schedule, given = SCHEDULES[name], orders(N, 4)
    built_in = isinstance(schedule, st.schedules.Schedule)
    at = (lambda t: schedule(t, epochs=4)) if built_in else schedule
    x0 = np.zeros(D)
    result = st.minimize(
        loss,
        (X, y),
        x0=x0,
        method="sgd",
        batch_size=batch_size,
        step_size=schedule,
        epochs=4,
        shuffle=given.__getitem__,
    )
    expected = list(follow(loss, X, y, x0, given, batch_size, at, None, None, False))
    np.testing.assert_allclose(result.x, expected[-1], **closeness(tolerances("float64").steps))
    updates = math.ceil(N / batch_size)
    np.testing.assert_allclose(result.history.step_size, [at(e + (updates - 1) / updates) for e in range(4)])


@pytest.mark.parametrize("batch_size", [6, N])
def test_an_order_may_be_an_array(batch_size: int) -> None:
    loss = st.losses.get("huber")
    X, y = make_data(loss, "float64")
    order = orders(N, 1)[0]
    for given in (order, order.tolist(), order.astype(np.int8), order.astype(np.uint64), tuple(order)):
        assert_follows(loss, X, y, [order] * 3, batch_size, shuffle=given)


@pytest.mark.parametrize("fit", [{"method": "gd"}, {"method": "sgd", "batch_size": 5, "shuffle": "once"}])
@pytest.mark.parametrize("intercept", [False, True])
def test_layouts_give_the_same(fit: dict[str, Any], intercept: bool) -> None:
    X, y = make_data(st.losses.get("log_loss"), "float64", n=300, d=9)
    found = [
        st.minimize("log_loss", (layout(X), y), epochs=5, seed=1, fit_intercept=intercept, **fit).x
        for layout in LAYOUTS.values()
    ]
    for x in found[1:]:
        np.testing.assert_allclose(x, found[0], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("intercept", [False, True])
def test_weight_two_is_the_row_twice(penalty: str, intercept: bool) -> None:
    X, y = make_data(st.losses.get("squared_error"), "float64")
    times = np.arange(N) % 4
    assert set(times) == {0, 1, 2, 3}
    options: dict[str, Any] = {
        "method": "gd",
        "epochs": 40,
        "penalty": PENALTIES[penalty],
        "fit_intercept": intercept,
    }
    weighted = st.minimize("squared_error", (X, y), sample_weight=times, **options)
    repeated = st.minimize("squared_error", (np.repeat(X, times, axis=0), np.repeat(y, times)), **options)
    np.testing.assert_allclose(weighted.x, repeated.x, rtol=1e-10)
    assert weighted.fun == pytest.approx(repeated.fun, rel=1e-12)
    np.testing.assert_allclose(weighted.jac, repeated.jac, atol=1e-12)
    unweighted = st.minimize("squared_error", (X, y), **options)
    assert np.abs(unweighted.x - weighted.x).max() > 1e-2


FITS: dict[str, dict[str, Any]] = {
    "batches": {"method": "sgd", "batch_size": 5, "step_size": 0.1},
    "single rows": {"method": "sgd", "batch_size": 1, "step_size": 0.05, "shuffle": "once"},
    "default steps": {"method": "sgd", "batch_size": 6, "penalty": st.L1(0.01)},
    "schedule": {"method": "sgd", "batch_size": 4, "step_size": st.schedules.Exponential(0.2, factor=0.6)},
    "function": {"method": "sgd", "batch_size": 4, "step_size": lambda t: 0.2 / (1 + t)},
    "sequence": {"method": "sgd", "batch_size": 7, "step_size": 0.1, "shuffle": False},
    "given": {"method": "sgd", "batch_size": 7, "step_size": 0.1, "shuffle": lambda e: np.roll(np.arange(N), 3 * e)},
    "full": {"method": "gd"},
    "weights": {"method": "sgd", "batch_size": 3, "sample_weight": make_weight(N, "float64"), "fit_intercept": True},
}


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("dtype", DTYPE_NAMES)
def test_the_seed_decides_every_bit(name: str, dtype: str) -> None:
    data = make_data(st.losses.get("log_loss"), dtype)
    options = {**FITS[name], "epochs": 3}
    first = st.minimize("log_loss", data, seed=7, **options)
    assert first.seed == 7
    for threads in (None, 1, 2):
        assert np.array_equal(first.x, st.minimize("log_loss", data, seed=7, n_threads=threads, **options).x)
    drawn = st.minimize("log_loss", data, **options)
    again = st.minimize("log_loss", data, seed=drawn.seed, **options)
    assert np.array_equal(drawn.x, again.x)
    if options.get("shuffle", True) in (True, "once") and name != "full":
        found = {st.minimize("log_loss", data, seed=seed, **options).x.tobytes() for seed in range(8)}
        assert len(found) == 8
        assert len({st.minimize("log_loss", data, **options).seed for _ in range(8)}) == 8


def test_forked_children_draw_seeds_of_their_own() -> None:
    program = """
import os, random
import steepest as st
def draw():
    random.seed(0)  # the user's generator has no say
    return st.minimize("mse", [1.0, 2.0], epochs=1).seed
draw()
for _ in range(3):
    child = os.fork()
    if child == 0:
        print(draw(), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
print(draw(), draw())
"""
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=120)
    assert len(set(run.stdout.split())) == 5, run.stderr


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("dtype", DTYPE_NAMES)
def test_going_on_is_the_run_that_never_stopped(name: str, dtype: str) -> None:
    data = make_data(st.losses.get("log_loss"), dtype)
    whole = st.minimize("log_loss", data, seed=5, epochs=5, **FITS[name])
    for parts in ((3, 2), (1, 4), (1, 1, 1, 1, 1)):
        result = st.minimize("log_loss", data, seed=5, epochs=parts[0], **FITS[name])
        for epochs in parts[1:]:
            result = st.minimize("log_loss", data, x0=result, epochs=epochs, **FITS[name])
        assert np.array_equal(result.x, whole.x), parts
        assert (result.fun, result.seed) == (whole.fun, 5)
        assert (result.epochs, result.nit) == (whole.epochs, whole.nit)
        last = parts[-1]
        for column in ("epoch", "running_objective", "step_size"):
            assert np.array_equal(result.history[column], whole.history[column][-last:]), column


def test_going_on_counts_evaluations_of_earlier_runs() -> None:
    data = make_data(st.losses.get("log_loss"), "float64")
    first = st.minimize("log_loss", data, method="sgd", batch_size=5, epochs=3)
    second = st.minimize("log_loss", data, method="sgd", batch_size=5, epochs=2, x0=first)
    assert second.nfev >= first.nfev + 2 * math.ceil(N / 5)


def test_going_on_with_a_schedule_that_ends_with_the_run() -> None:
    """The run has become longer, so there is something left of the cosine."""
    data = make_data(st.losses.get("log_loss"), "float64")
    schedule = st.schedules.Cosine(0.2)
    first = st.minimize("log_loss", data, method="sgd", batch_size=5, step_size=schedule, epochs=3)
    second = st.minimize("log_loss", data, method="sgd", batch_size=5, step_size=schedule, epochs=2, x0=first)
    assert second.epochs == 5
    assert (second.history.step_size > 0).all()
    assert (np.diff(second.history.step_size) < 0).all()


def test_going_on_from_automatic_steps_loses_nothing() -> None:
    data = make_data(st.losses.get("log_loss"), "float64")
    first = st.minimize("log_loss", data, penalty=st.L2(0.01), step_size="auto", method="gd", epochs=10)
    second = st.minimize("log_loss", data, penalty=st.L2(0.01), step_size="auto", method="gd", epochs=10, x0=first)
    assert second.fun <= first.fun
    assert second.epochs == 20


def chi_square(counts: Counter[bytes], cells: int) -> float:
    total = sum(counts.values())
    missing = cells - len(counts)
    expected = total / cells
    return sum((count - expected) ** 2 / expected for count in counts.values()) + missing * expected


@pytest.mark.parametrize(("n", "limit"), [(1, 1e-9), (2, 15.2), (3, 25.8), (4, 58.2), (5, 186.0)])
@pytest.mark.parametrize("along", ["epochs", "seeds", "both"])
def test_full_is_uniform_over_all_orders(n: int, limit: float, along: str) -> None:
    """Chi-square with n! - 1 degrees of freedom, below its 0.9999 quantile."""
    draws = 12_000
    counts: Counter[bytes] = Counter()
    for i in range(draws):
        seed, epoch = {"epochs": (12345, i), "seeds": (i, 0), "both": (i % 110, i // 110)}[along]
        counts[st._core.full_order(n, seed, epoch).tobytes()] += 1
    assert len(counts) == math.factorial(n)
    assert chi_square(counts, math.factorial(n)) < limit


@pytest.mark.parametrize("n", [2, 7, 1000, 32767, 32768, 32769, 65537, 200_003])
def test_full_is_a_permutation(n: int) -> None:
    found = [st._core.full_order(n, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0), (2**64 - 1, 5))]
    for order in found:
        assert order.dtype == np.uint32
        assert np.array_equal(np.sort(order), np.arange(n))
    if n > 2:
        assert len({order.tobytes() for order in found}) > 1
    if n > 100:
        assert len({order.tobytes() for order in found}) == 4


def test_full_of_many_rows_mixes_them_all() -> None:
    """Beyond 32768 rows the shuffle goes through buckets: every row must still be able to land anywhere."""
    n, cells, draws = 70_000, 20, 60
    table = np.zeros((cells, cells))
    neighbours = 0
    for epoch in range(draws):
        order = st._core.full_order(n, 9, epoch).astype(np.int64)
        np.add.at(table, (np.arange(n) * cells // n, order * cells // n), 1)
        neighbours += int((np.abs(np.diff(order)) == 1).sum())
    expected = draws * n / cells**2
    statistic = ((table - expected) ** 2 / expected).sum()
    # (20 - 1)^2 degrees of freedom, a little less spread because rows are drawn without replacement.
    assert 260 < statistic < 475
    assert 2 * draws * 0.6 < neighbours < 2 * draws * 1.4


# (n, seed, epoch): the first rows, and the checksum of all.
GOLDEN: dict[tuple[int, int, int], tuple[list[int], int]] = {
    (1, 0, 0): ([0], 0x2144DF1C),
    (5, 0, 0): ([3, 2, 4, 1, 0], 0xE870C8C5),
    (5, 0, 1): ([2, 3, 4, 0, 1], 0x576905E9),
    (12, 1, 0): ([5, 2, 0, 11, 10, 1, 8, 9], 0x754A4F60),
    (12, 1, 7): ([1, 7, 5, 9, 10, 2, 8, 3], 0x45261145),
    (12, 18446744073709551615, 2147483648): ([3, 2, 6, 1, 7, 11, 10, 5], 0x2BDEB68F),
    (1000, 42, 3): ([103, 952, 980, 39, 459, 403, 874, 333], 0x73B2F760),
    (32768, 42, 0): ([23451, 3125, 8418, 18451, 26240, 207, 12688, 31783], 0x1EDB527E),
    (32769, 42, 0): ([15998, 24561, 729, 32263, 15610, 26354, 16954, 22461], 0x1FF1E6AA),
    (1000003, 42, 1): ([356769, 765256, 333022, 797095, 3086, 93321, 540076, 830046], 0x12FF2BE6),
}


@pytest.mark.parametrize("key", GOLDEN)
def test_full_is_stable_across_versions(key: tuple[int, int, int]) -> None:
    """Results that people published with a seed must come again: these numbers never change."""
    first, checksum = GOLDEN[key]
    order = st._core.full_order(*key)
    assert order[:8].tolist() == first
    assert zlib.crc32(order.astype("<u4").tobytes()) == checksum


def seen_rows(n: int, epochs: int, **options: Any) -> Array:
    """Return the rows as visited, epoch by epoch, through a loss that writes them down."""
    seen: list[float] = []

    def slope(theta: float, batch: Array) -> float:
        seen.extend(batch)
        return 0.0

    st.minimize(
        (lambda theta, batch: 1.0, slope),
        np.arange(n, dtype=float),
        x0=0.0,
        method="sgd",
        batch_size=4,
        epochs=epochs,
        step_size=1.0,
        **options,
    )
    return np.array(seen[: n * epochs], dtype=int).reshape(epochs, n)


def test_orders_by_name() -> None:
    n, epochs = 30, 5
    found = {str(shuffle): seen_rows(n, epochs, shuffle=shuffle, seed=6) for shuffle in (True, "full", "once", False)}
    for rows in found.values():
        assert np.array_equal(np.sort(rows, axis=1), np.tile(np.arange(n), (epochs, 1)))
    assert np.array_equal(found["False"], np.tile(np.arange(n), (epochs, 1)))
    assert len({row.tobytes() for row in found["True"]}) == epochs
    assert np.array_equal(found["full"], [st._core.full_order(n, 6, epoch) for epoch in range(epochs)])
    assert len({row.tobytes() for row in found["full"]}) == epochs
    assert np.array_equal(found["once"], np.tile(found["full"][0], (epochs, 1)))


def test_an_order_is_asked_once_an_epoch() -> None:
    asked: list[Any] = []

    def order(epoch: Any) -> Array:
        asked.append(epoch)
        return np.roll(np.arange(10), epoch)

    found = seen_rows(10, 4, shuffle=order)
    assert asked == [0, 1, 2, 3]
    assert all(isinstance(epoch, int) for epoch in asked)
    assert np.array_equal(found, [np.roll(np.arange(10), epoch) for epoch in range(4)])
