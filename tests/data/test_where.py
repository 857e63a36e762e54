"""The condition of a source (`where`): which rows are selected, and what becomes of the others."""

from __future__ import annotations

from typing import Any

import pytest
from data_kit import ENGINE, HEAD, Bench, invalid, job, record

from batchsync.core.job import Join, Removal, Send
from batchsync.core.mapping import Expression, Place
from batchsync.core.row_outcome import RowOutcome

REMOVES = Removal(mode="delete", record=record({"id": "=id"}))


def select(bench: Bench, condition: str, **source: Any) -> None:
    bench.change_source(where=Expression(condition, Place("jobs.yaml", 5, 7)), **source)


def sent(bench: Bench) -> list[str]:
    return [item["value"]["id"] for item in bench.records() if item["mode"] == "upsert"]


@pytest.mark.parametrize(
    ("condition", "ids"),
    [
        ("mail = 'y'", ["1", "4"]),
        ("mail <> 'y'", ["2"]),
        ("mail IS NULL OR mail = 'y'", ["1", "3", "4"]),
        ("(mail = 'y') IS NOT TRUE", ["2", "3"]),
        ("CAST(name AS INT) > 10", ["2", "4"]),
        ("id IN ('2', '3')", ["2", "3"]),
        ("TRUE", ["1", "2", "3", "4"]),
        ("FALSE", []),
        ("NULL", []),
    ],
)
def test_only_rows_for_which_the_condition_is_true_are_selected(bench: Bench, condition: str, ids: list[str]) -> None:
    bench.source(HEAD + "1,10,y\n2,11,n\n3,9,\n4,12,y\n")
    select(bench, condition)
    comparison = bench.compare()
    assert comparison.plan.counts.selected == len(ids)
    assert sent(bench) == ids


def test_key_of_a_row_that_no_longer_meets_the_condition_is_removed(bench: Bench) -> None:
    bench.change(removal=REMOVES)
    select(bench, "mail = 'y'")
    bench.source(HEAD + "1,a,y\n2,b,y\n3,c,n\n")
    bench.accept_all()
    bench.source(HEAD + "1,a,y\n2,b,n\n3,c,n\n")
    counts = bench.compare().plan.counts
    assert (counts.removed, counts.added, counts.outcomes[RowOutcome.UNCHANGED]) == (1, 0, 1)
    assert [item["value"]["id"] for item in bench.records()] == ["2"]


def test_row_whose_condition_cannot_be_computed_is_invalid_and_prevents_removals(bench: Bench) -> None:
    bench.change(removal=REMOVES)
    select(bench, "CAST(name AS INT) > 10")
    bench.source(HEAD + "1,11,m\n2,12,m\n3,13,m\n")
    bench.accept_all()
    bench.source(HEAD + "1,secretive,m\n2,5,m\n3,13,m\n")
    comparison = bench.compare()
    [found] = invalid(comparison)
    assert (found.row, found.field, found.code) == (1, "where", "expression")
    assert found.reason.startswith("where: the expression failed")
    assert "secretive" not in found.reason
    assert comparison.plan.counts.removed == 0
    assert comparison.plan.counts.selected == 2


def test_rows_of_a_record_are_selected_one_by_one(bench: Bench) -> None:
    bench.job = job(bench.folder, {"id": "=id", "items": [{"each": {"name": "=name"}}]})
    select(bench, "mail = 'y'")
    bench.source(HEAD + "1,a,y\n1,b,n\n1,c,y\n2,d,n\n")
    assert [item["value"] for item in bench.records()] == [{"id": "1", "items": [{"name": "a"}, {"name": "c"}]}]


def test_condition_may_use_columns_of_a_join(bench: Bench) -> None:
    bench.source(HEAD + "1,a,m\n2,b,m\n")
    bench.source("id,segment\n1,gold\n2,tin\n", name="s.csv")
    select(bench, "segment = 'gold'", joins=(Join(path="s.csv", on=(("id", "id"),)),))
    assert sent(bench) == ["1"]


def test_member_that_no_line_has_is_null_in_the_condition(bench: Bench) -> None:
    bench.job = job(bench.folder, {"id": "=id"}, source={"path": "source.jsonl"})
    select(bench, "deleted_at IS NULL")
    bench.source('{"id":"1"}\n{"id":"2"}\n')
    assert sent(bench) == ["1", "2"]


def test_watermark_is_that_of_selected_rows(bench: Bench) -> None:
    bench.change(send=Send(since="mail"))
    select(bench, "name = 'y'")
    bench.source(HEAD + "1,y,2026-01-01\n2,n,2026-02-01\n")
    assert bench.compare().plan.watermark == "2026-01-01"


@pytest.mark.parametrize(
    ("condition", "code"),
    [("nmae = 'x'", "unknown_column"), ("name", "expression_kind"), ("name = 1", "expression_type")],
)
def test_condition_that_does_not_fit_the_source_is_refused_with_its_place(
    bench: Bench, condition: str, code: str
) -> None:
    bench.source(HEAD)
    select(bench, condition)
    [found] = ENGINE.check(bench.job, bench.rules)
    assert (found.code, found.line, found.column) == (f"data.{code}", 5, 7)
    assert found.suggestion
