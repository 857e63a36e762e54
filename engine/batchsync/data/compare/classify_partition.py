"""Classify the records of one partition of keys: a function of its records and of what is known of its keys."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.row_outcome import RowOutcome
from batchsync.core.suppressed import OnSuppressed
from batchsync.data.baseline.segments import latest_per_key
from batchsync.data.baseline.states import REJECTED, REMOVAL_UNKNOWN, RESEND, UNKNOWN
from batchsync.data.batchfile.changes import CHANGES
from batchsync.data.compare.duplicate_keys import EXAMPLES
from batchsync.data.compare.lost_values import count_lost
from batchsync.data.compare.unkept import without_content
from batchsync.data.frame import columns, ordering
from batchsync.data.frame.content import LAYOUT
from batchsync.data.frame.hashes import FINGERPRINT_BYTES, HASH, hash_of, in_hash_order, partition_end
from batchsync.data.frame.suppressed import is_suppressed
from batchsync.data.record.fingerprint import has_current_definition, removal_fingerprint
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchsync.core.job import Job
    from batchsync.ports import Suppression

#: Ranges of key hashes whose changes have a digest of their own; at least as many as partitions.
DIGEST_RANGES = 256
_DIGEST_ROWS = 100_000
#: Text of a change in the digest over all changes.
_DIGEST_LINE = pl.concat_str(["key", "op", pl.col("fingerprint").bin.encode("hex")], separator="\0")
#: Columns of superseded rows, which lost against another row of their key.
SUPERSEDED = {columns.ROW: pl.Int64, columns.KEY: pl.String}
#: Columns of unchanged records with a fingerprint of the present version, for which the baseline holds an older one.
RENEWED = {"key": pl.String, "fingerprint": pl.Binary}


@dataclass(slots=True, kw_only=True)
class ClassifiedPartition:
    """Result of one partition.

    Attributes:
        counts: Row counts by classification.
        changes: Changes, with the columns `CHANGES`, in order of their key hashes.
        superseded: Rows that lost against another row of their key, with the columns `SUPERSEDED`.
        renewed: Columns `RENEWED`, see `ClassifiedRows`.
        duplicates: Rows of keys that occur more than once and may not; None without.
        lost: Number of records by the members that they lost and the target keeps.
        stale_watermark: See `StaleWatermarkError`.
        unkept: Columns `CHANGES`, see `ClassifiedRows`; None if the job keeps no content.
        digest: Digests of the changes in each range of key hashes, one after the other.
    """

    counts: Counter[str]
    changes: pl.DataFrame
    superseded: pl.DataFrame
    renewed: pl.DataFrame
    duplicates: pl.DataFrame | None
    lost: Counter[frozenset[str]] = field(default_factory=Counter)
    stale_watermark: bool = False
    unkept: pl.DataFrame | None = None
    digest: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionInputs:
    """What is known of the keys of one partition.

    Attributes:
        number: Number of the partition.
        parts: Number of partitions.
        rows: Its records, with the columns `RECORDS`, in source order.
        segments: Its rows of each segment of the baseline, oldest first.
        in_flight: Keys in flight (column `key`).
        listed: Keys of rows on the suppression list (column `KEY`).
    """

    number: int
    parts: int
    rows: pl.DataFrame
    segments: list[pl.DataFrame]
    in_flight: pl.DataFrame
    listed: pl.DataFrame


def classify_partition(job: Job, suppression: Suppression | None, inputs: PartitionInputs) -> ClassifiedPartition:
    """Classify the records of one partition of keys.

    Args:
        job: The job.
        suppression: Keys that were forgotten.
        inputs: What is known of its keys.

    Returns:
        The classified records.

    Raises:
        SourceError: If the rows of a key cannot be put in order.
    """
    rows, in_flight, listed = inputs.rows, inputs.in_flight, inputs.listed
    known = latest_per_key(inputs.segments, whole=True).drop("as_before")
    rows = rows.with_columns(hash_of(columns.KEY))
    result = ClassifiedPartition(
        counts=Counter(),
        changes=pl.DataFrame(schema=CHANGES),
        superseded=pl.DataFrame(schema=SUPERSEDED),
        renewed=pl.DataFrame(schema=RENEWED),
        duplicates=None,
    )
    on_list = rows[columns.KEY].is_in(listed[columns.KEY].implode())
    suppressed = is_suppressed(rows, columns.KEY, suppression) | on_list
    result.counts[RowOutcome.SUPPRESSED] += int(suppressed.sum())
    winners = _drop_superseded(result, job, rows.filter(~suppressed) if suppressed.any() else rows)
    if result.duplicates is not None:
        return result
    good = winners.filter(~pl.col("bad"))
    result.counts["invalid"] += winners.height - good.height
    result.counts["at_target"] += known.height - known["accepted"].null_count()
    in_flight = in_flight.unique()
    old = good.filter(pl.col(columns.BELOW_WATERMARK))
    if old.height:
        # A row that won against another one of its key may be another row than the one that was accepted.
        won = old.join(result.superseded, on=columns.KEY, how="semi").height
        if won or not _all_accepted(old, known, in_flight):
            result.stale_watermark = True
            return result
        result.counts["unchanged"] += old.height
        good = good.filter(~pl.col(columns.BELOW_WATERMARK))
    state = _classified(job, good, known, in_flight)
    result.counts.update(dict(state["state"].value_counts().iter_rows()))
    sent = state.filter(pl.col("state").is_in(["added", "changed"]))
    if job.send.rows == "all":
        result.counts["resent"] += sent.filter(_equals(sent, "accepted")).height
    result.lost = count_lost(sent)
    if columns.FORMER_FINGERPRINT in state.columns:
        _compare_versions(result, state)
    if LAYOUT in state.columns:
        result.unkept = without_content(job.keep, state)
    changes = [
        sent.select(
            pl.col(columns.ROW).alias("row"),
            pl.col(columns.KEY).alias("key"),
            pl.when(pl.col("state") == "added").then(pl.lit("add")).otherwise(pl.lit("change")).alias("op"),
            pl.col(columns.FINGERPRINT).alias("fingerprint"),
        ),
    ]
    if job.removal is not None:
        removes_listed = job.suppress is not None and job.suppress.then is OnSuppressed.REMOVE
        kept = rows.filter(~on_list) if removes_listed else rows
        changes.append(_removals(result, job, known, kept, in_flight))
    ordered = in_hash_order(pl.concat(changes).with_columns(hash_of("key")), "key")
    per_part = DIGEST_RANGES // inputs.parts
    ranges = range(inputs.number * per_part, (inputs.number + 1) * per_part)
    result.digest = b"".join(_digests(ordered, ranges))
    result.changes = ordered.drop(HASH)
    return result


def _digests(changes: pl.DataFrame, ranges: range) -> Iterator[bytes]:
    """Yield the digest of the changes in each range of key hashes.

    Args:
        changes: Columns `CHANGES` and `HASH`, in order of the hashes.
        ranges: Numbers of the ranges.
    """
    begin = 0
    for number in ranges:
        digest = hashlib.sha256()
        limit = partition_end(number, DIGEST_RANGES)
        end = changes.height if number + 1 == ranges.stop else int(changes[HASH].search_sorted(limit))
        for first in range(begin, end, _DIGEST_ROWS):
            part = changes[first : min(first + _DIGEST_ROWS, end)]
            digest.update(part.select(_DIGEST_LINE.str.join("\n"))[0, 0].encode())
            digest.update(b"\n")
        yield digest.digest()
        begin = end


def deleted_since(rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return the known state of keys that the target holds, or may hold, and that have no row any more.

    Args:
        rows: Records of the source: `HASH: u64` and the columns `RECORDS`.
        known: Known state by key: `key: str, accepted: bytes[21], last: bytes[21], last_state: u8`.

    Returns:
        The columns of `known`.
    """
    maybe_held = pl.col("accepted").is_not_null() | pl.col("last_state").is_in((RESEND, REMOVAL_UNKNOWN))
    return known.filter(maybe_held).join(rows, left_on="key", right_on=columns.KEY, how="anti")


