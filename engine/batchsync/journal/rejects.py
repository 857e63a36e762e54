"""Queries of rejects: rows of the journal, and beyond the first of a run Parquet objects, as one sequence."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from batchsync.core.batch import BatchId, RunId
from batchsync.errors import StateError
from batchsync.journal import codec
from batchsync.journal.batch_times import BatchTimes
from batchsync.journal.model import RejectGroup, RejectRow
from batchsync.journal.reject_filter import RejectFilter, of_run
from batchsync.ports import Reject

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from batchsync.journal.codec import Row
    from batchsync.journal.reject_objects import RejectObjects
    from batchsync.ports import ObjectStore

#: Rejects, with the manual resolution of those of unknown outcome.
_REJECTS = (
    "SELECT *, CASE WHEN rejects.kind = 'unknown' THEN (SELECT json_extract(events.payload, '$.delivered') FROM events "
    "WHERE events.batch = rejects.batch AND events.kind = 'Resolved') END AS delivered FROM rejects"
)
_RESOLVED = "SELECT json_extract(payload, '$.delivered') AS delivered FROM events WHERE batch = ? AND kind = 'Resolved'"
_COUNT = "SELECT count(*) AS n FROM rejects {where}"
_GROUPS = "SELECT kind, code, field, count(*) AS count FROM rejects {where} GROUP BY kind, code, field"
_OBJECTS = "SELECT * FROM reject_objects {where} ORDER BY first"
_GROUPS_OF_OBJECTS = (
    "SELECT kind, code, field, sum(count) AS count FROM reject_object_groups {groups} AND object IN "
    "(SELECT no FROM reject_objects {objects}) GROUP BY kind, code, field"
)


class RejectQueries(BatchTimes):
    """Read-only queries of rejects; a base of `Journal`."""

    #: Store of the objects of rejects; None in processes that read none.
    object_store: ObjectStore | None = None
    _reject_objects: RejectObjects | None = None

    def rejects(self, job: str | None = None, run: str | None = None, kind: str | None = None) -> Iterator[RejectRow]:
        """Return rejects in the order of their recording, read one by one.

        Args:
            job: Name of a job; None for all.
            run: Id of a run; None for all.
            kind: Kind of rejects, one of `LISTED_OUTCOMES`; None for all but `DECLARED_OUTCOMES`.

        Returns:
            An iterator over the rejects.
        """
        return map(read_reject, self._found(of_run(job, run, kind)))

    def rejects_count(self, job: str | None = None, run: str | None = None, kind: str | None = None) -> int:
        """Return the number of rejects.

        Args:
            job: Name of a job; None for all.
            run: Id of a run; None for all.
            kind: Kind of rejects; None for all but `DECLARED_OUTCOMES`.
        """
        wanted = of_run(job, run, kind)
        clause, values = wanted.rows_clause()
        rows = int(self._rows(_COUNT.format(where=clause), values)[0]["n"])
        return rows + sum(group.count for group in self._groups_of_objects(wanted))

    def reject_groups(
        self, job: str | None = None, run: str | None = None, kind: str | None = None
    ) -> tuple[RejectGroup, ...]:
        """Return the number of rejects by kind, code and field, largest first.

        Args:
            job: Name of a job; None for all.
            run: Id of a run; None for all.
            kind: Kind of rejects; None for all but `DECLARED_OUTCOMES`.
        """
        wanted = of_run(job, run, kind)
        clause, values = wanted.rows_clause()
        found = self._rows(_GROUPS.format(where=clause), values)
        counts: dict[tuple[str, str, str], int] = {}
        for group in (*map(_group, found), *self._groups_of_objects(wanted)):
            name = (group.kind, group.code, group.field)
            counts[name] = counts.get(name, 0) + group.count
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return tuple(
            RejectGroup(kind=codec.read_outcome(kind), code=code, field=field, count=count)
            for (kind, code, field), count in ordered
        )

    def unknown_keys(self, batch: str) -> tuple[str, ...]:
        """Return the keys of the rows of a batch whose outcome is unknown."""
        return tuple(str(row["key"]) for row in self._found(RejectFilter(batch=batch, kind="unknown")))

    def failed_keys(self, batch: str) -> frozenset[str]:
        """Return the keys of rows of a delivered batch that were not accepted, or resolved as delivered."""
        return frozenset(str(row["key"]) for row in self._found(RejectFilter(batch=batch)) if row["delivered"] != 1)

    def why(self, job: str, key: str) -> tuple[RejectRow, ...]:
        """Return every reject of a key, oldest first. Accepted rows are in the row manifests, not here."""
        return tuple(map(read_reject, self._found(RejectFilter(job=job, key=codec.lossless_text(key)))))

    def mentioned(self, jobs: Iterable[str], keys: Collection[str]) -> frozenset[str]:
        """Return those of some keys that a reject of some jobs has."""
        stored = {codec.lossless_text(key): key for key in keys}
        found = set[str]()
        for job in jobs:
            query = "SELECT 1 FROM rejects WHERE job = ? AND key = ? LIMIT 1"
            found |= {key for key in stored if key not in found and self._rows(query, [job, key])}
            for item in self._objects_of(RejectFilter(job=job)):
                found |= self._objects.keys_among(job, str(item["file"]), stored.keys() - found)
        return frozenset(stored[key] for key in found)

    def reject_files(self, job: str) -> tuple[str, ...]:
        """Return the names of the objects with rejects of a job."""
        found = self._rows("SELECT DISTINCT file FROM reject_objects WHERE job = ? ORDER BY file", [job])
        return tuple(str(row["file"]) for row in found)

    def _found(self, wanted: RejectFilter, limit: int = -1) -> Iterator[Row]:
        """Yield the rows of rejects that a filter selects, by number, with `delivered`.

        Args:
            wanted: The filter.
            limit: Maximum number of rows of the journal; -1 for all. Those of objects are not limited.
        """
        objects = self._objects_of(wanted)
        clause, values = wanted.rows_clause()
        for row in self._stream(f"{_REJECTS} {clause} ORDER BY no LIMIT ?", [*values, limit]):
            while objects and objects[0]["first"] < row["no"]:
                yield from self._rows_of(objects.pop(0), wanted)
            yield row
        for item in objects:
            yield from self._rows_of(item, wanted)

    def _objects_of(self, wanted: RejectFilter) -> list[Row]:
        """Return the objects that may have rejects that a filter selects."""
        clause, values = wanted.objects_clause()
        return self._rows(_OBJECTS.format(where=clause), values)

    def _rows_of(self, item: Row, wanted: RejectFilter) -> Iterator[Row]:
        """Yield the rows of an object that a filter selects."""
        resolved = self._rows(_RESOLVED, [item["batch"]])
        delivered = resolved[0]["delivered"] if resolved else None
        for row in self._objects.read(item["job"], item["file"], wanted):
            shared = {name: item[name] for name in ("run", "batch", "job", "at")}
            yield row | shared | {"delivered": delivered if row["kind"] == "unknown" else None}

    def _groups_of_objects(self, wanted: RejectFilter) -> list[RejectGroup]:
        """Return the groups of the objects of the job or run of a filter that has no key."""
        clause, values = wanted.objects_clause()
        grouped, more = wanted.groups_clause()
        query = _GROUPS_OF_OBJECTS.format(groups=grouped or "WHERE 1", objects=clause)
        return [_group(row) for row in self._rows(query, [*more, *values])]

    @property
    def _objects(self) -> RejectObjects:
        """The objects of rejects.

        Raises:
            StateError: If this journal was opened without the store that has them.
        """
        if self._reject_objects is None:
            if self.object_store is None:
                raise StateError(
                    f"{self.path} has rejects in files of its folder, which this command was not given",
                    hint="Run the command where the whole state folder is.",
                )
            module = import_module("batchsync.journal.reject_objects")
            self._reject_objects = module.RejectObjects(self.object_store)
        return self._reject_objects


def _group(row: Row) -> RejectGroup:
    return RejectGroup(kind=codec.read_outcome(row["kind"]), code=row["code"], field=row["field"], count=row["count"])


def read_reject(row: Row) -> RejectRow:
    """Return the reject of a row with its manual resolution."""
    return RejectRow(
        run=RunId(row["run"]),
        batch=BatchId(row["batch"]) if row["batch"] is not None else None,
        job=row["job"],
        at=codec.from_iso(row["at"]),
        reject=Reject(
            kind=codec.read_outcome(row["kind"]),
            key=row["key"],
            reason=row["reason"],
            code=row["code"],
            field=row["field"],
            line=row["line"],
            row=row["row"],
            retry=bool(row["retry"]),
        ),
        delivered=bool(row["delivered"]) if row["delivered"] is not None else None,
    )
