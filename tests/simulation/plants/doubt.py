"""Bugs in how the vendor is asked: laws 1 to 4, what failed, what is announced, which ticket, what is repeated."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from lading.core import decide, events, lifecycle, steps, tickets
from lading.core.batch import Batch, Ticket, Verb
from lading.core.events import Announced, DidNotHappen, Unanswered
from lading.errors import DidNotHappen as NotDone
from lading.journal.journal import Journal
from lading.reconcile import deliver as reconcile_deliver
from lading.reconcile import loop, perform
from lading.vendors import dialect as vendors_dialect
from lading.vendors import http as vendors_http
from simulation.plants.plant import Plant, replaced

# Law 1: three kinds of failure


def _unanswered_ends_doubt(original: Any) -> Any:
    def change(batch: Batch, event: events.Event) -> Batch:
        after = original(batch, event)
        return replace(after, doubt=None, doubt_since=None) if isinstance(event, Unanswered) else after

    return change


def _refused_question_ends_doubt(original: Any) -> Any:
    def change(batch: Batch, event: events.Event) -> Batch:
        after = original(batch, event)
        return replace(after, doubt=None, doubt_since=None) if isinstance(event, DidNotHappen) else after

    return change


def _any_break_is_a_refusal(_original: Any) -> Any:
    return lambda _error, where: NotDone(f"{where}: no answer")


def _server_error_is_a_refusal(original: Any) -> Any:
    def habit(answer: Any) -> Any:
        return vendors_dialect.Means.DID_NOT_HAPPEN if answer.status >= 500 else original(answer)

    return habit


def _throttling_is_a_refusal(original: Any) -> Any:
    def judge(call: Any, answer: Any) -> Any:
        if answer.status in (302, 408, 429, 503):
            return vendors_dialect.Means.DID_NOT_HAPPEN
        return original(call, answer)

    return judge


# Law 2: announce, then act


def _announced_after(original: Any) -> Any:
    del original

    def tick(step: steps.Step, batch: Batch, context: Any, world: Any) -> Batch:
        outcome = perform.perform(step, batch, context, world)
        if verb := loop.announces(step, context.policy):
            batch = world.memory.record(batch, Announced(at=world.clock.now(), verb=verb))
        if isinstance(outcome, reconcile_deliver.Delivery):
            return world.memory.deliver(batch, outcome.event, baseline=outcome.baseline, rejects=outcome.rejects)
        after = world.memory.record(batch, outcome)
        world.watcher.moved(after)
        return after

    return tick


def _upload_not_announced(original: Any) -> Any:
    return lambda step, policy: None if isinstance(step, steps.Upload) else original(step, policy)


def _two_transactions(_original: Any) -> Any:
    def record(self: Journal, batch: Batch, event: Any, *, epoch: int | None = None) -> Batch:
        from lading.journal import codec, journal  # noqa: PLC0415 - the plant's own

        event = codec.cleaned(event)
        after = lifecycle.evolve(batch, event)
        if not isinstance(event, events.StillRunning):
            with self._write("record", batch.job, epoch):
                kind = type(event).__name__
                payload = codec.event_payload(event)
                self._append(after.id, codec.iso(event.at), kind, payload, self._fence(after.job, epoch))
        with self._write("record", batch.job, epoch) as db:
            journal._update(db, "batches", codec.batch_row(after))
        return after

    return record


# Law 3: tickets are derived


def _fresh_ticket(_original: Any) -> Any:
    count = itertools.count()
    return lambda job, digest, _attempt: Ticket(str(uuid.uuid5(tickets.NAMESPACE, f"{job}{digest}{next(count)}")))


def _ticket_without_attempt(original: Any) -> Any:
    return lambda job, digest, _attempt: original(job, digest, 1)


def _attempts_forgotten(_original: Any) -> Any:
    return lambda *_given: 0


# Law 4: the upload is the point of commitment


def _repeated_without_asking(_original: Any) -> Any:
    return lambda _batch, _context, world: perform._not_there(Verb.UPLOAD, "surely lost", world.clock.now())


def _slot_left_in_doubt(original: Any) -> Any:
    def settle(batch: Batch, policy: Any, now: datetime) -> steps.Step:
        if batch.doubt is Verb.UPLOAD:
            return steps.DropSlot("nobody knows", Verb.UPLOAD)
        return original(batch, policy, now)

    return settle


def _asks_at_once(original: Any) -> Any:
    return lambda batch, policy, now: original(batch, replace(policy, ask_after=timedelta(0)), now)


def _expired_is_empty(original: Any) -> Any:
    def change(step: steps.Step, batch: Batch, context: Any, world: Any) -> Any:
        event = original(step, batch, context, world)
        if isinstance(event, Unanswered) and event.expired:
            return events.SlotLost(at=event.at, reason=event.reason, verb=event.verb)
        return event

    return change


def _status_not_read(_original: Any) -> Any:
    def look(slot: Any, reason: str, _context: Any, world: Any, *, verb: Any = None) -> Any:
        now = world.clock.now()
        if slot.url is None:
            return events.SlotLost(at=now, reason=reason, verb=verb)
        return events.Allocated(at=now, slot=slot)

    return look


PLANTS = {
    "unanswered-ends-doubt": Plant(
        1, "an unanswered call ends the doubt", replaced(lifecycle, "_change", _unanswered_ends_doubt)
    ),
    "refused-question-ends-doubt": Plant(
        1,
        "a refused question ends the doubt about the act",
        replaced(lifecycle, "_change", _refused_question_ends_doubt),
    ),
    "break-is-refusal": Plant(
        1, "a broken connection counts as refused", replaced(vendors_http, "_translated", _any_break_is_a_refusal)
    ),
    "5xx-is-refusal": Plant(
        1, "a 5xx counts as refused", replaced(vendors_dialect, "_habit_of_intent", _server_error_is_a_refusal)
    ),
    "throttling-is-refusal": Plant(
        1,
        "408, 429, 503 and redirects count as refused, whatever was asked",
        replaced(vendors_dialect, "judge", _throttling_is_a_refusal),
    ),
    "announce-after": Plant(2, "the act is announced after it", replaced(loop, "tick", _announced_after)),
    "upload-not-announced": Plant(2, "an upload is not announced", replaced(loop, "announces", _upload_not_announced)),
    "two-transactions": Plant(2, "event and row are two transactions", replaced(Journal, "record", _two_transactions)),
    "fresh-ticket": Plant(3, "each try draws a fresh ticket", replaced(tickets, "ticket", _fresh_ticket)),
    "ticket-without-attempt": Plant(
        3, "a lost slot keeps its ticket", replaced(tickets, "ticket", _ticket_without_attempt)
    ),
    "attempts-forgotten": Plant(
        3, "content sent before begins at attempt one", replaced(Journal, "attempts_used", _attempts_forgotten)
    ),
    "repeated-without-asking": Plant(
        4, "an upload in doubt is repeated", replaced(perform, "_find_file", _repeated_without_asking)
    ),
    "slot-left-in-doubt": Plant(
        4, "a slot is left while its upload is in doubt", replaced(decide, "_settle_doubt", _slot_left_in_doubt)
    ),
    "expired-is-empty": Plant(
        4,
        "a slot is left because an answer says that its URL ran out",
        replaced(loop, "perform", _expired_is_empty),
    ),
    "status-not-read": Plant(
        4, "a slot is left or filled without reading its status", replaced(perform, "_look_into", _status_not_read)
    ),
    "asks-at-once": Plant(
        4, "the question does not wait for what is under way", replaced(decide, "_settle_doubt", _asks_at_once)
    ),
}
