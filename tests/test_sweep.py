"""The sweep over batch sizes, step sizes and methods: what it measures, advises, and does when something goes wrong."""

import json
import math
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import steepest as st
from steepest import _sweep, reference
from steepest._commands import METHODS

Array = NDArray[Any]
KEYS = {
    *("batch_size", "step_size", "method", "rows_per_second", "seconds", "objective", "time_to_target"),
    *("noise_scale", "diverged", "epochs", "curve"),
}
P5 = np.array([12.1, 12.8, 14.9, 16.3, 17.2])
PAIR: Any = (reference.mse, reference.grad_mse)


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rows(n: int = 1000, d: int = 5, seed: int = 0, dtype: Any = np.float64) -> tuple[Array, Array]:
    X, y = st.data.logistic(n, d, seed=seed, dtype=dtype)
    assert 0.2 < (y > 0).mean() < 0.8
    return X, y


def column(result: Any, key: str) -> list[Any]:
    return [row[key] for row in result.table]


def test_d7_batch_sizes_are_powers_of_two() -> None:
    for n in (1, 2, 5, 31, 32, 63, 64, 100, 1000, 5000):
        result = st.sweep("mse", np.linspace(0, 1, n), epochs=1, seed=0)
        sizes = column(result, "batch_size")
        assert all(size & (size - 1) == 0 for size in sizes)
        assert max(sizes) == min(4096, 1 << (n.bit_length() - 1))
        assert all(larger == 2 * smaller for smaller, larger in pairwise(sizes))
        assert min(sizes) == (32 if n >= 64 else 1)


@pytest.mark.parametrize("loss", ["log_loss", "huber", "hinge"])
def test_what_the_table_means(loss: str) -> None:
    data = rows()
    sizes = [32, 128, 1000]
    result = st.sweep(loss, data, batch_sizes=sizes, epochs=3, halving=False, seed=4)
    assert column(result, "batch_size") == sizes
    assert result.success
    assert result.status is st.Status.ran_all_epochs
    assert (result.rows, result.seed) == (1000, 4)
    assert result.start == pytest.approx(st.Objective(loss, data).value(np.zeros(5)), rel=1e-12)
    for row in result.table:
        assert row.keys() == KEYS
        assert row["step_size"] is None
        assert (row["method"], row["diverged"], row["epochs"]) == ("sgd", False, 3)
        alone = st.minimize(loss, data, method="sgd", batch_size=row["batch_size"], epochs=3, seed=4)
        assert row["objective"] == pytest.approx(alone.fun, rel=1e-12)
        curve = row["curve"]
        assert curve["epochs"] == [0, 1, 2, 3]
        assert curve["seconds"][0] == 0
        assert (np.diff(curve["seconds"]) > 0).all()
        assert curve["seconds"][-1] == row["seconds"] > 0
        assert curve["objective"][0] == result.start
        assert curve["objective"][-1] == row["objective"] < result.start
        first = st.minimize(loss, data, method="sgd", batch_size=row["batch_size"], epochs=1, seed=4)
        if st.losses.get(loss).smooth:
            assert curve["objective"][1] == pytest.approx(first.fun, rel=1e-12)
        assert row["rows_per_second"] >= 1000 * 3 / row["seconds"] * (1 - 1e-9)
        assert row["noise_scale"] > 0
    assert len(set(column(result, "objective"))) == 3


def test_the_default_target_is_close_to_the_lowest() -> None:
    result = st.sweep("log_loss", rows(), batch_sizes=[16, 64, 1000], epochs=4, seed=0)
    lowest = min(min(row["curve"]["objective"]) for row in result.table)
    assert result.target == pytest.approx(lowest + 0.01 * (result.start - lowest))
    assert result.best is next(row for row in result.table if row is result.best)
    arrived = [row["time_to_target"] for row in result.table if row["time_to_target"] is not None]
    assert result.best["time_to_target"] == min(arrived) > 0
    for row in result.table:
        below = [objective <= result.target for objective in row["curve"]["objective"]]
        assert any(below) == (row["time_to_target"] is not None)
        if any(below):
            end = below.index(True)
            assert row["curve"]["seconds"][end - 1] < row["time_to_target"] <= row["curve"]["seconds"][end]
    assert result.advice.count(f"Batch size {result.best['batch_size']:,}") == 1
    assert "noise scale" in result.advice
    assert result.advice.endswith(".")


