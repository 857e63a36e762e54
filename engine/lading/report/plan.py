"""What each job would send now, fit for a terminal or a pull-request comment. It plans nothing itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lading.report.words import Paint, markdown, markdown_table, noun, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lading.core.accounting import Tally
    from lading.core.guards import Breach


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """The plan of one job. `fingerprint` is what an approval names; `baseline_rows` what the target holds.

    `edited` says that the job shapes what it sends otherwise than its last run did.
    """

    job: str
    tally: Tally
    breaches: tuple[Breach, ...]
    approved: bool
    fingerprint: str
    baseline_rows: int
    in_flight: int = 0
    warnings: Mapping[str, int] = field(default_factory=dict)
    edited: bool = False

    @property
    def held(self) -> bool:
        """Whether a guard would hold the run."""
        return bool(self.breaches) and not self.approved

    def text(self, paint: Paint) -> str:
        """Return the plan in two lines and one for each thing to know."""
        one = self.tally
        name = paint(visible(self.job), "head")
        if one.to_send:
            adds = paint(f"+ {noun(one.added, 'add')}", "good")
            changes = paint(f"~ {noun(one.changed, 'change')}", "warn")
            removes = paint(f"- {noun(one.removed, 'remove')}", "bad")
            lines = [f"{name}: {adds}, {changes}, {removes}"]
        else:
            lines = [f"{name}: (nothing to send)"]
        lines.append(
            f"  selected {one.selected:,} = unchanged {one.unchanged:,} + to send {one.to_send:,}{self._rest()}"
        )
        lines += [f"  {line}" for line in self._remarks(paint)]
        return "\n".join(lines)

    def row(self) -> tuple[str, ...]:
        """Return the plan as a line of the Markdown table."""
        one = self.tally
        standing = one.standing_rejected + one.standing_unknown
        numbers = (one.added, one.changed, one.removed, one.unchanged, one.invalid, one.held, standing)
        return (self.job, *(f"{number:,}" for number in numbers), self._guard_words())

    def data(self) -> dict[str, object]:
        """Return the plan as plain values for JSON."""
        one = self.tally
        return {
            "job": self.job,
            "plan": self.fingerprint,
            "source_rows": one.source_rows,
            "selected": one.selected,
            "add": one.added,
            "change": one.changed,
            "resent": one.resent,
            "remove": one.removed,
            "to_send": one.to_send,
            "unchanged": one.unchanged,
            "invalid": one.invalid,
            "held": one.held,
            "standing_rejected": one.standing_rejected,
            "standing_unknown": one.standing_unknown,
            "target_holds": self.baseline_rows,
            "guards": [{"guard": breach.guard, "message": breach.message} for breach in self.breaches],
            "approved": self.approved,
            "would_be_held": self.held,
            "batches_in_flight": self.in_flight,
            "warnings": dict(self.warnings),
        }

    def _rest(self) -> str:
        one = self.tally
        terms = {
            "invalid": one.invalid,
            "rejected earlier": one.standing_rejected,
            "unknown earlier": one.standing_unknown,
            "held": one.held,
        }
        return "".join(f" + {word} {number:,}" for word, number in terms.items())

    def _remarks(self, paint: Paint) -> Iterator[str]:
        verdict = "approved" if self.approved else "would hold this run"
        for breach in self.breaches:
            yield f"{paint(f'guard {breach.guard} {verdict}', 'warn')}: {visible(breach.message)}"
        if self.edited and self.tally.changed and not self.tally.unchanged + self.tally.resent:
            yield "the job was edited since its last run, and now every row that the target holds counts as changed"
        if self.tally.resent:
            yield f"{self.tally.resent:,} of the changes only send again what the target holds: none for a guard"
        if self.tally.standing_rejected or self.tally.standing_unknown:
            yield "rejected or unknown earlier and not changed since: not sent again"
        if self.in_flight:
            yield f"{noun(self.in_flight, 'batch', 'batches')} in flight: `lading sync` brings these to their end first"
        for rule, count in self.warnings.items():
            yield f"{paint('warning', 'warn')}: {visible(rule)}: {noun(count, 'record')}"

    def _guard_words(self) -> str:
        if not self.breaches:
            return "kept"
        names = ", ".join(breach.guard for breach in self.breaches)
        return f"{names}: {'approved' if self.approved else 'would hold'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplanned:
    """A job that could not be planned, and why."""

    job: str
    message: str
    hint: str = ""

    def data(self) -> dict[str, object]:
        """Return it as plain values for JSON."""
        return {"job": self.job, "message": self.message, "hint": self.hint}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlansReport:
    """The plans of several jobs, in the order in which they would run."""

    plans: tuple[PlanReport, ...]
    unplanned: tuple[Unplanned, ...] = ()
    notes: tuple[str, ...] = ()

    def text(self, paint: Paint) -> str:
        """Return every plan."""
        parts = [plan.text(paint) for plan in self.plans]
        for one in self.unplanned:
            parts.append(f"{paint(visible(one.job), 'head')}: {paint('no plan', 'bad')}: {visible(one.message)}")
            parts += [f"  {visible(one.hint)}"] if one.hint else []
        parts += [f"{paint('note', 'dim')}: {visible(note)}" for note in self.notes]
        return "\n".join(parts) or "there are no jobs"

    def markdown(self) -> str:
        """Return a table with a line for each job, and the guards that hold in sentences below it."""
        header = ("job", "add", "change", "remove", "unchanged", "invalid", "held", "rejected earlier", "guards")
        to_send = sum(plan.tally.to_send for plan in self.plans)
        said = f"{noun(to_send, 'record')} would be sent." if to_send else "Nothing would be sent."
        table = markdown_table(header, (plan.row() for plan in self.plans), right=frozenset(range(1, 8)))
        lines = ["### lading plan", "", said, "", table]
        remarks = [
            f"- **{markdown(plan.job)}**: {markdown(breach.message)}" for plan in self.plans for breach in plan.breaches
        ]
        remarks += [f"- **{markdown(one.job)}**: no plan: {markdown(one.message)}" for one in self.unplanned]
        remarks += [f"- {markdown(note)}" for note in self.notes]
        return "\n".join([*lines, "", *remarks] if remarks else lines)

    def data(self) -> dict[str, object]:
        """Return every plan as plain values for JSON."""
        return {
            "jobs": [plan.data() for plan in self.plans],
            "unplanned": [one.data() for one in self.unplanned],
            "to_send": sum(plan.tally.to_send for plan in self.plans),
            "would_be_held": any(plan.held for plan in self.plans),
            "notes": list(self.notes),
        }

    def lines(self) -> Iterator[dict[str, object]]:
        """Return one line for each job."""
        for plan in self.plans:
            yield {"event": "plan"} | plan.data()
        for one in self.unplanned:
            yield {"event": "unplanned"} | one.data()
