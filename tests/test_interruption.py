"""What happens around a run: Ctrl-C, other signals, other threads."""

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from numpy.typing import NDArray

import steepest as st
from steepest import reference

Array = NDArray[Any]

P5 = np.array([12.1, 12.8, 14.9, 16.3, 17.2])

# Ctrl-C comes from a thread of the same process, so both ends of the wait are on one clock.
INTERRUPTED = """
import os, signal, sys, threading, time, warnings
import numpy as np
import steepest as st

warnings.simplefilter("error")
def press():
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGINT)

{setup}
thread = threading.Thread(target=press)
thread.start()
try:
    result = {call}
except st.Interrupted as interrupted:
    result = interrupted.result
    assert isinstance(interrupted, KeyboardInterrupt)
    assert (result.status, result.success) == (st.Status.interrupted, False), result.message
    assert "nterrupted" in result.message
    assert np.isfinite(result.x).all()
    {check}
    print("as it should")
else:
    print(f"ended by itself: {{result.message}}")
thread.join()
"""
WIDE = """
n, d = 30_000_000, 2000
X = np.broadcast_to(np.linspace(-1, 1, d, dtype=np.float32), (n, d))  # 240 GB to the loop, 8 KB to the memory
y = np.ones(n, dtype=np.float32)
"""
LONG_RUNS = {
    "many epochs of mini-batches": (
        "X, y = st.data.logistic(50_000, 10, seed=0)",
        'st.minimize("log_loss", (X, y), method="sgd", batch_size=32, epochs=10**7, seed=0)',
        "assert result.epochs >= 1 and result.nit >= 1 and result.seed == 0; "
        "assert result.fun == result.history.running_objective[-1] < 0.6; "
        "further = st.minimize('log_loss', (X, y), method='sgd', batch_size=32, x0=result, epochs=1); "
        "assert further.epochs == result.epochs + 1 and further.nit > result.nit",
    ),
    "many epochs of few rows": (
        "y = [12.1, 12.8, 14.9, 16.3, 17.2]",
        'st.minimize("mse", y, method="gd", step_size=0.1, epochs=10**8, history=False)',
        "assert abs(result.x[0] - 14.66) < 1e-6",
    ),
    "one pass over all rows": (
        WIDE,
        'st.minimize("squared_error", (X, y), method="gd", step_size=1e-6, epochs=1, check_finite=False)',
        "assert result.epochs == 0",
    ),
    "one epoch of large batches": (
        WIDE,
        'st.minimize("squared_error", (X, y), method="sgd", batch_size=29_999_999, step_size=1e-6, epochs=1, '
        "shuffle=False, check_finite=False)",
        "assert result.epochs == 0",
    ),
    "Python callables": (
        "from steepest import reference",
        "st.minimize((reference.mse, reference.grad_mse), np.linspace(1, 2, 100), x0=0.0, method='sgd', batch_size=1, "
        "step_size=1e-3, epochs=10**7)",
        "assert result.epochs >= 1 and 1 < result.x[0] < 2",
    ),
    "a callback that sleeps": (
        "",
        'st.minimize("mse", [1.0, 2.0], method="gd", epochs=10**7, callback=lambda r: time.sleep(0.01))',
        "assert abs(result.x[0] - 1.5) < 1e-6",
    ),
}


@pytest.mark.parametrize("what", LONG_RUNS)
def test_ctrl_c_ends_a_long_run_with_a_result(what: str) -> None:
    setup, call, check = LONG_RUNS[what]
    program = INTERRUPTED.format(setup=setup, call=call, check=check)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (ended.stdout.strip(), ended.returncode) == ("as it should", 0), ended.stdout + ended.stderr


