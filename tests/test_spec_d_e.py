"""Points D3 to D7, E3 and E4 of the sources, through the public face."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import steepest as st
from steepest import reference

Array = NDArray[Any]


def pictures(n: int = 400, d: int = 60, seed: int = 2) -> tuple[Array, Array]:
    """Generate rows of numbers from 0 to 255 with two overlapping classes, centred, a bias column last."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    prototypes = rng.uniform(110, 140, size=(2, d))
    X = np.clip(prototypes[labels] + rng.normal(scale=60, size=(n, d)), 0, 255)
    labels = np.where(rng.random(n) < 0.1, 1 - labels, labels)
    assert 0.3 < labels.mean() < 0.7
    return np.column_stack([X - X.mean(axis=0), np.ones(n)]), labels


@pytest.mark.parametrize("loss", ["hinge", "log_loss", "squared_hinge"])
def test_d3_three_strategies_in_this_order(loss: str) -> None:
    """On the same data, each with 1,000 evaluations of the loss: draw, walk, follow the gradient."""
    data = pictures()
    evaluations = 1000
    draw = st.search.random(loss, data, n=evaluations, scale=1e-4, seed=0)
    walk = st.search.local(loss, data, n=evaluations, start_scale=1e-3, step_scale=1e-4, seed=0)
    # One evaluation is for the result's own objective.
    follow = st.minimize(loss, data, method="gd", step_size=st.schedules.InverseScaling(1e-4), epochs=evaluations - 1)
    assert draw.nfev == follow.nfev == evaluations
    assert walk.nfev <= evaluations + 1
    assert draw.fun > walk.fun > follow.fun
    X, labels = data
    hits = [np.mean((X @ result.x > 0) == labels) for result in (draw, walk, follow)]
    assert hits[0] < hits[2]
    for result in (draw, walk, follow):
        assert result.fun == pytest.approx(st.Objective(loss, data).value(result.x), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_d3_searches_keep_the_best(seed: int) -> None:
    data = pictures(n=100, d=5)
    for search in (st.search.random, st.search.local):
        result = search("log_loss", data, n=200, seed=seed)
        best = np.asarray(result.history.objective)
        assert (np.diff(best) <= 0).all()
        assert best[-1] == result.fun < best[0]


@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 4), (2, 3, 2)])
def test_d4_evaluations_are_counted(shape: tuple[int, ...]) -> None:
    calls = 0

    def f(x: Any) -> float:
        nonlocal calls
        calls += 1
        return float(np.sum(np.sin(x) + np.asarray(x) ** 2))

    rng = np.random.default_rng(1)
    x: Any = rng.normal(size=shape)
    before = np.array(x)
    n = max(1, math.prod(shape))
    exact = np.cos(before) + 2 * before
    for scheme, h, evaluations, error in (("forward", 1e-5, n + 1, 1e-4), ("central", 1e-4, 2 * n, 1e-7)):
        calls = 0
        gradient = st.gradients.numerical_gradient(f, x, scheme=scheme, h=h)
        assert calls == evaluations
        assert np.shape(gradient) == shape
        np.testing.assert_allclose(gradient, exact, atol=error)
        assert np.array_equal(x, before), "x was not restored"


def loss_after_one_step(alpha: float, data: tuple[Array, Array], start: Array) -> float:
    return float(st.minimize("hinge", data, x0=start, method="gd", step_size=alpha, epochs=1).fun)


def test_d5_step_sizes_over_ten_decades() -> None:
    """A loop by hand: the loss falls, ever faster, then explodes by ten per decade."""
    X, labels = pictures(n=2000, d=400)
    X[:, :-1] += 125
    data = (X, labels)
    start = 1e-4 * np.random.default_rng(0).normal(size=401)
    before = st.Objective("hinge", data).value(start)
    table = np.array([loss_after_one_step(10.0**k, data, start) for k in range(-10, 0)])
    assert before == pytest.approx(1.0, abs=0.1)
    best = int(table.argmin())
    assert 4 <= best <= 7
    assert (np.diff(np.append(before, table[: best + 1])) < 0).all()
    assert (np.diff(table[best:]) > 0).all()
    np.testing.assert_allclose(table[-2:] / table[-3:-1], 10, rtol=0.03)
    assert table[-1] > 1000 * before


