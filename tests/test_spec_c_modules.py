"""The third source's points on modules, by name: C1, C2, C6 to C9 (C3 to C5 are about training, elsewhere)."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import steepest as st
from steepest import nn, reference

MODULES: dict[str, Callable[[], nn.Module]] = {
    "Linear": lambda: nn.Linear(4, 3, dtype=np.float64),
    "ReLU": nn.ReLU,
    "LeakyReLU": lambda: nn.LeakyReLU(0.1),
    "Sigmoid": nn.Sigmoid,
    "Tanh": nn.Tanh,
    "Softmax": nn.Softmax,
    "LogSoftMax": nn.LogSoftMax,
    "Dropout": lambda: nn.Dropout(0.5).eval(),
    "Duplicate": lambda: nn.Sequential(nn.Duplicate(3), nn.Add()),
    "Add": nn.Add,
    "Max": nn.Max,
    "Normalize": lambda: nn.Normalize([0.5, -1.0, 2.0, 0.0], [1.0, 2.0, 0.5, 3.0], dtype=np.float64),
}
OF_SEVERAL = {"Add", "Max"}


@pytest.fixture(autouse=True)
def seeded() -> None:
    nn.manual_seed(0)


def summed(outputs: Any, weights: NDArray[Any]) -> Any:
    return (outputs * weights).sum()


@pytest.mark.parametrize("name", MODULES)
def test_c1_every_module_passes_the_gradient_check(name: str) -> None:
    rng, module = np.random.default_rng(1), MODULES[name]()
    inputs = rng.normal(size=(2 if name in OF_SEVERAL else 1, 5, 4))
    shape = module(*map(st.tensor, inputs)).shape
    weights = rng.normal(size=shape)
    trained = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    start = [inputs, *(parameter.numpy() for parameter in trained.values())]
    ends = np.cumsum([array.size for array in start])

    def of_vector(x: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        values, *parameters = (
            part.reshape(array.shape) for part, array in zip(np.split(x, ends[:-1]), start, strict=True)
        )
        module.load_state_dict(module.state_dict() | dict(zip(trained, parameters, strict=True)))
        tensors = [st.tensor(value, requires_grad=True) for value in values]
        module.zero_grad()
        total = summed(module(*tensors), weights)
        total.backward()
        gradients = [t.grad.numpy().ravel() for t in (*tensors, *trained.values())]
        return total.item(), np.concatenate(gradients)

    at = np.concatenate([array.ravel() for array in start])
    answer = st.gradients.check_gradient(lambda x: of_vector(x)[0], lambda x: of_vector(x)[1], at)
    assert answer, answer
    assert abs(of_vector(at)[1]).max() > 0.1


@pytest.mark.parametrize("name", MODULES)
def test_c1_every_module_has_the_same_gradients_when_traced(name: str) -> None:
    rng, module = np.random.default_rng(2), MODULES[name]()
    inputs = rng.normal(size=(2 if name in OF_SEVERAL else 1, 7, 4))
    weights = rng.normal(size=module(*map(st.tensor, inputs)).shape[1:])
    tensors = [st.tensor(value, requires_grad=True) for value in inputs]
    expected = summed(module(*tensors), weights) / 7
    expected.backward()
    # The inputs of the first row as parameters: their shift moves every row.
    loss = st.loss(lambda shift, *batch: summed_rows(module(*(part + shift for part in batch)), weights))
    problem = loss.problem(tuple(inputs), np.zeros(4), None).problem
    value, gradient = problem.value_and_gradient(np.zeros(4))
    assert value == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(gradient, sum(t.grad.numpy().sum(axis=0) for t in tensors), atol=1e-13)


def summed_rows(outputs: Any, weights: NDArray[Any]) -> Any:
    return (outputs * weights).sum(-1)


def test_c1_linear_has_the_gradients_of_the_source() -> None:
    rng = np.random.default_rng(0)
    layer = nn.Linear(4, 3, bias=False, dtype=np.float64)
    X, slope = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    x = st.tensor(X, requires_grad=True)
    y = layer(x)
    np.testing.assert_allclose(y.numpy(), X @ layer.weight.numpy().T, atol=1e-14)
    y.backward(slope)
    # dC/dX = W^T dC/dY and dC/dW = dC/dY X^T, with the rows as columns there
    np.testing.assert_allclose(x.grad.numpy(), slope @ layer.weight.numpy(), atol=1e-14)
    np.testing.assert_allclose(layer.weight.grad.numpy(), slope.T @ X, atol=1e-14)
    by_x, by_w = reference.grad_linear(layer.weight.numpy(), X.T, slope.T)
    np.testing.assert_allclose(x.grad.numpy(), by_x.T, atol=1e-14)
    np.testing.assert_allclose(layer.weight.grad.numpy(), by_w, atol=1e-14)


def test_c1_duplicate_adds_the_gradients_of_its_copies() -> None:
    x = st.tensor([1.0, -2.0], requires_grad=True)
    first, second = nn.Duplicate()(x)
    (3.0 * first + first * second).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 3.0 + 2.0 * x.numpy())


def test_c1_add_gives_each_input_the_gradient_and_max_the_larger_one() -> None:
    a, b = (st.tensor(values, requires_grad=True) for values in ([1.0, 5.0, 2.0], [3.0, 4.0, 2.0]))
    nn.Add()(a, b).backward([1.0, 2.0, 3.0])
    assert a.grad.tolist() == b.grad.tolist() == [1.0, 2.0, 3.0]
    for tensor in (a, b):
        tensor.grad = None
    nn.Max()(a, b).backward([1.0, 2.0, 3.0])
    # in a tie they share it, as in PyTorch
    assert a.grad.tolist() == [0.0, 2.0, 1.5]
    assert b.grad.tolist() == [1.0, 0.0, 1.5]


def test_c1_relu_has_no_slope_at_zero() -> None:
    x = st.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    nn.ReLU()(x).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 1.0]
    # the source lets it through
    assert reference.grad_relu(x.numpy(), np.ones(3)).tolist() == [0.0, 1.0, 1.0]


def test_c1_the_source_agrees_away_from_ties() -> None:
    rng = np.random.default_rng(5)
    a, b = (st.tensor(rng.normal(size=(20, 3)), requires_grad=True) for _ in range(2))
    slope = rng.normal(size=(20, 3))
    nn.Max()(a, b).backward(slope)
    for tensor, expected in zip((a, b), reference.grad_max(a.numpy(), b.numpy(), slope), strict=True):
        np.testing.assert_array_equal(tensor.grad.numpy(), expected)
    assert [g.tolist() for g in reference.grad_max(np.zeros(1), np.zeros(1), np.ones(1))] == [[0.0], [1.0]]
    a.grad = None
    nn.ReLU()(a).backward(slope)
    np.testing.assert_array_equal(a.grad.numpy(), reference.grad_relu(a.numpy(), slope))


def test_c1_log_softmax_is_finite_for_large_numbers() -> None:
    x = st.tensor([1000.0, 0.0, -1000.0], requires_grad=True)
    y = nn.LogSoftMax()(x)
    assert y.tolist() == [0.0, -1000.0, -2000.0]
    y[1].backward()
    assert x.grad.tolist() == [-1.0, 1.0, 0.0]
    assert nn.Softmax()(x).tolist() == [1.0, 0.0, 0.0]
    assert st.softplus(st.tensor([-1000.0, 0.0, 1000.0])).tolist() == [0.0, math.log(2), 1000.0]


def test_c2_cross_entropy_is_the_negative_log_softmax_at_the_label() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(20, 5)) * 100, rng.integers(5, size=20)
    assert len(np.unique(labels)) == 5
    expected = -nn.LogSoftMax()(st.tensor(scores)).numpy()[np.arange(20), labels]
    np.testing.assert_allclose(st.cross_entropy(scores, labels).numpy(), expected, atol=1e-12)


def test_c6_l2_pulls_and_l1_makes_exact_zeros() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 10))
    y = X[:, :2] @ [[1.0], [-2.0]]
    fitted = {}
    for name, penalty in (("none", None), ("l2", st.L2(2 * 0.05)), ("l1", st.L1(0.2))):
        model = nn.Sequential(nn.Linear(10, 1, dtype=np.float64))
        nn.init.zeros_(model[0].weight)
        nn.fit(model, "mse", (X, y), method="sgd", step_size=0.05, batch_size=20, epochs=30, penalty=penalty, seed=0)
        fitted[name] = model[0].weight.numpy()[0]
    np.testing.assert_allclose(fitted["none"], [1, -2] + [0] * 8, atol=1e-3)
    assert (fitted["l1"][2:] == 0).all()
    assert (fitted["l1"][:2] != 0).all()
    assert abs(fitted["l2"][:2]).max() < 1.99
    assert (fitted["l2"] != 0).all()


@pytest.mark.parametrize("init", [nn.init.kaiming_normal_, nn.init.kaiming_uniform_])
def test_c7_kaiming_keeps_the_variance_through_ten_layers(init: Callable[..., Any]) -> None:
    size = 256
    x = np.random.default_rng(0).normal(size=(200, size)).astype(np.float32)
    layers: list[nn.Module] = []
    for _ in range(10):
        layers += [nn.Linear(size, size), nn.ReLU()]
        init(layers[-2].weight, nonlinearity="relu")
    powers = [float((x**2).mean())]
    for layer in layers:
        x = layer(x).numpy()
        if isinstance(layer, nn.ReLU):
            powers.append(float((x**2).mean()))
    # After ReLU half of the mean square is left, which the variance 2 / inputs makes up for.
    assert 0.4 < powers[-1] / powers[0] < 2.5
    for layer in layers[::2]:
        nn.init.xavier_normal_(layer.weight)
    y = nn.Sequential(*layers)(np.random.default_rng(0).normal(size=(200, size))).numpy()
    assert float((y**2).mean()) < 0.02, "Xavier's variance halves at every ReLU"


@pytest.mark.parametrize("shape", [(300, 200), (200, 300)])
def test_c7_variances_are_those_of_the_formulas(shape: tuple[int, int]) -> None:
    outputs, inputs = shape
    expected = {
        nn.init.kaiming_uniform_: 2 / inputs,
        nn.init.kaiming_normal_: 2 / inputs,
        nn.init.xavier_uniform_: 2 / (inputs + outputs),
        nn.init.xavier_normal_: 2 / (inputs + outputs),
    }
    for init, variance in expected.items():
        weight = init(nn.Parameter(np.zeros(shape))).numpy()
        assert weight.var() == pytest.approx(variance, rel=0.03)
        assert abs(weight.mean()) < 3 * math.sqrt(variance / weight.size)
    assert nn.Linear(inputs, outputs).weight.numpy().var() == pytest.approx(2 / inputs, rel=0.03)
    by_outputs = nn.init.kaiming_normal_(nn.Parameter(np.zeros(shape)), mode="fan_out").numpy()
    assert by_outputs.var() == pytest.approx(2 / outputs, rel=0.03)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.9])
def test_c8_dropout_keeps_the_expectation_and_is_off_when_predicting(rate: float) -> None:
    x = np.random.default_rng(0).normal(size=(100, 300)) + 1.0
    layer = nn.Dropout(rate)
    dropped = layer(x).numpy()
    assert (dropped == 0).mean() == pytest.approx(rate, abs=0.01)
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], x[kept] / (1 - rate))
    means = [layer(x).numpy().mean() for _ in range(20)]
    assert np.mean(means) == pytest.approx(x.mean(), rel=0.02)
    np.testing.assert_array_equal(layer.eval()(x).numpy(), x)


def test_c9_the_graph_may_depend_on_the_data() -> None:
    class Steps(nn.Module):
        """Applies its layer until the numbers are small."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3, bias=False, dtype=np.float64)
            self.layer.load_state_dict({"weight": 0.5 * np.eye(3)})

        def forward(self, x: Any) -> Any:
            self.count = 0
            while float(abs(x).max()) > 1.0:
                x = self.layer(x)
                self.count += 1
            return x

    model = Steps()
    for size, count in ((1.5, 1), (30.0, 5)):
        model.zero_grad()
        model(st.tensor([size, 0.0, 0.0])).sum().backward()
        assert model.count == count
        # d/dw of w**count * size
        assert model.layer.weight.grad.numpy()[0, 0] == pytest.approx(count * 0.5 ** (count - 1) * size)


