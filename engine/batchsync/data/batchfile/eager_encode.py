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

from lading.core.batch import BatchFile
from lading.data.encode import Encoded, head_of
from lading.data.read import FRAME_ROWS
from lading.data.sealed import Sealer
from lading.data.spool import settle_on_disk
from lading.folders import make_private

if TYPE_CHECKING:
    from types import TracebackType

    from lading.data.records import Plan
    from lading.ports import Baseline, CompareContext

_FOLDER, _FACTS = "ahead", "ahead.json"


def may_go_ahead(plan: Plan, baseline: Baseline, context: CompareContext) -> bool:
    """Whether every good record of the source will be sent, each frame as it is read."""
    nothing_known = not baseline.rows and not context.in_flight and context.high_water is None
    return context.ahead and nothing_known and not plan.grouped and plan.rules.file.rows_max is None


class Ahead:
    """Seals what will be sent, in a folder beside the comparison. A context manager: an exception drops it."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        """Begin with no file."""
        self._plan, self._folder = plan, folder
        self._sealer: Sealer | None = Sealer(folder / _FOLDER, plan.rules.file, head_of(plan))
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
        self._sealer.add_all(one.blocks, one.evidence)
        self._rows += one.rows

    def finish(self, added: int) -> None:
        """Keep the files if they hold exactly the records that the comparison wants to add; else drop them."""
        if self._sealer is None:
            return
        if self._rows != added:
            self.drop()
            return
        facts = [asdict(one) for one in self._sealer.finish()]
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


def take(folder: Path, into: Path) -> tuple[BatchFile, ...] | None:
    """Move the files that were sealed ahead into the folder `into` and return them; None when there are none."""
    facts = folder / _FACTS
    if not facts.exists():
        return None
    make_private(into)
    found = []
    for one in json.loads(facts.read_text(encoding="utf-8")):
        file = BatchFile(**one)
        moved = []
        for path in (Path(file.evidence), Path(file.path)):
            # Files of the very same content are one file.
            if path.exists():
                partial = into / f".lading-part-{path.name}"
                shutil.move(path, partial)
                settle_on_disk(partial, into / path.name)
            moved.append(str(into / path.name))
        found.append(replace(file, evidence=moved[0], path=moved[1]))
    facts.unlink()
    return tuple(found)
