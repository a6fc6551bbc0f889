"""Groups, constraints and strengths per feature: values, projections and proximal steps against SciPy, bad input."""

import copy
import itertools
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize

import members
import steepest as st
from members import Array

D = 4
GROUPS: list[Any] = ["rows", "columns", np.array([1, 0, 1, -1]), [[2, 0], [3]], np.arange(D)]
EACH = np.array([0.5, 0.0, 2.0, 1.0])


def variants(name: str) -> list[Any]:
    """Return a penalty with several parameters, also one number per feature, for D coefficients."""
    cls = type(st.penalties.get(name))
    found = members.variants(st.penalties, [name])
    for param in cls._params:
        if param["each"]:
            found.append(cls(**{param["name"]: EACH - 2.5 * (param["name"] == "lower")}))
    if cls._grouped:
        found += [cls(alpha, groups) for groups in GROUPS for alpha in (0.3, 1.5)]
    return found


NAMES = st.penalties.available()
PENALTIES = [penalty for name in NAMES for penalty in variants(name)]
CONSTRAINTS = [penalty for penalty in PENALTIES if penalty.constraint]
coefficients = arrays(np.float64, D, elements=some.floats(-5, 5))
metrics = arrays(np.float64, D, elements=some.floats(0.05, 4.0))


def rough(penalty: Any, w: Array) -> float:
    """Return the part of a penalty that is not smooth, from its formula: smooth parts are sums of squares."""
    if penalty.name == "l2":
        return 0.0
    if penalty.name == "elastic_net":
        penalty = st.L1(
            np.multiply(penalty.alpha, penalty.l1_ratio) if np.ndim(penalty.alpha) else penalty.alpha * penalty.l1_ratio
        )
    return float(members.evaluate(penalty, w=w))


def by_scipy(penalty: Any, w: Array, metric: Array) -> Array:
    """Return the proximal point as a smooth problem under constraints: each kink is the least of a bound above it."""
    groups = members.group_members(penalty, w) if penalty.name == "group_lasso" else []
    sized = penalty.name in ("l1", "elastic_net", "l1_ball")
    extra = D if sized else len(groups)
    strengths = np.zeros(extra)
    if penalty.name in ("l1", "elastic_net"):
        strengths = np.broadcast_to(np.asarray(penalty.alpha) * penalty.params.get("l1_ratio", 1.0), D)
    if groups:
        strengths = np.array([penalty.alpha * math.sqrt(g.size) for g in groups])

    def objective(at: Array) -> float:
        return float((((at[:D] - w) ** 2) / metric).sum() / 2 + strengths @ at[D:])

    def rule(of: Any) -> dict[str, Any]:
        return {"type": "ineq", "fun": of}

    rules = [rule(lambda at: at[D:] - at[:D]), rule(lambda at: at[D:] + at[:D])] if sized else []
    if penalty.name == "l1_ball":
        rules.append(rule(lambda at: penalty.radius - at[D:].sum()))
    if penalty.name == "l2_ball":
        rules.append(rule(lambda at: penalty.radius**2 - at @ at))
    for i, g in enumerate(groups):
        rules += [rule(lambda at, i=i, g=g: at[D + i] ** 2 - at[g] @ at[g]), rule(lambda at, i=i: at[D + i])]
    low = 0.0 if penalty.name == "non_negative" else penalty.params.get("lower", -np.inf)
    high = penalty.params.get("upper", np.inf)
    bounds = [*zip(np.broadcast_to(low, D), np.broadcast_to(high, D), strict=True), *[(None, None)] * extra]
    start = np.concatenate([w * 0.1, np.abs(w)[:extra] if sized else np.full(extra, 1 + np.abs(w).sum())])
    start[:D] = np.clip(start[:D], low, high)
    found = minimize(
        objective, start, method="SLSQP", bounds=bounds, constraints=rules, options={"ftol": 1e-14, "maxiter": 500}
    )
    return np.asarray(found.x[:D])


