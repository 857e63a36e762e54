"""Upsert of answers into a CSV, Parquet or JSONL file. The bytes depend on the file's rows and the answers alone.

CSV columns are read as strings: no type is inferred.
"""

from __future__ import annotations

import csv
import glob
from typing import TYPE_CHECKING

import polars as pl

from batchsync.errors import UnavailableError
from batchsync.sinks import absent, atomic_write, merge

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from batchsync.core.guards import AbsentAnswers

# Fixed, so that the bytes do not depend on the number of threads.
ROW_GROUP_ROWS = 250_000
_NAMES = {"csv": "CSV in UTF-8", "parquet": "Parquet", "jsonl": "JSON lines in UTF-8"}


def upsert(incoming: pl.LazyFrame, path: Path, file_format: str, key: tuple[str, ...]) -> int:
    """Upsert answers into a file.

    Args:
        incoming: The answers, each key once.
        path: The file; created if it does not exist.
        file_format: csv, parquet or jsonl.
        key: Names of the key columns.

    Returns:
        The number of rows that the file now holds.

    Raises:
        UnavailableError: If the file cannot be written, or its content cannot be read or lacks the key columns.
    """
    file = atomic_write.real_file(path)
    if file_format == "csv":
        incoming = merge.as_text(incoming)
    with atomic_write.exclusive_dir_lock(file.parent), atomic_write.translate_os_errors(path):
        existing = _existing(file, file_format, key)
        with atomic_write.atomic_write(file) as temporary:
            try:
                _write(
                    incoming if existing is None else merge.merge_rows(existing, incoming, key), temporary, file_format
                )
                return int(_scan(temporary, file_format).select(pl.len()).collect().item())
            except pl.exceptions.PolarsError as error:
                unreadable = _unreadable(file, file_format)
                raise unreadable from error


def find_absent(path: Path, file_format: str, present: pl.LazyFrame, into: Path) -> AbsentAnswers:
    """Write the keys of a file's answers that are not present; see `absent.write_absent`.

    Args:
        path: The file; it need not exist.
        file_format: csv, parquet or jsonl.
        present: Keys that have not left the source, with the key columns only.
        into: New Parquet file of the keys.

    Returns:
        The counts and the digest of the keys.

    Raises:
        UnavailableError: If the file cannot be read, or lacks the key columns.
    """
    with atomic_write.translate_os_errors(path):
        existing = _existing(path, file_format, _names(present))
        try:
            return absent.write_absent(present.clear() if existing is None else existing, present, into)
        except pl.exceptions.PolarsError as error:
            unreadable = _unreadable(path, file_format)
            raise unreadable from error


def remove(path: Path, file_format: str, keys: pl.LazyFrame) -> int:
    """Remove answers by key from a file. Without any, the file is not written.

    Args:
        path: The file; it need not exist.
        file_format: csv, parquet or jsonl.
        keys: Keys of the answers, with the key columns only.

    Returns:
        The number of answers removed.

    Raises:
        UnavailableError: If the file cannot be written, or its content cannot be read or lacks the key columns.
    """
    return _rewrite(path, file_format, _names(keys), lambda existing: absent.without(existing, keys))


def mark(path: Path, file_format: str, present: pl.LazyFrame, at: datetime) -> int:
    """Mark answers whose key is not present, and unmark the others. Without a change, the file is not written.

    Args:
        path: The file; it need not exist.
        file_format: csv, parquet or jsonl.
        present: Keys that have not left the source, with the key columns only.
        at: The time to write into `removed_at`.

    Returns:
        The number of answers that changed.

    Raises:
        UnavailableError: If the file cannot be written, or its content cannot be read or lacks the key columns.
    """

    def marked(existing: pl.LazyFrame) -> tuple[pl.LazyFrame, int]:
        rows, changed = absent.with_marks(existing, present, at)
        return rows.drop(absent.CHANGED), changed

    return _rewrite(path, file_format, _names(present), marked)


def _names(keys: pl.LazyFrame) -> tuple[str, ...]:
    return tuple(keys.collect_schema().names())


def _rewrite(
    path: Path, file_format: str, key: tuple[str, ...], change: Callable[[pl.LazyFrame], tuple[pl.LazyFrame, int]]
) -> int:
    """Replace a file atomically by its changed rows, if any changes; return how many do."""
    if not path.exists():
        return 0
    file = atomic_write.real_file(path)
    with atomic_write.exclusive_dir_lock(file.parent), atomic_write.translate_os_errors(path):
        existing = _existing(file, file_format, key)
        if existing is None:
            return 0
        try:
            rows, changed = change(existing)
            if changed:
                with atomic_write.atomic_write(file) as temporary:
                    _write(rows, temporary, file_format)
        except pl.exceptions.PolarsError as error:
            raise _unreadable(file, file_format) from error
        return changed


def _existing(file: Path, file_format: str, key: tuple[str, ...]) -> pl.LazyFrame | None:
    """Return the rows of the file; None if it does not exist or is empty."""
    if not file.exists() or file.stat().st_size == 0:
        return None
    try:
        existing = _scan(file, file_format)
        names = existing.collect_schema().names()
        missing = [name for name in key if name not in names]
        if missing:
            raise _unfit(file, f"has no key column {', '.join(missing)}")
        duplicates = merge.repeated_keys(existing, key)
    except (pl.exceptions.PolarsError, csv.Error) as error:
        raise _unreadable(file, file_format) from error
    if duplicates:
        raise _unfit(file, f"contains {duplicates} duplicate key{'s' if duplicates > 1 else ''}")
    return existing


def _scan(file: Path, file_format: str) -> pl.LazyFrame:
    match file_format:
        case "csv":
            # A blank line is not a row; an empty cell is null, and "" is an empty string.
            frame = pl.scan_csv(file, infer_schema=False, new_columns=_header(file), glob=False)
            return frame.filter(~pl.all_horizontal(pl.all().is_null()))
        case "parquet":
            return pl.scan_parquet(file, glob=False)
        case _:
            # scan_ndjson has no option that turns off glob patterns.
            return pl.scan_ndjson(glob.escape(str(file)), infer_schema_length=None)


def _write(frame: pl.LazyFrame, file: Path, file_format: str) -> None:
    match file_format:
        case "csv":
            frame.sink_csv(file, check_extension=False)
        case "parquet":
            frame.sink_parquet(file, compression="zstd", row_group_size=ROW_GROUP_ROWS)
        case _:
            frame.sink_ndjson(file, check_extension=False)


def _header(file: Path) -> list[str]:
    """Return the column names of a CSV file, unquoted.

    polars leaves quotes in a column name doubled and renames the second of two equal names; the file would be rewritten
    with other names.
    """
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        header = next(csv.reader(stream), [])
    duplicates = sorted({name for name in header if header.count(name) > 1})
    if duplicates:
        raise _unfit(file, f"has more than one column named {', '.join(map(repr, duplicates))}")
    if not header:
        raise _unfit(file, "begins with a blank line instead of a header")
    return header


def _unreadable(file: Path, file_format: str) -> UnavailableError:
    # The reader's message is omitted: it quotes row values.
    return _unfit(file, f"cannot be read as {_NAMES[file_format]}, or its columns cannot hold the answers")


def _unfit(file: Path, defect: str) -> UnavailableError:
    return UnavailableError(
        f"{file}: cannot update the results: the file {defect}",
        hint="repair the file, or move it away so that a new file is written, then run `batchsync resume`, and "
        "`batchsync sync` for a new run; the file is unchanged and the collected answers are kept",
    )
