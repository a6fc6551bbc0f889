"""Arguments of `minimize` that need no data to be understood: names to objects, checks."""

from __future__ import annotations

import math
import numbers
import operator
import os
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepest import methods, optim
from steepest._results import Result

# Without a batch size, data of up to this many numbers is descended as a whole.
SMALL = 1 << 20
DEFAULT_BATCH = 256
ORDERS: dict[bool | str, str] = {True: "stream", False: "sequence"}
ORDERS |= {name: name for name in ("full", "stream", "once", "stratified")}
# Whether the exact objective is computed after every epoch.
HISTORIES: dict[Any, bool] = {True: False, False: False, "running": False, "exact": True}
PLAIN = optim.get("sgd")

# Begins with the system's entropy, and does so again in a forked child, which would draw what its parent does. Threads
# draw no seed twice: a draw is one step of the interpreter.
_seeds = random.Random()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_seeds.seed)


@dataclass(frozen=True)
class StepTolerance:
    """Stop when no parameter moves by as much as ``change`` over one epoch (A5).

    Parameters
    ----------
    change : float
        Positive, in units of the parameters.

    Examples
    --------
    >>> import steepest as st
    >>> p5 = [12.1, 12.8, 14.9, 16.3, 17.2]
    >>> result = st.minimize("mse", p5, method="gd", step_size=0.2, tol=st.StepTolerance(1e-3))
    >>> print(f"{result.x[0]:.6f} after {result.nit} updates: {result.status.name}")
    14.658511 after 18 updates: converged
    """

    change: float

    def __post_init__(self) -> None:
        if not isinstance(self.change, numbers.Real) or isinstance(self.change, bool):
            raise TypeError(f"StepTolerance takes a number, not {self.change!r}")
        if not 0 < self.change < math.inf:
            raise ValueError(f"StepTolerance takes a positive finite number, not {self.change!r}")


def resolve_method(method: Any) -> tuple[optim.Rule, bool]:
    """Return the rule, and whether batches are all rows."""
    if method is None:
        return PLAIN, False
    if isinstance(method, str):
        if method.lower() == "gd":
            return PLAIN, True
        try:
            return optim.get(method), False
        except ValueError:
            names = ", ".join(sorted((*optim.available(), *methods.available(), "gd"), key=str.lower))
            raise ValueError(f"unknown method {method!r}; there are: {names}") from None
    if isinstance(method, methods.Method):
        return PLAIN, isinstance(method, methods.SciPyMethod)
    if isinstance(method, optim.Rule):
        if method._tensors:
            name = type(method).__name__
            raise ValueError(f"method={name}(...) holds tensors, which its step() moves: give a rule without them")
        return method, False
    raise TypeError(f"method must be a name or a rule such as st.optim.SGD(), not {method!r}")


def positive_count(value: Any, name: str) -> int:
    """Return a positive whole number."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if number < 1:
        raise ValueError(f"{name} must be at least 1, not {number}")
    return number


def resolve_batch_size(batch_size: int | None, n: int, full: bool, small: bool) -> int:
    if batch_size is None:
        return n if full or small else min(DEFAULT_BATCH, n)
    size = min(positive_count(batch_size, "batch_size"), n)
    if full and size < n:
        raise ValueError(f'this method takes all {n} rows in a batch; batch_size={batch_size} goes with method="sgd"')
    return size


def resolve_tolerance(tol: Any) -> tuple[float, float]:
    """Return the step tolerance (negative: none) and the relative one (0: none)."""
    if tol is None:
        return -1.0, 0.0
    if isinstance(tol, StepTolerance):
        return tol.change, 0.0
    if not isinstance(tol, numbers.Real) or isinstance(tol, bool):
        raise TypeError(f"tol must be a number or st.StepTolerance(...), not {tol!r}")
    if not 0 <= float(tol) < math.inf:
        raise ValueError(f"tol must be finite and not negative, not {tol!r}")
    return -1.0, float(tol)


def resolve_seed(seed: Any, before: Result | None) -> int:
    if seed is None:
        return int(before.seed) if before is not None else _seeds.getrandbits(63)
    try:
        number = operator.index(seed)
    except TypeError:
        number = None
    if number is None or isinstance(seed, bool):
        raise TypeError(f"seed must be a whole number or None, not {seed!r}")
    if not 0 <= number < 1 << 64:
        raise ValueError(f"seed must lie in [0, 2**64), not {number}")
    return number


def resolve_history(history: Any) -> bool:
    """Return whether the history is exact."""
    exact = HISTORIES.get(history) if isinstance(history, (str, bool, np.bool_)) else None
    if exact is None:
        raise ValueError(f'history must be "running", "exact" or a bool, not {history!r}')
    return exact


def resolve_order(shuffle: Any, n: int) -> Any:
    """Return an order's name, or a callable that gives checked index arrays."""
    if isinstance(shuffle, (bool, str)):
        name = ORDERS.get(shuffle)
        if name is None:
            raise ValueError(
                'shuffle must be a bool, "stream", "full", "once", "stratified", an index array or a callable, not '
                f"{shuffle!r}"
            )
        if name != "sequence" and n >= 1 << 32:
            raise ValueError(f"shuffle={shuffle!r} reaches 2**32 - 1 rows; these {n} rows need shuffle=False")
        return name
    if callable(shuffle):
        return lambda epoch: checked_order(shuffle(epoch), n)
    given = checked_order(shuffle, n)
    return lambda epoch: given


def checked_order(order: Any, n: int) -> NDArray[np.uint32]:
    """Return an order of rows that visits each exactly once."""
    index = np.asarray(order)
    if index.ndim != 1 or index.dtype.kind not in "iu":
        raise TypeError(f"an order of rows must be a 1-D array of whole numbers, not {order!r:.60}")
    if len(index) != n:
        raise ValueError(f"an order of rows must name each of the {n} rows once; it has {len(index)} entries")
    if index.min() < 0 or index.max() >= n:
        wrong = int(((index < 0) | (index >= n)).argmax())
        raise ValueError(f"an order of rows names row {index[wrong]} at position {wrong}; rows are 0 to {n - 1}")
    # What is checked is the copy that is used: another thread may change the original.
    checked: NDArray[np.uint32] = index.astype(np.uint32)
    seen = np.zeros(n, dtype=bool)
    seen[checked[checked < n]] = True
    if not seen.all():
        raise ValueError(f"an order of rows must name each row once; row {int(seen.argmin())} is missing")
    return checked


def resolve_patience(patience: Any, validation: Any) -> int:
    """Return for how many epochs without a better one a run goes on, 0 for all."""
    if patience is None:
        return 0
    if validation is None:
        raise ValueError("patience waits for held-out rows to fit better; say which by validation=")
    return positive_count(patience, "patience")
