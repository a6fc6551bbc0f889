"""SGDClassifier."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight

from steepest import losses
from steepest.sklearn._base import EPSILON, SEEDS, LinearSGD, Model, unchanged_where_refused
from steepest.sklearn._labelled import Labelled, shares
from steepest.sklearn._labels import classes_of, named_classes, require_known, signs, two_or_more
from steepest.sklearn._params import Check, either, instance, keeping_arguments, nothing, one_of
from steepest.sklearn._weights import weighed

TOGETHER = {"log_loss": "softmax", "hinge": "crammer_singer"}


class SGDClassifier(Labelled, ClassifierMixin, LinearSGD):
    """Linear classification by stochastic gradient descent: a drop-in for scikit-learn's.

    Parameters
    ----------
    loss : str
        "hinge", "log_loss", "modified_huber", "squared_hinge", "perceptron", or a loss of regression on -1 and +1:
        "squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive".
        `steepest.sklearn.LossClassifier` takes any other.
    penalty : {"l2", "l1", "elasticnet"} or None
        Added to the mean loss, times `alpha`.
    alpha : float
        Strength of the penalty; also decides the steps of ``learning_rate="optimal"``.
    l1_ratio : float
        Share of L1 in "elasticnet".
    fit_intercept : bool
        Whether there are intercepts, which no penalty acts on.
    max_iter : int
        Epochs at the most; `partial_fit` does one.
    tol : float or None
        A run ends when `n_iter_no_change` epochs in a row gain less than this.
    shuffle : bool, "stream", "full", "once", array_like or callable
        Order of the rows, as in `steepest.minimize`: True is "stream", close to the speed of a sequential read.
    verbose : int
        Whether to print a line for each epoch.
    epsilon : float
        Parameter of the losses that have one; the threshold of "huber".
    n_jobs : int or None
        Threads, for several classes or for one model. None takes what the machine, joblib and ``OMP_NUM_THREADS``
        leave, where that pays.
    random_state : int, RandomState or None
        Decides the order of the rows and the validation set.
    learning_rate : {"optimal", "constant", "invscaling", "adaptive"}
        ``1 / (alpha * (t0 + t))``, ``eta0``, ``eta0 / t**power_t``, or ``eta0`` divided by 5 whenever progress ends.
        t counts updates. "pa1" and "pa2" are refused.
    eta0 : float
        The first step.
    power_t : float
        Exponent of "invscaling".
    early_stopping : bool
        Whether progress is judged by the accuracy on rows set aside, as many of each class.
    validation_fraction : float
        How many of the rows those are.
    n_iter_no_change : int
        Epochs without progress that end a run.
    class_weight : dict, "balanced" or None
        Weights of the classes, times the sample weights.
    warm_start : bool
        Whether `fit` goes on from the last coefficients.
    average : bool or int
        Whether ``coef_`` is the mean of the iterates, from that update on.
    batch_size : int
        Rows per update; 1 gives scikit-learn's updates, 32 and more are many times faster.
    optimizer : str or Rule
        A rule of ``st.optim``. Steps of other rules than "sgd" are their own or `step_size`.
    step_size : float, "auto", Schedule, callable or None
        Overrides `learning_rate`; as in `steepest.minimize`.
    multi_class : {"ovr", "softmax"}
        With more than two classes: one model per class against the others, as scikit-learn does, or one model of all
        scores in a single pass, which minimises the cross entropy ("log_loss") or Crammer and Singer's loss ("hinge").

    Attributes
    ----------
    coef_ : ndarray, shape (1, n_features) or (n_classes, n_features)
        Coefficients.
    intercept_ : ndarray, shape (1,) or (n_classes,)
        Intercepts.
    classes_ : ndarray
        The sorted labels.
    n_iter_ : int
        Epochs done by the last fit; the most that any of the classes took.
    t_ : float
        Updates done, and one.
    n_features_in_, feature_names_in_
        As scikit-learn has them.

    Examples
    --------
    >>> import steepest as st
    >>> from steepest.sklearn import SGDClassifier
    >>> X, y = st.data.logistic(1000, 5, seed=0)
    >>> model = SGDClassifier(loss="log_loss", batch_size=32, max_iter=20, tol=None, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.7)
    True
    >>> model.predict_proba(X[:2]).shape
    (2, 2)
    """

    loss_functions: ClassVar[dict[str, tuple[Any, ...]]] = {
        "hinge": (losses.get("hinge").__class__,),
        "squared_hinge": (losses.get("squared_hinge").__class__,),
        "perceptron": (losses.get("perceptron").__class__,),
        "log_loss": (losses.get("log_loss").__class__,),
        "modified_huber": (losses.get("modified_huber").__class__,),
        **LinearSGD.loss_functions,
    }
    _checks: ClassVar[dict[str, Check]] = {
        **LinearSGD._checks,
        "loss": one_of(loss_functions),
        "class_weight": either(one_of(["balanced"]), instance(dict, "a dict"), nothing),
        "multi_class": one_of(["ovr", "softmax"]),
    }

    @keeping_arguments
    def __init__(
        self,
        loss: str = "hinge",
        *,
        penalty: str | None = "l2",
        alpha: float = 0.0001,
        l1_ratio: float | None = 0.15,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        shuffle: Any = True,
        verbose: int = 0,
        epsilon: float = EPSILON,
        n_jobs: int | None = None,
        random_state: Any = None,
        learning_rate: str = "optimal",
        eta0: float = 0.01,
        power_t: float = 0.5,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        class_weight: Any = None,
        warm_start: bool = False,
        average: bool | int = False,
        batch_size: int = 1,
        optimizer: Any = "sgd",
        step_size: Any = None,
        multi_class: str = "ovr",
    ) -> None: ...

    def fit(
        self,
        X: Any,
        y: Any,
        coef_init: ArrayLike | None = None,
        intercept_init: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> SGDClassifier:
        """Fit from the start, or with ``warm_start=True`` from the last coefficients.

        Parameters
        ----------
        X : array_like or sparse, shape (n, d)
            Rows.
        y : array_like, shape (n,)
            Labels of any type that can be sorted.
        coef_init : array_like, shape (1, d) or (n_classes, d), optional
            Where to start.
        intercept_init : array_like, shape (1,) or (n_classes,), optional
            Where the intercepts start.
        sample_weight : array_like, shape (n,), optional
            Weights of the rows: each multiplies its row's step.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For parameters and data that cannot be worked with, and where numbers overflow.
        steepest.Interrupted
            On Ctrl-C; the attributes hold what was reached.
        """
        self._validate()
        if self.warm_start and hasattr(self, "coef_"):
            coef_init = self.coef_ if coef_init is None else coef_init
            intercept_init = self.intercept_ if intercept_init is None else intercept_init
        X, y = self._check_X_y(X, y, reset=True)
        with unchanged_where_refused(self):
            self.classes_ = two_or_more(classes_of(y))
            self._learn(X, y, sample_weight, self.max_iter, True, coef_init, intercept_init)
        self._warn_after_fit()
        return self

    def partial_fit(
        self, X: Any, y: Any, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> SGDClassifier:
        """Go on by one epoch over these rows.

        Parameters
        ----------
        X : array_like or sparse, shape (n, d)
            Rows.
        y : array_like, shape (n,)
            Labels, of which not all need occur.
        classes : array_like, optional
            All labels there will ever be; needed by the first call.
        sample_weight : array_like, shape (n,), optional
            Weights of the rows.

        Returns
        -------
        self
        """
        self._validate(for_partial_fit=True)
        first = not hasattr(self, "classes_")
        if first and self.class_weight == "balanced":
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit. In order to use 'balanced' weights, use "
                "compute_class_weight('balanced', classes=classes, y=y). In place of y you can use a large enough "
                "sample of the full training set target to properly estimate the class frequency distributions. Pass "
                "the resulting weights as the class_weight parameter."
            )
        named = named_classes(self, classes)
        X, y = self._check_X_y(X, y, reset=first)
        with unchanged_where_refused(self):
            if named is not None:
                self.classes_ = two_or_more(named)
            require_known(y, self.classes_)
            self._learn(X, y, sample_weight, 1, first, None, None)
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
            With two classes the score of the second: positive scores predict it.
        """
        return self._raw_prediction(X)

    def _gives_probabilities(self) -> bool:
        return self.loss in ("log_loss", "modified_huber")

    def _probabilities(self, X: Any) -> NDArray[Any]:
        scores = self.decision_function(X)
        if self._as_one:
            return np.asarray(softmax(scores, axis=1))
        return shares(expit(scores) if self.loss == "log_loss" else (np.clip(scores, -1, 1) + 1) / 2)

    @property
    def _as_one(self) -> bool:
        """Whether one model has a score for each class."""
        return self.multi_class == "softmax" and len(self.classes_) > 2

    def _validate(self, for_partial_fit: bool = False) -> None:
        super()._validate(for_partial_fit)
        if self.multi_class == "softmax" and self.loss not in TOGETHER:
            names = " or ".join(map(repr, TOGETHER))
            raise ValueError(f"multi_class='softmax' goes with loss={names}, not with {self.loss!r}")

    def _learn(
        self, X: Any, y: Any, sample_weight: Any, max_iter: int, first: bool, coef_init: Any, intercept_init: Any
    ) -> None:
        classes = self.classes_
        class_weight = None
        if self.class_weight is not None:
            class_weight = compute_class_weight(self.class_weight, classes=classes, y=y).astype(X.dtype)
        weight = self._check_weights(sample_weight, X)
        scores = 1 if len(classes) == 2 else len(classes)
        coef, intercept = self._start(first, scores, X, coef_init, intercept_init)
        loss = self._loss(self.loss)
        if self._as_one:
            mask = self._split(y, weight)
            position = np.searchsorted(classes, y)
            if class_weight is not None:
                weight = weighed(weight, class_weight[position])
            seed = self._seed(self.random_state)
            one = Model(losses.get(TOGETHER[self.loss]), position.astype(X.dtype), weight, seed, scores)
            models: list[Callable[[], Model]] = [lambda: one]
        elif scores == 1:
            given = y.dtype == X.dtype and classes.tolist() == [-1, 1]
            encoded = y if given else signs(y, classes[1], X.dtype)
            mask = self._split(encoded, weight)
            if class_weight is not None:
                weight = weighed(weight, np.where(encoded > 0, class_weight[1], class_weight[0]))
            two = Model(loss, encoded, weight, self._seed(self.random_state))
            models = [lambda: two]
        else:
            mask = self._split(y, weight)
            seeds = check_random_state(self.random_state).randint(SEEDS, size=scores)

            def against_others(k: int) -> Model:
                encoded, weighted = signs(y, classes[k], X.dtype), weight
                if class_weight is not None:
                    weighted = weighed(weight, np.where(encoded > 0, class_weight[k], X.dtype.type(1)))
                return Model(loss, encoded, weighted, int(seeds[k]))

            models = [partial(against_others, k) for k in range(scores)]
        self._descend(X, models, coef, intercept, mask, max_iter)

    def _score(self, raw: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None) -> float:
        right = (raw[:, 0] > 0) == (y > 0) if raw.shape[1] == 1 else raw.argmax(axis=1) == y
        return float(np.average(right, weights=weight))
