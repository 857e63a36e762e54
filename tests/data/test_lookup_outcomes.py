"""Row outcomes of vendors that identify rows by their inputs: answers and errors are matched, and the counts add up."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import HEAD, Bench, csv_rules, job, rejects
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.core.batch import Verdict
from batchsync.core.row_outcome import OutcomeCounts
from batchsync.errors import AmbiguousOutcomeError
from batchsync.spec.vendor_spec import load_vendor

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.core.batch import BatchFile


@pytest.fixture
def lookup(tmp_path: Path) -> Bench:
    made = job(tmp_path, {"vin": "=name", "state": "=mail"}, target={})
    return Bench(tmp_path, made, csv_rules())


def staged(bench: Bench, rows: str) -> BatchFile:
    bench.source(HEAD + rows)
    [file] = bench.stage(bench.compare())
    return file


def results(bench: Bench, text: str) -> Path:
    path = bench.folder / "results.csv"
    path.write_text(text)
    return path


def failures(bench: Bench, *items: tuple[dict[str, Any], str]) -> Path:
    path = bench.folder / "errors.json"
    rows = [
        {"id": "x", "inputs": item, "errors": [{"errorType": kind, "errorDescription": "no"}]} for item, kind in items
    ]
    path.write_text(json.dumps({"batchId": "b", "batchItemsErrors": rows}))
    return path


def test_answers_have_key_columns_first(lookup: Bench) -> None:
    file = staged(lookup, "1,A,VIC\n2,B,\n3,C,NSW\n4,D,QLD\n")
    verdicts = lookup.join_outcomes(
        file,
        results=results(lookup, 'state,vin,wovr,id\n,B,clear,x\nVIC,A,"writ""ten, off",y\n'),
        errors=failures(lookup, ({"vin": "C", "state": "NSW"}, "SERVER_ERROR")),
    )
    assert verdicts.counts == OutcomeCounts.of(accepted=2, rejected=1, unknown=1)
    assert verdicts.answers is not None
    answers = pl.read_parquet(verdicts.answers)
    assert answers.columns == ["id", "state", "vin", "wovr", "vendor_id"]
    assert answers.rows() == [("1", "VIC", "A", 'writ"ten, off', "y"), ("2", None, "B", "clear", "x")]
    assert [(reject.kind, reject.key, reject.code, reject.retry) for reject in rejects(verdicts)] == [
        ("rejected", "3", "SERVER_ERROR", True),
        ("unknown", "4", "", False),
    ]


def test_row_in_results_and_errors_is_rejected(lookup: Bench) -> None:
    file = staged(lookup, "1,A,VIC\n")
    verdicts = lookup.join_outcomes(
        file,
        results=results(lookup, "vin,state,r\nA,VIC,1\n"),
        errors=failures(lookup, ({"vin": "A", "state": "VIC"}, "V")),
    )
    assert verdicts.counts == OutcomeCounts.of(rejected=1)
    assert verdicts.answers is not None
    assert pl.read_parquet(verdicts.answers).height == 0


def test_equal_inputs_are_matched_by_order(lookup: Bench) -> None:
    file = staged(lookup, "1,A,VIC\n2,A,VIC\n3,A,VIC\n")
    verdicts = lookup.join_outcomes(
        file,
        results=results(lookup, "vin,state,r\nA,VIC,x\n"),
        errors=failures(lookup, ({"vin": "A", "state": "VIC"}, "V")),
    )
    assert verdicts.counts == OutcomeCounts.of(accepted=1, rejected=1, unknown=1)


SENT = st.lists(st.sampled_from(["A,VIC", "A,", "B,VIC", "C,NSW"]), min_size=1, max_size=12)


LOGGED = st.lists(st.sampled_from(["A,VIC", " A ,VIC", "A,", "B,VIC", "C,NSW", "Z,VIC"]), max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent_rows=SENT, failed=LOGGED, answered=LOGGED)
def test_join_by_inputs_equals_naive_loop(
    tmp_path_factory: pytest.TempPathFactory, sent_rows: list[str], failed: list[str], answered: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("inputs")
    bench = Bench(folder, job(folder, {"vin": "=name", "state": "=mail"}, target={}), csv_rules())
    file = staged(bench, "".join(f"{row},{item}\n" for row, item in enumerate(sent_rows)))
    errors = [dict(zip(("vin", "state"), item.split(","), strict=True)) for item in failed]
    verdicts = bench.join_outcomes(
        file,
        results=results(bench, "vin,state,r\n" + "".join(f"{item},{index}\n" for index, item in enumerate(answered))),
        errors=failures(bench, *((error, "V") for error in errors)),
    )
    state = ["unknown"] * len(sent_rows)
    unmatched = 0
    for outcome, rows in (("rejected", failed), ("accepted", answered)):
        open_rows = [index for index, item in enumerate(state) if item == "unknown"]
        for row in rows:
            hit = next((index for index in open_rows if sent_rows[index] == row.replace(" ", "")), None)
            if hit is not None:
                open_rows.remove(hit)
                state[hit] = outcome
            unmatched += row.replace(" ", "") not in sent_rows
    assert pl.read_parquet(verdicts.path)["state"].to_list() == state
    assert verdicts.unattributed == unmatched
    assert verdicts.answers is not None
    numbers = pl.read_parquet(verdicts.answers)["id"].to_list()
    assert [str(number) for number in numbers] == [str(index) for index, item in enumerate(state) if item == "accepted"]


def test_inputs_match_with_empty_columns_left_out_and_other_case(lookup: Bench) -> None:
    file = staged(lookup, "1,A,\n2,B,\n")
    verdicts = lookup.join_outcomes(
        file, results=results(lookup, "VIN,State,r\nA,,x\n"), errors=failures(lookup, ({"vin": "B"}, "V"))
    )
    assert verdicts.counts == OutcomeCounts.of(accepted=1, rejected=1)


def test_csv_errors_are_read_by_column_name(lookup: Bench) -> None:
    file = staged(lookup, "1,A,VIC\n2,B,VIC\n")
    path = lookup.folder / "errors.csv"
    path.write_text("errorDescription,vin,state,errorType\nno such,B,VIC,VALIDATION_ERROR\n")
    verdicts = lookup.join_outcomes(file, results=results(lookup, "vin,state,r\nA,VIC,x\n"), errors=path)
    assert verdicts.counts == OutcomeCounts.of(accepted=1, rejected=1)
    assert rejects(verdicts)[0].reason == "no such"


def test_csv_errors_without_documented_columns_give_all_that_was_not_sent_as_reason(lookup: Bench) -> None:
    """Values that were sent are left out of the reason; the code is unknown, so that no row is sent again unchanged."""
    lookup.rules = replace(lookup.rules, row_log=load_vendor("motorweb-bdp", {"errors_by": "csv"}).row_log)
    file = staged(lookup, "1,A,VIC\n2,B,VIC\n3,C,VIC\n")
    path = lookup.folder / "errors.csv"
    path.write_text("why,VIN,state,when\nSERVER_ERROR,B,VIC,noon\n,C,VIC,\n")
    verdicts = lookup.join_outcomes(file, results=results(lookup, "vin,state,r\nA,VIC,x\n"), errors=path)
    assert verdicts.counts == OutcomeCounts.of(accepted=1, rejected=2)
    rejected = pl.read_parquet(verdicts.path).filter(pl.col("state") == "rejected").select("code", "reason", "retry")
    assert rejected.rows() == [("", "why: SERVER_ERROR; when: noon", False), ("", "", False)]


def test_unmatched_log_rows_are_counted(lookup: Bench) -> None:
    file = staged(lookup, "1,A,VIC\n")
    verdicts = lookup.join_outcomes(
        file, results=results(lookup, "vin,state,r\nZ,VIC,x\n"), errors=failures(lookup, ({"vin": "Y"}, "V"), ({}, "V"))
    )
    assert verdicts.counts == OutcomeCounts.of(unknown=1)
    assert verdicts.unattributed == 3


@pytest.mark.parametrize("data", [b"", b"{", b'{"batchItemsErrors": [', b"\x1f\x8b", b"\xff\xfe"])
def test_truncated_error_document_is_ambiguous(lookup: Bench, data: bytes) -> None:
    file = staged(lookup, "1,A,VIC\n")
    path = lookup.folder / "errors.json"
    path.write_bytes(data)
    with pytest.raises(AmbiguousOutcomeError, match="damaged"):
        lookup.join_outcomes(file, errors=path)


@pytest.mark.parametrize(
    "text", ["[]", '{"batchItemsErrors": null}', '{"batchItemsErrors": [1, null, {"inputs": 3, "errors": 4}]}', "null"]
)
def test_counts_add_up_for_odd_error_document(lookup: Bench, text: str) -> None:
    file = staged(lookup, "1,A,VIC\n")
    path = lookup.folder / "errors.json"
    path.write_text(text)
    good = results(lookup, "vin,state,r\nA,VIC,x\n")
    assert lookup.join_outcomes(file, results=good, errors=path).counts == OutcomeCounts.of(accepted=1)


def test_results_without_input_columns_are_unmatched(lookup: Bench) -> None:
    file = staged(lookup, "1,A,VIC\n")
    verdicts = lookup.join_outcomes(file, results=results(lookup, "answer\nx\n"))
    assert verdicts.counts == OutcomeCounts.of(unknown=1)
    assert verdicts.unattributed == 1


def test_answers_are_kept_if_error_log_is_missing(lookup: Bench) -> None:
    file = staged(lookup, "1,A,VIC\n2,B,VIC\n")
    verdicts = lookup.join_outcomes(
        file, Verdict.MIXED, results=results(lookup, "vin,state,r\nA,VIC,x\n"), errors_missing=True
    )
    assert verdicts.counts == OutcomeCounts.of(accepted=1, unknown=1)


def test_rows_that_differ_only_in_case_are_not_confused(lookup: Bench) -> None:
    """Where folding is ambiguous within the batch, only the exact text matches."""
    file = staged(lookup, "1,Ab,VIC\n2,aB,VIC\n3,C 1,NSW\n")
    verdicts = lookup.join_outcomes(
        file,
        results=results(lookup, "vin,state,r\nab,vic,x\naB,VIC,y\nc1,nsw,z\n"),
    )
    assert verdicts.answers is not None
    assert pl.read_parquet(verdicts.answers).select("id", "r").rows() == [("2", "y"), ("3", "z")]
    assert verdicts.unattributed == 1


def test_failed_rows_that_the_vendor_counts_and_does_not_name_are_unknown(lookup: Bench) -> None:
    file = staged(lookup, "1,A,VIC\n2,B,VIC\n")
    verdicts = lookup.join_outcomes(file, results=results(lookup, "vin;state;r\n".replace(";", ",") + "A,VIC,x\n"))
    assert verdicts.counts == OutcomeCounts.of(accepted=1, unknown=1)
