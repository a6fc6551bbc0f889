"""From what users hold to what the core reads: checks and, where it cannot be avoided, announced copies."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from steepest import _core
from steepest._frames import column_of, is_column, is_table, names_of, rows_of, table_of
from steepest._rows import resolve_rows
from steepest._scaled import Scaled
from steepest._shown import shown
from steepest._sparse import SparseRows, as_sparse_rows, is_sparse
from steepest._warnings import LARGE_COPY, DataCopyWarning, warn

if TYPE_CHECKING:
    from steepest.losses import Loss

FLOATS = (np.dtype(np.float64), np.dtype(np.float32))
BLOCK = 1 << 20
READ_IN_PLACE = (
    "bool, 8- and 16-bit integers, bfloat16, float16, float32 and float64 of native byte order are not copied"
)


@dataclass(slots=True, eq=False)
class Data:
    """Checked data: X (None for the constant model), y and weights in the dtype of the computation."""

    X: NDArray[Any] | SparseRows | None
    y: NDArray[Any]
    weight: NDArray[Any] | None
    mean_weight: float
    classes: NDArray[Any] | None
    scores: int = 0  # per row; 0 for a pointwise loss
    scale: NDArray[Any] | None = None  # per column: the parameters see X * scale + shift
    shift: NDArray[Any] | None = None
    rows: NDArray[np.uint32] | None = None  # the positions of those that are trained on, where not all are
    names: list[str] | None = None  # of the columns of a table

    @property
    def trained(self) -> int:
        """How many rows are trained on."""
        return len(self.y) if self.rows is None else len(self.rows)

    def at(self, part: slice) -> slice | NDArray[np.uint32]:
        """Return which rows a part of those trained on are."""
        return part if self.rows is None else self.rows[part]

    def weighed(self, factor: NDArray[Any], what: str) -> Data:
        """Return the data with the weights of its rows multiplied."""
        weight = factor if self.weight is None else self.weight * factor
        return replace(self, weight=weight, mean_weight=mean_of(weight[self.at(slice(None))], what))

    def restricted(self, rows: NDArray[np.uint32], which: str) -> Data:
        """Return the data with some of its rows to train on, or to judge by."""
        mean = 1.0 if self.weight is None else mean_of(self.weight[rows], f"sample_weight of the {which} rows")
        return replace(self, rows=rows, mean_weight=mean)

    @property
    def width(self) -> int:
        """How many coefficients a score has; the constant model is that of a single feature of ones."""
        return 1 if self.X is None else self.X.shape[1]

    def seen(self, rows: slice, out: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return a copy of some rows as the parameters see them, in double."""
        if out is None:
            out = np.empty((len(self.y[self.at(rows)]), self.width))
        seen = 1.0 if self.X is None else self.X[self.at(rows)]
        out[...] = seen.matrix().toarray() if isinstance(seen, SparseRows) else seen
        if self.scale is not None:
            out *= self.scale
        if self.shift is not None:
            out += self.shift
        return out

    @property
    def as_given(self) -> Any:
        """X as minimize takes it."""
        if self.X is None or self.scale is None:
            return self.X
        return Scaled(self.X, self.scale, 0.0 if self.shift is None else self.shift)


