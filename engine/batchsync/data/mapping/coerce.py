"""A mapped value is brought to the kind that its rule wants, or is marked as a flaw of its row.

It does not know paths or messages of other rules. After it there are four types of columns: text, number text,
64-bit integer and boolean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from lading.core.record_schema import Format, Kind
from lading.data import names
from lading.data.moments import day_text, moment_text
from lading.data.shapes import date_format

if TYPE_CHECKING:
    from lading.core.record_schema import Rule
    from lading.data.shapes import Leaf

#: Outside of these, Python writes a number with an exponent and polars may not.
_SMALL, _LARGE = 1e-4, 1e16
_TRUE = ("true", "yes", "y", "1")
_FALSE = ("false", "no", "n", "0")


def is_raw(kind: pl.DataType, rule: Rule) -> bool:
    """Whether the coerced value stands in JSON without quotes."""
    if rule.kind in (Kind.INTEGER, Kind.NUMBER, Kind.BOOLEAN):
        return True
    return rule.kind is Kind.SCALAR and (kind.is_numeric() or kind == pl.Boolean)


def told_apart(leaf: Leaf) -> pl.Expr:
    """Return a leaf's coerced column, so that number text is not the same text in quotes: JSON tells them apart."""
    column = pl.col(names.leaf(leaf.index))
    if leaf.rule.kind is not Kind.SCALAR or not leaf.kind.is_numeric():
        return column
    return pl.concat_str([pl.lit("\0"), column])


def coerce(values: pl.Series, rule: Rule) -> pl.Series:
    """Return the values in the kind of the rule; null where that is not possible."""
    kind = values.dtype
    if kind == pl.Null:
        return values.cast(pl.String)
    wanted = rule.kind
    if wanted is Kind.SCALAR and kind == pl.Boolean:
        return values
    if wanted is Kind.NUMBER or (wanted is Kind.SCALAR and kind.is_numeric()):
        return _number(values)
    if wanted is Kind.BOOLEAN:
        return _boolean(values)
    return _integer(values) if wanted is Kind.INTEGER else _text(values, rule)


def _boolean(values: pl.Series) -> pl.Series:
    """Return booleans of booleans, of yes and no in a few spellings, and of one and zero."""
    if values.dtype == pl.Boolean:
        return values
    text = pl.col("x").cast(pl.String).str.strip_chars().str.to_lowercase()
    found = pl.when(text.is_in(_TRUE)).then(pl.lit(value=True)).when(text.is_in(_FALSE)).then(pl.lit(value=False))
    return _apply(values, found)


def _integer(values: pl.Series) -> pl.Series:
    """Return 64-bit integers of integers, whole floats and texts of digits."""
    if values.dtype.is_integer():
        return values.cast(pl.Int64, strict=False)
    if values.dtype == pl.String:
        text = pl.col("x").str.strip_chars()
        return _apply(values, pl.when(text.str.contains(r"^[+-]?[0-9]+$")).then(text.cast(pl.Int64, strict=False)))
    if isinstance(values.dtype, pl.Decimal):
        return _integer(_decimal(values))
    number = pl.col("x").cast(pl.Float64)
    return _apply(values, pl.when(number == number.round()).then(number.cast(pl.Int64, strict=False)))


def _number(values: pl.Series) -> pl.Series:
    """Return the text of each number, exact for integers and decimals.

    A text for integers too, so that a number has one fingerprint whatever the type of its column is today.
    """
    kind = values.dtype
    if kind.is_integer():
        return values.cast(pl.String)
    if isinstance(kind, pl.Decimal):
        return _decimal(values)
    if kind != pl.String:
        return float_text(values.cast(pl.Float64))
    stripped = values.str.strip_chars()
    frame = stripped.to_frame("x").with_columns(whole=pl.col("x").str.contains(r"^[+-]?[0-9]+$"))
    digits = pl.col("x").str.replace(r"^\+", "").str.replace(r"^(-?)0+([0-9])", "$1$2").str.replace("^-0$", "0")
    floats = frame.select(pl.when(~pl.col("whole")).then(pl.col("x")).cast(pl.Float64, strict=False))["x"]
    written = float_text(floats).alias("written") if floats.null_count() < len(floats) else None
    if written is None:
        return frame.select(pl.when(pl.col("whole")).then(digits).alias("x"))["x"]
    return frame.with_columns(written).select(
        pl.when(pl.col("whole")).then(digits).otherwise(pl.col("written")).alias("x"),
    )["x"]


def _decimal(values: pl.Series) -> pl.Series:
    """Return the exact text of decimals, without zeros at their end: no float in between takes digits away."""
    text = values.cast(pl.String)
    return text.str.replace(r"\.?0+$", "") if isinstance(values.dtype, pl.Decimal) and values.dtype.scale else text


def float_text(values: pl.Series) -> pl.Series:
    """Return floats as Python's json writes them, whole ones without `.0`; null for what JSON cannot hold (NaN).

    Whether a column of numbers is one of floats may hang on another row, or on a gap in it: 5 is 5 in both.
    """
    frame = values.to_frame("x")
    size = pl.col("x").abs()
    plain = pl.when(pl.col("x").is_finite()).then(pl.col("x").cast(pl.String).str.strip_suffix(".0"))
    text = pl.when(size == 0).then(pl.lit("0")).otherwise(plain).alias("text")  # -0.0 is no other number
    odd = pl.col("x").is_finite() & (((size < _SMALL) & (size > 0)) | (size >= _LARGE))
    frame = frame.with_columns(text, odd.fill_null(value=False).alias("odd"))
    if frame["odd"].any():
        exact = frame.filter("odd")["x"].to_numpy().astype("U32")
        places = np.flatnonzero(frame["odd"].to_numpy())
        return frame["text"].scatter(places, pl.Series(exact.tolist()))
    return frame["text"]


def _text(values: pl.Series, rule: Rule) -> pl.Series:
    """Return texts: moments as ISO 8601 in UTC, numbers as JSON writes them."""
    kind = values.dtype
    if kind == pl.String:
        return values
    if kind == pl.Boolean or kind.is_integer():
        return values.cast(pl.String)
    if kind.is_float():
        return float_text(values.cast(pl.Float64))
    if kind == pl.Date:
        return day_text(values, date_format(rule, day=True))
    if isinstance(kind, pl.Datetime):
        return _moment(values, rule, kind)
    return values.cast(pl.String)


def _moment(values: pl.Series, rule: Rule, kind: pl.Datetime) -> pl.Series:
    """Return moments in UTC. One without time zone is taken as UTC."""
    naive = values.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if kind.time_zone else values
    short = (Format.DATETIME_NO_MILLIS, Format.DATETIME_MINUTES)
    return moment_text(naive, millis=rule.format not in short, seconds=rule.format is not Format.DATETIME_MINUTES)


def _apply(values: pl.Series, expr: pl.Expr) -> pl.Series:
    """Return the result of an expression over a column `x`."""
    return values.to_frame("x").select(expr.alias("x"))["x"]
