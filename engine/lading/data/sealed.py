"""A batch file is written once, whole, to the disk, under the name of its digest, with its evidence beside it.

It does not know how lines are made. A file that was not finished has a name that nobody looks for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

import polars as pl

from lading.core.batch import BatchFile
from lading.data.gz import HEADER, OVERHEAD, Block, combine, trailer
from lading.data.spool import Spool, settle_on_disk
from lading.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from lading.core.vendor_rules import FileRules

_PARTIAL = ".lading-part"
#: Rows of evidence that are held in memory.
_EVIDENCE_ROWS = 100_000


@dataclass(slots=True)
class _Open:
    """The file that is being written."""

    stream: IO[bytes]
    path: Path
    size: int = 0
    rows: int = 0
    crc: int = 0
    raw: int = 0
    md5: hashlib._Hash = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))
    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)

    def write(self, data: bytes) -> None:
        """Write and digest."""
        self.stream.write(data)
        self.md5.update(data)
        self.sha256.update(data)
        self.size += len(data)


class Sealer:
    """Puts blocks into files, cutting exactly at the vendor's limits."""

    def __init__(self, into: Path, rules: FileRules, head: Block | None) -> None:
        """Start in a folder; `head` is the block that every file begins with (a CSV header)."""
        into.mkdir(parents=True, exist_ok=True)
        for left in into.glob(f"{_PARTIAL}-*"):
            left.unlink()
        self._into, self._rules, self._head = into, rules, head
        self._open: _Open | None = None
        self._evidence: list[pl.DataFrame] = []
        self._lines = 0
        self._beside: Spool | None = None
        self.files: list[BatchFile] = []
        self._taken = 0

    def add(self, block: Block, evidence: pl.DataFrame) -> None:
        """Add a block with the evidence of its rows; begin another file where this one would grow too large."""
        if self._open is not None and not self._has_room(self._open, block):
            self.finish()
        if self._open is None:
            self._open = self._begin()
            if self._rules.bytes_max is not None and not self._has_room(self._open, block):
                self.abandon()
                raise SourceError("a record is larger than a batch file may be", hint="Map fewer or shorter columns.")
        self._put(self._open, block)
        self._open.rows += block.rows
        self._evidence.append(evidence)
        self._lines += evidence.height
        if self._lines >= _EVIDENCE_ROWS:
            self._write_evidence()

    def _write_evidence(self) -> None:
        """Write the evidence that is held, numbered by the lines of the file."""
        if not self._evidence:
            return
        held = pl.concat(self._evidence)
        before = 0 if self._beside is None else self._beside.rows
        rows = held.with_columns((pl.int_range(1, pl.len() + 1, dtype=pl.Int64) + before).alias("line"))
        if self._beside is None:
            path = self._into / f"{_PARTIAL}-evidence"
            self._beside = Spool(path, dict(rows.schema), compression="zstd")
        self._beside.add(rows)
        self._evidence, self._lines = [], 0

    def _has_room(self, opened: _Open, block: Block) -> bool:
        """Whether the block still fits within the vendor's limits."""
        rest = OVERHEAD - len(HEADER) if self._rules.gzip else 0
        if self._rules.bytes_max is not None and opened.size + len(block.data) + rest > self._rules.bytes_max:
            return False
        return self._rules.rows_max is None or opened.rows + block.rows <= self._rules.rows_max

    def _begin(self) -> _Open:
        """Open a file under a temporary name and write what it begins with."""
        path = self._into / f"{_PARTIAL}-{len(self.files)}"
        opened = _Open(path.open("wb"), path)
        if self._rules.gzip:
            opened.write(HEADER)
        if self._head is not None:
            self._put(opened, self._head)
        return opened

    @staticmethod
    def _put(opened: _Open, block: Block) -> None:
        """Write a block and carry the checksum on."""
        opened.write(block.data)
        opened.crc = combine(opened.crc, block)
        opened.raw += block.size

    def finish(self) -> None:
        """Seal the open file, if there is one: trailer, evidence, disk, name."""
        opened = self._open
        if opened is None:
            return
        if self._rules.gzip:
            opened.write(trailer(opened.crc, opened.raw))
        opened.stream.close()
        digest = opened.sha256.hexdigest()
        final = self._into / f"{digest}.{self._rules.suffix.lstrip('.')}"
        beside = self._beside_of(digest)
        self._write_evidence()
        if self._beside is not None:
            self._beside.close()
        self._beside = None
        partial = self._into / f"{_PARTIAL}-evidence"
        settle_on_disk(partial, beside)
        settle_on_disk(opened.path, final)
        self.files.append(
            BatchFile(
                path=str(final),
                evidence=str(beside),
                digest=digest,
                md5=opened.md5.hexdigest(),
                size=opened.size,
                rows=opened.rows,
            ),
        )
        self._open = None

    def _beside_of(self, digest: str) -> Path:
        """Return a name for the evidence that no file has: the same content may be under way with other keys."""
        number, name = 0, self._into / f"{digest}.evidence.parquet"
        while name.exists():
            number += 1
            name = self._into / f"{digest}.{number}.evidence.parquet"
        return name

    def take(self) -> tuple[BatchFile, ...]:
        """Return the files that were sealed since this was asked last."""
        new = tuple(self.files[self._taken :])
        self._taken += len(new)
        return new

    def abandon(self) -> None:
        """Drop what is open."""
        if self._beside is not None:
            self._beside.drop()
            self._beside = None
        if self._open is not None:
            self._open.stream.close()
            self._open.path.unlink(missing_ok=True)
            self._open = None
