"""Query of a SQLite database: one statement in one read transaction, landed with the type of each value.

SQLite stores a type with each value, whatever the declared type of the column; columns get the type of their values.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from batchsync.core.query import QueryColumn
from batchsync.errors import SourceError, UnavailableError
from batchsync.source.statement_text import with_strict_names
from batchsync.util.path_fence import PathFence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchsync.core.query import Database, Query

#: Rows, values, and bytes of text that are converted at a time.
BATCH_ROWS, BATCH_VALUES, BATCH_BYTES = 10_000, 400_000, 16 << 20
#: Bytes of the longest value, as of a line of text in a file.
VALUE_BYTES = 16 << 20
#: Seconds that a locked database is waited for.
BUSY_SECONDS = 30.0
#: Greatest integer up to which floats hold all integers.
_EXACT_MAX = 1 << 53
#: Actions that reach beyond the open file and its snapshot. Changes are refused because the file is opened read-only:
#: virtual tables compile some that they never run.
_DENIED = {
    sqlite3.SQLITE_ATTACH: "ATTACH",
    sqlite3.SQLITE_DETACH: "DETACH",
    sqlite3.SQLITE_PRAGMA: "a pragma",
    sqlite3.SQLITE_TRANSACTION: "a transaction",
    sqlite3.SQLITE_SAVEPOINT: "a savepoint",
}
#: The pragma with which full-text tables notice changes.
_DATA_VERSION = "data_version"
_TYPES = {"null": pa.null(), "integer": pa.int64(), "real": pa.float64(), "text": pa.string()}
_RUN_AGAIN = "Run the same command again."


class _NotText:
    """Stands for a text that is not UTF-8."""


_NOT_TEXT = _NotText()
_KINDS: dict[type, str] = {int: "integer", float: "real", str: "text", bytes: "blob", _NotText: "text"}


def open_query(query: Query, *, login: Mapping[str, str], spill: Path | None) -> _Reader:  # noqa: ARG001 - a file
    """Open the database of a query; see `query_rows.DatabaseReader`.

    Args:
        query: The query.
        login: Unused: a file needs no secrets.
        spill: Unused: SQLite spills to its own temporary files.

    Returns:
        The reader of the query.

    Raises:
        UnavailableError: If the database cannot be opened.
    """
    return _Reader(_opened(query.database), query)


def check(database: Database, *, login: Mapping[str, str]) -> str:  # noqa: ARG001 - a file needs none
    """Check that a database can be opened.

    Args:
        database: The database; its rows are not read.
        login: Unused: a file needs no secrets.

    Returns:
        What was found, for `doctor`.

    Raises:
        UnavailableError: If it cannot be opened, or is no database.
    """
    connection = _opened(database)
    try:
        (count,) = connection.execute("SELECT count(*) FROM sqlite_schema WHERE type IN ('table', 'view')").fetchone()
    except sqlite3.Error as error:
        hint = f"check path in {database.place}"
        raise UnavailableError(f"{database.path} cannot be read: {error}", hint=hint) from None
    finally:
        connection.close()
    return f"SQLite, read-only, {count:,} tables and views"


def _opened(database: Database) -> sqlite3.Connection:
    """Return a connection that can only read the file of the database.

    Raises:
        UnavailableError: If there is no such file, or it may not be read.
    """
    path, label = Path(database.path), f'connection "{database.name}"'
    if objection := PathFence(database.roots).file_objection(path):
        raise UnavailableError(f"{label}: its file {objection}", hint=f"check {database.place}")
    if not path.exists():
        hint = f"check path in {database.place}; it is relative to jobs.yaml"
        raise UnavailableError(f"{label}: there is no file {path}", hint=hint, name="environment.database")
    try:
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            timeout=BUSY_SECONDS,
            check_same_thread=False,
        )
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, VALUE_BYTES)
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("BEGIN")
    except sqlite3.Error as error:
        hint = f"make {path} and its folder readable, and check that it is a SQLite database"
        raise UnavailableError(
            f"{label}: {path} cannot be opened: {error}", hint=hint, name="environment.database"
        ) from None
    return connection


@dataclass(slots=True)
class _Column:
    """A column as read so far: its kind, with the first row of each kind."""

    name: str
    kind: str = "null"
    row: int = 0
    #: First row of an integer that no float holds exactly.
    large: int = 0


class _Reader:
    """Runs one statement and converts its rows to Arrow tables. A context manager that closes the connection."""

    def __init__(self, connection: sqlite3.Connection, query: Query) -> None:
        self._connection, self._query = connection, query
        self._denied = ""
        self._columns: list[_Column] = []
        self._text_bytes = 0
        self.rows = 0

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._connection.close()

    def cancel(self) -> None:
        """End the statement that is running."""
        self._connection.interrupt()

    def schema(self) -> pa.Schema:
        """Return the columns with the types of all values read; null for columns without values."""
        return pa.schema([(column.name, _TYPES[column.kind]) for column in self._columns])

    def columns(self) -> tuple[QueryColumn, ...]:
        """Compile the statement and return its columns; their types are those of their values, which are not read.

        Raises:
            SourceError: If the statement is refused.
            UnavailableError: If the database is locked or damaged.
        """
        self._connection.set_authorizer(self._authorize)
        try:
            self._check_names()
            names = self._names(self._connection.execute(self._query.statement()))
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise self._translated(error) from None
        return tuple(QueryColumn(name=name, declared="", read_as="the type of its values") for name in names)

    def tables(self, limit: int | None) -> Iterator[pa.Table]:
        """Run the statement and yield its rows, all of them or up to a limit.

        Raises:
            SourceError: If the statement is refused, fails, or a value cannot be taken over.
            UnavailableError: If the database is locked or damaged.
        """
        self._connection.set_authorizer(self._authorize)
        self._connection.text_factory = self._text
        try:
            self._check_names()
            cursor = self._connection.execute(self._query.statement())
            self._columns = [_Column(name) for name in self._names(cursor)]
            yield from self._batches(cursor, limit)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise self._translated(error) from None

    def _check_names(self) -> None:
        """Compile the statement with names in double quotes as nothing but names.

        Otherwise a misspelled column in double quotes would be a constant text in every row.

        Raises:
            sqlite3.Error: If the statement is refused.
        """
        statement = self._query.statement()
        strict = with_strict_names(statement)
        if strict != statement:
            self._connection.execute(f"EXPLAIN {strict}").close()

    def _batches(self, cursor: sqlite3.Cursor, limit: int | None) -> Iterator[pa.Table]:
        batch: list[tuple[Any, ...]] = []
        size = max(1, min(BATCH_ROWS, BATCH_VALUES // len(self._columns)))
        for row in cursor:
            batch.append(row)
            is_full = len(batch) >= size or self._text_bytes >= BATCH_BYTES or self.rows + len(batch) == limit
            # A blob is refused before more of them fill the memory.
            if is_full or bytes in map(type, row):
                yield self._table(batch)
                batch, self._text_bytes = [], 0
                if self.rows == limit:
                    return
        if batch:
            yield self._table(batch)

    def _table(self, batch: list[tuple[Any, ...]]) -> pa.Table:
        columns = zip(self._columns, zip(*batch, strict=True), strict=True)
        arrays = [self._array(column, values) for column, values in columns]
        self.rows += len(batch)
        return pa.Table.from_arrays(arrays, names=[column.name for column in self._columns])

    def _array(self, column: _Column, values: tuple[Any, ...]) -> pa.Array:
        """Return the values of a column in a batch, and note their kind."""
        types = set(map(type, values)) - {type(None)}
        if types - {int, float, str}:
            self._refuse(column, values, next(iter(types - {int, float, str})))
        for found in sorted(types, key=lambda item: self._row_of(values, item)):
            self._note(column, values, found)
        if int in types:
            self._note_large(column, values)
        if column.kind == "real" and column.large:
            reason = f"mixes reals with the integer in row {column.large:,}, which no real holds exactly"
            raise self._error(f"column {column.name!r} {reason}")
        return pa.array(_converted(values, column.kind), type=_TYPES[column.kind])

    def _note(self, column: _Column, values: tuple[Any, ...], found: type) -> None:
        """Note that a column has values of a type.

        Raises:
            SourceError: If it has texts besides numbers.
        """
        kind = _KINDS[found]
        if kind == column.kind or (kind, column.kind) == ("integer", "real"):
            return
        row = self._row_of(values, found)
        if column.kind == "null":
            column.kind, column.row = kind, row
        elif (kind, column.kind) == ("real", "integer"):
            column.kind = kind
        else:
            raise self._error(
                f"column {column.name!r} mixes types: {column.kind} in row {column.row:,}, {kind} in row {row:,}"
            )

    def _note_large(self, column: _Column, values: tuple[Any, ...]) -> None:
        if not column.large:
            at = (n for n, value in enumerate(values) if type(value) is int and abs(value) > _EXACT_MAX)
            column.large = next((self.rows + n + 1 for n in at), 0)

    def _refuse(self, column: _Column, values: tuple[Any, ...], found: type) -> None:
        """Raise the error for a value that cannot be taken over."""
        row = self._row_of(values, found)
        if found is _NotText:
            raise self._error(f"column {column.name!r}, row {row:,}: text that is not UTF-8")
        raise self._error(f"column {column.name!r}, row {row:,}: a blob", hint="Leave it out, or write hex(...) of it.")

    def _row_of(self, values: tuple[Any, ...], found: type) -> int:
        return self.rows + 1 + next(n for n, value in enumerate(values) if type(value) is found)

    def _error(self, message: str, hint: str = "Cast the column in the query: CAST(... AS TEXT).") -> SourceError:
        return SourceError(f"{self._query.title}: {message}", hint=hint)

    def _names(self, cursor: sqlite3.Cursor) -> list[str]:
        """Return the names of the columns.

        Raises:
            SourceError: If the statement returns no rows, or two columns have the same name.
        """
        names = [str(item[0]) for item in cursor.description or ()]
        if not names:
            raise self._error("the statement returns no rows", "Write one SELECT statement.")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise self._error(f"several columns are named {twice[0]!r}", "Name each column: SELECT a.id AS a_id, ...")
        return names

    def _text(self, data: bytes) -> str | _NotText:
        """Return a text of SQLite, which may contain any bytes."""
        self._text_bytes += len(data)
        try:
            return data.decode()
        except UnicodeDecodeError:
            return _NOT_TEXT

    def _authorize(self, action: int, first: str | None, *_: str | None) -> int:
        """Refuse statements that reach beyond the database, when they are compiled."""
        if action not in _DENIED or (action == sqlite3.SQLITE_PRAGMA and first == _DATA_VERSION):
            return sqlite3.SQLITE_OK
        self._denied = self._denied or _DENIED[action]
        return sqlite3.SQLITE_DENY

    def _translated(self, error: Exception) -> SourceError | UnavailableError:
        """Return the error for a failed statement. Messages of SQLite may quote values in single quotes."""
        code = getattr(error, "sqlite_errorcode", None)
        if self._denied or code == sqlite3.SQLITE_READONLY:
            uses = f"uses {self._denied}" if self._denied else "changes the database"
            return self._error(f"the query {uses}", "It may only read: write one SELECT statement.")
        label = f"{self._query.title}: {str(error).partition(chr(39))[0].rstrip(' :')}"
        if code is not None and code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            hint = f"It was locked for {BUSY_SECONDS:.0f} s: run the same command when its writer is done."
            return UnavailableError(label, hint=hint)
        if code is not None and code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR}:
            return UnavailableError(label, hint=f"Check {self._query.database.path} with PRAGMA integrity_check.")
        where = f" after {self.rows:,} rows" if self.rows else ""
        hint = "Correct the query; nothing was sent."
        if self._query.table:
            hint = "Correct table: its names are those that the database has, without quotes; nothing was sent."
        elif "no such column" in label:
            hint = "Correct the query: a column may be in double quotes, a text is in single ones; nothing was sent."
        return SourceError(f"{label}{where}", hint=hint)


def _converted(values: tuple[Any, ...], kind: str) -> list[Any] | tuple[Any, ...]:
    """Return values with integers as floats, where a column has both."""
    return [float(value) if type(value) is int else value for value in values] if kind == "real" else values
