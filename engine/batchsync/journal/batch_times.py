"""How long vendors took for the batches in the journal."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from batchsync.core.forecast import PastBatch
from batchsync.journal import codec
from batchsync.journal.chain import Chain

if TYPE_CHECKING:
    from collections.abc import Collection

    from batchsync.core.batch import Batch

#: Newest verdicts first; a batch that was collected again keeps the time of its first verdict.
_TIMES = (
    "SELECT job, rows, size, submitted_at, (SELECT min(at) FROM events WHERE batch = batches.id AND "
    "kind = 'VendorFinished') AS finished_at FROM batches WHERE phase = 'delivered' AND submitted_at IS NOT NULL "
    "AND job IN ({marks}) ORDER BY no DESC LIMIT ?"
)


class BatchTimes(Chain):
    """Read-only queries of the times of batches; a base of `Journal`."""

    def past_batches(self, jobs: Collection[str], limit: int) -> tuple[PastBatch, ...]:
        """Return the newest delivered batches of some jobs whose times are known, newest first.

        Args:
            jobs: Names of the jobs.
            limit: Maximum number of batches.
        """
        names = sorted(jobs)
        found = self._rows(_TIMES.format(marks=", ".join("?" * len(names))), [*names, limit])
        return tuple(
            PastBatch(
                job=str(row["job"]),
                rows=int(row["rows"]),
                size=int(row["size"]),
                took=max(codec.from_iso(row["finished_at"]) - codec.from_iso(row["submitted_at"]), timedelta()),
            )
            for row in found
            if row["finished_at"] is not None
        )

    def delivered_batches(self, jobs: Collection[str], limit: int) -> tuple[Batch, ...]:
        """Return the newest delivered batches of some jobs, newest first.

        Args:
            jobs: Names of the jobs.
            limit: Maximum number of batches.
        """
        names = sorted(jobs)
        where = f"WHERE phase = 'delivered' AND job IN ({', '.join('?' * len(names))}) ORDER BY no DESC LIMIT ?"
        found = self._rows(f"SELECT * FROM batches {where}", [*names, limit])  # noqa: S608 - placeholders
        return tuple(codec.read_batch(row) for row in found)
