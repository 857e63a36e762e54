"""Reader of source files: formats, encodings, compression, joins, and errors with file and row."""

from __future__ import annotations

import gzip
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import polars as pl
import pytest
from data_kit import ENGINE, NOW, Bench, engine_in, job, refused, rules

from batchsync.core.job import Join
from batchsync.core.row_outcome import RowOutcome
from batchsync.data.row import csv_rows, csv_scan
from batchsync.errors import SpecError
from batchsync.ports import CompareContext

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "id,name,mail\n1,Ann,a@x.org\n2,Bob,b@x.org\n"


def names(bench: Bench) -> list[str | None]:
    return [record["value"].get("name") for record in bench.records()]


def test_byte_order_mark_is_not_part_of_the_first_column(bench: Bench) -> None:
    bench.source(b"\xef\xbb\xbf" + GOOD.encode())
    assert names(bench) == ["Ann", "Bob"]


def test_crlf_and_quoted_line_ends_are_read(bench: Bench) -> None:
    bench.source('id,name,mail\r\n1,"An\r\nn, ""x""",m\r\n2,Bob,\r\n')
    assert names(bench) == ['An\r\nn, "x"', "Bob"]


@pytest.mark.parametrize(
    ("encoding", "name"), [("latin-1", "Zoë"), ("cp1252", "€uro"), ("utf-16", "Ž"), ("utf-8-sig", "é")]
)
def test_declared_encoding_is_read(bench: Bench, encoding: str, name: str) -> None:
    bench.change_source(encoding=encoding)
    bench.source(f"id,name,mail\n1,{name},m\n".encode(encoding))
    assert names(bench) == [name]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf_8_sig", "utf-8", "gb18030"])
@pytest.mark.parametrize("name", ["source.csv", "source.jsonl"])
def test_byte_order_mark_is_skipped_in_all_encodings(bench: Bench, encoding: str, name: str) -> None:
    bench.change_source(encoding=encoding, path=name)
    text = "id,name,mail\n1,é,\ufeffm\n" if name.endswith("csv") else '{"id":"1","name":"é","mail":"\ufeffm"}\n'
    bench.source(("\ufeff" + text).encode(encoding.replace("_sig", "")))
    assert [record["value"] for record in bench.records()] == [{"id": "1", "name": "é", "mail": "\ufeffm"}]


def test_byte_outside_the_encoding_is_refused_with_its_line(bench: Bench) -> None:
    bench.source(GOOD.encode() + b"3,Zo\xeb,c@x.org\n")
    error = refused(bench)
    assert "source.csv:4:" in error.message
    assert "cp1252" in error.hint
    assert "latin-1" not in error.hint


def test_unknown_encoding_is_refused(bench: Bench) -> None:
    bench.change_source(encoding="utf-9")
    bench.source(GOOD)
    assert "utf-9" in refused(bench).message


def test_missing_file_suggests_a_similar_name(bench: Bench) -> None:
    bench.source(GOOD, "sauce.csv")
    error = refused(bench)
    assert "does not exist" in error.message
    assert "sauce.csv" in error.hint


def test_empty_and_blank_files_are_refused(bench: Bench) -> None:
    for text in ("", "\n\n", "  "):
        bench.source(text)
        assert "no header" in refused(bench).message


def test_header_alone_is_an_empty_source(bench: Bench) -> None:
    bench.source("id,name,mail\n")
    assert bench.compare().plan.counts.source_rows == 0
    assert bench.stage(bench.compare()) == ()


def test_folder_is_refused(bench: Bench) -> None:
    (bench.folder / "source.csv").mkdir()
    assert "folder" in refused(bench).message


def test_path_through_a_file_is_refused(bench: Bench) -> None:
    bench.source(GOOD, "thing")
    bench.change_source(path="thing/source.csv")
    assert "cannot be read" in refused(bench).message or "does not exist" in refused(bench).message


@pytest.mark.parametrize(
    ("rows", "row"), [("1,a,b\n2,c\n", 2), ("1,a,b,c\n", 1), ("1,a,b\n\n2,c,d,e\n", 3), ("1,a\n2,a,b,c\n", 1)]
)
def test_row_with_wrong_field_count_is_refused_with_its_number(bench: Bench, rows: str, row: int) -> None:
    bench.source("id,name,mail\n" + rows)
    assert f"source.csv:{row + 1} (row {row}): the row has" in refused(bench).message


def test_unclosed_and_stray_quotes_are_refused(bench: Bench) -> None:
    for rows in ('1,"a,b\n2,c,d\n', '1,5" pipe,b\n2,c,d\n', '1,"a"b,c\n'):
        bench.source("id,name,mail\n" + rows)
        assert "source.csv" in refused(bench).message


