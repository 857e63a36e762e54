"""Few segments, and each row rewritten seldom: says which segments of a baseline are merged when one more comes.

It does not know files or rows, only how many rows each segment has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A baseline never has more segments than this.
MOST = 12
#: A segment of no more rows is always small enough to be written again: that costs little more than opening a file.
UNIT = 50_000


def merged_from(rows: Sequence[int], new: int) -> int:
    """Return the place of the first segment to be merged with all newer ones and a new one of so many rows.

    `rows` are the rows of each segment, oldest first. The length of `rows` says that nothing is merged: there is still
    room. Where there is none, as many segments go as can without the first of them being larger than UNIT and than all
    newer ones together. So whatever was merged before is twice as large when it is written again, and a row is written
    about log2(rows / UNIT) times at most, however many batches there are.
    """
    if len(rows) < MOST:
        return len(rows)
    place = len(rows) - 1
    newer = new
    for at in range(len(rows) - 1, -1, -1):
        if rows[at] <= max(newer, UNIT):
            place = at
        newer += rows[at]
    return place
