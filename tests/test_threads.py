"""How many threads are used when nobody says, and that it changes nothing but time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
import threadpoolctl

import steepest as st
from steepest import _threads


def the_same_for(threads: tuple[int, ...], loss: str, data: Any, **options: Any) -> st.Result:
    """Descend with each of these numbers of threads; what they find is the same to the last bit."""
    options = {"method": "sgd", **options}
    first, *others = (st.minimize(loss, data, n_threads=count, **options) for count in threads)
    for other in others:
        assert np.array_equal(first.x, other.x)
        assert first.fun == other.fun
        assert np.array_equal(first.history.running_objective, other.history.running_objective)
    return first


def test_all_cores_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delitem(sys.modules, "threadpoolctl")
    assert _threads.default_threads() == _threads.available_cores() >= 1


@pytest.mark.parametrize(("said", "limit"), [("1", 1), ("1,4", 1), ("100000", 100000), ("", 100000), ("no", 100000)])
def test_the_environment_may_say_less(said: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "threadpoolctl")
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert _threads.default_threads() == min(limit, _threads.available_cores())


def test_threadpoolctl_may_say_less() -> None:
    with threadpoolctl.threadpool_limits(1):
        assert _threads.default_threads() == 1


@pytest.mark.parametrize("batch_size", [7, 32, 300, 700, 5000, 40_000])
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
@pytest.mark.parametrize("shuffle", ["stream", "full", False])
def test_the_bits_do_not_depend_on_threads(batch_size: int, layout: str, shuffle: str | bool) -> None:
    X, y = st.data.logistic(40_000, 60, seed=1)
    assert X.nbytes > 8 << 20, "the streaming order shuffles less fully"
    if layout != "C":
        X = np.asfortranarray(X) if layout == "F" else np.repeat(X, 2, axis=1)[:, ::2]
    found = the_same_for(
        (1, 2, 3, 8),
        "log_loss",
        (X, y),
        batch_size=batch_size,
        epochs=2,
        shuffle=shuffle,
        seed=3,
        fit_intercept=batch_size % 2 == 0,
        penalty=st.ElasticNet(1e-4) if layout == "C" else None,
    )
    assert np.ptp(found.x) > 0.1


@pytest.mark.parametrize("features", [8, 28, 120])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("penalty", [None, st.L2(0.37), st.L1(0.0123), st.ElasticNet(0.17, 0.43)], ids=str)
def test_rows_that_fit_registers_have_the_same_bits_however_they_are_shared(
    penalty: Any, dtype: Any, features: int
) -> None:
    """Ever so many batches, so that a team and one thread both sum some of them; the objectives' last bits, too."""
    X, y = st.data.logistic(50_000, features, seed=2)
    X, y = X.astype(dtype), y.astype(dtype)
    for batch_size in (700, 1500, 2048):
        found = the_same_for(
            (1, 2, 3),
            "log_loss",
            (X, y),
            step_size=0.05,
            batch_size=batch_size,
            epochs=20,
            shuffle=False,
            penalty=penalty,
            fit_intercept=True,
        )
        assert np.ptp(found.history.running_objective) > 0


