"""The part of a page of the documentation that one run fills in: ratios, since bare times belong to one machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from epochs import Group
from goals import Goal, fastest
from report import limits

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
VERDICTS = {"met": "met", "least": "above the least", "beyond": "beyond this machine", "missed": "missed"}


def table(head: Sequence[str], lines: Sequence[Sequence[str]], left: int = 1) -> Iterator[str]:
    """Yield a table in Markdown, the first columns to the left and the others to the right."""
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---' if i < left else '---:' for i in range(len(head)))} |"
    for line in lines:
        yield f"| {' | '.join(line)} |"


def epoch_lines(group: Group) -> Iterator[list[str]]:
    """Yield a line for each batch size and order of steepest."""
    name = str(group.features) if group.features else "constant model"
    for batch in sorted({one.batch for one in group.of("steepest") if one.batch is not None}):
        rivals = group.of("peer", batch)
        best = fastest(rivals) if rivals else None
        reference = next((one for one in rivals if one.name == "NumPy"), None)
        for order in ("stream", "full"):
            own = fastest(group.of("steepest", batch, order))
            gather = group.gather[own.threads]
            yield [
                name,
                f"{batch:,}",
                order,
                f"{own.gigabytes / group.roof:.0%}",
                f"{own.gigabytes / gather.gigabytes:.2g} ×",
                f"{best.counted_ns / own.counted_ns:.3g} × {best.name}" if best else "",
                f"{reference.counted_ns / own.counted_ns:.3g} ×" if reference else "",
            ]


def figures(results: Mapping[str, Any], goals: Sequence[Goal]) -> str:
    """Return machine, ratios and goals as Markdown."""
    machine = results["machine"]
    known = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    cache = machine["last_cache_bytes"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, CPU level {machine['level']}"
        + (f", a last cache of {cache / 1e6:,.0f} MB" if cache else "")
        + f", {results['options']['gigabytes']:g} GB of rows in each case, medians of up to "
        f"{results['options']['repeats']} interleaved rounds; {known}.",
        "",
    ]
    groups = [*results["groups"], *([results["constant"]] if "constant" in results else [])]
    roofs = ["of a sequential read", "of a bare gather"]
    head = ["features", "batch", "order", *roofs, "over the best peer", "over NumPy"]
    lines += table(head, [line for group in groups for line in epoch_lines(group)], left=3)
    lines += ["", "Here every shuffle is counted, steepest's and the peers'. What the project set itself:", ""]
    lines += table(
        ["case", "goal", "measured", "the bare loop", ""],
        [
            [
                goal.case,
                f"{'≤' if goal.at_most else '≥'} {goal.show(goal.goal)}",
                goal.show(goal.measured),
                "" if goal.limit is None else goal.show(goal.limit),
                VERDICTS[goal.verdict],
            ]
            for goal in goals
        ],
    )
    if told := list(limits(results)):
        lines += ["", *told]
    return "\n".join(lines) + "\n"


def fill(page: Path, results: Mapping[str, Any], goals: Sequence[Goal]) -> None:
    """Put the figures of a run between the two marks of a page.

    Raises
    ------
    ValueError
        Where the page lacks the marks.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} lacks the lines {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{figures(results, goals)}\n{END}{after}", encoding="utf-8")
