"""The committed stubs are those that the lists give."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from steepest import _stubs

PACKAGE = Path(__file__).resolve().parents[1] / "python" / "steepest"


STUBS = _stubs.stubs()


@pytest.mark.parametrize("module", STUBS, ids=lambda module: module.__name__)
def test_stub_is_up_to_date(module: ModuleType, tmp_path: Path) -> None:
    name = f"{module.__name__.rpartition('.')[2]}.pyi"
    (tmp_path / name).write_text(STUBS[module])
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or "ruff"
    subprocess.run([ruff, "format", "--quiet", "--line-length=120", str(tmp_path / name)], check=True, timeout=60)
    assert (tmp_path / name).read_text() == (PACKAGE / name).read_text(), "stale: run python -m steepest._stubs"
