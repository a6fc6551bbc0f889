"""Every operation of the graph: values against NumPy, first and second derivatives against differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as some
from numpy.typing import NDArray

import steepest as st
from steepest import _core

Array = NDArray[Any]
OPS = {spec["name"]: spec for spec in _core.ops()}
ELEMENTWISE = [name for name, spec in OPS.items() if spec["elementwise"] and hasattr(st, name)]
SMOOTH = [name for name in ELEMENTWISE if not OPS[name]["mask"]]

# Where an operation is defined, if not everywhere: the range of each argument.
DOMAINS = {
    "log": [(0.2, 3)],
    "sqrt": [(0.2, 3)],
    "log1p": [(-0.7, 3)],
    "power": [(0.3, 2), (-2, 3)],
    "divide": [(-2, 2), (0.5, 2)],
}
# Where NumPy's name is another one, or NumPy has none.
REFERENCES: dict[str, Callable[..., Array]] = {
    "sigmoid": scipy.special.expit,
    "softplus": lambda x: np.logaddexp(0, x),
    "erf": scipy.special.erf,
    "log_cosh": lambda x: np.log(np.cosh(x)),
}
SHAPES = [((), ()), ((5,), (5,)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((), (2, 3)), ((2, 1, 3), (4, 1)), ((1,), (17,))]


def arguments(name: str, shapes: tuple[tuple[int, ...], ...], seed: int) -> list[Array]:
    """Return arguments within the domain, away from kinks and ties."""
    rng = np.random.default_rng(seed)
    domain = DOMAINS.get(name, [(-2, 2)])
    arrays = []
    for i in range(OPS[name]["arity"]):
        low, high = domain[min(i, len(domain) - 1)]
        shape = shapes[i % len(shapes)]
        numbers = rng.uniform(low, high, size=shape)
        arrays.append(np.where(np.abs(numbers) < 0.05, 0.3, numbers))
    if name == "where":
        arrays[0] = (arrays[0] > 0).astype(float)
    if name in ("equal", "not_equal"):
        arrays = [np.asarray(np.round(array)) for array in arrays]
    return arrays


def reference(name: str) -> Callable[..., Array]:
    return REFERENCES.get(name) or getattr(np, name)


def tensors(arrays: list[Array]) -> list[Any]:
    return [st.tensor(array, requires_grad=True) for array in arrays]


def split(x: Array, arrays: list[Array]) -> list[Array]:
    pieces = np.split(x, np.cumsum([array.size for array in arrays])[:-1])
    return [piece.reshape(array.shape) for piece, array in zip(pieces, arrays, strict=True)]


def check_derivatives(f: Callable[..., Any], arrays: list[Array], seed: int = 0) -> None:
    """Compare first and second derivatives of a weighted sum of f with central differences."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.5, 2, size=np.shape(f(*map(st.tensor, arrays))))
    direction = [rng.normal(size=array.shape) for array in arrays]
    at = np.concatenate([array.ravel() for array in arrays])

    def value(x: Array) -> float:
        return float(st.sum(weights * f(*map(st.tensor, split(x, arrays)))))

    def slope(x: Array) -> Any:
        inputs = tensors(split(x, arrays))
        gradients = st.grad(st.sum(weights * f(*inputs)), inputs, create_graph=True, allow_unused=True)
        used = [(g, d, t) for g, d, t in zip(gradients, direction, inputs, strict=True) if g is not None]
        total = used[0][0] * 0.0
        total = st.sum(total)
        for g, d, _ in used:
            total = total + st.sum(g * d)
        return total, inputs, gradients

    total, inputs, gradients = slope(at)
    first = np.concatenate(
        [np.zeros(t.size) if g is None else g.numpy().ravel() for g, t in zip(gradients, inputs, strict=True)]
    )
    np.testing.assert_allclose(first, st.gradients.numerical_gradient(value, at), rtol=1e-6, atol=1e-8)
    if total.requires_grad:
        seconds = st.grad(total, inputs, allow_unused=True)
        second = np.concatenate(
            [np.zeros(t.size) if g is None else g.numpy().ravel() for g, t in zip(seconds, inputs, strict=True)]
        )
    else:
        second = np.zeros_like(at)
    expected = st.gradients.numerical_gradient(lambda x: float(slope(x)[0]), at)
    # A central difference has the rounding of the terms that it adds up, over a step of eps^(1/3).
    terms = sum(np.abs(g.numpy() * d).sum() for g, d in zip(gradients, direction, strict=True) if g is not None)
    np.testing.assert_allclose(second, expected, rtol=1e-6, atol=max(1e-7, np.finfo(float).eps ** (2 / 3) * terms))


