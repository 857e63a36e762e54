"""Orders of a person to the loop of `serve`, and how the loop performs them between two passes.

An order names what the person saw: the digest of a plan, a run, or the newest event of a batch. Nothing is done if
there is a newer one.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core.batch import Phase
from batchsync.core.run import RunState
from batchsync.reconcile.collect_again import collect_again
from batchsync.reconcile.loop import WaitPolicy
from batchsync.reconcile.renames import as_former
from batchsync.reconcile.reopen import reopen
from batchsync.reconcile.resolve import resolve
from batchsync.reconcile.services import JobContext
from batchsync.reconcile.sync import resume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from batchsync.core.batch import Batch
    from batchsync.ports.overview import OrderStore
    from batchsync.reconcile.services import SelectedJob, Services
    from batchsync.reconcile.sync import JobOutcome

_AT_ONCE = WaitPolicy(wait=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a form asks for.

    Attributes:
        verb: approve, resolve, collect, resume, run or plan.
        job: Name of the job.
        run: Run whose plan is approved.
        plan: Digest of that plan, as the page showed it.
        batch: Batch that is resolved or collected.
        version: Number of its newest event, as the page showed it.
        delivered: Of a resolution: whether the vendor has the rows.
        send: Of an approval: whether the job runs at once.
        name: Who asks.
        reason: Why.
    """

    verb: str
    job: str
    run: str = ""
    plan: str = ""
    batch: str = ""
    version: int = 0
    delivered: bool = False
    send: bool = False
    name: str = ""
    reason: str = ""

    @property
    def words(self) -> str:
        """The reason with the name, as it is journaled."""
        return f"{self.reason} ({self.name}, on the page)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What became of an order.

    Attributes:
        sentence: What was done, or why nothing was.
        done: Whether it was done.
        stale: Whether the page showed an older state, so that nothing was done.
        runs: The job that is to run now; empty for none.
    """

    sentence: str
    done: bool = True
    stale: bool = False
    runs: str = ""


_STALE = Reply(sentence="This was decided, or changed, after the page was read.", done=False, stale=True)


@dataclass(frozen=True, slots=True)
class Orders:
    """Performer of orders.

    Attributes:
        services: Where jobs run.
        store: Runs, batches and approvals.
        on_outcome: Takes the outcomes of runs that are resumed.
    """

    services: Services
    store: OrderStore
    on_outcome: Callable[[JobOutcome], None]

    def perform(self, order: Order, contexts: Sequence[SelectedJob]) -> Reply:
        """Perform an order under the leases of its job.

        Args:
            order: The order.
            contexts: The active jobs.

        Returns:
            What became of it, and the job that is to run now because of it.

        Raises:
            BatchsyncError: If it cannot be done, as by the command of the same name.
        """
        context = next((item for item in contexts if order.job in item.job.all_names), None)
        match order.verb:
            case "approve":
                return self._approve(order)
            case "run":
                return self._run(order, context)
            case "resume":
                return self._resume(order, context)
            case _:
                return self._settle(order, context)

    def _approve(self, order: Order) -> Reply:
        last = self.store.last_run(order.job)
        if last is None or (last.id, last.plan) != (order.run, order.plan):
            return _STALE
        if last.state is not RunState.AWAITING_APPROVAL or self.store.approved(order.job, order.plan):
            return _STALE
        self.store.approve(order.job, order.plan, order.words, self.services.clock.now())
        return Reply(sentence="approved", runs=order.job if order.send else "")

    def _run(self, order: Order, context: SelectedJob | None) -> Reply:
        if context is None:
            return Reply(sentence=f"Job {order.job} is not served here.", done=False)
        last = self.store.last_run(order.job)
        if (str(last.id) if last is not None else "") != order.run:
            return _STALE
        return Reply(sentence="runs", runs=context.job.name)

    def _resume(self, order: Order, context: SelectedJob | None) -> Reply:
        if not isinstance(context, JobContext):
            return unserved(order)
        open_batches = self.services.store.open_batches(order.job)
        parked = [item.id for item in open_batches if item.phase is Phase.NEEDS_ATTENTION]
        if not parked or max(map(self.store.last_event, parked)) != order.version:
            return _STALE
        with self.services.lease(order.job):
            reopen(context, self.services, order.words)
        for outcome in resume([context], self.services, _AT_ONCE):
            self.on_outcome(outcome)
        return Reply(sentence="resumed")

    def _settle(self, order: Order, context: SelectedJob | None) -> Reply:
        """Resolve a batch, or collect it again."""
        batch = self.store.batch(order.batch)
        if batch is None or batch.job != order.job or self.store.last_event(batch.id) != order.version:
            return _STALE
        able = context if isinstance(context, JobContext) else None
        if able is not None and able.job.name != batch.job:
            able = as_former(able, batch.job)
        with self._leases(batch):
            if order.verb == "resolve":
                resolve(batch, able, self.services, delivered=order.delivered, reason=order.words)
            elif able is None:
                return unserved(order)
            else:
                collect_again(batch, able, self.services)
        return Reply(sentence="settled")

    @contextmanager
    def _leases(self, batch: Batch) -> Iterator[None]:
        """Hold the leases of a batch's job and of the job that has its rows now."""
        with ExitStack() as leases:
            for name in dict.fromkeys((batch.job, self.services.store.baseline_owner(batch.id))):
                leases.enter_context(self.services.lease(name))
            yield


def unserved(order: Order) -> Reply:
    """Return that the job of an order cannot reach its vendor here."""
    return Reply(sentence=f"Job {order.job} is not served here, or its vendor is not configured.", done=False)
