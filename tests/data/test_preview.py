"""Preview of a plan: the first keys of each kind, and the invalid rows by reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from data_kit import ENGINE, HEAD, record, rules

from batchsync.core.job import Removal
from batchsync.core.record_schema import Format, Kind, Rule
from batchsync.data.compare import classify, preview
from batchsync.data.frame import partitioned_spill
from batchsync.ports import InvalidGroup, KeyRef, PlanPreview

if TYPE_CHECKING:
    from data_kit import Bench


def previewed(bench: Bench, limit: int) -> PlanPreview:
    return ENGINE.preview(bench.compare(), limit)


def rows(numbers: range, name: str = "a") -> str:
    return "".join(f"k{number:04},{name},m@x.nz\n" for number in numbers)


def pairs(keys: tuple[KeyRef, ...]) -> list[tuple[str, int]]:
    return [(key.key, key.row) for key in keys]


@pytest.mark.parametrize("spilled", [False, True])
def test_preview_lists_first_rows_and_removals_by_key(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, *, spilled: bool
) -> None:
    if spilled:
        monkeypatch.setattr(partitioned_spill, "ROWS_IN_MEMORY", 7)
        monkeypatch.setattr(classify, "PARTITION_ROWS", 10)
        monkeypatch.setattr("batchsync.data.compare.compare.ROWS_IN_MEMORY", 5)
    monkeypatch.setattr(preview, "_CHUNK_ROWS", 9)
    bench.change(removal=Removal(mode="delete", record=record({"id": "=id"})))
    bench.source(HEAD + rows(range(60)))
    bench.accept_all()
    bench.source(HEAD + rows(range(100, 130)) + rows(range(20, 40), name="b") + rows(range(40, 60)))

    found = previewed(bench, 3)
    assert pairs(found.added) == [("k0100", 1), ("k0101", 2), ("k0102", 3)]
    assert pairs(found.changed) == [("k0020", 31), ("k0021", 32), ("k0022", 33)]
    assert pairs(found.removed) == [("k0000", 0), ("k0001", 0), ("k0002", 0)]
    assert found.invalid == ()
    whole = previewed(bench, 1000)
    assert [len(item) for item in (whole.added, whole.changed, whole.removed)] == [30, 20, 20]
    assert previewed(bench, 0) == PlanPreview()


def test_preview_groups_invalid_rows_by_reason(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "_CHUNK_ROWS", 2)
    bench.rules = rules(fields={"mail": Rule(kind=Kind.STRING, format=Format.EMAIL), "name": Rule(kind=Kind.STRING)})
    bench.source(HEAD + "1,a,bad\n2,b,m@x.nz\n,c,m@x.nz\n4,d,bad\n5,e,bad\n6,f,bad\n")

    assert previewed(bench, 3).invalid == (
        InvalidGroup(
            field="mail",
            code="format",
            count=4,
            first=(KeyRef(key="1", row=1), KeyRef(key="4", row=4), KeyRef(key="5", row=5)),
        ),
        InvalidGroup(field="key", code="key", count=1, first=(KeyRef(key="", row=3),)),
    )
    assert [(item.count, item.first) for item in previewed(bench, 0).invalid] == [(4, ()), (1, ())]
