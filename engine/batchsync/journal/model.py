"""What the journal answers that no port names: rejects in their place, and leases, as frozen values.

It does not know how they are stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from lading.core.batch import BatchId, RunId
    from lading.ports import Reject


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectRow:
    """A reject, with the run and the batch that it belongs to. `batch` is None for rows that we refused ourselves.

    `delivered` is what a person said of a row of unknown outcome, or None when nobody did.
    """

    run: RunId
    batch: BatchId | None
    job: str
    at: datetime
    reject: Reject
    delivered: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectGroup:
    """How many rejects share kind, code and field."""

    kind: str
    code: str
    field: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """That a person allowed a plan that a guard held, when, and the reason given (empty: none)."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRow:
    """Who runs a job. `owner` is empty when nobody does; `epoch` rises at each taking and each unlock."""

    job: str
    epoch: int
    owner: str
    since: datetime
