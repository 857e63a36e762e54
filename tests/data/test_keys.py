"""A row is identified by its key: one canonical text, and one row per key."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import polars as pl
import pytest
from data_kit import invalid, job

from batchsync.core.mapping import Expression
from batchsync.core.row_outcome import OutcomeCounts, RowOutcome
from batchsync.errors import SourceError

if TYPE_CHECKING:
    from data_kit import Bench

    from batchsync.ports import Comparison


def keys(comparison: Comparison) -> list[str]:
    return pl.read_parquet(comparison.folder / "changes.parquet")["key"].to_list()


def test_composite_key_is_compact_json_array(bench: Bench) -> None:
    bench.change_source(key=("id", "name"))
    bench.source('id,name,mail\n1,"a ""b"" \\",m\n2,é,n\n')
    assert keys(bench.compare()) == [
        json.dumps(item, ensure_ascii=False, separators=(",", ":")) for item in (["1", 'a "b" \\'], ["2", "é"])
    ]


def test_key_may_be_an_expression(bench: Bench) -> None:
    bench.change_source(key=Expression("upper(trim(id))"))
    bench.source("id,name,mail\n  ab1,n,m\n")
    assert keys(bench.compare()) == ["AB1"]


def test_row_without_key_is_invalid(bench: Bench) -> None:
    bench.change_source(key=("id", "name"))
    bench.source('id,name,mail\n1,,m\n,x,n\n3,y,o\n"",z,p\n')
    comparison = bench.compare()
    assert (
        comparison.plan.counts.selected,
        comparison.plan.counts.outcomes[RowOutcome.INVALID],
        comparison.plan.counts.added,
    ) == (4, 3, 1)
    assert [(item.row, item.code) for item in invalid(comparison)] == [(1, "key"), (2, "key"), (4, "key")]


def test_duplicate_keys_are_an_error_that_names_rows_only(bench: Bench) -> None:
    bench.source("id,name,mail\nsecret,a,m\n2,b,n\nsecret,c,o\n2,d,p\n5,e,q\n")
    with pytest.raises(SourceError) as caught:
        bench.compare()
    assert "2 keys" in caught.value.message
    assert "rows 1, 3; rows 2, 4" in caught.value.message
    assert "secret" not in caught.value.message
    assert "{by: COLUMN}" in caught.value.hint


@pytest.mark.parametrize(
    ("greater", "less"), [("10", "9"), ("2026-02-01", "2025-12-31"), ("10.5", "10.25"), ("b", "a")]
)
def test_greatest_value_is_found_by_meaning(bench: Bench, greater: str, less: str) -> None:
    bench.change_source(duplicates="by:mail")
    bench.source(f"id,name,mail\n1,right,{greater}\n1,wrong,{less}\n")
    assert [record["value"]["name"] for record in bench.records()] == ["right"]


@pytest.mark.parametrize(("value", "other"), [("31/01/2025", "01/02/2026"), ("9", "2026-01-01"), ("-5", "4")])
def test_ambiguous_greatest_value_is_an_error(bench: Bench, value: str, other: str) -> None:
    bench.change_source(duplicates="by:mail")
    bench.source(f"id,name,mail\n2,a,{other}\n1,a,{value}\n1,b,{other}\n")
    with pytest.raises(SourceError, match=r"the greatest mail of a key is ambiguous in rows \d"):
        bench.compare()


def test_rank_column_may_have_any_name(bench: Bench) -> None:
    bench.change_source(duplicates="by:bad")
    bench.source("id,name,mail,bad\n1,wrong,m,1\n1,right,m,2\n")
    assert [record["value"]["name"] for record in bench.records()] == ["right"]


@pytest.mark.parametrize(
    ("policy", "taken"), [("first", ["a", "b"]), ("last", ["c", "b"]), ("by:mail", ["a", "b"]), ("by:name", ["c", "b"])]
)
def test_duplicate_policy_keeps_one_row_and_counts_the_others(bench: Bench, policy: str, taken: list[str]) -> None:
    bench.change_source(duplicates=policy)
    bench.source(
        "id,name,mail\n1,a,z\n2,b,n\n1,c,o\n1,aa,\n"
        if policy != "last"
        else "id,name,mail\n1,a,z\n2,b,n\n1,aa,\n1,c,o\n"
    )
    comparison = bench.compare()
    sent = [record["value"]["name"] for record in bench.records()]
    assert sorted(sent) == sorted(taken)
    outcomes = comparison.plan.counts.outcomes
    assert (comparison.plan.counts.selected, outcomes[RowOutcome.SUPERSEDED], outcomes[RowOutcome.INVALID]) == (4, 2, 0)
    assert {(item.kind, item.code) for item in invalid(comparison)} == {(RowOutcome.SUPERSEDED, "duplicate_key")}
    assert bench.engine.preview(comparison, 5).invalid == ()


@pytest.mark.parametrize(
    ("policy", "kinds"),
    [
        ("first", [RowOutcome.INVALID, RowOutcome.SUPERSEDED, RowOutcome.SUPERSEDED]),
        ("last", [RowOutcome.SUPERSEDED, RowOutcome.SUPERSEDED]),
        ("by:mail", [RowOutcome.SUPERSEDED, RowOutcome.SUPERSEDED]),
    ],
)
def test_superseded_row_is_superseded_whatever_rules_it_breaks(
    bench: Bench, policy: str, kinds: list[RowOutcome]
) -> None:
    bench.job = job(bench.folder, {"id": "=id", "n": "=CAST(name AS INTEGER)"}, source={"duplicates": policy})
    bench.source("id,name,mail\n1,x,1\n1,2,2\n1,3,3\n")
    comparison = bench.compare()
    assert [item.kind for item in invalid(comparison)] == kinds
    outcomes = comparison.plan.counts.outcomes
    assert outcomes.only((RowOutcome.INVALID, RowOutcome.SUPERSEDED)) == OutcomeCounts(Counter(kinds))
    assert len(bench.engine.preview(comparison, 5).invalid) == kinds.count(RowOutcome.INVALID)
