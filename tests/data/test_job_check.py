"""Problems of a job against its source are reported before a row is read, all at once, each with its place."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from data_kit import ENGINE, HEAD, Bench, csv_rules, job, record, rules

from batchsync.core.job import Removal, Send
from batchsync.core.mapping import Array, Each, Expression, Literal, Object, Place
from batchsync.core.record_schema import Kind, Rule
from batchsync.data.mapping.compiled import compile_record
from batchsync.data.mapping.expressions import parse
from batchsync.data.record import compiled_job
from batchsync.errors import Problem, SourceError


def problems(bench: Bench) -> tuple[Problem, ...]:
    return ENGINE.check(bench.job, bench.rules)


def test_valid_job_has_no_problems(bench: Bench) -> None:
    bench.source(HEAD)
    assert problems(bench) == ()
    assert ENGINE.columns(bench.job) == ("id", "name", "mail")


def test_all_problems_are_reported_with_their_places(bench: Bench) -> None:
    bench.source(HEAD)
    mapping = Object(
        (
            ("a", Expression("Name", Place("jobs.yaml", 3, 5))),
            ("b", Expression("lower(", Place("jobs.yaml", 4, 5))),
            ("c", Expression("nosuchfunction(name)", Place("jobs.yaml", 5, 5))),
        ),
    )
    bench.change(record=mapping, send=Send(since="updated"))
    bench.change_source(key=("ID",), duplicates="by:when")
    found = problems(bench)
    assert [item.line for item in found if item.line] == [3, 4, 5]
    assert {item.file for item in found if item.line} == {"jobs.yaml"}
    assert "Did you mean 'name'?" in found[3].suggestion
    assert "Did you mean 'id'?" in found[0].suggestion
    assert len(found) == 6


def test_job_is_compiled_once_by_check_comparison_and_stage_each(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Object] = []

    def counting(record: Object, *more: Any, **named: Any) -> Any:
        compiled.append(record)
        return compile_record(record, *more, **named)

    monkeypatch.setattr(compiled_job, "compile_record", counting)
    removed = record({"id": "=id"})
    bench.change(removal=Removal(mode="delete", record=removed))
    bench.source(HEAD + "1,a,m\n2,b,m\n")
    bench.accept_all()
    bench.source(HEAD + "1,c,m\n")
    compiled.clear()
    assert problems(bench) == ()
    assert compiled == [bench.job.record, removed]
    comparison = bench.compare()
    assert compiled == [bench.job.record, removed] * 2
    assert [file.rows for file in bench.stage(comparison)] == [2]
    assert compiled == [bench.job.record, removed] * 3


@pytest.mark.parametrize(
    ("sql", "hint"),
    [
        ("First Name", 'Write ="First Name": this'),
        ("1st", 'Write ="1st": this'),
        ("Mail-Address", 'Write ="Mail-Address": this'),
        ('a"b', 'Write ="a""b": this'),
        ("lower(First Name)", 'Write "First Name": this'),
        ("lower(Mail-Address)", 'Write "Mail-Address": this'),
        ("First Name || name", 'Write "First Name": this'),
        ("First  Name", 'Did you mean "First Name", in double quotes?'),
        ("nam", "Did you mean 'name'?"),
        ("lower('zz", "strings in single quotes"),
        ("zzz", "The source has: First Name, order"),
    ],
)
def test_unquoted_column_name_is_suggested_with_quotes(sql: str, hint: str) -> None:
    columns = dict.fromkeys(("First Name", "order", "1st", "Mail-Address", "name", 'a"b'), pl.String())
    found = parse(Expression(sql, Place("jobs.yaml", 1, 1)), columns)
    assert isinstance(found, Problem)
    assert hint in found.suggestion


@pytest.mark.parametrize(
    "sql", ['"First Name"', '"order"', '"1st"', 'lower("Mail-Address")', "upper(name) AS other", "order"]
)
def test_quoted_column_name_is_accepted(sql: str) -> None:
    columns = dict.fromkeys(("First Name", "order", "1st", "Mail-Address", "name"), pl.String())
    assert not isinstance(parse(Expression(sql, Place("jobs.yaml", 1, 1)), columns), Problem)


@pytest.mark.parametrize(
    "sql",
    [
        "sum(CAST(name AS INT))",
        "length(name) - avg(length(name))",
        "max(name)",
        "first(name)",
        "count(*)",
        "CASE WHEN length(name) > max(length(name)) THEN 1 ELSE 2 END",
        "quantile_cont(length(name), 0.5)",
        "array_agg(name)",
        "row_number() over (order by id)",
        "lag(name) over (order by id)",
    ],
)
def test_expression_over_several_rows_is_refused_in_items_and_keys(bench: Bench, sql: str) -> None:
    bench.source(HEAD)
    bench.job = job(bench.folder, {"v": [{"each": "=" + sql}]})
    assert [problem.code for problem in problems(bench)] == ["data.expression_not_by_row"]
    bench.job = job(bench.folder, {"v": "=name"}, source={"key": Expression(sql)})
    assert [problem.code for problem in problems(bench)] == ["data.expression_not_by_row"]


@pytest.mark.parametrize(
    "sql",
    [
        "name IN ('a', 'Len', 'sum(x)')",
        "name || 'Agg'",
        "greatest(length(name), 3)",
        "'current_date'",
        "name LIKE 'a%'",
        "name BETWEEN 'a' AND 'b'",
        "name IS NULL",
        "left(name, 2)",
        "NULLIF(name, '')",
        "upper(name) || 'x'",
    ],
)
def test_row_wise_expression_is_accepted(bench: Bench, sql: str) -> None:
    bench.source(HEAD + "1,a,m\n")
    bench.job = job(bench.folder, {"v": "=" + sql})
    assert problems(bench) == ()
    assert len(bench.records()) == 1


def test_expression_that_reads_clock_is_refused(bench: Bench) -> None:
    bench.source(HEAD)
    bench.job = job(bench.folder, {"v": "=CURRENT_DATE"})
    assert [problem.code for problem in problems(bench)] == ["data.expression_clock"]


@pytest.mark.parametrize(
    "sql", ["strftime(name, '%Y')", "replace(name, mail, 'x')", "extract(year FROM name)", "upper(1)", "tag + 1"]
)
def test_expression_of_wrong_types_is_refused_before_reading(bench: Bench, sql: str) -> None:
    tags = pl.Series(["a"], dtype=pl.Categorical)
    frame = pl.DataFrame({"id": ["1"], "name": ["a"], "mail": ["m"], "tag": tags})
    frame.write_parquet(bench.folder / "source.parquet")
    bench.job = job(bench.folder, {"v": "=" + sql}, source={"path": "source.parquet"})
    [found] = problems(bench)
    assert (found.code, bool(found.suggestion)) == ("data.expression_type", True)


@pytest.mark.parametrize("sql", ["*", "name, id", "name; drop", "(select 1)", "", "name FROM self"])
def test_text_that_is_no_expression_is_refused(bench: Bench, sql: str) -> None:
    bench.source(HEAD)
    bench.job = job(bench.folder, {"v": "=" + sql})
    assert problems(bench)


@pytest.mark.parametrize(
    ("kind", "sql", "fits"),
    [
        (Kind.NUMBER, "STRPTIME(name, '%Y')", False),
        (Kind.NUMBER, "name = 'x'", False),
        (Kind.NUMBER, "length(name)", True),
        (Kind.BOOLEAN, "1.5", False),
        (Kind.BOOLEAN, "name = 'x'", True),
        (Kind.STRING, "STRPTIME(name, '%Y')", True),
        (Kind.ARRAY, "name", False),
        (Kind.STRING, "string_to_array(name, ',')", False),
    ],
)
def test_result_type_is_checked_against_rule(bench: Bench, kind: Kind, sql: str, *, fits: bool) -> None:
    bench.source(HEAD)
    bench.rules = rules(fields={"v": Rule(kind=kind)})
    bench.job = job(bench.folder, {"v": "=" + sql})
    assert (not problems(bench)) is fits


def test_literal_of_wrong_kind_is_refused(bench: Bench) -> None:
    bench.source(HEAD)
    bench.rules = rules(fields={"v": Rule(kind=Kind.NUMBER), "s": Rule(kind=Kind.STRING)})
    bench.job = job(bench.folder, {"v": "12", "s": 12})
    assert [problem.code for problem in problems(bench)] == ["data.literal_kind"]


def test_misplaced_each_is_refused(bench: Bench) -> None:
    bench.source(HEAD)
    inner = Array((Each(Object((("x", Expression("id")),))),))
    wrong = (Each(Expression("id")), Literal("x"))
    bench.change(record=Object((("a", Array((Each(Object((("b", inner),))),))), ("c", Array(wrong)))))
    assert [problem.code for problem in problems(bench)] == ["data.each_in_each", "data.each_outside_list"]


def test_removal_with_column_outside_key_is_refused(bench: Bench) -> None:
    bench.source(HEAD)
    bench.change(removal=Removal(mode="delete", record=Object((("id", Expression("id")), ("n", Expression("name"))))))
    assert ["'name'" in problem.message for problem in problems(bench)] == [True]


def test_nested_record_is_refused_for_csv(bench: Bench) -> None:
    bench.source(HEAD)
    bench.rules = csv_rules()
    nested: dict[str, Any] = {"id": "=id", "o": {"x": "=name"}}
    bench.job = job(bench.folder, nested, target={})
    assert [problem.code for problem in problems(bench)] == ["data.nested"]


def test_missing_source_raises_source_error(bench: Bench) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        problems(bench)


def test_large_source_is_checked(bench: Bench) -> None:
    bench.change_source(path="source.parquet")
    pl.DataFrame({"id": range(2_000_000), "name": "n", "mail": "m"}).write_parquet(bench.folder / "source.parquet")
    assert problems(bench) == ()


@pytest.mark.parametrize("column", ["list", "span"])
def test_nested_column_is_refused_as_key_and_value(bench: Bench, column: str) -> None:
    frame = pl.DataFrame({"id": [1], "list": [[1]], "span": [timedelta(1)]})
    frame.write_parquet(bench.folder / "source.parquet")
    bench.job = job(bench.folder, {"v": "=" + column}, source={"path": "source.parquet", "key": ("id", column)})
    bench.change(send=Send(since=column))
    assert [problem.code for problem in problems(bench)] == ["data.key_kind", "data.unordered", "data.expression_kind"]
