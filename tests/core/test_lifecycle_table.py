"""The table of transitions, both ways: what it allows happens, and what it does not allow changes nothing."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any, get_args

import pytest
from core_samples import LATER, NOW, ROWS, SLOT, a_batch, events_for

from batchsync.core.batch import Allocation, Phase, RowCounts, Verb, Verdict
from batchsync.core.decide import decide
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
    Resolved,
    ResultsLost,
    StillRunning,
    Uploaded,
    VendorFinished,
)
from batchsync.core.lifecycle import TRANSITIONS, ImpossibleEventError, evolve
from batchsync.core.policy import Policy
from batchsync.core.steps import Collect

MUCH_LATER = LATER + timedelta(hours=1)
ARROWS = [(phase, kind, to) for phase, arrows in TRANSITIONS.items() for kind, to in arrows.items()]
NO_ARROWS = [(phase, kind) for phase in Phase for kind in get_args(Event) if kind not in TRANSITIONS[phase]]

#: The law, written down a second time and by hand, so that no arrow comes or goes or turns unnoticed. What stands
#: alone leads back to the phase that it happens in.
LAW = {
    "prepared": "IntentRecorded NotApplied OutcomeUnknown AllocationLost Allocated>allocated Uploaded>submitted "
    "Cancelled>finished "
    "Parked>needs_attention",
    "allocated": "IntentRecorded Allocated NotApplied OutcomeUnknown Uploaded>submitted AllocationLost>prepared "
    "Cancelled>finished "
    "Parked>needs_attention",
    "submitted": "StillRunning NotApplied OutcomeUnknown VendorFinished>finished Parked>needs_attention",
    "finished": "NotApplied OutcomeUnknown Collected>collected Parked>needs_attention",
    "collected": "NotApplied Delivered>delivered ResultsLost>finished Parked>needs_attention",
    "needs_attention": "Reopened>where-it-was Resolved>finished",
    "delivered": "Resolved",
}


def test_the_table_is_the_law_that_was_agreed() -> None:
    written = {
        phase: {arrow if ">" in arrow else f"{arrow}>{phase}" for arrow in arrows.split()}
        for phase, arrows in LAW.items()
    }
    assert written == {
        str(phase): {f"{kind.__name__}>{to or 'where-it-was'}" for kind, to in arrows.items()}
        for phase, arrows in TRANSITIONS.items()
    }


@pytest.mark.parametrize(("phase", "kind", "to"), ARROWS, ids=lambda one: getattr(one, "__name__", str(one)))
def test_an_event_of_the_table_leads_where_the_table_says(phase: Phase, kind: type[Event], to: Phase | None) -> None:
    batch = a_batch(phase)
    before = deepcopy(batch)
    after = evolve(batch, events_for(phase)[kind])
    assert after.phase is (to or batch.parked_from)
    assert batch == before


@pytest.mark.parametrize(("phase", "kind"), NO_ARROWS, ids=lambda one: getattr(one, "__name__", str(one)))
def test_an_event_that_is_not_in_the_table_raises_and_changes_nothing(phase: Phase, kind: type[Event]) -> None:
    batch = a_batch(phase)
    before = deepcopy(batch)
    with pytest.raises(ImpossibleEventError, match=f"{phase}.*{kind.__name__}"):
        evolve(batch, events_for(phase)[kind])
    assert batch == before


def test_every_phase_can_be_reached_and_nothing_leaves_delivered() -> None:
    reached, todo = {Phase.PREPARED}, [Phase.PREPARED]
    while todo:
        for to in TRANSITIONS[todo.pop()].values():
            if to is not None and to not in reached:
                reached.add(to)
                todo.append(to)
    assert reached == set(Phase)
    assert set(TRANSITIONS[Phase.DELIVERED].values()) == {Phase.DELIVERED}


@pytest.mark.parametrize(("phase", "kind", "to"), ARROWS, ids=lambda one: getattr(one, "__name__", str(one)))
def test_a_batch_whose_slot_is_not_known_goes_on_as_any_other(
    phase: Phase, kind: type[Event], to: Phase | None
) -> None:
    batch = a_batch(phase, allocation=None)
    assert evolve(batch, events_for(phase)[kind]).phase is (to or batch.parked_from)


def test_a_refusal_says_which_event_met_which_phase_and_what_doubt() -> None:
    calm = a_batch(Phase.ALLOCATED)
    with pytest.raises(ImpossibleEventError) as refused:
        evolve(calm, IntentRecorded(at=NOW, verb=Verb.ALLOCATE))
    assert str(refused.value) == f"batch {calm.id} is allocated: IntentRecorded cannot happen to it"
    with pytest.raises(ImpossibleEventError) as refused:
        evolve(replace(calm, pending_intent=Verb.UPLOAD), IntentRecorded(at=NOW, verb=Verb.UPLOAD))
    assert (
        str(refused.value) == f"batch {calm.id} is allocated in doubt about upload: IntentRecorded cannot happen to it"
    )


@pytest.mark.parametrize(("phase", "verb"), [(Phase.PREPARED, Verb.ALLOCATE), (Phase.ALLOCATED, Verb.UPLOAD)])
def test_an_announcement_is_a_doubt_that_knows_since_when(phase: Phase, verb: Verb) -> None:
    batch = a_batch(phase)
    assert evolve(batch, IntentRecorded(at=LATER, verb=verb)) == replace(batch, pending_intent=verb, intent_at=LATER)


#: What each event tells, and nothing else, is what is known after it. CALM is what anything that goes well brings.
CALM: dict[str, Any] = {"failures": 0, "not_before": None, "reason": "", "pending_intent": None, "intent_at": None}
SAYS: list[tuple[Phase, Verb | None, Event, dict[str, Any]]] = [
    (Phase.PREPARED, Verb.ALLOCATE, Allocated(at=LATER, allocation=SLOT), {**CALM, "allocation": SLOT}),
    (
        Phase.ALLOCATED,
        Verb.UPLOAD,
        Uploaded(at=LATER),
        {**CALM, "allocation": replace(SLOT, url=None), "submitted_at": LATER, "polls": 0},
    ),
    (
        Phase.SUBMITTED,
        None,
        VendorFinished(at=LATER, verdict=Verdict.MIXED, vendor_status="Completed"),
        {**CALM, "verdict": Verdict.MIXED, "vendor_status": "Completed"},
    ),
    (
        Phase.FINISHED,
        None,
        Collected(at=LATER, counts=RowCounts(accepted=7, rejected=2, unknown=1)),
        {**CALM, "counts": RowCounts(accepted=7, rejected=2, unknown=1)},
    ),
    (Phase.COLLECTED, None, Delivered(at=LATER), CALM),
    (
        Phase.COLLECTED,
        None,
        ResultsLost(at=NOW, reason="gone from our disk", retry_at=MUCH_LATER),
        {"counts": None, "failures": 4, "not_before": MUCH_LATER, "reason": "gone from our disk"},
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
        {**CALM, "allocation": None, "attempt": 2, "lost_allocations": 1, "failures": 3, "reason": "expired"},
    ),
    (
        Phase.PREPARED,
        Verb.ALLOCATE,
        Cancelled(at=NOW, reason="cancelled by hand"),
        {**CALM, "verdict": Verdict.CANCELLED, "reason": "cancelled by hand"},
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
        Reopened(at=NOW, reason="resumed by hand"),
        {
            "parked_from": None,
            "failures": 0,
            "lost_allocations": 0,
            "polls": 0,
            "not_before": None,
            "reason": "resumed by hand",
        },
    ),
]


@pytest.mark.parametrize(("phase", "doubt", "event", "says"), SAYS, ids=lambda one: type(one).__name__)
def test_an_event_changes_what_it_says_and_nothing_else(
    phase: Phase, doubt: Verb | None, event: Event, says: dict[str, Any]
) -> None:
    tired = {"failures": 3, "not_before": LATER, "reason": "502", "polls": 2, "vendor_status": "Validating"}
    batch = a_batch(phase, **tired, pending_intent=doubt, intent_at=NOW if doubt else None)
    to = TRANSITIONS[phase][type(event)] or batch.parked_from
    assert evolve(batch, event) == replace(batch, **{**says, "phase": to})


def test_a_refused_question_does_not_end_the_doubt() -> None:
    doubtful = a_batch(Phase.PREPARED, pending_intent=Verb.ALLOCATE, intent_at=NOW)
    after = evolve(doubtful, NotApplied(at=LATER, verb=Verb.FIND_ALLOCATION, reason="429"))
    assert (after.pending_intent, after.intent_at, after.failures) == (Verb.ALLOCATE, NOW, 1)


def test_an_answer_about_the_act_ends_the_doubt() -> None:
    doubtful = a_batch(Phase.PREPARED, pending_intent=Verb.ALLOCATE, intent_at=NOW)
    after = evolve(doubtful, NotApplied(at=LATER, verb=Verb.ALLOCATE, reason="no such batch"))
    assert (after.pending_intent, after.intent_at) == (None, None)


@pytest.mark.parametrize("verb", [Verb.ALLOCATE, Verb.FIND_ALLOCATION])
def test_an_unanswered_request_never_ends_a_doubt(verb: Verb) -> None:
    doubtful = a_batch(Phase.PREPARED, pending_intent=Verb.ALLOCATE, intent_at=NOW)
    after = evolve(doubtful, OutcomeUnknown(at=LATER, verb=verb, reason="timeout", retry_at=LATER))
    assert (after.pending_intent, after.intent_at) == (Verb.ALLOCATE, NOW)


def test_being_told_of_the_slot_again_does_not_end_the_doubt_about_the_upload() -> None:
    doubtful = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW)
    after = evolve(doubtful, Allocated(at=LATER, allocation=SLOT))
    assert (after.phase, after.pending_intent) == (Phase.ALLOCATED, Verb.UPLOAD)


@pytest.mark.parametrize("verb", [None, Verb.ALLOCATE, Verb.FIND_FILE, Verb.FIND_ALLOCATION])
def test_the_slot_is_not_lost_while_the_upload_is_in_doubt(verb: Verb | None) -> None:
    doubtful = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW)
    with pytest.raises(ImpossibleEventError, match="in doubt about upload"):
        evolve(doubtful, AllocationLost(at=LATER, reason="expired", verb=verb))


def test_an_answer_to_the_upload_itself_may_end_the_slot() -> None:
    doubtful = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW)
    after = evolve(doubtful, AllocationLost(at=LATER, reason="403: expired", verb=Verb.UPLOAD))
    assert (after.phase, after.pending_intent, after.allocation, after.attempt, after.lost_allocations) == (
        Phase.PREPARED,
        None,
        None,
        2,
        1,
    )


def test_a_batch_whose_upload_is_in_doubt_cannot_be_withdrawn() -> None:
    with pytest.raises(ImpossibleEventError):
        evolve(
            a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW), Cancelled(at=LATER, reason="by hand")
        )


def test_a_withdrawn_batch_is_settled_as_cancelled_and_has_no_slot() -> None:
    after = evolve(a_batch(Phase.ALLOCATED), Cancelled(at=LATER, reason="by hand"))
    assert (after.phase, after.verdict, after.allocation, after.reason) == (
        Phase.FINISHED,
        Verdict.CANCELLED,
        None,
        "by hand",
    )


@pytest.mark.parametrize(
    ("phase", "verb"), [(Phase.PREPARED, Verb.UPLOAD), (Phase.ALLOCATED, Verb.ALLOCATE), (Phase.PREPARED, Verb.POLL)]
)
def test_only_the_verb_of_the_phase_can_be_announced(phase: Phase, verb: Verb) -> None:
    with pytest.raises(ImpossibleEventError):
        evolve(a_batch(phase), IntentRecorded(at=NOW, verb=verb))


@pytest.mark.parametrize(("phase", "verb"), [(Phase.PREPARED, Verb.ALLOCATE), (Phase.ALLOCATED, Verb.UPLOAD)])
def test_nothing_is_announced_while_in_doubt(phase: Phase, verb: Verb) -> None:
    with pytest.raises(ImpossibleEventError):
        evolve(a_batch(phase, pending_intent=verb, intent_at=NOW), IntentRecorded(at=LATER, verb=verb))


@pytest.mark.parametrize(
    "books",
    [
        RowCounts(accepted=ROWS - 1),
        RowCounts(accepted=ROWS + 1),
        RowCounts(),
        RowCounts(accepted=ROWS + 1, unknown=-1),
        RowCounts(accepted=ROWS + 1, rejected=-1),
        RowCounts(accepted=-1, rejected=ROWS + 1),
    ],
)
def test_nothing_is_collected_unless_the_books_balance(books: RowCounts) -> None:
    with pytest.raises(ImpossibleEventError):
        evolve(a_batch(Phase.FINISHED), Collected(at=NOW, counts=books))


def test_an_upload_ends_its_doubt_and_forgets_the_url() -> None:
    doubtful = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW, failures=3, polls=4)
    after = evolve(doubtful, Uploaded(at=LATER))
    assert (after.pending_intent, after.submitted_at, after.polls, after.failures) == (None, LATER, 0, 0)
    assert after.allocation == Allocation(id=SLOT.id, expires_at=SLOT.expires_at)


@pytest.mark.parametrize(("phase", "doubt"), [(Phase.PREPARED, Verb.ALLOCATE), (Phase.ALLOCATED, None)])
def test_file_found_in_a_slot_is_submitted_in_that_slot(phase: Phase, doubt: Verb | None) -> None:
    found = Allocation(id="slot-2", url="https://storage.example/slot-2?signature=secret")
    batch = a_batch(phase, pending_intent=doubt, intent_at=NOW if doubt else None, failures=3)
    after = evolve(batch, Uploaded(at=LATER, allocation=found))
    assert (after.phase, after.pending_intent, after.submitted_at, after.failures) == (Phase.SUBMITTED, None, LATER, 0)
    assert after.allocation == Allocation(id="slot-2")


def test_upload_without_any_known_slot_is_impossible() -> None:
    with pytest.raises(ImpossibleEventError, match="prepared: Uploaded"):
        evolve(a_batch(Phase.PREPARED), Uploaded(at=NOW))


def test_expired_answer_ends_the_url_and_leaves_the_upload_in_doubt() -> None:
    doubtful = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW)
    after = evolve(doubtful, OutcomeUnknown(at=LATER, verb=Verb.UPLOAD, reason="403", retry_at=LATER, expired=True))
    assert (after.pending_intent, after.allocation, after.attempt) == (
        Verb.UPLOAD,
        Allocation(id=SLOT.id, expires_at=LATER),
        1,
    )


def test_answer_to_a_question_about_a_call_in_doubt_is_no_further_failure() -> None:
    doubtful = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW, failures=3)
    assert evolve(doubtful, NotApplied(at=LATER, verb=Verb.UPLOAD, reason="empty")).failures == 3
    assert evolve(doubtful, NotApplied(at=LATER, verb=Verb.FIND_FILE, reason="429")).failures == 4


def test_failures_count_on_over_lost_slots() -> None:
    batch = a_batch(Phase.ALLOCATED, failures=3)
    assert evolve(batch, Allocated(at=LATER, allocation=SLOT)).failures == 0
    lost = evolve(batch, AllocationLost(at=LATER, reason="expired"))
    assert evolve(lost, Allocated(at=LATER, allocation=SLOT)).failures == 3


def test_a_heartbeat_moves_only_what_a_heartbeat_says() -> None:
    batch = a_batch(Phase.SUBMITTED, failures=2, reason="502")
    after = evolve(batch, StillRunning(at=NOW, vendor_status="Validating", retry_at=LATER))
    assert after == replace(batch, vendor_status="Validating", polls=1, not_before=LATER, failures=0, reason="")


@pytest.mark.parametrize("phase", [Phase.PREPARED, Phase.ALLOCATED, Phase.SUBMITTED, Phase.FINISHED, Phase.COLLECTED])
def test_a_stuck_batch_goes_on_where_it_stood_doubt_and_all(phase: Phase) -> None:
    doubt = Verb.UPLOAD if phase is Phase.ALLOCATED else None
    batch = a_batch(
        phase, pending_intent=doubt, intent_at=NOW if doubt else None, failures=13, lost_allocations=2, attempt=3
    )
    stuck = evolve(batch, Parked(at=NOW, reason="failed 13 times"))
    assert (stuck.phase, stuck.parked_from, stuck.pending_intent) == (Phase.NEEDS_ATTENTION, phase, doubt)
    again = evolve(stuck, Reopened(at=LATER, reason="by hand"))
    assert again == replace(batch, failures=0, lost_allocations=0, polls=0, reason="by hand")


def test_a_refusal_of_the_announced_verb_gives_up_without_doubt() -> None:
    doubtful = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW)
    assert evolve(doubtful, Parked(at=NOW, reason="403", verb=Verb.UPLOAD)).pending_intent is None
    assert evolve(doubtful, Parked(at=NOW, reason="403", verb=Verb.FIND_FILE)).pending_intent is Verb.UPLOAD


@pytest.mark.parametrize(("delivered", "verdict"), [(True, Verdict.DECLARED), (False, Verdict.RESENT)])
def test_a_person_ends_the_doubt_of_a_stuck_batch(*, delivered: bool, verdict: Verdict) -> None:
    doubtful = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW)
    stuck = evolve(doubtful, Parked(at=NOW, reason="failed 13 times"))

    after = evolve(stuck, Resolved(at=LATER, delivered=delivered, reason="asked"))

    assert (after.phase, after.verdict, after.pending_intent, after.parked_from) == (
        Phase.FINISHED,
        verdict,
        None,
        None,
    )
    assert (after.allocation, after.reason) == (SLOT, "asked")


def test_a_persons_verdict_is_not_told_in_the_vendors_last_word() -> None:
    stuck = a_batch(Phase.NEEDS_ATTENTION, parked_from=Phase.SUBMITTED, vendor_status="Running")
    assert evolve(stuck, Resolved(at=LATER, delivered=False, reason="asked")).vendor_status == ""


def test_a_stuck_batch_that_a_person_resolved_is_not_given_up_for_the_slots_it_lost() -> None:
    stuck = a_batch(Phase.NEEDS_ATTENTION, parked_from=Phase.PREPARED, lost_allocations=Policy().attempts_max)

    after = evolve(stuck, Resolved(at=LATER, delivered=False, reason="asked"))

    assert (after.lost_allocations, decide(after, Policy(), LATER)) == (0, Collect())


@pytest.mark.parametrize(
    ("delivered", "books"), [(True, RowCounts(accepted=8, rejected=2)), (False, RowCounts(accepted=5, rejected=5))]
)
def test_a_person_ends_what_was_unknown_of_a_delivered_batch(*, delivered: bool, books: RowCounts) -> None:
    batch = a_batch(Phase.DELIVERED, counts=RowCounts(accepted=5, rejected=2, unknown=3))

    after = evolve(batch, Resolved(at=LATER, delivered=delivered, reason="asked"))

    assert (after.phase, after.counts) == (Phase.DELIVERED, books)


def test_nothing_is_resolved_where_nothing_is_unknown() -> None:
    known = a_batch(Phase.DELIVERED, counts=RowCounts(accepted=ROWS))
    with pytest.raises(ImpossibleEventError):
        evolve(known, Resolved(at=LATER, delivered=True, reason="asked"))


def test_the_url_of_a_slot_shows_in_no_repr() -> None:
    assert "signature" not in repr(a_batch(Phase.ALLOCATED))


def test_answers_that_were_lost_are_asked_for_again_and_the_verdict_stands() -> None:
    after = evolve(a_batch(Phase.COLLECTED), ResultsLost(at=NOW, reason="the folder is gone", retry_at=LATER))
    assert (after.phase, after.verdict, after.counts) == (Phase.FINISHED, Verdict.PROCESSED, None)
    assert (after.failures, after.not_before, after.reason) == (1, LATER, "the folder is gone")
    assert after.allocation is not None
