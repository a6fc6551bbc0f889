"""Data files made into rows and targets for the command line, and read again for a model that was fitted to such."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steepest._extras import require
from steepest._reading import Coded, ParquetReader, Reader, Source, find_sources, opened
from steepest._reading_text import TextReader, is_finite

# What arrays grow by: the system moves large ones without copying, and gives memory when it is written to.
GROWTH_BYTES = 1 << 23
BLOCK_ROWS = 1 << 15
# More in a column are names of rows rather than kinds of them, and spread out they would fill the memory.
MOST_TEXTS = 1000
DROP_HINT = "; --drop-missing leaves out such rows"


class Column(NamedTuple):
    """A column of the file that predicts: numbers, or one of several texts, each of which is a feature (one-hot)."""

    name: str
    values: list[str] | None = None

    @property
    def width(self) -> int:
        """How many features it makes."""
        return 1 if self.values is None else len(self.values)


def feature_names(columns: Sequence[Column]) -> list[str]:
    """Return the names of the features that columns make."""
    return [
        name
        for column in columns
        for name in ([column.name] if column.values is None else [f"{column.name}={value}" for value in column.values])
    ]


@dataclass(frozen=True)
class Request:
    """What is to be read, as asked for on the command line.

    Attributes
    ----------
    paths : sequence of str
        Files, patterns, or - for standard input.
    form : str or None
        Their format; by the suffix where None.
    target : str or None
        The column to predict, by name or index (from the end where negative); of an archive, the array.
    features, drop, categorical : sequence of str
        Columns by name or index: the only ones to predict from, those to leave out, those to take as texts.
    header : bool or None
        Whether the first line of a text file holds names.
    drop_missing : bool
        Whether rows with missing values are left out rather than refused.
    validation : float
        The share of the rows that is held out.
    seed : int
        Decides which.
    dtype : str
        Of the numbers of text and Parquet files.
    """

    paths: Sequence[str]
    form: str | None = None
    target: str | None = None
    features: Sequence[str] = ()
    drop: Sequence[str] = ()
    categorical: Sequence[str] = ()
    header: bool | None = None
    drop_missing: bool = False
    validation: float = 0.0
    seed: int = 0
    dtype: str = "float64"


@dataclass
class Table:
    """Rows (None for targets alone) and targets, with the names of their columns.

    Attributes
    ----------
    X, y : arrays of shape (n, d) and (n,)
        ``y`` holds indices of `labels` where the target is a text.
    columns : list of Column
        What the features were made of.
    target : str
        What it is called.
    labels : list of str or None
        The texts of the target, sorted.
    held_out : pair of arrays or None
        The same for the rows that are not fitted.
    left_out : int
        How many rows with missing values were not taken.
    sources : list of Source
        Where it comes from.
    """

    X: Any
    y: NDArray[Any]
    columns: list[Column]
    target: str
    labels: list[str] | None = None
    held_out: tuple[Any, NDArray[Any]] | None = None
    left_out: int = 0
    sources: list[Source] = field(default_factory=list)

    @property
    def features(self) -> list[str]:
        """The names of the features."""
        return feature_names(self.columns)

    def check_unchanged(self) -> None:
        """Refuse rows that are mapped from a file that was written to meanwhile."""
        for source in self.sources:
            source.check_unchanged()


def read_table(request: Request, labels: bool) -> Table:
    """Read data files.

    Parameters
    ----------
    request : Request
        Which files and columns.
    labels : bool
        Whether targets may be text.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        Naming the file and what is wrong in it, by line and column.
    OSError
        When a file cannot be read.
    """
    sources = find_sources(request.paths, request.form)
    table: Table | None = None
    if sources[0].form in ("npy", "npz", "svmlight"):
        from steepest._table_arrays import read_arrays

        table = read_arrays(sources, request)
    if table is None:
        table = _gather(sources, request, labels)
    table.sources = sources
    table.check_unchanged()
    return table


def open_reader(source: Source, header: bool | None, labels: str | None) -> Reader:
    """Open a file that is read block by block."""
    if source.form == "parquet":
        reader: Reader = ParquetReader(source)
    else:
        reader = TextReader(source, header, labels)
    twice = sorted({name for name in reader.names if reader.names.count(name) > 1})
    if twice:
        raise ValueError(
            f"{source.name} has {reader.names.count(twice[0])} columns named {twice[0]!r}; names must differ"
        )
    return reader


def find_column(names: Sequence[str], wanted: str | None, where: str, option: str = "--target") -> int:
    """Find a column by its name or its index."""
    if wanted is None:
        if len(names) == 1:
            return 0
        raise ValueError(f"{option} is needed: the column of {where} to predict, one of {listed(names)}")
    if wanted in names:
        return names.index(wanted)
    try:
        return range(len(names))[int(wanted)]
    except (ValueError, IndexError):
        raise ValueError(f"{where} has no column {wanted!r}; there are: {listed(names)}") from None


def listed(names: Sequence[str]) -> str:
    """Return names with commas, the first ones where they are many."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def choose_columns(names: Sequence[str], request: Request, where: str) -> tuple[int, list[int]]:
    """Return the column of the target and those of the features."""
    at = find_column(names, request.target, where)
    left = {find_column(names, name, where, "--drop") for name in request.drop}
    if at in left:
        raise ValueError(f"--drop {names[at]} is the target")
    if request.features:
        chosen = [find_column(names, name, where, "--features") for name in request.features]
        if at in chosen:
            raise ValueError(f"--features holds the target, {names[at]}")
        if len(set(chosen)) < len(chosen):
            raise ValueError("--features names a column twice")
        return at, [i for i in chosen if i not in left]
    return at, [i for i in range(len(names)) if i != at and i not in left]


