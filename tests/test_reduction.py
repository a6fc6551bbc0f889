"""SVRG and SAGA: step by step against NumPy, unbiased, and converging at a constant step where SGD does not."""

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

import members
import steepest as st
from members import Array
from tolerances import DTYPES

REDUCED = [name for name in st.methods.available() if isinstance(st.methods.get(name), st.methods.VarianceReduced)]
each_method = pytest.mark.parametrize("name", REDUCED)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
MASK = (1 << 64) - 1


def problem(loss: str, n: int = 60, d: int = 4) -> tuple[Array, Array, Array]:
    source = members.random(loss, n, d)
    X, weight = source.normal(size=(n, d)), source.uniform(0.2, 2, size=n)
    y = X @ source.normal(size=d) + source.normal(size=n)
    if loss in ("log_loss", "squared_hinge"):
        y = np.where(y > 0, 1.0, -1.0)
    if loss == "softmax":
        y = np.digitize(y, [-1.0, 1.0]).astype(float)
    members.vary(X, y, weight)
    return X, y, weight


def mix(x: int) -> int:
    x ^= x >> 30
    x = x * 0xBF58476D1CE4E5B9 & MASK
    x ^= x >> 27
    x = x * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def coin(seed: int, number: int) -> float:
    return float(mix(mix(seed ^ 0x5BD1E9955BD1E995) + (number + 1) * 0x9E3779B97F4A7C15 & MASK) >> 11) * 2.0**-53


class ByNumpy:
    """A linear model descended with corrections, as the papers write it."""

    def __init__(self, name: str, loss: Any, X: Array, y: Array, weight: Array, every: float, seed: int) -> None:
        self.name, self.loss, self.every, self.seed = name, loss, every, seed
        self.X, self.y, self.weight = np.hstack([X, np.ones((len(y), 1))]), y, weight
        self.K = 3 if loss.kind == "scores" else 0
        self.batches = 0
        self.noted: Array | None = None
        self.anchors = 0

    def slopes(self, x: Array, rows: Any) -> Array:
        if not self.K:
            return np.asarray(self.weight[rows] * self.loss.gradient(self.y[rows], self.X[rows] @ x))
        W = np.hstack([x[: -self.K].reshape(self.K, -1), x[-self.K :, None]])
        z = self.X[rows] @ W.T
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(
            self.weight[rows, None] * (e / e.sum(axis=1, keepdims=True) - np.eye(self.K)[self.y[rows].astype(int)])
        )

    def pull(self, slopes: Array, rows: Any) -> Array:
        gradient = slopes.T @ self.X[rows]
        return np.concatenate([gradient[:, :-1].ravel(), gradient[:, -1]]) if self.K else np.asarray(gradient)

    def estimate(self, x: Array, rows: Array) -> Array:
        everything = slice(None)
        n = len(self.y)
        moves = self.name == "svrg" and coin(self.seed, self.batches) < len(rows) / (self.every * n)
        self.batches += 1
        if self.noted is None or moves:
            self.noted = self.slopes(x, everything)
            self.anchors += 1
        total = self.pull(self.noted, everything)
        now = self.slopes(x, rows)
        found = self.pull(now - self.noted[rows], rows) + len(rows) / n * total
        if self.name == "saga":
            self.noted[rows] = now
        return np.asarray(found / (len(rows) * self.weight.mean()))


