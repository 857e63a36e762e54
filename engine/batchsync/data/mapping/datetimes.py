"""Format dates and timestamps by table look-up: one table for the days of a frame, one for the seconds of a day.

Values that no table covers are formatted by polars, with the same result but more slowly.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import polars as pl

#: Maximum span of days of a look-up table.
_DAYS_MAX = 200_000
_DAY_SECONDS = 86_400
#: First and last day that polars can format, some 260,000 years from 1970; days beyond are clipped.
_FIRST_DAY, _LAST_DAY = -95_000_000, 95_000_000
_PER_MILLI = {"ms": 1, "us": 1_000, "ns": 1_000_000}


def date_text(values: pl.Series, format_: str) -> pl.Series:
    """Return dates in a strftime format; dates that polars cannot format are clipped to the last one that it can."""
    number = _clip(values.to_physical(), 1)
    formatted = _days(number, format_)
    return number.cast(pl.Date).cast(pl.Datetime("ms")).dt.to_string(format_) if formatted is None else formatted


def timestamp_text(values: pl.Series, *, millis: bool, seconds: bool = True, exact: bool = False) -> pl.Series:
    """Return timestamps without time zone as ISO 8601 with Z; those that polars cannot format are clipped.

    Args:
        values: Datetime values, taken as UTC.
        millis: Whether to write milliseconds; otherwise seconds are written unless they are 0.
        seconds: Whether to write seconds at all.
        exact: Whether to write more than three digits after the second where a timestamp has them.

    Returns:
        The texts (String).
    """
    kind = values.dtype
    per_milli = _PER_MILLI[kind.time_unit] if isinstance(kind, pl.Datetime) and kind.time_unit else 1
    number = _clip(values.to_physical(), per_milli * 1000 * _DAY_SECONDS)
    if exact and (more := number % per_milli != 0).any():
        text = timestamp_text(number.cast(kind), millis=millis)
        return text.zip_with(~more.fill_null(value=False), _with_all_digits(text, number, per_milli))
    if not seconds:
        number = number - number % (per_milli * 60_000)
    parts = number.to_frame("x").select(
        (pl.col("x") // (per_milli * 1000 * _DAY_SECONDS)).alias("day"),
        (pl.col("x") // (per_milli * 1000) % _DAY_SECONDS).alias("second"),
        (pl.col("x") // per_milli % 1000).alias("milli"),
    )
    days = _days(parts["day"], "%Y-%m-%dT")
    if days is None:
        return _format_directly(number.cast(kind), millis=millis)
    pieces = [days.alias("day"), _seconds(millis=millis).gather(parts["second"]).alias("second")]
    if millis:
        no_fraction = parts["milli"].max() == 0
        tail = pl.Series("milli", ["000Z"]) if no_fraction else _millis().gather(parts["milli"]).alias("milli")
        pieces.append(tail.new_from_index(0, len(values)) if no_fraction else tail)
    return pl.DataFrame(pieces).select(pl.concat_str(pl.all()).alias("x"))["x"]


def _with_all_digits(text: pl.Series, number: pl.Series, per_milli: int) -> pl.Series:
    """Return timestamps, given with milliseconds, with six or nine digits after the second."""
    frame = pl.DataFrame({"text": text, "rest": number % per_milli})
    digits = pl.col("rest").cast(pl.String).str.zfill(len(str(per_milli)) - 1)
    if per_milli == _PER_MILLI["ns"]:
        is_whole = pl.col("rest") % 1000 == 0
        digits = pl.when(is_whole).then(digits.str.head(3)).otherwise(digits)
    return frame.select(pl.concat_str([pl.col("text").str.head(-1), digits, pl.lit("Z")]).alias("text"))["text"]


def cut_timestamps(values: pl.Series, unit: Literal["ms", "s", "m"]) -> int:
    """Return the number of timestamps that are no whole milliseconds, seconds or minutes."""
    if not isinstance(values.dtype, pl.Datetime) or not values.dtype.time_unit:
        return 0
    size = _PER_MILLI[values.dtype.time_unit] * {"ms": 1, "s": 1000, "m": 60_000}[unit]
    return int((values.to_physical() % size != 0).sum()) if size > 1 else 0


def _clip(number: pl.Series, per_day: int) -> pl.Series:
    """Return numbers, of which `per_day` are a day, clipped to the days that can be formatted."""
    low, high = number.min(), number.max()
    minimum, maximum = _FIRST_DAY * per_day, _LAST_DAY * per_day
    if not isinstance(low, int) or not isinstance(high, int) or minimum <= low <= high <= maximum:
        return number
    return number.clip(minimum, maximum)


def _days(number: pl.Series, format_: str) -> pl.Series | None:
    """Return numbered days (1970-01-01 is 0) as text, null for null; None if they span too many days for a table."""
    low, high = number.min(), number.max()
    if not isinstance(low, int) or not isinstance(high, int) or high - low > _DAYS_MAX:
        return None
    table = pl.int_range(low, high + 1, dtype=pl.Int32, eager=True).cast(pl.Date).cast(pl.Datetime("ms"))
    return table.dt.to_string(format_).gather(number - low)


@lru_cache(maxsize=2)
def _seconds(*, millis: bool) -> pl.Series:
    """Return the text of each second of a day, up to the milliseconds or to the end."""
    timestamps = (pl.int_range(0, _DAY_SECONDS, dtype=pl.Int64, eager=True) * 1000).cast(pl.Datetime("ms"))
    if millis:
        return timestamps.dt.to_string("%H:%M:%S.")
    frame = timestamps.to_frame("x")
    text = pl.when(pl.col("x").dt.second() == 0).then(pl.col("x").dt.to_string("%H:%MZ"))
    return frame.select(text.otherwise(pl.col("x").dt.to_string("%H:%M:%SZ")).alias("x"))["x"]


@lru_cache(maxsize=1)
def _millis() -> pl.Series:
    """Return the text of each millisecond of a second, to the end of a timestamp."""
    return pl.Series([f"{index:03}Z" for index in range(1000)])


def _format_directly(values: pl.Series, *, millis: bool) -> pl.Series:
    """Format timestamps without tables."""
    if millis:
        return values.dt.to_string("%Y-%m-%dT%H:%M:%S%.3fZ")
    text = pl.when(pl.col("x").dt.second() == 0).then(pl.col("x").dt.to_string("%Y-%m-%dT%H:%MZ"))
    exact = pl.col("x").dt.to_string("%Y-%m-%dT%H:%M:%SZ")
    return values.to_frame("x").select(text.otherwise(exact).alias("x"))["x"]
