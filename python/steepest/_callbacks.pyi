from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

SIGNATURE: str

class PythonLoss:
    rows: int
    parameters: int
    exception: BaseException | None
    def __init__(
        self,
        value: Callable[[Any, Any], Any],
        gradient: Callable[[Any, Any], Any] | None,
        data: NDArray[Any] | tuple[NDArray[Any], ...],
        x_shape: tuple[int, ...],
    ) -> None: ...
    def capsule(self) -> Any: ...

class PointerLoss:
    rows: int
    parameters: int
    exception: BaseException | None
    def __init__(
        self,
        pointer: int,
        user_data: int,
        X: NDArray[Any] | None,
        y: NDArray[Any],
        parameters: int,
        keep: object = None,
    ) -> None: ...
    def capsule(self) -> Any: ...

def function_pointer(obj: object) -> tuple[int, int] | None: ...
def is_function_pointer(obj: object) -> bool: ...
