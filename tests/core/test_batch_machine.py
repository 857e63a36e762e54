"""Any life of a batch: lost answers, refusals, crashes, slow days. The vendor never gets the file twice.

The vendor here is a few lines of model. It keeps what it was given and tells it to nobody but the assertions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from core_samples import NOW, ROWS, a_batch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lading.core import events, steps, tickets
from lading.core.batch import Batch, Books, Phase, Slot, Ticket, Verb, Verdict
from lading.core.decide import announces, decide, look_again, may_be_there, next_poll
from lading.core.lifecycle import evolve
from lading.core.policy import InDoubt, Policy

SLOT_LIFE = timedelta(hours=1)


class Trouble(Enum):
    """What goes wrong with one request."""

    NONE = auto()
    #: it did not arrive, and we know
    REFUSED = auto()
    #: it arrived and was done; the answer did not come back
    ANSWER_LOST = auto()
    #: it did not arrive, and we do not know
    REQUEST_LOST = auto()


class Crash(Enum):
    """Where our process dies during one step."""

    NOWHERE = auto()
    BEFORE_ANNOUNCING = auto()
    BEFORE_THE_ACT = auto()
    BEFORE_THE_RECORD = auto()


class Refused(Exception):  # noqa: N818 - an event, not an error
    """Surely not done."""


class NoAnswer(Exception):  # noqa: N818 - an event, not an error
    """Nobody knows."""


@dataclass
class Place:
    """One slot at the vendor."""

    until: datetime
    files: int = 0
    done: bool = False


@dataclass
class Vendor:
    """A vendor that keeps slots by ticket. `tells_urls` says whether `find` gives the URL again."""

    tells_urls: bool
    places: dict[Ticket, Place] = field(default_factory=dict)
    allocations: list[Ticket] = field(default_factory=list)

    def allocate(self, ticket: Ticket, now: datetime) -> Slot:
        self.allocations.append(ticket)
        self.places[ticket] = Place(now + SLOT_LIFE)
        return Slot(id=ticket, url="https://storage.example/?signature=x", until=now + SLOT_LIFE)

    def find(self, ticket: Ticket) -> Slot | None:
        place = self.places.get(ticket)
        url = "https://storage.example/?signature=y" if self.tells_urls else None
        return Slot(id=ticket, url=url, until=place.until) if place else None

    def upload(self, slot: Slot, now: datetime) -> bool:
        """Take the file; False when the slot has run out."""
        place = self.places[Ticket(slot.id)]
        if now >= place.until:
            return False
        place.files += 1
        return True

    @property
    def files(self) -> int:
        return sum(one.files for one in self.places.values())


def ask(  # noqa: C901, PLR0911, PLR0912 - one arm for each step
    batch: Batch, step: steps.Step, vendor: Vendor, policy: Policy, now: datetime
) -> events.Event:
    """Do a step the way the shell does, without trouble."""
    ticket = tickets.ticket(batch.job, batch.file.digest, batch.attempt)
    match step:
        case steps.Allocate():
            return events.Allocated(at=now, slot=vendor.allocate(ticket, now))
        case steps.FindSlot() | steps.RenewSlot():
            verb = Verb.ALLOCATE if isinstance(step, steps.FindSlot) else None
            found = vendor.find(ticket)
            if found is None:
                assert verb, "the vendor forgets nothing here"
                return events.DidNotHappen(at=now, verb=verb, reason="no such batch")
            if vendor.places[ticket].files:
                return events.Uploaded(at=now, slot=found)
            if found.url is None:
                return events.SlotLost(at=now, reason="no URL", verb=verb)
            return events.Allocated(at=now, slot=found)
        case steps.DropSlot(reason=reason, verb=verb):
            if batch.slot and vendor.places[Ticket(batch.slot.id)].files:
                return events.Uploaded(at=now, slot=batch.slot)
            return events.SlotLost(at=now, reason=reason, verb=verb)
        case steps.GiveUp(reason=reason):
            return events.GaveUp(at=now, reason=reason)
        case steps.Deliver():
            return events.Delivered(at=now)
        case _:
            assert batch.slot is not None
    assert batch.slot is not None
    place = vendor.places[Ticket(batch.slot.id)]
    match step:
        case steps.Upload():
            assert batch.slot.url is not None
            if vendor.upload(batch.slot, now):
                return events.Uploaded(at=now)
            again = look_again(batch, policy, now)
            return events.Unanswered(at=now, verb=Verb.UPLOAD, reason="expired", look_again_at=again, expired=True)
        case steps.FindFile():
            if place.files:
                return events.Uploaded(at=now)
            return events.DidNotHappen(at=now, verb=Verb.UPLOAD, reason="the slot is empty")
        case steps.Poll():
            if place.done:
                return events.Settled(at=now, verdict=Verdict.PROCESSED, word="Completed")
            return events.StillRunning(at=now, word="Running", look_again_at=next_poll(batch, policy, now))
        case _:
            return events.Collected(at=now, books=Books(accepted=ROWS))


def perform(  # the five things that a step depends on, and the trouble
    batch: Batch, step: steps.Step, vendor: Vendor, policy: Policy, now: datetime, trouble: Trouble
) -> events.Event:
    """Do a step in trouble; steps that ask nothing of the vendor have none."""
    verb = steps.VERB_OF.get(type(step))
    if verb is None or verb is Verb.DELIVER or trouble is Trouble.NONE:
        return ask(batch, step, vendor, policy, now)
    again = look_again(batch, policy, now)
    if trouble is Trouble.REFUSED:
        return events.DidNotHappen(at=now, verb=verb, reason="429", look_again_at=again)
    if trouble is Trouble.ANSWER_LOST:
        ask(batch, step, vendor, policy, now)
    return events.Unanswered(at=now, verb=verb, reason="read timeout", look_again_at=again)


class Life(RuleBasedStateMachine):
    """One batch, one vendor, and everything that can go wrong between them."""

    @initialize(doubt=st.sampled_from(InDoubt), tells_urls=st.booleans())
    def begin(self, doubt: InDoubt, tells_urls: bool) -> None:  # noqa: FBT001 - drawn
        self.policy = Policy(allocation_in_doubt=doubt, failures_max=4, attempts_max=5, deadline=timedelta(days=2))
        self.vendor = Vendor(tells_urls)
        self.now = NOW
        self.batch = a_batch(Phase.PREPARED)
        self.told: list[events.Event] = []
        self.copy: tuple[Batch, list[events.Event]] | None = None

    def record(self, event: events.Event) -> None:
        self.batch = evolve(self.batch, event)
        self.told.append(event)

    def restart(self) -> None:
        """What a process knows that reads the journal: everything but the URL."""
        if self.batch.slot:
            self.batch = replace(self.batch, slot=replace(self.batch.slot, url=None))

    def go(self, trouble: Trouble, crash: Crash) -> None:
        step = decide(self.batch, self.policy, self.now)
        while isinstance(step, steps.Wait):
            self.now = step.until
            step = decide(self.batch, self.policy, self.now)
        if isinstance(step, steps.Rest):
            return None
        if crash is Crash.BEFORE_ANNOUNCING:
            return self.restart()
        if verb := announces(step, self.policy):
            self.record(events.Announced(at=self.now, verb=verb))
        if crash is Crash.BEFORE_THE_ACT:
            return self.restart()
        event = perform(self.batch, step, self.vendor, self.policy, self.now, trouble)
        if crash is Crash.BEFORE_THE_RECORD:
            return self.restart()
        return self.record(event)

    @rule(trouble=st.sampled_from(Trouble))
    def a_step(self, trouble: Trouble) -> None:
        self.go(trouble, Crash.NOWHERE)

    @rule(trouble=st.sampled_from(Trouble), crash=st.sampled_from(Crash))
    def a_step_with_a_crash(self, trouble: Trouble, crash: Crash) -> None:
        self.go(trouble, crash)

    @rule(minutes=st.integers(1, 600))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @precondition(lambda self: self.batch.phase is Phase.ALLOCATED)
    @rule()
    def the_journal_is_copied(self) -> None:
        self.copy = (self.batch, list(self.told))

    @precondition(lambda self: self.copy and self.copy[0].attempt == self.batch.attempt)
    @rule()
    def the_copy_is_restored(self) -> None:
        """A journal that is older than what the vendor did since."""
        assert self.copy
        self.batch, self.told = self.copy[0], list(self.copy[1])
        self.restart()

    @rule()
    def the_vendor_works(self) -> None:
        for place in self.vendor.places.values():
            place.done = place.files > 0

    @precondition(lambda self: self.batch.phase is Phase.STUCK)
    @rule()
    def a_person_resumes(self) -> None:
        self.record(events.Reopened(at=self.now, reason="by hand"))

    @invariant()
    def the_vendor_never_gets_the_file_twice(self) -> None:
        assert self.vendor.files <= 1

    @invariant()
    def no_ticket_is_used_for_two_allocations(self) -> None:
        assert len(self.vendor.allocations) == len(set(self.vendor.allocations))

    @invariant()
    def what_we_say_of_the_file_is_true(self) -> None:
        known = self.batch.stuck_from or self.batch.phase
        if known in (Phase.SUBMITTED, Phase.SETTLED, Phase.COLLECTED, Phase.DELIVERED):
            assert self.vendor.files == 1
        elif not may_be_there(self.batch):
            assert self.vendor.files == 0

    @invariant()
    def the_events_tell_the_whole_life(self) -> None:
        told = a_batch(Phase.PREPARED)
        for event in self.told:
            told = evolve(told, event)
        bare = replace(self.batch, slot=replace(self.batch.slot, url=None) if self.batch.slot else None)
        assert replace(told, slot=replace(told.slot, url=None) if told.slot else None) == bare

    def teardown(self) -> None:
        """With the trouble over, every batch is delivered, or stuck for a reason that is true."""
        if not hasattr(self, "batch"):
            return
        self.run_to_rest()
        if self.batch.phase is Phase.STUCK:
            assert self.batch.reason
            self.record(events.Reopened(at=self.now, reason="by hand"))
            self.run_to_rest()
        if self.batch.phase is Phase.DELIVERED:
            assert self.vendor.files == 1
            return
        # Only this is left: nobody may repeat the allocation, and nobody can be asked about it.
        assert (self.policy.allocation_in_doubt, self.batch.doubt) == (InDoubt.STOP, Verb.ALLOCATE)

    def run_to_rest(self) -> None:
        for _ in range(100):
            if isinstance(decide(self.batch, self.policy, self.now), steps.Rest):
                return
            self.the_vendor_works()
            self.go(Trouble.NONE, Crash.NOWHERE)
        raise AssertionError(f"still {self.batch.phase} after 100 steps")


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=250, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
