"""The scripts that walk through the sources: their figures are the sources', and each draws its pictures."""

import re
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("source_*.py"))
GALLERY = EXAMPLES.parent / "docs" / "images" / "gallery"


def test_every_source_has_a_script() -> None:
    assert [path.name[:8] for path in SCRIPTS] == [f"source_{letter}" for letter in "abcde"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_reach_the_figures(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr(sys, "argv", [path.name])
    runpy.run_path(str(path), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    same = [line for line in lines if len(parts := re.split(r"\s{2,}", line.strip())) == 3 and parts[1] == parts[2]]
    assert len(same) >= 8
    names = re.fullmatch(r"\d+ pictures: (.*)", lines[-1])
    assert names is not None
    kept = {picture.stem for picture in GALLERY.glob(f"{path.name[7]}-*")}
    assert kept == {f"{path.name[7]}-{name}" for name in names[1].split(", ")}


def test_pictures_weigh_little() -> None:
    sizes = {path.name: path.stat().st_size for path in GALLERY.iterdir()}
    assert sizes
    assert {name: size for name, size in sizes.items() if size > (160_000 if name.endswith(".gif") else 61_000)} == {}
