"""Other ways to descend, each as fast as its users know how to write it: plain batches of given rows, constant step.

A peer is handed the order of rows as it likes it best; making that order is timed apart. Data are read where they lie.
"""

from __future__ import annotations

import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from steepest import reference

Array = NDArray[Any]
DELTA = 1.0


class Missing(Exception):
    """The peer is not installed."""


class Peer(ABC):
    """Holds the data in the peer's own form.

    `epoch` descends on the given rows from `x` in batches and returns the parameters; without X, the data are the y of
    the constant model and the loss is Huber's, else it is log loss.
    """

    name: ClassVar[str]
    module: ClassVar[str]
    # Beyond these the peer would say nothing new.
    batch_sizes: ClassVar[tuple[int, int]] = (1, 1 << 62)
    constant: ClassVar[bool] = True
    # Whether it walks the whole data in an order of its own.
    whole: ClassVar[bool] = False
    # "one", "all", or "each" number that is measured.
    uses_threads: ClassVar[str] = "one"

    def __init__(self, X: Array | None, y: Array, threads: int) -> None:
        try:
            self.lib = import_module(self.module)
        except ImportError as error:
            raise Missing(f"{self.module} is not installed ({error})") from None
        self.rows = len(y)
        self.threads = threads
        self.prepare(X, y)

    def prepare(self, X: Array | None, y: Array) -> None:
        """Take the data over."""
        self.X, self.y = X, y

    def takes(self, batch: int) -> bool:
        """Say whether this batch size is measured."""
        return self.batch_sizes[0] <= batch <= self.batch_sizes[1]

    def shuffle(self, seed: int) -> float:
        """Return the seconds that a permutation of all rows takes, in the way usual with this peer."""
        generator = np.random.default_rng(seed)
        began = time.perf_counter()
        generator.permutation(self.rows)
        return time.perf_counter() - began

    @abstractmethod
    def epoch(self, x: Array, order: NDArray[np.uint32], batch: int, step: float) -> Array:
        """Descend on whole batches of these rows."""

    def time(self, x: Array, order: NDArray[np.uint32], batch: int, step: float) -> tuple[float, Array]:
        """Return seconds and parameters; what only has to be done once is not timed."""
        began = time.perf_counter()
        x = self.epoch(x, order, batch, step)
        return time.perf_counter() - began, x


def log_loss_slope(y: Array, z: Array) -> Array:
    """Return the slope of log loss as one would write it in NumPy."""
    slope: Array = -y / (1 + np.exp(y * z))
    return slope


def huber_slope(y: Array, z: Array) -> Array:
    """Return the slope of Huber's loss as one would write it in NumPy."""
    slope: Array = np.clip(z - y, -DELTA, DELTA)
    return slope


class NumPyLoop(Peer):
    """The reference of the package."""

    name = "NumPy"
    module = "numpy"
    uses_threads = "all"

    def epoch(self, x: Array, order: NDArray[np.uint32], batch: int, step: float) -> Array:
        slope = huber_slope if self.X is None else log_loss_slope
        # What is large would overflow in exp for good reason.
        with np.errstate(over="ignore"):
            return reference.descend(slope, self.X, self.y, x, [order], batch, step)


class ScikitLearn(Peer):
    """SGDClassifier: one row per update, an order of its own."""

    name = "scikit-learn SGD"
    module = "sklearn.linear_model"
    batch_sizes = (1, 1)
    constant = False
    whole = True

    # False only to compare results: in the order of the rows.
    shuffled = True

    def epoch(self, x: Array, order: NDArray[np.uint32], batch: int, step: float) -> Array:
        model = self.lib.SGDClassifier(
            loss="log_loss",
            penalty=None,
            learning_rate="constant",
            eta0=step,
            max_iter=1,
            tol=None,
            fit_intercept=False,
            shuffle=self.shuffled,
            random_state=int(order[0]),
        )
        assert self.X is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(self.X[: len(order)], self.y[: len(order)], coef_init=x[np.newaxis])
        coef: Array = model.coef_[0]
        return coef


