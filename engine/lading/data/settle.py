"""Each row that was sent ends accepted, rejected or unknown, and the three add up to the rows of the file.

It does not talk to vendors. It reads the log they gave, and where the log cannot be trusted it says unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from lading.core.batch import Books, Verdict
from lading.core.vendor_rules import Silence
from lading.data.rowlog import by_inputs, by_ref, cap, matching, read_table
from lading.errors import StateError
from lading.ports import RowVerdicts

if TYPE_CHECKING:
    from pathlib import Path

    from lading.core.batch import Batch
    from lading.core.vendor_rules import ErrorLayout, VendorRules
    from lading.ports import Downloads

#: What stands in a file of verdicts.
VERDICTS = ("key", "fingerprint", "op", "state", "retry", "line", "row", "code", "reason")
_NONE_APPLIED = frozenset({Verdict.REFUSED, Verdict.CANCELLED, Verdict.EXPIRED})


def settle(batch: Batch, rules: VendorRules, downloads: Downloads, into: Path) -> RowVerdicts:
    """Return how each row of a batch ended.

    Raises:
        Unclear: when the log arrived damaged; fetch it again.
        Permanent: when the log is not what the vendor spec says.
        StateError: when the evidence is gone or does not fit the batch.
    """
    evidence = _evidence(batch)
    answers: pl.DataFrame | None = None
    unattributed = 0
    if batch.verdict in _NONE_APPLIED:
        verdicts = _all(evidence, "rejected", batch.word or str(batch.verdict), retry=True)
    elif batch.verdict is Verdict.DECLARED:
        verdicts = _all(evidence, "accepted", "", retry=False)
    elif batch.verdict in (None, Verdict.LOST):
        verdicts = _all(evidence, "unknown", "the vendor no longer knows the batch", retry=False)
    elif downloads.errors_missing and downloads.results is None:
        verdicts = _all(evidence, "unknown", "the vendor says that rows failed and gives no log", retry=False)
    elif rules.row_log.joined_by == "ref":
        verdicts, unattributed = _by_ref(batch, rules, downloads, evidence)
    else:
        verdicts, answers, unattributed = _by_inputs(batch, rules, downloads, evidence)
    return _written(batch, verdicts, answers, unattributed, into)


def _evidence(batch: Batch) -> pl.DataFrame:
    """Return the evidence of a batch, in the order of its lines."""
    try:
        found = pl.read_parquet(batch.file.evidence, glob=False).sort("line")
    except (OSError, pl.exceptions.PolarsError):
        hint = "Restore the state folder from a copy; the vendor's answers can be fetched again."
        raise StateError(f"the evidence of batch {batch.id} cannot be read", hint=hint) from None
    if found.height != batch.file.rows:
        message = f"the evidence of batch {batch.id} has {found.height} rows and its file {batch.file.rows}"
        raise StateError(message, hint="Restore the state folder from a copy.")
    return found


def _all(evidence: pl.DataFrame, state: str, reason: str, *, retry: bool) -> pl.DataFrame:
    """Return one verdict for all rows."""
    return evidence.with_columns(
        pl.lit(state).alias("state"),
        pl.lit(retry).alias("retry"),
        pl.lit("").alias("code"),
        pl.lit(reason).alias("reason"),
    )


def _by_ref(batch: Batch, rules: VendorRules, downloads: Downloads, evidence: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Join a log that names our references. Among several lines about a row the first error counts."""
    layout = rules.row_log.errors
    lines = 0
    errors = pl.DataFrame(schema={"ref": pl.String, "code": pl.String, "message": pl.String})
    if downloads.errors is not None:
        log = by_ref(downloads.errors, layout, cap(batch.file.rows))
        lines = log.height
        errors = log.filter("error").drop("error")
    own = evidence.with_columns(pl.col("ref").str.to_lowercase())
    strange = errors.join(own, on="ref", how="anti", nulls_equal=False).height
    first = errors.unique("ref", keep="first", maintain_order=True).filter(pl.col("ref").is_not_null())
    joined = own.join(first.with_columns(pl.lit(value=True).alias("hit")), on="ref", how="left", maintain_order="left")
    doubtful = strange > 0 or (batch.verdict is Verdict.MIXED and lines == 0) or downloads.errors_missing
    why = (
        "the vendor's log names rows that cannot be found" if strange else "the vendor says that rows failed, not which"
    )
    hit, gone = pl.col("hit").is_not_null(), _gone(layout)
    return _stated(joined, rules, hit & ~gone, hit & gone, why if doubtful else ""), strange


def _gone(layout: ErrorLayout) -> pl.Expr:
    """Return whether an error says of a removal that nothing is there: it holds then what was wanted."""
    if not layout.gone_codes:
        return pl.lit(value=False)
    return (pl.col("op") == "remove") & pl.col("code").fill_null("").is_in(layout.gone_codes)


def _stated(
    rows: pl.DataFrame, rules: VendorRules, rejected: pl.Expr, accepted: pl.Expr | None, doubt: str
) -> pl.DataFrame:
    """Return the verdicts: rejected, accepted, and what silence means unless there is doubt."""
    silent = "unknown" if doubt or rules.row_log.silence is Silence.UNKNOWN else "accepted"
    state = pl.when(rejected).then(pl.lit("rejected"))
    rest = pl.lit(silent) if accepted is None else pl.when(accepted).then(pl.lit("accepted")).otherwise(pl.lit(silent))
    code = pl.col("code").fill_null("")
    retry = rejected & code.is_in(rules.row_log.errors.retry_codes) if rules.row_log.errors.retry_codes else None
    found = rows.with_columns(state.otherwise(rest).alias("state"))
    said = pl.col("message").fill_null(code)
    silence = doubt or "the vendor's log does not speak of this row"
    return found.with_columns(
        (retry if retry is not None else pl.lit(value=False)).alias("retry"),
        pl.when(rejected).then(code).otherwise(pl.lit("")).alias("code"),
        pl.when(rejected)
        .then(said)
        .when(pl.col("state") == "unknown")
        .then(pl.lit(silence))
        .otherwise(pl.lit(""))
        .alias("reason"),
    )


