"""One process of lading, from its start to its end or its death. Everything in it is real but time and wire.

It judges nothing.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from lading.aside import Inline
from lading.data import Columnar
from lading.journal import Journal
from lading.journal.lease import lease
from lading.reconcile.context import Folders, JobContext, World
from lading.sinks import Sinks
from lading.vendors.client import connect
from simulation.deployment import VENDOR_OF, rules_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from lading.core.batch import Batch, BatchFile
    from lading.ports import Vendor
    from simulation.clock import VirtualTime
    from simulation.deployment import Sources

URLS = {"motorweb-bdp": "http://127.0.0.1:1001", "sitecore-cdp": "http://127.0.0.1:1002"}


class Crash(BaseException):
    """The process dies here. Nothing of it reaches the world any more."""


@dataclass
class Fuse:
    """Counts checkpoints and lets the process die at the n-th whose name fits."""

    pattern: str | None = None
    nth: int = 1
    told: Callable[[str], None] = lambda _: None
    seen: int = 0
    met: int = 0
    died_at: str = ""
    dead: bool = False
    #: what to do while this process is stopped, once, at the n-th checkpoint whose name fits
    stop: tuple[str, int, Callable[[], None]] | None = None
    stopped: int = 0
    #: what is told when somebody else has the job and this process still writes
    fenced: bool = False
    #: whether its jobs were taken away while it was stopped
    robbed: bool = False
    wrote: list[str] = field(default_factory=list)

    def checkpoint(self, name: str) -> None:
        """Pass, or die. The dead stay dead: whatever a `finally` still tries does not happen."""
        if self.dead:
            raise Crash(name)
        self.seen += 1
        if name == "take_lease:committed":
            # Whoever takes another job by the front door may write about it.
            self.fenced = False
        if self.fenced and name.endswith(":committed") and not name.startswith("drop_lease"):
            self.wrote.append(name)
        if self.stop is not None and re.search(self.stop[0], name):
            self.stopped += 1
            if self.stopped == self.stop[1]:
                self.told(f"stopped at {name}")
                self.stop[2]()
                self.told("wakes")
        if self.pattern is None or not re.search(self.pattern, name):
            return
        self.met += 1
        if self.met == self.nth:
            self.dead, self.died_at = True, name
            self.told(f"died at {name}")
            raise Crash(name)


class Fused:
    """Something whose calls have a checkpoint before and after each."""

    def __init__(self, inner: object, name: str, verbs: frozenset[str], fuse: Fuse) -> None:
        """Keep the parts."""
        self._inner, self._name, self._verbs, self._fuse = inner, name, verbs, fuse

    def __getattr__(self, verb: str) -> Any:
        """Return the call with its two checkpoints."""
        call = getattr(self._inner, verb)
        if verb not in self._verbs:
            return call

        def fused(*given: Any, **named: Any) -> Any:
            self._fuse.checkpoint(f"{self._name}.{verb}:before")
            answer = call(*given, **named)
            self._fuse.checkpoint(f"{self._name}.{verb}:after")
            return answer

        return fused


_VERBS = {
    "vendor": frozenset({"describe", "allocate", "find", "upload", "poll", "collect", "cancel"}),
    "data": frozenset({"compare", "settle", "advance"}),
    "sink": frozenset({"deliver"}),
}


def _staged(files: Generator[BatchFile], fuse: Fuse) -> Iterator[BatchFile]:
    """Yield the files, each made when it is asked for, with a checkpoint before and after.

    Whatever ends it ends the making at once. Left to the garbage collector, the threads of a process that died would be
    waited for in the middle of anything that another one does, such as the starting of a thread.
    """
    with contextlib.closing(files):
        while True:
            fuse.checkpoint("data.stage:before")
            file = next(files, None)
            fuse.checkpoint("data.stage:after")
            if file is None:
                return
            yield file


class Eyes:
    """A watcher that remembers nothing but what moved."""

    def __init__(self, told: Callable[[str], None]) -> None:
        """Keep whom to tell."""
        self._told = told

    def progress(self, *_given: Any, **_named: Any) -> None:
        """Do nothing."""

    def moved(self, batch: Batch) -> None:
        """Tell the phase."""
        self._told(f"{batch.id} {batch.phase} doubt={batch.doubt} attempt={batch.attempt} {batch.word}")

    def waiting(self, until: datetime) -> None:
        """Tell until when."""
        self._told(f"waits until {until.isoformat()}")


@dataclass
class Process:
    """A wired engine, as `app` wires it, for one life."""

    world: World
    contexts: tuple[JobContext, ...]
    journal: Journal


@contextlib.contextmanager
def process(
    state: Path,
    sources: Sources,
    clock: VirtualTime,
    fuse: Fuse,
    credentials: Mapping[str, Mapping[str, str]],
    rows_max: int,
) -> Iterator[Process]:
    """Start a process; whatever ends it, its descriptors are closed as the kernel would."""
    journal = Journal.open(state, lineage="simulation", trip=fuse.checkpoint)
    try:
        vendors = {name: _vendor(name, clock, credentials, rows_max, fuse) for name in URLS}
        contexts = tuple(_context(name, sources, vendors, rows_max) for name in sources.names)
        world = World(
            clock=clock,
            memory=journal,
            data=Fused(Columnar(), "data", _VERBS["data"], fuse),
            sinks=Fused(Sinks(), "sink", _VERBS["sink"], fuse),
            folders=Folders(state=state),
            watcher=Eyes(fuse.told),
            shield=contextlib.nullcontext,
            lease=leases(journal, state, clock),
            aside=lambda work: Inline(lambda stopped: _staged(cast("Generator[BatchFile]", work(stopped)), fuse)),
        )
        yield Process(world=world, contexts=contexts, journal=journal)
    finally:
        journal.close()


def _vendor(
    name: str, clock: VirtualTime, credentials: Mapping[str, Mapping[str, str]], rows_max: int, fuse: Fuse
) -> Any:
    inner: Vendor = connect(
        rules_of(name, rows_max),
        base_url=URLS[name],
        credentials=credentials[name],
        ca_bundle=None,
        clock=clock,
        user_agent="lading/simulation",
    )
    return Fused(inner, "vendor", _VERBS["vendor"], fuse)


def _context(name: str, sources: Sources, vendors: Mapping[str, Any], rows_max: int) -> JobContext:
    rules = rules_of(VENDOR_OF[name], rows_max)
    return JobContext(
        job=sources.job(name), rules=rules, policy=rules.policy, identity="simulated", vendor=vendors[VENDOR_OF[name]]
    )


def leases(journal: Journal, state: Path, clock: VirtualTime) -> Callable[[str], AbstractContextManager[object]]:
    def take(job: str) -> AbstractContextManager[object]:
        return lease(journal, state, job, "a simulated process", clock.now())

    return take
