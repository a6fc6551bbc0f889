"""Made by ``python -m steepest._stubs``: do not edit."""

from typing import Any, ClassVar

from steepest._lists import Member

class Rule(Member):
    reports: ClassVar[str]
    state_vectors: ClassVar[int]
    default_lr: ClassVar[float | None]
    lazy: ClassVar[bool]
    per_coordinate: ClassVar[bool]
    def step(self) -> None: ...
    def zero_grad(self) -> None: ...
    def eval(self) -> None: ...
    def train(self) -> None: ...
    @property
    def lr(self) -> float | None: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def decoupled(self) -> bool: ...
    @property
    def clip_norm(self) -> float | None: ...
    @property
    def clip_value(self) -> float | None: ...

class SGD(Rule):
    def __init__(
        self,
        tensors: Any = None,
        /,
        *,
        lr: float | None = None,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None: ...

class Momentum(Rule):
    momentum: float
    dampening: float
    def __init__(
        self,
        tensors: Any = None,
        /,
        *,
        momentum: float = 0.9,
        dampening: float = 0.0,
        lr: float | None = None,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None: ...

class Nesterov(Rule):
    momentum: float
    def __init__(
        self,
        tensors: Any = None,
        /,
        *,
        momentum: float = 0.9,
        lr: float | None = None,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None: ...

class AdaGrad(Rule):
    eps: float
    initial_accumulator_value: float
    def __init__(
        self,
        tensors: Any = None,
        /,
        *,
        eps: float = 1e-10,
        initial_accumulator_value: float = 0.0,
        lr: float | None = None,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None: ...

class RMSprop(Rule):
    alpha: float
    eps: float
    momentum: float
    def __init__(
        self,
        tensors: Any = None,
        /,
        *,
        alpha: float = 0.99,
        eps: float = 1e-08,
        momentum: float = 0.0,
        lr: float | None = None,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None: ...

class Adam(Rule):
    beta1: float
    beta2: float
    eps: float
    def __init__(
        self,
        tensors: Any = None,
        /,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-08,
        lr: float | None = None,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None: ...

class AdamW(Rule):
    beta1: float
    beta2: float
    eps: float
    def __init__(
        self,
        tensors: Any = None,
        /,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-08,
        lr: float | None = None,
        weight_decay: float = 0.01,
        decoupled: bool = True,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None: ...

class FTRL(Rule):
    beta: float
    l1: float
    l2: float
    def __init__(
        self,
        tensors: Any = None,
        /,
        *,
        beta: float = 1.0,
        l1: float = 0.0,
        l2: float = 0.0,
        lr: float | None = None,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None: ...

class NormalizedAdaptiveInvariant(Rule):
    def __init__(
        self,
        tensors: Any = None,
        /,
        *,
        lr: float | None = None,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None: ...

class AveragedSGD(Rule):
    t0: float
    def __init__(
        self,
        tensors: Any = None,
        /,
        *,
        t0: float = 0.0,
        lr: float | None = None,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None: ...

class ScheduleFreeSGD(Rule):
    momentum: float
    def __init__(
        self,
        tensors: Any = None,
        /,
        *,
        momentum: float = 0.9,
        lr: float | None = None,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None: ...

class ScheduleFreeAdamW(Rule):
    beta1: float
    beta2: float
    eps: float
    def __init__(
        self,
        tensors: Any = None,
        /,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-08,
        lr: float | None = None,
        weight_decay: float = 0.0,
        decoupled: bool = True,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None: ...

class DoG(Rule):
    reps_rel: float
    eps: float
    def __init__(
        self,
        tensors: Any = None,
        /,
        *,
        reps_rel: float = 1e-06,
        eps: float = 1e-08,
        lr: float | None = None,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None: ...

def available() -> tuple[str, ...]: ...
def get(name: str, **params: Any) -> Rule: ...
def tempering(rule: Rule) -> tuple[float, float, float, bool]: ...
