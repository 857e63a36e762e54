"""Every record of a source is put in exactly one place: unchanged, to send, held, standing, or invalid.

It does not read sources. It compares the records found and the baseline, a part of the keys at a time, so that memory
does not grow with the number of records.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from lading.data import names, ranks
from lading.data.keys import defined_as_today
from lading.data.ordered import Ordered, known, newest
from lading.data.records import removal_fingerprint
from lading.data.scatter import HASH, HELD, PARTS, Scatter, end_of, hashed, in_hash_order, part_of_key
from lading.data.workers import in_order
from lading.errors import SourceError

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lading.core.job import Job
    from lading.data.spool import Spool
    from lading.ports import Baseline

#: So many records, new and old, are compared at once.
PART = 500_000
#: Parts that are compared at the same time; the engine uses all cores within each.
_AT_ONCE = 2
_DIGESTED = 100_000
_SHOWN = 5
#: How the newest version ended, in `Segment.last_state`. A removal of unknown outcome has a number of its own, and so
#: have rows that a person has sent again: nobody knows whether the target still holds what it accepted before.
REJECTED, UNKNOWN, REMOVAL_UNKNOWN, AGAIN = 1, 2, 3, 4
#: What stands in `changes.parquet`.
CHANGES = {"row": pl.Int64, "key": pl.String, "op": pl.String, "fingerprint": pl.Binary}
#: What is kept of a row that lost against another one of the same key.
LOSERS = {names.ROW: pl.Int64, names.KEY: pl.String}


@dataclass(slots=True)
class Placed:
    """Where the records of a comparison went: counts, the changes by source row, the removals, and the losers.

    Losers are rows that lost against another one of the same key. `digest` has seen every change by then.
    """

    changes: Scatter
    removed: Spool
    losers: Scatter
    share: int
    digest: hashlib._Hash
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What is compared: the records found, the baseline, and the keys under way (or spared, though they are gone)."""

    records: Scatter
    baseline: Baseline
    flying: Scatter


def read_flying(in_flight: Sequence[Path], into: Scatter) -> None:
    """Put the keys of everything under way into a scatter."""
    for one in in_flight:
        for frame in pl.scan_parquet(one, glob=False).select("key").collect_batches(chunk_size=HELD):
            into.add(frame, part_of_key("key"))
    into.finish()


def place(job: Job, given: Given, placed: Placed) -> None:
    """Find out where each record goes, a part of the keys at a time, in the order of their hashes.

    Raises:
        SourceError: when a key stands twice and the job does not say which row wins.
        NotHeldError: when a row below the mark of `send: since` is of a key whose record the baseline does not hold.
    """
    few = given.records.rows + given.flying.rows + given.baseline.rows <= PART
    parts = 1 if few and not given.records.spilled and not given.flying.spilled else PARTS
    doubled, not_held = Twice(), False
    for found in in_order(lambda one: _part(job, *one), _parts(given, parts), _AT_ONCE):
        doubled.add(found.doubled)
        not_held = not_held or found.not_held
        if doubled.keys or not_held:
            continue
        _keep(placed, found)
    if doubled.keys:
        raise doubled.error(job)
    if not_held:
        raise NotHeldError


class NotHeldError(Exception):
    """A row that was left out as old, unread, is of a key whose record the target is not known to hold."""


def _parts(given: Given, parts: int) -> Iterator[tuple[pl.DataFrame, list[pl.DataFrame], pl.DataFrame]]:
    """Yield the records, the segments of the baseline and the keys under way of each part of the keys."""
    before = Ordered(given.baseline.segments)
    for number in range(parts):
        yield (
            given.records.whole() if parts == 1 else given.records.part(number),
            before.until(end_of(number, parts)),
            given.flying.whole() if parts == 1 else given.flying.part(number),
        )


@dataclass(slots=True, kw_only=True)
class _Found:
    """What was found about one part of the keys. `not_held`: see `NotHeldError`."""

    counts: Counter[str]
    changes: pl.DataFrame
    losers: pl.DataFrame
    doubled: pl.DataFrame | None
    not_held: bool = False


def _keep(placed: Placed, found: _Found) -> None:
    """Keep what was found about one part; parts come in the order of their hashes."""
    placed.counts.update(found.counts)
    placed.losers.add(found.losers, by_row(names.ROW, placed.share))
    text = pl.concat_str(["key", "op", pl.col("fingerprint").bin.encode("hex")], separator="\0")
    for begin in range(0, found.changes.height, _DIGESTED):
        line = found.changes[begin : begin + _DIGESTED].select(text.str.join("\n"))[0, 0]
        placed.digest.update(f"{line}\n".encode())
    removal = pl.col("op") == "remove"
    placed.changes.add(found.changes.filter(~removal), by_row("row", placed.share))
    placed.removed.add(found.changes.filter(removal))


