"""The command line's choices: normalised columns, rows held out by seed, targets of texts, pictures, flags."""

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import steepest as st
from commands import refused, run
from steepest import _saved, _table

pytestmark = pytest.mark.usefixtures("in_an_empty_directory")


def houses(seed: int = 3) -> tuple[Any, Any]:
    """Return rows whose columns differ in units, and prices."""
    draw = np.random.default_rng(seed)
    X = np.column_stack([draw.uniform(20, 200, 500), draw.integers(1, 7, 500)])
    return X, X @ [0.1, 1.0] + draw.normal(size=500)


def write_houses() -> tuple[Any, Any]:
    X, y = houses()
    np.save("houses.npy", np.column_stack([X, y]))
    return X, y


def standard(X: Any) -> Any:
    return (X - X.mean(axis=0)) / X.std(axis=0)


def test_sweeps_see_normalised_columns() -> None:
    X, y = write_houses()
    shown = run("sweep", "houses.npy", "-t", 2, "--normalize", "-b", "32,500", "-e", 2, "-s", 1, "--json", "all.json")
    assert shown.exit_code == 0, shown.stderr
    found = [row["objective"] for row in json.loads(Path("all.json").read_text(encoding="utf-8"))["table"]]
    for rows, close in ((standard(X), True), (X, False)):
        expected = st.sweep("squared_error", (rows, y), batch_sizes=[32, 500], epochs=2, seed=1, fit_intercept=True)
        objectives = [row["objective"] for row in expected.table]
        assert np.allclose(found, objectives, rtol=1e-6) == close


def test_landscapes_lie_over_normalised_columns() -> None:
    X, y = write_houses()
    shown = run("landscape", "houses.npy", "-t", 2, "--normalize", "--points", 5, "--json")
    assert shown.exit_code == 0, shown.stderr
    around = json.loads(shown.stdout)["around"]
    best = np.linalg.lstsq(np.column_stack([standard(X), np.ones(len(X))]), y)[0]
    np.testing.assert_allclose(around, best, rtol=1e-2)
    assert run("landscape", "houses.npy", "-t", 2, "--normalize", "--ray", "-o", "ray.svg").exit_code == 0
    picture = Path("ray.svg").read_text(encoding="utf-8")
    assert "columns normalised" in picture
    assert "500 rows, 3 parameters" in picture


@pytest.mark.parametrize("command", ["fit", "sweep", "landscape"])
def test_constants_have_no_columns_to_normalise(command: str) -> None:
    np.save("y.npy", np.arange(9.0))
    expected = "--normalize needs features; the constant model has none"
    assert f": {expected}" in refused(command, "y.npy", "--normalize")


def test_the_means_go_into_an_intercept_that_was_not_asked_for() -> None:
    X, _ = write_houses()
    arguments = ["fit", "houses.npy", "-t", 2, "-q", "--no-intercept", "-o", "-"]
    plain, normalised = (json.loads(run(*arguments, *more).stdout) for more in ([], ["--normalize"]))
    assert plain["intercept"] == 0
    assert normalised["intercept"] == pytest.approx(-(X.mean(axis=0) @ normalised["coef"]))
    assert abs(normalised["intercept"]) > 1


@pytest.mark.parametrize("suffix", ["rgba", "raw", "svgz", "pgf", "txt"])
@pytest.mark.parametrize("command", [["landscape", "-o"], ["sweep", "--figure"]])
def test_pictures_are_of_formats_that_others_show(command: list[str], suffix: str) -> None:
    write_houses()
    name, option = command
    message = refused(name, "houses.npy", "-t", 2, option, f"picture.{suffix}")
    assert "the suffix of a picture is one of .eps, .jpeg, .jpg, .pdf, .png" in message
    assert f".{suffix}" not in message.partition("one of")[2]
    assert not list(Path().glob("picture.*"))


def test_normalising_is_recommended_where_the_fit_did_not_end() -> None:
    write_houses()
    arguments = ["fit", "houses.npy", "-t", 2, "-q", "--tol", 1e-12, "-e", 30]
    assert "--normalize takes far fewer epochs" in run(*arguments).stderr
    assert "--normalize" not in run(*arguments, "--normalize").stderr


