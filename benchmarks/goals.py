"""The project's goals, judged on what was measured in one run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from epochs import Group, Measured

SMALLEST_BATCH = 32
FLAT = 0.15


@dataclass(frozen=True)
class Goal:
    """What was to be reached, and what was; `least` is the line that must not be crossed where the goal is softer.

    `limit` is what the bare loop over batches reached in the same run, where one was measured.
    """

    case: str
    measured: float
    goal: float
    least: float | None = None
    unit: str = "share"
    at_most: bool = False
    limit: float | None = None

    def reaches(self, number: float, line: float) -> bool:
        """Tell on which side of a line a number is."""
        return number <= line if self.at_most else number >= line

    @property
    def verdict(self) -> str:
        """Say "met"; "least" above the least; "beyond" where the bare loop misses it, too; or "missed".

        A bare loop that was not the faster bounds nothing.
        """
        if self.reaches(self.measured, self.goal):
            return "met"
        above = self.least is not None and self.reaches(self.measured, self.least)
        line = self.least if self.least is not None and not above else self.goal
        if self.limit is not None and self.reaches(self.limit, self.measured) and not self.reaches(self.limit, line):
            return "beyond"
        return "least" if above else "missed"

    def show(self, number: float) -> str:
        """Write a number in the unit of this goal."""
        return {"share": f"{number:.0%}", "factor": f"{number:.3g} ×", "microseconds": f"{number:.1f} µs"}[self.unit]

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return asdict(self) | {"verdict": self.verdict}


def fastest(candidates: list[Measured]) -> Measured:
    """Return the one with the least time a row, shuffle included."""
    return min(candidates, key=lambda one: one.counted_ns)


def batches(group: Group, least: int = SMALLEST_BATCH) -> list[int]:
    """Return the batch sizes that goals are about."""
    return sorted({one.batch for one in group.of("steepest") if one.batch is not None and one.batch >= least})


def steepest_by_batch(group: Group, order: str) -> dict[int, Measured]:
    """Return steepest with whichever number of threads is faster, by batch size."""
    return {batch: fastest(group.of("steepest", batch, order)) for batch in batches(group)}


def _named(group: Group, batch: int, name: str) -> Measured | None:
    found = [one for one in group.of("peer", batch) if one.name == name]
    return fastest(found) if found else None


def least_over_peers(group: Group, own: Mapping[int, Measured]) -> tuple[float, str] | None:
    """Return the least factor over the best peer at the same batch size, and which peer that is."""
    found = []
    for batch, one in own.items():
        if rivals := [rival for rival in group.of("peer") if rival.batch == batch]:
            best = fastest(rivals)
            found.append((best.counted_ns / one.counted_ns, f"{best.name}, batch {batch} (worst batch)"))
    return min(found) if found else None


def limit_of(group: Group, order: str, batch: int, threads: int | None = None) -> float | None:
    """Return the nanoseconds a row of the bare loop over such batches, with so many threads or the best number."""
    by_threads = group.limits.get(order, {}).get(batch, {})
    return min(by_threads.values(), default=None) if threads is None else by_threads.get(threads)


def hardest(goals: Sequence[Goal]) -> Goal:
    """Return the worst goal of all batch sizes; one that is missed though it could be reached before one beyond."""
    order = ("missed", "least", "beyond", "met")
    return min(goals, key=lambda goal: (order.index(goal.verdict), goal.measured))


def stream_goals(group: Group) -> Iterator[Goal]:
    """Judge "stream" against the memory, the best peer and NumPy."""
    features = group.features
    own = steepest_by_batch(group, "stream")
    if not own:
        return
    slowest = max(own.values(), key=lambda one: one.counted_ns)
    where = f"stream, batch ≥ {SMALLEST_BATCH}, {features} features"
    narrow = features <= 28
    wanted = (0.60, 0.45) if narrow else (0.75, 0.55)
    # One core may get half of what all can read: both shares say something.
    alike = min(max(map(group.share_of_read, group.of("steepest", batch, "stream"))) for batch in own)
    yield Goal(f"{where}: of a sequential read by as many threads (worst batch)", alike, *wanted)
    of_batches = []
    for batch, one in own.items():
        limit = limit_of(group, "stream", batch)
        share = None if limit is None else group.row_bytes / limit / group.roof
        case = f"{where}: of the fastest sequential read (worst: batch {batch})"
        of_batches.append(Goal(case, one.gigabytes / group.roof, *wanted, limit=share))
    yield hardest(of_batches)
    if narrow and (rivals := group.of("peer")):
        best = fastest(rivals)
        factor = best.counted_ns / slowest.counted_ns
        yield Goal(f"{where}: over {best.name}, batch {best.batch}", factor, 5.0, unit="factor")
    if not narrow and (over := least_over_peers(group, own)):
        yield Goal(f"{where}: over {over[1]}", over[0], 2.5, unit="factor")
    reference = _named(group, SMALLEST_BATCH, "NumPy")
    if narrow and reference is not None and SMALLEST_BATCH in own:
        factor = reference.counted_ns / own[SMALLEST_BATCH].counted_ns
        yield Goal(f"stream, batch {SMALLEST_BATCH}, {features} features: over NumPy", factor, 40.0, unit="factor")


def full_goals(group: Group) -> Iterator[Goal]:
    """Judge "full" against a bare gather with as many threads, and against the best peer."""
    for threads, gather in group.gather.items():
        of_batches = []
        for one in group.of("steepest", order="full"):
            if one.threads == threads and one.batch is not None and one.batch >= SMALLEST_BATCH:
                limit = limit_of(group, "full", one.batch, threads)
                share = None if limit is None else gather.ns / limit
                count = f"{threads} thread" + "s" * (threads > 1)
                case = f"full, {group.features} features, {count}: of a bare gather, no shuffle counted"
                of_batches.append(Goal(f"{case} (worst: batch {one.batch})", gather.ns / one.ns, 0.8, limit=share))
        if of_batches:
            yield hardest(of_batches)
    if over := least_over_peers(group, steepest_by_batch(group, "full")):
        case = f"full, {group.features} features: over {over[1]}, its shuffle counted"
        yield Goal(case, over[0], 2.0, unit="factor")


def single_goals(group: Group) -> Iterator[Goal]:
    """Judge batches of one row."""
    own = group.of("steepest", 1, "stream")
    if not own:
        return
    for name, goal in (("numba", 3.0), ("scikit-learn SGD", 10.0)):
        rival = _named(group, 1, name)
        if rival is not None:
            factor = rival.counted_ns / fastest(own).counted_ns
            yield Goal(f"stream, batch 1, {group.features} features: over {name}", factor, goal, unit="factor")


def constant_goals(group: Group) -> Iterator[Goal]:
    """Judge the constant model."""
    rivals = [one for one in group.of("peer") if one.batch == fastest(group.of("steepest")).batch]
    stream, full = (fastest(group.of("steepest", order=order)) for order in ("stream", "full"))
    case = f"constant model, {group.rows:,} values, batch {stream.batch}"
    yield Goal(f"{case}, stream: of a sequential read", stream.gigabytes / group.roof, 0.3)
    if rivals:
        best = fastest(rivals)
        yield Goal(f"{case}, full: over {best.name}", best.counted_ns / full.counted_ns, 1.0, unit="factor")


def bend(sizes: Iterable[float], times: Iterable[float]) -> float:
    """Return the largest relative distance of times from the best straight line over sizes."""
    x, t = np.array(list(sizes), float), np.array(list(times), float)
    design = np.stack([1 / t, x / t], axis=1)
    line, *_ = np.linalg.lstsq(design, np.ones(len(t)), rcond=None)
    return float(np.abs(design @ line - 1).max())


def growth_goals(growth: Mapping[str, Any], bare: Mapping[int, Mapping[int, float]]) -> Iterator[Goal]:
    """Judge how the cost grows; to be flat, each batch would have to come about as fast as the fastest does."""
    for threads, by_batch in growth["ns_per_row_by_batch"].items():
        count = f"{threads} thread" + "s" * (threads > 1)
        case = f"time a row over batch sizes from 32 to 4096, {count}: slowest over fastest"
        fastest_one = min(by_batch.values())
        bare_ones = [
            min(ns for number, ns in bare[batch].items() if number <= threads) for batch in by_batch if batch in bare
        ]
        limit = max(bare_ones) / fastest_one if bare_ones else None
        flatness = max(by_batch.values()) / fastest_one
        yield Goal(case, flatness, 1 + FLAT, unit="factor", at_most=True, limit=limit)
    for key, what in (("seconds_by_rows", "rows"), ("ns_per_row_by_features", "features")):
        distance = bend(growth[key].keys(), growth[key].values())
        yield Goal(f"linear in {what}: farthest from a straight line", distance, FLAT, at_most=True)


def judge(results: Mapping[str, Any]) -> list[Goal]:
    """Return every goal that this run says something about."""
    goals: list[Goal] = []
    for group in results["groups"]:
        if group.features >= 28:
            goals += [*stream_goals(group), *full_goals(group)]
        if group.features == 28:
            goals += single_goals(group)
    if (constant := results.get("constant")) is not None:
        goals += constant_goals(constant)
    for gradient in results.get("full_gradient", []):
        if gradient["features"] >= 28:
            case = f"full gradient, {gradient['features']} features: of a sequential read"
            goals.append(Goal(case, gradient["best_share"], 0.85))
    if growth := results.get("growth"):
        narrow = next((group.limits for group in results["groups"] if group.features == 28), {})
        goals += growth_goals(growth, narrow.get("stream", {}))
    if textbook := results.get("textbook"):
        goals.append(
            Goal("the textbook's call, 18 updates", textbook["steepest"], 20.0, unit="microseconds", at_most=True)
        )
    return goals
