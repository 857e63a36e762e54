"""Upsert of answers into a table of a SQLite file, in one transaction. Other tables and columns are unchanged."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlite_utils

from batchsync.errors import UnavailableError
from batchsync.sinks import atomic_write, merge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlite_utils.db import Table

BUSY_TIMEOUT_S = 30.0
CHUNK_ROWS = 10_000
_NUMERIC = ("INT", "REAL", "FLOA", "DOUB", "NUM", "DEC")


def upsert(incoming: pl.LazyFrame, path: Path, table: str, key: tuple[str, ...]) -> int:
    """Upsert answers into a table in one transaction.

    The table is created if it does not exist, with the key as its primary key and one column for each of the answers'.

    Args:
        incoming: The answers, each key once.
        path: The SQLite file; created if it does not exist.
        table: Name of the table.
        key: Names of the key columns.

    Returns:
        The number of rows that the table now holds.

    Raises:
        UnavailableError: If the file is not a SQLite database, is locked or full, or the table has another primary key.
    """
    file = atomic_write.real_file(path)
    rows = _storable(incoming)
    try:
        # isolation_level None: transactions begin and end only where this function does so.
        with closing(sqlite3.connect(file, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            database = sqlite_utils.Database(connection, execute_plugins=False)
            if table in database.view_names():
                unfit = _unfit(table, file, "it is a view")
                raise unfit
            target = database.table(table)
            _prepare(target, file, rows.collect_schema(), key)
            target.upsert_all(_records(rows), pk=key, batch_size=CHUNK_ROWS)
            count = target.count
            connection.execute("COMMIT")
            return count
    except sqlite3.Error as error:
        # SQLite's messages name tables and columns, never values.
        raise UnavailableError(
            f"{file}: cannot add the answers to table {table!r}: {error}",
            hint="release or repair the database, or change `results: path:`, then run `batchsync resume`; "
            "nothing was changed, and the collected answers are kept",
        ) from error


def _prepare(target: Table, file: Path, columns: pl.Schema, key: tuple[str, ...]) -> None:
    if not target.exists():
        target.create({name: _column_type(dtype) for name, dtype in columns.items()}, pk=key, not_null=set(key))
        return
    if sorted(target.pks) != sorted(key):
        raise _unfit(target.name, file, f"its primary key is not ({', '.join(key)})")
    existing = {column.name: column.type for column in target.columns}
    for name in key:
        if columns[name] == pl.String and any(affinity in existing[name].upper() for affinity in _NUMERIC):
            raise _unfit(target.name, file, f"its key column {name} would turn text such as 00123 into a number")
    # Column names in SQLite are case-insensitive.
    existing_names = {name.lower() for name in existing}
    for name, dtype in columns.items():
        if name.lower() not in existing_names:
            target.add_column(name, _column_type(dtype))


def _storable(incoming: pl.LazyFrame) -> pl.LazyFrame:
    """Return the answers in types that SQLite stores: integers, reals, bytes, and everything else as text."""
    return merge.as_text(incoming, keep=lambda dtype: _column_type(dtype) is not str)


def _records(rows: pl.LazyFrame) -> Iterator[dict[str, Any]]:
    for frame in rows.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=True):
        yield from frame.iter_rows(named=True)


def _column_type(dtype: pl.DataType) -> type:
    # SQLite integers are signed 64-bit.
    if (dtype.is_integer() and not isinstance(dtype, pl.UInt64 | pl.Int128 | pl.UInt128)) or isinstance(
        dtype, pl.Boolean
    ):
        return int
    if dtype.is_float():
        return float
    return bytes if isinstance(dtype, pl.Binary) else str


def _unfit(table: str, file: Path, reason: str) -> UnavailableError:
    return UnavailableError(
        f"{file}: cannot add the answers to table {table!r}: {reason}",
        hint="set `results: table:` to another table, or rename this table, then run `batchsync resume`; "
        "nothing was changed, and the collected answers are kept",
    )
