"""Points A1 to A10 of the sources, through the public face, with the figures they print."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import steepest as st
from steepest import reference

Array = NDArray[Any]

Y5 = np.array([12, 13, 15, 16, 17])
P5 = np.array([12.1, 12.8, 14.9, 16.3, 17.2])
BILLS = st.data.tips()
PCTTIP = BILLS["tip"] / BILLS["total_bill"] * 100
THETAS = np.arange(12, 18, 0.1)
DATASETS = {"y5": Y5, "p5": P5, "pcttip": PCTTIP}
TEXTBOOK: dict[str, tuple[Any, Any]] = {
    "mse": (reference.mse, reference.grad_mse),
    "mae": (reference.abs_loss, reference.grad_abs_loss),
    "huber": (reference.huber_loss, reference.grad_huber_loss),
}
QUARTIC = (reference.quartic_loss, reference.grad_quartic_loss)
P5_PRINTED = """\
theta: 0.00 | loss: 218.76
theta: 5.86 | loss: 81.21
theta: 9.38 | loss: 31.70
theta: 11.49 | loss: 13.87
theta: 12.76 | loss: 7.45
theta: 13.52 | loss: 5.14
theta: 13.98 | loss: 4.31
theta: 14.25 | loss: 4.01
theta: 14.41 | loss: 3.90
theta: 14.51 | loss: 3.86
theta: 14.57 | loss: 3.85
theta: 14.61 | loss: 3.85
theta: 14.63 | loss: 3.84
theta: 14.64 | loss: 3.84
theta: 14.65 | loss: 3.84
theta: 14.65 | loss: 3.84
theta: 14.66 | loss: 3.84
theta: 14.66 | loss: 3.84
"""


def one_step(loss: Any, data: Any, theta: float, alpha: float) -> float:
    """Take one full-batch step."""
    return float(st.minimize(loss, data, x0=theta, method="gd", step_size=alpha, epochs=1).x[0])


def test_the_data_vary() -> None:
    for name, data in DATASETS.items():
        assert np.unique(data).size >= 5, name


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("name", TEXTBOOK)
def test_a1_values_agree_with_the_formulas(name: str, dataset: str) -> None:
    data = DATASETS[dataset]
    objective = st.Objective(name, data)
    values = [objective.value([theta]) for theta in THETAS]
    expected = [TEXTBOOK[name][0](theta, data) for theta in THETAS]
    assert len({round(v, 9) for v in expected}) > 20
    np.testing.assert_allclose(values, expected, rtol=1e-13)
    np.testing.assert_allclose(objective.values(THETAS[:, np.newaxis]), expected, rtol=1e-13)
    loss = st.losses.get(name)
    np.testing.assert_allclose([loss(data, theta) for theta in THETAS], expected, rtol=1e-13)


@pytest.mark.parametrize("delta", [0.25, 1.0, 1.5, 4.0])
def test_a1_huber_of_any_delta(delta: float) -> None:
    objective = st.Objective(st.losses.Huber(delta=delta), PCTTIP)
    for theta in (5.0, 14.0, 15.5, 30.0):
        assert objective.value([theta]) == pytest.approx(reference.huber_loss(theta, PCTTIP, delta), rel=1e-13)
        slope = reference.grad_huber_loss(theta, PCTTIP, delta)
        assert objective.gradient([theta])[0] == pytest.approx(slope, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("name", TEXTBOOK)
def test_a2_gradients_agree_with_the_formulas(name: str, dataset: str) -> None:
    data = DATASETS[dataset]
    objective = st.Objective(name, data)
    gradients = [objective.gradient([theta])[0] for theta in THETAS]
    expected = [TEXTBOOK[name][1](theta, data) for theta in THETAS]
    assert min(expected) < 0 < max(expected)
    np.testing.assert_allclose(gradients, expected, rtol=1e-12, atol=1e-14)


def test_a2_slope_of_p5_at_12() -> None:
    assert st.Objective("mse", P5).gradient([12.0])[0] == pytest.approx(-5.32, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "dataset", "best"),
    [("mse", "y5", 14.59999999999999), ("huber", "y5", 14.99999999999999), ("huber", "pcttip", 15.499999999999988)],
)
@pytest.mark.parametrize("outside", [False, True])
def test_a3_grid_search(name: str, dataset: str, best: float, outside: bool) -> None:
    data = DATASETS[dataset]
    loss = TEXTBOOK[name] if outside else name
    result = st.search.grid(loss, data, THETAS)
    assert result.x[0] == best
    assert result.x[0] == reference.simple_minimize(TEXTBOOK[name][0], data, THETAS)
    assert result.fun == pytest.approx(TEXTBOOK[name][0](best, data), rel=1e-13)
    assert result.nfev == len(THETAS)


@pytest.mark.parametrize(
    ("theta", "alpha", "expected", "digits"),
    [
        (12, 1, 17.32, 9),
        (12, 0.3, 13.596, 9),
        (13.60, 0.3, 14.236, 9),
        (14.24, 0.3, 14.492, 9),
        (14.49, 0.3, 14.592, 9),
    ],
)
@pytest.mark.parametrize("outside", [False, True])
def test_a4_one_descent_step(theta: float, alpha: float, expected: float, digits: int, outside: bool) -> None:
    assert round(one_step(TEXTBOOK["mse"] if outside else "mse", P5, theta, alpha), digits) == expected


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize(
    ("name", "dataset", "expected"), [("mse", "p5", 14.658511131035242), ("huber", "pcttip", 15.506849531471964)]
)
def test_a5_minimize_reaches_the_printed_result(name: str, dataset: str, expected: float, outside: bool) -> None:
    loss = TEXTBOOK[name] if outside else name
    result = st.minimize(
        loss, DATASETS[dataset], method="gd", step_size=0.2, x0=0.0, tol=st.StepTolerance(1e-3), progress=False
    )
    assert result.x[0] == pytest.approx(expected, abs=1e-12)
    assert result.success
    assert result.status is st.Status.converged
    assert reference.minimize(*TEXTBOOK[name], DATASETS[dataset], progress=False) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("outside", [False, True])
def test_a5_prints_the_eighteen_lines(outside: bool, capsys: pytest.CaptureFixture[str]) -> None:
    loss = TEXTBOOK["mse"] if outside else "mse"
    result = st.minimize(loss, P5, method="gd", step_size=0.2, x0=0.0, tol=st.StepTolerance(1e-3), progress="textbook")
    printed = capsys.readouterr()
    assert printed.out == P5_PRINTED
    assert printed.err == ""
    assert len(printed.out.splitlines()) == result.nit == 18
    reference.minimize(*TEXTBOOK["mse"], P5)
    assert capsys.readouterr().out == P5_PRINTED


@pytest.mark.parametrize(
    ("name", "dataset", "optimum"), [("mse", "p5", 14.66), ("mse", "y5", 14.6), ("huber", "y5", 15.0)]
)
def test_a5_with_nothing_else(name: str, dataset: str, optimum: float) -> None:
    assert st.minimize(name, DATASETS[dataset]).x[0] == pytest.approx(optimum, abs=0.02)


@pytest.mark.parametrize("name", ["huber", "mse", "mae"])
def test_a5_tips_with_nothing_else(name: str) -> None:
    grid = np.arange(10, 20, 1e-3)
    values = st.Objective(name, PCTTIP).values(grid[:, np.newaxis])
    result = st.minimize(name, PCTTIP)
    assert result.success
    assert result.fun <= values.min() * (1 + 1e-3)
    if name != "mae":  # whose valley is flat
        assert result.x[0] == pytest.approx(grid[np.argmin(values)], abs=0.02)


@pytest.mark.parametrize("centre", [10.0, 127.0, 1e3, 1e4, 1e5])
@pytest.mark.parametrize("name", ["mse", "huber", "log_cosh", "squared_epsilon_insensitive"])
def test_a5_with_nothing_else_however_far(name: str, centre: float) -> None:
    """A long straight way lets the steps grow; to shrink them again is no lack of progress."""
    y = centre + np.array([0.0, 0.125, 0.3])
    grid = centre + np.arange(0, 0.3, 1e-3)[:, np.newaxis]
    best = st.Objective(name, y).values(grid)
    result = st.minimize(name, y)
    assert result.success
    assert result.x[0] == pytest.approx(float(grid[best.argmin(), 0]), abs=0.02)


def test_a5_the_absolute_error_ends() -> None:
    """The source's loop never does, with its constant step."""
    with pytest.raises(RuntimeError, match="max_iter"):
        reference.minimize(*TEXTBOOK["mae"], P5, progress=False, max_iter=2000)
    with pytest.warns(st.ConvergenceWarning):
        result = st.minimize("mae", P5, method="gd", step_size=0.2, x0=0.0, tol=st.StepTolerance(1e-3), epochs=2000)
    assert (result.nit, result.success) == (2000, False)
    assert abs(result.x[0] - 14.9) <= 0.2


