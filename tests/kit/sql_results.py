"""Golden results of expressions: those of PostgreSQL over one row, and where batchsync gives others.

`PYTHONPATH=tests python -m kit.sql_results` writes the file of results anew from a server of this machine. A new line
of it needs no more than the expression.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from kit import postgresql

if TYPE_CHECKING:
    from kit.postgresql import Database

FILE = Path(__file__).parents[1] / "data" / "sql_results.txt"
ROW: dict[str, tuple[pl.DataType, object]] = {
    "t": (pl.String(), "Anna"),
    "e": (pl.String(), ""),
    "nul": (pl.String(), None),
    "num": (pl.String(), "42"),
    "bad": (pl.String(), "4x"),
    "i": (pl.Int64(), 7),
    "j": (pl.Int64(), -3),
    "s": (pl.Int32(), 5),
    "big": (pl.Int64(), 2**63 - 1),
    "inull": (pl.Int64(), None),
    "z0": (pl.Int64(), 0),
    "f": (pl.Float64(), 2.5),
    "g": (pl.Float64(), 0.1),
    "d": (pl.Decimal(10, 3), Decimal("2.345")),
    "d2": (pl.Decimal(10, 2), Decimal("-19.99")),
    "b": (pl.Boolean(), True),
    "bn": (pl.Boolean(), None),
    "b0": (pl.Boolean(), False),
    "day": (pl.Date(), date(2024, 1, 31)),
    "ts": (pl.Datetime("us"), datetime(2024, 2, 29, 13, 45, 6, 500_000)),  # noqa: DTZ001 - a timestamp without a zone
    "tz": (pl.Datetime("us", "UTC"), datetime(2024, 2, 29, 23, 30, tzinfo=UTC)),
    "u": (pl.String(), "Zo\u00eb \u0141ukasz"),
    "js": (pl.String(), '{"a": {"b": [1, "x"]}, "c": null, "n": 1.5}'),
}

#: Results of batchsync that differ from those of PostgreSQL; docs/expressions.md lists the differences.
DIFFERENT = {
    "d ^ 2": "5.499025",
    "d2 / 4": "-4.9975",
    "1 / 3.0": "0.3333333333333333",
    "CASE WHEN i = 7 THEN 1 ELSE 2.5 END": "1.0",
    "CAST('1.50' AS NUMERIC)": "1.5",
    "upper(u)": "ZO\u00cb \u0141UKASZ",
    "js::json -> 'a' ->> 'b'": '[1,"x"]',
    "s + 2147483647": "2147483652",
    "substr(t, 1, inull)": "NULL",
    "substr(t, inull, 1)": "NULL",
    "left(t, inull)": "NULL",
    "date_trunc('month', day)": "2024-01-01 00:00:00",
    "to_timestamp(i * 100000000000)": "ERROR",
    "encode('a\\9'::bytea, 'hex')": "615c39",
    "octet_length(CAST('x' AS CHAR(3)))": "1",
    "CAST(CAST('1e300' AS DOUBLE PRECISION) * CAST('1e300' AS DOUBLE PRECISION) AS TEXT)": "Infinity",
    "ceil(i) / 2": "3",
    "round(i, 2) / 2": "3",
    "EXTRACT(year FROM day) / 5": "404",
    "date_part('year', day) / 5": "404",
    "power(i, 2) / 2": "24",
    "sign(j) / 2": "0",
    "div(i, 2) / 2": "1",
    "CASE WHEN b THEN d2 ELSE d END || 'x'": "-19.990x",
    "timestamp '2150-07-05 00:00:00' AT TIME ZONE 'America/New_York'": "2150-07-05 05:00:00+00",
    "CAST(CAST(1234567 AS REAL) AS TEXT)": "1234567",
    "CAST('2024-01-31 10:20+05:30' AS TIMESTAMP)": "ERROR",
    "regexp_count('x', 'x*')": "1",
}
#: Results in PostgreSQL by expression, as text; `NULL` for null, `ERROR` if it fails.
RESULTS = {
    sql: result
    for sql, _, result in (line.rpartition(" => ") for line in FILE.read_text(encoding="utf-8").splitlines())
}


@lru_cache(maxsize=1)
def row() -> pl.DataFrame:
    schema = {name: kind for name, (kind, _) in ROW.items()}
    return pl.DataFrame({name: [value] for name, (_, value) in ROW.items()}, schema=schema)


def in_postgresql(database: Database, expressions: list[str]) -> dict[str, str]:
    """Return the results of expressions over the row in a server, in the notation of the file."""
    found = database.results(expressions, row())
    return {
        sql: "ERROR" if value.failed else "NULL" if value.text is None else value.text
        for sql, [value] in zip(expressions, found, strict=True)
    }


def write() -> None:
    """Write the file anew, with the results of a server of this machine."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    expressions = list(dict.fromkeys(line.rpartition(" => ")[0] or line for line in lines))
    with postgresql.database() as database:
        found = in_postgresql(database, expressions)
    FILE.write_text("".join(f"{sql} => {result}\n" for sql, result in found.items()), encoding="utf-8")


if __name__ == "__main__":
    write()
