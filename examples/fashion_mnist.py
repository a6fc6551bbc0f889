"""A small network learns to tell clothes apart: `python examples/fashion_mnist.py [--epochs N] [--figure FILE]`.

Fashion-MNIST comes with Debian's package dataset-fashion-mnist; `--directory` says where else its four files are.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

import steepest as st
from steepest import nn

Array = NDArray[Any]


def accuracy(model: nn.Module, X: Array, y: Array) -> float:
    """Return the share of pictures whose largest score is their label's."""
    return float((model(X).numpy().argmax(axis=1) == y).mean())


def draw(curves: dict[str, list[float]], path: str) -> None:
    """Draw losses and the accuracy on pictures never trained on, epoch by epoch."""
    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    epochs = range(1, len(curves["loss"]) + 1)
    left.plot(epochs, curves["loss"], marker=".", label="met while training, with dropout")
    left.plot(epochs, curves["test loss"], marker=".", label="test pictures")
    left.set(xlabel="epoch", ylabel="cross-entropy")
    left.legend()
    right.plot(epochs, curves["test accuracy"], marker=".", color="tab:green")
    right.set(xlabel="epoch", ylabel="accuracy on test pictures")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, print a line per epoch and draw the learning curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", help="where the files of Fashion-MNIST are")
    parser.add_argument("--epochs", type=int, default=10, help="passes over the data (default: %(default)s)")
    parser.add_argument("--rows", type=int, help="pictures to train on (default: all)")
    parser.add_argument("--figure", default="fashion_mnist.png", help="the picture to write (default: %(default)s)")
    options = parser.parse_args(arguments)

    clothes = st.data.fashion_mnist(options.directory)
    X, X_test = (clothes[name] / np.float32(255) for name in ("X_train", "X_test"))
    y, y_test = (clothes[name].astype(np.int64) for name in ("y_train", "y_test"))
    X, y = X[: options.rows], y[: options.rows]
    nn.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 10))
    curves: dict[str, list[float]] = {"loss": [], "test loss": [], "test accuracy": []}
    cross_entropy = st.losses.get("softmax")

    def note(reached: Any) -> None:
        scores = model(X_test).numpy()
        curves["loss"].append(reached.fun)
        curves["test loss"].append(cross_entropy(y_test, scores))
        curves["test accuracy"].append(accuracy(model, X_test, y_test))
        print(
            f"epoch {reached.epoch:2}  loss {reached.fun:.4f}  test loss {curves['test loss'][-1]:.4f}  "
            f"test accuracy {curves['test accuracy'][-1]:.4f}  {reached.seconds:.2f} s"
        )

    nn.fit(
        model,
        "cross_entropy",
        (X, y),
        method="adam",
        step_size=st.schedules.Cosine(1e-3),
        batch_size=64,
        epochs=options.epochs,
        seed=0,
        callback=note,
    )
    draw(curves, options.figure)
    print(f"{options.figure} shows the learning curves")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
