"""Searches without a gradient: A3 and D3."""

import ctypes
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as hs

import steepest as st
from steepest import reference, search

Y5 = np.array([12, 13, 15, 16, 17])
BILLS = st.data.tips()
PCTTIP = BILLS["tip"] / BILLS["total_bill"] * 100
THETAS = np.arange(12, 18, 0.1)


class Counted:
    """A loss that counts its calls and keeps the points it saw."""

    def __init__(self, f: Any) -> None:
        self.f, self.seen = f, []

    def __call__(self, theta: Any, batch: Any) -> float:
        self.seen.append(np.array(theta))
        return self.f(theta, batch)


def problem(name: str, rows: int = 60, dtype: Any = np.float64) -> tuple[Any, Any]:
    """Rows and targets that suit a loss of the core."""
    draw = np.random.default_rng(len(name))
    X = draw.standard_normal((rows, 3)).astype(dtype)
    noisy = X @ np.array([0.5, -1.0, 0.25], dtype) + 0.1 * draw.standard_normal(rows).astype(dtype)
    y = np.where(noisy > 0, 1, -1) if st.losses.get(name).target == "binary" else np.exp(noisy)
    assert len(np.unique(y)) > 1
    return X, y.astype(dtype)


@pytest.mark.parametrize(
    ("loss", "plain", "data", "printed"),
    [
        ("mse", reference.mse, Y5, 14.59999999999999),
        ("huber", reference.huber_loss, Y5, 14.99999999999999),
        ("huber", reference.huber_loss, PCTTIP, 15.499999999999988),
    ],
    ids=["mse y5", "huber y5", "huber pcttip"],
)
def test_a3_grid_search_gives_the_sources_figures(loss: str, plain: Any, data: Any, printed: float) -> None:
    gradient = reference.grad_mse if plain is reference.mse else reference.grad_huber_loss
    for given_loss in (loss, st.losses.get(loss), plain, (plain, gradient)):
        result = st.search.grid(given_loss, data, THETAS)
        assert result.x.tolist() == [printed]
        assert result.x[0] == reference.simple_minimize(plain, data, THETAS)
        assert result.fun == pytest.approx(plain(printed, data), rel=1e-14)
        assert (result.nfev, result.success, result.seed) == (60, True, None)


@pytest.mark.parametrize("loss", ["log_loss", "hinge", "squared_hinge"])
@pytest.mark.parametrize("seed", range(3))
def test_d3_strategies_come_in_this_order(loss: str, seed: int) -> None:
    data = st.data.logistic(300, 5, seed=seed)
    n = 400
    drawn = st.search.random(loss, data, n=n, seed=seed)
    walked = st.search.local(loss, data, n=n, seed=seed)
    followed = st.minimize(loss, data, method="gd", epochs=n - 2, seed=seed)
    assert drawn.nfev == walked.nfev == n >= followed.nfev
    assert drawn.fun > walked.fun > followed.fun


def test_d3_draws_have_the_scales_asked_for() -> None:
    loss = Counted(lambda w, batch: float(np.sum(w**2)))
    st.search.random(loss, Y5, n=500, seed=0, x0=np.zeros((2, 4)))
    drawn = np.array(loss.seen)
    assert drawn.shape == (500, 2, 4)
    assert drawn.std() == pytest.approx(1e-4, rel=0.05)
    assert abs(drawn.mean()) < 1e-5

    starts = []
    for seed in range(200):
        loss = Counted(lambda w, batch: float(np.sum(w**2)))
        kept = st.search.local(loss, Y5, n=2, seed=seed, x0=np.full(3, 5.0))
        start, trial = loss.seen
        starts.append(start)
        assert kept.x.tolist() == (trial if kept.nit else start).tolist()
    assert np.std(starts) == pytest.approx(1e-3, rel=0.1)
    assert np.mean(starts) == pytest.approx(5.0, abs=1e-3)


@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 200])
def test_loss_is_evaluated_exactly_n_times(n: int) -> None:
    for run in (
        lambda f: st.search.random(f, Y5, n=n, seed=0),
        lambda f: st.search.local(f, Y5, n=n, seed=0),
        lambda f: st.search.grid(f, Y5, np.linspace(0, 20, n)),
    ):
        loss = Counted(reference.mse)
        result = run(loss)
        assert len(loss.seen) == result.nfev == n == len(result.history.objective)
        assert result.fun == pytest.approx(min(reference.mse(theta, Y5) for theta in loss.seen))


