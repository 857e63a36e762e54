"""Steps: the possible next actions for a batch, as values that `perform` executes and `report` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core.batch import Verb

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Allocate:
    """Request an upload allocation."""


@dataclass(frozen=True, slots=True)
class FindAllocation:
    """Query whether an earlier allocation request was applied."""


@dataclass(frozen=True, slots=True)
class RenewAllocation:
    """Request the URL of a known allocation again, lost with an earlier process, unless the file is already there."""


@dataclass(frozen=True, slots=True)
class DropAllocation:
    """Abandon an allocation that the vendor reports as empty. `verb` is the pending intent that this ends, if any."""

    reason: str
    verb: Verb | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """Upload the file. From here on the vendor may process it, unless it waits for a commit."""


@dataclass(frozen=True, slots=True)
class FindFile:
    """Query whether an earlier upload was applied."""


@dataclass(frozen=True, slots=True)
class Commit:
    """Tell the vendor to process the uploaded file."""


@dataclass(frozen=True, slots=True)
class FindCommit:
    """Query whether an earlier commit was applied."""


@dataclass(frozen=True, slots=True)
class Poll:
    """Query the vendor's status of the batch."""


@dataclass(frozen=True, slots=True)
class Collect:
    """Fetch results and row errors, and count every row."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """Write results to the sinks and advance the baseline."""


@dataclass(frozen=True, slots=True)
class Park:
    """Stop until a person acts."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing before `until`."""

    until: datetime


@dataclass(frozen=True, slots=True)
class NoOp:
    """Do nothing: the batch is delivered or parked."""


Step = (
    Allocate
    | FindAllocation
    | RenewAllocation
    | DropAllocation
    | Upload
    | FindFile
    | Commit
    | FindCommit
    | Poll
    | Collect
    | Deliver
    | Park
    | Wait
    | NoOp
)

#: The vendor call of each step that has one. Dropping an allocation reads its status first.
VERB_OF: dict[type[Step], Verb] = {
    Allocate: Verb.ALLOCATE,
    FindAllocation: Verb.FIND_ALLOCATION,
    RenewAllocation: Verb.FIND_ALLOCATION,
    DropAllocation: Verb.FIND_FILE,
    Upload: Verb.UPLOAD,
    FindFile: Verb.FIND_FILE,
    Commit: Verb.COMMIT,
    FindCommit: Verb.FIND_COMMIT,
    Poll: Verb.POLL,
    Collect: Verb.COLLECT,
    Deliver: Verb.DELIVER,
}
