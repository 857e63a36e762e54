"""Join a row log that names rows: by our reference, by their number in the batch file, or by their key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.batch import Verdict
from batchsync.core.vendor_rules import JoinedBy
from batchsync.data.outcome.row_log import by_name, max_log_bytes
from batchsync.data.outcome.row_verdicts import UNKNOWN_ROWS, with_verdicts

if TYPE_CHECKING:
    from batchsync.core.batch import Batch
    from batchsync.core.vendor_rules import ErrorLayout, RowLogRules, VendorRules
    from batchsync.ports import Downloads


def _names_of_rows(manifest: pl.DataFrame, joined_by: JoinedBy) -> pl.DataFrame:
    """Return the manifest with what a log names its rows by as `ref`."""
    match joined_by:
        case JoinedBy.ROW:
            return manifest.with_columns(pl.col("line").cast(pl.String).alias("ref"))
        case JoinedBy.KEY:
            keys = [column for column in manifest.columns if column.startswith("key:")]
            return manifest.with_columns((pl.col(keys[0]) if len(keys) == 1 else pl.col("key")).alias("ref"))
        case _:
            return manifest.with_columns(pl.col("ref").str.to_lowercase())


def _names_in_log(log: pl.DataFrame, rules: RowLogRules) -> pl.DataFrame:
    """Return a log with references in lower case, and with numbers of rows that begin at 1."""
    match rules.joined_by:
        case JoinedBy.ROW:
            number = pl.col("ref").cast(pl.Int64, strict=False) + (1 - rules.first_row)
            return log.with_columns(number.cast(pl.String).alias("ref"))
        case JoinedBy.KEY:
            return log
        case _:
            return log.with_columns(pl.col("ref").str.to_lowercase())


def join_by_name(
    batch: Batch, rules: VendorRules, downloads: Downloads, manifest: pl.DataFrame
) -> tuple[pl.DataFrame, int]:
    """Join a log that names rows. Of several lines about a row the first error counts.

    A row that is named without an error is accepted. If rows failed and the log names no error, the other rows are
    unknown.

    Args:
        batch: The batch.
        rules: Rules of its vendor.
        downloads: Its row log.
        manifest: Its row manifest, by line.

    Returns:
        The verdicts, and the number of errors about rows that were not sent.

    Raises:
        AmbiguousOutcomeError: If the log arrived damaged.
        PermanentError: If the log differs from the vendor spec.
    """
    layout = rules.row_log.errors
    log = pl.DataFrame(schema={"ref": pl.String, "code": pl.String, "message": pl.String, "error": pl.Boolean})
    if downloads.errors is not None:
        log = by_name(downloads.errors, layout, max_log_bytes(batch.file.rows), rules.row_log.tables)
        log = _names_in_log(log, rules.row_log)
    errors, accepted_refs = log.filter("error").drop("error"), log.filter(~pl.col("error"))["ref"].drop_nulls().unique()
    manifest_rows = _names_of_rows(manifest, rules.row_log.joined_by)
    first = errors.unique("ref", keep="first", maintain_order=True).filter(pl.col("ref").is_not_null())
    joined = manifest_rows.join(
        first.with_columns(pl.lit(value=True).alias("hit")), on="ref", how="left", maintain_order="left"
    )
    unmatched = errors.join(joined.filter("hit"), on="ref", how="anti", nulls_equal=False).height
    unnamed = (batch.verdict is Verdict.MIXED and errors.is_empty()) or downloads.errors_missing
    named = joined["hit"].count()
    distrust_reason = ""
    if unmatched:
        distrust_reason = UNKNOWN_ROWS
    elif unnamed:
        distrust_reason = "the vendor reports failed rows without naming them"
    elif named < (downloads.failed or 0):
        distrust_reason = f"the vendor counts {downloads.failed} failed rows and names {named}"
    hit, absent, accepted = (
        pl.col("hit").is_not_null(),
        _already_absent(layout),
        pl.col("ref").is_in(accepted_refs.implode()),
    )
    return with_verdicts(joined, rules, hit & ~absent, (hit & absent) | (~hit & accepted), distrust_reason), unmatched


def _already_absent(layout: ErrorLayout) -> pl.Expr:
    """Return whether an error of a removal means that the record is already absent, so that it counts as accepted."""
    if not layout.already_absent_codes:
        return pl.lit(value=False)
    return (pl.col("op") == "remove") & pl.col("code").fill_null("").is_in(layout.already_absent_codes)
