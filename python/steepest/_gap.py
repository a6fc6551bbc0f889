"""How far from the optimum a point can be at the most: feasible points of the dual problem.

For a convex loss and any slopes s_i, one per row and score, the objective is nowhere below
``-sum(w_i l_i*(s_i))/sum(w_i) - R*(-sum(w_i s_i x_i)/sum(w_i))``: l* and R* are the conjugates of loss and penalty. The
slopes at a good point make a good bound. Where an L2 term makes R* finite, slopes as they are will do, their conjugates
follow from the loss itself, and the bound costs next to nothing. Otherwise the slopes must be made feasible: those that
meet an intercept must sum to zero, those that meet L1 alone must not pull too hard. Both are had by making some of
them smaller, which every loss here allows, and takes the conjugate's formula. At kinks slopes at a good point need not
be good ones: these are searched for.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepest import penalties
from steepest._data import Data
from steepest._gap_kinks import RoundedObjective
from steepest._gap_losses import (
    below_the_chord,
    conjugates,
    dual_of,
    has_chord,
    has_conjugate,
    has_limits,
    indicator,
    limits,
    terms,
)
from steepest._gap_penalties import Conjugate, Elastic, conjugate_of, finite_everywhere
from steepest._gap_projected import lengths, projected
from steepest._gap_refined import Point, refined
from steepest._model import Model
from steepest._outcome import MESSAGES
from steepest._results import Interrupted, Result, Status
from steepest._scipy import SmoothObjective
from steepest._sparse import SparseRows
from steepest._threads import one_blas_thread
from steepest.objective import GRAM_COLUMNS

Array = NDArray[np.float64]

BLOCK_ROWS, BLOCK_NUMBERS = 4096, 1 << 22
UNASKED = 1 << 20  # numbers in the data, up to which a pass over the rows is made where nobody gave a tolerance,
REFINED = 1 << 17  # up to which the bound is then refined,
MOST = 1 << 27  # that are read where they are not stored
SOLVED = 16  # columns whose equations are made in the time a pass over them takes
PASSES = 64  # what refining does to the parameters costs as much as reading so many numbers for each of them
ASKED_REFINED = 1 << 23  # and up to which it is where a tolerance was given


NEAR = 1e-3  # of the objective: below such a gap it is looked at what rounding adds,
FAR = 1e-6  # above, this share of the gap is taken for it
UNFINISHED = (Status.interrupted, Status.diverged)
SINGLE, DOUBLE = float(np.finfo(np.float32).eps), float(np.finfo(np.float64).eps)
WIDTHS = (1e-1, 1e-2, *[1e-3] * 6)  # over which kinks are rounded off, of what predictions miss
# Refining at kinks reads the numbers, works on so many for each prediction, and takes the time of so many however few
# there are. It may make some passes, and one more for every two epochs, or as many as work on so many numbers in all.
OF_A_PREDICTION, OF_A_PASS = 16, 1 << 15
SOME_PASSES, QUICK = 50, 1 << 26
KINKS_REFINED = 1 << 21  # numbers that are worked on, up to which it is done
CLOSE = 0.1  # of a gap: where what was met in refining is as near to the bound, no better one would tell


class Dual:
    """Lower bounds of the objective of a convex loss of linear scores with a penalty that has a conjugate."""

    def __init__(self, model: Model, penalty: penalties.Penalty, conjugate: Conjugate, fit_intercept: bool) -> None:
        assert model.loss is not None
        assert model.data is not None
        self._model = model
        self._loss = model.loss
        self._data: Data = model.data
        self._penalty = penalty
        self._intercept = fit_intercept
        self._conjugate_of_penalty = conjugate
        self._elastic = conjugate if isinstance(conjugate, Elastic) else None
        self._below = -math.inf  # the highest lower bound of the optimum yet,
        self._above = math.inf  # and the lowest objective met on the way to it
        self._widths = list(reversed(WIDTHS))
        self._met = np.empty(0)  # where kinks that are rounded off led to
        self._eps = float(np.finfo(model.start.dtype).eps)
        self._exact_at = b"", 0.0  # the parameters where the objective was last found in float64
        self._terms_at: dict[bytes, float] = {}  # the size of its terms where it was last looked at
        # How many numbers a pass reads: zeros of sparse rows are read where columns are shifted.
        shifted = isinstance(self._data.X, SparseRows) and self._data.shift is not None
        read = self._data.trained * self._data.width if shifted else model.numbers
        self.numbers = max(read, PASSES * model.start.size)
        self.by_gradient = finite_everywhere(conjugate) and not fit_intercept

    @cached_property
    def _y(self) -> Array:
        """The targets of the rows that are trained on: a copy, which bounds by the gradient do without."""
        return self._data.y[self._data.at(slice(None))].astype(np.float64)

    @cached_property
    def _share(self) -> Array:
        """The share of each of these rows in the mean."""
        if self._data.weight is None:
            return np.full(self._data.trained, 1.0 / self._data.trained)
        weight = self._data.weight[self._data.at(slice(None))].astype(np.float64)
        return np.asarray(weight / weight.sum())

    @property
    def costs(self) -> int:
        """How many numbers could be read in the time a bound takes, beyond what few columns cost."""
        if not self._conjugate_of_penalty.open:
            return self.numbers
        return self.numbers * max(1, self._data.width // SOLVED)

    @property
    def refines_quickly(self) -> bool:
        """Whether a few Newton steps suffice to refine a bound."""
        return self._loss.smooth and self._elastic is not None

    @property
    def tightens(self) -> bool:
        """Whether the bound closes in as a run goes on: at kinks it does where it is refined."""
        return self._loss.smooth or self._refines_at_kinks

    def gap(self, x: NDArray[Any], fun: float, jac: Array) -> float:
        """Return an upper bound of fun - optimum at x, where jac is the gradient without kinks."""
        if not math.isfinite(fun):
            return math.inf
        fun = self._exact(x, fun)
        self._raise(fun - self._lack(x, jac) if self.by_gradient else self.bound(x), x, fun)
        return self._least(x, fun)

    def _exact(self, x: NDArray[Any], fun: float) -> float:
        """Return the objective in float64 where float32 put it lower: predictions may be large beside misses."""
        if self._eps < SINGLE:
            return fun
        key = x.tobytes()
        if key != self._exact_at[0]:
            at, k, width = x.astype(np.float64), self._model.features, self._data.width
            coef, intercept = at[:k].reshape(-1, width), at[k:] if at.size > k else np.zeros(k // width)
            total = self._penalty.value(at[:k])
            for part, rows in self._blocks():
                z = np.ascontiguousarray(rows @ coef.T + intercept)
                total += float(
                    self._share[part] @ self._loss.pointwise(self._y[part], z if self._data.scores else z[:, 0])
                )
            self._exact_at = key, total
        return max(fun, self._exact_at[1])

    def _raise(self, bound: float, x: NDArray[Any], fun: float) -> None:
        """Take in a lower bound by the slopes at x, less what rounding may have added to it, fun being met nearby."""
        if math.isfinite(bound):
            self._below = max(self._below, bound - self._rounding(x, fun, fun - bound))

    def _least(self, x: NDArray[Any], fun: float) -> float:
        """Return the gap to the highest bound met yet: where the objective is lowest, slopes need not be the best."""
        gap = max(fun - self._below, 0.0)
        return gap + self._rounding(x, fun, gap) if math.isfinite(gap) else math.inf

    def now_and_then(self) -> Callable[[Array, float, Array], float]:
        """Return a bound of the gap for every iteration of a run, which looks closely at a few of them only."""
        seen = 0

        def look(x: Array, fun: float, jac: Array) -> float:
            nonlocal seen
            seen += 1
            with np.errstate(all="ignore"):  # on the way much may overflow
                if self.is_worth_refining(seen):
                    return self.refined_gap(x, fun, jac, seen)
                return self.gap(x, fun, jac) if self.by_gradient or seen % 5 == 0 else sys.float_info.max

        return look

    def is_worth_refining(self, seen: int) -> bool:
        """Tell whether the bound is to be refined at this iteration: at some 8, then 16, 32, ..."""
        return seen >= 8 and seen & (seen - 1) == 0 and self.numbers <= ASKED_REFINED

    def refined_gap(self, x: NDArray[Any], fun: float, jac: Array, seen: int = 0, searching: bool = True) -> float:
        """Return the bound from a better point nearby, which costs a few dozen passes over the data.

        With L1, searching for which coefficients are zero there costs some hundred, as kinks do, which cost the more
        the more epochs, or iterations, were `seen`.
        """
        if not math.isfinite(fun):
            return math.inf
        fun = self._exact(x, fun)
        gap = self.gap(x, fun, jac)
        if gap > 2 * self._rounding(x, fun, 0.0) and not self._is_close(fun):
            self._refine(x, fun, jac, seen, searching)
            gap = self._least(x, fun)
        return gap

    def _is_close(self, fun: float) -> bool:
        """Tell whether hardly any of the gap is between the bound and what was met below the objective."""
        return math.isfinite(self._above) and self._above - self._below <= CLOSE * (fun - self._below)

    def _refine(self, x: NDArray[Any], fun: float, jac: Array, seen: int, searching: bool) -> None:
        if self._elastic is None:
            return
        if not self._loss.smooth:
            with one_blas_thread():
                self._refine_at_kinks(x, fun, seen)
            return
        smooth = SmoothObjective(self._model, self._penalty)
        start = Point(x.astype(np.float64), fun - smooth.kinks(x), jac)
        better = refined(smooth, start, self._elastic.l1, searching)
        self._above = min(self._above, better.value + smooth.kinks(better.x))
        if self.by_gradient:
            self._raise(better.value + smooth.kinks(better.x) - self._lack(better.x, better.gradient), better.x, fun)
        else:
            self._raise(self.bound(better.x), better.x, fun)

    def _refine_at_kinks(self, x: NDArray[Any], fun: float, seen: int) -> None:
        """Descend with the kinks rounded off, ever less and about slopes that are ever better, from where it was left.

        There are so many rounds in a run and no more, and the fewer epochs were seen the less is made of them.
        """
        if not self._refines_at_kinks:
            return
        rounded, k = self._rounded, self._model.features
        if fun < self._above:
            self._met = x.astype(np.float64)
        last = rounded.passes + max(SOME_PASSES + seen // 2, QUICK // (self._work + OF_A_PASS))
        lengths = np.tile(np.where(self._lengths > 0, self._lengths, 1.0), k // self._data.width)
        while rounded.passes < last and self._widths and not self._is_close(fun):
            width, at = self._widths[-1], self._met
            # As wide in coefficients as in what they add to predictions.
            of_l1 = width * (float((np.abs(at[:k]) * lengths).max()) or 1.0) / lengths
            at = self._met = rounded.descended(at, width * rounded.size(at), of_l1, last)
            self._raise(self.bound_of_slopes(partial(_part_of, rounded.slopes(at)), at), x, fun)
            self._above = min(self._above, rounded.loss(at) + self._penalty.value(at[:k]))
            if rounded.passes < last:  # or it was cut short, and goes on with this width another time
                rounded.recentre(at)
                self._widths.pop()

    @property
    def _work(self) -> int:
        """How many numbers a pass at kinks works on."""
        return (self.numbers + OF_A_PREDICTION * self._data.trained) * max(1, self._data.scores)

    @property
    def _refines_at_kinks(self) -> bool:
        has_kink = self._elastic is not None and dual_of(self._loss).kink is not None
        return has_kink and self._work <= KINKS_REFINED

    @cached_property
    def _rounded(self) -> RoundedObjective:
        """The objective with its kinks rounded off."""
        assert self._elastic is not None
        data, of = self._data, (self._elastic.l1, self._elastic.l2)
        rows = self._rows(slice(None))
        return RoundedObjective(self._loss, rows, self._y, self._share, *of, data.scores, self._intercept)

    def _lack(self, x: NDArray[Any], jac: Array) -> float:
        """Return what the penalty and its conjugate lack in being tangent (Fenchel and Young)."""
        assert self._elastic is not None
        l1, l2 = self._elastic.l1, self._elastic.l2
        w = x[: self._model.features].astype(np.float64)
        pull = jac[: w.size] - l2 * w
        lack = l2 / 2 * w**2 + l1 * np.abs(w) + self._elastic.each(-pull) + pull * w
        return float(np.maximum(lack, 0.0).sum())

    def _rounding(self, x: NDArray[Any], fun: float, gap: float) -> float:
        """Return what rounding may have taken of a gap, for an objective or a bound at x.

        Most of it comes of sums over the rows in the dtype of the data, and follows the size of their terms. To look
        for that takes a pass over the rows; as long as the gap is not small, a share of it covers terms up to some
        100,000 times the objective. Not looked at is what large terms add where a gradient alone makes the bound and
        rows are many, and what they add to a gradient in float32: there the size of the objective has to do.
        """
        usual = 16 * self._eps * abs(fun)
        if gap > NEAR * abs(fun):
            return usual + FAR * gap
        if self.by_gradient and self.numbers > UNASKED:
            return usual
        key = x.tobytes()
        if key not in self._terms_at:
            if len(self._terms_at) > 2:
                self._terms_at.clear()
            self._terms_at[key] = self._terms(x.astype(np.float64))
        return usual + 16 * DOUBLE * self._terms_at[key]

    def _terms(self, at: Array) -> float:
        """Return the mean size of the terms that objective and bound are sums of at a point, or a little more."""
        k, width = self._model.features, self._data.width
        coef, intercept = at[:k].reshape(-1, width), at[k:] if at.size > k else np.zeros(k // width)
        size, squares = abs(self._penalty.value(at[:k])), np.zeros(len(coef))
        for part, rows in self._blocks():
            y, share = self._data.y[self._data.at(part)].astype(np.float64), self._share[part]
            z = np.ascontiguousarray(rows @ coef.T + intercept)
            seen = z if self._data.scores else z[:, 0]
            slopes = np.asarray(self._loss.gradient(y, seen)).reshape(z.shape)
            of_rows = np.abs(self._loss.pointwise(y, seen)) + terms(self._loss, y, seen)
            # What rounds a prediction or a target counts as much as the slope there makes of it.
            targets = 0.0 if self._loss.target == "labels" else np.abs(y).reshape(len(y), -1)
            of_rows += (np.abs(slopes) * (targets + np.abs(intercept))).sum(axis=1)
            size += float(share @ of_rows)
            squares += share @ slopes**2
        # The mean of |slope| |x|, of every column, is no more than the product of the roots of their mean squares.
        return size + float(np.sqrt(squares) @ np.abs(coef) @ self._lengths)

    @cached_property
    def _lengths(self) -> Array:
        """The root of the mean square of each column, as it is before it is shifted or more."""
        found = lengths(self._blocks, self._share, self._data.width)
        return found if self._data.shift is None else np.asarray(found + np.abs(self._data.shift))

    def bound(self, x: NDArray[Any]) -> float:
        """Return a lower bound of the optimum from the slopes at x."""
        x = x.astype(np.float64)
        k, width = self._model.features, self._data.width
        coef, intercept = x[:k].reshape(-1, width), x[k:] if x.size > k else np.zeros(k // width)
        tangents = np.empty(len(self._y)) if has_chord(self._loss) else None

        def slopes_of(part: slice, rows: Array) -> Array:
            z, y = rows @ coef.T + intercept, self._y[part]
            if self._data.scores:
                return np.asarray(self._loss.gradient(y, np.ascontiguousarray(z)))
            slopes = np.asarray(self._loss.gradient(y, z[:, 0]))
            if tangents is not None:
                tangents[part] = slopes * z[:, 0] - self._loss.pointwise(y, z[:, 0])
            return slopes.reshape(-1, 1)

        return self.bound_of_slopes(slopes_of, x, tangents)

    def bound_of_slopes(
        self, slopes_of: Callable[[slice, Array], Array], x: Array, tangents: Array | None = None
    ) -> float:
        """Return the value of the dual at slopes made feasible; they are asked for by blocks of rows.

        They come from near the parameters x. Where the conjugates have no formula, `tangents` holds them at the
        slopes as they were given.
        """
        slopes = np.empty((len(self._y), max(1, self._data.scores)))
        for part, rows in self._blocks():
            slopes[part] = slopes_of(part, rows)
        if not np.isfinite(slopes).all():
            return -math.inf
        met = slopes
        slopes, pull, left = self._feasible(slopes, x)
        opposite = -pull.ravel()
        feasible = self._conjugate_of_penalty.feasible_share(opposite)
        if feasible < 1:
            feasible *= 1 - 1e-15
            slopes, opposite = feasible * slopes, feasible * opposite
        of_penalty = self._conjugate_of_penalty(opposite)
        if tangents is None:
            of_rows = conjugates(self._loss, slopes, self._y)
        else:
            of_rows = below_the_chord(self._loss, met, tangents, slopes, self._y)
        # Sums that should vanish do so but for rounding, and meet intercepts as large as the targets.
        sizes = self._share @ np.abs(of_rows) + (self._share @ np.abs(slopes)).max() * (1 + np.abs(self._y).max())
        return -float(self._share @ of_rows) - of_penalty - left - 1e-15 * float(sizes)

    def _feasible(self, slopes: Array, x: Array) -> tuple[Array, Array, float]:
        """Return slopes that meet intercepts and coefficients held by nothing with a sum of zero, and their pull.

        Third comes what the sums that are not quite zero may add to the bound, parameters being about x.
        """
        penalty, K, width = self._conjugate_of_penalty, slopes.shape[1], self._data.width
        if penalty.open:
            return projected(
                self._blocks,
                self._share,
                slopes,
                limits(self._loss, self._y.reshape(slopes.shape)),
                lambda pull: penalty.infinite(-pull.ravel()).reshape(K, width),
                penalty.free(x[: K * width]).reshape(K, width),
                (np.abs(x[: K * width]).reshape(K, width), np.abs(x[K * width :])),
            )
        if not self._intercept:
            return slopes, self._pull(slopes), 0.0
        if self._loss.target == "labels":
            slopes = self._mixed(slopes)
            return slopes, self._pull(slopes), 0.0
        rising, falling = self._share @ np.maximum(slopes, 0), -(self._share @ np.minimum(slopes, 0))
        least = np.minimum(rising, falling)
        with np.errstate(divide="ignore", invalid="ignore"):
            of_up = np.where(rising > 0, least / rising, 0.0)
            of_down = np.where(falling > 0, least / falling, 0.0)
        slopes = np.where(slopes > 0, slopes * of_up, slopes * of_down)
        return slopes, self._pull(slopes), 0.0

    def _pull(self, slopes: Array) -> Array:
        """Return the sums over the rows by the slopes, shape (K, d)."""
        pull = np.zeros((slopes.shape[1], self._data.width))
        for part, rows in self._blocks():
            pull += (self._share[part, None] * slopes[part]).T @ rows
        return pull

    def _blocks(self) -> Iterator[tuple[slice, Any]]:
        block = max(1, min(BLOCK_ROWS, BLOCK_NUMBERS // self._data.width))
        for start in range(0, self._data.trained, block):
            part = slice(start, start + block)
            yield part, self._rows(part)

    def _rows(self, part: slice) -> Any:
        """Return some rows as the parameters see them: sparse ones stay so, unless their columns are shifted."""
        X = self._data.X
        if not isinstance(X, SparseRows) or self._data.shift is not None:
            return self._data.seen(part)
        rows = X[self._data.at(part)].matrix().astype(np.float64)
        return rows if self._data.scale is None else rows.multiply(self._data.scale.astype(np.float64)).tocsr()

    def _mixed(self, slopes: Array) -> Array:
        """Mix as little as need be of one distribution into the rows' so that each class has the mean it must have."""
        own = indicator(self._y, self._data.scores)
        wanted = self._share @ own
        met = self._share @ slopes + wanted
        with np.errstate(divide="ignore", invalid="ignore"):
            t = float(np.max(np.where(met > 0, 1 - wanted / met, 0.0)))
        if t > 0:
            t = min(1.0, t * (1 + 1e-12))
            q = np.maximum(wanted - (1 - t) * met, 0.0) / t
            slopes = (1 - t) * slopes + t * (q / q.sum() - own)
        return slopes


