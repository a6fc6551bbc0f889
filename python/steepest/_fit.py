"""What ``steepest fit`` does: a file in, a descent, parameters out."""

from __future__ import annotations

import json
import math
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rich.box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

import steepest
from steepest import losses, penalties
from steepest._lists import Member
from steepest._minimize import minimize
from steepest._results import Interrupted, Result, Status
from steepest._table import Table, read_table

MOST_SHOWN = 10
LABELLED = [name for name in losses.available("scores") if losses.get(name).target == "labels"]


class Refused(Exception):
    """What the user gave cannot be worked with; the message says what would be right."""


@dataclass(frozen=True)
class Plan:
    """A fit as asked for on the command line; None where nothing was said."""

    data: Path
    target: str | None
    loss: str
    loss_params: Sequence[str]
    penalty: str | None
    penalty_params: Mapping[str, float | None]
    intercept: bool
    step_size: str | None
    options: Mapping[str, Any]
    output: Path | None
    quiet: bool


def run_fit(plan: Plan) -> int:
    """Fit, write the parameters, report; return the exit code.

    Raises
    ------
    Refused
        For bad usage and bad data, before any work.
    """
    if plan.output is not None:
        check_output(plan.output)
    try:
        loss = _loss(plan)
        penalty = _penalty(plan)
        step_size = _step_size(plan.step_size)
        table = read_table(plan.data, plan.target, labels=loss.target in ("binary", "labels"))
    except (ValueError, TypeError) as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(f"{plan.data}: {error.strerror or error}") from None

    start = time.perf_counter()
    result, code = _descend(plan, table, loss, penalty, step_size)
    seconds = time.perf_counter() - start
    document = _document(table, loss, penalty, result)
    text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    if plan.output is None:
        sys.stdout.write(text)
    else:
        plan.output.write_text(text, encoding="utf-8")
    if not plan.quiet:
        _report(Console(stderr=plan.output is None), plan, document, seconds)
    return code


def complain(message: str, code: int) -> int:
    """Say in one line on standard error what is wrong; return the exit code."""
    print("steepest:", " ".join(message.split()), file=sys.stderr)
    return code


def check_output(output: Path) -> None:
    """Refuse before the work what could not be written after it."""
    if output.is_dir():
        raise Refused(f"--output {output} is a directory; a file is needed")
    if not output.parent.is_dir():
        raise Refused(f"--output {output}: there is no directory {output.parent}")


def _descend(
    plan: Plan, table: Table, loss: losses.Loss, penalty: penalties.Penalty | None, step_size: float | str | None
) -> tuple[Result, int]:
    """Run the descent; return its result and the exit code."""
    code = 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = minimize(
                loss,
                table.y if table.X is None else (table.X, table.y),
                penalty=penalty,
                step_size=step_size,
                fit_intercept=plan.intercept and table.X is not None,
                progress=not plan.quiet,
                **plan.options,
            )
        except Interrupted as stopped:
            result, code = stopped.result, 130
        except (ValueError, TypeError) as error:
            raise Refused(str(error)) from None
    for warning in caught:
        complain(f"warning: {warning.message}", 0)
    return result, code if result.success or code else 1


def _loss(plan: Plan) -> losses.Loss:
    """Return the loss with the parameters given as NAME=VALUE."""
    known = losses.get(plan.loss).params
    given = {}
    for pair in plan.loss_params:
        name, sign, value = pair.partition("=")
        if not sign:
            raise ValueError(f"--loss-param takes NAME=VALUE, not {pair!r}")
        if name not in known:
            raise ValueError(f"{plan.loss} has no parameter {name!r}; there are: {', '.join(known) or 'none'}")
        given[name] = _number(value, f"--loss-param {name}")
    return losses.get(plan.loss, **given)


def _step_size(text: str | None) -> float | str | None:
    if text is None or text.lower() == "auto":
        return text
    return _number(text, "--step-size")


