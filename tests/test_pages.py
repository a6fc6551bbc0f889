"""Pages that repeat the lists or the sources say what these say now."""

import dataclasses
import re
from pathlib import Path

import pytest

import steepest as st
from steepest import _pages
from steepest._gap_losses import DualLoss
from steepest._lists import registry

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "docs/adding.md")
LISTS = {"losses": st.losses, "penalties": st.penalties, "rules": st.optim, "schedules": st.schedules}


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_as_they_would_be_written(name: str) -> None:
    page = (ROOT / name).read_text(encoding="utf-8")
    assert _pages.MARKED.search(page), "there is something to check"
    assert _pages.written(page, ROOT) == page, "run python -m steepest._pages README.md docs/adding.md"


@pytest.mark.parametrize("name", LISTS)
def test_tables_hold_every_member(name: str) -> None:
    table = _pages.written(f"<!-- table: {name} -->\n<!-- end -->", ROOT)
    lines = [line for line in table.splitlines() if line.startswith("| `")]
    assert [line.split("`")[1] for line in lines] == list(LISTS[name].available())
    assert len({line.count(" | ") for line in lines}) == 1
    for line, member in zip(lines, LISTS[name].available(), strict=True):
        made = re.search(r"`(\w+\([^`]*\))`", line.split(" | ")[0])
        assert (made is None) == (not LISTS[name].get(member).params)
        if made is not None:
            assert eval(made.group(1), vars(LISTS[name])) == LISTS[name].get(member)


def test_what_the_page_on_adding_names_is_there() -> None:
    """Tests, tables and functions that a new member needs a line in are called what the page calls them."""
    page = " ".join((ROOT / "docs" / "adding.md").read_text(encoding="utf-8").split())
    tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    # `NAME` of `tests/file.py`, or of a link to a file.
    tables = [(path, name) for name, path in re.findall(r"`(\w+)` of `(tests/[\w/]+\.py)`", page)]
    linked = [(path, name) for name, path in re.findall(r"`(\w+)` of \[\w+\.py\]\(\.\./([\w/]+\.py)\)", page)]
    assert min(map(len, (tests, tables, linked))) >= 2
    for path, name in (*tests, *tables, *linked):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^(def {name}\(|class {name}\b|{name}\b.*=)", text, flags=re.MULTILINE), f"{path}: {name}"
    entry = {field.name for field in dataclasses.fields(DualLoss)}
    assert entry <= set(re.findall(r"`(\w+)`", page.partition("## A penalty")[0]))
    assert "`none`, never `infinity`" in page
    assert {loss["name"] for loss in registry["losses"] if loss["curvature"] is None} >= {"hinge", "poisson"}


def test_the_readme_has_the_tables_of_losses_penalties_and_rules() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("losses", "penalties", "rules"):
        assert f"<!-- table: {name} -->" in page


def test_the_examples_of_the_readme_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len(examples) == 2
    names: dict[str, object] = {}
    for example in examples:
        # The same with fewer rows, so that it takes no time.
        exec(example.replace("1_000_000", "20_000"), names)
    assert Path("descent.gif").stat().st_size > 0


def test_a_stale_page_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "some.hpp").write_text("/// Two.\nstruct Two {\n  int a, b;\n};\n\nusing All = List<One,\n  Two>;\n")
    page = "<!-- source: some.hpp struct Two -->\nold\n<!-- end -->\n<!-- source: some.hpp using All -->\n<!-- end -->"
    fresh = _pages.written(page, tmp_path)
    assert fresh != page
    assert "```cpp\n/// Two.\nstruct Two {\n  int a, b;\n};\n```" in fresh
    assert "```cpp\nusing All = List<One,\n  Two>;\n```" in fresh
    assert _pages.written(fresh, tmp_path) == fresh
    with pytest.raises(ValueError, match="declares no 'struct Three'"):
        _pages.written(page.replace("struct Two", "struct Three"), tmp_path)
