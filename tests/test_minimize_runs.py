"""What a run tells and when it ends: history, callback, progress, tolerances, divergence, starts and results."""

import copy
import math
import pickle
import re
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog

import steepest as st
from steepest import reference

Array = NDArray[Any]

P5 = np.array([12.1, 12.8, 14.9, 16.3, 17.2])


def make_data(n: int = 60, d: int = 4, seed: int = 3, target: str = "real") -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    z = X @ np.linspace(-1, 2, d) + rng.normal(size=n)
    y = np.where(z > 0, 1.0, -1.0) if target == "binary" else z
    assert np.unique(y).size > 1
    return X, y


@pytest.mark.parametrize("batch_size", [1, 7, 60])
@pytest.mark.parametrize("penalty", [None, st.L2(0.2), st.ElasticNet(0.1, 0.5)], ids=["none", "l2", "elastic_net"])
def test_running_objective_is_the_mean_over_the_batches(batch_size: int, penalty: Any) -> None:
    """Each batch at the parameters it met, weighted by its rows."""
    X, y = make_data()
    order = np.random.default_rng(0).permutation(60)
    result = st.minimize(
        "huber", (X, y), penalty=penalty, method="sgd", batch_size=batch_size, step_size=0.05, epochs=3, shuffle=order
    )
    x, expected = np.zeros(4), []
    for _ in range(3):
        met = 0.0
        for start in range(0, 60, batch_size):
            batch = order[start : start + batch_size]
            objective = st.Objective("huber", (X[batch], y[batch]), penalty)
            met += objective.value(x) * len(batch) / 60
            smooth = st.Objective("huber", (X[batch], y[batch])).gradient(x)
            if penalty is not None:
                smooth = smooth + penalty.smooth_gradient(x)
            x = x - 0.05 * smooth
            if penalty is not None:
                x = penalty.prox(x, 0.05)
        expected.append(met)
    np.testing.assert_allclose(result.history.running_objective, expected, rtol=1e-12)
    np.testing.assert_allclose(result.x, x, rtol=1e-11)


@pytest.mark.parametrize("batch_size", [9, 60])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
def test_exact_history_is_the_objective_at_the_end_of_the_epoch(loss: str, intercept: bool, batch_size: int) -> None:
    data = make_data(target="binary")
    model: dict[str, Any] = {
        "penalty": st.ElasticNet(0.05, 0.3),
        "sample_weight": np.linspace(0, 2, 60),
        "fit_intercept": intercept,
    }
    points: list[Array] = []
    told: list[float] = []

    def callback(r: Any) -> None:
        points.append(r.x)
        told.append(r.fun)

    result = st.minimize(
        loss, data, method="sgd", batch_size=batch_size, epochs=6, history="exact", callback=callback, seed=0, **model
    )
    expected = [st.Objective(loss, data, **model).value(x) for x in points]
    np.testing.assert_allclose(result.history.objective, expected, rtol=1e-13)
    assert told == result.history.objective.tolist()
    assert result.fun == pytest.approx(expected[-1], rel=1e-13)
    assert not np.allclose(result.history.objective, result.history.running_objective, rtol=1e-6)


@pytest.mark.parametrize("history", ["running", True, "exact"])
def test_history_has_one_number_per_epoch(history: Any) -> None:
    result = st.minimize("mse", make_data(), method="sgd", batch_size=8, epochs=7, history=history)
    for column in ("epoch", "running_objective", "objective", "step_size", "seconds"):
        assert result.history[column].shape == (7,), column
        assert result.history[column] is getattr(result.history, column)
    assert result.history.epoch.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert (np.diff(result.history.seconds) >= 0).all()
    assert np.isnan(result.history.objective).all() == (history != "exact")
    assert np.isfinite(result.history.running_objective).all()


def test_history_may_be_left_out() -> None:
    assert st.minimize("mse", make_data(), method="gd", epochs=3, history=False).history is None


