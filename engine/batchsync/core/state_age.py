"""Detection of a state folder that is older than what was recorded of it, or that is used next to a copy.

A *mark* is taken of a journal after each commit and kept outside the state folder. A journal that lacks what the mark
says was restored from a backup, or another copy of it was used meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

#: Number of lost runs that stands for an unknown number of them.
SEVERAL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalMark:
    """How far a journal got.

    Attributes:
        folder: Absolute path of its state folder.
        serial: Number of committed write transactions; only grows.
        event: Number of its newest event; 0 if there is none.
        chain: Hash over all events up to that one; empty if there is none.
        acceptance: Id of the newest acceptance of an older state; empty if there is none.
        runs: Number of runs with batches, by job.
    """

    folder: str
    serial: int
    event: int
    chain: str
    acceptance: str
    runs: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OlderState:
    """A journal that lacks transactions of its mark.

    Attributes:
        serial: Number of its transactions.
        newest: The greatest known number of transactions.
        other: Folder of the copy that was used meanwhile; empty if the state was restored, or its copy is gone.
        lost: Number of runs with batches that it lacks, by job; `SEVERAL` where that is not known.
    """

    serial: int
    newest: int
    other: str
    lost: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """Acceptance of a state that was restored or copied: when and why, and what was found (see `OlderState`).

    Attributes:
        at: When it was accepted.
        reason: Why, in a person's words.
        serial: Number of transactions of the state.
        newest: The greatest known number of transactions.
        other: Folder of the copy that was used meanwhile; empty if there is none.
    """

    at: datetime
    reason: str
    serial: int
    newest: int
    other: str


def older_state(
    journal: JournalMark, mark: JournalMark, *, holds_event: bool, holds_acceptance: bool, copy_serial: int | None
) -> OlderState | None:
    """Return how a journal is older than its mark, or None if it contains everything that the mark says.

    A copy that is continued instead of the original is no error until both were used: its transactions are all there.

    Args:
        journal: The present mark of the journal.
        mark: The mark that was recorded.
        holds_event: Whether the journal has the event of the mark, with the same hash.
        holds_acceptance: Whether the journal has the acceptance of the mark.
        copy_serial: Number of transactions of the copy in the folder of the mark; None if it is this folder, or if
            there is no copy there any more.
    """
    newest = max(mark.serial, copy_serial or 0)
    if journal.serial >= newest and holds_event and holds_acceptance:
        return None
    # Where both copies went on, the numbers of their runs cannot be compared.
    diverged = copy_serial is not None or not holds_acceptance or (not holds_event and mark.event <= journal.event)
    return OlderState(
        serial=journal.serial,
        newest=newest,
        other=mark.folder if copy_serial is not None else "",
        lost={
            job: SEVERAL if diverged else runs - journal.runs.get(job, 0)
            for job, runs in mark.runs.items()
            if diverged or runs > journal.runs.get(job, 0)
        },
    )


def may_be_followed(lost: int, *, may_precede: bool) -> bool:
    """Return whether lost runs may have sent other versions of rows after a batch that was found at the vendor.

    Args:
        lost: Number of lost runs of its job that had batches.
        may_precede: Whether another batch may be later than the batch even if only one run was lost: the accepted state
            had the batch already, or has sent another one since. Otherwise the batch is of one of the lost runs.
    """
    return lost >= (1 if may_precede else SEVERAL)
