"""Which rows of a query a run reads: windows of full reads, and the lower bound minus the lag."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from batchsync.core.accounting import PlanCounts
from batchsync.core.job import Source
from batchsync.core.query import Database, Query, Server, Since
from batchsync.core.run import Run, RunId, RunState
from batchsync.core.since import lower_bound, next_full_read
from batchsync.errors import SourceError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _bound(watermark: str | None, *, ago: timedelta = timedelta(hours=1), **settings: Any) -> str | None:
    return lower_bound(Since(column="c", **settings), _last(watermark, NOON - ago), NOON)


def _last(watermark: str | None, at: datetime) -> Run:
    return Run(
        id=RunId("guests-1"),
        job="guests",
        serial=1,
        spec_hash="s",
        account_id="a",
        state=RunState.SETTLED,
        created_at=at,
        counts=PlanCounts(),
        plan="p",
        watermark=watermark,
    )


def test_first_run_reads_all_rows() -> None:
    assert lower_bound(Since(column="c"), None, NOON) is None
    assert _bound(None) is None


@pytest.mark.parametrize(
    ("ago", "full_every", "is_full"),
    [
        (timedelta(hours=12), timedelta(days=1), False),
        (timedelta(hours=12, seconds=1), timedelta(days=1), True),
        (timedelta(minutes=59), timedelta(hours=1), True),
        (timedelta(0), timedelta(seconds=1), False),
        (timedelta(days=400), timedelta(days=3650), False),
        (timedelta(days=-1), timedelta(days=1), True),
    ],
)
def test_first_run_of_a_window_reads_all_rows(ago: timedelta, full_every: timedelta, *, is_full: bool) -> None:
    assert (_bound("5", ago=ago, full_every=full_every) is None) is is_full


@pytest.mark.parametrize(
    ("watermark", "lag", "expected"),
    [
        ("5", timedelta(0), "5"),
        ("5", 0, "5"),
        ("5", 7, "-2"),
        ("99999999999999999999999999999.5", 1, "99999999999999999999999999998.5"),
        ("1E+3", 1, "999"),
        ("2026-01-01 10:00:00.000001+00:00", timedelta(minutes=15), "2026-01-01 09:45:00.000001+00:00"),
        ("2026-01-01 10:00:00", timedelta(days=1), "2025-12-31 10:00:00"),
        ("2026-01-01", timedelta(0), "2026-01-01"),
        ("2026-01-01", timedelta(minutes=1), "2025-12-31"),
        ("2026-01-01", timedelta(days=2), "2025-12-30"),
        ("0001-01-01 00:00:00", timedelta(days=2), None),
        ("NaN", 1, None),
        ("spring", timedelta(0), None),
    ],
)
def test_bound_is_the_watermark_minus_the_lag(watermark: str, lag: timedelta | int, expected: str | None) -> None:
    assert _bound(watermark, lag=lag) == expected


@pytest.mark.parametrize(
    ("watermark", "lag"), [("5", timedelta(minutes=1)), ("2026-01-01", 5), ("2026-01-01 10:00", 5)]
)
def test_lag_of_another_kind_is_refused(watermark: str, lag: timedelta | int) -> None:
    with pytest.raises(SourceError, match="the lag of since does not fit column 'c'"):
        _bound(watermark, lag=lag)


@pytest.mark.parametrize(
    ("full_every", "expected"),
    [
        (timedelta(days=1), datetime(2026, 3, 2, tzinfo=UTC)),
        (timedelta(hours=12), datetime(2026, 3, 2, tzinfo=UTC)),
        (timedelta(hours=5), datetime(2026, 3, 1, 13, tzinfo=UTC)),
        (timedelta(days=10_000_000), None),
    ],
)
def test_next_full_read_is_in_the_next_window(full_every: timedelta, expected: datetime | None) -> None:
    since = Since(column="c", full_every=full_every)
    found = next_full_read(since, NOON)
    assert found == expected
    if found is not None:
        last = _last("2026-01-01", NOON)
        assert lower_bound(since, last, found - timedelta(microseconds=1)) is not None
        assert lower_bound(since, last, found) is None


def test_query_with_a_bound_is_a_part_of_its_source() -> None:
    server = Server(url="${U}", password="${P}")  # noqa: S106 - a reference
    query = Query(database=Database(name="shop", kind="mysql", server=server), table=("a`b", "c"))
    source = Source(path=query.title, folder="/", key=("id",), query=query)
    assert not source.is_partial
    assert replace(source, query=replace(query, after="5")).is_partial
    assert not replace(source, query=None).is_partial
    assert server.references == {"url": "${U}", "password": "${P}"}
    assert query.statement("`") == "SELECT * FROM `a``b`.`c`"
    assert replace(query, table=(), sql="SELECT 1").statement() == "SELECT 1"
