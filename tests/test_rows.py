"""Some of the rows, by position, mask or slice: as if only they had been given, without a copy of X."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from numpy.typing import NDArray

import steepest as st
from members import random, targets, vary
from memory import printed

Array = NDArray[Any]
N, D = 240, 7
LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "csr": scipy.sparse.csr_array,
    "int8": lambda X: np.round(X * 10).astype(np.int8),
}


def some(*keys: object) -> Array:
    """Return positions in no order."""
    chosen = random("rows", *keys).permutation(N)[:100]
    vary(chosen)
    return chosen


def data(name: str, layout: str) -> tuple[Any, Array, Array]:
    loss, source = st.losses.get(name), random(name, layout)
    X = source.normal(size=(N, D)) * (source.random((N, D)) < 0.7)
    y = source.permutation(N) % 4 if loss.target == "labels" else None
    if y is None and loss.kind == "scores":
        y = np.where(source.random((N, 3)) < 0.5, -1.0, 1.0)
    return LAYOUTS[layout](X), targets(loss, N, source) if y is None else y, source.uniform(0.5, 2, size=N)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["log_loss", "huber", "softmax", "multi_squared_error"])
def test_as_if_only_they_were_given(name: str, layout: str) -> None:
    X, y, weight = data(name, layout)
    chosen = some(name)
    mask = np.zeros(N, dtype=bool)
    mask[chosen] = True
    ascending = np.flatnonzero(mask)
    for rows, same in ((chosen, chosen), (mask, ascending), (slice(20, 200, 3), np.arange(20, 200, 3))):
        for options in (
            {"method": "gd", "epochs": 5},
            {"method": "sgd", "batch_size": 1, "step_size": 1e-3, "epochs": 2, "shuffle": "full"},
            {"method": "sgd", "batch_size": 16, "step_size": 1e-3, "epochs": 2, "sample_weight": True},
            {"method": "adam", "batch_size": 9, "step_size": 1e-2, "epochs": 2, "shuffle": False},
            {"normalize": True, "method": "sgd", "epochs": 2, "batch_size": 16, "step_size": 1e-2},
        ):
            weighed = options.pop("sample_weight", False)  # type: ignore[attr-defined]
            common: dict[str, Any] = {"seed": 7, "fit_intercept": True, "penalty": st.L2(0.1), **options}
            part = st.minimize(name, (X, y), rows=rows, sample_weight=weight if weighed else None, **common)
            copied = st.minimize(name, (X[same], y[same]), sample_weight=weight[same] if weighed else None, **common)
            vary(part.x)
            assert np.allclose(part.x, copied.x, rtol=2e-4, atol=1e-6), (rows, options)
            assert part.fun == pytest.approx(copied.fun, rel=1e-5)


def backwards(n: int) -> Any:
    """Return the rows of each half, from its last to its first."""
    return np.concatenate([np.arange(n // 2)[::-1], np.arange(n // 2, n)[::-1]])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("batch_size", "options"),
    [
        (257, {}),
        (32, {"patience": 5}),
        (1, {"epochs": 1}),
        (64, {"shuffle": "once"}),
        (1000, {"shuffle": backwards}),
        (300, {"method": "svrg"}),
        (300, {"method": "saga"}),
    ],
)
def test_more_rows_in_random_order_than_are_looked_up_at_once(
    batch_size: int, options: dict[str, Any], threads: int
) -> None:
    """Bit for bit: threads pack rows ahead, and every epoch's offsets stand where those of the one before stood."""
    source = random("many")
    X = source.normal(size=(2_300_000, 4)).astype(np.float32)
    y = np.where(X[:, 0] > 0.3 * X[:, 1], 1.0, -1.0).astype(np.float32)
    chosen = np.flatnonzero(source.random(len(X)) < 0.55)
    assert len(chosen) > 1.1 * (1 << 20)
    held = {"validation": 0.1} if "patience" in options else {}
    given = {"shuffle": options["shuffle"](len(chosen))} if callable(options.get("shuffle")) else {}
    common: dict[str, Any] = {"method": "sgd", "step_size": 0.01, "batch_size": batch_size, "epochs": 2, "seed": 3}
    common |= {"shuffle": "full", "history": "running", "n_threads": threads, **options, **held, **given}
    part = st.minimize("log_loss", (X, y), rows=chosen, **common)
    copied = st.minimize("log_loss", (X[chosen], y[chosen]), **common)
    vary(part.x)
    assert np.array_equal(part.x, copied.x)
    assert np.array_equal(part.history.running_objective, copied.history.running_objective)


