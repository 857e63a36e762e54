"""When nothing is known to be at the target, records are encoded and sealed while the source is read for comparing.

It gives the very files that staging afterwards would give, byte for byte; where that is not certain it gives none, and
the files are made in a second pass.
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
from batchsync.data.row.reader import FRAME_ROWS
from batchsync.util.files import fsync_and_rename, make_private

if TYPE_CHECKING:
    from types import TracebackType

    from batchsync.data.record.compiled_job import CompiledJob
    from batchsync.ports import Baseline, CompareContext

_FOLDER, _FACTS = "ahead", "ahead.json"


def can_encode_eagerly(plan: CompiledJob, baseline: Baseline, context: CompareContext) -> bool:
    """Whether every good record of the source will be sent, each frame as it is read."""
    nothing_known = not baseline.rows and not context.in_flight and context.watermark is None
    return context.eager and nothing_known and not plan.grouped and plan.rules.file.rows_max is None


class EagerEncoder:
    """Seals what will be sent, in a folder beside the comparison. A context manager: an exception drops it."""

    def __init__(self, plan: CompiledJob, folder: Path) -> None:
        """Begin with no file."""
        self._plan, self._folder = plan, folder
        self._sealer: BatchFileWriter | None = BatchFileWriter(folder / _FOLDER, plan.rules.file, head_of(plan))
        self._rows = 0
        self._small = False

    @property
    def written(self) -> int:
        """How many bytes were put into files."""
        return 0 if self._sealer is None else self._sealer.written

    @property
    def wanted(self) -> bool:
        """Whether lines are still worth making."""
        return self._sealer is not None

    def add(self, one: Encoded | None) -> None:
        """Put the lines of the next frame into files."""
        if self._sealer is None or one is None or not one.rows:
            return
        if self._small:
            # A small frame would have been joined with this one.
            self.drop()
            return
        self._small = one.rows < FRAME_ROWS // 2
        self._sealer.add_all(one.blocks, one.row_manifest)
        self._rows += one.rows

    def finish(self, added: int) -> None:
        """Keep the files if they hold exactly the records that the comparison wants to add; else drop them."""
        if self._sealer is None:
            return
        if self._rows != added:
            self.drop()
            return
        facts = [asdict(item) for item in self._sealer.finish()]
        (self._folder / _FACTS).write_text(json.dumps(facts), encoding="utf-8")

    def drop(self) -> None:
        """Leave it to the second pass."""
        if self._sealer is not None:
            self._sealer.abandon()
        self._sealer = None
        shutil.rmtree(self._folder / _FOLDER, ignore_errors=True)

    def __enter__(self) -> Self:
        """Return the object itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop everything after an exception."""
        if kind is not None or self._sealer is None:
            self.drop()
        else:
            self._sealer.abandon()


def adopt(folder: Path, into: Path) -> tuple[BatchFile, ...] | None:
    """Move the files that were sealed ahead into the folder `into` and return them; None when there are none."""
    facts = folder / _FACTS
    if not facts.exists():
        return None
    make_private(into)
    found = []
    for load in json.loads(facts.read_text(encoding="utf-8")):
        file = BatchFile(**load)
        moved = []
        for path in (Path(file.row_manifest), Path(file.path)):
            # Files of the very same content are one file.
            if path.exists():
                partial = into / f".batchsync-part-{path.name}"
                shutil.move(path, partial)
                fsync_and_rename(partial, into / path.name)
            moved.append(str(into / path.name))
        found.append(replace(file, row_manifest=moved[0], path=moved[1]))
    facts.unlink()
    return tuple(found)