@pytest.mark.parametrize("shuffle", ["stream", "full", False])
@pytest.mark.parametrize("features", [100, 200, 300, 784])
def test_small_batches_have_the_same_bits_whoever_goes_in_step(features: int, shuffle: str | bool) -> None:
    """Batches of two shares and of more, and a rest; enough rows that a team and one thread both sum some of them."""
    X, y = st.data.logistic(9_000_000 // features, features, seed=4)
    X, y = X.astype(np.float32), y.astype(np.float32)
    source = np.random.default_rng(features)
    weight = source.uniform(0.5, 2, len(y)).astype(np.float32)
    for batch_size, penalty, rows in (
        (32, None, None),
        (96, st.ElasticNet(0.002), None),
        (250, st.L2(0.2), slice(7, -5)),
    ):
        found = the_same_for(
            (1, 2, 3),
            "log_loss",
            (X, y),
            step_size=1 / features,
            batch_size=batch_size,
            epochs=2,
            shuffle=shuffle,
            seed=5,
            penalty=penalty,
            fit_intercept=True,
            sample_weight=weight,
            rows=rows,
        )
        assert np.ptp(found.x) > 1e-3


@pytest.mark.parametrize(
    "data",
    [
        "weights",
        "uint8",
        "constant",
        "float32",
        "rows",
        "slice",
        "few rows",
        "wide",
        "small batches",
        "large batches",
        "momentum",
    ],
)
def test_scattered_rows_are_the_same_whoever_fetches_them(data: str) -> None:
    """In step or packed ahead: ever so many batches, so that either is tried, and small ones that are always packed."""
    X, y = st.data.logistic(400_000 if data == "constant" else 60_000, 600 if data == "wide" else 28, seed=1)
    options: dict[str, Any] = {"batch_size": 16 if data == "small batches" else 48}
    if data == "weights":
        options["sample_weight"] = np.random.default_rng(0).uniform(0.5, 2, len(y))
    elif data == "uint8":
        X = np.clip(128 + 40 * X, 0, 255).astype(np.uint8)
        options["step_size"] = 1e-5
    elif data in ("float32", "wide"):
        X, y = X.astype(np.float32), y.astype(np.float32)
    elif data == "rows":
        options["rows"] = np.random.default_rng(0).permutation(len(y))[: len(y) // 2]
    elif data == "slice":
        options["rows"] = slice(1000, 50_000)
    elif data == "large batches":
        X, options["batch_size"] = X[:, :8].copy(), 2000
    elif data == "momentum":
        options["method"] = "momentum"
    elif data == "few rows":
        X, y = np.tile(X[:6000], (1, 4)), y[:6000]
    what = X[:, 0] if data == "constant" else (X, y)
    loss = "huber" if data == "constant" else "log_loss"
    found = the_same_for((1, 2, 3, 8), loss, what, epochs=3, shuffle="full", seed=2, **options)
    assert np.abs(found.x).max() > 1e-3


def test_an_epoch_given_up_in_the_middle_leaves_nobody_fetching() -> None:
    X, y = st.data.logistic(200_000, 28, seed=1)

    def fit(epochs: int, threads: int) -> st.Result:
        return st.minimize(
            "log_loss",
            (X, y),
            method="sgd",
            batch_size=32,
            epochs=epochs,
            shuffle="full",
            step_size=0.01,
            seed=0,
            n_threads=threads,
        )

    alone = fit(1, 1).x
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(st.Interrupted) as stopped:
        fit(10**6, 2)
    timer.join()
    assert np.isfinite(stopped.value.result.x).all()
    broken = X[123_456, 5]
    X[123_456, 5] = np.nan
    with pytest.raises(ValueError, match="row 123456, column 5"):
        st.minimize("mse", (X, y), method="sgd", batch_size=32, shuffle="full", n_threads=2, check_finite=False)
    X[123_456, 5] = broken
    assert np.array_equal(fit(1, 2).x, alone)


@pytest.mark.parametrize(("features", "batch_size"), [(784, 256), (784, 1000), (40, 4000)])
@pytest.mark.parametrize("shuffle", ["stream", False])
def test_the_bits_of_many_scores_do_not_depend_on_threads(features: int, batch_size: int, shuffle: str | bool) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3_200_000 // features, features), dtype=np.float32)
    y = np.argmax(X[:, :10], axis=1)
    found = the_same_for(
        (1, 2, 3),
        "softmax",
        (X, y),
        step_size=0.1,
        batch_size=batch_size,
        epochs=1,
        shuffle=shuffle,
        fit_intercept=True,
        seed=3,
    )
    assert np.ptp(found.x) > 0.1


def test_a_fork_after_a_fit_with_threads_can_fit() -> None:
    program = """
import os
import numpy as np
import steepest as st
X, y = st.data.logistic(100_000, 20, seed=0)
fit = lambda: st.minimize("log_loss", (X, y), method="gd", epochs=5, n_threads=2).x
before = fit()
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(fit(), before) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), np.array_equal(fit(), before))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert run.stdout.split() == ["0", "True"], run.stderr