@pytest.mark.parametrize("name", st.losses.available("pointwise"))
def test_losses_of_the_core_agree_with_callables(name: str) -> None:
    X, y = problem(name)
    loss = st.losses.get(name)
    points = np.random.default_rng(1).standard_normal((100, 3))

    def plain(w: Any, batch: Any) -> float:
        return float(loss(batch[1], batch[0] @ w))

    core, outside = (st.search.grid(f, (X, y), points) for f in (name, plain))
    assert core.x.tolist() == outside.x.tolist()
    np.testing.assert_allclose(core.history.objective, outside.history.objective, rtol=1e-12)
    for search_it in (st.search.random, st.search.local):
        core, outside = (
            search_it(f, (X, y), n=50, seed=2, **more) for f, more in ((name, {}), (plain, {"x0": [0] * 3}))
        )
        np.testing.assert_allclose(core.x, outside.x, rtol=1e-12)
        assert core.fun == pytest.approx(outside.fun, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_penalty_weights_and_intercept_count(dtype: Any) -> None:
    X, y = problem("huber", dtype=dtype)
    weight = np.linspace(0, 2, len(y)).astype(dtype)
    more: dict[str, Any] = {"penalty": st.L1(0.3), "sample_weight": weight, "fit_intercept": True}
    objective = st.Objective("huber", (X, y), more["penalty"], sample_weight=weight, fit_intercept=True)
    points = np.random.default_rng(3).standard_normal((70, 4))
    values = [objective.value(point) for point in points]
    result = st.search.grid("huber", (X, y), points, **more)
    assert result.x.dtype == dtype
    assert result.x.tolist() == points[np.argmin(values)].astype(dtype).tolist()
    assert result.fun == pytest.approx(min(values), rel=1e-6)
    assert result.coef.tolist() == result.x[:3].tolist()
    assert float(result.intercept) == result.x[3]
    np.testing.assert_allclose(result.predict(X), X @ result.x[:3] + result.x[3], rtol=1e-6)


def test_penalty_of_a_callable_counts() -> None:
    result = st.search.grid(reference.mse, Y5, THETAS, penalty=st.L2(2.0))
    values = [reference.mse(theta, Y5) + theta**2 for theta in THETAS]
    assert result.x[0] == THETAS[np.argmin(values)]
    assert result.x[0] != st.search.grid(reference.mse, Y5, THETAS).x[0]


def test_blocks_of_points_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    data = problem("log_loss")
    whole = st.search.random("log_loss", data, n=150, scale=1.0, seed=5)
    for size in (1, 7, 149):
        monkeypatch.setattr(search, "BLOCK_POINTS", size)
        again = st.search.random("log_loss", data, n=150, scale=1.0, seed=5)
        assert again.x.tolist() == whole.x.tolist()
        assert again.history.objective.tolist() == whole.history.objective.tolist()


def test_history_is_the_best_so_far() -> None:
    data = problem("log_loss")
    for result in (st.search.random("log_loss", data, n=90, seed=1), st.search.local("log_loss", data, n=90, seed=1)):
        best = result.history.objective
        assert np.all(np.diff(best) <= 0)
        assert best[-1] == result.fun < best[0]
        assert result.nit == np.count_nonzero(np.diff(best))
        assert result.history.evaluation.tolist() == list(range(1, 91))


@pytest.mark.parametrize("run", [st.search.random, st.search.local])
def test_seed_decides_and_is_told(run: Any) -> None:
    data = problem("mse")
    first = run("mse", data, n=30)
    assert run("mse", data, n=30, seed=first.seed).x.tolist() == first.x.tolist()
    assert run("mse", data, n=30).x.tolist() != first.x.tolist()


def test_result_of_a_search_is_a_start() -> None:
    data = problem("mse")
    centre = st.search.random("mse", data, n=20, scale=1.0, seed=0)
    near = st.search.random("mse", data, n=20, scale=1e-9, seed=0, x0=centre)
    np.testing.assert_allclose(near.x, centre.x, atol=1e-7)
    assert st.minimize("mse", data, x0=centre.x, method="gd", epochs=5).fun < centre.fun
    on_the_grid = st.search.grid(reference.mse, Y5, THETAS)
    for run in (st.search.random, st.search.local):
        assert run(reference.mse, Y5, n=50, seed=0, x0=on_the_grid).x == pytest.approx(on_the_grid.x, abs=0.01)


@pytest.mark.parametrize("whole", [1, [1], (2,), np.array([3])])
def test_whole_numbers_are_starts_as_others_are(whole: Any) -> None:
    P5 = [12.1, 12.8, 14.9, 16.3, 17.2]
    found, expected, other = (
        search.local("mse", P5, 50, x0=x0, step_scale=0.5, seed=0)
        for x0 in (whole, np.array(whole, dtype=float), np.array(whole, dtype=float) + 0.5)
    )
    assert found.x.dtype == float
    np.testing.assert_array_equal(found.x, expected.x)
    assert not np.array_equal(found.x, other.x)


def test_theta_has_the_shape_of_the_start() -> None:
    shapes = set()

    def loss(W: Any, batch: Any) -> float:
        shapes.add(np.shape(W))
        return float(np.sum((W - 1) ** 2))

    assert st.search.grid(loss, Y5, np.zeros((4, 2, 3))).x.shape == (6,)
    st.search.grid(loss, Y5, np.zeros((4, 6)), x0=np.zeros((2, 3)))
    st.search.local(loss, Y5, n=3, x0=np.zeros((2, 3)))
    assert shapes == {(2, 3)}
    st.search.random(loss, Y5, n=3)
    assert shapes == {(2, 3), ()}


def test_nan_never_wins() -> None:
    def loss(theta: Any, batch: Any) -> float:
        return float("nan") if 13 < theta < 17 else reference.mse(theta, batch)

    result = st.search.grid(loss, Y5, np.concatenate([[14.0], THETAS]))
    assert result.x[0] == THETAS[np.argmin(np.abs(THETAS - 13.0))]
    assert np.isnan(result.history.objective[0])
    assert not np.isnan(result.history.objective[1:]).any()
    for seed in range(5):
        walk = st.search.local(loss, Y5, n=100, start_scale=1e-3, step_scale=0.3, seed=seed, x0=13.2)
        assert not np.isnan(walk.fun)
        assert not 13 < walk.x[0] < 17
    for run in (st.search.random, st.search.local):
        with pytest.raises(ValueError, match="NaN or infinite at each of the 20 points"):
            run(lambda theta, batch: float("nan"), Y5, n=20)
    with pytest.raises(ValueError, match="NaN or infinite"):
        st.search.grid(lambda theta, batch: float("inf"), Y5, THETAS)


def test_local_search_steps_from_the_best_so_far() -> None:
    loss = Counted(lambda w, batch: float(np.sum(w**2)))
    result = st.search.local(loss, Y5, n=300, start_scale=1.0, step_scale=0.1, seed=0, x0=np.zeros(4))
    points = np.array(loss.seen)
    values = np.sum(points**2, axis=1)
    best = points[[int(np.argmin(values[:tried])) for tried in range(1, len(points))]]
    steps = points[1:] - best
    assert steps.std() == pytest.approx(0.1, rel=0.1)
    assert np.abs(steps).max() < 0.5
    assert result.x.tolist() == points[np.argmin(values)].tolist()
    assert 10 < result.nit < 290


def test_nan_of_the_core_never_wins() -> None:
    data = (np.array([[1e200, -1e200], [1.0, 2.0]]), np.array([0.0, 1.0]))
    points = np.array([[1e200, 1e200], [0.0, 0.0], [1e-190, 0.0]])
    assert np.isnan(st.Objective("mse", data).values(points)).tolist() == [True, False, False]
    for order in ([0, 1, 2], [1, 0, 2], [2, 0, 1]):
        assert st.search.grid("mse", data, points[order]).x.tolist() == [0.0, 0.0]


def test_infinite_values_of_the_core_never_win() -> None:
    result = st.search.grid("exponential", ([[1.0], [1.0]], [0, 1]), [[1e4], [0.5], [-1e4]])
    assert result.x.tolist() == [0.5]


def test_interruption_keeps_the_best() -> None:
    def loss(theta: Any, batch: Any) -> float:
        calls.append(theta)
        if len(calls) == stop:
            raise KeyboardInterrupt
        return reference.mse(theta, batch)

    for run in (
        lambda: st.search.grid(loss, Y5, THETAS),
        lambda: st.search.random(loss, Y5, seed=0),
        lambda: st.search.local(loss, Y5, seed=0),
    ):
        calls: list[Any] = []
        stop = 8
        with pytest.raises(st.Interrupted) as caught:
            run()
        result = caught.value.result
        assert (result.nfev, result.success) == (7, False)
        assert result.fun == pytest.approx(min(reference.mse(theta, Y5) for theta in calls[:7]))
        calls, stop = [], 1
        with pytest.raises(KeyboardInterrupt) as stopped:
            run()
        assert not isinstance(stopped.value, st.Interrupted)


def test_exception_of_a_callable_comes_out_unchanged() -> None:
    error = ZeroDivisionError("mine")

    def loss(theta: Any, batch: Any) -> float:
        raise error

    for run in (st.search.random, st.search.local):
        with pytest.raises(ZeroDivisionError) as caught:
            run(loss, Y5)
        assert caught.value is error
    with pytest.raises(TypeError, match="real number"):
        st.search.random(lambda theta, batch: "loss", Y5)


def test_c_functions_are_evaluated() -> None:
    numbers = ctypes.POINTER(ctypes.c_double)
    index = ctypes.c_ssize_t

    @ctypes.CFUNCTYPE(ctypes.c_double, numbers, index, numbers, index, index, numbers, numbers, ctypes.c_void_p)
    def loss(theta: Any, k: int, X: Any, rows: int, cols: int, y: Any, grad: Any, user: Any) -> float:
        return sum((y[i] - theta[0]) ** 2 for i in range(rows))

    result = st.search.grid(loss, Y5.astype(float), THETAS)
    assert result.x[0] == 14.59999999999999
    assert result.fun == pytest.approx(reference.mse(result.x[0], Y5))


def test_data_and_points_are_only_read() -> None:
    X, y = problem("mse")
    points = np.random.default_rng(0).standard_normal((10, 3))
    before = [array.copy() for array in (X, y, points)]
    for array in (X, y, points):
        array.flags.writeable = False
    st.search.grid("mse", (X, y), points)
    st.search.random("mse", (X, y), n=5)
    st.search.local("mse", (X, y), n=5)
    assert all(np.array_equal(*pair) for pair in zip((X, y, points), before, strict=True))


@given(
    y=hs.lists(hs.floats(-100, 100), min_size=1, max_size=20),
    points=hs.lists(hs.floats(-200, 200), min_size=1, max_size=150),
)
def test_grid_finds_what_looking_at_each_point_finds(y: list[float], points: list[float]) -> None:
    result = st.search.grid("mae", y, points)
    values = [reference.abs_loss(theta, np.array(y)) for theta in points]
    assert result.x[0] in points
    assert result.fun == pytest.approx(min(values), rel=1e-12, abs=1e-12)
    assert st.Objective("mae", y).value(result.x) == result.fun


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: st.search.grid("mse", Y5, []), ValueError, "at least one point"),
        (lambda: st.search.grid("mse", Y5, 3.0), ValueError, "at least one point"),
        (lambda: st.search.grid("mse", Y5, ["a"]), TypeError, "points must hold real numbers"),
        (lambda: st.search.grid("mse", Y5, [1.0, np.nan]), ValueError, "point 1 is nan"),
        (lambda: st.search.grid("mse", Y5, [[1.0, 2.0]]), ValueError, r"shape \(m, 1\), not \(1, 2\)"),
        (lambda: st.search.grid("mse", problem("mse"), [1.0, 2.0, 3.0]), ValueError, r"shape \(m, 3\), not \(3,\)"),
        (lambda: st.search.grid("msee", Y5, THETAS), ValueError, "unknown loss 'msee'; there are"),
        (lambda: st.search.grid(3, Y5, THETAS), TypeError, "loss must be"),
        (lambda: st.search.grid("mse", [], THETAS), ValueError, "y is empty"),
        (lambda: st.search.grid("mse", [1.0, np.nan], THETAS), ValueError, "NaN, first in row 1"),
        (lambda: st.search.random("mse", Y5, n=0), ValueError, "n must be at least 1, not 0"),
        (lambda: st.search.random("mse", Y5, n=2.5), TypeError, "n must be a whole number, not 2.5"),
        (lambda: st.search.random("mse", Y5, scale=0), ValueError, "scale must be positive"),
        (lambda: st.search.random("mse", Y5, scale=np.nan), ValueError, "scale must be positive"),
        (lambda: st.search.random("mse", Y5, scale="1"), TypeError, "scale must be a number"),
        (lambda: st.search.random("mse", Y5, seed=-1), ValueError, "seed"),
        (lambda: st.search.random("mse", Y5, x0=[0.0, 1.0]), ValueError, "x0 has 2 parameters, the problem has 1"),
        (lambda: st.search.random("mse", Y5, x0=np.inf), ValueError, "x0 holds inf"),
        (lambda: st.search.local("mse", Y5, start_scale=-1), ValueError, "start_scale must be positive"),
        (lambda: st.search.local("mse", Y5, step_scale=np.inf), ValueError, "step_scale must be positive and finite"),
        (lambda: st.search.local(reference.mse, Y5, sample_weight=[1] * 5), ValueError, "sample_weight does not go"),
        (lambda: st.search.local(reference.mse, Y5, fit_intercept=True), ValueError, "fit_intercept does not go"),
        (lambda: st.search.random(reference.mse, (Y5, Y5)), ValueError, "x0 is required"),
    ],
)
def test_bad_input_is_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
