"""Rewrite the segments of a baseline without some keys: nothing of these is left in any file that it refers to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.baseline.segments import SegmentReader, kept_content, range_count, scan_keys, write_segment
from batchsync.data.baseline.states import REMOVAL_UNKNOWN, RESEND
from batchsync.data.frame.hashes import HASH, hash_of, partition_end
from batchsync.data.frame.integrity import verify_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchsync.data.frame.known import Baseline, Segment
    from batchsync.ports import BaselineEntry, ObjectFolder, SegmentEntry


def erase(
    baseline: Baseline, entry: BaselineEntry, keys: Sequence[str], into: ObjectFolder
) -> tuple[SegmentEntry, ...]:
    """Return the segments without the rows of some keys. Segments that lack them stay as they are.

    Args:
        baseline: The baseline.
        entry: The reference to it.
        keys: The keys.
        into: Destination of new segments.

    Returns:
        The segments; one that contained nothing else is left out.

    Raises:
        StateError: If a segment to rewrite is missing or damaged.
    """
    wanted = _hashed(keys)
    segments = []
    for segment, reference in zip(baseline.segments, entry.segments, strict=True):
        if not SegmentReader(segment).read_keys(wanted).height:
            segments.append(reference)
            continue
        verify_digest([segment.path])
        content = kept_content([segment])
        ranges = range_count(segment.rows, content)
        rewritten = write_segment(_without(segment, wanted, ranges, content), into, content)
        segments += [rewritten] if rewritten.rows else []
    return tuple(segments)


def known_keys(baseline: Baseline, keys: Sequence[str]) -> dict[str, bool]:
    """Return those of some keys that a baseline has, and whether the target holds a version, or may hold one."""
    maybe = pl.col("accepted").is_not_null() | pl.col("last_state").is_in((RESEND, REMOVAL_UNKNOWN))
    found = scan_keys(baseline, _hashed(keys)["key"].to_list()).select(
        "key", maybe.fill_null(value=False).alias("held")
    )
    return dict(found.iter_rows())


def _without(segment: Segment, wanted: pl.DataFrame, ranges: int, content: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Yield the rows of a segment without those of some keys, one hash range at a time."""
    reader = SegmentReader(segment, content)
    for number in range(ranges):
        yield reader.until(partition_end(number, ranges)).join(
            wanted, on=["key", HASH], how="anti", maintain_order="left"
        )


def _hashed(keys: Sequence[str]) -> pl.DataFrame:
    """Return keys that are valid text, each once, with their hashes."""
    valid = [key for key in dict.fromkeys(keys) if key.encode("utf-8", "replace").decode() == key]
    return pl.DataFrame({"key": pl.Series(valid, dtype=pl.String)}).with_columns(hash_of("key"))
