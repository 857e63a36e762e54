"""CSV files are read as strict CSV, or refused with the row of the misplaced quotation mark."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest
from data_kit import record, refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.core.job import Removal, Source
from batchsync.data.row import partitions, text_reader
from batchsync.data.row.open_source import open_source
from batchsync.data.row.partitions import frames
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from data_kit import Bench

FEW = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize(
    ("rows", "row"),
    [
        ('1,"5" pipe",a\n2,"6" pipe",b\n3,plain,c\n', 1),
        ('1,"5\\" pipe",a\n2,"6\\" pipe",b\n3,plain,c\n', 1),
        ('1,fine,c\n2,"ends with quote"",a\n3,"another"",b\n', 2),
        ('1,"He wrote "hi" to me",a\n', 1),
        ('1,"He wrote \\"hi\\" to me",a\n', 1),
        ('1,"Bob" Smith",a\n2,"Ann" Lee",b\n', 1),
        ('1,fine,a\r\n2, "Bob, Jr",a\r\n', 2),
    ],
)
def test_undoubled_quotation_mark_is_refused_with_its_row(bench: Bench, rows: str, row: int) -> None:
    bench.source("id,name,mail\n" + rows)
    assert f"source.csv:{row + 1} (row {row}): " in refused(bench).message


def test_undoubled_quotation_marks_cause_no_removals(bench: Bench) -> None:
    bench.change(removal=Removal(mode="delete", record=record({"id": "=id"})))
    bench.source('id,name,mail\n1,"5"" pipe",a\n2,"6"" pipe",b\n')
    bench.accept_all()
    bench.source('id,name,mail\n1,"5" pipe",a\n2,"6" pipe",b\n')
    assert "source.csv:2 (row 1): " in refused(bench).message


@pytest.mark.parametrize("rows", ["1,a\n2,b,c,", '1,a\n2,b,c,""', "1,a,b\n2,c,d,", "1,a\r\n2,b,c,"])
def test_extra_field_at_the_end_does_not_hide_a_missing_field(bench: Bench, rows: str) -> None:
    bench.source("id,name,mail\n" + rows)
    assert "of the header" in refused(bench).message


def test_last_row_with_empty_field_and_no_line_end_is_read(bench: Bench) -> None:
    bench.source("id,name,mail\n1,Ann,a\n2,Bob,")
    assert bench.compare().plan.counts.source_rows == 2


def test_quotation_marks_inside_unquoted_fields_are_data(bench: Bench) -> None:
    bench.source('id,name,mail\n1,say "hi" now,a\n2,5" x 6",b\n')
    assert [record["value"]["name"] for record in bench.records()] == ['say "hi" now', '5" x 6"']


@pytest.mark.parametrize(("encoding", "delimiter"), [("utf-16", ","), ("cp1252", ";"), ("utf-8", "\t"), ("utf-8", "|")])
def test_quotation_marks_are_checked_in_all_encodings_and_delimiters(
    bench: Bench, encoding: str, delimiter: str
) -> None:
    bench.change_source(encoding=encoding, delimiter=delimiter)
    good = 'id,name,mail\r\n1,"Zoë ""Z"", é","é"\r\n2,"a\r\nb",""\r\n'.replace(",", delimiter)
    bench.source(good.encode(encoding))
    assert bench.compare().plan.counts.source_rows == 2
    bench.source(good.replace('""Z""', '"Z"').encode(encoding))
    assert "source.csv:2 (row 1): " in refused(bench).message


def _read(folder: Path) -> list[list[str]] | None:
    """Return the rows as batchsync reads them, nulls as empty texts; None if it refuses the file."""
    source = Source(path="s.csv", folder=str(folder), key=("x",))
    try:
        found = [frame.drop("batchsync:row").rows() for frame in frames(open_source(source), folder, fresh=True)]
    except SourceError:
        return None
    return [[value or "" for value in row] for rows in found for row in rows]


@pytest.mark.parametrize("row", ['a","\nb"', 'a""","\na"'])
def test_odd_quotation_marks_before_a_quoted_line_end_are_refused(bench: Bench, row: str) -> None:
    bench.change(record=record({"id": "=id"}))
    bench.source("id,name\n1,b\n" + row)
    assert "source.csv:3 (row 2): unescaped quotation mark in an unquoted field" in refused(bench).message


@given(rows=st.text('a,"\n', max_size=14), chunk=st.integers(3, 9), large=st.booleans())
@FEW
def test_rows_equal_those_of_strict_csv(tmp_path: Path, *, rows: str, chunk: int, large: bool) -> None:
    text = "x,y\n" + rows
    (tmp_path / "s.csv").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_reader, "CHUNK_BYTES", chunk)  # quotation marks also at the edges of chunks
        for module in (partitions, text_reader) if large else ():
            patch.setattr(module, "SMALL_FILE_BYTES", 0)
        found = _read(tmp_path)
    if found is None:
        return
    expected = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row][1:]
    assert all(len(row) == 2 for row in expected)
    assert [row for row in found if any(row)] == [row for row in expected if any(row)]


@given(st.lists(st.lists(st.text('a,"\n\r é', max_size=4), min_size=2, max_size=2), max_size=5), st.integers(3, 9))
@FEW
def test_valid_csv_is_read(tmp_path: Path, rows: list[list[str]], chunk: int) -> None:
    with (tmp_path / "s.csv").open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([["x", "y"], *rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_reader, "CHUNK_BYTES", chunk)
        assert [row for row in _read(tmp_path) or [] if any(row)] == [row for row in rows if any(row)]
