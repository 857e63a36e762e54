"""`lading validate`."""

from __future__ import annotations

from lading.cli.command import command
from lading.cli.session import Answer, Session
from lading.errors import SpecError
from lading.report.guards import JobGuards
from lading.report.said import Said
from lading.report.words import noun


@command("validate", example="lading validate --file jobs.yaml")
def validate(session: Session) -> Answer:
    """Check jobs.yaml and its sources without sending anything.

    Every problem is shown with its place, its line and what would be right, all at once; without any, the guards that
    hold for each job, defaults included. Needs no secret and no network. A source that is not there is a note and no
    problem: jobs may be kept where their data is not.
    """
    with session.app() as app:
        deployment = app.deployment
        problems, notes = app.check()
        if problems:
            raise SpecError(problems)
        jobs, connections = len(deployment.jobs), len(deployment.connections)
        said = f"{app.settings.file}: valid, {noun(jobs, 'job')} and {noun(connections, 'connection')}"
        guards = [JobGuards(job.name, job.guards, removes=job.removal is not None) for job in deployment.jobs]
        facts = {
            "file": str(app.settings.file),
            "jobs": [job.name for job in deployment.jobs],
            "connections": list(deployment.connections),
            "guards": {one.job: one.data() for one in guards},
            "notes": list(notes),
        }
        report = Said(
            sentences=(said, *(one.text() for one in guards), *(f"note: {note}" for note in notes)),
            facts=facts,
            next_step="`lading plan` shows what a sync would send",
        )
        return Answer(report=report)
