"""Task that encodes the changed records of one partition: picklable, run by any executor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.batchfile.encode import Encoded, encode_changes, encode_removals
from batchsync.data.frame import columns
from batchsync.data.record.keyed_rows import with_keys
from batchsync.data.row.joins import join_all

if TYPE_CHECKING:
    from batchsync.data.record.keyed_rows import TaskSpec
    from batchsync.data.row.partitions import Partition


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTask:
    """Encode rows that are to be sent.

    Attributes:
        spec: Specification of all tasks.
        first: Index of the first record within the run, from 0.
        parts: Partitions, each with the changes of its rows (columns of `Changes.until`), in source order.
        rows: Keyed rows, or keys to remove, instead of `parts`.
        removal: Whether `rows` are keys to remove.
    """

    spec: TaskSpec
    first: int
    parts: tuple[tuple[Partition, pl.DataFrame], ...] = ()
    rows: pl.DataFrame | None = None
    removal: bool = False


def prepare_lines(task: StageTask) -> Encoded:
    """Return the packed lines of a task with their row manifest.

    Raises:
        SourceError: If a row differs from the compared one.
    """
    spec = task.spec
    if task.removal and task.rows is not None:
        return encode_removals(spec.compiled, task.rows, task.first)
    return encode_changes(spec.compiled, keyed_rows(task), task.first)


def keyed_rows(task: StageTask) -> pl.DataFrame:
    """Return the rows of a task that are to be sent, with their keys and the columns of `Changes.until`.

    Args:
        task: The task; it has no keys to remove.

    Raises:
        SourceError: If its partitions cannot be read.
    """
    if task.rows is not None:
        return task.rows
    rows = pl.concat([_changed_rows(part.read(), sent) for part, sent in task.parts])
    kept, _ = with_keys(task.spec.compiled, join_all(rows, task.spec.lookups))
    return kept


def _changed_rows(frame: pl.DataFrame, sent: pl.DataFrame) -> pl.DataFrame:
    """Return the changed rows of a partition; if they are few, with string buffers of their own.

    Filtered rows keep the string buffers of the whole partition alive; a few rows of each of many partitions would
    hold the whole source in memory.
    """
    changed = with_changes(frame, sent, columns.ROW)
    if 2 * changed.height > frame.height:
        return changed
    strings = [name for name, kind in changed.schema.items() if kind == pl.String]
    return changed.with_columns(
        pl.Series(name, changed[name].to_arrow(compat_level=pl.CompatLevel.oldest())) for name in strings
    )


def with_changes(frame: pl.DataFrame, sent: pl.DataFrame, row: str) -> pl.DataFrame:
    """Return the rows of a frame that are to be sent, with the columns of `Changes.until`.

    Args:
        frame: Rows of the source.
        sent: Columns of `Changes.until`.
        row: Column of `frame` that `SENT_ROW` refers to.

    Returns:
        The columns of both, in the order of `frame`.
    """
    return frame.join(sent, left_on=row, right_on=columns.SENT_ROW, how="inner", maintain_order="left")