class Numba(Peer):
    """A compiled loop that touches each row once: product, slope and gradient while it is in the first cache."""

    name = "numba"
    module = "numba"

    def prepare(self, X: Array | None, y: Array) -> None:
        super().prepare(X, y)
        loops = _numba_loops()
        self.loop, self.permute = loops["huber" if X is None else "log_loss"], loops["permute"]
        self.permute(np.random.default_rng(0), np.arange(8, dtype=np.uint32))
        self.epoch(
            np.zeros(1 if X is None else X.shape[1], y.dtype), np.arange(min(4, len(y)), dtype=np.uint32), 2, 0.1
        )
        if X is not None:
            self.epoch(np.zeros(X.shape[1], y.dtype), np.arange(min(4, len(y)), dtype=np.uint32), 1, 0.1)

    def shuffle(self, seed: int) -> float:
        generator = np.random.default_rng(seed)
        began = time.perf_counter()
        self.permute(generator, np.arange(self.rows, dtype=np.uint32))
        return time.perf_counter() - began

    def epoch(self, x: Array, order: NDArray[np.uint32], batch: int, step: float) -> Array:
        x = x.copy()
        if self.X is None:
            x[0] = self.loop(self.y, x[0], order, batch, x.dtype.type(step))
        else:
            self.loop(self.X, self.y, x, order, batch, x.dtype.type(step))
        return x


def _numba_loops() -> dict[str, Callable[..., Any]]:
    numba = import_module("numba")
    jit = numba.njit(fastmath=True, nogil=True)
    exp = np.exp

    def log_loss(X: Any, y: Any, x: Any, order: Any, batch: Any, step: Any) -> None:
        one = x.dtype.type(1)
        features = x.size
        gradient = np.zeros_like(x)
        for start in range(0, order.size, batch):
            stop = min(start + batch, order.size)
            if stop == start + 1:
                i = order[start]
                z = x.dtype.type(0)
                for j in range(features):
                    z += X[i, j] * x[j]
                pull = step * y[i] / (one + exp(y[i] * z))
                for j in range(features):
                    x[j] += pull * X[i, j]
                continue
            gradient[:] = 0
            for k in range(start, stop):
                i = order[k]
                z = x.dtype.type(0)
                for j in range(features):
                    z += X[i, j] * x[j]
                pull = y[i] / (one + exp(y[i] * z))
                for j in range(features):
                    gradient[j] += pull * X[i, j]
            scale = step / x.dtype.type(stop - start)
            for j in range(features):
                x[j] += scale * gradient[j]

    def huber(y: Any, x: Any, order: Any, batch: Any, step: Any) -> Any:
        delta = type(step)(DELTA)
        for start in range(0, order.size, batch):
            stop = min(start + batch, order.size)
            gradient = type(step)(0)
            for k in range(start, stop):
                gradient += min(max(x - y[order[k]], -delta), delta)
            x -= step / type(step)(stop - start) * gradient
        return x

    def permute(generator: Any, order: Any) -> None:
        for i in range(order.size - 1, 0, -1):
            j = np.int64(generator.random() * (i + 1))
            order[i], order[j] = order[j], order[i]

    return {loop.__name__: jit(loop) for loop in (log_loss, huber, permute)}


class TorchLoop(Peer):
    """PyTorch, the gradient written by hand."""

    name = "PyTorch by hand"
    module = "torch"
    uses_threads = "each"

    def prepare(self, X: Array | None, y: Array) -> None:
        self.X = None if X is None else self.lib.from_numpy(X)
        self.y = self.lib.from_numpy(y)

    @contextmanager
    def _threads(self) -> Iterator[None]:
        before = self.lib.get_num_threads()
        self.lib.set_num_threads(self.threads)
        try:
            yield
        finally:
            self.lib.set_num_threads(before)

    def shuffle(self, seed: int) -> float:
        generator = self.lib.Generator().manual_seed(seed)
        began = time.perf_counter()
        self.lib.randperm(self.rows, generator=generator)
        return time.perf_counter() - began

    def time(self, x: Array, order: NDArray[np.uint32], batch: int, step: float) -> tuple[float, Array]:
        rows = self.lib.from_numpy(order.astype(np.int64))
        start = self.lib.from_numpy(x.copy())
        with self._threads():
            began = time.perf_counter()
            self._descend(start, rows, batch, step)
            seconds = time.perf_counter() - began
        found: Array = start.detach().numpy()
        return seconds, found

    def epoch(self, x: Array, order: NDArray[np.uint32], batch: int, step: float) -> Array:
        return self.time(x, order, batch, step)[1]

    def _descend(self, x: Any, order: Any, batch: int, step: float) -> None:
        torch = self.lib
        with torch.no_grad():
            for rows in order.split(batch):
                y = self.y[rows]
                if self.X is None:
                    x -= step * torch.clamp(x - y, -DELTA, DELTA).mean()
                else:
                    X = self.X[rows]
                    slope = y * torch.sigmoid(-y * (X @ x))
                    x += (step / len(rows)) * (slope @ X)


