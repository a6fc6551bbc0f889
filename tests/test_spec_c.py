"""Points C3 to C6 of the third source that concern `minimize`; those about modules are in test_spec_c_modules."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import steepest as st
from members import random, vary

Array = NDArray[Any]


def classes(n: int = 3000, k: int = 3, d: int = 4) -> tuple[Array, Array]:
    """Points around k centres, sorted by class."""
    source = random("classes", n, k)
    y = np.sort(source.integers(0, k, size=n))
    X = source.normal(size=(n, d)) + 1.2 * source.normal(size=(k, d))[y]
    vary(X, y)
    assert (np.diff(y) >= 0).all()
    return X, y


@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize("loss", ["softmax", "multiclass_hinge", "log_loss"])
def test_c3_sorted_classes_teach_the_wrong_thing(loss: str, batch_size: int) -> None:
    """Sorted and unshuffled data ends at a higher loss than any shuffle of it."""
    X, y = classes(k=2 if loss == "log_loss" else 3)
    ends = {
        shuffle: st.minimize(
            loss, (X, y), method="sgd", step_size=0.05, batch_size=batch_size, epochs=3, shuffle=shuffle, seed=1,
            fit_intercept=True,
        ).fun
        for shuffle in (False, "full", "stream", "once", "stratified")
    }  # fmt: skip
    best = st.minimize(loss, (X, y), fit_intercept=True, method="sgd", batch_size=32, epochs=40, seed=0).fun
    unshuffled = ends.pop(False) - best
    assert all(end - best < 0.7 * unshuffled for end in ends.values()), (best, unshuffled, ends)


def test_c3_each_batch_may_hold_every_class() -> None:
    """What a batch of 32 says of sorted data: without a shuffle one class, stratified all of them."""
    X, y = classes()
    seen: dict[Any, list[int]] = {}
    labels = y.astype(np.uint32)
    for shuffle in (False, "stratified"):
        kinds = seen.setdefault(shuffle, [])

        def count(theta: Any, batch: Any, kinds: list[int] = kinds) -> float:
            kinds.append(len(np.unique(batch[1])))
            return 0.0

        order: Any = shuffle and (lambda epoch: np.asarray(st._core.stratified_order(labels, 32, 0, epoch)))
        st.minimize(
            (count, lambda theta, batch: np.zeros(4)), (X, y), x0=np.zeros(4), method="sgd", step_size=0.1,
            batch_size=32, epochs=1, shuffle=order, check_finite=False,
        )  # fmt: skip
    full = len(y) // 32
    assert np.mean(np.array(seen[False][:full]) == 1) > 0.9
    assert seen["stratified"][:full] == [3] * full


def test_c4_per_column_and_per_channel() -> None:
    """(x - m) / max(deviation, eps): of single columns, and of the three channels of small images."""
    source = random("images")
    images = source.uniform(0, 255, size=(200, 5, 5, 3)) * [1.0, 0.5, 0.1]
    images[..., 2] = 7.0
    X = images.reshape(200, 75)
    y = images[:, 2, 2, 0] / 100 + source.normal(size=200)
    channel = np.tile(np.arange(3), 25)
    eps = 1e-3
    for groups, axes in ((None, (0,)), (channel, (0, 1, 2))):
        mean, deviation = images.mean(axis=axes, keepdims=True), images.std(axis=axes, keepdims=True)
        Z = ((images - mean) / np.maximum(deviation, eps)).reshape(200, 75)
        options: dict[str, Any] = {"method": "sgd", "batch_size": 20, "epochs": 4, "seed": 0, "step_size": 0.003}
        folded = st.minimize("squared_error", (X, y), normalize=eps, groups=groups, **options)
        copied = st.minimize("squared_error", (Z, y), **options)
        np.testing.assert_allclose(folded.x, copied.x, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(folded.predict(X), copied.predict(Z), rtol=1e-6, atol=1e-6)
        vary(folded.x)


def noisy(n: int = 2000, d: int = 5) -> tuple[Array, Array]:
    source = random("noisy", n, d)
    X = source.normal(size=(n, d))
    return X, X @ source.normal(size=d) + 2 * source.normal(size=n)


@pytest.mark.parametrize("name", [name for name in st.schedules.available() if name != "constant"])
def test_c5_a_falling_rate_ends_closer(name: str) -> None:
    """A constant rate circles the minimum at a distance that a falling one leaves behind."""
    X, y = noisy()
    rates: dict[str, Any] = {
        "inverse_scaling": {"power": 0.5, "rate": 4.0},
        "inverse_time": {"rate": 1.0},
        "exponential": {"factor": 0.8},
        "step": {"factor": 0.5, "every": 4.0},
    }
    falling = st.schedules.get(name, step_size=0.1, **given_of(name, rates))
    best = st.minimize("squared_error", (X, y), method="Newton-CG").fun
    ends = []
    for step in (0.1, falling):
        options: dict[str, Any] = {"method": "sgd", "batch_size": 8, "epochs": 20, "step_size": step}
        ends.append(np.mean([st.minimize("squared_error", (X, y), seed=seed, **options).fun for seed in range(3)]))
    constant, fell = ends[0] - best, ends[1] - best
    assert 0 < fell < 0.5 * constant


def given_of(name: str, rates: dict[str, Any]) -> dict[str, float]:
    """Return the parameters that a schedule knows by these names."""
    known = st.schedules.get(name).params
    return {key: value for key, value in rates.get(name, {}).items() if key in known}


@pytest.mark.parametrize(
    ("rule", "steps"),
    [
        ("adagrad", [0.03, 0.3, 1.0]),
        ("adam", [0.001, 0.003, 0.01]),  # the same step in every column, so the largest column limits it
        ("normalized_adaptive_invariant", [0.03, 0.3, 1.0]),
    ],
)
def test_c5_adaptive_rules_bear_columns_of_any_size(rule: str, steps: list[float]) -> None:
    """Columns from 0.01 to 100: an adaptive rule gets farther than the plain one at the best of its steps."""
    X, y = noisy()
    X = X * np.geomspace(0.01, 100, 5)
    options: dict[str, Any] = {"batch_size": 16, "epochs": 5, "seed": 0}

    def reached(method: str, steps: list[float]) -> float:
        ends = []
        for step in steps:
            result = st.minimize("huber", (X, y), method=method, step_size=step, **options)
            ends.append(result.fun)
        return min(ends)

    best = st.minimize("huber", (X, y), normalize=True, method="L-BFGS-B").fun
    plain = reached("sgd", [1e-5, 1e-4]) - best
    adaptive = reached(rule, steps) - best
    assert adaptive < 0.8 * plain


@pytest.mark.parametrize("alpha", [0.01, 0.3])
def test_c6_one_step_with_l2(alpha: float) -> None:
    """The source's alpha |w|^2 is L2(2 alpha), whose step is w <- (1 - 2 eta alpha) w - eta dC/dw."""
    X, y = noisy(50)
    eta, w = 0.07, random("start").normal(size=5)
    assert st.L2(2 * alpha).value(w) == pytest.approx(alpha * (w @ w), rel=1e-14)
    result = st.minimize("log_loss", (X, y > 0), x0=w, penalty=st.L2(2 * alpha), method="gd", step_size=eta, epochs=1)
    slope = st.Objective("log_loss", (X, y > 0)).gradient(w)
    np.testing.assert_allclose(result.x, (1 - 2 * eta * alpha) * w - eta * slope, rtol=1e-13)


