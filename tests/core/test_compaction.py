"""Compaction: number of segments and number of rewrites."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.core.compaction import SEGMENTS_MAX, compaction_start
from batchsync.core.compaction import SMALL_SEGMENT_ROWS as SMALL

SIZES = st.lists(st.one_of(st.integers(0, 50), st.integers(0, 10**7)), min_size=1, max_size=200)


def after_batches(sizes: list[int]) -> tuple[list[int], list[int]]:
    """Return the segments after batches of these sizes, and how often the rows of each batch were written."""
    segments: list[int] = []
    within: list[list[int]] = []
    written = [1] * len(sizes)
    for number, new in enumerate(sizes):
        start = compaction_start(segments, new)
        merged = [batch for group in within[start:] for batch in group]
        for batch in merged:
            written[batch] += 1
        segments[start:] = [sum(segments[start:]) + new]
        within[start:] = [[*merged, number]]
        assert len(segments) <= SEGMENTS_MAX
    assert sum(segments) == sum(sizes)
    return segments, written


@given(SIZES)
def test_number_of_segments_is_bounded_and_rows_are_kept(sizes: list[int]) -> None:
    after_batches(sizes)


def test_nothing_is_merged_below_the_maximum() -> None:
    assert [compaction_start([10] * count, 10) for count in range(SEGMENTS_MAX)] == list(range(SEGMENTS_MAX))


@pytest.mark.parametrize("size", [1, 1000, SMALL, 500_000])
@pytest.mark.parametrize("batches", [20, 400, 3000])
def test_rows_of_equal_batches_are_written_logarithmically_often(size: int, batches: int) -> None:
    _, written = after_batches([size] * batches)
    small_rewrites = SMALL * batches / (SEGMENTS_MAX - 1)
    assert size * sum(written) <= size * batches * (2 + math.log2(batches)) + small_rewrites
    if size >= SMALL:
        assert max(written) <= 2 + math.log2(batches)


@pytest.mark.parametrize("step", [1, 17, 997])
def test_large_segment_is_not_rewritten_for_few_rows(step: int) -> None:
    sizes = [10_000_000, *((step * number) % 2000 + 1 for number in range(150))]
    segments, written = after_batches(sizes)
    assert segments[0] == 10_000_000
    assert written[0] == 1
    assert sum(times * size for times, size in zip(written[1:], sizes[1:], strict=True)) < 8 * sum(sizes[1:])


def test_last_segment_is_merged_at_the_maximum_even_if_large() -> None:
    large = [SMALL * 3 ** (SEGMENTS_MAX - at) for at in range(SEGMENTS_MAX)]
    assert compaction_start(large, 1) == SEGMENTS_MAX - 1


def test_small_segments_are_merged_together() -> None:
    assert compaction_start([1] * SEGMENTS_MAX, 1) == 0


def test_segment_is_small_up_to_the_limit() -> None:
    large = [SMALL * 3 ** (SEGMENTS_MAX - at) for at in range(SEGMENTS_MAX - 1)]
    assert compaction_start([*large[:-1], 3 * SMALL, SMALL], 1) == SEGMENTS_MAX - 1
    assert compaction_start([*large[:-1], SMALL, 9 * SMALL], 1) == SEGMENTS_MAX - 2
    assert compaction_start([*large[:-1], 9 * SMALL + 2, 9 * SMALL], 1) == SEGMENTS_MAX - 1


def test_merged_segments_together_allow_merging_the_next_larger() -> None:
    large = [SMALL * 3 ** (SEGMENTS_MAX + 2 - at) for at in range(SEGMENTS_MAX - 2)]
    assert compaction_start([*large, 4 * SMALL, 2 * SMALL], 2 * SMALL) == SEGMENTS_MAX - 2
    assert compaction_start([*large, 4 * SMALL + 1, 2 * SMALL], 2 * SMALL) == SEGMENTS_MAX - 1
