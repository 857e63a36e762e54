"""The port `Sink`: answers go to the file or the table that a job's `results:` names.

It does not know what the columns mean.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from lading.errors import EnvironmentProblem, LadingError
from lading.sinks import files, sqlite_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading.core.job import Results

DEFAULT_TABLE = "answers"


class Sinks:
    """Every kind of sink behind the one port. It keeps nothing between calls."""

    def deliver(self, answers: Path, results: Results, key: Sequence[str]) -> int:
        """Upsert the answers by the key columns and return how many rows the file or table now holds.

        A row that was answered before is replaced where it stands, in the columns that the answers have; columns that
        they do not have keep their values. New rows follow in the order of the answers, new columns follow the old
        ones, and old rows hold nulls in them. If the answers have a key twice, the last one counts.

        Args:
            answers: a Parquet file with the key columns and the vendor's columns.
            results: where the answers go; `format` is csv, parquet, jsonl or sqlite.
            key: the names of the columns that identify a row.

        Raises:
            EnvironmentProblem: the place cannot be written, or what stands there cannot be read as its format or has
                no such key. Nothing was changed then.
        """
        fresh = _checked(answers, tuple(key))
        if results.format == "sqlite":
            return sqlite_table.upsert(fresh, Path(results.path), results.table or DEFAULT_TABLE, tuple(key))
        return files.upsert(fresh, Path(results.path), results.format, tuple(key))


def _checked(answers: Path, key: tuple[str, ...]) -> pl.LazyFrame:
    """Return the answers, each key once; a key column that is absent or empty is a fault of ours, not of the user."""
    try:
        frame = pl.scan_parquet(answers, glob=False)
        columns = frame.collect_schema().names()
        missing = [name for name in key if name not in columns]
        if missing:
            raise LadingError(f"the answers in {answers} have no column {', '.join(missing)}")
        without = frame.filter(pl.any_horizontal(pl.col(key).is_null())).select(pl.len()).collect().item()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise EnvironmentProblem(
            f"the collected answers in {answers} cannot be read: {type(error).__name__}",
            hint="run the same command again; if it stays, `lading doctor` checks the state folder",
        ) from error
    if without:
        raise LadingError(f"{without} of the answers in {answers} have an empty key")
    return frame.unique(subset=list(key), keep="last", maintain_order=True)
