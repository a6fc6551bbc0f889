"""LossRegressor and LossClassifier: linear models of any loss, by way of `steepest.minimize`."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import check_is_fitted, validate_data

from steepest import losses, penalties
from steepest._minimize import minimize
from steepest._results import Interrupted, Result
from steepest.autodiff._loss import TracedLoss
from steepest.sklearn._base import SEEDS, flat
from steepest.sklearn._labelled import Labelled, shares
from steepest.sklearn._labels import classes_of, signs, two_or_more
from steepest.sklearn._params import (
    Check,
    any_whole,
    boolean,
    check_params,
    either,
    keeping_arguments,
    nothing,
    verbosity,
    whole,
)
from steepest.sklearn._weights import check_weights, weighed


class LossModel(BaseEstimator):
    """The common part of LossRegressor and LossClassifier."""

    _checks: ClassVar[dict[str, Check]] = {
        "fit_intercept": boolean,
        "batch_size": either(whole(1), nothing),
        "max_iter": either(whole(1), nothing),
        "n_jobs": either(any_whole, nothing),
        "warm_start": boolean,
        "verbose": verbosity,
    }

    def _resolve(self) -> Any:
        """Return the loss as an object of the core, or the function that is traced."""
        check_params(self, self._checks)
        if isinstance(self.loss, losses.Loss):
            return self.loss
        if isinstance(self.loss, str):
            return losses.get(self.loss)
        if isinstance(self.loss, TracedLoss):
            return self.loss.function
        if callable(self.loss):
            return self.loss
        raise TypeError(f"loss must be a name, a loss object or a function in array syntax, not {self.loss!r}")

    def _minimized(self, loss: Any, X: Any, y: NDArray[Any], weight: NDArray[Any] | None, start: Any) -> Result:
        """Minimize one model's loss; what Ctrl-C stopped carries on to the caller in its result."""
        options: dict[str, Any] = {
            "method": self.method,
            "step_size": self.step_size,
            "batch_size": self.batch_size,
            "epochs": self.max_iter,
            "tol": self.tol,
            "shuffle": self.shuffle,
            "sample_weight": weight,
            "seed": int(check_random_state(self.random_state).randint(SEEDS)),
            "n_threads": None if self.n_jobs is None else int(joblib.effective_n_jobs(self.n_jobs)),
            "progress": self.verbose > 0,
            "check_finite": False,
        }
        if isinstance(loss, losses.Loss):
            options |= {"x0": start, "penalty": self.penalty, "fit_intercept": self.fit_intercept}
            return minimize(loss, (X, y), **options)
        composed, at_start = self._composed(loss, X, start)
        penalty = penalties.resolve(self.penalty)
        if penalty is not None and self.fit_intercept:
            penalty = sparing_the_last(penalty, X.shape[1])
        result = minimize(composed, (X, y), x0=at_start, penalty=penalty, **options)
        d = X.shape[1]
        result["coef"], result["intercept"] = result.x[:d], result.x[d:].reshape(()) if self.fit_intercept else 0.0
        return result

    def _composed(self, function: Any, X: Any, start: NDArray[Any] | None) -> tuple[TracedLoss, Any]:
        """Return a traced loss of the parameters for the user's function, and where they start."""
        d = X.shape[1]
        given = start if start is not None else np.zeros(d + self.fit_intercept, dtype=X.dtype)
        arguments = len(inspect.signature(function).parameters)
        if arguments not in (2, 3):
            raise TypeError(f"a loss is a function of (y, raw_prediction) or (w, X, y), not of {arguments} arguments")
        if arguments == 3 and self.fit_intercept:
            raise ValueError(
                "a loss of (w, X, y) has no place for an intercept: write it as a function of (y, raw_prediction), or "
                "pass fit_intercept=False"
            )

        def composed(parameters: Any, X: Any, y: Any) -> Any:
            w = parameters["coef"]
            return function(w, X, y) if arguments == 3 else function(y, X @ w + parameters.get("intercept", 0.0))

        # What goes wrong is told of the user's function.
        composed.__name__ = getattr(function, "__name__", "loss")
        parameters = {"coef": given[:d]}
        if self.fit_intercept:
            parameters["intercept"] = given[d]
        return TracedLoss(composed), parameters

    def _start(self, shape: tuple[int, ...], part: Any, dtype: Any) -> NDArray[Any] | None:
        """Return the parameters of the last fit, or a part of them, where they are asked for."""
        if not (self.warm_start and hasattr(self, "coef_")):
            return None
        if self.coef_.shape != shape:
            raise ValueError(f"warm_start=True goes on from coefficients of shape {self.coef_.shape}, not {shape}")
        return flat(self.coef_[part], np.asarray(self.intercept_)[part], self.fit_intercept).astype(dtype)

    def _raw_prediction(self, X: Any) -> NDArray[Any]:
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        return np.asarray(X @ self.coef_.T) + self.intercept_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def sparing_the_last(penalty: penalties.Penalty, features: int) -> penalties.Penalty:
    """Return a penalty on all parameters of a traced loss but the last, the intercept."""
    if penalty.name not in ("l1", "l2", "elastic_net"):
        raise ValueError(
            f"a function as the loss with an intercept takes L1, L2 or ElasticNet, not {penalty!r}: name a loss, or "
            "pass fit_intercept=False"
        )
    penalty.on((features,))
    alpha = np.append(np.broadcast_to(np.asarray(penalty.params["alpha"], dtype=np.float64), features), 0.0)
    return type(penalty)(**{**penalty.params, "alpha": alpha})


