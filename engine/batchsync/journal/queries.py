"""What can be asked of the journal. Every answer is frozen values; nothing here writes.

It does not know what should be done about the answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from lading.core.batch import BatchId, RunId
from lading.errors import UsageError
from lading.journal import codec
from lading.journal.model import Approval, LeaseRow, RejectGroup, RejectRow
from lading.journal.store import Store
from lading.ports import BaselineEntry, Reject, SegmentEntry

if TYPE_CHECKING:
    from datetime import datetime

    from lading.core.batch import Batch
    from lading.core.events import Event
    from lading.core.run import Run
    from lading.journal.codec import Row

#: The event that opens the story of each batch: the batch as it was prepared. It is no event of the lifecycle.
PREPARED = "Prepared"
#: Rejects, and what a person said of those of unknown outcome.
_REJECTS = (
    "SELECT *, CASE WHEN rejects.kind = 'unknown' THEN (SELECT json_extract(events.payload, '$.delivered') FROM events "
    "WHERE events.batch = rejects.batch AND events.kind = 'Resolved') END AS delivered FROM rejects"
)


class Queries(Store):
    """The questions."""

    def batch(self, batch: str) -> Batch | None:
        """Return a batch, or None when there is none of that id. Its slot has no URL."""
        found = self._rows("SELECT * FROM batches WHERE id = ?", [batch])
        return codec.read_batch(found[0]) if found else None

    def batches(self, run: str) -> tuple[Batch, ...]:
        """Return all batches of a run, in order."""
        return self._batches("WHERE run = ? ORDER BY seq", [run])

    def open_batches(self, job: str | None = None) -> tuple[Batch, ...]:
        """Return the batches that are not delivered, stuck ones too, oldest first."""
        if job is None:
            return self._batches("WHERE phase <> 'delivered' ORDER BY no", [])
        return self._batches("WHERE phase <> 'delivered' AND job = ? ORDER BY no", [job])

    def unresolved(self, job: str) -> tuple[Batch, ...]:
        """Return the delivered batches of a job with rows of unknown outcome, oldest first."""
        return self._batches("WHERE phase = 'delivered' AND unknown > 0 AND job = ? ORDER BY no", [job])

    def has_open_batches(self, run: str) -> bool:
        """Whether a batch of the run is not delivered: asked at every delivery, so no row of a thousand is read."""
        return bool(self._rows("SELECT 1 FROM batches WHERE run = ? AND phase <> 'delivered' LIMIT 1", [run]))

    def last_planned(self, job: str, identity: str) -> Run | None:
        """Return the newest run of a job to an account that no guard held: the last one whose removals were sent."""
        where = "WHERE job = ? AND identity = ? AND state <> 'held' ORDER BY serial DESC LIMIT 1"
        return next(iter(self._runs(where, [job, identity])), None)

    def run(self, run: str) -> Run:
        """Return a run by its id.

        Raises:
            UsageError: when there is none.
        """
        found = self._runs("WHERE id = ?", [run])
        if not found:
            raise UsageError(f"there is no run {run!r} in the journal", hint="`lading history` lists the runs.")
        return found[0]

    def last_run(self, job: str) -> Run | None:
        """Return the newest run of a job, whatever its state."""
        return next(iter(self._runs("WHERE job = ? ORDER BY serial DESC LIMIT 1", [job])), None)

    def open_runs(self, job: str) -> tuple[Run, ...]:
        """Return the runs of a job that are not at their end, oldest first.

        They are preparing, prepared, or held by a guard; a held run ends when a later run takes its place.
        """
        newest = "(SELECT max(serial) FROM runs WHERE job = ?)"
        going_on = "state IN ('preparing', 'prepared')"
        return self._runs(
            f"WHERE job = ? AND ({going_on} OR (state = 'held' AND serial = {newest})) ORDER BY serial",
            [job, job],
        )

    def preparing_runs(self, job: str) -> tuple[Run, ...]:
        """Return the runs of a job whose batches are not all sealed, oldest first."""
        return self._runs("WHERE job = ? AND state = 'preparing' ORDER BY serial", [job])

    def history(self, job: str | None = None, limit: int = 20) -> tuple[Run, ...]:
        """Return the newest runs, newest first."""
        if job is None:
            return self._runs("ORDER BY no DESC LIMIT ?", [limit])
        return self._runs("WHERE job = ? ORDER BY serial DESC LIMIT ?", [job, limit])

    def next_serial(self, job: str) -> int:
        """Return the serial of the job's next run."""
        return 1 + int(self._rows("SELECT coalesce(max(serial), 0) AS n FROM runs WHERE job = ?", [job])[0]["n"])

    def events(self, batch: str) -> tuple[Event, ...]:
        """Return what happened to a batch, in order, heartbeats left out."""
        found = self._rows(
            "SELECT *, coalesce((SELECT chain FROM events AS earlier WHERE earlier.no < events.no "
            "ORDER BY earlier.no DESC LIMIT 1), '') AS before FROM events WHERE batch = ? AND kind <> ? ORDER BY no",
            [batch, PREPARED],
        )
        return tuple(codec.read_linked_event(row["before"], row) for row in found)

    def rejects(  # the four filters and the page are what `lading rejects` offers
        self,
        job: str | None = None,
        run: str | None = None,
        kind: str | None = None,
        *,
        limit: int = 100,
        offset: int = 0,
    ) -> tuple[RejectRow, ...]:
        """Return a page of rejects in the order in which they were written; a negative limit returns all."""
        where, values = _where(job=job, run=run, kind=kind)
        found = self._rows(f"{_REJECTS} {where} ORDER BY no LIMIT ? OFFSET ?", [*values, limit, offset])
        return tuple(_reject(row) for row in found)

    def rejects_count(self, job: str | None = None, run: str | None = None, kind: str | None = None) -> int:
        """Return how many rejects there are."""
        where, values = _where(job=job, run=run, kind=kind)
        return int(self._rows(f"SELECT count(*) AS n FROM rejects {where}", values)[0]["n"])  # noqa: S608 - the same

    def reject_groups(
        self, job: str | None = None, run: str | None = None, kind: str | None = None
    ) -> tuple[RejectGroup, ...]:
        """Return the rejects counted by kind, code and field, the greatest count first."""
        where, values = _where(job=job, run=run, kind=kind)
        found = self._rows(
            f"SELECT kind, code, field, count(*) AS count FROM rejects {where} "  # noqa: S608 - the same
            "GROUP BY kind, code, field ORDER BY count DESC, kind, code, field",
            values,
        )
        return tuple(RejectGroup(**row) for row in found)

    def unknown_keys(self, batch: str) -> tuple[str, ...]:
        """Return the keys of the rows of a batch whose outcome is unknown."""
        found = self._rows("SELECT key FROM rejects WHERE batch = ? AND kind = 'unknown' ORDER BY no", [batch])
        return tuple(str(row["key"]) for row in found)

    def why(self, job: str, key: str) -> tuple[RejectRow, ...]:
        """Return every reject of one key, oldest first. Rows that were accepted stand in the evidence files."""
        found = self._rows(f"{_REJECTS} WHERE job = ? AND key = ? ORDER BY no", [job, codec.plain(key)])
        return tuple(_reject(row) for row in found)

    def jobs(self) -> tuple[str, ...]:
        """Return the jobs that ever ran, in the order of their names, whether they are still declared or not."""
        return tuple(str(row["job"]) for row in self._rows("SELECT DISTINCT job FROM runs ORDER BY job"))

    def attempts_used(self, job: str, digest: str) -> int:
        """Return the greatest attempt ever used for this content of this job, or 0: the next one is one more."""
        found = self._rows(
            "SELECT coalesce(max(attempt), 0) AS n FROM batches WHERE job = ? AND digest = ?", [job, digest]
        )
        return int(found[0]["n"])

    def baseline(self, job: str, identity: str) -> BaselineEntry | None:
        """Return which segments are the baseline of a job at a target, or None when nothing is known of it."""
        found = self._rows(
            "SELECT file, digest, rows FROM segments WHERE job = ? AND identity = ? ORDER BY place", [job, identity]
        )
        segments = tuple(SegmentEntry(**one) for one in found)
        return BaselineEntry(job=job, identity=identity, segments=segments) if segments else None

    def high_water(self, job: str, identity: str, spec_hash: str) -> str | None:
        """Return the greatest `since` value up to which the target surely holds every row as this spec makes it.

        That is what the newest settled run under the same spec saw of which every row was accepted or unchanged. A row
        that was invalid, refused, unknown, or waited stands below the mark of its run, so an earlier one holds. A run
        under another spec that may have sent anything ends all earlier marks: the target holds what that one made.
        """
        where = "WHERE job = ? AND identity = ? AND spec_hash = ? AND state = 'settled' AND high_water IS NOT NULL "
        for place in ("held", "invalid", "standing_rejected", "standing_unknown"):
            where += f"AND json_extract(tally, '$.{place}') = 0 "
        where += "AND NOT EXISTS (SELECT 1 FROM rejects WHERE rejects.run = runs.id) "
        where += (
            "AND NOT EXISTS (SELECT 1 FROM runs AS later WHERE later.job = runs.job AND later.identity = runs.identity "
            "AND later.serial > runs.serial AND later.spec_hash <> runs.spec_hash AND later.state <> 'held')"
        )
        newest = self._runs(f"{where} ORDER BY serial DESC LIMIT 1", [job, identity, spec_hash])
        return newest[0].high_water if newest else None

    def baseline_files(self, job: str) -> tuple[str, ...]:
        """Return the names of the segments of all baselines of a job, whatever the account."""
        found = self._rows("SELECT DISTINCT file FROM segments WHERE job = ? ORDER BY file", [job])
        return tuple(str(row["file"]) for row in found)

    @overload
    def slot_done(self, job: str) -> datetime | None: ...

    @overload
    def slot_done(self, job: str, at: datetime) -> bool: ...

    def slot_done(self, job: str, at: datetime | None = None) -> datetime | bool | None:
        """Return the latest slot of the job's schedule that was claimed; with `at`, whether that very slot was."""
        if at is not None:
            return bool(self._rows("SELECT 1 FROM slots WHERE job = ? AND slot_at = ?", [job, codec.iso(at)]))
        latest = self._rows("SELECT max(slot_at) AS at FROM slots WHERE job = ?", [job])[0]["at"]
        return codec.moment(latest) if latest is not None else None

    def approved(self, job: str, plan: str) -> bool:
        """Whether a person approved this very plan."""
        return self.approval(job, plan) is not None

    def approval(self, job: str, plan: str) -> Approval | None:
        """Return when and why a person approved this very plan; None when nobody did."""
        found = self._rows("SELECT at, reason FROM approvals WHERE job = ? AND plan = ?", [job, plan])
        return Approval(at=codec.moment(found[0]["at"]), reason=str(found[0]["reason"])) if found else None

    def lease_row(self, job: str) -> LeaseRow | None:
        """Return who runs a job, as far as the journal knows; the kernel's lock is the truth."""
        found = self._rows("SELECT * FROM leases WHERE job = ?", [job])
        return LeaseRow(**found[0] | {"since": codec.moment(found[0]["since"])}) if found else None

    def live_files(self) -> set[str]:
        """Return the files that rows still need: of open batches, and the names of segments. Others may be swept."""
        found = self._rows(
            "SELECT path AS name FROM batches WHERE phase <> 'delivered' UNION ALL "
            "SELECT evidence FROM batches WHERE phase <> 'delivered' UNION ALL SELECT file FROM segments"
        )
        return {str(row["name"]) for row in found}

    def head(self) -> str:
        """Return the newest link of the events' chain, which stands for all events before it."""
        found = self._rows("SELECT chain FROM events ORDER BY no DESC LIMIT 1")
        return str(found[0]["chain"]) if found else ""

    def _batches(self, rest: str, values: list[object]) -> tuple[Batch, ...]:
        return tuple(codec.read_batch(row) for row in self._rows(f"SELECT * FROM batches {rest}", values))  # noqa: S608 - text of ours

    def _runs(self, rest: str, values: list[object]) -> tuple[Run, ...]:
        return tuple(codec.read_run(row) for row in self._rows(f"SELECT * FROM runs {rest}", values))  # noqa: S608 - text of ours


def _where(**filters: str | None) -> tuple[str, list[object]]:
    """Return the WHERE clause of the filters that are set, and their values."""
    used = {name: value for name, value in filters.items() if value is not None}
    clause = "WHERE " + " AND ".join(f"{name} = ?" for name in used) if used else ""
    return clause, list(used.values())


def _reject(row: Row) -> RejectRow:
    return RejectRow(
        run=RunId(row["run"]),
        batch=BatchId(row["batch"]) if row["batch"] is not None else None,
        job=row["job"],
        at=codec.moment(row["at"]),
        reject=Reject(
            kind=row["kind"],
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
