"""Estimators beside scikit-learn's: the same numbers where the order of the rows is the same, and what ours add."""

import pickle
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import sklearn
import sklearn.linear_model as theirs
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import steepest as st
from steepest.sklearn import LossClassifier, LossRegressor, SGDClassifier, SGDRegressor
from steepest.sklearn._labels import classes_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
Array = NDArray[Any]
RATES = ("constant", "optimal", "invscaling", "adaptive")


def named(value: Any) -> str:
    """Name a case without the address of a function in it."""
    return re.sub(" at 0x[0-9a-f]+", "", str(value))


def rows(n: int = 300, features: int = 6, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, features))
    return X, X @ rng.normal(size=features) + 0.5 + 0.3 * rng.normal(size=n)


def labels(classes: int = 2, **kwargs: Any) -> tuple[Array, Array]:
    X, z = rows(**kwargs)
    return X, np.digitize(z, np.quantile(z, np.linspace(0, 1, classes + 1)[1:-1])) * 10


def same(ours: Any, original: Any, rtol: float = 1e-7) -> None:
    assert ours.n_iter_ == original.n_iter_
    assert ours.t_ == original.t_
    assert ours.coef_.shape == original.coef_.shape
    np.testing.assert_allclose(ours.coef_, original.coef_, rtol=rtol, atol=1e-9)
    np.testing.assert_allclose(ours.intercept_, original.intercept_, rtol=rtol, atol=1e-9)
    assert np.abs(ours.coef_).max() > 1e-3


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("loss", sorted(theirs.SGDClassifier.loss_functions))
def test_classifiers_agree_with_scikit_learn_in_sequence(loss: str, rate: str) -> None:
    X, y = labels()
    options: dict[str, Any] = {"loss": loss, "learning_rate": rate, "shuffle": False, "alpha": 0.01, "max_iter": 40}
    same(SGDClassifier(**options).fit(X, y), theirs.SGDClassifier(**options).fit(X, y), rtol=1e-5)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("loss", sorted(theirs.SGDRegressor.loss_functions))
def test_regressors_agree_with_scikit_learn_in_sequence(loss: str, rate: str) -> None:
    X, y = rows()
    options: dict[str, Any] = {"loss": loss, "learning_rate": rate, "shuffle": False, "alpha": 0.01, "max_iter": 40}
    same(SGDRegressor(**options).fit(X, y), theirs.SGDRegressor(**options).fit(X, y), rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"penalty": None},
        {"fit_intercept": False},
        {"early_stopping": True, "penalty": None, "random_state": 3},
        {"class_weight": {0: 2.0, 10: 0.5}, "tol": None, "max_iter": 20},
        {"class_weight": "balanced", "tol": None, "max_iter": 20},
        {"tol": None, "max_iter": 7},
        {"n_iter_no_change": 2},
        {"alpha": 30.0, "learning_rate": "constant", "eta0": 0.1},
    ],
    ids=named,
)
@pytest.mark.parametrize("classes", [2, 4])
def test_options_mean_what_they_mean_there(options: dict[str, Any], classes: int) -> None:
    X, y = labels(classes)
    if isinstance(options.get("class_weight"), dict):
        options = {**options, "class_weight": {10 * k: 1.0 + 0.5 * k for k in range(classes)}}
    ours = SGDClassifier(shuffle=False, **options).fit(X, y)
    original = theirs.SGDClassifier(shuffle=False, **options).fit(X, y)
    if options.get("alpha", 0) > 1:
        np.testing.assert_allclose(ours.coef_, original.coef_, atol=1e-9)
    else:
        same(ours, original, rtol=1e-6)
    np.testing.assert_array_equal(ours.predict(X), original.predict(X))


def test_sample_weights_multiply_steps() -> None:
    X, y = labels()
    weight = np.random.default_rng(5).uniform(0.1, 3, size=len(y))
    options: dict[str, Any] = {"shuffle": False, "max_iter": 5, "tol": None}
    ours = SGDClassifier(**options).fit(X, y, sample_weight=weight)
    same(ours, theirs.SGDClassifier(**options).fit(X, y, sample_weight=weight))
    assert not np.allclose(ours.coef_, SGDClassifier(**options).fit(X, y).coef_)


