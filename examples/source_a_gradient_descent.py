"""Gradient descent, convexity, stochastic descent: tips and five numbers (source A)."""

from pathlib import Path

import numpy as np
from gallery import Gallery, run
from matplotlib.figure import Figure

import steepest as st
from steepest import reference

Y5 = np.array([12, 13, 15, 16, 17])
P5 = np.array([12.1, 12.8, 14.9, 16.3, 17.2])
GRID = np.arange(12, 18, 0.1)
TIP = "tip (% of the bill)"
ZERO = np.zeros(1)
QUARTIC = (reference.quartic_loss, reference.grad_quartic_loss)


def line(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Return bills and tips: rows (1, bill) and targets."""
    bills = st.data.tips()
    x = (bills["total_bill"] - bills["total_bill"].mean()) / bills["total_bill"].std()
    return np.column_stack([np.ones_like(x), x])[:n], bills["tip"][:n]


def animate(path: Path) -> None:
    ax = Figure(figsize=(5, 3.4), dpi=80, layout="constrained").add_subplot()
    st.plot.animate_descent("mse", P5, path, 9.0, step_size=0.1, updates=20, bounds=(8, 20), ax=ax)


def walk(g: Gallery) -> None:
    """Walk through source A."""
    bills = st.data.tips()
    pcttip = 100 * bills["tip"] / bills["total_bill"]

    g.heading("Trying every theta of a grid (A3)")
    g.figure("MSE, y5", repr(float(st.search.grid("mse", Y5, GRID).x[0])), "14.59999999999999")
    g.figure("Huber, y5", repr(float(st.search.grid("huber", Y5, GRID).x[0])), "14.99999999999999")
    g.figure("Huber, tips", repr(float(st.search.grid("huber", pcttip, GRID).x[0])), "15.499999999999988")
    g.figure("mean of the tips", f"{pcttip.mean():.2f}", "16.08")
    g.figure("median of the tips", f"{np.median(pcttip):.2f}", "15.48")
    for loss in ("mse", "huber"):
        g.picture(
            f"points-and-{loss}",
            lambda axes, loss=loss: st.plot.rug_and_loss(loss, Y5, (11, 18), axes, xlabel=TIP),
            (9, 3),
            2,
        )
    g.picture(
        "tips-and-huber", lambda axes: st.plot.rug_and_loss("huber", pcttip, (11, 20), axes, xlabel=TIP), (9, 3), 2
    )
    g.picture("tips", lambda ax: st.plot.histogram(pcttip, ax=ax, xlabel=TIP))

    g.heading("The slope says which way (A2)")
    g.figure("slope of MSE at 12", f"{st.Objective('mse', P5).gradient([12.0])[0]:.2f}", "-5.32")
    g.picture("theta", lambda ax: st.plot.theta("mse", P5, 12, (11, 18), ax))
    g.picture("tangent-at-12", lambda ax: st.plot.tangent("mse", P5, 12, (11, 18), ax))
    g.picture("tangent-at-16.5", lambda ax: st.plot.tangent("mse", P5, 16.5, (11, 18), ax))

    g.heading("One step after another (A4)")
    slope = st.Objective("mse", P5).gradient
    for theta, step, source in ((12, 1.0, "17.32"), (12, 0.3, "13.596"), (13.6, 0.3, "14.236"), (14.24, 0.3, "14.492")):
        g.figure(f"from {theta}, alpha {step}", f"{theta - step * slope([theta])[0]:.6g}", source)
    g.figure("from 14.49, alpha 0.3", f"{14.49 - 0.3 * slope([14.49])[0]:.6g}", "14.592")
    g.picture("step-too-long", lambda ax: st.plot.step("mse", P5, 12, 1.0, (11, 18), ax))
    g.picture("step", lambda ax: st.plot.step("mse", P5, 12, 0.3, (11, 18), ax))

    g.heading("Until the steps are short (A5)")
    tol = st.StepTolerance(1e-3)
    result = st.minimize("mse", P5, method="gd", step_size=0.2, x0=0.0, tol=tol, progress="textbook")
    g.figure("MSE, p5", f"{result.x[0]:.12f}", "14.658511131035")
    g.figure("lines", str(result.nit), "18")
    result = st.minimize("huber", pcttip, method="gd", step_size=0.2, x0=0.0, tol=tol)
    g.figure("Huber, tips", f"{result.x[0]:.12f}", "15.506849531472")
    g.fact("nothing given but the loss and the data", f"{st.minimize('huber', pcttip).x[0]:.4f}")
    g.animation("descent", animate)

    g.heading("A loss with two valleys (A6, A7)")
    for theta, source in ((-21, "-9.945000"), (-9.9, "-12.641412"), (-12.6, "-14.162808"), (-14.2, "-14.497464")):
        g.figure(f"from {theta}", f"{theta - 2.5 * reference.grad_quartic_loss(theta, ZERO):.6f}", source)
    local = st.minimize(QUARTIC, ZERO, x0=-21.0, step_size=2.5, method="gd", tol=st.StepTolerance(1e-9))
    g.figure("where it ends", f"{local.x[0]:.6f}", "-14.508046")
    start = st.search.grid(reference.quartic_loss, ZERO, np.arange(-25, 25, 0.1)).x[0]
    best = st.minimize(QUARTIC, ZERO, x0=start, step_size=0.5, method="gd", tol=st.StepTolerance(1e-9))
    g.figure("where it should", f"{best.x[0]:.6f}", "18.395415")
    for loss in ("mse", "absolute_error", "huber"):
        g.fact(f"{loss}, convex", str(bool(st.is_convex(loss, P5, bounds=(10, 20), seed=0))))
    found = st.is_convex(reference.quartic_loss, ZERO, bounds=(-25, 25), seed=0)
    g.figure("the quartic, convex", str(bool(found)), "False")
    g.picture("local-minimum", lambda ax: st.plot.step(QUARTIC, ZERO, -21, 2.5, (-23, 25), ax))
    g.picture("chord-of-mse", lambda ax: st.plot.chord("mse", P5, 12, 17, (11, 18), ax))
    g.picture("chord", lambda ax: st.plot.chord(QUARTIC, ZERO, -12, 15, (-23, 25), ax))

    g.heading("A row at a time, a batch at a time (A8, A9)")
    data = line()
    for size in (None, 32, 1):
        result = st.minimize("squared_error", data, batch_size=size, method="sgd", epochs=20, step_size=0.01, seed=0)
        g.fact(f"{'all' if size is None else size} rows per update, 20 epochs", f"theta {np.round(result.x, 2)}")
    g.picture(
        "paths",
        lambda ax: st.plot.paths(
            "squared_error", data, [-1, 4], updates=(40, 60, 120), seed=2, ax=ax, labels=("intercept", "slope")
        ),
        (7.4, 4.8),
    )
    g.picture("schedules", lambda ax: st.plot.schedules(ax=ax), (7.4, 4))


if __name__ == "__main__":
    run("a", walk)
