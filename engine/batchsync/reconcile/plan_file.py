"""Plan files: write the plans of jobs with their rows to one file, and read such a file with every check."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batchsync.core.plan_file import (
    Author,
    NewerFormatError,
    PinnedFile,
    PinnedPlan,
    PinnedSource,
    PlanFile,
)
from batchsync.core.plan_moved import declared_digest, sending_digest
from batchsync.errors import UsageError
from batchsync.ports import Comparison
from batchsync.reconcile.removed_answers import absent_file
from batchsync.util.files import sha256_of_file, translate_os_errors
from batchsync.util.sealed_archive import Archive, ArchiveError, is_archive, read_archive, write_archive

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from batchsync.core.forecast import Forecast
    from batchsync.core.job import Source
    from batchsync.ports import PlanRows
    from batchsync.reconcile.plan import JobPlan
    from batchsync.reconcile.services import Services

#: Word by which plan files are recognized.
KIND = "batchsync-plan"
_AGAIN = "make the plan again: `batchsync plan --out FILE`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """A plan of a job to be written: its facts, and the files that make up its rows."""

    plan: PinnedPlan
    parts: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a plan file says of a job besides its plan.

    Attributes:
        in_flight: Number of open batches.
        edited: Whether the job was edited since its last run.
        expected: What sending is expected to cost; None if nothing is sent.
    """

    in_flight: int
    edited: bool
    expected: Forecast | None = None


def pin(job_plan: JobPlan, facts: Facts, services: Services) -> Pinned:
    """Pin the rows of a plan. The plan must not be changed by a run meanwhile.

    Args:
        job_plan: The plan of a job.
        facts: What else the plan file says of the job.
        services: Data engine to use.

    Returns:
        The plan with its files, which are valid as long as the folder of the comparison.

    Raises:
        SourceError: If the source changed after it was compared.
        BatchsyncError: If the state folder is damaged or the disk is full.
    """
    context, comparison = job_plan.context, job_plan.comparison
    job, part = context.job, job_plan.partial_read
    removes = job_plan.answers is not None and job_plan.answers.absent
    answers = absent_file(comparison) if removes else None
    rows = services.plan_rows.pin(job, context.rules, comparison, job_plan.baseline, answers)
    plan = PinnedPlan(
        plan=comparison.plan,
        unguarded=job_plan.unguarded,
        declared=declared_digest(job),
        sending=sending_digest(context.rules, job),
        approved=job_plan.approved,
        answers=job_plan.answers,
        in_flight=facts.in_flight,
        edited=facts.edited,
        budget=job.budget,
        personal=job.source.personal,
        source=_source(job.source, rows.source_files),
        partial=(part.column, part.start) if part is not None else None,
        expected=facts.expected,
    )
    return Pinned(plan=plan, parts=rows.parts)


def write_plan_file(path: Path, author: Author, state: str, pinned: Iterable[Pinned]) -> PlanFile:
    """Write a plan file with mode 0600, at once; another plan file is replaced, and no other file.

    Args:
        path: The file.
        author: Who makes it.
        state: Id of the journal that the plans were made with; empty if there is none.
        pinned: The plans.

    Returns:
        The content, with the id of the file.

    Raises:
        UsageError: If the path has another kind of file, its folder is missing, or there is no plan.
        UnavailableError: If it cannot be written.
    """
    plans = tuple(pinned)
    if not plans:
        raise UsageError("there is no job to plan, so no plan file is written", hint="add a job to jobs.yaml")
    refuse_other_file(path)
    content = PlanFile(author=author, state=state, plans=tuple(item.plan for item in plans))
    parts = {f"{_folder(index)}/{part.name}": part for index, item in enumerate(plans) for part in item.parts}
    with translate_os_errors(f"{path}: cannot write the plan file", hint="name another file with --out"):
        digest = write_archive(path, KIND, content.to_dict(), parts)
    return replace(content, id=digest)


