"""Join the vendor's row log to the row manifest of a batch: each sent row is accepted, rejected or unknown.

Where the log cannot be trusted, rows are unknown.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from batchsync.core.batch import WITHHELD, Verdict
from batchsync.core.naming import row_manifest_key
from batchsync.core.row_outcome import OutcomeCounts, RowOutcome
from batchsync.core.vendor_rules import DefaultOutcome
from batchsync.data.frame.content import content_among
from batchsync.data.frame.hashes import digest_of_columns
from batchsync.data.frame.integrity import opened, verify_digest
from batchsync.data.outcome.row_log import by_inputs, by_ref, match_columns, max_log_bytes, read_table
from batchsync.errors import StateError
from batchsync.ports import RowVerdicts
from batchsync.util.files import make_private

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from batchsync.core.batch import Batch
    from batchsync.core.vendor_rules import ErrorLayout, VendorRules
    from batchsync.ports import Downloads, ObjectStore

#: Columns of a verdicts file; `members` is null if the row manifest has none.
VERDICTS = ("key", "fingerprint", "op", "state", "retry", "line", "row", "code", "reason", "members")
#: Line of the batch file, in answers that are not written yet.
_LINE = "batchsync:line"
#: Reasons of unknown rows.
_LOG_MISSING = "the vendor reports failed rows but returned no row log"
_UNKNOWN_ROWS = "the row log names rows that are not in the batch"
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
        verdicts = _all(manifest, RowOutcome.UNKNOWN, downloads.doubt or _LOG_MISSING, retry=False)
    elif rules is None:
        message = f"reading the row log of batch {batch.id} requires vendor rules"
        raise ValueError(message)
    elif rules.row_log.joined_by == "ref":
        verdicts, unattributed = _by_ref(batch, rules, downloads, manifest)
    else:
        verdicts, answers, unattributed = _by_inputs(batch, rules, downloads, manifest)
    key = tuple(column.removeprefix("key:") for column in manifest.columns if column.startswith("key:"))
    if keys is not None:
        verdicts = verdicts.filter(pl.col("key").is_in(list(keys)) & (pl.col("state") != RowOutcome.UNKNOWN))
        answers = None if answers is None else answers.join(verdicts.select("line"), left_on=_LINE, right_on="line")
    found = _write(verdicts, None if answers is None else answers.drop(_LINE), into)
    if keys is None and found.counts.total != batch.file.rows:
        raise StateError(f"the row counts of batch {batch.id} do not add up: {found.counts} for {batch.file.rows} rows")
    return replace(found, unattributed=unattributed, key=key)


def _declared(batch: Batch, rules: VendorRules | None, downloads: Downloads, manifest: pl.DataFrame) -> pl.DataFrame:
    """Return the verdicts of a batch that a person declared delivered: rows that a row log rejects are rejected."""
    if downloads.errors is None or rules is None or rules.row_log.joined_by != "ref":
        return _all(manifest, RowOutcome.ACCEPTED, "", retry=False)
    verdicts, _ = _by_ref(batch, rules, downloads, manifest)
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
            found = _by_line(rows.drop(content).collect())
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


def _by_line(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows sorted by line; most are already."""
    return rows if rows["line"].is_sorted() else rows.sort("line")


def _all(manifest: pl.DataFrame, outcome: RowOutcome, reason: str, *, retry: bool, code: str = "") -> pl.DataFrame:
    """Return the same verdict for all rows."""
    return manifest.with_columns(
        pl.lit(outcome).alias("state"),
        pl.lit(retry).alias("retry"),
        pl.lit(code).alias("code"),
        pl.lit(reason).alias("reason"),
    )


