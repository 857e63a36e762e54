"""Formatting of numbers, times, durations and tables for all reports.

Text from files and vendors is escaped: no control character reaches a terminal, and no text ends a Markdown cell.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_KILO = 1000
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_MINUTE = timedelta(minutes=1)
#: What begins a mention, a reference to an issue, merge request, label or milestone, or a URL.
_LINKED = re.compile(
    r"[@#!$%~](?=[\w\"'-])|&amp;(?=\d)|\bGH-(?=\d)|\b(?:https?|ftp|mailto|xmpp):|\bwww\.", re.IGNORECASE
)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~!])")


class Style(Protocol):
    """Function that colours text by role: good, bad, warn, dim or head."""

    def __call__(self, text: str, role: str) -> str:
        """Return the text, with or without colour."""
        ...


class Report(Protocol):
    """Result of a command, in every output format."""

    def text(self, paint: Style) -> str:
        """Return the report as text for a terminal, without a trailing line end."""
        ...

    def markdown(self) -> str:
        """Return the report as Markdown."""
        ...

    def data(self) -> Mapping[str, object]:
        """Return the report as a JSON-compatible mapping."""
        ...

    def lines(self) -> Iterator[Mapping[str, object]]:
        """Yield the parts of the report as JSON-compatible mappings, one per NDJSON line."""
        ...


def strip_ansi(text: str, role: str) -> str:  # noqa: ARG001 - the signature is that of Paint
    """Return the text unchanged: the style without colours."""
    return text


def escape_controls(text: str) -> str:
    """Return the text with control and bidirectional characters replaced by escape sequences."""
    if text.isprintable():
        return text
    return "".join(char if _is_printable(char) else _escape(char) for char in text)


def pluralize(number: int, singular: str, plural: str = "") -> str:
    """Return a counted noun, as in `1 record` and `2,000 records`.

    Args:
        number: The count.
        singular: Noun for a count of 1.
        plural: Noun for other counts; by default the singular with an `s`.
    """
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


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
    """Return a time in UTC for a person, as in `2026-11-22 07:30:14Z`."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def time_of_day(when: datetime, now: datetime) -> str:
    """Return a time in UTC, as in `16:45:00Z`, with its date unless it is today."""
    today = when.astimezone(UTC).date() == now.astimezone(UTC).date()
    return f"{when.astimezone(UTC):%H:%M:%S}Z" if today else moment(when)


def iso(when: datetime | None) -> str | None:
    """Return a time in UTC in ISO 8601, as in `2026-11-22T07:30:14Z`."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if when else None


def format_duration(duration: timedelta) -> str:
    """Return a duration in its two largest units, as in `2 h 5 min`."""
    seconds = int(abs(duration).total_seconds())
    days, hours, minutes = seconds // 86400, seconds % 86400 // 3600, seconds % 3600 // 60
    if abs(duration) >= _DAY:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if abs(duration) >= _HOUR:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if abs(duration) >= _MINUTE:
        return f"{minutes} min"
    return f"{seconds} s"


def format_relative(when: datetime, now: datetime) -> str:
    """Return a time relative to now, as in `in 5 min`, `3 h ago` or `now`."""
    if abs(when - now) < timedelta(seconds=1):
        return "now"
    return f"in {format_duration(when - now)}" if when > now else f"{format_duration(now - when)} ago"


def columns(header: Sequence[str], rows: Iterable[Sequence[str]], paint: Style, *, right: frozenset[int]) -> str:
    """Return a table with aligned columns under a header.

    Args:
        header: Column names.
        rows: Cells of each row; control characters are escaped here.
        paint: Style of the header.
        right: Indexes of right-aligned columns.
    """
    lines = [[escape_controls(cell) for cell in row] for row in rows]
    widths = [max(_cell_len(line[index]) for line in [list(header), *lines]) for index in range(len(header))]

    def aligned(line: Sequence[str]) -> str:
        cells = (_padded(cell, widths[index], right=index in right) for index, cell in enumerate(line))
        return "  ".join(cells).rstrip()

    return "\n".join([paint(aligned(header), "head"), *(aligned(line) for line in lines)])


def markdown(text: str) -> str:
    """Return the text on one line, with Markdown markup escaped, and nothing in it that becomes a link or a mention."""
    return unlinked(_MARKDOWN.sub(r"\\\1", escape_controls(text).replace("&", "&amp;")))


def unlinked(text: str) -> str:
    """Return Markdown in which mentions, references, URLs and e-mail addresses stay text.

    An empty comment parts what GitHub and GitLab would link after the markup was read; escapes do not prevent that.
    """
    return _LINKED.sub(r"\g<0><!-- -->", text)


def markdown_with_code(text: str) -> str:
    """Return a text on one line, as `markdown` does, but with its commands in backquotes as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return markdown(text)
    return "".join(f"`{escape_controls(part)}`" if index % 2 else markdown(part) for index, part in enumerate(parts))


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, right: frozenset[int]) -> str:
    """Return a Markdown table.

    Args:
        header: Column names.
        rows: Cells of each row; escaped here.
        right: Indexes of right-aligned columns.
    """
    rule = ["---:" if index in right else "---" for index in range(len(header))]
    lines = [list(header), rule, *([markdown(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _padded(cell: str, width: int, *, right: bool) -> str:
    padding = " " * (width - _cell_len(cell))
    return padding + cell if right else cell + padding


def _is_printable(char: str) -> bool:
    return char.isprintable() or (unicodedata.category(char) == "Zs")


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _cell_len(text: str) -> int:
    """Return the width of a text on a terminal, in cells."""
    from rich.cells import cell_len  # noqa: PLC0415 - only tables need it, and `--help` must stay fast

    return cell_len(text)
