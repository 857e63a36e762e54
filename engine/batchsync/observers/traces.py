"""Traces by OpenTelemetry: a span for each run, batch and vendor call. Needs the extra `traces`.

The SDK reads the `OTEL_*` variables itself. Spans have names, ids, counts and answers of ours: no values of rows, and
no URL.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

from batchsync import __version__
from batchsync.core.batch import Phase
from batchsync.core.vendor_calls import ResponseClass
from batchsync.ports import BatchChanged, RunFinished, RunStarted, VendorCalled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from opentelemetry.trace import Span, Tracer

    from batchsync.core.batch import Batch
    from batchsync.ports import RunEvent

#: Longest time that the end of a command waits for a receiver, in seconds.
_FLUSH_MAX = 2.0
#: Answers that are no failure of a call.
_GOOD = (ResponseClass.OK.value, ResponseClass.ABSENT.value)


class TraceObserver:
    """Observer that makes spans. One that has not ended when the process does is ended then, as unfinished."""

    def __init__(self, tracer: Tracer) -> None:
        """Create the observer of a tracer."""
        self._tracer = tracer
        self._runs: dict[str, Span] = {}
        self._batches: dict[str, Span] = {}
        self._at: int | None = None

    def observe(self, event: RunEvent, at: datetime) -> None:
        """Begin or end the spans that an event is about.

        Args:
            event: The event.
            at: When it was emitted.
        """
        self._at = now = _nanoseconds(at)
        match event:
            case RunStarted():
                self._run(event.run, event.job, now).set_attribute("batchsync.rows.to_send", event.counts.to_send)
            case BatchChanged(batch=batch):
                self._batch_changed(batch, now)
            case VendorCalled():
                self._called(event, now)
            case RunFinished() if (span := self._runs.pop(event.run, None)) is not None:
                span.set_attributes(_outcomes(event))
                span.set_attribute("batchsync.run.state", event.state.value)
                span.end(now)
            case _:
                pass

    def end(self) -> None:
        """End all spans, as unfinished: the next process continues the runs."""
        for span in (*self._batches.values(), *self._runs.values()):
            span.set_attributes({"batchsync.unfinished": True})
            span.end(self._at)
        self._batches, self._runs = {}, {}

    def _run(self, run: str, job: str, now: int) -> Span:
        """Return the span of a run, begun if this process sees the run for the first time."""
        if run not in self._runs:
            attributes = {"batchsync.job": job, "batchsync.run": run}
            self._runs[run] = self._tracer.start_span(f"run {job}", Context(), attributes=attributes, start_time=now)
        return self._runs[run]

    def _batch(self, batch: str, run: str, job: str, now: int) -> Span:
        if batch not in self._batches:
            parent = set_span_in_context(self._run(run, job, now), Context())
            attributes = {"batchsync.job": job, "batchsync.run": run, "batchsync.batch": batch}
            self._batches[batch] = self._tracer.start_span(
                f"batch {job}", parent, attributes=attributes, start_time=now
            )
        return self._batches[batch]

    def _batch_changed(self, batch: Batch, now: int) -> None:
        span = self._batch(batch.id, batch.run, batch.job, now)
        span.add_event(batch.phase.value, {"batchsync.failures": batch.failures}, now)
        if batch.phase in (Phase.DELIVERED, Phase.NEEDS_ATTENTION):
            span.set_attributes({"batchsync.batch.rows": batch.file.rows, "batchsync.batch.bytes": batch.file.size})
            span.set_attribute("batchsync.batch.verdict", batch.verdict.value if batch.verdict else "")
            if batch.phase is Phase.NEEDS_ATTENTION:
                span.set_status(Status(StatusCode.ERROR, "needs attention"))
            self._batches.pop(batch.id).end(now)

    def _called(self, event: VendorCalled, now: int) -> None:
        begun = now - round(event.duration.total_seconds() * 1e9)
        parent = Context()
        if event.batch:
            parent = set_span_in_context(self._batch(event.batch, event.run, event.job, begun), parent)
        attributes = {
            "batchsync.job": event.job,
            "batchsync.connection": event.connection,
            "batchsync.call": event.call,
            "batchsync.answer": event.answer,
        }
        span = self._tracer.start_span(
            f"{event.call} {event.connection}", parent, SpanKind.CLIENT, attributes, start_time=begun
        )
        if event.answer not in _GOOD:
            span.set_status(Status(StatusCode.ERROR, event.answer))
        span.end(now)


@contextmanager
def tracing() -> Iterator[TraceObserver]:
    """Send spans until the block ends, to the receiver that the `OTEL_*` variables name.

    A receiver that does not answer delays the end by at most two seconds, and spans are lost.

    Yields:
        The observer.
    """
    # The exporter logs what it could not send, with the URL; a run must not depend on it.
    logger = logging.getLogger("opentelemetry")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    observer = TraceObserver(provider.get_tracer("batchsync", __version__))
    try:
        yield observer
    finally:
        observer.end()
        # The SDK has no limit of its own: it waits for a receiver that does not answer.
        last = Thread(target=provider.shutdown, name="batchsync-traces", daemon=True)
        last.start()
        last.join(_FLUSH_MAX)


def _resource() -> Resource:
    """Return what all spans say of this process; the name is that of the variables, if they have one."""
    found = Resource.create({"service.version": __version__})
    if str(found.attributes.get("service.name", "")).startswith("unknown_service"):
        return found.merge(Resource({"service.name": "batchsync"}))
    return found


def _outcomes(event: RunFinished) -> Mapping[str, int]:
    """Return the rows of a run by outcome, as attributes."""
    return {f"batchsync.rows.{outcome}": count for outcome, count in event.settlement.outcomes.items()}


def _nanoseconds(at: datetime) -> int:
    return round(at.timestamp() * 1e9)
