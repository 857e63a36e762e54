"""What the loop is given: a job with everything it takes to run it, and the world it runs in.

It does not know how any of them is made; that is `app`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lading.ports import Baseline, Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from datetime import timedelta
    from pathlib import Path

    from lading.core.batch import Batch, BatchFile
    from lading.core.job import Job
    from lading.core.policy import Policy
    from lading.core.vendor_rules import VendorRules
    from lading.ports import BaselineEntry, Clock, DataPath, Memory, Sink, Vendor, Watcher


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext:
    """A job, its vendor, and the account that it sends to. `policy` is the vendor's with the connection's wishes."""

    job: Job
    rules: VendorRules
    policy: Policy
    identity: str
    vendor: Vendor


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where lading keeps files, below the state folder. Only files that the journal names are kept."""

    state: Path

    def work(self, job: str) -> Path:
        """Return the scratch folder of a comparison; emptied before each."""
        return self.state / "work" / job

    def staging(self, job: str) -> Path:
        """Return where the sealed files of a job are."""
        return self.state / "staging" / job

    def collected(self, batch: Batch) -> Path:
        """Return where the vendor's answers about a batch are until they are delivered."""
        return self.collected_of(batch.job) / batch.id

    def collected_of(self, job: str) -> Path:
        """Return the folder of all such answers of a job."""
        return self.state / "collected" / job

    def baselines(self, job: str) -> Path:
        """Return where the segments of a job's baselines are."""
        return self.state / "baselines" / job

    def baseline(self, entry: BaselineEntry) -> Baseline:
        """Return the baseline that the journal points to."""
        folder = self.baselines(entry.job)
        return Baseline(segments=tuple(Segment(path=folder / one.file, rows=one.rows) for one in entry.segments))


class Feed(Protocol):
    """Sealed files that come one by one while others are still being made."""

    @property
    def ended(self) -> bool:
        """Whether no file will come any more."""
        ...

    def take(self, within: timedelta | None, /) -> BatchFile | None:
        """Return the next file, waiting so long for it (None: as long as it takes); None when there is none (yet).

        Raises whatever stopped the making, after the files that were made before.
        """
        ...

    def close(self) -> None:
        """Let the making stop."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything outside.

    `shield` delays an interruption to the end of a call whose answer must be remembered. `lease` makes this process
    the only runner of a job until it is left, or raises LockedError. `aside` lets files be made beside the loop: it is
    given how to make them, with a question that the making asks often: whether it is to stop.
    """

    clock: Clock
    memory: Memory
    data: DataPath
    sinks: Sink
    folders: Folders
    watcher: Watcher
    shield: Callable[[], AbstractContextManager[object]]
    lease: Callable[[str], AbstractContextManager[object]]
    aside: Callable[[Callable[[Callable[[], bool]], Iterator[BatchFile]]], Feed]
