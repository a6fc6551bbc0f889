"""Layers of few outputs go through the kernels of K scores: as the built-in losses do, whatever the rows are."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import members
import steepest as st
from steepest import nn
from steepest.nn._fit import NetworkLayout, NetworkLoss
from steepest.nn._losses import resolve
from test_kernels import LAYOUTS
from tolerances import DTYPES, tolerances

MOST = st._core.most_scores


def trained(X: Any, y: NDArray[Any], outputs: int, **options: Any) -> tuple[NDArray[Any], NDArray[Any], Any]:
    """Return the weights and biases of one layer that begins at zero."""
    layer = nn.Linear(X.shape[1], outputs)
    with st.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(np.zeros(parameter.shape, parameter.dtype))
    result = nn.fit(layer, "softmax", (X, y), method="sgd", step_size=0.1, **options)
    return result.params["weight"], result.params["bias"], result


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("outputs", [2, 3, 10, MOST, MOST + 1])
def test_a_layer_trains_as_the_built_in_softmax(outputs: int, dtype: Any, layout: str) -> None:
    for d, n in ((1, 40), (5, 41), (17, 75), (64, 130), (131, 67)):
        source = members.random(outputs, d, n, str(dtype), layout)
        plain = source.normal(size=(n, d)).astype(dtype)
        X = LAYOUTS[layout](plain)
        y = np.concatenate([np.arange(outputs), source.integers(outputs, size=n - outputs)])
        members.vary(plain, y)
        options: dict[str, Any] = {"batch_size": 23, "epochs": 2, "seed": 3, "shuffle": source.permutation(n)}
        weight, bias, _ = trained(X, y, outputs, **options)
        expected = st.minimize("softmax", (X, y), method="sgd", step_size=0.1, fit_intercept=True, **options)
        assert expected.coef.any()
        # Two epochs of steps of a tenth: rounding has no room to grow.
        atol = 10 * tolerances(dtype).runs
        np.testing.assert_allclose(weight, expected.coef, atol=atol)
        np.testing.assert_allclose(bias, expected.intercept, atol=atol)


@pytest.mark.parametrize("outputs", [3, MOST, MOST + 1])
def test_threads_change_no_bit(outputs: int) -> None:
    source = members.random(outputs)
    X = source.normal(size=(700, 300)).astype(np.float32)
    y = source.integers(outputs, size=700)
    runs = [trained(X, y, outputs, batch_size=300, epochs=2, seed=0, n_threads=threads)[2].x for threads in (1, 2, 3)]
    assert runs[0].any()
    for other in runs[1:]:
        np.testing.assert_array_equal(other, runs[0])


def test_narrow_rows_are_widened() -> None:
    source = members.random()
    X = source.integers(256, size=(90, 50)).astype(np.uint8)
    y = source.integers(4, size=90)
    options: dict[str, Any] = {"batch_size": 16, "epochs": 1, "seed": 0, "check_finite": False}
    weight, bias, _ = trained(X, y, 4, **options)
    same, same_bias, _ = trained(X.astype(np.float32), y, 4, **options)
    assert weight.any()
    np.testing.assert_array_equal(weight, same)
    np.testing.assert_array_equal(bias, same_bias)


@pytest.mark.parametrize("outputs", [2, MOST, MOST + 1])
def test_few_outputs_read_rows_in_place(outputs: int) -> None:
    source = members.random(outputs)
    X, y = source.normal(size=(50, 40)), np.arange(50) % outputs
    network = NetworkLoss(nn.Linear(40, outputs), resolve("softmax"))
    layout = NetworkLayout(network.start())
    programs = network._program(layout, [X, y.astype(float)], False, True)
    names = {name for phase in programs.steps for name, *_ in phase}
    assert names & {"scores", "weights", "product"} == ({"scores", "weights"} if outputs <= MOST else {"product"})