def test_d5_divergence_is_noticed_and_named() -> None:
    X, labels = pictures()
    data = (X, labels.astype(float))
    L = st.Objective("squared_error", data).smoothness()
    ends = {}
    for factor in (1e-6, 1e-3, 1.0, 2.5, 10.0, 1e3, 1e9):
        if factor > 2:
            with pytest.warns(st.ConvergenceWarning, match="[Dd]iverged"):
                ends[factor] = st.minimize("squared_error", data, method="gd", step_size=factor / L, epochs=200)
        else:
            ends[factor] = st.minimize("squared_error", data, method="gd", step_size=factor / L, epochs=200)
    named = {factor: (end.status.name, end.success) for factor, end in ends.items()}
    assert {factor for factor, name in named.items() if name == ("diverged", False)} == {2.5, 10.0, 1e3, 1e9}
    assert ends[1.0].fun < ends[1e-3].fun < ends[1e-6].fun
    for end in ends.values():
        assert np.isfinite(end.x).all()
        assert np.isfinite(end.fun)
        assert end.epochs <= 200


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("name", st.losses.available("pointwise"))
def test_d6_gradient_check_of_every_loss(name: str, intercept: bool) -> None:
    loss = st.losses.get(name)
    rng = np.random.default_rng(7)
    X = rng.normal(size=(30, 4))
    z = X @ np.array([1.0, -0.5, 0.2, 0.0])
    y = np.where(z > 0, 1.0, -1.0) if loss.target == "binary" else np.abs(z) + 0.1
    assert np.unique(y).size > 1
    objective = st.Objective(loss, (X, y), st.L2(0.1), fit_intercept=intercept)
    x = rng.normal(size=objective.n_parameters)
    assert st.gradients.check_gradient(objective.value, objective.gradient, x)
    check = st.gradients.check_gradient(objective.value, lambda v: objective.gradient(v) * 1.01, x)
    assert not check
    assert check.largest_error > 1e-3


def test_d6_kinks_are_not_counted() -> None:
    """At the row's own target the absolute error has a kink along the second coordinate only."""
    objective = st.Objective("absolute_error", (np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0.5, 3.0])))
    check = st.gradients.check_gradient(objective.value, objective.gradient, np.array([1.0, 0.5]))
    assert check
    assert check.kinks == ((1,),)


def test_d7_duplicates_have_the_gradient_of_the_thousand() -> None:
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(1000, 3)), rng.integers(0, 2, 1000)
    few = st.Objective("log_loss", (X, y))
    many = st.Objective("log_loss", (np.tile(X, (1200, 1)), np.tile(y, 1200)))
    for x in (np.zeros(3), np.array([0.5, -1.0, 2.0])):
        np.testing.assert_allclose(many.gradient(x), few.gradient(x), rtol=1e-10)
        assert many.value(x) == pytest.approx(few.value(x), rel=1e-12)
    assert np.abs(few.gradient(np.zeros(3))).max() > 1e-3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_d7_batch_sizes_by_hand(dtype: str) -> None:
    """What a pass over the same rows reaches depends on the batch size; the best is measured, not guessed."""
    X, y = st.data.logistic(4096, 12, seed=1, dtype=dtype)
    start = st.Objective("log_loss", (X, y)).value(np.zeros(12))
    best = st.minimize("log_loss", (X, y), method="gd", epochs=2000).fun
    table = {}
    for batch_size in (32, 64, 128, 256, 4096):
        result = st.minimize("log_loss", (X, y), method="sgd", batch_size=batch_size, step_size=0.3, epochs=3, seed=0)
        assert result.nit == 3 * 4096 // batch_size
        table[batch_size] = result.fun
    assert len(set(table.values())) == 5
    assert all(best - 1e-6 < fun < start for fun in table.values())
    # The same step size and rows: 128 times as many updates come far closer.
    assert table[256] - best < (table[4096] - best) / 4


