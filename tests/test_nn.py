"""Modules: their parameters, modes and states, and training them."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import steepest as st
from steepest import nn


@pytest.fixture(autouse=True)
def seeded() -> None:
    nn.manual_seed(0)


def digits(dtype: Any = np.float32) -> tuple[NDArray[Any], NDArray[np.int64]]:
    X, y = load_digits(return_X_y=True)
    assert len(np.unique(y)) == 10
    return (X / 16).astype(dtype), y


def mlp(*sizes: int, activation: type[nn.Module] = nn.ReLU, dtype: Any = np.float32) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size_in, size_out in pairwise(sizes):
        layers += [nn.Linear(size_in, size_out, dtype=dtype), activation()]
    return nn.Sequential(*layers[:-1])


def accuracy(model: nn.Module, X: NDArray[Any], y: NDArray[Any]) -> float:
    return float((model(X).numpy().argmax(axis=1) == y).mean())


def numpy_step(state: dict[str, NDArray[Any]], X: NDArray[Any], y: NDArray[Any], lr: float) -> dict[str, NDArray[Any]]:
    """One step of a ReLU network of two layers with cross-entropy, written out by hand."""
    W1, b1, W2, b2 = (state[name] for name in ("0.weight", "0.bias", "2.weight", "2.bias"))
    hidden = X @ W1.T + b1
    active = np.maximum(hidden, 0)
    scores = active @ W2.T + b2
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    slope = e / e.sum(axis=1, keepdims=True)
    slope[np.arange(len(y)), y] -= 1
    slope /= len(y)
    back = (slope @ W2) * (hidden > 0)
    steps = {"0.weight": back.T @ X, "0.bias": back.sum(0), "2.weight": slope.T @ active, "2.bias": slope.sum(0)}
    return {name: state[name] - lr * steps[name] for name in state}


# --- training ---


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_training_takes_the_steps_that_numpy_takes(dtype: Any, batch_size: int) -> None:
    X, y = digits(dtype)
    X, y = X[:300], y[:300]
    model = mlp(64, 19, 10, dtype=np.float64)
    expected = model.state_dict()
    rows = min(batch_size, 300)
    count = 3 if batch_size > 1 else 1
    for epoch in range(count):
        order = np.random.default_rng(epoch).permutation(300)
        for start in range(0, 300, rows):
            batch = order[start : start + rows]
            expected = numpy_step(expected, X[batch].astype(np.float64), y[batch], 0.1)
    orders = {epoch: np.random.default_rng(epoch).permutation(300) for epoch in range(count)}
    nn.fit(
        model,
        "cross_entropy",
        (X, y),
        method="sgd",
        step_size=0.1,
        batch_size=batch_size,
        epochs=count,
        shuffle=orders.get,
        seed=0,
    )
    tolerance = 1e-11 if dtype == np.float64 else 2e-4
    for name, array in model.state_dict().items():
        np.testing.assert_allclose(array, expected[name], atol=tolerance, err_msg=name)


def test_digits_are_learned() -> None:
    X, y = digits()
    rows = np.random.default_rng(0).permutation(len(y))
    train, test = rows[:1400], rows[1400:]
    model = mlp(64, 64, 10)
    result = nn.fit(
        model, "cross_entropy", (X[train], y[train]), method="sgd", step_size=0.3, batch_size=32, epochs=30, seed=0
    )
    assert result.success
    assert result.history.running_objective[0] > 5 * result.history.running_objective[-1]
    assert accuracy(model, X[train], y[train]) > 0.99
    assert accuracy(model, X[test], y[test]) > 0.95
    assert result.params.keys() == model.state_dict().keys()
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, result.params[name])


def test_adam_is_the_default() -> None:
    X, y = digits()
    first, second = mlp(64, 32, 10), mlp(64, 32, 10)
    second.load_state_dict(first.state_dict())
    options: dict[str, Any] = {"batch_size": 32, "epochs": 10, "seed": 4}
    result = nn.fit(first, "cross_entropy", (X, y), **options)
    named = nn.fit(second, "cross_entropy", (X, y), method=st.optim.Adam(lr=1e-3), **options)
    np.testing.assert_array_equal(result.x, named.x)
    assert accuracy(first, X, y) > 0.93


def test_a_linear_model_is_the_built_in_softmax() -> None:
    X, y = digits(np.float64)
    model = nn.Sequential(nn.Linear(64, 10))
    nn.init.zeros_(model[0].weight)
    options: dict[str, Any] = {"method": "sgd", "step_size": 0.1, "batch_size": 50, "epochs": 3, "seed": 3}
    result = nn.fit(model, "softmax", (X, y), penalty=st.L2(0.01), shuffle="full", **options)
    built_in = st.minimize("softmax", (X, y), penalty=st.L2(0.01), shuffle="full", fit_intercept=True, **options)
    assert result.fun == pytest.approx(built_in.fun, rel=1e-12)
    np.testing.assert_allclose(result.params["0.weight"], built_in.coef, atol=1e-12)
    np.testing.assert_allclose(result.params["0.bias"], built_in.intercept, atol=1e-12)


@pytest.mark.parametrize("name", st.losses.available())
def test_every_built_in_loss_trains_a_model(name: str) -> None:
    rng, loss = np.random.default_rng(0), st.losses.get(name)
    X = rng.normal(size=(100, 3))
    several = name in st.losses.available("scores")
    shape = (100, 4) if name.startswith("multi_") else (100,)
    targets = {
        "real": rng.normal(size=shape),
        "non_negative": rng.exponential(size=shape),
        "positive": rng.exponential(size=shape) + 0.1,
        "binary": rng.choice([0, 1], size=shape),
        "labels": rng.integers(4, size=100),
    }
    model = mlp(3, 5, 4 if several else 1, activation=nn.Tanh)
    y = targets[loss.target]
    result = nn.fit(model, loss, (X, y), method="sgd", step_size=1e-3, batch_size=10, epochs=3, seed=0)
    outputs = model.eval()(X).numpy().astype(np.float64)
    expected = loss(y, outputs if outputs.shape[1] > 1 else outputs[:, 0])
    assert result.fun == pytest.approx(expected, rel=1e-5)


def test_a_function_of_outputs_and_targets_is_a_loss() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    y = np.sin(X).sum(axis=1)
    results = [
        nn.fit(mlp_again(), loss, (X, y), method="sgd", step_size=0.05, batch_size=20, epochs=5, seed=1)
        for loss in ("mse", lambda z, target: (z[:, 0] - target) ** 2)
    ]
    assert results[0].fun == pytest.approx(results[1].fun, rel=1e-12)
    assert results[0].history.running_objective[-1] < results[0].history.running_objective[0]


def mlp_again() -> nn.Sequential:
    nn.manual_seed(5)
    return mlp(3, 8, 1, activation=nn.Tanh)


def test_an_interrupted_run_goes_on_bit_for_bit() -> None:
    X, y = digits()
    options: dict[str, Any] = {"method": "sgd", "step_size": 0.1, "batch_size": 32, "shuffle": "full"}
    nn.manual_seed(1)
    whole = mlp(64, 16, 10)
    nn.fit(whole, "softmax", (X, y), epochs=4, seed=9, **options)
    nn.manual_seed(1)
    parts = mlp(64, 16, 10)
    first = nn.fit(parts, "softmax", (X, y), epochs=2, seed=9, **options)
    second = nn.fit(parts, "softmax", (X, y), epochs=2, x0=first, **options)
    assert second.epochs == 4
    for name, array in whole.state_dict().items():
        np.testing.assert_array_equal(array, parts.state_dict()[name])


def test_penalties_leave_biases_alone() -> None:
    X, y = digits()
    model = mlp(64, 8, 10)
    nn.fit(model, "softmax", (X, y), method="sgd", step_size=0.1, batch_size=64, epochs=5, penalty=st.L1(0.05), seed=0)
    assert (model[0].weight.numpy() == 0).mean() > 0.5
    assert (model[2].bias.numpy() != 0).all()


def test_sample_weights_are_repetitions() -> None:
    X, y = digits(np.float64)
    X, y = X[:100], y[:100]
    weight = np.random.default_rng(0).integers(0, 3, size=100)
    assert len(np.unique(weight)) == 3
    weighted, repeated = (mlp(64, 8, 10, dtype=np.float64) for _ in range(2))
    repeated.load_state_dict(weighted.state_dict())
    nn.fit(weighted, "softmax", (X, y), sample_weight=weight, method="gd", step_size=0.1, epochs=5)
    nn.fit(repeated, "softmax", (X.repeat(weight, 0), y.repeat(weight)), method="gd", step_size=0.1, epochs=5)
    for name, array in weighted.state_dict().items():
        np.testing.assert_allclose(array, repeated.state_dict()[name], atol=1e-12)


def test_callbacks_see_the_model_of_the_epoch_in_eval_mode() -> None:
    X, y = digits()
    model = mlp(64, 8, 10)
    seen = []

    def watch(reached: Any) -> bool:
        assert not model.training
        scores = model(X).numpy().astype(np.float64)
        seen.append((reached.fun, st.losses.get("softmax")(y, scores)))
        return len(seen) == 3

    result = nn.fit(
        model,
        "softmax",
        (X, y),
        method="sgd",
        step_size=0.1,
        batch_size=64,
        epochs=9,
        history="exact",
        callback=watch,
        seed=0,
    )
    assert model.training
    assert result.status is st.Status.stopped
    assert len(seen) == 3
    for fun, expected in seen:
        assert fun == pytest.approx(expected, rel=1e-5)


def test_frozen_parameters_stay() -> None:
    X, y = digits()
    model = mlp(64, 8, 10)
    model[0].weight.requires_grad = False
    before = model.state_dict()
    nn.fit(model, "softmax", (X.astype(np.float64), y), method="sgd", step_size=0.1, batch_size=64, epochs=2, seed=0)
    after = model.state_dict()
    np.testing.assert_array_equal(before["0.weight"], after["0.weight"])
    assert (before["2.weight"] != after["2.weight"]).any()


# --- modules ---


class Branches(nn.Module):
    """An acyclic graph that is no stack, with a shared layer."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.shared = nn.Linear(size, size)
        self.other = nn.Linear(size, size, bias=False)
        self.scale = nn.Parameter(np.ones(size))
        self.out = nn.Linear(2 * size, 3)

    def forward(self, a: Any, b: Any) -> Any:
        first, second = st.tanh(self.shared(a)), st.tanh(self.shared(b))
        largest = st.maximum(first, self.other(second))
        return self.out(st.concatenate((largest + a * self.scale, first * second), axis=-1))


