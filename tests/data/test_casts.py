"""Casts that cannot be computed, or whose result is misleading, are refused with an alternative."""

from __future__ import annotations

import re

import polars as pl
import pytest
from data_kit import Bench, invalid, job

from batchsync.core.mapping import Expression, Place
from batchsync.data.mapping.expressions import parse
from batchsync.errors import Problem

COLUMNS: dict[str, pl.DataType] = {
    "d": pl.String(),
    "n": pl.Int64(),
    "o": pl.Boolean(),
    "day": pl.Date(),
    "at": pl.Datetime("us"),
    "z": pl.Datetime("us", "Pacific/Auckland"),
    "u": pl.Datetime("ms", "UTC"),
    "tags": pl.List(pl.String()),
    "kind": pl.Categorical(),
    "s": pl.Struct({"d": pl.String(), "z": pl.Datetime("us", "UTC")}),
    "void": pl.Null(),
}
PLACE = Place("jobs.yaml", 3, 5)


@pytest.mark.parametrize(
    ("sql", "column"),
    [
        ("CAST(z AS DATE)", "z"),
        ("z::date", "z"),
        ("CAST(COALESCE(z, z) AS DATE)", "z"),
        ("CAST(z AS TIME)", "z"),
        ("EXTRACT(hour FROM z)", "z"),
        ("date_trunc('day', z)", "z"),
        ("to_char(z, 'DD')", "z"),
    ],
)
def test_day_or_hour_of_another_zone_is_refused_and_suggestions_parse(sql: str, column: str) -> None:
    found = parse(Expression(sql, PLACE), COLUMNS)
    assert isinstance(found, Problem)
    assert (found.code, found.line) == ("data.expression_cast", 3)
    advised = re.findall(r"x AT TIME ZONE '[A-Za-z/]+'", found.suggestion)
    assert len(advised) == 2
    for item in advised:
        changed = re.sub(rf"\b{column}\b", f"({item.replace('x', column)})", sql)
        assert not isinstance(parse(Expression(changed), COLUMNS), Problem), changed


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("CAST(day AS BOOLEAN)", "cannot be computed"),
        ("CAST(tags AS VARCHAR)", "cannot be computed"),
        ("CAST(n AS DATE)", "cannot be computed"),
        ("CAST(n AS JSON)", "is not supported"),
        ("CAST(d AS UUID)", "is not supported"),
        ("CAST(d AS VARCHR)", "is not supported"),
        ("CAST(d AS NUMERIC(40, 2))", "at most 38 digits"),
        ("CAST(at AS TIMESTAMP(3))", "is not supported"),
        ("CAST('2020-02-30' AS DATE)", "is no date"),
        ("CAST('true-ish' AS BOOLEAN)", "is no boolean"),
    ],
)
def test_impossible_cast_is_refused(sql: str, message: str) -> None:
    found = parse(Expression(sql, PLACE), COLUMNS)
    assert isinstance(found, Problem)
    assert message in found.message


@pytest.mark.parametrize(
    "sql",
    [
        "CAST(d AS DATE)",
        "TRY_CAST(d AS DATE)",
        "date_part('year', d::date)",
        "CAST(d AS TIMESTAMP)",
        "d::timestamptz",
        "CASE WHEN CAST(d AS BOOLEAN) THEN 1 END",
        "CAST(d AS TIME)",
        "CAST(kind AS DATE)",
        "s.d::date",
        "CAST(tags[1] AS DATE)",
        "u::date",
        "s.z::date",
        "DATE(d)",
        "CAST(d AS VARCHAR(3))",
        "d::char(2)",
        "DATE '2020-01-01'",
        "CAST('2020-01-01' AS DATE)",
        "CAST(at AS DATE)",
        "CAST(day AS TIMESTAMP)",
        "CAST(n AS BOOLEAN)",
        "CAST(z AS TIMESTAMP)",
        "CAST(CAST(z AS TIMESTAMP) AS DATE)",
        "CAST(NULL AS DATE)",
        "CAST(void AS DATE)",
        "CAST(d AS DECIMAL(10,2))",
        "CAST(z AS VARCHAR)",
        "CAST(kind AS VARCHAR)",
        "POSITION('a' IN d)",
        "EXTRACT(year FROM u)",
    ],
)
def test_well_defined_cast_is_accepted(sql: str) -> None:
    assert not isinstance(parse(Expression(sql, PLACE), COLUMNS), Problem)


def test_deeply_nested_expression_is_refused() -> None:
    found = parse(Expression("lower(" * 40 + "d" + ")" * 40, PLACE), COLUMNS)
    assert isinstance(found, Problem)
    assert found.code == "data.expression_depth"


@pytest.mark.parametrize(
    "sql",
    [
        " - ".join(["n"] * 1500),
        "d" + "::int::text" * 600,
        "n" + " IS NULL" * 800,
        "CASE" + "".join(f" WHEN n={n} THEN {n}" for n in range(400)) + " END",
        "CASE" + "".join(f" WHEN n={n} THEN CAST(d AS INT)" for n in range(100)) + " END",
        " AND ".join(f"CAST(d AS INT) <> {n}" for n in range(200)),
    ],
    ids=["differences", "casts", "tests", "branches", "casts in branches", "casts in conditions"],
)
def test_expression_that_polars_cannot_compute_in_time_is_refused(sql: str) -> None:
    found = parse(Expression(sql, PLACE), COLUMNS)
    assert isinstance(found, Problem)
    assert found.code == "data.expression_depth"
    assert found.suggestion


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (" || ".join(["d"] * 500), "x" * 500),
        ("CASE d" + "".join(f" WHEN 'v{n}' THEN {n}" for n in range(300)) + " WHEN 'x' THEN -1 END", -1),
        ("CASE" + "".join(f" WHEN n = {n} THEN {n}" for n in range(1000, 1250)) + " ELSE n END", 5),
        (" OR ".join(f"n = {n}" for n in range(500, -1, -1)), True),
        (" + ".join(["n"] * 150), 750),
        ("coalesce(" + ", ".join(["NULL"] * 500) + ", d)", "x"),
        ("d IN (" + ", ".join(f"'v{n}'" for n in range(600)) + ", 'x')", True),
    ],
    ids=["concatenations", "values", "conditions", "alternatives", "sums", "coalesce", "in"],
)
def test_long_expression_is_computed(sql: str, expected: object) -> None:
    parsed = parse(Expression(sql, PLACE), {"d": pl.String(), "n": pl.Int64()})
    assert not isinstance(parsed, Problem), parsed
    frame = pl.DataFrame({"d": ["x", None], "n": [5, 6]})
    assert frame.with_columns(parsed[0].alias("r"))["r"].to_list()[0] == expected