@pytest.mark.parametrize("answer", [True, np.True_])
@pytest.mark.parametrize("outside", [False, True])
def test_a_callback_can_stop(answer: Any, outside: bool) -> None:
    loss: Any = (reference.mse, reference.grad_mse) if outside else "mse"
    seen: list[Any] = []

    def callback(r: Any) -> Any:
        seen.append(r)
        return answer if len(seen) == 4 else False

    result = st.minimize(loss, P5, x0=0.0, method="gd", step_size=0.1, epochs=50, callback=callback)
    assert [r.epoch for r in seen] == [1, 2, 3, 4]
    assert [r.nit for r in seen] == [1, 2, 3, 4]
    assert {r.step_size for r in seen} == {0.1}
    assert [float(r.x[0]) for r in seen] == sorted({float(r.x[0]) for r in seen})
    assert (result.status, result.success, result.epochs) == (st.Status.stopped, True, 4)
    assert np.array_equal(result.x, seen[-1].x)


def test_a_callback_can_stop_by_stop_iteration() -> None:
    def callback(r: Any) -> None:
        if r.epoch == 3:
            raise StopIteration

    result = st.minimize("mse", P5, method="gd", epochs=50, callback=callback)
    assert (result.status, result.success, result.epochs) == (st.Status.stopped, True, 3)


@pytest.mark.parametrize("error", [ValueError("mine"), KeyError("mine"), SystemExit(3), ArithmeticError()])
@pytest.mark.parametrize("outside", [False, True])
def test_an_exception_of_a_callback_comes_out_unchanged(error: BaseException, outside: bool) -> None:
    loss: Any = (reference.mse, reference.grad_mse) if outside else "mse"

    def callback(r: Any) -> None:
        if r.epoch == 2:
            raise error

    with pytest.raises(type(error)) as caught:
        st.minimize(loss, P5, x0=0.0, method="gd", step_size=0.1, epochs=50, callback=callback)
    assert caught.value is error
    assert any(entry.name == "callback" for entry in caught.traceback)


@pytest.mark.parametrize("answer", ["stop", 1, 0, 0.0, [], np.array([True, False]), object()])
def test_a_callback_that_returns_nonsense(answer: Any) -> None:
    with pytest.raises(TypeError, match="callback must return"):
        st.minimize("mse", P5, method="gd", epochs=5, callback=lambda r: answer)


def test_a_callback_cannot_disturb_the_run() -> None:
    def callback(r: Any) -> None:
        r.x[:] = math.nan

    data = make_data()
    disturbed = st.minimize("mse", data, method="sgd", batch_size=7, epochs=4, seed=0, callback=callback)
    assert np.array_equal(disturbed.x, st.minimize("mse", data, method="sgd", batch_size=7, epochs=4, seed=0).x)


def test_a_callback_may_minimize() -> None:
    inner: list[float] = []

    def callback(r: Any) -> None:
        inner.append(float(st.minimize("mse", P5, method="gd", step_size=0.2, epochs=3).x[0]))

    result = st.minimize("mse", P5, method="gd", step_size=0.2, epochs=3, callback=callback)
    assert inner == [result.x[0]] * 3


def test_silence_when_not_asked(capfd: pytest.CaptureFixture[str]) -> None:
    st.minimize("mse", make_data(), method="sgd", epochs=30)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("progress", [True, "lines"])
def test_lines_go_to_standard_error(progress: Any, capfd: pytest.CaptureFixture[str]) -> None:
    result = st.minimize("mse", make_data(), method="gd", epochs=230, progress=progress)
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    numbers = [int(line.split()[1].rstrip(":")) for line in lines]
    assert numbers == [*range(1, 11), *range(20, 101, 10), 200, 230]
    assert all(re.search(r"objective [\d.e+-]+, [\d.]+[kMG]? rows/s$", line) for line in lines)
    assert f"{result.history.running_objective[-1]:.6g}" in lines[-1]


def test_a_bar_goes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    st.minimize("mse", make_data(), method="gd", epochs=5, progress="bar")
    out, err = capfd.readouterr()
    assert out == ""
    assert "5/5" in err
    assert "nan" not in err


