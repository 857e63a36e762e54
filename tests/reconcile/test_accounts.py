"""Batches of an account that the connection no longer uses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from harness import ALLOCATE, NO_WAIT, POLL, UPLOAD, WAIT

from batchsync.core.batch import Phase, Verdict
from batchsync.core.row_outcome import RowOutcome
from batchsync.errors import UnavailableError
from batchsync.reconcile.cancel import cancel
from batchsync.reconcile.deliver import baseline_of
from batchsync.reconcile.resolve import resolve
from batchsync.reconcile.sync import resume, sync
from kit.deployment import write_sources

if TYPE_CHECKING:
    from harness import Harness

    from batchsync.core.batch import Batch
    from batchsync.reconcile.services import JobContext
    from batchsync.reconcile.sync import JobOutcome


def with_other_account(harness: Harness, job: str) -> JobContext:
    """Return the job with a connection that uses another account."""
    return replace(harness.context(job), account_id="another account")


def synced(harness: Harness, context: JobContext) -> JobOutcome:
    (outcome,) = sync([context], harness.services, WAIT)
    return outcome


def resumed(harness: Harness, context: JobContext) -> JobOutcome:
    (outcome,) = resume([context], harness.services, WAIT)
    return outcome


def batch_with_unknown_outcome(harness: Harness) -> Batch:
    """Return a delivered batch of guests that the vendor reports as unknown."""
    harness.arm("guests", kind="vanish", times=0, **POLL["guests"])
    harness.sync("guests", WAIT)
    harness.clear_faults()
    batch = harness.batch("guests")
    assert batch.counts is not None
    assert batch.counts[RowOutcome.UNKNOWN] == batch.file.rows
    return batch


def test_manual_resolution_moves_baseline_of_original_account(harness: Harness) -> None:
    batch = batch_with_unknown_outcome(harness)
    other_account = with_other_account(harness, "guests")
    write_sources(harness.deployment.folder, guests=4)
    synced(harness, other_account)
    write_sources(harness.deployment.folder)
    before = harness.app.journal.baseline("guests", other_account.account_id)

    with harness.services.lease("guests"):
        resolve(batch, other_account, harness.services, delivered=True, reason="confirmed by the vendor")

    assert harness.app.journal.baseline("guests", other_account.account_id) == before
    settlement = harness.sync("guests", WAIT).runs[-1].settlement
    assert (settlement.outcomes[RowOutcome.UNCHANGED], settlement.outcomes[RowOutcome.ACCEPTED]) == (batch.file.rows, 0)


def test_unsent_batch_of_other_account_is_cancelled_locally_and_resent(
    harness: Harness,
) -> None:
    harness.arm("guests", kind="refuse", times=0, **ALLOCATE["guests"])
    harness.sync("guests")
    harness.clear_faults()
    batch, other_account = harness.batch("guests"), with_other_account(harness, "guests")
    stopped = synced(harness, other_account).error
    assert isinstance(stopped, UnavailableError)
    assert "was prepared for an account that connection" in stopped.message
    assert f"batchsync cancel {batch.id}" in stopped.hint
    assert harness.batch("guests").id == batch.id

    with harness.services.lease("guests"):
        cancel(batch, other_account, harness.services)

    assert resumed(harness, other_account).runs[0].settlement.outcomes[RowOutcome.REJECTED] == batch.file.rows
    assert synced(harness, other_account).runs[-1].settlement.outcomes[RowOutcome.ACCEPTED] == batch.file.rows
    assert harness.app.journal.baseline("guests", batch.account_id) is None
    assert harness.delivered_once("guests")


@pytest.mark.parametrize("delivered", [True, False])
def test_sent_batch_of_other_account_is_not_polled_and_can_be_resolved(harness: Harness, *, delivered: bool) -> None:
    harness.sync("guests")
    batch, other_account = harness.batch("guests"), with_other_account(harness, "guests")
    assert batch.phase is Phase.SUBMITTED
    before = harness.requests()
    with (
        harness.services.lease("guests"),
        pytest.raises(UnavailableError, match="was prepared for an account that connection") as reported,
    ):
        cancel(batch, other_account, harness.services)
    assert f"batchsync resolve {batch.id} --resend` (or `--delivered`)" in reported.value.hint
    assert harness.requests() == before

    with harness.services.lease("guests"):
        after = resolve(batch, other_account, harness.services, delivered=delivered, reason="confirmed by the vendor")

    assert (after.phase, after.verdict) == (Phase.FINISHED, Verdict.DECLARED if delivered else Verdict.RESENT)
    settlement = resumed(harness, other_account).runs[0].settlement
    assert (settlement.outcomes[RowOutcome.ACCEPTED], settlement.outcomes[RowOutcome.REJECTED]) == (
        (29, 0) if delivered else (0, 29)
    )
    reported = harness.services.data.lookup("G1", baseline_of(batch.job, batch.account_id, harness.services.store), [])
    assert (reported.in_target, reported.latest_outcome) == ((True, "accepted") if delivered else (False, "again"))
    assert harness.app.journal.baseline("guests", other_account.account_id) is None
    assert not harness.app.journal.audit()


def test_lookup_of_other_account_cannot_be_resolved_as_delivered(harness: Harness) -> None:
    harness.sync("vehicles")
    batch, other_account = harness.batch("vehicles"), with_other_account(harness, "vehicles")

    stopped = resumed(harness, other_account).error

    assert stopped is not None
    assert stopped.hint.endswith(f"`batchsync resolve {batch.id} --resend`")


def test_parked_batch_of_other_account_is_unchanged_and_content_is_sent_again(
    harness: Harness,
) -> None:
    harness.arm("guests", kind="status", status=400, text='{"message": "no"}', **ALLOCATE["guests"])
    harness.sync("guests")
    parked, other_account = harness.batch("guests"), with_other_account(harness, "guests")
    assert parked.phase is Phase.NEEDS_ATTENTION

    sent = synced(harness, other_account)
    outcome = resumed(harness, other_account)

    assert sent.error is None
    assert sent.runs[-1].settlement.outcomes[RowOutcome.ACCEPTED] == parked.file.rows
    assert outcome.error is not None
    assert "was prepared for an account that connection" in outcome.error.message
    assert harness.app.journal.batch(parked.id) == parked
    assert harness.resume("guests").error is None
    assert not harness.app.journal.open_batches("guests")


@pytest.mark.parametrize("job", ["guests", "vehicles"])
def test_allocation_of_other_account_is_resolved_manually(harness: Harness, job: str) -> None:
    """The vendor of that account cannot be queried, and a restored journal does not know the upload."""
    batch, other_account = harness.left_in_allocation(job, filled=True), with_other_account(harness, job)

    with harness.services.lease(job), pytest.raises(UnavailableError, match="was prepared for an account") as reported:
        cancel(batch, other_account, harness.services)
    assert f"batchsync resolve {batch.id} --resend" in reported.value.hint
    with harness.services.lease(job):
        after = resolve(batch, other_account, harness.services, delivered=False, reason="confirmed by the vendor")

    assert (after.phase, after.verdict) == (Phase.FINISHED, Verdict.RESENT)


def other_job(harness: Harness) -> JobContext:
    """Return another job of the same connection, which takes one batch at a time."""
    context = harness.context("guests", name="people")
    assert context.policy.in_flight_max == 1
    return context


def test_batch_of_other_account_does_not_block_other_jobs(harness: Harness) -> None:
    harness.sync("guests")

    stopped, done = sync([with_other_account(harness, "guests"), other_job(harness)], harness.services, WAIT)

    assert stopped.error is not None
    assert done.runs[0].settlement.outcomes[RowOutcome.ACCEPTED] == done.runs[0].batches[0].file.rows
    assert harness.batch("guests").phase is Phase.SUBMITTED


def test_unusable_allocation_does_not_block_other_jobs(harness: Harness) -> None:
    harness.arm("guests", kind="refuse", times=0, **UPLOAD)
    harness.sync("guests")
    harness.clear_faults()
    batch = harness.batch("guests")
    assert batch.phase is Phase.ALLOCATED
    file = Path(batch.file.path)
    content = file.read_bytes()
    file.write_bytes(b"spoilt")

    stopped, done = sync([harness.context("guests"), other_job(harness)], harness.services, WAIT)

    assert stopped.error is not None
    assert done.runs[0].settlement.outcomes[RowOutcome.ACCEPTED] == done.runs[0].batches[0].file.rows
    file.write_bytes(content)
    assert harness.batch("guests").pending_intent is None
    harness.resume("guests", NO_WAIT)
    assert harness.batch("guests").phase is Phase.SUBMITTED
