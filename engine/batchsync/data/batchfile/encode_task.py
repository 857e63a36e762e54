"""Task that encodes the changed records of one partition for a batch file: picklable, run by any executor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.batchfile.encode import Encoded, encode_changes, encode_removals
from batchsync.data.frame import columns
from batchsync.data.record.keys import with_keys
from batchsync.data.record.task_spec import compile_task
from batchsync.data.row.joins import join_all

if TYPE_CHECKING:
    from batchsync.data.row.partitions import Partition


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTask:
    """Pack the rows that are to be sent.

    `parts` each go with what the comparison found about some of their rows, in order; `rows` are keyed already or are
    keys to remove. `first` is the number of the first record within the run.
    """

    recipe: bytes
    first: int
    parts: tuple[tuple[Partition, pl.DataFrame], ...] = ()
    rows: pl.DataFrame | None = None
    removal: bool = False


def prepare_lines(task: StageTask) -> Encoded:
    """Return the packed lines of the rows that are to be sent, with their evidence.

    Raises:
        SourceError: when a row is not what was compared.
    """
    made = compile_task(task.recipe)
    if task.rows is not None:
        encode = encode_removals if task.removal else encode_changes
        return encode(made.plan, task.rows, task.first)
    rows = pl.concat([_picked(part.read(), sent) for part, sent in task.parts])
    kept, _ = with_keys(made.plan, join_all(rows, made.lookups))
    return encode_changes(made.plan, kept, task.first)


def _picked(frame: pl.DataFrame, sent: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a part that are to be sent; when they are few, with texts of their own.

    Rows that were picked from a part go on holding all the text of the part, so a few of each of many parts would hold
    the whole source.
    """
    found = with_changes(frame, sent, columns.ROW)
    if 2 * found.height > frame.height:
        return found
    texts = [name for name, kind in found.schema.items() if kind == pl.String]
    return found.with_columns(
        pl.Series(name, found[name].to_arrow(compat_level=pl.CompatLevel.oldest())) for name in texts
    )


def with_changes(frame: pl.DataFrame, sent: pl.DataFrame, row: str) -> pl.DataFrame:
    """Return the rows of a frame that are to be sent, with what the comparison found about them."""
    return frame.join(sent, left_on=row, right_on=columns.SENT_ROW, how="inner", maintain_order="left")
