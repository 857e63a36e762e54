"""Apply a compiled record to a frame: one column for each member."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame import columns as names
from batchsync.data.mapping.evaluate import InvalidValues, evaluate
from batchsync.data.mapping.validate import presence

if TYPE_CHECKING:
    from batchsync.data.mapping.compiled import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedRecords:
    """A frame after mapping: one row per record in `heads`, one row per source row in `rows` when there is `each:`.

    `valid` says that records which break a rule are not made into text.
    """

    heads: pl.DataFrame
    rows: pl.DataFrame | None
    flaws: list[InvalidValues]
    valid: bool = True


def apply_record(record: Record, frame: pl.DataFrame) -> MappedRecords:
    """Return the values of every leaf of a keyed frame; with `each:`, the frame holds whole records."""
    if not record.repeats:
        heads, flaws = evaluate(frame, record.leaves)
        return MappedRecords(heads=heads, rows=None, flaws=flaws)
    inner = [leaf for leaf in record.leaves if leaf.repeat is not None]
    outer = [leaf for leaf in record.leaves if leaf.repeat is None]
    rows, flaws = evaluate(frame, inner)
    counts = []
    for repeat in record.repeats:
        there = presence(repeat.item)
        count = there.sum() if isinstance(there, pl.Expr) else pl.len() if there else pl.lit(0)
        counts.append(count.cast(pl.Int64).alias(names.count_column(repeat.index)))
    totals = rows.group_by(names.HEAD, maintain_order=True).agg(counts)
    heads = frame.filter(pl.col(names.ROW) == pl.col(names.HEAD))
    heads = heads.join(totals, on=names.HEAD, how="left", maintain_order="left")
    heads, more = evaluate(heads, outer)
    return MappedRecords(heads=heads, rows=rows, flaws=[*flaws, *more])
