"""Status of a Motorweb batch at a given time. Pure functions; all times are in epoch seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchsync_mocks.batches import Batch
    from batchsync_mocks.motorweb.switches import MotorwebSwitches

RETENTION_SECONDS = 30 * 86_400
FAILED = "FAILED"
DONE = "COMPLETED"
WAITING = frozenset({"PRE_PROCESSING", "VALIDATING", "SCHEDULED", "PROCESSING"})


def noticed_at(batch: Batch, switches: MotorwebSwitches) -> float | None:
    """Return when the service notices the upload; None before an upload."""
    return None if batch.upload is None else batch.upload.at + switches.visible_after


def validated_at(batch: Batch, switches: MotorwebSwitches) -> float | None:
    """Return when the uploaded file has been validated; None before an upload."""
    noticed = noticed_at(batch, switches)
    return None if noticed is None else noticed + switches.pre_processing + switches.validating


def starts_at(batch: Batch, switches: MotorwebSwitches) -> float | None:
    """Return when processing starts: after SCHEDULED, and not before the scheduled date; None before an upload."""
    validated = validated_at(batch, switches)
    return None if validated is None else max(validated + switches.scheduled, batch.details["scheduled"] or 0)


def steps(batch: Batch, switches: MotorwebSwitches) -> list[tuple[str, float]]:
    """Return the phases of an uploaded batch, each with its end; empty before an upload."""
    noticed, validated, starts = (time_of(batch, switches) for time_of in (noticed_at, validated_at, starts_at))
    if noticed is None or validated is None or starts is None:
        return []
    return [
        ("PENDING", noticed),
        ("PRE_PROCESSING", noticed + switches.pre_processing),
        ("VALIDATING", validated),
        ("SCHEDULED", starts),
        ("PROCESSING", starts + switches.processing),
    ]


def status(batch: Batch, now: float, switches: MotorwebSwitches) -> str:
    """Return the status at `now` (motorweb-bdp.md, section 7, and the assumptions 4, 5, 21, 23, 24 and 28)."""
    if batch.cancelled is not None and now >= batch.cancelled:
        return "CANCELLED"
    failed = batch.outcome is not None and batch.outcome.status == FAILED
    validated = validated_at(batch, switches)
    if failed and validated is not None and now >= validated:
        return FAILED
    if now >= batch.created + RETENTION_SECONDS:
        return "EXPIRED"
    if batch.upload is None:
        return "PENDING"
    return next((phase for phase, until in steps(batch, switches) if now < until), DONE)


def next_change(batch: Batch, now: float, switches: MotorwebSwitches) -> float | None:
    """Return when the status changes next; None if the batch does not wait for the service."""
    if status(batch, now, switches) in {DONE, FAILED, "CANCELLED", "EXPIRED"}:
        return None
    later_ends = [until for _, until in steps(batch, switches) if until > now]
    return min(later_ends[0], batch.created + RETENTION_SECONDS) if later_ends else None
