"""The smallest scenario of each vendor, prepared once and lived many times: under faults, with a death at a checkpoint.

The world is that of `simulation`: real loop, journal, data path and client, in-process mocks, virtual time.
"""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from batchsync.core.batch import Batch, Phase
from batchsync.errors import UnavailableError
from batchsync.journal import Journal
from batchsync.reconcile.loop import WaitPolicy
from batchsync.reconcile.plan import describe, prepare
from batchsync.reconcile.sync import resume
from batchsync_mocks.clock import Clock
from batchsync_mocks.control import MockContext
from batchsync_mocks.serving import VENDORS, MockServer
from batchsync_mocks.vendor_state import VendorState
from kit.remains import Remains, Sent
from simulation import oracle
from simulation.clock import START, VirtualTime
from simulation.deployment import BDP, CDP, VENDOR_OF, Sources
from simulation.life import Crash, Fuse, Process, process
from simulation.wire import Network, Trouble, plugged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batchsync.core.policy import OnUnknownOutcome
    from batchsync.reconcile.services import JobContext, Services
    from batchsync_mocks.faults import Fault

_PORTS = {1001: BDP, 1002: CDP}


@dataclass(frozen=True)
class Plan:
    """What goes wrong in one life. `doubtful`: the vendor keeps back what became of rows, so they may end unknown."""

    name: str
    faults: tuple[Fault, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    doubtful: bool = False


@dataclass
class Ending:
    """How a life under a plan ended."""

    batch: Batch
    complaints: list[str]
    died_at: str = ""
    struck: int = 0


@dataclass(frozen=True)
class Death:
    """A checkpoint, and what a kill there leaves."""

    name: str
    remains: Remains


class _Witness(Fuse):
    """Takes what a kill would leave at each checkpoint, and lets the process live on."""

    def __init__(self, scenario: Scenario) -> None:
        """Watch the scenario."""
        super().__init__()
        self._scenario = scenario
        self.deaths: list[Death] = []

    def checkpoint(self, name: str) -> None:
        """Take everything."""
        super().checkpoint(name)
        self.deaths.append(Death(name, self._scenario.remains()))


class Scenario:
    """One job with two rows in one file, one good and one that its vendor refuses (a fresh folder for each process)."""

    #: whether the vendors' clock is on the disk, where another process goes on with it
    _lasting = False

    def __init__(self, job: str, folder: Path, doubt: OnUnknownOutcome | None = None) -> None:
        """Prepare the run once and keep a copy of everything."""
        self._describe(job, folder, doubt)
        self._begin()
        with plugged(self.network), self._process(Fuse()) as one:
            context = one.contexts[0]
            with one.world.lease(job):
                prepare_whole(context, one.world)
        shutil.copytree(self.state, self.kept)

    @classmethod
    def reopened(cls, job: str, folder: Path) -> Scenario:
        """Return a scenario that another process prepared in this folder."""
        made = cls.__new__(cls)
        made._lasting = True
        made._describe(job, folder, None)
        made._open_world()
        return made

    def _describe(self, job: str, folder: Path, doubt: OnUnknownOutcome | None) -> None:
        #: endings by the world that a death left and whether rows may end unknown
        self.endings: dict[tuple[bytes, bool], Ending] = {}
        self._last: tuple[Remains, bytes] | None = None
        self.job, self.folder, self.doubt = job, folder, doubt
        self.state, self.kept = folder / "state", folder / "kept"
        folder.mkdir(parents=True, exist_ok=True)
        self.sources = Sources(folder, random.Random(1), (job,))  # noqa: S311 - nothing is drawn
        key = "MOCK-SERVER-ERROR-1" if job == "guests" else "V1"
        bad = {"id": key, "name": "name a", "email": "a.guests@example.com"}
        good = {"id": "G2", "name": "name b", "email": "b.guests@example.com"}
        if job == "vehicles":
            bad = {"id": key, "vin": "SHORT1", "plate": "", "state": ""}
            good = {"id": "V2", "vin": "1HGCM82633A000002", "plate": "", "state": ""}
        self.sources.rows[job] = {item["id"]: item for item in (bad, good)}
        for each in (bad, good):
            self.sources.history[job, each["id"]] = [each]
            self.sources.allowed[job, self.sources.seen(job, each["id"])] = 1
        self.sources._write(job)

    def live(self, plan: Plan, crash: int | None = None) -> Ending:
        """Live once under the plan, die by an exception at the checkpoint of that number, resume, and be judged."""
        fuse = Fuse("", crash) if crash is not None else Fuse()
        struck = self._first(plan, fuse)
        return self._rest(plan, fuse.died_at, struck)

    def after(self, death: Death, plan: Plan) -> Ending:
        """Find the world as a death left it, resume in peace until rest, and be judged."""
        self._put_back(death.remains)
        return self._rest(plan, death.name)

    def lives(self, plan: Plan, *, first: int = 1, stride: int = 1) -> Iterator[tuple[int, Ending]]:
        """Yield how the life without a death ends, as number 0, and how life ends after a kill at each checkpoint.

        What follows a death is made of nothing but what the death left: the files, the hour and the requests under
        way. So a death that leaves, byte for byte and row for row, what an earlier one left has the ending of that one.
        """
        witness = _Witness(self)
        struck = self._first(plan, witness)
        yield 0, self._rest(plan, "", struck)
        for number, death in list(enumerate(witness.deaths, start=1))[first - 1 :: stride]:
            known = (self.world(death), plan.doubtful)
            if known not in self.endings:
                self.endings[known] = self.after(death, plan)
            yield number, replace(self.endings[known], died_at=death.name)

    def witnessed(self, plan: Plan) -> list[Death]:
        """Live under the plan and return what a kill would leave at each checkpoint of this life."""
        witness = _Witness(self)
        self._first(plan, witness)
        return witness.deaths

    def world(self, death: Death) -> bytes:
        """Return what tells the world that a death leaves from every other world."""
        remains = death.remains
        if self._last is None or self._last[0] != remains:
            self._last = (remains, remains.digest(self.folder / "peek"))
        return self._last[1]

    def _first(self, plan: Plan, fuse: Fuse) -> int:
        """Live the first process under the plan, end the trouble, and return how often something struck."""
        self.restore()
        self.kit.faults.arm(plan.faults)
        for trouble in plan.troubles:
            self.network.arm(trouble)
        with plugged(self.network):
            self._resume(fuse)
        struck = sum(item["hits"] for item in self.kit.faults.report()) + len(self.network.fired)
        self.kit.faults.clear()
        self.network.troubles.clear()
        return struck

    def _rest(self, plan: Plan, died_at: str, struck: int = 0) -> Ending:
        """Resume in peace until rest, and be judged."""
        with plugged(self.network):
            for _ in range(4):
                if self._batch().phase is Phase.DELIVERED:
                    break
                self._resume(Fuse())
        return Ending(self._batch(), list(self._complaints(plan)), died_at, struck)

    def restore(self) -> None:
        """Put the prepared run back, in an empty world."""
        shutil.rmtree(self.state)
        shutil.copytree(self.kept, self.state)
        self._begin()

    def _put_back(self, remains: Remains) -> None:
        """Make the world what it was, with the requests that were under way."""
        remains.put_back(self.folder)
        self._open_world(remains.epoch)
        for item in remains.sent:
            self.time.later_at(item.at, item.count, item.what, partial(self.network.land, *item.given))

    def remains(self) -> Remains:
        """Return the world as it is now."""
        return Remains.of(self.folder, self.time.epoch(), tuple(Sent(*item) for item in self.time.under_way()))

    def go_on(self) -> Ending:
        """Find the world as a killed process left it on disk, resume until rest, and be judged."""
        self._open_world()
        return self._rest(Plan("killed"), "")

    def run_once(self) -> None:
        """Resume once, in a world that outlives this process."""
        with plugged(self.network):
            self._resume(Fuse())

    def _begin(self) -> None:
        """Give the vendors an empty world, and time its beginning."""
        shutil.rmtree(self.folder / "vendors", ignore_errors=True)
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        self._open_world()

    def _open_world(self, epoch: float = START) -> None:
        """Open the vendors' world as it stands on disk; the clock too where another process goes on with it."""
        clock = Clock(epoch, frozen=True)
        (self.folder / "vendors").mkdir(exist_ok=True)
        if self._lasting:
            clock.persist_to(self.folder / "vendors" / "clock.json")
        vendors = {name: VENDORS[name](VendorState(self.folder / "vendors" / name, seed=1), clock) for name in VENDORS}
        self.kit = MockContext(clock=clock, vendors=vendors, folder=self.folder / "vendors")
        self.time = VirtualTime(clock)
        self.fuse = Fuse()
        servers = {port: MockServer(self.kit, vendors[name], "127.0.0.1", port, None) for port, name in _PORTS.items()}
        self.network = Network(servers=servers, names=_PORTS, clock=self.time, checkpoint=self._checkpoint)

    def _checkpoint(self, name: str) -> None:
        self.fuse.checkpoint(name)

    def _process(self, fuse: Fuse):  # noqa: ANN202 - what `process` returns
        self.fuse = fuse
        credentials = {name: dict(vendor.credentials) for name, vendor in self.kit.vendors.items()}
        return process(self.state, self.sources, self.time, fuse, credentials, 50)

    def _resume(self, fuse: Fuse) -> None:
        self.time.sleeps = 0
        try:
            with self._process(fuse) as one:
                self._resume_in(one)
        except Crash:
            pass
        finally:
            self.fuse = Fuse()

    def _resume_in(self, one: Process) -> None:
        contexts = one.contexts
        if self.doubt is not None:
            changed = {"on_unknown_allocation": self.doubt}
            contexts = tuple(replace(each, policy=replace(each.policy, **changed)) for each in contexts)
        for outcome in resume(contexts, one.world, WaitPolicy()):
            if outcome.error is not None and not isinstance(outcome.error, UnavailableError):
                raise outcome.error

    def _batch(self) -> Batch:
        with Journal.open(self.state) as journal:
            return journal.batches(f"{self.job}-1")[0]

    def _complaints(self, plan: Plan):  # noqa: ANN202 - an iterator of texts
        slots = oracle.slots_of(self.kit.vendors)
        with Journal.open(self.state) as journal:
            batches = oracle.all_batches(journal, (self.job,))
            yield from oracle.never_twice(slots, self.sources)
            yield from oracle.books_are_true(slots, batches, doubtful=[item.id for item in batches if plan.doubtful])
            yield from oracle.tickets_follow(self.kit.vendors, batches)
            yield from oracle.equations_hold(journal, (self.job,))
            yield from _content_once(slots, batches)
            batch = batches[0]
            if batch.phase is not Phase.DELIVERED and not batch.reason:
                yield f"the batch ended {batch.phase} and nobody says why"
            if batch.phase is Phase.DELIVERED and VENDOR_OF[self.job] == BDP and not plan.doubtful:
                yield from oracle.results_are_whole(slots, self.sources, journal, self.folder)


def prepare_whole(context: JobContext, world: Services) -> None:
    """Seal a run to its end, and send nothing."""
    with prepare(context, world, describe(context, world)) as preparation:
        while preparation.preparing:
            preparation.take()


def _content_once(slots: dict[str, oracle.Slot], batches: list[Batch]):  # noqa: ANN202 - an iterator of texts
    held = [slot for slot in slots.values() if slot.md5 is not None]
    if len(held) > 1:
        yield f"the content stands in {len(held)} slots"
    for item in held:
        if item.md5 != batches[0].file.md5:
            yield "the vendor holds something that was never sealed"
