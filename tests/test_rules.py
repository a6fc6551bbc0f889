"""Update rules over the whole list: one update against the rule's formula (A4, C6)."""

import copy
import inspect
import itertools
import pickle
from typing import Any

import numpy as np
import pytest

import members
import steepest as st
from tolerances import DTYPES, tolerances

RULES = members.variants(st.optim)
P5 = np.array([12.1, 12.8, 14.9, 16.3, 17.2])


@pytest.mark.parametrize("name", st.optim.available())
@pytest.mark.parametrize("check", members.MEMBER_CHECKS)
def test_member(check: Any, name: str) -> None:
    check(st.optim, name)


@pytest.mark.parametrize("check", members.LIST_CHECKS)
def test_list(check: Any) -> None:
    check(st.optim)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_updates_are_the_formula(rule: Any) -> None:
    # A mean over the last gradient's size alone is ill-conditioned where a gradient crosses zero.
    step, updates = 0.37, 1 if rule.params.get("beta2") == 0 else 3
    for features, dtype in itertools.product([1, 3, 17, 70], DTYPES):
        random = members.random(rule, features)
        X, y, x0 = random.normal(size=(40, features)), random.normal(size=40), random.normal(size=features)
        X, y, x0 = X.astype(dtype), y.astype(dtype), x0.astype(dtype)
        members.vary(X, y)
        objective = st.Objective("squared_error", (X.astype(float), y.astype(float)))
        scale = np.abs(X).max(axis=0)
        row_size = ((X / scale) ** 2).sum(axis=1).mean()
        result = st.minimize("squared_error", (X, y), x0=x0, method=rule, step_size=step, batch_size=40, epochs=updates)
        names = members.statements(rule, x0)
        for t in range(1, updates + 1):
            f, g = objective.value_and_gradient(names["x"].astype(float))
            members.execute(rule, names, g=g, f=f, lr=step, t=t, scale=scale, row_size=row_size)
        exact = names[rule.reports].astype(np.float64)
        assert result.nit == updates
        assert result.x.dtype == dtype
        size = np.abs(exact).max() + 1
        assert result.x == pytest.approx(exact, rel=0, abs=tolerances(dtype).sums * 200 * size), (features, dtype)
        assert np.any(result.x != x0)


@pytest.mark.parametrize(
    ("start", "step", "after"), [(12, 1.0, 17.32), (12, 0.3, 13.596), (13.6, 0.3, 14.236), (14.24, 0.3, 14.492)]
)
def test_a4_one_step_of_descent(start: float, step: float, after: float) -> None:
    result = st.minimize("mse", P5, x0=float(start), method="sgd", step_size=step, batch_size=5, epochs=1)
    assert result.x[0] == pytest.approx(after, rel=1e-12, abs=5e-4)


@pytest.mark.parametrize("name", st.optim.available())
def test_a_rule_may_carry_its_step_size(name: str) -> None:
    cls = type(st.optim.get(name))
    assert inspect.signature(cls).parameters["lr"].default is None
    assert cls().lr is None
    rule = cls(lr=0.125)
    assert rule.lr == 0.125
    assert rule != cls()
    assert rule != cls(lr=0.25)
    assert rule == cls(lr=0.125) == st.optim.get(name, lr=0.125)
    assert hash(rule) == hash(cls(lr=0.125))
    for value in (0.125, 1 / 3, None):
        kept = cls(lr=value)
        for twin in (pickle.loads(pickle.dumps(kept)), copy.copy(kept), copy.deepcopy(kept)):
            assert twin == kept
            assert twin.lr == value
        assert eval(repr(kept), vars(st.optim)) == kept
    with pytest.raises(AttributeError):
        rule.lr = 1.0


@pytest.mark.parametrize("name", st.optim.available())
def test_the_carried_step_size_is_the_one_taken(name: str) -> None:
    def run(**arguments: Any) -> Any:
        return st.minimize("mse", P5, x0=12.0, batch_size=5, epochs=3, **arguments).x[0]

    rule = type(st.optim.get(name))
    assert run(method=rule(lr=0.1)) == run(method=rule(), step_size=0.1) != run(method=rule(lr=0.2))
    with pytest.raises(ValueError, match=r"lr.*step_size|step_size.*lr"):
        run(method=rule(lr=0.1), step_size=0.1)


@pytest.mark.parametrize("name", st.optim.available())
@pytest.mark.parametrize("lr", [0.0, -0.1, float("nan"), float("inf"), -float("inf")])
def test_step_sizes_out_of_range(name: str, lr: float) -> None:
    with pytest.raises(ValueError, match=r"lr must be positive"):
        st.optim.get(name, lr=lr)


@pytest.mark.parametrize("name", st.optim.available())
@pytest.mark.parametrize("lr", ["0.1", "much", [0.1], 1j])
def test_step_sizes_that_are_no_numbers(name: str, lr: Any) -> None:
    with pytest.raises(TypeError, match="lr must be"):
        st.optim.get(name, lr=lr)
