"""Point lookup of a key in the baseline and in row manifests; damaged files are reported."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest
from data_kit import ENGINE, NOTHING_KNOWN, engine_in, manifest_key

from batchsync.core.naming import segment_key
from batchsync.errors import StateError
from batchsync.ports import BaselineEntry, KnownKey, SegmentEntry

if TYPE_CHECKING:
    from pathlib import Path

    from data_kit import Bench

UNKNOWN_KEY = KnownKey()


def verdicts(folder: Path, name: str, *rows: tuple[str, str]) -> Path:
    """Write the outcome of each key, with a fingerprint of its own per file."""
    path = folder / f"{name}.parquet"
    frame = pl.DataFrame(rows, schema={"key": pl.String, "state": pl.String}, orient="row")
    frame.with_columns(
        pl.lit(name.encode().ljust(16)).alias("fingerprint"),
        pl.lit("change").alias("op"),
        pl.lit(value=False).alias("retry"),
        pl.lit("").alias("code"),
    ).write_parquet(path)
    return path


def baseline(folder: Path, *steps: dict[str, str]) -> BaselineEntry:
    """Return a baseline after batches, each given as the outcomes of its keys."""
    files = [verdicts(folder, f"step{index}", *step.items()) for index, step in enumerate(steps)]
    return engine_in(folder).apply_verdicts(NOTHING_KNOWN, files)


def one_segment(name: str, rows: int) -> BaselineEntry:
    """Return a baseline of one segment."""
    return BaselineEntry(job="job", account_id="", segments=(SegmentEntry(file=name, digest="", rows=rows),))


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("taken", KnownKey(in_target=True, latest_outcome="accepted")),
        ("refused", KnownKey(in_target=False, latest_outcome="rejected")),
        ("refused later", KnownKey(in_target=True, latest_outcome="rejected")),
        ("lost", KnownKey(in_target=False, latest_outcome="unknown")),
        ("lost later", KnownKey(in_target=True, latest_outcome="unknown")),
        ("taken at last", KnownKey(in_target=True, latest_outcome="accepted")),
        ("never", UNKNOWN_KEY),
        ("", UNKNOWN_KEY),
        ("\udcff no text", UNKNOWN_KEY),
    ],
)
def test_baseline_has_latest_outcome_and_whether_target_holds_key(key: str, known: KnownKey, tmp_path: Path) -> None:
    first = {"taken": "accepted", "refused": "rejected", "refused later": "accepted", "lost": "unknown"}
    first |= {"lost later": "accepted", "taken at last": "rejected"}
    then = {"refused later": "rejected", "lost later": "unknown", "taken at last": "accepted"}

    found = engine_in(tmp_path).lookup(key, baseline(tmp_path, first, then), [])

    assert replace(found, version="") == known
    assert bool(found.version) == known.in_target


def test_empty_baseline_has_no_keys() -> None:
    assert ENGINE.lookup("a", NOTHING_KNOWN, []) == UNKNOWN_KEY


def test_keys_are_compared_as_exact_text(tmp_path: Path) -> None:
    keys = ["007", "1e3", "null", "*", "a.*", "^x$", '["a","b"]', "Å🗺️", "it's", 'say "x"', "' OR 1=1 --"]
    base = baseline(tmp_path, dict.fromkeys(keys, "accepted"))

    assert all(engine_in(tmp_path).lookup(key, base, []).in_target for key in keys)
    assert not any(engine_in(tmp_path).lookup(key, base, []).in_target for key in ["7", "1000", "a", "", "b", "x", "Å"])


def test_key_in_flight_is_found_with_its_line(bench: Bench) -> None:
    bench.source("id,name,mail\n" + "".join(f"{row},a,m\n" for row in range(5)))
    [file] = bench.stage(bench.compare())
    manifest = manifest_key(file)

    assert bench.engine.lookup("3", NOTHING_KNOWN, [manifest]) == KnownKey(in_flight={manifest: 4})
    assert bench.engine.lookup("9", NOTHING_KNOWN, [manifest]) == UNKNOWN_KEY


def test_composite_key_is_looked_up_by_its_json_array(bench: Bench) -> None:
    bench.change_source(key=("id", "name"))
    bench.source('id,name,mail\n1,"say ""x""",m\n2,b,m\n')
    bench.accept_all()

    key = json.dumps(["1", 'say "x"'], separators=(",", ":"))
    found = bench.engine.lookup(key, bench.baseline, [])
    assert (found.in_target, found.latest_outcome) == (True, "accepted")
    assert found.delivered == ((found.delivered[0][0], found.version),)
    assert bench.engine.lookup("1", bench.baseline, []) == UNKNOWN_KEY


@pytest.mark.parametrize("content", [None, b"", b"PAR1 and no more"])
def test_missing_or_damaged_state_file_is_reported(content: bytes | None, tmp_path: Path) -> None:
    base = baseline(tmp_path, {"a": "accepted"})
    broken = tmp_path / segment_key("job", "broken.parquet")
    if content is not None:
        broken.write_bytes(content)

    with pytest.raises(StateError, match=r"broken\.parquet in the state folder is missing or damaged"):
        engine_in(tmp_path).lookup("a", base, [segment_key("job", "broken.parquet")])
    with pytest.raises(StateError, match=r"broken\.parquet"):
        engine_in(tmp_path).lookup("a", one_segment("broken.parquet", 1), [])


def test_key_is_found_in_file_with_many_row_groups(tmp_path: Path) -> None:
    path = tmp_path / segment_key("job", "many.parquet")
    path.parent.mkdir(parents=True)
    keys = [f"K{number:06}" for number in range(20_000)]
    pl.DataFrame({"key": keys, "accepted": [b"0" * 16] * len(keys)}).with_columns(
        pl.lit(None, dtype=pl.Binary).alias("last"), pl.lit(None, dtype=pl.UInt8).alias("last_state")
    ).write_parquet(path, row_group_size=1000)
    base = one_segment(path.name, len(keys))

    found = [
        engine_in(tmp_path).lookup(key, base, []).in_target for key in ("K000000", "K009999", "K019999", "K020000")
    ]
    assert found == [True, True, True, False]
