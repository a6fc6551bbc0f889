"""Made by ``python -m steepest._stubs``: do not edit."""

from typing import Any, ClassVar

from numpy.typing import ArrayLike, NDArray

from steepest._lists import Member

class Loss(Member):
    kind: ClassVar[str]
    link: ClassVar[str]
    target: ClassVar[str]
    convex: ClassVar[bool]
    smooth: ClassVar[bool]
    curvature: ClassVar[float | None]
    def __call__(
        self,
        y: ArrayLike,
        raw_prediction: ArrayLike,
        sample_weight: ArrayLike | None = None,
        out: NDArray[Any] | None = None,
    ) -> Any: ...
    def pointwise(
        self,
        y: ArrayLike,
        raw_prediction: ArrayLike,
        sample_weight: ArrayLike | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]: ...
    def gradient(
        self,
        y: ArrayLike,
        raw_prediction: ArrayLike,
        sample_weight: ArrayLike | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]: ...

class RowLoss(Loss):
    kind: ClassVar[str]

class SquaredError(Loss):
    def __init__(self) -> None: ...

class MSE(Loss):
    def __init__(self) -> None: ...

class AbsoluteError(Loss):
    def __init__(self) -> None: ...

class Huber(Loss):
    delta: float
    def __init__(self, delta: float = 1.0) -> None: ...

class Quantile(Loss):
    quantile: float
    def __init__(self, quantile: float = 0.5) -> None: ...

class EpsilonInsensitive(Loss):
    epsilon: float
    def __init__(self, epsilon: float = 0.1) -> None: ...

class SquaredEpsilonInsensitive(Loss):
    epsilon: float
    def __init__(self, epsilon: float = 0.1) -> None: ...

class LogCosh(Loss):
    def __init__(self) -> None: ...

class LogLoss(Loss):
    def __init__(self) -> None: ...

class Hinge(Loss):
    def __init__(self) -> None: ...

class SquaredHinge(Loss):
    def __init__(self) -> None: ...

class ModifiedHuber(Loss):
    def __init__(self) -> None: ...

class Perceptron(Loss):
    def __init__(self) -> None: ...

class Exponential(Loss):
    def __init__(self) -> None: ...

class Poisson(Loss):
    def __init__(self) -> None: ...

class Gamma(Loss):
    def __init__(self) -> None: ...

class Tweedie(Loss):
    power: float
    def __init__(self, power: float = 1.5) -> None: ...

class Softmax(RowLoss):
    def __init__(self) -> None: ...

class MulticlassHinge(RowLoss):
    margin: float
    def __init__(self, margin: float = 1.0) -> None: ...

class CrammerSinger(RowLoss):
    margin: float
    def __init__(self, margin: float = 1.0) -> None: ...

class MultiSquaredError(RowLoss):
    def __init__(self) -> None: ...

class MultiHuber(RowLoss):
    delta: float
    def __init__(self, delta: float = 1.0) -> None: ...

class MultiLogLoss(RowLoss):
    def __init__(self) -> None: ...

MAE = AbsoluteError

def get(name: str, **params: Any) -> Loss: ...
def available(kind: str | None = None) -> tuple[str, ...]: ...
