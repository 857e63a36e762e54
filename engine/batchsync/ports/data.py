"""Port of the data engine, and the values they exchange with the reconcile loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from batchsync.core.batch import Batch, BatchFile
    from batchsync.core.job import Job
    from batchsync.core.plan import Plan
    from batchsync.core.row_outcome import OutcomeCounts, RowOutcome
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.ports.inspection import ManifestRow, PlanPreview, PlanRecords, Sample
    from batchsync.ports.observer import EventSink
    from batchsync.ports.vendor import Downloads


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentEntry:
    """Reference to a segment of a baseline: name of its object, which begins with its digest, and row count."""

    file: str
    digest: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineEntry:
    """Reference to a baseline, the records that a target is known to hold: job, account, and segments, oldest first.

    A baseline without segments is empty. The same segment may occur twice, if the same outcomes occurred again.
    """

    job: str
    account_id: str
    segments: tuple[SegmentEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Result of comparing a source with a baseline.

    Attributes:
        plan: The plan of a run.
        folder: Folder with `changes.parquet`, `invalid.parquet` (invalid and superseded rows; absent without such rows)
            and other input of `stage`.
        present: Parquet file of the key columns, as strings, of the source and of rows in flight; None if the job keeps
            the answers of keys that left the source, or if these are not known.
    """

    plan: Plan
    folder: Path
    present: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A record that did not reach the target.

    Attributes:
        kind: Its outcome, one of `LISTED_OUTCOMES`.
        key: Key of the record.
        reason: Reason, without unmasked values.
        code: The violated rule, or the vendor's error code.
        field: The column concerned.
        line: Record of the batch file, from 1; 0 for invalid and superseded rows, which are in no file.
        row: Row of the source, from 1; 0 if unknown.
        retry: Whether the row may be sent again unchanged.
    """

    kind: RowOutcome
    key: str
    reason: str
    code: str = ""
    field: str = ""
    line: int = 0
    row: int = 0
    retry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RowVerdicts:
    """Outcome of each row of a batch.

    Attributes:
        counts: Row counts by outcome.
        path: Parquet file with the columns key, fingerprint, op, state, retry; input of `DataEngine.apply_verdicts`.
        answers: Parquet file of the vendor's answers with the key columns first, if the vendor sends answers.
        unattributed: Number of lines of the vendor's row log that match no sent row.
        key: Names of the key columns of `answers`, as they were when the batch was prepared.
    """

    counts: OutcomeCounts
    path: Path
    answers: Path | None = None
    unattributed: int = 0
    key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """State of a key in the state folder.

    Attributes:
        in_target: Whether the target holds a version of the record.
        latest_outcome: How the newest version ended: accepted, rejected or unknown; empty if the baseline lacks the
            key.
        in_flight: Versions in flight: record of the batch file (from 1) by key of its row manifest.
        version: Fingerprint of the version that the target holds, hexadecimal; empty if it holds none.
        record: That version as JSON; None if the baseline does not keep it.
        delivered: Accepted versions that the segments have, oldest first: beginning of the digest of the batch file and
            fingerprint. Older ones are lost when segments are merged.
    """

    in_target: bool = False
    latest_outcome: str = ""
    in_flight: Mapping[str, int] = field(default_factory=dict)
    version: str = ""
    record: str | None = field(default=None, repr=False)
    delivered: tuple[tuple[str, str], ...] = ()


class DataEngine(Protocol):
    """Operations on rows: sources, mapping, comparison, batch files, row outcomes.

    All methods raise SourceError if the source cannot be read as declared, StateError if a file of the state folder is
    damaged, and UnavailableError if the disk is full.
    """

    def columns(self, job: Job) -> tuple[str, ...]:
        """Return the columns of the job's source, joins included, reading as little as possible."""
        ...

    def compare(self, job: Job, rules: VendorRules, baseline: BaselineEntry, context: CompareContext) -> Comparison:
        """Read, map, validate and fingerprint the source, and subtract rows that are unchanged or in flight.

        Args:
            job: The job.
            rules: Rules of the job's vendor.
            baseline: What the target is known to hold.
            context: Folder, time, rows in flight and options of the comparison.
        """
        ...

    def stage(self, job: Job, rules: VendorRules, comparison: Comparison) -> tuple[BatchFile, ...]:
        """Put the changes of a comparison into the object store as batch files, each with its row manifest.

        Args:
            job: The job of the comparison.
            rules: Rules of the job's vendor.
            comparison: The comparison.
        """
        ...

    def stage_each(
        self, job: Job, rules: VendorRules, comparison: Comparison, stopped: Callable[[], bool] = ...
    ) -> Iterator[BatchFile]:
        """Yield the files of `stage` one by one, each as soon as it is finalized. Yielded files stay, whatever follows.

        Args:
            job: The job of the comparison.
            rules: Rules of the job's vendor.
            comparison: The comparison.
            stopped: Called often; the iterator ends soon after it returned true.
        """
        ...

    def preview(self, comparison: Comparison, limit: int) -> PlanPreview:
        """Return the first keys of each kind, at most `limit` of each, and the invalid rows by reason."""
        ...

    def review(
        self, job: Job, rules: VendorRules, comparison: Comparison, baseline: BaselineEntry, limit: int
    ) -> PlanRecords:
        """Return the first records of each kind of change of a comparison, and the members that differ.

        Args:
            job: The job of the comparison, with its source as fetched.
            rules: Rules of the job's vendor.
            comparison: The comparison.
            baseline: What it was compared with.
            limit: Number of records of each kind.
        """
        ...

    def sample(
        self, job: Job, rules: VendorRules, folder: Path, now: datetime, keys: Sequence[str] = (), limit: int = 1
    ) -> Sample:
        """Return records of a source: those of some keys, or the first ones.

        Args:
            job: The job, with a source of local files.
            rules: Rules of the job's vendor.
            folder: Existing empty folder for copies of files.
            now: Time that rules about the past refer to.
            keys: Keys of the records; empty: the first records.
            limit: Maximum number of records.
        """
        ...

    def sent_row(self, batch: Batch, key: str) -> ManifestRow | None:
        """Return the row of a key in the row manifest of a batch; None if it is not in it, or the manifest is gone."""
        ...

    def invalid(self, comparison: Comparison) -> Iterable[Sequence[Reject]]:
        """Return the invalid and superseded rows of a comparison, in chunks."""
        ...

    def join_outcomes(
        self,
        batch: Batch,
        rules: VendorRules | None,
        downloads: Downloads,
        into: Path,
        keys: Sequence[str] | None = None,
    ) -> RowVerdicts:
        """Join the vendor's row log to the row manifest: each sent row is accepted, rejected or unknown.

        Args:
            batch: A FINISHED batch.
            rules: Rules of the vendor; not required if the verdict covers all rows.
            downloads: The vendor's results and row log.
            into: Folder of the files of the verdicts.
            keys: Return only the verdicts and answers of these keys, and of those only what is known; None: all.
        """
        ...

    def verify_row_manifest(self, batch: Batch) -> None:
        """Check the row manifest of a batch.

        Raises:
            StateError: If it is missing or has changed since it was finalized.
        """
        ...

    def rejects(self, verdicts: RowVerdicts) -> Iterable[Sequence[Reject]]:
        """Return the rejected and unknown rows of a collected batch, in chunks."""
        ...

    def keys_of(self, verdicts: RowVerdicts) -> Sequence[str]:
        """Return the keys of the rows of the verdicts."""
        ...

    def accepts(self, verdicts: RowVerdicts, ops: Sequence[str]) -> bool:
        """Return whether a row with one of these operations was accepted."""
        ...

    def apply_verdicts(
        self, baseline: BaselineEntry, verdicts: Sequence[Path], manifests: Sequence[str] = ()
    ) -> BaselineEntry:
        """Return the baseline after accepted rows moved. There is one more segment, or fewer after compaction.

        Args:
            baseline: The baseline before.
            verdicts: Verdict files (`RowVerdicts.path`).
            manifests: Keys of the row manifests of the same batches, which hold what the job keeps of its records; one
                that is gone or damaged has nothing to keep.
        """
        ...

    def resolve(self, baseline: BaselineEntry, keys: Sequence[str], *, delivered: bool) -> BaselineEntry:
        """Return the baseline after unknown outcomes were resolved.

        Args:
            baseline: The baseline before.
            keys: Keys of the rows.
            delivered: Whether the target holds the rows; otherwise they are sent again.
        """
        ...

    def assume(self, comparison: Comparison, baseline: BaselineEntry) -> BaselineEntry:
        """Return the baseline with the added and changed records of a comparison, assumed to be held.

        Args:
            comparison: The comparison. Its removals are left as they are.
            baseline: The baseline that it was compared with.
        """
        ...

    def renew(self, job: Job, rules: VendorRules, comparison: Comparison, baseline: BaselineEntry) -> BaselineEntry:
        """Return the baseline with what the job keeps of the unchanged records of a comparison.

        These get fingerprints of the present version, and the content that the job keeps. Content that it does not keep
        is removed from the whole baseline.

        Args:
            job: The job of the comparison, with its source as fetched.
            rules: Rules of the job's vendor.
            comparison: The comparison.
            baseline: The present baseline; at most rows that were in flight changed since the comparison.

        Returns:
            The new baseline, or the same if it has all of that already.
        """
        ...

    def forget(self, baseline: BaselineEntry, keys: Path) -> BaselineEntry:
        """Return the baseline without keys that left the source, so that they are looked up again if they return.

        Args:
            baseline: The baseline before.
            keys: Parquet file of the key columns, as strings.
        """
        ...

    def erase(self, baseline: BaselineEntry, keys: Sequence[str]) -> BaselineEntry:
        """Return the baseline with its segments rewritten without any trace of some keys.

        Args:
            baseline: The baseline before.
            keys: The keys, whatever their state.
        """
        ...

    def erase_from_manifest(self, batch: Batch, keys: Sequence[str]) -> str:
        """Put a copy of the row manifest of a batch into the store, in which the rows of some keys are empty.

        Args:
            batch: A delivered batch.
            keys: The keys.

        Returns:
            The location of the copy.
        """
        ...

    def keys_in(self, batch: Batch, *, among: Sequence[str] | None = None, ops: Sequence[str] = ()) -> Sequence[str]:
        """Return keys of the row manifest of a batch.

        Args:
            batch: The batch.
            among: Return only these keys; None: all.
            ops: Return only keys of rows with these operations; empty: all.
        """
        ...

    def known(self, baseline: BaselineEntry, keys: Sequence[str]) -> Mapping[str, bool]:
        """Return those of some keys that a baseline has, and whether the target holds a version, or may hold one."""
        ...

    def write_keys(self, job: Job, keys: Sequence[str], into: Path) -> Path:
        """Write keys of a job to a Parquet file by key column, as strings; return its path."""
        ...

    def lookup(self, key: str, baseline: BaselineEntry, in_flight: Sequence[str]) -> KnownKey:
        """Return what the baseline and the row manifests of open batches hold about a key.

        Args:
            key: The key.
            baseline: Baseline of the job; as little of it as possible is read.
            in_flight: Keys of the row manifests of open batches.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """Forgotten keys of a job: the hashes of `core.personal_data.hash_of_key` with the secret of the state folder."""

    secret: str = field(repr=False)
    hashes: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareContext:
    """Context of a comparison.

    Attributes:
        folder: Empty work folder.
        now: Time of the comparison, timezone-aware.
        in_flight: Keys of the row manifests of batches that are not delivered.
        watermark: Greatest `since` value of the last run.
        template: Columns of the vendor's input template, if it has one.
        events: Receives `Progress`.
        eager: Staging follows unless a guard stops the plan, so that records may be encoded while the source is read.
        account_id: Account of the target.
        suppression: Keys that were forgotten: their rows are suppressed. None if there are none.
        listed: Digests of the values on the suppression list of the job (`SuppressionLists.read_list`); None without.
    """

    folder: Path
    now: datetime
    in_flight: Sequence[str] = ()
    watermark: str | None = None
    template: tuple[str, ...] | None = None
    events: EventSink | None = None
    eager: bool = False
    account_id: str = ""
    suppression: Suppression | None = None
    listed: Path | None = None
