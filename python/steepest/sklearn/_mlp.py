"""MLPClassifier and MLPRegressor: scikit-learn's networks, trained by `steepest.nn`."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from steepest.sklearn._labels import named_classes, require_known, signs, two_or_more
from steepest.sklearn._mlp_base import MLP, trains_in_parts
from steepest.sklearn._params import Check, check_params, keeping_arguments, one_of


class MLPClassifier(ClassifierMixin, MLP):
    """A network of fully connected layers for labels: scikit-learn's parameters, trained in the compiled loop.

    Parameters
    ----------
    hidden_layer_sizes : array_like of int
        Units of the hidden layers.
    activation : {"identity", "logistic", "tanh", "relu"}
        What follows each hidden layer.
    solver : {"adam", "sgd", "lbfgs"}
        The update rule, or SciPy's L-BFGS-B on all rows.
    alpha : float
        Strength of the L2 penalty on the weights; divided by the rows of a batch, as scikit-learn does.
    batch_size : int or "auto"
        Rows per update; "auto" is 200, or all rows if they are fewer.
    learning_rate : {"constant", "invscaling", "adaptive"}
        How the steps of "sgd" change: not, by ``t**power_t``, or divided by 5 whenever progress ends.
    learning_rate_init : float
        The first step.
    power_t : float
        Exponent of "invscaling".
    max_iter : int
        Epochs at the most; iterations of "lbfgs".
    shuffle : bool, "stream", "full", "once", array_like or callable
        Order of the rows, as in `steepest.minimize`.
    random_state : int, RandomState or None
        Decides the start, the order of the rows and the validation set.
    tol : float
        What an epoch has to gain to count as progress.
    verbose : bool
        Whether to print a line for each epoch.
    warm_start : bool
        Whether `fit` goes on from the last parameters.
    momentum : float
        Of "sgd".
    nesterovs_momentum : bool
        Whether that momentum looks ahead.
    early_stopping : bool
        Whether progress is judged by the score on rows set aside, and the best parameters kept.
    validation_fraction : float
        How many of the rows those are.
    beta_1 : float
        Share of Adam's mean of gradients that stays.
    beta_2 : float
        Share of its mean of squares that stays.
    epsilon : float
        Keeps Adam's divisors from zero.
    n_iter_no_change : int
        Epochs without progress, and one, that end a run.
    max_fun : int
        Accepted for scikit-learn's sake; `max_iter` limits "lbfgs".

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray
        Weights, shape (inputs, outputs), and intercepts, layer by layer.
    n_iter_ : int
        Epochs done by the last call.
    loss_, best_loss_ : float
        The mean of the losses met in the last epoch, penalty included; the smallest of these.
    loss_curve_ : list of float
        One for each epoch.
    validation_scores_, best_validation_score_
        With early stopping.
    t_ : int
        Rows seen.
    n_layers_, n_outputs_ : int
        Layers, input and output included; units of the last.
    out_activation_ : str
        What turns the last layer's units into predictions.
    n_features_in_, feature_names_in_
        As scikit-learn has them.
    classes_ : ndarray
        The sorted labels.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.sklearn import MLPClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(400, 2))
    >>> y = (X[:, 0] * X[:, 1] > 0).astype(int)
    >>> model = MLPClassifier((16,), learning_rate_init=0.03, max_iter=60, n_iter_no_change=60, batch_size=20,
    ...                       random_state=0, tol=0.0)
    >>> import warnings
    >>> with warnings.catch_warnings(action="ignore"):
    ...     bool(model.fit(X, y).score(X, y) > 0.9)
    True
    """

    classes_: NDArray[Any]

    @keeping_arguments
    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: Any = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: int = 15000,
    ) -> None: ...

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPClassifier:
        """Train, from new parameters unless ``warm_start=True``.

        Parameters
        ----------
        X : array_like, shape (n, d)
            Rows; sparse ones are refused.
        y : array_like, shape (n,) or (n, n_labels)
            Labels, or an indicator of several.
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
        check_params(self, self._checks)
        X, y = self._checked(X, y, reset=True)
        binarizer = LabelBinarizer().fit(y)
        goes_on = self.warm_start and hasattr(self, "coefs_")
        if goes_on and not np.array_equal(binarizer.classes_, self.classes_):
            raise ValueError(
                f"warm_start goes on with the same classes: there were {self.classes_}, y has {binarizer.classes_}"
            )
        self._binarizer, self.classes_ = binarizer, binarizer.classes_
        self._train(X, y, sample_weight, incremental=False)
        return self

    @available_if(trains_in_parts)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> MLPClassifier:
        """Go on by one epoch over these rows.

        Parameters
        ----------
        X : array_like, shape (n, d)
            Rows; sparse ones are refused.
        y : array_like, shape (n,) or (n, n_labels)
            Labels, of which not all need occur.
        classes : array_like, optional
            All labels there will ever be; needed by the first call.
        sample_weight : array_like, shape (n,), optional
            Weights of the rows.

        Returns
        -------
        self
        """
        check_params(self, self._checks)
        first = not hasattr(self, "classes_")
        named = named_classes(self, classes)
        X, y = self._checked(X, y, reset=first)
        if first:
            self._binarizer = LabelBinarizer().fit(y if y.ndim == 2 else named)
            self.classes_ = self._binarizer.classes_
        if y.ndim == 1:
            require_known(y, self.classes_)
        self._train(X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict labels.

        Parameters
        ----------
        X : array_like, shape (n, d)
            Rows.

        Returns
        -------
        ndarray, shape (n,) or (n, n_labels)
        """
        return self._labels(self._raw_prediction(X))

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Estimate probabilities of the classes.

        Parameters
        ----------
        X : array_like, shape (n, d)
            Rows.

        Returns
        -------
        ndarray, shape (n, n_classes)
        """
        raw = self._raw_prediction(X)
        if self.out_activation_ == "softmax":
            return np.asarray(softmax(raw, axis=1))
        likely = np.asarray(expit(raw))
        return np.column_stack([1 - likely[:, 0], likely[:, 0]]) if likely.shape[1] == 1 else likely

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Return the logarithms of `predict_proba`.

        Parameters
        ----------
        X : array_like, shape (n, d)
            Rows.

        Returns
        -------
        ndarray, shape (n, n_classes)
        """
        return np.log(self.predict_proba(X))

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Any, NDArray[Any]]:
        X, y = validate_data(self, X, y, multi_output=True, dtype=[np.float64, np.float32], reset=reset)
        check_classification_targets(y)
        return X, column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _train(self, X: Any, y: NDArray[Any], sample_weight: Any, incremental: bool) -> None:
        count = len(two_or_more(self.classes_))
        if y.ndim == 2:
            self.out_activation_, loss, outputs = "logistic", "multi_log_loss", y.shape[1]
            encoded = np.where(y != 0, 1, -1).astype(X.dtype)
        elif count == 2:
            self.out_activation_, loss, outputs = "logistic", "log_loss", 1
            encoded = signs(y, self.classes_[1], X.dtype)
        else:
            self.out_activation_, loss, outputs = "softmax", "cross_entropy", count
            encoded = np.searchsorted(self.classes_, y)
        self._learn(X, encoded, sample_weight, outputs, loss, incremental)

    def _labels(self, raw: NDArray[Any]) -> NDArray[Any]:
        if self.out_activation_ == "softmax":
            return self.classes_[raw.argmax(axis=1)]
        if raw.shape[1] == 1:
            return self.classes_[(raw[:, 0] > 0).astype(np.intp)]
        return self._binarizer.inverse_transform((raw > 0).astype(int))

    def _held_score(self, raw: NDArray[Any], y: NDArray[Any], weight: Any) -> float:
        found = raw.argmax(axis=1) if self.out_activation_ == "softmax" else np.where(raw > 0, 1, -1)
        return float(accuracy_score(y, found.ravel() if y.ndim == 1 else found, sample_weight=weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, MLP):
    """A network of fully connected layers for numbers: scikit-learn's parameters, trained in the compiled loop.

    Parameters
    ----------
    loss : {"squared_error", "poisson"}
        What is minimised; "poisson" predicts exponentials.
    hidden_layer_sizes : array_like of int
        Units of the hidden layers.
    activation : {"identity", "logistic", "tanh", "relu"}
        What follows each hidden layer.
    solver : {"adam", "sgd", "lbfgs"}
        The update rule, or SciPy's L-BFGS-B on all rows.
    alpha : float
        Strength of the L2 penalty on the weights; divided by the rows of a batch, as scikit-learn does.
    batch_size : int or "auto"
        Rows per update; "auto" is 200, or all rows if they are fewer.
    learning_rate : {"constant", "invscaling", "adaptive"}
        How the steps of "sgd" change: not, by ``t**power_t``, or divided by 5 whenever progress ends.
    learning_rate_init : float
        The first step.
    power_t : float
        Exponent of "invscaling".
    max_iter : int
        Epochs at the most; iterations of "lbfgs".
    shuffle : bool, "stream", "full", "once", array_like or callable
        Order of the rows, as in `steepest.minimize`.
    random_state : int, RandomState or None
        Decides the start, the order of the rows and the validation set.
    tol : float
        What an epoch has to gain to count as progress.
    verbose : bool
        Whether to print a line for each epoch.
    warm_start : bool
        Whether `fit` goes on from the last parameters.
    momentum : float
        Of "sgd".
    nesterovs_momentum : bool
        Whether that momentum looks ahead.
    early_stopping : bool
        Whether progress is judged by the score on rows set aside, and the best parameters kept.
    validation_fraction : float
        How many of the rows those are.
    beta_1 : float
        Share of Adam's mean of gradients that stays.
    beta_2 : float
        Share of its mean of squares that stays.
    epsilon : float
        Keeps Adam's divisors from zero.
    n_iter_no_change : int
        Epochs without progress, and one, that end a run.
    max_fun : int
        Accepted for scikit-learn's sake; `max_iter` limits "lbfgs".

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray
        Weights, shape (inputs, outputs), and intercepts, layer by layer.
    n_iter_ : int
        Epochs done by the last call.
    loss_, best_loss_ : float
        The mean of the losses met in the last epoch, penalty included; the smallest of these.
    loss_curve_ : list of float
        One for each epoch.
    validation_scores_, best_validation_score_
        With early stopping.
    t_ : int
        Rows seen.
    n_layers_, n_outputs_ : int
        Layers, input and output included; units of the last.
    out_activation_ : str
        What turns the last layer's units into predictions.
    n_features_in_, feature_names_in_
        As scikit-learn has them.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.sklearn import MLPRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-3, 3, size=(500, 1))
    >>> model = MLPRegressor(hidden_layer_sizes=(16,), activation="tanh", solver="lbfgs", max_iter=500, random_state=0)
    >>> bool(model.fit(X, np.sin(X[:, 0])).score(X, np.sin(X[:, 0])) > 0.99)
    True
    """

    _checks: ClassVar[dict[str, Check]] = {**MLP._checks, "loss": one_of(["squared_error", "poisson"])}

    @keeping_arguments
    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: Any = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: int = 15000,
    ) -> None: ...

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train, from new parameters unless ``warm_start=True``.

        Parameters
        ----------
        X : array_like, shape (n, d)
            Rows; sparse ones are refused.
        y : array_like, shape (n,) or (n, n_targets)
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
        self._train(X, y, sample_weight, reset=True, incremental=False)
        return self

    @available_if(trains_in_parts)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Go on by one epoch over these rows.

        Parameters
        ----------
        X : array_like, shape (n, d)
            Rows; sparse ones are refused.
        y : array_like, shape (n,) or (n, n_targets)
            Targets.
        sample_weight : array_like, shape (n,), optional
            Weights of the rows.

        Returns
        -------
        self
        """
        self._train(X, y, sample_weight, reset=not hasattr(self, "coefs_"), incremental=True)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the targets.

        Parameters
        ----------
        X : array_like, shape (n, d)
            Rows.

        Returns
        -------
        ndarray, shape (n,) or (n, n_targets)
        """
        raw = self._raw_prediction(X)
        found = np.exp(raw) if self.out_activation_ == "exp" else raw
        return found[:, 0] if found.shape[1] == 1 else found

    def _train(self, X: Any, y: Any, sample_weight: Any, reset: bool, incremental: bool) -> None:
        check_params(self, self._checks)
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=[np.float64, np.float32], reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        several = y.ndim == 2
        if several and self.loss == "poisson":
            raise ValueError("loss='poisson' takes one target per row")
        self.out_activation_ = "exp" if self.loss == "poisson" else "identity"
        loss = f"multi_{self.loss}" if several else self.loss
        self._learn(X, y.astype(X.dtype, copy=False), sample_weight, y.shape[1] if several else 1, loss, incremental)

    def _held_score(self, raw: NDArray[Any], y: NDArray[Any], weight: Any) -> float:
        found = np.exp(raw) if self.out_activation_ == "exp" else raw
        return float(r2_score(y, found, sample_weight=weight))