def _by_ref(batch: Batch, rules: VendorRules, downloads: Downloads, manifest: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Join a log of references. Of several lines about a row the first error counts.

    A row that is named without an error is accepted. If rows failed and the log names no error, the other rows are
    unknown.
    """
    layout = rules.row_log.errors
    log = pl.DataFrame(schema={"ref": pl.String, "code": pl.String, "message": pl.String, "error": pl.Boolean})
    if downloads.errors is not None:
        log = by_ref(downloads.errors, layout, max_log_bytes(batch.file.rows))
    errors, accepted_refs = log.filter("error").drop("error"), log.filter(~pl.col("error"))["ref"].drop_nulls().unique()
    manifest_rows = manifest.with_columns(pl.col("ref").str.to_lowercase())
    first = errors.unique("ref", keep="first", maintain_order=True).filter(pl.col("ref").is_not_null())
    joined = manifest_rows.join(
        first.with_columns(pl.lit(value=True).alias("hit")), on="ref", how="left", maintain_order="left"
    )
    unmatched = errors.join(joined.filter("hit"), on="ref", how="anti", nulls_equal=False).height
    unnamed = (batch.verdict is Verdict.MIXED and errors.is_empty()) or downloads.errors_missing
    named = joined["hit"].count()
    distrust_reason = ""
    if unmatched:
        distrust_reason = _UNKNOWN_ROWS
    elif unnamed:
        distrust_reason = "the vendor reports failed rows without naming them"
    elif named < (downloads.failed or 0):
        distrust_reason = f"the vendor counts {downloads.failed} failed rows and names {named}"
    hit, absent, accepted = (
        pl.col("hit").is_not_null(),
        _already_absent(layout),
        pl.col("ref").is_in(accepted_refs.implode()),
    )
    return _with_verdicts(joined, rules, hit & ~absent, (hit & absent) | (~hit & accepted), distrust_reason), unmatched


def _already_absent(layout: ErrorLayout) -> pl.Expr:
    """Return whether an error of a removal means that the record is already absent, so that it counts as accepted."""
    if not layout.already_absent_codes:
        return pl.lit(value=False)
    return (pl.col("op") == "remove") & pl.col("code").fill_null("").is_in(layout.already_absent_codes)


def _with_verdicts(
    rows: pl.DataFrame, rules: VendorRules, rejected: pl.Expr, accepted: pl.Expr | None, distrust_reason: str
) -> pl.DataFrame:
    """Return the verdicts; rows that the log does not mention have the default outcome unless it is distrusted."""
    trusted = not distrust_reason and rules.row_log.default_outcome is not DefaultOutcome.UNKNOWN
    default = pl.lit(RowOutcome.ACCEPTED if trusted else RowOutcome.UNKNOWN)
    state = pl.when(rejected).then(pl.lit(RowOutcome.REJECTED))
    rest = default if accepted is None else pl.when(accepted).then(pl.lit(RowOutcome.ACCEPTED)).otherwise(default)
    code = pl.col("code").fill_null("")
    retry = rejected & code.is_in(rules.row_log.errors.retry_codes) if rules.row_log.errors.retry_codes else None
    found = rows.with_columns(state.otherwise(rest).alias("state"))
    text = pl.col("message").fill_null(code)
    unknown_reason = distrust_reason or "the row log does not mention this row"
    return found.with_columns(
        (retry if retry is not None else pl.lit(value=False)).alias("retry"),
        pl.when(rejected).then(code).otherwise(pl.lit("")).alias("code"),
        pl.when(rejected)
        .then(text)
        .when(pl.col("state") == RowOutcome.UNKNOWN)
        .then(pl.lit(unknown_reason))
        .otherwise(pl.lit(""))
        .alias("reason"),
    )


def _by_inputs(
    batch: Batch, rules: VendorRules, downloads: Downloads, manifest: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame | None, int]:
    """Join logs that repeat the input columns. Rows with equal inputs are matched by their order."""
    columns = tuple(column.removeprefix("input:") for column in manifest.columns if column.startswith("input:"))
    bytes_max = max_log_bytes(batch.file.rows)
    errors = pl.DataFrame(schema={"code": pl.String, "message": pl.String})
    if downloads.errors is not None:
        errors = by_inputs(downloads.errors, rules.row_log.errors, columns, bytes_max, rules.row_log.tables)
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
    distrust_reason = _LOG_MISSING if downloads.errors_missing else ""
    if unmatched and downloads.errors is not None and not distrust_reason and accepted is None:
        distrust_reason = _UNKNOWN_ROWS
    verdicts = _with_verdicts(rows, rules, pl.col("hit"), accepted, distrust_reason)
    return verdicts, None if answers is None else _rename_answers(answers, echoed), unmatched


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
    """Return the answers with the key columns first, followed by the vendor's columns and `_LINE`.

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
    return _by_line(answers).select(*selected, pl.col("line").alias(_LINE))


def _write(verdicts: pl.DataFrame, answers: pl.DataFrame | None, into: Path) -> RowVerdicts:
    """Write verdicts and answers, and count the verdicts."""
    make_private(into)
    path = into / "verdicts.parquet"
    if "members" not in verdicts.columns:
        verdicts = verdicts.with_columns(pl.lit(None, dtype=pl.String).alias("members"))
    _by_line(verdicts.select(VERDICTS)).write_parquet(path, compression="zstd", compression_level=1)
    answered = None
    if answers is not None:
        answered = into / "answers.parquet"
        answers.write_parquet(answered, compression="zstd", compression_level=1)
    counts = OutcomeCounts.of(**dict(verdicts["state"].value_counts().iter_rows()))
    return RowVerdicts(counts=counts, path=path, answers=answered)
