"""Upper bound of the encoded size of records, without encoding them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame import columns

if TYPE_CHECKING:
    from batchsync.data.mapping.apply import MappedRecords
    from batchsync.data.mapping.compiled import Record

#: Maximum bytes of an integer or boolean.
_SCALAR_BYTES = 40
#: Maximum bytes around the values of a record and of a list item, and the maximum growth of a value by escaping.
_RECORD_OVERHEAD, _ITEM_OVERHEAD, _ESCAPE_FACTOR = 10_000, 1_000, 6


def max_record_bytes(mapped: MappedRecords, record: Record) -> int:
    """Return an upper bound of the bytes of every record; a character takes at most six bytes in JSON.

    The bound is the sum of the widest values of all members, and with `each:` of the items of the longest list.
    """
    outer = [leaf.index for leaf in record.leaves if leaf.repeat is None]
    total = _sum_of_widths(mapped.heads, outer)
    if mapped.rows is not None and mapped.rows.height:
        inner = [leaf.index for leaf in record.leaves if leaf.repeat is not None]
        longest = mapped.rows.group_by(columns.HEAD).len()["len"].max()
        total += (longest if isinstance(longest, int) else 0) * (_sum_of_widths(mapped.rows, inner) + _ITEM_OVERHEAD)
    return total * _ESCAPE_FACTOR + _RECORD_OVERHEAD


def _sum_of_widths(frame: pl.DataFrame, leaves: list[int]) -> int:
    """Return the sum of the widest values of some leaves."""
    strings = [columns.leaf_column(leaf) for leaf in leaves if frame[columns.leaf_column(leaf)].dtype == pl.String]
    widths = frame.select(pl.col(strings).str.len_bytes().max()).row(0) if strings else ()
    return sum(width or 0 for width in widths) + _SCALAR_BYTES * (len(leaves) - len(strings))
