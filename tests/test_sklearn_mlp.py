"""Networks beside scikit-learn's: the same start, updates and end where the order of the rows is the same."""

import pickle
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network as theirs
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import steepest as st
from steepest.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
Array = NDArray[Any]
PAIRS = {"classifier": (MLPClassifier, theirs.MLPClassifier), "regressor": (MLPRegressor, theirs.MLPRegressor)}


def data(kind: str, seed: int = 0, n: int = 120) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    z = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2]
    targets: dict[str, Any] = {
        "classifier": np.where(z > 0, "yes", "no"),
        "three": np.digitize(z, [-0.5, 0.5]),
        "several labels": np.column_stack([z > 0, X[:, 0] > 0]).astype(int),
        "regressor": z,
        "several": np.column_stack([z, X[:, 1]]),
    }
    return X, targets[kind]


def pair(kind: str, **options: Any) -> tuple[Any, Any]:
    ours, original = PAIRS["regressor" if kind in ("regressor", "several") else "classifier"]
    common: dict[str, Any] = {"hidden_layer_sizes": (8, 5), "max_iter": 15, "random_state": 0, "shuffle": False}
    return ours(**{**common, **options}), original(**{**common, **options})


def same(ours: Any, original: Any, atol: float) -> None:
    assert ours.n_iter_ == original.n_iter_
    assert ours.t_ == original.t_
    for a, b in zip(ours.coefs_ + ours.intercepts_, original.coefs_ + original.intercepts_, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, atol=atol)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("kind", ["classifier", "three", "several labels", "regressor", "several"])
def test_updates_are_those_of_scikit_learn(kind: str, activation: str) -> None:
    X, y = data(kind)
    steps: dict[str, Any] = {"activation": activation, "batch_size": 40, "alpha": 0.1}
    for options, atol in (({"solver": "sgd", "learning_rate_init": 0.1}, 1e-9), ({"solver": "adam"}, 1e-4)):
        ours, original = pair(kind, **steps, **options)
        same(ours.fit(X, y), original.fit(X, y), atol)
        assert ours.score(X, y) == pytest.approx(original.score(X, y), abs=1e-3)
        barely = clone(ours).set_params(max_iter=1).fit(X, y)
        assert np.abs(ours.coefs_[0] - barely.coefs_[0]).max() > 1e-3


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": "adaptive", "momentum": 0.0, "tol": 1e-2, "n_iter_no_change": 2},
        {"learning_rate": "invscaling", "momentum": 0.0},
        {"nesterovs_momentum": False},
        {"early_stopping": True, "n_iter_no_change": 3, "batch_size": 36},
        {"tol": 0.05, "n_iter_no_change": 2},
        {"alpha": 0.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_options_mean_what_they_mean_there(kind: str, options: dict[str, Any]) -> None:
    X, y = data(kind)
    common: dict[str, Any] = {"solver": "sgd", "learning_rate_init": 0.1, "batch_size": 20, "max_iter": 30}
    ours, original = pair(kind, **{**common, **options})
    same(ours.fit(X, y), original.fit(X, y), 1e-9)
    assert ours.best_validation_score_ == pytest.approx(original.best_validation_score_)
    assert len(ours.loss_curve_) == ours.n_iter_


@pytest.mark.parametrize("kind", ["three", "regressor"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_partial_fits_go_on(kind: str, solver: str) -> None:
    X, y = data(kind)
    ours, original = pair(kind, solver=solver, learning_rate_init=0.01, batch_size=120, activation="tanh")
    extra = {"classes": [0, 1, 2]} if kind == "three" else {}
    for _ in range(5):
        for model in (ours, original):
            model.partial_fit(X, y, **extra)
    for a, b in zip(ours.coefs_, original.coefs_, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)
    again = pickle.loads(pickle.dumps(ours)).partial_fit(X, y)
    np.testing.assert_allclose(again.coefs_[0], ours.partial_fit(X, y).coefs_[0])


def test_warm_starts_go_on_from_the_last_parameters() -> None:
    X, y = data("regressor")
    model = MLPRegressor(hidden_layer_sizes=(8,), max_iter=20, warm_start=True, random_state=0, learning_rate_init=0.01)
    first = model.fit(X, y).loss_
    assert model.fit(X, y).loss_ < first
    assert len(model.loss_curve_) == 40


def test_quasi_newton_goes_lower_than_adam() -> None:
    X, y = data("regressor")
    ours, _ = pair("regressor", solver="lbfgs", max_iter=30, alpha=0.1, activation="tanh")
    adam = clone(ours).set_params(solver="adam").fit(X, y)
    assert ours.fit(X, y).loss_ < 0.5 * adam.loss_
    with pytest.raises(AttributeError, match="partial_fit"):
        ours.partial_fit(X, y)


def test_counts_are_predicted_by_exponentials() -> None:
    X, z = data("regressor", n=400)
    y = np.random.default_rng(0).poisson(np.exp(z)).astype(float)
    model = MLPRegressor("poisson", (16,), max_iter=60, learning_rate_init=0.01, random_state=0).fit(X, y)
    assert model.predict(X).min() > 0
    assert np.corrcoef(model.predict(X), y)[0, 1] > 0.5


@pytest.mark.parametrize("kind", ["classifier", "three", "several labels"])
def test_probabilities_fit_the_predictions(kind: str) -> None:
    X, y = data(kind)
    model = MLPClassifier((8,), max_iter=40, learning_rate_init=0.03, random_state=0).fit(X, y)
    probabilities = model.predict_proba(X)
    if kind == "several labels":
        np.testing.assert_array_equal(probabilities > 0.5, model.predict(X) == 1)
    else:
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)
        np.testing.assert_array_equal(model.classes_[probabilities.argmax(axis=1)], model.predict(X))
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), probabilities)
    assert model.score(X, y) > 0.6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_networks_keep_the_dtype_of_the_rows(dtype: Any) -> None:
    X, y = data("regressor")
    model = MLPRegressor(hidden_layer_sizes=(4,), max_iter=3).fit(X.astype(dtype), y)
    assert {array.dtype for array in (*model.coefs_, *model.intercepts_)} == {np.dtype(dtype)}


def test_ctrl_c_leaves_what_was_reached() -> None:
    X, y = data("classifier")

    def order(epoch: int) -> Array:
        if epoch == 2:
            raise KeyboardInterrupt
        return np.arange(len(y))

    model = MLPClassifier((4,), shuffle=order, random_state=0)
    with pytest.raises(st.Interrupted):
        model.fit(X, y)
    assert model.n_iter_ == 2
    assert model.predict(X).shape == y.shape


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"activation": "sigmoid"}, "The 'activation' parameter of MLPClassifier must be one of 'identity'"),
        ({"hidden_layer_sizes": (5, -1)}, "hidden_layer_sizes must be > 0"),
        ({"learning_rate_init": 0}, "'learning_rate_init' parameter"),
        ({"early_stopping": True, "validation_fraction": 0.005}, "validation set is too small|test_size"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        MLPClassifier(**options).fit(*data("classifier"))
    with pytest.raises(TypeError, match="Sparse data was passed"):
        MLPClassifier().fit(scipy.sparse.csr_matrix(np.eye(4)), [0, 1, 0, 1])


def test_a_run_cut_short_says_so() -> None:
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\) reached"):
        MLPRegressor(hidden_layer_sizes=(4,), max_iter=2).fit(*data("regressor"))
