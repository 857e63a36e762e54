"""Whatever is wrong with a file is said with its name, its row and what to do; nothing is shifted, cut or guessed."""

from __future__ import annotations

import gzip
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import polars as pl
import pytest
from data_kit import NOW, Bench, job, refused, rules

from batchsync.core.job import Join
from batchsync.data import PolarsEngine
from batchsync.data.row import csv_validation
from batchsync.errors import SpecError
from batchsync.ports import CompareContext

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "id,name,mail\n1,Ann,a@x.org\n2,Bob,b@x.org\n"


def names(bench: Bench) -> list[str | None]:
    return [record["value"].get("name") for record in bench.records()]


def test_a_byte_order_mark_is_no_part_of_the_first_column(bench: Bench) -> None:
    bench.source(b"\xef\xbb\xbf" + GOOD.encode())
    assert names(bench) == ["Ann", "Bob"]


def test_line_ends_of_windows_and_line_ends_in_quotes_are_both_understood(bench: Bench) -> None:
    bench.source('id,name,mail\r\n1,"An\r\nn, ""x""",m\r\n2,Bob,\r\n')
    assert names(bench) == ['An\r\nn, "x"', "Bob"]


@pytest.mark.parametrize(
    ("encoding", "name"), [("latin-1", "Zoë"), ("cp1252", "€uro"), ("utf-16", "Ž"), ("utf-8-sig", "é")]
)
def test_other_encodings_are_read_as_declared(bench: Bench, encoding: str, name: str) -> None:
    bench.change_source(encoding=encoding)
    bench.source(f"id,name,mail\n1,{name},m\n".encode(encoding))
    assert names(bench) == [name]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf_8_sig", "utf-8", "gb18030"])
@pytest.mark.parametrize("name", ["source.csv", "source.jsonl"])
def test_a_byte_order_mark_is_no_text_in_any_encoding(bench: Bench, encoding: str, name: str) -> None:
    bench.change_source(encoding=encoding, path=name)
    text = "id,name,mail\n1,é,\ufeffm\n" if name.endswith("csv") else '{"id":"1","name":"é","mail":"\ufeffm"}\n'
    bench.source(("\ufeff" + text).encode(encoding.replace("_sig", "")))
    assert [record["value"] for record in bench.records()] == [{"id": "1", "name": "é", "mail": "\ufeffm"}]


def test_a_byte_that_is_not_in_the_encoding_is_an_error_with_its_line(bench: Bench) -> None:
    bench.source(GOOD.encode() + b"3,Zo\xeb,c@x.org\n")
    error = refused(bench)
    assert "source.csv:4:" in error.message
    assert "latin-1" in error.hint


def test_an_unknown_encoding_is_named(bench: Bench) -> None:
    bench.change_source(encoding="utf-9")
    bench.source(GOOD)
    assert "utf-9" in refused(bench).message


def test_an_absent_file_names_its_neighbours(bench: Bench) -> None:
    bench.source(GOOD, "sauce.csv")
    error = refused(bench)
    assert "does not exist" in error.message
    assert "sauce.csv" in error.hint


def test_an_empty_file_and_one_of_blanks_have_no_header(bench: Bench) -> None:
    for text in ("", "\n\n", "  "):
        bench.source(text)
        assert "no header" in refused(bench).message


def test_a_header_alone_is_a_source_of_no_rows(bench: Bench) -> None:
    bench.source("id,name,mail\n")
    assert bench.compare().counts.source_rows == 0
    assert bench.stage(bench.compare()) == ()


def test_a_folder_is_no_file(bench: Bench) -> None:
    (bench.folder / "source.csv").mkdir()
    assert "folder" in refused(bench).message


def test_a_path_that_leads_through_a_file_says_so(bench: Bench) -> None:
    bench.source(GOOD, "thing")
    bench.change_source(path="thing/source.csv")
    assert "cannot be read" in refused(bench).message or "does not exist" in refused(bench).message


@pytest.mark.parametrize(
    ("rows", "row"), [("1,a,b\n2,c\n", 2), ("1,a,b,c\n", 1), ("1,a,b\n\n2,c,d,e\n", 3), ("1,a\n2,a,b,c\n", 1)]
)
def test_a_row_with_too_few_or_too_many_fields_is_an_error_with_its_number(bench: Bench, rows: str, row: int) -> None:
    bench.source("id,name,mail\n" + rows)
    assert f"row {row} " in refused(bench).message


def test_a_quote_that_never_closes_and_a_stray_quote_are_errors(bench: Bench) -> None:
    for rows in ('1,"a,b\n2,c,d\n', '1,5" pipe,b\n2,c,d\n', '1,"a"b,c\n'):
        bench.source("id,name,mail\n" + rows)
        assert "source.csv" in refused(bench).message


