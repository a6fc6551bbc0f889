"""Functions traced once, as losses of the compiled loop."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepest import _core
from steepest._data import (
    as_array,
    as_rows,
    as_weights,
    computed_in,
    is_narrow,
    require_finite,
    require_finite_rows,
    require_numeric,
)
from steepest._frames import is_table, names_of
from steepest._rows import resolve_rows
from steepest._sparse import SparseRows, as_sparse_rows, is_sparse
from steepest._warnings import LARGE_COPY, DataCopyWarning, warn

Tensor: TypeAlias = Any
_PACKAGE = str(Path(__file__).parents[1])


class Layout:
    """How a nested structure of parameters lies in one vector: dictionaries, lists and tuples of arrays, in order."""

    def __init__(self, structure: Any) -> None:
        self.leaves: list[tuple[str, tuple[int, ...]]] = []
        self.arrays: list[NDArray[Any]] = []
        self._structure = self._number(structure, "")
        if not self.leaves:
            raise ValueError("x0 holds no parameters")
        self.size = sum(array.size for array in self.arrays)
        self.shape = (self.size,) if self.nested else self.arrays[0].shape

    @property
    def nested(self) -> bool:
        """Whether there is any structure besides one array."""
        return not isinstance(self._structure, int)

    def _number(self, part: Any, path: str) -> Any:
        """Replace the arrays of a structure by their numbers."""
        if isinstance(part, Mapping):
            return {key: self._number(value, f"{path}[{key!r}]") for key, value in part.items()}
        if isinstance(part, (list, tuple)) and not all(isinstance(item, (int, float)) for item in part):
            return [self._number(value, f"{path}[{i}]") for i, value in enumerate(part)]
        array = as_array(part, f"x0{path}")
        require_numeric(array, f"x0{path}")
        if array.size == 0:
            raise ValueError(f"x0{path} is empty: its shape is {array.shape}")
        self.leaves.append((path, array.shape))
        self.arrays.append(array)
        return len(self.leaves) - 1

    def rebuild(self, leaves: list[Any]) -> Any:
        """Return the structure with these in place of its arrays."""

        def build(part: Any) -> Any:
            if isinstance(part, dict):
                return {key: build(value) for key, value in part.items()}
            return [build(value) for value in part] if isinstance(part, list) else leaves[part]

        return build(self._structure)

    def flat(self, dtype: Any) -> NDArray[Any]:
        """Return the parameters as one vector."""
        return np.concatenate([array.ravel().astype(dtype) for array in self.arrays])

    def unflat(self, x: NDArray[Any]) -> Any:
        """Return the structure with views of a vector in place of its arrays."""
        ends = np.cumsum([array.size for array in self.arrays])
        pieces = np.split(x, ends[:-1])
        return self.rebuild([piece.reshape(array.shape) for piece, array in zip(pieces, self.arrays, strict=True)])


class TracedProblem(NamedTuple):
    """A problem of the core made from a traced loss."""

    problem: Any
    layout: Layout
    start: NDArray[Any]
    numbers: int


class _Prepared(NamedTuple):
    """A traced program and the arrays that it runs over, checked and converted."""

    programs: Any
    arrays: list[Any]
    layout: Layout
    mean_weight: float

    def over(self, arrays: list[Any]) -> Any:
        """Return the problem of the core for these rows."""
        suffix = "32" if computed_in(arrays[0].dtype) == np.float32 else "64"
        make, kind = getattr(_core, f"traced_sum{suffix}"), getattr(_core, f"Problem{suffix}")
        return kind(make(self.programs, arrays, self.mean_weight))


class TracedLoss:
    """A loss written in Python, traced into the compiled loop; made by `loss`.

    Called with tensors or arrays, ``my_loss(w, x, y)``, it computes its row losses at once, as the function does.

    Attributes
    ----------
    name : str
        The function's.
    whole_batch : bool
        Whether the function sees batches whole and returns one number for each.
    curvature : None
        No bound of it is known.
    """

    curvature: ClassVar[float | None] = None

    def __init__(self, function: Callable[..., Any], whole_batch: bool = False) -> None:
        if not callable(function):
            raise TypeError(f"a loss is a function of (parameters, *batch), not {function!r}")
        self.function = function
        self.whole_batch = bool(whole_batch)
        self.name = str(getattr(function, "__name__", type(function).__name__))
        self.__name__ = self.name
        self.__qualname__ = str(getattr(function, "__qualname__", self.name))
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        self._programs: dict[Any, Any] = {}

    def __repr__(self) -> str:
        return f"<traced loss {self.name}>"

    def __reduce__(self) -> str:
        # By its name, as functions are pickled.
        return self.__qualname__

    def __call__(self, parameters: Any, *batch: Any) -> Tensor:
        """Return what the function returns, computed at once."""
        return self.function(_tensors(parameters), *(_core.as_tensor(part) for part in batch))

    def problem(
        self, data: Any, x0: Any, sample_weight: ArrayLike | None, check_finite: bool = True, rows: Any = None
    ) -> TracedProblem:
        """Make a problem of the core.

        Parameters
        ----------
        data : tuple of array_like, or array_like
            The arguments behind the parameters; axis 0 of each runs over the rows.
        x0 : array_like, nested dictionary, or None
            Gives the parameters their shapes.
        sample_weight : array_like, shape (n,), optional
            Weights of the rows.
        check_finite : bool
            Whether the data is searched for NaN and infinities first.
        rows : array_like or slice, optional
            The only rows that are looked at.

        Raises
        ------
        ValueError, TypeError
            Where data, start and function do not fit, or rows mix.
        """
        prepared = self._prepared(data, x0, sample_weight, check_finite, rows)
        layout, arrays = prepared.layout, prepared.arrays
        return TracedProblem(
            prepared.over(arrays),
            layout,
            layout.flat(computed_in(arrays[0].dtype)),
            sum(array.size for array in arrays),
        )

    def single_rows(
        self, data: Any, x0: Any, sample_weight: ArrayLike | None, index: NDArray[np.int64]
    ) -> Iterator[Any]:
        """Give a problem of the core for each of some rows alone, weighed as among all of them."""
        prepared = self._prepared(data, x0, sample_weight, False)
        for i in index:
            rows = [array[i : i + 1] for array in prepared.arrays]
            yield prepared.over([row if isinstance(row, SparseRows) else np.ascontiguousarray(row) for row in rows])

    def _prepared(
        self, data: Any, x0: Any, sample_weight: ArrayLike | None, check_finite: bool, rows: Any = None
    ) -> _Prepared:
        arrays = _checked_data(data, check_finite, rows)
        layout = Layout(_default_start(arrays, isinstance(data, tuple), self.name) if x0 is None else x0)
        mean_weight = 1.0
        if sample_weight is not None:
            if self.whole_batch:
                raise ValueError("sample_weight does not go with whole_batch=True: weigh inside the function")
            weight, mean_weight = as_weights(sample_weight, len(arrays[0]), computed_in(arrays[0].dtype))
            arrays.append(weight)
        programs = self._program(layout, arrays, sample_weight is not None, isinstance(data, tuple))
        for i, array in enumerate(arrays):
            if isinstance(array, SparseRows) and programs.loaded[i]:
                raise TypeError(
                    f"{self.name} reads data[{i}] number by number, but sparse rows are only multiplied with vectors, "
                    "as in x @ w: pass its toarray()"
                )
        return _Prepared(programs, arrays, layout, mean_weight)

    def _program(self, layout: Layout, arrays: list[Any], weighted: bool, is_tuple: bool) -> Any:
        """Trace the function, once for every combination of shapes and dtype."""
        inner = tuple(array.shape[1:] for array in arrays)
        dtype = computed_in(arrays[0].dtype)
        key = (tuple(layout.leaves), inner, dtype, weighted, is_tuple)
        if key not in self._programs:
            rows = inner[: len(inner) - weighted]
            trace = _core.Trace(dtype == np.float32)
            with trace:
                parameters = [trace.parameter(shape) for _, shape in layout.leaves]
                batch = [trace.rows(shape) for shape in rows]
                root = _traced(self.function, layout.rebuild(parameters), *batch)
                kind = "batch_loss" if self.whole_batch else "row_losses"
                try:
                    programs = trace.compile(root, kind, weighted)
                except ValueError as error:
                    raise ValueError(f"{self.name}: {error}") from None
            if programs.unused:
                names = ", ".join(f"parameters{layout.leaves[i][0]}" for i in programs.unused)
                raise ValueError(f"{self.name} does not depend on {names}: the gradient would be zero everywhere")
            self._programs[key] = programs
        return self._programs[key]


@overload
def loss(function: Callable[..., Any], *, whole_batch: bool = ...) -> TracedLoss: ...
@overload
def loss(function: None = ..., *, whole_batch: bool = ...) -> Callable[[Callable[..., Any]], TracedLoss]: ...
def loss(
    function: Callable[..., Any] | None = None, *, whole_batch: bool = False
) -> TracedLoss | Callable[[Callable[..., Any]], TracedLoss]:
    """Make a loss of a Python function: traced once, run in the compiled loop (B2).

    The function is called with traced tensors in place of numbers, once for each combination of shapes and dtype;
    what it computes with them is recorded, differentiated, simplified and run over blocks of rows. Conditions on
    traced values are ``steepest.where``, not ``if``. Whatever else it does (random numbers, printing) happens at that
    one time.

    Parameters
    ----------
    function : callable
        ``f(parameters, x, y)`` for data ``(x, y)``, ``f(parameters, y)`` for data ``y``, and so on. The parameters have
        the shape (or the nested dictionary of shapes) of ``x0``; without ``x0`` they have one number per column of x,
        or are a single number for data of one axis. Returns one loss per row, shape (B,); a mean over the rows at the
        root is the same.
    whole_batch : bool
        Whether rows mix otherwise: the function then returns one number per batch. Such losses take no sample weights
        and are not cut into blocks.

    Returns
    -------
    TracedLoss
        For ``minimize`` and everything else that takes a loss.

    Raises
    ------
    ValueError, TypeError
        When it is first used: where shapes do not fit (naming the function's line), rows mix, a parameter is not used,
        or the truth of a traced value is asked for.

    Examples
    --------
    >>> import steepest as st
    >>> @st.loss
    ... def my_loss(w, x, y):
    ...     return st.softplus(-y * (x @ w))
    >>> X, y = st.data.logistic(1000, 3, seed=0)
    >>> ours = st.minimize(my_loss, (X, y), method="sgd", step_size=0.1, epochs=3, seed=0)
    >>> theirs = st.minimize("log_loss", (X, y), method="sgd", step_size=0.1, epochs=3, seed=0)
    >>> bool(abs(ours.x - theirs.x).max() < 1e-6)
    True
    """
    if function is None:
        return lambda f: TracedLoss(f, whole_batch)
    return TracedLoss(function, whole_batch)


def _traced(function: Callable[..., Any], *args: Any) -> Tensor:
    """Call a function with traced tensors; errors name its line."""
    try:
        result = function(*args)
    except (ValueError, TypeError, IndexError, RuntimeError) as error:
        place = _line_of(error)
        if place is None:
            raise
        raise type(error)(f"{error}\n  while tracing {place}") from error
    if isinstance(result, _core.Tensor):
        return result
    try:
        return _core.as_tensor(result)
    except TypeError:
        raise TypeError(f"a traced function returns a tensor, not {result!r}") from None


def _line_of(error: BaseException) -> str | None:
    """Describe the last line outside of this package that an error went through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_PACKAGE)]
    if not frames:
        return None
    frame = frames[-1]
    return f'{frame.name}: "{frame.line}" ({frame.filename}, line {frame.lineno})'


