"""Bugs in vendor calls, invariants 1 to 4: kinds of failure, intents, idempotency keys, repeated calls."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from batchsync.core import decide, events, lifecycle, naming, steps
from batchsync.core.batch import Batch, IdempotencyKey, Verb
from batchsync.core.events import IntentRecorded, NotApplied, OutcomeUnknown
from batchsync.errors import RetryableError
from batchsync.journal.journal import Journal
from batchsync.ports import BatchChanged
from batchsync.reconcile import deliver as reconcile_deliver
from batchsync.reconcile import grace, loop, perform
from batchsync.vendors import client as vendors_client
from batchsync.vendors import dialect as vendors_dialect
from batchsync.vendors import http as vendors_http
from batchsync.vendors import response_class, response_parsing
from simulation.plants.plant import Plant, replaced

# Invariant 1: three kinds of failure


def _unknown_outcome_clears_intent(original: Any) -> Any:
    def change(batch: Batch, event: events.Event) -> Batch:
        after = original(batch, event)
        return replace(after, pending_intent=None, intent_at=None) if isinstance(event, OutcomeUnknown) else after

    return change


def _failed_query_clears_intent(original: Any) -> Any:
    def change(batch: Batch, event: events.Event) -> Batch:
        after = original(batch, event)
        return replace(after, pending_intent=None, intent_at=None) if isinstance(event, NotApplied) else after

    return change


def _broken_connection_is_not_applied(_original: Any) -> Any:
    return lambda _error, where, _proxy=None: RetryableError(f"{where}: no answer")


def _server_error_is_not_applied(original: Any) -> Any:
    def classify(answer: Any) -> Any:
        return vendors_dialect.ResponseClass.NOT_APPLIED if answer.status >= 500 else original(answer)

    return classify


def _throttling_is_not_applied(original: Any) -> Any:
    def classify_response(call: Any, answer: Any) -> Any:
        if answer.status in (302, 408, 429, 503):
            return vendors_dialect.ResponseClass.NOT_APPLIED
        return original(call, answer)

    return classify_response


# Invariant 2: the intent is recorded before the call


def _intent_recorded_after_call(original: Any) -> Any:
    del original

    def execute(step: steps.Step, batch: Batch, context: Any, services: Any) -> Batch:
        outcome = perform.perform(step, batch, context, services)
        if verb := loop.needs_intent(step, context.policy):
            batch = services.store.record(batch, IntentRecorded(at=services.clock.now(), verb=verb))
        if isinstance(outcome, reconcile_deliver.Delivery):
            return services.store.deliver(batch, outcome.event, baseline=outcome.baseline, rejects=outcome.rejects)
        after = services.store.record(batch, outcome)
        services.events.emit(BatchChanged(batch=after))
        return after

    return execute


def _upload_without_intent(original: Any) -> Any:
    return lambda step, policy: None if isinstance(step, steps.Upload) else original(step, policy)


def _event_and_row_in_two_transactions(_original: Any) -> Any:
    def record(self: Journal, batch: Batch, event: Any, *, epoch: int | None = None) -> Batch:
        from batchsync.journal import codec, journal  # noqa: PLC0415 - used here only

        event = codec.clean_event(event)
        after = lifecycle.evolve(batch, event)
        if not isinstance(event, events.StillRunning):
            with self._write("record", batch.job, epoch):
                kind = type(event).__name__
                payload = codec.event_payload(event)
                self._append_event(after.id, codec.to_iso(event.at), kind, payload, self._epoch_of(after.job, epoch))
        with self._write("record", batch.job, epoch) as db:
            journal._update(db, "batches", codec.batch_row(after))
        return after

    return record


# Invariant 3: idempotency keys are derived


def _random_key(_original: Any) -> Any:
    count = itertools.count()
    return lambda job, digest, _attempt: IdempotencyKey(
        str(uuid.uuid5(naming.NAMESPACE, f"{job}{digest}{next(count)}"))
    )


def _key_without_attempt(original: Any) -> Any:
    return lambda job, digest, _attempt: original(job, digest, 1)


def _attempt_restarts_at_one(_original: Any) -> Any:
    return lambda *_args: 0


# Invariant 4: ask before repeating a call and before dropping an allocation


def _upload_repeated_without_query(_original: Any) -> Any:
    return lambda _batch, _context, services: perform._not_applied_event(
        Verb.UPLOAD, "assumed lost", services.clock.now()
    )


def _allocation_dropped_in_doubt(original: Any) -> Any:
    def resolve(batch: Batch, policy: Any, now: datetime) -> steps.Step:
        if batch.pending_intent is Verb.UPLOAD:
            return steps.DropAllocation("outcome unknown", Verb.UPLOAD)
        return original(batch, policy, now)

    return resolve


def _premature_answer_counts(_original: Any) -> Any:
    return lambda *_args: False


def _query_without_delay(original: Any) -> Any:
    return lambda batch, policy, now: original(batch, replace(policy, ask_after=timedelta(0)), now)


def _expired_url_means_empty(original: Any) -> Any:
    def change(step: steps.Step, batch: Batch, context: Any, services: Any) -> Any:
        event = original(step, batch, context, services)
        if isinstance(event, OutcomeUnknown) and event.expired:
            return events.AllocationLost(at=event.at, reason=event.reason, verb=event.verb)
        return event

    return change


def _status_not_read(_original: Any) -> Any:
    def look_into(allocation: Any, reason: str, _context: Any, services: Any, *, verb: Any = None) -> Any:
        now = services.clock.now()
        if allocation.url is None:
            return events.AllocationLost(at=now, reason=reason, verb=verb)
        return events.Allocated(at=now, allocation=allocation)

    return look_into


# Invariant 8: a vendor's clock may differ


def _vendor_clock_trusted(original: Any) -> Any:
    def read_allocation(exchange: Any, idempotency_key: Any, *, own_url: Any = None, granted: bool) -> Any:
        found = original(exchange, idempotency_key, own_url=own_url, granted=granted)
        read = exchange.call.read.get("expires_at", ())
        times = (
            response_parsing.parse_datetime(response_parsing.text(vendors_dialect.read(exchange), read)),
            response_parsing.url_expiry(found.url),
        )
        return replace(found, expires_at=min((time for time in times if time), default=None))

    return read_allocation


# Invariant 4: an answer of something else proves nothing


def _empty_allocation_awaited(_original: Any) -> Any:
    return lambda _batch, _policy, _now: False


def _refusal_ends_doubt(original: Any) -> Any:
    def event_of(error: Any, verb: Verb, batch: Batch, context: Any, services: Any) -> Any:
        event = original(error, verb, batch, context, services)
        return replace(event, verb=verb) if isinstance(event, events.Parked) else event

    return event_of


PLANTS = {
    "empty-allocation-awaited": Plant(
        4,
        "an allocation without a file is waited for until the deadline",
        replaced(decide, "is_overdue_file", _empty_allocation_awaited),
    ),
    "refusal-ends-doubt": Plant(
        4, "any refusal ends the doubt about an allocation request", replaced(perform, "_event_of", _refusal_ends_doubt)
    ),
    "vendor-clock-trusted": Plant(
        8,
        "expiry times are compared with our clock",
        replaced(vendors_client, "read_allocation", _vendor_clock_trusted),
    ),
    "unknown-outcome-clears-intent": Plant(
        1,
        "an unknown outcome clears the pending intent",
        replaced(lifecycle, "apply_effect", _unknown_outcome_clears_intent),
    ),
    "failed-query-clears-intent": Plant(
        1,
        "a failed status request clears the pending intent of the call in doubt",
        replaced(lifecycle, "apply_effect", _failed_query_clears_intent),
    ),
    "broken-connection-is-not-applied": Plant(
        1,
        "a broken connection counts as not applied",
        replaced(vendors_http, "_transport_error", _broken_connection_is_not_applied),
    ),
    "5xx-is-not-applied": Plant(
        1,
        "a 5xx counts as not applied",
        replaced(response_class, "_default_class_for_intent", _server_error_is_not_applied),
    ),
    "throttling-is-not-applied": Plant(
        1,
        "408, 429, 503 and redirects count as not applied, whatever the call",
        replaced(vendors_dialect, "classify_response", _throttling_is_not_applied),
    ),
    "intent-recorded-after-call": Plant(
        2, "the intent is recorded after the call", replaced(loop, "execute", _intent_recorded_after_call)
    ),
    "upload-without-intent": Plant(
        2, "no intent is recorded for an upload", replaced(loop, "needs_intent", _upload_without_intent)
    ),
    "event-and-row-in-two-transactions": Plant(
        2,
        "event and batch row are written in two transactions",
        replaced(Journal, "record", _event_and_row_in_two_transactions),
    ),
    "random-idempotency-key": Plant(
        3, "each attempt draws a new idempotency key", replaced(naming, "idempotency_key", _random_key)
    ),
    "idempotency-key-without-attempt": Plant(
        3,
        "a new allocation uses the idempotency key of the lost one",
        replaced(naming, "idempotency_key", _key_without_attempt),
    ),
    "attempt-restarts-at-one": Plant(
        3, "content sent before starts again at attempt 1", replaced(Journal, "attempts_used", _attempt_restarts_at_one)
    ),
    "upload-repeated-without-query": Plant(
        4, "an upload in doubt is repeated", replaced(perform, "_find_file", _upload_repeated_without_query)
    ),
    "allocation-dropped-in-doubt": Plant(
        4,
        "an allocation is dropped while its upload is in doubt",
        replaced(decide, "_resolve_pending_intent", _allocation_dropped_in_doubt),
    ),
    "expired-url-means-empty": Plant(
        4,
        "an allocation is dropped when a response reports that its URL expired",
        replaced(loop, "perform", _expired_url_means_empty),
    ),
    "status-not-read": Plant(
        4,
        "an allocation is dropped or filled without reading its status",
        replaced(perform, "_look_into", _status_not_read),
    ),
    "premature-answer-counts": Plant(
        5,
        "the first answer that a batch is not there, or an incomplete row log, counts",
        replaced(grace, "is_premature", _premature_answer_counts),
    ),
    "query-without-delay": Plant(
        4,
        "the status request does not wait for requests in flight",
        replaced(decide, "_resolve_pending_intent", _query_without_delay),
    ),
}
