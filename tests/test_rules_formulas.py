"""Update rules over the whole list: agreement with NumPy, clipping and decay, going on, what is reported."""

import itertools
import math
import os
import signal
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import steepest as st
from rule_formulas import FORMULAS, Run
from tolerances import DTYPE_NAMES, closeness, tolerances

Array = NDArray[Any]

N, D = 29, 4
# With the strengths of |w|_1 and of |w|^2 / 2 in them.
PENALTIES: dict[str, tuple[Any, float, float]] = {
    "none": (None, 0.0, 0.0),
    "l1": (st.L1(0.03), 0.03, 0.0),
    "l2": (st.L2(0.3), 0.0, 0.3),
    "elastic_net": (st.ElasticNet(0.1, 0.4), 0.04, 0.06),
}
STEPS: dict[str, Any] = {"constant": 0.05, "falling": lambda t: 0.07 / (1 + t), "rising": lambda t: 0.02 * (1 + t)}
OTHERS: dict[str, list[dict[str, float]]] = {
    "momentum": [{"momentum": 0.6, "dampening": 0.3}],
    "nesterov": [{"momentum": 0.5}],
    "adagrad": [{"eps": 0.01, "initial_accumulator_value": 0.2}],
    "rmsprop": [{"alpha": 0.8, "eps": 0.1, "momentum": 0.7}],
    "adam": [{"beta1": 0.5, "beta2": 0.7, "eps": 0.01}],
    "adamw": [{"beta1": 0.5, "beta2": 0.7, "eps": 0.01}],
    "ftrl": [{"beta": 0.3, "l1": 0.5, "l2": 2.0}, {"beta": 0.0}],
    "averaged_sgd": [{"t0": 3.0}],
    "schedule_free_sgd": [{"momentum": 0.5}],
    "schedule_free_adamw": [{"beta1": 0.4, "beta2": 0.8, "eps": 0.02}],
    "dog": [{"reps_rel": 0.05, "eps": 0.1}],
}
RULES = st.optim.available()


def make_data(loss: Any, dtype: str, seed: int = 3) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    X = random.normal(size=(N, D)) * [1.0, 0.5, 2.0, 0.8]
    z = X @ random.normal(size=D) + random.normal(size=N)
    if isinstance(loss, st.losses.RowLoss):
        Z = np.stack([z, random.normal(size=N)], axis=1)
        y = Z.argmax(axis=1) if loss.target == "labels" else np.sign(Z) if loss.target == "binary" else Z
        return X.astype(dtype), y
    y = np.where(z > 0, 1.0, -1.0) if loss.target == "binary" else z if loss.target == "real" else np.abs(z) + 0.1
    assert np.unique(y).size == (2 if loss.target == "binary" else N)
    return X.astype(dtype), y.astype(dtype)


def assert_follows(
    rule: Any,
    loss_name: str = "log_loss",
    dtype: str = "float64",
    batch_size: int = 7,
    penalty: str = "none",
    steps: str = "constant",
    epochs: int = 3,
) -> list[Array]:
    """Compare with the formula after every epoch, which with full batches is every update; return the path."""
    loss = st.losses.get(loss_name)
    X, y = make_data(loss, dtype)
    x0 = np.linspace(0.9, -0.7, D + 1).astype(dtype)
    random = np.random.default_rng(5)
    orders = [random.permutation(N) for _ in range(epochs)]
    batches = [order[i : i + batch_size] for order in orders for i in range(0, N, batch_size)]
    per_epoch = len(batches) // epochs
    given, (member, l1, l2) = STEPS[steps], PENALTIES[penalty]
    factor = 20.0 if rule.name == "dog" else 1.0  # its steps are shares of a distance
    step = (lambda t: factor * given(t)) if callable(given) else factor * given
    seen: list[Array] = []
    result = st.minimize(
        loss,
        (X, y),
        x0=x0,
        method=rule,
        step_size=step,
        batch_size=batch_size,
        penalty=member,
        epochs=epochs,
        shuffle=orders.__getitem__,
        fit_intercept=True,
        callback=lambda r: seen.append(r.x),
    )
    run = Run(
        loss,
        X.astype(np.float64),
        y.astype(np.float64),
        batches,
        (lambda k: step(k / per_epoch)) if callable(step) else lambda k: step,
        l1,
        l2,
        rule.clip_norm or math.inf,
        rule.clip_value or math.inf,
        rule.weight_decay,
        rule.decoupled,
    )
    path = list(itertools.islice(FORMULAS[rule.name](x0.astype(np.float64), run, **rule.params), len(batches)))
    expected = path[per_epoch - 1 :: per_epoch]
    assert len(seen) == len(expected) == epochs
    assert np.abs(expected[-1] - x0).max() > 1e-6, "nothing moved"
    for x, x_expected in zip(seen, expected, strict=True):
        assert x.dtype == dtype
        np.testing.assert_allclose(
            x, x_expected, **closeness(tolerances(dtype).rules), err_msg=f"{rule} {penalty} {steps}"
        )
    assert np.array_equal(result.x, seen[-1])
    return seen


