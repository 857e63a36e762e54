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

from batchsync.core import compaction
from batchsync.data import PolarsEngine
from batchsync.data.baseline import apply, segments
from batchsync.data.baseline.merge_reader import SegmentMerge, latest_per_key, rows_with_history
from batchsync.data.baseline.states import AGAIN, REJECTED, REMOVAL_UNKNOWN, UNKNOWN
from batchsync.data.frame.key_hash import HASH, end_of, hash_of
from batchsync.ports import Baseline, KnownKey, Segment

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
    ordered = SegmentMerge(given.segments)
    found = [rows_with_history(latest_per_key(ordered.until(end_of(part, parts)))) for part in range(parts)]
    for part, rows in enumerate(found):
        assert all(end_of(part - 1, parts) <= item < end_of(part, parts) for item in rows[HASH])
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
        monkeypatch.setattr(apply, "compaction_start", lambda rows, _new, at=at: min(at, len(rows)))
        if isinstance(step, dict):
            mark = bytes([number]) * 16
            now = PolarsEngine().apply_verdicts(
                now, [told(folder / f"{number}.parquet", step, mark)], folder / "segments"
            )
            delivered(held, step, mark)
        else:
            keys, word = step
            now = PolarsEngine().resolve(now, keys, folder / "segments", delivered=word)
            resolved(held, keys, as_delivered=word)
        assert view(now) == held
    assert merged(now, parts) == held
    assert now.rows >= len(held)
    for key in {"a", "b1", *held}:
        accepted, _, ended = held.get(key, (None, None, None))
        words = {REJECTED: "rejected", UNKNOWN: "unknown", REMOVAL_UNKNOWN: "unknown", AGAIN: "again"}
        last = words[ended] if ended else "accepted" if key in held else ""
        assert PolarsEngine().lookup(key, now, []) == KnownKey(in_target=accepted is not None, latest_outcome=last)