def test_partial_fits_agree_with_scikit_learn() -> None:
    X, y = labels(3)
    ours, original = SGDClassifier(shuffle=False), theirs.SGDClassifier(shuffle=False)
    for start in range(0, 300, 100):
        part = slice(start, start + 100)
        for model in (ours, original):
            model.partial_fit(X[part], y[part], classes=[0, 10, 20])
        same(ours, original)


@pytest.mark.parametrize("loss", ["log_loss", "modified_huber"])
@pytest.mark.parametrize("classes", [2, 4])
def test_probabilities_agree_with_scikit_learn(loss: str, classes: int) -> None:
    X, y = labels(classes)
    options: dict[str, Any] = {"loss": loss, "shuffle": False, "alpha": 0.01, "max_iter": 5}
    ours, original = SGDClassifier(**options).fit(X, y), theirs.SGDClassifier(**options).fit(X, y)
    original.coef_, original.intercept_ = ours.coef_, ours.intercept_
    far = np.vstack([X, 100 * X])
    np.testing.assert_allclose(ours.predict_proba(far), original.predict_proba(far), atol=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_sparse_rows_agree_with_scikit_learn(classes: int) -> None:
    X, y = labels(classes)
    X[np.abs(X) < 0.8] = 0
    options: dict[str, Any] = {"shuffle": False, "max_iter": 10, "alpha": 0.01}
    sparse = scipy.sparse.csr_matrix(X)
    ours = SGDClassifier(**options).fit(sparse, y)
    same(ours, theirs.SGDClassifier(**options).fit(sparse, y), rtol=1e-6)
    np.testing.assert_allclose(ours.decision_function(sparse), ours.decision_function(X))
    np.testing.assert_array_equal(ours.sparsify().predict(X), ours.densify().predict(sparse))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch_size", [1, 16, 10_000])
def test_any_batch_size_learns(batch_size: int, dtype: Any) -> None:
    X, y = labels(n=2000)
    options: dict[str, Any] = {"batch_size": batch_size, "max_iter": 60, "tol": None, "random_state": 0}
    model = SGDClassifier(loss="log_loss", alpha=1e-3, **options).fit(X.astype(dtype), y)
    assert model.coef_.dtype == dtype
    assert model.score(X, y) > 0.9
    assert model.t_ == 1 + 60 * -(-2000 // min(batch_size, 2000))


def test_softmax_fits_all_classes_at_once() -> None:
    X, y = labels(4, n=1500)
    model = SGDClassifier("log_loss", multi_class="softmax", alpha=1e-3, batch_size=8, max_iter=100, tol=None).fit(X, y)
    whole = theirs.LogisticRegression(C=1 / (1e-3 * len(y)), max_iter=1000).fit(X, y)
    assert model.score(X, y) > whole.score(X, y) - 0.05
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert np.abs(probabilities - whole.predict_proba(X)).mean() < 0.1
    assert SGDClassifier("hinge", multi_class="softmax", max_iter=50).fit(X, y).score(X, y) > 0.6
    two = SGDClassifier("log_loss", multi_class="softmax", shuffle=False).fit(*labels())
    np.testing.assert_array_equal(two.coef_, SGDClassifier("log_loss", shuffle=False).fit(*labels()).coef_)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adagrad", "step_size": 0.5},
        {"optimizer": st.optim.SGD(), "step_size": st.schedules.Exponential(0.5)},
        {"step_size": "auto"},
        {"step_size": 0.1},
        {"shuffle": "full"},
        {"shuffle": lambda epoch: np.random.default_rng(epoch).permutation(300)},
    ],
    ids=named,
)
def test_rules_steps_and_orders_of_our_own(options: dict[str, Any]) -> None:
    X, y = labels()
    model = SGDClassifier("log_loss", batch_size=10, max_iter=30, tol=None, random_state=1, **options)
    assert model.fit(X, y).score(X, y) > 0.9
    assert pickle.loads(pickle.dumps(model.set_params(shuffle=True))).score(X, y) > 0.9


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"learning_rate": "pa1"}, "learning_rate='pa1' is not supported"),
        ({"loss": "squared"}, "The 'loss' parameter of SGDClassifier must be one of 'epsilon_insensitive'"),
        ({"alpha": -1}, r"The 'alpha' parameter of SGDClassifier must be a number in \[0, inf\). Got -1 instead"),
        ({"max_iter": 2.5}, "a whole number of at least 1"),
        ({"shuffle": "random"}, "shuffle must be a bool"),
        ({"optimizer": "sdg"}, "unknown method 'sdg'"),
        (
            {"multi_class": "softmax", "loss": "perceptron"},
            "multi_class='softmax' goes with loss='log_loss' or 'hinge'",
        ),
        ({"average": True, "optimizer": "adam"}, "average goes with optimizer='sgd'"),
        ({"penalty": "elasticnet", "l1_ratio": None}, "l1_ratio must be set"),
    ],
    ids=named,
)
def test_what_cannot_be_is_refused(options: dict[str, Any], complaint: str) -> None:
    X, y = labels(3)
    with pytest.raises(ValueError, match=complaint):
        SGDClassifier(**options).fit(X, y)


