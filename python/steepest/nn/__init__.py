"""Modules and small networks, with PyTorch's names (C1, C7, C8, C9).

A `Module` computes tensors from tensors and owns parameters; `fit` trains one in the compiled loop of ``minimize``.
"""

from steepest.nn import init
from steepest.nn._fit import fit
from steepest.nn._layers import (
    Add,
    Dropout,
    Duplicate,
    LeakyReLU,
    Linear,
    LogSoftMax,
    LogSoftmax,
    Max,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from steepest.nn._module import Module, Parameter, Sequential
from steepest.nn._normalize import Normalize
from steepest.nn._saving import load, save
from steepest.nn.init import manual_seed

__all__ = [
    "Add",
    "Dropout",
    "Duplicate",
    "LeakyReLU",
    "Linear",
    "LogSoftMax",
    "LogSoftmax",
    "Max",
    "Module",
    "Normalize",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "fit",
    "init",
    "load",
    "manual_seed",
    "save",
]
