"""Values that the reconcile loop works with: a job with its account and vendor, and the services wired by `app`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from batchsync.core.retention import Retention

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime, timedelta
    from pathlib import Path

    from batchsync.core.batch import Batch, BatchFile
    from batchsync.core.job import Job
    from batchsync.core.policy import Policy
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.errors import BatchsyncError
    from batchsync.ports import (
        Clock,
        DataEngine,
        EventSink,
        FetchSource,
        ObjectStore,
        PlanRows,
        Sink,
        StateStore,
        SuppressionLists,
        Vendor,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext:
    """A job, its vendor and the account that it sends to. `policy` is the vendor's with the connection's overrides.

    `declared` are the names of all jobs in jobs.yaml, former names included; None if they are not known.
    `other_names` are those of the job, where it stands for one of its former names. `account` is the id of the account
    alone, whose limits hold for all targets; nothing is counted without it.
    """

    job: Job
    rules: VendorRules
    policy: Policy
    account_id: str
    vendor: Vendor
    declared: frozenset[str] | None = None
    other_names: frozenset[str] = frozenset()
    account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnableJob:
    """A job that cannot reach its vendor, with the reason, such as a missing credential. Its batches are not touched.

    Only this job, and those that depend on it, have to wait.
    """

    job: Job
    error: BatchsyncError


#: A job of a command. Where only its name and settings matter, both kinds are treated alike.
SelectedJob: TypeAlias = JobContext | UnableJob


@dataclass(frozen=True, slots=True, kw_only=True)
class StatePaths:
    """Local working folders below the state folder: comparisons and collected results, which can be made again."""

    state: Path

    def work(self, job: str) -> Path:
        """Return the scratch folder of comparisons, which is emptied before each."""
        return self.state / "work" / job

    def collected(self, batch: Batch) -> Path:
        """Return the folder of a batch's collected results, kept until they are delivered."""
        return self.collected_of(batch.job) / batch.id

    @property
    def forget_secret(self) -> Path:
        """Return the file of the secret with which forgotten keys are hashed."""
        return self.state / "forget.key"

    def collected_of(self, job: str) -> Path:
        """Return the folder of all collected results of a job."""
        return self.state / "collected" / job


class BatchFileQueue(Protocol):
    """Finalized batch files, available one by one while others are being written."""

    @property
    def ended(self) -> bool:
        """Whether no more files will follow."""
        ...

    def take(self, within: timedelta | None, /) -> BatchFile | None:
        """Return the next file.

        Args:
            within: Longest time to wait; None waits until there is a file.

        Returns:
            The file, or None if there was none within that time or no more will follow.

        Raises:
            BaseException: The error that stopped the writing, after all files that were finished before it.
        """
        ...

    def close(self) -> None:
        """Stop writing files."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Ports wired by `app`, and functions bound to this process.

    `plan_rows` and `lists` are operations of `data` on plan files and suppression lists. `check` raises SpecError if
    a job does not match its source, as far as the source can be read. `fetch` brings the source of a job to local
    files, once per run. `shield` delays an interruption to the end of a call whose result must be journaled. `lease`
    makes this process the only runner of a job until the context is left, or raises LockedError. `in_background` runs a
    batch file iterator while the loop runs; the iterator gets a function that returns whether to stop. `retention` says
    how long what is no longer needed is kept. `limited` are batches that wait for a limit, with the time of the next
    attempt and the limit. `back_up` backs up the state folder, if jobs.yaml says where to;
    a failure is noted there, and stops nothing.
    """

    clock: Clock
    store: StateStore
    data: DataEngine
    plan_rows: PlanRows
    lists: SuppressionLists
    check: Callable[[Job], None]
    fetch: FetchSource
    objects: ObjectStore
    sinks: Sink
    paths: StatePaths
    events: EventSink
    shield: Callable[[], AbstractContextManager[object]]
    lease: Callable[[str], AbstractContextManager[object]]
    in_background: Callable[[Callable[[Callable[[], bool]], Iterator[BatchFile]]], BatchFileQueue]
    retention: Retention = field(default_factory=Retention)
    limited: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    back_up: Callable[[], object] = lambda: None
