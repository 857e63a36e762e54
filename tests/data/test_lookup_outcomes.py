"""A vendor that speaks of rows by what was sent: answers and errors find the rows that asked, and the books add up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import HEAD, Bench, csv_rules, job, rejects
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lading.core.batch import Books, Verdict
from lading.errors import Unclear

if TYPE_CHECKING:
    from pathlib import Path

    from lading.core.batch import BatchFile


@pytest.fixture
def lookup(tmp_path: Path) -> Bench:
    made = job(tmp_path, {"vin": "=name", "state": "=mail"}, target={})
    return Bench(tmp_path, made, csv_rules())


def asked(bench: Bench, rows: str) -> BatchFile:
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
        {"id": "x", "inputs": one, "errors": [{"errorType": kind, "errorDescription": "no"}]} for one, kind in items
    ]
    path.write_text(json.dumps({"batchId": "b", "batchItemsErrors": rows}))
    return path


def test_answers_come_back_with_the_key_in_front(lookup: Bench) -> None:
    file = asked(lookup, "1,A,VIC\n2,B,\n3,C,NSW\n4,D,QLD\n")
    said = lookup.settle(
        file,
        results=results(lookup, 'state,vin,wovr,id\n,B,clear,x\nVIC,A,"writ""ten, off",y\n'),
        errors=failures(lookup, ({"vin": "C", "state": "NSW"}, "SERVER_ERROR")),
    )
    assert said.books == Books(accepted=2, rejected=1, unknown=1)
    assert said.answers is not None
    answers = pl.read_parquet(said.answers)
    assert answers.columns == ["id", "state", "vin", "wovr", "vendor_id"]
    assert answers.rows() == [("1", "VIC", "A", 'writ"ten, off', "y"), ("2", None, "B", "clear", "x")]
    assert [(one.kind, one.key, one.code, one.retry) for one in rejects(said)] == [
        ("rejected", "3", "SERVER_ERROR", True),
        ("unknown", "4", "", False),
    ]


def test_a_row_in_results_and_in_errors_is_rejected_and_has_no_answer(lookup: Bench) -> None:
    file = asked(lookup, "1,A,VIC\n")
    said = lookup.settle(
        file,
        results=results(lookup, "vin,state,r\nA,VIC,1\n"),
        errors=failures(lookup, ({"vin": "A", "state": "VIC"}, "V")),
    )
    assert said.books == Books(rejected=1)
    assert said.answers is not None
    assert pl.read_parquet(said.answers).height == 0


def test_equal_inputs_are_told_apart_by_their_order(lookup: Bench) -> None:
    file = asked(lookup, "1,A,VIC\n2,A,VIC\n3,A,VIC\n")
    said = lookup.settle(
        file,
        results=results(lookup, "vin,state,r\nA,VIC,x\n"),
        errors=failures(lookup, ({"vin": "A", "state": "VIC"}, "V")),
    )
    assert said.books == Books(accepted=1, rejected=1, unknown=1)


SENT = st.lists(st.sampled_from(["A,VIC", "A,", "B,VIC", "C,NSW"]), min_size=1, max_size=12)


GIVEN = st.lists(st.sampled_from(["A,VIC", " A ,VIC", "A,", "B,VIC", "C,NSW", "Z,VIC"]), max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent_rows=SENT, failed=GIVEN, answered=GIVEN)
def test_logs_by_inputs_are_joined_as_a_loop_over_their_rows_would(
    tmp_path_factory: pytest.TempPathFactory, sent_rows: list[str], failed: list[str], answered: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("inputs")
    bench = Bench(folder, job(folder, {"vin": "=name", "state": "=mail"}, target={}), csv_rules())
    file = asked(bench, "".join(f"{row},{one}\n" for row, one in enumerate(sent_rows)))
    errors = [dict(zip(("vin", "state"), one.split(","), strict=True)) for one in failed]
    said = bench.settle(
        file,
        results=results(bench, "vin,state,r\n" + "".join(f"{one},{at}\n" for at, one in enumerate(answered))),
        errors=failures(bench, *((one, "V") for one in errors)),
    )
    state = ["unknown"] * len(sent_rows)
    strange = 0
    for word, rows in (("rejected", failed), ("accepted", answered)):
        left = [at for at, one in enumerate(state) if one == "unknown"]
        for row in rows:
            hit = next((at for at in left if sent_rows[at] == row.replace(" ", "")), None)
            if hit is not None:
                left.remove(hit)
                state[hit] = word
            strange += row.replace(" ", "") not in sent_rows
    assert pl.read_parquet(said.path)["state"].to_list() == state
    assert said.unattributed == strange
    assert said.answers is not None
    numbers = pl.read_parquet(said.answers)["id"].to_list()
    assert [str(one) for one in numbers] == [str(at) for at, one in enumerate(state) if one == "accepted"]


def test_inputs_that_leave_out_empty_columns_and_come_in_other_cases_still_match(lookup: Bench) -> None:
    file = asked(lookup, "1,A,\n2,B,\n")
    said = lookup.settle(
        file, results=results(lookup, "VIN,State,r\nA,,x\n"), errors=failures(lookup, ({"vin": "B"}, "V"))
    )
    assert said.books == Books(accepted=1, rejected=1)


def test_errors_as_csv_are_read_by_column_name(lookup: Bench) -> None:
    file = asked(lookup, "1,A,VIC\n2,B,VIC\n")
    path = lookup.folder / "errors.csv"
    path.write_text("errorDescription,vin,state,errorType\nno such,B,VIC,VALIDATION_ERROR\n")
    said = lookup.settle(file, results=results(lookup, "vin,state,r\nA,VIC,x\n"), errors=path)
    assert said.books == Books(accepted=1, rejected=1)
    assert rejects(said)[0].reason == "no such"


def test_strangers_in_the_logs_are_counted(lookup: Bench) -> None:
    file = asked(lookup, "1,A,VIC\n")
    said = lookup.settle(
        file, results=results(lookup, "vin,state,r\nZ,VIC,x\n"), errors=failures(lookup, ({"vin": "Y"}, "V"), ({}, "V"))
    )
    assert said.books == Books(unknown=1)
    assert said.unattributed == 3


@pytest.mark.parametrize("data", [b"", b"{", b'{"batchItemsErrors": [', b"\x1f\x8b", b"\xff\xfe"])
def test_an_error_document_that_is_not_whole_is_fetched_again(lookup: Bench, data: bytes) -> None:
    file = asked(lookup, "1,A,VIC\n")
    path = lookup.folder / "errors.json"
    path.write_bytes(data)
    with pytest.raises(Unclear, match="damaged"):
        lookup.settle(file, errors=path)


@pytest.mark.parametrize(
    "text", ["[]", '{"batchItemsErrors": null}', '{"batchItemsErrors": [1, null, {"inputs": 3, "errors": 4}]}', "null"]
)
def test_an_odd_error_document_never_breaks_the_books(lookup: Bench, text: str) -> None:
    file = asked(lookup, "1,A,VIC\n")
    path = lookup.folder / "errors.json"
    path.write_text(text)
    good = results(lookup, "vin,state,r\nA,VIC,x\n")
    assert lookup.settle(file, results=good, errors=path).books == Books(accepted=1)


def test_results_without_any_input_column_are_not_guessed(lookup: Bench) -> None:
    file = asked(lookup, "1,A,VIC\n")
    said = lookup.settle(file, results=results(lookup, "answer\nx\n"))
    assert said.books == Books(unknown=1)
    assert said.unattributed == 1


def test_a_missing_error_log_does_not_take_answers_back(lookup: Bench) -> None:
    file = asked(lookup, "1,A,VIC\n2,B,VIC\n")
    said = lookup.settle(file, Verdict.MIXED, results=results(lookup, "vin,state,r\nA,VIC,x\n"), errors_missing=True)
    assert said.books == Books(accepted=1, unknown=1)
