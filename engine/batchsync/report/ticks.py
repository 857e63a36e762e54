"""When jobs run next, in words and moments. It does not know cron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from lading.report.words import Paint, distance, iso, markdown_table, moment, visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSlots:
    """The next slots of one job. `words` says the schedule in a sentence; `timezone` is the one it was written in."""

    job: str
    words: str
    timezone: str
    slots: tuple[datetime, ...]

    def data(self) -> dict[str, object]:
        """Return the slots as plain values for JSON."""
        return {
            "job": self.job,
            "schedule": self.words,
            "timezone": self.timezone,
            "slots": [iso(slot) for slot in self.slots],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotsReport:
    """The next slots of several jobs."""

    now: datetime
    jobs: tuple[JobSlots, ...]

    def text(self, paint: Paint) -> str:
        """Return each job's schedule in words, and its slots in its own time zone and in UTC."""
        parts = []
        for job in self.jobs:
            parts.append(f"{paint(visible(job.job), 'head')}: {job.words}")
            parts += [
                f"  {_local(slot, job.timezone)}  {moment(slot)}  {distance(slot, self.now)}" for slot in job.slots
            ]
        return "\n".join(parts) or "no job has a schedule"

    def markdown(self) -> str:
        """Return a table."""
        rows = [(job.job, _local(slot, job.timezone), moment(slot)) for job in self.jobs for slot in job.slots]
        return f"### lading schedule\n\n{markdown_table(('job', 'slot', 'in UTC'), rows, right=frozenset())}"

    def data(self) -> dict[str, object]:
        """Return the slots as plain values for JSON."""
        return {"at": iso(self.now), "jobs": [job.data() for job in self.jobs]}

    def lines(self) -> Iterator[dict[str, object]]:
        """Return one line for each slot."""
        for job in self.jobs:
            for slot in job.slots:
                yield {"event": "slot", "job": job.job, "at": iso(slot), "timezone": job.timezone}


def _local(slot: datetime, timezone: str) -> str:
    return f"{slot.astimezone(ZoneInfo(timezone)):%a %Y-%m-%d %H:%M} {timezone}"