def test_labels_out_of_nowhere_are_refused() -> None:
    X, y = labels(3)
    model = SGDClassifier()
    with pytest.raises(ValueError, match="classes must be passed"):
        model.partial_fit(X, y)
    with pytest.raises(ValueError, match="y holds 20 in row"):
        SGDClassifier().partial_fit(X, y.astype(int), classes=[0, 10])


@pytest.mark.parametrize("dtype", ["int8", "uint64", "int64", "float32", "float64", "bool", "str"])
@pytest.mark.parametrize("values", [[3, 7], [0, 1], [-5, 2, 9], [4]])
def test_classes_are_those_of_numpy_whatever_their_type(dtype: str, values: list[int]) -> None:
    if dtype[0] in "ub" and min(values) < 0:
        values = [2 + value for value in values if value > 0]
    y = np.random.default_rng(1).choice(np.array(values), 70_000).astype(dtype)
    np.testing.assert_array_equal(classes_of(y), np.unique(y), strict=True)


@pytest.mark.parametrize("fractions", [[1.0, 1.5, 2.0], [0.5, 1.0], [0.0, 0.5], [0.25, 0.75]])
def test_numbers_that_are_no_labels_are_refused(fractions: list[float]) -> None:
    y = np.resize(fractions, 100)
    with pytest.raises(ValueError, match="Unknown label type"):
        classes_of(y)


def test_frames_keep_their_names() -> None:
    X, y = labels()
    names = [f"column {j}" for j in range(X.shape[1])]
    for frame in (pd.DataFrame(X, columns=names), pl.DataFrame(X, schema=names)):
        model = SGDClassifier(shuffle=False).fit(frame, y)
        assert list(model.feature_names_in_) == names
        np.testing.assert_array_equal(model.predict(frame), SGDClassifier(shuffle=False).fit(X, y).predict(X))
        with pytest.raises(ValueError, match="feature names should match"):
            model.predict(
                frame.rename(columns={names[0]: "other"}) if isinstance(frame, pd.DataFrame) else frame[:, ::-1]
            )


def test_weights_are_routed_and_models_searched() -> None:
    X, y = labels()
    weight = np.where(y == 10, 5.0, 0.2)
    with sklearn.config_context(enable_metadata_routing=True):
        model = SGDClassifier(shuffle=False, max_iter=5).set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipe = make_pipeline(scaler, model).fit(X, y, sample_weight=weight)
    alone = clone(model).fit(StandardScaler().fit_transform(X), y, sample_weight=weight)
    np.testing.assert_array_equal(pipe[-1].coef_, alone.coef_)
    search = GridSearchCV(SGDClassifier(random_state=0, max_iter=20), {"alpha": [1e-3, 10.0]}, n_jobs=2).fit(X, y)
    assert search.best_params_ == {"alpha": 1e-3}