def refuse_other_file(path: Path) -> None:
    """Refuse a path at which no plan file can be written.

    Raises:
        UsageError: If it has another kind of file, or its folder is missing.
    """
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} is no folder", hint="create it, or name another file with --out")
    if path.exists() and not (path.is_file() and is_archive(path, KIND)):
        raise UsageError(f"{path} exists and is no plan file", hint="name another file with --out, or delete it")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedPlanFile:
    """A plan file that was read and verified, with its parts in a private folder."""

    path: Path
    content: PlanFile
    folder: Path

    def folder_of(self, job: str) -> Path:
        """Return the folder of the parts of a job."""
        return self.folder / _folder([plan.job for plan in self.content.plans].index(job))

    def comparison_of(self, job: str) -> Comparison:
        """Return the comparison that the plan of a job was pinned from, as far as the file has it."""
        return Comparison(plan=self.plan_of(job).plan, folder=self.folder_of(job))

    def plan_of(self, job: str) -> PinnedPlan:
        """Return the plan of a job."""
        return next(plan for plan in self.content.plans if plan.job == job)


def read_content(path: Path) -> tuple[PlanFile, Archive]:
    """Read what a plan file says, without its rows.

    Args:
        path: The file.

    Returns:
        The content, and the archive to extract the rows from.

    Raises:
        UsageError: If it is no plan file, is damaged or was changed, or a newer batchsync wrote it.
        UnavailableError: If it cannot be read.
    """
    if not path.is_file():
        raise UsageError(f"there is no plan file {path}", hint="`batchsync plan --out FILE` writes one")
    with translate_os_errors(f"{path}: cannot read the plan file", hint="check the path and its permissions"):
        try:
            archive = read_archive(path, KIND)
            return PlanFile.from_dict(archive.content, archive.digest), archive
        except ArchiveError as error:
            raise UsageError(f"{path} {error}".replace("is no such file", "is no plan file"), hint=_AGAIN) from None
        except NewerFormatError as error:
            raise UsageError(f"{path} was written by a newer batchsync: {error}", hint="upgrade batchsync") from None
        except ValueError as error:
            raise UsageError(f"{path} is no plan file: {error}", hint=_AGAIN) from None


def open_plan_file(path: Path, into: Path, rows: PlanRows) -> OpenedPlanFile:
    """Read a plan file and verify all of it.

    Args:
        path: The file.
        into: Existing private folder for its parts.
        rows: Operations on the rows of plan files.

    Returns:
        The plan file.

    Raises:
        UsageError: If it is no plan file, is damaged or was changed, or a newer batchsync wrote it.
        UnavailableError: If it cannot be read, or the disk is full.
    """
    content, archive = read_content(path)
    with translate_os_errors(f"{path}: cannot read the plan file", hint="free some space, then try again"):
        try:
            archive.extract(into)
        except ArchiveError as error:
            raise UsageError(f"{path} {error}", hint=_AGAIN) from None
    opened = OpenedPlanFile(path=path, content=content, folder=into)
    for pinned in content.plans:
        rows.verify_pinned(pinned.plan, opened.folder_of(pinned.job))
    return opened


def _folder(index: int) -> str:
    """Return the folder of the parts of a plan; names of jobs may be no names of files."""
    return f"plans/{index}"


def _source(source: Source, files: Sequence[Path]) -> PinnedSource:
    """Return what a source is now: its files with their digests, those of landed parts as the fetcher made them."""
    landed = {part.path: part for part in source.parts}
    found = []
    for path in files:
        part = landed.get(str(path))
        name = part.origin if part is not None else _relative(path, source.folder)
        digest = part.sha256 if part is not None else sha256_of_file(path)
        found.append(PinnedFile(name=name or path.name, size=path.stat().st_size, sha256=digest))
    return PinnedSource(title=source.path, version=source.version, files=tuple(found))


def _relative(path: Path, folder: str) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else path.name
