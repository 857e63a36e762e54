"""Search of rejects by job, run, kind, reason and part of the key, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.core.row_outcome import DECLARED_OUTCOMES
from batchsync.journal.queries import REJECTS, Queries, read_reject

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
        # The id of a run is enough, and with the job SQLite would read all rejects of the job.
        exact = {
            "job": None if search.run else search.job or None,
            "run": search.run or None,
            "kind": search.kind or None,
        }
        exact |= {"code": search.code, "field": search.field}
        used = {name: value for name, value in exact.items() if value is not None}
        conditions = ["no > ?", *(f"{name} = ?" for name in used)]
        values: list[object] = [search.after, *used.values()]
        if not search.kind:
            conditions.append(f"kind NOT IN ({', '.join('?' for _ in DECLARED_OUTCOMES)})")
            values += [outcome.value for outcome in DECLARED_OUTCOMES]
        if search.key:
            conditions.append("instr(key, ?) > 0")
            values.append(search.key)
        query = f"{REJECTS} WHERE {' AND '.join(conditions)} ORDER BY no LIMIT ?"
        return [(int(row["no"]), read_reject(row)) for row in self._rows(query, [*values, limit])]
