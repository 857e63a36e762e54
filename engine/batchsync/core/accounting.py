"""The equation of a run: `selected = unchanged + accepted + invalid + rejected + unknown + held`.

It counts and checks; it does not know which row is where.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lading.core.batch import Batch, Phase, Verb

if TYPE_CHECKING:
    from collections.abc import Iterable


class UnbalancedError(Exception):
    """The books of a run do not balance: a row would be lost or counted twice. This is a defect of lading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a comparison of source and baseline found, in records (one record per key).

    `selected` is all records of the source plus the removals that the job wants sent. `standing_rejected` and
    `standing_unknown` are rows that ended so in an earlier run and have not changed since; they are not sent again.
    `held` waits: for an older version in flight, or because preparing was cut short before it was sealed; `unsealed`
    counts the latter, which `added`, `changed` and `removed` still contain. `resent` are those of `changed` that the
    target holds as they are (`send: all`). `source_rows` counts rows as read, which is more than records where `each:`
    collects several.
    """

    source_rows: int = 0
    selected: int = 0
    unchanged: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    invalid: int = 0
    held: int = 0
    standing_rejected: int = 0
    standing_unknown: int = 0
    unsealed: int = 0
    resent: int = 0

    @property
    def to_send(self) -> int:
        """Records that this run puts into batch files."""
        return self.added + self.changed + self.removed - self.unsealed

    def cut_to(self, sealed: int) -> Tally:
        """Return the tally of a run that will seal no more than these records: the rest is held."""
        rest = self.to_send - sealed
        return replace(self, held=self.held + rest, unsealed=self.unsealed + rest)

    def check(self) -> None:
        """Raise UnbalancedError unless every selected record is in exactly one place."""
        placed = self.unchanged + self.to_send + self.invalid + self.held
        placed += self.standing_rejected + self.standing_unknown
        if placed != self.selected:
            message = f"selected {self.selected} records but placed {placed}: {self}"
            raise UnbalancedError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The equation of one run as it stands now. `in_flight` is part of `held` until the vendor has spoken.

    `added`, `changed` and `removed` say what was to be sent; `stuck` counts batches that wait for a person.
    """

    job: str
    run: str
    selected: int
    unchanged: int
    accepted: int
    invalid: int
    rejected: int
    unknown: int
    held: int
    in_flight: int
    batches: int
    bytes: int
    stuck: int
    added: int
    changed: int
    removed: int

    @property
    def settled(self) -> bool:
        """Whether every batch of the run came to its end."""
        return self.in_flight == 0 and self.stuck == 0

    def check(self) -> None:
        """Raise UnbalancedError unless the equation holds."""
        right = self.unchanged + self.accepted + self.invalid + self.rejected + self.unknown + self.held
        if self.selected != right:
            message = f"run {self.run}: selected {self.selected} but the right side adds up to {right}"
            raise UnbalancedError(message)


def settle(job: str, run: str, tally: Tally, batches: Iterable[Batch], *, preparing: bool = False) -> Settlement:
    """Return the equation of a run from what it planned and how its batches stand.

    `preparing` says that further batches are still to come; their records are in flight, as those of the others.

    Raises:
        UnbalancedError: when a row would be lost or counted twice.
    """
    own = tuple(batches)
    accepted = sum(one.books.accepted for one in own if one.books)
    rejected = sum(one.books.rejected for one in own if one.books)
    unknown = sum(one.books.unknown for one in own if one.books)
    open_rows = sum(one.file.rows for one in own if one.books is None)
    doubtful = sum(one.file.rows for one in own if one.books is None and _is_doubtful(one))
    # A run that a guard holds has planned records and no batches: they wait.
    unprepared = tally.to_send - sum(one.file.rows for one in own)
    if unprepared < 0 or (own and unprepared and not preparing):
        message = f"run {run}: its batches and its plan of {tally.to_send} records differ by {abs(unprepared)}"
        raise UnbalancedError(message)
    under_way = sum(one.file.rows for one in own if one.phase not in (Phase.DELIVERED, Phase.STUCK))
    settlement = Settlement(
        job=job,
        run=run,
        selected=tally.selected,
        unchanged=tally.unchanged,
        accepted=accepted,
        invalid=tally.invalid,
        rejected=rejected + tally.standing_rejected,
        unknown=unknown + tally.standing_unknown + doubtful,
        held=tally.held + unprepared + open_rows - doubtful,
        in_flight=(unprepared if preparing else 0) + under_way,
        batches=len(own),
        bytes=sum(one.file.size for one in own),
        stuck=sum(one.phase is Phase.STUCK for one in own),
        added=tally.added,
        changed=tally.changed,
        removed=tally.removed,
    )
    tally.check()
    settlement.check()
    return settlement


def unresolved(batch: Batch) -> int:
    """Return how many records of the batch have an unknown outcome that the word of a person can end."""
    if batch.books is None:
        return batch.file.rows if _is_doubtful(batch) else 0
    return batch.books.unknown if batch.phase is Phase.DELIVERED else 0


def _is_doubtful(batch: Batch) -> bool:
    """Whether a stuck batch may have reached the vendor: its rows are unknown, not merely held."""
    if batch.phase is not Phase.STUCK:
        return False
    reached = batch.stuck_from in (Phase.SUBMITTED, Phase.SETTLED, Phase.COLLECTED)
    return reached or batch.doubt is Verb.UPLOAD
