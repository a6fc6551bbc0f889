"""What ``steepest predict`` does: a model and files in, a line per row out."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from steepest._errors import Refused, check_file, refusing
from steepest._saved import Saved, load_model, replacing
from steepest._table import Request, read_for

PROBABLE = {"logit": 1.0, "half_logit": 2.0, "softmax": 1.0}


def run_predict(model: Path, request: Request, output: Path | None, kind: str, unknown: str, as_json: bool) -> int:
    """Predict and write; return the exit code.

    Parameters
    ----------
    model : Path
        What `fit` wrote.
    request : Request
        Which files.
    output : Path or None
        Where to write; standard output where None.
    kind : {"prediction", "raw", "probabilities"}
        What to write of each row.
    unknown : {"error", "ignore"}
        What to do about texts that the model has not met.
    as_json : bool
        A JSON object per line instead of CSV.

    Raises
    ------
    Refused
        For bad usage and bad data.
    """
    check_file("--output", output)
    if unknown not in ("error", "ignore"):
        raise Refused(f"--unknown takes error or ignore, not {unknown!r}")
    with refusing():
        saved = load_model(model)
        names = column_names(saved, kind)
        with _writing(output) as file:
            first = True
            for X in _rows(saved, request, unknown):
                columns = predicted(saved, saved.raw(X), kind)
                file.write(_json_lines(names, columns) if as_json else _csv_lines(names if first else None, columns))
                first = False
    return 0


def _rows(saved: Saved, request: Request, unknown: str) -> Iterator[Any]:
    if saved.columns:
        yield from read_for(saved.columns, request, unknown)
        return
    raise ValueError(f"a constant model predicts {saved.coef.ravel()[0]:.6g} for every row: it needs no data")


def column_names(saved: Saved, kind: str) -> list[str]:
    """Return what is written of each row."""
    scores = saved.classes if saved.loss.target == "labels" else range(len(saved.coef) if saved.coef.ndim == 2 else 0)
    if kind == "raw":
        return [f"raw_{score}" for score in scores or []] or ["raw"]
    if kind == "probabilities":
        if saved.loss.link not in PROBABLE or not saved.classes or saved.loss.name.startswith("multi_"):
            raise ValueError(f"{saved.loss.name} gives no probabilities; log_loss and softmax do")
        return [f"probability_{label}" for label in saved.classes]
    several = saved.coef.ndim == 2 and saved.loss.target != "labels"
    return [f"prediction_{score}" for score in scores or []] if several else ["prediction"]


def predicted(saved: Saved, raw: NDArray[Any], kind: str) -> list[list[Any]]:
    """Return the columns that are written."""
    if kind == "raw":
        return _as_columns(raw)
    if kind == "probabilities":
        return _as_columns(_probabilities(saved, raw))
    if saved.classes and saved.loss.target in ("binary", "labels"):
        place = raw.argmax(axis=1) if saved.loss.target == "labels" else (raw > 0).astype(np.intp)
        labels = np.array(saved.classes, dtype=object)
        return _as_columns(labels[place])
    return _as_columns(np.exp(raw) if saved.loss.link == "log" else raw)


def _probabilities(saved: Saved, raw: NDArray[Any]) -> NDArray[Any]:
    if raw.ndim == 1:
        # The scores of the two classes, whose difference is what counts.
        raw = np.stack([np.zeros_like(raw), PROBABLE[saved.loss.link] * raw], axis=1)
    odds = np.exp(raw - raw.max(axis=1, keepdims=True))
    shares: NDArray[Any] = odds / odds.sum(axis=1, keepdims=True)
    return shares


def _as_columns(values: NDArray[Any]) -> list[list[Any]]:
    return [values.tolist()] if values.ndim == 1 else [column.tolist() for column in values.T]


def _csv_lines(names: list[str] | None, columns: list[list[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if names is not None:
        writer.writerow(names)
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


def _json_lines(names: list[str], columns: list[list[Any]]) -> str:
    rows = zip(*columns, strict=True)
    return "".join(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n" for row in rows)


@contextmanager
def _writing(output: Path | None) -> Iterator[TextIO]:
    """Open what is written to; a file takes its place when it is whole."""
    if output is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    with replacing(output) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        yield text
        text.flush()
        text.detach()
