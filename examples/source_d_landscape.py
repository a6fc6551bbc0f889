"""The loss landscape and the road to gradient descent: ten classes (source D).

The source's figures are of CIFAR-10, which is not at hand: ten classes of made-up points stand for it, and what is
compared is the shape of the figures, not their digits.
"""

from itertools import pairwise

import numpy as np
from gallery import Gallery, run

import steepest as st
from steepest import reference

CLASSES, FEATURES = 10, 16


def points(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows around ten centres, with a last column of ones for the bias, and their classes."""
    draw = np.random.default_rng(seed)
    centres = np.random.default_rng(7).standard_normal((CLASSES, FEATURES))
    labels = np.arange(n) % CLASSES
    X = centres[labels] + 1.2 * draw.standard_normal((n, FEATURES))
    return np.column_stack([X, np.ones(n)]), labels


def walk(g: Gallery) -> None:
    """Walk through source D."""
    X, y = points(1000, 0)
    test, truth = points(1000, 1)

    def accuracy(result: st.Result) -> float:
        return float(((test @ result.x.reshape(CLASSES, -1).T).argmax(axis=1) == truth).mean())

    g.heading("The loss of a multiclass support vector machine (D1)")
    W = np.random.default_rng(3).standard_normal((CLASSES, FEATURES + 1)) * 0.1
    objective = st.Objective("multiclass_hinge", (X, y))
    by_hand = reference.multiclass_svm(W, X, y)[0]
    g.figure("the core agrees with the formula in NumPy", str(bool(abs(objective.value(W) - by_hand) < 1e-9)), "True")
    three = (np.array([[1.0], [-1.5], [0.6]]), np.array([0, 1, 2]))
    there = [[0.0], [0.5], [-0.3]]
    for weight in (0, 1, 2):
        g.picture(
            f"bowl-of-weight-{weight}",
            lambda ax, weight=weight: st.plot.bowl("multiclass_hinge", three, weight, (-4, 4), there, ax),
            (7, 4),
        )

    g.heading("The landscape along a ray and over a plane (D2)")
    one = (X[:1].repeat(CLASSES, axis=0), np.arange(CLASSES))
    g.picture("ray", lambda ax: st.plot.ray("multiclass_hinge", (X[:30], y[:30]), W, span=6, ax=ax))
    g.picture(
        "plane-few-rows", lambda ax: st.plot.plane("multiclass_hinge", one, W, span=4, ax=ax, points=41), (6.2, 4.9)
    )
    g.picture(
        "plane-many-rows",
        lambda ax: st.plot.plane("multiclass_hinge", (X[:100], y[:100]), W, span=4, ax=ax, points=41),
        (6.2, 4.9),
    )

    g.heading("Three strategies, 1000 evaluations each (D3)")
    tries = {
        "random draws": st.search.random("multiclass_hinge", (X, y), n=1000, scale=1e-4, seed=0),
        "random steps": st.search.local("multiclass_hinge", (X, y), n=1000, seed=0),
        "the gradient": st.minimize(
            "multiclass_hinge", (X, y), method="gd", epochs=1000, step_size=st.schedules.InverseScaling(0.05)
        ),
    }
    reached = [result.fun for result in tries.values()]
    for name, result in tries.items():
        g.fact(name, f"loss {result.fun:.4f}, {accuracy(result):.1%} right")
    g.figure("each better than the one before", str(reached == sorted(reached, reverse=True)), "True")
    g.picture("strategies", lambda ax: strategies(ax, tries))

    g.heading("Gradients by differences (D4, D6)")
    calls = []

    def counted(v: np.ndarray) -> float:
        calls.append(1)
        return objective.value(v)

    st.gradients.numerical_gradient(counted, W, scheme="forward", h=1e-5)
    g.figure("evaluations, forward", str(len(calls)), str(W.size + 1))
    calls.clear()
    st.gradients.numerical_gradient(counted, W)
    g.figure("evaluations, central", str(len(calls)), str(2 * W.size))
    check = st.gradients.check_gradient(objective.value, objective.gradient, W.ravel())
    g.figure("the gradient check agrees", str(bool(check)), "True")

    g.heading("How long a step? (D5)")
    gradient = objective.gradient(W)
    g.fact("before", f"{objective.value(W):.6f}")
    after = []
    for exponent in range(-6, 4):
        after.append(objective.value(W.ravel() - 10.0**exponent * gradient))
        g.fact(f"10^{exponent}", f"{after[-1]:.6f}")
    lowest = int(np.argmin(after))
    falls = all(one > other for one, other in pairwise(after[: lowest + 1]))
    g.figure("first it falls", str(falls and 0 < lowest < 8), "True")
    g.figure("then it grows tenfold per decade", f"{after[-1] / after[-2]:.0f}", "10")
    g.picture("step-sizes", lambda ax: st.plot.step_sizes("multiclass_hinge", (X, y), W, ax=ax), (6.6, 4.4))

    g.heading("Why a batch is enough, and which (D7)")
    few = st.Objective("multiclass_hinge", (X, y)).gradient(W)
    many = st.Objective("multiclass_hinge", (np.tile(X, (12, 1)), np.tile(y, 12))).gradient(W)
    g.figure("12 copies of the rows have their gradient", str(bool(np.allclose(few, many, atol=1e-12))), "True")
    result = st.sweep(
        "multiclass_hinge", points(20_000, 2), batch_sizes=[32, 64, 128, 256], epochs=3, seed=0, progress=False
    )
    g.fact("the best batch on these rows, here and now", f"{result.best['batch_size']:,} rows")
    g.picture("batch-sizes", lambda ax: st.plot.sweep(result, "epochs", ax), (8, 4.6))


def strategies(ax, tries) -> None:
    for (name, result), color in zip(tries.items(), ("#d9480f", "#b08900", "#2b6cb0"), strict=True):
        objective = result.history.objective if "evaluation" in result.history else result.history.running_objective
        ax.plot(np.arange(1, len(objective) + 1), objective, color=color, lw=1.8, label=name)
    ax.set(xlabel="evaluations of the loss over all rows", ylabel="lowest mean loss so far")
    ax.set_yscale("log")
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    run("d", walk)