def test_a5_divergence_ends() -> None:
    with pytest.raises(RuntimeError, match="alpha"):
        reference.minimize(*TEXTBOOK["mse"], P5, alpha=1.1, progress=False)
    with pytest.warns(st.ConvergenceWarning, match="[Dd]iverged"):
        result = st.minimize("mse", P5, method="gd", step_size=1.1, x0=0.0, tol=st.StepTolerance(1e-3))
    assert result.status is st.Status.diverged
    assert not result.success
    assert np.isfinite(result.x).all()


@pytest.mark.parametrize(
    ("theta", "expected", "digits"),
    [(-21, -9.945, 3), (-9.9, -12.641412, 6), (-12.6, -14.162808, 6), (-14.2, -14.497464, 6)],
)
def test_a6_quartic_steps(theta: float, expected: float, digits: int) -> None:
    assert round(one_step(QUARTIC, np.array([0]), theta, 2.5), digits) == expected


@pytest.mark.parametrize(("start", "end"), [(-21.0, -14.50804609), (-10.0, -14.50804609), (22.0, 18.39541469)])
def test_a6_quartic_ends_in_the_valley_it_starts_in(start: float, end: float) -> None:
    result = st.minimize(QUARTIC, np.array([0]), x0=start, method="gd", step_size=2.5, epochs=300)
    assert result.x[0] == pytest.approx(end, abs=1e-8)
    assert result.fun == pytest.approx(reference.quartic_loss(end, np.array([0])), abs=1e-10)