def test_blank_lines_are_no_rows_and_do_not_move_the_row_numbers_of_others(bench: Bench) -> None:
    bench.source("id,name,mail\n1,Ann,a\n\n,Bob,b\n\n\n")
    comparison = bench.compare()
    assert comparison.counts.source_rows == 2
    [[reject]] = PolarsEngine().invalid(comparison)
    assert (reject.code, reject.row) == ("key", 3)


def test_a_line_beyond_the_cap_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_validation, "LINE_MAX", 1 << 20)
    bench.source('id,name,mail\n1,"' + "x" * (6 << 20) + '",m\n')
    assert "longer than" in refused(bench).message


def test_a_column_that_stands_twice_is_refused(bench: Bench) -> None:
    bench.source("id,name,mail,name\n1,a,b,c\n")
    assert "'name'" in refused(bench).message


def test_the_wrong_delimiter_is_guessed_in_the_error(bench: Bench) -> None:
    bench.source(GOOD.replace(",", ";"))
    with pytest.raises(SpecError) as caught:
        bench.compare()
    assert any("';'" in problem.suggestion for problem in caught.value.problems)


def test_another_delimiter_is_used_when_declared(bench: Bench) -> None:
    bench.change_source(delimiter=";")
    bench.source(GOOD.replace(",", ";"))
    assert names(bench) == ["Ann", "Bob"]


