"""`batchsync unlock`."""

from __future__ import annotations

import click

from batchsync.cli.command import command
from batchsync.cli.completion import complete_jobs
from batchsync.cli.declared import check_known
from batchsync.cli.session import Answer, Session
from batchsync.errors import UsageError
from batchsync.report.message import Message


@command("unlock", example="batchsync unlock guests")
@click.argument("job", shell_complete=complete_jobs)
def unlock(session: Session, job: str) -> Answer:
    """Break a job's lease.

    For a process that hangs or is stopped; after a crash there is nothing to unlock, because a lock ends with its
    process. The previous holder can no longer write; a batch that it was sending stays in doubt and is verified.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If the job never ran.
    """
    with session.journal() as journal:
        check_known(session, journal, job)
        lease = journal.lease_row(job) if journal else None
        if journal is None:
            raise UsageError(
                f'job "{job}" never ran: it has no lease', hint=f"`batchsync sync {job}`", name="usage.never_ran"
            )
    from batchsync.journal import unlock as break_lease  # noqa: PLC0415 - help needs no journal

    with session.app() as app:
        epoch = break_lease(app.journal, app.settings.state_folder, job, app.clock.now())
    owner = lease.owner if lease and lease.owner else "no process"
    report = Message(
        sentences=(f"{job}: lease of {owner} broken; it can no longer write",),
        facts={"job": job, "owner": lease.owner if lease else "", "epoch": epoch},
        next_step=f"`batchsync resume {job}`",
    )
    return Answer(report=report)
