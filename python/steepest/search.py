"""Searches that need no gradient: a grid, random draws, a random walk downhill (A3, D3).

They are what descent is measured against, and the way to a good start where a loss has several valleys. Points are
evaluated in the core, in blocks for which the rows are read once.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepest._arguments import positive_count, resolve_seed
from steepest._data import as_array
from steepest._model import check_start
from steepest._outside import evaluate, is_outside, outside_problem
from steepest._results import History, Interrupted, Result, Status, views_of
from steepest.autodiff._loss import Layout, TracedLoss
from steepest.losses import Loss
from steepest.objective import Objective
from steepest.penalties import Penalty
from steepest.penalties import resolve as resolve_penalty

__all__ = ["grid", "local", "random"]

# One pass over the rows serves a block of points: many are cheaper, few need less memory and lose less to Ctrl-C.
BLOCK_POINTS = 64
BLOCK_BYTES = 1 << 22
BLOCK_PRODUCTS = 1 << 28


def grid(
    loss: Any,
    data: Any,
    points: ArrayLike,
    *,
    penalty: Any = None,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = False,
    x0: Any = None,
) -> Result:
    """Try the given points and return the best (A3).

    Parameters
    ----------
    loss : str, Loss, callable, pair of callables or C function pointer
        A name of ``st.losses.available()``, a loss object, ``loss_fn(theta, batch)`` or ``(loss_fn, grad_fn)``, of
        which only values are asked for, or a C function as in ``minimize``.
    data : (X, y) or y
        As in ``minimize``.
    points : array_like, shape (m,) for one parameter, (m, n_parameters) or (m, *x0.shape)
        The grid, finite.
    penalty : Penalty or str, optional
        On the coefficients, never on the intercept.
    sample_weight : array_like, shape (n,), optional
        Weights of the rows.
    fit_intercept : bool
        Whether the last parameter is an intercept.
    x0 : array_like, optional
        For callables: its shape is that of theta, by default that of one point.

    Returns
    -------
    Result
        ``x`` is the best point, the first of them where several share the smallest objective ``fun``; ``nfev`` counts
        the points, ``nit`` how often one was better than all before, and ``history.objective`` is the best after each.

    Raises
    ------
    ValueError, TypeError
        Naming the argument and what would be right; also when the objective is NaN or infinite at every point.
    Interrupted
        On Ctrl-C, with the ``.result`` reached.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> result = st.search.grid("mse", [12, 13, 15, 16, 17], np.arange(12, 18, 0.1))
    >>> print(f"{result.x[0]:.1f} is the best of {result.nfev}")
    14.6 is the best of 60
    """
    array = as_array(points, "points")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"points must hold real numbers; their dtype is {array.dtype}")
    if array.ndim == 0 or array.size == 0:
        raise ValueError(f"points must hold at least one point; their shape is {array.shape}")
    if x0 is None and not _is_built_in(loss):
        x0 = np.zeros(array.shape[1:])
    surface = Surface(loss, data, penalty, sample_weight, fit_intercept, x0)
    if array[0].size != surface.size or array[0].shape not in ((), (surface.size,), surface.shape):
        raise ValueError(f"points must have shape (m, {surface.size}), not {array.shape}")
    lines = array.reshape(len(array), surface.size)
    finite = np.isfinite(lines).all(axis=1)
    if not finite.all():
        raise ValueError(f"points must be finite; point {int(finite.argmin())} is {array[finite.argmin()]}")
    best = _Best(surface, len(lines), None)
    with _kept(best):
        for start in range(0, len(lines), surface.block_points):
            best.add(lines[start : start + surface.block_points])
    return best.result()


def random(
    loss: Any,
    data: Any,
    n: int = 1000,
    scale: float = 1e-4,
    seed: int | None = None,
    *,
    penalty: Any = None,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = False,
    x0: Any = None,
) -> Result:
    """Draw parameters at random and keep the best: the sources' first strategy (D3).

    Parameters
    ----------
    loss, data, penalty, sample_weight, fit_intercept
        As in `grid`.
    n : int
        How many points are drawn; each costs one evaluation of the loss over all rows.
    scale : float
        Points are ``x0 + scale * standard normal``.
    seed : int, optional
        The same seed draws the same points; drawn at random by default. ``result.seed`` tells it.
    x0 : array_like or Result, optional
        Centre of the draws, zeros by default. For callables its shape is that of theta, a number by default.

    Returns
    -------
    Result
        As of `grid`.

    Raises
    ------
    ValueError, TypeError, Interrupted
        As `grid`.

    Examples
    --------
    >>> import steepest as st
    >>> X, y = st.data.logistic(1000, 5, seed=0)
    >>> result = st.search.random("log_loss", (X, y), n=200, scale=1.0, seed=0)
    >>> result.nfev, bool(result.fun < st.Objective("log_loss", (X, y)).value([0.0] * 5))
    (200, True)
    """
    n, scale, seed = positive_count(n, "n"), _scale(scale, "scale"), resolve_seed(seed, None)
    surface = Surface(loss, data, penalty, sample_weight, fit_intercept, x0)
    draw = np.random.default_rng(seed)
    best = _Best(surface, n, seed)
    with _kept(best):
        for start in range(0, n, surface.block_points):
            count = min(surface.block_points, n - start)
            best.add(surface.start + scale * draw.standard_normal((count, surface.size)))
    return best.result()


def local(
    loss: Any,
    data: Any,
    n: int = 1000,
    start_scale: float = 1e-3,
    step_scale: float = 1e-4,
    seed: int | None = None,
    *,
    penalty: Any = None,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = False,
    x0: Any = None,
) -> Result:
    """Walk downhill by trial: keep a random step where it lowers the objective; the sources' second strategy (D3).

    Parameters
    ----------
    loss, data, penalty, sample_weight, fit_intercept
        As in `grid`.
    n : int
        Evaluations of the loss over all rows: the start and n - 1 steps.
    start_scale : float
        The start is ``x0 + start_scale * standard normal``.
    step_scale : float
        Every step tried is ``step_scale * standard normal``.
    seed : int, optional
        The same seed takes the same steps; drawn at random by default. ``result.seed`` tells it.
    x0 : array_like or Result, optional
        Centre of the start, zeros by default. For callables its shape is that of theta, a number by default.

    Returns
    -------
    Result
        As of `grid`; ``nit`` counts the steps that were kept.

    Raises
    ------
    ValueError, TypeError, Interrupted
        As `grid`.

    Examples
    --------
    >>> import steepest as st
    >>> p5 = [12.1, 12.8, 14.9, 16.3, 17.2]
    >>> result = st.search.local("mse", p5, n=500, start_scale=1.0, step_scale=0.5, seed=0)
    >>> result.nfev, bool(abs(result.x[0] - 14.66) < 0.02)
    (500, True)
    """
    n, seed = positive_count(n, "n"), resolve_seed(seed, None)
    start_scale, step_scale = _scale(start_scale, "start_scale"), _scale(step_scale, "step_scale")
    surface = Surface(loss, data, penalty, sample_weight, fit_intercept, x0)
    draw = np.random.default_rng(seed)
    best = _Best(surface, n, seed)
    here = surface.start + start_scale * draw.standard_normal(surface.size)
    with _kept(best):
        best.add(here[np.newaxis])
        for _ in range(n - 1):
            trial = here + step_scale * draw.standard_normal(surface.size)
            if best.add(trial[np.newaxis]):
                here = trial
    return best.result()


class Surface:
    """The objective of any loss and data as a function of flat points.

    Parameters
    ----------
    loss, data, penalty, sample_weight, fit_intercept
        As in `grid`.
    x0 : array_like or Result, optional
        The point that searches begin with; the shape of theta for callables.

    Attributes
    ----------
    size, features : int
        Parameters, and how many of them are coefficients.
    shape : tuple of int
        What the loss calls theta: ``()`` for a callable of a number.
    start : ndarray of float64, shape (size,)
        x0, or zeros.
    dtype : dtype
        In which points are evaluated.
    block_points : int
        How many points to evaluate at once.
    """

    def __init__(
        self,
        loss: Any,
        data: Any,
        penalty: Any = None,
        sample_weight: ArrayLike | None = None,
        fit_intercept: bool = False,
        x0: Any = None,
    ) -> None:
        start = x0.x.reshape(x0.x_shape) if isinstance(x0, Result) else x0
        self._objective: Objective | None = None
        self.classes: NDArray[Any] | None = None
        self.scores = 0
        if _is_built_in(loss) or not (callable(loss) or is_outside(loss)):
            objective = Objective(
                loss, data, penalty, sample_weight=sample_weight, fit_intercept=fit_intercept, x0=start
            )
            self._objective = objective
            self._value: Callable[[NDArray[Any]], float] = objective.value
            self.size = objective.n_parameters
            self.features = objective._penalised
            if objective._data is not None:
                self.scores = objective._data.scores
            self.shape: tuple[int, ...] = (self.size,)
            self.dtype = objective._dtype
            self.classes = None if objective._data is None else objective._data.classes
            products = objective._problem.rows * self.size
            self.block_points = max(1, min(BLOCK_POINTS, BLOCK_BYTES // (8 * self.size), BLOCK_PRODUCTS // products))
        else:
            if sample_weight is not None:
                raise ValueError("sample_weight does not go with a loss outside the core: weigh inside the callable")
            if fit_intercept:
                raise ValueError("fit_intercept does not go with a loss outside the core: make it a parameter")
            self._value = self._outside_value(loss, data, start, resolve_penalty(penalty))
            self.shape = np.shape(start) if start is not None else ()
            self.size = self.features = math.prod(self.shape)
            self.dtype = np.dtype(np.float64)
            self.block_points = 1
        self.start = np.zeros(self.size)
        if start is not None:
            given = Layout(start).flat(np.float64) if isinstance(loss, TracedLoss) else as_array(start, "x0").ravel()
            if given.dtype.kind not in "biuf":
                raise TypeError(f"x0 must hold real numbers; its dtype is {given.dtype}")
            check_start(given, self.size)
            self.start[:] = given

    def values(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Return the objective at m points of shape (m, size), reading the rows once for each block of them."""
        if self._objective is None or len(points) == 1:
            return np.array([self._value(x) for x in np.asarray(points, dtype=np.float64)])
        blocks = range(0, len(points), self.block_points)
        return np.concatenate([self._objective.values(points[start : start + self.block_points]) for start in blocks])

    @staticmethod
    def _outside_value(loss: Any, data: Any, start: Any, penalty: Penalty | None) -> Callable[[NDArray[Any]], float]:
        """Return the objective of a loss outside the core."""
        problem, owner = outside_problem(loss, data, start)
        value = partial(evaluate, owner, problem.value)
        return value if penalty is None else lambda x: value(x) + penalty.value(x)


