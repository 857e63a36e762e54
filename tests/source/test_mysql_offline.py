"""MySQL and MariaDB as sources, as far as no server is needed: settings, rows of the protocol, and hostile servers."""

from __future__ import annotations

import socket
import struct
import sys
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchsync.core.job import Source
from batchsync.core.query import Database, Query, Server
from batchsync.errors import UnavailableError
from batchsync.source import fetch
from batchsync.source.mysql_rows import RowDecoder, ValueRefusedError
from batchsync.source.mysql_types import Described, column_of
from batchsync.source.mysql_url import settings_of
from batchsync.source.statement_text import without_mysql_end

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WORD = "p@ss/w\u00f6rd-of-the-reader"


def _database(**changed: Any) -> Database:
    where: dict[str, Any] = {"host": "127.0.0.1", "port": 1, "dbname": "shop", "user": "reader"} | changed
    return Database(name="warehouse", kind="mysql", server=Server(**where), statement_timeout=timedelta(seconds=5))


def _refusal(database: Database, into: Path) -> UnavailableError:
    query = Query(database=database, sql="SELECT 1 AS id")
    source = Source(path=query.title, folder="/", key=("id",), query=query)
    with pytest.raises(UnavailableError) as caught:
        fetch(source, into, login=lambda _: {"password": WORD})
    assert WORD not in f"{caught.value} {caught.value.hint}"
    return caught.value


def test_closed_port(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = _refusal(_database(port=unused.getsockname()[1]), tmp_path / "parts")
    assert "the connection was refused" in str(error)
    assert "check host and port" in error.hint


def test_missing_package_is_named_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("batchsync.source.mysql")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pymysql", None)
    error = _refusal(_database(), tmp_path / "parts")
    assert "MySQL databases need the package pymysql" in str(error)
    assert error.hint == "Install it: pip install 'batchsync[mysql]'"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mysql://u:p%40ss@db.example.com/shop", ("db.example.com", 3306, "shop", "u", "p@ss", "require")),
        ("mariadb://u@[::1]:3307/", ("::1", 3307, "", "u", "", "prefer")),
        ("mysql+pymysql://localhost/a%20b?charset=utf8", ("localhost", 3306, "a b", "", "", "prefer")),
        ("mysql://h/?ssl-mode=VERIFY_IDENTITY", ("h", 3306, "", "", "", "verify-full")),
        ("mysql://h/x?sslmode=disable", ("h", 3306, "x", "", "", "disable")),
    ],
)
def test_url(url: str, expected: tuple[str | int, ...]) -> None:
    database = _database(url="${URL}", host="", port=None, dbname="", user="")
    found = settings_of(database, {"url": url})
    assert (found.host, found.port, found.dbname, found.user, found.password, found.sslmode) == expected
    assert found.password not in repr(found) or not found.password


@pytest.mark.parametrize(
    "url",
    ["postgres://h/x", "mysql://", "mysql://h/a/b", "mysql://h:x/a", "mysql://h/x?sslmode=no", "mysql://h/x?a=b", "?"],
)
def test_url_that_is_refused_is_not_shown(url: str) -> None:
    for written in (WORD, WORD.replace("/", "#"), WORD.replace("/", "?"), "p%40ss"):
        if url != "mysql://" or written != "p%40ss":
            with pytest.raises(
                UnavailableError, match=r'connection "warehouse": (its url|sslmode of its url)'
            ) as caught:
                settings_of(_database(url="${URL}"), {"url": url.replace("//", f"//u:{written}@", 1)})
            assert "ss" not in str(caught.value).replace("sslmode", "").replace("sslroot", "").replace("password", "")


def test_keys_of_the_connection_count_more_than_the_url() -> None:
    database = _database(url="${URL}", sslmode="verify-ca", sslrootcert="ca.pem")
    found = settings_of(database, {"url": "mysql://h/x?sslmode=disable&sslrootcert=other.pem"})
    assert (found.sslmode, found.sslrootcert) == ("verify-ca", "ca.pem")


def _served(*answers: bytes) -> tuple[int, list[bytes], threading.Thread]:
    """Serve one connection, which gets these packets, each after the first when the client has sent something."""
    listener = socket.create_server(("127.0.0.1", 0))
    received: list[bytes] = []

    def serve() -> None:
        with listener, listener.accept()[0] as client:
            client.settimeout(20)
            for number, answer in enumerate(answers):
                if number:
                    received.append(client.recv(65_536))
                client.sendall(struct.pack("<I", len(answer))[:3] + bytes([2 * number]) + answer)
            while content := client.recv(65_536):
                received.append(content)

    thread = threading.Thread(target=serve)
    thread.start()
    return listener.getsockname()[1], received, thread


