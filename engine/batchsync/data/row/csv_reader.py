"""CSV files: reader, and validation of their structure (field count, quotes, line ends, bounded line length).

All columns are text; an empty field is null. polars fills short rows with nulls, merges rows across unbalanced quotes
and treats a stray carriage return as part of the value, all without an error. The fast pass counts bytes outside
quotes and checks the bytes next to quotes; a file that fails it is parsed row by row to locate the error.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, ClassVar

import polars as pl

from batchsync.data.frame.columns import PREFIX, ROW
from batchsync.data.row.row_reader import engine_errors
from batchsync.data.row.text_reader import TextFile, TextReader, iter_text, read_beginning
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np

    from batchsync.core.job import Source
    from batchsync.data.row.row_reader import SourceFile, SourceFiles

#: The longest line that is read, in bytes.
LINE_MAX = 16 << 20
_DELIMITERS = ",;\t|"
_QUOTE, _LF, _CR = b'"\n\r'
_LINE_END_HINT = "Convert the line ends to LF or CRLF; quote values that contain a carriage return."
_UNESCAPED_QUOTE = "unescaped quotation mark in an unquoted field"
_UNESCAPED_QUOTE_HINT = "Quote the whole field and double the quotation marks inside it."
_STRAY_CR = "unquoted carriage return (CR) that is not followed by a line feed (LF)"


class CsvReader(TextReader):
    """Reader of CSV files."""

    skips_bom: ClassVar[bool] = True

    def schema(self, path: Path, source: Source) -> dict[str, pl.DataType]:
        """Return the columns of the header, all text.

        Raises:
            SourceError: If the delimiter is not one ASCII character, or there is no valid header.
        """
        if len(source.delimiter.encode()) != 1:
            hint = "Use one ASCII character, such as , or ; or a tab."
            raise SourceError(f"{source.place}: {source.delimiter!r} cannot be a delimiter", hint=hint)
        return dict.fromkeys(_read_header(TextFile(path=path, encoding=source.encoding), source.delimiter), pl.String())

    def check(self, file: SourceFile) -> None:
        """Check the structure of a plain UTF-8 file and report its first invalid row.

        Raises:
            SourceError: If a row has another number of fields, a quote is not closed, an unquoted carriage return is
                not followed by a line feed, a line is longer than `LINE_MAX`, or a byte is not UTF-8.
        """
        path, delimiter, fields = file.path, file.source.delimiter, len(file.source.columns)
        state = _ScanState()
        allowed = _allowed_beside_quotes(delimiter)
        for chunk in iter_text(TextFile(path=path, encoding="utf-8")):
            _scan_carriage_returns(state, chunk)
            _scan_quotes(state, chunk, allowed)
            _count_fields(state, chunk, delimiter.encode())
            if state.since_newline > LINE_MAX:
                hint = "A quotation mark that never closes is the usual cause."
                raise SourceError(f"{path}: line {state.newlines + 1} is longer than {LINE_MAX} bytes", hint=hint)
        lines = state.newlines + (1 if state.ends_open else 0)
        # polars ignores one superfluous empty field at the end of the file; it could compensate for a field that is
        # missing in another row.
        is_suspect = state.misplaced_quote or state.quotes % 2 == 1 or state.last_byte == ord(delimiter)
        is_suspect = is_suspect or state.stray_cr or state.last_byte == _CR
        if is_suspect or state.delimiters != lines * (fields - 1):
            _raise_first_error(path, delimiter, fields)

    def scan(self, file: SourceFile) -> pl.LazyFrame:
        """Return a scan of a plain UTF-8 file: `ROW` from 0, and the columns in the order of the source."""
        return self._scan([file.path], file.source, self._header(file))

    def _scan(self, paths: list[Path], source: SourceFiles, header: tuple[str, ...]) -> pl.LazyFrame:
        """Return a scan of plain UTF-8 files with the same header."""
        rows = pl.scan_csv(
            paths,
            new_columns=list(header),
            separator=source.delimiter,
            infer_schema=False,
            null_values=["", *source.nulls],
            row_index_name=ROW,
            glob=False,
        )
        return rows.select(ROW, *source.columns)

    def _header(self, file: SourceFile) -> tuple[str, ...]:
        """Return the column names of a plain UTF-8 file."""
        return _read_header(TextFile(path=file.path, encoding="utf-8"), file.source.delimiter)

    def read_together(self, files: Sequence[SourceFile]) -> pl.DataFrame | None:
        """Return the rows of files with the same header, unless one has a blank line or cannot be read.

        Args:
            files: The files, of one source.

        Returns:
            The rows as `RowReader.read_together` describes them.
        """
        source = files[0].source
        try:
            headers = {self._header(file) for file in files}
            if len(headers) > 1:
                return None
            rows = self._scan([file.path for file in files], source, headers.pop()).collect(engine="streaming")
        except (*engine_errors(), SourceError, OSError):
            return None
        return None if _has_row_of_nulls(rows, source.columns) else rows

    def read(self, file: SourceFile) -> Iterator[pl.DataFrame]:
        """Read a plain UTF-8 file; its blank lines, which are searched for at the first row of nulls, have no `ROW`.

        Yields:
            The frames that `RowReader.read` describes.
        """
        blank: pl.Series | None = None
        for frame in super().read(file):
            if blank is None and _has_row_of_nulls(frame, file.source.columns):
                blank = pl.Series(_find_blank_rows(file.path), dtype=pl.UInt32)
            if blank is None:
                yield frame
            else:
                yield frame.with_columns(pl.when(~pl.col(ROW).is_in(blank.implode())).then(ROW).alias(ROW))

    def raise_first_error(self, file: SourceFile) -> None:
        """Parse a file row by row and raise an error for its first invalid row.

        Raises:
            SourceError: In any case: polars refuses unescaped quotation marks that the csv module accepts.
        """
        _raise_first_error(file.path, file.source.delimiter, len(file.source.columns))
        raise SourceError(f"{file.path}: {_UNESCAPED_QUOTE}", hint=_UNESCAPED_QUOTE_HINT)


def _has_row_of_nulls(frame: pl.DataFrame, columns: tuple[str, ...]) -> bool:
    """Return whether all columns of a row are null."""
    if not columns or not frame[columns[0]].null_count():
        return False
    return bool(frame.select(pl.all_horizontal(pl.col(columns).is_null()).any()).item())


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


def _read_header(file: TextFile, delimiter: str) -> tuple[str, ...]:
    """Return the column names of a CSV file.

    Raises:
        SourceError: If the file is empty, its lines end in CR alone, or a column name is a duplicate or reserved.
    """
    start = read_beginning(file, 1 << 16)
    if b"\n" not in start:
        start = read_beginning(file, LINE_MAX)
    if not start.strip():
        hint = "Export it again; a file without rows still needs its header line."
        raise SourceError(f"{file.path} is empty: it has no header line", hint=hint)
    if b"\n" not in start and b"\r" in start:
        raise SourceError(f"{file.path} has lines that end in CR alone", hint="Save it with LF or CRLF line ends.")
    names = _parse_header(file, start, delimiter)
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        listed = ", ".join(repr(name) for name in duplicates[:5])
        raise SourceError(f"{file.path}:1: duplicate columns in the header: {listed}", hint="Rename the duplicates.")
    if any(name.startswith(PREFIX) for name in names):
        raise SourceError(f"{file.path}:1: column names may not begin with {PREFIX!r}", hint="Rename the column.")
    return tuple(names)


def _parse_header(file: TextFile, start: bytes, delimiter: str) -> list[str]:
    """Return the fields of the first row; `start` is the beginning of the file."""
    text = start.decode(errors="ignore")
    lines = _LineReader(io.StringIO(text, newline="\n"))
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        names = next(reader, [])
    except csv.Error as error:
        raise _invalid_csv_error(file.path, reader.line_num, 0, error) from None
    if lines.line_end_error:
        raise SourceError(f"{file.path}:{reader.line_num} (row 0): {lines.line_end_error}", hint=_LINE_END_HINT)
    return names


def likely_delimiter(columns: tuple[str, ...], delimiter: str) -> str | None:
    """Return another delimiter that the name of a single column contains, the most frequent first, or None."""
    if len(columns) != 1:
        return None
    counts = {candidate: columns[0].count(candidate) for candidate in _DELIMITERS if candidate != delimiter}
    best = max(counts, key=lambda candidate: counts[candidate])
    return best if counts[best] else None


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


def _count_fields(state: _ScanState, chunk: bytes, delimiter: bytes) -> None:
    """Count quotes, delimiters and line feeds; every second segment between quotation marks is unquoted."""
    segments = chunk.split(b'"')
    unquoted = segments[state.quotes % 2 :: 2]
    text = b"".join(unquoted) if len(segments) > 1 else (unquoted[0] if unquoted else b"")
    newlines = text.count(b"\n")
    state.newlines += newlines
    state.delimiters += text.count(delimiter)
    state.quotes += len(segments) - 1
    state.since_newline = len(chunk) - 1 - chunk.rfind(b"\n") if newlines else state.since_newline + len(chunk)
    state.ends_open = not chunk.endswith(b"\n")


def _find_blank_rows(path: Path) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
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


class _LineReader:
    """Iterator over lines split at line feeds only.

    Attributes:
        line_end_error: What is wrong with the end of the last line.
        quotes: Number of quotation marks in the current row so far; reset by the consumer to None.
        is_cut: Whether polars would end the current row at one of its quoted line ends, because it takes each quotation
            mark in an unquoted field for the begin or end of a quoted field; reset by the consumer.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.line_end_error: str | None = None
        self.quotes: int | None = None
        self.is_cut = False

    def __iter__(self) -> Iterator[str]:
        for line in self._stream:
            self.is_cut = self.is_cut or (self.quotes is not None and self.quotes % 2 == 0)
            self.quotes = (self.quotes or 0) + line.count('"')
            self.line_end_error = None
            if line.endswith("\r\r\n"):
                self.line_end_error = "the line ends in CR CR LF"
            elif line.endswith("\r"):
                self.line_end_error = "the line ends in CR without LF"
            yield line


