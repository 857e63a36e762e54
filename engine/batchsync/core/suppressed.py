"""Treatment of suppressed persons that the target holds."""

from __future__ import annotations

from enum import StrEnum


class OnSuppressed(StrEnum):
    """Treatment of suppressed persons that the target holds."""

    KEEP = "keep"
    #: remove them as keys that left the source; guards apply
    REMOVE = "remove"
