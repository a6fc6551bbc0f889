"""The bound of the gap: never below the truth, close to it at convergence, and what a tolerance stops on."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

import members
import steepest as st
from members import Array
from steepest import _gap, _gap_kinks, _gap_losses, _gap_penalties
from tolerances import DTYPES

# Others have no dual.
CONVEX = [name for name in st.losses.available() if st.losses.get(name).convex]
SMOOTH = [name for name in CONVEX if st.losses.get(name).smooth]
KINKED = [name for name in CONVEX if not st.losses.get(name).smooth]
PENALTIES = {"l2": st.L2, "l1": st.L1, "elastic_net": lambda a: st.ElasticNet(a, 0.5)}


def draw(name: str, source: np.random.Generator, n: int, d: int) -> tuple[Array, Array]:
    """Draw a problem whose targets have to do with its rows."""
    loss = st.losses.get(name)
    X = source.normal(size=(n, d))
    z = X @ source.normal(size=(d, 3)) + 0.5 * source.normal(size=(n, 3))
    if loss.kind == "scores" and loss.target == "labels":
        y = z.argmax(axis=1)
        y[:3] = [0, 1, 2]
        return X, y
    if loss.kind == "pointwise":
        z = z[:, 0]
    y = {
        "real": lambda: z + 3,
        "binary": lambda: np.where(z > 0.3, 1.0, -1.0),
        "non_negative": lambda: source.poisson(np.exp(np.clip(z, -2, 2))).astype(float),
        "positive": lambda: np.exp(np.clip(z, -2, 2)),
    }[loss.target]()
    if loss.target == "binary":
        y[:2] = [[1.0], [-1.0]] if y.ndim == 2 else [1.0, -1.0]
    return X, y


def optimum(name: str, X: Array, y: Array, **given: Any) -> float:
    """Find the optimum as well as rounding lets one."""
    method = "trust-ncg" if given["penalty"].smooth else "L-BFGS-B"
    tight = {"gtol": 1e-13} if method == "trust-ncg" else {"gtol": 1e-12, "ftol": 1e-16, "maxcor": 30, "maxiter": 300}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", st.ConvergenceWarning)
        return float(st.minimize(name, (X, y), method=st.methods.get(method, **tight), **given).fun)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("name", SMOOTH)
def test_it_is_never_below_the_truth_and_close_at_convergence(name: str, intercept: bool) -> None:
    source = members.random(name, intercept)
    close = dict.fromkeys(PENALTIES, 0)
    for number in range(36):  # times the losses, with and without intercept: more than a thousand
        X, y = draw(name, source, int(source.integers(6, 30)), int(source.integers(1, 5)))
        kind = ("l2", "l1", "elastic_net")[number % 3]
        given: dict[str, Any] = {"penalty": PENALTIES[kind](10 ** source.uniform(-2, -0.5)), "fit_intercept": intercept}
        if number % 2:
            given["sample_weight"] = source.uniform(0, 2, size=len(y))
        best = optimum(name, X, y, **given)
        # Loose enough that most runs end where the gap is no rounding.
        method, tol = ("L-BFGS-B", None)[number // 3 % 2], 10 ** source.uniform(-3, -0.5)
        runs = [st.minimize(name, (X, y), method=method, tol=tol, seed=number, **given)]
        if number % 2:
            epochs = int(10 ** source.uniform(0, 2))
            runs.append(st.minimize(name, (X, y), method="L-BFGS-B", epochs=epochs, **given))
        for result in runs:
            assert result.gap is not None, result.gap_reason
            true = result.fun - best
            assert result.gap >= true, (given, true, result.gap)
            if result.status.name == "converged" and true > 1e-9 * abs(best):
                assert result.gap <= 10 * true, (given, true, result.gap)
                close[kind] += 1
        if number % 5 == 0:
            plain = st.minimize(name, (X, y), method="sgd", step_size=0.01, epochs=2, batch_size=4, seed=1, **given)
            assert plain.gap >= plain.fun - best
    assert min(close.values()) >= 2, close
    assert sum(close.values()) >= 15, close


def test_a_thousand_were_tried() -> None:
    assert len(SMOOTH) * 2 * 36 >= 1000
    assert [name for name in CONVEX if _gap_losses.dual_of(st.losses.get(name)).kink] == KINKED


@pytest.mark.parametrize("penalty", [st.L2(0.02), st.L1(0.03), st.ElasticNet(0.05, 0.5)], ids=repr)
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize(
    ("name", "method"), [("squared_error", None), ("log_loss", "gd"), ("huber", "saga"), ("softmax", "L-BFGS-B")]
)
def test_a_tolerance_stops_on_it(name: str, method: Any, intercept: bool, penalty: Any) -> None:
    X, y = draw(name, members.random(name, intercept, penalty), 100, 3)
    given: dict[str, Any] = {"penalty": penalty, "fit_intercept": intercept}
    best = optimum(name, X, y, **given)
    for tol in (1e-2, 1e-5):
        result = st.minimize(name, (X, y), method=method, tol=tol, epochs=5000, seed=1, **given)
        true = result.fun - best
        assert result.status.name == "converged", result.message
        assert -1e-12 <= true <= tol * abs(result.fun)
        assert true <= result.gap <= 10 * true + 1e-8 * abs(best)
        assert result.gap_reason is None
        assert result.epochs < 5000


def exactly(name: str, X: Array, y: Array, l1: float, l2: float) -> float:
    """Minimize with an intercept, kinks as constraints."""
    n, d = X.shape
    rows = n
    B = np.hstack([X, -X, np.ones((n, 1))])
    if name in ("multiclass_hinge", "crammer_singer"):
        # A slack for each other class, or one for all of them.
        K, m = int(y.max()) + 1, X.shape[1]
        slacks = n * (K - 1) if name == "multiclass_hinge" else n
        left, right = np.zeros((n * (K - 1), 2 * K * m + K + slacks)), np.ones(n * (K - 1))
        for i in range(n):
            for place, k in enumerate(k for k in range(K) if k != y[i]):
                at = i * (K - 1) + place
                for score, sign in ((y[i], 1.0), (k, -1.0)):
                    left[at, score * m : (score + 1) * m] += sign * X[i]
                    left[at, (K + score) * m : (K + score + 1) * m] -= sign * X[i]
                    left[at, 2 * K * m + score] += sign
                left[at, 2 * K * m + K + (at if name == "multiclass_hinge" else i)] = 1.0
        d, n = K * m, slacks
    elif name in ("hinge", "perceptron"):
        left, right = np.hstack([y[:, None] * B, np.eye(n)]), np.full(n, float(name == "hinge"))
    else:
        low, high = (0.5, 0.5) if name == "quantile" else (1.0, 1.0)
        free = 0.1 if name == "epsilon_insensitive" else 0.0
        left = np.vstack([np.hstack([-low * B, np.eye(n)]), np.hstack([high * B, np.eye(n)])])
        right = np.concatenate([-low * y - free, high * y - free])

    def value(v: Array) -> float:
        w = v[:d] - v[d : 2 * d]
        return float(v[-n:].sum() / rows + l2 / 2 * w @ w + l1 * v[: 2 * d].sum())

    def gradient(v: Array) -> Array:
        w = l2 * (v[:d] - v[d : 2 * d])
        return np.concatenate([w + l1, l1 - w, np.zeros(left.shape[1] - 2 * d - n), np.full(n, 1 / rows)])

    found = scipy.optimize.minimize(
        value,
        np.concatenate([np.zeros(left.shape[1] - n), np.full(n, np.abs(y).max() + 2)]),
        jac=gradient,
        method="SLSQP",
        constraints=[{"type": "ineq", "fun": lambda v: left @ v - right, "jac": lambda v: left}],
        bounds=[(0, None)] * (2 * d) + [(None, None)] * (left.shape[1] - 2 * d - n) + [(0, None)] * n,
        options={"maxiter": 500, "ftol": 1e-13},
    )
    return float(found.fun)


@pytest.mark.parametrize("penalty", [st.L2(0.05), st.L1(0.02), st.ElasticNet(0.04, 0.5)], ids=repr)
@pytest.mark.parametrize("name", KINKED)
def test_losses_with_kinks(name: str, penalty: Any) -> None:
    X, y = draw(name, members.random(name, penalty), 30, 3)
    ratio = penalty.params.get("l1_ratio", float(penalty.name == "l1"))
    best = exactly(name, X, y, penalty.alpha * ratio, penalty.alpha * (1 - ratio))
    given: dict[str, Any] = {"penalty": penalty, "fit_intercept": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", st.ConvergenceWarning)
        result = st.minimize(name, (X, y), method="gd", epochs=200, tol=1e-12, **given)
    true = result.fun - best
    assert result.gap >= true - 1e-12
    assert result.gap <= 10 * true + 1e-7 * abs(best) + 1e-10
    unasked = st.minimize(name, (X, y), method="gd", epochs=3, **given)
    assert unasked.gap >= unasked.fun - best - 1e-12


@pytest.mark.parametrize("name", KINKED)
def test_losses_with_kinks_are_close_to_convergence(name: str) -> None:
    """Within 10 times from 1e-8 of the optimum up, as far as a general solver tells where that is."""
    source = members.random(name, "close")
    close, met = 0, 0
    for number in range(12):
        X, y = draw(name, source, int(source.integers(8, 24)), int(source.integers(1, 4)))
        penalty = PENALTIES[("l2", "l1", "elastic_net")[number % 3]](10 ** source.uniform(-2, -0.5))
        ratio = penalty.params.get("l1_ratio", float(penalty.name == "l1"))
        best = exactly(name, X, y, penalty.alpha * ratio, penalty.alpha * (1 - ratio))
        start = 0.1 * source.normal(size=st.Objective(name, (X, y), fit_intercept=True).n_parameters)
        given: dict[str, Any] = {"penalty": penalty, "fit_intercept": True, "x0": start}
        tol = 10 ** source.uniform(-5, -1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", st.ConvergenceWarning)
            result = st.minimize(name, (X, y), method="gd", epochs=300, tol=tol, **given)
        true = result.fun - best
        assert result.gap >= true - 1e-11
        if true > 1e-8 * abs(best):
            assert result.gap <= 10 * true, (given, true, result.gap)
            close += 1
        # A tolerance ends the run as soon as the bound meets it.
        if result.status.name == "converged":
            assert result.gap <= tol * abs(result.fun) * (1 + 1e-9)
            met += result.epochs < 300
    assert close >= 8
    assert met >= 5 or name == "perceptron"  # its optimum is 0, of which every gap is more than a share


@pytest.mark.parametrize("name", KINKED)
@pytest.mark.parametrize("intercept", [False, True])
def test_kinks_rounded_off(name: str, intercept: bool) -> None:
    """Slopes and curvature are those of the values, and whatever they are about, the slopes are those of the loss."""
    source, loss = members.random(name, "rounded", intercept), st.losses.get(name)
    X, y = draw(name, source, 12, 3)
    scores = 3 if loss.kind == "scores" else 0
    k = 3 * max(1, scores)
    l1, l2 = source.uniform(0.05, 0.1, size=(2, k))
    share = source.dirichlet(np.ones(12))
    rounded = _gap_kinks.RoundedObjective(loss, X, y, share, l1, l2, scores, intercept)
    rounded.width, rounded.width_of_l1 = 8.0, source.uniform(10.0, 30.0, size=k)
    parameters = k + max(1, scores) * intercept
    rounded.recentre(source.normal(size=parameters))
    members.vary(rounded.centre)
    furthest = 0.0
    for _ in range(5):
        x, v = source.normal(size=(2, parameters))
        gradient = rounded.value_and_gradient(x)[1]
        ahead, behind = (rounded.value_and_gradient(x + step * v) for step in (1e-6, -1e-6))
        assert (ahead[0] - behind[0]) / 2e-6 == pytest.approx(gradient @ v, rel=1e-6, abs=1e-8)
        np.testing.assert_allclose(rounded.hessp(x, v), (ahead[1] - behind[1]) / 2e-6, rtol=1e-5, atol=1e-7)
        slopes = rounded.slopes(x)
        assert np.isfinite(_gap_losses.conjugates(loss, slopes, y)).all()
        # s z - l*(s) is nowhere above the loss, and at wide kinks below it somewhere.
        z = X @ x[:k].reshape(max(1, scores), 3).T + (x[k:] if intercept else 0.0)
        of_rows = loss.pointwise(y, np.ascontiguousarray(z) if scores else z[:, 0])
        below = of_rows - (slopes * z).sum(axis=1) + _gap_losses.conjugates(loss, slopes, y)
        assert below.min() >= -1e-12
        furthest = max(furthest, below.max())
    assert furthest > 1e-2


@pytest.mark.parametrize("name", ["hinge", "quantile", "crammer_singer"])
def test_refining_at_kinks_costs_in_proportion_to_the_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few passes where few epochs were seen, none where the data are large, those for the Hessian counted."""
    X, y = draw(name, members.random(name, "cost"), 400, 12)
    given: dict[str, Any] = {"penalty": st.L1(1e-3), "fit_intercept": True, "method": "gd", "tol": 1e-9}
    passes = 0

    def counted(method: Any) -> Any:
        def run(self: Any, *given: Any) -> Any:
            nonlocal passes
            passes += 1
            return method(self, *given)

        return run

    for method in ("value_and_gradient", "hessp"):
        of = _gap_kinks.RoundedObjective
        monkeypatch.setattr(of, method, counted(getattr(of, method)))
    monkeypatch.setattr(_gap, "QUICK", 0)
    counts = {}
    for limit in (_gap.KINKS_REFINED, 0):
        monkeypatch.setattr(_gap, "KINKS_REFINED", limit)
        for epochs in (10, 100):
            passes = 0
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", st.ConvergenceWarning)
                st.minimize(name, (X, y), epochs=epochs, **given)
            looks = [8 << k for k in range(10) if 8 << k <= epochs] + [epochs]
            # Iterations of a search take a pass and, now and then, a few.
            assert passes <= 2 * sum(50 + seen // 2 for seen in looks)
            counts[limit, epochs] = passes
    assert counts[0, 10] == counts[0, 100] == 0
    assert 0 < counts[1 << 21, 10] <= counts[1 << 21, 100]


@pytest.mark.parametrize("name", [name for name in KINKED if st.losses.get(name).target == "real"])
def test_kinks_of_targets_far_from_zero(name: str) -> None:
    """Kinks are rounded off by what predictions miss, which may be little beside the targets."""
    source = members.random(name, "far")
    X = source.normal(size=(50, 4))
    y = 1e4 + X @ [1.0, 2.0, -1.0, 0.5] + source.laplace(size=50)
    result = st.minimize(name, (X, y), method="gd", tol=1e-3, epochs=5000, penalty=st.L2(1e-3), fit_intercept=True)
    best = exactly(name, X, y - 1e4, 0.0, 1e-3)
    assert result.status.name == "converged"
    assert result.fun - best - 1e-7 <= result.gap <= 1e-3 * result.fun


def test_nearest_points_of_the_simplex() -> None:
    v = members.random("simplex").normal(size=(50, 4)) * 2
    near = _gap_kinks.onto_simplex(v)
    np.testing.assert_allclose(near.sum(axis=1), 1.0, rtol=1e-14)
    assert near.min() >= 0
    assert (near == 0).any(axis=1).sum() >= 20
    # No corner is in a direction that leads nearer.
    for corner in np.eye(4):
        assert (((v - near) * (corner - near)).sum(axis=1) <= 1e-12).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("layout", ["C", "F", "scaled", "held out", "constant", "sparse"])
@pytest.mark.parametrize("penalty", [st.ElasticNet(0.05, 0.5), st.NonNegative()], ids=repr)
def test_whatever_the_rows(penalty: Any, layout: str, dtype: Any) -> None:
    source = members.random(layout)
    X, y = draw("huber", source, 200, 4)
    X, y = X.astype(dtype), y.astype(dtype)
    given: dict[str, Any] = {"penalty": penalty, "fit_intercept": layout != "constant"}
    data: Any = (X, y)
    seen: Any = (X.astype(np.float64), y.astype(np.float64))
    if layout == "F":
        data = (np.asfortranarray(X), y)
    elif layout == "scaled":
        scale, shift = source.uniform(0.5, 2, size=(2, 4))
        data, seen = (st.data.scaled(X, scale, shift), y), (seen[0] * scale + shift, seen[1])
    elif layout == "sparse":
        data = (scipy.sparse.csr_array(X), y)
    elif layout == "held out":
        given["validation"] = np.arange(50)
        seen = (seen[0][50:], seen[1][50:])
    elif layout == "constant":
        data, seen = y, y.astype(np.float64)
    result = st.minimize("huber", data, tol=1e-4, **given)
    given.pop("validation", None)
    best = st.minimize("huber", seen, method=st.methods.get("L-BFGS-B", gtol=1e-12, ftol=0.0), **given)
    assert result.status.name == "converged"
    assert result.fun - best.fun <= result.gap <= 1e-4 * result.fun


@pytest.mark.parametrize(
    ("loss", "penalty", "reason"),
    [
        ("log_loss", None, "without an L1 or L2 penalty"),
        ("log_loss", st.L2(0.0), "without an L1 or L2 penalty"),
        ("log_loss", st.Box(-np.inf, np.inf), "without an L1 or L2 penalty"),
        ("hinge", st.L1([0.1, 0.0, 0.2]), "no dual point of hinge is at hand where nothing holds a coefficient"),
        ("softmax", st.Box(0.0, np.inf), "no dual point of softmax is at hand where nothing holds a coefficient"),
        ("tweedie", st.NonNegative(), "no dual point of tweedie is at hand where nothing holds a coefficient"),
        ("perceptron", st.GroupLasso(0.1, [[0, 2]]), "no dual point of perceptron is at hand where nothing holds"),
        ("log_loss", st.penalties.GroupLasso(0.0), "without an L1 or L2 penalty"),
    ],
    ids=repr,
)
def test_where_there_is_none(loss: str, penalty: Any, reason: str) -> None:
    X, y = draw(loss, members.random(loss), 60, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", st.ConvergenceWarning)
        result = st.minimize(loss, (X, y), penalty=penalty, tol=1e-4, epochs=300)
    assert result.gap is None
    assert reason in result.gap_reason
    assert f"There is no bound of the gap: {reason}" in result.message
    quiet = st.minimize(loss, (X, y), penalty=penalty, epochs=3)
    assert quiet.gap is None
    assert reason in quiet.gap_reason
    assert f"There is no bound of the gap: {reason}" in quiet.message


OTHERS = [
    st.penalties.L1Ball(0.8),
    st.penalties.L2Ball(0.5),
    st.penalties.Box(-0.2, 0.3),
    st.penalties.Box([-0.1, 0.0, -1.0, -0.2], [0.1, 0.5, 1.0, -0.1]),
    st.penalties.GroupLasso(0.05, [[0, 1], [2, 3]]),
    st.penalties.GroupLasso(0.05),
    st.L1([0.01, 0.1, 0.02, 0.3]),
    st.L2([0.01, 0.1, 0.02, 0.3]),
    st.ElasticNet([0.01, 0.1, 0.02, 0.3], 0.5),
]


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("penalty", OTHERS, ids=repr)
def test_groups_constraints_and_strengths_per_feature(penalty: Any, intercept: bool) -> None:
    for name in ("huber", "log_loss", "softmax", "multi_squared_error", "absolute_error"):
        source = members.random(name, penalty)
        X, y = draw(name, source, 50, 4)
        given: dict[str, Any] = {"penalty": penalty, "fit_intercept": intercept, "x0": None}
        best = math.inf
        if name != "absolute_error":
            best = st.minimize(name, (X, y), method="gd", epochs=4000, **given).fun
        start = source.normal(size=st.Objective(name, (X, y), fit_intercept=intercept).n_parameters)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", st.ConvergenceWarning)
            for epochs in (1, 5, 40):
                rough = st.minimize(name, (X, y), epochs=epochs, seed=0, **given | {"x0": start})
                best = min(best, rough.fun)
                assert rough.gap >= rough.fun - best - 1e-13 * abs(best)
                assert rough.gap_reason is None
            if name == "absolute_error":
                continue
            for method in (None, "saga"):
                for tolerance in (1e-2, 1e-4):
                    found = st.minimize(name, (X, y), method=method, tol=tolerance, epochs=5000, seed=0, **given)
                    assert found.status.name == "converged"
                    assert found.fun - best - 1e-12 <= found.gap <= tolerance * abs(found.fun) * (1 + 1e-9)


OPEN = [
    st.NonNegative(),
    st.Box(0.0, np.inf),
    st.Box([-np.inf, -0.1, 0.0, -np.inf], [0.2, np.inf, 0.5, np.inf]),
    st.L2([0.1, 0.0, 0.2, 0.0]),
    st.ElasticNet([0.1, 0.0, 0.05, 0.1], 0.5),
    st.GroupLasso(0.05, [[0, 2]]),
]


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("name", [name for name in SMOOTH if _gap_losses.has_limits(st.losses.get(name))])
def test_where_nothing_holds_a_coefficient(name: str, intercept: bool) -> None:
    """Slopes are feasible only where some sums vanish: true bounds, and close ones once the run is near the optimum."""
    source = members.random(name, intercept)
    close = 0
    for penalty in OPEN:
        X, y = draw(name, source, 40, 4)
        X[:, 3] = np.where(source.uniform(size=40) < 0.5, X[:, 3], 2 * X[:, 2])
        y = y if name == "poisson" else y + 0.1 * (st.losses.get(name).target == "positive")
        given: dict[str, Any] = {"penalty": penalty, "fit_intercept": intercept, "seed": 0}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", st.ConvergenceWarning)
            best = st.minimize(name, (X, y), method="gd", epochs=20_000, tol=0, **given)
            for epochs in (1, 4, 30, 200):
                rough = st.minimize(name, (X, y), method="gd", epochs=epochs, **given)
                assert rough.gap_reason is None
                assert rough.gap >= rough.fun - best.fun - 1e-15 * abs(best.fun), (penalty, epochs)
                true = rough.fun - best.fun
                close += rough.gap <= 10 * true + 1e-12 * abs(best.fun)
        assert best.gap is None or best.gap >= 0
        found = st.minimize(name, (X, y), tol=1e-4, epochs=20_000, **given)
        assert found.fun - best.fun <= found.gap * (1 + 1e-12)
        if found.status.name == "converged":
            assert found.gap <= 1e-4 * max(abs(found.fun), 1e-5)
    assert close >= 12


MILD = {name: {"alpha": 0.05} for name in ("l1", "l2", "elastic_net", "group_lasso")}


@pytest.mark.parametrize("penalty", st.penalties.available())
@pytest.mark.parametrize("name", CONVEX)
def test_every_loss_with_every_penalty(name: str, penalty: str) -> None:
    """Never below the truth, and none only where nothing holds a coefficient and slopes cannot be chosen."""
    source = members.random(name, penalty)
    for intercept in (False, True):
        X, y = draw(name, source, 30, 3)
        term = st.penalties.get(penalty, **MILD.get(penalty, {}))
        given: dict[str, Any] = {"penalty": term, "seed": 0}
        given |= {"fit_intercept": intercept, "sample_weight": source.uniform(0, 2, size=30)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", st.ConvergenceWarning)
            runs = [st.minimize(name, (X, y), method="gd", epochs=epochs, **given) for epochs in (1, 5, 400)]
            runs.append(st.minimize(name, (X, y), method="gd", tol=1e-3, epochs=400, **given))
        best = min(run.fun for run in runs)
        conjugate = _gap_penalties.conjugate_of(term.on(runs[0].coef.shape))
        assert conjugate is not None
        for run in runs:
            if run.gap is None:
                assert conjugate.open
                assert not _gap_losses.has_limits(st.losses.get(name))
                assert "nothing holds a coefficient" in run.gap_reason
            else:
                assert run.gap >= run.fun - best - 1e-15 * abs(best)
        if st.losses.get(name).smooth and runs[-1].status.name == "converged":
            assert runs[-1].gap <= 1e-3 * abs(runs[-1].fun) * (1 + 1e-9)


def test_messages_and_bounds_agree() -> None:
    """A run that ends for lack of progress may have a bound; SciPy's messages have no full stop."""
    X, y = draw("log_loss", members.random("messages"), 60, 3)
    bounded = st.minimize("log_loss", (X, y), penalty=st.L1(0.1), fit_intercept=True, tol=1e-15)
    assert bounded.status.name == "no_progress"
    assert bounded.gap > 1e-15 * bounded.fun, "rounding alone takes more"
    assert "no bound" not in bounded.message
    met = st.minimize("log_loss", (X, y), penalty=st.L1(0.1), fit_intercept=True, tol=1e-6, method="L-BFGS-B")
    assert met.status.name == "converged"
    assert met.gap <= 1e-6 * met.fun
    by_scipy = st.minimize("log_loss", (X, y), method="L-BFGS-B")
    assert by_scipy.gap is None
    assert ". There is no bound of the gap: " in by_scipy.message
    assert ".." not in by_scipy.message


def test_traced_losses_say_why() -> None:
    X, y = draw("log_loss", members.random("traced"), 60, 3)

    @st.loss
    def ours(w: Any, x: Any, y: Any) -> Any:
        return st.softplus(-y * (x @ w))

    result = st.minimize(ours, (X, y), penalty=st.L2(0.1), tol=1e-3)
    assert result.gap is None
    assert "not of st.losses" in result.gap_reason


def test_conjugates_are_conjugates() -> None:
    grid = np.linspace(-20, 20, 100_001)
    for name in st.losses.available("pointwise"):
        loss = st.losses.get(name)
        conjugate = _gap_losses.dual_of(loss).conjugate
        if conjugate is None:
            continue
        source = members.random(name)
        y = members.targets(loss, 12, source)
        slopes = np.asarray(loss.gradient(y, source.uniform(-1.5, 1.5, size=12))) * source.uniform(0.2, 1, size=12)
        members.vary(y)
        for target, s in zip(y, slopes, strict=True):
            most = (s * grid - loss.pointwise(np.full(grid.size, target), grid)).max()
            found = float(conjugate(np.array([s]), np.array([target]), loss)[0])
            assert most <= found + 1e-12, name
            assert found - most < 1e-3 * max(1.0, abs(found)), name
            assert math.isfinite(found)


def test_bounds_by_the_gradient_copy_no_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[_gap.Dual] = []
    init = _gap.Dual.__init__
    monkeypatch.setattr(_gap.Dual, "__init__", lambda self, *given: made.append(self) or init(self, *given))
    X, y = draw("log_loss", members.random("copies"), 50, 3)
    for intercept, copied in ((False, False), (True, True)):
        result = st.minimize("log_loss", (X, y), penalty=st.L2(0.1), fit_intercept=intercept, epochs=5)
        assert result.gap >= 0
        assert ("_y" in vars(made[-1])) is copied


@pytest.mark.parametrize("power", [1.1, 1.5, 1.9])
def test_chords_are_above_conjugates(power: float) -> None:
    loss, source = st.losses.Tweedie(power), members.random(power)
    grid = np.linspace(-30, 30, 200_001)
    y = np.round(source.uniform(0, 5, size=12))
    members.vary(y)
    z = source.uniform(-1, 1, size=12)
    slopes = np.asarray(loss.gradient(y, z))
    tangents = slopes * z - loss.pointwise(y, z)
    for share in (1.0, 0.999, 0.6, 0.0):
        bounds = _gap_losses.below_the_chord(loss, slopes[:, None], tangents, share * slopes[:, None], y)
        for target, s, bound in zip(y, share * slopes, bounds, strict=True):
            most = (s * grid - loss.pointwise(np.full(grid.size, target), grid)).max()
            assert most <= bound + 1e-12
            assert bound - most < 1e-6 or share < 1


def test_a_loss_whose_conjugate_nobody_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(_gap_losses.DUALS, "tweedie")
    X, y = draw("tweedie", members.random("nobody"), 60, 3)
    assert st.minimize("tweedie", (X, y), penalty=st.L2(0.1), epochs=3).gap is not None
    for penalty, intercept in ((st.L1(0.1), False), (st.L2(0.1), True)):
        result = st.minimize("tweedie", (X, y), penalty=penalty, fit_intercept=intercept, epochs=3)
        assert result.gap is None
        assert "the conjugate of tweedie is not at hand" in result.gap_reason


def test_next_to_no_curvature_is_no_error() -> None:
    """More columns than rows, and an L2 term too small to bend anything: the bound is useless, the fit is not."""
    data = (np.array([[1.51, -1.79, 1.69, -0.05, -0.8, -0.8]]), np.array([-1.08]))
    options: dict[str, Any] = {"method": "sgd", "batch_size": 1, "epochs": 2, "step_size": 1e-3, "seed": 0}
    result = st.minimize("huber", data, penalty=st.L2(2.2e-311), **options)
    assert np.isfinite(result.x).all()
    assert result.gap is None or result.gap >= 0


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_float32_hides_no_excess(fit_intercept: bool) -> None:
    """Predictions large beside what they miss: rounded, they put the objective below what it is at x."""
    below = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(2000, 4)).astype(np.float32)
        y = (X @ [0.1, 0.2, -0.1, 0.05] + 0.1 * rng.normal(size=2000) + 1e4 * fit_intercept).astype(np.float32)
        given: dict[str, Any] = {"penalty": st.L2(1e-3), "fit_intercept": fit_intercept, "method": "L-BFGS-B"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", st.ConvergenceWarning)  # rounding may end the search for a lower point
            found = st.minimize("squared_error", (X, y), **given, tol=1e-6)
        exact = (X.astype(np.float64), y.astype(np.float64))
        objective = st.Objective("squared_error", exact, penalty=st.L2(1e-3), fit_intercept=fit_intercept)
        at = objective.value(found.x.astype(np.float64))
        below += found.fun < at
        assert found.gap >= at - st.minimize("squared_error", exact, **given, tol=1e-13).fun
    assert below > 0
