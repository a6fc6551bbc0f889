"""What a sweep leaves behind: files, pictures, a screen, and the command ``steepest sweep``."""

import csv
import json
import math
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as pyplot
import numpy as np
import pytest
import rich.console
from typer.testing import CliRunner

import steepest as st
from steepest._commands import app
from test_sweep import KEYS, P5, column, rows

pytestmark = pytest.mark.usefixtures("in_an_empty_directory")


def test_tables_go_to_files_and_back() -> None:
    steps = [0.1, 1e4, None, "auto", st.schedules.InverseScaling(0.5)]
    result = st.sweep("mse", rows(100), methods=["gd", st.optim.SGD()], batch_sizes=[10], step_sizes=steps, seed=0)
    assert any(column(result, "diverged"))
    result.to_csv("table.csv")
    with open("table.csv", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(result.table) == 10
    for line, row in zip(lines, result.table, strict=True):
        assert line.keys() == KEYS - {"curve"}
        assert int(line["batch_size"]) == row["batch_size"]
        assert float(line["objective"]) == row["objective"]
        assert float(line["rows_per_second"]) == row["rows_per_second"]
        assert line["diverged"] == str(row["diverged"]).lower()
        assert (float(line["time_to_target"]) if line["time_to_target"] else None) == row["time_to_target"]
    assert [line["step_size"] for line in lines[:3]] == ["0.1", "10000.0", ""]
    result.to_json(Path("all.json"))
    document = json.loads(Path("all.json").read_text(encoding="utf-8"))
    assert document["advice"] == result.advice
    assert document["table"][document["best"]]["objective"] == result.best["objective"]
    assert (document["rows"], document["seed"], document["status"]) == (100, 0, "ran_all_epochs")
    for line, row in zip(document["table"], result.table, strict=True):
        assert line.keys() == KEYS
        assert line["curve"]["seconds"] == row["curve"]["seconds"]
        assert line["objective"] == (row["objective"] if math.isfinite(row["objective"]) else None)


@pytest.mark.parametrize("against", [None, "time", "epochs", "step_size"])
@pytest.mark.parametrize("steps", [None, [1e-3, 1e-2, 1e-1, 1e6]])
def test_pictures(against: str | None, steps: Any) -> None:
    result = st.sweep("log_loss", rows(300), batch_sizes=[32, 64, 128], step_sizes=steps, epochs=4, seed=0)
    own = pyplot.subplots()[1]
    if steps is None and against == "step_size":
        with pytest.raises(ValueError, match="no step size is a number"):
            result.plot(own, against)
    else:
        assert result.plot(own, against) is own
        texts = [text.get_text() for text in own.get_legend().get_texts()]
        shown = "step size" if against == "step_size" or (against is None and steps) else against or "time"
        assert shown in own.get_xlabel()
        assert any("32" in text for text in texts)
        assert len(own.get_lines()) > 3
        other = result.plot(against=against)
        assert other.figure is not own.figure
        other.figure.canvas.draw()
    pyplot.close("all")
    with pytest.raises(ValueError, match="against must be"):
        result.plot(against="money")


def test_many_candidates_have_a_short_legend() -> None:
    result = st.sweep("mse", rows(200), step_sizes=np.geomspace(1e-5, 1e5, 15), epochs=2, seed=0)
    axes = result.plot(against="time")
    assert len(result.table) == 45
    assert len(axes.get_legend().get_texts()) <= 13
    pyplot.close("all")


def test_the_table_fits_a_terminal() -> None:
    console = rich.console.Console(width=80, record=True, file=open("screen", "w", encoding="utf-8"))  # noqa: SIM115
    result = st.sweep("log_loss", rows(), methods=["gd", "sgd"], step_sizes=[1e-3, 1e5, None], epochs=2, seed=0)
    console.print(result)
    console.file.close()
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    for row in result.table:
        assert sum(f"{row['objective']:.5g}" in line for line in lines) >= 1
    assert len([line for line in str(result).splitlines() if "gd" in line.split()]) >= 3
    assert str(result).endswith(result.advice)
    assert result.advice in repr(result)


@pytest.mark.parametrize("progress", ["lines", "bar", True])
def test_progress(progress: Any, capsys: pytest.CaptureFixture[str]) -> None:
    st.sweep("mse", P5, batch_sizes=[1, 5], epochs=2, seed=0, progress=progress)
    printed = capsys.readouterr()
    assert printed.out == ""
    if progress != "bar":
        assert "batch 5, step computed, sgd: objective" in printed.err
        assert printed.err.count("\n") == 4


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["sweep", *map(str, arguments)])


def test_command_help_fits_a_terminal() -> None:
    shown = run("--help")
    assert shown.exit_code == 0
    assert max(map(len, shown.stdout.splitlines())) <= 80
    for option in ("--target", "--batch-sizes", "--step-sizes", "--methods", "--budget", "--csv", "--json", "--figure"):
        assert option in shown.stdout


