"""Join logs and results that repeat the input columns. Rows with equal inputs are matched by their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from batchsync.data.frame.hashes import digest_of_columns
from batchsync.data.outcome.row_log import by_inputs, match_columns, max_log_bytes, read_table
from batchsync.data.outcome.row_verdicts import LINE, LOG_MISSING, UNKNOWN_ROWS, UNPROCESSED, by_line, with_verdicts

if TYPE_CHECKING:
    from batchsync.core.batch import Batch
    from batchsync.core.vendor_rules import VendorRules
    from batchsync.ports import Downloads


def join_by_inputs(
    batch: Batch, rules: VendorRules, downloads: Downloads, manifest: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame | None, int]:
    """Join logs that repeat the input columns. Rows with equal inputs are matched by their order.

    Args:
        batch: The batch.
        rules: Rules of its vendor.
        downloads: Its results, row log and unprocessed rows.
        manifest: Its row manifest, by line.

    Returns:
        The verdicts, the answers (None without results), and the number of rows in them that were not sent.

    Raises:
        AmbiguousOutcomeError: If a file arrived damaged.
        PermanentError: If a file differs from the vendor spec.
    """
    columns = tuple(column.removeprefix("input:") for column in manifest.columns if column.startswith("input:"))
    bytes_max = max_log_bytes(batch.file.rows)
    errors = pl.DataFrame(schema={"code": pl.String, "message": pl.String})
    if downloads.errors is not None:
        errors = by_inputs(downloads.errors, rules.row_log.errors, columns, bytes_max, rules.row_log.tables)
    if downloads.unprocessed is not None:
        errors = _with_unprocessed(errors, read_table(downloads.unprocessed, bytes_max, rules.row_log.tables), columns)
    found, unmatched = _match_errors(errors, manifest)
    rows = manifest.join(found, on="line", how="left", maintain_order="left")
    rows = rows.with_columns(pl.col("hit").fill_null(value=False))
    answers: pl.DataFrame | None = None
    echoed: set[str] = set()
    accepted = pl.lit(value=False) if rules.row_log.results else None
    if downloads.results is not None:
        table = read_table(downloads.results, bytes_max, rules.row_log.tables)
        matched = match_columns(tuple(table.columns), columns)
        echoed = set(matched.values())
        unmatched_rows, answers = _match_answers(rows, table, matched)
        unmatched += unmatched_rows
        rows = rows.with_columns(pl.col("line").is_in(answers["line"].implode()).alias("answered"))
        accepted = pl.col("answered")
    distrust_reason = LOG_MISSING if downloads.errors_missing else ""
    if unmatched and downloads.errors is not None and not distrust_reason and accepted is None:
        distrust_reason = UNKNOWN_ROWS
    verdicts = with_verdicts(rows, rules, pl.col("hit"), accepted, distrust_reason)
    return verdicts, None if answers is None else _rename_answers(answers, echoed), unmatched


def _with_unprocessed(errors: pl.DataFrame, table: pl.DataFrame, columns: tuple[str, ...]) -> pl.DataFrame:
    """Return the errors, followed by the rows that the vendor did not process, as errors to be sent again."""
    named = match_columns(tuple(table.columns), columns)
    rest = table.select(
        *(pl.col(old).alias(f"input:{new}") for new, old in named.items()),
        pl.lit(UNPROCESSED).alias("code"),
        pl.lit("the vendor did not process this row").alias("message"),
    )
    return pl.concat([errors, rest], how="diagonal") if table.height else errors


#: Digest of the inputs without surrounding blanks; and the same with the row's number among rows of equal inputs.
_DIGEST, _UNIQUE_DIGEST = "batchsync:same", "batchsync:own"
#: Digest of the inputs without letter case and blanks.
_FOLDED_DIGEST = "batchsync:folded"


def _with_digest(rows: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Return rows with the digest of their inputs."""
    texts = [pl.col(column).fill_null("").str.strip_chars() for column in columns]
    return rows.with_columns(digest_of_columns(texts or [pl.lit("")]).alias(_DIGEST))


