"""Update rules: what one update does with the gradient of a batch.

Every class here is made from the compiled core's list; ``available()`` names them.
"""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from steepest import _core
from steepest._lists import Member, MemberList, make_classes, registry


class Rule(Member):
    """An update rule.

    It says how ``minimize`` steps, or, given tensors as the first argument, steps those (E2): all of them together, as
    one vector of parameters. Everything else goes by keyword.

    All take the step size, and what is done to the gradient before the rule sees it: it is clipped first, then decayed.
    Weight decay is a part of the rule, not of the objective, and never on the intercept of ``minimize`` (tensors decay
    as a whole); a penalty ``st.L2`` is a part of both.

    Attributes
    ----------
    name, formula : str
        Its name in ``available()``, and an update as Python statements: ``x`` the parameters, ``g`` the gradient at x,
        ``t`` the number of the update from 1, ``x0`` the start, ``f`` the batch's objective; other names start at zero
        or, where they stand for iterates (``z``, ``mean``), at the start.
    reports : str
        Which of the formula's names ends up in ``result.x``.
    lr : float or None
        The step size, where it was given here and not to ``minimize``.
    default_lr : float or None
        The step size where neither is given; None where it is computed from loss and data.
    weight_decay, decoupled : float, bool
        ``weight_decay * x`` is added to the gradient, or, decoupled, x shrinks by ``lr * weight_decay`` at each update.
    clip_norm, clip_value : float or None
        The largest norm of a gradient, or the largest size of one of its entries.
    lazy, per_coordinate : bool
        Whether columns without a gradient stay untouched; whether steps differ between coordinates, in which case
        proximal steps of penalties do, too.
    """

    __slots__ = (
        "_clip_norm",
        "_clip_value",
        "_decoupled",
        "_descending",
        "_lr",
        "_numbers",
        "_states",
        "_tempers",
        "_tensors",
        "_weight_decay",
    )
    _kind: ClassVar[Any] = inspect.Parameter.KEYWORD_ONLY
    _leading: ClassVar[list[inspect.Parameter]] = [
        inspect.Parameter("tensors", inspect.Parameter.POSITIONAL_ONLY, default=None, annotation="Any")
    ]
    _meanings: ClassVar[Mapping[str, str]] = {
        "tensors": "What to step, a tensor or several, where it is not ``minimize`` that asks.",
        "lr": "Step size; without it ``minimize`` takes its step_size, or the rule's default.",
        "weight_decay": "How much parameters decay, never the intercept.",
        "decoupled": "Whether decay stays out of the gradient: then parameters shrink by lr times weight_decay.",
        "clip_norm": "Largest norm of a gradient, over all parameters together.",
        "clip_value": "Largest size of an entry of a gradient.",
    }
    reports: ClassVar[str] = "x"
    state_vectors: ClassVar[int] = 0
    default_lr: ClassVar[float | None] = None
    lazy: ClassVar[bool] = False
    per_coordinate: ClassVar[bool] = False
    _state_numbers: ClassVar[int] = 0
    _live_vectors: ClassVar[int] = 0
    _decouples: ClassVar[bool] = True
    _default_decoupled: ClassVar[bool] = False
    _steady: ClassVar[bool] = False
    _scaled: ClassVar[bool] = False
    _reported: ClassVar[int] = -1
    _lr: float | None
    _weight_decay: float
    _decoupled: bool
    _clip_norm: float | None
    _clip_value: float | None
    _tempers: bool  # whether anything is done beside the rule's arithmetic
    _tensors: list[Any]
    _states: list[NDArray[Any]]
    _numbers: list[NDArray[np.float64]]
    _descending: list[NDArray[Any]] | None

    def __init__(self, tensors: Any = None, /, *more: Any, **kwargs: Any) -> None:
        if more:
            _refuse_positional(type(self), more[0])
        options = {p.name: kwargs.pop(p.name, p.default) for p in self._extra_parameters}
        super().__init__(**kwargs)
        self._lr = self._positive("lr", options["lr"])
        self._clip_norm = self._positive("clip_norm", options["clip_norm"])
        self._clip_value = self._positive("clip_value", options["clip_value"])
        if self._clip_norm is not None and self._clip_value is not None:
            raise ValueError(f"{type(self).__name__}: give clip_norm or clip_value, not both")
        decay, decoupled = options["weight_decay"], options["decoupled"]
        if not isinstance(decay, numbers.Real) or isinstance(decay, bool):
            raise TypeError(f"{type(self).__name__}: weight_decay must be a number, not {decay!r}")
        if not 0 <= decay < math.inf:
            raise ValueError(f"{type(self).__name__}: weight_decay must lie in [0, inf), not {decay!r}")
        if not isinstance(decoupled, bool):
            raise TypeError(f"{type(self).__name__}: decoupled must be True or False, not {decoupled!r}")
        if decoupled and not self._decouples:
            raise ValueError(f"{type(self).__name__} has no place for decoupled weight decay; leave decoupled out")
        if decoupled and not decay and not self._default_decoupled:
            raise ValueError(f"{type(self).__name__}: decoupled=True is a kind of weight decay; pass weight_decay= too")
        self._weight_decay, self._decoupled = float(decay), decoupled
        self._tempers = self._weight_decay > 0 or self._clip_norm is not None or self._clip_value is not None
        self._tensors = [] if tensors is None else _checked_tensors(type(self), tensors)
        if self._tensors and self._lr is None and self.default_lr is None:
            raise ValueError(f"{type(self).__name__}: tensors are stepped with a step size of their own; pass lr=")
        self._states = [np.zeros(self.state_vectors * t.size, dtype=t.dtype) for t in self._tensors]
        self._numbers = [np.zeros(max(1, self._state_numbers)) for _ in self._tensors]
        self._descending = None

    def step(self) -> None:
        """Update the tensors by their gradients; those without one stay (E2).

        Rules that look at loss or data beside the gradient (``f``, ``scale`` and ``row_size`` in a formula) take 0 and
        ones for them here.

        Examples
        --------
        >>> import steepest as st
        >>> W = st.tensor(0.0, requires_grad=True)
        >>> optimizer = st.optim.SGD([W], lr=0.1)
        >>> (W**2 - 4 * W + 8).backward()
        >>> optimizer.step()
        >>> print(f"{W.item():.3f}")
        0.400
        """
        if not self._tensors:
            raise RuntimeError(f"{type(self).__name__} has no tensors to step: they are its first argument")
        if self._descending is not None:
            raise RuntimeError("the tensors hold what eval() put there; call train() before the next step")
        lr = self.default_lr if self._lr is None else self._lr
        _core.step(self._tensors, self._index, self._values, self._states, self._numbers, lr, tempering(self))

    def zero_grad(self) -> None:
        """Forget the gradients of the tensors, so that the next ``backward()`` starts anew (E2).

        Examples
        --------
        >>> import steepest as st
        >>> W = st.tensor(1.0, requires_grad=True)
        >>> (W * W).backward()
        >>> st.optim.SGD([W], lr=0.1).zero_grad()
        >>> W.grad is None
        True
        """
        for tensor in self._tensors:
            tensor.grad = None

    def eval(self) -> None:
        """Put into the tensors what the rule reports, where that is a mean and not what it descends with.

        Examples
        --------
        >>> import steepest as st
        >>> W = st.tensor(8.0, requires_grad=True)
        >>> optimizer = st.optim.AveragedSGD([W], lr=0.25)
        >>> for _ in range(2):
        ...     optimizer.zero_grad()
        ...     (W**2).backward()
        ...     optimizer.step()
        >>> optimizer.eval()
        >>> W.item()
        3.0
        >>> optimizer.train()
        >>> W.item()
        2.0
        """
        if self._descending is not None or self._reported < 0:
            return
        self._descending = [t.detach().numpy().copy() for t in self._tensors]
        for tensor, state, counted in zip(self._tensors, self._states, self._numbers, strict=True):
            if counted[0] > 0:
                self._put(tensor, state[self._reported * tensor.size :][: tensor.size])

    def train(self) -> None:
        """Put back into the tensors what the rule descends with, after ``eval()``."""
        for tensor, values in zip(self._tensors, self._descending or (), strict=False):
            self._put(tensor, values)
        self._descending = None

    @staticmethod
    def _put(tensor: Any, values: NDArray[Any]) -> None:
        before = _core.set_recording(False)
        try:
            tensor.assign(values.reshape(tensor.shape))
        finally:
            _core.set_recording(before)

    @classmethod
    def _extra_parameters_of(cls, spec: Mapping[str, Any]) -> list[inspect.Parameter]:
        known = [
            ("lr", None, "float | None"),
            ("weight_decay", spec["_default_decay"], "float"),
            ("decoupled", spec["_default_decoupled"], "bool"),
            ("clip_norm", None, "float | None"),
            ("clip_value", None, "float | None"),
        ]
        kind = inspect.Parameter.KEYWORD_ONLY
        return [inspect.Parameter(name, kind, default=default, annotation=of) for name, default, of in known]

    @classmethod
    def _remark_of(cls, spec: Mapping[str, Any]) -> str:
        looks_at_columns = (
            "Only losses of ``st.losses`` show their features: for traced losses and pairs of callables scale and "
            "row_size are 1, so that units matter and the steps are not those of the same loss in ``st.losses``.\n\n"
        ) * bool(spec["_scaled"])
        if not spec["lazy"]:
            return looks_at_columns + (
                "Over sparse rows every update moves all parameters: it costs passes over them, beside the entries of "
                "its batch."
            )
        steady = " as long as the step size stays the same and" if spec["_lazy_while_steady"] else ""
        but = "; with ``L1``, ``L2`` and ``ElasticNet`` of one strength, too" if spec["name"] == "sgd" else ""
        return looks_at_columns + (
            f"Lazy: over sparse rows an update costs what the entries of its batch do,{steady} without a penalty or "
            f"decay of the parameters{but}."
        )

    def _positive(self, name: str, value: Any) -> float | None:
        if value is None:
            return None
        if not isinstance(value, numbers.Real) or isinstance(value, bool):
            raise TypeError(f"{type(self).__name__}: {name} must be a number, not {value!r}")
        if not 0 < value < math.inf:
            raise ValueError(f"{type(self).__name__}: {name} must be positive and finite, not {value!r}")
        return float(value)

    @property
    def lr(self) -> float | None:
        """The step size given with the rule."""
        return self._lr

    @property
    def weight_decay(self) -> float:
        """How much parameters decay."""
        return self._weight_decay

    @property
    def decoupled(self) -> bool:
        """Whether weight decay stays out of the gradient."""
        return self._decoupled

    @property
    def clip_norm(self) -> float | None:
        """The largest norm of a gradient."""
        return self._clip_norm

    @property
    def clip_value(self) -> float | None:
        """The largest size of an entry of a gradient."""
        return self._clip_value

    def _options(self) -> dict[str, Any]:
        """Return what was given by keyword and is not the default."""
        given = {p.name: getattr(self, p.name) for p in self._extra_parameters}
        return {p.name: given[p.name] for p in self._extra_parameters if given[p.name] != p.default}

    def __repr__(self) -> str:
        inside = super().__repr__()
        options = [f"{name}={value!r}" for name, value in self._options().items()]
        return f"{inside[:-1]}{', ' if self._values and options else ''}{', '.join(options)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.params | self._options())

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and isinstance(other, Rule) and self._options() == other._options()

    __hash__ = Member.__hash__


