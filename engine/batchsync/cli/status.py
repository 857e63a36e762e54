"""`batchsync status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.cli.command import command
from batchsync.cli.declared import DeclaredJobs, declared
from batchsync.cli.outcomes import run_report
from batchsync.cli.selection import chosen_jobs, selectors
from batchsync.cli.session import Answer, Session
from batchsync.core.alerts import conditions
from batchsync.core.clock_text import describe_offset
from batchsync.core.policy import with_overrides
from batchsync.errors import ExitCode, UsageError
from batchsync.report.alerts import OpenAlert, WaitingChannel
from batchsync.report.status import JobStatus, StatusReport
from batchsync.schedule import next_begins

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from batchsync.core.batch import Batch
    from batchsync.core.steps import Step
    from batchsync.journal import Journal


@command("status", example="batchsync status\nbatchsync status guests\nbatchsync status --output json")
@selectors
def status(session: Session, jobs: tuple[str, ...], *, exclude: tuple[str, ...]) -> Answer:
    """Show open batches, next steps and the state of each job.

    Batches that need attention come first. Reads the journal only; contacts no vendor and takes no lease. The exit code
    is 8 if a batch needs attention or has unknown outcomes to be resolved.

    Returns:
        The report to print, with the exit code.
    """
    with session.journal() as journal:
        known = declared(session, journal)
        chosen = _chosen(session, known, journal, jobs, exclude)
        opened = journal.open_batches() if journal else ()
        batches = tuple(item for item in opened if chosen is None or item.job in chosen)
        now = _now(session, batches)
        names = dict.fromkeys([*known.jobs, *(batch.job for batch in batches)] if chosen is None else chosen)
        report = StatusReport(
            now=now,
            jobs=tuple(_job(name, known, journal, now) for name in names),
            open_batches=batches,
            next_of=dict(_next_steps(batches, known, now)),
            notes=(*known.notes, *_clock_notes(session)),
            backup_failure=_backup_failure(session),
            alerts=_open_alerts(journal, known, chosen),
            channels=_waiting_channels(journal, known),
        )
    return Answer(report=report, exit_code=ExitCode.NEEDS_ATTENTION if report.needs_attention else ExitCode.DONE)


def _chosen(
    session: Session, known: DeclaredJobs, journal: Journal | None, words: Sequence[str], exclude: Sequence[str]
) -> list[str] | None:
    """Return the selected jobs, those that are only in the journal included; None for all.

    Raises:
        UsageError: If a selector is invalid or matches nothing.
    """
    if not words and not exclude:
        return None
    past = [word for word in words if journal is not None and journal.last_run(word) is not None]
    others = [word for word in words if word not in past]
    if not others and not exclude:
        return past
    deployment = known.deployment or session.deployment()
    found = [*past, *(chosen_jobs(session, deployment, others).names if others or not words else ())]
    left_out = chosen_jobs(session, deployment, exclude).names if exclude else ()
    if kept := [name for name in found if name not in left_out]:
        return kept
    raise UsageError("every selected job is excluded", hint=f"selected are: {', '.join(found)}", name="usage.selector")


def _open_alerts(journal: Journal | None, known: DeclaredJobs, chosen: Sequence[str] | None) -> tuple[OpenAlert, ...]:
    """Return the conditions of the chosen jobs and of the jobs file that were alerted, and hold."""
    if journal is None or not _has_channels(known):
        return ()
    return tuple(
        OpenAlert(job=job, condition=condition, since=since)
        for job, states in journal.alert_states().items()
        if not job or chosen is None or job in chosen
        for condition, since in conditions(states).items()
    )


def _waiting_channels(journal: Journal | None, known: DeclaredJobs) -> tuple[WaitingChannel, ...]:
    """Return the channels to which messages wait."""
    if journal is None or not _has_channels(known):
        return ()
    return tuple(
        WaitingChannel(channel=item.channel, messages=item.messages, since=item.since, attempts=item.attempts)
        for item in journal.waiting_alerts()
    )


def _has_channels(known: DeclaredJobs) -> bool:
    """Return whether alerts are declared, as far as the jobs file can be read: without channels nothing is judged."""
    return known.deployment is None or bool(known.deployment.alerts.channels)


def _backup_failure(session: Session) -> str:
    """Return why the last backup of the state folder failed; empty if it did not, or there was none."""
    if not (session.state_folder() / "backup.json").exists():
        return ""
    from batchsync.reconcile.backup import read_status  # noqa: PLC0415 - only where there are backups

    found = read_status(session.state_folder())
    return found.error if found is not None else ""


def _clock_notes(session: Session) -> Iterator[str]:
    """Yield a note on each connection whose vendor has another clock than this machine."""
    if not (session.state_folder() / "clock_offsets.json").exists():
        return
    from batchsync.reconcile.vendor_clock import read_clock_offsets  # noqa: PLC0415 - only where clocks differ

    for connection, offset in read_clock_offsets(session.state_folder()).items():
        yield f"connection {connection}: the vendor's clock was {describe_offset(offset)} at the last run"


def _now(session: Session, batches: Sequence[Batch]) -> datetime:
    """Return the current time; with mocks that of their clock, which may be ahead and stops when they do."""
    now = session.now()
    if not session.settings().mocks:
        return now
    return max([now, *(batch.submitted_at or batch.prepared_at for batch in batches)])


def _job(name: str, known: DeclaredJobs, journal: Journal | None, now: datetime) -> JobStatus:
    last = journal.last_run(name) if journal else None
    lease = journal.lease_row(name) if journal and _is_running(journal, name) else None
    job = known.job(name)
    schedule = job.effective_schedule if job and job.name == name else None
    ticks = next_begins(schedule, name, now, 1) if schedule else ()
    return JobStatus(
        job=name,
        last=run_report(journal, last, {name: job.budget} if job else {}) if journal and last else None,
        declared=job is not None or not known.jobs,
        next_tick=ticks[0] if ticks else None,
        suspended=job is not None and job.suspend,
        runner=lease.owner if lease else "",
        unresolved=journal.unresolved(name) if journal else (),
        approved=bool(journal and last and journal.approved(name, last.plan)),
    )


def _is_running(journal: Journal, job: str) -> bool:
    from batchsync.journal import is_held  # noqa: PLC0415 - only with a journal

    return is_held(journal.path.parent, job)


def _next_steps(batches: Sequence[Batch], known: DeclaredJobs, now: datetime) -> Iterator[tuple[str, Step]]:
    """Yield the next step of each batch whose job is declared."""
    if known.deployment is None or not batches:
        return
    from batchsync.core.decide import decide  # noqa: PLC0415 - only open batches need it
    from batchsync.spec.vendor_spec import load_vendor  # noqa: PLC0415 - the same

    for batch in batches:
        job = known.job(batch.job)
        if job is None:
            continue
        connection = known.deployment.connections[job.connection]
        policy = with_overrides(load_vendor(connection.vendor, connection.settings).policy, connection)
        yield batch.id, decide(batch, policy, now)
