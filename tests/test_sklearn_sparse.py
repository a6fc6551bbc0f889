"""The linear estimators on sparse rows: what will not do is refused as if it had been looked for first."""

from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import SGDClassifier as TheirClassifier

from steepest.sklearn import SGDClassifier, SGDRegressor

N, D = 300, 40
BROKEN = {"NaN": np.nan, "infinity": np.inf, "minus infinity": -np.inf}
# One plain descent, which looks on the way; all others look first.
WAYS: dict[str, dict[str, Any]] = {
    "single rows": {},
    "single rows, L1": {"penalty": "l1"},
    "batches": {"batch_size": 32},
    "batches, L1": {"batch_size": 32, "penalty": "l1"},
    "whole": {"batch_size": N},
    "average": {"average": True},
    "another rule": {"optimizer": "adam", "batch_size": 32},
    "early stopping": {"early_stopping": True},
}


def make(kind: str = "csr", index: str = "int32", classes: int = 2) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    X = sparse.random_array((N, D), density=0.2, rng=rng, format="csr")
    y = rng.integers(0, classes, N)
    if kind == "dense":
        return X.toarray(), y
    X.indices, X.indptr = X.indices.astype(index), X.indptr.astype(index)
    return X, y


def model(way: str, kind: Any = SGDClassifier) -> Any:
    return kind(**WAYS[way], max_iter=3, tol=None, random_state=0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("number", BROKEN)
@pytest.mark.parametrize("kind", ["dense", "csr"])
@pytest.mark.parametrize("place", [0, 1, -1])
def test_numbers_that_are_not_finite_are_refused_in_scikit_learns_words(
    way: str, number: str, kind: str, place: int
) -> None:
    X, y = make(kind)
    (X.data if kind == "csr" else X.reshape(-1))[place] = BROKEN[number]
    with pytest.raises(ValueError, match="contains") as theirs:
        TheirClassifier().fit(X, y)
    with pytest.raises(ValueError, match="contains") as ours:
        model(way).fit(X, y)
    assert str(ours.value) == str(theirs.value)
    assert ours.value.__cause__ is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("column", [D, -1, "largest", "smallest"])
@pytest.mark.parametrize("kind", [SGDClassifier, SGDRegressor])
def test_columns_out_of_range_are_refused_with_their_row(way: str, index: str, column: Any, kind: Any) -> None:
    X, y = make(index=index)
    limits = np.iinfo(index)
    wrong = {"largest": limits.max, "smallest": limits.min}.get(column, column)
    row = 217
    X.indices[X.indptr[row]] = wrong
    # Not even a number that weighs nothing hides it.
    X.data[X.indptr[row]] = 0.0
    with pytest.raises(ValueError, match=rf"X\.indices holds column {wrong} in row {row}; columns are 0 to {D - 1}"):
        model(way, kind).fit(X, y)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("strategy", ["ovr", "softmax"])
def test_rows_are_refused_whatever_the_classes(way: str, strategy: str) -> None:
    X, y = make(classes=4)
    X.data[-1] = np.nan
    several = model(way).set_params(multi_class=strategy, loss="log_loss")
    with pytest.raises(ValueError, match="Input X contains NaN"):
        several.fit(X, y)
    X, y = make(classes=4)
    X.indices[-1] = D
    with pytest.raises(ValueError, match=rf"holds column {D} in row {N - 1}"):
        several.fit(X, y)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "early stopping"])
@pytest.mark.parametrize("kind", ["dense", "csr"])
def test_refused_rows_leave_the_model_as_it_was(way: str, kind: str) -> None:
    X, y = make(kind)
    fitted = model(way).fit(X, y)
    before = vars(fitted).copy()
    coef = fitted.coef_.copy()
    (X.data if kind == "csr" else X.reshape(-1))[-1] = np.inf
    for again in (lambda: fitted.fit(X, y + 5), lambda: fitted.partial_fit(X, y)):
        with pytest.raises(ValueError, match="infinity"):
            again()
        assert vars(fitted) == before
        np.testing.assert_array_equal(fitted.coef_, coef)
    fresh = model(way)
    with pytest.raises(ValueError, match="infinity"):
        fresh.fit(X, y)
    assert not hasattr(fresh, "coef_")
    assert not hasattr(fresh, "classes_")


