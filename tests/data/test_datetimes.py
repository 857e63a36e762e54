"""Dates and timestamps formatted by table look-up equal those formatted by Python."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchsync.data.mapping import datetimes
from batchsync.data.mapping.datetimes import date_text, timestamp_text
from batchsync.data.mapping.json_encode import escaped, needs_no_escape

if TYPE_CHECKING:
    from polars._typing import TimeUnit

UNITS: tuple[TimeUnit, ...] = ("ms", "us", "ns")


def naive(year: int, month: int) -> datetime:
    """Return the first of a month, without a zone."""
    return datetime(year, month, 1, tzinfo=UTC).replace(tzinfo=None)


NEAR = st.datetimes(naive(1969, 12), naive(1970, 2))
FAR = st.datetimes(naive(1700, 1), naive(2250, 1))
EXAMPLES = settings(max_examples=150, deadline=None)


def formatted(timestamp: datetime | None, *, millis: bool) -> str | None:
    """Return a timestamp as Python formats it."""
    if timestamp is None:
        return None
    if millis:
        return f"{timestamp:%Y-%m-%dT%H:%M:%S}.{timestamp.microsecond // 1000:03}Z"
    return f"{timestamp:%Y-%m-%dT%H:%M:%SZ}" if timestamp.second else f"{timestamp:%Y-%m-%dT%H:%MZ}"


@pytest.mark.parametrize("millis", [True, False])
@EXAMPLES
@given(unit=st.sampled_from(UNITS), values=st.lists(st.none() | NEAR | FAR, max_size=8))
def test_timestamp_text_equals_python(*, millis: bool, unit: TimeUnit, values: list[datetime | None]) -> None:
    series = pl.Series(values, dtype=pl.Datetime("us")).cast(pl.Datetime(unit))
    exact = [None if value is None else value.replace(microsecond=value.microsecond // 1000 * 1000) for value in values]
    kept = exact if unit == "ms" else values
    assert timestamp_text(series, millis=millis).to_list() == [formatted(item, millis=millis) for item in kept]


@EXAMPLES
@given(st.lists(st.none() | st.integers(-(10**18), 10**18) | st.integers(-(10**12), 10**12).map(lambda n: n * 1000)))
def test_exact_timestamp_text_has_all_digits(numbers: list[int | None]) -> None:
    texts = timestamp_text(pl.Series(numbers, dtype=pl.Datetime("ns")), millis=True, exact=True)
    for number, text in zip(numbers, texts, strict=True):
        if number is None:
            assert text is None
            continue
        seconds, rest = divmod(number, 10**9)
        digits = f"{rest:09}"
        digits = digits[:3] if digits.endswith("000000") else digits[:6] if digits.endswith("000") else digits
        assert text == f"{datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{digits}Z"


@EXAMPLES
@given(st.lists(st.none() | st.dates(date(1000, 1, 1)), max_size=8))
def test_date_text_equals_python(values: list[date | None]) -> None:
    found = date_text(pl.Series(values, dtype=pl.Date), "%Y-%m-%d").to_list()
    assert found == [None if value is None else value.isoformat() for value in values]


@pytest.mark.parametrize("millis", [True, False])
def test_distant_days_are_formatted_without_table(monkeypatch: pytest.MonkeyPatch, *, millis: bool) -> None:
    start = datetime(1999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC).replace(tzinfo=None)
    series = pl.Series([start + timedelta(days=300 * index, seconds=index) for index in range(20)] + [None])
    by_table = timestamp_text(series, millis=millis)
    monkeypatch.setattr(datetimes, "_DAYS_MAX", 3)
    assert timestamp_text(series, millis=millis).to_list() == by_table.to_list()


@EXAMPLES
@given(st.lists(st.none() | st.text(max_size=20), max_size=6))
def test_needs_no_escape_agrees_with_escaping(values: list[str | None]) -> None:
    texts = pl.Series("x", values, dtype=pl.String)
    after = texts.to_frame().select(escaped(pl.col("x")))["x"]
    assert needs_no_escape(texts) == (after.to_list() == values)
