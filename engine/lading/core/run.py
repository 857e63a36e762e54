"""One execution of a job as the journal remembers it: what it planned, from where, and how far it has come.

It does not know its batches; they name their run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from lading.core.accounting import Tally
    from lading.core.batch import RunId


class RunState(StrEnum):
    """How far a run has come."""

    #: its batches are sealed and journaled; at least one is not at its end
    PREPARED = "prepared"
    #: a guard holds it; it has no batches and nothing was sent
    HELD = "held"
    #: every batch came to its end and the books balance
    SETTLED = "settled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a job. `serial` counts the job's runs from 1; `identity` names the target's account.

    `plan` is the fingerprint of the comparison, which an approval names. `high_water` is the greatest `since` value
    that the run saw, when the job sends by it. `reason` says which guard holds a held run.
    """

    id: RunId
    job: str
    serial: int
    spec_hash: str
    identity: str
    state: RunState
    created_at: datetime
    tally: Tally
    plan: str
    reason: str = ""
    high_water: str | None = None
    warnings: Mapping[str, int] = field(default_factory=dict)
    settled_at: datetime | None = None
