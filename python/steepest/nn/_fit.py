"""Training a model: traced once with its loss, then the loop of ``minimize``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepest import _core, optim, penalties, schedules
from steepest._data import as_weights, computed_in
from steepest._minimize import minimize
from steepest._results import Interrupted, Result
from steepest._sparse import SparseRows
from steepest.autodiff._loss import Layout, TracedLoss, TracedProblem, _checked_data
from steepest.autodiff._tensor import no_grad, tensor
from steepest.nn import _losses
from steepest.nn._module import Module

Tensor: TypeAlias = Any


def fit(
    model: Module,
    loss: Any,
    data: Any,
    *,
    method: str | optim.Rule = "adam",
    step_size: float | str | schedules.Schedule | Callable[[float], float] | None = None,
    batch_size: int | None = None,
    penalty: str | penalties.Penalty | None = None,
    epochs: int | None = None,
    shuffle: bool | str | ArrayLike | Callable[[int], ArrayLike] = True,
    sample_weight: ArrayLike | None = None,
    seed: int | None = None,
    callback: Callable[[Any], bool | None] | None = None,
    x0: Result | None = None,
    **options: Any,
) -> Result:
    """Train a model: the whole loop over epochs and batches runs in the core (C2, C3, C8).

    The model and its loss are traced once, differentiated, and run as any other loss of ``minimize``: with every update
    rule, schedule, order of rows, penalty and stopping rule, in the dtype of the data.

    Parameters
    ----------
    model : Module
        In training mode. Its parameters are changed: to those of the result.
    loss : str, Loss or callable
        "cross_entropy" (also called "softmax") for as many outputs as there are classes, labels 0 to K - 1; a name of
        ``st.losses.available()``, or an object such as ``st.losses.Huber(delta=2.0)``; or a function of
        ``(outputs, y)`` that returns one loss per row, shape (B,).
    data : tuple (X, ..., y)
        The model's inputs, and last the targets, with the rows as axis 0. Narrow numbers (bool, 8- and 16-bit
        integers, float16, bfloat16) are read as they are stored; the model sees them in float32.
    method : str or Rule
        As for ``minimize``; Adam with its usual step size by default.
    step_size, batch_size, epochs, shuffle, sample_weight, seed : optional
        As for ``minimize``.
    penalty : Penalty or str, optional
        Acts on the weights: the parameters of two axes or more.
    callback : callable, optional
        Called after every epoch as by ``minimize``; the model then holds the parameters reached and is in eval mode.
    x0 : Result, optional
        Of an earlier run of this model, to go on as one longer run would have.
    **options
        Whatever else ``minimize`` takes: ``rows``, ``validation``, ``patience``, ``tol``, ``n_threads``, ``history``,
        ``progress``, ``check_finite``; not ``class_weight``, nor ``normalize``, whose place `Normalize` takes.

    Returns
    -------
    Result
        As of ``minimize``; ``params`` holds the parameters by name.

    Raises
    ------
    ValueError, TypeError
        Where sizes, labels or options do not fit, the model is in eval mode, or the loss stops being a number: then
        naming operation, batch and epoch, and the model keeps the best parameters of the epochs' ends.
    Interrupted
        On Ctrl-C, with the ``.result`` reached, which the model keeps.

    Examples
    --------
    >>> import numpy as np
    >>> import steepest as st
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 2)).astype(np.float32)
    >>> y = (X[:, 0] * X[:, 1] > 0).astype(int)
    >>> st.nn.manual_seed(0)
    >>> model = st.nn.Sequential(st.nn.Linear(2, 16), st.nn.Tanh(), st.nn.Linear(16, 2))
    >>> result = st.nn.fit(model, "cross_entropy", (X, y), step_size=0.02, batch_size=16, epochs=30, seed=0)
    >>> bool((model(X).numpy().argmax(axis=1) == y).mean() > 0.95)
    True
    """
    if not isinstance(model, Module):
        raise TypeError(f"fit trains a Module, not {model!r}")
    if not model.training:
        raise ValueError("the model is in eval mode: call its train() before fit")
    if not isinstance(data, tuple) or len(data) < 2:
        raise TypeError("data must be a tuple of the model's inputs and, last, the targets: (X, y)")
    unknown = sorted(options.keys() - _OPTIONS)
    if unknown:
        raise TypeError(f"fit() got an unexpected keyword argument {unknown[0]!r}")
    if options.get("normalize", False) is not False or options.get("groups") is not None:
        raise ValueError("a model normalises its inputs by its first layer: nn.Normalize.of(X) makes it from the rows")
    if x0 is not None and not isinstance(x0, Result):
        raise TypeError(f"x0 must be the Result of an earlier fit, not {x0!r}; a model holds its own start")
    network = NetworkLoss(model, _losses.resolve(loss))
    start: Any = network.start()
    if x0 is not None:
        _require_kin(x0, start)
        start = x0

    def after_epoch(reached: Any) -> bool | None:
        assert callback is not None
        network.take(reached.x)
        modes = [(module, module.training) for module in model.modules()]
        model.eval()
        try:
            return callback(reached)
        finally:
            for module, mode in modes:
                object.__setattr__(module, "training", mode)

    try:
        result = minimize(
            network,
            data,
            x0=start,
            method=method,
            step_size=step_size,
            batch_size=batch_size,
            penalty=penalty,
            epochs=epochs,
            shuffle=shuffle,
            sample_weight=sample_weight,
            seed=seed,
            callback=after_epoch if callable(callback) else callback,
            **options,
        )
    except (Interrupted, ValueError) as stop:
        if "result" in vars(stop):
            network.take(vars(stop)["result"].x)
        raise
    network.take(result.x)
    return result


def _require_kin(earlier: Result, start: dict[str, NDArray[Any]]) -> None:
    """Raise where a result is not of a model with these parameters."""
    if "params" not in earlier or not isinstance(earlier.params, dict):
        raise ValueError("x0 is no result of nn.fit: it goes on from an earlier fit of the same model")
    before = {name: np.shape(value) for name, value in earlier.params.items()}
    for name in [*start, *before]:
        ours, theirs = (None if name not in start else start[name].shape), before.get(name)
        if ours != theirs:
            raise ValueError(
                f"x0 is of another model: {name} has "
                f"{'no place' if theirs is None else f'shape {theirs}'} there, "
                f"{'no place' if ours is None else f'shape {ours}'} here"
            )


_OPTIONS = inspect.signature(minimize).parameters.keys() - {"loss", "data", "fit_intercept"}


class NetworkLoss(TracedLoss):
    """A model and a loss of its outputs as one traced loss."""

    def __init__(self, model: Module, output_loss: _losses.OutputLoss) -> None:
        self.model = model
        self.output_loss = output_loss
        self._outputs = 0
        self._layout: NetworkLayout | None = None
        super().__init__(self._row_losses)
        self.name = f"{output_loss.name} of {type(model).__name__}"

    def start(self) -> dict[str, NDArray[Any]]:
        """Return the parameters to train, weights first: penalties act on the first ones."""
        self._require_parts()
        trained = {name: p.numpy() for name, p in self.model.named_parameters() if p.requires_grad}
        if not trained:
            raise ValueError("the model has no parameters that require a gradient: there is nothing to train")
        return dict(sorted(trained.items(), key=lambda item: item[1].ndim < 2))

    def _require_parts(self) -> None:
        """Raise where modules or parameters hide in a collection, in which nobody would train them."""
        known = {id(part) for part in (*self.model.modules(), *self.model.parameters())}
        for name, module in self.model.named_modules():
            for attribute, value in vars(module).items():
                if attribute in ("_modules", "_parameters") or not isinstance(value, (list, tuple, dict)):
                    continue
                for part in value.values() if isinstance(value, dict) else value:
                    hidden = isinstance(part, Module) or (isinstance(part, _core.Tensor) and part.requires_grad)
                    if hidden and id(part) not in known:
                        raise ValueError(
                            f"{type(module).__name__}{f' ({name})' * bool(name)} holds {part!r} in its {attribute}, a "
                            f"{type(value).__name__}, where it would not be trained: wrap modules in Sequential, or "
                            "assign parts to attributes of their own"
                        )

    def take(self, x: NDArray[Any]) -> None:
        """Give the model the parameters reached."""
        assert self._layout is not None
        parameters = dict(self.model.named_parameters())
        with no_grad():
            for name, array in self._layout.unflat(x).items():
                parameters[name].copy_(array.astype(parameters[name].dtype))

    def problem(
        self, data: Any, x0: Any, sample_weight: ArrayLike | None, check_finite: bool = True, rows: Any = None
    ) -> TracedProblem:
        arrays = _checked_data(data, check_finite, rows, self.output_loss.targets)
        if any(isinstance(array, SparseRows) for array in arrays):
            raise TypeError("networks read dense rows, and X is sparse: pass X.toarray()")
        dtype = computed_in(arrays[0].dtype)
        layout = self._layout = NetworkLayout(x0)
        mean_weight = 1.0
        if sample_weight is not None:
            weight, mean_weight = as_weights(sample_weight, len(arrays[0]), dtype)
            arrays.append(weight)
        programs = self._program(layout, arrays, sample_weight is not None, True)
        self.output_loss.check(arrays[len(data) - 1], self._outputs)
        suffix = "32" if dtype == np.float32 else "64"
        make, kind = getattr(_core, f"traced_sum{suffix}"), getattr(_core, f"Problem{suffix}")
        problem = kind(make(programs, arrays, mean_weight, layout.penalised))
        return TracedProblem(problem, layout, layout.flat(dtype), sum(array.size for array in arrays))

    def _row_losses(self, parameters: dict[str, Tensor], *batch: Tensor) -> Tensor:
        *inputs, y = batch
        dtype = inputs[0].dtype
        frozen = {
            name: tensor(p.numpy(), dtype=dtype) for name, p in self.model.named_parameters() if not p.requires_grad
        }
        with self.model._replaced({**frozen, **parameters}):
            outputs = self.model(*inputs)
        if not isinstance(outputs, _core.Tensor):
            raise TypeError(f"the model must return one tensor for its loss, not {outputs!r}")
        if outputs.ndim:
            self._outputs = outputs.shape[-1]
        return self.output_loss.rows(outputs, y)


class NetworkLayout(Layout):
    """Parameters by name in one vector; matrices of many outputs lie transposed: rows times them run faster."""

    def __init__(self, structure: Any) -> None:
        super().__init__(structure)
        self._transposed = [array.ndim == 2 and not 1 < array.shape[0] <= _core.most_scores for array in self.arrays]
        self.arrays = self._turned(self.arrays)
        self.leaves = [(path, array.shape) for (path, _), array in zip(self.leaves, self.arrays, strict=True)]
        self.penalised = sum(array.size for array in self.arrays if array.ndim > 1)

    def _turned(self, arrays: list[Any]) -> list[Any]:
        return [array.T if turns else array for array, turns in zip(arrays, self._transposed, strict=True)]

    def rebuild(self, leaves: list[Any]) -> Any:
        return super().rebuild(self._turned(leaves))
