"""How large a record can become, without encoding it.

It does not know what the vendor allows.
"""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import polars as pl

from lading.data import names

if TYPE_CHECKING:
    from lading.data.records import Mapped
    from lading.data.shapes import Record

#: No integer or boolean is written with more bytes.
_NUMBER = 40


def widths(found: Mapped, record: Record) -> pl.Series:
    """Return an upper bound of each record's bytes, cheaply: no character takes more than six bytes in JSON."""
    heads = found.heads
    outer = [_width(heads, names.leaf(one.index)) for one in record.leaves if one.repeat is None]
    if found.rows is not None:
        inner = [_width(found.rows, names.leaf(one.index)) for one in record.leaves if one.repeat is not None]
        size = reduce(add, inner, pl.lit(1000, dtype=pl.Int64)).sum().alias("lading:size")
        heads = heads.join(found.rows.group_by(names.HEAD, maintain_order=True).agg(size), on=names.HEAD, how="left")
        outer.append(pl.col("lading:size"))
    bound = reduce(add, outer, pl.lit(0, dtype=pl.Int64)) * 6 + 10_000
    return heads.with_columns(bound.alias("lading:width"))["lading:width"]


def _width(frame: pl.DataFrame, column: str) -> pl.Expr:
    """Return the bytes of a value's text, or for a number what no number exceeds."""
    if frame[column].dtype != pl.String:
        return pl.lit(_NUMBER, dtype=pl.Int64)
    return pl.col(column).str.len_bytes().fill_null(0).cast(pl.Int64)
