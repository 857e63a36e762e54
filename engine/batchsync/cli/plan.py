"""`lading plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lading.cli.command import command, job_names
from lading.cli.offline import offline_context, offline_world
from lading.cli.session import Answer, Session
from lading.cli.sync import retry_rejected, sending_rejected
from lading.errors import ExitCode, LadingError, SpecError
from lading.reconcile.prepare import plan as plan_job
from lading.reconcile.sync import gravest
from lading.report.plan import PlanReport, PlansReport, Unplanned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading.app import App
    from lading.core.job import Job
    from lading.reconcile.context import JobContext, World

#: What `--detailed-exitcode` says when there is something to send. Not 2: that is a usage error.
CHANGES = 10


@command("plan", example="lading plan guests\nlading plan --output md > plan.md    # a comment for a pull request")
@job_names
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    metavar="N",
    default=10,
    help="Show the keys of so many adds, changes and removes each (default: 10; 0: none).",
)
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit 10 when there is something to send, 6 when a guard holds."
)
@retry_rejected
def plan(
    session: Session, jobs: tuple[str, ...], *, limit: int, detailed_exitcode: bool, retry_rejected: bool
) -> Answer:
    """Print what a sync would send, without contacting a vendor.

    Compares each source with what its target is known to hold: adds, changes and removes with their first keys and the
    rows of the source that these stand in, what is invalid by field and rule, which guards would hold the run, and
    whether its budget would be exceeded. Takes no lease and changes nothing.
    """
    with session.running_app() as app, session.journal() as journal:
        chosen = [sending_rejected(job) if retry_rejected else job for job in app.jobs(jobs)]
        problems, notes = app.check()
        if problems:
            raise SpecError(problems)
        with offline_world(app, journal) as world:
            plans, failed = _plans(app, chosen, world, limit)
    report = PlansReport(
        plans=plans,
        unplanned=tuple(Unplanned(job=job, message=error.message, hint=error.hint) for job, error in failed.items()),
        notes=tuple(note for note in notes if note.partition(":")[0] not in failed),
    )
    if failed:
        return Answer(report=report, exit_code=gravest(error.exit_code for error in failed.values()))
    return Answer(report=report, exit_code=_code(report) if detailed_exitcode else ExitCode.DONE)


def _plans(
    app: App, jobs: Sequence[Job], world: World, limit: int
) -> tuple[tuple[PlanReport, ...], dict[str, LadingError]]:
    """Plan every job that can be planned; what keeps one of them from it is told with the others."""
    plans: list[PlanReport] = []
    failed: dict[str, LadingError] = {}
    for job in jobs:
        try:
            plans.append(_planned(offline_context(app, job), world, limit))
        except LadingError as error:
            failed[job.name] = error
    return tuple(plans), failed


def _planned(context: JobContext, world: World, limit: int) -> PlanReport:
    made = plan_job(context, world)
    comparison = made.comparison
    return PlanReport(
        job=context.job.name,
        tally=comparison.tally,
        breaches=made.breaches,
        approved=made.approved,
        fingerprint=comparison.fingerprint,
        baseline_rows=comparison.baseline_rows,
        in_flight=len(world.memory.open_batches(context.job.name)),
        warnings=comparison.warnings,
        edited=_edited(context, world),
        budget=context.job.budget,
        excerpt=world.data.excerpt(comparison, limit),
    )


def _edited(context: JobContext, world: World) -> bool:
    """Whether the job shapes what it sends otherwise than the last run that sent to this account."""
    last = world.memory.last_planned(context.job.name, context.identity)
    return last is not None and last.spec_hash != context.job.spec_hash


def _code(report: PlansReport) -> int:
    if any(one.held for one in report.plans):
        return ExitCode.HELD
    return CHANGES if any(one.tally.to_send for one in report.plans) else ExitCode.DONE
