"""Structural validation of CSV files: constant field count, balanced quotes, known line ends, bounded line length.

The columnar reader fills short rows with nulls, merges rows between quotation marks that are not doubled, and takes a
carriage return that ends no line for a part of the value, all without an error. This pass only counts bytes outside
quotes and looks at those beside them; a file in which something is wrong is then read row by row to name the place.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np

from lading.data.files import TextFile, beginning, pieces
from lading.data.names import PREFIX
from lading.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: The longest line that is read, in bytes.
LINE_MAX = 16 << 20
_RIVALS = ",;\t|"
_QUOTE, _LF, _CR = b'"\n\r'
_LINE_ENDS = "Convert the line ends to LF or CRLF; put a value that holds a carriage return into quotation marks."
_STRAY = "a carriage return (CR) stands outside quotation marks and not before a line feed (LF)"


@dataclass(slots=True)
class _Count:
    """What was counted outside quotes so far.

    `last` is the byte before the next piece; `odd` says that a quotation mark opened a field elsewhere than at its
    beginning, or closed one elsewhere than at its end; `stray` that a carriage return stands not before a line feed.
    """

    quotes: int = 0
    newlines: int = 0
    delimiters: int = 0
    since_newline: int = 0
    ends_open: bool = False
    last: int = _LF
    odd: bool = False
    stray: bool = False


def header(file: TextFile, delimiter: str) -> tuple[str, ...]:
    """Return the column names of a CSV file.

    Raises:
        SourceError: when the file is empty, or a name is empty in a way that matters, doubled or reserved.
    """
    start = beginning(file, 1 << 16)
    if b"\n" not in start:
        start = beginning(file, LINE_MAX)
    if not start.strip():
        hint = "Export it again; a file without rows still needs its header line."
        raise SourceError(f"{file.path} is empty: it has no header line", hint=hint)
    if b"\n" not in start and b"\r" in start:
        raise SourceError(f"{file.path} has lines that end in CR alone", hint="Save it with LF or CRLF line ends.")
    names = _names(file, start, delimiter)
    doubled = sorted({one for one in names if names.count(one) > 1})
    if doubled:
        listed = ", ".join(repr(one) for one in doubled[:5])
        raise SourceError(f"{file.path}:1: columns stand twice in the header: {listed}", hint="Rename one of each.")
    if any(one.startswith(PREFIX) for one in names):
        raise SourceError(f"{file.path}:1: column names may not begin with {PREFIX!r}", hint="Rename the column.")
    return tuple(names)


def _names(file: TextFile, start: bytes, delimiter: str) -> list[str]:
    """Return the fields of the first row of a file that begins like this."""
    text = start.decode(errors="ignore")
    lines = _Lines(io.StringIO(text, newline="\n"))
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        names = next(reader, [])
    except csv.Error as error:
        raise _broken(file.path, reader.line_num, 0, error) from None
    if lines.fault:
        raise SourceError(f"{file.path}:{reader.line_num} (row 0): {lines.fault}", hint=_LINE_ENDS)
    return names


def rival_delimiter(columns: tuple[str, ...], delimiter: str) -> str | None:
    """Return the delimiter that a file of one column more likely has, or None."""
    if len(columns) != 1:
        return None
    counts = {one: columns[0].count(one) for one in _RIVALS if one != delimiter}
    best = max(counts, key=lambda one: counts[one])
    return best if counts[best] else None


def check(path: Path, delimiter: str, fields: int) -> None:
    """Refuse a UTF-8 file whose rows are ragged, with the first such row.

    Raises:
        SourceError: for a row with too many or too few fields, a quote that never closes, a carriage return outside
            quotes that is not the only one before a line feed, a line beyond the cap, or a byte that is not UTF-8.
    """
    count = _Count()
    beside = _beside_quotes(delimiter)
    file = TextFile(path=path, encoding="utf-8")
    for piece in pieces(file):
        _look_at_returns(count, piece)
        _look(count, piece, beside)
        _add(count, piece, delimiter.encode())
        if count.since_newline > LINE_MAX:
            hint = "A quotation mark that never closes is the usual cause."
            raise SourceError(f"{path}: line {count.newlines + 1} is longer than {LINE_MAX} bytes", hint=hint)
    lines = count.newlines + (1 if count.ends_open else 0)
    # A field too many that is empty and ends the file is all that the reader lets pass; it could make up for one that
    # another row has too few.
    suspect = count.odd or count.quotes % 2 == 1 or count.last == ord(delimiter)
    suspect = suspect or count.stray or count.last == _CR
    if suspect or count.delimiters != lines * (fields - 1):
        explain(path, delimiter, fields)


def _beside_quotes(delimiter: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return for each byte whether it may stand before a quotation mark that opens and after one that closes."""
    found = np.zeros(256, dtype=np.bool_)
    found[[ord(delimiter), _QUOTE, _LF, _CR]] = True
    return found


