"""Generated CSV files are read as Python's csv module reads them, or refused with file and line.

A small share runs with the suite. Many files by hand:

    CSV_EXAMPLES=50000 .venv/bin/python -m pytest -q --timeout=0 tests/data/test_generated_csv.py
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from batchsync.core.csv_dialect import CsvDialect
from batchsync.core.job import Source
from batchsync.data.row import partitions, text_reader
from batchsync.data.row.open_source import open_source
from batchsync.data.row.partitions import frames
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLES = int(os.environ.get("CSV_EXAMPLES", "150"))
MANY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
DELIMITERS = (",", ";", "\t", "|", ":", " ")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1", "gb18030")
#: Characters that any of the encodings holds.
LETTERS = "ab1é \u00a0"
#: Texts that readers treat differently.
PIECES = ("", " ", '"', '""', "'", "\\", "#", "\n", "\r", "\r\n", "\t", "a", "é", "1", "NULL", "NaN", "sep=", "\ufeff")
#: What a refusal names: file and line, or the whole file.
NAMED = re.compile(r"s\.csv(:\d+[: ]| is empty| is text in | has no header in its first )")
Rows = list[list[str]]


@dataclass(frozen=True, slots=True)
class Written:
    """A generated file: its text, its bytes, and how it is declared."""

    text: str
    content: bytes
    delimiter: str
    encoding: str
    dialect: CsvDialect
    nulls: tuple[str, ...]


@st.composite
def dialects(draw: st.DrawFn, delimiter: str, fields: int) -> CsvDialect:
    """The plain dialect, or one with other settings."""
    if draw(st.booleans()):
        return CsvDialect()
    header = draw(st.booleans())
    return CsvDialect(
        header=header,
        columns=() if header else tuple(f"c{index}" for index in range(fields)),
        skip_rows=draw(st.integers(0, 2)),
        comment=draw(st.sampled_from(["", "#", "//"])),
        quote=draw(st.sampled_from([mark for mark in ('"', "'", "") if mark != delimiter])),
        escape=draw(st.sampled_from(["", "\\", "^"])),
    )


@st.composite
def values(draw: st.DrawFn) -> str:
    """A value of letters and of awkward pieces."""
    return "".join(draw(st.lists(st.sampled_from([*PIECES, *LETTERS]), max_size=4)))


def quoted(value: str, dialect: CsvDialect) -> str:
    """Return a value as a quoted field."""
    return dialect.quote + value.replace(dialect.quote, dialect.quote * 2) + dialect.quote


@st.composite
def fields_of(draw: st.DrawFn, dialect: CsvDialect, delimiter: str) -> str:
    """A field, mostly quoted where it must be, sometimes awkward."""
    value = draw(values())
    manner = draw(st.integers(0, 19))
    if manner == 0:
        return value  # raw, as a program without a CSV library writes it
    if manner == 1:
        return draw(st.sampled_from(["", " ", "\ufeff"])) + quoted(value, dialect) + draw(st.sampled_from(["", " "]))
    must = any(item and item in value for item in (delimiter, dialect.quote, "\n", "\r", dialect.escape))
    if dialect.escape and must:
        value = value.replace(dialect.escape, dialect.escape * 2)
    if not dialect.quote:
        return re.sub(r"[\r\n]", "", value).replace(delimiter, "")
    return quoted(value, dialect) if must or manner < 7 else value


@st.composite
def files(draw: st.DrawFn) -> Written:
    """A CSV file of any dialect, encoding and line end, with blank lines, comments and ragged rows."""
    delimiter = draw(st.sampled_from(DELIMITERS))
    count = draw(st.integers(1, 4))
    dialect = draw(dialects(delimiter, count))
    header = [f"c{index}" for index in range(count)]
    names = [*header, *[""] * draw(st.sampled_from([0, 0, 0, 1, 2]))] if dialect.header else header
    field = fields_of(dialect, delimiter)
    lines = [delimiter.join(names)] if dialect.header else []
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(st.integers(0, 24))
        if kind == 0:
            lines.append(draw(st.sampled_from(["", " ", "\ufeff", "# no row", "// no row", '"'])))
        elif kind == 1 and lines:
            lines.append(draw(st.sampled_from(["", "\ufeff"])) + delimiter.join(header))
        else:
            width = len(names) if kind > 2 else draw(st.integers(1, len(names) + 1))
            row = [draw(field) for _ in range(min(width, count))]
            lines.append(delimiter.join([*row, *[""] * (width - len(row))]))
    lines[:0] = [draw(st.sampled_from(["Report", '"', "", "a,b"])) for _ in range(dialect.skip_rows)]
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r\n", "\r\r\n", "\r"]))
    ends = [end if draw(st.integers(0, 30)) else draw(st.sampled_from(["\n", "\r\n", "\r"])) for _ in lines]
    if ends and draw(st.booleans()):
        ends[-1] = ""
    text = "".join(line + end for line, end in zip(lines, ends, strict=True))
    encoding = draw(st.sampled_from(ENCODINGS))
    content = text.encode(encoding, "ignore")
    text = content.decode(encoding)
    if encoding == "utf-8" and draw(st.integers(0, 5)) == 0:
        content = codecs.BOM_UTF8 + content
    compressed = draw(st.integers(0, 7))
    if compressed == 0:
        content = gzip.compress(content, 1)
    elif compressed == 1:
        middle = draw(st.integers(0, len(content)))
        content = gzip.compress(content[:middle], 1) + gzip.compress(content[middle:], 1)
    nulls = ("NULL",) if draw(st.booleans()) else ()
    return Written(text, content, delimiter, encoding, dialect, nulls)


def read(file: Written, folder: Path) -> Rows:
    """Return the rows that batchsync reads, nulls as empty texts.

    Raises:
        SourceError: If it refuses the file.
    """
    (folder / "s.csv").write_bytes(file.content)
    source = Source(
        path="s.csv",
        folder=str(folder),
        key=("c0",),
        delimiter=file.delimiter,
        encoding=file.encoding,
        dialect=file.dialect,
        nulls=file.nulls,
    )
    found = [frame.drop("batchsync:row").rows() for frame in frames(open_source(source), folder, fresh=True)]
    return [[value or "" for value in row] for rows in found for row in rows]


def expected_rows(file: Written) -> Rows:
    """Return the rows that Python's csv module reads, without the header; null texts are empty.

    Raises:
        csv.Error: If it refuses the file.
    """
    dialect = file.dialect
    lines = io.StringIO(file.text.removeprefix("\ufeff"), newline="\n").readlines()[dialect.skip_rows :]
    open_rows: list[str] = []  # lines of the row that the reader has not ended yet

    def without_comments() -> Iterator[str]:
        for line in lines:
            if open_rows or not dialect.comment or not line.startswith(dialect.comment):
                open_rows.append(line)
                yield line

    reader = csv.reader(
        without_comments(),
        delimiter=file.delimiter,
        strict=True,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        escapechar=dialect.escape or None,
    )
    rows = []
    for row in reader:
        open_rows.clear()
        rows += [row] if row else []
    width = len(dialect.columns)
    if dialect.header:
        width = max(index for index, name in enumerate(rows[0], start=1) if name)
        del rows[0]
    assert all(not any(row[width:]) for row in rows)
    return [["" if value in file.nulls else value for value in row[:width]] for row in rows]


def refusal(file: Written, folder: Path) -> SourceError | None:
    """Return the error with which a file is refused; None if its cells are those of the csv module."""
    try:
        found = read(file, folder)
    except SourceError as error:
        return error
    assert found == expected_rows(file)
    return None


@given(file=files(), chunk=st.sampled_from([3, 7, 64, 1 << 20]), large=st.booleans())
@MANY
def test_cells_equal_those_of_the_csv_module_or_file_is_refused(
    tmp_path: Path, *, file: Written, chunk: int, large: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_reader, "CHUNK_BYTES", chunk)
        for module in (partitions, text_reader) if large else ():
            patch.setattr(module, "SMALL_FILE_BYTES", 0)
        error = refusal(file, tmp_path)
    event("read" if error is None else "refused")
    if error is not None:
        assert error.hint
        assert NAMED.search(error.message), error.message


@given(rows=st.lists(st.lists(values(), min_size=2, max_size=2), max_size=6), data=st.data())
@MANY
def test_file_of_the_csv_module_is_read_whole(tmp_path: Path, rows: Rows, data: st.DataObject) -> None:
    rows = [["x" + value.replace("\ufeff", "") for value in row] for row in rows]
    delimiter = data.draw(st.sampled_from(DELIMITERS))
    quote = data.draw(st.sampled_from(['"', "'"]))
    escape = data.draw(st.sampled_from(["", "\\"]))
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    out = io.StringIO(newline="")
    csv.writer(
        out,
        delimiter=delimiter,
        quotechar=quote,
        lineterminator=end,
        quoting=csv.QUOTE_ALL,
        escapechar=escape or None,
        doublequote=not escape,
    ).writerows([["c0", "c1"], *rows])
    dialect = CsvDialect(quote=quote, escape=escape)
    text = out.getvalue()
    file = Written(text, text.encode("utf-8"), delimiter, "utf-8", dialect, ())
    assert read(file, tmp_path) == rows
