"""Losses traced from Python functions: as good as the built-in ones, and clear about what cannot be traced."""

import concurrent.futures
import gc
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from numpy.typing import NDArray

import steepest as st
from steepest import _core

NAMES = {
    name: getattr(st, name) for name in ("abs", "cos", "cosh", "exp", "log", "log1p", "maximum", "sum", "where")
} | {"pi": np.pi}
OVERFLOWS = {"exponential", "poisson", "gamma", "tweedie"}


def traced(loss: st.losses.Loss) -> st.TracedLoss:
    """Return the traced twin of a built-in loss."""
    code = compile(loss.formula, "formula", "eval")
    return st.loss(lambda w, x, y: eval(code, {}, NAMES | loss.params | {"y": y, "z": x @ w}))


def targets(loss: st.losses.Loss, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    return np.sign(rng.normal(size=n)) if loss.target == "binary" else rng.exponential(size=n) + 0.1


@st.loss
def logistic(w: Any, x: Any, y: Any) -> Any:
    """Binary cross-entropy."""
    return st.softplus(-y * (x @ w))


def data(n: int = 500, d: int = 5, seed: int = 0, dtype: Any = np.float64) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)).astype(dtype)
    y = np.sign(X @ rng.normal(size=d) + rng.normal(size=n)).astype(dtype)
    assert len(np.unique(y)) == 2
    return X, y


# --- as the built-in losses ---


@pytest.mark.parametrize("name", st.losses.available("pointwise"))
def test_formulas_traced_have_the_gradients_of_the_built_in_losses(name: str) -> None:
    rng, loss = np.random.default_rng(1), st.losses.get(name)
    X, y = rng.normal(size=(300, 28)), targets(loss, rng, 300)
    twin = traced(loss).problem((X, y), None, None).problem
    objective = st.Objective(loss, (X, y))
    for scale in (0.01, 0.1, 0.5):
        w = scale * rng.normal(size=28)
        value, gradient = twin.value_and_gradient(w)
        expected_value, expected = objective.value_and_gradient(w)
        assert value == pytest.approx(expected_value, rel=1e-12)
        np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-12 * abs(expected).max())
        assert twin.value(w) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize("threads", [1, 2])
def test_large_data_streams_in_the_same_order_as_for_the_built_in_losses(threads: int) -> None:
    X, y = data(40_000, 28)
    assert X.nbytes > 8 << 20, "less than that is shuffled fully"
    options: Any = {"method": "sgd", "step_size": 0.05, "batch_size": 256, "epochs": 1, "seed": 2, "n_threads": threads}
    ours, theirs = st.minimize(logistic, (X, y), **options), st.minimize("log_loss", (X, y), **options)
    np.testing.assert_allclose(ours.x, theirs.x, rtol=1e-10)
    fully = st.minimize("log_loss", (X, y), **options, shuffle="full")
    assert abs(fully.x - theirs.x).max() > 1e-6


