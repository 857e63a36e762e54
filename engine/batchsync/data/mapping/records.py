"""Apply a mapping to a frame: one row per record, one column per member."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame import columns as names
from batchsync.data.frame import ordering
from batchsync.data.mapping.aggregate import combine, with_inputs
from batchsync.data.mapping.evaluate import InvalidValues, compute_leaf, evaluate, invalid_value, mask, masked_input
from batchsync.data.mapping.shapes import presence

if TYPE_CHECKING:
    from batchsync.data.mapping.shapes import Leaf, Record

_UNORDERED = "is ordered by a value that cannot be compared with that of another row of the key: cast it to a number"


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedRecords:
    """A frame after mapping.

    Attributes:
        heads: One row per record: the columns of the source, `ROW`, `KEY` and a column per leaf (`leaf_column`).
        rows: One row per source row, with the leaves of `each:`; None if each record has one source row.
        invalid_values: Values that could not be computed or coerced.
        warnings: Number of values that are sent with less than the source has, by description.
        valid: Whether invalid records are left out of the encoding, so that enumerated values need no escaping.
    """

    heads: pl.DataFrame
    rows: pl.DataFrame | None
    invalid_values: list[InvalidValues]
    warnings: dict[str, int] = field(default_factory=dict)
    valid: bool = True


def apply_record(record: Record, frame: pl.DataFrame) -> MappedRecords:
    """Compute every leaf of a keyed frame.

    Args:
        record: Compiled record.
        frame: Columns of the source, `ROW: i64` and `KEY: str`; of a grouped record whole records and `HEAD: i64`.

    Returns:
        The mapped records.
    """
    warnings: dict[str, int] = {}
    if not record.grouped:
        heads, invalid_values = evaluate(frame, record.leaves, warnings)
        return MappedRecords(heads=heads, rows=None, invalid_values=invalid_values, warnings=warnings)
    inner = [leaf for leaf in record.leaves if leaf.repeat is not None]
    outer = [leaf for leaf in record.leaves if leaf.repeat is None]
    rows, invalid_values = evaluate(frame, inner, warnings)
    for leaf in [leaf for repeat in record.repeats for leaf in repeat.order]:
        rows, unordered = _with_order(leaf, rows)
        invalid_values += unordered
    rows, unusable = with_inputs(record.aggregates, rows)
    invalid_values += unusable
    totals = []
    for repeat in record.repeats:
        present = presence(repeat.item)
        count = present.sum() if isinstance(present, pl.Expr) else pl.len() if present else pl.lit(0)
        totals.append(count.cast(pl.Int64).alias(names.count_column(repeat.index)))
    heads = frame.filter(pl.col(names.ROW) == pl.col(names.HEAD))
    if totals:
        counted = rows.group_by(names.HEAD, maintain_order=True).agg(totals)
        heads = heads.join(counted, on=names.HEAD, how="left", maintain_order="left")
    heads, too_long = combine(record.aggregates, rows, heads)
    heads, outer_invalid = evaluate(heads, outer, warnings)
    invalid_values += [*too_long, *outer_invalid]
    return MappedRecords(heads=heads, rows=rows, invalid_values=invalid_values, warnings=warnings)


def _with_order(leaf: Leaf, rows: pl.DataFrame) -> tuple[pl.DataFrame, list[InvalidValues]]:
    """Add the column of a value that items are ordered by; texts are ordered by their sort keys.

    Args:
        leaf: The value.
        rows: Source rows of whole records, with `HEAD`.

    Returns:
        The rows, and the values that cannot be computed, or that cannot be compared within a record.
    """
    name = names.leaf_column(leaf.index)
    values, failed = compute_leaf(rows, leaf)
    rows = rows.with_columns(values.alias(name))
    found = invalid_value(leaf, "unordered", _UNORDERED)
    if failed is not None:
        found = invalid_value(leaf, "expression", f"order_by: {failed[0]}")
        return rows.with_columns(failed[1].alias(found.column), masked_input(rows, leaf).alias(found.masked)), [found]
    if values.dtype != pl.String:
        return rows, []
    rows = rows.with_columns(mask(values).alias(found.masked), ordering.sort_key(pl.col(name)).alias(name))
    kind = pl.col(name).str.head(1)
    several = (kind.count() > 1) & (
        (kind.n_unique() - kind.has_nulls().cast(pl.UInt32) > 1) | (kind == ordering.AMBIGUOUS).any()
    )
    return rows.with_columns((several.over(names.HEAD) & kind.is_not_null()).alias(found.column)), [found]
