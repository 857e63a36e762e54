"""Answers that may be premature are asked for again before rows are called unknown, as the ledger shows."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from harness import NO_WAIT, POLL, VENDOR_OF, WAIT

from batchsync.core.batch import Phase, Verdict
from batchsync.core.events import NotApplied
from batchsync.core.row_outcome import RowOutcome
from batchsync.reconcile import grace
from kit.deployment import BDP, CDP

if TYPE_CHECKING:
    from pathlib import Path

    from harness import Harness

LOG = {"method": "GET", "path": r"^/_storage"}
JOBS = ("guests", "vehicles")


def counts_equal_ledger(harness: Harness, job: str) -> bool:
    """Return whether the counts of the newest batch are those of the vendor's ledger, with nothing unknown."""
    entries = harness.deployment.mocks.ledger(VENDOR_OF[job])
    counts = harness.batch(job).counts
    assert counts is not None
    named = {outcome: sum(entry["outcome"] == outcome for entry in entries) for outcome in ("accepted", "rejected")}
    return {name: counts[RowOutcome(name)] for name in named} == named and not counts[RowOutcome.UNKNOWN]


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("times", [3, 6])
def test_batch_that_is_not_found_for_a_while_is_followed_to_its_end(harness: Harness, job: str, times: int) -> None:
    harness.arm(job, kind="vanish", times=times, **POLL[job])

    harness.sync(job, WAIT)

    assert harness.batch(job).verdict is not Verdict.LOST
    assert counts_equal_ledger(harness, job)
    assert harness.delivered_once(job)


@pytest.mark.parametrize("job", JOBS)
def test_batch_that_stays_unknown_to_its_vendor_is_lost_after_the_grace_period(harness: Harness, job: str) -> None:
    harness.sync(job)
    harness.arm(job, kind="vanish", times=0, **POLL[job])
    begun, policy = harness.services.clock.now(), harness.context(job).policy

    harness.resume(job)

    assert harness.batch(job).verdict is Verdict.LOST
    assert harness.services.clock.now() - begun >= policy.grace == policy.poll_max * {CDP: 10, BDP: 3}[VENDOR_OF[job]]


def test_grace_period_continues_after_a_restart(harness: Harness) -> None:
    """Short commands of a scheduler see one answer each."""
    harness.sync("guests")
    harness.arm("guests", kind="vanish", times=0, **POLL["guests"])
    grace_period = harness.context("guests").policy.grace
    for share in (0.1, 0.5, 0.4):
        harness.advance(grace_period * share)
        harness.resume("guests", NO_WAIT)
        assert harness.batch("guests").phase is Phase.SUBMITTED
    harness.advance(grace_period * 0.2)
    harness.resume("guests", NO_WAIT)
    assert harness.batch("guests").verdict is Verdict.LOST


def test_batch_that_was_found_again_has_a_new_grace_period(harness: Harness) -> None:
    harness.sync("vehicles")
    for _ in range(2):
        harness.arm("vehicles", kind="vanish", times=1, **POLL["vehicles"])
        harness.resume("vehicles", NO_WAIT)
        harness.deployment.mocks.switch(BDP, processing=1_000_000)
        harness.advance(harness.context("vehicles").policy.grace * 0.9)
        harness.resume("vehicles", NO_WAIT)
    assert harness.batch("vehicles").phase is Phase.SUBMITTED


@pytest.mark.parametrize("seconds", [3, 60])
def test_log_that_comes_after_the_status_is_read(rejecting: Harness, seconds: int) -> None:
    rejecting.deployment.mocks.switch(CDP, log_after=seconds)

    rejecting.sync("guests", WAIT)

    assert counts_equal_ledger(rejecting, "guests")
    assert [row.reject.key for row in rejecting.app.journal.rejects(job="guests", kind="rejected")] == ["G1", "G2"]


@pytest.mark.parametrize("false_success", [False, True])
@pytest.mark.parametrize("fault", [{"kind": "blank"}, {"kind": "status", "status": 404}])
def test_log_that_is_empty_or_missing_once_is_read(
    rejecting: Harness, fault: dict[str, Any], *, false_success: bool
) -> None:
    rejecting.deployment.mocks.switch(CDP, false_success=false_success)
    rejecting.arm("guests", **fault, **LOG)

    rejecting.sync("guests", WAIT)

    assert counts_equal_ledger(rejecting, "guests")
    assert [row.reject.key for row in rejecting.app.journal.rejects(job="guests", kind="rejected")] == ["G1", "G2"]
    assert rejecting.batch("guests").phase is Phase.DELIVERED


def test_results_that_are_short_at_first_are_read_whole(harness: Harness) -> None:
    harness.deployment.mocks.switch(BDP, results_after=1000)

    harness.sync("vehicles", WAIT)

    assert counts_equal_ledger(harness, "vehicles")
    asked = harness.app.journal.events(harness.batch("vehicles").id)
    reasons = [event.reason for event in asked if isinstance(event, NotApplied)]
    assert any("leave 11 of 20 records unknown" in reason for reason in reasons)


def test_results_that_stay_short_leave_rows_unknown_after_the_grace_period(harness: Harness) -> None:
    harness.deployment.mocks.switch(BDP, results_after=10_000_000)
    begun = harness.services.clock.now()

    outcome = harness.sync("vehicles", WAIT)

    assert outcome.runs[0].settlement.outcomes[RowOutcome.UNKNOWN] == 11
    assert harness.services.clock.now() - begun >= harness.context("vehicles").policy.grace


def test_csv_errors_are_read_where_the_json_errors_are_empty(harness: Harness) -> None:
    harness.deployment.mocks.switch(BDP, json_errors="empty")

    harness.sync("vehicles", WAIT)

    assert counts_equal_ledger(harness, "vehicles")
    begun = harness.app.journal.events(harness.batch("vehicles").id)
    assert not [event for event in begun if isinstance(event, NotApplied)], "nothing had to be asked for again"


@pytest.mark.parametrize("fault", [{"kind": "replace_answer", "status": 200}, {"kind": "cut_unframed"}])
def test_csv_errors_are_read_where_the_json_errors_are_a_page_or_cut(harness: Harness, fault: dict[str, Any]) -> None:
    harness.arm("vehicles", times=0, method="GET", path=r"/errors$", **fault)

    harness.sync("vehicles", WAIT)

    assert counts_equal_ledger(harness, "vehicles")


def test_clock_that_was_set_back_does_not_prolong_the_period(harness: Harness, tmp_path: Path) -> None:
    policy, now = harness.context("guests").policy, harness.services.clock.now()
    answer = grace.Premature.INCOMPLETE
    assert grace.is_premature(answer, tmp_path, policy, now)
    earlier = now - timedelta(days=365)
    assert grace.is_premature(answer, tmp_path, policy, earlier)
    assert not grace.is_premature(answer, tmp_path, policy, earlier + policy.grace)
    (tmp_path / answer.value).write_text('"2026-')
    assert grace.is_premature(answer, tmp_path, policy, now)
