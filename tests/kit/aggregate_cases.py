"""Aggregates over the rows of three keys, with the results of PostgreSQL."""

from __future__ import annotations

from typing import Any

HEAD = "no,line,sku,qty,price,day,mail\n"
ROWS = (
    "A,1,s1,2,9.99,2025-01-31,old@x.org",
    "A,2,s2,1,0.01,2025-03-01,new@x.org",
    "A,10,s2,,5,2025-02-28,",
    "B,1,s3,3,1.10,2025-02-01,b@x.org",
    "C,1,,,,,",
)
#: Expressions with their result by key.
CASES: list[tuple[str, dict[str, Any]]] = [
    ("sum(CAST(qty AS INTEGER))", {"A": 3, "B": 3, "C": None}),
    ("sum(CAST(price AS NUMERIC(12, 2)))", {"A": 15, "B": 1.1, "C": None}),
    ("sum(CAST(price AS NUMERIC(12, 2)) * CAST(qty AS INTEGER))", {"A": 19.99, "B": 3.3, "C": None}),
    ("sum(CAST(price AS NUMERIC) * CAST(qty AS NUMERIC))", {"A": 19.99, "B": 3.3, "C": None}),
    ("coalesce(sum(CAST(qty AS BIGINT)), 0)", {"A": 3, "B": 3, "C": 0}),
    ("sum(CAST(qty AS BIGINT)) / 2", {"A": 1.5, "B": 1.5, "C": None}),
    ("sum(CAST(qty AS INTEGER)) / 2", {"A": 1, "B": 1, "C": None}),
    ("avg(CAST(qty AS INTEGER))", {"A": 1.5, "B": 3, "C": None}),
    ("round(avg(CAST(price AS NUMERIC)), 3)", {"A": 5, "B": 1.1, "C": None}),
    ("sum(DISTINCT CAST(line AS INTEGER) % 2)", {"A": 1, "B": 1, "C": 1}),
    ("count(*)", {"A": 3, "B": 1, "C": 1}),
    ("count(qty)", {"A": 2, "B": 1, "C": 0}),
    ("count(DISTINCT sku)", {"A": 2, "B": 1, "C": 0}),
    ("count(*) FILTER (WHERE sku = 's2')", {"A": 2, "B": 0, "C": 0}),
    ("sum(CAST(qty AS INTEGER)) FILTER (WHERE sku = 's1')", {"A": 2, "B": None, "C": None}),
    ("min(day)", {"A": "2025-01-31", "B": "2025-02-01", "C": None}),
    ("max(CAST(day AS DATE))", {"A": "2025-03-01", "B": "2025-02-01", "C": None}),
    ("max(CAST(line AS INTEGER))", {"A": 10, "B": 1, "C": 1}),
    ("max(CAST(line AS TEXT))", {"A": "2", "B": "1", "C": "1"}),
    ("bool_or(CAST(qty AS INTEGER) > 1)", {"A": True, "B": True, "C": None}),
    ("bool_and(CAST(qty AS INTEGER) > 1)", {"A": False, "B": True, "C": None}),
    ("every(mail IS NOT NULL)", {"A": False, "B": True, "C": False}),
    ("string_agg(sku, '-' ORDER BY CAST(line AS INTEGER))", {"A": "s1-s2-s2", "B": "s3", "C": None}),
    ("string_agg(DISTINCT sku, ', ')", {"A": "s1, s2", "B": "s3", "C": None}),
    ("string_agg(DISTINCT sku, '' ORDER BY sku DESC)", {"A": "s2s1", "B": "s3", "C": None}),
    ("string_agg(line, '|' ORDER BY line DESC)", {"A": "2|10|1", "B": "1", "C": "1"}),
    ("first(mail ORDER BY day DESC)", {"A": "new@x.org", "B": "b@x.org", "C": None}),
    ("first(mail ORDER BY CAST(line AS INTEGER) DESC)", {"A": None, "B": "b@x.org", "C": None}),
    (
        "first(mail ORDER BY CAST(line AS INTEGER) DESC) FILTER (WHERE mail IS NOT NULL)",
        {"A": "new@x.org", "B": "b@x.org", "C": None},
    ),
    ("first(sku ORDER BY qty NULLS FIRST)", {"A": "s2", "B": "s3", "C": None}),
    ("first(sku ORDER BY CAST(qty AS INTEGER) DESC)", {"A": "s2", "B": "s3", "C": None}),
    ("first(sku ORDER BY CAST(qty AS INTEGER) DESC NULLS LAST)", {"A": "s1", "B": "s3", "C": None}),
    ("CASE WHEN count(*) > 1 THEN 'many' ELSE 'one' END", {"A": "many", "B": "one", "C": "one"}),
    ("no || '-' || count(*)", {"A": "A-3", "B": "B-1", "C": "C-1"}),
    ("sum(length(sku)) + max(length(sku))", {"A": 8, "B": 4, "C": None}),
]