def _look_at_returns(count: _Count, piece: bytes) -> None:
    """Look at the bytes behind the carriage returns of one piece and of the end of the last one. Before `_look`.

    Those within quotes are data. Where a quotation mark stands within a field that is not quoted, every second one does
    not lie within quotes, but then the file is read row by row anyway.
    """
    if count.last == _CR and piece[0] != _LF and count.quotes % 2 == 0:
        count.stray = True
    if count.stray or b"\r" not in piece:
        return
    text = np.frombuffer(piece, np.uint8)
    places = np.flatnonzero((text[:-1] == _CR) & (text[1:] != _LF))
    if not places.size:
        return
    before = np.searchsorted(np.flatnonzero(text == _QUOTE), places)
    count.stray = bool(((count.quotes + before) % 2 == 0).any())


def _look(count: _Count, piece: bytes, beside: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
    """Look at the bytes beside the quotation marks of one piece; every second mark opens. Before `_add`."""
    text = np.frombuffer(piece, np.uint8)
    places = np.flatnonzero(text == _QUOTE)
    opening, closing = places[count.quotes % 2 :: 2], places[1 - count.quotes % 2 :: 2]
    first = count.last == _QUOTE and count.quotes % 2 == 0 and not beside[text[0]]
    before = text[opening - 1]
    if opening.size and not opening[0]:
        before[0] = count.last
    after = text[closing[closing < text.size - 1] + 1]
    count.odd = count.odd or bool(first or not beside[before].all() or not beside[after].all())
    count.last = int(text[-1])


def _add(count: _Count, piece: bytes, delimiter: bytes) -> None:
    """Count one piece of text. Every second stretch between quotation marks lies outside of them."""
    stretches = piece.split(b'"')
    outside = stretches[count.quotes % 2 :: 2]
    text = b"".join(outside) if len(stretches) > 1 else (outside[0] if outside else b"")
    newlines = text.count(b"\n")
    count.newlines += newlines
    count.delimiters += text.count(delimiter)
    count.quotes += len(stretches) - 1
    count.since_newline = len(piece) - 1 - piece.rfind(b"\n") if newlines else count.since_newline + len(piece)
    count.ends_open = not piece.endswith(b"\n")


def blank_rows(path: Path) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return which rows of a UTF-8 file, from 0 behind the header, are lines with nothing in them.

    The columnar reader gives them as rows without a value, as it gives rows of empty fields, which are records.
    """
    found: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
    quotes = rows = 0
    before = b""
    for piece in pieces(TextFile(path=path, encoding="utf-8")):
        text = np.frombuffer(before + piece, np.uint8)
        places, ends = np.flatnonzero(text == _QUOTE), np.flatnonzero(text == _LF)
        ends = ends[ends >= len(before)]
        ends = ends[(quotes + np.searchsorted(places[places >= len(before)], ends)) % 2 == 0]
        one, two = text[np.maximum(ends - 1, 0)], text[np.maximum(ends - 2, 0)]
        blank = (ends > 0) & (one == _LF) | (ends > 1) & (one == _CR) & (two == _LF)
        found.append(np.flatnonzero(blank) + rows - 1)
        quotes += piece.count(b'"')
        rows += ends.size
        before = (before + piece)[-2:]
    return np.concatenate([np.empty(0, np.int64), *found])


class _Lines:
    """Lines of a CSV file, split at line feeds only; `fault` is what is wrong with the end of the last one, if any."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.fault: str | None = None

    def __iter__(self) -> Iterator[str]:
        for line in self._stream:
            self.fault = None
            if line.endswith("\r\r\n"):
                self.fault = "the line ends in CR CR LF"
            elif line.endswith("\r"):
                self.fault = "the line ends in CR without LF"
            yield line


def explain(path: Path, delimiter: str, fields: int) -> None:
    """Find the first row that is not as the header says, row by row, and say so; return when there is none.

    Raises:
        SourceError: with the place of that row.
    """
    csv.field_size_limit(LINE_MAX)
    row = 0
    with path.open(encoding="utf-8-sig", newline="\n") as stream:
        lines = _Lines(stream)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            for values in reader:
                if lines.fault:  # a row ends here, so that no quotation mark is open
                    raise SourceError(f"{path}:{reader.line_num} (row {row}): {lines.fault}", hint=_LINE_ENDS)
                if values and len(values) != fields:
                    more = "more" if len(values) > fields else "fewer"
                    hint = "Quote values that hold the delimiter or a line end; nothing was sent."
                    where = f"{path}: row {row} (line {reader.line_num})"
                    what = f"has {len(values)} fields, {more} than the {fields} of the header"
                    raise SourceError(f"{where} {what}", hint=hint)
                row += 1
        except csv.Error as error:
            raise _broken(path, reader.line_num, row, error) from None


def _broken(path: Path, line: int, row: int, error: csv.Error) -> SourceError:
    """Return the error for a row that is no CSV."""
    if "new-line character" in str(error):
        return SourceError(f"{path}:{line} (row {row}): {_STRAY}", hint=_LINE_ENDS)
    hint = "Double a quotation mark inside quotes, and close every quote."
    return SourceError(f"{path}: row {row} (line {line}): {error}", hint=hint)