@pytest.mark.parametrize("fails_at", [0.0, 1.0, 1.5])
@pytest.mark.parametrize("batch_size", [1, 16])
def test_schedules_that_fail_are_heard(batch_size: int, fails_at: float) -> None:
    X, y, _ = data("log_loss", "C")

    def steps(time: float) -> float:
        return 0.01 if time < fails_at else -1.0

    for shuffle in ("full", "once", "stream"):
        with pytest.raises(ValueError, match=r"the schedule gave -1"):
            st.minimize(
                "log_loss",
                (X, y),
                rows=some("fails"),
                method="sgd",
                step_size=steps,
                batch_size=batch_size,
                epochs=3,
                shuffle=shuffle,
                seed=0,
            )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_objectives(layout: str) -> None:
    X, y, weight = data("log_loss", layout)
    chosen = some("objective")
    part = st.Objective("log_loss", (X, y), rows=chosen, sample_weight=weight, fit_intercept=True)
    copied = st.Objective("log_loss", (X[chosen], y[chosen]), sample_weight=weight[chosen], fit_intercept=True)
    x = random(layout).normal(size=D + 1)
    assert part.value(x) == pytest.approx(copied.value(x), rel=1e-6)
    assert np.allclose(part.gradient(x), copied.gradient(x), rtol=1e-5, atol=1e-7)
    assert np.allclose(part.values([x, 2 * x]), copied.values([x, 2 * x]), rtol=1e-6)
    assert part.smoothness() == pytest.approx(copied.smoothness(), rel=1e-6)


def test_the_constant_model_traced_losses_and_callables() -> None:
    y = random("constant").normal(size=N)
    chosen = some("constant")
    options: dict[str, Any] = {"method": "sgd", "batch_size": 10, "step_size": 0.05, "epochs": 3, "seed": 1}
    assert st.minimize("mse", y, rows=chosen).x[0] == pytest.approx(y[chosen].mean())

    @st.loss
    def traced(w: Any, t: Any) -> Any:
        return (t - w) ** 2

    def value(theta: Any, t: Any) -> Any:
        return np.mean((t - theta) ** 2)

    def gradient(theta: Any, t: Any) -> Any:
        return -2 * np.mean(t - theta)

    losses: list[Any] = [traced, (value, gradient)]
    for loss in losses:
        part, copied = st.minimize(loss, y, rows=chosen, **options), st.minimize(loss, y[chosen], **options)
        assert np.allclose(part.x, copied.x, rtol=1e-12)
    weight = random("weight").uniform(1, 2, size=N)
    objective = st.Objective(traced, y, rows=chosen, sample_weight=weight)
    assert objective.value([0.5]) == pytest.approx(np.average((y[chosen] - 0.5) ** 2, weights=weight[chosen]))


def test_folds_share_the_data() -> None:
    """Cross-validation by rows: every row is judged once, by a fit that has not seen it."""
    X, y, _ = data("log_loss", "C")
    order = random("folds").permutation(N)
    found = []
    for fold in np.array_split(order, 4):
        rest = np.setdiff1d(order, fold)
        result = st.minimize("log_loss", (X, y), rows=rest, penalty=st.L2(0.1), seed=0)
        found.append(st.Objective("log_loss", (X, y), rows=fold).value(result.x))
        expected = st.minimize("log_loss", (X[rest], y[rest]), penalty=st.L2(0.1), seed=0)
        assert np.allclose(result.x, expected.x, rtol=1e-6)
    vary(np.array(found))


