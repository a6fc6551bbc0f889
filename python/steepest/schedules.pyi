"""Made by ``python -m steepest._stubs``: do not edit."""

from typing import Any

from steepest._lists import Member

class Schedule(Member):
    def __call__(self, t: float, epochs: float = 1.0) -> float: ...

class Constant(Schedule):
    step_size: float
    def __init__(self, step_size: float = 0.1) -> None: ...

class InverseScaling(Schedule):
    step_size: float
    power: float
    rate: float
    def __init__(self, step_size: float = 0.1, power: float = 0.5, rate: float = 1.0) -> None: ...

class InverseTime(Schedule):
    step_size: float
    decay: float
    def __init__(self, step_size: float = 0.1, decay: float = 1.0) -> None: ...

class Exponential(Schedule):
    step_size: float
    factor: float
    def __init__(self, step_size: float = 0.1, factor: float = 0.9) -> None: ...

class Step(Schedule):
    step_size: float
    factor: float
    every: float
    def __init__(self, step_size: float = 0.1, factor: float = 0.5, every: float = 10.0) -> None: ...

class Cosine(Schedule):
    step_size: float
    final: float
    def __init__(self, step_size: float = 0.1, final: float = 0.0) -> None: ...

def available() -> tuple[str, ...]: ...
def get(name: str, **params: Any) -> Schedule: ...
