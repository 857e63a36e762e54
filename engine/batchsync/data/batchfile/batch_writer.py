"""A batch file is written once, whole, to the disk, under the name of its digest, with its evidence beside it.

It does not know how lines are made. A file that was not finished has a name that nobody looks for.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

import polars as pl

from lading.core.batch import BatchFile
from lading.data.gz import HEADER, OVERHEAD, Block, combine, trailer
from lading.data.spool import Spool, digest_of, settle_on_disk
from lading.data.workers import InTurn
from lading.errors import SourceError
from lading.folders import make_private

if TYPE_CHECKING:
    from concurrent.futures import Future

    from lading.core.vendor_rules import FileRules

_PARTIAL = ".lading-part"
#: Rows of evidence that are held in memory.
_EVIDENCE_ROWS = 50_000
#: Blocks that wait to be written, and pieces of evidence.
_BLOCKS_WAIT, _FRAMES_WAIT = 32, 32


@dataclass(slots=True)
class _Open:
    """The file that is being written, in threads beside: its numbers here are those of all that it was given."""

    stream: IO[bytes]
    path: Path
    size: int = 0
    rows: int = 0
    crc: int = 0
    raw: int = 0
    md5: hashlib._Hash = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))
    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)
    beside: Spool | None = None
    held: list[pl.DataFrame] = field(default_factory=list)
    lines: int = 0

    def write(self, data: bytes) -> None:
        """Write and digest."""
        self.stream.write(data)
        self.md5.update(data)
        self.sha256.update(data)

    def keep(self, evidence: pl.DataFrame) -> None:
        """Take the evidence of the next lines; write it when there is enough of it."""
        self.held.append(evidence)
        self.lines += evidence.height
        if self.lines >= _EVIDENCE_ROWS:
            self.write_evidence()

    def write_evidence(self) -> None:
        """Write the evidence that is held, numbered by the lines of the file."""
        if not self.held:
            return
        before = 0 if self.beside is None else self.beside.rows
        number = (pl.int_range(1, pl.len() + 1, dtype=pl.Int64) + before).alias("line")
        rows = pl.concat(self.held).with_columns(number)
        if self.beside is None:
            schema = dict(rows.schema)
            self.beside = Spool(self.evidence_path, schema, compression="zstd", few=("op",))
        self.beside.add(rows)
        self.held, self.lines = [], 0

    @property
    def evidence_path(self) -> Path:
        """Where the evidence lies until the file is sealed."""
        return self.path.with_name(f"{self.path.name}-evidence")

    def close_evidence(self) -> None:
        """Write the rest of the evidence and close it."""
        self.write_evidence()
        if self.beside is not None:
            self.beside.close()

    def drop(self) -> None:
        """Forget the file."""
        self.stream.close()
        if self.beside is not None:
            self.beside.drop()
        self.path.unlink(missing_ok=True)
        self.evidence_path.unlink(missing_ok=True)


class Sealer:
    """Puts blocks into files, cutting exactly at the vendor's limits.

    What takes time (digests, evidence, the disk) is done in threads beside; every method says what went wrong there.
    """

    def __init__(self, into: Path, rules: FileRules, head: Block | None) -> None:
        """Start in a folder; `head` is the block that every file begins with (a CSV header)."""
        make_private(into)
        for left in into.glob(f"{_PARTIAL}-*"):
            shutil.rmtree(left, ignore_errors=True)
        # A folder of its own: whoever lost the job and wakes in the middle must not touch what the new holder writes.
        self._begin_in = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}-", dir=into))
        self._into, self._rules, self._head = into, rules, head
        self._bytes, self._evidence, self._sealing = InTurn(_BLOCKS_WAIT), InTurn(_FRAMES_WAIT), InTurn(1)
        self._open: _Open | None = None
        self._begun: list[_Open] = []
        self._files: list[BatchFile] = []
        self._taken = self._written = 0

    def add_all(self, blocks: list[Block], evidence: pl.DataFrame) -> None:
        """Add blocks with the evidence of their rows."""
        begin = 0
        for block in blocks:
            self.add(block, evidence[begin : begin + block.rows])
            begin += block.rows

    def add(self, block: Block, evidence: pl.DataFrame) -> None:
        """Add a block with the evidence of its rows; begin another file where this one would grow too large."""
        if self._open is not None and not self._has_room(self._open, block):
            self._seal()
        if self._open is None:
            self._open = self._begin()
            if self._rules.bytes_max is not None and not self._has_room(self._open, block):
                self.abandon()
                raise SourceError("a record is larger than a batch file may be", hint="Map fewer or shorter columns.")
        self._put(self._open, block)
        self._open.rows += block.rows
        self._evidence.do(self._open.keep, evidence)

    def _has_room(self, opened: _Open, block: Block) -> bool:
        """Whether the block still fits within the vendor's limits."""
        rest = OVERHEAD - len(HEADER) if self._rules.gzip else 0
        if self._rules.bytes_max is not None and opened.size + len(block.data) + rest > self._rules.bytes_max:
            return False
        return self._rules.rows_max is None or opened.rows + block.rows <= self._rules.rows_max

    def _begin(self) -> _Open:
        """Open a file under a temporary name and write what it begins with."""
        path = self._begin_in / str(len(self._begun))
        opened = _Open(path.open("wb"), path)
        self._begun.append(opened)
        if self._rules.gzip:
            self._write(opened, HEADER)
        if self._head is not None:
            self._put(opened, self._head)
        return opened

    def _put(self, opened: _Open, block: Block) -> None:
        """Write a block and carry the checksum on."""
        self._write(opened, block.data)
        opened.crc = combine(opened.crc, block)
        opened.raw += block.size

    def _write(self, opened: _Open, data: bytes) -> None:
        """Write some bytes."""
        opened.size += len(data)
        self._written += len(data)
        self._bytes.do(opened.write, data)

    def _seal(self) -> None:
        """Let the open file, if there is one, be sealed: trailer, evidence, disk, name."""
        opened = self._open
        if opened is None:
            return
        self._open = None
        if self._rules.gzip:
            self._write(opened, trailer(opened.crc, opened.raw))
        written = self._bytes.do(opened.stream.close)
        evident = self._evidence.do(opened.close_evidence)
        self._sealing.do(self._settle, opened, written, evident)

    def _settle(self, opened: _Open, written: Future[None], evident: Future[None]) -> None:
        """Give a file that is written whole its place and its name."""
        written.result()
        evident.result()
        digest = opened.sha256.hexdigest()
        final = self._into / f"{digest}.{self._rules.suffix.lstrip('.')}"
        # Evidence is named by its own digest, too: the same lines may be of other keys, and it is checked when used.
        beside = self._into / f"{digest}.{digest_of(opened.evidence_path)}.evidence.parquet"
        settle_on_disk(opened.evidence_path, beside)
        settle_on_disk(opened.path, final)
        self._files.append(
            BatchFile(
                path=str(final),
                evidence=str(beside),
                digest=digest,
                md5=opened.md5.hexdigest(),
                size=opened.size,
                rows=opened.rows,
            ),
        )

    @property
    def written(self) -> int:
        """How many bytes the files have so far, the open one included."""
        return self._written

    def finish(self) -> tuple[BatchFile, ...]:
        """Seal the open file, wait until all are on the disk, and return them all."""
        self._seal()
        self.wait()
        return tuple(self._files)

    def wait(self) -> None:
        """Wait until all that was begun is done: files that are full are sealed, the open one is not."""
        for one in (self._bytes, self._evidence, self._sealing):
            one.finish()

    def take(self) -> tuple[BatchFile, ...]:
        """Return the files that were sealed since this was asked last."""
        new = tuple(self._files[self._taken :])
        self._taken += len(new)
        return new

    def abandon(self) -> None:
        """Drop what is not sealed. Once more is nothing; nothing can be added afterwards."""
        for one in (self._bytes, self._evidence, self._sealing):
            one.stop()
        for opened in self._begun:
            opened.drop()
        self._begun, self._open = [], None
        shutil.rmtree(self._begin_in, ignore_errors=True)
