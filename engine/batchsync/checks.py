"""Checks of jobs against their local sources, and of what a revision of jobs.yaml may not contain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.errors import Problem, SourceError, SpecError, without_hidden
from batchsync.report.sources import where_elsewhere
from batchsync.spec import fill_in_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from batchsync.core.backup import BackupTarget
    from batchsync.core.job import Job
    from batchsync.settings import Settings


def check_jobs(
    jobs: Iterable[Job], unchecked: Sequence[str], check_job: Callable[[Job], Iterable[Problem]]
) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
    """Check jobs against their sources, offline.

    Args:
        jobs: The jobs.
        unchecked: What placeholders stand in for.
        check_job: Returns the mismatches of a job with its local source.

    Returns:
        Problems, and notes on what was not checked.
    """
    problems, notes = list[Problem](), list[str]()
    if unchecked:
        notes.append(f"not checked, because values come from the environment: {', '.join(unchecked)}")
    for job in jobs:
        if job.source.job is not None:
            notes.append(f'{job.name}: not checked: its source is the answers of job "{job.source.job}"')
        elif not job.source.is_local:
            notes.append(f"{job.name}: not checked: {where_elsewhere(job.source)}")
        else:
            try:
                problems += check_job(job)
            except SourceError as error:
                failure = " ".join(text for text in (f"{error.message}.", error.hint) if text)
                notes.append(f"{job.name}: {failure} Its columns were not checked")
    return tuple(without_hidden(item) for item in fill_in_lines(tuple(problems))), tuple(notes)


def refuse_backup_in_revision(backup: BackupTarget | None, settings: Settings) -> None:
    """Refuse a folder of backups in a revision that `serve` follows, which is deleted later.

    Args:
        backup: Where the state folder is backed up; None for nowhere.
        settings: Settings with the state folder.

    Raises:
        SpecError: If it is there.
    """
    if backup is None or backup.storage is not None or not settings.is_in_checkouts(backup.path):
        return
    place = backup.place
    problem = Problem(
        code="spec.backup",
        message='"path" is part of the files that `serve` follows, which are deleted with their revision',
        file=place.file,
        line=place.line,
        column=place.column,
        expected="an absolute path",
    )
    raise SpecError(fill_in_lines((problem,)))
