"""All rows of a key must agree on every member outside `each:`, aggregates excepted; otherwise the record is invalid.

Members are compared by mapped value, so that different spellings of the same value agree; null is a value. Only
records with inputs that differ between rows are evaluated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame import columns as names
from batchsync.data.mapping.evaluate import evaluate
from batchsync.data.mapping.validate import INVALID_RECORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.data.mapping.shapes import Leaf
    from batchsync.data.record.compiled_job import CompiledJob

#: Code of a record whose rows disagree.
REASON_CODE = "rows_differ"
_DIFFERING = "batchsync:differs{}"


def disagreeing_records(compiled: CompiledJob, frame: pl.DataFrame, heads: pl.DataFrame) -> pl.DataFrame:
    """Return the records whose rows disagree on a member outside `each:`, as invalid records.

    Args:
        compiled: The compiled job, which is grouped.
        frame: Keyed rows of whole records, rows of a record side by side: the source's columns, ROW, KEY and HEAD.
        heads: The mapped records, with the results of the aggregates.

    Returns:
        The columns of `INVALID_RECORDS`; the reason names each such member and two rows that differ in it.
    """
    outer = [leaf for leaf in compiled.record.leaves if leaf.repeat is None and leaf.columns]
    inputs = dict.fromkeys(name for leaf in outer for name in leaf.columns)
    columns = [pl.col(name) for name in inputs]
    same_record = pl.col(names.HEAD) == pl.col(names.HEAD).shift()
    differs = pl.any_horizontal(pl.lit(value=False), *(column.ne_missing(column.shift()) for column in columns))
    candidates = frame.filter(same_record & differs)
    if not candidates.height:
        return pl.DataFrame(schema=INVALID_RECORDS)
    whole = frame.join(candidates, on=names.HEAD, how="semi", maintain_order="left")
    if results := [combined.aggregate.column for combined in compiled.record.aggregates]:
        whole = whole.join(heads.select(names.HEAD, *results), on=names.HEAD, how="left", maintain_order="left")
    rows, _ = evaluate(whole, outer)
    found = rows.group_by(names.HEAD, maintain_order=True).agg(
        pl.col(names.KEY).first(), *(_first_differing_row(leaf) for leaf in outer)
    )
    return _with_reasons(found, [leaf for leaf in outer if found[_DIFFERING.format(leaf.index)].count()])


def _first_differing_row(leaf: Leaf) -> pl.Expr:
    """Return the first row of a record whose value of a member differs from that of the record's first row, or null."""
    value = pl.col(names.leaf_column(leaf.index))
    return pl.col(names.ROW).filter(value.ne_missing(value.first())).first().alias(_DIFFERING.format(leaf.index))


def _with_reasons(found: pl.DataFrame, leaves: Sequence[Leaf]) -> pl.DataFrame:
    """Return records with a sentence for each member in which their rows differ."""
    if not leaves:
        return pl.DataFrame(schema=INVALID_RECORDS)
    others = [pl.col(_DIFFERING.format(leaf.index)) for leaf in leaves]
    reported = [
        pl.concat_str(
            pl.lit(f"{leaf.path} must be the same in all rows of a key, but differs between rows "),
            names.HEAD,
            pl.lit(" and "),
            other,
        )
        for leaf, other in zip(leaves, others, strict=True)
    ]
    fields = [pl.when(other.is_not_null()).then(pl.lit(leaf.path)) for leaf, other in zip(leaves, others, strict=True)]
    return found.filter(pl.any_horizontal(other.is_not_null() for other in others)).select(
        pl.col(names.HEAD).alias(names.ROW),
        names.KEY,
        pl.coalesce(fields).alias("field"),
        pl.lit(REASON_CODE).alias("code"),
        pl.concat_str(reported, separator="; ", ignore_nulls=True).alias("reason"),
    )
