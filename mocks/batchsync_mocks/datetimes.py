"""Timestamps in the formats of the vendors: formatting of epoch seconds, and parsing of ISO 8601."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

_match_iso = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?P<seconds>:\d{2}(?P<fraction>\.\d{1,9})?)?(?P<zone>Z|[+-]\d{2}:?\d{2})",
).fullmatch


# datetime ends here; a scheduled date may be this late, and later times are derived from it.
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


def format_seconds(epoch: float) -> str:
    """Return a timestamp as `2022-09-14T23:19:00Z`."""
    return datetime.fromtimestamp(min(epoch, _LAST), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_millis(epoch: float) -> str:
    """Return a timestamp as `2025-05-29T07:41:51.244Z`."""
    return datetime.fromtimestamp(min(epoch, _LAST), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def format_compact(epoch: float) -> str:
    """Return a timestamp as `20221026T181309Z`, the format of `X-Goog-Date` (motorweb-bdp.md, 5.1)."""
    return datetime.fromtimestamp(min(epoch, _LAST), UTC).strftime("%Y%m%dT%H%M%SZ")


def parse_compact(text: str) -> float | None:
    """Return the epoch seconds of `20221026T181309Z`; None if the text has another format."""
    if not re.fullmatch(r"\d{8}T\d{6}Z", text, re.ASCII):
        return None
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def parse(text: object, *, utc: bool = False, whole_seconds: bool = False) -> float | None:
    """Parse an ISO 8601 date-time with a zone into epoch seconds.

    Args:
        text: The value; anything but a string is invalid.
        utc: Whether to require `Z` or a zero offset.
        whole_seconds: Whether to reject a fraction of a second.

    Returns:
        Epoch seconds, or None if the value is invalid.
    """
    return _parsed(text, utc, whole_seconds) if isinstance(text, str) else None


# Timestamps repeat within a file, and each is parsed by several checks.
@lru_cache(maxsize=1 << 16)
def _parsed(text: str, utc: bool, whole_seconds: bool) -> float | None:  # noqa: FBT001 - lru_cache with keywords is slower
    """Return the epoch seconds of a date-time; None if it is invalid. Cached."""
    if (match := _match_iso(text)) is None or not text.isascii():
        return None
    if whole_seconds and match["fraction"]:
        return None
    if utc and match["zone"] not in {"Z", "+00:00", "+0000"}:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