def test_c9_a_graph_that_is_no_stack_has_the_gradients_of_numbers() -> None:
    class Diamond(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(3, 4, dtype=np.float64)
            self.left = nn.Linear(4, 4, dtype=np.float64)
            self.right = nn.Sequential(nn.Tanh(), nn.Linear(4, 4, dtype=np.float64))

        def forward(self, x: Any) -> Any:
            a, b, c = nn.Duplicate(3)(self.first(x))
            return nn.Max()(self.left(a), nn.Add()(self.right(b), c))

    rng, model = np.random.default_rng(3), Diamond()
    X, y = rng.normal(size=(30, 3)), rng.normal(size=(30, 4))
    before = model.state_dict()
    nn.fit(model, "multi_squared_error", (X, y), method="gd", step_size=0.01, epochs=1)
    after = model.state_dict()

    def value(state: dict[str, NDArray[Any]]) -> float:
        model.load_state_dict(state)
        return float(0.5 * ((model(X).numpy() - y) ** 2).sum(axis=1).mean())

    for name, array in before.items():
        for place in np.ndindex(array.shape):
            step = np.zeros(array.shape)
            step[place] = 1e-6
            slope = (value(before | {name: array + step}) - value(before | {name: array - step})) / 2e-6
            assert (array - after[name])[place] / 0.01 == pytest.approx(slope, rel=1e-5, abs=1e-8)
