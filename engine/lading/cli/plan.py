"""`lading plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lading.cli.command import command, job_names
from lading.cli.offline import offline_context, offline_world
from lading.cli.session import Answer, Session
from lading.errors import ExitCode, SpecError
from lading.reconcile.prepare import plan as plan_job
from lading.report.plan import PlanReport, PlansReport

if TYPE_CHECKING:
    from lading.reconcile.context import JobContext, World

#: What `--detailed-exitcode` says when there is something to send. Not 2: that is a usage error.
CHANGES = 10


@command("plan", example="lading plan guests\nlading plan --output md > plan.md    # a comment for a pull request")
@job_names
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit 10 when there is something to send, 6 when a guard holds."
)
def plan(session: Session, jobs: tuple[str, ...], *, detailed_exitcode: bool) -> Answer:
    """Print what a sync would send, without contacting a vendor.

    Compares each source with what its target is known to hold: adds, changes and removes, what stays, what is invalid,
    and which guards would hold the run. Takes no lease and changes nothing.
    """
    with session.running_app() as app, session.journal() as journal:
        chosen = app.jobs(jobs)
        problems, notes = app.check()
        if problems:
            raise SpecError(problems)
        with offline_world(app, journal) as world:
            plans = tuple(_planned(offline_context(app, job), world) for job in chosen)
    report = PlansReport(plans=plans, notes=notes)
    return Answer(report=report, exit_code=_code(report) if detailed_exitcode else ExitCode.DONE)


def _planned(context: JobContext, world: World) -> PlanReport:
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
    )


def _code(report: PlansReport) -> int:
    if any(one.held for one in report.plans):
        return ExitCode.HELD
    return CHANGES if any(one.tally.to_send for one in report.plans) else ExitCode.DONE
