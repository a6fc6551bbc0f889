"""Writes the stub files of the modules whose classes are made from the core's lists: ``python -m steepest._stubs``.

Editors and type checkers cannot see classes that arise at run time. The stubs are committed, and a test says when they
are stale.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from steepest import _penalty_classes, losses, optim, penalties, schedules
from steepest._lists import Member, class_name

HEADER = '"""Made by ``python -m steepest._stubs``: do not edit."""\n'
MODULES = {
    losses: losses.Loss,
    optim: optim.Rule,
    penalties: penalties.Penalty,
    schedules: schedules.Schedule,
}


def stubs() -> dict[ModuleType, str]:
    """Return the text of every stub by the module it stands for."""
    return {module: stub(module) for module in MODULES} | {_penalty_classes: reexports(_penalty_classes)}


def stub(module: ModuleType) -> str:
    """Return the text of a module's stub."""
    base = MODULES[module]
    classes: dict[str, type[Member]] = module._list._classes
    bases = dict.fromkeys(cls.__bases__[0] for cls in classes.values())
    parts = [_base_class(each) for each in bases]
    for name, cls in classes.items():
        if cls.name == name:
            parts.append(_member_class(cls))
    parts += [f"{class_name(name)} = {cls.__name__}\n" for name, cls in classes.items() if cls.name != name]
    if module.available == module._list.available:
        parts.append("def available() -> tuple[str, ...]: ...\n")
    parts.append(f"def get(name: str, **params: Any) -> {base.__name__}: ...\n")
    for name, value in vars(module).items():
        if isinstance(value, FunctionType) and value.__module__ == module.__name__ and not name.startswith("_"):
            parts.append(f"def {name}{_signature(value)}: ...\n")
    return "\n".join([HEADER, _imports("\n".join(parts)), *parts])


def reexports(module: ModuleType) -> str:
    """Return the text of the stub of a module that only hands on the classes of another."""
    names = sorted(module.__all__, key=lambda name: (not name.isupper(), name))  # as the linter wants them
    source = vars(module)[names[0]].__module__
    lines = [f"from {source} import {name} as {name}" for name in names]
    return "\n".join([HEADER, *lines, "", f"__all__ = {names!r}\n"])


def _imports(text: str) -> str:
    """Return the imports that a stub needs, in the order of the linter."""

    def used(module: str, *names: str) -> list[str]:
        found = [name for name in names if re.search(rf"\b{name}\b", text)]
        return [f"from {module} import {', '.join(found)}"] if found else []

    numeric = (["import numpy as np"] if "np." in text else []) + used("numpy.typing", "ArrayLike", "NDArray")
    sections = [used("typing", "Any", "ClassVar"), numeric, ["from steepest._lists import Member"]]
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def _base_class(base: type[Any]) -> str:
    lines = [f"class {base.__name__}({base.__bases__[0].__name__}):"]
    lines += [f"    {name}: {kind}" for name, kind in base.__annotations__.items() if not name.startswith("_")]
    for name, value in vars(base).items():
        if isinstance(value, FunctionType) and (not name.startswith("_") or name == "__call__"):
            lines.append(f"    def {name}{_signature(value)}: ...")
        elif isinstance(value, property):
            assert value.fget is not None
            lines += ["    @property", f"    def {name}{_signature(value.fget)}: ..."]
    return "\n".join(lines) + "\n"


def _member_class(cls: type[Member]) -> str:
    kinds = {p["name"]: "float | ArrayLike" if p["each"] else "float" for p in cls._params}
    params = [f"{p['name']}: {kinds[p['name']]} = {p['default']!r}" for p in cls._params]
    extra = [f"{p.name}: {p.annotation} = {p.default!r}" for p in cls._extra_parameters]
    arguments = [
        "self",
        *(f"{p.name}: {p.annotation} = {p.default!r}" for p in cls._leading),
        *(["/"] * bool(cls._leading)),
    ]
    star = ["*"] * any(p.kind is inspect.Parameter.KEYWORD_ONLY for p in cls._extra_parameters)
    arguments += [*star, *params, *extra] if cls._kind is inspect.Parameter.KEYWORD_ONLY else [*params, *star, *extra]
    fields = "".join(f"    {p['name']}: {'Any' if p['each'] else 'float'}\n" for p in cls._params)
    init = f"    def __init__({', '.join(arguments)}) -> None: ...\n"
    return f"class {cls.__name__}({cls.__bases__[0].__name__}):\n{fields}{init}"


def _signature(function: Any) -> str:
    return re.sub(r"'([^']*)'", r"\1", str(inspect.signature(function)))


def main() -> None:
    """Write the stubs into the directory given, or beside the modules."""
    for module, text in stubs().items():
        assert module.__file__ is not None
        name = Path(module.__file__).with_suffix(".pyi").name
        directory = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(module.__file__).parent
        (directory / name).write_text(text)


if __name__ == "__main__":
    main()