@pytest.mark.parametrize("outside", [False, True])
def test_keyboard_interrupt_in_a_callback(outside: bool) -> None:
    loss: Any = (reference.mse, reference.grad_mse) if outside else "mse"
    seen: list[Array] = []

    def callback(r: Any) -> None:
        seen.append(r.x)
        if r.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(st.Interrupted) as caught:
        st.minimize(loss, P5, x0=0.0, method="gd", step_size=0.2, epochs=50, callback=callback)
    result = caught.value.result
    assert np.array_equal(result.x, seen[-1])
    assert (result.epochs, result.nit, result.status) == (3, 3, st.Status.interrupted)
    assert result.fun == result.history.running_objective[-1]
    further = st.minimize(loss, P5, x0=result, method="gd", step_size=0.2, epochs=2)
    whole = st.minimize(loss, P5, x0=0.0, method="gd", step_size=0.2, epochs=5)
    assert np.array_equal(further.x, whole.x)


@pytest.mark.parametrize("at", [1, 2, 7, 11])
def test_keyboard_interrupt_in_a_loss(at: int) -> None:
    """Ten updates, each with a slope, then the objective of the result with the eleventh."""
    calls = 0

    def slope(theta: float, batch: Array) -> float:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt
        return reference.grad_mse(theta, batch)

    options: dict[str, Any] = {"method": "sgd", "batch_size": 1, "step_size": 0.1, "epochs": 2, "shuffle": False}
    with pytest.raises(st.Interrupted) as caught:
        st.minimize((reference.mse, slope), P5, x0=0.0, **options)
    result = caught.value.result
    theta = 0.0
    for row in [*P5, *P5][: at - 1]:
        theta -= 0.1 * reference.grad_mse(theta, np.array([row]))
    assert result.x[0] == pytest.approx(theta, rel=1e-14)
    assert (result.status, result.success) == (st.Status.interrupted, False)
    assert result.nit == at - 1
    assert result.epochs == (at - 1) // 5
    assert np.isfinite(result.fun) == (result.epochs > 0)
    assert not np.isfinite(result.jac).any(), "no gradient over all rows was computed at x"


def test_interrupted_is_caught_as_keyboard_interrupt() -> None:
    def callback(r: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="result"):
        st.minimize("mse", P5, method="gd", epochs=5, callback=callback)


