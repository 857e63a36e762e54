"""Task that reads the keys of one partition of a source: picklable, run by any executor, merged by its caller."""

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
    """Give the rows of a part their keys."""

    recipe: bytes
    part: Partition


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """The rows of a part with a key, and those without one as invalid rows; `most` is the greatest of `since`."""

    rows: pl.DataFrame
    count: int
    last: int
    lost: pl.DataFrame
    most: pl.Series | None


def prepare_keys(task: KeyTask) -> Keyed:
    """Return the rows of a part with their keys.

    Raises:
        SourceError: when the part cannot be read.
    """
    return _keyed(compile_task(task.recipe), task.part)


def _keyed(made: CompiledTask, part: Partition) -> Keyed:
    """Return the rows of a part with their keys."""
    plan = made.plan
    rows = join_all(part.read(), made.lookups)
    since = plan.job.send.since
    most = None if since is None or not rows.height else _greatest_mark(rows[since])
    kept, lost = with_keys(plan, rows)
    return Keyed(rows=kept, count=rows.height, last=part.last, lost=lost, most=most)


def _greatest_mark(values: pl.Series) -> pl.Series:
    """Return the greatest of some values, alone."""
    most = greatest(values) if values.dtype == pl.String else values.max()
    return pl.Series(values.name, [most], dtype=values.dtype)
