"""Bugs in what becomes of rows: laws 5 to 7, the verdicts, the baseline, what is absent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from batchsync.core.batch import Batch, Phase, RowCounts, Verdict
from batchsync.data import PolarsEngine
from batchsync.journal.journal import Journal
from batchsync.reconcile import plan
from batchsync.vendors import client as vendors_client
from batchsync.vendors import dialect as vendors_dialect
from simulation.plants.plant import Plant, replaced

if TYPE_CHECKING:
    from collections.abc import Callable


# Law 5: the verdict is in the row log


def _said(original: Any, taken: Callable[[Any, Any, Any], pl.Expr | None]) -> Any:
    """Return a `settle` in which rows that `taken` names count as accepted, too."""

    def settle(self: PolarsEngine, batch: Batch, rules: Any, downloads: Any, into: Any) -> Any:
        found = original(self, batch, rules, downloads, into)
        which = taken(batch, downloads, found)
        if which is None:
            return found
        rows = pl.read_parquet(found.path)
        rows = rows.with_columns(pl.when(which).then(pl.lit("accepted")).otherwise(pl.col("state")).alias("state"))
        rows.write_parquet(found.path)
        counts = dict(rows["state"].value_counts().iter_rows())
        return replace(
            found, counts=RowCounts(**{name: counts.get(name, 0) for name in ("accepted", "rejected", "unknown")})
        )

    return settle


def _word_is_the_verdict(original: Any) -> Any:
    applied = (Verdict.PROCESSED, Verdict.MIXED)
    return _said(original, lambda batch, _given, _found: pl.lit(value=True) if batch.verdict in applied else None)


def _silence_is_consent(original: Any) -> Any:
    return _said(original, lambda _batch, _given, found: pl.col("state") == "unknown" if found.unattributed else None)


def _empty_log_is_good(original: Any) -> Any:
    def taken(batch: Batch, downloads: Any, found: Any) -> pl.Expr | None:
        empty = batch.verdict is Verdict.MIXED and downloads.errors is not None and not found.unattributed
        return pl.col("state") == "unknown" if empty else None

    return _said(original, taken)


def _unknown_word_is_done(original: Any) -> Any:
    def read_status(asked: Any, words: Any) -> Any:
        status = original(asked, words)
        if isinstance(status, vendors_dialect.Running) and status.vendor_status.casefold() == "processing":
            return vendors_dialect.Finished(Verdict.PROCESSED, status.vendor_status)
        return status

    return read_status


# Law 6: the baseline moves per row, only for accepted rows, in the same transaction


def _moved(original: Any, change: pl.Expr) -> Any:
    """Return an `advance` that reads verdicts in which one column is another."""

    def advance(self: PolarsEngine, baseline: Any, verdicts: Any, into: Path) -> Any:
        others = []
        for path in verdicts:
            others.append(path.with_name("planted.parquet"))
            pl.read_parquet(path).with_columns(change).write_parquet(others[-1])
        return original(self, baseline, others, into)

    return advance


def _moved_for_rejected(original: Any) -> Any:
    refused = pl.col("state") == "rejected"
    return _moved(original, pl.when(refused).then(pl.lit("accepted")).otherwise(pl.col("state")).alias("state"))


def _refused_rows_forgotten(original: Any) -> Any:
    return _moved(original, pl.lit(value=True).alias("retry"))


def _removal_not_remembered(original: Any) -> Any:
    """The key of an accepted removal stays in the baseline."""
    return _moved(original, pl.lit("change").alias("op"))


def _baseline_afterwards(original: Any) -> Any:
    def deliver(
        self: Journal, batch: Batch, event: Any, *, baseline: Any, rejects: Any, epoch: int | None = None
    ) -> Batch:
        after = original(self, batch, event, baseline=None, rejects=rejects, epoch=epoch)
        if baseline is not None:
            with self._write("deliver", batch.job, epoch) as db:
                db.execute("DELETE FROM segments WHERE job = ? AND identity = ?", [baseline.job, baseline.account_id])
                for place, item in enumerate(baseline.segments):
                    values = [baseline.job, baseline.account_id, place, item.file, item.digest, item.rows]
                    db.execute("INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?)", values)
        return after

    return deliver


def _person_unheard(_original: Any) -> Any:
    return lambda _data, baseline, _keys, _into, **_said: baseline


def _person_misheard(original: Any) -> Any:
    """Whatever a person says, the rows count as held."""
    return lambda data, baseline, keys, into, **_said: original(data, baseline, keys, into, delivered=True)


def _in_flight_forgotten(_original: Any) -> Any:
    return lambda _context, _world: []


def _in_flight_but(phase: Phase) -> Any:
    """Rows of batches in one phase do not count as in flight."""

    def made(_original: Any) -> Any:
        def in_flight(context: Any, world: Any) -> list[Path]:
            found = world.store.open_batches(context.job.name)
            return [Path(item.file.evidence) for item in found if item.phase is not phase]

        return in_flight

    return made


# Law 7: absence is evidence only from a whole source


def _removed_from_a_part(original: Any) -> Any:
    """A source that ends too early counts as read to its end."""

    def compare(self: PolarsEngine, job: Any, rules: Any, baseline: Any, context: Any) -> Any:
        whole = Path(job.source.folder) / job.source.path
        rows = whole.read_text("utf-8").splitlines()
        part = context.folder.parent / f"part-of-{job.source.path}"
        part.write_text("\n".join(rows[: max(2, len(rows) - 1)]) + "\n", encoding="utf-8")
        cut = replace(job, source=replace(job.source, path=str(part)))
        return original(self, cut, rules, baseline, context)

    return compare


def _removed_in_flight(original: Any) -> Any:
    """Keys that left the source do not count as in flight."""

    def compare(self: PolarsEngine, job: Any, rules: Any, baseline: Any, context: Any) -> Any:
        there = pl.read_csv(Path(job.source.folder) / job.source.path, infer_schema=False)["id"]
        others = []
        for number, path in enumerate(context.in_flight):
            others.append(context.folder.parent / f"in-flight-{number}.parquet")
            pl.read_parquet(path).filter(pl.col("key").is_in(there.implode())).write_parquet(others[-1])
        return original(self, job, rules, baseline, replace(context, in_flight=others))

    return compare


PLANTS = {
    "word-is-verdict": Plant(
        5, "the status word decides about the rows", replaced(PolarsEngine, "join_outcomes", _word_is_the_verdict)
    ),
    "silence-is-consent": Plant(
        5,
        "silence counts as accepted after lines that name no row",
        replaced(PolarsEngine, "join_outcomes", _silence_is_consent),
    ),
    "empty-log-is-good": Plant(
        5,
        "an error status with an empty log counts as accepted",
        replaced(PolarsEngine, "join_outcomes", _empty_log_is_good),
    ),
    "processing-is-done": Plant(
        5, "a batch that is processing counts as done", replaced(vendors_client, "read_status", _unknown_word_is_done)
    ),
    "moved-for-rejected": Plant(
        6, "the baseline moves for refused rows", replaced(PolarsEngine, "apply_verdicts", _moved_for_rejected)
    ),
    "refused-forgotten": Plant(
        6, "refused rows are sent again unchanged", replaced(PolarsEngine, "apply_verdicts", _refused_rows_forgotten)
    ),
    "baseline-afterwards": Plant(
        6, "the baseline is swapped after the transaction", replaced(Journal, "deliver", _baseline_afterwards)
    ),
    "person-unheard": Plant(6, "a person's word moves no baseline", replaced(PolarsEngine, "resolve", _person_unheard)),
    "person-misheard": Plant(
        6, "rows that a person has sent again count as held", replaced(PolarsEngine, "resolve", _person_misheard)
    ),
    "in-flight-forgotten": Plant(
        6, "rows in flight are not subtracted", replaced(plan, "_in_flight", _in_flight_forgotten)
    ),
    "prepared-not-in-flight": Plant(
        6,
        "a newer version does not wait for one that is prepared",
        replaced(plan, "_in_flight", _in_flight_but(Phase.PREPARED)),
    ),
    "submitted-not-in-flight": Plant(
        6,
        "a newer version does not wait for one that is submitted",
        replaced(plan, "_in_flight", _in_flight_but(Phase.SUBMITTED)),
    ),
    "removed-from-a-part": Plant(
        7, "keys are removed that a cut source lacks", replaced(PolarsEngine, "compare", _removed_from_a_part)
    ),
    "removed-in-flight": Plant(7, "keys in flight are removed", replaced(PolarsEngine, "compare", _removed_in_flight)),
    "removal-not-remembered": Plant(
        7,
        "an accepted removal leaves the baseline as it was",
        replaced(PolarsEngine, "apply_verdicts", _removal_not_remembered),
    ),
}
