"""The command ``steepest``: its door, which opens only where the extra ``cli`` is installed."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

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
    try:
        from steepest._commands import app

        app(prog_name="steepest")
    except KeyboardInterrupt:
        # What the commands need is still being imported.
        raise SystemExit(130) from None
    except SystemExit as ended:
        if ended.code:
            # Threads may still wait for standard input, which Python does not survive when it ends in its usual way.
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError):
                    stream.flush()
            os._exit(ended.code if isinstance(ended.code, int) else 1)
        raise
