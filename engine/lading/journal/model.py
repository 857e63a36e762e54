"""What the journal keeps beside batches: runs, rejects, baseline pointers and leases, as frozen values.

It does not know how they are stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from lading.core.accounting import Tally
    from lading.core.batch import BatchId, RunId
    from lading.ports import Reject


class RunState(StrEnum):
    """What is true of a run now."""

    #: its batches are journaled; at least one of them is not delivered (a stuck one counts)
    PREPARED = "prepared"
    #: a guard holds its plan; it has no batches
    HELD = "held"
    #: every batch of it is delivered
    SETTLED = "settled"
    #: it was held, and a person withdrew it or a later run took its place
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of one job. Times are aware UTC datetimes.

    `serial` counts the runs of the job from 1. `identity` names the target (the baseline belongs to it). `fingerprint`
    is that of the plan; an approval names it. `warnings` counts broken rules that only warn, by rule.
    """

    id: RunId
    job: str
    serial: int
    spec_hash: str
    identity: str
    state: RunState
    created_at: datetime
    tally: Tally
    fingerprint: str = ""
    warnings: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectRow:
    """A reject, with the run and the batch that it belongs to. `batch` is None for rows that we refused ourselves."""

    run: RunId
    batch: BatchId | None
    job: str
    at: datetime
    reject: Reject


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectGroup:
    """How many rejects share kind, code and field."""

    kind: str
    code: str
    field: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselinePointer:
    """Which file is the baseline of a job at a target. `name` is that of the file, `digest` its hex SHA-256."""

    job: str
    identity: str
    name: str
    digest: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRow:
    """Who runs a job. `owner` is empty when nobody does; `epoch` rises at each taking and each unlock."""

    job: str
    epoch: int
    owner: str
    since: datetime
