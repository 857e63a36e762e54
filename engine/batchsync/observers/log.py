"""Log lines as text or JSON: `report.log_entry` has their form. Polls without changes are not written."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from batchsync.core.batch import Batch, Phase
from batchsync.core.clock_text import describe_offset
from batchsync.core.run import RunState
from batchsync.errors import ExitCode
from batchsync.observers.batch_text import ChangeDeduplicator, describe_batch
from batchsync.observers.event_names import EVENT_NAMES, subject_of
from batchsync.observers.progress_rate import ProgressRate
from batchsync.ports import (
    BatchChanged,
    ClockDiffers,
    GuardTripped,
    JobFinished,
    JobsReloaded,
    JobsReloadFailed,
    LimitReached,
    NeedsAttention,
    OriginChecked,
    PartialRead,
    Progress,
    RunFinished,
    RunStarted,
    TickSkipped,
    Waiting,
)
from batchsync.report.log_entry import LogEntry
from batchsync.report.settlement import equation
from batchsync.report.sources import partial_read_words
from batchsync.report.text_format import escape_controls, iso, pluralize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from batchsync.ports import RunEvent

#: Interval of lines about a stage in progress.
_EVERY = timedelta(seconds=10)
#: Exit codes of jobs that ended as they should, or that the next command continues.
_EXPECTED = {
    ExitCode.DONE: logging.INFO,
    ExitCode.UNSETTLED: logging.INFO,
    ExitCode.REJECTS: logging.WARNING,
    ExitCode.AWAITING_APPROVAL: logging.WARNING,
}
#: Characters of a revision that are shown.
_REVISION_LENGTH = 12
_RUN_STATES = {
    RunState.PREPARING: "still being prepared",
    RunState.PREPARED: "in flight",
    RunState.AWAITING_APPROVAL: "awaiting approval",
    RunState.SETTLED: "settled",
}


class LogObserver:
    """Observer that writes a line for each stage, batch change, first wait, and beginning and end of a run."""

    def __init__(self, write: Callable[[str], None], minimum: int = logging.INFO, *, as_json: bool = False) -> None:
        """Create the observer.

        Args:
            write: Writes a line, given without its line end.
            minimum: Lowest level that is written, of the module `logging`.
            as_json: Whether lines are JSON instead of text.
        """
        self._write = write
        self._as_json = as_json
        self._minimum = minimum
        self._stage: dict[str, tuple[str, datetime]] = {}
        self._rate = ProgressRate()
        self._changes = ChangeDeduplicator()
        self._ends: dict[str, JobFinished] = {}
        self._waiting_reported = False

    def observe(self, event: RunEvent, at: datetime) -> None:
        """Write a line about an event, unless it repeats the last one.

        Args:
            event: The event.
            at: When it was emitted.
        """
        match event:
            case Waiting(until=until):
                if not self._waiting_reported:
                    self._line(event, logging.INFO, f"waiting until {iso(until)}", at)
                    self._waiting_reported = True
                return
            case Progress():
                level, text = logging.INFO, self._progress(event, at)
            case BatchChanged(batch=batch):
                level, text = self._batch(batch)
            case JobFinished():
                level, text = self._job_finished(event)
            case _:
                level, text = _described(event)
        if text:
            self._line(event, level, text, at)
            self._waiting_reported = False

    def _progress(self, event: Progress, at: datetime) -> str:
        """Return a text when the job enters another stage, and every ten seconds while it stays there."""
        text, last = self._rate.describe(event, at), self._stage.get(event.job)
        if last is not None and last[0] == event.stage and at - last[1] < _EVERY:
            return ""
        self._stage[event.job] = event.stage, at
        return f"{escape_controls(event.job)}: {text}"

    def _batch(self, batch: Batch) -> tuple[int, str]:
        """Return level and text of a changed batch; `NeedsAttention` follows if it needs attention."""
        if not self._changes.is_new(batch) or batch.phase is Phase.NEEDS_ATTENTION:
            return logging.INFO, ""
        return logging.WARNING if batch.failures and batch.reason else logging.INFO, _batch_text(
            batch, describe_batch(batch)
        )

    def _job_finished(self, event: JobFinished) -> tuple[int, str]:
        """Return level and text of a job that failed or was skipped, unless it has the same cause as the last time."""
        last, self._ends[event.job] = self._ends.get(event.job), event
        if not event.message or event == last:
            return logging.INFO, ""
        level = _EXPECTED.get(event.exit_code, logging.ERROR)
        return level, f"{escape_controls(event.job)}: {escape_controls(event.message)}"

    def _line(self, event: RunEvent, level: int, text: str, at: datetime) -> None:
        if level < self._minimum:
            return
        job, run, batch = subject_of(event)
        entry = LogEntry(
            at=at, level=level, event=EVENT_NAMES[type(event)], message=text, job=job, run=run, batch=batch
        )
        self._write(entry.json() if self._as_json else entry.text())


def _described(event: RunEvent) -> tuple[int, str]:
    """Return level and text of an event that is written each time."""
    level, text = logging.INFO, ""
    match event:
        case PartialRead():
            text = f"{escape_controls(event.job)}: {partial_read_words(event)}"
        case RunStarted(counts=counts):
            sent = f"{pluralize(counts.to_send, 'record')} to send of {counts.selected:,} selected"
            text = f"{escape_controls(event.job)}: run {event.run} started, {sent}"
        case GuardTripped():
            level = logging.WARNING
            text = f"{escape_controls(event.job)}: run {event.run} awaits approval: {escape_controls(event.message)}"
        case NeedsAttention():
            level, text = logging.ERROR, _batch_text(event.batch, f"needs attention: {escape_controls(event.reason)}")
        case TickSkipped() | LimitReached() | ClockDiffers():
            level, text = _noted(event)
        case RunFinished():
            state = "needs attention" if event.settlement.needs_attention else _RUN_STATES[event.state]
            text = f"run {event.run} {state}: {equation(event.settlement)}"
            text = f"{escape_controls(event.job)}: {text}"
        case JobsReloaded():
            level = logging.WARNING if event.removed or not event.scheduled else logging.INFO
            text = _reloaded_text(event)
        case JobsReloadFailed():
            level, text = logging.ERROR, f"{_changed_file(event)} and {_kept_text(event)}"
        case OriginChecked():
            level, text = _checked_origin(event)
        case _:
            pass
    return level, text


def _noted(event: TickSkipped | LimitReached | ClockDiffers) -> tuple[int, str]:
    """Return level and text of a tick that is dropped, a batch that waits for a limit, and a clock that differs."""
    if isinstance(event, ClockDiffers):
        connection = escape_controls(event.connection)
        text = f"connection {connection}: the vendor's clock is {describe_offset(event.offset)}"
        text += "; expiry times are converted. Check the clock of this machine if the difference is not expected"
        return logging.WARNING, text
    job = escape_controls(event.job)
    if isinstance(event, TickSkipped):
        return logging.WARNING, f"{job}: the tick of {iso(event.tick)} is not run: {event.reason}"
    then = f" until {iso(event.until)}" if event.until else "; `batchsync resume` follows that batch"
    batch = f"batch {event.batch}: " if event.batch else ""
    return logging.INFO, f"{job}: {batch}waits for the limit of {event.limit}{then}"


def _batch_text(batch: Batch, text: str) -> str:
    return f"{escape_controls(batch.job)}: batch {batch.id}: {text}"


def _reloaded_text(event: JobsReloaded) -> str:
    text = f"{_changed_file(event)}; active jobs: {_names(event.jobs)}"
    if event.removed:
        text += f"; removed: {_names(event.removed)}"
    return text if event.scheduled else f"{text}; no active job has a schedule, so nothing will run"


def _checked_origin(event: OriginChecked) -> tuple[int, str]:
    origin = escape_controls(event.origin)
    if event.error is None:
        return logging.INFO, f"{origin} can be asked again"
    return logging.WARNING, f"{origin} cannot be asked for changes; the active jobs go on"


def _kept_text(event: JobsReloadFailed) -> str:
    if event.job:
        job = escape_controls(event.job)
        return f"job {job} cannot be used as it is now; its previous version stays active"
    return "is invalid; the previous jobs stay active"


def _changed_file(event: JobsReloaded | JobsReloadFailed) -> str:
    subject = f"a file of a secret or query of {event.file}" if event.secrets else event.file
    if event.revision and not event.secrets:
        subject = f"{event.file}, revision {event.revision[:_REVISION_LENGTH]},"
    return f"{escape_controls(subject)} has changed"


def _names(jobs: Sequence[str]) -> str:
    return ", ".join(escape_controls(job) for job in jobs) or "none"
