"""What the lists of losses, penalties, rules and schedules have in common, as checks over a list and its members.

Also how the tests read a member: its formula is the oracle, its ranges say which parameters to try.
"""

import copy
import inspect
import itertools
import math
import pickle
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]
Long = np.longdouble

FUNCTIONS = (
    np.abs,
    np.all,
    np.cos,
    np.cosh,
    np.exp,
    np.expm1,
    np.floor,
    np.log,
    np.log1p,
    np.max,
    np.maximum,
    np.sign,
    np.sqrt,
    np.sum,
    np.where,
)
FORMULA_NAMES: dict[str, Any] = {f.__name__: f for f in FUNCTIONS} | {"abs": np.abs}
FORMULA_NAMES |= {"pi": 4 * np.arctan(Long(1)), "inf": Long(np.inf)}


def evaluate(member: Any, **names: Any) -> Any:
    """Evaluate a member's formula in long double."""
    values = {name: np.asarray(value, dtype=Long) for name, value in (member.params | names).items()}
    if "groups" in member.formula:
        values |= {"groups": group_members(member, names["w"]), "w": values["w"].ravel()}
    with np.errstate(over="ignore", under="ignore"):
        return eval(member.formula, {"__builtins__": {}, **FORMULA_NAMES, **values})


def group_members(penalty: Any, w: Any) -> list[Any]:
    """Return index arrays into the flat w, one for each group of a penalty."""
    shape = np.shape(w)
    if isinstance(penalty.groups, str):
        scores = np.zeros(shape) if len(shape) == 1 else np.indices(shape)[0]
        labels = scores if penalty.groups == "rows" else np.indices(shape)[-1]
    elif isinstance(penalty.groups, np.ndarray):
        labels = np.broadcast_to(penalty.groups, shape)
    else:
        labels = np.full(shape, -1)
        for group, features in enumerate(penalty.groups):
            labels[..., features] = group
    return [np.flatnonzero(labels == label) for label in np.unique(labels) if label >= 0]


class _Statements(dict[str, Any]):
    """The names of a rule's formula: what was never set is zero."""

    def __missing__(self, name: str) -> Any:
        return FORMULA_NAMES[name] if name in FORMULA_NAMES else Long(0)


def statements(rule: Any, start: Array) -> dict[str, Any]:
    """Return the names with which a rule's formula begins."""
    x = start.astype(Long)
    params = {name: Long(value) for name, value in rule.params.items()}
    params["weight_decay"] = Long(rule.weight_decay)
    return _Statements(x=x, x0=x, z=0 * x if rule.reports == "x" else x, mean=x, **params)


def execute(rule: Any, names: dict[str, Any], **given: Any) -> None:
    """Run a rule's formula once in long double; the names change as it says."""
    names.update({name: np.asarray(value, dtype=Long) for name, value in given.items()})
    with np.errstate(over="ignore", under="ignore"):
        exec(rule.formula, {"__builtins__": {}}, names)


def vary(*arrays: Array) -> None:
    """Assert that inputs are not all the same: a test on constants would prove little."""
    for array in arrays:
        assert np.unique(array).size > min(2, array.size) - 1, array


def random(*keys: object) -> np.random.Generator:
    """Return a generator that is the same in every run and another one for other keys."""
    return np.random.default_rng(list(repr(keys).encode()))


def parameter_values(param: Any) -> list[float]:
    """Return the default of a parameter, the ends that belong to its range, and points between."""
    low, high = param["low"], param["high"]
    if math.isinf(low):
        return [param["default"] - 0.75, param["default"], param["default"] + 0.25]
    if math.isinf(high):
        values = [low + 0.25, low + 3.0]
    else:
        values = [low + share * (high - low) for share in (0.1, 0.5, 0.9)]
    ends = {"neither": [], "low": [low], "both": [low, high]}[param["closed"]]
    return sorted({param["default"], *values, *ends})


def variants(room: ModuleType, names: Iterable[str] | None = None) -> list[Any]:
    """Return every member of a list with several values of every parameter."""
    found = []
    for name in room.available() if names is None else names:
        params = type(room.get(name))._params
        for values in itertools.product(*map(parameter_values, params)):
            given = dict(zip([p["name"] for p in params], values, strict=True))
            if given.get("lower", 0) <= given.get("upper", math.inf):
                found.append(room.get(name, **given))
    return found


