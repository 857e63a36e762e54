"""The state of a batch: phase, pending intent and counts, as a frozen value. `lifecycle` has the transitions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from batchsync.core.row_outcome import OutcomeCounts

BatchId = NewType("BatchId", str)
RunId = NewType("RunId", str)
#: Name under which the vendor knows a batch; derived from content in `naming`.
IdempotencyKey = NewType("IdempotencyKey", str)
#: Begin of the reason of a batch that was cancelled because of the suppression list of its job.
WITHHELD = "withheld"


class Phase(StrEnum):
    """Phase of a batch: completed facts only, so that it is still true after a crash."""

    #: the file is finalized on disk and its digest is journaled
    PREPARED = "prepared"
    #: the vendor granted an allocation; no file is known to be in it
    ALLOCATED = "allocated"
    #: the vendor has the whole file, and processes it after a commit
    UPLOADED = "uploaded"
    #: the vendor has the whole file and processes it
    SUBMITTED = "submitted"
    #: the vendor has finished; its verdict is known
    FINISHED = "finished"
    #: results and row errors are on disk and the counts balance
    COLLECTED = "collected"
    #: results are in the sinks and the baseline was advanced
    DELIVERED = "delivered"
    #: a person must act
    NEEDS_ATTENTION = "needs_attention"

    @property
    def label(self) -> str:
        """Name for messages, with spaces."""
        return self.value.replace("_", " ")


class Verb(StrEnum):
    """Calls to a vendor about a batch."""

    ALLOCATE = "allocate"
    FIND_ALLOCATION = "find_allocation"
    UPLOAD = "upload"
    FIND_FILE = "find_file"
    COMMIT = "commit"
    FIND_COMMIT = "find_commit"
    POLL = "poll"
    COLLECT = "collect"
    DELIVER = "deliver"


class Verdict(StrEnum):
    """Final result of a batch, translated from the vendor status. The row log states the outcome of each row."""

    #: the vendor processed the file; the row log states which rows it accepted
    PROCESSED = "processed"
    #: some rows failed; the row log states which
    MIXED = "mixed"
    #: the vendor refused the whole file: no row was applied
    REFUSED = "refused"
    #: the batch was cancelled before it was processed: no row was applied
    CANCELLED = "cancelled"
    #: the batch expired at the vendor: its results are no longer available
    EXPIRED = "expired"
    #: the vendor no longer knows a batch that it had taken
    LOST = "lost"
    #: resolved manually: the vendor has every row
    DECLARED = "declared"
    #: resolved manually: every row is sent again, whatever the vendor has
    RESENT = "resent"


#: The verdicts after which a row log is fetched.
VERDICTS_WITH_ROW_LOG = frozenset({Verdict.PROCESSED, Verdict.MIXED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Upload allocation granted by the vendor: id, signed URL and expiry.

    `url` is a secret: it is never journaled, and therefore None after a restart. The same holds for `fields`, the
    signed fields of a form that is posted to it. `params` are those of the batch's
    target, which each call may need; they are journaled with the batch.
    """

    id: str
    url: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    params: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    fields: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def without_url(self) -> Allocation:
        """The same allocation as it is stored, without what permits an upload."""
        return replace(self, url=None, fields={})


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFile:
    """A finalized batch file, named by its digest and never written again.

    `digest` is the hex SHA-256 and `md5` the lower-case hex MD5 of its bytes; `size` is their number; `rows` the number
    of records. `path` is its location in the object store, and that of a local file where a vendor sends it;
    `row_manifest` is the location of the Parquet file with the key of each line. `removals`: the file has only removals
    (where those have files of their own); it is not journaled, as the `target` of the batch follows from it.
    """

    path: str
    row_manifest: str
    digest: str
    md5: str
    size: int
    rows: int
    removals: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch as journaled. Times are timezone-aware, in UTC.

    Attributes:
        id: Short name, from the job and the content.
        run: Id of the run that prepared it.
        job: Name of the job.
        seq: Number of the batch within its run.
        file: The batch file.
        phase: What has been completed.
        prepared_at: When the batch was journaled first.
        account_id: Id of the account that it is for.
        target: Parameters that the vendor needs besides the file (such as a service id), fixed at preparation.
        attempt: Number of the allocation, part of the idempotency key; continues that of earlier equal batches.
        lost_allocations: Allocations lost in a row, without another failure between them.
        pending_intent: The call in doubt: recorded before it was sent, outcome not journaled yet.
        intent_at: When the intent was recorded.
        allocation: The vendor's allocation, if there is one.
        submitted_at: When the upload, or its commit, was complete.
        polls: Number of polls that found the batch running or, when it is finished, its results not ready.
        vendor_status: The vendor's last status, as received.
        verdict: The final result.
        counts: Row outcomes; None until collected.
        failures: Number of failures in a row. An allocation does not reset it, only the file that arrives in it.
        foreign_answers: Number of answers in a row that did not come from the vendor.
        not_before: Earliest time of the next step.
        reason: Last failure or manual action, in a sentence.
        parked_from: Phase in which the batch was parked.
    """

    id: BatchId
    run: RunId
    job: str
    seq: int
    file: BatchFile
    phase: Phase
    prepared_at: datetime
    account_id: str = ""
    target: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 1
    lost_allocations: int = 0
    pending_intent: Verb | None = None
    intent_at: datetime | None = None
    allocation: Allocation | None = None
    submitted_at: datetime | None = None
    polls: int = 0
    vendor_status: str = ""
    verdict: Verdict | None = None
    counts: OutcomeCounts | None = None
    failures: int = 0
    foreign_answers: int = 0
    not_before: datetime | None = None
    reason: str = ""
    parked_from: Phase | None = None

    @property
    def vendor_allocation(self) -> Allocation | None:
        """The allocation with the parameters of the batch's target, for calls to the vendor."""
        return self.allocation and replace(self.allocation, params=self.target)
