"""Report of `batchsync why`: what the target holds of a key, batches in flight and rejects, by job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core.row_outcome import RowOutcome
from batchsync.report.deliveries import DELIVERY_HEADER, DELIVERY_RIGHT
from batchsync.report.settlement import phase_name
from batchsync.report.text_format import (
    columns,
    escape_controls,
    iso,
    markdown,
    markdown_table,
    markdown_with_code,
    moment,
)
from batchsync.report.waiting import attention_steps, unknown_hint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from batchsync.core.batch import Batch
    from batchsync.ports import KnownKey
    from batchsync.report.deliveries import KeyDelivery, RecordNow
    from batchsync.report.rejects import RejectLine
    from batchsync.report.text_format import Style

_HEADER = ("kind", "run", "at", "batch", "batch line", "source row", "field", "code", "reason")
_RIGHT = frozenset({4, 5})
#: Sentence by outcome of the newest version and whether the baseline holds a version.
_TARGET = {
    ("accepted", True): "accepted: the target holds the version last sent",
    ("assumed", True): "assumed: the target holds it, on the word given to `batchsync state assume-delivered`",
    (
        "rejected",
        True,
    ): "rejected: the target holds an earlier version; the newest is sent again when its row changes or on request",
    (
        "rejected",
        False,
    ): "rejected: the target holds no version; it is sent again when its row changes or on request",
    (
        "unknown",
        True,
    ): "unknown: the vendor did not report the outcome of the newest version; the target holds an earlier version",
    ("unknown", False): "unknown: the vendor did not report the outcome",
    ("again", True): "to be sent again: the target held an earlier version; its current version is unknown",
    ("again", False): "to be sent again: it is unknown whether the target holds it",
    ("", False): "nothing: the baseline does not hold it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReject:
    """Reject of the key, with its time."""

    at: datetime
    line: RejectLine

    def data(self) -> dict[str, object]:
        """Return the reject as a JSON-compatible dictionary."""
        return {"at": iso(self.at)} | self.line.data()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInFlight:
    """Open batch that contains a version of the key; `line` is the record number in its file, from 1."""

    batch: Batch
    line: int

    def data(self) -> dict[str, object]:
        """Return the batch as a JSON-compatible dictionary."""
        batch = self.batch
        return {"batch": batch.id, "run": batch.run, "phase": phase_name(batch.phase), "batch_line": self.line}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOfJob:
    """State of the key in one job.

    Attributes:
        job: Name of the job.
        known: The key in the baseline; None if the baseline could not be read.
        in_flight: Open batches that contain a version of the key.
        rejects: Rejects of the key, oldest first.
        note: Why the baseline could not be read; empty if it was.
        deliveries: Deliveries of the key that are known, oldest first.
        now: The record as the source has it now; None if the job is not declared.
    """

    job: str
    known: KnownKey | None
    in_flight: tuple[KeyInFlight, ...] = ()
    rejects: tuple[KeyReject, ...] = ()
    note: str = ""
    deliveries: tuple[KeyDelivery, ...] = ()
    now: RecordNow | None = None

    @property
    def is_known(self) -> bool:
        """Whether the job has any information about the key."""
        return bool((self.known and self.known.latest_outcome) or self.in_flight or self.rejects)

    @property
    def target(self) -> str:
        """What the target holds of the key, as a sentence."""
        if self.known is None:
            return "the baseline could not be read"
        return _TARGET[self.known.latest_outcome, self.known.in_target]

    def data(self) -> dict[str, object]:
        """Return the state as a JSON-compatible dictionary.

        `target` is accepted, assumed, rejected, unknown, again (to be sent again) or nothing; `in_baseline` says if the
        baseline holds a version. Both are null if the baseline could not be read.
        """
        return {
            "job": self.job,
            "target": (self.known.latest_outcome or "nothing") if self.known else None,
            "in_baseline": self.known.in_target if self.known else None,
            "in_flight": [item.data() for item in self.in_flight],
            "rejects": [reject.data() for reject in self.rejects],
            "deliveries": [delivery.data() for delivery in self.deliveries],
            "now": None if self.now is None else self.now.data(),
            "note": self.note or None,
        }

    def rows(self) -> list[tuple[str, ...]]:
        """Return the rejects as cells of a table."""
        return [_cells(reject) for reject in self.rejects]

    def in_flight_lines(self) -> list[str]:
        """Return a sentence for each open batch that contains a version of the key."""
        return [f"in flight: batch {item.batch.id}, {_phase_text(item)}, line {item.line:,}" for item in self.in_flight]

    def next_steps(self) -> list[str]:
        """Return the next commands."""
        if steps := list(attention_steps([item.batch for item in self.in_flight])):
            return steps
        if self.in_flight:
            return [f"`batchsync resume {escape_controls(self.job)}` completes the batches in flight"]
        batch = next(
            (reject.line.batch for reject in reversed(self.rejects) if reject.line.reject.kind is RowOutcome.UNKNOWN),
            "",
        )
        if batch and self.known and self.known.latest_outcome == RowOutcome.UNKNOWN:
            return [unknown_hint([batch])]
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyReport:
    """State of a key in each job."""

    key: str
    jobs: tuple[KeyOfJob, ...]
    notes: tuple[str, ...] = ()

    def text(self, paint: Style) -> str:
        """Return each job with a table of its rejects."""
        parts = [_job_text(job, paint) for job in self.jobs]
        parts += [f"{paint('note', 'dim')}: {escape_controls(note)}" for note in self.notes]
        parts += [f"{paint('next', 'head')}: {step}" for step in self.next_steps()]
        return "\n".join(parts)

    def markdown(self) -> str:
        """Return a Markdown section per job, with a table of its rejects."""
        lines = [f"### batchsync why: {markdown(self.key)}"]
        for job in self.jobs:
            lines += ["", f"**{markdown(job.job)}**: {markdown(job.target)}"]
            lines += [f"\n- {markdown(line)}" for line in (*job.in_flight_lines(), *([job.note] if job.note else []))]
            if job.rejects:
                lines += ["", markdown_table(_HEADER, job.rows(), right=_RIGHT)]
            if job.deliveries:
                cells = [delivery.cells() for delivery in job.deliveries]
                lines += ["", markdown_table(DELIVERY_HEADER, cells, right=DELIVERY_RIGHT)]
            if job.now is not None:
                shown = [f"\n  - {line}" for line in job.now.lines(markdown)]
                lines += [f"\n- {markdown_with_code(job.now.heading())}{''.join(shown)}"]
        lines += [f"\n- note: {markdown(note)}" for note in self.notes]
        lines += [f"\n- next: {step}" for step in self.next_steps()]
        return "\n".join(lines)

    def data(self) -> dict[str, object]:
        """Return the states as a JSON-compatible dictionary."""
        return {
            "key": self.key,
            "jobs": [job.data() for job in self.jobs],
            "notes": list(self.notes),
            "next": self.next_steps(),
        }

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield one NDJSON object per job."""
        for job in self.jobs:
            yield {"event": "key", "key": self.key} | job.data()

    def next_steps(self) -> list[str]:
        """Return the next commands."""
        return [step for job in self.jobs for step in job.next_steps()]


