"""What the page needs of the process that serves it: its jobs, and the loop that performs what forms ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future
    from datetime import datetime
    from pathlib import Path

    from batchsync.core.job import Job
    from batchsync.journal import Journal
    from batchsync.observers.loop_health import LoopHealth
    from batchsync.report.masks import Mask
    from batchsync.report.why import WhyReport
    from batchsync.web.live import LiveEvents


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a form asks for.

    Attributes:
        verb: approve, resolve, collect, resume or run.
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
    """

    sentence: str
    done: bool = True
    stale: bool = False


class Backend(Protocol):
    """The process that serves the page."""

    health: LoopHealth
    live: LiveEvents

    @property
    def state_folder(self) -> Path:
        """The state folder."""
        ...

    def jobs(self) -> Mapping[str, Job]:
        """Return the active jobs by name, in dependency order."""
        ...

    def now(self) -> datetime:
        """Return the time of the jobs: that of the mocks, if they run against mocks."""
        ...

    def why(self, key: str, job: str, journal: Journal, mask: Mask) -> WhyReport:
        """Return the state and history of a key.

        Raises:
            BatchsyncError: If no job has it.
        """
        ...

    def submit(self, order: Order) -> Future[Reply]:
        """Hand an order to the loop, which performs it in its next pass."""
        ...
