"""Better points near the end of a run, from which bounds of the gap are better: a few steps of second order, or nearly.

Newton's steps by conjugate gradients are written out here: SciPy's methods spend more on their own than such steps take
where there are few rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import scipy.optimize
from numpy.typing import NDArray
from scipy.linalg import solve

from steepest._precondition import Plain, Split
from steepest._threads import one_blas_thread

Array = NDArray[np.float64]

STEPS, DIRECTIONS, HALVINGS, CHANGES = 20, 50, 30, 8
# With the Hessian where nobody asked for a gap: what more of them would tell, or a gradient shorter than this share of
# the first, hardly shows in the bound.
UNASKED_PRODUCTS, UNASKED_GOAL = 100, 1e-6
RIDGE = 1e-8  # of curvature, where there may be none in other directions
RELEASED = 1e-9  # of L1's strength, by which a pull must be harder for a coefficient to leave zero
# How exactly a step is to solve the equations for it, relative to the gradient: two steps reach a goal of 1e-4.
ACCURACY = 1e-2
NOISE = 1e-9  # of the value, below which a shorter gradient is trusted more


class Point(NamedTuple):
    """A point with the objective and its gradient there, both without kinks."""

    x: Array
    value: float
    gradient: Array


class Smooth(Protocol):
    """An objective without the kinks of its penalty, of parameters whose first are penalised."""

    penalised: int

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """Return both at x."""

    def hessp(self, x: Array, v: Array) -> Array:
        """Return the product of the Hessian at x and a direction."""


def refined(smooth: Smooth, start: Point, l1: Array, searching: bool) -> Point:
    """Go on from a point to one whose gradient is 1e-4 of its, or with L1 as near the optimum as can be had.

    With L1 it takes a search to learn which coefficients are zero. Where there is to be none, those that are stay so,
    and some products with the Hessian have to do.
    """
    products = math.inf if searching else UNASKED_PRODUCTS
    if not l1.any():
        goal = max(1e-4 * float(np.linalg.norm(start.gradient)), 1e-300)
        return newton(smooth.value_and_gradient, smooth.hessp, start, goal, products=products)
    if searching:
        x = newton_on_support(smooth, descended(smooth, start.x, l1), l1, CHANGES, products, 0.0)
    else:
        x = newton_on_support(smooth, start.x, l1, 1, products, UNASKED_GOAL)
    return Point(x, *smooth.value_and_gradient(x))


def descended(smooth: Smooth, x: Array, l1: Array, iterations: int = 100) -> Array:
    """Search for the optimum from a point: with L1 that tells which coefficients are zero."""
    view = Split(l1, x.size) if l1.any() else Plain(None)
    with one_blas_thread():
        found = scipy.optimize.minimize(
            lambda parts: view.seen(parts, *smooth.value_and_gradient(view.x(parts))),
            view.of(x),
            jac=True,
            method="L-BFGS-B",
            bounds=view.bounds,
            options={"gtol": 1e-14, "ftol": 1e-16, "maxiter": iterations, "maxcor": 20},
        )
    return view.x(found.x)


def newton(
    value_and_gradient: Callable[[Array], tuple[float, Array]],
    hessp: Callable[[Array, Array], Array],
    start: Point,
    goal: float,
    steps: int = STEPS,
    whole: bool = False,
    products: float = math.inf,
) -> Point:
    """Descend a convex function until its gradient is as short as the goal, or no step brings it nearer.

    A step costs some products with the Hessian, of which so many are made at most, or one for each parameter where the
    whole of it is to be made.
    """
    at, value, longest = start, math.inf, math.inf
    for _ in range(steps):
        size = float(np.linalg.norm(at.gradient))
        if size <= goal or (at.value >= value and size > longest):
            break
        value, longest = at.value, 0.5 * size
        if whole:
            step = _whole_newton_step(at, hessp)
        else:
            most = min(DIRECTIONS, products)
            step, made = _newton_step(at, hessp, max(0.5 * goal, ACCURACY * size), int(most))
            products -= made
        slope = float(at.gradient @ step)
        if not slope < 0:
            break
        # What rounding adds to the value must not stop a step that is good. Where the value is a sum of large terms it
        # adds more, which the gradient tells from a step that went wrong.
        allowed = at.value + 4 * float(np.finfo(np.float64).eps) * abs(at.value)
        for halved in range(HALVINGS):
            share = 0.5**halved
            x = at.x + share * step
            there = Point(x, *value_and_gradient(x))
            if there.value <= allowed + 1e-4 * share * slope:
                break
            if there.value <= at.value + NOISE * abs(at.value) and np.linalg.norm(there.gradient) <= 0.5 * size:
                break
        else:
            break
        at = there
    return at


def _newton_step(
    at: Point, hessp: Callable[[Array, Array], Array], accuracy: float, directions: int
) -> tuple[Array, int]:
    """Solve ``H step = -gradient`` until what is left is as short as asked for, by conjugate gradients.

    Returns the step and how many products with H were made for it; where none may be, the step is zero.
    """
    step, left = np.zeros_like(at.x), -at.gradient
    direction, square = left, float(left @ left)
    made = 0
    while made < directions:
        bent = hessp(at.x, direction)
        made += 1
        curvature = float(direction @ bent)
        # Where there is next to none, the way along it leaves the numbers.
        if not curvature > np.finfo(np.float64).tiny * max(1.0, float(direction @ direction)):
            break
        length = square / curvature
        step = step + length * direction
        left = left - length * bent
        before, square = square, float(left @ left)
        if square <= accuracy**2:
            break
        direction = left + (square / before) * direction
    return step, made


def _whole_newton_step(at: Point, hessp: Callable[[Array, Array], Array]) -> Array:
    """Solve ``H step = -gradient`` by all of H, be it ill-conditioned; where nothing bends, go down."""
    H = np.column_stack([hessp(at.x, direction) for direction in np.eye(at.x.size)])
    size = np.sqrt(np.maximum(H.diagonal(), 0.0))
    if not (size.any() and np.isfinite(H).all()):
        return -at.gradient
    size = np.maximum(size, RIDGE * size.max())  # columns may be of any units
    scaled = H / size[:, None] / size + RIDGE * np.eye(len(H))
    return -np.asarray(solve(scaled, at.gradient / size, assume_a="pos", check_finite=False) / size)


def newton_on_support(smooth: Smooth, x: Array, l1: Array, changes: int, products: float, goal: float) -> Array:
    """Where coefficients that are zero stay so, and the others keep their signs, the objective has no kinks.

    Those that would change sign stop at zero, those that are pulled from it leave it, until neither is left or there
    have been so many changes. In between the gradient is made the goal times as long, by so many products with the
    Hessian at most.
    """
    k = smooth.penalised
    for _ in range(changes):
        signs = np.sign(x)
        if l1.any():
            gradient = smooth.value_and_gradient(x)[1][:k]
            pulled = (x[:k] == 0) & (np.abs(gradient) > l1 * (1 + RELEASED))
            signs[:k][pulled] = -np.sign(gradient[pulled])
        met = _newton_of_signs(smooth, x, l1, signs, products, goal)
        crossed = np.flatnonzero((met[:k] * signs[:k] < 0) & (l1 > 0))
        if not crossed.size:
            unchanged = np.array_equal(np.sign(x[:k]), signs[:k])
            x = met
            if unchanged:
                break
            continue
        # The way there is downhill until the first of them meets zero.
        shares = x[crossed] / (x[crossed] - met[crossed])
        x = x + shares.min() * (met - x)
        x[crossed[shares == shares.min()]] = 0.0
        if shares.min() == 0:  # what was let go comes back at once
            break
    return x


def _newton_of_signs(smooth: Smooth, x: Array, l1: Array, signs: Array, products: float, goal: float) -> Array:
    """Return the optimum where L1 is the sum of the signs times the coefficients, and those of no sign are zero."""
    k = smooth.penalised
    pulls = np.zeros_like(x)
    pulls[:k] = l1 * signs[:k]
    free = signs != 0
    free[:k] |= l1 == 0
    free[k:] = True
    pull = pulls[free]

    def at(u: Array) -> Array:
        full = np.zeros_like(x)
        full[free] = u
        return full

    def evaluate(u: Array) -> tuple[float, Array]:
        value, gradient = smooth.value_and_gradient(at(u))
        return value + float(pull @ u), gradient[free] + pull

    if not free.any():
        return x
    start = Point(x[free], *evaluate(x[free]))
    length = max(1e-15, goal * float(np.linalg.norm(start.gradient)))
    return at(newton(evaluate, lambda u, v: smooth.hessp(at(u), at(v))[free], start, length, products=products).x)
