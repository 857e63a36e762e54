"""`batchsync validate`."""

from __future__ import annotations

from batchsync.cli.command import command
from batchsync.cli.session import Answer, Session
from batchsync.errors import SpecError
from batchsync.report.guards import JobGuards
from batchsync.report.message import Message
from batchsync.report.text_format import pluralize


@command("validate", example="batchsync validate --file jobs.yaml")
def validate(session: Session) -> Answer:
    """Check jobs.yaml and its sources without sending anything.

    Shows all problems at once, each with its location and a correction. Needs no secrets and no network. A missing
    source is a note and not a problem: jobs may be validated where their data is not available. Without
    problems, the guards of each job are listed, defaults included.

    Returns:
        The report to print, with the exit code.

    Raises:
        SpecError: If there is a problem.
    """
    with session.app() as app:
        deployment = app.deployment
        problems, notes = app.check()
        if problems:
            raise SpecError(problems)
        jobs, connections = len(deployment.jobs), len(deployment.connections)
        summary = f"{app.settings.file}: valid, {pluralize(jobs, 'job')} and {pluralize(connections, 'connection')}"
        guards = [JobGuards(job.name, job.guards, removes=job.removes) for job in deployment.jobs]
        facts = {
            "file": str(app.settings.file),
            "jobs": [job.name for job in deployment.jobs],
            "connections": list(deployment.connections),
            "guards": {guard.job: guard.data() for guard in guards},
            "notes": list(notes),
        }
        report = Message(
            sentences=(summary, *(guard.text() for guard in guards), *(f"note: {note}" for note in notes)),
            facts=facts,
            next_step="`batchsync plan` shows what a sync would send",
        )
        return Answer(report=report)