def test_blank_lines_are_skipped_but_counted_in_row_numbers(bench: Bench) -> None:
    bench.source("id,name,mail\n1,Ann,a\n\n,Bob,b\n\n\n")
    comparison = bench.compare()
    assert comparison.plan.counts.source_rows == 2
    [[reject]] = ENGINE.invalid(comparison)
    assert (reject.code, reject.row) == ("key", 3)


def test_overlong_line_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (csv_rows, csv_scan):
        monkeypatch.setattr(module, "LINE_MAX", 1 << 20)
    bench.source('id,name,mail\n1,"' + "x" * (6 << 20) + '",m\n')
    assert "longer than" in refused(bench).message


def test_duplicate_column_is_refused(bench: Bench) -> None:
    bench.source("id,name,mail,name\n1,a,b,c\n")
    assert "'name'" in refused(bench).message


def test_likely_delimiter_is_suggested(bench: Bench) -> None:
    bench.source(GOOD.replace(",", ";"))
    with pytest.raises(SpecError) as caught:
        bench.compare()
    assert any("';'" in problem.suggestion for problem in caught.value.problems)


def test_declared_delimiter_is_used(bench: Bench) -> None:
    bench.change_source(delimiter=";")
    bench.source(GOOD.replace(",", ";"))
    assert names(bench) == ["Ann", "Bob"]