@pytest.mark.parametrize("model", [SGDClassifier(tol=None), SGDRegressor(), LossClassifier("hinge", batch_size=10)])
def test_ctrl_c_leaves_what_was_reached(model: Any) -> None:
    X, y = labels()

    def order(epoch: int) -> Array:
        if epoch == 3:
            raise KeyboardInterrupt
        return np.arange(len(y))

    model = clone(model).set_params(shuffle=order)
    with pytest.raises(st.Interrupted):
        model.fit(X, y)
    assert model.n_iter_ == 3
    assert np.abs(model.coef_).max() > 0
    assert model.predict(X).shape == y.shape


def test_overflow_is_an_error_with_advice() -> None:
    X, y = rows()
    with pytest.raises(ValueError, match=r"Floating-point under-/overflow occurred at epoch #1\. Scaling input data"):
        SGDRegressor(penalty=None).fit(X * 1e200, y)
    assert np.isfinite(SGDRegressor().fit(X * 1e6, y).coef_).all(), "slopes are clipped, as scikit-learn does"


def test_a_run_cut_short_says_so() -> None:
    X, y = labels()
    with pytest.warns(ConvergenceWarning, match="Maximum number of iteration reached"):
        SGDClassifier(max_iter=2).fit(X, y)


def test_any_loss_of_the_list_makes_a_regressor() -> None:
    X, z = rows(n=1000)
    y = np.random.default_rng(1).poisson(np.exp(0.3 * z)).astype(float)
    model = LossRegressor("poisson", penalty=st.L2(1e-2), tol=1e-12).fit(X, y)
    original = theirs.PoissonRegressor(alpha=1e-2, tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(model.coef_, original.coef_, rtol=1e-4)
    np.testing.assert_allclose(model.predict(X), original.predict(X), rtol=1e-4)
    several = LossRegressor("multi_squared_error").fit(X, np.column_stack([z, -z]))
    assert several.predict(X).shape == (1000, 2)
    np.testing.assert_allclose(several.coef_[0], -several.coef_[1], atol=1e-4)


def test_a_loss_of_ones_own_is_traced() -> None:
    X, y = rows()
    built_in = LossRegressor("squared_error", penalty=st.ElasticNet(0.01, 0.5), method="gd", max_iter=500).fit(X, y)
    step = st.Objective("squared_error", (X, y), fit_intercept=True).smoothness()
    options: dict[str, Any] = {"method": "gd", "step_size": 1 / (step + 0.005), "max_iter": 500}
    own = LossRegressor(lambda y, z: 0.5 * (z - y) ** 2, penalty=st.ElasticNet(0.01, 0.5), **options).fit(X, y)
    np.testing.assert_allclose(own.coef_, built_in.coef_, atol=1e-3)
    weights = LossRegressor(lambda w, x, y: 0.5 * (x @ w - y) ** 2, fit_intercept=False, **options).fit(X, y)
    expected = np.linalg.lstsq(X, y, rcond=None)[0]
    np.testing.assert_allclose(weights.coef_, expected, atol=1e-5)
    with pytest.raises(ValueError, match="has no place for an intercept"):
        LossRegressor(lambda w, x, y: (x @ w - y) ** 2).fit(X, y)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("penalty", [None, st.L2(0.05), st.L1(0.1), st.ElasticNet([0.1, 0.0, 0.2, 0.1], 0.5)], ids=str)
def test_losses_of_ones_own_take_sparse_rows_and_penalties_by_name(penalty: Any, fit_intercept: bool) -> None:
    draw = np.random.default_rng(5)
    X = draw.normal(size=(300, 4)) * (draw.random((300, 4)) < 0.4)
    y = X @ [1.0, 0.0, 0.0, -2.0] + 0.7 + 0.1 * draw.normal(size=300)
    options: dict[str, Any] = {"penalty": penalty, "fit_intercept": fit_intercept, "random_state": 0, "tol": 1e-10}
    dense, sparse, built_in = (
        LossRegressor(loss, **options).fit(rows, y)
        for loss, rows in (
            (lambda y, z: 0.5 * (z - y) ** 2, X),
            (lambda y, z: 0.5 * (z - y) ** 2, scipy.sparse.csr_matrix(X)),
            ("squared_error", X),
        )
    )
    for model in (dense, sparse):
        np.testing.assert_allclose(model.coef_, built_in.coef_, atol=1e-4)
        np.testing.assert_allclose(model.intercept_, built_in.intercept_, atol=1e-4)
        np.testing.assert_array_equal(model.coef_ == 0, built_in.coef_ == 0)
    assert (built_in.coef_ == 0).any() == (penalty is not None and penalty.name != "l2")
    np.testing.assert_allclose(sparse.predict(scipy.sparse.csr_matrix(X)), built_in.predict(X), atol=1e-3)


def test_losses_of_ones_own_name_what_they_cannot_do() -> None:
    X, y = rows()

    def squares(w: Any, x: Any, y: Any) -> Any:
        return ((x * w).sum(axis=1) - y) ** 2

    with pytest.raises(TypeError, match=r"squares reads .* number by number.*x @ w"):
        LossRegressor(squares, fit_intercept=False).fit(scipy.sparse.csr_matrix(X), y)
    with pytest.raises(ValueError, match=r"takes L1, L2 or ElasticNet, not NonNegative.*fit_intercept=False"):
        LossRegressor(lambda y, z: (z - y) ** 2, penalty="non_negative").fit(X, y)
    with pytest.raises(ValueError, match="alpha"):
        LossRegressor(lambda y, z: (z - y) ** 2, penalty=st.L2([1.0, 2.0])).fit(X, y)
    model = LossRegressor(lambda y, z: (z - y) ** 2, penalty="non_negative", fit_intercept=False).fit(X, y)
    assert model.coef_.min() >= 0


@pytest.mark.parametrize("loss", ["log_loss", "exponential", "softmax", lambda y, z: st.softplus(-y * z)], ids=named)
@pytest.mark.parametrize("classes", [2, 3])
def test_any_loss_makes_a_classifier(loss: Any, classes: int) -> None:
    X, y = labels(classes)
    model = LossClassifier(loss, penalty=st.L2(1e-3)).fit(X, y)
    assert model.score(X, y) > (0.9 if classes == 2 else 0.6)
    assert hasattr(model, "predict_proba") != callable(loss)
    if not callable(loss):
        probabilities = model.predict_proba(X)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), probabilities, rtol=1e-6)
        np.testing.assert_array_equal(model.classes_[probabilities.argmax(axis=1)], model.predict(X))
    warm = clone(model).set_params(warm_start=True).fit(X, y)
    before = warm.coef_.copy()
    np.testing.assert_allclose(warm.fit(X, y).coef_, before, atol=0.05)


