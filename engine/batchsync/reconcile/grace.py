"""Time since which a vendor has given an answer that may be premature, kept in the folder of a batch's results.

A restart therefore continues the grace period (`Policy.grace`) instead of beginning another one.
"""

from __future__ import annotations

import contextlib
import json
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from batchsync.core.decide import within_grace
from batchsync.util.files import make_private, translate_os_errors

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.policy import Policy


class Premature(StrEnum):
    """Answers that may be premature. The value is the name of the file that keeps the time."""

    #: the vendor does not find a batch that it has taken
    NOT_FOUND = "not-found.json"
    #: the row log is missing, empty, or does not cover every row
    INCOMPLETE = "incomplete.json"


def is_premature(answer: Premature, folder: Path, policy: Policy, now: datetime) -> bool:
    """Return whether such an answer is asked for again; the first one begins the grace period.

    Args:
        answer: The kind of answer.
        folder: The batch's folder of collected results; created if absent.
        policy: The grace period.
        now: Current time.

    Raises:
        UnavailableError: If the time cannot be stored.
    """
    path = folder / answer.value
    since = _read(path)
    # A time in the future was stored before the clock was set back; it would prolong the period.
    if since is None or since > now:
        since = now
        with translate_os_errors(f"{path}: cannot be written", hint="free space on the disk of the state folder"):
            make_private(folder)
            path.write_text(json.dumps(since.isoformat()), encoding="utf-8")
    return within_grace(since, policy, now)


def end(answer: Premature, folder: Path) -> None:
    """End the grace period, if one began: the vendor has given another answer."""
    with contextlib.suppress(OSError):
        (folder / answer.value).unlink(missing_ok=True)


def _read(path: Path) -> datetime | None:
    """Return the stored time; None if there is none or a crash left the file incomplete."""
    try:
        found = datetime.fromisoformat(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return found if found.tzinfo is not None else None
