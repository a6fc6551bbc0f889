"""Parameters in files that other programs read: safetensors, with PyTorch's names and layout."""

from __future__ import annotations

import os
from pathlib import Path

from steepest._extras import require
from steepest.nn._module import Module


def save(model: Module, path: str | os.PathLike[str]) -> None:
    """Write a model's parameters to a safetensors file.

    Parameters
    ----------
    model : Module
        Its ``state_dict()`` is written.
    path : path
        Replaced only when everything is written.

    Raises
    ------
    ImportError
        Where safetensors is missing; the extra ``nn`` brings it.

    Examples
    --------
    >>> import tempfile
    >>> import steepest as st
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     st.nn.save(st.nn.Linear(3, 2), f"{directory}/model.safetensors")
    ...     st.nn.load(st.nn.Linear(3, 2), f"{directory}/model.safetensors")
    Linear(3, 2)
    """
    content: bytes = require("safetensors.numpy", extra="nn").save(model.state_dict())
    unfinished = Path(f"{os.fspath(path)}.{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def load(model: Module, path: str | os.PathLike[str]) -> Module:
    """Set a model's parameters from a safetensors file.

    Parameters
    ----------
    model : Module
        Of the same architecture as what was saved, by `save` or from PyTorch.
    path : path
        The file.

    Returns
    -------
    Module
        The model.

    Raises
    ------
    ValueError
        Where the file is damaged, cut short, of another model or of a type such as bfloat16; the model is as it was
        before.
    ImportError
        Where safetensors is missing; the extra ``nn`` brings it.

    Examples
    --------
    See `save`.
    """
    reader = require("safetensors.numpy", extra="nn")
    content = Path(path).read_bytes()
    try:
        state = reader.load(content)
    except KeyError as error:
        raise ValueError(
            f"{os.fspath(path)} holds numbers of the type {error}, which NumPy does not know: save them as float32"
        ) from None
    except Exception as error:
        raise ValueError(f"{os.fspath(path)} is no whole safetensors file: {error}") from error
    try:
        model.load_state_dict(state)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None
    return model