def targets(loss: Any, n: int, source: np.random.Generator) -> Array:
    """Draw targets of a loss's domain; those of binary losses are -1 and +1."""
    draw = {
        "real": lambda: source.normal(scale=3.0, size=n),
        "non_negative": lambda: np.append(source.poisson(1.5, size=n - 1) + 1.0, 0.0)[source.permutation(n)],
        "positive": lambda: source.gamma(2.0, size=n) + 0.05,
        "binary": lambda: np.where(source.permutation(n) % 2, 1.0, -1.0),
    }
    return draw[loss.target]()


def slope(loss: Any, y: Any, z: Any, h: float = 3e-4) -> Array:
    """Differentiate the formula in z by differences of fourth order, whose errors balance at this h in long double."""
    y, z = np.asarray(y, dtype=Long), np.asarray(z, dtype=Long)
    near, far = ((evaluate(loss, y=y, z=z + k * h) - evaluate(loss, y=y, z=z - k * h)) for k in (Long(1), Long(2)))
    return (8 * near - far) / (12 * Long(h))


def from_the_kinks(loss: Any, y: Any, z: Any) -> Array:
    """Return how far each row is from where a formula may have a kink: residuals or margins of 0, 1 or a parameter."""
    places = np.array([0.0, 1.0, *loss.params.values()])
    sizes = np.abs(np.stack([np.subtract(z, y), np.multiply(y, z)]))
    return np.abs(sizes[..., None] - places).min(axis=(0, -1))


