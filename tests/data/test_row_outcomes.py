"""Whatever the vendor's row log contains, each sent row has one outcome and the counts add up."""

from __future__ import annotations

import gzip
import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import HEAD, REF_LOG, Bench, job, manifest_key, rejects, rules, segment_paths
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.core.batch import Verdict
from batchsync.core.row_outcome import OutcomeCounts, RowOutcome
from batchsync.core.vendor_rules import DefaultOutcome
from batchsync.data.outcome import row_log
from batchsync.errors import AmbiguousOutcomeError, PermanentError, StateError

if TYPE_CHECKING:
    from batchsync.core.batch import BatchFile


def sent(bench: Bench, rows: int = 3) -> tuple[BatchFile, list[str]]:
    bench.source(HEAD + "".join(f"{row},a,m\n" for row in range(rows)))
    [file] = bench.stage(bench.compare())
    return file, pl.read_parquet(file.row_manifest)["ref"].to_list()


def log(bench: Bench, *lines: Any, packed: bool = True, end: str = "\n") -> Path:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + end for line in lines).encode()
    path = bench.folder / "log.gz"
    path.write_bytes(gzip.compress(text) if packed else text)
    return path


def error(ref: str, code: str | int = 400, message: str = "Validation error") -> dict[str, object]:
    return {"ref": ref, "code": code, "message": message}


@pytest.mark.parametrize("packed", [True, False])
def test_rows_in_log_are_rejected_and_others_accepted(bench: Bench, *, packed: bool) -> None:
    file, refs = sent(bench)
    verdicts = bench.join_outcomes(file, Verdict.MIXED, errors=log(bench, error(refs[1]), packed=packed))
    assert verdicts.counts == OutcomeCounts.of(accepted=2, rejected=1)
    [reject] = rejects(verdicts)
    assert (reject.kind, reject.key, reject.code, reject.reason, reject.line, reject.row, reject.retry) == (
        "rejected",
        "1",
        "400",
        "Validation error",
        2,
        2,
        False,
    )
    assert pl.read_parquet(verdicts.path)["state"].to_list() == ["accepted", "rejected", "accepted"]


def test_numeric_and_string_codes_are_read_with_retry_flag(bench: Bench) -> None:
    file, refs = sent(bench)
    verdicts = bench.join_outcomes(file, errors=log(bench, error(refs[0], 400), error(refs[1].upper(), "500")))
    assert [(reject.code, reject.retry) for reject in rejects(verdicts)] == [("400", False), ("500", True)]


def test_ignored_codes_are_no_errors(bench: Bench) -> None:
    file, refs = sent(bench)
    lines = [error(refs[0], 200), error(refs[1].upper(), "201"), error(refs[2], 400)]
    assert bench.join_outcomes(file, Verdict.MIXED, errors=log(bench, *lines)).counts == OutcomeCounts.of(
        accepted=2, rejected=1
    )
    assert bench.join_outcomes(file, errors=log(bench, *lines[:2])).counts == OutcomeCounts.of(accepted=3)


def test_mixed_batch_without_errors_in_log_leaves_rows_unknown(bench: Bench) -> None:
    file, refs = sent(bench)
    verdicts = bench.join_outcomes(file, Verdict.MIXED, errors=log(bench, error(refs[1], 200)))
    assert pl.read_parquet(verdicts.path)["state"].to_list() == ["unknown", "accepted", "unknown"]
    assert {reject.reason for reject in rejects(verdicts)} == {"the vendor reports failed rows without naming them"}


def test_row_with_ignored_code_is_accepted_despite_unmatched_errors(bench: Bench) -> None:
    file, refs = sent(bench)
    verdicts = bench.join_outcomes(file, Verdict.MIXED, errors=log(bench, error(refs[1], 200), error("null", 400)))
    assert (verdicts.counts, verdicts.unattributed) == (OutcomeCounts.of(accepted=1, unknown=2), 1)


def test_first_error_of_repeated_lines_counts(bench: Bench) -> None:
    file, refs = sent(bench)
    lines = [error(refs[0], 200), error(refs[0], 400, "first"), error(refs[0], 409, "second"), error(refs[0], 200)]
    verdicts = bench.join_outcomes(file, errors=log(bench, *lines))
    assert verdicts.counts == OutcomeCounts.of(accepted=2, rejected=1)
    assert rejects(verdicts)[0].reason == "first"


@pytest.mark.parametrize(
    "line",
    [
        {"ref": "null", "code": "400", "message": "Failed to parse import line"},
        {"ref": None, "code": "400", "message": "x"},
        {"ref": str(uuid.uuid4()), "code": "400", "message": "x"},
        {"code": 400},
        '{"ref": "',
        "No logs available",
        "[1, 2]",
    ],
)
def test_unmatched_error_leaves_unlisted_rows_unknown(bench: Bench, line: Any) -> None:
    file, refs = sent(bench)
    verdicts = bench.join_outcomes(file, errors=log(bench, error(refs[0]), line))
    assert verdicts.counts == OutcomeCounts.of(rejected=1, unknown=2)
    assert verdicts.unattributed == 1


def test_truncated_line_still_matches_by_ref(bench: Bench) -> None:
    file, refs = sent(bench)
    verdicts = bench.join_outcomes(
        file, errors=log(bench, f'{{"ref":"{refs[2]}","code":"400","mess', packed=False, end="")
    )
    assert verdicts.counts == OutcomeCounts.of(accepted=2, rejected=1)


def test_blank_lines_and_any_line_ends_are_accepted(bench: Bench) -> None:
    file, refs = sent(bench)
    text = json.dumps(error(refs[0])) + "\r\n\r\n" + json.dumps(error(refs[1]))
    assert bench.join_outcomes(file, errors=log(bench, text, end="")).counts == OutcomeCounts.of(accepted=1, rejected=2)


