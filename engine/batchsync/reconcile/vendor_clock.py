"""Differences of the vendors' clocks from ours: measured and reported once per process, kept for `batchsync status`."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from batchsync.ports import ClockDiffers
from batchsync.util.files import fsync_and_rename

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from batchsync.reconcile.services import JobContext, Services

#: File in the state folder with the differences in seconds, by connection.
NAME = "clock_offsets.json"


def note_clock_offset(offset: timedelta | None, context: JobContext, services: Services) -> None:
    """Report a difference of the clocks, and keep it; a difference that is gone is removed.

    Args:
        offset: The vendor's time minus ours; None if it was not measured, or reported before.
        context: A job of the connection.
        services: Event sink and state folder.
    """
    if offset is None:
        return
    job = context.job
    if offset:
        services.events.emit(ClockDiffers(job=job.name, connection=job.connection, offset=offset))
    known = read_clock_offsets(services.paths.state)
    kept = {name: other for name, other in known.items() if name != job.connection}
    if offset:
        kept[job.connection] = offset
    if kept != known:
        _write(services.paths.state / NAME, kept)


def read_clock_offsets(state: Path) -> dict[str, timedelta]:
    """Return the differences measured last, by connection; empty if there are none or the file cannot be read."""
    with suppress(OSError, ValueError, AttributeError, TypeError, OverflowError):
        found = json.loads((state / NAME).read_text(encoding="utf-8"))
        return {str(name): timedelta(seconds=float(seconds)) for name, seconds in found.items()}
    return {}


def _write(path: Path, offsets: Mapping[str, timedelta]) -> None:
    """Write the file; it is for information only, so that a disk that refuses it stops nothing."""
    new = path.with_suffix(".new")
    with suppress(OSError):
        text = json.dumps({name: offset.total_seconds() for name, offset in sorted(offsets.items())})
        new.write_text(f"{text}\n", encoding="utf-8")
        fsync_and_rename(new, path)
