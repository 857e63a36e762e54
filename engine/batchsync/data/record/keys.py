"""Each row has one canonical key text, or is an invalid row that says that it has none.

It does not know other rows: whether a key stands twice is seen in `diff`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame import columns
from batchsync.data.mapping.evaluate import evaluate
from batchsync.data.mapping.json_encode import escaped

if TYPE_CHECKING:
    from batchsync.data.record.compiled_job import CompiledJob


def with_keys(plan: CompiledJob, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the frame with its canonical key texts, and the rows without a key as invalid rows.

    One part is its own text; several are a compact JSON array of texts. A part that is null or empty, or whose
    expression fails, leaves the row without a key.
    """
    mapped, flaws = evaluate(frame, plan.key)
    parts = [columns.leaf_column(item.index) for item in plan.key]
    texts = [pl.col(part) for part in parts]
    empty = pl.any_horizontal([text.is_null() | (text == "") for text in texts])
    if len(texts) == 1:
        key = texts[0]
    else:
        pieces = [pl.concat_str([pl.lit('"'), escaped(text), pl.lit('"')]) for text in texts]
        key = pl.concat_str([pl.lit("["), pl.concat_str(pieces, separator=","), pl.lit("]")])
    extra = [name for flaw in flaws for name in (flaw.column, flaw.shown)]
    whole = mapped.with_columns(pl.when(~empty).then(key).alias(columns.KEY))
    lost = whole.filter(pl.col(columns.KEY).is_null()) if whole[columns.KEY].null_count() else whole.clear()
    reason = pl.lit("key: " + (flaws[0].message if flaws else "is missing or empty"))
    broken = lost.select(
        columns.ROW,
        pl.lit("").alias(columns.KEY),
        pl.lit("key").alias("field"),
        pl.lit("expression" if flaws else "key").alias("code"),
        reason.alias("reason"),
    )
    kept = whole.filter(pl.col(columns.KEY).is_not_null()) if lost.height else whole
    return kept.drop([*parts, *extra]), broken