@pytest.mark.parametrize("penalty", [None, st.L2(0.1), st.ElasticNet(0.2, 0.6)], ids=repr)
@pytest.mark.parametrize("loss", ["squared_error", "log_loss", "squared_hinge", "softmax"])
@pytest.mark.parametrize("batch_size", [1, 7, 20])
@each_method
def test_step_by_step(name: str, batch_size: int, loss: str, penalty: Any) -> None:
    X, y, weight = problem(loss)
    source = members.random(name, batch_size, loss, penalty)
    orders = [source.permutation(60) for _ in range(3)]
    method = st.methods.get(name, every=0.7) if name == "svrg" else st.methods.get(name)
    step, seed = 0.05, 12345
    start = source.normal(size=5 if loss != "softmax" else 15)
    result = st.minimize(
        loss,
        (X, y),
        method=method,
        x0=start,
        step_size=step,
        batch_size=batch_size,
        epochs=3,
        shuffle=lambda epoch: orders[epoch],
        penalty=penalty,
        sample_weight=weight,
        fit_intercept=True,
        seed=seed,
    )
    x, k = start.copy(), 4 if loss != "softmax" else 12
    numpy = ByNumpy(name, st.losses.get(loss), X, y, weight, 0.7, seed)
    for order in orders:
        for at in range(0, 60, batch_size):
            gradient = numpy.estimate(x, order[at : at + batch_size])
            if penalty is not None:
                gradient[:k] += penalty.smooth_gradient(x[:k])
            x -= step * gradient
            if penalty is not None:
                x[:k] = penalty.prox(x[:k], step)
    assert result.x == pytest.approx(x, rel=1e-10, abs=1e-12)
    assert np.abs(x - start).max() > 0.01
    assert numpy.anchors > 1 or name == "saga"


@each_method
def test_a_batch_is_right_on_average(name: str) -> None:
    X, y, weight = problem("log_loss")
    size, turns = 10, 6

    def run(first: int, epochs: int) -> Array:
        # The first batch of the second epoch takes a whole step, those before it small and those after it no steps.
        orders = [np.arange(60), np.roll(np.arange(60), -first * size)]
        return st.minimize(
            "log_loss",
            (X, y),
            method=st.methods.get(name, **({"every": 1e9} if name == "svrg" else {})),
            step_size=lambda t: 0.3 if t < 1 else 1.0 if t == 1 else 1e-300,
            batch_size=size,
            epochs=epochs,
            shuffle=lambda epoch: orders[epoch],
            sample_weight=weight,
            seed=1,
        ).x

    before = run(0, 1)
    estimates = np.stack([before - run(first, 2) for first in range(turns)])
    gradient = st.Objective("log_loss", (X, y), sample_weight=weight).gradient(before)
    assert estimates.mean(axis=0) == pytest.approx(gradient, rel=1e-9, abs=1e-12)
    assert estimates.std(axis=0).min() > 1e-4, "single batches are off"
    assert np.abs(gradient).max() > 1e-3


@pytest.mark.parametrize("shuffle", ["stream", "full", "once", False])
@pytest.mark.parametrize("loss", ["log_loss", "softmax"])
@each_method
def test_they_converge_where_sgd_does_not(name: str, loss: str, shuffle: Any) -> None:
    X, y = st.data.logistic(1000, 6, seed=2, dtype="float64")
    if loss == "softmax":
        y = np.digitize(X @ np.arange(6) + y, [-2.0, 2.0])
    given = {"penalty": st.L2(0.02), "fit_intercept": True}
    objective = st.Objective(loss, (X, y), **given)
    best = scipy.optimize.minimize(
        objective.value_and_gradient,
        np.zeros(objective.n_parameters),
        jac=True,
        hessp=objective.hessp,
        method="trust-ncg",
        options={"gtol": 1e-10},
    ).fun
    run: dict[str, Any] = {"batch_size": 8, "epochs": 25, "seed": 0, "shuffle": shuffle, **given}
    reduced = st.minimize(loss, (X, y), method=name, **run).fun - best
    plain = st.minimize(loss, (X, y), method="sgd", **run).fun - best
    constant = st.minimize(loss, (X, y), method="sgd", step_size=0.02, **run).fun - best
    if name == "saga" and shuffle in ("once", False):
        # The same order in every epoch: slopes are all equally old, and what they correct comes late.
        assert -1e-14 < reduced < 1e-4
        return
    assert -1e-14 < reduced < 1e-9
    assert min(plain, constant) > 100 * max(reduced, 1e-14)
    halves = [st.minimize(loss, (X, y), method=name, **{**run, "epochs": e}).fun - best for e in (4, 8, 12)]
    assert halves[0] > 4 * halves[1] > 16 * halves[2], "by a factor per epoch"


