"""The equation of a run: `selected = unchanged + accepted + invalid + rejected + unknown + held`.

It counts and checks; it does not know which row is where.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batchsync.core.batch import Batch, Phase, Verb

if TYPE_CHECKING:
    from collections.abc import Iterable


class UnbalancedError(Exception):
    """The books of a run do not balance: a row would be lost or counted twice. This is a defect of batchsync."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCounts:
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
    deferred: int = 0
    still_rejected: int = 0
    still_unknown: int = 0
    unstaged: int = 0
    resent: int = 0

    @property
    def to_send(self) -> int:
        """Records that this run puts into batch files."""
        return self.added + self.changed + self.removed - self.unstaged

    def cut_to(self, sealed: int) -> PlanCounts:
        """Return the plan_counts of a run that will seal no more than these records: the rest is held."""
        rest = self.to_send - sealed
        return replace(self, deferred=self.deferred + rest, unstaged=self.unstaged + rest)

    def assert_balanced(self) -> None:
        """Raise UnbalancedError unless every selected record is in exactly one place."""
        placed = self.unchanged + self.to_send + self.invalid + self.deferred
        placed += self.still_rejected + self.still_unknown
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
    deferred: int
    in_flight: int
    batches: int
    bytes: int
    needs_attention: int
    added: int
    changed: int
    removed: int

    @property
    def settled(self) -> bool:
        """Whether every batch of the run came to its end."""
        return self.in_flight == 0 and self.needs_attention == 0

    def assert_balanced(self) -> None:
        """Raise UnbalancedError unless the equation holds."""
        right = self.unchanged + self.accepted + self.invalid + self.rejected + self.unknown + self.deferred
        if self.selected != right:
            message = f"run {self.run}: selected {self.selected} but the right side adds up to {right}"
            raise UnbalancedError(message)


def compute_settlement(
    job: str, run: str, plan_counts: PlanCounts, batches: Iterable[Batch], *, preparing: bool = False
) -> Settlement:
    """Return the equation of a run from what it planned and how its batches stand.

    `preparing` says that further batches are still to come; their records are in flight, as those of the others.

    Raises:
        UnbalancedError: when a row would be lost or counted twice.
    """
    own = tuple(batches)
    accepted = sum(item.counts.accepted for item in own if item.counts)
    rejected = sum(item.counts.rejected for item in own if item.counts)
    unknown = sum(item.counts.unknown for item in own if item.counts)
    open_rows = sum(item.file.rows for item in own if item.counts is None)
    doubtful = sum(item.file.rows for item in own if item.counts is None and _has_unknown_outcome(item))
    # A run that a guard holds has planned records and no batches: they wait.
    unprepared = plan_counts.to_send - sum(item.file.rows for item in own)
    if unprepared < 0 or (own and unprepared and not preparing):
        message = f"run {run}: its batches and its plan of {plan_counts.to_send} records differ by {abs(unprepared)}"
        raise UnbalancedError(message)
    under_way = sum(item.file.rows for item in own if item.phase not in (Phase.DELIVERED, Phase.NEEDS_ATTENTION))
    settlement = Settlement(
        job=job,
        run=run,
        selected=plan_counts.selected,
        unchanged=plan_counts.unchanged,
        accepted=accepted,
        invalid=plan_counts.invalid,
        rejected=rejected + plan_counts.still_rejected,
        unknown=unknown + plan_counts.still_unknown + doubtful,
        deferred=plan_counts.deferred + unprepared + open_rows - doubtful,
        in_flight=(unprepared if preparing else 0) + under_way,
        batches=len(own),
        bytes=sum(item.file.size for item in own),
        needs_attention=sum(item.phase is Phase.NEEDS_ATTENTION for item in own),
        added=plan_counts.added,
        changed=plan_counts.changed,
        removed=plan_counts.removed,
    )
    plan_counts.assert_balanced()
    settlement.assert_balanced()
    return settlement


def unresolved(batch: Batch) -> int:
    """Return how many records of the batch have an unknown outcome that the word of a person can end."""
    if batch.counts is None:
        return batch.file.rows if _has_unknown_outcome(batch) else 0
    return batch.counts.unknown if batch.phase is Phase.DELIVERED else 0


def _has_unknown_outcome(batch: Batch) -> bool:
    """Whether a stuck batch may have reached the vendor: its rows are unknown, not merely held."""
    if batch.phase is not Phase.NEEDS_ATTENTION:
        return False
    reached = batch.parked_from in (Phase.SUBMITTED, Phase.FINISHED, Phase.COLLECTED)
    return reached or batch.pending_intent is Verb.UPLOAD
