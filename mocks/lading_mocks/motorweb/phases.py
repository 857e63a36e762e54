"""Which status a Motorweb batch shows at a moment, as a pure function of what happened to it.

It does not know HTTP, files or the present.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lading_mocks.world import Batch

KEPT_FOR = 30 * 86_400
FAILED = "FAILED"
DELETABLE = frozenset({"PENDING", "SCHEDULED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How many seconds of virtual time a batch spends in each phase; Motorweb says nothing about it."""

    pre_processing: float = 60
    validating: float = 120
    scheduled: float = 120
    processing: float = 300


def examined_at(batch: Batch, pace: Pace) -> float | None:
    """Tell when the uploaded file has been looked through; None before an upload."""
    if batch.upload is None:
        return None
    return batch.upload.at + pace.pre_processing + pace.validating


def starts_at(batch: Batch, pace: Pace) -> float | None:
    """Tell when processing starts: after the wait for the next round, and not before the scheduled date."""
    examined = examined_at(batch, pace)
    return None if examined is None else max(examined + pace.scheduled, batch.facts["scheduled"] or 0)


def status(batch: Batch, now: float, pace: Pace) -> str:
    """Name the status at a moment (motorweb-bdp.md, section 7, and the assumptions 4, 5, 21, 23, 24 and 28)."""
    if batch.cancelled is not None:
        return "CANCELLED"
    failed = batch.outcome is not None and batch.outcome.word == FAILED
    examined, starts = examined_at(batch, pace), starts_at(batch, pace)
    if failed and examined is not None and now >= examined:
        return FAILED
    if now >= batch.created + KEPT_FOR:
        return "EXPIRED"
    if batch.upload is None or examined is None or starts is None:
        return "PENDING"
    return next(
        (
            word
            for word, until in (
                ("PRE_PROCESSING", batch.upload.at + pace.pre_processing),
                ("VALIDATING", examined),
                ("SCHEDULED", starts),
                ("PROCESSING", starts + pace.processing),
            )
            if now < until
        ),
        "COMPLETED",
    )