def check_data(
    loss: Loss, data: Any, sample_weight: Any, fit_intercept: bool, check_finite: bool, rows: Any = None
) -> Data:
    """Check the data of a problem: all rows, or those at `rows`.

    Only a tuple is (X, y); any other array-like is the y of the constant model.
    """
    names = None
    if isinstance(data, tuple):
        if len(data) != 2:
            raise ValueError(f"data as a tuple must be (X, y), not a tuple of {len(data)}")
        given = data[0].X if isinstance(data[0], Scaled) else data[0]
        names = names_of(given)
        X = as_any_rows(given)
        y_given = data[1]
        dtype = computed_in(X.dtype)
    else:
        X = None
        y_given = data
        if fit_intercept:
            raise ValueError("fit_intercept=True needs features: the constant model is an intercept already")
        given_in = getattr(data, "dtype", None)
        dtype = FLOATS[1] if given_in is not None and given_in == FLOATS[1] else FLOATS[0]
    whole = None if rows is None else as_array(y_given, "y")
    if whole is None or whole.ndim == 0:
        y, scores, classes = _targets(y_given, loss, dtype)
        if X is not None and len(y) != len(X):
            raise ValueError(f"X has {len(X)} rows, y has {len(y)}")
    else:
        if X is not None and len(whole) != len(X):
            raise ValueError(f"X has {len(X)} rows, y has {len(whole)}")
        rows = resolve_rows(rows, len(whole))
        y, scores, classes = among(rows, _targets, whole[rows], loss, dtype)
        y = spread(y, rows, whole)
    if X is not None and check_finite:
        require_finite_rows(X, names=names, rows=rows)
    found = Data(X, y, None, 1.0, classes, scores, None, None, rows, names)
    if X is not None and isinstance(data[0], Scaled):
        scale, shift = data[0].per_column(X.shape[1], dtype)
        found = replace(found, scale=scale, shift=shift)
    if sample_weight is None:
        return found
    if rows is None:
        weight, mean = as_weights(sample_weight, len(y), dtype)
    else:
        whole = as_array(sample_weight, "sample_weight")
        if whole.shape != (len(y),):
            raise ValueError(f"sample_weight must have shape ({len(y)},), not {whole.shape}")
        weight, mean = among(rows, as_weights, whole[rows], len(rows), dtype)
        weight = spread(weight, rows, whole)
    return replace(found, weight=weight, mean_weight=mean)


def _targets(values: Any, loss: Loss, dtype: Any) -> tuple[NDArray[Any], int, NDArray[Any] | None]:
    """Return y in the dtype of the computation, the number of scores (0 for a pointwise loss) and the classes."""
    if loss.kind == "scores":
        return as_row_targets(values, loss, dtype)
    y, classes = as_targets(values, loss, dtype)
    return y, 0, classes


def among(rows: NDArray[np.uint32], check: Any, values: Any, *options: Any) -> Any:
    """Check what belongs to some of the rows; errors say that their numbers count only these."""
    try:
        return check(values, *options)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{error} (of the {len(rows)} rows given by rows=)") from None


def spread(part: NDArray[Any], rows: NDArray[np.uint32], whole: NDArray[Any]) -> NDArray[Any]:
    """Return numbers for all rows: those as given where they are what some of them were converted to, else zeros."""
    if whole.dtype == part.dtype and whole.flags.c_contiguous and np.array_equal(whole[rows], part):
        return whole
    numbers = np.zeros((len(whole), *part.shape[1:]), dtype=part.dtype)
    numbers[rows] = part
    return numbers


def as_array(values: Any, what: str) -> NDArray[Any]:
    """Return an ndarray without a copy where the object offers its memory."""
    if isinstance(values, np.ndarray):
        if isinstance(values, np.ma.MaskedArray):
            raise TypeError(
                f"{what} is a masked array, whose mask would be lost: drop the masked rows or weigh them zero"
            )
        return values
    if isinstance(values, float):
        return np.asarray(values)
    if isinstance(values, (list, tuple)):
        return _of_sequence(values, what)
    if isinstance(values, Scaled):
        raise TypeError(f"{what} is scaled, which only X is, and only for losses of linear scores")
    if is_table(values):
        return rows_of(table_of(values, what), what, _readable)
    if is_column(values):
        try:
            return column_of(values, what)
        except TypeError:
            return np.asarray(values)  # labels may be anything
    if hasattr(values, "tocsr"):
        raise TypeError(
            f"{what} is a SciPy sparse matrix; only the X of a loss of the core may be one: pass {what}.toarray()"
        )
    return shown(values, what)


def _of_sequence(values: list[Any] | tuple[Any, ...], what: str) -> NDArray[Any]:
    array = shown(values, what)
    if array.dtype.kind in "US":
        # Among texts NumPy writes a NaN as the text "nan", which would be a label like others.
        objects = np.array(values, dtype=object)
        if not all(isinstance(value, (str, bytes)) for value in objects.flat):
            return objects
    return array


def as_any_rows(values: Any, doubtful: bool = False) -> NDArray[Any] | SparseRows:
    """Return X as the core reads it, dense or sparse; with `doubtful` the columns of sparse rows are not looked at."""
    if isinstance(values, SparseRows):
        return values
    return as_sparse_rows(values, "X", doubtful) if is_sparse(values) else as_rows(values)


