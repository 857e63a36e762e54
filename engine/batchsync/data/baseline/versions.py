"""Known states of exactly the keys that a plan sends, or whose answers it removes: kept with the plan, compared later.

A run over other keys changes none of them, whatever it does to the segments of the baseline.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.baseline.segments import SegmentReader, latest_per_key, scan_keys
from batchsync.data.frame.hashes import PARTITIONS, partition_end, partition_of_key
from batchsync.data.frame.partitioned_spill import PartitionedSpill
from batchsync.data.frame.suppressed import is_suppressed
from batchsync.ports import MovedKeys
from batchsync.util.parquet_writer import ParquetWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from batchsync.data.frame.known import Baseline
    from batchsync.ports import Suppression

#: Columns of `versions.parquet`: a key, and its state in the baseline (null: the baseline lacks the key).
VERSIONS: dict[str, pl.DataType | type[pl.DataType]] = {
    "key": pl.String,
    "accepted": pl.Binary,
    "last": pl.Binary,
    "last_state": pl.UInt8,
}
_FILE = "versions.parquet"
_STATE = [name for name in VERSIONS if name != "key"]
#: Number of keys up to which only their hash ranges are read, instead of the whole baseline.
_FEW_KEYS = 1_000
_CHUNK_ROWS = 100_000


def write_versions(folder: Path, keys: Iterable[pl.DataFrame], baseline: Baseline) -> None:
    """Write the states of some keys to `versions.parquet`.

    Args:
        folder: Existing folder.
        keys: Frames with the column `key: str`; a key may occur again.
        baseline: The baseline that the plan was compared with.
    """
    with ExitStack() as stack:
        planned = stack.enter_context(PartitionedSpill(folder, "planned", {"key": pl.String}))
        out = stack.enter_context(ParquetWriter(folder / _FILE, VERSIONS))
        for frame in keys:
            planned.add(frame, partition_of_key("key"))
        planned.finish()
        for _, rows, known in _partitions(planned, baseline):
            out.add(rows.unique("key", maintain_order=True).join(known, on="key", how="left", maintain_order="left"))
    if not (folder / _FILE).exists():
        pl.DataFrame(schema=VERSIONS).write_parquet(folder / _FILE)


def count_moved(folder: Path, baseline: Baseline, suppression: Suppression | None, listed: pl.DataFrame) -> MovedKeys:
    """Return how many keys of `versions.parquet` are in another state now.

    Args:
        folder: Folder of the file.
        baseline: The present baseline, with the row manifests in flight.
        suppression: Keys that were forgotten; None if there are none.
        listed: Keys of rows that are on the suppression list of the job, with the column `key`.
    """
    total = in_flight = suppressed = changed = 0
    with PartitionedSpill(folder, "planned", VERSIONS) as planned, PartitionedSpill(folder, "sent", _KEY) as sent:
        for frame in _chunks(folder / _FILE):
            planned.add(frame, partition_of_key("key"))
        planned.finish()
        for manifest in baseline.in_flight:
            for frame in _chunks(manifest, "key"):
                sent.add(frame, partition_of_key("key"))
        sent.finish()
        for number, rows, known in _partitions(planned, baseline):
            total += rows.height
            on_list = rows["key"].is_in(listed["key"].implode())
            hidden = rows.filter(is_suppressed(rows, "key", suppression) | on_list)
            others = rows.join(hidden, on="key", how="anti")
            frames = sent.partitions() if number is None else [sent.partition(number)]
            flying = pl.concat([others.join(frame, on="key", how="semi") for frame in frames]).unique("key")
            others = others.join(flying, on="key", how="anti").join(known, on="key", how="left", suffix=":now")
            differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}:now")) for name in _STATE)
            suppressed, in_flight = suppressed + hidden.height, in_flight + flying.height
            changed += others.filter(differs).height
    return MovedKeys(planned=total, changed=changed, in_flight=in_flight, suppressed=suppressed)


_KEY: dict[str, pl.DataType | type[pl.DataType]] = {"key": pl.String}


def _partitions(
    planned: PartitionedSpill, baseline: Baseline
) -> Iterator[tuple[int | None, pl.DataFrame, pl.DataFrame]]:
    """Yield the planned keys by partition, each with the known states of these keys (columns `VERSIONS`).

    The number of the partition is None for all keys at once.
    """
    if not planned.spilled and planned.rows <= _FEW_KEYS:
        rows = planned.partition(0, 1)
        yield None, rows, scan_keys(baseline, rows["key"].to_list()).select(*VERSIONS)
        return
    readers = [SegmentReader(segment) for segment in baseline.segments]
    for number in range(PARTITIONS):
        segments = [reader.until(partition_end(number, PARTITIONS)) for reader in readers]
        rows = planned.partition(number)
        yield number, rows, latest_per_key(segments, whole=True).select(*VERSIONS).join(rows, on="key", how="semi")


def _chunks(file: Path, *names: str) -> Iterator[pl.DataFrame]:
    """Yield the rows of a file in chunks: all columns, or those named."""
    rows = pl.scan_parquet(file, glob=False)
    yield from (rows.select(*names) if names else rows).collect_batches(chunk_size=_CHUNK_ROWS)
