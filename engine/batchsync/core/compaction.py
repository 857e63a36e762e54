"""Choice of the baseline segments to merge: a bounded number of segments, and each row rewritten seldom."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Maximum number of segments of a baseline.
SEGMENTS_MAX = 12
#: Rows up to which a segment is always merged: rewriting them costs little more than opening the file.
SMALL_SEGMENT_ROWS = 50_000


def compaction_start(rows: Sequence[int], new: int) -> int:
    """Return the index of the first segment to merge with all newer segments and the new one.

    While there are fewer than `SEGMENTS_MAX` segments, none is merged. After that, the merge starts at the oldest
    segment that is no larger than SMALL_SEGMENT_ROWS or all newer segments together. A merged segment is therefore at
    least twice as large when it is rewritten, and a row is written about log2(rows / SMALL_SEGMENT_ROWS) times at most.

    Args:
        rows: Number of rows of each segment, oldest first.
        new: Number of rows of the new segment.

    Returns:
        The index; `len(rows)` if nothing is merged.
    """
    if len(rows) < SEGMENTS_MAX:
        return len(rows)
    start = len(rows) - 1
    newer = new
    for index in range(len(rows) - 1, -1, -1):
        if rows[index] <= max(newer, SMALL_SEGMENT_ROWS):
            start = index
        newer += rows[index]
    return start
