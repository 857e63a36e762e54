"""Implementation of the port `Sink`: answers are upserted into the file or table of a job's `results:`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from batchsync.errors import BatchsyncError, UnavailableError
from batchsync.ports import StorageAccess
from batchsync.sinks import files, sqlite_table, stored
from batchsync.util.path_fence import PathFence

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from batchsync.core.guards import AbsentAnswers
    from batchsync.core.job import Results
    from batchsync.ports import AccessOf

DEFAULT_TABLE = "answers"


def _path(results: Results) -> Path:
    """Return the path of results.

    Raises:
        UnavailableError: If a link leads it out of the folders that it must be below.
    """
    if objection := PathFence(results.roots).objection(results.path):
        hint = "change `results: path:` or remove the link, then run `batchsync resume`; the collected answers are kept"
        raise UnavailableError(f"{results.path} {objection}", hint=hint)
    return Path(results.path)


class Sinks:
    """All kinds of sinks behind the port."""

    def __init__(self, access: AccessOf | None = None) -> None:
        """Keep what resolves the references of storages; None if no results are written to one."""
        self._access = access or (lambda _: StorageAccess())

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
        if results.storage is not None:
            deliver = partial(self.deliver, answers, key=key)
            return stored.update(results, results.storage, self._access, deliver)
        incoming = _checked(answers, tuple(key))
        if results.format == "sqlite":
            return sqlite_table.upsert(incoming, _path(results), results.table or DEFAULT_TABLE, tuple(key))
        return files.upsert(incoming, _path(results), results.format, tuple(key))

    def find_absent(self, results: Results, present: Path, into: Path) -> AbsentAnswers:
        """Find the answers of keys that left the source. Changes nothing.

        Args:
            results: The destination; it need not exist.
            present: Parquet file of the key columns, as strings, of all keys that have not left the source.
            into: New Parquet file of the keys found, sorted, with the columns of `present`.

        Returns:
            Their number and digest.

        Raises:
            UnavailableError: If the destination cannot be read as its format or lacks the key columns.
        """
        if results.storage is not None:
            find = partial(self.find_absent, present=present, into=into)
            return stored.look(results, results.storage, self._access, find)
        keys = pl.scan_parquet(present, glob=False)
        if results.format == "sqlite":
            return sqlite_table.find_absent(_path(results), results.table or DEFAULT_TABLE, keys, into)
        return files.find_absent(_path(results), results.format, keys, into)

    def remove(self, results: Results, absent: Path) -> int:
        """Remove answers by key, in one transaction or by replacing the file; keys without an answer are ignored.

        Args:
            results: The destination.
            absent: Parquet file of the keys, of `find_absent`.

        Returns:
            The number of answers removed.

        Raises:
            UnavailableError: If the destination cannot be written, or its content cannot be read as its format or lacks
                the key columns. Nothing was changed then.
        """
        if results.storage is not None:
            return stored.update(results, results.storage, self._access, partial(self.remove, absent=absent))
        keys = pl.scan_parquet(absent, glob=False)
        if results.format == "sqlite":
            return sqlite_table.remove(_path(results), results.table or DEFAULT_TABLE, keys)
        return files.remove(_path(results), results.format, keys)

    def mark(self, results: Results, present: Path, at: datetime) -> int:
        """Set the column `removed_at` of answers whose key left the source, and clear it where the key is back.

        Args:
            results: The destination; it need not exist.
            present: As for `find_absent`.
            at: The time to set. Answers that are marked already keep theirs.

        Returns:
            The number of answers that changed; without any, the destination is not written.

        Raises:
            UnavailableError: If the destination cannot be written, or its content cannot be read as its format or lacks
                the key columns. Nothing was changed then.
        """
        if results.storage is not None:
            return stored.update(results, results.storage, self._access, partial(self.mark, present=present, at=at))
        keys = pl.scan_parquet(present, glob=False)
        if results.format == "sqlite":
            return sqlite_table.mark(_path(results), results.table or DEFAULT_TABLE, keys, at)
        return files.mark(_path(results), results.format, keys, at)


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