@pytest.mark.parametrize("name", sorted(set(st.losses.available("pointwise")) - OVERFLOWS))
@pytest.mark.parametrize("margin", [-1000.0, 1000.0])
def test_formulas_traced_are_finite_far_out(name: str, margin: float) -> None:
    loss = st.losses.get(name)
    y = np.array([1.0, -1.0]) if loss.target == "binary" else np.array([0.5, 2.0])
    value, gradient = (
        traced(loss).problem((np.array([[1.0], [-0.5]]), y), None, None).problem.value_and_gradient(np.array([margin]))
    )
    objective = st.Objective(loss, (np.array([[1.0], [-0.5]]), y))
    assert np.isfinite(value)
    assert value == pytest.approx(objective.value([margin]), rel=1e-12)
    np.testing.assert_allclose(gradient, objective.gradient([margin]), rtol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"penalty": st.L2(0.1)},
        {"penalty": st.L1(0.01)},
        {"penalty": st.ElasticNet(0.01, 0.3)},
        {"shuffle": "full"},
        {"shuffle": "once", "batch_size": 33},
        {"shuffle": False, "batch_size": 7},
        {"shuffle": np.random.default_rng(0).permutation(500)},
        {"batch_size": 1},
        {"batch_size": 500, "epochs": 20},
        {"step_size": st.schedules.get("inverse_scaling")},
        {"sample_weight": np.random.default_rng(5).exponential(size=500)},
        {"n_threads": 1},
        {"n_threads": 3},
        {"tol": 1e-2, "epochs": 200},
        {"tol": st.StepTolerance(1e-2), "epochs": 200},
        {"history": "exact"},
        # Normalized updates want to know the sizes of the features, which a traced loss does not have.
        *({"method": name} for name in st.optim.available() if name not in ("normalized_adaptive_invariant", "dog")),
        {"method": st.optim.DoG(reps_rel=0.01, lr=1.0), "step_size": None},
    ],
    ids=lambda options: " ".join(f"{key}={str(value)[:12]}" for key, value in options.items()),
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_everything_that_goes_with_a_built_in_loss_goes_with_a_traced_one(options: dict[str, Any], dtype: Any) -> None:
    X, y = data(dtype=dtype)
    options = {"method": "sgd", "step_size": 0.05, "epochs": 3, "batch_size": 64, "seed": 3} | options
    ours, theirs = st.minimize(logistic, (X, y), **options), st.minimize("log_loss", (X, y), **options)
    tolerance = 1e-11 if dtype == np.float64 else 1e-4
    assert np.abs(theirs.x).max() > 1e-3
    np.testing.assert_allclose(ours.x, theirs.x, rtol=tolerance, atol=tolerance)
    assert ours.fun == pytest.approx(theirs.fun, rel=tolerance)
    assert (ours.nit, ours.status) == (theirs.nit, theirs.status)


LAYOUTS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "every second column": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "every second row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "backwards": lambda X: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shuffle", [False, "full"])
def test_layouts_of_rows_do_not_change_the_result(layout: str, shuffle: Any) -> None:
    X, y = data()

    @st.loss
    def uses_x_in_two_ways(w: Any, x: Any, y: Any) -> Any:
        return st.softplus(-y * (x @ w)) + 0.1 * st.sum((x * w) ** 2, axis=1)

    for loss in (logistic, uses_x_in_two_ways):
        options: dict[str, Any] = {"method": "sgd", "step_size": 0.05, "epochs": 2, "seed": 0, "shuffle": shuffle}
        plain = st.minimize(loss, (X, y), **options)
        other = st.minimize(loss, (LAYOUTS[layout](X), y), **options)
        np.testing.assert_allclose(other.x, plain.x, rtol=1e-12)


def test_threads_give_the_same_bits() -> None:
    X, y = data(n=5000, d=40)
    results = [
        st.minimize(logistic, (X, y), method="sgd", step_size=0.05, batch_size=2000, epochs=3, seed=1, n_threads=k).x
        for k in (1, 2, 3)
    ]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_a_run_goes_on_where_it_ended() -> None:
    X, y = data()
    options: dict[str, Any] = {"method": "sgd", "step_size": 0.05, "seed": 2}
    whole = st.minimize(logistic, (X, y), epochs=4, **options)
    half = st.minimize(logistic, (X, y), epochs=2, **options)
    np.testing.assert_array_equal(st.minimize(logistic, (X, y), epochs=2, x0=half, **options).x, whole.x)


# --- what may be traced ---


def test_nested_parameters_have_their_structure_back() -> None:
    X, y = data()
    rng = np.random.default_rng(0)
    start = {"hidden": {"W": rng.normal(size=(5, 4)), "b": np.zeros(4)}, "v": rng.normal(size=4)}

    @st.loss
    def network(p: Any, x: Any, y: Any) -> Any:
        h = st.tanh(x @ p["hidden"]["W"] + p["hidden"]["b"])
        return st.softplus(-y * (h @ p["v"]))

    result = st.minimize(network, (X, y), x0=start, method="sgd", step_size=0.2, epochs=30, batch_size=32, seed=0)
    assert result.params["hidden"]["W"].shape == (5, 4)
    assert result.x.size == 28
    before, after = float(st.mean(network(start, X, y))), float(st.mean(network(result.params, X, y)))
    assert after < 0.8 * before
    assert result.fun == pytest.approx(after, rel=1e-12)
    again = st.minimize(network, (X, y), x0=result, method="sgd", step_size=0.2, epochs=1, seed=0)
    assert again.epochs == 31