@pytest.mark.parametrize("form", ["npy", "csv"])
def test_the_seed_that_a_report_tells_holds_out_the_same_rows(form: str) -> None:
    X, y = houses()
    np.save("d.npy", np.column_stack([X, y]))
    np.savetxt("d.csv", np.column_stack([X, y]), delimiter=",")
    arguments = ["fit", f"d.{form}", "-t", 2, "--validation", 0.3, "--normalize", "--json"]
    drawn, again = (json.loads(run(*arguments).stdout) for _ in range(2))
    assert drawn["seed"] != again["seed"]
    assert drawn["validation"] != again["validation"]
    same = json.loads(run(*arguments, "-s", drawn["seed"]).stdout)
    assert {**same, "seconds": 0} == {**drawn, "seconds": 0}
    assert "--seed must lie in" in refused(*arguments, "-s", -1)


def test_texts_as_the_target_name_losses_that_take_them() -> None:
    Path("d.csv").write_text("a,kind\n1,yes\n2,no\n3,yes\n", encoding="utf-8")
    told = refused("fit", "d.csv", "-t", "kind")
    assert "the target 'kind' holds texts" in told
    for name in re.findall(r"--loss (\w+)", told):
        assert run("fit", "d.csv", "-t", "kind", "-l", name, "-e", 1, "--method", "sgd").exit_code == 0


def test_numbers_with_a_comma_are_no_categories() -> None:
    Path("d.csv").write_text("a;b;y\n1,5;x;2\n-2,25;z;3\n;x;4\n", encoding="utf-8")
    assert "column 'a' holds '1,5', but numbers have a decimal point" in refused("fit", "d.csv", "-t", "y")
    for option, features in (("--drop", ["b=x", "b=z"]), ("--categorical", ["a=-2,25", "a=1,5", "b=x", "b=z"])):
        shown = run("fit", "d.csv", "-t", "y", option, "a", "--drop-missing", "--json")
        assert json.loads(shown.stdout)["features"] == features


def test_names_of_rows_are_no_categories(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_table, "MOST_TEXTS", 20)
    rows = [f"r{i},k{i % 20},{i}" for i in range(30)]
    Path("d.csv").write_text("\n".join(["name,kind,y", *rows]) + "\n", encoding="utf-8")
    assert "column 'name' holds more than 20 texts" in refused("fit", "d.csv", "-t", "y")
    for option, count in (("--drop", 20), ("--categorical", 50)):
        shown = run("fit", "d.csv", "-t", "y", option, "name", "--json")
        assert len(json.loads(shown.stdout)["features"]) == count


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_compressed_files_are_told_how_to_be_read(suffix: str) -> None:
    Path(f"d.csv.{suffix}").write_bytes(b"\x1f\x8b")
    assert "is compressed: unpack it" in refused("fit", f"d.csv.{suffix}", "-t", "y")


@pytest.mark.parametrize("command", ["sweep --figure", "landscape -o", "demo -o"])
def test_pictures_of_no_known_kind_are_refused_before_the_work(command: str) -> None:
    name, option = command.split()
    data = [] if name == "demo" else ["no-such-file.csv"]
    assert "the suffix of a picture is one of .eps" in refused(name, *data, option, "picture.xyz")


@pytest.mark.parametrize("file", ["table.csv", "all.json", "picture.png"])
def test_a_full_disk_leaves_what_a_sweep_wrote_before(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(file).write_bytes(b"before")
    np.save("p5.npy", np.array([12.1, 12.8, 14.9, 16.3, 17.2]))

    def fails(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_saved.os, "fsync", fails)
    option = {"csv": "--csv", "json": "--json", "png": "--figure"}[file.partition(".")[2]]
    shown = run("sweep", "p5.npy", "-q", "-e", 1, "-b", 5, option, file)
    assert (shown.exit_code, shown.stderr) == (1, f"steepest: {file}: No space left on device\n")
    assert sorted(os.listdir()) == sorted(["p5.npy", file])
    assert Path(file).read_bytes() == b"before"


def test_directories_are_no_files() -> None:
    os.mkdir("parts")
    assert f"parts is a directory; a pattern such as '{os.path.join('parts', '*.csv')}'" in refused("fit", "parts")


@pytest.mark.parametrize("command", [[], ["demo"], ["fit"], ["predict"], ["sweep"], ["landscape"], ["info"]])
def test_flags_are_shown_without_a_value(command: list[str]) -> None:
    shown = run(*command, "--help").stdout
    assert "--help" in shown
    assert "bool" not in shown.lower()
