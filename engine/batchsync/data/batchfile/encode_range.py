"""Tasks that encode the changes of a range of the source, and leave packed lines for the tasks that make files."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from batchsync.data.batchfile.changes import INTERNAL
from batchsync.data.batchfile.encode_task import StageTask, prepare_lines
from batchsync.data.batchfile.gzip_blocks import GzipBlock
from batchsync.data.batchfile.scattered_changes import iter_groups
from batchsync.data.frame import columns
from batchsync.data.frame.blob_file import BlobFile, BlobWriter
from batchsync.data.record.stored_value import scratch_folder
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
#: Names of the tables of an encoded range: packed lines and row manifest by group, and the blocks of all groups.
_LINES, _MANIFEST, _BLOCKS = "lines", "manifest", "blocks"
_BLOCK_COLUMNS = {"group": pl.UInt32, "size": pl.UInt32, "rows": pl.UInt32, "crc": pl.UInt32, "raw": pl.UInt64}


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


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedRange:
    """What a task encoded.

    Attributes:
        key: Key of the file of its lines and row manifests.
        blocks: Sizes and numbers of lines of its blocks, compressed.
        rows: Number of records.
        removals: Whether these are removals.
    """

    key: str
    blocks: bytes
    rows: int
    removals: bool

    def sizes(self) -> Iterator[tuple[int, int]]:
        """Yield the bytes and the number of lines of each block."""
        found = np.frombuffer(zlib.decompress(self.blocks), dtype="<u4").reshape(2, -1)
        yield from zip(found[0].tolist(), found[1].tolist(), strict=True)


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
    rows = 0
    blocks: list[tuple[int, int, int, int, int]] = []
    with BlobWriter(scratch_folder(plan.changes.store, plan.source.prefix)) as out:
        for group, item in enumerate(encoded):
            out.add_bytes(_LINES, group, b"".join(block.data for block in item.blocks))
            out.add(_MANIFEST, group, item.row_manifest)
            blocks += [(group, len(block.data), block.rows, block.crc, block.size) for block in item.blocks]
            rows += item.rows
        table = pl.DataFrame(blocks, schema=_BLOCK_COLUMNS, orient="row")
        out.add(_BLOCKS, 0, table)
        key = out.finish()
    sizes = np.array([table["size"].to_numpy(), table["rows"].to_numpy()], dtype="<u4")
    return EncodedRange(key=key, blocks=zlib.compress(sizes.tobytes()), rows=rows, removals=task.removals)


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


def iter_blocks(store: ObjectStore, key: str, span: range) -> Iterator[tuple[GzipBlock, pl.DataFrame]]:
    """Yield consecutive blocks of an encoded range, each with the row manifest of its lines.

    Args:
        store: Store of the encoded range.
        key: Its key.
        span: Numbers of the blocks, from 0.
    """
    file = BlobFile(store, key)
    ends = pl.col("size", "rows").cum_sum().over("group").name.suffix("_end")
    table = (
        file.table(_BLOCKS, 0, _BLOCK_COLUMNS).with_columns(pl.col("size", "rows").cast(pl.Int64)).with_columns(ends)
    )
    for _, blocks in table[span.start : span.stop].group_by("group", maintain_order=True):
        yield from _blocks_of_group(file, blocks)


def _blocks_of_group(file: BlobFile, blocks: pl.DataFrame) -> Iterator[tuple[GzipBlock, pl.DataFrame]]:
    """Yield consecutive blocks of a group with their row manifests."""
    group = int(blocks["group"][0])
    first = int(blocks["size_end"][0]) - int(blocks["size"][0])
    place = file.span(_LINES, group)
    begin = first + (place[0] if place is not None else 0)
    data = memoryview(file.store.read(file.key, begin, int(blocks["size_end"][-1]) - first))
    manifest = file.table(_MANIFEST, group, {})
    for row in blocks.iter_rows(named=True):
        end = row["size_end"] - first
        block = GzipBlock(bytes(data[end - row["size"] : end]), row["rows"], row["crc"], row["raw"])
        yield block, manifest[row["rows_end"] - row["rows"] : row["rows_end"]]


def spans(total: int, size: int) -> Sequence[range]:
    """Return consecutive ranges of at most `size` numbers from 0 to `total`."""
    return [range(begin, min(begin + size, total)) for begin in range(0, total, size)]
