"""`lading approve`."""

from __future__ import annotations

import click

from lading.cli.command import command
from lading.cli.declared import check_known
from lading.cli.session import Answer, Session
from lading.core.run import Run, RunState
from lading.errors import UsageError
from lading.report.said import Said


@command("approve", example='lading approve guests --reason "the shop closed its old accounts"')
@click.argument("job")
@click.option(
    "--reason", default="", metavar="TEXT", help="Why it is right; kept in the journal; `lading history` shows it."
)
def approve(session: Session, job: str, *, reason: str) -> Answer:
    """Allow the plan of a job that a guard holds.

    The approval is for exactly the plan that was held: when the source changes, the guard judges anew.
    """
    run = _held_run(session, job)
    with session.app() as app:
        app.journal.approve(job, run.plan, reason, app.clock.now())
    tally = run.tally
    changes = f"{tally.added:,} added, {tally.changed:,} changed, {tally.removed:,} removed"
    report = Said(
        sentences=(f"{job}: the plan of run {run.id} is approved: {changes}", f"it was held because {run.reason}"),
        facts={"job": job, "run": run.id, "plan": run.plan, "held_because": run.reason, "reason": reason},
        next_step=f"`lading sync {job}`",
    )
    return Answer(report=report)


def _held_run(session: Session, job: str) -> Run:
    """Return the job's last run, if a guard holds it."""
    with session.journal() as journal:
        check_known(session, journal, job)
        last = journal.last_run(job) if journal else None
    if last is None:
        raise UsageError(f'job "{job}" never ran: there is nothing to approve', hint=f"`lading plan {job}`")
    if last.state is not RunState.HELD:
        raise UsageError(f"no guard holds {job}: its last run {last.id} is {last.state}", hint="`lading status`")
    return last
