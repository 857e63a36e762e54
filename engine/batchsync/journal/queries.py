"""Read-only queries of the journal; all results are frozen values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, overload

from batchsync.core.row_outcome import PLAN_OUTCOMES
from batchsync.core.state_age import Acceptance, may_be_followed
from batchsync.errors import UsageError
from batchsync.journal import codec
from batchsync.journal.model import Approval, LeaseRow
from batchsync.journal.rejects import RejectQueries
from batchsync.ports import BaselineEntry, SegmentEntry

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from batchsync.core.batch import Batch
    from batchsync.core.run import Run

#: Acceptances after which a batch was neither sent from this state nor delivered already.
_FOUND_AFTER_ACCEPTANCE = (
    "SELECT lost, last_event, batches.job, batches.no <= last_batch AS prepared_before FROM acceptances, batches "
    "WHERE batches.id = ? AND NOT EXISTS (SELECT 1 FROM events WHERE batch = batches.id AND ("
    "(kind = 'Delivered' AND events.no <= last_event) OR (kind = 'IntentRecorded' AND events.no > last_event "
    "AND json_extract(payload, '$.verb') = 'upload')))"
)


class Queries(RejectQueries):
    """Read-only queries; the base of `Journal`."""

    def batch(self, batch: str) -> Batch | None:
        """Return a batch, or None if the id is unknown. Its allocation has no URL."""
        found = self._rows("SELECT * FROM batches WHERE id = ?", [batch])
        return codec.read_batch(found[0]) if found else None

    def batches(self, run: str) -> tuple[Batch, ...]:
        """Return all batches of a run, in order."""
        return self._batches("WHERE run = ? ORDER BY seq", [run])

    def open_batches(self, job: str | None = None) -> tuple[Batch, ...]:
        """Return the batches that are not delivered, including those that need attention, oldest first."""
        if job is None:
            return self._batches("WHERE phase <> 'delivered' ORDER BY no", [])
        return self._batches("WHERE phase <> 'delivered' AND job = ? ORDER BY no", [job])

    def unresolved(self, job: str) -> tuple[Batch, ...]:
        """Return the delivered batches of a job with rows of unknown outcome, oldest first.

        Those of its former names are included once it has taken over their baseline.
        """
        formers = [str(row["former"]) for row in self._rows("SELECT DISTINCT former FROM renames")]
        found = [batch for name in dict.fromkeys([*formers, job]) for batch in self.with_unknown_rows(name)]
        return tuple(batch for batch in found if not formers or self.baseline_owner(batch.id) == job)

    def with_unknown_rows(self, job: str) -> tuple[Batch, ...]:
        """Return the delivered batches of a job, under this name only, with rows of unknown outcome, oldest first."""
        return self._batches(
            "WHERE phase = 'delivered' AND json_extract(counts, '$.unknown') > 0 AND job = ? ORDER BY no", [job]
        )

    def baseline_owner(self, batch: str) -> str:
        """Return the job that has the baseline of a batch's rows now: its own, or one that took it over since.

        Raises:
            UsageError: If the id is unknown.
        """
        found = self._rows("SELECT no, job FROM batches WHERE id = ?", [batch])
        if not found:
            raise UsageError(
                f"there is no batch {batch!r} in the journal",
                hint="`batchsync status` lists batches.",
                name="usage.unknown_batch",
            )
        owner, number = str(found[0]["job"]), int(found[0]["no"])
        for row in self._rows("SELECT former, job FROM renames WHERE last_batch >= ? ORDER BY no", [number]):
            owner = str(row["job"]) if row["former"] == owner else owner
        return owner

    def holders(self, account_id: str) -> tuple[str, ...]:
        """Return the jobs with a baseline or open batches at an account and target, sorted."""
        found = self._rows(
            "SELECT job FROM segments WHERE account_id = ? "
            "UNION SELECT job FROM batches WHERE account_id = ? AND phase <> 'delivered' ORDER BY job",
            [account_id, account_id],
        )
        return tuple(str(row["job"]) for row in found)

    def is_known_at(self, job: str, account_id: str) -> bool:
        """Return whether a job has ever run at an account and target, or has a baseline there."""
        ran = self._rows("SELECT 1 FROM runs WHERE job = ? AND account_id = ? LIMIT 1", [job, account_id])
        return bool(ran) or self.baseline(job, account_id) is not None

    def baselines(self, job: str) -> tuple[BaselineEntry, ...]:
        """Return the baselines of a job at all accounts."""
        found = self._rows("SELECT DISTINCT account_id FROM segments WHERE job = ? ORDER BY account_id", [job])
        entries = (self.baseline(job, row["account_id"]) for row in found)
        return tuple(entry for entry in entries if entry is not None)

    def has_open_batches(self, run: str) -> bool:
        """Return whether a batch of the run is not delivered. Called at every delivery, so it reads one row only."""
        return bool(self._rows("SELECT 1 FROM batches WHERE run = ? AND phase <> 'delivered' LIMIT 1", [run]))

    def last_planned(self, job: str, account_id: str) -> Run | None:
        """Return the newest run of a job at an account that is not awaiting approval, i.e. that sent its removals."""
        where = "WHERE job = ? AND account_id = ? AND state <> 'awaiting_approval' ORDER BY serial DESC LIMIT 1"
        return next(iter(self._runs(where, [job, account_id])), None)

    def run(self, run: str) -> Run:
        """Return a run by its id.

        Raises:
            UsageError: If the id is unknown.
        """
        found = self._runs("WHERE id = ?", [run])
        if not found:
            raise UsageError(
                f"there is no run {run!r} in the journal",
                hint="`batchsync history` lists the runs.",
                name="usage.unknown_run",
            )
        return found[0]

    def last_run(self, job: str) -> Run | None:
        """Return the newest run of a job in any state, or None."""
        return next(iter(self._runs("WHERE job = ? ORDER BY serial DESC LIMIT 1", [job])), None)

    def open_runs(self, job: str) -> tuple[Run, ...]:
        """Return the open runs of a job, oldest first: preparing, prepared, or awaiting approval.

        A run awaiting approval is no longer open once the job has a later run.
        """
        newest = "(SELECT max(serial) FROM runs WHERE job = ?)"
        active = "state IN ('preparing', 'prepared')"
        return self._runs(
            f"WHERE job = ? AND ({active} OR (state = 'awaiting_approval' AND serial = {newest})) ORDER BY serial",
            [job, job],
        )

    def preparing_runs(self, job: str) -> tuple[Run, ...]:
        """Return the runs of a job whose batches are not all finalized, oldest first."""
        return self._runs("WHERE job = ? AND state = 'preparing' ORDER BY serial", [job])

    def history(self, job: str | None = None, limit: int = 20) -> tuple[Run, ...]:
        """Return the newest runs, newest first."""
        if job is None:
            return self._runs("ORDER BY no DESC LIMIT ?", [limit])
        return self._runs("WHERE job = ? ORDER BY serial DESC LIMIT ?", [job, limit])

    def next_serial(self, job: str) -> int:
        """Return the serial of the job's next run."""
        return 1 + int(self._rows("SELECT coalesce(max(serial), 0) AS n FROM runs WHERE job = ?", [job])[0]["n"])

    def jobs(self) -> tuple[str, ...]:
        """Return the names of all jobs that ever ran, sorted, including those no longer in jobs.yaml."""
        return tuple(str(row["job"]) for row in self._rows("SELECT DISTINCT job FROM runs ORDER BY job"))

    def attempts_used(self, job: str, digest: str) -> int:
        """Return the highest attempt ever used for a batch file with this digest, or 0, even if its batch is gone."""
        query = "SELECT coalesce(max(attempt), 0) AS n FROM attempts WHERE job = ? AND digest = ?"
        return int(self._rows(query, [job, digest])[0]["n"])

    def baseline(self, job: str, account_id: str) -> BaselineEntry | None:
        """Return the baseline of a job at an account, or None if there is none."""
        found = self._rows(
            "SELECT file, digest, rows FROM segments WHERE job = ? AND account_id = ? ORDER BY place", [job, account_id]
        )
        segments = tuple(SegmentEntry(**item) for item in found)
        return BaselineEntry(job=job, account_id=account_id, segments=segments) if segments else None

    def watermark(self, job: str, account_id: str, spec_hash: str) -> str | None:
        """Return the highest `since` value up to which the target holds every row as mapped by this spec.

        Args:
            job: Name of the job.
            account_id: Account of the target.
            spec_hash: Hash of the job's spec.

        Returns:
            The watermark as text, or None if there is none.
        """
        found = self.watermark_run(job, account_id, spec_hash)
        return found.watermark if found else None

    def watermark_run(self, job: str, account_id: str, spec_hash: str) -> Run | None:
        """Return the run that `watermark` is of.

        It is the newest settled run under the same spec in which every row was accepted or unchanged:
        an invalid, rejected, unknown or deferred row may lie below the watermark of its run. A later run under another
        spec that may have sent anything invalidates it.

        Args:
            job: Name of the job.
            account_id: Account of the target.
            spec_hash: Hash of the job's spec.

        Returns:
            The run, which has a watermark; None if there is none.
        """
        where = "WHERE job = ? AND account_id = ? AND spec_hash = ? AND state = 'settled' AND watermark IS NOT NULL "
        for outcome in PLAN_OUTCOMES:
            if not outcome.traits.in_target:
                where += f"AND coalesce(json_extract(counts, '$.{outcome.name_in_plan}'), 0) = 0 "
        where += "AND NOT EXISTS (SELECT 1 FROM rejects WHERE rejects.run = runs.id) "
        where += "AND NOT EXISTS (SELECT 1 FROM reject_objects WHERE reject_objects.run = runs.id) "
        # Rejects may have been pruned.
        where += "AND NOT EXISTS (SELECT 1 FROM batches WHERE batches.run = runs.id "
        where += "AND json_extract(batches.counts, '$.accepted') <> batches.rows) "
        where += (
            "AND NOT EXISTS (SELECT 1 FROM runs AS later WHERE later.job = runs.job "
            "AND later.account_id = runs.account_id "
            "AND later.serial > runs.serial AND later.spec_hash <> runs.spec_hash "
            "AND later.state <> 'awaiting_approval')"
        )
        newest = self._runs(f"{where} ORDER BY serial DESC LIMIT 1", [job, account_id, spec_hash])
        return newest[0] if newest else None

    def baseline_files(self, job: str) -> tuple[str, ...]:
        """Return the names of the segment files of all baselines of a job, at any account."""
        found = self._rows("SELECT DISTINCT file FROM segments WHERE job = ? ORDER BY file", [job])
        return tuple(str(row["file"]) for row in found)

    @overload
    def last_tick(self, job: str) -> datetime | None: ...

    @overload
    def last_tick(self, job: str, at: datetime) -> bool: ...

    def last_tick(self, job: str, at: datetime | None = None) -> datetime | bool | None:
        """Return the latest claimed tick of the job's schedule; with `at`, whether that tick was claimed."""
        if at is not None:
            return bool(self._rows("SELECT 1 FROM ticks WHERE job = ? AND tick_at = ?", [job, codec.to_iso(at)]))
        latest = self._rows("SELECT max(tick_at) AS at FROM ticks WHERE job = ?", [job])[0]["at"]
        return codec.from_iso(latest) if latest is not None else None

    def approval(self, job: str, plan: str) -> Approval | None:
        """Return the approval of a plan, or None."""
        found = self._rows("SELECT at, reason FROM approvals WHERE job = ? AND plan = ?", [job, plan])
        return Approval(at=codec.from_iso(found[0]["at"]), reason=str(found[0]["reason"])) if found else None

    def lease_row(self, job: str) -> LeaseRow | None:
        """Return the recorded lease of a job, or None. Whether its holder is alive, only the kernel lock shows."""
        found = self._rows("SELECT * FROM leases WHERE job = ?", [job])
        return LeaseRow(**found[0] | {"since": codec.from_iso(found[0]["since"])}) if found else None

    def holds_acceptance(self, acceptance: str) -> bool:
        """Return whether an acceptance of an older state was recorded here."""
        return bool(self._rows("SELECT 1 FROM acceptances WHERE id = ?", [acceptance]))

    def may_be_followed(self, batch: str, names: Collection[str] = ()) -> bool:
        """Return whether a batch was found at the vendor after a restored state was accepted, and may not be the last.

        Runs that the state lacks may have sent later versions of its rows. A batch that was sent from this state, or
        delivered before the acceptance, is not affected.

        Args:
            batch: Id of the batch.
            names: Other names of its job. Lost runs may have been made under any of them.
        """
        found: list[bool] = []
        for row in self._rows(_FOUND_AFTER_ACCEPTANCE, [batch]):
            lost_runs, names_of_job = json.loads(row["lost"]), sorted({row["job"], *names})
            lost = sum(lost_runs.get(name, 0) for name in names_of_job)
            followed = bool(row["prepared_before"]) or self._sent_since(int(row["last_event"]), batch, names_of_job)
            found.append(may_be_followed(lost, may_precede=followed))
        return any(found)

    def is_of_older_state(self, batch: str) -> bool:
        """Return whether a batch was prepared before an older copy of the state was accepted.

        A copy that was used later may have sent the batch.

        Args:
            batch: Id of the batch.
        """
        query = "SELECT 1 FROM batches, acceptances WHERE batches.id = ? AND batches.no <= last_batch LIMIT 1"
        return bool(self._rows(query, [batch]))

    def _sent_since(self, event: int, but: str, names: Sequence[str]) -> bool:
        """Return whether another batch of a job was sent, or is being sent, since an event."""
        marks = ", ".join("?" * len(names))
        sent = self._rows(
            f"SELECT 1 FROM events JOIN batches ON batches.id = events.batch WHERE events.no > ? AND batch <> ? "  # noqa: S608 - placeholders
            f"AND kind = 'IntentRecorded' AND json_extract(payload, '$.verb') = 'upload' AND job IN ({marks}) LIMIT 1",
            [event, but, *names],
        )
        return bool(sent)

    def acceptances(self) -> tuple[Acceptance, ...]:
        """Return the acceptances of an older state, oldest first."""
        found = self._rows("SELECT at, reason, serial, newest, other FROM acceptances ORDER BY no")
        return tuple(Acceptance(**row | {"at": codec.from_iso(row["at"])}) for row in found)

    def _batches(self, rest: str, values: list[object]) -> tuple[Batch, ...]:
        return tuple(codec.read_batch(row) for row in self._rows(f"SELECT * FROM batches {rest}", values))  # noqa: S608 - constant text

    def _runs(self, rest: str, values: list[object]) -> tuple[Run, ...]:
        return tuple(codec.read_run(row) for row in self._rows(f"SELECT * FROM runs {rest}", values))  # noqa: S608 - constant text