class TorchAutograd(TorchLoop):
    """PyTorch as its tutorials write it: loss, backward(), step()."""

    name = "PyTorch autograd"

    def _descend(self, x: Any, order: Any, batch: int, step: float) -> None:
        torch = self.lib
        x.requires_grad_(True)
        optimizer = torch.optim.SGD([x], lr=step)
        for rows in order.split(batch):
            y = self.y[rows]
            if self.X is None:
                loss = torch.nn.functional.huber_loss(x.expand(len(rows)), y, delta=DELTA)
            else:
                loss = torch.nn.functional.softplus(-y * (self.X[rows] @ x)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


class Jax(Peer):
    """A whole epoch in one compiled scan; compiling is not timed, and the order is NumPy's, which is far cheaper."""

    name = "JAX scan"
    module = "jax"
    uses_threads = "all"

    def prepare(self, X: Array | None, y: Array) -> None:
        jax = self.lib
        self.X = None if X is None else jax.device_put(X)
        self.y = jax.device_put(y)
        jnp = jax.numpy

        def take(array: Any, rows: Any) -> Any:
            return array.at[rows].get(mode="promise_in_bounds")

        def log_loss(x: Any, X: Any, y: Any, order: Any, step: Any) -> Any:
            def update(x: Any, rows: Any) -> tuple[Any, None]:
                batch, labels = take(X, rows), take(y, rows)
                slope = labels * jax.nn.sigmoid(-labels * (batch @ x))
                return x + (step / rows.size) * (slope @ batch), None

            return jax.lax.scan(update, x, order)[0]

        def huber(x: Any, y: Any, order: Any, step: Any) -> Any:
            def update(x: Any, rows: Any) -> tuple[Any, None]:
                return x - step * jnp.clip(x - take(y, rows), -DELTA, DELTA).mean(), None

            return jax.lax.scan(update, x, order)[0]

        self.scan = jax.jit(huber if X is None else log_loss)
        self.compiled: dict[tuple[int, ...], Any] = {}

    def time(self, x: Array, order: NDArray[np.uint32], batch: int, step: float) -> tuple[float, Array]:
        jnp = self.lib.numpy
        whole = len(order) // batch * batch
        rows = jnp.asarray(order[:whole].astype(np.int32).reshape(-1, batch))
        data = (self.y,) if self.X is None else (self.X, self.y)
        arguments = (jnp.asarray(x), *data, rows, jnp.float32(step))
        if rows.shape not in self.compiled:
            self.compiled[rows.shape] = self.scan.lower(*arguments).compile()
        began = time.perf_counter()
        found = self.compiled[rows.shape](*arguments).block_until_ready()
        return time.perf_counter() - began, np.asarray(found)

    def epoch(self, x: Array, order: NDArray[np.uint32], batch: int, step: float) -> Array:
        return self.time(x, order, batch, step)[1]


PEERS: tuple[type[Peer], ...] = (NumPyLoop, ScikitLearn, Numba, TorchLoop, TorchAutograd, Jax)


def make_peers(X: Array | None, y: Array, threads: Sequence[int]) -> tuple[list[Peer], dict[str, str]]:
    """Return the peers that are installed, with each number of threads they take, and why others are not here."""
    found: list[Peer] = []
    missing: dict[str, str] = {}
    for kind in PEERS:
        if X is None and not kind.constant:
            continue
        counts = {"one": threads[:1], "each": threads, "all": threads[-1:]}[kind.uses_threads]
        try:
            found += [kind(X, y, count) for count in counts]
        except Missing as error:
            missing[kind.name] = str(error)
    return found, missing


def check(threads: Sequence[int]) -> dict[str, str]:
    """Have all peers make the same descent on few rows, and return those that are missing.

    Raises
    ------
    ArithmeticError
        Where one ends elsewhere than the reference: it would not do the same work.
    """
    generator = np.random.default_rng(7)
    X = generator.normal(size=(1024, 28)).astype(np.float32)
    y = np.where(generator.random(1024) < 0.5, np.float32(-1), np.float32(1))
    missing: dict[str, str] = {}
    for rows, targets in ((X, y), (None, X[:, 0].copy())):
        found, missing_here = make_peers(rows, targets, threads)
        missing |= missing_here
        start = np.zeros(1 if rows is None else rows.shape[1], np.float32)
        for batch in (1, 32):
            for peer in found:
                if not peer.takes(batch):
                    continue
                order = np.arange(1024, dtype=np.uint32)
                if isinstance(peer, ScikitLearn):
                    peer.shuffled = False
                else:
                    order = generator.permutation(order)
                expected = found[0].epoch(start, order, batch, 0.05)
                reached = peer.epoch(start, order, batch, 0.05)
                if not np.allclose(reached, expected, rtol=1e-3, atol=1e-4):
                    raise ArithmeticError(f"{peer.name} ends at {reached}, the reference at {expected}, batch {batch}")
    return missing
