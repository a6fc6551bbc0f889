"""Plain descent whose products move the weights by themselves: it goes where the ordinary update goes."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import steepest as st
from steepest import nn

# A clip that never acts makes a gradient of its own necessary.
ORDINARY = st.optim.SGD(clip_norm=1e30)


def digits(dtype: Any = np.float64) -> tuple[NDArray[Any], NDArray[np.int64]]:
    X, y = load_digits(return_X_y=True)
    return (X / 16).astype(dtype), y


def network(dtype: Any = np.float64, *, dropout: bool = False) -> nn.Sequential:
    nn.manual_seed(0)
    middle: list[nn.Module] = [nn.ReLU(), nn.Dropout(0.3)] if dropout else [nn.ReLU()]
    return nn.Sequential(
        nn.Linear(64, 40, dtype=dtype),
        *middle,
        nn.Linear(40, 20, dtype=dtype),
        nn.Tanh(),
        nn.Linear(20, 10, dtype=dtype),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 2, "step_size": 0.01},
        {"batch_size": 16},
        {"batch_size": 100},
        {"batch_size": 1700},
        {"batch_size": 64, "step_size": st.schedules.InverseTime(0.2)},
        {"batch_size": 64, "shuffle": False},
        {"batch_size": 64, "shuffle": "stream"},
        {"batch_size": 64, "sample_weight": np.linspace(0, 3, 1797)},
        {"batch_size": 64, "penalty": st.L2(0.01)},
        {"batch_size": 64, "penalty": st.L1(0.001)},
        {"batch_size": 64, "validation": 0.2},
        {"batch_size": 64, "dropout": True},
        {"batch_size": 512, "n_threads": 3, "dropout": True},
    ],
    ids=str,
)
def test_it_goes_where_the_ordinary_update_goes(options: dict[str, Any], dtype: Any) -> None:
    X, y = digits(dtype)
    options = {"step_size": 0.1, "epochs": 2, "seed": 1} | options
    dropout = options.pop("dropout", False)
    results, states = [], []
    for method in ("sgd", ORDINARY):
        model = network(dtype, dropout=dropout)
        results.append(nn.fit(model, "cross_entropy", (X, y), method=method, **options))
        states.append(model.state_dict())
    tolerance = 1e-12 if dtype == np.float64 else 2e-4
    for name, array in states[0].items():
        np.testing.assert_allclose(array, states[1][name], atol=tolerance, err_msg=name)
    np.testing.assert_allclose(results[0].fun, results[1].fun, rtol=100 * tolerance)
    np.testing.assert_allclose(
        results[0].history.running_objective, results[1].history.running_objective, rtol=100 * tolerance
    )
    assert (results[0].nit, results[0].nfev) == (results[1].nit, results[1].nfev)


def test_threads_change_no_bit_of_it() -> None:
    X, y = digits(np.float32)
    X, y = X.repeat(3, 0), y.repeat(3)
    assert X.nbytes > 1 << 20
    states = []
    for threads in (1, 2, 3, 5):
        nn.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))
        nn.fit(
            model,
            "cross_entropy",
            (X, y),
            method="sgd",
            step_size=0.1,
            batch_size=250,
            epochs=1,
            n_threads=threads,
            seed=0,
        )
        states.append(model.state_dict())
    for state in states[1:]:
        for name, array in state.items():
            np.testing.assert_array_equal(array, states[0][name])


@pytest.mark.parametrize("batch_size", [16, 100])
def test_weights_that_are_read_after_the_rows_wait_for_it(batch_size: int) -> None:
    X, y = digits()
    rng = np.random.default_rng(0)
    start = {
        "left": rng.normal(scale=0.2, size=(64, 30)),
        "right": rng.normal(scale=0.2, size=(30, 30)),
        "out": rng.normal(scale=0.2, size=(30, 10)),
    }
    Y = np.eye(10)[y]

    @st.loss
    def factored(w: Any, x: Any, target: Any) -> Any:
        scores = st.tanh(x @ (w["left"] @ w["right"])) @ w["out"]
        decay = 0.01 * ((w["out"] ** 2).sum() + (w["left"] * w["left"]).sum())
        return ((scores - target) ** 2).sum(1) + decay

    xs = [
        st.minimize(
            factored, (X, Y), x0=start, method=method, step_size=0.05, batch_size=batch_size, epochs=2, seed=0
        ).x
        for method in ("sgd", ORDINARY)
    ]
    np.testing.assert_allclose(xs[0], xs[1], atol=1e-12)


def test_where_a_batch_is_no_number_nothing_moves() -> None:
    # Were the weights moved along a gradient that is no number, there would be no operation to name.
    X = digits()[0][:256]

    def risky(outputs: Any, target: Any) -> Any:
        return (outputs**2).sum(1) + 0.0 * target + 1e-9 * st.log(0.9 - target)

    target = np.zeros(256)
    target[200] = 1
    for method in ("sgd", ORDINARY):
        model = network()
        with pytest.raises(ValueError, match=r"log gave NaN, first in row 200, in batch 6 of epoch 0"):
            nn.fit(
                model,
                risky,
                (X, target),
                method=method,
                step_size=0.01,
                batch_size=32,
                epochs=2,
                shuffle=False,
                check_finite=False,
            )
