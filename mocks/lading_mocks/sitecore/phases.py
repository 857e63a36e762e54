"""Which status a Sitecore batch shows at a moment, as a pure function of what happened to it.

It does not know HTTP, files or the present.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lading_mocks.world import Batch

LISTED_FOR = 30 * 86_400
STATUSES = ("uploading", "file_uploaded", "processing", "success", "corrupted", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How many seconds of virtual time a batch waits in the queue and is processed; the documents leave it open."""

    queue: float = 5
    processing: float = 10


def corrupted(batch: Batch) -> bool:
    """Tell whether what was uploaded differs from what was announced; upper-case hex differs too (assumption 20)."""
    upload = batch.upload
    return upload is not None and (upload.size, upload.md5) != (batch.facts["size"], batch.facts["checksum"])


def due_at(batch: Batch, pace: Pace) -> float | None:
    """Tell when the records will have been applied; None when there is nothing to apply."""
    if batch.upload is None or corrupted(batch):
        return None
    return batch.upload.at + pace.queue + pace.processing


def status(batch: Batch, now: float, pace: Pace) -> str:
    """Name the status at a moment, as the inspect endpoint shows it (sitecore-cdp.md, 3.3)."""
    if batch.upload is None:
        return "uploading"
    if corrupted(batch):
        return "corrupted"
    if batch.outcome is not None:
        return batch.outcome.word
    return "file_uploaded" if now < batch.upload.at + pace.queue else "processing"


def modified_at(batch: Batch, now: float, pace: Pace) -> float:
    """Tell when the status last changed."""
    if batch.upload is None:
        return batch.created
    if batch.outcome is not None:
        return batch.outcome.at
    return batch.upload.at + (pace.queue if status(batch, now, pace) == "processing" else 0)
