"""`lading unlock`."""

from __future__ import annotations

import click

from lading.cli.command import command
from lading.cli.declared import check_known
from lading.cli.session import Answer, Session
from lading.errors import UsageError
from lading.report.said import Said


@command("unlock", example="lading unlock guests")
@click.argument("job")
def unlock(session: Session, job: str) -> Answer:
    """Take a job away from a process that holds it.

    For a process that hangs or is stopped: a lock dies with its process, so after a crash there is nothing to unlock.
    Whoever held the job can write no more; a batch it was sending stays in doubt and is asked about.
    """
    with session.journal() as journal:
        check_known(session, journal, job)
        lease = journal.lease_row(job) if journal else None
        if journal is None:
            raise UsageError(f'job "{job}" never ran: nobody holds it', hint=f"`lading sync {job}`")
    from lading.journal import unlock as take_away  # noqa: PLC0415 - help needs no journal

    with session.app() as app:
        epoch = take_away(app.journal, app.settings.state_folder, job, app.clock.now())
    owner = lease.owner if lease and lease.owner else "nobody"
    report = Said(
        sentences=(f"{job}: taken from {owner}; whoever held it can write no more",),
        facts={"job": job, "owner": lease.owner if lease else "", "epoch": epoch},
        next_step=f"`lading resume {job}`",
    )
    return Answer(report=report)
