"""The command line takes every member of the lists, with its numbers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import steepest as st
from steepest._commands import app


@pytest.fixture(autouse=True)
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    monkeypatch.chdir(tmp_path)
    source = np.random.default_rng(3)
    X = source.normal(size=(40, 3))
    y = X @ [1.0, -2.0, 0.5] + 0.1 * source.normal(size=40)
    assert np.unique(y).size == 40
    np.savez("rows.npz", X=X, y=y)
    return X, y


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["fit", "rows.npz", "--quiet", *(str(argument) for argument in arguments)])


def fitted(*arguments: Any) -> dict[str, Any]:
    result = run(*arguments, "--output", "fitted.json")
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(Path("fitted.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", st.optim.available())
def test_rules(name: str, rows: tuple[Any, Any]) -> None:
    options = ("--method", name, "--step-size", 0.05, "--batch-size", 8, "--epochs", 3, "--seed", 1)
    document = fitted(*options)
    expected = st.minimize(
        "squared_error", rows, method=name, step_size=0.05, batch_size=8, epochs=3, seed=1, fit_intercept=True
    )
    assert document["coef"] == expected.coef.tolist()
    assert np.any(expected.coef != 0)


@pytest.mark.parametrize("name", st.penalties.available())
def test_penalties(name: str, rows: tuple[Any, Any]) -> None:
    numbers = {"alpha": 0.3, "l1_ratio": 0.4, "radius": 0.5, "lower": -0.25, "upper": 0.75}
    given = {key: value for key, value in numbers.items() if key in st.penalties.get(name).params}
    pairs = [part for key, value in given.items() for part in (f"--{key.replace('_', '-')}", value)]
    options = ("--method", "gd", "--epochs", 40)
    document = fitted("--penalty", name, *pairs, *options)
    penalty = st.penalties.get(name, **given)
    expected = st.minimize("squared_error", rows, method="gd", epochs=40, penalty=penalty, fit_intercept=True)
    assert document["coef"] == expected.coef.tolist()
    assert not np.allclose(document["coef"], fitted(*options)["coef"])
    for key in numbers.keys() - given.keys():
        refused = run("--penalty", name, f"--{key.replace('_', '-')}", 0.5)
        assert refused.exit_code == 2
        assert f"--{key.replace('_', '-')} goes with --penalty" in " ".join(refused.stderr.split())


def test_bounds_that_cross() -> None:
    refused = run("--penalty", "box", "--lower", 2)
    assert refused.exit_code == 2
    assert "lower must not exceed upper" in " ".join(refused.stderr.split())
