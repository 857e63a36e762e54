"""A baseline of many segments is what a dictionary would be, whenever they are merged and whoever wrote them."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import view
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lading.core import compaction
from lading.data import Columnar, baseline, scatter, segments
from lading.data.diff import AGAIN, REJECTED, REMOVAL_UNKNOWN, UNKNOWN
from lading.data.ordered import Ordered, known, newest
from lading.data.scatter import HASH, end_of, hashed
from lading.ports import Baseline, KnownKey, Segment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from data_kit import Bench

    Held = dict[str, tuple[bytes | None, bytes | None, int | None]]

NAMES = {
    "key": pl.String,
    "fingerprint": pl.Binary,
    "op": pl.String,
    "state": pl.String,
    "retry": pl.Boolean,
    "code": pl.String,
}
KEY = st.text("ab1\u00e9", min_size=1, max_size=2)
SAID = st.tuples(
    st.sampled_from(["add", "remove"]), st.sampled_from(["accepted", "rejected", "unknown", "resent"]), st.booleans()
)
DELIVERY = st.dictionaries(KEY, SAID, max_size=25)
RESOLVED = st.tuples(st.lists(KEY, max_size=10), st.booleans())
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretches so short that a few rows have many; and the disk is not waited for thousands of times."""
    monkeypatch.setattr(segments, "STRETCH", 3)
    monkeypatch.setattr(os, "fsync", lambda _: None)


def told(path: Path, said: dict[str, Any], mark: bytes) -> Path:
    """Write a file of verdicts."""
    rows = [
        (key, mark, op, "rejected" if state == "resent" else state, retry or state == "resent", state)
        for key, (op, state, retry) in said.items()
    ]
    pl.DataFrame(rows, schema=NAMES, orient="row").write_parquet(path)
    return path


def delivered(held: Held, said: dict[str, Any], mark: bytes) -> None:
    """Move a dictionary as a delivery moves the baseline."""
    for key, (op, state, retry) in said.items():
        accepted, last, ended = held.pop(key, (None, None, None))
        if state == "accepted":
            accepted, last, ended = None if op == "remove" else mark, None, None
        elif state != "rejected" or not retry:
            unknown = REMOVAL_UNKNOWN if op == "remove" else UNKNOWN
            last, ended = mark, {"rejected": REJECTED, "unknown": unknown, "resent": AGAIN}[state]
        if (accepted, last) != (None, None):
            held[key] = (accepted, last, ended)


def resolved(held: Held, keys: list[str], *, as_delivered: bool) -> None:
    """Move a dictionary as a person's word moves the baseline."""
    for key in keys:
        accepted, last, ended = held.get(key, (None, None, None))
        if ended in (UNKNOWN, REMOVAL_UNKNOWN):
            del held[key]
            if not as_delivered:
                held[key] = (accepted, last, AGAIN)
            elif ended == UNKNOWN:
                held[key] = (last, None, None)


def merged(given: Baseline, parts: int) -> Held:
    """Return what the reader of the comparison makes of a baseline, in so many parts."""
    ordered = Ordered(given.segments)
    found = [known(newest(ordered.until(end_of(part, parts)))) for part in range(parts)]
    for part, rows in enumerate(found):
        assert all(end_of(part - 1, parts) <= one < end_of(part, parts) for one in rows[HASH])
    return {row[0]: row[1:4] for rows in found for row in rows.select(*segments.SEGMENT).iter_rows()}


@pytest.mark.usefixtures("tiny")
@FEW
@given(
    steps=st.lists(st.tuples(st.one_of(DELIVERY, RESOLVED), st.integers(0, 4)), max_size=12),
    parts=st.sampled_from([1, 2, 16, 64]),
)
def test_any_deliveries_and_resolutions_with_any_merging_are_what_a_dictionary_would_be(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, steps: list[Any], parts: int
) -> None:
    folder = tmp_path_factory.mktemp("moves")
    held: Held = {}
    now = Baseline()
    for number, (step, at) in enumerate(steps):
        monkeypatch.setattr(baseline, "merged_from", lambda rows, _new, at=at: min(at, len(rows)))
        if isinstance(step, dict):
            mark = bytes([number]) * 16
            now = Columnar().advance(now, [told(folder / f"{number}.parquet", step, mark)], folder / "segments")
            delivered(held, step, mark)
        else:
            keys, word = step
            now = Columnar().resolve(now, keys, folder / "segments", delivered=word)
            resolved(held, keys, as_delivered=word)
        assert view(now) == held
    assert merged(now, parts) == held
    assert now.rows >= len(held)
    for key in {"a", "b1", *held}:
        accepted, _, ended = held.get(key, (None, None, None))
        words = {REJECTED: "rejected", UNKNOWN: "unknown", REMOVAL_UNKNOWN: "unknown", AGAIN: "again"}
        last = words[ended] if ended else "accepted" if key in held else ""
        assert Columnar().lookup(key, now, []) == KnownKey(held=accepted is not None, newest=last)


