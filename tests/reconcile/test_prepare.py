"""From a job to batches: what is asked of the vendor before, what is refused, and for whom and how long is waited."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from office import AT_ONCE, PATIENT

from lading.core.mapping import Expression, Object
from lading.data import Columnar
from lading.errors import EnvironmentProblem, ExitCode, SourceError, StateError, UsageError
from lading.reconcile.loop import Patience
from lading.reconcile.prepare import DESCRIBE_TRIES, describe, prepare
from lading.reconcile.sync import resume, sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from office import Office

    from lading.core.batch import BatchFile
    from lading.core.job import Job
    from lading.core.vendor_rules import VendorRules
    from lading.ports import Comparison
    from lading.reconcile.context import JobContext


def test_a_vendor_that_stumbles_at_first_is_asked_again_and_then_heard(office: Office) -> None:
    office.arm("guests", kind="refuse", times=DESCRIBE_TRIES - 1, method="GET")
    assert office.sync("guests").error is None


@pytest.mark.parametrize("kind", ["refuse", "reset_answer"])
def test_a_vendor_that_does_not_answer_is_given_up_after_a_few_questions(office: Office, kind: str) -> None:
    office.arm("guests", kind=kind, times=0, method="GET")

    outcome = office.sync("guests", PATIENT)

    assert isinstance(outcome.error, EnvironmentProblem)
    assert "nothing was sent" in outcome.error.hint
    assert office.app.journal.history("guests") == ()


def test_a_vendor_that_asks_for_patience_before_anything_is_sent_gets_it(office: Office) -> None:
    office.arm("guests", kind="throttle", retry_after=600, method="GET")
    before = office.world.clock.now()
    assert office.sync("guests").error is None
    assert office.world.clock.now() - before >= timedelta(seconds=599)


def test_a_column_that_the_vendors_template_lacks_is_named_before_anything_is_sent(office: Office) -> None:
    context = office.context("vehicles")
    record = Object((*context.job.record.members, ("colour", Expression("plate"))))

    with pytest.raises(UsageError, match=r'template has no column "colour"') as told:
        describe(replace(context, job=replace(context.job, record=record)), office.world)

    assert "vin" in told.value.hint


def test_a_vendor_without_a_template_takes_any_column(office: Office) -> None:
    context = office.context("guests")
    record = Object((*context.job.record.members, ("colour", Expression("name"))))
    assert describe(replace(context, job=replace(context.job, record=record)), office.world).columns is None


def test_a_wait_that_is_longer_than_the_patience_is_not_waited_for(office: Office) -> None:
    office.sync("vehicles")
    now = office.world.clock.now()

    (outcome,) = resume([office.context("vehicles")], office.world, Patience(until=now + timedelta(minutes=1)))

    assert outcome.exit_code is ExitCode.UNSETTLED
    assert office.world.clock.now() - now < timedelta(minutes=1)
    (outcome,) = resume([office.context("vehicles")], office.world, Patience(until=now + timedelta(days=1)))
    assert outcome.exit_code is ExitCode.DONE


def test_a_job_waits_for_the_one_it_depends_on_and_says_so(office: Office) -> None:
    guests, vehicles = office.context("guests"), office.context("vehicles", depends_on=("guests",))

    first, second = sync([guests, vehicles], office.world, AT_ONCE)

    assert first.exit_code is ExitCode.UNSETTLED
    assert (second.exit_code, second.runs) == (ExitCode.UNSETTLED, ())
    assert second.skipped == 'it depends on "guests", which has not settled'
    first, second = sync([guests, vehicles], office.world, PATIENT)
    assert (first.exit_code, second.exit_code) == (ExitCode.DONE, ExitCode.DONE)
    assert office.delivered_once("vehicles")


def test_a_job_waits_for_the_one_it_depends_on_whoever_ran_that_and_when(office: Office) -> None:
    vehicles = office.context("vehicles", depends_on=("guests",))

    (outcome,) = sync([vehicles], office.world, PATIENT)
    assert (outcome.exit_code, outcome.runs) == (ExitCode.UNSETTLED, ())
    assert outcome.skipped == 'it depends on "guests", which never ran: `lading sync guests` first'

    office.sync("guests")
    (outcome,) = sync([vehicles], office.world, PATIENT)
    assert "`lading resume guests` follows it to its end" in outcome.skipped

    office.resume("guests")
    (outcome,) = sync([vehicles], office.world, PATIENT)
    assert outcome.exit_code is ExitCode.DONE


def one_row_a_file(office: Office, job: str) -> JobContext:
    """Return the job with a vendor that takes one row a file."""
    context = office.context(job)
    return replace(context, rules=replace(context.rules, file=replace(context.rules.file, rows_max=1)))


def test_two_batches_of_the_very_same_content_are_refused_and_what_was_sealed_before_goes_on(office: Office) -> None:
    """They would go by one name at a vendor that is asked about a lost answer."""
    source = office.deployment.folder / "vehicles.csv"
    rows = "id,vin,plate,state\nV1,1HGCM82633A000001,,\nV2,1HGCM82633A000002,,\nV3,1HGCM82633A000001,,\n"
    source.write_text(rows, encoding="utf-8")

    (outcome,) = sync([one_row_a_file(office, "vehicles")], office.world, PATIENT)

    assert isinstance(outcome.error, SourceError)
    assert 'job "vehicles" would send two batches with the very same content' in outcome.error.message
    (run,) = outcome.runs
    assert (run.settlement.accepted, run.settlement.held, run.run.tally.unsealed) == (2, 1, 1)
    source.write_text(rows.replace("V3,1HGCM82633A000001", "V3,1HGCM82633A000003"), encoding="utf-8")
    (outcome,) = sync([one_row_a_file(office, "vehicles")], office.world, PATIENT)
    assert (outcome.error, outcome.runs[-1].settlement.accepted) == (None, 1)
    assert office.delivered_once("vehicles")


class Forgetful(Columnar):
    """A data path that seals one file less than it planned, as when a source shrinks under our hands."""

    def stage_each(
        self,
        job: Job,
        rules: VendorRules,
        comparison: Comparison,
        into: Path,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Iterator[BatchFile]:
        files = list(super().stage_each(job, rules, comparison, into, stopped))
        return iter(files[:-1])


@pytest.mark.parametrize("rows", [1, 3])
def test_a_record_that_was_planned_and_not_sealed_is_noticed_and_sent_next_time(office: Office, rows: int) -> None:
    lines = [f"V{number},1HGCM82633A00000{number},," for number in range(rows)]
    source = office.deployment.folder / "vehicles.csv"
    source.write_text("\n".join(["id,vin,plate,state", *lines, ""]), encoding="utf-8")
    forgetful = replace(office.world, data=Forgetful())

    (outcome,) = sync([one_row_a_file(office, "vehicles")], forgetful, PATIENT)

    assert isinstance(outcome.error, StateError)
    assert f"the plan counts {rows} records to send, but {rows - 1} were staged" in outcome.error.message
    (outcome,) = sync([one_row_a_file(office, "vehicles")], office.world, PATIENT)
    assert outcome.error is None
    assert len(office.deployment.delivered("motorweb-bdp")) == rows
    assert office.delivered_once("vehicles")


class Slow:
    """Files that are made so slowly that a batch on its way is due before the next file is there."""

    ended = False

    def __init__(self, work: Callable[[Callable[[], bool]], Iterator[BatchFile]]) -> None:
        self._files = work(lambda: False)
        self.asked: list[timedelta | None] = []

    def take(self, within: timedelta | None, /) -> BatchFile | None:
        self.asked.append(within)
        if len(self.asked) > 1 and within == timedelta(0):
            return None
        return next(self._files)

    def close(self) -> None:
        """Nothing runs beside us."""


def test_the_next_file_is_waited_for_only_until_a_batch_on_its_way_is_due(office: Office) -> None:
    source = office.deployment.folder / "vehicles.csv"
    source.write_text("id,vin,plate,state\nV1,1HGCM82633A000001,,\nV2,1HGCM82633A000002,,\n", encoding="utf-8")
    feeds: list[Slow] = []

    def aside(work: Callable[[Callable[[], bool]], Iterator[BatchFile]]) -> Slow:
        feeds.append(Slow(work))
        return feeds[-1]

    (outcome,) = sync([one_row_a_file(office, "vehicles")], replace(office.world, aside=aside), PATIENT)

    assert outcome.exit_code is ExitCode.DONE
    longest = max(one for one in feeds[0].asked if one is not None)
    assert timedelta(minutes=14) < longest <= office.context("vehicles").policy.poll_first
    assert office.delivered_once("vehicles")


def test_a_run_with_nothing_to_send_has_no_file_to_wait_for(office: Office) -> None:
    office.sync("guests", PATIENT)
    context = office.context("guests")
    with (
        office.world.lease("guests"),
        prepare(context, office.world, describe(context, office.world)) as preparation,
    ):
        assert (preparation.more, preparation.remembered, preparation.take()) == (False, True, None)
