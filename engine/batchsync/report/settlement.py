"""Report of one run: state, settlement equation, batches and budget."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchsync.core.accounting import unresolved
from batchsync.core.batch import Batch, Phase
from batchsync.core.guards import Budget, within_budget
from batchsync.core.row_outcome import BATCH_OUTCOMES, FAILED_OUTCOMES, OutcomeCounts, RowOutcome
from batchsync.core.run import Run, RunState
from batchsync.report.text_format import Style, escape_controls, iso, moment, pluralize, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from batchsync.core.accounting import Settlement

#: Further counts of a settlement.
_FIGURES = ("in_flight", "needs_attention", "batches", "bytes", "added", "changed", "removed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """Approval of a run's plan: time and reason (may be empty)."""

    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """Current state of one run.

    Attributes:
        run: The run.
        settlement: Its settlement equation.
        batches: Its batches.
        budget: Budget of the job as declared now; None if the job is no longer in jobs.yaml.
        approved: Approval of the run's plan, if any.
    """

    run: Run
    settlement: Settlement
    batches: tuple[Batch, ...] = ()
    budget: Budget | None = field(default_factory=Budget)
    approved: Approved | None = None

    @property
    def state(self) -> str:
        """State of the run: settled, in flight, needs attention, preparing or awaiting approval."""
        if self.run.state is RunState.AWAITING_APPROVAL:
            return "awaiting approval"
        if self.settlement.needs_attention:
            return "needs attention"
        if self.run.state is RunState.PREPARING:
            return "preparing"
        if self.run.state is RunState.PREPARED:
            return "in flight"
        return str(self.run.state)

    @property
    def at(self) -> datetime:
        """Time at which the run settled, or started if it is not settled."""
        return (self.run.settled_at if self.state == "settled" else None) or self.run.created_at

    @property
    def preparation_aborted(self) -> bool:
        """Whether preparation was aborted, so that records of the run are deferred to the next run."""
        return bool(self.run.counts.unstaged)

    @property
    def over_budget(self) -> bool:
        """Whether more records are invalid, rejected or unknown than the job allows."""
        counts = self.settlement
        if self.budget is None:
            return False
        return not within_budget(counts.outcomes, self.budget, selected=counts.selected)

    @property
    def has_rejects(self) -> bool:
        """Whether `batchsync rejects` lists rows of the run: invalid ones, and those of delivered batches."""
        pending = (batch for batch in self.batches if batch.phase is not Phase.DELIVERED)
        unlisted = sum(batch.counts.sum_of(FAILED_OUTCOMES) if batch.counts else unresolved(batch) for batch in pending)
        return self.settlement.outcomes.sum_of(FAILED_OUTCOMES) > unlisted

    def text(self, paint: Style) -> str:
        """Return the run in three to six lines."""
        return "\n".join(self._text_lines(paint))

    def data(self) -> dict[str, object]:
        """Return the run as a JSON-compatible dictionary."""
        counts = self.settlement
        return {
            "job": counts.job,
            "run": counts.run,
            "state": self.state.replace(" ", "_"),
            "started_at": iso(self.run.created_at),
            "settled_at": iso(self.run.settled_at),
            "reason": self.run.reason,
            "approved": {"at": iso(self.approved.at), "reason": self.approved.reason} if self.approved else None,
            "settlement": settlement_data(counts),
            "sent": sum(batch.file.rows for batch in self.batches),
            "within_budget": not self.over_budget,
            "warnings": dict(self.run.warnings),
            "batches": [batch_data(batch) for batch in self.batches],
        }

    def _text_lines(self, paint: Style) -> Iterator[str]:
        """Yield the lines of the text output."""
        role = {"settled": "warn" if self.over_budget else "good", "needs attention": "bad"}.get(self.state, "warn")
        yield f"{paint(escape_controls(self.settlement.job), 'head')}: {paint(self.state, role)}{self._when()}"
        yield f"  {equation(self.settlement)}{self._budget_words(paint)}"
        yield f"  {self._sent()}"
        if self.run.reason:
            yield f"  reason: {escape_controls(self.run.reason)}"
        if self.approved:
            reason = f": {escape_controls(self.approved.reason)}" if self.approved.reason else ""
            yield f"  approved {moment(self.approved.at)}{reason}"
        for rule, count in self.run.warnings.items():
            yield f"  {paint('warning', 'warn')}: {escape_controls(rule)}: {pluralize(count, 'record')}"
        for batch in self.batches:
            if batch.phase is Phase.NEEDS_ATTENTION:
                yield f"  {paint('needs attention', 'bad')}: batch {batch.id}: {escape_controls(batch.reason)}"
        if self.has_rejects:
            yield f"  why: `batchsync rejects {escape_controls(self.settlement.job)}`"
        if self.settlement.outcomes[RowOutcome.SUPERSEDED]:
            command = f"`batchsync rejects {escape_controls(self.settlement.job)} --kind superseded`"
            yield f"  superseded: lost against another row of their key, as declared; {command} lists them"

    def _when(self) -> str:
        """Return the run number and time in parentheses."""
        return f" (run {self.run.serial}, {moment(self.at)})"

    def _budget_words(self, paint: Style) -> str:
        """Return the budget and whether it is met; empty if there are no rejects."""
        if self.budget is None or not self.settlement.outcomes.sum_of(FAILED_OUTCOMES):
            return ""
        verdict = paint("exceeded", "bad") if self.over_budget else "met"
        return f"   (budget: {self.budget.invalid} invalid, {self.budget.rejected} rejected: {verdict})"

    def _sent(self) -> str:
        """Return how many records were sent in how many batch files."""
        counts = self.settlement
        changes = f"{counts.added:,} added, {counts.changed:,} changed, {counts.removed:,} removed"
        if self.run.state is RunState.AWAITING_APPROVAL:
            return f"nothing was sent; the plan is {changes}"
        if not self.batches:
            return "nothing to send"
        records = sum(batch.file.rows for batch in self.batches)
        waiting = sum(batch.file.rows for batch in self.batches if batch.phase in (Phase.PREPARED, Phase.ALLOCATED))
        verb = "to send" if waiting == records else "sent"
        files = pluralize(counts.batches, "batch file")
        of = f" of {self.run.counts.to_send:,} so far" if self.run.state is RunState.PREPARING else ""
        return f"{verb} {pluralize(records, 'record')}{of} in {files} ({size(counts.bytes)}): {changes}"


