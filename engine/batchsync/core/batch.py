"""What is known of one batch: its phase, its doubt and its numbers, as one frozen value.

It does not know how a batch moves from phase to phase; that is `lifecycle`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

BatchId = NewType("BatchId", str)
RunId = NewType("RunId", str)
#: What the vendor knows a batch by; derived in `tickets`, never drawn.
Ticket = NewType("Ticket", str)


class Phase(StrEnum):
    """What is true of a batch now. A phase never says what is being done: after a crash that would be a lie."""

    #: the file is sealed on our disk and its digest is journaled
    PREPARED = "prepared"
    #: the vendor gave a slot; nothing is known to be in it
    ALLOCATED = "allocated"
    #: the vendor has the whole file
    SUBMITTED = "submitted"
    #: the vendor's final word is known
    SETTLED = "settled"
    #: results and row errors are on our disk and the books balance
    COLLECTED = "collected"
    #: answers are in the sinks and the baseline has moved
    DELIVERED = "delivered"
    #: a person must look
    STUCK = "stuck"


class Verb(StrEnum):
    """What can be asked of a vendor about one batch."""

    ALLOCATE = "allocate"
    FIND_SLOT = "find_slot"
    UPLOAD = "upload"
    FIND_FILE = "find_file"
    POLL = "poll"
    COLLECT = "collect"
    DELIVER = "deliver"
    CANCEL = "cancel"


class Verdict(StrEnum):
    """The vendor's final word on a batch, in our vocabulary. Which rows it took stands in the row log, not here."""

    #: the vendor went through the file; the row log says which rows it took
    PROCESSED = "processed"
    #: the vendor says that something failed; the row log says which rows
    MIXED = "mixed"
    #: the vendor refused the file whole: no row was applied
    REFUSED = "refused"
    #: somebody cancelled the batch before it was processed: no row was applied
    CANCELLED = "cancelled"
    #: the vendor let the batch run out: its answers can no longer be had
    EXPIRED = "expired"
    #: the vendor no longer knows a batch that it once took
    LOST = "lost"
    #: a person says that the vendor has every row
    DECLARED = "declared"
    #: a person says that every row is to be sent again, whatever the vendor has
    RESENT = "resent"


#: The verdicts after which a row log is worth asking for.
VERDICTS_WITH_ROW_LOG = frozenset({Verdict.PROCESSED, Verdict.MIXED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """What the vendor allocated: its id, where to upload, until when.

    `url` is a secret (it is signed), is never journaled, and is therefore None after a restart.
    """

    id: str
    url: str | None = field(default=None, repr=False)
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """How the rows of one batch ended. `accepted + rejected + unknown` is the number of rows sent."""

    accepted: int = 0
    rejected: int = 0
    unknown: int = 0

    @property
    def total(self) -> int:
        """All rows that these books account for."""
        return self.accepted + self.rejected + self.unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFile:
    """A sealed file: never opened for writing again, named by its digest.

    `digest` is the hex SHA-256 and `md5` the lower-case hex MD5 of the bytes on disk; `size` counts those bytes;
    `rows` the records in it. `evidence` is the Parquet file beside it that says which key stands in which line.
    """

    path: str
    evidence: str
    digest: str
    md5: str
    size: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch as the journal remembers it. Times are aware UTC datetimes.

    `attempt` counts slots: each lost slot moves to the next ticket. It goes on from earlier batches of the same
    content, so `lost` counts the slots that this batch lost since it was prepared or reopened. `doubt` names the verb
    whose outcome is not known, announced at `doubt_since`. `failures` counts failures in a row. `target` is what the
    vendor needs beside the file (for instance its service id), fixed when the batch was prepared. `identity` names
    the account it is for.
    """

    id: BatchId
    run: RunId
    job: str
    seq: int
    file: BatchFile
    phase: Phase
    prepared_at: datetime
    identity: str = ""
    target: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 1
    lost: int = 0
    doubt: Verb | None = None
    doubt_since: datetime | None = None
    slot: Slot | None = None
    submitted_at: datetime | None = None
    polls: int = 0
    word: str = ""
    verdict: Verdict | None = None
    books: Books | None = None
    failures: int = 0
    not_before: datetime | None = None
    reason: str = ""
    stuck_from: Phase | None = None
