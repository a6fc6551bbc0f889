"""Updates of touched columns only: the same parameters as when every update moves all of them."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from numpy.typing import NDArray
from scipy import sparse

import steepest as st
from members import vary
from sparse_data import D, N, make_rows, make_targets, make_weight

Array = NDArray[Any]

OPTIONS: dict[str, Any] = {"method": "sgd", "step_size": 0.3, "batch_size": 3, "epochs": 3, "seed": 0}


def both(rows: Any, y: Array, loss: str = "log_loss", **options: Any) -> tuple[st.Result, st.Result]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", st.ConvergenceWarning)
        dense, found = (st.minimize(loss, (X, y), **(OPTIONS | options)) for X in (rows.toarray(), rows))
    return dense, found


def assert_same(dense: st.Result, found: st.Result, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(found.x, dense.x, rtol=rtol, atol=rtol * np.abs(dense.x).max() + 1e-300)
    np.testing.assert_allclose(found.fun, dense.fun, rtol=rtol)
    np.testing.assert_allclose(found.history.running_objective, dense.history.running_objective, rtol=10 * rtol)
    assert (found.nit, found.nfev, found.status) == (dense.nit, dense.nfev, dense.status)


@pytest.mark.parametrize("alpha", [0.02, 0.2, 1.0])
@pytest.mark.parametrize("penalty", [st.L1, st.L2, st.ElasticNet])
def test_strong_penalties_from_a_start_away_from_zero(penalty: Any, alpha: float) -> None:
    rows = make_rows(200, 40, 0.05)
    y = make_targets(st.losses.get("log_loss"), 200)
    x0 = np.random.default_rng(3).normal(size=41)
    for batch_size in (1, 2, 13):
        dense, found = both(
            rows,
            y,
            penalty=penalty(alpha),
            batch_size=batch_size,
            x0=x0,
            sample_weight=make_weight(200),
            fit_intercept=True,
        )
        assert_same(dense, found)
        if penalty is st.L1:
            np.testing.assert_array_equal(found.coef == 0, dense.coef == 0)


@pytest.mark.parametrize("penalty", [st.L1, st.L2, lambda alpha: st.ElasticNet(alpha, 0.4)], ids=["l1", "l2", "both"])
@pytest.mark.parametrize("loss", ["squared_error", "hinge", "softmax"])
def test_strengths_per_feature(loss: str, penalty: Any) -> None:
    rows, y = make_rows(100, 9, 0.3), make_targets(st.losses.get(loss), 100)
    strengths = np.linspace(0, 0.4, 9)
    reached = []
    for batch_size in (1, 8, 100):
        for kind in ("sgd", "momentum"):
            options = {"method": kind, "batch_size": batch_size, "step_size": 0.05, "fit_intercept": True}
            dense, found = both(rows, y, loss, penalty=penalty(strengths), **options)
            assert_same(dense, found)
            without = both(rows, y, loss, **options)[1]
            assert np.abs(found.x - without.x).max() > 1e-5
            reached.append(found.fun)
    vary(np.array(reached))


def test_columns_reach_exactly_zero_while_nobody_looks() -> None:
    rows = sparse.csr_matrix((np.ones(40), (np.arange(40), np.arange(40) % 4)), shape=(40, 30))
    x0 = np.linspace(-1, 1, 30)
    dense, found = both(
        rows, np.linspace(-1, 1, 40), "squared_error", penalty=st.L1(0.2), step_size=0.05, x0=x0, shuffle=False
    )
    assert_same(dense, found)
    untouched = found.x[4:]
    assert (untouched == 0).any()
    assert (untouched != 0).any()


@pytest.mark.parametrize(
    "step_size",
    [
        st.schedules.InverseTime(0.5, decay=30.0),
        lambda time: 1e-300 if time == 0 else 1e-4 * 10 ** (2 * time),
        lambda time: 1e-12 * 1.6 ** (time * 40) if time < 1 else 0.2,
        lambda time: 0.3 if int(time * 1000) % 7 == 0 else 1e-9,
        0.1,
        lambda time: 0.1 if time < 0.6 else 0.07,
    ],
    ids=["falling", "from nothing", "growing", "uneven", "alike", "alike at first"],
)
@pytest.mark.parametrize("batch_size", [1, 3, 7])
@pytest.mark.parametrize("penalty", [st.L1(0.03), st.ElasticNet(0.05, 0.5)])
def test_penalties_of_fallen_columns_are_exact_whatever_the_steps(
    step_size: Any, batch_size: int, penalty: Any
) -> None:
    rows = make_rows(400, 60, 0.04)
    y = make_targets(st.losses.get("log_loss"), 400)
    x0 = np.random.default_rng(5).normal(size=60)
    dense, found = both(rows, y, penalty=penalty, step_size=step_size, batch_size=batch_size, x0=x0, epochs=2)
    assert_same(dense, found)


@pytest.mark.parametrize(
    ("alpha", "start"),
    [(0.01, 1e-310), (0.01, 5e-324), (1e-310, 0.0), (1e-308, 0.0), (1e-301, 0.0), (1e-299, 0.0)],
)
def test_numbers_at_the_end_of_their_range(alpha: float, start: float) -> None:
    rows = make_rows(200, 60, 0.05)
    rows.data[::2] = 0
    x0 = np.full(60, start)
    y = make_targets(st.losses.get("squared_error"), 200)
    dense, found = both(
        rows, y, "squared_error", penalty=st.L1(alpha), step_size=0.05, batch_size=4, x0=x0, shuffle=False
    )
    assert found.success
    assert_same(dense, found)


def test_columns_that_no_row_touches_shrink_as_they_should() -> None:
    rows = make_rows()
    column = 5
    assert rows[:, [column]].nnz == 0
    x0 = np.full(D, 2.0)
    updates = 3 * math.ceil(N / 3)
    assert found_at(rows, st.L2(0.5), x0)[column] == pytest.approx(2 * 0.85**updates, rel=1e-12)
    assert found_at(rows, st.L1(0.01), x0)[column] == pytest.approx(2 - 0.003 * updates, rel=1e-12)
    assert found_at(rows, None, x0)[column] == 2


def test_zeros_have_no_sign() -> None:
    """A step beyond one over the strength of L2 turns coefficients around, the ones that are zero not."""
    rows = make_rows(50, 2000, 0.002)
    options = OPTIONS | {"step_size": 0.15, "batch_size": 7, "epochs": 1, "shuffle": False}
    dense, found = both(
        rows[:21], make_targets(st.losses.get("log_loss"), 50)[:21], penalty=st.ElasticNet(10, 1e-4), **options
    )
    assert (found.coef == 0).sum() > 1000
    assert not np.signbit(found.coef[found.coef == 0]).any()
    assert_same(dense, found)


def found_at(rows: Any, penalty: Any, x0: Array) -> Array:
    return st.minimize("log_loss", (rows, make_targets(st.losses.get("log_loss"))), penalty=penalty, x0=x0, **OPTIONS).x


@pytest.mark.parametrize("alpha", [1 / 0.3, 2.5, 5.0, 6.5, 100 / 3])
@pytest.mark.parametrize("kind", [st.L2, st.ElasticNet])
def test_penalties_that_leave_nothing_or_turn_around(kind: Any, alpha: float) -> None:
    penalty = kind(alpha) if kind is st.L2 else kind(alpha, 0.01)
    dense, found = both(make_rows(), make_targets(st.losses.get("log_loss")), penalty=penalty, epochs=1, x0=np.ones(D))
    np.testing.assert_allclose(found.x, dense.x, rtol=1e-9, atol=1e-11)


def test_a_small_scale_is_folded_in_time() -> None:
    rows = make_rows(3000, 60, 0.02)
    y = make_targets(st.losses.get("log_loss"), 3000)
    for dtype, rtol in (("float64", 1e-11), ("float32", 2e-4)):
        for penalty in (st.L2(0.5), st.ElasticNet(0.5, 0.002)):
            dense, found = both(rows.astype(dtype), y, penalty=penalty, batch_size=1, epochs=1)
            assert np.isfinite(found.x).all()
            np.testing.assert_allclose(found.x, dense.x, rtol=rtol, atol=rtol * np.abs(dense.x).max())


SCHEDULES: dict[str, Any] = {
    "falling": lambda t: 0.5 / (1 + 5 * t),
    "rising": lambda t: 0.02 * (1 + t) ** 3,
    "by turns": lambda t: 0.3 if int(50 * t) % 3 else 1e-12,
    "next to none at first": lambda t: 0.2 if t > 0.5 else 1e-200,
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("penalty", [st.L1(0.02), st.ElasticNet(0.05, 0.5)])
def test_thresholds_of_any_size_pass_while_nobody_looks(penalty: Any, schedule: str) -> None:
    rows = make_rows(400, 90, 0.02)
    y = make_targets(st.losses.get("log_loss"), 400)
    x0 = np.random.default_rng(6).normal(size=90) / 5
    x0[::7] = 0
    for batch_size in (1, 4):
        dense, found = both(rows, y, penalty=penalty, step_size=SCHEDULES[schedule], x0=x0, batch_size=batch_size)
        assert_same(dense, found)
        np.testing.assert_array_equal(found.x == 0, dense.x == 0)
        assert 0 < np.count_nonzero(found.x) < 90


@pytest.mark.parametrize("penalty", [st.L1(1e-4), st.ElasticNet(1e-4, 0.5)])
def test_epochs_of_more_updates_than_are_kept(penalty: Any) -> None:
    rng = np.random.default_rng(7)
    rows = sparse.random_array((70_000, 30), density=0.05, rng=rng, format="csr")
    y = np.where(rng.random(70_000) < 0.6, 1.0, -1.0)
    dense, found = both(rows, y, penalty=penalty, batch_size=1, epochs=1, step_size=0.05, shuffle="full")
    assert_same(dense, found, rtol=1e-10)


@pytest.mark.parametrize("shuffle", ["full", False])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("penalty", [None, st.L1(1e-3), st.L2(0.1), st.ElasticNet(0.01, 0.4)])
def test_columns_far_apart(penalty: Any, dtype: str, shuffle: Any) -> None:
    """Coefficients beyond the caches are fetched ahead or not: the same rows give the same bits wherever they reach."""
    near = make_rows(700, 900, 0.012)
    near.data = np.ceil(np.abs(near.data) * 10) if dtype == "uint8" else near.data
    near = near.astype(dtype)
    assert (np.diff(near.indptr) == 0).any()
    places = np.sort(np.random.default_rng(5).choice(300_000, 900, replace=False))
    far = sparse.csr_matrix((near.data, places[near.indices], near.indptr), shape=(700, 300_000))
    if dtype == "float64":
        far.indices, far.indptr = far.indices.astype(np.int64), far.indptr.astype(np.int64)
    y = make_targets(st.losses.get("log_loss"), 700).astype("float64" if dtype == "float64" else "float32")
    for batch_size in (1, 8, 64):
        options = OPTIONS | {"batch_size": batch_size, "penalty": penalty, "shuffle": shuffle, "step_size": 0.02}
        options["epochs"] = 110 if batch_size == 8 else 2  # so many rows that both ways are tried
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", st.ConvergenceWarning)
            small, large = (st.minimize("log_loss", (X, y), **options) for X in (near, far))
        assert len(large.history.epoch) == options["epochs"]
        vary(small.coef)
        np.testing.assert_array_equal(large.coef[places], small.coef)
        assert np.count_nonzero(large.coef) == np.count_nonzero(small.coef)
        np.testing.assert_allclose(
            large.history.running_objective, small.history.running_objective, rtol=1e-10 if dtype == "float64" else 1e-5
        )


@pytest.mark.parametrize("penalty", [None, st.L1(0.01), st.L2(0.1), st.ElasticNet(0.05, 0.4)])
def test_callbacks_and_histories_see_what_is_up_to_date(penalty: Any) -> None:
    rows, y = make_rows(), make_targets(st.losses.get("log_loss"))
    seen: list[list[Array]] = []
    for X in (rows.toarray(), rows):
        points: list[Array] = []
        st.minimize(
            "log_loss",
            (X, y),
            penalty=penalty,
            callback=lambda state, points=points: points.append(state.x.copy()),
            history="exact",
            **OPTIONS,
        )
        seen.append(points)
    vary(np.array(seen[1]))
    np.testing.assert_allclose(seen[1], seen[0], rtol=1e-12, atol=1e-14)
    dense, found = both(rows, y, penalty=penalty, history="exact")
    np.testing.assert_allclose(found.history.objective, dense.history.objective, rtol=1e-12)


RULES = [name for name in st.optim.available() if st.optim.get(name).lazy]


@pytest.mark.parametrize("penalty", [None, st.L1(0.002), st.L2(0.01)])
@pytest.mark.parametrize("loss", ["log_loss", "softmax", "squared_error"])
@pytest.mark.parametrize("rule", RULES)
def test_lazy_rules(rule: str, loss: str, penalty: Any) -> None:
    rows = make_rows(150, 80, 0.04)
    y = make_targets(st.losses.get(loss), 150)
    reached = []
    for options in (
        {},
        {"batch_size": 1, "fit_intercept": True, "sample_weight": make_weight(150)},
        {"step_size": lambda t: 0.1 / (1 + t)},
        {"step_size": lambda t: 0.1 if t < 1 else 0.05, "x0": np.linspace(-1, 1, 80 * (4 if loss == "softmax" else 1))},
        {"batch_size": 100},
        {"method": st.optim.get(rule, clip_norm=0.05)},
    ):
        dense, found = both(rows, y, loss, **({"method": rule, "step_size": 0.1, "penalty": penalty} | options))
        assert_same(dense, found, rtol=1e-12)
        if st.optim.get(rule).state_vectors:
            np.testing.assert_allclose(found.state, dense.state, rtol=1e-11, atol=1e-12)
        reached.append(found.fun)
    vary(np.array(reached))


@pytest.mark.parametrize("rule", st.optim.available())
def test_every_rule_works_and_says_what_it_costs(rule: str) -> None:
    rows, y = make_rows(N, 80, 0.04), make_targets(st.losses.get("log_loss"))
    for batch_size in (1, 8):
        dense, found = both(rows, y, method=rule, step_size=0.05, batch_size=batch_size, fit_intercept=True)
        # Rules that divide by roots of what is next to nothing magnify how sums were rounded.
        assert_same(dense, found, rtol=1e-9)
    said = type(st.optim.get(rule)).__doc__ or ""
    assert ("Lazy: over sparse rows" in said) == (rule in RULES)
    assert ("every update moves all parameters" in said) == (rule not in RULES)


SEPARABLE: dict[str, Any] = {"none": None}
for name in st.penalties.available():
    strong = {"alpha": 0.004} if "alpha" in st.penalties.get(name).params else {}
    if st.penalties.get(name).separable:
        SEPARABLE[name] = st.penalties.get(name, **strong)


@pytest.mark.parametrize("penalty", SEPARABLE.values(), ids=SEPARABLE)
@pytest.mark.parametrize("loss", st.losses.available())
def test_every_loss_and_penalty_with_every_lazy_rule(loss: str, penalty: Any) -> None:
    rows = make_rows(N, 80, 0.04)
    y = make_targets(st.losses.get(loss))
    reached = []
    for options in ({}, {"sample_weight": make_weight(), "fit_intercept": True}):
        # From zero, classes would tie in their scores, and rounding choose the subgradient.
        size = both(rows, y, loss, epochs=1, **options)[0].x.size
        options |= {"step_size": 0.05, "penalty": penalty, "x0": np.random.default_rng(4).uniform(0.01, 0.03, size)}
        for rule in RULES:
            for batch_size in (1, 4, N):
                options |= {"method": rule, "batch_size": batch_size}
                dense, found = both(rows, y, loss, **options)
                assert np.abs(dense.x).max() > 0
                assert_same(dense, found)
                reached.append(found.fun)
    vary(np.array(reached))


def test_going_on_is_bit_for_bit() -> None:
    rows, y = make_rows(), make_targets(st.losses.get("log_loss"))
    for penalty in (None, "l1", "l2", "elastic_net"):
        options = {**OPTIONS, "penalty": penalty}
        whole = st.minimize("log_loss", (rows, y), **(options | {"epochs": 4}))
        part = st.minimize("log_loss", (rows, y), **options)
        rest = st.minimize("log_loss", (rows, y), x0=part, **(options | {"epochs": 1, "seed": None}))
        np.testing.assert_array_equal(rest.x, whole.x)


def test_a_diverging_run_says_so() -> None:
    rows = make_rows() * 1e3
    y = make_targets(st.losses.get("squared_error"))
    for penalty in (None, "l1", "l2"):
        with pytest.warns(st.ConvergenceWarning, match="[Dd]iverged"):
            result = st.minimize(
                "squared_error", (rows, y), penalty=penalty, **(OPTIONS | {"step_size": 10.0, "epochs": 40})
            )
        assert result.status is st.Status.diverged
        assert np.isfinite(result.x).all()


@pytest.mark.parametrize("batch_size", [1, 2])
def test_parameters_beyond_their_range_are_noticed_where_no_row_meets_them_again(batch_size: int) -> None:
    n, each = 40, 3
    columns = np.random.default_rng(0).permutation(5000)[: n * each]
    rows = sparse.csr_matrix(
        (np.full(n * each, 1e38, np.float32), columns, np.arange(0, n * each + 1, each)), (n, 5000)
    )
    y = np.where(np.arange(n) % 2, 1.0, -1.0).astype(np.float32)
    vary(columns, y)
    with pytest.warns(st.ConvergenceWarning, match="a gradient in epoch 0 left parameters that are no finite numbers"):
        result = st.minimize("absolute_error", (rows, y), **(OPTIONS | {"batch_size": batch_size, "step_size": 100.0}))
    assert result.status is st.Status.diverged
    assert not result.x.any()


def test_interrupted_runs_keep_what_they_reached() -> None:
    rows, y = make_rows(), make_targets(st.losses.get("log_loss"))
    calls = iter(range(100))

    def schedule(t: float) -> float:
        if next(calls) == 30:
            raise KeyboardInterrupt
        return 0.3

    for penalty in (None, st.L1(0.01), st.L2(0.1)):
        calls = iter(range(100))
        with pytest.raises(st.Interrupted) as caught:
            st.minimize("log_loss", (rows, y), penalty=penalty, **(OPTIONS | {"step_size": schedule}))
        reached = caught.value.result
        calls = iter(range(1000, 2000))
        first = st.minimize("log_loss", (rows, y), penalty=penalty, **(OPTIONS | {"epochs": 1}))
        assert np.isfinite(reached.x).all()
        assert not np.array_equal(reached.x, first.x)
        assert np.abs(reached.x - first.x).max() < 1


def test_held_out_rows() -> None:
    rows = make_rows(300, 60, 0.05)
    y = make_targets(st.losses.get("log_loss"), 300)
    for penalty in (None, "l1", "l2"):
        dense, found = both(rows, y, penalty=penalty, validation=0.3, sample_weight=make_weight(300))
        assert_same(dense, found)


@settings(max_examples=40, deadline=None)
@given(
    n=some.integers(2, 30),
    d=some.integers(1, 12),
    density=some.floats(0.02, 1),
    batch_size=some.integers(1, 31),
    alpha=some.floats(0, 2),
    ratio=some.floats(0, 1),
    loss=some.sampled_from(["huber", "hinge", "softmax", "multi_squared_error", "absolute_error"]),
    seed=some.integers(0, 1000),
)
def test_anything(
    n: int, d: int, density: float, batch_size: int, alpha: float, ratio: float, loss: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = sparse.random_array((n, d), density=density, rng=rng, format="csr")
    y: Array = rng.normal(size=(n, 2)) if loss == "multi_squared_error" else rng.normal(size=n)
    if loss == "softmax":
        y = np.arange(n) % 3
        if n < 3:
            y = np.arange(n) % 2
    if loss == "hinge":
        y = np.where(np.arange(n) % 2, 1.0, -1.0)
    dense, found = both(
        rows,
        y,
        loss,
        batch_size=batch_size,
        penalty=st.ElasticNet(alpha, ratio),
        seed=seed,
        fit_intercept=True,
        epochs=2,
    )
    np.testing.assert_allclose(found.x, dense.x, rtol=1e-10, atol=1e-12)