@pytest.mark.parametrize(("model", "loss"), [(LossRegressor, "hinge"), (LossClassifier, "poisson")])
def test_losses_go_with_their_kind_of_target(model: Any, loss: str) -> None:
    with pytest.raises(ValueError, match="takes it"):
        model(loss).fit(*labels())


def test_no_optional_package_is_imported_before_it_is_used() -> None:
    optional = [
        "sklearn",
        "joblib",
        "matplotlib",
        "pandas",
        "polars",
        "pyarrow",
        "safetensors",
        "torch",
        "jax",
        "numba",
    ]
    code = f"import sys, steepest; print([name for name in {optional} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", [SGDClassifier, SGDRegressor], ids=lambda kind: kind.__name__)
def test_sparse_rows_with_64_bit_indices_are_taken(kind: Any) -> None:
    X, y = rows()
    narrow = scipy.sparse.csr_array(np.where(np.abs(X) > 0.5, X, 0))
    wide = narrow.copy()
    wide.indices, wide.indptr = narrow.indices.astype(np.int64), narrow.indptr.astype(np.int64)
    targets = np.sign(y) if kind is SGDClassifier else y
    ours = [kind(random_state=0, early_stopping=True).fit(given, targets) for given in (narrow, wide)]
    assert (ours[0].coef_ == ours[1].coef_).all()
    assert (ours[0].predict(narrow) == ours[1].predict(wide)).all()
    assert len(np.unique(ours[0].coef_)) > 1
