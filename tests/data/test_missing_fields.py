"""What no row has a value for today is no mistake in the job, and what is a mistake is told as one."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from data_kit import Bench, job, record

from lading.core.job import Join, Removal, Send
from lading.core.mapping import Expression
from lading.data import Columnar
from lading.errors import SpecError

EACH = {"each": {"x": "=size"}}


def absent(bench: Bench, mapping: dict[str, Any], text: str = '{"id":"1"}\n', **source: Any) -> Bench:
    """Let a bench read JSON lines."""
    bench.job = job(bench.folder, mapping, source={"path": "source.jsonl", **source})
    bench.source(text)
    return bench


@pytest.mark.parametrize("text", ['{"id":"1"}\n', '{"id":"1","p":null,"q":null}\n', '{"id":"1","p":null}\n\n'])
@pytest.mark.parametrize(
    "sql",
    [
        "p",
        "upper(p)",
        "p + 1",
        "CASE WHEN p THEN 'x' END",
        "substr(p, 1, 2) || q",
        "STRPTIME(p, '%Y')",
        "strftime(p, '%Y')",
        "array_to_string(p, ',')",
        "round(p * 1.5, 2)",
        "CAST(p AS BIGINT)",
    ],
)
def test_a_member_that_no_line_has_is_one_without_a_value(bench: Bench, text: str, sql: str) -> None:
    absent(bench, {"id": "=id", "v": "=" + sql, "or": f"=COALESCE(CAST({sql} AS VARCHAR), 'none')"}, text)
    assert Columnar().check(bench.job, bench.rules) == ()
    assert [one["value"] for one in bench.records()] == [{"id": "1", "or": "none"}]


@pytest.mark.parametrize("text", ["", "\n\n", b"\xef\xbb\xbf"])
def test_json_lines_without_a_line_are_a_source_of_no_rows(bench: Bench, text: str | bytes) -> None:
    absent(bench, {"id": "=id", "list": [EACH]}, "")
    bench.source(text)
    assert bench.compare().tally.source_rows == 0


def test_lines_without_the_key_are_rows_without_one_and_nothing_is_removed(bench: Bench) -> None:
    absent(bench, {"id": "=id"}, '{"id":"1"}\n{"id":"2"}\n')
    bench.change(removal=Removal(mode="delete", record=record({"id": "=id"})))
    bench.accept_all()
    bench.source("{}\n{}\n")
    comparison = bench.compare()
    assert (comparison.tally.source_rows, comparison.tally.invalid, comparison.tally.removed) == (2, 2, 0)


def test_whatever_else_a_job_names_may_be_absent_too(bench: Bench) -> None:
    join = Join(path="r.csv", on=(("book", "isbn"),))
    (bench.folder / "r.csv").write_text("isbn,title\na,Emma\n", encoding="utf-8")
    absent(
        bench,
        {"id": "=id", "title": "=title"},
        '{"id":"1"}\n',
        joins=(join,),
        duplicates="by:version",
        key=Expression("id || COALESCE(suffix, '')"),
    )
    bench.change(send=Send(what="since", since="changed_at"))
    assert [one["value"] for one in bench.records()] == [{"id": "1"}]


def test_a_value_that_comes_and_goes_changes_only_the_rows_that_have_it(bench: Bench) -> None:
    absent(bench, {"id": "=id", "n": "=n", "yes": "=yes"}, '{"id":"1","n":5,"yes":true}\n{"id":"2"}\n')
    bench.accept_all()
    bench.source('{"id":"1"}\n{"id":"2"}\n')
    assert (bench.compare().tally.changed, bench.compare().tally.unchanged) == (1, 1)


def test_a_slip_of_the_pen_is_told_with_the_member_that_was_meant(bench: Bench) -> None:
    absent(bench, {"id": "=id", "mail": "=mial", "two": "=phone2"}, '{"id":"1","mail":"m","phone1":"p"}\n')
    bench.change(record=record({"id": "=id", "mail": "=mial", "one": "=phone1", "two": "=phone2"}))
    with pytest.raises(SpecError) as caught:
        bench.compare()
    assert [(one.code, one.suggestion) for one in caught.value.problems] == [
        ("data.unknown_column", "Did you mean 'mail'?")
    ]


def test_an_expression_that_no_type_makes_right_is_told(bench: Bench) -> None:
    absent(bench, {"id": "=id", "v": "=nonsense(p)", "w": "=upper(lower(p) + DATE '2026-01-01')", "x": "=(("})
    with pytest.raises(SpecError) as caught:
        bench.compare()
    assert len(caught.value.problems) == 3


def test_a_column_of_parquet_without_a_type_takes_the_one_that_its_expressions_need(bench: Bench) -> None:
    bench.job = job(bench.folder, {"id": "=id", "v": "=upper(p)", "w": "=q + 1"}, source={"path": "s.parquet"})
    pl.DataFrame({"id": ["1"], "p": [None], "q": [None], "r": [None]}).write_parquet(bench.folder / "s.parquet")
    assert [one["value"] for one in bench.records()] == [{"id": "1"}]
