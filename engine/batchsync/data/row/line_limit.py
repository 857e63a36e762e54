"""Maximum length of a line of text. polars takes a multiple of it in memory, so it is checked before a file is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: The longest line that is read, in bytes.
LINE_MAX = 16 << 20
#: Bytes that are read at a time in search of a line feed.
_PROBE_BYTES = 1 << 16


def too_long_error(path: Path, line: int) -> SourceError:
    """Return the error for a line, or a row over several lines, that is longer than `LINE_MAX`."""
    hint = "A quotation mark that never closes, or a file without line ends, is the usual cause."
    return SourceError(f"{path}:{line}: the line is longer than {LINE_MAX} bytes", hint=hint)


def require_short_lines(path: Path) -> None:
    """Refuse a plain file with a line longer than `LINE_MAX`. Reads only as much as shows that there is none.

    Raises:
        SourceError: If there is such a line.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        begin = 0  # of a line
        while size - begin > LINE_MAX:
            end = begin + LINE_MAX + 1
            while end > begin:
                start = max(begin, end - _PROBE_BYTES)
                stream.seek(start)
                found = stream.read(end - start).rfind(b"\n")
                if found >= 0:
                    begin = start + found + 1
                    break
                end = start
            else:
                error = too_long_error(path, 1 + _count_lines(path, begin))
                raise error


def _count_lines(path: Path, end: int) -> int:
    """Return the number of line feeds in the first bytes of a plain file."""
    lines = 0
    with path.open("rb") as stream:
        while end > 0 and (chunk := stream.read(min(_PROBE_BYTES, end))):
            lines += chunk.count(b"\n")
            end -= len(chunk)
    return lines


def iter_bounded(path: Path, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield chunks of text until a line that spans several is longer than `LINE_MAX`.

    Args:
        path: The file of the text, for the message.
        chunks: Non-empty chunks of its text, none longer than `LINE_MAX`.

    Yields:
        The chunks.

    Raises:
        SourceError: If there is such a line.
    """
    lines = length = 0
    for chunk in chunks:
        first = chunk.find(b"\n")
        if length + (first if first >= 0 else len(chunk)) > LINE_MAX:
            error = too_long_error(path, lines + 1)
            raise error
        length = len(chunk) - 1 - chunk.rfind(b"\n") if first >= 0 else length + len(chunk)
        lines += chunk.count(b"\n")
        yield chunk
