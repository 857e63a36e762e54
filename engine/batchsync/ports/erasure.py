"""Values of erasure and retention that the reconcile loop exchanges with the state store and the data engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from batchsync.core.batch import BatchId
    from batchsync.ports.data import BaselineEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """Keys of a job to erase from the journal.

    Attributes:
        job: Name of the job, which gets the tombstones.
        names: The names of the job under which the journal has rows: its own, and former ones.
        keys: The keys.
        hashes: Their hashes.
        check: Hash by which another secret is noticed.
        at: Time of the erasure.
        by: Who asked for it.
        reason: Why.
        baselines: New baselines, without the keys.
        manifests: New locations of row manifests that were rewritten without the keys, by batch.
    """

    job: str
    names: Sequence[str]
    keys: Sequence[str]
    hashes: Sequence[str]
    check: str
    at: datetime
    by: str
    reason: str
    baselines: Sequence[BaselineEntry] = ()
    manifests: Mapping[BatchId, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """Times before which rejects, and ended runs, are deleted; None keeps all."""

    rejects: datetime | None
    runs: datetime | None
