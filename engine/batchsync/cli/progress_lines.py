"""Observers that write progress as text lines, NDJSON objects, or not at all. Polls without changes are not written."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from batchsync.cli.progress_rate import ProgressRate, ProgressSample
from batchsync.core.batch import Phase
from batchsync.report.settlement import batch_data, phase_name
from batchsync.report.text_format import escape_controls, iso, pluralize, size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from batchsync.core.batch import Batch
    from batchsync.ports import Size


#: Interval of lines about a stage in progress.
_EVERY = timedelta(seconds=10)


class QuietObserver:
    """Observer that shows nothing."""

    def on_progress(self, job: str, stage: str, done: int, unit: str, *more: object, **sizes: object) -> None:
        """Show nothing."""

    def on_batch_changed(self, batch: Batch) -> None:
        """Show nothing."""

    def on_waiting(self, until: datetime) -> None:
        """Show nothing."""


class LineObserver:
    """Observer that writes a timestamped line for each stage, batch change and first wait."""

    def __init__(self, write: Callable[[str], None], now: Callable[[], datetime]) -> None:
        """Create the observer with an output function and a clock."""
        self._write = write
        self._now = now
        self._stage: dict[str, tuple[str, datetime]] = {}
        self._rate = ProgressRate()
        self._changes = ChangeDeduplicator()
        self._waiting_reported = False

    def on_progress(
        self, job: str, stage: str, done: int, unit: str, total: int | None = None, size: Size | None = None
    ) -> None:
        """Write a line when the job enters another stage, and every ten seconds while it stays there."""
        now, last = self._now(), self._stage.get(job)
        text = self._rate.describe(job, ProgressSample(stage=stage, done=done, unit=unit, total=total, size=size), now)
        if last is not None and last[0] == stage and now - last[1] < _EVERY:
            return
        self._stage[job] = stage, now
        self._line(f"{escape_controls(job)}: {text}")

    def on_batch_changed(self, batch: Batch) -> None:
        """Write a line if the batch changed."""
        if self._changes.is_new(batch):
            self._line(f"{escape_controls(batch.job)}: batch {batch.id}: {describe_batch(batch)}")

    def on_waiting(self, until: datetime) -> None:
        """Write a line for the first wait after a change."""
        if not self._waiting_reported:
            self._line(f"waiting until {until:%H:%M:%S}")
            self._waiting_reported = True

    def _line(self, text: str) -> None:
        self._write(f"{self._now():%H:%M:%S} {text}")
        self._waiting_reported = False


class NdjsonObserver:
    """Observer that writes a JSON object for each run start, batch change and first wait."""

    def __init__(self, stream: Callable[[Mapping[str, object]], None]) -> None:
        """Create the observer with an output function."""
        self._stream = stream
        self._runs: set[str] = set()
        self._stage: dict[str, str] = {}
        self._changes = ChangeDeduplicator()
        self._waiting_reported = False

    def on_progress(
        self, job: str, stage: str, done: int, unit: str, total: int | None = None, size: Size | None = None
    ) -> None:
        """Write an object when the job enters another stage."""
        if self._stage.get(job) != stage:
            self._stage[job] = stage
            known = {"job": job, "stage": stage, "done": done, "total": total, "unit": unit}
            self._stream(
                {"event": "stage"}
                | known
                | {"bytes": size[0] if size else None, "bytes_total": size[1] if size else None}
            )

    def on_batch_changed(self, batch: Batch) -> None:
        """Write an object if the batch changed, preceded by one for a new run."""
        if batch.run not in self._runs:
            self._runs.add(batch.run)
            self._stream({"event": "run_started", "job": batch.job, "run": batch.run})
        if self._changes.is_new(batch):
            self._stream({"event": "batch_changed"} | batch_data(batch))
            self._waiting_reported = False

    def on_waiting(self, until: datetime) -> None:
        """Write an object for the first wait after a change."""
        if not self._waiting_reported:
            self._stream({"event": "waiting", "until": iso(until)})
            self._waiting_reported = True


class ChangeDeduplicator:
    """Filter for batch updates that change nothing but the poll count."""

    def __init__(self) -> None:
        """Create an empty filter."""
        self._last_seen: dict[str, tuple[object, ...]] = {}

    def is_new(self, batch: Batch) -> bool:
        """Return whether anything but the poll count changed."""
        now = (batch.phase, batch.pending_intent, batch.vendor_status, batch.verdict, batch.failures, batch.attempt)
        if self._last_seen.get(batch.id) == now:
            return False
        self._last_seen[batch.id] = now
        return True


def describe_batch(batch: Batch) -> str:  # noqa: PLR0911 - a case for each phase
    """Return the state of a batch in a few words."""
    phase_text = phase_name(batch.phase).replace("_", " ")
    if batch.failures and batch.phase is not Phase.NEEDS_ATTENTION:
        when = f", again at {batch.not_before:%H:%M:%S}" if batch.not_before else ""
        return f"{phase_text}, failure {batch.failures}: {escape_controls(batch.reason)}{when}"
    match batch.phase:
        case Phase.PREPARED if batch.attempt > 1 and batch.reason:
            return f"allocation lost, next attempt {batch.attempt}: {escape_controls(batch.reason)}"
        case Phase.PREPARED:
            return f"prepared, {pluralize(batch.file.rows, 'record')}, {size(batch.file.size)}"
        case Phase.SUBMITTED if batch.vendor_status:
            return f'submitted, vendor status "{escape_controls(batch.vendor_status)}"'
        case Phase.FINISHED:
            status = f" ({escape_controls(batch.vendor_status)})" if batch.vendor_status else ""
            return f"finished, verdict {batch.verdict}{status}"
        case Phase.COLLECTED | Phase.DELIVERED if batch.counts:
            counts = batch.counts
            outcomes = f"accepted {counts.accepted:,}, rejected {counts.rejected:,}, unknown {counts.unknown:,}"
            return f"{phase_text}, {outcomes}"
        case Phase.NEEDS_ATTENTION:
            return f"needs attention: {escape_controls(batch.reason)}"
        case _:
            return phase_text
