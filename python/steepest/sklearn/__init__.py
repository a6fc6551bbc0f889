"""Estimators with scikit-learn's interface: change one import line and go on."""

from steepest._extras import require

require("sklearn", extra="sklearn")

from steepest.sklearn._classifier import SGDClassifier  # noqa: E402
from steepest.sklearn._loss import LossClassifier, LossRegressor  # noqa: E402
from steepest.sklearn._mlp import MLPClassifier, MLPRegressor  # noqa: E402
from steepest.sklearn._regressor import SGDRegressor  # noqa: E402

__all__ = ["LossClassifier", "LossRegressor", "MLPClassifier", "MLPRegressor", "SGDClassifier", "SGDRegressor"]
