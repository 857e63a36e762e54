"""A page over a journal of a temporary folder, served in this process to real HTTP requests."""

from __future__ import annotations

import sys
import time
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchsync.errors import UsageError
from batchsync.journal import Journal
from batchsync.observers.loop_health import LoopHealth
from batchsync.reconcile.orders import Order, Reply
from batchsync.storage.local_folder import LocalFolder
from batchsync.web.access import Access, Address
from batchsync.web.live import LiveEvents
from batchsync.web.server import PageServer

# Test folders are not packages, so shared modules are imported by folder.
sys.path.insert(0, str(Path(__file__).parents[1] / "journal"))

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from batchsync.core.job import Job
    from batchsync.report.masks import Mask
    from batchsync.report.why import WhyReport

    Serve = Callable[..., AbstractContextManager["Served"]]


@dataclass
class FakeLoop:
    """A process without jobs, which keeps the orders that it gets."""

    state_folder: Path
    seconds: float = 0.0
    health: LoopHealth = field(init=False)
    live: LiveEvents = field(default_factory=LiveEvents)
    orders: list[Order] = field(default_factory=list)
    reply: Reply | Exception | None = field(default_factory=lambda: Reply(sentence="done"))

    def __post_init__(self) -> None:
        """Create the observer of signs of life, by the clock of the test."""
        self.health = LoopHealth(lambda: self.seconds)

    def jobs(self) -> Mapping[str, Job]:
        return {}

    def now(self) -> datetime:
        return datetime(2026, 11, 22, 3, tzinfo=UTC)

    def why(self, key: str, job: str, journal: Journal, mask: Mask) -> WhyReport:
        assert journal.read_only
        assert mask.active
        raise UsageError(f"unknown key {key} in {job}")

    def planned(self, job: str) -> None:
        del job

    def submit(self, order: Order) -> Future[Reply]:
        self.orders.append(order)
        future: Future[Reply] = Future()
        if isinstance(self.reply, Exception):
            future.set_exception(self.reply)
        elif self.reply is not None:
            future.set_result(self.reply)
        return future


@dataclass(frozen=True)
class Served:
    """A page that is served."""

    url: str
    loop: FakeLoop
    journal: Journal
    warnings: list[str]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Return a function that serves a page, with rules of access of its own."""
    state = tmp_path / "state"
    # Most rejects of a test with many of them are in an object.
    with Journal.open(state, journal_id="journal-1", objects=LocalFolder(state), reject_rows=100) as journal:

        @contextmanager
        def serving(
            *,
            port: int = 0,
            token: str = "",
            trusted_header: str = "",
            documents: Mapping[str, Callable[[], tuple[bytes, str]]] | None = None,
        ) -> Iterator[Served]:
            loop, warnings = FakeLoop(state), list[str]()
            rules = Access(
                address=Address.parse(f"127.0.0.1:{port}"),
                token=token,
                trusted_header=trusted_header,
                monotonic=time.monotonic,
            )
            with PageServer(rules, loop, documents=documents, warn=warnings.append) as server:
                yield Served(server.url.rstrip("/"), loop, journal, warnings)

        yield serving
