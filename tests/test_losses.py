"""Losses over the whole list: values and slopes against the formula, and what a loss says of itself (A1, A2)."""

import math
from typing import Any

import numpy as np
import pytest
import sklearn._loss.loss as peers
import sklearn.linear_model._sgd_fast as descending_peers
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays
from scipy.special import expit, logit

import members
import steepest as st
from members import Array, rows, size
from tolerances import DTYPES, tolerances

NAMES = st.losses.available("pointwise")
LOSSES = members.variants(st.losses, NAMES)
P5 = np.array([12.1, 12.8, 14.9, 16.3, 17.2])
Y5 = np.array([12.0, 13.0, 15.0, 16.0, 17.0])

each_loss = pytest.mark.parametrize("loss", LOSSES, ids=repr)
each_name = pytest.mark.parametrize("name", NAMES)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


@each_name
@pytest.mark.parametrize("check", members.MEMBER_CHECKS)
def test_member(check: Any, name: str) -> None:
    check(st.losses, name)


@pytest.mark.parametrize("check", members.LIST_CHECKS)
def test_list(check: Any) -> None:
    check(st.losses)


def test_the_losses_asked_for_are_there() -> None:
    asked = """squared_error mse absolute_error huber quantile epsilon_insensitive squared_epsilon_insensitive log_cosh
    log_loss hinge squared_hinge modified_huber perceptron exponential poisson gamma tweedie"""
    assert set(asked.split()) <= set(NAMES)


def test_mae_is_another_name_of_absolute_error() -> None:
    assert st.losses.MAE is st.losses.AbsoluteError
    assert st.losses.get("mae") == st.losses.get("MAE") == st.losses.AbsoluteError()
    assert "mae" not in NAMES
    with pytest.raises(ValueError, match=r"\bmae\b"):
        st.losses.get("maee")


@each_loss
@each_dtype
def test_values_are_the_formula(loss: Any, dtype: Any) -> None:
    y, z = rows(loss, dtype)
    values = loss.pointwise(y, z)
    assert values.dtype == dtype
    error = np.abs(values - members.evaluate(loss, y=y, z=z)) / size(loss, y, z)
    assert error.max() <= tolerances(dtype).formula, (y[error.argmax()], z[error.argmax()])


@each_loss
@each_dtype
def test_slopes_are_differences_of_the_formula(loss: Any, dtype: Any) -> None:
    y, z = rows(loss, dtype)
    away = members.from_the_kinks(loss, y, z) > 2e-3
    assert away.mean() > 0.5
    y, z = y[away], z[away]
    slopes = loss.gradient(y, z)
    assert slopes.dtype == dtype
    error = np.abs(slopes - members.slope(loss, y, z)) / size(loss, y, z)
    assert error.max() <= tolerances(dtype).differences, (y[error.argmax()], z[error.argmax()])


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss.convex], ids=repr)
@each_dtype
def test_slopes_at_kinks_are_subgradients(loss: Any, dtype: Any) -> None:
    y, z = rows(loss, dtype)
    close = members.from_the_kinks(loss, y, z) < tolerances(dtype).formula
    assert close.sum() > 10
    y, z = y[close], z[close]
    slopes, sizes = loss.gradient(y, z), size(loss, y, z)
    # A residual is rounded, and a row beside the kink may count as one behind it.
    nearest, h = tolerances(dtype).terms * sizes, members.Long(1e-3)
    left, below, above, right = (
        members.evaluate(loss, y=y, z=z + away) for away in (-nearest - h, -nearest, nearest, nearest + h)
    )
    room = tolerances(dtype).differences * sizes
    assert np.all((below - left) / h <= slopes + room)
    assert np.all(slopes <= (right - above) / h + room)


@given(some.data(), some.sampled_from(LOSSES), some.sampled_from(DTYPES), some.integers(1, 40))
def test_values_and_slopes_of_any_rows(data: Any, loss: Any, dtype: Any, n: int) -> None:
    width = 8 * dtype.itemsize
    within = {"real": (-8, 8), "non_negative": (0, 8), "positive": (0.03125, 8), "binary": (-1, 1)}[loss.target]
    y = data.draw(arrays(dtype, n, elements=some.floats(*within, width=width)))
    if loss.target == "binary":
        y = np.where(y > 0, 1, -1).astype(dtype)
        y[0], y[-1] = -1, 1
    z = data.draw(arrays(dtype, n, elements=some.floats(-8, 8, width=width)))
    room = tolerances(dtype).formula * size(loss, y, z)
    assert np.all(np.abs(loss.pointwise(y, z) - members.evaluate(loss, y=y, z=z)) <= room)
    # Convex: every row lies above its tangents, in both directions.
    further = z + data.draw(some.sampled_from([-3.0, -0.125, 0.25, 4.0]))
    rise = members.evaluate(loss, y=y, z=further) - members.evaluate(loss, y=y, z=z)
    sizes = room + tolerances(dtype).formula * size(loss, y, further)
    assert not loss.convex or np.all(rise - loss.gradient(y, z) * (further - z) >= -8 * sizes)


