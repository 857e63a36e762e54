"""Which status a Motorweb batch shows at a moment, as a pure function of what happened to it.

It does not know HTTP, files or the present.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lading_mocks.motorweb.switches import MotorwebSwitches
    from lading_mocks.world import Batch

KEPT_FOR = 30 * 86_400
FAILED = "FAILED"
DONE = "COMPLETED"
WAITING = frozenset({"PRE_PROCESSING", "VALIDATING", "SCHEDULED", "PROCESSING"})


def noticed_at(batch: Batch, pace: MotorwebSwitches) -> float | None:
    """Tell when the service saw that a file had arrived; None before an upload."""
    return None if batch.upload is None else batch.upload.at + pace.visible_after


def examined_at(batch: Batch, pace: MotorwebSwitches) -> float | None:
    """Tell when the uploaded file has been looked through; None before an upload."""
    noticed = noticed_at(batch, pace)
    return None if noticed is None else noticed + pace.pre_processing + pace.validating


def starts_at(batch: Batch, pace: MotorwebSwitches) -> float | None:
    """Tell when processing starts: after the wait for the next round, and not before the scheduled date."""
    examined = examined_at(batch, pace)
    return None if examined is None else max(examined + pace.scheduled, batch.facts["scheduled"] or 0)


def steps(batch: Batch, pace: MotorwebSwitches) -> list[tuple[str, float]]:
    """List the phases of an uploaded batch, each with the moment at which it ends; empty before an upload."""
    noticed, examined, starts = (ask(batch, pace) for ask in (noticed_at, examined_at, starts_at))
    if noticed is None or examined is None or starts is None:
        return []
    return [
        ("PENDING", noticed),
        ("PRE_PROCESSING", noticed + pace.pre_processing),
        ("VALIDATING", examined),
        ("SCHEDULED", starts),
        ("PROCESSING", starts + pace.processing),
    ]


def status(batch: Batch, now: float, pace: MotorwebSwitches) -> str:
    """Name the status at a moment (motorweb-bdp.md, section 7, and the assumptions 4, 5, 21, 23, 24 and 28)."""
    if batch.cancelled is not None and now >= batch.cancelled:
        return "CANCELLED"
    failed = batch.outcome is not None and batch.outcome.word == FAILED
    examined = examined_at(batch, pace)
    if failed and examined is not None and now >= examined:
        return FAILED
    if now >= batch.created + KEPT_FOR:
        return "EXPIRED"
    if batch.upload is None:
        return "PENDING"
    return next((word for word, until in steps(batch, pace) if now < until), DONE)


def next_change(batch: Batch, now: float, pace: MotorwebSwitches) -> float | None:
    """Tell when a batch that waits on the service will show its next status; None when it waits on nobody."""
    if status(batch, now, pace) in {DONE, FAILED, "CANCELLED", "EXPIRED"}:
        return None
    ahead = [until for _, until in steps(batch, pace) if until > now]
    return min(ahead[0], batch.created + KEPT_FOR) if ahead else None
