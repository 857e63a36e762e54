"""The table of transitions, both ways: what it allows happens, and what it does not allow changes nothing."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import get_args

import pytest
from core_samples import LATER, NOW, ROWS, SLOT, a_batch, events_for

from lading.core.batch import Books, Phase, Slot, Verb, Verdict
from lading.core.events import (
    Allocated,
    Announced,
    AnswersLost,
    Collected,
    DidNotHappen,
    Event,
    GaveUp,
    Reopened,
    Resolved,
    SlotLost,
    StillRunning,
    Unanswered,
    Uploaded,
    Withdrawn,
)
from lading.core.lifecycle import TRANSITIONS, ImpossibleEventError, evolve

ARROWS = [(phase, kind, to) for phase, arrows in TRANSITIONS.items() for kind, to in arrows.items()]
NO_ARROWS = [(phase, kind) for phase in Phase for kind in get_args(Event) if kind not in TRANSITIONS[phase]]

#: The law, written down a second time and by hand, so that no arrow comes or goes unnoticed.
LAW = {
    Phase.PREPARED: "Announced Allocated DidNotHappen Unanswered SlotLost Withdrawn GaveUp",
    Phase.ALLOCATED: "Announced Allocated Uploaded DidNotHappen Unanswered SlotLost Withdrawn GaveUp",
    Phase.SUBMITTED: "StillRunning Settled DidNotHappen Unanswered GaveUp",
    Phase.SETTLED: "Collected DidNotHappen Unanswered GaveUp",
    Phase.COLLECTED: "Delivered AnswersLost DidNotHappen GaveUp",
    Phase.STUCK: "Reopened Resolved",
    Phase.DELIVERED: "Resolved",
}


def test_the_table_is_the_law_that_was_agreed() -> None:
    assert {phase: {kind.__name__ for kind in arrows} for phase, arrows in TRANSITIONS.items()} == {
        phase: set(names.split()) for phase, names in LAW.items()
    }


@pytest.mark.parametrize(("phase", "kind", "to"), ARROWS, ids=lambda one: getattr(one, "__name__", str(one)))
def test_an_event_of_the_table_leads_where_the_table_says(phase: Phase, kind: type[Event], to: Phase | None) -> None:
    batch = a_batch(phase)
    before = deepcopy(batch)
    after = evolve(batch, events_for(phase)[kind])
    assert after.phase is (to or batch.stuck_from)
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


def test_a_refused_question_does_not_end_the_doubt() -> None:
    doubtful = a_batch(Phase.PREPARED, doubt=Verb.ALLOCATE, doubt_since=NOW)
    after = evolve(doubtful, DidNotHappen(at=LATER, verb=Verb.FIND_SLOT, reason="429"))
    assert (after.doubt, after.doubt_since, after.failures) == (Verb.ALLOCATE, NOW, 1)


def test_an_answer_about_the_act_ends_the_doubt() -> None:
    doubtful = a_batch(Phase.PREPARED, doubt=Verb.ALLOCATE, doubt_since=NOW)
    after = evolve(doubtful, DidNotHappen(at=LATER, verb=Verb.ALLOCATE, reason="no such batch"))
    assert (after.doubt, after.doubt_since) == (None, None)


@pytest.mark.parametrize("verb", [Verb.ALLOCATE, Verb.FIND_SLOT])
def test_an_unanswered_request_never_ends_a_doubt(verb: Verb) -> None:
    doubtful = a_batch(Phase.PREPARED, doubt=Verb.ALLOCATE, doubt_since=NOW)
    after = evolve(doubtful, Unanswered(at=LATER, verb=verb, reason="timeout", look_again_at=LATER))
    assert (after.doubt, after.doubt_since) == (Verb.ALLOCATE, NOW)


def test_being_told_of_the_slot_again_does_not_end_the_doubt_about_the_upload() -> None:
    doubtful = a_batch(Phase.ALLOCATED, doubt=Verb.UPLOAD, doubt_since=NOW)
    after = evolve(doubtful, Allocated(at=LATER, slot=SLOT))
    assert (after.phase, after.doubt) == (Phase.ALLOCATED, Verb.UPLOAD)


@pytest.mark.parametrize("verb", [None, Verb.ALLOCATE, Verb.FIND_FILE, Verb.FIND_SLOT])
def test_the_slot_is_not_lost_while_the_upload_is_in_doubt(verb: Verb | None) -> None:
    doubtful = a_batch(Phase.ALLOCATED, doubt=Verb.UPLOAD, doubt_since=NOW)
    with pytest.raises(ImpossibleEventError, match="in doubt about upload"):
        evolve(doubtful, SlotLost(at=LATER, reason="expired", verb=verb))


def test_an_answer_to_the_upload_itself_may_end_the_slot() -> None:
    doubtful = a_batch(Phase.ALLOCATED, doubt=Verb.UPLOAD, doubt_since=NOW)
    after = evolve(doubtful, SlotLost(at=LATER, reason="403: expired", verb=Verb.UPLOAD))
    assert (after.phase, after.doubt, after.slot, after.attempt, after.lost) == (Phase.PREPARED, None, None, 2, 1)


def test_a_batch_whose_upload_is_in_doubt_cannot_be_withdrawn() -> None:
    with pytest.raises(ImpossibleEventError):
        evolve(a_batch(Phase.ALLOCATED, doubt=Verb.UPLOAD, doubt_since=NOW), Withdrawn(at=LATER, reason="by hand"))


def test_a_withdrawn_batch_is_settled_as_cancelled_and_has_no_slot() -> None:
    after = evolve(a_batch(Phase.ALLOCATED), Withdrawn(at=LATER, reason="by hand"))
    assert (after.phase, after.verdict, after.slot, after.reason) == (
        Phase.SETTLED,
        Verdict.CANCELLED,
        None,
        "by hand",
    )


@pytest.mark.parametrize(
    ("phase", "verb"), [(Phase.PREPARED, Verb.UPLOAD), (Phase.ALLOCATED, Verb.ALLOCATE), (Phase.PREPARED, Verb.POLL)]
)
def test_only_the_verb_of_the_phase_can_be_announced(phase: Phase, verb: Verb) -> None:
    with pytest.raises(ImpossibleEventError):
        evolve(a_batch(phase), Announced(at=NOW, verb=verb))


@pytest.mark.parametrize(("phase", "verb"), [(Phase.PREPARED, Verb.ALLOCATE), (Phase.ALLOCATED, Verb.UPLOAD)])
def test_nothing_is_announced_while_in_doubt(phase: Phase, verb: Verb) -> None:
    with pytest.raises(ImpossibleEventError):
        evolve(a_batch(phase, doubt=verb, doubt_since=NOW), Announced(at=LATER, verb=verb))


@pytest.mark.parametrize(
    "books", [Books(accepted=ROWS - 1), Books(accepted=ROWS + 1), Books(accepted=ROWS + 1, unknown=-1), Books()]
)
def test_nothing_is_collected_unless_the_books_balance(books: Books) -> None:
    with pytest.raises(ImpossibleEventError):
        evolve(a_batch(Phase.SETTLED), Collected(at=NOW, books=books))


def test_an_upload_ends_its_doubt_and_forgets_the_url() -> None:
    doubtful = a_batch(Phase.ALLOCATED, doubt=Verb.UPLOAD, doubt_since=NOW, failures=3, polls=4)
    after = evolve(doubtful, Uploaded(at=LATER))
    assert (after.doubt, after.submitted_at, after.polls, after.failures) == (None, LATER, 0, 0)
    assert after.slot == Slot(id=SLOT.id, until=SLOT.until)


def test_a_heartbeat_moves_only_what_a_heartbeat_says() -> None:
    batch = a_batch(Phase.SUBMITTED, failures=2, reason="502")
    after = evolve(batch, StillRunning(at=NOW, word="Validating", look_again_at=LATER))
    assert after == replace(batch, word="Validating", polls=1, not_before=LATER, failures=0, reason="")


@pytest.mark.parametrize("phase", [Phase.PREPARED, Phase.ALLOCATED, Phase.SUBMITTED, Phase.SETTLED, Phase.COLLECTED])
def test_a_stuck_batch_goes_on_where_it_stood_doubt_and_all(phase: Phase) -> None:
    doubt = Verb.UPLOAD if phase is Phase.ALLOCATED else None
    batch = a_batch(phase, doubt=doubt, doubt_since=NOW if doubt else None, failures=13, lost=2, attempt=3)
    stuck = evolve(batch, GaveUp(at=NOW, reason="failed 13 times"))
    assert (stuck.phase, stuck.stuck_from, stuck.doubt) == (Phase.STUCK, phase, doubt)
    again = evolve(stuck, Reopened(at=LATER, reason="by hand"))
    assert again == replace(batch, failures=0, lost=0, polls=0, reason="by hand")


def test_a_refusal_of_the_announced_verb_gives_up_without_doubt() -> None:
    doubtful = a_batch(Phase.ALLOCATED, doubt=Verb.UPLOAD, doubt_since=NOW)
    assert evolve(doubtful, GaveUp(at=NOW, reason="403", verb=Verb.UPLOAD)).doubt is None
    assert evolve(doubtful, GaveUp(at=NOW, reason="403", verb=Verb.FIND_FILE)).doubt is Verb.UPLOAD


@pytest.mark.parametrize(("delivered", "verdict"), [(True, Verdict.DECLARED), (False, Verdict.CANCELLED)])
def test_a_person_ends_the_doubt_of_a_stuck_batch(*, delivered: bool, verdict: Verdict) -> None:
    doubtful = a_batch(Phase.ALLOCATED, doubt=Verb.UPLOAD, doubt_since=NOW)
    stuck = evolve(doubtful, GaveUp(at=NOW, reason="failed 13 times"))

    after = evolve(stuck, Resolved(at=LATER, delivered=delivered, reason="asked"))

    assert (after.phase, after.verdict, after.doubt, after.stuck_from) == (Phase.SETTLED, verdict, None, None)


@pytest.mark.parametrize(
    ("delivered", "books"), [(True, Books(accepted=8, rejected=2)), (False, Books(accepted=5, rejected=5))]
)
def test_a_person_ends_what_was_unknown_of_a_delivered_batch(*, delivered: bool, books: Books) -> None:
    batch = a_batch(Phase.DELIVERED, books=Books(accepted=5, rejected=2, unknown=3))

    after = evolve(batch, Resolved(at=LATER, delivered=delivered, reason="asked"))

    assert (after.phase, after.books) == (Phase.DELIVERED, books)


def test_nothing_is_resolved_where_nothing_is_unknown() -> None:
    known = a_batch(Phase.DELIVERED, books=Books(accepted=ROWS))
    with pytest.raises(ImpossibleEventError):
        evolve(known, Resolved(at=LATER, delivered=True, reason="asked"))


def test_the_url_of_a_slot_shows_in_no_repr() -> None:
    assert "signature" not in repr(a_batch(Phase.ALLOCATED))


def test_answers_that_were_lost_are_asked_for_again_and_the_verdict_stands() -> None:
    after = evolve(a_batch(Phase.COLLECTED), AnswersLost(at=NOW, reason="the folder is gone", look_again_at=LATER))
    assert (after.phase, after.verdict, after.books) == (Phase.SETTLED, Verdict.PROCESSED, None)
    assert (after.failures, after.not_before, after.reason) == (1, LATER, "the folder is gone")
    assert after.slot is not None
