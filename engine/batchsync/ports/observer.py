"""Run-level events and the port of the observers that receive them.

Events hold no secrets, and no values of rows but where a partial read begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from batchsync.core.accounting import PlanCounts, Settlement
    from batchsync.core.batch import Batch
    from batchsync.core.run import RunState
    from batchsync.errors import ExitCode


#: Bytes processed, and the total; None if the total is unknown.
Size = tuple[int, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandStarted:
    """A command that runs jobs has begun. `options` are JSON-compatible, such as the names of its jobs."""

    command: str
    options: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Progress of a stage of a job.

    Attributes:
        job: Name of the job.
        stage: Name of the stage: land, compare or stage.
        done: Number of units processed.
        unit: Name of the unit, in the plural.
        total: Total number of units; None if unknown.
        size: Approximate bytes processed, and the total.
    """

    job: str
    stage: str
    done: int
    unit: str
    total: int | None = None
    size: Size | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialRead:
    """A plan reads only some rows of its query, as `since` of its source says.

    Attributes:
        job: Name of the job.
        column: The column of `since`.
        start: Rows whose column is at least this, or null, are read: the greatest known value minus the lag.
        full_at: When the next run reads all rows; None if never.
    """

    job: str
    column: str
    start: str
    full_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A run was journaled, with the counts of its plan."""

    job: str
    run: str
    counts: PlanCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardTripped:
    """A guard stops the plan of a run until it is approved. `message` contains the figures."""

    job: str
    run: str
    guard: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchChanged:
    """A batch was created or changed; polls that find nothing new are included."""

    batch: Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsAttention:
    """A batch stopped until a person acts, or was delivered with rows of unknown outcome."""

    batch: Batch
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorCalled:
    """A call of a vendor has ended, after one or more requests.

    Attributes:
        job: Name of the job.
        connection: Name of its connection.
        call: Name of the call, such as upload or poll; describe and collect are several requests.
        answer: What the answer proves about the call, a value of `core.vendor_calls.ResponseClass`.
        duration: How long the call took, with what it waited for the vendor's limit of calls a minute.
        run: Id of the run; empty if the call is about no batch.
        batch: Id of the batch; empty if the call is about none.
    """

    job: str
    connection: str
    call: str
    answer: str
    duration: timedelta
    run: str = ""
    batch: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockDiffers:
    """The clock of a job's vendor is ahead of ours by `offset`, which may be negative."""

    job: str
    connection: str
    offset: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Nothing is due before `until`."""

    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitReached:
    """A batch, or a job before its first call, waits because of a limit of its account.

    Attributes:
        job: Its job.
        batch: The batch; empty for a job.
        limit: The limit, such as `10,000 rows a day`.
        until: When it is tried again; None if it waits for a batch of another job that no process follows.
    """

    job: str
    batch: str
    limit: str
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TickSkipped:
    """A tick of a job's schedule is not run, now or later, because of `catch_up: none` or `overlap: skip`."""

    job: str
    tick: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """This process is done with a run, for now if it is not settled."""

    job: str
    run: str
    state: RunState
    settlement: Settlement


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFinished:
    """This process is done with a job. `message` says why it failed or was skipped; empty if it was not.

    `error` is the name of the error in the registry of codes; empty if there was none.
    """

    job: str
    exit_code: ExitCode
    message: str
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsReloaded:
    """`serve` has loaded the jobs file again.

    Attributes:
        file: Path of the jobs file.
        secrets: Whether only files of secrets or queries have changed.
        jobs: Names of the active jobs.
        removed: Names of the jobs that are no longer in the file.
        scheduled: Whether an active job has a schedule.
        revision: The commit, or the digest of the folder, that the file is of; empty if neither is followed.
    """

    file: str
    secrets: bool
    jobs: tuple[str, ...]
    removed: tuple[str, ...]
    scheduled: bool
    revision: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsReloadFailed:
    """The changed jobs file cannot be used, so that the previous jobs stay active.

    Attributes:
        file: Path of the jobs file.
        secrets: Whether only files of secrets or queries have changed.
        error: The failure, JSON-compatible.
        job: The only job that stays as it was; empty if all do.
        revision: The commit, or the digest of the folder, that the file is of; empty if neither is followed.
    """

    file: str
    secrets: bool
    error: Mapping[str, object]
    job: str = ""
    revision: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginChecked:
    """`serve` cannot ask the branch or folder that it follows, or can again. The active jobs go on.

    Attributes:
        origin: The branch or folder.
        error: The failure, JSON-compatible; None if it can be asked again.
    """

    origin: str
    error: Mapping[str, object] | None


RunEvent = (
    CommandStarted
    | Progress
    | PartialRead
    | RunStarted
    | GuardTripped
    | BatchChanged
    | NeedsAttention
    | VendorCalled
    | ClockDiffers
    | Waiting
    | TickSkipped
    | LimitReached
    | RunFinished
    | JobFinished
    | JobsReloaded
    | JobsReloadFailed
    | OriginChecked
)


class Observer(Protocol):
    """Receiver of events, such as a log or a metrics exporter.

    `observe` is called from the threads that emit events and should return at once. An observer that raises is
    reported once and dropped; the run goes on.
    """

    def observe(self, event: RunEvent, at: datetime) -> None:
        """Take note of an event.

        Args:
            event: The event.
            at: When it was emitted, timezone-aware, in UTC.
        """
        ...


class EventSink(Protocol):
    """Where the engine emits its events. `emit` does not raise."""

    def emit(self, event: RunEvent, /) -> None:
        """Pass an event on to all observers."""
        ...