def _tensors(structure: Any) -> Any:
    if isinstance(structure, Mapping):
        return {key: _tensors(value) for key, value in structure.items()}
    return _core.as_tensor(structure)


def _parts(data: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(data, tuple):
        yield "data", data
        return
    if not data:
        raise ValueError("data is an empty tuple")
    yield from ((f"data[{i}]", part) for i, part in enumerate(data))


def _checked_data(
    data: Any, check_finite: bool, rows: Any = None, encode: Callable[[Any, Any, Any], Any] | None = None
) -> list[Any]:
    """Return the row inputs in one dtype, that of the first: X is read in place, the rest is small.

    Numbers are looked at in `rows` alone, where these are given. The last of the inputs goes through `encode` first,
    with that dtype and the positions of the rows, where it is given.
    """
    arrays: list[Any] = []
    chosen = None
    parts = list(_parts(data))
    for i, (name, part) in enumerate(parts):
        if encode is not None and arrays and i == len(parts) - 1:
            part = encode(part, computed_in(arrays[0].dtype), chosen)
        if is_sparse(part) or isinstance(part, SparseRows):
            arrays.append(_checked_sparse(part, name, arrays))
            if rows is not None and chosen is None:
                chosen = resolve_rows(rows, len(arrays[0]))
            if check_finite:
                require_finite_rows(arrays[-1], name, rows=chosen)
            continue
        array = as_rows(part) if is_table(part) or np.ndim(part) == 2 else as_array(part, name)
        require_numeric(array, name)
        if array.ndim == 0:
            raise ValueError(f"{name} is a single number; axis 0 must run over the rows")
        if array.size == 0:
            raise ValueError(f"{name} is empty: its shape is {array.shape}")
        if arrays and len(array) != len(arrays[0]):
            raise ValueError(f"data[0] has {len(arrays[0])} rows, {name} has {len(array)}")
        if rows is not None and chosen is None:
            chosen = resolve_rows(rows, len(array))
        narrow = array.ndim > 1 and is_narrow(array.dtype)
        single = array.dtype == np.float32 or narrow
        dtype = computed_in(arrays[0].dtype) if arrays else np.dtype(np.float32 if single else np.float64)
        if (array.dtype != dtype and not narrow) or (array.ndim != 2 and not array.flags.c_contiguous):
            if array.ndim > 1 and array.size * dtype.itemsize > LARGE_COPY:
                reason = f"dtype {array.dtype}" if array.dtype != dtype else "numbers that do not lie in C order"
                size = array.size * dtype.itemsize / 1e6
                warn(f"{name} has {reason}: a copy in {dtype} of {size:.0f} MB is made", DataCopyWarning)
            array = np.ascontiguousarray(array, dtype=None if narrow else dtype)
        if check_finite and (array.ndim <= 2):
            require_finite(array, name, names_of(part), chosen)
        arrays.append(array)
    return arrays


def _checked_sparse(part: Any, name: str, before: list[Any]) -> SparseRows:
    """Return sparse rows in the dtype of the first input."""
    rows = part if isinstance(part, SparseRows) else as_sparse_rows(part, name)
    if before and len(rows) != len(before[0]):
        raise ValueError(f"data[0] has {len(before[0])} rows, {name} has {len(rows)}")
    if before and computed_in(rows.dtype) != computed_in(before[0].dtype):
        rows = SparseRows(rows.data.astype(computed_in(before[0].dtype)), rows.indices, rows.indptr, rows.shape)
    return rows


def _default_start(arrays: list[Any], is_tuple: bool, name: str) -> NDArray[Any]:
    """Return zeros where the data implies the parameters: a number for data of one axis, else one per column."""
    if arrays[0].ndim == 1:
        return np.zeros(())
    if is_tuple and arrays[0].ndim == 2:
        return np.zeros(arrays[0].shape[1])
    raise ValueError(f"x0 is required: nothing else tells how many parameters {name} has")
