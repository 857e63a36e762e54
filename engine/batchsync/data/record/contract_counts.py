"""Count what the contract of a source is about in one partition: nulls by column, and the newest value of a column.

Times are compared as instants, so that text with different offsets or formats is ordered correctly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.contract import ContractCounts
from batchsync.data.frame import columns
from batchsync.data.mapping.expressions import problem
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from batchsync.core.contract import Contract, Freshness
    from batchsync.errors import Problem

_DAY = 86_400_000_000
_PER_MICRO = {"ms": (1000, 1), "us": (1, 1), "ns": (1, 1000)}
#: A date that begins with the year, with or without a time and an offset. Zones by name other than UTC are excluded.
_TEXT = (
    r"^([0-9]{4})([-/.])([0-9]{2})([-/.])([0-9]{2})"
    r"(?:[T ]([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:[.,]([0-9]+))?)?"
    r"(?: ?(?:Z|UTC|([+-])([01][0-9]|2[0-3])(?::?([0-5][0-9]))?))?)?$"
)
#: The most frequent forms of it: with a time in UTC.
_COMMON = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?Z?$"
_YEAR, _MARK, _MONTH, _OTHER_MARK, _DAY_OF_MONTH, _HOUR, _MINUTE, _SECOND, _FRACTION, _SIGN, _HOURS, _MINUTES = range(
    12
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionCounts:
    """Counts of one partition.

    Attributes:
        counts: The counts.
        unreadable: Number of the first row whose text in the column of the freshness is no date or timestamp that
            begins with the year; None if there is none.
    """

    counts: ContractCounts = field(default_factory=ContractCounts)
    unreadable: int | None = None


def freshness_problem(freshness: Freshness, kind: pl.DataType) -> Problem | None:
    """Return the problem of a column whose values have no age, if that is the case.

    Args:
        freshness: The freshness.
        kind: Type of its column.
    """
    if kind in (pl.Date, pl.Datetime, pl.Null) or _is_text(kind):
        return None
    message = f"source.freshness: column {quoted(freshness.column)} holds {str(kind).lower()}, which has no age"
    hint = "Use a column of timestamps, dates, or text that begins with the year (2026-11-29T08:00:00Z)."
    return problem("freshness", message, freshness.place, hint)


def count_contract(contract: Contract, rows: pl.DataFrame) -> PartitionCounts:
    """Return the counts of the rows of a partition.

    Args:
        contract: The contract.
        rows: Selected rows: `ROW: i64` and the columns of the contract.
    """
    nulls = {rule.column: rows[rule.column].null_count() for rule in contract.columns}
    if contract.freshness is None:
        return PartitionCounts(counts=ContractCounts(rows=rows.height, nulls=nulls))
    values = rows[contract.freshness.column]
    times, unreadable = microseconds(values), None
    if times.null_count() > values.null_count():
        is_lost = times.is_null() & values.is_not_null()
        unreadable = rows.filter(is_lost)[columns.ROW].min()
    newest = times.max()
    return PartitionCounts(
        counts=ContractCounts(
            rows=rows.height, nulls=nulls, newest=int(newest) if isinstance(newest, int | float) else None
        ),
        unreadable=int(unreadable) if isinstance(unreadable, int | float) else None,
    )


def microseconds(values: pl.Series) -> pl.Series:
    """Return times as microseconds since 1970 UTC; times without zone are in UTC, and a date is its first moment.

    Args:
        values: Timestamps, dates, texts or nulls.

    Returns:
        Whole numbers (i64), rounded down; null where a value is null, or a text that is no time.
    """
    kind = values.dtype
    if kind == pl.Null:
        return values.cast(pl.Int64)
    if kind == pl.Date:
        return values.to_physical().cast(pl.Int64) * _DAY
    if isinstance(kind, pl.Datetime):
        factor, divisor = _PER_MICRO[kind.time_unit]
        return values.to_physical() * factor // divisor
    texts = values.cast(pl.String)
    is_common = bool(texts.str.contains(_COMMON).fill_null(value=True).all())
    return _parsed_common(texts) if is_common else _parsed(texts)


def _parsed_common(texts: pl.Series) -> pl.Series:
    """Return texts that match `_COMMON` as microseconds since 1970 UTC, like `_parsed` but faster."""
    moment = pl.concat_str(pl.col("x").str.head(10), pl.col("x").str.slice(11, 8), separator="T")
    fraction = pl.col("x").str.slice(20).str.strip_suffix("Z").str.pad_end(6, "0").str.head(6).cast(pl.Int64)
    seconds = moment.str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False).to_physical()
    return texts.to_frame("x").select((seconds + fraction).alias("x"))["x"]


def _parsed(texts: pl.Series) -> pl.Series:
    """Return texts as microseconds since 1970 UTC; null where a text is no date that begins with the year."""
    # Groups are extracted once: an expression that names them repeats the search for each of them.
    groups = texts.to_frame("x").select(pl.col("x").str.strip_chars().str.extract_groups(_TEXT))["x"].struct.unnest()

    def part(index: int, default: str | None = None) -> pl.Expr:
        found = pl.col(str(index + 1))
        return found if default is None else found.fill_null(default)

    date = pl.concat_str(part(_YEAR), part(_MONTH), part(_DAY_OF_MONTH), separator="-")
    time = pl.concat_str(part(_HOUR, "00"), part(_MINUTE, "00"), part(_SECOND, "00"), separator=":")
    moment = pl.concat_str(date, time, separator="T").str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False)
    fraction = part(_FRACTION, "0").str.pad_end(6, "0").str.head(6).cast(pl.Int64)
    offset = (part(_HOURS, "0").cast(pl.Int64) * 60 + part(_MINUTES, "0").cast(pl.Int64)) * 60_000_000
    signed = pl.when(part(_SIGN) == "-").then(-offset).otherwise(offset)
    result = pl.when(part(_MARK) == part(_OTHER_MARK)).then(moment.to_physical() + fraction - signed)
    return groups.select(result.alias("x"))["x"]


def _is_text(kind: pl.DataType) -> bool:
    return kind in (pl.String, pl.Categorical, pl.Enum)
