"""NDJSON: one JSON object for each event, with its kind as `event` and its time as `timestamp` (ISO 8601, UTC)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.observers.batch_text import ChangeDeduplicator
from batchsync.ports import (
    BatchChanged,
    ClockDiffers,
    CommandStarted,
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
    VendorCalled,
    Waiting,
)
from batchsync.report.settlement import batch_data, settlement_data
from batchsync.report.sources import partial_read_data
from batchsync.report.text_format import escape_controls, iso

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import datetime

    from batchsync.ports import RunEvent


class NdjsonObserver:
    """Observer that writes an object for each event; of stages, polls and waits only what is new."""

    def __init__(
        self,
        write: Callable[[Mapping[str, object], datetime], None],
        only: Collection[type[RunEvent]] | None = None,
    ) -> None:
        """Create the observer.

        Args:
            write: Writes an object as a line, with the time of its event.
            only: Kinds of events that are written; None means all.
        """
        self._write = write
        self._only = only
        self._runs: set[str] = set()
        self._stage: dict[str, str] = {}
        self._changes = ChangeDeduplicator()
        self._waiting_reported = False

    def observe(self, event: RunEvent, at: datetime) -> None:
        """Write an object, unless the event repeats the last one.

        Args:
            event: The event.
            at: When it was emitted.
        """
        # A call of a vendor is no line: there is one for each poll, and what it changed is `batch_changed`.
        if isinstance(event, VendorCalled) or (self._only is not None and type(event) not in self._only):
            return
        if isinstance(event, BatchChanged) and event.batch.run not in self._runs:
            # The run was started by an earlier process.
            self._runs.add(event.batch.run)
            self._write({"event": "run_started", "job": event.batch.job, "run": event.batch.run}, at)
        if self._is_new(event):
            self._write(event_data(event), at)

    def _is_new(self, event: RunEvent) -> bool:
        """Return whether the event is worth a line."""
        match event:
            case Progress(job=job, stage=stage):
                last, self._stage[job] = self._stage.get(job), stage
                return last != stage
            case BatchChanged(batch=batch):
                new = self._changes.is_new(batch)
                self._waiting_reported = self._waiting_reported and not new
                return new
            case Waiting():
                reported, self._waiting_reported = self._waiting_reported, True
                return not reported
            case RunStarted(run=run):
                self._runs.add(run)
                return True
            case _:
                return True


def event_data(event: RunEvent) -> Mapping[str, object]:
    """Return an event as a JSON-compatible mapping. Members may be added; none changes its meaning."""
    data: Mapping[str, object]
    match event:
        case CommandStarted():
            data = {"event": "started", "command": event.command, **event.options}
        case JobsReloaded():
            names = {"jobs": list(event.jobs), "removed": list(event.removed)}
            data = {"event": "jobs_reloaded", **names, "revision": event.revision or None}
        case JobsReloadFailed():
            where = {"job": event.job or None, "revision": event.revision or None}
            data = {"event": "jobs_reload_failed", "error": event.error, **where}
        case OriginChecked():
            data = {"event": "origin_checked", "origin": event.origin, "error": event.error}
        case VendorCalled():
            data = {}  # never written
        case TickSkipped() | LimitReached() | Waiting():
            data = _postponed_data(event)
        case BatchChanged(batch=batch):
            data = {"event": "batch_changed", **batch_data(batch)}
        case ClockDiffers():
            where = {"job": event.job, "connection": event.connection}
            data = {"event": "clock_differs", **where, "seconds": event.offset.total_seconds()}
        case NeedsAttention(batch=batch):
            where = {"job": batch.job, "run": batch.run, "batch": batch.id}
            data = {"event": "needs_attention", **where, "reason": escape_controls(event.reason)}
        case _:
            data = _job_event_data(event)
    return data


def _postponed_data(event: TickSkipped | LimitReached | Waiting) -> Mapping[str, object]:
    """Return a wait, a tick that is dropped, or a batch that waits for a limit."""
    if isinstance(event, Waiting):
        return {"event": "waiting", "until": iso(event.until)}
    if isinstance(event, TickSkipped):
        return {"event": "tick_skipped", "job": event.job, "tick": iso(event.tick), "reason": event.reason}
    until = None if event.until is None else iso(event.until)
    where = {"job": event.job, "batch": event.batch}
    return {"event": "limit_reached", **where, "limit": event.limit, "until": until}


def _job_event_data(
    event: Progress | PartialRead | RunStarted | GuardTripped | RunFinished | JobFinished,
) -> Mapping[str, object]:
    """Return an event of a job or a run."""
    match event:
        case Progress(size=size):
            done, total = size or (None, None)
            units = {"done": event.done, "total": event.total, "unit": event.unit}
            return {
                "event": "stage",
                "job": event.job,
                "stage": event.stage,
                **units,
                "bytes": done,
                "bytes_total": total,
            }
        case PartialRead():
            return {"event": "partial_read", "job": event.job, **partial_read_data(event)}
        case RunStarted(counts=counts):
            figures = {"selected": counts.selected, "to_send": counts.to_send}
            return {"event": "run_started", "job": event.job, "run": event.run, **figures}
        case GuardTripped():
            where = {"job": event.job, "run": event.run, "guard": event.guard}
            return {"event": "guard_tripped", **where, "message": escape_controls(event.message)}
        case RunFinished():
            where = {"job": event.job, "run": event.run, "state": str(event.state)}
            return {"event": "run_finished", **where, "settlement": settlement_data(event.settlement)}
        case JobFinished():
            message = escape_controls(event.message)
            return {"event": "job_finished", "job": event.job, "exit_code": int(event.exit_code), "message": message}
