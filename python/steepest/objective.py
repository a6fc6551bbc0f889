"""The objective as a function of the parameters: value, gradient, and how curved it can be."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from scipy.linalg.blas import dsyrk

from steepest import _core, losses, penalties
from steepest._data import FLOATS, Data, as_array, check_data, mean_of, require_numeric
from steepest._rows import resolve_rows
from steepest._sparse import SparseRows, gram_parts
from steepest._threads import default_threads
from steepest.autodiff._loss import TracedLoss

GRAM_COLUMNS = 2000  # beyond, the Gram matrix costs more than the descent it would help
GRAM_ROWS = 4096


class Objective:
    """The weighted mean of a loss over data plus a penalty, as a function of the parameters.

    Parameters
    ----------
    loss : str, Loss or traced loss
        A name of ``st.losses.available()``, an object, or a function under ``@st.loss``.
    data : (X, y) or y
        Rows of shape (n, d) with targets of shape (n,), or targets alone for the constant model; K targets per row are
        of shape (n, K).
    penalty : Penalty or str, optional
        On the coefficients, never on the intercept.
    sample_weight : array_like, shape (n,), optional
        Weights of the rows.
    rows : array_like or slice, optional
        The only rows to take, as for ``minimize``: positions, a mask of shape (n,), or a slice.
    fit_intercept : bool
        Whether the last parameter, or the last K for a loss of K scores, are intercepts.
    check_finite : bool
        Whether X is searched for NaN and infinities first.
    x0 : array_like or nested dictionary, optional
        Gives the parameters of a traced loss their shapes, where the data does not; x is always flat.

    Attributes
    ----------
    n_parameters : int
        Length of x: one per feature, then the intercept; one for the constant model. A loss of K scores has K rows of
        them, one after the other, then K intercepts.

    Examples
    --------
    >>> import numpy as np, scipy.optimize, steepest as st
    >>> X = np.array([[1.0, 2.0], [3.0, 1.0], [2.0, 5.0]])
    >>> objective = st.Objective("squared_error", (X, [3.0, 4.0, 7.0]))
    >>> found = scipy.optimize.minimize(objective.value_and_gradient, np.zeros(2), jac=True)
    >>> np.round(found.x, 6)
    array([1., 1.])
    """

    def __init__(
        self,
        loss: str | losses.Loss | TracedLoss,
        data: Any,
        penalty: str | penalties.Penalty | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        rows: ArrayLike | slice | None = None,
        fit_intercept: bool = False,
        check_finite: bool = True,
        x0: Any = None,
    ) -> None:
        self.penalty = penalties.resolve(penalty)
        self.fit_intercept = bool(fit_intercept)
        self.loss: Any
        self._data: Any = None  # of the core's losses only
        shape: tuple[int, ...] = ()
        if isinstance(loss, TracedLoss):
            if fit_intercept:
                raise ValueError("fit_intercept does not go with a traced loss: make it a parameter")
            self.loss = loss
            traced = loss.problem(data, x0, sample_weight, check_finite)
            self._problem, self._dtype = traced.problem, traced.start.dtype
            if rows is not None:
                chosen = resolve_rows(rows, self._problem.rows)
                weight = None if sample_weight is None else as_array(sample_weight, "sample_weight")
                mean = 1.0 if weight is None else mean_of(weight[chosen], "sample_weight of the rows given by rows=")
                self._problem = self._problem.subset(chosen, mean)
            shape = traced.layout.shape
        else:
            self.loss = resolve_loss(loss)
            self._data = check_data(self.loss, data, sample_weight, self.fit_intercept, check_finite, rows)
            self._problem = trained_problem(self.loss, self._data, self.fit_intercept)
            self._dtype = self._data.y.dtype
        self._problem.threads = default_threads()
        self.n_parameters: int = self._problem.parameters
        self._penalised: int = self._problem.penalised
        self.penalty = penalties.fitted(self.penalty, self._data, self._penalised, shape)

    def __getstate__(self) -> dict[str, Any]:
        if self._data is None:
            raise TypeError("an Objective of a traced loss cannot be pickled: make it anew from the loss and the data")
        return {name: value for name, value in vars(self).items() if name != "_problem"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._problem = trained_problem(self.loss, self._data, self.fit_intercept)
        self._problem.threads = default_threads()

    def value(self, x: ArrayLike) -> float:
        """Return the objective at x, shape (n_parameters,).

        Examples
        --------
        >>> import steepest as st
        >>> st.Objective("mse", [12.0, 13.0, 15.0, 16.0, 17.0]).value([14.6])
        3.44
        """
        x = self._parameters(x)
        return float(self._problem.value(x)) + self._penalty_value(x)

    def values(self, points: ArrayLike) -> NDArray[np.float64]:
        """Return the objective at each of m points, shape (m, n_parameters), reading the rows once for all.

        Examples
        --------
        >>> import steepest as st
        >>> st.Objective("mse", [12.0, 16.0]).values([[12.0], [14.0]])
        array([8., 4.])
        """
        points = as_array(points, "points")
        require_numeric(points, "points")
        if points.ndim != 2 or points.shape[1] != self.n_parameters:
            raise ValueError(f"points must have shape (m, {self.n_parameters}), not {points.shape}")
        result: NDArray[np.float64] = self._problem.values(np.ascontiguousarray(points, dtype=self._dtype))
        if self.penalty is not None:
            result += [self._penalty_value(point) for point in points]
        return result

    def gradient(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return the gradient of the objective at x: a subgradient where it has a kink.

        Examples
        --------
        >>> import steepest as st
        >>> st.Objective("mse", [12.1, 12.8, 14.9, 16.3, 17.2]).gradient([12.0])
        array([-5.32])
        """
        return self.value_and_gradient(x)[1]

    def value_and_gradient(self, x: ArrayLike) -> tuple[float, NDArray[np.float64]]:
        """Return both in one pass over the data, for ``scipy.optimize.minimize(..., jac=True)``.

        Examples
        --------
        >>> import steepest as st
        >>> st.Objective("mse", [12.0, 16.0]).value_and_gradient([12.0])
        (8.0, array([-4.]))
        """
        x = self._parameters(x)
        value, gradient = self._problem.value_and_gradient(x)
        if self.penalty is not None:
            w = x[: self._penalised]
            value += self.penalty.value(w)
            gradient[: self._penalised] += penalty_subgradient(self.penalty, w)
        return float(value), gradient

    def hessp(self, x: ArrayLike, v: ArrayLike) -> NDArray[np.float64]:
        """Return the Hessian of the objective at x times a direction v, both of shape (n_parameters,).

        It is exact for the losses of the lists: their second derivatives follow from the same code as their values. A
        traced loss's is a central difference of gradients, good to about two thirds of the digits. The kinks of losses
        and penalties do not count. The name and the arguments are those of ``scipy.optimize.minimize(..., hessp=)``.

        Examples
        --------
        >>> import steepest as st
        >>> objective = st.Objective("mse", ([[1.0, 0.0], [0.0, 2.0]], [1.0, 2.0]), st.L2(0.5))
        >>> objective.hessp([0.0, 0.0], [1.0, 1.0])
        array([1.5, 4.5])
        """
        x, v = self._parameters(x), self._parameters(v, "v", np.float64)
        product = hessian_product(self._problem, x, v)
        if self.penalty is not None:
            product[: self._penalised] += self.penalty.bends * v[: self._penalised]
        return product

    def smoothness(self) -> float:
        """Return an upper bound L of the curvature of the objective: a step of 1/L never overshoots (B4).

        Up to 2,000 columns it is the loss's curvature times the largest eigenvalue of the Gram matrix over n; beyond,
        the smaller of its trace and its largest absolute row sum, both upper bounds too.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            Where the loss has no curvature bound.

        Examples
        --------
        >>> import steepest as st
        >>> round(st.Objective("mse", [12.0, 16.0]).smoothness(), 6)
        2.0
        """
        if self._data is None or self.loss.curvature is None:
            raise ValueError(
                f"{self.loss.name} has no curvature bound, so no step size follows from it; "
                'use step_size="auto", which finds one on the way'
            )
        bound: float = self.loss.curvature * gram_bound(self._data, self.fit_intercept)
        if self.penalty is not None:
            bound += penalty_curvature(self.penalty)
        return bound

    def _parameters(self, x: ArrayLike, name: str = "x", dtype: Any = None) -> NDArray[Any]:
        array = as_array(x, name)
        require_numeric(array, name)
        x = np.ascontiguousarray(array, dtype=dtype or self._dtype).ravel()
        if x.size != self.n_parameters:
            raise ValueError(f"{name} must have {self.n_parameters} parameters, not {x.size}")
        return x

    def _penalty_value(self, x: NDArray[Any]) -> float:
        return 0.0 if self.penalty is None else self.penalty.value(x[: self._penalised])