def _by_inputs(
    batch: Batch, rules: VendorRules, downloads: Downloads, evidence: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame | None, int]:
    """Join logs that give the input columns back. Rows with equal inputs are told apart by their order."""
    columns = tuple(one.removeprefix("input:") for one in evidence.columns if one.startswith("input:"))
    most = cap(batch.file.rows)
    strange = 0
    rows = evidence.with_columns(
        pl.lit(None, dtype=pl.String).alias("code"), pl.lit(None, dtype=pl.String).alias("message")
    )
    rows = rows.with_columns(pl.lit(value=False).alias("hit"))
    if downloads.errors is not None:
        errors = by_inputs(downloads.errors, rules.row_log.errors, columns, most)
        shared = [one for one in errors.columns if one.startswith("input:")]
        strange += _strangers(errors, evidence, shared)
        found = _numbered(errors.with_columns(pl.lit(value=True).alias("hit")), shared)
        rows = _numbered(rows.drop("code", "message", "hit"), shared)
        rows = rows.join(found, on=[*_same(shared), "lading:nth"], how="left", maintain_order="left")
        rows = rows.drop([*_same(shared), "lading:nth"]).drop(
            [one for one in rows.columns if one.endswith("_right")], strict=False
        )
        rows = rows.with_columns(pl.col("hit").fill_null(value=False))
    answers: pl.DataFrame | None = None
    accepted = pl.lit(value=False) if rules.row_log.results else None
    if downloads.results is not None:
        table = read_table(downloads.results, most)
        named = matching(tuple(table.columns), columns)
        strange_rows, answers = _answered(rows, table, named)
        strange += strange_rows
        rows = rows.with_columns(pl.col("line").is_in(answers["line"].implode()).alias("answered"))
        accepted = pl.col("answered")
    doubt = "the vendor says that rows failed and gives no log" if downloads.errors_missing else ""
    if strange and downloads.errors is not None and not doubt and accepted is None:
        doubt = "the vendor's log names rows that cannot be found"
    verdicts = _stated(rows, rules, pl.col("hit"), accepted, doubt)
    return verdicts, None if answers is None else _named_answers(answers), strange


def _same(columns: list[str]) -> list[str]:
    """Return the names of the columns that are compared."""
    return [f"same:{one}" for one in columns]


def _numbered(rows: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Return rows with comparable inputs and with their number among rows of equal inputs."""
    same = rows.with_columns(pl.col(one).fill_null("").str.strip_chars().alias(f"same:{one}") for one in columns)
    if not columns:
        return same.with_columns(pl.lit(None, dtype=pl.Int64).alias("lading:nth"))
    nth = pl.int_range(pl.len(), dtype=pl.Int64).over(_same(columns))
    return same.with_columns(nth.alias("lading:nth"))


def _strangers(given: pl.DataFrame, evidence: pl.DataFrame, columns: list[str]) -> int:
    """Return how many rows of a log have inputs that were never sent."""
    if not columns:
        return given.height
    same = _same(columns)
    return _numbered(given, columns).join(_numbered(evidence, columns), on=same, how="anti").height


def _answered(rows: pl.DataFrame, table: pl.DataFrame, named: dict[str, str]) -> tuple[int, pl.DataFrame]:
    """Return how many answers belong to nothing, and the answers with the line and key columns of their rows."""
    shared = [f"input:{one}" for one in named]
    inputs = table.with_columns(pl.col(old).alias(f"input:{new}") for new, old in named.items())
    keys = [one for one in rows.columns if one.startswith("key:")]
    open_rows = _numbered(rows.filter(~pl.col("hit")).select("line", *keys, *shared), shared)
    if not shared:
        return table.height, open_rows.clear()
    strange = _strangers(inputs, rows, shared)
    answers = _numbered(inputs, shared).drop(shared)
    joined = open_rows.join(answers, on=[*_same(shared), "lading:nth"], how="inner", maintain_order="left")
    return strange, joined.drop([*_same(shared), "lading:nth", *shared])


def _named_answers(answers: pl.DataFrame) -> pl.DataFrame:
    """Return the answers with the key columns in front, by their own names, and the vendor's where they differ."""
    keys = [one for one in answers.columns if one.startswith("key:")]
    names = [one.removeprefix("key:") for one in keys]
    others = [one for one in answers.columns if one not in keys and one != "line" and one not in names]
    named = [pl.col(one).alias(one.removeprefix("key:")) for one in keys]
    return answers.sort("line").select(*named, *others)


def _written(
    batch: Batch, verdicts: pl.DataFrame, answers: pl.DataFrame | None, unattributed: int, into: Path
) -> RowVerdicts:
    """Write verdicts and answers, and count."""
    into.mkdir(parents=True, exist_ok=True)
    path = into / "verdicts.parquet"
    verdicts.select(VERDICTS).sort("line").write_parquet(path, compression="zstd")
    answered = None
    if answers is not None:
        answered = into / "answers.parquet"
        answers.write_parquet(answered, compression="zstd")
    counts = dict(verdicts["state"].value_counts().iter_rows())
    books = Books(**{name: counts.get(name, 0) for name in ("accepted", "rejected", "unknown")})
    if books.total != batch.file.rows:
        raise StateError(f"the books of batch {batch.id} do not add up: {books} for {batch.file.rows} rows")
    return RowVerdicts(books=books, path=path, answers=answered, unattributed=unattributed)
