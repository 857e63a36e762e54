"""Values that the journal returns beyond those of the ports: rejects with run and batch, approvals and leases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from batchsync.core.batch import BatchId, RunId
    from batchsync.core.row_outcome import RowOutcome
    from batchsync.ports import Reject


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectRow:
    """A reject with its run and batch.

    `batch` is None for invalid rows, which batchsync refuses before a batch exists. `delivered` is how a row of unknown
    outcome was resolved manually, or None if it was not.
    """

    run: RunId
    batch: BatchId | None
    job: str
    at: datetime
    reject: Reject
    delivered: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectGroup:
    """Number of rejects that share kind, code and field."""

    kind: RowOutcome
    code: str
    field: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Approval of a plan blocked by a guard: when it was given, and the reason (empty if none was given)."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """Acceptance of a state that was restored or copied: when and why, and what was found (see `OlderState`)."""

    at: datetime
    reason: str
    serial: int
    newest: int
    other: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRow:
    """Holder of a job's lease. `owner` is empty if it is free; `epoch` rises with each acquisition and unlock."""

    job: str
    epoch: int
    owner: str
    since: datetime
