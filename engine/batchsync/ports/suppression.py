"""Port of suppression lists: read to digests of their values, and looked up for the rows of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.batch import Batch
    from batchsync.core.job import Suppress


class SuppressionLists(Protocol):
    """Operations on suppression lists; the data engine implements them."""

    def read_list(self, suppress: Suppress, into: Path) -> Path:
        """Read a list and return a Parquet file with the digest of each of its values.

        Args:
            suppress: The list, with its source as local files.
            into: Existing private folder.

        Raises:
            SourceError: If the list cannot be read, or has no such column.
        """
        ...

    def listed_rows(self, batch: Batch, suppress: Suppress, listed: Path) -> int | None:
        """Return how many records of a batch are on a list.

        Args:
            batch: The batch.
            suppress: The suppression list of its job.
            listed: The file of `read_list`.

        Returns:
            The number; None if the batch was prepared without this list, so that it is not known.
        """
        ...
