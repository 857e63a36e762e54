"""Forecast of what a plan costs: batch files, bytes, vendor calls and time, from past batches of the same vendor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING

from batchsync.core.account_limits import days_needed
from batchsync.core.vendor_calls import CallName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.core.policy import Policy
    from batchsync.core.vendor_calls import Dialect
    from batchsync.core.vendor_rules import FileRules, VendorRules

#: Polls after which the interval is taken as constant.
_POLLS_COUNTED = 1_000
#: Calls of a delivery that are made once per file.
_ONCE = (CallName.ALLOCATE, CallName.UPLOAD, CallName.COMMIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastBatch:
    """A delivered batch: its job, rows, bytes, and how long the vendor took from submission to verdict."""

    job: str
    rows: int
    size: int
    took: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a plan is expected to cost.

    Attributes:
        files: Number of batch files; at least that many if `size` is not known.
        in_flight: Batches that the vendor has at a time.
        past: Number of past batches that the forecast rests on.
        size: Bytes of all files, from past batches of the job; None without any.
        raw_size: Bytes of all records before compression, from the records that the plan shows; None without any.
        calls: Number of vendor calls about the batches; without past batches those besides polls.
        duration: Time from the first submission to the last verdict; None without past batches.
        days: Number of days in which the account may send that much; 1 without a limit of a day.
    """

    files: int
    in_flight: int
    past: int
    size: int | None
    raw_size: int | None
    calls: int
    duration: timedelta | None
    days: int = 1


def forecast(
    records: int,
    rules: VendorRules,
    policy: Policy,
    past: Sequence[PastBatch],
    *,
    job: str,
    bytes_per_record: float | None = None,
) -> Forecast | None:
    """Return what sending a number of records is expected to cost; None if there are none.

    Args:
        records: Number of records to send.
        rules: Rules of the vendor.
        policy: Policy of the connection.
        past: Past batches of the vendor.
        job: Name of the job, whose own past batches say how large a record is.
        bytes_per_record: Mean size of a record before compression, if it is known.
    """
    if not records:
        return None
    own = [batch for batch in past if batch.job == job and batch.rows]
    size = math.ceil(records * sum(batch.size for batch in own) / sum(batch.rows for batch in own)) if own else None
    files = _files(records, size, rules.file)
    in_flight = max(1, policy.in_flight_max)
    duration = None
    per_batch = None
    if past:
        per_batch = timedelta(seconds=median(batch.took.total_seconds() for batch in past))
        duration = per_batch * math.ceil(files / in_flight)
    polls = 0 if per_batch is None else _polls(per_batch, policy)
    calls = files * (_calls(rules.dialect) + polls)
    account = policy.account
    amounts = ((records, account.rows_per_day), (size, account.bytes_per_day), (calls, account.calls_per_day))
    days = max(days_needed(amount, limit) for amount, limit in amounts)
    return Forecast(
        files=files,
        in_flight=in_flight,
        past=len(past),
        size=size,
        raw_size=None if bytes_per_record is None else math.ceil(records * bytes_per_record),
        calls=calls,
        duration=None if duration is None else max(duration, timedelta(days=days - 1)),
        days=days,
    )


def _files(records: int, size: int | None, rules: FileRules) -> int:
    """Return the number of files, by the limits of rows and bytes."""
    by_rows = math.ceil(records / rules.rows_max) if rules.rows_max else 1
    by_bytes = math.ceil(size / rules.bytes_max) if rules.bytes_max and size else 1
    return max(by_rows, by_bytes)


def _calls(dialect: Dialect | None) -> int:
    """Return the number of calls about a batch besides polls: to send it, and to fetch its results or row log."""
    if dialect is None:
        return 2
    sending = sum(name in dialect.calls for name in _ONCE)
    downloads = [item for item in (dialect.results, *(dialect.errors.downloads[:1] if dialect.errors else ())) if item]
    return sending + sum(1 + (item.locate is not None) for item in downloads)


def _polls(took: timedelta, policy: Policy) -> int:
    """Return how often a batch is polled until its verdict."""
    passed, polls = timedelta(), 0
    while passed < took and polls < _POLLS_COUNTED:
        grown = policy.poll_first.total_seconds() * policy.poll_growth**polls
        passed += timedelta(seconds=max(1.0, min(grown, policy.poll_max.total_seconds())))
        polls += 1
    if passed < took:
        polls += math.ceil((took - passed) / max(policy.poll_max, timedelta(seconds=1)))
    return max(1, polls)
