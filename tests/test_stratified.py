"""Stratified batches (C3): every class in every batch, by its share, and otherwise as random as a full shuffle."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some
from numpy.typing import NDArray
from scipy.stats import chi2

import steepest as st
from members import random, vary
from steepest import _core

Array = NDArray[Any]


def stratified(labels: Array, batch_size: int, seed: int = 0, epoch: int = 0) -> Array:
    return np.asarray(_core.stratified_order(labels.astype(np.uint32), batch_size, seed, epoch)).astype(np.int64)


def counts(labels: Array, order: Array, batch_size: int) -> Array:
    """How many rows of each class are in each full batch."""
    full = len(labels) // batch_size
    return np.array([np.bincount(batch, minlength=labels.max() + 1)
                     for batch in labels[order[: full * batch_size]].reshape(full, batch_size)])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    sizes=some.lists(some.integers(0, 60), min_size=1, max_size=9).filter(any),
    batch_size=some.integers(1, 200),
    seed=some.integers(0, 2**64 - 1),
    in_order=some.booleans(),
)
@example(sizes=[8, 20, 20, 21, 21], batch_size=21, seed=0, in_order=True)
@example(sizes=[7, 7, 6, 5, 8, 8], batch_size=5, seed=0, in_order=True)
def test_c3_every_batch_holds_the_share_of_every_class(
    sizes: list[int], batch_size: int, seed: int, in_order: bool
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    if not in_order:
        labels = np.random.default_rng(seed).permutation(labels)
    n, batch_size = len(labels), min(batch_size, len(labels))
    for epoch in (0, 1):
        order = stratified(labels, batch_size, seed, epoch)
        assert np.array_equal(np.sort(order), np.arange(n))
        found, share = counts(labels, order, batch_size), np.bincount(labels) * batch_size
        assert (found >= share // n).all()
        assert (found <= -(-share // n)).all()


@pytest.mark.parametrize("batch_size", [10, 32, 256, 1000])
def test_c3_sorted_classes_meet_in_every_batch(batch_size: int) -> None:
    labels = np.repeat(np.arange(10), 2000 + 37 * np.arange(10))
    assert (counts(labels, stratified(labels, batch_size), batch_size) >= batch_size // 12).all()
    vary(np.array([stratified(labels, batch_size, seed) for seed in range(2)]))


def test_a_rare_class_comes_as_evenly_as_it_can() -> None:
    labels = (np.arange(64_000) % 1600 == 0).astype(int)
    batches = np.flatnonzero(counts(labels, stratified(labels, 32), 32)[:, 1])
    assert len(batches) == 40
    by_chance = np.flatnonzero(counts(labels, _core.full_order(64_000, 0, 0), 32)[:, 1])
    vary(batches, by_chance)


@pytest.mark.parametrize("batch_size", [1, 3, 4, 7])
def test_rows_of_a_class_are_in_uniform_order(batch_size: int) -> None:
    """Chi-square over row and place: within a class every row is as likely at each of the class's places."""
    labels = np.array([0, 0, 1, 0, 1, 1, 0, 0])
    draws = 4000
    for c, size in ((0, 5), (1, 3)):
        table = np.zeros((size, size))
        orders = set()
        for epoch in range(draws):
            order = stratified(labels, batch_size, 3, epoch)
            rows = np.searchsorted(np.flatnonzero(labels == c), order[labels[order] == c])
            orders.add(tuple(rows))
            table[rows, np.arange(size)] += 1
        assert len(orders) == np.prod(np.arange(1, size + 1))
        statistic = ((table - draws / size) ** 2 / (draws / size)).sum() * (size - 1) / size
        assert chi2.ppf(1e-6, (size - 1) ** 2) < statistic < chi2.ppf(1 - 1e-6, (size - 1) ** 2)


