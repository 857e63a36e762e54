"""Header of a CSV file: the names of its columns."""

from __future__ import annotations

import io
import re
from itertools import islice
from typing import TYPE_CHECKING

from batchsync.data.frame.columns import PREFIX
from batchsync.data.row.csv_rows import BOM, UNNAMED, CsvFile, iter_rows
from batchsync.data.row.line_limit import LINE_MAX
from batchsync.data.row.text_reader import read_beginning
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from batchsync.core.csv_dialect import CsvDialect
    from batchsync.data.row.csv_rows import CsvRow
    from batchsync.data.row.text_reader import TextFile

_DELIMITERS = ",;\t|"
_SEP_LINE = re.compile(r'"?sep=(.?)"?[;,\t]*\r?\n?', re.IGNORECASE)
#: Bytes of the beginning of a file in which the header is looked for at first.
_BEGINNING = 1 << 16


def read_header(file: TextFile, delimiter: str, dialect: CsvDialect) -> tuple[str, ...]:
    """Return the names of all columns of a CSV file; columns without a name at the end have internal names.

    Args:
        file: The file.
        delimiter: One ASCII character.
        dialect: Dialect of the file.

    Returns:
        The names, those of `dialect.columns` for a file without header.

    Raises:
        SourceError: If the file is empty, its lines end in CR alone, its first row is invalid, or a column name is a
            duplicate or reserved.
    """
    csv_file = CsvFile(path=file.path, delimiter=delimiter, dialect=dialect)
    row = _first_row(file, csv_file)
    if row is not None and row.values and row.values[0].startswith(BOM):
        raise csv_file.error(row.line, row.number, "the file begins with two byte order marks", "Remove one of them.")
    if not dialect.header:
        if row is not None and row.values and len(row.values) != len(dialect.columns):
            problem = f"the row has {len(row.values)} fields, but source.columns names {len(dialect.columns)}"
            raise csv_file.error(row.line, row.number, problem, "Name every column of the file, in its order.")
        return dialect.columns
    if row is None:
        hint = "Export it again; a file without rows still needs its header line."
        raise SourceError(f"{file.path} is empty: it has no header line", hint=hint, name="source.empty")
    if found := _SEP_LINE.fullmatch(row.text):
        hint = f"Remove the line, or set source.skip_rows: {row.line} and source.delimiter: {found[1] or delimiter!r}."
        raise csv_file.error(row.line, 0, "the line is Excel's sep= line, not the header", hint)
    return _checked_names(csv_file, row)


def _checked_names(file: CsvFile, row: CsvRow) -> tuple[str, ...]:
    """Return the column names in a header."""
    names = row.values
    if not names:
        hint = f"Remove blank lines before the header, or set source.skip_rows: {row.line}."
        raise file.error(row.line, 0, "the line is blank, but the header is expected here", hint)
    count = max((index for index, name in enumerate(names, start=1) if name), default=0)
    if not count:
        raise file.error(row.line, 0, "the header names no column", "Name the columns in the first line.")
    duplicates = sorted({name for name in names[:count] if names[:count].count(name) > 1})
    if duplicates:
        listed = ", ".join(repr(name) for name in duplicates[:5])
        raise file.error(row.line, 0, f"duplicate columns in the header: {listed}", "Rename the duplicates.")
    if any(name.startswith(PREFIX) for name in names):
        raise file.error(row.line, 0, f"column names may not begin with {PREFIX!r}", "Rename the column.")
    return (*names[:count], *(f"{UNNAMED}{index}" for index in range(count, len(names))))


def _first_row(file: TextFile, csv_file: CsvFile) -> CsvRow | None:
    """Return the first row of a file; None if it has only blank lines, or no line after those that are skipped."""
    for size in (_BEGINNING, LINE_MAX):
        start = read_beginning(file, size)
        is_whole = len(start) < size
        if is_whole and not start.strip():
            return None
        if b"\n" not in start and b"\r" in start:
            problem = f"{file.path}:1 has lines that end in CR alone"
            raise SourceError(problem, hint="Save it with LF or CRLF line ends.")
        text = start if is_whole else start[: start.rfind(b"\n") + 1]
        stream = io.StringIO(text.decode(errors="ignore"), newline="\n")
        try:
            rows = list(islice(iter_rows(csv_file, stream), 1))
        except SourceError:
            if is_whole or size == LINE_MAX:
                raise
            continue
        if rows or is_whole:
            return rows[0] if rows else None
    hint = "Check source.skip_rows and source.comment."
    raise SourceError(f"{file.path} has no header in its first {LINE_MAX} bytes", hint=hint, name="source.csv")


def likely_delimiter(columns: tuple[str, ...], delimiter: str) -> str | None:
    """Return another delimiter that the name of a single column contains, the most frequent first, or None."""
    if len(columns) != 1:
        return None
    counts = {candidate: columns[0].count(candidate) for candidate in _DELIMITERS if candidate != delimiter}
    best = max(counts, key=lambda candidate: counts[candidate])
    return best if counts[best] else None