def test_a6_the_other_valley_is_deeper() -> None:
    local, best = (
        st.minimize(QUARTIC, np.array([0]), x0=start, method="gd", step_size=2.5, epochs=300) for start in (-21.0, 22.0)
    )
    assert best.fun < local.fun - 6
    grid = st.search.grid(QUARTIC, np.array([0]), np.arange(-30, 30, 0.01))
    assert grid.x[0] == pytest.approx(best.x[0], abs=0.01)


@pytest.mark.parametrize("name", TEXTBOOK)
@pytest.mark.parametrize("dataset", DATASETS)
def test_a7_the_three_losses_are_convex(name: str, dataset: str) -> None:
    for loss in (name, TEXTBOOK[name]):
        answer = st.is_convex(loss, DATASETS[dataset], bounds=(-30.0, 30.0), seed=0)
        assert answer
        assert answer.violation is None


@pytest.mark.parametrize("seed", range(3))
def test_a7_the_quartic_is_not(seed: int) -> None:
    data = np.array([0.0])
    answer = st.is_convex(QUARTIC, data, bounds=(-30.0, 30.0), seed=seed)
    assert not answer
    a, b, t = answer.violation
    a, b = (float(np.ravel(end)[0]) for end in (a, b))
    assert 0 < t < 1
    assert all(-30 <= end <= 30 for end in (a, b))
    chord = t * reference.quartic_loss(a, data) + (1 - t) * reference.quartic_loss(b, data)
    assert chord < reference.quartic_loss(t * a + (1 - t) * b, data) - 1e-9


@pytest.mark.parametrize("start", [-0.9, 0.0, 0.35, 1.0])
def test_a7_mae_of_two_points_may_end_anywhere_between(start: float) -> None:
    result = st.minimize("mae", [-1.0, 1.0], x0=start)
    assert -1 <= result.x[0] <= 1
    assert result.fun == pytest.approx(1.0, abs=1e-12)


def visits(n: int, batch_size: int, epochs: int, **options: Any) -> list[list[float]]:
    """Record which observations every batch holds."""
    seen: list[list[float]] = []

    def slope(theta: float, batch: Array) -> float:
        seen.append(batch.tolist())
        return 0.0

    st.minimize(
        (lambda theta, batch: float(len(batch)), slope),
        np.arange(n, dtype=float),
        x0=0.0,
        method="sgd",
        batch_size=batch_size,
        epochs=epochs,
        step_size=1.0,
        **options,
    )
    return seen


def epochs_of(seen: list[list[float]], n: int, batch_size: int, epochs: int) -> list[list[list[float]]]:
    """Cut a record of batches into epochs; the very last evaluation is the one over all rows."""
    per_epoch = math.ceil(n / batch_size)
    assert len(seen) - per_epoch * epochs in (0, 1)
    return [seen[e * per_epoch : (e + 1) * per_epoch] for e in range(epochs)]


