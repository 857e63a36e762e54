"""Report of `batchsync plan`: what each job would send, for a terminal or a pull-request comment."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from batchsync.core.guards import Budget, within_budget
from batchsync.core.row_outcome import BATCH_OUTCOMES, PLAN_OUTCOMES, OutcomeCounts, RowOutcome
from batchsync.errors import ExitCode, SpecError
from batchsync.ports import PlanPreview
from batchsync.report.contract import ContractReport
from batchsync.report.envelope import error_data
from batchsync.report.records import RecordsReport
from batchsync.report.sources import partial_read_data, partial_read_words
from batchsync.report.text_format import Style, escape_controls, markdown, markdown_table, markdown_with_code, pluralize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from batchsync.core.contract import Contract
    from batchsync.core.plan import Plan
    from batchsync.errors import BatchsyncError
    from batchsync.ports import KeyRef, PartialRead
    from batchsync.report.forecast import ForecastReport


def _columns(outcomes: OutcomeCounts) -> tuple[RowOutcome, ...]:
    """Return the outcomes with a column of their own in the Markdown table; those of an earlier run share one."""
    return tuple(outcome for outcome in outcomes.shown() if outcome in PLAN_OUTCOMES and not outcome.traits.of_batch)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """Plan of one job.

    Attributes:
        plan: The plan.
        approved: Whether it was approved.
        in_flight: Number of open batches of the job.
        edited: Whether the job's mapping differs from that of its last run.
        budget: Budget of the job for invalid and rejected records.
        contract: Contract of the source; None if it has none.
        partial_read: Which rows of its query were read; None if all were.
        preview: First keys of each kind of change; contains no values beyond those that `batchsync rejects` shows.
        records: First records of each kind of change, and the members that change.
        forecast: What sending is expected to cost; None if nothing would be sent.
    """

    plan: Plan
    approved: bool
    in_flight: int = 0
    edited: bool = False
    budget: Budget = field(default_factory=Budget)
    contract: Contract | None = None
    partial_read: PartialRead | None = None
    preview: PlanPreview = field(default_factory=PlanPreview)
    records: RecordsReport = field(default_factory=RecordsReport)
    forecast: ForecastReport | None = None

    @property
    def over_budget(self) -> bool:
        """Whether more records are invalid than the budget allows, before any are rejected."""
        counts = self.plan.counts
        decided = counts.outcomes.only(_columns(counts.outcomes))
        return not within_budget(decided, self.budget, selected=counts.selected)

    @property
    def awaiting_approval(self) -> bool:
        """Whether a guard would block the run until it is approved."""
        return bool(self.plan.breaches) and not self.approved

    def text(self, paint: Style) -> str:
        """Return the plan in two lines, followed by one line per remark."""
        counts = self.plan.counts
        name = paint(escape_controls(self.plan.job), "head")
        if counts.to_send:
            adds = paint(f"+ {pluralize(counts.added, 'add')}", "good")
            changes = paint(f"~ {pluralize(counts.changed, 'change')}", "warn")
            removes = paint(f"- {pluralize(counts.removed, 'remove')}", "bad")
            lines = [f"{name}: {adds}, {changes}, {removes}"]
        else:
            lines = [f"{name}: (nothing to send)"]
        lines.append(
            f"  selected {counts.selected:,} = unchanged {counts.outcomes[RowOutcome.UNCHANGED]:,} + "
            f"to send {counts.to_send:,}{self._rest()}"
        )
        lines += [f"  {line}" for line in (*self._changes(paint), *self._invalid(paint), *self._remarks(paint))]
        return "\n".join(lines)

    def row(self, shown: Sequence[RowOutcome]) -> tuple[str, ...]:
        """Return the plan as cells of the Markdown table, with the counts of the shown outcomes."""
        counts = self.plan.counts
        outcomes = (counts.outcomes[outcome] for outcome in shown)
        earlier = counts.outcomes.sum_of(BATCH_OUTCOMES)
        numbers = (counts.selected, counts.added, counts.changed, counts.removed, *outcomes, earlier)
        return (self.plan.job, *(f"{number:,}" for number in numbers), self._guard_words())

    def data(self) -> dict[str, object]:
        """Return the plan as a JSON-compatible dictionary."""
        plan, counts = self.plan, self.plan.counts
        shown = counts.outcomes.shown()
        return {
            "job": plan.job,
            "plan": plan.changes_digest,
            "source_rows": counts.source_rows,
            "selected": counts.selected,
            "add": counts.added,
            "change": counts.changed,
            "resent": counts.resent,
            "remove": counts.removed,
            "to_send": counts.to_send,
            **{outcome.name_in_plan: counts.outcomes[outcome] for outcome in PLAN_OUTCOMES if outcome in shown},
            "first": {kind: [_key_data(key) for key in keys] for kind, _, _, _, keys in self._kinds()},
            "invalid_groups": [
                {
                    "field": group.field or None,
                    "code": group.code or None,
                    "count": group.count,
                    "first": [_key_data(key) for key in group.first],
                }
                for group in self.preview.invalid
            ],
            "records": self.records.data(),
            "expected": None if self.forecast is None else self.forecast.data(),
            "edited": self.edited,
            "remarks": list(self._sentences()),
            "partial_read": None if self.partial_read is None else partial_read_data(self.partial_read),
            "within_budget": not self.over_budget,
            "baseline_rows": plan.baseline_rows,
            "contract": None if self._contract is None else self._contract.data(),
            "guards": [{"guard": breach.guard, "message": breach.message} for breach in plan.breaches],
            "approved": self.approved,
            "awaiting_approval": self.awaiting_approval,
            "batches_in_flight": self.in_flight,
            "warnings": dict(plan.warnings),
        }

    @property
    def _contract(self) -> ContractReport | None:
        """The contract of the source with its counts."""
        return None if self.contract is None else ContractReport(self.contract, self.plan.contract)

    def _rest(self) -> str:
        """Return the terms of the equation after `to send`."""
        terms = [outcome for outcome in self.plan.counts.outcomes.shown() if outcome in PLAN_OUTCOMES]
        terms.remove(RowOutcome.UNCHANGED)
        return "".join(f" + {term.label_in_plan} {self.plan.counts.outcomes[term]:,}" for term in terms)

    def listed(self) -> Iterator[str]:
        """Yield a line of Markdown per kind of change and per reason for invalid rows."""
        for kind, sign, _, count, keys in self._kinds():
            if count and keys:
                yield f"{sign} {kind}: {_listed(keys, count, markdown)}"
        for group in self.preview.invalid:
            reason = markdown(_reason(group.field, group.code))
            listed = _colon(_listed(group.first, group.count, markdown))
            yield f"invalid: {reason}: {pluralize(group.count, 'record')}{listed}"
        if self.over_budget:
            yield markdown(self._budget_words())
        yield from self.records.listed()
        if self.partial_read is not None:
            yield markdown(partial_read_words(self.partial_read))
        if self._contract is not None:
            yield f"contract: {markdown(self._contract.counted())}"
        for breach in self.plan.breaches:
            yield f"guard {breach.guard} {self._verdict}: {markdown(breach.message)}"
        yield from (markdown_with_code(sentence) for sentence in self._sentences())

    def _kinds(self) -> Iterator[tuple[str, str, str, int, tuple[KeyRef, ...]]]:
        """Yield each kind of change as name, sign, style role, count and first keys."""
        counts, shown = self.plan.counts, self.preview
        yield "add", "+", "good", counts.added, shown.added
        yield "change", "~", "warn", counts.changed, shown.changed
        yield "remove", "-", "bad", counts.removed, shown.removed

    def _changes(self, paint: Style) -> Iterator[str]:
        """Yield one line per key of the preview."""
        for kind, sign, role, count, keys in self._kinds():
            for index, key in enumerate(keys):
                heading = f"{sign} {_shown(key, escape_controls)}{self.records.heading(kind, index)}"
                yield paint(heading, role)
                yield from (f"    {line}" for line in self.records.lines(kind, index, paint))
            if keys and count > len(keys):
                yield paint(f"{sign} {count - len(keys):,} more: `--limit N` shows N of each kind", "dim")

    def _invalid(self, paint: Style) -> Iterator[str]:
        """Yield one line per reason for invalid rows, and one if the budget would be exceeded."""
        for group in self.preview.invalid:
            reason = f"{paint('invalid', 'bad')}: {escape_controls(_reason(group.field, group.code))}"
            listed = _colon(_listed(group.first, group.count, escape_controls))
            yield f"{reason}: {pluralize(group.count, 'record')}{listed}"
        if self.over_budget:
            yield paint(self._budget_words(), "warn")

    def _budget_words(self) -> str:
        """Return the sentence about an exceeded budget."""
        counts = self.plan.counts
        invalid = f"{counts.outcomes[RowOutcome.INVALID]:,} invalid"
        figures = f"{invalid} of {counts.selected:,} selected, allowed {self.budget.invalid}"
        return f"the budget would be exceeded: {figures} (a sync would exit with {int(ExitCode.REJECTS)})"

    def _remarks(self, paint: Style) -> Iterator[str]:
        """Yield remarks on members that change, guards, and what `_sentences` says."""
        yield from self.records.remarks()
        if self.partial_read is not None:
            yield partial_read_words(self.partial_read)
        if self._contract is not None:
            yield f"contract: {escape_controls(self._contract.counted())}"
        for breach in self.plan.breaches:
            yield f"{paint(f'guard {breach.guard} {self._verdict}', 'warn')}: {escape_controls(breach.message)}"
        warnings = {f"warning: {escape_controls(rule)}" for rule in self.plan.warnings}
        for sentence in self._sentences():
            label, colon, rest = sentence.partition(":")
            is_warning = sentence.rpartition(": ")[0] in warnings
            yield f"{paint(label, 'warn')}{colon}{rest}" if is_warning else sentence

    @property
    def _verdict(self) -> str:
        """What a guard does to the run."""
        return "approved" if self.approved else "would block this run"

    def _sentences(self) -> Iterator[str]:
        """Yield sentences about an edit, resent records, earlier outcomes, cost, open batches and warnings.

        They are part of the plan in each format.
        """
        plan, counts = self.plan, self.plan.counts
        compared = counts.changed + counts.outcomes[RowOutcome.UNCHANGED]
        if self.edited and compared:
            differ = counts.changed - counts.resent
            yield f"the job was edited since its last run; {differ:,} of {compared:,} records in the baseline differ"
        if counts.resent:
            yield f"{counts.resent:,} of the changes resend what the target already holds; guards ignore these"
        if counts.outcomes.sum_of(BATCH_OUTCOMES):
            yield "rows rejected or unknown in an earlier run and unchanged since are not sent again"
        if self.forecast is not None:
            yield from self.forecast.sentences()
        if self.in_flight:
            yield f"{pluralize(self.in_flight, 'batch', 'batches')} in flight: `batchsync sync` completes these first"
        for rule, count in plan.warnings.items():
            yield f"warning: {escape_controls(rule)}: {pluralize(count, 'record')}"

    def _guard_words(self) -> str:
        """Return the cell of the guards column."""
        if not self.plan.breaches:
            return "passed"
        names = ", ".join(breach.guard for breach in self.plan.breaches)
        return f"{names}: {'approved' if self.approved else 'would block'}"


def without_keys(preview: PlanPreview) -> PlanPreview:
    """Return a preview with the rows of invalid records, and without any key."""
    hidden = [
        replace(group, first=tuple(replace(ref, key="", hidden=True) for ref in group.first))
        for group in preview.invalid
    ]
    return PlanPreview(added=(), changed=(), removed=(), invalid=tuple(hidden))


def _shown(ref: KeyRef, escape: Callable[[str], str]) -> str:
    """Return a key with its source row; a removed key has none."""
    if ref.hidden:
        return f"row {ref.row:,}"
    key = escape(ref.key) if ref.key else "(no key)"
    return f"{key} (row {ref.row:,})" if ref.row else key


def _listed(keys: Sequence[KeyRef], count: int, escape: Callable[[str], str]) -> str:
    """Return the keys on one line with the number of further keys; empty if none is shown."""
    more = f" and {count - len(keys):,} more" if count > len(keys) else ""
    return ", ".join(_shown(key, escape) for key in keys) + more if keys else ""


def _colon(listed: str) -> str:
    """Return the text after a colon; empty if the text is."""
    return f": {listed}" if listed else ""


def _reason(field_name: str, code: str) -> str:
    """Return `field (code)`, or the code if no field is known."""
    return " ".join(part for part in (field_name, f"({code})" if field_name else code) if part)


def _key_data(ref: KeyRef) -> dict[str, object]:
    """Return the key as a JSON-compatible dictionary."""
    return {"key": None if ref.hidden else ref.key, "source_row": ref.row or None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplanned:
    """Job that could not be planned, with the error."""

    job: str
    error: BatchsyncError

    @property
    def reason(self) -> str:
        """The message of the error, with each problem of the job and its source."""
        problems = self.error.problems if isinstance(self.error, SpecError) else ()
        return "; ".join([self.error.message, *(f"{item.file}:{item.line}: {item.message}" for item in problems)])

    def markdown(self) -> str:
        """Return the reason and what to do as Markdown."""
        hint = f" ({markdown_with_code(self.error.hint)})" if self.error.hint else ""
        return f"{markdown(self.reason)}{hint}"

    def data(self) -> dict[str, object]:
        """Return the job as a JSON-compatible dictionary."""
        return {"job": self.job} | error_data(self.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlansReport:
    """Plans of several jobs, in execution order."""

    plans: tuple[PlanReport, ...]
    unplanned: tuple[Unplanned, ...] = ()
    notes: tuple[str, ...] = ()

    def text(self, paint: Style) -> str:
        """Return every plan."""
        parts = [report.text(paint) for report in self.plans]
        for item in self.unplanned:
            name = paint(escape_controls(item.job), "head")
            parts.append(f"{name}: {paint('no plan', 'bad')}: {escape_controls(item.error.message)}")
            parts += [f"  {escape_controls(item.error.hint)}"] if item.error.hint else []
        parts += [f"{paint('note', 'dim')}: {escape_controls(note)}" for note in self.notes]
        return "\n".join(parts) or "no jobs"

    def markdown(self) -> str:
        """Return a Markdown table with one line per job, followed by remarks."""
        shown = _columns(sum((report.plan.counts.outcomes for report in self.plans), OutcomeCounts()))
        header = ("job", "selected", "add", "change", "remove", *shown, "rejected earlier", "guards")
        to_send = sum(report.plan.counts.to_send for report in self.plans)
        summary = f"{pluralize(to_send, 'record')} would be sent." if to_send else "Nothing would be sent."
        table = markdown_table(
            header, (report.row(shown) for report in self.plans), right=frozenset(range(1, len(header) - 1))
        )
        lines = ["### batchsync plan", "", summary, "", table]
        remarks = [f"- **{markdown(report.plan.job)}**: {line}" for report in self.plans for line in report.listed()]
        remarks += [f"- **{markdown(item.job)}**: no plan: {item.markdown()}" for item in self.unplanned]
        remarks += [f"- {markdown(note)}" for note in self.notes]
        return "\n".join([*lines, "", *remarks] if remarks else lines)

    def data(self) -> dict[str, object]:
        """Return the plans as a JSON-compatible dictionary."""
        return {
            "jobs": [report.data() for report in self.plans],
            "unplanned": [item.data() for item in self.unplanned],
            "to_send": sum(report.plan.counts.to_send for report in self.plans),
            "awaiting_approval": any(report.awaiting_approval for report in self.plans),
            "notes": list(self.notes),
        }

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield one NDJSON object per job."""
        for report in self.plans:
            yield {"event": "plan"} | report.data()
        for item in self.unplanned:
            yield {"event": "unplanned"} | item.data()
