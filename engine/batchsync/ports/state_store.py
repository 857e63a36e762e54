"""What the engine asks of its memory, the journal. It does not know how anything is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from lading.core.batch import Batch
    from lading.core.events import Delivered, Event, Resolved
    from lading.core.run import Run
    from lading.ports.rows import Reject


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentEntry:
    """A segment as the journal points to it: the name of its file, its digest, how many rows."""

    file: str
    digest: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineEntry:
    """A baseline as the journal points to it: which job and target account, which segments, oldest first."""

    job: str
    identity: str
    segments: tuple[SegmentEntry, ...]


class Memory(Protocol):
    """The journal, as the reconcile loop sees it. Every method that writes is one transaction."""

    def start_run(
        self,
        run: Run,
        batches: Sequence[Batch],
        invalid: Iterable[Sequence[Reject]],
        *,
        slot: datetime | None = None,
    ) -> None:
        """Remember a run, its invalid rows, and its batches: all, with the slot that it is for, or the first."""
        ...

    def add_batch(self, batch: Batch, *, slot: datetime | None = None) -> Run:
        """Remember the next batch of a run that is preparing; with the last the run is prepared and has its slot."""
        ...

    def cut_run(self, run: str, at: datetime) -> Run:
        """Remember that the preparing of a run came to no end: what is not in a batch is held for the next run."""
        ...

    def preparing_runs(self, job: str) -> Sequence[Run]:
        """Return the runs of a job whose batches are not all sealed, oldest first."""
        ...

    def record(self, batch: Batch, event: Event) -> Batch:
        """Remember an event and return the batch as it is after it."""
        ...

    def deliver(
        self, batch: Batch, event: Delivered, *, baseline: BaselineEntry | None, rejects: Iterable[Sequence[Reject]]
    ) -> Batch:
        """Remember the delivery, the new baseline and the rejects, and settle the run if it was the last batch."""
        ...

    def resolve(self, batch: Batch, event: Resolved, *, baseline: BaselineEntry) -> Batch:
        """Remember how the unknown rows of a delivered batch ended, and the baseline that knows it."""
        ...

    def unknown_keys(self, batch: str) -> Sequence[str]:
        """Return the keys of the rows of a batch whose outcome is unknown."""
        ...

    def open_batches(self, job: str | None = None) -> Sequence[Batch]:
        """Return the batches that are not delivered, stuck ones included, oldest first."""
        ...

    def unresolved(self, job: str) -> Sequence[Batch]:
        """Return the delivered batches of a job with rows of unknown outcome, oldest first."""
        ...

    def batches(self, run: str) -> Sequence[Batch]:
        """Return all batches of a run."""
        ...

    def last_run(self, job: str) -> Run | None:
        """Return the newest run of a job, whatever its state."""
        ...

    def last_planned(self, job: str, identity: str) -> Run | None:
        """Return the newest run of a job to an account that no guard held."""
        ...

    def run(self, run: str) -> Run:
        """Return a run by its id."""
        ...

    def check_lease(self, job: str) -> None:
        """Raise LockedError when the job that this process runs was taken away from it."""
        ...

    def baseline_files(self, job: str) -> Sequence[str]:
        """Return the names of all baseline segments of a job that the journal points to, whatever the account."""
        ...

    def next_serial(self, job: str) -> int:
        """Return the number of the job's next run."""
        ...

    def attempts_used(self, job: str, digest: str) -> int:
        """Return the greatest attempt that any batch of this job and content ever used; 0 if none."""
        ...

    def baseline(self, job: str, identity: str) -> BaselineEntry | None:
        """Return what the target is known to hold for this job."""
        ...

    def high_water(self, job: str, identity: str, spec_hash: str) -> str | None:
        """Return the greatest `since` value up to which the target surely holds every row as this spec makes it."""
        ...

    def watch(self, job: str, at: datetime) -> datetime:
        """Return the latest slot of this job that was run or given up; else when it was first seen, which may be `at`.

        So the moment at which a job is seen for the first time is remembered, and slots after it are missed by nobody.
        """
        ...

    def claim_slot(self, job: str, slot: datetime) -> bool:
        """Give a slot up, since its source cannot be used; False when it was run or given up before."""
        ...

    def approved(self, job: str, plan: str) -> bool:
        """Whether a person approved exactly this plan."""
        ...