def test_textbook_lines_of_several_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    result = st.minimize("mse", make_data(d=2), method="gd", epochs=3, progress="textbook")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    for line, loss in zip(lines, result.history.running_objective, strict=True):
        assert line.startswith("theta: [")
        assert line.endswith(f"| loss: {loss:.2f}")


def test_progress_and_callback_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    epochs: list[int] = []
    st.minimize(
        "mse", P5, method="gd", step_size=0.2, epochs=4, progress="textbook", callback=lambda r: epochs.append(r.epoch)
    )
    assert epochs == [1, 2, 3, 4]
    assert len(capsys.readouterr().out.splitlines()) == 4


@pytest.mark.parametrize("batch_size", [10, 60])
def test_step_tolerance_is_the_largest_change_over_an_epoch(batch_size: int) -> None:
    points: list[Array] = [np.zeros(4)]
    result = st.minimize(
        "mse",
        make_data(),
        method="sgd",
        batch_size=batch_size,
        step_size=st.schedules.Exponential(0.05, factor=0.8),
        tol=st.StepTolerance(1e-4),
        seed=0,
        callback=lambda r: points.append(r.x),
    )
    changes = np.abs(np.diff(points, axis=0)).max(axis=1)
    assert (changes[:-1] >= 1e-4).all()
    assert changes[-1] < 1e-4
    assert (result.status, result.success) == (st.Status.converged, True)
    assert np.array_equal(result.x, points[-1]), "the new parameters are returned"


@pytest.mark.parametrize("history", ["running", "exact"])
@pytest.mark.parametrize("batch_size", [20, 60])
@pytest.mark.parametrize("alpha", [1e-6, 1e-2, 1.0])
def test_tolerance_is_relative_optimality_where_a_bound_exists(alpha: float, batch_size: int, history: str) -> None:
    """Strongly convex by its penalty: the gap told is one, and it is within the tolerance."""
    data = make_data(target="binary")
    objective = st.Objective("log_loss", data, st.L2(alpha))
    optimum = st.minimize("log_loss", data, penalty=st.L2(alpha), method="gd", epochs=60_000).fun
    tol = 1e-3
    options: dict[str, Any] = {"penalty": st.L2(alpha), "tol": tol, "history": history, "epochs": 4000}
    if batch_size < 60:
        options |= {"method": "sgd", "batch_size": batch_size, "step_size": st.schedules.InverseScaling(0.2), "seed": 0}
    else:
        options |= {"method": "gd"}
    if batch_size < 60 and alpha < 1e-3:
        # The bound is far too careful here for the epochs allowed: that must be said, not claimed away.
        with pytest.warns(st.ConvergenceWarning, match="tolerance"):
            result = st.minimize("log_loss", data, **options)
        assert (result.success, result.epochs) == (False, 4000)
        assert result.gap is None or result.gap > tol * result.fun
        return
    result = st.minimize("log_loss", data, **options)
    assert (result.status, result.success) == (st.Status.converged, True)
    assert result.epochs < 4000
    assert result.fun == pytest.approx(objective.value(result.x), rel=1e-12)
    assert result.fun - optimum <= result.gap + 1e-12
    assert result.gap <= tol * result.fun * (1 + 1e-6)
    gradient = objective.gradient(result.x)
    assert result.gap <= gradient @ gradient / (2 * alpha) * (1 + 1e-6) + 1e-13, "no worse than what stopped it"


