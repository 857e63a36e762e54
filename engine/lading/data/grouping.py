"""Source rows that share a key come out side by side, in the order in which their records first appear.

It does not map anything. Rows go to a few files by where their record begins, so that only one of them is in memory.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import polars as pl

from lading.data import names
from lading.data.read import FRAME_ROWS
from lading.data.scatter import Scatter, part_of_key
from lading.data.spool import Schema, Spool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

#: Source rows of one file, at least; there are at most MOST files.
SHARE = 250_000
MOST = 64


def spread(given: Iterable[pl.DataFrame], schema: Schema, work: Path) -> None:
    """Write keyed rows to files `grouped-*.parquet`, with the row where their record begins in `HEAD`."""
    for old in work.glob("grouped-*.parquet"):
        old.unlink()
    whole: Schema = {**schema, names.HEAD: pl.Int64}
    last = 0
    with Scatter(work, "keyed", schema) as by_key, ExitStack() as stack:
        for frame in given:
            by_key.add(frame, part_of_key(names.KEY))
            last = max(last, int(frame[names.ROW][-1]) if frame.height else 0)
        by_key.finish()
        share = max(SHARE, -(-last // MOST))
        outs: dict[int, Spool] = {}
        for part in by_key.parts():
            head = pl.col(names.ROW).min().over(names.KEY).alias(names.HEAD)
            placed = part.with_columns(head).with_columns(((pl.col(names.HEAD) - 1) // share).alias("lading:share"))
            for (number,), rows in placed.partition_by("lading:share", as_dict=True, include_key=False).items():
                if number not in outs:
                    outs[number] = stack.enter_context(Spool(work / f"grouped-{number:06d}.parquet", whole))
                outs[number].add(rows)


def grouped_frames(work: Path) -> Iterator[pl.DataFrame]:
    """Yield frames of whole records, in source order, of about FRAME_ROWS rows."""
    for path in sorted(work.glob("grouped-*.parquet")):
        rows = pl.read_parquet(path, glob=False).sort(names.HEAD, names.ROW)
        heads = rows[names.HEAD]
        begin = 0
        while begin < rows.height:
            end = begin + FRAME_ROWS
            if end < rows.height:
                end = int(heads.search_sorted(heads[end - 1], side="right"))
            yield rows[begin:end]
            begin = end
