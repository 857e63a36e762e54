"""Ports of source fetchers: what brings sources elsewhere to local files, and the function that chooses among them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from batchsync.core.job import Source
    from batchsync.core.object_storage import Storage
    from batchsync.core.query import Database
    from batchsync.ports.network import Proxy


class Logins(Protocol):
    """Resolves the references of databases, when one is opened and no earlier."""

    def __call__(self, database: Database, /) -> Mapping[str, str]:
        """Return the secrets of a database by key: `url`, or `password` if the connection has one.

        Args:
            database: The database; one that is a file has no secrets.

        Raises:
            UnavailableError: If a reference has no value.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageAccess:
    """What the references of a storage stand for: credentials by name, and the proxy."""

    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: Proxy | None = field(default=None, repr=False)


class AccessOf(Protocol):
    """Resolves the references of a storage, when it is used and no earlier."""

    def __call__(self, storage: Storage, /) -> StorageAccess:
        """Return the access to a storage.

        Args:
            storage: The storage.

        Raises:
            UnavailableError: If a reference has no value.
        """
        ...


class SourceFetcher(Protocol):
    """Fetcher behind an entry point of the group `batchsync.source_fetchers`, named by the scheme of its sources."""

    def __call__(self, source: Source, into: Path, *, since: str | None = None, rows: int | None = None) -> Source:
        """Bring a source to local files with a pinned version.

        Called once per run, before anything is compared. Both passes over the rows read the returned files.

        Args:
            source: The source; `path` says where it is.
            into: Existing, empty folder of the run, which is removed with it.
            since: Rows with a smaller value of the `send: since` column may be left out. Given only if their absence
                means nothing: no record may be removed or sent again because of it.
            rows: Number of rows that suffice, for a look at the columns; None fetches all.

        Returns:
            The source with `parts` in `into`, each with its digest, and with the `version` that they are of. `format`
            is set unless it follows from the endings of the parts.

        Raises:
            SourceError: If the source is not as declared.
            UnavailableError: If it cannot be reached.
        """
        ...


class FetchSource(Protocol):
    """Brings any source to local files: local ones as they are, others through their database or fetcher."""

    def __call__(
        self,
        source: Source,
        into: Path,
        *,
        progress: Callable[[int], None] | None = None,
        join_progress: Callable[[int, int], None] | None = None,
    ) -> Source:
        """Return a source of local files. Called once per run, before anything is compared.

        Args:
            source: The source of a job.
            into: Folder for landed files, created only if the source is elsewhere; removed with the run.
            progress: Receives the number of rows landed so far, if they are known; of stored files that of bytes.
            join_progress: Receives the same of each join, after the number of the join.

        Returns:
            The source itself if it is local, else with landed `parts`.

        Raises:
            SourceError: If the source is not as declared, or a value cannot be taken over exactly.
            UnavailableError: If it cannot be reached, or the disk is full.
        """
        ...
