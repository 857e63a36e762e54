"""A literal that equals a column's name is refused unless it is explicit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from data_kit import ENGINE, HEAD, Bench, job, node

from batchsync.core.job import Join, Removal
from batchsync.core.mapping import Array, Each, Literal, Object, Place
from batchsync.errors import Problem, SpecError


def problems(bench: Bench) -> tuple[Problem, ...]:
    return ENGINE.check(bench.job, bench.rules)


def use_literal(bench: Bench, value: str | float, *, explicit: bool = False) -> None:
    literal = Literal(value, Place("jobs.yaml", 7, 9), explicit=explicit)
    bench.change(record=Object((("id", node("=id")), ("v", literal))))


@pytest.mark.parametrize(
    ("column", "value", "fix"),
    [
        ("mail", "mail", "Write =mail for"),
        ("First Name", "First Name", 'Write ="First Name" for'),
        ("First Name", '"First Name"', 'Write ="First Name" for'),
        ("order", "order", 'Write ="order" for'),
    ],
)
def test_literal_that_equals_a_column_is_refused(bench: Bench, column: str, value: str, fix: str) -> None:
    bench.source(f"id,{column}\n")
    use_literal(bench, value)
    [found] = problems(bench)
    assert (found.code, found.line, found.column) == ("data.literal_names_column", 7, 9)
    assert found.message.startswith(f"v: {value!r} is the name of a column")
    assert fix in found.suggestion
    assert f"== {value}" in found.suggestion


@pytest.mark.parametrize("value", ["Mail", "mail ", "mails", '"', "", 5, True])
def test_literal_that_equals_no_column_is_accepted(bench: Bench, value: str | float) -> None:
    bench.source(HEAD)
    use_literal(bench, value)
    assert problems(bench) == ()


def test_explicit_literal_that_equals_a_column_is_sent(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n")
    use_literal(bench, "mail", explicit=True)
    assert problems(bench) == ()
    assert [record["value"]["v"] for record in bench.records()] == ["mail"]


def test_literal_in_lists_and_each_is_refused(bench: Bench) -> None:
    bench.source(HEAD)
    inner = Object((("p", Literal("name")), ("id", node("=mail"))))
    bench.change(record=Object((("a", Array((Literal("x"), Literal("mail")))), ("b", Array((Each(inner),))))))
    assert [problem.message.split(":")[0] for problem in problems(bench)] == ["a[1]", "b[].p"]


def test_literal_that_equals_a_joined_column_is_refused(bench: Bench) -> None:
    bench.source(HEAD)
    bench.source("id,segment\n", name="s.csv")
    bench.change_source(joins=(Join(path="s.csv", on=(("id", "id"),)),))
    use_literal(bench, "segment")
    assert [problem.code for problem in problems(bench)] == ["data.literal_names_column"]


def test_literal_in_a_removal_is_refused_once(bench: Bench) -> None:
    bench.source(HEAD)
    bench.job = job(bench.folder, {"id": "=id"})
    literal = Literal("mail", Place("jobs.yaml", 9, 3))
    removal = Removal(mode="delete", record=Object((("id", node("=id")), ("v", literal))))
    bench.job = replace(bench.job, removal=removal)
    assert [(problem.code, problem.line) for problem in problems(bench)] == [("data.literal_names_column", 9)]
    bench.job = replace(bench.job, record=removal.record)
    assert len(problems(bench)) == 1


def test_literal_that_equals_a_column_is_refused_before_a_row_is_sent(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n")
    use_literal(bench, "mail")
    with pytest.raises(SpecError):
        bench.compare()


@pytest.mark.parametrize(
    "value",
    [
        "lower(mail)",
        "COALESCE(name, 'x')",
        " upper( name ) ",
        "CAST(name AS DATE)",
        "CAST(name AS INT)::text",
        "sum(amount)",
        "CASE WHEN name = 'a' THEN 1 ELSE 2 END",
        "name || '-' || mail",
        "substr(name, 1, 3)",
    ],
)
def test_literal_that_looks_like_an_expression_is_refused(bench: Bench, value: str) -> None:
    bench.source(HEAD)
    use_literal(bench, value)
    [found] = problems(bench)
    assert (found.code, found.line, found.column) == ("data.literal_looks_like_expression", 7, 9)
    assert f"Write ={value.strip()} for its value, or == {value} for the string." in found.suggestion
    use_literal(bench, value, explicit=True)
    assert problems(bench) == ()


@pytest.mark.parametrize(
    "value",
    [
        "Smith (John)",
        "left (side)",
        "f(x)",
        "Acme(R)",
        "lower(",
        "a | b",
        "||",
        "in case of fire",
        "the end",
        "now (2)",
    ],
)
def test_literal_with_parentheses_or_words_is_accepted(bench: Bench, value: str) -> None:
    bench.source(HEAD)
    use_literal(bench, value)
    assert problems(bench) == ()
