"""What jobs.yaml declares, for commands that read the journal and should work when jobs.yaml does not.

It does not know what the journal holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lading.errors import LadingError, UsageError
from lading.spec.suggest import names_hint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.app import App
    from lading.cli.session import Session
    from lading.core.guards import Budget
    from lading.core.job import Deployment, Job
    from lading.journal import Journal
    from lading.reconcile.context import JobContext, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The jobs by name, or none of them and a note on why."""

    deployment: Deployment | None = None
    jobs: Mapping[str, Job] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def budgets(self) -> dict[str, Budget]:
        """Return each job's budget."""
        return {name: job.budget for name, job in self.jobs.items()}


def declared(session: Session, journal: Journal | None) -> Declared:
    """Return what jobs.yaml declares. A broken file is a note when there is a journal to speak of.

    Raises:
        LadingError: when the file cannot be used and there is no journal either.
    """
    try:
        deployment = session.deployment()
    except LadingError as error:
        if journal is None:
            raise
        return Declared(notes=(f"{session.settings().file}: {error.message}; `lading validate` shows them",))
    return Declared(deployment=deployment, jobs={job.name: job for job in deployment.jobs})


def context_of(app: App, job: str) -> JobContext | None:
    """Return a job with everything it takes to run it; None when the jobs file declares it no more."""
    found = [one for one in app.deployment.jobs if one.name == job]
    return app.context(found[0]) if found else None


def world_of(app: App, job: str) -> World:
    """Return the world in which a job runs; that of all jobs, when the jobs file declares it no more."""
    return app.world([one.name for one in app.deployment.jobs if one.name == job])


def check_known(session: Session, journal: Journal | None, job: str) -> None:
    """Raise UsageError unless the job ran once or is declared."""
    if journal is not None and journal.last_run(job) is not None:
        return
    jobs = session.deployment().jobs
    if job not in {one.name for one in jobs}:
        raise UsageError(f'there is no job "{job}"', hint=names_hint(job, (one.name for one in jobs), "jobs"))
