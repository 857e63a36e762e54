"""Moments in the spellings the vendors use: epoch seconds in, ISO 8601 out, and back.

It does not know what time it is.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

_is_iso = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?P<seconds>:\d{2}(?P<fraction>\.\d{1,9})?)?(?P<zone>Z|[+-]\d{2}:?\d{2})",
).fullmatch


# No calendar of ours goes further; a date a customer sends may be this late, and things happen after it.
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


def seconds(epoch: float) -> str:
    """Spell a moment as `2022-09-14T23:19:00Z`."""
    return datetime.fromtimestamp(min(epoch, _LAST), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def millis(epoch: float) -> str:
    """Spell a moment as `2025-05-29T07:41:51.244Z`."""
    return datetime.fromtimestamp(min(epoch, _LAST), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def compact(epoch: float) -> str:
    """Spell a moment as `20221026T181309Z`, the form of `X-Goog-Date`."""
    return datetime.fromtimestamp(min(epoch, _LAST), UTC).strftime("%Y%m%dT%H%M%SZ")


def parse_compact(text: str) -> float | None:
    """Read `20221026T181309Z` as epoch seconds; None when it is anything else."""
    if not re.fullmatch(r"\d{8}T\d{6}Z", text, re.ASCII):
        return None
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def parse(text: object, *, utc: bool = False, whole_seconds: bool = False) -> float | None:
    """Read an ISO 8601 date-time with a zone as epoch seconds; None when it is not one.

    `utc` insists on `Z` or a zero offset, `whole_seconds` refuses a fraction.
    """
    return _parsed(text, utc, whole_seconds) if isinstance(text, str) else None


# The same moments come again and again in the records of one file, and each is asked about more than once.
@lru_cache(maxsize=1 << 16)
def _parsed(text: str, utc: bool, whole_seconds: bool) -> float | None:  # noqa: FBT001 - a cache knows by place
    if (found := _is_iso(text)) is None or not text.isascii():
        return None
    if whole_seconds and found["fraction"]:
        return None
    if utc and found["zone"] not in {"Z", "+00:00", "+0000"}:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
