"""CSV files of other dialects are read with the options of the source: header, skipped lines, comments, marks."""

from __future__ import annotations

import gzip
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from data_kit import job, refused, rules

from batchsync.core.csv_dialect import CsvDialect
from batchsync.core.job import Join

if TYPE_CHECKING:
    from pathlib import Path

    from data_kit import Bench

ANN = {"id": "1", "name": "Ann", "mail": "a"}
NO_HEADER = CsvDialect(header=False, columns=("id", "name", "mail"))


def values(bench: Bench) -> list[dict[str, str]]:
    return [item["value"] for item in bench.records()]


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        (NO_HEADER, "1,Ann,a\n"),
        (replace(NO_HEADER, skip_rows=2), "Report\n\n1,Ann,a\n"),
        (CsvDialect(skip_rows=1), "sep=,\r\nid,name,mail\r\n1,Ann,a\r\n"),
        (CsvDialect(skip_rows=3), 'Report "x\n,,,,\n\nid,name,mail\n1,Ann,a\n'),
        (CsvDialect(comment="#"), '# made by "x\nid,name,mail\n# first\n1,Ann,a\n#last'),
        (CsvDialect(comment="--"), "id,name,mail\n1,Ann,a\n-- 1 row\n"),
        (CsvDialect(quote="'"), "id,name,mail\n1,'Ann','a'\n"),
        (CsvDialect(escape="\\"), 'id,name,mail\n1,"Ann",a\n'),
        (replace(NO_HEADER, skip_rows=1, comment="#", quote="'", escape="^"), "x\n# y\n'1','Ann',a\n#"),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_options_of_the_dialect_are_read(bench: Bench, dialect: CsvDialect, text: str, *, compressed: bool) -> None:
    bench.change_source(dialect=dialect)
    bench.source(gzip.compress(text.encode()) if compressed else text)
    assert values(bench) == [ANN]


@pytest.mark.parametrize(
    ("dialect", "field", "name"),
    [
        (CsvDialect(quote="'"), "'O''Neil, \"x\"'", 'O\'Neil, "x"'),
        (CsvDialect(quote=""), "5\" x 6'", "5\" x 6'"),
        (CsvDialect(quote=""), '"Ann"', '"Ann"'),
        (CsvDialect(escape="\\"), '"5\\" pipe, \\\\ x"', '5" pipe, \\ x'),
        (CsvDialect(escape="\\"), '"5"" pipe"', '5" pipe'),
        (CsvDialect(escape="\\"), "a\\, b", "a, b"),
        (CsvDialect(quote="", escape="\\"), "a\\,b\\\\", "a,b\\"),
        (CsvDialect(comment="#"), "a # b", "a # b"),
        (CsvDialect(comment="#"), '"a\n# b"', "a\n# b"),
        (CsvDialect(comment="#"), '"a\r\n# b\r"', "a\r\n# b\r"),
    ],
)
def test_values_of_other_dialects_are_exact(bench: Bench, dialect: CsvDialect, field: str, name: str) -> None:
    bench.change_source(dialect=dialect)
    bench.source(f"id,name,mail\n1,{field},a\n")
    assert values(bench) == [ANN | {"name": name}]


@pytest.mark.parametrize(
    ("dialect", "text", "message"),
    [
        (NO_HEADER, "1,Ann\n", ":1 (row 1): the row has 2 fields, but source.columns names 3"),
        (NO_HEADER, "1,Ann,a\n2,Bo\n", ":2 (row 2): the row has 2 fields, fewer than the 3"),
        (NO_HEADER, "id,name,mail\n1,Ann,a\n", ":1 (row 1): the row repeats the header"),
        (CsvDialect(skip_rows=2), "x\ny\nid,name,mail\n1,Ann\n", ":4 (row 1): the row has 2 fields"),
        (CsvDialect(skip_rows=2), "x\ny\nid,name,mail\n1,A\rnn,a\n", ":4 (row 1): unquoted carriage return"),
        (CsvDialect(skip_rows=1), "x\rid,name,mail\n1,Ann,a\n", ":1 (the header): unquoted carriage return"),
        (CsvDialect(comment="#"), "# x\nid,name,mail\n# y\n\n1,Ann\n", ":5 (row 2): the row has 2 fields"),
        (CsvDialect(comment="#"), "id,name,mail\n# x\r1,Ann,a\n", ":2 (row 1): unquoted carriage return"),
        (CsvDialect(quote="'"), "id,name,mail\n1, 'Ann',a\n", ":2 (row 1): a blank stands before"),
        (CsvDialect(quote="'"), "id,name,mail\n1,'Ann' x,a\n", ":2 (row 1): a quotation mark inside a quoted field"),
        (CsvDialect(escape="\\"), "id,name,mail\n1,\\N,a\n", ":2 (row 1): '\\\\' stands before another character"),
        (CsvDialect(escape="\\"), 'id,name,mail\n1,"a\\nb",a\n', ":2 (row 1): '\\\\' stands before another character"),
        (CsvDialect(escape="\\"), "id,name,mail\n1,Ann,a\\\n", ":2 (row 1): "),
        (CsvDialect(escape="\\"), "id,name,mail\n1,Ann,a\r\r\n", ":2 (row 1): the line ends in CR CR LF"),
        (CsvDialect(skip_rows=9), "id,name,mail\n1,Ann,a\n", " is empty: it has no header line"),
    ],
)
def test_refusals_of_other_dialects_name_line_and_row(
    bench: Bench, dialect: CsvDialect, text: str, message: str
) -> None:
    bench.change_source(dialect=dialect)
    bench.source(text)
    assert f"source.csv{message}" in refused(bench).message


def test_file_without_header_and_rows_is_an_empty_source(bench: Bench) -> None:
    bench.change_source(dialect=NO_HEADER)
    bench.source("")
    assert bench.compare().plan.counts.source_rows == 0


def test_rows_of_all_files_of_a_glob_are_numbered_without_headers(bench: Bench) -> None:
    bench.change_source(dialect=replace(NO_HEADER, comment="#"), path="*.csv")
    bench.source("# a\n1,Ann,a\n\n2,Bo,b\n", "a.csv")
    bench.source("3,Cy,c\n# b\n", "b.csv")
    assert [item["id"] for item in values(bench)] == ["1", "2", "3"]
    assert bench.compare().plan.counts.source_rows == 3


def test_joined_file_has_a_header_of_its_own(tmp_path: Path, bench: Bench) -> None:
    dialect = CsvDialect(header=False, columns=("id", "book"), skip_rows=1, quote="'")
    joins = (Join(path="books.csv", on=(("book", "isbn"),)),)
    bench.job = job(tmp_path, {"id": "=id", "title": "=title"}, source={"joins": joins, "dialect": dialect})
    bench.rules = rules()
    bench.source("Report\n1,'b'\n")
    bench.source("isbn,title\na,Emma\nb,'Ulysses, a novel'\n", "books.csv")
    assert values(bench) == [{"id": "1", "title": "Ulysses, a novel"}]
