"""Compile the queries of sources that read databases.

Files of queries are read here, so that a query is part of the job's hashes. No database is opened.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.core.query import DbtReference, Query
from batchsync.spec.compile_since import compile_since
from batchsync.spec.dbt_manifest import ManifestError, relation_of
from batchsync.spec.interpolate import TypedMap
from batchsync.spec.models_source import JoinModel
from batchsync.util.suggestions import one_of, quoted

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from batchsync.core.query import Database
    from batchsync.spec.interpolate import Typed
    from batchsync.spec.models_source import DbtModel, SourceModel
    from batchsync.spec.problems import Problems
    from batchsync.util.path_fence import PathFence

#: A statement; a text of one line that ends in `.sql` and does not begin like this is a file.
_STATEMENT = re.compile(r"[\s(]*(?:SELECT|WITH|VALUES|TABLE|--|/\*)(?!\w)", re.IGNORECASE)
#: A text of nothing but comments and semicolons.
_ONLY_COMMENTS = re.compile(r"(?:[\s;]|--[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)*+")
_FILE_ENDING = ".sql"
_FORMS = "a statement that begins with SELECT or WITH, or a file ending in .sql that contains one"
#: Bytes of the longest file of a query.
QUERY_BYTES = 1 << 20
#: Names of a table: at most database or schema, and the table.
_NAMES_MAX = 2
#: Keys that say which rows of a database are read; one of them is needed.
_ROW_KEYS = ("query", "table", "dbt")
#: Keys of a source that describe its own file.
_FILE_KEYS = ("path", "job", "version", "format", "header", "columns", "skip_rows", "comment")
#: Keys of a source that describe joined files, too.
_CSV_KEYS = ("delimiter", "encoding", "quote", "escape")


def reads_database(model: SourceModel | JoinModel) -> bool:
    """Return whether a source or join is meant to read a database, as far as its keys tell."""
    return any(item is not None for item in (model.connection, model.query, model.table, model.dbt))


class QueryCompiler:
    """Compiles the queries of the sources of one file."""

    def __init__(
        self,
        folder: Path,
        databases: Mapping[str, Database | None],
        accounts: Container[str],
        fence: PathFence,
        problems: Problems,
    ) -> None:
        """Keep the collaborators.

        Args:
            folder: Absolute folder of jobs.yaml.
            databases: Databases by name; None for those that are invalid.
            accounts: Names of the connections that are accounts of vendors.
            fence: Where paths may lead.
            problems: Receives the problems.
        """
        self._folder = folder
        self._databases = databases
        self._accounts = accounts
        self._fence = fence
        self._problems = problems

    def compile(
        self, model: SourceModel | JoinModel, node: TypedMap, start: int, *, block: str = "source"
    ) -> Query | None:
        """Compile the query of a source or join.

        Args:
            model: The validated block.
            node: The same block with places.
            start: Index of the key `source`, or of the join.
            block: What the block is called in messages.

        Returns:
            The query; None after reporting a problem.
        """
        before = len(self._problems)
        self._check_keys(model, node, start, block)
        database = self._database(model, node)
        if len(self._problems) > before or database is None:
            return None
        if model.dbt is not None:
            query = self._relation(database, model.dbt, node.get("dbt") or node)
        elif model.table is not None:
            query = self._table(database, model.table, _at(node, "table"))
        else:
            query = self._query(database, model.query or "", _at(node, "query"))
        since = None if isinstance(model, JoinModel) else compile_since(model, node, database, self._problems)
        return replace(query, since=since) if query is not None else None

    def _check_keys(self, model: SourceModel | JoinModel, node: TypedMap, start: int, block: str) -> None:
        """Report keys that are missing, contradict each other, or describe a file."""
        add = self._problems.add
        written = [name for name in _ROW_KEYS if getattr(model, name) is not None]
        if model.connection is None:
            known = _names([name for name, item in self._databases.items() if item is not None])
            message = f'"{block}" has {quoted(written[0])} without "connection"'
            add("missing_key", start, message, f"connection: {known}")
        elif not written:
            expected = "query: queries/guests.sql, the SQL, table: guests, or dbt: {manifest: ..., model: ...}"
            add("missing_key", start, f'"{block}" has no "query"', expected)
        if len(written) > 1:
            message = f'"{block}" has both {" and ".join(written)}'
            add("source", _at(node, written[-1]), message, f"either {' or '.join(written)}")
        of_join = () if any(not reads_database(join) for join in getattr(model, "join", ())) else _CSV_KEYS
        for name in (*_FILE_KEYS, *of_join):
            # Rules for columns are no names of columns of a CSV file.
            if not isinstance(getattr(model, name, None), dict | None):
                expected = f"no {name}: rows come from a database"
                add("source", _at(node, name), f"{quoted(name)} with a connection", expected)

    def _database(self, model: SourceModel | JoinModel, node: TypedMap) -> Database | None:
        name = model.connection
        if name is None:
            return None
        databases = [key for key, item in self._databases.items() if item is not None]
        if name in self._accounts:
            message = f"{quoted(name)} is an account of a vendor, not a database"
            self._problems.add("unknown_connection", _at(node, "connection"), message, _names(databases))
        elif name not in self._databases:
            advice = self._problems.suggest(name, databases)
            message = f"unknown connection {quoted(name)}"
            self._problems.add("unknown_connection", _at(node, "connection"), message, _names(databases), advice)
        return self._databases.get(name)

    def _table(self, database: Database, written: str, at: int) -> Query | None:
        names = tuple(written.split("."))
        if not all(name.strip() for name in names) or len(names) > _NAMES_MAX:
            self._problems.add("table", at, '"table" is no name of a table', "table: guests, or table: mart.guests")
            return None
        return Query(database=database, table=names)

    def _relation(self, database: Database, model: DbtModel, node: Typed) -> Query | None:
        """Return the table of a relation of dbt."""
        path = _absolute(self._folder, model.manifest)
        if objection := self._fence.file_objection(path):
            self._problems.add("path", _at(node, "manifest"), f'"manifest" {objection}', self._fence.advice)
            return None
        try:
            relation = relation_of(path, model.model, database.kind)
        except ManifestError as error:
            key = "manifest" if error.is_of_file else "model"
            message = f"the manifest {error.message}"
            self._problems.add("dbt", _at(node, key), message, error.expected, error.suggestion)
            return None
        reference = DbtReference(manifest=path, model=model.model, text=relation.reference)
        return Query(database=database, table=relation.names, dbt=reference)

    def _query(self, database: Database, written: str, at: int) -> Query | None:
        is_file = written.casefold().endswith(_FILE_ENDING) and "\n" not in written and not _STATEMENT.match(written)
        if not is_file:
            if not _STATEMENT.match(written):
                self._problems.add("query", at, '"query" is no SELECT statement', _FORMS)
                return None
            if _ONLY_COMMENTS.fullmatch(written):
                self._problems.add("query", at, '"query" has no statement, only comments', _FORMS)
                return None
            return Query(database=database, sql=written)
        path = _absolute(self._folder, written)
        if objection := self._fence.file_objection(path):
            self._problems.add("path", at, f'"query" {objection}', self._fence.advice)
            return None
        sql = self._text(path, at)
        return Query(database=database, sql=sql, file=path, written=written) if sql else None

    def _text(self, path: str, at: int) -> str:
        """Return the statement in a file; empty after reporting a problem."""
        try:
            with Path(path).open("rb") as file:
                content = file.read(QUERY_BYTES + 1)
            text = content.decode("utf-8-sig")
        except (OSError, ValueError) as error:
            utf8 = isinstance(error, UnicodeDecodeError)
            reason = "is not UTF-8 text" if utf8 else f"cannot be read: {(_reason(error)).lower()}"
            self._problems.add("query", at, f'the file of "query" {reason}', "a UTF-8 file, relative to jobs.yaml")
            return ""
        if len(content) > QUERY_BYTES:
            self._problems.add("query", at, f'the file of "query" is larger than {QUERY_BYTES:,} bytes', _FORMS)
            return ""
        if not _STATEMENT.match(text) or "\0" in text:
            reason = "is no SELECT statement" if "\0" not in text else "contains a null character"
            self._problems.add("query", at, f'the file of "query" {reason}', _FORMS)
            return ""
        if _ONLY_COMMENTS.fullmatch(text):
            self._problems.add("query", at, 'the file of "query" has no statement, only comments', _FORMS)
            return ""
        return text


def _names(databases: Sequence[str]) -> str:
    """Return what a source may name as its connection."""
    return one_of(databases) if databases else "a connection with database: postgres and its url"


def _absolute(folder: Path, written: str) -> str:
    """Return a path of jobs.yaml as an absolute one."""
    return os.path.normpath(folder / written)


def _reason(error: OSError | ValueError) -> str:
    return getattr(error, "strerror", None) or "it is no path"


def _at(node: Typed, key: str) -> int:
    """Return the index of a key's value, or of the block if the key is absent."""
    value = node.get(key) if isinstance(node, TypedMap) else None
    return value.start if value is not None else node.start
