"""Upsert of answers into a table of a SQLite file, in one transaction. Other tables and columns are unchanged."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlite_utils
from sqlite_utils.db import quote_identifier

from batchsync.errors import UnavailableError
from batchsync.sinks import absent, atomic_write, merge
from batchsync.util.parquet_writer import ParquetWriter
from batchsync.util.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from sqlite_utils.db import Table

    from batchsync.core.guards import AbsentAnswers

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


def find_absent(path: Path, table: str, present: pl.LazyFrame, into: Path) -> AbsentAnswers:
    """Write the keys of a table's answers that are not present; see `absent.write_absent`.

    Args:
        path: The SQLite file; it need not exist.
        table: Name of the table; it need not exist.
        present: Keys that have not left the source, with the key columns only.
        into: New Parquet file of the keys.

    Returns:
        The counts and the digest of the keys.

    Raises:
        UnavailableError: If the file is not a SQLite database or is locked, or the table lacks the key columns.
    """
    with _opened(path, table, present) as target:
        if target is None:
            return absent.write_absent(present.clear(), present, into)
        with _exported(target, _names(present), into) as existing:
            return absent.write_absent(existing, present, into)


def remove(path: Path, table: str, keys: pl.LazyFrame) -> int:
    """Remove answers by key from a table in one transaction.

    Args:
        path: The SQLite file; it need not exist.
        table: Name of the table; it need not exist.
        keys: Keys of the answers, with the key columns only.

    Returns:
        The number of answers removed.

    Raises:
        UnavailableError: If the file is not a SQLite database, is locked or full, or the table lacks the key columns.
    """
    with _opened(path, table, keys) as target:
        if target is None:
            return 0
        sql = " ".join(["DELETE FROM", quote_identifier(table), "WHERE", _equals(_names(keys))])
        return target.db.conn.executemany(sql, _tuples(keys)).rowcount


def mark(path: Path, table: str, present: pl.LazyFrame, at: datetime) -> int:
    """Mark answers whose key is not present, and unmark the others, in one transaction.

    Args:
        path: The SQLite file; it need not exist.
        table: Name of the table; it need not exist.
        present: Keys that have not left the source, with the key columns only.
        at: The time to write into `removed_at`.

    Returns:
        The number of answers that changed.

    Raises:
        UnavailableError: If the file is not a SQLite database, is locked or full, or the table lacks the key columns.
    """
    names = _names(present)
    with _opened(path, table, present) as target, scratch_folder() as folder:
        if target is None:
            return 0
        has_marks = absent.REMOVED_AT in target.columns_dict
        columns = (*names, absent.REMOVED_AT) if has_marks else names
        with _exported(target, columns, folder / "marks") as existing:
            rows, changed = absent.with_marks(existing, present, at)
            if not changed:
                return 0
            if not has_marks:
                target.add_column(absent.REMOVED_AT, str)
            assignment = f"{quote_identifier(absent.REMOVED_AT)} = ?"
            sql = " ".join(["UPDATE", quote_identifier(table), "SET", assignment, "WHERE", _equals(names)])
            target.db.conn.executemany(sql, _tuples(rows.filter(absent.CHANGED).select(absent.REMOVED_AT, *names)))
            return changed


@contextmanager
def _opened(path: Path, table: str, keys: pl.LazyFrame) -> Iterator[Table | None]:
    """Yield the table in a transaction, which is committed at the end; None if there is no such file or table."""
    if not path.exists():
        yield None
        return
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            target = sqlite_utils.Database(connection, execute_plugins=False).table(table)
            missing = [name for name in _names(keys) if target.exists() and name not in target.columns_dict]
            if missing:
                raise _unfit(table, path, f"it has no key column {', '.join(missing)}")
            yield target if target.exists() else None
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise UnavailableError(
            f"{path}: cannot update the answers of table {table!r}: {error}",
            hint="release or repair the database, or change `results: path:`, then run `batchsync sync`; "
            "nothing was changed",
        ) from error


@contextmanager
def _exported(target: Table, columns: tuple[str, ...], neighbour: Path) -> Iterator[pl.LazyFrame]:
    """Yield columns of the table, as strings, from a Parquet file that exists meanwhile."""
    file = neighbour.with_name(neighbour.name + ".existing")
    schema = dict.fromkeys(columns, pl.String)
    try:
        with ParquetWriter(file, schema) as out:
            rows = target.rows_where(select=", ".join(map(quote_identifier, columns)))
            while chunk := list(islice(rows, CHUNK_ROWS)):
                frame = pl.DataFrame({name: [row[name] for row in chunk] for name in columns}, strict=False)
                out.add(frame.select(pl.col(name).cast(pl.String) for name in columns))
        yield pl.scan_parquet(file, glob=False) if file.exists() else pl.LazyFrame(schema=schema)
    finally:
        file.unlink(missing_ok=True)


def _equals(names: tuple[str, ...]) -> str:
    return " AND ".join(f"{quote_identifier(name)} = ?" for name in names)


def _names(keys: pl.LazyFrame) -> tuple[str, ...]:
    return tuple(keys.collect_schema().names())


def _tuples(rows: pl.LazyFrame) -> Iterator[tuple[Any, ...]]:
    for frame in rows.collect_batches(chunk_size=CHUNK_ROWS, maintain_order=True):
        yield from frame.iter_rows()


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
