"""A baseline file is gone through, and written, in the order of its keys' hashes, a stretch at a time.

It does not know what moves a baseline. A file that was not written here is put in order in memory first.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

import polars as pl
import pyarrow.parquet as pq

from lading.data.scatter import HASH, hashed, in_hash_order
from lading.data.spool import Spool, digest_of, settle_on_disk
from lading.ports import Baseline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

#: What stands in a baseline.
BASELINE = {"key": pl.String, "accepted": pl.Binary, "last": pl.Binary, "last_state": pl.UInt8}
#: Rows that are read, and written, at a time.
STRETCH = 250_000
_MARK = {b"lading.order": b"xxh3_64"}


def rows_of(baseline: Baseline) -> pl.LazyFrame:
    """Return the rows of a baseline; none when there is no file yet."""
    if baseline.path is None:
        return pl.LazyFrame(schema=BASELINE)
    return pl.scan_parquet(baseline.path, glob=False)


def parts_for(rows: int) -> int:
    """Return in how many stretches of hashes, a power of two, rows are gone through."""
    return 1 << (max(0, rows - 1) // STRETCH).bit_length()


class Ordered:
    """The rows of a baseline with the hashes of their keys, handed out in ascending order. A context manager."""

    def __init__(self, baseline: Baseline) -> None:
        """Look at the file; nothing is read before it is asked for."""
        self._rows = rows_of(baseline)
        self._total = 0
        self._next = 0
        self._rest = self._hashed(pl.DataFrame(schema=BASELINE))
        self._beside = ThreadPoolExecutor(1)
        self._coming: Future[pl.DataFrame] | None = None
        if baseline.path is None:
            return
        if (pq.read_schema(baseline.path).metadata or {}).get(b"lading.order") == _MARK[b"lading.order"]:
            self._total = pq.read_metadata(baseline.path).num_rows
            self._ask()
        else:
            self._rest = self._hashed(self._rows.select(list(BASELINE)).collect())
            self._rest = in_hash_order(self._rest, "key")

    @staticmethod
    def _hashed(rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows with the hashes of their keys."""
        return rows.with_columns(hashed("key"))

    def _read(self, begin: int) -> pl.DataFrame:
        """Return one stretch of the file."""
        return self._hashed(self._rows.slice(begin, STRETCH).select(list(BASELINE)).collect())

    def _ask(self) -> None:
        """Begin to read the next stretch, when there is one."""
        self._coming = self._beside.submit(self._read, self._next) if self._next < self._total else None
        self._next += STRETCH

    def until(self, limit: int) -> pl.DataFrame:
        """Return the rows that were not handed out and whose hash is below the limit."""
        found = [self._rest]
        while self._coming is not None and not (found[-1].height and found[-1][HASH][-1] >= limit):
            found.append(self._coming.result())
            self._ask()
        whole = pl.concat(found)
        end = whole.height if limit >= 1 << 64 else int(whole[HASH].search_sorted(limit))
        self._rest = whole[end:]
        return whole[:end]

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop reading ahead."""
        self._beside.shutdown(cancel_futures=True)


def written(stretches: Iterator[pl.DataFrame], into: Path) -> Baseline:
    """Return the stretches, each in order and all above those before, as a new baseline file, whole on the disk."""
    into.mkdir(parents=True, exist_ok=True)
    partial = into / ".baseline.partial"
    with Spool(partial, BASELINE, compression="zstd", mark=_MARK) as spool:
        for rows in stretches:
            spool.add(rows)
    final = into / f"{digest_of(partial)}.parquet"
    settle_on_disk(partial, final)
    return Baseline(path=final, rows=spool.rows)
