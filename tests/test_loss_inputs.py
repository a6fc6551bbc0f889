"""What losses take and refuse: labels, domains, weights, arrays of every kind, places for the result."""

import inspect
import math
from typing import Any

import numpy as np
import pytest

import members
import steepest as st
from members import rows
from tolerances import DTYPES, tolerances

NAMES = st.losses.available("pointwise")
BINARY = [name for name in NAMES if st.losses.get(name).target == "binary"]

each_name = pytest.mark.parametrize("name", NAMES)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


@each_name
@each_dtype
def test_a_prediction_that_is_no_number_is_no_good_fit(name: str, dtype: Any) -> None:
    loss = st.losses.get(name)
    lanes = st._core.vector_bytes() // dtype.itemsize
    y = members.targets(loss, 2 * lanes + 3, members.random(name)).astype(dtype)
    for row in (1, y.size - 1):
        z = np.full(y.size, 0.5, dtype)
        z[row] = np.nan
        for result in (loss.pointwise(y, z), loss.gradient(y, z)):
            assert np.isnan(result[row])
            assert np.isfinite(np.delete(result, row)).all()


@each_name
@each_dtype
def test_out_takes_the_result_and_nothing_else(name: str, dtype: Any) -> None:
    loss = st.losses.get(name)
    y, z = rows(loss, dtype, n=37)
    weight = np.linspace(0.5, 2.0, 37)
    for method in (loss.pointwise, loss.gradient):
        held = np.full(41, -77.125, dtype)
        returned = method(y, z, weight, out=held[1:38])
        assert returned.base is held or returned is held
        assert np.array_equal(held[1:38], method(y, z, weight))
        assert (held[[0, 38, 39, 40]] == -77.125).all()
        spread = np.full(2 * 37, -77.125)
        method(y, z, out=spread[::2])
        assert np.array_equal(spread[::2], method(y, z).astype(np.float64))
        assert (spread[1::2] == -77.125).all()
        over = z.copy()
        assert np.array_equal(method(y, over, out=over), method(y, z))
    mean = np.zeros(())
    assert loss(y, z, out=mean) is mean
    assert mean == loss(y, z)


@each_name
def test_out_that_cannot_take_the_result(name: str) -> None:
    loss = st.losses.get(name)
    y, z = rows(loss, np.float64, n=12)
    locked = np.zeros(12)
    locked.setflags(write=False)
    for method in (loss.pointwise, loss.gradient):
        for wrong in (np.zeros(11), np.zeros((12, 1)), np.zeros(())):
            with pytest.raises(ValueError, match=r"out.*\(12,\)"):
                method(y, z, out=wrong)
        with pytest.raises(ValueError, match="read-only"):
            method(y, z, out=locked)
        for wrong in (np.zeros(12, dtype=np.int64), [0.0] * 12):
            with pytest.raises(TypeError, match="out"):
                method(y, z, out=wrong)
    assert not locked.any()


@each_name
@each_dtype
def test_weights_multiply_rows_and_make_a_weighted_mean(name: str, dtype: Any) -> None:
    loss = st.losses.get(name)
    y, z = rows(loss, dtype, n=50)
    weight = members.random(name).uniform(0, 3, size=50)
    weight[::7] = 0
    members.vary(weight)
    plain = loss.pointwise(y, z)
    eps = tolerances(dtype).eps
    assert loss.pointwise(y, z, weight) == pytest.approx(plain * weight, rel=2 * eps)
    assert loss.gradient(y, z, weight) == pytest.approx(loss.gradient(y, z) * weight, rel=2 * eps)
    sizes = float(np.abs(plain).max())
    assert loss(y, z) == pytest.approx(float(np.mean(plain.astype(np.float64))), abs=20 * eps * sizes)
    expected = float(np.sum(plain * weight) / np.sum(weight))
    assert loss(y, z, weight) == pytest.approx(expected, abs=20 * eps * sizes)
    assert loss(y, z, sample_weight=np.ones(50)) == pytest.approx(loss(y, z), abs=20 * eps * sizes)
    assert isinstance(loss(y, z), float)


@each_name
@pytest.mark.parametrize(
    ("weight", "complaint"),
    [
        ([1.0, -2.0, 1.0], r"negative.*row 1"),
        ([1.0, 1.0, math.nan], r"NaN.*row 2"),
        ([math.inf, 1.0, 1.0], r"infinity.*row 0"),
        ([1.0, 1.0], r"\(3,\)"),
        ([[1.0, 1.0, 1.0]], r"\(3,\)"),
        ([0.0, 0.0, 0.0], r"zero"),
    ],
)
def test_weights_that_are_none(name: str, weight: Any, complaint: str) -> None:
    loss = st.losses.get(name)
    y = [1, 0, 1]
    if loss.target == "positive":
        y = [1, 2, 3]
    with pytest.raises(ValueError, match=rf"sample_weight.*{complaint}"):
        loss(y, [0.5, 1.0, 2.0], weight)
    if "zero" not in complaint:
        for method in (loss.pointwise, loss.gradient):
            with pytest.raises(ValueError, match=rf"sample_weight.*{complaint}"):
                method(y, [0.5, 1.0, 2.0], weight)


