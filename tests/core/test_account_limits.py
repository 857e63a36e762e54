"""Limits of accounts: nothing exceeds them in any window, and nothing waits longer than it has to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from batchsync.core.account_limits import DAY, MINUTE, AccountLimits, Use, days_needed, free_at

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def used(*minutes_and_amounts: tuple[int, int]) -> list[Use]:
    return [Use(NOW - timedelta(minutes=minutes), amount) for minutes, amount in minutes_and_amounts]


def test_amount_is_free_when_enough_of_the_window_has_passed() -> None:
    uses = used((60, 4), (30, 3), (10, 2))

    assert free_at(uses, 1, 10, DAY, NOW) is None
    assert free_at(uses, 2, 10, DAY, NOW) == NOW - timedelta(minutes=60) + DAY
    assert free_at(uses, 6, 10, DAY, NOW) == NOW - timedelta(minutes=30) + DAY
    assert free_at(uses, 6, None, DAY, NOW) is None
    assert free_at(used((24 * 60, 10)), 10, 10, DAY, NOW) is None


def test_amount_above_the_limit_goes_alone() -> None:
    assert free_at([], 11, 10, DAY, NOW) is None
    assert free_at(used((1, 1)), 11, 10, DAY, NOW) == NOW - timedelta(minutes=1) + DAY


@given(st.lists(st.integers(1, 5), max_size=40), st.integers(5, 9), st.integers(0, 20))
def test_no_window_holds_more_than_the_limit(amounts: list[int], limit: int, pause: int) -> None:
    now, uses = NOW, list[Use]()
    for amount in amounts:
        now = free_at(uses, amount, limit, MINUTE, now) or now
        uses.append(Use(now, amount))
        now += timedelta(seconds=pause)
    for use in uses:
        window = [other.amount for other in uses if use.at <= other.at < use.at + MINUTE]
        assert sum(window) <= limit


def test_lower_limit_counts() -> None:
    vendor = AccountLimits(calls_per_minute=100, rows_per_day=1000)
    lowered = vendor.lowered(AccountLimits(calls_per_minute=50, bytes_per_day=10))

    assert lowered == AccountLimits(calls_per_minute=50, rows_per_day=1000, bytes_per_day=10)
    assert vendor.lowered(AccountLimits(calls_per_minute=200)) == vendor


def test_calls_are_reserved_in_small_shares() -> None:
    assert AccountLimits(calls_per_minute=150).calls_at_once == 7
    assert AccountLimits(calls_per_minute=3).calls_at_once == 1
    assert AccountLimits(calls_per_minute=150, calls_per_day=40).calls_at_once == 2
    assert not AccountLimits(rows_per_day=1).limits_calls
    assert not AccountLimits(calls_per_day=1).limits_batches


def test_days_are_counted_from_the_amount() -> None:
    assert [days_needed(amount, 10) for amount in (None, 0, 1, 10, 11, 101)] == [1, 1, 1, 1, 2, 11]
    assert days_needed(1000, None) == 1