@pytest.mark.parametrize("theta", [11.0, 12.0, 14.66, 15.0, 19.5])
@pytest.mark.parametrize("data", [P5, Y5], ids=["p5", "y5"])
def test_a1_a2_mean_losses_of_a_constant_and_their_slopes(data: Array, theta: float) -> None:
    r = data - theta
    mse, mae = st.losses.MSE(), st.losses.MAE()
    assert mse(data, theta) == pytest.approx(np.mean(r**2), rel=1e-15)
    assert mse.gradient(data, theta).mean() == pytest.approx(-2 * np.mean(r), rel=1e-14)
    assert mae(data, theta) == pytest.approx(np.mean(np.abs(r)), rel=1e-15)
    assert mae.gradient(data, theta).mean() == pytest.approx(-np.mean(np.sign(r)), rel=1e-15)
    for delta in (0.5, 1.0, 2.0):
        huber = st.losses.Huber(delta)
        near = np.abs(r) <= delta
        exact = np.where(near, r**2 / 2, delta * (np.abs(r) - delta / 2))
        assert huber(data, theta) == pytest.approx(np.mean(exact), rel=1e-14)
        assert huber.gradient(data, theta).mean() == pytest.approx(-np.mean(np.clip(r, -delta, delta)), rel=1e-14)


def test_a1_a2_figures() -> None:
    assert st.losses.MSE().gradient(P5, 12.0).mean() == pytest.approx(-5.32, rel=1e-14)
    assert st.losses.MSE()(P5, 12.0) == pytest.approx(10.918, rel=1e-14)
    assert st.losses.MSE()(Y5, 14.6) == pytest.approx(3.44, rel=1e-14)
    assert st.losses.SquaredError()(Y5, 14.6) == pytest.approx(1.72, rel=1e-14)
    assert st.losses.MAE().gradient([3.0, 5.0], [3.0, 4.0]).tolist() == [0.0, -1.0]


@each_loss
@each_dtype
def test_extremes_are_finite_wherever_the_loss_is(loss: Any, dtype: Any) -> None:
    edge = {"binary": [-1.0, 1.0], "positive": [0.125, 7.0]}.get(loss.target, [0.0, 7.0])
    far = [1e3, -1e3, 1e4, -1e4, 40.0, -40.0, 100.0, -100.0, 200.0, -200.0]
    y, z = np.resize(np.array(edge, dtype=dtype), 2 * len(far)), np.repeat(np.array(far, dtype=dtype), 2)
    for found, exact in (
        (loss.pointwise(y, z), members.evaluate(loss, y=y, z=z)),
        (loss.gradient(y, z), members.slope(loss, y, z)),
    ):
        fits = np.abs(exact) < np.finfo(dtype).max
        assert fits.sum() >= len(far)
        assert np.isfinite(found[fits]).all(), (y[fits], z[fits], found[fits])
        # The exponent is rounded before exp: its error grows with its size.
        rounded = np.maximum((1 + np.abs(z[fits])) * tolerances(dtype).terms, 1e-7)
        assert np.all(np.abs(found[fits] - exact[fits]) <= rounded * (1 + np.abs(exact[fits])))
        assert np.all(found[~fits] == np.where(exact[~fits] > 0, math.inf, -math.inf))


@pytest.mark.parametrize("name", [name for name in NAMES if st.losses.get(name).link in ("identity", "logit")])
@each_dtype
def test_losses_that_grow_no_faster_than_squares_stay_finite(name: str, dtype: Any) -> None:
    loss = st.losses.get(name)
    y = np.array([-1, 1, -1, 1], dtype=dtype)
    for far in (1e3, 1e4):
        z = np.array([far, far, -far, -far], dtype=dtype)
        assert np.isfinite(loss.pointwise(y, z)).all()
        assert (np.abs(loss.gradient(y, z)) <= 2 * far + 4).all()


