"""What is open, what comes next, and how each job stands: the state and its answer. It looks nothing up itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lading.core import steps
from lading.core.batch import Batch, Phase
from lading.core.run import RunState
from lading.report.settlement import RunReport, batch_data, equation
from lading.report.waiting import ask_step, stuck_steps
from lading.report.words import Paint, columns, distance, iso, markdown, markdown_table, moment, noun, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

#: What is pressing stands first.
_STUCK, _IN_DOUBT, _FAILING, _WAITING = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """One job: its newest run, whether jobs.yaml still declares it, its next slot, and who runs it now.

    `unresolved` are its delivered batches, of whatever run, with rows of unknown outcome; `approved` says that somebody
    approved the plan of its newest run.
    """

    job: str
    last: RunReport | None = None
    declared: bool = True
    next_slot: datetime | None = None
    runner: str = ""
    unresolved: tuple[Batch, ...] = ()
    approved: bool = False

    @property
    def left_over(self) -> bool:
        """Whether the newest run has records that are in no batch, because preparing it came to no end."""
        return self.last is not None and (self.last.cut_short or self.last.run.state is RunState.PREPARING)

    @property
    def held(self) -> bool:
        """Whether a guard holds the newest run."""
        return self.last is not None and self.last.run.state is RunState.HELD

    def next_steps(self) -> Iterator[str]:
        """Yield what a person should type about the job itself, if anything."""
        name = visible(self.job)
        if self.unresolved:
            yield ask_step([one.id for one in self.unresolved])
        if self.left_over:
            yield f"`lading sync {name}` sends what was held when preparing was cut short"
        if self.held and self.approved:
            yield f"`lading sync {name}` sends the plan that was approved"
        elif self.held:
            yield f"`lading approve {name}` when the plan is right, then `lading sync {name}`"

    def data(self) -> dict[str, object]:
        """Return the job as plain values for JSON."""
        return {
            "job": self.job,
            "declared": self.declared,
            "last_run": self.last.data() if self.last else None,
            "next_slot": iso(self.next_slot),
            "runner": self.runner or None,
            "unresolved": [one.id for one in self.unresolved],
            "approved": self.approved,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """The state of a deployment at a moment. `next_of` says, by batch, what the engine would do now, where known."""

    now: datetime
    jobs: tuple[JobStatus, ...]
    open_batches: tuple[Batch, ...] = ()
    next_of: Mapping[str, steps.Step] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def text(self, paint: Paint) -> str:
        """Return what is open, the most pressing first, then every job."""
        parts = [self._open_text(paint)] if self.open_batches else []
        parts += [_job_text(job, self.now, paint) for job in self.jobs]
        parts += [f"{paint('note', 'dim')}: {visible(note)}" for note in self.notes]
        parts += [f"{paint('next', 'head')}: {step}" for step in self.next_steps()]
        return "\n".join(parts) or "there are no jobs and nothing is open"

    def markdown(self) -> str:
        """Return a table of what is open and one of the jobs."""
        lines = ["### lading status", ""]
        if self.open_batches:
            lines += [markdown_table(_OPEN, self._open_rows(), right=_OPEN_RIGHT), ""]
        rows = [
            (
                job.job,
                job.last.state if job.last else "never ran",
                moment(job.last.run.created_at) if job.last else "",
                equation(job.last.settlement) if job.last else "",
                moment(job.next_slot) if job.next_slot else "",
            )
            for job in self.jobs
        ]
        lines.append(markdown_table(("job", "state", "last run", "equation", "next slot"), rows, right=frozenset()))
        return "\n".join([*lines, *(f"\n- {markdown(note)}" for note in self.notes)])

    def data(self) -> dict[str, object]:
        """Return everything as plain values for JSON."""
        return {
            "at": iso(self.now),
            "open": [self._open_data(batch) for batch in self._by_urgency()],
            "jobs": [job.data() for job in self.jobs],
            "notes": list(self.notes),
            "next": list(self.next_steps()),
        }

    def lines(self) -> Iterator[dict[str, object]]:
        """Return one line for each open batch and one for each job."""
        for batch in self._by_urgency():
            yield {"event": "open"} | self._open_data(batch)
        for job in self.jobs:
            yield {"event": "job"} | job.data()

    def next_steps(self) -> tuple[str, ...]:
        """Return what a person should type, if anything."""
        running = {job.job: job.runner for job in self.jobs if job.runner}
        of_job: dict[str, list[Batch]] = {}
        for one in self.open_batches:
            of_job.setdefault(one.job, []).append(one)
        found = [
            f"{visible(job)} is being run by {visible(runner)}: wait for it to end"
            for job, runner in running.items()
            if job in of_job
        ]
        ours = {job: batches for job, batches in of_job.items() if job not in running}
        stuck = [step for batches in ours.values() for step in stuck_steps(batches)]
        if ours and not stuck:
            names = [visible(job) for job in ours] if running else []
            stuck = [f"`{' '.join(['lading resume', *names])}` follows what is open to its end"]
        found += stuck
        for job in self.jobs:
            found += [] if job.runner else job.next_steps()
        return tuple(found)

    def _open_text(self, paint: Paint) -> str:
        table = columns(_OPEN, self._open_rows(), paint, right=_OPEN_RIGHT)
        reasons = [
            f"  {paint(one.phase, 'bad')}: {one.id}: {visible(one.reason)}"
            for one in self._by_urgency()
            if one.phase is Phase.STUCK
        ]
        return "\n".join([table, *reasons, ""])

    def _open_rows(self) -> list[tuple[str, ...]]:
        return [
            (
                str(one.id),
                _phase(one),
                one.word or "-",
                f"{one.file.rows:,}",
                str(one.failures),
                step_words(self.next_of.get(one.id), self.now),
            )
            for one in self._by_urgency()
        ]

    def _open_data(self, batch: Batch) -> dict[str, object]:
        return batch_data(batch) | {"next": step_words(self.next_of.get(batch.id), self.now)}

    def _by_urgency(self) -> list[Batch]:
        return sorted(self.open_batches, key=_urgency)


_OPEN = ("open batch", "phase", "vendor says", "records", "failures", "next")
_OPEN_RIGHT = frozenset({3, 4})


_STEP_WORDS: dict[type[steps.Step], str] = {
    steps.Allocate: "ask for a slot",
    steps.FindSlot: "ask whether a slot was given",
    steps.RenewSlot: "ask for the upload URL again",
    steps.DropSlot: "take another slot",
    steps.Upload: "upload",
    steps.FindFile: "ask whether the upload arrived",
    steps.Poll: "poll",
    steps.Collect: "fetch what became of the rows",
    steps.Deliver: "deliver results",
    steps.GiveUp: "stop for a person",
    steps.Rest: "wait for a person",
}


def step_words(step: steps.Step | None, now: datetime) -> str:
    """Return what happens next, in a few words."""
    if step is None:
        return "-"
    if isinstance(step, steps.Wait):
        return f"look again {distance(step.until, now)}"
    return _STEP_WORDS[type(step)]


def _urgency(batch: Batch) -> int:
    if batch.phase is Phase.STUCK:
        return _STUCK
    if batch.doubt is not None:
        return _IN_DOUBT
    return _FAILING if batch.failures else _WAITING


def _phase(batch: Batch) -> str:
    doubt = f", {batch.doubt} in doubt" if batch.doubt else ""
    return f"{batch.phase}{doubt}"


def _when(at: datetime, now: datetime) -> str:
    """Return a moment and how long ago it was; runs against the mocks may be ahead of us."""
    ago = f", {distance(at, now)}" if at <= now else ""
    return f"{moment(at)}{ago}"


def _job_text(job: JobStatus, now: datetime, paint: Paint) -> str:
    name = paint(visible(job.job), "head")
    gone = "" if job.declared else " (no longer in the jobs file)"
    running = f", being run by {visible(job.runner)}" if job.runner else ""
    if job.last is None:
        lines = [f"{name}: never ran{gone}{running}"]
    else:
        role = {"settled": "good", "stuck": "bad"}.get(job.last.state, "warn")
        when = f"run {job.last.run.serial}, {_when(job.last.at, now)}"
        lines = [f"{name}: {paint(job.last.state, role)} ({when}){gone}{running}"]
        lines.append(f"  {equation(job.last.settlement)}")
        if job.last.over_budget and job.last.state == "settled":
            count = job.last.settlement.invalid + job.last.settlement.rejected + job.last.settlement.unknown
            lines.append(
                f"  {paint('budget exceeded', 'bad')}: {noun(count, 'record')}; why: `lading rejects {job.job}`"
            )
        if job.last.run.reason:
            approved = " (approved since)" if job.held and job.approved else ""
            lines.append(f"  held: {visible(job.last.run.reason)}{approved}")
    if job.next_slot is not None:
        lines.append(f"  next slot {moment(job.next_slot)} ({distance(job.next_slot, now)})")
    return "\n".join(lines)
