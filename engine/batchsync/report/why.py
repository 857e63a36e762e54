"""What is known of one key, job by job: what the target holds, what is under way, and every reject. It asks nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.report.waiting import ask_step, stuck_steps
from lading.report.words import columns, iso, markdown, markdown_table, moment, visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from lading.core.batch import Batch
    from lading.ports import KnownKey
    from lading.report.rejects import RejectLine
    from lading.report.words import Paint

_HEADER = ("kind", "run", "at", "batch", "batch line", "source row", "field", "code", "reason")
_RIGHT = frozenset({4, 5})
#: By how the newest version ended and whether the target holds a version.
_TARGET = {
    ("accepted", True): "accepted: the target took it as it was last sent",
    (
        "rejected",
        True,
    ): "rejected: the target holds an earlier version; the newest is sent again when its row changes or on request",
    (
        "rejected",
        False,
    ): "rejected: the target holds nothing of it; it is sent again when its row changes or on request",
    ("unknown", True): "unknown: the vendor did not say what became of the newest version; it holds an earlier one",
    ("unknown", False): "unknown: the vendor did not say what became of it",
    ("again", True): "to be sent again: it held an earlier version, and nobody knows what it holds now",
    ("again", False): "to be sent again: nobody knows whether the target holds it",
    ("", False): "nothing: the target is not known to hold it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReject:
    """A reject of the key, and when it was written."""

    at: datetime
    line: RejectLine

    def data(self) -> dict[str, object]:
        """Return the reject as plain values for JSON."""
        return {"at": iso(self.at)} | self.line.data()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInFlight:
    """An open batch that carries a version of the key, in this record of its file (from 1)."""

    batch: Batch
    line: int

    def data(self) -> dict[str, object]:
        """Return it as plain values for JSON."""
        one = self.batch
        return {"batch": one.id, "run": one.run, "phase": str(one.phase), "batch_line": self.line}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOfJob:
    """What one job knows of the key. `known` is None when its baseline could not be asked; `note` says why."""

    job: str
    known: KnownKey | None
    in_flight: tuple[KeyInFlight, ...] = ()
    rejects: tuple[KeyReject, ...] = ()
    note: str = ""

    @property
    def knows(self) -> bool:
        """Whether there is anything to tell."""
        return bool((self.known and self.known.newest) or self.in_flight or self.rejects)

    @property
    def target(self) -> str:
        """What the target holds, in a sentence."""
        if self.known is None:
            return "what the target holds could not be looked up"
        return _TARGET[self.known.newest, self.known.held]

    def data(self) -> dict[str, object]:
        """Return it as plain values for JSON.

        `target` is accepted, rejected, unknown, again or nothing; null when the baseline could not be asked.
        """
        return {
            "job": self.job,
            "target": (self.known.newest or "nothing") if self.known else None,
            "held": self.known.held if self.known else None,
            "in_flight": [one.data() for one in self.in_flight],
            "rejects": [one.data() for one in self.rejects],
            "note": self.note or None,
        }

    def rows(self) -> list[tuple[str, ...]]:
        """Return its rejects as the cells of a table."""
        return [_cells(one) for one in self.rejects]

    def under_way(self) -> list[str]:
        """Return a sentence for each batch that carries a version of the key."""
        return [f"in flight: batch {one.batch.id}, {one.batch.phase}, line {one.line:,}" for one in self.in_flight]

    def next_steps(self) -> list[str]:
        """Return what a person should type, if anything."""
        if steps := list(stuck_steps([one.batch for one in self.in_flight])):
            return steps
        if self.in_flight:
            return [f"`lading resume {visible(self.job)}` follows what is in flight to its end"]
        batch = next((one.line.batch for one in reversed(self.rejects) if one.line.reject.kind == "unknown"), "")
        if batch and self.known and self.known.newest == "unknown":
            return [ask_step([batch])]
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyReport:
    """What each job that was asked knows of a key. `notes` speak of all of them."""

    key: str
    jobs: tuple[KeyOfJob, ...]
    notes: tuple[str, ...] = ()

    def text(self, paint: Paint) -> str:
        """Return the jobs one below the other, each with a table of its rejects."""
        parts = [_job_text(job, paint) for job in self.jobs]
        parts += [f"{paint('note', 'dim')}: {visible(note)}" for note in self.notes]
        parts += [f"{paint('next', 'head')}: {step}" for step in self.next_steps()]
        return "\n".join(parts)

    def markdown(self) -> str:
        """Return a section for each job, with a table of its rejects."""
        lines = [f"### lading why: {markdown(self.key)}"]
        for job in self.jobs:
            lines += ["", f"**{markdown(job.job)}**: {job.target}"]
            lines += [f"\n- {markdown(said)}" for said in (*job.under_way(), *([job.note] if job.note else []))]
            if job.rejects:
                lines += ["", markdown_table(_HEADER, job.rows(), right=_RIGHT)]
        lines += [f"\n- note: {markdown(note)}" for note in self.notes]
        lines += [f"\n- next: {step}" for step in self.next_steps()]
        return "\n".join(lines)

    def data(self) -> dict[str, object]:
        """Return everything as plain values for JSON."""
        return {
            "key": self.key,
            "jobs": [job.data() for job in self.jobs],
            "notes": list(self.notes),
            "next": self.next_steps(),
        }

    def lines(self) -> Iterator[dict[str, object]]:
        """Return one line for each job."""
        for job in self.jobs:
            yield {"event": "key", "key": self.key} | job.data()

    def next_steps(self) -> list[str]:
        """Return what a person should type, if anything."""
        return [step for job in self.jobs for step in job.next_steps()]


def _job_text(job: KeyOfJob, paint: Paint) -> str:
    lines = [f"{paint(visible(job.job), 'head')}: {job.target}"]
    lines += [f"  {said}" for said in job.under_way()]
    if job.rejects:
        table = columns(_HEADER, job.rows(), paint, right=_RIGHT)
        lines += [f"  {line}" for line in table.splitlines()]
    if job.note:
        lines.append(f"  {paint('note', 'dim')}: {visible(job.note)}")
    return "\n".join(lines)


def _cells(told: KeyReject) -> tuple[str, ...]:
    one = told.line.reject
    return (
        one.kind,
        told.line.run,
        moment(told.at),
        told.line.batch or "-",
        str(one.line or "-"),
        str(one.row or "-"),
        one.field or "-",
        one.code or "-",
        f"{told.line.reason} (to be sent again)" if one.retry else told.line.reason,
    )
