"""Cancellation and resolution of batches whose job is no longer in the jobs file."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from harness import ALLOCATE, WAIT, Harness

from batchsync.core.batch import Phase, Verdict
from batchsync.core.events import Cancelled
from batchsync.core.naming import staging_prefix
from batchsync.core.row_outcome import RowOutcome
from batchsync.errors import StateError, UsageError
from batchsync.reconcile.cancel import cancel
from batchsync.reconcile.perform import collect
from batchsync.reconcile.resolve import resolve

if TYPE_CHECKING:
    from batchsync.core.batch import Batch


def unsent(harness: Harness) -> Batch:
    """Return an unsent batch of guests."""
    harness.arm("guests", kind="refuse", times=0, **ALLOCATE["guests"])
    harness.sync("guests")
    harness.clear_faults()
    return harness.batch("guests")


def cancelled_unclosed(harness: Harness) -> Batch:
    """Return a batch that was cancelled by a process which died before it closed the batch."""
    batch, event = unsent(harness), Cancelled(at=harness.services.clock.now(), reason="cancelled manually")
    with harness.services.lease("guests"):
        return harness.services.store.record(batch, event)


def cancelled(harness: Harness, job: str = "guests") -> Batch:
    with harness.services.lease(job):
        return cancel(harness.batch(job), None, harness.services)


def test_cancel_of_unsent_batch_closes_it_at_once(harness: Harness) -> None:
    batch = unsent(harness)

    after = cancelled(harness)

    assert (after.phase, after.verdict) == (Phase.DELIVERED, Verdict.CANCELLED)
    assert not harness.services.objects.list(staging_prefix("guests"))
    assert not harness.app.journal.audit()
    # With the job restored, its rows are sent again.
    assert harness.sync("guests", WAIT).runs[-1].settlement.outcomes[RowOutcome.ACCEPTED] == batch.file.rows


def test_sent_batch_can_be_resolved_but_not_cancelled(harness: Harness) -> None:
    harness.sync("guests")
    batch, before = harness.batch("guests"), harness.requests()
    with pytest.raises(UsageError, match='job "guests", which is not in the jobs file') as reported:
        cancelled(harness)
    assert 'restore job "guests"' in reported.value.hint

    with harness.services.lease("guests"):
        after = resolve(batch, None, harness.services, delivered=False, reason="confirmed by the vendor")

    assert (after.phase, after.verdict) == (Phase.DELIVERED, Verdict.RESENT)
    assert harness.requests() == before
    assert not harness.app.journal.audit()


def test_resolve_as_delivered_requires_declared_job(harness: Harness) -> None:
    harness.sync("vehicles")
    with harness.services.lease("vehicles"), pytest.raises(UsageError, match="cannot be resolved as delivered"):
        resolve(harness.batch("vehicles"), None, harness.services, delivered=True, reason="confirmed by the vendor")
    assert harness.batch("vehicles").phase is Phase.SUBMITTED


@pytest.mark.parametrize("counted", [False, True])
def test_interrupted_cancel_can_be_repeated(harness: Harness, *, counted: bool) -> None:
    batch = cancelled_unclosed(harness)
    if counted:
        with harness.services.lease("guests"):
            harness.services.store.record(batch, collect(batch, None, harness.services))

    assert cancelled(harness).phase is Phase.DELIVERED


def test_missing_collected_results_are_reported(harness: Harness) -> None:
    batch = cancelled_unclosed(harness)
    with harness.services.lease("guests"):
        harness.services.store.record(batch, collect(batch, None, harness.services))
    shutil.rmtree(harness.services.paths.collected(batch))

    with pytest.raises(StateError, match="missing or damaged") as reported:
        cancelled(harness)

    assert 'restore job "guests"' in reported.value.hint


def test_undelivered_results_are_kept(harness: Harness) -> None:
    blocked = harness.deployment.results("out")
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("a file where a folder belongs", encoding="utf-8")
    harness.sync("vehicles", WAIT)
    assert harness.batch("vehicles").phase is Phase.COLLECTED

    with pytest.raises(UsageError, match="the destination of its results is unknown"):
        cancelled(harness, "vehicles")

    blocked.unlink()
    assert harness.resume("vehicles").error is None
    assert harness.batch("vehicles").phase is Phase.DELIVERED
