"""Settlement, guards, budgets, backoff and idempotency keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from core_samples import a_batch
from hypothesis import given
from hypothesis import strategies as st

from batchsync.core import backoff, naming
from batchsync.core.accounting import PlanCounts, Settlement, UnbalancedError, compute_settlement
from batchsync.core.batch import Batch, Phase, Verb
from batchsync.core.guards import (
    AbsentAnswers,
    Breach,
    Budget,
    Guards,
    Limit,
    Removals,
    breaches,
    effective_guards,
    within_budget,
)
from batchsync.core.row_outcome import PLAN_OUTCOMES, OutcomeCounts, RowOutcome

if TYPE_CHECKING:
    from collections.abc import Mapping

COUNT = st.integers(min_value=0, max_value=10**9)
WITHOUT_COUNTS = (Phase.PREPARED, Phase.ALLOCATED, Phase.SUBMITTED, Phase.FINISHED, Phase.NEEDS_ATTENTION)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Draw a batch in any phase, with counts where its phase has them."""
    rows = draw(st.integers(0, 1000))
    phase = draw(st.sampled_from(Phase))
    batch = a_batch(phase)
    parked_from = draw(
        st.sampled_from([value for value in Phase if value not in (Phase.NEEDS_ATTENTION, Phase.DELIVERED)])
    )
    known = parked_from if phase is Phase.NEEDS_ATTENTION else phase
    accepted = draw(st.integers(0, rows))
    rejected = draw(st.integers(0, rows - accepted))
    return replace(
        batch,
        file=replace(batch.file, rows=rows),
        parked_from=parked_from if phase is Phase.NEEDS_ATTENTION else None,
        pending_intent=draw(st.sampled_from([None, Verb.UPLOAD])) if known is Phase.ALLOCATED else None,
        counts=None
        if known in WITHOUT_COUNTS
        else OutcomeCounts.of(accepted=accepted, rejected=rejected, unknown=rows - accepted - rejected),
    )


def plan_counts_for(own: list[Batch], rest: tuple[int, int, int, int, int]) -> PlanCounts:
    unchanged, invalid, deferred, rejected, unknown = rest
    to_send = sum(batch.file.rows for batch in own)
    return PlanCounts(
        selected=to_send + sum(rest),
        added=to_send,
        outcomes=OutcomeCounts.of(
            unchanged=unchanged, invalid=invalid, deferred=deferred, rejected=rejected, unknown=unknown
        ),
    )


@given(own=st.lists(batches(), max_size=5), rest=st.tuples(COUNT, COUNT, COUNT, COUNT, COUNT))
def test_equation_holds_for_batches_in_any_phase(own: list[Batch], rest: tuple[int, int, int, int, int]) -> None:
    result = compute_settlement("guests", "guests-1", plan_counts_for(own, rest), own)
    assert result.selected == sum(result.outcomes.values())
    assert min(*result.outcomes.values(), result.in_flight) >= 0
    assert (
        result.settled == all(batch.phase is Phase.DELIVERED or batch.file.rows == 0 for batch in own)
        or result.needs_attention
    )


@given(own=st.lists(batches(), min_size=1, max_size=5), off=st.integers(-5, 5).filter(bool))
def test_batches_with_more_or_less_records_than_planned_are_refused(own: list[Batch], off: int) -> None:
    counts = plan_counts_for(own, (0, 0, 0, 0, 0))
    wrong = replace(counts, added=counts.added + off, selected=counts.selected + off)
    with pytest.raises(UnbalancedError):
        compute_settlement("guests", "guests-1", wrong, own)


@given(
    counts=st.builds(
        PlanCounts,
        outcomes=st.builds(OutcomeCounts, st.dictionaries(st.sampled_from(PLAN_OUTCOMES), COUNT)),
        added=COUNT,
        changed=COUNT,
        removed=COUNT,
    )
)
def test_record_counted_never_or_twice_is_detected(counts: PlanCounts) -> None:
    placed = sum(counts.outcomes.values()) + counts.added + counts.changed + counts.removed
    replace(counts, selected=placed).assert_balanced()
    for wrong in (placed + 1, placed - 1):
        with pytest.raises(UnbalancedError):
            replace(counts, selected=wrong).assert_balanced()


def test_unbalanced_plan_error_contains_the_counts() -> None:
    counts = PlanCounts(
        selected=10, added=2, changed=3, removed=1, outcomes=OutcomeCounts.of(unchanged=1, invalid=1, deferred=1)
    )
    with pytest.raises(UnbalancedError, match=r"^selected 10 records but counted 9: PlanCounts\(.*removed=1.*\)$"):
        counts.assert_balanced()


