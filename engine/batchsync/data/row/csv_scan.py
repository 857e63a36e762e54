"""Fast pass over a CSV file: counts bytes outside quotes and checks the bytes next to quotes and carriage returns.

A file that passes has as many fields in every row as in its header, quotation marks only at the edges of fields, no
unquoted carriage return but the single one before a line feed, and no row beyond the limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.data.row.byte_scan import count_byte
from batchsync.data.row.line_limit import LINE_MAX
from batchsync.data.row.text_reader import CHUNK_BYTES, TextFile, iter_text

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

_QUOTE, _LF, _CR = b'"\n\r'


def passes(path: Path, delimiter: str, fields: int) -> bool:
    """Return whether the structure of a plain UTF-8 file is certainly valid.

    Args:
        path: A UTF-8 file.
        delimiter: One ASCII character.
        fields: Number of fields that each row must have.

    Returns:
        Whether it is; otherwise the file has to be parsed row by row.

    Raises:
        SourceError: If a byte is not UTF-8.
    """
    state = _ScanState()
    allowed = _allowed_beside_quotes(delimiter)
    for chunk in iter_text(TextFile(path=path, encoding="utf-8")):
        _scan_carriage_returns(state, chunk)
        _scan_quotes(state, chunk, allowed)
        _count_fields(state, chunk, ord(delimiter))
        if state.since_newline > LINE_MAX:
            return False
    lines = state.newlines + (1 if state.ends_open else 0)
    # polars ignores one superfluous empty field at the end of the file; it could compensate for a field that is
    # missing in another row.
    is_suspect = state.misplaced_quote or state.quotes % 2 == 1 or state.last_byte == ord(delimiter)
    is_suspect = is_suspect or state.stray_cr or state.last_byte == _CR
    return not is_suspect and state.delimiters == lines * (fields - 1)


def has_short_rows(path: Path) -> bool:
    """Return whether no row is much longer than `LINE_MAX`, to be asked before polars reads the file.

    polars looks for the end of a row without a limit: a quotation mark that never closes takes a multiple of the file
    in memory. Counts quotation marks only, at several gigabytes a second.
    """
    if path.stat().st_size <= LINE_MAX:
        return True
    import numpy as np  # noqa: PLC0415 - slow to import, and only needed to read rows

    is_quoted, length = False, 0
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            length = 0 if _has_row_end(chunk, is_quoted=is_quoted) else length + len(chunk)
            if length > LINE_MAX:
                return False
            is_quoted ^= bool(np.count_nonzero(np.frombuffer(chunk, np.uint8) == _QUOTE) % 2)
    return True


def _has_row_end(chunk: bytes, *, is_quoted: bool) -> bool:
    """Return whether a chunk has a line feed outside quotes; `is_quoted` says whether it begins within quotes."""
    position = 0
    while True:
        mark = chunk.find(b'"', position)
        if not is_quoted and chunk.find(b"\n", position, mark if mark >= 0 else len(chunk)) >= 0:
            return True
        if mark < 0:
            return False
        position, is_quoted = mark + 1, not is_quoted


@dataclass(slots=True)
class _ScanState:
    """Counters and flags of the fast pass, over all chunks scanned so far.

    Attributes:
        quotes: Number of quotation marks.
        newlines: Number of line feeds outside quotes.
        delimiters: Number of delimiters outside quotes.
        since_newline: Number of bytes since the last line feed outside quotes.
        ends_open: Whether the last line has no line feed.
        last_byte: Last byte of the previous chunk.
        misplaced_quote: Whether a quotation mark opened or closed a field elsewhere than at its edge.
        stray_cr: Whether an unquoted carriage return is not followed by a line feed.
    """

    quotes: int = 0
    newlines: int = 0
    delimiters: int = 0
    since_newline: int = 0
    ends_open: bool = False
    last_byte: int = _LF
    misplaced_quote: bool = False
    stray_cr: bool = False


def _allowed_beside_quotes(delimiter: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return for each byte value whether it may precede an opening and follow a closing quotation mark."""
    import numpy as np  # noqa: PLC0415 - slow to import, and only needed to read rows

    allowed = np.zeros(256, dtype=np.bool_)
    allowed[[ord(delimiter), _QUOTE, _LF, _CR]] = True
    return allowed


