"""Checks of jobs against sources elsewhere, for `validate --online` and `doctor`: few rows are read, if any."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batchsync.errors import BatchsyncError, Problem
from batchsync.report.sources import ColumnsReport
from batchsync.util.scratch import scratch_folder
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from batchsync.app import App
    from batchsync.core.job import Job
    from batchsync.source.columns import Described


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineCheck:
    """What a source elsewhere was found to be.

    Attributes:
        job: Name of the job.
        sources: The columns of the source and of its joins, as far as they are elsewhere.
        problems: Mismatches of the job with them.
        error: Why the source could not be examined; None if it was.
    """

    job: str
    sources: tuple[ColumnsReport, ...] = ()
    problems: tuple[Problem, ...] = ()
    error: BatchsyncError | None = None


def is_online(job: Job) -> bool:
    """Return whether only `--online` can check a job against its source."""
    return not job.source.is_local and not job.source.is_stdin and job.source.job is None


def examine_online(app: App, jobs: Iterable[Job]) -> Iterator[OnlineCheck]:
    """Examine the sources of jobs for which `is_online`; one that cannot be reached does not stop the others.

    Args:
        app: The application.
        jobs: The jobs.

    Yields:
        What was found for each of them.
    """
    with scratch_folder() as scratch:
        for number, job in enumerate(jobs):
            try:
                yield _examined(app, job, scratch / str(number))
            except BatchsyncError as error:
                yield OnlineCheck(job=job.name, error=error)


def _examined(app: App, job: Job, folder: Path) -> OnlineCheck:
    from batchsync.source.columns import describe_source  # noqa: PLC0415 - only `--online` needs pyarrow here
    from batchsync.spec import fill_in_lines  # noqa: PLC0415 - help reads no jobs file

    source, described = describe_source(job.source, folder, app.login, app.access)
    reports = tuple(ColumnsReport(title=item.title, columns=item.columns) for item in described if item.columns)
    problems = tuple(problem for item in described for problem in _refused(item))
    problems += tuple(app.check_job(replace(job, source=source), app.rules_of(job)))
    return OnlineCheck(job=job.name, sources=reports, problems=fill_in_lines(problems))


def _refused(described: Described) -> Iterator[Problem]:
    """Yield a problem for each column whose values cannot be read."""
    for column in described.columns:
        if column.refusal:
            yield Problem(
                code="source.unreadable_column",
                message=f"{described.title}: column {quoted(column.name)} ({column.declared}) cannot be read",
                file=described.place.file,
                line=described.place.line,
                column=described.place.column,
                suggestion=column.refusal,
            )
