"""Descent with automatic differentiation and an optimizer object (source E)."""

import numpy as np
from gallery import Gallery, run

import steepest as torch

SOURCE = {0: "0.400 8.000 -4.000", 10: "1.828 4.046 -0.429", 20: "1.982 4.001 -0.046", 30: "1.998 4.000 -0.005"}
ENDS = {
    0.0: ("0.60725202", "-1.38274913"),
    2.0: ("0.60725202", "-1.38274913"),
    -4.0: ("-2.32634546", "-6.91409679"),
}
NOTHING = np.zeros(1)


def parabola(w: float, _: np.ndarray) -> float:
    return w**2 - 4 * w + 8


def slope_of_parabola(w: float, _: np.ndarray) -> float:
    return 2 * w - 4


def quartic(w: float, _: np.ndarray) -> float:
    return w**4 + 3 * w**3 - w**2 - 3 * w


def slope_of_quartic(w: float, _: np.ndarray) -> float:
    return 4 * w**3 + 9 * w**2 - 2 * w - 3


def walk(g: Gallery) -> None:
    """Walk through source E."""
    g.heading("By hand: W -= lr * W.grad (E1)")
    W = torch.tensor(0.0, requires_grad=True)
    for epoch in range(100):
        loss = W**2 - 4 * W + 8
        loss.backward()
        with torch.no_grad():
            W -= 0.1 * W.grad
        if epoch in SOURCE:
            g.figure(f"epoch {epoch}: W, loss, gradient", f"{W.item():.3f} {loss:.3f} {W.grad:.3f}", SOURCE[epoch])
        W.grad.zero_()
    g.figure("W at the end", f"{W.item():.3f}", "2.000")

    g.heading("By an optimizer object (E2)")
    W = torch.tensor(0.0, requires_grad=True)
    optimizer = torch.optim.SGD([W], lr=0.1)
    for epoch in range(100):
        loss = W**2 - 4 * W + 8
        loss.backward()
        optimizer.step()
        if epoch in SOURCE:
            g.figure(f"epoch {epoch}: W, loss, gradient", f"{W.item():.3f} {loss:.3f} {W.grad:.3f}", SOURCE[epoch])
        optimizer.zero_grad()
    g.picture("parabola", lambda ax: torch.plot.step((parabola, slope_of_parabola), NOTHING, 0, 0.1, (-1, 5), ax))

    g.heading("Three starts, two valleys (E3)")
    ends = {}
    for start, (end, loss_there) in ENDS.items():
        W = torch.tensor(start, requires_grad=True, dtype="float64")
        optimizer = torch.optim.SGD([W], lr=0.01)
        for _ in range(1000):
            optimizer.zero_grad()
            loss = W**4 + 3 * W**3 - W**2 - 3 * W
            loss.backward()
            optimizer.step()
        ends[start] = W.item()
        g.figure(f"from {start:g}", f"{W.item():.8f}", end)
        g.figure("  L there", f"{quartic(W.item(), NOTHING):.8f}", loss_there)

    def valleys(ax):
        pair = (quartic, slope_of_quartic)
        torch.plot.loss_curve(pair, NOTHING, (-4.2, 2.2), ax, xlabel="w")
        for start, end in ends.items():
            torch.plot.theta(pair, NOTHING, start, ax=ax, hollow=True, label=f"from {start:g}")
            if start != 0:
                torch.plot.theta(pair, NOTHING, end, ax=ax, label=f"ends at {end:.4g}")
        ax.set_ylim(-12, 62)

    g.picture("valleys", valleys)

    g.heading("Which rate? (E4)")
    for start in (0.0, 2.0, -4.0):
        found = torch.minimize(
            (quartic, slope_of_quartic), NOTHING, x0=start, method="gd", step_size="auto", epochs=200
        )
        g.fact(f"found by itself, from {start:g}", f"w {found.x[0]:.6f}, L {found.fun:.6f}")
        g.figure("  the ground is level there", f"{abs(slope_of_quartic(found.x[0], NOTHING)):.4f}", "0.0000")
    g.picture(
        "learning-rates",
        lambda ax: torch.plot.step_sizes((parabola, slope_of_parabola), NOTHING, 0.0, np.logspace(-4, 2, 13), ax),
    )


if __name__ == "__main__":
    run("e", walk)
