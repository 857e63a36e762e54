"""A baseline of segments equals a dictionary, however it was compacted and whichever release wrote it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from data_kit import NOTHING_KNOWN, engine_in, segment_paths, view
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchsync.core import compaction
from batchsync.core.row_outcome import RowOutcome
from batchsync.data.baseline import apply, segments
from batchsync.data.baseline.segments import SegmentReader, latest_per_key
from batchsync.data.baseline.states import REJECTED, REMOVAL_UNKNOWN, RESEND, UNKNOWN
from batchsync.data.frame.hashes import HASH, hash_of, partition_end
from batchsync.data.frame.known import opened_baseline
from batchsync.ports import BaselineEntry, KnownKey, SegmentEntry
from batchsync.storage.local_folder import LocalFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from data_kit import Bench

    States = dict[str, tuple[bytes | None, bytes | None, int | None]]

VERDICTS = {
    "key": pl.String,
    "fingerprint": pl.Binary,
    "op": pl.String,
    "state": pl.String,
    "retry": pl.Boolean,
    "code": pl.String,
}
KEY = st.text("ab1\u00e9", min_size=1, max_size=2)
VERDICT = st.tuples(
    st.sampled_from(["add", "remove"]), st.sampled_from(["accepted", "rejected", "unknown", "resent"]), st.booleans()
)
DELIVERY = st.dictionaries(KEY, VERDICT, max_size=25)
RESOLVED = st.tuples(st.lists(KEY, max_size=10), st.booleans())
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use hash ranges of few rows, and skip thousands of fsyncs."""
    monkeypatch.setattr(segments, "RANGE_ROWS", 3)
    monkeypatch.setattr(os, "fsync", lambda _: None)


def write_verdicts(path: Path, verdicts: dict[str, Any], mark: bytes) -> Path:
    """Write a file of verdicts."""
    rows = [
        (key, mark, op, "rejected" if state == "resent" else state, retry or state == "resent", state)
        for key, (op, state, retry) in verdicts.items()
    ]
    pl.DataFrame(rows, schema=VERDICTS, orient="row").write_parquet(path)
    return path


def deliver(states: States, verdicts: dict[str, Any], mark: bytes) -> None:
    """Apply verdicts to a dictionary as the engine does to a baseline."""
    for key, (op, state, retry) in verdicts.items():
        accepted, last, last_state = states.pop(key, (None, None, None))
        if state == "accepted":
            accepted, last, last_state = None if op == "remove" else mark, None, None
        elif state != "rejected" or not retry:
            unknown = REMOVAL_UNKNOWN if op == "remove" else UNKNOWN
            last, last_state = mark, {"rejected": REJECTED, "unknown": unknown, "resent": RESEND}[state]
        if (accepted, last) != (None, None):
            states[key] = (accepted, last, last_state)


def resolve(states: States, keys: list[str], *, as_delivered: bool) -> None:
    """Apply a manual resolution to a dictionary as the engine does to a baseline."""
    for key in keys:
        accepted, last, last_state = states.get(key, (None, None, None))
        if last_state in (UNKNOWN, REMOVAL_UNKNOWN):
            del states[key]
            if not as_delivered:
                states[key] = (accepted, last, RESEND)
            elif last_state == UNKNOWN:
                states[key] = (last, None, None)


def read_merged(folder: Path, baseline: BaselineEntry, parts: int) -> States:
    """Return the states of a baseline, read in this many hash ranges."""
    ends = [partition_end(part, parts) for part in range(parts)]
    with opened_baseline(LocalFolder(folder), baseline) as known:
        readers = [SegmentReader(segment) for segment in known.segments]
        found = [latest_per_key([reader.until(end) for reader in readers], whole=True) for end in ends]
    for part, rows in enumerate(found):
        assert all(partition_end(part - 1, parts) <= key_hash < partition_end(part, parts) for key_hash in rows[HASH])
    return {row[0]: row[1:4] for rows in found for row in rows.select(*segments.SEGMENT).iter_rows()}


