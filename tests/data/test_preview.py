"""What a person is shown of a plan: the first keys of each kind, and the invalid rows by reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from data_kit import HEAD, record, rules

from lading.core.job import Removal
from lading.core.record_schema import Format, Kind, Rule
from lading.data import Columnar, diff, excerpt, scatter
from lading.ports import Excerpt, InvalidGroup, Named

if TYPE_CHECKING:
    from data_kit import Bench


def told(bench: Bench, limit: int) -> Excerpt:
    return Columnar().excerpt(bench.compare(), limit)


def many(numbers: range, name: str = "a") -> str:
    return "".join(f"k{number:04},{name},m@x.nz\n" for number in numbers)


def plain(keys: tuple[Named, ...]) -> list[tuple[str, int]]:
    return [(one.key, one.row) for one in keys]


@pytest.mark.parametrize("spilled", [False, True])
def test_the_lowest_rows_of_each_kind_are_told_and_removals_by_key(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, *, spilled: bool
) -> None:
    if spilled:
        monkeypatch.setattr(scatter, "HELD", 7)
        monkeypatch.setattr(diff, "PART", 10)
        monkeypatch.setattr(diff, "HELD", 5)
    monkeypatch.setattr(excerpt, "_STRETCH", 9)
    bench.change(removal=Removal(mode="delete", record=record({"id": "=id"})))
    bench.source(HEAD + many(range(60)))
    bench.accept_all()
    bench.source(HEAD + many(range(100, 130)) + many(range(20, 40), name="b") + many(range(40, 60)))

    found = told(bench, 3)
    assert plain(found.added) == [("k0100", 1), ("k0101", 2), ("k0102", 3)]
    assert plain(found.changed) == [("k0020", 31), ("k0021", 32), ("k0022", 33)]
    assert plain(found.removed) == [("k0000", 0), ("k0001", 0), ("k0002", 0)]
    assert found.invalid == ()
    whole = told(bench, 1000)
    assert [len(one) for one in (whole.added, whole.changed, whole.removed)] == [30, 20, 20]
    assert told(bench, 0) == Excerpt()


def test_invalid_rows_are_counted_by_field_and_rule_with_the_first_of_each(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excerpt, "_STRETCH", 2)
    bench.rules = rules(fields={"mail": Rule(kind=Kind.STRING, format=Format.EMAIL), "name": Rule(kind=Kind.STRING)})
    bench.source(HEAD + "1,a,bad\n2,b,m@x.nz\n,c,m@x.nz\n4,d,bad\n5,e,bad\n6,f,bad\n")

    assert told(bench, 3).invalid == (
        InvalidGroup(
            field="mail",
            code="format",
            count=4,
            first=(Named(key="1", row=1), Named(key="4", row=4), Named(key="5", row=5)),
        ),
        InvalidGroup(field="key", code="key", count=1, first=(Named(key="", row=3),)),
    )
    assert [(one.count, one.first) for one in told(bench, 0).invalid] == [(4, ()), (1, ())]