# --- elementwise ---


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_values_agree_with_numpy(name: str, shapes: Any, dtype: Any) -> None:
    arrays = [array.astype(dtype) for array in arguments(name, shapes, seed=1)]
    result = getattr(st, name)(*arrays)
    with np.errstate(invalid="ignore"):
        expected = reference(name)(
            *(array.astype(bool) if name == "where" and i == 0 else array for i, array in enumerate(arrays))
        )
    assert result.shape == np.shape(expected)
    assert result.dtype == dtype
    np.testing.assert_allclose(
        result.numpy(), expected, rtol=1e-14 if dtype == np.float64 else 3e-6, atol=np.finfo(dtype).eps
    )


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_with_broadcasting(name: str, shapes: Any) -> None:
    arrays = arguments(name, shapes, seed=2)
    if name == "where":
        check_derivatives(lambda a, b: st.where(arrays[0], a, b), arrays[1:])
    else:
        check_derivatives(getattr(st, name), arrays)


VIEWS: dict[str, Callable[[Any], Any]] = {
    "transposed": lambda t: t.T,
    "a row": lambda t: t[1],
    "columns backwards": lambda t: t[:, ::-1],
    "every second": lambda t: t[::2, 1:],
    "a new axis": lambda t: t[:, None],
    "reshaped": lambda t: t.reshape(-1),
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_through_views(name: str, view: str) -> None:
    arrays = arguments(name, ((4, 4),), seed=3)
    if name == "where":
        check_derivatives(
            lambda a, b: st.where(VIEWS[view](st.tensor(arrays[0])), VIEWS[view](a), VIEWS[view](b)), arrays[1:]
        )
    else:
        check_derivatives(lambda *ts: getattr(st, name)(*map(VIEWS[view], ts)), arrays)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_lengths_around_the_registers_are_all_computed(name: str) -> None:
    for dtype in (np.float64, np.float32):
        whole = [array.astype(dtype) for array in arguments(name, ((40,),), seed=4)]
        expected = getattr(st, name)(*whole).numpy()
        assert len(np.unique(expected)) > 1
        for n in range(36):
            for start in (0, 1, 3):
                part = [array[start : start + n] for array in whole]
                np.testing.assert_allclose(
                    getattr(st, name)(*part).numpy(),
                    expected[start : start + n],
                    rtol=1e-6 if dtype == np.float32 else 1e-14,
                )


@pytest.mark.parametrize("name", SMOOTH)
def test_masks_and_only_they_have_no_derivative(name: str) -> None:
    inputs = tensors(arguments(name, ((3,),), seed=5))
    assert getattr(st, name)(*inputs).requires_grad
    for mask in sorted(set(ELEMENTWISE) - set(SMOOTH)):
        assert not getattr(st, mask)(*tensors(arguments(mask, ((3,),), seed=5))).requires_grad


def test_ties_share_the_gradient_equally() -> None:
    for f, at, expected in [
        (lambda x: st.maximum(x, 0.0), 0.0, 0.5),
        (lambda x: st.minimum(0.0, x), 0.0, 0.5),
        (st.abs, 0.0, 0.0),
        (lambda x: st.clip(x, -1.0, 1.0), 1.0, 0.5),
        (st.relu, 0.0, 0.0),
        (lambda x: st.max(st.stack([x, x, x - 1])), 2.0, 1.0),
    ]:
        x = st.tensor(at, requires_grad=True)
        f(x).backward()
        assert x.grad.item() == expected
    x = st.tensor([3.0, 1.0, 3.0, 3.0], requires_grad=True)
    st.max(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), [1 / 3, 0, 1 / 3, 1 / 3])


