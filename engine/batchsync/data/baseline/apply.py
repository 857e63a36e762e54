"""Apply the verdicts of batches to the baseline, key by key. Applying the same verdicts twice changes nothing.

A new segment is durable, under its digest, before it is referenced. Segments are merged one range of key hashes at a
time when `core.compaction` requires it.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.batch import Verdict
from batchsync.core.compaction import compaction_start
from batchsync.core.row_outcome import BATCH_OUTCOMES, RowOutcome
from batchsync.data.baseline.content import ContentByKey, manifest_content, with_nulls
from batchsync.data.baseline.segments import (
    SEGMENT,
    SegmentReader,
    kept_content,
    latest_per_key,
    range_count,
    scan_keys,
    write_segment,
)
from batchsync.data.baseline.states import ASSUMED, REJECTED, REMOVAL_UNKNOWN, RESEND, UNKNOWN
from batchsync.data.frame.content import FILE, FILE_DIGITS, content_among
from batchsync.data.frame.hashes import HASH, hash_of, in_hash_order, partition_end
from batchsync.data.frame.integrity import verify_digest
from batchsync.ports import SegmentEntry
from batchsync.util.executor import TaskPool, map_in_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from batchsync.data.frame.known import Baseline
    from batchsync.ports import ObjectFolder

_STATES = ["key", "fingerprint", "op", "state", "retry", "code", "members"]
_NO_MEMBERS = pl.lit(None, dtype=pl.String).alias("members")


def apply_verdicts(
    baseline: Baseline, verdicts: Sequence[Path], into: ObjectFolder, manifests: Sequence[Path] = ()
) -> tuple[SegmentEntry, ...]:
    """Apply verdict files to a baseline.

    Args:
        baseline: The current baseline.
        verdicts: Verdict files of batches, in the order of delivery.
        into: Destination of new segments.
        manifests: Row manifests of the same batches, which may have the content of the records.

    Returns:
        The segments of the new baseline, or of the same if no verdict changes it.

    Raises:
        StateError: If a segment to merge is missing or damaged.
    """
    new = latest_per_key([_read_verdicts(path) for path in verdicts], whole=False)
    if len(manifests) == 1:
        digest = manifests[0].name.split(".")[0][:FILE_DIGITS]
        is_new = pl.col("accepted").is_not_null() & ~pl.col("as_before")
        new = new.with_columns(pl.when(is_new).then(pl.lit(digest)).alias(FILE))
    return _append(baseline, new, into, manifest_content(manifests))


def _read_verdicts(path: Path) -> pl.DataFrame:
    """Return the last verdict of each key as segment rows, without rejected rows that are retried unchanged.

    A retried row is kept if its code is RESENT: the target may no longer hold the version that it accepted before.
    """
    found = pl.scan_parquet(path, glob=False)
    if "members" not in found.collect_schema():
        found = found.with_columns(_NO_MEMBERS)
    rows = found.select(_STATES).collect().with_columns(pl.col("members").cast(pl.String), hash_of("key"))
    if rows[HASH].is_duplicated().any():
        rows = rows.unique("key", keep="last", maintain_order=True)
    accepted = pl.col("state").is_in([outcome for outcome in BATCH_OUTCOMES if outcome.traits.in_target])
    rejected, unknown = (pl.col("state") == outcome for outcome in (RowOutcome.REJECTED, RowOutcome.UNKNOWN))
    is_removal = pl.col("op") == "remove"
    is_present = accepted & ~is_removal
    new = pl.col("fingerprint")
    retry = pl.col("retry").fill_null(value=False)
    resend = rejected & retry & (pl.col("code") == str(Verdict.RESENT)).fill_null(value=False)
    state = pl.when(resend).then(RESEND).when(rejected).then(REJECTED).when(is_removal).then(REMOVAL_UNKNOWN)
    last_state = state.otherwise(UNKNOWN).cast(pl.UInt8)
    final = accepted | unknown | resend | (rejected & ~retry)
    return rows.filter(final).select(
        "key",
        pl.when(is_present).then(new).alias("accepted"),
        pl.when(~accepted).then(new).alias("last"),
        pl.when(~accepted).then(last_state).alias("last_state"),
        (~accepted).alias("as_before"),
        pl.when(is_present).then(pl.col("members")).alias("members"),
        HASH,
    )


def assume(baseline: Baseline, records: pl.DataFrame, into: ObjectFolder) -> tuple[SegmentEntry, ...]:
    """Add records to a baseline that the target holds on a person's word.

    Args:
        baseline: The current baseline.
        records: Records with the columns `key` and `fingerprint`, each key once.
        into: Destination of new segments.

    Returns:
        The segments of the new baseline.

    Raises:
        StateError: If a segment to merge is missing or damaged.
    """
    new = records.select(
        "key",
        pl.col("fingerprint").alias("accepted"),
        pl.col("fingerprint").alias("last"),
        pl.lit(ASSUMED, dtype=pl.UInt8).alias("last_state"),
        pl.lit(value=False).alias("as_before"),
        _NO_MEMBERS,
        hash_of("key"),
    )
    return _append(baseline, new, into)


def renew(
    baseline: Baseline, records: pl.DataFrame, into: ObjectFolder, content: pl.LazyFrame | None = None
) -> tuple[SegmentEntry, ...]:
    """Replace what is kept of records that the target holds unchanged: fingerprints, after an upgrade, or content.

    Args:
        baseline: The current baseline.
        records: Records with the columns `key` and `fingerprint`, each key once, without a later version.
        into: Destination of new segments.
        content: Content of the records by `key`; None keeps none.

    Returns:
        The segments of the new baseline.

    Raises:
        StateError: If a segment to merge is missing or damaged.
    """
    new = records.select(
        "key",
        pl.col("fingerprint").alias("accepted"),
        pl.lit(None, dtype=pl.Binary).alias("last"),
        pl.lit(None, dtype=pl.UInt8).alias("last_state"),
        pl.lit(value=False).alias("as_before"),
        _NO_MEMBERS,
        hash_of("key"),
    )
    return _append(baseline, new, into, content)


def resolve(
    baseline: Baseline, keys: Sequence[str], into: ObjectFolder, *, delivered: bool
) -> tuple[SegmentEntry, ...]:
    """Apply a person's resolution of rows with unknown outcome to a baseline.

    Args:
        baseline: The current baseline.
        keys: Keys of the rows; keys whose last outcome is not unknown are ignored.
        into: Destination of new segments.
        delivered: Whether the rows were delivered: then the target holds them, or no longer holds them if they were
            removals. Otherwise the next run sends them again.

    Returns:
        The segments of the new baseline, or of the same if no key changes.

    Raises:
        StateError: If a segment to merge is missing or damaged.
    """
    last_state = pl.col("last_state")
    content = kept_content(baseline.segments)
    rows = scan_keys(baseline, keys, content).filter(
        last_state.is_in((UNKNOWN, REMOVAL_UNKNOWN)).fill_null(value=False)
    )
    if delivered:
        resolved = rows.with_columns(
            pl.when(last_state == UNKNOWN).then(pl.col("last")).alias("accepted"),
            _NO_MEMBERS,
            *(pl.lit(None, dtype=rows.schema[name]).alias(name) for name in content),
            pl.lit(None, dtype=pl.Binary).alias("last"),
            pl.lit(None, dtype=pl.UInt8).alias("last_state"),
        )
    else:
        resolved = rows.with_columns(pl.lit(RESEND, dtype=pl.UInt8).alias("last_state"))
    return _append(baseline, resolved, into)


def forget(baseline: Baseline, keys: Sequence[str], into: ObjectFolder) -> tuple[SegmentEntry, ...]:
    """Remove keys from a baseline, so that they count as new if they return. Rows of unknown outcome stay unknown.

    Args:
        baseline: The current baseline.
        keys: The keys; those that the baseline lacks are ignored.
        into: Destination of new segments.

    Returns:
        The segments of the new baseline, or of the same if no key changes.

    Raises:
        StateError: If a segment to merge is missing or damaged.
    """
    last_state = pl.col("last_state")
    unknown = last_state.is_in((UNKNOWN, REMOVAL_UNKNOWN)).fill_null(value=False)
    changes = pl.col("accepted").is_not_null() | (last_state.is_not_null() & ~unknown)
    forgotten = (
        scan_keys(baseline, keys)
        .filter(changes)
        .with_columns(
            pl.lit(None, dtype=pl.Binary).alias("accepted"),
            _NO_MEMBERS,
            pl.when(unknown).then(pl.col("last")).alias("last"),
            pl.when(unknown).then(last_state).alias("last_state"),
            pl.lit(value=False).alias("as_before"),
        )
    )
    return _append(baseline, forgotten, into)


def _append(
    baseline: Baseline, new: pl.DataFrame, into: ObjectFolder, content: pl.LazyFrame | None = None
) -> tuple[SegmentEntry, ...]:
    """Return the segments with one of the new rows added, or merged with some of the segments.

    Args:
        baseline: The current baseline.
        new: The new rows.
        into: Destination of new segments.
        content: Content of the accepted ones of the new rows by `key`, read in pieces; None if it is in `new`, or none
            is kept.
    """
    entries = tuple(
        SegmentEntry(file=segment.path.name, digest=segment.path.name.split(".")[0], rows=segment.rows)
        for segment in baseline.segments
    )
    if not new.height:
        return entries
    first_merged = compaction_start([segment.rows for segment in baseline.segments], new.height)
    older, merged = entries[:first_merged], baseline.segments[first_merged:]
    verify_digest([segment.path for segment in merged])
    with ExitStack() as stack:
        found: ContentByKey | None = None
        workspace: Path | None = None
        if content is not None:
            workspace = stack.enter_context(into.workspace())
            found = stack.enter_context(ContentByKey(workspace, content))
        kept = content_among([*kept_content(merged), *new.columns, *(found.columns if found else ())])
        ranges = range_count(new.height + sum(segment.rows for segment in merged), kept)
        readers = [SegmentReader(segment, kept) for segment in merged]
        layers_by_range = _iter_layers(readers, in_hash_order(new, "key"), ranges, kept, found)
        columns = [*SEGMENT, *kept]
        sorted_ranges = map_in_order(
            lambda layers: _merge(layers, columns, oldest=not older), layers_by_range, TaskPool().concurrency
        )
        segment = write_segment(sorted_ranges, into, kept, workspace)
    return (*older, segment) if segment.rows else older


def _iter_layers(
    readers: list[SegmentReader],
    new: pl.DataFrame,
    ranges: int,
    kept: Sequence[str],
    content: ContentByKey | None,
) -> Iterator[list[pl.DataFrame]]:
    """Yield the rows of each hash range, one frame per segment, oldest first, with the columns of content `kept`."""
    begin = 0
    for number in range(ranges):
        limit = partition_end(number, ranges)
        end = new.height if number + 1 == ranges else int(new[HASH].search_sorted(limit))
        rows = new[begin:end]
        if content is not None:
            rows = content.joined(rows, number, ranges)
        if kept:
            rows = with_nulls(rows, kept).select(*SEGMENT, *kept, HASH)
        yield [*(reader.until(limit) for reader in readers), rows]
        begin = end


def _merge(layers: list[pl.DataFrame], columns: Sequence[str], *, oldest: bool) -> pl.DataFrame:
    """Return the merged rows of a hash range in order; without empty history if there are no older segments."""
    rows = latest_per_key(layers, whole=oldest)
    is_unordered = sum(1 for layer in layers if layer.height) > 1
    return (in_hash_order(rows, "key") if is_unordered else rows).select(columns)
