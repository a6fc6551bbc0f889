"""Rows held out to judge by: left out of the descent, measured after every epoch; what stops and comes back by them."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from numpy.typing import NDArray
from scipy.stats import chi2

import steepest as st
from members import random, targets, vary
from steepest._held_out import split_rows
from tolerances import tolerances

Array = NDArray[Any]
LAYOUTS = {
    "C": lambda X: X,
    "F": np.asfortranarray,
    "every other": lambda X: np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)[::2, ::2],
}


def problem(name: str, n: int = 120, d: int = 4, dtype: Any = np.float64) -> tuple[Array, Array]:
    """Rows and targets of the kind that a loss takes."""
    loss, source = st.losses.get(name), random(name, n, d)
    X = source.normal(size=(n, d)).astype(dtype)
    scores = X[:, :3] @ source.normal(size=(3, 3)) + 0.3 * source.normal(size=(n, 3))
    if loss.kind != "scores":
        y = np.sort(targets(loss, n, source))[scores[:, 0].argsort().argsort()]
    else:
        y = scores.argmax(axis=1) if loss.target == "labels" else np.where(scores > 0, 1.0, -1.0)
    vary(X, y)
    return X, y


def held_out_of(n: int, share: float = 0.3) -> tuple[Array, Array]:
    """Positions to hold out, in no order, and the others."""
    held = random(n, "held").permutation(n)[: int(share * n)]
    return held, np.setdiff1d(np.arange(n), held)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", st.losses.available())
def test_held_out_rows_take_no_part(name: str, layout: str) -> None:
    X, y = problem(name)
    held, others = held_out_of(len(X))
    weight = random(name, "weight").uniform(0.5, 2, size=len(X))
    start = random(name, "start").normal(size=st.Objective(name, (X, y), fit_intercept=True).n_parameters)
    for batch_size, weighted, shuffle in (
        (1, None, "full"),
        (7, weight, "once"),
        (32, None, False),
        (84, weight, True),
    ):
        options: dict[str, Any] = {
            "method": "sgd",
            "batch_size": batch_size,
            "epochs": 3,
            "seed": 5,
            "shuffle": shuffle,
        }
        with_held, without = (
            st.minimize(
                name,
                (LAYOUTS[layout](X[rows]), y[rows]),
                sample_weight=None if weighted is None else weighted[rows],
                fit_intercept=True,
                validation=validation,
                x0=start,
                **options,
            )
            for rows, validation in ((np.arange(len(X)), held), (others, None))
        )
        np.testing.assert_allclose(with_held.x, without.x, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(with_held.jac, without.jac, rtol=1e-7, atol=1e-10)
        assert with_held.fun == pytest.approx(without.fun, rel=1e-10)
        assert with_held.nit == without.nit
        vary(with_held.x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_streamed_orders_leave_rows_out_too(dtype: Any) -> None:
    X, y = problem("log_loss", 20_000, 128, dtype)
    first, last = np.arange(0, 5000), np.arange(15_000, 20_000)
    scattered = random("scattered").permutation(20_000)[:5000]
    for held in (first, last, scattered):
        others = np.setdiff1d(np.arange(20_000), held)
        options: dict[str, Any] = {"batch_size": 64, "epochs": 1, "seed": 1, "step_size": 0.1, "method": "sgd"}
        with_held = st.minimize("log_loss", (X, y), validation=held, **options)
        without = st.minimize("log_loss", (X[others], y[others]), **options)
        np.testing.assert_allclose(with_held.x, without.x, rtol=tolerances(dtype).runs, atol=1e-7)


@pytest.mark.parametrize("method", ["sgd", "gd", None])
@pytest.mark.parametrize("name", ["log_loss", "softmax", "multi_squared_error", "huber"])
def test_history_holds_the_loss_of_the_held_out_rows(name: str, method: str | None) -> None:
    X, y = problem(name)
    held, _ = held_out_of(len(X))
    weight = random(name, "weight").uniform(0.5, 2, size=len(X))
    seen: list[Any] = []
    result = st.minimize(
        name,
        (X, y),
        method=method,
        epochs=6,
        seed=2,
        penalty=st.L2(0.1),
        sample_weight=weight,
        step_size=0.05 if method else None,
        validation=held,
        callback=lambda state: seen.append((state.x, state.validation)),
    )
    if st.losses.get(name).target == "labels":
        # All classes are needed to tell how many scores there are.
        values = [np.average(st.losses.get(name).pointwise(y[held], X[held] @ x.reshape(3, -1).T), weights=weight[held])
                  for x, _ in seen]  # fmt: skip
    else:
        objective = st.Objective(name, (X[held], y[held]), sample_weight=weight[held])
        values = [objective.value(x) for x, _ in seen]
    vary(np.array(values))
    assert [value for _, value in seen] == result.history.validation.tolist()
    np.testing.assert_allclose(result.history.validation, values, rtol=1e-10)
    assert result.best_epoch == 1 + int(np.argmin(result.history.validation))


def overfitting(seed: int = 0) -> tuple[Array, Array]:
    """Few rows of much noise: they are learnt by heart soon."""
    source = np.random.default_rng(seed)
    X = source.normal(size=(60, 40))
    return X, 4 * X[:, 0] + 2 * source.normal(size=60)


@pytest.mark.parametrize("batch_size", [1, 8, 45])
@pytest.mark.parametrize("rule", ["sgd", "momentum", "averaged_sgd"])
def test_patience_stops_and_restores_the_best_epoch(rule: str, batch_size: int) -> None:
    X, y = overfitting()
    seen: list[Any] = []
    step = (0.01 if batch_size < 45 else 0.1) * (0.1 if rule == "momentum" else 1.0)
    result = st.minimize(
        "squared_error",
        (X, y),
        method=rule,
        step_size=step,
        batch_size=batch_size,
        epochs=400,
        seed=3,
        validation=0.25,
        patience=7,
        callback=lambda state: seen.append(state.x.copy()),
    )
    assert result.status is st.Status.early_stopped
    assert result.success
    assert f"epoch {result.best_epoch}" in result.message
    assert len(seen) == result.epochs == result.best_epoch + 7 < 400
    assert result.best_epoch > 0
    np.testing.assert_array_equal(result.x, seen[result.best_epoch - 1])
    assert (
        result.history.validation[result.best_epoch - 1 :] >= result.history.validation[result.best_epoch - 1]
    ).all()
    longer = st.minimize(
        "squared_error",
        (X, y),
        x0=result,
        method=rule,
        step_size=step,
        epochs=1,
        validation=0.25,
        batch_size=batch_size,
    )
    assert longer.seed == result.seed


def test_the_best_epoch_is_restored_however_the_run_ends() -> None:
    X, y = overfitting()
    options: dict[str, Any] = {"method": "gd", "step_size": 0.1, "epochs": 60, "seed": 3, "validation": 0.25}
    recorded = st.minimize("squared_error", (X, y), **options)
    restored = st.minimize("squared_error", (X, y), patience=60, **options)
    assert recorded.status is restored.status is st.Status.ran_all_epochs
    assert recorded.best_epoch == restored.best_epoch < 60
    np.testing.assert_array_equal(recorded.history.validation, restored.history.validation)
    at_best = st.minimize("squared_error", (X, y), **(options | {"epochs": recorded.best_epoch}))
    np.testing.assert_array_equal(restored.x, at_best.x)
    assert restored.fun == at_best.fun
    assert not np.array_equal(recorded.x, restored.x)
    with pytest.warns(st.ConvergenceWarning):
        diverged = st.minimize("squared_error", (X, y), patience=60, **(options | {"step_size": 50.0}))
    assert diverged.best_epoch == 0
    assert not diverged.x.any()


def test_a_line_search_with_patience_ends_at_its_best() -> None:
    X, y = overfitting()
    result = st.minimize("squared_error", (X, y), validation=0.25, patience=5, seed=0)
    assert result.status is st.Status.early_stopped
    split = split_rows(0.25, len(X), None, 0)
    held = st.Objective("squared_error", (X[split.held_out], y[split.held_out]))
    assert held.value(result.x) == pytest.approx(result.history.validation.min(), rel=1e-12)
    everything = st.minimize("squared_error", (X[split.training], y[split.training]), seed=0)
    assert held.value(result.x) < held.value(everything.x)


@pytest.mark.parametrize("method", ["L-BFGS-B", "Newton-CG"])
def test_methods_of_scipy_hold_out_too(method: str) -> None:
    X, y = problem("log_loss")
    held, others = held_out_of(len(X))
    weight = random("weight").uniform(0.5, 2, size=len(X))
    options: dict[str, Any] = {"method": method, "penalty": st.L2(0.1), "epochs": 3, "fit_intercept": True}
    inside = st.minimize("log_loss", (X, y), sample_weight=weight, validation=held, **options)
    apart = st.minimize(
        "log_loss", (X[others], y[others]), sample_weight=weight[others],
        validation=(X[held], y[held], weight[held]), **options,
    )  # fmt: skip
    vary(inside.history.validation)
    np.testing.assert_allclose(inside.x, apart.x, rtol=1e-7)
    np.testing.assert_allclose(inside.history.validation, apart.history.validation, rtol=1e-9)
    X, y = overfitting()
    stopped = st.minimize("squared_error", (X, y), method=method, validation=0.25, patience=4, seed=3)
    assert stopped.status is st.Status.early_stopped
    assert stopped.nit == stopped.best_epoch + 4
    split = split_rows(0.25, len(X), None, 3)
    objective = st.Objective("squared_error", (X[split.training], y[split.training]))
    assert stopped.fun == pytest.approx(objective.value(stopped.x), rel=1e-9)
    judge = st.Objective("squared_error", (X[split.held_out], y[split.held_out]))
    assert judge.value(stopped.x) == pytest.approx(stopped.history.validation.min(), rel=1e-9)


@given(
    n=some.integers(2, 300),
    k=some.integers(1, 6),
    fraction=some.floats(0.01, 0.99),
    seed=some.integers(0, 2**64 - 1),
)
@settings(max_examples=200, deadline=None)
def test_a_fraction_is_a_partition_that_keeps_the_shares(n: int, k: int, fraction: float, seed: int) -> None:
    classes = np.random.default_rng(seed).integers(0, k, size=n)
    count = round(fraction * n)
    taken = np.bincount(classes, minlength=k) > 1
    if count in (0, n) or not taken.any():
        with pytest.raises(ValueError, match="holds out"):
            split_rows(fraction, n, classes, seed)
        return
    try:
        split = split_rows(fraction, n, classes, seed)
    except ValueError:
        assert count <= k  # the few that are wanted fall on classes of a single row
        return
    assert np.array_equal(np.sort(np.concatenate(split)), np.arange(n))
    members, held = np.bincount(classes, minlength=k), np.bincount(classes[split.held_out], minlength=k)
    assert (np.abs(held - members * count / n)[members > 1] <= 1).all()
    assert (held[members > 0] < members[members > 0]).all()
    plain = split_rows(fraction, n, None, seed)
    assert len(plain.held_out) == count
    again = split_rows(fraction, n, classes, seed)
    assert np.array_equal(split.held_out, again.held_out)


def test_every_row_is_held_out_equally_often() -> None:
    n, draws, fraction = 50, 4000, 0.2
    for classes in (None, np.repeat([0, 1], [40, 10])):
        counts = np.zeros(n)
        for seed in range(draws):
            counts[split_rows(fraction, n, classes, seed).held_out] += 1
        vary(counts)
        expected = draws * fraction
        # Draws without replacement: the sum of squares is that of chi-square times the share left.
        statistic = ((counts - expected) ** 2 / (expected * (1 - fraction))).sum()
        assert chi2.ppf(1e-6, n - 1) < statistic < chi2.ppf(1 - 1e-6, n - 1)


def test_the_split_is_the_same_in_every_version() -> None:
    assert split_rows(0.3, 10, None, 0).held_out.tolist() == [0, 3, 5]
    assert split_rows(0.3, 10, np.arange(10) % 2, 42).held_out.tolist() == [0, 4, 7]


def test_rows_may_be_named_or_masked() -> None:
    X, y = problem("log_loss")
    held, _ = held_out_of(len(X))
    mask = np.zeros(len(X), dtype=bool)
    mask[held] = True
    named, masked, listed = (
        st.minimize("log_loss", (X, y), epochs=3, seed=0, validation=v) for v in (held, mask, held.tolist())
    )
    np.testing.assert_array_equal(named.x, masked.x)
    np.testing.assert_array_equal(named.history.validation, listed.history.validation)
    everything = st.minimize("log_loss", (X, y), epochs=3, seed=0)
    assert not np.allclose(named.x, everything.x)
    assert everything.best_epoch is None
    assert np.isnan(everything.history.validation).all()


@pytest.mark.parametrize("name", ["log_loss", "softmax", "multi_log_loss", "huber", "multi_squared_error"])
def test_other_data_to_judge_by(name: str) -> None:
    X, y = problem(name)
    held, others = held_out_of(len(X))
    weight = random(name, "weight").uniform(0.5, 2, size=len(X))
    options: dict[str, Any] = {"method": "sgd", "epochs": 4, "seed": 1, "batch_size": 16, "fit_intercept": True}
    inside = st.minimize(name, (X, y), sample_weight=weight, validation=held, **options)
    other = (X[held].astype(np.float32).astype(np.float64), y[held], weight[held])
    apart = st.minimize(name, (X[others], y[others]), sample_weight=weight[others], validation=other, **options)
    np.testing.assert_allclose(inside.history.validation, apart.history.validation, rtol=1e-5)
    np.testing.assert_allclose(inside.x, apart.x, rtol=1e-9)
    narrow = st.minimize(
        name, (X[others], y[others]), sample_weight=weight[others],
        validation=(X[held].astype(np.float32), y[held], weight[held]), **options,
    )  # fmt: skip
    np.testing.assert_allclose(narrow.history.validation, apart.history.validation, rtol=1e-12)


def test_other_data_need_not_hold_every_class() -> None:
    X, y = problem("softmax")
    names = np.array(["ash", "birch", "cedar"])[y]
    only = names == "birch"
    result = st.minimize("softmax", (X, names), epochs=3, seed=0, method="sgd", validation=(X[only], names[only]))
    z = X[only] @ result.coef.T
    assert result.history.validation[-1] == pytest.approx(np.mean(np.log(np.exp(z).sum(axis=1)) - z[:, 1]), rel=1e-10)
    halves = np.where(y > 0, "no", "yes")
    result = st.minimize("log_loss", (X, halves), epochs=3, seed=0, method="sgd", validation=(X[y > 0], halves[y > 0]))
    assert result.history.validation[-1] == pytest.approx(np.mean(np.log1p(np.exp(X[y > 0] @ result.coef))), rel=1e-10)


def test_the_constant_model_holds_out_too() -> None:
    y = random("constant").normal(size=50)
    held, others = held_out_of(50)
    result = st.minimize("mse", y, validation=held)
    assert result.x[0] == pytest.approx(y[others].mean(), rel=1e-4)
    assert result.history.validation[-1] == pytest.approx(((y[held] - result.x[0]) ** 2).mean(), rel=1e-6)
    apart = st.minimize("mse", y[others], validation=(y[held],))
    assert apart.history.validation[-1] == pytest.approx(result.history.validation[-1], rel=1e-6)


@st.loss
def squares(w: Any, x: Any, y: Any) -> Any:
    return (x @ w - y) ** 2


def value(theta: Any, batch: Any) -> Any:
    return np.mean((batch[0] @ theta - batch[1]) ** 2)


def gradient(theta: Any, batch: Any) -> Any:
    return 2 * batch[0].T @ (batch[0] @ theta - batch[1]) / len(batch[1])


@pytest.mark.parametrize("kind", ["traced", "outside"])
def test_losses_of_the_user(kind: str) -> None:
    loss: Any = squares if kind == "traced" else (value, gradient)
    X, y = problem("huber")
    held, others = held_out_of(len(X))
    options: dict[str, Any] = {
        "x0": np.zeros(4), "method": "sgd", "epochs": 4, "seed": 1, "batch_size": 16, "step_size": 0.01,
    }  # fmt: skip
    reference = st.minimize("mse", (X, y), validation=held, **options)
    inside = st.minimize(loss, (X, y), validation=held, **options)
    apart = st.minimize(loss, (X[others], y[others]), validation=(X[held], y[held]), **options)
    for result in (inside, apart):
        np.testing.assert_allclose(result.x, reference.x, rtol=1e-8)
        np.testing.assert_allclose(result.history.validation, reference.history.validation, rtol=1e-8)


def test_weights_of_traced_losses_are_split_as_well() -> None:
    X, y = problem("huber")
    held, _ = held_out_of(len(X))
    weight = random("weights").uniform(0.5, 2, size=len(X))
    options: dict[str, Any] = {"x0": np.zeros(4), "method": "sgd", "epochs": 3, "seed": 1, "step_size": 0.01}
    traced, plain = (
        st.minimize(loss, (X, y), validation=held, sample_weight=weight, **options) for loss in (squares, "mse")
    )
    np.testing.assert_allclose(traced.history.validation, plain.history.validation, rtol=1e-9)
    assert traced.fun == pytest.approx(plain.fun, rel=1e-9)


def test_an_exception_while_judging_comes_out() -> None:
    def complaining(theta: Any, batch: Any) -> Any:
        if len(batch[1]) == 7:
            raise RuntimeError("these rows are not for me")
        return value(theta, batch)

    X, y = problem("huber", 30)
    for data, validation in (((X, y), np.arange(7)), ((X[7:], y[7:]), (X[:7], y[:7]))):
        with pytest.raises(RuntimeError, match="not for me"):
            st.minimize(
                (complaining, gradient),
                data,
                x0=np.zeros(4),
                validation=validation,
                method="gd",
                step_size=0.01,
                epochs=2,
            )


def test_progress_tells_the_loss_of_the_held_out_rows(capsys: pytest.CaptureFixture[str]) -> None:
    for progress in ("lines", "bar"):
        result = st.minimize("huber", problem("huber"), validation=0.2, seed=0, epochs=3, progress=progress)
        assert f"held out {result.history.validation[-1]:.6g}" in capsys.readouterr().err
        st.minimize("huber", problem("huber"), seed=0, epochs=3, progress=progress)
        shown = capsys.readouterr().err
        assert "objective" in shown
        assert "held out" not in shown


@pytest.mark.parametrize("method", ["sgd", "L-BFGS-B"])
def test_an_interrupted_run_keeps_what_it_reached(method: str) -> None:
    X, y = overfitting()

    def interrupt(state: Any) -> None:
        if state.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(st.Interrupted) as caught:
        st.minimize("squared_error", (X, y), method=method, epochs=9, validation=0.25, patience=9, callback=interrupt)
    result = caught.value.result
    assert result.status is st.Status.interrupted
    assert len(result.history.validation) == 3
    assert 0 <= result.best_epoch <= 3
    assert np.isfinite(result.history.validation).all()


def test_no_row_is_copied() -> None:
    X, y = problem("log_loss", 40_000, 50)
    tracemalloc.start()
    try:
        st.minimize("log_loss", (X, y), validation=0.2, epochs=1, seed=0, step_size=0.1, batch_size=64, method="sgd")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert X.nbytes == 16_000_000
    assert peak < X.nbytes / 6


def bad(name: str = "log_loss", **options: Any) -> Any:
    X, y = problem(name)
    return st.minimize(name, (X, y), seed=0, epochs=2, **options)


@pytest.mark.parametrize(
    ("options", "error", "complaint"),
    [
        ({"validation": 0.0}, ValueError, "must lie between 0 and 1, not 0.0"),
        ({"validation": 1.5}, ValueError, "must lie between 0 and 1, not 1.5"),
        ({"validation": float("nan")}, ValueError, "must lie between 0 and 1, not nan"),
        ({"validation": True}, TypeError, "a fraction of the rows such as 0.1, not True"),
        ({"validation": 0.001}, ValueError, "validation=0.001 of 120 rows holds out none of them"),
        ({"validation": 0.999}, ValueError, "validation=0.999 of 120 rows holds out all of them"),
        ({"validation": []}, ValueError, "validation holds out no row"),
        ({"validation": np.arange(120)}, ValueError, "all 120 rows; none is left"),
        ({"validation": [3, 120]}, ValueError, "names row 120 at position 1; rows are 0 to 119"),
        ({"validation": [3, -1]}, ValueError, "names row -1 at position 1"),
        ({"validation": [3, 4, 3]}, ValueError, "names row 3 more than once"),
        ({"validation": np.ones(7, dtype=bool)}, ValueError, "an entry for each of the 120 rows, not 7"),
        ({"validation": np.zeros(120, dtype=bool)}, ValueError, "holds out no row"),
        ({"validation": slice(7, 7)}, ValueError, "holds out no row"),
        ({"validation": slice(None)}, ValueError, "all 120 rows; none is left"),
        ({"validation": slice(None), "rows": [3, 5]}, ValueError, "holds out all that rows= names"),
        ({"validation": "some"}, TypeError, "validation must be a fraction"),
        ({"validation": [0.5, 0.6]}, TypeError, "validation must be a fraction"),
        ({"validation": (np.ones((3, 4)),)}, ValueError, r"must be \(X, y\)"),
        ({"validation": (np.ones((3, 5)), [1, -1, 1])}, ValueError, "X of validation has 5 columns, X has 4"),
        ({"validation": (np.ones((3, 4)), [1, -1])}, ValueError, "X of validation has 3 rows, y has 2"),
        ({"validation": (np.ones((2, 4)), [1, 3])}, ValueError, "holds 3 in row 1, which y does not"),
        ({"validation": (np.ones((2, 4)), [1, np.nan])}, ValueError, "NaN"),
        ({"validation": (np.ones((2, 4)), [[1, 1]])}, ValueError, "y of validation must be 1-D"),
        ({"validation": (np.full((2, 4), np.inf), [1, 1])}, ValueError, "X of validation holds an infinity"),
        ({"validation": (np.ones((2, 4)), [1, 1], [0, 0])}, ValueError, "sample_weight is zero"),
        ({"patience": 3}, ValueError, "patience waits for held-out rows"),
        ({"validation": 0.5, "patience": 0}, ValueError, "patience must be at least 1, not 0"),
        ({"validation": 0.5, "patience": 2.5}, TypeError, "patience must be a whole number, not 2.5"),
    ],
)
def test_bad_input(options: dict[str, Any], error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        bad(**options)


def test_a_class_missing_from_the_training_rows() -> None:
    X, y = problem("softmax")
    for loss, labels in (("softmax", y), ("log_loss", np.where(y == 2, "rare", "usual"))):
        missing = "2" if loss == "softmax" else "'rare'"
        with pytest.raises(ValueError, match=f"class {missing} is missing from the training rows"):
            st.minimize(loss, (X, labels), validation=y == 2)
    with pytest.raises(ValueError, match="without emptying a class"):
        st.minimize("softmax", (X[:3], [0, 1, 2]), validation=0.4)


def test_weights_that_vanish_on_one_side() -> None:
    X, y = problem("huber")
    weight = np.where(np.arange(120) < 30, 0.0, 1.0)
    with pytest.raises(ValueError, match="sample_weight of the held-out rows is zero"):
        st.minimize("huber", (X, y), sample_weight=weight, validation=np.arange(30))
    with pytest.raises(ValueError, match="sample_weight of the training rows is zero"):
        st.minimize("huber", (X, y), sample_weight=weight, validation=np.arange(30, 120))


@pytest.mark.parametrize("rows", [None, slice(20, None), np.arange(120) % 4 > 0])
@pytest.mark.parametrize("part", [slice(30), slice(90, None), slice(None, None, 3), slice(-1, None, -2)])
def test_slices_are_the_positions_they_stand_for(part: slice, rows: Any) -> None:
    X, y = problem("log_loss")
    by_slice, by_position = (
        st.minimize("log_loss", (X, y), validation=held, rows=rows, seed=1, epochs=3, method="sgd", batch_size=8)
        for held in (part, np.arange(120)[part])
    )
    assert np.ptp(by_slice.history.validation) > 0
    np.testing.assert_array_equal(by_slice.history.validation, by_position.history.validation)
    np.testing.assert_array_equal(by_slice.x, by_position.x)


@pytest.mark.parametrize("held", [[0], slice(1)])
@pytest.mark.parametrize("data", [5, np.float64(5), (), ((), ()), (5, 5)])
def test_data_without_rows_is_refused_the_same_with_rows(data: Any, held: Any) -> None:
    with pytest.raises(ValueError, match="must be") as expected:
        st.minimize("mse", data)
    for options in ({"rows": [0]}, {"validation": held}, {"rows": [0], "validation": held}):
        with pytest.raises(ValueError, match="must be") as found:
            st.minimize("mse", data, **options)
        assert str(found.value) == str(expected.value)


def test_no_rows_at_all() -> None:
    with pytest.raises(ValueError, match="a row at least"):
        st.minimize("mse", [], rows=[0], validation=[0])
