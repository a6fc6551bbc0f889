"""Losses of K scores: what they refuse, and how."""

import itertools
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import steepest as st
from steepest.reference import descend
from test_row_losses import LABELLED, LOSSES, NAMES, each_name, problem, targets

BAD_LABELS: dict[str, tuple[Any, type[Exception], str]] = {
    "a single class": (["a"] * 6, ValueError, "takes two classes or more; y holds only 'a'"),
    "NaN": ([0.0, 1.0, np.nan, 2.0, 0.0, 1.0], ValueError, "y holds NaN, first in row 2"),
    "infinity": ([0.0, 1.0, 2.0, np.inf, 0.0, 1.0], ValueError, "y holds an infinity, first in row 3"),
    "None": (["a", "b", None, "a", "b", "c"], ValueError, "y holds None, first in row 2"),
    "None at last": ([0, 1, 2, 0, 1, None], ValueError, "y holds None, first in row 5"),
    "NaN among objects": (np.array(["a", np.nan, "b", "a", "b", "c"], dtype=object), ValueError, "y holds nan.*row 1"),
    "mixed": (np.array(["a", 1, "b", 2, "a", 1], dtype=object), TypeError, "cannot be sorted"),
    "continuous": (
        [0.0, 1.0, 2.5, 0.25, 0.0, 1.0],
        ValueError,
        "must not be continuous; row 2 of y holds 2.5: .*texts",
    ),
    "continuous objects": (
        np.array([0.0, 1.0, 2.0, 0.0, 1.0, np.float32(0.5)], dtype=object),
        ValueError,
        "must not be continuous; row 5 of y holds 0.5",
    ),
    "decimals": (
        np.array([Decimal(1), Decimal("0.5"), Decimal(2), Decimal(1), Decimal(2), Decimal(1)]),
        ValueError,
        "must not be continuous; row 1 of y holds 0.5",
    ),
    "infinite decimals": (np.array([Decimal("Infinity"), *map(Decimal, range(5))]), ValueError, "row 0 of y holds inf"),
    "fractions": (
        np.array([Fraction(0), Fraction(1), Fraction(2), Fraction(1, 4), Fraction(0), Fraction(1)]),
        ValueError,
        "must not be continuous; row 3 of y holds 0.25",
    ),
    "complex": ([1j, 2j, 3j, 1j, 2j, 3j], TypeError, "real numbers"),
    "two columns": (np.zeros((6, 2)), ValueError, "y must be 1-D, not 2-D"),
    "too few": ([0, 1, 2], ValueError, "X has 6 rows, y has 3"),
    "none": ([], ValueError, "y is empty"),
}


@pytest.mark.parametrize("what", BAD_LABELS)
@pytest.mark.parametrize("loss", LABELLED, ids=repr)
def test_bad_labels(loss: Any, what: str) -> None:
    y, error, message = BAD_LABELS[what]
    with pytest.raises(error, match=message):
        st.minimize(loss, (np.arange(12.0).reshape(6, 2), y))


@pytest.mark.parametrize("kind", [Decimal, Fraction])
def test_whole_numbers_of_any_kind_are_labels(kind: Any) -> None:
    X, y = np.arange(12.0).reshape(6, 2), [0, 1, 2, 10**30, 1, 0]
    result, expected = (
        st.minimize("softmax", (X, labels), epochs=3, seed=0, step_size=0.01, method="gd")
        for labels in (np.array([kind(label) for label in y]), np.array(["0", "1", "2", "3", "1", "0"]))
    )
    assert result.classes.tolist() == [0, 1, 2, 10**30]
    np.testing.assert_array_equal(result.x, expected.x)


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss.target != "labels"], ids=repr)
def test_bad_targets(loss: Any) -> None:
    X, y, _, _ = problem(loss, 6, 2, 3)
    cases: list[tuple[Any, type[Exception], str]] = [
        (y[:, 0], ValueError, f"y must be 2-D, not 1-D: {loss.name} takes K targets"),
        (y[:4], ValueError, "X has 6 rows, y has 4"),
        (np.zeros((6, 0)), ValueError, "y is empty"),
        (np.where(np.arange(18).reshape(6, 3) == 7, np.nan, y), ValueError, "y holds NaN, first in row 2"),
    ]
    if loss.target == "binary":
        cases += [(np.arange(18).reshape(6, 3) % 3, ValueError, "takes two classes; y holds 3")]
        cases += [(np.ones((6, 3)), ValueError, "takes two classes; y holds only")]
    else:
        cases += [(y.astype(str), TypeError, "real numbers")]
    for wrong, error, message in cases:
        with pytest.raises(error, match=message):
            st.minimize(loss, (X, wrong))


@each_name
def test_bad_scores(name: str) -> None:
    loss = st.losses.get(name)
    y, _ = targets(loss, 6, 3, np.random.default_rng(0))
    for z in (np.zeros(6), 0.0, np.zeros((6, 3, 1)), np.zeros((0, 3))):
        with pytest.raises(ValueError, match=r"must have shape \(n, K\)"):
            loss.pointwise(y, z)
    with pytest.raises(ValueError, match=r"raw_prediction has shape \(5, 3\), y \(6"):
        loss.pointwise(y, np.zeros((5, 3)))
    with pytest.raises(TypeError, match="real numbers"):
        loss(y, np.zeros((6, 3), dtype=complex))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("order", ["C", "F"])
@each_name
def test_rows_that_are_not_finite_are_named(name: str, order: Any, value: float) -> None:
    """Also where a loss would clip the scores away."""
    loss = st.losses.get(name)
    X, y, _, _ = problem(loss, 40, 3, 4)
    X[7, 1] = value
    X = np.asarray(X, order=order)
    for check, size in itertools.product((True, False), (1, 16, 40)):
        with pytest.raises(ValueError, match=r"X holds .*first in row 7, column 1"):
            st.minimize(
                loss, (X, y), x0=np.linspace(-1, 1, 12), check_finite=check, batch_size=size, step_size=0.1, epochs=1
            )


@pytest.mark.parametrize("name", [name for name in NAMES if st.losses.get(name).smooth])
def test_divergence_is_noticed(name: str) -> None:
    loss = st.losses.get(name)
    X, y, _, _ = problem(loss, 40, 3, 4)
    with pytest.warns(st.ConvergenceWarning):
        result = st.minimize(loss, (X * 1e3, y), step_size=1e9, epochs=50, method="gd", penalty=st.L2(1.0))
    assert result.status.name == "diverged"
    assert np.isfinite(result.x).all()


def test_the_reference_loop_takes_one_score_as_two() -> None:
    """Softmax of two classes is the log loss of the difference of their scores."""
    X, y, _, source = problem(st.losses.Softmax(), 80, 4, 2)
    signs = 2.0 * y - 1
    order = [source.permutation(80) for _ in range(3)]
    w = descend(st.losses.LogLoss().gradient, X, signs, np.zeros(4), order, 16, 0.2)
    both = st.minimize(
        "softmax", (X, y), method="sgd", batch_size=16, step_size=0.1, epochs=3, shuffle=lambda epoch: order[epoch]
    )
    np.testing.assert_allclose(both.coef[1] - both.coef[0], w, rtol=1e-10)
