"""The command ``steepest``: its door, which opens only where the extra ``cli`` is installed."""

from __future__ import annotations

import sys

from steepest._extras import require

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its code.

    Codes are 0, 1 for what went wrong, 2 for bad usage and bad data, 130 after Ctrl-C.

    Examples
    --------
    >>> import sys
    >>> from unittest.mock import patch
    >>> from steepest.cli import main
    >>> with patch.object(sys, "argv", ["steepest", "--version"]):
    ...     main()
    Traceback (most recent call last):
    ...
    SystemExit: 0
    """
    try:
        require("typer", extra="cli")
        require("rich", extra="cli")
    except ImportError as error:
        print(f"steepest: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    from steepest._commands import app

    app(prog_name="steepest")
