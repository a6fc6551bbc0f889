"""Optional dependencies: imported where they are used, missed with an answer that helps."""

from importlib import import_module
from types import ModuleType


def require(module: str, extra: str) -> ModuleType:
    """Import an optional module, or say which extra brings it.

    Parameters
    ----------
    module : str
        Name as in an ``import`` statement; dots are allowed.
    extra : str
        The extra of steepest that installs it.

    Returns
    -------
    ModuleType
        The imported module.

    Raises
    ------
    ImportError
        When the module cannot be imported; the message holds the command that installs it.

    Examples
    --------
    >>> from steepest._extras import require
    >>> require("os.path", extra="plot").basename("a/b")
    'b'
    >>> require("absent", extra="plot")
    Traceback (most recent call last):
    ...
    ImportError: absent is missing or broken (No module named 'absent'); in steepest's sources: pip install '.[plot]'
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{module} is missing or broken ({error}); in steepest's sources: pip install '.[{extra}]'",
            name=error.name,
        ) from error
