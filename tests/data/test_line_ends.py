"""CSV files with unquoted carriage returns elsewhere than in CR LF are refused."""

from __future__ import annotations

import csv
import gzip
import io
import re
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

FEW = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,name,mail\r\r\n1,Ann,a\r\r\n", ":1 (the header): the line ends in CR CR LF"),
        ("id,name,mail\r\n1,Ann,a\r\n2,Bo,b\r\r\n", ":3 (row 2): the line ends in CR CR LF"),
        ('id,name,mail\n1,"Ann\r\n",a\n2,Bo,"b"\r\r\n', ":4 (row 2): the line ends in CR CR LF"),
        ("id,name,mail\n1,Ann,a\r", ":2 (row 1): the line ends in CR without LF"),
        ("id,name,mail\n1,Ann,a\r2,Bo,b\r3,Cy,c\n", ":2 (row 1): unquoted carriage return (CR)"),
        ("id,name,mail\n1,A\rnn,a\n", ":2 (row 1): unquoted carriage return (CR)"),
        ('id,name,mail\n1,"Ann"\r,a\n', ":2 (row 1): unquoted carriage return (CR)"),
        ('id,name,mail\n1,Ann,\r"a"\n', ":2 (row 1): unquoted carriage return (CR)"),
        ('id,name,mail\n1,5" x\r6",a\n', ":2 (row 1): unquoted carriage return (CR)"),
        ("id,na\rme,mail\n1,Ann,a\n", ":1 (the header): unquoted carriage return (CR)"),
        ("id,name,mail\n1,Ann,a\n\r\r\n2,Bo,b\n", ":3 (row 2): the line ends in CR CR LF"),
    ],
)
@pytest.mark.parametrize("large", [True, False])
def test_carriage_return_outside_quotes_is_refused_with_its_line(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, text: str, message: str, *, large: bool
) -> None:
    if large:
        for module in (partitions, text_reader):
            monkeypatch.setattr(module, "SMALL_FILE_BYTES", 0)
    bench.source(text)
    assert f"source.csv{message}" in refused(bench).message


def test_file_with_only_cr_line_ends_is_refused(bench: Bench) -> None:
    bench.source("id,name,mail\r1,Ann,a\r")
    assert "lines that end in CR alone" in refused(bench).message


@pytest.mark.parametrize(
    ("encoding", "delimiter", "compressed"),
    [("utf-8", ";", True), ("latin-1", "\t", False), ("cp1252", "|", True), ("utf-16", ",", False)],
)
def test_carriage_return_is_checked_in_all_encodings_and_delimiters(
    bench: Bench, encoding: str, delimiter: str, *, compressed: bool
) -> None:
    bench.change_source(encoding=encoding, delimiter=delimiter)
    good = 'id,name,mail\r\n1,"Zo\rë\r\r\n","é\r"\r\n'.replace(",", delimiter)
    for text, is_good in ((good, True), (good.replace('"\r\n', '"\r\r\n'), False)):
        data = text.encode(encoding)
        bench.source(gzip.compress(data) if compressed else data)
        if is_good:
            assert bench.records()[0]["value"]["name"] == "Zo\rë\r\r\n"
        else:
            assert "source.csv:3 (row 1): the line ends in CR CR LF" in refused(bench).message


def test_keys_with_trailing_carriage_return_cause_no_removals(bench: Bench) -> None:
    bench.change(removal=Removal(mode="delete", record=record({"id": "=id"})))
    bench.source("name,mail,id\nAnn,a,1\nBo,b,2\n")
    bench.accept_all()
    bench.source("name,mail,id\nAnn,a,1\r\r\nBo,b,2\r\r\n")
    assert "CR CR LF" in refused(bench).message


_FIELD = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\r\n][^,\r\n]*)?)(,|\r?\n|\Z)')


def _rows_of(text: str) -> list[list[str]] | None:
    """Return the rows by the grammar of RFC 4180, with LF as a line end too; None for invalid text."""
    rows: list[list[str]] = [[]]
    position = 0
    while position < len(text) or rows[-1]:
        found = _FIELD.match(text, position)
        if found is None:
            return None
        position = found.end()
        quoted, plain, end = found.groups()
        rows[-1].append(plain or "" if quoted is None else quoted.replace('""', '"'))
        if end != ",":
            rows.append([])
        if not end:
            break
    return [row for row in rows if row not in ([], [""])]


def _read(folder: Path) -> list[list[str]] | None:
    source = Source(path="s.csv", folder=str(folder), key=("x",))
    try:
        found = [frame.drop("batchsync:row").rows() for frame in frames(open_source(source), folder, fresh=True)]
    except SourceError:
        return None
    return [[value or "" for value in row] for rows in found for row in rows]


@given(rows=st.text('a,"\n\r', max_size=14), chunk=st.integers(1, 9), large=st.booleans())
@FEW
def test_rows_equal_those_of_an_independent_parser(tmp_path: Path, *, rows: str, chunk: int, large: bool) -> None:
    text = "x,y\n" + rows
    (tmp_path / "s.csv").write_text(text, encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_reader, "CHUNK_BYTES", chunk)  # carriage returns also at the edges of chunks
        for module in (partitions, text_reader) if large else ():
            patch.setattr(module, "SMALL_FILE_BYTES", 0)
        found = _read(tmp_path)
    if found is not None:
        expected = _rows_of(text)
        assert expected is not None
        assert [row for row in found if any(row)] == [row for row in expected[1:] if any(row)]


@given(
    st.lists(st.lists(st.text('a,"\n\r é', max_size=4), min_size=2, max_size=2), max_size=5),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 9),
)
@FEW
def test_quoted_carriage_returns_are_read(tmp_path: Path, rows: list[list[str]], line_end: str, chunk: int) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows([["x", "y"], *rows])
    (tmp_path / "s.csv").write_text(text.getvalue(), encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_reader, "CHUNK_BYTES", chunk)
        found = _read(tmp_path)
    assert found is not None
    assert [row for row in found if any(row)] == [row for row in rows if any(row)]
