"""What linear classifiers make of scores: labels, and probabilities where the loss has them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.metaestimators import available_if


def _has_probabilities(model: Any) -> bool:
    if not model._gives_probabilities():
        raise AttributeError(f"probability estimates are not available for loss={model.loss!r}")
    return True


class Labelled:
    """The common part of SGDClassifier and LossClassifier, behind `decision_function`."""

    classes_: NDArray[Any]
    decision_function: Any

    def _gives_probabilities(self) -> bool:
        """Tell whether the loss says what scores mean."""
        raise NotImplementedError

    def _probabilities(self, X: Any) -> NDArray[Any]:
        """Return the probabilities of the classes, shape (n, n_classes)."""
        raise NotImplementedError

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict labels.

        Parameters
        ----------
        X : array_like or sparse, shape (n, d)
            Rows.

        Returns
        -------
        ndarray, shape (n,)
        """
        scores = self.decision_function(X)
        found: NDArray[Any] = self.classes_[(scores > 0).astype(np.intp) if scores.ndim == 1 else scores.argmax(axis=1)]
        return found

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Estimate probabilities of the classes, where the loss says how.

        With one model per class they are made to add up to 1 by division.

        Parameters
        ----------
        X : array_like or sparse, shape (n, d)
            Rows.

        Returns
        -------
        ndarray, shape (n, n_classes)
        """
        return self._probabilities(X)

    @available_if(_has_probabilities)
    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Return the logarithms of `predict_proba`.

        Parameters
        ----------
        X : array_like or sparse, shape (n, d)
            Rows.

        Returns
        -------
        ndarray, shape (n, n_classes)
        """
        return np.log(self._probabilities(X))


def shares(likely: NDArray[Any]) -> NDArray[Any]:
    """Return probabilities that add up to 1 from those of the one class, or from one of each against the others."""
    if likely.ndim == 1 or likely.shape[1] == 1:
        return np.column_stack([1 - likely.ravel(), likely.ravel()])
    total = likely.sum(axis=1, keepdims=True)
    return np.where(total == 0, 1 / likely.shape[1], likely / np.where(total == 0, 1, total))
