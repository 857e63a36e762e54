"""What was used of the limits of accounts, counted across processes and restarts."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from batchsync.core.account_limits import DAY, MINUTE, RESERVED_FOR, Reservation, Use, free_at
from batchsync.journal import codec
from batchsync.journal.lock_files import is_held
from batchsync.journal.reject_writes import RejectWrites

if TYPE_CHECKING:
    from datetime import datetime

    from sqlite_utils import Database

    from batchsync.core.account_limits import AccountLimits, InFlight
    from batchsync.core.batch import Batch

#: A batch that is not sent so long after it was begun holds no place among those in flight.
_BEGINS_WITHIN = timedelta(minutes=1)
#: When a place among the batches in flight is asked for again.
_ASK_AGAIN = timedelta(seconds=15)
#: Other batches of an account that the vendor may have (`sure`), or that are being sent.
_IN_FLIGHT = (
    "SELECT * FROM (SELECT b.job AS job, b.account_id AS account_id, s.since AS since, b.phase AS phase, "
    "(b.phase IN ('uploaded', 'submitted') OR b.pending_intent IN ('upload', 'commit') AND "
    "b.phase <> 'needs_attention') AS sure FROM sent_batches AS s "
    "JOIN batches AS b ON b.id = s.batch AND b.attempt = s.attempt WHERE s.account = ? AND b.id <> ?) "
    "WHERE sure OR phase IN ('prepared', 'allocated') AND since > ? ORDER BY since"
)


class Usage(RejectWrites):
    """Reservations within the limits of accounts; a base of `Journal`."""

    def reserve_calls(self, account: str, limits: AccountLimits, now: datetime) -> Reservation:
        """Reserve some calls of an account, to be made within `RESERVED_FOR`.

        Args:
            account: Id of the account.
            limits: Its limits.
            now: Current time.

        Returns:
            The number of calls, or when to ask again.
        """
        wanted = limits.calls_at_once
        if (until := self.calls_free_at(account, limits, now)) is not None:
            return Reservation(until=until, limit="calls")
        with self._write("reserve_calls") as db:
            until = self.calls_free_at(account, limits, now, wanted)
            if until is not None:
                wanted = 1
                until = self.calls_free_at(account, limits, now, wanted)
            if until is not None:
                return Reservation(until=until, limit="calls")
            kept = DAY if limits.calls_per_day is not None else MINUTE
            before = codec.to_iso(now - kept - RESERVED_FOR)
            db.execute("DELETE FROM calls_made WHERE account = ? AND at < ?", [account, before])
            db.execute(
                "INSERT INTO calls_made (account, at, calls) VALUES (?, ?, ?)", [account, codec.to_iso(now), wanted]
            )
        return Reservation(amount=wanted)

    def calls_free_at(self, account: str, limits: AccountLimits, now: datetime, calls: int = 1) -> datetime | None:
        """Return when calls may be made within the limits of an account; None if they may be now.

        Args:
            account: Id of the account.
            limits: Its limits.
            now: Current time.
            calls: Number of calls.
        """
        found = self._rows("SELECT at, calls FROM calls_made WHERE account = ?", [account])
        uses = [Use(codec.from_iso(row["at"]), int(row["calls"])) for row in found]
        waits = (
            free_at(uses, calls, limits.calls_per_minute, MINUTE + RESERVED_FOR, now),
            free_at(uses, calls, limits.calls_per_day, DAY + RESERVED_FOR, now),
        )
        return max((wait for wait in waits if wait is not None), default=None)

    def reserve_batch(
        self,
        batch: Batch,
        account: str,
        limits: AccountLimits,
        in_flight: InFlight,
        now: datetime,
        counted_at: datetime,
    ) -> Reservation:
        """Reserve the place, rows and bytes of a batch that is about to be sent. An attempt counts once.

        Args:
            batch: The batch.
            account: Id of its account.
            limits: Limits of the account.
            in_flight: Limit of the batches that the vendor has at a time.
            now: Current time.
            counted_at: When the vendor counts the batch at the latest.

        Returns:
            Whether it may be sent now, or when to ask again.

        Raises:
            LockedError: If another process has taken over the job.
        """
        # A process that has to wait asks often, and need not write for it.
        if (refused := self._refused(batch, account, limits, in_flight, now)) is not None:
            return refused
        with self._write("reserve_batch", batch.job) as db:
            if (refused := self._refused(batch, account, limits, in_flight, now)) is not None:
                return refused
            row = [batch.id, batch.attempt, account, codec.to_iso(now), codec.to_iso(counted_at)]
            db.execute(
                "INSERT INTO sent_batches VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (batch, attempt) DO UPDATE SET "
                "since = excluded.since, at = excluded.at",
                [*row, batch.file.rows, batch.file.size],
            )
            _forget_old(db, account, now)
        return Reservation(amount=1)

    def note_sent(self, batch: Batch, at: datetime) -> None:
        """Record when the upload of a batch has ended, which the vendor has counted by then.

        Raises:
            LockedError: If another process has taken over the job.
        """
        with self._write("note_sent", batch.job) as db:
            db.execute("UPDATE sent_batches SET at = ? WHERE batch = ?", [codec.to_iso(at), batch.id])

    def _refused(
        self, batch: Batch, account: str, limits: AccountLimits, in_flight: InFlight, now: datetime
    ) -> Reservation | None:
        """Return why a batch has to wait; None if it has not."""
        begun = "SELECT 1 FROM sent_batches WHERE batch = ? AND attempt = ?"
        if self._rows(begun, [batch.id, batch.attempt]):
            return None
        others = self._rows(_IN_FLIGHT, [account, batch.id, codec.to_iso(now - _BEGINS_WITHIN)])
        foreign = [str(row["job"]) for row in others if row["job"] not in in_flight.own]
        own = sum(bool(row["sure"]) and in_flight.own.get(row["job"]) == row["account_id"] for row in others)
        if foreign and len(foreign) + own >= in_flight.limit:
            limit = f"{in_flight.limit:,} {'batch' if in_flight.limit == 1 else 'batches'} in flight"
            followed = is_held(self.path.parent, foreign[0])
            return Reservation(until=now + _ASK_AGAIN, limit=limit, held_by=foreign[0], followed=followed)
        if not limits.limits_batches:
            return None
        found = self._rows("SELECT at, rows, bytes FROM sent_batches WHERE account = ?", [account])
        rows = [Use(codec.from_iso(row["at"]), int(row["rows"])) for row in found]
        size = [Use(codec.from_iso(row["at"]), int(row["bytes"])) for row in found]
        waits = {
            f"{limits.rows_per_day or 0:,} rows a day": free_at(rows, batch.file.rows, limits.rows_per_day, DAY, now),
            f"{limits.bytes_per_day or 0:,} bytes a day": free_at(
                size, batch.file.size, limits.bytes_per_day, DAY, now
            ),
        }
        until, limit = max(((at, name) for name, at in waits.items() if at is not None), default=(None, ""))
        return None if until is None else Reservation(until=until, limit=limit)


def _forget_old(db: Database, account: str, now: datetime) -> None:
    """Delete what no limit counts any more: what was sent more than a day ago, and is not in flight."""
    db.execute(
        "DELETE FROM sent_batches WHERE account = ? AND at < ? AND NOT EXISTS "
        "(SELECT 1 FROM batches WHERE id = batch AND phase <> 'delivered')",
        [account, codec.to_iso(now - DAY - MINUTE)],
    )
