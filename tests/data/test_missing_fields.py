"""A field without a value in any row is null; a misspelled field is reported."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from data_kit import ENGINE, Bench, job, record

from batchsync.core.job import Join, Removal, Send
from batchsync.core.mapping import Expression
from batchsync.core.row_outcome import RowOutcome
from batchsync.errors import SpecError

EACH = {"each": {"x": "=size"}}


def json_lines(bench: Bench, mapping: dict[str, Any], text: str = '{"id":"1"}\n', **source: Any) -> Bench:
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
def test_field_absent_from_all_lines_is_null(bench: Bench, text: str, sql: str) -> None:
    json_lines(bench, {"id": "=id", "v": "=" + sql, "or": f"=COALESCE(CAST({sql} AS VARCHAR), 'none')"}, text)
    assert ENGINE.check(bench.job, bench.rules) == ()
    assert [item["value"] for item in bench.records()] == [{"id": "1", "or": "none"}]


@pytest.mark.parametrize("text", ["", "\n\n", b"\xef\xbb\xbf"])
def test_empty_json_lines_file_has_no_rows(bench: Bench, text: str | bytes) -> None:
    json_lines(bench, {"id": "=id", "list": [EACH]}, "")
    bench.source(text)
    assert bench.compare().plan.counts.source_rows == 0


def test_lines_without_key_are_invalid_and_prevent_removals(bench: Bench) -> None:
    json_lines(bench, {"id": "=id"}, '{"id":"1"}\n{"id":"2"}\n')
    bench.change(removal=Removal(mode="delete", record=record({"id": "=id"})))
    bench.accept_all()
    bench.source("{}\n{}\n")
    comparison = bench.compare()
    assert (
        comparison.plan.counts.source_rows,
        comparison.plan.counts.outcomes[RowOutcome.INVALID],
        comparison.plan.counts.removed,
    ) == (2, 2, 0)


def test_absent_fields_of_key_join_and_options_are_null(bench: Bench) -> None:
    join = Join(path="r.csv", on=(("book", "isbn"),))
    (bench.folder / "r.csv").write_text("isbn,title\na,Emma\n", encoding="utf-8")
    json_lines(
        bench,
        {"id": "=id", "title": "=title"},
        '{"id":"1"}\n',
        joins=(join,),
        duplicates="by:version",
        key=Expression("id || COALESCE(suffix, '')"),
    )
    bench.change(send=Send(rows="since", since="changed_at"))
    assert [item["value"] for item in bench.records()] == [{"id": "1"}]


def test_disappearing_value_changes_only_its_rows(bench: Bench) -> None:
    json_lines(bench, {"id": "=id", "n": "=n", "yes": "=yes"}, '{"id":"1","n":5,"yes":true}\n{"id":"2"}\n')
    bench.accept_all()
    bench.source('{"id":"1"}\n{"id":"2"}\n')
    assert (bench.compare().plan.counts.changed, bench.compare().plan.counts.outcomes[RowOutcome.UNCHANGED]) == (1, 1)


def test_misspelled_field_is_reported_with_suggestion(bench: Bench) -> None:
    json_lines(bench, {"id": "=id", "mail": "=mial", "two": "=phone2"}, '{"id":"1","mail":"m","phone1":"p"}\n')
    bench.change(record=record({"id": "=id", "mail": "=mial", "one": "=phone1", "two": "=phone2"}))
    with pytest.raises(SpecError) as caught:
        bench.compare()
    assert [(problem.code, problem.suggestion) for problem in caught.value.problems] == [
        ("data.unknown_column", "Did you mean 'mail'?")
    ]


def test_invalid_expression_over_absent_field_is_reported(bench: Bench) -> None:
    json_lines(bench, {"id": "=id", "v": "=nonsense(p)", "w": "=upper(lower(p) + DATE '2026-01-01')", "x": "=(("})
    with pytest.raises(SpecError) as caught:
        bench.compare()
    assert len(caught.value.problems) == 3


def test_untyped_parquet_column_takes_type_of_its_expressions(bench: Bench) -> None:
    bench.job = job(bench.folder, {"id": "=id", "v": "=upper(p)", "w": "=q + 1"}, source={"path": "s.parquet"})
    pl.DataFrame({"id": ["1"], "p": [None], "q": [None], "r": [None]}).write_parquet(bench.folder / "s.parquet")
    assert [item["value"] for item in bench.records()] == [{"id": "1"}]
