"""Verdict, code and reason of each row of a batch, from what its row log says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.row_outcome import RowOutcome
from batchsync.core.vendor_rules import DefaultOutcome

if TYPE_CHECKING:
    from batchsync.core.vendor_rules import VendorRules

#: Code of rows that the vendor did not process. They are sent again.
UNPROCESSED = "unprocessed"
#: Line of the batch file, in answers that are not written yet.
LINE = "batchsync:line"
#: Reasons of unknown rows.
LOG_MISSING = "the vendor reports failed rows but returned no row log"
UNKNOWN_ROWS = "the row log names rows that are not in the batch"


def by_line(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows sorted by line; most are already."""
    return rows if rows["line"].is_sorted() else rows.sort("line")


def with_verdicts(
    rows: pl.DataFrame, rules: VendorRules, rejected: pl.Expr, accepted: pl.Expr | None, distrust_reason: str
) -> pl.DataFrame:
    """Return the verdicts; rows that the log does not mention have the default outcome unless it is distrusted."""
    trusted = not distrust_reason and rules.row_log.default_outcome is not DefaultOutcome.UNKNOWN
    default = pl.lit(RowOutcome.ACCEPTED if trusted else RowOutcome.UNKNOWN)
    state = pl.when(rejected).then(pl.lit(RowOutcome.REJECTED))
    rest = default if accepted is None else pl.when(accepted).then(pl.lit(RowOutcome.ACCEPTED)).otherwise(default)
    code = pl.col("code").fill_null("")
    retry = rejected & code.is_in([*rules.row_log.errors.retry_codes, UNPROCESSED])
    found = rows.with_columns(state.otherwise(rest).alias("state"))
    text = pl.col("message").fill_null(code)
    unknown_reason = distrust_reason or "the row log does not mention this row"
    return found.with_columns(
        retry.alias("retry"),
        pl.when(rejected).then(code).otherwise(pl.lit("")).alias("code"),
        pl.when(rejected)
        .then(text)
        .when(pl.col("state") == RowOutcome.UNKNOWN)
        .then(pl.lit(unknown_reason))
        .otherwise(pl.lit(""))
        .alias("reason"),
    )
