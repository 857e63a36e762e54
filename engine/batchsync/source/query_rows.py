"""Rows and columns of a query, by the module of its kind of database: landed in parts, and ended by a signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from batchsync.source.cancellable import cancellable
from batchsync.source.landing import Landing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    import pyarrow as pa

    from batchsync.core.landed_part import LandedPart
    from batchsync.core.query import Database, Query, QueryColumn

_SPILL = "spill"


class QueryReader(Protocol):
    """An opened query. A context manager that ends its statement and closes the connection, also after an error."""

    def __enter__(self) -> Self:
        """Return the reader."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Cancel what is running, and close the connection."""
        ...

    def columns(self) -> tuple[QueryColumn, ...]:
        """Prepare the statement and return its columns in order, those that would be refused included.

        Raises:
            SourceError: If the statement is refused, or returns no rows.
            UnavailableError: If the database cannot be opened.
        """
        ...

    def tables(self, limit: int | None) -> Iterator[pa.Table]:
        """Run the statement in one read-only transaction, and yield its rows.

        If `after` of the query is set, only rows whose `since` column is null or at least that are read: the bound is a
        parameter of the statement.

        Args:
            limit: Number of rows that suffice; None reads all.

        Raises:
            SourceError: If the statement is refused, or a value or column cannot be taken over exactly.
            UnavailableError: If the database cannot be opened, or the connection is lost.
        """
        ...

    def schema(self) -> pa.Schema:
        """Return the types of all rows, once `tables` has ended."""
        ...

    def cancel(self) -> None:
        """End the statement that is running; called from another thread, perhaps before it runs."""
        ...


class DatabaseReader(Protocol):
    """What the module of a kind of database offers, see `batchsync.source.fetch`."""

    def open_query(self, query: Query, *, login: Mapping[str, str], spill: Path | None) -> QueryReader:
        """Return a reader of a query, which connects now or when its statement is prepared.

        Args:
            query: The query.
            login: Secrets of the database by key, see `ports.Logins`; in no message.
            spill: Folder for what the reader sorts or joins on disk, created and deleted by it; None allows none.

        Raises:
            SourceError: If the statement is refused.
            UnavailableError: If the database cannot be opened.
        """
        ...

    def check(self, database: Database, *, login: Mapping[str, str]) -> str:
        """Check that a database can be opened, and return what was found, for `doctor`.

        Args:
            database: The database; none of its rows are read.
            login: Secrets of the database by key, see `ports.Logins`.

        Raises:
            UnavailableError: If it cannot be opened.
        """
        ...


def land_query(
    database: DatabaseReader,
    query: Query,
    into: Path,
    *,
    login: Mapping[str, str],
    rows: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[LandedPart, ...]:
    """Land the rows of a query: all of them or none.

    Args:
        database: The module of the kind of its database.
        query: The query.
        into: Folder for the parts, created by the landing.
        login: Secrets of the database by key.
        rows: Number of rows that suffice; None reads all.
        progress: Receives the number of rows read.

    Returns:
        The parts in the order of their rows.

    Raises:
        SourceError: If the statement is refused, or a value or column cannot be taken over exactly.
        UnavailableError: If the database cannot be opened, the connection is lost, or the disk is full.
    """
    with (
        Landing(into, query.title, progress=progress) as landing,
        database.open_query(query, login=login, spill=into / _SPILL) as reader,
    ):
        for table in cancellable(reader.tables(rows), reader.cancel):
            landing.add(table)
        return landing.seal(reader.schema())


def columns_of_query(database: DatabaseReader, query: Query, *, login: Mapping[str, str]) -> tuple[QueryColumn, ...]:
    """Prepare the statement of a query and return its columns.

    Args:
        database: The module of the kind of its database.
        query: The query; none of its rows are read.
        login: Secrets of the database by key.

    Returns:
        The columns in order, those that would be refused included.

    Raises:
        SourceError: If the statement is refused, or returns no rows.
        UnavailableError: If the database cannot be opened.
    """

    def steps() -> Iterator[tuple[QueryColumn, ...]]:
        yield reader.columns()

    with database.open_query(query, login=login, spill=None) as reader:
        [columns] = cancellable(steps(), reader.cancel)
    return columns
