"""Which status a Sitecore batch shows at a moment, as a pure function of what happened to it.

It does not know HTTP, files or the present.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lading_mocks.sitecore.switches import SitecoreSwitches
    from lading_mocks.world import Batch

LISTED_FOR = 30 * 86_400
STATUSES = ("uploading", "file_uploaded", "processing", "success", "corrupted", "error")


def corrupted(batch: Batch, pace: SitecoreSwitches) -> bool:
    """Tell whether what was uploaded differs from what was announced; upper-case hex differs too (assumption 20)."""
    upload, checksum = batch.upload, batch.facts["checksum"]
    if pace.upper_checksum == "accepted":
        checksum = checksum.lower()
    return upload is not None and (upload.size, upload.md5) != (batch.facts["size"], checksum)


def due_at(batch: Batch, pace: SitecoreSwitches) -> float | None:
    """Tell when the records will have been applied; None when there is nothing to apply."""
    if batch.upload is None or corrupted(batch, pace):
        return None
    return batch.upload.at + pace.queue + pace.processing


def status(batch: Batch, now: float, pace: SitecoreSwitches) -> str:
    """Name the status at a moment, as the inspect endpoint shows it (sitecore-cdp.md, 3.3)."""
    if batch.upload is None or now < batch.upload.at:
        return "uploading"
    if corrupted(batch, pace):
        return "corrupted"
    if batch.outcome is not None and now >= batch.outcome.at:
        return "success" if pace.liar and batch.outcome.counts else batch.outcome.word
    return "file_uploaded" if now < batch.upload.at + pace.queue else "processing"


def modified_at(batch: Batch, now: float, pace: SitecoreSwitches) -> float:
    """Tell when the status last changed."""
    if batch.upload is None or now < batch.upload.at:
        return batch.created
    if batch.outcome is not None and now >= batch.outcome.at:
        return batch.outcome.at
    return batch.upload.at + (pace.queue if status(batch, now, pace) == "processing" else 0)


def next_change(batch: Batch, now: float, pace: SitecoreSwitches) -> float | None:
    """Tell when a batch that waits on the vendor will show its next status; None when it waits on nobody."""
    due = due_at(batch, pace)
    if batch.upload is None or due is None or batch.outcome is not None:
        return None
    return next((at for at in (batch.upload.at + pace.queue, due) if at > now), None)
