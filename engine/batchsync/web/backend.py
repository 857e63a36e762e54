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
    from batchsync.reconcile.orders import Order, Reply
    from batchsync.report.masks import Mask
    from batchsync.report.plan import PlanReport
    from batchsync.report.why import WhyReport
    from batchsync.web.live import LiveEvents


@dataclass(frozen=True, slots=True)
class ShownPlan:
    """A plan that was made for the page, with the first keys of each kind, and when that was."""

    report: PlanReport
    at: datetime


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

    def planned(self, job: str) -> ShownPlan | None:
        """Return the plan of a job that was asked for in the last minutes; None if there is none."""
        ...

    def submit(self, order: Order) -> Future[Reply]:
        """Hand an order to the loop, which performs it in its next pass."""
        ...
