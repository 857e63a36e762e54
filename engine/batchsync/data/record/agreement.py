"""With `each:`, rows of one key must agree on every member outside it; a record whose rows disagree is invalid.

A member is compared by its mapped value, so that inputs that are written differently and mean the same agree; null is a
value like any other. Only records of which some input differs from row to row are evaluated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from lading.data import names
from lading.data.evaluate import evaluate
from lading.data.records import BROKEN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading.data.records import Plan
    from lading.data.shapes import Leaf

#: The code of a record whose rows disagree.
CODE = "rows_differ"
_FIRST = "lading:differs{}"


def disagreeing(plan: Plan, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the records whose rows disagree on a member outside `each:`, as invalid rows.

    Args:
        plan: The plan of a job with `each:`.
        frame: Keyed rows of whole records, rows of one record side by side: the source's columns, ROW, KEY and HEAD.

    Returns:
        The columns of `BROKEN`, one row for each such record, with every member and the two rows that differ in it.
    """
    outer = [one for one in plan.record.leaves if one.repeat is None]
    inputs = dict.fromkeys(name for one in outer for name in one.expr.meta.root_names())
    columns = [pl.col(name) for name in inputs]
    same_record = pl.col(names.HEAD) == pl.col(names.HEAD).shift()
    differs = pl.any_horizontal(pl.lit(value=False), *(one.ne_missing(one.shift()) for one in columns))
    suspects = frame.filter(same_record & differs)
    if not suspects.height:
        return pl.DataFrame(schema=BROKEN)
    rows, _ = evaluate(frame.join(suspects, on=names.HEAD, how="semi", maintain_order="left"), outer)
    found = rows.group_by(names.HEAD, maintain_order=True).agg(
        pl.col(names.KEY).first(), *(_first_other(one) for one in outer)
    )
    return _reasons(found, [one for one in outer if found[_FIRST.format(one.index)].count()])


def merged(broken: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    """Return invalid rows with further reasons: one row for each record, of which the first reason decides the code."""
    if not more.height:
        return broken
    first = [pl.col(one).first() for one in (names.KEY, "field", "code")]
    reasons = pl.col("reason").str.join("; ")
    whole = pl.concat([broken, more.select(broken.columns)])
    return whole.group_by(names.ROW, maintain_order=True).agg(*first, reasons).sort(names.ROW)


def _first_other(leaf: Leaf) -> pl.Expr:
    """Return the first row of a record whose value of a member is not that of the record's first row, or null."""
    value = pl.col(names.leaf(leaf.index))
    return pl.col(names.ROW).filter(value.ne_missing(value.first())).first().alias(_FIRST.format(leaf.index))


def _reasons(found: pl.DataFrame, leaves: Sequence[Leaf]) -> pl.DataFrame:
    """Return records with a sentence about each member in which two of their rows differ."""
    if not leaves:
        return pl.DataFrame(schema=BROKEN)
    others = [pl.col(_FIRST.format(one.index)) for one in leaves]
    told = [
        pl.concat_str(
            pl.lit(f"{one.path} must be the same in all rows of a key, and differs between rows "),
            names.HEAD,
            pl.lit(" and "),
            other,
        )
        for one, other in zip(leaves, others, strict=True)
    ]
    fields = [pl.when(other.is_not_null()).then(pl.lit(one.path)) for one, other in zip(leaves, others, strict=True)]
    return found.filter(pl.any_horizontal(one.is_not_null() for one in others)).select(
        pl.col(names.HEAD).alias(names.ROW),
        names.KEY,
        pl.coalesce(fields).alias("field"),
        pl.lit(CODE).alias("code"),
        pl.concat_str(told, separator="; ", ignore_nulls=True).alias("reason"),
    )
