"""The equation of a run: `selected = unchanged + accepted + invalid + rejected + unknown + deferred`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batchsync.core.batch import Batch, Phase, Verb

if TYPE_CHECKING:
    from collections.abc import Iterable


class UnbalancedError(Exception):
    """The counts of a run do not balance: a row would be lost or counted twice. This is a defect of batchsync."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCounts:
    """Counts of a comparison of source and baseline, in records (one record per key).

    Attributes:
        source_rows: Rows as read; more than records where `each:` collects several rows of a key.
        selected: All records of the source, plus the removals that the job sends.
        unchanged: Records that the baseline holds as they are.
        added: Records of keys that the baseline does not hold.
        changed: Records that differ from the baseline, and with `send: all` the equal ones.
        removed: Records of keys that left the source.
        invalid: Records refused by the record schema.
        deferred: Records that wait for an older version in flight, or that an aborted preparation did not stage.
        still_rejected: Records rejected in an earlier run and not changed since; not sent again.
        still_unknown: Records with an unknown outcome in an earlier run and not changed since; not sent again.
        unstaged: Those of `deferred` that an aborted preparation did not stage; also in `added`, `changed`, `removed`.
        resent: Those of `changed` that the target holds as they are (`send: all`).
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
        """Number of records that this run puts into batch files."""
        return self.added + self.changed + self.removed - self.unstaged

    def with_staged(self, staged: int) -> PlanCounts:
        """Return the counts of a run that stages only this number of records; the others are deferred."""
        rest = self.to_send - staged
        return replace(self, deferred=self.deferred + rest, unstaged=self.unstaged + rest)

    def assert_balanced(self) -> None:
        """Check that every selected record is counted exactly once.

        Raises:
            UnbalancedError: If it is not.
        """
        counted = self.unchanged + self.to_send + self.invalid + self.deferred
        counted += self.still_rejected + self.still_unknown
        if counted != self.selected:
            message = f"selected {self.selected} records but counted {counted}: {self}"
            raise UnbalancedError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The equation of a run at this time.

    `in_flight` is part of `deferred` until the vendor has finished. `added`, `changed` and `removed` count the records
    to send; `needs_attention` counts the batches that wait for a person; `bytes` is the size of all batch files.
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
        """Whether no batch of the run is open."""
        return self.in_flight == 0 and self.needs_attention == 0

    def assert_balanced(self) -> None:
        """Check that the equation holds.

        Raises:
            UnbalancedError: If it does not.
        """
        total = self.unchanged + self.accepted + self.invalid + self.rejected + self.unknown + self.deferred
        if self.selected != total:
            message = f"run {self.run}: selected {self.selected} but its outcomes add up to {total}"
            raise UnbalancedError(message)


def compute_settlement(
    job: str, run: str, plan_counts: PlanCounts, batches: Iterable[Batch], *, preparing: bool = False
) -> Settlement:
    """Return the equation of a run from its plan and its batches.

    Args:
        job: Name of the job.
        run: Id of the run.
        plan_counts: Counts of the plan.
        batches: All batches of the run.
        preparing: Whether further batches follow; their records count as in flight.

    Raises:
        UnbalancedError: If a row would be lost or counted twice.
    """
    own = tuple(batches)
    accepted = sum(batch.counts.accepted for batch in own if batch.counts)
    rejected = sum(batch.counts.rejected for batch in own if batch.counts)
    unknown = sum(batch.counts.unknown for batch in own if batch.counts)
    open_rows = sum(batch.file.rows for batch in own if batch.counts is None)
    unknown_open = sum(batch.file.rows for batch in own if batch.counts is None and _has_unknown_outcome(batch))
    # A run that awaits approval has planned records and no batches: they are deferred.
    unprepared = plan_counts.to_send - sum(batch.file.rows for batch in own)
    if unprepared < 0 or (own and unprepared and not preparing):
        message = f"run {run}: its batches and its plan of {plan_counts.to_send} records differ by {abs(unprepared)}"
        raise UnbalancedError(message)
    in_flight = sum(batch.file.rows for batch in own if batch.phase not in (Phase.DELIVERED, Phase.NEEDS_ATTENTION))
    settlement = Settlement(
        job=job,
        run=run,
        selected=plan_counts.selected,
        unchanged=plan_counts.unchanged,
        accepted=accepted,
        invalid=plan_counts.invalid,
        rejected=rejected + plan_counts.still_rejected,
        unknown=unknown + plan_counts.still_unknown + unknown_open,
        deferred=plan_counts.deferred + unprepared + open_rows - unknown_open,
        in_flight=(unprepared if preparing else 0) + in_flight,
        batches=len(own),
        bytes=sum(batch.file.size for batch in own),
        needs_attention=sum(batch.phase is Phase.NEEDS_ATTENTION for batch in own),
        added=plan_counts.added,
        changed=plan_counts.changed,
        removed=plan_counts.removed,
    )
    plan_counts.assert_balanced()
    settlement.assert_balanced()
    return settlement


def unresolved(batch: Batch) -> int:
    """Return the number of records of the batch whose unknown outcome can be resolved manually."""
    if batch.counts is None:
        return batch.file.rows if _has_unknown_outcome(batch) else 0
    return batch.counts.unknown if batch.phase is Phase.DELIVERED else 0


def _has_unknown_outcome(batch: Batch) -> bool:
    """Return whether a batch that needs attention may have reached the vendor: its rows are unknown, not deferred."""
    if batch.phase is not Phase.NEEDS_ATTENTION:
        return False
    reached = batch.parked_from in (Phase.SUBMITTED, Phase.FINISHED, Phase.COLLECTED)
    return reached or batch.pending_intent is Verb.UPLOAD
