"""Numbers and names: the equation of a run, guards, back-off, tickets."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from core_samples import a_batch
from hypothesis import given
from hypothesis import strategies as st

from lading.core import backoff, tickets
from lading.core.accounting import Settlement, Tally, UnbalancedError, settle
from lading.core.batch import Batch, Books, Phase, Verb
from lading.core.guards import AfterEdit, Budget, Guards, Limit, breaches, in_force, within_budget

COUNT = st.integers(min_value=0, max_value=10**9)
BEFORE_BOOKS = (Phase.PREPARED, Phase.ALLOCATED, Phase.SUBMITTED, Phase.SETTLED, Phase.STUCK)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """A batch in any phase, with books where its phase has them."""
    rows = draw(st.integers(0, 1000))
    phase = draw(st.sampled_from(Phase))
    batch = a_batch(phase)
    stuck_from = draw(st.sampled_from([one for one in Phase if one not in (Phase.STUCK, Phase.DELIVERED)]))
    known = stuck_from if phase is Phase.STUCK else phase
    accepted = draw(st.integers(0, rows))
    rejected = draw(st.integers(0, rows - accepted))
    return replace(
        batch,
        file=replace(batch.file, rows=rows),
        stuck_from=stuck_from if phase is Phase.STUCK else None,
        doubt=draw(st.sampled_from([None, Verb.UPLOAD])) if known is Phase.ALLOCATED else None,
        books=None
        if known in BEFORE_BOOKS
        else Books(accepted=accepted, rejected=rejected, unknown=rows - accepted - rejected),
    )


def tally_for(own: list[Batch], rest: tuple[int, int, int, int, int]) -> Tally:
    unchanged, invalid, held, rejected, unknown = rest
    to_send = sum(one.file.rows for one in own)
    return Tally(
        selected=to_send + sum(rest),
        added=to_send,
        unchanged=unchanged,
        invalid=invalid,
        held=held,
        standing_rejected=rejected,
        standing_unknown=unknown,
    )


@given(own=st.lists(batches(), max_size=5), rest=st.tuples(COUNT, COUNT, COUNT, COUNT, COUNT))
def test_the_equation_of_a_run_holds_whatever_its_batches_have_come_to(
    own: list[Batch], rest: tuple[int, int, int, int, int]
) -> None:
    result = settle("guests", "guests-1", tally_for(own, rest), own)
    right = result.unchanged + result.accepted + result.invalid + result.rejected + result.unknown + result.held
    assert result.selected == right
    assert min(result.held, result.unknown, result.in_flight) >= 0
    assert result.settled == all(one.phase is Phase.DELIVERED or one.file.rows == 0 for one in own) or result.stuck


@given(own=st.lists(batches(), min_size=1, max_size=5), off=st.integers(-5, 5).filter(bool))
def test_batches_that_hold_more_or_less_than_was_planned_are_a_defect(own: list[Batch], off: int) -> None:
    tally = tally_for(own, (0, 0, 0, 0, 0))
    wrong = replace(tally, added=tally.added + off, selected=tally.selected + off)
    with pytest.raises(UnbalancedError):
        settle("guests", "guests-1", wrong, own)


@given(tally=st.builds(Tally, unchanged=COUNT, added=COUNT, changed=COUNT, removed=COUNT, invalid=COUNT, held=COUNT))
def test_a_record_in_no_place_or_in_two_is_noticed(tally: Tally) -> None:
    placed = tally.unchanged + tally.to_send + tally.invalid + tally.held
    replace(tally, selected=placed).check()
    for wrong in (placed + 1, placed - 1):
        with pytest.raises(UnbalancedError):
            replace(tally, selected=wrong).check()


def test_a_plan_that_places_a_record_nowhere_says_so_with_its_figures() -> None:
    tally = Tally(selected=10, unchanged=1, added=2, changed=3, removed=1, invalid=1, held=1)
    with pytest.raises(UnbalancedError, match=r"^selected 10 records but placed 9: Tally\(.*removed=1.*\)$"):
        tally.check()


def test_batches_that_differ_from_their_plan_are_told_with_the_run_and_by_how_much() -> None:
    with pytest.raises(UnbalancedError) as told:
        settle("guests", "guests-1", Tally(selected=12, added=12), [a_batch()])
    assert str(told.value) == "run guests-1: its batches and its plan of 12 records differ by 2"


def test_the_equation_of_a_run_comes_with_what_the_run_is_and_was_to_send() -> None:
    own = [a_batch(), a_batch(Phase.SUBMITTED), a_batch(Phase.DELIVERED)]
    tally = Tally(selected=60, unchanged=30, added=15, changed=9, removed=6)
    assert settle("guests", "guests-7", tally, own) == Settlement(
        job="guests",
        run="guests-7",
        selected=60,
        unchanged=30,
        accepted=9,
        invalid=0,
        rejected=0,
        unknown=1,
        held=20,
        in_flight=20,
        batches=3,
        bytes=300,
        stuck=0,
        added=15,
        changed=9,
        removed=6,
    )


@pytest.mark.parametrize("phase", [one for one in BEFORE_BOOKS if one is not Phase.STUCK])
@pytest.mark.parametrize("doubt", [None, Verb.UPLOAD])
def test_rows_of_a_batch_that_is_under_way_are_held_and_not_yet_unknown(phase: Phase, doubt: Verb | None) -> None:
    result = settle("guests", "guests-1", Tally(selected=10, added=10), [a_batch(phase, doubt=doubt)])
    assert (result.held, result.in_flight, result.unknown) == (10, 10, 0)


def test_what_a_guard_holds_is_counted_as_held() -> None:
    result = settle("guests", "guests-1", Tally(selected=10, added=7, unchanged=3), ())
    assert (result.held, result.unchanged, result.in_flight, result.settled) == (7, 3, 0, True)


@pytest.mark.parametrize(
    ("stuck_from", "doubt", "unknown"),
    [
        (Phase.PREPARED, None, 0),
        (Phase.PREPARED, Verb.ALLOCATE, 0),
        (Phase.ALLOCATED, None, 0),
        (Phase.ALLOCATED, Verb.UPLOAD, 10),
        (Phase.SUBMITTED, None, 10),
        (Phase.SETTLED, None, 10),
    ],
)
def test_rows_of_a_stuck_batch_are_unknown_once_the_vendor_may_have_them(
    stuck_from: Phase, doubt: Verb | None, unknown: int
) -> None:
    stuck = a_batch(Phase.STUCK, stuck_from=stuck_from, doubt=doubt)
    result = settle("guests", "guests-1", Tally(selected=10, added=10), [stuck])
    assert (result.unknown, result.held, result.stuck, result.settled) == (unknown, 10 - unknown, 1, False)


def test_a_settlement_that_does_not_add_up_says_by_how_much() -> None:
    good = settle("guests", "guests-1", Tally(selected=10, added=10), [a_batch()])
    assert isinstance(good, Settlement)
    with pytest.raises(UnbalancedError, match="selected 11 but the right side adds up to 10"):
        replace(good, selected=11).check()


@pytest.mark.parametrize(
    ("limit", "number", "whole", "allowed"),
    [
        (Limit(count=0), 0, 100, True),
        (Limit(count=0), 1, 100, False),
        (Limit(count=5), 5, 0, True),
        (Limit(percent=5), 5, 100, True),
        (Limit(percent=5), 6, 100, False),
        (Limit(percent=5), 0, 0, True),
        (Limit(percent=5), 1, 0, False),
        (Limit(percent=0), 1, 10**9, False),
        (Limit(percent=0.57), 57, 10_000, True),
        (Limit(percent=0.57), 58, 10_000, False),
        (Limit(percent=100), 10, 10, True),
    ],
)
def test_a_limit_allows_up_to_and_including_itself(limit: Limit, number: int, whole: int, allowed: bool) -> None:  # noqa: FBT001 - a column of the table
    assert limit.allows(number, whole) is allowed


@given(hundredths=st.integers(0, 10_000), units=st.integers(1, 10**5))
def test_a_share_is_counted_exactly_as_it_was_written(hundredths: int, units: int) -> None:
    limit, whole = Limit(percent=hundredths / 100), 10_000 * units
    assert limit.allows(hundredths * units, whole)
    assert not limit.allows(hundredths * units + 1, whole)


def test_every_guard_that_is_broken_is_told_with_its_figures() -> None:
    guards = Guards(max_remove=Limit(percent=5), max_change=Limit(count=2), min_rows=1000)
    found = breaches(Tally(source_rows=999, changed=3, removed=6), guards, baseline_rows=100)
    assert [one.guard for one in found] == ["min_rows", "max_remove", "max_change"]
    assert "999" in found[0].message
    assert "remove 6 of 100" in found[1].message
    assert "max_remove 5%" in found[1].message
    assert "change 3 of 100" in found[2].message
    assert "max_change 2" in found[2].message


@pytest.mark.parametrize(("resent", "broken"), [(98, []), (97, ["max_change"])])
def test_what_is_sent_again_as_the_target_holds_it_is_no_change_for_a_guard(resent: int, broken: list[str]) -> None:
    found = breaches(Tally(changed=100, resent=resent), Guards(max_change=Limit(count=2)), baseline_rows=100)
    assert [one.guard for one in found] == broken
    assert all("would change 3 of 100" in one.message for one in found)


@pytest.mark.parametrize(("changed", "broken"), [(5, []), (6, ["max_change"])])
def test_a_share_of_changes_is_of_the_records_the_target_holds(changed: int, broken: list[str]) -> None:
    guards = Guards(max_change=Limit(percent=5))
    found = breaches(Tally(source_rows=10**6, selected=10**6, changed=changed), guards, baseline_rows=100)
    assert [one.guard for one in found] == broken


def test_a_plan_within_its_guards_breaks_none_and_no_guards_hold_nothing() -> None:
    guards = Guards(max_remove=Limit(percent=5), max_change=Limit(count=2), min_rows=1000)
    assert breaches(Tally(source_rows=1000, changed=2, removed=5), guards, baseline_rows=100) == ()
    assert breaches(Tally(source_rows=0, changed=10**6, removed=10**6), Guards(), baseline_rows=0) == ()


@pytest.mark.parametrize(
    ("removed", "held", "broken"),
    [(10, 10, []), (11, 11, ["max_remove"]), (11, 220, []), (11, 219, ["max_remove"]), (50, 1000, [])],
)
def test_job_that_removes_is_held_beyond_ten_keys_and_five_percent(removed: int, held: int, broken: list[str]) -> None:
    tally = Tally(source_rows=1, removed=removed)
    found = breaches(tally, Guards(), baseline_rows=held, removes=True)
    assert [one.guard for one in found] == broken
    assert breaches(tally, Guards(max_remove=Limit(percent=100)), baseline_rows=held, removes=True) == ()
    assert breaches(tally, Guards(), baseline_rows=held) == ()


def test_empty_source_is_held_only_for_what_it_would_remove() -> None:
    def guards_of(removed: int, own: Guards) -> list[str]:
        found = breaches(Tally(removed=removed), own, baseline_rows=3, removes=True)
        return [one.guard for one in found]

    assert guards_of(3, Guards()) == ["min_rows"]
    assert guards_of(3, Guards(max_remove=Limit(percent=100))) == ["min_rows"]
    assert guards_of(3, Guards(min_rows=0)) == []
    assert guards_of(0, Guards()) == []
    assert guards_of(0, Guards(min_rows=1)) == ["min_rows"]


def test_removals_after_an_edit_are_held_unless_the_job_says_otherwise() -> None:
    def messages(removed: int, own: Guards, *, since: str = "guests-7") -> list[str]:
        tally = Tally(source_rows=1, removed=removed)
        return [one.message for one in breaches(tally, own, baseline_rows=9, removes=True, edited_since=since)]

    [message] = messages(1, Guards(max_remove=Limit(percent=100)))
    assert "edited since run guests-7, and the plan would remove 1 of 9 records" in message
    assert messages(0, Guards()) == []
    assert messages(1, Guards(), since="") == []
    assert messages(1, Guards(removals_after_edit=AfterEdit.SEND)) == []


def test_defaults_fill_in_what_a_job_that_removes_does_not_say() -> None:
    assert in_force(Guards(), removes=False) == Guards()
    default = in_force(Guards(), removes=True)
    assert (str(default.max_remove), default.min_rows, default.removals_after_edit) == ("10 or 5%", 1, "hold")
    own = Guards(max_remove=Limit(count=0), min_rows=0, removals_after_edit=AfterEdit.SEND)
    assert in_force(own, removes=True) == own


def test_by_default_no_record_may_fail() -> None:
    assert within_budget(invalid=0, rejected=0, selected=10, budget=Budget())
    assert not within_budget(invalid=1, rejected=0, selected=10, budget=Budget())
    assert not within_budget(invalid=0, rejected=1, selected=10, budget=Budget())


@pytest.mark.parametrize(
    ("invalid", "rejected", "kept"), [(5, 10, True), (6, 10, False), (5, 11, False), (0, 0, True), (100, 0, False)]
)
def test_a_budget_is_a_share_of_the_selected_records(*, invalid: int, rejected: int, kept: bool) -> None:
    budget = Budget(invalid=Limit(percent=5), rejected=Limit(percent=10))
    assert within_budget(invalid=invalid, rejected=rejected, selected=100, budget=budget) is kept


DURATION = st.timedeltas(min_value=timedelta(milliseconds=1), max_value=timedelta(days=2))


@given(failures=st.integers(0, 10**6), seed=st.text(), first=DURATION, most=DURATION)
def test_the_wait_after_a_failure_is_bounded_and_the_same_at_each_replay(
    failures: int, seed: str, first: timedelta, most: timedelta
) -> None:
    wait = backoff.delay(failures, seed, first=first, most=most)
    assert wait == backoff.delay(failures, seed, first=first, most=most)
    whole = min(first * 2 ** min(max(failures - 1, 0), 32), most) if failures < 20 else None
    if whole is not None:
        assert whole * 0.74 <= wait <= whole
    assert timedelta(0) < wait <= most


def test_waits_double_and_differ_from_batch_to_batch() -> None:
    first, most = timedelta(seconds=2), timedelta(minutes=5)
    waits = [backoff.delay(n, "a", first=first, most=most) for n in range(1, 8)]
    assert waits == sorted(waits)
    assert len({backoff.delay(5, str(n), first=first, most=most) for n in range(50)}) == 50


def test_the_jitter_of_a_replay_is_pinned() -> None:
    wait = backoff.delay(1, "guests-1", first=timedelta(seconds=2), most=timedelta(minutes=5))
    assert wait == timedelta(seconds=1, microseconds=778392)


def test_tickets_are_pinned_for_ever() -> None:
    """A changed ticket would make every vendor see a new batch where there is an old one."""
    assert tickets.ticket("guests", "d" * 64, 1) == "4ce726d2-e1cb-534b-818c-96d24256b4da"
    assert tickets.ticket("guests", "d" * 64, 2) == "3bb26aba-2176-5a4f-a9d7-a6f0aad10b8d"
    assert tickets.ticket("vehicle-checks", "0" * 64, 1) == "f60ee72e-5eb4-541b-95fc-d64b3928dda5"
    assert tickets.batch_id("guests", "d" * 64, 1) == "guests-a5921da7f674"


@given(
    one=st.tuples(st.text(), st.text("0123456789abcdef"), st.integers(1, 99)),
    other=st.tuples(st.text(), st.text("0123456789abcdef"), st.integers(1, 99)),
)
def test_a_ticket_is_one_for_each_job_content_and_attempt(
    one: tuple[str, str, int], other: tuple[str, str, int]
) -> None:
    assert (tickets.ticket(*one) == tickets.ticket(*other)) == (one == other)
    assert (tickets.batch_id(*one) == tickets.batch_id(*other)) == (one == other)
