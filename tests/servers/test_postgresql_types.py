"""Types of PostgreSQL: each value arrives as the server writes it, or is refused with its column and row."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from batchsync.core.job import Source
from batchsync.core.query import Database, Query, Server
from batchsync.data.row.open_source import open_source
from batchsync.source import fetch

if TYPE_CHECKING:
    from pathlib import Path

    from kit.postgresql import Cluster

#: Values of each type: extremes, and what is easily changed on the way.
VALUES: dict[str, list[str]] = {
    "boolean": ["true", "false"],
    "smallint": ["-32768", "32767"],
    "integer": ["-2147483648", "2147483647"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "real": ["0.1", "19.99", "-3.4028235e38", "1e-45", "NaN", "Infinity", "-0"],
    "double precision": ["0.1", "-1.7976931348623157e308", "5e-324", "NaN", "-Infinity", "0.30000000000000004"],
    "numeric": ["0.123456789099", "12345678901234567890.1", "NaN", "Infinity", "1e-40", "1e40", "1.500", "-0.0"],
    "numeric(10,2)": ["0", "-99999999.99", "12.50"],
    "numeric(38,10)": ["9999999999999999999999999999.9999999999", "-0.0000000001"],
    "numeric(38,0)": ["99999999999999999999999999999999999999"],
    "numeric(60,30)": ["999999999999999999999999999999.999999999999999999999999999999", "NaN"],
    "numeric(3,-2)": ["12300"],
    "numeric(2,4)": ["0.0012"],
    "text": ["", " a ", "Zoë 🚲", "NULL", "a\nb\tc", "\\N", "\\.", '"q"', "a\r\nb", "x" * 100_000, "\x01\x7f"],
    "varchar(5)": ["", "Zoë"],
    "char(5)": ["a", "", "abcde"],
    '"char"': ["a", "", "\\377"],
    "name": ["a"],
    "bytea": ["\\x", "\\x00ff5c", "a\\\\b"],
    "date": ["0001-01-01", "9999-12-31", "1970-01-01", "1582-10-10", "2000-02-29"],
    "time": ["00:00:00", "23:59:59.999999", "12:30:00.000001"],
    "time(0)": ["23:59:59"],
    "timetz": ["24:00:00+15:59:59", "00:00:00-15:59", "12:00:00.000001+02"],
    "timestamp": ["0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "1969-12-31 23:59:59.999999"],
    "timestamptz": ["0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00", "2024-03-31 02:30:00 Europe/Berlin"],
    "interval": ["178000000 years", "1 mon -1 day 00:00:00.000001", "-00:00:01", "0"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "json": ['{"a": 12345678901234567890.10, "a": null}', "  [1 , 2]", '"\\u00e9"'],
    "jsonb": ['{"b": 1, "a": 12345678901234567890.10}', "null", '"x"'],
    "xml": ["<a b='1'>x</a>", "<?xml version='1.0'?><a/>"],
    "inet": ["192.168.0.1", "::1/64", "10.0.0.0/8"],
    "cidr": ["10.0.0.0/8", "2001:db8::/32"],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "bit(3)": ["101"],
    "bit varying": ["", "1011"],
    "money": ["-92233720368547758.08", "12.5"],
    "oid": ["4294967295", "0"],
    "xid": ["4294967295"],
    "regclass": ["pg_class"],
    "pg_lsn": ["FFFFFFFF/FFFFFFFF"],
    "tid": ["(4294967295,65535)"],
    "int4range": ["[1,5)", "empty", "(,)"],
    "numrange": ["[1.10,)"],
    "tstzrange": ["[2024-01-01 00:00+00,infinity)"],
    "daterange": ["[-infinity,2024-01-01)"],
    "int4multirange": ["{[1,2),[5,9)}"],
    "point": ["(0.1,-1e300)"],
    "line": ["{1,2,3}"],
    "lseg": ["[(0,0),(1,1)]"],
    "box": ["(1,1),(0,0)"],
    "path": ["((0,0),(1,1))", "[(0,0)]"],
    "polygon": ["((0,0),(1,1))"],
    "circle": ["<(0,0),1>"],
    "tsvector": ["'a':1A 'b'"],
    "tsquery": ["'a' & !'b'"],
    "jsonpath": ['$."a"[*]'],
    "pg_snapshot": ["10:20:10,14"],
    "hstore": ['"a"=>NULL, "b"=>"x\\"y"'],
    "citext": ["Zoë"],
    "mood": ["sad", "véry happy"],
    "price": ["12.50", "-999.99"],
    "label": ["x"],
    "pair": ['(1,"a b")', "(,)"],
    "ltree_like": ['("(1,x)",2)'],
    "date[]": ["{2024-01-01,infinity}", "{}"],
    "numeric[]": ["{1.10,NaN,NULL}"],
    "uuid[]": ["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"],
    "mood[]": ["{sad}"],
    "jsonb[]": ['{"{\\"a\\": 1}"}'],
    "timestamp[]": ["{2024-01-01 00:00:00}"],
    "pair[]": ['{"(1,a)"}'],
}
_SETUP = """
CREATE EXTENSION hstore; CREATE EXTENSION citext;
CREATE TYPE mood AS ENUM ('sad', 'véry happy');
CREATE DOMAIN price AS numeric(5,2);
CREATE DOMAIN label AS text CHECK (VALUE <> '');
CREATE TYPE pair AS (a int, b text);
CREATE TYPE ltree_like AS (p pair, n int);
"""


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@pytest.fixture(scope="module")
def typed(cluster: Cluster) -> Cluster:
    """A database with a table for each type, which has a null, too."""
    cluster.execute("CREATE DATABASE typed")
    statements = [_SETUP]
    for number, (kind, values) in enumerate(VALUES.items()):
        rows = ", ".join(f"({n}, {_literal(value)}::{kind})" for n, value in enumerate(values))
        statements.append(f"CREATE TABLE t{number} (n int, c {kind}); INSERT INTO t{number} VALUES {rows}, (-1, NULL);")
    cluster.execute("\n".join(statements), dbname="typed")
    return cluster


def _database(cluster: Cluster, kind: str = "postgres") -> Database:
    server = Server(host=str(cluster.folder), port=cluster.port, dbname="typed", user="test")
    return Database(name="warehouse", kind=kind, server=server)


def _source(cluster: Cluster, sql: str, kind: str = "postgres") -> Source:
    query = Query(database=_database(cluster, kind), sql=sql)
    return Source(path=query.title, folder="/", key=("n",), query=query)


def _landed(source: Source, into: Path, **options: Any) -> pl.DataFrame:
    opened = open_source(fetch(source, into, **options))
    return pl.concat([pl.read_parquet(file) for file in opened.files]).cast(dict(opened.schema))


def _server_text(value: Any) -> str | None:
    """Return a value as PostgreSQL writes it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.date | dt.time):
        micros = f".{value:%f}".rstrip("0") if getattr(value, "microsecond", 0) else ""
        day = f"{value.year:04}-{value:%m-%d}" if isinstance(value, dt.date) else ""
        time = "" if type(value) is dt.date else f"{value:%H:%M:%S}{micros}"
        return f"{day} {time}".strip() + ("+00" if getattr(value, "tzinfo", None) else "")
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("way", ["postgres", "redshift"])
def test_every_value_is_that_of_the_server(typed: Cluster, tmp_path: Path, kind: str, way: str) -> None:
    number = list(VALUES).index(kind)
    # The table of its own is read by its columns as they are; the texts are the server's.
    found = _landed(_source(typed, f"SELECT n, c FROM t{number} ORDER BY n", way), tmp_path / "into")
    text = "rpad(c::text, 5)" if kind == "char(5)" else "c::text"  # the cast removes the padding
    rows = f"SELECT coalesce('=' || {text}, 'NULL') FROM t{number} ORDER BY n"
    texts = typed.execute(rows, dbname="typed").split("\x1e")
    expected = [text[1:] if text.startswith("=") else None for text in texts]
    if kind in {"real", "double precision"}:
        width = pl.Float32 if kind == "real" else pl.Float64
        assert [repr(item) for item in found["c"].cast(pl.Float64)] == [
            repr(item) for item in pl.Series(expected).cast(width).cast(pl.Float64)
        ]
    else:
        assert [_server_text(item) for item in found["c"]] == expected
    assert found["n"].to_list() == list(range(-1, len(VALUES[kind])))
