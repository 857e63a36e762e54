"""Drive batches: decide the next step, perform it, journal the result, and repeat until nothing is left to do."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from batchsync.core.accounting import unresolved
from batchsync.core.batch import Batch, Phase
from batchsync.core.decide import admit, decide, needs_intent
from batchsync.core.events import IntentRecorded
from batchsync.core.lifecycle import needs_vendor, occupies_slot
from batchsync.core.steps import Allocate, Collect, Deliver, NoOp, Step, Upload, Wait
from batchsync.errors import BatchsyncError
from batchsync.ports import BatchChanged, NeedsAttention, Waiting
from batchsync.reconcile import collected
from batchsync.reconcile.accounts import account_changed_error, same_account
from batchsync.reconcile.batch_files import precheck
from batchsync.reconcile.deliver import Delivery
from batchsync.reconcile.perform import perform
from batchsync.reconcile.send_gate import note_sent, permitted, reserved
from batchsync.reconcile.suppressed import withhold

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import datetime

    from batchsync.reconcile.prepare import Preparation
    from batchsync.reconcile.send_gate import QuietUntil
    from batchsync.reconcile.services import JobContext, Services

_NO_WAIT = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitPolicy:
    """Limits on waiting.

    Without `wait` it performs only steps that are due now; `until` is the latest time that it waits for. No batch is
    sent in quiet hours, whose end `quiet_until` returns; None: they do not count.
    """

    wait: bool = True
    until: datetime | None = None
    quiet_until: QuietUntil | None = None


def drive_to_completion(
    contexts: Mapping[str, JobContext], services: Services, wait_policy: WaitPolicy, peers: Iterable[JobContext] = ()
) -> dict[str, BatchsyncError]:
    """Drive every open batch of the jobs as far as the wait policy allows.

    Args:
        contexts: The jobs by name. The caller holds their leases.
        services: Where the steps are performed.
        wait_policy: How long to wait for batches that are not due.
        peers: Other jobs of the same process, whose batches count against the vendor's limit of batches in flight.

    Returns:
        The error of each job that had to stop, by job name.
    """
    loop = Loop(contexts, services, peers, quiet_until=wait_policy.quiet_until)
    loop.run(wait_policy)
    return loop.failed


class Loop:
    """The open batches of some jobs, and the errors of jobs that had to stop. The caller holds the leases of the jobs.

    A job is in `failed` if a local file or a sink failed, or a batch of it belongs to another account than its
    connection uses now; its batches stay as they are. Batches of `peers` count against the limit of batches in flight.
    """

    def __init__(
        self,
        contexts: Mapping[str, JobContext],
        services: Services,
        peers: Iterable[JobContext] = (),
        *,
        quiet_until: QuietUntil | None = None,
    ) -> None:
        """Read the open batches of the jobs from the journal."""
        self._quiet_until = quiet_until
        self.failed: dict[str, BatchsyncError] = {}
        self._contexts, self._services = contexts, services
        self._peers = {context.job.name: context for context in peers if context.job.name not in contexts}
        self._open = {batch.id: batch for job in contexts for batch in services.store.open_batches(job)}

    def follow(self, batches: Iterable[Batch]) -> None:
        """Add batches that were journaled since."""
        self._open |= {batch.id: batch for batch in batches}

    def run(self, wait_policy: WaitPolicy) -> None:
        """Drive the batches until no step is left, or the next step is due later than the wait policy allows."""
        self._run_until_idle(wait_policy)
        for batch in self._open.values():
            context = self._contexts[batch.job]
            if not same_account(batch, context) and needs_vendor(batch) and batch.phase is not Phase.NEEDS_ATTENTION:
                self.failed.setdefault(batch.job, account_changed_error(batch, context))

    def _run_until_idle(self, wait_policy: WaitPolicy) -> None:
        clock = self._services.clock
        while True:
            progressed, until = self._pass()
            if progressed:
                continue
            if until is None or not wait_policy.wait:
                return
            if wait_policy.until is not None and until > wait_policy.until:
                return
            self._services.events.emit(Waiting(until=until))
            clock.sleep(until - clock.now())

    def run_while_preparing(self, preparation: Preparation) -> None:
        """Drive the batches while a run is being prepared: each of its batches may proceed as soon as it is journaled.

        Returns after the last batch was prepared, in whatever phase the others are.

        Raises:
            BatchsyncError: If the next batch cannot be prepared.
        """
        clock = self._services.clock
        within: timedelta | None = _NO_WAIT
        while preparation.preparing:
            batch = preparation.take(within)
            while batch is not None:
                # Journal finalized files before the next vendor call; otherwise a crash would lose them.
                self._open[batch.id] = batch
                batch = preparation.take(_NO_WAIT)
            progressed, until = self._pass()
            within = _NO_WAIT if progressed else None
            if not progressed and until is not None:
                within = until - clock.now()

    def _pass(self) -> tuple[bool, datetime | None]:
        """Take one step with each batch that may proceed; return whether any did, and when the next one is due.

        Vendor calls come first, so that the vendor works on one batch while results of another are joined.
        """
        due_times: list[datetime] = []
        local_steps: list[tuple[Step, Batch]] = []
        progressed = False
        for batch in admit_by_connection(self._visible_batches(), self._peers | dict(self._contexts), self.failed):
            if batch.job in self.failed or batch.job in self._peers:
                continue
            match self._permitted(self._decide(batch), batch):
                case NoOp():
                    continue
                case Wait(until=until):
                    due_times.append(until)
                case Collect() | Deliver() as step:
                    local_steps.append((step, batch))
                case step:
                    self._execute(step, batch)
                    progressed = True
        for step, batch in local_steps:
            if batch.job not in self.failed:
                self._execute(step, batch)
                progressed = True
        return progressed, min(due_times, default=None)

    def _visible_batches(self) -> Iterator[Batch]:
        """Yield the open batches of these jobs, and those of peers that count against the vendor's limit."""
        yield from self._open.values()
        for job in self._peers:
            yield from (batch for batch in self._services.store.open_batches(job) if occupies_slot(batch))

    def _decide(self, batch: Batch) -> Step:
        return decide(batch, self._contexts[batch.job].policy, self._services.clock.now())

    def _permitted(self, step: Step, batch: Batch) -> Step:
        """Return the step, with what it uses reserved, or a wait where it may not be taken now."""
        context = self._contexts[batch.job]
        step = permitted(step, batch, context, self._services, self._quiet_until)
        try:
            return reserved(step, batch, context, self._services, self._peers | dict(self._contexts))
        except BatchsyncError as error:
            self.failed[batch.job] = error
            return NoOp()

    def _execute(self, step: Step, batch: Batch) -> None:
        """Take a step with a batch. Upload right after allocation; the signed URL expires."""
        context = self._contexts[batch.job]
        try:
            after = self._update_open(self._executed(step, batch, context))
            if isinstance(step, Allocate) and isinstance(upload := self._decide(after), Upload):
                self._update_open(self._executed(upload, after, context))
        except BatchsyncError as error:
            self.failed[batch.job] = error

    def _executed(self, step: Step, batch: Batch, context: JobContext) -> Batch:
        """Return the batch after a step; instead of an upload of suppressed records, it is withheld."""
        if isinstance(step, Upload) and (withheld := withhold(batch, context, self._services)) is not None:
            self._services.events.emit(BatchChanged(batch=withheld))
            return withheld
        after = execute(step, batch, context, self._services)
        note_sent(step, after, context, self._services)
        return after

    def _update_open(self, batch: Batch) -> Batch:
        """Keep the batch in memory (an allocation's URL is stored nowhere else); drop it and its files if delivered."""
        if batch.phase is not Phase.DELIVERED:
            self._open[batch.id] = batch
        else:
            del self._open[batch.id]
            collected.remove(self._services.paths.collected(batch))
        return batch


