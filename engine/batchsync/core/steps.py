"""What can be asked of the world next, in the imperative. A step is a value: `perform` does it, `report` prints it.

Steps know nothing of how they are done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.core.batch import Verb

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Allocate:
    """Ask the vendor for a place to put the file."""


@dataclass(frozen=True, slots=True)
class FindSlot:
    """Ask whether an earlier allocation arrived."""


@dataclass(frozen=True, slots=True)
class RenewSlot:
    """Ask for the URL of a slot that we know and whose URL went with an earlier process, unless the file is there."""


@dataclass(frozen=True, slots=True)
class DropSlot:
    """Leave a slot that its vendor says is empty, and go on with the next ticket. `verb` is the doubt that it ends."""

    reason: str
    verb: Verb | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """Put the whole file into the slot. This is the point of commitment."""


@dataclass(frozen=True, slots=True)
class FindFile:
    """Ask whether an earlier upload arrived."""


@dataclass(frozen=True, slots=True)
class Poll:
    """Ask the vendor how far it is."""


@dataclass(frozen=True, slots=True)
class Collect:
    """Fetch results and row errors, and account for every row."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """Bring the answers to the sinks and move the baseline."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Stop and wait for a person."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again at `until`."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing is to be done about this batch."""


Step = Allocate | FindSlot | RenewSlot | DropSlot | Upload | FindFile | Poll | Collect | Deliver | GiveUp | Wait | Rest

#: The verb that a step puts to the world; steps that ask nothing of it are not here. To drop a slot takes its status.
VERB_OF: dict[type[Step], Verb] = {
    Allocate: Verb.ALLOCATE,
    FindSlot: Verb.FIND_SLOT,
    RenewSlot: Verb.FIND_SLOT,
    DropSlot: Verb.FIND_FILE,
    Upload: Verb.UPLOAD,
    FindFile: Verb.FIND_FILE,
    Poll: Verb.POLL,
    Collect: Verb.COLLECT,
    Deliver: Verb.DELIVER,
}
