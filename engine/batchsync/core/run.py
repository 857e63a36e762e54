"""Runs of a job as journaled: plan, progress and settlement."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from batchsync.core.accounting import PlanCounts, Settlement, UnbalancedError, compute_settlement
from batchsync.core.batch import Batch, Phase, RunId

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from batchsync.core.job import Job


class RunState(StrEnum):
    """Progress of a run."""

    #: some of its batches are finalized and journaled, and may be in flight; others are still being prepared
    PREPARING = "preparing"
    #: all of its batches are finalized and journaled; at least one is open
    PREPARED = "prepared"
    #: a guard blocks its plan; it has no batches and nothing was sent
    AWAITING_APPROVAL = "awaiting_approval"
    #: no batch is open and the counts balance
    SETTLED = "settled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """An execution of a job. Times are timezone-aware, in UTC.

    Attributes:
        id: Job name and serial number.
        job: Name of the job.
        serial: Number of the run within the job, from 1.
        spec_hash: Hash of the job's spec.
        account_id: Id of the account and target.
        state: Progress.
        created_at: When the plan was made.
        counts: Counts of the plan.
        plan: Fingerprint of the comparison; an approval refers to it.
        reason: The guards that the plan exceeds, a permission to exceed them, the plan file that it applies, or why
            preparation was aborted; else empty.
        watermark: Greatest value of the `since` column in the source, if the job sends by it.
        warnings: Number of rows per warning.
        settled_at: When the run was settled.
        removal_hash: Hash of the job's removal settings; empty in runs of older releases.
        source_files: Number of files of the source; None in runs of older releases.
    """

    id: RunId
    job: str
    serial: int
    spec_hash: str
    account_id: str
    state: RunState
    created_at: datetime
    counts: PlanCounts
    plan: str
    reason: str = ""
    watermark: str | None = None
    warnings: Mapping[str, int] = field(default_factory=dict)
    settled_at: datetime | None = None
    removal_hash: str = ""
    source_files: int | None = None


def edited_since(job: Job, last: Run | None) -> str:
    """Return the id of the last run if the job's removal settings were edited since, else an empty string.

    For a run of an older release the hash of the whole spec is compared, which does not include paths.
    """
    if last is None:
        return ""
    unedited = last.removal_hash == job.removal_hash if last.removal_hash else last.spec_hash == job.spec_hash
    return "" if unedited else last.id


def removal_causes(job: Job, source_files: int, last: Run | None) -> dict[str, str]:
    """Return what may cause removals besides the rows of a source, by the name of the guard that holds them.

    Files are counted, not named: a folder of exports that are named by date has other files each day.

    Args:
        job: The job.
        source_files: Number of files of its source.
        last: Its last run; None if there was none.

    Returns:
        Sentences without a period.
    """
    if since := edited_since(job, last):
        return {"removals_after_edit": f"source, key or on_removed of the job was edited since run {since}"}
    if last is not None and last.source_files and source_files < last.source_files:
        sentence = f"the source has {source_files} of the {last.source_files} files that it had in run {last.id}"
        return {"removals_after_lost_file": sentence}
    return {}


def settlement_of(run: Run, batches: Iterable[Batch]) -> Settlement:
    """Return the equation of a run with its batches.

    Raises:
        UnbalancedError: If a row would be lost or counted twice.
    """
    return compute_settlement(run.job, run.id, run.counts, batches, preparing=run.state is RunState.PREPARING)


def with_finalized(run: Run, records: int) -> Run:
    """Return the run after `records` records in total were finalized; it is PREPARED when these are all.

    Raises:
        UnbalancedError: If there are more than the plan counts.
    """
    rest = run.counts.to_send - records
    if rest < 0:
        message = f"run {run.id} plans to send {run.counts.to_send} records, but its batches hold {records}"
        raise UnbalancedError(message)
    return replace(run, state=RunState.PREPARING if rest else RunState.PREPARED)


def abort_preparation(run: Run, batches: Sequence[Batch], at: datetime) -> Run:
    """Return a run whose preparation was aborted: finalized batches remain, the other records wait for the next run."""
    staged = sum(batch.file.rows for batch in batches)
    planned = run.counts.to_send
    settled = all(batch.phase is Phase.DELIVERED for batch in batches)
    aborted = f"preparation was aborted after {staged:,} of {planned:,} records; the next run sends the rest"
    return replace(
        run,
        state=RunState.SETTLED if settled else RunState.PREPARED,
        settled_at=at if settled else None,
        counts=run.counts.with_staged(staged),
        reason=f"{run.reason}; {aborted}" if run.reason else aborted,
    )
