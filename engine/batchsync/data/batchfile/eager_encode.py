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
from batchsync.data.batchfile.encode import Encoded, head_of, tail_of
from batchsync.data.row.partitions import FRAME_ROWS
from batchsync.util.files import fsync_file, make_private

if TYPE_CHECKING:
    from types import TracebackType

    from batchsync.data.record.compiled_job import CompiledJob
    from batchsync.ports import ObjectFolder

_FOLDER, _FACTS = "ahead", "ahead.json"


class EagerEncoder:
    """Writer of eagerly encoded batch files, in a subfolder of the comparison. An exception in the context drops it."""

    def __init__(self, compiled: CompiledJob, folder: Path) -> None:
        """Start with no file."""
        self._folder = folder
        make_private(folder / _FOLDER)
        self._writer: BatchFileWriter | None = BatchFileWriter(
            folder / _FOLDER, compiled.rules.file, head_of(compiled), self._keep, tail_of(compiled)
        )
        self._rows = 0
        self._last_was_small = False

    def _keep(self, file: Path, name: str) -> str:
        """Keep a finished file under a name until it is adopted, and return its path."""
        # Flushed now, in the background: `adopt` would have to wait for all files.
        fsync_file(file)
        return str(file.replace(self._folder / _FOLDER / name))

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


def adopt(folder: Path, into: ObjectFolder) -> tuple[BatchFile, ...] | None:
    """Put eagerly encoded files into an object store.

    Args:
        folder: Folder of the comparison.
        into: Destination of the batch files and row manifests.

    Returns:
        The files at their new locations; None if none were encoded eagerly.
    """
    facts = folder / _FACTS
    if not facts.exists():
        return None
    found: list[BatchFile] = []
    locations: dict[str, str] = {}
    for fields in json.loads(facts.read_text(encoding="utf-8")):
        file = BatchFile(**fields)
        for path in (file.row_manifest, file.path):
            # Files of equal content share a path and are put once.
            if path not in locations:
                locations[path] = into.put(Path(path), Path(path).name)
        found.append(replace(file, row_manifest=locations[file.row_manifest], path=locations[file.path]))
    facts.unlink()
    return tuple(found)
