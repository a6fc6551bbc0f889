"""What ``steepest fit`` does: files in, a descent, a model out."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rich.box
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

import steepest
from steepest import losses, penalties
from steepest._errors import Refused, check_file, complain, print_json, refusing, shows_progress
from steepest._lists import Member
from steepest._minimize import minimize
from steepest._normalize import normalized_rows
from steepest._options import LossOptions, number
from steepest._results import Interrupted, Result, Status
from steepest._saved import FORMAT, SUFFIXES, save_model
from steepest._table import Request, Table, listed, read_table

MOST_SHOWN = 10
LABELLED = [name for name in losses.available("scores") if losses.get(name).target == "labels"]
BLOCK_ROWS = 1 << 16


@dataclass(frozen=True)
class Plan:
    """A fit as asked for on the command line; None where nothing was said."""

    request: Request
    model: LossOptions
    step_size: str | None
    options: Mapping[str, Any]
    output: Path | None
    json: bool
    progress: bool | None
    quiet: bool


def run_fit(plan: Plan) -> int:
    """Fit, write the model, report; return the exit code.

    Raises
    ------
    Refused
        For bad usage and bad data, before any work.
    """
    check_file("--output", plan.output)
    if plan.output is not None and plan.output.suffix.lower() not in SUFFIXES and not _is_device(plan.output):
        raise Refused(f"--output {plan.output}: {' or '.join(SUFFIXES)} is needed")
    if not 0 <= plan.request.validation < 1:
        raise Refused(f"--validation must lie in [0, 1), not {plan.request.validation:g}")
    with refusing():
        loss, penalty = plan.model.made()
        step_size = _step_size(plan.step_size)
        table = load(plan.request, loss, shows_progress(plan.progress, plan.quiet))
        _require_columns(table, plan.model)

    start = time.perf_counter()
    result, code = _descend(plan, table, loss, penalty, step_size)
    seconds = time.perf_counter() - start
    with refusing():
        table.check_unchanged()
    document = _document(table, loss, penalty, result)
    if plan.output is not None:
        save_model(plan.output, document, np.asarray(result.coef), np.asarray(result.intercept))
    if plan.json or plan.output is None:
        print_json(document | {"seconds": seconds} if plan.json else document)
    if not (plan.quiet or plan.json):
        _report(Console(stderr=plan.output is None), plan, document, seconds)
    return code


def load(request: Request, loss: losses.Loss, progress: bool) -> Table:
    """Read a table and check what its target's texts mean to the loss.

    Raises
    ------
    ValueError, OSError
        As ``read_table``.
    """
    with Console(stderr=True, quiet=not progress).status("reading"):
        table = read_table(request, labels=loss.target in ("binary", "labels"))
    if table.labels is not None and loss.target == "binary" and len(table.labels) != 2:
        found = ", ".join(repr(label) for label in table.labels[:3]) + (", ..." if len(table.labels) > 3 else "")
        raise ValueError(f"{loss.name} takes two classes; y holds {len(table.labels)}: {found}")
    if table.labels is not None and loss.target == "binary":
        # As the core takes them: it copies others.
        for y in (table.y, *([] if table.held_out is None else [table.held_out[1]])):
            y *= 2
            y -= 1
    if table.left_out:
        complain(f"left out {_counted(table.left_out, 'row')} with missing values", 0)
    return table


def rows_seen(table: Table, model: LossOptions) -> Any:
    """Return the data of a table as a loss takes it, its columns normalised if that was asked for."""
    _require_columns(table, model)
    if table.X is None:
        return table.y
    return normalized_rows(table.X) if model.normalize else table.X, table.y


def _require_columns(table: Table, model: LossOptions) -> None:
    if table.X is None and model.normalize:
        raise ValueError("--normalize needs features; the constant model has none")


def told(run: Callable[[], Any]) -> tuple[Any, int]:
    """Run what Ctrl-C ends with what it reached; return its result and exit code, and tell each warning once."""
    code = 0
    with warnings.catch_warnings(record=True) as caught, refusing():
        warnings.simplefilter("always")
        try:
            result = run()
        except Interrupted as stopped:
            result, code = stopped.result, 130
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        complain(f"warning: {message}", 0)
    return result, code


def _is_device(path: Path) -> bool:
    return path.exists() and not path.is_file()


def _descend(
    plan: Plan, table: Table, loss: losses.Loss, penalty: penalties.Penalty | None, step_size: float | str | None
) -> tuple[Result, int]:
    """Run the descent; return its result and the exit code."""
    result, code = told(
        lambda: minimize(
            loss,
            table.y if table.X is None else (table.X, table.y),
            penalty=penalty,
            step_size=step_size,
            fit_intercept=plan.model.intercept and table.X is not None,
            normalize=plan.model.normalize,
            progress=shows_progress(plan.progress, plan.quiet),
            **plan.options,
        )
    )
    if not result.success and table.X is not None and code == 0 and not plan.model.normalize:
        complain("where the units of columns differ, --normalize takes far fewer epochs", 0)
    return result, code if result.success or code else 1


def _step_size(text: str | None) -> float | str | None:
    if text is None or text.lower() == "auto":
        return text
    return number(text, "--step-size")


def _document(table: Table, loss: losses.Loss, penalty: Member | None, result: Result) -> dict[str, Any]:
    """Return what is written: enough to predict with, and to know where it came from."""
    classes = None if result.classes is None else [_plain(value) for value in result.classes]
    if classes is not None and table.labels is not None:
        classes = [_label(value, table, loss) for value in classes]
    return {
        "steepest": steepest.__version__,
        "format": FORMAT,
        "model": "constant" if table.X is None else "linear",
        "target": table.target,
        "features": table.features,
        "columns": [
            {"name": column.name} | ({} if column.values is None else {"values": column.values})
            for column in table.columns
        ],
        "coef": _plain(result.coef),
        "intercept": _plain(result.intercept),
        "classes": classes,
        "loss": _described(loss),
        "penalty": None if penalty is None else _described(penalty),
        "objective": _plain(result.fun),
        "rows": len(table.y),
        "validation": None if table.held_out is None else _validated(table, loss, result),
        "epochs": int(result.epochs),
        "updates": int(result.nit),
        "seed": int(result.seed),
        "success": bool(result.success),
        "status": Status(result.status).name,
        "message": result.message,
    }


def _validated(table: Table, loss: losses.Loss, result: Result) -> dict[str, Any]:
    """Return how well the model does on the rows held out: mean loss, and for classes the share that is right."""
    assert table.held_out is not None
    X, y = table.held_out
    if not len(y):
        return {"rows": 0, "loss": None, "accuracy": None}
    total, right = 0.0, 0
    for start in range(0, len(y), BLOCK_ROWS):
        truth = y[start : start + BLOCK_ROWS]
        rows = np.ones((len(truth), 1)) if X is None else X[start : start + BLOCK_ROWS]
        raw = np.asarray(rows @ result.coef.T + result.intercept, dtype=np.float64)
        if loss.target in ("binary", "labels") and result.classes is not None and truth.ndim == 1:
            place = _places(truth, result.classes, table, loss)
            right += int(np.count_nonzero((raw > 0 if raw.ndim == 1 else raw.argmax(axis=1)) == place))
            truth = 2.0 * place - 1.0 if raw.ndim == 1 else place
        total += float(loss.pointwise(truth, raw).sum())
    labelled = loss.target in ("binary", "labels") and y.ndim == 1
    return {"rows": len(y), "loss": _plain(total / len(y)), "accuracy": right / len(y) if labelled else None}


def _places(y: NDArray[Any], classes: NDArray[Any], table: Table, loss: losses.Loss) -> NDArray[np.intp]:
    """Return the place of each label among the classes that were fitted."""
    place = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    strange = np.flatnonzero(classes[place] != y)
    if strange.size:
        label = _label(y[strange[0]], table, loss)
        raise Refused(f"--validation holds out all rows of class {label}; another --seed or a smaller share is needed")
    return place


def _label(value: Any, table: Table, loss: losses.Loss) -> Any:
    """Return what a label was called in the file."""
    if table.labels is None:
        return value
    return table.labels[int(value > 0 if loss.target == "binary" else value)]


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
        f"{listed(plan.request.paths)}: {_counted(document['rows'], 'row')}, {_counted(len(features), 'feature')}, "
        f"target {document['target']}",
        f"{objective}: {_shown(document['objective'])} after {_counted(document['epochs'], 'epoch')} in "
        f"{seconds:.2g} s, seed {document['seed']}",
    ]
    if (held := document["validation"]) is not None:
        accuracy = "" if held["accuracy"] is None else f", {held['accuracy']:.2%} right"
        lines.append(f"held out, {_counted(held['rows'], 'row')}: {_shown(held['loss'])}{accuracy}")
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
        console.print(f"Model written to {plan.output}", markup=False, highlight=False, soft_wrap=True)


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
