"""Batches that need attention: how they are reopened, parked again and resolved manually."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_samples import ALLOCATION, LATER, NOW, ROWS, a_batch

from batchsync.core.batch import Phase, Verb, Verdict
from batchsync.core.decide import decide
from batchsync.core.events import (
    Parked,
    Reopened,
    Resolved,
)
from batchsync.core.lifecycle import ImpossibleEventError, evolve
from batchsync.core.policy import Policy
from batchsync.core.row_outcome import OutcomeCounts
from batchsync.core.steps import Collect


@pytest.mark.parametrize("phase", [Phase.PREPARED, Phase.ALLOCATED, Phase.SUBMITTED, Phase.FINISHED, Phase.COLLECTED])
def test_reopened_batch_continues_with_its_pending_intent(phase: Phase) -> None:
    intent = Verb.UPLOAD if phase is Phase.ALLOCATED else None
    batch = a_batch(
        phase, pending_intent=intent, intent_at=NOW if intent else None, failures=13, lost_allocations=2, attempt=3
    )
    parked = evolve(batch, Parked(at=NOW, reason="failed 13 times"))
    assert (parked.phase, parked.parked_from, parked.pending_intent) == (Phase.NEEDS_ATTENTION, phase, intent)
    reopened = evolve(parked, Reopened(at=LATER, reason="manually"))
    assert reopened == replace(batch, failures=0, lost_allocations=0, polls=0, reason="manually")


def test_refusal_of_the_pending_call_parks_without_intent() -> None:
    in_doubt = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW)
    assert evolve(in_doubt, Parked(at=NOW, reason="403", verb=Verb.UPLOAD)).pending_intent is None
    assert evolve(in_doubt, Parked(at=NOW, reason="403", verb=Verb.FIND_FILE)).pending_intent is Verb.UPLOAD


@pytest.mark.parametrize(("delivered", "verdict"), [(True, Verdict.DECLARED), (False, Verdict.RESENT)])
def test_resolution_ends_the_intent_of_a_parked_batch(*, delivered: bool, verdict: Verdict) -> None:
    in_doubt = a_batch(Phase.ALLOCATED, pending_intent=Verb.UPLOAD, intent_at=NOW)
    parked = evolve(in_doubt, Parked(at=NOW, reason="failed 13 times"))

    after = evolve(parked, Resolved(at=LATER, delivered=delivered, reason="asked"))

    assert (after.phase, after.verdict, after.pending_intent, after.parked_from) == (
        Phase.FINISHED,
        verdict,
        None,
        None,
    )
    assert (after.allocation, after.reason) == (ALLOCATION, "asked")


def test_resolution_clears_the_vendor_status() -> None:
    parked = a_batch(Phase.NEEDS_ATTENTION, parked_from=Phase.SUBMITTED, vendor_status="Running")
    assert evolve(parked, Resolved(at=LATER, delivered=False, reason="asked")).vendor_status == ""


def test_resolution_resets_lost_allocations() -> None:
    parked = a_batch(Phase.NEEDS_ATTENTION, parked_from=Phase.PREPARED, lost_allocations=Policy().attempts_max)

    after = evolve(parked, Resolved(at=LATER, delivered=False, reason="asked"))

    assert (after.lost_allocations, decide(after, Policy(), LATER)) == (0, Collect())


@pytest.mark.parametrize(
    ("delivered", "counts"),
    [(True, OutcomeCounts.of(accepted=8, rejected=2)), (False, OutcomeCounts.of(accepted=5, rejected=5))],
)
def test_resolution_of_a_delivered_batch_moves_unknown_rows(*, delivered: bool, counts: OutcomeCounts) -> None:
    batch = a_batch(Phase.DELIVERED, counts=OutcomeCounts.of(accepted=5, rejected=2, unknown=3))

    after = evolve(batch, Resolved(at=LATER, delivered=delivered, reason="asked"))

    assert (after.phase, after.counts) == (Phase.DELIVERED, counts)


def test_batch_without_unknown_rows_cannot_be_resolved() -> None:
    known = a_batch(Phase.DELIVERED, counts=OutcomeCounts.of(accepted=ROWS))
    with pytest.raises(ImpossibleEventError):
        evolve(known, Resolved(at=LATER, delivered=True, reason="asked"))