def test_damaged_log_is_ambiguous(bench: Bench) -> None:
    file, refs = sent(bench)
    path = log(bench, *(error(ref) for ref in refs))
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-6] ^= 0xFF
    broken = bytearray(whole)
    broken[12] ^= 0xFF
    for data in (whole[:-4], whole[:20], bytes(flipped), bytes(broken)):
        path.write_bytes(data)
        with pytest.raises(AmbiguousOutcomeError, match="the row log arrived damaged"):
            bench.join_outcomes(file, errors=path)


def test_oversized_log_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_log, "FLOOR", 1 << 20)
    file, _ = sent(bench)
    path = log(bench, "x" * (30 << 20))
    with pytest.raises(PermanentError, match="more than"):
        bench.join_outcomes(file, errors=path)


def test_oversized_line_is_unmatched(bench: Bench) -> None:
    file, refs = sent(bench)
    verdicts = bench.join_outcomes(file, errors=log(bench, error(refs[0]), "y" * (20 << 20)))
    assert verdicts.counts == OutcomeCounts.of(rejected=1, unknown=2)


@pytest.mark.parametrize("verdict", [Verdict.REFUSED, Verdict.CANCELLED, Verdict.EXPIRED])
def test_rows_of_unapplied_batch_may_be_retried(bench: Bench, verdict: Verdict) -> None:
    file, _ = sent(bench)
    verdicts = bench.join_outcomes(file, verdict)
    assert verdicts.counts == OutcomeCounts.of(rejected=3)
    assert all(reject.retry and reject.reason == "done" for reject in rejects(verdicts))


def test_rows_of_manually_resent_batch_are_retryable(bench: Bench) -> None:
    file, _ = sent(bench)
    verdicts = bench.join_outcomes(file, Verdict.RESENT)
    assert verdicts.counts == OutcomeCounts.of(rejected=3)
    assert {(reject.retry, reject.code, reject.reason) for reject in rejects(verdicts)} == {
        (True, "resent", "resent manually")
    }


def test_lost_batch_or_missing_log_leaves_rows_unknown(bench: Bench) -> None:
    file, _ = sent(bench)
    assert bench.join_outcomes(file, Verdict.LOST).counts == OutcomeCounts.of(unknown=3)
    assert bench.join_outcomes(file, Verdict.MIXED, errors_missing=True).counts == OutcomeCounts.of(unknown=3)
    assert bench.join_outcomes(file, Verdict.MIXED).counts == OutcomeCounts.of(unknown=3)
    assert bench.join_outcomes(file, Verdict.MIXED, errors=log(bench)).counts == OutcomeCounts.of(unknown=3)
    assert bench.join_outcomes(file, Verdict.PROCESSED).counts == OutcomeCounts.of(accepted=3)


def test_unlisted_rows_are_unknown_by_default_outcome(bench: Bench) -> None:
    bench.rules = rules(log=replace(REF_LOG, default_outcome=DefaultOutcome.UNKNOWN))
    file, refs = sent(bench)
    assert bench.join_outcomes(file, errors=log(bench, error(refs[0]))).counts == OutcomeCounts.of(
        rejected=1, unknown=2
    )


def test_missing_or_mismatched_manifest_is_an_error(bench: Bench) -> None:
    file, _ = sent(bench)
    with pytest.raises(StateError, match="3 rows, its file 4"):
        bench.join_outcomes(replace(file, rows=4))
    Path(file.row_manifest).write_bytes(b"")
    with pytest.raises(StateError, match="missing or damaged"):
        bench.join_outcomes(file)


JUNK = st.one_of(
    st.text(max_size=30),
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda values: st.dictionaries(st.sampled_from(["ref", "code", "message"]), values),
    ).map(json.dumps),
    st.tuples(st.integers(0, 3), st.sampled_from(["200", "400", "500", ""]), st.integers(0, 80)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(JUNK, max_size=8), verdict=st.sampled_from(list(Verdict)), missing=st.booleans())
def test_counts_add_up_for_any_log(
    tmp_path_factory: pytest.TempPathFactory, lines: list[Any], verdict: Verdict, *, missing: bool
) -> None:
    folder = tmp_path_factory.mktemp("log")
    bench = Bench(folder, job(folder, {"id": "=id"}), rules())
    file, refs = sent(bench, 4)
    texts = [
        line if isinstance(line, str) else json.dumps(error(refs[line[0]], line[1]))[: 80 + line[2]] for line in lines
    ]
    verdicts = bench.join_outcomes(file, verdict, errors=log(bench, *texts), errors_missing=missing)
    assert verdicts.counts.total == 4
    assert len(rejects(verdicts)) == verdicts.counts[RowOutcome.REJECTED] + verdicts.counts[RowOutcome.UNKNOWN]


def test_flipped_bit_in_manifest_is_detected_when_joining(bench: Bench) -> None:
    file, _ = sent(bench)
    manifest = Path(file.row_manifest)
    whole = manifest.read_bytes()
    for position in range(0, len(whole), max(1, len(whole) // 40)):
        manifest.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(StateError, match="missing or damaged"):
            bench.join_outcomes(file)


def test_flipped_bit_in_baseline_or_manifest_is_detected_when_comparing(bench: Bench) -> None:
    file, _ = sent(bench)
    bench.accept_all()
    [segment] = segment_paths(bench.folder, bench.baseline)
    for state in (segment, Path(file.row_manifest)):
        whole = state.read_bytes()
        bench.in_flight = (manifest_key(file),)
        for position in range(8, len(whole) - 8, max(1, len(whole) // 20)):
            state.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
            with pytest.raises(StateError, match="missing or damaged"):
                bench.compare()
        state.write_bytes(whole)
