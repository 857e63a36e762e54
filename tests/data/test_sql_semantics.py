"""Expressions give the results of PostgreSQL.

`sql_results.txt` holds expressions with their results in PostgreSQL over the row of `kit/sql_results.py`, as text
(`SELECT (expression)::text`, collation C, character types C.UTF-8, time zone UTC). `make test-servers` compares it with
a server. Generated expressions are compared with SQLite here, which agrees with PostgreSQL about them.
"""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchsync.core.mapping import Expression
from batchsync.data.mapping.evaluate import EXPRESSION_ERRORS
from batchsync.data.mapping.expressions import parse
from batchsync.data.sql.casts import to_text
from batchsync.data.sql.reference import functions
from batchsync.data.sql.values import Typed
from batchsync.errors import Problem
from kit.sql_results import DIFFERENT, RESULTS, row

if TYPE_CHECKING:
    from batchsync.data.sql.catalog import Function


def result(sql: str, frame: pl.DataFrame) -> list[str | None] | None:
    """Return the results of an expression as text; None if it is refused or fails."""
    parsed = parse(Expression(sql), dict(frame.schema))
    if isinstance(parsed, Problem):
        return None
    try:
        values = frame.with_columns(parsed[0].alias("result"))
    except EXPRESSION_ERRORS:
        return None
    text = to_text(Typed(pl.col("result"), values.schema["result"])).expr
    return values.select(text.alias("result"))["result"].to_list()


@pytest.mark.parametrize(("sql", "expected"), (RESULTS | DIFFERENT).items())
def test_result_is_that_of_postgresql(sql: str, expected: str) -> None:
    found = result(sql, row())

    assert found == (None if expected == "ERROR" else [None if expected == "NULL" else expected])


@pytest.mark.parametrize("item", functions(), ids=lambda item: item.name)
def test_example_of_function_gives_its_documented_result(item: Function) -> None:
    assert item.summary.endswith(".")
    assert result(item.example, row()) == [item.result]


#: What PostgreSQL and SQLite compute alike, by type: `#`, `$` and `?` stand for numbers, texts and conditions.
LEAVES = {
    "#": ["i", "j", "n", "2", "7", "(-3)"],
    "$": ["t", "u", "v", "'b'", "'It''s'", "''"],
    "?": ["i < 2", "t = u", "u IS NULL", "n IN (1, 2, NULL)", "v LIKE '%b_'"],
}
TEMPLATES = {
    "#": [
        *("(#) + (#)", "(#) - (#)", "(#) * (#)", "(#) / 2", "(#) / (-3)", "(#) % 7", "(#) % (-3)", "abs(#)", "-(#)"),
        *("coalesce(#, #)", "nullif(#, #)", "CASE WHEN ? THEN # ELSE # END", "CASE # WHEN # THEN # END", "length($)"),
    ],
    "$": [
        *("($) || ($)", "upper($)", "trim($)", "replace($, 'a', 'xy')", "substr($, 2, 3)", "substr($, 1, 1)"),
        *("coalesce($, $)", "nullif($, $)", "CASE $ WHEN $ THEN $ END", "CASE WHEN ? THEN $ ELSE $ END"),
        *("CAST((#) AS TEXT)", "ltrim($, 'ab')", "rtrim($)"),
    ],
    "?": [
        *(f"(#) {sign} (#)" for sign in ("=", "<>", "<", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM")),
        *(f"($) {sign} ($)" for sign in ("=", "<>", "<=", ">", "IS DISTINCT FROM", "IS NOT DISTINCT FROM")),
        *("(#) IS NULL", "($) IS NOT NULL", "(#) IN (1, #, #)", "($) NOT IN ($, 'b')", "(#) BETWEEN (#) AND (#)"),
        *("($) LIKE 'a%'", "($) NOT LIKE '_b%'", "(?) AND (?)", "(?) OR (?)", "NOT (?)", "(?) IS TRUE"),
        *("(?) IS NOT TRUE", "(?) IS FALSE", "(?) IS NOT FALSE", "(?) IS NULL"),
    ],
}


@st.composite
def expressions(draw: st.DrawFn) -> str:
    """Draw an expression by replacing marks with parts."""
    sql = draw(st.sampled_from("#$?"))
    for depth in range(4):
        parts = re.split(r"([#$?])", sql)
        for index in range(1, len(parts), 2):
            choices = TEMPLATES[parts[index]] if depth < 3 and draw(st.integers(0, 2)) else LEAVES[parts[index]]
            parts[index] = f"({draw(st.sampled_from(choices))})"
        sql = "".join(parts)
    return sql


SMALL = st.integers(-9, 9) | st.none()
SHORT = st.text("ab B'%_", max_size=4) | st.none()


@settings(max_examples=150, deadline=None)
@given(
    sql=expressions(),
    rows=st.lists(st.tuples(SMALL, SMALL, SMALL, SHORT, SHORT, SHORT), min_size=1, max_size=5),
)
def test_generated_expression_gives_the_results_of_sqlite(sql: str, rows: list[tuple[object, ...]]) -> None:
    names = ["i", "j", "n", "t", "u", "v"]
    frame = pl.DataFrame(
        rows, schema=dict.fromkeys(names[:3], pl.Int64) | dict.fromkeys(names[3:], pl.String), orient="row"
    )
    database = sqlite3.connect(":memory:")
    database.execute("PRAGMA case_sensitive_like = ON")
    database.execute("CREATE TABLE source (i INTEGER, j INTEGER, n INTEGER, t TEXT, u TEXT, v TEXT)")
    database.executemany("INSERT INTO source VALUES (?, ?, ?, ?, ?, ?)", rows)
    expected = [item for (item,) in database.execute(f"SELECT {sql} FROM source ORDER BY rowid")]  # noqa: S608 - generated
    database.close()
    parsed = parse(Expression(sql), dict(frame.schema))

    assert not isinstance(parsed, Problem), sql
    found = frame.with_columns(parsed[0].alias("result"))["result"].to_list()
    assert found == expected, sql