@each_name
def test_predictions_of_the_wrong_kind(name: str) -> None:
    loss = st.losses.get(name)
    y = [1, 2, 1]
    for method in (loss, loss.pointwise, loss.gradient):
        for wrong in ([0.5, 1.0], [0.5] * 4, [[0.5, 1.0, 2.0]], []):
            with pytest.raises(ValueError, match="raw_prediction"):
                method(y, wrong)
        for nonsense in (["a", "b", "c"], ["1", "2", "3"], [1j, 0.5, 0.5], [None, 0.5, 0.5]):
            with pytest.raises(TypeError, match="raw_prediction"):
                method(y, nonsense)


@each_name
def test_targets_of_the_wrong_kind(name: str) -> None:
    loss = st.losses.get(name)
    z = [0.5, 1.0, 2.0]
    for method in (loss, loss.pointwise, loss.gradient):
        with pytest.raises(ValueError, match=r"y .*empty"):
            method([], [])
        with pytest.raises(ValueError, match=r"y .*1-D"):
            method([[1, 2, 1]], z)
        with pytest.raises(ValueError, match=r"y .*NaN.*row 1"):
            method([1.0, math.nan, 2.0], z)
        with pytest.raises(ValueError, match=r"y .*infinity.*row 2"):
            method([1.0, 2.0, math.inf], z)
        with pytest.raises(TypeError, match="y "):
            method([1j, 2, 1], z)
        if loss.target != "binary":
            for nonsense in (["a", "b", "a"], ["1", "2", "1"], [None, 1.0, 2.0]):
                with pytest.raises(TypeError, match="y "):
                    method(nonsense, z)


@each_name
def test_targets_outside_the_domain_are_named(name: str) -> None:
    loss = st.losses.get(name)
    wrong = {"non_negative": [-2.5], "positive": [-2.5, 0.0], "real": [], "binary": []}[loss.target]
    words = {"non_negative": "zero or positive", "positive": "positive"}
    for value in wrong:
        y = np.array([1.0, 2.0, 0.5, value, value])
        for method in (loss, loss.pointwise, loss.gradient):
            with pytest.raises(ValueError, match=f"{name} must be {words[loss.target]}; row 3 holds {value:g}"):
                method(y, 0.25)
    if loss.target == "non_negative":
        assert loss.pointwise([0.0, -0.0], 0.25).shape == (2,)


LABELS = {
    "strings": (["no", "yes"], str),
    "objects": (["no", "yes"], object),
    "bytes": ([b"a", b"b"], bytes),
    "bools": ([False, True], bool),
    "zero and one": ([0, 1], int),
    "ints": ([-5, -2], np.int16),
    "unsigned": ([0, 255], np.uint8),
    "halves": ([0.25, 0.5], np.float16),
    "floats": ([0.25, 0.5], np.float32),
    "foreign floats": ([-0.25, 0.5], ">f8"),
    "long doubles": ([-1.0, 1.0], np.longdouble),
    "large ints": ([2**53, 2**53 + 1], np.int64),
}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("name", BINARY)
def test_the_larger_of_two_labels_is_the_positive_one(name: str, kind: str) -> None:
    loss = st.losses.get(name)
    pair, dtype = LABELS[kind]
    signs = members.targets(loss, 41, members.random(name, kind))
    z = members.random(kind).normal(size=41)
    members.vary(signs, z)
    y = np.array(pair, dtype=dtype)[(signs > 0).astype(int)]
    for labels in (y, y.tolist(), y[::-1][::-1]):
        assert np.array_equal(loss.pointwise(labels, z), loss.pointwise(signs, z))
        assert np.array_equal(loss.gradient(labels, z), loss.gradient(signs, z))
        assert loss(labels, z) == loss(signs, z)


@pytest.mark.parametrize("name", BINARY)
def test_a_single_label_is_known_where_it_can_be(name: str) -> None:
    loss = st.losses.get(name)
    for labels, sign in (([1, 1], 1), ([0, 0], -1), ([-1, -1], -1), ([True], 1), ([False], -1), ([1.0], 1), (1, 1)):
        z = np.linspace(-0.75, 0.5, np.size(labels))
        exact = members.evaluate(loss, y=np.full(z.size, sign), z=z).astype(np.float64)
        assert loss.pointwise(labels, z) == pytest.approx(exact, rel=1e-14, abs=1e-16)
    for labels in (["yes", "yes"], [2, 2], [-7.5]):
        with pytest.raises(ValueError, match=rf"{name} takes two classes.*only {labels[0]!r}"):
            loss.pointwise(labels, 0.5)


