"""The core has no Python in it: a C++ program links it alone."""

from __future__ import annotations

import os
import shlex
import subprocess
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = sorted((ROOT / "build").glob("*/libsteepest_core.a"), key=lambda path: path.stat().st_mtime)


def output_of(source: Path, program: Path) -> list[str]:
    """Compile a program, link it with the core alone, run it, and return its lines."""
    assert LIBRARIES, "no build/*/libsteepest_core.a: `make test` builds it and keeps it"
    compiler = shlex.split(os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "c++")[0]
    command = [compiler, "-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'cpp'}", str(source)]
    built = subprocess.run(
        [*command, str(LIBRARIES[-1]), "-pthread", "-o", str(program)], capture_output=True, text=True, timeout=300
    )
    assert built.returncode == 0, built.stderr
    done = subprocess.run([str(program)], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


def test_the_example_links_the_core_alone_and_prints_the_textbook(tmp_path: Path) -> None:
    lines = output_of(ROOT / "examples" / "minimize_without_python.cpp", tmp_path / "minimize_without_python")
    assert lines[0] == "theta: 0.00 | loss: 218.76"
    assert lines[17] == "theta: 14.66 | loss: 3.84"
    assert lines[18] == "Minimizing theta: 14.6585111310352"
    assert lines[19] == "slope 3.00, intercept -1.00"


def test_two_threads_in_step_meet_and_the_faster_way_is_gone(tmp_path: Path) -> None:
    assert output_of(ROOT / "tests" / "ways.cpp", tmp_path / "ways") == [
        "the sums that two threads find in step: the same 1000 times, 500500 in the end; 499500 and 1000 came along",
        "a second thread that comes too late: not let in",
        "one that comes in time: waited for",
        "the first way takes longer: gone 0 of 8 times after the trial",
        "the second way takes longer: gone 8 of 8 times after the trial",
        "the way that was faster has become slow: tried again",
        "walks from one trial to the next, while the same way wins: 128 256 512 512; 128 once it had become slow",
    ]