def _number(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{option} takes a number, not {text!r}") from None


def _penalty(plan: Plan) -> penalties.Penalty | None:
    given = {name: value for name, value in plan.penalty_params.items() if value is not None}
    known = {} if plan.penalty is None else penalties.get(plan.penalty).params
    for name in given:
        if name not in known:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"{option} goes with --penalty" + (f"; {plan.penalty} has none" if plan.penalty else ""))
    return None if plan.penalty is None else penalties.get(plan.penalty, **given)


def _document(table: Table, loss: Member, penalty: Member | None, result: Result) -> dict[str, Any]:
    """Return what is written: enough to predict with, and to know where it came from."""
    return {
        "steepest": steepest.__version__,
        "model": "constant" if table.X is None else "linear",
        "target": table.target,
        "features": table.features,
        "coef": _plain(result.coef),
        "intercept": _plain(result.intercept),
        "classes": None if result.classes is None else [_plain(value) for value in result.classes],
        "loss": _described(loss),
        "penalty": None if penalty is None else _described(penalty),
        "objective": _plain(result.fun),
        "rows": len(table.y),
        "epochs": int(result.epochs),
        "updates": int(result.nit),
        "seed": int(result.seed),
        "success": bool(result.success),
        "status": Status(result.status).name,
        "message": result.message,
    }


def _described(member: Member) -> dict[str, Any]:
    return {"name": member.name, **member.params}


def _plain(value: Any) -> Any:
    """Return numbers and texts as JSON knows them, null for what is not finite."""
    plain = np.asarray(value).tolist()
    if isinstance(plain, list):
        return [_plain(each) for each in plain]
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


def _report(console: Console, plan: Plan, document: Mapping[str, Any], seconds: float) -> None:
    """Say in a few lines what was fitted and what came of it."""
    features = document["features"]
    objective = " + ".join(
        " ".join([part["name"], *(f"{name}={value:g}" for name, value in part.items() if name != "name")])
        for part in (document["loss"], document["penalty"])
        if part is not None
    )
    lines = [
        f"{plan.data}: {_counted(document['rows'], 'row')}, {_counted(len(features), 'feature')}, "
        f"target {document['target']}",
        f"{objective}: {_shown(document['objective'])} after {_counted(document['epochs'], 'epoch')} in "
        f"{seconds:.2g} s, seed {document['seed']}",
    ]
    if document["success"]:
        lines.append(document["message"])
    values, intercepts = _by_name(document)
    largest = set(sorted(values, key=lambda name: -abs(values[name] or 0))[:MOST_SHOWN])
    parameters = RichTable("parameter", box=rich.box.SIMPLE_HEAD, pad_edge=False)
    parameters.add_column("value", justify="right")
    for name, value in values.items():
        if name in largest:
            parameters.add_row(Text(name), _shown(value))
    if len(values) > MOST_SHOWN:
        parameters.add_row(f"{len(values) - MOST_SHOWN} smaller ones", "")
    if features:
        for name, value in intercepts.items():
            parameters.add_row(Text(name), _shown(value))
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(parameters)
    if plan.output is not None:
        console.print(f"Parameters written to {plan.output}", markup=False, highlight=False, soft_wrap=True)


def _by_name(document: Mapping[str, Any]) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """Return coefficients and intercepts by name; where each row has several scores, theirs is part of it."""
    names, coef = document["features"] or ["constant"], document["coef"]
    if not isinstance(coef[0], list):
        return dict(zip(names, coef, strict=True)), {"intercept": document["intercept"]}
    scores = document["classes"] if document["loss"]["name"] in LABELLED else range(len(coef))
    values = {
        f"{score}: {name}": value
        for score, row in zip(scores, coef, strict=True)
        for name, value in zip(names, row, strict=True)
    }
    return values, {f"{score}: intercept": value for score, value in zip(scores, document["intercept"], strict=True)}


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _shown(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.6g}"
