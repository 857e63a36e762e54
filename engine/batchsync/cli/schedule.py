"""`batchsync schedule`."""

from __future__ import annotations

import click

from batchsync.cli.command import command, job_names
from batchsync.cli.session import Answer, Session
from batchsync.errors import UsageError
from batchsync.report.ticks import JobTicks, TicksReport
from batchsync.schedule import explain, next_ticks
from batchsync.util.suggestions import names_hint


@command("schedule", example="batchsync schedule\nbatchsync schedule guests -n 10")
@job_names
@click.option(
    "-n", "--number", type=click.IntRange(1, 1000), metavar="N", default=5, help="Number of ticks per job (default: 5)."
)
def schedule(session: Session, jobs: tuple[str, ...], *, number: int) -> Answer:
    """Show when jobs run next.

    Each tick is shown in the job's time zone and in UTC. Only `batchsync serve` starts jobs by schedule; with cron or
    CI run `batchsync sync JOB` at these times.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If there is no job of a name.
    """
    declared = {job.name: job for job in session.deployment().jobs}
    for name in jobs:
        if name not in declared:
            raise UsageError(f'unknown job "{name}"', hint=names_hint(name, declared, "jobs"))
    now = session.now()
    chosen = [declared[name] for name in jobs or declared]
    report = TicksReport(
        now=now,
        jobs=tuple(
            JobTicks(
                job=job.name,
                description=explain(job.schedule),
                timezone=job.schedule.timezone,
                ticks=next_ticks(job.schedule, now, number),
            )
            for job in chosen
            if job.schedule is not None
        ),
    )
    return Answer(report=report)
