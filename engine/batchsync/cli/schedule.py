"""`lading schedule`."""

from __future__ import annotations

import click

from lading.cli.command import command, job_names
from lading.cli.session import Answer, Session
from lading.errors import UsageError
from lading.report.slots import JobSlots, SlotsReport
from lading.schedule import explain, next_slots
from lading.spec.suggest import names_hint


@command("schedule", example="lading schedule\nlading schedule guests -n 10")
@job_names
@click.option(
    "-n", "--number", type=click.IntRange(1, 1000), metavar="N", default=5, help="How many of each (default: 5)."
)
def schedule(session: Session, jobs: tuple[str, ...], *, number: int) -> Answer:
    """Show when jobs run next.

    Each slot is given in the job's own time zone and in UTC. Only `lading serve` starts jobs by itself; for cron or CI
    these are the moments to run `lading sync JOB`.
    """
    declared = {job.name: job for job in session.deployment().jobs}
    for name in jobs:
        if name not in declared:
            raise UsageError(f'there is no job "{name}"', hint=names_hint(name, declared, "jobs"))
    now = session.now()
    chosen = [declared[name] for name in jobs or declared]
    report = SlotsReport(
        now=now,
        jobs=tuple(
            JobSlots(
                job=job.name,
                words=explain(job.schedule),
                timezone=job.schedule.timezone,
                slots=next_slots(job.schedule, now, number),
            )
            for job in chosen
            if job.schedule is not None
        ),
    )
    return Answer(report=report)
