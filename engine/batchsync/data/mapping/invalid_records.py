"""Split mapped records into valid and invalid, with the reasons of the invalid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.record_schema import Severity
from batchsync.data.frame import columns as names
from batchsync.data.mapping.validate import Check

if TYPE_CHECKING:
    from batchsync.data.mapping.apply import MappedRecords

#: Columns of invalid records; `reason` contains masked values only.
INVALID_RECORDS = {
    names.ROW: pl.Int64,
    names.KEY: pl.String,
    "field": pl.String,
    "code": pl.String,
    "reason": pl.String,
}


def split_invalid(mapped: MappedRecords, rules: list[Check], warnings: dict[str, int]) -> pl.DataFrame:
    """Return the invalid records of mapped records with all their reasons, and count warnings.

    Args:
        mapped: Mapped records.
        rules: Checks of the record.
        warnings: Violations of rules that only warn, by rule; counted up in place.

    Returns:
        The columns `INVALID_RECORDS`, one row per record.
    """
    value_checks = [
        Check(
            value.leaf.path,
            value.code,
            pl.col(value.column),
            value.message,
            pl.col(value.masked),
            repeat=value.leaf.repeat,
        )
        for value in mapped.invalid_values
    ]
    outer = [check for check in [*value_checks, *rules] if check.repeat is None]
    invalid = [_invalid_rows(mapped.heads, outer, names.ROW, warnings)]
    if mapped.rows is not None:
        inner = [check for check in [*value_checks, *rules] if check.repeat is not None]
        invalid.append(_invalid_rows(mapped.rows, inner, names.HEAD, warnings))
    combined = pl.concat(invalid)
    if mapped.rows is None or not combined.height:
        return combined
    first = [pl.col(name).first() for name in (names.KEY, "field", "code")]
    reasons = pl.col("reason").str.join("; ")
    return combined.group_by(names.ROW, maintain_order=True).agg(*first, reasons).sort(names.ROW)


def _invalid_rows(frame: pl.DataFrame, rules: list[Check], row: str, warnings: dict[str, int]) -> pl.DataFrame:
    """Return the rows that break a rule. One boolean expression over all rows; reasons only for matching rows."""
    refusing = [rule for rule in rules if rule.severity is Severity.REFUSE]
    warning = [rule for rule in rules if rule.severity is Severity.WARN]
    if warning:
        counts = frame.select(check.test.fill_null(value=False).sum().alias(str(i)) for i, check in enumerate(warning))
        for check, count in zip(warning, counts.row(0), strict=True):
            if count:
                name = f"{check.path}: {check.message}"
                warnings[name] = warnings.get(name, 0) + count
    if not refusing or not frame.height:
        return pl.DataFrame(schema=INVALID_RECORDS)
    prefilters = [check.test if check.prefilter is None else check.prefilter for check in refusing]
    candidates = frame.filter(pl.any_horizontal(prefilters))
    bad = candidates.filter(pl.any_horizontal([check.test for check in refusing])) if candidates.height else candidates
    if not bad.height:
        return pl.DataFrame(schema=INVALID_RECORDS)
    tests = bad.select(check.test.fill_null(value=False).any().alias(str(i)) for i, check in enumerate(refusing)).row(0)
    refusing = [check for check, hit in zip(refusing, tests, strict=True) if hit]
    messages = [_message(check) for check in refusing]
    return bad.select(
        pl.col(row).alias(names.ROW),
        names.KEY,
        pl.coalesce(pl.when(check.test).then(pl.lit(check.path)) for check in refusing).alias("field"),
        pl.coalesce(pl.when(check.test).then(pl.lit(check.code)) for check in refusing).alias("code"),
        pl.concat_str(messages, separator="; ", ignore_nulls=True).alias("reason"),
    )


def _message(check: Check) -> pl.Expr:
    """Return the sentence about a broken rule, null where it is kept."""
    message = f"{check.path} {check.message}".strip()
    if check.masked is None:
        return pl.when(check.test).then(pl.lit(message))
    with_value = pl.concat_str([pl.lit(f"{message}, is "), check.masked])
    return pl.when(check.test).then(pl.coalesce(with_value, pl.lit(message)))
