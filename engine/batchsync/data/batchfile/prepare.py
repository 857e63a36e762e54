"""What a comparison found becomes sealed batch files: the same changes give the same bytes, whatever the threads.

It does not compare. It reads the source again, takes only the rows that are to be sent, and refuses to go on when
one of them is no longer what was compared.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

from lading.data import ahead, names
from lading.data.encode import changed_under_us, head_of
from lading.data.grouping import UnsortedError, grouped_frames, streamed
from lading.data.joins import load
from lading.data.parts import Part, parts
from lading.data.read import FRAME_ROWS
from lading.data.recipe import recipe_of
from lading.data.records import Plan, make_plan
from lading.data.sealed import Sealer
from lading.data.tasks import KeyTask, StageTask, prepare_keys, prepare_lines, with_changes
from lading.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lading.core.batch import BatchFile
    from lading.core.job import Job
    from lading.core.vendor_rules import VendorRules
    from lading.data.workers import Workers
    from lading.ports import Comparison, Watcher

#: A source may have columns with the plain names.
_INTERNAL = {"row": names.SENT_ROW, "key": names.SENT_KEY, "op": names.OP, "fingerprint": names.SENT_AS}
#: Frames of fewer rows are joined with the next: a block that is too small compresses badly.
FEW = FRAME_ROWS // 2
_STRETCH = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What staging has around it: who does the tasks, who is shown how far it is, and whether it is to stop."""

    workers: Workers
    watcher: Watcher | None = None
    stopped: Callable[[], bool] = lambda: False


def stage_each(job: Job, rules: VendorRules, comparison: Comparison, into: Path, around: Around) -> Iterator[BatchFile]:
    """Yield the sealed files of a comparison, in source order, removals last, each as soon as it is whole on the disk.

    What was yielded stays, whatever happens afterwards; what was begun and not yielded is dropped. It ends at the next
    frame once `stopped` says so.

    Raises:
        SourceError: when the source is no longer what was compared, or cannot be read.
    """
    if (done_before := ahead.take(comparison.folder, into)) is not None:
        yield from done_before
        return
    changes = Changes(comparison.folder)
    if not changes.total:
        return
    facts = json.loads((comparison.folder / "compare.json").read_text(encoding="utf-8"))
    template = tuple(facts["template"]) if facts["template"] is not None else None
    plan = make_plan(job, rules, template)
    sealer = Sealer(into, rules.file, head_of(plan))
    done = 0
    staging = _Staging(plan, changes, comparison.folder, around.workers, streamed=facts["streamed"])
    results = around.workers.in_order(prepare_lines, staging.tasks())
    try:
        for one in results:
            if around.stopped():
                return
            sealer.add_all(one.blocks, one.evidence)
            done += one.rows
            if around.watcher is not None:
                around.watcher.progress(job.name, "stage", done, "records", changes.total, (sealer.written, None))
            yield from sealer.take()
        if done != changes.total:
            raise changed_under_us(job)
        sealer.finish()
        yield from sealer.take()
    except SourceError:
        # What was whole before the source turned out to have changed is as sound as ever.
        sealer.wait()
        yield from sealer.take()
        raise
    finally:
        results.close()
        sealer.abandon()


