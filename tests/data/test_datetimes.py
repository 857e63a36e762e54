"""Days and moments that are looked up are written as the columnar library writes them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.data import moments
from lading.data.jsontext import escaped, is_clean
from lading.data.moments import day_text, moment_text

if TYPE_CHECKING:
    from polars._typing import TimeUnit

UNITS: tuple[TimeUnit, ...] = ("ms", "us", "ns")


def naive(year: int, month: int) -> datetime:
    """Return the first of a month, without a zone."""
    return datetime(year, month, 1, tzinfo=UTC).replace(tzinfo=None)


NEAR = st.datetimes(naive(1969, 12), naive(1970, 2))
FAR = st.datetimes(naive(1700, 1), naive(2250, 1))
MOST = settings(max_examples=150, deadline=None)


def written(moment: datetime | None, *, millis: bool) -> str | None:
    """Return a moment as plain Python writes it."""
    if moment is None:
        return None
    if millis:
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment.second else f"{moment:%Y-%m-%dT%H:%MZ}"


@pytest.mark.parametrize("millis", [True, False])
@MOST
@given(unit=st.sampled_from(UNITS), values=st.lists(st.none() | NEAR | FAR, max_size=8))
def test_a_moment_is_written_as_python_writes_it(
    *, millis: bool, unit: TimeUnit, values: list[datetime | None]
) -> None:
    series = pl.Series(values, dtype=pl.Datetime("us")).cast(pl.Datetime(unit))
    exact = [None if one is None else one.replace(microsecond=one.microsecond // 1000 * 1000) for one in values]
    kept = exact if unit == "ms" else values
    assert moment_text(series, millis=millis).to_list() == [written(one, millis=millis) for one in kept]


@MOST
@given(st.lists(st.none() | st.dates(date(1000, 1, 1)), max_size=8))
def test_a_day_is_written_as_python_writes_it(values: list[date | None]) -> None:
    found = day_text(pl.Series(values, dtype=pl.Date), "%Y-%m-%d").to_list()
    assert found == [None if one is None else one.isoformat() for one in values]


@pytest.mark.parametrize("millis", [True, False])
def test_days_that_lie_too_far_apart_are_written_without_a_table(
    monkeypatch: pytest.MonkeyPatch, *, millis: bool
) -> None:
    start = datetime(1999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC).replace(tzinfo=None)
    series = pl.Series([start + timedelta(days=300 * one, seconds=one) for one in range(20)] + [None])
    quick = moment_text(series, millis=millis)
    monkeypatch.setattr(moments, "_DAYS_MOST", 3)
    assert moment_text(series, millis=millis).to_list() == quick.to_list()


@MOST
@given(st.lists(st.none() | st.text(max_size=20), max_size=6))
def test_a_column_is_clean_exactly_when_escaping_changes_nothing(values: list[str | None]) -> None:
    texts = pl.Series("x", values, dtype=pl.String)
    after = texts.to_frame().select(escaped(pl.col("x")))["x"]
    assert is_clean(texts) == (after.to_list() == values)
