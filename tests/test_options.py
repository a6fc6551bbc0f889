"""Options of a run: what the core refuses, and which do not go together."""

from typing import Any

import numpy as np
import pytest

from steepest import _core


def fit(**changed: Any) -> Any:
    """The smallest run there is, with some options changed or, given as None, left out."""
    problem = _core.Problem64(0, [], None, np.array([1.0, 2.0]), None, False, 1.0, 0)
    options = {"rule": (0, []), "schedule": (0, (0.1,)), "batch_size": 2, "epochs": 1, **changed}
    return problem.fit(np.zeros(1), **{name: value for name, value in options.items() if value is not None})


def test_the_core_takes_its_options_by_name() -> None:
    assert fit()[0]["epochs"] == 1
    assert fit(epochs=3)[0]["epochs"] == 3


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"batches": 2}, "there is no option batches"),
        ({"epochs": None}, "the option epochs is missing"),
        ({"epochs": "many"}, "the option epochs cannot be 'many'"),
    ],
)
def test_the_core_refuses_options_it_does_not_know(changed: dict[str, Any], complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        fit(**changed)
