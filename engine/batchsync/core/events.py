"""What happened to a batch, in the past tense. Each event is a frozen value that can be journaled and told again.

Events know nothing of their consequences; those are in `lifecycle`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from lading.core.batch import Books, Slot, Verb, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """We are about to ask for something whose repetition could hurt. Until the answer is journaled there is doubt."""

    at: datetime
    verb: Verb


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocated:
    """The vendor gave a slot, or told us again of one that it had given."""

    at: datetime
    slot: Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """The vendor has the whole file. `slot` is where it was found, if the vendor's status of that slot says so."""

    at: datetime
    slot: Slot | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StillRunning:
    """The vendor is not done. `word` is its own status word. A heartbeat: it moves the batch row only."""

    at: datetime
    word: str
    look_again_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The vendor's final word: `word` is the vendor's, `verdict` ours."""

    at: datetime
    verdict: Verdict
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """Results and row errors are on our disk, and every sent row is in the books."""

    at: datetime
    books: Books


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersLost:
    """What was collected is not on our disk any more as it was written; the vendor is to be asked for it again."""

    at: datetime
    reason: str
    look_again_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Answers are in the sinks and the baseline has moved, in the same transaction as this event."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DidNotHappen:
    """`verb` was surely not done. It ends a doubt about that verb and about no other.

    Without `look_again_at` it is the vendor's answer to a question about a call in doubt, whose failure counts already.
    """

    at: datetime
    verb: Verb
    reason: str
    look_again_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """`verb` was asked and no usable answer came. The doubt, if there was one, stays.

    `expired`: the answer says that the URL of the slot ran out, which is no proof that the file is not in the slot.
    """

    at: datetime
    verb: Verb
    reason: str
    look_again_at: datetime
    expired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotLost:
    """The slot is no use any more, and the vendor says that it is empty; the next attempt has the next ticket.

    `verb` is the verb whose doubt this ends, if any. A slot that is not known, since its allocation is in doubt, is
    empty because its URL never came.
    """

    at: datetime
    reason: str
    verb: Verb | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """A person cancelled a batch before its file was sent. The vendor has nothing of it."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GaveUp:
    """Going on by itself would be a guess. The batch rests until a person acts.

    `verb` is the verb that was refused, and therefore surely not done; None when nothing was refused.
    """

    at: datetime
    reason: str
    verb: Verb | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopened:
    """A person says: go on where it stood, doubt and all."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A person says how an unknown outcome ended: the vendor has the rows, or else they are to be sent again."""

    at: datetime
    delivered: bool
    reason: str


Event = (
    Announced
    | Allocated
    | Uploaded
    | StillRunning
    | Settled
    | Collected
    | AnswersLost
    | Delivered
    | DidNotHappen
    | Unanswered
    | SlotLost
    | Withdrawn
    | GaveUp
    | Reopened
    | Resolved
)
