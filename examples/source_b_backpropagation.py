"""Numerical gradients, backpropagation, logistic regression, convergence (source B)."""

import math

import numpy as np
from gallery import Gallery, run

import steepest as st


def f(v: np.ndarray) -> float:
    return math.log(v[0]) + v[0] * v[1] - math.sin(v[1])


def walk(g: Gallery) -> None:
    """Walk through source B."""
    g.heading("Gradients by differences (B1)")
    exact = np.array([5.5, 2 - math.cos(5)])
    errors = {}
    for scheme, order in (("forward", 1), ("central", 2)):
        errors[scheme] = [
            np.abs(st.gradients.numerical_gradient(f, [2.0, 5.0], scheme=scheme, h=h) - exact).max()
            for h in (1e-2, 1e-3)
        ]
        g.figure(
            f"{scheme}: digits gained by a tenth of h",
            f"{math.log10(errors[scheme][0] / errors[scheme][1]):.0f}",
            str(order),
        )

    g.heading("The graph of (log x + x y) - sin y at (2, 5) (B2)")
    x, y = st.tensor(2.0, requires_grad=True), st.tensor(5.0, requires_grad=True)
    end = st.log(x) + x * y - st.sin(y)
    end.backward(retain_graph=True)
    g.figure("df/dx", f"{x.grad.item():.2f}", "5.50")
    g.figure("df/dy", f"{y.grad.item():.2f}", "1.72")
    g.picture("graph", lambda ax: st.plot.graph(end, ax, x=x, y=y), (9.5, 4))

    g.heading("Logistic regression (B3)")
    X, labels = st.data.logistic(600, 3, seed=0, dtype="float64")
    truth, theta = (labels + 1) / 2, np.array([0.3, -0.2, 0.5, 0.1])
    p = 1 / (1 + np.exp(-(X @ theta[:3] + theta[3])))
    by_hand = -np.append((truth - p) @ X, (truth - p).sum()) / len(p)
    objective = st.Objective("log_loss", (X, labels), fit_intercept=True)
    worst = np.abs(objective.gradient(theta) - by_hand).max()
    g.figure("the core's gradient is that of the formula", str(bool(worst < 1e-12)), "True")

    @st.loss
    def traced(w, x, y):
        return st.softplus(-y * (x @ w))

    backpropagated = st.Objective(traced, (X, labels)).gradient(theta[:3])
    plain = st.Objective("log_loss", (X, labels)).gradient(theta[:3])
    g.figure("and so is backpropagation's", str(bool(np.abs(backpropagated - plain).max() < 1e-12)), "True")
    check = st.gradients.check_gradient(objective.value, objective.gradient, theta)
    g.figure("the gradient check agrees", str(bool(check)), "True")

    g.heading("Convergence with a step of 1/L (B4)")
    bound = objective.smoothness()
    g.fact("L, from the curvature of the loss", f"{bound:.4f}")
    at, kept, fell = np.zeros(4), [], 0.0
    for _ in range(200):
        value, gradient = objective.value_and_gradient(at)
        at = at - gradient / bound
        kept.append(value - objective.value(at) >= gradient @ gradient / (2 * bound) - 1e-15)
        fell += gradient @ gradient
    lowest = st.minimize("log_loss", (X, labels), fit_intercept=True, tol=1e-10).fun
    g.figure("each step falls by a/2 of the squared gradient", f"{sum(kept)} of {len(kept)}", "200 of 200")
    within = fell <= 2 * bound * (objective.value(np.zeros(4)) - lowest)
    g.figure("squared gradients sum to 2/a (f0 - f*) at most", str(bool(within)), "True")
    runs = {
        f"{share:g}/L": st.minimize(
            "log_loss",
            (X, labels),
            fit_intercept=True,
            method="gd",
            step_size=share / bound,
            epochs=60,
            history="exact",
        )
        for share in (1, 0.3, 0.1)
    }
    g.picture("step-of-1-over-L", lambda ax: st.plot.learning_curves(runs, ax=ax, lowest=lowest))

    g.heading("The stochastic gradient (B5)")
    n, start = len(labels), st.Objective("log_loss", (X, labels)).gradient(np.zeros(3))
    draw = np.random.default_rng(0)

    def variance(size: int) -> float:
        off = []
        for _ in range(3000):
            index = draw.choice(n, size, replace=False)
            off.append(-0.5 * (labels[index] @ X[index]) / size - start)
        return float(np.mean(np.square(off).sum(axis=1)))

    ratio = variance(4) / variance(64)
    g.fact("variance of 4 rows over that of 64", f"{ratio:.1f}")
    expected = 16 * ((n - 4) / (n - 64))
    g.figure("as 16 (n - 4) / (n - 64), within a tenth", str(bool(abs(ratio / expected - 1) < 0.1)), "True")
    g.picture("gradient-noise", lambda ax: st.plot.gradient_noise("log_loss", (X, labels), ax=ax, draws=100))


if __name__ == "__main__":
    run("b", walk)
