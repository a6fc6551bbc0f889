"""What the linear estimators share: parameters, checked data, starts, splits, predictions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

import joblib
import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.utils import assert_all_finite, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from steepest import _core, losses, optim, penalties
from steepest._data import Data, as_any_rows
from steepest._threads import default_threads
from steepest.sklearn._descent import PLAIN, Plan, Reached, descend, require_finished
from steepest.sklearn._params import (
    Check,
    any_real,
    any_whole,
    boolean,
    check_params,
    either,
    instance,
    nothing,
    one_of,
    real,
    verbosity,
    whole,
)
from steepest.sklearn._weights import check_weights

EPSILON = 0.1
LEARNING_RATES = ("constant", "optimal", "invscaling", "adaptive")
SEEDS = np.iinfo(np.int32).max
WORTH_THREADS = 1 << 17  # numbers in the data
STATES = ("_standard_coef", "_standard_intercept", "_average_coef", "_average_intercept")


class Refused(Exception):
    """Rows that will not do, found when attributes were already set; its argument is the complaint."""


@contextmanager
def unchanged_where_refused(model: BaseEstimator) -> Iterator[None]:
    """Raise the complaint about rows that will not do, with the model's attributes as they were before."""
    before = vars(model).copy()
    try:
        yield
    except Refused as refused:
        vars(model).clear()
        vars(model).update(before)
        raise refused.args[0] from None


class Model(NamedTuple):
    """One model of a pointwise loss, or of a loss of several scores."""

    loss: losses.Loss
    y: NDArray[Any]
    weight: NDArray[Any] | None
    seed: int
    scores: int = 0


