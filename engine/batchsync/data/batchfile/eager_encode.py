"""Encode records while the source is compared, if the target is known to hold nothing.

The files are byte-identical to those of a later `stage`; where that is not certain they are dropped, and `stage` makes
them in a second pass.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from batchsync.core.batch import BatchFile
from batchsync.data.batchfile.batch_writer import BatchFileWriter
from batchsync.data.batchfile.encode import Encoded, head_of
from batchsync.data.row.partitions import FRAME_ROWS
from batchsync.util.files import fsync_and_rename, make_private

if TYPE_CHECKING:
    from types import TracebackType

    from batchsync.data.record.compiled_job import CompiledJob

_FOLDER, _FACTS = "ahead", "ahead.json"


class EagerEncoder:
    """Writer of eagerly encoded batch files, in a subfolder of the comparison. An exception in the context drops it."""

    def __init__(self, compiled: CompiledJob, folder: Path) -> None:
        """Start with no file."""
        self._folder = folder
        self._writer: BatchFileWriter | None = BatchFileWriter(folder / _FOLDER, compiled.rules.file, head_of(compiled))
        self._rows = 0
        self._last_was_small = False

    @property
    def written(self) -> int:
        """Number of bytes written to files."""
        return 0 if self._writer is None else self._writer.written

    @property
    def wanted(self) -> bool:
        """Whether encoding is still worthwhile."""
        return self._writer is not None

    def add(self, encoded: Encoded | None) -> None:
        """Write the lines of the next frame to files."""
        if self._writer is None or encoded is None or not encoded.rows:
            return
        if self._last_was_small:
            # `stage` would have joined the small frame with this one, which gives other blocks.
            self.drop()
            return
        self._last_was_small = encoded.rows < FRAME_ROWS // 2
        self._writer.add_all(encoded.blocks, encoded.row_manifest)
        self._rows += encoded.rows

    def finish(self, added: int) -> None:
        """Keep the files if they hold exactly the `added` records of the comparison; otherwise drop them."""
        if self._writer is None:
            return
        if self._rows != added:
            self.drop()
            return
        facts = [asdict(item) for item in self._writer.finish()]
        (self._folder / _FACTS).write_text(json.dumps(facts), encoding="utf-8")

    def drop(self) -> None:
        """Drop the files; `stage` encodes in a second pass."""
        if self._writer is not None:
            self._writer.abandon()
        self._writer = None
        shutil.rmtree(self._folder / _FOLDER, ignore_errors=True)

    def __enter__(self) -> Self:
        """Return the encoder itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop all files after an exception, unfinished ones otherwise."""
        if kind is not None or self._writer is None:
            self.drop()
        else:
            self._writer.abandon()


def adopt(folder: Path, into: Path) -> tuple[BatchFile, ...] | None:
    """Move eagerly encoded files into the folder `into`.

    Args:
        folder: Folder of the comparison.
        into: Folder of the batch files; created if absent.

    Returns:
        The files at their new paths; None if none were encoded eagerly.
    """
    facts = folder / _FACTS
    if not facts.exists():
        return None
    make_private(into)
    found = []
    for fields in json.loads(facts.read_text(encoding="utf-8")):
        file = BatchFile(**fields)
        moved = []
        for path in (Path(file.row_manifest), Path(file.path)):
            # Files of equal content share a path and are moved once.
            if path.exists():
                partial = into / f".batchsync-part-{path.name}"
                shutil.move(path, partial)
                fsync_and_rename(partial, into / path.name)
            moved.append(str(into / path.name))
        found.append(replace(file, row_manifest=moved[0], path=moved[1]))
    facts.unlink()
    return tuple(found)
