"""CSV files that readers take for different things are refused with file, line and row, or read as what they are."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import sqlite3
import zipfile
from typing import TYPE_CHECKING

import polars as pl
import pytest
from data_kit import record, refused

from batchsync.data.row import partitions, text_reader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from data_kit import Bench

HEAD = "id,name,mail\n"


@pytest.fixture(params=["small", "large"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read and check files together and beside each other."""
    if request.param == "large":
        for module in (partitions, text_reader):
            monkeypatch.setattr(module, "SMALL_FILE_BYTES", 0)


@pytest.mark.parametrize(
    ("rows", "delimiter", "place"),
    [
        ('1, "Ann",a\n2, "Bo",b\n', ",", ":2 (row 1)"),
        ('1,Ann,a\n2,Bo,\t"b"\n', ",", ":3 (row 2)"),
        (' "1",Ann,a\n', ",", ":2 (row 1)"),
        ('1,Ann,a\n\u00a0"2",Bo,b\n', ",", ":3 (row 2)"),
        ('1; "Ann";a\r\n', ";", ":2 (row 1)"),
        ('1\t "Ann"\ta\n', "\t", ":2 (row 1)"),
        ('1,"a\n\n""x"" , ""y""",m\n2, "Bo",b\n', ",", ":5 (row 2)"),
        ('1,say "hi",a\n\n3, "Bo",b\n', ",", ":4 (row 3)"),
    ],
)
@pytest.mark.usefixtures("size")
def test_blank_before_a_quotation_mark_is_refused(bench: Bench, rows: str, delimiter: str, place: str) -> None:
    bench.change_source(delimiter=delimiter)
    bench.source(HEAD.replace(",", delimiter) + rows)
    assert f"source.csv{place}: a blank stands before the quotation mark" in refused(bench).message


@pytest.mark.parametrize("row", ['1,a "b" c,m', '1," ""x""",m', '1,"a, ""b""",m', '1,"a"," ""b"" "'])
def test_blank_before_a_quotation_mark_inside_a_field_is_data(bench: Bench, row: str) -> None:
    bench.source(HEAD + row + "\n")
    assert len(bench.records()) == 1


@pytest.mark.parametrize("rows", ['1,5" pipe,a\n2,6" pipe,b\n3,Cy,c\n', '1,5" pipe,a\n', '1,a"b"c"d,a\n'])
@pytest.mark.usefixtures("size")
def test_single_quotation_mark_in_an_unquoted_field_is_refused_with_its_row(bench: Bench, rows: str) -> None:
    bench.source(HEAD + rows)
    assert "source.csv:2 (row 1): unescaped quotation mark in an unquoted field" in refused(bench).message


def test_unclosed_quotation_mark_is_refused_where_it_opens(bench: Bench) -> None:
    bench.source(HEAD + '1,Ann,a\n2,"Bo,b\n3,Cy,c\n4,Di,d\n')
    assert "source.csv:3 (row 2): a quotation mark that opens here is not closed" in refused(bench).message


@pytest.mark.parametrize("again", ["id,name,mail", '"id","name","mail"', '"id",name,mail'])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.usefixtures("size")
def test_repeated_header_is_refused(bench: Bench, again: str, mark: str, end: str) -> None:
    lines = ["id,name,mail", "1,Ann,a", mark + again, "2,Bo,b", ""]
    bench.source(end.join(lines))
    assert "source.csv:3 (row 2): " in refused(bench).message


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_repeated_header_of_gzip_members_is_refused(bench: Bench, mark: bytes) -> None:
    parts = [mark + HEAD.encode() + row for row in (b"1,Ann,a\n", b"2,Bo,b\n")]
    bench.source(b"".join(map(gzip.compress, parts)))
    assert "source.csv:3 (row 2): the row " in refused(bench).message


def test_gzip_members_with_one_header_are_read(bench: Bench) -> None:
    bench.source(gzip.compress(HEAD.encode() + b"1,Ann,a\n2,B") + gzip.compress(b"o,b\n"))
    assert [item["value"]["name"] for item in bench.records()] == ["Ann", "Bo"]


def test_repeated_header_in_one_of_many_small_files_is_refused(bench: Bench) -> None:
    bench.change_source(path="*.csv")
    bench.source(HEAD + "1,Ann,a\n", "a.csv")
    bench.source(HEAD + "2,Bo,b\nid,name,mail\n", "b.csv")
    assert "b.csv:3 (row 2): the row repeats the header" in refused(bench).message


def test_row_that_shares_a_value_with_the_header_is_read(bench: Bench) -> None:
    bench.source(HEAD + "id,Ann,a\n1,name,mail\n")
    assert len(bench.records()) == 2


@pytest.mark.parametrize("first", ["sep=;", "SEP=,", '"sep=;"', "sep=\t", "sep=;;;"])
def test_sep_line_of_excel_is_refused_with_the_options_to_set(bench: Bench, first: str) -> None:
    bench.source(f"{first}\r\nid;name;mail\r\n1;Ann;a\r\n")
    error = refused(bench)
    assert "source.csv:1 (the header): the line is Excel's sep= line" in error.message
    assert "source.skip_rows: 1" in error.hint


@pytest.mark.parametrize("end", [",", ",,", ",,,,,"])
@pytest.mark.usefixtures("size")
def test_trailing_delimiters_of_all_lines_are_read(bench: Bench, end: str) -> None:
    bench.source("".join(f"{line}{end}\r\n" for line in ("id,name,mail", "1,Ann,a", "2,Bo,b")))
    assert [item["value"] for item in bench.records()] == [
        {"id": "1", "name": "Ann", "mail": "a"},
        {"id": "2", "name": "Bo", "mail": "b"},
    ]


