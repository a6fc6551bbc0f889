"""Small networks in PyTorch and here: from the same start, in the same order, the same training."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import steepest as st
from steepest import nn

EPOCHS, BATCH = 5, 32


def ours_and_theirs(activation: str, sizes: tuple[int, ...], dtype: Any) -> tuple[nn.Sequential, torch.nn.Sequential]:
    """Return the same model twice, PyTorch's initialisation in both."""
    pairs: list[tuple[nn.Module, torch.nn.Module]] = []
    torch.manual_seed(len(sizes))
    for i, (size_in, size_out) in enumerate(pairwise(sizes)):
        if i:
            pairs.append((getattr(nn, activation)(), getattr(torch.nn, activation)()))
        pairs.append((nn.Linear(size_in, size_out), torch.nn.Linear(size_in, size_out)))
    ours, theirs = nn.Sequential(*(a for a, _ in pairs)), torch.nn.Sequential(*(b for _, b in pairs))
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    return ours, theirs.to(torch.float64 if dtype == np.float64 else torch.float32)


def order(epoch: int, rows: int) -> NDArray[np.int64]:
    return np.random.default_rng(epoch).permutation(rows)


def train_theirs(model: Any, optimizer: Any, loss: Any, X: NDArray[Any], y: NDArray[Any]) -> list[float]:
    rows, targets = torch.from_numpy(X), torch.from_numpy(y)
    history = []
    for epoch in range(EPOCHS):
        total = 0.0
        for batch in torch.from_numpy(order(epoch, len(X))).split(BATCH):
            optimizer.zero_grad()
            value = loss(model(rows[batch]), targets[batch])
            value.backward()
            optimizer.step()
            total += value.item() * len(batch)
        history.append(total / len(X))
    return history


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("activation", ["ReLU", "Tanh", "Sigmoid", "LeakyReLU"])
@pytest.mark.parametrize("sizes", [(64, 10), (64, 32, 10), (64, 24, 16, 10)])
def test_training_losses_are_pytorchs(activation: str, sizes: tuple[int, ...], dtype: Any) -> None:
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(dtype)
    ours, theirs = ours_and_theirs(activation, sizes, dtype)
    expected = train_theirs(
        theirs, torch.optim.SGD(theirs.parameters(), lr=0.2), torch.nn.functional.cross_entropy, X, y
    )
    result = nn.fit(
        ours,
        "cross_entropy",
        (X, y),
        method="sgd",
        step_size=0.2,
        batch_size=BATCH,
        epochs=EPOCHS,
        shuffle=lambda epoch: order(epoch, len(X)),
    )
    assert expected[-1] < expected[0]
    np.testing.assert_allclose(result.history.running_objective, expected, rtol=1e-9 if dtype == np.float64 else 2e-2)
    if dtype == np.float64:
        for name, value in theirs.state_dict().items():
            np.testing.assert_allclose(result.params[name], value.numpy(), atol=1e-10, err_msg=name)


@pytest.mark.parametrize("rule", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_update_rules_train_networks_as_pytorchs_do(rule: str) -> None:
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    ours, theirs = ours_and_theirs("ReLU", (64, 32, 10), np.float32)
    optimizers: dict[str, Any] = {
        "sgd": torch.optim.SGD,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
        "adagrad": torch.optim.Adagrad,
    }
    lr = 0.2 if rule == "sgd" else 2e-3
    expected = train_theirs(
        theirs, optimizers[rule](theirs.parameters(), lr=lr), torch.nn.functional.cross_entropy, X, y
    )
    result = nn.fit(
        ours,
        "cross_entropy",
        (X, y),
        method=rule,
        step_size=lr,
        batch_size=BATCH,
        epochs=EPOCHS,
        shuffle=lambda epoch: order(epoch, len(X)),
    )
    assert expected[-1] < 0.9 * expected[0]
    np.testing.assert_allclose(result.history.running_objective, expected, rtol=2e-2)


def test_states_go_to_pytorch_and_back() -> None:
    ours, theirs = ours_and_theirs("ReLU", (64, 32, 10), np.float32)
    theirs.load_state_dict({name: torch.from_numpy(value) for name, value in ours.state_dict().items()})
    x = np.random.default_rng(0).normal(size=(7, 64)).astype(np.float32)
    np.testing.assert_allclose(ours(x).numpy(), theirs(torch.from_numpy(x)).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("name", ["ReLU", "LeakyReLU", "Sigmoid", "Tanh", "Softmax", "LogSoftmax"])
def test_activations_are_pytorchs(name: str) -> None:
    values = np.concatenate([np.linspace(-3, 3, 13), [0.0, 100.0, -100.0]]).reshape(4, 4)
    ours, theirs = st.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    weights = np.random.default_rng(0).normal(size=(4, 4))
    their_module = getattr(torch.nn, name)(dim=-1) if "oft" in name else getattr(torch.nn, name)()
    (getattr(nn, name)()(ours) * weights).sum().backward()
    (their_module(theirs) * torch.from_numpy(weights)).sum().backward()
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), atol=1e-14)


def test_initial_variances_are_pytorchs() -> None:
    for name in ("kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_"):
        theirs = getattr(torch.nn.init, name)(torch.empty(400, 300)).numpy()
        ours = getattr(nn.init, name)(nn.Parameter(np.zeros((400, 300)))).numpy()
        assert ours.std() == pytest.approx(theirs.std(), rel=0.02)
        assert abs(ours).max() == pytest.approx(abs(theirs).max(), rel=0.2)