def test_a_target_is_timed_and_ends_a_candidate() -> None:
    data = rows()
    target = 0.5
    result = st.sweep("log_loss", data, batch_sizes=[32, 1000], epochs=64, target=target, halving=False, seed=0)
    assert result.target == target
    for row in result.table:
        assert row["objective"] <= target
        assert row["time_to_target"] <= row["seconds"]
        assert row["epochs"] < 64
    assert "0.5" in result.advice
    given = st.sweep("log_loss", data, batch_sizes=[32], epochs=1, target=10.0, seed=0)
    assert column(given, "time_to_target") == [0.0]


@pytest.mark.parametrize("target", [0.0, -3, 1e-9])
def test_a_target_that_is_never_reached(target: float) -> None:
    result = st.sweep("log_loss", rows(), batch_sizes=[32, 64], epochs=2, target=target, seed=0)
    assert column(result, "time_to_target") == [None, None]
    assert result.best["objective"] == min(column(result, "objective"))
    assert "the target was never reached" in result.advice
    assert result.success


def pictures(n: int = 2000, d: int = 400) -> tuple[Array, Array]:
    """Generate rows of numbers from 0 to 255 with two overlapping classes, a bias column last."""
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, n)
    prototypes = rng.uniform(110, 140, size=(2, d))
    X = np.clip(prototypes[labels] + rng.normal(scale=60, size=(n, d)), 0, 255)
    return np.column_stack([X, np.ones(n)]), labels


@pytest.mark.parametrize("methods", [None, ["gd"]])
def test_d5_fall_and_explosion(methods: Any) -> None:
    X, labels = pictures()
    start = 1e-4 * np.random.default_rng(0).normal(size=401)
    steps = 10.0 ** np.arange(-10, 0)
    sizes = None if methods else [2000]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = st.sweep(
            "hinge", (X, labels), x0=start, step_sizes=steps, batch_sizes=sizes, methods=methods, epochs=1, seed=0
        )
    assert column(result, "step_size") == steps.tolist()
    assert column(result, "batch_size") == [2000] * 10
    ends = np.array(column(result, "objective"))
    gradient = st.Objective("hinge", (X, labels)).gradient(start)
    expected = [st.Objective("hinge", (X, labels)).value(start - step * gradient) for step in steps]
    np.testing.assert_allclose(ends, expected, rtol=1e-9)
    best = int(ends.argmin())
    assert 4 <= best <= 7
    assert (np.diff([result.start, *ends[: best + 1]]) < 0).all()
    assert (np.diff(ends[best:]) > 0).all()
    np.testing.assert_allclose(ends[-2:] / ends[-3:-1], 10, rtol=0.03)
    diverged = column(result, "diverged")
    assert diverged == (ends > 10 * result.start).tolist()
    assert sum(diverged) >= 3
    assert result.best is result.table[best]
    assert f"{sum(diverged)} of 10 candidates diverged" in result.advice
    assert "diverged" in str(result)


@pytest.mark.parametrize("loss", [*st.losses.available(), PAIR])
def test_divergence_never_raises(loss: Any) -> None:
    X, y = rows(200)
    if isinstance(loss, str):
        member = st.losses.get(loss)
        y = y if member.target in ("binary", "labels") else np.exp(X[:, 0])
        y = np.stack([y, y[::-1]], axis=1) if member.kind == "scores" and member.target != "labels" else y
    data, x0 = (X * 30, y) if isinstance(loss, str) else y, None if isinstance(loss, str) else 0.5
    steps = [1e-6, 1e30, 1e160, 1e300, None]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = st.sweep(loss, data, x0=x0, batch_sizes=[16, 200], step_sizes=steps, epochs=4, seed=0)
    assert len(result.table) == 10
    assert not any(row["diverged"] for row in result.table if row["step_size"] == 1e-6)
    lost = [row for row in result.table if row["diverged"]]
    assert all(row["objective"] > result.start and row["noise_scale"] is None for row in lost)
    assert not result.best["diverged"]
    assert math.isfinite(result.best["objective"])
    if loss in ("mse", "squared_error", "exponential"):
        assert {row["step_size"] for row in lost} >= {1e30, 1e160, 1e300}
    result.to_json("out.json")
    assert len(json.loads(Path("out.json").read_text())["table"]) == 10