def test_tolerance_without_a_bound_rests_on_progress() -> None:
    result = st.minimize("log_loss", make_data(target="binary"), method="gd", tol=1e-6, epochs=20_000)
    assert (result.status, result.success) == (st.Status.no_progress, True)
    assert "progress" in result.message
    assert result.gap is None
    falls = -np.diff(result.history.running_objective)
    assert falls[-1] < 1e-6 * result.fun * 5


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("loss", ["squared_error", "huber", "log_loss"])
def test_lack_of_progress_is_not_claimed_where_descent_goes_on(loss: str, seed: int) -> None:
    """Columns of different scales: five plain steps from the result must not find what the run gave up."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(300, 6)) * 10.0 ** rng.uniform(-1, 1, 6)
    z = X @ rng.normal(size=6) + 5 * rng.normal(size=300)
    data = (X, np.sign(z) if loss == "log_loss" else z)
    result = st.minimize(loss, data, step_size="auto", tol=1e-6, epochs=20_000)
    assert result.status is st.Status.no_progress
    further = st.minimize(loss, data, x0=result.x, method="gd", epochs=5)
    assert further.fun >= result.fun * (1 - 1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("penalty", [None, st.L2(1e-2), st.L1(1e-2)])
def test_a_call_with_nothing_else_is_a_success(penalty: Any, dtype: str) -> None:
    """In float32 too, where the gradient never becomes as small as its bound of the gap would want."""
    X, y = st.data.logistic(2000, 5, seed=0, dtype=dtype)
    result = st.minimize("log_loss", (X, y), penalty=penalty)
    assert result.success
    exact = st.minimize("log_loss", (X.astype(float), y), penalty=penalty, method="gd", epochs=2000)
    assert result.fun == pytest.approx(exact.fun, rel=1e-5)


def test_tolerance_zero_is_off() -> None:
    data = make_data()
    result = st.minimize("mse", data, penalty=st.L2(1.0), method="gd", tol=0, epochs=300)
    assert (result.status, result.success, result.epochs) == (st.Status.ran_all_epochs, True, 300)
    assert st.minimize("mse", data, method="gd").epochs == 100
    assert st.minimize("mse", data, method="sgd", batch_size=20).epochs == 10


@pytest.mark.parametrize("tol", [1e-12, st.StepTolerance(1e-12)], ids=["relative", "step"])
def test_running_out_of_epochs_is_no_success(tol: Any) -> None:
    with pytest.warns(st.ConvergenceWarning, match="tolerance was not met") as record:
        result = st.minimize("mse", P5, x0=0.0, method="gd", step_size=1e-3, tol=tol, epochs=20)
    assert record[0].filename == __file__
    assert (result.status, result.success, result.epochs) == (st.Status.ran_all_epochs, False, 20)
    assert "tolerance" in result.message


@pytest.mark.parametrize("batch_size", [6, 60])
@pytest.mark.parametrize("history", ["running", "exact"])
@pytest.mark.parametrize("good", [1, 3, 8])
def test_divergence_returns_the_best_end_of_an_epoch(good: int, history: str, batch_size: int) -> None:
    """Some good epochs, then steps that are far too large: the best end is the last of the good ones."""
    data = make_data()
    objective = st.Objective("mse", data)
    points: list[Array] = []
    with pytest.warns(st.ConvergenceWarning, match="[Dd]iverged") as record:
        result = st.minimize(
            "mse",
            data,
            method="sgd",
            batch_size=batch_size,
            step_size=lambda t: 0.02 if t < good else 5.0,
            epochs=200,
            shuffle=False,
            history=history,
            callback=lambda r: points.append(r.x),
        )
    assert record[0].filename == __file__
    assert (result.status, result.success) == (st.Status.diverged, False)
    assert "step_size" in result.message
    assert len(points) >= good
    values = [objective.value(x) for x in points]
    assert int(np.argmin(values)) == good - 1
    assert np.array_equal(result.x, points[good - 1])
    assert result.fun == pytest.approx(values[good - 1], rel=1e-12)


@pytest.mark.parametrize("loss", ["squared_error", "exponential", "poisson", "log_loss", "squared_hinge"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divergence_always_leaves_finite_numbers(loss: str, dtype: str) -> None:
    X, z = make_data()
    y = np.abs(z) if loss == "poisson" else np.sign(z) if loss != "squared_error" else z
    with pytest.warns(st.ConvergenceWarning):
        result = st.minimize(
            loss, (X.astype(dtype), y), penalty=st.L2(1), method="sgd", batch_size=5, step_size=1e4, epochs=300, seed=0
        )
    assert result.status is st.Status.diverged
    assert np.isfinite(result.x).all()
    assert np.isfinite(result.fun)
    assert result.epochs < 300


def exploding(step_size: Any = None, **more: Any) -> str:
    """Return the message of a run over columns whose units differ too much for any step."""
    X, y = make_data()
    given: dict[str, Any] = {"method": "adagrad", "epochs": 50, "batch_size": 8, "step_size": step_size, "seed": 0}
    with pytest.warns(st.ConvergenceWarning, match="Diverged"):
        return str(st.minimize("mse", (X * 10.0 ** np.arange(0, 4 * X.shape[1], 4), y), **given | more).message)


def test_divergence_advises_what_was_not_tried() -> None:
    smaller = "A smaller step_size, or none at all, should help."
    assert exploding(100.0).endswith(smaller)
    assert exploding(st.schedules.Constant(100.0)).endswith(smaller)
    assert exploding(method=st.optim.AdaGrad(lr=100.0)).endswith(smaller)
    found = exploding()
    assert smaller not in found
    assert "What may help: " in found
    assert f"below the default of {st.optim.AdaGrad.default_lr:g}" in found
    assert "normalize=True where the units of the columns differ" in found
    assert 'method="L-BFGS-B"' in found
    # SciPy's methods refuse groups and balls.
    for penalty, searchable in ((st.GroupLasso(1e-3), False), (st.penalties.L2Ball(1e6), False), (st.L1(1e-3), True)):
        found = exploding(penalty=penalty)
        assert ('method="L-BFGS-B"' in found) is searchable
        assert ('method="gd" with step_size="auto"' in found) is not searchable


def test_growth_is_claimed_only_where_something_grew() -> None:
    assert "the objective grew without bound; x is" in exploding(100.0)
    with pytest.warns(st.ConvergenceWarning, match="^Diverged: the objective was no finite number in batch 1 of epoch"):
        result = st.minimize("mse", [0.0, 1e200], method="sgd", step_size=0.1, batch_size=1, epochs=1, shuffle=False)
    assert "grew" not in result.message
    holes = (lambda theta, batch: math.nan if theta else 3.0, lambda theta, batch: 1.0)
    with pytest.warns(st.ConvergenceWarning, match="no finite number"):
        result = st.minimize(holes, P5, method="adam", batch_size=1, epochs=1)
    assert "grew" not in result.message
    assert "below the default of 0.001" in result.message
    assert "normalize" not in result.message, "there are no columns"


@pytest.mark.parametrize("method", ["gd", "sgd"])
def test_rows_sorted_by_target_are_no_divergence(method: str) -> None:
    """The first rows are no measure of all: here their targets are a million times smaller."""
    y = np.concatenate([np.full(2000, 1e-3), np.full(2000, 1e3)])
    result = st.minimize("mse", y, method=method, step_size=0.01, epochs=20, seed=0)
    assert result.status is st.Status.ran_all_epochs
    assert result.success


@pytest.mark.parametrize("loss", ["squared_error", "huber", "log_cosh", "squared_epsilon_insensitive"])
def test_automatic_steps_may_run_long_after_the_minimum(loss: str) -> None:
    """Where nothing falls any more, steps must not grow until they are infinite."""
    for data in (P5, [0.5, 0.25], make_data()):
        result = st.minimize(loss, data, method="gd", step_size="auto", epochs=6000)
        assert (result.status, result.success) == (st.Status.ran_all_epochs, True)
        assert np.abs(result.jac).max() < 1e-6


def test_a_start_far_away_is_no_divergence() -> None:
    result = st.minimize("mse", P5, x0=1e9, method="gd", step_size=0.2, epochs=200)
    assert result.success
    assert result.x[0] == pytest.approx(14.66)


@pytest.mark.parametrize(
    "x0", [[1, -1, 2], (1.0, -1.0, 2.0), np.array([1, -1, 2]), np.float32([1, -1, 2]), np.array([[1], [-1], [2]])]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_starts_of_every_kind(x0: Any, dtype: str) -> None:
    X, y = make_data(d=3)
    X, y = X.astype(dtype), y.astype(dtype)
    before = np.array(x0)
    result = st.minimize("mse", (X, y), x0=x0, method="gd", step_size=0.01, epochs=1)
    start = np.array([1.0, -1.0, 2.0])
    expected = start - 0.01 * st.Objective("mse", (X, y)).gradient(start)
    np.testing.assert_allclose(result.x, expected, rtol=1e-5 if dtype == "float32" else 1e-12)
    assert result.x.dtype == dtype
    assert result.x.shape == (3,)
    assert np.array_equal(x0, before)


@pytest.mark.parametrize("x0", [3, 3.0, np.float32(3), np.array(3.0), [3.0], True])
def test_scalar_starts(x0: Any) -> None:
    result = st.minimize("mse", P5, x0=x0, method="gd", step_size=0.1, epochs=1)
    assert result.x[0] == pytest.approx(float(np.ravel(x0)[0]) + 0.2 * np.mean(P5 - float(np.ravel(x0)[0])))


def test_the_start_is_zeros_by_default() -> None:
    data = make_data()
    given = st.minimize("mse", data, x0=np.zeros(5), method="gd", epochs=2, fit_intercept=True)
    assert np.array_equal(given.x, st.minimize("mse", data, method="gd", epochs=2, fit_intercept=True).x)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("penalty", [None, st.L2(0.3), st.L1(0.05), st.ElasticNet(0.2, 0.5)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fun_and_jac_are_the_objectives(dtype: str, penalty: Any, intercept: bool) -> None:
    X, y = make_data(n=500, target="binary")
    data = (X.astype(dtype), y)
    weight = np.linspace(0.5, 1.5, 500)
    model: dict[str, Any] = {"sample_weight": weight, "fit_intercept": intercept}
    relative = 1e-12 if dtype == "float64" else 1e-5
    for options in ({"method": "gd"}, {"method": "sgd", "batch_size": 32}, {}, {"step_size": "auto"}):
        result = st.minimize("log_loss", data, penalty=penalty, epochs=5, seed=0, **model, **options)
        value = st.Objective("log_loss", data, penalty, **model).value(result.x)
        assert result.fun == pytest.approx(value, rel=relative)
        # Kinks are left out of the gradient.
        smooth = st.Objective("log_loss", data, **model).gradient(result.x)
        if penalty is not None:
            smooth[:4] += penalty.smooth_gradient(result.coef)
        np.testing.assert_allclose(result.jac, smooth, rtol=relative, atol=relative)
        assert result.jac.shape == result.x.shape


@pytest.mark.parametrize("intercept", [False, True])
def test_coef_and_intercept_are_views_and_predict(intercept: bool) -> None:
    X, y = make_data()
    result = st.minimize("mse", (X, y), fit_intercept=intercept, method="gd", epochs=50)
    assert result.x.shape == (4 + intercept,)
    assert result.coef.shape == (4,)
    assert result.intercept.shape == ()
    assert np.shares_memory(result.coef, result.x)
    assert np.shares_memory(result.intercept, result.x) == intercept
    np.testing.assert_allclose(result.predict(X), X @ result.x[:4] + (result.x[4] if intercept else 0), rtol=1e-14)
    np.testing.assert_allclose(result.predict(X[:2].tolist()), result.predict(X)[:2])
    for wrong in (X[:, :3], X[0], np.zeros((2, 2, 4))):
        with pytest.raises(ValueError, match="X must have shape"):
            result.predict(wrong)


@pytest.mark.parametrize("labels", [(0, 1), (-1, 1), (7, 3), ("no", "yes"), (False, True)])
def test_any_two_labels_give_the_same_fit(labels: tuple[Any, Any]) -> None:
    X, signs = make_data(target="binary")
    low, high = sorted(labels)
    y = np.where(signs > 0, high, low)
    result = st.minimize("log_loss", (X, y), method="gd", epochs=20)
    assert np.array_equal(result.x, st.minimize("log_loss", (X, signs), method="gd", epochs=20).x)
    assert result.classes.tolist() == [low, high]
    assert np.mean(np.where(result.predict(X) > 0, high, low) == y) > 0.8


@pytest.mark.parametrize("options", [{"method": "gd"}, {"method": "sgd", "batch_size": 100}])
def test_l1_gives_exact_zeros(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 12))
    y = X[:, :3] @ [2.0, -3.0, 1.0] + 0.1 * rng.normal(size=400)
    step = 1 / st.Objective("squared_error", (X, y)).smoothness()
    schedule = st.schedules.InverseTime(step / 4, decay=0.2)
    for penalty in (st.L1(0.3), st.ElasticNet(0.4, 0.9)):
        x = st.minimize("squared_error", (X, y), penalty=penalty, step_size=schedule, epochs=200, seed=0, **options).x
        assert (x[:3] != 0).all()
        assert (x[3:] == 0).all()
    assert (st.minimize("squared_error", (X, y), penalty=st.L2(0.3), epochs=200, seed=0, **options).x != 0).all()
    options = {**options, "penalty": st.L1(100.0), "step_size": step, "epochs": 50}
    assert (st.minimize("squared_error", (X, y), x0=np.ones(12), **options).x == 0).all()


def test_an_intercept_is_never_penalised() -> None:
    X, y = make_data()
    result = st.minimize("squared_error", (X, y + 50), penalty=st.L1(1e3), fit_intercept=True, method="gd", epochs=4000)
    assert (result.coef == 0).all()
    assert float(result.intercept) == pytest.approx(np.mean(y + 50), rel=1e-6)


def test_result_is_scipys_and_can_be_pickled() -> None:
    data = make_data()
    result = st.minimize("mse", data, method="sgd", batch_size=10, epochs=2, seed=1)
    for name in ("x", "fun", "jac", "nit", "nfev", "success", "status", "message", "history", "seed"):
        assert result[name] is getattr(result, name)
    assert int(result.status) == 1
    again = pickle.loads(pickle.dumps(result))
    assert np.array_equal(again.x, result.x)
    np.testing.assert_array_equal(again.history.epoch, result.history.epoch)
    further = st.minimize("mse", data, method="sgd", batch_size=10, epochs=2, x0=again)
    assert np.array_equal(further.x, st.minimize("mse", data, method="sgd", batch_size=10, epochs=4, seed=1).x)


def test_evaluations_are_counted() -> None:
    calls = {"value": 0, "gradient": 0}

    def value(theta: float, batch: Array) -> float:
        calls["value"] += 1
        return reference.mse(theta, batch)

    def gradient(theta: float, batch: Array) -> float:
        calls["gradient"] += 1
        return reference.grad_mse(theta, batch)

    result = st.minimize((value, gradient), P5, x0=0.0, method="sgd", batch_size=2, step_size=0.1, epochs=4)
    assert result.nit == 12
    assert result.nfev == calls["gradient"] == calls["value"] == 13


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e6])
@pytest.mark.parametrize("seed", range(12))
def test_the_median_is_found_with_nothing_else(seed: int, scale: float) -> None:
    """Where the loss has no slope to trust, steps circle the minimum until they are told to assume it closer."""
    y = np.random.default_rng(seed).normal(size=20) * scale
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = st.minimize("absolute_error", y)
    assert result.fun == pytest.approx(np.abs(y - np.median(y)).mean(), rel=1e-4)


def test_least_absolute_deviations_reach_the_linear_program() -> None:
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(100, 3)), rng.normal(size=100)
    result = st.minimize("absolute_error", (X, y))
    best = linprog(
        np.r_[np.zeros(6), np.ones(200) / 100],
        A_eq=np.hstack([X, -X, np.eye(100), -np.eye(100)]),
        b_eq=y,
        bounds=(0, None),
    ).fun
    assert result.fun == pytest.approx(best, rel=1e-2)


def test_a_result_keeps_its_views_when_pickled() -> None:
    X, y = st.data.logistic(200, 3, seed=0)
    result = st.minimize("log_loss", (X, y), fit_intercept=True, method="gd", epochs=3)
    for other in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result), result.copy()):
        assert isinstance(other, st.Result)
        assert np.array_equal(other.x, result.x)
        assert np.shares_memory(other.x, other.coef)
        assert np.shares_memory(other.x, other.intercept)
        assert np.array_equal(other.predict(X), result.predict(X))
