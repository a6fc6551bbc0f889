"""Pictures of losses, descents and measurements, drawn with matplotlib (the extra ``plot``).

Every function takes matplotlib axes as ``ax``, makes new ones where it is given none, and returns them. Losses of one
parameter: `rug`, `histogram`, `loss_curve`, `rug_and_loss`, `theta`, `tangent`, `step`, `chord`. Of two: `contours`,
`paths`. Of any number: `ray`, `plane`, `bowl`, `step_sizes`, `gradient_noise`. Of runs: `learning_curves`, `schedules`,
`sweep`, `graph`. `animate_descent` writes a GIF.
"""

from steepest.plot._animate import animate_descent
from steepest.plot._landscape import bowl, contours, paths, plane, ray
from steepest.plot._runs import gradient_noise, graph, learning_curves, schedules, step_sizes, sweep
from steepest.plot._textbook import chord, histogram, loss_curve, rug, rug_and_loss, step, tangent, theta

__all__ = [
    "animate_descent",
    "bowl",
    "chord",
    "contours",
    "gradient_noise",
    "graph",
    "histogram",
    "learning_curves",
    "loss_curve",
    "paths",
    "plane",
    "ray",
    "rug",
    "rug_and_loss",
    "schedules",
    "step",
    "step_sizes",
    "sweep",
    "tangent",
    "theta",
]
