"""exp, log1p and expm1 of the vector code, seen through the losses that are made of them.

A loss is the sum of its terms; it may be wrong by 4 eps of the sum of their sizes, and by the smallest numbers.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import members
import steepest as st
from members import Array, Long
from tolerances import DTYPES, tolerances

Terms = Callable[[Any, Any], tuple[Any, ...]]

# The terms of the value and of the slope, in long double.
TERMS: dict[str, tuple[Terms, Terms]] = {
    "exponential": (lambda y, z: (np.exp(-y * z),), lambda y, z: (-y * np.exp(-y * z),)),
    "poisson": (lambda y, z: (np.exp(z), -y * z), lambda y, z: (np.exp(z), -y)),
    "gamma": (lambda y, z: (z, y * np.exp(-z)), lambda y, z: (np.ones_like(z), -y * np.exp(-z))),
    "log_loss": (
        lambda y, z: (np.maximum(-y * z, 0), np.log1p(np.exp(-np.abs(z)))),
        lambda y, z: (-y * np.where(y * z > 0, np.exp(-np.abs(z)), 1) / (1 + np.exp(-np.abs(z))),),
    ),
    "log_cosh": (
        lambda y, z: (np.abs(z - y), np.log1p(np.expm1(-2 * np.abs(z - y)) / 2)),
        lambda y, z: (np.tanh(z - y),),
    ),
}


def tweedie(power: float) -> tuple[Terms, Terms]:
    up, down = Long(2) - Long(power), Long(1) - Long(power)

    def pulled(y: Any, z: Any) -> Any:
        return np.where(y > 0, y * np.exp(down * z), 0)

    return (
        lambda y, z: (np.exp(up * z) / up, -pulled(y, z) / down),
        lambda y, z: (np.exp(up * z), -pulled(y, z)),
    )


CASES: dict[Any, tuple[Terms, Terms]] = {st.losses.get(name): terms for name, terms in TERMS.items()}
CASES |= {st.losses.Tweedie(power): tweedie(power) for power in (1.5, 1.1, 4 / 3, 1.9)}

TARGETS = {
    "binary": (-1.0, 1.0),
    "real": (0.0, 0.0),
    "non_negative": (0.0, 1.0, 3.5, 1e5),
    "positive": (1.0, 3.5, 1e5),
}

each_loss = pytest.mark.parametrize("loss", CASES, ids=repr)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def arguments(dtype: Any) -> Array:
    """Return arguments of every size: around multiples of log(2), near overflow, where results are subnormal."""
    info = np.finfo(dtype)
    end = float(np.log(Long(info.max)))
    lowest = float(np.log(Long(info.smallest_subnormal)))
    source = members.random(dtype)
    multiples = np.arange(np.floor(lowest / np.log(2)), np.ceil(end / np.log(2)) + 1) * np.log(2)
    halves = multiples + np.log(2) / 2
    sizes = np.concatenate(
        [
            np.geomspace(float(info.smallest_subnormal), 1e4, 900),
            source.uniform(0, 2, 2000),
            source.uniform(0, 1.01 * end, 2000),
            source.uniform(-lowest * 0.8, -lowest * 1.03, 1500),
            np.abs(multiples),
            np.abs(halves),
        ]
    ).astype(dtype)
    sizes = np.concatenate([sizes, np.nextafter(sizes, dtype.type(0)), np.nextafter(sizes, dtype.type(np.inf))])
    edges = np.array([end, -lowest, -float(np.log(Long(info.smallest_normal))), 0.0], dtype=dtype)
    near = np.concatenate([edges * (1 + k * info.eps) for k in range(-6, 7)]).astype(dtype)
    z = np.concatenate([sizes, -sizes, near, -near])
    members.vary(z)
    return z


def assert_close(found: Array, terms: tuple[Any, ...], y: Array, z: Array) -> None:
    """Assert that the found sums of terms are good to 4 eps of the sum of the terms' sizes."""
    allowed, largest = tolerances(found.dtype), Long(np.finfo(found.dtype).max)
    exact, sizes = sum(terms), sum(np.abs(term) for term in terms)
    # What underflows is a multiple of the smallest number, and is multiplied by up to 10 (1 / (2 - power)) after that.
    room = allowed.terms * sizes + 10 * Long(allowed.tiny)
    fits = sizes < largest * (1 - 2 * Long(allowed.terms))
    assert fits.sum() > fits.size // 4
    error = np.where(fits, np.abs(np.where(fits, found, 0) - exact) / room, 0)
    worst = error.argmax()
    assert error[worst] <= 1, f"y={y[worst]!r} z={z[worst]!r}: {found[worst]!r}, exact {exact[worst]!r}"
    beyond = np.abs(exact) > largest * (1 + 2 * Long(allowed.terms))
    assert np.array_equal(found[beyond], np.where(exact[beyond] > 0, np.inf, -np.inf))
    assert not np.isnan(found).any()


@each_loss
@each_dtype
def test_values_and_slopes_are_good_to_the_last_places(loss: Any, dtype: Any) -> None:
    z = arguments(dtype)
    for target in TARGETS[loss.target]:
        y = np.full(z.size, target, dtype)
        terms = [part(y.astype(Long), z.astype(Long)) for part in CASES[loss]]
        value, slope = np.empty_like(z), np.empty_like(z)
        st._core.pointwise(loss._index, loss._values, y, z, value, slope)
        assert_close(value, terms[0], y, z)
        assert_close(slope, terms[1], y, z)


@each_loss
@each_dtype
def test_single_rows_are_as_good_as_vectors(loss: Any, dtype: Any) -> None:
    z = arguments(dtype)[::17]
    y = np.full(z.size, TARGETS[loss.target][1], dtype)
    terms = [part(y.astype(Long), z.astype(Long)) for part in CASES[loss]]
    value, slope = np.empty_like(z), np.empty_like(z)
    for i in range(z.size):
        one = np.s_[i : i + 1]
        st._core.pointwise(loss._index, loss._values, y[one], z[one], value[one], slope[one])
    assert_close(value, terms[0], y, z)
    assert_close(slope, terms[1], y, z)


@each_dtype
def test_underflow_is_gradual(dtype: Any) -> None:
    z = arguments(dtype)
    for name in ("exponential", "log_loss"):
        values = st.losses.get(name).pointwise(np.resize([1, -1], 2 * z.size), np.repeat(z, 2))
        subnormal = (values > 0) & (values < np.finfo(dtype).smallest_normal)
        assert np.unique(values[subnormal]).size > 100


@pytest.mark.parametrize("name", ["log_cosh", "log_loss"])
@each_dtype
def test_tiny_slopes_keep_their_digits(name: str, dtype: Any) -> None:
    tiny = np.geomspace(1e-30, 1e-2, 300).astype(dtype)
    loss = st.losses.get(name)
    if name == "log_cosh":
        found, exact = loss.gradient(np.zeros(300), tiny), np.tanh(tiny.astype(Long))
    else:
        far = (40 * np.linspace(0.01, 2, 300)).astype(dtype)
        found, exact = -loss.gradient(np.ones(300), far), 1 / (1 + np.exp(far.astype(Long)))
    assert np.all(np.abs(found - exact) <= tolerances(dtype).terms * exact)
    assert np.unique(found).size > 250
