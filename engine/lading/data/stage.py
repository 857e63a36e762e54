"""What a comparison found becomes sealed batch files: the same changes give the same bytes, whatever the threads.

It does not compare. It reads the source again, takes only the rows that are to be sent, and refuses to go on when
one of them is no longer what was compared.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

from lading.data import ahead, names
from lading.data.encode import Task, changed_under_us, encode, head_of
from lading.data.grouping import grouped_frames
from lading.data.joins import join_all, load
from lading.data.keys import keyed
from lading.data.read import FRAME_ROWS, frames
from lading.data.records import Plan, make_plan
from lading.data.sealed import Sealer
from lading.data.spool import in_order, threads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lading.core.batch import BatchFile
    from lading.core.job import Job
    from lading.core.vendor_rules import VendorRules
    from lading.ports import Comparison, Watcher

#: A source may have columns with the plain names.
_INTERNAL = {"row": names.SENT_ROW, "key": names.SENT_KEY, "op": names.OP, "fingerprint": names.SENT_AS}
#: Frames of fewer rows are joined with the next: a block that is too small compresses badly.
FEW = FRAME_ROWS // 2
_STRETCH = 100_000


def stage(
    job: Job, rules: VendorRules, comparison: Comparison, into: Path, watcher: Watcher | None = None
) -> tuple[BatchFile, ...]:
    """Return the sealed files of a comparison, in source order, removals last.

    Raises:
        SourceError: when the source is no longer what was compared, or cannot be read.
    """
    if (done_before := ahead.take(comparison.folder, into)) is not None:
        return done_before
    changes = Changes(comparison.folder)
    if not changes.total:
        return ()
    facts = json.loads((comparison.folder / "compare.json").read_text(encoding="utf-8"))
    template = tuple(facts["template"]) if facts["template"] is not None else None
    plan = make_plan(job, rules, template)
    sealer = Sealer(into, rules.file, head_of(plan))
    done = 0
    try:
        for one in in_order(lambda task: encode(plan, task), _tasks(plan, changes, comparison.folder), threads()):
            for block, evidence in one.blocks:
                sealer.add(block, evidence)
            done += one.rows
            if watcher is not None:
                watcher.progress(job.name, "stage", done, "records", changes.total)
        if done != changes.total:
            raise changed_under_us(job)
        sealer.finish()
    finally:
        sealer.abandon()
    return tuple(sealer.files)


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


def _tasks(plan: Plan, changes: Changes, folder: Path) -> Iterator[Task]:
    """Yield the work in the order in which records are sent."""
    number = 0
    if changes.sent:
        for rows in _grouped(changes, folder) if plan.grouped else _rows(plan, changes, folder):
            yield Task(rows, number, removal=False)
            number += rows[names.HEAD].n_unique() if plan.grouped else rows.height
    for rows in changes.removals():
        yield Task(rows, number, removal=True)
        number += rows.height


def _with_changes(frame: pl.DataFrame, changes: Changes, row: str) -> pl.DataFrame:
    """Return the rows of a frame that are to be sent, with what the comparison found about them."""
    sent = changes.until(int(frame[row][-1]) if frame.height else 0)
    if not sent.height:
        return frame.clear().join(sent, left_on=row, right_on=names.SENT_ROW, how="inner")
    return frame.join(sent, left_on=row, right_on=names.SENT_ROW, how="inner", maintain_order="left")


def _grouped(changes: Changes, folder: Path) -> Iterator[pl.DataFrame]:
    """Yield the source rows of records to send, whole records in each frame."""
    for frame in grouped_frames(folder):
        rows = _with_changes(frame, changes, names.HEAD)
        if rows.height:
            yield rows


def _rows(plan: Plan, changes: Changes, folder: Path) -> Iterator[pl.DataFrame]:
    """Yield the source rows to send; those of one frame of the source stay together, small ones are joined."""
    lookups = load(plan.job.source, folder)
    kept: list[pl.DataFrame] = []
    for frame in frames(plan.given, folder, fresh=False):
        rows = _with_changes(frame, changes, names.ROW)
        if not rows.height:
            continue
        kept.append(rows)
        if sum(one.height for one in kept) >= FEW:
            yield keyed(plan, join_all(pl.concat(kept), lookups))[0]
            kept = []
    if kept:
        yield keyed(plan, join_all(pl.concat(kept), lookups))[0]
