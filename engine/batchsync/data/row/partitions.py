"""Rows of an opened source: frames with row numbers, and partitions that contain their rows or reference them."""

from __future__ import annotations

from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame.columns import ROW
from batchsync.data.row.row_reader import SMALL_FILE_BYTES, RandomAccessReader, SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from batchsync.data.row.row_reader import SourceFiles

#: Rows of a frame, from the measurements in docs/performance.md: throughput hardly depends on it.
FRAME_ROWS = 25_000
#: Number of chunks per partition if few rows are to be buffered.
_CHUNKS = 5


@dataclass(frozen=True, slots=True)
class RowRange:
    """Consecutive rows of a file.

    Attributes:
        reader: Reader of the file.
        path: The file.
        begin: Index of the first row in the file, from 0.
        count: Number of rows.
        row: Row number of the first row in the source, from 1.
    """

    reader: RandomAccessReader
    path: Path
    begin: int
    count: int
    row: int

    def read(self, source: SourceFiles) -> pl.DataFrame:
        """Return the rows with their numbers."""
        number = pl.int_range(pl.len(), dtype=pl.Int64) + self.row
        with self.reader.translate_errors(self.path, name=source.names.get(self.path, "")):
            rows = self.reader.read_range(source.within_files, self.path, self.begin, self.count)
        if ROW in rows.columns:
            # Blank lines of a landed text file have a number, but are no rows.
            numbered = rows.with_columns(pl.when(pl.col(ROW).is_not_null()).then(number).alias(ROW))
            return _without_blank_lines(numbered).select(ROW, *source.columns)
        return source.with_path_columns(rows, self.path).select(number.alias(ROW), *source.columns)


@dataclass(frozen=True, slots=True)
class Partition:
    """Consecutive rows of a source, contained in `rows` or referenced by `ranges`.

    Attributes:
        last: Row number of the last row.
        count: Number of rows without blank lines.
        source: The source.
        rows: The rows with the columns of the source and `ROW`, if the partition contains them.
        ranges: Location of the rows otherwise.
    """

    last: int
    count: int
    source: SourceFiles
    rows: pl.DataFrame | None = None
    ranges: tuple[RowRange, ...] = ()

    def read(self) -> pl.DataFrame:
        """Return the rows with the columns of the source and `ROW`.

        Raises:
            SourceError: If they cannot be read.
        """
        if self.rows is not None:
            return self.rows
        return pl.concat([item.read(self.source) for item in self.ranges])


