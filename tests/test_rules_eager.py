"""Rules that step eager tensors: the updates of the loop, whatever tensors the parameters are spread over (E2)."""

import copy
import inspect
import itertools
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import members
import steepest as st

Array = NDArray[Any]
N, D = 24, 5
RULES = st.optim.available()
TEMPERED: list[dict[str, Any]] = [
    {},
    {"clip_norm": 0.05},
    {"clip_value": 0.02},
    {"weight_decay": 0.5, "decoupled": False},
    {"weight_decay": 0.5, "decoupled": True, "clip_norm": 0.3},
]


def rows(name: str, dtype: str = "float64") -> tuple[Array, Array, Array]:
    random = members.random(name, dtype)
    X, y, x0 = random.normal(size=(N, D)), np.sign(random.normal(size=N)), random.normal(size=D)
    members.vary(X, x0)
    return X.astype(dtype), y.astype(dtype), x0.astype(dtype)


def options_of(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that a rule takes, with a step that moves it."""
    takes = options | ({"decoupled": False} if name in ("ftrl", "dog") and "decoupled" in options else {})
    return {"lr": 2.0 if name == "dog" else 0.05, "weight_decay": 0.0} | takes


def loop(name: str, x0: Array, gradients: list[Array], options: dict[str, Any]) -> list[Array]:
    """Return what the loop reports when it meets these gradients, one row at a time, at objectives of 0."""
    seen: list[Array] = []
    for count in range(1, len(gradients) + 1):
        given = iter(gradients[:count])
        st.minimize(
            (lambda theta, batch: 0.0, lambda theta, batch, given=given: next(given, gradients[0])),
            np.arange(float(count)),
            x0=x0,
            method=st.optim.get(name, **options),
            batch_size=1,
            epochs=1,
            shuffle=False,
            callback=lambda r: seen.append(r.x),
        )
    return seen


def spread(x: Array, how: str) -> list[Any]:
    parts = {"one": [x], "several": [x[:1], x[1:3].reshape(2, 1), x[3:]], "numbers": [*x]}[how]
    return [st.tensor(part.copy(), requires_grad=True) for part in parts]


def gather(tensors: list[Any]) -> Array:
    return np.concatenate([t.detach().numpy().ravel() for t in tensors])


@pytest.mark.parametrize("options", TEMPERED, ids=str)
@pytest.mark.parametrize("name", RULES)
def test_the_loop_and_tensors_take_the_same_steps(name: str, options: dict[str, Any]) -> None:
    x0, gradients = rows(name)[2], list(members.random(name, options).normal(size=(4, D)))
    members.vary(np.array(gradients))
    options = options_of(name, options)
    expected = None
    for how in ("one", "several", "numbers"):
        tensors = spread(x0, how)
        optimizer = type(st.optim.get(name))(tensors, **options)
        path = []
        for gradient in gradients:
            start = 0
            for tensor in tensors:
                tensor.grad = st.tensor(gradient[start : start + tensor.size].reshape(tensor.shape))
                start += tensor.size
            optimizer.step()
            optimizer.eval()
            path.append(gather(tensors))
            optimizer.train()
        expected = expected or loop(name, x0, gradients, options)
        np.testing.assert_allclose(path, expected, rtol=1e-12, atol=1e-14, err_msg=how)
        assert np.abs(np.array(path) - x0).max() > 1e-7


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", [name for name in RULES if name != "normalized_adaptive_invariant"])
def test_training_by_hand_is_minimize(name: str, dtype: str) -> None:
    """Gradients of a tensor's own graph, full batches; normalized updates look at the objective and the rows."""
    X, y, x0 = rows(name, dtype)
    W = st.tensor(x0, requires_grad=True)
    options = options_of(name, {})
    optimizer = type(st.optim.get(name))([W], **options)
    for _ in range(5):
        optimizer.zero_grad()
        st.mean(st.softplus(-y * (st.tensor(X) @ W))).backward()
        optimizer.step()
    optimizer.eval()
    found = st.minimize("log_loss", (X, y), x0=x0, method=st.optim.get(name, **options), batch_size=N, epochs=5)
    np.testing.assert_allclose(W.detach().numpy(), found.x, rtol=1e-10 if dtype == "float64" else 2e-4, atol=1e-6)
    assert W.detach().numpy().dtype == dtype
    assert np.abs(found.x - x0).max() > 1e-5


@pytest.mark.parametrize("name", RULES)
def test_tensors_without_a_gradient_stay_and_begin_later(name: str) -> None:
    options = options_of(name, {"weight_decay": 0.1, "decoupled": False})
    random = members.random(name)
    early, late = random.normal(size=3), random.normal(size=2)
    gradients = random.normal(size=(3, 2))
    first, second = st.tensor(early, requires_grad=True), st.tensor(late, requires_grad=True)
    optimizer = type(st.optim.get(name))([first, second], **options)
    for _ in range(3):
        first.grad = st.tensor(random.normal(size=3))
        optimizer.step()
    assert np.array_equal(second.detach().numpy(), late)
    moved = first.detach().numpy().copy()
    assert np.all(moved != early)
    first.grad = None
    alone = st.tensor(late, requires_grad=True)
    other = type(st.optim.get(name))([alone], **options)
    for gradient in gradients:
        for tensor, rule in ((second, optimizer), (alone, other)):
            tensor.grad = st.tensor(gradient)
            rule.step()
    assert np.array_equal(second.detach().numpy(), alone.detach().numpy())
    assert np.array_equal(first.detach().numpy(), moved)


def test_clipping_by_norm_is_over_all_tensors_of_either_dtype() -> None:
    for seed in range(4):
        random = np.random.default_rng(seed)
        parts = [random.normal(size=(2, 2)), random.normal(size=3).astype(np.float32), random.normal(size=())]
        gradients = [np.asarray(random.normal(size=part.shape), dtype=part.dtype) for part in parts]
        tensors = [st.tensor(np.asarray(part), dtype=part.dtype, requires_grad=True) for part in parts]
        for tensor, gradient in zip(tensors, gradients, strict=True):
            tensor.grad = st.tensor(gradient, dtype=gradient.dtype)
        st.optim.SGD(tensors, lr=1.0, clip_norm=0.7).step()
        norm = np.sqrt(sum((g.astype(float) ** 2).sum() for g in gradients))
        assert norm > 0.7
        for tensor, part, gradient in zip(tensors, parts, gradients, strict=True):
            np.testing.assert_allclose(tensor.detach().numpy(), part - gradient * 0.7 / norm, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", RULES)
def test_without_a_step_size_rules_take_their_own(name: str) -> None:
    rule = type(st.optim.get(name))
    W = st.tensor([1.0, 2.0], requires_grad=True)
    if rule.default_lr is None:
        with pytest.raises(ValueError, match="pass lr="):
            rule([W])
        return
    paths = []
    for options in ({}, {"lr": rule.default_lr}):
        W = st.tensor([1.0, 2.0], requires_grad=True)
        optimizer = rule([W], **options)
        W.grad = st.tensor([0.3, -0.1])
        optimizer.step()
        paths.append(W.detach().numpy())
    assert np.array_equal(*paths)
    assert np.all(paths[0] != [1.0, 2.0])


@pytest.mark.parametrize("name", RULES)
def test_signatures_begin_with_the_tensors(name: str) -> None:
    parameters = list(inspect.signature(type(st.optim.get(name))).parameters.values())
    assert (parameters[0].name, parameters[0].default) == ("tensors", None)
    assert parameters[0].kind is inspect.Parameter.POSITIONAL_ONLY
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in parameters[1:])


@pytest.mark.parametrize("name", RULES)
def test_what_cannot_be_stepped(name: str) -> None:
    rule = type(st.optim.get(name))
    leaf = st.tensor([1.0, 2.0], requires_grad=True)
    cases: list[tuple[Any, type[Exception], str]] = [
        ([], ValueError, "no tensors"),
        ([leaf, leaf], ValueError, "position 1 is given twice"),
        ([leaf, np.ones(2)], TypeError, "at position 1"),
        ([leaf * 2.0], ValueError, "leaves that require a gradient"),
        ([st.tensor([1.0])], ValueError, "leaves that require a gradient"),
        (0.9, TypeError, r"everything else by keyword.*lr"),
        (object(), TypeError, "steps tensors"),
    ]
    for given, error, message in cases:
        with pytest.raises(error, match=message):
            rule(given, lr=0.1)
    with pytest.raises(TypeError, match=rf"{rule.__name__} takes tensors first.*not 0.1"):
        rule([leaf], 0.1)
    with pytest.raises(RuntimeError, match="no tensors to step"):
        rule(lr=0.1).step()
    for twin in (copy.copy(rule([leaf], lr=0.1)), pickle.loads(pickle.dumps(rule([leaf], lr=0.1)))):
        assert twin == rule(lr=0.1)


@pytest.mark.parametrize("name", RULES)
def test_what_is_reported_does_not_disturb_the_descent(name: str) -> None:
    gradients = members.random(name).normal(size=(5, 3))
    ends = []
    for looks in (False, True):
        W = st.tensor([0.5, -1.0, 2.0], requires_grad=True)
        optimizer = type(st.optim.get(name))([W], **options_of(name, {}))
        for gradient in gradients:
            W.grad = st.tensor(gradient)
            optimizer.step()
            for _ in range(2 * looks):
                optimizer.eval()
            if looks and optimizer.reports != "x":
                with pytest.raises(RuntimeError, match=r"train\(\)"):
                    optimizer.step()
            optimizer.train()
        live = W.detach().numpy().copy()
        optimizer.eval()
        ends += [live, W.detach().numpy().copy()]
    assert np.array_equal(ends[0], ends[2])
    assert np.array_equal(ends[1], ends[3])
    assert np.array_equal(ends[0], ends[1]) == (st.optim.get(name).reports == "x")


def test_parameters_after_steps_keep_their_graphs() -> None:
    """A graph made before a step still holds the values it was made from."""
    for name, shape in itertools.product(RULES, [(), (1,), (3, 2)]):
        W = st.tensor(members.random(name, shape).normal(size=shape), requires_grad=True)
        before = W.detach().numpy().copy()
        doubled = 2.0 * W.detach()
        optimizer = type(st.optim.get(name))([W], lr=0.5)
        st.sum(W * W).backward()
        optimizer.step()
        assert np.array_equal(doubled.numpy(), 2 * before)
        assert W.requires_grad
        assert W.is_leaf
        assert W.shape == shape
