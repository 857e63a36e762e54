"""Fetch a source: local files stay where they are, others are landed by the fetcher that claims their scheme."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from batchsync.core.source_path import scheme_of
from batchsync.errors import SourceError
from batchsync.util.files import make_private
from batchsync.util.plugins import SOURCE_FETCHERS, load_plugin

if TYPE_CHECKING:
    from batchsync.core.job import Source
    from batchsync.ports import SourceFetcher


def fetch(source: Source, into: Path, *, since: str | None = None, rows: int | None = None) -> Source:
    """Return a source of local files; the port `SourceFetcher` for every scheme.

    Args:
        source: The source of a job.
        into: Folder for landed files, created only if the source is elsewhere.
        since: See `SourceFetcher`.
        rows: See `SourceFetcher`.

    Returns:
        The source itself if it is local, else the landed source.

    Raises:
        SourceError: If the source is not as declared, or its fetcher lands files outside of `into`.
        UnavailableError: If the source cannot be reached, or no installed package fetches it.
    """
    if source.is_local:
        return source
    fetcher: SourceFetcher = load_plugin(SOURCE_FETCHERS, scheme_of(source.path))
    make_private(into)
    landed = fetcher(source, into, since=since, rows=rows)
    if not landed.parts or not all(Path(part.path).is_relative_to(into) for part in landed.parts):
        hint = "report the defect to the maintainers of the package that fetches it; nothing was sent"
        raise SourceError(f"{source.path} was not landed in {into}", hint=hint)
    return landed