def test_declared_nulls_are_read_as_null(bench: Bench) -> None:
    bench.change_source(nulls=("NA", "-"))
    bench.source('id,name,mail\n1,NA,"-"\n')
    assert bench.records()[0]["value"] == {"id": "1"}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_declared_nulls_are_read_as_null_in_all_formats(bench: Bench, ending: str) -> None:
    bench.change_source(path=f"source.{ending}", nulls=("NA", "7"))
    frame = pl.DataFrame({"id": ["1", "2", "NA"], "name": ["NA", "Ann", "Bob"], "mail": ["a", None, "b"]})
    path = bench.folder / bench.job.source.path
    {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[ending](path)
    assert [record["value"] for record in bench.records()] == [{"id": "1", "mail": "a"}, {"id": "2", "name": "Ann"}]
    context = CompareContext(folder=bench.folder / "again", now=NOW)
    with ThreadPoolExecutor(1) as executor:  # tasks read their own rows of a Parquet file
        by_reference = engine_in(bench.folder, executor=executor, threads=1).compare(
            bench.job, bench.rules, bench.baseline, context
        )
    assert (by_reference.plan.counts.outcomes[RowOutcome.INVALID], by_reference.plan.changes_digest) == (
        1,
        bench.compare().plan.changes_digest,
    )


def test_declared_nulls_match_texts_but_not_numbers(bench: Bench) -> None:
    bench.change_source(path="source.parquet", nulls=("7",))
    tags = pl.Series(["7", "x"], dtype=pl.Categorical)
    frame = pl.DataFrame({"id": [7, 8], "name": tags, "mail": ["7", "m"]})
    frame.write_parquet(bench.folder / "source.parquet")
    assert [record["value"] for record in bench.records()] == [{"id": 7}, {"id": 8, "name": "x", "mail": "m"}]


def test_gzip_is_detected_by_content_and_refused_if_truncated(bench: Bench) -> None:
    data = gzip.compress(GOOD.encode())
    bench.source(data)
    assert names(bench) == ["Ann", "Bob"]
    bench.source(data[:-6])
    assert "truncated" in refused(bench).message
    bench.source(data[:30])
    assert "truncated" in refused(bench).message


def test_damaged_gzip_is_refused(bench: Bench) -> None:
    data = bytearray(gzip.compress(os.urandom(5000)))
    data[2000] ^= 0xFF
    bench.source(bytes(data))
    refused(bench)
    broken = bytearray(gzip.compress(GOOD.encode() * 100))
    broken[20] ^= 0xFF
    bench.source(bytes(broken))
    assert "damaged" in refused(bench).message


def test_glob_is_read_in_name_order_with_continuous_row_numbers(bench: Bench) -> None:
    bench.change_source(path="part-*.csv")
    bench.source("id,name,mail\n3,Cid,c\n", "part-2.csv")
    bench.source("mail,id,name\na,1,Ann\nb,,Bob\n", "part-1.csv")
    comparison = bench.compare()
    [[reject]] = ENGINE.invalid(comparison)
    assert reject.row == 2
    assert names(bench) == ["Ann", "Cid"]


def test_glob_with_different_columns_is_refused(bench: Bench) -> None:
    bench.change_source(path="part-*.csv")
    bench.source(GOOD, "part-1.csv")
    bench.source("id,name\n", "part-2.csv")
    assert "mail" in refused(bench).message
    bench.change_source(path="nothing-*.csv")
    assert "no file matches" in refused(bench).message


def test_parquet_is_read_and_incomplete_files_are_refused(bench: Bench) -> None:
    bench.change_source(path="source.parquet")
    pl.DataFrame({"id": [1, 2], "name": ["Ann", None], "mail": ["m", "n"]}).write_parquet(
        bench.folder / "source.parquet"
    )
    assert [record["value"] for record in bench.records()] == [
        {"id": 1, "name": "Ann", "mail": "m"},
        {"id": 2, "mail": "n"},
    ]
    complete = (bench.folder / "source.parquet").read_bytes()
    for broken in (b"", GOOD.encode(), complete[:-5], complete[: len(complete) // 2]):
        bench.source(broken)
        assert "Parquet" in refused(bench).message


def test_json_lines_keep_types_and_late_members(bench: Bench) -> None:
    bench.change_source(path="source.jsonl")
    bench.source('{"id":1,"name":"Ann"}\n\n{"id":2,"mail":true,"name":null}\n')
    assert [record["value"] for record in bench.records()] == [{"id": 1, "name": "Ann"}, {"id": 2, "mail": True}]


@pytest.mark.parametrize("bad", ['{"id":', "[1]", "nonsense", '{"id":1} {"id":2}'])
def test_line_that_is_not_a_json_object_is_refused(bench: Bench, bad: str) -> None:
    bench.change_source(path="source.jsonl")
    bench.source('{"id":1,"name":"a","mail":"b"}\n' + bad + "\n")
    assert "source.jsonl:2:" in refused(bench).message


def test_compressed_json_lines_are_read(bench: Bench) -> None:
    bench.change_source(path="source.jsonl.gz")
    bench.source(gzip.compress(b'{"id":1,"name":"Ann","mail":null}\n'))
    assert names(bench) == ["Ann"]


def test_unknown_file_ending_requires_a_format(bench: Bench) -> None:
    bench.change_source(path="source.dat")
    bench.source(GOOD)
    assert "source.format" in refused(bench).hint
    bench.change_source(format="csv")
    assert names(bench) == ["Ann", "Bob"]


@pytest.fixture
def joined(tmp_path: Path) -> Bench:
    made = job(
        tmp_path, {"id": "=id", "title": "=title"}, source={"joins": (Join(path="books.csv", on=(("book", "isbn"),)),)}
    )
    return Bench(tmp_path, made, rules())


def test_join_keeps_unmatched_rows_and_row_order(joined: Bench) -> None:
    joined.source("id,book\n1,b\n2,zzz\n3,\n4,a\n")
    joined.source("isbn,title\na,Emma\nb,Ulysses\n", "books.csv")
    assert [record["value"].get("title") for record in joined.records()] == ["Ulysses", None, None, "Emma"]
    assert ENGINE.columns(joined.job) == ("id", "book", "title", "isbn")


def test_duplicate_joined_key_is_refused_with_its_rows(joined: Bench) -> None:
    joined.source("id,book\n1,b\n")
    joined.source("isbn,title\na,Emma\nb,x\na,y\n", "books.csv")
    assert "rows 1, 3" in refused(joined).message


def test_join_on_missing_column_suggests_a_similar_name(joined: Bench) -> None:
    joined.source("id,book\n1,b\n")
    joined.source("ISBN,title\na,Emma\n", "books.csv")
    assert "'ISBN'" in refused(joined).hint


def test_header_with_quotes_and_blanks_is_read(bench: Bench) -> None:
    bench.job = job(bench.folder, {"a": '="na""me"', "b": '="two words"'})
    bench.source('"id","na""me","two words"\r\n"1","x","y"\r\n')
    assert bench.records()[0]["value"] == {"a": "x", "b": "y"}


@pytest.mark.parametrize("delimiter", ["||", "é", ""])
def test_invalid_delimiter_is_refused(bench: Bench, delimiter: str) -> None:
    bench.change_source(delimiter=delimiter)
    bench.source(GOOD)
    assert "cannot be a delimiter" in refused(bench).message


def test_json_lines_with_byte_order_mark_are_read(bench: Bench) -> None:
    bench.change_source(path="source.jsonl")
    bench.source(b'\xef\xbb\xbf{"id":1,"name":"Ann","mail":null}\n')
    assert names(bench) == ["Ann"]


def test_json_lines_column_of_mixed_types_is_read_as_text(bench: Bench) -> None:
    bench.change_source(path="source.jsonl")
    bench.source('{"id":1,"name":1,"mail":1}\n{"id":2,"name":"x","mail":2.5}\n')
    assert [record["value"] for record in bench.records()] == [
        {"id": 1, "name": "1", "mail": 1.0},
        {"id": 2, "name": "x", "mail": 2.5},
    ]
