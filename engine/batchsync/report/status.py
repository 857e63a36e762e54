"""Report of `batchsync status`: open batches, their next steps and the state of each job."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchsync.core import steps
from batchsync.core.batch import Batch, Phase
from batchsync.core.row_outcome import FAILED_OUTCOMES
from batchsync.core.run import RunState
from batchsync.report.settlement import RunReport, batch_data, equation, phase_name
from batchsync.report.text_format import (
    Style,
    columns,
    escape_controls,
    format_relative,
    iso,
    markdown,
    markdown_table,
    moment,
    pluralize,
)
from batchsync.report.waiting import attention_steps, unknown_hint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from batchsync.report.alerts import OpenAlert, WaitingChannel

#: Urgency of an open batch; lower values are listed first.
_NEEDS_ATTENTION, _IN_DOUBT, _FAILING, _WAITING = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """State of one job.

    Attributes:
        job: Name of the job.
        last: Its newest run; None if it never ran.
        declared: Whether the job is in jobs.yaml.
        next_tick: Next time its schedule fires.
        suspended: Whether the job is suspended, so that no run begins.
        runner: Process that holds the job's lease; empty if none does.
        unresolved: Delivered batches of any run with rows of unknown outcome.
        approved: Whether the plan of the newest run is approved.
    """

    job: str
    last: RunReport | None = None
    declared: bool = True
    next_tick: datetime | None = None
    suspended: bool = False
    runner: str = ""
    unresolved: tuple[Batch, ...] = ()
    approved: bool = False

    @property
    def has_unbatched_records(self) -> bool:
        """Whether the newest run has records in no batch because its preparation did not finish."""
        return self.last is not None and (self.last.preparation_aborted or self.last.run.state is RunState.PREPARING)

    @property
    def awaiting_approval(self) -> bool:
        """Whether the newest run awaits approval."""
        return self.last is not None and self.last.run.state is RunState.AWAITING_APPROVAL

    def next_steps(self) -> Iterator[str]:
        """Yield the next commands for the job itself."""
        name = escape_controls(self.job)
        if self.unresolved:
            yield unknown_hint([item.id for item in self.unresolved])
        if self.has_unbatched_records:
            yield f"`batchsync sync {name}` sends the records deferred when preparation was aborted"
        if self.awaiting_approval and self.approved:
            yield f"`batchsync sync {name}` sends the approved plan"
        elif self.awaiting_approval:
            yield f"`batchsync approve {name}` if the plan is correct, then `batchsync sync {name}`"

    def data(self) -> dict[str, object]:
        """Return the job as a JSON-compatible dictionary."""
        return {
            "job": self.job,
            "declared": self.declared,
            "last_run": self.last.data() if self.last else None,
            "next_tick": iso(self.next_tick),
            "suspended": self.suspended,
            "runner": self.runner or None,
            "unresolved": [item.id for item in self.unresolved],
            "approved": self.approved,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """State of a deployment.

    Attributes:
        now: Time of the report.
        jobs: State of each job.
        open_batches: Batches that are not delivered.
        next_of: Next step of the engine by batch ID, where known.
        notes: Remarks, such as an invalid jobs file.
        backup_failure: Why the last backup of the state folder failed; empty if it did not.
        alerts: Conditions that were alerted, and hold.
        channels: Channels of alerts to which messages wait.
    """

    now: datetime
    jobs: tuple[JobStatus, ...]
    open_batches: tuple[Batch, ...] = ()
    next_of: Mapping[str, steps.Step] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    backup_failure: str = ""
    alerts: tuple[OpenAlert, ...] = ()
    channels: tuple[WaitingChannel, ...] = ()

    @property
    def needs_attention(self) -> bool:
        """Whether a batch needs attention or has unknown outcomes to be resolved, or the last backup failed."""
        if self.backup_failure:
            return True
        parked = any(batch.phase is Phase.NEEDS_ATTENTION for batch in self.open_batches)
        return parked or any(job.unresolved for job in self.jobs)

    def text(self, paint: Style) -> str:
        """Return the open batches, most urgent first, then every job."""
        parts = [self._open_text(paint)] if self.open_batches else []
        parts += [_job_text(job, self.now, paint) for job in self.jobs]
        parts += [f"{paint('alert', 'bad')}: {item.text()}" for item in self.alerts]
        parts += [f"{paint('note', 'dim')}: {escape_controls(note)}" for note in self._remarks()]
        parts += [f"{paint('next', 'head')}: {step}" for step in self.next_steps()]
        return "\n".join(parts) or "no jobs and no open batches"

    def markdown(self) -> str:
        """Return a Markdown table of open batches and one of jobs."""
        lines = ["### batchsync status", ""]
        if self.open_batches:
            lines += [markdown_table(_OPEN, self._open_rows(), right=_OPEN_RIGHT), ""]
        rows = [
            (
                job.job,
                (job.last.state if job.last else "never ran") + (", suspended" if job.suspended else ""),
                moment(job.last.run.created_at) if job.last else "",
                equation(job.last.settlement) if job.last else "",
                moment(job.next_tick) if job.next_tick else "",
            )
            for job in self.jobs
        ]
        lines.append(markdown_table(("job", "state", "last run", "equation", "next tick"), rows, right=frozenset()))
        notes = [*(f"alert: {item.text()}" for item in self.alerts), *self._remarks()]
        return "\n".join([*lines, *(f"\n- {markdown(note)}" for note in notes)])

    def data(self) -> dict[str, object]:
        """Return the state as a JSON-compatible dictionary."""
        return {
            "at": iso(self.now),
            "open": [self._open_data(batch) for batch in self._by_urgency()],
            "jobs": [job.data() for job in self.jobs],
            "alerts": [item.data() for item in self.alerts],
            "channels": [item.data() for item in self.channels],
            "notes": self._remarks(),
            "next": list(self.next_steps()),
        }

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield one NDJSON object per open batch, one per job, and one per condition that was alerted."""
        for batch in self._by_urgency():
            yield {"event": "open"} | self._open_data(batch)
        for job in self.jobs:
            yield {"event": "job"} | job.data()
        for item in self.alerts:
            yield {"event": "alert"} | item.data()

    def _remarks(self) -> list[str]:
        """Return the notes, that the last backup failed, and which channels have not got their messages."""
        failed = f"the state folder was not backed up: {self.backup_failure}"
        waiting = [item.text() for item in self.channels]
        return [*self.notes, *([failed] if self.backup_failure else []), *waiting]

    def next_steps(self) -> tuple[str, ...]:
        """Return the next commands, most urgent first."""
        running = {job.job: job.runner for job in self.jobs if job.runner}
        of_job: dict[str, list[Batch]] = {}
        for batch in self.open_batches:
            of_job.setdefault(batch.job, []).append(batch)
        found = [
            f"{escape_controls(job)} is running in {escape_controls(runner)}: wait for it to finish"
            for job, runner in running.items()
            if job in of_job
        ]
        idle = {job: batches for job, batches in of_job.items() if job not in running}
        next_steps = [step for batches in idle.values() for step in attention_steps(batches)]
        if idle and not next_steps:
            names = [escape_controls(job) for job in idle] if running else []
            next_steps = [f"`{' '.join(['batchsync resume', *names])}` completes the open batches"]
        found += next_steps
        for job in self.jobs:
            found += [] if job.runner else job.next_steps()
        return tuple(found)

    def _open_text(self, paint: Style) -> str:
        table = columns(_OPEN, self._open_rows(), paint, right=_OPEN_RIGHT)
        reasons = [
            f"  {paint(_phase_text(item.phase), 'bad')}: {item.id}: {escape_controls(item.reason)}"
            for item in self._by_urgency()
            if item.phase is Phase.NEEDS_ATTENTION
        ]
        return "\n".join([table, *reasons, ""])

    def _open_rows(self) -> list[tuple[str, ...]]:
        return [
            (
                str(item.id),
                _phase(item),
                item.vendor_status or "-",
                f"{item.file.rows:,}",
                str(item.failures),
                step_words(self.next_of.get(item.id), self.now),
            )
            for item in self._by_urgency()
        ]

    def _open_data(self, batch: Batch) -> dict[str, object]:
        return batch_data(batch) | {"next": step_words(self.next_of.get(batch.id), self.now)}

    def _by_urgency(self) -> list[Batch]:
        return sorted(self.open_batches, key=_urgency)