@pytest.mark.parametrize("name", BINARY)
def test_more_than_two_labels(name: str) -> None:
    loss = st.losses.get(name)
    for labels in ([0, 1, 2], [-1.0, 0.0, 1.0], ["a", "b", "c"], np.array([3, 1, 2], dtype=np.uint8)):
        with pytest.raises(ValueError, match=rf"{name} takes two classes.*3: ") as caught:
            loss.pointwise(labels, 0.5)
        assert all(repr(label) in str(caught.value) for label in np.array(labels).tolist())
    with pytest.raises(ValueError, match="takes two classes"):
        loss.pointwise(np.arange(1000) % 700, 0.5)
    with pytest.raises(TypeError, match="labels in y"):
        loss.pointwise(np.array(["a", 1], dtype=object), 0.5)
    for missing in (["a", None], [1.0, None], ["a", np.nan]):
        with pytest.raises(ValueError, match=f"y holds {missing[1]}, first in row 1"):
            loss.pointwise(np.array(missing, dtype=object), 0.5)


@each_name
def test_inputs_of_any_kind_and_never_written(name: str) -> None:
    loss = st.losses.get(name)
    y, z = rows(loss, np.float64, n=24)
    y, z = np.round(y), np.round(z, 3)
    if loss.target == "positive":
        y += 1
    before = y.copy(), z.copy()
    plain, slopes = loss.pointwise(y, z), loss.gradient(y, z)
    for array in (y, z):
        array.setflags(write=False)
    packed = np.zeros(24, dtype=[("flag", "u1"), ("y", "f8"), ("z", "f8")])
    packed["y"], packed["z"] = y, z
    turned = y[::-1].copy(), z[::-1].copy()
    for these_y, these_z in (
        (y, z),
        (y.tolist(), z.tolist()),
        (packed["y"], packed["z"]),
        (turned[0][::-1], turned[1][::-1]),
        (np.repeat(y, 3)[::3], np.repeat(z, 3)[::3]),
        (y.astype(">f8"), z.astype(">f8")),
        (
            np.frombuffer(b"." + y.tobytes(), np.float64, offset=1),
            np.frombuffer(b"." + z.tobytes(), np.float64, offset=1),
        ),
        (y.astype(np.int8), z),
        (y.astype(np.float16), z),
        (y.astype(np.float32), z),
    ):
        assert np.array_equal(loss.pointwise(these_y, these_z), plain)
        assert np.array_equal(loss.gradient(these_y, these_z), slopes)
    assert np.array_equal(loss.pointwise(y, 0.5), loss.pointwise(y, np.full(24, 0.5)))
    assert np.array_equal(y, before[0])
    assert np.array_equal(z, before[1])


def test_signatures_keep_one_order_of_arguments() -> None:
    for name in NAMES:
        loss = st.losses.get(name)
        for method in (loss.__call__, loss.pointwise, loss.gradient):
            assert list(inspect.signature(method).parameters) == ["y", "raw_prediction", "sample_weight", "out"]


@pytest.mark.parametrize("missing", [None, math.nan])
@pytest.mark.parametrize("loss", ["log_loss", "softmax"])
def test_missing_labels_among_texts(loss: str, missing: Any) -> None:
    """NumPy makes texts of a list of texts and NaN: a class "nan" that nobody meant."""
    labels = ["yes", "no", "yes", "no", "yes"]
    assert np.asarray([*labels, math.nan]).dtype.kind == "U"
    X = np.random.default_rng(0).normal(size=(6, 2))
    assert st.minimize(loss, (X, [*labels, "no"]), epochs=2, method="sgd").classes.tolist() == ["no", "yes"]
    for given in ([*labels, missing], (*labels, missing)):
        with pytest.raises(ValueError, match="first in row 5; every row needs a label"):
            st.minimize(loss, (X, given))
        with pytest.raises(ValueError, match=r"y of validation holds .*first in row 5; every row needs a label"):
            st.minimize(loss, (X, [*labels, "no"]), validation=(X, given))
    with pytest.raises(TypeError, match=r"mix types .*row 0 holds 'yes', row 5 3; make them one, such as \[str"):
        st.minimize(loss, (X, [*labels, 3]))
    with pytest.raises(TypeError, match=r"row 0 holds 'yes', row 2 3; .*of the 3 rows given by rows="):
        st.minimize(loss, (X, np.array([*labels, 3], dtype=object)), rows=[0, 1, 5])
    mended = st.minimize(loss, (X, [str(label) for label in ["1", 1, 2, "2", 1, 2]]), epochs=2, method="sgd")
    assert mended.classes.tolist() == ["1", "2"]
