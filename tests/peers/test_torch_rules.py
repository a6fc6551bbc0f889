"""Update rules against PyTorch's optimizers: the same batches, the same parameters after every epoch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import optim

import steepest as st

N, D, BATCH = 60, 5, 8
CASES: dict[str, tuple[st.optim.Rule, Callable[..., optim.Optimizer]]] = {
    "sgd": (st.optim.SGD(lr=0.1), lambda p: optim.SGD(p, lr=0.1)),
    "sgd, decay": (st.optim.SGD(lr=0.1, weight_decay=0.3), lambda p: optim.SGD(p, lr=0.1, weight_decay=0.3)),
    "momentum": (st.optim.Momentum(momentum=0.8, lr=0.1), lambda p: optim.SGD(p, lr=0.1, momentum=0.8)),
    "momentum, dampening": (
        st.optim.Momentum(momentum=0.8, dampening=0.4, lr=0.1, weight_decay=0.1),
        lambda p: optim.SGD(p, lr=0.1, momentum=0.8, dampening=0.4, weight_decay=0.1),
    ),
    "nesterov": (st.optim.Nesterov(momentum=0.8, lr=0.1), lambda p: optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True)),
    "adagrad": (st.optim.AdaGrad(), lambda p: optim.Adagrad(p)),
    "adagrad, start": (
        st.optim.AdaGrad(eps=1e-3, initial_accumulator_value=0.5, lr=0.2),
        lambda p: optim.Adagrad(p, lr=0.2, initial_accumulator_value=0.5, eps=1e-3),
    ),
    "rmsprop": (st.optim.RMSprop(), lambda p: optim.RMSprop(p)),
    "rmsprop, momentum": (
        st.optim.RMSprop(alpha=0.9, eps=1e-3, momentum=0.7, weight_decay=0.1),
        lambda p: optim.RMSprop(p, alpha=0.9, eps=1e-3, momentum=0.7, weight_decay=0.1),
    ),
    "adam": (st.optim.Adam(), lambda p: optim.Adam(p)),
    "adam, others": (
        st.optim.Adam(beta1=0.5, beta2=0.8, eps=1e-3, lr=0.1, weight_decay=0.2),
        lambda p: optim.Adam(p, lr=0.1, betas=(0.5, 0.8), eps=1e-3, weight_decay=0.2),
    ),
    "adamw": (st.optim.AdamW(), lambda p: optim.AdamW(p)),
    "adamw, others": (
        st.optim.AdamW(beta1=0.5, beta2=0.8, lr=0.1, weight_decay=0.5),
        lambda p: optim.AdamW(p, lr=0.1, betas=(0.5, 0.8), weight_decay=0.5),
    ),
    # PyTorch's mean begins one update later: it applies the share that belongs to the update before.
    "averaged": (st.optim.AveragedSGD(t0=1, lr=0.1), lambda p: optim.ASGD(p, lr=0.1, lambd=0, alpha=0, t0=0)),
    "averaged, tail": (st.optim.AveragedSGD(t0=6, lr=0.1), lambda p: optim.ASGD(p, lr=0.1, lambd=0, alpha=0, t0=5)),
    "clip_norm": (st.optim.Adam(lr=0.1, clip_norm=0.2), lambda p: optim.Adam(p, lr=0.1)),
    "clip_value": (st.optim.Momentum(lr=0.1, clip_value=0.05), lambda p: optim.SGD(p, lr=0.1, momentum=0.9)),
}


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_torch(name: str) -> None:
    rule, make = CASES[name]
    random = np.random.default_rng(4)
    X, x0 = random.normal(size=(N, D)), random.normal(size=D)
    y = np.sign(X @ random.normal(size=D) + random.normal(size=N))
    order = random.permutation(N)
    seen: list[Any] = []
    st.minimize(
        "log_loss",
        (X, y),
        x0=x0,
        method=rule,
        step_size=None if rule.lr else rule.default_lr,
        batch_size=BATCH,
        epochs=4,
        shuffle=order,
        callback=lambda r: seen.append(r.x),
    )
    w = torch.tensor(x0, requires_grad=True)
    optimizer = make([w])
    rows, targets = torch.tensor(X[order]), torch.tensor(y[order])
    expected = []
    for _ in range(4):
        for i in range(0, N, BATCH):
            optimizer.zero_grad()
            torch.nn.functional.softplus(-targets[i : i + BATCH] * (rows[i : i + BATCH] @ w)).mean().backward()
            if rule.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_([w], rule.clip_norm)
            if rule.clip_value is not None:
                torch.nn.utils.clip_grad_value_([w], rule.clip_value)
            optimizer.step()
        expected.append(optimizer.state[w]["ax"].numpy().copy() if rule.reports != "x" else w.detach().numpy().copy())
    assert np.abs(expected[-1] - x0).max() > 1e-3
    single = rule.reports != "x"  # PyTorch keeps the step size of ASGD in single precision
    np.testing.assert_allclose(seen, expected, rtol=1e-6 if single else 1e-9, atol=1e-11)
