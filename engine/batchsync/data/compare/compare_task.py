"""Task that maps, validates and fingerprints one partition, or keyed rows: picklable, run by any executor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.batchfile.encode import Encoded, encode_eagerly
from batchsync.data.record.examine import Examined, examine
from batchsync.data.record.key_task import Keyed, read_keys
from batchsync.data.record.task_spec import compile_task

if TYPE_CHECKING:
    from batchsync.data.row.partitions import Partition


@dataclass(frozen=True, slots=True)
class CompareTask:
    """Examine a partition, or keyed rows.

    Attributes:
        spec: Pickled `TaskSpec`.
        rows: Partition, or keyed rows of whole records.
        eager: Whether to encode the valid records, too.
    """

    spec: bytes
    rows: Partition | pl.DataFrame
    eager: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Result of a task.

    Attributes:
        examined: Records, invalid records and warnings.
        keyed: Counts of a partition, without its rows; None for keyed rows.
        encoded: Encoded lines, if the task is eager.
    """

    examined: Examined
    keyed: Keyed | None
    encoded: Encoded | None


def prepare_comparison(task: CompareTask) -> Compared:
    """Return the result of a task.

    Raises:
        SourceError: If the partition cannot be read.
    """
    setup = compile_task(task.spec)
    counts = None
    if isinstance(task.rows, pl.DataFrame):
        rows = task.rows
    else:
        keyed = read_keys(setup, task.rows)
        rows = keyed.rows
        counts = Keyed(
            rows=rows.clear(), count=keyed.count, last=keyed.last, keyless=keyed.keyless, watermark=keyed.watermark
        )
    examined, mapped = examine(setup.compiled, rows, setup.checks, setup.watermark)
    encoded = encode_eagerly(setup.compiled, mapped) if task.eager else None
    return Compared(examined=examined, keyed=counts, encoded=encoded)
