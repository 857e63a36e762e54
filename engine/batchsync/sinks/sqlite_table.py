"""Answers in a table of a SQLite file: all of them or none, each key once, other tables and columns left alone.

It does not know jobs, and it is not the journal: the file is the user's own.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlite_utils

from lading.errors import EnvironmentProblem
from lading.sinks import disk, merge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlite_utils.db import Table

BUSY_TIMEOUT_S = 30.0
ROWS_AT_ONCE = 10_000
_NUMERIC = ("INT", "REAL", "FLOA", "DOUB", "NUM", "DEC")


def upsert(fresh: pl.LazyFrame, path: Path, table: str, key: tuple[str, ...]) -> int:
    """Upsert answers into a table in one transaction and return how many rows it now holds.

    The table is made if it is not there, with the key as its primary key and one column for each of the answers.

    Raises:
        EnvironmentProblem: the file is no SQLite database, is locked or full, or the table has another primary key.
    """
    file = disk.real_file(path)
    rows = _storable(fresh)
    try:
        # isolation_level None: we alone begin and end transactions.
        with closing(sqlite3.connect(file, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            database = sqlite_utils.Database(connection, execute_plugins=False)
            if table in database.view_names():
                raise _unfit(table, file, "it is a view")
            target = database.table(table)
            _prepare(target, file, rows.collect_schema(), key)
            target.upsert_all(_records(rows), pk=key, batch_size=ROWS_AT_ONCE)
            count = target.count
            connection.execute("COMMIT")
            return count
    except sqlite3.Error as error:
        # SQLite's own words name tables and columns, never values.
        raise EnvironmentProblem(
            f"the answers cannot be added to table {table!r} of {file}: {error}",
            hint="end what holds or fills the database, repair it, or change `results: path:`, then run "
            "`lading resume`; nothing was changed, and the answers are kept",
        ) from error


def _prepare(target: Table, file: Path, columns: pl.Schema, key: tuple[str, ...]) -> None:
    if not target.exists():
        target.create({name: _kind(kind) for name, kind in columns.items()}, pk=key, not_null=set(key))
        return
    if sorted(target.pks) != sorted(key):
        raise _unfit(target.name, file, f"its primary key is not ({', '.join(key)})")
    held = {column.name: column.type for column in target.columns}
    for name in key:
        if columns[name] == pl.String and any(word in held[name].upper() for word in _NUMERIC):
            raise _unfit(target.name, file, f"its key column {name} would turn text such as 00123 into a number")
    # SQLite tells no column names apart by letter case alone.
    known = {name.lower() for name in held}
    for name, kind in columns.items():
        if name.lower() not in known:
            target.add_column(name, _kind(kind))


def _storable(fresh: pl.LazyFrame) -> pl.LazyFrame:
    """Return the answers as SQLite can keep them: integers, reals, bytes, and everything else as text."""
    return merge.as_text(fresh, keep=lambda kind: _kind(kind) is not str)


def _records(rows: pl.LazyFrame) -> Iterator[dict[str, Any]]:
    for frame in rows.collect_batches(chunk_size=ROWS_AT_ONCE, maintain_order=True):
        yield from frame.iter_rows(named=True)


def _kind(kind: pl.DataType) -> type:
    # Of the integers, SQLite holds those of 64 bits with a sign.
    if (kind.is_integer() and not isinstance(kind, pl.UInt64 | pl.Int128 | pl.UInt128)) or isinstance(kind, pl.Boolean):
        return int
    if kind.is_float():
        return float
    return bytes if isinstance(kind, pl.Binary) else str


def _unfit(table: str, file: Path, why: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"the answers cannot be added to table {table!r} of {file}: {why}",
        hint="name another table in `results: table:`, or rename this one, then run `lading resume`; nothing was "
        "changed, and the answers are kept",
    )
