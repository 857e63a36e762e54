"""Durations as text, such as `30s`, `15m` or `1h30m`."""

from __future__ import annotations

import re
from datetime import timedelta

_PARTS = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?")


def parse_duration(text: str) -> timedelta:
    """Return the duration of a text of days, hours, minutes and seconds in this order, each with its unit letter.

    Raises:
        ValueError: If the text is not a duration.
    """
    found = _PARTS.fullmatch(text)
    if not found or not any(found.groups()):
        message = f"{text!r} is not a duration"
        raise ValueError(message)
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
