"""Update rules against optax: the same gradients, the same parameters after every update."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
import pytest
import test_torch_rules

import steepest as st

jax.config.update("jax_enable_x64", True)

N, D, UPDATES = 40, 5, 12
TINY = 1e-30  # optax adds eps under the root where steepest, as PyTorch, adds it to the root
CASES: dict[str, tuple[Callable[[Any], st.optim.Rule], optax.GradientTransformation]] = {
    "sgd": (lambda W: st.optim.SGD(W, lr=0.1), optax.sgd(0.1)),
    "momentum": (lambda W: st.optim.Momentum(W, momentum=0.8, lr=0.1), optax.sgd(0.1, momentum=0.8)),
    "nesterov": (lambda W: st.optim.Nesterov(W, momentum=0.8, lr=0.1), optax.sgd(0.1, momentum=0.8, nesterov=True)),
    "adagrad": (
        lambda W: st.optim.AdaGrad(W, eps=TINY, initial_accumulator_value=0.1, lr=0.2),
        optax.adagrad(0.2, initial_accumulator_value=0.1, eps=TINY),
    ),
    "rmsprop": (
        lambda W: st.optim.RMSprop(W, alpha=0.8, eps=TINY, lr=0.05),
        optax.rmsprop(0.05, decay=0.8, eps=TINY),
    ),
    "adam": (
        lambda W: st.optim.Adam(W, beta1=0.6, beta2=0.9, eps=1e-3, lr=0.1),
        optax.adam(0.1, b1=0.6, b2=0.9, eps=1e-3),
    ),
    "adamw": (
        lambda W: st.optim.AdamW(W, lr=0.1, weight_decay=0.3),
        optax.adamw(0.1, weight_decay=0.3),
    ),
    "schedule_free_sgd": (
        lambda W: st.optim.ScheduleFreeSGD(W, momentum=0.7, lr=0.2),
        optax.contrib.schedule_free(optax.sgd(0.2), learning_rate=0.2, b1=0.7),
    ),
    "schedule_free_adamw": (
        lambda W: st.optim.ScheduleFreeAdamW(W, beta1=0.7, beta2=0.9, eps=1e-6, lr=0.05),
        optax.contrib.schedule_free(optax.adam(0.05, b1=0.0, b2=0.9, eps=1e-6), learning_rate=0.05, b1=0.7),
    ),
    "dog": (lambda W: st.optim.DoG(W, reps_rel=0.02, lr=0.5), optax.contrib.dog(0.5, ("heuristic", 0.02))),
    # Where nothing but gradients pulls, following the leader is AdaGrad.
    "ftrl": (
        lambda W: st.optim.FTRL(W, beta=0.0, lr=0.2),
        optax.adagrad(0.2, initial_accumulator_value=0.0, eps=TINY),
    ),
    "clip_norm": (
        lambda W: st.optim.Momentum(W, momentum=0.9, lr=0.1, clip_norm=0.2),
        optax.chain(optax.clip_by_global_norm(0.2), optax.sgd(0.1, momentum=0.9)),
    ),
    "clip_value": (
        lambda W: st.optim.Adam(W, lr=0.1, clip_value=0.05),
        optax.chain(optax.clip(0.05), optax.adam(0.1)),
    ),
}


def test_every_rule_is_compared_with_a_peer() -> None:
    ours = {make([st.tensor([0.0], requires_grad=True)]).name for make, _ in CASES.values()}
    compared = ours | {rule.name for rule, _ in test_torch_rules.CASES.values()}
    # Vowpal Wabbit's is in neither.
    assert set(st.optim.available()) - compared == {"normalized_adaptive_invariant"}


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_optax(name: str) -> None:
    make, peer = CASES[name]
    source = np.random.default_rng(7)
    X, x0 = source.normal(size=(N, D)), source.normal(size=D)
    y = np.sign(X @ source.normal(size=D) + source.normal(size=N))

    def loss(w: Any, rows: Any) -> Any:
        return jax.numpy.mean(jax.numpy.logaddexp(0.0, -y[rows] * (X[rows] @ w)))

    W = st.tensor(x0, requires_grad=True)
    ours = make([W])
    theirs = jax.numpy.asarray(x0)
    state = peer.init(theirs)
    for update in range(UPDATES):
        rows = source.permutation(N)[:8]
        gradient = jax.grad(loss)(theirs, rows)
        W.grad = st.tensor(np.asarray(gradient))
        ours.step()
        updates, state = peer.update(gradient, state, theirs)
        theirs = optax.apply_updates(theirs, updates)
        # Clipping by norm divides by the norm plus 1e-6, as PyTorch does.
        tolerance = 1e-4 if name == "clip_norm" else 1e-7
        np.testing.assert_allclose(W.detach().numpy(), theirs, rtol=tolerance, atol=tolerance, err_msg=str(update))
    if name.startswith("schedule_free"):
        ours.eval()
        mean = optax.contrib.schedule_free_eval_params(state, theirs)
        np.testing.assert_allclose(W.detach().numpy(), mean, rtol=1e-6, atol=1e-6)
    assert np.abs(W.detach().numpy() - x0).max() > 0.01
