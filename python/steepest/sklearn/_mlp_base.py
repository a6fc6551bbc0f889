"""What the networks share: parameters, starts, descents, forward passes."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from steepest import nn, optim, penalties
from steepest._results import Interrupted, Result
from steepest.sklearn._base import SEEDS
from steepest.sklearn._params import (
    Check,
    any_array,
    boolean,
    either,
    one_of,
    real,
    verbosity,
    whole,
)
from steepest.sklearn._weights import check_weights

ACTIVATIONS: dict[str, tuple[type[nn.Module] | None, Any]] = {
    "identity": (None, lambda z: z),
    "logistic": (nn.Sigmoid, expit),
    "tanh": (nn.Tanh, np.tanh),
    "relu": (nn.ReLU, lambda z: np.maximum(z, 0)),
}
LEAST_STEP = 1e-6  # of the adaptive learning rate


class MLP(BaseEstimator):
    """The common part of MLPClassifier and MLPRegressor."""

    _checks: ClassVar[dict[str, Check]] = {
        "hidden_layer_sizes": either(whole(1), any_array),
        "activation": one_of(ACTIVATIONS),
        "solver": one_of(["adam", "sgd", "lbfgs"]),
        "alpha": real(0),
        "batch_size": either(one_of(["auto"]), whole(1)),
        "learning_rate": one_of(["constant", "invscaling", "adaptive"]),
        "learning_rate_init": real(0, closed="neither"),
        "power_t": real(0),
        "max_iter": whole(1),
        "tol": real(0),
        "verbose": verbosity,
        "warm_start": boolean,
        "momentum": real(0, 1, "both"),
        "nesterovs_momentum": boolean,
        "early_stopping": boolean,
        "validation_fraction": real(0, 1),
        "beta_1": real(0, 1),
        "beta_2": real(0, 1),
        "epsilon": real(0, closed="neither"),
        "n_iter_no_change": either(whole(1), Check("infinity", lambda value: value == math.inf)),
        "max_fun": whole(1),
    }
    # Set by fitting.
    coefs_: list[NDArray[Any]]
    intercepts_: list[NDArray[Any]]
    best_loss_: float | None
    best_validation_score_: float | None
    validation_scores_: list[float] | None

    def _hidden(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        listed = [int(size) for size in (sizes if hasattr(sizes, "__iter__") else [sizes])]
        if any(size < 1 for size in listed):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {listed}.")
        return listed

    def _learn(self, X: Any, y: NDArray[Any], sample_weight: Any, outputs: int, loss: str, incremental: bool) -> None:
        """Train on encoded targets, from new parameters or from those there are."""
        weight = check_weights(sample_weight, X)
        random = check_random_state(self.random_state)
        fresh = not hasattr(self, "coefs_") or (not incremental and not self.warm_start)
        if fresh:
            self._initialise([X.shape[1], *self._hidden(), outputs], X.dtype, random)
        held = None
        if self.early_stopping and self.solver != "lbfgs":
            if incremental:
                raise ValueError("partial_fit does not support early_stopping=True")
            X, y, weight, held = self._split(X, y, weight, random)
        model = self._module(X.dtype)
        seed = int(random.randint(SEEDS))
        try:
            if self.solver == "lbfgs":
                self._descend_deterministically(model, X, y, weight, loss)
            else:
                self._descend(model, X, y, weight, loss, seed, held, incremental)
        finally:
            if not self.early_stopping or self.solver == "lbfgs":
                self.coefs_, self.intercepts_ = _parameters(model)

    def _initialise(self, units: list[int], dtype: Any, random: Any) -> None:
        """Draw parameters as Glorot and Bengio do, in scikit-learn's order."""
        self.n_layers_, self.n_outputs_ = len(units), units[-1]
        self.n_iter_, self.t_ = 0, 0
        self.coefs_, self.intercepts_ = [], []
        self._before: Result | None = None
        for fan_in, fan_out in itertools.pairwise(units):
            bound = math.sqrt((2.0 if self.activation == "logistic" else 6.0) / (fan_in + fan_out))
            self.coefs_.append(random.uniform(-bound, bound, (fan_in, fan_out)).astype(dtype, copy=False))
            self.intercepts_.append(random.uniform(-bound, bound, fan_out).astype(dtype, copy=False))
        self.loss_curve_: list[float] = []
        self._idle = 0
        self.best_loss_ = None if self.early_stopping else math.inf
        self.validation_scores_ = [] if self.early_stopping else None
        self.best_validation_score_ = -math.inf if self.early_stopping else None

    def _module(self, dtype: Any) -> nn.Sequential:
        """Return a model that starts with the parameters there are."""
        layers: list[nn.Module] = []
        activation = ACTIVATIONS[self.activation][0]
        state = {}
        for i, (coef, intercept) in enumerate(zip(self.coefs_, self.intercepts_, strict=True)):
            if i and activation is not None:
                layers.append(activation())
            state[f"{len(layers)}.weight"], state[f"{len(layers)}.bias"] = np.ascontiguousarray(coef.T), intercept
            layers.append(nn.Linear(coef.shape[0], coef.shape[1], dtype=dtype))
        model = nn.Sequential(*layers)
        model.load_state_dict(state)
        return model

    def _penalty(self, rows: int, weight: NDArray[Any] | None) -> penalties.Penalty | None:
        """Return the penalty of a batch: scikit-learn divides it by the weight of the batch's rows."""
        mean = 1.0 if weight is None else float(weight.mean(dtype=np.float64))
        return penalties.get("l2", alpha=self.alpha / (rows * mean)) if self.alpha > 0 else None

    def _rule(self) -> optim.Rule:
        if self.solver == "adam":
            return optim.get("adam", beta1=self.beta_1, beta2=self.beta_2, eps=self.epsilon)
        if self.momentum == 0:
            return optim.get("sgd")
        return optim.get("nesterov" if self.nesterovs_momentum else "momentum", momentum=self.momentum)

    def _descend(
        self,
        model: nn.Sequential,
        X: Any,
        y: NDArray[Any],
        weight: Any,
        loss: str,
        seed: int,
        held: Any,
        incremental: bool,
    ) -> None:
        rows = len(X)
        size = min(200 if self.batch_size == "auto" else self.batch_size, rows)
        if self.batch_size != "auto" and self.batch_size > rows:
            warnings.warn(
                f"batch_size={self.batch_size} is more than the {rows} rows: all of them are taken", stacklevel=4
            )
        options: dict[str, Any] = {
            "method": self._rule(),
            "batch_size": size,
            "penalty": self._penalty(size, weight),
            "shuffle": self.shuffle,
            "sample_weight": weight,
            "seed": seed,
            "check_finite": False,
        }
        step, first, total = float(self.learning_rate_init), self.t_, 1 if incremental else self.max_iter
        before = self._before if incremental else None
        done = 0 if before is None else before.epochs
        self.n_iter_ = 0
        if not incremental:
            self._idle = 0

        def watch(reached: Any) -> bool:
            self.n_iter_ += 1
            self.t_ += rows
            self.loss_ = float(reached.fun)
            self.loss_curve_.append(self.loss_)
            if self.verbose:
                print(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}")
            self._judge(model, held)
            return self._idle > self.n_iter_no_change

        def step_at(time: float) -> float:
            return step / (first + math.floor(time - done) * rows + 1) ** self.power_t

        falling = self.solver == "sgd" and self.learning_rate == "invscaling"
        try:
            while True:
                before = nn.fit(
                    model,
                    loss,
                    (X, y),
                    x0=before,
                    epochs=total - self.n_iter_,
                    step_size=step_at if falling else step,
                    callback=watch,
                    **options,
                )
                exhausted = self._idle > self.n_iter_no_change
                adaptive = self.solver == "sgd" and self.learning_rate == "adaptive" and step > LEAST_STEP
                if not (exhausted and adaptive) or self.n_iter_ >= total:
                    break
                step, self._idle = step / 5, 0
        except Interrupted as stopped:
            before = stopped.result
            raise
        finally:
            self._before = before
        if not incremental and not exhausted and self.n_iter_ == self.max_iter:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                "converged yet.",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _judge(self, model: nn.Sequential, held: Any) -> None:
        """Count epochs without progress, by the loss or by the score of rows held out."""
        if held is None:
            assert self.best_loss_ is not None
            self._idle = self._idle + 1 if self.loss_ > self.best_loss_ - self.tol else 0
            self.best_loss_ = min(self.best_loss_, self.loss_)
            return
        assert self.best_validation_score_ is not None
        assert self.validation_scores_ is not None
        coefs, intercepts = _parameters(model)
        score = self._held_score(self._forward(held[0], coefs, intercepts), held[1], held[2])
        self.validation_scores_.append(score)
        if self.verbose:
            print(f"Validation score: {score:f}")
        self._idle = self._idle + 1 if score < self.best_validation_score_ + self.tol else 0
        if score > self.best_validation_score_:
            self.best_validation_score_ = score
            self.coefs_, self.intercepts_ = coefs, intercepts

    def _descend_deterministically(self, model: nn.Sequential, X: Any, y: NDArray[Any], weight: Any, loss: str) -> None:
        result = nn.fit(
            model,
            loss,
            (X, y),
            method="l-bfgs-b",
            penalty=self._penalty(len(X), weight),
            sample_weight=weight,
            epochs=self.max_iter,
            seed=0,
            check_finite=False,
        )
        self.n_iter_, self.loss_ = int(result.nit), float(result.fun)

    def _split(self, X: Any, y: NDArray[Any], weight: Any, random: Any) -> tuple[Any, NDArray[Any], Any, Any]:
        """Return the rows to learn from, and those held out."""
        rows = np.arange(len(X))
        stratify = y if is_classifier(self) and self.n_outputs_ == 1 else None
        train, test = train_test_split(rows, random_state=random, test_size=self.validation_fraction, stratify=stratify)
        if len(test) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        held = X[test], y[test], None if weight is None else weight[test]
        return X[train], y[train], None if weight is None else weight[train], held

    def _held_score(self, raw: NDArray[Any], y: NDArray[Any], weight: Any) -> float:
        """Return how good raw outputs are."""
        raise NotImplementedError

    def _forward(self, X: Any, coefs: list[NDArray[Any]], intercepts: list[NDArray[Any]]) -> NDArray[Any]:
        """Return the raw outputs, shape (n, n_outputs)."""
        activation = ACTIVATIONS[self.activation][1]
        z = X
        for i, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
            z = (activation(z) if i else z) @ coef + intercept
        return z

    def _raw_prediction(self, X: Any) -> NDArray[Any]:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return self._forward(X, self.coefs_, self.intercepts_)


def _parameters(model: nn.Sequential) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Return copies of a model's coefficients, shape (inputs, outputs), and intercepts, layer by layer."""
    state = model.state_dict()
    coefs = [np.array(array.T, order="C") for name, array in state.items() if name.endswith("weight")]
    return coefs, [np.array(array) for name, array in state.items() if name.endswith("bias")]


def trains_in_parts(model: Any) -> bool:
    if model.solver == "lbfgs":
        raise AttributeError(
            f"partial_fit is only available for stochastic optimizers. {model.solver} is not stochastic."
        )
    return True
