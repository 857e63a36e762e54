"""Jobs of one connection share the in-flight limit of its vendor."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from harness import ALLOCATE, NO_WAIT
from test_serve import HOUR, HOURLY, RecordingClock, StopServing, claim_previous_tick, served

from batchsync.cli.serve import CronTicks
from batchsync.core.batch import Phase
from batchsync.errors import LockedError
from batchsync.journal import Journal, unlock
from batchsync.reconcile.loop import drive_to_completion
from batchsync.reconcile.serve import serve
from batchsync.reconcile.sync import sync

if TYPE_CHECKING:
    from harness import Harness

    from batchsync.reconcile.services import JobContext


def two_jobs(harness: Harness) -> list[JobContext]:
    """Return two jobs of one connection, whose vendor takes one batch at a time."""
    contexts = [harness.context("guests", schedule=HOURLY), harness.context("guests", name="people", schedule=HOURLY)]
    assert {context.policy.in_flight_max for context in contexts} == {1}
    return contexts


def phases(harness: Harness) -> list[Phase]:
    return [harness.batch(job).phase for job in ("guests", "people")]


def test_batch_in_flight_blocks_other_job_of_connection(harness: Harness) -> None:
    claim_previous_tick(harness, "guests")
    claim_previous_tick(harness, "people")

    served(harness, two_jobs(harness))

    assert phases(harness) == [Phase.SUBMITTED, Phase.PREPARED]


def test_blocked_batch_does_not_shorten_sleep_and_proceeds_later(harness: Harness) -> None:
    claim_previous_tick(harness, "guests")
    claim_previous_tick(harness, "people")
    clock = RecordingClock(harness.services.clock, 60)

    with pytest.raises(StopServing):
        serve(lambda: two_jobs(harness), replace(harness.services, clock=clock), CronTicks(), on_outcome=lambda _: None)

    assert phases(harness) == [Phase.DELIVERED, Phase.DELIVERED]
    assert sum(duration <= timedelta(seconds=1) for duration in clock.slept) <= 2


def test_batch_of_other_account_does_not_count_against_limit(harness: Harness) -> None:
    guests, people = two_jobs(harness)
    sync([guests], harness.services, NO_WAIT)
    claim_previous_tick(harness, "people")

    other = replace(guests, account_id="another account", job=replace(guests.job, schedule=None))
    served(harness, [other, replace(people, account="another account")])

    assert phases(harness) == [Phase.SUBMITTED, Phase.SUBMITTED]


def test_failed_job_does_not_count_against_limit(harness: Harness) -> None:
    """The job loses its lease while its batch waits."""
    guests, people = two_jobs(harness)
    harness.arm("guests", kind="refuse", times=0, **ALLOCATE["guests"])
    for context in (guests, people):
        sync([context], harness.services, NO_WAIT)
    harness.clear_faults()
    harness.advance(HOUR)
    state = harness.app.settings.state_folder

    with harness.services.lease("guests"), harness.services.lease("people"):
        with Journal.open(state) as other:
            unlock(other, state, "guests", harness.services.clock.now())
        failed = drive_to_completion({"guests": guests, "people": people}, harness.services, NO_WAIT)

    assert {job: type(error) for job, error in failed.items()} == {"guests": LockedError}
    assert phases(harness) == [Phase.PREPARED, Phase.SUBMITTED]
