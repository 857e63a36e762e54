"""The baseline and the rows in flight, opened: local files instead of references."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchsync.core.naming import segment_key
from batchsync.data.frame.integrity import opened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from batchsync.ports import BaselineEntry, ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Part of a baseline: an immutable Parquet file, named by its digest, with its row count.

    Each row holds the state of one key: `key` String; `accepted` Binary or null (fingerprint the target holds);
    `last` Binary or null with `last_state` UInt8 (how the newest version ended if it was not accepted: 1 rejected, 2
    unknown, 3 removal of unknown outcome, 4 to be sent again in any case; 5: `accepted` is assumed); `as_before`
    Boolean (`accepted` is inherited from older segments); `members` String or null (tokens of the members of the
    accepted version). A row without any state means that the key is gone. Segments
    of older releases have no `as_before`, which is false then, and use 2 for removals, too.
    """

    path: Path
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Records that a target is known to hold, and keys in flight to it.

    Attributes:
        segments: Segments, oldest first. The newest row of a key applies.
        in_flight: Row manifests of batches that are not delivered.
    """

    segments: tuple[Segment, ...] = ()
    in_flight: tuple[Path, ...] = ()

    @property
    def rows(self) -> int:
        """Total row count of the segments: at least the number of keys, and exactly that in a single segment."""
        return sum(segment.rows for segment in self.segments)

    @property
    def paths(self) -> list[Path]:
        """Paths of the segments, oldest first."""
        return [segment.path for segment in self.segments]


@contextmanager
def opened_baseline(objects: ObjectStore, entry: BaselineEntry, in_flight: Sequence[str] = ()) -> Iterator[Baseline]:
    """Open a baseline and row manifests to read.

    Args:
        objects: The store of both.
        entry: Reference to the baseline.
        in_flight: Keys of the row manifests.

    Yields:
        The baseline, whose files are valid until the context is left.

    Raises:
        StateError: If a file is missing; the message names the first.
    """
    keys = [segment_key(entry.job, segment.file) for segment in entry.segments]
    with opened(objects, [*keys, *in_flight]) as paths:
        segments = zip(paths[: len(keys)], entry.segments, strict=True)
        yield Baseline(
            segments=tuple(Segment(path=path, rows=segment.rows) for path, segment in segments),
            in_flight=tuple(paths[len(keys) :]),
        )
