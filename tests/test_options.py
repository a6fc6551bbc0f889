"""Options of a run: what the core refuses, and which do not go together."""

import re
from typing import Any

import numpy as np
import pytest

import steepest as st
from steepest import _core
from steepest._outcome import Outcome


def fit(**changed: Any) -> Any:
    """The smallest run there is, with some options changed or, given as None, left out."""
    problem = _core.Problem64(0, [], None, np.array([1.0, 2.0]), None, False, 1.0, 0)
    options = {"rule": (0, []), "schedule": (0, (0.1,)), "batch_size": 2, "epochs": 1, **changed}
    return problem.fit(np.zeros(1), {name: value for name, value in options.items() if value is not None})


def test_the_core_takes_its_options_by_name() -> None:
    assert Outcome(*fit()[0]).epochs == 1
    assert Outcome(*fit(epochs=3)[0]).epochs == 3


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"batches": 2}, "there is no option batches"),
        ({"epochs": None}, "the option epochs is missing"),
        ({"epochs": "many"}, "the option epochs cannot be 'many'"),
    ],
)
def test_the_core_refuses_options_it_does_not_know(changed: dict[str, Any], complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        fit(**changed)


def rows() -> tuple[Any, Any]:
    source = np.random.default_rng(0)
    X = source.normal(size=(60, 3))
    return X, X[:, 0] + 0.5 * source.normal(size=60)


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"patience": 3}, "patience waits for held-out rows to fit better; say which by validation="),
    ({"groups": [0, 0, 1]}, "groups are columns that share a mean and a deviation: they go with normalize=True"),
    ({"class_weight": "balanced"}, "class_weight goes with one label per row; the targets of huber are numbers"),
    ({"shuffle": "stratified"}, 'shuffle="stratified" puts every class into every batch; this loss knows none'),
    (
        {"method": "gd", "batch_size": 7},
        'this method takes all 60 rows in a batch; batch_size=7 goes with method="sgd"',
    ),
    ({"method": "L-BFGS-B", "batch_size": 7}, "this method takes all 60 rows in a batch"),
    ({"method": "L-BFGS-B", "step_size": 0.1}, "L-BFGS-B finds its steps itself: step_size=0.1"),
    ({"method": st.optim.SGD(lr=0.1), "step_size": 0.2}, "the step size is given twice: lr=0.1 with the rule"),
    (
        {"method": st.methods.get("L-BFGS-B", maxiter=3), "epochs": 4},
        "iterations are limited twice: epochs=4",
    ),
    ({"validation": 0.5, "shuffle": np.arange(60)}, "must name each of the 30 rows once; it has 60 entries"),
    (
        {"validation": 0.5, "shuffle": lambda epoch: np.arange(60)},
        "must name each of the 30 rows once; it has 60 entries",
    ),
    ({"normalize": True, "x0": "other"}, "x0 comes from a run without normalize=True"),
    ({"method": "L-BFGS-B", "shuffle": "sorted"}, "shuffle must be a bool"),
    ({"method": "Newton-CG", "shuffle": "stratified"}, "this loss knows none"),
    ({"validation": (3, 5)}, "validation as a tuple is (X, y), and rows by position are a list: X must be 2-D"),
]


@pytest.mark.parametrize(("options", "complaint"), CONTRADICTIONS)
def test_options_that_contradict_each_other(options: dict[str, Any], complaint: str) -> None:
    if isinstance(options.get("x0"), str):
        options = options | {"x0": st.minimize("huber", rows(), epochs=1, method="sgd")}
    with pytest.raises(ValueError, match=re.escape(complaint)):
        st.minimize("huber", rows(), **options)


def test_a_rule_that_holds_tensors_is_not_one_for_rows() -> None:
    rule = st.optim.Adam([st.tensor([1.0, 2.0, 3.0], requires_grad=True)], lr=0.1)
    with pytest.raises(ValueError, match=re.escape("method=Adam(...) holds tensors, which its step() moves")):
        st.minimize("huber", rows(), method=rule)


@pytest.mark.parametrize("name", st.optim.available())
def test_decoupled_says_how_weights_decay(name: str) -> None:
    rule = type(st.optim.get(name))
    if rule().decoupled:  # which then is no choice of the user's
        assert rule(weight_decay=0.0).weight_decay == 0
        return
    with pytest.raises(ValueError, match=r"decoupled=True is a kind of weight decay|has no place for decoupled"):
        rule(decoupled=True)
    assert not rule(decoupled=False).decoupled


