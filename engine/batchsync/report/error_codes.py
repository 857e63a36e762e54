"""Report of `batchsync explain`: one error code, or the list of all; also the page docs/errors.md."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

from batchsync.report.text_format import Style, columns, markdown, markdown_table
from batchsync.util.error_codes import error_codes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.util.error_codes import ErrorCode

_WIDTH = 80
#: Area of a code by its letter.
AREAS = {
    "Y": "Jobs files",
    "D": "Expressions and columns",
    "V": "Vendor specs",
    "C": "Command line",
    "S": "Sources",
    "E": "Environment",
    "J": "State",
    "L": "Locks",
    "R": "Ends of runs",
    "X": "Others",
}


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """Explanation of one error code."""

    entry: ErrorCode

    def text(self, paint: Style) -> str:
        """Return the entry as paragraphs of 80 columns."""
        entry = self.entry
        retired = " (no longer raised)" if entry.retired else ""
        parts = [f"{paint(entry.code, 'head')}: {entry.title}{retired}", ""]
        for title, content in (("", entry.meaning), ("example: ", entry.example), ("what to do: ", entry.action)):
            parts += wrap(title + content, _WIDTH, break_on_hyphens=False, break_long_words=False)
        return "\n".join([*parts, "", f"in JSON: {entry.name}"])

    def markdown(self) -> str:
        """Return the entry as Markdown."""
        return "\n".join(_markdown(self.entry, level=3))

    def data(self) -> dict[str, object]:
        """Return the entry as a JSON-compatible dictionary."""
        return _data(self.entry)

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield the entry as one NDJSON object."""
        yield {"event": "error_code"} | _data(self.entry)


@dataclass(frozen=True, slots=True)
class ErrorsReport:
    """List of all error codes."""

    entries: tuple[ErrorCode, ...]

    def text(self, paint: Style) -> str:
        """Return codes with their titles."""
        rows = [(entry.code, entry.title) for entry in self.entries]
        return f"{columns(('code', 'error'), rows, paint, right=frozenset())}\n\n`batchsync explain CODE` says more"

    def markdown(self) -> str:
        """Return a Markdown table."""
        rows = [(entry.code, entry.title, entry.name) for entry in self.entries]
        return markdown_table(("code", "error", "name in JSON"), rows, right=frozenset())

    def data(self) -> dict[str, object]:
        """Return the entries as a JSON-compatible dictionary."""
        return {"codes": [_data(entry) for entry in self.entries]}

    def lines(self) -> Iterator[dict[str, object]]:
        """Yield one NDJSON object per entry."""
        for entry in self.entries:
            yield {"event": "error_code"} | _data(entry)


def errors_page() -> str:
    """Return the entries of all codes as Markdown, area by area."""
    lines: list[str] = []
    for letter, area in AREAS.items():
        lines += ["", f"## {area}", ""]
        for code, entry in error_codes().items():
            if code.partition("-")[2].startswith(letter):
                lines += [*_markdown(entry, level=3), ""]
    return "\n".join(lines).strip()


def _markdown(entry: ErrorCode, level: int) -> list[str]:
    retired = " No longer raised." if entry.retired else ""
    return [
        f"{'#' * level} {entry.code}: {entry.title}",
        "",
        f"{markdown(entry.meaning)}{retired}",
        "",
        f"- example: {_code(entry.example)}",
        f"- what to do: {_advice(entry.action)}",
        f"- in JSON: `{entry.name}`",
    ]


def _code(text: str) -> str:
    """Return a text as code of Markdown."""
    return f"`{text}`" if "`" not in text else f"`` {text} ``"


def _advice(text: str) -> str:
    """Return a text whose parts in backquotes are code; the others are escaped."""
    parts = text.split("`")
    return "`".join(markdown(part) if number % 2 == 0 else part for number, part in enumerate(parts))


def _data(entry: ErrorCode) -> dict[str, object]:
    return {
        "error_code": entry.code,
        "code": entry.name,
        "title": entry.title,
        "meaning": entry.meaning,
        "example": entry.example,
        "action": entry.action,
        "retired": entry.retired,
    }
