"""The pictures that tests draw, each with a wrong one that must not pass for it, and how two pictures are compared.

Run as a program it draws them anew into tests/images; arguments name which.
"""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.image import imread, imsave

import steepest as st

IMAGES = Path(__file__).with_name("images")
TEXTS = IMAGES / "texts.json"
DPI = 60
# Squares of so many pixels are averaged before the comparison, so that what versions of matplotlib do to the edges of
# lines vanishes, and a curve elsewhere does not.
SQUARE = 6
# Root of the mean squared difference of the averaged squares, of 1: matplotlib 3.9 and 3.11 draw the same pixels, the
# wrong pictures below differ by at least 0.012.
TOLERANCE = 0.004

P5 = np.array([12.1, 12.8, 14.9, 16.3, 17.2])
Y5 = np.array([12.0, 13.0, 15.0, 16.0, 17.0])
QUARTIC = (st.reference.quartic_loss, st.reference.grad_quartic_loss)
ZERO = np.zeros(1)
BILLS = st.data.tips()
PCTTIP = 100 * BILLS["tip"] / BILLS["total_bill"]
TIP = "tip (% of the bill)"
THREE = (np.array([[1.0], [-1.5], [0.6]]), np.array([0, 1, 2]))


def line() -> tuple[Any, Any]:
    """Return rows of one feature and a constant, and targets: a loss of two parameters."""
    draw = np.random.default_rng(3)
    x = draw.uniform(-1, 2, 200)
    return np.column_stack([np.ones(200), x]), 1.5 + 2.0 * x + 0.7 * draw.standard_normal(200)


def traced() -> Any:
    @st.loss
    def logistic(w: Any, x: Any, y: Any) -> Any:
        return st.softplus(-y * (x @ w))

    return logistic


def learned(step: float) -> dict[str, st.Result]:
    """Return runs whose history has no clock in it."""
    data = st.data.logistic(2000, 5, seed=0)
    steps = {"0.01": 0.01, "0.1": 0.1, "one": step}
    return {
        name: st.minimize("log_loss", data, batch_size=32, epochs=8, step_size=s, seed=0, history="exact")
        for name, s in steps.items()
    }


def swept(scale: float) -> st.SweepResult:
    """Return a sweep whose times are made up, so that every run draws the same."""
    rows = []
    for size, rate in ((32, 0.9), (128, 0.6), (512, 0.35)):
        seconds = [0.001 * scale * (100 + size) * t / size for t in range(6)]
        objective = [0.4 + 0.29 * float(np.exp(-rate * t)) for t in range(6)]
        row = {"batch_size": size, "step_size": None, "method": "sgd", "rows_per_second": 1e6, "seconds": seconds[-1]}
        row |= {"objective": objective[-1], "time_to_target": seconds[3], "noise_scale": None, "diverged": False}
        rows.append(row | {"epochs": 5, "curve": {"epochs": [*range(6)], "seconds": seconds, "objective": objective}})
    data = st.data.logistic(64, 2, seed=0)
    blank = st.sweep("log_loss", data, batch_sizes=[8], epochs=1, seed=0, progress=False)
    fields = {name: getattr(blank, name) for name, field in blank.__dataclass_fields__.items() if field.init}
    return st.SweepResult(**{**fields, "table": rows, "rows": 64, "target": 0.45, "start": 0.69})


def six(every: float) -> dict[str, Any]:
    """Return schedules that stay the same when others join the list."""
    names = ("constant", "inverse_scaling", "inverse_time", "exponential", "step", "cosine")
    return {name: st.schedules.get(name, **({"every": every} if name == "step" else {})) for name in names}


def formula(y: float) -> dict[str, Any]:
    x, other = st.tensor(2.0, requires_grad=True), st.tensor(y, requires_grad=True)
    return {"end": st.log(x) + x * other - st.sin(other), "x": x, "y": other}


def second_step(ax: Any) -> Any:
    """Draw what takes axes with a curve on them."""
    st.plot.loss_curve("mse", P5, (11, 18), ax, label="mse")
    st.plot.loss_curve("huber", P5, (11, 18), ax, label="huber")
    return st.plot.theta("mse", P5, 16.5, ax=ax)