def _all_accepted(old: pl.DataFrame, known: pl.DataFrame, in_flight: pl.DataFrame) -> bool:
    """Return whether the newest version of each key was accepted by the target, and none is in flight."""
    accepted = pl.col("accepted").is_not_null() & (pl.col("last_state").fill_null(0) == 0)
    held = _with_known_state(old, known).filter(accepted)
    return (
        held.height == old.height and not held.join(in_flight, left_on=columns.KEY, right_on="key", how="semi").height
    )


def _drop_superseded(result: ClassifiedPartition, job: Job, rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row per key, by the job's policy for duplicates, and collect the superseded rows."""
    same_hash = rows.filter(pl.col(HASH).is_duplicated()) if rows.height else rows
    duplicates = same_hash.filter(pl.col(columns.KEY).is_duplicated()) if same_hash.height else same_hash
    if not duplicates.height:
        return rows
    policy = job.source.duplicates
    if policy == "fail":
        result.duplicates = duplicates
        return rows
    order = [columns.ROW]
    descending = [policy != "first"]
    if policy.startswith("by:"):
        order, descending = [columns.RANK, columns.ROW], [True, True]
        _check_ranks_comparable(job, duplicates)
    winners = duplicates.sort(order, descending=descending, nulls_last=True).unique(
        columns.KEY, keep="first", maintain_order=True
    )
    superseded = duplicates.join(winners, on=columns.ROW, how="anti")
    result.superseded = superseded.select(columns.ROW, columns.KEY)
    result.counts[RowOutcome.SUPERSEDED] += superseded.height
    return rows.join(superseded, on=columns.ROW, how="anti")


def _check_ranks_comparable(job: Job, duplicates: pl.DataFrame) -> None:
    """Raise SourceError if the greatest value of the rows of a key is ambiguous."""
    if duplicates.schema[columns.RANK] != pl.String:
        return
    kind = pl.col(columns.RANK).str.slice(0, 1)
    ambiguous = duplicates.filter((kind == ordering.AMBIGUOUS) | (kind.drop_nulls().n_unique().over(columns.KEY) > 1))
    if ambiguous.height:
        rows = ", ".join(str(row) for row in ambiguous[columns.ROW].sort().head(EXAMPLES))
        raise SourceError(
            f"{job.source.place}: {job.source.path}: the greatest {job.source.duplicates.removeprefix('by:')} of a "
            f"key is ambiguous in rows {rows}",
            hint="Use a column of numbers, of dates that begin with the year, or of words; not a mixture of these.",
        )


def _classified(job: Job, good: pl.DataFrame, known: pl.DataFrame, in_flight: pl.DataFrame) -> pl.DataFrame:
    """Return the good records with their classification in the column `state`."""
    if not known.height and not in_flight.height:
        nothing = {name: pl.lit(None, dtype=kind) for name, kind in known.schema.items() if name not in ("key", HASH)}
        return good.with_columns(state=pl.lit("added"), **nothing)
    joined = _with_known_state(good, known)
    marked = in_flight.select("key", pl.lit(value=True).alias("in_flight"))
    joined = joined.join(marked, left_on=columns.KEY, right_on="key", how="left")
    # While a version is in flight or its outcome is unknown, the state of the target is unknown: every other version
    # is deferred, even the accepted one to which the source returned.
    is_in_flight = pl.col("in_flight").is_not_null()
    accepted, last = (_equals(good, name) for name in ("accepted", "last"))
    last_state = pl.col("last_state").fill_null(0)
    unknown = last_state.is_in((UNKNOWN, REMOVAL_UNKNOWN))
    refused = (last_state == REJECTED) & (not job.send.rejected)
    skip = accepted & (last_state != RESEND) if job.send.rows != "all" else pl.lit(value=False)
    return joined.with_columns(
        pl.when(is_in_flight)
        .then(pl.lit("deferred"))
        .when(unknown)
        .then(pl.lit("still_unknown"))
        .when(skip)
        .then(pl.lit("unchanged"))
        .when(accepted)
        .then(pl.lit("changed"))
        .when(last & refused)
        .then(pl.lit("still_rejected"))
        .when(pl.col("accepted").is_null())
        .then(pl.lit("added"))
        .otherwise(pl.lit("changed"))
        .alias("state"),
    )


def _compare_versions(result: ClassifiedPartition, state: pl.DataFrame) -> None:
    """Collect unchanged records whose known fingerprint is of version 1, and count changed ones.

    Records with a later version than the accepted one keep their fingerprints.
    """
    former = state.filter(pl.col("accepted").bin.size() < FINGERPRINT_BYTES)
    alone = pl.col("last").is_null() | (pl.col("last_state").fill_null(0) == 0)
    unchanged = former.filter((pl.col("state") == "unchanged") & alone)
    result.renewed = unchanged.select(
        pl.col(columns.KEY).alias("key"), pl.col(columns.FINGERPRINT).alias("fingerprint")
    )
    changed = former.filter((pl.col("state") == "changed") & ~_equals(former, "accepted"))
    result.counts["incomparable"] += changed.height


def _equals(records: pl.DataFrame, known: str) -> pl.Expr:
    """Return whether a record has the known fingerprint in the column `known`, in the version of that fingerprint."""
    equal = pl.col(columns.FINGERPRINT) == pl.col(known)
    if columns.FORMER_FINGERPRINT in records.columns:
        equal = equal | (pl.col(columns.FORMER_FINGERPRINT) == pl.col(known))
    return equal.fill_null(value=False)


def _with_known_state(good: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return good records with the known state of their keys; joined by hash unless two keys share one."""
    joined = good.join(known, on=HASH, how="left")
    others = (joined[columns.KEY] != joined["key"]).any()
    if joined.height == good.height and not others:
        return joined.drop("key")
    return good.join(known.drop(HASH), left_on=columns.KEY, right_on="key", how="left")


def _removals(
    result: ClassifiedPartition, job: Job, known: pl.DataFrame, rows: pl.DataFrame, in_flight: pl.DataFrame
) -> pl.DataFrame:
    """Return the removals: keys that the target holds, the whole source lacks, and that are not in flight."""
    gone = deleted_since(rows, known).drop(HASH).join(in_flight, on="key", how="anti")
    same_definition = has_current_definition(job.source)
    result.counts["other_definition"] += gone.height - gone.select(same_definition.sum()).item()
    gone = gone.filter(same_definition).with_columns(removal_fingerprint(job, pl.col("key")).alias("fingerprint"))
    last_state = pl.col("last_state").fill_null(0)
    unknown = last_state.is_in((UNKNOWN, REMOVAL_UNKNOWN))
    # A removal has the same fingerprint in each version, but for the version itself.
    bytes_of_both = FINGERPRINT_BYTES - 1
    same = pl.col("fingerprint").bin.tail(bytes_of_both) == pl.col("last").bin.tail(bytes_of_both)
    state = (
        pl.when(same.fill_null(value=False) & (last_state == REJECTED) & (not job.send.rejected))
        .then(pl.lit("still_rejected"))
        .when(unknown)
        .then(pl.lit("still_unknown"))
        .otherwise(pl.lit("removed"))
    )
    gone = gone.with_columns(state.alias("state"))
    for (name,), part in gone.group_by("state"):
        result.counts[str(name)] += part.height
        result.counts["deleted"] += part.height
    removed = gone.filter(pl.col("state") == "removed")
    return removed.select(pl.lit(0, dtype=pl.Int64).alias("row"), "key", pl.lit("remove").alias("op"), "fingerprint")
