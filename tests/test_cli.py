"""The command line: demo, fit and info, its errors and its exit codes."""

import json
import os
import signal
import struct
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import steepest as st
from commands import run
from steepest import _demo, _fit, cli
from steepest._commands import FIT_METHODS, METHODS, app
from steepest._saved import load_model

pytestmark = pytest.mark.usefixtures("in_an_empty_directory")

# What the two tables of the demo have to show.
SOURCES = ["14.6", "15.0", "15.5", "14.658511131035242", "15.506849531471964", "-14.508046", "18.395415"]


def fitted(*arguments: Any) -> dict[str, Any]:
    """Run a fit that succeeds and return what it wrote."""
    result = run("fit", *arguments, "--quiet", "--output", "fitted.json")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    return json.loads(Path("fitted.json").read_text(encoding="utf-8"))


def rows(n: int = 50, labels: bool = False) -> tuple[Any, Any]:
    draw = np.random.default_rng(n)
    X = draw.standard_normal((n, 3))
    y = X @ [1.0, -2.0, 0.5] + 0.3 + 0.1 * draw.standard_normal(n)
    assert len(np.unique(y > 0)) == 2
    return X, np.where(y > 0, 1.0, 0.0) if labels else y


def write_csv(path: str, names: str | None, *columns: Any, delimiter: str = ",") -> Path:
    lines = [] if names is None else [names]
    lines += [delimiter.join(str(cell) for cell in cells) for cells in zip(*columns, strict=True)]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Path(path)


@pytest.mark.parametrize("command", [[], ["demo"], ["fit"], ["info"]])
def test_help_fits_a_terminal(command: list[str]) -> None:
    shown = run(*command, "--help")
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert len(lines) > 5
    assert max(map(len, lines)) <= 80
    assert run(*command, "-h").stdout == shown.stdout


def test_help_lists_what_the_registries_hold() -> None:
    shown = run("fit", "--help").stdout
    for name in (*st.losses.available(), *st.penalties.available(), *st.optim.available()):
        assert name in shown


def test_without_a_command_the_help_is_shown() -> None:
    shown = run()
    assert shown.exit_code == 0
    assert all(command in shown.stdout for command in ("demo", "fit", "info"))


def test_info_and_version() -> None:
    shown = run("info")
    assert shown.exit_code == 0
    assert f"steepest     {st.__version__}" in shown.stdout
    assert "CPU level" in shown.stdout
    assert run("--version").stdout == f"steepest {st.__version__}\n"


