"""Rows that share a key become one record with a list, wherever they are in the source."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from data_kit import ENGINE, NOW, Bench, job, rules

from batchsync.core.record_schema import Kind, Rule
from batchsync.core.row_outcome import RowOutcome
from batchsync.data import PolarsEngine
from batchsync.data.batchfile import prepare
from batchsync.data.record import group_by_key
from batchsync.data.row import partitions
from batchsync.errors import SourceError
from batchsync.ports import CompareContext

if TYPE_CHECKING:
    from pathlib import Path

    from batchsync.data import PolarsEngine

STAR = frozenset({"*"})
ITEM = Rule(
    kind=Kind.OBJECT,
    fields=(("sku", Rule(kind=Kind.STRING, required_in=STAR)), ("qty", Rule(kind=Kind.INTEGER))),
)
FIELDS = {
    "no": Rule(kind=Kind.STRING),
    "items": Rule(kind=Kind.ARRAY, items=ITEM, required_in=STAR, max_length=3),
}


@pytest.fixture
def orders(tmp_path: Path) -> Bench:
    mapping = {"no": "=no", "who": "=who", "items": [{"each": {"sku": "=sku", "qty": "=qty"}}]}
    return Bench(tmp_path, job(tmp_path, mapping, source={"key": ("no",)}), rules(fields=FIELDS))


def test_items_and_records_keep_source_order(orders: Bench) -> None:
    orders.source("no,who,sku,qty\nB,x,s1,1\nA,y,s2,2\nB,x,s3,\nA,y,s4,4\n")
    values = [record["value"] for record in orders.records()]
    assert values == [
        {"no": "B", "who": "x", "items": [{"sku": "s1", "qty": 1}, {"sku": "s3"}]},
        {"no": "A", "who": "y", "items": [{"sku": "s2", "qty": 2}, {"sku": "s4", "qty": 4}]},
    ]
    plan = orders.compare().plan.counts
    assert (plan.source_rows, plan.selected, plan.added) == (4, 2, 2)


def test_invalid_item_makes_record_invalid_with_all_reasons(orders: Bench) -> None:
    orders.source("no,who,sku,qty\nB,x,,1\nA,y,s2,2\nB,z,s3,many\n")
    comparison = orders.compare()
    assert (
        comparison.plan.counts.selected,
        comparison.plan.counts.outcomes[RowOutcome.INVALID],
        comparison.plan.counts.added,
    ) == (2, 1, 1)
    [[reject]] = ENGINE.invalid(comparison)
    assert reject.key == "B"
    assert "items[].sku is required" in reject.reason
    assert "items[].qty must be integer" in reject.reason


def test_too_many_items_make_record_invalid(orders: Bench) -> None:
    orders.source("no,who,sku,qty\n" + "B,x,s,1\n" * 4)
    [[reject]] = ENGINE.invalid(orders.compare())
    assert (reject.field, reject.code) == ("items", "max_length")


def test_changed_items_change_record_and_their_order_does_not(orders: Bench) -> None:
    orders.source("no,who,sku,qty\nA,x,s1,1\nA,x,s2,2\nB,y,s3,3\n")
    orders.accept_all()
    assert orders.compare().plan.counts.outcomes[RowOutcome.UNCHANGED] == 2
    orders.source("no,who,sku,qty\nB,y,s3,3\nA,x,s2,2\nA,x,s1,1\n")
    assert orders.compare().plan.counts.outcomes[RowOutcome.UNCHANGED] == 2
    for other in ("A,x,s1,1\nA,x,s2,2\nA,x,s2,2\n", "A,x,s1,2\nA,x,s2,1\n", "A,x,s1,1\n", "A,x,s1,1\nA,x,s2,\n"):
        orders.source(f"no,who,sku,qty\n{other}B,y,s3,3\n")
        plan = orders.compare().plan.counts
        assert (plan.changed, plan.outcomes[RowOutcome.UNCHANGED]) == (1, 1)


def test_rows_of_a_key_are_grouped_across_frames_and_files(orders: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (group_by_key, partitions, prepare):
        monkeypatch.setattr(module, "FRAME_ROWS", 7)
    monkeypatch.setattr(group_by_key, "MIN_FILE_ROWS", 20)
    orders.rules = replace(rules())
    orders.source("no,who,sku,qty\n" + "".join(f"{row % 41},w,s{row},{row}\n" for row in range(400)))
    values = [record["value"] for record in orders.records()]
    assert [value["no"] for value in values] == [str(index) for index in range(41)]
    assert [value["qty"] for value in values[3]["items"]] == [str(row) for row in range(3, 400, 41)]


def test_scalar_items_are_listed_and_empty_items_left_out(orders: Bench) -> None:
    orders.rules = rules()
    orders.job = job(
        orders.folder, {"no": "=no", "skus": [{"each": "=sku"}], "x": [{"each": "one"}]}, source={"key": ("no",)}
    )
    orders.source("no,who,sku,qty\nA,x,s1,1\nA,x,,2\nB,y,,3\n")
    assert [record["value"] for record in orders.records()] == [
        {"no": "A", "skus": ["s1"], "x": ["one", "one"]},
        {"no": "B", "x": ["one"]},
    ]


def digests_of(bench: Bench, engine: PolarsEngine) -> list[str]:
    bench.runs += 1
    comparison = engine.compare(
        bench.job, bench.rules, bench.baseline, CompareContext(folder=bench.folder / f"work-{bench.runs}", now=NOW)
    )
    files = engine.stage(bench.job, bench.rules, comparison)
    return [file.digest for file in files]


SORTED = {
    "numbers ascending": [str(index) for index in range(1, 60)],
    "numbers descending": [str(index) for index in range(60, 0, -1)],
    "texts ascending": [f"k{index:03}" for index in range(60)],
    "texts descending": [f"k{index:03}" for index in range(60, 0, -1)],
}
UNSORTED = {
    "key occurs again": ["a", "b", "c", *(f"d{index:02}" for index in range(40)), "a"],
    "equal numbers": ["1", "2", "02", "3"],
    "no order": ["m", "a", "z", "b"],
}


@pytest.mark.parametrize("name", [*SORTED, *UNSORTED])
@pytest.mark.parametrize("frame", [1, 4, 7, 50, 1000])
def test_sorted_source_is_streamed_with_identical_files(
    orders: Bench, monkeypatch: pytest.MonkeyPatch, name: str, frame: int
) -> None:
    monkeypatch.setattr(group_by_key, "FRAME_ROWS", frame)
    monkeypatch.setattr(partitions, "FRAME_ROWS", frame)
    monkeypatch.setattr(group_by_key, "MIN_FILE_ROWS", 5)
    keys = (SORTED | UNSORTED)[name]
    rows = [f"{key},w,s{number},{number}" for place, key in enumerate(keys) for number in range(place % 4 + 1)]
    orders.source("\n".join(["no,who,sku,qty", *rows, ""]))
    orders.rules = rules()
    digests = digests_of(orders, orders.engine)
    spilled = bool(list((orders.folder / f"work-{orders.runs}").glob("grouped-*")))
    assert spilled == (name in UNSORTED)
    monkeypatch.setattr(group_by_key, "_is_sorted", lambda *_: False)
    assert digests_of(orders, orders.engine) == digests


def test_source_no_longer_sorted_at_staging_is_refused(orders: Bench) -> None:
    orders.source("no,who,sku,qty\n1,x,s,1\n2,x,s,1\n")
    comparison = orders.compare()
    orders.source("no,who,sku,qty\n1,x,s,1\n2,x,s,1\n1,x,s,1\n")
    with pytest.raises(SourceError, match="changed"):
        orders.stage(comparison)