@pytest.mark.parametrize("options", ["step_size=1e-6", "check_finite=False"])
def test_ctrl_c_ends_a_long_preparation(options: str) -> None:
    """The search for what is not finite, and the bound of the curvature: there is no result yet."""
    program = f"""
import os, signal, threading, time
import numpy as np
import steepest as st

def press():
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGINT)

{WIDE}
threading.Thread(target=press).start()
try:
    st.minimize("squared_error", (X, y), method="gd", epochs=1, {options})
except KeyboardInterrupt:
    print("as it should")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (ended.stdout.strip(), ended.returncode) == ("as it should", 0), ended.stdout + ended.stderr


class Alarm(Exception):
    """Raised by a handler of a signal."""


@pytest.mark.parametrize("outside", [False, True])
def test_a_signal_handlers_exception_reaches_the_caller(outside: bool) -> None:
    def ring(number: int, frame: Any) -> None:
        raise Alarm("ring")

    loss: Any = (reference.mse, reference.grad_mse) if outside else "mse"
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(Alarm, match="ring"):
            st.minimize(loss, P5, x0=0.0, method="gd", step_size=0.2, epochs=10**6 if outside else 10**8, history=False)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@st.loss
def two_layers(p: Any, x: Any, t: Any) -> Any:
    return (st.relu(st.relu(x @ p["a"]) @ p["b"]) @ p["c"] - t) ** 2


@pytest.mark.parametrize("problem", ["few inputs, wide layers", "few entries, many classes"])
def test_rows_that_cost_much_more_than_they_hold_are_no_excuse(problem: str) -> None:
    """Ctrl-C within an epoch of fewer rows than are gone through between two looks where rows are cheap."""

    def ring(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    source = np.random.default_rng(0)
    n = 16_000
    options: dict[str, Any] = {"method": "sgd", "step_size": 1e-3, "epochs": 1, "shuffle": False, "n_threads": 1}
    if problem == "few inputs, wide layers":
        shapes = {"a": (4, 768), "b": (768, 768), "c": (768,)}
        start = {name: (source.normal(size=shape) / 20).astype(np.float32) for name, shape in shapes.items()}
        X, y = source.normal(size=(n, 4)).astype(np.float32), source.normal(size=n).astype(np.float32)
        arguments: Any = (two_layers, (X, y))
        options |= {"x0": start, "batch_size": 64, "history": "running"}
    else:
        rows = scipy.sparse.random_array((n, 2000), density=2e-3, format="csr", rng=source)
        arguments = ("softmax", (rows, source.integers(0, 2000, n)))
        options |= {"batch_size": 1, "penalty": None}
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.4)
    try:
        with pytest.raises(st.Interrupted) as caught:
            st.minimize(*arguments, **options)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert caught.value.result.nit < n // options["batch_size"]


def test_a_signal_handler_that_returns_does_no_harm() -> None:
    rung: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: rung.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    X, y = st.data.logistic(20_000, 10, seed=0)
    try:
        result = st.minimize("log_loss", (X, y), method="sgd", batch_size=16, epochs=100, seed=0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert result.epochs == 100
    assert rung
    assert np.array_equal(result.x, st.minimize("log_loss", (X, y), method="sgd", batch_size=16, epochs=100, seed=0).x)


def test_other_threads_run_while_fitting() -> None:
    """Between two epochs that take their time, a thread that wakes every millisecond wakes many times."""
    X, y = st.data.logistic(1_000_000, 10, seed=0)
    moments: list[float] = []
    ticks: list[float] = []
    done = threading.Event()

    def tick() -> None:
        while not done.wait(0.001):
            ticks.append(time.perf_counter())

    def order(epoch: int) -> Array:
        moments.append(time.perf_counter())
        return np.arange(len(y))

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        st.minimize("log_loss", (X, y), method="sgd", batch_size=1, step_size=1e-3, epochs=5, shuffle=order)
    finally:
        done.set()
        thread.join()
    assert len(moments) == 5
    during = [sum(start < t < end for t in ticks) for start, end in pairwise(moments)]
    assert max(during) >= 5


def test_fits_from_several_threads_at_once() -> None:
    X, y = st.data.logistic(20_000, 20, seed=0)

    def fit(seed: int) -> bytes:
        result = st.minimize("log_loss", (X, y), method="sgd", batch_size=1 + 7 * seed, epochs=4, seed=seed)
        return bytes(result.x.tobytes())

    alone = [fit(seed) for seed in range(8)]
    assert len(set(alone)) == 8
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(fit, range(8))) == alone


def test_fits_with_callables_from_several_threads_at_once() -> None:
    def fit(seed: int) -> float:
        options: dict[str, Any] = {"method": "sgd", "batch_size": 2, "step_size": 0.1, "epochs": 50}
        return float(st.minimize((reference.mse, reference.grad_mse), P5, x0=0.0, seed=seed, **options).x[0])

    alone = [fit(seed) for seed in range(6)]
    assert len(set(alone)) == 6
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(fit, range(6))) == alone


def test_one_objective_from_several_threads_at_once() -> None:
    """It looks like a function of x; so it must be one for every thread."""
    rng = np.random.default_rng(0)
    X = np.asfortranarray(rng.normal(size=(30_000, 12)))[:, ::2]
    y = rng.normal(size=30_000)
    objective = st.Objective("huber", (X, y))
    points = rng.normal(size=(24, 6))
    alone = [objective.value_and_gradient(x) for x in points]
    assert len({value for value, _ in alone}) == 24
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            together = list(pool.map(objective.value_and_gradient, points))
            assert [value for value, _ in together] == [value for value, _ in alone]
            for (_, found), (_, expected) in zip(together, alone, strict=True):
                assert np.array_equal(found, expected)
