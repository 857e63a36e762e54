"""Plain-text rendering of problems: place, message, source line with a caret, expected value, suggestion."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from batchsync.util.error_codes import with_code

if TYPE_CHECKING:
    from batchsync.errors import Problem

#: Maximum characters of a source line; longer lines are cut around the caret.
_CELLS = 100
_LEAD = 60


def render_problem(problem: Problem) -> str:
    """Return the problem as lines of text without a trailing newline. Unknown parts are left out."""
    location = problem.file
    if problem.line:
        location += f":{problem.line}:{problem.column}"
    message = with_code(problem.message, problem.code)
    lines = [_clean_text(f"{location}: {message}" if location else message)]
    if problem.source_line:
        lines += _line_with_caret(problem)
    if problem.expected:
        lines.append(_clean_text(f"  expected {problem.expected}"))
    if problem.suggestion:
        lines.append(_clean_text(f"  {problem.suggestion}"))
    return "\n".join(lines)


def _line_with_caret(problem: Problem) -> list[str]:
    text, index = problem.source_line, max(problem.column - 1, 0)
    start = max(0, index - _LEAD) if len(text) > _CELLS else 0
    shown = text[start : start + _CELLS]
    head = "..." if start else ""
    tail = "..." if start + _CELLS < len(text) else ""
    margin = str(problem.line)
    cells = "".join(_clean(char) for char in shown)
    lines = [f"  {margin} | {head}{cells}{tail}"]
    if problem.column:
        before = sum(_width(char) for char in shown[: index - start])
        lines.append(f"  {' ' * len(margin)} | {' ' * (len(head) + before)}^")
    return lines


def _clean_text(text: str) -> str:
    return "".join(map(_clean, text))


def _clean(char: str) -> str:
    """Return the character; a space for non-printable characters, which a terminal might interpret."""
    return char if char.isprintable() else " "


def _width(char: str) -> int:
    """Return the number of terminal cells of the character."""
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
