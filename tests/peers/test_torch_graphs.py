"""Random graphs in PyTorch and here: the same values and gradients."""

from typing import Any

import numpy as np
import pytest
import torch

import steepest as st

UNARY = {
    "exp": lambda t: torch.exp(t),
    "expm1": lambda t: torch.expm1(t),
    "sin": lambda t: torch.sin(t),
    "cos": lambda t: torch.cos(t),
    "sinh": lambda t: torch.sinh(t),
    "tanh": lambda t: torch.tanh(t),
    "sigmoid": lambda t: torch.sigmoid(t),
    "softplus": lambda t: torch.nn.functional.softplus(t, threshold=1000.0),
    "erf": lambda t: torch.erf(t),
    "abs": lambda t: torch.abs(t),
    "relu": lambda t: torch.relu(t),
    "negative": lambda t: -t,
}
BINARY = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "logaddexp": torch.logaddexp,
}
REDUCTIONS = {
    "sum": lambda t, axis: torch.sum(t, axis, keepdim=True),
    "mean": lambda t, axis: torch.mean(t, axis, keepdim=True),
    "max": lambda t, axis: torch.amax(t, axis, keepdim=True),
    "logsumexp": lambda t, axis: torch.logsumexp(t, axis, keepdim=True),
}
OTHERS = ("matmul", "where", "slice", "transpose", "softmax", "gather", "divide", "power", "log", "sqrt")


def squashed(library: Any, value: Any) -> Any:
    """Keep numbers small, so that long graphs stay well conditioned."""
    return library.tanh(value)


def step(library: Any, name: str, a: Any, b: Any, numbers: list[int]) -> Any:
    ours, axis = library is st, numbers[0] % 2
    if name in UNARY:
        return getattr(st, name)(a) if ours else UNARY[name](a)
    if name in BINARY:
        return getattr(st, name)(a, b) if ours else BINARY[name](a, b)
    if name in REDUCTIONS:
        return a - (getattr(st, name)(b, axis, keepdims=True) if ours else REDUCTIONS[name](b, axis))
    match name:
        case "matmul":
            return a @ b
        case "where":
            return library.where(a > b, a * b, a + b)
        case "slice":
            return library.concatenate((a[1:], b[:1]), 0)
        case "transpose":
            return a.T + b
        case "softmax":
            return library.softmax(a, axis) * b
        case "gather":
            return a[numbers] + b
        case "divide":
            return a / (2 + library.sin(b))
        case "power":
            return library.exp(a) ** b
        case "log":
            return library.log(1.5 + library.sin(a)) * b
        case _:
            return library.sqrt(1.5 + library.sin(a)) * b


def run(library: Any, program: list[tuple[str, int, int, list[int]]], inputs: list[Any]) -> Any:
    values = list(inputs)
    for name, i, j, numbers in program:
        values.append(squashed(library, step(library, name, values[i % len(values)], values[j % len(values)], numbers)))
    return library.mean(library.stack(values))


@pytest.mark.parametrize("seed", range(500))
def test_random_graphs_agree(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = [*UNARY, *BINARY, *REDUCTIONS, *OTHERS]
    program = [
        (str(rng.choice(names)), int(rng.integers(100)), int(rng.integers(100)), rng.integers(0, 4, 4).tolist())
        for _ in range(int(rng.integers(3, 25)))
    ]
    arrays = [rng.normal(size=(4, 4)) for _ in range(3)]

    ours = [st.tensor(array, requires_grad=True) for array in arrays]
    theirs = [torch.tensor(array, requires_grad=True) for array in arrays]
    value, expected = run(st, program, ours), run(torch, program, theirs)
    value.backward()
    expected.backward()
    assert value.item() == pytest.approx(expected.item(), rel=1e-10, abs=1e-13)
    for x, y in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-10, atol=1e-12)

    compiled = st.compile(lambda x: run(st, program, [x[0], x[1], x[2]]))
    traced_value, gradient = compiled(np.stack(arrays))
    assert traced_value == pytest.approx(expected.item(), rel=1e-10, abs=1e-13)
    np.testing.assert_allclose(gradient, np.stack([y.grad.numpy() for y in theirs]), rtol=1e-10, atol=1e-12)


def test_hessian_vector_products_agree() -> None:
    rng = np.random.default_rng(0)
    A, point, v = rng.normal(size=(5, 5)), rng.normal(size=5), rng.normal(size=5)

    def f(library: Any, x: Any, A: Any) -> Any:
        return library.logsumexp(library.sin(A @ x) * x, 0) + (x @ x) ** 2

    x, y = st.tensor(point, requires_grad=True), torch.tensor(point, requires_grad=True)
    (g,) = st.grad(f(st, x, A), x, create_graph=True)
    (h,) = torch.autograd.grad(f(torch, y, torch.tensor(A)), y, create_graph=True)
    (ours,), (theirs,) = st.grad(g @ v, x), torch.autograd.grad(h @ torch.tensor(v), y)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-10)


def test_ties_of_reductions_are_shared_as_in_torch() -> None:
    ties = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    x, y = st.tensor(ties, requires_grad=True), torch.tensor(ties, requires_grad=True)
    st.sum(st.max(x, 1) * np.array([1.0, 2.0])).backward()
    torch.sum(torch.amax(y, 1) * torch.tensor([1.0, 2.0], dtype=torch.float64)).backward()
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy())
    a, b = st.tensor([1.0, 2.0], requires_grad=True), torch.tensor([1.0, 2.0], requires_grad=True)
    st.sum(st.maximum(a, 1.0)).backward()
    torch.sum(torch.maximum(b, torch.tensor(1.0))).backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy())
