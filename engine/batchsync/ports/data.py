"""What the engine asks of everything that touches rows, from the source to the sink. It knows no format."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from lading.core.accounting import Tally
    from lading.core.batch import Batch, BatchFile, Books
    from lading.core.job import Job, Results
    from lading.core.vendor_rules import VendorRules
    from lading.ports.vendor import Downloads
    from lading.ports.watcher import Watcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Part of a baseline: an immutable Parquet file, named by its digest, and how many rows it has.

    A row says what became of one key: `key` String, `accepted` Binary(20) or null (fingerprint the target holds),
    `last` Binary or null with `last_state` UInt8: how the newest version ended when it was not accepted (1 rejected,
    2 unknown, 3 a removal of unknown outcome, 4 to be sent again in any case). `as_before` Boolean says that `accepted`
    is what older segments say. A row that knows nothing at all says that the key is gone. Files of older releases have
    no `as_before`: it is false in them; and what was unknown then is 2 in removals, too.
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
    that is equal exactly when the same changes would be sent to the same account, under the same spec, from the same
    baseline.
    `high_water` is the greatest `since` value seen, when the job sends by it.
    `warnings` counts broken rules that only warn, by rule; `baseline_rows` how many records the target holds.
    `removals_known` is False where the source could not say which keys are gone: it has rows without a key.
    """

    tally: Tally
    fingerprint: str
    folder: Path
    baseline_rows: int
    high_water: str | None = None
    warnings: Mapping[str, int] = field(default_factory=dict)
    removals_known: bool = True


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
class Named:
    """A key, and its row of the source from 1 (0 for a removal, which is in no source). A row may have no key."""

    key: str
    row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidGroup:
    """How many rows are invalid because of the same field and rule, and the first of them."""

    field: str
    code: str
    count: int
    first: tuple[Named, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """The first of what a comparison found, by kind: lowest source rows first, removals by their keys.

    `invalid` has a group for each reason, the greatest first.
    """

    added: tuple[Named, ...] = ()
    changed: tuple[Named, ...] = ()
    removed: tuple[Named, ...] = ()
    invalid: tuple[InvalidGroup, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RowVerdicts:
    """How each row of one batch ended. `path` is a Parquet file: key, fingerprint, op, state, retry (for the baseline).

    `answers` is a Parquet file of the vendor's answers with the key columns in front, when the vendor sends answers;
    `key` are the names of those columns, as they were when the batch was prepared.
    `unattributed` counts lines of the vendor's log that name no row that was sent.
    """

    books: Books
    path: Path
    answers: Path | None = None
    unattributed: int = 0
    key: tuple[str, ...] = ()


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

    def excerpt(self, comparison: Comparison, limit: int) -> Excerpt:
        """Return the first keys of each kind, at most `limit` of each, and the invalid rows by reason."""
        ...

    def invalid(self, comparison: Comparison) -> Iterable[Sequence[Reject]]:
        """Return the invalid rows of a comparison, in chunks."""
        ...

    def settle(self, batch: Batch, rules: VendorRules | None, downloads: Downloads, into: Path) -> RowVerdicts:
        """Join the vendor's row log to the evidence: each sent row is accepted, rejected or unknown.

        Where the verdict says that all rows ended the same, no rules are needed.
        """
        ...

    def check_evidence(self, file: BatchFile) -> None:
        """Raise StateError unless the evidence of a batch file is on our disk as it was sealed."""
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
    the plan: what will surely be sent may be encoded while the source is read. `identity` names the target's account.
    """

    folder: Path
    now: datetime
    in_flight: Sequence[Path] = ()
    high_water: str | None = None
    template: tuple[str, ...] | None = None
    watcher: Watcher | None = None
    ahead: bool = False
    identity: str = ""


class Sink(Protocol):
    """Where the answers of a lookup go. Delivering the same answers twice leaves the same content."""

    def deliver(self, answers: Path, results: Results, key: Sequence[str]) -> int:
        """Upsert the answers (a Parquet file) by the key columns and return how many rows it now holds."""
        ...
