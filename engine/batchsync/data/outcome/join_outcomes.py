"""Join the vendor's row log to the row manifest of a batch: each sent row is accepted, rejected or unknown.

Where the log cannot be trusted, rows are unknown.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq

from batchsync.core.batch import WITHHELD, Verdict
from batchsync.core.naming import row_manifest_key
from batchsync.core.row_outcome import OutcomeCounts, RowOutcome
from batchsync.core.vendor_rules import JoinedBy
from batchsync.data.frame.content import content_among
from batchsync.data.frame.integrity import opened, verify_digest
from batchsync.data.outcome.join_by_inputs import join_by_inputs
from batchsync.data.outcome.join_by_name import join_by_name
from batchsync.data.outcome.row_verdicts import LINE, LOG_MISSING, by_line
from batchsync.errors import StateError
from batchsync.ports import RowVerdicts
from batchsync.util.files import make_private

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from batchsync.core.batch import Batch
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.ports import Downloads, ObjectStore

#: Columns of a verdicts file; `members` is null if the row manifest has none.
VERDICTS = ("key", "fingerprint", "op", "state", "retry", "line", "row", "code", "reason", "members")
#: Those of them with few distinct values.
_FEW = ["op", "state", "retry", "code", "reason", "members"]
_NONE_APPLIED = frozenset({Verdict.REFUSED, Verdict.CANCELLED, Verdict.EXPIRED})


def join_outcomes(
    batch: Batch,
    rules: VendorRules | None,
    downloads: Downloads,
    into: Path,
    objects: ObjectStore,
    keys: Sequence[str] | None = None,
) -> RowVerdicts:
    """Return how each row of a batch ended.

    Args:
        batch: A FINISHED batch.
        rules: Rules of the vendor; required only if a row log is read.
        downloads: The vendor's results and row log.
        into: Folder of the verdicts and answers; created if absent.
        objects: Store of the row manifest.
        keys: Return only the verdicts and answers of these keys, and of those only what is known; None: all.

    Returns:
        The verdicts.

    Raises:
        ValueError: If there is a row log but no rules.
        AmbiguousOutcomeError: If the log arrived damaged; it is to be fetched again.
        PermanentError: If the log differs from the vendor spec.
        StateError: If the row manifest is missing or does not match the batch.
    """
    manifest = _manifest_if_needed(batch, objects)
    answers: pl.DataFrame | None = None
    unattributed = 0
    if batch.verdict in _NONE_APPLIED:
        withheld = batch.reason if batch.reason.startswith(WITHHELD) else ""
        verdicts = _all(
            manifest, RowOutcome.REJECTED, batch.vendor_status or withheld or str(batch.verdict), retry=True
        )
    elif batch.verdict is Verdict.DECLARED:
        verdicts = _declared(batch, rules, downloads, manifest)
    elif batch.verdict is Verdict.RESENT:
        verdicts = _all(manifest, RowOutcome.REJECTED, "resent manually", retry=True, code=str(Verdict.RESENT))
    elif batch.verdict in (None, Verdict.LOST):
        verdicts = _all(manifest, RowOutcome.UNKNOWN, "the vendor no longer knows the batch", retry=False)
    elif downloads.doubt or (downloads.errors_missing and downloads.results is None):
        verdicts = _all(manifest, RowOutcome.UNKNOWN, downloads.doubt or LOG_MISSING, retry=False)
    elif rules is None:
        message = f"reading the row log of batch {batch.id} requires vendor rules"
        raise ValueError(message)
    elif rules.row_log.joined_by is not JoinedBy.INPUTS:
        verdicts, unattributed = join_by_name(batch, rules, downloads, manifest)
    else:
        verdicts, answers, unattributed = join_by_inputs(batch, rules, downloads, manifest)
    key = tuple(column.removeprefix("key:") for column in manifest.columns if column.startswith("key:"))
    if keys is not None:
        verdicts = verdicts.filter(pl.col("key").is_in(list(keys)) & (pl.col("state") != RowOutcome.UNKNOWN))
        answers = None if answers is None else answers.join(verdicts.select("line"), left_on=LINE, right_on="line")
    found = _write(verdicts, None if answers is None else answers.drop(LINE), into)
    if keys is None and found.counts.total != batch.file.rows:
        raise StateError(f"the row counts of batch {batch.id} do not add up: {found.counts} for {batch.file.rows} rows")
    return replace(found, unattributed=unattributed, key=key)


def _declared(batch: Batch, rules: VendorRules | None, downloads: Downloads, manifest: pl.DataFrame) -> pl.DataFrame:
    """Return the verdicts of a batch that a person declared delivered: rows that a row log rejects are rejected."""
    if downloads.errors is None or rules is None or rules.row_log.joined_by is JoinedBy.INPUTS:
        return _all(manifest, RowOutcome.ACCEPTED, "", retry=False)
    verdicts, _ = join_by_name(batch, rules, downloads, manifest)
    unknown = pl.col("state") == RowOutcome.UNKNOWN
    return verdicts.with_columns(
        pl.when(unknown).then(pl.lit(RowOutcome.ACCEPTED)).otherwise(pl.col("state")).alias("state"),
        pl.when(unknown).then(pl.lit("")).otherwise(pl.col("reason")).alias("reason"),
    )


def _manifest(batch: Batch, objects: ObjectStore) -> pl.DataFrame:
    """Return the row manifest of a batch, by line."""
    with opened(objects, [row_manifest_key(batch.job, batch.file)]) as paths:
        verify_digest(paths)
        try:
            rows = pl.scan_parquet(paths[0], glob=False)
            content = content_among(rows.collect_schema())
            found = by_line(rows.drop(content).collect())
        except (OSError, pl.exceptions.PolarsError):
            hint = "Restore the state folder from a backup; the vendor's results can be fetched again."
            raise StateError(f"the row manifest of batch {batch.id} cannot be read", hint=hint) from None
    if found.height != batch.file.rows:
        message = f"the row manifest of batch {batch.id} has {found.height} rows, its file {batch.file.rows}"
        raise StateError(message, hint="Restore the state folder from a backup.")
    return found


def _manifest_if_needed(batch: Batch, objects: ObjectStore) -> pl.DataFrame:
    """Return the row manifest; if it is missing and no row was applied, rows without keys, which move no baseline."""
    try:
        return _manifest(batch, objects)
    except StateError:
        if batch.verdict not in _NONE_APPLIED:
            raise
    return pl.select(
        pl.int_range(1, batch.file.rows + 1, dtype=pl.Int64).alias("line"),
        pl.lit("").alias("key"),
        pl.lit(None, dtype=pl.Binary).alias("fingerprint"),
        pl.lit("").alias("op"),
        pl.lit(0, dtype=pl.Int64).alias("row"),
    )


def _all(manifest: pl.DataFrame, outcome: RowOutcome, reason: str, *, retry: bool, code: str = "") -> pl.DataFrame:
    """Return the same verdict for all rows."""
    return manifest.with_columns(
        pl.lit(outcome).alias("state"),
        pl.lit(retry).alias("retry"),
        pl.lit(code).alias("code"),
        pl.lit(reason).alias("reason"),
    )


def _write(verdicts: pl.DataFrame, answers: pl.DataFrame | None, into: Path) -> RowVerdicts:
    """Write verdicts and answers, and count the verdicts."""
    make_private(into)
    path = into / "verdicts.parquet"
    if "members" not in verdicts.columns:
        verdicts = verdicts.with_columns(pl.lit(None, dtype=pl.String).alias("members"))
    # By pyarrow, because polars takes a third of the time of a settlement for columns of empty strings.
    table = by_line(verdicts.select(VERDICTS)).to_arrow(compat_level=pl.CompatLevel.oldest())
    pq.write_table(table, path, compression="lz4", use_dictionary=_FEW)
    answered = None
    if answers is not None:
        answered = into / "answers.parquet"
        answers.write_parquet(answered, compression="zstd", compression_level=1)
    counts = OutcomeCounts.of(**dict(verdicts["state"].value_counts().iter_rows()))
    return RowVerdicts(counts=counts, path=path, answers=answered)
