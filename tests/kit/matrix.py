"""The smallest scenario of each vendor, prepared once and run many times: under faults, with a death at a checkpoint.

The environment is that of `simulation`: real loop, journal, data path and client, in-process mocks, virtual time.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from batchsync.core.batch import Batch, Phase
from batchsync.errors import UnavailableError
from batchsync.journal import Journal
from batchsync.reconcile.describe import describe
from batchsync.reconcile.loop import WaitPolicy
from batchsync.reconcile.plan import prepare
from batchsync.reconcile.sync import resume
from batchsync_mocks.clock import Clock
from batchsync_mocks.control import MockContext
from batchsync_mocks.serving import VENDORS, MockServer
from batchsync_mocks.vendor_state import VendorState
from kit.draws import draws
from kit.snapshot import InFlightRequest, Snapshot
from simulation import oracle
from simulation.clock import START, VirtualTime
from simulation.data_vendors import BY_JOB, DataSources
from simulation.deployment import BDP, CDP, VENDOR_OF, Sources
from simulation.network import Network, NetworkFault, connected
from simulation.process_life import Crash, CrashPoint, Process, process, workers_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync.core.policy import OnUnknownOutcome
    from batchsync.reconcile.services import JobContext, Services
    from batchsync_mocks.faults import Fault


@dataclass(frozen=True)
class FaultPlan:
    """Faults of a process. `doubtful`: the vendor withholds row outcomes, so rows may end as unknown."""

    name: str
    faults: tuple[Fault, ...] = ()
    troubles: tuple[NetworkFault, ...] = ()
    doubtful: bool = False


@dataclass
class Ending:
    """How a run under a fault plan ended."""

    batch: Batch
    complaints: list[str]
    died_at: str = ""
    struck: int = 0


@dataclass(frozen=True)
class Death:
    """A checkpoint, and the state that a kill there leaves."""

    name: str
    snapshot: Snapshot


class _Recorder(CrashPoint):
    """Takes a snapshot at each checkpoint without stopping the process.

    Of very many checkpoints, such as those of polls that are never answered, only each second, fourth, eighth and so
    on is kept, so that the snapshots fit into memory.
    """

    #: Largest number of snapshots that are kept.
    LIMIT = 500

    def __init__(self, scenario: Scenario) -> None:
        """Store the scenario."""
        super().__init__()
        self._scenario = scenario
        self._seen, self._step = 0, 1
        #: deaths by number of the checkpoint
        self.deaths: dict[int, Death] = {}

    def checkpoint(self, name: str) -> None:
        """Take a snapshot."""
        super().checkpoint(name)
        self._seen += 1
        if self._seen % self._step:
            return
        self.deaths[self._seen] = Death(name, self._scenario.snapshot())
        if len(self.deaths) > self.LIMIT:
            self._step *= 2
            self.deaths = {number: death for number, death in self.deaths.items() if number % self._step == 0}


class Scenario:
    """A job with two rows in a file, a good row and a row that the vendor rejects (a new folder for each process)."""

    #: whether the vendors' clock is stored on disk, so that another process continues it
    _lasting = False

    def __init__(self, job: str, folder: Path, doubt: OnUnknownOutcome | None = None) -> None:
        """Prepare the run and keep a copy of its state."""
        self._describe(job, folder, doubt)
        self._begin()
        with connected(self.network), self._process(CrashPoint()) as life:
            context = life.contexts[0]
            with life.services.lease(job):
                prepare_completely(context, life.services)
        shutil.copytree(self.state, self.kept)

    @classmethod
    def reopened(cls, job: str, folder: Path) -> Scenario:
        """Return a scenario that another process prepared in this folder."""
        scenario = cls.__new__(cls)
        scenario._lasting = True
        scenario._describe(job, folder, None)
        scenario._open_world()
        return scenario

    def _describe(self, job: str, folder: Path, doubt: OnUnknownOutcome | None) -> None:
        #: endings by digest of the state that a death left, and by whether rows may end as unknown
        self.endings: dict[tuple[bytes, bool], Ending] = {}
        self._last: tuple[Snapshot, bytes] | None = None
        self.job, self.folder, self.doubt = job, folder, doubt
        self.state, self.kept = folder / "state", folder / "kept"
        folder.mkdir(parents=True, exist_ok=True)
        kind = DataSources if job in BY_JOB else Sources
        self.sources = kind(folder, draws(1), (job,))
        #: mock vendors by name, and their names by port
        self._kinds, self._ports = dict(VENDORS), {1001: BDP, 1002: CDP}
        if job in BY_JOB:
            self._kinds, self._ports = {BY_JOB[job].name: BY_JOB[job].mock}, {BY_JOB[job].port: BY_JOB[job].name}
        key = "MOCK-SERVER-ERROR-1" if job == "guests" else "V1"
        bad = {"id": key, "name": "name a", "email": "a.guests@example.com"}
        good = {"id": "G2", "name": "name b", "email": "b.guests@example.com"}
        if job == "vehicles":
            bad = {"id": key, "vin": "SHORT1", "plate": "", "state": ""}
            good = {"id": "V2", "vin": "1HGCM82633A000002", "plate": "", "state": ""}
        if job in BY_JOB:
            bad = {"id": "K1", "name": "MOCK-REJECT a", "email": "a@example.com"}
        self.sources.rows[job] = {item["id"]: item for item in (bad, good)}
        for row in (bad, good):
            self.sources.history[job, row["id"]] = [row]
            self.sources.allowed[job, self.sources.vendor_view(job, row["id"])] = 1
        self.sources._write(job)

    def run_with_crash(self, plan: FaultPlan, crash: int | None = None) -> Ending:
        """Run under the plan, die of an exception at the checkpoint of that number, resume, and return the ending."""
        crash_point = CrashPoint("", crash) if crash is not None else CrashPoint()
        struck = self._first(plan, crash_point)
        return self._rest(plan, crash_point.died_at, struck)

    def resume_after(self, death: Death, plan: FaultPlan) -> Ending:
        """Restore the state that a death left, resume without faults, and return the ending."""
        self._restore_snapshot(death.snapshot)
        return self._rest(plan, death.name)

    def endings_of(self, plan: FaultPlan, *, first: int = 1, stride: int = 1) -> Iterator[tuple[int, Ending]]:
        """Yield the ending without a death, as number 0, and the ending after a kill at each checkpoint.

        An ending depends only on what the death left: files, time and requests in flight. Deaths that leave the same
        state, byte for byte and row for row, therefore have the same ending.
        """
        recorder = _Recorder(self)
        struck = self._first(plan, recorder)
        yield 0, self._rest(plan, "", struck)
        for number, death in list(recorder.deaths.items())[first - 1 :: stride]:
            known = (self.state_digest(death), plan.doubtful)
            if known not in self.endings:
                self.endings[known] = self.resume_after(death, plan)
            yield number, replace(self.endings[known], died_at=death.name)

    def deaths_of(self, plan: FaultPlan) -> list[Death]:
        """Run under the plan and return the state that a kill would leave at each checkpoint."""
        recorder = _Recorder(self)
        self._first(plan, recorder)
        return list(recorder.deaths.values())

    def state_digest(self, death: Death) -> bytes:
        """Return a digest of the state that a death leaves."""
        snapshot = death.snapshot
        if self._last is None or self._last[0] != snapshot:
            self._last = (snapshot, snapshot.digest(self.folder / "peek"))
        return self._last[1]

    def _first(self, plan: FaultPlan, crash_point: CrashPoint) -> int:
        """Run the first process under the plan, end the faults, and return how often they struck."""
        self.restore()
        self.kit.faults.arm(plan.faults)
        for trouble in plan.troubles:
            self.network.arm(trouble)
        with connected(self.network):
            self._resume(crash_point)
        struck = sum(item["hits"] for item in self.kit.faults.report()) + len(self.network.hits)
        self.kit.faults.clear()
        self.network.faults.clear()
        return struck

    def _rest(self, plan: FaultPlan, died_at: str, struck: int = 0) -> Ending:
        """Resume without faults until nothing is left to do, and return the ending."""
        with connected(self.network):
            for _ in range(4):
                if self._batch().phase is Phase.DELIVERED:
                    break
                self._resume(CrashPoint())
        return Ending(self._batch(), list(self._complaints(plan)), died_at, struck)

    def restore(self) -> None:
        """Restore the prepared run, with empty vendors."""
        shutil.rmtree(self.state)
        shutil.copytree(self.kept, self.state)
        self._begin()

    def _restore_snapshot(self, snapshot: Snapshot) -> None:
        """Restore a snapshot with its requests in flight."""
        snapshot.write_to(self.folder)
        self._open_world(snapshot.epoch)
        for item in snapshot.sent:
            self.time.schedule_at(item.at, item.count, item.name, partial(self.network.deliver_late, *item.arguments))

    def snapshot(self) -> Snapshot:
        """Return a snapshot of the current state."""
        return Snapshot.of(
            self.folder, self.time.epoch(), tuple(InFlightRequest(*item) for item in self.time.scheduled())
        )

    def resume_from_disk(self) -> Ending:
        """Open the state that a killed process left, resume until nothing is left to do, and return the ending."""
        self._open_world()
        return self._rest(FaultPlan("killed"), "")

    def run_once(self) -> None:
        """Resume once; the state of the vendors stays on disk."""
        with connected(self.network):
            self._resume(CrashPoint())

    def _begin(self) -> None:
        """Reset the vendors and the clock."""
        shutil.rmtree(self.folder / "vendors", ignore_errors=True)
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        self._open_world()

    def _open_world(self, epoch: float = START) -> None:
        """Open the state of the vendors on disk, and that of the clock if another process continues it."""
        clock = Clock(epoch, frozen=True)
        (self.folder / "vendors").mkdir(exist_ok=True)
        if self._lasting:
            clock.persist_to(self.folder / "vendors" / "clock.json")
        folder, kinds = self.folder / "vendors", self._kinds
        vendors = {name: kinds[name](VendorState(folder / name, seed=1), clock) for name in kinds}
        self.kit = MockContext(clock=clock, vendors=vendors, folder=self.folder / "vendors")
        self.time = VirtualTime(clock)
        self.crash_point = CrashPoint()
        names = self._ports
        servers = {port: MockServer(self.kit, vendors[name], "127.0.0.1", port, None) for port, name in names.items()}
        self.network = Network(servers=servers, names=names, clock=self.time, checkpoint=self._checkpoint)

    def _checkpoint(self, name: str) -> None:
        self.crash_point.checkpoint(name)

    def _process(self, crash_point: CrashPoint):  # noqa: ANN202 - what `process` returns
        self.crash_point = crash_point
        credentials = {name: dict(vendor.credentials) for name, vendor in self.kit.vendors.items()}
        given = (self.state, self.sources, self.time, crash_point, credentials, 50)
        return process(*given, anchored=False, workers=workers_of(1))

    def _resume(self, crash_point: CrashPoint) -> None:
        self.time.sleeps = 0
        try:
            with self._process(crash_point) as life:
                self._resume_in(life)
        except Crash:
            pass
        finally:
            self.crash_point = CrashPoint()

    def _resume_in(self, life: Process) -> None:
        contexts = life.contexts
        if self.doubt is not None:
            changed = {"on_unknown_allocation": self.doubt}
            contexts = tuple(replace(context, policy=replace(context.policy, **changed)) for context in contexts)
        for outcome in resume(contexts, life.services, WaitPolicy()):
            if outcome.error is not None and not isinstance(outcome.error, UnavailableError):
                raise outcome.error

    def vendor_batches(self) -> dict[str, oracle.VendorBatch]:
        """Return the batches at the vendors by id."""
        return oracle.vendor_batches(self.kit.vendors)

    def _batch(self) -> Batch:
        with Journal.open(self.state) as journal:
            return journal.batches(f"{self.job}-1")[0]

    def _complaints(self, plan: FaultPlan):  # noqa: ANN202 - an iterator of strings
        vendor_batches = self.vendor_batches()
        with Journal.open(self.state) as journal:
            batches = oracle.all_batches(journal, (self.job,))
            yield from oracle.check_no_duplicates(vendor_batches, self.sources)
            yield from oracle.check_row_counts(
                vendor_batches, batches, doubtful=[item.id for item in batches if plan.doubtful]
            )
            if self.job not in BY_JOB:
                yield from oracle.check_idempotency_keys(self.kit.vendors, batches)
            yield from oracle.check_journal(journal, (self.job,))
            yield from _content_once(vendor_batches, batches)
            batch = batches[0]
            if batch.phase is not Phase.DELIVERED and not batch.reason:
                yield f"the batch ended as {batch.phase} without a reason"
            if batch.phase is Phase.DELIVERED and VENDOR_OF[self.job] == BDP and not plan.doubtful:
                yield from oracle.check_results(vendor_batches, self.sources, journal, self.folder)


def prepare_completely(context: JobContext, services: Services) -> None:
    """Write all batch files of a run, and send nothing."""
    with prepare(context, services, describe(context, services)) as preparation:
        while preparation.preparing:
            preparation.take()


def _content_once(vendor_batches: dict[str, oracle.VendorBatch], batches: list[Batch]):  # noqa: ANN202 - an iterator of strings
    uploaded = [item for item in vendor_batches.values() if item.md5 is not None]
    if len(uploaded) > 1:
        yield f"the content was uploaded to {len(uploaded)} allocations"
    for item in uploaded:
        if item.md5 != batches[0].file.md5:
            yield "the vendor holds a file that was never finalized"
