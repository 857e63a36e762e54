"""What the reconcile loop asks of the world: one Protocol for each thing outside. It knows no adapter.

Implementations raise the three kinds of `lading.errors.VendorFailure` for vendors, and a `LadingError` elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path

    from lading.core.accounting import Tally
    from lading.core.batch import Batch, BatchFile, Books, Slot, Ticket, Verdict
    from lading.core.events import Delivered, Event, Resolved
    from lading.core.job import Job, Results
    from lading.core.run import Run
    from lading.core.vendor_rules import VendorRules


class Clock(Protocol):
    """Time, as an argument. Only `app` makes one that reads the wall clock."""

    def now(self) -> datetime:
        """Return the moment, aware, in UTC."""
        ...

    def sleep(self, duration: timedelta) -> None:
        """Wait."""
        ...


@dataclass(frozen=True, slots=True)
class Empty:
    """The vendor knows the slot, and no file is in it."""

    word: str


@dataclass(frozen=True, slots=True)
class Running:
    """The vendor has the file and is not done."""

    word: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The vendor is done."""

    verdict: Verdict
    word: str


Status = Empty | Running | Finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloads:
    """What the vendor said about the rows, as files on our disk, in the vendor's own format.

    `results` holds the answers of accepted rows, `errors` the refused rows. `errors_missing` is true when the vendor
    says that rows failed and gives no log of them.
    """

    results: Path | None = None
    errors: Path | None = None
    errors_missing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """What the vendor says of a job's target before anything is sent.

    `params` is what allocation needs (kept with the batch); `columns` is the input template, when the vendor has one.
    """

    params: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] | None = None


class Vendor(Protocol):
    """All the engine ever asks of a vendor, about one batch.

    Raises only `DidNotHappen`, `Unclear`, `Permanent` (and its child `SlotGone`, from `upload` alone).
    """

    def describe(self, target: Mapping[str, str]) -> TargetFacts:
        """Check the credentials and resolve a job's target, before anything is prepared. Repeatable."""
        ...

    def allocate(self, ticket: Ticket, file: BatchFile, params: Mapping[str, str]) -> Slot:
        """Ask for a place to put the file, under our ticket."""
        ...

    def find(self, ticket: Ticket, params: Mapping[str, str]) -> Slot | None:
        """Say whether an earlier allocation under this ticket arrived. A slot without URL can take no file."""
        ...

    def upload(self, slot: Slot, file: BatchFile) -> None:
        """Put the whole file into the slot, or it did not happen."""
        ...

    def poll(self, slot: Slot) -> Status:
        """Say how far the vendor is with the file. An unknown word is Running."""
        ...

    def collect(self, slot: Slot, verdict: Verdict, into: Path) -> Downloads:
        """Fetch results and row errors into the folder, whole or not at all."""
        ...

    def cancel(self, slot: Slot) -> None:
        """Ask the vendor to cancel a batch that it has not begun. Permanent when it cannot."""
        ...


