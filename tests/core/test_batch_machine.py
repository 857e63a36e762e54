"""Stateful test of a batch with lost responses, refusals and crashes, against a model of a vendor.

In every sequence of steps, the vendor must not receive the file twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from core_samples import NOW, ROWS, a_batch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from batchsync.core import events, naming, steps
from batchsync.core.batch import Allocation, Batch, IdempotencyKey, Phase, Verb, Verdict
from batchsync.core.decide import decide, needs_intent, next_poll, retry_at
from batchsync.core.lifecycle import evolve, possibly_delivered
from batchsync.core.policy import OnUnknownOutcome, Policy
from batchsync.core.row_outcome import OutcomeCounts

ALLOCATION_LIFETIME = timedelta(hours=1)


class Trouble(Enum):
    """Fault of a request."""

    NONE = auto()
    #: surely not applied
    REFUSED = auto()
    #: applied, but the response is lost
    ANSWER_LOST = auto()
    #: not applied, which the client cannot know
    REQUEST_LOST = auto()


class Crash(Enum):
    """Point at which the process dies within a step."""

    NOWHERE = auto()
    BEFORE_INTENT = auto()
    BEFORE_CALL = auto()
    BEFORE_RECORD = auto()


@dataclass
class VendorAllocation:
    """Allocation at the vendor."""

    until: datetime
    #: copies of the file that are processed
    files: int = 0
    #: whether a file is stored that is processed after a commit
    stored: bool = False
    done: bool = False


@dataclass
class Vendor:
    """Vendor with allocations by idempotency key.

    `returns_urls`: `find` returns the URL again. `commits`: a file is processed after a commit, once for each commit
    unless the commit is `repeatable`.
    """

    returns_urls: bool
    commits: bool
    repeatable: bool
    by_key: dict[IdempotencyKey, VendorAllocation] = field(default_factory=dict)
    allocations: list[IdempotencyKey] = field(default_factory=list)

    def allocate(self, key: IdempotencyKey, now: datetime) -> Allocation:
        self.allocations.append(key)
        self.by_key[key] = VendorAllocation(now + ALLOCATION_LIFETIME)
        return Allocation(id=key, url="https://storage.example/?signature=x", expires_at=now + ALLOCATION_LIFETIME)

    def find(self, key: IdempotencyKey) -> Allocation | None:
        granted = self.by_key.get(key)
        url = "https://storage.example/?signature=y" if self.returns_urls else None
        return Allocation(id=key, url=url, expires_at=granted.until) if granted else None

    def upload(self, allocation: Allocation, now: datetime) -> bool:
        """Take the file; return False if the allocation has expired."""
        granted = self.by_key[IdempotencyKey(allocation.id)]
        if now >= granted.until:
            return False
        if self.commits:
            granted.stored = True
        else:
            granted.files += 1
        return True

    def commit(self, allocation: Allocation) -> None:
        """Process the stored file, a second time if the commit is not repeatable."""
        granted = self.by_key[IdempotencyKey(allocation.id)]
        assert granted.stored
        granted.files = 1 if self.repeatable else granted.files + 1

    @property
    def files(self) -> int:
        return sum(granted.files for granted in self.by_key.values())


def perform_without_trouble(  # noqa: C901, PLR0911, PLR0912 - a case for each step
    batch: Batch, step: steps.Step, vendor: Vendor, policy: Policy, now: datetime
) -> events.Event:
    """Perform a step as the engine does, without faults."""
    key = naming.idempotency_key(batch.job, batch.file.digest, batch.attempt)
    match step:
        case steps.Allocate():
            return events.Allocated(at=now, allocation=vendor.allocate(key, now))
        case steps.FindAllocation() | steps.RenewAllocation():
            verb = Verb.ALLOCATE if isinstance(step, steps.FindAllocation) else None
            found = vendor.find(key)
            if found is None:
                assert verb, "this vendor forgets no allocation"
                return events.NotApplied(at=now, verb=verb, reason="no such batch")
            if vendor.by_key[key].files:
                return events.Uploaded(at=now, allocation=found)
            if found.url is None:
                return events.AllocationLost(at=now, reason="no URL", verb=verb)
            return events.Allocated(at=now, allocation=found)
        case steps.DropAllocation(reason=reason, verb=verb):
            if batch.allocation and vendor.by_key[IdempotencyKey(batch.allocation.id)].files:
                return events.Uploaded(at=now, allocation=batch.allocation)
            return events.AllocationLost(at=now, reason=reason, verb=verb)
        case steps.Park(reason=reason):
            return events.Parked(at=now, reason=reason)
        case steps.Deliver():
            return events.Delivered(at=now)
        case _:
            assert batch.allocation is not None
    assert batch.allocation is not None
    granted = vendor.by_key[IdempotencyKey(batch.allocation.id)]
    match step:
        case steps.Upload():
            assert batch.allocation.url is not None
            if vendor.upload(batch.allocation, now):
                return events.Stored(at=now) if policy.commits else events.Uploaded(at=now)
            again = retry_at(batch, policy, now)
            return events.OutcomeUnknown(at=now, verb=Verb.UPLOAD, reason="expired", retry_at=again, expired=True)
        case steps.FindFile():
            if granted.files:
                return events.Uploaded(at=now)
            return events.NotApplied(at=now, verb=Verb.UPLOAD, reason="the allocation is empty")
        case steps.Commit():
            if policy.commit_repeatable or not granted.files:
                vendor.commit(batch.allocation)
            return events.Committed(at=now, allocation=batch.allocation)
        case steps.FindCommit():
            if granted.files:
                return events.Committed(at=now)
            return events.NotApplied(at=now, verb=Verb.COMMIT, reason="not committed")
        case steps.Poll():
            if granted.done:
                return events.VendorFinished(at=now, verdict=Verdict.PROCESSED, vendor_status="Completed")
            return events.StillRunning(at=now, vendor_status="Running", retry_at=next_poll(batch, policy, now))
        case _:
            return events.Collected(at=now, counts=OutcomeCounts.of(accepted=ROWS))


def perform(
    batch: Batch, step: steps.Step, vendor: Vendor, policy: Policy, now: datetime, trouble: Trouble
) -> events.Event:
    """Perform a step with a fault, if it calls the vendor."""
    verb = steps.VERB_OF.get(type(step))
    if verb is None or verb is Verb.DELIVER or trouble is Trouble.NONE:
        return perform_without_trouble(batch, step, vendor, policy, now)
    again = retry_at(batch, policy, now)
    if trouble is Trouble.REFUSED:
        return events.NotApplied(at=now, verb=verb, reason="429", retry_at=again)
    if trouble is Trouble.ANSWER_LOST:
        perform_without_trouble(batch, step, vendor, policy, now)
    return events.OutcomeUnknown(at=now, verb=verb, reason="read timeout", retry_at=again)


class BatchMachine(RuleBasedStateMachine):
    """State machine of a batch and a vendor, with faults and crashes between them."""

    @initialize(
        policy_value=st.sampled_from(OnUnknownOutcome),
        returns_urls=st.booleans(),
        commits=st.booleans(),
        repeatable=st.booleans(),
    )
    def begin(self, policy_value: OnUnknownOutcome, **vendor: bool) -> None:
        self.policy = Policy(
            on_unknown_allocation=policy_value,
            commits=vendor["commits"],
            commit_repeatable=vendor["repeatable"],
            retry_for=timedelta(seconds=20),
            attempts_max=5,
            deadline=timedelta(days=2),
        )
        self.vendor = Vendor(**vendor)
        self.now = NOW
        self.batch = a_batch(Phase.PREPARED)
        self.history: list[events.Event] = []
        self.backup: tuple[Batch, list[events.Event]] | None = None

    def record(self, event: events.Event) -> None:
        self.batch = evolve(self.batch, event)
        self.history.append(event)

    def restart(self) -> None:
        """Restore the batch as from the journal: without the URL."""
        if self.batch.allocation:
            self.batch = replace(self.batch, allocation=replace(self.batch.allocation, url=None))

    def take_step(self, trouble: Trouble, crash: Crash) -> None:
        step = decide(self.batch, self.policy, self.now)
        while isinstance(step, steps.Wait):
            self.now = step.until
            step = decide(self.batch, self.policy, self.now)
        if isinstance(step, steps.NoOp):
            return None
        if crash is Crash.BEFORE_INTENT:
            return self.restart()
        if verb := needs_intent(step, self.policy):
            self.record(events.IntentRecorded(at=self.now, verb=verb))
        if crash is Crash.BEFORE_CALL:
            return self.restart()
        event = perform(self.batch, step, self.vendor, self.policy, self.now, trouble)
        if crash is Crash.BEFORE_RECORD:
            return self.restart()
        return self.record(event)

    @rule(trouble=st.sampled_from(Trouble))
    def step_with_trouble(self, trouble: Trouble) -> None:
        self.take_step(trouble, Crash.NOWHERE)

    @rule(trouble=st.sampled_from(Trouble), crash=st.sampled_from(Crash))
    def step_with_a_crash(self, trouble: Trouble, crash: Crash) -> None:
        self.take_step(trouble, crash)

    @rule(minutes=st.integers(1, 600))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @precondition(lambda self: self.batch.phase in (Phase.ALLOCATED, Phase.UPLOADED))
    @rule()
    def journal_is_backed_up(self) -> None:
        self.backup = (self.batch, list(self.history))

    @precondition(lambda self: self.backup and self.backup[0].attempt == self.batch.attempt)
    @rule()
    def backup_is_restored(self) -> None:
        """Restore a journal that is older than the vendor's state."""
        assert self.backup
        self.batch, self.history = self.backup[0], list(self.backup[1])
        self.restart()

    @rule()
    def vendor_processes_files(self) -> None:
        for granted in self.vendor.by_key.values():
            granted.done = granted.files > 0

    @precondition(lambda self: self.batch.phase is Phase.NEEDS_ATTENTION)
    @rule()
    def person_resumes(self) -> None:
        self.record(events.Reopened(at=self.now, reason="manually"))

    @invariant()
    def vendor_never_receives_the_file_twice(self) -> None:
        assert self.vendor.files <= 1

    @invariant()
    def idempotency_keys_are_used_once(self) -> None:
        assert len(self.vendor.allocations) == len(set(self.vendor.allocations))

    @invariant()
    def phase_agrees_with_the_vendor(self) -> None:
        phase = self.batch.parked_from or self.batch.phase
        if phase in (Phase.SUBMITTED, Phase.FINISHED, Phase.COLLECTED, Phase.DELIVERED):
            assert self.vendor.files == 1
        elif not possibly_delivered(self.batch):
            assert self.vendor.files == 0

    @invariant()
    def replayed_events_give_the_batch(self) -> None:
        replayed = a_batch(Phase.PREPARED)
        for event in self.history:
            replayed = evolve(replayed, event)
        without_url = replace(
            self.batch, allocation=replace(self.batch.allocation, url=None) if self.batch.allocation else None
        )
        assert (
            replace(replayed, allocation=replace(replayed.allocation, url=None) if replayed.allocation else None)
            == without_url
        )

    def teardown(self) -> None:
        """Without further faults, every batch is delivered, or needs attention for a valid reason."""
        if not hasattr(self, "batch"):
            return
        self.run_until_idle()
        if self.batch.phase is Phase.NEEDS_ATTENTION:
            assert self.batch.reason
            self.record(events.Reopened(at=self.now, reason="manually"))
            self.run_until_idle()
        if self.batch.phase is Phase.DELIVERED:
            assert self.vendor.files == 1
            return
        # Only this remains: the allocation must not be repeated, and the vendor cannot be asked.
        assert (self.policy.on_unknown_allocation, self.batch.pending_intent) == (OnUnknownOutcome.STOP, Verb.ALLOCATE)

    def run_until_idle(self) -> None:
        for _ in range(100):
            if isinstance(decide(self.batch, self.policy, self.now), steps.NoOp):
                return
            self.vendor_processes_files()
            self.take_step(Trouble.NONE, Crash.NOWHERE)
        raise AssertionError(f"still {self.batch.phase} after 100 steps")


TestBatchMachine = BatchMachine.TestCase
TestBatchMachine.settings = settings(
    max_examples=250, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