@pytest.mark.parametrize(("n", "batch_size"), [(10, 1), (10, 3), (10, 9), (23, 7), (1, 1), (40, 10)])
@pytest.mark.parametrize("shuffle", [True, "full"])
def test_a8_an_epoch_visits_each_observation_once(shuffle: Any, n: int, batch_size: int) -> None:
    epochs = epochs_of(visits(n, batch_size, 6, seed=3, shuffle=shuffle), n, batch_size, 6)
    for batches in epochs:
        sizes = [len(batch) for batch in batches]
        assert sizes[:-1] == [batch_size] * (len(batches) - 1)
        assert sizes[-1] == n - batch_size * (len(batches) - 1)
        assert sorted(row for batch in batches for row in batch) == list(range(n))
    if n > 5:
        assert len({str(batches) for batches in epochs}) == 6  # reshuffled after every epoch


def test_a8_batch_descent_sees_all_in_every_update() -> None:
    for batches in epochs_of(visits(12, 12, 4, seed=0), 12, 12, 4):
        assert [sorted(batch) for batch in batches] == [list(range(12))]


def test_a8_the_order_is_uniform() -> None:
    """Three observations, six orders: chi-square with five degrees of freedom stays below its 0.9999 quantile."""
    epochs = 6000
    orders = Counter(str(batches) for batches in epochs_of(visits(3, 1, epochs, seed=11, shuffle="full"), 3, 1, epochs))
    assert len(orders) == 6
    assert sum((count - epochs / 6) ** 2 / (epochs / 6) for count in orders.values()) < 25.7


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("batch_size", [1, 10, 32, 100])
def test_a9_stochastic_and_mini_batch_descent(batch_size: int, outside: bool) -> None:
    data = PCTTIP.copy()
    result = st.minimize(
        TEXTBOOK["mse"] if outside else "mse",
        data,
        x0=0.0,
        method="sgd",
        batch_size=batch_size,
        step_size=st.schedules.Exponential(0.1, factor=0.9),
        epochs=60,
        seed=0,
    )
    assert result.x[0] == pytest.approx(PCTTIP.mean(), abs=0.15)
    assert result.nit == 60 * math.ceil(244 / batch_size)
    assert np.array_equal(data, PCTTIP), "the user's data was shuffled in place"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("batch_size", [1, 5, 12, 100])
def test_a9_batches_are_consecutive_slices_of_the_shuffled_data(batch_size: int, seed: int) -> None:
    """The textbook's inner loop by hand, over the same orders."""
    theta = 0.0
    for epoch in range(3):
        shuffled = PCTTIP[st._core.full_order(len(PCTTIP), seed, epoch)]
        for start in range(0, len(shuffled), batch_size):
            theta -= 0.2 * reference.grad_huber_loss(theta, shuffled[start : start + batch_size])
    for loss in ("huber", TEXTBOOK["huber"]):
        result = st.minimize(
            loss,
            PCTTIP,
            x0=0.0,
            method="sgd",
            batch_size=batch_size,
            step_size=0.2,
            epochs=3,
            seed=seed,
            shuffle="full",
        )
        assert result.x[0] == pytest.approx(theta, rel=1e-12)


def test_a9_one_small_step_does_not_end_it() -> None:
    """The first observation equals the start, so the source's loop ends after one update; an epoch does not."""
    data = np.array([0.0, 10.0, 11.0, 12.0])
    result = st.minimize(
        "mse", data, x0=0.0, method="sgd", batch_size=1, step_size=0.1, shuffle=False, tol=st.StepTolerance(1e-3)
    )
    assert result.nit > 4
    assert result.x[0] > 5


def test_a10_the_step_falls_over_time() -> None:
    alpha, theta, steps = 0.2, 0.0, []
    for t in range(12):
        steps.append(alpha * 0.9**t)
        theta -= steps[-1] * reference.grad_mse(theta, P5)
    schedule: Any
    for schedule in (st.schedules.Exponential(alpha, factor=0.9), lambda t: alpha * 0.9**t):
        for loss in ("mse", TEXTBOOK["mse"]):
            result = st.minimize(loss, P5, x0=0.0, method="gd", step_size=schedule, epochs=12)
            assert result.x[0] == pytest.approx(theta, rel=1e-13)
            np.testing.assert_allclose(result.history.step_size, steps, rtol=1e-13)
