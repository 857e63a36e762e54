"""A task is some rows and all that it takes to prepare them; what comes of it depends on nothing else.

It does not know who runs it. Tasks and what they return are plain and picklable; the functions share nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.batchfile.encode import Encoded, encode_eagerly
from batchsync.data.record.examine import Examined, examine
from batchsync.data.record.key_task import Keyed, _keyed
from batchsync.data.record.task_spec import compile_task

if TYPE_CHECKING:
    from batchsync.data.row.partitions import Partition


@dataclass(frozen=True, slots=True)
class CompareTask:
    """Find out what a part holds, or keyed rows; `ahead` wants the good records packed too."""

    recipe: bytes
    rows: Partition | pl.DataFrame
    ahead: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a part holds. `keyed` has the counts of its rows, without the rows; None for rows that had their keys."""

    examined: Examined
    keyed: Keyed | None
    encoded: Encoded | None


def prepare_comparison(task: CompareTask) -> Compared:
    """Return what some rows hold.

    Raises:
        SourceError: when the part cannot be read.
    """
    made = compile_task(task.recipe)
    about = None
    if isinstance(task.rows, pl.DataFrame):
        rows = task.rows
    else:
        found = _keyed(made, task.rows)
        rows = found.rows
        about = Keyed(rows=rows.clear(), count=found.count, last=found.last, lost=found.lost, most=found.most)
    examined, mapped = examine(made.plan, rows, made.checks, made.watermark)
    encoded = encode_eagerly(made.plan, mapped) if task.ahead else None
    return Compared(examined=examined, keyed=about, encoded=encoded)
