"""How numbers, moments, names and tables look to a person, the same everywhere. It does not know what they mean.

Text that came from a file or a vendor is made harmless before it is shown: no control character reaches a terminal,
and nothing in a Markdown cell ends the cell.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from rich.cells import cell_len

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_KILO = 1000
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~!])")


class Paint(Protocol):
    """Gives a piece of text the colour of its role: good, bad, warn, dim or head."""

    def __call__(self, text: str, role: str) -> str:
        """Return the text, with or without colour."""
        ...


class Report(Protocol):
    """One answer of lading, in every form that it may be asked for."""

    def text(self, paint: Paint) -> str:
        """Return it for a person at a terminal, without a line end."""
        ...

    def markdown(self) -> str:
        """Return it for a page or a pull request."""
        ...

    def data(self) -> Mapping[str, object]:
        """Return it as plain values for JSON."""
        ...

    def lines(self) -> Iterator[Mapping[str, object]]:
        """Return its parts as plain values, each to be one line of NDJSON."""
        ...


def plain(text: str, role: str) -> str:  # noqa: ARG001 - the signature is that of Paint
    """Return the text without colour."""
    return text


def visible(text: str) -> str:
    """Return the text with control and direction characters spelled out: nothing in it can move a cursor."""
    if text.isprintable():
        return text
    return "".join(char if _is_harmless(char) else _spelled(char) for char in text)


def noun(number: int, one: str, many: str = "") -> str:
    """Return a counted noun, as in `1 record` and `2,000 records`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(number: int) -> str:
    """Return a number of bytes in decimal units, as in `9.8 kB`."""
    if number < _KILO:
        return f"{number} B"
    amount = float(number)
    for unit in ("kB", "MB", "GB"):
        amount /= _KILO
        if amount < _KILO:
            return f"{amount:.1f} {unit}"
    return f"{amount / _KILO:.1f} TB"


def moment(when: datetime) -> str:
    """Return a moment in UTC for a person, as in `2026-11-22 07:30:14Z`."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def iso(when: datetime | None) -> str | None:
    """Return a moment in UTC for a machine, as in `2026-11-22T07:30:14Z`."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if when else None


def span(duration: timedelta) -> str:
    """Return a duration in its two greatest units, as in `2 h 5 min`."""
    seconds = int(abs(duration).total_seconds())
    days, hours, minutes = seconds // 86400, seconds % 86400 // 3600, seconds % 3600 // 60
    if abs(duration) >= _DAY:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if abs(duration) >= _HOUR:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if abs(duration) >= _MINUTE:
        return f"{minutes} min"
    return f"{seconds} s"


def distance(when: datetime, now: datetime) -> str:
    """Return how far a moment is from now, as in `in 5 min`, `3 h ago` or `now`."""
    if abs(when - now) < timedelta(seconds=1):
        return "now"
    return f"in {span(when - now)}" if when > now else f"{span(now - when)} ago"


def columns(header: Sequence[str], rows: Iterable[Sequence[str]], paint: Paint, *, right: frozenset[int]) -> str:
    """Return a table with aligned columns under a header. `right` are the columns that hold numbers."""
    lines = [[visible(cell) for cell in row] for row in rows]
    widths = [max(cell_len(line[at]) for line in [list(header), *lines]) for at in range(len(header))]

    def one(line: Sequence[str]) -> str:
        cells = (_padded(cell, widths[at], right=at in right) for at, cell in enumerate(line))
        return "  ".join(cells).rstrip()

    return "\n".join([paint(one(header), "head"), *(one(line) for line in lines)])


def markdown(text: str) -> str:
    """Return the text so that Markdown shows it as it is, on one line."""
    return _MARKDOWN.sub(r"\\\1", visible(text))


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, right: frozenset[int]) -> str:
    """Return a Markdown table. The cells are made harmless here."""
    rule = ["---:" if at in right else "---" for at in range(len(header))]
    lines = [list(header), rule, *([markdown(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _padded(cell: str, width: int, *, right: bool) -> str:
    room = " " * (width - cell_len(cell))
    return room + cell if right else cell + room


def _is_harmless(char: str) -> bool:
    return char.isprintable() or (unicodedata.category(char) == "Zs")


def _spelled(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
