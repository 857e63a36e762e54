"""What a comparison found becomes sealed batch files: the same changes give the same bytes, whatever the threads.

It does not compare. It reads the source again, takes only the rows that are to be sent, and refuses to go on when
one of them is no longer what was compared.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from batchsync.data.batchfile import eager_encode
from batchsync.data.batchfile.batch_writer import BatchFileWriter
from batchsync.data.batchfile.changes import Changes
from batchsync.data.batchfile.encode import head_of, source_changed_error
from batchsync.data.batchfile.encode_task import StageTask, prepare_lines, with_changes
from batchsync.data.frame import columns
from batchsync.data.record.compiled_job import CompiledJob, compile_job
from batchsync.data.record.group_by_key import UnsortedError, iter_groups, iter_sorted_groups
from batchsync.data.record.key_task import KeyTask, prepare_keys
from batchsync.data.record.task_spec import task_spec_of
from batchsync.data.row.joins import load
from batchsync.data.row.partitions import Partition, partitions
from batchsync.data.row.reader import FRAME_ROWS
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import polars as pl

    from batchsync.core.batch import BatchFile
    from batchsync.core.job import Job
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.ports import Comparison, Observer
    from batchsync.util.executor import TaskPool

#: Frames of fewer rows are joined with the next: a block that is too small compresses badly.
FEW = FRAME_ROWS // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StageContext:
    """What staging has around it: who does the tasks, who is shown how far it is, and whether it is to stop."""

    workers: TaskPool
    observer: Observer | None = None
    stopped: Callable[[], bool] = lambda: False


def iter_batch_files(
    job: Job, rules: VendorRules, comparison: Comparison, into: Path, around: StageContext
) -> Iterator[BatchFile]:
    """Yield the sealed files of a comparison, in source order, removals last, each as soon as it is whole on the disk.

    What was yielded stays, whatever happens afterwards; what was begun and not yielded is dropped. It ends at the next
    frame once `stopped` says so.

    Raises:
        SourceError: when the source is no longer what was compared, or cannot be read.
    """
    if (done_before := eager_encode.adopt(comparison.folder, into)) is not None:
        yield from done_before
        return
    changes = Changes(comparison.folder)
    if not changes.total:
        return
    facts = json.loads((comparison.folder / "compare.json").read_text(encoding="utf-8"))
    template = tuple(facts["template"]) if facts["template"] is not None else None
    plan = compile_job(job, rules, template)
    sealer = BatchFileWriter(into, rules.file, head_of(plan))
    done = 0
    staging = _Staging(plan, changes, comparison.folder, around.workers, streamed=facts["streamed"])
    results = around.workers.in_order(prepare_lines, staging.tasks())
    try:
        for result in results:
            if around.stopped():
                return
            sealer.add_all(result.blocks, result.row_manifest)
            done += result.rows
            if around.observer is not None:
                around.observer.on_progress(job.name, "stage", done, "records", changes.total, (sealer.written, None))
            yield from sealer.take()
        if done != changes.total:
            raise source_changed_error(job)
        sealer.finish()
        yield from sealer.take()
    except SourceError:
        # What was whole before the source turned out to have changed is as sound as ever.
        sealer.wait()
        yield from sealer.take()
        raise
    finally:
        results.close()
        sealer.abandon()


@dataclass(frozen=True, slots=True)
class _Staging:
    """The work of one staging. `streamed` says that the source was found to be sorted by its key (`each:`)."""

    plan: CompiledJob
    changes: Changes
    folder: Path
    workers: TaskPool
    streamed: bool

    def tasks(self) -> Iterator[StageTask]:
        """Yield the work in the order in which records are sent."""
        plan, changes = self.plan, self.changes
        lookups = load(plan.job.source, self.folder) if changes.sent else ()
        recipe = task_spec_of(plan, lookups, self.folder)
        number = 0
        if changes.sent:
            for records, task in self._grouped(recipe) if plan.grouped else self._rows(recipe):
                yield replace(task, first=number)
                number += records
        for removed in changes.removals():
            yield StageTask(recipe=recipe, first=number, rows=removed, removal=True)
            number += removed.height

    def _parts(self) -> Iterator[Partition]:
        """Yield the parts of the source."""
        return partitions(self.plan.given, self.folder, fresh=False, apart=True)

    def _rows(self, recipe: bytes) -> Iterator[tuple[int, StageTask]]:
        """Yield the source rows to send; those of one part of the source stay together, small ones are joined."""
        kept: list[tuple[Partition, pl.DataFrame]] = []
        count = 0
        for part in self._parts():
            sent = self.changes.until(part.last)
            if not sent.height:
                continue
            kept.append((_lean(part, sent), sent))
            count += sent.height
            if count >= FEW:
                yield count, StageTask(recipe=recipe, first=0, parts=tuple(kept))
                kept, count = [], 0
        if kept:
            yield count, StageTask(recipe=recipe, first=0, parts=tuple(kept))

    def _grouped(self, recipe: bytes) -> Iterator[tuple[int, StageTask]]:
        """Yield the source rows of records to send, whole records in each task, with the number of the records."""
        for frame in self._whole_records(recipe):
            sent = self.changes.until(int(frame[columns.HEAD][-1]))
            if sent.height:
                yield sent.height, StageTask(recipe=recipe, first=0, rows=with_changes(frame, sent, columns.HEAD))

    def _whole_records(self, recipe: bytes) -> Iterator[pl.DataFrame]:
        """Yield the source in frames of whole records."""
        if not self.streamed:
            yield from iter_groups(self.folder)
            return
        tasks = (KeyTask(recipe, part) for part in self._parts())
        try:
            yield from iter_sorted_groups(item.rows for item in self.workers.in_order(prepare_keys, tasks))
        except UnsortedError:
            raise source_changed_error(self.plan.job) from None


def _lean(part: Partition, sent: pl.DataFrame) -> Partition:
    """Return a part without the rows that it holds for nothing, where those are many."""
    if part.rows is None or sent.height > part.count // 2:
        return part
    rows = part.rows.join(sent, left_on=columns.ROW, right_on=columns.SENT_ROW, how="semi", maintain_order="left")
    return replace(part, rows=rows)
