"""Pictures that commands write: refused before the work where they could not be written after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from steepest._errors import Refused, check_file
from steepest._extras import require
from steepest._saved import replacing

# Without the formats of bare pixels and the like that matplotlib writes as well.
FORMS = ("eps", "jpeg", "jpg", "pdf", "png", "ps", "svg", "tif", "tiff", "webp")


def new_picture(option: str, path: Path, size: tuple[float, float], dpi: int) -> Any:
    """Return an empty figure for a file.

    Raises
    ------
    Refused
        Where the file cannot be written, or its suffix names no format of pictures.
    ImportError
        Where matplotlib is missing.
    """
    check_file(option, path)
    figure = require("matplotlib.figure", extra="plot").Figure(figsize=size, dpi=dpi, layout="constrained")
    known = sorted(figure.canvas.get_supported_filetypes().keys() & FORMS)
    if _form(path) not in known:
        raise Refused(f"{option} {path}: the suffix of a picture is one of {', '.join(f'.{name}' for name in known)}")
    return figure


def save_picture(figure: Any, path: Path) -> None:
    """Write a figure; a picture that was there before survives a full disk."""
    with replacing(path) as file:
        figure.savefig(file, format=_form(path))


def _form(path: Path) -> str:
    return path.suffix[1:].lower()
