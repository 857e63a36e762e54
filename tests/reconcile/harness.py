"""The engine as `app` wires it, in this process: journal, data engine, sinks, and HTTP to the bundled mocks."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from batchsync.app import App
from batchsync.core import events, naming
from batchsync.core.batch import Verb
from batchsync.reconcile.loop import WaitPolicy
from batchsync.reconcile.sync import JobOutcome, resume, sync
from batchsync.settings import Settings
from batchsync_mocks.faults import Fault
from kit.deployment import BDP, CDP, Deployment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from batchsync.core.batch import Batch
    from batchsync.reconcile.services import JobContext, Services

VENDOR_OF = {"guests": CDP, "vehicles": BDP}
#: Only due steps; all steps until nothing is left to do.
NO_WAIT, WAIT = WaitPolicy(wait=False), WaitPolicy()
#: Requests of a vendor, for faults.
ALLOCATE = {
    "guests": {"method": "PUT", "path": r"^/v2/batches/"},
    "vehicles": {"method": "POST", "path": r"/batches$"},
}
UPLOAD = {"method": "PUT", "path": r"^/_storage"}
#: Response of S3 that proves that it did not take the file.
THROTTLED = {"kind": "status", "status": 503, "text": "<Error><Code>SlowDown</Code></Error>", **UPLOAD}
POLL = {
    "guests": {"method": "GET", "path": r"^/v2/batches/inspect/"},
    "vehicles": {"method": "GET", "path": r"/batches/[^/]+/reports$"},
}


@dataclass(frozen=True)
class Harness:
    """A deployment and its engine. `services` may be replaced by one with another clock or another lease."""

    deployment: Deployment
    app: App
    services: Services

    @classmethod
    @contextmanager
    def opened(cls, deployment: Deployment) -> Iterator[Harness]:
        """Wire the engine of a deployment."""
        environ = deployment.environ()
        with App(
            Settings(file=deployment.folder / "jobs.yaml", mocks=True, mocks_at=environ["BATCHSYNC_MOCKS_AT"])
        ) as app:
            yield cls(deployment, app, app.services())

    def with_services(self, **changes: Any) -> Harness:
        """Return the same harness with changed services."""
        return replace(self, services=replace(self.services, **changes))

    def context(self, job: str, **changes: Any) -> JobContext:
        """Return the context of a job; `changes` are fields of the job."""
        (found,) = self.app.jobs([job])
        return replace(self.app.context(found), job=replace(found, **changes))

    def sync(self, job: str, wait_policy: WaitPolicy = NO_WAIT) -> JobOutcome:
        """Plan and send a new run."""
        (outcome,) = sync([self.context(job)], self.services, wait_policy)
        return outcome

    def resume(self, job: str, wait_policy: WaitPolicy = WAIT) -> JobOutcome:
        """Resume open batches."""
        (outcome,) = resume([self.context(job)], self.services, wait_policy)
        return outcome

    def batch(self, job: str) -> Batch:
        """Return the newest batch of the job from the journal."""
        journal = self.app.journal
        return next(batches[-1] for run in journal.history(job) if (batches := journal.batches(run.id)))

    def left_in_allocation(self, job: str, *, filled: bool = False) -> Batch:
        """Return a batch with an allocation, as the next process finds it.

        `filled`: its file was uploaded, and the journal was restored from a backup made before.
        """
        self.arm(job, kind="status", status=400, text='{"message": "no"}', **ALLOCATE[job])
        self.sync(job)
        self.clear_faults()
        batch, context, now = self.batch(job), self.context(job), self.services.clock.now()
        with self.services.lease(job):
            batch = self.services.store.record(batch, events.Reopened(at=now, reason="manually"))
            if batch.pending_intent is None:
                batch = self.services.store.record(batch, events.IntentRecorded(at=now, verb=Verb.ALLOCATE))
            idempotency_key = naming.idempotency_key(batch.job, batch.file.digest, batch.attempt)
            allocation = context.vendor.allocate(idempotency_key, batch.file, batch.target)
            self.services.store.record(batch, events.Allocated(at=now, allocation=allocation))
        if filled:
            context.vendor.upload(allocation, batch.file)
        return self.batch(job)

    def arm(self, job: str, **fault: Any) -> None:
        """Inject a fault into the requests to the job's vendor."""
        self.deployment.mocks.arm(Fault(vendor=VENDOR_OF[job], **fault))

    def clear_faults(self) -> None:
        """Remove all faults."""
        self.deployment.mocks.disarm()

    def requests(self) -> list[str]:
        """Return the requests to all vendors so far."""
        return [f"{request['method']} {request['path']}" for request in self.deployment.mocks.requests()]

    def advance(self, duration: timedelta) -> None:
        """Advance the clock."""
        self.services.clock.sleep(duration)

    def delivered_once(self, job: str) -> bool:
        """Return whether the vendor received every row exactly once."""
        return set(self.deployment.delivered(VENDOR_OF[job]).values()) == {1}
