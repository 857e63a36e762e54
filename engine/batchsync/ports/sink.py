"""Port of sinks, the destinations of lookup results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from batchsync.core.guards import AbsentAnswers
    from batchsync.core.job import Results


class Sink(Protocol):
    """Destination of the answers of a lookup. Delivering the same answers again leaves the same content."""

    def deliver(self, answers: Path, results: Results, key: Sequence[str]) -> int:
        """Upsert the answers by the key columns.

        Args:
            answers: Parquet file of the answers.
            results: The destination.
            key: Names of the key columns.

        Returns:
            The number of rows that the destination now holds.
        """
        ...

    def find_absent(self, results: Results, present: Path, into: Path) -> AbsentAnswers:
        """Find the answers of keys that left the source. Changes nothing.

        Args:
            results: The destination; it need not exist.
            present: Parquet file of the key columns, as strings, of all keys that have not left the source.
            into: New Parquet file of the keys found, with the columns of `present`.

        Returns:
            Their number and digest.
        """
        ...

    def remove(self, results: Results, absent: Path) -> int:
        """Remove answers; keys without an answer are ignored.

        Args:
            results: The destination.
            absent: Parquet file of the keys, of `find_absent`.

        Returns:
            The number of answers removed.
        """
        ...

    def mark(self, results: Results, present: Path, at: datetime) -> int:
        """Set the column `removed_at` of answers whose key left the source, and clear it where the key is back.

        Args:
            results: The destination; it need not exist.
            present: As for `find_absent`.
            at: The time to set. Answers that are marked already keep theirs.

        Returns:
            The number of answers that changed.
        """
        ...
