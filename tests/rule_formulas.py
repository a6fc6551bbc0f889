"""Every update rule in NumPy, from its paper or from PyTorch's documentation: what the core is compared with.

A rule is a generator of the parameters it reports, one per update. It asks its run for gradients and proximal steps.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass
class Run:
    """Batches of a loss with an elastic penalty on all but the intercept, which is the last of the parameters."""

    loss: Any
    X: Array
    y: Array
    batches: list[NDArray[np.int64]]
    lr_at: Callable[[int], float]
    l1: float = 0.0
    l2: float = 0.0
    clip_norm: float = np.inf
    clip_value: float = np.inf
    weight_decay: float = 0.0
    decoupled: bool = False
    lr: float = np.nan
    f: float = np.nan
    done: int = 0

    def __post_init__(self) -> None:
        self.rows = np.hstack([self.X, np.ones((len(self.X), 1))])
        self.penalised = np.append(np.ones(self.X.shape[1]), 0.0)

    def gradient(self, x: Array) -> Array:
        batch, self.lr = self.batches[self.done], self.lr_at(self.done)
        self.done += 1
        rows, y, w = self.rows[batch], self.y[batch], x * self.penalised
        z = rows @ x
        self.f = np.mean(self.loss.pointwise(y, z)) + self.l1 * np.abs(w).sum() + self.l2 / 2 * (w @ w)
        g = rows.T @ self.loss.gradient(y, z) / len(batch) + self.l2 * w
        g = np.minimum(np.maximum(g, -self.clip_value), self.clip_value)
        g = g * min(1.0, self.clip_norm / (np.sqrt((g * g).sum()) + 1e-6))
        return g if self.decoupled else g + self.weight_decay * w

    def prox(self, x: Array, step: Any) -> Array:
        return np.sign(x) * np.maximum(np.abs(x) - step * self.l1 * self.penalised, 0)

    def decay(self, x: Array) -> Array:
        """What decoupled decay takes from x."""
        return self.lr * self.weight_decay * self.penalised * x if self.decoupled else 0 * x


def sgd(x: Array, run: Run) -> Iterator[Array]:
    while True:
        g = run.gradient(x)
        x = run.prox(x - run.decay(x) - run.lr * g, run.lr)
        yield x


def momentum(x: Array, run: Run, momentum: float, dampening: float) -> Iterator[Array]:
    buffer, weight = np.zeros_like(x), 0.0
    for t in itertools.count():
        g = run.gradient(x)
        share = 1 - dampening if t else 1.0
        buffer, weight = momentum * buffer + share * g, momentum * weight + share
        x = run.prox(x - run.decay(x) - run.lr * buffer, run.lr * weight)
        yield x


def nesterov(x: Array, run: Run, momentum: float) -> Iterator[Array]:
    buffer, weight = np.zeros_like(x), 0.0
    while True:
        g = run.gradient(x)
        buffer, weight = momentum * buffer + g, momentum * weight + 1
        x = run.prox(x - run.decay(x) - run.lr * (g + momentum * buffer), run.lr * (1 + momentum * weight))
        yield x


def adagrad(x: Array, run: Run, eps: float, initial_accumulator_value: float) -> Iterator[Array]:
    total = np.full_like(x, initial_accumulator_value)
    while True:
        g = run.gradient(x)
        total = total + g**2
        own = run.lr / (np.sqrt(total) + eps)
        x = run.prox(x - run.decay(x) - own * g, own)
        yield x


def rmsprop(x: Array, run: Run, alpha: float, eps: float, momentum: float) -> Iterator[Array]:
    square, buffer, weight = np.zeros_like(x), np.zeros_like(x), 0.0
    while True:
        g = run.gradient(x)
        square = alpha * square + (1 - alpha) * g**2
        size = np.sqrt(square) + eps
        buffer, weight = momentum * buffer + g / size, momentum * weight + 1
        x = run.prox(x - run.decay(x) - run.lr * buffer, run.lr * weight / size)
        yield x


def adam(x: Array, run: Run, beta1: float, beta2: float, eps: float) -> Iterator[Array]:
    m, v = np.zeros_like(x), np.zeros_like(x)
    for t in itertools.count(1):
        g = run.gradient(x)
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        own = run.lr / (np.sqrt(v / (1 - beta2**t)) + eps)
        x = run.prox(x - run.decay(x) - own * m / (1 - beta1**t), own)
        yield x


def ftrl(x: Array, run: Run, beta: float, l1: float, l2: float) -> Iterator[Array]:
    """The sums written out: all gradients, and all points by the strength that pulls towards them."""
    start, gradients, squares = x, np.zeros_like(x), np.zeros_like(x)
    pulls: list[tuple[Array, Array]] = []
    for t in itertools.count(1):
        g = run.gradient(x)
        if t == 1:
            strength = np.full_like(x, beta / run.lr)
            pulls.append((strength, start))
            constant = l2 * start + l1 * np.sign(start)
        gradients, squares = gradients + g, squares + g**2
        now = (beta + np.sqrt(squares)) / run.lr
        pulls.append((now - strength, x))
        strength = now
        linear = gradients - constant - sum(pull * at for pull, at in pulls)
        x = -np.sign(linear) * np.maximum(np.abs(linear) - l1, 0) / (strength + l2)
        x = run.prox(x, t / (strength + l2))
        yield x


def normalized_adaptive_invariant(x: Array, run: Run) -> Iterator[Array]:
    scale = np.abs(run.rows).max(axis=0)
    row_size = ((run.rows / scale) ** 2).sum(axis=1).mean()
    squares = np.zeros_like(x)
    while True:
        g = run.gradient(x)
        squares = squares + g**2
        own = run.lr / (scale * np.sqrt(squares * row_size))
        tau = (own * g**2).sum() / (2 * run.f)
        own = own * (1 - np.exp(-tau)) / tau
        x = run.prox(x - run.decay(x) - own * g, own)
        yield x


def averaged_sgd(x: Array, run: Run, t0: float) -> Iterator[Array]:
    tail: list[Array] = []
    for t, iterate in enumerate(sgd(x, run), start=1):
        tail += [iterate] * (t > t0)
        yield np.mean(tail or [iterate], axis=0)


def schedule_free_sgd(x: Array, run: Run, momentum: float) -> Iterator[Array]:
    yield from _schedule_free(x, run, momentum, lambda g: np.ones_like(g))


def schedule_free_adamw(x: Array, run: Run, beta1: float, beta2: float, eps: float) -> Iterator[Array]:
    squares: list[Array] = []

    def own(g: Array) -> Array:
        squares.append(g**2)
        shares = beta2 ** np.arange(len(squares))[::-1]
        return 1 / (np.sqrt(np.average(squares, axis=0, weights=shares)) + eps)

    yield from _schedule_free(x, run, beta1, own)


def _schedule_free(x: Array, run: Run, beta: float, own: Callable[[Array], Array]) -> Iterator[Array]:
    z, iterates, weights = x, [], []
    while True:
        y = (1 - beta) * z + beta * x
        g = run.gradient(y)
        steps = run.lr * own(g)
        z = run.prox(z - steps * g - run.decay(y), steps)
        iterates.append(z)
        weights.append(max([run.lr**2, *weights[-1:]]))
        x = np.average(iterates, axis=0, weights=weights)
        yield x


def dog(x: Array, run: Run, reps_rel: float, eps: float) -> Iterator[Array]:
    start = x
    farthest, squares = reps_rel * (1 + np.sqrt(x @ x)), 0.0
    while True:
        g = run.gradient(x)
        farthest, squares = max(farthest, float(np.sqrt((x - start) @ (x - start)))), squares + g @ g
        step = run.lr * farthest / np.sqrt(squares + eps)
        x = run.prox(x - step * g, step)
        yield x


FORMULAS: dict[str, Callable[..., Iterator[Array]]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adam,
    "ftrl": ftrl,
    "normalized_adaptive_invariant": normalized_adaptive_invariant,
    "averaged_sgd": averaged_sgd,
    "schedule_free_sgd": schedule_free_sgd,
    "schedule_free_adamw": schedule_free_adamw,
    "dog": dog,
}
