"""`batchsync schedule`."""

from __future__ import annotations

import click

from batchsync.cli.command import command
from batchsync.cli.selection import chosen_jobs, selectors
from batchsync.cli.session import Answer, Session
from batchsync.report.ticks import JobTicks, TicksReport
from batchsync.schedule import explain, next_begins


@command("schedule", example="batchsync schedule\nbatchsync schedule guests -n 10")
@selectors
@click.option(
    "-n", "--number", type=click.IntRange(1, 1000), metavar="N", default=5, help="Number of ticks per job (default: 5)."
)
def schedule(session: Session, jobs: tuple[str, ...], *, exclude: tuple[str, ...], number: int) -> Answer:
    """Show when jobs run next.

    Each tick is shown in the job's time zone and in UTC. Only `batchsync serve` starts jobs by schedule; with cron or
    CI run `batchsync sync JOB` at these times. A suspended job has a schedule and no ticks.

    Returns:
        The report to print, with the exit code.
    """
    deployment = session.deployment()
    names = chosen_jobs(session, deployment, jobs, exclude).names
    now = session.now()
    chosen = [job for job in deployment.jobs if job.name in names]
    report = TicksReport(
        now=now,
        jobs=tuple(
            JobTicks(
                job=job.name,
                description=explain(job.schedule),
                timezone=job.schedule.timezone,
                ticks=() if job.suspend else next_begins(job.schedule, job.name, now, number),
                suspended=job.suspend,
            )
            for job in chosen
            if job.schedule is not None
        ),
    )
    return Answer(report=report)
