"""Task that reads one partition of a source and adds the keys: picklable, run by any executor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame.ordering import greatest
from batchsync.data.record.keys import with_keys
from batchsync.data.record.task_spec import CompiledTask, compile_task
from batchsync.data.row.joins import join_all

if TYPE_CHECKING:
    from batchsync.data.row.partitions import Partition


@dataclass(frozen=True, slots=True)
class KeyTask:
    """Read a partition and add the keys of its rows. `spec` is a pickled `TaskSpec`."""

    spec: bytes
    part: Partition


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """Keyed rows of a partition.

    Attributes:
        rows: Columns of the source and its joins, `ROW: i64` and `KEY: str`.
        count: Number of rows read.
        last: Number of the last row.
        keyless: Rows without a key, as invalid records (columns `INVALID_RECORDS`).
        watermark: Greatest value of `send: since` as a series of one value; None without `since`.
    """

    rows: pl.DataFrame
    count: int
    last: int
    keyless: pl.DataFrame
    watermark: pl.Series | None


def prepare_keys(task: KeyTask) -> Keyed:
    """Return the keyed rows of a task.

    Raises:
        SourceError: If the partition cannot be read.
    """
    return read_keys(compile_task(task.spec), task.part)


def read_keys(setup: CompiledTask, part: Partition) -> Keyed:
    """Read a partition and add the keys of its rows.

    Args:
        setup: The compiled task.
        part: The partition.

    Returns:
        The keyed rows.
    """
    compiled = setup.compiled
    rows = join_all(part.read(), setup.lookups)
    since = compiled.job.send.since
    watermark = None if since is None or not rows.height else _greatest(rows[since])
    kept, keyless = with_keys(compiled, rows)
    return Keyed(rows=kept, count=rows.height, last=part.last, keyless=keyless, watermark=watermark)


def _greatest(values: pl.Series) -> pl.Series:
    """Return the greatest of some values as a series of one value."""
    maximum = greatest(values) if values.dtype == pl.String else values.max()
    return pl.Series(values.name, [maximum], dtype=values.dtype)
