"""How long vendors took for the batches in the journal."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from batchsync.core.forecast import PastBatch
from batchsync.journal import codec
from batchsync.journal.overview import Overview

if TYPE_CHECKING:
    from collections.abc import Collection

    from batchsync.core.batch import Batch

#: Newest verdicts first; a batch that was collected again keeps the time of its first verdict.
_TIMES = (
    "SELECT id, rows, size, submitted_at, (SELECT min(at) FROM events WHERE batch = batches.id AND "
    "kind = 'VendorFinished') AS finished_at FROM batches WHERE phase = 'delivered' AND submitted_at IS NOT NULL "
    "AND job IN ({marks}) AND (account_id = ? OR ? IS NULL) ORDER BY no DESC LIMIT ?"
)
#: From the intent of an upload to its end. An upload that was repeated, or asked about, says nothing of the speed.
_UPLOAD = (
    "SELECT min(at) AS began, max(at) AS ended, count(*) AS events, "
    "sum(kind = 'IntentRecorded') AS intents FROM events WHERE batch = ? AND (kind IN ('Uploaded', 'Stored', "
    "'OutcomeUnknown', 'NotApplied', 'FileMissing') OR kind = 'IntentRecorded' AND "
    "json_extract(payload, '$.verb') = 'upload')"
)
_DELIVERED = (
    "SELECT * FROM batches WHERE phase = 'delivered' AND job IN ({marks}) AND substr(digest, 1, ?) = ? "
    "ORDER BY no DESC LIMIT ?"
)


class BatchTimes(Overview):
    """Read-only queries of the times of batches; a base of `Journal`."""

    def past_batches(self, jobs: Collection[str], limit: int, account_id: str | None = None) -> tuple[PastBatch, ...]:
        """Return the newest delivered batches of some jobs whose times are known, newest first.

        Args:
            jobs: Names of the jobs.
            limit: Maximum number of batches.
            account_id: Id of the account and target; None for all.
        """
        names = sorted(jobs)
        query = _TIMES.format(marks=", ".join("?" * len(names)))
        found = self._rows(query, [*names, account_id, account_id, limit])
        return tuple(
            PastBatch(
                rows=int(row["rows"]),
                size=int(row["size"]),
                took=max(codec.from_iso(row["finished_at"]) - codec.from_iso(row["submitted_at"]), timedelta()),
                upload=self._upload_time(str(row["id"])),
            )
            for row in found
            if row["finished_at"] is not None
        )

    def _upload_time(self, batch: str) -> timedelta | None:
        """Return how long the upload of a batch took; None if it has no intent, or was not done in one request."""
        (row,) = self._rows(_UPLOAD, [batch])
        if (row["events"], row["intents"]) != (2, 1):
            return None
        return max(codec.from_iso(row["ended"]) - codec.from_iso(row["began"]), timedelta())

    def batch_of_file(self, jobs: Collection[str], digest: str) -> Batch | None:
        """Return the newest delivered batch of some jobs whose file has a digest that begins so, or None.

        Args:
            jobs: Names of the jobs.
            digest: Beginning of the hexadecimal digest.
        """
        return next(iter(self.delivered_batches(jobs, 1, digest)), None)

    def delivered_batches(self, jobs: Collection[str], limit: int, digest: str = "") -> tuple[Batch, ...]:
        """Return the newest delivered batches of some jobs, newest first.

        Args:
            jobs: Names of the jobs.
            limit: Maximum number of batches.
            digest: Beginning of the hexadecimal digest of their files; empty for all.
        """
        names = sorted(jobs)
        found = self._rows(_DELIVERED.format(marks=", ".join("?" * len(names))), [*names, len(digest), digest, limit])
        return tuple(codec.read_batch(row) for row in found)
