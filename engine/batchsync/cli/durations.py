"""Parameter type for durations such as `30m` or `1h30m`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

from batchsync.util.durations import parse_duration


class Duration(click.ParamType[timedelta]):
    """Duration of days, hours, minutes and seconds in this order, each with its unit letter."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the duration, or fail with a usage error."""
        if isinstance(value, timedelta):
            return value
        try:
            return parse_duration(str(value).strip().lower())
        except ValueError:
            self.fail(f"{value!r} is not a duration; write for example 45s, 30m or 1h30m", param, ctx)
