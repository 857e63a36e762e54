"""Each row that was sent ends accepted, rejected or unknown, and the three add up to the rows of the file.

It does not talk to vendors. It reads the log they gave, and where the log cannot be trusted it says unknown.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from lading.core.batch import Books, Verdict
from lading.core.vendor_rules import Silence
from lading.data.guarding import untouched
from lading.data.records import digest_of_columns
from lading.data.rowlog import by_inputs, by_ref, cap, matching, read_table
from lading.errors import StateError
from lading.folders import make_private
from lading.ports import RowVerdicts

if TYPE_CHECKING:
    from lading.core.batch import Batch
    from lading.core.vendor_rules import ErrorLayout, VendorRules
    from lading.ports import Downloads

#: What stands in a file of verdicts.
VERDICTS = ("key", "fingerprint", "op", "state", "retry", "line", "row", "code", "reason")
_NONE_APPLIED = frozenset({Verdict.REFUSED, Verdict.CANCELLED, Verdict.EXPIRED})


def settle(batch: Batch, rules: VendorRules | None, downloads: Downloads, into: Path) -> RowVerdicts:
    """Return how each row of a batch ended. Without a row log to be read no rules are needed.

    Raises:
        ValueError: when there is a row log and no rules.
        Unclear: when the log arrived damaged; fetch it again.
        Permanent: when the log is not what the vendor spec says.
        StateError: when the evidence is gone or does not fit the batch.
    """
    evidence = _evidence_or_none_needed(batch)
    answers: pl.DataFrame | None = None
    unattributed = 0
    if batch.verdict in _NONE_APPLIED:
        verdicts = _all(evidence, "rejected", batch.word or str(batch.verdict), retry=True)
    elif batch.verdict is Verdict.DECLARED:
        verdicts = _all(evidence, "accepted", "", retry=False)
    elif batch.verdict is Verdict.RESENT:
        verdicts = _all(evidence, "rejected", "a person had it sent again", retry=True, code=str(Verdict.RESENT))
    elif batch.verdict in (None, Verdict.LOST):
        verdicts = _all(evidence, "unknown", "the vendor no longer knows the batch", retry=False)
    elif downloads.errors_missing and downloads.results is None:
        verdicts = _all(evidence, "unknown", "the vendor says that rows failed and gives no log", retry=False)
    elif rules is None:
        message = f"the row log of batch {batch.id} is not to be read without rules"
        raise ValueError(message)
    elif rules.row_log.joined_by == "ref":
        verdicts, unattributed = _by_ref(batch, rules, downloads, evidence)
    else:
        verdicts, answers, unattributed = _by_inputs(batch, rules, downloads, evidence)
    key = tuple(one.removeprefix("key:") for one in evidence.columns if one.startswith("key:"))
    return replace(_written(batch, verdicts, answers, into), unattributed=unattributed, key=key)


def _evidence(batch: Batch) -> pl.DataFrame:
    """Return the evidence of a batch, in the order of its lines."""
    untouched([Path(batch.file.evidence)])
    try:
        found = _in_order(pl.read_parquet(batch.file.evidence, glob=False))
    except (OSError, pl.exceptions.PolarsError):
        hint = "Restore the state folder from a copy; the vendor's answers can be fetched again."
        raise StateError(f"the evidence of batch {batch.id} cannot be read", hint=hint) from None
    if found.height != batch.file.rows:
        message = f"the evidence of batch {batch.id} has {found.height} rows and its file {batch.file.rows}"
        raise StateError(message, hint="Restore the state folder from a copy.")
    return found


def _evidence_or_none_needed(batch: Batch) -> pl.DataFrame:
    """Return the evidence, or rows without keys where it is gone and no row was applied: they move no baseline."""
    try:
        return _evidence(batch)
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


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows in the order of their lines, which they mostly are in already."""
    return rows if rows["line"].is_sorted() else rows.sort("line")