def by_row(column: str, share: int) -> pl.Expr:
    """Return which part of a scatter by source row a row belongs to."""
    return (pl.col(column) - 1).clip(0) // share


def _part(job: Job, rows: pl.DataFrame, segments: list[pl.DataFrame], flying: pl.DataFrame) -> _Found:
    """Place the records of one part of the keys."""
    before = known(newest(segments)).drop("as_before")
    rows = rows.with_columns(hashed(names.KEY))
    found = _Found(counts=Counter(), changes=pl.DataFrame(schema=CHANGES), losers=_no_losers(), doubled=None)
    winners = _without_losers(found, job, rows)
    if found.doubled is not None:
        return found
    good = winners.filter(~pl.col("bad"))
    found.counts["invalid"] += winners.height - good.height
    found.counts["at_target"] += before.height - before["accepted"].null_count()
    flying = flying.unique()
    old = good.filter(pl.col(names.OLD))
    if old.height:
        if not _all_held(old, before, flying):
            found.not_held = True
            return found
        found.counts["unchanged"] += old.height
        good = good.filter(~pl.col(names.OLD))
    state = _state(job, good, before, flying)
    found.counts.update(dict(state["state"].value_counts().iter_rows()))
    sent = state.filter(pl.col("state").is_in(["added", "changed"]))
    if job.send.what == "all":
        found.counts["resent"] += sent.filter(pl.col(names.FINGERPRINT) == pl.col("accepted")).height
    changes = [
        sent.select(
            pl.col(names.ROW).alias("row"),
            pl.col(names.KEY).alias("key"),
            pl.when(pl.col("state") == "added").then(pl.lit("add")).otherwise(pl.lit("change")).alias("op"),
            pl.col(names.FINGERPRINT).alias("fingerprint"),
        ),
    ]
    if job.removal is not None:
        changes.append(_remove(found, job, before, rows, flying))
    found.changes = in_hash_order(pl.concat(changes).with_columns(hashed("key")), "key").drop(HASH)
    return found


