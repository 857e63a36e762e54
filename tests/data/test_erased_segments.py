"""Segments and row manifests without some keys: nothing else changes, whatever the layers, hash ranges and states."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import polars as pl
import pytest

from batchsync.core.batch import Batch, BatchFile, BatchId, Phase, RunId, Verdict
from batchsync.core.personal_data import hash_of_key
from batchsync.data import PolarsEngine
from batchsync.data.baseline import segments
from batchsync.data.baseline.segments import SEGMENT, range_count, write_segment
from batchsync.data.frame.hashes import HASH, hash_of, in_hash_order, partition_end
from batchsync.data.frame.suppressed import is_suppressed
from batchsync.ports import BaselineEntry, Downloads, ObjectFolder, SegmentEntry, Suppression
from batchsync.storage.local_folder import LocalFolder
from batchsync.util.files import sha256_of_file
from kit.state_search import files_with

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def segment(into: ObjectFolder, keys: Sequence[str], state: int | None = None) -> SegmentEntry:
    """Write a segment in which each key has a version, or with a state only that."""
    rows = pl.DataFrame({"key": list(keys)}).with_columns(
        pl.lit(None if state else b"a" * 21, dtype=pl.Binary).alias("accepted"),
        pl.lit(b"b" * 21 if state else None, dtype=pl.Binary).alias("last"),
        pl.lit(state, dtype=pl.UInt8).alias("last_state"),
        pl.lit(value=bool(state)).alias("as_before"),
        pl.lit(None, dtype=pl.String).alias("members"),
        hash_of("key"),
    )
    ordered, ranges = in_hash_order(rows, "key"), range_count(rows.height)
    ends = [int(ordered[HASH].search_sorted(partition_end(number, ranges))) for number in range(ranges - 1)]
    cuts = [0, *ends, ordered.height]
    parts = [ordered[begin:end].select(*SEGMENT) for begin, end in pairwise(cuts)]
    return write_segment(parts, into)


@pytest.mark.parametrize("rows_of_range", [5, 65_536])
def test_erased_keys_are_in_no_segment_and_others_are_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_of_range: int
) -> None:
    monkeypatch.setattr(segments, "RANGE_ROWS", rows_of_range)
    store = LocalFolder(tmp_path)
    engine, into = PolarsEngine(store), ObjectFolder(store, "baselines/guests")
    keys = [f"key-{number}-x" for number in range(200)]
    entries = (
        segment(into, keys),
        segment(into, keys[50:100], state=1),
        segment(into, keys[150:], state=2),
        segment(into, ["key-3-x"], state=4),
    )
    before = BaselineEntry(job="guests", account_id="a", segments=entries)

    after = engine.erase(before, ["key-3-x", "key-77-x", "key-77-x", "unknown", "\udc80"])

    assert [item.rows for item in after.segments] == [198, 49, 50]
    assert after.segments[2] == entries[2]
    for old in set(before.segments) - set(after.segments):
        store.delete(f"baselines/guests/{old.file}")
    assert not files_with(tmp_path, "key-3-x")
    assert not files_with(tmp_path, "key-77-x")
    others = [key for key in keys if key not in ("key-3-x", "key-77-x")]
    assert set(engine.known(after, keys)) == set(others)
    for key in ("key-0-x", "key-60-x", "key-199-x"):
        assert engine.lookup(key, after, ()).latest_outcome == {"key-60-x": "rejected", "key-199-x": "unknown"}.get(
            key, "accepted"
        )
    assert engine.erase(after, ["key-3-x"]) == after


def test_last_key_leaves_no_segment(tmp_path: Path) -> None:
    store = LocalFolder(tmp_path)
    before = BaselineEntry(
        job="guests", account_id="a", segments=(segment(ObjectFolder(store, "baselines/guests"), ["only"]),)
    )
    assert PolarsEngine(store).erase(before, ["only"]).segments == ()


@pytest.mark.parametrize("key", ["G1", "ü@x.de", '["SA","LDG004"]', "", "a" * 10_000, "🙂", "a\x00b"])
def test_column_and_single_key_have_the_same_hash(key: str) -> None:
    secret = "0123456789abcdef" * 4
    suppression = Suppression(secret=secret, hashes=frozenset({hash_of_key(secret, key)}))
    rows = pl.DataFrame({"key": ["other", key, None, f"{key}x"]})
    assert is_suppressed(rows, "key", suppression).to_list() == [False, True, False, False]
    assert is_suppressed(rows, "key", None).to_list() == [False] * 4
    assert is_suppressed(rows, "key", Suppression(secret=secret[::-1], hashes=suppression.hashes)).sum() == 0


def test_row_manifest_keeps_lines_and_references_and_loses_the_key(tmp_path: Path) -> None:
    store = LocalFolder(tmp_path)
    engine = PolarsEngine(store)
    manifest = pl.DataFrame(
        {
            "key": ["G1", "jane-7781", "G3"],
            "fingerprint": [b"a" * 21] * 3,
            "op": ["add", "remove", "add"],
            "row": [1, 0, 3],
            "ref": ["r1", "r2", "r3"],
            "line": [1, 2, 3],
            "key:id": ["G1", "jane-7781", "G3"],
            "input:name": ["a", "Jane 7781", "c"],
        }
    )
    (tmp_path / "new").mkdir()
    file = tmp_path / "new" / "manifest"
    manifest.write_parquet(file)
    location = ObjectFolder(store, "staging/guests").put(file, f"{'d' * 64}.{sha256_of_file(file)}.manifest.parquet")
    batch = Batch(
        id=BatchId("guests-1"),
        run=RunId("guests-1"),
        job="guests",
        seq=1,
        file=BatchFile(path="x.gz", row_manifest=location, digest="d" * 64, md5="", size=1, rows=3),
        phase=Phase.FINISHED,
        prepared_at=datetime(2026, 11, 29, tzinfo=UTC),
        verdict=Verdict.RESENT,
    )
    assert set(engine.keys_in(batch)) == {"G1", "jane-7781", "G3"}
    assert engine.keys_in(batch, ops=["remove"]) == ["jane-7781"]

    after = replace(batch, file=replace(batch.file, row_manifest=engine.erase_from_manifest(batch, ["jane-7781"])))
    store.delete(f"staging/guests/{location.rpartition('/')[2]}")

    assert not files_with(tmp_path, "7781")
    assert set(engine.keys_in(after)) == {"G1", "G3"}
    assert engine.keys_in(after, among=["jane-7781", "G3"]) == ["G3"]
    verdicts = engine.join_outcomes(after, None, Downloads(), tmp_path / "verdicts")
    assert verdicts.counts.total == 3
    left = pl.read_parquet(after.file.row_manifest)
    assert left.schema == manifest.schema
    assert left["ref"].to_list() == ["r1", "r2", "r3"]
