"""In which order rows are visited: every row once, uniformly in full, from many places at once when streaming."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from steepest import _core

STREAMED = [  # rows and their bytes: beyond the eight megabytes below which streaming is a full shuffle
    (2_100_000, 4),
    (2_097_153, 4),
    (300_000, 28),
    (80_001, 112),
    (75_000, 112),
    (17_000, 512),
    (2_700, 3136),
    (2_675, 3136),
    (17, 1_000_000),
]
LAYOUTS = ["rows", "columns", "sparse"]


def stream(n: int, row_bytes: int, batch_size: int, seed: int = 0, epoch: int = 0, layout: str = "rows") -> np.ndarray:
    return _core.stream_order(n, row_bytes, batch_size, layout, seed, epoch)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("batch_size", [1, 7, 32, 100, 256, 4096, 100_000])
@pytest.mark.parametrize(("n", "row_bytes"), STREAMED)
def test_a8_streaming_visits_every_row_once(n: int, row_bytes: int, batch_size: int, layout: str) -> None:
    batch_size = min(batch_size, n)
    first, second, other = (
        stream(n, row_bytes, batch_size, seed, epoch, layout) for seed, epoch in [(1, 0), (1, 1), (2, 0)]
    )
    for order in (first, second, other):
        assert np.array_equal(np.sort(order), np.arange(n))
    assert np.array_equal(first, stream(n, row_bytes, batch_size, 1, 0, layout))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("batch_size", [16, 32, 64, 256, 1000, 4096])
@pytest.mark.parametrize(("n", "row_bytes"), [case for case in STREAMED if case[0] > 2000])
def test_each_batch_comes_from_at_least_eight_places(n: int, row_bytes: int, batch_size: int, layout: str) -> None:
    """A place is a stretch of the data, told from the next by a gap."""
    order = stream(n, row_bytes, min(batch_size, n), 5, 3, layout).astype(np.int64)
    batches = order[: n // batch_size * batch_size].reshape(-1, batch_size)
    places = 1 + (np.diff(np.sort(batches, axis=1), axis=1) > 4).sum(axis=1)
    # Sparse rows come from eight, of which two may happen to lie side by side.
    assert places.min(initial=n) >= (6 if layout == "sparse" else 8)
    assert (places < 8).sum() <= 0.05 * len(places)


def places_of(rows: np.ndarray) -> set[int]:
    """Name each stretch of the data by its last row."""
    rows = np.sort(rows.astype(np.int64))
    return set(rows[np.append(np.diff(rows) > 4, True)].tolist())


@pytest.mark.parametrize(("row_bytes", "batch_size"), [(512, 32), (512, 256), (112, 256), (112, 4096), (3136, 32)])
def test_halves_of_a_batch_that_threads_share_come_from_places_of_their_own(row_bytes: int, batch_size: int) -> None:
    order = stream(500_000_000 // row_bytes, row_bytes, batch_size, 3, 1)[: 300 * batch_size]
    apart = 0
    for batch in order.reshape(300, batch_size):
        first, second = places_of(batch[: batch_size // 2]), places_of(batch[batch_size // 2 :])
        apart += len(first) == len(second) == 8 and len(places_of(batch)) == 16
    # Where a group of blocks ends and another begins, places are more and come as they come.
    assert apart > 100


@pytest.mark.parametrize(
    ("n", "row_bytes"), [(75_000, 112), (150_013, 112), (17_000, 512), (33_000, 512), (11_000, 777)]
)
@pytest.mark.parametrize("batch_size", [32, 48, 96, 160, 256])
def test_the_order_does_not_depend_on_how_many_batches_are_asked_for(n: int, row_bytes: int, batch_size: int) -> None:
    order = stream(n, row_bytes, batch_size, 3, 1)
    at_once = _core.stream_order(n, row_bytes, batch_size, "rows", 3, 1, batches=1024 // batch_size)
    np.testing.assert_array_equal(at_once, order)


def test_streaming_mixes_rows_that_lie_far_apart() -> None:
    """Data sorted by class: the share of the first half in a batch is about one half, never all or nothing."""
    n, batch_size = 400_000, 256
    order = stream(n, 112, batch_size, 0, 0)
    share = (order[: n // batch_size * batch_size].reshape(-1, batch_size) < n // 2).mean(axis=1)
    assert abs(share.mean() - 0.5) < 0.02
    assert share.std() < 0.2
    assert (share > 0).all()
    assert (share < 1).all()


@pytest.mark.parametrize("n", [2, 100, 20_000, 70_000])
def test_small_data_is_shuffled_fully(n: int) -> None:
    assert np.array_equal(stream(n, 112, 32, 4, 2), _core.full_order(n, 4, 2))


@settings(max_examples=40)
@given(some.integers(1, 300_000), some.integers(0, 2**64 - 1), some.integers(0, 1000))
def test_full_orders_are_permutations(n: int, seed: int, epoch: int) -> None:
    assert np.array_equal(np.sort(_core.full_order(n, seed, epoch)), np.arange(n))


@pytest.mark.parametrize("n", [3, 4, 5, 6])
def test_full_orders_are_uniform_over_all_orders(n: int) -> None:
    """Chi-square over all n! orders: its mean is the degrees of freedom, its variance twice that."""
    factor = int(np.prod(np.arange(1, n + 1)))
    draws = 60 * factor
    codes = np.array([_core.full_order(n, 11, epoch) for epoch in range(draws)]) @ n ** np.arange(n)
    _, counts = np.unique(codes, return_counts=True)
    assert len(counts) == factor
    chi_square = ((counts - 60) ** 2 / 60).sum()
    assert abs(chi_square - (factor - 1)) < 5 * np.sqrt(2 * (factor - 1))


@pytest.mark.parametrize("n", [40_000, 1_000_003])
def test_full_orders_spread_positions_and_neighbours(n: int) -> None:
    """Beyond one bucket: where a row lands is uniform, and rows that were neighbours are not any more."""
    order = _core.full_order(n, 7, 1).astype(np.int64)
    cells = np.histogram2d(np.arange(n), order, bins=20)[0]
    expected = n / 400
    chi_square = ((cells - expected) ** 2 / expected).sum()
    assert abs(chi_square - 361) < 5 * np.sqrt(2 * 361)
    assert (np.abs(np.diff(order)) == 1).mean() < 10 / n * 2 + 1e-4
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 5 / np.sqrt(n)
