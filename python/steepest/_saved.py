"""Model files of the command line: safetensors with a description in JSON, or JSON alone; never a pickle.

They are written beside the old file and then take its place: a full disk or Ctrl-C leaves the old one as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steepest import losses
from steepest._errors import FULL
from steepest._extras import require
from steepest._table import Column, feature_names

FORMAT = 1
SUFFIXES = (".safetensors", ".json")


class Saved(NamedTuple):
    """A model as read from a file.

    Attributes
    ----------
    coef : ndarray, shape (d,) or (K, d)
        Of a constant model a single number.
    intercept : ndarray, shape () or (K,)
        Zeros where none was fitted.
    columns : list of Column
        What it predicts from; none for a constant model.
    classes : list or None
        The labels it knows, sorted.
    loss : Loss
        What it was fitted by.
    document : mapping
        All that the file says.
    """

    coef: NDArray[Any]
    intercept: NDArray[Any]
    columns: list[Column]
    classes: list[Any] | None
    loss: losses.Loss
    document: Mapping[str, Any]

    def raw(self, X: Any) -> NDArray[Any]:
        """Return the raw predictions of rows, dense or CSR, of shape (n,) or (n, K)."""
        return np.asarray(X @ self.coef.T + self.intercept)


def save_model(path: Path, document: Mapping[str, Any], coef: NDArray[Any], intercept: NDArray[Any]) -> None:
    """Write a model; the suffix decides the format.

    Raises
    ------
    OSError
        Where it cannot be written; what the file held before is still there.
    ImportError
        Where safetensors is missing.
    """
    if path.suffix.lower() == ".safetensors":
        text = json.dumps({k: v for k, v in document.items() if k not in ("coef", "intercept")}, allow_nan=False)
        tensors = {"coef": np.asarray(coef, order="C"), "intercept": np.asarray(intercept, order="C")}
        metadata = {"steepest": text, "sha256": _digest(text, tensors)}
        content = require("safetensors.numpy", extra="cli").save(tensors, metadata=metadata)
    else:
        content = (json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()
    with replacing(path) as file:
        file.write(content)


def load_model(path: Path) -> Saved:
    """Read a model.

    Raises
    ------
    ValueError
        Where the file is cut short, was changed, or is no model at all.
    OSError
        Where it cannot be read.
    """
    content = path.read_bytes()
    if path.suffix.lower() == ".json":
        try:
            document = json.loads(content)
            coef, intercept = np.asarray(document["coef"], float), np.asarray(document["intercept"], float)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path} is no whole model of steepest: {_said(error)}") from None
    else:
        document, coef, intercept = _from_safetensors(path, content)
    try:
        return _checked(document, coef, intercept)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is no whole model of steepest: {_said(error)}") from None


def _from_safetensors(path: Path, content: bytes) -> tuple[Any, NDArray[Any], NDArray[Any]]:
    reader = require("safetensors.numpy", extra="cli")
    wrong = require("safetensors", extra="cli").SafetensorError
    try:
        tensors = reader.load(content)
        # The library checks the header but does not hand out what it says of the file as a whole.
        metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        text, digest = metadata["steepest"], metadata["sha256"]
        document = json.loads(text)
        coef, intercept = tensors["coef"], tensors["intercept"]
    except (wrong, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no whole model of steepest: {_said(error)}") from None
    if _digest(text, {"coef": coef, "intercept": intercept}) != digest:
        raise ValueError(f"{path} was changed after it was written: its checksum does not fit what it holds")
    return document, coef, intercept


def _checked(document: Any, coef: NDArray[Any], intercept: NDArray[Any]) -> Saved:
    if document.get("format") != FORMAT:
        raise ValueError(f"it is of format {document.get('format')!r}; this version reads {FORMAT}")
    columns = [Column(str(one["name"]), one.get("values")) for one in document["columns"]]
    given = document["loss"]
    params = {name: value for name, value in given.items() if name != "name"}
    width = max(1, len(feature_names(columns)))
    scores = coef.shape[:-1]
    if coef.ndim not in (1, 2) or coef.shape[-1] != width or intercept.shape != scores:
        raise ValueError(f"coef of shape {coef.shape} and intercept of {intercept.shape} do not fit {width} features")
    if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
        raise ValueError("its parameters are not finite: the fit diverged")
    return Saved(coef, intercept, columns, document["classes"], losses.get(given["name"], **params), document)


def _digest(text: str, tensors: Mapping[str, NDArray[Any]]) -> str:
    found = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        found.update(f"{name}{tensors[name].dtype}{tensors[name].shape}".encode())
        found.update(tensors[name].tobytes())
    return found.hexdigest()


def _said(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes the place of `path` when all went well, and vanishes otherwise.

    Raises
    ------
    OSError
        Where it cannot be written, with the name that was given.
    """
    try:
        with _beside(path) as file:
            yield file
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None


@contextmanager
def _beside(path: Path) -> Iterator[BinaryIO]:
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        # A device or a pipe cannot be replaced.
        with target.open("wb") as device:
            yield device
        return
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        # Of the name that was given, not of one nobody has heard of.
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, _mode(target))
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _mode(target: Path) -> int:
    """Return the rights of the file that is replaced, otherwise those of any new file."""
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