def test_any_acyclic_graph_trains() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 300, 4)).astype(np.float32)
    y = (a * b).sum(axis=1).argsort().argsort() * 3 // 300
    assert len(np.unique(y)) == 3
    model = Branches(4)
    assert [name for name, _ in model.named_parameters()] == [
        "scale",
        "shared.weight",
        "shared.bias",
        "other.weight",
        "out.weight",
        "out.bias",
    ]
    result = nn.fit(model, "cross_entropy", (a, b, y), method="sgd", step_size=0.3, batch_size=10, epochs=60, seed=0)
    assert result.fun < 0.5
    assert (model(a, b).numpy().argmax(axis=1) == y).mean() > 0.75


def test_a_shared_parameter_is_one() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encode = nn.Linear(6, 2, bias=False)
            self.decode = self.encode.weight

        def forward(self, x: Any) -> Any:
            return self.encode(x) @ self.decode

    model, X = Tied(), np.random.default_rng(0).normal(size=(100, 6))
    assert [name for name, _ in model.named_parameters()] == ["decode"]
    result = nn.fit(
        model, "multi_squared_error", (X, X), method="sgd", step_size=0.05, batch_size=10, epochs=20, seed=0
    )
    W = result.params["decode"]
    assert result.fun == pytest.approx(0.5 * ((X @ W.T @ W - X) ** 2).sum(axis=1).mean())
    assert model.encode.weight is model.decode


