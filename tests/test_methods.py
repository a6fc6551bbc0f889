"""The list of methods that need the data, and SciPy's over the core's derivatives."""

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.optimize

import members
import steepest as st
from steepest import methods
from tolerances import DTYPES

SCIPY = [name for name in methods.available() if isinstance(methods.get(name), methods.SciPyMethod)]
SECOND_ORDER = [name for name in SCIPY if methods.get(name).second_order]  # type: ignore[attr-defined]
each_method = pytest.mark.parametrize("name", SCIPY)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def data(n: int = 300, d: int = 5, dtype: Any = np.float64, seed: int = 0) -> tuple[Any, Any]:
    X, y = st.data.logistic(n, d, seed=seed, dtype=dtype)
    members.vary(X, y)
    return X, y


def test_the_list() -> None:
    names = methods.available()
    assert set(names) == {"saga", "svrg", "BFGS", "CG", "L-BFGS-B", "Newton-CG", "trust-krylov", "trust-ncg"}
    for name in names:
        for spelling in (name, name.upper(), name.lower()):
            assert methods.get(spelling).name == name
        method = methods.get(name)
        assert eval(repr(method), vars(methods)) == method
        assert pickle.loads(pickle.dumps(method)) == copy.deepcopy(method) == method
        assert hash(methods.get(name)) == hash(method)
    assert methods.get("L-BFGS-B", maxcor=5).options == {"maxcor": 5}
    assert methods.get("L-BFGS-B", maxcor=5) != methods.get("L-BFGS-B")
    for wrong in ("no_such_thing", "", None, 3):
        with pytest.raises(ValueError, match="unknown method") as caught:
            methods.get(wrong)  # type: ignore[arg-type]
        assert all(name in str(caught.value) for name in names)


