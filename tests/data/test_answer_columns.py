"""What a vendor answers is kept whole, whatever names and characters it is made of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pytest
from data_kit import Bench, csv_rules, job

from lading.core.batch import Books, Verdict
from lading.data import Columnar

if TYPE_CHECKING:
    from pathlib import Path

    from lading.ports import RowVerdicts


@pytest.fixture
def lookup(tmp_path: Path) -> Bench:
    made = job(tmp_path, {"vin": "=vin", "plate": "=plate"}, target={})
    return Bench(tmp_path, made, csv_rules())


def settled(bench: Bench, rows: str, results: str, errors: str | None = None) -> RowVerdicts:
    """Send rows of id, vin and plate, and return what becomes of them by these texts of the vendor."""
    bench.source("id,vin,plate\n" + rows)
    [file] = bench.stage(bench.compare())
    (bench.folder / "results.csv").write_text(results)
    downloads = {"results": bench.folder / "results.csv"}
    if errors is not None:
        downloads["errors"] = bench.folder / "errors.json"
        downloads["errors"].write_text(errors)
    return bench.settle(file, Verdict.PROCESSED, **downloads)


@pytest.mark.parametrize("place", ["errorDescription", "errorType", "plate"])
def test_half_a_character_in_a_log_is_a_question_mark_and_settles(lookup: Bench, place: str) -> None:
    said = {"errorDescription": "no", "errorType": "V", "plate": "P1"} | {place: "\ud800x"}
    why = [{name: said[name] for name in ("errorType", "errorDescription")}]
    inputs = {"vin": "A", "plate": said["plate"], "\udfff": 1}
    errors = json.dumps({"batchItemsErrors": [{"inputs": inputs, "errors": why}]})
    found = settled(lookup, "1,A,P1\n", "vin,plate,r\n", errors)
    if place == "plate":
        # The row that is named was never sent.
        assert (found.books, found.unattributed) == (Books(unknown=1), 1)
    else:
        assert found.books == Books(rejected=1)
        [one] = [one for chunk in Columnar().rejects(found) for one in chunk]
        assert (one.reason if place == "errorDescription" else one.code) == "?x"


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("vin,plate,id", ["id", "vin", "plate", "vendor_id"]),
        ("ID,vin,plate", ["id", "vendor_ID", "vin", "plate"]),
        ("vin,vendor_id,id", ["id", "vin", "vendor_id", "vendor_vendor_id"]),
        ("vin,line,hit", ["id", "vin", "line", "hit"]),
        ("key:id,input:vin,lading:own,lading:same,answered,vin", None),
    ],
)
def test_every_column_of_an_answer_is_kept_whatever_its_name(
    lookup: Bench, header: str, columns: list[str] | None
) -> None:
    names = header.split(",")
    row = ["A" if one == "vin" else "P1" if one == "plate" else f"the {one}" for one in names]
    found = settled(lookup, "7,A,P1\n", f"{header}\n{','.join(row)}\n")
    assert found.books == Books(accepted=1)
    assert found.answers is not None
    answers = pl.read_parquet(found.answers)
    assert answers.columns == (columns or ["id", *names])
    assert answers.row(0) == ("7", *row)


@pytest.mark.parametrize("header", ["vin,plate,r", "VIN,plate,r"])
def test_an_input_that_comes_back_does_not_stand_beside_the_key_that_it_is(lookup: Bench, header: str) -> None:
    lookup.change_source(key=("vin",))
    found = settled(lookup, "7,A,P1\n", f"{header}\nA,P1,x\n")
    assert found.answers is not None
    assert pl.read_parquet(found.answers).columns == ["vin", "plate", "r"]
