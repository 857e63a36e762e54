"""The equation of a run: the selected rows are the sum of the rows by outcome (`RowOutcome`)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Self

from batchsync.core.batch import Batch, Phase
from batchsync.core.lifecycle import has_unknown_outcome
from batchsync.core.row_outcome import PLAN_OUTCOMES, OutcomeCounts, RowOutcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class UnbalancedError(Exception):
    """The counts of a run do not balance: a row would be lost or counted twice. This is a defect of batchsync."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCounts:
    """Counts of a comparison of source and baseline, in records (one record per key).

    Attributes:
        source_rows: Rows as read; more than records where `each:` collects several rows of a key.
        selected: All records of the source, plus the removals that the job sends.
        outcomes: Records that the comparison gives an outcome (`PLAN_OUTCOMES`), since they are not sent. Those that an
            aborted preparation did not stage are deferred. Records rejected or of unknown outcome are so since an
            earlier run.
        added: Records of keys that the baseline does not hold.
        changed: Records that differ from the baseline, and with `send: all` the equal ones.
        removed: Records of keys that left the source.
        unstaged: Deferred records that an aborted preparation did not stage; also in `added`, `changed`, `removed`.
        resent: Those of `changed` that the target holds as they are (`send: all`).
    """

    source_rows: int = 0
    selected: int = 0
    outcomes: OutcomeCounts = field(default_factory=OutcomeCounts)
    added: int = 0
    changed: int = 0
    removed: int = 0
    unstaged: int = 0
    resent: int = 0

    @classmethod
    def from_dict(cls, values: Mapping[str, int]) -> Self:
        """Return the counts that `to_dict` returned.

        Raises:
            ValueError: If there is a count of another name.
        """
        names = {outcome.name_in_plan: outcome for outcome in PLAN_OUTCOMES}
        figures = {name: value for name, value in values.items() if name not in names}
        if unknown := figures.keys() - {item.name for item in fields(cls)}:
            message = f"unknown counts: {', '.join(sorted(unknown))}"
            raise ValueError(message)
        outcomes = OutcomeCounts({outcome: values[name] for name, outcome in names.items() if name in values})
        return cls(outcomes=outcomes, **figures)

    @property
    def to_send(self) -> int:
        """Number of records that this run puts into batch files."""
        return self.added + self.changed + self.removed - self.unstaged

    def to_dict(self) -> dict[str, int]:
        """Return the counts by name, as a JSON-compatible dictionary."""
        figures = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "outcomes"}
        shown = self.outcomes.shown()
        return figures | {item.name_in_plan: self.outcomes[item] for item in PLAN_OUTCOMES if item in shown}

    def as_assumed(self) -> PlanCounts:
        """Return the counts of a run that sends nothing: what differs is assumed; removals wait for the next run."""
        found = OutcomeCounts({RowOutcome.ASSUMED: self.added + self.changed, RowOutcome.DEFERRED: self.removed})
        return replace(self, outcomes=self.outcomes + found, added=0, changed=0, removed=0, resent=0)

    def with_staged(self, staged: int) -> PlanCounts:
        """Return the counts of a run that stages only this number of records; the others are deferred."""
        rest = self.to_send - staged
        deferred = OutcomeCounts({RowOutcome.DEFERRED: rest})
        return replace(self, outcomes=self.outcomes + deferred, unstaged=self.unstaged + rest)

    def assert_balanced(self) -> None:
        """Check that every selected record is counted exactly once.

        Raises:
            UnbalancedError: If it is not.
        """
        counted = self.outcomes.only(PLAN_OUTCOMES).total + self.to_send
        if counted != self.selected:
            message = f"selected {self.selected} records but counted {counted}: {self}"
            raise UnbalancedError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The equation of a run at this time: `selected` is the total of `outcomes`.

    `in_flight` is part of the deferred records until the vendor has finished. `added`, `changed` and `removed` count
    the records to send; `needs_attention` counts the batches that wait for a person; `bytes` is the size of all batch
    files.
    """

    job: str
    run: str
    selected: int
    outcomes: OutcomeCounts
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
        if self.selected != self.outcomes.total:
            message = f"run {self.run}: selected {self.selected} but its outcomes add up to {self.outcomes.total}"
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
        outcomes=sum(map(_outcomes, own), plan_counts.outcomes + OutcomeCounts({RowOutcome.DEFERRED: unprepared})),
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


def _outcomes(batch: Batch) -> OutcomeCounts:
    """Return the present outcomes of the rows of a batch: until they are collected, all are deferred or unknown."""
    if batch.counts is not None:
        return batch.counts
    outcome = RowOutcome.UNKNOWN if has_unknown_outcome(batch) else RowOutcome.DEFERRED
    return OutcomeCounts({outcome: batch.file.rows})


def unresolved(batch: Batch) -> int:
    """Return the number of records of the batch whose unknown outcome can be resolved manually."""
    if batch.counts is None:
        return batch.file.rows if has_unknown_outcome(batch) else 0
    return batch.counts[RowOutcome.UNKNOWN] if batch.phase is Phase.DELIVERED else 0
