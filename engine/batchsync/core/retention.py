"""How long what is no longer needed for a delivery is kept in the state folder."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Retention periods; None keeps for ever.

    Used idempotency keys, baselines, tombstones of forgotten keys, open batches and the newest run of each job are
    never pruned.

    Attributes:
        rejects: Of rejected, invalid, unknown and superseded rows, from their run. Rows whose outcome is unknown are
            kept until it is known.
        runs: Of runs with their batches, events, ticks and approvals, from the end of the run.
        batch_files: Of batch files and row manifests, from the delivery of the batch.
    """

    rejects: timedelta | None = timedelta(days=90)
    runs: timedelta | None = timedelta(days=400)
    batch_files: timedelta | None = timedelta(0)

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield the name and the period of each kind, as written in jobs.yaml."""
        for item in fields(self):
            yield item.name, period_text(getattr(self, item.name))


#: The periods of a jobs.yaml that sets none.
DEFAULT_RETENTION = Retention()
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60))


def period_text(period: timedelta | None) -> str:
    """Return a period as written in jobs.yaml: in the largest whole unit, or `forever`."""
    if period is None:
        return "forever"
    seconds = int(period.total_seconds())
    if not seconds:
        return "0d"
    return next((f"{seconds // size}{unit}" for unit, size in _UNITS if seconds % size == 0), f"{seconds}s")


def cutoff(now: datetime, period: timedelta | None) -> datetime | None:
    """Return the time before which something is pruned; None if it is kept for ever."""
    return None if period is None else now - period
