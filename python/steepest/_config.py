"""What this build is and what it runs on."""

from __future__ import annotations

import platform

import numpy as np
import scipy

from steepest import _core
from steepest._threads import available_cores, default_threads


def show_config() -> None:
    """Print the compiler, the CPU level in use, the threads and the BLAS.

    The level is the best this machine runs, or the one the environment variable ``STEEPEST_LEVEL`` names.

    Examples
    --------
    >>> import steepest as st
    >>> st.show_config()  # doctest: +ELLIPSIS
    steepest ...
    """
    for what, value in describe().items():
        print(f"{what:<13}{value}")


def describe() -> dict[str, str]:
    """Return what `show_config` prints, by its names."""
    from steepest import __version__

    blas = scipy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "steepest": __version__,
        "compiler": _core.compiler(),
        "CPU level": f"{_core.level()} ({_core.vector_bytes()} bytes a register), of {', '.join(_core.levels())}",
        "threads": f"up to {default_threads()}, of {available_cores()} cores",
        "BLAS": f"{blas['name']} {blas['version']} (SciPy's)",
        "Python": platform.python_version(),
        "NumPy, SciPy": f"{np.__version__}, {scipy.__version__}",
    }