def execute(step: Step, batch: Batch, context: JobContext, services: Services) -> Batch:
    """Record the intent of a step whose repetition could do harm, perform the step and journal the result.

    The shield delays a signal until the result of a call is journaled.

    Args:
        step: The decided step.
        batch: The batch that it applies to.
        context: The batch's job.
        services: Where the step is performed and journaled.

    Returns:
        The batch after the step.

    Raises:
        BatchsyncError: If a local file, the journal or a sink fails; the step can be repeated.
    """
    precheck(step, batch, services)
    with services.shield():
        if verb := needs_intent(step, context.policy):
            batch = services.store.record(batch, IntentRecorded(at=services.clock.now(), verb=verb))
        outcome = perform(step, batch, context, services)
        if isinstance(outcome, Delivery):
            after = services.store.deliver(
                batch,
                outcome.event,
                baseline=outcome.baseline,
                rejects=outcome.rejects,
                erasing=outcome.erasing,
            )
        else:
            after = services.store.record(batch, outcome)
        services.events.emit(BatchChanged(batch=after))
        if reason := _attention_reason(after):
            services.events.emit(NeedsAttention(batch=after, reason=reason))
        return after


def _attention_reason(batch: Batch) -> str:
    """Return why a changed batch needs a person; empty if it does not."""
    if batch.phase is Phase.NEEDS_ATTENTION:
        return batch.reason
    if batch.phase is Phase.DELIVERED and unresolved(batch):
        return f"{unresolved(batch):,} of {batch.file.rows:,} records have an unknown outcome"
    return ""


def admit_by_connection(
    batches: Iterable[Batch], contexts: Mapping[str, JobContext], failed: Collection[str] = ()
) -> Iterator[Batch]:
    """Yield the batches that may proceed within the vendor's limits, connection by connection.

    Args:
        batches: Open batches.
        contexts: The jobs of the batches, by name.
        failed: Jobs that had to stop.
    """
    by_connection: dict[str, list[Batch]] = defaultdict(list)
    for batch in batches:
        by_connection[contexts[batch.job].job.connection].append(batch)
    account_ids = {job: context.account_id for job, context in contexts.items()}
    for group in by_connection.values():
        yield from admit(group, contexts[group[0].job].policy, account_ids, failed)