def test_every_rule_has_a_formula() -> None:
    assert set(FORMULAS) == set(RULES)
    assert len(RULES) >= 12
    assert {name for name in RULES if st.optim.get(name).params} == set(OTHERS)


@pytest.mark.parametrize("dtype", DTYPE_NAMES)
@pytest.mark.parametrize("batch_size", [1, 7, N])
@pytest.mark.parametrize("name", RULES)
def test_agrees_with_the_formula(name: str, batch_size: int, dtype: str) -> None:
    rules = [st.optim.get(name, **params) for params in ({}, *OTHERS.get(name, []))]
    paths = set()
    losses = itertools.cycle(("log_loss", "squared_error", "huber"))
    for rule, penalty in itertools.product(rules, PENALTIES):
        paths.add(assert_follows(rule, next(losses), dtype, batch_size, penalty)[-1].tobytes())
    assert len(paths) == len(rules) * len(PENALTIES), "every parameter and penalty should matter"


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("name", RULES)
def test_schedules_agree_with_the_formula(name: str, steps: str) -> None:
    for penalty in PENALTIES:
        assert_follows(st.optim.get(name), penalty=penalty, steps=steps, batch_size=10, epochs=4)


TEMPERED: list[dict[str, Any]] = [
    {"clip_norm": 0.05},
    {"clip_value": 0.02},
    {"weight_decay": 0.5, "decoupled": False},
    {"weight_decay": 0.5, "decoupled": True},
    {"weight_decay": 0.3, "decoupled": False, "clip_norm": 0.1},
    {"weight_decay": 0.3, "decoupled": True, "clip_value": 0.05},
]


@pytest.mark.parametrize("options", TEMPERED, ids=str)
@pytest.mark.parametrize("name", RULES)
def test_clipping_and_decay(name: str, options: dict[str, Any]) -> None:
    rule_class = type(st.optim.get(name))
    # From a very short first distance DoG doubles its steps, and float32's rounding with them.
    params = {"reps_rel": 0.01} if name == "dog" else {}
    if options.get("decoupled") and name in ("ftrl", "dog"):
        with pytest.raises(ValueError, match="no place for decoupled"):
            rule_class(**options)
        return
    plain = assert_follows(rule_class(weight_decay=0.0), batch_size=7)
    for dtype, batch_size, penalty in (("float64", 1, "none"), ("float32", 7, "elastic_net"), ("float64", N, "l1")):
        assert_follows(rule_class(**params, **options), "log_loss", dtype, batch_size, penalty)
    tempered = assert_follows(rule_class(**options), batch_size=7)
    assert not np.allclose(plain[-1], tempered[-1], atol=1e-9)


def test_coupled_decay_is_l2_but_for_the_objective() -> None:
    data = make_data(st.losses.get("log_loss"), "float64")
    for name in RULES:
        if name == "normalized_adaptive_invariant":  # looks at the objective
            continue
        options: dict[str, Any] = {"step_size": 0.05, "batch_size": 6, "epochs": 4, "seed": 1, "fit_intercept": True}
        decayed = st.minimize("log_loss", data, method=st.optim.get(name, weight_decay=0.2, decoupled=False), **options)
        penalised = st.minimize(
            "log_loss", data, method=st.optim.get(name, weight_decay=0.0), penalty=st.L2(0.2), **options
        )
        np.testing.assert_allclose(decayed.x, penalised.x, rtol=1e-9)
        assert decayed.fun < penalised.fun