def tempering(rule: Rule) -> tuple[float, float, float, bool]:
    """Return what is done beside a rule's arithmetic: the norm and size to clip to, and decay."""
    norm = math.inf if rule._clip_norm is None else rule._clip_norm
    value = math.inf if rule._clip_value is None else rule._clip_value
    return norm, value, rule._weight_decay, rule._decoupled


def _refuse_positional(rule: type[Rule], given: Any) -> NoReturn:
    names = ", ".join([*(p["name"] for p in rule._params), "lr"])
    raise TypeError(f"{rule.__name__} takes tensors first, and everything else by keyword ({names}), not {given!r}")


def _checked_tensors(rule: type[Rule], given: Any) -> list[Any]:
    """Return the tensors to step."""
    if isinstance(given, numbers.Real):
        _refuse_positional(rule, given)
    if not isinstance(given, (_core.Tensor, Iterable)):
        raise TypeError(f"{rule.__name__} steps tensors, not {given!r}")
    tensors = [given] if isinstance(given, _core.Tensor) else list(given)
    if not tensors:
        raise ValueError(f"{rule.__name__}: there are no tensors to step")
    for position, tensor in enumerate(tensors):
        if not isinstance(tensor, _core.Tensor):
            raise TypeError(f"{rule.__name__} steps tensors; at position {position} there is {tensor!r}")
        if not (tensor.requires_grad and tensor.is_leaf):
            raise ValueError(
                f"{rule.__name__} steps leaves that require a gradient; the tensor at position {position} does not"
            )
        if any(tensor is earlier for earlier in tensors[:position]):
            raise ValueError(f"{rule.__name__}: the tensor at position {position} is given twice")
    return tensors


def _restore(rule: type[Rule], options: dict[str, Any]) -> Rule:
    return rule(**options)


_classes = make_classes(Rule, registry["rules"], __name__)
_list: MemberList[Rule] = MemberList("method", _classes)
globals().update({cls.__name__: cls for cls in _list._classes.values()})

available = _list.available
get = _list.get

__all__ = ["Rule", "available", "get", *(cls.__name__ for cls in _list._classes.values())]
