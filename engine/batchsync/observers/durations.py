"""Histograms of durations: what they count, how they are added up over processes, and stages from their progress."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batchsync.observers.event_names import subject_of
from batchsync.observers.metric_definitions import BUCKETS
from batchsync.ports import GuardTripped, JobFinished, Progress, RunFinished, RunStarted

if TYPE_CHECKING:
    from datetime import datetime

    from batchsync.ports import RunEvent

Labels = tuple[str, ...]


@dataclass(slots=True)
class Durations:
    """Number of durations by labels and bucket, the last bucket without bound, and their sum in seconds."""

    counts: dict[Labels, list[int]] = field(default_factory=dict)
    sums: dict[Labels, float] = field(default_factory=dict)

    def add(self, labels: Labels, seconds: float) -> None:
        """Count a duration."""
        counts = self.counts.setdefault(labels, [0] * (len(BUCKETS) + 1))
        counts[bisect_left(BUCKETS, seconds)] += 1
        self.sums[labels] = self.sums.get(labels, 0.0) + seconds

    def copy(self) -> Durations:
        """Return a copy."""
        return Durations({labels: list(counts) for labels, counts in self.counts.items()}, dict(self.sums))

    def merged(self, other: Durations) -> Durations:
        """Return both, added up."""
        merged = self.copy()
        for labels, counts in other.counts.items():
            before = merged.counts.get(labels, [0] * len(counts))
            merged.counts[labels] = [one + more for one, more in zip(before, counts, strict=True)]
            merged.sums[labels] = merged.sums.get(labels, 0.0) + other.sums[labels]
        return merged

    def cumulative(self, labels: Labels) -> list[tuple[str, float]]:
        """Return the number of durations up to each bound, which is text as Prometheus writes it."""
        found, total = [], 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self.counts[labels], strict=True):
            total += count
            found.append((bound, float(total)))
        return found

    def data(self) -> list[list[Any]]:
        """Return the durations as a JSON-compatible list."""
        return [[list(labels), counts, self.sums[labels]] for labels, counts in sorted(self.counts.items())]

    @classmethod
    def from_data(cls, data: list[list[Any]]) -> Durations:
        """Return the durations that `data` returned; those with other buckets are left out.

        Raises:
            ValueError: If it is something else.
            TypeError: The same.
        """
        found = cls()
        for labels, counts, total in data:
            if len(counts) == len(BUCKETS) + 1:
                found.counts[tuple(map(str, labels))] = [int(count) for count in counts]
                found.sums[tuple(map(str, labels))] = float(total)
        return found


class StageTimer:
    """Durations of stages. Each begins with the last event of its job before its first progress."""

    def __init__(self) -> None:
        """Create a timer without stages."""
        self._open: dict[str, _OpenStage] = {}
        self._last: dict[str, datetime] = {}

    def ended(self, event: RunEvent, at: datetime) -> tuple[str, str, float] | None:
        """Take note of an event.

        Args:
            event: The event.
            at: When it was emitted.

        Returns:
            Job, stage and seconds of the stage that the event ends; None if it ends none.
        """
        job, found = subject_of(event)[0], None
        stage = event.stage.rstrip(" 0123456789") if isinstance(event, Progress) else ""  # joins have numbers
        current = self._open.get(job)
        if current is not None and current.stage == stage:
            current.last = at
        elif stage or isinstance(event, RunStarted | GuardTripped | RunFinished | JobFinished):
            if current is not None:
                # A plan is made after the last rows were compared; files are written while batches are in flight.
                end = at if current.stage == "compare" and not stage else current.last
                found = job, current.stage, max((end - current.begun).total_seconds(), 0.0)
                del self._open[job]
            if stage:
                self._open[job] = _OpenStage(stage, self._last.get(job, at), at)
        self._last[job] = at
        return found


@dataclass(slots=True)
class _OpenStage:
    """A stage, when it began, and its last progress."""

    stage: str
    begun: datetime
    last: datetime
