"""Objects that show NumPy their memory: tensors, buffers and whatever else has one of its protocols."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray


def shown(values: Any, what: str) -> NDArray[Any]:
    """Return the array of an object that shows its memory, or of a sequence, without a copy where there is a memory."""
    tensor = _bfloat16(values, what)
    if tensor is not None:
        return tensor
    try:
        if hasattr(values, "__dlpack__") and not hasattr(values, "__array__"):
            return np.from_dlpack(values)
        return np.asarray(values)
    except ValueError as error:
        hint = "; a pair is a tuple (X, y)" if isinstance(values, list) and len(values) == 2 else ""
        raise ValueError(f"{what} is no regular array: {error}{hint}") from None
    except (TypeError, RuntimeError, BufferError) as error:
        # Of tensors on other devices, with gradients to follow, sparse, quantised, ...: they say best what would help.
        raise TypeError(f"{what}, a {type(values).__name__}, does not show itself to NumPy: {error}") from error


def _bfloat16(values: Any, what: str) -> NDArray[Any] | None:
    """Return a tensor that PyTorch does not show NumPy, which has no bfloat16 of its own; None for any other object."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(values, torch.Tensor) or values.dtype != torch.bfloat16 or values.requires_grad:
        return None
    try:
        bfloat16 = import_module("ml_dtypes").bfloat16
    except ImportError:
        raise TypeError(f"{what} holds bfloat16, which takes ml_dtypes: install it, or pass {what}.float()") from None
    stored: NDArray[Any] = shown(values.view(torch.int16), what).view(bfloat16)
    return stored