def resolve_loss(loss: Any) -> losses.Loss:
    """Return what the user gave as a loss: a name or an object."""
    if isinstance(loss, losses.Loss):
        return loss
    if isinstance(loss, str):
        return _named_loss(loss)
    raise TypeError(
        f"loss must be a name of st.losses.available(), a loss object or a pair (loss_fn, grad_fn), not {loss!r}"
    )


# Losses do not change, so that all who name one may have the same.
_named_loss = functools.cache(losses.get)


def make_problem(loss: losses.Loss, data: Data, fit_intercept: bool) -> Any:
    """Hand the checked data to the core."""
    kind = _core.Problem64 if data.y.dtype == FLOATS[0] else _core.Problem32
    return kind(
        loss._index,
        loss._values,
        data.X,
        data.y,
        data.weight,
        fit_intercept,
        data.mean_weight,
        data.scores,
        data.scale,
        data.shift,
    )


def trained_problem(loss: losses.Loss, data: Data, fit_intercept: bool) -> Any:
    """Hand the checked data to the core, as much of it as is trained on."""
    whole = make_problem(loss, data, fit_intercept)
    return whole if data.rows is None else whole.subset(data.rows, data.mean_weight)


def penalty_subgradient(penalty: penalties.Penalty, w: NDArray[Any]) -> NDArray[np.float64]:
    """Return the gradient of a penalty, the one towards zero where it has a kink."""
    gradient = penalty.smooth_gradient(w)
    return gradient if penalty.smooth else gradient + penalty.kink_gradient(w)