def _part_of(slopes: Array, part: slice, rows: Array) -> Array:
    return slopes[part]


def make_dual(model: Model, penalty: penalties.Penalty | None, fit_intercept: bool) -> tuple[Dual | None, str | None]:
    """Return where lower bounds of a problem's optimum come from, or why there are none."""
    if model.loss is None or model.data is None:
        return None, "nothing is known of a loss that is not of st.losses"
    loss = model.loss
    if not loss.convex:
        return None, f"{loss.name} is not convex"
    conjugate = None if penalty is None else conjugate_of(penalty)
    if penalty is None or (conjugate is not None and not conjugate.holds):
        return None, "without an L1 or L2 penalty no dual point is feasible"
    if conjugate is None:
        return None, f"no dual of the penalty {penalty!r} is at hand"
    if not has_conjugate(loss) and (fit_intercept or not finite_everywhere(conjugate)):
        return None, f"the conjugate of {loss.name} is not at hand, without which only L2 and no intercept will do"
    if conjugate.open and not (has_limits(loss) and model.data.width <= GRAM_COLUMNS):
        return None, f"no dual point of {loss.name} is at hand where nothing holds a coefficient"
    dual = Dual(model, penalty, conjugate, fit_intercept)
    if dual.numbers > max(MOST, model.numbers, PASSES * model.start.size) and not dual.by_gradient:
        return None, "the columns of sparse rows are shifted, which makes too many numbers of them to be read here"
    return dual, None