def as_rows(values: Any) -> NDArray[Any]:
    """Return X as the core reads it: 2-D, of a dtype it reads in place, any strides, never a silent copy."""
    X = as_array(values, "X")
    if X.ndim == 0 and X.dtype == object:
        raise TypeError(f"X must be rows of numbers, shape (n, features), not {type(values).__name__}")
    if X.ndim != 2:
        hint = "; a single feature is X.reshape(-1, 1)" if X.ndim == 1 else ""
        raise ValueError(f"X must be 2-D (rows, features), not {X.ndim}-D{hint}")
    if X.shape[0] == 0 or X.shape[1] == 0:
        raise ValueError(f"X is empty: its shape is {X.shape}")
    require_numeric(X, "X")
    if _readable(X.dtype) and X.flags.aligned and not any(s % X.itemsize for s in X.strides):
        return X
    dtype = X.dtype.newbyteorder("=")
    if not _readable(dtype):
        dtype = FLOATS[0]
    if not isinstance(values, (list, tuple)) and X.size * dtype.itemsize > LARGE_COPY:
        reason = f"dtype {X.dtype}" if X.dtype != dtype else "an alignment that cannot be read in place"
        size = X.size * dtype.itemsize / 1e6
        warn(f"X has {reason}: a copy in {dtype} of {size:.0f} MB is made; {READ_IN_PLACE}", DataCopyWarning)
    return X.astype(dtype)


def _readable(dtype: np.dtype[Any]) -> bool:
    return dtype.isnative and (dtype in FLOATS or is_narrow(dtype))


def is_narrow(dtype: np.dtype[Any]) -> bool:
    """Tell whether the core reads numbers as they are stored and computes with them in float32."""
    return bool(_core.reads(dtype))