def _all(evidence: pl.DataFrame, state: str, reason: str, *, retry: bool, code: str = "") -> pl.DataFrame:
    """Return one verdict for all rows."""
    return evidence.with_columns(
        pl.lit(state).alias("state"),
        pl.lit(retry).alias("retry"),
        pl.lit(code).alias("code"),
        pl.lit(reason).alias("reason"),
    )


def _by_ref(batch: Batch, rules: VendorRules, downloads: Downloads, evidence: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Join a log that names our references. Among several lines about a row the first error counts.

    A row that is named without an error is accepted. A batch of which some rows failed, and whose log names no error,
    says nothing about the others.
    """
    layout = rules.row_log.errors
    log = pl.DataFrame(schema={"ref": pl.String, "code": pl.String, "message": pl.String, "error": pl.Boolean})
    if downloads.errors is not None:
        log = by_ref(downloads.errors, layout, cap(batch.file.rows))
    errors, good = log.filter("error").drop("error"), log.filter(~pl.col("error"))["ref"].drop_nulls().unique()
    own = evidence.with_columns(pl.col("ref").str.to_lowercase())
    first = errors.unique("ref", keep="first", maintain_order=True).filter(pl.col("ref").is_not_null())
    joined = own.join(first.with_columns(pl.lit(value=True).alias("hit")), on="ref", how="left", maintain_order="left")
    strange = errors.join(joined.filter("hit"), on="ref", how="anti", nulls_equal=False).height
    doubtful = strange > 0 or (batch.verdict is Verdict.MIXED and errors.is_empty()) or downloads.errors_missing
    why = (
        "the vendor's log names rows that cannot be found" if strange else "the vendor says that rows failed, not which"
    )
    hit, gone, taken = pl.col("hit").is_not_null(), _gone(layout), pl.col("ref").is_in(good.implode())
    return _stated(joined, rules, hit & ~gone, (hit & gone) | (~hit & taken), why if doubtful else ""), strange


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
    errors = pl.DataFrame(schema={"code": pl.String, "message": pl.String})
    if downloads.errors is not None:
        errors = by_inputs(downloads.errors, rules.row_log.errors, columns, most)
    found, strange = _hits(errors, evidence)
    rows = evidence.join(found, on="line", how="left", maintain_order="left")
    rows = rows.with_columns(pl.col("hit").fill_null(value=False))
    answers: pl.DataFrame | None = None
    echoed: set[str] = set()
    accepted = pl.lit(value=False) if rules.row_log.results else None
    if downloads.results is not None:
        table = read_table(downloads.results, most)
        named = matching(tuple(table.columns), columns)
        echoed = set(named.values())
        strange_rows, answers = _answered(rows, table, named)
        strange += strange_rows
        rows = rows.with_columns(pl.col("line").is_in(answers["line"].implode()).alias("answered"))
        accepted = pl.col("answered")
    doubt = "the vendor says that rows failed and gives no log" if downloads.errors_missing else ""
    if strange and downloads.errors is not None and not doubt and accepted is None:
        doubt = "the vendor's log names rows that cannot be found"
    verdicts = _stated(rows, rules, pl.col("hit"), accepted, doubt)
    return verdicts, None if answers is None else _named_answers(answers, echoed), strange


#: Equal where the inputs are, whatever blanks stand around them; and the same with the number of the row among those.
_SAME, _OWN = "lading:same", "lading:own"


def _compared(rows: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Return rows with what their inputs are compared by."""
    texts = [pl.col(one).fill_null("").str.strip_chars() for one in columns]
    return rows.with_columns(digest_of_columns(texts or [pl.lit("")]).alias(_SAME))


def _numbered(rows: pl.DataFrame) -> pl.DataFrame:
    """Return compared rows told apart: rows of equal inputs by their order."""
    twice = rows[_SAME].is_duplicated()
    if not twice.any():
        return rows.with_columns(pl.col(_SAME).alias(_OWN))
    nth = pl.int_range(pl.len(), dtype=pl.Int64).over(_SAME)
    return rows.with_columns(
        pl.when(nth > 0).then(digest_of_columns([pl.col(_SAME), nth])).otherwise(pl.col(_SAME)).alias(_OWN)
    )


def _hits(errors: pl.DataFrame, evidence: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Return the lines that a log of errors is about, with code and message, and how many errors are about nothing."""
    shared = [one for one in errors.columns if one.startswith("input:")]
    if not shared or not errors.height:
        texts = [pl.lit(None, dtype=pl.String).alias(one) for one in ("code", "message")]
        return evidence.select("line").clear().with_columns(*texts, pl.lit(value=True).alias("hit")), errors.height
    given = _compared(errors, shared)
    near = _compared(evidence.select("line", *shared), shared).join(given, on=_SAME, how="semi", maintain_order="left")
    strange = given.join(near, on=_SAME, how="anti").height
    told = _numbered(given).select(_OWN, "code", "message", pl.lit(value=True).alias("hit"))
    return _numbered(near).join(told, on=_OWN).select("line", "code", "message", "hit"), strange


def _answered(rows: pl.DataFrame, table: pl.DataFrame, named: dict[str, str]) -> tuple[int, pl.DataFrame]:
    """Return how many answers belong to nothing, and the answers with the line and key columns of their rows."""
    shared = [f"input:{one}" for one in named]
    keys = [one for one in rows.columns if one.startswith("key:")]
    sent = rows.select("line", "hit", *keys, *shared)
    if not shared:
        return table.height, sent.select("line", *keys).clear()
    sent = _compared(sent, shared)
    inputs = [pl.col(old).alias(f"input:{new}") for new, old in named.items()]
    theirs = table.select(*inputs, *(pl.col(one).alias(f"said:{one}") for one in table.columns))
    answers = _numbered(_compared(theirs, shared).drop(shared))
    open_rows = _numbered(sent.filter(~pl.col("hit"))).select("line", *keys, _OWN)
    joined = open_rows.join(answers.drop(_SAME), on=_OWN, how="inner", maintain_order="left")
    strange = 0
    if joined.height < answers.height:
        rest = answers.select(_SAME, _OWN).join(joined, on=_OWN, how="anti")
        strange = rest.join(sent, on=_SAME, how="anti").height
    return strange, joined.drop(_OWN)


def _named_answers(answers: pl.DataFrame, echoed: set[str]) -> pl.DataFrame:
    """Return the answers with the key columns in front, by their own names, and the vendor's behind them.

    Where the vendor's name is that of a key column, but for case, an input that came back is left out, and anything
    else has `vendor_` before its name.
    """
    keys = [one for one in answers.columns if one.startswith("key:")]
    theirs = [one.removeprefix("said:") for one in answers.columns if one.startswith("said:")]
    taken = {one.removeprefix("key:").casefold() for one in keys}
    named = [pl.col(one).alias(one.removeprefix("key:")) for one in keys]
    for one in theirs:
        name = one
        if one.casefold() in taken:
            if one in echoed:
                continue
            while name.casefold() in taken or (name != one and name in theirs):
                name = f"vendor_{name}"
        named.append(pl.col(f"said:{one}").alias(name))
    return _in_order(answers).select(named)


def _written(batch: Batch, verdicts: pl.DataFrame, answers: pl.DataFrame | None, into: Path) -> RowVerdicts:
    """Write verdicts and answers, and count."""
    make_private(into)
    path = into / "verdicts.parquet"
    _in_order(verdicts.select(VERDICTS)).write_parquet(path, compression="zstd", compression_level=1)
    answered = None
    if answers is not None:
        answered = into / "answers.parquet"
        answers.write_parquet(answered, compression="zstd", compression_level=1)
    counts = dict(verdicts["state"].value_counts().iter_rows())
    books = Books(**{name: counts.get(name, 0) for name in ("accepted", "rejected", "unknown")})
    if books.total != batch.file.rows:
        raise StateError(f"the books of batch {batch.id} do not add up: {books} for {batch.file.rows} rows")
    return RowVerdicts(books=books, path=path, answers=answered)