_OPEN = ("open batch", "phase", "vendor status", "records", "failures", "next")
_OPEN_RIGHT = frozenset({3, 4})


_STEP_WORDS: dict[type[steps.Step], str] = {
    steps.Allocate: "request an allocation",
    steps.FindAllocation: "look up the allocation",
    steps.RenewAllocation: "request a new upload URL",
    steps.DropAllocation: "request another allocation",
    steps.Upload: "upload",
    steps.FindFile: "check whether the upload arrived",
    steps.Commit: "commit the upload",
    steps.FindCommit: "check whether the commit arrived",
    steps.Poll: "poll",
    steps.Collect: "fetch row outcomes",
    steps.Deliver: "deliver results",
    steps.Park: "park for a person",
    steps.NoOp: "wait for a person",
}


def step_words(step: steps.Step | None, now: datetime) -> str:
    """Return the next step in a few words."""
    if step is None:
        return "-"
    if isinstance(step, steps.Wait):
        return f"check again {format_relative(step.until, now)}"
    return _STEP_WORDS[type(step)]


def _urgency(batch: Batch) -> int:
    """Return the sort key of an open batch."""
    if batch.phase is Phase.NEEDS_ATTENTION:
        return _NEEDS_ATTENTION
    if batch.pending_intent is not None:
        return _IN_DOUBT
    return _FAILING if batch.failures else _WAITING


