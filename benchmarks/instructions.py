"""Count the instructions of the hot loops under valgrind: what does not move when the machine is noisy.

Without options the counts are compared with those in instructions.json, and a change of more than 5 % is an error;
``--update`` writes them anew. The core is compiled alone, without Python, and descends in a small C++ program.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rich.box
from bare import compiler
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
DRIVER = Path(__file__).with_name("instructions.cpp")
KEPT = Path(__file__).with_name("instructions.json")
TOLERANCE = 0.05
# Valgrind knows no AVX-512; on other processors than x86-64 there is one level only.
LEVEL = "v3"
NUMBERS = 1 << 18


@dataclass(frozen=True)
class Case:
    """One hot loop."""

    dtype: str
    order: str
    loss: str
    features: int
    batch: int

    @property
    def rows(self) -> int:
        """Return enough rows for several batches, and for few seconds under valgrind."""
        return max(2 * self.batch, min(32_768, NUMBERS // max(1, self.features)))

    def __str__(self) -> str:
        return f"{self.loss} {self.dtype}, {self.features} features, batch {self.batch}, {self.order}"


def all_cases() -> list[Case]:
    """Return what is counted: each order, batch size, kind of row and dtype somewhere."""
    cases = [Case("float32", "stream", "log_loss", d, b) for d in (1, 28, 128, 784) for b in (1, 32, 256)]
    cases += [Case("float32", order, "log_loss", 28, b) for order in ("full", "sequence") for b in (1, 32, 256)]
    cases += [Case("float64", "stream", "log_loss", d, 256) for d in (28, 784)]
    cases += [Case("float32", order, "huber", 0, 256) for order in ("stream", "full", "sequence")]
    return cases


def run(command: Sequence[str | Path], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command, or say what it wrote before it failed."""
    env = {**os.environ, **environment}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, env=env)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done


def build(folder: Path) -> Path:
    """Compile the core alone and the driver; return the driver."""
    folder.mkdir(parents=True, exist_ok=True)
    run(["cmake", "-S", ROOT, "-B", folder, "-DSTEEPEST_PYTHON=OFF", "-DCMAKE_BUILD_TYPE=Release"])
    run(["cmake", "--build", folder, "--target", "steepest_core", "--parallel"])
    driver = folder / "instructions"
    flags = ["-std=c++20", "-O2", f"-I{ROOT / 'cpp'}", "-pthread"]
    run([*compiler().split(), *flags, DRIVER, folder / "libsteepest_core.a", "-o", driver])
    return driver


def level() -> str:
    """Name the CPU level whose kernels are counted."""
    return LEVEL if os.uname().machine in ("x86_64", "amd64") else "portable"


def total(driver: Path, case: Case, epochs: int) -> int:
    """Return the instructions of a whole run."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "callgrind.out")
        numbers = (case.rows, case.features, case.batch, epochs)
        arguments = (case.dtype, case.order, case.loss, *map(str, numbers))
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}"]
        run([*valgrind, driver, *arguments], STEEPEST_LEVEL=level())
        found = re.search(r"^(?:summary|totals): (\d+)", output.read_text(encoding="utf-8"), re.M)
    if found is None:
        raise RuntimeError("callgrind wrote no total")
    return int(found[1])


def count(driver: Path, cases: Sequence[Case], tell: Callable[[str], None]) -> dict[str, float]:
    """Return the instructions a row of each case: of two more epochs, so that what happens once does not count."""
    counts = {}
    for case in cases:
        tell(str(case))
        more = total(driver, case, 3) - total(driver, case, 1)
        counts[str(case)] = round(more / (2 * case.rows), 2)
    return counts


def compare(counts: dict[str, float], kept: dict[str, Any], console: Console) -> bool:
    """Print all counts beside those kept; return whether none moved by more than the tolerance."""
    table = Table(
        title=f"Instructions a row, level {level()}", box=rich.box.SIMPLE_HEAD, title_justify="left", pad_edge=False
    )
    table.add_column("case", no_wrap=True)
    for name in ("kept", "now", "change"):
        table.add_column(name, justify="right")
    steady = True
    for name in [*counts, *(name for name in kept["instructions_per_row"] if name not in counts)]:
        before, now = kept["instructions_per_row"].get(name), counts.get(name)
        if before is None or now is None:
            table.add_row(name, _shown(before), _shown(now), "new" if before is None else "gone", style="yellow")
            steady = False
            continue
        change = now / before - 1
        moved = abs(change) > TOLERANCE
        steady = steady and not moved
        style = "" if not moved else "red" if change > 0 else "green"
        table.add_row(name, _shown(before), _shown(now), f"{change:+.1%}", style=style)
    console.print(table)
    return steady


def _shown(number: float | None) -> str:
    return "" if number is None else f"{number:,.1f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, count, and compare or write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--update", action="store_true", help="keep these counts from now on")
    parser.add_argument("--only", default="", help="count the cases whose name holds this")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "instructions", help="where to compile")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    if options.update and options.only:
        parser.error("--update keeps all counts, so it does not go with --only")
    for tool in ("valgrind", "cmake"):
        if shutil.which(tool) is None:
            parser.error(f"{tool} is needed and not installed")
    with console.status("compiling the core") as status:
        counts = count(build(options.build), [c for c in all_cases() if options.only in str(c)], status.update)
    version = run([*compiler().split(), "--version"]).stdout.partition("\n")[0]
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {"instructions_per_row": {}}
    if kept.get("compiler", version) != version:
        console.print(f"The counts kept are of another compiler, {kept['compiler']}, than this {version}.")
    if options.only:
        known = kept["instructions_per_row"]
        kept = kept | {"instructions_per_row": {name: known[name] for name in counts if name in known}}
    steady = compare(counts, kept, console)
    if options.update:
        document = {"compiler": version, "level": level(), "instructions_per_row": counts}
        KEPT.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        console.print(f"Written to {KEPT}", markup=False)
        return 0
    if not steady:
        console.print(f"Some counts moved by more than {TOLERANCE:.0%}; --update keeps them.")
    return 0 if steady else 1


if __name__ == "__main__":
    raise SystemExit(main())