def hessian_product(problem: Any, x: NDArray[Any], v: NDArray[np.float64], again: bool = False) -> NDArray[np.float64]:
    """Return the Hessian of the loss part at x times v.

    `again` says that it may be asked for at the same x, of the same data: what depends on x alone is kept.
    The core sees a direction of length one: in float32 it neither overflows nor vanishes.
    """
    length = float(np.linalg.norm(v))
    if length == 0 or not math.isfinite(length):
        return v * 0.0
    along = (v / length).astype(x.dtype)
    product: NDArray[np.float64] | None = problem.hessp(x, along, again)
    if product is None:
        # The step that balances rounding against the third derivative.
        step = np.finfo(x.dtype).eps ** (1 / 3) * max(1.0, float(np.linalg.norm(x)))
        ahead, behind = (x + step * along).astype(x.dtype), (x - step * along).astype(x.dtype)
        apart = float(np.linalg.norm(ahead.astype(np.float64) - behind))
        product = (problem.value_and_gradient(ahead)[1] - problem.value_and_gradient(behind)[1]) / apart
    return product * length


def penalty_curvature(penalty: penalties.Penalty) -> float:
    """Return the largest curvature of the smooth part of a penalty."""
    return penalty.curvature


def gram_bound(data: Data, fit_intercept: bool, rows: int | None = None) -> float:
    """Bound the largest eigenvalue of ``sum(w_i x_i x_i^T) / sum(w_i)`` from above, over the first `rows` rows.

    NaN where the rows are not all finite.
    """
    if data.X is None:
        return 1.0
    d = data.width + fit_intercept
    gram, squares, crossed, total = _gram_parts(data, fit_intercept, rows)
    if not np.isfinite(squares).all() if gram is None else not np.isfinite(gram).all():
        return math.nan
    if gram is not None:
        largest = float(eigh(gram, lower=False, eigvals_only=True, subset_by_index=[d - 1, d - 1])[0])
        # Rounding in the sum and the solver must not turn the bound into an estimate.
        return float(max(largest, 0.0) / total * (1 + 1e-10 * d))
    return min(float(squares.sum()), float(crossed.max())) / total * (1 + 1e-10)


def gram_matrix(data: Data, fit_intercept: bool) -> NDArray[np.float64]:
    """Return ``sum(w_i x_i x_i^T) / sum(w_i)`` of at most `GRAM_COLUMNS` columns."""
    gram, _, _, total = _gram_parts(data, fit_intercept, None)
    assert gram is not None
    gram /= total
    for column in range(1, len(gram)):  # in place: there may be tens of megabytes of it
        gram[column, :column] = gram[:column, column]
    return gram


def _gram_parts(
    data: Data, fit_intercept: bool, rows: int | None
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64], NDArray[np.float64], float]:
    """Return the Gram matrix (None for many columns), its diagonal, its absolute row sums, and the sum of weights."""
    n = data.trained if rows is None else min(rows, data.trained)
    weight = None if data.weight is None else data.weight[data.at(slice(0, n))]
    total = float(n) if weight is None else float(weight.sum(dtype=np.float64))
    if total == 0:
        weight, total = None, float(n)
    if isinstance(data.X, SparseRows):
        few = data.width + fit_intercept <= GRAM_COLUMNS
        parts = gram_parts(data.X, data.at(slice(0, n)), weight, data.scale, data.shift, fit_intercept, few)
    else:
        parts = _dense_gram_parts(data, n, weight, fit_intercept)
    return *parts, total


def _dense_gram_parts(
    data: Data, n: int, weight: NDArray[Any] | None, fit_intercept: bool
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64], NDArray[np.float64]]:
    """Return X^T W X, or for many columns its diagonal and its absolute row sums, a block of rows at a time."""
    d = data.width + fit_intercept
    gram = np.zeros((d, d), order="F") if d <= GRAM_COLUMNS else None
    squares, crossed = np.zeros(d), np.zeros(d)
    for start in range(0, n, GRAM_ROWS):
        part = slice(start, min(start + GRAM_ROWS, n))
        block = np.empty((part.stop - start, d), order="F")
        data.seen(part, out=block[:, : data.width])
        if fit_intercept:
            block[:, -1] = 1.0
        if weight is not None:
            block *= np.sqrt(weight[part, None], dtype=np.float64)
        if gram is not None:
            gram = dsyrk(1.0, block, beta=1.0, c=gram, trans=1, overwrite_c=1)
        else:
            squares += np.einsum("ij,ij->j", block, block)
            size = np.abs(block)
            crossed += size.T @ size.sum(axis=1)
    return gram, squares, crossed
