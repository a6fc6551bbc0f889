"""The compiled core's lists of losses, penalties, rules and schedules, as Python classes.

A member is written once, in C++; its class, signature, docstring and parameter checks are made here from what the core
says about it.
"""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from steepest import _core

registry: Mapping[str, Any] = _core.registry()


class Member:
    """A named member of one of the core's lists, with its parameters."""

    name: ClassVar[str] = ""
    formula: ClassVar[str] = ""
    __slots__ = ("_values",)
    _index: ClassVar[int] = -1
    _kind: ClassVar[Any] = inspect.Parameter.POSITIONAL_OR_KEYWORD
    _leading: ClassVar[list[inspect.Parameter]] = []
    _extra_parameters: ClassVar[list[inspect.Parameter]] = []
    _meanings: ClassVar[Mapping[str, str]] = {}  # of the parameters that the core does not know
    _params: ClassVar[tuple[Mapping[str, Any], ...]] = ()
    _defaults: ClassVar[tuple[Any, ...]] = ()
    _values: tuple[Any, ...]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not args and not kwargs:
            self._values = self._defaults
            return
        bound = self._bound(*args, **kwargs)
        bound.apply_defaults()
        self._values = tuple(
            _checked(type(self).__name__, param, bound.arguments[param["name"]]) for param in self._params
        )

    @classmethod
    def _bound(cls, *args: Any, **kwargs: Any) -> inspect.BoundArguments:
        """Return arguments by name, or say which there are, and which other members have the one that is not."""
        signature = inspect.signature(cls)
        for name in (name for name in kwargs if name not in signature.parameters):
            siblings: list[type[Member]] = type.__subclasses__(cls.__mro__[1])
            others = [one.__name__ for one in siblings if name in _names(one)]
            known = ", ".join([*_names(cls), *(p.name for p in cls._extra_parameters)]) or "none"
            where = f"; {', '.join(others)} {'have' if len(others) > 1 else 'has'} it" * bool(others)
            raise TypeError(f"{cls.__name__} has no parameter {name!r}{where}; there are: {known}")
        try:
            return signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{cls.__name__}: {error}") from None

    @classmethod
    def _extra_parameters_of(cls, spec: Mapping[str, Any]) -> list[inspect.Parameter]:
        """Return the parameters, by keyword, that the members have beside those in the core."""
        return []

    @classmethod
    def _remark_of(cls, spec: Mapping[str, Any]) -> str:
        """Return what a member's docstring says beside its summary and formula."""
        return ""

    @property
    def params(self) -> dict[str, Any]:
        """The parameters by name."""
        return {param["name"]: value for param, value in zip(self._params, self._values, strict=True)}

    def __getattr__(self, name: str) -> Any:
        for param, value in zip(type(self)._params, object.__getattribute__(self, "_values"), strict=True):
            if param["name"] == name:
                return value
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._values

    def _key(self) -> tuple[Any, ...]:
        """Return what makes members of a class the same."""
        return tuple((v.shape, v.tobytes()) if isinstance(v, np.ndarray) else v for v in self._values)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash((type(self), self._key()))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={_shown(value)}" for name, value in self.params.items())
        return f"{type(self).__name__}({inside})"


def _names(member: type[Member]) -> list[str]:
    return [param["name"] for param in member._params]


def _checked(owner: str, param: Mapping[str, Any], value: Any) -> Any:
    """Return the parameter within its range: a float or, where the list allows it, an array."""
    name, low, high = param["name"], param["low"], param["high"]
    if param["each"] and isinstance(value, (np.ndarray, list, tuple)) and np.ndim(value):
        return _checked_each(owner, param, value)
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{owner}: {name} must be a number{' or an array' * param['each']}, not {value!r}")
    number = float(value)
    if not _inside(param, np.asarray(number)).all():
        left = "(" if param["closed"] == "neither" else "["
        right = "]" if param["closed"] == "both" else ")"
        raise ValueError(f"{owner}: {name} must lie in {left}{low:g}, {high:g}{right}, not {number:g}")
    return number


