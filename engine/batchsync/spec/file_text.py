"""Read the text of a file of jobs; refuse what is no text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from batchsync.errors import Problem, SpecError
from batchsync.spec.located_text import LocatedText
from batchsync.spec.located_yaml import BYTES_MAX
from batchsync.spec.problems import Problems

if TYPE_CHECKING:
    from pathlib import Path

#: Line breaks of YAML that editors do not show; they would end a comment invisibly.
_BREAKS = frozenset({0x85, 0x2028, 0x2029})
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_text(path: Path) -> str:
    """Return the text of a file without its byte order mark.

    Raises:
        SpecError: If the file cannot be read, is too large, or is not UTF-8 text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except FileNotFoundError:
        raise SpecError(_unreadable(path, "file not found", "create it with `batchsync init`")) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "invalid path"
        raise SpecError(_unreadable(path, f"the file cannot be read: {reason.lower()}")) from None
    if len(content) > BYTES_MAX:
        raise SpecError(_unreadable(path, f"the file is larger than {BYTES_MAX:,} bytes", "split it"))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError((_wrong_bytes(path, content, error.start),)) from None
    if found := _NOT_TEXT.search(text):
        source = LocatedText(str(path), text)
        source.mask_by_key_names = True
        problems = Problems(source)
        kind = "control character" if ord(found[0]) not in _BREAKS else "invisible line break"
        problems.add("control", found.start(), f"{kind} (U+{ord(found[0]):04X})", "text without it")
        raise SpecError(problems.sorted())
    return text


def _wrong_bytes(path: Path, content: bytes, at: int) -> Problem:
    utf16 = content[:2] in {b"\xff\xfe", b"\xfe\xff"}
    before = content[:at].decode("utf-8-sig", errors="replace")
    place = LocatedText(str(path), before).place(len(before))
    return Problem(
        code="spec.encoding",
        message="the file is UTF-16" if utf16 else f"invalid UTF-8 (byte 0x{content[at]:02X})",
        file=str(path),
        line=place.line,
        column=place.column,
        expected="UTF-8",
        suggestion="save the file as UTF-8",
    )


def _unreadable(path: Path, message: str, suggestion: str = "") -> tuple[Problem, ...]:
    return (Problem(code="spec.unreadable", message=message, file=str(path), suggestion=suggestion),)
