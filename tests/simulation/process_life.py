"""One process of batchsync, from start to end or crash. Everything in it is real except the clock and the network."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from batchsync.data import PolarsEngine
from batchsync.errors import SpecError
from batchsync.journal import Journal
from batchsync.journal.anchor import Anchor
from batchsync.journal.lease import lease
from batchsync.ports import BatchChanged, Waiting
from batchsync.reconcile.background import InlineProducer
from batchsync.reconcile.services import JobContext, Services, StatePaths
from batchsync.sinks import Sinks
from batchsync.source import fetch
from batchsync.storage.local_folder import LocalFolder
from batchsync.vendors.connect import connect
from kit.dying_workers import DyingWorkers
from simulation.deployment import VENDOR_OF, logical, vendor_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from batchsync.core.batch import BatchFile
    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.ports import RunEvent, Vendor
    from simulation.clock import VirtualTime
    from simulation.deployment import Sources


class Crash(BaseException):
    """The process ends here, without cleaning up."""


@dataclass
class CrashPoint:
    """Counts checkpoints and crashes the process at the n-th whose name matches `pattern`."""

    pattern: str | None = None
    nth: int = 1
    log: Callable[[str], None] = lambda _: None
    passed: int = 0
    matched: int = 0
    died_at: str = ""
    dead: bool = False
    #: pattern, n and action: the process is stopped at the n-th matching checkpoint, and the action runs meanwhile
    stop: tuple[str, int, Callable[[], None]] | None = None
    stopped: int = 0
    #: whether the leases of the process were broken, so that none of its writes may succeed
    fenced: bool = False
    #: whether that happened while it was stopped
    lost_leases: bool = False
    #: writes that succeeded although the process is fenced
    fenced_writes: list[str] = field(default_factory=list)

    def checkpoint(self, name: str) -> None:
        """Pass, or crash. After a crash every checkpoint crashes, so that `finally` does nothing."""
        if self.dead:
            raise Crash(name)
        self.passed += 1
        if name == "take_lease:committed":
            # A process may acquire the lease of another job, and write about that job.
            self.fenced = False
        if self.fenced and name.endswith(":committed") and not name.startswith("drop_lease"):
            self.fenced_writes.append(name)
        if self.stop is not None and re.search(self.stop[0], name):
            self.stopped += 1
            if self.stopped == self.stop[1]:
                self.log(f"stopped at {name}")
                self.stop[2]()
                self.log("continues")
        if self.pattern is None or not re.search(self.pattern, name):
            return
        self.matched += 1
        if self.matched == self.nth:
            self.dead, self.died_at = True, name
            self.log(f"died at {name}")
            raise Crash(name)


class Checkpointed:
    """Wrapper of a port with a checkpoint before and after each call."""

    def __init__(self, inner: object, name: str, methods: frozenset[str], crash_point: CrashPoint) -> None:
        """Wrap the methods of `inner`."""
        self._inner, self._name, self._methods, self._fuse = inner, name, methods, crash_point

    def __getattr__(self, method: str) -> Any:
        """Return the method with its two checkpoints."""
        call = getattr(self._inner, method)
        if method not in self._methods:
            return call

        def checkpointed(*args: Any, **kwargs: Any) -> Any:
            self._fuse.checkpoint(f"{self._name}.{method}:before")
            result = call(*args, **kwargs)
            self._fuse.checkpoint(f"{self._name}.{method}:after")
            return result

        return checkpointed


#: Rejects of a run that are rows of the journal; the others are objects.
REJECT_ROWS = 1
_METHODS = {
    "vendor": frozenset({"describe", "allocate", "find", "upload", "poll", "collect", "cancel"}),
    "data": frozenset({"compare", "join_outcomes", "apply_verdicts", "forget"}),
    "sink": frozenset({"deliver", "remove"}),
}


def _staged(files: Generator[BatchFile], crash_point: CrashPoint) -> Iterator[BatchFile]:
    """Yield the files, each encoded on demand, with a checkpoint before and after.

    The generator is closed at once when the iteration ends. Otherwise the garbage collector would wait for the threads
    of a crashed process at an arbitrary point of another one.
    """
    with contextlib.closing(files):
        while True:
            crash_point.checkpoint("data.stage:before")
            file = next(files, None)
            crash_point.checkpoint("data.stage:after")
            if file is None:
                return
            yield file


class TranscriptSink:
    """Event sink that writes changes of batches to the transcript."""

    def __init__(self, log: Callable[[str], None]) -> None:
        """Write to `log`."""
        self._log = log

    def emit(self, event: RunEvent, /) -> None:
        """Log the state of a changed batch, or the end of a wait."""
        match event:
            case BatchChanged(batch=batch):
                state = f"{batch.phase} intent={batch.pending_intent} attempt={batch.attempt} {batch.vendor_status}"
                self._log(f"{batch.id} {state}")
            case Waiting(until=until):
                self._log(f"waits until {until.isoformat()}")
            case _:
                pass


@dataclass
class Process:
    """A wired engine, as `app` wires it, for one process life."""

    services: Services
    contexts: tuple[JobContext, ...]
    journal: Journal


def anchors_of(state: Path) -> Path:
    """Return the folder of anchors of a state folder."""
    return state.parent / "anchors"


@contextlib.contextmanager
def process(
    state: Path,
    sources: Sources,
    clock: VirtualTime,
    crash_point: CrashPoint,
    credentials: Mapping[str, Mapping[str, str]],
    rows_max: int,
    *,
    anchored: bool = True,
    workers: int | None = None,
) -> Iterator[Process]:
    """Start a process; at its end, its descriptors are closed as the kernel would close them.

    Args:
        state: The state folder.
        sources: The jobs and their sources.
        clock: The virtual clock.
        crash_point: Receives every checkpoint.
        credentials: Credentials by vendor name.
        rows_max: Maximum number of rows of a batch file.
        anchored: Whether the state is compared with its anchor. The crash matrix puts states back without it.
        workers: Seed of workers that die, and run tasks twice; None prepares without workers.

    Yields:
        The wired engine.
    """
    objects = LocalFolder(state)
    journal = Journal.open(
        state, journal_id="simulation", failpoint=crash_point.checkpoint, objects=objects, reject_rows=REJECT_ROWS
    )
    try:
        if anchored:
            anchor = Anchor(journal, anchors_of(state) / journal.journal_id)
            anchor.refuse_older()
            journal.on_commit = anchor.follow
        urls = sources.urls
        rules = {name: sources.rules(name, rows_max) for name in urls}
        vendors = {name: _vendor(rules[name], urls[name], clock, credentials[name], crash_point) for name in urls}
        contexts = tuple(_context(name, sources, vendors, rules) for name in sources.names)
        services = Services(
            clock=clock,
            store=journal,
            data=Checkpointed(_engine(objects, workers), "data", _METHODS["data"], crash_point),
            plan_rows=PolarsEngine(objects),
            lists=PolarsEngine(objects),
            check=lambda job: _refuse_mismatch(job, sources, PolarsEngine(objects)),
            fetch=fetch,
            objects=objects,
            sinks=Checkpointed(Sinks(), "sink", _METHODS["sink"], crash_point),
            paths=StatePaths(state=state),
            events=TranscriptSink(crash_point.log),
            shield=contextlib.nullcontext,
            lease=lease_factory(journal, state, clock),
            in_background=lambda work: InlineProducer(
                lambda stopped: _staged(cast("Generator[BatchFile]", work(stopped)), crash_point)
            ),
        )
        yield Process(services=services, contexts=contexts, journal=journal)
    finally:
        journal.close()


def workers_of(seed: int) -> int | None:
    """Return the seed of the workers of a simulation: every fifth has some, with SIMULATION_WORKERS=all each."""
    return seed if seed % 5 == 0 or os.environ.get("SIMULATION_WORKERS") == "all" else None


def _engine(objects: LocalFolder, workers: int | None) -> PolarsEngine:
    """Return a data engine, whose tasks workers run if these have a seed."""
    if workers is None:
        return PolarsEngine(objects)
    return PolarsEngine(objects, executor=DyingWorkers(workers), shared=LocalFolder)


def _refuse_mismatch(job: Job, sources: Sources, data: PolarsEngine) -> None:
    """Check the job whose source has a renamed column; the others match by construction."""
    if logical(job.name) == sources.renamed and (problems := data.check(job, sources.rules(vendor_of(job.name), 1))):
        raise SpecError(problems)


def _vendor(
    rules: VendorRules, url: str, clock: VirtualTime, credentials: Mapping[str, str], crash_point: CrashPoint
) -> Any:
    inner: Vendor = connect(
        rules,
        base_url=url,
        credentials=credentials,
        ca_bundle=None,
        clock=clock,
        user_agent="batchsync/simulation",
    )
    return Checkpointed(inner, "vendor", _METHODS["vendor"], crash_point)


def _context(
    name: str, sources: Sources, vendors: Mapping[str, Any], rules_by_vendor: Mapping[str, VendorRules]
) -> JobContext:
    rules = rules_by_vendor[VENDOR_OF[name]]
    return JobContext(
        job=sources.job(name),
        rules=rules,
        policy=rules.policy,
        account_id="simulated",
        vendor=vendors[VENDOR_OF[name]],
        account=VENDOR_OF[name],
    )


def lease_factory(journal: Journal, state: Path, clock: VirtualTime) -> Callable[[str], AbstractContextManager[object]]:
    """Return a function that acquires the lease of a job."""

    def acquire(job: str) -> AbstractContextManager[object]:
        return lease(journal, state, job, "a simulated process", clock.now())

    return acquire
