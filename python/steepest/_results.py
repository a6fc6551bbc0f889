"""What a search for a minimum returns, and how it says that it was stopped."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from steepest._data import as_array, require_numeric
from steepest._frames import is_table, names_of
from steepest._scaled import Scaled
from steepest._sparse import as_sparse_rows, is_sparse

PREDICTED_AT_ONCE = 4096  # rows of narrow numbers


class Status(IntEnum):
    """How a run ended."""

    converged = 0
    ran_all_epochs = 1
    no_progress = 2
    stopped = 3
    diverged = 4
    interrupted = 5
    early_stopped = 6


class Result(OptimizeResult):  # type: ignore[misc]
    """SciPy's ``OptimizeResult`` with the model in it.

    Attributes
    ----------
    x : ndarray, shape (n_parameters,)
        The parameters: coefficients, then the intercept.
    fun : float
        The objective at x over all rows.
    jac : ndarray, shape (n_parameters,)
        Its gradient at x, without the kinks of penalties.
    coef, intercept : ndarray
        Views of x; the intercept is 0-dimensional. For a loss of K scores they have the shapes (K, n_features) and
        (K,), and ``x`` is ``[coef.ravel(), intercept]``. With ``normalize=True`` they are no views: x is of the
        normalised columns, they are of the columns as given.
    normalization : (mean, deviation) or None
        What the columns were normalised by, an array of shape (n_features,) each.
    nit, nfev, epochs : int
        Updates, evaluations of a batch or of all rows, and epochs done, earlier runs included.
    best_epoch : int or None
        After which epoch the held-out rows fitted best, 0 being the start; None where none are held out.
    success : bool
        Whether it ended as it should.
    status : Status
        A number, as SciPy has it, with a name.
    message : str
        The same in words.
    history : History
        One number per epoch: ``epoch``, ``running_objective``, ``objective``, ``step_size``, ``seconds``,
        ``validation``.
    seed : int
        What the order of rows depended on.
    classes : ndarray or None
        The sorted labels of a classification loss: of two the last is the positive one, of K each has a score.
    gap : float or None
        An upper bound of ``fun - optimum``, where one is known: from the dual of convex losses with penalties that
        hold every coefficient (L1, L2, elastic nets, groups, boxes, balls), intercepts and all. What rounding may take
        is in it, so it does not fall to zero. At convergence to a ``tol`` with L1, L2 or elastic nets it is within 10
        times of the truth, as far as rounding lets it; for losses with kinks, such as hinge, only where data
        are small: the numbers in X and 16 more a row, times K scores, make no more than 2 million.
    gap_reason : str or None
        Why there is none, which the message says too.
    feature_names : list of str
        The columns' names, where X was a table; ``predict`` wants those of a table in the same order.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _with_views, (type(self), dict(self))

    def copy(self) -> Result:
        """Return a shallow copy."""
        return type(self)(self)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the raw predictions for rows X, shape (n, d); the constant model predicts the same for all.

        Returns
        -------
        ndarray, shape (n,), or (n, K) for a loss of K scores

        Raises
        ------
        ValueError
            For rows of other columns than those of the fit.
        TypeError
            For results of networks and of traced losses with named parameters, which are no linear scores; for rows of
            anything but numbers.

        Examples
        --------
        >>> import steepest as st
        >>> result = st.minimize("mse", ([[1.0], [2.0]], [2.0, 4.0]))
        >>> result.predict([[3.0]]).round(6)
        array([6.])
        """
        if "params" in self:
            raise TypeError(
                "predict is for linear scores; call the model, or the function, with the parameters reached"
            )
        if isinstance(X, Scaled):
            scale, shift = X.per_column(self.coef.shape[-1], np.float64)
            intercept = self.intercept if shift is None else self.intercept + self.coef @ shift
            folded = Result(self, coef=(self.coef * scale), intercept=intercept)
            return folded.predict(X.X)
        if is_table(X):
            self._require_same_columns(names_of(X) or [])
        if not is_sparse(X):
            X = as_array(X, "X")
        if self.get("constant"):
            X = np.ones((X.shape[0], 1), dtype=self.x.dtype)
        require_numeric(X, "X")
        if X.ndim != 2 or X.shape[1] != self.coef.shape[-1]:
            raise ValueError(f"X must have shape (n, {self.coef.shape[-1]}), not {X.shape}")
        if is_sparse(X) and X.dtype.itemsize == 2 and X.dtype.kind not in "iu":
            X = as_sparse_rows(X, "X").matrix()  # SciPy does not know these types
        if is_sparse(X) or X.dtype.itemsize > 2:
            return np.asarray(X @ self.coef.T + self.intercept)
        # NumPy widens a whole operand at once.
        shape = (len(X), *self.coef.shape[:-1])
        predicted = np.empty(shape, dtype=np.result_type(self.coef.dtype, self.intercept.dtype, np.float32))
        for start in range(0, len(X), PREDICTED_AT_ONCE):
            part = slice(start, start + PREDICTED_AT_ONCE)
            predicted[part] = X[part].astype(predicted.dtype) @ self.coef.T + self.intercept
        return predicted

    def _require_same_columns(self, names: list[str]) -> None:
        for j, (name, fitted) in enumerate(zip(names, self.get("feature_names", names), strict=False)):
            if name != fitted:
                raise ValueError(f"column {j} of X is {name!r}, that of the fit was {fitted!r}")


def views_of(x: NDArray[Any], features: int, scores: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return coefficients and intercepts as views of x, given how many of it are coefficients, those of all scores."""
    coef, has_intercept = x[:features], x.size > features
    if scores:
        return coef.reshape(scores, -1), x[features:] if has_intercept else np.zeros(scores, dtype=x.dtype)
    return coef, x[features:].reshape(()) if has_intercept else np.zeros(())


def _with_views(kind: type[Result], fields: dict[str, Any]) -> Result:
    """Restore a result: its coefficients and intercept are views of x again."""
    result = kind(fields)
    views = {"x", "coef", "intercept"} <= result.keys() and result.get("normalization") is None
    if views and isinstance(result.coef, np.ndarray):
        size = result.coef.size
        result["coef"] = result.x[:size].reshape(result.coef.shape)
        if result.x.size > size:
            result["intercept"] = result.x[size:].reshape(np.shape(result.intercept))
    return result


class History(OptimizeResult):  # type: ignore[misc]
    """Arrays with one number per epoch, as attributes or keys.

    ``running_objective`` is the mean of the batch objectives met on the way; ``objective`` is the exact one at the end
    of the epoch, ``validation`` the mean loss of the held-out rows, without the penalty; NaN where not asked for.
    """


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of a run; ``result`` holds what was reached.

    Examples
    --------
    >>> import steepest as st
    >>> issubclass(st.Interrupted, KeyboardInterrupt)
    True
    """

    def __init__(self, result: Result) -> None:
        super().__init__("interrupted; .result holds the parameters reached")
        self.result = result


class ConvergenceWarning(UserWarning):
    """A run ended without what was asked of it: ``result.success`` is False and ``result.message`` says why."""
