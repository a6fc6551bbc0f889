"""Made by ``python -m steepest._stubs``: do not edit."""

from typing import ClassVar

from steepest._lists import Member

class Rule(Member):
    state_vectors: ClassVar[int]
    @property
    def lr(self) -> float | None: ...

class SGD(Rule):
    def __init__(self, *, lr: float | None = None) -> None: ...

def available() -> tuple[str, ...]: ...
def get(name: str, **params: float) -> Rule: ...