def add_gap(result: Result, model: Model, dual: Dual | None, reason: str | None, tolerance: float) -> Result:
    """Set the gap of a result, or why there is none; within a tolerance that is not zero the run has converged."""
    gap, asked, status = math.inf, tolerance > 0, result["status"]  # SciPy looks attributes up in Python
    unfinished = status in UNFINISHED
    if unfinished:
        reason = "the run did not come to its end"
    elif dual is not None:
        refined = dual.numbers <= (ASKED_REFINED if asked else REFINED) and (asked or dual.refines_quickly)
        if refined or dual.by_gradient or asked or dual.costs <= UNASKED:
            try:
                with np.errstate(all="ignore"):
                    at = result.x, result.fun, result.jac
                    gap = dual.refined_gap(*at, result.epochs, searching=asked) if refined else dual.gap(*at)
            except KeyboardInterrupt:
                raise Interrupted(result) from None
            reason = None if math.isfinite(gap) else "the bound is not finite"
        else:
            reason = "the rows were not read once more for it, for which a numeric tol asks"
    result["gap"] = gap if math.isfinite(gap) else None
    result["gap_reason"] = reason
    if asked and status is Status.no_progress and gap <= tolerance * abs(result.fun):
        result.update(status=Status.converged, success=True, message=MESSAGES[Status.converged])
    if reason is not None and not unfinished:
        result["message"] = f"{result['message'].rstrip('.')}. There is no bound of the gap: {reason}."
    return result