@pytest.mark.usefixtures("tiny")
@FEW
@given(steps=st.lists(DELIVERY, min_size=1, max_size=15))
def test_segments_stay_few_and_the_oldest_forgets_what_is_gone(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, steps: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(compaction, "MOST", 3)
    monkeypatch.setattr(compaction, "UNIT", 1)
    folder = tmp_path_factory.mktemp("moves")
    held: Held = {}
    now = Baseline()
    for number, step in enumerate(steps):
        mark = bytes([number]) * 16
        now = Columnar().advance(now, [told(folder / f"{number}.parquet", step, mark)], folder)
        delivered(held, step, mark)
        assert len(now.segments) <= 3
        assert [pl.read_parquet(one.path).height for one in now.segments] == [one.rows for one in now.segments]
        for one in now.segments[:1]:
            oldest = pl.read_parquet(one.path)
            assert not oldest["as_before"].any()
            assert not oldest.filter(pl.col("accepted").is_null() & pl.col("last").is_null()).height
    assert view(now) == held


def test_the_same_verdicts_about_the_same_baseline_give_the_very_same_files(tmp_path: Path) -> None:
    said = {f"K{number}": ("add", "accepted", False) for number in range(1000)}
    path = told(tmp_path / "said.parquet", said, b"1" * 16)
    one = Columnar().advance(Baseline(), [path], tmp_path / "one")
    other = Columnar().advance(Baseline(), [path], tmp_path / "other")
    assert [path.name for path in one.paths] == [path.name for path in other.paths]
    again = Columnar().advance(one, [path], tmp_path / "one")
    assert view(again) == view(one)


def test_what_says_nothing_new_makes_no_segment(tmp_path: Path) -> None:
    refused = told(tmp_path / "refused.parquet", {"a": ("add", "rejected", True)}, b"1" * 16)
    gone = told(tmp_path / "gone.parquet", {"a": ("remove", "accepted", False)}, b"2" * 16)
    assert Columnar().advance(Baseline(), [refused, gone], tmp_path) == Baseline()
    assert Columnar().resolve(Baseline(), ["a"], tmp_path, delivered=True) == Baseline()


def test_keys_of_one_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alike = pl.lit(7, dtype=pl.UInt64).alias(HASH)
    for module in (baseline, segments, scatter):
        monkeypatch.setattr(module, "hashed", lambda key: pl.when(pl.col(key) != "").then(alike))
    monkeypatch.setattr("lading.data.ordered.hashed", lambda key: pl.when(pl.col(key) != "").then(alike))
    now = Baseline()
    for number in range(3):
        said = {f"K{one}": ("add", "accepted", False) for one in range(number, 5)}
        now = Columnar().advance(now, [told(tmp_path / f"{number}.parquet", said, bytes([number]) * 16)], tmp_path)
    assert view(now) == merged(now, 4) == {f"K{one}": (bytes([min(one, 2)]) * 16, None, None) for one in range(5)}
    assert Columnar().lookup("K0", now, []).held
    assert not Columnar().lookup("K9", now, []).held


def unordered(rows: pl.DataFrame, path: Path) -> None:
    """Write a file as the very first lading did: in no order."""
    rows.sort("key", descending=True).write_parquet(path)


def one_file(rows: pl.DataFrame, path: Path) -> None:
    """Write a file as lading did when a baseline was one file: in order, and it does not say where stretches end."""
    ordered = rows.with_columns(hashed("key")).sort(HASH).drop(HASH)
    ordered.write_parquet(path, row_group_size=7, metadata={"lading.order": "xxh3_64"})


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("write", [unordered, one_file])
def test_a_baseline_of_an_older_release_goes_on(bench: Bench, write: Callable[[pl.DataFrame, Path], None]) -> None:
    head = "id,name,mail\n"
    bench.source(head + "".join(f"{row},a,m\n" for row in range(50)))
    bench.accept_all()
    [segment] = bench.baseline.segments
    older = bench.folder / "older.parquet"
    write(pl.read_parquet(segment.path).drop("as_before"), older)
    bench.baseline = Baseline(segments=(replace(segment, path=older),))
    assert bench.compare().tally.unchanged == 50
    assert bench.compare().baseline_rows == 50
    assert Columnar().lookup("49", bench.baseline, []).held
    bench.source(head + "".join(f"{row},{'b' if row < 5 else 'a'},m\n" for row in range(55)))
    bench.accept_all()
    assert len(bench.baseline.segments) == 2
    assert bench.compare().tally.unchanged == 55
    assert bench.compare().baseline_rows == 55
    assert not Columnar().lookup("55", bench.baseline, []).held


def test_one_key_is_looked_up_without_reading_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "STRETCH", 500)
    said = {f"K{number}": ("add", "accepted", False) for number in range(20_000)}
    now = Columnar().advance(Baseline(), [told(tmp_path / "said.parquet", said, b"1" * 16)], tmp_path)
    read: list[int] = []
    whole = segments.Opened._rows

    def counted(self: segments.Opened, first: int, end: int) -> pl.DataFrame:
        found = whole(self, first, end)
        read.append(found.height)
        return found

    monkeypatch.setattr(segments.Opened, "_rows", counted)
    assert Columnar().lookup("K777", now, []) == KnownKey(held=True, newest="accepted")
    assert 0 < sum(read) < 700


def test_a_segment_that_is_gone_is_told_and_not_passed_over(bench: Bench) -> None:
    bench.source("id,name,mail\n1,a,m\n")
    bench.accept_all()
    missing = Segment(path=bench.folder / "missing.parquet", rows=1)
    bench.baseline = Baseline(segments=(*bench.baseline.segments, missing))
    for ask in (
        bench.compare,
        lambda: Columnar().advance(bench.baseline, [], bench.folder),
        lambda: Columnar().resolve(bench.baseline, ["1"], bench.folder, delivered=True),
        lambda: Columnar().lookup("1", bench.baseline, []),
    ):
        with pytest.raises(Exception, match=r"missing\.parquet in the state folder is missing or damaged"):
            ask()
