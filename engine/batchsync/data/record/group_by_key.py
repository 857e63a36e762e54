"""Source rows that share a key come out side by side, in the order in which their records first appear.

It does not map anything. Rows that are sorted by their key are taken as they come; others go to a few files by where
their record begins, so that only one of those is in memory. The frames are the same either way.
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
    yield from _cut(pl.read_parquet(path, glob=False).sort(names.HEAD, names.ROW) for path in _files(work))


def _files(work: Path) -> list[Path]:
    """Return the files of `spread`, by source row."""
    return sorted(work.glob("grouped-*.parquet"))


def streamed(given: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield the very frames that `grouped_frames` would give after `spread`, of rows that are sorted by their key.

    Raises:
        UnsortedError: as soon as a row is seen whose key does not follow the one before it.
    """
    order = _Order()
    head = pl.when(pl.col(names.KEY).ne_missing(pl.col(names.KEY).shift())).then(names.ROW).forward_fill()

    def placed() -> Iterator[pl.DataFrame]:
        last: pl.DataFrame | None = None
        for frame in given:
            if not frame.height:
                continue
            order.see(frame[names.KEY])
            rows = frame.with_columns(head.alias(names.HEAD))
            if last is not None and last[names.KEY][0] == frame[names.KEY][0]:
                same = pl.col(names.HEAD) == rows[names.HEAD][0]
                rows = rows.with_columns(
                    pl.when(same).then(last[names.HEAD][0]).otherwise(names.HEAD).alias(names.HEAD)
                )
            last = rows.select(names.KEY, names.HEAD)[-1:]
            yield rows

    yield from _cut(placed())


def _cut(given: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield rows, given in the order of HEAD and ROW, in frames of whole records that do not depend on how they come.

    A frame is the fewest whole records with FRAME_ROWS rows.
    """
    rest: pl.DataFrame | None = None
    for found in given:
        rows = found if rest is None else pl.concat([rest, found])
        heads = rows[names.HEAD]
        begin = 0
        while begin + FRAME_ROWS < rows.height:
            end = int(heads.search_sorted(heads[begin + FRAME_ROWS - 1], side="right"))
            if end == rows.height:
                # The next rows may belong to the last record.
                break
            yield rows[begin:end]
            begin = end
        rest = rows[begin:]
    if rest is not None and rest.height:
        yield rest


class UnsortedError(Exception):
    """A source is not sorted by its key."""


class _Order:
    """Knows in which orders the keys seen so far are sorted: as text or as whole numbers, up or down."""

    def __init__(self) -> None:
        """Begin with all of them."""
        self._orders = [(kind, down) for kind in (pl.String(), pl.Int64()) for down in (False, True)]
        self._last = pl.Series([], dtype=pl.String)

    def see(self, keys: pl.Series) -> None:
        """Look at the next keys.

        Raises:
            UnsortedError: when no order is left.
        """
        both = pl.concat([self._last, keys.alias("")])
        self._last = both[-1:]
        runs = both.filter(both.ne_missing(both.shift()))
        self._orders = [one for one in self._orders if _sorted(runs, one)]
        if not self._orders:
            raise UnsortedError


def _sorted(runs: pl.Series, order: tuple[pl.DataType, bool]) -> bool:
    """Whether keys, none equal to the one before, are in an order in which no key can come again."""
    kind, down = order
    values = runs if kind == pl.String else runs.cast(kind, strict=False)
    if values.null_count():
        return False
    before, after = values[:-1], values[1:]
    return bool(((after < before) if down else (after > before)).all())
