"""The commands behind ``steepest``: demo, fit, predict, sweep, landscape and info."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperCommand, TyperGroup

import steepest
from steepest import methods, optim
from steepest._config import describe
from steepest._errors import FULL, Refused, check_file, complain, print_json, shows_progress
from steepest._fit import Plan, run_fit
from steepest._options import DataFiles, DataOptions, FileOptions, LossOptions, known, one_of, seed_of, spread

METHODS = ("gd", *optim.available())
FIT_METHODS = (*METHODS, *methods.available())


class Plain:
    """A command whose flags are shown without the kind of a value, which they do not take."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return arguments and options."""
        found: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for parameter in found:
            if getattr(parameter, "is_flag", False) and parameter.metavar is None:
                parameter.metavar = ""
        return found


class PlainCommand(Plain, TyperCommand):
    """One of the commands."""


class OneLine(Plain, TyperGroup):
    """A group of commands whose errors are one line on standard error."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command, and end quietly where whoever reads its output has seen enough."""
        try:
            found = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _forget_output()
            raise typer.Exit(141) from None
        return found

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and exit with its code."""
        run = partial(super().main, args, prog_name, complete_var, False, windows_expand_args, **extra)
        if not standalone_mode:
            return run()
        try:
            code = run()
        except (typer.Abort, KeyboardInterrupt):
            code = 130
        except Refused as error:
            code = complain(str(error), 2)
        except Exception as error:
            # What typer raises for bad usage has a method for its text, wherever the class may live.
            say = getattr(error, "format_message", None)
            if say is not None:
                code = complain(say(), getattr(error, "exit_code", 2))
            else:
                known_kind = isinstance(error, (ImportError, OSError))
                told = _told(error) if isinstance(error, OSError) else error
                code = complain(str(told) if known_kind else f"{type(error).__name__}: {error}", 1)
            if isinstance(error, OSError):
                _forget_output()
        sys.exit(code if isinstance(code, int) else 0)


def _told(error: OSError) -> str:
    """Say which file is meant: what fills up and has no name is standard output."""
    if error.filename is None and error.errno in FULL:
        return f"standard output: {error.strerror}"
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


def _forget_output() -> None:
    """Let nothing that is still to be written to standard output fail again when Python ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = typer.Typer(
    cls=OneLine,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Find the parameters that make a loss smallest, by following its gradient.

    Exit codes: 0 all went well; 1 a fit did not end as it should (its model is written all the same), or something
    failed on the way; 2 bad usage or bad data; 130 after Ctrl-C; 141 when the reader of a pipe went away.
    """
    if version:
        typer.echo(f"steepest {steepest.__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(cls=PlainCommand)
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write the picture.")] = Path(
        "steepest-demo.png"
    ),
    rows: Annotated[int, typer.Option(hidden=True, min=1000)] = 1_000_000,
) -> None:
    """Minimize losses on real data and on a million rows (under a minute).

    First the textbook: 244 restaurant bills and a handful of numbers, with the figures of the sources beside those
    reached here. Then log loss on 1,000,000 x 28 generated rows: speed and loss by batch size against the same loop in
    NumPy, and a picture of the loss against time.
    """
    from steepest._demo import run_demo

    check_file("--output", output)
    if not run_demo(Console(), output, rows):
        raise typer.Exit(130)


def _method(name: str) -> None:
    if name.lower() not in map(str.lower, FIT_METHODS):
        raise ValueError(f"unknown method {name!r}; there are: {', '.join(FIT_METHODS)}")


_descent = partial(typer.Option, rich_help_panel="Descent")
_candidates = partial(typer.Option, rich_help_panel="Candidates")
_picture = partial(typer.Option, rich_help_panel="Picture")
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no report.")]
Progress = Annotated[
    bool | None,
    typer.Option("--progress/--no-progress", help="Rows per second, loss and time left; in a terminal by itself."),
]


@app.command(cls=PlainCommand)
@spread
def fit(
    data: DataFiles,
    columns: DataOptions,
    model: LossOptions,
    method: Annotated[
        str | None,
        _descent(
            "--method",
            "-m",
            metavar="NAME",
            callback=known(_method),
            help=f"The update rule, {one_of(FIT_METHODS)}; by default what suits the size of the data.",
        ),
    ] = None,
    batch_size: Annotated[int | None, _descent("--batch-size", "-b", metavar="ROWS", help="Rows per update.")] = None,
    epochs: Annotated[
        int | None, _descent("--epochs", "-e", metavar="NUMBER", help="Passes over the data at the most.")
    ] = None,
    step_size: Annotated[
        str | None, _descent("--step-size", metavar="NUMBER", help='A number or "auto"; computed if not given.')
    ] = None,
    tol: Annotated[
        float | None, _descent("--tol", metavar="NUMBER", help="Relative distance from the optimum to stop at.")
    ] = None,
    seed: Annotated[
        int | None,
        _descent("--seed", "-s", metavar="NUMBER", help="Decides the order of the rows, and which are held out."),
    ] = None,
    validation: Annotated[
        float,
        _descent(
            "--validation",
            metavar="SHARE",
            help="Hold out about this share of the rows, such as 0.2, drawn by the seed, and try the model on them.",
        ),
    ] = 0.0,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where to write the model: .safetensors, .json, or - to print it.",
        ),
    ] = Path("model.safetensors"),
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    progress: Progress = None,
    quiet: Quiet = False,
) -> None:
    """Fit a linear model to the rows of files and write it for `steepest predict`.

    Columns other than the target are the features. A file of a single column is fitted by a constant. Ctrl-C stops and
    keeps what was reached.
    """
    seed = seed_of(seed)
    plan = Plan(
        request=columns.table_request(data, validation, seed),
        model=model,
        step_size=step_size,
        options={"method": method, "batch_size": batch_size, "epochs": epochs, "tol": tol, "seed": seed},
        output=None if str(output) == "-" else output,
        json=json,
        progress=progress,
        quiet=quiet,
    )
    code = run_fit(plan)
    if code:
        raise typer.Exit(code)


@app.command(cls=PlainCommand)
@spread
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="What `steepest fit` wrote.")],
    data: DataFiles,
    files: FileOptions,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write a line per row; - prints them.")
    ] = Path("-"),
    raw: Annotated[bool, typer.Option("--raw", help="Raw predictions: scores rather than classes or means.")] = False,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="The probability of each class.")] = False,
    unknown: Annotated[
        str,
        typer.Option(
            "--unknown",
            metavar="HOW",
            help="What to do about a category that the model has not met: error, or ignore to take it as none.",
        ),
    ] = "error",
    json: Annotated[bool, typer.Option("--json", help="A JSON object per line instead of CSV.")] = False,
) -> None:
    """Predict the target of each row of files by a model.

    Columns are found by their names, in whatever order; others are ignored. Rows are read, predicted and written block
    by block.
    """
    from steepest._predict_command import run_predict

    if raw and probabilities:
        raise Refused("--raw and --probabilities exclude each other")
    kind = "raw" if raw else "probabilities" if probabilities else "prediction"
    request = files.request(data)
    run_predict(model, request, None if str(output) == "-" else output, kind, unknown, json)


@app.command("sweep", cls=PlainCommand)
@spread
def sweep_command(
    data: DataFiles,
    columns: DataOptions,
    model: LossOptions,
    batch_sizes: Annotated[
        str | None,
        _candidates("--batch-sizes", "-b", metavar="LIST", help="Such as 32,64,128; powers of two if not given."),
    ] = None,
    step_sizes: Annotated[
        str | None,
        _candidates("--step-sizes", metavar="LIST", help="Such as 0.01,0.1,auto,computed; computed if not given."),
    ] = None,
    methods: Annotated[
        str | None,
        _candidates("--methods", "-m", metavar="LIST", help=f"Of {', '.join(METHODS)}; sgd if not given."),
    ] = None,
    epochs: Annotated[
        int, _candidates("--epochs", "-e", metavar="NUMBER", help="Passes over the data for each at the most.")
    ] = 8,
    halving: Annotated[
        bool, _candidates("--halving/--no-halving", help="Whether the worse half stops after 1, 2, 4, ... epochs.")
    ] = True,
    to_reach: Annotated[
        float | None,
        _candidates(
            "--objective", metavar="NUMBER", help="The objective to time; 99 % of the way to the lowest if not given."
        ),
    ] = None,
    budget: Annotated[
        float | None, _candidates("--budget", metavar="SECONDS", help="Stop after so long, with what was measured.")
    ] = None,
    seed: Annotated[
        int | None, _candidates("--seed", "-s", metavar="NUMBER", help="Decides the order of the rows.")
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Where to write the table.")] = None,
    json: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Where to write everything, curves included; - prints it."),
    ] = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="FILE", help="Where to draw the loss against time.")
    ] = None,
    progress: Progress = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Measure batch sizes, step sizes and methods on the rows of a file and say which is best.

    Every combination is run; the worse half stops after 1, 2, 4, ... epochs. Ctrl-C stops and keeps what was measured.
    """
    from steepest._sweep_command import Lists, run_sweep

    options = {"epochs": epochs, "halving": halving, "target": to_reach, "budget": budget, "seed": seed}
    files = {"--csv": csv, "--json": json, "--figure": figure}
    lists = Lists(batch_sizes, step_sizes, methods)
    request = columns.table_request(data)
    code = run_sweep(request, model, lists, options, files, shows_progress(progress, quiet))
    if code:
        raise typer.Exit(code)


@app.command(cls=PlainCommand)
@spread
def landscape(
    data: DataFiles,
    columns: DataOptions,
    model: LossOptions,
    around: Annotated[
        str,
        _picture("--around", metavar="POINT", help="What lies in the middle: minimum, which is found first, or zeros."),
    ] = "minimum",
    ray: Annotated[
        bool, _picture("--ray", help="Along a random ray, a curve, rather than over a plane, a map.")
    ] = False,
    span: Annotated[
        float | None,
        _picture("--span", metavar="NUMBER", help="How far from the middle; as far as that is from 0 if not given."),
    ] = None,
    points: Annotated[
        int | None, _picture("--points", metavar="NUMBER", help="Along each side of the map; 51.")
    ] = None,
    most_rows: Annotated[
        int, _picture("--rows", metavar="NUMBER", min=1, help="Look at so many rows at the most, drawn at random.")
    ] = 20_000,
    seed: Annotated[int, _picture("--seed", "-s", metavar="NUMBER", help="Decides the directions and the rows.")] = 0,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write the picture: .png, .svg, .pdf.")
    ] = Path("landscape.png"),
    json: Annotated[bool, typer.Option("--json", help="Print what was drawn as JSON.")] = False,
) -> None:
    """Draw the loss of a linear model of the rows of files, around its minimum: blue is low, red is high.

    The parameters are many, the picture has two axes: random directions at right angles.
    """
    from steepest._landscape_command import run_landscape

    seed = seed_of(seed)
    run_landscape(
        columns.table_request(data, seed=seed),
        model,
        output,
        ray=ray,
        around=around,
        span=span,
        points=points,
        most_rows=most_rows,
        seed=seed,
        as_json=json,
    )


@app.command(cls=PlainCommand)
def info(json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False) -> None:
    """Print the version, the compiler, the CPU level in use, the threads and the BLAS."""
    if json:
        print_json(describe())
    else:
        steepest.show_config()
