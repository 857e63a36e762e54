"""Query of a DuckDB database, or of local Parquet and CSV files by DuckDB in memory.

A statement can read nothing but the tables of the file of its connection, which is opened read-only, or the files that
it names as tables, each of which the path fence allows. DuckDB has no other access to files, loads no extensions, and
its configuration is locked before the statement is run.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import duckdb
import pyarrow as pa

from batchsync.errors import SourceError, UnavailableError
from batchsync.source.duckdb_errors import statement_error
from batchsync.source.duckdb_files import FilesOfQuery
from batchsync.source.duckdb_types import column_of, is_plain, odd_value, selected
from batchsync.source.statement_text import without_end
from batchsync.util.path_fence import PathFence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from batchsync.core.query import Database, Query, QueryColumn

#: Rows of a batch.
BATCH_ROWS = 20_000
#: Memory of DuckDB; what it sorts or joins beyond that is spilled to the folder of the run.
MEMORY = "1GB"
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": MEMORY,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_unsigned_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
}
#: Names of databases that DuckDB has of its own.
_TAKEN = frozenset({"memory", "system", "temp", "main"})


def open_query(query: Query, *, login: Mapping[str, str], spill: Path | None) -> _Reader:  # noqa: ARG001 - as in check
    """Open the database of a query; see `query_rows.DatabaseReader`.

    Args:
        query: The query.
        login: Unused: a file needs no secrets.
        spill: Folder for what does not fit into the memory; None allows none.

    Returns:
        The reader of the query.

    Raises:
        SourceError: If the statement is no single SELECT, or names files that may not be read.
        UnavailableError: If the database cannot be opened.
    """
    return _Reader(query, spill)


def check(database: Database, *, login: Mapping[str, str]) -> str:  # noqa: ARG001 - a file needs none
    """Check that a database can be opened; see `query_rows.DatabaseReader`.

    Args:
        database: The database; its rows are not read.
        login: Unused: a file needs no secrets.

    Returns:
        What was found, for `doctor`.

    Raises:
        UnavailableError: If it cannot be opened.
    """
    connection = _opened(database)
    try:
        if not database.path:
            return f"DuckDB {duckdb.__version__}, in memory, for local files"
        found = connection.execute("SELECT count(*) FROM information_schema.tables").fetchone()
        return f"DuckDB {duckdb.__version__}, read-only, {found[0] if found else 0:,} tables and views"
    finally:
        connection.close()


def _opened(database: Database) -> duckdb.DuckDBPyConnection:
    """Return a connection that reads the database, and can open no other file from then on unless it is allowed to.

    Raises:
        UnavailableError: If the file may not be read, is missing or locked, or no database.
    """
    label = f'connection "{database.name}"'
    connection = duckdb.connect(":memory:", config=_SETTINGS)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET temp_directory = ''")
        if database.path:
            _attach(connection, database, label)
    except duckdb.Error as error:
        connection.close()
        locked = "set lock on file" in str(error)
        reason = "another process has it open for writing" if locked else "it is no DuckDB database of a known version"
        hint = "run the same command when its writer is done" if locked else f"check path in {database.place}"
        raise UnavailableError(
            f"{label}: {database.path} cannot be opened: {reason}", hint=hint, name="environment.database"
        ) from None
    except BaseException:
        connection.close()
        raise
    return connection


def _attach(connection: duckdb.DuckDBPyConnection, database: Database, label: str) -> None:
    """Attach the file of a database read-only, and use it.

    Raises:
        UnavailableError: If the file may not be read, or there is none.
    """
    path = Path(database.path)
    if objection := PathFence(database.roots).file_objection(path):
        raise UnavailableError(f"{label}: its file {objection}", hint=f"check {database.place}")
    if not path.exists():
        hint = f"check path in {database.place}; it is relative to jobs.yaml"
        raise UnavailableError(f"{label}: there is no file {path}", hint=hint, name="environment.database")
    # The name of the file is that of the database, as if it was opened directly.
    name = path.stem if path.stem.lower() not in _TAKEN else f"{path.stem}_file"
    alias = '"' + name.replace('"', '""') + '"'
    connection.execute(f"ATTACH {_literal(str(path))} AS {alias} (READ_ONLY, TYPE duckdb)")
    connection.execute(f"USE {alias}")


class _Reader:
    """Runs the statement of a query, and yields its rows. A context manager that closes the database."""

    def __init__(self, query: Query, spill: Path | None) -> None:
        """Open the database, and allow the files of the query.

        Args:
            query: The query.
            spill: Folder for what does not fit into the memory; None allows none.

        Raises:
            SourceError: If the statement is no single SELECT, or names files that may not be read.
            UnavailableError: If the database cannot be opened.
        """
        self._query, self._spill = query, spill
        self._schema = pa.schema([])
        self.rows = 0
        self._connection = _opened(query.database)
        try:
            with self._errors():
                self._sql = self._single(query.statement())
                self._files = FilesOfQuery(self._connection, query, self._sql)
                self._restrict()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the database, and delete what was spilled."""
        self._connection.close()
        if self._spill is not None:
            with suppress(OSError):
                shutil.rmtree(self._spill)

    def columns(self) -> tuple[QueryColumn, ...]:
        """Return the columns of the statement.

        Raises:
            SourceError: If the statement is refused.
        """
        with self._errors():
            relation = self._bound(self._sql)
            return tuple(map(column_of, relation.columns, relation.types))

    def tables(self, limit: int | None) -> Iterator[pa.Table]:
        """Run the statement and yield its rows, all of them or up to a limit.

        Raises:
            SourceError: If the statement is refused, fails, or a value cannot be taken over.
            UnavailableError: If the disk is full.
        """
        with self._errors():
            reader = self._selected().to_arrow_reader(BATCH_ROWS)
            self._schema = pa.schema([pa.field(item.name, item.type) for item in reader.schema])
            for batch in reader:
                table = self._table(batch if limit is None else batch.slice(0, limit - self.rows))
                yield table
                if self.rows == limit:
                    return
            self._files.require_unchanged()

    def schema(self) -> pa.Schema:
        """Return the types of the rows."""
        return self._schema

    def cancel(self) -> None:
        """End the statement that is running."""
        self._connection.interrupt()

    def _table(self, batch: pa.RecordBatch) -> pa.Table:
        """Return a batch as a table without metadata.

        Raises:
            SourceError: If a value has no counterpart elsewhere.
        """
        for name, values in zip(batch.schema.names, batch.columns, strict=True):
            if found := odd_value(values):
                nested = pa.types.is_nested(values.type)
                place = f"column {name!r}" if nested else f"column {name!r}, row {self.rows + found[0] + 1:,}"
                instead = "LEFT(..., n)" if pa.types.is_string(values.type) else "CAST(... AS VARCHAR)"
                raise self._error(f"{place}: {found[1]}", f"Write {instead} in the query, or leave it out.")
        self.rows += batch.num_rows
        return pa.Table.from_arrays(batch.columns, schema=self._schema)

    def _selected(self) -> duckdb.DuckDBPyRelation:
        """Return the statement, in which columns are cast that Arrow does not carry exactly.

        Raises:
            SourceError: If a column cannot be taken over.
        """
        relation = self._bound(self._sql)
        kinds = list(zip(relation.columns, relation.types, strict=True))
        for column in (column_of(name, kind) for name, kind in kinds):
            if column.refusal:
                raise self._error(f"column {column.name!r}: {column.declared} cannot be taken over", column.refusal)
        if all(is_plain(kind) for _, kind in kinds):
            return relation
        columns = ", ".join(selected(name, kind) for name, kind in kinds)
        sql = f"SELECT {columns} FROM (\n{self._sql}\n) AS batchsync"  # noqa: S608 - quoted names, the query of the job
        return self._bound(sql)

    def _bound(self, sql: str) -> duckdb.DuckDBPyRelation:
        """Bind a statement.

        Raises:
            SourceError: If two columns have the same name.
        """
        relation = self._connection.query(sql)
        names = relation.columns
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise self._error(f"several columns are named {twice!r}", "Name each column: SELECT a.id AS a_id, ...")
        return relation

    def _single(self, sql: str) -> str:
        """Return a statement without the semicolon at its end.

        Raises:
            SourceError: If it is not a single SELECT.
        """
        statements = self._connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise self._error("the query is no single SELECT statement", "Write one SELECT statement.")
        if statements[0].named_parameters:
            raise self._error("the statement has parameters", "Write values instead of ? and $1.")
        return without_end(statements[0].query)

    def _restrict(self) -> None:
        """Take access to all files but those of the query, and lock the configuration."""
        execute = self._connection.execute
        if self._spill is not None:
            execute(f"SET temp_directory = {_literal(str(self._spill))}")
        if self._files.paths:
            execute(f"SET allowed_paths = [{', '.join(map(_literal, self._files.paths))}]")
        execute("SET enable_external_access = false")
        execute("SET lock_configuration = true")

    def _error(self, message: str, hint: str) -> SourceError:
        return SourceError(f"{self._query.title}: {message}", hint=hint)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise errors of DuckDB in words.

        Raises:
            SourceError: If the statement or a value is refused.
            UnavailableError: If the disk is full, or the file damaged.
        """
        try:
            yield
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise statement_error(error, self._query, self.rows) from None


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
