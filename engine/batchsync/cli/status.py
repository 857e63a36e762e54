"""`lading status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.cli.command import command, job_names
from lading.cli.declared import Declared, check_known, declared
from lading.cli.outcomes import run_report
from lading.cli.session import Answer, Session
from lading.core.decide import decide
from lading.core.policy import wished
from lading.report.status import JobStatus, StatusReport
from lading.schedule import next_slots

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from lading.core.batch import Batch
    from lading.core.steps import Step
    from lading.journal import Journal


@command("status", example="lading status\nlading status guests\nlading status --output json")
@job_names
def status(session: Session, jobs: tuple[str, ...]) -> Answer:
    """Show what is open, what comes next, and how each job stands.

    Batches that wait for a person come first. Reads the journal only; contacts no vendor and takes no lease.
    """
    with session.journal() as journal:
        known = declared(session, journal)
        for name in jobs:
            check_known(session, journal, name)
        batches = tuple(one for one in (journal.open_batches() if journal else ()) if not jobs or one.job in jobs)
        now = _now(session, batches)
        names = dict.fromkeys(jobs or [*known.jobs, *(one.job for one in batches)])
        report = StatusReport(
            now=now,
            jobs=tuple(_job(name, known, journal, now) for name in names),
            open_batches=batches,
            next_of=dict(_next_steps(batches, known, now)),
            notes=known.notes,
        )
    return Answer(report=report)


def _now(session: Session, batches: Sequence[Batch]) -> datetime:
    """Return the moment; among mocks by their clock, which jumps ahead of ours and stands while they do not run."""
    now = session.now()
    if not session.settings().mocks:
        return now
    return max([now, *(one.submitted_at or one.prepared_at for one in batches)])


def _job(name: str, known: Declared, journal: Journal | None, now: datetime) -> JobStatus:
    last = journal.last_run(name) if journal else None
    lease = journal.lease_row(name) if journal and _is_running(journal, name) else None
    job = known.jobs.get(name)
    slots = next_slots(job.schedule, now, 1) if job and job.schedule else ()
    return JobStatus(
        job=name,
        last=run_report(journal, last, known.budgets) if journal and last else None,
        declared=job is not None or not known.jobs,
        next_slot=slots[0] if slots else None,
        runner=lease.owner if lease else "",
        unresolved=journal.unresolved(name) if journal else (),
        approved=bool(journal and last and journal.approved(name, last.plan)),
    )


def _is_running(journal: Journal, job: str) -> bool:
    from lading.journal import is_held  # noqa: PLC0415 - only with a journal

    return is_held(journal.path.parent, job)


def _next_steps(batches: Sequence[Batch], known: Declared, now: datetime) -> Iterator[tuple[str, Step]]:
    """Yield what the engine would do now with each batch whose job is declared."""
    if known.deployment is None or not batches:
        return
    from lading.spec.vendor_spec import load_vendor  # noqa: PLC0415 - only open batches need a vendor spec

    for batch in batches:
        job = known.jobs.get(batch.job)
        if job is None:
            continue
        connection = known.deployment.connections[job.connection]
        policy = wished(load_vendor(connection.vendor).policy, connection)
        yield batch.id, decide(batch, policy, now)