class LinearSGD(BaseEstimator):
    """The common part of SGDClassifier and SGDRegressor."""

    loss_functions: ClassVar[dict[str, tuple[Any, ...]]] = {
        "squared_error": (losses.get("squared_error").__class__,),
        "huber": (losses.get("huber").__class__, EPSILON),
        "epsilon_insensitive": (losses.get("epsilon_insensitive").__class__, EPSILON),
        "squared_epsilon_insensitive": (losses.get("squared_epsilon_insensitive").__class__, EPSILON),
    }
    # Set by __init__ of the classes and by fitting.
    coef_: Any
    intercept_: Any
    _standard_coef: NDArray[Any]
    _standard_intercept: NDArray[Any]
    _single: ClassVar[bool] = False  # whether coef_ has one dimension
    _checks: ClassVar[dict[str, Check]] = {
        "penalty": either(one_of(("l2", "l1", "elasticnet")), nothing),
        "alpha": real(0),
        "l1_ratio": either(real(0, 1, "both"), nothing),
        "fit_intercept": boolean,
        "max_iter": whole(1),
        "tol": either(real(0), nothing),
        "verbose": verbosity,
        "epsilon": real(0),
        "learning_rate": one_of((*LEARNING_RATES, "pa1", "pa2")),
        "eta0": real(0, closed="neither"),
        "power_t": any_real,
        "early_stopping": boolean,
        "validation_fraction": real(0, 1, "neither"),
        "n_iter_no_change": whole(1),
        "warm_start": boolean,
        "average": either(boolean, whole(1)),
        "n_jobs": either(any_whole, nothing),
        "batch_size": whole(1),
        "optimizer": either(instance(str, "a name of st.optim"), instance(optim.Rule, "a rule of st.optim")),
    }

    def _validate(self, for_partial_fit: bool = False) -> None:
        """Check the parameters, each and together."""
        check_params(self, self._checks)
        if self.early_stopping and for_partial_fit:
            raise ValueError("early_stopping should be False with partial_fit")
        if self.learning_rate in ("pa1", "pa2"):
            raise ValueError(
                f"learning_rate={self.learning_rate!r} is not supported: passive-aggressive steps depend on each row's "
                "loss. Use one of 'constant', 'optimal', 'invscaling', 'adaptive'."
            )
        if self.learning_rate == "optimal" and self.alpha == 0 and self._plain:
            raise ValueError("alpha must be positive with learning_rate='optimal', whose steps are 1 / (alpha * t)")
        if self.penalty == "elasticnet" and self.l1_ratio is None:
            raise ValueError("l1_ratio must be set when penalty is 'elasticnet'")
        if self.average and self.optimizer != "sgd":
            raise ValueError(f"average goes with optimizer='sgd', not with {self.optimizer!r}")

    @property
    def _plain(self) -> bool:
        """Whether the steps are scikit-learn's."""
        return self.step_size is None and self.optimizer == "sgd"

    def _check_X_y(self, X: Any, y: Any, reset: bool) -> tuple[Any, NDArray[Any]]:
        """Return the data as the core reads it: float64 or float32, dense rows in C order or CSR.

        What is not finite is looked for later, see `_descend`.
        """
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            order="C",
            ensure_all_finite=False,
            reset=reset,
        )
        return X, y

    def _require_sound(self, X: Any) -> None:
        """Raise Refused for rows that hold numbers which are not finite, or columns out of range."""
        try:
            # The core looks at the speed of memory; the complaint is scikit-learn's.
            if not _core.all_finite(X.data if scipy.sparse.issparse(X) else X):
                assert_all_finite(X, estimator_name=type(self).__name__, input_name="X")
            as_any_rows(X)
        except ValueError as error:
            raise Refused(error) from None

    def _check_weights(self, sample_weight: Any, X: Any) -> NDArray[Any] | None:
        # With early stopping the split says more about weights that are all zero.
        return check_weights(sample_weight, X, all_zero=self.early_stopping)

    def _allocate(
        self, scores: int, features: int, dtype: Any, coef_init: Any, intercept_init: Any
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return where to start: coefficients of shape (scores, features), intercepts of shape (scores,)."""
        coef = np.zeros((scores, features), dtype=dtype)
        intercept = np.zeros(scores, dtype=dtype)
        if coef_init is not None:
            given = np.asarray(coef_init.toarray() if scipy.sparse.issparse(coef_init) else coef_init, dtype=dtype)
            if given.size != coef.size or (scores > 1 and given.shape != coef.shape):
                raise ValueError(
                    f"Provided coef_init does not match dataset: its shape is {given.shape}, "
                    f"not {coef.shape if scores > 1 else (features,)}."
                )
            coef[...] = given.reshape(coef.shape)
        if intercept_init is not None:
            given = np.asarray(intercept_init, dtype=dtype)
            if given.size != scores or (scores > 1 and given.shape != (scores,)):
                raise ValueError(
                    f"Provided intercept_init does not match dataset: its shape is {given.shape}, not ({scores},)."
                )
            intercept[...] = given.reshape(scores)
        return coef, intercept

    def _split(self, y: NDArray[Any], weight: NDArray[Any] | None) -> NDArray[np.bool_] | None:
        """Return which rows validate, None where all are learnt from."""
        if not self.early_stopping:
            return None
        splitter = StratifiedShuffleSplit if is_classifier(self) else ShuffleSplit
        split = splitter(test_size=self.validation_fraction, random_state=self.random_state)
        train, validation = next(split.split(np.zeros((len(y), 1)), y))
        if weight is not None and not weight[validation].any():
            raise ValueError(
                "The sample weights for validation set are all zero, consider using a different random state."
            )
        if not len(train) or not len(validation):
            raise ValueError(
                f"validation_fraction={self.validation_fraction} of {len(y)} samples leaves {len(train)} to learn from "
                f"and {len(validation)} to validate with: change it, or set early_stopping=False"
            )
        mask = np.zeros(len(y), dtype=bool)
        mask[validation] = True
        return mask

    def _plan(self, loss: losses.Loss, max_iter: int, threads: int) -> Plan:
        rule = self.optimizer
        if isinstance(rule, str):
            # Calls of `partial_fit` with few rows come by the thousand: what they all have is made once.
            rule = PLAIN if rule == "sgd" else optim.get(rule)
        penalty: penalties.Penalty | None = None
        if self.alpha > 0 and self.penalty is not None:
            ratio = float({"l2": 0.0, "l1": 1.0}.get(self.penalty, self.l1_ratio or 0.0))
            if ratio == 0:
                penalty = penalties.get("l2", alpha=self.alpha)
            elif ratio == 1:
                penalty = penalties.get("l1", alpha=self.alpha)
            else:
                penalty = penalties.get("elastic_net", alpha=self.alpha, l1_ratio=ratio)
        return Plan(
            loss=loss,
            penalty=penalty,
            fit_intercept=bool(self.fit_intercept),
            rule=rule,
            step_size=self.step_size,
            learning_rate=self.learning_rate,
            alpha=float(self.alpha),
            eta0=float(self.eta0),
            power_t=float(self.power_t),
            batch_size=int(self.batch_size),
            shuffle=bool(self.shuffle) if isinstance(self.shuffle, np.bool_) else self.shuffle,
            max_iter=int(max_iter),
            tol=None if self.tol is None else float(self.tol),
            n_iter_no_change=int(self.n_iter_no_change),
            threads=threads,
            verbose=int(self.verbose),
            average=int(self.average),
        )

    def _threads(self, X: Any, models: int = 1) -> int:
        """Return how many threads each of several models fitted at the same time may use."""
        if self.n_jobs is not None:
            return max(1, int(joblib.effective_n_jobs(self.n_jobs)) // models)
        worth = models == 1 and self.batch_size > 1 and X.shape[0] * X.shape[1] >= WORTH_THREADS
        return default_threads() if worth else 1

    def _loss(self, name: str) -> losses.Loss:
        kind, *default = self.loss_functions[name]
        found: losses.Loss = kind(self.epsilon) if default else kind()
        return found

    def _updates(self, rows: int) -> int:
        """Return how many updates an epoch has."""
        return -(-rows // min(self.batch_size, rows))

    def _seed(self, random_state: Any) -> int:
        return int(check_random_state(random_state).randint(SEEDS))

    def _warn_after_fit(self) -> None:
        if self.tol is not None and self.n_iter_ == self.max_iter:
            warnings.warn(
                "Maximum number of iteration reached before convergence. Consider increasing max_iter to improve the "
                "fit.",
                ConvergenceWarning,
                stacklevel=3,
            )
        if self.power_t < 0:
            warnings.warn(
                "Negative values for `power_t` are deprecated, as in scikit-learn: steps would grow without end.",
                FutureWarning,
                stacklevel=3,
            )

    def _start(
        self, first: bool, scores: int, X: Any, coef_init: Any, intercept_init: Any
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return where to start: what was given, where the last call ended, or zeros."""
        if first:
            self.t_ = 1.0
            for name in STATES:
                self.__dict__.pop(name, None)
        elif hasattr(self, "_standard_coef"):
            coef_init, intercept_init = self._standard_coef, self._standard_intercept
        else:
            coef_init, intercept_init = self.coef_, self.intercept_
        coef, intercept = self._allocate(scores, X.shape[1], X.dtype, coef_init, intercept_init)
        if self.average and not hasattr(self, "_average_coef"):
            self._average_coef, self._average_intercept = np.zeros_like(coef), np.zeros_like(intercept)
        return coef, intercept

    def _descend(
        self,
        X: Any,
        models: Sequence[Callable[[], Model]],
        coef: NDArray[Any],
        intercept: NDArray[Any],
        mask: NDArray[np.bool_] | None,
        max_iter: int,
    ) -> None:
        """Fit one model of all scores, or one for each, made when its turn comes; set the attributes.

        One plain descent meets every number of all rows in its first epoch. What will not do gives itself away there,
        by predictions that are no numbers, and the rows are looked through only then. All else looks first.
        """
        together = len(models) == 1
        looks_first = not (together and self._plain and mask is None and holds_only_rows(X))
        if looks_first:
            self._require_sound(X)
        parts = [slice(None)] if together else [slice(i, i + 1) for i in range(len(models))]
        threads = self._threads(X, len(models))
        readable = as_any_rows(X, doubtful=not looks_first)
        train = None if mask is None else np.flatnonzero(~mask).astype(np.uint32)
        held = None if mask is None else X[mask]
        stopped: list[BaseException] = []

        def run(make: Callable[[], Model], part: slice) -> Reached:
            start = flat(coef[part], intercept[part], self.fit_intercept)
            if stopped:
                return Reached(start, 0)
            model = make()
            mean = None
            if self.average:
                mean = flat(self._average_coef[part], self._average_intercept[part], self.fit_intercept)
            score = None
            if mask is not None:
                y, weight = model.y[mask], None if model.weight is None else model.weight[mask]

                def score(x: NDArray[Any]) -> float:
                    w, b = self._parts(x, coef[part], intercept[part])
                    return self._score(held @ w.T + b, y, weight)

            data = Data(readable, model.y, model.weight, 1.0, None, model.scores, rows=train)
            plan = self._plan(model.loss, max_iter, threads)
            reached = descend(plan, data, start, self.t_, model.seed, score, mean)
            if reached.failure is not None:
                stopped.append(reached.failure)
            return reached

        if together:
            ends = [run(models[0], parts[0])]
        else:
            ends = joblib.Parallel(n_jobs=self.n_jobs, verbose=int(self.verbose), require="sharedmem")(
                joblib.delayed(run)(model, part) for model, part in zip(models, parts, strict=True)
            )
        if not looks_first and any(reached.overflow or isinstance(reached.failure, ValueError) for reached in ends):
            self._require_sound(X)
        self._keep(ends, parts, coef, intercept, self._updates(X.shape[0]))
        for reached in ends:
            require_finished(reached)

    def _keep(
        self, ends: Sequence[Reached], parts: Sequence[slice], coef: NDArray[Any], intercept: NDArray[Any], updates: int
    ) -> None:
        """Set the attributes that a descent leaves."""
        for reached, part in zip(ends, parts, strict=True):
            coef[part], intercept[part] = self._parts(reached.x, coef[part], intercept[part])
            if reached.mean is not None:
                average, average_intercept = self._average_coef, self._average_intercept
                average[part], average_intercept[part] = self._parts(reached.mean, average[part], intercept[part])
        self.n_iter_ = max(reached.epochs for reached in ends)
        self.t_ += self.n_iter_ * updates
        self.coef_, self.intercept_ = coef, intercept
        if self.average:
            self._standard_coef, self._standard_intercept = coef, intercept
            if self.average <= self.t_ - 1:
                self.coef_, self.intercept_ = self._average_coef.copy(), self._average_intercept.copy()
        if self._single:
            self.coef_ = self.coef_.ravel()

    def _parts(self, x: NDArray[Any], coef: NDArray[Any], intercept: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return coefficients and intercepts in parameters of the core, in the shapes of these."""
        return x[: coef.size].reshape(coef.shape), x[coef.size :] if self.fit_intercept else intercept

    def _score(self, raw: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None) -> float:
        """Return how good raw predictions, shape (n, scores), are."""
        raise NotImplementedError

    def _raw_prediction(self, X: Any) -> NDArray[Any]:
        """Return X @ coef + intercept of new rows, shape (n, scores) or (n,) for a single score."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", reset=False)
        scores = X @ self.coef_.T
        if scipy.sparse.issparse(scores):
            scores = scores.toarray()
        scores = np.asarray(scores) + self.intercept_
        return scores.ravel() if scores.ndim == 1 or scores.shape[1] == 1 else scores

    def densify(self) -> Any:
        """Turn the coefficients into an array again.

        Returns
        -------
        self
        """
        check_is_fitted(self, msg="Estimator, %(name)s, must be fitted before densifying.")
        if scipy.sparse.issparse(self.coef_):
            self.coef_ = self.coef_.toarray()
        return self

    def sparsify(self) -> Any:
        """Turn the coefficients into a CSR matrix: smaller and faster where L1 has made most of them zero.

        Returns
        -------
        self
        """
        check_is_fitted(self, msg="Estimator, %(name)s, must be fitted before sparsifying.")
        self.coef_ = scipy.sparse.csr_matrix(np.atleast_2d(self.coef_))
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def holds_only_rows(X: Any) -> bool:
    """Tell whether all numbers stored belong to a row, which those of CSR matrices need not."""
    return not scipy.sparse.issparse(X) or (X.indptr[0] == 0 and X.indptr[-1] == X.data.size == X.indices.size)


def flat(coef: NDArray[Any], intercept: Any, fit_intercept: bool) -> NDArray[Any]:
    """Return coefficients and, where they are fitted, intercepts as the core's parameters."""
    return np.append(coef.ravel(), intercept).astype(coef.dtype, copy=False) if fit_intercept else coef.ravel().copy()
