"""The worked example and the benchmark of networks run."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

ROOT = Path(__file__).resolve().parents[1]
PNG = b"\x89PNG\r\n\x1a\n"


def run(*arguments: object) -> str:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"MPLBACKEND": "agg"}, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def write_idx(path: Path, array: NDArray[Any]) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def test_the_example_learns_and_draws_its_curves(tmp_path: Path) -> None:
    # Digits, enlarged to the size of the pictures of clothes.
    X, y = load_digits(return_X_y=True)
    pictures = np.pad((X.reshape(-1, 8, 8) * 15).repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
    rows = np.random.default_rng(0).permutation(len(y))
    for name, part in (("train", rows[:1500]), ("t10k", rows[1500:])):
        write_idx(tmp_path / f"{name}-images-idx3-ubyte", pictures[part])
        write_idx(tmp_path / f"{name}-labels-idx1-ubyte", y[part])
    figure = tmp_path / "curves.png"
    output = run("examples/fashion_mnist.py", "--directory", tmp_path, "--epochs", 6, "--figure", figure)
    accuracies = [float(found) for found in re.findall(r"test accuracy (\S+)", output)]
    assert len(accuracies) == 6
    assert accuracies[-1] > 0.9
    assert figure.read_bytes().startswith(PNG)


def test_networks_are_compared_with_the_peers_that_are_here() -> None:
    output = run("benchmarks/networks.py", "--rows", "600", "--repeats", "1")
    assert len(re.findall(r"batch +\d+ +steepest", output)) >= 3
    assert len(re.findall("batch +(?:16|64|256): over", output)) >= 3
    assert "NumPy" in output
    assert "one linear layer over the built-in softmax" in output
