"""Answers in a CSV, Parquet or JSONL file: merged with what the file holds, in bytes that depend on nothing else.

It does not know jobs. Text in CSV stays text: nothing in it is read as a number or a date.
"""

from __future__ import annotations

import csv
import glob
from typing import TYPE_CHECKING

import polars as pl

from lading.errors import EnvironmentProblem
from lading.sinks import disk, merge

if TYPE_CHECKING:
    from pathlib import Path

# Fixed, so that the bytes do not depend on how many threads wrote them.
ROW_GROUP_ROWS = 250_000
_NAMES = {"csv": "CSV in UTF-8", "parquet": "Parquet", "jsonl": "JSON lines in UTF-8"}


def upsert(fresh: pl.LazyFrame, path: Path, kind: str, key: tuple[str, ...]) -> int:
    """Upsert answers into a file and return how many rows it now holds. `kind` is csv, parquet or jsonl.

    Raises:
        EnvironmentProblem: the file cannot be written, or what it holds cannot be read or has no such key.
    """
    file = disk.real_file(path)
    if kind == "csv":
        fresh = merge.as_text(fresh)
    with disk.alone_in(file.parent), disk.spoken(path):
        held = _held(file, kind, key)
        with disk.replacing(file) as temporary:
            try:
                _write(fresh if held is None else merge.merged(held, fresh, key), temporary, kind)
                return int(_scan(temporary, kind).select(pl.len()).collect().item())
            except pl.exceptions.PolarsError as error:
                raise _unreadable(file, kind) from error


def _held(file: Path, kind: str, key: tuple[str, ...]) -> pl.LazyFrame | None:
    """Return what the file holds; None when it is absent or has no bytes."""
    if not file.exists() or file.stat().st_size == 0:
        return None
    try:
        held = _scan(file, kind)
        names = held.collect_schema().names()
        missing = [name for name in key if name not in names]
        if missing:
            raise _unfit(file, f"has no column {', '.join(missing)}, by which its rows are told apart")
        repeated = merge.repeated_keys(held, key)
    except (pl.exceptions.PolarsError, csv.Error) as error:
        raise _unreadable(file, kind) from error
    if repeated:
        raise _unfit(file, f"holds {repeated} key{'s' if repeated > 1 else ''} more than once")
    return held


def _scan(file: Path, kind: str) -> pl.LazyFrame:
    match kind:
        case "csv":
            # A blank line is no row; an empty cell is null, and "" is an empty text.
            frame = pl.scan_csv(file, infer_schema=False, new_columns=_header(file), glob=False)
            return frame.filter(~pl.all_horizontal(pl.all().is_null()))
        case "parquet":
            return pl.scan_parquet(file, glob=False)
        case _:
            # This reader alone cannot be told that a name is no pattern.
            return pl.scan_ndjson(glob.escape(str(file)), infer_schema_length=None)


def _write(frame: pl.LazyFrame, file: Path, kind: str) -> None:
    match kind:
        case "csv":
            frame.sink_csv(file, check_extension=False)
        case "parquet":
            frame.sink_parquet(file, compression="zstd", row_group_size=ROW_GROUP_ROWS)
        case _:
            frame.sink_ndjson(file, check_extension=False)


def _header(file: Path) -> list[str]:
    """Return the column names of a CSV file as they are meant.

    The columnar reader leaves quotes in a name doubled, and renames the second column of one name: the file would not
    come back as it was.
    """
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        header = next(csv.reader(stream), [])
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise _unfit(file, f"has more than one column named {', '.join(map(repr, repeated))}")
    if not header:
        raise _unfit(file, "begins with a blank line, not with the names of its columns")
    return header


def _unreadable(file: Path, kind: str) -> EnvironmentProblem:
    # What the reader says is left out: it quotes the rows.
    return _unfit(file, f"cannot be read as {_NAMES[kind]}, or its columns cannot hold the answers")


def _unfit(file: Path, what: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"the answers cannot be added to {file}: it {what}",
        hint="repair the file, or move it away so that a new one is written, then run `lading resume`; "
        "neither the file nor the answers are touched until then",
    )
