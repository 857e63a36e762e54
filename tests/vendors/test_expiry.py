"""Expiry of allocations by our clock, whatever the vendor's clock says and however it writes times."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from batchsync.core.batch import IdempotencyKey
from batchsync.core.vendor_calls import Call, Endpoint
from batchsync.vendors import response_parsing
from batchsync.vendors.dialect import Exchange, read_allocation
from batchsync.vendors.wire import Request, Response

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
CALL = Call(method="POST", url="/batches", read={"url": ("/url",), "expires_at": ("/expiry",)}, intent=True)


def signed(at: datetime) -> str:
    return f"https://storage.example/a?X-Goog-Date={at:%Y%m%dT%H%M%SZ}&X-Goog-Expires=900"


def expiry(
    expires: str | None, *, url: str = "https://a.example/b", vendor_now: datetime | None = None, granted: bool = True
) -> datetime | None:
    """Return the expiry of the allocation in a response that arrived at NOW."""
    headers = {} if vendor_now is None else {"date": format_datetime(vendor_now, usegmt=True)}
    body = json.dumps({"url": url, "expiry": expires}).encode()
    exchange = Exchange(
        call=CALL,
        request=Request(method="POST", url="https://api.example/batches", endpoint=Endpoint.API),
        response=Response(status=200, headers=headers, body=body),
        now=NOW,
    )
    return read_allocation(exchange, IdempotencyKey("key"), granted=granted).expires_at


@pytest.mark.parametrize("minutes", [-600, -80, -20, 20, 80, 600])
def test_expiry_is_converted_to_our_clock(minutes: int) -> None:
    vendor_now = NOW + timedelta(minutes=minutes)
    written = (vendor_now + QUARTER).isoformat()
    assert expiry(written, vendor_now=vendor_now) == NOW + QUARTER
    assert expiry(None, url=signed(vendor_now), vendor_now=vendor_now) == NOW + QUARTER
    assert expiry(written, vendor_now=vendor_now, granted=False) == NOW + QUARTER


@pytest.mark.parametrize("hours", [-13, -8, -1])
def test_time_without_a_zone_that_lies_in_the_past_is_ignored(hours: int) -> None:
    written = f"{NOW + QUARTER + timedelta(hours=hours):%Y-%m-%dT%H:%M:%S}"
    assert expiry(written, vendor_now=NOW) is None
    assert expiry(written, url=signed(NOW), vendor_now=NOW) == NOW + QUARTER
    assert expiry(f"123-{written}", url=signed(NOW)) == NOW + QUARTER


def test_clock_behind_ours_without_date_header_grants_no_dead_allocation() -> None:
    behind = NOW - timedelta(minutes=80)
    assert expiry((behind + QUARTER).isoformat()) is None
    assert expiry((behind + QUARTER).isoformat(), url=signed(behind)) is None


def test_expiry_within_the_time_of_an_upload_is_ignored_when_granted() -> None:
    assert expiry((NOW + timedelta(seconds=5)).isoformat()) is None


def test_allocation_that_is_looked_up_may_have_expired() -> None:
    past = NOW - timedelta(hours=2)
    assert expiry(past.isoformat(), vendor_now=NOW, granted=False) == past


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"date": "yesterday"}, None),
        ({"date": "Sun, 01 Mar 2026 10:40:00 GMT"}, timedelta(minutes=-80)),
        ({"date": "Sun, 01 Mar 2026 12:20:00 GMT"}, timedelta(minutes=20)),
        ({"date": "Sun, 01 Mar 2026 12:00:29 GMT"}, timedelta(0)),
        ({"date": "Sun, 01 Mar 2026 10:40:00 GMT", "age": "4800"}, None),
        ({"date": "Sun, 01 Mar 2026 12:20:00 -0000"}, timedelta(minutes=20)),
    ],
)
def test_clock_offset_is_measured_from_the_date_header(headers: dict[str, str], expected: timedelta | None) -> None:
    assert response_parsing.clock_offset(headers, NOW) == expected


def test_retry_date_is_one_of_the_vendors_clock() -> None:
    headers = {"date": "Sun, 01 Mar 2026 10:40:00 GMT", "retry-after": "Sun, 01 Mar 2026 10:45:00 GMT"}
    assert response_parsing.retry_at(headers, NOW) == NOW + timedelta(minutes=5)
