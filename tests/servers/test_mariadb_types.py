"""Every type of MariaDB with extreme values, compared cell by cell with the text of the server."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batchsync.core.job import Source
from batchsync.core.query import Database, Query, Server
from batchsync.data.row.open_source import open_source
from batchsync.errors import SourceError
from batchsync.source import describe_query, fetch
from kit import mariadb as kit

if TYPE_CHECKING:
    from pathlib import Path

#: Each type with values that are inserted, and the expression of the server that writes them.
TYPES: dict[str, tuple[str, list[str], str]] = {
    "tiny": ("TINYINT", ["-128", "127", "0"], "{}"),
    "tiny_one": ("TINYINT(1)", ["2", "-1", "1"], "{}"),
    "flag": ("BOOLEAN", ["TRUE", "FALSE", "127"], "{}"),
    "tiny_u": ("TINYINT UNSIGNED", ["255", "0", "128"], "{}"),
    "small": ("SMALLINT", ["-32768", "32767", "-1"], "{}"),
    "small_u": ("SMALLINT UNSIGNED", ["65535", "32768", "0"], "{}"),
    "medium": ("MEDIUMINT", ["-8388608", "8388607", "-1"], "{}"),
    "medium_u": ("MEDIUMINT UNSIGNED", ["16777215", "8388608", "0"], "{}"),
    "number": ("INT", ["-2147483648", "2147483647", "-1"], "{}"),
    "number_u": ("INT UNSIGNED", ["4294967295", "2147483648", "0"], "{}"),
    "big": ("BIGINT", ["-9223372036854775808", "9223372036854775807", "9007199254740993"], "{}"),
    "big_u": ("BIGINT UNSIGNED", ["18446744073709551615", "9223372036854775808", "0"], "{}"),
    "padded": ("INT(5) ZEROFILL", ["42", "0", "123456"], "CAST({} AS UNSIGNED)"),
    "year_": ("YEAR", ["1901", "2155", "2026"], "{}"),
    "money": ("DECIMAL(12,2)", ["-9999999999.99", "9999999999.99", "0.10"], "{}"),
    "money_u": ("DECIMAL(12,2) UNSIGNED", ["9999999999.99", "0", "1.5"], "{}"),
    "whole": ("DECIMAL(38,0)", ["-" + "9" * 38, "9" * 38, "1"], "{}"),
    "fraction": ("DECIMAL(38,38)", ["-0." + "9" * 38, "0." + "0" * 37 + "1", "0.5"], "{}"),
    "wide": ("DECIMAL(38,10)", ["-" + "9" * 28 + "." + "9" * 10, "1234567890.0123456789", "0"], "{}"),
    "widest": (
        "DECIMAL(65,30)",
        ["-" + "9" * 35 + "." + "9" * 30, "0." + "0" * 29 + "1", "12345678901234567890.1"],
        "{}",
    ),
    "single": ("FLOAT", ["16777215", "-3.4028235e38", "19.99"], "CAST({} AS DOUBLE)"),
    "double_": ("DOUBLE", ["0.123456789099", "-1.7976931348623157e308", "5e-324"], "{}"),
    "double_d": ("DOUBLE(10,3)", ["-1234567.891", "0.001", "0"], "{}"),
    "bit_one": ("BIT", ["b'1'", "b'0'", "1"], "{} + 0"),
    "bit_many": ("BIT(64)", ["18446744073709551615", "0", "9223372036854775808"], "{} + 0"),
    "bit_some": ("BIT(17)", ["131071", "256", "65536"], "{} + 0"),
    "day": ("DATE", ["'0001-01-01'", "'9999-12-31'", "'2024-02-29'"], "{}"),
    "moment": ("DATETIME", ["'0001-01-01 00:00:00'", "'9999-12-31 23:59:59'", "'2026-10-25 02:30:00'"], "{}"),
    "moment_6": ("DATETIME(6)", ["'9999-12-31 23:59:59.999999'", "'1969-12-31 23:59:59.000001'", "'2026-01-01'"], "{}"),
    "moment_3": (
        "DATETIME(3)",
        ["'2026-01-01 00:00:00.001'", "'1000-01-01 00:00:00.999'", "'2026-01-01 12:00:00'"],
        "{}",
    ),
    "stamp": ("TIMESTAMP NULL", ["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'2026-10-25 00:30:00'"], "{}"),
    "stamp_6": (
        "TIMESTAMP(6) NULL",
        ["'2038-01-19 03:14:07.999999'", "'1970-01-01 00:00:01.000001'", "'2026-01-01'"],
        "{}",
    ),
    "clock": ("TIME", ["'-838:59:59'", "'838:59:59'", "'00:00:00'"], "{}"),
    "clock_6": ("TIME(6)", ["'-838:59:59.999999'", "'00:00:00.000001'", "'-00:00:00.100000'"], "{}"),
    "clock_1": ("TIME(1)", ["'100:00:00.5'", "'23:59:59.9'", "'00:00:00'"], "{}"),
    "fixed": ("CHAR(20)", ["'a  '", "''", "'\u00fc\U0001f600'"], "{}"),
    "varied": (
        "VARCHAR(2000)",
        ["REPEAT('\U0001f600', 2000)", "' '", "CONCAT('a', CHAR(0), CHAR(9), CHAR(10), 'b')"],
        "{}",
    ),
    "latin": ("VARCHAR(20) CHARACTER SET latin1", ["'\u00fc\u20ac\u0178'", "''", "'\u00ff'"], "{}"),
    "greek": ("VARCHAR(20) CHARACTER SET greek", ["'\u03b1\u03c9'", "'x'", "''"], "{}"),
    "utf16_": ("VARCHAR(20) CHARACTER SET utf16", ["'\U0001f600'", "'x'", "''"], "{}"),
    "cp932_": ("VARCHAR(20) CHARACTER SET cp932", ["'\u65e5\u672c'", "'x'", "''"], "{}"),
    "bin": ("VARCHAR(20) COLLATE utf8mb4_bin", ["'\u00df'", "'A'", "'a'"], "{}"),
    "tinytext_": ("TINYTEXT", ["REPEAT('x', 255)", "''", "'1e5'"], "{}"),
    "text_": ("TEXT", ["REPEAT('\u00fc', 30000)", "'NULL'", "'\\\\N'"], "{}"),
    "mediumtext_": ("MEDIUMTEXT", ["REPEAT('x', 70000)", "''", "'y'"], "{}"),
    "longtext_": ("LONGTEXT", ["REPEAT('x', 16777216)", "'251'", "REPEAT('z', 251)"], "{}"),
    "json_": ("JSON", ['\'{"n": 12345678901234567890.10, "t": "\u00fc"}\'', "'[]'", "'null'"], "{}"),
    "choice": ("ENUM('a','\u00fc','')", ["'a'", "'\u00fc'", "''"], "{}"),
    "several": ("SET('a','b','c')", ["'a,c'", "''", "'a,b,c'"], "{}"),
    "id_": (
        "UUID",
        [
            "'123e4567-e89b-12d3-a456-426655440000'",
            "'00000000-0000-0000-0000-000000000000'",
            "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
        ],
        "{}",
    ),
    "address6": ("INET6", ["'2001:db8::ff00:42:8329'", "'::'", "'::ffff:192.0.2.128'"], "{}"),
    "address4": ("INET4", ["'192.0.2.1'", "'0.0.0.0'", "'255.255.255.255'"], "{}"),
}
REFUSED = {
    "BINARY(4)": ("binary", "HEX(...)"),
    "VARBINARY(4)": ("varbinary", "HEX(...)"),
    "TINYBLOB": ("blob", "HEX(...)"),
    "BLOB": ("blob", "HEX(...)"),
    "MEDIUMBLOB": ("blob", "HEX(...)"),
    "LONGBLOB": ("blob", "HEX(...)"),
    "POINT": ("geometry", "ST_AsText(...)"),
    "GEOMETRY": ("geometry", "ST_AsText(...)"),
}


def _database(server: kit.Server) -> Database:
    where = Server(host="127.0.0.1", port=server.port, dbname=kit.DATABASE, user=kit.USER)
    return Database(name="warehouse", kind="mariadb", server=where, statement_timeout=timedelta(seconds=60))


def _source(server: kit.Server, sql: str = "", table: tuple[str, ...] = ()) -> Source:
    query = Query(database=_database(server), sql=sql, table=table)
    return Source(path="warehouse: query", folder="/", key=("id",), query=query)


def _login(_: Database) -> dict[str, str]:
    return {"password": kit.PASSWORD}


def _read(source: Source, into: Path, **options: Any) -> pa.Table:
    landed = fetch(source, into, login=_login, **options)
    return pa.concat_tables([pq.read_table(part.path) for part in landed.parts])


def _texts(server: kit.Server, sql: str) -> list[tuple[str | None, ...]]:
    """Return the rows of a statement as the server writes them."""
    with closing(server.admin()) as connection, connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute(sql)
        return list(cursor.fetchall())


def _written(value: Any, kind: pa.DataType) -> str | None:
    """Return a value of Arrow as the server writes it."""
    if value is None or isinstance(value, str):
        return value
    if pa.types.is_decimal(kind):
        return f"{value:f}"
    if pa.types.is_timestamp(kind):
        return f"{value:%Y-%m-%d %H:%M:%S.%f}".rjust(26, "0")
    if pa.types.is_date(kind):
        return value.isoformat()
    return str(value)


def _same(found: str | None, expected: str | None, kind: pa.DataType) -> bool:
    """Return whether texts name the same value: floats in any spelling, fractions of seconds of any length."""
    if found is None or expected is None:
        return found is expected
    if pa.types.is_floating(kind):
        return float(found) == float(expected)
    if pa.types.is_timestamp(kind):
        return (
            found == f"{expected}.".ljust(20, ".").ljust(26, "0")[:26]
            if "." not in expected
            else found == expected.ljust(26, "0")
        )
    return found == expected


@pytest.fixture(scope="module")
def matrix(mariadb: kit.Server) -> kit.Server:
    columns = ", ".join(f"`{name}` {declared}" for name, (declared, _, _) in TYPES.items())
    mariadb.execute(f"CREATE TABLE matrix (id INT PRIMARY KEY, {columns}) ROW_FORMAT=DYNAMIC")
    for row in range(3):
        values = ", ".join(values[row] for _, values, _ in TYPES.values())
        mariadb.execute("SET time_zone = '+00:00'", f"INSERT INTO matrix VALUES ({row}, {values})")
    mariadb.execute("INSERT INTO matrix (id) VALUES (3)")
    return mariadb


def test_every_value_of_every_type_is_that_of_the_server(matrix: kit.Server, tmp_path: Path) -> None:
    table = _read(_source(matrix, "SELECT * FROM matrix ORDER BY id"), tmp_path)
    written = ", ".join(f"CAST({text.format(f'`{name}`')} AS CHAR)" for name, (_, _, text) in TYPES.items())
    expected = _texts(matrix, f"SELECT {written} FROM matrix ORDER BY id")
    assert table.column("id").to_pylist() == [0, 1, 2, 3]
    different = []
    for number, name in enumerate(TYPES):
        kind = table.schema.field(name).type
        column = table.column(name)
        for row in range(4):
            found = _written(column[row].as_py(), kind)
            if not _same(found, expected[row][number], kind):
                different.append((name, row, found and found[:60], expected[row][number]))
    assert different == []


def test_every_type_is_read_by_the_engine(matrix: kit.Server, tmp_path: Path) -> None:
    landed = fetch(_source(matrix, "SELECT * FROM matrix ORDER BY id"), tmp_path, login=_login)
    opened = open_source(landed)
    assert list(opened.schema) == ["id", *TYPES]
    frame = pl.concat([pl.read_parquet(file) for file in opened.files])
    assert frame.height == 4
    assert frame.item(0, "big_u") == 2**64 - 1
    assert frame.item(0, "tiny_one") == 2


def test_types_in_arrow(matrix: kit.Server, tmp_path: Path) -> None:
    schema = _read(_source(matrix, table=("shop", "matrix")), tmp_path, rows=1).schema
    assert schema.field("tiny_one").type == pa.int64()
    assert schema.field("big_u").type == pa.uint64()
    assert schema.field("money").type == pa.decimal128(12, 2)
    assert schema.field("fraction").type == pa.decimal128(38, 38)
    assert schema.field("widest").type == pa.string()
    assert schema.field("single").type == pa.float32()
    assert schema.field("stamp").type == pa.timestamp("us", "UTC")
    assert schema.field("moment").type == pa.timestamp("us")
    assert schema.field("clock").type == pa.string()


def test_columns_are_described_without_reading_rows(matrix: kit.Server) -> None:
    query = _source(matrix, "SELECT id, money, big_u, clock, moment, SLEEP(1000) AS nap FROM matrix").query
    assert query is not None
    columns = describe_query(query, _login)
    assert [(item.name, item.declared, item.read_as) for item in columns] == [
        ("id", "int", "integer"),
        ("money", "decimal(12,2)", "decimal"),
        ("big_u", "bigint unsigned", "integer"),
        ("clock", "time", "text"),
        ("moment", "datetime", "timestamp"),
        ("nap", "int", "integer"),
    ]


@pytest.mark.parametrize("declared", REFUSED)
def test_bytes_are_refused_by_name_with_what_to_write(mariadb: kit.Server, tmp_path: Path, declared: str) -> None:
    mariadb.execute("CREATE OR REPLACE TABLE refused (id INT, value " + declared + ")")
    name, remedy = REFUSED[declared]
    with pytest.raises(SourceError, match=f"column 'value': .*{name}.* cannot be taken over") as caught:
        _read(_source(mariadb, table=("refused",)), tmp_path)
    assert remedy in caught.value.hint
    query = _source(mariadb, table=("refused",)).query
    assert query is not None
    assert [bool(item.refusal) for item in describe_query(query, _login)] == [False, True]
    remedied = remedy.replace("...", "value")
    assert _read(_source(mariadb, f"SELECT id, {remedied} AS value FROM refused"), tmp_path).num_rows == 0


@pytest.mark.parametrize(
    ("declared", "value", "reason"),
    [
        ("DATE", "'0000-00-00'", "a zero date"),
        ("DATETIME", "'0000-00-00 00:00:00'", "a zero date"),
        ("DATETIME(6)", "'0000-00-00 00:00:00'", "a zero date"),
        ("TIMESTAMP NULL", "'0000-00-00 00:00:00'", "a zero date"),
        ("DATE", "'2026-00-15'", "a date that is not in the calendar"),
        ("DATE", "'2026-03-00'", "a date that is not in the calendar"),
        ("DATE", "'0000-03-01'", "a date that is not in the calendar"),
        ("DATE", "'2026-02-30'", "a date that is not in the calendar"),
        ("DATETIME", "'2025-02-29 10:00:00'", "a date that is not in the calendar"),
    ],
)
def test_date_out_of_the_calendar_is_refused_with_its_row(
    mariadb: kit.Server, tmp_path: Path, declared: str, value: str, reason: str
) -> None:
    mariadb.execute(
        f"CREATE OR REPLACE TABLE dates (id INT, value {declared})",
        "SET sql_mode = 'ALLOW_INVALID_DATES'",
        "INSERT INTO dates SELECT seq, NULL FROM seq_1_to_25000",
        f"UPDATE dates SET value = {value} WHERE id = 21001",
    )
    with pytest.raises(SourceError, match=f"column 'value', row 21,001: {reason}") as caught:
        _read(_source(mariadb, "SELECT * FROM dates ORDER BY id"), tmp_path / "parts")
    assert not list((tmp_path / "parts").iterdir())
    assert "2026" not in str(caught.value)
    if "zero" in reason:
        sql = "SELECT id, NULLIF(value, 0) AS value FROM dates WHERE id = 21001"
        assert _read(_source(mariadb, sql), tmp_path).column("value").to_pylist() == [None]


EXPRESSIONS = {
    "1/3": "0.3333",
    "SUM(9999999999999999999999999999999999)": "9999999999999999999999999999999999",
    "AVG(1.5)": "1.50000",
    "1e0/3": "0.3333333333333333",
    "-0e0": "0",
    "NOW() IS NULL": "0",
    "TIMEDIFF('24:00:00', '00:00:00.5')": "23:59:59.5",
    "MAKEDATE(2026, 60)": "2026-03-01",
    "STR_TO_DATE('01.02.2026', '%d.%m.%Y')": "2026-02-01",
    "CAST(18446744073709551615 AS UNSIGNED)": "18446744073709551615",
    "18446744073709551616": "18446744073709551616",
    "CONCAT(1, 2.50)": "12.50",
    "GROUP_CONCAT('x', 'y')": "xy",
    "IF(TRUE, 1, 'a')": "1",
    "IFNULL(NULL, 2.5)": "2.5",
    "COALESCE(CAST(NULL AS DATE), CAST('2026-01-01' AS DATE))": "2026-01-01",
    "JSON_EXTRACT('{\"a\": 1.50}', '$.a')": "1.50",
    "b'101' + 0": "5",
    "TRUE": "1",
    "INTERVAL(5, 1, 10)": "1",
    "UUID() IS NOT NULL": "1",
    "BIT_OR(0) ": "0",
    "CRC32('a')": "3904355907",
    "1 UNION ALL SELECT 2.5 LIMIT 1": "1.0",
}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_have_the_type_that_the_server_states(mariadb: kit.Server, tmp_path: Path, expression: str) -> None:
    table = _read(_source(mariadb, f"SELECT {expression}"), tmp_path)
    column = table.column(0)
    kind = column.type
    found = _written(column[0].as_py(), kind)
    assert _same(found, EXPRESSIONS[expression], kind), (found, kind)


def test_text_of_any_length_is_read(mariadb: kit.Server, tmp_path: Path) -> None:
    """Lengths around those where the protocol writes them with more bytes."""
    lengths = [0, 1, 48, 49, 249, 250, 251, 252, 253, 254, 255, 256, 65_534, 65_535, 65_536, 65_537, 300_000]
    listed = " UNION ALL ".join(
        f"SELECT {n} AS n, REPEAT('ab', {n}) AS t, IF({n} % 2, NULL, {n}) AS x" for n in lengths
    )
    table = _read(_source(mariadb, listed), tmp_path)
    assert [len(text) for text in table.column("t").to_pylist()] == [2 * n for n in lengths]
    assert all(set(text) <= {"a", "b"} for text in table.column("t").to_pylist())
    assert table.column("x").to_pylist() == [None if n % 2 else n for n in lengths]


def test_many_columns_with_nulls_keep_their_places(mariadb: kit.Server, tmp_path: Path) -> None:
    listed = ", ".join(f"IF(seq % {n + 2} = 0, NULL, CONCAT({n}, '-', seq)) AS c{n}" for n in range(150))
    table = _read(_source(mariadb, f"SELECT {listed} FROM seq_1_to_500"), tmp_path)
    for n in range(150):
        expected = [None if seq % (n + 2) == 0 else f"{n}-{seq}" for seq in range(1, 501)]
        assert table.column(f"c{n}").to_pylist() == expected


def test_value_that_is_too_long_is_refused_with_its_row(mariadb: kit.Server, tmp_path: Path) -> None:
    sql = "SELECT 1 AS id, 'x' AS t UNION ALL SELECT 2, CONCAT(REPEAT('x', 16777216), 'y')"
    with pytest.raises(SourceError, match="column 't', row 2: a value of more than 16 MiB"):
        _read(_source(mariadb, sql), tmp_path)


def test_group_concat_is_not_cut(mariadb: kit.Server, tmp_path: Path) -> None:
    table = _read(_source(mariadb, "SELECT GROUP_CONCAT(REPEAT('x', 1000)) AS t FROM seq_1_to_2000"), tmp_path / "a")
    assert len(table.column("t")[0].as_py()) == 2000 * 1001 - 1
    with pytest.raises(SourceError, match="GROUP_CONCAT is longer than 16 MiB, and was cut"):
        _read(_source(mariadb, "SELECT GROUP_CONCAT(REPEAT('x', 9999)) AS t FROM seq_1_to_2000"), tmp_path / "b")
