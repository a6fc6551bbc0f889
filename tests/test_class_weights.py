"""Weights of classes: what they mean, and what they refuse."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import steepest as st
from members import random, vary

Array = NDArray[Any]
CLASSIFIERS = [
    name
    for name in st.losses.available()
    if st.losses.get(name).target == "labels"
    or (st.losses.get(name).target == "binary" and st.losses.get(name).kind != "scores")
]
OTHERS = [name for name in st.losses.available() if name not in CLASSIFIERS]


def problem(name: str, n: int = 150) -> tuple[Array, Array]:
    """Rows, and named classes of very different sizes."""
    source = random(name, n)
    X = source.normal(size=(n, 3))
    several = st.losses.get(name).target == "labels"
    places = np.digitize(X[:, 0] + 0.5 * source.normal(size=n), [0.6, 1.4] if several else [1.0])
    names = np.array(["ash", "birch", "cedar"])[places]
    assert np.bincount(places).min() >= 5
    vary(np.bincount(places))
    return X, names


def test_both_kinds_are_here() -> None:
    assert {"log_loss", "hinge", "softmax", "crammer_singer"} <= set(CLASSIFIERS)
    assert {"huber", "multi_log_loss", "multi_squared_error"} <= set(OTHERS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_weights_of_classes_are_weights_of_their_rows(name: str, dtype: Any) -> None:
    X, y = problem(name)
    weight = random(name, "weight").uniform(0.5, 2, size=len(X)).astype(dtype)
    given = {"ash": 0.25, "birch": 3, "cedar": np.float32(1.5)} if "cedar" in y else {"birch": 3}
    rows = weight * np.array([given.get(label, 1.0) for label in y], dtype=dtype)
    options: dict[str, Any] = {"method": "sgd", "epochs": 4, "batch_size": 16, "seed": 3, "fit_intercept": True}
    by_class = st.minimize(name, (X.astype(dtype), y), class_weight=given, sample_weight=weight, **options)
    by_row = st.minimize(name, (X.astype(dtype), y), sample_weight=rows, **options)
    np.testing.assert_array_equal(by_class.x, by_row.x)
    vary(by_class.x)
    assert by_class.fun == by_row.fun


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_balanced_is_what_scikit_learn_means(name: str) -> None:
    from sklearn.utils.class_weight import compute_class_weight

    X, y = problem(name)
    labels = np.unique(y)
    known = dict(zip(labels, compute_class_weight("balanced", classes=labels, y=y), strict=True))
    vary(np.array(list(known.values())))
    start = random(name, "start").normal(size=3 * (3 if "cedar" in y else 1))
    options: dict[str, Any] = {"method": "sgd", "epochs": 3, "seed": 3, "x0": start}
    balanced, by_label = (st.minimize(name, (X, y), class_weight=w, **options) for w in ("Balanced", known))
    np.testing.assert_allclose(balanced.x, by_label.x, rtol=1e-12)
    unweighted = st.minimize(name, (X, y), **options)
    assert not np.allclose(balanced.x, unweighted.x)


def test_balanced_counts_rows_by_their_weights() -> None:
    X, y = problem("log_loss")
    twice = np.where(np.arange(len(X)) < 40, 2.0, 1.0)
    repeated = np.repeat(np.arange(len(X)), twice.astype(int))
    weighted = st.minimize("log_loss", (X, y), class_weight="balanced", sample_weight=twice, tol=1e-10)
    rows_twice = st.minimize("log_loss", (X[repeated], y[repeated]), class_weight="balanced", tol=1e-10)
    assert weighted.fun == pytest.approx(rows_twice.fun, rel=1e-9)
    np.testing.assert_allclose(weighted.x, rows_twice.x, rtol=1e-4)


def test_balanced_looks_at_the_training_rows_only() -> None:
    X, y = problem("softmax")
    held = np.flatnonzero(np.arange(len(X)) % 3 == 0)
    others = np.setdiff1d(np.arange(len(X)), held)
    options: dict[str, Any] = {"class_weight": "balanced", "method": "sgd", "epochs": 3, "seed": 3, "batch_size": 16}
    inside = st.minimize("softmax", (X, y), validation=held, **options)
    apart = st.minimize("softmax", (X[others], y[others]), validation=(X[held], y[held]), **options)
    np.testing.assert_allclose(inside.x, apart.x, rtol=1e-9)
    np.testing.assert_allclose(inside.history.validation, apart.history.validation, rtol=1e-9)


def test_balanced_finds_the_rare_class() -> None:
    source = np.random.default_rng(0)
    y = np.arange(4000) % 20 == 0
    X = source.normal(size=(4000, 2)) + np.where(y, 1.5, 0.0)[:, None]
    found = [
        ((result.predict(X) > 0) & y).sum() / y.sum()
        for result in (st.minimize("log_loss", (X, y), fit_intercept=True, class_weight=w) for w in (None, "balanced"))
    ]
    assert found[0] < 0.6 < 0.8 < found[1]


def test_a_class_may_weigh_nothing() -> None:
    X, y = problem("softmax")
    without = y != "cedar"
    weighted = st.minimize("log_loss", (X[without], y[without]), fit_intercept=True)
    ignored = st.minimize("softmax", (X, y), class_weight={"cedar": 0}, fit_intercept=True, penalty=st.L2(1e-6))
    probability = ignored.predict(X[without])
    agree = (weighted.predict(X[without]) > 0) == (probability[:, 1] > probability[:, 0])
    assert agree.mean() > 0.95


@pytest.mark.parametrize(
    ("name", "y", "class_weight", "error", "complaint"),
    [
        ("log_loss", None, {"oak": 2.0}, ValueError, "label 'oak', which y does not hold; there are: 'ash'"),
        ("softmax", [3, 5, 8, 3], {4: 2.0}, ValueError, "label 4, .* there are: 3, 5, 8"),
        ("softmax", None, {"ash": -1.0}, ValueError, "'ash' must be finite .*, not -1.0"),
        ("softmax", None, {"ash": np.nan}, ValueError, "'ash' must be finite .*, not nan"),
        ("softmax", None, {"ash": "2"}, TypeError, "'ash' must be a number, not '2'"),
        ("log_loss", None, {"ash": 0, "birch": 0}, ValueError, "class_weight is zero for every class"),
        ("log_loss", None, "even", TypeError, 'must be "balanced" or a dictionary'),
        ("log_loss", None, [1.0, 2.0], TypeError, 'must be "balanced" or a dictionary'),
        ("log_loss", ["a", "a", "a"], "balanced", ValueError, "takes two classes; y holds only 'a'"),
        ("softmax", ["a", "a", "a"], "balanced", ValueError, "two classes or more; y holds only 'a'"),
        ("log_loss", ["a", None, "b"], None, ValueError, "y holds None, first in row 1; every row needs a label"),
        ("softmax", ["a", "b", None], None, ValueError, "y holds None, first in row 2; every row needs a label"),
        ("log_loss", np.array(["a", np.nan, "b"], dtype=object), None, ValueError, "y holds nan, first in row 1"),
        ("log_loss", np.array(["a", "b", pd.NA], dtype=object), None, ValueError, "y holds <NA>, first in row 2"),
        ("softmax", np.array(["a", pd.NA, "b"], dtype=object), None, ValueError, "y holds <NA>, first in row 1"),
        ("softmax", np.array(["2020", "NaT"], dtype="M8[D]"), None, ValueError, "y holds NaT, first in row 1"),
        ("log_loss", [1.0, np.nan, 0.0], None, ValueError, "y holds NaN, first in row 1"),
        ("softmax", [1.0, 0.0, np.nan], None, ValueError, "y holds NaN, first in row 2"),
    ],
)  # fmt: skip
def test_bad_input(name: str, y: Any, class_weight: Any, error: type[Exception], complaint: str) -> None:
    X, names = problem(name)
    labels = names if y is None else np.asarray(y)
    with pytest.raises(error, match=complaint):
        st.minimize(name, (X[: len(labels)], labels), epochs=2, class_weight=class_weight)


@pytest.mark.parametrize("name", OTHERS)
def test_losses_without_classes_refuse(name: str) -> None:
    loss = st.losses.get(name)
    source = random(name)
    y = np.where(source.permutation(40) % 2, 1.0, -1.0) if loss.target == "binary" else source.gamma(2.0, size=40)
    with pytest.raises(ValueError, match="class_weight goes with one label per row"):
        st.minimize(
            loss, (np.ones((20, 2)), y.reshape(20, 2) if loss.kind == "scores" else y[:20]), class_weight="balanced"
        )


def test_weights_and_classes_that_cancel() -> None:
    X, y = problem("softmax")
    with pytest.raises(ValueError, match="sample_weight is zero in every row of class 'birch'"):
        st.minimize("softmax", (X, y), class_weight="balanced", sample_weight=(y != "birch").astype(float))
    with pytest.raises(ValueError, match="class_weight times sample_weight is zero in every row"):
        st.minimize("softmax", (X, y), class_weight={"ash": 0, "birch": 0}, sample_weight=(y != "cedar").astype(float))
    with pytest.raises(ValueError, match="sample_weight must not be negative"):
        st.minimize("softmax", (X, y), class_weight="balanced", sample_weight=-np.ones(len(X)))


def test_losses_outside_refuse() -> None:
    @st.loss
    def squares(w: Any, x: Any, y: Any) -> Any:
        return (x @ w - y) ** 2

    for loss in (squares, (lambda theta, batch: 0.0, lambda theta, batch: np.zeros(3))):
        with pytest.raises(ValueError, match="class_weight goes with losses that know classes"):
            st.minimize(loss, (np.ones((5, 3)), np.arange(5.0)), class_weight="balanced", x0=np.zeros(3))
