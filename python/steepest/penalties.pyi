"""Made by ``python -m steepest._stubs``: do not edit."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepest._lists import Member

class Penalty(Member):
    separable: ClassVar[bool]
    smooth: ClassVar[bool]
    convex: ClassVar[bool]
    def value(self, w: ArrayLike) -> float: ...
    def smooth_gradient(self, w: ArrayLike) -> NDArray[np.float64]: ...
    def prox(self, w: ArrayLike, step: float) -> NDArray[np.float64]: ...

class L1(Penalty):
    alpha: float
    def __init__(self, alpha: float = 1.0) -> None: ...

class L2(Penalty):
    alpha: float
    def __init__(self, alpha: float = 1.0) -> None: ...

class ElasticNet(Penalty):
    alpha: float
    l1_ratio: float
    def __init__(self, alpha: float = 1.0, l1_ratio: float = 0.5) -> None: ...

def available() -> tuple[str, ...]: ...
def get(name: str, **params: float) -> Penalty: ...
def resolve(penalty: Any) -> Penalty | None: ...
def strong_convexity(penalty: Penalty | None, fit_intercept: bool) -> float: ...