@each_dtype
@pytest.mark.parametrize("layout", ["C", "F", "strided", "sparse"])
@each_method
def test_layouts_types_and_threads(name: str, layout: str, dtype: Any) -> None:
    X, y = st.data.logistic(12_000, 30, seed=5, dtype=dtype)
    strided = np.repeat(X, 2, axis=1)[:, ::2]
    laid = {"C": X, "F": np.asfortranarray(X), "strided": strided, "sparse": scipy.sparse.csr_array(X)}[layout]
    given: dict[str, Any] = {"method": name, "penalty": st.L2(1e-2), "batch_size": 512, "epochs": 12, "seed": 3}
    found = [st.minimize("log_loss", (laid, y), n_threads=threads, **given) for threads in (1, 3)]
    assert np.array_equal(found[0].x, found[1].x)
    best = st.minimize("log_loss", (X, y), method="trust-ncg", penalty=st.L2(1e-2), tol=1e-9)
    assert found[0].fun - best.fun < 2e-5
    assert found[0].x == pytest.approx(best.x, abs=2e-2)


@each_method
def test_whatever_is_read_beside_batches_changes_nothing(name: str) -> None:
    X, y, _ = problem("log_loss")
    given: dict[str, Any] = {"method": name, "penalty": st.L2(0.1), "batch_size": 5, "epochs": 6, "seed": 3}
    plain = st.minimize("log_loss", (X, y), **given)
    watched = st.minimize("log_loss", (X, y), history="exact", callback=lambda _: False, **given)
    assert np.array_equal(plain.x, watched.x)
    objective = st.Objective("log_loss", (X, y), st.L2(0.1))
    assert watched.history.objective[-1] == pytest.approx(objective.value(watched.x), rel=1e-14)
    assert watched.jac == pytest.approx(objective.gradient(watched.x), abs=1e-14)


@each_method
def test_rows_held_out(name: str) -> None:
    X, y, weight = problem("log_loss")
    held = np.arange(60) % 3 == 1
    given: dict[str, Any] = {"method": name, "penalty": st.L2(0.1), "batch_size": 5, "epochs": 6, "seed": 3}
    given |= {"shuffle": False, "step_size": 0.1}
    apart = st.minimize("log_loss", (X[~held], y[~held]), sample_weight=weight[~held], **given)
    held_out = st.minimize("log_loss", (X, y), sample_weight=weight, validation=np.flatnonzero(held), **given)
    assert held_out.x == pytest.approx(apart.x, rel=1e-12)


def test_other_losses() -> None:
    X, y, _ = problem("log_loss")

    @st.loss
    def traced(w: Any, x: Any, y: Any) -> Any:
        return st.softplus(-y * (x @ w))

    given: dict[str, Any] = {"batch_size": 5, "epochs": 5, "step_size": 0.1, "shuffle": "full", "seed": 7}
    ours = st.minimize(traced, (X, y), method="svrg", **given)
    theirs = st.minimize("log_loss", (X, y), method="svrg", **given)
    assert ours.x == pytest.approx(theirs.x, rel=1e-9)
    with pytest.raises(ValueError, match="only a linear model has: take svrg"):
        st.minimize(traced, (X, y), method="saga", **given)
    for name, loss in itertools.product(REDUCED, ("poisson", "hinge")):
        targets = np.abs(X[:, 0]) if loss == "poisson" else y
        result = st.minimize(loss, (X, targets), method=name, epochs=5, seed=1)
        assert result.fun < st.Objective(loss, (X, targets)).value(np.zeros(4))


@pytest.mark.parametrize("step_size", [None, 0.05])
def test_going_on_begins_anew(step_size: float | None) -> None:
    """As the docstring of x0 says: what other methods continue bit for bit, these take up again from x alone."""
    data = st.data.logistic(300, 4, seed=0)
    options: dict[str, Any] = {"penalty": st.L2(0.01), "step_size": step_size, "batch_size": 8, "tol": 0}
    told = " ".join((st.minimize.__doc__ or "").split())
    assert 'Not so "saga" and "svrg", which begin anew' in told
    for name in ("sgd", "saga", "svrg"):
        whole = st.minimize("log_loss", data, method=name, epochs=3, seed=1, **options)
        part = st.minimize("log_loss", data, method=name, epochs=2, seed=1, **options)
        rest = st.minimize("log_loss", data, method=name, epochs=1, x0=part, **options)
        assert np.array_equal(rest.x, whole.x) is (name == "sgd"), name
        assert (rest.epochs, rest.seed) == (whole.epochs, whole.seed)
