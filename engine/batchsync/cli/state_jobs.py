"""`batchsync state list`, `show`, `mv` and `rm`: what the state folder holds of each job."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from batchsync import spec
from batchsync.cli.alerting import evaluate_alerts
from batchsync.cli.command import command
from batchsync.cli.consent import confirm
from batchsync.cli.progress import running_app
from batchsync.cli.session import Answer, Session
from batchsync.core.naming import baseline_prefix, rejects_prefix, staging_prefix
from batchsync.errors import BatchsyncError, UsageError
from batchsync.reconcile.move_state import move_state, remove_state
from batchsync.report.message import Message
from batchsync.report.state import BaselineState, JobState, StateReport
from batchsync.report.text_format import pluralize
from batchsync.storage.local_folder import LocalFolder
from batchsync.util.suggestions import names_hint

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.journal import Journal
    from batchsync.ports import BaselineEntry


@command("list", example="batchsync state list")
def list_jobs(session: Session) -> Answer:
    """List the jobs of the state folder, with what is kept of each and its size.

    Returns:
        The report to print, with the exit code.
    """
    folder = session.state_folder()
    with session.journal() as journal:
        jobs = _states(session, journal) if journal is not None else ()
    return Answer(report=StateReport(folder=str(folder), journal_bytes=size_of_journal(folder), jobs=jobs))


@command("show", example="batchsync state show guests")
@click.argument("job", metavar="JOB")
def show(session: Session, job: str) -> Answer:
    """Show what the state folder holds of a job.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If it holds nothing of a job of that name.
    """
    folder = session.state_folder()
    with session.journal() as journal:
        known = _names(journal) if journal is not None else []
        if journal is None or job not in known:
            raise UsageError(f'the state holds nothing of job "{job}"', hint=names_hint(job, known, "jobs"))
        jobs = (_state(session, journal, job),)
    report = StateReport(folder=str(folder), journal_bytes=size_of_journal(folder), jobs=jobs, details=True)
    return Answer(report=report)


@command("mv", example="batchsync state mv customers guests")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
def move(session: Session, old: str, new: str) -> Answer:
    """Give the state of a job to another name.

    The baselines of OLD become those of NEW, as with `renamed_from: OLD` in job NEW. The history of OLD stays. Refused
    while OLD has open batches, or if NEW holds a baseline at the same account. Calls no vendor.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If both names are the same, or NEW is not the name of a job.
    """
    if old == new or not re.fullmatch(spec.NAME_PATTERN, new):
        raise UsageError(f'"{new}" is not another name of a job', hint="small letters, digits, - and _")
    with running_app(session) as app:
        _check_state(app.journal, old)
        moved = move_state(old, new, app.services())
    report = Message(
        sentences=(f"moved {pluralize(len(moved), 'baseline')} of {old} to {new} ({_entries(moved):,} entries)",),
        facts={"job": new, "former": old, "baselines": len(moved), "entries": _entries(moved)},
        next_step=f"`batchsync plan {new}`, which shows that nothing is sent again",
    )
    return Answer(report=report)


@command("rm", example='batchsync state rm guests --reason "the sandbox was emptied by the vendor" --yes')
@click.argument("job", metavar="JOB")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the journal and shown by `history`.")
@click.option("--yes", is_flag=True, help="Do not ask; needed where standard input is no terminal.")
def remove(session: Session, job: str, *, reason: str, yes: bool) -> Answer:
    """Forget what the targets of a job hold, so that its next sync sends every row.

    Refused while the job has open batches. The history, its rejects and used idempotency keys are kept. Removes nothing
    at the vendor: keys that left the source meanwhile stay there.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If the reason is empty, or it is not confirmed.
    """
    if not reason.strip():
        raise UsageError("the reason is empty", hint='--reason "why the target no longer holds what it held"')
    with running_app(session) as app:
        _check_state(app.journal, job)
        entries = _entries(app.journal.baselines(job))
        confirm(f"Forget the {entries:,} entries of {job}? The next sync sends every row", yes=yes)
        runs = remove_state(job, app.services(), reason.strip())
        evaluate_alerts(session, app)
    report = Message(
        sentences=(f"{job}: forgot {entries:,} entries (run {', '.join(run.id for run in runs)}), nothing was sent",),
        facts={"job": job, "runs": [run.id for run in runs], "entries": entries, "reason": reason.strip()},
        next_step=f"`batchsync plan {job}`, which shows that every row would be sent",
    )
    return Answer(report=report)


def size_of_journal(folder: Path) -> int:
    """Return the size of the journal and its -wal file, in bytes."""
    return sum(path.stat().st_size for path in folder.glob("journal.db*") if path.suffix != ".db-shm")


def _check_state(journal: Journal, job: str) -> None:
    """Refuse a job of which the journal holds nothing.

    Raises:
        UsageError: If it holds nothing of it.
    """
    known = _names(journal)
    if job not in known:
        raise UsageError(f'the state holds nothing of job "{job}"', hint=names_hint(job, known, "jobs"))


def _names(journal: Journal) -> list[str]:
    """Return the jobs that the journal holds anything of."""
    return sorted({*journal.jobs(), *journal.baseline_jobs()})


def _states(session: Session, journal: Journal) -> tuple[JobState, ...]:
    return tuple(_state(session, journal, job) for job in _names(journal))


def _state(session: Session, journal: Journal, job: str) -> JobState:
    """Return what the state folder holds of a job."""
    objects = LocalFolder(session.state_folder())
    last = journal.last_run(job)
    return JobState(
        job=job,
        declared=job in _declared(session),
        runs=journal.runs_count(job),
        open_batches=tuple(batch.id for batch in journal.open_batches(job)),
        baselines=tuple(
            BaselineState(account_id=entry.account_id, segments=len(entry.segments), entries=_entries([entry]))
            for entry in journal.baselines(job)
        ),
        baseline_bytes=sum(item.size for item in objects.list(baseline_prefix(job))),
        batch_bytes=sum(item.size for item in objects.list(staging_prefix(job))),
        rejects=journal.rejects_count(job),
        reject_bytes=sum(item.size for item in objects.list(rejects_prefix(job))),
        last_run=last.created_at if last is not None else None,
    )


def _declared(session: Session) -> frozenset[str]:
    """Return the jobs of jobs.yaml; none if it is invalid, which `validate` reports."""
    with suppress(BatchsyncError):
        return frozenset(job.name for job in session.deployment().jobs)
    return frozenset()


def _entries(baselines: tuple[BaselineEntry, ...] | list[BaselineEntry]) -> int:
    return sum(segment.rows for entry in baselines for segment in entry.segments)
