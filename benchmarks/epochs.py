"""One epoch of everybody: steepest in each order, its peers, and what the bare memory gives, in turn and in one run."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import bare
import numpy as np
from machine import aligned, interleave, thread_counts
from numpy.typing import NDArray
from rivals import DELTA, Peer, make_peers

import steepest as st

Array = NDArray[Any]
Kind = Literal["steepest", "peer", "bare"]
# (value of `shuffle`, what it is called)
ORDERS: tuple[tuple[bool | str, str], ...] = (("stream", "stream"), ("full", "full"), (False, "in sequence"))
# What is slow is timed on rows that take this share of a case's time, taken from all over the data.
PEER_SHARE = 0.1
PILOT_ROWS = 4096
# A permutation of more rows than this takes seconds: once is enough.
MANY_ROWS = 30_000_000


@dataclass
class Measured:
    """One contender at one batch size."""

    name: str
    kind: Kind
    features: int
    batch: int | None
    threads: int
    row_bytes: int
    order: str = ""
    rows: int = 0
    seconds: list[float] = field(default_factory=list)
    objective: float | None = None
    shuffle_ns: float | None = None
    whole_call: list[float] = field(default_factory=list)

    @property
    def ns(self) -> float:
        """Nanoseconds a row, without the shuffle where `shuffle_ns` tells what that takes."""
        return statistics.median(self.seconds) / self.rows * 1e9

    @property
    def counted_ns(self) -> float:
        """Nanoseconds a row, shuffle included."""
        return self.ns + (self.shuffle_ns or 0.0)

    @property
    def rate(self) -> float:
        """Rows per second, shuffle included."""
        return 1e9 / self.counted_ns

    @property
    def gigabytes(self) -> float:
        """Gigabytes of rows and targets per second, shuffle included."""
        return self.row_bytes / self.counted_ns

    @property
    def label(self) -> str:
        """Name, order and threads."""
        threads = f"{self.threads} thread" + "s" * (self.threads > 1)
        return f"{self.name} {self.order}, {threads}" if self.kind == "steepest" else f"{self.name}, {threads}"

    def as_dict(self) -> dict[str, Any]:
        """Return everything, also what follows from the rest, for JSON."""
        derived = ("ns", "counted_ns", "rate", "gigabytes", "label")
        return asdict(self) | {name: getattr(self, name) for name in derived}


@dataclass
class Group:
    """All contenders on the same rows."""

    features: int
    rows: int
    row_bytes: int
    read: dict[int, Measured]
    gather: dict[int, Measured]
    contenders: list[Measured]
    # Nanoseconds a row of the bare loop, by order, batch size and threads.
    limits: dict[str, dict[int, dict[int, float]]] = field(default_factory=dict)

    def of(self, kind: Kind, batch: int | None = None, order: str | None = None) -> list[Measured]:
        """Return the contenders of a kind, at a batch size, in an order."""
        return [
            one
            for one in self.contenders
            if one.kind == kind and (batch is None or one.batch == batch) and (order is None or one.order == order)
        ]

    def share_of_read(self, one: Measured) -> float:
        """Return the speed as a share of a sequential read by as many threads."""
        return one.gigabytes / self.read[one.threads].gigabytes

    @property
    def roof(self) -> float:
        """The fastest sequential read, in GB/s."""
        return max(read.gigabytes for read in self.read.values())


def make_rows(features: int, gigabytes: float, seed: int) -> tuple[Array, Array]:
    """Generate float32 rows and labels that take this much memory together."""
    rows = max(PILOT_ROWS, int(gigabytes * 1e9 / (4 * (features + 1))))
    X, y = st.data.logistic(rows, features, seed=seed)
    return aligned(X), aligned(y)


def step_for(features: int) -> float:
    """Return a step size that no batch size explodes with."""
    return 0.5 / features


def minimize_quietly(*arguments: Any, **options: Any) -> st.Result:
    """Call minimize; one epoch may well be called divergence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", st.ConvergenceWarning)
        return st.minimize(*arguments, **options)


def random_order(rows: int, seed: int = 0) -> NDArray[np.uint32]:
    """Return the numbers of all rows, shuffled."""
    return np.random.default_rng(seed).permutation(rows).astype(np.uint32)


