"""Limits of an account, and when something may be sent within them. Pure functions over what was used so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
#: How long a process may use calls that it has reserved. The window of a minute is that much longer.
RESERVED_FOR = timedelta(seconds=3)
#: Share of the calls of a minute that a process reserves at once.
_SHARE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLimits:
    """What a vendor takes from an account; None is no limit. A day is any 24 hours."""

    calls_per_minute: int | None = None
    calls_per_day: int | None = None
    rows_per_day: int | None = None
    bytes_per_day: int | None = None

    @property
    def limits_batches(self) -> bool:
        """Whether rows or bytes are limited."""
        return self.rows_per_day is not None or self.bytes_per_day is not None

    @property
    def limits_calls(self) -> bool:
        """Whether calls are limited."""
        return self.calls_per_minute is not None or self.calls_per_day is not None

    @property
    def calls_at_once(self) -> int:
        """Number of calls that a process reserves at once, so that it need not write for each."""
        limits = [limit for limit in (self.calls_per_minute, self.calls_per_day) if limit is not None]
        return max(1, min(limits, default=1) // _SHARE)

    def lowered(self, other: AccountLimits) -> AccountLimits:
        """Return the lower of both limits, one by one."""
        return AccountLimits(
            calls_per_minute=lower_of(self.calls_per_minute, other.calls_per_minute),
            calls_per_day=lower_of(self.calls_per_day, other.calls_per_day),
            rows_per_day=lower_of(self.rows_per_day, other.rows_per_day),
            bytes_per_day=lower_of(self.bytes_per_day, other.bytes_per_day),
        )


@dataclass(frozen=True, slots=True)
class Use:
    """An amount that was used at a time: calls, rows or bytes."""

    at: datetime
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """Limit of the batches of an account that the vendor has at a time.

    Attributes:
        limit: Greatest number.
        own: Jobs of this process, which admits their batches itself, with the id of their present account and target.
    """

    limit: int
    own: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Answer to a request to use an account.

    Attributes:
        amount: What may be used now; 0 if it has to wait.
        until: When to ask again; None if it may be used.
        limit: The limit that was reached, such as `1 batch in flight`; empty if none was.
        held_by: The job whose batch has to end first; empty if time frees the limit.
        followed: Whether a live process follows that job.
    """

    amount: int = 0
    until: datetime | None = None
    limit: str = ""
    held_by: str = ""
    followed: bool = True


def free_at(uses: Sequence[Use], amount: int, limit: int | None, window: timedelta, now: datetime) -> datetime | None:
    """Return when an amount may be used within a limit; None if it may be now.

    An amount that exceeds the limit alone may be used when nothing else counts: waiting longer would not help.

    Args:
        uses: What was used, in any order.
        amount: What is to be used.
        limit: Greatest sum in any window; None is no limit.
        window: Length of the window.
        now: Current time.
    """
    if limit is None:
        return None
    counted = sorted((use for use in uses if use.at > now - window), key=lambda use: use.at)
    total, until = sum(use.amount for use in counted), None
    for use in counted:
        if total + amount <= limit:
            break
        total, until = total - use.amount, use.at + window
    return until


def days_needed(amount: int | None, limit: int | None, of_batch: int = 1) -> int:
    """Return how many days an amount needs under a daily limit; 1 without a limit or a known amount.

    Args:
        amount: What is to be used; None if it is not known.
        limit: Greatest sum of a day; None is no limit.
        of_batch: What is used at once, and not divided between days. More than the limit is used on a day of its own.
    """
    if not amount or limit is None:
        return 1
    of_batch = min(of_batch, amount)
    in_a_day = max(1, limit // of_batch)
    whole, last = divmod(amount, of_batch)
    days = -(-whole // in_a_day)
    room = limit - (whole - (days - 1) * in_a_day) * of_batch
    return days + (0 < last > room)


def lower_of(one: int | None, other: int | None) -> int | None:
    """Return the lower of two limits, of which None is no limit."""
    return min((limit for limit in (one, other) if limit is not None), default=None)