def test_what_does_not_bind_changes_no_bit() -> None:
    data = make_data(st.losses.get("log_loss"), "float64")
    for name in RULES:
        options: dict[str, Any] = {"step_size": 0.05, "batch_size": 6, "epochs": 3, "seed": 2}
        plain = st.minimize("log_loss", data, method=name, **options).x
        for loose in ({"clip_norm": 1e9}, {"clip_value": 1e9}):
            assert np.array_equal(plain, st.minimize("log_loss", data, method=st.optim.get(name, **loose), **options).x)


@pytest.mark.parametrize("dtype", DTYPE_NAMES)
@pytest.mark.parametrize("batch_size", [5, N])
@pytest.mark.parametrize("name", RULES)
def test_going_on_is_the_run_that_never_stopped(name: str, batch_size: int, dtype: str) -> None:
    data = make_data(st.losses.get("log_loss"), dtype)
    options: dict[str, Any] = {
        "method": st.optim.get(name, clip_norm=0.4, weight_decay=0.01),
        "step_size": lambda t: 0.05 / (1 + t),
        "batch_size": batch_size,
        "penalty": st.L1(0.01),
        "fit_intercept": True,
    }
    whole = st.minimize("log_loss", data, seed=5, epochs=5, **options)
    for parts in ((3, 2), (1, 1, 1, 1, 1)):
        result = st.minimize("log_loss", data, seed=5, epochs=parts[0], **options)
        for epochs in parts[1:]:
            result = st.minimize("log_loss", data, x0=result, epochs=epochs, **options)
        assert np.array_equal(result.x, whole.x)
        assert np.array_equal(result.state, whole.state)
        assert (result.fun, result.nit, result.epochs) == (whole.fun, whole.nit, whole.epochs)
        assert result.history.running_objective[-1] == whole.history.running_objective[-1]


def test_another_rule_goes_on_from_the_parameters_alone() -> None:
    data = make_data(st.losses.get("log_loss"), "float64")
    options: dict[str, Any] = {"batch_size": N, "epochs": 2, "step_size": 0.05}
    for first, second in itertools.permutations(RULES, 2):
        before = st.minimize("log_loss", data, method=first, **options)
        gone_on = st.minimize("log_loss", data, method=second, x0=before, **options)
        fresh = st.minimize("log_loss", data, method=second, x0=before.x, **options)
        assert np.array_equal(gone_on.x, fresh.x), (first, second)


@pytest.mark.parametrize("penalty", [None, *st.penalties.available()])
@pytest.mark.parametrize("name", RULES)
def test_every_rule_runs_with_every_loss_and_penalty(name: str, penalty: str | None) -> None:
    methods = itertools.cycle((name, st.optim.get(name, lr=0.01)))
    for loss in st.losses.available():
        data = make_data(st.losses.get(loss), "float64")
        result = st.minimize(loss, data, penalty=penalty, batch_size=8, epochs=2, method=next(methods))
        assert np.isfinite(result.x).all()
        assert math.isfinite(result.fun)
        assert result.method.name == name


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("name", RULES)
def test_finds_the_optimum(name: str, penalty: str) -> None:
    """Full batches, on a strongly convex problem: what a penalty leaves in place must be optimal for every rule."""
    data = make_data(st.losses.get("huber"), "float64")
    member = PENALTIES[penalty][0]
    best = st.minimize("huber", data, penalty=member, method="gd", epochs=20_000, fit_intercept=True)
    rule = st.optim.get(name, weight_decay=0.0)
    options: dict[str, Any] = {"step_size": 0.5} if name == "adagrad" else {}
    options |= {"step_size": st.schedules.InverseTime(0.05, decay=0.01)} if name in ("rmsprop", "adam", "adamw") else {}
    options |= {"step_size": 0.02} if name == "schedule_free_adamw" else {}
    found = st.minimize(
        "huber", data, penalty=member, method=rule, batch_size=N, epochs=6000, fit_intercept=True, **options
    )
    start = st.Objective("huber", data, member, fit_intercept=True).value(np.zeros(D + 1))
    assert start - best.fun > 0.1
    assert -1e-9 < found.fun - best.fun < 1e-4
    if penalty != "none":
        np.testing.assert_allclose(found.x, best.x, atol=0.02)