def test_traced_gradients_of_a_network_agree_with_eager_ones() -> None:
    X, _ = data(n=100)
    rng = np.random.default_rng(1)
    start = [rng.normal(size=(5, 3)), rng.normal(size=3), rng.normal(size=(3, 4))]
    labels = rng.integers(0, 4, size=100).astype(float)

    def scores(p: Any, x: Any, labels: Any) -> Any:
        h = st.relu(x @ p[0] + p[1])
        return st.cross_entropy(h @ p[2] - st.max(h, axis=1, keepdims=True), labels) + 0.01 * st.sum(p[2] ** 2)

    traced_problem = st.loss(scores).problem((X, labels), start, None)
    value, gradient = traced_problem.problem.value_and_gradient(traced_problem.start)
    tensors = [st.tensor(part, requires_grad=True) for part in start]
    eager = st.mean(scores(tensors, X, labels))
    eager.backward()
    assert value == pytest.approx(eager.item(), rel=1e-13)
    np.testing.assert_allclose(
        gradient, np.concatenate([t.grad.numpy().ravel() for t in tensors]), rtol=1e-10, atol=1e-14
    )


def test_embeddings_take_rows_of_a_table() -> None:
    rng = np.random.default_rng(2)
    numbers, y = rng.integers(0, 7, size=400).astype(float), rng.normal(size=400)

    @st.loss
    def per_group(table: Any, which: Any, y: Any) -> Any:
        return (table[which] - y) ** 2

    result = st.minimize(per_group, (numbers, y), x0=np.zeros(7), method="gd", step_size=1.0, epochs=200)
    means = [y[numbers == k].mean() for k in range(7)]
    np.testing.assert_allclose(result.x, means, rtol=1e-6)


def test_a_mean_over_rows_at_the_root_is_stripped() -> None:
    X, y = data()
    forms: list[Callable[..., Any]] = [
        lambda w, x, y: (y - x @ w) ** 2,
        lambda w, x, y: st.mean((y - x @ w) ** 2),
        lambda w, x, y: st.sum((y - x @ w) ** 2) / x.shape[0],
        lambda w, x, y: 2 * st.mean((y - x @ w) ** 2) / 2,
        lambda w, x, y: st.negative(-st.mean((y - x @ w) ** 2)),
        lambda w, x, y: st.mean(y * y) + st.mean((x @ w) ** 2 - 2 * y * (x @ w)),
        lambda w, x, y: st.mean(st.stack([(y - x @ w) ** 2, (y - x @ w) ** 2], axis=1)),
    ]
    weight = np.random.default_rng(0).exponential(size=500)
    expected = st.minimize("mse", (X, y), method="sgd", step_size=0.01, epochs=2, seed=0, sample_weight=weight).x
    for form in forms:
        found = st.minimize(
            st.loss(form), (X, y), method="sgd", step_size=0.01, epochs=2, seed=0, sample_weight=weight
        ).x
        np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_whole_batches_may_mix_rows() -> None:
    X, y = data()

    @st.loss(whole_batch=True)
    def spread(w: Any, x: Any, y: Any) -> Any:
        return st.logsumexp((y - x @ w) ** 2) - st.log(x.shape[0])

    result = st.minimize(spread, (X, y), method="sgd", step_size=0.01, epochs=3, batch_size=64, shuffle=False, seed=0)
    w = st.tensor(np.zeros(5), requires_grad=True)
    optimizer = st.optim.SGD([w], lr=0.01)
    for _ in range(3):
        for first in range(0, 500, 64):
            batch = slice(first, first + 64)
            residual = (y[batch] - X[batch] @ w) ** 2
            (st.logsumexp(residual) - np.log(len(y[batch]))).backward()
            optimizer.step()
            optimizer.zero_grad()
    np.testing.assert_allclose(result.x, w.numpy(), rtol=1e-10)
    with pytest.raises(ValueError, match="sample_weight"):
        st.minimize(spread, (X, y), sample_weight=np.ones(500))


