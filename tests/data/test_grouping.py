"""Rows that share a key become one record with a list, wherever they stand in the source."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from data_kit import NOW, Bench, job, rules

from lading.core.record_schema import Kind, Rule
from lading.data import Columnar, grouping, read, stage
from lading.errors import SourceError
from lading.ports import CompareContext

if TYPE_CHECKING:
    from pathlib import Path

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


def test_items_stand_in_the_order_of_the_source_and_records_in_that_of_their_first_row(orders: Bench) -> None:
    orders.source("no,who,sku,qty\nB,x,s1,1\nA,y,s2,2\nB,x,s3,\nA,y,s4,4\n")
    values = [one["value"] for one in orders.records()]
    assert values == [
        {"no": "B", "who": "x", "items": [{"sku": "s1", "qty": 1}, {"sku": "s3"}]},
        {"no": "A", "who": "y", "items": [{"sku": "s2", "qty": 2}, {"sku": "s4", "qty": 4}]},
    ]
    tally = orders.compare().tally
    assert (tally.source_rows, tally.selected, tally.added) == (4, 2, 2)


def test_one_bad_item_makes_its_record_invalid_once_with_all_reasons(orders: Bench) -> None:
    orders.source("no,who,sku,qty\nB,x,,1\nA,y,s2,2\nB,z,s3,many\n")
    comparison = orders.compare()
    assert (comparison.tally.selected, comparison.tally.invalid, comparison.tally.added) == (2, 1, 1)
    [[reject]] = Columnar().invalid(comparison)
    assert reject.key == "B"
    assert "items[].sku is required" in reject.reason
    assert "items[].qty must be integer" in reject.reason


def test_too_many_items_are_refused(orders: Bench) -> None:
    orders.source("no,who,sku,qty\n" + "B,x,s,1\n" * 4)
    [[reject]] = Columnar().invalid(orders.compare())
    assert (reject.field, reject.code) == ("items", "max_length")


def test_another_order_of_items_or_another_item_is_a_change_and_the_same_is_none(orders: Bench) -> None:
    orders.source("no,who,sku,qty\nA,x,s1,1\nA,x,s2,2\nB,y,s3,3\n")
    orders.accept_all()
    assert orders.compare().tally.unchanged == 2
    orders.source("no,who,sku,qty\nB,y,s3,3\nA,x,s2,2\nA,x,s1,1\n")
    assert (orders.compare().tally.changed, orders.compare().tally.unchanged) == (1, 1)
    orders.source("no,who,sku,qty\nA,x,s1,1\nA,x,s2,2\nA,x,s2,2\nB,y,s3,3\n")
    assert orders.compare().tally.changed == 1


def test_rows_spread_over_many_frames_and_files_still_come_together(
    orders: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (grouping, read, stage):
        monkeypatch.setattr(module, "FRAME_ROWS", 7)
    monkeypatch.setattr(grouping, "SHARE", 20)
    orders.rules = replace(rules())
    orders.source("no,who,sku,qty\n" + "".join(f"{row % 41},w,s{row},{row}\n" for row in range(400)))
    values = [one["value"] for one in orders.records()]
    assert [one["no"] for one in values] == [str(one) for one in range(41)]
    assert [one["qty"] for one in values[3]["items"]] == [str(row) for row in range(3, 400, 41)]


def test_items_may_be_plain_values_and_an_item_without_any_is_left_out(orders: Bench) -> None:
    orders.rules = rules()
    orders.job = job(
        orders.folder, {"no": "=no", "skus": [{"each": "=sku"}], "x": [{"each": "one"}]}, source={"key": ("no",)}
    )
    orders.source("no,who,sku,qty\nA,x,s1,1\nA,x,,2\nB,y,,3\n")
    assert [one["value"] for one in orders.records()] == [
        {"no": "A", "skus": ["s1"], "x": ["one", "one"]},
        {"no": "B", "x": ["one"]},
    ]


def lines_of(bench: Bench, path: Columnar) -> list[str]:
    bench.runs += 1
    comparison = path.compare(
        bench.job, bench.rules, bench.baseline, CompareContext(folder=bench.folder / f"work-{bench.runs}", now=NOW)
    )
    files = path.stage(bench.job, bench.rules, comparison, bench.folder / f"files-{bench.runs}")
    return [one.digest for one in files]


SORTED = {
    "numbers up": [str(one) for one in range(1, 60)],
    "numbers down": [str(one) for one in range(60, 0, -1)],
    "texts up": [f"k{one:03}" for one in range(60)],
    "texts down": [f"k{one:03}" for one in range(60, 0, -1)],
}
UNSORTED = {
    "one comes again": ["a", "b", "c", *(f"d{one:02}" for one in range(40)), "a"],
    "numbers written twice": ["1", "2", "02", "3"],
    "no order": ["m", "a", "z", "b"],
}


@pytest.mark.parametrize("name", [*SORTED, *UNSORTED])
@pytest.mark.parametrize("frame", [1, 4, 7, 50, 1000])
def test_a_sorted_source_is_streamed_and_gives_the_same_files(
    orders: Bench, monkeypatch: pytest.MonkeyPatch, name: str, frame: int
) -> None:
    monkeypatch.setattr(grouping, "FRAME_ROWS", frame)
    monkeypatch.setattr(read, "FRAME_ROWS", frame)
    monkeypatch.setattr(grouping, "SHARE", 5)
    keys = (SORTED | UNSORTED)[name]
    rows = [f"{key},w,s{number},{number}" for place, key in enumerate(keys) for number in range(place % 4 + 1)]
    orders.source("\n".join(["no,who,sku,qty", *rows, ""]))
    orders.rules = rules()
    found = lines_of(orders, Columnar())
    spread = bool(list((orders.folder / f"work-{orders.runs}").glob("grouped-*")))
    assert spread == (name in UNSORTED)
    monkeypatch.setattr(grouping, "_sorted", lambda *_: False)
    assert lines_of(orders, Columnar()) == found


def test_a_source_that_is_no_longer_sorted_when_it_is_staged_is_refused(orders: Bench) -> None:
    orders.source("no,who,sku,qty\n1,x,s,1\n2,x,s,1\n")
    comparison = orders.compare()
    orders.source("no,who,sku,qty\n1,x,s,1\n2,x,s,1\n1,x,s,1\n")
    with pytest.raises(SourceError, match="changed"):
        orders.stage(comparison)
