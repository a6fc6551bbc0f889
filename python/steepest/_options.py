"""Options that several commands have in common, as groups of fields, and what makes options of such fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import partial
from typing import Annotated, Any, get_type_hints

import typer

from steepest import losses, penalties
from steepest._arguments import resolve_seed
from steepest._errors import Refused
from steepest._reading import FORMATS
from steepest._table import Request

data_option = partial(typer.Option, rich_help_panel="Data")
model_option = partial(typer.Option, rich_help_panel="Model")


def spread(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the fields of those of its parameters that are groups of options."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    own, parameters = list(inspect.signature(command).parameters.values()), []
    for parameter in own:
        if parameter.name not in groups:
            annotation = hints[parameter.name]
            parameters.append(parameter.replace(annotation=annotation, kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        kind = groups[parameter.name]
        of_group = get_type_hints(kind, include_extras=True)
        for field in fields(kind):
            default = inspect.Parameter.empty if field.default is MISSING else field.default
            parameters.append(
                inspect.Parameter(
                    field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=of_group[field.name]
                )
            )

    def spread_out(**given: Any) -> Any:
        made = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)}) for name, kind in groups.items()
        }
        return command(**made, **given)

    spread_out.__name__ = command.__name__
    spread_out.__doc__ = command.__doc__
    spread_out.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    spread_out.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return spread_out


def known(find: Callable[[str], Any]) -> Callable[[str | None], str | None]:
    """Return the check of an option that takes a name of a list."""

    def check(value: str | None) -> str | None:
        if value is not None:
            try:
                find(value)
            except ValueError as error:
                raise typer.BadParameter(str(error)) from None
        return value

    return check


def one_of(names: Sequence[str]) -> str:
    """Say which values there are."""
    return "one of " + ", ".join(names)


def _format(name: str) -> None:
    if name.lower() not in FORMATS:
        raise ValueError(f"unknown format {name!r}; there are: {', '.join(FORMATS)}")


def _dtype(name: str) -> None:
    if name not in ("float32", "float64"):
        raise ValueError(f"unknown dtype {name!r}; there are: float32, float64")


def split(text: str | None) -> list[str]:
    """Return the parts of a list with commas."""
    return [] if text is None else [part.strip() for part in text.split(",")]


DataFiles = Annotated[
    list[str],
    typer.Argument(
        metavar="DATA",
        help="Files (.csv, .tsv, .npy, .npz, .parquet, .svmlight), patterns such as 'part-*.csv', or - for standard "
        "input.",
    ),
]


Form = Annotated[
    str | None,
    data_option(
        "--format",
        metavar="NAME",
        callback=known(_format),
        help=f"The format, {one_of(tuple(FORMATS))}; by the suffix if not given, csv for standard input.",
    ),
]
Header = Annotated[
    bool | None,
    data_option("--header/--no-header", help="Whether the first line holds names; seen by itself if not given."),
]


@dataclass
class FileOptions:
    """How data files are to be read."""

    form: Form = None
    header: Header = None

    def request(self, paths: Sequence[str]) -> Request:
        """Return what is to be read to predict."""
        return Request(paths, self.form and self.form.lower(), header=self.header)


@dataclass
class DataOptions:
    """Which columns are to be taken from data files, and how these are to be read."""

    target: Annotated[
        str | None,
        data_option(
            "--target",
            "-t",
            metavar="COLUMN",
            help="The column to predict, by name or index; in a .npz the name of an array, y if not given.",
        ),
    ] = None
    features: Annotated[
        str | None,
        data_option(
            "--features",
            metavar="LIST",
            help="The columns to predict from, with commas between them; all others if not given.",
        ),
    ] = None
    drop: Annotated[
        str | None, data_option("--drop", metavar="LIST", help="Columns to leave out, such as id,date.")
    ] = None
    categorical: Annotated[
        str | None,
        data_option(
            "--categorical",
            metavar="LIST",
            help="Columns of numbers to take as texts. A column of texts becomes a feature for each of them.",
        ),
    ] = None
    drop_missing: Annotated[
        bool, data_option("--drop-missing", help="Leave out rows in which something is missing.")
    ] = False
    dtype: Annotated[
        str,
        data_option(
            "--dtype",
            metavar="NAME",
            callback=known(_dtype),
            help="float64, or float32 in half of the memory; arrays keep theirs.",
        ),
    ] = "float64"
    form: Form = None
    header: Header = None

    def table_request(self, paths: Sequence[str], validation: float = 0.0, seed: int = 0) -> Request:
        """Return what is to be read to fit."""
        return Request(
            paths,
            self.form and self.form.lower(),
            self.target,
            split(self.features),
            split(self.drop),
            split(self.categorical),
            self.header,
            self.drop_missing,
            validation,
            seed,
            self.dtype,
        )


@dataclass
class LossOptions:
    """What is to be minimized."""

    loss: Annotated[
        str,
        model_option(
            "--loss",
            "-l",
            metavar="NAME",
            callback=known(losses.get),
            help=f"The loss, {one_of(losses.available())}.",
        ),
    ] = "squared_error"
    loss_param: Annotated[
        list[str] | None,
        model_option("--loss-param", metavar="NAME=VALUE", help="A parameter of the loss, such as delta=1.35."),
    ] = None
    penalty: Annotated[
        str | None,
        model_option(
            "--penalty",
            "-p",
            metavar="NAME",
            callback=known(penalties.get),
            help=f"A penalty on the coefficients, {one_of(penalties.available())}.",
        ),
    ] = None
    alpha: Annotated[float | None, model_option("--alpha", metavar="NUMBER", help="Strength of the penalty.")] = None
    l1_ratio: Annotated[
        float | None, model_option("--l1-ratio", metavar="NUMBER", help="Share of L1 in an elastic net.")
    ] = None
    radius: Annotated[float | None, model_option("--radius", metavar="NUMBER", help="Radius of a ball.")] = None
    lower: Annotated[float | None, model_option("--lower", metavar="NUMBER", help="Lower bound of a box.")] = None
    upper: Annotated[float | None, model_option("--upper", metavar="NUMBER", help="Upper bound of a box.")] = None
    intercept: Annotated[bool, model_option("--intercept/--no-intercept", help="Whether to fit an intercept.")] = True
    normalize: Annotated[
        bool,
        model_option(
            "--normalize",
            help="Descend over columns of mean 0 and deviation 1: far faster where their units differ. Penalties then "
            "weigh those. A model gets an intercept, which the means go into, with --no-intercept too.",
        ),
    ] = False

    def made(self) -> tuple[losses.Loss, penalties.Penalty | None]:
        """Return the loss and the penalty with their parameters.

        Raises
        ------
        ValueError
            Naming the option.
        """
        names = losses.get(self.loss).params
        given = {}
        for pair in self.loss_param or []:
            name, sign, value = pair.partition("=")
            if not sign:
                raise ValueError(f"--loss-param takes NAME=VALUE, not {pair!r}")
            if name not in names:
                raise ValueError(f"{self.loss} has no parameter {name!r}; there are: {', '.join(names) or 'none'}")
            given[name] = number(value, f"--loss-param {name}")
        return losses.get(self.loss, **given), self._penalty()

    def _penalty(self) -> penalties.Penalty | None:
        options = {name: getattr(self, name) for name in ("alpha", "l1_ratio", "radius", "lower", "upper")}
        given = {name: value for name, value in options.items() if value is not None}
        names = {} if self.penalty is None else penalties.get(self.penalty).params
        for name in given:
            if name not in names:
                option = f"--{name.replace('_', '-')}"
                goes = f"{option} goes with --penalty"
                raise ValueError(goes + (f"; {self.penalty} has none" if self.penalty else ""))
        return None if self.penalty is None else penalties.get(self.penalty, **given)


def seed_of(given: int | None) -> int:
    """Return the seed asked for, otherwise a drawn one: a report that tells it tells which rows were held out."""
    try:
        return resolve_seed(given, None)
    except ValueError as error:
        raise Refused(f"--{error}") from None


def number(text: str, option: str) -> float:
    """Return a number given to an option."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{option} takes a number, not {text!r}") from None