def _scan_carriage_returns(state: _ScanState, chunk: bytes) -> None:
    """Find unquoted carriage returns that are not followed by a line feed. Call before `_scan_quotes`.

    Quoted ones are data. A quotation mark within an unquoted field makes this wrong, but such a file is parsed row by
    row anyway.
    """
    if state.last_byte == _CR and chunk[0] != _LF and state.quotes % 2 == 0:
        state.stray_cr = True
    if state.stray_cr or b"\r" not in chunk:
        return
    import numpy as np  # noqa: PLC0415 - slow to import, and only needed to read rows

    text = np.frombuffer(chunk, np.uint8)
    offsets = np.flatnonzero((text[:-1] == _CR) & (text[1:] != _LF))
    if not offsets.size:
        return
    quotes_before = np.searchsorted(np.flatnonzero(text == _QUOTE), offsets)
    state.stray_cr = bool(((state.quotes + quotes_before) % 2 == 0).any())


def _scan_quotes(state: _ScanState, chunk: bytes, allowed: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
    """Check the bytes next to quotation marks; every second mark opens. Call before `_count_fields`."""
    import numpy as np  # noqa: PLC0415 - slow to import, and only needed to read rows

    text = np.frombuffer(chunk, np.uint8)
    offsets = np.flatnonzero(text == _QUOTE)
    opening, closing = offsets[state.quotes % 2 :: 2], offsets[1 - state.quotes % 2 :: 2]
    is_first_wrong = state.last_byte == _QUOTE and state.quotes % 2 == 0 and not allowed[text[0]]
    before = text[opening - 1]
    if opening.size and not opening[0]:
        before[0] = state.last_byte
    after = text[closing[closing < text.size - 1] + 1]
    is_wrong = bool(is_first_wrong or not allowed[before].all() or not allowed[after].all())
    state.misplaced_quote = state.misplaced_quote or is_wrong
    state.last_byte = int(text[-1])


def _count_fields(state: _ScanState, chunk: bytes, delimiter: int) -> None:
    """Count quotes, delimiters and line feeds; every second segment between quotation marks is unquoted."""
    segments = chunk.split(b'"')
    unquoted = segments[state.quotes % 2 :: 2]
    text = b"".join(unquoted) if len(segments) > 1 else (unquoted[0] if unquoted else b"")
    newlines = count_byte(text, _LF)
    state.newlines += newlines
    state.delimiters += count_byte(text, delimiter)
    state.quotes += len(segments) - 1
    state.since_newline = len(chunk) - 1 - chunk.rfind(b"\n") if newlines else state.since_newline + len(chunk)
    state.ends_open = not chunk.endswith(b"\n")


def find_blank_rows(path: Path) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the numbers of empty lines in a UTF-8 CSV file, counted in rows from 0 after the header.

    polars reads them as rows of nulls, indistinguishable from rows of empty fields, which are records.
    """
    import numpy as np  # noqa: PLC0415 - slow to import, and only needed to read rows

    found: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    quotes = rows = 0
    carried = b""
    for chunk in iter_text(TextFile(path=path, encoding="utf-8")):
        text = np.frombuffer(carried + chunk, np.uint8)
        marks, ends = np.flatnonzero(text == _QUOTE), np.flatnonzero(text == _LF)
        ends = ends[ends >= len(carried)]
        ends = ends[(quotes + np.searchsorted(marks[marks >= len(carried)], ends)) % 2 == 0]
        previous, second_previous = text[np.maximum(ends - 1, 0)], text[np.maximum(ends - 2, 0)]
        is_blank = (ends > 0) & (previous == _LF) | (ends > 1) & (previous == _CR) & (second_previous == _LF)
        found.append(np.flatnonzero(is_blank) + rows - 1)
        quotes += chunk.count(b'"')
        rows += ends.size
        carried = (carried + chunk)[-2:]
    return np.concatenate([np.empty(0, np.int64), *found])
