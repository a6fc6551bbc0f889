"""Gradients of modules and practical tricks (source C)."""

import numpy as np
from gallery import Gallery, run

import steepest as st
from steepest import nn


def checks(module, shape, seed: int) -> bool:
    """Tell whether the gradient of a module's output in its input is that of differences."""
    draw = np.random.default_rng(seed)
    x, weight = draw.standard_normal(shape), draw.standard_normal(shape)

    def value(flat: np.ndarray) -> float:
        return float(st.sum(module(st.tensor(flat.reshape(shape))) * weight).item())

    def gradient(flat: np.ndarray) -> np.ndarray:
        at = st.tensor(flat.reshape(shape), requires_grad=True)
        st.sum(module(at) * weight).backward()
        return at.grad.numpy().ravel()

    return bool(st.gradients.check_gradient(value, gradient, x.ravel()))


def walk(g: Gallery) -> None:
    """Walk through source C."""
    g.heading("Modules and their gradients (C1)")
    for name in ("ReLU", "Sigmoid", "Tanh", "LogSoftMax"):
        g.figure(f"{name}: the gradient check", str(checks(getattr(nn, name)(), (4, 3), 0)), "True")
    x = st.tensor([1000.0, 0.0, -1000.0])
    g.figure("LogSoftMax of 1000, 0, -1000", " ".join(f"{v:g}" for v in nn.LogSoftMax()(x).numpy()), "0 -1000 -2000")
    for s, source in ((-800.0, "0"), (800.0, "800")):
        g.figure(f"log(1 + exp s) at {s:g}", f"{st.softplus(st.tensor(s)).item():g}", source)
    w = st.tensor([2.0], requires_grad=True)
    st.sum(w * 3 + w * 5).backward()
    g.figure("duplicated: the gradients sum", f"{w.grad.numpy()[0]:g}", "8")

    def activations(ax):
        s = np.linspace(-5, 5, 401)
        for name, color in (("ReLU", "#2b6cb0"), ("Sigmoid", "#d9480f"), ("Tanh", "#2f9e44")):
            ax.plot(s, getattr(nn, name)()(st.tensor(s)).numpy(), color=color, lw=2, label=name)
        ax.plot(s, st.softplus(st.tensor(s)).numpy(), color="#9c36b5", lw=2, ls="--", label="log(1 + exp s)")
        ax.set(xlabel="s", ylabel="output", ylim=(-1.2, 4))
        ax.grid(color="0.92")
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False)

    g.picture("activations", activations)

    g.heading("A small network for classes that no line divides (C2)")
    draw = np.random.default_rng(0)
    X = draw.standard_normal((600, 2)).astype(np.float32)
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    nn.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
    result = nn.fit(model, "cross_entropy", (X, y), method="sgd", step_size=0.5, batch_size=16, epochs=30, seed=0)
    right = (model(X).numpy().argmax(axis=1) == y).mean()
    linear = st.minimize("softmax", (X, y), fit_intercept=True, epochs=50, seed=0)
    g.fact("a line, rows right", f"{(linear.predict(X).argmax(axis=1) == y).mean():.1%}")
    g.fact("the network, rows right", f"{right:.1%}")
    g.figure("the network is right on nearly all", str(bool(right > 0.95)), "True")
    g.picture("network", lambda ax: network(ax, model, X, y), (5.6, 4.6))
    g.picture("learning", lambda ax: st.plot.learning_curves(result, ax=ax))

    g.heading("Shuffling matters (C3)")
    data = st.data.logistic(4000, 8, seed=0, dtype="float64", sorted_by_class=True)
    orders = {"sorted by class": False, "shuffled once": "once", "shuffled every epoch": True}
    options = {"batch_size": 32, "epochs": 8, "step_size": 0.1, "seed": 0, "history": "exact"}
    runs = {
        name: st.minimize("log_loss", data, fit_intercept=True, shuffle=order, **options)
        for name, order in orders.items()
    }
    for name, one in runs.items():
        g.fact(f"loss after 8 epochs, {name}", f"{one.fun:.4f}")
    g.figure(
        "sorted rows end higher", str(runs["sorted by class"].fun > 1.05 * runs["shuffled every epoch"].fun), "True"
    )
    g.picture("shuffling", lambda ax: st.plot.learning_curves(runs, ax=ax))

    g.heading("Inputs of mean 0 and deviation 1 (C4)")
    rows, labels = st.data.logistic(2000, 5, seed=1, dtype="float64")
    wide = rows * [1, 10, 100, 1, 10] + [0, 50, -300, 5, 0]
    mean, deviation = wide.mean(axis=0), wide.std(axis=0)
    scaled = st.data.scaled(wide, 1 / deviation, -mean / deviation)
    runs = {
        name: st.minimize("log_loss", (X, labels), fit_intercept=True, method="gd", epochs=40, history="exact")
        for name, X in (("as measured", wide), ("normalised", scaled))
    }
    for name, one in runs.items():
        g.fact(f"loss after 40 epochs, {name}", f"{one.fun:.4f}")
    g.figure("normalised rows are faster", str(runs["normalised"].fun < runs["as measured"].fun - 0.05), "True")
    g.picture("normalising", lambda ax: st.plot.learning_curves(runs, ax=ax))

    g.heading("A step size that falls (C5)")
    g.picture("schedules", lambda ax: st.plot.schedules(ax=ax), (7.2, 4))

    g.heading("L2 shrinks weights, L1 makes them zero (C6)")
    useless = np.random.default_rng(2).standard_normal((2000, 10))
    both = (np.column_stack([rows, useless]), labels)
    for name, penalty in (("no penalty", None), ("L2(0.1)", st.L2(0.1)), ("L1(0.03)", st.L1(0.03))):
        found = st.minimize("log_loss", both, penalty=penalty)
        g.fact(f"{name}: useless weights that are 0", f"{int((found.x[5:] == 0).sum())} of 10")
    g.figure("L1: exactly zero", str(int((found.x[5:] == 0).sum()) >= 9), "True")

    g.heading("Weights at the start (C7)")
    nn.manual_seed(0)
    layer = nn.Linear(400, 300)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    g.fact("Kaiming: variance times inputs", f"{layer.weight.numpy().var() * 400:.3f}")
    g.figure("which is 2 for ReLU", str(bool(abs(layer.weight.numpy().var() * 400 - 2) < 0.05)), "True")


def network(ax, model, X: np.ndarray, y: np.ndarray) -> None:
    """Draw what a network says of the plane, and the rows."""
    side = np.linspace(-3, 3, 121, dtype=np.float32)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    scores = model(grid).numpy()
    shares = 0.5 + 0.5 * np.tanh((scores[:, 1] - scores[:, 0]) / 2)
    shown = ax.contourf(side, side, shares.reshape(121, 121), levels=np.linspace(0, 1, 11), cmap="RdYlBu_r", alpha=0.8)
    ax.scatter(*X[y == 0].T, s=9, color="#1c4e80", label="class 0")
    ax.scatter(*X[y == 1].T, s=9, color="#a61e1e", marker="^", label="class 1")
    ax.figure.colorbar(shown, ax=ax, label="probability of class 1")
    ax.set(xlabel="x₀", ylabel="x₁", xlim=(-3, 3), ylim=(-3, 3))
    ax.legend(loc="upper left", framealpha=0.9)


if __name__ == "__main__":
    run("c", walk)
