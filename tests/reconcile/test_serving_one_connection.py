"""Jobs of one connection share the places that its vendor grants, also when they are served one after the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from office import ALLOCATE, AT_ONCE
from test_serving import HOUR, HOURLY, Enough, Watched, begun, served

from lading.cli.serve import CronSlots
from lading.core.batch import Phase
from lading.errors import LockedError
from lading.journal import Journal, unlock
from lading.reconcile.loop import settle_all
from lading.reconcile.serve import serve
from lading.reconcile.sync import sync

if TYPE_CHECKING:
    from office import Office

    from lading.reconcile.context import JobContext


def two(office: Office) -> list[JobContext]:
    """Return two jobs of one connection, whose vendor takes one batch at a time."""
    contexts = [office.context("guests", schedule=HOURLY), office.context("guests", name="people", schedule=HOURLY)]
    assert {one.policy.in_flight_max for one in contexts} == {1}
    return contexts


def phases(office: Office) -> list[Phase]:
    return [office.batch(job).phase for job in ("guests", "people")]


def test_what_one_job_has_in_flight_keeps_the_other_waiting_for_its_place(office: Office) -> None:
    begun(office, "guests")
    begun(office, "people")

    served(office, two(office))

    assert phases(office) == [Phase.SUBMITTED, Phase.PREPARED]


def test_a_batch_that_waits_for_a_place_wakes_nobody_and_gets_it_when_it_is_free(office: Office) -> None:
    begun(office, "guests")
    begun(office, "people")
    clock = Watched(office.world.clock, 60)

    with pytest.raises(Enough):
        serve(lambda: two(office), replace(office.world, clock=clock), CronSlots(), told=lambda _: None)

    assert phases(office) == [Phase.DELIVERED, Phase.DELIVERED]
    assert sum(one <= timedelta(seconds=1) for one in clock.slept) <= 2


def test_a_batch_of_another_account_takes_no_place_in_this_one(office: Office) -> None:
    guests, people = two(office)
    sync([guests], office.world, AT_ONCE)
    begun(office, "people")

    served(office, [replace(guests, identity="another account", job=replace(guests.job, schedule=None)), people])

    assert phases(office) == [Phase.SUBMITTED, Phase.SUBMITTED]


def test_a_job_that_had_to_stop_claims_no_new_place(office: Office) -> None:
    """Its lease is taken away while its batch waits; who has it now may follow it, and it keeps nobody else waiting."""
    guests, people = two(office)
    office.arm("guests", kind="refuse", times=0, **ALLOCATE["guests"])
    for one in (guests, people):
        sync([one], office.world, AT_ONCE)
    office.calm()
    office.pass_by(HOUR)
    state = office.app.settings.state_folder

    with office.world.lease("guests"), office.world.lease("people"):
        with Journal.open(state) as other:
            unlock(other, state, "guests", office.world.clock.now())
        failed = settle_all({"guests": guests, "people": people}, office.world, AT_ONCE)

    assert {job: type(error) for job, error in failed.items()} == {"guests": LockedError}
    assert phases(office) == [Phase.PREPARED, Phase.SUBMITTED]
