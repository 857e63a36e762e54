"""One pass over a source: its records by partition of their key, its invalid rows, and what was counted on the way."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.batchfile.encode import Encoded, encode_eagerly
from batchsync.data.frame import columns
from batchsync.data.frame.hashes import partition_of_key
from batchsync.data.record.examine import Examined, examine
from batchsync.data.record.group_by_key import iter_groups, iter_sorted_groups, spill
from batchsync.data.record.keyed_rows import Keyed, KeyTask, TaskSpec, prepare_keys, read_keys
from batchsync.data.row.file_state import require_unchanged
from batchsync.data.row.partitions import Partition, partitions
from batchsync.ports import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.data.batchfile.eager_encode import EagerEncoder
    from batchsync.data.compare.source_counts import SourceCounts
    from batchsync.data.frame.partitioned_spill import PartitionedSpill
    from batchsync.data.row.row_reader import SourceSize
    from batchsync.ports import CompareContext
    from batchsync.util.executor import TaskPool
    from batchsync.util.parquet_writer import ParquetWriter


@dataclass(frozen=True, slots=True)
class CompareTask:
    """Map, validate and fingerprint rows. Picklable, run by any executor.

    Attributes:
        spec: Specification of all tasks.
        rows: Partition, or keyed rows of whole records.
        eager: Whether to encode the valid records, too.
    """

    spec: TaskSpec
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
    spec = task.spec
    keyed = None
    if isinstance(task.rows, pl.DataFrame):
        rows = task.rows
    else:
        keyed = read_keys(spec, task.rows)
        rows = keyed.rows
        keyed = replace(keyed, rows=rows.clear())
    examined, mapped = examine(spec, rows)
    encoded = encode_eagerly(spec.compiled, mapped) if task.eager else None
    return Compared(examined=examined, keyed=keyed, encoded=encoded)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePass:
    """One pass over a source.

    Attributes:
        spec: Specification of the tasks.
        context: Context of the comparison.
        workers: Task pool.
        size: Size of the source, for progress.
        streamed: Whether a source with `each:` is expected to be sorted by its key.
        records: Receives the records, with the columns `RECORDS`.
        invalid: Receives the invalid rows, with the columns `INVALID_RECORDS`.
        eager: Receives the encoded records, if they are encoded while the source is read.
        listed: Receives the keys of rows on the suppression list, with the column `KEY`.
        counts: Counts so far.
    """

    spec: TaskSpec
    context: CompareContext
    workers: TaskPool
    size: SourceSize
    streamed: bool
    records: PartitionedSpill
    invalid: ParquetWriter
    eager: EagerEncoder | None
    listed: PartitionedSpill
    counts: SourceCounts

    def run(self) -> None:
        """Read the source to its end.

        Raises:
            SourceError: If the source cannot be read to its end, was changed meanwhile, or has a value without an age
                where its contract needs one.
            UnsortedError: If the source was expected to be sorted by its key and is not.
        """
        counts, eager, records = self.counts, self.eager, self.records
        source, folder = self.spec.compiled.source_files, self.context.folder
        parts = partitions(source, folder, fresh=True, by_reference=self.workers.by_reference)
        tasks = (
            self._grouped_tasks(parts)
            if self.spec.compiled.grouped
            else (CompareTask(self.spec, part, eager=eager is not None and eager.wanted) for part in parts)
        )
        with closing(self.workers.map_in_order(prepare_comparison, tasks)) as done:
            for result in done:
                records.add(result.examined.records, partition_of_key(columns.KEY))
                self.invalid.add(result.examined.invalid)
                if eager is not None:
                    eager.add(result.encoded)
                counts.warn(result.examined.warnings)
                if result.keyed is not None:
                    self._count(result.keyed)
        require_unchanged(source.states)
        records.finish()
        self.listed.finish()
        counts.records = records.rows
        counts.warn_of_joins(self.spec.compiled.job, self.spec.lookups)

    def _count(self, keyed: Keyed) -> None:
        """Count the rows of a partition, collect those without a key as invalid, and report progress."""
        counts, job, events = self.counts, self.spec.compiled.job, self.context.events
        self.invalid.add(keyed.keyless)
        self.listed.add(keyed.listed, partition_of_key(columns.KEY))
        counts.add(job, self.spec.compiled.schema, keyed)
        if events is not None:
            rows = keyed.last
            total, size = self.size.rows, self.size.read(rows)
            events.emit(Progress(job=job.name, stage="compare", done=rows, unit="rows", total=total, size=size))

    def _grouped_tasks(self, parts: Iterator[Partition]) -> Iterator[CompareTask]:
        """Yield a task for each frame of whole records."""
        keyed = self._keyed_rows(parts)
        if self.streamed:
            frames = iter_sorted_groups(keyed)
        else:
            schema: dict[str, pl.DataType | type[pl.DataType]] = {columns.ROW: pl.Int64, columns.KEY: pl.String}
            spill(keyed, schema | self.spec.compiled.schema, self.context.folder)
            frames = iter_groups(self.context.folder)
        for rows in frames:
            yield CompareTask(self.spec, rows)

    def _keyed_rows(self, parts: Iterator[Partition]) -> Iterator[pl.DataFrame]:
        """Yield the rows of the source with their keys."""
        for keyed in self.workers.map_in_order(prepare_keys, (KeyTask(self.spec, part) for part in parts)):
            self._count(keyed)
            yield keyed.rows