def test_python_numbers_that_overflow_are_a_divergence() -> None:
    def value(w: float, batch: Array) -> float:
        return float(w) ** 4 + 1.0

    def slope(w: float, batch: Array) -> float:
        return 4 * float(w) ** 3

    with pytest.raises(OverflowError):
        value(1e200, P5)
    result = st.sweep((value, slope), P5, x0=1.0, step_sizes=[0.01, 1e40], batch_sizes=[5], epochs=6, seed=0)
    assert column(result, "diverged") == [False, True]
    everything = st.sweep((value, slope), P5, x0=1.0, step_sizes=[1e40], batch_sizes=[5], epochs=6, seed=0)
    assert "Every candidate diverged" in everything.advice
    assert everything.best is everything.table[0]


def brute_force(loss: str, data: Any, x: Array, penalty: Any, weight: Any, intercept: bool) -> float:
    X, y = data
    X = np.column_stack([X, np.ones(len(X))]) if intercept else X
    weight = np.ones(len(y)) if weight is None else weight / weight.mean()
    single = weight[:, None] * st.losses.get(loss).gradient(y, X @ x)[:, None] * X
    whole = single.mean(axis=0)
    if penalty is not None:
        whole[: data[0].shape[1]] += penalty.smooth_gradient(x[: data[0].shape[1]])
    return float(np.trace(np.cov(single.T, ddof=0)) / (whole @ whole))


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalty", [None, st.L2(0.3)])
@pytest.mark.parametrize("loss", ["log_loss", "squared_hinge"])
def test_noise_scale_is_the_brute_force(loss: str, penalty: Any, weighted: bool, intercept: bool) -> None:
    data = rows(500, 4, seed=3)
    weight = np.random.default_rng(1).uniform(0.1, 3, 500) if weighted else None
    options: dict[str, Any] = {"penalty": penalty, "sample_weight": weight, "fit_intercept": intercept}
    result = st.sweep(loss, data, batch_sizes=[50, 500], epochs=2, seed=1, **options)
    at_zero = brute_force(loss, data, np.zeros(4 + intercept), penalty, weight, intercept)
    assert result.noise_scale_at_start == pytest.approx(at_zero, rel=1e-9)
    for row in result.table:
        end = st.minimize(loss, data, method="sgd", batch_size=row["batch_size"], epochs=2, seed=1, **options)
        expected = brute_force(loss, data, end.x, penalty, weight, intercept)
        assert row["noise_scale"] == pytest.approx(expected, rel=1e-6)
    assert len(set(column(result, "noise_scale"))) == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_scale_of_many_rows_is_estimated_from_some(dtype: Any) -> None:
    data = rows(20_000, 6, dtype=dtype)
    for seed in range(3):
        result = st.sweep("log_loss", data, batch_sizes=[4096], epochs=1, seed=seed)
        exact = brute_force("log_loss", (data[0].astype(float), data[1]), np.zeros(6), None, None, False)
        assert result.noise_scale_at_start == pytest.approx(exact, rel=0.15)


def test_b5_the_noise_scale_foretells_the_noise_of_a_batch() -> None:
    """The variance of a batch's gradient over the squared full gradient is the noise scale over the batch size."""
    X, y = rows(400, 3, seed=5)
    objective = st.Objective("log_loss", (X, y))
    scale = st.sweep("log_loss", (X, y), batch_sizes=[400], epochs=1, seed=0).noise_scale_at_start
    whole = objective.gradient(np.zeros(3))
    draw = np.random.default_rng(0)
    for size in (4, 32):
        off = []
        for _ in range(2000):
            index = draw.choice(400, size, replace=False)
            batch = X[index] * st.losses.get("log_loss").gradient(y[index], np.zeros(size))[:, None]
            off.append(np.sum((batch.mean(axis=0) - whole) ** 2))
        without_replacement = (400 - size) / 399
        assert np.mean(off) / (whole @ whole) == pytest.approx(scale / size * without_replacement, rel=0.1)


