"""Check of expressions by their tokens."""

from __future__ import annotations

import pytest

from batchsync.core.expression_text import DEPTH_MAX, LENGTH_MAX, objection_to

QUERY = "SELECT x FROM read_csv('http://localhost/t')"


@pytest.mark.parametrize(
    "sql",
    [
        QUERY,
        f"({QUERY})",
        f"email IN ({QUERY})",
        f"email in ({QUERY.lower()})",
        f"EXISTS ({QUERY})",
        f"email = ANY ({QUERY})",
        f"email > ALL({QUERY})",
        f"CASE WHEN a THEN CASE WHEN ({QUERY}) = 'a' THEN 1 END END",
        f"email IN (WITH t AS ({QUERY}) {QUERY})",
        "EXISTS (WITH t AS (TABLE u) TABLE t)",
        "WITH",
        "email IN (VALUES ('a'))",
        "email IN (FROM read_csv('t'))",
        "email IN ((FROM t))",
        "TRIM((FROM t))",
        "TRIM(FROM t)",
        "TRIM(a, FROM t)",
        "TRIM(a FROM b FROM t)",
        "TRIM(a FROM (FROM t))",
        "EXTRACT(year FROM (FROM t))",
        "a IS DISTINCT FROM (FROM t)",
        "a IS NOT DISTINCT FROM b FROM t",
        "a DISTINCT FROM b",
        "email FROM t",
        "COUNT(a FROM t)",
        "(TABLE t)",
        'EXISTS(UPDATE "t" SET a = 1)',
        "EXISTS(INSERT INTO t TABLE u)",
        "email IN (DELETE t)",
        "read_csv('http://localhost/t')",
        "READ_PARQUET ('t')",
        "scan_ndjson('t')",
        "email IN (SELECT\u00a0x\u2003FROM\u3000t)",
        "email IN (\u017fELECT x)",
    ],
)
def test_queries_and_table_functions_are_refused(sql: str) -> None:
    found = objection_to(sql)
    assert found is not None
    assert "source.join" in found.suggestion


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("email/**/", "comment (/*)"),
        ("email -- note", "comment (--)"),
        ("$$email$$", "$ outside of quotes"),
        ("email; email", "; outside of quotes"),
        ("`email`", "` outside of quotes"),
        ("email\\", "\\ outside of quotes"),
        ("a\u200bb", "U+200B outside of quotes"),
        ("SELECT\u200bx", "U+200B outside of quotes"),
        ("\u20ac", "\u20ac outside of quotes"),
        (f"x'\\'' || ({QUERY}) || '", "x' in an expression"),
        (f"1x'\\'' || ({QUERY}) || '", "1x' in an expression"),
        (f"e'\\'' || ({QUERY}) || '", "e' in an expression"),
        (f"U&'\\' || ({QUERY}) || '", "&' in an expression"),
        ('b"a"', 'b" in an expression'),
        ("'a'x'b'", "x' in an expression"),
        ("lower('a", "unclosed ' in the expression"),
        ('lower("a', 'unclosed " in the expression'),
        ("lower(a", "unclosed ( in the expression"),
        ("a)", "unmatched ) in the expression"),
        ("a[1", "unclosed [ in the expression"),
        ("(a[1)]", "unmatched ) in the expression"),
        ("", "empty expression after the ="),
        ("a" * (LENGTH_MAX + 1), "the expression has 8,001 characters, more than 8,000"),
    ],
)
def test_text_that_parsers_may_tokenize_differently_is_refused(sql: str, message: str) -> None:
    found = objection_to(sql)
    assert found is not None
    assert found.message.startswith(message)


@pytest.mark.parametrize(
    ("opening", "inner", "closing"),
    [
        ("(", "a", ")"),
        ("lower(", "a", ")"),
        ("CASE WHEN a THEN ", "1", " END"),
        ("NOT ", "a", ""),
        ("- ", "a", ""),
        ("a[", "1", "]"),
        ("(CASE WHEN ", "a", " THEN 1 END)"),
    ],
)
def test_depth_is_limited_before_the_parser(opening: str, inner: str, closing: str) -> None:
    marks = sum(opening.count(mark) for mark in ("(", "[", "CASE", "NOT", "-"))
    deepest = DEPTH_MAX // marks
    assert objection_to(opening * deepest + inner + closing * deepest) is None
    found = objection_to(opening * (deepest + 1) + inner + closing * (deepest + 1))
    assert found is not None
    assert (found.message, found.is_deep) == (f"the expression is nested more than {DEPTH_MAX} deep", True)


@pytest.mark.parametrize(
    "sql",
    [
        "email",
        '"select"',
        '"from" || "a""b"',
        "table",
        "update + 1",
        "(table IS NULL)",
        "x IN (update, delete)",
        "TRIM(BOTH ' ' FROM email)",
        "EXTRACT(DAY FROM DATE(TRIM(BOTH ' ' FROM d), '%Y'))",
        "SUBSTRING(email FROM 2 FOR 3)",
        "a IS DISTINCT FROM b AND c IS NOT DISTINCT FROM TRUE",
        "TRIM(a IS DISTINCT FROM b FROM c)",
        "CAST(x AS TIMESTAMP WITH TIME ZONE)",
        "'it''s SELECT x FROM y -- /* ; $ ${ ` \\'",
        "CASE WHEN a LIKE'%b' THEN'x' ELSE\"a\" END",
        "CAST(x AS CHARACTER VARYING)",
        "CAST(x AS DECIMAL(10,2))",
        "x::text",
        "(a IS NOT TRUE) AND b IS UNKNOWN",
        "CAST(x AS VARCHAR(3)) || x::char(2)",
        'CASE WHEN "end" THEN (CASE WHEN a THEN 1 END) END',
        "char IS NULL",
        "a ^@ 'b' AND n // 2 % 3 = .5e-3 AND a !~ 'b'",
        "ARRAY[1,2][1]",
        "s.field",
        "na\u00efve || Gro\u0308\u00dfe || \u540d\u524d || \u0928\u093e\u092e",
        "n@x || #y",
        "a\u00a0|| b",
        "x = TRUE AND y IS NOT NULL",
        "COALESCE(read_csv, scan_x, - -1)",
    ],
)
def test_expression_over_columns_is_accepted(sql: str) -> None:
    assert objection_to(sql) is None
