"""Report of `batchsync state list` and `state show`: what the state folder holds of each job, with sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.report.text_format import Style, columns, escape_controls, iso, markdown, markdown_table, moment, size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

_HEADER = ("job", "in jobs.yaml", "runs", "open batches", "baseline", "bytes", "last run")
_RIGHT = frozenset({2, 3, 4, 5})


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineState:
    """A baseline: the id of its account and target, and its segments with the number of their entries.

    A key that was delivered several times has an entry in several segments until they are merged.
    """

    account_id: str
    segments: int
    entries: int

    def data(self) -> dict[str, object]:
        """Return the baseline as a JSON-compatible dictionary."""
        return {"account": self.account_id, "segments": self.segments, "entries": self.entries}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """What the state folder holds of a job.

    Attributes:
        job: Name of the job.
        declared: Whether jobs.yaml has it.
        runs: Number of its runs.
        open_batches: Ids of its open batches.
        baselines: Its baselines, one for each account and target.
        baseline_bytes: Size of their files.
        batch_bytes: Size of its batch files and row manifests.
        rejects: Number of its rejects.
        reject_bytes: Size of the files of rejects beyond the first ones of a run.
        last_run: When its newest run began; None if it never ran.
    """

    job: str
    declared: bool
    runs: int
    open_batches: tuple[str, ...]
    baselines: tuple[BaselineState, ...]
    baseline_bytes: int
    batch_bytes: int
    rejects: int
    reject_bytes: int
    last_run: datetime | None

    @property
    def bytes(self) -> int:
        """Size of all files of the job."""
        return self.baseline_bytes + self.batch_bytes + self.reject_bytes

    @property
    def entries(self) -> int:
        """Number of the entries of all baselines."""
        return sum(item.entries for item in self.baselines)

    def data(self) -> dict[str, object]:
        """Return the state as a JSON-compatible dictionary."""
        return {
            "job": self.job,
            "declared": self.declared,
            "runs": self.runs,
            "open_batches": list(self.open_batches),
            "baselines": [item.data() for item in self.baselines],
            "baseline_bytes": self.baseline_bytes,
            "batch_bytes": self.batch_bytes,
            "rejects": self.rejects,
            "reject_bytes": self.reject_bytes,
            "last_run": iso(self.last_run),
        }

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the job in a table."""
        return (
            self.job,
            "yes" if self.declared else "no",
            f"{self.runs:,}",
            f"{len(self.open_batches):,}",
            f"{self.entries:,}",
            size(self.bytes),
            moment(self.last_run) if self.last_run else "never",
        )

    def sentences(self) -> Iterator[str]:
        """Yield the state in sentences."""
        yield f"{self.job}: {'declared in jobs.yaml' if self.declared else 'not in jobs.yaml'}, {self.runs:,} runs kept"
        for item in self.baselines:
            yield f"baseline at account {item.account_id}: {item.entries:,} entries in {item.segments:,} segments"
        if not self.baselines:
            yield "no baseline: no target is known to hold anything"
        yield f"open batches: {', '.join(self.open_batches) or 'none'}"
        yield f"rejects: {self.rejects:,}"
        rejects = f", {size(self.reject_bytes)} of rejects" if self.reject_bytes else ""
        yield f"files: {size(self.baseline_bytes)} of baselines, {size(self.batch_bytes)} of batches{rejects}"
        yield f"last run: {moment(self.last_run) if self.last_run else 'never'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateReport:
    """The jobs of a state folder.

    Attributes:
        folder: The state folder.
        journal_bytes: Size of the journal.
        jobs: What it holds of each job.
        details: Whether each job is shown in sentences instead of a line of a table.
    """

    folder: str
    journal_bytes: int
    jobs: tuple[JobState, ...]
    details: bool = False

    def text(self, paint: Style) -> str:
        """Return a table of the jobs, or sentences."""
        if self.details:
            return "\n".join(escape_controls(line) for job in self.jobs for line in job.sentences())
        table = (
            columns(_HEADER, [job.cells() for job in self.jobs], paint, right=_RIGHT) if self.jobs else "no jobs yet"
        )
        return f"{table}\n{self._folder()}"

    def markdown(self) -> str:
        """Return a Markdown table of the jobs, or a list."""
        if self.details:
            return "\n".join(f"- {markdown(line)}" for job in self.jobs for line in job.sentences())
        table = markdown_table(_HEADER, [job.cells() for job in self.jobs], right=_RIGHT)
        return f"### batchsync state list\n\n{table}\n\n- {markdown(self._folder())}"

    def data(self) -> dict[str, object]:
        """Return the jobs as a JSON-compatible dictionary."""
        jobs = [job.data() for job in self.jobs]
        return {"state": self.folder, "journal_bytes": self.journal_bytes, "jobs": jobs}

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield one NDJSON object per job."""
        for job in self.jobs:
            yield {"event": "job_state"} | job.data()

    def _folder(self) -> str:
        return escape_controls(f"journal: {size(self.journal_bytes)} in {self.folder}")
