"""Rows of files without random access, landed by tasks: one task reads a file, and others read its frames anywhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame.blob_file import BlobFile, BlobWriter
from batchsync.data.frame.columns import ROW
from batchsync.data.frame.scratch_folder import scratch_folder
from batchsync.data.row import partitions
from batchsync.data.row.row_reader import RandomAccessReader, SourceSize
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchsync.core.job import Source
    from batchsync.data.row.row_reader import SourceFile, SourceFiles
    from batchsync.ports import ObjectStore

#: Name of the tables of a landed file: its frames, numbered from 0.
_ROWS = "rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class LandTask:
    """Land a file of a source.

    Attributes:
        source: The opened source.
        number: Index of the file.
        used: Columns that are landed.
        store: Store that all tasks share.
        prefix: Prefix of their objects.
        label: What the task is about, for messages.
    """

    source: SourceFiles
    number: int
    used: frozenset[str]
    store: ObjectStore
    prefix: str
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """A landed file: its key, and its number of rows, blank lines included."""

    key: str
    rows: int


def land(task: LandTask) -> Landed:
    """Return the landed file of a task.

    Raises:
        SourceError: If the file cannot be read to its end as declared.
    """
    path = task.source.files[task.number]
    rows = 0
    copies = scratch_folder(task.store, f"{task.prefix}/copies")
    with copies.workspace() as work, BlobWriter(scratch_folder(task.store, task.prefix)) as out:
        frames = partitions.whole_frames(replace(task.source, files=(path,)), work, fresh=True)
        for number, frame in enumerate(frames):
            out.add(_ROWS, number, frame.select(ROW, *(name for name in task.source.schema if name in task.used)))
            rows += frame.height
        return Landed(key=out.finish(), rows=rows)


def with_landed_files(
    source: SourceFiles, used: frozenset[str], store: ObjectStore, landed: Sequence[Landed]
) -> SourceFiles:
    """Return a source with landed files, of the used columns, instead of its own; messages name its own."""
    files = tuple(Path(item.key) for item in landed)
    names = {key: source.names.get(path, str(path)) for key, path in zip(files, source.files, strict=True)}
    schema = {name: kind for name, kind in source.schema.items() if name in used}
    return replace(source, schema=schema, files=files, reader=LandedReader(store), path_columns={}, names=names)


@dataclass(frozen=True, slots=True)
class LandedReader(RandomAccessReader):
    """Reader of landed files, whose paths are keys of a store."""

    store: ObjectStore

    def schema(self, path: Path, source: Source) -> dict[str, pl.DataType]:
        """Refuse: the columns of landed files are those of their source.

        Raises:
            SourceError: Always.
        """
        message = f"{source.place}: {source.path} has landed as {path}, and is not opened again"
        raise SourceError(message, hint="Run the command again; if that does not help, report it as a defect.")

    def read(self, file: SourceFile) -> Iterator[pl.DataFrame]:
        """Yield the frames that `RowReader.read` describes."""
        opened = BlobFile(self.store, str(file.path))
        for number in opened.numbers(_ROWS):
            yield opened.table(_ROWS, number, {}).select(pl.col(ROW) - 1, *file.source.columns)

    def count_rows(self, path: Path) -> int:
        """Return the number of rows of a landed file, blank lines included."""
        opened = BlobFile(self.store, str(path))
        numbers = opened.numbers(_ROWS)
        last = opened.table(_ROWS, numbers[-1], {}).height if numbers else 0
        return max(0, len(numbers) - 1) * partitions.FRAME_ROWS + last

    def size(self, source: SourceFiles) -> SourceSize:
        """Return the number of rows."""
        return SourceSize(rows=sum(map(self.count_rows, source.files)))

    def read_range(self, source: SourceFiles, path: Path, begin: int, count: int) -> pl.DataFrame:
        """Return consecutive rows; see `RandomAccessReader.read_range`. Blank lines have no value of `ROW`."""
        opened, size = BlobFile(self.store, str(path)), partitions.FRAME_ROWS
        numbers = range(begin // size, -(-(begin + count) // size))
        rows = pl.concat([opened.table(_ROWS, number, {}) for number in numbers])
        first = begin - numbers.start * size
        return rows[first : first + count].select(ROW, *source.columns)
