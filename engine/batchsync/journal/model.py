"""Values that the journal returns beyond those of the ports: rejects with run and batch, approvals and leases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from batchsync.core.alert_conditions import States
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
class LeaseRow:
    """Holder of a job's lease. `owner` is empty if it is free; `epoch` rises with each acquisition and unlock."""

    job: str
    epoch: int
    owner: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertMessage:
    """A message about a transition to a channel. `id` is that of the transition, `content` its members as text."""

    id: str
    channel: str
    content: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertChanges:
    """Changes of the state of alerts: causes of jobs that changed, and messages, which are kept for `keep`."""

    states: Mapping[str, States]
    messages: tuple[AlertMessage, ...]
    keep: timedelta = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingAlerts:
    """Messages that wait for a channel: their number, the time of the oldest, and the most attempts at one of them."""

    channel: str
    messages: int
    since: datetime
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingAlert:
    """A message that was not sent yet, as far as it is known. `number` is its place in the journal."""

    number: int
    id: str
    channel: str
    content: Mapping[str, str]
    at: datetime
    attempts: int
