"""Forecast of files, bytes, calls and time from past batches."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from batchsync.core.forecast import PastBatch, forecast
from batchsync.core.policy import Policy
from batchsync.spec.vendor_spec import load_vendor

if TYPE_CHECKING:
    from batchsync.core.vendor_rules import VendorRules

MINUTE = timedelta(minutes=1)
POLICY = Policy(poll_first=MINUTE, poll_max=MINUTE, in_flight_max=1)


@pytest.fixture(scope="module")
def rules() -> VendorRules:
    """The rules of Sitecore CDP, with at most 1,000 rows in a file."""
    found = load_vendor("sitecore-cdp")
    return replace(found, file=replace(found.file, rows_max=1_000, bytes_max=1_000_000))


def past(job: str = "guests", minutes: float = 10, rows: int = 100, size: int = 1_000) -> PastBatch:
    return PastBatch(job=job, rows=rows, size=size, took=minutes * MINUTE)


def test_nothing_to_send_has_no_forecast(rules: VendorRules) -> None:
    assert forecast(0, rules, POLICY, [past()], job="guests") is None


def test_batches_one_after_another_add_up(rules: VendorRules) -> None:
    found = forecast(2_500, rules, POLICY, [past(minutes=9), past(minutes=10), past(minutes=60)], job="guests")

    assert found is not None
    assert (found.files, found.size, found.duration, found.past) == (3, 25_000, 30 * MINUTE, 3)


def test_batches_at_the_same_time_do_not_add_up(rules: VendorRules) -> None:
    found = forecast(2_500, rules, replace(POLICY, in_flight_max=2), [past()], job="guests")

    assert found is not None
    assert (found.in_flight, found.duration) == (2, 20 * MINUTE)


def test_bytes_limit_files_too(rules: VendorRules) -> None:
    found = forecast(900, rules, POLICY, [past(rows=1, size=5_000)], job="guests")

    assert found is not None
    assert (found.size, found.files) == (4_500_000, 5)


def test_batches_of_other_jobs_say_how_long_but_not_how_large(rules: VendorRules) -> None:
    found = forecast(10, rules, POLICY, [past("orders")], job="guests", bytes_per_record=50.5)

    assert found is not None
    assert (found.size, found.raw_size, found.duration) == (None, 505, 10 * MINUTE)


def test_without_past_batches_time_is_unknown_and_polls_are_not_counted(rules: VendorRules) -> None:
    without = forecast(10, rules, POLICY, [], job="guests")
    having = forecast(10, rules, POLICY, [past(minutes=10)], job="guests")

    assert without is not None
    assert having is not None
    assert (without.duration, without.past, without.raw_size) == (None, 0, None)
    assert having.calls == without.calls + 10


def test_polls_grow_to_the_longest_interval(rules: VendorRules) -> None:
    policy = Policy(poll_first=timedelta(seconds=10), poll_growth=2, poll_max=timedelta(seconds=40))
    calls = {}
    for seconds in (0, 10, 30, 31, 110, 60 * 60 * 24 * 30):
        batch = PastBatch(job="guests", rows=1, size=1, took=timedelta(seconds=seconds))
        found = forecast(1, rules, policy, [batch], job="guests")
        assert found is not None
        calls[seconds] = found.calls
    first = calls[0]
    assert [calls[seconds] - first for seconds in (10, 30, 31, 110)] == [0, 1, 2, 3]
    assert calls[60 * 60 * 24 * 30] - first > 60_000


def test_vendor_in_python_makes_few_calls(rules: VendorRules) -> None:
    found = forecast(1, replace(rules, dialect=None), POLICY, [], job="guests")

    assert found is not None
    assert found.calls == 2
