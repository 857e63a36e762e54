"""Bugs in row outcomes, invariants 5 to 7: row log, baseline, removals."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import polars as pl

from batchsync.core.batch import Batch, Phase, Verdict
from batchsync.core.naming import row_manifest_key, staging_prefix
from batchsync.core.row_outcome import OutcomeCounts
from batchsync.data import PolarsEngine
from batchsync.data.batchfile import encode
from batchsync.data.outcome import join_by_inputs
from batchsync.data.record import examine
from batchsync.data.record.fingerprint import fingerprints
from batchsync.journal.journal import Journal
from batchsync.reconcile import plan
from batchsync.sinks import Sinks
from batchsync.vendors import client as vendors_client
from batchsync.vendors import dialect as vendors_dialect
from simulation.plants.plant import Plant, replaced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batchsync.data.mapping.records import MappedRecords
    from batchsync.data.record.compiled_job import CompiledJob


# Invariant 5: the row log decides


def _also_accepted(original: Any, select: Callable[[Any, Any, Any], pl.Expr | None]) -> Any:
    """Return a `join_outcomes` in which the selected rows count as accepted, too."""

    def join_outcomes(self: PolarsEngine, batch: Batch, rules: Any, downloads: Any, into: Any) -> Any:
        found = original(self, batch, rules, downloads, into)
        selected = select(batch, downloads, found)
        if selected is None:
            return found
        rows = pl.read_parquet(found.path)
        rows = rows.with_columns(pl.when(selected).then(pl.lit("accepted")).otherwise(pl.col("state")).alias("state"))
        rows.write_parquet(found.path)
        return replace(found, counts=OutcomeCounts.of(**dict(rows["state"].value_counts().iter_rows())))

    return join_outcomes


def _status_overrides_row_log(original: Any) -> Any:
    applied = (Verdict.PROCESSED, Verdict.MIXED)
    return _also_accepted(
        original, lambda batch, _downloads, _found: pl.lit(value=True) if batch.verdict in applied else None
    )


def _unlisted_row_is_accepted(original: Any) -> Any:
    return _also_accepted(
        original, lambda _batch, _downloads, found: pl.col("state") == "unknown" if found.unattributed else None
    )


def _empty_log_is_accepted(original: Any) -> Any:
    def select(batch: Batch, downloads: Any, found: Any) -> pl.Expr | None:
        empty = batch.verdict is Verdict.MIXED and downloads.errors is not None and not found.unattributed
        return pl.col("state") == "unknown" if empty else None

    return _also_accepted(original, select)


def _processing_is_finished(original: Any) -> Any:
    def read_status(exchange: Any, statuses: Any, body: Any = None) -> Any:
        status = original(exchange, statuses, body)
        if isinstance(status, vendors_dialect.Running) and status.vendor_status.casefold() == "processing":
            return vendors_dialect.Finished(Verdict.PROCESSED, status.vendor_status)
        return status

    return read_status


# Invariant 6: the baseline moves per row, only for accepted rows, in the same transaction


def _with_changed_verdicts(original: Any, change: pl.Expr) -> Any:
    """Return an `apply_verdicts` that reads row verdicts with one column replaced."""

    def apply_verdicts(self: PolarsEngine, baseline: Any, verdicts: Any, manifests: Any = ()) -> Any:
        changed = []
        for path in verdicts:
            changed.append(path.with_name("planted.parquet"))
            pl.read_parquet(path).with_columns(change).write_parquet(changed[-1])
        return original(self, baseline, changed, manifests)

    return apply_verdicts


def _baseline_contains_rejected(original: Any) -> Any:
    rejected = pl.col("state") == "rejected"
    return _with_changed_verdicts(
        original, pl.when(rejected).then(pl.lit("accepted")).otherwise(pl.col("state")).alias("state")
    )


def _rejected_sent_again(original: Any) -> Any:
    return _with_changed_verdicts(original, pl.lit(value=True).alias("retry"))


def _removal_kept_in_baseline(original: Any) -> Any:
    """The key of an accepted removal stays in the baseline."""
    return _with_changed_verdicts(original, pl.lit("change").alias("op"))


def _baseline_after_transaction(original: Any) -> Any:
    def deliver(
        self: Journal, batch: Batch, event: Any, *, baseline: Any, rejects: Any, epoch: int | None = None
    ) -> Batch:
        after = original(self, batch, event, baseline=None, rejects=rejects, epoch=epoch)
        if baseline is not None:
            with self._write("deliver", batch.job, epoch) as db:
                db.execute("DELETE FROM segments WHERE job = ? AND account_id = ?", [baseline.job, baseline.account_id])
                for place, segment in enumerate(baseline.segments):
                    values = [baseline.job, baseline.account_id, place, segment.file, segment.digest, segment.rows]
                    db.execute("INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?)", values)
        return after

    return deliver


@contextmanager
def _mapping_in_fingerprints() -> Iterator[None]:
    def changed(compiled: CompiledJob, mapped: MappedRecords) -> pl.Series:
        job = replace(compiled.job, target_hash=compiled.job.mapping_hash)
        return fingerprints(replace(compiled, job=job), mapped)

    with mock.patch.object(examine, "fingerprints", changed), mock.patch.object(encode, "fingerprints", changed):
        yield


def _resolution_ignored(_original: Any) -> Any:
    return lambda _data, baseline, _keys, **_resolution: baseline


def _resolution_always_delivered(original: Any) -> Any:
    """Resolved rows count as delivered, whatever the resolution."""
    return lambda data, baseline, keys, **_resolution: original(data, baseline, keys, delivered=True)


def _in_flight_ignored(_original: Any) -> Any:
    return lambda _context, _services: []


def _in_flight_except(phase: Phase) -> Any:
    """Rows of batches in one phase do not count as in flight."""

    def replacement(_original: Any) -> Any:
        def in_flight(context: Any, services: Any) -> list[str]:
            found = services.store.open_batches(context.job.name)
            return [row_manifest_key(item.job, item.file) for item in found if item.phase is not phase]

        return in_flight

    return replacement


# Invariant 7: removals come only from a complete source


def _removals_from_truncated_source(original: Any) -> Any:
    """A truncated source counts as complete."""

    def compare(self: PolarsEngine, job: Any, rules: Any, baseline: Any, context: Any) -> Any:
        source = Path(job.source.folder) / job.source.path
        rows = source.read_text("utf-8").splitlines()
        truncated = context.folder.parent / f"truncated-{job.source.path}"
        truncated.write_text("\n".join(rows[: max(2, len(rows) - 1)]) + "\n", encoding="utf-8")
        changed = replace(job, source=replace(job.source, path=str(truncated)))
        return original(self, changed, rules, baseline, context)

    return compare


def _in_flight_keys_removed(original: Any) -> Any:
    """Keys missing from the source do not count as in flight."""

    def compare(self: PolarsEngine, job: Any, rules: Any, baseline: Any, context: Any) -> Any:
        present = pl.read_csv(Path(job.source.folder) / job.source.path, infer_schema=False)["id"]
        in_flight = []
        for number, key in enumerate(context.in_flight):
            planted = f"{staging_prefix(job.name)}/planted-{number}.parquet"
            file = context.folder.parent / "planted.parquet"
            with self._objects.get(key) as path:
                pl.read_parquet(path).filter(pl.col("key").is_in(present.implode())).write_parquet(file)
            self._objects.delete(planted)
            self._objects.put(planted, file)
            in_flight.append(planted)
        return original(self, job, rules, baseline, replace(context, in_flight=in_flight))

    return compare


def _case_is_exact(_original: Any) -> Any:
    return lambda sent, logged, _columns: (sent, logged)


def _assumption_forgotten(_original: Any) -> Any:
    return lambda _self, _comparison, baseline: baseline


PLANTS = {
    "echo-matched-by-exact-case": Plant(
        5,
        "inputs that the vendor returns in other letter case match no row",
        replaced(join_by_inputs, "_folded_alike", _case_is_exact),
    ),
    "assumption-forgotten": Plant(
        6,
        "assumed rows are not in the baseline",
        replaced(PolarsEngine, "assume", _assumption_forgotten),
    ),
    "status-overrides-row-log": Plant(
        5,
        "the vendor status decides the outcome of the rows",
        replaced(PolarsEngine, "join_outcomes", _status_overrides_row_log),
    ),
    "unlisted-row-is-accepted": Plant(
        5,
        "unlisted rows count as accepted although log lines could not be attributed",
        replaced(PolarsEngine, "join_outcomes", _unlisted_row_is_accepted),
    ),
    "empty-log-is-accepted": Plant(
        5,
        "an error status with an empty row log counts as accepted",
        replaced(PolarsEngine, "join_outcomes", _empty_log_is_accepted),
    ),
    "processing-is-finished": Plant(
        5,
        "a batch that the vendor is processing counts as finished",
        replaced(vendors_client, "read_status", _processing_is_finished),
    ),
    "baseline-contains-rejected": Plant(
        6, "the baseline moves for rejected rows", replaced(PolarsEngine, "apply_verdicts", _baseline_contains_rejected)
    ),
    "rejected-sent-again": Plant(
        6, "rejected rows are sent again unchanged", replaced(PolarsEngine, "apply_verdicts", _rejected_sent_again)
    ),
    "baseline-after-transaction": Plant(
        6,
        "the baseline is replaced after the transaction of the delivery",
        replaced(Journal, "deliver", _baseline_after_transaction),
    ),
    "mapping-in-fingerprints": Plant(
        6, "an edit of the mapping that changes no record sends all records again", _mapping_in_fingerprints
    ),
    "resolution-ignored": Plant(
        6, "a manual resolution does not move the baseline", replaced(PolarsEngine, "resolve", _resolution_ignored)
    ),
    "resolution-always-delivered": Plant(
        6,
        "rows resolved as not delivered count as delivered",
        replaced(PolarsEngine, "resolve", _resolution_always_delivered),
    ),
    "in-flight-ignored": Plant(
        6, "rows in flight are not excluded from a plan", replaced(plan, "in_flight_manifests", _in_flight_ignored)
    ),
    "prepared-not-in-flight": Plant(
        6,
        "a newer version of a row is not deferred behind a prepared one",
        replaced(plan, "in_flight_manifests", _in_flight_except(Phase.PREPARED)),
    ),
    "submitted-not-in-flight": Plant(
        6,
        "a newer version of a row is not deferred behind a submitted one",
        replaced(plan, "in_flight_manifests", _in_flight_except(Phase.SUBMITTED)),
    ),
    "removals-from-truncated-source": Plant(
        7,
        "keys missing from a truncated source are removed",
        replaced(PolarsEngine, "compare", _removals_from_truncated_source),
    ),
    "in-flight-keys-removed": Plant(
        7, "keys in flight are removed", replaced(PolarsEngine, "compare", _in_flight_keys_removed)
    ),
    "removal-kept-in-baseline": Plant(
        7,
        "an accepted removal leaves its key in the baseline",
        replaced(PolarsEngine, "apply_verdicts", _removal_kept_in_baseline),
    ),
    "removed-answer-stays": Plant(
        7,
        "an answer whose key left the source stays in the results",
        replaced(Sinks, "remove", lambda _original: lambda _self, _results, _absent: 0),
    ),
}
