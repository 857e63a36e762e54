"""Implementation of the port `Sink`: answers are upserted into the file or table of a job's `results:`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from batchsync.errors import BatchsyncError, UnavailableError
from batchsync.sinks import files, sqlite_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchsync.core.job import Results

DEFAULT_TABLE = "answers"


class Sinks:
    """All kinds of sinks behind the port. Stateless."""

    def deliver(self, answers: Path, results: Results, key: Sequence[str]) -> int:
        """Upsert the answers by the key columns.

        A row that was answered before is replaced in place, in the columns that the answers have; columns that they do
        not have keep their values. New rows follow in the order of the answers, new columns follow the old ones, and
        old rows hold nulls in them. If the answers contain a key twice, the last row wins.

        Args:
            answers: A Parquet file with the key columns and the vendor's columns.
            results: The destination; `format` is csv, parquet, jsonl or sqlite.
            key: Names of the key columns.

        Returns:
            The number of rows that the file or table now holds.

        Raises:
            UnavailableError: If the destination cannot be written, or its content cannot be read as its format or lacks
                the key columns. Nothing was changed then.
            BatchsyncError: If the answers lack a key column or have an empty key.
        """
        incoming = _checked(answers, tuple(key))
        if results.format == "sqlite":
            return sqlite_table.upsert(incoming, Path(results.path), results.table or DEFAULT_TABLE, tuple(key))
        return files.upsert(incoming, Path(results.path), results.format, tuple(key))


def _checked(answers: Path, key: tuple[str, ...]) -> pl.LazyFrame:
    """Return the answers, each key once. A missing or empty key column is a defect of batchsync."""
    try:
        frame = pl.scan_parquet(answers, glob=False)
        columns = frame.collect_schema().names()
        missing = [name for name in key if name not in columns]
        if missing:
            raise BatchsyncError(f"{answers}: the answers have no column {', '.join(missing)}")
        null_keys = frame.filter(pl.any_horizontal(pl.col(key).is_null())).select(pl.len()).collect().item()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UnavailableError(
            f"{answers}: cannot read the collected answers: {type(error).__name__}",
            hint="run the same command again; if the error persists, `batchsync doctor` checks the state folder",
        ) from error
    if null_keys:
        raise BatchsyncError(f"{answers}: {null_keys} answers have an empty key")
    return frame.unique(subset=list(key), keep="last", maintain_order=True)