def _greeting(capabilities: int = 0x000FF7FF & ~0x800) -> bytes:
    low, high = struct.pack("<H", capabilities & 0xFFFF), struct.pack("<H", capabilities >> 16)
    return b"".join(
        (b"\x0a8.0.30\0", struct.pack("<I", 7), b"12345678\0", low, b"\x2d\x02\0", high, b"\x15", bytes(10),
         b"123456789012\0", b"mysql_native_password\0")
    )  # fmt: skip


@pytest.mark.parametrize("plugin", [b"mysql_clear_password", b"dialog", b"mysql_old_password"])
def test_server_that_asks_for_the_password_in_plain_text_gets_none(tmp_path: Path, plugin: bytes) -> None:
    port, received, thread = _served(_greeting(), b"\xfe" + plugin + b"\0" + b"12345678901234567890\0")
    error = _refusal(_database(port=port, sslmode="prefer"), tmp_path / "parts")
    thread.join()
    assert "authentication that is not possible here" in str(error)
    assert "sslmode: require" in error.hint
    assert WORD.encode() not in b"".join(received)


def test_server_without_encryption_gets_no_password_if_it_is_required(tmp_path: Path) -> None:
    port, received, thread = _served(_greeting())
    error = _refusal(_database(port=port, sslmode="require"), tmp_path / "parts")
    thread.join()
    assert "the server offers no TLS" in str(error)
    assert b"reader" not in b"".join(received)


def test_server_that_asks_for_a_file_gets_none(tmp_path: Path) -> None:
    """LOAD DATA LOCAL: a server may ask the client for any file in answer to any statement."""
    secret = tmp_path / "secret"
    secret.write_text("contents of the file", encoding="utf-8")
    asked = b"\xfb" + str(secret).encode()
    port, received, thread = _served(_greeting(), b"\0\0\0\2\0\0\0", asked)
    error = _refusal(_database(port=port, sslmode="disable"), tmp_path / "parts")
    thread.join()
    assert 'connection "warehouse"' in str(error)
    assert b"contents" not in b"".join(received)