@pytest.mark.parametrize(("loss", "more"), [("log_loss", 0), ("softmax", 1)])
def test_a_run_goes_on_with_its_own_classes(loss: str, more: int) -> None:
    X = rows()[0]
    place = np.arange(len(X)) % (2 + more)
    before = st.minimize(loss, (X, place), method="sgd", epochs=1, seed=0)
    other = np.array(["a", "b", "c"])[place]
    with pytest.raises(ValueError, match=re.escape(f"classes {list(range(2 + more))}, y holds ['a', 'b'")):
        st.minimize(loss, (X, other), x0=before)
    on = st.minimize(loss, (X, other), x0=before.x, method="sgd", epochs=1, seed=0)
    assert on.classes[0] == "a"
    assert st.minimize(loss, (X, place.astype(float)), x0=before, method="sgd", epochs=1).epochs == 2


@pytest.mark.parametrize("shape", [(2, 2), (2, 1, 2)])
def test_starts_of_other_shapes(shape: tuple[int, ...]) -> None:
    """As many numbers in another arrangement are likely to be meant for another problem."""
    X = np.eye(4)[[0, 1, 2, 3, 0]]
    with pytest.raises(ValueError, match=re.escape(f"x0 has shape {shape}; this problem takes (4,)")):
        st.minimize("mse", (X, np.arange(5.0)), x0=np.zeros(shape))
    for like in ((4, 1), (1, 4)):
        assert st.minimize("mse", (X, np.arange(5.0)), x0=np.zeros(like), method="gd", epochs=2).x.shape == (4,)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: st.optim.Adam(betas=(0.9, 0.99)), "Adam has no parameter 'betas'; there are: beta1, beta2, eps, lr"),
        (lambda: st.optim.get("sgd", momentum=0.9), "Momentum, Nesterov, "),
        (lambda: st.penalties.GroupLasso(radius=1.0), "have it; there are: alpha, groups"),
        (lambda: st.losses.Hinge(delta=2.0), "Hinge has no parameter 'delta'; Huber"),
        (lambda: st.losses.Huber(1.0, 2.0), "Huber: too many positional arguments"),
    ],
)
def test_parameters_there_are_not(make: Any, complaint: str) -> None:
    with pytest.raises(TypeError, match=re.escape(complaint)):
        make()


def test_options_work_together() -> None:
    """Everything at once: what is held out, weighed, normalised and bounded fits together."""
    source = np.random.default_rng(1)
    X = source.normal(size=(400, 5)) * [1, 30, 0.01, 5, 1] + 2
    z = X @ [1, 0.03, 100, 0.1, 0] + source.normal(size=400)
    y = np.array(["no", "yes"])[(z > np.quantile(z, 0.7)).astype(int)]
    weight = source.uniform(0.5, 2, size=400)
    options: dict[str, Any] = {
        "penalty": st.L2(0.01),
        "normalize": True,
        "groups": [[0, 4]],
        "class_weight": "balanced",
        "sample_weight": weight,
        "validation": 0.25,
        "seed": 3,
        "fit_intercept": True,
    }
    best = st.minimize("log_loss", (X, y), method="Newton-CG", tol=1e-13, **options)
    for method, batch_size in (("sgd", 16), ("adam", 16), ("svrg", 8), ("gd", None), ("L-BFGS-B", None)):
        how: dict[str, Any] = {"method": method, "batch_size": batch_size, "shuffle": "stratified", "epochs": 60}
        result = st.minimize("log_loss", (X, y), tol=None if method in ("sgd", "adam") else 1e-3, **how, **options)
        np.testing.assert_array_equal(result.normalization.mean, best.normalization.mean)
        assert result.gap is None or result.gap >= (result.fun - best.fun) * (1 - 1e-6)
        assert np.mean((result.predict(X) > 0) == (y == "yes")) > 0.7
        assert np.isfinite(result.history.validation).all()
    stopped = st.minimize("log_loss", (X, y), method="sgd", batch_size=16, epochs=200, patience=5, **options)
    assert stopped.history.validation[stopped.best_epoch - 1] == stopped.history.validation.min()
