"""SGDRegressor."""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from steepest.sklearn._base import EPSILON, LinearSGD, Model, unchanged_where_refused
from steepest.sklearn._params import Check, keeping_arguments, one_of


class SGDRegressor(RegressorMixin, LinearSGD):
    """Linear regression by stochastic gradient descent: a drop-in for scikit-learn's.

    Parameters
    ----------
    loss : {"squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"}
        What is minimised; `steepest.sklearn.LossRegressor` takes any other.
    penalty : {"l2", "l1", "elasticnet"} or None
        Added to the mean loss, times `alpha`.
    alpha : float
        Strength of the penalty; also decides the steps of ``learning_rate="optimal"``.
    l1_ratio : float
        Share of L1 in "elasticnet".
    fit_intercept : bool
        Whether there is an intercept, which no penalty acts on.
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
    random_state : int, RandomState or None
        Decides the order of the rows and the validation set.
    learning_rate : {"invscaling", "constant", "optimal", "adaptive"}
        ``eta0 / t**power_t``, ``eta0``, ``1 / (alpha * (t0 + t))``, or ``eta0`` divided by 5 whenever progress ends.
        t counts updates. "pa1" and "pa2" are refused.
    eta0 : float
        The first step.
    power_t : float
        Exponent of "invscaling".
    early_stopping : bool
        Whether progress is judged by the score on rows set aside.
    validation_fraction : float
        How many of the rows those are.
    n_iter_no_change : int
        Epochs without progress that end a run.
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
    n_jobs : int or None
        Threads for one model. None takes what the machine, joblib and ``OMP_NUM_THREADS`` leave, where that pays.

    Attributes
    ----------
    coef_ : ndarray, shape (n_features,)
        Coefficients.
    intercept_ : ndarray, shape (1,)
        The intercept.
    n_iter_ : int
        Epochs done by the last fit.
    t_ : float
        Updates done, and one.
    n_features_in_, feature_names_in_
        As scikit-learn has them.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.sklearn import SGDRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 3))
    >>> y = X @ [1.0, -2.0, 0.5] + 3.0
    >>> model = SGDRegressor(max_iter=50, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.999)
    True
    """

    loss_functions = LinearSGD.loss_functions
    _checks: ClassVar[dict[str, Check]] = {**LinearSGD._checks, "loss": one_of(loss_functions)}
    _single = True

    @keeping_arguments
    def __init__(
        self,
        loss: str = "squared_error",
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
        random_state: Any = None,
        learning_rate: str = "invscaling",
        eta0: float = 0.01,
        power_t: float = 0.25,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        warm_start: bool = False,
        average: bool | int = False,
        batch_size: int = 1,
        optimizer: Any = "sgd",
        step_size: Any = None,
        n_jobs: int | None = None,
    ) -> None: ...

    def fit(
        self,
        X: Any,
        y: Any,
        coef_init: ArrayLike | None = None,
        intercept_init: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> SGDRegressor:
        """Fit from the start, or with ``warm_start=True`` from the last coefficients.

        Parameters
        ----------
        X : array_like or sparse, shape (n, d)
            Rows.
        y : array_like, shape (n,)
            Targets.
        coef_init : array_like, shape (d,), optional
            Where to start.
        intercept_init : array_like, shape (1,), optional
            Where the intercept starts.
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
        self._learn(X, y, sample_weight, self.max_iter, True, coef_init, intercept_init)
        self._warn_after_fit()
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> SGDRegressor:
        """Go on by one epoch over these rows.

        Parameters
        ----------
        X : array_like or sparse, shape (n, d)
            Rows.
        y : array_like, shape (n,)
            Targets.
        sample_weight : array_like, shape (n,), optional
            Weights of the rows.

        Returns
        -------
        self
        """
        self._validate(for_partial_fit=True)
        self._learn(X, y, sample_weight, 1, not hasattr(self, "coef_"), None, None)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict targets.

        Parameters
        ----------
        X : array_like or sparse, shape (n, d)
            Rows.

        Returns
        -------
        ndarray, shape (n,)
        """
        return self._raw_prediction(X)

    def _learn(
        self, X: Any, y: Any, sample_weight: Any, max_iter: int, first: bool, coef_init: Any, intercept_init: Any
    ) -> None:
        X, y = self._check_X_y(X, y, reset=first)
        y = y.astype(X.dtype, copy=False)
        weight = self._check_weights(sample_weight, X)
        with unchanged_where_refused(self):
            coef, intercept = self._start(first, 1, X, coef_init, intercept_init)
            mask = self._split(y, weight)
            model = Model(self._loss(self.loss), y, weight, self._seed(self.random_state))
            self._descend(X, [lambda: model], coef, intercept, mask, max_iter)

    def _score(self, raw: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None) -> float:
        return float(r2_score(y, raw, sample_weight=weight))
