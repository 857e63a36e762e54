"""`lading serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lading.cli.command import command, job_names
from lading.cli.outcomes import job_report
from lading.cli.session import Answer, Session
from lading.errors import UsageError
from lading.reconcile.serve import serve as serve_jobs
from lading.reconcile.sync import JobOutcome, gravest
from lading.report.outcome import JobReport, OutcomeReport
from lading.report.words import moment, visible
from lading.schedule import due_slot, next_slots

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from lading.core.job import Schedule
    from lading.reconcile.context import JobContext


class CronSlots:
    """The slots of cron lines and intervals."""

    def due(self, schedule: Schedule, last_done: datetime, now: datetime) -> datetime | None:
        """Return the latest slot after `last_done` that is not after `now`, or None."""
        return due_slot(schedule, last_done, now)

    def upcoming(self, schedule: Schedule, after: datetime) -> datetime | None:
        """Return the first slot after a moment, or None if there is none."""
        return next(iter(next_slots(schedule, after, 1)), None)


@command("serve", example="lading serve\nlading serve --once    # from cron: do what is due, then end")
@job_names
@click.option("--once", is_flag=True, help="Do what is due now, follow what is open as far as it goes, and end.")
def serve(session: Session, jobs: tuple[str, ...], *, once: bool) -> Answer:
    """Run jobs on their schedules, in the foreground.

    Each slot is run once, whatever happens to this process; a slot missed while nobody served is run late, and of
    several missed ones only the last. The slots of a job count from the first time that `serve` (with or without
    `--once`) sees it. A job that has to stop stops no other, and is tried again. SIGTERM and Ctrl-C end it safely.
    Each run's settlement goes to stdout as it comes.
    """
    done: list[JobReport] = []
    with session.running_app(live=False, jobs=list(jobs)) as app:
        if not any(one.schedule for one in app.jobs(jobs)):
            raise UsageError(
                f"no job{' of these' if jobs else ''} has a schedule: there would be nothing to serve, ever",
                hint="give one a `schedule:` in the jobs file, or run `lading sync`",
            )
        world = app.world(jobs)
        contexts = app.contexts(jobs)
        budgets = {context.job.name: context.job.budget for context in contexts}

        def told(outcome: JobOutcome) -> None:
            report = job_report(outcome, budgets[outcome.job])
            if once:
                done.append(report)
            else:
                _print(report, session)

        serve_jobs(contexts, world, CronSlots(), told=told, once=once)
        report = OutcomeReport(jobs=tuple(done), idle=_idle(contexts, world.clock.now()))
    return Answer(report=report, exit_code=gravest(one.exit_code for one in done))


def _idle(contexts: Sequence[JobContext], now: datetime) -> str:
    """Say that nothing was done, and when something will be."""
    slots = [
        (slot, one.job.name) for one in contexts if one.job.schedule for slot in next_slots(one.job.schedule, now, 1)
    ]
    slot, job = min(slots)
    return f"nothing is due; the next slot is that of {visible(job)}, {moment(slot)}"


def _print(report: JobReport, session: Session) -> None:
    """Print how one run came out while the others go on. JSON is for the end, and there is none."""
    one = OutcomeReport(jobs=(report,))
    match session.output:
        case "ndjson" | "json":
            for line in one.lines():
                session.stream(line)
        case "md":
            click.echo(session.options.addressed(one.markdown()))
        case _:
            text = session.options.addressed(one.text(session.paint_on(err=False)))
            click.echo(text, color=session.coloured(err=False))
