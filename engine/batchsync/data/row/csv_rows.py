"""Rows of a CSV file, parsed one by one by the strict rules of the csv module; an invalid row is named by its line.

Used to read headers, to locate errors in files that the fast pass refuses, and to rewrite files of other dialects.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from batchsync.data.frame.columns import PREFIX
from batchsync.data.row.line_limit import LINE_MAX, too_long_error
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from batchsync.core.csv_dialect import CsvDialect

#: Begin of the internal name of a column without name.
UNNAMED = f"{PREFIX}unnamed:"
#: Byte order mark.
BOM = "\ufeff"
_STRAY_CR = "unquoted carriage return (CR) that is not followed by a line feed (LF)"
_LINE_END_HINT = "Convert the line ends to LF or CRLF; quote values that contain a carriage return."
_QUOTE_HINT = "Quote the whole field and double the quotation marks inside it."
_JOINED_HINT = "Remove the line; files that are joined one after the other have a header each."


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvFile:
    """A CSV file whose text is read as UTF-8.

    Attributes:
        path: The file, for messages.
        delimiter: One ASCII character.
        dialect: Its dialect.
    """

    path: Path
    delimiter: str
    dialect: CsvDialect

    def error(self, line: int, row: int, problem: str, hint: str) -> SourceError:
        """Return the error for a row.

        Args:
            line: Number of a line, from 1.
            row: Number of the row, from 1; the header is row 0.
            problem: What is wrong.
            hint: What to do.
        """
        place = f"row {row}" if row else "the header"
        return SourceError(f"{self.path}:{line} ({place}): {problem}", hint=hint, name="source.csv")


@dataclass(frozen=True, slots=True)
class CsvRow:
    """A row: its number (the header is row 0), its first line, its fields (none for a blank line), and its text."""

    number: int
    line: int
    values: list[str]
    text: str


def iter_rows(file: CsvFile, stream: Iterable[str], *, strict_quotes: bool = False) -> Iterator[CsvRow]:
    """Parse a CSV file row by row.

    Args:
        file: The file.
        stream: Its lines, split at line feeds only.
        strict_quotes: Whether to refuse quotation marks inside unquoted fields, which are data otherwise.

    Yields:
        The rows, the header included.

    Raises:
        SourceError: If a row is invalid, longer than `LINE_MAX` bytes, or read differently by different readers.
    """
    csv.field_size_limit(LINE_MAX)
    dialect = file.dialect
    number = 0 if dialect.header else 1
    lines = _LineReader(file, stream)
    quotes = _QuoteRules(file, strict=strict_quotes)
    reader = csv.reader(
        lines,
        delimiter=file.delimiter,
        strict=True,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        escapechar=dialect.escape or None,
    )
    try:
        for values in reader:
            if lines.line_end_error:  # outside quotes, because a row ends here
                raise file.error(lines.number, number, lines.line_end_error, _LINE_END_HINT)
            row = CsvRow(number, lines.first, values, "".join(lines.kept))
            if problem := quotes.problem_of(row, lines.kept):
                raise file.error(row.line, number, problem, _QUOTE_HINT)
            yield row
            lines.kept.clear()
            number += 1
            lines.row = number
    except csv.Error as error:
        _raise_csv_error(file, lines, error)


def _raise_csv_error(file: CsvFile, lines: _LineReader, error: csv.Error) -> NoReturn:
    """Raise the error for a row that the csv module cannot parse."""
    problem, line, hint = str(error), lines.first, "Double quotation marks inside quotes, and close every quote."
    if "new-line character" in problem:
        problem, line, hint = _STRAY_CR, lines.number, _LINE_END_HINT
    elif "expected after" in problem:
        problem = "a quotation mark inside a quoted field is not doubled"
    elif "unexpected end of data" in problem:
        problem = "a quotation mark that opens here is not closed until the end of the file (unexpected end of data)"
    raise file.error(line, lines.row, problem, hint) from None


class _LineReader:
    """Iterator over lines; leaves out those before the first row, and comments.

    Attributes:
        number: Number of the current line.
        first: Number of the first line of the current row.
        kept: Lines of the current row; emptied by the consumer.
        row: Number of the current row; set by the consumer.
        line_end_error: What is wrong with the end of the last line.
    """

    def __init__(self, file: CsvFile, stream: Iterable[str]) -> None:
        self._file = file
        self._stream = stream
        self.number = self.first = 0
        self.kept: list[str] = []
        self.row = 0 if file.dialect.header else 1
        self.line_end_error: str | None = None

    def __iter__(self) -> Iterator[str]:
        skipped, comment = self._file.dialect.skip_rows, self._file.dialect.comment
        size = 0
        for line in self._stream:
            self.number += 1
            if self.number <= skipped or (comment and not self.kept and line.startswith(comment)):
                if "\r" in line.removesuffix("\r\n"):
                    raise self._file.error(self.number, self.row, _STRAY_CR, _LINE_END_HINT)
                continue
            if not self.kept:
                self.first, size = self.number, 0
            self.kept.append(line)
            size += len(line) if line.isascii() else len(line.encode())
            if size > LINE_MAX:
                raise too_long_error(self._file.path, self.first)
            self.line_end_error = None
            if line.endswith("\r\r\n"):
                self.line_end_error = "the line ends in CR CR LF"
            elif line.endswith("\r"):
                self.line_end_error = "the line ends in CR without LF"
            yield line


class _QuoteRules:
    """Rules about quotation marks and escapes beyond those of the csv module."""

    def __init__(self, file: CsvFile, *, strict: bool) -> None:
        self._quote, self._escape = file.dialect.quote, file.dialect.escape
        self._is_plain, self._strict = file.dialect.is_plain, strict
        mark, delimiter, escape = (re.escape(item) for item in (self._quote, file.delimiter, self._escape))
        self._escaped = re.compile(rf"{escape}[{mark}{delimiter}{escape}]") if escape else None
        inner = rf"[^{mark}{escape}]|{mark}{mark}" + (rf"|{escape}." if escape else "") if mark else ""
        self._quoted = re.compile(rf"(?:^|(?<={delimiter})){mark}(?:{inner})*+{mark}", re.DOTALL)
        blanks = rf"(?:(?!{delimiter})[^\S\r\n]|{BOM})+"
        self._after_blank = re.compile(rf"(?:^|{delimiter}){blanks}{mark}")

    def problem_of(self, row: CsvRow, lines: list[str]) -> str | None:
        """Return what is wrong with the quotation marks and escapes of a row, which consists of these lines."""
        text = row.text
        if self._escaped is not None and self._escape in text:
            text = self._escaped.sub("", text)
            if self._escape in text:
                return f"{self._escape!r} stands before another character than a quotation mark, a delimiter or itself"
            text = row.text
        if not self._quote or self._quote not in text:
            return None
        unquoted = self._quoted.sub("", text)
        if self._quote not in unquoted:
            return None
        if self._after_blank.search(unquoted):
            return "a blank stands before the quotation mark that opens a field; readers differ in what it means"
        is_cut = self._is_plain and _is_cut(lines)
        return "unescaped quotation mark in an unquoted field" if is_cut or self._strict else None


def _is_cut(lines: list[str]) -> bool:
    """Return whether polars would end a row elsewhere, because it takes each quotation mark for a begin or end."""
    quotes = 0
    for line in lines[:-1]:
        quotes += line.count('"')
        if quotes % 2 == 0:
            return True
    return (quotes + lines[-1].count('"')) % 2 == 1


def problem_of(row: CsvRow, header: tuple[str, ...]) -> tuple[str, str] | None:
    """Return what is wrong with a row below the header, and a hint.

    Args:
        row: The row.
        header: Names of all columns, those without a name included.

    Returns:
        Problem and hint; None for a valid row.
    """
    values = row.values
    if not values:
        return None
    if values[0].startswith(BOM):
        return "the row begins with a byte order mark, as where files are joined one after the other", _JOINED_HINT
    if len(values) != len(header):
        more = "more" if len(values) > len(header) else "fewer"
        hint = "Quote values that contain the delimiter or a line end; nothing was sent."
        return f"the row has {len(values)} fields, {more} than the {len(header)} of the header", hint
    names = tuple("" if name.startswith(UNNAMED) else name for name in header)
    if tuple(values) == names:
        return "the row repeats the header", _JOINED_HINT
    for index, name in enumerate(header):
        if name.startswith(UNNAMED) and values[index]:
            hint = "Name the column in the header, or quote values that contain the delimiter."
            return f"field {index + 1} has a value, but its column has no name", hint
    return None


def raise_first_error(file: CsvFile, header: tuple[str, ...], *, strict_quotes: bool = False) -> None:
    """Parse a plain UTF-8 file row by row and raise an error for the first invalid row; return if there is none.

    Args:
        file: The file, with a header line.
        header: Names of all its columns.
        strict_quotes: See `iter_rows`.

    Raises:
        SourceError: If a row is invalid; the message names its line and row.
    """
    with file.path.open(encoding="utf-8-sig", newline="\n") as stream:
        for row in iter_rows(file, stream, strict_quotes=strict_quotes):
            if row.number and (problem := problem_of(row, header)):
                raise file.error(row.line, row.number, *problem)