def test_there_are_at_least_eight() -> None:
    assert len(NAMES) >= 8
    assert {"group_lasso", "non_negative", "box", "l1_ball", "l2_ball"} <= set(NAMES)


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_proximal_steps_are_scipys(penalty: Any) -> None:
    source = members.random(penalty)
    close = 0
    for plain in (True, False):
        w = source.normal(scale=2.0, size=D)
        metric = np.full(D, 0.7) if plain else source.uniform(0.1, 3.0, size=D)
        members.vary(w)
        found = penalty.prox(w, 0.7 if plain else metric)
        expected = by_scipy(penalty, w, metric)

        def objective(u: Array, w: Array = w, metric: Array = metric) -> float:
            return float(((u - w) ** 2 / metric).sum() / 2)

        # SciPy is not exact at the tip of a cone. The farther it stays from the minimum, the worse its objective is.
        behind = 0.0
        if not penalty.constraint:
            behind = objective(expected) + rough(penalty, expected) - objective(found) - rough(penalty, found)
            assert behind >= -1e-9
        assert ((found - expected) ** 2 / metric).sum() <= 2 * behind + 1e-7
        close += np.allclose(found, expected, atol=2e-4)
    assert close >= 1


@given(some.sampled_from(PENALTIES), coefficients, coefficients, metrics)
def test_proximal_points_are_optimal(penalty: Any, w: Array, other: Array, metric: Array) -> None:
    """No point does better, not even those close to the one found."""
    u = penalty.prox(w, metric)

    def objective(v: Array) -> float:
        return float(((v - w) ** 2 / metric).sum() / 2) + rough(penalty, v)

    if penalty.constraint:
        u = u * (1 - 1e-12) if penalty.name.endswith("ball") else u
        other = penalty.prox(other, 1.0)
        other = other * (1 - 1e-12) if penalty.name.endswith("ball") else other
    best = objective(u)
    assert math.isfinite(best)
    for share in (1.0, 0.1, 1e-3):
        assert best <= objective(u + share * (other - u)) + 1e-9 * (1 + best)


@given(some.sampled_from(CONSTRAINTS), coefficients, metrics, some.sampled_from([np.float64, np.float32]))
def test_projections(penalty: Any, w: Array, metric: Array, dtype: Any) -> None:
    for step in (1.0, 3.0, metric):
        u = penalty.prox(w, step)
        assert penalty.value(u) == 0.0
        assert penalty.value(u.astype(np.float32)) == 0.0, "rounding to float32 does not leave the set"
        assert np.array_equal(penalty.prox(u, step), u), "what was projected stays"
        if penalty.value(w) == 0.0 and rough(penalty, w) == 0.0:
            assert np.array_equal(u, w), "what lies inside stays"
    assert np.array_equal(penalty.prox(w, 1.0), penalty.prox(w, 3.0))
    assert not penalty.smooth_gradient(w).any()
    assert not penalty.kink_gradient(w).any()


@given(some.sampled_from(PENALTIES), coefficients)
def test_values_are_their_formulas(penalty: Any, w: Array) -> None:
    exact = float(members.evaluate(penalty, w=w))
    found = penalty.value(w)
    if penalty.constraint and exact != found:
        assert (exact, found) == (math.inf, 0.0), "only ever wider than the formula"
        assert np.allclose(penalty.prox(w, 1.0), w, rtol=1e-5, atol=1e-5)
    elif not penalty.constraint:
        assert found == pytest.approx(exact, rel=1e-12, abs=1e-150)


@pytest.mark.parametrize("penalty", [penalty for penalty in PENALTIES if not penalty.constraint], ids=repr)
def test_gradients_are_differences(penalty: Any) -> None:
    w = members.random(penalty).uniform(0.5, 2.0, size=D) * [1, -1, 1, -1]
    h = 1e-6
    differences = [(penalty.value(w + h * e) - penalty.value(w - h * e)) / (2 * h) for e in np.eye(D)]
    gradient = penalty.smooth_gradient(w) + penalty.kink_gradient(w)
    np.testing.assert_allclose(gradient, differences, rtol=1e-7, atol=1e-8)
    assert not penalty.kink_gradient(np.zeros(D)).any()
    bends = penalty.smooth_gradient(np.ones(D)) - penalty.smooth_gradient(np.zeros(D))
    assert (penalty.curvature, penalty.strong_convexity) == (bends.max(), bends.min())
    assert np.array_equal(penalty.on((D,)).bends, bends)


