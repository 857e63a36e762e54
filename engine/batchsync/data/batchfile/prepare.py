"""Turn the changes of a comparison into finalized batch files; the same changes give the same bytes on any executor.

The source is read again; only changed rows are encoded, and a row that differs from the compared one is an error.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batchsync.core.naming import staging_prefix
from batchsync.data.batchfile import eager_encode
from batchsync.data.batchfile.batch_writer import BatchFileWriter
from batchsync.data.batchfile.changes import Changes
from batchsync.data.batchfile.encode import head_of, source_changed_error, tail_of
from batchsync.data.batchfile.encode_task import StageTask, prepare_lines, with_changes
from batchsync.data.batchfile.pinned_pass import is_pinned, pinned_pass
from batchsync.data.batchfile.scattered_changes import ScatteredChanges, is_scattered
from batchsync.data.batchfile.seal import iter_sealed
from batchsync.data.frame import columns
from batchsync.data.record.compiled_job import CompiledJob, compile_job
from batchsync.data.record.group_by_key import UnsortedError, iter_groups, iter_sorted_groups
from batchsync.data.record.keyed_rows import KeyTask, TaskSpec, prepare_keys
from batchsync.data.row.joins import load
from batchsync.data.row.open_source import open_source
from batchsync.data.row.partitions import FRAME_ROWS, Partition, partitions
from batchsync.errors import SourceError
from batchsync.ports import ObjectFolder, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import polars as pl

    from batchsync.core.batch import BatchFile
    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.data.batchfile.pinned_pass import PinnedPass
    from batchsync.data.batchfile.stage_context import StageContext
    from batchsync.ports import Comparison
    from batchsync.util.executor import TaskPool

#: Frames of fewer rows are joined with the next, because small blocks compress badly.
MIN_TASK_ROWS = FRAME_ROWS // 2


def iter_batch_files(
    job: Job, rules: VendorRules, comparison: Comparison, context: StageContext
) -> Iterator[BatchFile]:
    """Yield the batch files of a comparison, in source order, removals last, each as soon as it is finalized.

    Yielded files stay, whatever follows; files that were not yielded are dropped.

    Args:
        job: The job of the comparison.
        rules: Rules of the job's vendor.
        comparison: The comparison.
        context: Object store, task pool, event sink, and `stopped`, which is called once per frame.

    Yields:
        The batch files.

    Raises:
        SourceError: If the source changed after it was compared, or cannot be read.
    """
    into = ObjectFolder(context.objects, staging_prefix(job.name))
    if (finalized := eager_encode.adopt(comparison.folder, into)) is not None:
        yield from finalized
        return
    if context.shared is not None and is_scattered(comparison.folder) and not is_pinned(comparison.folder):
        scattered = ScatteredChanges.of(comparison.folder, context.shared(comparison.folder))
        yield from iter_sealed(scattered, MIN_TASK_ROWS, context)
        return
    changes = Changes(comparison.folder)
    if not changes.total:
        return
    staging: StagePass | PinnedPass
    if is_pinned(comparison.folder):
        staging = pinned_pass(job, rules, comparison.folder, changes)
    else:
        staging = stage_pass(job, rules, comparison.folder, changes, context.workers)
    with into.workspace() as workspace:
        writer = BatchFileWriter(workspace, rules.file, head_of(staging.compiled), into.put, tail_of(staging.compiled))
        yield from _write(staging, writer, context)


def stage_pass(job: Job, rules: VendorRules, folder: Path, changes: Changes, workers: TaskPool) -> StagePass:
    """Return the pass that reads some rows of a compared source again.

    Args:
        job: The job of the comparison, with its source as compared.
        rules: Rules of the job's vendor.
        folder: Folder of the comparison.
        changes: The rows to read, and the keys to remove.
        workers: Task pool.

    Raises:
        SourceError: If the source cannot be opened.
    """
    options = json.loads((folder / "compare.json").read_text(encoding="utf-8"))
    template = tuple(options["template"]) if options["template"] is not None else None
    compiled = compile_job(job, rules, open_source(job.source), template).without_problems()
    return StagePass(compiled, changes, folder, workers, streamed=options["streamed"])


def _write(staging: StagePass | PinnedPass, writer: BatchFileWriter, context: StageContext) -> Iterator[BatchFile]:
    """Encode the changes of a pass and yield each file as soon as it is finalized."""
    job, total = staging.compiled.job, staging.changes.total
    encoded = 0
    results = context.workers.map_in_order(prepare_lines, staging.tasks())
    try:
        for result in results:
            if context.stopped():
                return
            if result.removals and staging.compiled.rules.one_mode_per_batch:
                writer.begin_removals(head_of(staging.compiled, staging.compiled.removal))
            writer.add_all(result.blocks, result.row_manifest)
            encoded += result.rows
            if context.events is not None:
                size = (writer.written, None)
                context.events.emit(
                    Progress(job=job.name, stage="stage", done=encoded, unit="records", total=total, size=size)
                )
            yield from writer.take()
        if encoded != total:
            error = source_changed_error(job)
            raise error
        writer.finish()
        yield from writer.take()
    except SourceError:
        # Files that were full before the change was noticed hold compared rows only, so they are valid.
        writer.wait()
        yield from writer.take()
        raise
    finally:
        results.close()
        writer.abandon()


@dataclass(frozen=True, slots=True)
class StagePass:
    """One pass of staging. `streamed` means that the source is sorted by its key (`each:`)."""

    compiled: CompiledJob
    changes: Changes
    folder: Path
    workers: TaskPool
    streamed: bool

    def tasks(self) -> Iterator[StageTask]:
        """Yield tasks in the order in which records are sent."""
        compiled, changes = self.compiled, self.changes
        lookups = load(compiled.job.source, self.folder, compiled.used) if changes.sent else ()
        spec = TaskSpec(compiled=compiled, folder=self.folder, lookups=lookups)
        number = 0
        if changes.sent:
            for records, task in self._grouped(spec) if compiled.grouped else self._rows(spec):
                yield replace(task, first=number)
                number += records
        for removed in changes.removals():
            yield StageTask(spec=spec, first=number, rows=removed, removal=True)
            number += removed.height

    def _partitions(self) -> Iterator[Partition]:
        """Yield the partitions of the source."""
        return partitions(self.compiled.source_files, self.folder, fresh=False, by_reference=True)

    def _rows(self, spec: TaskSpec) -> Iterator[tuple[int, StageTask]]:
        """Yield record counts with tasks of changed rows; small partitions are joined, none is split."""
        kept: list[tuple[Partition, pl.DataFrame]] = []
        count = 0
        for part in self._partitions():
            sent = self.changes.until(part.last)
            if not sent.height:
                if self.changes.exhausted:
                    # The rest of the source need not be read.
                    break
                continue
            kept.append((_without_unsent_rows(part, sent), sent))
            count += sent.height
            if count >= MIN_TASK_ROWS:
                yield count, StageTask(spec=spec, first=0, parts=tuple(kept))
                kept, count = [], 0
        if kept:
            yield count, StageTask(spec=spec, first=0, parts=tuple(kept))

    def _grouped(self, spec: TaskSpec) -> Iterator[tuple[int, StageTask]]:
        """Yield record counts with tasks of changed records, whole records in each task."""
        for frame in self._whole_records(spec):
            sent = self.changes.until(int(frame[columns.HEAD][-1]))
            if sent.height:
                yield sent.height, StageTask(spec=spec, first=0, rows=with_changes(frame, sent, columns.HEAD))

    def _whole_records(self, spec: TaskSpec) -> Iterator[pl.DataFrame]:
        """Yield the source in frames of whole records."""
        if not self.streamed:
            yield from iter_groups(self.folder)
            return
        tasks = (KeyTask(spec, part) for part in self._partitions())
        try:
            yield from iter_sorted_groups(item.rows for item in self.workers.map_in_order(prepare_keys, tasks))
        except UnsortedError:
            raise source_changed_error(self.compiled.job) from None


def _without_unsent_rows(part: Partition, sent: pl.DataFrame) -> Partition:
    """Return a partition without the rows that are not sent, if those are many."""
    if part.rows is None or sent.height > part.count // 2:
        return part
    rows = part.rows.join(sent, left_on=columns.ROW, right_on=columns.SENT_ROW, how="semi", maintain_order="left")
    return replace(part, rows=rows)
