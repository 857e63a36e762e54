"""Transitions of uploads and allocations in doubt, of failures, and of results."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from core_samples import ALLOCATION, LATER, NOW, a_batch

from batchsync.core.batch import Allocation, Phase, Verb, Verdict
from batchsync.core.events import (
    Allocated,
    AllocationLost,
    FileMissing,
    NotApplied,
    OutcomeUnknown,
    ResultsLost,
    StillRunning,
    Uploaded,
)
from batchsync.core.lifecycle import ImpossibleEventError, evolve

MUCH_LATER = LATER + timedelta(hours=1)


def test_upload_ends_its_pending_intent_and_drops_the_url() -> None:
    in_doubt = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW, failures=3, polls=4)
    after = evolve(in_doubt, Uploaded(at=LATER))
    assert (after.pending_intent, after.submitted_at, after.polls, after.failures) == (None, LATER, 0, 0)
    assert after.allocation == Allocation(id=ALLOCATION.id, expires_at=ALLOCATION.expires_at)


@pytest.mark.parametrize(("phase", "intent"), [(Phase.PREPARED, Verb.ALLOCATE), (Phase.ALLOCATED, None)])
def test_file_found_in_an_allocation_is_submitted_there(phase: Phase, intent: Verb | None) -> None:
    found = Allocation(id="allocation-2", url="https://storage.example/allocation-2?signature=secret")
    batch = a_batch(phase, pending_intent=intent, intent_at=NOW if intent else None, failures=3)
    after = evolve(batch, Uploaded(at=LATER, allocation=found))
    assert (after.phase, after.pending_intent, after.submitted_at, after.failures) == (Phase.SUBMITTED, None, LATER, 0)
    assert after.allocation == Allocation(id="allocation-2")


def test_upload_without_known_allocation_is_impossible() -> None:
    with pytest.raises(ImpossibleEventError, match="prepared: event Uploaded"):
        evolve(a_batch(Phase.PREPARED), Uploaded(at=NOW))


def test_expired_response_drops_the_url_and_keeps_the_upload_in_doubt() -> None:
    in_doubt = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW)
    after = evolve(in_doubt, OutcomeUnknown(at=LATER, verb=Verb.UPLOAD, reason="403", retry_at=LATER, expired=True))
    assert (after.pending_intent, after.allocation, after.attempt) == (
        Verb.UPLOAD,
        Allocation(id=ALLOCATION.id, expires_at=LATER),
        1,
    )


def test_response_about_a_call_in_doubt_is_no_further_failure() -> None:
    in_doubt = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW, failures=3)
    assert evolve(in_doubt, NotApplied(at=LATER, verb=Verb.UPLOAD, reason="empty")).failures == 3
    assert evolve(in_doubt, NotApplied(at=LATER, verb=Verb.FIND_FILE, reason="429")).failures == 4


def test_failures_are_kept_over_allocations() -> None:
    """Otherwise an upload that always fails would use up allocations without end."""
    batch = a_batch(Phase.ALLOCATED, failures=3)
    assert evolve(batch, Allocated(at=LATER, allocation=ALLOCATION)).failures == 3
    lost = evolve(batch, AllocationLost(at=LATER, reason="expired"))
    assert evolve(lost, Allocated(at=LATER, allocation=ALLOCATION)).failures == 3


def test_failure_between_lost_allocations_explains_them() -> None:
    """An outage of the storage lets allocations expire: its duration is bounded, not their number."""
    lost = evolve(a_batch(Phase.ALLOCATED, lost_allocations=18), AllocationLost(at=LATER, reason="expired"))
    assert lost.lost_allocations == 19
    failed = evolve(lost, NotApplied(at=LATER, verb=Verb.ALLOCATE, reason="no connection", retry_at=MUCH_LATER))
    assert (failed.lost_allocations, failed.failures) == (0, 1)
    unknown = evolve(lost, OutcomeUnknown(at=LATER, verb=Verb.ALLOCATE, reason="502", retry_at=MUCH_LATER))
    assert (unknown.lost_allocations, unknown.failures) == (0, 1)


def test_expired_url_is_no_explanation_of_lost_allocations() -> None:
    batch = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW, lost_allocations=3)
    refused = OutcomeUnknown(at=LATER, verb=Verb.UPLOAD, reason="expired", retry_at=MUCH_LATER, expired=True)
    assert evolve(batch, refused).lost_allocations == 3


def test_answers_of_others_are_counted_in_a_row() -> None:
    batch = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW, foreign_answers=2)
    page = OutcomeUnknown(at=LATER, verb=Verb.UPLOAD, reason="HTML", retry_at=MUCH_LATER, foreign=True)
    after = evolve(batch, page)
    assert (after.foreign_answers, after.pending_intent) == (3, Verb.UPLOAD)
    empty = evolve(after, NotApplied(at=LATER, verb=Verb.UPLOAD, reason="the allocation is empty"))
    assert empty.foreign_answers == 3
    broken = evolve(after, replace(page, foreign=False))
    assert (broken.foreign_answers, broken.failures) == (0, 2)
    assert evolve(after, Uploaded(at=LATER)).foreign_answers == 0


def test_missing_file_reopens_the_doubt_about_its_upload() -> None:
    batch = a_batch(Phase.SUBMITTED, polls=9, vendor_status="uploading", lost_allocations=1)
    after = evolve(batch, FileMissing(at=LATER, reason="still empty"))
    assert (after.phase, after.pending_intent, after.intent_at) == (Phase.ALLOCATED, Verb.UPLOAD, LATER)
    assert (after.submitted_at, after.polls, after.lost_allocations, after.reason) == (None, 0, 2, "still empty")
    assert after.allocation == Allocation(id="allocation-1")


def test_results_that_are_not_ready_are_no_failure() -> None:
    batch = a_batch(Phase.FINISHED, failures=2, reason="502", vendor_status="Completed")
    after = evolve(batch, StillRunning(at=NOW, vendor_status="Completed", retry_at=LATER, reason="not ready"))
    assert after == replace(batch, polls=1, not_before=LATER, failures=0, reason="not ready")


def test_lost_results_are_fetched_again_and_the_verdict_is_kept() -> None:
    after = evolve(a_batch(Phase.COLLECTED), ResultsLost(at=NOW, reason="the folder is gone", retry_at=LATER))
    assert (after.phase, after.verdict, after.counts) == (Phase.FINISHED, Verdict.PROCESSED, None)
    assert (after.failures, after.not_before, after.reason) == (1, LATER, "the folder is gone")
    assert after.allocation is not None
