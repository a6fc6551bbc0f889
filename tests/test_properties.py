"""What must hold whatever the data: properties of objective and descent (Hypothesis)."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some
from numpy.typing import NDArray

import steepest as st

Array = NDArray[Any]

POINTWISE = [st.losses.get(name) for name in st.losses.available("pointwise")]
BOUNDED = [loss.name for loss in POINTWISE if loss.curvature is not None]
RESIDUAL = [loss.name for loss in POINTWISE if loss.target == "real" and loss.convex]
PENALTIES = some.one_of(
    some.none(),
    some.floats(0, 2).map(st.L1),
    some.floats(0, 2).map(st.L2),
    some.tuples(some.floats(0, 2), some.floats(0, 1)).map(lambda pair: st.ElasticNet(*pair)),
)
few = settings(max_examples=25)


@some.composite
def problems(draw: some.DrawFn, target: str = "real", rows: int = 30) -> tuple[Array, Array]:
    """Draw rows of 1 to 6 features whose scales and offsets differ, and targets that vary."""
    n, d = draw(some.integers(2, rows)), draw(some.integers(1, 6))
    rng = np.random.default_rng(draw(some.integers(0, 2**32 - 1)))
    scales = 10.0 ** np.array(draw(some.lists(some.floats(-1, 1), min_size=d, max_size=d)))
    X = rng.normal(draw(some.floats(-2, 2)), 1, size=(n, d)) * scales
    y = rng.normal(draw(some.floats(-3, 3)), draw(some.floats(0.1, 5)), size=n)
    if target == "binary":
        y = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    elif target != "real":
        y = np.abs(y) + 0.01
    assume(np.unique(y).size > 1)
    return X, y


def weights_of(seed: int, n: int) -> Array:
    return np.random.default_rng(seed).uniform(0.1, 3.0, n)


@pytest.mark.parametrize("name", RESIDUAL)
def test_convex_losses_of_real_targets_are_losses_of_residuals(name: str) -> None:
    """Of y - z, which is unchanged when both move."""
    loss = st.losses.get(name)
    moved, still = (loss.pointwise([1.0 + shift, 5.0 + shift], [2.0 + shift, 3.0 + shift]) for shift in (4, 0))
    assert np.allclose(moved, still)


@pytest.mark.parametrize("name", BOUNDED)
@few
@given(data=some.data())
def test_a_step_of_one_over_the_bound_never_raises_the_objective(name: str, data: some.DataObject) -> None:
    """With L1 too: a proximal step of that size descends."""
    X, y = data.draw(problems(st.losses.get(name).target))
    model: dict[str, Any] = {
        "penalty": data.draw(PENALTIES),
        "sample_weight": weights_of(data.draw(some.integers(0, 99)), len(y)),
        "fit_intercept": data.draw(some.booleans()),
    }
    objective = st.Objective(name, (X, y), **model)
    start = np.random.default_rng(1).normal(size=objective.n_parameters)
    points = [start]
    st.minimize(
        name,
        (X, y),
        x0=start,
        method="gd",
        step_size=1 / objective.smoothness(),
        epochs=25,
        callback=lambda r: points.append(r.x),
        **model,
    )
    values = np.array([objective.value(x) for x in points])
    assert (np.diff(values) <= 1e-12 * (1 + np.abs(values[0]))).all()


@pytest.mark.parametrize("name", ["squared_error", "huber", "log_loss", "squared_hinge"])
@few
@given(data=some.data())
def test_the_bound_is_one(name: str, data: some.DataObject) -> None:
    """Gradients differ by at most the bound times the distance of the points."""
    X, y = data.draw(problems(st.losses.get(name).target))
    objective = st.Objective(name, (X, y), data.draw(some.floats(0, 2).map(st.L2)), fit_intercept=True)
    bound = objective.smoothness()
    rng = np.random.default_rng(data.draw(some.integers(0, 999)))
    for scale in (1e-3, 1.0, 10.0):
        a, b = scale * rng.normal(size=(2, objective.n_parameters))
        change = np.linalg.norm(objective.gradient(a) - objective.gradient(b))
        assert change <= bound * np.linalg.norm(a - b) * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("method", ["gd", "sgd"])
@few
@given(data=some.data())
def test_scaling_the_weights_changes_nothing(method: str, data: some.DataObject) -> None:
    X, y = data.draw(problems("binary"))
    weight = weights_of(data.draw(some.integers(0, 99)), len(y))
    factor = data.draw(some.floats(1e-3, 1e3))
    options: dict[str, Any] = {"penalty": data.draw(PENALTIES), "method": method, "epochs": 5, "seed": 0}
    if method == "sgd":
        options["batch_size"] = data.draw(some.integers(1, len(y)))
    one, other = (st.minimize("log_loss", (X, y), sample_weight=w, **options) for w in (weight, factor * weight))
    np.testing.assert_allclose(other.x, one.x, rtol=1e-7, atol=1e-9)
    assert other.fun == pytest.approx(one.fun, rel=1e-9)


@few
@given(data=some.data())
def test_equal_weights_are_no_weights(data: some.DataObject) -> None:
    X, y = data.draw(problems("binary"))
    options: dict[str, Any] = {
        "method": "sgd",
        "batch_size": data.draw(some.integers(1, len(y))),
        "epochs": 4,
        "seed": 0,
    }
    plain = st.minimize("log_loss", (X, y), **options)
    weighted = st.minimize("log_loss", (X, y), sample_weight=np.full(len(y), 0.7), **options)
    np.testing.assert_allclose(weighted.x, plain.x, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["huber", "log_loss", "poisson"])
@few
@given(data=some.data())
def test_permuting_the_rows_changes_nothing_for_full_batches(name: str, data: some.DataObject) -> None:
    X, y = data.draw(problems(st.losses.get(name).target))
    weight = weights_of(data.draw(some.integers(0, 99)), len(y))
    order = np.random.default_rng(data.draw(some.integers(0, 999))).permutation(len(y))
    assume((order != np.arange(len(y))).any())
    options: dict[str, Any] = {"method": "gd", "step_size": 1e-4, "epochs": 10, "fit_intercept": True}
    one = st.minimize(name, (X, y), sample_weight=weight, **options)
    other = st.minimize(name, (X[order], y[order]), sample_weight=weight[order], **options)
    np.testing.assert_allclose(other.x, one.x, rtol=1e-9, atol=1e-12)
    assert other.fun == pytest.approx(one.fun, rel=1e-10)


@few
@given(data=some.data())
def test_permuting_rows_and_order_together_changes_no_bit(data: some.DataObject) -> None:
    """For mini-batches the order of visit is all that counts, not where the rows lie."""
    X, y = data.draw(problems("real"))
    n = len(y)
    rng = np.random.default_rng(data.draw(some.integers(0, 999)))
    lie, visit = rng.permutation(n), rng.permutation(n)
    # Smaller than n: a batch of all rows is walked as it lies.
    options: dict[str, Any] = {"method": "sgd", "batch_size": data.draw(some.integers(1, n - 1)), "epochs": 3}
    options |= {"step_size": 1e-3}
    one = st.minimize("huber", (X, y), shuffle=visit, **options)
    other = st.minimize("huber", (X[lie], y[lie]), shuffle=np.argsort(lie)[visit], **options)
    assert np.array_equal(one.x, other.x)


@pytest.mark.parametrize("name", RESIDUAL)
@few
@given(data=some.data())
def test_moving_the_targets_moves_the_constant(name: str, data: some.DataObject) -> None:
    """Eighths of a number of rows that is a power of two: residuals are exact, so no slope jumps by rounding."""
    n = 2 ** data.draw(some.integers(1, 5))
    y = np.array(data.draw(some.lists(some.integers(-80, 80), min_size=n, max_size=n))) / 8
    assume(np.unique(y).size > 1)
    shift = data.draw(some.integers(-500, 500))
    start = data.draw(some.integers(-100, 100)) / 8
    options: dict[str, Any] = {"method": "gd", "step_size": 0.125, "epochs": 8}
    one = st.minimize(name, y, x0=start, **options)
    other = st.minimize(name, y + shift, x0=start + shift, **options)
    np.testing.assert_allclose(other.x, one.x + shift, rtol=1e-12, atol=1e-12)
    assert other.fun == pytest.approx(one.fun, rel=1e-10, abs=1e-12)
    if st.losses.get(name).smooth:
        best = [st.minimize(name, targets).fun for targets in (y, y + shift)]
        assert best[1] == pytest.approx(best[0], rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("name", st.losses.available("pointwise"))
@few
@given(data=some.data())
def test_fun_is_the_objective_at_x(name: str, data: some.DataObject) -> None:
    X, y = data.draw(problems(st.losses.get(name).target))
    dtype = data.draw(some.sampled_from(["float32", "float64"]))
    X, y = X.astype(dtype), y.astype(dtype)
    model: dict[str, Any] = {
        "penalty": data.draw(PENALTIES),
        "sample_weight": weights_of(data.draw(some.integers(0, 99)), len(y)),
        "fit_intercept": data.draw(some.booleans()),
    }
    batch_size = data.draw(some.integers(1, len(y)))
    result = st.minimize(
        name,
        (X, y),
        method="sgd",
        batch_size=batch_size,
        step_size=1e-4,
        epochs=3,
        seed=data.draw(some.integers(0, 9)),
        **model,
    )
    value = st.Objective(name, (X, y), **model).value(result.x)
    assert result.fun == pytest.approx(value, rel=1e-12 if dtype == "float64" else 1e-5, abs=1e-12)


@few
@given(data=some.data())
def test_values_are_the_value_at_each_point(data: some.DataObject) -> None:
    X, y = data.draw(problems("binary"))
    objective = st.Objective("log_loss", (X, y), data.draw(PENALTIES), fit_intercept=data.draw(some.booleans()))
    points = np.random.default_rng(0).normal(size=(data.draw(some.integers(1, 9)), objective.n_parameters))
    np.testing.assert_allclose(objective.values(points), [objective.value(x) for x in points], rtol=1e-12)


@few
@given(data=some.data())
def test_swapping_the_classes_swaps_the_sign(data: some.DataObject) -> None:
    X, y = data.draw(problems("binary"))
    for name in ("log_loss", "hinge", "exponential", "modified_huber"):
        one = st.minimize(name, (X, y), method="gd", step_size=1e-3, epochs=5, fit_intercept=True)
        other = st.minimize(name, (X, -y), method="gd", step_size=1e-3, epochs=5, fit_intercept=True)
        np.testing.assert_allclose(other.x, -one.x, rtol=1e-9, atol=1e-13)


@few
@given(
    n=some.integers(1, 400),
    seed=some.integers(0, 2**64 - 1),
    epoch=some.integers(0, 2**40),
)
def test_an_order_is_a_permutation_of_its_own(n: int, seed: int, epoch: int) -> None:
    order = st._core.full_order(n, seed, epoch)
    assert np.array_equal(np.sort(order), np.arange(n))
    assert np.array_equal(order, st._core.full_order(n, seed, epoch))
    if n > 20:
        for other in ((seed ^ 1, epoch), (seed, epoch + 1), (epoch, seed)):
            assert other == (seed, epoch) or not np.array_equal(order, st._core.full_order(n, *other))


@few
@given(data=some.data())
def test_going_on_anywhere_is_the_run_that_never_stopped(data: some.DataObject) -> None:
    X, y = data.draw(problems("real"))
    first, second = data.draw(some.integers(1, 5)), data.draw(some.integers(1, 5))
    options: dict[str, Any] = {
        "method": "sgd",
        "batch_size": data.draw(some.integers(1, len(y) + 2)),
        "penalty": data.draw(PENALTIES),
        "step_size": data.draw(
            some.sampled_from([1e-3, st.schedules.Exponential(1e-3, 0.9), lambda t: 1e-3 / (1 + t)])
        ),
        "shuffle": data.draw(some.sampled_from([True, "once", False])),
    }
    seed = data.draw(some.integers(0, 2**64 - 1))
    whole = st.minimize("huber", (X, y), epochs=first + second, seed=seed, **options)
    part = st.minimize("huber", (X, y), epochs=first, seed=seed, **options)
    assert np.array_equal(st.minimize("huber", (X, y), epochs=second, x0=part, **options).x, whole.x)