@pytest.mark.parametrize("exponent", [-3, -1, 0, 1, 2, 3, 7, 0.5, 1.5, -0.5])
def test_powers_with_constant_exponents(exponent: float) -> None:
    check_derivatives(lambda x: x**exponent, [np.array([0.4, 1.3, 2.2])])
    if exponent == int(exponent):
        check_derivatives(lambda x: x**exponent, [np.array([-0.4, -1.3, 2.2])])
        np.testing.assert_allclose((st.tensor([-1.5, 2.0]) ** exponent).numpy(), np.array([-1.5, 2.0]) ** exponent)
    check_derivatives(lambda x: exponent ** (x + 5), [np.array([0.4])]) if exponent > 0 else None


def test_extreme_numbers() -> None:
    inf, nan = np.inf, np.nan
    far = np.array([-1e4, -1000.0, 1000.0, 1e4])
    for name, expected in {
        "softplus": [0, 0, 1000, 1e4],
        "sigmoid": [0, 0, 1, 1],
        "tanh": [-1, -1, 1, 1],
        "exp": [0, 0, inf, inf],
        "log_cosh": [1e4 - np.log(2), 1000 - np.log(2), 1000 - np.log(2), 1e4 - np.log(2)],
        "erf": [-1, -1, 1, 1],
    }.items():
        np.testing.assert_allclose(getattr(st, name)(far).numpy(), expected, rtol=1e-15, atol=1e-300)
    for name in SMOOTH:
        arity = OPS[name]["arity"]
        if name != "where":
            assert np.isnan(getattr(st, name)(*[nan] * arity).item()), name
    np.testing.assert_array_equal(st.maximum([nan, 1.0], [1.0, nan]).numpy(), [nan, nan])
    np.testing.assert_array_equal(st.log(np.array([0.0, -1.0, inf])).numpy(), [-inf, nan, inf])
    assert st.logsumexp([1000.0, 1000.0]).item() == pytest.approx(1000 + np.log(2))
    assert st.logsumexp([-inf, -inf]).item() == -inf
    assert st.logsumexp([inf, 0.0]).item() == inf
    np.testing.assert_array_equal(st.log_softmax([1000.0, 0.0, -1000.0]).numpy(), [0, -1000, -2000])


# --- the others ---

