"""Pictures: compared with stored ones, drawn for every kind of loss, and refused where they cannot be drawn."""

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import steepest as st
from pictures import IMAGES, P5, PICTURES, QUARTIC, TOLERANCE, ZERO, difference, drawn, line, stored
from steepest.plot import _animate


def axes() -> Any:
    return Figure(figsize=(3, 2), dpi=60).add_subplot()


def rows(n: int = 60) -> tuple[Any, Any]:
    draw = np.random.default_rng(n)
    X = draw.standard_normal((n, 2))
    y = X @ [1.0, -2.0] + 0.1 * draw.standard_normal(n)
    assert len(np.unique(y)) == n
    return X, y


@st.loss
def traced(w: Any, x: Any, y: Any) -> Any:
    return 0.5 * (x @ w - y) ** 2


def mean_of_squares(theta: Any, batch: Any) -> float:
    return float(np.mean(0.5 * (batch[0] @ theta - batch[1]) ** 2))


def its_gradient(theta: Any, batch: Any) -> Any:
    return batch[0].T @ (batch[0] @ theta - batch[1]) / len(batch[1])


KINDS: dict[str, Any] = {
    "built in": "squared_error",
    "object": st.losses.SquaredError(),
    "traced": traced,
    "callable": mean_of_squares,
    "pair": (mean_of_squares, its_gradient),
}