@pytest.mark.parametrize("name", RULES)
def test_default_steps_descend(name: str) -> None:
    data = make_data(st.losses.get("log_loss"), "float64")
    start = st.Objective("log_loss", data).value(np.zeros(D))
    for loss, batch_size in (("log_loss", 5), ("log_loss", N), ("hinge", 5), ("hinge", N)):
        result = st.minimize(loss, data, method=name, batch_size=batch_size, epochs=50, seed=0)
        assert result.fun < start if loss == "log_loss" else result.fun < 1
        expected = st.optim.get(name).default_lr
        assert expected is None or result.history.step_size[-1] == expected


def constant_model(y: Array, batch_size: int) -> Run:
    """Return a run of half squares over rows in sequence, with nothing but an intercept."""
    batches = [np.arange(i, i + batch_size) for i in range(0, len(y), batch_size)]
    return Run(st.losses.get("squared_error"), np.zeros((len(y), 1)), y, batches, lambda k: 0.2)


@pytest.mark.parametrize("name", [name for name in RULES if st.optim.get(name).reports != "x"])
def test_the_mean_is_what_is_seen(name: str) -> None:
    """Exact history, callback and result tell of the mean; so does a run that is interrupted within an epoch."""
    loss = st.losses.get("log_loss")
    data = make_data(loss, "float64")
    objective = st.Objective(loss, data)
    seen: list[Array] = []
    options: dict[str, Any] = {"method": name, "step_size": 0.3, "batch_size": N, "seed": 0}
    result = st.minimize(loss, data, history="exact", epochs=4, callback=lambda r: seen.append(r.x), **options)
    np.testing.assert_allclose(result.history.objective, [objective.value(x) for x in seen], rtol=1e-12)
    assert result.fun == pytest.approx(objective.value(result.x), rel=1e-12)
    assert result.jac == pytest.approx(objective.gradient(result.x), rel=1e-9)
    met = [objective.value(x) for x in [np.zeros(D), *seen[:-1]]]
    assert not np.allclose(result.history.running_objective[1:], met[1:], rtol=1e-6), "gradients are taken elsewhere"

    calls = itertools.count(1)

    def gradient(theta: float, batch: Array) -> float:
        if next(calls) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return float(np.mean(theta - batch))

    def half_square(theta: float, batch: Array) -> float:
        return float(np.mean((theta - batch) ** 2) / 2)

    y = np.arange(12.0)
    with pytest.raises(st.Interrupted) as caught:
        st.minimize(
            (half_square, gradient), y, x0=3.0, method=name, step_size=0.2, batch_size=2, epochs=9, shuffle=False
        )
    stopped = caught.value.result
    path = list(
        itertools.islice(
            FORMULAS[name](np.array([0.0, 3.0]), constant_model(y, batch_size=2), **st.optim.get(name).params), 5
        )
    )
    assert stopped.nit in (4, 5)
    assert stopped.x[0] == pytest.approx(path[stopped.nit - 1][1], rel=1e-12)


@pytest.mark.parametrize("name", [name for name in RULES if st.optim.get(name).lazy])
def test_lazy_rules_leave_columns_without_gradient(name: str) -> None:
    X, y = make_data(st.losses.get("squared_error"), "float64")
    X[10:, 2] = 0.0
    options: dict[str, Any] = {"method": name, "step_size": 0.05, "epochs": 1, "shuffle": False, "batch_size": 10}
    x0 = np.linspace(1.0, 2.0, D)
    short = st.minimize("squared_error", (X[:10], y[:10]), x0=x0, **options)
    whole = st.minimize("squared_error", (X, y), x0=x0, **options)
    if name != "normalized_adaptive_invariant":  # its scales are those of all rows
        assert whole.x[2] == pytest.approx(short.x[2], rel=1e-13)
    X[:, 2] = 0.0
    untouched = st.minimize("squared_error", (X, y), x0=x0, **options)
    assert untouched.x[2] == pytest.approx(x0[2], rel=1e-14)
    assert np.all(untouched.x[[0, 1, 3]] != x0[[0, 1, 3]])