class GapWatch:
    """Ends a run of the loop once the bound of the gap is within the tolerance; looks ever more rarely."""

    def __init__(
        self, dual: Dual, model: Model, penalty: penalties.Penalty | None, tolerance: float, watcher: Any
    ) -> None:
        self._dual = dual
        self._smooth = SmoothObjective(model, penalty)
        self._tolerance = tolerance
        self._watcher = watcher
        self._seen, self._next = 0, 1
        start = model.start.copy()
        if penalty is not None and penalty.constraint:
            start[: model.features] = penalty.prox(start[: model.features], 1.0)
        self._scale = abs(self._evaluate(start)[0])
        self.met = False

    def _evaluate(self, x: NDArray[Any]) -> tuple[float, Array]:
        at = x.astype(np.float64)
        value, gradient = self._smooth.value_and_gradient(at)
        return value + self._smooth.kinks(at), gradient

    def __call__(self, *epoch: Any) -> bool:
        """Take an epoch as the core tells it."""
        if self._watcher is not None and self._watcher(*epoch):
            return True
        self._seen += 1
        refined = self._dual.is_worth_refining(self._seen)
        if self._seen < self._next and not refined:
            return False
        self._next = self._seen + 1 + self._seen // 8
        x = epoch[6]
        with np.errstate(all="ignore"):  # on the way to a good step much may overflow
            fun, jac = self._evaluate(x)
            at = x, fun, jac
            gap = self._dual.refined_gap(*at, self._seen) if refined else self._dual.gap(*at)
        self.met = math.isfinite(fun) and gap <= self._tolerance * max(abs(fun), 1e-6 * self._scale)
        return self.met