def test_command_is_the_sweep() -> None:
    X, y = rows()
    np.savez("rows.npz", X=X, y=y)
    shown = run(
        "rows.npz",
        "-l",
        "log_loss",
        "-s",
        2,
        "-e",
        2,
        "-b",
        "32,64,5000",
        "--json",
        "all.json",
        "--csv",
        "t.csv",
        "--figure",
        "picture.png",
        "--progress",
        "--step-sizes",
        "0.1, computed",
        "-p",
        "l2",
        "--alpha",
        "0.01",
    )
    assert shown.exit_code == 0, shown.stderr
    expected = st.sweep(
        "log_loss",
        (X, y),
        seed=2,
        epochs=2,
        batch_sizes=[32, 64, 5000],
        step_sizes=[0.1, None],
        penalty=st.L2(0.01),
        fit_intercept=True,
    )
    document = json.loads(Path("all.json").read_text())
    assert [row["objective"] for row in document["table"]] == column(expected, "objective")
    assert [row["batch_size"] for row in document["table"]] == [32, 64, 1000, 32, 64, 1000]
    assert " ".join(document["advice"].split()) in " ".join(shown.stdout.split())
    assert "5,000 is more than" in " ".join(shown.stdout.split())
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert "batch 32, step 0.1, sgd: objective" in shown.stderr
    assert Path("t.csv").read_text().count("\n") == 7
    assert Path("picture.png").read_bytes()[:4] == b"\x89PNG"
    quiet = run("rows.npz", "-l", "log_loss", "-q", "-e", 1, "--budget", "1e-9")
    assert (quiet.exit_code, quiet.stderr) == (0, "")
    assert "ran out: 1 of 5 candidates" in " ".join(quiet.stdout.split())


def test_command_exits_with_1_where_everything_diverged() -> None:
    np.save("p5.npy", P5)
    shown = run("p5.npy", "-l", "mse", "--step-sizes", "1e9")
    assert shown.exit_code == 1
    assert "Every candidate diverged" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "Missing argument"),
        ("p5.npy -b 32,x", "--batch-sizes takes whole numbers with commas, such as 32,64,128, not 'x'"),
        ("p5.npy -b 0", "batch_sizes[0] must be at least 1"),
        ("p5.npy -b ,", "--batch-sizes takes whole numbers"),
        ("p5.npy --step-sizes 1,x", "--step-sizes takes a number, not 'x'"),
        ("p5.npy --step-sizes -1", "step_sizes[0]: step_size must be positive"),
        ("p5.npy -m sgd,nope", "unknown method 'nope'"),
        ("p5.npy -e 0", "epochs must be at least 1"),
        ("p5.npy --budget 0", "budget must be a positive"),
        ("p5.npy --objective nan", "target must be finite"),
        ("p5.npy --json no/where.json", "--json no/where.json: there is no directory no"),
        ("p5.npy --csv .", "--csv . is a directory"),
        ("p5.npy --figure no/where.png", "--figure no/where.png: there is no directory no"),
        ("p5.npy -l nope", "unknown loss 'nope'"),
        ("none.npy", "none.npy: No such file"),
        ("wide.npy", "--target is needed"),
    ],
)
def test_command_errors_are_one_line(arguments: str, message: str) -> None:
    np.save("p5.npy", P5)
    np.save("wide.npy", rows(20)[0])
    shown = run(*arguments.split())
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert shown.stderr.startswith("steepest: ")
    assert message in shown.stderr
    assert shown.stderr.count("\n") == 1


def test_ctrl_c_keeps_what_was_measured() -> None:
    X, y = rows(2000)
    np.savez("rows.npz", X=X, y=y)
    arguments = ["rows.npz", "-b", "1,2", "-e", "1000000000", "--step-sizes", "1e-4", "--json", "all.json", "-s", "0"]
    arguments.append("--progress")
    command = [sys.executable, "-m", "steepest", "sweep", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for size in (1, 2):
            assert f"batch {size}" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        printed, complaints = process.communicate(timeout=60)
    assert process.returncode == 130, complaints
    assert "Traceback" not in complaints
    document = json.loads(Path("all.json").read_text())
    assert document["status"] == "interrupted"
    assert [row["batch_size"] for row in document["table"]] == [1, 2]
    assert all(row["epochs"] >= 1 for row in document["table"])
    assert "Interrupted: 2 of 2 candidates" in " ".join(printed.split())


@pytest.mark.parametrize("form", ["csv", "json"])
def test_tables_are_replaced_as_a_whole(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result = st.sweep("mse", P5, batch_sizes=[5])
    write = getattr(result, f"to_{form}")
    path = Path(f"table.{form}")
    path.write_text("before", encoding="utf-8")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match=path.name):
            write(path)
    assert path.read_text(encoding="utf-8") == "before"
    write(str(path))
    assert "batch_size" in path.read_text(encoding="utf-8")
    assert [each.name for each in Path().iterdir()] == [path.name]