def test_duplicates_have_no_noise_and_a_single_row_no_scale() -> None:
    result = st.sweep("mse", np.full(64, 3.0), batch_sizes=[8], epochs=1, seed=0)
    assert result.noise_scale_at_start == 0
    assert st.sweep("mse", [3.0], seed=0).noise_scale_at_start is None


def test_callables() -> None:
    here = st.sweep(PAIR, P5, x0=0.0, batch_sizes=[1, 5], step_sizes=[0.1, 0.2], epochs=4, halving=False, seed=0)
    core = st.sweep("mse", P5, x0=0.0, batch_sizes=[1, 5], step_sizes=[0.1, 0.2], epochs=4, halving=False, seed=0)
    assert column(here, "objective") == pytest.approx(column(core, "objective"), rel=1e-9)
    assert column(here, "noise_scale") == pytest.approx(column(core, "noise_scale"), rel=1e-6)
    assert here.noise_scale_at_start == pytest.approx(core.noise_scale_at_start, rel=1e-9)


def test_callables_that_need_whole_batches_have_no_noise_scale() -> None:
    def slope(theta: float, batch: Array) -> float:
        if len(batch) < 2:
            raise ValueError("more rows are needed")
        return reference.grad_mse(theta, batch)

    result = st.sweep((reference.mse, slope), P5, batch_sizes=[5], step_sizes=[0.1, None], epochs=4, seed=0)
    assert result.noise_scale_at_start is None
    assert column(result, "noise_scale") == [None, None]
    assert all(row["objective"] < result.start for row in result.table)
    assert "noise scale" not in result.advice


@pytest.mark.parametrize("x0", [None, 9.0])
def test_steps_found_on_the_way_begin_anew(x0: Any) -> None:
    """A run of so many epochs: not one that lost on the way what its steps rest on."""
    for loss, size in (("exponential", 50), ("exponential", 5), ("absolute_error", 50), (PAIR, 50)):
        y = np.sin(np.arange(1.0, 51.0))
        data = (y[:, None], np.sign(y)) if loss == "exponential" else y
        begin = None if x0 is None else [0.5] if loss == "exponential" else x0
        result = st.sweep(loss, data, x0=begin, batch_sizes=[size], epochs=6, seed=3)
        alone = st.minimize(loss, data, x0=begin, batch_size=size, method="sgd", epochs=6, seed=3)
        assert result.table[0]["objective"] == pytest.approx(alone.fun, rel=1e-12)
        assert result.table[0]["epochs"] == 6
    cosine = st.schedules.get("cosine", step_size=0.3)
    result = st.sweep("mse", P5, step_sizes=[cosine], batch_sizes=[1], epochs=5, seed=0)
    alone = st.minimize("mse", P5, step_size=cosine, batch_size=1, method="sgd", epochs=5, seed=0)
    assert column(result, "objective") == [alone.fun]


@pytest.mark.parametrize("order", [True, False, "full", "once"])
def test_halving_drops_the_worst(order: Any) -> None:
    data = rows(512)
    steps = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    options: dict[str, Any] = {"batch_sizes": [32], "step_sizes": steps, "epochs": 8, "seed": 0, "shuffle": order}
    halved, full = st.sweep("log_loss", data, **options), st.sweep("log_loss", data, halving=False, **options)
    assert column(halved, "epochs") == [1, 1, 1, 2, 8, 8]
    assert column(full, "epochs") == [8] * 6
    for some, whole in zip(halved.table, full.table, strict=True):
        assert some["curve"]["objective"] == whole["curve"]["objective"][: some["epochs"] + 1]
    assert halved.best["step_size"] == 0.1