def _job_text(job: KeyOfJob, paint: Style) -> str:
    """Return the lines of one job."""
    lines = [f"{paint(escape_controls(job.job), 'head')}: {job.target}"]
    lines += [f"  {line}" for line in job.in_flight_lines()]
    if job.rejects:
        table = columns(_HEADER, job.rows(), paint, right=_RIGHT)
        lines += [f"  {line}" for line in table.splitlines()]
    if job.deliveries:
        table = columns(DELIVERY_HEADER, [item.cells() for item in job.deliveries], paint, right=DELIVERY_RIGHT)
        lines += [f"  {line}" for line in table.splitlines()]
    if job.now is not None:
        lines.append(f"  {escape_controls(job.now.heading())}")
        lines += [f"    {line}" for line in job.now.lines(escape_controls)]
    if job.note:
        lines.append(f"  {paint('note', 'dim')}: {escape_controls(job.note)}")
    return "\n".join(lines)


def _phase_text(item: KeyInFlight) -> str:
    """Return the phase of the batch as text."""
    return phase_name(item.batch.phase).replace("_", " ")


def _cells(item: KeyReject) -> tuple[str, ...]:
    """Return the reject as cells of the table."""
    reject = item.line.reject
    return (
        reject.kind,
        item.line.run,
        moment(item.at),
        item.line.batch or "-",
        str(reject.line or "-"),
        str(reject.row or "-"),
        reject.field or "-",
        reject.code or "-",
        f"{item.line.reason} (to be sent again)" if reject.retry else item.line.reason,
    )
