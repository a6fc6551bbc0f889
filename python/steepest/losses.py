"""Losses: how wrong a raw prediction is, row by row.

Every class here is made from the compiled core's list; ``available()`` names them. Arguments are always in the order
``(y, raw_prediction, sample_weight)``.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepest import _core
from steepest._data import as_array, as_targets, as_weights, require_numeric
from steepest._lists import Member, MemberList, class_name, make_classes, registry


class Loss(Member):
    """A pointwise loss: one raw prediction per row.

    Attributes
    ----------
    name : str
        Its name in ``available()``.
    formula : str
        The loss of one row as a Python expression of ``y``, ``z`` (the raw prediction) and the parameters; for
        classification y is -1 or +1.
    link : str
        How the mean of y follows from z: "identity", "log", "logit" or "half_logit".
    target : str
        Which targets it accepts: "real", "non_negative", "positive" or "binary".
    convex, smooth : bool
        Whether it is convex in z, and differentiable everywhere.
    curvature : float or None
        An upper bound of the second derivative in z, None where there is none.
    """

    __slots__ = ()
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
            Targets.
        raw_prediction : array_like, shape (n,) or scalar
            Raw predictions.
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
            Targets and raw predictions; a scalar prediction serves all rows.
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
        """Return the derivative of each row's loss in its raw prediction, times the row's weight.

        Parameters
        ----------
        y, raw_prediction : array_like, shape (n,)
            Targets and raw predictions; a scalar prediction serves all rows.
        sample_weight : array_like, shape (n,), optional
            Weights of the rows.
        out : ndarray, shape (n,), optional
            Where to write.

        Returns
        -------
        ndarray, shape (n,)
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
        result = [np.empty_like(targets), np.empty_like(targets)]
        wanted = int(slope)
        if out is not None:
            if not isinstance(out, np.ndarray) or out.dtype.kind != "f":
                raise TypeError(f"out must be an array of floats, not {out!r:.60}")
            if out.shape != targets.shape:
                raise ValueError(f"out has shape {out.shape}, the result {targets.shape}")
        _core.pointwise(self._index, self._values, targets.ravel(), prediction.ravel(), *(r.ravel() for r in result))
        if weight is not None:
            result[wanted] *= as_weights(weight, targets.size, dtype, all_zero=True)[0]
        if out is not None:
            out[...] = result[wanted]
            result[wanted] = out
        return result[0], result[1]


_classes = make_classes(Loss, registry["losses"], __name__)
_list: MemberList[Loss] = MemberList("loss", _classes, aliases={"mae": "absolute_error"})
globals().update({class_name(name): cls for name, cls in _list._classes.items()})

available = _list.available
get = _list.get

__all__ = ["Loss", "available", "get", *(class_name(name) for name in _list._classes)]
