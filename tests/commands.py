"""The command line as tests call it: a command and what came of it."""

from typing import Any

from typer.testing import CliRunner

from steepest._commands import app


def run(*arguments: Any, given: bytes | None = None) -> Any:
    """Run a command with what stands on standard input."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=given)


def succeed(*arguments: Any, given: bytes | None = None) -> str:
    """Run a command that has nothing to complain of and return what it printed."""
    result = run(*arguments, given=given)
    assert (result.exit_code, result.stderr) == (0, "")
    return str(result.stdout)


def refused(*arguments: Any, given: bytes | None = None, code: int = 2) -> str:
    """Run a command that fails and return its one line about it."""
    result = run(*arguments, given=given)
    assert result.exit_code == code
    assert result.stderr.startswith("steepest: ")
    assert result.stderr.count("\n") == 1
    return str(result.stderr)
