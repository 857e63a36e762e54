"""Events of a batch, as frozen values that are journaled and replayed; `lifecycle` applies them.

`at` is the time of the event, timezone-aware, in UTC; `reason` is a sentence for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from batchsync.core.batch import Allocation, Verb, Verdict
    from batchsync.core.row_outcome import OutcomeCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentRecorded:
    """A call whose repetition could do harm follows. The batch is in doubt until the outcome is journaled."""

    at: datetime
    verb: Verb


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocated:
    """The vendor granted an allocation, or returned an existing one again."""

    at: datetime
    allocation: Allocation


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """The vendor has the whole file and processes it. `allocation` is where it was found, if its status names it."""

    at: datetime
    allocation: Allocation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The vendor has the whole file, and processes it after a commit."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The vendor processes the uploaded file. `allocation` is what it is polled by, if the commit returned another."""

    at: datetime
    allocation: Allocation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StillRunning:
    """The vendor has not finished, or its results are not ready. A heartbeat without a row of its own in the journal.

    `reason` says what is not ready; empty while the vendor processes the batch.
    """

    at: datetime
    vendor_status: str
    retry_at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMissing:
    """Long after an upload that counted as successful, the vendor reports its allocation as empty.

    Something else may have answered the upload. It is in doubt again, and the vendor is asked before it is repeated.
    """

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorFinished:
    """The vendor has finished, with `vendor_status` as received and `verdict` as translated by the vendor spec."""

    at: datetime
    verdict: Verdict
    vendor_status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """Results and row errors are on disk, and every sent row is counted."""

    at: datetime
    counts: OutcomeCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsLost:
    """The collected results are missing or damaged on disk; they are fetched again."""

    at: datetime
    reason: str
    retry_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Results are in the sinks, and the baseline was advanced in the same transaction as this event."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApplied:
    """`verb` surely had no effect. Ends a pending intent of that verb and of no other.

    Without `retry_at` it answers a question about a call in doubt, whose failure is already counted.
    """

    at: datetime
    verb: Verb
    reason: str
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeUnknown:
    """`verb` was sent and got no usable response. A pending intent remains.

    `expired`: the response states that the upload URL expired, which does not prove that the file was not stored.
    `foreign`: something else than the vendor answered, such as a proxy.
    """

    at: datetime
    verb: Verb
    reason: str
    retry_at: datetime
    expired: bool = False
    foreign: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationLost:
    """The allocation cannot be used, and is empty; the next attempt uses the next idempotency key.

    It is empty by the vendor's status, or because its URL was never received. `verb` is the pending intent that this
    ends, if any. `retry_at` is when the next allocation is requested; None: at once.
    """

    at: datetime
    reason: str
    verb: Verb | None = None
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """A person cancelled the batch before its file was sent. The vendor has nothing of it."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """The batch cannot proceed without a guess, and waits for a person.

    `verb` is the call that was refused, and therefore surely had no effect; None if none was refused.
    """

    at: datetime
    reason: str
    verb: Verb | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopened:
    """A person reopened the batch in the phase in which it was parked, with its pending intent."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A person resolved an unknown outcome: the vendor has the rows, or else they are sent again."""

    at: datetime
    delivered: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedAgain:
    """The vendor was asked again about rows of unknown outcome. `counts` are those of the whole batch afterwards."""

    at: datetime
    counts: OutcomeCounts
    verdict: Verdict
    vendor_status: str


Event = (
    IntentRecorded
    | Allocated
    | Uploaded
    | Stored
    | Committed
    | StillRunning
    | FileMissing
    | VendorFinished
    | Collected
    | ResultsLost
    | Delivered
    | NotApplied
    | OutcomeUnknown
    | AllocationLost
    | Cancelled
    | Parked
    | Reopened
    | Resolved
    | CollectedAgain
)
