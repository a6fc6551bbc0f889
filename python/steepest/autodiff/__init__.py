"""Your own loss: a computation graph, backpropagation, and functions traced into the compiled loop (B2, E1).

Eager tensors compute at once and remember how; `loss` traces a function once and runs it in the loop of ``minimize``.
"""

from steepest import _core
from steepest.autodiff._compile import CompiledFunction, compile
from steepest.autodiff._draw import Graph, graph
from steepest.autodiff._functions import *  # noqa: F403
from steepest.autodiff._functions import __all__ as _function_names
from steepest.autodiff._loss import TracedLoss, loss
from steepest.autodiff._tensor import detect_anomaly, grad, no_grad, tensor

Tensor = _core.Tensor

__all__ = [
    "CompiledFunction",
    "Graph",
    "Tensor",
    "TracedLoss",
    "compile",
    "detect_anomaly",
    "grad",
    "graph",
    "loss",
    "no_grad",
    "tensor",
    *_function_names,
]