def test_other_rows_do_not_matter() -> None:
    X, y, weight = data("log_loss", "C")
    chosen = some("others")
    expected = st.minimize("log_loss", (X, y), rows=chosen, sample_weight=weight, seed=0)
    others = np.setdiff1d(np.arange(N), chosen)
    X, y, weight = X.copy(), y.copy(), weight.copy()
    X[others], y[others], weight[others] = np.nan, 7.0, -1.0
    result = st.minimize("log_loss", (X, y), rows=chosen, sample_weight=weight, seed=0)
    assert np.array_equal(result.x, expected.x)
    X[chosen[3], 2] = np.inf
    with pytest.raises(ValueError, match=rf"X holds an infinity, first in row {chosen[3]}, column 2"):
        st.minimize("log_loss", (X, y), rows=chosen)


def test_held_out_rows_are_among_them() -> None:
    X, y, _ = data("log_loss", "C")
    chosen = some("held out")
    options: dict[str, Any] = {"validation": 0.25, "method": "sgd", "step_size": 0.1, "epochs": 4, "seed": 2}
    part = st.minimize("log_loss", (X, y), rows=chosen, class_weight="balanced", **options)
    copied = st.minimize("log_loss", (X[chosen], y[chosen]), class_weight="balanced", **options)
    assert np.allclose(part.x, copied.x, rtol=1e-9)
    assert np.allclose(part.history.validation, copied.history.validation, rtol=1e-9)


@st.loss
def traced_log_loss(w: Any, x: Any, y: Any) -> Any:
    return st.softplus(-y * (x @ w))


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("as_mask", [False, True])
@pytest.mark.parametrize("loss", ["log_loss", "softmax", traced_log_loss], ids=str)
def test_held_out_rows_are_named_beside_them(loss: Any, as_mask: bool, overlap: bool) -> None:
    X, y, weight = data("softmax" if loss == "softmax" else "log_loss", "C")
    chosen = some("held out by name")
    held = np.sort(np.setdiff1d(np.arange(N), chosen)[:40])
    spoilt = np.setdiff1d(np.arange(N), np.union1d(chosen, held))
    trained = chosen
    if overlap:
        held = np.sort(np.append(held, chosen[5:15]))
        trained = chosen[~np.isin(chosen, held)]
    X = X.copy()
    X[spoilt] = np.nan
    options: dict[str, Any] = {"method": "sgd", "step_size": 0.1, "epochs": 4, "seed": 2, "shuffle": False}
    options |= {"batch_size": 30}
    given = np.isin(np.arange(N), held) if as_mask else held
    part = st.minimize(loss, (X, y), rows=chosen, validation=given, sample_weight=weight, **options)
    copied = st.minimize(loss, (X[trained], y[trained]), sample_weight=weight[trained], **options)
    np.testing.assert_allclose(part.x, copied.x, rtol=1e-9, atol=1e-12)
    last = st.Objective(loss, (X[held], y[held]), sample_weight=weight[held]).value(part.x)
    assert part.history.validation[-1] == pytest.approx(last, rel=1e-9)
    with pytest.raises(ValueError, match="validation holds out all that rows= names"):
        st.minimize(loss, (X, y), rows=chosen, validation=np.union1d(chosen, held), seed=0)


BAD: list[tuple[Any, type[Exception], str]] = [
    ([], ValueError, "rows= leaves none of the 240 rows"),
    (np.zeros(N, dtype=bool), ValueError, "rows= leaves none of the 240 rows"),
    (slice(5, 5), ValueError, "rows= leaves none of the 240 rows"),
    ([3, 7, 9, 7, 3], ValueError, "rows names row 3 more than once"),
    ([9, 7, 3, 7, 3], ValueError, "rows names row 7 more than once"),
    ([0, 240], ValueError, "rows names row 240 at position 1; rows are 0 to 239"),
    ([5, -1], ValueError, "rows names row -1 at position 1"),
    (np.ones(239, dtype=bool), ValueError, "rows as a mask must have an entry for each of the 240 rows, not 239"),
    ([0.5, 1.0], TypeError, "rows must be a 1-D array of positions, a mask or a slice"),
    ([[0, 1]], TypeError, r"rows must be .* of shape \(1, 2\)"),
    ("all", TypeError, "rows must be a 1-D array"),
]