def test_every_row_is_as_likely_in_every_full_batch() -> None:
    labels = np.repeat([0, 1, 2], [13, 5, 2])
    table = np.zeros((20, 3))
    draws = 6000
    for epoch in range(draws):
        order = stratified(labels, 6, 1, epoch)
        table[order[:18], np.repeat(np.arange(3), 6)] += 1
    for c in range(3):
        # How many rows of a class the last, short batch gets is the same in every epoch.
        expected = table[labels == c].mean()
        assert draws / 6 <= expected <= draws / 3
        assert np.abs(table[labels == c] - expected).max() < 6 * np.sqrt(expected)
    vary(table)


def test_the_gradients_of_stratified_batches_vary_less() -> None:
    source = np.random.default_rng(0)
    labels = source.permutation(np.repeat([0, 1], [4500, 500]))
    slope = np.where(labels, -0.5, 0.5) + 0.1 * source.normal(size=5000)
    spread = {
        name: np.std([slope[order].reshape(-1, 50).mean(axis=1) for order in orders])
        for name, orders in {
            "stratified": [stratified(labels, 50, epoch=e) for e in range(10)],
            "full": [_core.full_order(5000, 0, e) for e in range(10)],
        }.items()
    }
    assert spread["stratified"] < 0.5 * spread["full"]


@pytest.mark.parametrize("name", ["log_loss", "hinge", "softmax"])
@pytest.mark.parametrize("batch_size", [1, 16, 100, 10_000])
def test_minimize_takes_them(name: str, batch_size: int) -> None:
    source = random(name, batch_size)
    X = source.normal(size=(300, 4))
    classes = np.digitize(X[:, 0] + source.normal(size=300), [0.5, 1.5] if name == "softmax" else [0.8])
    y = np.array(["a", "b", "c"])[classes]
    options: dict[str, Any] = {"method": "sgd", "epochs": 3, "seed": 9, "batch_size": batch_size, "step_size": 0.1}
    by_name = st.minimize(name, (X, y), shuffle="stratified", **options)
    by_hand = st.minimize(name, (X, y), shuffle=lambda e: stratified(classes, min(batch_size, 300), 9, e), **options)
    np.testing.assert_array_equal(by_name.x, by_hand.x)
    vary(by_name.x)
    held = np.arange(0, 300, 4)
    others = np.setdiff1d(np.arange(300), held)
    inside = st.minimize(name, (X, y), shuffle="stratified", validation=held, **options)
    apart = st.minimize(name, (X[others], y[others]), shuffle="stratified", **options)
    np.testing.assert_allclose(inside.x, apart.x, rtol=1e-9)
    on = st.minimize(name, (X, y), shuffle="stratified", x0=st.minimize(
        name, (X, y), shuffle="stratified", **(options | {"epochs": 1})), **(options | {"epochs": 2}))  # fmt: skip
    np.testing.assert_array_equal(on.x, by_name.x)


@st.loss
def squares(w: Any, x: Any, y: Any) -> Any:
    return (x @ w - y) ** 2


@pytest.mark.parametrize("loss", ["huber", "multi_log_loss", squares, (lambda t, b: 0.0, lambda t, b: np.zeros(2))])
def test_losses_without_classes_refuse(loss: Any) -> None:
    y = np.tile([1.0, -1.0], (20, 1)) if loss == "multi_log_loss" else np.arange(20.0)
    with pytest.raises(ValueError, match='"stratified" puts every class into every batch; this loss knows none'):
        st.minimize(
            loss, (np.ones((20, 2)), y), x0=np.zeros(4 if loss == "multi_log_loss" else 2), shuffle="stratified"
        )


def test_the_core_refuses_what_it_does_not_know() -> None:
    problem = _core.Problem64(0, [], None, np.array([1.0, 2.0]), None, False, 1.0, 0)
    options: dict[str, Any] = {"rule": (0, []), "schedule": (0, (0.1,)), "batch_size": 2, "epochs": 1}
    with pytest.raises(ValueError, match="there is no order sideways"):
        problem.fit(np.zeros(1), options | {"order": "sideways"})
    with pytest.raises(ValueError, match="needs the class of every row"):
        problem.fit(np.zeros(1), options | {"order": np.zeros(3, dtype=np.uint32)})
