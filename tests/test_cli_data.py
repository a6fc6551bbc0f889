"""The command line's data and models: formats, columns, categories, predictions, and what can be wrong with files."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import dump_svmlight_file

import steepest as st
from commands import refused, run, succeed
from memory import printed
from steepest import _fit, _reading_text, _saved, _table
from steepest._saved import load_model

pytestmark = pytest.mark.usefixtures("in_an_empty_directory")

ROWS = 400


def table(n: int = ROWS) -> dict[str, Any]:
    """Return columns of numbers and of texts, a target of numbers and one of texts."""
    draw = np.random.default_rng(n)
    width, height = draw.standard_normal((2, n))
    colour = draw.choice(["red", "green", "blue"], n)
    y = 1.0 + 2 * width - height + 3.0 * (colour == "red") + 0.1 * draw.standard_normal(n)
    kind = np.where(y > 1.5, "tall", "short")
    assert set(colour) == {"red", "green", "blue"}
    assert 0.2 < (kind == "tall").mean() < 0.8
    return {"width": width, "height": height, "colour": colour, "y": y, "kind": kind}


def write_text(path: str, columns: dict[str, Any], delimiter: str = ",", names: bool = True) -> None:
    lines = [delimiter.join(columns)] if names else []
    lines += [delimiter.join(str(cell) for cell in row) for row in zip(*columns.values(), strict=True)]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def only(columns: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: columns[name] for name in names}


def model_of(*arguments: Any, given: bytes | None = None) -> _saved.Saved:
    succeed("fit", *arguments, "-q", "-o", "fitted.safetensors", "-s", 0, given=given)
    return load_model(Path("fitted.safetensors"))


def numbers() -> dict[str, Any]:
    return only(table(), "width", "height", "y")


def expected_of(columns: dict[str, Any]) -> st.Result:
    X = np.column_stack([columns["width"], columns["height"]])
    return st.minimize("squared_error", (X, columns["y"]), fit_intercept=True, seed=0)


def test_every_format_gives_the_same_model() -> None:
    columns = numbers()
    X, y = np.column_stack([columns["width"], columns["height"]]), columns["y"]
    write_text("d.csv", columns)
    write_text("d.tsv", columns, "\t")
    write_text("semicolon.csv", columns, ";")
    np.save("d.npy", np.column_stack([X, y]))
    np.savez("d.npz", X=X, y=y)
    pq.write_table(pa.table(columns), "d.parquet")
    dump_svmlight_file(X, y, "d.svmlight")
    for i, part in enumerate(np.array_split(np.arange(ROWS), 3)):
        write_text(f"part-{i}.csv", {name: values[part] for name, values in columns.items()})
        np.save(f"part-{i}.npy", np.column_stack([X, y])[part])
    expected = expected_of(columns)
    for arguments in (
        ["d.csv", "-t", "y"],
        ["d.tsv", "-t", "y"],
        ["semicolon.csv", "-t", "y"],
        ["d.npy", "-t", 2],
        ["d.npz"],
        ["d.parquet", "-t", "y"],
        ["d.svmlight"],
        ["part-*.csv", "-t", "y"],
        ["part-*.npy", "-t", "2"],
        ["part-0.csv", "part-1.csv", "part-2.csv", "-t", "y"],
    ):
        model = model_of(*arguments)
        np.testing.assert_allclose(model.coef, expected.coef, rtol=1e-5)
        assert model.intercept == pytest.approx(float(expected.intercept), rel=1e-5)
    for path, form, target in (
        ("d.csv", "csv", "y"),
        ("d.tsv", "tsv", "y"),
        ("d.npy", "npy", "2"),
        ("d.npz", "npz", "y"),
        ("d.parquet", "parquet", "y"),
        ("d.svmlight", "svmlight", "label"),
    ):
        model = model_of("-", "--format", form, "-t", target, given=Path(path).read_bytes())
        np.testing.assert_allclose(model.coef, expected.coef, rtol=1e-5)


@pytest.mark.parametrize("parser", ["pyarrow", "numpy"])
def test_parsers_agree(parser: str, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = table(3000)
    columns["quoted"] = [f'"{value}"' for value in np.round(columns["height"], 3)]
    write_text("d.csv", columns)
    Path("d.csv").write_bytes(b"\xef\xbb\xbf" + Path("d.csv").read_bytes().replace(b"\n", b"\r\n", 40) + b"\n\n")
    # Small blocks: texts and numbers go on from one to the next.
    monkeypatch.setattr(_reading_text, "BLOCK_ROWS", 100)
    monkeypatch.setattr(_reading_text, "BLOCK_BYTES", 1 << 12)
    monkeypatch.setattr(_reading_text, "HEAD_BYTES", 1 << 10)
    monkeypatch.setattr(_table, "GROWTH_BYTES", 1 << 12)
    if parser == "numpy":
        monkeypatch.setattr(_reading_text, "find_spec", lambda name: None)
    found = _table.read_table(_table.Request(["d.csv"], target="kind"), labels=True)
    assert found.features == ["width", "height", "colour=blue", "colour=green", "colour=red", "y", "quoted"]
    assert found.labels == ["short", "tall"]
    expected = [columns["width"], columns["height"]]
    expected += [columns["colour"] == colour for colour in ("blue", "green", "red")]
    expected += [columns["y"], np.round(columns["height"], 3)]
    np.testing.assert_array_equal(found.X, np.column_stack(expected))
    np.testing.assert_array_equal(found.y, columns["kind"] == "tall")
    assert found.X.dtype == np.float64
    half = _table.read_table(_table.Request(["d.csv"], target="y", features=["width"], dtype="float32"), labels=False)
    assert (half.X.dtype, half.y.dtype) == (np.float32, np.float32)
    for text, message in (
        ("a,b,y\n1,2,3\n4,5\n", "line 3: 2 columns, the first line has 3"),
        ("a,b,y\n1,2,3\n\n4,two,5\n", "line 4: column 'b' holds 'two', not a number"),
        ("a,b,y\n1,2,3\n\n4,,5\n", "line 4: column 'b' holds nothing"),
    ):
        Path("bad.csv").write_text(text)
        with pytest.raises(ValueError, match=message):
            _table.read_table(_table.Request(["bad.csv"], target="y"), labels=False)


def test_line_breaks_within_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_reading_text, "BLOCK_BYTES", 1 << 10)
    names = [f'"name\n{i % 7}"' for i in range(ROWS)]
    write_text("d.csv", {"name": names, "y": np.arange(ROWS)})
    found = _table.read_table(_table.Request(["d.csv"], target="y"), labels=False)
    assert found.features == [f"name=name\n{i}" for i in range(7)]
    np.testing.assert_array_equal(found.X.argmax(axis=1), np.arange(ROWS) % 7)
    np.testing.assert_array_equal(found.y, np.arange(ROWS))


def test_columns_are_chosen_by_name_or_index() -> None:
    write_text("d.csv", table())
    for arguments, features in (
        (["--features", "width,height"], ["width", "height"]),
        (["--features", "height, 0"], ["height", "width"]),
        (["--drop", "colour,kind"], ["width", "height"]),
        (["--features", "width,colour"], ["width", "colour=blue", "colour=green", "colour=red"]),
    ):
        document = model_of("d.csv", "-t", "y", *arguments).document
        assert document["features"] == features
    assert "no column 'depth'; there are: width" in refused("fit", "d.csv", "-t", "y", "--features", "depth")
    assert "--drop y is the target" in refused("fit", "d.csv", "-t", "y", "--drop", "y")
    assert "holds the target" in refused("fit", "d.csv", "-t", "y", "--features", "width,y")
    assert "twice" in refused("fit", "d.csv", "-t", "y", "--features", "width,0")


def test_categories_become_features_and_predictions_follow() -> None:
    columns = table()
    columns["size"] = np.arange(ROWS) % 3
    write_text("d.csv", columns)
    model = model_of("d.csv", "-t", "y", "--drop", "kind", "--categorical", "size", "-p", "l2", "--alpha", 1e-2)
    assert model.document["features"][2:] == ["colour=blue", "colour=green", "colour=red", "size=0", "size=1", "size=2"]
    predictions = np.array(succeed("predict", "fitted.safetensors", "d.csv").split()[1:], float)
    assert np.corrcoef(predictions, columns["y"])[0, 1] > 0.99
    # In another order, with other columns in between, and the texts met in another order.
    write_text("e.csv", {name: columns[name][::-1] for name in ("size", "kind", "height", "colour", "width")})
    again = np.array(succeed("predict", "fitted.safetensors", "e.csv").split()[1:], float)
    np.testing.assert_allclose(again, predictions[::-1], rtol=1e-12)
    pq.write_table(
        pa.table(
            {name: columns[name] for name in ("colour", "height", "width")}
            | {"size": [str(size) for size in columns["size"]]}
        ),
        "e.parquet",
    )
    again = np.array(succeed("predict", "fitted.safetensors", "e.parquet").split()[1:], float)
    np.testing.assert_allclose(again, predictions, rtol=1e-12)


def test_unknown_categories_are_refused_or_ignored() -> None:
    write_text("d.csv", only(table(), "width", "colour", "y"))
    model = model_of("d.csv", "-t", "y")
    Path("new.csv").write_text("colour,width\nred,1\n\nmauve,2\n")
    message = refused("predict", "fitted.safetensors", "new.csv")
    assert "new.csv, line 4: column 'colour' holds 'mauve', which the model has not met" in message
    assert "blue, green, red" in message
    lines = succeed("predict", "fitted.safetensors", "new.csv", "--unknown", "ignore").split()
    assert float(lines[2]) == pytest.approx(2 * model.coef[0] + model.intercept)
    assert "error or ignore" in refused("predict", "fitted.safetensors", "new.csv", "--unknown", "guess")


@pytest.mark.parametrize("suffix", ["safetensors", "json"])
@pytest.mark.parametrize("loss", ["log_loss", "hinge", "softmax", "squared_error", "poisson"])
def test_predictions_are_those_of_the_fit(loss: str, suffix: str) -> None:
    columns = table()
    X = np.column_stack([columns["width"], columns["height"]])
    labelled = loss in ("log_loss", "hinge", "softmax")
    target = columns["colour" if loss == "softmax" else "kind"] if labelled else np.exp(columns["y"] / 3)
    write_text("d.csv", {"width": X[:, 0], "height": X[:, 1], "t": target})
    succeed("fit", "d.csv", "-t", "t", "-l", loss, "-q", "-s", 0, "-e", 20, "-o", f"m.{suffix}")
    result = st.minimize(loss, (X, target), fit_intercept=True, seed=0, epochs=20)
    raw = result.predict(X)
    shown = [json.loads(line) for line in succeed("predict", f"m.{suffix}", "d.csv", "--raw", "--json").splitlines()]
    np.testing.assert_allclose([list(row.values()) for row in shown], raw.reshape(ROWS, -1), rtol=1e-6, atol=1e-9)
    plain = succeed("predict", f"m.{suffix}", "d.csv").splitlines()
    assert plain[0] == "prediction"
    if loss == "softmax":
        expected = result.classes[raw.argmax(axis=1)]
    elif labelled:
        expected = result.classes[(raw > 0).astype(int)]
    else:
        expected = np.exp(raw) if loss == "poisson" else raw
    if labelled:
        assert plain[1:] == expected.tolist()
        assert len(set(plain[1:])) > 1
    else:
        np.testing.assert_allclose(np.array(plain[1:], float), expected, rtol=1e-6)
    if loss in ("log_loss", "softmax"):
        succeed("predict", f"m.{suffix}", "d.csv", "--probabilities", "-o", "p.csv")
        head, *rows = Path("p.csv").read_text().splitlines()
        assert head == ",".join(f"probability_{label}" for label in result.classes)
        shares = np.array([row.split(",") for row in rows], float)
        np.testing.assert_allclose(shares.sum(axis=1), 1)
        assert (np.array(result.classes)[shares.argmax(axis=1)] == expected).all()
    else:
        assert "gives no probabilities" in refused("predict", f"m.{suffix}", "d.csv", "--probabilities")


def test_arrays_are_predicted_from() -> None:
    columns = numbers()
    X = np.column_stack([columns["width"], columns["height"]])
    np.save("d.npy", np.column_stack([X, columns["y"]]))
    model = model_of("d.npy", "-t", 2)
    np.save("x.npy", X)
    np.savez("x.npz", X=X)
    dump_svmlight_file(X, columns["y"], "x.svmlight")
    for path in ("x.npy", "x.npz", "d.npy", "x.svmlight"):
        shown = succeed("predict", "fitted.safetensors", path).split()[1:]
        np.testing.assert_allclose(np.array(shown, float), model.raw(X), rtol=1e-12)
    X[3, 1] = np.nan
    np.save("x.npy", X)
    assert "holds nan in row 3, column 1" in refused("predict", "fitted.safetensors", "x.npy")
    np.save("x.npy", X[:, :1])
    assert "x.npy has no column '1'; there are: 0" in refused("predict", "fitted.safetensors", "x.npy")


def test_held_out_rows_are_not_fitted() -> None:
    write_text("d.csv", only(table(3000), "width", "height", "kind"))
    arguments = ["d.csv", "-t", "kind", "--validation", 0.25, "-s", 1]
    document = json.loads(succeed("fit", *arguments, "-l", "log_loss", "--json"))
    held = document["validation"]
    assert document["rows"] + held["rows"] == 3000
    assert 0.2 < held["rows"] / 3000 < 0.3
    assert abs(held["loss"] - document["objective"]) < 0.1
    assert 0.7 < held["accuracy"] < 1
    first = _table.read_table(_table.Request(["d.csv"], target="kind", validation=0.25, seed=1), labels=True)
    assert first.held_out is not None
    model = load_model(Path("model.safetensors"))
    raw = model.raw(first.held_out[0])
    assert held["accuracy"] == pytest.approx(((raw > 0) == first.held_out[1]).mean())
    loss = st.losses.LogLoss()(np.where(first.held_out[1] > 0, 1.0, -1.0), raw)
    assert held["loss"] == pytest.approx(loss)
    shown = succeed("fit", *arguments, "-l", "softmax")
    assert f"held out, {held['rows']} rows: " in shown
    assert "% right" in shown
    assert "must lie in [0, 1)" in refused("fit", "d.csv", "-t", "kind", "--validation", 1.5)


def test_missing_values_are_named_or_left_out() -> None:
    columns = only(table(), "width", "colour", "y")
    write_text("whole.csv", columns)
    expected = model_of("whole.csv", "-t", "y")
    text = Path("whole.csv").read_text().splitlines()
    text[200:200] = ["", "1.5,,2", ",red,2", "nan,red,2"]
    Path("gaps.csv").write_text("\n".join(text) + "\n")
    assert "gaps.csv, line 202: column 'colour' holds nothing; --drop-missing" in refused("fit", "gaps.csv", "-t", "y")
    told = refused("predict", "fitted.safetensors", "gaps.csv")
    assert "line 202: column 'colour' holds nothing" in told
    assert "--drop-missing" not in told, "predict has no such option"
    Path("nan.csv").write_text("a,y\n1,2\n2,inf\n")
    assert "nan.csv, line 3: column 'y' holds inf" in refused("fit", "nan.csv", "-t", "y")
    result = run("fit", "gaps.csv", "-t", "y", "--drop-missing", "-q", "-s", 0)
    assert (result.exit_code, result.stderr) == (0, "steepest: left out 3 rows with missing values\n")
    np.testing.assert_array_equal(load_model(Path("model.safetensors")).coef, expected.coef)
    assert "row 1 below the names" in refused("fit", "-", "-t", "y", given=b"a,y\n1,2\n,3\n")
    pq.write_table(pa.table({"a": [1.0, None, 2.0], "y": [1.0, 2.0, 3.0]}), "gaps.parquet")
    assert "gaps.parquet, row 1: column 'a' holds nothing" in refused("fit", "gaps.parquet", "-t", "y")


def damage(content: bytes) -> dict[str, tuple[bytes, str]]:
    """Return what may have become of a model, and what is said of it."""
    digit = content.index(b'"objective') if b'"objective' in content else content.index(b"objective")
    return {
        "nothing": (b"", "no whole model"),
        "cut short": (content[:-5], "no whole model"),
        "cut in its head": (content[:40], "no whole model"),
        "longer": (content + b"0", "no whole model"),
        "another number": (content[:-3] + bytes([content[-3] ^ 1]) + content[-2:], "changed after it was written"),
        "another word": (content[:digit] + content[digit:].replace(b"rows", b"rots", 1), "changed after"),
        "no model": (b"a,b\n1,2\n", "no whole model"),
    }


def test_damaged_models_are_refused() -> None:
    write_text("d.csv", numbers())
    model_of("d.csv", "-t", "y")
    content = Path("fitted.safetensors").read_bytes()
    for name, (changed, message) in damage(content).items():
        assert changed != content, name
        Path("bad.safetensors").write_bytes(changed)
        assert message in refused("predict", "bad.safetensors", "d.csv"), name
    assert "no.safetensors: No such file" in refused("predict", "no.safetensors", "d.csv")
    succeed("fit", "d.csv", "-t", "y", "-q", "-o", "m.json")
    document = json.loads(Path("m.json").read_text())
    changes: list[Callable[[dict[str, Any]], Any]] = [
        lambda it: it.pop("coef"),
        lambda it: it.update(coef=[1.0]),
        lambda it: it.update(coef=[1.0, None]),
        lambda it: it.update(format=2),
        lambda it: it["loss"].update(name="no_loss"),
        lambda it: it.update(columns=3),
    ]
    for change in changes:
        changed_document = json.loads(json.dumps(document))
        change(changed_document)
        assert changed_document != document
        Path("bad.json").write_text(json.dumps(changed_document))
        assert "bad.json is no whole model of steepest: " in refused("predict", "bad.json", "d.csv")
    Path("bad.json").write_text(Path("m.json").read_text()[:-30])
    assert "no whole model" in refused("predict", "bad.json", "d.csv")


def test_files_that_change_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    write_text("d.csv", numbers())
    np.save("d.npy", np.column_stack(list(numbers().values())))
    read, minimize = _table.Rows.add, _fit.minimize

    def add_and_write(self: Any, *arguments: Any) -> None:
        with Path("d.csv").open("a") as file:
            file.write("1,2,3\n")
        read(self, *arguments)

    def minimize_and_write(*arguments: Any, **more: Any) -> Any:
        os.utime("d.npy", ns=(1, 1))
        return minimize(*arguments, **more)

    with monkeypatch.context() as busy:
        busy.setattr(_table.Rows, "add", add_and_write)
        assert "d.csv changed while it was read" in refused("fit", "d.csv", "-t", "y")
    monkeypatch.setattr(_fit, "minimize", minimize_and_write)
    assert "d.npy changed while it was read" in refused("fit", "d.npy", "-t", 2)
    assert not Path("model.safetensors").exists()


@pytest.mark.parametrize("stop", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "Ctrl-C"])
def test_old_models_survive(stop: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text("d.csv", numbers())
    succeed("fit", "d.csv", "-t", "y", "-q")
    before = Path("model.safetensors").read_bytes()

    def fails(handle: int) -> None:
        raise stop

    monkeypatch.setattr(os, "fsync", fails)
    result = run("fit", "d.csv", "-t", "y", "-q", "--no-intercept")
    assert result.exit_code == (1 if isinstance(stop, OSError) else 130)
    assert "model.safetensors: No space left on device" in result.stderr or not isinstance(stop, OSError)
    assert Path("model.safetensors").read_bytes() == before
    assert sorted(os.listdir()) == ["d.csv", "model.safetensors"]
    monkeypatch.undo()


def test_no_permission_is_told_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    write_text("d.csv", numbers())
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for command in ("fit", "landscape"):
        assert "no permission to write there" in refused(command, "d.csv", "-t", "y")


def test_rights_of_a_model_are_those_of_other_files() -> None:
    write_text("d.csv", numbers())
    before = os.umask(0o027)
    try:
        succeed("fit", "d.csv", "-t", "y", "-q")
    finally:
        os.umask(before)
    assert Path("model.safetensors").stat().st_mode & 0o777 == 0o640
    Path("model.safetensors").chmod(0o600)
    os.symlink("model.safetensors", "link.safetensors")
    succeed("fit", "d.csv", "-t", "y", "-q", "-o", "link.safetensors")
    assert Path("link.safetensors").is_symlink()
    assert Path("model.safetensors").stat().st_mode & 0o777 == 0o600


def program(*arguments: str, **more: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "steepest", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, **more)


def test_pipe_closed_early_is_no_error() -> None:
    write_text("d.csv", {name: np.tile(values, 500) for name, values in numbers().items()})
    write_text("small.csv", numbers())
    model_of("small.csv", "-t", "y")
    with program("predict", "fitted.safetensors", "d.csv", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"prediction\n"
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize("ending", ["the reader goes away", "Ctrl-C", "a bad row"])
def test_standard_input_that_stays_open_keeps_nobody(ending: str) -> None:
    write_text("small.csv", numbers())
    model_of("small.csv", "-t", "y")
    names, *rows = Path("small.csv").read_text(encoding="utf-8").splitlines()
    block = ("\n".join(rows) + "\n").encode()
    # A few of what is parsed at a time, or nothing would be written yet.
    several = block * (1 + 4 * _reading_text.BLOCK_BYTES // len(block))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with program("predict", "fitted.safetensors", "-", **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        given = names.encode() + b"\n" + several + (b"wrong\n" + several if ending == "a bad row" else b"")
        Thread(target=given_without_end, args=(process.stdin, given), daemon=True).start()
        assert process.stdout.readline() == b"prediction\n"
        if ending == "the reader goes away":
            process.stdout.close()
        else:
            Thread(target=process.stdout.read, daemon=True).start()
        if ending == "Ctrl-C":
            process.send_signal(signal.SIGINT)
        try:
            assert process.wait(20) == {"the reader goes away": 141, "Ctrl-C": 130, "a bad row": 2}[ending]
        finally:
            process.kill()
        told = process.stderr.read()
    assert (b"standard input" in told) == (ending == "a bad row")
    assert (told == b"") == (ending != "a bad row")


def given_without_end(stream: Any, content: bytes) -> None:
    """Write to a pipe, which stays open, for as long as somebody reads."""
    with suppress(BrokenPipeError):
        stream.write(content)
        stream.flush()


def test_full_disk_is_told_once() -> None:
    write_text("d.csv", numbers())
    model_of("d.csv", "-t", "y")
    with open("/dev/full", "wb") as full, program("predict", "fitted.safetensors", "d.csv", stdout=full) as process:
        message = process.communicate()[1].decode()
    assert process.returncode == 1
    assert "standard output: No space left on device" in message
    assert message.count("\n") == 1


def test_ctrl_c_while_reading_leaves_nothing() -> None:
    with program("fit", "-", "-t", "y", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        # More than what the beginning is judged by, so that it is waiting for more rows.
        process.stdin.write(b"a,y\n" + b"1,2\n3,4\n" * 60_000)
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        message = process.communicate()[1].decode()
    assert process.returncode == 130, message
    assert "Traceback" not in message
    assert os.listdir() == []


def test_documents_are_printed_for_programs() -> None:
    write_text("d.csv", numbers())
    document = json.loads(succeed("fit", "d.csv", "-t", "y", "--json"))
    assert document["features"] == ["width", "height"]
    assert document["seconds"] > 0
    assert json.loads(succeed("fit", "d.csv", "-t", "y", "-o", "-", "-q"))["coef"] == document["coef"]
    assert json.loads(succeed("info", "--json"))["steepest"] == st.__version__
    shown = run("sweep", "d.csv", "-t", "y", "-b", "16,64", "-e", 1, "-q", "--json", "-")
    assert [row["batch_size"] for row in json.loads(shown.stdout)["table"]] == [16, 64]


def test_landscapes_are_drawn() -> None:
    write_text("d.csv", numbers())
    for arguments in (
        ["--points", 9],
        ["--ray", "--around", "zeros", "--span", 3],
        ["-l", "huber", "--rows", 50, "--points", 5],
    ):
        assert "l.png" in succeed("landscape", "d.csv", "-t", "y", "-o", "l.png", *arguments)
        assert Path("l.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        Path("l.png").unlink()
    document = json.loads(succeed("landscape", "d.csv", "-t", "y", "--points", 5, "--json"))
    assert document["rows"] == ROWS
    np.testing.assert_allclose(document["around"][:2], expected_of(numbers()).coef, rtol=1e-3)
    assert "minimum or zeros" in refused("landscape", "d.csv", "-t", "y", "--around", "here")
    assert "goes with a plane" in refused("landscape", "d.csv", "-t", "y", "--ray", "--points", 5)
    assert "xyz" in refused("landscape", "d.csv", "-t", "y", "-o", "l.xyz", "--points", 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("fit nothing-*.csv -t y", "no file matches nothing-*.csv"),
        ("fit - d.csv -t y", "goes with no other file"),
        ("fit d.csv d.npy -t y", "several formats: csv, npy"),
        ("fit d.csv -t y --format word", "unknown format 'word'; there are: csv, tsv"),
        ("fit d.csv -t y --dtype float16", "unknown dtype 'float16'"),
        ("fit d.csv -t y -o model.pkl", ".safetensors or .json is needed"),
        ("fit d.npy -t 2 --categorical 1", "--categorical goes with .csv"),
        ("fit d.csv -t y --categorical y", "--categorical y is the target"),
        ("fit d.csv other.csv -t y", "other.csv has no column 'width'"),
        ("fit d.csv --format parquet -t y", "d.csv cannot be read as Parquet"),
        ("fit d.csv --format svmlight", "d.csv cannot be read as svmlight"),
        ("fit dates.parquet -t y", "column 'when' holds timestamp"),
        ("predict d.csv", "Missing argument"),
        ("fit long.csv -t y", "long.csv, line 20002: 3 columns, the first line has 2"),
        ("predict m.json d.csv --raw --probabilities", "exclude each other"),
        ("predict m.json other.csv", "other.csv has no column 'width'; there are: a, y"),
    ],
)
def test_what_cannot_be_done_is_refused(arguments: str, message: str) -> None:
    write_text("d.csv", numbers())
    np.save("d.npy", np.column_stack(list(numbers().values())))
    Path("other.csv").write_text("a,y\n1,2\n")
    Path("long.csv").write_text("a,y\n" + "1,2\n" * 20_000 + "1,2,3\n")
    when = pa.array([0, 1], pa.timestamp("s"))
    pq.write_table(pa.table({"when": when, "y": [1.0, 2.0]}), "dates.parquet")
    succeed("fit", "d.csv", "-t", "y", "-q", "-o", "m.json")
    assert message in refused(*arguments.split())


@pytest.mark.parametrize("command", ["fit", "predict", "sweep", "landscape", "info", "demo"])
def test_help_fits_a_terminal(command: str) -> None:
    shown = succeed(command, "--help")
    assert max(map(len, shown.splitlines())) <= 80
    assert "Usage: " in shown


def test_memory_is_the_numbers_and_little_else() -> None:
    rows, width = 600_000, 40
    draws = np.random.default_rng(0).random((1000, width))
    block = "\n".join(",".join(f"{value:.1f}" for value in row) for row in draws)
    Path("wide.csv").write_text(",".join(f"x{i}" for i in range(width)) + "\n" + (block + "\n") * (rows // 1000))
    code = """
from steepest._commands import app
from steepest._table import Request, read_table
import pyarrow.csv
read_table(Request(["first.csv"], target="x0"), labels=False)
forget_peak()
before = peak()
table = read_table(Request(["wide.csv"], target="x0"), labels=False)
print(peak() - before, table.X.nbytes + table.y.nbytes)
"""
    Path("first.csv").write_text("x0,x1\n1,2\n")
    grown, numbers_held = printed(code)
    assert numbers_held == rows * width * 8
    # A second copy of the numbers would be 192 MB; what is under way in pyarrow was 60 to 90, whatever the file.
    assert numbers_held < grown < numbers_held + 140e6