@each_loss
def test_float32_is_float64_rounded(loss: Any) -> None:
    y, z = rows(loss, np.float32)
    away = members.from_the_kinks(loss, y, z) > 1e-4
    y, z = y[away], z[away]
    room = tolerances(np.float32).formula * size(loss, y, z)
    for method in (loss.pointwise, loss.gradient):
        narrow, wide = method(y, z), method(y, z.astype(np.float64))
        assert (narrow.dtype, wide.dtype) == (np.float32, np.float64)
        assert np.all(np.abs(narrow - wide) <= room)


@each_name
@each_dtype
def test_any_number_of_rows_from_any_start(name: str, dtype: Any) -> None:
    loss = st.losses.get(name)
    lanes = st._core.vector_bytes() // dtype.itemsize
    most, offsets, untouched = 2 * lanes + 1, (0, 1, 2, lanes - 1), -77.125
    y, z = rows(loss, dtype, n=most)
    one_by_one = [loss.pointwise(y[i : i + 1], z[i : i + 1])[0] for i in range(most)]
    slopes_one_by_one = [loss.gradient(y[i : i + 1], z[i : i + 1])[0] for i in range(most)]
    rounding = tolerances(dtype).formula * size(loss, y, z)
    for n in range(most + 1):
        for start in offsets:
            held = [np.full(start + n + lanes, untouched, dtype) for _ in range(4)]
            inside = [array[start : start + n] for array in held]
            inside[0][:], inside[1][:] = y[:n], z[:n]
            st._core.pointwise(loss._index, loss._values, *inside)
            assert np.all(np.abs(inside[2] - one_by_one[:n]) <= rounding[:n])
            assert np.all(np.abs(inside[3] - slopes_one_by_one[:n]) <= rounding[:n])
            assert np.array_equal(inside[0], y[:n])
            assert np.array_equal(inside[1], z[:n])
            for array in held:
                assert np.all(np.delete(array, np.s_[start : start + n]) == untouched)


@each_loss
def test_smooth_means_without_kinks(loss: Any) -> None:
    y, z = rows(loss, np.float64)
    h = members.Long(1e-6)
    here, left, right = (members.evaluate(loss, y=y, z=z + step) for step in (0, -h, h))
    jumps = np.abs((right - here) - (here - left)) / h
    assert loss.smooth == bool(np.all(jumps < 1e-2 * size(loss, y, z)))


@each_loss
def test_curvature_is_the_least_bound(loss: Any) -> None:
    y, z = rows(loss, np.float64, n=4000)
    # A real loss is most curved near its target, a margin loss within a margin of 2.
    z[::2] = y[::2] + members.random(loss).uniform(-0.5, 0.5, 2000) if loss.target == "real" else z[::2] / 4
    h = 1e-3
    curved = np.abs(loss.gradient(y, z + h) - loss.gradient(y, z - h)) / (2 * h)
    if loss.curvature is None:
        further = loss.gradient(y, np.full(y.size, 30.0)) - loss.gradient(y, np.full(y.size, 29.0))
        back = loss.gradient(y, np.full(y.size, -29.0)) - loss.gradient(y, np.full(y.size, -30.0))
        assert not loss.smooth or max(further.max(), back.max()) > 50
    else:
        assert curved.max() <= loss.curvature * (1 + 1e-9)
        assert curved.max() >= loss.curvature * 0.98


@each_loss
def test_convex_means_below_its_chords(loss: Any) -> None:
    y, a = rows(loss, np.float64)
    b, t = a[::-1], np.linspace(0, 1, a.size)
    chord = t * loss.pointwise(y, a) + (1 - t) * loss.pointwise(y, b)
    above = loss.pointwise(y, t * a + (1 - t) * b) - chord
    assert loss.convex == bool(np.all(above <= 1e-12 * (size(loss, y, a) + size(loss, y, b))))


@each_loss
def test_the_link_leads_to_the_mean(loss: Any) -> None:
    share = np.array([0.03, 0.2, 0.5, 0.75, 0.99])
    if loss.link == "log":
        mean = np.array([0.1, 0.7, 1.0, 3.0, 40.0])
        assert loss.gradient(mean, np.log(mean)) == pytest.approx(np.zeros(5), abs=1e-12)
    elif loss.link in ("logit", "half_logit"):
        z = logit(share) / (2 if loss.link == "half_logit" else 1)
        positive, negative = loss.gradient(np.ones(5), z), loss.gradient(-np.ones(5), z)
        assert share * positive + (1 - share) * negative == pytest.approx(np.zeros(5), abs=1e-12)
    else:
        assert loss.link == "identity"
        if loss.target == "real":
            y = np.array([-3.0, 0.0, 2.5])
            assert (loss.pointwise(y, y) <= np.minimum(loss.pointwise(y, y - 0.01), loss.pointwise(y, y + 0.01))).all()
        else:
            assert loss.pointwise([1, 0], [4.0, -4.0]).tolist() == [0.0, 0.0]


