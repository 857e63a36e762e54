"""Writes of rejects: the first of a run as rows, further ones as objects that are durable before a row names them."""

from __future__ import annotations

from itertools import chain, count, islice
from typing import TYPE_CHECKING

from batchsync.journal import codec
from batchsync.journal.new_runs import reject_row
from batchsync.journal.reject_filter import Erased, RejectFilter
from batchsync.journal.reject_search import RejectSearches

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from datetime import datetime

    from batchsync.core.batch import BatchId
    from batchsync.core.run import Run
    from batchsync.journal.codec import Row
    from batchsync.journal.reject_objects import StoredRejects
    from batchsync.ports import Reject

#: Rejects of a run that are rows of the journal.
REJECT_ROWS = 100_000
#: Rows of a statement that inserts rejects; SQLite limits its parameters.
_REJECTS_AT_ONCE = 1_000
_NEXT_NUMBER = (
    "SELECT 1 + max(coalesce((SELECT max(no) FROM rejects), 0), coalesce((SELECT max(last) FROM reject_objects), 0)) "
    "AS no"
)
_FIND_EXPIRED = (
    "SELECT 1 FROM reject_objects WHERE job = ? AND at < ? AND (batch IS NULL OR batch NOT IN needed_batches) LIMIT 1"
)
_COUNT_EXPIRED = (
    "SELECT coalesce(sum(count), 0) AS n FROM reject_object_groups JOIN reject_objects ON reject_objects.no = object "
    "WHERE job = ? AND at < ? AND (batch IS NULL OR batch NOT IN needed_batches)"
)
_DELETE_EXPIRED = (
    "DELETE FROM reject_objects WHERE job = ? AND at < ? AND (batch IS NULL OR batch NOT IN needed_batches)"
)


class RejectWrites(RejectSearches):
    """Insertion and erasure of rejects within a transaction; a base of `Journal`."""

    #: Rejects of a run that become rows; without a store of objects all do.
    reject_rows: int = REJECT_ROWS

    def _add_rejects(self, run: Run, batch: BatchId | None, chunks: Iterable[Sequence[Reject]], at: datetime) -> None:
        """Insert rejects, so that memory stays bounded. The caller is in a transaction.

        Args:
            run: Their run.
            batch: Their batch; None for rows that are in none.
            chunks: The rejects.
            at: When they are recorded.
        """
        rows = self._numbered(run, batch, chunks, at)
        room = None
        if self.object_store is not None:
            kept = self._rows("SELECT count(*) AS n FROM rejects WHERE run = ?", [run.id])[0]["n"]
            room = max(0, self.reject_rows - kept)
        self._writer.table("rejects").insert_all(islice(rows, room), batch_size=_REJECTS_AT_ONCE)
        if (first := next(rows, None)) is not None:
            stored = self._objects.write(run.job, chain([first], rows))
            self._reached("add_rejects:object")
            shared = {name: first[name] for name in ("run", "batch", "job", "at")}
            self._insert_object(shared, stored)
            self._reached("add_rejects:row")

    def _numbered(
        self, run: Run, batch: BatchId | None, chunks: Iterable[Sequence[Reject]], at: datetime
    ) -> Iterator[Row]:
        """Yield the rows of rejects with numbers after all present ones."""
        numbers = count(self._rows(_NEXT_NUMBER)[0]["no"])
        for chunk in chunks:
            for item in chunk:
                yield {"no": next(numbers)} | reject_row(run, batch, item, at)

    def _insert_object(self, shared: Row, stored: StoredRejects) -> None:
        """Insert the row of an object with its groups."""
        row = shared | {"file": stored.file, "first": stored.first, "last": stored.last}
        number = self._writer.table("reject_objects").insert(row).last_rowid
        self._writer.table("reject_object_groups").insert_all(
            {"object": number, "kind": kind, "code": code, "field": field, "count": counted, "reason": reason}
            for (kind, code, field), (counted, reason) in stored.groups.items()
        )

    def _erase_from_objects(self, objects: Iterable[Row], erased: Erased) -> int:
        """Let rows of objects refer to copies without erased content; return the number of rejects changed.

        The objects themselves are deleted by the next sweep of their job.
        """
        changed = 0
        for item in objects:
            stored, rows = self._objects.rewrite(item["job"], item["file"], erased)
            if not rows:
                continue
            changed += rows
            self._reached("erase:object")
            self._writer.execute("DELETE FROM reject_objects WHERE no = ?", [item["no"]])
            if stored is not None:
                self._insert_object({name: item[name] for name in ("run", "batch", "job", "at")}, stored)
        return changed

    def _delete_known(self, batch: BatchId, keys: Collection[str]) -> None:
        """Delete the rejects of unknown outcome that some keys of a batch have."""
        known = [codec.lossless_text(key) for key in keys]
        self._writer.conn.executemany(
            "DELETE FROM rejects WHERE batch = ? AND kind = 'unknown' AND key = ?", [[batch, key] for key in known]
        )
        objects = self._objects_of(RejectFilter(batch=batch, kind="unknown"))
        if known and objects:
            self._erase_from_objects(objects, Erased(keys=known, kind="unknown"))

    def _has_expired_objects(self, job: str, before: str) -> bool:
        """Return whether a job has objects of rejects that were recorded before a time and are not needed."""
        return bool(self._rows(_FIND_EXPIRED, [job, before]))

    def _delete_expired_objects(self, job: str, before: str) -> int:
        """Delete the rows of such objects; return the number of their rejects. The next sweep deletes the objects."""
        deleted = int(self._rows(_COUNT_EXPIRED, [job, before])[0]["n"])
        self._writer.execute(_DELETE_EXPIRED, [job, before])
        return deleted
