"""Casts that cannot be computed, or whose result is misleading, are refused with an alternative."""

from __future__ import annotations

import re

import polars as pl
import pytest
from data_kit import Bench, job

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
    "sql",
    [
        "CAST(d AS DATE)",
        "TRY_CAST(d AS DATE)",
        "d::date",
        "CAST(trim(d) AS DATE)",
        "CAST(CAST(n AS VARCHAR) AS DATE)",
        "CAST(COALESCE(d, '2020-01-01') AS TIMESTAMP)",
        "date_part('year', d::date)",
        "CASE WHEN CAST(d AS BOOLEAN) THEN 1 END",
        "d::timestamptz",
        "CAST(d AS TIMESTAMP(3))",
        "TRY_CAST(d AS BOOLEAN)",
        "CAST('true' AS BOOLEAN)",
        "CAST(d AS TIME)",
        "CAST(kind AS DATE)",
        "s.d::date",
        "CAST(tags[1] AS DATE)",
        "CAST(z AS DATE)",
        "z::date",
        "u::date",
        "s.z::date",
        "CAST(COALESCE(z, z) AS DATE)",
        "CAST(z AS TIME)",
    ],
)
def test_misleading_cast_is_refused_and_suggestion_parses(sql: str) -> None:
    found = parse(Expression(sql, PLACE), COLUMNS)
    assert isinstance(found, Problem)
    assert (found.code, found.line) == ("data.expression_cast", 3)
    column = "z" if "zone" in found.message else "d"
    advised = re.findall(
        r"(?:DATE|STRPTIME|TIME)\((?:STRFTIME\()?x, '[^']*'(?:\), '[^']*')?\)|CASE .* END|CAST\(CAST.*\)",
        found.suggestion,
    )
    assert advised
    for item in advised:
        assert not isinstance(parse(Expression(re.sub(r"\bx\b", column, item)), COLUMNS), Problem), item


@pytest.mark.parametrize("sql", ["CAST(day AS BOOLEAN)", "CAST(tags AS VARCHAR)"])
def test_impossible_cast_is_refused(sql: str) -> None:
    found = parse(Expression(sql, PLACE), COLUMNS)
    assert isinstance(found, Problem)
    assert "cannot be computed" in found.message


@pytest.mark.parametrize(
    "sql",
    [
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
        "EXTRACT(year FROM z)",
    ],
)
def test_well_defined_cast_is_accepted(sql: str) -> None:
    assert not isinstance(parse(Expression(sql, PLACE), COLUMNS), Problem)


def test_deeply_nested_expression_is_refused() -> None:
    found = parse(Expression("CASE d" + "".join(f" WHEN '{n}' THEN 'x'" for n in range(300)) + " END", PLACE), COLUMNS)
    assert isinstance(found, Problem)
    assert found.code == "data.expression_depth"


def test_date_without_format_is_refused_with_suggestion() -> None:
    found = parse(Expression("DATE(d)", PLACE), COLUMNS)
    assert isinstance(found, Problem)
    assert "DATE(x, '%Y-%m-%d')" in found.suggestion


def test_date_parsed_as_suggested_is_sent(bench: Bench) -> None:
    bench.job = job(
        bench.folder, {"id": "=id", "v": "=DATE(name, '%Y-%m-%d')", "w": "=(mail = 'Y') IS DISTINCT FROM TRUE"}
    )
    bench.source("id,name,mail\n1,1985-01-02,Y\n2,1990-05-06,\n")
    values = [record["value"] for record in bench.records()]
    assert [(value["v"], value["w"]) for value in values] == [("1985-01-02", False), ("1990-05-06", True)]
