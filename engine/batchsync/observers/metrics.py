"""Metrics in the text format of Prometheus, from the journal and from events. Needs the extra `metrics`.

Counters of rows, runs and batches are computed from the journal at each exposition, so that they are right whatever
process did the work. Durations are measured by this process.
"""

from __future__ import annotations

import os
from contextlib import suppress
from operator import itemgetter
from threading import Lock
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest, write_to_textfile

from batchsync import __version__
from batchsync.core.batch import Phase
from batchsync.errors import BatchsyncError
from batchsync.observers import metric_definitions as metrics
from batchsync.observers.durations import Durations, StageTimer
from batchsync.observers.metrics_memory import Remembered, updating
from batchsync.observers.metrics_reading import JournalReading, journal_marks, read_journal
from batchsync.ports import JobFinished, JobsReloaded, JobsReloadFailed, OriginChecked, VendorCalled
from batchsync.schedule import first_begin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from prometheus_client.core import Metric as Family

    from batchsync.core.job import Job
    from batchsync.observers.metric_definitions import Metric
    from batchsync.ports import RunEvent

#: A value with its labels.
Sample = tuple[tuple[str, ...], float]


class MetricsObserver:
    """Observer that exposes metrics. `exposition` may be called from any thread."""

    def __init__(
        self,
        state: Path,
        *,
        jobs: Callable[[], Sequence[Job]],
        now: Callable[[], datetime],
        keeps_durations: bool = False,
    ) -> None:
        """Create the observer.

        Args:
            state: The state folder.
            jobs: Returns the active jobs; called from any thread.
            now: Returns the current time, timezone-aware.
            keeps_durations: Whether durations are added to those of earlier processes, and kept: for processes that
                end before they are asked for metrics.
        """
        self._state, self._jobs, self._now, self._keeps = state, jobs, now, keeps_durations
        # A scrape reads for a while, and the loop must not wait for it.
        self._lock, self._reading = Lock(), Lock()
        self._calls, self._stages, self._timer = Durations(), Durations(), StageTimer()
        self._ends: dict[str, tuple[int, float]] = {}
        self._jobs_file_valid = True
        self._origin_reachable = True
        self._last_event: datetime | None = None
        self._read: tuple[object, JournalReading] | None = None
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def observe(self, event: RunEvent, at: datetime) -> None:
        """Measure durations, and keep how jobs ended.

        Args:
            event: The event.
            at: When it was emitted.
        """
        with self._lock:
            self._last_event = at
            if (ended := self._timer.ended(event, at)) is not None:
                self._stages.add(ended[:2], ended[2])
            match event:
                case VendorCalled():
                    labels = (event.connection, event.call, event.answer)
                    self._calls.add(labels, event.duration.total_seconds())
                case JobFinished(job=job):
                    self._ends[job] = int(event.exit_code), at.timestamp()
                case JobsReloaded():
                    self._jobs_file_valid = True
                case JobsReloadFailed():
                    self._jobs_file_valid = False
                case OriginChecked(error=error):
                    self._origin_reachable = error is None
                case _:
                    pass

    def exposition(self) -> tuple[bytes, str]:
        """Return all metrics in the text format, and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def write_file(self, path: Path) -> None:
        """Write all metrics for the textfile collector of node_exporter: the file is replaced at once.

        Raises:
            OSError: If the file cannot be written.
        """
        write_to_textfile(os.fspath(path), self._registry)

    def unready_reason(self) -> str:
        """Return why jobs cannot run: none is loaded, or the journal cannot be opened; empty if they can."""
        if not self._jobs():
            return "no jobs are loaded"
        with self._reading:
            return "" if self._journal()[0] is not None else "the journal cannot be opened"

    def collect(self) -> Iterator[Family]:
        """Yield all metrics; called by the registry.

        Yields:
            The metrics, in the order of their definitions as far as they have values.
        """
        with self._reading:
            reading, remembered = self._journal()
            jobs = tuple(self._jobs())
            families = [
                *_of_totals(remembered),
                *(_of_journal(reading, jobs) if reading is not None else ()),
                *_of_memory(remembered),
                *_of_jobs(jobs, reading.ticks if reading is not None else {}, self._now()),
                *self._of_process(is_readable=reading is not None),
                *_of_durations(metrics.CALL_DURATION, remembered.calls),
                *_of_durations(metrics.STAGE_DURATION, remembered.stages),
            ]
        yield from families

    def _journal(self) -> tuple[JournalReading | None, Remembered]:
        """Return what the journal says, read again if it changed, None if it cannot be read; and what is remembered."""
        reading: JournalReading | None = None
        with updating(self._state) as remembered:
            marks = (journal_marks(self._state), len(self._jobs()))
            if self._read is not None and self._read[0] == marks:
                reading = self._read[1]
            else:
                with suppress(BatchsyncError):
                    reading = read_journal(self._state, self._jobs(), remembered)
                    self._read = marks, reading
            with self._lock:
                for job, end in self._ends.items():
                    remembered.ends[job] = max(end, remembered.ends.get(job, end), key=itemgetter(1))
                if self._keeps:
                    remembered.calls, self._calls = remembered.calls.merged(self._calls), Durations()
                    remembered.stages, self._stages = remembered.stages.merged(self._stages), Durations()
        if not self._keeps:
            with self._lock:
                remembered.calls, remembered.stages = self._calls.copy(), self._stages.copy()
        return reading, remembered

    def _of_process(self, *, is_readable: bool) -> Iterator[Family]:
        yield _gauge(metrics.JOBS_FILE_VALID, [((), float(self._jobs_file_valid))])
        yield _gauge(metrics.ORIGIN_REACHABLE, [((), float(self._origin_reachable))])
        if self._last_event is not None and not self._keeps:
            yield _gauge(metrics.LAST_TURN, [((), self._last_event.timestamp())])
        size = sum(size for _, size in journal_marks(self._state))
        yield _gauge(metrics.JOURNAL_BYTES, [((), float(size))])
        yield _gauge(metrics.JOURNAL_READABLE, [((), float(is_readable))])
        yield _gauge(metrics.BUILD, [((__version__,), 1.0)])


def _of_totals(remembered: Remembered) -> Iterator[Family]:
    """Yield the counters."""
    of_kind = {"rows": metrics.ROWS, "batches": metrics.BATCHES, "runs": metrics.RUNS, "bytes": metrics.FILE_BYTES}
    families = {
        kind: CounterMetricFamily(metric.name.removesuffix("_total"), metric.meaning, labels=metric.labels)
        for kind, metric in of_kind.items()
    }
    for job, total in sorted(remembered.totals.items()):
        for name, value in sorted(total.totals.items()):
            kind, _, label = name.partition(":")
            if kind in families:
                families[kind].add_metric([job, *filter(None, [label])], float(value))
    yield from families.values()


def _of_journal(reading: JournalReading, jobs: Sequence[Job]) -> Iterator[Family]:
    """Yield the gauges of the journal."""
    names = sorted({*reading.jobs, *(job.name for job in jobs)})
    phases = [phase for phase in Phase if phase is not Phase.DELIVERED]
    counts = {(job, phase.value): 0 for job in names for phase in phases}
    oldest: dict[str, float] = {}
    for batch in reading.open_batches:
        counts[batch.job, batch.phase.value] = counts.get((batch.job, batch.phase.value), 0) + 1
        oldest[batch.job] = min(oldest.get(batch.job, float("inf")), batch.prepared_at.timestamp())
    attention = Phase.NEEDS_ATTENTION.value
    yield _gauge(metrics.OPEN_BATCHES, [(labels, float(count)) for labels, count in counts.items()])
    yield _gauge(metrics.OLDEST_BATCH, _by_job(oldest))
    yield _gauge(metrics.NEEDS_ATTENTION, [((job,), float(counts.get((job, attention), 0))) for job in names])
    yield _gauge(metrics.UNRESOLVED_ROWS, [((job,), float(reading.unresolved.get(job, 0))) for job in names])
    yield _gauge(metrics.AWAITING_APPROVAL, [((job,), float(job in reading.awaiting)) for job in names])
    yield _gauge(metrics.LAST_SETTLEMENT, _by_job({job: at.timestamp() for job, at in reading.settled.items()}))


def _of_memory(remembered: Remembered) -> Iterator[Family]:
    """Yield the gauges that are remembered."""
    yield _gauge(metrics.LAST_SUCCESS, _by_job(remembered.succeeded))
    yield _gauge(metrics.EXIT_CODE, _by_job({job: float(code) for job, (code, _) in remembered.ends.items()}))
    yield _gauge(metrics.FINISHED, _by_job({job: at for job, (_, at) in remembered.ends.items()}))


def _of_jobs(jobs: Sequence[Job], begun: Mapping[str, datetime], now: datetime) -> Iterator[Family]:
    """Yield the gauges of the active jobs; a tick that was not begun is in the past."""
    ticks = {
        job.name: begin.timestamp()
        for job in jobs
        if (schedule := job.effective_schedule) is not None
        and (begin := first_begin(schedule, job.name, begun.get(job.name, now))) is not None
    }
    yield _gauge(metrics.NEXT_TICK, _by_job(ticks))
    yield _gauge(metrics.SUSPENDED, _by_job({job.name: float(job.suspend) for job in jobs}))


def _of_durations(metric: Metric, durations: Durations) -> Iterator[Family]:
    """Yield a histogram."""
    family = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
    for labels in sorted(durations.counts):
        family.add_metric(labels, durations.cumulative(labels), durations.sums[labels])
    yield family


def _gauge(metric: Metric, samples: Iterable[Sample]) -> Family:
    family = GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family


def _by_job(values: dict[str, float]) -> list[Sample]:
    return [((job,), value) for job, value in sorted(values.items())]
