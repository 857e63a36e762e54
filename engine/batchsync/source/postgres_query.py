"""Query of PostgreSQL or Redshift: one statement in one read-only transaction, landed with the types of the server.

Values that Arrow cannot carry exactly arrive as the server's own text, by casts in a query around the statement.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from batchsync.errors import SourceError, UnavailableError, UsageError, install_hint
from batchsync.source.cancellable import cancellable
from batchsync.source.postgres_errors import connect_error, statement_error
from batchsync.source.postgres_login import address, connection_string
from batchsync.source.postgres_types import ORDERED, UNNAMED, UnfitValueError, column_of, converted, quoted, select_list
from batchsync.source.statement_text import without_end

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from pathlib import Path

    from batchsync.core.query import Database, Query, QueryColumn
    from batchsync.source.postgres_types import Column

#: Rows that a cursor of Redshift fetches at a time; PostgreSQL streams them.
FETCH_ROWS = 20_000
#: Settings that decide how the server reads the statement, and writes values as text.
_SETTINGS = {
    "client_encoding": "UTF8",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
}
#: Setting of the transaction that the lower bound of `since` is bound to; a parameter would end the streaming.
_AFTER = "batchsync.after"
#: Milliseconds of the longest time-out that the server takes.
_TIMEOUT_MAX = 2**31 - 1


def open_query(query: Query, *, login: Mapping[str, str], spill: Path | None) -> _Reader:  # noqa: ARG001 - spills nothing
    """Return the reader of a query, which connects when its statement is prepared; see `query_rows.DatabaseReader`.

    Args:
        query: The query of a PostgreSQL or Redshift database.
        login: Secrets of the database by key.
        spill: Unused: the server sorts and joins.

    Returns:
        The reader of the query.

    Raises:
        UnavailableError: If the driver is not installed.
    """
    return _Reader(_Session(query.database, login), query)


def check(database: Database, *, login: Mapping[str, str]) -> str:
    """Check that a database can be opened.

    Args:
        database: The database; its rows are not read.
        login: Secrets of the database by key.

    Returns:
        What was found, for `doctor`.

    Raises:
        UnavailableError: If it cannot be opened.
    """

    def steps() -> Iterator[str]:
        session.open()
        yield _product(session.value("SELECT version()"))

    session = _Session(database, login)
    try:
        found = "".join(cancellable(steps(), session.cancel))
    finally:
        session.close()
    return f"{found}, read-only"


def _product(version: str) -> str:
    """Return name and version of the server; Redshift names itself after the PostgreSQL that it derives from."""
    found = re.search(r"Redshift [\d.]+", version) or re.match(r"\S+ [\d.]+", version)
    return found[0] if found else "a server"


class _Session:
    """One connection with one read-only transaction. `cancel` may be called from another thread."""

    def __init__(self, database: Database, login: Mapping[str, str]) -> None:
        self.database = database
        self._driver = _driver(database)
        self._login = login
        self._connection: Any = None
        #: Whether rows are streamed; Redshift gives them in portions.
        self.streams = database.kind != "redshift"

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """Errors of the driver; those in the middle of the rows are of the system or of Arrow."""
        return (self._driver.Error, OSError, pa.ArrowException)

    def open(self) -> None:
        """Connect, and begin the transaction.

        Raises:
            UnavailableError: If the server cannot be reached.
        """
        text = connection_string(self.database, self._login)
        where = address(self.database, self._login)
        try:
            self._connection = self._driver.connect(text, autocommit=True)
            self._begin()
        except self.errors as error:
            raise connect_error(self.database, where, error) from None

    def _begin(self) -> None:
        milliseconds = min(int(self.database.statement_timeout.total_seconds() * 1000), _TIMEOUT_MAX)
        if not self.streams:
            self.run("BEGIN READ ONLY")
            self.run(f"SET statement_timeout TO {milliseconds}")
            return
        self.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        settings = {**_SETTINGS, "statement_timeout": str(milliseconds)}
        calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
        self.value(f"SELECT {calls}")

    def run(self, sql: str) -> None:
        """Execute a statement without rows."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql)

    def value(self, sql: str, parameter: str | None = None) -> str:
        """Return the first value of the first row of a statement, as text."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, None if parameter is None else (parameter,))
            return str(cursor.fetchone()[0])

    def schema(self, sql: str) -> pa.Schema:
        """Prepare a statement and return its columns."""
        with self._connection.cursor() as cursor:
            return cursor.adbc_execute_schema(sql)

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a statement: streamed, or by a cursor where the server cannot stream."""
        if self.streams:
            with self._connection.cursor() as cursor:
                cursor.execute(sql)
                with cursor.fetch_record_batch() as reader:
                    yield from reader
            return
        self.run(f"DECLARE batchsync_rows CURSOR FOR {sql}")
        while True:
            with self._connection.cursor() as cursor:
                cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
                cursor.execute(f"FETCH FORWARD {FETCH_ROWS} FROM batchsync_rows")
                table = cursor.fetch_arrow_table()
            if not table.num_rows:
                return
            yield from table.to_batches()

    def cancel(self) -> None:
        """End the statement that is running, on the server too."""
        if self._connection is not None:
            with suppress(Exception):  # the statement may have ended, or the connection
                self._connection.adbc_cancel()

    def close(self) -> None:
        """Close the connection, which ends the transaction."""
        if self._connection is not None:
            with suppress(Exception):  # the server may have closed it
                self._connection.close()
            self._connection = None


