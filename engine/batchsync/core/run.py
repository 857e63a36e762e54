"""One execution of a job as the journal remembers it: what it planned, from where, and how far it has come.

It does not know its batches; they name their run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from lading.core.accounting import Settlement, Tally, UnbalancedError, settle
from lading.core.batch import Batch, Phase, RunId

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from lading.core.job import Job


class RunState(StrEnum):
    """How far a run has come."""

    #: some of its batches are sealed and journaled, and may be under way; the others are still being sealed
    PREPARING = "preparing"
    #: its batches are sealed and journaled; at least one is not at its end
    PREPARED = "prepared"
    #: a guard holds it; it has no batches and nothing was sent
    HELD = "held"
    #: every batch came to its end and the books balance
    SETTLED = "settled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a job. `serial` counts the job's runs from 1; `identity` names the target's account.

    `plan` is the fingerprint of the comparison, which an approval names. `high_water` is the greatest `since` value
    that the run saw, when the job sends by it. `reason` says which guard holds a held run, or that preparing was cut
    short. `removal_hash` is that of the job; empty in runs of older releases.
    """

    id: RunId
    job: str
    serial: int
    spec_hash: str
    identity: str
    state: RunState
    created_at: datetime
    tally: Tally
    plan: str
    reason: str = ""
    high_water: str | None = None
    warnings: Mapping[str, int] = field(default_factory=dict)
    settled_at: datetime | None = None
    removal_hash: str = ""


def edited_since(job: Job, last: Run | None) -> str:
    """Return the id of a job's last run if it was edited since which keys are removed, and how; empty if it was not.

    Of a run of an older release only the hash of its whole spec is known, which has no paths.
    """
    if last is None:
        return ""
    same = last.removal_hash == job.removal_hash if last.removal_hash else last.spec_hash == job.spec_hash
    return "" if same else last.id


def settlement_of(run: Run, batches: Iterable[Batch]) -> Settlement:
    """Return the equation of a run as it stands with these batches.

    Raises:
        UnbalancedError: when a row would be lost or counted twice.
    """
    return settle(run.job, run.id, run.tally, batches, preparing=run.state is RunState.PREPARING)


def with_sealed(run: Run, records: int) -> Run:
    """Return the run now that so many records are sealed in all: it is prepared with the last of them, not before.

    Raises:
        UnbalancedError: when they are more than the plan counts.
    """
    rest = run.tally.to_send - records
    if rest < 0:
        message = f"run {run.id} plans to send {run.tally.to_send} records, but its batches hold {records}"
        raise UnbalancedError(message)
    return replace(run, state=RunState.PREPARING if rest else RunState.PREPARED)


def cut_short(run: Run, batches: Sequence[Batch], at: datetime) -> Run:
    """Return a run whose preparing ended before its end: what was sealed goes on, the rest is held for the next run."""
    sealed = sum(one.file.rows for one in batches)
    planned = run.tally.to_send
    over = all(one.phase is Phase.DELIVERED for one in batches)
    return replace(
        run,
        state=RunState.SETTLED if over else RunState.PREPARED,
        settled_at=at if over else None,
        tally=run.tally.cut_to(sealed),
        reason=f"preparing was cut short after {sealed:,} of {planned:,} records; the next run sends the rest",
    )