def test_declared_nulls_are_nulls(bench: Bench) -> None:
    bench.change_source(nulls=("NA", "-"))
    bench.source('id,name,mail\n1,NA,"-"\n')
    assert bench.records()[0]["value"] == {"id": "1"}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_declared_nulls_are_nulls_in_every_format(bench: Bench, ending: str) -> None:
    bench.change_source(path=f"source.{ending}", nulls=("NA", "7"))
    frame = pl.DataFrame({"id": ["1", "2", "NA"], "name": ["NA", "Ann", "Bob"], "mail": ["a", None, "b"]})
    path = bench.folder / bench.job.source.path
    {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[ending](path)
    assert [record["value"] for record in bench.records()] == [{"id": "1", "mail": "a"}, {"id": "2", "name": "Ann"}]
    context = CompareContext(folder=bench.folder / "again", now=NOW)
    with ThreadPoolExecutor(1) as executor:  # each task reads its own rows of a Parquet file
        apart = PolarsEngine(executor=executor, threads=1).compare(bench.job, bench.rules, bench.baseline, context)
    assert (apart.counts.invalid, apart.fingerprint) == (1, bench.compare().fingerprint)


def test_declared_nulls_are_texts_and_no_numbers(bench: Bench) -> None:
    bench.change_source(path="source.parquet", nulls=("7",))
    tags = pl.Series(["7", "x"], dtype=pl.Categorical)
    frame = pl.DataFrame({"id": [7, 8], "name": tags, "mail": ["7", "m"]})
    frame.write_parquet(bench.folder / "source.parquet")
    assert [record["value"] for record in bench.records()] == [{"id": 7}, {"id": 8, "name": "x", "mail": "m"}]


def test_gzip_is_read_whatever_its_name_and_a_truncated_one_is_refused(bench: Bench) -> None:
    data = gzip.compress(GOOD.encode() * 1)
    bench.source(data)
    assert names(bench) == ["Ann", "Bob"]
    bench.source(data[:-6])
    assert "truncated" in refused(bench).message
    bench.source(data[:30])
    assert "truncated" in refused(bench).message


def test_a_damaged_gzip_is_refused(bench: Bench) -> None:
    data = bytearray(gzip.compress(os.urandom(5000)))
    data[2000] ^= 0xFF
    bench.source(bytes(data))
    refused(bench)
    broken = bytearray(gzip.compress(GOOD.encode() * 100))
    broken[20] ^= 0xFF
    bench.source(bytes(broken))
    assert "damaged" in refused(bench).message


def test_a_glob_is_read_in_the_order_of_its_names_and_rows_count_on(bench: Bench) -> None:
    bench.change_source(path="part-*.csv")
    bench.source("id,name,mail\n3,Cid,c\n", "part-2.csv")
    bench.source("mail,id,name\na,1,Ann\nb,,Bob\n", "part-1.csv")
    comparison = bench.compare()
    [[reject]] = PolarsEngine().invalid(comparison)
    assert reject.row == 2
    assert names(bench) == ["Ann", "Cid"]


def test_files_of_a_glob_with_other_columns_are_refused(bench: Bench) -> None:
    bench.change_source(path="part-*.csv")
    bench.source(GOOD, "part-1.csv")
    bench.source("id,name\n", "part-2.csv")
    assert "mail" in refused(bench).message
    bench.change_source(path="nothing-*.csv")
    assert "no file matches" in refused(bench).message


def test_parquet_is_read_and_what_is_none_is_refused(bench: Bench) -> None:
    bench.change_source(path="source.parquet")
    pl.DataFrame({"id": [1, 2], "name": ["Ann", None], "mail": ["m", "n"]}).write_parquet(
        bench.folder / "source.parquet"
    )
    assert [record["value"] for record in bench.records()] == [
        {"id": 1, "name": "Ann", "mail": "m"},
        {"id": 2, "mail": "n"},
    ]
    whole = (bench.folder / "source.parquet").read_bytes()
    for broken in (b"", GOOD.encode(), whole[:-5], whole[: len(whole) // 2]):
        bench.source(broken)
        assert "Parquet" in refused(bench).message


def test_json_lines_keep_their_types_and_members_that_come_late(bench: Bench) -> None:
    bench.change_source(path="source.jsonl")
    bench.source('{"id":1,"name":"Ann"}\n\n{"id":2,"mail":true,"name":null}\n')
    assert [record["value"] for record in bench.records()] == [{"id": 1, "name": "Ann"}, {"id": 2, "mail": True}]


@pytest.mark.parametrize("bad", ['{"id":', "[1]", "nonsense", '{"id":1} {"id":2}'])
def test_a_line_that_is_no_json_object_is_named(bench: Bench, bad: str) -> None:
    bench.change_source(path="source.jsonl")
    bench.source('{"id":1,"name":"a","mail":"b"}\n' + bad + "\n")
    assert "source.jsonl:2:" in refused(bench).message


def test_packed_json_lines_are_read(bench: Bench) -> None:
    bench.change_source(path="source.jsonl.gz")
    bench.source(gzip.compress(b'{"id":1,"name":"Ann","mail":null}\n'))
    assert names(bench) == ["Ann"]


def test_a_name_without_a_known_ending_needs_a_format(bench: Bench) -> None:
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


def test_a_join_keeps_rows_without_a_match_and_their_order(joined: Bench) -> None:
    joined.source("id,book\n1,b\n2,zzz\n3,\n4,a\n")
    joined.source("isbn,title\na,Emma\nb,Ulysses\n", "books.csv")
    assert [record["value"].get("title") for record in joined.records()] == ["Ulysses", None, None, "Emma"]
    assert PolarsEngine().columns(joined.job) == ("id", "book", "title", "isbn")


def test_a_joined_key_that_stands_twice_is_refused_with_its_rows(joined: Bench) -> None:
    joined.source("id,book\n1,b\n")
    joined.source("isbn,title\na,Emma\nb,x\na,y\n", "books.csv")
    assert "rows 1, 3" in refused(joined).message


def test_a_join_on_a_column_that_is_not_there_suggests_one(joined: Bench) -> None:
    joined.source("id,book\n1,b\n")
    joined.source("ISBN,title\na,Emma\n", "books.csv")
    assert "'ISBN'" in refused(joined).hint


def test_a_header_may_hold_quotes_blanks_and_line_ends(bench: Bench) -> None:
    bench.job = job(bench.folder, {"a": '="na""me"', "b": '="two words"'})
    bench.source('"id","na""me","two words"\r\n"1","x","y"\r\n')
    assert bench.records()[0]["value"] == {"a": "x", "b": "y"}


@pytest.mark.parametrize("delimiter", ["||", "é", ""])
def test_a_delimiter_is_one_plain_character(bench: Bench, delimiter: str) -> None:
    bench.change_source(delimiter=delimiter)
    bench.source(GOOD)
    assert "cannot be a delimiter" in refused(bench).message


def test_json_lines_may_begin_with_a_byte_order_mark(bench: Bench) -> None:
    bench.change_source(path="source.jsonl")
    bench.source(b'\xef\xbb\xbf{"id":1,"name":"Ann","mail":null}\n')
    assert names(bench) == ["Ann"]


def test_a_column_of_json_lines_with_several_types_is_read_as_text(bench: Bench) -> None:
    bench.change_source(path="source.jsonl")
    bench.source('{"id":1,"name":1,"mail":1}\n{"id":2,"name":"x","mail":2.5}\n')
    assert [record["value"] for record in bench.records()] == [
        {"id": 1, "name": "1", "mail": 1.0},
        {"id": 2, "name": "x", "mail": 2.5},
    ]
