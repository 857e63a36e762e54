"""Days and moments become texts by looking them up: a table for the days of a frame, one for the seconds of a day.

It does not know rules. What no table fits is left to the columnar library, which writes the same text more slowly.
"""

from __future__ import annotations

from functools import lru_cache

import polars as pl

#: A frame whose days lie further apart gets no table.
_DAYS_MOST = 200_000
_DAY_SECONDS = 86_400
#: No day beyond these can be written by the columnar library: it is written as one of these, some 260,000 years away.
_BEFORE, _AFTER = -95_000_000, 95_000_000
_PER_MILLI = {"ms": 1, "us": 1_000, "ns": 1_000_000}


def day_text(values: pl.Series, form: str) -> pl.Series:
    """Return days in a strftime form; one that cannot be written as the last one before it that can."""
    number = _bounded(values.to_physical(), 1)
    found = _days(number, form)
    return number.cast(pl.Date).cast(pl.Datetime("ms")).dt.to_string(form) if found is None else found


def moment_text(values: pl.Series, *, millis: bool, seconds: bool = True) -> pl.Series:
    """Return moments without time zone as ISO 8601 with Z: with milliseconds, or with seconds unless they are 0.

    Without `seconds` they are left out. One that cannot be written becomes the last one before it that can.
    """
    kind = values.dtype
    per_milli = _PER_MILLI[kind.time_unit] if isinstance(kind, pl.Datetime) and kind.time_unit else 1
    number = _bounded(values.to_physical(), per_milli * 1000 * _DAY_SECONDS)
    if not seconds:
        number = number - number % (per_milli * 60_000)
    parts = number.to_frame("x").select(
        (pl.col("x") // (per_milli * 1000 * _DAY_SECONDS)).alias("day"),
        (pl.col("x") // (per_milli * 1000) % _DAY_SECONDS).alias("second"),
        (pl.col("x") // per_milli % 1000).alias("milli"),
    )
    days = _days(parts["day"], "%Y-%m-%dT")
    if days is None:
        return _slowly(number.cast(kind), millis=millis)
    pieces = [days.alias("day"), _seconds(millis=millis).gather(parts["second"]).alias("second")]
    if millis:
        whole = parts["milli"].max() == 0
        tail = pl.Series("milli", ["000Z"]) if whole else _millis().gather(parts["milli"]).alias("milli")
        pieces.append(tail.new_from_index(0, len(values)) if whole else tail)
    return pl.DataFrame(pieces).select(pl.concat_str(pl.all()).alias("x"))["x"]


def _bounded(number: pl.Series, per_day: int) -> pl.Series:
    """Return numbers of which so many are a day, those of days that cannot be written brought near."""
    low, high = number.min(), number.max()
    least, most = _BEFORE * per_day, _AFTER * per_day
    if not isinstance(low, int) or not isinstance(high, int) or least <= low <= high <= most:
        return number
    return number.clip(least, most)


def _days(number: pl.Series, form: str) -> pl.Series | None:
    """Return the texts of numbered days (1970-01-01 is 0), null for null; None when they lie too far apart."""
    low, high = number.min(), number.max()
    if not isinstance(low, int) or not isinstance(high, int) or high - low > _DAYS_MOST:
        return None
    table = pl.int_range(low, high + 1, dtype=pl.Int32, eager=True).cast(pl.Date).cast(pl.Datetime("ms"))
    return table.dt.to_string(form).gather(number - low)


@lru_cache(maxsize=2)
def _seconds(*, millis: bool) -> pl.Series:
    """Return the text of each second of a day, up to where the milliseconds begin, or to its end."""
    moments = (pl.int_range(0, _DAY_SECONDS, dtype=pl.Int64, eager=True) * 1000).cast(pl.Datetime("ms"))
    if millis:
        return moments.dt.to_string("%H:%M:%S.")
    frame = moments.to_frame("x")
    text = pl.when(pl.col("x").dt.second() == 0).then(pl.col("x").dt.to_string("%H:%MZ"))
    return frame.select(text.otherwise(pl.col("x").dt.to_string("%H:%M:%SZ")).alias("x"))["x"]


@lru_cache(maxsize=1)
def _millis() -> pl.Series:
    """Return the text of each millisecond of a second, to the end of a moment."""
    return pl.Series([f"{one:03}Z" for one in range(1000)])


def _slowly(values: pl.Series, *, millis: bool) -> pl.Series:
    """Return the same without tables."""
    if millis:
        return values.dt.to_string("%Y-%m-%dT%H:%M:%S%.3fZ")
    text = pl.when(pl.col("x").dt.second() == 0).then(pl.col("x").dt.to_string("%Y-%m-%dT%H:%MZ"))
    exact = pl.col("x").dt.to_string("%Y-%m-%dT%H:%M:%SZ")
    return values.to_frame("x").select(text.otherwise(exact).alias("x"))["x"]