@pytest.mark.parametrize("shuffle", [True, False, "full", "once", np.random.default_rng(0).permutation(500)], ids=str)
def test_whole_batches_arrive_whole(shuffle: Any) -> None:
    @st.loss(whole_batch=True)
    def size(w: Any, x: Any, y: Any) -> Any:
        return st.log(x.shape[0]) + 1e-9 * st.mean(x @ w)

    result = st.minimize(size, data(), method="sgd", step_size=0.1, batch_size=150, epochs=2, shuffle=shuffle, seed=0)
    expected = (450 * np.log(150) + 50 * np.log(50)) / 500
    np.testing.assert_allclose(result.history["running_objective"], expected, rtol=1e-7)
    assert result.fun == pytest.approx(np.log(500), rel=1e-7)
    with pytest.raises(ValueError, match="stream"):
        st.minimize(size, data(), shuffle="stream")


def test_one_loss_serves_several_threads() -> None:
    fresh = st.loss(lambda w, x, y: st.softplus(-y * (x @ w)))
    expected = [st.minimize(logistic, data(d=d), method="sgd", step_size=0.1, seed=0).x for d in range(1, 9)]

    def work(d: int) -> Any:
        return st.minimize(fresh, data(d=d), method="sgd", step_size=0.1, seed=0).x

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for ours, theirs in zip(pool.map(work, range(1, 9)), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_the_constant_model_and_other_data_imply_their_parameters() -> None:
    p5 = [12.1, 12.8, 14.9, 16.3, 17.2]
    assert st.minimize(st.loss(lambda t, y: (y - t) ** 2), p5).x == pytest.approx([14.66], rel=1e-6)
    with pytest.raises(ValueError, match="x0 is required"):
        st.minimize(st.loss(lambda t, x: st.sum((x - t) ** 2, 1)), np.ones((4, 3)))


def test_a_function_is_traced_once_for_every_shape_and_dtype() -> None:
    calls = []

    @st.loss
    def counted(w: Any, x: Any, y: Any) -> Any:
        calls.append(x.dtype)
        return (y - x @ w) ** 2

    for _ in range(3):
        for dtype in (np.float64, np.float32):
            st.minimize(counted, data(dtype=dtype), method="sgd", step_size=0.01, epochs=2)
    st.minimize(counted, data(d=3), method="sgd", step_size=0.01, epochs=2)
    assert calls == [np.float64, np.float32, np.float64]


# --- simplification ---


def steps(function: Callable[..., Any]) -> list[str]:
    loss = st.loss(function)
    loss.problem((np.ones((4, 2)), np.arange(4.0)), None, None)
    (programs,) = loss._programs.values()
    return [name for phase in programs.steps for name, *_ in phase]


def test_expressions_are_merged_folded_and_made_stable() -> None:
    assert steps(lambda w, x, y: (x @ w) * (2.0 * 3.0 - 6.0 + 1.0)).count("multiply") == 0
    once = steps(lambda w, x, y: st.exp(x @ w))
    assert steps(lambda w, x, y: 0.5 * (st.exp(x @ w) + st.exp(x @ w))).count("exp") == once.count("exp") == 1

    def dead(w: Any, x: Any, y: Any) -> Any:
        st.tanh(x @ w)
        return st.exp(x @ w)

    assert steps(dead) == once
    for form in (
        lambda w, x, y: st.log1p(st.exp(x @ w)),
        lambda w, x, y: st.log(1 + st.exp(x @ w)),
        lambda w, x, y: -st.log(1 / (1 + st.exp(x @ w))),
        lambda w, x, y: -st.log(1 - st.sigmoid(x @ w)),
        lambda w, x, y: -st.log(st.sigmoid(-(x @ w))),
    ):
        names = steps(form)
        assert "softplus" in names
        assert "log" not in names
        assert "exp" not in names
    names = steps(lambda w, x, y: st.log(st.sum(st.exp(x * w), axis=1)))
    assert "logsumexp" in names
    assert "log" not in names


UNSTABLE: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "softplus": (lambda z: st.log(1 + st.exp(z)), lambda z: np.logaddexp(0, z)),
    "sigmoid": (lambda z: 1 / (1 + st.exp(-z)), lambda z: 1 / (1 + np.exp(-np.clip(z, -700, 700)))),
    "expm1": (lambda z: st.exp(z * 1e-3) - 1, lambda z: np.expm1(z * 1e-3)),
    "log1p": (lambda z: st.log(1 + z * z * 1e-20), lambda z: np.log1p(z * z * 1e-20)),
    "log cosh": (lambda z: st.log(st.cosh(z)), lambda z: np.abs(z) + np.log1p(np.exp(-2 * np.abs(z))) - np.log(2)),
    "choice": (lambda z: st.where(z > 0, z, st.exp(z)), lambda z: np.where(z > 0, z, np.exp(np.minimum(z, 0)))),
}


