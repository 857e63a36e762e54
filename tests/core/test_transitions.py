"""Transitions of a batch: allowed events have their effects, others change nothing."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any, get_args

import pytest
from core_samples import ALLOCATION, LATER, NOW, ROWS, a_batch, events_for

from batchsync.core.batch import Phase, Verb, Verdict
from batchsync.core.events import (
    Allocated,
    AllocationLost,
    Cancelled,
    Collected,
    Delivered,
    Event,
    IntentRecorded,
    NotApplied,
    OutcomeUnknown,
    Parked,
    Reopened,
    ResultsLost,
    StillRunning,
    Uploaded,
    VendorFinished,
)
from batchsync.core.lifecycle import TRANSITIONS, ImpossibleEventError, evolve
from batchsync.core.row_outcome import OutcomeCounts

MUCH_LATER = LATER + timedelta(hours=1)
ALLOWED = [(phase, kind, item.to) for phase, events in TRANSITIONS.items() for kind, item in events.items()]
FORBIDDEN = [(phase, kind) for phase in Phase for kind in get_args(Event) if kind not in TRANSITIONS[phase]]

#: The transitions, written a second time by hand, so that none changes unnoticed. Without `>`, the phase is the same.
EXPECTED = {
    "prepared": "IntentRecorded NotApplied OutcomeUnknown AllocationLost Allocated>allocated Uploaded>submitted "
    "Cancelled>finished "
    "Parked>needs_attention",
    "allocated": "IntentRecorded Allocated NotApplied OutcomeUnknown Stored>uploaded Uploaded>submitted "
    "AllocationLost>prepared Cancelled>finished "
    "Parked>needs_attention",
    "uploaded": "IntentRecorded NotApplied OutcomeUnknown Committed>submitted Cancelled>finished "
    "Parked>needs_attention",
    "submitted": "StillRunning NotApplied OutcomeUnknown FileMissing>allocated VendorFinished>finished "
    "Parked>needs_attention",
    "finished": "StillRunning NotApplied OutcomeUnknown Collected>collected Parked>needs_attention",
    "collected": "NotApplied Delivered>delivered ResultsLost>finished Parked>needs_attention",
    "needs_attention": "Reopened>parked-from Resolved>finished",
    "delivered": "Resolved CollectedAgain",
}


def test_transitions_are_the_expected_ones() -> None:
    written = {
        phase: {event if ">" in event else f"{event}>{phase}" for event in events.split()}
        for phase, events in EXPECTED.items()
    }
    assert written == {
        str(phase): {f"{kind.__name__}>{item.to or 'parked-from'}" for kind, item in events.items()}
        for phase, events in TRANSITIONS.items()
    }


@pytest.mark.parametrize(("phase", "kind", "to"), ALLOWED, ids=lambda value: getattr(value, "__name__", str(value)))
def test_event_in_the_table_leads_to_its_phase(phase: Phase, kind: type[Event], to: Phase | None) -> None:
    batch = a_batch(phase)
    before = deepcopy(batch)
    after = evolve(batch, events_for(phase)[kind])
    assert after.phase is (to or batch.parked_from)
    assert batch == before


@pytest.mark.parametrize(("phase", "kind"), FORBIDDEN, ids=lambda value: getattr(value, "__name__", str(value)))
def test_event_not_in_the_table_raises_and_changes_nothing(phase: Phase, kind: type[Event]) -> None:
    batch = a_batch(phase)
    before = deepcopy(batch)
    with pytest.raises(ImpossibleEventError, match=f"{phase.label}.*{kind.__name__}"):
        evolve(batch, events_for(phase)[kind])
    assert batch == before


def test_every_phase_can_be_reached_and_nothing_leaves_delivered() -> None:
    reached, todo = {Phase.PREPARED}, [Phase.PREPARED]
    while todo:
        for item in TRANSITIONS[todo.pop()].values():
            if item.to is not None and item.to not in reached:
                reached.add(item.to)
                todo.append(item.to)
    assert reached == set(Phase)
    assert {item.to for item in TRANSITIONS[Phase.DELIVERED].values()} == {Phase.DELIVERED}


@pytest.mark.parametrize(("phase", "kind", "to"), ALLOWED, ids=lambda value: getattr(value, "__name__", str(value)))
def test_batch_without_allocation_follows_the_table(phase: Phase, kind: type[Event], to: Phase | None) -> None:
    batch = a_batch(phase, allocation=None)
    assert evolve(batch, events_for(phase)[kind]).phase is (to or batch.parked_from)


def test_error_names_event_phase_and_pending_intent() -> None:
    batch = a_batch(Phase.ALLOCATED)
    with pytest.raises(ImpossibleEventError) as refused:
        evolve(batch, IntentRecorded(at=NOW, verb=Verb.ALLOCATE))
    assert str(refused.value) == f"batch {batch.id} is allocated: event IntentRecorded is impossible"
    with pytest.raises(ImpossibleEventError) as refused:
        evolve(replace(batch, pending_intent=Verb.UPLOAD), IntentRecorded(at=NOW, verb=Verb.UPLOAD))
    assert str(refused.value) == f"batch {batch.id} is allocated, upload in doubt: event IntentRecorded is impossible"


@pytest.mark.parametrize(("phase", "verb"), [(Phase.PREPARED, Verb.ALLOCATE), (Phase.ALLOCATED, Verb.UPLOAD)])
def test_intent_is_stored_with_its_time(phase: Phase, verb: Verb) -> None:
    batch = a_batch(phase)
    assert evolve(batch, IntentRecorded(at=LATER, verb=verb)) == replace(batch, pending_intent=verb, intent_at=LATER)


#: The fields that each event changes. AFTER_SUCCESS are those of every success.
AFTER_SUCCESS: dict[str, Any] = {
    "failures": 0,
    "not_before": None,
    "reason": "",
    "pending_intent": None,
    "intent_at": None,
}
EFFECTS: list[tuple[Phase, Verb | None, Event, dict[str, Any]]] = [
    (
        Phase.PREPARED,
        Verb.ALLOCATE,
        Allocated(at=LATER, allocation=ALLOCATION),
        {**AFTER_SUCCESS, "allocation": ALLOCATION, "failures": 3},
    ),
    (
        Phase.ALLOCATED,
        Verb.UPLOAD,
        Uploaded(at=LATER),
        {**AFTER_SUCCESS, "allocation": replace(ALLOCATION, url=None), "submitted_at": LATER, "polls": 0},
    ),
    (
        Phase.SUBMITTED,
        None,
        VendorFinished(at=LATER, verdict=Verdict.MIXED, vendor_status="Completed"),
        {**AFTER_SUCCESS, "verdict": Verdict.MIXED, "vendor_status": "Completed", "polls": 0},
    ),
    (
        Phase.FINISHED,
        None,
        Collected(at=LATER, counts=OutcomeCounts.of(accepted=7, rejected=2, unknown=1)),
        {**AFTER_SUCCESS, "counts": OutcomeCounts.of(accepted=7, rejected=2, unknown=1)},
    ),
    (Phase.COLLECTED, None, Delivered(at=LATER), AFTER_SUCCESS),
    (
        Phase.COLLECTED,
        None,
        ResultsLost(at=NOW, reason="missing on disk", retry_at=MUCH_LATER),
        {"counts": None, "failures": 4, "not_before": MUCH_LATER, "reason": "missing on disk"},
    ),
    (
        Phase.ALLOCATED,
        Verb.UPLOAD,
        NotApplied(at=NOW, verb=Verb.UPLOAD, reason="429", retry_at=MUCH_LATER),
        {"failures": 4, "not_before": MUCH_LATER, "reason": "429", "pending_intent": None, "intent_at": None},
    ),
    (
        Phase.ALLOCATED,
        Verb.UPLOAD,
        OutcomeUnknown(at=NOW, verb=Verb.UPLOAD, reason="read timeout", retry_at=MUCH_LATER),
        {"failures": 4, "not_before": MUCH_LATER, "reason": "read timeout"},
    ),
    (
        Phase.ALLOCATED,
        Verb.UPLOAD,
        AllocationLost(at=NOW, reason="expired", verb=Verb.UPLOAD),
        {**AFTER_SUCCESS, "allocation": None, "attempt": 2, "lost_allocations": 1, "failures": 3, "reason": "expired"},
    ),
    (
        Phase.PREPARED,
        Verb.ALLOCATE,
        Cancelled(at=NOW, reason="cancelled manually"),
        {**AFTER_SUCCESS, "verdict": Verdict.CANCELLED, "reason": "cancelled manually"},
    ),
    (
        Phase.SUBMITTED,
        None,
        Parked(at=NOW, reason="no verdict"),
        {"parked_from": Phase.SUBMITTED, "not_before": None, "reason": "no verdict"},
    ),
    (
        Phase.NEEDS_ATTENTION,
        Verb.ALLOCATE,
        Reopened(at=NOW, reason="resumed manually"),
        {
            "parked_from": None,
            "failures": 0,
            "lost_allocations": 0,
            "polls": 0,
            "not_before": None,
            "reason": "resumed manually",
        },
    ),
]


@pytest.mark.parametrize(("phase", "intent", "event", "changes"), EFFECTS, ids=lambda value: type(value).__name__)
def test_event_changes_only_its_fields(
    phase: Phase, intent: Verb | None, event: Event, changes: dict[str, Any]
) -> None:
    values = {"failures": 3, "not_before": LATER, "reason": "502", "polls": 2, "vendor_status": "Validating"}
    batch = a_batch(phase, **values, pending_intent=intent, intent_at=NOW if intent else None)
    to = TRANSITIONS[phase][type(event)].to or batch.parked_from
    assert evolve(batch, event) == replace(batch, **{**changes, "phase": to})


def test_refused_query_does_not_end_the_pending_intent() -> None:
    in_doubt = a_batch(Phase.PREPARED, pending_intent=Verb.ALLOCATE, intent_at=NOW)
    after = evolve(in_doubt, NotApplied(at=LATER, verb=Verb.FIND_ALLOCATION, reason="429"))
    assert (after.pending_intent, after.intent_at, after.failures) == (Verb.ALLOCATE, NOW, 1)


def test_response_to_the_call_ends_the_pending_intent() -> None:
    in_doubt = a_batch(Phase.PREPARED, pending_intent=Verb.ALLOCATE, intent_at=NOW)
    after = evolve(in_doubt, NotApplied(at=LATER, verb=Verb.ALLOCATE, reason="no such batch"))
    assert (after.pending_intent, after.intent_at) == (None, None)


@pytest.mark.parametrize("verb", [Verb.ALLOCATE, Verb.FIND_ALLOCATION])
def test_unanswered_request_does_not_end_the_pending_intent(verb: Verb) -> None:
    in_doubt = a_batch(Phase.PREPARED, pending_intent=Verb.ALLOCATE, intent_at=NOW)
    after = evolve(in_doubt, OutcomeUnknown(at=LATER, verb=verb, reason="timeout", retry_at=LATER))
    assert (after.pending_intent, after.intent_at) == (Verb.ALLOCATE, NOW)


def test_repeated_allocation_does_not_end_an_upload_in_doubt() -> None:
    in_doubt = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW)
    after = evolve(in_doubt, Allocated(at=LATER, allocation=ALLOCATION))
    assert (after.phase, after.pending_intent) == (Phase.ALLOCATED, Verb.UPLOAD)


@pytest.mark.parametrize("verb", [None, Verb.ALLOCATE, Verb.FIND_FILE, Verb.FIND_ALLOCATION])
def test_allocation_is_not_lost_while_the_upload_is_in_doubt(verb: Verb | None) -> None:
    in_doubt = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW)
    with pytest.raises(ImpossibleEventError, match="upload in doubt"):
        evolve(in_doubt, AllocationLost(at=LATER, reason="expired", verb=verb))


def test_response_to_the_upload_may_end_the_allocation() -> None:
    in_doubt = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW)
    after = evolve(in_doubt, AllocationLost(at=LATER, reason="403: expired", verb=Verb.UPLOAD))
    assert (after.phase, after.pending_intent, after.allocation, after.attempt, after.lost_allocations) == (
        Phase.PREPARED,
        None,
        None,
        2,
        1,
    )


def test_batch_with_an_upload_in_doubt_cannot_be_cancelled() -> None:
    with pytest.raises(ImpossibleEventError):
        evolve(
            a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW), Cancelled(at=LATER, reason="manually")
        )


def test_cancelled_batch_is_finished_without_allocation() -> None:
    after = evolve(a_batch(Phase.ALLOCATED), Cancelled(at=LATER, reason="manually"))
    assert (after.phase, after.verdict, after.allocation, after.reason) == (
        Phase.FINISHED,
        Verdict.CANCELLED,
        None,
        "manually",
    )


@pytest.mark.parametrize(
    ("phase", "verb"), [(Phase.PREPARED, Verb.UPLOAD), (Phase.ALLOCATED, Verb.ALLOCATE), (Phase.PREPARED, Verb.POLL)]
)
def test_intent_of_another_phase_is_impossible(phase: Phase, verb: Verb) -> None:
    with pytest.raises(ImpossibleEventError):
        evolve(a_batch(phase), IntentRecorded(at=NOW, verb=verb))


@pytest.mark.parametrize(("phase", "verb"), [(Phase.PREPARED, Verb.ALLOCATE), (Phase.ALLOCATED, Verb.UPLOAD)])
def test_second_intent_is_impossible(phase: Phase, verb: Verb) -> None:
    with pytest.raises(ImpossibleEventError):
        evolve(a_batch(phase, pending_intent=verb, intent_at=NOW), IntentRecorded(at=LATER, verb=verb))


@pytest.mark.parametrize(
    "counts",
    [
        OutcomeCounts.of(accepted=ROWS - 1),
        OutcomeCounts.of(accepted=ROWS + 1),
        OutcomeCounts.of(),
        OutcomeCounts.of(accepted=ROWS + 1, unknown=-1),
        OutcomeCounts.of(accepted=ROWS + 1, rejected=-1),
        OutcomeCounts.of(accepted=-1, rejected=ROWS + 1),
    ],
)
def test_unbalanced_counts_are_not_collected(counts: OutcomeCounts) -> None:
    with pytest.raises(ImpossibleEventError):
        evolve(a_batch(Phase.FINISHED), Collected(at=NOW, counts=counts))


def test_heartbeat_changes_only_its_fields() -> None:
    batch = a_batch(Phase.SUBMITTED, failures=2, reason="502")
    after = evolve(batch, StillRunning(at=NOW, vendor_status="Validating", retry_at=LATER))
    assert after == replace(batch, vendor_status="Validating", polls=1, not_before=LATER, failures=0, reason="")


def test_repr_does_not_contain_the_upload_url() -> None:
    assert "signature" not in repr(a_batch(Phase.ALLOCATED))
