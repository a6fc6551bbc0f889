"""Columns of mean 0 and deviation 1 as the first layer of a network (C4)."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from steepest._data import Data, as_any_rows, computed_in
from steepest._normalize import _asked, _normalization
from steepest._sparse import SparseRows
from steepest.nn._module import Module, Parameter

Tensor: TypeAlias = Any


class Normalize(Module):
    """``(x - mean) / deviation``, column by column (C4).

    As a model's first layer it stands for the ``normalize=`` of ``minimize``: rows are not copied, the model takes them
    as they are, also when predicting, and ``state_dict()`` holds what they are normalised by.

    Parameters
    ----------
    mean, deviation : array_like, shape (d,)
        One number per column; deviations are positive. Training leaves them alone.
    dtype : float32 or float64
        Of both.

    Examples
    --------
    >>> import steepest as st
    >>> layer = st.nn.Normalize([1.0, 100.0], [2.0, 10.0], "float64")
    >>> layer(st.tensor([[3.0, 90.0]]))
    tensor([[ 1., -1.]])
    """

    def __init__(self, mean: ArrayLike, deviation: ArrayLike, dtype: DTypeLike = np.float32) -> None:
        super().__init__()
        numbers = [np.asarray(given, dtype=np.float64) for given in (mean, deviation)]
        if numbers[0].ndim != 1 or numbers[0].shape != numbers[1].shape:
            raise ValueError(
                "Normalize: mean and deviation must have one number per column, not the shapes "
                f"{numbers[0].shape} and {numbers[1].shape}"
            )
        if not np.isfinite(numbers).all() or not (numbers[1] > 0).all():
            raise ValueError("Normalize: means must be finite, deviations positive and finite")
        for name, array in zip(("mean", "deviation"), numbers, strict=True):
            setattr(self, name, Parameter(array, dtype))
            getattr(self, name).requires_grad = False

    @classmethod
    def of(
        cls, X: Any, *, normalize: bool | str | float = True, groups: Any = None, sample_weight: ArrayLike | None = None
    ) -> Normalize:
        """Return the layer that gives these rows columns of mean 0 and deviation 1.

        Parameters
        ----------
        X : array_like, shape (n, d)
            The rows to train on, read block by block. Columns of one value are centred only.
        normalize : True, "scale" or float
            As for ``minimize``: "scale" leaves means where they are, a number is the least deviation to divide by.
        groups : sequence, optional
            Columns that share a mean and a deviation, as for ``minimize``.
        sample_weight : array_like, shape (n,), optional
            The weights of the rows.

        Examples
        --------
        >>> import steepest as st
        >>> layer = st.nn.Normalize.of([[1.0, 5.0], [3.0, 5.0]])
        >>> layer.mean.tolist(), layer.deviation.tolist()
        ([2.0, 5.0], [1.0, 1.0])
        """
        rows = as_any_rows(X)
        if isinstance(rows, SparseRows):
            raise TypeError("Normalize is for dense rows: centred, sparse ones have no zeros left")
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        if weight is not None and weight.shape != (len(rows),):
            raise ValueError(f"sample_weight has shape {weight.shape}, X has {len(rows)} rows")
        dtype = computed_in(rows.dtype)
        least, centred = _asked(normalize)
        by = _normalization(Data(rows, np.zeros(len(rows), dtype), weight, 1.0, None), groups, least, centred)
        return cls(by.mean, by.deviation, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Take off the means, divide by the deviations.

        Examples
        --------
        >>> import steepest as st
        >>> st.nn.Normalize([1.0], [2.0], "float64").forward(st.tensor([5.0]))
        tensor([2.])
        """
        # The reciprocals are known before the rows are: nothing is divided row by row.
        return (x - self.mean) * (1.0 / self.deviation)

    def extra_repr(self) -> str:
        """Return the number of columns.

        Examples
        --------
        >>> import steepest as st
        >>> st.nn.Normalize([1.0], [2.0])
        Normalize(columns=1)
        """
        return f"columns={self.mean.shape[0]}"
