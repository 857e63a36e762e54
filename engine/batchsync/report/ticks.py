"""Report of `batchsync schedule`: the next ticks of each job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from batchsync.report.text_format import Style, escape_controls, format_relative, iso, markdown_table, moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTicks:
    """Next ticks of one job.

    Attributes:
        job: Name of the job.
        description: The schedule as a sentence.
        timezone: Time zone of the schedule.
        ticks: Next ticks, as aware datetimes; none of a suspended job.
        suspended: Whether the job is suspended.
    """

    job: str
    description: str
    timezone: str
    ticks: tuple[datetime, ...]
    suspended: bool = False

    def data(self) -> dict[str, object]:
        """Return the ticks as a JSON-compatible dictionary."""
        return {
            "job": self.job,
            "schedule": self.description,
            "timezone": self.timezone,
            "ticks": [iso(tick) for tick in self.ticks],
            "suspended": self.suspended,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TicksReport:
    """Next ticks of several jobs."""

    now: datetime
    jobs: tuple[JobTicks, ...]

    def text(self, paint: Style) -> str:
        """Return each job's schedule as a sentence, and its ticks in its time zone and in UTC."""
        parts = []
        for job in self.jobs:
            suspended = f" ({paint('suspended', 'warn')}: no run begins)" if job.suspended else ""
            parts.append(f"{paint(escape_controls(job.job), 'head')}: {job.description}{suspended}")
            parts += [
                f"  {_local(tick, job.timezone)}  {moment(tick)}  {format_relative(tick, self.now)}"
                for tick in job.ticks
            ]
        return "\n".join(parts) or "no job has a schedule"

    def markdown(self) -> str:
        """Return a Markdown table."""
        rows = [(job.job, _local(tick, job.timezone), moment(tick)) for job in self.jobs for tick in job.ticks]
        rows += [(job.job, "suspended", "") for job in self.jobs if job.suspended]
        return f"### batchsync schedule\n\n{markdown_table(('job', 'tick', 'in UTC'), rows, right=frozenset())}"

    def data(self) -> dict[str, object]:
        """Return the ticks as a JSON-compatible dictionary."""
        return {"at": iso(self.now), "jobs": [job.data() for job in self.jobs]}

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield one NDJSON object per tick."""
        for job in self.jobs:
            if job.suspended:
                yield {"event": "suspended", "job": job.job, "timezone": job.timezone}
            for tick in job.ticks:
                yield {"event": "tick", "job": job.job, "at": iso(tick), "timezone": job.timezone}


def _local(tick: datetime, timezone: str) -> str:
    return f"{tick.astimezone(ZoneInfo(timezone)):%a %Y-%m-%d %H:%M} {timezone}"
