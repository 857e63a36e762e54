"""Status of a Sitecore batch at a given time. Pure functions; all times are in epoch seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchsync_mocks.batches import Batch
    from batchsync_mocks.sitecore.switches import SitecoreSwitches

LISTED_SECONDS = 30 * 86_400
STATUSES = ("uploading", "file_uploaded", "processing", "success", "corrupted", "error")


def corrupted(batch: Batch, switches: SitecoreSwitches) -> bool:
    """Return whether the upload differs from the announced size or checksum; so does upper-case hex (assumption 20)."""
    upload, checksum = batch.upload, batch.details["checksum"]
    if switches.upper_checksum == "accepted":
        checksum = checksum.lower()
    return upload is not None and (upload.size, upload.md5) != (batch.details["size"], checksum)


def due_at(batch: Batch, switches: SitecoreSwitches) -> float | None:
    """Return when the records are applied; None if there is nothing to apply."""
    if batch.upload is None or corrupted(batch, switches):
        return None
    return batch.upload.at + switches.queue + switches.processing


def status(batch: Batch, now: float, switches: SitecoreSwitches) -> str:
    """Return the status at `now`, as the inspect endpoint shows it (sitecore-cdp.md, 3.3)."""
    if batch.upload is None or now < batch.upload.at:
        return "uploading"
    if corrupted(batch, switches):
        return "corrupted"
    if batch.outcome is not None and now >= batch.outcome.at:
        return "success" if switches.false_success and batch.outcome.counts else batch.outcome.status
    return "file_uploaded" if now < batch.upload.at + switches.queue else "processing"


def modified_at(batch: Batch, now: float, switches: SitecoreSwitches) -> float:
    """Return when the status changed last."""
    if batch.upload is None or now < batch.upload.at:
        return batch.created
    if batch.outcome is not None and now >= batch.outcome.at:
        return batch.outcome.at
    return batch.upload.at + (switches.queue if status(batch, now, switches) == "processing" else 0)


def next_change(batch: Batch, now: float, switches: SitecoreSwitches) -> float | None:
    """Return when the status changes next; None if the batch does not wait for the vendor."""
    due = due_at(batch, switches)
    if batch.upload is None or due is None or batch.outcome is not None:
        return None
    return next((at for at in (batch.upload.at + switches.queue, due) if at > now), None)
