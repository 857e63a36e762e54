"""`batchsync approve`."""

from __future__ import annotations

from pathlib import Path

import click

from batchsync.cli.alerting import evaluate_alerts
from batchsync.cli.command import command
from batchsync.cli.completion import complete_jobs
from batchsync.cli.declared import check_known, known_names
from batchsync.cli.plan_files import approve_plan_file, is_plan_file
from batchsync.cli.session import Answer, Session
from batchsync.core.run import Run, RunState
from batchsync.errors import UsageError
from batchsync.report.message import Message


@command(
    "approve",
    example='batchsync approve guests --reason "the shop closed its old accounts"\n'
    'batchsync approve guests.plan --reason "reviewed in pull request 12"',
)
@click.argument("job", metavar="JOB|PLAN", shell_complete=complete_jobs)
@click.option(
    "--reason",
    default="",
    metavar="TEXT",
    help="Why the plan is correct; recorded in the journal and shown by `batchsync history`.",
)
def approve(session: Session, job: str, *, reason: str) -> Answer:
    """Approve a plan blocked by a guard.

    The approval applies to exactly the blocked plan: if the source changes, the guard is evaluated again. Of a plan
    file (`plan --out`), all plans that exceed a guard are approved.

    Returns:
        The report to print, with the exit code.
    """
    with session.journal() as journal:
        names = known_names(session, journal)
    if is_plan_file(job, names):
        return _approve_file(session, job, reason)
    run = _blocked_run(session, job)
    with session.app() as app:
        app.journal.approve(job, run.plan, reason, app.clock.now())
        evaluate_alerts(session, app)
    counts = run.counts
    changes = f"{counts.added:,} added, {counts.changed:,} changed, {counts.removed:,} removed"
    report = Message(
        sentences=(f"{job}: approved the plan of run {run.id}: {changes}", f"blocked because {run.reason}"),
        facts={"job": job, "run": run.id, "plan": run.plan, "blocked_because": run.reason, "reason": reason},
        next_step=f"`batchsync sync {job}`",
    )
    return Answer(report=report)


def _approve_file(session: Session, name: str, reason: str) -> Answer:
    """Approve the plans of a plan file that exceed guards."""
    opened, plans = approve_plan_file(session, Path(name), reason)
    sentences = []
    for item in plans:
        counts = item.plan.counts
        changes = f"{counts.added:,} added, {counts.changed:,} changed, {counts.removed:,} removed"
        sentences.append(f"{item.plan.job}: approved the plan in {name}: {changes}")
        sentences.append(f"blocked because {'; '.join(breach.message for breach in item.plan.breaches)}")
    report = Message(
        sentences=tuple(sentences),
        facts={
            "plan_file": name,
            "id": opened.content.id,
            "plans": [{"job": item.plan.job, "plan": item.plan.changes_digest} for item in plans],
            "reason": reason,
        },
        next_step=f"`batchsync sync --plan {name}`",
    )
    return Answer(report=report)


def _blocked_run(session: Session, job: str) -> Run:
    """Return the job's last run.

    Raises:
        UsageError: If the job never ran or its last run does not await approval.
    """
    with session.journal() as journal:
        check_known(session, journal, job)
        last = journal.last_run(job) if journal else None
    if last is None:
        raise UsageError(
            f'job "{job}" never ran: nothing to approve', hint=f"`batchsync plan {job}`", name="usage.never_ran"
        )
    if last.state is not RunState.AWAITING_APPROVAL:
        raise UsageError(
            f"{job} does not await approval: its last run {last.id} is {last.state}",
            hint="`batchsync status`",
            name="usage.not_awaiting",
        )
    return last
