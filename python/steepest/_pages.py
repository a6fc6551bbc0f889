"""Writes what pages repeat: ``python -m steepest._pages README.md docs/adding.md``, from the root of the sources.

Tables of the lists come from the core, examples from the sources themselves. Both stand between markers, and a test
says when they are stale::

    <!-- table: losses -->
    <!-- source: cpp/steepest/losses.hpp struct SquaredHinge -->
    <!-- end -->
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from steepest import losses, optim, penalties, schedules
from steepest._lists import registry

MARKED = re.compile(r"(<!-- (table|source): ([^\n]+) -->\n).*?(<!-- end -->)", flags=re.DOTALL)
LANGUAGES = {".hpp": "cpp", ".cpp": "cpp", ".py": "python"}


def written(page: str, root: Path) -> str:
    """Return a page with everything between its markers made anew."""

    def made(match: re.Match[str]) -> str:
        opening, kind, what, closing = match.groups()
        return f"{opening}\n{_table(what) if kind == 'table' else _source(what, root)}\n\n{closing}"

    return MARKED.sub(made, page)


def _table(name: str) -> str:
    """Return a list as a table."""
    headings, rows = TABLES[name]()
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _summary(member: Any) -> str:
    summary = next(spec["summary"] for spec in registry[_SPECS[type(member)]] if spec["name"] == member.name)
    return re.sub(r" \([A-E]\d\)", "", summary)  # the sources it comes from


_SPECS = {
    type(module.get(name)): key
    for module, keys in (
        (losses, ("losses", "row_losses")),
        (penalties, ("penalties",)),
        (optim, ("rules",)),
        (schedules, ("schedules",)),
    )
    for key in keys
    for name in (spec["name"] for spec in registry[key])
}


def _called(member: Any) -> str:
    """Return how a member is named, and how it is made where it takes parameters."""
    made = f"{type(member).__name__}({', '.join(f'{name}={value:g}' for name, value in member.params.items())})"
    return f"`{member.name}`" + (f", `{made}`" if member.params else "")


def _members(module: Any) -> Iterable[Any]:
    return (module.get(name) for name in module.available())


def _losses() -> tuple[list[str], list[list[str]]]:
    rows = [
        [_called(loss), f"`{loss.formula}`", loss.target.replace("_", " "), _mark(loss.convex), _mark(loss.smooth)]
        for loss in _members(losses)
    ]
    return ["loss", "of a row", "targets", "convex", "smooth"], rows


def _penalties() -> tuple[list[str], list[list[str]]]:
    rows = [[_called(penalty), f"`{penalty.formula}`", _summary(penalty)] for penalty in _members(penalties)]
    return ["penalty", "value", "what it does"], rows


def _rules() -> tuple[list[str], list[list[str]]]:
    rows = [
        [
            _called(rule),
            _summary(rule),
            "computed" if rule.default_lr is None else f"{rule.default_lr:g}",
            _mark(rule.per_coordinate),
            _mark(rule.lazy),
        ]
        for rule in _members(optim)
    ]
    return ["rule", "what it does", "step size by default", "a step per coordinate", "lazy"], rows


def _schedules() -> tuple[list[str], list[list[str]]]:
    return ["schedule", "step size at time t"], [[_called(s), f"`{s.formula}`"] for s in _members(schedules)]


def _mark(holds: bool) -> str:
    return "yes" if holds else ""


TABLES: dict[str, Callable[[], tuple[list[str], list[list[str]]]]] = {
    "losses": _losses,
    "penalties": _penalties,
    "rules": _rules,
    "schedules": _schedules,
}


def _source(what: str, root: Path) -> str:
    """Return a declaration with its braces, and the comment above it, as it stands in a file."""
    path, _, declaration = what.partition(" ")
    text = (root / path).read_text(encoding="utf-8")
    end = "^};$" if declaration.startswith("struct") else ";$"
    pattern = rf"(?:^///[^\n]*\n)*^{re.escape(declaration)}\b.*?{end}"
    found = re.search(pattern, text, re.DOTALL | re.MULTILINE)
    if found is None:
        raise ValueError(f"{path} declares no {declaration!r}")
    return f"```{LANGUAGES[Path(path).suffix]}\n{found.group()}\n```"


def main() -> None:
    """Rewrite the pages named."""
    for name in sys.argv[1:]:
        page = Path(name)
        page.write_text(written(page.read_text(encoding="utf-8"), Path()), encoding="utf-8")


if __name__ == "__main__":
    main()
