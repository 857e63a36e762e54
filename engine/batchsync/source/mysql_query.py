"""Query of a MySQL or MariaDB server: one statement in one read-only transaction with a consistent snapshot.

Rows arrive in the binary protocol and are decoded column by column; types are those that the server states.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import pyarrow as pa
import pymysql

from batchsync.core.query import KINDS, QueryColumn
from batchsync.errors import SourceError, UsageError
from batchsync.source.mysql_connection import MysqlSession, StatementRefusedError
from batchsync.source.mysql_errors import FOREIGN, connection_error, statement_error
from batchsync.source.mysql_rows import RowDecoder, ValueRefusedError
from batchsync.source.mysql_types import Form, column_of
from batchsync.source.mysql_url import settings_of
from batchsync.source.statement_text import without_mysql_end

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from batchsync.core.query import Database, Query
    from batchsync.source.mysql_connection import ServerSettings
    from batchsync.source.mysql_types import Column, Described

#: Rows and bytes that are decoded at a time.
BATCH_ROWS, BATCH_BYTES = 20_000, 4 << 20
#: Warning of GROUP_CONCAT: its result was cut.
_CUT = 1260
#: Forms of values that the server and batchsync order alike.
_ORDERED = frozenset({Form.INTEGER, Form.DECIMAL, Form.DATE, Form.TIMESTAMP})
_QUOTE = "`"


def open_query(query: Query, *, login: Mapping[str, str], spill: Path | None) -> _Reader:  # noqa: ARG001 - spills nothing
    """Open a session for a query; see `query_rows.DatabaseReader`.

    Args:
        query: The query.
        login: URL or password of the server.
        spill: Unused: the server sorts and joins.

    Returns:
        The reader of the query.

    Raises:
        UnavailableError: If the server cannot be reached.
    """
    return _Reader(query, login)


def check(database: Database, *, login: Mapping[str, str]) -> str:
    """Check that a server can be reached; see `query_rows.DatabaseReader`.

    Args:
        database: The database; its rows are not read.
        login: URL or password of the server.

    Returns:
        What was found, for `doctor`.

    Raises:
        UnavailableError: If it cannot be reached.
    """
    session = _opened(database, settings_of(database, login))
    try:
        kind = KINDS["mariadb" if session.is_mariadb else "mysql"]
        return f"{kind} {session.version}, read-only, {'TLS' if session.is_encrypted else 'not encrypted'}"
    finally:
        session.close()


def _opened(database: Database, settings: ServerSettings) -> MysqlSession:
    """Return a new session.

    Raises:
        UnavailableError: If the server cannot be reached, or refuses it.
    """
    try:
        return MysqlSession(settings)
    except (pymysql.err.Error, RuntimeError, OSError, ValueError, *FOREIGN) as error:
        raise connection_error(error, database, settings) from None


class _Reader:
    """Runs the statement of a query in a session, and decodes its rows. A context manager that closes the session."""

    def __init__(self, query: Query, login: Mapping[str, str]) -> None:
        """Open the session.

        Raises:
            UnavailableError: If the server cannot be reached, or refuses it.
        """
        self._query = query
        self._settings = settings_of(query.database, login)
        self._session = _opened(query.database, self._settings)
        self._schema = pa.schema([])
        self.rows = 0

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the session."""
        self._session.close()

    def columns(self) -> tuple[QueryColumn, ...]:
        """Prepare the statement, and return its columns.

        Raises:
            SourceError: If the statement is refused.
            UnavailableError: If the connection is lost.
        """
        with self._errors():
            _, described = self._prepared()
        return tuple(
            QueryColumn(name=item.name, declared=item.declared, read_as=item.read_as, refusal=item.refusal)
            for item in map(column_of, described)
        )

    def tables(self, limit: int | None) -> Iterator[pa.Table]:
        """Run the statement and yield its rows, all of them or up to a limit.

        Raises:
            SourceError: If the statement is refused, fails, or a value cannot be taken over.
            UnavailableError: If the connection is lost or the time is over.
        """
        with self._errors():
            number, described = self._prepared()
            self._decoder(described)  # refuses columns before the statement runs
            decoder = self._decoder(self._session.execute(number, self._bounds))
            self._schema = decoder.schema
            while batch := self._session.rows(self._room(limit), BATCH_BYTES):
                table = decoder.table(batch)
                self.rows += len(batch)
                yield table
                if self.rows == limit:
                    return
            if _CUT in self._session.warnings():
                raise self._error("a result of GROUP_CONCAT is longer than 16 MiB, and was cut", "Select less in it.")

    def schema(self) -> pa.Schema:
        """Return the types of the rows."""
        return self._schema

    def cancel(self) -> None:
        """End the statement that is running, on the server too."""
        self._session.cancel()

    def _room(self, limit: int | None) -> int:
        return BATCH_ROWS if limit is None else min(BATCH_ROWS, limit - self.rows)

    @property
    def _bounds(self) -> tuple[str, ...]:
        """Values of the parameters of the statement."""
        return (_in_utc(self._query.after),) if self._query.since is not None and self._query.after else ()

    def _prepared(self) -> tuple[int, list[Described]]:
        """Prepare the statement, with the condition of `since` if this run has a bound.

        Raises:
            SourceError: If it has parameters of its own, two columns of the same name, or an unfit column for `since`.
        """
        sql = self._query.statement(_QUOTE)
        since = self._query.since
        if since is not None and self._bounds:
            column = f"{_QUOTE}{since.column.replace(_QUOTE, _QUOTE * 2)}{_QUOTE}"
            inner = without_mysql_end(sql)
            bounded = f") AS batchsync WHERE {column} IS NULL OR {column} >= ?"
            sql = f"SELECT * FROM (\n{inner}\n{bounded}"  # noqa: S608 - the query of the job, and a quoted name
        number, described = self._session.prepare(sql, len(self._bounds))
        names = [item.name for item in described]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise self._error(f"several columns are named {twice!r}", "Name each column: SELECT a.id AS a_id, ...")
        if since is not None:
            self._check_order(since.column, [column_of(item) for item in described])
        return number, described

    def _check_order(self, name: str, columns: Sequence[Column]) -> None:
        """Check that the server and batchsync order the values of the column of `since` alike.

        Raises:
            UsageError: If there is no such column, or it may have another order: texts are ordered by their collation.
        """
        column = next((item for item in columns if item.name == name), None)
        if column is None:
            raise self._mismatch(f"the statement has no column {name!r}, by which since reads", "Select it, too.")
        if column.form not in _ORDERED:
            hint = "Use a column of numbers, dates or timestamps, or leave since out."
            raise self._mismatch(f"since cannot compare column {column.name!r} of type {column.declared}", hint)

    def _decoder(self, described: Sequence[Described]) -> RowDecoder:
        """Return the decoder of a result.

        Raises:
            SourceError: If a column cannot be taken over.
        """
        columns = [column_of(item) for item in described]
        for column in columns:
            if column.refusal:
                raise self._error(f"column {column.name!r}: {column.declared} cannot be taken over", column.refusal)
        return RowDecoder(columns)

    def _mismatch(self, message: str, hint: str) -> UsageError:
        """Return the error for a `since` in jobs.yaml that does not fit its statement."""
        return UsageError(f"{self._query.title}: {message}", hint=hint)

    def _error(self, message: str, hint: str) -> SourceError:
        return SourceError(f"{self._query.title}: {message}", hint=hint)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise errors of the server and of values in words.

        Raises:
            SourceError: If the statement or a value is refused.
            UnavailableError: If the connection is lost or the time is over.
        """
        try:
            yield
        except StatementRefusedError as error:
            raise self._error(str(error), error.hint) from None
        except ValueRefusedError as error:
            place = f"column {error.column.name!r}, row {self.rows + error.row + 1:,}"
            raise self._error(f"{place}: {error.reason}", error.hint) from None
        except (pymysql.err.Error, OSError, *FOREIGN) as error:
            raise statement_error(error, self._query, self._settings, self.rows) from None


def _in_utc(bound: str) -> str:
    """Return a bound without the offset from UTC that a time may have: most servers do not understand it."""
    try:
        moment = datetime.fromisoformat(bound)
    except ValueError:
        return bound
    return bound if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
