"""Which rows of a query a run has to read: those from the watermark of the last run on, or all of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING

from batchsync.errors import SourceError

if TYPE_CHECKING:
    from batchsync.core.query import Since
    from batchsync.core.run import Run

_START = datetime(1970, 1, 1, tzinfo=UTC)
#: More digits than a column of numbers has.
_EXACT = Context(prec=1000)


def lower_bound(since: Since, last: Run | None, now: datetime) -> str | None:
    """Return the value from which on rows are read; None if all rows are.

    Time is cut into windows of `full_every`, from 1970 UTC on. In each window all rows are read until a run of it has
    delivered each of its rows.

    Args:
        since: How the query is read.
        last: Newest run of the job as it is now after which the target held every row that the run had read; its
            watermark is the greatest value of the column. None if there is none.
        now: Time of the run.

    Raises:
        SourceError: If the lag does not fit the values of the column.
    """
    if last is None or last.watermark is None or _window(last.created_at, since) != _window(now, since):
        return None
    return _minus(last.watermark, since)


def next_full_read(since: Since, now: datetime) -> datetime | None:
    """Return when the next window begins, whose first run reads all rows; None if that is after the year 9999.

    Args:
        since: How the query is read.
        now: Time of the run.
    """
    try:
        return _START + (_window(now, since) + 1) * since.full_every
    except OverflowError:
        return None


def _window(at: datetime, since: Since) -> int:
    return (at - _START) // since.full_every


def _minus(watermark: str, since: Since) -> str | None:
    """Return a watermark minus the lag; None if it is neither a number nor a time."""
    try:
        number = Decimal(watermark)
    except InvalidOperation:
        return _earlier(watermark, since)
    if not number.is_finite():
        return None
    if isinstance(since.lag, timedelta):
        if since.lag:
            raise _wrong_lag(since, "numbers", "a number, such as 1000")
        return watermark
    return f"{_EXACT.subtract(number, Decimal(since.lag)):f}"


def _earlier(watermark: str, since: Since) -> str | None:
    lag = since.lag
    if not isinstance(lag, timedelta):
        raise _wrong_lag(since, "dates or times", "a duration, such as 15m")
    try:
        if len(watermark) == len("2026-01-01"):
            day = date.fromisoformat(watermark)
            # Whole days, rounded up.
            return (day + (-lag // timedelta(days=1)) * timedelta(days=1)).isoformat()
        return (datetime.fromisoformat(watermark) - lag).isoformat(sep=" ")
    except (ValueError, OverflowError):
        return None


def _wrong_lag(since: Since, values: str, expected: str) -> SourceError:
    return SourceError(
        f"the lag of since does not fit column {since.column!r}, which holds {values}", hint=f"write lag: {expected}"
    )