def test_error_names_the_run_and_the_difference_of_plan_and_batches() -> None:
    with pytest.raises(UnbalancedError) as raised:
        compute_settlement("guests", "guests-1", PlanCounts(selected=12, added=12), [a_batch()])
    assert str(raised.value) == "run guests-1: its batches and its plan of 12 records differ by 2"


def test_settlement_has_the_planned_counts() -> None:
    own = [a_batch(), a_batch(Phase.SUBMITTED), a_batch(Phase.DELIVERED)]
    counts = PlanCounts(selected=60, added=15, changed=9, removed=6, outcomes=OutcomeCounts.of(unchanged=30))
    assert compute_settlement("guests", "guests-7", counts, own) == Settlement(
        job="guests",
        run="guests-7",
        selected=60,
        outcomes=OutcomeCounts.of(unchanged=30, accepted=9, unknown=1, deferred=20),
        in_flight=20,
        batches=3,
        bytes=300,
        needs_attention=0,
        added=15,
        changed=9,
        removed=6,
    )


@pytest.mark.parametrize("phase", [phase for phase in WITHOUT_COUNTS if phase is not Phase.NEEDS_ATTENTION])
@pytest.mark.parametrize("intent", [None, Verb.UPLOAD])
def test_rows_of_a_batch_in_flight_are_deferred_and_not_unknown(phase: Phase, intent: Verb | None) -> None:
    result = compute_settlement(
        "guests", "guests-1", PlanCounts(selected=10, added=10), [a_batch(phase, pending_intent=intent)]
    )
    assert (result.outcomes[RowOutcome.DEFERRED], result.in_flight, result.outcomes[RowOutcome.UNKNOWN]) == (10, 10, 0)


def test_records_awaiting_approval_are_deferred() -> None:
    result = compute_settlement(
        "guests", "guests-1", PlanCounts(selected=10, added=7, outcomes=OutcomeCounts.of(unchanged=3)), ()
    )
    assert (
        result.outcomes[RowOutcome.DEFERRED],
        result.outcomes[RowOutcome.UNCHANGED],
        result.in_flight,
        result.settled,
    ) == (7, 3, 0, True)


@pytest.mark.parametrize(
    ("parked_from", "intent", "unknown"),
    [
        (Phase.PREPARED, None, 0),
        (Phase.PREPARED, Verb.ALLOCATE, 0),
        (Phase.ALLOCATED, None, 0),
        (Phase.ALLOCATED, Verb.UPLOAD, 10),
        (Phase.SUBMITTED, None, 10),
        (Phase.FINISHED, None, 10),
    ],
)
def test_rows_of_a_parked_batch_are_unknown_if_the_vendor_may_have_them(
    parked_from: Phase, intent: Verb | None, unknown: int
) -> None:
    parked = a_batch(Phase.NEEDS_ATTENTION, parked_from=parked_from, pending_intent=intent)
    result = compute_settlement("guests", "guests-1", PlanCounts(selected=10, added=10), [parked])
    assert (
        result.outcomes[RowOutcome.UNKNOWN],
        result.outcomes[RowOutcome.DEFERRED],
        result.needs_attention,
        result.settled,
    ) == (
        unknown,
        10 - unknown,
        1,
        False,
    )


def test_unbalanced_settlement_error_contains_both_totals() -> None:
    good = compute_settlement("guests", "guests-1", PlanCounts(selected=10, added=10), [a_batch()])
    assert isinstance(good, Settlement)
    with pytest.raises(UnbalancedError, match="selected 11 but its outcomes add up to 10"):
        replace(good, selected=11).assert_balanced()


