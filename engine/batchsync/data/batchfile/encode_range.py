"""Tasks that encode the changes of a range of the source, and leave packed lines for the tasks that make files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.batchfile.changes import INTERNAL
from batchsync.data.batchfile.encode_task import StageTask, prepare_lines
from batchsync.data.batchfile.encoded_range import EncodedRange, EncodedWriter
from batchsync.data.batchfile.scattered_changes import iter_groups
from batchsync.data.frame import columns
from batchsync.data.frame.scratch_folder import scratch_folder
from batchsync.data.row import partitions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchsync.data.batchfile.encode import Encoded
    from batchsync.data.batchfile.scattered_changes import ScatteredChanges
    from batchsync.data.record.source_plan import SourcePlan
    from batchsync.data.record.stored_value import StoredValue
    from batchsync.ports import ObjectStore

#: Approximate number of changes that a task encodes.
TASK_ROWS = 250_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangesPlan:
    """What all tasks that make batch files have in common.

    Attributes:
        changes: Where the changes are.
        objects: Store of batch files and row manifests.
        rows_min: Number of changes from which on frames are not joined with the next.
    """

    changes: ScatteredChanges
    objects: ObjectStore
    rows_min: int

    @property
    def source(self) -> SourcePlan:
        """How the source is read."""
        found: SourcePlan = self.changes.source.load()
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutTask:
    """Decide what the tasks encode. `label` is what messages call it."""

    plan: StoredValue[ChangesPlan]
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeTask:
    """Encode consecutive changes.

    Attributes:
        plan: What all tasks have in common.
        span: Numbers of the frames, or of the removals, from 0.
        first: Index of the first record within the run, from 0.
        removals: Whether `span` numbers removals.
        label: What the task is about, for messages.
    """

    plan: StoredValue[ChangesPlan]
    span: range
    first: int
    removals: bool = False
    label: str = ""


def lay_out(task: LayoutTask) -> tuple[tuple[int, int, int], ...]:
    """Return the first frame, the frame after the last, and the index of the first record of each task to encode."""
    plan = task.plan.load()
    counts = plan.changes.count_by_frame()
    found: list[tuple[int, int, int]] = []
    begin, first, rows = -1, 0, 0
    for group in iter_groups(counts, plan.rows_min):
        begin = group[0] if begin < 0 else begin
        rows += sum(counts[frame] for frame in group)
        if rows >= TASK_ROWS:
            found.append((begin, group[-1] + 1, first))
            begin, first, rows = -1, first + rows, 0
    if begin >= 0:
        found.append((begin, max(counts) + 1, first))
    return tuple(found)


def encode_range(task: EncodeTask) -> EncodedRange:
    """Return what a task encoded.

    Raises:
        SourceError: If a row differs from the compared one, or cannot be read.
    """
    plan = task.plan.load()
    encoded = _removals(plan, task) if task.removals else _changes(plan, task)
    into = scratch_folder(plan.changes.store, plan.source.prefix)
    with EncodedWriter(into) as out:
        for item in encoded:
            out.add(item)
        return out.finish(removals=task.removals)


def _changes(plan: ChangesPlan, task: EncodeTask) -> Iterator[Encoded]:
    """Yield the encoded changes of each group of frames of a task."""
    changes, source = plan.changes, plan.source
    sent = changes.of_frames(task.span).rename(INTERNAL)
    numbers = sent.select((pl.col(columns.SENT_ROW) - 1) // partitions.FRAME_ROWS).to_series()
    by_frame: dict[int, pl.DataFrame] = {}
    begin = 0
    for height, number in numbers.rle().struct.unnest().iter_rows():
        by_frame[number] = sent[begin : begin + height]
        begin += height
    files, first = source.spec.compiled.source_files, task.first
    for group in iter_groups({number: rows.height for number, rows in by_frame.items()}, plan.rows_min):
        parts = tuple(
            (part, by_frame[number])
            for number in group
            for part in partitions.referenced_frames(files, source.reader, source.row_counts, range(number, number + 1))
        )
        yield prepare_lines(StageTask(spec=source.spec, first=first, parts=parts))
        first += sum(rows.height for _, rows in parts)


def _removals(plan: ChangesPlan, task: EncodeTask) -> Iterator[Encoded]:
    """Yield the encoded removals of a task, in frames."""
    span = task.span
    rows = plan.changes.removals(span.start, len(span)).rename(INTERNAL)
    for begin in range(0, rows.height, partitions.FRAME_ROWS):
        part = rows[begin : begin + partitions.FRAME_ROWS]
        yield prepare_lines(StageTask(spec=plan.source.spec, first=task.first + begin, rows=part, removal=True))


def spans(total: int, size: int) -> Sequence[range]:
    """Return consecutive ranges of at most `size` numbers from 0 to `total`."""
    return [range(begin, min(begin + size, total)) for begin in range(0, total, size)]