class LossRegressor(RegressorMixin, LossModel):
    """Linear regression that minimises any loss.

    Parameters
    ----------
    loss : str, Loss, or function
        A name of ``st.losses.available()``, an object such as ``st.losses.Huber(delta=2.0)``, or a function in array
        syntax, plain or under ``@st.loss``, that is traced: of (y, raw_prediction), or of (w, X, y) where X @ w is the
        raw prediction and ``fit_intercept=False``. It returns one loss per row.
    penalty : Penalty, str or None
        As in `steepest.minimize`: ``st.L2(1e-3)``.
    fit_intercept : bool
        Whether there is an intercept, which no penalty acts on.
    method, step_size, batch_size, tol, shuffle
        As in `steepest.minimize`.
    max_iter : int or None
        Epochs at the most.
    warm_start : bool
        Whether `fit` goes on from the last coefficients.
    random_state : int, RandomState or None
        Decides the order of the rows.
    n_jobs : int or None
        Threads.
    verbose : int
        Whether to show progress.

    Attributes
    ----------
    coef_ : ndarray, shape (n_features,) or (n_targets, n_features)
        Coefficients.
    intercept_ : float or ndarray, shape (n_targets,)
        The intercept.
    result_ : Result
        What `steepest.minimize` returned.
    n_iter_ : int
        Epochs done.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> from steepest.sklearn import LossRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 2))
    >>> y = rng.poisson(np.exp(X @ [0.5, -0.3] + 1.0)).astype(float)
    >>> model = LossRegressor("poisson", penalty=st.L2(1e-4)).fit(X, y)
    >>> bool(model.predict(X).min() > 0)
    True
    >>> cauchy = LossRegressor(lambda y, z: st.log1p((z - y) ** 2)).fit(X, y)
    >>> cauchy.coef_.shape
    (2,)
    """

    @keeping_arguments
    def __init__(
        self,
        loss: Any = "squared_error",
        *,
        penalty: Any = None,
        fit_intercept: bool = True,
        method: Any = None,
        step_size: Any = None,
        batch_size: int | None = None,
        max_iter: int | None = None,
        tol: Any = None,
        shuffle: Any = True,
        warm_start: bool = False,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None: ...

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> LossRegressor:
        """Minimize the loss.

        Parameters
        ----------
        X : array_like or sparse, shape (n, d)
            Rows.
        y : array_like, shape (n,), or (n, n_targets) for losses of several
            Targets.
        sample_weight : array_like, shape (n,), optional
            Weights of the rows.

        Returns
        -------
        self

        Raises
        ------
        steepest.Interrupted
            On Ctrl-C; the attributes hold what was reached.
        """
        loss = self._resolve()
        several = isinstance(loss, losses.Loss) and loss.kind == "scores"
        if isinstance(loss, losses.Loss) and loss.target in ("labels", "binary"):
            raise ValueError(f"{loss.name} is a loss of labels: LossClassifier takes it")
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            multi_output=several,
            y_numeric=True,
        )
        y = np.asarray(y, dtype=X.dtype)
        if several and y.ndim == 1:
            y = y[:, None]
        weight = check_weights(sample_weight, X)
        start = self._start((y.shape[1], X.shape[1]) if several else (X.shape[1],), ..., X.dtype)
        try:
            result, stopped = self._minimized(loss, X, y, weight, start), None
        except Interrupted as error:
            result, stopped = error.result, error
        self.result_, self.coef_, self.n_iter_ = result, np.array(result.coef), int(result.epochs)
        self.intercept_ = np.array(result.intercept) if several else float(result.intercept)
        if stopped is not None:
            raise stopped
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the targets: for losses with a logarithmic link, the exponential of the raw prediction.

        Parameters
        ----------
        X : array_like or sparse, shape (n, d)
            Rows.

        Returns
        -------
        ndarray, shape (n,) or (n, n_targets)
        """
        raw = self._raw_prediction(X)
        return np.exp(raw) if getattr(self._resolve(), "link", "identity") == "log" else raw


class LossClassifier(Labelled, ClassifierMixin, LossModel):
    """Linear classification that minimises any loss of labels.

    Parameters
    ----------
    loss : str, Loss, or function
        A name of ``st.losses.available()``, an object such as ``st.losses.Huber(delta=2.0)``, or a function in array
        syntax, plain or under ``@st.loss``, that is traced: of (y, raw_prediction), or of (w, X, y) where X @ w is the
        raw prediction and ``fit_intercept=False``. It returns one loss per row.
        Losses of two classes see y as -1 and +1; with more classes there is one model per class against the others.
        Losses of K scores ("softmax", "multiclass_hinge", ...) fit one model of all classes.
    penalty : Penalty, str or None
        As in `steepest.minimize`: ``st.L2(1e-3)``.
    fit_intercept : bool
        Whether there are intercepts, which no penalty acts on.
    method, step_size, batch_size, tol, shuffle
        As in `steepest.minimize`.
    max_iter : int or None
        Epochs at the most.
    class_weight : dict, "balanced" or None
        Weights of the classes, times the sample weights.
    warm_start : bool
        Whether `fit` goes on from the last coefficients.
    random_state : int, RandomState or None
        Decides the order of the rows.
    n_jobs : int or None
        Threads.
    verbose : int
        Whether to show progress.

    Attributes
    ----------
    coef_ : ndarray, shape (1, n_features) or (n_classes, n_features)
        Coefficients.
    intercept_ : ndarray, shape (1,) or (n_classes,)
        Intercepts.
    classes_ : ndarray
        The sorted labels.
    results_ : list of Result
        What `steepest.minimize` returned, for each model.
    n_iter_ : int
        Epochs done, the most of any model.

    Examples
    --------
    >>> import steepest as st
    >>> from steepest.sklearn import LossClassifier
    >>> X, y = st.data.logistic(500, 3, seed=0)
    >>> model = LossClassifier("exponential").fit(X, y)
    >>> model.predict_proba(X[:2]).shape
    (2, 2)
    """

    @keeping_arguments
    def __init__(
        self,
        loss: Any = "log_loss",
        *,
        penalty: Any = None,
        fit_intercept: bool = True,
        method: Any = None,
        step_size: Any = None,
        batch_size: int | None = None,
        max_iter: int | None = None,
        tol: Any = None,
        shuffle: Any = True,
        class_weight: Any = None,
        warm_start: bool = False,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None: ...

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> LossClassifier:
        """Minimize the loss.

        Parameters
        ----------
        X : array_like or sparse, shape (n, d)
            Rows.
        y : array_like, shape (n,)
            Labels of any type that can be sorted.
        sample_weight : array_like, shape (n,), optional
            Weights of the rows.

        Returns
        -------
        self

        Raises
        ------
        steepest.Interrupted
            On Ctrl-C; the attributes hold what was reached.
        """
        loss = self._resolve()
        labels = isinstance(loss, losses.Loss) and loss.target == "labels"
        if isinstance(loss, losses.Loss) and loss.target in ("non_negative", "positive"):
            raise ValueError(f"{loss.name} is no loss of labels: LossRegressor takes it")
        if isinstance(loss, losses.Loss) and loss.kind == "scores" and not labels:
            raise ValueError(f"{loss.name} takes several targets, not labels")
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=[np.float64, np.float32])
        self.classes_ = two_or_more(classes_of(y))
        weight = check_weights(sample_weight, X)
        if self.class_weight is not None:
            of_class = compute_class_weight(self.class_weight, classes=self.classes_, y=y).astype(X.dtype)
            weight = weighed(weight, of_class[np.searchsorted(self.classes_, y)])
        count = len(self.classes_)
        scores = count if labels or count > 2 else 1
        coef, intercept = np.zeros((scores, X.shape[1]), X.dtype), np.zeros(scores, X.dtype)
        self.results_, stopped = [], None
        for i in range(1 if labels else scores):
            target = y if labels else signs(y, self.classes_[i if scores > 1 else 1], X.dtype)
            part = ... if labels else i
            start = self._start(coef.shape, part, X.dtype)
            try:
                result = self._minimized(loss, X, target, weight, start)
            except Interrupted as error:
                result, stopped = error.result, error
            self.results_.append(result)
            coef[part], intercept[part] = result.coef, result.intercept
            if stopped is not None:
                break
        self.coef_, self.intercept_ = coef, intercept
        self.n_iter_ = max(int(result.epochs) for result in self.results_)
        if stopped is not None:
            raise stopped
        return self

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Return the scores of the classes.

        Parameters
        ----------
        X : array_like or sparse, shape (n, d)
            Rows.

        Returns
        -------
        ndarray, shape (n,) or (n, n_classes)
            With two classes the score of the second, for losses of K scores what it has more than the first.
        """
        raw = self._raw_prediction(X)
        if raw.shape[1] > 2:
            return raw
        return raw[:, 0] if raw.shape[1] == 1 else raw[:, 1] - raw[:, 0]

    def _gives_probabilities(self) -> bool:
        return getattr(self._resolve(), "link", "identity") in ("logit", "half_logit", "softmax")

    def _probabilities(self, X: Any) -> NDArray[Any]:
        raw, link = self._raw_prediction(X), self._resolve().link
        if link == "softmax":
            return np.asarray(softmax(raw, axis=1))
        return shares(expit(2 * raw if link == "half_logit" else raw))
