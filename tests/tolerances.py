"""How much rounding is forgiven, in one table: one row per dtype."""

from typing import Any, NamedTuple

import numpy as np


class Tolerances(NamedTuple):
    """All are relative; to what is said at each."""

    eps: float
    #: A loss or a slope of one row, to the sum of the sizes of its terms: exp, log and log1p are good to 2 ulp.
    terms: float
    #: A loss or a slope of one row against its formula, to the size of everything met on the way.
    formula: float
    #: Differences of a formula in long double, to the size of the loss.
    differences: float
    #: A sum over rows, to the sum of the sizes of its terms; n rows of d features are forgiven more by sqrt(n d).
    sums: float
    #: Parameters and objectives of a short run against the same in another order of sums, to their size.
    runs: float
    #: Parameters along a short run against NumPy's, the same sums in nearly the same order.
    steps: float
    #: Parameters along a run of any rule against its formula: roots and quotients make rounding grow.
    rules: float
    #: The smallest positive number: below it nothing can be told apart.
    tiny: float


def _tolerances(
    dtype: type[np.floating[Any]], differences: float, runs: float, steps: float, rules: float
) -> Tolerances:
    info = np.finfo(dtype)
    eps, tiny = float(info.eps), float(info.smallest_subnormal)
    return Tolerances(eps, 4 * eps, 16 * eps, differences, 8 * eps, runs, steps, rules, tiny)


TOLERANCES = {
    np.dtype(np.float32): _tolerances(np.float32, 4e-6, 3e-3, 2e-4, 1e-3),
    np.dtype(np.float64): _tolerances(np.float64, 1e-12, 1e-9, 1e-11, 1e-9),
}
DTYPES = tuple(TOLERANCES)
DTYPE_NAMES = tuple(dtype.name for dtype in DTYPES)


def tolerances(dtype: Any) -> Tolerances:
    """Look up the tolerances of a dtype."""
    return TOLERANCES[np.dtype(dtype)]


def closeness(relative: float) -> dict[str, float]:
    """Return what NumPy's `assert_allclose` takes for parameters of about 1: those near 0 are forgiven a tenth."""
    return {"rtol": relative, "atol": 0.1 * relative}