@pytest.mark.parametrize(
    ("name", "options", "error", "words"),
    [
        ("L-BFGS-B", {"xtol": 1e-3}, ValueError, "no option 'xtol'.*maxcor"),
        ("saga", {"every": 1.0}, ValueError, "no option 'every'; there are: none"),
        ("L-BFGS-B", {"maxiter": 0}, ValueError, "maxiter must be at least 1"),
        ("L-BFGS-B", {"maxiter": 2.5}, TypeError, "maxiter must be a whole number"),
        ("BFGS", {"gtol": -1e-3}, ValueError, "gtol must be at least 0"),
        ("BFGS", {"gtol": "small"}, TypeError, "gtol must be a number"),
        ("BFGS", {"gtol": float("inf")}, ValueError, "gtol must be finite"),
        ("trust-krylov", {"inexact": 1}, TypeError, "inexact must be True or False"),
        ("svrg", {"every": 0}, ValueError, "every must be positive"),
    ],
)
def test_options_that_cannot_be(name: str, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        methods.get(name, **options)


@each_method
@each_dtype
@pytest.mark.parametrize("loss", ["log_loss", "softmax"])
def test_they_find_the_optimum(name: str, dtype: Any, loss: str) -> None:
    X, y = data(dtype=dtype)
    weight = members.random(name).uniform(0.2, 2, size=len(y)).astype(dtype)
    if loss == "softmax":
        y = np.digitize(X @ np.arange(5), [-1.0, 2.0]) + 7
    given = {"penalty": st.L2(0.01), "sample_weight": weight, "fit_intercept": True}
    objective = st.Objective(loss, (X.astype(np.float64), y), **given)
    best = scipy.optimize.minimize(
        objective.value_and_gradient, np.zeros(objective.n_parameters), jac=True, method="BFGS", options={"gtol": 1e-9}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", st.ConvergenceWarning)  # the last digits of float32
        result = st.minimize(loss, (X, y), method=name, **given)
    assert result.status.name in ("converged", "no_progress")
    assert result.x.dtype == dtype
    exact = dtype == np.float64
    assert result.fun - best.fun == pytest.approx(0, abs=1e-6 if exact else 3e-6)
    assert np.abs(objective.gradient(result.x)).max() < (1e-4 if exact else 5e-3)
    assert result.fun == pytest.approx(objective.value(result.x), rel=1e-12 if exact else 1e-6)
    assert result.jac == pytest.approx(objective.gradient(result.x), abs=1e-12 if exact else 1e-5)
    assert result.coef.shape == ((5,) if loss == "log_loss" else (3, 5))
    assert result.nit == result.epochs == len(result.history.epoch) > 1
    assert result.nfev > result.nit
    falls = np.diff(result.history.running_objective)
    assert (falls < 1e-6).all()
    assert falls.min() < 0


@each_method
def test_results_are_like_the_loops(name: str) -> None:
    X, y = data()
    with pytest.warns(st.ConvergenceWarning):
        few = st.minimize("log_loss", (X, y), method=methods.get(name, maxiter=2), penalty=st.L2(0.01))
    assert (few.status.name, few.success, few.nit) == ("ran_all_epochs", False, 2)
    asked = st.minimize("log_loss", (X, y), method=name, epochs=2, penalty=st.L2(0.01))
    assert (asked.status.name, asked.success, asked.nit) == ("ran_all_epochs", True, 2)
    assert np.array_equal(asked.x, few.x)
    more = st.minimize("log_loss", (X, y), method=name, x0=few, penalty=st.L2(0.01))
    assert more.fun < few.fun
    assert (more.nit, more.nfev) > (few.nit, few.nfev)
    again = st.minimize("log_loss", (X, y), method="gd", x0=more, epochs=1, penalty=st.L2(0.01))
    assert again.nit == more.nit + 1
    assert set(more) == set(again)
    assert st.minimize("log_loss", (X, y), method=name, epochs=2, history=False).history is None
    twin = pickle.loads(pickle.dumps(more))
    assert np.array_equal(twin.coef, more.coef)


@each_method
def test_callbacks_stop_or_raise(name: str) -> None:
    X, y = data()
    seen: list[Any] = []

    def stop(intermediate: Any) -> bool:
        seen.append(intermediate)
        return len(seen) == 3

    result = st.minimize("log_loss", (X, y), method=name, penalty=st.L2(1e-3), callback=stop)
    assert (result.status.name, result.success, result.nit) == ("stopped", True, 3)
    assert np.array_equal(seen[-1].x, result.x)
    assert [each.epoch for each in seen] == [1, 2, 3]
    assert [each.fun for each in seen] == result.history.running_objective.tolist()

    def ask_to_end(intermediate: Any) -> None:
        raise StopIteration

    assert st.minimize("log_loss", (X, y), method=name, callback=ask_to_end).nit == 1
    error = ZeroDivisionError("mine")

    def fail(intermediate: Any) -> None:
        raise error

    with pytest.raises(ZeroDivisionError) as caught:
        st.minimize("log_loss", (X, y), method=name, callback=fail)
    assert caught.value is error

    def interrupt(intermediate: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(st.Interrupted) as stopped:
        st.minimize("log_loss", (X, y), method=name, callback=interrupt)
    reached = stopped.value.result
    assert reached.status.name == "interrupted"
    assert np.any(reached.x != 0)


@each_method
def test_tolerances(name: str) -> None:
    X, y = data()
    loose = st.minimize("log_loss", (X, y), method=name, penalty=st.L2(0.01), tol=1e-2)
    tight = st.minimize("log_loss", (X, y), method=name, penalty=st.L2(0.01), tol=1e-9)
    assert loose.success
    assert tight.success
    assert loose.nit <= tight.nit
    assert loose.fun >= tight.fun
    best = st.minimize("log_loss", (X, y), penalty=st.L2(0.01), tol=1e-13, epochs=10_000).fun
    assert -1e-13 <= tight.fun - best <= 1e-9 * best
    assert loose.fun - best <= 1e-2 * best
    moved = st.minimize("log_loss", (X, y), method=name, penalty=st.L2(0.01), tol=st.StepTolerance(1e-2))
    assert moved.status.name == "converged"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", st.ConvergenceWarning)
        assert moved.nit < st.minimize("log_loss", (X, y), method=name, penalty=st.L2(0.01), tol=0).nit + 10


@each_dtype
@pytest.mark.parametrize("penalty", [st.L1(0.05), st.ElasticNet(0.1, 0.7)], ids=repr)
@pytest.mark.parametrize("loss", ["squared_error", "log_loss", "softmax"])
def test_l1_goes_by_bounds(loss: str, penalty: Any, dtype: Any) -> None:
    X, y = data(dtype=dtype)
    X = np.hstack([X, 0.3 * np.roll(X, 7, axis=0)])  # of which half says nothing
    y = (X[:, 0] + 0.1 * y if loss == "squared_error" else y).astype(dtype)
    given = {"penalty": penalty, "fit_intercept": True}
    result = st.minimize(loss, (X, y), method=methods.get("L-BFGS-B", gtol=1e-7), **given)
    best = st.minimize(loss, (X, y), tol=1e-12, epochs=20_000, **given)
    assert result.success
    assert result.fun == pytest.approx(best.fun, abs=1e-8 if dtype == np.float64 else 1e-6)
    assert result.fun == pytest.approx(st.Objective(loss, (X, y), **given).value(result.x), rel=1e-6)
    assert np.count_nonzero(result.coef == 0) == np.count_nonzero(np.abs(best.coef) < 1e-4) > 0


@pytest.mark.parametrize("loss", ["squared_error", "huber", "log_cosh", "modified_huber"])
def test_l1_meets_a_tolerance(loss: str) -> None:
    """Bounds that cut steps short spoil L-BFGS-B's memory: it begins anew rather than stop short of the optimum."""
    source = members.random(loss)
    for number in range(12):
        n, d = int(source.integers(10, 60)), int(source.integers(2, 8))
        X = source.normal(size=(n, d))
        y = X @ source.normal(size=d) + 0.5 * source.normal(size=n)
        if loss == "modified_huber":
            y = np.where(y > 0, 1.0, -1.0)
            y[:2] = [1, -1]
        alpha = 10 ** source.uniform(-3, -0.5)
        penalty = st.L1(alpha) if number % 2 else st.ElasticNet(alpha, 0.5)
        given: dict[str, Any] = {"method": "L-BFGS-B", "penalty": penalty, "fit_intercept": True, "tol": 1e-4}
        result = st.minimize(loss, (X, y), epochs=1000, **given)
        assert result.status.name == "converged", (given, result.gap)
        assert result.gap <= 1e-4 * abs(result.fun)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", st.ConvergenceWarning)
            for epochs in (1, 2, 7, 13):
                assert st.minimize(loss, (X, y), epochs=epochs, **given).epochs <= epochs


EACH = [0.01, 0.02, 0.05, 0.1, 0.2]


@pytest.mark.parametrize(
    "penalty",
    [
        st.penalties.NonNegative(),
        st.penalties.Box(-0.3, 0.4),
        st.penalties.Box(np.negative(EACH), EACH[::-1]),
        st.L1(EACH),
        st.ElasticNet(EACH, 0.5),
    ],
    ids=repr,
)
@pytest.mark.parametrize("loss", ["log_loss", "multi_squared_error"])
def test_boxes_and_strengths_per_feature(loss: str, penalty: Any) -> None:
    X, y = data()
    y = np.stack([y, X[:, 1] - X[:, 2]], axis=1) if loss == "multi_squared_error" else y
    start = members.random(loss, penalty).normal(size=12 if loss == "multi_squared_error" else 6)
    given: dict[str, Any] = {"penalty": penalty, "fit_intercept": True, "x0": start}
    result = st.minimize(loss, (X, y), method=st.methods.get("L-BFGS-B", gtol=1e-8), **given)
    best = st.minimize(loss, (X, y), tol=1e-13, epochs=20_000, **given)
    assert result.success
    assert result.fun == pytest.approx(best.fun, abs=1e-9)
    assert result.x == pytest.approx(best.x, abs=1e-3)
    if penalty.constraint:
        assert np.isfinite(penalty.value(result.coef))
        assert np.any(result.coef == penalty.prox(result.coef, 1.0)), "some bound is met"
    with pytest.raises(ValueError, match="BFGS needs a smooth objective"):
        st.minimize(loss, (X, y), method="BFGS", penalty=penalty, fit_intercept=True)


def test_other_constraints_are_refused() -> None:
    with pytest.raises(ValueError, match="kinks that SciPy's methods do not know"):
        st.minimize("log_loss", data(), method="L-BFGS-B", penalty=st.penalties.get("l2_ball"))


def test_traced_losses_and_losses_outside() -> None:
    X, y = data()

    @st.loss
    def traced(w: Any, x: Any, y: Any) -> Any:
        return st.softplus(-y * (x @ w))

    best = st.minimize("log_loss", (X, y), method="Newton-CG")
    for name in SCIPY:
        assert st.minimize(traced, (X, y), method=name).fun == pytest.approx(best.fun, abs=1e-7)

    def value(theta: Any, batch: Any) -> Any:
        return np.logaddexp(0, -batch[1] * (batch[0] @ theta)).mean()

    def gradient(theta: Any, batch: Any) -> Any:
        return batch[0].T @ (-batch[1] / (1 + np.exp(batch[1] * (batch[0] @ theta)))) / len(batch[1])

    outside = st.minimize((value, gradient), (X, y), x0=np.zeros(5), method="L-BFGS-B")
    assert outside.fun == pytest.approx(best.fun, abs=1e-7)
    error = RuntimeError("mine")

    def fail(theta: Any, batch: Any) -> Any:
        raise error

    with pytest.raises(RuntimeError) as caught:
        st.minimize((value, fail), (X, y), x0=np.zeros(5), method="L-BFGS-B")
    assert caught.value is error
    with pytest.raises(ValueError, match="Newton-CG needs second derivatives"):
        st.minimize((value, gradient), (X, y), x0=np.zeros(5), method="Newton-CG")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"method": "BFGS", "penalty": st.L1(0.1)}, "BFGS needs a smooth objective.*L-BFGS-B"),
        ({"method": "L-BFGS-B", "step_size": 0.1}, "finds its steps itself"),
        ({"method": "L-BFGS-B", "batch_size": 10}, "takes all 300 rows"),
        ({"method": methods.get("CG", maxiter=5), "epochs": 5}, "limited twice"),
        ({"method": "L-BFGS"}, "unknown method 'L-BFGS'.*L-BFGS-B.*trust-ncg"),
    ],
    ids=str,
)
def test_contradictions(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        st.minimize("log_loss", data(), **given)


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_second_order_wants_smooth_losses(name: str) -> None:
    with pytest.raises(ValueError, match="hinge has kinks"):
        st.minimize("hinge", data(), method=name)


@each_method
def test_numbers_that_are_not_finite(name: str) -> None:
    X, y = data()
    X[7, 2] = np.nan
    with pytest.raises(ValueError, match="X holds NaN, first in row 7, column 2"):
        st.minimize("log_loss", (X, y), method=name, check_finite=False)


def test_progress_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    st.minimize("log_loss", data(), method="L-BFGS-B", epochs=3, progress="lines")
    assert capsys.readouterr().err.count("objective") == 3


def test_ctrl_c_while_parameters_are_rounded_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("steepest._precondition.gram_matrix", interrupted)
    X, y = st.data.logistic(500, 4, seed=3)
    with pytest.raises(st.Interrupted) as stopped:
        st.minimize("log_loss", (X, y), method=st.methods.get("L-BFGS-B", precondition=True), epochs=5)
    assert np.array_equal(stopped.value.result.x, np.zeros(4))


def test_kinks_of_the_loss_are_searched_in_plain_parameters() -> None:
    """Asked for, other parameters take another way; by themselves they are for smooth losses."""
    X, y = st.data.logistic(300, 3, seed=4)
    for name in ("log_loss", "hinge"):
        runs = [
            st.minimize(name, (X, y), penalty=st.L2(1e-2), method=st.methods.get("L-BFGS-B", **asked), tol=1e-4).x
            for asked in ({}, {"precondition": True}, {"precondition": False})
        ]
        plain = 2 if name == "hinge" else 1
        assert np.array_equal(runs[0], runs[plain])
        assert not np.array_equal(runs[0], runs[3 - plain])


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_a_search_that_leaves_the_numbers_claims_no_growth(bad: float) -> None:
    """The method finds its steps itself: nothing is advised about them."""
    holes = (lambda theta, batch: bad if theta else 3.0, lambda theta, batch: 1.0)
    with pytest.warns(st.ConvergenceWarning, match="Diverged"):
        result = st.minimize(holes, [1.0, 2.0], method="BFGS" if np.isnan(bad) else "L-BFGS-B")
    assert result.message.startswith("Diverged: the objective was no finite number where the search ended. What may")
    assert "step_size" not in result.message
    assert "grew" not in result.message


@pytest.mark.parametrize(
    ("loss", "dtype", "why"),
    [("log_loss", np.float32, "the limit of float32's rounding"), ("perceptron", np.float64, "a kink of perceptron")],
)
def test_a_line_search_that_fails_is_told_in_plain_words(loss: str, dtype: Any, why: str) -> None:
    X, y = data(dtype=dtype)
    failed = []
    random = (np.random.default_rng(seed).normal(size=X.shape[1]).astype(dtype) for seed in range(40))
    for x0 in (None, *random):  # which starts lead there hangs on the last bits
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", st.ConvergenceWarning)
            result = st.minimize(loss, (X, y), method="L-BFGS-B", tol=1e-12, epochs=2000, x0=x0)
        failed += [result.message] * ("ABNORMAL" in result.message)
    assert failed
    expected = f"The line search found no lower point, which is usually {why} (SciPy says ABN"
    assert all(message.startswith(expected) for message in failed)