@pytest.mark.parametrize(
    ("limit", "number", "total", "allowed"),
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
def test_limit_is_inclusive(limit: Limit, number: int, total: int, allowed: bool) -> None:  # noqa: FBT001 - a column of the table
    assert limit.allows(number, total) is allowed


@given(hundredths=st.integers(0, 10_000), units=st.integers(1, 10**5))
def test_percentage_is_applied_in_decimal(hundredths: int, units: int) -> None:
    limit, total = Limit(percent=hundredths / 100), 10_000 * units
    assert limit.allows(hundredths * units, total)
    assert not limit.allows(hundredths * units + 1, total)


def test_every_exceeded_guard_is_reported_with_numbers() -> None:
    guards = Guards(max_remove=Limit(percent=5), max_change=Limit(count=2), min_rows=1000)
    found = breaches(PlanCounts(source_rows=999, changed=3, removed=6), guards, baseline_rows=100)
    assert [breach.guard for breach in found] == ["min_rows", "max_remove", "max_change"]
    assert "999" in found[0].message
    assert "remove 6 of 100" in found[1].message
    assert "max_remove 5%" in found[1].message
    assert "change 3 of 100" in found[2].message
    assert "max_change 2" in found[2].message


@pytest.mark.parametrize(("resent", "broken"), [(98, []), (97, ["max_change"])])
def test_resent_records_are_no_changes_for_a_guard(resent: int, broken: list[str]) -> None:
    found = breaches(PlanCounts(changed=100, resent=resent), Guards(max_change=Limit(count=2)), baseline_rows=100)
    assert [breach.guard for breach in found] == broken
    assert all("would change 3 of 100" in breach.message for breach in found)


@pytest.mark.parametrize(("changed", "broken"), [(5, []), (6, ["max_change"])])
def test_percentage_of_changes_is_of_the_records_at_the_target(changed: int, broken: list[str]) -> None:
    guards = Guards(max_change=Limit(percent=5))
    found = breaches(PlanCounts(source_rows=10**6, selected=10**6, changed=changed), guards, baseline_rows=100)
    assert [breach.guard for breach in found] == broken


def test_plan_within_its_guards_or_without_guards_breaks_none() -> None:
    guards = Guards(max_remove=Limit(percent=5), max_change=Limit(count=2), min_rows=1000)
    assert breaches(PlanCounts(source_rows=1000, changed=2, removed=5), guards, baseline_rows=100) == ()
    assert breaches(PlanCounts(source_rows=0, changed=10**6, removed=10**6), Guards(), baseline_rows=0) == ()


@pytest.mark.parametrize(
    ("removed", "baseline_rows", "broken"),
    [(10, 10, []), (11, 11, ["max_remove"]), (11, 220, []), (11, 219, ["max_remove"]), (50, 1000, [])],
)
def test_default_max_remove_is_ten_keys_or_five_percent(removed: int, baseline_rows: int, broken: list[str]) -> None:
    counts = PlanCounts(source_rows=1, removed=removed)
    found = breaches(counts, Guards(), baseline_rows=baseline_rows, removes=True)
    assert [breach.guard for breach in found] == broken
    assert breaches(counts, Guards(max_remove=Limit(percent=100)), baseline_rows=baseline_rows, removes=True) == ()
    assert breaches(counts, Guards(), baseline_rows=baseline_rows) == ()


def test_empty_source_needs_approval_only_for_removals() -> None:
    def guards_of(removed: int, own: Guards) -> list[str]:
        found = breaches(PlanCounts(removed=removed), own, baseline_rows=3, removes=True)
        return [breach.guard for breach in found]

    assert guards_of(3, Guards()) == ["min_rows"]
    assert guards_of(3, Guards(max_remove=Limit(percent=100))) == ["min_rows"]
    assert guards_of(3, Guards(min_rows=0)) == []
    assert guards_of(0, Guards()) == []
    assert guards_of(0, Guards(min_rows=1)) == ["min_rows"]


@pytest.mark.parametrize("guard", ["removals_after_edit", "removals_after_lost_file"])
def test_removals_with_another_cause_need_approval_unless_configured(guard: str) -> None:
    def found(removed: int, own: Guards, causes: Mapping[str, str]) -> list[Breach]:
        return list(
            breaches(PlanCounts(source_rows=1, removed=removed), own, baseline_rows=9, removes=True, causes=causes)
        )

    [breach] = found(1, Guards(max_remove=Limit(percent=100)), {guard: "cause"})
    assert breach == Breach(guard, "cause, and the plan would remove 1 of 9 records the target holds")
    assert found(0, Guards(), {guard: "cause"}) == []
    assert found(1, Guards(), {}) == []
    own: dict[str, Any] = {guard: Removals.SEND}
    assert found(1, Guards(**own), {guard: "cause"}) == []


def test_guards_of_removals_apply_to_answers() -> None:
    def messages(absent: int, rows: int, own: Guards, *, source_rows: int = 1, edited: str = "") -> list[str]:
        answers = AbsentAnswers(rows=rows, absent=absent, digest="")
        counts = PlanCounts(source_rows=source_rows)
        causes = {"removals_after_edit": edited} if edited else {}
        found = breaches(counts, own, baseline_rows=1000, removes=True, causes=causes, answers=answers)
        return [f"{breach.guard}: {breach.message}" for breach in found]

    assert messages(11, 219, Guards()) == [
        "max_remove: the plan would remove 11 of 219 answers in the results, above max_remove 10 or 5%"
    ]
    assert messages(11, 220, Guards()) == messages(10, 10, Guards()) == messages(0, 9, Guards(), source_rows=0) == []
    [empty] = messages(3, 3, Guards(), source_rows=0)
    assert "min_rows: the source has no rows, and the plan would remove 3 of 3 answers in the results" in empty
    [edited] = messages(1, 3, Guards(), edited="edited since checks-7")
    assert "edited since checks-7, and the plan would remove 1 of 3 answers in the results" in edited


def test_default_guards_apply_to_a_job_that_removes() -> None:
    assert effective_guards(Guards(), removes=False) == Guards()
    default = effective_guards(Guards(), removes=True)
    assert (str(default.max_remove), default.min_rows, default.removals_after_edit) == ("10 or 5%", 1, "hold")
    send = Removals.SEND
    own = Guards(max_remove=Limit(count=0), min_rows=0, removals_after_edit=send, removals_after_lost_file=send)
    assert effective_guards(own, removes=True) == own


def test_default_budget_allows_no_failures() -> None:
    assert within_budget(OutcomeCounts.of(unchanged=3, accepted=4, deferred=3), Budget(), selected=10)
    for outcome in (RowOutcome.INVALID, RowOutcome.REJECTED, RowOutcome.UNKNOWN):
        assert not within_budget(OutcomeCounts({outcome: 1}), Budget(), selected=10)


@pytest.mark.parametrize(
    ("invalid", "rejected", "kept"), [(5, 10, True), (6, 10, False), (5, 11, False), (0, 0, True), (100, 0, False)]
)
def test_budget_percentage_is_of_the_selected_records(*, invalid: int, rejected: int, kept: bool) -> None:
    budget = Budget(invalid=Limit(percent=5), rejected=Limit(percent=10))
    outcomes = OutcomeCounts.of(invalid=invalid, rejected=rejected, accepted=1)
    assert within_budget(outcomes, budget, selected=100) is kept
    assert not within_budget(outcomes + OutcomeCounts.of(unknown=1), budget, selected=100)


DURATION = st.timedeltas(min_value=timedelta(milliseconds=1), max_value=timedelta(days=2))


@given(failures=st.integers(0, 10**6), seed=st.text(), first=DURATION, maximum=DURATION)
def test_backoff_is_bounded_and_deterministic(failures: int, seed: str, first: timedelta, maximum: timedelta) -> None:
    wait = backoff.delay(failures, seed, first=first, maximum=maximum)
    assert wait == backoff.delay(failures, seed, first=first, maximum=maximum)
    total = min(first * 2 ** min(max(failures - 1, 0), 32), maximum) if failures < 20 else None
    if total is not None:
        assert total * 0.74 <= wait <= total
    assert timedelta(0) < wait <= maximum


def test_backoff_doubles_and_differs_between_batches() -> None:
    first, maximum = timedelta(seconds=2), timedelta(minutes=5)
    waits = [backoff.delay(n, "a", first=first, maximum=maximum) for n in range(1, 8)]
    assert waits == sorted(waits)
    assert len({backoff.delay(5, str(n), first=first, maximum=maximum) for n in range(50)}) == 50


def test_jitter_is_pinned() -> None:
    wait = backoff.delay(1, "guests-1", first=timedelta(seconds=2), maximum=timedelta(minutes=5))
    assert wait == timedelta(seconds=1, microseconds=778392)


def test_idempotency_keys_are_pinned() -> None:
    """With a changed key, vendors would see an old batch as a new batch."""
    assert naming.idempotency_key("guests", "d" * 64, 1) == "4ce726d2-e1cb-534b-818c-96d24256b4da"
    assert naming.idempotency_key("guests", "d" * 64, 2) == "3bb26aba-2176-5a4f-a9d7-a6f0aad10b8d"
    assert naming.idempotency_key("vehicle-checks", "0" * 64, 1) == "f60ee72e-5eb4-541b-95fc-d64b3928dda5"
    assert naming.batch_id("guests", "d" * 64, 1) == "guests-a5921da7f674"


@given(
    first=st.tuples(st.text(), st.text("0123456789abcdef"), st.integers(1, 99)),
    other=st.tuples(st.text(), st.text("0123456789abcdef"), st.integers(1, 99)),
)
def test_idempotency_key_is_unique_for_job_content_and_attempt(
    first: tuple[str, str, int], other: tuple[str, str, int]
) -> None:
    assert (naming.idempotency_key(*first) == naming.idempotency_key(*other)) == (first == other)
    assert (naming.batch_id(*first) == naming.batch_id(*other)) == (first == other)
