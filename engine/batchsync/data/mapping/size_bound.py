"""How large a record can become, without encoding it.

It does not know what the vendor allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from lading.data import names

if TYPE_CHECKING:
    from lading.data.records import Mapped
    from lading.data.shapes import Record

#: No integer or boolean is written with more bytes.
_NUMBER = 40
#: What the text around the values of a record or an item takes at most, and how much longer escaping makes a value.
_FRAME, _ITEM, _ESCAPED = 10_000, 1_000, 6


def widest(found: Mapped, record: Record) -> int:
    """Return an upper bound of the bytes of every record, cheaply: no character takes more than six bytes in JSON.

    It is the sum of the widest values of all members, and with `each:` of the items of the longest list.
    """
    outer = [one.index for one in record.leaves if one.repeat is None]
    total = _widest(found.heads, outer)
    if found.rows is not None and found.rows.height:
        inner = [one.index for one in record.leaves if one.repeat is not None]
        most = found.rows.group_by(names.HEAD).len()["len"].max()
        total += (most if isinstance(most, int) else 0) * (_widest(found.rows, inner) + _ITEM)
    return total * _ESCAPED + _FRAME


def _widest(frame: pl.DataFrame, leaves: list[int]) -> int:
    """Return the sum of the widest values of some leaves."""
    texts = [names.leaf(one) for one in leaves if frame[names.leaf(one)].dtype == pl.String]
    widths = frame.select(pl.col(texts).str.len_bytes().max()).row(0) if texts else ()
    return sum(one or 0 for one in widths) + _NUMBER * (len(leaves) - len(texts))
