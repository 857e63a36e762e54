"""What each job would send now, fit for a terminal or a pull-request comment. It plans nothing itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lading.core.guards import Budget, within_budget
from lading.errors import ExitCode
from lading.ports import Excerpt
from lading.report.words import Paint, markdown, markdown_table, noun, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lading.core.accounting import Tally
    from lading.core.guards import Breach
    from lading.ports import Named


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """The plan of one job. `fingerprint` is what an approval names; `baseline_rows` what the target holds.

    `edited` says that the job shapes what it sends otherwise than its last run did.
    `excerpt` has the first keys of each kind, none of which is a value of a row beyond what `lading rejects` shows.
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
    budget: Budget = field(default_factory=Budget)
    excerpt: Excerpt = field(default_factory=Excerpt)

    @property
    def over_budget(self) -> bool:
        """Whether more records are invalid than the budget allows, whatever the vendor will say of the others."""
        one = self.tally
        return not within_budget(invalid=one.invalid, rejected=0, selected=one.selected, budget=self.budget)

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
        lines += [f"  {line}" for line in (*self._changes(paint), *self._invalid(paint), *self._remarks(paint))]
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
            "first": {word: [_named_data(key) for key in keys] for word, _, _, _, keys in self._kinds()},
            "invalid_groups": [
                {
                    "field": group.field or None,
                    "code": group.code or None,
                    "count": group.count,
                    "first": [_named_data(key) for key in group.first],
                }
                for group in self.excerpt.invalid
            ],
            "within_budget": not self.over_budget,
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

    def listed(self) -> Iterator[str]:
        """Return a line of Markdown for each kind of change and each reason for which rows are invalid."""
        for word, sign, _, count, keys in self._kinds():
            if count and keys:
                yield f"{sign} {word}: {_listed(keys, count, markdown)}"
        for group in self.excerpt.invalid:
            said = markdown(_reason(group.field, group.code))
            yield f"invalid: {said}: {noun(group.count, 'record')}{_colon(_listed(group.first, group.count, markdown))}"
        if self.over_budget:
            yield markdown(self._budget_words())

    def _kinds(self) -> Iterator[tuple[str, str, str, int, tuple[Named, ...]]]:
        """Return each kind of change: its word, its sign, its colour, how many there are, and the first of them."""
        one, shown = self.tally, self.excerpt
        yield "add", "+", "good", one.added, shown.added
        yield "change", "~", "warn", one.changed, shown.changed
        yield "remove", "-", "bad", one.removed, shown.removed

    def _changes(self, paint: Paint) -> Iterator[str]:
        for _, sign, role, count, keys in self._kinds():
            yield from (paint(f"{sign} {_shown(key, visible)}", role) for key in keys)
            if keys and count > len(keys):
                yield paint(f"{sign} {count - len(keys):,} more: `--limit N` shows N of each kind", "dim")

    def _invalid(self, paint: Paint) -> Iterator[str]:
        for group in self.excerpt.invalid:
            said = f"{paint('invalid', 'bad')}: {visible(_reason(group.field, group.code))}"
            yield f"{said}: {noun(group.count, 'record')}{_colon(_listed(group.first, group.count, visible))}"
        if self.over_budget:
            yield paint(self._budget_words(), "warn")

    def _budget_words(self) -> str:
        said = f"{self.tally.invalid:,} invalid of {self.tally.selected:,} selected, allowed {self.budget.invalid}"
        return f"the budget would be exceeded: {said} (a sync would exit with {int(ExitCode.REJECTS)})"

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


def _shown(named: Named, harmless: Callable[[str], str]) -> str:
    """Return a key with its row of the source; a removal is in no source."""
    key = harmless(named.key) if named.key else "(no key)"
    return f"{key} (row {named.row:,})" if named.row else key


def _listed(keys: Sequence[Named], count: int, harmless: Callable[[str], str]) -> str:
    """Return keys on one line, and how many there are beyond them; nothing when none is shown."""
    more = f" and {count - len(keys):,} more" if count > len(keys) else ""
    return ", ".join(_shown(key, harmless) for key in keys) + more if keys else ""


def _colon(listed: str) -> str:
    return f": {listed}" if listed else ""


def _reason(member: str, code: str) -> str:
    return " ".join(one for one in (member, f"({code})" if member else code) if one)


def _named_data(named: Named) -> dict[str, object]:
    return {"key": named.key, "source_row": named.row or None}


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
        remarks = [f"- **{markdown(plan.job)}**: {line}" for plan in self.plans for line in plan.listed()]
        remarks += [
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