def test_squares_bend_alike_about_any_centre(monkeypatch: pytest.MonkeyPatch) -> None:
    penalty, (loss, X, y, _) = st.L2([0.5, 0.0, 2.0, 1.0]), problem("squared_error")
    v = np.arange(4.0)
    about_zero = st.Objective(loss, (X, y), penalty).hessp(v, v)
    gradient = st.penalties._core.penalty_gradient
    monkeypatch.setattr(st.penalties._core, "penalty_gradient", lambda terms, w, smooth: gradient(terms, w - 3, smooth))
    assert np.array_equal(penalty.smooth_gradient(v), [-1.5, 0.0, -2.0, 0.0])
    assert (penalty.curvature, penalty.strong_convexity) == (2.0, 0.0)
    assert np.array_equal(st.Objective(loss, (X, y), penalty).hessp(v, v), about_zero)


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_several_scores(penalty: Any) -> None:
    """One number per feature counts for every score; groups of features take theirs from all scores."""
    W = members.random(penalty, "W").normal(size=(3, D))
    fitted = penalty.on((3, D))
    for flat, whole in (
        (fitted.prox(W.ravel(), 0.4), penalty.prox(W, 0.4).ravel()),
        (fitted.smooth_gradient(W.ravel()), penalty.smooth_gradient(W).ravel()),
        (fitted.kink_gradient(W.ravel()), penalty.kink_gradient(W).ravel()),
    ):
        assert np.array_equal(flat, whole)
    assert fitted.value(W.ravel()) == penalty.value(W)
    if not penalty.constraint:
        assert penalty.value(W) == pytest.approx(float(members.evaluate(penalty, w=W)), rel=1e-12)
    if penalty.separable:
        assert np.array_equal(penalty.prox(W, 0.4), [penalty.prox(row, 0.4) for row in W])
    assert fitted == penalty
    for twin in (copy.copy(fitted), copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        assert twin == penalty
        assert hash(twin) == hash(penalty)
        assert twin.value(W.ravel()) == fitted.value(W.ravel())
    again = eval(repr(penalty), vars(st.penalties))
    assert again == penalty


def test_groups_say_the_same_in_several_ways() -> None:
    W = members.random("groups").normal(size=(2, 3))
    lasso = st.penalties.GroupLasso
    same = [
        (lasso(0.5, [[0, 2], [1]]), lasso(0.5, [0, 1, 0]), lasso(0.5, np.array([[7, 3, 7], [7, 3, 7]]))),
        (lasso(0.5, "columns"), lasso(0.5, [[0], [1], [2]]), lasso(0.5, np.arange(3))),
        (lasso(0.5), lasso(0.5, "rows"), lasso(0.5, np.array([[0, 0, 0], [1, 1, 1]]))),
    ]
    for one, *others in same:
        for other in others:
            assert other.value(W) == pytest.approx(one.value(W), rel=1e-15)
            np.testing.assert_allclose(other.prox(W, 0.8), one.prox(W, 0.8), rtol=1e-15)
    assert lasso(0.5, np.array([-1, 0, -1])).prox(W, 100.0)[:, [0, 2]].tolist() == W[:, [0, 2]].tolist()
    assert not lasso(0.5, np.array([-1, 0, -1])).prox(W, 100.0)[:, 1].any()


BAD: list[tuple[Any, dict[str, Any], str]] = [
    ("group_lasso", {"groups": [[0, 1], [1, 2]]}, "feature 1 is in group 0 and in group 1"),
    ("group_lasso", {"groups": [[0, 0]]}, "must not overlap"),
    ("group_lasso", {"groups": [[0], []]}, "group 1 is empty"),
    ("group_lasso", {"groups": [[0, -1]]}, "names feature -1"),
    ("group_lasso", {"groups": [[0.5]]}, "list of whole numbers"),
    ("group_lasso", {"groups": [0.0, 1.0]}, "whole numbers"),
    ("group_lasso", {"groups": np.array([0, -2])}, "numbered from 0"),
    ("group_lasso", {"groups": "features"}, '"rows", "columns"'),
    ("group_lasso", {"groups": []}, "whole numbers"),
    ("group_lasso", {"groups": None}, "whole numbers"),
    ("group_lasso", {"alpha": -1.0}, "alpha must lie in"),
    ("l1", {"alpha": [1.0, -0.5]}, "-0.5 at 1"),
    ("l2", {"alpha": [[1.0, np.nan]]}, "nan at 0, 1"),
    ("elastic_net", {"alpha": [np.inf, 1.0]}, "inf at 0"),
    ("l1", {"alpha": []}, "a number or an array"),
    ("l1", {"alpha": ["a"]}, "a number or an array"),
    ("l1", {"alpha": np.ones((1, 1, 1))}, "shape"),
    ("elastic_net", {"l1_ratio": [0.5]}, "must be a number"),
    ("box", {"lower": 2.0}, "2 > 1"),
    ("box", {"lower": [0.0, 3.0], "upper": [1.0, 2.0]}, "3 > 2 at 1"),
    ("box", {"lower": [0.0, 0.0], "upper": [1.0, 2.0, 3.0]}, "lower has shape"),
    ("box", {"lower": np.nan}, "lower must lie in"),
    ("box", {"lower": np.inf, "upper": np.inf}, "lower must not be inf"),
    ("box", {"lower": -np.inf, "upper": -np.inf}, "upper must not be -inf"),
    ("box", {"lower": [0.0, np.inf], "upper": [1.0, np.inf]}, "lower must not be inf.*; it is at 1"),
    ("box", {"lower": -np.inf, "upper": [[1.0, 1.0], [-np.inf, 1.0]]}, "upper must not be -inf.*; it is at 1, 0"),
    ("l1_ball", {"radius": 0.0}, "radius must lie in"),
    ("l2_ball", {"radius": -1.0}, "radius must lie in"),
    ("l2_ball", {"radius": np.inf}, "radius must lie in"),
    ("l2_ball", {"radius": [1.0, 2.0]}, "must be a number"),
]


@pytest.mark.parametrize(("name", "given", "message"), BAD, ids=str)
def test_bad_input(name: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        st.penalties.get(name, **given)
    assert type(st.penalties.get(name)).__name__ in str(caught.value)


UNFIT = [
    (st.L1([1.0, 2.0]), r"alpha has shape \(2,\)"),
    (st.L2(np.ones((2, 3))), r"alpha has shape \(2, 3\)"),
    (st.penalties.Box(lower=[0.0] * 5), r"lower has shape \(5,\)"),
    (st.penalties.GroupLasso(groups=[[0], [3]]), "name feature 3; there are 3"),
    (st.penalties.GroupLasso(groups=[0, 1]), r"groups has shape \(2,\)"),
]


@pytest.mark.parametrize(("penalty", "message"), UNFIT, ids=repr)
def test_penalties_that_do_not_fit(penalty: Any, message: str) -> None:
    X, y = np.random.default_rng(0).normal(size=(6, 3)), np.arange(6.0)
    for fit_intercept in (False, True):
        with pytest.raises(ValueError, match=message):
            st.minimize("squared_error", (X, y), penalty=penalty, fit_intercept=fit_intercept)
        with pytest.raises(ValueError, match=message):
            st.Objective("squared_error", (X, y), penalty, fit_intercept=fit_intercept)
    with pytest.raises(ValueError, match=message):
        st.minimize("softmax", (X, y.astype(int) % 4), penalty=penalty)
    with pytest.raises(ValueError, match=message):
        penalty.value([1.0, 2.0, 3.0])


def problem(name: str, dtype: Any = np.float64) -> tuple[str, Array, Array, int]:
    source = members.random(name)
    X = source.normal(size=(30, D))
    if name == "softmax":
        return name, X.astype(dtype), source.permutation(np.arange(30) % 3), 3
    return name, X.astype(dtype), (X @ [2.0, -1.0, 0.5, 0.0] + 0.3 * source.normal(size=30)).astype(dtype), 1


@pytest.mark.parametrize("method", ["gd", None, "saga", "adagrad", "nesterov", "ftrl", "schedule_free_sgd"])
@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_minima_are_those_of_another_way(penalty: Any, method: str | None) -> None:
    """At the minimum a proximal gradient step goes nowhere; rules with a metric of their own must find the same."""
    loss, X, y, _ = problem("squared_error")
    objective = st.Objective(loss, (X, y), penalty, fit_intercept=True)
    plain = st.Objective(loss, (X, y), fit_intercept=True)
    options: dict[str, Any] = {"batch_size": len(y), "epochs": 3000, "tol": 0}
    if method in ("adagrad", "ftrl"):
        options["step_size"] = 1.0
    if method == "gd":
        options = {"epochs": 3000, "tol": 0}
    if method is None:
        options = {"epochs": 3000, "tol": 1e-13}
    if method == "saga":
        options = {"epochs": 400, "batch_size": 4, "seed": 0}
    x0 = np.linspace(-9.0, 9.0, D + 1)
    found = st.minimize(loss, (X, y), x0=x0, method=method, penalty=penalty, fit_intercept=True, **options)
    step = 1 / plain.smoothness()
    moved = found.x - step * plain.gradient(found.x)
    moved[:D] -= step * penalty.smooth_gradient(found.x[:D])
    moved[:D] = penalty.prox(moved[:D], step)
    tolerance = 1e-2 if method == "ftrl" else 2e-3 if method in ("adagrad", "schedule_free_sgd") else 1e-5
    np.testing.assert_allclose(found.x, moved, atol=tolerance)
    assert math.isfinite(found.fun)
    assert found.fun == pytest.approx(objective.value(found.x), rel=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("penalty", CONSTRAINTS, ids=repr)
def test_starts_outside_are_projected(penalty: Any, dtype: Any) -> None:
    for name, intercept in itertools.product(("squared_error", "softmax"), (False, True)):
        loss, X, y, scores = problem(name, dtype)
        size = scores * D
        x0 = members.random(penalty, name).normal(scale=20.0, size=size + scores * intercept).astype(dtype)
        seen: list[Array] = []
        result = st.minimize(
            loss,
            (X, y),
            x0=x0,
            penalty=penalty,
            method="sgd",
            step_size=1e-30,
            epochs=2,
            batch_size=7,
            fit_intercept=intercept,
            callback=lambda r, seen=seen: seen.append(r.x.copy()),
        )
        shape = (scores, D) if scores > 1 else (D,)
        expected = penalty.prox(x0[:size].astype(np.float64).reshape(shape), 1.0).ravel()
        np.testing.assert_allclose(result.x[:size], expected, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-20)
        np.testing.assert_allclose(result.x[size:], x0[size:], rtol=1e-6)
        assert math.isfinite(result.fun)
        again = st.minimize(
            loss,
            (X, y),
            x0=result,
            penalty=penalty,
            method="sgd",
            step_size=1e-30,
            epochs=1,
            batch_size=7,
            fit_intercept=intercept,
        )
        assert np.allclose(again.x, result.x, rtol=1e-15, atol=1e-20), "projected once, and then it stays"


@pytest.mark.parametrize("name", st.optim.available())
@pytest.mark.parametrize("penalty", CONSTRAINTS[::3], ids=repr)
def test_no_rule_leaves_the_set(penalty: Any, name: str) -> None:
    loss, X, y, _ = problem("squared_error", np.float32)
    found = st.minimize(
        loss,
        (X, y),
        method=st.optim.get(name, lr=0.3, clip_norm=5.0),
        penalty=penalty,
        batch_size=4,
        epochs=4,
        seed=1,
        callback=lambda r: assert_inside(penalty, r.x),
    )
    assert_inside(penalty, found.x)
    assert math.isfinite(found.fun)


def assert_inside(penalty: Any, x: Array) -> None:
    assert penalty.value(x) == 0.0, x


def test_parameters_of_ones_own_in_a_matrix_have_rows() -> None:
    """Groups by row and strengths per column mean the same whoever wrote the loss."""
    source = members.random("matrix")
    X = source.normal(size=(40, D))
    Y = X @ source.normal(size=(D, 3)) * [1.0, 0.02, 2.0] + 0.1 * source.normal(size=(40, 3))

    @st.loss
    def traced(W: Any, x: Any, y: Any) -> Any:
        return 0.5 * st.sum((x @ st.transpose(W) - y) ** 2, axis=-1)

    def value(W: Array, batch: Any) -> float:
        return float(0.5 * ((batch[0] @ W.T - batch[1]) ** 2).sum() / len(batch[1]))

    def slope(W: Array, batch: Any) -> Array:
        return np.asarray((batch[0] @ W.T - batch[1]).T @ batch[0] / len(batch[1]))

    for penalty in (st.penalties.GroupLasso(0.2), st.L1(EACH)):
        built_in = st.minimize(
            "multi_squared_error", (X, Y), penalty=penalty, method="sgd", batch_size=8, step_size=0.1, epochs=20, seed=0
        )
        assert 0 < np.count_nonzero(built_in.x) < built_in.x.size
        for loss in (traced, (value, slope)):
            x0 = np.zeros((3, D))
            found = st.minimize(
                loss, (X, Y), x0=x0, penalty=penalty, method="sgd", batch_size=8, step_size=0.1, epochs=20, seed=0
            )
            np.testing.assert_allclose(found.x, built_in.x, atol=1e-12)
            assert found.fun == pytest.approx(built_in.fun)
        objective = st.Objective(traced, (X, Y), penalty, x0=x0)
        assert objective.value(built_in.x) == pytest.approx(built_in.fun)
