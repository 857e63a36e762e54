"""Describing targets, planning and preparing runs, and waiting for dependencies."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from harness import NO_WAIT, WAIT

from batchsync.core.mapping import Expression, Object
from batchsync.core.row_outcome import RowOutcome
from batchsync.data import PolarsEngine
from batchsync.errors import ExitCode, SourceError, StateError, UnavailableError, UsageError
from batchsync.reconcile.describe import DESCRIBE_ATTEMPTS, describe
from batchsync.reconcile.loop import WaitPolicy
from batchsync.reconcile.plan import prepare
from batchsync.reconcile.sync import resume, sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness import Harness

    from batchsync.core.batch import BatchFile
    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.ports import Comparison
    from batchsync.reconcile.services import JobContext


def test_describe_is_retried(harness: Harness) -> None:
    harness.arm("guests", kind="refuse", times=DESCRIBE_ATTEMPTS - 1, method="GET")
    assert harness.sync("guests").error is None


@pytest.mark.parametrize("kind", ["refuse", "reset_answer"])
def test_describe_fails_after_several_attempts(harness: Harness, kind: str) -> None:
    harness.arm("guests", kind=kind, times=0, method="GET")

    outcome = harness.sync("guests", WAIT)

    assert isinstance(outcome.error, UnavailableError)
    assert "nothing was sent" in outcome.error.hint
    assert harness.app.journal.history("guests") == ()


def test_describe_respects_retry_after(harness: Harness) -> None:
    harness.arm("guests", kind="throttle", retry_after=600, method="GET")
    before = harness.services.clock.now()
    assert harness.sync("guests").error is None
    assert harness.services.clock.now() - before >= timedelta(seconds=599)


def test_column_missing_in_template_is_refused_before_sending(harness: Harness) -> None:
    context = harness.context("vehicles")
    record = Object((*context.job.record.members, ("colour", Expression("plate"))))

    with pytest.raises(UsageError, match=r'template has no column "colour"') as reported:
        describe(replace(context, job=replace(context.job, record=record)), harness.services)

    assert "vin" in reported.value.hint


def test_vendor_without_template_accepts_any_column(harness: Harness) -> None:
    context = harness.context("guests")
    record = Object((*context.job.record.members, ("colour", Expression("name"))))
    assert describe(replace(context, job=replace(context.job, record=record)), harness.services).columns is None


def test_wait_beyond_policy_is_skipped(harness: Harness) -> None:
    harness.sync("vehicles")
    now = harness.services.clock.now()

    (outcome,) = resume([harness.context("vehicles")], harness.services, WaitPolicy(until=now + timedelta(minutes=1)))

    assert outcome.exit_code is ExitCode.UNSETTLED
    assert harness.services.clock.now() - now < timedelta(minutes=1)
    (outcome,) = resume([harness.context("vehicles")], harness.services, WaitPolicy(until=now + timedelta(days=1)))
    assert outcome.exit_code is ExitCode.DONE


def test_job_waits_for_dependency_in_same_sync(harness: Harness) -> None:
    guests, vehicles = harness.context("guests"), harness.context("vehicles", depends_on=("guests",))

    first, second = sync([guests, vehicles], harness.services, NO_WAIT)

    assert first.exit_code is ExitCode.UNSETTLED
    assert (second.exit_code, second.runs) == (ExitCode.UNSETTLED, ())
    assert second.skipped == 'waiting for "guests", which has not settled'
    first, second = sync([guests, vehicles], harness.services, WAIT)
    assert (first.exit_code, second.exit_code) == (ExitCode.DONE, ExitCode.DONE)
    assert harness.delivered_once("vehicles")


def test_job_waits_for_dependency_of_earlier_process(harness: Harness) -> None:
    vehicles = harness.context("vehicles", depends_on=("guests",))

    (outcome,) = sync([vehicles], harness.services, WAIT)
    assert (outcome.exit_code, outcome.runs) == (ExitCode.UNSETTLED, ())
    assert outcome.skipped == 'waiting for "guests", which has never run: run `batchsync sync guests` first'

    harness.sync("guests")
    (outcome,) = sync([vehicles], harness.services, WAIT)
    assert "run `batchsync resume guests`" in outcome.skipped

    harness.resume("guests")
    (outcome,) = sync([vehicles], harness.services, WAIT)
    assert outcome.exit_code is ExitCode.DONE


def with_one_row_per_file(harness: Harness, job: str) -> JobContext:
    """Return the job with a vendor that takes one row per file."""
    context = harness.context(job)
    return replace(context, rules=replace(context.rules, file=replace(context.rules.file, rows_max=1)))


def test_duplicate_batch_content_is_refused_and_earlier_batches_proceed(harness: Harness) -> None:
    """They would have the same idempotency key, which is ambiguous after a lost response."""
    source = harness.deployment.folder / "vehicles.csv"
    rows = "id,vin,plate,state\nV1,1HGCM82633A000001,,\nV2,1HGCM82633A000002,,\nV3,1HGCM82633A000001,,\n"
    source.write_text(rows, encoding="utf-8")

    (outcome,) = sync([with_one_row_per_file(harness, "vehicles")], harness.services, WAIT)

    assert isinstance(outcome.error, SourceError)
    assert 'job "vehicles" would send two batches with identical content' in outcome.error.message
    (run,) = outcome.runs
    assert (
        run.settlement.outcomes[RowOutcome.ACCEPTED],
        run.settlement.outcomes[RowOutcome.DEFERRED],
        run.run.counts.unstaged,
    ) == (2, 1, 1)
    source.write_text(rows.replace("V3,1HGCM82633A000001", "V3,1HGCM82633A000003"), encoding="utf-8")
    (outcome,) = sync([with_one_row_per_file(harness, "vehicles")], harness.services, WAIT)
    assert (outcome.error, outcome.runs[-1].settlement.outcomes[RowOutcome.ACCEPTED]) == (None, 1)
    assert harness.delivered_once("vehicles")


class LossyEngine(PolarsEngine):
    """Data engine that writes one file less than planned, as if the source shrank."""

    def stage_each(
        self, job: Job, rules: VendorRules, comparison: Comparison, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[BatchFile]:
        files = list(super().stage_each(job, rules, comparison, stopped))
        return iter(files[:-1])


@pytest.mark.parametrize("rows", [1, 3])
def test_planned_but_unstaged_record_is_detected_and_sent_next_time(harness: Harness, rows: int) -> None:
    lines = [f"V{number},1HGCM82633A00000{number},," for number in range(rows)]
    source = harness.deployment.folder / "vehicles.csv"
    source.write_text("\n".join(["id,vin,plate,state", *lines, ""]), encoding="utf-8")
    lossy = replace(harness.services, data=LossyEngine(harness.app.objects))

    (outcome,) = sync([with_one_row_per_file(harness, "vehicles")], lossy, WAIT)

    assert isinstance(outcome.error, StateError)
    assert f"the plan has {rows} records to send, but {rows - 1} were staged" in outcome.error.message
    (outcome,) = sync([with_one_row_per_file(harness, "vehicles")], harness.services, WAIT)
    assert outcome.error is None
    assert len(harness.deployment.delivered("motorweb-bdp")) == rows
    assert harness.delivered_once("vehicles")


class SlowQueue:
    """Queue whose files take so long that a batch in flight is due before the next file."""

    ended = False

    def __init__(self, work: Callable[[Callable[[], bool]], Iterator[BatchFile]]) -> None:
        self._files = work(lambda: False)
        self.waits: list[timedelta | None] = []

    def take(self, within: timedelta | None, /) -> BatchFile | None:
        self.waits.append(within)
        if len(self.waits) > 1 and within == timedelta(0):
            return None
        return next(self._files)

    def close(self) -> None:
        """Do nothing."""


def test_wait_for_next_file_ends_when_batch_is_due(harness: Harness) -> None:
    source = harness.deployment.folder / "vehicles.csv"
    source.write_text("id,vin,plate,state\nV1,1HGCM82633A000001,,\nV2,1HGCM82633A000002,,\n", encoding="utf-8")
    queues: list[SlowQueue] = []

    def start(work: Callable[[Callable[[], bool]], Iterator[BatchFile]]) -> SlowQueue:
        queues.append(SlowQueue(work))
        return queues[-1]

    (outcome,) = sync(
        [with_one_row_per_file(harness, "vehicles")], replace(harness.services, in_background=start), WAIT
    )

    assert outcome.exit_code is ExitCode.DONE
    longest = max(wait for wait in queues[0].waits if wait is not None)
    assert timedelta(minutes=14) < longest <= harness.context("vehicles").policy.poll_first
    assert harness.delivered_once("vehicles")


def test_run_without_changes_has_no_batch(harness: Harness) -> None:
    harness.sync("guests", WAIT)
    context = harness.context("guests")
    with (
        harness.services.lease("guests"),
        prepare(context, harness.services, describe(context, harness.services)) as preparation,
    ):
        assert (preparation.preparing, preparation.journaled, preparation.take()) == (False, True, None)
