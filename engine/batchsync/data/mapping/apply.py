"""Apply a compiled record to a frame: one column per member."""

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
    """A frame after mapping.

    Attributes:
        heads: One row per record: the columns of the source, `ROW`, `KEY` and a column per leaf (`leaf_column`).
        rows: One row per source row, with the leaves of `each:`; None without `each:`.
        invalid_values: Values that could not be computed or coerced.
        valid: Whether invalid records are left out of the encoding, so that enumerated values need no escaping.
    """

    heads: pl.DataFrame
    rows: pl.DataFrame | None
    invalid_values: list[InvalidValues]
    valid: bool = True


def apply_record(record: Record, frame: pl.DataFrame) -> MappedRecords:
    """Compute every leaf of a keyed frame.

    Args:
        record: Compiled record.
        frame: Columns of the source, `ROW: i64` and `KEY: str`; with `each:` whole records and `HEAD: i64`.

    Returns:
        The mapped records.
    """
    if not record.repeats:
        heads, invalid_values = evaluate(frame, record.leaves)
        return MappedRecords(heads=heads, rows=None, invalid_values=invalid_values)
    inner = [leaf for leaf in record.leaves if leaf.repeat is not None]
    outer = [leaf for leaf in record.leaves if leaf.repeat is None]
    rows, invalid_values = evaluate(frame, inner)
    counts = []
    for repeat in record.repeats:
        present = presence(repeat.item)
        count = present.sum() if isinstance(present, pl.Expr) else pl.len() if present else pl.lit(0)
        counts.append(count.cast(pl.Int64).alias(names.count_column(repeat.index)))
    totals = rows.group_by(names.HEAD, maintain_order=True).agg(counts)
    heads = frame.filter(pl.col(names.ROW) == pl.col(names.HEAD))
    heads = heads.join(totals, on=names.HEAD, how="left", maintain_order="left")
    heads, outer_invalid = evaluate(heads, outer)
    return MappedRecords(heads=heads, rows=rows, invalid_values=[*invalid_values, *outer_invalid])
