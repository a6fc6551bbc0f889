"""Minimize losses over large data by following the gradient, at the speed the memory allows."""

from steepest import (
    autodiff,
    data,
    gradients,
    losses,
    methods,
    nn,
    optim,
    penalties,
    plot,
    reference,
    schedules,
    search,
)
from steepest._arguments import StepTolerance
from steepest._config import show_config
from steepest._convexity import is_convex
from steepest._minimize import minimize
from steepest._penalty_classes import *  # noqa: F403
from steepest._penalty_classes import __all__ as _penalty_names
from steepest._results import ConvergenceWarning, History, Interrupted, Result, Status
from steepest._sweep import sweep
from steepest._sweep_result import SweepResult
from steepest._warnings import DataCopyWarning
from steepest.autodiff import *  # noqa: F403
from steepest.autodiff import __all__ as _autodiff_names
from steepest.objective import Objective

__version__ = "0.1.0"

__all__ = [
    "ConvergenceWarning",
    "DataCopyWarning",
    "History",
    "Interrupted",
    "Objective",
    "Result",
    "Status",
    "StepTolerance",
    "SweepResult",
    "autodiff",
    "data",
    "gradients",
    "is_convex",
    "losses",
    "methods",
    "minimize",
    "nn",
    "optim",
    "penalties",
    "plot",
    "reference",
    "schedules",
    "search",
    "show_config",
    "sweep",
    *_autodiff_names,
    *_penalty_names,
]