A, B3 = np.random.default_rng(6).normal(size=(3, 4)), np.random.default_rng(7).normal(size=(2, 3, 4))
V = np.random.default_rng(8).normal(size=4)
STRUCTURAL: dict[str, list[tuple[Callable[..., Any], Callable[..., Any], list[Array]]]] = {
    "sum": [
        (
            lambda x, axis=axis, keep=keep: st.sum(x, axis, keep) ** 2,
            lambda x, axis=axis, keep=keep: np.sum(x, axis, keepdims=keep) ** 2,
            [B3],
        )
        for axis in (None, 0, 1, -1, (0, 2), (1, 2), ())
        for keep in (False, True)
    ],
    "max": [
        (lambda x, axis=axis: st.max(x, axis) ** 2, lambda x, axis=axis: np.max(x, axis) ** 2, [B3])
        for axis in (None, 0, 1, 2, (0, 2))
    ]
    + [(lambda x: st.min(x, 1), lambda x: np.min(x, 1), [B3])],
    "logsumexp": [
        (lambda x, axis=axis: st.logsumexp(x, axis), lambda x, axis=axis: scipy.special.logsumexp(x, axis), [B3])
        for axis in (None, 0, 1, 2, (0, 2))
    ]
    + [
        (st.log_softmax, lambda x: scipy.special.log_softmax(x, -1), [A]),
        (lambda x: st.softmax(x, 0), lambda x: scipy.special.softmax(x, 0), [A]),
    ],
    "matmul": [
        (lambda a, b: a @ b, lambda a, b: a @ b, [a, b])
        for a, b in [
            (A, A.T.copy()),
            (A, V),
            (V, A.T.copy()),
            (V, V + 1),
            (B3, A.T.copy()),
            (B3, V),
            (V[:3], B3),
            (B3, np.ones((2, 4, 2)) * V[:, None]),
            (np.ones((5, 1, 2, 3)) * V[:3], B3),
            (np.outer(np.arange(9.0), np.arange(1.0, 8)), np.outer(np.arange(7.0), np.arange(1.0, 20))),
        ]
    ]
    + [
        (lambda a, b: a.T @ b, lambda a, b: a.T @ b, [A, A + 1]),
        (lambda a, b: a @ b.T, lambda a, b: a @ b.T, [A, A + 1]),
    ],
    "transpose": [
        (lambda x: st.transpose(x) ** 2, lambda x: x.T**2, [B3]),
        (lambda x: st.transpose(x, (1, 2, 0)) ** 2, lambda x: x.transpose(1, 2, 0) ** 2, [B3]),
        (lambda x: st.transpose(x, (-1, 0, 1)) ** 2, lambda x: x.transpose(-1, 0, 1) ** 2, [B3]),
    ],
    "reshape": [(lambda x: st.reshape(x, (4, -1)) ** 2, lambda x: x.reshape(4, -1) ** 2, [B3])],
    "broadcast_to": [
        (lambda x: st.broadcast_to(x, (2, 3, 4)) ** 2, lambda x: np.broadcast_to(x, (2, 3, 4)) ** 2, [A]),
        (lambda x: st.broadcast_to(x, (3, 4)) ** 2, lambda x: np.broadcast_to(x, (3, 4)) ** 2, [A[:, :1]]),
    ],
    "slice": [
        (lambda x, i=i: x[i] ** 2, lambda x, i=i: x[i] ** 2, [B3])
        for i in (
            0,
            -1,
            slice(1),
            (1, slice(None, None, 2)),
            (..., slice(3, 0, -1)),
            (slice(None), None, 1),
            (0, 1, 2),
            (slice(0), 1),
        )
    ],
    "embed": [
        (
            lambda x: st.grad(st.sum(x[1:] ** 3), x, create_graph=True)[0],
            lambda x: np.concatenate([0 * x[:1], 3 * x[1:] ** 2]),
            [A],
        )
    ],
    "take": [
        (lambda x, i=i: x[i] ** 2, lambda x, i=i: x[i] ** 2, [A])
        for i in ([0, 2, 2, -1], np.array([[0, 1], [1, 1]]), np.array([True, False, True]))
    ],
    "put": [
        (
            lambda x: st.grad(st.sum(x[[0, 0, 2]] ** 3), x, create_graph=True)[0],
            lambda x: 3 * x**2 * np.array([[2.0], [0], [1]]),
            [A],
        )
    ],
    "join": [
        (lambda a, b: st.concatenate((a, b, a), 1) ** 2, lambda a, b: np.concatenate((a, b, a), 1) ** 2, [A, A[:, :1]]),
        (lambda a, b: st.concatenate((a, b)) ** 2, lambda a, b: np.concatenate((a, b)) ** 2, [A, A[:1] + 1]),
        (lambda a, b: st.stack((a, b), 1) ** 2, lambda a, b: np.stack((a, b), 1) ** 2, [A, A + 1]),
    ],
    "whole_power": [(lambda x: x**3, lambda x: x**3, [A])],
    "share": [
        (
            lambda x: st.grad(st.sum(st.maximum(x, 0.1) ** 2), x, create_graph=True)[0],
            lambda x: np.where(x > 0.1, 2 * x, 0),
            [A],
        )
    ],
}


def test_every_operation_is_tested() -> None:
    assert set(STRUCTURAL) | set(ELEMENTWISE) == set(OPS)
    for name, cases in STRUCTURAL.items():
        f, _, arrays = cases[0]
        names = {node[0] for node in _core.nodes(f(*tensors(arrays)), False)}
        if name not in ("share",):
            assert any(label and label.split()[0] in (name, "power") for label in names), (name, names)


@pytest.mark.parametrize(("name", "case"), [(name, i) for name, cases in STRUCTURAL.items() for i in range(len(cases))])
def test_structural_operations(name: str, case: int) -> None:
    f, expected, arrays = STRUCTURAL[name][case]
    if name in ("embed", "put", "share"):
        np.testing.assert_allclose(f(*tensors(arrays)).numpy(), expected(*arrays), rtol=1e-14)
        inputs = tensors(arrays)
        (second,) = st.grad(st.sum(f(*inputs)), inputs)
        numerical = st.gradients.numerical_gradient(
            lambda x: float(st.sum(f(st.tensor(x, requires_grad=True)))), arrays[0]
        )
        np.testing.assert_allclose(second.numpy(), numerical, rtol=1e-6, atol=1e-8)
        return
    result = f(*map(st.tensor, arrays))
    assert result.shape == expected(*arrays).shape
    np.testing.assert_allclose(result.numpy(), expected(*arrays), rtol=1e-13, atol=1e-14)
    narrow = f(*(st.tensor(array, dtype=np.float32) for array in arrays))
    np.testing.assert_allclose(narrow.numpy(), expected(*arrays), rtol=1e-4, atol=1e-5)
    check_derivatives(f, arrays)