@pytest.mark.parametrize("batch_size", [1, 16, 2000])
def test_c6_weight_decay_is_l2_for_plain_descent_and_not_for_adam(batch_size: int) -> None:
    X, y = noisy()
    a = 0.2
    options: dict[str, Any] = {"batch_size": batch_size, "epochs": 2, "seed": 4, "step_size": 0.02}
    by_penalty = st.minimize("huber", (X, y), method="sgd", penalty=st.L2(a), **options).x
    for decoupled in (False, True):
        rule = st.optim.SGD(weight_decay=a, decoupled=decoupled)
        np.testing.assert_allclose(st.minimize("huber", (X, y), method=rule, **options).x, by_penalty, rtol=1e-10)
    adam = st.minimize("huber", (X, y), method="adam", penalty=st.L2(a), **options).x
    adamw = st.minimize("huber", (X, y), method=st.optim.AdamW(weight_decay=a), **options).x
    assert np.abs(adam - adamw).max() > 1e-5


@pytest.mark.parametrize("method", ["sgd", "gd", None, "saga", "L-BFGS-B"])
def test_c6_l1_shrinks_useless_weights_to_zero(method: str | None) -> None:
    """Exactly zero, and useful weights not; L2 leaves all of them a little."""
    source = random("useless")
    X = source.normal(size=(1000, 12))
    w = np.zeros(12)
    w[[1, 5]] = 2.0, -1.0
    y = X @ w + 0.3 * source.normal(size=1000)
    options: dict[str, Any] = {"method": method, "epochs": 60, "seed": 0}
    if method == "sgd":
        options["step_size"] = 0.05
    l1 = st.minimize("squared_error", (X, y), penalty=st.L1(0.1), tol=0, **options)
    assert np.flatnonzero(l1.x).tolist() == [1, 5]
    l2 = st.minimize("squared_error", (X, y), penalty=st.L2(0.1), tol=0, **options)
    assert (l2.x != 0).all()