@pytest.mark.parametrize("name", UNSTABLE)
@given(z=some.floats(-1000, 1000).filter(lambda z: abs(z) > 1e-3))
def test_unstable_forms_are_computed_by_stable_ones(name: str, z: float) -> None:
    form, expected = UNSTABLE[name]
    problem = st.loss(lambda t, y: form(t * y)).problem(np.array([z]), None, None).problem
    value, gradient = problem.value_and_gradient(np.ones(()))
    assert value == pytest.approx(expected(z), rel=1e-9, abs=1e-15)
    assert np.isfinite(gradient).all()


# --- bad input ---


def failing(function: Callable[..., Any], error: type[Exception], match: str, **options: Any) -> None:
    with pytest.raises(error, match=match):
        st.minimize(st.loss(function), data(), method="sgd", step_size=0.01, epochs=1, **options)


def branching(w: Any, x: Any, y: Any) -> Any:
    z = x @ w
    return z if z > 0 else -z


def test_conditions_on_traced_values_name_where() -> None:
    failing(branching, TypeError, r"(?s)steepest\.where.*return z if z > 0 else -z")
    failing(lambda w, x, y: float(x[0, 0]) * y, IndexError, "single row")
    failing(lambda w, x, y: y * float(w[0]), TypeError, r"float\(\) of a traced tensor")
    failing(lambda w, x, y: np.asarray(x) @ w, TypeError, "NumPy array of a traced tensor")
    failing(lambda w, x, y: y * w[0].item(), TypeError, r"item\(\)")
    failing(lambda w, x, y: [y[i] for i in range(len(y))], TypeError, "length")


def test_shape_errors_name_the_line() -> None:
    failing(lambda w, x, y: x @ w[:3], ValueError, r"(?s)\(B, 5\) and \(3,\).*x @ w\[:3\]")
    failing(lambda w, x, y: x + np.ones(7), ValueError, r"\(B, 5\) and \(7,\) do not broadcast")


def test_losses_that_mix_rows_are_refused() -> None:
    failing(lambda w, x, y: st.sum(x @ w), ValueError, "whole_batch")
    failing(lambda w, x, y: x @ w - st.mean(y), ValueError, "whole_batch")
    failing(lambda w, x, y: st.softmax(x @ w, axis=0), ValueError, "whole_batch")
    failing(lambda w, x, y: x.T @ y, ValueError, "whole_batch")
    failing(lambda w, x, y: (x @ w) / x.shape[0], ValueError, "whole_batch")
    failing(lambda w, x, y: x * w, ValueError, r"shape \(B,\); it returned shape \(B, 5\)")
    failing(lambda w, x, y: st.sum(w), ValueError, r"one number per row")
    failing(lambda w, x, y: 1.0, ValueError, r"one number per row")
    failing(lambda w, x, y: None, TypeError, "returns a tensor")


