"""Port of source fetchers: what brings a source elsewhere to local files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.job import Source


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
