"""Jobs run by their schedule, each slot once, whatever stands in the way; and what is in flight is followed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

import pytest
from office import AT_ONCE, PATIENT, POLL, UPLOAD

from lading.cli.serve import CronSlots
from lading.core.batch import Phase
from lading.core.guards import Guards
from lading.core.job import Schedule
from lading.errors import EnvironmentProblem, ExitCode, LockedError, SourceError
from lading.journal import Journal, lease
from lading.reconcile.serve import serve

if TYPE_CHECKING:
    from office import Office

    from lading.ports import Clock
    from lading.reconcile.context import JobContext
    from lading.reconcile.sync import JobOutcome

HOUR = timedelta(hours=1)
HOURLY = Schedule(every=HOUR)


class Enough(BaseException):
    """Somebody ends the serving, as a signal does."""


@dataclass
class Watched:
    """A clock on which somebody watches how long is slept, and ends the serving after so many sleeps."""

    inner: Clock
    most: int
    slept: list[timedelta] = field(default_factory=list)

    def now(self) -> datetime:
        return self.inner.now()

    def sleep(self, duration: timedelta) -> None:
        self.slept.append(duration)
        if len(self.slept) >= self.most:
            raise Enough
        self.inner.sleep(duration)


def hourly(office: Office, *jobs: str, depends_on: tuple[str, ...] = ()) -> list[JobContext]:
    """Return these jobs with an hourly schedule; the last depends on the others, if wanted."""
    return [office.context(job, schedule=HOURLY, depends_on=depends_on if job == jobs[-1] else ()) for job in jobs]


def served(office: Office, contexts: list[JobContext]) -> list[JobOutcome]:
    """Do what is due now."""
    told: list[JobOutcome] = []
    serve(lambda: contexts, office.world, CronSlots(), told=told.append, once=True)
    return told


def begun(office: Office, job: str) -> datetime:
    """Say that the slot before this hour was done, so that one is due, and return the due one."""
    now = office.world.clock.now()
    due = now.replace(minute=0, second=0, microsecond=0)
    office.app.journal.claim_slot(job, due - HOUR)
    return due


def test_a_slot_that_has_come_is_run_once_and_told(office: Office) -> None:
    due = begun(office, "guests")

    (outcome,) = served(office, hourly(office, "guests"))

    assert (outcome.job, len(outcome.runs)) == ("guests", 1)
    assert office.app.journal.slot_done("guests") == due
    assert served(office, hourly(office, "guests")) == []
    assert len(office.app.journal.history("guests")) == 1


def test_a_slot_that_came_after_a_job_was_first_seen_is_run_by_whoever_serves_next(office: Office) -> None:
    contexts = hourly(office, "guests")

    assert served(office, contexts) == []
    office.pass_by(3 * HOUR)
    (outcome,) = served(office, contexts)

    assert len(outcome.runs) == 1
    now = office.world.clock.now()
    assert office.app.journal.slot_done("guests") == now.replace(minute=0, second=0, microsecond=0)


def test_a_job_that_is_kept_waiting_is_seen_nonetheless(office: Office) -> None:
    contexts = hourly(office, "guests", "vehicles", depends_on=("guests",))
    office.sync("guests")

    assert served(office, contexts) == []

    assert office.app.journal.slot_done("vehicles") is not None


def test_a_job_without_a_schedule_is_not_run_but_its_open_batch_is_followed(office: Office) -> None:
    office.sync("guests")
    office.pass_by(HOUR)

    (outcome,) = served(office, [office.context("guests")])

    assert [one.run.serial for one in outcome.runs] == [1]
    assert outcome.exit_code is ExitCode.DONE
    assert office.batch("guests").phase is Phase.DELIVERED


def test_what_is_in_flight_from_before_is_followed_between_slots(office: Office) -> None:
    begun(office, "guests")
    served(office, hourly(office, "guests"))
    assert office.batch("guests").phase is Phase.SUBMITTED
    clock = Watched(office.world.clock, 60)

    with pytest.raises(Enough):
        serve(lambda: hourly(office, "guests"), replace(office.world, clock=clock), CronSlots(), told=lambda _: None)

    assert office.batch("guests").phase is Phase.DELIVERED
    assert all(timedelta(0) < one <= timedelta(minutes=5) for one in clock.slept)


def test_a_source_that_cannot_be_read_gives_its_slot_up_and_the_next_slot_is_run(office: Office) -> None:
    due = begun(office, "guests")
    source = office.deployment.folder / "guests.csv"
    rows = source.read_bytes()
    contexts = hourly(office, "guests")
    source.unlink()

    (outcome,) = served(office, contexts)

    assert isinstance(outcome.error, SourceError)
    assert office.app.journal.slot_done("guests") == due
    assert served(office, contexts) == []
    source.write_bytes(rows)
    office.pass_by(HOUR)
    (outcome,) = served(office, contexts)
    assert outcome.error is None


def test_a_vendor_that_is_down_keeps_its_slot_due(office: Office) -> None:
    due = begun(office, "guests")
    office.arm("guests", kind="deny", times=0)

    (outcome,) = served(office, hourly(office, "guests"))

    assert isinstance(outcome.error, EnvironmentProblem)
    assert office.app.journal.slot_done("guests") == due - HOUR
    office.calm()
    (outcome,) = served(office, hourly(office, "guests"))
    assert (outcome.error, office.app.journal.slot_done("guests")) == (None, due)


def test_a_job_waits_while_one_that_it_depends_on_has_something_in_flight(office: Office) -> None:
    contexts = hourly(office, "guests", "vehicles", depends_on=("guests",))
    begun(office, "guests")
    due = begun(office, "vehicles")

    assert [one.job for one in served(office, contexts)] == ["guests"]

    office.resume("guests")
    assert [one.job for one in served(office, contexts)] == ["vehicles"]
    assert office.app.journal.slot_done("vehicles") == due


def test_a_job_waits_while_one_that_it_depends_on_is_held_and_that_is_told_once(office: Office) -> None:
    held = office.context("guests", schedule=HOURLY, guards=Guards(min_rows=10**6))
    begun(office, "guests")
    last = begun(office, "vehicles") - HOUR
    clock = Watched(office.world.clock, 4)
    told: list[JobOutcome] = []

    with pytest.raises(Enough):
        serve(
            lambda: [held, office.context("vehicles", schedule=HOURLY, depends_on=("guests",))],
            replace(office.world, clock=clock),
            CronSlots(),
            told=told.append,
        )

    (skipped,) = [one for one in told if one.job == "vehicles"]
    assert skipped.skipped.startswith('it depends on "guests", which a guard holds')
    assert office.app.journal.slot_done("vehicles") == last


def test_a_job_waits_for_one_that_is_in_flight_and_served_by_nobody_and_says_so(office: Office) -> None:
    office.sync("guests")
    begun(office, "vehicles")

    (outcome,) = served(office, [office.context("vehicles", schedule=HOURLY, depends_on=("guests",))])

    assert "`lading resume guests`" in outcome.skipped


def test_a_job_that_somebody_else_runs_is_left_to_them(office: Office) -> None:
    office.sync("guests")
    office.pass_by(HOUR)
    state = office.app.settings.state_folder
    with (
        Journal.open(state) as other,
        lease(other, state, "guests", "somebody else", office.world.clock.now()),
    ):
        assert served(office, [office.context("guests")]) == []
        assert office.batch("guests").phase is Phase.SUBMITTED

    served(office, [office.context("guests")])
    assert office.batch("guests").phase is Phase.DELIVERED


def test_a_job_that_has_to_stop_is_told_and_the_batches_of_others_are_followed(office: Office) -> None:
    office.sync("guests")
    office.sync("vehicles")
    office.pass_by(HOUR)
    context = replace(office.context("guests"), identity="another account")

    guests, vehicles = served(office, [context, office.context("vehicles")])

    assert isinstance(guests.error, EnvironmentProblem)
    assert "belongs to another account" in guests.error.message
    assert (guests.exit_code, vehicles.exit_code) == (ExitCode.ENVIRONMENT, ExitCode.DONE)
    assert office.batch("vehicles").phase is Phase.DELIVERED


def test_a_trouble_that_stands_ends_no_serving_wakes_nobody_and_is_told_once(office: Office) -> None:
    office.sync("guests")
    office.pass_by(HOUR)
    context = replace(office.context("guests"), identity="another account")
    clock = Watched(office.world.clock, 4)
    told: list[JobOutcome] = []

    with pytest.raises(Enough):
        serve(lambda: [context], replace(office.world, clock=clock), CronSlots(), told=told.append)

    assert [type(one.error) for one in told] == [EnvironmentProblem]
    assert min(clock.slept) > timedelta(minutes=4)


def test_a_trouble_that_comes_back_is_told_again(office: Office) -> None:
    begun(office, "guests")
    source = office.deployment.folder / "guests.csv"
    rows = source.read_bytes()
    clock = Watched(office.world.clock, 100)
    told: list[JobOutcome] = []

    def turned(outcome: JobOutcome) -> None:
        """Repair the source when it was told to be missing, and take it away when it was read."""
        told.append(outcome)
        if outcome.error is not None:
            source.write_bytes(rows)
        else:
            source.unlink(missing_ok=True)

    source.unlink()
    with pytest.raises(Enough):
        serve(lambda: hourly(office, "guests"), replace(office.world, clock=clock), CronSlots(), told=turned)

    assert [one.error is None for one in told][:4] == [False, True, True, False]


def test_a_batch_that_waits_for_a_person_wakes_nobody(office: Office) -> None:
    office.sync("guests")
    office.arm("guests", kind="status", status=400, **POLL["guests"])
    office.pass_by(HOUR)
    (outcome,) = served(office, [office.context("guests")])
    assert outcome.exit_code is ExitCode.ENVIRONMENT
    assert office.batch("guests").phase is Phase.STUCK
    assert served(office, [office.context("guests")]) == []
    clock = Watched(office.world.clock, 3)

    with pytest.raises(Enough):
        serve(lambda: [office.context("guests")], replace(office.world, clock=clock), CronSlots(), told=lambda _: None)

    assert min(clock.slept) > timedelta(minutes=4)


def test_jobs_are_asked_for_before_each_run_and_one_that_is_gone_meanwhile_is_not_run(office: Office) -> None:
    begun(office, "guests")
    due = begun(office, "vehicles")
    asked = [hourly(office, "guests", "vehicles"), hourly(office, "guests")]
    told: list[JobOutcome] = []

    serve(lambda: asked.pop(0), office.world, CronSlots(), told=told.append, once=True)

    assert {one.job for one in told} == {"guests"}
    assert office.app.journal.slot_done("vehicles") == due - HOUR


def test_the_longest_sleep_is_five_minutes_and_the_next_slot_is_slept_to(office: Office) -> None:
    clock = Watched(office.world.clock, 20)
    told: list[JobOutcome] = []

    with pytest.raises(Enough):
        serve(lambda: hourly(office, "guests"), replace(office.world, clock=clock), CronSlots(), told=told.append)

    assert max(clock.slept) <= timedelta(minutes=5)
    # The first run is told of when it is under way and when it has settled; the next has nothing to send.
    assert told
    assert [one.exit_code for one in told] == [ExitCode.UNSETTLED, ExitCode.DONE, ExitCode.DONE][: len(told)]
    done = office.app.journal.slot_done("guests")
    assert done is not None
    assert (done.minute, done.second) == (0, 0)


def test_a_batch_that_could_go_on_is_looked_at_again_within_a_second(office: Office) -> None:
    """Its job is somebody else's now; as soon as they let go, it is followed."""
    office.arm("guests", kind="refuse", **UPLOAD)
    office.sync("guests")
    office.pass_by(HOUR)
    clock = Watched(office.world.clock, 2)

    def taken(job: str) -> NoReturn:
        raise LockedError(f"job {job} is being run by somebody else")

    with pytest.raises(Enough):
        serve(
            lambda: [office.context("guests")],
            replace(office.world, clock=clock, lease=taken),
            CronSlots(),
            told=lambda _: None,
        )

    assert max(clock.slept) <= timedelta(seconds=1)
    office.resume("guests", PATIENT)
    assert office.delivered_once("guests")
    assert office.sync("guests", AT_ONCE).exit_code is ExitCode.DONE
