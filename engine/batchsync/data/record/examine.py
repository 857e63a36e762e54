"""Examine one frame of keyed rows: records with fingerprints, and invalid records with all their reasons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame import columns as names
from batchsync.data.frame import ordering
from batchsync.data.mapping.apply import MappedRecords, apply_record
from batchsync.data.mapping.invalid_records import split_invalid
from batchsync.data.mapping.size_bound import max_record_bytes
from batchsync.data.record.agreement import disagreeing_records, merge_reasons
from batchsync.data.record.fingerprint import fingerprints
from batchsync.data.record.lines import lines

if TYPE_CHECKING:
    from batchsync.data.mapping.validate import Check
    from batchsync.data.record.compiled_job import CompiledJob

#: Columns of examined records; `RANK` follows with `source.duplicates: {by: COLUMN}`. `bad` marks invalid records.
RECORDS = {
    names.ROW: pl.Int64,
    names.KEY: pl.String,
    names.FINGERPRINT: pl.Binary,
    "bad": pl.Boolean,
    names.BELOW_WATERMARK: pl.Boolean,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """Result of one frame.

    Attributes:
        records: Columns `RECORDS`.
        invalid: Invalid records with reasons, columns `INVALID_RECORDS`.
        warnings: Violations of rules that only warn, by rule.
    """

    records: pl.DataFrame
    invalid: pl.DataFrame
    warnings: dict[str, int]


def examine(
    compiled: CompiledJob, frame: pl.DataFrame, rules: list[Check], watermark: str | None
) -> tuple[Examined, MappedRecords]:
    """Map, validate and fingerprint a keyed frame.

    Args:
        compiled: The compiled job.
        frame: Columns of the source, `ROW: i64` and `KEY: str`; with `each:` whole records and `HEAD: i64`.
        rules: Checks of the job's records.
        watermark: Value of `send: since` below which rows are not mapped; None maps all.

    Returns:
        The result, and the mapped frame, whose column `bad` marks the invalid records.
    """
    warnings: dict[str, int] = {}
    columns = list(RECORDS)
    frame = frame.with_columns(_is_old(compiled, watermark, frame, warnings).alias(names.BELOW_WATERMARK))
    if compiled.job.source.duplicates.startswith("by:"):
        frame = frame.with_columns(_rank(compiled, compiled.job.source.duplicates.removeprefix("by:")))
        columns.append(names.RANK)
    fresh = frame.filter(~pl.col(names.BELOW_WATERMARK))
    mapped = apply_record(compiled.record, fresh)
    invalid = split_invalid(mapped, rules, warnings)
    if compiled.grouped:
        invalid = merge_reasons(invalid, disagreeing_records(compiled, fresh))
    invalid = _add_oversized(compiled, mapped, invalid)
    heads = mapped.heads.with_columns(fingerprints(compiled, mapped), pl.lit(value=False).alias("bad"))
    if invalid.height:
        heads = heads.with_columns(pl.col(names.ROW).is_in(invalid[names.ROW].implode()).alias("bad"))
    mapped = replace(mapped, heads=heads)
    if fresh.height < frame.height:
        old = frame.filter(pl.col(names.BELOW_WATERMARK))
        empty = pl.lit(None, dtype=pl.Binary).alias(names.FINGERPRINT)
        old = old.with_columns(empty, pl.lit(value=False).alias("bad"))
        heads = pl.concat([heads.select(old.columns), old]).sort(names.ROW)
    return Examined(records=heads.select(columns), invalid=invalid, warnings=warnings), mapped


def parse_as(text: pl.Series, kind: pl.DataType) -> pl.Series:
    """Parse strings into the type from which they were formatted.

    Args:
        text: The strings.
        kind: The type.

    Returns:
        Values of the type; null where parsing fails.
    """
    if isinstance(kind, pl.Datetime):
        return text.str.to_datetime(time_unit=kind.time_unit, time_zone=kind.time_zone, strict=False)
    if kind == pl.Date:
        return text.str.to_date(strict=False)
    return text.cast(kind, strict=False)


def _rank(compiled: CompiledJob, column: str) -> pl.Expr:
    """Return the value that decides between rows of a key."""
    value = pl.col(column)
    return (ordering.sort_key(value) if compiled.schema[column] == pl.String else value).alias(names.RANK)


def _is_old(compiled: CompiledJob, watermark: str | None, frame: pl.DataFrame, warnings: dict[str, int]) -> pl.Expr:
    """Return whether a row is below the watermark; rows without an order are not.

    A row equal to the watermark may be newer than the row that set it. With `each:` no row is old, because other rows
    of its key may be new, changed or deleted.
    """
    since = compiled.job.send.since
    if since is None:
        return pl.lit(value=False)
    kind = compiled.schema[since]
    rank = ordering.sort_key(pl.col(since))
    if kind == pl.String and (unordered := frame.select((~ordering.is_ordered(rank)).sum()).item()):
        message = f"rows whose {since} is neither a number nor a date that begins with the year, compared in any case"
        warnings[message] = unordered
    if watermark is None or compiled.grouped:
        return pl.lit(value=False)
    if kind == pl.String:
        return ordering.is_certainly_below(rank, ordering.sort_key_of(watermark))
    limit = parse_as(pl.Series([watermark], dtype=pl.String), kind)[0]
    return (pl.col(since) < pl.lit(limit, dtype=kind)).fill_null(value=False)


def record_limit(compiled: CompiledJob) -> int | None:
    """Return the maximum bytes of a record, so that it fits into a file alone even if it does not compress."""
    bytes_max = compiled.rules.file.bytes_max
    return None if bytes_max is None else max(0, bytes_max - bytes_max // 100 - 1024)


def _add_oversized(compiled: CompiledJob, mapped: MappedRecords, invalid: pl.DataFrame) -> pl.DataFrame:
    """Return the invalid records with those that exceed the size of a batch file."""
    limit = record_limit(compiled)
    if limit is None or not mapped.heads.height or max_record_bytes(mapped, compiled.record) <= limit:
        return invalid
    exact = lines(compiled, mapped, [" " * 200], "").str.len_bytes()
    large = mapped.heads.select(names.ROW, names.KEY).with_columns(exact.alias("size")).filter(pl.col("size") > limit)
    size = pl.col("size").cast(pl.String)
    reason = pl.concat_str(
        [pl.lit("the record has "), size, pl.lit(f" bytes, more than the {limit} that fit into a batch file")]
    )
    more = large.select(
        names.ROW,
        names.KEY,
        pl.lit("").alias("field"),
        pl.lit("record_size").alias("code"),
        reason.alias("reason"),
    ).join(invalid, on=names.ROW, how="anti")
    return pl.concat([invalid, more]).sort(names.ROW)
