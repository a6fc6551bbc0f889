"""Warnings that point at the user's line, however deep inside the package they arise."""

from __future__ import annotations

import sys
import warnings

LARGE_COPY = 1 << 20  # bytes; smaller copies are not worth a word


class DataCopyWarning(UserWarning):
    """The rows had to be copied because the core cannot read them as they are."""


def warn(message: str, category: type[Warning]) -> None:
    """Warn as from the innermost frame outside this package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "steepest":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