def rows(loss: Any, dtype: Any, n: int = 400) -> tuple[Array, Array]:
    """Return targets and predictions of at most 8, at kinks and away from them, that differ from loss to loss."""
    source = random(loss, str(dtype))
    y = targets(loss, n, source)
    z = source.uniform(-8, 8, size=n)
    places = np.array([0.0, 1.0, -1.0, *loss.params.values()])
    kinked = source.choice(places, size=n // 4)
    z[: n // 4] = kinked * y[: n // 4] if loss.target == "binary" else np.clip(y[: n // 4] + kinked, -8, 8)
    y, z = y.astype(dtype), z.astype(dtype)
    vary(y, z)
    return y, z


def size(loss: Any, y: Array, z: Array) -> Array:
    """Return a size of everything met when a row is evaluated."""
    return 1 + np.abs(y) + np.abs(z) + np.abs(evaluate(loss, y=y, z=z)).astype(np.float64)


def check_name_and_class(room: ModuleType, name: str) -> None:
    member = room.get(name)
    cls = type(member)
    assert member.name == cls.name == name
    assert getattr(room, cls.__name__) is cls
    assert cls.__name__ in room.__all__
    assert cls.__module__ == room.__name__
    assert cls.__mro__[1].__name__ in room.__all__, "the base class of a list is public too"
    for spelling in (name.upper(), name.title(), name.lower()):
        assert type(room.get(spelling)) is cls


def check_pickle_and_copy(room: ModuleType, name: str) -> None:
    for member in variants(room, [name]):
        twins = [pickle.loads(pickle.dumps(member, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
        for twin in (*twins, copy.copy(member), copy.deepcopy(member)):
            assert type(twin) is type(member)
            assert twin == member
            assert hash(twin) == hash(member)
            assert twin.params == member.params


def check_equality(room: ModuleType, name: str) -> None:
    members = variants(room, [name])
    assert len(set(members)) == len(members), "members with different parameters are different"
    for one, other in itertools.combinations(members, 2):
        assert one != other
    others = [room.get(other) for other in room.available() if other != name]
    assert all(member != other for member in members for other in (*others, name, None))


def check_repr(room: ModuleType, name: str) -> None:
    third = {
        p["name"]: p["default"] + 1 / 3 if math.isinf(p["low"]) else p["low"] + min(p["high"] - p["low"], 1.0) / 3
        for p in type(room.get(name))._params
    }
    for member in (*variants(room, [name]), room.get(name, **third)):
        assert eval(repr(member), vars(room)) == member, f"{member!r} is not what made it: {member.params}"


def check_signature(room: ModuleType, name: str) -> None:
    cls = type(room.get(name))
    shown = inspect.signature(cls).parameters
    declared = {p["name"]: p["default"] for p in cls._params}
    assert {key: shown[key].default for key in declared} == declared
    assert cls().params == room.get(name).params == declared
    for member in variants(room, [name]):
        assert cls(**member.params) == member
        if all(shown[key].kind is not inspect.Parameter.KEYWORD_ONLY for key in declared):
            assert cls(*member.params.values()) == member
        assert all(getattr(member, key) == value for key, value in member.params.items())
        assert all(isinstance(value, float) for value in member.params.values())
    with pytest.raises(TypeError, match="nonsense"):
        cls(nonsense=1.0)
    with pytest.raises(TypeError):
        cls(*[1.5] * (len(shown) + 1))


def check_immutable(room: ModuleType, name: str) -> None:
    member = room.get(name)
    for attribute in (*member.params, "anything"):
        with pytest.raises(AttributeError):
            setattr(member, attribute, 2.0)
    with pytest.raises(AttributeError, match="anything"):
        _ = member.anything


def check_docstring(room: ModuleType, name: str) -> None:
    cls = type(room.get(name))
    doc = inspect.getdoc(cls)
    assert doc is not None
    lines = doc.splitlines()
    assert lines[0].endswith(".")
    assert lines[1] == ""
    assert f"Formula: ``{cls.formula}``." in lines
    for p in cls._params:
        assert any(line.startswith(f"{p['name']} : float" + " or array_like" * p["each"]) for line in lines)
    assert any(line.startswith(">>> st.") for line in lines)


def check_ranges(room: ModuleType, name: str) -> None:
    cls = type(room.get(name))
    for p in cls._params:
        key, low, high = p["name"], p["low"], p["high"]
        assert low < high
        low_belongs, high_belongs = p["closed"] != "neither", p["closed"] == "both"
        assert low <= p["default"] <= high
        assert low < p["default"] or low_belongs
        assert p["default"] < high or high_belongs
        inside = [np.nextafter(low, math.inf), np.nextafter(high, -math.inf)]
        inside += [low] * low_belongs + [high] * high_belongs
        for value in inside:
            # Bounds must not cross.
            other = {"lower": {"upper": math.inf}, "upper": {"lower": -math.inf}}.get(key, {})
            if (key, value) in (("lower", math.inf), ("upper", -math.inf)):
                with pytest.raises(ValueError, match=f"{cls.__name__}: {key} must not be {value:g}, which leaves room"):
                    cls(**{key: value}, **other)
                continue
            assert cls(**{key: value}, **other).params[key] == value
        outside = [math.nan] if math.isinf(low) else [np.nextafter(low, -math.inf), math.nan, math.inf, -math.inf]
        outside += [low] * (not low_belongs)
        if math.isfinite(high):
            outside += [np.nextafter(high, math.inf)] + [high] * (not high_belongs)
        for value in outside:
            with pytest.raises(ValueError, match=rf"{cls.__name__}.*{key}") as caught:
                cls(**{key: value})
            message = str(caught.value)
            assert f"{low:g}" in message, message
            assert f"{high:g}" in message, message
        for nonsense in ("much", str(p["default"]), None, *([] if p["each"] else [[p["default"]]]), 0.5j):
            with pytest.raises(TypeError, match=rf"{cls.__name__}.*{key}"):
                cls(**{key: nonsense})


MEMBER_CHECKS = (
    check_name_and_class,
    check_pickle_and_copy,
    check_equality,
    check_repr,
    check_signature,
    check_immutable,
    check_docstring,
    check_ranges,
)


def check_names_are_many_and_different(room: ModuleType) -> None:
    names = room.available()
    assert names
    assert len(set(names)) == len(names)
    assert all(isinstance(name, str) and name == name.lower() for name in names)
    classes = [type(room.get(name)) for name in names]
    assert len(set(classes)) == len(classes)
    assert set(room.__all__) >= {"available", "get", *(cls.__name__ for cls in classes)}


def check_unknown_names_list_the_candidates(room: ModuleType) -> None:
    for wrong in ("no_such_thing", "", room.available()[0] + "s", None, 3, ["a", "list"]):
        with pytest.raises((ValueError, TypeError)) as caught:
            room.get(wrong)
        message = str(caught.value)
        assert repr(wrong) in message, message
        for name in room.available():
            assert name in message, message


LIST_CHECKS = (check_names_are_many_and_different, check_unknown_names_list_the_candidates)
