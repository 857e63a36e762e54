"""What becomes of ticks during runs, downtime and quiet hours."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from test_serve import HOUR, claim_previous_tick

from batchsync.cli.serve import CronTicks
from batchsync.core.batch import Phase
from batchsync.core.events import Parked
from batchsync.core.schedule import CatchUp, Overlap, Schedule, TimeSpan
from batchsync.ports import TickSkipped
from batchsync.reconcile.serve import serve

if TYPE_CHECKING:
    from datetime import datetime

    from harness import Harness

    from batchsync.ports import RunEvent
    from batchsync.reconcile.sync import JobOutcome

HOURLY = Schedule(every=HOUR)


@dataclass
class Served:
    """What one pass of `serve` reported."""

    outcomes: list[JobOutcome] = field(default_factory=list)
    events: list[RunEvent] = field(default_factory=list)

    def emit(self, event: RunEvent) -> None:
        self.events.append(event)

    @property
    def skipped(self) -> list[TickSkipped]:
        return [event for event in self.events if isinstance(event, TickSkipped)]


def served(harness: Harness, schedule: Schedule) -> Served:
    """Serve guests by a schedule, once."""
    found = Served()
    context = harness.context("guests", schedule=schedule)
    services = replace(harness.services, events=found)
    serve(lambda: [context], services, CronTicks(), on_outcome=found.outcomes.append, once=True)
    return found


def runs(harness: Harness) -> int:
    return len(harness.app.journal.history("guests"))


def with_batch_in_flight(harness: Harness) -> datetime:
    """Send a batch, whose verdict the vendor delays, and return the tick that is due while it is in flight."""
    harness.sync("guests")
    assert harness.batch("guests").phase is Phase.SUBMITTED
    return claim_previous_tick(harness, "guests")


def test_run_begins_beside_one_in_flight_by_default(harness: Harness) -> None:
    with_batch_in_flight(harness)

    served(harness, HOURLY)

    assert runs(harness) == 2


def test_tick_is_dropped_while_a_run_is_in_flight(harness: Harness) -> None:
    tick = with_batch_in_flight(harness)
    schedule = replace(HOURLY, overlap=Overlap.SKIP)

    (skipped,) = served(harness, schedule).skipped

    assert (skipped.job, skipped.tick) == ("guests", tick)
    assert "overlap: skip" in skipped.reason
    assert (runs(harness), harness.app.journal.last_tick("guests")) == (1, tick)
    assert served(harness, schedule).skipped == []


def test_tick_waits_for_the_run_in_flight(harness: Harness) -> None:
    tick = with_batch_in_flight(harness)
    schedule = replace(HOURLY, overlap=Overlap.QUEUE)

    assert served(harness, schedule).skipped == []
    assert (runs(harness), harness.app.journal.last_tick("guests")) == (1, tick - HOUR)

    harness.resume("guests")
    served(harness, schedule)
    assert (runs(harness), harness.app.journal.last_tick("guests")) == (2, tick)


def test_batch_that_waits_for_a_person_holds_no_tick_up(harness: Harness) -> None:
    harness.left_in_allocation("guests")
    batch = harness.batch("guests")
    with harness.services.lease("guests"):
        harness.services.store.record(batch, Parked(at=harness.services.clock.now(), reason="no", verb=None))
    tick = claim_previous_tick(harness, "guests")

    served(harness, replace(HOURLY, overlap=Overlap.QUEUE))

    assert harness.app.journal.last_tick("guests") == tick


def test_all_missed_ticks_are_run_one_after_another(harness: Harness) -> None:
    tick = claim_previous_tick(harness, "guests")
    harness.advance(3 * HOUR)

    served(harness, replace(HOURLY, catch_up=CatchUp.ALL))

    assert runs(harness) == 4
    assert harness.app.journal.last_tick("guests") == tick + 3 * HOUR


def test_missed_tick_is_reported_and_not_run(harness: Harness) -> None:
    tick = claim_previous_tick(harness, "guests")
    harness.advance(tick + 2 * HOUR + timedelta(minutes=20) - harness.services.clock.now())

    (skipped,) = served(harness, replace(HOURLY, catch_up=CatchUp.NONE)).skipped

    assert skipped.tick == tick + 2 * HOUR
    assert (runs(harness), harness.app.journal.last_tick("guests")) == (0, skipped.tick)


def quiet_now(harness: Harness) -> Schedule:
    """Return a schedule whose quiet hours are the hours from one before now to two after it."""
    now = harness.services.clock.now().replace(minute=0, second=0, microsecond=0)
    return replace(HOURLY, quiet=(TimeSpan(begin=(now - HOUR).time(), end=(now + 2 * HOUR).time()),))


def test_no_run_begins_in_quiet_hours(harness: Harness) -> None:
    tick = claim_previous_tick(harness, "guests")
    schedule = quiet_now(harness)

    served(harness, schedule)
    assert runs(harness) == 0

    harness.advance(2 * HOUR)
    served(harness, schedule)
    assert (runs(harness), harness.app.journal.last_tick("guests")) == (1, tick + 2 * HOUR)


def test_unsent_batch_waits_and_sent_one_is_followed_in_quiet_hours(harness: Harness) -> None:
    harness.arm("guests", kind="refuse", times=0, method="PUT", path=r"^/v2/batches/")
    harness.sync("guests")
    harness.clear_faults()
    assert harness.batch("guests").phase is Phase.PREPARED
    harness.advance(timedelta(minutes=10))
    schedule = quiet_now(harness)

    served(harness, schedule)
    assert harness.batch("guests").phase is Phase.PREPARED

    # What a person starts is sent at once.
    harness.resume("guests")
    assert harness.batch("guests").phase is Phase.DELIVERED


def test_sent_batch_is_followed_in_quiet_hours(harness: Harness) -> None:
    harness.sync("guests")
    harness.advance(timedelta(minutes=30))

    served(harness, quiet_now(harness))

    assert harness.batch("guests").phase is Phase.DELIVERED
