"""Step sizes over time, over the whole list (A10)."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

import members
import steepest as st

SCHEDULES = members.variants(st.schedules)
TIMES = np.concatenate([np.arange(0.0, 30.0), [0.1, 0.25, 2 / 3, 4.999, 9.75, 10.001, 29.999]])
EPOCHS = 30.0


@pytest.mark.parametrize("name", st.schedules.available())
@pytest.mark.parametrize("check", members.MEMBER_CHECKS)
def test_member(check: Any, name: str) -> None:
    check(st.schedules, name)


@pytest.mark.parametrize("check", members.LIST_CHECKS)
def test_list(check: Any) -> None:
    check(st.schedules)


def test_the_schedules_asked_for_are_there() -> None:
    asked = {"constant", "inverse_scaling", "step", "exponential", "cosine", "inverse_time"}
    assert asked <= set(st.schedules.available())


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_schedules_are_their_formulas(schedule: Any) -> None:
    members.vary(TIMES)
    exact = members.evaluate(schedule, t=TIMES, epochs=EPOCHS) + np.zeros(TIMES.size)
    steps = np.array([schedule(float(t), EPOCHS) for t in TIMES])
    assert steps == pytest.approx(exact.astype(np.float64), rel=1e-13, abs=1e-15)
    assert all(isinstance(schedule(float(t), EPOCHS), float) for t in TIMES)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_schedules_begin_with_their_step_size(schedule: Any) -> None:
    assert schedule(0.0, EPOCHS) == pytest.approx(schedule.params["step_size"], rel=1e-15)
    assert schedule(0.0, 1e-3) == pytest.approx(schedule.params["step_size"], rel=1e-15)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("epochs", [1.0, 7.0, 100.0])
def test_schedules_never_leave_the_positive_numbers(schedule: Any, epochs: float) -> None:
    steps = np.array([schedule(float(t), epochs) for t in epochs * TIMES / EPOCHS])
    assert np.isfinite(steps).all()
    assert (steps > 0).all()


@pytest.mark.parametrize("name", st.schedules.available())
def test_default_schedules_never_rise(name: str) -> None:
    schedule = st.schedules.get(name)
    steps = [schedule(float(t), EPOCHS) for t in np.sort(TIMES)]
    assert all(later <= earlier for earlier, later in itertools.pairwise(steps))
    assert (steps[-1] < steps[0]) == (name != "constant")


@given(some.floats(0.1, 0.9), some.integers(0, 40))
def test_a10_alpha_to_the_power_of_t(alpha: float, t: int) -> None:
    falling = st.schedules.Exponential(step_size=1.0, factor=alpha)
    assert falling(t) == pytest.approx(alpha**t, rel=1e-14)
    assert falling(t + 1) < falling(t)


@given(some.floats(1e-3, 10.0), some.floats(0.0, 10.0), some.floats(0.5, 200.0))
def test_cosine_ends_where_it_says_and_stays_there(step_size: float, final: float, epochs: float) -> None:
    schedule = st.schedules.Cosine(step_size=step_size, final=final)
    halfway = (step_size + final) / 2
    assert schedule(0.0, epochs) == pytest.approx(step_size, rel=1e-14)
    assert schedule(epochs / 2, epochs) == pytest.approx(halfway, rel=1e-14)
    for later in (epochs, 1.5 * epochs, 100 * epochs):
        assert schedule(later, epochs) == pytest.approx(final, rel=1e-14, abs=1e-16)


@given(some.floats(1e-3, 10.0), some.floats(0.1, 0.9), some.integers(1, 9), some.integers(0, 20))
def test_step_falls_only_at_its_drops(step_size: float, factor: float, every: int, drops: int) -> None:
    schedule = st.schedules.Step(step_size=step_size, factor=factor, every=every)
    start = float(drops * every)
    before_the_next = float(np.nextafter(start + every, 0.0))
    assert schedule(start) == schedule(before_the_next) == pytest.approx(step_size * factor**drops, rel=1e-12)
    assert schedule(start + every) == pytest.approx(factor * schedule(start), rel=1e-12)


@given(some.floats(1e-3, 10.0), some.floats(0.1, 3.0), some.floats(0.0, 1e4))
def test_inverse_schedules_agree_where_they_are_the_same(step_size: float, decay: float, t: float) -> None:
    assert st.schedules.InverseScaling(step_size, power=1.0)(t) == pytest.approx(
        st.schedules.InverseTime(step_size, decay=1.0)(t), rel=1e-14
    )
    assert st.schedules.InverseScaling(step_size, power=0.0)(t) == step_size
    assert st.schedules.InverseTime(step_size, decay=0.0)(t) == step_size
    assert st.schedules.InverseTime(step_size, decay)(t) == pytest.approx(step_size / (1 + decay * t), rel=1e-14)


@pytest.mark.parametrize("wrong", ["soon", None, [1.0, 2.0]])
def test_time_must_be_a_number(wrong: Any) -> None:
    with pytest.raises(TypeError):
        st.schedules.Constant()(wrong)