def test_composed_functions() -> None:
    scores, labels = B3[0], [2, 0, 3]
    expected = -scipy.special.log_softmax(scores, -1)[np.arange(3), labels]
    np.testing.assert_allclose(st.cross_entropy(scores, labels).numpy(), expected, rtol=1e-13)
    check_derivatives(lambda x: st.cross_entropy(x, labels), [scores])
    np.testing.assert_allclose(st.mean(B3, (0, 2)).numpy(), B3.mean((0, 2)))
    np.testing.assert_allclose(st.var(B3, 1).numpy(), B3.var(1))
    check_derivatives(lambda x: st.var(x, 1), [B3])
    np.testing.assert_allclose(st.clip(A, -0.5, 0.5).numpy(), np.clip(A, -0.5, 0.5))
    check_derivatives(lambda a, b: st.logaddexp(a, b), [A, A[::-1] + 0.2])
    np.testing.assert_allclose(st.dot(V, V).item(), V @ V)


def test_sums_of_many_float32_stay_accurate() -> None:
    numbers = np.random.default_rng(9).uniform(size=1_000_000).astype(np.float32)
    assert st.sum(numbers).item() == pytest.approx(numbers.sum(dtype=np.float64), rel=1e-6)


# --- random graphs ---


@st.no_grad()
def _value(program: list[tuple[str, int, int]], arrays: list[Array]) -> float:
    return float(_run(program, [st.tensor(array) for array in arrays]))


def _run(program: list[tuple[str, int, int]], inputs: list[Any]) -> Any:
    """Run a random program: every step takes two of what is there."""
    values = list(inputs)
    for name, i, j in program:
        a, b = values[i % len(values)], values[j % len(values)]
        match name:
            case "matmul":
                values.append(st.tanh(a @ b.T))
            case "mean":
                values.append(a - st.mean(b, axis=0))
            case "slice":
                values.append(st.concatenate((a[1:], b[:1])))
            case "logsumexp":
                values.append(a + st.logsumexp(b, axis=1, keepdims=True))
            case "sin" | "tanh" | "sigmoid" | "softplus" | "erf":
                values.append(getattr(st, name)(a) * b)
            case _:
                values.append(st.tanh(getattr(st, name)(a, b)))
    return st.mean(st.stack(values))


@settings(max_examples=60)
@given(
    program=some.lists(
        some.tuples(
            some.sampled_from(
                (
                    "add",
                    "subtract",
                    "multiply",
                    "matmul",
                    "mean",
                    "slice",
                    "logsumexp",
                    "sin",
                    "tanh",
                    "sigmoid",
                    "softplus",
                    "erf",
                )
            ),
            some.integers(0, 20),
            some.integers(0, 20),
        ),
        min_size=1,
        max_size=12,
    ),
    seed=some.integers(0, 1000),
)
def test_random_graphs_pass_the_gradient_check(program: list[tuple[str, int, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(3, 3)) for _ in range(2)]
    inputs = tensors(arrays)
    gradients = st.grad(_run(program, inputs), inputs)
    at = np.stack(arrays)
    numerical = st.gradients.numerical_gradient(lambda x: _value(program, list(x)), at)
    np.testing.assert_allclose(np.stack([g.numpy() for g in gradients]), numerical, rtol=1e-5, atol=1e-8)
    compiled = st.compile(lambda x: _run(program, [x[0], x[1]]))
    value, gradient = compiled(at)
    assert value == pytest.approx(_value(program, arrays), rel=1e-12, abs=1e-14)
    np.testing.assert_allclose(gradient, np.stack([g.numpy() for g in gradients]), rtol=1e-10, atol=1e-13)