def test_parameters_must_be_used() -> None:
    failing(lambda w, x, y: y, ValueError, "does not depend on parameters")
    failing(lambda p, x, y: x @ p["w"], ValueError, r"parameters\['b'\]", x0={"w": np.zeros(5), "b": np.zeros(2)})


def test_side_effects_end_with_the_trace() -> None:
    kept = []

    def leaky(w: Any, x: Any, y: Any) -> Any:
        kept.append(x @ w)
        return (y - x @ w) ** 2

    st.minimize(st.loss(leaky), data(), method="sgd", step_size=0.01, epochs=1)
    (escaped,) = kept
    with pytest.raises(RuntimeError, match="outside of the function"):
        escaped + 1
    with pytest.raises(TypeError, match="traced"):
        float(escaped)


def test_what_is_not_finite_names_the_operation_and_the_row() -> None:
    X, y = data()
    X[:, 0] = 1.0
    X[123, 0] = -1.0
    with pytest.raises(ValueError, match=r"log gave NaN, first in row 123"):
        st.minimize(
            st.loss(lambda w, x, y: (st.log(x[:, 0]) + x @ w - y) ** 2), (X, y), method="sgd", step_size=0.01, epochs=1
        )
    X[7, 2] = np.nan
    with pytest.raises(ValueError, match="row 7"):
        st.minimize(logistic, (X, y), method="sgd", step_size=0.01, epochs=1)
    with pytest.raises(ValueError, match="row 7, column 2"):
        st.minimize(logistic, (X, y), method="sgd", step_size=0.01, epochs=1, check_finite=False)


def test_data_that_does_not_fit_is_refused() -> None:
    X, y = data()
    with pytest.raises(ValueError, match=r"data\[0\] has 500 rows, data\[1\] has 499"):
        st.minimize(logistic, (X, y[1:]))
    with pytest.raises(TypeError, match="real numbers"):
        st.minimize(logistic, (X, y.astype(str)))
    with pytest.raises(ValueError, match="fit_intercept"):
        st.minimize(logistic, (X, y), fit_intercept=True)
    with pytest.raises(ValueError, match="sample_weight"):
        st.minimize(logistic, (X, y), sample_weight=-np.ones(500))


def test_nodes_of_a_trace_die_with_its_loss() -> None:
    gc.collect()
    before = _core.live_nodes()
    loss = st.loss(lambda w, x, y: st.softplus(-y * (x @ w)))
    st.minimize(loss, data(), method="sgd", step_size=0.01, epochs=1)
    assert _core.live_nodes() > before
    del loss
    gc.collect()
    assert _core.live_nodes() == before


def test_traced_losses_are_pickled_by_name() -> None:
    assert pickle.loads(pickle.dumps(logistic)) is logistic
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(st.loss(lambda w, x, y: x @ w))


def test_names_may_be_used_again_in_place() -> None:
    @st.loss
    def in_place(w: Any, x: Any, y: Any) -> Any:
        z = x @ w
        z *= -1
        z *= y
        y = y * 1.0
        y += 1
        return st.softplus(z)

    options: dict[str, Any] = {"method": "sgd", "step_size": 0.05, "epochs": 2, "seed": 0}
    expected = st.minimize(logistic, data(), **options).x
    np.testing.assert_allclose(st.minimize(in_place, data(), **options).x, expected, rtol=1e-12)


def test_long_traces_need_no_stack() -> None:
    def chain(x: Any) -> Any:
        for k in range(20_000):
            x = st.where(x > k % 3 - 1.5, x * 1.0001 + 0.001, st.sin(x))
        return x

    value, gradient = st.compile(chain)(0.3)
    x = st.tensor(0.3, requires_grad=True)
    eager = chain(x)
    eager.backward()
    assert value == pytest.approx(eager.item(), rel=1e-9)
    assert gradient == pytest.approx(x.grad.item(), rel=1e-9)