def computed_in(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of the computation with rows of a dtype that the core reads."""
    return dtype if dtype in FLOATS else FLOATS[1]


def as_targets(
    values: Any, loss: Loss, dtype: Any, single_class: bool = False
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return y in the dtype of the computation, and the two classes where the loss wants labels."""
    y = as_array(values, "y")
    if y.ndim != 1 and not (single_class and y.ndim == 0):
        raise ValueError(f"y must be 1-D, not {y.ndim}-D: {loss.name} takes one target per row")
    if y.size == 0:
        raise ValueError("y is empty")
    if y.ndim == 0:
        y = y.reshape(1)
    if loss.target == "binary":
        return encode_labels(y, loss, dtype, single_class)
    require_numeric(y, "y")
    y = narrowed(y, dtype)
    require_finite(y, "y")
    if loss.target != "real":
        wrong = y < 0 if loss.target == "non_negative" else y <= 0
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(f"targets of {loss.name} must be {loss._domain}; row {row} holds {y[row]:g}")
    return y, None


def narrowed(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Return numbers side by side in a dtype; what overflows it becomes an infinity, which is looked for later."""
    if array.dtype == dtype:
        return np.ascontiguousarray(array)
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, dtype=dtype)


def encode_labels(y: NDArray[Any], loss: Loss, dtype: Any, single_class: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return labels as -1 and +1, the larger being +1, and the two classes."""
    require_labels(y)
    if y.dtype.kind in "biuf":
        low, high = y.min(), y.max()
    else:
        try:
            found = np.unique(y)
        except TypeError:
            raise TypeError(_mixed(y)) from None
        low, high = found[0], found[-1]
        if len(found) > 2:
            raise ValueError(f"{loss.name} takes two classes; y holds {len(found)}: {_shown(found)}")
    if low == high:
        if not single_class or low not in (-1, 0, 1):
            raise ValueError(f"{loss.name} takes two classes; y holds only {_shown(np.array([low]))}")
        return np.full(y.shape, 1 if low == 1 else -1, dtype=dtype), np.array([low])
    classes = np.array([low, high])
    if y.dtype == dtype and low == -1 and high == 1 and y.flags.c_contiguous and _only(y, low, high):
        return y, classes
    encoded = np.empty(y.shape, dtype=dtype)
    flat, flat_encoded = y.reshape(-1), encoded.reshape(-1)
    for start in range(0, flat.size, BLOCK):
        block = flat[start : start + BLOCK]
        positive = block == high
        other = ~(positive | (block == low))
        if other.any():
            found = np.unique(flat)
            raise ValueError(f"{loss.name} takes two classes; y holds {len(found)}: {_shown(found)}")
        np.subtract(np.multiply(positive, 2, dtype=dtype), 1, out=flat_encoded[start : start + BLOCK])
    return encoded, classes


def as_row_targets(
    values: Any, loss: Loss, dtype: Any, single_class: bool = False
) -> tuple[NDArray[Any], int, NDArray[Any] | None]:
    """Return y in the dtype of the computation, the number of scores, and the classes where the loss wants labels.

    Class labels become their positions among the sorted classes; several binary targets -1 and +1.
    """
    y = as_array(values, "y")
    if y.size == 0:
        raise ValueError("y is empty")
    if loss.target == "labels":
        classes, positions = _sorted_classes(y, loss)
        if len(classes) < 2:
            raise ValueError(f"{loss.name} takes two classes or more; y holds only {classes.tolist()[0]!r}")
        return positions.astype(dtype), len(classes), classes
    if y.ndim != 2:
        raise ValueError(f"y must be 2-D, not {y.ndim}-D: {loss.name} takes K targets per row, shape (n, K)")
    if loss.target == "binary":
        encoded, classes = encode_labels(y, loss, dtype, single_class)
        return np.ascontiguousarray(encoded), y.shape[1], classes
    require_numeric(y, "y")
    y = narrowed(y, dtype)
    require_finite(y, "y")
    return y, y.shape[1], None


def labels_as_columns(values: Any, loss: Loss, dtype: Any, scores: int) -> NDArray[Any]:
    """Return for each label which of the scores is its own; not all classes need occur where labels are positions."""
    y = np.atleast_1d(as_array(values, "y"))
    if y.size == 0:
        raise ValueError("y is empty")
    classes, positions = _sorted_classes(y, loss)
    if len(classes) == scores:
        return positions.astype(dtype)
    outside = ""
    if classes.dtype.kind in "iuf":  # and whole: other numbers are no labels
        beyond = (y < 0) | (y >= scores)
        if not beyond.any():
            return y.astype(dtype)
        row = int(beyond.argmax())
        outside = f", of which label {y[row]} in row {row} names none"
    raise ValueError(
        f"y holds {len(classes)} class{'es' * (len(classes) > 1)}, raw_prediction has {scores} columns{outside}: where "
        f"some classes do not occur, give labels as 0 to {scores - 1}"
    )


def _sorted_classes(y: NDArray[Any], loss: Loss) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the different labels in order, and where among them each row's is."""
    if y.ndim != 1:
        raise ValueError(f"y must be 1-D, not {y.ndim}-D: {loss.name} takes one label per row")
    require_labels(y)
    try:
        classes, positions = np.unique(y, return_inverse=True)
    except TypeError:
        raise TypeError(_mixed(y)) from None
    _require_discrete(classes, positions, loss)
    return classes, positions


def _require_discrete(classes: NDArray[Any], positions: NDArray[np.intp], loss: Loss) -> None:
    """Raise where labels are numbers with fractions: a class for each is likely to be a target of regression."""
    if classes.dtype.kind == "f":
        between = classes != np.floor(classes)
    elif classes.dtype.kind == "O":
        between = np.array([_has_fraction(label) for label in classes])
    else:
        return
    if between.any():
        row = int(between[positions].argmax())
        raise ValueError(
            f"labels of {loss.name} must not be continuous; row {row} of y holds {float(classes[positions[row]]):g}: "
            'take a loss of real targets such as "squared_error", or write classes as texts or whole numbers'
        )


def _mixed(y: NDArray[Any]) -> str:
    """Say which labels cannot be sorted, and what to do about them."""
    first, where = y.flat[0], ""
    for place, label in np.ndenumerate(y):
        try:
            first < label  # noqa: B015 - whether it can be answered at all
        except TypeError:
            where = f": row 0 holds {first!r:.40}, row {place[0]} {label!r:.40}"
            break
    return f"the labels in y mix types and cannot be sorted{where}; make them one, such as [str(label) for label in y]"


def _has_fraction(label: Any) -> bool:
    if isinstance(label, Decimal):  # which are no numbers.Real
        return not label.is_finite() or label != label.to_integral_value()
    return isinstance(label, numbers.Real) and bool(label % 1 != 0)


def _is_missing(label: Any) -> bool:
    try:
        return label is None or bool(label != label)
    except TypeError:  # of pandas' NA, which says neither
        return True


def require_labels(y: NDArray[Any], what: str = "y") -> None:
    """Raise where something in labels cannot be a label: NaN, None, complex numbers."""
    if y.dtype.kind == "c":
        require_numeric(y, what)
    if y.dtype.kind == "f":
        require_finite(y, what)
    elif y.dtype.kind in "mM" and np.isnat(y).any():
        raise ValueError(f"{what} holds NaT, first in row {np.argwhere(np.isnat(y))[0][0]}; every row needs a label")
    elif y.dtype.kind == "O":
        for place, label in np.ndenumerate(y):
            if _is_missing(label):
                raise ValueError(f"{what} holds {label}, first in row {place[0]}; every row needs a label")


def _only(y: NDArray[Any], low: Any, high: Any) -> bool:
    """Tell whether y holds nothing but two values."""
    return all(
        bool(((block == low) | (block == high)).all())
        for block in (y[start : start + BLOCK] for start in range(0, y.size, BLOCK))
    )


def _shown(values: NDArray[Any]) -> str:
    """Show a few labels."""
    return ", ".join(repr(v) for v in values[:5].tolist()) + (", ..." if len(values) > 5 else "")


def as_weights(values: Any, rows: int, dtype: Any, all_zero: bool = False) -> tuple[NDArray[Any], float]:
    """Return the sample weights and their mean."""
    weight = as_array(values, "sample_weight")
    require_numeric(weight, "sample_weight")
    if weight.shape != (rows,):
        raise ValueError(f"sample_weight must have shape ({rows},), not {weight.shape}")
    weight = narrowed(weight, dtype)
    require_finite(weight, "sample_weight")
    if weight.min() < 0:
        row = int((weight < 0).argmax())
        raise ValueError(f"sample_weight must not be negative; row {row} holds {weight[row]:g}")
    return weight, 0.0 if all_zero and not weight.any() else mean_of(weight, "sample_weight")


def mean_of(weight: NDArray[Any], what: str) -> float:
    """Return the mean of the weights of some rows."""
    mean = float(weight.mean(dtype=np.float64))
    if mean == 0:
        raise ValueError(f"{what} is zero in every row")
    if not math.isfinite(mean):
        raise ValueError(f"{what} leaves the range of {weight.dtype}")
    return mean


def require_finite_rows(
    X: NDArray[Any] | SparseRows,
    what: str = "X",
    names: list[str] | None = None,
    rows: NDArray[np.uint32] | None = None,
) -> None:
    """Raise ValueError naming the first row and column of X, or of some of its rows, that hold NaN or an infinity."""
    if not isinstance(X, SparseRows):
        require_finite(X, what, names, rows)
    else:
        X.require_finite(what, rows)


def require_numeric(array: NDArray[Any], what: str) -> None:
    """Raise TypeError for anything but real numbers."""
    if array.dtype.kind not in "biuf" and not is_narrow(array.dtype):
        raise TypeError(f"{what} must hold real numbers; its dtype is {array.dtype}")


def require_finite(
    array: NDArray[Any], what: str, names: list[str] | None = None, rows: NDArray[np.uint32] | None = None
) -> None:
    """Raise ValueError naming the first row that holds NaN or an infinity, among all rows or some."""
    dtype = array.dtype
    if dtype in FLOATS:
        finite = _core.all_finite(array)
    else:
        finite = dtype.kind in "biu" or (_core.all_finite(array) if is_narrow(dtype) else np.isfinite(array).all())
    if finite:
        return
    lines = array.reshape(len(array), -1)
    every = max(1, BLOCK // lines.shape[1])
    for start in range(0, len(lines) if rows is None else len(rows), every):
        part = slice(start, start + every)
        block = lines[part if rows is None else rows[part]]
        bad = ~np.isfinite(block)
        if bad.any():
            row, column = (int(i) for i in np.argwhere(bad)[0])
            kind = "NaN" if np.isnan(block[row, column]) else "an infinity"
            where = f"row {start + row if rows is None else rows[start + row]}"
            where += f", column {column}" if array.ndim == 2 else ""
            where += f" ({names[column]!r})" if names else ""
            raise ValueError(f"{what} holds {kind}, first in {where}")
