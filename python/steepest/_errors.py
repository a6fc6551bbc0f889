"""What goes wrong on the command line, and what it says of it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Refused(Exception):
    """What the user gave cannot be worked with; the message says what would be right."""


def complain(message: str, code: int) -> int:
    """Say in one line on standard error what is wrong; return the exit code."""
    print("steepest:", " ".join(message.split()), file=sys.stderr)
    return code


def refusal(error: OSError) -> Refused:
    """Say which file cannot be read, and why."""
    return Refused(f"{error.filename or 'the data'}: {error.strerror or error}")


def check_file(option: str, path: Path | None) -> None:
    """Refuse before the work what could not be written after it."""
    if path is None:
        return
    if path.is_dir():
        raise Refused(f"{option} {path} is a directory; a file is needed")
    if not path.parent.is_dir():
        raise Refused(f"{option} {path}: there is no directory {path.parent}")
    if not os.access(path if path.exists() and not path.is_file() else path.parent, os.W_OK):
        raise Refused(f"{option} {path}: no permission to write there")


def print_json(document: Mapping[str, Any]) -> None:
    """Print a document for other programs."""
    sys.stdout.write(json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def shows_progress(asked: bool | None, quiet: bool) -> bool:
    """Tell whether progress is to be shown: in a terminal, and wherever it was asked for."""
    if quiet:
        return False
    return sys.stderr.isatty() if asked is None else asked
