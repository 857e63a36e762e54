"""Answers of a vendor are kept completely, whatever the names and characters of their columns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pytest
from data_kit import ENGINE, Bench, csv_rules, job

from batchsync.core.batch import Verdict
from batchsync.core.row_outcome import OutcomeCounts

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.ports import RowVerdicts


@pytest.fixture
def lookup(tmp_path: Path) -> Bench:
    made = job(tmp_path, {"vin": "=vin", "plate": "=plate"}, target={})
    return Bench(tmp_path, made, csv_rules())


def outcomes(bench: Bench, rows: str, results: str, errors: str | None = None) -> RowVerdicts:
    """Send rows of id, vin and plate, and return their outcomes for these texts of the vendor."""
    bench.source("id,vin,plate\n" + rows)
    [file] = bench.stage(bench.compare())
    (bench.folder / "results.csv").write_text(results)
    downloads = {"results": bench.folder / "results.csv"}
    if errors is not None:
        downloads["errors"] = bench.folder / "errors.json"
        downloads["errors"].write_text(errors)
    return bench.join_outcomes(file, Verdict.PROCESSED, **downloads)


@pytest.mark.parametrize("member", ["errorDescription", "errorType", "plate"])
def test_unpaired_surrogate_in_log_becomes_question_mark(lookup: Bench, member: str) -> None:
    values = {"errorDescription": "no", "errorType": "V", "plate": "P1"} | {member: "\ud800x"}
    reasons = [{name: values[name] for name in ("errorType", "errorDescription")}]
    inputs = {"vin": "A", "plate": values["plate"], "\udfff": 1}
    errors = json.dumps({"batchItemsErrors": [{"inputs": inputs, "errors": reasons}]})
    verdicts = outcomes(lookup, "1,A,P1\n", "vin,plate,r\n", errors)
    if member == "plate":
        # The named row was never sent.
        assert (verdicts.counts, verdicts.unattributed) == (OutcomeCounts.of(unknown=1), 1)
    else:
        assert verdicts.counts == OutcomeCounts.of(rejected=1)
        [reject] = [item for chunk in ENGINE.rejects(verdicts) for item in chunk]
        assert (reject.reason if member == "errorDescription" else reject.code) == "?x"


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("vin,plate,id", ["id", "vin", "plate", "vendor_id"]),
        ("ID,vin,plate", ["id", "vendor_ID", "vin", "plate"]),
        ("vin,vendor_id,id", ["id", "vin", "vendor_id", "vendor_vendor_id"]),
        ("vin,line,hit", ["id", "vin", "line", "hit"]),
        ("key:id,input:vin,batchsync:own,batchsync:same,answered,vin", None),
    ],
)
def test_answer_column_of_any_name_is_kept(lookup: Bench, header: str, columns: list[str] | None) -> None:
    names = header.split(",")
    row = ["A" if name == "vin" else "P1" if name == "plate" else f"the {name}" for name in names]
    verdicts = outcomes(lookup, "7,A,P1\n", f"{header}\n{','.join(row)}\n")
    assert verdicts.counts == OutcomeCounts.of(accepted=1)
    assert verdicts.answers is not None
    answers = pl.read_parquet(verdicts.answers)
    assert answers.columns == (columns or ["id", *names])
    assert answers.row(0) == ("7", *row)


@pytest.mark.parametrize("header", ["vin,plate,r", "VIN,plate,r"])
def test_repeated_input_that_is_the_key_is_left_out(lookup: Bench, header: str) -> None:
    lookup.change_source(key=("vin",))
    verdicts = outcomes(lookup, "7,A,P1\n", f"{header}\nA,P1,x\n")
    assert verdicts.answers is not None
    assert pl.read_parquet(verdicts.answers).columns == ["vin", "plate", "r"]