class Connect(Protocol):
    """What an entry point of the group `lading.vendors` names: makes the vendor behind one connection.

    Nothing is asked of the vendor yet. Raises UsageError for a base URL that is not the vendor's.
    """

    def __call__(
        self,
        rules: VendorRules,
        *,
        base_url: str,
        credentials: Mapping[str, str],
        ca_bundle: str | None,
        clock: Clock,
        user_agent: str,
    ) -> Vendor:
        """Return the vendor."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Part of a baseline: an immutable Parquet file, named by its digest, and how many rows it has.

    A row says what became of one key: `key` String, `accepted` Binary(16) or null (fingerprint the target holds),
    `last` Binary(16) or null with `last_state` UInt8 (1 rejected, 2 unknown): how the newest version ended when it was
    not accepted. `as_before` Boolean says that `accepted` is what older segments say. A row that knows nothing at all
    says that the key is gone. Files of older releases have no `as_before`: it is false in them.
    """

    path: Path
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What a target is known to have accepted: segments, oldest first, of which the newest word on a key counts.

    No segment is nothing yet. The same file may stand twice, when the same thing happened again.
    """

    segments: tuple[Segment, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows the segments have together: at least as many as there are keys, and exactly in one segment."""
        return sum(one.rows for one in self.segments)

    @property
    def paths(self) -> list[Path]:
        """The files of the segments, oldest first."""
        return [one.path for one in self.segments]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The result of comparing a source with a baseline, staged in a work folder. The plan of a run, before guards.

    `folder` holds `changes.parquet`, `invalid.parquet` and what else `stage` needs. `fingerprint` is a hex digest
    that is equal exactly when the same changes would be sent under the same spec from the same baseline.
    `high_water` is the greatest `since` value seen, when the job sends by it.
    `warnings` counts broken rules that only warn, by rule; `baseline_rows` how many records the target holds.
    """

    tally: Tally
    fingerprint: str
    folder: Path
    baseline_rows: int
    high_water: str | None = None
    warnings: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """One record that did not get there: `kind` is invalid, rejected or unknown.

    `line` counts data records in the batch file from 1 (0 for invalid rows, which are in none); `row` counts rows of
    the source from 1 (0 when not known). `field` and `code` say which column and rule, or the vendor's code;
    `reason` holds no unmasked value. `retry` says that the row may be sent again unchanged.
    """

    kind: str
    key: str
    reason: str
    code: str = ""
    field: str = ""
    line: int = 0
    row: int = 0
    retry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RowVerdicts:
    """How each row of one batch ended. `path` is a Parquet file: key, fingerprint, op, state, retry (for the baseline).

    `answers` is a Parquet file of the vendor's answers with the key columns in front, when the vendor sends answers.
    `unattributed` counts lines of the vendor's log that name no row that was sent.
    """

    books: Books
    path: Path
    answers: Path | None = None
    unattributed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """What is known of one key.

    `held` says that the target holds a version of it; `newest` how its newest version ended: accepted, rejected or
    unknown, and empty when the baseline knows nothing of it. `lines` says where a version of it is under way: by
    evidence file, the record of the batch file (from 1).
    """

    held: bool = False
    newest: str = ""
    lines: Mapping[Path, int] = field(default_factory=dict)


#: Bytes that are done, and all of them; None where that is not known.
Size = tuple[int, int | None]


class Watcher(Protocol):
    """Somebody who is shown how far a long piece of work is. It must not raise and must return at once."""

    def progress(
        self, job: str, stage: str, done: int, unit: str, total: int | None = None, size: Size | None = None
    ) -> None:
        """Tell that `done` of `total` units of a stage are done (`total` None: not known).

        `size` is about how many bytes that is, and of how many.
        """
        ...

    def moved(self, batch: Batch) -> None:
        """Tell that something happened to a batch."""
        ...

    def waiting(self, until: datetime) -> None:
        """Tell that nothing is to be done before `until`."""
        ...


class DataPath(Protocol):
    """The columnar path: everything that touches rows. Sources, mapping, comparison, batch files, row verdicts."""

    def columns(self, job: Job) -> tuple[str, ...]:
        """Return the columns of the job's source, joins included, reading as little as possible."""
        ...

    def compare(self, job: Job, rules: VendorRules, baseline: Baseline, context: CompareContext) -> Comparison:
        """Read, map, validate, fingerprint, and subtract what has not changed or is in flight."""
        ...

    def stage(self, job: Job, rules: VendorRules, comparison: Comparison, into: Path) -> tuple[BatchFile, ...]:
        """Encode, split and compress what the comparison found into sealed, fsynced files with evidence beside them."""
        ...

    def stage_each(
        self, job: Job, rules: VendorRules, comparison: Comparison, into: Path, stopped: Callable[[], bool] = ...
    ) -> Iterator[BatchFile]:
        """Yield the same files one by one, each as soon as it is sealed. What was yielded stays, whatever follows.

        `stopped` is asked often; the iterator ends soon after it said yes.
        """
        ...

    def invalid(self, comparison: Comparison) -> Iterable[Sequence[Reject]]:
        """Return the invalid rows of a comparison, in chunks."""
        ...

    def settle(self, batch: Batch, rules: VendorRules, downloads: Downloads, into: Path) -> RowVerdicts:
        """Join the vendor's row log to the evidence: each sent row is accepted, rejected or unknown."""
        ...

    def rejects(self, verdicts: RowVerdicts) -> Iterable[Sequence[Reject]]:
        """Return the rejected and unknown rows of a settled batch, in chunks."""
        ...

    def advance(self, baseline: Baseline, verdicts: Sequence[Path], into: Path) -> Baseline:
        """Return the baseline in which accepted rows have moved: one more segment on the disk, or fewer, merged."""
        ...

    def resolve(self, baseline: Baseline, keys: Sequence[str], into: Path, *, delivered: bool) -> Baseline:
        """Return the baseline in which rows of unknown outcome are held by the target, or to be sent again."""
        ...

    def lookup(self, key: str, baseline: Baseline, in_flight: Sequence[Path]) -> KnownKey:
        """Return what the baseline and the evidence of open batches say of one key, reading as little as possible."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareContext:
    """What a comparison needs to know beside the job: where to work, what is under way, and what time it is.

    `in_flight` are evidence files of batches that are not settled; `high_water` is the last run's greatest `since`;
    `template` is the vendor's input columns, when it has any. `ahead` says that staging follows unless a guard holds
    the plan: what will surely be sent may be encoded while the source is read.
    """

    folder: Path
    now: datetime
    in_flight: Sequence[Path] = ()
    high_water: str | None = None
    template: tuple[str, ...] | None = None
    watcher: Watcher | None = None
    ahead: bool = False


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

    def batches(self, run: str) -> Sequence[Batch]:
        """Return all batches of a run."""
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

    def high_water(self, job: str, identity: str) -> str | None:
        """Return the greatest `since` value up to which every row surely came to its end."""
        ...

    def slot_done(self, job: str) -> datetime | None:
        """Return the latest schedule slot of this job that was run or given up."""
        ...

    def claim_slot(self, job: str, slot: datetime) -> bool:
        """Give a slot up, since its source cannot be used; False when it was run or given up before."""
        ...

    def approved(self, job: str, plan: str) -> bool:
        """Whether a person approved exactly this plan."""
        ...


class Sink(Protocol):
    """Where the answers of a lookup go. Delivering the same answers twice leaves the same content."""

    def deliver(self, answers: Path, results: Results, key: Sequence[str]) -> int:
        """Upsert the answers (a Parquet file) by the key columns and return how many rows it now holds."""
        ...