def test_date_parsed_as_suggested_is_sent(bench: Bench) -> None:
    bench.job = job(
        bench.folder, {"id": "=id", "v": "=DATE(name, '%Y-%m-%d')", "w": "=(mail = 'Y') IS DISTINCT FROM TRUE"}
    )
    bench.source("id,name,mail\n1,1985-01-02,Y\n2,1990-05-06,\n")
    values = [record["value"] for record in bench.records()]
    assert [(value["v"], value["w"]) for value in values] == [("1985-01-02", False), ("1990-05-06", True)]


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        ("CAST(name AS DATE)", ["1985-01-02", "1990-05-06"]),
        ("COALESCE(STRPTIME(name, '%d/%m/%Y'), STRPTIME(name, '%Y-%m-%d'))", ["1985-01-02T", "1990-05-06T"]),
        ("COALESCE(DATE(mail, '%Y'), DATE(name, '%Y-%m-%d'))", ["1985-01-02", "1990-05-06"]),
        ("CASE WHEN name LIKE '1985%' THEN CAST(mail AS INT) ELSE 0 END", ["7", "0"]),
        ("(mail = '7') IS NOT TRUE", ["False", "True"]),
        ("CAST(name AS VARCHAR(4))", ["1985", "1990"]),
    ],
)
def test_value_is_sent_as_postgresql_computes_it(bench: Bench, sql: str, values: list[str]) -> None:
    bench.job = job(bench.folder, {"id": "=id", "v": "=" + sql})
    bench.source("id,name,mail\n1,1985-01-02,7\n2,1990-05-06,\n")
    sent = [str(record["value"]["v"]) for record in bench.records()]
    assert [text.startswith(value) for text, value in zip(sent, values, strict=True)] == [True, True], sent


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("COALESCE(STRPTIME(name, '%d/%m/%Y'), STRPTIME(name, '%Y-%m-%d'))", "failed"),
        ("CAST(name AS DATE)", "text that is no ISO date"),
        ("CAST(name AS TIMESTAMP)", "text that is no ISO timestamp"),
        ("CAST(name AS NUMERIC(4, 2))", "failed"),
        ("7 / CAST(mail AS INT)", "division by zero"),
        ("9223372036854775807 + CASE WHEN mail = '0' THEN 1 ELSE -9 END", "i64 failed"),
    ],
)
def test_value_that_cannot_be_computed_makes_its_row_invalid(bench: Bench, sql: str, reason: str) -> None:
    bench.job = job(bench.folder, {"id": "=id", "v": "=" + sql})
    good = "12.5" if "NUMERIC" in sql else "1990-05-06"
    bench.source(f"id,name,mail\n1,secret,0\n2,{good},2\n3,,\n4,{good},1\n")
    found = invalid(bench.compare())
    assert [item.row for item in found] == [1]
    assert reason in found[0].reason
    assert "secret" not in found[0].reason


@pytest.mark.parametrize(
    ("sql", "near"),
    [("lowr(d)", "Did you mean lower?"), ("to_timestmp(d)", "to_timestamp"), ("pg_sleep(1)", "The functions are: abs")],
)
def test_unknown_function_is_answered_with_nearest_and_list(sql: str, near: str) -> None:
    found = parse(Expression(sql, PLACE), COLUMNS)
    assert isinstance(found, Problem)
    assert found.code == "data.expression_function"
    assert near in found.suggestion
    assert "split_part" in found.suggestion


@pytest.mark.parametrize(
    "sql",
    [
        "regexp_like(d, '(?=x)a')",
        "d ~ '(a)\\1'",
        "regexp_replace(d, 'a', 'b', 'q')",
        "n = 1 = o",
        "-n ^ 2",
        "d 'x'",
        "d LIKE n",
        "upper(n)",
        "n + d",
        "d = 5",
        "n = 'x'",
        "CASE WHEN n THEN 1 END",
        "CASE WHEN o THEN d ELSE n END",
        "lower(d, d)",
        "left(d)",
        "at - at",
        "interval '1 day'",
        "tags[n]",
        "s.unknown",
        "d.x",
        "n::json ->> 'a'",
        "d::json -> 'a'",
        "lower(DISTINCT d)",
        "count(*)",
        "to_char(at, 'YYYY Q')",
        "at AT TIME ZONE 'Nowhere'",
        "ARRAY[1, 2]",
        'd COLLATE "C"',
        "now()",
        "CURRENT_USER",
        "random()",
    ],
)
def test_expression_without_certain_meaning_is_refused_with_place(sql: str) -> None:
    found = parse(Expression(sql, PLACE), COLUMNS)
    assert isinstance(found, Problem)
    assert (found.file, found.line) == ("jobs.yaml", 3)
