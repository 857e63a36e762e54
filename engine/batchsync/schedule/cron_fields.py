"""Schedules as lines of a plain cron: of five fields without the extensions of cronsim, in one time zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.core.schedule import Schedule

CRON, GITHUB, KUBERNETES, SYSTEMD = "cron", "github", "kubernetes", "systemd"
#: Formats in which schedules are exported.
FORMATS = (SYSTEMD, CRON, KUBERNETES, GITHUB)
#: Least and greatest value of each field: minute, hour, day of month, month, day of week.
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
DAY_OF_MONTH, DAY_OF_WEEK = 2, 4
_DAY, _HOUR, _MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
_EXTENSIONS = re.compile(r"[L#]")
_STEP = re.compile(r"(\w+)/(\d+)")
_FEWEST_TERMS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CronLine:
    """Five cron fields and the time zone in which they are read."""

    fields: str
    timezone: str


class NotExpressibleError(Exception):
    """A key of a schedule cannot be expressed in a format.

    Attributes:
        key: The key of `schedule:`.
        reason: What cannot be expressed.
        expected: What can.
    """

    def __init__(self, key: str, reason: str, expected: str) -> None:
        """Store the key, the reason and what would be right."""
        super().__init__(reason)
        self.key, self.reason, self.expected = key, reason, expected


def cron_lines(schedule: Schedule) -> tuple[CronLine, ...]:
    """Return lines of a plain cron that have the ticks of a schedule, on days without a change of the clocks.

    Raises:
        NotExpressibleError: If there are none.
    """
    if schedule.cron is not None:
        return (CronLine(fields=_plain(schedule.cron), timezone=schedule.timezone),)
    return tuple(CronLine(fields=fields, timezone="UTC") for fields in interval_lines(schedule.every or timedelta(0)))


def interval_lines(every: timedelta) -> Iterator[str]:
    """Yield the cron fields, in UTC, of an interval from midnight UTC.

    Raises:
        NotExpressibleError: If it does not divide a day, or is no number of minutes.
    """
    if not every or every % _MINUTE:
        reason = "an interval with seconds, where the shortest unit is a minute"
        raise NotExpressibleError("every", reason, "a number of minutes, hours, or 1d")
    if _DAY % every:
        reason = "an interval that does not divide a day, so that its times differ from day to day"
        raise NotExpressibleError("every", reason, "an interval such as 15m, 90m, 6h or 1d")
    if not _HOUR % every:
        step = every // _MINUTE
        yield "0 * * * *" if every == _HOUR else f"*/{step} * * * *" if step > 1 else "* * * * *"
        return
    hours_of: dict[int, list[int]] = {}
    for number in range(_DAY // every):
        at = every * number
        hours_of.setdefault(at % _HOUR // _MINUTE, []).append(at // _HOUR)
    for minute, hours in hours_of.items():
        yield f"{minute} {compressed(hours, 1)} * * *"


def compressed(values: list[int], field: int) -> str:
    """Return sorted numbers as a cron field: `*`, a step, a range or a list."""
    low, high = BOUNDS[field]
    if values == list(range(low, high + 1)):
        return "*"
    step = values[1] - values[0] if len(values) >= _FEWEST_TERMS else 0
    if step > 1 and values == list(range(low, high + 1, step)):
        return f"*/{step}"
    return ",".join(map(str, values))


def ambiguous_days(fields: str) -> bool:
    """Return whether the day fields are read differently: a step from `*` with a restricted day of the other kind."""
    written = fields.split()
    month, week = written[DAY_OF_MONTH], written[DAY_OF_WEEK]
    return "*" not in (month, week) and (month.startswith("*") or week.startswith("*"))


def _plain(cron: str) -> str:
    """Return a cron line without extensions: a step from one number is written as a range."""
    if _EXTENSIONS.search(cron.upper().replace("JUL", "")):
        reason = "L, LW or # in the cron line, which this format does not have"
        raise NotExpressibleError("cron", reason, "numbers, *, lists, ranges and steps")
    return " ".join(_plain_field(written, field) for field, written in enumerate(cron.upper().split()))


def _plain_field(written: str, field: int) -> str:
    """Return a field in which a step from one number, such as 5/15, is written as a range."""
    high = BOUNDS[field][1]
    terms = (_STEP.fullmatch(term) or term for term in written.split(","))
    return ",".join(term if isinstance(term, str) else f"{term[1]}-{high}/{term[2]}" for term in terms)
