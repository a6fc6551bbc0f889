"""Columns of mean 0 and deviation 1 as the first layer of a network (C4)."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from steepest._data import Data, as_any_rows, as_weights, computed_in
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
        One number per column; deviations are positive, as is 1 / deviation in `dtype`. Training leaves them alone.
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
        with np.errstate(over="ignore", under="ignore"):
            self.mean, self.deviation = (Parameter(array, dtype) for array in numbers)
        self.mean.requires_grad = self.deviation.requires_grad = False
        wrong = ~np.isfinite(self.mean.numpy()) | ~_divides(self.deviation.numpy())
        if wrong.any():
            column = int(wrong.argmax())
            raise ValueError(
                "Normalize: means must be finite, deviations positive and finite as 1 / deviation is, in "
                f"{self.mean.numpy().dtype}; column {column} has mean {numbers[0][column]:g} and deviation "
                f"{numbers[1][column]:g}"
            )

    @classmethod
    def of(
        cls, X: Any, *, normalize: bool | str | float = True, groups: Any = None, sample_weight: ArrayLike | None = None
    ) -> Normalize:
        """Return the layer that gives these rows columns of mean 0 and deviation 1.

        Parameters
        ----------
        X : array_like, shape (n, d)
            The rows to train on, read block by block. Columns of one value, or too close to it to be divided by their
            deviation, are centred only.
        normalize : True, "scale" or float
            As for ``minimize``: "scale" leaves means where they are, a number is the least deviation to divide by.
        groups : sequence, optional
            Columns that share a mean and a deviation, as for ``minimize``.
        sample_weight : array_like, shape (n,), optional
            The weights of the rows.

        Raises
        ------
        ValueError
            For rows or weights that ``minimize`` refuses, and for ``normalize=False``.

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
        if isinstance(normalize, (bool, np.bool_)) and not normalize:
            raise ValueError("Normalize.of normalises: instead of normalize=False, leave the layer out of the model")
        dtype = computed_in(rows.dtype)
        weight, mean_weight = None, 1.0
        if sample_weight is not None:
            weight, mean_weight = as_weights(sample_weight, len(rows), dtype)
        least, centred = _asked(normalize)
        by = _normalization(Data(rows, np.zeros(len(rows), dtype), weight, mean_weight, None), groups, least, centred)
        with np.errstate(over="ignore", under="ignore"):
            deviation = np.where(_divides(by.deviation.astype(dtype)), by.deviation, 1.0)
        return cls(by.mean, deviation, dtype)

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


def _divides(deviation: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell of each deviation, as it is stored, whether it is positive and finite and its reciprocal as well."""
    with np.errstate(divide="ignore", over="ignore", under="ignore", invalid="ignore"):
        reciprocal = 1 / deviation
    found: NDArray[np.bool_] = (deviation > 0) & np.isfinite(deviation) & (reciprocal > 0) & np.isfinite(reciprocal)
    return found