def test_eager_training_with_an_optimizer() -> None:
    X, y = digits()
    model = mlp(64, 16, 10)
    optimizer = st.optim.SGD(model.parameters(), lr=0.5)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = st.cross_entropy(model(X), y.astype(np.float32)).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_modes_reach_every_part() -> None:
    model = nn.Sequential(nn.Sequential(nn.ReLU()), nn.Tanh())
    assert all(module.training for module in model.modules())
    assert not any(module.training for module in model.eval().modules())
    assert all(module.training for module in model.train().modules())


def test_parts_are_replaced_and_deleted() -> None:
    layer = nn.Linear(2, 2)
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    del layer.weight
    assert not list(layer.parameters())
    with pytest.raises(AttributeError, match="Linear has no attribute 'weight'"):
        getattr(layer, "weight")  # noqa: B009
    with pytest.raises(NotImplementedError, match="write its forward"):
        nn.Module()(st.tensor(1.0))


@given(some.lists(some.integers(1, 6), min_size=2, max_size=5), some.integers(0, 2**32))
def test_states_restore_models(sizes: list[int], seed: int) -> None:
    nn.manual_seed(seed)
    first, second = mlp(*sizes), mlp(*sizes)
    x = np.random.default_rng(seed).normal(size=(3, sizes[0]))
    assert (first[0].weight.numpy() != second[0].weight.numpy()).any()
    second.load_state_dict(first.state_dict())
    np.testing.assert_array_equal(first(x).numpy(), second(x).numpy())


