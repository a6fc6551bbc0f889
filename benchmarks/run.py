"""Measure steepest against the memory, the NumPy reference and whatever peers are installed, all in one run.

`make bench` runs this; `make bench ARGS="--quick"` takes seconds. Others at work on the machine show in the quartiles.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bare
import cases
import rivals
from epochs import Group, compare, make_rows, random_order
from goals import SMALLEST_BATCH, judge
from machine import describe, thread_counts
from page import fill
from report import draw, print_cases, print_goals, print_group, print_machine
from rich.console import Console

CONSTANT_VALUES = 20_000_000
CONSTANT_BATCH = 256


def positive(text: str) -> float:
    """Read a positive number."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def count(text: str) -> int:
    """Read a positive whole number."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return number


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--gigabytes", type=positive, default=1.0, help="rows and targets of each case (default 1)")
    parser.add_argument("--features", type=count, nargs="+", default=[1, 28, 128, 784])
    parser.add_argument("--batch-sizes", type=count, nargs="+", default=[1, 32, 256, 4096])
    parser.add_argument("--repeats", type=count, default=5, help="medians are over so many rounds (default 5)")
    parser.add_argument("--seconds", type=positive, default=8.0, help="a case that took longer is not repeated")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--figure", type=Path, help="draw the speeds below the memory's roof into this file")
    parser.add_argument("--page", type=Path, help="put the ratios between the marks of this page in Markdown")
    parser.add_argument("--only-epochs", action="store_true", help="leave out the cases beside the epochs")
    parser.add_argument("--quick", action="store_true", help="small data and few rounds: a look, not a measurement")
    options = parser.parse_args(arguments)
    if options.quick:
        given = vars(parser.parse_args([*(arguments if arguments is not None else sys.argv[1:])]))
        small = {"gigabytes": 0.05, "features": [28], "batch_sizes": [1, 32, 256], "repeats": 3, "seconds": 0.3}
        for name, value in small.items():
            if given[name] == parser.get_default(name):
                setattr(options, name, value)
    return options


def constant_model(values: int, repeats: int, seconds: float, tell: Any) -> Group:
    """Compare everybody on the constant model."""
    return compare(None, cases.constant_values(values), [CONSTANT_BATCH], repeats, seconds, tell)


def limits_of_batches(X: Any, y: Any, batches: Sequence[int]) -> dict[str, dict[int, dict[int, float]]]:
    """Return the nanoseconds a row of the bare loop, by order, batch size and number of threads, two at the most."""
    counts = thread_counts()
    sizes = [batch for batch in batches if SMALLEST_BATCH <= batch <= len(y) and batch.bit_count() == 1]
    if counts[-1] > 2 or X.shape[1] < bare.FEWEST_FEATURES or not sizes:
        return {}
    return {
        name: {
            batch: {threads: bare.batches(X, y, batch, threads, order) * 1e9 for threads in counts} for batch in sizes
        }
        for name, order in (("stream", None), ("full", random_order(len(y))))
    }


def measure(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Measure everything; what is there when Ctrl-C comes is kept."""
    results: dict[str, Any] = {"machine": describe(), "options": vars(options), "groups": []}
    print_machine(console, results["machine"], options.gigabytes)
    try:
        with console.status("comparing results") as status:

            def tell(text: str) -> None:
                status.update(text)

            results["missing"] = rivals.check(thread_counts())
            for name, why in results["missing"].items():
                console.print(f"{name} is left out: {why}", style="yellow")
            for features in options.features:
                tell(f"generating rows of {features} features")
                X, y = make_rows(features, options.gigabytes, seed=features)
                group = compare(X, y, options.batch_sizes, options.repeats, options.seconds, tell)
                results["groups"].append(group)
                print_group(console, group)
                if not options.only_epochs:
                    tell("the bare loop over batches")
                    group.limits = limits_of_batches(X, y, options.batch_sizes)
                    tell("batches in the cache")
                    alone = cases.cached(features, SMALLEST_BATCH, options.repeats)
                    results.setdefault("cached_ns", {})[features] = alone
                    tell("full gradient")
                    gradient = cases.full_gradient(X, y, options.repeats, options.seconds)
                    results.setdefault("full_gradient", []).append(gradient)
                del X, y
            if not options.only_epochs:
                measure_cases(options, results, console, tell)
    except KeyboardInterrupt:
        console.print("Interrupted; this is what was measured until then.")
    return results


def measure_cases(options: argparse.Namespace, results: dict[str, Any], console: Console, tell: Any) -> None:
    """Measure what is no comparison of epochs."""
    values = max(4096, min(CONSTANT_VALUES, int(options.gigabytes * 1e9 / 4)))
    tell("constant model")
    results["constant"] = constant_model(values, options.repeats, options.seconds, tell)
    print_group(console, results["constant"])
    tell("the textbook's call")
    results["textbook"] = cases.textbook()
    tell("growth with rows, features and batch size")
    results["growth"] = cases.growth(options.gigabytes, options.repeats, options.seconds)
    tell("Ctrl-C")
    results["interruption_seconds"] = cases.interruption(
        2 if options.quick else 7, 20_000 if options.quick else 500_000
    )
    tell("peak memory")
    results["memory"] = cases.memory(20_000 if options.quick else 1_000_000, 64)


def as_json(results: dict[str, Any]) -> str:
    """Write everything down."""

    def plain(value: Any) -> Any:
        if isinstance(value, Group):
            return {
                "features": value.features,
                "rows": value.rows,
                "row_bytes": value.row_bytes,
                "read": [one.as_dict() for one in value.read.values()],
                "gather": [one.as_dict() for one in value.gather.values()],
                "contenders": [one.as_dict() for one in value.contenders],
                "limits": value.limits,
            }
        return str(value)

    document = results | {"goals": [goal.as_dict() for goal in judge(results)]}
    return json.dumps(document, indent=1, default=plain, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write, draw."""
    options = parse(arguments)
    for path in (options.json, options.figure):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    # A pipe has no width of its own, and these tables are wide.
    width = None if sys.stdout.isatty() else 160
    console = Console(width=width, highlight=False, soft_wrap=False)
    began = time.perf_counter()
    results = measure(options, console)
    results["minutes"] = (time.perf_counter() - began) / 60
    print_cases(console, results)
    goals = judge(results)
    if goals:
        print_goals(console, goals)
    if options.json is not None:
        options.json.write_text(as_json(results), encoding="utf-8")
        console.print(f"All figures: {options.json}", markup=False)
    if options.figure is not None and results["groups"]:
        draw(results["groups"], results["machine"], options.figure)
        console.print(f"The picture: {options.figure}", markup=False)
    if options.page is not None and results["groups"]:
        fill(options.page, results, goals)
        console.print(f"The page: {options.page}", markup=False)
    console.print(f"Measured in {results['minutes']:.1f} minutes.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
