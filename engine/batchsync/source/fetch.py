"""Fetch a source: local files stay where they are.

Standard input is landed. Queries are landed by the module of their database, stored files by that of their storage, and
other sources by the installed fetcher that claims their scheme.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from batchsync.core.query import KINDS
from batchsync.core.source_path import scheme_of
from batchsync.errors import SourceError, UnavailableError, install_hint
from batchsync.ports import StorageAccess
from batchsync.source.stdin import land_stdin
from batchsync.util.files import make_private
from batchsync.util.plugins import SOURCE_FETCHERS, load_plugin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batchsync.core.job import Source
    from batchsync.core.object_storage import Storage, StoredFiles
    from batchsync.core.query import Database, Query, QueryColumn
    from batchsync.ports import AccessOf, Logins, SourceFetcher
    from batchsync.source.query_rows import DatabaseReader


#: Modules with the functions of `DatabaseReader`, by kind of database; imported when they are used.
_DATABASES = {
    "duckdb": "batchsync.source.duckdb_query",
    "mariadb": "batchsync.source.mysql_query",
    "mysql": "batchsync.source.mysql_query",
    "postgres": "batchsync.source.postgres_query",
    "redshift": "batchsync.source.postgres_query",
    "sqlite": "batchsync.source.sqlite_query",
}
#: Packages that these modules import, with the extra that installs them.
_EXTRAS = {"duckdb": "duckdb", "pymysql": "mysql"}


def without_login(database: Database) -> Mapping[str, str]:
    """Return no secrets, for databases that have none; the port `Logins`.

    Args:
        database: The database.

    Raises:
        UnavailableError: If the database has secrets.
    """
    if database.server is not None and database.server.references:
        raise UnavailableError(f'connection "{database.name}": its references were not resolved')
    return {}


def check_database(database: Database, login: Logins = without_login) -> str:
    """Check that a database can be opened.

    Args:
        database: The database; its rows are not read.
        login: Resolves the references of the database.

    Returns:
        What was found, for `doctor`.

    Raises:
        UnavailableError: If it cannot be opened, or is no database.
    """
    return _reader(database).check(database, login=login(database))


def describe_query(query: Query, login: Logins = without_login) -> tuple[QueryColumn, ...]:
    """Prepare the statement of a query and return its columns, for `validate --online` and `doctor`.

    Args:
        query: The query; none of its rows are read.
        login: Resolves the references of its database.

    Returns:
        The columns in order, also those that a run would refuse.

    Raises:
        SourceError: If the statement is refused, or returns no rows.
        UnavailableError: If the database cannot be opened.
    """
    from batchsync.source.query_rows import columns_of_query  # noqa: PLC0415 - imports pyarrow, which is slow

    return columns_of_query(_reader(query.database), query, login=login(query.database))


def _reader(database: Database) -> DatabaseReader:
    """Return the module of a kind of database.

    Raises:
        UnavailableError: If it is not here, or its package is not installed.
    """
    if database.kind not in _DATABASES:
        raise UnavailableError(
            f'connection "{database.name}": this batchsync does not read {KINDS[database.kind]} databases',
            hint=f"use one of {', '.join(KINDS[kind] for kind in _DATABASES)}, or export the rows to a file",
        )
    try:
        return cast("DatabaseReader", import_module(_DATABASES[database.kind]))
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(error.name or "")
        if extra is None:
            raise
        raise UnavailableError(
            f'connection "{database.name}": {KINDS[database.kind]} databases need the package {error.name}',
            hint=install_hint(extra),
            name="environment.package",
        ) from None


def check_storage(storage: Storage, access: AccessOf) -> str:
    """Check that a bucket can be listed, or a server of files answers.

    Args:
        storage: The storage; no object is read.
        access: Resolves its references.

    Returns:
        What was found, for `doctor`.

    Raises:
        UnavailableError: If it cannot be reached or used.
    """
    module = "batchsync.source.http" if storage.kind == "http" else "batchsync.source.stored_objects"
    found: str = import_module(module).check(storage, access(storage))
    return found


def _module_of(stored: StoredFiles) -> str:
    """Return the module that lands what is stored."""
    if stored.delta:
        return "batchsync.source.delta_table"
    is_http = stored.storage is not None and stored.storage.kind == "http"
    return "batchsync.source.http" if is_http else "batchsync.source.stored_objects"


def _access(stored: StoredFiles, access: AccessOf | None) -> StorageAccess:
    """Return the access to what is stored.

    Raises:
        UnavailableError: If it is in a storage, and the caller resolves no references.
    """
    if stored.storage is None:
        return StorageAccess()
    if access is None:
        message = f"{stored.storage.label}: no storage is read here"
        raise UnavailableError(message, hint="report this defect; nothing was sent")
    return access(stored.storage)


def fetch(  # noqa: PLR0913 - the arguments of the ports, and what resolves references
    source: Source,
    into: Path,
    *,
    since: str | None = None,
    rows: int | None = None,
    progress: Callable[[int], None] | None = None,
    join_progress: Callable[[int, int], None] | None = None,
    login: Logins = without_login,
    access: AccessOf | None = None,
) -> Source:
    """Return a source of local files; the port `FetchSource`, and `SourceFetcher` for every scheme.

    Args:
        source: The source of a job.
        into: Folder for landed files, created only if rows are elsewhere; each join has a folder of its own in it.
        since: See `SourceFetcher`.
        rows: See `SourceFetcher`.
        progress: Receives the number of rows landed so far, if they are known; of stored files that of bytes.
        join_progress: Receives the same of each join, after the number of the join.
        login: Resolves the references of a database.
        access: Resolves the references of a storage; None if none is read.

    Returns:
        The source itself if it and its joins are local, else the landed source.

    Raises:
        SourceError: If the source is not as declared, or its fetcher lands files outside of `into`.
        UnavailableError: If the source cannot be reached, or no installed package fetches it.
    """
    if not source.has_local_rows:
        source = _fetch_rows(source, into, since=since, rows=rows, progress=progress, references=(login, access))
    joins = tuple(
        join
        if join.source is None
        else replace(
            join,
            source=fetch(
                join.source,
                into / f"join-{number}",
                rows=rows,
                progress=None if join_progress is None else partial(join_progress, number),
                login=login,
                access=access,
            ),
        )
        for number, join in enumerate(source.joins, start=1)
    )
    return source if joins == source.joins else replace(source, joins=joins)


def _fetch_rows(
    source: Source,
    into: Path,
    *,
    since: str | None,
    rows: int | None,
    progress: Callable[[int], None] | None,
    references: tuple[Logins, AccessOf | None],
) -> Source:
    """Return a source whose own rows were landed; see `fetch`. `references` are its arguments that resolve them."""
    login, access = references
    if source.stored is not None:
        of_storage: Source = import_module(_module_of(source.stored)).fetch(
            source,
            source.stored,
            into,
            access=_access(source.stored, access),
            rows=rows,
            progress=progress,
        )
        return of_storage
    if source.query is not None:
        database = source.query.database
        query = replace(source.query, after=since) if since else source.query
        from batchsync.source.query_rows import land_query  # noqa: PLC0415 - imports pyarrow, which is slow

        parts = land_query(_reader(database), query, into, login=login(database), rows=rows, progress=progress)
        return replace(source, parts=parts, version="")
    if source.is_stdin:
        make_private(into)
        return land_stdin(source, into)
    fetcher: SourceFetcher = load_plugin(SOURCE_FETCHERS, scheme_of(source.path))
    make_private(into)
    landed = fetcher(source, into, since=since, rows=rows)
    if not landed.parts or not all(Path(part.path).is_relative_to(into) for part in landed.parts):
        hint = "report the defect to the maintainers of the package that fetches it; nothing was sent"
        raise SourceError(f"{source.path} was not landed in {into}", hint=hint)
    return landed
