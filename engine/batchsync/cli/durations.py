"""A duration on the command line, such as `30m` or `1h30m`. It does not know what it is for."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import click

_PARTS = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_DIGITS = 6


class Duration(click.ParamType[timedelta]):
    """Days, hours, minutes and seconds in this order, each with its letter."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the duration, or end with a usage error."""
        if isinstance(value, timedelta):
            return value
        found = _PARTS.fullmatch(str(value).strip().lower())
        if not found or not any(found.groups()) or any(len(part or "") > _DIGITS for part in found.groups()):
            self.fail(f"{value!r} is no duration; write one as in 45s, 30m or 1h30m", param, ctx)
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
