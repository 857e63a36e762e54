"""Each row has one canonical key text, or is an invalid row that says that it has none.

It does not know other rows: whether a key stands twice is seen in `diff`.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import polars as pl

from lading.core.mapping import Expression
from lading.data import names
from lading.data.evaluate import evaluate
from lading.data.jsontext import escaped

if TYPE_CHECKING:
    from lading.core.job import Source
    from lading.data.records import Plan

#: Bytes of the mark of a key's definition.
MARK = 4


def mark_of(source: Source) -> bytes:
    """Return a mark of how a source's key is defined: the same text is another key where the definition is another."""
    defined = {"expression": source.key.sql} if isinstance(source.key, Expression) else list(source.key)
    return hashlib.sha256(json.dumps(defined).encode()).digest()[:MARK]


def defined_as_today(source: Source) -> pl.Expr:
    """Whether a key was sent under today's definition: by the mark in the fingerprint that the target holds, or may."""
    return pl.coalesce("accepted", "last").bin.tail(MARK) == mark_of(source)


def keyed(plan: Plan, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the frame with its canonical key texts, and the rows without a key as invalid rows.

    One part is its own text; several are a compact JSON array of texts. A part that is null or empty, or whose
    expression fails, leaves the row without a key.
    """
    mapped, flaws = evaluate(frame, plan.key)
    parts = [names.leaf(one.index) for one in plan.key]
    texts = [pl.col(one) for one in parts]
    empty = pl.any_horizontal([one.is_null() | (one == "") for one in texts])
    if len(texts) == 1:
        key = texts[0]
    else:
        pieces = [pl.concat_str([pl.lit('"'), escaped(one), pl.lit('"')]) for one in texts]
        key = pl.concat_str([pl.lit("["), pl.concat_str(pieces, separator=","), pl.lit("]")])
    extra = [name for one in flaws for name in (one.column, one.shown)]
    whole = mapped.with_columns(pl.when(~empty).then(key).alias(names.KEY))
    lost = whole.filter(pl.col(names.KEY).is_null()) if whole[names.KEY].null_count() else whole.clear()
    reason = pl.lit("key: " + (flaws[0].message if flaws else "is missing or empty"))
    broken = lost.select(
        names.ROW,
        pl.lit("").alias(names.KEY),
        pl.lit("key").alias("field"),
        pl.lit("expression" if flaws else "key").alias("code"),
        reason.alias("reason"),
    )
    kept = whole.filter(pl.col(names.KEY).is_not_null()) if lost.height else whole
    return kept.drop([*parts, *extra]), broken
