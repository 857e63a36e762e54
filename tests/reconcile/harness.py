"""The engine as `app` wires it, in this process: real journal, data path, sinks, and HTTP to the mocks in the box."""

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
#: As far as it goes at once; and until everything is at rest.
NO_WAIT, WAIT = WaitPolicy(wait=False), WaitPolicy()
#: What a vendor is asked, by which a fault finds its request.
ALLOCATE = {
    "guests": {"method": "PUT", "path": r"^/v2/batches/"},
    "vehicles": {"method": "POST", "path": r"/batches$"},
}
UPLOAD = {"method": "PUT", "path": r"^/_storage"}
#: S3's own word that it did not take a file: the one refusal of an upload that proves it.
THROTTLED = {"kind": "status", "status": 503, "text": "<Error><Code>SlowDown</Code></Error>", **UPLOAD}
POLL = {
    "guests": {"method": "GET", "path": r"^/v2/batches/inspect/"},
    "vehicles": {"method": "GET", "path": r"/batches/[^/]+$"},
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
        """Return the same harness in a services with something else in it."""
        return replace(self, services=replace(self.services, **changes))

    def context(self, job: str, **changes: Any) -> JobContext:
        """Return a job with everything it takes to run it; `changes` are of the job itself."""
        (known,) = self.app.jobs([job])
        return replace(self.app.context(known), job=replace(known, **changes))

    def sync(self, job: str, patience: WaitPolicy = NO_WAIT) -> JobOutcome:
        """Plan and send."""
        (outcome,) = sync([self.context(job)], self.services, patience)
        return outcome

    def resume(self, job: str, patience: WaitPolicy = WAIT) -> JobOutcome:
        """Follow what is open."""
        (outcome,) = resume([self.context(job)], self.services, patience)
        return outcome

    def batch(self, job: str) -> Batch:
        """Return the newest batch of the job as the journal knows it."""
        journal = self.app.journal
        return next(batches[-1] for run in journal.history(job) if (batches := journal.batches(run.id)))

    def left_in_allocation(self, job: str, *, filled: bool = False) -> Batch:
        """Return a batch that has a slot, as the next process finds it; `filled`: its file is in the slot.

        Where it is filled, the journal is as one that was restored from a backup of before the upload.
        """
        self.arm(job, kind="status", status=400, text='{"message": "no"}', **ALLOCATE[job])
        self.sync(job)
        self.clear_faults()
        batch, context, now = self.batch(job), self.context(job), self.services.clock.now()
        with self.services.lease(job):
            batch = self.services.store.record(batch, events.Reopened(at=now, reason="by hand"))
            batch = self.services.store.record(batch, events.IntentRecorded(at=now, verb=Verb.ALLOCATE))
            idempotency_key = naming.idempotency_key(batch.job, batch.file.digest, batch.attempt)
            slot = context.vendor.allocate(idempotency_key, batch.file, batch.target)
            self.services.store.record(batch, events.Allocated(at=now, allocation=slot))
        if filled:
            context.vendor.upload(slot, batch.file)
        return self.batch(job)

    def arm(self, job: str, **fault: Any) -> None:
        """Let the job's vendor, or the way to it, fail."""
        self.deployment.mocks.arm(Fault(vendor=VENDOR_OF[job], **fault))

    def clear_faults(self) -> None:
        """End all faults."""
        self.deployment.mocks.disarm()

    def requests(self) -> list[str]:
        """Return what all vendors were asked so far."""
        return [f"{request['method']} {request['path']}" for request in self.deployment.mocks.requests()]

    def advance(self, duration: timedelta) -> None:
        """Let time pass."""
        self.services.clock.sleep(duration)

    def delivered_once(self, job: str) -> bool:
        """Whether the vendor has every row, and none twice."""
        return set(self.deployment.delivered(VENDOR_OF[job]).values()) == {1}
