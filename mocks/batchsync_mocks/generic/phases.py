"""Status of a batch of the generic mock at a given time. Pure functions; all times are in epoch seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchsync_mocks.batches import Batch
    from batchsync_mocks.generic.spec import Spec
    from batchsync_mocks.generic.switches import GenericSwitches

#: Statuses of vendors whose spec names none with that meaning; clients take them as running.
_UNLISTED = "MOCK_WAITING"


def word(spec: Spec, *meanings: str) -> str:
    """Return the vendor's first status with the first of these meanings that it has a status for."""
    return next((spec.statuses[meaning][0] for meaning in meanings if meaning in spec.statuses), _UNLISTED)


def submitted_at(batch: Batch, spec: Spec) -> float | None:
    """Return when the vendor has the whole file and may process it; None before."""
    if batch.upload is None:
        return None
    committed: float | None = batch.details["committed"]
    return committed if "commit" in spec.calls else batch.upload.at


def due_at(batch: Batch, spec: Spec, switches: GenericSwitches) -> float | None:
    """Return when the batch ends; None before it is submitted, and if batches never end."""
    at = submitted_at(batch, spec)
    if at is None or switches.end == "never":
        return None
    due = at + switches.visible_after + switches.processing
    expires = expires_at(batch, switches)
    return due if expires is None or due < expires else None


def expires_at(batch: Batch, switches: GenericSwitches) -> float | None:
    """Return when the batch expires; None if it never does."""
    return None if switches.retention is None else batch.created + switches.retention


def status(batch: Batch, now: float, spec: Spec, switches: GenericSwitches) -> str:
    """Return the status at `now`."""
    if batch.cancelled is not None and now >= batch.cancelled:
        return word(spec, "cancelled", "refused")
    at, due, expires = submitted_at(batch, spec), due_at(batch, spec, switches), expires_at(batch, switches)
    if expires is not None and now >= expires:
        return word(spec, "expired", "refused")
    if at is None or now < at:
        return word(spec, "empty", "running")
    if due is not None and now >= due and batch.outcome is not None:
        return batch.outcome.status
    # After a commit, a status that means an empty batch would say that the commit did not arrive.
    is_unnoticed = now < at + switches.visible_after and "commit" not in spec.calls
    if is_unnoticed:
        return word(spec, "empty", "running")
    return _running(spec, now - at - switches.visible_after, switches.processing)


def _running(spec: Spec, seconds: float, processing: float) -> str:
    """Return the status after some seconds of processing: each status that means running lasts equally long."""
    words = spec.statuses.get("running", [_UNLISTED])
    number = int(seconds * len(words) / processing) if processing else len(words)
    return words[max(0, min(number, len(words) - 1))]


def is_ended(batch: Batch, now: float, spec: Spec, switches: GenericSwitches) -> bool:
    """Return whether the batch has ended by its rows, so that row logs exist."""
    due, expires = due_at(batch, spec, switches), expires_at(batch, switches)
    if expires is not None and now >= expires:
        return False
    return due is not None and now >= due and batch.outcome is not None and not batch.outcome.note


def next_change(batch: Batch, now: float, spec: Spec, switches: GenericSwitches) -> float | None:
    """Return when the status changes next; None if the batch does not wait for the vendor."""
    at, due, expires = submitted_at(batch, spec), due_at(batch, spec, switches), expires_at(batch, switches)
    if at is None or batch.cancelled is not None:
        return None
    end = due if due is not None else expires
    return next((time for time in (at + switches.visible_after, end) if time is not None and time > now), None)
