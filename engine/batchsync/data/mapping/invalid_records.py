"""Split mapped records into valid and invalid, with the reasons of the invalid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.record_schema import Severity
from batchsync.data.frame import columns as names
from batchsync.data.mapping.validate import Check

if TYPE_CHECKING:
    from batchsync.data.mapping.apply import MappedRecords

#: What is kept of an invalid row.
BROKEN = {names.ROW: pl.Int64, names.KEY: pl.String, "field": pl.String, "code": pl.String, "reason": pl.String}


def split_invalid(found: MappedRecords, rules: list[Check], warnings: dict[str, int]) -> pl.DataFrame:
    """Return the invalid records of a frame with all their reasons; count the warnings."""
    flawed = [
        Check(flaw.leaf.path, flaw.code, pl.col(flaw.column), flaw.message, pl.col(flaw.shown), repeat=flaw.leaf.repeat)
        for flaw in found.flaws
    ]
    outer = [item for item in [*flawed, *rules] if item.repeat is None]
    broken = [_broken(found.heads, outer, names.ROW, warnings)]
    if found.rows is not None:
        inner = [item for item in [*flawed, *rules] if item.repeat is not None]
        broken.append(_broken(found.rows, inner, names.HEAD, warnings))
    whole = pl.concat(broken)
    if found.rows is None or not whole.height:
        return whole
    first = [pl.col(item).first() for item in (names.KEY, "field", "code")]
    reasons = pl.col("reason").str.join("; ")
    return whole.group_by(names.ROW, maintain_order=True).agg(*first, reasons).sort(names.ROW)


def _broken(frame: pl.DataFrame, rules: list[Check], row: str, warnings: dict[str, int]) -> pl.DataFrame:
    """Return the rows of a frame that break a rule. One boolean over all rows; reasons only for the marked ones."""
    refusing = [rule for rule in rules if rule.severity is Severity.REFUSE]
    warning = [rule for rule in rules if rule.severity is Severity.WARN]
    if warning:
        counted = frame.select(item.test.fill_null(value=False).sum().alias(str(i)) for i, item in enumerate(warning))
        for item, count in zip(warning, counted.row(0), strict=True):
            if count:
                name = f"{item.path}: {item.message}"
                warnings[name] = warnings.get(name, 0) + count
    if not refusing or not frame.height:
        return pl.DataFrame(schema=BROKEN)
    marks = [item.test if item.mark is None else item.mark for item in refusing]
    marked = frame.filter(pl.any_horizontal(marks))
    bad = marked.filter(pl.any_horizontal([item.test for item in refusing])) if marked.height else marked
    if not bad.height:
        return pl.DataFrame(schema=BROKEN)
    tests = bad.select(item.test.fill_null(value=False).any().alias(str(i)) for i, item in enumerate(refusing)).row(0)
    refusing = [item for item, hit in zip(refusing, tests, strict=True) if hit]
    text = [_message(item) for item in refusing]
    return bad.select(
        pl.col(row).alias(names.ROW),
        names.KEY,
        pl.coalesce(pl.when(item.test).then(pl.lit(item.path)) for item in refusing).alias("field"),
        pl.coalesce(pl.when(item.test).then(pl.lit(item.code)) for item in refusing).alias("code"),
        pl.concat_str(text, separator="; ", ignore_nulls=True).alias("reason"),
    )


def _message(one: Check) -> pl.Expr:
    """Return the sentence about one broken rule, null where it is kept."""
    words = f"{one.path} {one.message}".strip()
    if one.shown is None:
        return pl.when(one.test).then(pl.lit(words))
    value = pl.concat_str([pl.lit(f"{words}, is "), one.shown])
    return pl.when(one.test).then(pl.coalesce(value, pl.lit(words)))