def test_d7_a_batch_of_duplicates_is_as_good_as_all_of_them() -> None:
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(100, 3)), rng.integers(0, 2, 100)
    copies = (np.tile(X, (20, 1)), np.tile(y, 20))
    # In sequence each batch of 100 holds every row once: an epoch over the copies is twenty steps over the hundred.
    one_epoch = st.minimize("log_loss", copies, method="sgd", batch_size=100, step_size=0.5, shuffle=False, epochs=1)
    twenty = st.minimize("log_loss", (X, y), method="gd", step_size=0.5, epochs=20)
    np.testing.assert_allclose(one_epoch.x, twenty.x, rtol=1e-12)


def polynomial(w: float, batch: Array) -> float:
    return w**4 + 3 * w**3 - w**2 - 3 * w


def slope(w: float, batch: Array) -> float:
    return 4 * w**3 + 9 * w**2 - 2 * w - 3


@pytest.mark.parametrize(
    ("start", "end", "value"),
    [(0.0, 0.60725202, -1.38274913), (2.0, 0.60725202, -1.38274913), (-4.0, -2.32634546, -6.91409679)],
)
def test_e3_local_and_global_minimum(start: float, end: float, value: float) -> None:
    result = st.minimize((polynomial, slope), [0.0], x0=start, method="gd", step_size=0.01, epochs=1000)
    assert result.x[0] == pytest.approx(end, abs=5e-9)
    assert result.fun == pytest.approx(value, abs=5e-9)
    assert result.nit == 1000


@pytest.mark.parametrize("start", [1e-3, 1e-6, 1e-9, -1e-9, 1e-13])
def test_e3_a_start_where_the_loss_is_nearly_zero_is_no_divergence(start: float) -> None:
    """The objective falls from about 0 to -1.38: that is a success, whatever the ratio of the two."""
    result = st.minimize((polynomial, slope), [0.0], x0=start, method="gd", step_size=0.01, epochs=2000)
    assert result.status is st.Status.ran_all_epochs
    assert result.x[0] == pytest.approx(0.60725202, abs=5e-9)


def parabola(w: float, batch: Array) -> float:
    return w**2 - 4 * w + 8


def parabola_slope(w: float, batch: Array) -> float:
    return 2 * w - 4


@pytest.mark.parametrize("loss", ["callables", "mse"])
def test_e4_too_small_is_slow_and_too_large_diverges(loss: str) -> None:
    pair: Any = (parabola, parabola_slope) if loss == "callables" else "mse"
    distances = {}
    for rate in (1e-4, 1e-2, 0.1, 0.5):
        end = st.minimize(pair, [2.0], x0=0.0, method="gd", step_size=rate, epochs=100)
        assert end.success
        distances[rate] = abs(end.x[0] - 2.0)
    assert list(distances.values()) == sorted(distances.values(), reverse=True)
    assert distances[1e-4] > 1.9
    assert distances[0.1] < 1e-8
    for rate in (1.01, 1.5, 100.0):
        with pytest.warns(st.ConvergenceWarning, match="step_size"):
            end = st.minimize(pair, [2.0], x0=0.0, method="gd", step_size=rate, epochs=10_000)
        assert end.status is st.Status.diverged
        assert not end.success
        assert np.isfinite(end.x).all()


@pytest.mark.parametrize("step_size", [None, "auto"])
def test_e4_the_rate_can_be_found(step_size: Any) -> None:
    for start in (-1e6, 0.0, 5.0):
        end = st.minimize((parabola, parabola_slope), [0.0], x0=start, step_size=step_size)
        assert end.success
        assert end.x[0] == pytest.approx(2.0, abs=1e-3)


def test_e1_numbers_of_the_first_epochs() -> None:
    """Before and after figures of the source: W 0.400, 1.828, 1.982, 1.998 at every tenth epoch, lr 0.1."""
    seen: list[float] = []
    st.minimize(
        (parabola, parabola_slope),
        [0.0],
        x0=0.0,
        method="gd",
        step_size=0.1,
        epochs=100,
        callback=lambda r: seen.append(float(r.x[0])),
    )
    assert [f"{w:.3f}" for w in seen[::10]] == ["0.400", "1.828", "1.982", "1.998"] + ["2.000"] * 6
    assert reference.mse(seen[-1], np.array([2.0])) < 1e-16
