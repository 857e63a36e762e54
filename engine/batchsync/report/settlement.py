"""The settlement equation of a run, in words and numbers that balance. It does not settle anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lading.core.batch import Batch, Phase
from lading.core.guards import Budget, within_budget
from lading.core.run import Run, RunState
from lading.report.words import Paint, iso, moment, noun, size, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from lading.core.accounting import Settlement

#: The right side of the equation, in its order.
TERMS = ("unchanged", "accepted", "invalid", "rejected", "unknown", "held")

#: What else a settlement counts.
_FIGURES = ("in_flight", "stuck", "batches", "bytes", "added", "changed", "removed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """That a person allowed the plan of a run, when, and why (empty: not said)."""

    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """One run as it stands now. `budget` is that of the job as declared today; None when the job is no more."""

    run: Run
    settlement: Settlement
    batches: tuple[Batch, ...] = ()
    budget: Budget | None = field(default_factory=Budget)
    approved: Approved | None = None

    @property
    def state(self) -> str:
        """Return how the run stands: settled, in flight, stuck, preparing, or held (by a guard)."""
        if self.run.state is RunState.HELD:
            return "held"
        if self.settlement.stuck:
            return "stuck"
        if self.run.state is RunState.PREPARING:
            return "preparing"
        if self.run.state is RunState.PREPARED:
            return "in flight"
        return str(self.run.state)

    @property
    def at(self) -> datetime:
        """Return since when the run stands so: when it settled, or when it started."""
        return (self.run.settled_at if self.state == "settled" else None) or self.run.created_at

    @property
    def cut_short(self) -> bool:
        """Whether preparing the run came to no end, so that records of it wait for the next run."""
        return bool(self.run.tally.unsealed)

    @property
    def over_budget(self) -> bool:
        """Whether more records are invalid, rejected or unknown than the job allows."""
        one = self.settlement
        if self.budget is None:
            return False
        kept = within_budget(invalid=one.invalid, rejected=one.rejected, selected=one.selected, budget=self.budget)
        return bool(one.unknown) or not kept

    @property
    def has_rejects(self) -> bool:
        """Whether `lading rejects` has something to show for the run."""
        return bool(self.settlement.invalid or self.settlement.rejected or self.settlement.unknown)

    def text(self, paint: Paint) -> str:
        """Return the run in three to six lines."""
        return "\n".join(self._text_lines(paint))

    def data(self) -> dict[str, object]:
        """Return the run as plain values for JSON."""
        one = self.settlement
        return {
            "job": one.job,
            "run": one.run,
            "state": self.state.replace(" ", "_"),
            "started_at": iso(self.run.created_at),
            "settled_at": iso(self.run.settled_at),
            "reason": self.run.reason,
            "approved": {"at": iso(self.approved.at), "reason": self.approved.reason} if self.approved else None,
            "settlement": {name: getattr(one, name) for name in ("selected", *TERMS, *_FIGURES)},
            "sent": sum(batch.file.rows for batch in self.batches),
            "within_budget": not self.over_budget,
            "warnings": dict(self.run.warnings),
            "batches": [batch_data(batch) for batch in self.batches],
        }

    def _text_lines(self, paint: Paint) -> Iterator[str]:
        role = {"settled": "warn" if self.over_budget else "good", "stuck": "bad"}.get(self.state, "warn")
        yield f"{paint(visible(self.settlement.job), 'head')}: {paint(self.state, role)}{self._when()}"
        yield f"  {equation(self.settlement)}{self._budget_words(paint)}"
        yield f"  {self._sent()}"
        if self.run.reason:
            yield f"  held: {visible(self.run.reason)}"
        if self.approved:
            reason = f": {visible(self.approved.reason)}" if self.approved.reason else ""
            yield f"  approved {moment(self.approved.at)}{reason}"
        for rule, count in self.run.warnings.items():
            yield f"  {paint('warning', 'warn')}: {visible(rule)}: {noun(count, 'record')}"
        for batch in self.batches:
            if batch.phase is Phase.STUCK:
                yield f"  {paint('stuck', 'bad')}: batch {batch.id}: {visible(batch.reason)}"
        if self.has_rejects:
            yield f"  why: `lading rejects {visible(self.settlement.job)}`"

    def _when(self) -> str:
        return f" (run {self.run.serial}, {moment(self.at)})"

    def _budget_words(self, paint: Paint) -> str:
        if self.budget is None or not self.has_rejects:
            return ""
        judged = paint("exceeded", "bad") if self.over_budget else "kept"
        return f"   (budget: {self.budget.invalid} invalid, {self.budget.rejected} rejected: {judged})"

    def _sent(self) -> str:
        one = self.settlement
        changes = f"{one.added:,} added, {one.changed:,} changed, {one.removed:,} removed"
        if self.run.state is RunState.HELD:
            return f"nothing was sent; the plan is {changes}"
        if not self.batches:
            return "nothing to send"
        records = sum(batch.file.rows for batch in self.batches)
        waiting = sum(batch.file.rows for batch in self.batches if batch.phase in (Phase.PREPARED, Phase.ALLOCATED))
        verb = "to send" if waiting == records else "sent"
        files = noun(one.batches, "batch file")
        of = f" of {self.run.tally.to_send:,} so far" if self.run.state is RunState.PREPARING else ""
        return f"{verb} {noun(records, 'record')}{of} in {files} ({size(one.bytes)}): {changes}"


def equation(settlement: Settlement) -> str:
    """Return `selected 120 = unchanged 0 + accepted 112 + ...`, with what of `held` is in flight."""
    terms = " + ".join(f"{term} {getattr(settlement, term):,}" for term in TERMS)
    flying = f" (in flight {settlement.in_flight:,})" if settlement.in_flight else ""
    return f"selected {settlement.selected:,} = {terms}{flying}"


def total(reports: Iterable[RunReport]) -> str:
    """Return the sum of several equations, which balances because each of them does."""
    found = [one.settlement for one in reports]
    terms = " + ".join(f"{term} {sum(getattr(one, term) for one in found):,}" for term in TERMS)
    return f"selected {sum(one.selected for one in found):,} = {terms}"


def totals(reports: Iterable[RunReport]) -> Mapping[str, int]:
    """Return the same sum as plain values for JSON."""
    found = [one.settlement for one in reports]
    return {term: sum(getattr(one, term) for one in found) for term in ("selected", *TERMS)}


def batch_data(batch: Batch) -> dict[str, object]:
    """Return a batch as plain values for JSON. A slot's URL is a secret and is not among them."""
    return {
        "batch": batch.id,
        "run": batch.run,
        "job": batch.job,
        "seq": batch.seq,
        "phase": str(batch.phase),
        "in_doubt": str(batch.doubt) if batch.doubt else None,
        "vendor_word": visible(batch.word),
        "verdict": str(batch.verdict) if batch.verdict else None,
        "records": batch.file.rows,
        "bytes": batch.file.size,
        "attempt": batch.attempt,
        "slot": batch.slot.id if batch.slot else None,
        "submitted_at": iso(batch.submitted_at),
        "next_at": iso(batch.not_before),
        "failures": batch.failures,
        "reason": visible(batch.reason),
        "books": (
            {"accepted": batch.books.accepted, "rejected": batch.books.rejected, "unknown": batch.books.unknown}
            if batch.books
            else None
        ),
    }
