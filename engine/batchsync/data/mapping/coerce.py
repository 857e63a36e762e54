"""Coerce mapped values to the kind of their rule; values that do not convert become null.

Afterwards there are four types of columns: string, number as string, 64-bit integer and boolean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.record_schema import Format, Kind
from batchsync.data.frame.numbers import decimal_text, float_text, widened
from batchsync.data.mapping.compiled import date_format
from batchsync.data.mapping.datetimes import cut_timestamps, date_text, timestamp_text

if TYPE_CHECKING:
    from batchsync.core.record_schema import Rule

_TRUE = ("true", "yes", "y", "1")
_FALSE = ("false", "no", "n", "0")


def is_raw(kind: pl.DataType, rule: Rule) -> bool:
    """Return whether the coerced value is encoded in JSON without quotes."""
    if rule.kind in (Kind.INTEGER, Kind.NUMBER, Kind.BOOLEAN):
        return True
    return rule.kind is Kind.SCALAR and (kind.is_numeric() or kind == pl.Boolean)


def coerce(values: pl.Series, rule: Rule) -> pl.Series:
    """Coerce values to the kind of the rule; null where that is not possible.

    Args:
        values: Values of any type that `is_convertible` to the kind.
        rule: The rule of the member.

    Returns:
        String, Int64 or Boolean values.
    """
    kind, wanted = values.dtype, rule.kind
    if kind == pl.String and wanted in (Kind.STRING, Kind.SCALAR):
        return values
    if kind == pl.Null:
        return values.cast(pl.String)
    if wanted is Kind.SCALAR and kind == pl.Boolean:
        return values
    if wanted is Kind.NUMBER or (wanted is Kind.SCALAR and kind.is_numeric()):
        return _number(values)
    if wanted is Kind.BOOLEAN:
        return _boolean(values)
    return _integer(values) if wanted is Kind.INTEGER else _text(values, rule)


def _boolean(values: pl.Series) -> pl.Series:
    """Coerce booleans, the integers 0 and 1, and strings such as yes, no, true, false."""
    if values.dtype == pl.Boolean:
        return values
    text = pl.col("x").cast(pl.String).str.strip_chars().str.to_lowercase()
    result = pl.when(text.is_in(_TRUE)).then(pl.lit(value=True)).when(text.is_in(_FALSE)).then(pl.lit(value=False))
    return _select(values, result)


def _integer(values: pl.Series) -> pl.Series:
    """Coerce integers, whole floats and strings of digits to 64-bit integers."""
    if values.dtype.is_integer():
        return values.cast(pl.Int64, strict=False)
    if values.dtype == pl.String:
        text = pl.col("x").str.strip_chars()
        return _select(values, pl.when(text.str.contains(r"^[+-]?[0-9]+$")).then(text.cast(pl.Int64, strict=False)))
    if isinstance(values.dtype, pl.Decimal):
        return _integer(_decimal(values))
    number = pl.col("x").cast(pl.Float64)
    return _select(values, pl.when(number == number.round()).then(number.cast(pl.Int64, strict=False)))


def _number(values: pl.Series) -> pl.Series:
    """Return each number as text, with all its digits.

    Integers become text, too, so that a number has the same fingerprint whatever the type of its column.
    """
    kind = values.dtype
    if kind.is_integer():
        return values.cast(pl.String)
    if isinstance(kind, pl.Decimal):
        return _decimal(values)
    if kind != pl.String:
        return float_text(widened(values))
    stripped = values.str.strip_chars()
    frame = stripped.to_frame("x").with_columns(whole=pl.col("x").str.contains(r"^[+-]?[0-9]+$"))
    digits = pl.col("x").str.replace(r"^\+", "").str.replace(r"^(-?)0+([0-9])", "$1$2").str.replace("^-0$", "0")
    decimals = frame.select(pl.when(~pl.col("whole")).then(pl.col("x")))["x"]
    if decimals.null_count() == len(decimals):
        return frame.select(pl.when(pl.col("whole")).then(digits).alias("x"))["x"]
    return frame.with_columns(decimal_text(decimals).alias("written")).select(
        pl.when(pl.col("whole")).then(digits).otherwise(pl.col("written")).alias("x"),
    )["x"]


def _decimal(values: pl.Series) -> pl.Series:
    """Return the exact text of decimals, without trailing zeros; a float in between would lose digits."""
    text = values.cast(pl.String)
    return text.str.replace(r"\.?0+$", "") if isinstance(values.dtype, pl.Decimal) and values.dtype.scale else text


def _text(values: pl.Series, rule: Rule) -> pl.Series:
    """Coerce to strings: timestamps as ISO 8601 in UTC, numbers as in JSON."""
    kind = values.dtype
    if kind == pl.Boolean or kind.is_integer():
        return values.cast(pl.String)
    if kind.is_float():
        return float_text(widened(values))
    if kind == pl.Date:
        return date_text(values, date_format(rule, day=True))
    if isinstance(kind, pl.Datetime):
        return _timestamp(values, rule, kind)
    return values.cast(pl.String)


def _timestamp(values: pl.Series, rule: Rule, kind: pl.Datetime) -> pl.Series:
    """Return timestamps in UTC, with all digits unless the rule has a format. One without a time zone is in UTC."""
    naive = values.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if kind.time_zone else values
    return timestamp_text(
        naive,
        millis=rule.format not in (Format.DATETIME_NO_MILLIS, Format.DATETIME_MINUTES),
        seconds=rule.format is not Format.DATETIME_MINUTES,
        exact=rule.format is None,
    )


def cut_off(values: pl.Series, rule: Rule) -> tuple[int, str] | None:
    """Return how many timestamps lose a part of a second, or seconds, to the format of a rule, and what it holds."""
    match rule.format:
        case Format.DATETIME:
            found = cut_timestamps(values, "ms"), "milliseconds"
        case Format.DATETIME_NO_MILLIS:
            found = cut_timestamps(values, "s"), "seconds"
        case Format.DATETIME_MINUTES:
            found = cut_timestamps(values, "m"), "minutes"
        case _:
            return None
    return found if found[0] else None


def _select(values: pl.Series, expr: pl.Expr) -> pl.Series:
    """Return the result of an expression over a column `x`."""
    return values.to_frame("x").select(expr.alias("x"))["x"]