@pytest.mark.usefixtures("tiny")
@FEW
@given(
    steps=st.lists(st.tuples(st.one_of(DELIVERY, RESOLVED), st.integers(0, 4)), max_size=12),
    parts=st.sampled_from([1, 2, 16, 64]),
)
def test_deliveries_and_resolutions_equal_those_of_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, steps: list[Any], parts: int
) -> None:
    folder = tmp_path_factory.mktemp("moves")
    engine = engine_in(folder)
    states: States = {}
    baseline = NOTHING_KNOWN
    for number, (step, at) in enumerate(steps):
        monkeypatch.setattr(apply, "compaction_start", lambda rows, _new, at=at: min(at, len(rows)))
        if isinstance(step, dict):
            mark = bytes([number]) * 16
            baseline = engine.apply_verdicts(baseline, [write_verdicts(folder / f"{number}.parquet", step, mark)])
            deliver(states, step, mark)
        else:
            keys, delivered = step
            baseline = engine.resolve(baseline, keys, delivered=delivered)
            resolve(states, keys, as_delivered=delivered)
        assert view(folder, baseline) == states
    assert read_merged(folder, baseline, parts) == states
    assert sum(segment.rows for segment in baseline.segments) >= len(states)
    for key in {"a", "b1", *states}:
        accepted, _, last_state = states.get(key, (None, None, None))
        outcomes = {REJECTED: "rejected", UNKNOWN: "unknown", REMOVAL_UNKNOWN: "unknown", RESEND: "again"}
        last = outcomes[last_state] if last_state else "accepted" if key in states else ""
        version = "" if accepted is None else accepted.hex()
        expected = KnownKey(in_target=accepted is not None, latest_outcome=last, version=version)
        assert engine.lookup(key, baseline, []) == expected


