"""The loop: a local failure stops all batches of its job."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from harness import NO_WAIT, UPLOAD, VENDOR_OF, WAIT, Harness

from batchsync.core.batch import Phase
from batchsync.errors import UnavailableError
from batchsync.reconcile.loop import WaitPolicy
from batchsync.reconcile.sync import resume, sync

if TYPE_CHECKING:
    from batchsync.core.batch import Batch
    from batchsync.reconcile.services import JobContext


def with_rows_per_file(context: JobContext, rows: int) -> JobContext:
    """Return the job with a vendor that takes few rows per file."""
    return replace(context, rules=replace(context.rules, file=replace(context.rules.file, rows_max=rows)))


def test_sink_error_stops_all_batches_of_job(harness: Harness) -> None:
    context = with_rows_per_file(harness.context("vehicles"), 10)
    assert context.job.results is not None
    blocked = harness.deployment.results("out")
    blocked.parent.mkdir()
    blocked.write_text("a file where a folder belongs", encoding="utf-8")

    (outcome,) = sync([context], harness.services, WAIT)

    assert outcome.error is not None
    batches: list[Batch] = list(harness.services.store.open_batches("vehicles"))
    # The second may still be collected when the first fails.
    assert Phase.COLLECTED in {batch.phase for batch in batches} <= {Phase.FINISHED, Phase.COLLECTED}
    blocked.unlink()
    (after,) = resume([context], harness.services, WAIT)
    assert after.error is None
    assert not harness.services.store.open_batches("vehicles")
    assert harness.delivered_once("vehicles")


def test_damaged_batch_file_stops_all_batches_of_job(harness: Harness) -> None:
    context = with_rows_per_file(harness.context("vehicles"), 10)
    harness.arm("vehicles", kind="refuse", times=0, **UPLOAD)
    sync([context], harness.services, NO_WAIT)
    harness.clear_faults()
    first, second = harness.services.store.open_batches("vehicles")
    assert (first.phase, second.phase) == (Phase.ALLOCATED, Phase.ALLOCATED)
    Path(first.file.path).write_bytes(b"spoilt")

    (outcome,) = resume([context], harness.services, WAIT)

    assert outcome.error is not None
    assert harness.deployment.delivered(VENDOR_OF["vehicles"]) == {}


def test_first_check_is_not_repeated_beyond_the_time_limit(harness: Harness) -> None:
    harness.arm("guests", kind="refuse", method="GET", times=0)
    clock = harness.services.clock
    limited = WaitPolicy(until=clock.now() + timedelta(seconds=10))

    outcome = harness.sync("guests", limited)

    assert isinstance(outcome.error, UnavailableError)
    assert "503" in outcome.error.message
    assert limited.until is not None
    assert clock.now() <= limited.until
