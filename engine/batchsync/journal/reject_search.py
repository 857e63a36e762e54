"""Search of rejects by job, run, kind, reason and part of the key, page by page."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from batchsync.journal.queries import Queries
from batchsync.journal.reject_filter import DECLARED, RejectFilter
from batchsync.journal.rejects import read_reject

if TYPE_CHECKING:
    from batchsync.journal.model import RejectRow
    from batchsync.ports.overview import RejectSearch


class RejectSearches(Queries):
    """Pages of rejects; a base of `Journal`."""

    def found_rejects(self, search: RejectSearch, limit: int) -> list[tuple[int, RejectRow]]:
        """Return a page of rejects with their numbers, in the order of their recording.

        Args:
            search: Which rejects; `after` is the number of the last one of the page before.
            limit: Maximum number of rejects.
        """
        wanted = RejectFilter(
            # The id of a run is enough, and with the job SQLite would read all rejects of the job.
            job=None if search.run else search.job or None,
            run=search.run or None,
            kind=search.kind or None,
            without=() if search.kind else DECLARED,
            code=search.code,
            field=search.field,
            part_of_key=search.key,
            after=search.after,
        )
        return [(int(row["no"]), read_reject(row)) for row in islice(self._found(wanted, limit), limit)]
