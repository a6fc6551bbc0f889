"""The benchmarks run: on so few rows that nothing is measured, but everything is called."""

import ctypes
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import steepest as st

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
PNG = b"\x89PNG\r\n\x1a\n"
SMALL = ["--megabytes", "0.1", "--reference-updates", "20"]


def run(*arguments: object) -> str:
    """Run Python in the project's root and return what it printed."""
    command = [sys.executable, *map(str, arguments)]
    # pytest-benchmark measures nothing where it believes to share the machine with other workers of this run.
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    done = subprocess.run(command, cwd=ROOT, env=outside, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def pytest_run(*arguments: object) -> str:
    return run("-m", "pytest", "benchmarks", "-q", "-p", "no:cacheprovider", *SMALL, *arguments)


def test_every_benchmark_runs() -> None:
    last = pytest_run("--benchmark-disable").strip().splitlines()[-1]
    assert re.fullmatch(r"\d+ passed in .*", last), last
    # Every loss in two types, five ways each, at the least.
    assert int(last.split()[0]) > len(st.losses.available()) * 2 * 5


def test_every_member_has_a_benchmark() -> None:
    """One that joins a list is measured without a word."""
    collected = pytest_run("--collect-only")
    for dtype in ("float32", "float64"):
        for name in st.losses.available():
            found = re.findall(rf"test_evaluation\.py::Test\w+::test_(\w+)\[{name}-{dtype}\]", collected)
            assert sorted(found) == ["formula", "formula_gradient", "gradient", "kernel", "value"], name
        for name in st.optim.available():
            assert f"test_lists.py::test_step[{name}-{dtype}]" in collected
    for name in st.penalties.available():
        assert f"test_lists.py::TestPenalty::test_value[{name}]" in collected


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return what pytest-benchmark writes down of a few benchmarks."""
    path = tmp_path_factory.mktemp("measured") / "measured.json"
    few = "sequential_read or (huber and float32) or (TestEpoch and 28-32)"
    pytest_run("-k", few, "--benchmark-json", path, "--benchmark-max-time", "0.01", "--benchmark-min-rounds", "2")
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
    return found


def test_results_hold_speed_and_share_of_a_sequential_read(measured: list[dict[str, Any]]) -> None:
    assert len({one["name"] for one in measured}) > 8
    for one in measured:
        extra = one["extra_info"]
        assert extra["rows_per_second"] == pytest.approx(extra["rows"] / one["stats"]["median"]), one["name"]
        assert extra["gigabytes_per_second"] == pytest.approx(extra["bytes"] / one["stats"]["median"] / 1e9)
        share = extra["sequential_read_seconds"] / one["stats"]["median"]
        assert extra["share_of_sequential_read"] == pytest.approx(share)


def test_epochs_hold_the_objective_reached(measured: list[dict[str, Any]]) -> None:
    objectives = {one["name"]: one["extra_info"]["objective"] for one in measured if "Epoch" in one["fullname"]}
    assert {name.partition("[")[0] for name in objectives} == {"test_kernel", "test_reference"}
    assert all(0 < objective < 0.7 for objective in objectives.values()), objectives


def test_make_bench_writes_table_json_picture_and_page(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    before = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    page.write_text(before, encoding="utf-8")
    output = run(
        "benchmarks/run.py", "--quick", "--gigabytes", "0.002", "--batch-sizes", "1", "32", "--repeats", "2",
        "--json", tmp_path / "all.json", "--figure", tmp_path / "roof.png",
        "--page", page,
    )  # fmt: skip
    assert (tmp_path / "roof.png").read_bytes().startswith(PNG)
    found = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    assert {"machine", "groups", "full_gradient", "constant", "textbook", "growth", "memory", "goals"} <= found.keys()
    (group,) = found["groups"]
    names = {(one["name"], one["batch"]) for one in group["contenders"]}
    assert {("steepest", 1), ("steepest", 32), ("NumPy", 32), ("scikit-learn SGD", 1)} <= names
    assert ("scikit-learn SGD", 32) not in names
    for one in group["contenders"]:
        assert one["rows"] > 0, one
        assert min(one["seconds"]) > 0, one
        assert 0 < one["objective"] < 0.7, one
    for peer in found["missing"]:
        assert f"{peer} is left out" in output
    assert {goal["verdict"] for goal in found["goals"]} <= {"met", "least", "beyond", "missed"}
    limits = group["limits"]
    assert (limits.keys() == {"stream", "full"}) == (found["machine"]["threads"] <= 2)
    assert all(ns > 0 for by_batch in limits.values() for by_threads in by_batch.values() for ns in by_threads.values())
    judged = [goal for goal in found["goals"] if "bare gather" in goal["case"] or "fastest seq" in goal["case"]]
    assert len(judged) >= 2
    assert all((goal["limit"] is not None) == bool(limits) for goal in judged)
    after = page.read_text(encoding="utf-8")
    begin, end = "<!-- figures: begin -->", "<!-- figures: end -->"
    assert after.partition(begin)[0] == before.partition(begin)[0]
    assert after.partition(end)[2] == before.partition(end)[2]
    assert re.search(r"^\| 28 \| 32 \| stream \| \d+% \|", after, re.M)
    for goal in found["goals"]:
        assert goal["case"] in output
        assert goal["case"] in after


def test_a_goal_that_the_bare_loop_misses_too_is_beyond_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import goals

    def verdict(*numbers: float, **options: Any) -> str:
        return str(goals.Goal("", *numbers, **options).verdict)

    assert verdict(0.8, 0.75) == verdict(0.8, 0.75, 0.5, limit=0.6) == "met"
    assert verdict(0.7, 0.75) == verdict(0.7, 0.75, limit=0.76) == "missed"
    assert verdict(0.7, 0.75, limit=0.74) == "beyond"
    # Between goal and least the goal counts, below the least that.
    assert verdict(0.7, 0.75, 0.5) == verdict(0.7, 0.75, 0.5, limit=0.76) == "least"
    assert verdict(0.7, 0.75, 0.5, limit=0.74) == verdict(0.4, 0.75, 0.5, limit=0.45) == "beyond"
    assert verdict(0.4, 0.75, 0.5, limit=0.7) == "missed"
    assert verdict(1.5, 1.15, at_most=True, limit=1.2) == "beyond"
    assert verdict(1.5, 1.15, at_most=True, limit=1.1) == "missed"
    # A loop that is slower than what was measured bounds nothing.
    assert verdict(0.7, 0.75, limit=0.69) == verdict(1.5, 1.15, at_most=True, limit=1.6) == "missed"
    assert verdict(0.7, 0.75, 0.5, limit=0.69) == "least"

    # What is missed though it could be reached comes before what could not.
    def hardest(goal: float, least: float | None, *numbers: tuple[float, float]) -> float:
        return float(
            goals.hardest([goals.Goal("", share, goal, least, limit=limit) for share, limit in numbers]).measured
        )

    assert hardest(0.8, None, (0.5, 0.6), (0.7, 0.9), (0.9, 0.95)) == 0.7
    assert hardest(0.8, None, (0.5, 0.6), (0.85, 0.9)) == 0.5
    assert hardest(0.6, 0.45, (0.4, 0.55), (0.58, 0.9)) == 0.4
    assert hardest(0.6, 0.45, (0.3, 0.4), (0.4, 0.55)) == 0.4


def test_the_bare_loop_reads_every_row_of_whole_batches_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import bare

    sums = set()
    for threads, way in itertools.product((1, 2), range(3)):
        rng = np.random.default_rng([threads, way])
        X, y = rng.random((200, 48), dtype=np.float32), rng.random(200, dtype=np.float32)
        order, total = rng.permutation(200).astype(np.uint32), ctypes.c_float()
        rows = X.ctypes.data, 48, y.ctypes.data, order.ctypes.data, 200
        assert bare._library().bare_batches(*rows, 32, threads, way, ctypes.byref(total)) > 0
        whole = order[:192]
        assert total.value == pytest.approx(2 * X[whole].sum() + y[whole].sum(), rel=1e-4)
        assert bare.batches(X, y, 32, threads, order, repeats=1) > 0
        sums.add(total.value)
    assert len(sums) == 6


def test_losses_of_ones_own_are_compared_with_the_built_in_ones() -> None:
    output = run("benchmarks/tracing.py", "--rows", "5000", "--repeats", "1")
    assert len(re.findall("traced, over the built-in", output)) == 17
    assert "NumPy callables" in output
    assert "Left out: jax is not installed" in output or "JAX scan" in output


def test_softmax_is_compared_with_the_limit_of_arithmetic() -> None:
    output = run("benchmarks/softmax.py", "--rows", "1000", "--repeats", "1")
    for name in ("multiply-adds alone", "steepest, stream", "steepest, the same order"):
        assert re.search(rf"{name} +[\d.]+ s +[\d.]+ Gflop/s, +[\d.]+ of processor time", output)
    assert "of the multiply-adds' peak" in output


def test_sparse_rows_are_compared_with_scikit_learn() -> None:
    output = run("benchmarks/sparse_rows.py", "--rows", "5000", "--columns", "500", "--repeats", "1")
    cases = ("stream, the others empty", "stream, the same met anywhere among them", "stream, all of them met")
    for name in ("bare loop", "L1", "L2"):
        for case in (*cases, "full, all of them met"):
            assert re.search(rf"{name}, {case}: 10,000 columns [\d.]+ us a batch", output)
    for name in ("L1", "L2"):
        assert re.search(rf"{name}: scikit-learn [\d.]+ million rows/s, stream [\d.]+ million rows/s", output)
        assert re.search(rf"{name}, end of an epoch: 10,000 columns [\d.]+ ms", output)


def test_estimators_are_compared_with_scikit_learn(tmp_path: Path) -> None:
    small = ["--rows", "2000", "--sparse-rows", "2000", "--columns", "500", "--repeats", "2"]
    output = run("benchmarks/estimators.py", *small, "--json", tmp_path / "estimators.json")
    found = json.loads((tmp_path / "estimators.json").read_text(encoding="utf-8"))
    assert [(one["kind"], one["goal"]) for one in found if one["goal"]] == [
        ("CSR", 3),
        ("CSR", 5),
        ("dense", 3),
        ("dense", 10),
    ]
    for one in found:
        assert re.search(rf"{one['kind']} +{one['name']} .* times.* by processor time, accuracy 0\.\d+", output)
        assert 0.5 < one["accuracy"] < 0.95


def test_proof_of_the_order_draws_its_picture(tmp_path: Path) -> None:
    small = ["--sizes", "90000x28", "--batch-sizes", "256", "--seeds", "2"]
    written = ["--figure", tmp_path / "order.png", "--json", tmp_path / "order.json"]
    output = run("benchmarks/convergence.py", *small, *written)
    assert (tmp_path / "order.png").read_bytes().startswith(PNG)
    learnt = json.loads((tmp_path / "order.json").read_text(encoding="utf-8"))
    assert {one["kind"] for one in learnt} == {"shuffled", "sorted by class", "sorted by time"}
    for one in learnt:
        assert one["kind"] in output
        for order in ("full", "stream"):
            first, second = one["objective"][order]
            assert first != second, "another seed is another order"
            assert min(*first, *second) > one["optimum"]
    by_class = next(one for one in learnt if one["kind"] == "sorted by class")
    final = {order: runs[0][-1] for order, runs in by_class["objective"].items()}
    assert final["in sequence"] > 1.5 * final["full"], "sorted by class must be a hardship"


def test_counts_of_instructions_are_kept_for_every_case() -> None:
    kept = json.loads((BENCHMARKS / "instructions.json").read_text(encoding="utf-8"))
    code = "import instructions, json; print(json.dumps([str(case) for case in instructions.all_cases()]))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=BENCHMARKS, capture_output=True, text=True, check=True)
    cases = json.loads(done.stdout)
    assert len(set(cases)) == len(cases) > 10
    assert set(cases) == set(kept["instructions_per_row"])
    assert min(kept["instructions_per_row"].values()) > 1


def test_narrow_types_and_peaks_of_memory(tmp_path: Path) -> None:
    timed = run("benchmarks/narrow.py", "--rows", 2000, "--features", 20, "--batches", 1, 64, "--repeats", 1)
    assert re.findall(r"batch +(\d+), million rows/s: float32 .*uint8 .*float16", timed) == ["1", "64"]
    page = tmp_path / "memory.md"
    run("benchmarks/memory.py", "--rows", 9000, "--features", 8, "--only", "uint8, F order", "--output", page)
    assert "| uint8, F order | 0 | 0 MB" in page.read_text(encoding="utf-8")