class Changes:
    """The changes of a comparison, handed out by ascending source row, a stretch of the file in memory at a time."""

    def __init__(self, folder: Path) -> None:
        """Count them; nothing is read before it is asked for."""
        file = folder / "changes.parquet"
        self._rows = pl.scan_parquet(file, glob=False).rename(_INTERNAL)
        if pq.read_metadata(file).num_rows <= _STRETCH:
            # It is read once then, and not once for each question.
            self._rows = self._rows.collect().lazy()
        counted = self._rows.select(all=pl.len(), removed=(pl.col(names.OP) == "remove").sum()).collect()
        self.total, removed = int(counted["all"][0]), int(counted["removed"][0] or 0)
        self.sent = self.total - removed
        self._next = 0
        self._rest = self._read(0)

    def _read(self, count: int) -> pl.DataFrame:
        """Return the next rows of the file that are no removals."""
        found = self._rows.slice(self._next, min(count, self.sent - self._next)).collect()
        self._next += found.height
        return found

    def until(self, row: int) -> pl.DataFrame:
        """Return the changes up to this source row that were not handed out."""
        while self._next < self.sent and not (self._rest.height and self._rest[names.SENT_ROW][-1] > row):
            self._rest = pl.concat([self._rest, self._read(_STRETCH)])
        end = int(self._rest[names.SENT_ROW].search_sorted(row, side="right"))
        found, self._rest = self._rest[:end], self._rest[end:]
        return found

    def removals(self) -> Iterator[pl.DataFrame]:
        """Yield the removals in frames of FRAME_ROWS."""
        for begin in range(self.sent, self.total, FRAME_ROWS):
            yield self._rows.slice(begin, FRAME_ROWS).collect()


@dataclass(frozen=True, slots=True)
class _Staging:
    """The work of one staging. `streamed` says that the source was found to be sorted by its key (`each:`)."""

    plan: Plan
    changes: Changes
    folder: Path
    workers: Workers
    streamed: bool

    def tasks(self) -> Iterator[StageTask]:
        """Yield the work in the order in which records are sent."""
        plan, changes = self.plan, self.changes
        lookups = load(plan.job.source, self.folder) if changes.sent else ()
        recipe = recipe_of(plan, lookups, self.folder)
        number = 0
        if changes.sent:
            for records, task in self._grouped(recipe) if plan.grouped else self._rows(recipe):
                yield replace(task, first=number)
                number += records
        for removed in changes.removals():
            yield StageTask(recipe=recipe, first=number, rows=removed, removal=True)
            number += removed.height

    def _parts(self) -> Iterator[Part]:
        """Yield the parts of the source."""
        return parts(self.plan.given, self.folder, fresh=False, apart=True)

    def _rows(self, recipe: bytes) -> Iterator[tuple[int, StageTask]]:
        """Yield the source rows to send; those of one part of the source stay together, small ones are joined."""
        kept: list[tuple[Part, pl.DataFrame]] = []
        count = 0
        for part in self._parts():
            sent = self.changes.until(part.last)
            if not sent.height:
                continue
            kept.append((_lean(part, sent), sent))
            count += sent.height
            if count >= FEW:
                yield count, StageTask(recipe=recipe, first=0, parts=tuple(kept))
                kept, count = [], 0
        if kept:
            yield count, StageTask(recipe=recipe, first=0, parts=tuple(kept))

    def _grouped(self, recipe: bytes) -> Iterator[tuple[int, StageTask]]:
        """Yield the source rows of records to send, whole records in each task, with the number of the records."""
        for frame in self._whole_records(recipe):
            sent = self.changes.until(int(frame[names.HEAD][-1]))
            if sent.height:
                yield sent.height, StageTask(recipe=recipe, first=0, rows=with_changes(frame, sent, names.HEAD))

    def _whole_records(self, recipe: bytes) -> Iterator[pl.DataFrame]:
        """Yield the source in frames of whole records."""
        if not self.streamed:
            yield from grouped_frames(self.folder)
            return
        tasks = (KeyTask(recipe, part) for part in self._parts())
        try:
            yield from streamed(one.rows for one in self.workers.in_order(prepare_keys, tasks))
        except UnsortedError:
            raise changed_under_us(self.plan.job) from None


def _lean(part: Part, sent: pl.DataFrame) -> Part:
    """Return a part without the rows that it holds for nothing, where those are many."""
    if part.rows is None or sent.height > part.count // 2:
        return part
    rows = part.rows.join(sent, left_on=names.ROW, right_on=names.SENT_ROW, how="semi", maintain_order="left")
    return replace(part, rows=rows)