def settlement_data(settlement: Settlement) -> dict[str, int]:
    """Return a settlement as a JSON-compatible dictionary."""
    return _terms([settlement]) | {name: getattr(settlement, name) for name in _FIGURES}


def equation(settlement: Settlement) -> str:
    """Return `selected 120 = unchanged 0 + accepted 112 + ...`, with the part of `deferred` that is in flight."""
    in_flight = f" (in flight {settlement.in_flight:,})" if settlement.in_flight else ""
    return f"{_equation([settlement])}{in_flight}"


def total(reports: Iterable[RunReport]) -> str:
    """Return the sum of several settlement equations as text."""
    return _equation([report.settlement for report in reports])


def totals(reports: Iterable[RunReport]) -> dict[str, int]:
    """Return the sum of several settlement equations as a JSON-compatible dictionary."""
    return _terms([report.settlement for report in reports])


def shown_outcomes(reports: Iterable[RunReport]) -> tuple[RowOutcome, ...]:
    """Return the outcomes that a table of runs has columns for."""
    return sum((report.settlement.outcomes for report in reports), OutcomeCounts()).shown()


def _equation(settlements: Sequence[Settlement]) -> str:
    """Return the sum of settlement equations as text."""
    (left, selected), *right = _terms(settlements).items()
    return f"{left} {selected:,} = {' + '.join(f'{term} {count:,}' for term, count in right)}"


def _terms(settlements: Sequence[Settlement]) -> dict[str, int]:
    """Return the terms of the sum of settlement equations by name: `selected`, then every outcome."""
    outcomes = sum((item.outcomes for item in settlements), OutcomeCounts())
    return {"selected": sum(item.selected for item in settlements)} | outcomes.by_name(outcomes.shown())


#: Names of phases in output, independent of the values in the journal.
_PHASE_NAMES = {Phase.FINISHED: "finished", Phase.NEEDS_ATTENTION: "needs_attention"}


def phase_name(phase: Phase) -> str:
    """Return the name of a phase as printed in JSON, such as `needs_attention`."""
    return _PHASE_NAMES.get(phase, str(phase))


def batch_data(batch: Batch) -> dict[str, object]:
    """Return a batch as a JSON-compatible dictionary, without the allocation's URL, which is a secret."""
    return {
        "batch": batch.id,
        "run": batch.run,
        "job": batch.job,
        "seq": batch.seq,
        "phase": phase_name(batch.phase),
        "in_doubt": str(batch.pending_intent) if batch.pending_intent else None,
        "vendor_status": escape_controls(batch.vendor_status),
        "verdict": str(batch.verdict) if batch.verdict else None,
        "records": batch.file.rows,
        "bytes": batch.file.size,
        "attempt": batch.attempt,
        "allocation": batch.allocation.id if batch.allocation else None,
        "submitted_at": iso(batch.submitted_at),
        "next_at": iso(batch.not_before),
        "failures": batch.failures,
        "reason": escape_controls(batch.reason),
        "counts": batch.counts.by_name(BATCH_OUTCOMES) if batch.counts else None,
    }