@pytest.mark.usefixtures("tiny")
@FEW
@given(steps=st.lists(DELIVERY, min_size=1, max_size=15))
def test_compaction_bounds_segments_and_drops_removed_keys(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, steps: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(compaction, "SEGMENTS_MAX", 3)
    monkeypatch.setattr(compaction, "SMALL_SEGMENT_ROWS", 1)
    folder = tmp_path_factory.mktemp("moves")
    engine = engine_in(folder)
    states: States = {}
    baseline = NOTHING_KNOWN
    for number, step in enumerate(steps):
        mark = bytes([number]) * 16
        baseline = engine.apply_verdicts(baseline, [write_verdicts(folder / f"{number}.parquet", step, mark)])
        deliver(states, step, mark)
        assert len(baseline.segments) <= 3
        paths = segment_paths(folder, baseline)
        assert [pl.read_parquet(path).height for path in paths] == [segment.rows for segment in baseline.segments]
        for path in paths[:1]:
            oldest = pl.read_parquet(path)
            assert not oldest["as_before"].any()
            assert not oldest.filter(pl.col("accepted").is_null() & pl.col("last").is_null()).height
    assert view(folder, baseline) == states


def test_same_verdicts_give_identical_segments(tmp_path: Path) -> None:
    verdicts = {f"K{number}": ("add", "accepted", False) for number in range(1000)}
    path = write_verdicts(tmp_path / "batch.parquet", verdicts, b"1" * 16)
    first = engine_in(tmp_path / "first").apply_verdicts(NOTHING_KNOWN, [path])
    second = engine_in(tmp_path / "second").apply_verdicts(NOTHING_KNOWN, [path])
    assert first == second
    again = engine_in(tmp_path / "first").apply_verdicts(first, [path])
    assert view(tmp_path / "first", again) == view(tmp_path / "second", second)


def test_verdicts_without_effect_write_no_segment(tmp_path: Path) -> None:
    refused = write_verdicts(tmp_path / "refused.parquet", {"a": ("add", "rejected", True)}, b"1" * 16)
    gone = write_verdicts(tmp_path / "gone.parquet", {"a": ("remove", "accepted", False)}, b"2" * 16)
    engine = engine_in(tmp_path)
    assert engine.apply_verdicts(NOTHING_KNOWN, [refused, gone]) == NOTHING_KNOWN
    assert engine.resolve(NOTHING_KNOWN, ["a"], delivered=True) == NOTHING_KNOWN


def test_ends_of_hash_ranges_are_read_instead_of_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = {f"K{index}": ("add", "accepted", False) for index in range(50)}
    verdicts = write_verdicts(tmp_path / "verdicts.parquet", accepted, b"1" * 16)
    baseline = engine_in(tmp_path).apply_verdicts(NOTHING_KNOWN, [verdicts])
    counted: list[SegmentReader] = []
    monkeypatch.setattr(SegmentReader, "_count_ends", counted.append)
    assert len(read_merged(tmp_path, baseline, 4)) == 50
    assert counted == []


def test_keys_with_equal_hash_are_distinguished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same_hash = pl.lit(7, dtype=pl.UInt64).alias(HASH)
    for module in (apply, segments):
        monkeypatch.setattr(module, "hash_of", lambda key: pl.when(pl.col(key) != "").then(same_hash))
    baseline = NOTHING_KNOWN
    for number in range(3):
        verdicts = {f"K{index}": ("add", "accepted", False) for index in range(number, 5)}
        path = write_verdicts(tmp_path / f"{number}.parquet", verdicts, bytes([number]) * 16)
        baseline = engine_in(tmp_path).apply_verdicts(baseline, [path])
    assert (
        view(tmp_path, baseline)
        == read_merged(tmp_path, baseline, 4)
        == {f"K{index}": (bytes([min(index, 2)]) * 16, None, None) for index in range(5)}
    )
    assert engine_in(tmp_path).lookup("K0", baseline, []).in_target
    assert not engine_in(tmp_path).lookup("K9", baseline, []).in_target


def unordered(rows: pl.DataFrame, path: Path) -> None:
    """Write an unsorted file, as the first release did."""
    rows.sort("key", descending=True).write_parquet(path)


def single_file(rows: pl.DataFrame, path: Path) -> None:
    """Write a sorted file without the ends of hash ranges, as releases with a single file per baseline did."""
    in_order = rows.with_columns(hash_of("key")).sort(HASH).drop(HASH)
    in_order.write_parquet(path, row_group_size=7, metadata={"batchsync.order": "xxh3_64"})


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("write", [unordered, single_file])
def test_baseline_of_an_older_release_is_read(bench: Bench, write: Callable[[pl.DataFrame, Path], None]) -> None:
    head = "id,name,mail\n"
    bench.source(head + "".join(f"{row},a,m\n" for row in range(50)))
    bench.accept_all()
    [segment] = bench.baseline.segments
    [path] = segment_paths(bench.folder, bench.baseline)
    write(pl.read_parquet(path).drop("as_before"), path.with_name("older.parquet"))
    bench.baseline = replace(bench.baseline, segments=(replace(segment, file="older.parquet"),))
    assert bench.compare().plan.counts.outcomes[RowOutcome.UNCHANGED] == 50
    assert bench.compare().plan.baseline_rows == 50
    assert bench.engine.lookup("49", bench.baseline, []).in_target
    bench.source(head + "".join(f"{row},{'b' if row < 5 else 'a'},m\n" for row in range(55)))
    bench.accept_all()
    assert len(bench.baseline.segments) == 2
    assert bench.compare().plan.counts.outcomes[RowOutcome.UNCHANGED] == 55
    assert bench.compare().plan.baseline_rows == 55
    assert not bench.engine.lookup("55", bench.baseline, []).in_target


def test_point_lookup_reads_few_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "RANGE_ROWS", 500)
    verdicts = {f"K{number}": ("add", "accepted", False) for number in range(20_000)}
    path = write_verdicts(tmp_path / "batch.parquet", verdicts, b"1" * 16)
    baseline = engine_in(tmp_path).apply_verdicts(NOTHING_KNOWN, [path])
    read: list[int] = []
    original = segments.SegmentReader._rows

    def counted(self: segments.SegmentReader, first: int, end: int) -> pl.DataFrame:
        found = original(self, first, end)
        read.append(found.height)
        return found

    monkeypatch.setattr(segments.SegmentReader, "_rows", counted)
    found = engine_in(tmp_path).lookup("K777", baseline, [])
    assert found == KnownKey(in_target=True, latest_outcome="accepted", version=(b"1" * 16).hex())
    assert 0 < sum(read) < 700


def test_missing_segment_is_reported(bench: Bench) -> None:
    bench.source("id,name,mail\n1,a,m\n")
    bench.accept_all()
    missing = SegmentEntry(file="missing.parquet", digest="", rows=1)
    bench.baseline = replace(bench.baseline, segments=(*bench.baseline.segments, missing))
    for call in (
        bench.compare,
        lambda: bench.engine.apply_verdicts(bench.baseline, []),
        lambda: bench.engine.resolve(bench.baseline, ["1"], delivered=True),
        lambda: bench.engine.lookup("1", bench.baseline, []),
    ):
        with pytest.raises(Exception, match=r"missing\.parquet in the state folder is missing or damaged"):
            call()
