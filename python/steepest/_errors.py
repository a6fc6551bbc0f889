"""What goes wrong on the command line, and what it says of it."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# What only writing can meet; the system does not say in which file.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Refused(Exception):
    """What the user gave cannot be worked with; the message says what would be right."""


def complain(message: str, code: int) -> int:
    """Say in one line on standard error what is wrong; return the exit code."""
    print("steepest:", " ".join(message.split()), file=sys.stderr)
    return code


@contextmanager
def refusing() -> Iterator[None]:
    """Refuse what turns out to be wrong with what the user gave: values, data, and files that cannot be opened."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise Refused(str(error)) from None
    except OSError as error:
        # What has no name or is full was met on the way, and is no fault of what was given.
        if error.filename is None or error.errno in FULL:
            raise
        raise Refused(f"{error.filename}: {error.strerror or error}") from None


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
