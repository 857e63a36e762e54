"""`batchsync schedule`."""

from __future__ import annotations

from pathlib import Path

import click

from batchsync.cli.command import command
from batchsync.cli.schedule_export import exported
from batchsync.cli.selection import chosen_jobs, selectors
from batchsync.cli.session import Answer, Session
from batchsync.errors import UsageError
from batchsync.report.ticks import JobTicks, TicksReport
from batchsync.schedule import explain, next_begins
from batchsync.schedule.cron_fields import FORMATS


@command(
    "schedule",
    example="batchsync schedule\nbatchsync schedule guests -n 10\nbatchsync schedule --export systemd --into units",
)
@selectors
@click.option(
    "-n", "--number", type=click.IntRange(1, 1000), metavar="N", default=5, help="Number of ticks per job (default: 5)."
)
@click.option("--export", "form", type=click.Choice(FORMATS), help="Print the files of another scheduler instead.")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write the files to this folder; earlier ones are replaced.",
)
def schedule(
    session: Session,
    jobs: tuple[str, ...],
    *,
    exclude: tuple[str, ...],
    number: int,
    form: str | None,
    into: Path | None,
) -> Answer:
    """Show when jobs run next, or write their schedules for another scheduler.

    Each begin of a run is shown in the job's time zone and in UTC, with jitter, window and quiet hours. Only `batchsync
    serve` starts jobs by schedule; with cron or CI run `batchsync sync JOB` at these times. A suspended job has a
    schedule and no ticks.

    With --export the times are printed as timers of systemd, lines of a crontab, CronJobs of Kubernetes, or a workflow
    of GitHub that run `batchsync sync JOB`. What a format cannot express is refused with its place in jobs.yaml.

    Returns:
        The report to print, with the exit code.

    Raises:
        UsageError: If there is a folder to write to and no format.
    """
    deployment = session.deployment()
    names = chosen_jobs(session, deployment, jobs, exclude).names
    now = session.now()
    chosen = [job for job in deployment.jobs if job.name in names]
    if form is not None:
        return Answer(report=exported(chosen, form, session.settings(), into))
    if into is not None:
        raise UsageError("--into needs --export", hint="add --export systemd, cron, kubernetes or github")
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