def test_units_do_not_matter_to_normalized_updates() -> None:
    X, y = make_data(st.losses.get("squared_error"), "float64")
    units = np.array([1e3, 1e-2, 7.0, 1e5])
    options: dict[str, Any] = {"method": "normalized_adaptive_invariant", "epochs": 3, "batch_size": 4, "seed": 1}
    plain = st.minimize("squared_error", (X, y), **options)
    scaled = st.minimize("squared_error", (X * units, y), **options)
    np.testing.assert_allclose(scaled.x * units, plain.x, rtol=1e-9)
    for lr in (1.0, 1e3, 1e9):
        method = st.optim.NormalizedAdaptiveInvariant(lr=lr)
        safe = st.minimize(
            "squared_error", ([[2.0]], [6.0]), method=method, epochs=1, batch_size=1, fit_intercept=False
        )
        assert 0 < safe.x[0] <= 3.0, "one row is never overshot"


def test_losses_that_show_no_columns_take_steps_of_their_own() -> None:
    """The docstring warns of it: without columns there is nothing to scale by."""

    @st.loss
    def traced(w: Any, x: Any, y: Any) -> Any:
        return 0.5 * (x @ w - y) ** 2

    X, y = make_data(st.losses.get("squared_error"), "float64")
    alike = {}
    for name in RULES:
        options: dict[str, Any] = {"method": name, "epochs": 2, "batch_size": 4, "seed": 1, "step_size": 0.05}
        ours, twin = (st.minimize(loss, (X, y), **options).x for loss in (traced, "squared_error"))
        alike[name] = bool(np.allclose(ours, twin, rtol=1e-9))
        told = "the steps are not those of the same loss" in (type(st.optim.get(name)).__doc__ or "")
        assert told is not alike[name], name
    assert [name for name in RULES if not alike[name]] == ["normalized_adaptive_invariant"]


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("momentum", {"momentum": -0.1}, "momentum must lie in"),
    ("momentum", {"momentum": 1.0}, "momentum must lie in"),
    ("nesterov", {"momentum": 1.5}, "momentum must lie in"),
    ("adam", {"beta1": 1.0}, "beta1 must lie in"),
    ("adamw", {"beta2": 1.0}, "beta2 must lie in"),
    ("adam", {"beta2": -0.5}, "beta2 must lie in"),
    ("adam", {"eps": 0.0}, "eps must lie in"),
    ("rmsprop", {"alpha": math.nan}, "alpha must lie in"),
    ("ftrl", {"l1": -1.0}, "l1 must lie in"),
    ("averaged_sgd", {"t0": -1.0}, "t0 must lie in"),
]


@pytest.mark.parametrize(("name", "params", "message"), BAD, ids=str)
def test_parameters_out_of_range(name: str, params: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        st.optim.get(name, **params)


@pytest.mark.parametrize("name", RULES)
def test_options_out_of_range(name: str) -> None:
    for option, values in {
        "weight_decay": (-1e-9, math.inf, math.nan),
        "clip_norm": (0.0, -1.0, math.inf, math.nan),
        "clip_value": (0.0, -1.0, math.inf, math.nan),
    }.items():
        for value in values:
            with pytest.raises(ValueError, match=option):
                st.optim.get(name, **{option: value})
        for nonsense in ("much", True, [1.0]):
            with pytest.raises(TypeError, match=option):
                st.optim.get(name, **{option: nonsense})
    with pytest.raises(TypeError, match="decoupled"):
        st.optim.get(name, decoupled=1)
    with pytest.raises(ValueError, match="not both"):
        st.optim.get(name, clip_norm=1.0, clip_value=1.0)


def test_steps_found_on_the_way_are_for_rules_without_their_own() -> None:
    data = make_data(st.losses.get("log_loss"), "float64")
    for name in RULES:
        for batch_size in (5, N):
            options: dict[str, Any] = {"method": name, "step_size": "auto", "batch_size": batch_size, "epochs": 30}
            if st.optim.get(name).default_lr is None:
                assert st.minimize("log_loss", data, **options).fun < math.log(2)
            else:
                with pytest.raises(ValueError, match=r"auto.*leave step_size out"):
                    st.minimize("log_loss", data, **options)