class _Reader:
    """Prepares one statement, and converts its rows to Arrow tables. A context manager that closes the session."""

    def __init__(self, session: _Session, query: Query) -> None:
        self._session, self._query = session, query
        self._columns: list[Column] = []
        self._tables: Generator[pa.Table] | None = None
        self.rows = 0

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close the session."""
        if kind is not None:
            # Otherwise closing the statement would read the rest of its rows.
            self.cancel()
        if self._tables is not None:
            self._tables.close()
        self._session.close()

    def cancel(self) -> None:
        """End the statement that is running, on the server too."""
        self._session.cancel()

    def schema(self) -> pa.Schema:
        """Return the columns with their types."""
        return pa.schema([(column.name, column.arrow) for column in self._columns])

    def columns(self) -> tuple[QueryColumn, ...]:
        """Connect, prepare the statement and return its columns.

        Raises:
            SourceError: If the statement is refused.
            UnavailableError: If the server cannot be reached.
        """
        self._prepare()
        return tuple(replace(column.described(), declared=self._declared(column)) for column in self._columns)

    def tables(self, limit: int | None) -> Iterator[pa.Table]:
        """Connect, run the statement and yield its rows, all of them or up to a limit.

        Raises:
            SourceError: If the statement is refused, fails, or a value cannot be taken over.
            UnavailableError: If the server cannot be reached, or ends the statement.
        """
        self._tables = self._run(limit)
        return self._tables

    def _run(self, limit: int | None) -> Generator[pa.Table]:
        statement = self._prepare()
        try:
            for batch in self._session.batches(self._wrapped(statement, limit)):
                yield self._table(batch)
        except self._session.errors as error:
            raise statement_error(self._query, error, self.rows) from None

    def _prepare(self) -> str:
        """Connect, and let the server compile the statement; return it without its end."""
        self._session.open()
        statement = without_end(self._query.statement())
        try:
            schema = self._session.schema(statement)
        except self._session.errors as error:
            raise statement_error(self._query, error, 0, statement) from None
        if not schema.names:
            raise self._error("the statement returns no rows", "Write one SELECT statement.")
        twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
        if twice:
            raise self._error(f"several columns are named {twice[0]!r}", "Name each column: SELECT a.id AS a_id, ...")
        self._columns = [column_of(field) for field in schema]
        if self._query.since is not None:
            self._since_column()
        return statement

    def _wrapped(self, statement: str, limit: int | None) -> str:
        """Return the statement with the casts, bound and limit that it needs."""
        needed = any(column.cast or column.is_list for column in self._columns)
        if not needed and limit is None and not self._query.after:
            return statement
        text = "text" if self._session.streams else f"varchar({_VARCHAR_MAX})"
        where = self._bound() if self._query.after else ""
        rows = f"\nLIMIT {limit}" if limit is not None else ""
        # The server has compiled the statement by itself before, so that it is one whole statement.
        return "".join(["SELECT ", select_list(self._columns, text), " FROM (\n", statement, "\n) AS q", where, rows])

    def _bound(self) -> str:
        """Bind the lower bound of the column of `since`, and return the condition."""
        column = self._since_column()
        self._session.value(f"SELECT set_config('{_AFTER}', $1, true)", self._query.after)
        bound = f"CAST(current_setting('{_AFTER}') AS {ORDERED[column.kind]})"
        return f"\nWHERE q.{quoted(column.name)} >= {bound} OR q.{quoted(column.name)} IS NULL"

    def _since_column(self) -> Column:
        """Return the column of `since`.

        Raises:
            UsageError: If the statement has no such column, or one without an order that both sides share.
        """
        name = self._query.since.column if self._query.since is not None else ""
        column = next((item for item in self._columns if item.name == name), None)
        if column is None:
            raise self._mismatch(f"the statement has no column {name!r}, by which since reads", "Select it, too.")
        if column.kind not in ORDERED:
            hint = "Use a column of numbers, dates or timestamps, or leave since out."
            raise self._mismatch(f"since cannot compare column {column.name!r} of type {column.declared}", hint)
        return column

    def _table(self, batch: pa.RecordBatch) -> pa.Table:
        try:
            table = converted(batch, self._columns)
        except UnfitValueError as error:
            place = f"column {error.column!r}, row {self.rows + error.row + 1:,}"
            raise self._error(
                f"{place}: {error.what}", f"Leave it out, or write in the query: {error.remedy}."
            ) from None
        self.rows += batch.num_rows
        return table

    def _declared(self, column: Column) -> str:
        """Return the type of a column; the server is asked for the names of types that the driver does not know."""
        found = UNNAMED.fullmatch(column.declared)
        return self._session.value(f"SELECT format_type({found[1]}, NULL)") if found else column.declared

    def _mismatch(self, message: str, hint: str) -> UsageError:
        """Return the error for a `since` in jobs.yaml that does not fit its statement."""
        return UsageError(f"{self._query.title}: {message}", hint=hint)

    def _error(self, message: str, hint: str) -> SourceError:
        return SourceError(f"{self._query.title}: {message}", hint=hint)


#: Bytes of the longest text of Redshift.
_VARCHAR_MAX = 65_535


def _driver(database: Database) -> Any:
    """Return the DB-API module of the driver.

    Raises:
        UnavailableError: If it is not installed.
    """
    try:
        from adbc_driver_postgresql import dbapi  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        message = f'connection "{database.name}": the driver of PostgreSQL is not installed'
        raise UnavailableError(message, hint=install_hint("postgres")) from None
    return dbapi