class Contest:
    """Rows, peers and cases; `run` times all cases in turn.

    Parameters
    ----------
    X, y : ndarray
        Rows and labels, or None and the values of the constant model, whose loss is Huber's.
    budget : float
        Seconds after which a case is not repeated.
    seed : int
        Of the order handed to the peers; steepest draws its own.
    """

    def __init__(self, X: Array | None, y: Array, budget: float, *, seed: int = 0) -> None:
        self.budget = budget
        self.X, self.y, self.seed = X, y, seed
        self.data: Any = y if X is None else (X, y)
        self.loss: Any = st.losses.get("huber", delta=DELTA) if X is None else st.losses.get("log_loss")
        self.features = 0 if X is None else X.shape[1]
        self.row_bytes = 4 * (self.features + 1)
        self.step = 0.1 if X is None else step_for(self.features)
        self.objective = st.Objective(self.loss, self.data, check_finite=False)
        self.order = random_order(len(y), seed)
        self.distance = bare.best_distance(X, y, self.order)
        self.cases: list[tuple[Measured, Callable[[], float]]] = []
        self._place = 0

    def _new(self, name: str, kind: Kind, batch: int | None, threads: int, **known: Any) -> Measured:
        return Measured(name, kind, self.features, batch, threads, self.row_bytes, **known)

    def _next_rows(self, count: int) -> NDArray[np.uint32]:
        """Return the next rows of the order: other ones each time, for a cache may hold half of the data."""
        if self._place + count > len(self.order):
            self._place = 0
        part = self.order[self._place : self._place + count]
        self._place += count
        return part

    def add_read(self, threads: int) -> Measured:
        """Add a sequential read of everything."""
        one = self._new("sequential read", "bare", None, threads, rows=len(self.y))
        arrays = [self.y] if self.X is None else [self.X, self.y]
        self.cases.append((one, lambda: bare.read(arrays, threads)))
        return one

    def add_gather(self, threads: int) -> Measured:
        """Add a bare gather of the rows and their targets in random order."""
        one = self._new("gather", "bare", None, threads, rows=len(self.y))
        self.cases.append((one, lambda: bare.gather(self.X, self.y, self.order, threads, self.distance)))
        return one

    def add_steepest(self, batch: int, shuffle: bool | str, order: str, threads: int) -> Measured:
        """Add an epoch of steepest, its order of rows included; a full shuffle is timed apart."""
        one = self._new("steepest", "steepest", batch, threads, order=order, rows=len(self.y))
        apart = shuffle == "full"
        shuffle_seconds: list[float] = []

        def run() -> float:
            reached: list[Array] = []
            began = time.perf_counter()
            result = minimize_quietly(
                self.loss,
                self.data,
                method="sgd",
                step_size=self.step,
                batch_size=batch,
                epochs=2 if apart else 1,  # the second in the order of the first
                shuffle="once" if apart else shuffle,
                seed=self.seed + len(one.whole_call),
                n_threads=threads,
                callback=lambda epoch: reached.append(epoch.x.copy()),
                check_finite=False,
            )
            one.whole_call.append(time.perf_counter() - began)
            one.objective = self.objective.value(reached[0])
            first, last = result.history.seconds[0], result.history.seconds[-1]
            if not apart:
                return float(last)
            shuffle_seconds.append(max(0.0, 2 * first - last))
            one.shuffle_ns = statistics.median(shuffle_seconds) / one.rows * 1e9
            return float(last - first)

        self.cases.append((one, run))
        return one

    def add_peer(self, peer: Peer, batch: int, shuffle_ns: float | None) -> Measured:
        """Add a peer, on as many rows as the time allows."""
        known = None if peer.whole else shuffle_ns
        one = self._new(peer.name, "peer", batch, peer.threads, shuffle_ns=known)
        start = np.zeros(max(1, self.features), np.float32)

        def run() -> float:
            if not one.rows:
                one.rows = len(self.y) if peer.whole else self._affordable(peer, start, batch)
            rows = self.order if peer.whole else self._next_rows(one.rows)
            seconds, x = peer.time(start, rows, batch, self.step)
            one.objective = self.objective.value(x)
            return seconds

        self.cases.append((one, run))
        return one

    def _affordable(self, peer: Peer, start: Array, batch: int) -> int:
        """Return how many rows, in whole batches, fit into the time a peer is given."""
        n = len(self.y)
        pilot = min(n, max(2 * batch, min(PILOT_ROWS, 64 * batch))) // batch * batch
        # The first call pays for imports and for waking threads.
        seconds = min(peer.time(start, self._next_rows(pilot), batch, self.step)[0] for _ in range(3))
        return min(n, max(pilot, int(PEER_SHARE * self.budget * pilot / seconds))) // batch * batch

    def run(self, repeats: int, tell: Callable[[str], None] = lambda text: None) -> list[Measured]:
        """Time all cases in turn and forget them."""
        found = interleave(
            dict(enumerate(run for _, run in self.cases)),
            repeats,
            self.budget,
            lambda i: tell(f"{self.cases[i][0].label}, batch {self.cases[i][0].batch}"),
        )
        measured = [one for one, _ in self.cases]
        for i, one in enumerate(measured):
            one.seconds = found[i]
        self.cases = []
        return measured


def shuffles(peers: Sequence[Peer], repeats: int, seed: int) -> dict[str, float]:
    """Return the nanoseconds a row that each peer's permutation takes."""
    times: dict[str, list[float]] = {peer.name: [] for peer in peers if not peer.whole}
    rows = peers[0].rows
    for repeat in range(1 if rows > MANY_ROWS else repeats):
        for peer in peers:
            if not peer.whole:
                times[peer.name].append(peer.shuffle(seed + repeat) / rows * 1e9)
    return {name: statistics.median(values) for name, values in times.items()}


def compare(
    X: Array | None,
    y: Array,
    batches: Sequence[int],
    repeats: int,
    budget: float,
    tell: Callable[[str], None] = lambda text: None,
) -> Group:
    """Time everybody on the same rows."""
    contest = Contest(X, y, budget)
    counts = thread_counts()
    peers, _ = make_peers(X, y, counts)
    tell("the peers' shuffles")
    shuffle_ns = shuffles(peers, repeats, seed=1)
    read = {threads: contest.add_read(threads) for threads in counts}
    gather = {threads: contest.add_gather(threads) for threads in counts}
    for batch in batches:
        for shuffle, order in ORDERS:
            for threads in counts:
                contest.add_steepest(batch, shuffle, order, threads)
        for peer in peers:
            if peer.takes(batch) and batch <= len(y):
                contest.add_peer(peer, batch, shuffle_ns.get(peer.name))
    measured = contest.run(repeats, tell)
    contenders = [one for one in measured if one.kind != "bare"]
    return Group(contest.features, len(y), contest.row_bytes, read, gather, contenders)
