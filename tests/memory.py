"""How tests see the peak of memory of a program that they start."""

import subprocess
import sys

# On Linux ru_maxrss of a child begins with the memory of the process that started it, so it would hide a copy.
MEASURE = r"""
import re, resource, sys
from pathlib import Path

def forget_peak():
    mark = Path("/proc/self/clear_refs")
    if mark.exists():
        mark.write_text("5")

def peak():
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
"""


def printed(program: str, *arguments: str) -> list[int]:
    """Run a program that may call `forget_peak` and `peak`, and return the numbers that it prints."""
    command = [sys.executable, "-c", MEASURE + program, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    return [int(number) for number in ended.stdout.split()]
