"""Scheduled runs: each tick once, and batches in flight followed in between."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

import pytest
from harness import NO_WAIT, POLL, UPLOAD, WAIT

from batchsync.cli.serve import CronTicks
from batchsync.core.batch import Phase
from batchsync.core.guards import Guards
from batchsync.core.schedule import Schedule
from batchsync.errors import ExitCode, LockedError, SourceError, UnavailableError
from batchsync.journal import Journal, lease
from batchsync.reconcile.serve import serve

if TYPE_CHECKING:
    from harness import Harness

    from batchsync.ports import Clock
    from batchsync.reconcile.services import JobContext
    from batchsync.reconcile.sync import JobOutcome

HOUR = timedelta(hours=1)
HOURLY = Schedule(every=HOUR)


class StopServing(BaseException):
    """Ends `serve`, as a signal does."""


@dataclass
class RecordingClock:
    """Clock that records sleeps and ends `serve` after a number of them."""

    inner: Clock
    maximum: int
    slept: list[timedelta] = field(default_factory=list)

    def now(self) -> datetime:
        return self.inner.now()

    def sleep(self, duration: timedelta) -> None:
        self.slept.append(duration)
        if len(self.slept) >= self.maximum:
            raise StopServing
        self.inner.sleep(duration)


def hourly(harness: Harness, *jobs: str, depends_on: tuple[str, ...] = ()) -> list[JobContext]:
    """Return the jobs with an hourly schedule; `depends_on` applies to the last."""
    return [harness.context(job, schedule=HOURLY, depends_on=depends_on if job == jobs[-1] else ()) for job in jobs]


def served(harness: Harness, contexts: list[JobContext]) -> list[JobOutcome]:
    """Serve what is due now and return the outcomes."""
    reported: list[JobOutcome] = []
    serve(lambda: contexts, harness.services, CronTicks(), on_outcome=reported.append, once=True)
    return reported


def claim_previous_tick(harness: Harness, job: str) -> datetime:
    """Claim the tick of the previous hour and return the tick that is due."""
    now = harness.services.clock.now()
    due = now.replace(minute=0, second=0, microsecond=0)
    harness.app.journal.claim_tick(job, due - HOUR)
    return due


def test_due_tick_is_run_and_reported_once(harness: Harness) -> None:
    due = claim_previous_tick(harness, "guests")

    (outcome,) = served(harness, hourly(harness, "guests"))

    assert (outcome.job, len(outcome.runs)) == ("guests", 1)
    assert harness.app.journal.last_tick("guests") == due
    assert served(harness, hourly(harness, "guests")) == []
    assert len(harness.app.journal.history("guests")) == 1


def test_tick_after_job_was_first_seen_is_run_by_next_serve(harness: Harness) -> None:
    contexts = hourly(harness, "guests")

    assert served(harness, contexts) == []
    harness.advance(3 * HOUR)
    (outcome,) = served(harness, contexts)

    assert len(outcome.runs) == 1
    now = harness.services.clock.now()
    assert harness.app.journal.last_tick("guests") == now.replace(minute=0, second=0, microsecond=0)


def test_blocked_job_is_registered(harness: Harness) -> None:
    contexts = hourly(harness, "guests", "vehicles", depends_on=("guests",))
    harness.sync("guests")

    assert served(harness, contexts) == []

    assert harness.app.journal.last_tick("vehicles") is not None


def test_job_without_schedule_is_followed_but_not_run(harness: Harness) -> None:
    harness.sync("guests")
    harness.advance(HOUR)

    (outcome,) = served(harness, [harness.context("guests")])

    assert [run.run.serial for run in outcome.runs] == [1]
    assert outcome.exit_code is ExitCode.DONE
    assert harness.batch("guests").phase is Phase.DELIVERED


def test_batches_in_flight_are_followed_between_ticks(harness: Harness) -> None:
    claim_previous_tick(harness, "guests")
    served(harness, hourly(harness, "guests"))
    assert harness.batch("guests").phase is Phase.SUBMITTED
    clock = RecordingClock(harness.services.clock, 60)

    with pytest.raises(StopServing):
        serve(
            lambda: hourly(harness, "guests"),
            replace(harness.services, clock=clock),
            CronTicks(),
            on_outcome=lambda _: None,
        )

    assert harness.batch("guests").phase is Phase.DELIVERED
    assert all(timedelta(0) < duration <= timedelta(minutes=5) for duration in clock.slept)


def test_unreadable_source_claims_tick_and_next_tick_is_run(harness: Harness) -> None:
    due = claim_previous_tick(harness, "guests")
    source = harness.deployment.folder / "guests.csv"
    rows = source.read_bytes()
    contexts = hourly(harness, "guests")
    source.unlink()

    (outcome,) = served(harness, contexts)

    assert isinstance(outcome.error, SourceError)
    assert harness.app.journal.last_tick("guests") == due
    assert served(harness, contexts) == []
    source.write_bytes(rows)
    harness.advance(HOUR)
    (outcome,) = served(harness, contexts)
    assert outcome.error is None


def test_unavailable_vendor_keeps_tick_due(harness: Harness) -> None:
    due = claim_previous_tick(harness, "guests")
    harness.arm("guests", kind="deny", times=0)

    (outcome,) = served(harness, hourly(harness, "guests"))

    assert isinstance(outcome.error, UnavailableError)
    assert harness.app.journal.last_tick("guests") == due - HOUR
    harness.clear_faults()
    (outcome,) = served(harness, hourly(harness, "guests"))
    assert (outcome.error, harness.app.journal.last_tick("guests")) == (None, due)


def test_job_waits_while_dependency_is_in_flight(harness: Harness) -> None:
    contexts = hourly(harness, "guests", "vehicles", depends_on=("guests",))
    claim_previous_tick(harness, "guests")
    due = claim_previous_tick(harness, "vehicles")

    assert [outcome.job for outcome in served(harness, contexts)] == ["guests"]

    harness.resume("guests")
    assert [outcome.job for outcome in served(harness, contexts)] == ["vehicles"]
    assert harness.app.journal.last_tick("vehicles") == due


def test_job_waiting_for_unapproved_dependency_is_reported_once(harness: Harness) -> None:
    guards_job = harness.context("guests", schedule=HOURLY, guards=Guards(min_rows=10**6))
    claim_previous_tick(harness, "guests")
    last = claim_previous_tick(harness, "vehicles") - HOUR
    clock = RecordingClock(harness.services.clock, 4)
    reported: list[JobOutcome] = []

    with pytest.raises(StopServing):
        serve(
            lambda: [guards_job, harness.context("vehicles", schedule=HOURLY, depends_on=("guests",))],
            replace(harness.services, clock=clock),
            CronTicks(),
            on_outcome=reported.append,
        )

    (skipped,) = [outcome for outcome in reported if outcome.job == "vehicles"]
    assert skipped.skipped.startswith('waiting for "guests", whose plan awaits approval')
    assert harness.app.journal.last_tick("vehicles") == last


def test_job_waiting_for_unserved_dependency_is_reported(harness: Harness) -> None:
    harness.sync("guests")
    claim_previous_tick(harness, "vehicles")

    (outcome,) = served(harness, [harness.context("vehicles", schedule=HOURLY, depends_on=("guests",))])

    assert "`batchsync resume guests`" in outcome.skipped


def test_job_leased_by_other_process_is_skipped(harness: Harness) -> None:
    harness.sync("guests")
    harness.advance(HOUR)
    state = harness.app.settings.state_folder
    with (
        Journal.open(state) as other,
        lease(other, state, "guests", "another process", harness.services.clock.now()),
    ):
        assert served(harness, [harness.context("guests")]) == []
        assert harness.batch("guests").phase is Phase.SUBMITTED

    served(harness, [harness.context("guests")])
    assert harness.batch("guests").phase is Phase.DELIVERED


def test_failed_job_is_reported_and_other_jobs_are_followed(harness: Harness) -> None:
    harness.sync("guests")
    harness.sync("vehicles")
    harness.advance(HOUR)
    context = replace(harness.context("guests"), account_id="another account")

    guests, vehicles = served(harness, [context, harness.context("vehicles")])

    assert isinstance(guests.error, UnavailableError)
    assert "was prepared for an account that connection" in guests.error.message
    assert (guests.exit_code, vehicles.exit_code) == (ExitCode.ENVIRONMENT, ExitCode.DONE)
    assert harness.batch("vehicles").phase is Phase.DELIVERED


def test_persistent_failure_is_reported_once_without_busy_loop(harness: Harness) -> None:
    harness.sync("guests")
    harness.advance(HOUR)
    context = replace(harness.context("guests"), account_id="another account")
    clock = RecordingClock(harness.services.clock, 4)
    reported: list[JobOutcome] = []

    with pytest.raises(StopServing):
        serve(lambda: [context], replace(harness.services, clock=clock), CronTicks(), on_outcome=reported.append)

    assert [type(outcome.error) for outcome in reported] == [UnavailableError]
    assert min(clock.slept) > timedelta(minutes=4)


def test_recurring_failure_is_reported_again(harness: Harness) -> None:
    claim_previous_tick(harness, "guests")
    source = harness.deployment.folder / "guests.csv"
    rows = source.read_bytes()
    clock = RecordingClock(harness.services.clock, 100)
    reported: list[JobOutcome] = []

    def toggle_source(outcome: JobOutcome) -> None:
        """Restore the source after a failure and remove it after a success."""
        reported.append(outcome)
        if outcome.error is not None:
            source.write_bytes(rows)
        else:
            source.unlink(missing_ok=True)

    source.unlink()
    with pytest.raises(StopServing):
        serve(
            lambda: hourly(harness, "guests"),
            replace(harness.services, clock=clock),
            CronTicks(),
            on_outcome=toggle_source,
        )

    assert [outcome.error is None for outcome in reported][:4] == [False, True, True, False]


def test_parked_batch_does_not_shorten_sleep(harness: Harness) -> None:
    harness.sync("guests")
    harness.arm("guests", kind="status", status=400, **POLL["guests"])
    harness.advance(HOUR)
    (outcome,) = served(harness, [harness.context("guests")])
    assert outcome.exit_code is ExitCode.NEEDS_ATTENTION
    assert harness.batch("guests").phase is Phase.NEEDS_ATTENTION
    assert served(harness, [harness.context("guests")]) == []
    clock = RecordingClock(harness.services.clock, 3)

    with pytest.raises(StopServing):
        serve(
            lambda: [harness.context("guests")],
            replace(harness.services, clock=clock),
            CronTicks(),
            on_outcome=lambda _: None,
        )

    assert min(clock.slept) > timedelta(minutes=4)


def test_jobs_are_reloaded_before_each_run(harness: Harness) -> None:
    claim_previous_tick(harness, "guests")
    due = claim_previous_tick(harness, "vehicles")
    loads = [hourly(harness, "guests", "vehicles"), hourly(harness, "guests")]
    reported: list[JobOutcome] = []

    serve(lambda: loads.pop(0), harness.services, CronTicks(), on_outcome=reported.append, once=True)

    assert {outcome.job for outcome in reported} == {"guests"}
    assert harness.app.journal.last_tick("vehicles") == due - HOUR


def test_sleep_is_limited_to_five_minutes_and_next_tick(harness: Harness) -> None:
    clock = RecordingClock(harness.services.clock, 20)
    reported: list[JobOutcome] = []

    with pytest.raises(StopServing):
        serve(
            lambda: hourly(harness, "guests"),
            replace(harness.services, clock=clock),
            CronTicks(),
            on_outcome=reported.append,
        )

    assert max(clock.slept) <= timedelta(minutes=5)
    # The first run is reported when in flight and when settled; the next has nothing to send.
    assert reported
    assert [outcome.exit_code for outcome in reported] == [ExitCode.UNSETTLED, ExitCode.DONE, ExitCode.DONE][
        : len(reported)
    ]
    done = harness.app.journal.last_tick("guests")
    assert done is not None
    assert (done.minute, done.second) == (0, 0)


def test_batch_ready_to_proceed_is_retried_within_a_second(harness: Harness) -> None:
    """Another process has the lease of its job; it is followed as soon as the lease is released."""
    harness.arm("guests", kind="refuse", **UPLOAD)
    harness.sync("guests")
    harness.advance(HOUR)
    clock = RecordingClock(harness.services.clock, 2)

    def locked(job: str) -> NoReturn:
        raise LockedError(f"job {job} is run by another process")

    with pytest.raises(StopServing):
        serve(
            lambda: [harness.context("guests")],
            replace(harness.services, clock=clock, lease=locked),
            CronTicks(),
            on_outcome=lambda _: None,
        )

    assert max(clock.slept) <= timedelta(seconds=1)
    harness.resume("guests", WAIT)
    assert harness.delivered_once("guests")
    assert harness.sync("guests", NO_WAIT).exit_code is ExitCode.DONE