def _folded_alike(sent: pl.DataFrame, logged: pl.DataFrame, columns: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return sent rows and rows of the log with digests that do not depend on letter case and blanks.

    Rows of the batch that differ in nothing else keep the digest of their exact inputs: folding would confuse them.
    """
    if logged.join(sent, on=_DIGEST, how="anti").is_empty():
        return sent, logged
    folded = [pl.col(name).str.to_lowercase().str.replace_all(r"\s+", "") for name in columns]

    def with_folded(rows: pl.DataFrame) -> pl.DataFrame:
        alike = _with_digest(rows.select(folded), columns)[_DIGEST].alias(_FOLDED_DIGEST)
        return rows.with_columns(alike)

    sent, logged = with_folded(sent), with_folded(logged)
    groups = sent.select(_FOLDED_DIGEST, _DIGEST).unique()
    ambiguous = groups.filter(pl.col(_FOLDED_DIGEST).is_duplicated())[_FOLDED_DIGEST].unique()
    exact = pl.col(_FOLDED_DIGEST).is_in(ambiguous.implode())
    digest = pl.when(exact).then(pl.col(_DIGEST)).otherwise(pl.col(_FOLDED_DIGEST)).alias(_DIGEST)
    return sent.with_columns(digest).drop(_FOLDED_DIGEST), logged.with_columns(digest).drop(_FOLDED_DIGEST)


def _with_unique_digest(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with a unique digest: rows of equal inputs are distinguished by their order."""
    repeated = rows[_DIGEST].is_duplicated()
    if not repeated.any():
        return rows.with_columns(pl.col(_DIGEST).alias(_UNIQUE_DIGEST))
    occurrence = pl.int_range(pl.len(), dtype=pl.Int64).over(_DIGEST)
    return rows.with_columns(
        pl.when(occurrence > 0)
        .then(digest_of_columns([pl.col(_DIGEST), occurrence]))
        .otherwise(pl.col(_DIGEST))
        .alias(_UNIQUE_DIGEST)
    )


def _match_errors(errors: pl.DataFrame, manifest: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Return the rows that errors refer to (`line, code, message, hit`), and the number of unmatched errors."""
    inputs = [column for column in errors.columns if column.startswith("input:")]
    if not inputs or not errors.height:
        texts = [pl.lit(None, dtype=pl.String).alias(item) for item in ("code", "message")]
        return manifest.select("line").clear().with_columns(*texts, pl.lit(value=True).alias("hit")), errors.height
    sent, error_rows = _folded_alike(
        _with_digest(manifest.select("line", *inputs), inputs), _with_digest(errors, inputs), inputs
    )
    candidates = sent.join(error_rows, on=_DIGEST, how="semi", maintain_order="left")
    unmatched = error_rows.join(candidates, on=_DIGEST, how="anti").height
    reported = _with_unique_digest(error_rows).select(
        _UNIQUE_DIGEST, "code", "message", pl.lit(value=True).alias("hit")
    )
    return _with_unique_digest(candidates).join(reported, on=_UNIQUE_DIGEST).select(
        "line", "code", "message", "hit"
    ), unmatched


def _match_answers(rows: pl.DataFrame, table: pl.DataFrame, matched: dict[str, str]) -> tuple[int, pl.DataFrame]:
    """Return the number of unmatched answers, and the answers with `line` and the key columns of their rows."""
    input_columns = [f"input:{name}" for name in matched]
    keys = [column for column in rows.columns if column.startswith("key:")]
    sent = rows.select("line", "hit", *keys, *input_columns)
    if not input_columns:
        return table.height, sent.select("line", *keys).clear()
    sent = _with_digest(sent, input_columns)
    inputs = [pl.col(old).alias(f"input:{new}") for new, old in matched.items()]
    answer_rows = table.select(*inputs, *(pl.col(column).alias(f"answer:{column}") for column in table.columns))
    sent, answer_rows = _folded_alike(sent, _with_digest(answer_rows, input_columns), input_columns)
    answers = _with_unique_digest(answer_rows.drop(input_columns))
    open_rows = _with_unique_digest(sent.filter(~pl.col("hit"))).select("line", *keys, _UNIQUE_DIGEST)
    joined = open_rows.join(answers.drop(_DIGEST), on=_UNIQUE_DIGEST, how="inner", maintain_order="left")
    unmatched = 0
    if joined.height < answers.height:
        rest = answers.select(_DIGEST, _UNIQUE_DIGEST).join(joined, on=_UNIQUE_DIGEST, how="anti")
        unmatched = rest.join(sent, on=_DIGEST, how="anti").height
    return unmatched, joined.drop(_UNIQUE_DIGEST)


def _rename_answers(answers: pl.DataFrame, echoed: set[str]) -> pl.DataFrame:
    """Return the answers with the key columns first, followed by the vendor's columns and `LINE`.

    A vendor column with the name of a key column (case-insensitive) is left out if it repeats an input, and otherwise
    prefixed with `vendor_`.
    """
    keys = [column for column in answers.columns if column.startswith("key:")]
    answer_columns = [column.removeprefix("answer:") for column in answers.columns if column.startswith("answer:")]
    key_names = {key.removeprefix("key:").casefold() for key in keys}
    selected = [pl.col(key).alias(key.removeprefix("key:")) for key in keys]
    for column in answer_columns:
        name = column
        if column.casefold() in key_names:
            if column in echoed:
                continue
            while name.casefold() in key_names or (name != column and name in answer_columns):
                name = f"vendor_{name}"
        selected.append(pl.col(f"answer:{column}").alias(name))
    return by_line(answers).select(*selected, pl.col("line").alias(LINE))