PEERS = {
    "squared_error": peers.HalfSquaredError,
    "absolute_error": peers.AbsoluteError,
    "quantile": peers.PinballLoss,
    "huber": peers.HuberLoss,
    "poisson": peers.HalfPoissonLoss,
    "gamma": peers.HalfGammaLoss,
    "tweedie": peers.HalfTweedieLoss,
    "log_loss": peers.HalfBinomialLoss,
    "exponential": peers.ExponentialLoss,
}
DESCENDING_PEERS = {
    "hinge": lambda: descending_peers.Hinge(1.0),
    "perceptron": lambda: descending_peers.Hinge(0.0),
    "squared_hinge": lambda: descending_peers.SquaredHinge(1.0),
    "modified_huber": descending_peers.ModifiedHuber,
    "epsilon_insensitive": descending_peers.EpsilonInsensitive,
    "squared_epsilon_insensitive": descending_peers.SquaredEpsilonInsensitive,
}


@pytest.mark.parametrize("loss", members.variants(st.losses, PEERS), ids=repr)
def test_losses_agree_with_scikit_learn(loss: Any) -> None:
    peer = PEERS[loss.name](**loss.params)
    y, z = rows(loss, np.float64)
    room = tolerances(np.float64).formula * size(loss, y, z)
    its_y = (y + 1) / 2 if loss.target == "binary" else y
    values, slopes = peer.loss_gradient(its_y, z)
    # Half an absolute error is scikit-learn's slope at 0, where any number from -1 to 1 is right.
    away = members.from_the_kinks(loss, y, z) > 1e-9
    assert away.sum() > 200
    assert np.all(np.abs(loss.pointwise(y, z) - values) <= room)
    assert np.all(np.abs(loss.gradient(y, z) - slopes)[away] <= room[away])


@pytest.mark.parametrize("loss", members.variants(st.losses, DESCENDING_PEERS), ids=repr)
def test_losses_agree_with_scikit_learns_descent(loss: Any) -> None:
    peer = DESCENDING_PEERS[loss.name](**loss.params)
    y, z = rows(loss, np.float64)
    away = members.from_the_kinks(loss, y, z) > 1e-9
    room = tolerances(np.float64).formula * size(loss, y, z)
    values = np.array([peer.py_loss(y=a, p=b) for a, b in zip(y, z, strict=True)])
    slopes = np.array([peer.py_dloss(y=a, p=b) for a, b in zip(y, z, strict=True)])
    assert np.all(np.abs(loss.pointwise(y, z) - values) <= room)
    assert np.all(np.abs(loss.gradient(y, z) - slopes)[away] <= room[away])


@given(some.floats(0.05, 0.95), some.integers(1, 400))
def test_the_quantile_minimizes_the_quantile_loss(quantile: float, seed: int) -> None:
    y = np.random.default_rng(seed).normal(size=101)
    loss = st.losses.Quantile(quantile)
    best = min(y, key=lambda z: loss(y, z))
    assert np.mean(y < best) <= quantile + 1e-9
    assert np.mean(y <= best) >= quantile - 1e-9


@each_loss
def test_losses_that_cannot_be_negative_are_not(loss: Any) -> None:
    if loss.link == "log":
        assert members.evaluate(loss, y=[1.0], z=[1.0]).shape == (1,)
        return
    for dtype in DTYPES:
        y, z = rows(loss, dtype)
        assert (loss.pointwise(y, z) >= 0).all()
        close = np.concatenate([np.logspace(-30, 0, 400), -np.logspace(-30, 0, 400)]).astype(dtype)
        at = np.where(np.arange(800) % 2, 1, -1) if loss.target == "binary" else np.zeros(800)
        assert (loss.pointwise(at, close) >= 0).all()


def test_log_loss_is_the_cross_entropy_of_its_link() -> None:
    z = np.linspace(-30, 30, 121)
    share = expit(z)
    assert st.losses.LogLoss().pointwise(np.ones(121), z) == pytest.approx(-np.log(share), rel=1e-12)
    assert st.losses.LogLoss().gradient(np.ones(121), z) == pytest.approx(-expit(-z), rel=1e-13)