def test_fast_candidates_stay_though_equal_epochs_do_them_no_justice() -> None:
    """A batch of one row is ahead after an epoch, and far behind after a second."""
    problem = _sweep._Problem("mse", P5, None, None, None, False, True, 0, 1)

    def candidate(size: int, seconds: float, objective: float) -> Any:
        made = problem.candidate(size, 0.1, "sgd")
        made.spent, made.objectives = [seconds], [objective]
        return made

    slow = [candidate(size, 10.0, 1.0 + size / 10) for size in (1, 2)]
    fast, no_faster = candidate(4, 1.0, 3.0), candidate(5, 9.0, 2.0)
    run = _sweep._Run(problem, [*slow, fast, no_faster], None, 8, math.inf, "")
    assert run._better_half([*slow, fast, no_faster]) == [*slow, fast]
    fast.spent, no_faster.spent, slow[0].spent, slow[1].spent = [1e-6], [9e-6], [1e-5], [1e-5]
    assert run._better_half([*slow, fast, no_faster]) == slow


def test_a_seed_decides_the_objectives() -> None:
    tables = [st.sweep("log_loss", rows(), seed=seed, n_threads=threads) for seed, threads in ((5, 1), (5, 2), (6, 1))]
    objectives = [[row["curve"]["objective"] for row in result.table] for result in tables]
    assert objectives[0] == objectives[1] != objectives[2]
    assert st.sweep("mse", P5).seed != st.sweep("mse", P5).seed


@pytest.mark.parametrize("method", [*METHODS, *(st.optim.get(name) for name in st.optim.available())])
def test_every_method_can_be_swept(method: Any) -> None:
    data = rows(256)
    result = st.sweep("log_loss", data, methods=[method], batch_sizes=[32, 64], step_sizes=[0.01], epochs=1, seed=0)
    assert column(result, "method") == [method] * (1 if method == "gd" else 2)
    for row in result.table:
        alone = st.minimize(
            "log_loss", data, method=method, batch_size=row["batch_size"], step_size=0.01, epochs=1, seed=0
        )
        assert row["objective"] == alone.fun
    assert column(st.sweep("mse", P5, methods=["GD", "sgd"], epochs=1, seed=0), "method") == ["gd", "sgd", "sgd", "sgd"]


def test_sizes_beyond_the_data_mean_all_rows_once() -> None:
    result = st.sweep("mse", P5, batch_sizes=[2, 5, 2, 6, 1_000_000], epochs=1, seed=0)
    assert column(result, "batch_size") == [2, 5]
    assert "6, 1,000,000 are more than the 5 rows and mean all of them" in result.message
    assert "is more than" in st.sweep("mse", P5, batch_sizes=[9], epochs=1).message
    assert "twice" in st.sweep("mse", P5, batch_sizes=[2, 2], epochs=1).message
    assert st.sweep("mse", P5, batch_sizes=iter(np.array([2, 3])), epochs=1).message == "Measured 2 candidates."


