"""The sources' functions in plain NumPy: documentation, oracle of the tests, baseline of the benchmarks.

The functions of the textbook keep its signatures, its start at 0 and its stop at the first step below 0.001, flaws
included; added is only what makes them safe to call: a limit on the updates, a seed, and a caller's array that is never
written. `descend` is the compiled loop as anybody would write it by hand.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, repeat
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepest._reference_modules import grad_linear as grad_linear
from steepest._reference_modules import grad_max as grad_max
from steepest._reference_modules import grad_relu as grad_relu

Array: TypeAlias = NDArray[Any]
LossFn: TypeAlias = Callable[[float, Array], float]


def mse(theta: float, dataset: Array) -> float:
    """Mean squared error of the constant model (A1).

    Parameters
    ----------
    theta, dataset : float, ndarray
        The constant, and the observations or one of them.

    Returns
    -------
    float
        ``mean((dataset - theta)**2)``.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.reference import mse
    >>> print(f"{mse(14.6, np.array([12, 13, 15, 16, 17])):.2f}")
    3.44
    """
    return float(np.mean((dataset - theta) ** 2))


def grad_mse(theta: float, dataset: Array) -> float:
    """Slope of `mse` in theta (A2).

    Parameters
    ----------
    theta, dataset : float, ndarray
        The constant, and the observations or one of them.

    Returns
    -------
    float
        ``-2 mean(dataset - theta)``.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.reference import grad_mse
    >>> print(f"{grad_mse(12, np.array([12.1, 12.8, 14.9, 16.3, 17.2])):.2f}")
    -5.32
    """
    return float(-2 * np.mean(dataset - theta))


def abs_loss(theta: float, dataset: Array) -> float:
    """Mean absolute error of the constant model (A1).

    Parameters
    ----------
    theta, dataset : float, ndarray
        The constant, and the observations or one of them.

    Returns
    -------
    float
        ``mean(abs(dataset - theta))``.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.reference import abs_loss
    >>> [abs_loss(theta, np.array([-1, 1])) for theta in (-1, 0, 1, 2)]
    [1.0, 1.0, 1.0, 2.0]
    """
    return float(np.mean(np.abs(dataset - theta)))


def grad_abs_loss(theta: float, dataset: Array) -> float:
    """Slope of `abs_loss` in theta; an observation equal to theta adds 0 (A2).

    Parameters
    ----------
    theta, dataset : float, ndarray
        The constant, and the observations or one of them.

    Returns
    -------
    float
        ``-mean(sign(dataset - theta))``.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.reference import grad_abs_loss
    >>> grad_abs_loss(15, np.array([12, 13, 15, 20]))
    0.25
    """
    return float(-np.mean(np.sign(dataset - theta)))


def huber_loss(theta: float, dataset: Array, delta: float = 1) -> float:
    """Mean Huber loss of the constant model: a parabola that goes on as straight lines (A1).

    Parameters
    ----------
    theta, dataset : float, ndarray
        The constant, and the observations or one of them.
    delta : float
        Distance from theta at which the parabola ends.

    Returns
    -------
    float
        Mean of ``(y - theta)**2 / 2`` within delta and ``delta * (abs(y - theta) - delta / 2)`` beyond.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.reference import huber_loss
    >>> huber_loss(0, np.array([0.5, 3]))
    1.3125
    """
    d = np.abs(dataset - theta)
    return float(np.mean(np.where(d <= delta, d**2 / 2, delta * (d - delta / 2))))


def grad_huber_loss(theta: float, dataset: Array, delta: float = 1) -> float:
    """Slope of `huber_loss` in theta (A2).

    Parameters
    ----------
    theta, dataset, delta
        As in `huber_loss`.

    Returns
    -------
    float
        ``-mean(clip(dataset - theta, -delta, delta))``.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.reference import grad_huber_loss
    >>> grad_huber_loss(0, np.array([0.5, 3]))
    -0.75
    """
    return float(-np.mean(np.clip(dataset - theta, -delta, delta)))


def quartic_loss(theta: float, dataset: Array) -> float:
    """Compute a loss with two valleys, the local one near -14.5 and the global one near 18.4 for the data [0] (A6).

    Parameters
    ----------
    theta, dataset : float, ndarray
        The constant, and the observations or one of them.

    Returns
    -------
    float
        Mean of ``(u + 12)(u + 23)(u - 14)(u - 15) / 5000 + 7`` over ``u = dataset - theta``.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.reference import quartic_loss
    >>> print([round(quartic_loss(theta, np.array([0])), 2) for theta in (-14.5, 0, 18.4)])
    [6.95, 18.59, 0.63]
    """
    u = dataset - theta
    return float(np.mean((u + 12) * (u + 23) * (u - 14) * (u - 15) / 5000 + 7))


def grad_quartic_loss(theta: float, dataset: Array) -> float:
    """Slope of `quartic_loss` in theta, with the mean that the textbook forgets (A6).

    Parameters
    ----------
    theta, dataset : float, ndarray
        The constant, and the observations or one of them.

    Returns
    -------
    float
        ``-mean(2 u**3 + 9 u**2 - 529 u - 327) / 2500`` over ``u = dataset - theta``.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.reference import grad_quartic_loss
    >>> print(f"{-21 - 2.5 * grad_quartic_loss(-21, np.array([0])):.3f}")
    -9.945
    """
    u = dataset - theta
    return float(-np.mean(2 * u**3 + 9 * u**2 - 529 * u - 327) / 2500)


def simple_minimize(loss_fn: LossFn, dataset: Array, thetas: Sequence[float] | Array) -> float:
    """Return the best of the given thetas (A3).

    Parameters
    ----------
    loss_fn : callable
        ``loss_fn(theta, dataset)``.
    dataset : ndarray
        Observations.
    thetas : sequence of float
        The grid.

    Returns
    -------
    float
        The theta with the smallest loss, the first of them where several share it.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.reference import mse, simple_minimize
    >>> print(f"{simple_minimize(mse, np.array([12, 13, 15, 16, 17]), np.arange(12, 18, 0.1)):.1f}")
    14.6
    """
    losses = [loss_fn(theta, dataset) for theta in thetas]
    return float(thetas[int(np.argmin(losses))])


def minimize(
    loss_fn: LossFn,
    grad_loss_fn: LossFn,
    dataset: Array,
    alpha: float = 0.2,
    progress: bool = True,
    max_iter: int = 100_000,
) -> float:
    """Batch gradient descent from theta = 0 until a step is smaller than 0.001 (A5).

    Parameters
    ----------
    loss_fn, grad_loss_fn : callable
        ``loss_fn(theta, dataset)``, only called for the progress, and its slope in theta.
    dataset : ndarray
        Observations; every update sees all of them.
    alpha : float
        Step size.
    progress : bool
        Print theta and loss before every update.
    max_iter : int
        Largest number of updates; the textbook's loop has no end for the absolute loss.

    Returns
    -------
    float
        Theta after the small step.

    Raises
    ------
    RuntimeError
        When theta is no longer finite, or no step was small enough within `max_iter` updates.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.reference import grad_mse, minimize, mse
    >>> minimize(mse, grad_mse, np.array([14.659, 14.661]), alpha=0.49)
    theta: 0.00 | loss: 214.92
    theta: 14.37 | loss: 0.09
    theta: 14.65 | loss: 0.00
    theta: 14.66 | loss: 0.00
    14.6599976544
    """

    def report(theta: float) -> None:
        print(f"theta: {theta:.2f} | loss: {loss_fn(theta, dataset):.2f}")

    return _follow(grad_loss_fn, repeat(dataset), alpha, max_iter, report if progress else None)


def minimize_sgd(
    loss_fn: LossFn,
    grad_loss_fn: LossFn,
    dataset: Array,
    alpha: float = 0.2,
    *,
    seed: int | None = None,
    max_iter: int = 100_000,
) -> float:
    """Stochastic gradient descent: every update sees one observation, every epoch all of them once (A9).

    Parameters
    ----------
    loss_fn, grad_loss_fn : callable
        The loss, as in the textbook never called, and its slope in theta, called with one observation.
    dataset : ndarray
        Observations; read only, every epoch walks through a freshly shuffled copy.
    alpha : float
        Step size.
    seed : int, optional
        The same seed gives the same orders.
    max_iter : int
        Largest number of updates.

    Returns
    -------
    float
        Theta after the first step smaller than 0.001. With one observation per step that can happen anywhere.

    Raises
    ------
    RuntimeError
        When theta is no longer finite, or no step was small enough within `max_iter` updates.
    ValueError
        When there are no observations.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.reference import grad_mse, minimize_sgd, mse
    >>> print(f"{minimize_sgd(mse, grad_mse, np.array([3.0, 3.0, 3.0]), seed=0):.2f}")
    3.00
    """
    return _follow(grad_loss_fn, (row for epoch in _shuffled(dataset, seed) for row in epoch), alpha, max_iter)


def minimize_mini_batch(
    loss_fn: LossFn,
    grad_loss_fn: LossFn,
    dataset: Array,
    minibatch_size: int,
    alpha: float = 0.2,
    *,
    seed: int | None = None,
    max_iter: int = 100_000,
) -> float:
    """Mini-batch gradient descent: every update sees the next slice of the shuffled observations (A9).

    Parameters
    ----------
    loss_fn, grad_loss_fn, dataset, alpha, seed, max_iter
        As in `minimize_sgd`; the slope is called with one batch.
    minibatch_size : int
        Observations per update, fewer than there are; the last batch of an epoch may be short.

    Returns
    -------
    float
        Theta after the first step smaller than 0.001.

    Raises
    ------
    RuntimeError
        When theta is no longer finite, or no step was small enough within `max_iter` updates.
    ValueError
        When `minibatch_size` is below 1 or not below the number of observations.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.reference import grad_mse, minimize_mini_batch, mse
    >>> print(f"{minimize_mini_batch(mse, grad_mse, np.array([3.0, 3.0, 3.0]), 2, seed=0):.2f}")
    3.00
    """
    if not 1 <= minibatch_size < len(dataset):
        raise ValueError(f"minibatch_size is {minibatch_size}; 1 to {len(dataset) - 1} are possible")
    batches = (
        epoch[start : start + minibatch_size]
        for epoch in _shuffled(dataset, seed)
        for start in range(0, len(epoch), minibatch_size)
    )
    return _follow(grad_loss_fn, batches, alpha, max_iter)


def _shuffled(dataset: Array, seed: int | None) -> Iterator[Array]:
    """Yield a shuffled copy of the data for every epoch, without end."""
    data = np.asarray(dataset)
    if len(data) == 0:
        raise ValueError("dataset is empty")
    rng = np.random.default_rng(seed)
    while True:
        yield data[rng.permutation(len(data))]


def _follow(
    grad_loss_fn: LossFn,
    batches: Iterable[Array],
    alpha: float,
    max_iter: int,
    report: Callable[[float], None] | None = None,
) -> float:
    """Take one step for each batch until a step is smaller than 0.001."""
    theta = 0.0
    # Divergence is reported once, below, not as a warning for every overflow on the way.
    with np.errstate(over="ignore", invalid="ignore"):
        for update, batch in enumerate(islice(batches, max_iter), 1):
            if report:
                report(theta)
            new_theta = theta - alpha * grad_loss_fn(theta, batch)
            if not math.isfinite(new_theta):
                raise RuntimeError(f"theta is {new_theta} after {update} updates: alpha={alpha} is too large")
            if abs(new_theta - theta) < 0.001:
                return new_theta
            theta = new_theta
    raise RuntimeError(f"no step was smaller than 0.001 within max_iter={max_iter} updates; theta is {theta}")


def descend(
    loss_gradient: Callable[[Array, Array], Array],
    X: ArrayLike | None,
    y: ArrayLike,
    x0: ArrayLike,
    order: Iterable[NDArray[np.integer[Any]]],
    batch_size: int,
    step_size: float | Callable[[float], float],
    *,
    penalty_gradient: Callable[[Array], Array] | None = None,
    prox: Callable[[Array, float], Array] | None = None,
    sample_weight: ArrayLike | None = None,
    fit_intercept: bool = False,
) -> Array:
    """Mini-batch descent over given rows in a given order: the compiled loop in plain NumPy (A8 to A10, C6).

    Parameters
    ----------
    loss_gradient : callable
        ``loss_gradient(y, z)``, the derivative of each row's loss by its raw prediction, in the shape of ``z``.
    X : array_like of shape (n_rows, n_features), or None
        None is the constant model ``z = theta``.
    y : array_like of shape (n_rows, ...)
        Targets.
    x0 : array_like
        Flat start: the coefficients of each score after one another, then the intercepts. A multiple of the
        parameters of one score means as many scores, and ``z`` of shape (n_batch, n_scores).
    order : iterable of integer arrays
        The rows of each epoch as they are visited, cut into consecutive batches; the last may be short.
    batch_size : int
        Rows per update, at least 1.
    step_size : float or callable
        A number, or a function of the time in epochs, a float.
    penalty_gradient : callable, optional
        Gradient of the smooth penalty by the coefficients of shape (n_scores, n_features). The intercepts are free.
    prox : callable, optional
        ``prox(coef, step)`` for what is not smooth, applied after each step.
    sample_weight : array_like of shape (n_rows,), optional
        A batch's gradient is ``sum(w[i] * g[i]) / (len(batch) * mean(w))``, with the mean over all rows.
    fit_intercept : bool
        Whether `x0` ends with one intercept per score.

    Returns
    -------
    ndarray
        The parameters in the shape of `x0`, float32 for data of at most that precision, else float64.

    Raises
    ------
    ValueError
        When the size of `x0` does not fit, or `batch_size` is below 1.

    Examples
    --------
    Full batches make the first steps of the textbook:

    >>> import numpy as np
    >>> from steepest.reference import descend
    >>> y = np.array([12.1, 12.8, 14.9, 16.3, 17.2])
    >>> print(f"{descend(lambda y, z: 2 * (z - y), None, y, 0.0, [np.arange(5)] * 3, 5, 0.2):.2f}")
    11.49
    """
    targets = np.asarray(y)
    rows = np.broadcast_to(np.float32(1), (len(targets), 1)) if X is None else np.asarray(X)
    dtype = np.result_type(targets if X is None else rows, np.float32)
    x = np.array(x0, dtype).ravel()
    n_features = rows.shape[1]
    n_scores, odd = divmod(x.size, n_features + fit_intercept)
    if odd or not n_scores:
        raise ValueError(f"x0 has {x.size} parameters; a multiple of {n_features + fit_intercept} is needed")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; at least 1 is needed")
    weights = None if sample_weight is None else np.asarray(sample_weight, dtype)
    mean_weight = 1.0 if weights is None else float(weights.mean(dtype=np.float64))

    # Views: the updates below write x.
    coef = x[: n_scores * n_features].reshape(n_scores, n_features)
    intercept = x[n_scores * n_features :]
    for epoch, indices in enumerate(order):
        starts = range(0, len(indices), batch_size)
        for update, start in enumerate(starts):
            batch = indices[start : start + batch_size]
            block, y_batch = rows[batch], targets[batch]
            z = block @ coef.T
            if fit_intercept:
                z += intercept
            slopes = loss_gradient(y_batch, z.reshape(y_batch.shape) if n_scores == 1 else z)
            slopes = np.asarray(slopes, dtype).reshape(z.shape) / len(batch)
            if weights is not None:
                slopes *= weights[batch, np.newaxis] / mean_weight
            gradient = slopes.T @ block
            if penalty_gradient is not None:
                gradient += penalty_gradient(coef)

            step = step_size(epoch + update / len(starts)) if callable(step_size) else step_size
            coef -= step * gradient
            if fit_intercept:
                intercept -= step * slopes.sum(axis=0)
            if prox is not None:
                coef[:] = prox(coef, step)
    return x.reshape(np.shape(x0))


def multiclass_svm_example(W: Array, x: Array, y: int, delta: float = 1.0) -> tuple[float, Array]:
    """Multiclass SVM loss of one example and its gradient, class by class (D1).

    Parameters
    ----------
    W : ndarray of shape (n_classes, n_features)
        One row of weights per class, the bias folded in.
    x : ndarray of shape (n_features,)
        The example.
    y : int
        Its class.
    delta : float
        The margin by which the right score is to lead.

    Returns
    -------
    loss : float
        Sum of ``max(0, W[j] @ x - W[y] @ x + delta)`` over the wrong classes ``j``.
    gradient : ndarray of shape (n_classes, n_features)
        At a kink the gradient of the flat side.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.reference import multiclass_svm_example
    >>> loss, gradient = multiclass_svm_example(np.array([[1.0], [0.5], [-3.0]]), np.array([2.0]), y=1)
    >>> loss, gradient.ravel().tolist()
    (2.0, [2.0, -2.0, 0.0])
    """
    scores = W @ x
    loss, gradient = 0.0, np.zeros(W.shape)
    for j, score in enumerate(scores):
        margin = score - scores[y] + delta
        if j != y and margin > 0:
            loss += float(margin)
            gradient[j] += x
            gradient[y] -= x
    return loss, gradient


def multiclass_svm(W: Array, X: Array, y: Array, delta: float = 1.0, alpha: float = 0.0) -> tuple[float, Array]:
    """Multiclass SVM objective of all examples and its gradient, without a loop (D1).

    Parameters
    ----------
    W, delta
        As in `multiclass_svm_example`.
    X : ndarray of shape (n_rows, n_features)
        The examples.
    y : ndarray of int of shape (n_rows,)
        Their classes.
    alpha : float
        Strength of the penalty ``alpha * sum(W**2)``.

    Returns
    -------
    loss : float
        Mean of `multiclass_svm_example` over the rows, plus the penalty.
    gradient : ndarray of shape (n_classes, n_features)
        At a kink the gradient of the flat side.

    Examples
    --------
    The bowl of three points and three classes, at its top:

    >>> import numpy as np
    >>> from steepest.reference import multiclass_svm
    >>> loss, _ = multiclass_svm(np.zeros((3, 1)), np.array([[1.0], [0.5], [2.0]]), np.array([0, 1, 2]))
    >>> loss
    2.0
    """
    scores = X @ W.T
    everyone = np.arange(len(y))
    margins = scores - scores[everyone, y, np.newaxis] + delta
    margins[everyone, y] = 0
    slopes = (margins > 0).astype(scores.dtype)
    slopes[everyone, y] = -slopes.sum(axis=1)
    loss = np.maximum(margins, 0).sum() / len(y) + alpha * np.sum(W**2)
    return float(loss), slopes.T @ X / len(y) + 2 * alpha * W