def test_numbers_that_belong_to_no_row_are_looked_at_as_well() -> None:
    X, y = make()
    X.data, X.indices = np.append(X.data, np.nan), np.append(X.indices, 0).astype(np.int32)
    with pytest.raises(ValueError, match="contains NaN") as theirs:
        TheirClassifier().fit(X, y)
    with pytest.raises(ValueError, match="contains NaN") as ours:
        SGDClassifier().fit(X, y)
    assert str(ours.value) == str(theirs.value)


def test_an_overflow_of_sound_rows_is_none_of_their_faults() -> None:
    X, y = make()
    with pytest.raises(ValueError, match="Floating-point under-/overflow"):
        SGDRegressor(learning_rate="constant", eta0=1e200, max_iter=3, tol=None).fit(X * 1e200, y)


@pytest.mark.parametrize("way", ["single rows", "single rows, L1", "batches", "batches, L1"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("loss", ["log_loss", "hinge", "squared_error"])
@pytest.mark.parametrize("alpha", [1e-4, 0.3])
def test_columns_in_any_order_and_more_than_once_are_those_of_dense_rows(
    way: str, dtype: Any, index: str, loss: str, alpha: float
) -> None:
    rng = np.random.default_rng(1)
    # Rows of no entry and rows longer than any register, columns met several times in a row.
    counts = rng.integers(0, 90, N)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(index)
    X = sparse.csr_array((N, D), dtype=dtype)
    X.data, X.indptr = rng.normal(size=indptr[-1]).astype(dtype), indptr
    X.indices = rng.integers(0, D, indptr[-1]).astype(index)
    y = rng.integers(0, 2, N)
    weight = rng.random(N)
    options: dict[str, Any] = {"loss": loss, "alpha": alpha, "max_iter": 4, "tol": None, "shuffle": False}
    options |= {"learning_rate": "constant", "eta0": 0.01}
    # Sparse rows hold the intercept's step back, which dense ones do not.
    options |= {"fit_intercept": False}
    ours = SGDClassifier(**options, **WAYS[way]).fit(X, y, sample_weight=weight)
    dense = SGDClassifier(**options, **WAYS[way]).fit(X.toarray(), y, sample_weight=weight)
    tolerance = 1e-12 if dtype == np.float64 else 2e-5
    np.testing.assert_allclose(ours.coef_, dense.coef_, rtol=0, atol=tolerance * max(1, np.abs(dense.coef_).max()))


def test_the_running_objective_of_single_sparse_rows_is_that_of_dense_ones(capsys: pytest.CaptureFixture[str]) -> None:
    # Strong enough for the scale that coefficients share to be folded in again and again.
    X, y = make()
    told = []
    for rows in (X, X.toarray()):
        SGDClassifier(
            loss="log_loss", alpha=5.0, learning_rate="constant", eta0=0.1, fit_intercept=False, shuffle=False,
            max_iter=3, tol=None, verbose=1,
        ).fit(rows, y)  # fmt: skip
        told.append([line.rsplit(",", 1)[0] for line in capsys.readouterr().out.splitlines()])
    assert told[0] == told[1]
    assert len(told[0]) == 3


def test_labels_that_are_signs_already_are_left_alone() -> None:
    X, y = make()
    signs = np.where(y > 0, 1.0, -1.0)
    signs.flags.writeable = False
    same = SGDClassifier(random_state=0).fit(X, signs)
    np.testing.assert_array_equal(same.coef_, SGDClassifier(random_state=0).fit(X, y).coef_)