@pytest.mark.parametrize("row", ["2,Smith, Ann,b", '2,Bo,b,"x"'])
@pytest.mark.usefixtures("size")
def test_value_under_a_trailing_delimiter_is_refused(bench: Bench, row: str) -> None:
    bench.source("id,name,mail,\n1,Ann,a,\n" + row + "\n")
    assert "source.csv:3 (row 2): field 4 has a value, but its column has no name" in refused(bench).message


@pytest.mark.parametrize("header", [",,", '"",""'])
def test_header_without_names_is_refused(bench: Bench, header: str) -> None:
    bench.source(header + "\n1,2,3\n")
    assert "source.csv:1 (the header): the header names no column" in refused(bench).message


def test_blank_line_before_the_header_is_refused(bench: Bench) -> None:
    bench.source("\r\n" + HEAD + "1,Ann,a\n")
    assert "source.csv:1 (the header): the line is blank" in refused(bench).message


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_column_name_with_a_line_break_is_read(bench: Bench, end: str) -> None:
    bench.change(record=record({"id": "=id", "name": f'="first{end}name"'}))
    bench.source(f'id,"first{end}name",mail{end}1,Ann,a{end}')
    assert [item["value"] for item in bench.records()] == [{"id": "1", "name": "Ann"}]


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.csv", HEAD)
    return out.getvalue()


def _sqlite(path: Path) -> bytes:
    with sqlite3.connect(path / "x.db") as database:
        database.execute("CREATE TABLE t (a)")
    database.close()
    return (path / "x.db").read_bytes()


def _parquet() -> bytes:
    out = io.BytesIO()
    pl.DataFrame({"id": [1]}).write_parquet(out)
    return out.getvalue()


TEXT = (HEAD + "1,Ann,a\n").encode()
CONTENTS = {
    "compressed with xz": lzma.compress(TEXT),
    "a Parquet file": _parquet(),
    "an old Excel workbook": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(24),
    "text in utf-16,": TEXT.decode().encode("utf-16"),
    "text in utf-16-le": TEXT.decode().encode("utf-16-le"),
    "text in utf-16-be": TEXT.decode().encode("utf-16-be"),
    "text in utf-32,": TEXT.decode().encode("utf-32"),
    "text in utf-32-be": TEXT.decode().encode("utf-32-be"),
}


@pytest.mark.parametrize("name", ["source.csv", "source.jsonl"])
@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("compressed", [False, True])
def test_other_content_is_named(bench: Bench, kind: str, name: str, *, compressed: bool) -> None:
    bench.change_source(path=name)
    content = CONTENTS[kind]
    bench.source(gzip.compress(content) if compressed else content)
    assert f"{name} is {kind.strip()}" in refused(bench).message


TWICE = {
    "a zip archive in a compressed file": _zip(),
    "zstd in a compressed file": b"\x28\xb5\x2f\xfd\x04\x58\x41\x00\x00id\n1\n\x82\x9d\xc5\x5b",
    "bzip2 in a compressed file": bz2.compress(TEXT),
    "bzip2 in a compressed file ": bz2.compress(b""),
    "gzip in a compressed file": gzip.compress(TEXT),
}


@pytest.mark.parametrize("name", ["source.csv", "source.jsonl"])
@pytest.mark.parametrize("kind", TWICE)
@pytest.mark.parametrize("outer", [gzip.compress, bz2.compress], ids=["gzip", "bzip2"])
def test_compressed_files_in_compressed_files_are_named(
    bench: Bench, kind: str, name: str, outer: Callable[[bytes], bytes]
) -> None:
    bench.change_source(path=name)
    bench.source(outer(TWICE[kind]))
    error = refused(bench)
    assert f"{name} is {kind.strip()}" in error.message
    assert error.hint == "Unpack it once; the file in it is read, plain or compressed."


def test_database_named_csv_is_named(bench: Bench, tmp_path: Path) -> None:
    bench.source(_sqlite(tmp_path))
    assert "source.csv is a SQLite database" in refused(bench).message


@pytest.mark.parametrize("encoding", ["latin-1", "iso-8859-1", "iso8859-15", "L1"])
@pytest.mark.parametrize(("written", "text"), [("cp1252", "“q” 5 €"), ("utf-8", "€")])
@pytest.mark.parametrize("compressed", [False, True])
def test_windows_text_declared_as_latin_1_is_refused(
    bench: Bench, encoding: str, written: str, text: str, *, compressed: bool
) -> None:
    bench.change_source(encoding=encoding)
    content = (HEAD + f"1,Ann,a\n2,{text},b\n").encode(written)
    bench.source(gzip.compress(content) if compressed else content)
    error = refused(bench)
    assert "source.csv:3: a byte on this line is a control character" in error.message
    assert f"source.encoding: {written}" in error.hint


@pytest.mark.parametrize("encoding", ["utf-16", "utf-7", "unicode_escape"])
def test_text_that_its_codec_refuses_is_refused_with_its_line(bench: Bench, encoding: str) -> None:
    bench.change_source(encoding=encoding)
    bench.source(HEAD + "1,+2AA-\\ud800,a\n")
    assert "source.csv:1: a byte on this line is not valid" in refused(bench).message