def gone_from(rows: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Return what is known of the keys that the target holds, or may hold, and that have no row any more."""
    held = pl.col("accepted").is_not_null() | pl.col("last_state").is_in((AGAIN, REMOVAL_UNKNOWN))
    return before.filter(held).join(rows, left_on="key", right_on=names.KEY, how="anti")


def _all_held(old: pl.DataFrame, before: pl.DataFrame, flying: pl.DataFrame) -> bool:
    """Whether the newest version of each of these keys is one that the target accepted, and none is under way."""
    accepted = pl.col("accepted").is_not_null() & (pl.col("last_state").fill_null(0) == 0)
    held = _beside(old, before).filter(accepted)
    return held.height == old.height and not held.join(flying, left_on=names.KEY, right_on="key", how="semi").height


def _no_losers() -> pl.DataFrame:
    """Return no rows."""
    return pl.DataFrame(schema=LOSERS)


def _without_losers(found: _Found, job: Job, rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each key, by the job's policy for duplicates; keep the losers."""
    alike = rows.filter(pl.col(HASH).is_duplicated()) if rows.height else rows
    doubled = alike.filter(pl.col(names.KEY).is_duplicated()) if alike.height else alike
    if not doubled.height:
        return rows
    policy = job.source.duplicates
    if policy == "fail":
        found.doubled = doubled
        return rows
    order = [names.ROW]
    descending = [policy != "first"]
    if policy.startswith("by:"):
        order, descending = [names.RANK, names.ROW], [True, True]
        _refuse_unclear(job, doubled)
    winners = doubled.sort(order, descending=descending, nulls_last=True).unique(
        names.KEY, keep="first", maintain_order=True
    )
    losers = doubled.join(winners, on=names.ROW, how="anti")
    found.losers = losers.select(names.ROW, names.KEY)
    found.counts["invalid"] += losers.height
    return rows.join(losers, on=names.ROW, how="anti")


def _refuse_unclear(job: Job, doubled: pl.DataFrame) -> None:
    """Raise SourceError when it cannot be said which of the rows of a key has the greatest value."""
    if doubled.schema[names.RANK] != pl.String:
        return
    kind = pl.col(names.RANK).str.slice(0, 1)
    unclear = doubled.filter((kind == ranks.UNCLEAR) | (kind.drop_nulls().n_unique().over(names.KEY) > 1))
    if unclear.height:
        rows = ", ".join(str(row) for row in unclear[names.ROW].sort().head(_SHOWN))
        raise SourceError(
            f"{job.source.place}: {job.source.path}: which row of a key has the greatest "
            f"{job.source.duplicates.removeprefix('by:')} cannot be said of rows {rows}",
            hint="Let the column hold numbers, or dates that begin with the year, or words, but not several of these.",
        )


@dataclass(slots=True)
class Twice:
    """Keys that stand twice, of which the first few are shown. It names rows, not keys."""

    keys: int = 0
    shown: list[list[int]] = field(default_factory=list)

    def add(self, doubled: pl.DataFrame | None) -> None:
        """Take the rows of keys that stand twice, all rows of each."""
        if doubled is None:
            return
        groups = doubled.group_by(names.KEY).agg(pl.col(names.ROW).sort().head(_SHOWN))
        self.keys += groups.height
        first = groups.sort(pl.col(names.ROW).list.first())[names.ROW]
        self.shown = sorted([*self.shown, *first.head(_SHOWN).to_list()])[:_SHOWN]

    def error(self, job: Job) -> SourceError:
        """Return the error."""
        shown = "; ".join("rows " + ", ".join(str(row) for row in one) for one in self.shown)
        more = f" (and {self.keys - _SHOWN} more)" if self.keys > _SHOWN else ""
        count = f"{self.keys} key{'s' if self.keys != 1 else ''}"
        stand = "stand" if self.keys != 1 else "stands"
        hint = (
            "Write source.duplicates: first, last or {by: COLUMN} (the greatest value wins), "
            "or collect the rows with each:."
        )
        return SourceError(
            f"{job.source.place}: {count} of {job.source.path} {stand} more than once: {shown}{more}", hint=hint
        )


def _state(job: Job, good: pl.DataFrame, before: pl.DataFrame, flying: pl.DataFrame) -> pl.DataFrame:
    """Return the place of each good record, in a column `state`."""
    own = pl.col(names.FINGERPRINT)
    joined = _beside(good, before)
    in_flight = flying.select("key", pl.lit(value=True).alias("flying"))
    joined = joined.join(in_flight, left_on=names.KEY, right_on="key", how="left")
    # While a version is under way, or nobody knows how it ended, nobody knows what the target will hold: every other
    # version waits for that, and so does the old one to which the source went back.
    under_way = pl.col("flying").is_not_null()
    accepted = (own == pl.col("accepted")).fill_null(value=False)
    last = (own == pl.col("last")).fill_null(value=False)
    ended = pl.col("last_state").fill_null(0)
    unknown = ended.is_in((UNKNOWN, REMOVAL_UNKNOWN))
    refused = (ended == REJECTED) & (not job.send.rejected)
    quiet = accepted & (ended != AGAIN) if job.send.what != "all" else pl.lit(value=False)
    return joined.with_columns(
        pl.when(under_way)
        .then(pl.lit("held"))
        .when(unknown)
        .then(pl.lit("standing_unknown"))
        .when(quiet)
        .then(pl.lit("unchanged"))
        .when(accepted)
        .then(pl.lit("changed"))
        .when(last & refused)
        .then(pl.lit("standing_rejected"))
        .when(pl.col("accepted").is_null())
        .then(pl.lit("added"))
        .otherwise(pl.lit("changed"))
        .alias("state"),
    )


def _beside(good: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Return good records, each with what was known of its key: found by hashes, as long as no two keys share one."""
    joined = good.join(before, on=HASH, how="left")
    others = (joined[names.KEY] != joined["key"]).any()
    if joined.height == good.height and not others:
        return joined.drop("key")
    return good.join(before.drop(HASH), left_on=names.KEY, right_on="key", how="left")


def _remove(found: _Found, job: Job, before: pl.DataFrame, rows: pl.DataFrame, flying: pl.DataFrame) -> pl.DataFrame:
    """Find the keys that the target holds and the whole source does not, and that are not under way."""
    gone = gone_from(rows, before).drop(HASH).join(flying, on="key", how="anti")
    ours = defined_as_today(job.source)
    found.counts["foreign"] += gone.height - gone.select(ours.sum()).item()
    gone = gone.filter(ours).with_columns(removal_fingerprint(job, pl.col("key")).alias("fingerprint"))
    ended = pl.col("last_state").fill_null(0)
    unknown = ended.is_in((UNKNOWN, REMOVAL_UNKNOWN))
    same = (pl.col("fingerprint") == pl.col("last")).fill_null(value=False)
    state = (
        pl.when(same & (ended == REJECTED) & (not job.send.rejected))
        .then(pl.lit("standing_rejected"))
        .when(unknown)
        .then(pl.lit("standing_unknown"))
        .otherwise(pl.lit("removed"))
    )
    gone = gone.with_columns(state.alias("state"))
    for (name,), part in gone.group_by("state"):
        found.counts[str(name)] += part.height
        found.counts["gone"] += part.height
    removed = gone.filter(pl.col("state") == "removed")
    return removed.select(pl.lit(0, dtype=pl.Int64).alias("row"), "key", pl.lit("remove").alias("op"), "fingerprint")