class Rows:
    """An array that grows by blocks of rows.

    Parameters
    ----------
    width : int
        Numbers per row.
    dtype : str or dtype
        Of what type.
    """

    def __init__(self, width: int, dtype: Any) -> None:
        self._array = np.empty((0, width), dtype)
        self._step = max(1, GROWTH_BYTES // max(1, self._array.itemsize * width))
        self.count = 0

    def add(self, columns: Sequence[NDArray[Any]], take: NDArray[np.bool_] | None) -> None:
        """Add a block, given by its columns, or those of its rows that are to be taken."""
        size = len(columns[0]) if take is None else int(np.count_nonzero(take))
        if self.count + size > len(self._array):
            self._array.resize((self.count + size + self._step, self._array.shape[1]), refcheck=False)
        for j, column in enumerate(columns):
            self._array[self.count : self.count + size, j] = column if take is None else column[take]
        self.count += size

    def done(self) -> NDArray[Any]:
        """Return the array and forget it."""
        self._array.resize((self.count, self._array.shape[1]), refcheck=False)
        array, self._array = self._array, self._array[:0]
        return array


class Values:
    """The texts met in a column, each with a number."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def codes(self, column: Coded) -> NDArray[Any]:
        """Return a block's numbers, NaN where nothing stands."""
        # An empty text is none.
        table = [float(self.known.setdefault(value, len(self.known))) if value else np.nan for value in column.values]
        return np.array([*table, np.nan])[column.codes]

    def sorted(self) -> tuple[list[str], NDArray[np.float64]]:
        """Return the texts in order, and for each number the place of its text."""
        texts = sorted(self.known)
        place = {text: i for i, text in enumerate(texts)}
        return texts, np.array([place[text] for text in self.known], dtype=np.float64)


def _gather(sources: Sequence[Source], request: Request, labels: bool) -> Table:
    """Read files block by block into arrays that hold what is kept and no more."""
    names: list[str] = []
    draw = np.random.default_rng([request.seed, 0x5EED])
    left_out = 0
    kept = held = Rows(0, "float64"), Rows(1, "float64")
    for number, source in enumerate(sources):
        reader = open_reader(source, request.header, request.target if labels else None)
        if number == 0:
            names = reader.names
            at, features = choose_columns(names, request, source.name)
            categorical = {find_column(names, name, source.name, "--categorical") for name in request.categorical}
            text = (reader.textual | categorical) & ({*features, at} if labels else set(features))
            if not labels and at in reader.textual:
                raise ValueError(
                    f"{source.name}: the target {names[at]!r} holds texts, and this loss takes numbers; labels go with "
                    "--loss log_loss where there are two, otherwise with --loss softmax"
                )
            if not labels and at in categorical:
                raise ValueError(f"--categorical {names[at]} is the target, which this loss takes as a number")
            _refuse_commas(reader, text - categorical)
            values = {i: Values() for i in sorted(text)}
            few = text - categorical - {at}
            kept = Rows(len(features), request.dtype), Rows(1, request.dtype)
            held = Rows(len(features), request.dtype), Rows(1, request.dtype)
        columns = columns_by_name(reader, [names[i] for i in (*features, at)])
        of_first = dict(zip(columns, (*features, at), strict=True))
        row = 0
        for block in reader.blocks(columns, {i for i in columns if of_first[i] in text}):
            numbers = [
                values[of_first[i]].codes(column) if isinstance(column, Coded) else column
                for i, column in zip(columns, block, strict=True)
            ]
            take = whole_rows(numbers, reader, columns, row, request.drop_missing)
            row += len(numbers[0])
            if take is not None:
                left_out += len(take) - int(np.count_nonzero(take))
            if request.validation:
                fit = draw.random(len(numbers[0])) >= request.validation
                hold = ~fit if take is None else ~fit & take
                _add(held, numbers, hold)
                take = fit if take is None else fit & take
            _add(kept, numbers, take)
            _refuse_names_of_rows(source, names, {i: values[i] for i in few})
        source.check_unchanged()
    if kept[1].count == 0:
        raise ValueError(f"{sources[0].name} holds no rows" + (" without missing values" if left_out else ""))
    return _table(kept, held if request.validation else None, names, features, at, values, left_out)


def _refuse_commas(reader: Reader, text: Collection[int]) -> None:
    """Refuse numbers that were taken for texts."""
    for i in sorted(reader.commas.keys() & text):
        raise ValueError(
            f"{reader.name}: column {reader.names[i]!r} holds {reader.commas[i]!r}, but numbers have a decimal point; "
            f"--categorical {reader.names[i]} takes it as text"
        )


def _refuse_names_of_rows(source: Source, names: Sequence[str], values: Mapping[int, Values]) -> None:
    """Refuse columns whose texts are too many to be kinds of rows."""
    for i, found in values.items():
        if len(found.known) > MOST_TEXTS:
            raise ValueError(
                f"{source.name}: column {names[i]!r} holds more than {MOST_TEXTS:,} texts, each of which would be a "
                f"feature; --drop {names[i]} leaves it out, --categorical {names[i]} takes them all"
            )


def columns_by_name(reader: Reader, wanted: Sequence[str]) -> list[int]:
    """Return where the columns of one file stand in another, whatever their order there."""
    missing = [name for name in wanted if name not in reader.names]
    if missing:
        raise ValueError(f"{reader.name} has no column {missing[0]!r}; there are: {listed(reader.names)}")
    return [reader.names.index(name) for name in wanted]


def whole_rows(
    numbers: Sequence[NDArray[Any]], reader: Reader, columns: Sequence[int], row: int, drop: bool, hint: str = DROP_HINT
) -> NDArray[np.bool_] | None:
    """Return which rows miss nothing, None where none does; refuse the others unless they are to be dropped."""
    if all(is_finite(column) for column in numbers):
        return None
    finite = [np.isfinite(column) for column in numbers]
    whole: NDArray[np.bool_] = np.logical_and.reduce(finite)
    if not drop:
        first = int((~whole).argmax())
        at = next(j for j, column in enumerate(finite) if not column[first])
        held = "nothing" if np.isnan(numbers[at][first]) else str(numbers[at][first])
        raise ValueError(
            f"{reader.name}, {reader.place(row + first)}: column {reader.names[columns[at]]!r} holds {held}{hint}"
        )
    return whole


def _add(into: tuple[Rows, Rows], numbers: Sequence[NDArray[Any]], take: NDArray[np.bool_] | None) -> None:
    *features, target = numbers
    if features:
        into[0].add(features, take)
    into[1].add([target], take)


def _table(
    kept: tuple[Rows, Rows],
    held: tuple[Rows, Rows] | None,
    names: Sequence[str],
    features: Sequence[int],
    at: int,
    values: dict[int, Values],
    left_out: int,
) -> Table:
    ordered = {i: values[i].sorted() for i in values}
    columns = [Column(names[i], ordered[i][0] if i in ordered else None) for i in features]
    places = {j: ordered[i][1] for j, i in enumerate(features) if i in ordered}

    def finish(rows: tuple[Rows, Rows]) -> tuple[Any, NDArray[Any]]:
        X = rows[0].done() if features else None
        y = rows[1].done()[:, 0]
        if X is not None and places:
            X = one_hot(X, columns, places)
        if at in ordered:
            # Block by block and in place: of narrow rows the targets are a good part.
            for start in range(0, len(y), BLOCK_ROWS):
                part = y[start : start + BLOCK_ROWS]
                part[:] = ordered[at][1][part.astype(np.intp)]
        return X, y

    X, y = finish(kept)
    labels = ordered[at][0] if at in ordered else None
    return Table(X, y, columns, names[at], labels, None if held is None else finish(held), left_out)


def one_hot(X: NDArray[Any], columns: Sequence[Column], places: dict[int, NDArray[np.float64]]) -> NDArray[Any]:
    """Return rows in which each column of codes has become a column of 0 and 1 per text.

    Parameters
    ----------
    X : ndarray, shape (n, len(columns))
        Numbers, and codes of texts; a code beyond the texts stands for none of them.
    columns : sequence of Column
        What they are.
    places : dict
        For each column of codes, the place of each code's text among the values.
    """
    wide = np.zeros((len(X), sum(column.width for column in columns)), X.dtype)
    at = 0
    for j, column in enumerate(columns):
        if column.values is None:
            wide[:, at] = X[:, j]
        else:
            place = places[j][X[:, j].astype(np.intp)].astype(np.intp)
            known = np.flatnonzero(place < len(column.values))
            wide[known, at + place[known]] = 1
        at += column.width
    return wide


def read_for(columns: Sequence[Column], request: Request, unknown: str) -> Iterator[Any]:
    """Yield rows for a model, block by block: columns are found by name, texts encoded as when it was fitted.

    Parameters
    ----------
    columns : sequence of Column
        What the model was fitted to.
    request : Request
        Which files.
    unknown : {"error", "ignore"}
        What to do about a text that the model has not met: refuse it, or set none of the column's features.

    Raises
    ------
    ValueError
        Naming the file and what is wrong in it, by line and column.
    OSError
        When a file cannot be read.
    """
    sources = find_sources(request.paths, request.form)
    if sources[0].form in ("npy", "npz", "svmlight"):
        from steepest._table_arrays import blocks_for

        yield from blocks_for(sources, columns)
        return
    texts = {j: {text: float(i) for i, text in enumerate(one.values)} for j, one in enumerate(columns) if one.values}
    for source in sources:
        reader = open_reader(source, request.header, None)
        places = columns_by_name(reader, [column.name for column in columns])
        text = {i for i, column in zip(places, columns, strict=True) if column.values is not None}
        row = 0
        for block in reader.blocks(places, text):
            numbers: list[NDArray[Any]] = []
            for j, column in enumerate(block):
                if isinstance(column, Coded):
                    known = texts[j]
                    beyond = float(len(known))
                    codes = np.array([*(known.get(value, beyond) for value in column.values), np.nan])[column.codes]
                    if unknown == "error" and (codes == beyond).any():
                        first = int((codes == beyond).argmax())
                        raise ValueError(
                            f"{source.name}, {reader.place(row + first)}: column {columns[j].name!r} holds "
                            f"{column.values[column.codes[first]]!r}, which the model has not met; it knows "
                            f"{listed(list(known))} (--unknown ignore takes it as none of them)"
                        )
                    column = codes
                numbers.append(column)
            whole_rows(numbers, reader, places, row, drop=False, hint="")
            row += len(numbers[0])
            X = np.column_stack(numbers)
            identity = {j: np.arange(len(known) + 1.0) for j, known in texts.items()}
            yield one_hot(X, columns, identity) if texts else X
        source.check_unchanged()


def load_svmlight(source: Source, features: int | None = None) -> tuple[Any, NDArray[Any]]:
    """Read an svmlight file into CSR rows by scikit-learn."""
    datasets = require("sklearn.datasets", extra="sklearn")
    try:
        with opened(source) as stream:
            X, y = datasets.load_svmlight_file(stream, n_features=features)
    except ValueError as error:
        raise ValueError(f"{source.name} cannot be read as svmlight: {error}") from None
    return X, y
