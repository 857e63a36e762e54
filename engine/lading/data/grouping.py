"""Source rows that share a key come out side by side, in the order in which their records first appear.

It does not map anything. Rows go to a few files by where their record begins, so that only one of them is in memory.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import polars as pl

from lading.data import names
from lading.data.read import FRAME_ROWS
from lading.data.spool import Schema, Spool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Source rows of one file, at least; there are at most MOST files.
SHARE = 250_000
MOST = 64


def spread(spooled: Path, schema: Schema, work: Path) -> None:
    """Write the rows of a spool to files `grouped-*.parquet`, with the row where their record begins in `HEAD`."""
    keys = pl.scan_parquet(spooled, glob=False).select(names.KEY, names.ROW)
    heads = keys.group_by(names.KEY).agg(pl.col(names.ROW).min().alias(names.HEAD)).collect(engine="streaming")
    last = heads[names.HEAD].max() if heads.height else 0
    total = int(last) if isinstance(last, int) else 0
    share = max(SHARE, -(-total // MOST))
    for old in work.glob("grouped-*.parquet"):
        old.unlink()
    with ExitStack() as stack:
        outs: dict[int, Spool] = {}
        for frame in pl.scan_parquet(spooled, glob=False).collect_batches(chunk_size=FRAME_ROWS, maintain_order=True):
            whole = frame.join(heads, on=names.KEY, how="inner", maintain_order="left")
            placed = whole.with_columns(((pl.col(names.HEAD) - 1) // share).alias("lading:share"))
            for (number,), part in placed.partition_by("lading:share", as_dict=True, include_key=False).items():
                if number not in outs:
                    path = work / f"grouped-{number:06d}.parquet"
                    outs[number] = stack.enter_context(Spool(path, {**schema, names.HEAD: pl.Int64}))
                outs[number].add(part)


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