@pytest.mark.parametrize(("rows", "error", "words"), BAD)
def test_rows_that_cannot_be(rows: Any, error: type[Exception], words: str) -> None:
    X, y, _ = data("log_loss", "C")
    with pytest.raises(error, match=words):
        st.minimize("log_loss", (X, y), rows=rows)
    with pytest.raises(error, match=words):
        st.Objective("log_loss", (X, y), rows=rows)


def test_what_belongs_to_the_rows_is_checked_among_them() -> None:
    y = np.array([1.0, -2.0, 3.0, 4.0])
    with pytest.raises(ValueError, match=r"row 1 holds -2 \(of the 3 rows given by rows=\)"):
        st.minimize("poisson", y, rows=[0, 1, 3])
    with pytest.raises(ValueError, match="sample_weight must have shape"):
        st.minimize("mse", y, rows=[0, 1], sample_weight=[1.0, 2.0])
    with pytest.raises(ValueError, match="X has 3 rows, y has 4"):
        st.minimize("mse", (np.eye(3), y), rows=[0, 1])


@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_traced_losses_look_at_these_rows_only(layout: str) -> None:
    X, y = np.random.default_rng(0).normal(size=(60, 3)), np.random.default_rng(1).normal(size=60)
    loss = st.loss(lambda w, x, y: (x @ w - y) ** 2)
    options: dict[str, Any] = {"batch_size": 8, "epochs": 2, "seed": 0, "step_size": 0.05}
    expected = st.minimize(loss, (X[:40], y[:40]), **options)
    X[40:], y[50:] = np.nan, np.inf
    given = scipy.sparse.csr_array(X) if layout == "sparse" else X
    result = st.minimize(loss, (given, y), rows=slice(40), **options)
    assert np.allclose(result.x, expected.x, rtol=1e-12)
    with pytest.raises(ValueError, match=r"holds NaN, first in row"):
        st.minimize(loss, (given, y), rows=slice(30, 50), **options)


def test_what_other_sparse_rows_hold_copies_nothing() -> None:
    X = scipy.sparse.random_array((20_000, 50), density=0.5, rng=0, format="csr")
    y = np.random.default_rng(0).normal(size=20_000)
    X.data[X.indptr[19_000]] = np.nan
    rows = np.arange(19_000)
    tracemalloc.start()
    try:
        st.minimize("squared_error", (X, y), rows=rows, epochs=1, batch_size=64, step_size=1e-3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.3 * X.data.nbytes
    with pytest.raises(ValueError, match=rf"X holds NaN, first in row 19000, column {X.indices[X.indptr[19_000]]}$"):
        st.minimize("squared_error", (X, y), rows=np.arange(20_000)[::-1][:5_000])


PEAK = """
import numpy as np
import steepest as st

n, d = 300_000, 80
X = np.random.default_rng(0).standard_normal((n, d), dtype=np.float32)
y = np.sign(X[:, 0])
options = {"method": "sgd", "step_size": 0.1, "batch_size": 256, "epochs": 1, "seed": 0}
rows = np.flatnonzero(np.arange(n) % 5)
st.minimize("log_loss", (X[:2000], y[:2000]), rows=rows[:1000], **options)
forget_peak()
before = peak()
result = st.minimize("log_loss", (X, y), rows=rows, **options)
assert result.coef[0] > 0.5
print(peak() - before, 32 * n + 16 * 2**20)
"""


def test_peak_memory() -> None:
    """A few numbers a row; a copy of the rows would be 77 MB."""
    more, allowed = printed(PEAK)
    assert more <= allowed