def _is_built_in(loss: Any) -> bool:
    """Tell whether a loss is one of the core's: these are callable too."""
    return isinstance(loss, (str, Loss, TracedLoss))


class _Best:
    """The best of the points evaluated so far."""

    def __init__(self, surface: Surface, planned: int, seed: int | None) -> None:
        self._surface = surface
        self._seed = seed
        self._values = np.empty(planned)
        self._tried = 0
        self._x = surface.start
        self.fun = math.inf

    def add(self, points: NDArray[Any]) -> bool:
        """Evaluate points; tell whether one is better than all before."""
        values = self._surface.values(points)
        self._values[self._tried : self._tried + len(values)] = values
        self._tried += len(values)
        at = int(np.where(np.isnan(values), math.inf, values).argmin())
        if not values[at] < self.fun:
            return False
        self._x, self.fun = np.array(points[at]), float(values[at])
        return True

    def result(self, interrupted: bool = False) -> Result:
        """Return the best point with what is known about it."""
        tried, surface = self._tried, self._surface
        if self.fun == math.inf:
            raise ValueError(f"the objective is NaN or infinite at each of the {tried} points tried: none is the best")
        # NaN never wins: fmin takes the other one.
        best = np.fmin.accumulate(self._values[:tried])
        known = np.where(np.isnan(best), math.inf, best)
        x = self._x.astype(surface.dtype)
        coef, intercept = views_of(x, surface.features, surface.scores)
        return Result(
            x=x,
            x_shape=surface.shape,
            fun=self.fun,
            coef=coef,
            intercept=intercept,
            nit=int(np.count_nonzero(known[1:] < known[:-1])),
            nfev=tried,
            success=not interrupted,
            status=Status.interrupted if interrupted else Status.ran_all_epochs,
            message=f"Interrupted: x is the best of {tried} points." if interrupted else f"Tried all {tried} points.",
            history=History(evaluation=np.arange(1, tried + 1), objective=best),
            seed=self._seed,
            classes=surface.classes,
        )


@contextmanager
def _kept(best: _Best) -> Iterator[None]:
    """Have Ctrl-C carry the best so far."""
    try:
        yield
    except KeyboardInterrupt:
        if best.fun == math.inf:
            raise
        raise Interrupted(best.result(interrupted=True)) from None


def _scale(value: Any, name: str) -> float:
    """Return a positive finite number."""
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not 0 < float(value) < math.inf:
        raise ValueError(f"{name} must be positive and finite, not {value!r}")
    return float(value)
