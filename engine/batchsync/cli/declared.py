"""Jobs declared in jobs.yaml, for commands that read the journal and also work with an invalid jobs.yaml."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchsync.errors import BatchsyncError, UsageError
from batchsync.util.suggestions import names_hint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchsync.app import App
    from batchsync.cli.session import Session
    from batchsync.core.deployment import Deployment
    from batchsync.core.guards import Budget
    from batchsync.core.job import Job
    from batchsync.journal import Journal
    from batchsync.reconcile.services import JobContext, Services


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredJobs:
    """Declared jobs by name; if jobs.yaml is invalid, no jobs and a note."""

    deployment: Deployment | None = None
    jobs: Mapping[str, Job] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def job(self, name: str) -> Job | None:
        """Return the declared job that has this name or had it; None if there is none."""
        return next((job for job in self.jobs.values() if name in job.all_names), None)

    @property
    def budgets(self) -> dict[str, Budget]:
        """Budget by job name."""
        return {name: job.budget for name, job in self.jobs.items()}


def declared(session: Session, journal: Journal | None) -> DeclaredJobs:
    """Return the declared jobs. An invalid file becomes a note if there is a journal.

    Raises:
        BatchsyncError: If the file is invalid and there is no journal.
    """
    try:
        deployment = session.deployment()
    except BatchsyncError as error:
        if journal is None:
            raise
        return DeclaredJobs(notes=(f"{session.settings().file}: {error.message}; `batchsync validate` shows them",))
    return DeclaredJobs(deployment=deployment, jobs={job.name: job for job in deployment.jobs})


def known_names(session: Session, journal: Journal | None) -> set[str]:
    """Return the names of all jobs: those of the journal, and those of jobs.yaml if it is valid."""
    names = set(journal.jobs()) if journal is not None else set()
    with suppress(BatchsyncError):
        names |= {job.name for job in session.deployment().jobs}
    return names


def context_of(app: App, job: str) -> JobContext | None:
    """Return the context of a job, under a former name if it is one; None if it is no longer in jobs.yaml."""
    found = next((item for item in app.deployment.jobs if job in item.all_names), None)
    if found is None:
        return None
    context = app.context(found)
    if found.name == job:
        return context
    from batchsync.reconcile.renames import as_former  # noqa: PLC0415 - commands that only read need no reconciling

    return as_former(context, job)


def services_of(app: App, job: str) -> Services:
    """Return the services of a job; those of all jobs if it is no longer in jobs.yaml."""
    return app.services([item.name for item in app.deployment.jobs if job in item.all_names])


def check_known(session: Session, journal: Journal | None, job: str) -> None:
    """Check that a job ran before or is declared.

    Raises:
        UsageError: If it did neither.
    """
    if journal is not None and journal.last_run(job) is not None:
        return
    jobs = session.deployment().jobs
    if job not in {item.name for item in jobs}:
        raise UsageError(
            f'unknown job "{job}"', hint=names_hint(job, (item.name for item in jobs), "jobs"), name="usage.unknown_job"
        )
