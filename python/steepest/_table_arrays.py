"""Arrays in files, .npy and .npz and svmlight: mapped or read as they are, not block by block."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from steepest._reading import STDIN, Source
from steepest._table import BLOCK_ROWS, Column, Request, Table, choose_columns, listed, load_svmlight


def read_arrays(sources: Sequence[Source], request: Request) -> Table:
    """Read arrays into a table; several files of rows are put one below the other."""
    if request.categorical:
        raise ValueError("--categorical goes with .csv, .tsv and .parquet: an array holds numbers")
    form = sources[0].form
    if form == "npz":
        if len(sources) > 1:
            raise ValueError("of .npz archives only one can be read at a time")
        X, y, columns, target = _archive(sources[0], request)
    elif form == "svmlight":
        parts = [load_svmlight(source) for source in sources]
        width = max(part[0].shape[1] for part in parts)
        for part, _ in parts:
            part.resize(part.shape[0], width)
        X = parts[0][0] if len(parts) == 1 else scipy.sparse.vstack([part[0] for part in parts], format="csr")
        y = np.concatenate([part[1] for part in parts])
        X, columns = _chosen(X, request)
        target = "label"
    else:
        arrays = [_load(source) for source in sources]
        if len({array.shape[1] for array in arrays}) > 1:
            raise ValueError(f"the files have {', '.join(str(a.shape[1]) for a in arrays)} columns; they must agree")
        X, y, columns, target = _split(arrays[0] if len(arrays) == 1 else np.concatenate(arrays), sources[0], request)
    return _held_out(Table(X, y, columns, target), request)


def blocks_for(sources: Sequence[Source], columns: Sequence[Column]) -> Iterator[Any]:
    """Yield rows for a model, dense or CSR."""
    wanted = [column.name for column in columns]
    for source in sources:
        if source.form == "svmlight":
            X = load_svmlight(source, len(columns))[0]
        elif source.form == "npz":
            with _loaded(source) as archive:
                X = archive["X" if "X" in archive.files else archive.files[0]]
            X = X.reshape(-1, 1) if X.ndim == 1 else X
        else:
            X = _load(source)
        names = [str(i) for i in range(X.shape[1])]
        missing = [name for name in wanted if name not in names]
        if missing:
            raise ValueError(f"{source.name} has no column {missing[0]!r}; there are: {listed(names)}")
        index = [names.index(name) for name in wanted]
        for start in range(0, X.shape[0], BLOCK_ROWS):
            block = X[start : start + BLOCK_ROWS]
            if index != list(range(X.shape[1])):
                block = block[:, index]
            if scipy.sparse.issparse(block):
                if not np.isfinite(block.data).all():
                    raise ValueError(f"{source.name} holds numbers that are not finite")
            elif not np.isfinite(block).all():
                row, column = (int(i) for i in np.argwhere(~np.isfinite(block))[0])
                raise ValueError(
                    f"{source.name} holds {block[row, column]} in row {start + row}, column {wanted[column]}"
                )
            yield block
        source.check_unchanged()


def _loaded(source: Source) -> Any:
    """Open what NumPy wrote; arrays are mapped, not read: the core takes rows from wherever they lie."""
    try:
        if source.path == STDIN:
            return np.load(BytesIO(sys.stdin.buffer.read()), allow_pickle=False)
        return np.load(source.path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{source.name} cannot be read as .{source.form}: {error}") from None


def _load(source: Source) -> NDArray[Any]:
    array: Any = _loaded(source)
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{source.name} holds several arrays; --format npz reads them")
    if array.ndim == 1:
        array = array.reshape(-1, 1)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{source.name} holds an array of shape {array.shape}; rows and columns are needed")
    rows: NDArray[Any] = array
    return rows


def _split(array: NDArray[Any], source: Source, request: Request) -> tuple[Any, NDArray[Any], list[Column], str]:
    """Take the target's column out of an array."""
    names = [str(i) for i in range(array.shape[1])]
    at, features = choose_columns(names, request, source.name)
    y = array[:, at]
    columns = [Column(names[i]) for i in features]
    if not features:
        return None, y, [], names[at]
    first, last = features[0], features[-1]
    # Neighbours are a view; others have to be copied.
    neighbours = features == list(range(first, last + 1))
    return (array[:, first : last + 1] if neighbours else array[:, features]), y, columns, names[at]


def _archive(source: Source, request: Request) -> tuple[Any, NDArray[Any], list[Column], str]:
    archive = _loaded(source)
    if isinstance(archive, np.ndarray):
        raise ValueError(f"{source.name} holds a single array; --format npy reads it")
    with archive:
        names = list(archive.files)
        target = "y" if request.target is None else request.target
        if target not in names:
            raise ValueError(f"{source.name} has no array {target!r}; there are: {', '.join(names) or 'none'}")
        others = [name for name in names if name != target]
        if "X" not in others and len(others) > 1:
            raise ValueError(f"{source.name} has no array X to predict {target} from; there are: {', '.join(names)}")
        try:
            y = archive[target]
            if not others:
                return None, y, [], target
            X = archive["X" if "X" in others else others[0]]
        except ValueError as error:
            raise ValueError(f"{source.name} cannot be read: {error}") from None
    X, columns = _chosen(X.reshape(-1, 1) if X.ndim == 1 else X, request)
    return X, y, columns, target


def _chosen(X: Any, request: Request) -> tuple[Any, list[Column]]:
    """Return the columns asked for."""
    names = [str(i) for i in range(X.shape[-1])]
    if not (request.features or request.drop):
        return X, [Column(name) for name in names]
    # The target is no column here: one behind the last cannot be chosen.
    wanted = Request(request.paths, target="target", features=request.features, drop=request.drop)
    features = choose_columns([*names, "target"], wanted, "X")[1]
    return X[:, features], [Column(names[i]) for i in features]


def _held_out(table: Table, request: Request) -> Table:
    """Hold rows out, which copies both parts."""
    if request.validation:
        fit = np.random.default_rng([request.seed, 0x5EED]).random(len(table.y)) >= request.validation
        table.held_out = (None if table.X is None else table.X[~fit], table.y[~fit])
        table.X, table.y = (None if table.X is None else table.X[fit]), table.y[fit]
    return table