def never(*arguments: Any) -> float:
    raise AssertionError("work was done before the arguments were checked")


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"batch_sizes": []}, ValueError, "batch_sizes is empty"),
        ({"step_sizes": []}, ValueError, "step_sizes is empty"),
        ({"methods": ()}, ValueError, "methods is empty"),
        ({"batch_sizes": 32}, TypeError, "batch_sizes must be a list, not 32"),
        ({"batch_sizes": "32"}, TypeError, "batch_sizes must be a list, not '32'"),
        ({"batch_sizes": np.array(32)}, TypeError, "batch_sizes must be a list"),
        ({"batch_sizes": [32, 0]}, ValueError, r"batch_sizes\[1\] must be at least 1, not 0"),
        ({"batch_sizes": [-1]}, ValueError, r"batch_sizes\[0\] must be at least 1"),
        ({"batch_sizes": [32.0]}, TypeError, r"batch_sizes\[0\] must be a whole number, not 32.0"),
        ({"batch_sizes": [None]}, TypeError, r"batch_sizes\[0\] must be a whole number"),
        ({"step_sizes": 0.1}, TypeError, "step_sizes must be a list"),
        ({"step_sizes": [0.1, -1.0]}, ValueError, r"step_sizes\[1\]: step_size must be positive"),
        ({"step_sizes": [math.nan]}, ValueError, r"step_sizes\[0\]: step_size must be positive and finite"),
        ({"step_sizes": ["fast"]}, ValueError, r"step_sizes\[0\]: step_size must be a number"),
        ({"step_sizes": [[1.0]]}, TypeError, r"step_sizes\[0\]"),
        ({"methods": "sgd"}, TypeError, "methods must be a list"),
        ({"methods": ["nope"]}, ValueError, "unknown method 'nope'; there are"),
        ({"methods": [None]}, TypeError, "not None"),
        ({"methods": [3]}, TypeError, "method must be a name or a rule"),
        ({"methods": [st.optim.SGD(lr=0.1)], "step_sizes": [0.1]}, ValueError, "given twice"),
        ({"epochs": 0}, ValueError, "epochs must be at least 1"),
        ({"epochs": None}, TypeError, "epochs must be a whole number"),
        ({"target": "low"}, TypeError, "target must be a number"),
        ({"target": math.nan}, ValueError, "target must be finite"),
        ({"budget": 0}, ValueError, "budget must be a positive number of seconds"),
        ({"budget": -1.0}, ValueError, "budget must be a positive"),
        ({"budget": "1 s"}, TypeError, "budget must be a number"),
        ({"halving": "yes"}, TypeError, "halving must be True or False"),
        ({"progress": "loud"}, ValueError, "progress must be"),
        ({"penalty": 3}, TypeError, "penalty must be"),
        ({"seed": -1}, ValueError, "seed must lie in"),
        ({"seed": "a"}, TypeError, "seed must be a whole number"),
        ({"n_threads": 0}, ValueError, "n_threads must be at least 1"),
        ({"shuffle": "random"}, ValueError, "shuffle must be"),
        ({"shuffle": [0, 0, 1, 2, 3]}, ValueError, "an order of rows"),
        ({"sample_weight": np.ones(5)}, ValueError, "sample_weight does not go with"),
        ({"fit_intercept": True}, ValueError, "fit_intercept does not go with"),
        ({"x0": math.nan}, ValueError, "x0 holds nan"),
    ],
)
def test_bad_arguments_are_named_before_any_work(options: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        st.sweep((never, never), P5, **options)


@pytest.mark.parametrize(
    ("loss", "data", "kind", "message"),
    [
        ("nope", P5, ValueError, "unknown loss 'nope'"),
        (reference.mse, P5, TypeError, "loss must be a name, a loss object or a pair"),
        (3, P5, TypeError, "loss must be"),
        ("mse", [], ValueError, "y is empty"),
        ("mse", [1.0, math.nan], ValueError, "y holds NaN, first in row 1"),
        ("mse", ([[1.0], [math.inf]], [1.0, 2.0]), ValueError, "X holds an infinity, first in row 1"),
        ("log_loss", ([[1.0], [2.0]], [1, 1]), ValueError, "two classes"),
        ("mse", ([[1e200]], [1e200]), ValueError, "objective at the start is inf"),
    ],
)
def test_bad_data(loss: Any, data: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        st.sweep(loss, data)


def test_errors_of_callables_come_out() -> None:
    def broken(theta: float, batch: Array) -> float:
        raise RuntimeError("out of paper")

    with pytest.raises(RuntimeError, match="out of paper"):
        st.sweep((reference.mse, broken), P5, batch_sizes=[5])


def test_copies_are_told_once() -> None:
    X = np.ones((200_000, 2), np.int64)
    X[:, 1] = np.arange(200_000) % 7
    with pytest.warns(st.DataCopyWarning) as caught:
        st.sweep("mse", (X, X[:, 1] * 2.0), batch_sizes=[4096, 200_000], epochs=2)
    assert len(caught) == 1


def test_labels_and_their_spelling_do_not_matter() -> None:
    X, y = rows(200)
    named = st.sweep("log_loss", (X, np.where(y > 0, "yes", "no")), batch_sizes=[16], epochs=2, seed=0)
    assert column(named, "objective") == column(
        st.sweep("log_loss", (X, y), batch_sizes=[16], epochs=2, seed=0), "objective"
    )


@pytest.mark.parametrize("at", [1, 30, 200, 700])
def test_interruption_keeps_what_was_measured(at: int) -> None:
    calls = 0

    def slope(theta: float, batch: Array) -> float:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt
        return reference.grad_mse(theta, batch)

    with pytest.raises(st.Interrupted) as caught:
        st.sweep((reference.mse, slope), P5, x0=0.0, batch_sizes=[1, 2, 5], step_sizes=[0.01, 0.02], epochs=64, seed=0)
    result: Any = caught.value.result
    assert result.status is st.Status.interrupted
    assert not result.success
    assert result.message.startswith(f"Interrupted: {len(result.table)} of 6 candidates")
    assert calls == at
    if at == 1:
        assert (result.table, result.best) == ([], None)
        assert result.advice == "Nothing was measured, so there is no advice."
        with pytest.raises(ValueError, match="no candidate was measured"):
            result.plot()
    if at >= 200:
        assert len(result.table) == 6
        assert result.best["objective"] < result.start
    for row in result.table:
        assert len(row["curve"]["objective"]) == len(row["curve"]["seconds"]) == row["epochs"] + 1 > 1
    assert isinstance(str(result), str)


def test_a_budget_that_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 1.0
        return now

    monkeypatch.setattr(_sweep.time, "perf_counter", clock)
    counts = []
    for budget in (0.5, 20, 1e9):
        now = 0.0
        result = st.sweep("log_loss", rows(), budget=budget, batch_sizes=[32, 64, 128, 256], epochs=4, seed=0)
        counts.append(len(result.table))
        assert all(row["epochs"] >= 1 for row in result.table)
        ran_out = budget < 1e9
        assert ran_out == ("ran out" in result.message) == (not result.success)
        assert result.status is (st.Status.stopped if ran_out else st.Status.ran_all_epochs)
        if ran_out:
            assert f"budget of {budget:g} s ran out: {counts[-1]} of 4 candidates" in result.message
    assert counts[0] == 1 < counts[1] <= counts[2] == 4


@st.loss
def softplus_of_margin(w: Any, x: Any, y: Any) -> Any:
    return st.softplus(-y * (x @ w))


@st.loss
def nested(p: Any, x: Any, y: Any) -> Any:
    return (x @ p["w"] + p["b"] - y) ** 2


@st.loss(whole_batch=True)
def spread(w: Any, x: Any, y: Any) -> Any:
    off = x @ w - y
    return st.mean((off - st.mean(off)) ** 2)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_traced_loss_is_swept_as_its_built_in_twin(weighted: bool) -> None:
    X, y = rows(400)
    weight = np.random.default_rng(1).uniform(0.5, 2, size=400) if weighted else None
    options: Any = {"batch_sizes": [32, 400], "step_sizes": [0.1, 0.5], "epochs": 2, "halving": False, "seed": 3}
    options |= {"penalty": st.L2(0.01), "sample_weight": weight}
    traced = st.sweep(softplus_of_margin, (X, y), **options)
    twin = st.sweep("log_loss", (X, y), **options)
    assert len(set(column(traced, "objective"))) == 4
    np.testing.assert_allclose(column(traced, "objective"), column(twin, "objective"), rtol=1e-10)
    # The traced loss looks at fewer rows for the noise of a gradient.
    np.testing.assert_allclose(column(traced, "noise_scale"), column(twin, "noise_scale"), rtol=0.3)
    np.testing.assert_allclose(traced.noise_scale_at_start, twin.noise_scale_at_start, rtol=0.3)


def test_traced_losses_with_nested_parameters_and_of_whole_batches() -> None:
    X, y = rows(300, 3)
    start = {"w": np.zeros(3), "b": 0.5}
    result = st.sweep(nested, (X, y), x0=start, batch_sizes=[32, 300], epochs=2, seed=0)
    assert result.success
    assert result.start == pytest.approx(((0.5 - y) ** 2).mean())
    assert all(scale > 0 for scale in column(result, "noise_scale"))
    mixing = st.sweep(spread, (X, y), batch_sizes=[32, 300], step_sizes=[0.1], epochs=2, seed=0)
    assert column(mixing, "noise_scale") == [None, None]
    assert max(column(mixing, "objective")) < mixing.start