def test_module_runs_as_a_program() -> None:
    write_csv("pairs.csv", "x,y", [1, 2, 3], [2, 4, 6])
    command = [sys.executable, "-W", "error", "-m", "steepest", "fit", "pairs.csv", "-t", "y", "--no-intercept"]
    command += ["--progress", "-o", "params.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pairs.csv: 3 rows, 1 feature, target y" in done.stdout
    assert "epoch 1: objective" in done.stderr
    assert json.loads(Path("params.json").read_text())["coef"] == [pytest.approx(2.0, abs=0.1)]


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for module in ("typer", "rich"):
        with monkeypatch.context() as without:
            without.setitem(sys.modules, module, None)
            with pytest.raises(SystemExit) as ended:
                cli.main()
        assert ended.value.code == 1
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        assert "pip install '.[cli]'" in message
        assert module in message


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fit_is_minimize(dtype: Any, intercept: bool) -> None:
    X, y = (part.astype(dtype) for part in rows())
    np.save("rows.npy", np.column_stack([X, y]))
    np.savez("rows.npz", X=X, y=y)
    flag = "--intercept" if intercept else "--no-intercept"
    options = ["-l", "huber", "--loss-param", "delta=0.5", "-p", "elastic_net", "--alpha", 0.01, "--l1-ratio", 0.25]
    options += ["-b", 8, "-e", 7, "--step-size", 0.05, "-s", 3, "-m", "sgd", flag]
    expected = st.minimize(
        st.losses.Huber(delta=0.5),
        (X, y),
        penalty=st.ElasticNet(0.01, 0.25),
        batch_size=8,
        epochs=7,
        step_size=0.05,
        seed=3,
        method="sgd",
        fit_intercept=intercept,
    )
    written = [fitted("rows.npy", "-t", -1, *options), fitted("rows.npz", *options)]
    for document in written:
        assert document["coef"] == expected.coef.tolist()
        assert document["intercept"] == float(expected.intercept)
        assert document["objective"] == float(expected.fun)
        assert document["loss"] == {"name": "huber", "delta": 0.5}
        assert document["penalty"] == {"name": "elastic_net", "alpha": 0.01, "l1_ratio": 0.25}
        assert (document["seed"], document["rows"], document["epochs"]) == (3, 50, 7)
        assert (document["model"], document["classes"], document["success"]) == ("linear", None, True)
    assert (written[0]["target"], written[1]["target"]) == ("3", "y")
    assert written[0]["features"] == written[1]["features"] == ["0", "1", "2"]


@pytest.mark.parametrize("name", st.losses.available())
def test_every_loss_can_be_chosen(name: str) -> None:
    loss = st.losses.get(name)
    X, y = rows(labels=loss.target in ("binary", "labels"))
    y = y if loss.target in ("binary", "labels") else np.exp(y)
    if loss.kind == "scores" and loss.target != "labels":
        y = np.stack([y, np.roll(y, 1)], axis=1)
    np.savez("rows.npz", X=X, y=y)
    document = fitted("rows.npz", "--loss", name.upper(), "-e", 3, "-s", 1)
    expected = st.minimize(name, (X, y), epochs=3, seed=1, fit_intercept=True)
    assert document["loss"] == {"name": name, **loss.params}
    assert document["coef"] == expected.coef.tolist()
    assert document["intercept"] == expected.intercept.tolist()
    assert document["classes"] == (None if expected.classes is None else expected.classes.tolist())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_chosen(method: str) -> None:
    X, y = rows()
    np.savez("rows.npz", X=X, y=y)
    document = fitted("rows.npz", "--method", method, "-e", 2, "-s", 1)
    assert (
        document["coef"]
        == st.minimize("squared_error", (X, y), method=method, epochs=2, seed=1, fit_intercept=True).coef.tolist()
    )


@pytest.mark.parametrize("method", sorted(set(FIT_METHODS) - set(METHODS)))
def test_methods_beyond_the_rules_find_the_minimum(method: str) -> None:
    X, y = rows()
    np.savez("rows.npz", X=X, y=y)
    document = fitted("rows.npz", "--method", method.lower(), "-s", 1, "--no-intercept", "-e", 200)
    np.testing.assert_allclose(document["coef"], np.linalg.lstsq(X, y)[0], rtol=1e-2)


@pytest.mark.parametrize("target", ["label", "1", "-2"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_names_and_classes_are_kept(target: str, delimiter: str) -> None:
    X, y = rows(labels=True)
    names = delimiter.join(["width", "label", '"length, cm"' if delimiter == "," else "length, cm"])
    write_csv("flowers.csv", names, X[:, 0], np.where(y > 0, "ü-setosa", "iris"), X[:, 1], delimiter=delimiter)
    document = fitted("flowers.csv", "-t", target, "-l", "log_loss", "-s", 0)
    assert document["features"] == ["width", "length, cm"]
    assert document["target"] == "label"
    assert document["classes"] == ["iris", "ü-setosa"]
    expected = st.minimize("log_loss", (X[:, :2], y), seed=0, fit_intercept=True)
    assert document["coef"] == expected.coef.tolist()


def test_column_order_and_headless_files() -> None:
    X, y = rows()
    write_csv("plain.csv", None, *X.T, y)
    write_csv("middle.csv", None, X[:, 0], y, X[:, 1], X[:, 2])
    np.save("middle.npy", np.column_stack([X[:, 0], y, X[:, 1:]]))
    np.save("first.npy", np.column_stack([y, X]))
    last = fitted("plain.csv", "-t", 3, "-s", 0)
    assert last["features"] == ["0", "1", "2"]
    for path, target, features in (
        ("middle.csv", 1, ["0", "2", "3"]),
        ("middle.npy", 1, ["0", "2", "3"]),
        ("first.npy", 0, ["1", "2", "3"]),
    ):
        document = fitted(path, "-t", target, "-s", 0)
        assert document["coef"] == last["coef"]
        assert document["features"] == features
    labels = rows(labels=True)[1]
    write_csv("labels.csv", None, *X.T, np.where(labels > 0, "yes", "no"))
    assert fitted("labels.csv", "-t", 3, "-l", "hinge")["classes"] == ["no", "yes"]


def test_single_column_is_fitted_by_a_constant() -> None:
    y = [12.1, 12.8, 14.9, 16.3, 17.2]
    np.save("p5.npy", y)
    write_csv("p5.csv", "p5", y)
    np.savez("p5.npz", y=y)
    for arguments in (["p5.npy"], ["p5.csv"], ["p5.csv", "-t", "p5"], ["p5.npz"]):
        document = fitted(*arguments, "-l", "mse")
        assert (document["model"], document["features"], document["intercept"]) == ("constant", [], 0.0)
        assert document["coef"] == [pytest.approx(14.66, abs=0.02)]
    assert "constant" in run("fit", "p5.npy", "-l", "mse").stdout


def test_report_says_what_came_of_it() -> None:
    draw = np.random.default_rng(0)
    X = draw.standard_normal((40, 14))
    np.savez("wide.npz", X=X, y=X @ np.arange(14.0))
    shown = run("fit", "wide.npz", "-s", 5, "-e", 2)
    assert shown.exit_code == 0
    assert "wide.npz: 40 rows, 14 features, target y" in shown.stdout
    assert "after 2 epochs" in shown.stdout
    assert "seed 5" in shown.stdout
    assert "4 smaller ones" in shown.stdout
    assert "Model written to model.safetensors" in shown.stdout
    assert shown.stderr == ""
    assert "epoch 1: objective" in run("fit", "wide.npz", "-s", 5, "-e", 2, "--progress").stderr


def test_parameters_can_be_printed() -> None:
    write_csv("pairs.csv", "x,y", [1, 2, 3], [2, 4, 6.5])
    shown = run("fit", "pairs.csv", "-t", "y", "-o", "-")
    assert json.loads(shown.stdout)["features"] == ["x"]
    assert "pairs.csv: 3 rows" in shown.stderr
    assert os.listdir() == ["pairs.csv"]


def test_divergence_is_told_and_exits_with_1() -> None:
    np.savez("rows.npz", X=rows()[0] * 100, y=rows()[1])
    shown = run("fit", "rows.npz", "--step-size", 100, "-e", 50, "-o", "params.json")
    assert shown.exit_code == 1
    assert "warning: Diverged" in shown.stderr
    document = json.loads(Path("params.json").read_text())
    assert (document["success"], document["status"]) == (False, "diverged")


def test_copies_are_told() -> None:
    X = np.ones((200_000, 2), np.int64)
    X[:, 1] = np.arange(200_000) % 7
    np.savez("whole.npz", X=X, y=X[:, 1] * 2.0)
    shown = run("fit", "whole.npz", "-e", 1, "-q")
    assert shown.exit_code == 0
    assert "warning: X has dtype int64: a copy" in shown.stderr


def damaged_files() -> None:
    X, y = rows(20)
    np.save("rows.npy", np.column_stack([X, y]))
    np.save("cube.npy", np.ones((2, 2, 2)))
    np.save("empty.npy", np.ones((0, 3)))
    np.save("objects.npy", np.array([None, 1]))
    np.savez("named.npz", A=X, B=X, y=y)
    np.savez("none.npz", a=y)
    np.savez("short.npz", X=X, y=y[:-1])
    X[3, 1] = np.nan
    np.savez("nan.npz", X=X, y=y)
    Path("broken.npy").write_bytes(b"no array")
    Path("broken.npz").write_bytes(b"no archive")
    Path("empty.csv").touch()
    Path("latin.csv").write_bytes("größe,y\n1,2\n".encode("latin-1"))
    write_csv("names.csv", "a,b,y")
    write_csv("twice.csv", "a,a,y", [1, 2], [3, 4], [5, 6])
    write_csv("text.csv", "a,b,y", [1, 2, 3], [1, "two", 3], [0, 1, 0])
    write_csv("gap.csv", "a,b,y", [1, 2], [1, ""], [0, 1])
    Path("ragged.csv").write_text("a,b,y\n1,2,3\n\n4,5\n")
    write_csv("three.csv", "a,y", [1, 2, 3], ["x", "y", "z"])
    Path("folder.csv").mkdir()
    Path("rows.txt").write_text("1 2\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "Missing argument"),
        ("rows.npy -t 3 --bogus", "No such option"),
        ("rows.npy -t 3 -l nope", "unknown loss 'nope'; there are: absolute_error"),
        ("rows.npy -t 3 -p nope", "unknown penalty 'nope'; there are"),
        ("rows.npy -t 3 -m nope", "unknown method 'nope'; there are: gd"),
        ("rows.npy -t 3 --loss-param delta=1", "squared_error has no parameter 'delta'"),
        ("rows.npy -t 3 -l huber --loss-param 1", "takes NAME=VALUE"),
        ("rows.npy -t 3 -l huber --loss-param delta=x", "takes a number, not 'x'"),
        ("rows.npy -t 3 -l huber --loss-param delta=-1", "delta must lie in"),
        ("rows.npy -t 3 --alpha 1", "--alpha goes with --penalty"),
        ("rows.npy -t 3 -p l2 --l1-ratio 0.5", "--l1-ratio goes with --penalty; l2 has none"),
        ("rows.npy -t 3 -p l2 --alpha -1", "alpha must lie in"),
        ("rows.npy -t 3 -b 0", "batch_size must be at least 1, not 0"),
        ("rows.npy -t 3 -b x", "--batch-size"),
        ("rows.npy -t 3 -e 0", "epochs must be at least 1"),
        ("rows.npy -t 3 --step-size -1", "step_size must be positive"),
        ("rows.npy -t 3 --step-size x", "--step-size takes a number, not 'x'"),
        ("rows.npy -t 3 --tol nan", "tol must be finite"),
        ("rows.npy -t 3 --seed -1", "seed must lie in"),
        ("rows.npy -t 3 -o no/where.json", "there is no directory no"),
        ("rows.npy -t 3 -o folder.csv", "is a directory"),
        ("rows.npy", "--target is needed: the column of rows.npy to predict, one of 0, 1, 2, 3"),
        ("rows.npy -t 4", "no column '4'; there are: 0, 1, 2, 3"),
        ("rows.npy -t -5", "no column '-5'"),
        ("rows.npy -t 3 -l log_loss", "log_loss takes two classes; y holds 20"),
        ("nowhere.npy -t 0", "nowhere.npy: No such file"),
        ("folder.csv -t 0", "folder.csv is a directory"),
        ("rows.txt -t 0", ".txt is none of .csv, .tsv"),
        ("cube.npy -t 0", "shape (2, 2, 2)"),
        ("empty.npy -t 0", "shape (0, 3)"),
        ("objects.npy", "objects.npy cannot be read"),
        ("broken.npy -t 0", "broken.npy cannot be read as .npy"),
        ("broken.npz", "broken.npz cannot be read as .npz"),
        ("named.npz", "no array X to predict y from; there are: A, B, y"),
        ("none.npz", "no array 'y'; there are: a"),
        ("short.npz", "X has 20 rows, y has 19"),
        ("nan.npz", "X holds NaN, first in row 3, column 1"),
        ("empty.csv -t 0", "empty.csv is empty"),
        ("latin.csv -t y", "no text in UTF-8"),
        ("names.csv -t y", "no rows below its line of names"),
        ("twice.csv -t a", "2 columns named 'a'"),
        ("twice.csv -t y", "2 columns named 'a'; names must differ"),
        ("names.csv -t c --header", "no rows below its line of names"),
        ("text.csv -t y", "text.csv, line 3: column 'b' holds 'two', not a number"),
        ("text.csv -t y -l log_loss", "text.csv, line 3: column 'b' holds 'two', not a number"),
        ("gap.csv -t y", "gap.csv, line 3: column 'b' holds nothing; --drop-missing leaves out such rows"),
        ("ragged.csv -t y", "ragged.csv, line 4: 2 columns, the first line has 3"),
        ("three.csv -t y", "three.csv: the target 'y' holds texts, and this loss takes numbers"),
        ("three.csv -t y -l log_loss", "log_loss takes two classes; y holds 3: 'x', 'y', 'z'"),
    ],
)
def test_errors_are_one_line_and_exit_with_2(arguments: str, message: str) -> None:
    damaged_files()
    shown = run("fit", *arguments.split())
    assert shown.exit_code == 2
    assert shown.stdout == ""
    assert shown.stderr.startswith("steepest: ")
    assert message in shown.stderr
    assert shown.stderr.count("\n") == 1
    assert not Path("model.safetensors").exists()


def test_unknown_command_exits_with_2() -> None:
    shown = run("fti")
    assert (shown.exit_code, shown.stderr.count("\n")) == (2, 1)
    assert "No such command 'fti'" in shown.stderr


def test_other_errors_exit_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **more: Any) -> None:
        raise RuntimeError("out of\npaper")

    np.save("p5.npy", [1.0, 2.0])
    monkeypatch.setattr(_fit, "minimize", broken)
    shown = run("fit", "p5.npy")
    assert (shown.exit_code, shown.stderr) == (1, "steepest: RuntimeError: out of paper\n")


def test_interruption_keeps_what_was_reached() -> None:
    X, y = rows(1000)
    np.savez("rows.npz", X=X, y=y)
    command = [
        sys.executable,
        "-m",
        "steepest",
        "fit",
        "rows.npz",
        "-b",
        "1",
        "-e",
        "1000000000",
        "--step-size",
        "1e-3",
        "--progress",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "epoch 1: objective" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        printed, complaints = process.communicate(timeout=60)
    assert process.returncode == 130, complaints
    assert "Traceback" not in complaints
    model = load_model(Path("model.safetensors"))
    assert (model.document["status"], model.document["success"]) == ("interrupted", False)
    assert model.coef.tolist() != [0.0, 0.0, 0.0]
    assert "Model written to model.safetensors" in printed


def picture_size(path: Path) -> tuple[int, int]:
    """Return width and height of a PNG."""
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def test_demo_shows_the_textbook_and_the_batch_sizes() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = run("demo", "--rows", 2000, "--output", "small.png")
    assert (shown.exit_code, shown.stderr) == (0, "")
    textbook, _, sizes = shown.stdout.partition("2,000 x 28")
    for figure in SOURCES:
        line = next(line for line in textbook.splitlines() if line.endswith(f" {figure} "))
        assert line.split()[-2:] == [figure, figure]
    reached = [float(line.split("log loss")[1].split()[0]) for line in textbook.splitlines() if "evaluations" in line]
    assert reached == sorted(reached, reverse=True)
    assert len(set(reached)) == 3
    table = [line.split() for line in sizes.splitlines() if line[:11].strip().replace(",", "").isdecimal()]
    assert [int(line[0].replace(",", "")) for line in table] == [size for size in _demo.SIZES if size < 2000]
    for line in table:
        rate, reference, factor, loss = map(float, line[1:5])
        # As far as the rounding of the three shows.
        assert abs(factor * reference - rate) <= 0.051 + 0.005 * factor + 0.05 * reference
        assert 0.4 < loss < np.log(2)
    assert "all rows" in sizes
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert "small.png" in shown.stdout
    width, height = picture_size(Path("small.png"))
    assert width > height > 600


def test_demo_interrupted_keeps_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    measure, sizes = _demo._measure, []

    def stopping(X: Any, y: Any, size: int) -> Any:
        sizes.append(size)
        if len(sizes) == 3:
            raise KeyboardInterrupt
        return measure(X, y, size)

    monkeypatch.setattr(_demo, "_measure", stopping)
    shown = run("demo", "--rows", 1000)
    assert shown.exit_code == 130
    assert "Interrupted" in shown.stdout
    assert sizes == list(_demo.SIZES[:3])
    table = shown.stdout.partition("1,000 x 28")[2]
    assert len([line for line in table.splitlines() if line[:11].strip().isdecimal()]) == 2
    assert picture_size(Path("steepest-demo.png")) > (600, 600)


def test_demo_without_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    shown = run("demo", "--rows", 1000)
    assert (shown.exit_code, shown.stderr.count("\n")) == (1, 1)
    assert "pip install '.[plot]'" in shown.stderr


def test_normalized_columns_are_fitted_in_few_epochs_and_told_as_they_are() -> None:
    rng = np.random.default_rng(3)
    X = np.column_stack([rng.uniform(20, 200, 1000), rng.integers(1, 7, 1000)])
    y = X @ [0.1, 1.0] + rng.normal(size=1000) > 14
    lines = [f"{area},{rooms},{int(label)}" for (area, rooms), label in zip(X, y, strict=True)]
    Path("units.csv").write_text("\n".join(["area,rooms,label", *lines]) + "\n")
    command = ["fit", "units.csv", "-t", "label", "-l", "log_loss", "-b", "32", "-e", "20", "-s", "1", "-q"]
    found = {}
    for option in ([], ["--normalize"]):
        assert CliRunner().invoke(app, [*command, "-o", "u.json", *option]).exit_code == 0
        saved = load_model(Path("u.json"))
        found[bool(option)] = np.logaddexp(0, np.where(y, -1, 1) * (X @ saved.coef + saved.intercept)).mean()
    best = st.minimize("log_loss", (X, y), fit_intercept=True, normalize=True).fun
    assert found[True] < 1.02 * best
    assert found[False] > 1.5 * best
