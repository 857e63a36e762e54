"""The engine as `app` wires it, in this process: real journal, data path, sinks, and HTTP to the mocks in the box."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kit.deployment import BDP, CDP, Deployment
from lading.app import App
from lading.core import events, tickets
from lading.core.batch import Verb
from lading.reconcile.loop import Patience
from lading.reconcile.sync import JobOutcome, resume, sync
from lading.settings import Settings
from lading_mocks.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from lading.core.batch import Batch
    from lading.reconcile.context import JobContext, World

VENDOR_OF = {"guests": CDP, "vehicles": BDP}
#: As far as it goes at once; and until everything is at rest.
AT_ONCE, PATIENT = Patience(wait=False), Patience()
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
class Office:
    """A deployment and its engine. `world` may be replaced by one with another clock or another lease."""

    deployment: Deployment
    app: App
    world: World

    @classmethod
    @contextmanager
    def opened(cls, deployment: Deployment) -> Iterator[Office]:
        """Wire the engine of a deployment."""
        environ = deployment.environ()
        with App(
            Settings(file=deployment.folder / "jobs.yaml", mocks=True, mocks_at=environ["LADING_MOCKS_AT"])
        ) as app:
            yield cls(deployment, app, app.world())

    def with_world(self, **changes: Any) -> Office:
        """Return the same office in a world with something else in it."""
        return replace(self, world=replace(self.world, **changes))

    def context(self, job: str, **changes: Any) -> JobContext:
        """Return a job with everything it takes to run it; `changes` are of the job itself."""
        (known,) = self.app.jobs([job])
        return replace(self.app.context(known), job=replace(known, **changes))

    def sync(self, job: str, patience: Patience = AT_ONCE) -> JobOutcome:
        """Plan and send."""
        (outcome,) = sync([self.context(job)], self.world, patience)
        return outcome

    def resume(self, job: str, patience: Patience = PATIENT) -> JobOutcome:
        """Follow what is open."""
        (outcome,) = resume([self.context(job)], self.world, patience)
        return outcome

    def batch(self, job: str) -> Batch:
        """Return the newest batch of the job as the journal knows it."""
        journal = self.app.journal
        return next(batches[-1] for run in journal.history(job) if (batches := journal.batches(run.id)))

    def left_in_a_slot(self, job: str, *, filled: bool = False) -> Batch:
        """Return a batch that has a slot, as the next process finds it; `filled`: its file is in the slot.

        Where it is filled, the journal is as one that was restored from a backup of before the upload.
        """
        self.arm(job, kind="status", status=400, text='{"message": "no"}', **ALLOCATE[job])
        self.sync(job)
        self.calm()
        batch, context, now = self.batch(job), self.context(job), self.world.clock.now()
        with self.world.lease(job):
            batch = self.world.memory.record(batch, events.Reopened(at=now, reason="by hand"))
            batch = self.world.memory.record(batch, events.Announced(at=now, verb=Verb.ALLOCATE))
            ticket = tickets.ticket(batch.job, batch.file.digest, batch.attempt)
            slot = context.vendor.allocate(ticket, batch.file, batch.target)
            self.world.memory.record(batch, events.Allocated(at=now, slot=slot))
        if filled:
            context.vendor.upload(slot, batch.file)
        return self.batch(job)

    def arm(self, job: str, **fault: Any) -> None:
        """Let the job's vendor, or the way to it, fail."""
        self.deployment.mocks.arm(Fault(vendor=VENDOR_OF[job], **fault))

    def calm(self) -> None:
        """End all faults."""
        self.deployment.mocks.disarm()

    def requests(self) -> list[str]:
        """Return what all vendors were asked so far."""
        return [f"{one['method']} {one['path']}" for one in self.deployment.mocks.requests()]

    def pass_by(self, duration: timedelta) -> None:
        """Let time pass."""
        self.world.clock.sleep(duration)

    def delivered_once(self, job: str) -> bool:
        """Whether the vendor has every row, and none twice."""
        return set(self.deployment.delivered(VENDOR_OF[job]).values()) == {1}
