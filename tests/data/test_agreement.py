"""With `each:`, rows of a key that disagree outside it make their record invalid; both rows are named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from data_kit import Bench, counts, invalid, job, record, rules

from batchsync.core.job import Removal
from batchsync.core.record_schema import Kind, Rule
from batchsync.data.record import group_by_key
from batchsync.data.row import partitions

if TYPE_CHECKING:
    from pathlib import Path

DIFFERS = "must be the same in all rows of a key, but differs between rows"
HEAD = "no,total,who,sku\n"
MAPPING = {"no": "=no", "total": "=total", "contact": {"who": "=who"}, "items": [{"each": {"sku": "=sku"}}]}
FIELDS = {
    "no": Rule(kind=Kind.STRING),
    "total": Rule(kind=Kind.NUMBER),
    "contact": Rule(kind=Kind.OBJECT, fields=(("who", Rule(kind=Kind.STRING, max_length=5)),)),
    "items": Rule(kind=Kind.ARRAY, items=Rule(kind=Kind.OBJECT, fields=(("sku", Rule(kind=Kind.STRING)),))),
}


@pytest.fixture
def orders(tmp_path: Path) -> Bench:
    return Bench(tmp_path, job(tmp_path, MAPPING, source={"key": ("no",)}), rules(fields=FIELDS))


def reasons(bench: Bench) -> list[tuple[str, str, int, str]]:
    return [(item.field, item.code, item.row, item.reason) for item in invalid(bench.compare())]


def test_disagreeing_rows_are_reported_with_each_member(orders: Bench) -> None:
    orders.source(HEAD + "1,30,a,x\n2,5,b,x\n1,30,a,y\n1,31,c,z\n")
    assert counts(orders) == {"added": 1, "invalid": 1}
    assert reasons(orders) == [
        (
            "total",
            "rows_differ",
            1,
            f"total {DIFFERS} 1 and 4; contact.who {DIFFERS} 1 and 4",
        )
    ]
    assert [item["value"]["no"] for item in orders.records()] == ["2"]


@pytest.mark.parametrize("second", ["1,,a,y", "1,30,,y", "1,31,a,y", "1,30,b,y"])
def test_null_differs_from_a_value_and_a_value_from_another(orders: Bench, second: str) -> None:
    for rows in (["1,30,a,x", second], [second, "1,30,a,x"]):
        orders.source(HEAD + "\n".join([*rows, ""]))
        assert counts(orders) == {"invalid": 1}
        [(_, code, row, reason)] = reasons(orders)
        assert (code, row) == ("rows_differ", 1)
        assert "rows 1 and 2" in reason


def test_members_are_compared_by_their_mapped_value(orders: Bench) -> None:
    orders.job = job(orders.folder, MAPPING | {"contact": {"who": "=lower(who)"}}, source={"key": ("no",)})
    orders.source(HEAD + "1,30,a,x\n1,30.0,A,y\n2,,,x\n2,,,y\n")
    assert counts(orders) == {"added": 2}


def test_columns_that_no_member_outside_each_uses_may_differ(orders: Bench) -> None:
    orders.source("no,total,who,sku,line\n1,30,a,x,1\n1,30,a,y,2\n")
    assert counts(orders) == {"added": 1}


def test_disagreement_is_reported_with_other_reasons(orders: Bench) -> None:
    orders.source(HEAD + "1,thirty,a,x\n1,31,a,y\n2,1,too long,x\n2,1,b,x\n")
    [(field, _, _, first), (_, _, _, second)] = reasons(orders)
    assert field == "total"
    assert "total must be number" in first
    assert "differs between rows 1 and 2" in first
    assert "contact.who" in second
    assert "differs between rows 3 and 4" in second


def test_invalid_record_is_not_removed_at_the_target(orders: Bench) -> None:

    orders.change(removal=Removal(mode="delete", record=record({"no": "=no"})))
    orders.source(HEAD + "1,30,a,x\n1,30,a,y\n")
    orders.accept_all()
    orders.source(HEAD + "1,30,a,x\n1,31,a,y\n")
    assert counts(orders) == {"invalid": 1}


@pytest.mark.parametrize("first", ["5", "9"])
@pytest.mark.parametrize("frame", [1, 4, 1000])
def test_disagreement_is_found_across_frames(
    orders: Bench, monkeypatch: pytest.MonkeyPatch, frame: int, first: str
) -> None:
    for module in (group_by_key, partitions):
        monkeypatch.setattr(module, "FRAME_ROWS", frame)
    # Beginning with 9, the source is not sorted by its key.
    rows = [f"{first},30,a,x", *(f"5,30,a,{number}" for number in range(6)), f"{first},31,a,y", "7,1,b,x"]
    orders.source(HEAD + "\n".join([*rows, ""]))
    assert [(code, row) for _, code, row, _ in reasons(orders)] == [("rows_differ", 1)]
    assert counts(orders) == {"added": 1 if first == "5" else 2, "invalid": 1}


VALUES: list[tuple[Any, Any]] = [
    (30, 31),
    (30, None),
    ({"name": "a"}, {"name": "b"}),
    ({"name": "a"}, None),
    ({"name": "a"}, {"name": None}),
]


@pytest.mark.parametrize(("value", "other"), VALUES)
def test_typed_and_nested_values_are_compared(tmp_path: Path, value: object, other: object) -> None:
    expression = "=who.name" if isinstance(value, dict) else "=who"
    mapping = {"no": "=no", "who": expression, "items": [{"each": "=sku"}]}
    bench = Bench(tmp_path, job(tmp_path, mapping, source={"key": ("no",), "path": "source.jsonl"}), rules())

    def lines(first: object, second: object) -> str:
        rows = [{"no": "1", "sku": "x", "who": first}, {"no": "1", "sku": "y", "who": second}]
        return "".join(json.dumps(row) + "\n" for row in rows)

    bench.source(lines(value, other))
    assert counts(bench) == {"invalid": 1}
    bench.source(lines(value, value))
    assert counts(bench) == {"added": 1}
