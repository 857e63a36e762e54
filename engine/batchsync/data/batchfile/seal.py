"""Batch files made by tasks: their lines are encoded by some tasks, and each file is put together by one.

The files end where those of `prepare.py` end, so that a small change does not become a file per range of the source.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchsync.core.naming import staging_prefix
from batchsync.data.batchfile.batch_writer import BatchFileWriter
from batchsync.data.batchfile.encode import head_of, source_changed_error, tail_of
from batchsync.data.batchfile.encode_range import (
    TASK_ROWS,
    ChangesPlan,
    EncodeTask,
    LayoutTask,
    encode_range,
    lay_out,
    spans,
)
from batchsync.data.batchfile.encoded_range import EncodedRange, iter_blocks
from batchsync.data.batchfile.file_cutter import FileCutter
from batchsync.data.batchfile.scattered_changes import label_of
from batchsync.data.frame.scratch_folder import scratch_folder
from batchsync.data.record.stored_value import store_value
from batchsync.ports import ObjectFolder, Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from batchsync.core.batch import BatchFile
    from batchsync.data.batchfile.scattered_changes import ScatteredChanges
    from batchsync.data.batchfile.stage_context import StageContext
    from batchsync.data.record.stored_value import StoredValue


@dataclass(frozen=True, slots=True, kw_only=True)
class SealTask:
    """Put a batch file together.

    Attributes:
        plan: What all tasks have in common.
        pieces: Keys of encoded ranges, each with the numbers of its blocks in the file.
        removals: Whether the file has only removals, as files of vendors with one mode per file do.
        label: What the task is about, for messages.
    """

    plan: StoredValue[ChangesPlan]
    pieces: tuple[tuple[str, range], ...]
    removals: bool
    label: str = ""


def seal(task: SealTask) -> BatchFile:
    """Return the finalized batch file of a task, in the object store with its row manifest."""
    plan = task.plan.load()
    source = plan.source
    compiled = source.spec.compiled
    into = ObjectFolder(plan.objects, staging_prefix(compiled.job.name))
    with scratch_folder(source.store, source.prefix).workspace() as workspace:
        writer = BatchFileWriter(workspace, compiled.rules.file, head_of(compiled), into.put, tail_of(compiled))
        try:
            if task.removals:
                writer.begin_removals(head_of(compiled, compiled.removal))
            for key, span in task.pieces:
                for block, manifest in iter_blocks(source.store, key, span):
                    writer.add(block, manifest)
            (file,) = writer.finish()
        finally:
            writer.abandon()
    return file


def iter_sealed(changes: ScatteredChanges, rows_min: int, context: StageContext) -> Iterator[BatchFile]:
    """Yield the batch files of a comparison by tasks, in source order, removals last.

    Args:
        changes: Where its changes are.
        rows_min: Number of changes from which on frames are not joined with the next.
        context: Object store, task pool, event sink, and `stopped`, which is called once per file.

    Yields:
        The batch files, each as soon as it is finalized.

    Raises:
        SourceError: If the source changed after it was compared, or cannot be read.
    """
    if not changes.total:
        return
    into = scratch_folder(changes.store, changes.source.load().prefix)
    plan = store_value(into, ChangesPlan(changes=changes, objects=context.objects, rows_min=rows_min))
    job = changes.source.load().spec.compiled.job
    done = 0
    with (
        closing(_encoded(plan, changes, job.name, context)) as encoded,
        closing(context.workers.map_in_order(seal, _seal_tasks(plan, encoded))) as sealed,
    ):
        for file in sealed:
            if context.stopped():
                return
            done += file.rows
            if context.events is not None:
                progress = Progress(job=job.name, stage="stage", done=done, unit="records", total=changes.total)
                context.events.emit(progress)
            yield file
    if done != changes.total:
        error = source_changed_error(job)
        raise error


def _encoded(
    plan: StoredValue[ChangesPlan], changes: ScatteredChanges, job: str, context: StageContext
) -> Generator[EncodedRange]:
    """Yield the encoded changes, in the order of sending."""
    if changes.encoded:
        yield from changes.encoded
        return
    with closing(context.workers.map_in_order(encode_range, _encode_tasks(plan, changes, job, context))) as done:
        yield from done


def _encode_tasks(
    plan: StoredValue[ChangesPlan], changes: ScatteredChanges, job: str, context: StageContext
) -> Iterator[EncodeTask]:
    """Yield the tasks that encode changes, in the order of sending."""
    if changes.sent:
        (layout,) = context.workers.map_in_order(lay_out, [LayoutTask(plan=plan, label=f"the changes of {job}")])
        for begin, end, first in layout:
            frames = range(begin, end)
            yield EncodeTask(plan=plan, span=frames, first=first, label=label_of(job, frames, changes.rows))
    for span in spans(sum(changes.removed), TASK_ROWS):
        label = f"removals {span.start + 1:,} to {span.stop:,} of {job}"
        yield EncodeTask(plan=plan, span=span, first=changes.sent + span.start, removals=True, label=label)


def _seal_tasks(plan: StoredValue[ChangesPlan], encoded: Iterable[EncodedRange]) -> Iterator[SealTask]:
    """Yield a task for each file, as soon as its last block is encoded."""
    compiled = plan.load().source.spec.compiled
    cutter = FileCutter(compiled.rules.file, head_of(compiled), tail_of(compiled))
    file = _OpenFile(plan=plan, job=compiled.job.name)
    for item in encoded:
        if item.removals and not file.removals and compiled.rules.one_mode_per_batch:
            yield from file.ended()
            cutter.end_file(head_of(compiled, compiled.removal))
            file.removals = True
        begin = end = 0
        for size, rows in item.sizes():
            if cutter.starts_file(size, rows):
                file.add(item.key, range(begin, end))
                yield from file.ended()
                begin = end
            end += 1
        file.add(item.key, range(begin, end))
    yield from file.ended()


@dataclass(slots=True, kw_only=True)
class _OpenFile:
    """The file that blocks are assigned to; `number` counts the files of the job `job` from 1."""

    plan: StoredValue[ChangesPlan]
    job: str
    number: int = 1
    removals: bool = False
    pieces: list[tuple[str, range]] = field(default_factory=list)

    def add(self, key: str, blocks: range) -> None:
        """Assign blocks of an encoded range."""
        if blocks:
            self.pieces.append((key, blocks))

    def ended(self) -> Iterator[SealTask]:
        """Yield the task of the file, unless it is empty, and begin the next."""
        if self.pieces:
            label = f"batch file {self.number} of {self.job}"
            yield SealTask(plan=self.plan, pieces=tuple(self.pieces), removals=self.removals, label=label)
            self.pieces, self.number = [], self.number + 1