def test_every_function_has_a_picture() -> None:
    # A pair of axes and a file: they have tests of their own.
    assert set(PICTURES) | {"rug_and_loss", "animate_descent"} == set(st.plot.__all__)
    assert {path.stem for path in IMAGES.glob("*.png")} == set(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_as_stored(name: str) -> None:
    (pixels, texts), (expected, words) = drawn(name), stored(name)
    assert texts == words
    assert difference(pixels, expected) < TOLERANCE


@pytest.mark.parametrize("name", PICTURES)
def test_wrong_pictures_are_told_apart(name: str) -> None:
    assert difference(drawn(name, wrong=True)[0], stored(name)[0]) > 2 * TOLERANCE


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_loss_is_drawn_alike(kind: str) -> None:
    data, x0 = rows(), np.zeros(2)
    for draw in (
        lambda loss, ax: st.plot.ray(loss, data, x0, [1.0, 2.0], 2.0, ax),
        lambda loss, ax: st.plot.step_sizes(loss, data, x0, [0.01, 0.1, 1.0], ax),
        lambda loss, ax: st.plot.bowl(loss, data, 1, x0=x0, ax=ax),
        lambda loss, ax: st.plot.paths(loss, data, x0, batch_sizes=(None, 8), step_size=0.1, updates=9, ax=ax),
        lambda loss, ax: st.plot.gradient_noise(loss, data, x0, [1, 8], ax, draws=5),
    ):
        expected, found = draw("squared_error", axes()).lines, draw(KINDS[kind], axes()).lines
        assert len(expected) == len(found) > 0
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_allclose(other.get_ydata(), one.get_ydata(), rtol=1e-6, atol=1e-9)


def test_new_axes_are_made() -> None:
    left, right = st.plot.rug_and_loss("huber", P5, (11, 18), xlabel="tip (%)")
    assert left.figure is right.figure
    assert (left.get_xlim(), right.get_xlim()) == ((11, 18), (11, 18))
    assert st.plot.loss_curve("mse", P5).figure.axes


def test_penalties_and_weights_count() -> None:
    data = rows()
    plain, punished = (
        st.plot.ray("squared_error", data, [0.0, 0.0], [1.0, 0.0], 1.0, axes(), penalty=penalty)
        for penalty in (None, st.L2(3.0))
    )
    extra = punished.lines[0].get_ydata() - plain.lines[0].get_ydata()
    np.testing.assert_allclose(extra, 1.5 * plain.lines[0].get_xdata() ** 2, atol=1e-12)
    for penalty in (None, st.L2(3.0)):
        walked = st.plot.paths(traced, data, [1.0, 1.0], batch_sizes=[None], updates=400, ax=axes(), penalty=penalty)
        found = st.minimize("squared_error", data, penalty=penalty, tol=1e-10)
        end = [walked.lines[0].get_data()[i][-1] for i in (0, 1)]
        np.testing.assert_allclose(end, found.x, atol=1e-4)


def test_steps_are_those_of_the_textbook() -> None:
    ax = axes()
    for theta, new in ((12, "13.596"), (13.60, "14.236"), (14.24, "14.492"), (14.49, "14.592")):
        ax.clear()
        st.plot.step("mse", P5, theta, 0.3, ax=ax)
        assert ax.get_legend().get_texts()[1].get_text() == f"new θ = {new}"
    ax.clear()
    st.plot.step(QUARTIC, ZERO, -21, 2.5, (-23, 25), ax)
    assert ax.get_legend().get_texts()[1].get_text() == "new θ = -9.945"


def test_every_schedule_is_drawn() -> None:
    ax = st.plot.schedules(ax=axes())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(st.schedules.available())
    shapes = {tuple(line.get_ydata()) for line in ax.lines}
    assert len(shapes) == len(st.schedules.available())


def test_chord_of_a_convex_loss_has_nothing_above_it() -> None:
    ax = st.plot.chord("mse", P5, 17, 12, ax=axes())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["chord"]


@pytest.mark.parametrize("batch_size", [None, 8])
@pytest.mark.parametrize("parameters", [1, 2])
def test_descents_move(tmp_path: Path, parameters: int, batch_size: int | None) -> None:
    data: Any = P5 if parameters == 1 else line()
    loss = "mse" if parameters == 1 else "squared_error"
    path = tmp_path / "descent.gif"
    ax = axes()
    found = st.plot.animate_descent(loss, data, path, batch_size=batch_size, updates=6, seed=1, ax=ax)
    assert found is ax
    with Image.open(path) as image:
        assert image.format == "GIF"
        assert image.n_frames == 7
        frames = []
        for i in range(image.n_frames):
            image.seek(i)
            frames.append(np.asarray(image.convert("L"), dtype=float))
    assert all(np.abs(one - other).max() > 50 for one, other in pairwise(frames))
    assert ax.get_title(loc="left").startswith(f"{loss}, update 6: loss ")


def test_long_descents_show_some_of_their_updates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_animate, "MOST_FRAMES", 8)
    ax = axes()
    st.plot.animate_descent("mse", P5, tmp_path / "long.gif", updates=20, ax=ax)
    with Image.open(tmp_path / "long.gif") as image:
        assert image.n_frames == 8
    assert "update 20:" in ax.get_title(loc="left")


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: st.plot.loss_curve("squared_error", rows(), ax=axes()), "one parameter; squared_error .* has 2"),
        (lambda: st.plot.contours("mse", P5, ax=axes()), "two parameters; mse .* has 1"),
        (lambda: st.plot.contours("squared_error", rows(), (1, 2, 3), axes()), "bounds must be"),
        (lambda: st.plot.loss_curve("mse", P5, (3, 1), axes()), "ascending"),
        (lambda: st.plot.rug([], ax=axes()), "one-dimensional"),
        (lambda: st.plot.histogram([1.0, np.nan], ax=axes()), "value 1 is not"),
        (lambda: st.plot.ray("squared_error", rows(), direction=[1.0], ax=axes()), "2 finite numbers"),
        (lambda: st.plot.plane("mse", P5, ax=axes()), "two parameters at least"),
        (lambda: st.plot.plane("squared_error", rows(), span=-1, ax=axes()), "span"),
        (lambda: st.plot.bowl("mse", P5, 1, ax=axes()), "index of the 1 parameters"),
        (lambda: st.plot.step_sizes("mse", P5, [0.0], [-1.0], axes()), "positive"),
        (lambda: st.plot.step_sizes("mse", [1.0, -1.0], ax=axes()), "gradient at x0 is zero"),
        (lambda: st.plot.learning_curves([], ax=axes()), "empty"),
        (lambda: st.plot.learning_curves(st.search.grid("mse", P5, [1, 2]), ax=axes()), "no history of epochs"),
        (lambda: st.plot.learning_curves([], "steps", axes()), "against"),
        (lambda: st.plot.gradient_noise("mse", P5, batch_sizes=[6], ax=axes()), "between 1 and the 5 rows"),
        (lambda: st.plot.schedules([], ax=axes()), "a schedule at least"),
        (lambda: st.plot.animate_descent("squared_error", (np.eye(3), P5[:3]), "x.gif"), "one or two parameters"),
        (lambda: st.plot.animate_descent("mse", P5, "x.gif", updates=0), "updates"),
        (lambda: st.plot.animate_descent("mse", P5, "x.gif", step_size=1e200), "smaller step_size"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()


def test_whole_numbers_are_starts_as_others_are() -> None:
    for whole, data in ((1, P5), ([1], P5), ([1, 2], rows()), ((2, 1), rows()), (np.array([1, 2]), rows())):
        loss = "mse" if data is P5 else "squared_error"
        draw = [st.plot.step_sizes] if data is P5 else [st.plot.step_sizes, st.plot.paths, st.plot.plane]
        for function in draw:
            pictures = []
            for x0 in (whole, np.array(whole, dtype=float), np.array(whole, dtype=float) + 0.5):
                ax = axes()
                function(loss, data, x0, ax=ax)
                pictures.append(drawn_numbers(ax))
            np.testing.assert_array_equal(pictures[0], pictures[1])
            assert not np.array_equal(pictures[0], pictures[2])


def drawn_numbers(ax: Any) -> Any:
    lines = [line.get_xydata().ravel() for line in ax.lines]
    maps = [part.get_array().ravel() for part in (*ax.collections, *ax.images) if part.get_array() is not None]
    return np.ma.concatenate([*lines, *maps]).filled(0)


def test_missing_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[plot\]'"):
        st.plot.rug(P5)
