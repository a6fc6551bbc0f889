"""Losses: how wrong a raw prediction is, row by row.

Every class here is made from the compiled core's lists; ``available()`` names them: pointwise losses, of one raw
prediction per row, and losses of K scores. Arguments are always in the order ``(y, raw_prediction, sample_weight)``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepest import _core
from steepest._data import (
    as_array,
    as_row_targets,
    as_targets,
    as_weights,
    labels_as_columns,
    require_numeric,
)
from steepest._lists import Member, MemberList, class_name, make_classes, registry


class Loss(Member):
    """A loss; unless it is a `RowLoss`, a pointwise one: one raw prediction per row.

    Attributes
    ----------
    name : str
        Its name in ``available()``.
    formula : str
        The loss of one row as a Python expression of ``y``, ``z`` (the raw prediction) and the parameters; for
        classification y is -1 or +1.
    kind : str
        "pointwise", or "scores" for losses of K scores per row.
    link : str
        How the mean of y follows from z: "identity", "log", "logit", "half_logit" or "softmax".
    target : str
        Which targets it accepts: "real", "non_negative", "positive", "binary" or "labels".
    convex, smooth : bool
        Whether it is convex in z, and differentiable everywhere.
    curvature : float or None
        An upper bound of the second derivative in z, None where there is none.
    """

    __slots__ = ()
    kind: ClassVar[str] = "pointwise"
    link: ClassVar[str] = "identity"
    target: ClassVar[str] = "real"
    convex: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    curvature: ClassVar[float | None] = None
    _domain: ClassVar[str] = ""

    def __call__(
        self,
        y: ArrayLike,
        raw_prediction: ArrayLike,
        sample_weight: ArrayLike | None = None,
        out: NDArray[Any] | None = None,
    ) -> Any:
        """Return the (weighted) mean of the losses.

        Parameters
        ----------
        y : array_like, shape (n,)
            Targets; shape (n, K) for losses of K targets.
        raw_prediction : array_like, shape (n,) or scalar
            Raw predictions; shape (n, K) for losses of K scores.
        sample_weight : array_like, shape (n,), optional
            Weights of the rows.
        out : ndarray of shape (), optional
            Where to write the mean.

        Returns
        -------
        float
            ``sum(w * l) / sum(w)``.

        Examples
        --------
        >>> import steepest as st
        >>> st.losses.MSE()([12.1, 12.8, 14.9, 16.3, 17.2], 12.0)
        10.918
        """
        values = self.pointwise(y, raw_prediction)
        weight = None if sample_weight is None else as_weights(sample_weight, values.size, values.dtype)[0]
        mean = float(np.average(values, weights=weight))
        if out is None:
            return mean
        out[...] = mean
        return out

    def pointwise(
        self,
        y: ArrayLike,
        raw_prediction: ArrayLike,
        sample_weight: ArrayLike | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Return the loss of each row, times its weight.

        Parameters
        ----------
        y, raw_prediction : array_like, shape (n,)
            Targets and raw predictions, of shape (n, K) where the loss has K of them; a scalar prediction serves all
            rows of a pointwise loss.
        sample_weight : array_like, shape (n,), optional
            Weights of the rows.
        out : ndarray, shape (n,), optional
            Where to write.

        Returns
        -------
        ndarray, shape (n,)

        Examples
        --------
        >>> import steepest as st
        >>> st.losses.Huber(delta=1.0).pointwise([0.0, 0.0], [0.5, 3.0])
        array([0.125, 2.5  ])
        """
        return self._rows(y, raw_prediction, sample_weight, out)[0]

    def gradient(
        self,
        y: ArrayLike,
        raw_prediction: ArrayLike,
        sample_weight: ArrayLike | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Return the derivative of each row's loss in its raw prediction or scores, times the row's weight.

        Parameters
        ----------
        y, raw_prediction : array_like, shape (n,)
            Targets and raw predictions, of shape (n, K) where the loss has K of them; a scalar prediction serves all
            rows of a pointwise loss.
        sample_weight : array_like, shape (n,), optional
            Weights of the rows.
        out : ndarray, shape (n,) or (n, K), optional
            Where to write.

        Returns
        -------
        ndarray, shape (n,) or (n, K)
            At a kink, one of the subgradients.

        Examples
        --------
        >>> import steepest as st
        >>> float(st.losses.MSE().gradient([12.1, 12.8, 14.9, 16.3, 17.2], 12.0).mean())
        -5.32
        """
        return self._rows(y, raw_prediction, sample_weight, out, slope=True)[1]

    def _rows(
        self, y: ArrayLike, z: ArrayLike, weight: ArrayLike | None, out: NDArray[Any] | None, slope: bool = False
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Evaluate values and slopes, one of them into `out`."""
        prediction = as_array(z, "raw_prediction")
        require_numeric(prediction, "raw_prediction")
        dtype = np.float32 if prediction.dtype == np.float32 else np.float64
        targets, _ = as_targets(y, self, dtype, single_class=True)
        if prediction.ndim and prediction.shape != targets.shape:
            raise ValueError(f"raw_prediction has shape {prediction.shape}, y {targets.shape}")
        prediction = np.ascontiguousarray(np.broadcast_to(prediction.astype(dtype, copy=False), targets.shape))
        value, gradient = np.empty_like(targets), np.empty_like(targets)
        _core.pointwise(self._index, self._values, targets.ravel(), prediction.ravel(), value.ravel(), gradient.ravel())
        return _finished(value, gradient, weight, out, slope)


class RowLoss(Loss):
    """A loss of K scores per row.

    ``raw_prediction`` has shape (n, K). Class labels may be of any type, but numbers must be whole: y of shape (n,)
    holds K different ones, and the scores are in their sorted order; whole numbers from 0 to K - 1 name their column
    themselves, so that not all of them need occur. Other targets y have shape (n, K).

    The same attributes as `Loss`, with one convention for ``formula``: z are the scores and y the targets of a row,
    both along the last axis; for class labels y is 1 at the row's class and 0 elsewhere, for several binary targets -1
    or +1. ``curvature`` bounds the largest eigenvalue of the Hessian in the scores.

    Examples
    --------
    >>> import steepest as st
    >>> loss = st.losses.Softmax()
    >>> loss.pointwise(["cat", "dog"], [[0.0, 0.0], [-1000.0, 1000.0]]).round(6)
    array([0.693147, 0.      ])
    >>> loss.gradient(["cat", "dog"], [[0.0, 0.0], [-1000.0, 1000.0]])
    array([[-0.5,  0.5],
           [ 0. ,  0. ]])
    """

    __slots__ = ()
    kind: ClassVar[str] = "scores"

    def _rows(
        self, y: ArrayLike, z: ArrayLike, weight: ArrayLike | None, out: NDArray[Any] | None, slope: bool = False
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Evaluate values and slopes, one of them into `out`."""
        scores = as_array(z, "raw_prediction")
        require_numeric(scores, "raw_prediction")
        if scores.ndim != 2 or scores.size == 0:
            raise ValueError(f"raw_prediction of {self.name} must have shape (n, K), not {scores.shape}")
        dtype = np.float32 if scores.dtype == np.float32 else np.float64
        if self.target == "labels":
            targets = labels_as_columns(y, self, dtype, scores.shape[1])
        else:
            targets = as_row_targets(y, self, dtype, single_class=True)[0]
        if targets.shape != scores.shape[: targets.ndim]:
            raise ValueError(f"raw_prediction has shape {scores.shape}, y {targets.shape}")
        by_class = np.ascontiguousarray(scores.T, dtype=dtype)
        value, gradient = np.empty(len(scores), dtype=dtype), np.empty_like(by_class)
        _core.row_pointwise(
            self._index, self._values, np.ascontiguousarray(targets.T).ravel(), by_class, value, gradient
        )
        return _finished(value, np.ascontiguousarray(gradient.T), weight, out, slope)


def _finished(
    value: NDArray[Any], gradient: NDArray[Any], weight: ArrayLike | None, out: NDArray[Any] | None, slope: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Weigh values and slopes, and write one of them into `out`."""
    result = [value, gradient]
    wanted = int(slope)
    if out is not None:
        if not isinstance(out, np.ndarray) or out.dtype.kind != "f":
            raise TypeError(f"out must be an array of floats, not {out!r:.60}")
        if out.shape != result[wanted].shape:
            raise ValueError(f"out has shape {out.shape}, the result {result[wanted].shape}")
    if weight is not None:
        factors = as_weights(weight, value.size, value.dtype, all_zero=True)[0]
        result[wanted] *= factors if result[wanted].shape == factors.shape else factors[:, None]
    if out is not None:
        out[...] = result[wanted]
        result[wanted] = out
    return result[0], result[1]


_kinds = {
    "pointwise": make_classes(Loss, registry["losses"], __name__),
    "scores": make_classes(RowLoss, registry["row_losses"], __name__),
}
_list: MemberList[Loss] = MemberList(
    "loss", {name: cls for classes in _kinds.values() for name, cls in classes.items()}, {"mae": "absolute_error"}
)
globals().update({class_name(name): cls for name, cls in _list._classes.items()})

get = _list.get


def available(kind: str | None = None) -> tuple[str, ...]:
    """Return the names of all losses, or of those of one kind.

    Parameters
    ----------
    kind : "pointwise" or "scores", optional
        Losses of one raw prediction per row, or of K scores.

    Examples
    --------
    >>> import steepest as st
    >>> "softmax" in st.losses.available(), "softmax" in st.losses.available("pointwise")
    (True, False)
    """
    if kind is None:
        return _list.available()
    if kind not in _kinds:
        raise ValueError(f"kind must be one of {', '.join(_kinds)}, not {kind!r}")
    return tuple(_kinds[kind])


__all__ = ["Loss", "RowLoss", "available", "get", *(class_name(name) for name in _list._classes)]