def partitions(source: SourceFiles, work: Path, *, fresh: bool, by_reference: bool) -> Iterator[Partition]:
    """Split a source into partitions of exactly `FRAME_ROWS` rows, except for the last.

    Args:
        source: The opened source.
        work: Existing folder for copies of text files.
        fresh: Whether to check the files and to renew their copies; see `frames`.
        by_reference: Whether to reference rows of files with random access instead of reading them, and to buffer
            fewer rows of other files.

    Yields:
        The partitions in the order of the source.

    Raises:
        SourceError: If the source cannot be read completely.
    """
    if by_reference and isinstance(source.reader, RandomAccessReader):
        yield from _iter_references(source, source.reader)
        return
    chunk_rows = max(1, FRAME_ROWS // _CHUNKS) if by_reference else FRAME_ROWS
    for frame in frames(source, work, fresh=fresh, chunk_rows=chunk_rows):
        if frame.height:
            yield Partition(int(frame[ROW][-1]), frame.height, source, rows=frame)


def _iter_references(source: SourceFiles, reader: RandomAccessReader) -> Iterator[Partition]:
    """Yield partitions that reference their rows."""
    counts = count_rows(source, reader)
    yield from referenced_frames(source, reader, counts, range(-(-sum(counts) // FRAME_ROWS)))


def count_rows(source: SourceFiles, reader: RandomAccessReader) -> list[int]:
    """Return the number of rows of each file.

    Raises:
        SourceError: If a file cannot be read.
    """
    counts = []
    for path in source.files:
        with reader.translate_errors(path, name=source.names.get(path, "")):
            counts.append(reader.count_rows(path))
    return counts


def referenced_frames(
    source: SourceFiles, reader: RandomAccessReader, counts: Sequence[int], numbers: range
) -> Iterator[Partition]:
    """Yield consecutive partitions of `FRAME_ROWS` rows, which reference their rows.

    Args:
        source: The opened source.
        reader: Its reader.
        counts: Number of rows of each file.
        numbers: Numbers of the partitions, from 0.
    """
    edges = [0, *accumulate(counts)]
    for number in numbers:
        begin, end = number * FRAME_ROWS, min((number + 1) * FRAME_ROWS, edges[-1])
        ranges = []
        for index in range(bisect_right(edges, begin) - 1, len(counts)):
            first, last = max(begin, edges[index]), min(end, edges[index + 1])
            if first >= end:
                break
            if first < last:
                ranges.append(RowRange(reader, source.files[index], first - edges[index], last - first, first + 1))
        yield Partition(end, end - begin, source, ranges=tuple(ranges))


def frames(source: SourceFiles, work: Path, *, fresh: bool, chunk_rows: int = FRAME_ROWS) -> Iterator[pl.DataFrame]:
    """Read a source as frames with row numbers, without blank lines.

    Args:
        source: The opened source.
        work: Existing folder for copies of text files.
        fresh: Whether to check the files and to renew their copies in `work`; otherwise both are trusted.
        chunk_rows: Number of rows to read at a time, if the format leaves a choice.

    Yields:
        Frames with `ROW` (i64, from 1) and the columns of the source. All but the last cover exactly `FRAME_ROWS`
        rows, blank lines included, however the rows are distributed over files.

    Raises:
        SourceError: If the source cannot be read completely.
    """
    for frame in whole_frames(source, work, fresh=fresh, chunk_rows=chunk_rows):
        yield _without_blank_lines(frame)


def whole_frames(
    source: SourceFiles, work: Path, *, fresh: bool, chunk_rows: int = FRAME_ROWS
) -> Iterator[pl.DataFrame]:
    """Read a source as `frames` does, but with blank lines, which have no number.

    Args:
        source: The opened source.
        work: Existing folder for copies of text files.
        fresh: As for `frames`.
        chunk_rows: As for `frames`.

    Yields:
        Frames of exactly `FRAME_ROWS` rows, except for the last.
    """
    kept: list[pl.DataFrame] = []
    height = 0
    for frame in _iter_chunks(source, work, chunk_rows, fresh=fresh):
        kept.append(frame)
        height += frame.height
        if height >= FRAME_ROWS:
            joined = pl.concat(kept) if len(kept) > 1 else frame
            begin = 0
            while height - begin >= FRAME_ROWS:
                yield joined[begin : begin + FRAME_ROWS]
                begin += FRAME_ROWS
            kept = [joined[begin:]] if begin < height else []
            height -= begin
    if kept:
        yield pl.concat(kept)


def _without_blank_lines(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame without blank lines, which have no number."""
    return frame.filter(pl.col(ROW).is_not_null()) if frame[ROW].null_count() else frame


def _iter_chunks(source: SourceFiles, work: Path, chunk_rows: int, *, fresh: bool) -> Iterator[pl.DataFrame]:
    """Yield the numbered rows of all files in chunks of any size; blank lines are included without a number."""
    offset = 0
    with ThreadPoolExecutor(1) as pool:
        for run in _iter_runs(source, work, chunk_rows, fresh=fresh):
            is_together = len(run) > 1 and not source.path_columns
            together = source.reader.read_together([file for _, file in run]) if is_together else None
            for frames in [[together]] if together is not None else (_iter_file(source, *item, pool) for item in run):
                rows = 0
                for frame in frames:
                    rows += frame.height
                    if frame.height:
                        yield frame.with_columns((pl.col(ROW).cast(pl.Int64) + (offset + 1)).alias(ROW))
                offset += rows


def _iter_runs(
    source: SourceFiles, work: Path, chunk_rows: int, *, fresh: bool
) -> Iterator[list[tuple[Path, SourceFile]]]:
    """Yield the files of a source, each with its prepared file, in runs; together they are small, or a run is one file.

    Small files are checked here, others while they are read.
    """
    reader = source.reader
    run: list[tuple[Path, SourceFile]] = []
    run_size = 0
    for path in source.files:
        file = SourceFile(source=source.within_files, path=path, work=work, fresh=fresh, chunk_rows=chunk_rows)
        name = source.names.get(path, "")
        with reader.translate_errors(path, name=name):
            file = replace(file, path=reader.prepare(file))
            size = file.path.stat().st_size
        if fresh and size <= SMALL_FILE_BYTES:
            with reader.translate_errors(path, file, name=name):
                reader.check(file)
        if run and run_size + size > SMALL_FILE_BYTES:
            yield run
            run, run_size = [], 0
        run.append((path, file))
        run_size += size
    if run:
        yield run


def _iter_file(source: SourceFiles, path: Path, file: SourceFile, pool: Executor) -> Iterator[pl.DataFrame]:
    """Yield the rows of a prepared file, which is checked in the pool meanwhile if it is `fresh` and not small."""
    reader = file.source.reader
    is_small = file.path.stat().st_size <= SMALL_FILE_BYTES
    validation = pool.submit(reader.check, file) if file.fresh and not is_small else None
    with reader.translate_errors(path, file, validation, name=source.names.get(path, "")):
        for frame in reader.read(file):
            yield source.with_path_columns(frame, path)
        if validation is not None:
            validation.result()