@pytest.mark.usefixtures("tiny")
@FEW
@given(steps=st.lists(DELIVERY, min_size=1, max_size=15))
def test_segments_stay_few_and_the_oldest_forgets_what_is_gone(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, steps: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(compaction, "SEGMENTS_MAX", 3)
    monkeypatch.setattr(compaction, "UNIT", 1)
    folder = tmp_path_factory.mktemp("moves")
    held: Held = {}
    now = Baseline()
    for number, step in enumerate(steps):
        mark = bytes([number]) * 16
        now = PolarsEngine().apply_verdicts(now, [told(folder / f"{number}.parquet", step, mark)], folder)
        delivered(held, step, mark)
        assert len(now.segments) <= 3
        assert [pl.read_parquet(segment.path).height for segment in now.segments] == [
            segment.rows for segment in now.segments
        ]
        for segment in now.segments[:1]:
            oldest = pl.read_parquet(segment.path)
            assert not oldest["as_before"].any()
            assert not oldest.filter(pl.col("accepted").is_null() & pl.col("last").is_null()).height
    assert view(now) == held


def test_the_same_verdicts_about_the_same_baseline_give_the_very_same_files(tmp_path: Path) -> None:
    said = {f"K{number}": ("add", "accepted", False) for number in range(1000)}
    path = told(tmp_path / "said.parquet", said, b"1" * 16)
    one = PolarsEngine().apply_verdicts(Baseline(), [path], tmp_path / "one")
    other = PolarsEngine().apply_verdicts(Baseline(), [path], tmp_path / "other")
    assert [path.name for path in one.paths] == [path.name for path in other.paths]
    again = PolarsEngine().apply_verdicts(one, [path], tmp_path / "one")
    assert view(again) == view(one)


def test_what_says_nothing_new_makes_no_segment(tmp_path: Path) -> None:
    refused = told(tmp_path / "refused.parquet", {"a": ("add", "rejected", True)}, b"1" * 16)
    gone = told(tmp_path / "gone.parquet", {"a": ("remove", "accepted", False)}, b"2" * 16)
    assert PolarsEngine().apply_verdicts(Baseline(), [refused, gone], tmp_path) == Baseline()
    assert PolarsEngine().resolve(Baseline(), ["a"], tmp_path, delivered=True) == Baseline()


def test_keys_of_one_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alike = pl.lit(7, dtype=pl.UInt64).alias(HASH)
    for module in (apply, segments):
        monkeypatch.setattr(module, "hash_of", lambda key: pl.when(pl.col(key) != "").then(alike))
    monkeypatch.setattr(
        "batchsync.data.baseline.merge_reader.hash_of", lambda key: pl.when(pl.col(key) != "").then(alike)
    )
    now = Baseline()
    for number in range(3):
        said = {f"K{index}": ("add", "accepted", False) for index in range(number, 5)}
        now = PolarsEngine().apply_verdicts(
            now, [told(tmp_path / f"{number}.parquet", said, bytes([number]) * 16)], tmp_path
        )
    assert view(now) == merged(now, 4) == {f"K{index}": (bytes([min(index, 2)]) * 16, None, None) for index in range(5)}
    assert PolarsEngine().lookup("K0", now, []).in_target
    assert not PolarsEngine().lookup("K9", now, []).in_target


def unordered(rows: pl.DataFrame, path: Path) -> None:
    """Write a file as the very first batchsync did: in no order."""
    rows.sort("key", descending=True).write_parquet(path)


def one_file(rows: pl.DataFrame, path: Path) -> None:
    """Write a file as batchsync did when a baseline was one file: in order, and it does not say where stretches end."""
    ordered = rows.with_columns(hash_of("key")).sort(HASH).drop(HASH)
    ordered.write_parquet(path, row_group_size=7, metadata={"batchsync.order": "xxh3_64"})


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
    assert bench.compare().counts.unchanged == 50
    assert bench.compare().baseline_rows == 50
    assert PolarsEngine().lookup("49", bench.baseline, []).in_target
    bench.source(head + "".join(f"{row},{'b' if row < 5 else 'a'},m\n" for row in range(55)))
    bench.accept_all()
    assert len(bench.baseline.segments) == 2
    assert bench.compare().counts.unchanged == 55
    assert bench.compare().baseline_rows == 55
    assert not PolarsEngine().lookup("55", bench.baseline, []).in_target


def test_one_key_is_looked_up_without_reading_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "STRETCH", 500)
    said = {f"K{number}": ("add", "accepted", False) for number in range(20_000)}
    now = PolarsEngine().apply_verdicts(Baseline(), [told(tmp_path / "said.parquet", said, b"1" * 16)], tmp_path)
    read: list[int] = []
    whole = segments.Opened._rows

    def counted(self: segments.Opened, first: int, end: int) -> pl.DataFrame:
        found = whole(self, first, end)
        read.append(found.height)
        return found

    monkeypatch.setattr(segments.Opened, "_rows", counted)
    assert PolarsEngine().lookup("K777", now, []) == KnownKey(in_target=True, latest_outcome="accepted")
    assert 0 < sum(read) < 700


def test_a_segment_that_is_gone_is_told_and_not_passed_over(bench: Bench) -> None:
    bench.source("id,name,mail\n1,a,m\n")
    bench.accept_all()
    missing = Segment(path=bench.folder / "missing.parquet", rows=1)
    bench.baseline = Baseline(segments=(*bench.baseline.segments, missing))
    for ask in (
        bench.compare,
        lambda: PolarsEngine().apply_verdicts(bench.baseline, [], bench.folder),
        lambda: PolarsEngine().resolve(bench.baseline, ["1"], bench.folder, delivered=True),
        lambda: PolarsEngine().lookup("1", bench.baseline, []),
    ):
        with pytest.raises(Exception, match=r"missing\.parquet in the state folder is missing or damaged"):
            ask()