def _raise_first_error(path: Path, delimiter: str, fields: int) -> None:
    """Parse a UTF-8 CSV file row by row and raise an error for the first invalid row; return if there is none.

    Args:
        path: A UTF-8 file.
        delimiter: One ASCII character.
        fields: Number of fields that each row must have.

    Raises:
        SourceError: If a row is invalid; the message names its row and line.
    """
    csv.field_size_limit(LINE_MAX)
    row = 0
    with path.open(encoding="utf-8-sig", newline="\n") as stream:
        lines = _LineReader(stream)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            for values in reader:
                if lines.line_end_error:  # outside quotes, because a row ends here
                    location = f"{path}:{reader.line_num} (row {row})"
                    raise SourceError(f"{location}: {lines.line_end_error}", hint=_LINE_END_HINT)
                if values and len(values) != fields:
                    more = "more" if len(values) > fields else "fewer"
                    hint = "Quote values that contain the delimiter or a line end; nothing was sent."
                    location = f"{path}: row {row} (line {reader.line_num})"
                    problem = f"has {len(values)} fields, {more} than the {fields} of the header"
                    raise SourceError(f"{location} {problem}", hint=hint)
                if lines.is_cut:
                    location = f"{path}: row {row} (line {reader.line_num})"
                    raise SourceError(f"{location}: {_UNESCAPED_QUOTE}", hint=_UNESCAPED_QUOTE_HINT)
                lines.quotes = None
                row += 1
        except csv.Error as error:
            invalid = _invalid_csv_error(path, reader.line_num, row, error)
            raise invalid from None


def _invalid_csv_error(path: Path, line: int, row: int, error: csv.Error) -> SourceError:
    """Return the error for a row that the csv module cannot parse."""
    if "new-line character" in str(error):
        return SourceError(f"{path}:{line} (row {row}): {_STRAY_CR}", hint=_LINE_END_HINT)
    hint = "Double quotation marks inside quotes, and close every quote."
    return SourceError(f"{path}: row {row} (line {line}): {error}", hint=hint)