LEGEND_BESIDE = ("bowl", "schedules", "sweep")
Draw = Callable[[Any], Any]
# name: (size in inches, the picture, a wrong one)
PICTURES: dict[str, tuple[tuple[float, float], Draw, Draw]] = {
    "rug": (
        (5, 2.2),
        lambda ax: st.plot.rug(PCTTIP, ax=ax, xlabel=TIP),
        lambda ax: st.plot.rug(PCTTIP[::2] + 9, (0, 75), ax=ax, xlabel=TIP),
    ),
    "histogram": (
        (6, 4),
        lambda ax: st.plot.histogram(PCTTIP, ax=ax, xlabel=TIP),
        lambda ax: st.plot.histogram(PCTTIP, 25, ax=ax, xlabel=TIP),
    ),
    "loss_curve": ((6, 4), second_step, lambda ax: st.plot.theta("mse", P5, 13.5, (11, 18), ax=ax)),
    "theta": (
        (6, 4),
        lambda ax: st.plot.theta("mse", P5, 12, (11, 18), ax=ax),
        lambda ax: st.plot.theta("mse", P5, 13, (11, 18), ax=ax),
    ),
    "tangent": (
        (6, 4),
        lambda ax: st.plot.tangent("mse", P5, 12, (11, 18), ax),
        lambda ax: st.plot.tangent("mse", P5, 16.5, (11, 18), ax),
    ),
    "step": (
        (6, 4),
        lambda ax: st.plot.step("mse", P5, 12, 0.3, (11, 18), ax),
        lambda ax: st.plot.step("mse", P5, 12, 0.5, (11, 18), ax),
    ),
    "chord": (
        (6, 4),
        lambda ax: st.plot.chord(QUARTIC, ZERO, -12, 15, (-23, 25), ax),
        lambda ax: st.plot.chord(QUARTIC, ZERO, -12, 19, (-23, 25), ax),
    ),
    "contours": (
        (6, 4.6),
        lambda ax: st.plot.contours("squared_error", line(), (-3, 5), ax),
        lambda ax: st.plot.contours("absolute_error", line(), (-3, 5), ax),
    ),
    "paths": (
        (7, 4.8),
        lambda ax: st.plot.paths("squared_error", line(), [-2, -2], updates=(30, 40, 60), seed=1, ax=ax),
        lambda ax: st.plot.paths("squared_error", line(), [-2, 4], updates=(30, 40, 60), seed=1, ax=ax),
    ),
    "ray": (
        (6, 4),
        lambda ax: st.plot.ray("multiclass_hinge", THREE, span=4, ax=ax),
        lambda ax: st.plot.ray("multiclass_hinge", THREE, span=4, ax=ax, seed=5),
    ),
    "plane": (
        (6, 4.8),
        lambda ax: st.plot.plane(traced(), st.data.logistic(300, 4, seed=0), span=6, ax=ax, points=41),
        lambda ax: st.plot.plane(traced(), st.data.logistic(300, 4, seed=0), span=6, ax=ax, points=41, seed=1),
    ),
    "bowl": (
        (7, 4),
        lambda ax: st.plot.bowl("multiclass_hinge", THREE, 0, (-4, 4), [[0.0], [0.5], [-0.3]], ax),
        lambda ax: st.plot.bowl("multiclass_hinge", THREE, 1, (-4, 4), [[0.0], [0.5], [-0.3]], ax),
    ),
    "step_sizes": (
        (6.6, 4.4),
        lambda ax: st.plot.step_sizes("log_loss", st.data.logistic(2000, 5, seed=0), ax=ax),
        lambda ax: st.plot.step_sizes("squared_error", st.data.logistic(2000, 5, seed=0), ax=ax),
    ),
    "learning_curves": (
        (6, 4),
        lambda ax: st.plot.learning_curves(learned(1.0), ax=ax),
        lambda ax: st.plot.learning_curves(learned(0.02), ax=ax),
    ),
    "gradient_noise": (
        (6.4, 4.2),
        lambda ax: st.plot.gradient_noise("log_loss", st.data.logistic(512, 4, seed=0), ax=ax),
        lambda ax: st.plot.gradient_noise("log_loss", st.data.logistic(128, 4, seed=0), ax=ax),
    ),
    "schedules": (
        (7.2, 4),
        lambda ax: st.plot.schedules(six(2.5), ax=ax),
        lambda ax: st.plot.schedules(six(5.0), epochs=40, ax=ax),
    ),
    "sweep": (
        (8, 4.6),
        lambda ax: st.plot.sweep(swept(1.0), ax=ax),
        lambda ax: st.plot.sweep(swept(1.0), "epochs", ax=ax),
    ),
    "graph": (
        (9, 3.8),
        lambda ax: st.plot.graph(ax=ax, **formula(5.0)),
        lambda ax: st.plot.graph(ax=ax, **{**formula(5.0), "end": formula(5.0)["end"] * 2}),
    ),
}


def drawn(name: str, wrong: bool = False) -> tuple[np.ndarray, list[str]]:
    """Draw a picture in matplotlib's own style; return its pixels without letters, from 0 to 1, and its texts.

    Letters are compared as strings: their shapes, and all that gives way to them, differ from one version of FreeType
    to the next. So do the ticks that matplotlib chooses.
    """
    size, draw, draw_wrong = PICTURES[name]
    with style.context("default"):
        figure = Figure(figsize=size, dpi=DPI)
        ax = figure.add_axes((0.13, 0.18, 0.55 if name in LEGEND_BESIDE else 0.82, 0.7))
        assert (draw_wrong if wrong else draw)(ax) is ax
        texts = []
        for each in figure.axes:
            texts += [each.get_title(loc="left"), each.get_xlabel(), each.get_ylabel()]
            texts += [text.get_text() for text in each.texts]
            if (legend := each.get_legend()) is not None:
                texts += [legend.get_title().get_text(), *(text.get_text() for text in legend.get_texts())]
                legend.remove()
            for text in each.texts:
                text.set_visible(not text.get_text())
            each.set(title="", xlabel="", ylabel="")
            each.set_title("", loc="left")
            each.tick_params(which="both", length=0, labelbottom=False, labelleft=False, labelright=False)
            each.grid(False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
    buffer.seek(0)
    return imread(buffer)[..., :3], [text for text in texts if text]


def stored(name: str) -> tuple[np.ndarray, list[str]]:
    return imread(IMAGES / f"{name}.png")[..., :3], json.loads(TEXTS.read_text(encoding="utf-8"))[name]


def averaged(pixels: np.ndarray) -> np.ndarray:
    height, width = (side // SQUARE for side in pixels.shape[:2])
    cut = pixels[: height * SQUARE, : width * SQUARE]
    return cut.reshape(height, SQUARE, width, SQUARE, 3).mean(axis=(1, 3), dtype=np.float64)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Return how much two pictures differ: 0 for the same, 1 for black and white or for another size."""
    if one.shape != other.shape:
        return 1.0
    return float(np.sqrt(np.mean((averaged(one) - averaged(other)) ** 2)))


if __name__ == "__main__":
    known = json.loads(TEXTS.read_text(encoding="utf-8")) if TEXTS.exists() else {}
    for each in sys.argv[1:] or PICTURES:
        pixels, known[each] = drawn(each)
        imsave(IMAGES / f"{each}.png", pixels)
    TEXTS.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