def _inside(param: Mapping[str, Any], values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which values lie in a parameter's range."""
    low, high = param["low"], param["high"]
    inside: NDArray[np.bool_] = (low < values) & (values < high)
    if param["closed"] != "neither":
        inside |= values == low
    if param["closed"] == "both":
        inside |= values == high
    return inside


def _checked_each(owner: str, param: Mapping[str, Any], value: Any) -> NDArray[np.float64]:
    """Return one number per feature or coefficient, all within the range."""
    name = param["name"]
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.ndim > 2 or not array.size:
        raise TypeError(f"{owner}: {name} must be a number or an array of shape (d,) or (K, d), not {value!r:.60}")
    array = np.array(array, dtype=np.float64)
    inside = _inside(param, array)
    if not inside.all():
        at = np.unravel_index(int(inside.argmin()), array.shape)
        raise ValueError(
            f"{owner}: {name} must lie between {param['low']:g} and {param['high']:g}; there is {array[at]:g} "
            f"at {', '.join(map(str, at))}"
        )
    array.setflags(write=False)
    return array


def _shown(value: Any) -> str:
    """Write a number so that reading it gives the same bits, whole ones without a point."""
    if isinstance(value, np.ndarray):
        return repr(value.tolist())
    if np.isinf(value):
        return f"float('{value}')"
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e6 else repr(value)


def class_name(name: str) -> str:
    """Name the class of a member: squared_error is SquaredError, three letters and "sgd" are acronyms.

    Examples
    --------
    >>> class_name("squared_error"), class_name("mse"), class_name("l2")
    ('SquaredError', 'MSE', 'L2')
    """
    if len(name) == 3:
        return name.upper()
    return "".join(part.capitalize() for part in name.split("_"))


def make_classes(base: type[Member], specs: Iterable[Mapping[str, Any]], module: str) -> dict[str, type[Any]]:
    """Make the class of each member of a list, by its name."""
    classes = {}
    for index, spec in enumerate(specs):
        params = tuple(spec["params"])
        parameters = [
            inspect.Parameter(p["name"], base._kind, default=p["default"], annotation=Any if p["each"] else float)
            for p in params
        ]
        extra = base._extra_parameters_of(spec)
        name = spec.get("class_name") or class_name(spec["name"])
        room, others, remark = module.rpartition(".")[2], [*base._leading, *extra], base._remark_of(spec)
        body = {key: value for key, value in spec.items() if key not in ("params", "summary", "domain", "class_name")}
        body |= {
            "__slots__": (),
            "__module__": module,
            "__doc__": _docstring(room, name, spec, others, base._meanings, remark),
            "__signature__": inspect.Signature([*base._leading, *parameters, *extra]),
            "_extra_parameters": extra,
            "_index": index,
            "_params": params,
            "_defaults": tuple(param["default"] for param in params),
            "_domain": spec.get("domain", ""),
        }
        classes[spec["name"]] = type(name, (base,), body)
    return classes


def _docstring(
    room: str,
    name: str,
    spec: Mapping[str, Any],
    others: Iterable[inspect.Parameter],
    meanings: Mapping[str, str],
    remark: str,
) -> str:
    """Write a member's docstring from what the core says of it."""
    lines = [spec["summary"], "", f"Formula: ``{spec['formula']}``.", ""]
    if remark:
        lines += [remark, ""]
    others = list(others)
    if spec["params"] or others:
        lines += ["Parameters", "----------"]
        for p in spec["params"]:
            lines += [
                f"{p['name']} : float{' or array_like' * p['each']}, default {p['default']:g}",
                f"    {p['meaning'].capitalize()}.",
            ]
        for other in others:
            lines += [f"{other.name} : {other.annotation}, default {other.default!r}", f"    {meanings[other.name]}"]
        lines += [""]
    arguments = ", ".join(f"{p['name']}={p['default']:g}" for p in spec["params"])
    lines += ["Examples", "--------", ">>> import steepest as st", f">>> st.{room}.{name}()", f"{name}({arguments})"]
    return "\n".join(lines)


M = TypeVar("M", bound=Member)


class MemberList(Generic[M]):
    """The members of one list by name."""

    def __init__(self, what: str, classes: Mapping[str, type[M]], aliases: Mapping[str, str] | None = None) -> None:
        self._what = what
        self._classes = {**classes, **{alias: classes[name] for alias, name in (aliases or {}).items()}}
        self._names = tuple(classes)

    def available(self) -> tuple[str, ...]:
        """Return the names of all members."""
        return self._names

    def get(self, name: str, **params: Any) -> M:
        """Return the member of this name with these parameters."""
        try:
            found = self._classes[name]
        except (KeyError, TypeError):
            pass
        else:
            return found(**params)
        lowered = name.lower() if isinstance(name, str) else None
        if lowered in self._classes:
            return self._classes[lowered](**params)
        raise ValueError(f"unknown {self._what} {name!r}; there are: {', '.join(sorted(self._classes))}")
