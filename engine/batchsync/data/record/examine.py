"""Examine one frame of keyed rows: records with fingerprints, and invalid records with all their reasons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame import columns as names
from batchsync.data.frame import ordering
from batchsync.data.mapping.records import MappedRecords, apply_record
from batchsync.data.mapping.validate import merge_reasons, split_invalid
from batchsync.data.record.agreement import disagreeing_records
from batchsync.data.record.fingerprint import fingerprints, former_fingerprints
from batchsync.data.record.held_members import KIND, held_members, keeps_absent_members
from batchsync.data.record.lines import lines

if TYPE_CHECKING:
    from batchsync.data.mapping.shapes import Record
    from batchsync.data.record.compiled_job import CompiledJob
    from batchsync.data.record.keyed_rows import TaskSpec

#: Columns of examined records; `RANK` follows with `source.duplicates: {by: COLUMN}`, `MEMBERS` if the target keeps
#: what a record leaves out, `FORMER_FINGERPRINT` if the baseline holds such. `bad` marks invalid records.
RECORDS = {
    names.ROW: pl.Int64,
    names.KEY: pl.String,
    names.FINGERPRINT: pl.Binary,
    "bad": pl.Boolean,
    names.BELOW_WATERMARK: pl.Boolean,
}
#: Maximum bytes of an integer or boolean.
_SCALAR_BYTES = 40
#: Maximum bytes around the values of a record and of a list item, and the maximum growth of a value by escaping.
_RECORD_OVERHEAD, _ITEM_OVERHEAD, _ESCAPE_FACTOR = 10_000, 1_000, 6


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


def examine(spec: TaskSpec, frame: pl.DataFrame) -> tuple[Examined, MappedRecords]:
    """Map, validate and fingerprint a keyed frame.

    Args:
        spec: The specification of the task.
        frame: Columns of the source, `ROW: i64` and `KEY: str`; with `each:` whole records and `HEAD: i64`.

    Returns:
        The result, and the mapped frame, whose column `bad` marks the invalid records.
    """
    compiled = spec.compiled
    warnings: dict[str, int] = {}
    columns = list(RECORDS)
    is_old = pl.lit(value=False)
    if compiled.job.send.since is not None:
        is_old = _is_old(spec, compiled.job.send.since, frame, warnings)
    frame = frame.with_columns(is_old.alias(names.BELOW_WATERMARK))
    if compiled.job.source.duplicates.startswith("by:"):
        name = compiled.job.source.duplicates.removeprefix("by:")
        rank = ordering.sort_key(pl.col(name)) if compiled.schema[name] == pl.String else pl.col(name)
        frame = frame.with_columns(rank.alias(names.RANK))
        columns.append(names.RANK)
    fresh = frame.filter(~pl.col(names.BELOW_WATERMARK))
    mapped = apply_record(compiled.record, fresh)
    warnings |= mapped.warnings
    invalid = split_invalid(mapped, spec.checks, warnings)
    if compiled.grouped:
        invalid = merge_reasons(invalid, disagreeing_records(compiled, fresh, mapped.heads))
    invalid = _add_oversized(compiled, mapped, invalid)
    heads = mapped.heads.with_columns(fingerprints(compiled, mapped), pl.lit(value=False).alias("bad"))
    if keeps_absent_members(compiled):
        heads = heads.with_columns(held_members(compiled.record, heads))
        columns.append(names.MEMBERS)
    if spec.former:
        heads = heads.with_columns(former_fingerprints(compiled, mapped))
        columns.append(names.FORMER_FINGERPRINT)
    if invalid.height:
        heads = heads.with_columns(pl.col(names.ROW).is_in(invalid[names.ROW].implode()).alias("bad"))
    mapped = replace(mapped, heads=heads)
    if fresh.height < frame.height:
        old = frame.filter(pl.col(names.BELOW_WATERMARK))
        fingerprint = [name for name in (names.FINGERPRINT, names.FORMER_FINGERPRINT) if name in heads.columns]
        empty = [pl.lit(None, dtype=pl.Binary).alias(name) for name in fingerprint]
        empty += [pl.lit(None, dtype=KIND).alias(names.MEMBERS)] if names.MEMBERS in heads.columns else []
        old = old.with_columns(*empty, pl.lit(value=False).alias("bad"))
        heads = pl.concat([heads.select(old.columns), old]).sort(names.ROW)
    return Examined(records=heads.select(columns), invalid=invalid, warnings=warnings), mapped


def record_schema(compiled: CompiledJob, *, former: bool) -> dict[str, pl.DataType | type[pl.DataType]]:
    """Return the columns and types of the examined records of a job.

    Args:
        compiled: The compiled job.
        former: Whether the baseline holds fingerprints of version 1.
    """
    schema: dict[str, pl.DataType | type[pl.DataType]] = dict(RECORDS)
    if compiled.job.source.duplicates.startswith("by:"):
        schema[names.RANK] = compiled.schema[compiled.job.source.duplicates.removeprefix("by:")]
    if keeps_absent_members(compiled):
        schema[names.MEMBERS] = KIND
    if former:
        schema[names.FORMER_FINGERPRINT] = pl.Binary
    return schema


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


def _is_old(spec: TaskSpec, since: str, frame: pl.DataFrame, warnings: dict[str, int]) -> pl.Expr:
    """Return whether a row is below the watermark; rows without an order are not.

    A row equal to the watermark may be newer than the row that set it. With `each:` or a join no row is old, because
    the other rows of its key, or the joined row, may be new, changed or deleted.
    """
    kind, watermark = spec.compiled.schema[since], spec.watermark
    rank = ordering.sort_key(pl.col(since))
    if kind == pl.String and (unordered := frame.select((~ordering.is_ordered(rank)).sum()).item()):
        message = f"rows whose {since} is neither a number nor a date that begins with the year, compared in any case"
        warnings[message] = unordered
    if watermark is None or spec.compiled.grouped or spec.compiled.job.source.joins:
        return pl.lit(value=False)
    if kind == pl.String:
        return ordering.is_certainly_below(rank, ordering.sort_key_of(watermark))
    limit = parse_as(pl.Series([watermark], dtype=pl.String), kind)[0]
    return (pl.col(since) < pl.lit(limit, dtype=kind)).fill_null(value=False)


def _add_oversized(compiled: CompiledJob, mapped: MappedRecords, invalid: pl.DataFrame) -> pl.DataFrame:
    """Return the invalid records with those that do not fit into a batch file alone even if they do not compress."""
    bytes_max = compiled.rules.file.bytes_max
    if bytes_max is None or not mapped.heads.height:
        return invalid
    limit = max(0, bytes_max - bytes_max // 100 - 1024)
    if _max_record_bytes(mapped, compiled.record) <= limit:
        return invalid
    exact = lines(compiled, compiled.record, mapped, [" " * 200], []).str.len_bytes()
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


def _max_record_bytes(mapped: MappedRecords, record: Record) -> int:
    """Return an upper bound of the bytes of every record, without encoding it.

    The sum of the widest values of all members, with `each:` times the items of the longest list, as if each character
    took six bytes in JSON.
    """
    total = 0
    for frame in (mapped.heads, mapped.rows):
        if frame is None or not frame.height:
            continue
        is_repeated = frame is mapped.rows
        leaves = [names.leaf_column(leaf.index) for leaf in record.leaves if (leaf.repeat is not None) is is_repeated]
        strings = [leaf for leaf in leaves if frame[leaf].dtype == pl.String]
        widths = frame.select(pl.col(strings).str.len_bytes().max()).row(0) if strings else ()
        width = sum(width or 0 for width in widths) + _SCALAR_BYTES * (len(leaves) - len(strings))
        if is_repeated:
            longest = frame.group_by(names.HEAD).len()["len"].max()
            width = (longest if isinstance(longest, int) else 0) * (width + _ITEM_OVERHEAD)
        total += width
    return total * _ESCAPE_FACTOR + _RECORD_OVERHEAD