def _phase(batch: Batch) -> str:
    """Return the phase, with the call that is in doubt."""
    in_doubt = f", {batch.pending_intent} in doubt" if batch.pending_intent else ""
    return f"{_phase_text(batch.phase)}{in_doubt}"


def _phase_text(phase: Phase) -> str:
    """Return the name of a phase as text, such as `needs attention`."""
    return phase_name(phase).replace("_", " ")


def _when(at: datetime, now: datetime) -> str:
    """Return a time and its age. The clock of the mocks may be ahead of ours; then the age is omitted."""
    ago = f", {format_relative(at, now)}" if at <= now else ""
    return f"{moment(at)}{ago}"


def _job_text(job: JobStatus, now: datetime, paint: Style) -> str:
    """Return the lines of one job."""
    name = paint(escape_controls(job.job), "head")
    gone = "" if job.declared else " (no longer in the jobs file)"
    running = f", running in {escape_controls(job.runner)}" if job.runner else ""
    running += f", {paint('suspended', 'warn')}" if job.suspended else ""
    if job.last is None:
        lines = [f"{name}: never ran{gone}{running}"]
    else:
        role = {"settled": "good", "needs attention": "bad"}.get(job.last.state, "warn")
        when = f"run {job.last.run.serial}, {_when(job.last.at, now)}"
        lines = [f"{name}: {paint(job.last.state, role)} ({when}){gone}{running}"]
        lines.append(f"  {equation(job.last.settlement)}")
        if job.last.over_budget and job.last.state == "settled":
            count = job.last.settlement.outcomes.sum_of(FAILED_OUTCOMES)
            lines.append(
                f"  {paint('budget exceeded', 'bad')}: {pluralize(count, 'record')}; why: `batchsync rejects {job.job}`"
            )
        if job.last.run.reason:
            approved = " (approved)" if job.awaiting_approval and job.approved else ""
            lines.append(f"  reason: {escape_controls(job.last.run.reason)}{approved}")
    if job.next_tick is not None:
        lines.append(f"  next tick {moment(job.next_tick)} ({format_relative(job.next_tick, now)})")
    return "\n".join(lines)
