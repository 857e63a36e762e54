"""Manual resolution of unknown outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from harness import ALLOCATE, NO_WAIT, POLL, UPLOAD, VENDOR_OF, WAIT

from batchsync.core.batch import Phase, Verb, Verdict
from batchsync.core.row_outcome import RowOutcome
from batchsync.errors import UsageError
from batchsync.reconcile.resolve import resolve

if TYPE_CHECKING:
    from harness import Harness

    from batchsync.core.batch import Batch


def in_doubt(harness: Harness, job: str, fault: str) -> Batch:
    """Return a parked batch with an upload in doubt."""
    harness.arm(job, kind=fault, **UPLOAD)
    harness.sync(job)
    harness.arm(job, kind="status", status=400, times=0, **POLL[job])
    harness.advance(harness.context(job).policy.ask_after)
    harness.sync(job)
    harness.clear_faults()
    batch = harness.batch(job)
    assert (batch.phase, batch.pending_intent) == (Phase.NEEDS_ATTENTION, Verb.UPLOAD)
    return batch


def resolved(harness: Harness, job: str, *, delivered: bool) -> Batch:
    with harness.services.lease(job):
        return resolve(
            harness.batch(job),
            harness.context(job),
            harness.services,
            delivered=delivered,
            reason="confirmed by the vendor",
        )


def test_rows_resolved_as_delivered_are_never_sent_again(harness: Harness) -> None:
    rows = in_doubt(harness, "guests", "lose_answer").file.rows

    after = resolved(harness, "guests", delivered=True)

    assert (after.phase, after.verdict) == (Phase.FINISHED, Verdict.DECLARED)
    assert harness.resume("guests").runs[0].settlement.outcomes[RowOutcome.ACCEPTED] == rows
    harness.sync("guests", WAIT)
    assert harness.delivered_once("guests")


def test_parked_lookup_is_not_resolved_as_delivered_but_resumed(harness: Harness) -> None:
    batch = in_doubt(harness, "vehicles", "lose_answer")

    with pytest.raises(UsageError, match="is a lookup") as reported:
        resolved(harness, "vehicles", delivered=True)

    assert "`batchsync resume vehicles`" in reported.value.hint
    assert harness.batch("vehicles") == batch
    assert harness.resume("vehicles").runs[0].settlement.outcomes[RowOutcome.UNKNOWN] == 0
    assert harness.delivered_once("vehicles")


def test_unknown_lookup_rows_are_resolved_by_resending_only(harness: Harness) -> None:
    harness.arm("vehicles", kind="vanish", times=0, **POLL["vehicles"])
    harness.sync("vehicles", WAIT)
    harness.clear_faults()
    batch = harness.batch("vehicles")

    with pytest.raises(UsageError, match="is a lookup") as reported:
        resolved(harness, "vehicles", delivered=True)

    assert reported.value.hint == f"`batchsync resolve {batch.id} --resend` requests them again"
    resolved(harness, "vehicles", delivered=False)
    assert harness.sync("vehicles", WAIT).runs[-1].settlement.outcomes[RowOutcome.ACCEPTED] > 0


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_rows_resolved_as_not_delivered_are_sent_again(harness: Harness, job: str) -> None:
    rows = in_doubt(harness, job, "break_upload").file.rows
    assert harness.deployment.delivered(VENDOR_OF[job]) == {}

    after = resolved(harness, job, delivered=False)

    assert (after.phase, after.verdict) == (Phase.FINISHED, Verdict.RESENT)
    assert harness.resume(job).runs[0].settlement.outcomes[RowOutcome.REJECTED] == rows
    harness.sync(job, WAIT)
    assert sum(harness.deployment.delivered(VENDOR_OF[job]).values()) == rows
    assert harness.delivered_once(job)


def test_unknown_rows_are_reported_until_resolved(harness: Harness) -> None:
    harness.arm("guests", kind="vanish", times=0, **POLL["guests"])
    first = harness.sync("guests", WAIT)
    harness.clear_faults()
    second = harness.sync("guests", WAIT)

    batch = harness.batch("guests")
    assert batch.counts is not None
    assert batch.counts[RowOutcome.UNKNOWN] == batch.file.rows
    assert first.unresolved == second.unresolved == (batch,)

    resolved(harness, "guests", delivered=True)
    assert harness.sync("guests", WAIT).unresolved == ()


def test_resolve_of_unsent_batch_is_refused(harness: Harness) -> None:
    harness.arm("guests", kind="refuse", times=0, **ALLOCATE["guests"])
    harness.sync("guests")
    with pytest.raises(UsageError, match="has no unknown outcome: prepared") as reported:
        resolved(harness, "guests", delivered=False)
    assert f"batchsync cancel {harness.batch('guests').id}" in reported.value.hint


def test_resolve_of_batch_without_unknown_outcome_is_refused(harness: Harness) -> None:
    harness.sync("guests", NO_WAIT)
    with pytest.raises(UsageError, match="has no unknown outcome: submitted"):
        resolved(harness, "guests", delivered=True)
    harness.resume("guests")
    with pytest.raises(UsageError, match="has no unknown outcome: delivered"):
        resolved(harness, "guests", delivered=False)
