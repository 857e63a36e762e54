"""Canonical key of each row. A row without a key is invalid; duplicate keys are found by `compare.classify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame import columns
from batchsync.data.mapping.evaluate import evaluate
from batchsync.data.mapping.json_encode import escaped

if TYPE_CHECKING:
    from batchsync.data.record.compiled_job import CompiledJob


def with_keys(compiled: CompiledJob, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Add the column `KEY` with the canonical key.

    The canonical key of one column is its text; of several columns a compact JSON array of strings. A row has no key if
    a key column is null or empty, or if the key expression fails.

    Args:
        compiled: The compiled job.
        frame: Columns of the source and its joins, and `ROW: i64`.

    Returns:
        The rows with a key, and the rows without a key as invalid records (columns `INVALID_RECORDS`).
    """
    mapped, invalid_values = evaluate(frame, compiled.key)
    key_columns = [columns.leaf_column(leaf.index) for leaf in compiled.key]
    values = [pl.col(part) for part in key_columns]
    empty = pl.any_horizontal([value.is_null() | (value == "") for value in values])
    if len(values) == 1:
        key = values[0]
    else:
        quoted = [pl.concat_str([pl.lit('"'), escaped(value), pl.lit('"')]) for value in values]
        key = pl.concat_str([pl.lit("["), pl.concat_str(quoted, separator=","), pl.lit("]")])
    extra = [name for invalid_value in invalid_values for name in (invalid_value.column, invalid_value.masked)]
    with_key = mapped.with_columns(pl.when(~empty).then(key).alias(columns.KEY))
    keyless = with_key.filter(pl.col(columns.KEY).is_null()) if with_key[columns.KEY].null_count() else with_key.clear()
    reason = pl.lit("key: " + (invalid_values[0].message if invalid_values else "is missing or empty"))
    invalid = keyless.select(
        columns.ROW,
        pl.lit("").alias(columns.KEY),
        pl.lit("key").alias("field"),
        pl.lit("expression" if invalid_values else "key").alias("code"),
        reason.alias("reason"),
    )
    kept = with_key.filter(pl.col(columns.KEY).is_not_null()) if keyless.height else with_key
    return kept.drop([*key_columns, *extra]), invalid
