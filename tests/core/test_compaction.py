"""A baseline has few segments, and no row is written again and again, in whatever sizes the batches come."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.core.compaction import SEGMENTS_MAX, UNIT, compaction_start

SIZES = st.lists(st.one_of(st.integers(0, 50), st.integers(0, 10**7)), min_size=1, max_size=200)


def lived(sizes: list[int]) -> tuple[list[int], list[int]]:
    """Return the segments after batches of these sizes, and how often the rows of each batch were written."""
    segments: list[int] = []
    within: list[list[int]] = []
    written = [1] * len(sizes)
    for number, new in enumerate(sizes):
        place = compaction_start(segments, new)
        merged = [item for group in within[place:] for item in group]
        for item in merged:
            written[item] += 1
        segments[place:] = [sum(segments[place:]) + new]
        within[place:] = [[*merged, number]]
        assert len(segments) <= SEGMENTS_MAX
    assert sum(segments) == sum(sizes)
    return segments, written


@given(SIZES)
def test_there_are_never_more_segments_than_the_most_and_the_rows_are_kept(sizes: list[int]) -> None:
    lived(sizes)


def test_nothing_is_merged_while_there_is_room() -> None:
    assert [compaction_start([10] * count, 10) for count in range(SEGMENTS_MAX)] == list(range(SEGMENTS_MAX))


@pytest.mark.parametrize("size", [1, 1000, UNIT, 500_000])
@pytest.mark.parametrize("batches", [20, 400, 3000])
def test_rows_of_equal_batches_are_written_a_logarithm_of_times_but_for_a_unit_now_and_then(
    size: int, batches: int
) -> None:
    _, written = lived([size] * batches)
    now_and_then = UNIT * batches / (SEGMENTS_MAX - 1)
    assert size * sum(written) <= size * batches * (2 + math.log2(batches)) + now_and_then
    if size >= UNIT:
        assert max(written) <= 2 + math.log2(batches)


@pytest.mark.parametrize("step", [1, 17, 997])
def test_a_large_segment_is_not_written_again_for_a_few_rows(step: int) -> None:
    sizes = [10_000_000, *((step * number) % 2000 + 1 for number in range(150))]
    segments, written = lived(sizes)
    assert segments[0] == 10_000_000
    assert written[0] == 1
    assert sum(times * size for times, size in zip(written[1:], sizes[1:], strict=True)) < 8 * sum(sizes[1:])


def test_when_there_is_no_room_something_is_merged_even_if_all_are_large() -> None:
    large = [UNIT * 3 ** (SEGMENTS_MAX - at) for at in range(SEGMENTS_MAX)]
    assert compaction_start(large, 1) == SEGMENTS_MAX - 1


def test_small_segments_go_all_together() -> None:
    assert compaction_start([1] * SEGMENTS_MAX, 1) == 0


def test_a_segment_of_a_unit_is_still_small_and_one_row_more_is_not() -> None:
    large = [UNIT * 3 ** (SEGMENTS_MAX - at) for at in range(SEGMENTS_MAX - 1)]
    assert compaction_start([*large[:-1], 3 * UNIT, UNIT], 1) == SEGMENTS_MAX - 1
    assert compaction_start([*large[:-1], UNIT, 9 * UNIT], 1) == SEGMENTS_MAX - 2
    assert compaction_start([*large[:-1], 9 * UNIT + 2, 9 * UNIT], 1) == SEGMENTS_MAX - 1


def test_what_is_merged_together_makes_room_for_the_next_larger_one() -> None:
    large = [UNIT * 3 ** (SEGMENTS_MAX + 2 - at) for at in range(SEGMENTS_MAX - 2)]
    assert compaction_start([*large, 4 * UNIT, 2 * UNIT], 2 * UNIT) == SEGMENTS_MAX - 2
    assert compaction_start([*large, 4 * UNIT + 1, 2 * UNIT], 2 * UNIT) == SEGMENTS_MAX - 1