@pytest.mark.parametrize(
    "answer", [b"", b"\x0a", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff\x15\x04#28000no", bytes(3000)]
)
def test_what_is_no_server_is_reported_in_words(tmp_path: Path, answer: bytes) -> None:
    port, _, thread = _served(answer)
    error = _refusal(_database(port=port), tmp_path / "parts")
    thread.join()
    assert 'connection "warehouse": 127.0.0.1' in str(error)


def _length(data: bytes) -> bytes:
    """Return data with its length, as the protocol writes it."""
    size = len(data)
    if size < 251:
        return bytes([size]) + data
    if size < 1 << 16:
        return b"\xfc" + struct.pack("<H", size) + data
    return b"\xfd" + struct.pack("<I", size)[:3] + data


def _moment(value: datetime) -> bytes:
    day = struct.pack("<HBB", value.year, value.month, value.day)
    clock = struct.pack("<BBB", value.hour, value.minute, value.second)
    if value.microsecond:
        return _length(day + clock + struct.pack("<I", value.microsecond))
    return _length(day + clock if any(clock) else day)


def _time(value: timedelta) -> bytes:
    if not value:
        return b"\0"
    size = abs(value)
    clock = struct.pack("<BIBBB", value < timedelta(0), size.days, *_hours(size.seconds))
    return _length(clock + struct.pack("<I", size.microseconds) if size.microseconds else clock)


def _hours(seconds: int) -> tuple[int, int, int]:
    return seconds // 3600, seconds // 60 % 60, seconds % 60


def _shown(value: timedelta) -> str:
    size = abs(value)
    hours, minutes, seconds = _hours(size.seconds)
    sign = "-" if value < timedelta(0) else ""
    return f"{sign}{size.days * 24 + hours:02}:{minutes:02}:{seconds:02}.{size.microseconds:06}"


#: Columns by name: how the protocol describes them, values, how it writes a value, and what is read.
FORMS: dict[str, tuple[Described, st.SearchStrategy[Any], Any, Any]] = {
    "tiny": (Described("tiny", 1, 0, 63, 4, 0), st.integers(-128, 127), lambda v: struct.pack("<b", v), int),
    "small_u": (Described("small_u", 2, 32, 63, 5, 0), st.integers(0, 65_535), lambda v: struct.pack("<H", v), int),
    "big": (Described("big", 8, 0, 63, 20, 0), st.integers(-(2**63), 2**63 - 1), lambda v: struct.pack("<q", v), int),
    "big_u": (Described("big_u", 8, 32, 63, 20, 0), st.integers(0, 2**64 - 1), lambda v: struct.pack("<Q", v), int),
    "double": (
        Described("double", 5, 0, 63, 22, 31),
        st.floats(allow_nan=False),
        lambda v: struct.pack("<d", v),
        float,
    ),
    "money": (
        Described("money", 246, 0, 63, 14, 2),
        st.decimals(-(10**9), 10**9, places=2),
        lambda v: _length(str(v).encode()),
        Decimal,
    ),
    "text": (
        Described("text", 252, 0, 45, 1 << 20, 0),
        st.text(max_size=400).filter(lambda v: v.isprintable()),
        lambda v: _length(v.encode()),
        str,
    ),
    "bits": (Described("bits", 16, 32, 63, 40, 0), st.integers(0, 2**40 - 1), lambda v: _length(v.to_bytes(5)), int),
    "day": (
        Described("day", 10, 128, 63, 10, 0),
        st.dates(),
        lambda v: _moment(datetime(v.year, v.month, v.day, tzinfo=UTC)),
        lambda v: v,
    ),
    "moment": (Described("moment", 7, 128, 63, 26, 6), st.datetimes(), _moment, lambda v: v.replace(tzinfo=UTC)),
    "clock": (Described("clock", 11, 128, 63, 17, 6), st.timedeltas(-timedelta(34), timedelta(34)), _time, _shown),
}


@st.composite
def _rows(draw: st.DrawFn) -> tuple[list[str], list[list[Any]]]:
    names = draw(st.lists(st.sampled_from(list(FORMS)), min_size=1, max_size=12))
    rows = st.lists(st.tuples(*(st.none() | FORMS[name][1] for name in names)), min_size=1, max_size=8)
    return names, [list(row) for row in draw(rows)]


def _packet(names: Sequence[str], row: Sequence[Any]) -> bytes:
    bitmap = bytearray((len(names) + 9) // 8)
    for number, value in enumerate(row):
        if value is None:
            bitmap[(number + 2) // 8] |= 1 << (number + 2) % 8
    values = (FORMS[name][2](value) for name, value in zip(names, row, strict=True) if value is not None)
    return b"\0" + bytes(bitmap) + b"".join(values)


@given(_rows())
def test_rows_of_any_shape_are_decoded(case: tuple[list[str], list[list[Any]]]) -> None:
    names, rows = case
    columns = [column_of(FORMS[name][0]) for name in names]
    table = RowDecoder(columns).table([_packet(names, row) for row in rows])
    for number, name in enumerate(names):
        expected = [None if row[number] is None else FORMS[name][3](row[number]) for row in rows]
        assert table.column(number).to_pylist() == expected


@pytest.mark.parametrize(
    ("name", "packet", "reason"),
    [
        ("day", b"\0\0\0", "a zero date"),
        ("day", b"\0\0\4\xea\7\2\x1e", "a date that is not in the calendar"),
        ("money", b"\0\0\x051.234", "does not fit decimal"),
        ("text", b"\0\0\1\xff", "text that is not UTF-8"),
    ],
)
def test_value_that_is_refused(name: str, packet: bytes, reason: str) -> None:
    decoder = RowDecoder([column_of(FORMS[name][0])])
    good = _packet([name], [None])
    with pytest.raises(ValueRefusedError, match=reason) as caught:
        decoder.table([good, good, packet, good])
    assert caught.value.row == 2


def test_types_that_are_unknown_are_refused() -> None:
    column = column_of(Described("x", 242, 0, 63, 10, 0))
    assert column.refusal
    assert column.read_as == ""
    assert column_of(Described("x", 246, 0, 63, 67, 30)).arrow == pa.string()


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1", "SELECT 1"),
        ("SELECT 1 ; ;\n", "SELECT 1"),
        ("SELECT 1; -- a;", "SELECT 1"),
        ("SELECT 1; # a", "SELECT 1"),
        ("SELECT 1 --", "SELECT 1"),
        ("SELECT 3--2", "SELECT 3--2"),
        ("SELECT 1 /* a; */ ;", "SELECT 1"),
        ("SELECT 1 /*! LIMIT 2 */;", "SELECT 1 /*! LIMIT 2 */"),
        ("SELECT 1 /*M! LIMIT 2 */;", "SELECT 1 /*M! LIMIT 2 */"),
        ("-- a\nSELECT ';--'", "-- a\nSELECT ';--'"),
        ("SELECT 'it''s # \\' --' ;", "SELECT 'it''s # \\' --'"),
        ('SELECT "a;""# -- ";', 'SELECT "a;""# -- "'),
        ("SELECT `a;``#`;", "SELECT `a;``#`"),
        ("SELECT 1; SELECT 2;", "SELECT 1; SELECT 2"),
        ("SELECT 1 /* no end", "SELECT 1 /* no end"),
    ],
)
def test_end_of_a_statement_is_left_out(sql: str, expected: str) -> None:
    assert without_mysql_end(sql) == expected
