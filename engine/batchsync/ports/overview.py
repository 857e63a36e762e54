"""Values of the journal for pages that show many runs and batches: sums and excerpts instead of whole batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from batchsync.core.row_outcome import OutcomeCounts

if TYPE_CHECKING:
    from datetime import datetime

    from batchsync.core.batch import Batch, Phase, Verb
    from batchsync.core.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSum:
    """Sums over the batches of a run that are alike.

    Attributes:
        phase: Their phase.
        parked_from: Phase in which they were parked; None if they are not.
        pending_intent: Their call in doubt.
        batches: Number of batches.
        rows: Records in their files.
        size: Bytes of their files.
        counts: Row outcomes; None if they are not collected.
        failing: Number of batches whose last call failed.
    """

    phase: Phase
    parked_from: Phase | None
    pending_intent: Verb | None
    batches: int
    rows: int
    size: int
    counts: OutcomeCounts | None
    failing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """A run with sums over its batches."""

    run: Run
    batches: tuple[BatchSum, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBatches:
    """Open batches of a job: all, those that wait for a person, and those whose last call failed."""

    batches: int = 0
    parked: int = 0
    failing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event of a batch as journaled: number, time, kind, and its JSON-compatible content."""

    no: int
    batch: str
    at: datetime
    kind: str
    content: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfRuns:
    """The runs that began on one day (UTC).

    Attributes:
        day: The day, such as `2026-11-30`.
        runs: Number of runs.
        seconds: Sum of the durations of those that are settled.
        selected: Records that they selected.
        sent: Records that they sent.
        invalid: Records that were not sent because they are invalid.
        outcomes: Outcomes of the sent records, as far as they are collected.
        complete: Whether no run of the day is open.
    """

    day: str
    runs: int
    seconds: float
    selected: int
    sent: int
    invalid: int
    outcomes: OutcomeCounts = field(default_factory=OutcomeCounts)
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectSearch:
    """Which rejects are wanted; empty members restrict nothing.

    Attributes:
        job: Name of a job.
        run: Id of a run.
        kind: Kind of rejects; empty for all but those that end as declared.
        code: Code of the reason, which may be empty; None for any.
        field: Field that was refused, which may be empty; None for any.
        key: Part of the key.
        after: Number of the reject after which they begin.
    """

    job: str = ""
    run: str = ""
    kind: str = ""
    code: str | None = None
    field: str | None = None
    key: str = ""
    after: int = 0


class OrderStore(Protocol):
    """What the performer of orders needs of the journal."""

    def last_run(self, job: str) -> Run | None:
        """Return the newest run of a job; None if it has none."""
        ...

    def batch(self, batch: str) -> Batch | None:
        """Return a batch by its id; None if there is none."""
        ...

    def last_event(self, batch: str) -> int:
        """Return the number of the newest event of a batch."""
        ...

    def approved(self, job: str, plan: str) -> bool:
        """Return whether a plan was approved."""
        ...

    def approve(self, job: str, plan: str, reason: str, at: datetime) -> None:
        """Record the approval of a plan."""
        ...