def test_files_restore_models(tmp_path: Path) -> None:
    first, second = mlp(64, 5, 10), mlp(64, 5, 10)
    nn.save(first, tmp_path / "model.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert nn.load(second, tmp_path / "model.safetensors") is second
    for name, array in first.state_dict().items():
        np.testing.assert_array_equal(array, second.state_dict()[name])


# --- dropout ---


class Witness(nn.Module):
    """The mean of what dropout lets through, times a parameter that is 1: its loss tells the masks."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(rate)
        self.one = nn.Parameter(1.0, dtype=np.float64)

    def forward(self, x: Any) -> Any:
        return self.dropout(x).mean(-1) * self.one


def masks_met(rate: float, width: int = 100, **options: Any) -> NDArray[Any]:
    """Return the share kept of each batch of one row, as the gradients of plain steps so small that nothing moves."""
    X, met = np.ones((40, width)), []
    model = Witness(rate)
    nn.fit(
        model,
        lambda outputs, y: outputs,
        (X, np.zeros(40)),
        method="sgd",
        step_size=1e-12,
        callback=lambda reached: met.append(reached.fun),
        **options,
    )
    return np.array(met)


def test_masks_depend_on_seed_epoch_and_row() -> None:
    options: dict[str, Any] = {"batch_size": 7, "epochs": 6, "shuffle": "full"}
    first, again, other = (masks_met(0.5, seed=seed, **options) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(first)) == 6
    assert (first != other).all()
    assert first.mean() == pytest.approx(1.0, abs=0.05)
    # not on the order of rows or on the batches
    in_sequence = masks_met(0.5, seed=1, batch_size=40, epochs=6, shuffle=False)
    np.testing.assert_allclose(in_sequence, first, atol=1e-9)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_masks_have_their_rate(rate: float) -> None:
    shares = masks_met(rate, width=1000, seed=0, batch_size=40, epochs=10) * (1 - rate)
    assert shares.mean() == pytest.approx(1 - rate, abs=4 * (rate * (1 - rate) / 400_000) ** 0.5)
    # as independent draws spread
    assert shares.std() < 4 * (rate * (1 - rate) / 40_000) ** 0.5


def with_dropout() -> nn.Sequential:
    nn.manual_seed(2)
    return nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, 10), nn.Dropout(0.1))


def test_dropout_trains_and_is_off_for_the_objective() -> None:
    X, y = digits()
    model = with_dropout()
    result = nn.fit(
        model, "softmax", (X, y), method="sgd", step_size=0.2, batch_size=64, epochs=5, history="exact", seed=0
    )
    scores = model.eval()(X).numpy().astype(np.float64)
    assert result.fun == pytest.approx(st.losses.get("softmax")(y, scores), rel=1e-5)
    assert result.history.running_objective[-1] > 1.2 * result.history.objective[-1]
    assert accuracy(model, X, y) > 0.85


def test_training_is_the_same_for_any_number_of_threads() -> None:
    X, y = digits()
    X, y = X.repeat(4, 0), y.repeat(4)
    states = []
    for threads in (1, 2, 5):
        model = with_dropout()
        nn.fit(
            model, "softmax", (X, y), method="sgd", step_size=0.1, batch_size=500, epochs=2, n_threads=threads, seed=0
        )
        states.append(model.state_dict())
    assert X.nbytes > 1 << 20
    for state in states[1:]:
        for name, array in state.items():
            np.testing.assert_array_equal(array, states[0][name])


def test_a_run_with_dropout_goes_on_bit_for_bit() -> None:
    X, y = digits()
    options: dict[str, Any] = {"method": "sgd", "step_size": 0.1, "batch_size": 32}
    whole, parts = with_dropout(), with_dropout()
    nn.fit(whole, "softmax", (X, y), epochs=3, seed=9, **options)
    first = nn.fit(parts, "softmax", (X, y), epochs=1, seed=9, **options)
    nn.fit(parts, "softmax", (X, y), epochs=2, x0=first, **options)
    for name, array in whole.state_dict().items():
        np.testing.assert_array_equal(array, parts.state_dict()[name])


# --- numbers that stop being numbers ---


def test_nan_on_the_way_names_operation_batch_and_epoch_and_keeps_the_best() -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(1, 2, size=(64, 2))
    y = np.ones(64)
    model = nn.Sequential(nn.Linear(2, 1, dtype=np.float64))
    model.load_state_dict({"0.weight": [[1.0, 1.0]], "0.bias": [1.0]})

    def risky(outputs: Any, target: Any) -> Any:
        return outputs[:, 0] + 0.0 * target - 1e-3 * st.log(outputs[:, 0])

    kept = []
    with pytest.raises(ValueError, match=r"log gave NaN, first in row \d+, in batch \d+ of epoch [1-9]") as stop:
        nn.fit(
            model,
            risky,
            (X, y),
            method="sgd",
            step_size=0.05,
            batch_size=16,
            epochs=20,
            shuffle=False,
            callback=lambda reached: kept.append((reached.fun, model.state_dict())),
        )
    assert len(kept) >= 1
    best = min(kept, key=lambda entry: entry[0])[1]
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, best[name])
    assert np.isfinite(vars(stop.value)["result"].x).all()


def test_divergence_says_where_and_keeps_the_best() -> None:
    X, y = digits()
    model = mlp(64, 32, 10)
    before = model.state_dict()
    with pytest.warns(st.ConvergenceWarning, match=r"no finite number in batch \d+ of epoch 0"):
        result = nn.fit(
            model,
            "multi_squared_error",
            (X, np.eye(10)[y] * 1e10),
            method="sgd",
            step_size=1e8,
            batch_size=16,
            epochs=3,
        )
    assert result.status is st.Status.diverged
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int8, np.uint16, np.int16, np.float16], ids=str)
@pytest.mark.parametrize("order", ["C", "F"])
def test_narrow_inputs_are_read_as_they_are_stored(dtype: Any, order: Any) -> None:
    X, y = digits()
    stored = np.asarray(np.rint(X[:300] * 16), dtype=dtype, order=order)
    assert len(np.unique(stored)) > 1
    results = []
    for rows in (stored, np.asarray(stored, dtype=np.float32, order=order)):
        nn.manual_seed(1)
        model = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 10))
        results.append(nn.fit(model, "cross_entropy", (rows, y[:300]), batch_size=32, epochs=2, seed=0))
    assert results[0].x.dtype == np.float32
    assert (results[0].x == results[1].x).all()


def test_copies_of_inputs_are_announced_and_nan_in_tables_is_told_by_column() -> None:
    rng = np.random.default_rng(0)
    images, y = rng.integers(9, size=(3000, 8, 8)), rng.integers(3, size=3000)

    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(8, 3)

        def forward(self, x: Any) -> Any:
            return self.last(x.sum(axis=1))

    with pytest.warns(st.DataCopyWarning, match=r"data\[0\] has dtype int64: a copy in float64 of 2 MB is made"):
        nn.fit(Flat(), "softmax", (images, y), epochs=1, batch_size=64)
    nn.fit(Flat(), "softmax", (images.astype(np.uint8), y), epochs=1, batch_size=64)  # a copy would warn, an error here
    table = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1.0, np.nan, 2.0]})
    with pytest.raises(ValueError, match=r"NaN, first in row 1, column 1 \('b'\)"):
        nn.fit(nn.Linear(2, 2), "softmax", (table, [0, 1, 0]))


def test_a_callback_leaves_every_part_in_its_mode() -> None:
    X, y = digits()
    model = nn.Sequential(nn.Linear(64, 8), nn.Dropout(0.5), nn.Linear(8, 10))
    model[1].eval()
    seen: list[list[bool]] = []
    nn.fit(
        model,
        "cross_entropy",
        (X, y),
        epochs=2,
        batch_size=64,
        callback=lambda _: seen.append([part.training for part in model.modules()]),
    )
    assert seen == [[False] * 4] * 2
    assert [part.training for part in model.modules()] == [True, True, False, True]


def test_rows_that_are_not_trained_on_are_not_looked_at() -> None:
    X, y = digits()
    X, y, rows = X[:400].copy(), y[:400].copy(), np.arange(300)
    results = []
    for spoilt in (False, True):
        if spoilt:
            X[300:], y[300:350], y[350:] = np.nan, -1, 99
        nn.manual_seed(2)
        results.append(nn.fit(nn.Linear(64, 10), "cross_entropy", (X, y), rows=rows, batch_size=16, epochs=1, seed=0))
    assert (results[0].x == results[1].x).all()
    targets = np.where(np.arange(400) < 300, y, np.nan).astype(np.float32)
    for loss in ("squared_error", lambda z, y: (z[:, 0] - y) ** 2):
        result = nn.fit(nn.Linear(64, 1), loss, (X, targets), rows=rows, batch_size=16, epochs=1, seed=0)
        assert np.isfinite(result.fun)
    with pytest.raises(ValueError, match=r"data\[0\] holds NaN, first in row 300, column 0"):
        nn.fit(nn.Linear(64, 10), "cross_entropy", (X, y), rows=np.arange(290, 310))
    with pytest.raises(ValueError, match=r"y holds -1, first in row 10 \(of the 20 rows given by rows=\)"):
        nn.fit(nn.Linear(64, 10), "cross_entropy", (np.nan_to_num(X), y), rows=np.arange(290, 310))
    with pytest.raises(ValueError, match=r"the label 99, first in row 350"):
        nn.fit(nn.Linear(64, 10), "cross_entropy", (np.nan_to_num(X), y), rows=np.arange(350, 360))


def test_results_of_networks_do_not_predict() -> None:
    X, y = digits()
    result = nn.fit(nn.Linear(64, 10), "cross_entropy", (X, y), epochs=1)
    with pytest.raises(TypeError, match=r"predict is for linear scores; call the model"):
        result.predict(X)


def test_held_out_data_in_another_type_is_told() -> None:
    X, y = digits()
    with pytest.raises(ValueError, match=r"validation .* computed with in float64, the data in float32"):
        nn.fit(nn.Linear(64, 10), "cross_entropy", (X, y), validation=(X[:9].astype(float), y[:9]))
