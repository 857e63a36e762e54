"""Batch file writer: cuts blocks into files at the vendor's limits and finalizes each file under its digest.

A file is written under a temporary name; once it is complete, its row manifest and then the file itself are put under
their final names. Unfinished files are never read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING

import polars as pl

from batchsync.core.batch import BatchFile
from batchsync.data.batchfile.file_cutter import FileCutter
from batchsync.data.batchfile.gzip_blocks import HEADER, GzipBlock, crc32_combine, trailer
from batchsync.data.frame.content import LAYOUT, RECORD
from batchsync.errors import SourceError
from batchsync.util.executor import SerialExecutor
from batchsync.util.files import sha256_of_file
from batchsync.util.parquet_writer import ParquetWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

    from batchsync.core.vendor_rules import FileRules

#: Manifest rows held in memory; fewer if they contain records.
_MANIFEST_ROWS, _RECORD_ROWS = 50_000, 10_000
#: Columns of a manifest with few distinct values.
_FEW = ("op", "members", LAYOUT)
#: Capacity of the queues of blocks and of manifest frames.
_BLOCKS_QUEUED, _FRAMES_QUEUED = 32, 32


@dataclass(slots=True)
class _OpenFile:
    """A file being written by background threads; `size`, `rows`, `crc` and `raw` count everything enqueued."""

    stream: IO[bytes]
    path: Path
    size: int = 0
    rows: int = 0
    crc: int = 0
    raw: int = 0
    md5: hashlib._Hash = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))
    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)
    manifest_writer: ParquetWriter | None = None
    removals: bool = False
    pending: list[pl.DataFrame] = field(default_factory=list)
    pending_rows: int = 0

    def write(self, data: bytes) -> None:
        """Write and digest bytes."""
        self.stream.write(data)
        self.md5.update(data)
        self.sha256.update(data)

    def add_manifest(self, manifest: pl.DataFrame) -> None:
        """Append manifest rows of the next lines; flush them when there are many."""
        self.pending.append(manifest)
        self.pending_rows += manifest.height
        if self.pending_rows >= (_RECORD_ROWS if RECORD in manifest.columns else _MANIFEST_ROWS):
            self.flush_manifest()

    def flush_manifest(self) -> None:
        """Write the pending manifest rows, numbered by line of the file."""
        if not self.pending:
            return
        before = 0 if self.manifest_writer is None else self.manifest_writer.rows
        number = (pl.int_range(1, pl.len() + 1, dtype=pl.Int64) + before).alias("line")
        rows = pl.concat(self.pending).with_columns(number)
        if self.manifest_writer is None:
            schema = dict(rows.schema)
            self.manifest_writer = ParquetWriter(self.manifest_path, schema, compression="zstd", few=_FEW)
        self.manifest_writer.add(rows)
        self.pending, self.pending_rows = [], 0

    @property
    def manifest_path(self) -> Path:
        """Path of the manifest until the file is finalized."""
        return self.path.with_name(f"{self.path.name}-manifest")

    def close_manifest(self) -> None:
        """Flush and close the manifest."""
        self.flush_manifest()
        if self.manifest_writer is not None:
            self.manifest_writer.close()

    def drop(self) -> None:
        """Delete the file and its manifest."""
        self.stream.close()
        if self.manifest_writer is not None:
            self.manifest_writer.drop()
        self.path.unlink(missing_ok=True)
        self.manifest_path.unlink(missing_ok=True)


class BatchFileWriter:
    """Writer that distributes blocks to files, cutting exactly at the vendor's limits.

    Digests, manifests and disk writes run in background threads; any method may raise an error that occurred there.
    """

    def __init__(
        self,
        workspace: Path,
        rules: FileRules,
        head: GzipBlock | None,
        put: Callable[[Path, str], str],
        tail: GzipBlock | None = None,
    ) -> None:
        """Start with no file.

        Args:
            workspace: Empty folder in which files are written.
            rules: File rules of the vendor: limits, compression, suffix.
            head: Block that every file begins with (the CSV header), if any.
            put: Called in a background thread: moves a finished file to its final name and returns its location.
            tail: Block that every file of a JSON document ends with. Its lines begin with a comma, which the first line
                of a file loses.
        """
        self._workspace, self._rules, self._head, self._put = workspace, rules, head, put
        self._tail = tail
        self._cutter = FileCutter(rules, head, tail)
        self._writes, self._manifests, self._finalizing = (
            SerialExecutor(_BLOCKS_QUEUED),
            SerialExecutor(_FRAMES_QUEUED),
            SerialExecutor(1),
        )
        self._removals = False
        self._open: _OpenFile | None = None
        self._started: list[_OpenFile] = []
        self._files: list[BatchFile] = []
        self._collected = self._written = 0

    def add_all(self, blocks: list[GzipBlock], manifest: pl.DataFrame) -> None:
        """Add blocks with the manifest of their rows."""
        begin = 0
        for block in blocks:
            self.add(block, manifest[begin : begin + block.rows])
            begin += block.rows

    def add(self, block: GzipBlock, manifest: pl.DataFrame) -> None:
        """Add a block with the manifest of its rows; start another file if the block does not fit into the current one.

        Args:
            block: Some whole lines.
            manifest: One row per line of the block: `key: str, fingerprint: bytes[21], op: str, row: i64, ref: str`,
                `key:NAME: str` per key column and, for CSV joined by inputs, `input:NAME: str`.

        Raises:
            SourceError: If a block of one record is larger than a batch file may be.
        """
        try:
            starts_file = self._cutter.starts_file(len(block.data), block.rows)
        except SourceError:
            self.abandon()
            raise
        if starts_file or self._open is None:
            self._finalize()
            self._open = self._begin()
        comma = int(self._tail is not None and self._open.rows == 0)
        self._write_block(self._open, replace(block, data=block.data[comma:], size=block.size - comma))
        self._open.rows += block.rows
        self._manifests.submit(self._open.add_manifest, manifest)

    def begin_removals(self, head: GzipBlock | None) -> None:
        """Begin files that have only removals; idempotent.

        Args:
            head: Block that each of them begins with, if any.
        """
        if not self._removals:
            self._finalize()
            self._cutter.end_file(head)
            self._head, self._removals = head, True

    def _begin(self) -> _OpenFile:
        """Open a file under a temporary name and write its header."""
        path = self._workspace / str(len(self._started))
        opened = _OpenFile(path.open("wb"), path, removals=self._removals)
        self._started.append(opened)
        if self._rules.gzip:
            self._write(opened, HEADER)
        if self._head is not None:
            self._write_block(opened, self._head)
        return opened

    def _write_block(self, opened: _OpenFile, block: GzipBlock) -> None:
        """Write a block and update the checksum."""
        self._write(opened, block.data)
        opened.crc = crc32_combine(opened.crc, block)
        opened.raw += block.size

    def _write(self, opened: _OpenFile, data: bytes) -> None:
        """Enqueue bytes."""
        opened.size += len(data)
        self._written += len(data)
        self._writes.submit(opened.write, data)

    def _finalize(self) -> None:
        """Enqueue the finalization of the open file: trailer, manifest, final names."""
        opened = self._open
        if opened is None:
            return
        self._open = None
        if self._tail is not None:
            self._write_block(opened, self._tail)
        if self._rules.gzip:
            self._write(opened, trailer(opened.crc, opened.raw))
        written = self._writes.submit(opened.stream.close)
        manifest_closed = self._manifests.submit(opened.close_manifest)
        self._finalizing.submit(self._put_both, opened, written, manifest_closed)

    def _put_both(self, opened: _OpenFile, written: Future[None], manifest_closed: Future[None]) -> None:
        """Put the manifest of a completely written file, and then the file itself."""
        written.result()
        manifest_closed.result()
        digest = opened.sha256.hexdigest()
        # Equal lines may belong to other keys, so the manifest is named by its own digest, which is verified on use.
        manifest = f"{digest}.{sha256_of_file(opened.manifest_path)}.manifest.parquet"
        row_manifest = self._put(opened.manifest_path, manifest)
        self._files.append(
            BatchFile(
                path=self._put(opened.path, f"{digest}.{self._rules.suffix.lstrip('.')}"),
                row_manifest=row_manifest,
                digest=digest,
                md5=opened.md5.hexdigest(),
                size=opened.size,
                rows=opened.rows,
                removals=opened.removals,
            ),
        )

    @property
    def written(self) -> int:
        """Number of bytes of all files so far, the open one included."""
        return self._written

    def finish(self) -> tuple[BatchFile, ...]:
        """Finalize the open file and wait until all files have their final names.

        Returns:
            All files, in order.
        """
        self._finalize()
        self.wait()
        return tuple(self._files)

    def wait(self) -> None:
        """Wait until the queues are empty: full files are finalized, the open one is not."""
        for queue in (self._writes, self._manifests, self._finalizing):
            queue.finish()

    def take(self) -> tuple[BatchFile, ...]:
        """Return the files finalized since the last call."""
        new = tuple(self._files[self._collected :])
        self._collected += len(new)
        return new

    def abandon(self) -> None:
        """Drop files that are not finalized. Idempotent; nothing can be added afterwards."""
        for queue in (self._writes, self._manifests, self._finalizing):
            queue.stop()
        for opened in self._started:
            opened.drop()
        self._started, self._open = [], None
