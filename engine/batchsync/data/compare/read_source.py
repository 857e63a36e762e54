"""One pass over a source: its records by partition of their key, its invalid rows, and what was counted on the way."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.batchfile.encode import Encoded, encode_eagerly
from batchsync.data.frame import columns
from batchsync.data.frame.hashes import partition_of_key
from batchsync.data.frame.ordering import greatest
from batchsync.data.record.examine import Examined, examine, parse_as
from batchsync.data.record.group_by_key import iter_groups, iter_sorted_groups, spill
from batchsync.data.record.keyed_rows import Keyed, KeyTask, TaskSpec, prepare_keys, read_keys
from batchsync.data.row.file_state import require_unchanged
from batchsync.data.row.partitions import Partition, partitions
from batchsync.data.row.unmatched import JoinMatches, warning_of
from batchsync.errors import SourceError
from batchsync.ports import Progress
from batchsync.util.suggestions import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.core.contract import ContractCounts
    from batchsync.data.batchfile.eager_encode import EagerEncoder
    from batchsync.data.frame.partitioned_spill import PartitionedSpill
    from batchsync.data.record.contract_counts import PartitionCounts
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


@dataclass(slots=True)
class SourceCounts:
    """Counts of one pass over the source.

    Attributes:
        source_rows: Number of source rows.
        records: Number of records; with `each:` fewer than rows.
        keyless: Number of rows without a key.
        watermark: Greatest value of `send: since` so far, as text.
        warnings: Violations of rules that only warn, by rule.
        matches: How often each join found a row.
        contract: What was counted for the contract of the source; None without one.
    """

    source_rows: int = 0
    records: int = 0
    keyless: int = 0
    watermark: object = None
    warnings: dict[str, int] = field(default_factory=dict)
    matches: tuple[JoinMatches, ...] = ()
    contract: ContractCounts | None = None


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
                for name, count in result.examined.warnings.items():
                    counts.warnings[name] = counts.warnings.get(name, 0) + count
                if result.keyed is not None:
                    self._count(result.keyed)
        require_unchanged(source.states)
        records.finish()
        self.listed.finish()
        counts.records = records.rows
        joins = zip(self.spec.compiled.job.source.joins, counts.matches, self.spec.lookups, strict=False)
        for join, matches, lookup in joins:
            if warning := warning_of(join, matches, lookup.table.select(lookup.right)):
                counts.warnings[warning[0]] = warning[1]

    def _count(self, keyed: Keyed) -> None:
        """Count the rows of a partition, collect those without a key as invalid, and report progress."""
        counts, job, events = self.counts, self.spec.compiled.job, self.context.events
        self.invalid.add(keyed.keyless)
        self.listed.add(keyed.listed, partition_of_key(columns.KEY))
        counts.source_rows += keyed.count
        counts.keyless += keyed.keyless.height
        known = counts.matches or tuple(JoinMatches() for _ in keyed.matches)
        counts.matches = tuple(before.plus(more) for before, more in zip(known, keyed.matches, strict=True))
        if keyed.contract is not None:
            counts.contract = self._with_contract(keyed.contract)
        if keyed.watermark is not None and job.send.since is not None:
            counts.watermark = _greater(counts.watermark, keyed.watermark, self.spec.compiled.schema[job.send.since])
        if events is not None:
            rows = keyed.last
            total, size = self.size.rows, self.size.read(rows)
            events.emit(Progress(job=job.name, stage="compare", done=rows, unit="rows", total=total, size=size))

    def _with_contract(self, found: PartitionCounts) -> ContractCounts:
        """Return the counts for the contract with those of a further partition.

        Raises:
            SourceError: If the age of a value cannot be determined.
        """
        contract = self.spec.compiled.job.source.contract
        if found.unreadable is not None and contract is not None and contract.freshness is not None:
            fresh = contract.freshness
            raise SourceError(
                f"{fresh.place}: row {found.unreadable:,}, column {quoted(fresh.column)}: the text is no date or "
                "timestamp that begins with the year, so the age of the source cannot be determined",
                hint="Write dates as 2026-11-29 or 2026-11-29T08:00:00Z, list strings that mean no value in "
                "source.nulls, or take out source.freshness.",
            )
        return found.counts if self.counts.contract is None else self.counts.contract.plus(found.counts)

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


def _greater(known: object, values: pl.Series, kind: pl.DataType) -> object:
    """Return the greatest of a known value and some values, as text."""
    text = pl.Series([known], dtype=pl.String)
    if kind == pl.String:
        return greatest(pl.concat([text, values]))
    maximum = pl.concat([parse_as(text, kind), values]).max()
    return None if maximum is None else pl.Series([maximum], dtype=kind).cast(pl.String)[0]
