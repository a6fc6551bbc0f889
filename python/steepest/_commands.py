"""The commands behind ``steepest``: demo, fit, sweep and info."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

import steepest
from steepest import losses, optim, penalties
from steepest._fit import Plan, Refused, check_output, complain, run_fit

METHODS = ("gd", *optim.available())


class OneLine(TyperGroup):
    """A group of commands whose errors are one line on standard error."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command; exit with 2 for bad usage and bad data, 1 for other errors, 130 after Ctrl-C."""
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
                known = isinstance(error, (ImportError, OSError))
                code = complain(str(error) if known else f"{type(error).__name__}: {error}", 1)
        sys.exit(code if isinstance(code, int) else 0)


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
    """Find the parameters that make a loss smallest, by following its gradient."""
    if version:
        typer.echo(f"steepest {steepest.__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
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

    check_output(output)
    if not run_demo(Console(), output, rows):
        raise typer.Exit(130)


def _known(find: Callable[[str], Any]) -> Callable[[str | None], str | None]:
    """Return the check of an option that takes a name of a list."""

    def check(value: str | None) -> str | None:
        if value is not None:
            try:
                find(value)
            except ValueError as error:
                raise typer.BadParameter(str(error)) from None
        return value

    return check


def _method(name: str) -> None:
    if name.lower() not in METHODS:
        raise ValueError(f"unknown method {name!r}; there are: {', '.join(METHODS)}")


def _one_of(names: Sequence[str]) -> str:
    return "one of " + ", ".join(names)


_model = partial(typer.Option, rich_help_panel="Model")
_descent = partial(typer.Option, rich_help_panel="Descent")
_candidates = partial(typer.Option, rich_help_panel="Candidates")
_named = partial(_model, metavar="NAME")


# What `fit` and `sweep` ask alike.
DataFile = Annotated[Path, typer.Argument(help="A .csv, .npy or .npz file.", metavar="DATA")]
Target = Annotated[
    str | None,
    _model(
        "--target",
        "-t",
        metavar="COLUMN",
        help="The column to predict, by name or index; in a .npz the name of an array, y if not given.",
    ),
]
LossName = Annotated[
    str,
    _named("--loss", "-l", callback=_known(losses.get), help=f"The loss, {_one_of(losses.available())}."),
]
LossParams = Annotated[
    list[str] | None,
    _model("--loss-param", metavar="NAME=VALUE", help="A parameter of the loss, such as delta=1.35."),
]
PenaltyName = Annotated[
    str | None,
    _named(
        "--penalty",
        "-p",
        callback=_known(penalties.get),
        help=f"A penalty on the coefficients, {_one_of(penalties.available())}.",
    ),
]
Alpha = Annotated[float | None, _model("--alpha", metavar="NUMBER", help="Strength of the penalty.")]
L1Ratio = Annotated[float | None, _model("--l1-ratio", metavar="NUMBER", help="Share of L1 in an elastic net.")]
Intercept = Annotated[bool, _model("--intercept/--no-intercept", help="Whether to fit an intercept.")]


@app.command()
def fit(
    data: DataFile,
    target: Target = None,
    loss: LossName = "squared_error",
    loss_param: LossParams = None,
    penalty: PenaltyName = None,
    alpha: Alpha = None,
    l1_ratio: L1Ratio = None,
    intercept: Intercept = True,
    method: Annotated[
        str | None,
        _descent(
            "--method",
            "-m",
            metavar="NAME",
            callback=_known(_method),
            help=f"The update rule, {_one_of(METHODS)}; by default what suits the size of the data.",
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
        int | None, _descent("--seed", "-s", metavar="NUMBER", help="Decides the order of the rows.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write the parameters; - prints them.")
    ] = Path("params.json"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no report.")] = False,
) -> None:
    """Fit a linear model to the rows of a file and write its parameters to JSON.

    Columns other than the target are the features. A file of a single column is fitted by a constant. Ctrl-C stops and
    keeps what was reached.
    """
    plan = Plan(
        data=data,
        target=target,
        loss=loss,
        loss_params=loss_param or [],
        penalty=penalty,
        penalty_params={"alpha": alpha, "l1_ratio": l1_ratio},
        intercept=intercept,
        step_size=step_size,
        options={"method": method, "batch_size": batch_size, "epochs": epochs, "tol": tol, "seed": seed},
        output=None if str(output) == "-" else output,
        quiet=quiet,
    )
    code = run_fit(plan)
    if code:
        raise typer.Exit(code)


@app.command("sweep")
def sweep_command(
    data: DataFile,
    target: Target = None,
    loss: LossName = "squared_error",
    loss_param: LossParams = None,
    penalty: PenaltyName = None,
    alpha: Alpha = None,
    l1_ratio: L1Ratio = None,
    intercept: Intercept = True,
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
        Path | None, typer.Option("--json", metavar="FILE", help="Where to write everything, curves included.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="FILE", help="Where to draw the loss against time.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Measure batch sizes, step sizes and methods on the rows of a file and say which is best.

    Every combination is run; the worse half stops after 1, 2, 4, ... epochs. Ctrl-C stops and keeps what was measured.
    """
    from steepest._sweep_command import Lists, run_sweep

    plan = Plan(
        data=data,
        target=target,
        loss=loss,
        loss_params=loss_param or [],
        penalty=penalty,
        penalty_params={"alpha": alpha, "l1_ratio": l1_ratio},
        intercept=intercept,
        step_size=None,
        options={},
        output=None,
        quiet=quiet,
    )
    options = {"epochs": epochs, "halving": halving, "target": to_reach, "budget": budget, "seed": seed}
    files = {"--csv": csv, "--json": json, "--figure": figure}
    code = run_sweep(plan, Lists(batch_sizes, step_sizes, methods), options, files, Console())
    if code:
        raise typer.Exit(code)


@app.command()
def info() -> None:
    """Print the version, the compiler, the CPU level in use, the threads and the BLAS."""
    steepest.show_config()
