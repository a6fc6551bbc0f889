"""What all modules have in common, and modules one after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from steepest import _core
from steepest._data import is_narrow
from steepest.autodiff._tensor import no_grad, tensor

Tensor: TypeAlias = Any
Self = TypeVar("Self", bound="Module")


def Parameter(data: ArrayLike, dtype: DTypeLike = np.float32) -> Tensor:
    """Make a parameter: a tensor that requires a gradient, float32 unless told otherwise.

    Assigned to an attribute of a module, it is one of the module's ``parameters()``.

    Examples
    --------
    >>> import steepest as st
    >>> st.nn.Parameter([1.0, 2.0]).requires_grad
    True
    """
    return tensor(data, dtype=dtype, requires_grad=True)


class Module:
    """What computes tensors from tensors and owns parameters: derive from it and write ``forward`` (C1, C9).

    Parameters and other modules become parts of a module when they are assigned to its attributes. ``forward`` is
    written in operations of steepest on tensors; when a model is trained it is traced once, so conditions on values are
    ``st.where``. However modules are wired, gradients flow back through all paths.

    Attributes
    ----------
    training : bool
        True at first; ``eval()`` and ``train()`` switch it for a module and all its parts.

    Examples
    --------
    >>> import steepest as st
    >>> class Residual(st.nn.Module):
    ...     def __init__(self, size):
    ...         super().__init__()
    ...         self.inner = st.nn.Linear(size, size)
    ...
    ...     def forward(self, x):
    ...         return x + st.relu(self.inner(x))
    >>> [name for name, _ in Residual(3).named_parameters()]
    ['inner.weight', 'inner.bias']
    """

    training: bool
    _parameters: dict[str, Tensor]
    _modules: dict[str, Module]

    def __init__(self) -> None:
        object.__setattr__(self, "training", True)
        object.__setattr__(self, "_parameters", {})
        object.__setattr__(self, "_modules", {})

    def __setattr__(self, name: str, value: Any) -> None:
        if "_modules" not in self.__dict__:
            raise AttributeError(f"call super().__init__() first in {type(self).__name__}.__init__")
        is_parameter = isinstance(value, _core.Tensor) and value.requires_grad and value.is_leaf
        for parts in (self._parameters, self._modules):
            parts.pop(name, None)
        self.__dict__.pop(name, None)
        if is_parameter:
            self._parameters[name] = value
        elif isinstance(value, Module):
            self._modules[name] = value
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        for parts in ("_parameters", "_modules"):
            found = self.__dict__.get(parts, {})
            if name in found:
                return found[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for parts in (self._parameters, self._modules):
            if name in parts:
                del parts[name]
                return
        object.__delattr__(self, name)

    def forward(self, *inputs: Tensor) -> Any:
        """Compute the outputs; every module writes its own.

        Examples
        --------
        >>> import steepest as st
        >>> st.nn.ReLU().forward(st.tensor([-1.0, 2.0]))
        tensor([0., 2.])
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how to compute: write its forward()")

    def __call__(self, *inputs: Any) -> Any:
        """Compute the outputs for tensors or arrays; arrays take the dtype of the module's parameters."""
        return self.forward(*(self._tensor(value) for value in inputs))

    def _tensor(self, value: Any) -> Tensor:
        if isinstance(value, _core.Tensor):
            return value
        own = next(self.parameters(), None)
        return _core.as_tensor(value) if own is None else tensor(value, dtype=own.dtype)

    def extra_repr(self) -> str:
        """Say what distinguishes this module from others of its class, for ``repr``.

        Examples
        --------
        >>> import steepest as st
        >>> st.nn.LeakyReLU(0.2).extra_repr()
        'negative_slope=0.2'
        """
        return ""

    def __repr__(self) -> str:
        inside = self.extra_repr()
        if self._modules:
            lines = [f"  ({name}): " + repr(part).replace("\n", "\n  ") for name, part in self._modules.items()]
            inside = "\n" + "\n".join([f"  {inside}"] * bool(inside) + lines) + "\n"
        return f"{type(self).__name__}({inside})"

    # --- parts ---

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Iterate over this module, named "", and all its parts, each once.

        Examples
        --------
        >>> import steepest as st
        >>> [name for name, _ in st.nn.Sequential(st.nn.ReLU(), st.nn.Tanh()).named_modules()]
        ['', '0', '1']
        """
        seen: set[int] = set()
        waiting = [(prefix, self)]
        while waiting:
            name, module = waiting.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield name, module
            waiting.extend((f"{name}.{key}" if name else key, part) for key, part in [*module._modules.items()][::-1])

    def modules(self) -> Iterator[Module]:
        """Iterate over this module and all its parts.

        Examples
        --------
        >>> import steepest as st
        >>> len(list(st.nn.Sequential(st.nn.ReLU(), st.nn.Tanh()).modules()))
        3
        """
        return (module for _, module in self.named_modules())

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Iterate over the parameters with their names, a shared one once.

        Examples
        --------
        >>> import steepest as st
        >>> model = st.nn.Sequential(st.nn.Linear(4, 3), st.nn.ReLU(), st.nn.Linear(3, 2))
        >>> {name: parameter.shape for name, parameter in model.named_parameters()}
        {'0.weight': (3, 4), '0.bias': (3,), '2.weight': (2, 3), '2.bias': (2,)}
        """
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, parameter in module._parameters.items():
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield f"{prefix}.{name}" if prefix else name, parameter

    def parameters(self) -> Iterator[Tensor]:
        """Iterate over the parameters, as ``st.optim`` takes them.

        Examples
        --------
        >>> import steepest as st
        >>> sum(parameter.size for parameter in st.nn.Linear(4, 3).parameters())
        15
        """
        return (parameter for _, parameter in self.named_parameters())

    def zero_grad(self) -> None:
        """Forget the gradients of the parameters.

        Examples
        --------
        >>> import steepest as st
        >>> model = st.nn.Linear(2, 1)
        >>> model(st.tensor([1.0, 2.0], dtype="float32")).sum().backward()
        >>> model.zero_grad()
        >>> model.weight.grad is None
        True
        """
        for parameter in self.parameters():
            parameter.grad = None

    # --- modes ---

    def train(self: Self, mode: bool = True) -> Self:
        """Switch this module and all its parts to training (C8).

        Examples
        --------
        >>> import steepest as st
        >>> st.nn.ReLU().eval().train().training
        True
        """
        for module in self.modules():
            object.__setattr__(module, "training", bool(mode))
        return self

    def eval(self: Self) -> Self:
        """Switch this module and all its parts to predicting: dropout lets everything through (C8).

        Examples
        --------
        >>> import steepest as st
        >>> st.nn.ReLU().eval().training
        False
        """
        return self.train(False)

    # --- state ---

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Return copies of the parameters by name, in PyTorch's layout.

        Examples
        --------
        >>> import steepest as st
        >>> sorted(st.nn.Linear(4, 3).state_dict())
        ['bias', 'weight']
        """
        return {name: np.array(parameter.numpy()) for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Set the parameters from arrays by name; nothing changes unless all of them fit.

        Parameters
        ----------
        state : mapping of str to array_like
            One array of the right shape for every name of ``named_parameters()``.

        Raises
        ------
        ValueError
            Where names are missing, unknown, of another shape, or hold numbers that are not finite.
        TypeError
            For what is no mapping.

        Examples
        --------
        >>> import steepest as st
        >>> first, second = st.nn.Linear(4, 3), st.nn.Linear(4, 3)
        >>> second.load_state_dict(first.state_dict())
        >>> bool((first.weight.numpy() == second.weight.numpy()).all())
        True
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"a state maps names to arrays; this is {type(state).__name__}")
        own = dict(self.named_parameters())
        missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
        if missing or unknown:
            parts = [f"{word} {', '.join(names)}" for word, names in (("lacks", missing), ("has", unknown)) if names]
            raise ValueError(f"the state is of another model: it {' and '.join(parts)}")
        arrays = {name: np.asarray(value) for name, value in state.items()}
        for name, array in arrays.items():
            if array.shape != own[name].shape:
                raise ValueError(
                    f"the state is of another model: {name} has shape {array.shape} there, {own[name].shape} here"
                )
            if array.dtype.kind in "biuf" or is_narrow(array.dtype):
                with np.errstate(over="ignore"):
                    arrays[name] = array = array.astype(own[name].dtype)
            if array.dtype.kind != "f" or not np.isfinite(array).all():
                raise ValueError(f"{name} in the state holds values that are no finite numbers in {own[name].dtype}")
        with no_grad():
            for name, array in arrays.items():
                own[name].copy_(array)

    @contextlib.contextmanager
    def _replaced(self, tensors: Mapping[str, Tensor]) -> Iterator[None]:
        """Put other tensors in place of the parameters for a while."""
        instead = {id(parameter): tensors[name] for name, parameter in self.named_parameters()}
        before = [(module, dict(module._parameters)) for module in self.modules()]
        try:
            for module, parameters in before:
                module._parameters.update({name: instead[id(value)] for name, value in parameters.items()})
            yield
        finally:
            for module, parameters in before:
                module._parameters.update(parameters)


class Sequential(Module):
    """Modules one after the other; what one returns goes into the next, tuples as several inputs.

    Parameters
    ----------
    *modules : Module
        In their order; ``model[i]`` is the i-th.

    Raises
    ------
    ValueError
        Where the sizes of two layers do not fit, naming both.

    Examples
    --------
    >>> import steepest as st
    >>> model = st.nn.Sequential(st.nn.Linear(784, 128), st.nn.ReLU(), st.nn.Linear(128, 10))
    >>> model
    Sequential(
      (0): Linear(784, 128)
      (1): ReLU()
      (2): Linear(128, 10)
    )
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__()
        for position, module in enumerate(modules):
            if not isinstance(module, Module):
                raise TypeError(f"Sequential takes modules; at position {position} there is {module!r}")
            setattr(self, str(position), module)
        last: tuple[str, Module, int] | None = None
        for name, module, size_in, size_out, keeps in self._sizes(""):
            if size_in is not None and last is not None and size_in != last[2]:
                raise ValueError(
                    f"layers do not fit: {last[0]} {last[1]!r} gives {last[2]} numbers, "
                    f"{name} {module!r} takes {size_in}"
                )
            if not keeps:
                last = None if size_out is None else (name, module, size_out)

    def _sizes(self, prefix: str) -> Iterator[tuple[str, Module, int | None, int | None, bool]]:
        """Iterate over the layers: how many numbers each takes and gives, and whether it keeps their number."""
        for key, module in self._modules.items():
            if isinstance(module, Sequential):
                yield from module._sizes(f"{prefix}{key}.")
            else:
                sizes = getattr(module, "in_features", None), getattr(module, "out_features", None)
                yield f"{prefix}{key}", module, *sizes, getattr(module, "keeps_size", False)

    def forward(self, *inputs: Tensor) -> Any:
        """Apply the modules in turn.

        Examples
        --------
        >>> import steepest as st
        >>> st.nn.Sequential(st.nn.Duplicate(), st.nn.Add()).forward(st.tensor([1.0, 2.0]))
        tensor([2., 4.])
        """
        values: Any = inputs
        for module in self._modules.values():
            values = module(*values) if isinstance(values, tuple) else module(values)
        return values[0] if isinstance(values, tuple) and len(values) == 1 else values

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, position: int) -> Module:
        return [*self._modules.values()][position]

    def __iter__(self) -> Iterator[Module]:
        return iter([*self._modules.values()])
